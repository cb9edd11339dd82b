"""Selection …"""

from __future__ import annotations

from tracegen.data import Flag, Message, Request, Sampling, Trace, Verdict
from tracegen.policy import Attempt
from tracegen.recipe import Select
from tracegen.select import Choice, choose, rejection, split_of


def attempt(
    thinking: str, *, outcome: str = "correct", extracted: str = "2", flags: tuple[str, ...] = ()
) -> Attempt:
    request = Request("p", "t", "first", (Message("user", "q"),), "", Sampling(), 0)
    trace = Trace("r", "p", thinking, extracted, True, True, "tags", "stop")
    verdict = Verdict(outcome, "different", extracted=extracted)  # type: ignore[arg-type]  # one of the outcomes
    return Attempt(request, trace, verdict, tuple(Flag(name, "") for name in flags), outcome == "correct")


def test_rejects_with_the_verdict_and_its_cause() -> None:
    assert rejection(Verdict("incorrect", "different"), (), Select()) == "incorrect: different"


def test_rejects_a_correct_trace_for_a_blocking_flag_only() -> None:
    right = Verdict("correct", "equal")
    assert rejection(right, (Flag("looping", ""),), Select()) == "flag: looping"
    assert rejection(right, (Flag("think_short", ""),), Select()) == ""


def test_keeps_the_first_of_equal_traces_and_calls_the_others_surplus() -> None:
    found = choose([attempt("a"), attempt("a"), attempt("b", outcome="incorrect")], Select())
    assert found == [
        Choice("accepted"),
        Choice("surplus", "duplicate"),
        Choice("rejected", "incorrect: different"),
    ]


def test_keeps_the_shortest_thinkings_of_a_problem() -> None:
    found = choose([attempt("long thinking"), attempt("short"), attempt("middling")], Select(per_problem=2))
    assert [choice.reason for choice in found] == ["per_problem", "", ""]


def test_splits_by_problem_and_by_the_share() -> None:
    splits = [split_of(f"problem {n}", 0.05) for n in range(4000)]
    assert 120 < splits.count("test") < 280
    assert splits == [split_of(f"problem {n}", 0.05) for n in range(4000)]
    assert {split_of(str(n), 0.0) for n in range(100)} == {"train"}
    assert {split_of(str(n), 1.0) for n in range(100)} == {"test"}
