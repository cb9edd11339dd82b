"""The rows of the dataset: everything that is known of a trace, in one flat record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tracegen.data import (
    ChoiceAnswer,
    CodeTests,
    GymAnswer,
    JudgedAnswer,
    MathAnswer,
    Message,
    NoReference,
    Problem,
    Record,
    Reference,
    Trace,
)
from tracegen.plan import Plan
from tracegen.policy import Attempt, originals
from tracegen.prompts import question_of
from tracegen.sample import agreement, read_attempts
from tracegen.select import Choice, choose, split_of
from tracegen.store import Store
from tracegen.vote import Vote, settled, vote


def read_records(store: Store, plan: Plan, verifier: str, problems: Iterable[Problem]) -> Iterator[Record]:
    """The records of the problems, which are read from the store one problem at a time."""
    for problem in problems:
        attempts, found = read_problem(store, plan, problem, verifier)
        yield from records_of(problem, attempts, found, plan)


def read_problem(store: Store, plan: Plan, problem: Problem, verifier: str) -> tuple[list[Attempt], Vote]:
    """The judged attempts of a problem, with what their vote says of them, and the vote."""
    attempts = judged(read_attempts(store, plan, problem, verifier))
    found = vote(problem, attempts, agreement(store, problem, verifier))
    return settled(problem, attempts, found, plan.recipe.flags, plan.recipe.select), found


def judged(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Those that have a verdict; the others are owed."""
    return [attempt for attempt in attempts if attempt.verdict is not None]


def records_of(problem: Problem, attempts: Sequence[Attempt], found: Vote, plan: Plan) -> list[Record]:
    """One record for each judged attempt of a problem, in the same order."""
    choices = choose(attempts, plan.recipe.select, rewriting=plan.recipe.rewrite is not None)
    own = originals(attempts)
    tally = sum(attempt.accepted for attempt in own), len(own)
    why = recovery_reason(attempts)
    return [
        _record(problem, attempt, choice, plan, tally, why, found)
        for attempt, choice in zip(attempts, choices, strict=True)
    ]


def recovery_reason(attempts: Sequence[Attempt]) -> str:
    """What became of the first teacher's traces, such as `2 incorrect: different, 1 flag: truncated`."""
    fates: Counter[str] = Counter()
    for attempt in attempts:
        if attempt.request.stage == "first" and attempt.verdict is not None:
            right = attempt.verdict.outcome == "correct"
            blocking = f"flag: {', '.join(flag.name for flag in attempt.flags)}"
            fates[blocking if right else f"{attempt.verdict.outcome}: {attempt.verdict.cause}"] += 1
    return ", ".join(f"{count} {fate}" for fate, count in fates.most_common())


def reference_text(reference: Reference) -> str:
    """The reference as a reader would write it; a program's tests as JSON."""
    match reference:
        case MathAnswer(answer) | GymAnswer(answer=answer) | JudgedAnswer(answer):
            return answer
        case ChoiceAnswer(label):
            return label
        case CodeTests(tests):
            return msgspec.json.encode(tests).decode()
        case NoReference():
            return ""


def turns(problem: Problem, trace: Trace) -> tuple[Message, ...]:
    """The chat that a student is trained on: what is asked, without a prompt's words, and thinking inline
    before the answer."""
    thought = f"<think>\n{trace.thinking.strip()}\n</think>\n\n" if trace.thought else ""
    asked = Message("user", question_of(problem))
    return asked, Message("assistant", f"{thought}{trace.answer.strip()}")


def _record(
    problem: Problem,
    attempt: Attempt,
    choice: Choice,
    plan: Plan,
    tally: tuple[int, int],
    why: str,
    found: Vote,
) -> Record:
    request, trace, verdict = attempt.request, attempt.trace, attempt.verdict
    assert trace is not None and verdict is not None  # noqa: S101 - judged() has seen to it
    return Record(
        id=request.id,
        problem_id=problem.id,
        problem_key=problem.key,
        question=problem.question,
        reference=reference_text(problem.reference),
        domain=problem.domain,
        source=problem.source,
        licence=problem.licence,
        split=split_of(problem.id, plan.recipe.publish.test_share),
        status=choice.status,
        reason=choice.reason,
        stage=request.stage,
        recovery_reason=why if request.stage == "recovery" else "",
        teacher=plan.teachers[request.stage].model,
        teacher_id=request.teacher,
        index=request.index,
        messages=turns(problem, trace),
        thinking=trace.thinking,
        answer=trace.answer,
        finish_reason=trace.finish_reason,
        closed=trace.closed,
        forced_close=trace.forced_close,
        outcome=verdict.outcome,
        cause=verdict.cause,
        step=verdict.step,
        extracted=verdict.extracted,
        evidence=verdict.evidence,
        trust=verdict.trust,
        flags=tuple(flag.name for flag in attempt.flags),
        prompt_tokens=trace.prompt_tokens,
        completion_tokens=trace.completion_tokens,
        thinking_tokens=trace.thinking_tokens,
        sampling=request.sampling,
        seed=request.seed,
        problem_accepted=tally[0],
        problem_asked=tally[1],
        majority=found.majority,
        votes=found.votes,
        agreement=found.share,
        rewrite_of=request.source,
        rewritten_as=choice.rewritten_as,
        not_rewritten=choice.not_rewritten,
        language=problem.reference.language if isinstance(problem.reference, CodeTests) else "",
        logprobs=trace.logprobs,
    )
