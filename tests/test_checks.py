"""The checks before training …"""

from __future__ import annotations

from array import array
from typing import Any

import msgspec
import pytest

pytest.importorskip("torch")

from tests import tiny
from tracegen.errors import UserError
from tracegen.student import Kd, Logits, Train
from tracegen.train import checks
from tracegen.train.example import CODES, Example, Soft
from tracegen.train.prepare import Prepared
from tracegen.train.render import Template
from tracegen.train.schedule import plan

pytestmark = pytest.mark.model
TRAIN = Train(model="base")


def example(
    regions: str = "pptcae", weights: tuple[float, ...] = (0, 0, 1, 1, 1, 1), end: int = 1
) -> Example:
    """An example of one token a region: p, o, t, c, a, e."""
    codes = bytes({"p": 0, "o": 1, "t": 2, "c": 3, "a": 4, "e": 5}[letter] for letter in regions)
    ids = array("i", [10 + at for at in range(len(codes) - 1)] + [end])
    return Example(id="row", ids=ids, weights=array("f", weights), regions=codes)


def prepared(**changes: Any) -> Prepared:
    """Ten rows of which nothing is to be said."""
    mass = {"think": 5.0, "close": 2.0, "answer": 2.0, "eot": 1.0}
    base = Prepared(examples=(example(),) * 10, dropped={}, by_region=mass, tokens=60, trained=40)  # type: ignore[arg-type]  # names of regions
    return msgspec.structs.replace(base, **changes)


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (checks.rows(prepared(), TRAIN), "ok"),
        (checks.rows(prepared(dropped={"over 4096 tokens": ("a",) * 9}), TRAIN), "warn"),
        (checks.rows(prepared(cut=("a",)), Train(model="", over_length="cut")), "warn"),
        (checks.thinking(prepared(), TRAIN), "ok"),
        (checks.thinking(prepared(empty=10), TRAIN), "refuse"),
        (checks.thinking(prepared(empty=10), Train(model="", preset="answer_only")), "ok"),
        (checks.thinking(prepared(empty=2, empty_trained=2), TRAIN), "refuse"),
        (checks.thinking(prepared(empty=2, empty_trained=2), Train(model="", empty_think="train")), "warn"),
        (checks.delimiters(prepared(), TRAIN), "ok"),
        (checks.delimiters(prepared(by_region={"think": 1.0, "close": 0.0}), TRAIN), "refuse"),
        (checks.delimiters(prepared(by_region={"think": 0.0, "close": 0.0, "answer": 1.0}), TRAIN), "warn"),
        (checks.untrained([example()]), "ok"),
        (checks.untrained([example(weights=(0,) * 6)]), "refuse"),
        (checks.stop(tiny.tiny_tokenizer(), [1], [example()], TRAIN), "ok"),
        (checks.stop(tiny.tiny_tokenizer(), [1], [example(end=7)], TRAIN), "warn"),
        (checks.stop(tiny.tiny_tokenizer(), [1], [example(weights=(0, 0, 1, 1, 1, 0))], TRAIN), "refuse"),
        (checks.soft_targets(prepared(), Train(model="", method=Kd())), "refuse"),
        (checks.same_tokenizer("a", "b", Train(model="", method=Logits(teacher="t"))), "refuse"),
        (checks.same_tokenizer("a", "a", Train(model="", method=Logits(teacher="t"))), "ok"),
        (checks.head(False, 150_000, 8192), "warn"),
        (checks.head(True, 150_000, 8192), "ok"),
        (checks.cost(1.0, 100, 1000, 10, 100, 10), "ok"),
        (checks.cost(1.0, 100, 1000, 10, 100, 100), "warn"),
    ],
)
def test_judge(finding: checks.Finding, verdict: str) -> None:
    assert finding.verdict == verdict, finding
    assert verdict == "ok" or finding.remedy


def test_count_the_rows_that_have_a_teachers_word() -> None:
    soft = msgspec.structs.replace(example(), soft=Soft(3, ((1,),), ((0.0,),)))
    found = checks.soft_targets(prepared(examples=(soft, example())), Train(model="", method=Kd()))
    assert found is not None and found.verdict == "warn"
    assert found.numbers["rows with distributions"] == 1


def test_keep_a_model_that_lets_packed_rows_see_each_other_from_being_packed() -> None:
    rows = tiny.examples(6)
    honest = tiny.tiny_model()
    finding, attention = checks.packing(honest, rows)
    assert finding.verdict == "ok" and attention == "tracegen_documents"
    leaky = tiny.tiny_model()
    forward = leaky.model.forward

    def blind(*args: Any, position_ids: Any = None, documents: Any = None, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    leaky.model.forward = blind
    finding, _ = checks.packing(leaky, rows)
    assert finding.verdict == "refuse"
    assert min(float(value) for value in finding.numbers.values()) > checks.KL_LIMIT


def test_tell_what_a_template_does_with_thinking() -> None:
    tokenizer = tiny.tiny_tokenizer()
    found = checks.template(Template(tokenizer, TRAIN).treatment, prepared())
    assert found.verdict == "ok"
    assert found.numbers["field"] == "lost"
    tokenizer.chat_template = tiny.CHAT.replace("m['content']", "m['content'].split('</think>')[-1]")
    assert checks.template(Template(tokenizer, TRAIN).treatment, prepared()).verdict == "warn"
    tokenizer.chat_template = tiny.CHAT.replace(
        "assistant\n{% endif", "assistant\n<think>\n\n</think>\n\n{% endif"
    )
    assert CODES["think"] == 2
    assert checks.template(Template(tokenizer, TRAIN).treatment, prepared()).verdict == "refuse"


def test_see_how_few_steps_there_are() -> None:
    short = plan(
        [([10] * 4, 1.0)],
        capacity=20,
        batch_tokens=20,
        ranks=1,
        seed=0,
        group=lambda sizes, most: [[i] for i in range(len(sizes))],
    )
    assert checks.steps(short, 40, TRAIN).verdict == "warn"


def test_refuse_in_one_line() -> None:
    bad = checks.thinking(prepared(empty=10), TRAIN)
    with pytest.raises(UserError) as caught:
        checks.refuse([bad, checks.untrained([example(weights=(0,) * 6)])])
    assert len(str(caught.value).splitlines()) == 1
    assert "thinking" in str(caught.value) and "trained tokens" in str(caught.value)
