"""Ids …"""

from __future__ import annotations

import msgspec

from tracegen.data import MathAnswer, Message, Problem, Request, Sampling, digest

REQUEST = Request("p", "t", "first", (Message("user", "q"),), "<think>\n", Sampling(), 0)


def test_are_the_same_on_every_machine() -> None:
    assert digest("problem", {"b": 1, "a": 2}) == "bf81f7bc6d4818c7a4bf60a6"
    assert Problem("1+1", MathAnswer("2")).id == "aa8a3826651e7d6e4150e43c"
    assert Problem("1+1", MathAnswer("2"), key="k", source="s").id == "aa8a3826651e7d6e4150e43c"


def test_change_with_everything_that_makes_another_completion() -> None:
    changes: list[dict[str, object]] = [
        {"problem": "q"},
        {"teacher": "u"},
        {"messages": (Message("user", "r"),)},
        {"prefill": ""},
        {"index": 1},
        {"sampling": Sampling(temperature=0.7)},
        {"sampling": Sampling(max_tokens=1)},
        {"sampling": Sampling(thinking_tokens=1)},
    ]
    ids = {REQUEST.id, *(msgspec.structs.replace(REQUEST, **change).id for change in changes)}
    assert len(ids) == len(changes) + 1


def test_keep_the_slot_when_only_the_budget_changes() -> None:
    larger = msgspec.structs.replace(REQUEST, sampling=Sampling(max_tokens=9))
    assert larger.slot == REQUEST.slot
    assert larger.id != REQUEST.id


def test_give_every_request_a_seed_of_31_bits() -> None:
    seeds = {msgspec.structs.replace(REQUEST, index=index).seed for index in range(100)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**31 for seed in seeds)
