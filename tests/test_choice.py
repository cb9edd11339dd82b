"""Multiple choice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tracegen.data import ChoiceAnswer, Verdict
from tracegen.verify import choice
from tracegen.verify.labels import labels, only_label
from tracegen.verify.pool import Pool

OPTIONS = ChoiceAnswer(label="B", choices=("10", "12", "14", r"\frac{1}{2}"))
BARE = ChoiceAnswer(label="B")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(preload=("tracegen.verify.math:warm",), workers=1) as pool:
        yield pool


def judge(pool: Pool, reference: ChoiceAnswer, text: str, *, bare: bool = False) -> Verdict:
    return asyncio.run(choice.judge(pool, reference, text, bare=bare, seconds=5.0))


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "(B)",
        "b",
        "B.",
        "The answer is B.",
        r"\boxed{\textbf{(B) } 12}",
        r"\boxed{\text{B}}",
        "B) 12",
        "**B**",
        "**Answer:** (B) 12",
        "The correct option is (B).",
        "I choose option B",
        "So the correct answer is (b) because it fits.",
        "We compare all four of them in turn and see that only (B) can hold.",
    ],
)
@pytest.mark.parametrize("reference", [OPTIONS, BARE])
def test_accepts_the_label_in_many_writings(pool: Pool, text: str, reference: ChoiceAnswer) -> None:
    assert judge(pool, reference, text).outcome == "correct"


@pytest.mark.parametrize("text", ["A", "(C)", r"\boxed{\text{D}}", "The answer is C.", "A) 12"])
def test_refuses_another_label(pool: Pool, text: str) -> None:
    verdict = judge(pool, OPTIONS, text)
    assert (verdict.outcome, verdict.cause, verdict.step) == ("incorrect", "different", "label")


@pytest.mark.parametrize(
    ("text", "outcome"), [("12", "correct"), (r"\boxed{12.0}", "correct"), (r"\boxed{0.5}", "incorrect")]
)
def test_compares_the_text_of_an_option(pool: Pool, text: str, outcome: str) -> None:
    verdict = judge(pool, OPTIONS, text)
    assert (verdict.outcome, verdict.step) == (outcome, "option")


def test_says_that_a_text_is_no_option(pool: Pool) -> None:
    assert judge(pool, OPTIONS, r"\boxed{99}").cause == "different"
    assert judge(pool, BARE, r"\boxed{99}").cause == "no_label"
    assert judge(pool, BARE, "").cause == "no_answer"


def test_does_not_choose_between_equal_options(pool: Pool) -> None:
    verdict = judge(pool, ChoiceAnswer(label="A", choices=("0.5", r"\frac{1}{2}")), "1/2", bare=True)
    assert (verdict.outcome, verdict.cause) == ("unverifiable", "ambiguous")


def test_compares_several_labels_as_a_set(pool: Pool) -> None:
    reference = ChoiceAnswer(label="AC")
    assert judge(pool, reference, r"\boxed{\text{C and A}}").outcome == "correct"
    assert judge(pool, reference, r"\boxed{A}").outcome == "incorrect"


def test_gives_a_guessed_label_weak_trust(pool: Pool) -> None:
    assert (
        judge(pool, BARE, "Compare them all in turn and we see that only (B) can be what they mean.").trust
        == "weak"
    )


@pytest.mark.parametrize(
    ("reference", "broken"),
    [(OPTIONS, False), (ChoiceAnswer(label="E", choices=("1", "2")), True), (ChoiceAnswer(label="12"), True)],
)
def test_finds_references_that_cannot_be_used(reference: ChoiceAnswer, broken: bool) -> None:
    assert bool(choice.broken(reference)) == broken


def test_reads_no_label_into_words() -> None:
    assert labels("east") == frozenset()
    assert labels("12") == frozenset()
    assert only_label("x") == ""
    assert only_label(r"\text{(C)}") == "C"
