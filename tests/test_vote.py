"""The vote …"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tracegen.data import (
    AssertTests,
    ChoiceAnswer,
    CodeTests,
    Flag,
    GymAnswer,
    MathAnswer,
    Message,
    NoReference,
    Problem,
    Reference,
    Request,
    Sampling,
    Trace,
    Verdict,
)
from tracegen.policy import Attempt
from tracegen.recipe import Flags, Select
from tracegen.select import choose
from tracegen.verify.agreement import agree, unjudged
from tracegen.verify.pool import Pool
from tracegen.vote import COMPARED, Likeness, Same, Vote, group, settled, suspicion, vote

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "cases" / "vote.jsonl").read_text().splitlines()
]
GIVEN = Problem("What is it?", MathAnswer("5"))
OPEN = Problem("What is it?", NoReference("math"))
KINDS = {
    "right": Verdict("correct", "equal", "exact"),
    "wrong": Verdict("incorrect", "different", "exact"),
    "open": Verdict("unverifiable", "no_reference", "vote", trust="none"),
    "undecided": Verdict("unverifiable", "timeout", "pool"),
}


def attempt(kind: str, answer: str, number: int, flags: tuple[str, ...] = ()) -> Attempt:
    request = Request("p", "t", "first", (Message("user", "q"),), "", Sampling(), number)
    trace = Trace(request.id, "p", f"thought {number}", answer, True, True, "tags", "stop")
    verdict = Verdict(
        **{**{f: getattr(KINDS[kind], f) for f in Verdict.__struct_fields__}, "extracted": answer}
    )
    return Attempt(request, trace, verdict, tuple(Flag(name, "") for name in flags), kind == "right")


def attempts(case: dict[str, Any]) -> list[Attempt]:
    wanted = [(kind, answer) for kind in KINDS for answer in case.get(kind, [])]
    made = [attempt(kind, answer, number) for number, (kind, answer) in enumerate(wanted)]
    return made + made[:1] * int(case.get("copies", 0))


def knowing(pairs: Sequence[Sequence[str]]) -> Same:
    known = {frozenset(pair) for pair in pairs}
    return lambda first, second: "same" if frozenset((first, second)) in known else "different"


def voted(case: dict[str, Any], found: Sequence[Attempt] | None = None) -> tuple[Problem, Vote]:
    problem = OPEN if "open" in case else GIVEN
    return problem, vote(problem, found or attempts(case), knowing(case.get("same", [])))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["note"])
def test_counts_and_suspects(case: dict[str, Any]) -> None:
    problem, found = voted(case)
    assert (found.majority, found.votes, found.voters) == (case["majority"], case["votes"], case["voters"])
    assert bool(suspicion(problem, found, Flags(**case.get("flags", {})))) == case.get("suspect", False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["note"])
def test_does_not_depend_on_the_order_of_the_traces(case: dict[str, Any]) -> None:
    made = attempts(case)
    for shuffled in itertools.islice(itertools.permutations(made), 0, 200, 7):
        assert voted(case, shuffled) == voted(case)


def test_says_which_comparison_is_owed_until_none_is() -> None:
    made = [attempt("open", answer, number) for number, answer in enumerate(["1", "2", "3", "1"])]
    known: dict[tuple[str, str], Likeness] = {}
    while (owed := vote(OPEN, made, lambda *pair: known.get(pair)).owed) is not None:
        assert owed not in known
        known[owed] = "same" if owed == ("2", "3") else "different"
    assert list(known) == [("1", "2"), ("1", "3"), ("2", "3")]
    found = vote(OPEN, made, lambda *pair: known.get(pair))
    assert (found.majority, found.votes, found.writings) == ("1", 2, frozenset({"1"}))


def test_compares_nothing_where_that_could_change_nothing() -> None:
    def unasked(*_: str) -> Likeness:
        raise AssertionError

    same = [attempt("open", "7", number) for number in range(9)]
    assert vote(OPEN, same, unasked).votes == 9
    solved = [attempt("right", "5", n) for n in range(3)] + [
        attempt("wrong", str(n), 9 + n) for n in range(3)
    ]
    assert vote(GIVEN, solved, unasked).votes == 3
    code = Problem("Write it.", CodeTests(AssertTests(("assert f()",)), "f"))
    assert vote(code, [attempt("wrong", str(n), n) for n in range(5)], unasked) == Vote()


def test_compares_only_so_many_writings() -> None:
    asked: list[tuple[str, ...]] = []

    def never(*pair: str) -> Likeness:
        asked.append(pair)
        return "different"

    groups, owed = group([str(number) for number in range(500)], never)
    assert len(groups) == 500
    assert owed is None
    assert len(asked) == COMPARED * (COMPARED - 1) // 2


def test_gives_up_on_answers_that_take_too_long_to_compare() -> None:
    asked: list[tuple[str, str]] = []

    def slow(first: str, second: str) -> Likeness:
        if "monster" in first + second:
            asked.append((first, second))
            return "costly"
        return "same" if float(first) == float(second) else "different"

    mixed = ["42", "42", "42.0", "42.00", "7", "a monster", "a monster"]
    groups, _ = group(mixed, slow)
    assert sorted(found.votes for found in groups) == [1, 2, 4]
    assert len(asked) <= 3
    asked.clear()
    group([f"monster {number}" for number in range(COMPARED)], slow)
    assert len(asked) <= COMPARED


def test_counts_the_samples_of_a_teacher_at_temperature_0_as_one() -> None:
    made = attempts({"wrong": ["7", "7", "7", "7"]})
    greedy = [
        msgspec.structs.replace(
            one, request=msgspec.structs.replace(one.request, sampling=Sampling(temperature=0.0))
        )
        for one in made
    ]
    found = vote(GIVEN, [*greedy, made[0]], knowing([]))
    assert (found.votes, found.voters) == (2, 2)


def test_counts_a_sample_that_was_asked_again_as_it_was_answered_last() -> None:
    first, second = attempts({"wrong": ["7", "8"]})
    again = msgspec.structs.replace(second, request=first.request)
    assert vote(GIVEN, [first, again], knowing([])).majority == "8"


def test_flags_every_trace_of_a_suspected_problem_and_changes_no_verdict() -> None:
    made = attempts({"wrong": ["7", "7", "7", "7"], "right": ["5", "5"], "undecided": ["x"]})
    found = vote(GIVEN, made, knowing([]))
    told = settled(GIVEN, made, found, Flags(), Select())
    assert [[flag.name for flag in one.flags] for one in told] == [["gold_suspect"]] * 7
    assert told[0].flags[0].evidence == "4 of 6 traces agree on 7, 2 on the reference"
    assert [one.verdict for one in told] == [one.verdict for one in made]
    assert [one.accepted for one in told] == [one.accepted for one in made]


def test_keeps_suspected_problems_out_where_the_recipe_says_so() -> None:
    made = attempts({"wrong": ["7", "7", "7", "7"], "right": ["5", "5"]})
    found = vote(GIVEN, made, knowing([]))
    told = settled(GIVEN, made, found, Flags(), Select(reject=("gold_suspect",)))
    assert not any(one.accepted for one in told)
    reasons = {choice.reason for choice in choose(told, Select(reject=("gold_suspect",)))}
    assert reasons == {"incorrect: different", "flag: gold_suspect"}


@pytest.mark.parametrize(
    ("answers", "share", "accepted"),
    [
        (["7", "7", "7", "8"], 0.0, 0),
        (["7", "7", "7", "8"], 0.75, 3),
        (["7", "7", "7", "8"], 0.76, 0),
        (["7", "7"], 0.5, 0),
        (["7", "7", "7"], 1.0, 3),
    ],
)
def test_accepts_a_majority_only_where_the_recipe_says_so(
    answers: list[str], share: float, accepted: int
) -> None:
    select = Select(accept_majority=share)
    made = attempts({"open": answers})
    told = settled(OPEN, made, vote(OPEN, made, knowing([])), Flags(), select)
    assert [one.accepted for one in told] == [True] * accepted + [False] * (len(answers) - accepted)
    assert [choice.status for choice in choose(told, select)] == [
        "accepted" if one.accepted else "unjudged" for one in told
    ]
    assert {one.verdict.trust for one in told if one.verdict and one.accepted} <= {"weak"}
    assert {one.verdict.outcome for one in told if one.verdict} == {"unverifiable"}


def test_gives_its_count_as_evidence() -> None:
    made = attempts({"open": ["42", "42", "41"]})
    told = settled(OPEN, made, vote(OPEN, made, knowing([])), Flags(), Select())
    said = [one.verdict.evidence for one in told if one.verdict]
    assert said == ["2 of 3 traces agree on 42"] * 2 + ["2 of 3 traces agree on 42; this one does not"]


def test_does_not_accept_a_flagged_trace_of_the_majority() -> None:
    made = [attempt("open", "7", n, ("truncated",) if n == 0 else ()) for n in range(4)]
    select = Select(accept_majority=0.5)
    told = settled(OPEN, made, vote(OPEN, made, knowing([])), Flags(), select)
    assert [one.accepted for one in told] == [False, True, True, True]
    assert choose(told, select)[0].reason == "flag: truncated"


# --- which answers say the same


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(preload=("tracegen.verify.math:warm",), workers=1) as pool:
        yield pool


PAIRS: list[tuple[Reference, str, str, bool]] = [
    (NoReference("math"), "42", "42.0", True),
    (NoReference("math"), "\\frac{1}{2}", "0.5", True),
    (NoReference("math"), "1/3", "0.333", False),  # each has to be right as the answer to the other
    (NoReference("math"), "\\pi", "3.14", False),
    (NoReference("math"), "2\\sqrt{2}", "\\sqrt{8}", True),
    (NoReference("math"), "(1, 2)", "(2, 1)", False),
    (NoReference("math"), "yes", "Yes.", True),
    (NoReference("math"), "east", "west", False),
    (NoReference("math"), "odd", "The function is odd", True),
    (MathAnswer("5"), "7", "7.00", True),
    (NoReference("choice", ("10", "12")), "B", "(b)", True),
    (NoReference("choice", ("10", "12")), "B", "12", True),
    (NoReference("choice", ("10", "12")), "A", "12.0", False),
    (ChoiceAnswer("A", ("10", "12")), "12.0", "B) 12", True),
    (ChoiceAnswer("A"), "C", "(C)", True),
    (ChoiceAnswer("A"), "C", "D", False),
    (ChoiceAnswer("A"), "no label", "no label", True),
    (GymAnswer("chain_sum", "5", "{}"), "1 2 3", "1  2 3", True),
    (GymAnswer("chain_sum", "5", "{}"), "1 2 3", "12 3", False),
    (CodeTests(AssertTests(("assert f()",)), "f"), "def f(): pass", "def f(): pass", False),
]


@pytest.mark.parametrize(("reference", "first", "second", "same"), PAIRS)
def test_takes_answers_for_the_same_in_both_directions_or_not_at_all(
    pool: Pool, reference: Reference, first: str, second: str, same: bool
) -> None:
    for one, other in ((first, second), (second, first)):
        verdict = asyncio.run(agree(pool, reference, one, other, seconds=5.0))
        assert (verdict.outcome == "correct") == same, verdict


@pytest.mark.parametrize(
    ("reference", "text", "outcome", "extracted"),
    [
        (NoReference("math"), "So it is \\boxed{42}.", "unverifiable", "42"),
        (NoReference("math"), "I cannot tell you that.", "no_answer", ""),
        (NoReference("math"), "so \\boxed{5", "no_answer", ""),
        (NoReference("choice"), "We look at all of them and only (B) can hold.", "unverifiable", "B"),
    ],
)
def test_reads_answers_that_nothing_can_judge(
    reference: NoReference, text: str, outcome: str, extracted: str
) -> None:
    verdict = unjudged(reference, text, bare=False)
    assert (verdict.outcome, verdict.extracted) == (outcome, extracted)
    assert verdict.outcome != "unverifiable" or (verdict.cause, verdict.trust) == ("no_reference", "none")
