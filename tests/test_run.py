"""A build …"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import runs
from tracegen import run
from tracegen.errors import ProblemError, UserError
from tracegen.report import Report
from tracegen.store import Store


def built(folder: Path, **tables: object) -> tuple[run.Built, runs.Silent]:
    watch = runs.Silent()
    recipe = runs.load(folder, **tables)
    return run.build(recipe, folder, folder / "run", watch), watch


def rows(folder: Path, config: str) -> list[dict[str, object]]:
    files = sorted((folder / "run" / "dataset" / "data" / config).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def steps(report: Report) -> dict[str, tuple[int, int]]:
    return {step.name: (step.count, step.of) for step in report.funnel}


@pytest.fixture
def two_teachers(tmp_path: Path) -> dict[str, object]:
    """Six sums: the first teacher solves 0, 1, 2, errs at 3, 4, never closes 5; the second solves 3, 5."""
    runs.problems(tmp_path)
    first = {n: [runs.right(n)] for n in range(3)} | {
        3: [runs.wrong(3)],
        4: [runs.wrong(4)],
        5: [runs.unclosed(5)],
    }
    runs.recorded(tmp_path / "first.jsonl", first)
    runs.recorded(tmp_path / "second.jsonl", {3: [runs.right(3)], 4: [runs.wrong(4)], 5: [runs.right(5)]})
    return {"recovery": {"kind": "replay", "model": "second", "path": "second.jsonl"}}


def test_samples_verifies_recovers_and_publishes(tmp_path: Path, two_teachers: dict[str, object]) -> None:
    found, _ = built(tmp_path, **two_teachers)
    assert not found.stopped
    assert steps(found.report) == {
        "problems asked": (6, 6),
        "answered": (9, 9),
        "closed": (8, 9),
        "verified": (5, 8),
        "accepted": (5, 5),
        "solved by the first teacher": (3, 6),
        "recovered by the second": (2, 3),
        "kept": (5, 9),
    }
    assert {
        config: len(rows(tmp_path, config)) for config in ("verified", "recovered", "rejected", "all")
    } == {
        "verified": 5,
        "recovered": 2,
        "rejected": 4,
        "all": 9,
    }


def test_says_why_each_rejected_trace_is_rejected(tmp_path: Path, two_teachers: dict[str, object]) -> None:
    built(tmp_path, **two_teachers)
    reasons = sorted(str(row["reason"]) for row in rows(tmp_path, "rejected"))
    assert reasons[-1] == "no_answer: think_unclosed"
    assert all(reason.startswith("incorrect: ") for reason in reasons[:-1])


@pytest.mark.slow
def test_says_why_a_problem_went_to_the_second_teacher(
    tmp_path: Path, two_teachers: dict[str, object]
) -> None:
    built(tmp_path, **two_teachers)
    whys = {str(row["problem_key"]): str(row["recovery_reason"]) for row in rows(tmp_path, "recovered")}
    assert whys["sum-5"] == "1 no_answer: think_unclosed"
    assert whys["sum-3"].startswith("1 incorrect: ")


def test_never_shows_the_second_teacher_the_first_attempt_or_the_reference(
    tmp_path: Path, two_teachers: dict[str, object]
) -> None:
    _, watch = built(tmp_path, **two_teachers)
    recovery = [request for request in watch.requests if request.stage == "recovery"]
    assert len(recovery) == 3
    for request in recovery:
        text = " ".join(message.content for message in request.messages)
        assert "counting" not in text
        assert not any(f"{2 * n + 1}" in text.split() for n in (3, 4, 5))


@pytest.mark.slow
def test_asks_for_nothing_the_second_time(tmp_path: Path, two_teachers: dict[str, object]) -> None:
    first, _ = built(tmp_path, **two_teachers)
    again, watch = built(tmp_path, **two_teachers)
    assert watch.requests == []
    assert again.report.funnel == first.report.funnel
    with Store(tmp_path / "run", write=False) as store:
        assert store.counts()["repeated"] == 0


@pytest.mark.slow
def test_writes_the_same_bytes_again(tmp_path: Path, two_teachers: dict[str, object]) -> None:
    built(tmp_path, **two_teachers)
    before = {p.name: p.read_bytes() for p in (tmp_path / "run" / "dataset").rglob("*.parquet")}
    built(tmp_path, **two_teachers)
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "run" / "dataset").rglob("*.parquet")}


@pytest.mark.slow
def test_asks_only_for_the_problems_that_are_new(tmp_path: Path) -> None:
    runs.problems(tmp_path, 3)
    runs.recorded(tmp_path / "first.jsonl", {n: [runs.right(n)] for n in range(6)})
    built(tmp_path)
    rows_now = runs.problems(tmp_path, 6)
    runs.lines(tmp_path / "problems.jsonl", rows_now[::-1])
    _, watch = built(tmp_path)
    assert len(watch.requests) == 3


def test_does_not_ask_for_a_problem_whose_reference_it_cannot_read(tmp_path: Path) -> None:
    problems = runs.problems(tmp_path, 3)
    problems[1]["answer"] = "\\frac{1}{"
    runs.lines(tmp_path / "problems.jsonl", problems)
    runs.recorded(tmp_path / "first.jsonl", {n: [runs.right(n)] for n in range(3)})
    found, watch = built(tmp_path)
    assert [request.problem for request in watch.requests] != []
    assert len(watch.requests) == 2
    assert [refused.key for refused in found.report.refused] == ["sum-1"]


def test_refuses_a_run_in_which_nothing_can_be_asked(tmp_path: Path) -> None:
    runs.lines(tmp_path / "problems.jsonl", [{"id": "a", "question": "q", "answer": "\\frac{1}{"}])
    runs.recorded(tmp_path / "first.jsonl", {0: [runs.right(0)]})
    with pytest.raises(UserError, match="no problem can be asked: a: "):
        built(tmp_path)


def test_refuses_bad_rows_before_it_makes_a_run_directory(tmp_path: Path) -> None:
    runs.lines(tmp_path / "problems.jsonl", [{"question": "q"}])
    runs.recorded(tmp_path / "first.jsonl", {0: ["x"]})
    with pytest.raises(ProblemError):
        built(tmp_path)
    assert not (tmp_path / "run").exists()


def test_keeps_what_is_not_recorded_in_the_report(tmp_path: Path) -> None:
    runs.problems(tmp_path, 2)
    runs.recorded(tmp_path / "first.jsonl", {0: [runs.right(0)]})
    found, _ = built(tmp_path)
    assert found.report.unanswered == {"not_recorded": 1}
    assert steps(found.report)["answered"] == (1, 2)


def test_reports_a_run_from_its_directory_alone(tmp_path: Path, two_teachers: dict[str, object]) -> None:
    found, _ = built(tmp_path, **two_teachers)
    again = run.report_of(tmp_path / "run")
    assert again.funnel == found.report.funnel
    assert json.loads(run.to_json(again))["accepted"] == 5


def test_rejects_a_right_trace_without_thinking_but_keeps_it(tmp_path: Path) -> None:
    runs.problems(tmp_path, 1)
    runs.recorded(tmp_path / "first.jsonl", {0: ["<think>\n\n</think>\n\nThe answer is \\boxed{1}."]})
    built(tmp_path)
    assert [row["reason"] for row in rows(tmp_path, "rejected")] == ["flag: think_empty"]


@pytest.mark.slow
def test_relabels_and_republishes_without_a_teacher(tmp_path: Path, two_teachers: dict[str, object]) -> None:
    built(tmp_path, **two_teachers)
    found, watch = built(
        tmp_path, **two_teachers, flags={"think_short_words": 99}, select={"reject": ["think_short"]}
    )
    assert not [request for request in watch.requests if request.stage == "first"]
    assert found.report.accepted == 0


@pytest.mark.slow
def test_puts_all_traces_of_a_problem_into_one_split(tmp_path: Path) -> None:
    runs.problems(tmp_path, 30)
    runs.recorded(tmp_path / "first.jsonl", {n: [runs.right(n), runs.wrong(n)] for n in range(30)})
    teacher = {"kind": "replay", "model": "recorded", "path": "first.jsonl", "n": 2}
    built(tmp_path, teacher=teacher, publish={"test_share": 0.5})
    splits: dict[str, set[str]] = {}
    for row in rows(tmp_path, "all"):
        splits.setdefault(str(row["problem_id"]), set()).add(str(row["split"]))
    assert len(splits) == 30
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == {"train", "test"}


# --- problems without a reference, and references that traces agree against


def voting(folder: Path, answers: dict[int, list[str]], **tables: object) -> tuple[run.Built, runs.Silent]:
    """Sums of which the even ones have no answer, with the recorded final answers of each."""
    problems = runs.problems(folder, max(answers) + 1)
    for problem in problems[::2]:
        problem["answer"] = " "
    runs.lines(folder / "problems.jsonl", problems)
    told = {
        number: [runs.right(number)[:40] + f" {k}\n</think>\n\n\\boxed{{{a}}}" for k, a in enumerate(texts)]
        for number, texts in answers.items()
    }
    runs.recorded(folder / "first.jsonl", told)
    teacher = {"kind": "replay", "model": "recorded", "path": "first.jsonl", "n": 5}
    source = [{"path": "problems.jsonl", "without_answer": "vote"}]
    return built(folder, **{"teacher": teacher, "problems": source, **tables})


def test_refuses_a_missing_answer_unless_the_recipe_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r'answer: empty \(without_answer = "vote" would'):
        voting(tmp_path, {0: ["1"]}, problems=[{"path": "problems.jsonl"}])


@pytest.mark.slow
def test_votes_where_there_is_no_reference(tmp_path: Path) -> None:
    _, watch = voting(tmp_path, {0: ["42", "42.0", "\\frac{84}{2}", "7", "8"], 1: ["3"] * 5})
    assert len(watch.requests) == 10
    unjudged = [row for row in rows(tmp_path, "all") if row["reference"] == ""]
    assert [row["status"] for row in unjudged] == ["unjudged"] * 5
    assert {row["outcome"] for row in unjudged} == {"unverifiable"}
    assert {row["cause"] for row in unjudged} == {"no_reference"}
    assert {(row["votes"], row["agreement"], row["majority"]) for row in unjudged} == {(3, 0.6, "42")}
    assert unjudged[1]["evidence"] == "3 of 5 traces agree on 42"
    assert len(rows(tmp_path, "verified")) == 5
    assert rows(tmp_path, "rejected") == []
    given = next(row for row in rows(tmp_path, "verified"))
    assert (given["votes"], given["agreement"], given["majority"]) == (5, 1.0, "3")
    card = (tmp_path / "run" / "dataset" / "README.md").read_text()
    assert "without a reference to judge them by: 5 of 10" in card
    assert "their traces are `unverifiable` with the cause" in " ".join(card.split())


@pytest.mark.slow
def test_accepts_a_majority_with_weak_trust_where_the_recipe_says_so(tmp_path: Path) -> None:
    answers = {0: ["42", "42.0", "42", "7", "8"], 1: ["4"] * 5, 2: ["1", "2", "3", "4", "5"]}
    before, _ = voting(tmp_path, answers)
    found, watch = voting(tmp_path, answers, select={"accept_majority": 0.6})
    assert watch.requests == []
    kept = rows(tmp_path, "verified")
    assert [(row["trust"], row["outcome"]) for row in kept] == [("weak", "unverifiable")] * 3
    assert steps(found.report)["accepted by majority"] == (3, 10)
    assert steps(before.report)["accepted by majority"] == (0, 10)


@pytest.mark.slow
def test_asks_the_second_teacher_only_where_no_trace_has_an_answer(tmp_path: Path) -> None:
    runs.lines(tmp_path / "second.jsonl", [{"question": "What is 2 + 3?", "response": runs.right(2)}])
    second = {"kind": "replay", "model": "second", "path": "second.jsonl"}
    _, watch = voting(tmp_path, {0: ["1", "2", "3", "4", "5"], 2: [" "] * 5}, recovery=second)
    assert [request.stage for request in watch.requests].count("recovery") == 1


@pytest.mark.slow
def test_compares_nothing_again_and_publishes_the_same_bytes(tmp_path: Path) -> None:
    answers = {0: ["42", "42.0", "41", "43", "7"], 1: ["7", "7.0", "8", "14/2", "3"]}
    voting(tmp_path, answers)
    files = {p.name: p.read_bytes() for p in (tmp_path / "run" / "dataset").rglob("*.parquet")}
    with Store(tmp_path / "run", write=False) as store:
        count = "select count(*) from verdicts"
        before = store._read.execute(count).fetchone()
    voting(tmp_path, answers)
    with Store(tmp_path / "run", write=False) as store:
        assert store._read.execute(count).fetchone() == before
    assert files == {p.name: p.read_bytes() for p in (tmp_path / "run" / "dataset").rglob("*.parquet")}


@pytest.mark.slow
def test_votes_anew_when_more_is_sampled(tmp_path: Path) -> None:
    answers = {0: ["41", "41", "42", "42.0", "42"], 1: ["4"] * 5}
    teacher = {"kind": "replay", "model": "recorded", "path": "first.jsonl"}
    voting(tmp_path, answers, teacher={**teacher, "n": 2})
    assert {row["majority"] for row in rows(tmp_path, "all") if not row["reference"]} == {"41"}
    _, watch = voting(tmp_path, answers, teacher={**teacher, "n": 5})
    assert len(watch.requests) == 6
    told = [row for row in rows(tmp_path, "all") if not row["reference"]]
    assert {(row["majority"], row["votes"]) for row in told} == {("42", 3)}
    assert [row["evidence"] for row in told[:1]] == ["3 of 5 traces agree on 42; this one does not"]


@pytest.mark.slow
def test_suspects_a_reference_that_traces_agree_against(tmp_path: Path) -> None:
    found, _ = voting(tmp_path, {1: ["7", "7.0", "\\frac{14}{2}", "7", "3"], 3: ["7", "7", "7", "8", "9"]})
    (suspect,) = found.report.gold_suspect
    assert (suspect.key, suspect.reference, suspect.majority) == ("sum-1", "3", "7")
    assert (suspect.votes, suspect.voters, suspect.right) == (4, 5, 1)
    assert found.report.flags["gold_suspect"] == 5
    flagged = [row for row in rows(tmp_path, "all") if "gold_suspect" in str(row["flags"])]
    assert {row["problem_key"] for row in flagged} == {"sum-1"}
    assert {row["reference"] for row in flagged} == {"3"}
    assert sorted(str(row["outcome"]) for row in flagged) == ["correct", *["incorrect"] * 4]
    assert run.report_of(tmp_path / "run").gold_suspect == found.report.gold_suspect
