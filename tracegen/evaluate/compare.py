"""From the answers of both sides to the outcome: pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from tracegen.classes import tally
from tracegen.data import Problem, Struct
from tracegen.evaluate.items import RIGHT, Item, Sample
from tracegen.evaluate.overlap import Overlap
from tracegen.evaluate.results import By, Change, Clean, Group, Paired, Score, Thinking
from tracegen.evaluate.settings import ProblemSet, SideName
from tracegen.evaluate.statistics import (
    Interval,
    bootstrap_mean,
    majority,
    mcnemar,
    mean_rate,
    pass_at_k,
    quantiles,
    wilson,
)
from tracegen.records import reference_text

SOLVED = 0.5
"""Share of right samples from which on a problem counts as solved; with one sample, whether it is right."""
QUARTERS = ("solved by the base under 1/4", "1/4 to 1/2", "1/2 to 3/4", "3/4 and more")
TEXT = 600
"""Characters of a question or answer in the list of changes."""


class Row(Struct, frozen=True):
    """A problem in a set, with what either side said."""

    name: str
    kind: str
    difficulty: str
    problem: Problem
    model: Item | None
    base: Item | None

    @property
    def paired(self) -> bool:
        """Both sides have a judged sample."""
        return bool(self.model and self.base and self.model.judged and self.base.judged)


def rows_of(sets: Sequence[ProblemSet], answers: Mapping[SideName, Mapping[str, Item]]) -> list[Row]:
    """Every problem of every set that a side has answered."""
    model, base = answers["model"], answers.get("base", {})
    columned = any(one.difficulty for one in sets)
    return [
        Row(
            one.name,
            one.kind,
            one.difficulty.get(problem.id, "") if columned else quarter(base.get(problem.id)),
            problem,
            model.get(problem.id),
            base.get(problem.id),
        )
        for one in sets
        for problem in one.problems
        if problem.id in model or problem.id in base
    ]


def quarter(item: Item | None) -> str:
    """The difficulty of a problem by the base's pass rate."""
    if item is None or not item.judged:
        return ""
    return QUARTERS[min(3, math.floor(item.rate * 4))]


def groups(rows: Sequence[Row], overlap: Mapping[str, Overlap] | None, *, base: bool) -> tuple[Group, ...]:
    """A group for each set and kind, for all, and for each source and difficulty where there are several."""
    found = [_group("set", name, some, overlap, base) for name, some in _parted(rows, lambda row: row.name)]
    kinds = _parted(rows, lambda row: row.kind)
    if len(found) > 1:
        found += [_group("kind", name, some, overlap, base) for name, some in kinds if len(kinds) > 1]
        found.append(_group("all", "all", rows, overlap, base))
    parts: tuple[tuple[By, Callable[[Row], str]], ...] = (
        ("source", lambda row: row.problem.source),
        ("difficulty", lambda row: row.difficulty),
    )
    for by, key in parts:
        several = [(name, some) for name, some in _parted(rows, key) if name]
        if len(several) > 1:
            found += [_group(by, name, some, overlap, base) for name, some in sorted(several, key=_order)]
    return tuple(found)


def thinking(rows: Sequence[Row], sides: Sequence[SideName]) -> tuple[Thinking, ...]:
    """How each side thinks on each set."""
    found = []
    for name, some in _parted(rows, lambda row: row.name):
        for side in sides:
            items = [item for row in some if (item := row.model if side == "model" else row.base)]
            found.append(_thinking(side, name, [sample for item in items for sample in item.samples]))
    return tuple(found)


def changes(rows: Sequence[Row]) -> tuple[Change, ...]:
    """The problems that were lost, then those that were won."""
    found = [change for row in rows if (change := _change(row)) is not None]
    return tuple(sorted(found, key=lambda change: (change.what, change.name)))


# --- a group -----------------------------------------------------------------------------------------


def score(items: Sequence[Item]) -> Score:
    """How often these answers are right."""
    judged = [item for item in items if item.judged]
    samples = sum(len(item.judged) for item in judged)
    fewest = min((len(item.judged) for item in judged), default=0)
    ks = [k for k in (2**power for power in range(20)) if 1 < k <= fewest]
    if fewest > 1 and fewest not in ks:
        ks.append(fewest)
    return Score(
        problems=len(judged),
        samples=samples,
        unjudged=sum(len(item.samples) for item in items) - samples,
        pass_1=mean_rate([item.rate for item in judged], samples),
        pass_k={str(k): _mean([pass_at_k(i.right, len(i.judged), k) for i in judged]) for k in ks},
        majority=_mean([majority([s.vote for s in i.judged], RIGHT) for i in judged]) if fewest > 1 else None,
    )


def _group(
    by: By, name: str, rows: Sequence[Row], overlap: Mapping[str, Overlap] | None, base: bool
) -> Group:
    rows = _once(rows)
    kinds = {row.kind for row in rows}
    model, other = _items(rows)
    return Group(
        by=by,
        name=name,
        kind=kinds.pop() if len(kinds) == 1 else "",
        model=score(model),
        base=score(other) if base else None,
        paired=_paired(rows) if base else None,
        clean=None if overlap is None else _clean(rows, overlap, base),
    )


def _paired(rows: Sequence[Row]) -> Paired:
    both = [(row.base.rate, row.model.rate) for row in rows if row.paired and row.base and row.model]
    won = sum(before < SOLVED <= after for before, after in both)
    lost = sum(after < SOLVED <= before for before, after in both)
    differences = [after - before for before, after in both]
    return Paired(len(both), won, lost, mcnemar(won, lost), bootstrap_mean(differences))


def _clean(rows: Sequence[Row], overlap: Mapping[str, Overlap], base: bool) -> Clean:
    met = [overlap[row.problem.id] for row in rows if row.problem.id in overlap]
    model, other = _items([row for row in rows if row.problem.id not in overlap])
    return Clean(
        overlapping=len(met),
        exact=met.count("exact"),
        model=score(model).pass_1 if model else None,
        base=score(other).pass_1 if base and other else None,
    )


def _items(rows: Sequence[Row]) -> tuple[list[Item], list[Item]]:
    return [row.model for row in rows if row.model], [row.base for row in rows if row.base]


def _once(rows: Sequence[Row]) -> list[Row]:
    """Each problem once, though it may be in two sets."""
    return list({row.problem.id: row for row in rows}.values())


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _parted(rows: Sequence[Row], key: Callable[[Row], str]) -> list[tuple[str, list[Row]]]:
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(key(row), []).append(row)
    return list(parts.items())


def _order(part: tuple[str, list[Row]]) -> tuple[int, str]:
    """Quarters from hard to easy, everything else by name."""
    name = part[0]
    return (QUARTERS.index(name) if name in QUARTERS else len(QUARTERS), name)


# --- thinking and changes ----------------------------------------------------------------------------


def _thinking(side: SideName, name: str, samples: Sequence[Sample]) -> Thinking:
    thought = [sample for sample in samples if sample.words]
    follows = {what: sum(s.follows == what for s in samples) for what in ("last", "occurs", "absent")}
    cut = sum(sample.truncated for sample in samples)
    return Thinking(
        side=side,
        name=name,
        samples=len(samples),
        classes=tally(sample.kind for sample in samples),
        truncated=wilson(cut, len(samples)) if samples else Interval(0.0, 0.0, 1.0),
        words=quantiles([sample.words for sample in thought]),
        tokens=quantiles([sample.tokens for sample in thought if sample.tokens is not None]),
        follows=follows,
    )


def _change(row: Row) -> Change | None:
    if not row.paired or row.model is None or row.base is None:
        return None
    before, after = row.base.rate >= SOLVED, row.model.rate >= SOLVED
    if before == after:
        return None
    said, told = row.base.samples[0], row.model.samples[0]
    return Change(
        what="won" if after else "lost",
        name=row.name,
        problem=row.problem.id,
        key=row.problem.key,
        question=row.problem.question[:TEXT],
        reference=reference_text(row.problem.reference)[:TEXT],
        base_rate=row.base.rate,
        model_rate=row.model.rate,
        base=_said(said),
        model=_said(told),
        base_class=said.kind,
        model_class=told.kind,
    )


def _said(sample: Sample) -> str:
    return (sample.answer or f"… {sample.thinking[-TEXT:]}")[:TEXT]
