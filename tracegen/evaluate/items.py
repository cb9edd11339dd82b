"""What a model said to each problem, judged and classed: read from a finished run, nothing is asked.

Whether an answer follows from the thinking is decided by the verifier: `last` where the last value that
the thinking states is the answer, `occurs` where the answer at least occurs in it, `absent` where it does
not. Thinking without an answer, answers without thinking, programs and long texts are not asked about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Literal

from tracegen.classes import Class, class_of
from tracegen.data import (
    ChoiceAnswer,
    CodeTests,
    MathAnswer,
    Outcome,
    Problem,
    Reference,
    Struct,
    Trace,
)
from tracegen.flags.answer import DRESS, NUMBER, SHORT
from tracegen.plan import Plan
from tracegen.policy import Attempt
from tracegen.recipe import Verify
from tracegen.sample import read_attempts
from tracegen.store import Store
from tracegen.verify import Verifier
from tracegen.verify.extract import final_answer

Follows = Literal["last", "occurs", "absent", ""]
SHOWN = 1500
"""Characters of a thinking and of an answer that are kept for the reader."""
RIGHT = "the reference"
"""What a right sample votes for: everything that the verifier calls equal to the reference is one vote."""


class Sample(Struct, frozen=True):
    """One judged answer."""

    outcome: Outcome
    cause: str
    kind: Class
    """What became of the thinking."""
    vote: str
    """Its answer, written plainly; empty without one."""
    truncated: bool
    words: int
    """Of the thinking."""
    tokens: int | None
    """Of the thinking; None where nobody has counted."""
    follows: Follows
    thinking: str
    """Its end."""
    answer: str
    """Its beginning."""


class Item(Struct, frozen=True):
    """A problem and what one model said to it."""

    problem: str
    """Problem id."""
    samples: tuple[Sample, ...]

    @property
    def judged(self) -> tuple[Sample, ...]:
        """Samples that a verifier could judge; a timeout of the verifier is no wrong answer."""
        return tuple(s for s in self.samples if s.outcome not in ("unverifiable", "error"))

    @property
    def right(self) -> int:
        """How many are right."""
        return sum(sample.outcome == "correct" for sample in self.samples)

    @property
    def rate(self) -> float:
        """Share of the judged samples that is right; 0 without any."""
        return self.right / len(self.judged) if self.judged else 0.0


Tokens = Callable[[str], int]


def read_items(store: Store, plan: Plan, verify: Verify, tokens: Tokens | None) -> dict[str, Item]:
    """The answered problems of a run by their id. `tokens` counts those of a thinking that nobody counted."""
    verifier = store.verifier()
    answered: list[tuple[Problem, list[Attempt]]] = []
    for problem in store.problems():
        attempts = [a for a in read_attempts(store, plan, problem, verifier) if a.verdict is not None]
        if attempts:
            answered.append((problem, attempts))
    follows = asyncio.run(_follow(answered, verify))
    return {
        problem.id: Item(
            problem.id,
            tuple(_sample(attempt, follows.get(attempt.request.id, ""), tokens) for attempt in attempts),
        )
        for problem, attempts in answered
    }


def _sample(attempt: Attempt, follows: Follows, tokens: Tokens | None) -> Sample:
    trace, verdict = attempt.trace, attempt.verdict
    assert trace is not None and verdict is not None  # noqa: S101 - only judged attempts get here
    counted = trace.thinking_tokens
    if counted is None and tokens is not None:
        counted = tokens(trace.thinking)
    return Sample(
        outcome=verdict.outcome,
        cause=verdict.cause,
        kind=class_of(trace, verdict),
        vote=RIGHT if verdict.outcome == "correct" else plainly(verdict.extracted),
        truncated=trace.finish_reason == "length",
        words=len(trace.thinking.split()),
        tokens=counted,
        follows=follows,
        thinking=trace.thinking[-SHOWN:],
        answer=trace.answer[:SHOWN],
    )


def plainly(answer: str) -> str:
    """An answer as it is compared with others of its problem: no space, no case, no dressing."""
    text = DRESS.sub("", answer).casefold()
    return text.strip("$.").removesuffix(".0").removesuffix(".00")


# --- whether the answer follows ----------------------------------------------------------------------


class Claim(Struct, frozen=True):
    """An answer that is looked for in the thinking before it."""

    problem: Problem
    trace: Trace
    answer: str
    absent: bool
    """The flag `answer_not_in_thinking`."""

    @property
    def plain(self) -> bool:
        """The last value of the thinking, or its last number, is written like the answer: no need to ask."""
        stated = {final_answer(self.trace.thinking)[0], *NUMBER.findall(self.trace.thinking)[-1:]}
        return plainly(self.answer) in {plainly(value) for value in stated}

    @property
    def reference(self) -> Reference:
        """The answer as what the thinking is judged against."""
        if isinstance(self.problem.reference, ChoiceAnswer):
            return ChoiceAnswer(self.answer, self.problem.reference.choices)
        return MathAnswer(self.answer)


async def _follow(answered: Iterable[tuple[Problem, list[Attempt]]], settings: Verify) -> dict[str, Follows]:
    """For each request whose answer can be looked for in its thinking, whether it is there."""
    claims = [
        claim
        for problem, attempts in answered
        for attempt in attempts
        if (claim := _claim(problem, attempt)) is not None
    ]
    found: dict[str, Follows] = {claim.trace.request: "last" for claim in claims if claim.plain}
    rest = [claim for claim in claims if claim.trace.request not in found]
    if not rest:
        return found
    gate = asyncio.Semaphore(64)

    async def judged(claim: Claim) -> Follows:
        async with gate:
            verdict = await verifier.judge(claim.reference, claim.trace.thinking)
        return "last" if verdict.outcome == "correct" else "absent" if claim.absent else "occurs"

    async with Verifier(settings, sandbox=False) as verifier:
        told = await asyncio.gather(*map(judged, rest))
    return found | {claim.trace.request: what for claim, what in zip(rest, told, strict=True)}


def _claim(problem: Problem, attempt: Attempt) -> Claim | None:
    trace, verdict = attempt.trace, attempt.verdict
    if trace is None or verdict is None or isinstance(problem.reference, CodeTests):
        return None
    if not trace.closed or not trace.thinking.strip() or not 0 < len(verdict.extracted.strip()) <= SHORT:
        return None
    absent = any(flag.name == "answer_not_in_thinking" for flag in attempt.flags)
    return Claim(problem, trace, verdict.extracted, absent)
