"""Packing …"""

from __future__ import annotations

import itertools
import random
from array import array
from typing import Any

import pytest

from tracegen.train.example import Example
from tracegen.train.pack import collate, collate_padded, pack


def example(*ids: int, weights: tuple[float, ...] = ()) -> Example:
    found = weights or (0.0, *(1.0 for _ in ids[1:]))
    return Example(id="", ids=array("i", ids), weights=array("f", found), regions=bytes(len(ids)))


def lengths_of(seed: int, number: int, capacity: int) -> list[int]:
    draw = random.Random(seed)
    return [min(int(draw.lognormvariate(5, 1)) + 1, capacity) for _ in range(number)]


@pytest.mark.parametrize("seed", range(5))
def test_holds_every_example_once_and_cuts_none(seed: int) -> None:
    lengths = lengths_of(seed, 500, 1024)
    packs = pack(lengths, 1024)
    assert sorted(itertools.chain(*packs)) == list(range(500))
    assert all(sum(lengths[i] for i in one) <= 1024 for one in packs)


def test_is_the_same_every_time() -> None:
    lengths = lengths_of(0, 300, 512)
    assert pack(lengths, 512) == pack(list(lengths), 512)


def test_takes_the_fullest_sequence_that_fits() -> None:
    assert pack([6, 5, 4, 3, 2], 10) == [[0, 2], [1, 3, 4]]
    assert pack([7, 6, 3, 4], 10) == [[0, 2], [1, 3]]


def test_fills_sequences_of_skewed_lengths() -> None:
    lengths = lengths_of(1, 20_000, 4096)
    packs = pack(lengths, 4096)
    assert sum(lengths) / (len(packs) * 4096) > 0.99


def test_leaves_an_example_over_the_capacity_alone() -> None:
    assert pack([30, 5, 5], 10) == [[0], [1, 2]]
    assert pack([], 10) == []
    assert pack([10, 10], 10) == [[0], [1]]


def by_hand(lengths: list[int], capacity: int) -> list[list[int]]:
    """Best fit decreasing as it is written in a book."""
    packs: list[list[int]] = []
    rooms: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        fitting = [number for number, room in enumerate(rooms) if room >= lengths[index]]
        if fitting:
            number = min(fitting, key=lambda one: rooms[one])
            packs[number].append(index)
            rooms[number] -= lengths[index]
        else:
            packs.append([index])
            rooms.append(capacity - lengths[index])
    return packs


@pytest.mark.parametrize("seed", range(5))
def test_needs_as_few_sequences_as_the_slow_way(seed: int) -> None:
    lengths = lengths_of(seed, 400, 700)
    assert len(pack(lengths, 700)) == len(by_hand(lengths, 700))


def test_restarts_positions_and_sends_no_attention_mask() -> None:
    batch = collate([example(5, 6, 7), example(8, 9)], [1, 0])
    assert set(batch) == {"input_ids", "position_ids", "labels", "weights"}
    assert batch["input_ids"].tolist() == [[8, 9, 5, 6, 7]]
    assert batch["position_ids"].tolist() == [[0, 1, 0, 1, 2]]
    assert batch["labels"].tolist() == [[-100, 9, -100, 6, 7]]


def test_never_trains_the_first_token_of_a_document() -> None:
    batch = collate([example(1, 2, weights=(3.0, 1.0)), example(3, 4, weights=(2.0, 0.5))], [0, 1])
    assert batch["weights"].tolist() == [[0.0, 1.0, 0.0, 0.5]]
    assert batch["labels"].tolist() == [[-100, 2, -100, 4]]


def test_pads_at_the_right_with_a_mask() -> None:
    batch: dict[str, Any] = collate_padded([example(5, 6, 7), example(8, 9)], [0, 1], pad=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [-100, 9, -100]]
    assert batch["weights"].tolist() == [[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]
