"""The verifier as a whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tracegen.data import AssertTests, ChoiceAnswer, CodeTests, GymAnswer, MathAnswer, Problem, Verdict
from tracegen.errors import SandboxError
from tracegen.recipe import CodeLimits, Verify
from tracegen.verify import Verifier
from tracegen.verify.extract import WEAK

T = TypeVar("T")


def with_verifier(work: Callable[[Verifier], Awaitable[T]], settings: Verify | None = None) -> T:
    async def run() -> T:
        async with Verifier(settings or Verify(), sandbox=False) as verifier:
            return await work(verifier)

    return asyncio.run(run())


def judged(reference: str, *texts: str, bare: bool = False) -> list[Verdict]:
    async def work(verifier: Verifier) -> list[Verdict]:
        return list(
            await asyncio.gather(
                *(verifier.judge(MathAnswer(answer=reference), text, bare=bare) for text in texts)
            )
        )

    return with_verifier(work)


def checked(*references: str) -> list[Verdict]:
    async def work(verifier: Verifier) -> list[Verdict]:
        problems = [Problem(question="q", reference=MathAnswer(answer=text)) for text in references]
        return list(await asyncio.gather(*(verifier.check(problem) for problem in problems)))

    return with_verifier(work)


def test_judges_the_final_answer_of_a_text() -> None:
    right, wrong, none, cut, guessed = judged(
        "5",
        "2+3 is \\boxed{5}.",
        "It is \\boxed{6}, of 5.",
        "I cannot tell you that.",
        "so \\boxed{5",
        "That makes 5 in all.",
    )
    assert (right.outcome, right.extracted, right.trust) == ("correct", "5", "strong")
    assert (wrong.outcome, wrong.cause, wrong.extracted) == ("incorrect", "different", "6")
    assert (none.outcome, none.cause) == ("no_answer", "no_answer")
    assert (cut.outcome, cut.cause) == ("no_answer", "unclosed_box")
    assert (guessed.outcome, guessed.trust) == ("correct", "weak")
    assert {"last_number", "math"} == WEAK


def test_takes_a_bare_answer_as_it_is() -> None:
    plain, boxed, words, other = judged("12", "12", "\\boxed{12}", "The answer is $12$.", "7, 12", bare=True)
    assert [verdict.outcome for verdict in (plain, boxed, words, other)] == ["correct"] * 3 + ["incorrect"]


def test_reads_the_answer_in_a_reference_that_is_a_solution() -> None:
    (verdict,) = judged("He runs 9*60=<<9*60=540>>540 meters\n#### 540", "\\boxed{540}")
    assert verdict.outcome == "correct"


def test_accepts_readable_references_against_themselves() -> None:
    for verdict in checked(
        "5",
        r"\text{east}",
        "Evelyn",
        "(C)",
        r"\frac{1}{2}",
        "x^2+C",
        r"\lim_{x\to 0}\frac{\sin x}{x}",
        "#### 7",
    ):
        assert verdict.outcome == "correct", verdict


def test_refuses_references_that_nobody_can_read() -> None:
    for verdict in checked("", "?", r"\frac{1}{", r"\begin{cases} x \\"):
        assert (verdict.outcome, verdict.cause) == ("unverifiable", "reference_unreadable"), verdict


def test_checks_choices() -> None:
    async def work(verifier: Verifier) -> list[str]:
        references = [
            ChoiceAnswer(label="B", choices=("1", "2")),
            ChoiceAnswer(label="F", choices=("1", "2")),
        ]
        return [
            (await verifier.check(Problem(question="q", reference=reference))).outcome
            for reference in references
        ]

    assert with_verifier(work) == ["correct", "unverifiable"]


@pytest.mark.slow
def test_judges_choices_and_gym_problems() -> None:
    pytest.importorskip("reasoning_gym", reason="reasoning_gym is not installed (extra gym)")
    entry = json.dumps({"question": "2+3", "answer": "5", "metadata": {}})

    async def work(verifier: Verifier) -> list[Verdict]:
        reference = GymAnswer(dataset="chain_sum", answer="5", entry=entry)
        return [
            await verifier.judge(ChoiceAnswer(label="B"), "The answer is B."),
            await verifier.judge(reference, "\\boxed{5}"),
            await verifier.check(Problem(question="q", reference=reference)),
        ]

    assert [verdict.outcome for verdict in with_verifier(work)] == ["correct"] * 3


@pytest.mark.slow
def test_refuses_code_without_a_sandbox() -> None:
    tests = CodeTests(tests=AssertTests(statements=("assert f() == 1",)), entry_point="f")

    async def work(verifier: Verifier) -> None:
        await verifier.judge(tests, "def f(): return 1", bare=True)

    with pytest.raises(SandboxError, match="no sandbox"):
        with_verifier(work)


@pytest.mark.docker
def test_judges_code_in_the_sandbox() -> None:
    tests = CodeTests(
        tests=AssertTests(statements=("assert f(1) == 2",)),
        entry_point="f",
        solution="def f(x): return x + 1",
    )

    async def run() -> list[str]:
        async with Verifier(Verify(code=CodeLimits(containers=1)), sandbox=True) as verifier:
            assert verifier.digest != Verifier(Verify(), sandbox=False).digest
            return [
                (await verifier.check(Problem(question="q", reference=tests))).outcome,
                (await verifier.judge(tests, "```python\ndef f(x):\n    return x + 1\n```")).outcome,
                (await verifier.judge(tests, "```python\ndef f(x):\n    return None\n```")).outcome,
            ]

    assert asyncio.run(run()) == ["correct", "correct", "incorrect"]


@pytest.mark.slow
def test_judges_many_at_once() -> None:
    texts = [f"\\boxed{{{number}}}" for number in range(500)] + [r"\boxed{\sqrt{25}}"] * 50
    verdicts = judged("5", *texts)
    assert sum(verdict.outcome == "correct" for verdict in verdicts) == 51
    assert all(verdict.outcome in ("correct", "incorrect") for verdict in verdicts)


@pytest.mark.slow
def test_goes_on_after_a_poisoned_answer() -> None:
    async def work(verifier: Verifier) -> list[Verdict]:
        texts = [
            r"\boxed{\prod_{k=1}^{10^7} k}",
            r"\boxed{2\sqrt{2}}",
            r"\boxed{\lim_{n\to\infty}\sum_{k=1}^{10^9} \frac{1}{k}}",
            r"\boxed{2\sqrt{2}}",
        ]
        return list(
            await asyncio.gather(*(verifier.judge(MathAnswer(answer=r"\sqrt{8}"), text) for text in texts))
        )

    first, second, third, fourth = with_verifier(work, Verify(math_seconds=1.0))
    assert (first.outcome, first.cause) == ("unverifiable", "too_large")
    assert (third.outcome, third.cause) == ("unverifiable", "timeout")
    assert second.outcome == fourth.outcome == "correct"


def test_has_a_digest_of_what_verdicts_depend_on() -> None:
    usual = Verifier(Verify(), sandbox=False).digest
    assert Verifier(Verify(workers=7), sandbox=False).digest == usual
    assert Verifier(Verify(math_seconds=1.0), sandbox=False).digest != usual
    assert Verifier(Verify(unit_missing="reject"), sandbox=False).digest != usual


@pytest.mark.slow
def test_accepts_the_references_of_gsm8k_and_math_500(shared: Path) -> None:
    gsm8k = [
        json.loads(line)["answer"] for line in (shared / "problems/gsm8k/test.jsonl").read_text().splitlines()
    ]
    math500 = [
        row["answer"] for row in json.loads((shared / "problems/math500/math500_test.json").read_text())
    ]
    verdicts = checked(*gsm8k, *math500)
    refused = [verdict for verdict in verdicts if verdict.outcome != "correct"]
    assert len(verdicts) == 1_819
    assert len(refused) <= 18, refused


@pytest.mark.slow
def test_finds_a_reference_in_words_in_the_last_sentence() -> None:
    said, denied, other = judged(
        "east",
        "She turns 2250 degrees. Therefore, the skater ends her spin facing east.",
        "She turns 2250 degrees. Therefore, the skater is not facing east at all.",
        "She turns 2250 degrees. Therefore, the skater ends her spin facing west.",
    )
    assert (said.outcome, said.trust) == ("correct", "weak")
    assert denied.outcome == other.outcome == "incorrect"
