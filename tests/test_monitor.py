"""The watch for a collapse …"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from transformers import TrainerControl, TrainerState

from tests import tiny
from tracegen.data import ChoiceAnswer, MathAnswer
from tracegen.student import Monitor, Train
from tracegen.train import attention, loss, monitor, report
from tracegen.train.monitor import Generation, Held, Probe, Tags, judge_generation, judge_probe

pytestmark = pytest.mark.model
TAGS = Tags("<think>", "</think>", "<think>\n")


def probed(at_once: float, close: float = 0.9, step: int = 5) -> Probe:
    return Probe(step=step, open=1.0, close_at_once=at_once, close_max=at_once, close=close, prompts=16)


def written(**classes: int) -> Generation:
    texts = {
        "ok": ("so</think>\n\n4", True),
        "empty": ("\n</think>\n\n4", True),
        "unclosed": ("so it is that", False),
        "answer_in_think": ("The final answer is \\boxed{4}", True),
        "no_answer": ("so</think>\n\n", True),
    }
    said = [(texts[name][0], 10, texts[name][1]) for name, count in classes.items() for _ in range(count)]
    held = [Held((1,), opened=True)] * len(said)
    tokenizer = tiny.tiny_tokenizer()
    return monitor.classify(said, held, tokenizer, TAGS, (8, 10), (3, 4, 5), step=6)


@pytest.mark.parametrize(
    ("now", "first", "cls"),
    [
        (probed(0.01), probed(0.0), ""),
        (probed(0.06), probed(0.0), "empty"),
        (probed(0.06), probed(0.05), ""),
        (probed(0.29), probed(0.05), "empty"),
        (probed(0.0, close=0.02), probed(0.0), "unclosed"),
    ],
)
def test_names_what_the_probabilities_show(now: Probe, first: Probe, cls: str) -> None:
    found = judge_probe(now, first, Monitor(), share=0.5)
    assert (found.cls if found else "") == cls


def test_waits_for_a_student_to_learn_to_close() -> None:
    assert judge_probe(probed(0.0, close=0.0), None, Monitor(), share=0.1) is None
    assert judge_probe(probed(0.5, close=0.5), None, Monitor(), share=0.1) is None


@pytest.mark.parametrize(("blocks", "remedy"), [("train", "empty_think"), ("mask", "learning_rate")])
def test_gives_a_remedy_that_the_recipe_does_not_have_already(
    blocks: str, remedy: str, tmp_path: Path
) -> None:
    said: list[str] = []
    watch = monitor.Watch(
        Monitor(), [], None, TAGS, [], (3, 4, 5), tmp_path / "lines", said.append, empty_think=blocks
    )
    state, control = TrainerState(global_step=5, max_steps=10), TrainerControl()
    watch._judge(judge_probe(probed(0.5), None, Monitor(), share=0.5), state, control)
    assert remedy in said[0]


def test_stops_only_where_it_is_told_to() -> None:
    high = probed(0.5)
    assert not judge_probe(high, None, Monitor(action="warn")).stops  # type: ignore[union-attr]  # it is one
    assert judge_probe(high, None, Monitor(action="stop")).stops  # type: ignore[union-attr]  # it is one


@pytest.mark.parametrize("cls", ["empty", "unclosed", "answer_in_think", "no_answer"])
def test_names_the_class_of_most_generations_and_its_remedy(cls: str) -> None:
    found = judge_generation(written(**{"ok": 4, cls: 12}), Monitor(), share=0.5)
    assert found is not None
    assert found.cls == cls
    assert found.remedy


def test_is_content_with_a_student_that_mostly_thinks() -> None:
    assert judge_generation(written(ok=13, unclosed=3), Monitor(), share=0.5) is None


def test_counts_what_each_budget_cuts_and_how_long_the_thinking_is() -> None:
    found = written(ok=2, unclosed=2)
    assert found.truncated == {8: 4, 10: 2}
    assert found.classes["ok"] == 2
    low, high = found.intervals["ok"]
    assert 0.1 < low < 0.5 < high < 0.9
    assert found.thinking[1] > 0


def test_says_how_many_answers_are_right_where_there_is_a_reference() -> None:
    said = ["so</think>\n\n\\boxed{4}", "so</think>\n\n5", "it is 4", "so</think>\n\n4", "so</think>\n\nB"]
    references = [MathAnswer("4"), MathAnswer("4"), MathAnswer("4"), None, ChoiceAnswer("B")]
    texts = [(text, 9, True) for text in said]
    held = [Held((1,), opened=True, reference=reference) for reference in references]
    right = monitor.judge(texts, held, TAGS)
    assert right == (True, False, False, None, True)
    found = monitor.classify(texts, held, tiny.tiny_tokenizer(), TAGS, (8,), (3, 4, 5), 6, right)
    assert (found.right, found.judged) == (2, 4)
    assert found.accuracy[0] < 0.5 < found.accuracy[1]


def test_measures_the_probabilities_that_the_model_gives() -> None:
    tokenizer = tiny.tiny_tokenizer()
    model = tiny.tiny_model(vocabulary=len(tokenizer)).eval()
    prompt = tuple(tokenizer("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n")["input_ids"])

    def chained(before: str, text: str) -> float:
        start = [*prompt, *tokenizer(before)["input_ids"]] if before else list(prompt)
        tokens = tokenizer(text)["input_ids"]
        spoken = model(input_ids=torch.tensor([start + tokens])).logits[0].detach().log_softmax(-1)
        return float(sum(spoken[len(start) - 1 + at, token] for at, token in enumerate(tokens)).exp())

    thinking, closing = tokenizer("so it is")["input_ids"], tokenizer("\n</think>\n\n")["input_ids"]
    before = tuple(tokenizer("<think>\n")["input_ids"])
    held = Held(prompt, opened=False, before=before, thinking=tuple(thinking), closing=tuple(closing))
    loss.install(model)
    attention.use(model)
    found = monitor.probe(model, tokenizer, [held], TAGS, 0)
    assert found.open == pytest.approx(chained("", "<think"), rel=1e-4)
    assert found.close == pytest.approx(chained("<think>\nso it is", "\n</think>\n"), rel=1e-4)
    ways = ["</think", "\n</think", "\n\n</think"]
    assert found.close_at_once <= sum(chained("<think>\n", way) for way in ways) + 1e-9


def test_takes_prompts_of_rows_that_think(tmp_path: Path) -> None:
    from tests.test_train import sums
    from tracegen.train.prepare import prepare
    from tracegen.train.sources import rows

    sums(tmp_path / "sums.jsonl", 20)
    from tracegen.student import TrainSource

    train = Train(model="", data=(TrainSource(path="sums.jsonl"),))
    tokenizer = tiny.tiny_tokenizer()
    found = prepare(train, tokenizer, rows(train, tmp_path))
    held = monitor.held_prompts(found.examples, tokenizer, TAGS, 5)
    assert len(held) == 5
    assert tokenizer.decode(held[0].prompt).endswith("assistant\n")
    assert tokenizer.decode(held[0].before) == "<think>\n"
    assert tokenizer.decode(held[0].closing) == "\n</think>\n\n"
    assert not held[0].opened


def test_draws_a_page_without_scripts_or_the_net(tmp_path: Path) -> None:
    import msgspec

    watched = [{"kind": "probe", **msgspec.to_builtins(probed(0.1, step=step))} for step in (0, 5, 10)] + [
        {
            "kind": "generation",
            **json.loads(msgspec.json.encode(written(ok=3, empty=1))),
            "right": 2,
            "judged": 4,
        }
    ]
    page = report.render("a <b>", [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}], watched, [])
    assert "a &lt;b&gt;" in page
    assert "<script" not in page and "http:" not in page and "https:" not in page
    assert page.count("<polyline") >= 5
    assert "right: 2 of 4" in page
