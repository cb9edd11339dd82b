"""Problems of reasoning_gym."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from tracegen.data import GymAnswer, Verdict
from tracegen.errors import UserError
from tracegen.verify import gym
from tracegen.verify.pool import Pool

reasoning_gym = pytest.importorskip("reasoning_gym", reason="reasoning_gym is not installed (extra gym)")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(preload=("tracegen.verify.math:warm", "tracegen.verify.gym:warm"), workers=1) as pool:
        yield pool


def problem(dataset: str) -> GymAnswer:
    entry = reasoning_gym.create_dataset(dataset, size=1, seed=7)[0]
    return GymAnswer(dataset=dataset, answer=str(entry["answer"]), entry=json.dumps(entry))


def judge(pool: Pool, reference: GymAnswer, text: str) -> Verdict:
    return asyncio.run(gym.judge(pool, reference, text, bare=False, seconds=20.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "dataset", ["chain_sum", "simple_equations", "word_ladder", "letter_counting", "spell_backward"]
)
def test_asks_the_scorer_of_the_dataset(pool: Pool, dataset: str) -> None:
    reference = problem(dataset)
    right = judge(pool, reference, f"So it is \\boxed{{{reference.answer}}}.")
    assert (right.outcome, right.step) == ("correct", "scorer")
    wrong = judge(pool, reference, "So it is \\boxed{987654321}.")
    assert (wrong.outcome, wrong.step) == ("incorrect", "scorer")


@pytest.mark.parametrize("dataset", ["simple_integration", "countdown", "puzzle24", "number_sorting"])
@pytest.mark.slow
def test_does_not_run_a_scorer_that_evaluates_text(pool: Pool, dataset: str) -> None:
    reference = problem(dataset)
    verdict = judge(pool, reference, f"\\boxed{{{reference.answer}}}")
    assert (verdict.outcome, verdict.step) == ("correct", "math ladder")
    assert "may evaluate text" in verdict.evidence


@pytest.mark.slow
def test_uses_the_ladder_where_there_is_nothing_to_score_with(pool: Pool) -> None:
    for reference in (
        GymAnswer(dataset="chain_sum", answer="5", entry=""),
        GymAnswer(dataset="no_such", answer="5", entry="{}"),
    ):
        verdict = judge(pool, reference, "\\boxed{5}")
        assert (verdict.outcome, verdict.step) == ("correct", "math ladder")


def test_takes_the_whole_text_of_an_answer_in_lines(pool: Pool) -> None:
    reference = problem("sudoku")
    assert judge(pool, reference, reference.answer).outcome == "correct"


def test_has_no_answer_where_there_is_no_text(pool: Pool) -> None:
    assert judge(pool, problem("chain_sum"), "  ").outcome == "no_answer"


def test_scores_in_this_process_as_in_a_worker() -> None:
    reference = problem("chain_sum")
    assert gym.score("chain_sum", reference.entry, reference.answer) == [1.0, ""]
    assert gym.score("no_such", "{}", "5")[0] is None
    assert gym.score("countdown", "{}", "5")[0] is None
    value, reason = gym.score("word_ladder", "{}", "5")
    assert value is None
    assert "failed" in reason


def test_finds_what_is_hazardous_in_a_scorer() -> None:
    assert (
        gym.hazards("simple_integration")
        == ("parse_expr", "simplify")[: len(gym.hazards("simple_integration"))]
    )
    assert gym.hazards("chain_sum") == ()


def test_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'tracegen\[gym\]'"):
        gym.require()
