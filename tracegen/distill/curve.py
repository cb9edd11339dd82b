"""The curve over rounds: what is counted of a round, from its run, its student and its evaluation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tracegen import run
from tracegen.classes import Class, class_of, tally
from tracegen.data import Struct
from tracegen.evaluate.results import Evaluation
from tracegen.evaluate.statistics import Interval, Quantiles, mean_rate, quantiles
from tracegen.policy import Attempt, originals
from tracegen.recipe import Recipe
from tracegen.records import read_problem
from tracegen.select import choose, length
from tracegen.store import Store
from tracegen.train import saving


class Evaluated(Struct, frozen=True):
    """The student of a round on one set of problems, against the base."""

    name: str
    kind: str
    """`in`, `out` or `general`."""
    problems: int
    student: Interval
    """pass@1."""
    base: Interval | None
    difference: Interval | None
    """Of pass@1, on the problems that both answered."""
    won: int | None
    lost: int | None
    p: float | None
    """McNemar's exact test on the problems won and lost."""


class Sampled(Struct, frozen=True):
    """What a round's run holds."""

    problems: int
    """Asked."""
    solved: int
    """… with an accepted trace of the round's first teacher, the recipe's or the student."""
    pass_rate: Interval
    """Mean share of its accepted traces; the interval is clustered by problem."""
    traces: int
    """Answered by it."""
    recovered: int
    """Problems that only the second teacher solved."""
    verified: int
    """Rows of the config `verified`, recovered ones too."""
    classes: dict[Class, int]
    """What became of the thinking of the first teacher's traces."""
    words: Quantiles | None
    """Words of their thinking, of those with any."""
    tokens: Quantiles | None
    """The same in tokens, where they were counted."""
    completion_tokens: int
    """Of the first teacher."""
    rewritten: int = 0
    """Verified traces for which a shorter rewrite stands; words of their thinking …"""
    words_before: int = 0
    """… before, and …"""
    words_after: int = 0
    """… after."""


class Trained(Struct, frozen=True):
    """What a round's student was trained on, and how that ended."""

    rows: int
    tokens: int
    """Of a weight above 0, in one pass."""
    steps: int
    loss: float
    validation: float | None
    seconds: float
    warnings: tuple[str, ...]
    """Of the monitor."""


class Round(Struct, frozen=True):
    """One round."""

    number: int
    teacher: str
    """Who sampled it."""
    run: str
    """Its run, student and evaluation, below the directory of the distillation."""
    student: str
    evaluation: str
    """Empty without one."""
    sampled: Sampled
    trained: Trained
    evaluated: tuple[Evaluated, ...]


class Curve(Struct, frozen=True):
    """Everything that the table, the JSON and the page show."""

    name: str
    version: str
    model: str
    """What round 1 trains."""
    rounds: tuple[Round, ...]


def sampled(directory: Path) -> Sampled:
    """What a finished run holds, counted from its store alone."""
    plan = run.stored_plan(directory)
    rates: list[float] = []
    counts: Counter[str] = Counter()
    classes: list[Class] = []
    words: list[float] = []
    tokens: list[float] = []
    with Store(directory, write=False) as store:
        verifier = store.verifier()
        for problem in store.problems():
            attempts, _ = read_problem(store, plan, problem, verifier)
            counts.update(_verified(attempts, plan.recipe))
            first = [one for one in attempts if one.request.stage == "first"]
            if not first:
                continue
            right = sum(one.accepted for one in first)
            rates.append(right / len(first))
            counts["solved"] += bool(right)
            counts["recovered"] += not right and any(one.accepted for one in originals(attempts))
            counts["traces"] += len(first)
            for trace, verdict in ((one.trace, one.verdict) for one in first):
                assert trace is not None  # noqa: S101 - read_problem gives answered attempts only
                classes.append(class_of(trace, verdict))
                counts["spent"] += trace.completion_tokens or 0
                if trace.thinking.strip():
                    words.append(len(trace.thinking.split()))
                    tokens += [trace.thinking_tokens] if trace.thinking_tokens is not None else []
    return Sampled(
        problems=len(rates),
        solved=counts["solved"],
        pass_rate=mean_rate(rates, counts["traces"]),
        traces=counts["traces"],
        recovered=counts["recovered"],
        verified=counts["verified"],
        classes=tally(classes),
        words=quantiles(words),
        tokens=quantiles(tokens if len(tokens) == len(words) else ()),  # those of the cut ones alone mislead
        completion_tokens=counts["spent"],
        rewritten=counts["rewritten"],
        words_before=counts["before"],
        words_after=counts["after"],
    )


def _verified(attempts: Sequence[Attempt], recipe: Recipe) -> Counter[str]:
    """Of one problem: verified traces, those that are rewritten, and the words of these before and after."""
    choices = choose(attempts, recipe.select, rewriting=recipe.rewrite is not None)
    by_id = {attempt.request.id: attempt for attempt in attempts}
    found: Counter[str] = Counter()
    for attempt, choice in zip(attempts, choices, strict=True):
        if choice.status == "accepted" and attempt.request.stage != "rewrite":
            found["verified"] += 1
        if choice.rewritten_as:
            after = length(by_id[choice.rewritten_as])
            found.update(rewritten=1, before=length(attempt), after=after)
    return found


def trained(directory: Path, state: saving.State) -> Trained:
    """What a student's directory says of its training."""
    checks = json.loads((directory / saving.CHECKS).read_text(encoding="utf-8"))
    numbers: dict[str, float] = next((one["numbers"] for one in checks if one["name"].startswith("rows")), {})
    return Trained(
        rows=int(numbers.get("examples", 0)),
        tokens=int(numbers.get("trained", 0)),
        steps=state.steps,
        loss=state.loss,
        validation=state.validation,
        seconds=state.seconds,
        warnings=state.warnings,
    )


def evaluated(evaluation: Evaluation) -> tuple[Evaluated, ...]:
    """The sets of an evaluation."""
    return tuple(
        Evaluated(
            name=group.name,
            kind=group.kind,
            problems=group.model.problems,
            student=group.model.pass_1,
            base=group.base.pass_1 if group.base else None,
            difference=group.paired.difference if group.paired else None,
            won=group.paired.won if group.paired else None,
            lost=group.paired.lost if group.paired else None,
            p=group.paired.p if group.paired else None,
        )
        for group in evaluation.groups
        if group.by == "set"
    )


def to_json(curve: Curve) -> bytes:
    """The curve as JSON, for a machine."""
    return msgspec.json.format(msgspec.json.encode(curve))
