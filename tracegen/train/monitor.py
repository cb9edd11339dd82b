"""The watch for a collapse of thinking while training, which no loss curve shows.

Two probes on held-out prompts. Forward only, every few steps: P(open), the probability that the student
opens its thinking, and P(close at once), that it closes what was opened without a word in it. By
generation, now and then: what becomes of the thinking (`tracegen.classes`), its length against that of the
training rows, how much is cut off at two budgets, and how many answers our verifier calls right, of the
prompts whose dataset has a reference (math and choice). A finding names the class and its remedy.

Not covered: programs, and whether a change of a few answers means anything; `tracegen evaluate` says that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers import TrainerCallback

from tracegen import classes
from tracegen.classes import Class
from tracegen.data import ChoiceAnswer, MathAnswer, Struct
from tracegen.recipe import Elicit, Verify
from tracegen.student import Monitor, Train
from tracegen.teachers.dialects import split_text
from tracegen.train import saving
from tracegen.train.attention import plain
from tracegen.train.example import CODES, Example
from tracegen.train.render import Treatment
from tracegen.verify import Verifier

BREAKS = ("", "\n", "\n\n")
"""What may stand before a closing tag that closes at once."""
UNLIKELY = 0.01
"""Probability of the first token below which a way to close at once is not looked into."""
LONGEST = 2048
"""Tokens of a thinking beyond which P(close) is not measured on it."""
CLOSES = 0.1
"""P(close) below which a student has not learned to close …"""
CLOSES_FROM = 0.4
"""… after this share of the training."""
RATE = 0.5
"""Share of the generations of one bad class above which it is a finding."""
WATCH_FROM = 0.2
"""Share of the training before which a student that does not think yet, or closes at once, is no finding."""

REMEDIES: dict[Class, str] = {
    "ok": "",
    "not_opened": "raise train.weights.open, or have the chat template open the thinking",
    "empty": "lower train.learning_rate, or raise train.weights.think; `tracegen mask` shows what is trained",
    "unclosed": 'raise train.weights.close (preset "anti_collapse" has 5), or the budgets if it is only cut',
    "answer_in_think": 'raise train.weights.close (preset "anti_collapse" has 5)',
    "no_answer": "raise train.weights.answer, and see that the rows have answers",
}
BLOCKS = 'set train.empty_think = "mask", so that inserted empty blocks are not trained'
"""The remedy for thinking that collapses where empty blocks are trained."""


class Tags(Struct, frozen=True):
    """How thinking is delimited."""

    open: str
    close: str
    opening: str
    """What the student writes to open it, with the white space that it was trained with."""


class Held(Struct, frozen=True):
    """A held-out row: its prompt, and how its own thinking goes on from there."""

    prompt: tuple[int, ...]
    """Token ids up to where the student begins to write."""
    opened: bool
    """The prompt has opened the thinking already."""
    before: tuple[int, ...] = ()
    """What the row writes to open its thinking …"""
    thinking: tuple[int, ...] = ()
    """… to think (empty where it is longer than LONGEST) …"""
    closing: tuple[int, ...] = ()
    """… and to close it."""
    reference: MathAnswer | ChoiceAnswer | None = None


class Probe(Struct, frozen=True):
    """What the forward-only probe has measured: means over the prompts."""

    step: int
    open: float
    """P(the student opens its thinking); 1 where the prompt does."""
    close_at_once: float
    """P(closing tag | just opened); ways whose first token is unlikely count as 0."""
    close_max: float
    close: float
    """P(closing tag | the row's own thinking), where it ought to be high."""
    prompts: int


class Generation(Struct, frozen=True):
    """What the student wrote for the prompts, greedily."""

    step: int
    prompts: int
    classes: dict[Class, int]
    intervals: dict[Class, tuple[float, float]]
    """Wilson's interval of 95 % of the share of each."""
    truncated: dict[int, int]
    """How many had not ended at each budget of new tokens."""
    thinking: tuple[int, int, int]
    """Quartiles of the tokens of the thinking …"""
    trained: tuple[int, int, int]
    """… and those of the training rows."""
    right: int = 0
    """Correct by our verifier, with the thinking closed …"""
    judged: int = 0
    """… of so many with a reference and a verdict."""
    accuracy: tuple[float, float] = (0.0, 1.0)
    """Wilson's interval of 95 % of its share."""
    samples: tuple[str, ...] = ()
    """The first three texts, shortened."""


class Warned(Struct, frozen=True):
    """A sign of a collapse."""

    step: int
    cls: Class
    """The failure that it is a sign of."""
    says: str
    remedy: str
    stops: bool = False


def judge_probe(probe: Probe, first: Probe | None, settings: Monitor, *, share: float = 1.0) -> Warned | None:
    """Whether P(close at once) is a sign of a collapse (above the threshold, and well above the base's), or
    P(close) that the student does not learn to close. `share` is how much of the training is done: a student
    that is only just learning to close does it everywhere for some steps, which is no collapse yet."""
    if share < WATCH_FROM:
        return None
    base = first.close_at_once if first else 0.0
    rise = probe.close_at_once > max(settings.warn_close_at_once, 2 * base)
    if not rise and share >= CLOSES_FROM and probe.close < CLOSES:
        return Warned(
            step=probe.step,
            cls="unclosed",
            says=f"P(close) is {probe.close:.3f} where the held-out thinking ends: "
            "the student does not learn to close",
            remedy=REMEDIES["unclosed"],
            stops=False,
        )
    if not rise:
        return None
    stops = settings.action == "stop" and probe.close_at_once > settings.stop_close_at_once
    return Warned(
        step=probe.step,
        cls="empty",
        says=f"P(close at once) is {probe.close_at_once:.3f} (before training {base:.4f}) over "
        f"{probe.prompts} prompts: the thinking is collapsing",
        remedy=REMEDIES["empty"],
        stops=stops,
    )


def judge_generation(found: Generation, settings: Monitor, *, share: float) -> Warned | None:
    """Whether a bad class has a share that Wilson's interval puts above a quarter, or more than RATE.

    `share` is how much of the training is done: early on, a base that was never taught to think is no news.
    """
    early = {"unclosed", "answer_in_think"} if share < CLOSES_FROM else set()
    bad = {
        name: count for name, count in found.classes.items() if name != "ok" and name not in early and count
    }
    if share < WATCH_FROM:
        return None
    if not bad:
        return None
    worst = max(bad, key=lambda name: bad[name])
    low, high = found.intervals[worst]
    part = bad[worst] / found.prompts
    wrong = worst == "empty" and low > 0.05
    if part <= RATE and low <= 0.25 and not wrong:
        return None
    return Warned(
        step=found.step,
        cls=worst,
        says=f"{bad[worst]} of {found.prompts} generations are {worst} ({low:.0%} to {high:.0%})",
        remedy=REMEDIES[worst],
        stops=settings.action == "stop" and part > RATE,
    )


def tags_of(treatment: Treatment, train: Train) -> Tags:
    """The delimiters of a student; those of channels are special tokens, not tags."""
    if treatment.channels:
        return Tags(treatment.open.strip(), treatment.close.strip(), treatment.open)
    opening = treatment.open if train.open in treatment.open else f"{train.open}\n"
    return Tags(train.open, train.close, opening)


def held_prompts(examples: Sequence[Example], tokenizer: Any, tags: Tags, count: int) -> list[Held]:
    """Prompts of different problems, of rows that think; none where no row does."""
    found: dict[str, Held] = {}
    for example in examples:
        if len(found) >= count:
            break
        if CODES["think"] in example.regions and example.problem not in found:
            found[example.problem] = _held(example, tokenizer, tags)
    return list(found.values())


def _held(example: Example, tokenizer: Any, tags: Tags) -> Held:
    parts = {
        region: tuple(token for token, own in zip(example.ids, example.regions, strict=True) if own == code)
        for region, code in CODES.items()
    }
    tail = tokenizer.decode(parts["prompt"][-16:], skip_special_tokens=False).rstrip()
    known = len(parts["think"]) <= LONGEST
    return Held(
        prompt=parts["prompt"],
        opened=tail.endswith(tags.open),
        before=parts["open"],
        thinking=parts["think"] if known else (),
        closing=parts["close"] if known else (),
        reference=example.reference,
    )


def probe(model: Any, tokenizer: Any, held: Sequence[Held], tags: Tags, step: int) -> Probe:
    """P(open), P(close at once) and P(close), teacher-forced, in forward passes without gradients."""
    opening, stem = _encoded(tokenizer, tags.opening), _stem(tokenizer, tags.open)
    ways = [[*_encoded(tokenizer, space), *_stem(tokenizer, tags.close)] for space in BREAKS]
    measured = [_measure(model, one, opening, stem, ways) for one in held]
    closes = [at_once for _, at_once, _ in measured]
    ends = [close for _, _, close in measured if close is not None]
    return Probe(
        step=step,
        open=sum(opened for opened, _, _ in measured) / len(held),
        close_at_once=sum(closes) / len(held),
        close_max=max(closes),
        close=sum(ends) / max(1, len(ends)),
        prompts=len(held),
    )


def _encoded(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []


def _stem(tokenizer: Any, tag: str) -> list[int]:
    """A tag without its last character, which often merges with what follows; a special one whole."""
    ids = _encoded(tokenizer, tag)
    return ids if len(ids) == 1 else _encoded(tokenizer, tag[:-1])


def _measure(
    model: Any, one: Held, opening: list[int], stem: list[int], ways: list[list[int]]
) -> tuple[float, float, float | None]:
    """P(open), P(close at once) and P(close) of one row, the first and the last in one pass."""
    before = list(one.before) or ([] if one.opened else opening)
    start = [*one.prompt, *before]
    spoken = _spoken(model, [*start, *one.thinking, *one.closing[:-1]], len(one.prompt) - 1)
    opened = 1.0 if one.opened else _chained(spoken, stem)
    at_once = sum(
        _chained(_spoken(model, [*start, *way[:-1]], len(start) - 1), way)
        for way in ways
        if float(spoken[len(before), way[0]].exp()) > UNLIKELY
    )
    ending = list(one.closing[: max(1, len(one.closing) - 1)])
    close = _chained(spoken[len(before) + len(one.thinking) :], ending) if ending else None
    return opened, min(1.0, at_once), close


def _spoken(model: Any, ids: list[int], first: int) -> torch.Tensor:
    """Log-probabilities (positions from `first`, V) of what follows each token."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        logits = model(
            input_ids=torch.tensor([ids], device=device), use_cache=False, logits_to_keep=len(ids) - first
        ).logits[0]
    return logits.float().log_softmax(-1).cpu()


def _chained(spoken: torch.Tensor, tokens: list[int]) -> float:
    return float(spoken[torch.arange(len(tokens)), torch.tensor(tokens)].sum().exp())


def generate(
    model: Any, tokenizer: Any, held: Sequence[Held], budget: int, ends: Sequence[int]
) -> list[tuple[str, int, bool]]:
    """What the student writes greedily: text, number of tokens, and whether it ended by itself."""
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0]
    width = max(len(one.prompt) for one in held)
    ids = torch.tensor([[pad] * (width - len(one.prompt)) + list(one.prompt) for one in held])
    mask = torch.tensor([[0] * (width - len(one.prompt)) + [1] * len(one.prompt) for one in held])
    device = next(model.parameters()).device
    with torch.inference_mode(), plain(model):
        written = model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            max_new_tokens=budget,
            do_sample=False,
            use_cache=True,
            pad_token_id=pad,
            eos_token_id=list(ends),
        )
    found = []
    for row in written[:, width:].tolist():
        stop = next((at for at, token in enumerate(row) if token in ends), None)
        kept = row if stop is None else row[:stop]
        found.append((str(tokenizer.decode(kept, skip_special_tokens=False)), len(kept), stop is not None))
    return found


def judge(
    texts: Sequence[tuple[str, int, bool]], held: Sequence[Held], tags: Tags
) -> tuple[bool | None, ...]:
    """Whether each answer is right; None without a reference, or where the verifier itself failed."""
    if not any(one.reference for one in held):
        return (None,) * len(held)
    with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop of its own
        return thread.submit(asyncio.run, _judge(texts, held, tags)).result()


async def _judge(
    texts: Sequence[tuple[str, int, bool]], held: Sequence[Held], tags: Tags
) -> tuple[bool | None, ...]:
    elicit = Elicit(open=tags.open, close=tags.close)
    found: list[bool | None] = []
    async with Verifier(Verify(workers=1), sandbox=False) as verifier:
        for (text, _, _), one in zip(texts, held, strict=True):
            split = split_text(text, msgspec.structs.replace(elicit, prefilled=one.opened))
            if one.reference is None:
                found.append(None)
                continue
            verdict = await verifier.judge(one.reference, split.answer if split.closed else "")
            known = verdict.outcome in ("correct", "incorrect", "no_answer")
            found.append(verdict.outcome == "correct" if known else None)
    return tuple(found)


def classify(
    texts: Sequence[tuple[str, int, bool]],
    held: Sequence[Held],
    tokenizer: Any,
    tags: Tags,
    budgets: Sequence[int],
    trained: tuple[int, int, int],
    step: int,
    right: Sequence[bool | None] = (),
) -> Generation:
    """The classes, lengths and truncations of what was generated, and how much of it is `right`."""
    from tracegen.evaluate.statistics import wilson

    elicit = Elicit(open=tags.open, close=tags.close)
    named: list[Class] = []
    lengths = []
    for (text, _, ended), one in zip(texts, held, strict=True):
        prefilled = msgspec.structs.replace(elicit, prefilled=one.opened)
        named.append(classes.class_of_text(text, prefilled, finish_reason="stop" if ended else "length"))
        thought = text.partition(tags.close)[0].rpartition(tags.open)[2]
        lengths.append(
            0 if named[-1] == "not_opened" else len(tokenizer.encode(thought, add_special_tokens=False))
        )
    counted = classes.tally(named)
    intervals = {name: wilson(number, len(held)) for name, number in counted.items()}
    cut = {
        budget: sum(size > budget or (size == budget and not ended) for _, size, ended in texts)
        for budget in budgets
    }
    judged, right_ones = sum(one is not None for one in right), sum(one is True for one in right)
    accuracy = wilson(right_ones, judged)
    return Generation(
        step=step,
        prompts=len(held),
        classes=counted,
        intervals={name: (found.low, found.high) for name, found in intervals.items()},
        truncated=cut,
        thinking=quartiles(lengths),
        trained=trained,
        right=right_ones,
        judged=judged,
        accuracy=(accuracy.low, accuracy.high),
        samples=tuple(text[:300] for text, _, _ in texts[:3]),
    )


def quartiles(values: Sequence[int]) -> tuple[int, int, int]:
    """The three quartiles; zeros of nothing."""
    ranked = sorted(values) or [0]
    return ranked[len(ranked) // 4], ranked[len(ranked) // 2], ranked[(3 * len(ranked)) // 4]


class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Runs the probes at their steps, writes `monitor.jsonl`, warns, and stops where it is told to.

    Every rank generates, since a sharded model needs all of them; the first one writes.
    """

    def __init__(
        self,
        settings: Monitor,
        held: Sequence[Held],
        tokenizer: Any,
        tags: Tags,
        ends: Sequence[int],
        trained: tuple[int, int, int],
        path: Path,
        say: Callable[[str], None],
        dtype: Any = torch.bfloat16,
        empty_think: str = "mask",
    ) -> None:
        self.settings = settings
        self.held = list(held)[: settings.prompts]
        self.tokenizer = tokenizer
        self.tags = tags
        self.ends = ends
        self.trained = trained
        self.path = path
        self.say = say
        self.dtype = dtype
        self.empty_think = empty_think
        self.first: Probe | None = None
        self.warned: list[Warned] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Probe the base; a run that goes on takes what it measured before, up to where it goes on."""
        rows = [row for row in saving.read_lines(self.path) if row["step"] <= state.global_step]
        if state.is_world_process_zero:
            saving.write(self.path, "".join(json.dumps(row) + "\n" for row in rows))
        before = [row for row in rows if row["kind"] == "probe" and row["step"] == 0]
        if before:
            self.first = msgspec.convert({k: v for k, v in before[0].items() if k != "kind"}, Probe)
        elif state.global_step == 0:
            self._probe(model, state, control)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Whatever is due at this step."""
        step, last = state.global_step, state.global_step >= state.max_steps
        every = self.settings.every or max(1, state.max_steps // 20)
        seldom = self.settings.generate_every or max(1, state.max_steps // 4)
        if step % every == 0 or last:
            self._probe(model, state, control)
        if step % seldom == 0 or last:
            self._generate(model, state, control)

    def _probe(self, model: Any, state: Any, control: Any) -> None:
        with self._quiet(model):
            found = probe(model, self.tokenizer, self.held, self.tags, state.global_step)
        self.first = self.first or found
        self._write(state, "probe", found)
        share = state.global_step / max(1, state.max_steps)
        self._judge(judge_probe(found, self.first, self.settings, share=share), state, control)

    def _generate(self, model: Any, state: Any, control: Any) -> None:
        budgets = sorted(self.settings.budgets)
        with self._quiet(model):
            texts = generate(model, self.tokenizer, self.held, budgets[-1], self.ends)
        right = judge(texts, self.held, self.tags) if state.is_world_process_zero else ()
        found = classify(
            texts, self.held, self.tokenizer, self.tags, budgets, self.trained, state.global_step, right
        )
        self._write(state, "generation", found)
        shown = ", ".join(f"{count} {name}" for name, count in found.classes.items() if count)
        said = f"; {found.right} of {found.judged} right" if found.judged else ""
        self._speak(state, f"step {state.global_step}: of {found.prompts} generations {shown}{said}")
        share = state.global_step / max(1, state.max_steps)
        self._judge(judge_generation(found, self.settings, share=share), state, control)

    def _judge(self, warned: Warned | None, state: Any, control: Any) -> None:
        if warned is None:
            return
        if warned.cls == "empty" and self.empty_think == "train":
            warned = msgspec.structs.replace(warned, remedy=BLOCKS)
        self.warned.append(warned)
        self._write(state, "warning", warned)
        self._speak(state, f"monitor, step {warned.step}: {warned.says} - {warned.remedy}")
        if warned.stops:
            control.should_training_stop = True
            control.should_save = True

    def _write(self, state: Any, kind: str, found: Probe | Generation | Warned) -> None:
        if state.is_world_process_zero:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind, **msgspec.to_builtins(found)}) + "\n")

    def _speak(self, state: Any, text: str) -> None:
        if state.is_world_process_zero:
            self.say(text)

    def _quiet(self, model: Any) -> Any:
        """The model in evaluation mode and in the training's precision, with its random state untouched."""
        return _Quiet(model, self.dtype)


class _Quiet:
    def __init__(self, model: Any, dtype: Any) -> None:
        self.model = model
        kind = next(model.parameters()).device.type
        self.cast = torch.autocast(kind, dtype, enabled=dtype != torch.float32)
        self.fork = torch.random.fork_rng()

    def __enter__(self) -> None:
        self.training = self.model.training
        self.model.eval()
        self.cast.__enter__()
        self.fork.__enter__()

    def __exit__(self, *failure: Any) -> None:
        self.fork.__exit__(*failure)
        self.cast.__exit__(*failure)
        self.model.train(self.training)
