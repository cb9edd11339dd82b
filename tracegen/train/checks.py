"""What is checked before a student is trained, and at every start: numbers, a verdict, what to do.

A `Finding` refuses where the wrong thing would be trained, warns where it might, and says the numbers where
all is well. The checks of the data are pure functions of what was prepared; those that need the model are
`packing` and `head`, and the timed step is `cost`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from tracegen.data import Struct
from tracegen.errors import UserError
from tracegen.student import Kd, Logits, Train
from tracegen.train.example import CODES, Example
from tracegen.train.prepare import Prepared
from tracegen.train.render import Treatment
from tracegen.train.schedule import Schedule

if TYPE_CHECKING:
    from rich.table import Table

Level = Literal["ok", "warn", "refuse"]
KL_LIMIT = 1e-3
"""Nats by which a row may differ, in the mean, between a pack and alone."""
FEW_STEPS = 8
"""Optimizer steps below which the learning rate hardly leaves its warm-up."""
DROPPED_SHARE = 0.2
SAMPLE = 64


class Finding(Struct, frozen=True):
    """The result of one check."""

    name: str
    verdict: Level
    says: str
    numbers: dict[str, float | str] = {}
    remedy: str = ""


def template(treatment: Treatment, prepared: Prepared) -> Finding:
    """What the student's own chat template does with thinking, and whether its rows are what it renders."""
    numbers: dict[str, float | str] = {
        "inline": treatment.inline,
        "field": treatment.field,
        "history": treatment.history,
        "without thinking": treatment.no_thinking,
        "generation prompt": treatment.generation,
        "prompt supplies": treatment.supplies,
        "inserts": treatment.inserts,
        "rows it renders otherwise": len(prepared.unfaithful),
    }
    if treatment.generation.strip() in ("", treatment.eot.strip()):
        return Finding(
            "template",
            "refuse",
            "the chat template has no generation prompt: the student would not know that it is its turn",
            numbers,
            "give a template that honours add_generation_prompt as train.template",
        )
    if treatment.supplies == "empty_block" and any(
        CODES["think"] in one.regions for one in prepared.examples
    ):
        return Finding(
            "template",
            "refuse",
            "the generation prompt closes the thinking before it begins",
            numbers,
            "set train.template_options, such as { enable_thinking = true }",
        )
    bad = {
        way: fate
        for way, fate in (("inline", treatment.inline), ("field", treatment.field))
        if fate != "kept"
    }
    said = ", ".join(f"{way} {fate}" for way, fate in bad.items()) or "thinking is kept"
    if treatment.way == "parts":
        return Finding(
            "template",
            "warn",
            f"the chat template does not keep the thinking of a turn ({said}); rows are put together from "
            "the generation prompt and the tags",
            numbers,
            "nothing, if the student is served through its generation prompt; a trainer that renders whole "
            "conversations would lose the thinking",
        )
    return Finding("template", "ok", f"given as {treatment.way}; {said}", numbers)


def round_trip(tokenizer: Any, examples: Sequence[Example], prepared: Prepared) -> Finding:
    """Whether the ids decode to the text, and the text encodes to the same ids again."""
    step = max(1, len(examples) // SAMPLE)
    sample = examples[::step][:SAMPLE]
    again = 0
    for example in sample:
        text = tokenizer.decode(example.ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        again += list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) == list(
            example.ids
        )
    wrong = sum(len(ids) for why, ids in prepared.dropped.items() if "decode" in why or "cover" in why)
    numbers: dict[str, float | str] = {
        "sample": len(sample),
        "same ids again": again,
        "respaced": len(prepared.respaced),
        "left out": wrong,
    }
    if wrong:
        return Finding(
            "round trip",
            "warn",
            f"{wrong} rows decode to another text than they have, and are left out",
            numbers,
            "look at them with `tracegen mask`",
        )
    return Finding(
        "round trip", "ok", f"{again} of {len(sample)} texts encode to the same ids again", numbers
    )


def stop(tokenizer: Any, ends: Sequence[int], examples: Sequence[Example], train: Train) -> Finding:
    """Whether rows end in a trained token that ends generation. `ends`: of the generation config."""
    code = CODES["eot"]
    finals: dict[int, int] = {}
    for example in examples:
        trained = [
            token
            for token, region, weight in zip(example.ids, example.regions, example.weights, strict=True)
            if region == code and weight > 0
        ]
        for token in trained:
            finals[token] = finals.get(token, 0) + 1
    known = {*ends, *([tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else [])}
    stopping = sum(count for token, count in finals.items() if token in known)
    names = {str(tokenizer.convert_ids_to_tokens(token)): float(count) for token, count in finals.items()}
    numbers: dict[str, float | str] = {"rows": len(examples), "trained to stop": stopping, **names}
    if stopping >= len(examples):
        return Finding("end of turn", "ok", f"{len(examples)} of {len(examples)} rows train the end", numbers)
    if finals and not stopping:
        return Finding(
            "end of turn",
            "warn",
            f"rows end in {', '.join(names)}, which the model's generation config does not stop at",
            numbers,
            "nothing: the saved generation config will stop at it",
        )
    level: Level = "warn" if train.weights.get("eot") == 0.0 or stopping else "refuse"
    return Finding(
        "end of turn",
        level,
        f"only {stopping} of {len(examples)} rows train a token that ends the turn",
        numbers,
        "raise train.weights.eot above 0, or mend the template's end of turn",
    )


def padding(tokenizer: Any) -> Finding:
    """Pad and EOS may be one here: nothing is masked by its id."""
    same = tokenizer.pad_token_id is not None and tokenizer.pad_token_id == tokenizer.eos_token_id
    says = "pad is the end of turn, which is harmless here: tokens are masked by place" if same else "apart"
    return Finding("padding", "ok", says, {"pad": str(tokenizer.pad_token), "eos": str(tokenizer.eos_token)})


def rows(prepared: Prepared, train: Train) -> Finding:
    """What is trained on, and what is left out and why."""
    left = {why: len(ids) for why, ids in sorted(prepared.dropped.items())}
    out, kept = sum(left.values()), len(prepared.examples)
    numbers: dict[str, float | str] = {
        "examples": kept,
        "tokens": prepared.tokens,
        "trained": prepared.trained,
    }
    numbers |= {f"left out: {why}": count for why, count in left.items()}
    numbers["cut"] = len(prepared.cut)
    said = f"{kept} rows, {prepared.trained} of {prepared.tokens} tokens trained"
    long = left.get(f"over {train.max_tokens} tokens", 0)
    if prepared.cut and train.over_length == "cut":
        return Finding(
            "rows",
            "warn",
            f"{said}; {len(prepared.cut)} rows are cut at {train.max_tokens} tokens and may lose their end",
            numbers,
            'raise train.max_tokens, or set train.over_length = "drop"',
        )
    if out > DROPPED_SHARE * (out + kept):
        why = max(left, key=lambda key: left[key])
        return Finding(
            "rows",
            "warn",
            f"{said}; {out} of {out + kept} rows are left out, most often: {why}",
            numbers,
            "raise train.max_tokens" if long == left[why] else "mend the source or its columns",
        )
    return Finding("rows", "ok", f"{said}; {out} of {out + kept} rows left out", numbers)


def untrained(examples: Sequence[Example]) -> Finding:
    """Rows in which no token has a weight."""
    idle = [example.id for example in examples if not any(weight > 0 for weight in example.weights)]
    if idle:
        return Finding(
            "trained tokens",
            "refuse",
            f"{len(idle)} of {len(examples)} rows train no token, such as {idle[0]}",
            {"rows": len(idle)},
            "raise train.weights of a region that they have",
        )
    return Finding("trained tokens", "ok", "every row trains at least one", {"rows": 0})


def thinking(prepared: Prepared, train: Train) -> Finding:
    """Whether there is thinking to train on, and that no inserted empty block is trained."""
    kept, empty = len(prepared.examples), prepared.empty
    share = prepared.empty_trained / kept if kept else 0.0
    numbers: dict[str, float | str] = {
        "with thinking": kept - empty,
        "without": empty,
        "empty blocks trained": prepared.empty_trained,
    }
    if kept == empty and train.preset != "answer_only":
        return Finding(
            "thinking",
            "refuse",
            "no row has any thinking",
            numbers,
            'name the columns of the thinking in train.data, or set train.preset = "answer_only"',
        )
    if prepared.empty_trained:
        chosen = train.empty_think == "train"
        return Finding(
            "thinking",
            "warn" if chosen else "refuse",
            f"the empty block of {prepared.empty_trained} of {kept} rows is trained ({share:.1%}): "
            "the student learns to close at once",
            numbers,
            'set train.empty_think = "mask"',
        )
    return Finding(
        "thinking", "ok", f"{kept - empty} of {kept} rows think; no empty block is trained", numbers
    )


def delimiters(prepared: Prepared, train: Train) -> Finding:
    """Where the loss lies, and that the closing tag has a part of it."""
    mass = sum(prepared.by_region.values()) or 1.0
    numbers: dict[str, float | str] = {
        f"share of {region}": round(weight / mass, 4)
        for region, weight in prepared.by_region.items()
        if weight
    }
    numbers |= {
        f"share of source {name}": round(weight / mass, 4) for name, weight in prepared.by_source.items()
    }
    thinks = prepared.by_region.get("think", 0.0) > 0
    if thinks and not prepared.by_region.get("close"):
        return Finding(
            "weights",
            "refuse",
            "the thinking is trained and its closing tag is not: the student would never close",
            numbers,
            "raise train.weights.close above 0",
        )
    if prepared.empty < len(prepared.examples) and not prepared.by_region.get("close"):
        return Finding(
            "weights",
            "ok" if train.preset == "answer_only" or train.stages else "warn",
            "the closing tag is not trained: a student that opens its thinking never closes it",
            numbers,
            'set train.preset = "exclude", which keeps the delimiters',
        )
    shown = ", ".join(
        f"{region} {weight / mass:.0%}" for region, weight in prepared.by_region.items() if weight
    )
    return Finding("weights", "ok", f"loss mass: {shown}", numbers)


def soft_targets(prepared: Prepared, train: Train) -> Finding | None:
    """For `method = "kd"`: how many tokens have a teacher's word. None for the other methods."""
    if not isinstance(train.method, Kd):
        return None
    with_soft = sum(example.soft is not None for example in prepared.examples)
    numbers: dict[str, float | str] = {
        "rows with distributions": with_soft,
        "rows of another tokenizer": len(prepared.unaligned),
        "rows": len(prepared.examples),
    }
    if not with_soft:
        other = len(prepared.unaligned)
        return Finding(
            "soft targets",
            "refuse",
            f"no row has a distribution of a teacher with this tokenizer ({other} have one of another)",
            numbers,
            'build the dataset with logprobs of a teacher of its family, or set train.method.kind = "sft"',
        )
    missing = len(prepared.examples) - with_soft
    level: Level = "warn" if missing else "ok"
    return Finding(
        "soft targets",
        level,
        f"{with_soft} of {len(prepared.examples)} rows have a teacher's distribution",
        numbers,
        f"{missing} rows are plain cross-entropy" if missing else "",
    )


def same_tokenizer(student: str, teacher: str, train: Train) -> Finding | None:
    """For `method = "logits"`: the hashes of both tokenizers. None for the other methods."""
    if not isinstance(train.method, Logits):
        return None
    numbers: dict[str, float | str] = {"student": student, "teacher": teacher}
    if student != teacher:
        return Finding(
            "teacher's tokenizer",
            "refuse",
            f"the tokenizer of {train.method.teacher} is not the student's: their logits are of other tokens",
            numbers,
            'take a teacher of the same family, or train on its traces with train.method.kind = "sft"',
        )
    return Finding("teacher's tokenizer", "ok", "the same as the student's", numbers)


def steps(schedule: Schedule, tokens: int, train: Train) -> Finding:
    """How many optimizer steps there will be."""
    numbers: dict[str, float | str] = {
        "steps": schedule.steps,
        "tokens": tokens,
        "per step": train.batch_tokens,
    }
    if schedule.steps < FEW_STEPS:
        return Finding(
            "steps",
            "warn",
            f"{schedule.steps} optimizer steps in all: little will be learned",
            numbers,
            f"lower train.batch_tokens ({train.batch_tokens}) or raise train.epochs ({train.epochs:g})",
        )
    return Finding("steps", "ok", f"{schedule.steps} optimizer steps", numbers)


def packing(model: Any, examples: Sequence[Example]) -> tuple[Finding, str]:
    """Two documents in a pack against the same alone, and the attention that keeps them apart.

    Tries attention by document, then the block mask of transformers. Returns the name of the attention that
    passed; the finding refuses where none does.
    """
    import torch

    from tracegen.train.attention import NAME, NotServedError, use
    from tracegen.train.trainer import packed

    first, second = (_shortened(example) for example in (examples[0], examples[-1]))
    batch = packed([first, second])
    inputs = {name: batch[name].to(model.device) for name in ("input_ids", "position_ids")}
    numbers: dict[str, float | str] = {}
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            model.set_attn_implementation("sdpa")
            alone = (
                model(input_ids=inputs["input_ids"][:, len(first.ids) :], use_cache=False)
                .logits[0]
                .float()
                .log_softmax(-1)
            )
            for name in (NAME, "sdpa"):
                use(model) if name == NAME else model.set_attn_implementation(name)
                extra = {"documents": batch["documents"]} if name == NAME else {}
                try:
                    found = model(**inputs, **extra, use_cache=False).logits[0, len(first.ids) :]
                except (NotServedError, TypeError, RuntimeError):
                    continue
                found = found.float().log_softmax(-1)
                kl = float((alone.exp() * (alone - found)).sum(-1).mean())
                numbers[f"KL with {name}"] = kl
                if abs(kl) < KL_LIMIT:
                    says = f"a packed row differs from the same alone by {abs(kl):.1e} nats"
                    return Finding("packing", "ok", says, numbers), name
    finally:
        model.train(training)
    return Finding(
        "packing",
        "refuse",
        "rows in one pack see each other: this model does not keep them apart by their positions",
        numbers,
        "set train.packing = false",
    ), "sdpa"


def _shortened(example: Example, size: int = 96) -> Example:
    return msgspec.structs.replace(
        example, ids=example.ids[:size], weights=example.weights[:size], regions=example.regions[:size]
    )


def head(chunked: bool, vocabulary: int, tokens: int) -> Finding:
    """Whether the logits are made chunk by chunk, or what those of a pack would take."""
    size = tokens * vocabulary * 4 / 2**30
    if chunked or size < 1:
        return Finding("logits", "ok", "made in chunks" if chunked else f"{size:.2f} GiB a pack")
    return Finding(
        "logits",
        "warn",
        f"the model does more to its logits than its head, so a pack has them at once: {size:.1f} GiB",
        {"GiB": round(size, 2)},
        "lower train.device_tokens",
    )


def cost(seconds: float, tokens: int, all_tokens: int, used: int, available: int, states: int) -> Finding:
    """Time and memory from a timed step: `seconds` for `tokens`, of `all_tokens` to come; in bytes, what the
    step has taken at most, what there is, and what the optimizer's states and gradients will add."""
    minutes = seconds / max(1, tokens) * all_tokens / 60
    needed = used + states
    numbers: dict[str, float | str] = {
        "tokens per second": round(tokens / max(seconds, 1e-9), 1),
        "minutes": round(minutes, 1),
        "GiB needed": round(needed / 2**30, 2),
        "GiB there": round(available / 2**30, 2),
    }
    said = f"about {minutes:,.1f} minutes and {needed / 2**30:.1f} of {available / 2**30:.1f} GiB"
    if needed > available:
        return Finding(
            "cost",
            "warn",
            f"{said}: it may not fit",
            numbers,
            "lower train.device_tokens, set train.gradient_checkpointing, or train with train.lora",
        )
    return Finding("cost", "ok", said, numbers)


# --- showing


def refuse(findings: Sequence[Finding]) -> None:
    """Raises UserError, on one line, where a finding refuses."""
    refused = [finding for finding in findings if finding.verdict == "refuse"]
    if refused:
        raise UserError("; ".join(f"{one.name}: {one.says} - {one.remedy}" for one in refused))


def to_json(findings: Sequence[Finding]) -> str:
    """The findings as indented JSON."""
    return json.dumps(msgspec.to_builtins(list(findings)), indent=2, ensure_ascii=False)


def to_table(findings: Sequence[Finding]) -> Table:
    """The findings as a table for the terminal."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table("check", "verdict", "finding", "what to do", box=None, pad_edge=False)
    colour = {"ok": "green", "warn": "yellow", "refuse": "red"}
    for one in findings:
        verdict = f"[{colour[one.verdict]}]{one.verdict}[/]"
        shown.add_row(one.name, verdict, escape(one.says), escape(one.remedy))
    return shown
