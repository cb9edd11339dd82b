"""Regions and weights …"""

from __future__ import annotations

import copy
import itertools
import random
import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import students
from tracegen.data import Logprobs
from tracegen.errors import UserError
from tracegen.student import Stage, TrainSource
from tracegen.teachers.distribution import tokenizer_hash
from tracegen.train.example import REGIONS, Example
from tracegen.train.pack import collate, collate_padded, pack
from tracegen.train.prepare import NO_SHARE, Prepared, prepare, split
from tracegen.train.render import Template
from tracegen.train.sources import Row

HERE = Path(__file__).parent / "cases"
NAMES = list(students.cases())


class Text(msgspec.Struct, frozen=True):
    """A row of the golden cases."""

    id: str
    question: str
    thinking: str | None
    answer: str


class Golden(msgspec.Struct, frozen=True):
    """What a row becomes under a chat template: text of each region with its weight."""

    template: str
    row: str
    regions: tuple[tuple[str, float, str], ...]
    """The prompt's is only its end, after an ellipsis."""
    straddlers: tuple[str, ...]
    options: dict[str, bool | str]


def lines(name: str, type_: Any) -> list[Any]:
    return [msgspec.json.decode(line, type=type_) for line in (HERE / name).read_bytes().splitlines()]


ROWS = {text.id: text for text in lines("template_rows.jsonl", Text)}
GOLDEN = lines("template_regions.jsonl", Golden)


def row_of(text: Text) -> Row:
    return students.row(text.id, text.question, thinking=text.thinking, answer=text.answer)


def made(name: str, *rows: Row, stage: Stage | None = None, **changes: Any) -> Prepared:
    return prepare(students.train(**changes), students.tokenizer(name), rows, stage)


def only(name: str, row: Row, **changes: Any) -> Example:
    (example,) = made(name, row, **changes).examples
    return example


def runs(name: str, ids: Any, regions: Any, weights: Any) -> list[tuple[str, float, str]]:
    """Decoded text of each run of tokens with one region and weight."""
    tokenizer = students.tokenizer(name)
    found = []
    for (code, weight), run in itertools.groupby(range(len(ids)), lambda i: (regions[i], float(weights[i]))):
        text = tokenizer.decode([int(ids[i]) for i in run], skip_special_tokens=False)
        found.append((REGIONS[code], weight, text))
    return found


def agree(found: list[tuple[str, float, str]], golden: Golden) -> None:
    (_, weight, ending), *others = golden.regions
    assert found[0][:2] == ("prompt", weight)
    assert found[0][2].endswith(ending.removeprefix("…"))
    assert found[1:] == others


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda one: f"{one.template}-{one.row}-{len(one.options)}")
def test_cut_real_chat_templates(golden: Golden) -> None:
    row = row_of(ROWS[golden.row])
    example = only(golden.template, row, template_options=golden.options, lead=1.0)
    agree(runs(golden.template, example.ids, example.regions, example.weights), golden)
    tokenizer = students.tokenizer(golden.template)
    assert tuple(tokenizer.decode([example.ids[i]]) for i in example.straddlers) == golden.straddlers


@pytest.mark.parametrize("name", NAMES)
def test_are_the_same_when_packed(name: str) -> None:
    goldens = [one for one in GOLDEN if one.template == name and not one.options]
    examples = made(name, *(row_of(ROWS[one.row]) for one in goldens), lead=1.0).examples
    batch = collate(examples, range(len(examples)))
    positions = batch["position_ids"][0].tolist()
    starts = [index for index, position in enumerate(positions) if position == 0]
    assert len(starts) == len(examples)
    assert positions == [position for one in examples for position in range(len(one.ids))]
    for golden, example, start in zip(goldens, examples, starts, strict=True):
        place = slice(start, start + len(example.ids))
        ids, weights = batch["input_ids"][0][place], batch["weights"][0][place]
        agree(runs(name, ids, example.regions, weights), golden)
        labels = batch["labels"][0][place].tolist()
        assert labels == [id_ if w else -100 for id_, w in zip(ids.tolist(), weights.tolist(), strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_are_a_partition_of_a_text_that_decodes(name: str) -> None:
    draw = random.Random(name)
    tokenizer = students.tokenizer(name)
    pieces = [
        ".",
        "!",
        ">",
        "</",
        "\n",
        "\n\n",
        " ",
        "  ",
        "The",
        "é",
        "🙂",
        "數",
        "\\boxed{1}",
        "<b>",
        "\t",
        "e\u0301",
    ]
    rows = []
    for number in range(40):
        thinking, answer = ("".join(draw.choices(pieces, k=draw.randint(1, 12))) for _ in range(2))
        empty = draw.random() < 0.25
        rows.append(
            students.row(str(number), thinking=None if empty else f"T{thinking}", answer=f"A{answer}")
        )
    options = {"enable_thinking": True} if name == "qwen3_5_nothink" else {}
    prepared = made(name, *rows, template_options=options, preset=draw.choice(["include", "anti_collapse"]))
    assert len(prepared.examples) == len(rows)
    assert not prepared.respaced
    for row, example in zip(rows, prepared.examples, strict=True):
        assert example.ids.itemsize == example.weights.itemsize == 4
        assert len(example.ids) == len(example.weights) == len(example.regions)
        assert list(example.regions) == sorted(example.regions)
        trained = [
            w for w, code in zip(example.weights, example.regions, strict=True) if REGIONS[code] == "prompt"
        ]
        assert not any(trained)
        text = tokenizer.decode(example.ids, skip_special_tokens=False)
        ending = unicodedata.normalize("NFC", row.answer) if "qwen" in name or "r1" in name else row.answer
        assert ending.strip() in text


@pytest.mark.parametrize("name", NAMES)
def test_begin_with_the_ids_that_a_server_sends(name: str) -> None:
    tokenizer = students.tokenizer(name)
    options = {"enable_thinking": True} if name == "qwen3_5_nothink" else {}
    template = Template(tokenizer, students.train(template_options=options))
    rows = [row_of(text) for text in ROWS.values()]
    prepared = made(name, *rows, template_options=options, empty_think="train")
    for row, example in zip(rows, prepared.examples, strict=True):
        served = tokenizer(template.prompt(row.turns), add_special_tokens=False)["input_ids"]
        assert list(example.ids[: len(served)]) == served
        assert set(example.regions[: len(served)]) == {0}
    assert prepared.inside == (("plain",) if template.treatment.supplies == "open" else ())


def sentencepiece(prefixed: bool) -> Any:
    """A tokenizer of the Gemma kind, or of the Llama 2 kind that puts a space before its text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    spaces = normalizers.Replace(" ", "▁")
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces]) if prefixed else spaces
    stripped = [decoders.Strip(" ", 1, 0)] if prefixed else []
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *stripped]
    )
    known = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=known, show_progress=False)
    backend.train_from_iterator(
        [f"{text.thinking} {text.answer}\nThe" for text in ROWS.values()] * 9, trainer
    )
    ends = ["<start_of_turn>", "<end_of_turn>"]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ends])
    made = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end_of_turn>")
    made.chat_template = (
        "{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>assistant\n{% endif %}"
    )
    return made


@pytest.mark.parametrize("prefixed", [False, True], ids=["gemma", "llama2"])
def test_cut_vocabularies_that_are_not_made_of_bytes(prefixed: bool) -> None:
    tokenizer = sentencepiece(prefixed)
    rows = [row_of(text) for text in ROWS.values()]
    prepared = prepare(students.train(preset="answer_only"), tokenizer, rows)
    assert not prepared.dropped
    assert (len(prepared.respaced) == len(rows)) == prefixed
    for row, example in zip(rows, prepared.examples, strict=True):
        answer = [
            i for i, code in zip(example.ids, example.regions, strict=True) if REGIONS[code] == "answer"
        ]
        assert tokenizer.decode(answer).split() == row.answer.split()


def test_count_bytes_where_offsets_are_trimmed() -> None:
    from tokenizers.processors import ByteLevel

    tokenizer = copy.deepcopy(students.tokenizer("qwen2_5"))
    tokenizer.backend_tokenizer.post_processor = ByteLevel(trim_offsets=True)
    rows = [row_of(text) for text in ROWS.values()]
    trimmed = tokenizer("a b", return_offsets_mapping=True)["offset_mapping"]
    assert trimmed == [(0, 1), (2, 3)]
    assert prepare(students.train(), tokenizer, rows).examples == made("qwen2_5", *rows).examples


def test_weigh_nothing_that_the_generation_prompt_supplies() -> None:
    example = only("qwen3_5_think", students.row(), weights={"prompt": 3.0}, preset="include")
    text = students.tokenizer("qwen3_5_think").decode(example.ids)
    prompt = text.index("<think>") + len("<think>\n")
    shown = [
        students.tokenizer("qwen3_5_think").decode(example.ids[: i + 1]) for i in range(len(example.ids))
    ]
    assert all(not w for w, seen in zip(example.weights, shown, strict=True) if len(seen) <= prompt)


# --- presets and rows


def masses(example: Example) -> dict[str, set[float]]:
    """The weights that occur in each region."""
    found: dict[str, set[float]] = {}
    for code, weight in zip(example.regions, example.weights, strict=True):
        found.setdefault(REGIONS[code], set()).add(weight)
    return found


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("include", {"open": {1}, "think": {1}, "close": {1}, "answer": {1}, "eot": {1}}),
        ("exclude", {"open": {1}, "think": {0}, "close": {1}, "answer": {1}, "eot": {1}}),
        ("answer_only", {"open": {0}, "think": {0}, "close": {0}, "answer": {1}, "eot": {1}}),
        ("anti_collapse", {"open": {1}, "think": {4, 1}, "close": {5}, "answer": {1}, "eot": {1}}),
    ],
)
def test_follow_the_preset(preset: str, expected: dict[str, set[float]]) -> None:
    assert masses(only("qwen2_5", students.row(), preset=preset)) == {"prompt": {0}, **expected}


def test_override_the_preset_and_a_stage_overrides_both() -> None:
    changes: dict[str, Any] = {"preset": "exclude", "weights": {"think": 0.5, "eot": 2.0}}
    assert masses(only("qwen3", students.row(), **changes))["think"] == {0.5}
    stage = Stage(weights={"eot": 4.0})
    assert masses(only("qwen3", students.row(), stage=stage, **changes))["eot"] == {4.0}
    assert masses(only("qwen3", students.row(), stage=stage, **changes))["think"] == {0.5}
    fresh = masses(only("qwen3", students.row(), stage=Stage(preset="answer_only"), **changes))
    assert fresh["think"] == {0.0}
    assert fresh["eot"] == {1.0}


def test_give_a_token_over_a_boundary_to_the_larger_weight() -> None:
    def owner(**weights: float) -> str:
        example = only("qwen2_5", students.row(), preset="include", weights=weights)
        (index,) = example.straddlers
        return REGIONS[example.regions[index]]

    assert owner(think=1.0, close=5.0) == "close"
    assert owner(think=2.0, close=1.0) == "think"
    assert owner(think=1.0, close=1.0) == "close"


@pytest.mark.parametrize(
    ("first", "last", "expected"), [(3, 0, 3), (0, 4, 4), (3, 4, 7), (900, 0, 29), (9, 900, 29)]
)
def test_train_the_first_and_last_thinking_tokens(first: int, last: int, expected: int) -> None:
    example = only("smollm2", students.row(), think_first=first, think_last=last, lead=1.0)
    thinking = [
        w for w, code in zip(example.weights, example.regions, strict=True) if REGIONS[code] == "think"
    ]
    assert len(thinking) == 29
    assert sum(thinking) == expected
    assert thinking[: min(first, 29)] == [1.0] * min(first, 29)
    assert thinking[len(thinking) - min(last, 29) :] == [1.0] * min(last, 29)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [4.0] * 8 + [1.0] * 21),
        ({"preset": "include"}, [1.0] * 29),
        ({"preset": "exclude", "lead": 4.0}, [0.0] * 29),
        ({"lead": 1.0}, [1.0] * 29),
        ({"lead": 2.0, "lead_tokens": 3, "weights": {"think": 3.0}}, [6.0] * 3 + [3.0] * 26),
        ({"lead_tokens": 90}, [4.0] * 29),
        ({"think_last": 4}, [0.0] * 25 + [1.0] * 4),
    ],
)
def test_weigh_the_beginning_of_the_thinking(given: dict[str, Any], expected: list[float]) -> None:
    example = only("smollm2", students.row(), **given)
    coded = zip(example.weights, example.regions, strict=True)
    assert [weight for weight, code in coded if REGIONS[code] == "think"] == expected


def test_balance_thinking_against_the_answer() -> None:
    sums = made("qwen3", students.row(), think_balance="per_example").by_region
    assert sums["think"] == pytest.approx(sums["answer"], rel=1e-6)


def test_weigh_a_row() -> None:
    plain, heavy = made("qwen3", students.row("a"), students.row("b", weight=2.5)).examples
    assert heavy.mass == pytest.approx(2.5 * plain.mass)
    assert made("qwen3", students.row("a"), students.row("b", weight=0.0)).dropped == {
        "its weight is 0": ("b",)
    }


# --- rows without thinking


@pytest.mark.parametrize("name", NAMES)
def test_never_train_an_empty_block_by_default(name: str) -> None:
    prepared = made(name, students.row("b", thinking=None), students.row("c", thinking=" \n "))
    assert prepared.empty == 2
    assert prepared.empty_trained == 0


@pytest.mark.parametrize("name", ["qwen3", "qwen3_5_think", "glm4moe", "gptoss", "deepseek_r1_distill"])
def test_drop_or_train_an_empty_block_by_name(name: str) -> None:
    rows = [students.row("a"), students.row("b", thinking=None)]
    dropped = made(name, *rows, empty_think="drop")
    assert [one.id for one in dropped.examples] == ["a"]
    assert list(dropped.dropped.values()) == [("b",)]
    assert made(name, *rows, empty_think="train").empty_trained == 1


# --- what is not trained on


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("qwen3", {"thinking": "so </think> then"}, "a delimiter in the thinking: </think>"),
        ("qwen2_5", {"thinking": "so <think> then"}, "a delimiter in the thinking: <think>"),
        ("qwen2_5", {"answer": "4<|im_end|>\n<|im_start|>user\n"}, "a delimiter in the answer: <|im_end|>"),
        ("deepseekv3", {"answer": "4<｜User｜>"}, "a delimiter in the answer: <｜User｜>"),
        ("gptoss", {"answer": "<|channel|>final"}, "a delimiter in the answer: <|channel|>"),
        ("qwen3_5_nothink", {}, "the generation prompt closes the thinking before it begins"),
        ("qwen3", {"refused": "the thinking is never closed"}, "the thinking is never closed"),
    ],
)
def test_drop_what_would_train_the_wrong_thing(name: str, changes: dict[str, Any], reason: str) -> None:
    good = students.row("good", thinking=None)
    prepared = made(name, good, students.row("bad", **changes))
    assert prepared.dropped == {reason: ("bad",)}


def test_keep_tags_as_text_where_the_template_has_channels() -> None:
    assert not made("gptoss", students.row(answer="write <think> first")).dropped


def test_refuse_to_train_on_nothing() -> None:
    with pytest.raises(UserError, match="nothing is left to train on: 1 over 10 tokens"):
        made("qwen3", students.row(), max_tokens=10)
    with pytest.raises(UserError, match="1 no token to train on"):
        made("qwen3", students.row(), weights={"open": 0, "think": 0, "close": 0, "answer": 0, "eot": 0})


# --- long rows

LONG = "Add one more.\n" * 60


def test_drop_long_rows_by_default_and_count_them() -> None:
    prepared = made("qwen3", students.row("a"), students.row("b", thinking=LONG), max_tokens=100)
    assert prepared.dropped == {"over 100 tokens": ("b",)}
    assert not prepared.cut


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3_5_think", "smollm2", "gptoss"])
@pytest.mark.parametrize("limit", [150, 171, 200])
def test_cut_thinking_but_keep_the_answer(name: str, limit: int) -> None:
    prepared = made(
        name, students.row("b", thinking=LONG), max_tokens=limit, over_length="keep_think_mask_close"
    )
    (example,) = prepared.examples
    assert prepared.cut == ("b",)
    assert limit - 8 <= len(example.ids) <= limit
    assert masses(example).get("close", {0.0}) == {0.0}
    assert not any(example.weights[index] for index in example.straddlers), "nor the edge of that tag"
    found = runs(name, example.ids, example.regions, example.weights)
    assert found[-2][2] == "The answer is \\boxed{42}."
    trained = "".join(text for region, weight, text in found if weight and region == "think")
    assert LONG.startswith(trained)


def test_drop_a_row_whose_prompt_and_answer_are_too_long() -> None:
    row = students.row("b", thinking=LONG, answer="x" * 400)
    prepared = made("qwen3", students.row("a"), row, max_tokens=100, over_length="keep_think_mask_close")
    assert prepared.dropped == {"over 100 tokens without its thinking": ("b",)}


def test_cut_the_end_off_only_by_name() -> None:
    prepared = made("qwen3", students.row("b", thinking=LONG), max_tokens=100, over_length="cut")
    (example,) = prepared.examples
    assert (len(example.ids), len(example.weights), len(example.regions)) == (100, 100, 100)
    assert prepared.cut == ("b",)
    assert "eot" not in masses(example)


# --- mix-in and split


def test_cut_a_source_down_to_its_share_of_the_loss() -> None:
    rows = [students.row(f"a{i}", source="main") for i in range(60)]
    rows += [students.row(f"b{i}", source="mix", thinking=None) for i in range(600)]
    data = (TrainSource(path="main"), TrainSource(path="mix", share=0.25))
    prepared = made("qwen3", *rows, data=data)
    assert prepared.by_source["mix"] / sum(prepared.by_source.values()) == pytest.approx(0.25, abs=0.005)
    left = prepared.dropped[NO_SHARE]
    assert len(left) + len(prepared.examples) == 660
    same = made("qwen3", *rows, data=data, stage=Stage(preset="answer_only"))
    assert same.dropped[NO_SHARE] == left, "a stage trains on the same rows"
    assert made("qwen3", *rows, data=data, seed=1).dropped[NO_SHARE] != left


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.2)])
def test_refuse_shares_that_leave_nothing(shares: tuple[float, float]) -> None:
    data = tuple(TrainSource(path=name, share=share) for name, share in zip("ab", shares, strict=True))
    with pytest.raises(UserError, match="share"):
        made("qwen3", students.row(source="a"), data=data)


def test_split_by_problem() -> None:
    rows = [students.row(f"{p}-{n}", problem=f"p{p}") for p in range(50) for n in range(4)]
    examples = made("qwen3", *rows).examples
    train, held = split(examples, 0.1, 0)
    assert len(held) == 20
    assert not {one.problem for one in train} & {one.problem for one in held}
    assert split(list(reversed(examples)), 0.1, 0)[1] == tuple(reversed(held))
    assert split(examples, 0.0, 0)[1] == ()
    assert len(split(examples[:8], 0.02, 0)[1]) == 4
    assert split(examples[:4], 0.02, 0)[1] == (), "one problem alone is trained on"


# --- stored distributions


def logprobs(name: str, text: str, hash_: str = "") -> Logprobs:
    tokenizer = students.tokenizer(name)
    ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    return Logprobs(
        tokenizer=hash_ or tokenizer_hash(tokenizer),
        ids=ids,
        top_ids=tuple((id_, id_ + 1) for id_ in ids),
        top_logprobs=tuple((-0.1, -3.0) for _ in ids),
    )


def test_align_stored_distributions_by_token() -> None:
    row = students.row()
    text = f"<think>\n{row.thinking}\n</think>\n\n{row.answer}<|im_end|>"
    example = only("qwen3", msgspec.structs.replace(row, logprobs=logprobs("qwen3", text)))
    assert example.soft is not None
    assert example.soft.start + len(example.soft.ids) == len(example.ids)
    assert [ids[0] for ids in example.soft.ids] == list(example.ids)[example.soft.start :]


def test_align_around_white_space_that_was_stripped() -> None:
    row = students.row()
    text = f"<think>\n{row.thinking}\n\n\n</think>\n\n{row.answer}<|im_end|>"
    example = only("qwen3", msgspec.structs.replace(row, logprobs=logprobs("qwen3", text)))
    assert example.soft is not None
    pairs = list(zip(example.soft.ids, list(example.ids)[example.soft.start :], strict=True))
    missing = [id_ for ids, id_ in pairs if not ids]
    assert 1 <= len(missing) <= 3
    assert all(ids[0] == id_ for ids, id_ in pairs if ids)


def test_align_after_a_prefill_and_around_several_gaps() -> None:
    row = students.row()
    text = f"{row.thinking} \n\n</think>\n{row.answer}<|im_end|>"  # its prompt had opened the thinking
    example = only("qwen3", msgspec.structs.replace(row, logprobs=logprobs("qwen3", text)))
    assert example.soft is not None
    pairs = list(zip(example.soft.ids, list(example.ids)[example.soft.start :], strict=True))
    assert not pairs[0][0]
    assert sum(bool(ids) for ids, _ in pairs) >= len(pairs) - 6
    assert all(ids[0] == id_ for ids, id_ in pairs if ids)


def test_leave_out_distributions_of_another_tokenizer() -> None:
    row = students.row("x", logprobs=logprobs("qwen3", "Add", hash_="of another"))
    prepared = made("qwen3", row)
    assert prepared.examples[0].soft is None
    assert prepared.unaligned == ("x",)


def test_tell_tokenizers_apart_by_what_decides_their_ids() -> None:
    hashes = {name: tokenizer_hash(students.tokenizer(name)) for name in NAMES}
    assert hashes["qwen3"] == hashes["qwen3_5_think"] == hashes["qwen3_8"], "the template is no part of it"
    assert len({hashes[name] for name in ("qwen2_5", "qwen3", "smollm2", "deepseekv3", "gptoss")}) == 5


# --- the loss


def naive(model: Any, examples: list[Example]) -> float:
    """The loss, one example at a time."""
    import torch

    total, mass = torch.zeros((), dtype=torch.float64), 0.0
    for example in examples:
        ids = torch.tensor(list(example.ids))
        found = model(input_ids=ids[None]).logits[0].log_softmax(-1)
        for index in range(1, len(ids)):
            total = total - example.weights[index] * found[index - 1, ids[index]]
            mass += example.weights[index]
    return float(total.detach()) / mass


def loss_of(model: Any, batches: list[dict[str, Any]]) -> float:
    import torch

    total, mass = torch.zeros((), dtype=torch.float64), 0.0
    for batch in batches:
        given = {key: batch[key] for key in ("input_ids", "position_ids", "attention_mask") if key in batch}
        logits = model(**given, use_cache=False).logits[:, :-1].log_softmax(-1)
        labels, weights = batch["labels"][:, 1:], batch["weights"][:, 1:]
        picked = logits.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        total = total - (picked * weights).sum()
        mass += float(weights.double().sum())
    return float(total.detach()) / mass


def random_model(size: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config).double().eval()


@pytest.mark.parametrize("seed", range(4))
def test_make_one_loss_however_they_are_batched(seed: int) -> None:
    draw = random.Random(seed)
    words = ["Add", " 1", ".", "\n", "!", " and", "数", " x", "\n\n"]
    rows = [
        students.row(
            str(number),
            thinking=None
            if draw.random() < 0.2
            else "T" + "".join(draw.choices(words, k=draw.randint(1, 40))),
            answer="A" + "".join(draw.choices(words, k=draw.randint(1, 9))),
            weight=draw.choice([0.5, 1.0, 3.0]),
        )
        for number in range(14)
    ]
    preset = draw.choice(["include", "exclude", "anti_collapse", "answer_only"])
    examples = list(
        made("qwen2_5", *rows, preset=preset, think_balance=draw.choice(["none", "per_example"])).examples
    )
    draw.shuffle(examples)
    tokenizer = students.tokenizer("qwen2_5")
    model = random_model(len(tokenizer))
    expected = naive(model, examples)
    for capacity in (90, 256, 4096):
        packs = pack([len(one.ids) for one in examples], capacity)
        found = loss_of(model, [collate(examples, one) for one in packs])
        assert found == pytest.approx(expected, rel=1e-6)
    for size in (1, 3, 14):
        batches = [list(range(i, min(i + size, 14))) for i in range(0, 14, size)]
        found = loss_of(model, [collate_padded(examples, one, 0) for one in batches])
        assert found == pytest.approx(expected, rel=1e-6)
