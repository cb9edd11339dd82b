"""The schedule of a training …"""

from __future__ import annotations

import random

import pytest

from tracegen.train.pack import pack
from tracegen.train.schedule import Micro, Pack, by_length, plan

DRAW = random.Random(0)
LENGTHS = [DRAW.randint(10, 300) for _ in range(200)]


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("group", [pack, by_length])
def test_trains_every_row_once_an_epoch(ranks: int, group: Pack) -> None:
    found = plan(
        [(LENGTHS, 2.0)],
        capacity=500,
        batch_tokens=2000,
        ranks=ranks,
        seed=0,
        group=group,
    )
    rows = sorted(row for micro in found.micros for row in micro.rows)
    assert rows == sorted([*range(200)] * 2)
    assert len(found.micros) == found.steps * found.per_step * ranks
    for micro in found.micros:
        assert sum(LENGTHS[row] for row in micro.rows) <= 500
    assert all(sum(bool(m.rows) for m in step) for step in steps_of(found.micros, found.per_step * ranks))


def steps_of(micros: tuple[Micro, ...], size: int) -> list[tuple[Micro, ...]]:
    """The micro-batches step by step."""
    return [micros[start : start + size] for start in range(0, len(micros), size)]


def test_is_the_same_every_time_and_another_in_another_epoch() -> None:
    once, again = (
        plan([(LENGTHS, 2.0)], capacity=500, batch_tokens=2000, ranks=1, seed=0, group=pack) for _ in range(2)
    )
    assert once == again
    half = len(once.micros) // 2
    assert {micro.rows for micro in once.micros[:half]} != {micro.rows for micro in once.micros[half:]}


def test_goes_through_stages_in_their_order_and_stops_in_time() -> None:
    stages = [(LENGTHS, 1.0), (LENGTHS[:50], 0.5)]
    found = plan(stages, capacity=500, batch_tokens=1000, ranks=1, seed=0, group=pack)
    assert [found.stage_of(step) for step in (0, found.ends[0] - 1, found.ends[0])] == [0, 0, 1]
    assert sorted({micro.stage for micro in found.micros}) == [0, 1]
    short = plan(stages, capacity=500, batch_tokens=1000, ranks=1, seed=0, group=pack, max_steps=3)
    assert short.steps == 3
    assert len(short.micros) == 3 * short.per_step


def test_pads_rows_of_similar_length_within_the_capacity() -> None:
    for group in by_length(LENGTHS, 600):
        assert max(LENGTHS[row] for row in group) * len(group) <= 600 or len(group) == 1
