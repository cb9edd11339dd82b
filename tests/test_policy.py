"""The policy …"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from tracegen.data import (
    Flag,
    MathAnswer,
    Message,
    NoReference,
    Problem,
    Request,
    Sampling,
    Stage,
    Trace,
    Verdict,
)
from tracegen.policy import Attempt, Rules, next_requests, planned

PROBLEM = Problem("1+1", MathAnswer("2"))
FIRST = Rules("first", n=3, max_tokens=100)
SECOND = Rules("recovery", n=2, max_tokens=200)


def ask(problem: Problem, stage: Stage, index: int, max_tokens: int) -> Request:
    sampling = Sampling(temperature=0.5, max_tokens=max_tokens)
    return Request(problem.id, stage, stage, (Message("user", problem.question),), "", sampling, index)


def answered(request: Request, *, right: bool = False, finish: str = "stop") -> Attempt:
    trace = Trace(request.id, PROBLEM.id, "thinking", "2", True, True, "tags", finish)
    return Attempt(request, trace, Verdict("correct" if right else "incorrect", "equal"), (), right)


def owed(attempts: Sequence[Attempt], *stages: Rules) -> list[tuple[str, int, int]]:
    found = next_requests(PROBLEM, attempts, stages or (FIRST, SECOND), ask)
    return [(request.stage, request.index, request.sampling.max_tokens) for request in found]


def tried(stage: Stage, count: int, *, right: int = 0, budget: int = 100) -> list[Attempt]:
    return [answered(ask(PROBLEM, stage, i, budget), right=i < right) for i in range(count)]


def test_asks_all_samples_of_a_new_problem() -> None:
    assert owed([]) == [("first", 0, 100), ("first", 1, 100), ("first", 2, 100)]


def test_asks_only_for_what_is_missing() -> None:
    assert owed(tried("first", 3)[::2]) == [("first", 1, 100)]


def test_asks_only_the_new_ones_when_n_is_raised() -> None:
    more = msgspec.structs.replace(FIRST, n=5)
    assert owed(tried("first", 3), more) == [("first", 3, 100), ("first", 4, 100)]


def test_sends_a_problem_without_an_accepted_trace_to_the_second_teacher() -> None:
    assert owed(tried("first", 3)) == [("recovery", 0, 200), ("recovery", 1, 200)]
    assert owed(tried("first", 3, right=1)) == []


def test_does_not_recover_while_a_verdict_is_owed() -> None:
    undecided = [Attempt(a.request, a.trace, Verdict("error", "container_lost")) for a in tried("first", 1)]
    assert owed(undecided + tried("first", 3)[1:]) == []
    unjudged = [Attempt(a.request, a.trace) for a in tried("first", 1)]
    assert owed(unjudged + tried("first", 3)[1:]) == []


def test_leaves_a_failed_request_owed_and_does_not_recover_for_it() -> None:
    failed = Attempt(ask(PROBLEM, "first", 0, 100), failure="timeout")
    assert owed([failed, *tried("first", 3)[1:]]) == []


def test_goes_on_without_a_response_that_was_never_recorded() -> None:
    missing = Attempt(ask(PROBLEM, "first", 0, 100), failure="not_recorded")
    assert owed([missing, *tried("first", 3)[1:]]) == [("recovery", 0, 200), ("recovery", 1, 200)]


def test_stops_early_once_enough_are_accepted() -> None:
    early = msgspec.structs.replace(FIRST, stop_after=1)
    assert owed([], early) == [("first", 0, 100)]
    assert owed(tried("first", 1), early) == [("first", 1, 100)]
    assert owed(tried("first", 1, right=1), early, SECOND) == []


def test_asks_truncated_traces_again_when_the_budget_is_raised() -> None:
    cut = [answered(ask(PROBLEM, "first", 0, 100), finish="length"), *tried("first", 3)[1:]]
    assert owed(cut, FIRST) == []
    assert owed(cut, msgspec.structs.replace(FIRST, max_tokens=400)) == [("first", 0, 400)]
    assert owed(cut, msgspec.structs.replace(FIRST, max_tokens=50)) == []


def test_asks_truncated_traces_once_more_with_the_retry_budget() -> None:
    retry = msgspec.structs.replace(FIRST, retry_max_tokens=300)
    cut = [answered(ask(PROBLEM, "first", 0, 100), finish="length"), *tried("first", 3)[1:]]
    assert owed(cut, retry) == [("first", 0, 300)]
    again = [*cut, answered(ask(PROBLEM, "first", 0, 300), finish="length")]
    assert owed(again, retry) == []


def test_does_not_mix_what_another_recipe_asked() -> None:
    warmer = msgspec.structs.replace(
        ask(PROBLEM, "first", 0, 100), sampling=Sampling(temperature=1.0, max_tokens=100)
    )
    assert ("first", 0, 100) in owed([answered(warmer)])
    assert planned(PROBLEM, [answered(warmer)], (FIRST,), ask) == []


def test_gives_the_planned_attempts_in_order_whatever_order_they_came_in() -> None:
    attempts = [*tried("first", 3), *tried("recovery", 2, budget=200)]
    for shuffled in itertools.islice(itertools.permutations(attempts), 0, 120, 17):
        assert planned(PROBLEM, shuffled, (FIRST, SECOND), ask) == attempts


def test_ends_whatever_the_outcomes_are() -> None:
    for rights in itertools.product([False, True], repeat=5):
        attempts: list[Attempt] = []
        outcomes = iter(rights)
        while requests := next_requests(PROBLEM, attempts, (FIRST, SECOND), ask):
            attempts += [answered(request, right=next(outcomes)) for request in requests]
        assert len(attempts) == (3 if any(rights[:3]) else 5)


def test_counts_a_flagged_trace_as_not_accepted() -> None:
    flagged = [
        msgspec.structs.replace(a, flags=(Flag("looping", ""),), accepted=False)
        for a in tried("first", 3, right=3)
    ]
    assert owed(flagged)[0][0] == "recovery"


def open_at(attempt: Attempt, sides: str, *, failure: str = "", said: str = "") -> Attempt:
    """The attempt with a verdict that the judge is asked about, or has failed to give, or has given."""
    judging = Request(PROBLEM.id, "judge", "judge", (Message("user", sides),), "", Sampling(), 0)
    ruling = Trace(judging.id, PROBLEM.id, "", said, True, False, "none", "stop") if said else None
    return msgspec.structs.replace(attempt, judging=judging, failure=failure, ruling=ruling)


def test_asks_the_judge_once_for_each_answer_and_before_anybody_else() -> None:
    first = tried("first", 3)
    waiting = [open_at(first[0], "a"), open_at(first[1], "a"), open_at(first[2], "b")]
    assert [stage for stage, _, _ in owed(waiting)] == ["judge", "judge"]
    early = msgspec.structs.replace(FIRST, stop_after=1)
    assert [stage for stage, _, _ in owed(waiting[:1], early)] == ["judge"]


def test_does_not_recover_while_the_judge_has_not_spoken() -> None:
    first = tried("first", 3)
    assert owed([open_at(first[0], "a", failure="timeout"), *first[1:]]) == []
    assert owed([open_at(first[0], "a", said="DIFFERENT"), *first[1:]])[0][0] == "recovery"
    assert owed([open_at(first[0], "a", failure="not_recorded"), *first[1:]])[0][0] == "recovery"


def test_does_not_ask_the_judge_about_what_the_recipe_no_longer_plans() -> None:
    fewer = msgspec.structs.replace(FIRST, n=2)
    first = tried("first", 3, right=1)
    assert owed([*first[:2], open_at(first[2], "a")], fewer) == []


def test_asks_all_samples_of_a_problem_without_a_reference_and_recovers_only_without_an_answer() -> None:
    nothing = Problem("1+1", NoReference("math"))
    verdict = Verdict("unverifiable", "no_reference", "vote", "2")
    made = [msgspec.structs.replace(one, verdict=verdict) for one in tried("first", 3)]

    def stages(attempts: Sequence[Attempt]) -> list[Stage]:
        return [request.stage for request in next_requests(nothing, attempts, (FIRST, SECOND), ask)]

    requests = [ask(nothing, "first", index, 100) for index in range(3)]
    made = [
        msgspec.structs.replace(one, request=request) for one, request in zip(made, requests, strict=True)
    ]
    assert stages(made[:1]) == ["first", "first"]
    assert stages(made) == []
    without = Verdict("no_answer", "no_answer")
    assert stages([msgspec.structs.replace(one, verdict=without) for one in made]) == ["recovery", "recovery"]
