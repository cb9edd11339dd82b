"""Which examples are trained on in which optimizer step, on which rank: all of it decided before the first.

The plan is a pure function of the lengths, the settings and the seed, so a run that was killed goes on
with the very batches that it would have had. A micro-batch is what one device takes in one forward pass;
a step is the same number of micro-batches on every rank, filled up with blank ones that train nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tracegen.data import Struct

Pack = Callable[[Sequence[int], int], Sequence[Sequence[int]]]
"""From lengths and a capacity to groups of indices, none of which exceeds it."""


class Micro(Struct, frozen=True):
    """What one device takes in one forward pass."""

    stage: int
    rows: tuple[int, ...]
    """Indices of the stage's examples; empty is a blank that only keeps the ranks in step."""


class Schedule(Struct, frozen=True):
    """All micro-batches in the order of training: rank after rank, then the next of the same step."""

    micros: tuple[Micro, ...]
    steps: int
    per_step: int
    """Micro-batches of one step on one rank."""
    ends: tuple[int, ...]
    """Steps done at the end of each stage."""

    def stage_of(self, step: int) -> int:
        """The stage of optimizer step `step`, counted from 0."""
        return sum(step >= end for end in self.ends[:-1])


def plan(
    stages: Sequence[tuple[Sequence[int], float]],
    *,
    capacity: int,
    batch_tokens: int,
    ranks: int,
    seed: int,
    group: Pack,
    max_steps: int = 0,
) -> Schedule:
    """The schedule of `stages`, each the lengths of its examples and its epochs, which may be a fraction."""
    slots = max(1, round(batch_tokens / (capacity * ranks)))
    steps: list[list[Micro]] = []
    ends = []
    for stage, (lengths, epochs) in enumerate(stages):
        made: list[list[Micro]] = []
        wanted = 0.0
        for epoch in range(-int(-epochs // 1)):
            drawn = _epoch(stage, lengths, capacity, slots * ranks, f"{seed}/{stage}/{epoch}", group)
            wanted += len(drawn) * min(1.0, epochs - epoch)
            made += drawn
        steps += made[: max(1, round(wanted))] if made else []
        ends.append(len(steps))
    if max_steps and len(steps) > max_steps:
        steps, ends = steps[:max_steps], [min(end, max_steps) for end in ends]
    per_step = max((-(-len(step) // ranks) for step in steps), default=1)
    blank = [Micro(stage=step[0].stage, rows=()) for step in steps]
    micros = [
        micro
        for step, empty in zip(steps, blank, strict=True)
        for micro in [*step, *[empty] * (per_step * ranks - len(step))]
    ]
    return Schedule(micros=tuple(micros), steps=len(steps), per_step=per_step, ends=tuple(ends))


def _epoch(
    stage: int, lengths: Sequence[int], capacity: int, per_step: int, seed: str, group: Pack
) -> list[list[Micro]]:
    """One pass over the examples: grouped anew, the groups shuffled and dealt out evenly over the steps."""
    draw = random.Random(seed)  # noqa: S311 - an order, not a secret
    order = list(range(len(lengths)))
    draw.shuffle(order)
    groups = [tuple(order[at] for at in group_) for group_ in group([lengths[i] for i in order], capacity)]
    draw.shuffle(groups)
    steps = -(-len(groups) // per_step)
    return [[Micro(stage=stage, rows=rows) for rows in groups[step::steps]] for step in range(steps)]


def by_length(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Groups of rows of similar length that fit `capacity` when padded to their longest."""
    groups: list[list[int]] = []
    for at in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= capacity:
            groups[-1].append(at)
        else:
            groups.append([at])
    return groups
