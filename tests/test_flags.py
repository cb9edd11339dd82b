"""Flags …"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracegen.data import Trace, Verdict
from tracegen.flags import FLAGS, label
from tracegen.recipe import Flags

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "cases" / "flags.jsonl").read_text().splitlines()
]


def trace(case: dict[str, object]) -> Trace:
    return Trace(
        request="r",
        problem="p",
        thinking=str(case.get("thinking", "")) * int(str(case.get("repeat", 1))),
        answer=str(case.get("answer", "2")),
        closed=bool(case.get("closed", True)),
        thought=bool(case.get("thought", True)),
        dialect="tags",
        finish_reason=str(case.get("finish_reason", "stop")),
        forced_close=bool(case.get("forced_close", False)),
    )


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{case['flag']}" for n, case in enumerate(CASES)])
def test_are_set_as_the_case_says(case: dict[str, object]) -> None:
    verdict = Verdict("correct", "equal", extracted=str(case.get("extracted", "2")))
    found = FLAGS[str(case["flag"])](trace(case), verdict, Flags())
    assert (found is not None) == case["expected"]
    if found is not None:
        assert found.name == case["flag"]
        assert found.evidence


def test_have_a_case_each_way() -> None:
    for name in FLAGS:
        assert {case["expected"] for case in CASES if case["flag"] == name} == {True, False}, name


def test_are_all_reported_together() -> None:
    cut = Trace("r", "p", "so we", "", False, True, "tags", "length", completion_tokens=9)
    found = label(cut, Verdict("no_answer", "think_unclosed"), Flags())
    assert [flag.name for flag in found] == ["think_unclosed", "truncated"]


def test_of_a_loop_are_found_in_a_long_text_quickly() -> None:
    long = trace({"thinking": "and then we go on and on about it ", "repeat": 40_000})
    assert FLAGS["looping"](long, Verdict("correct", "equal"), Flags()) is not None
