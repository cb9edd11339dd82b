"""The class of a thinking …"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tracegen.classes import CLASSES, class_of, class_of_text, tally
from tracegen.data import Trace, Verdict
from tracegen.recipe import Elicit
from tracegen.teachers.dialects import split_text

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "cases" / "classes.jsonl").read_text().splitlines()
]


def verdict(case: dict[str, Any]) -> Verdict | None:
    return Verdict(case["outcome"], "made up") if "outcome" in case else None


def elicit(case: dict[str, Any]) -> Elicit:
    return Elicit(
        open=case.get("open", "<think>"),
        close=case.get("close", "</think>"),
        prefilled=case.get("prefilled", False),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:40])
def test_is_read_off_the_text(case: dict[str, Any]) -> None:
    found = class_of_text(case["text"], elicit(case), finish_reason=case["finish"], verdict=verdict(case))
    assert found == case["class"], case.get("why", "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:40])
def test_is_the_same_for_the_parsed_trace(case: dict[str, Any]) -> None:
    split = split_text(case["text"], elicit(case))
    trace = Trace(
        request="r",
        problem="p",
        thinking=split.thinking.strip(),
        answer=split.answer.strip() if split.closed else "",
        closed=split.closed,
        thought=split.thought,
        dialect=split.dialect,
        finish_reason=case["finish"],
    )
    assert class_of(trace, verdict(case)) == case["class"]


def test_has_a_case_for_each_of_the_six() -> None:
    assert {case["class"] for case in CASES} == set(CLASSES)
    assert len(CLASSES) == 6


def test_is_counted_with_zeros() -> None:
    assert tally(["ok", "empty", "ok"]) == {**dict.fromkeys(CLASSES, 0), "ok": 2, "empty": 1}
