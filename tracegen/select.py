"""Which traces are accepted and which kept, each with its reason; nothing is dropped in silence."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from tracegen.data import Flag, Struct, Verdict
from tracegen.policy import Attempt
from tracegen.recipe import Select

SUSPECT_TRACES = 3
"""So many traces have to agree against a reference before it is suspected."""


class Choice(Struct, frozen=True):
    """What becomes of a trace in the dataset."""

    status: Literal["accepted", "rejected", "surplus"]
    reason: str = ""


def rejection(verdict: Verdict, flags: Sequence[Flag], settings: Select) -> str:
    """Why a trace is not accepted; empty if it is."""
    if verdict.outcome != "correct":
        return f"{verdict.outcome}: {verdict.cause}"
    blocking = [flag.name for flag in flags if flag.name in settings.reject]
    return f"flag: {', '.join(blocking)}" if blocking else ""


def choose(attempts: Sequence[Attempt], settings: Select) -> list[Choice]:
    """The fate of each trace of one problem, in the order given.

    Of accepted traces with the same text only the first is kept, and of the rest the
    `per_problem` with the shortest thinking; the others are surplus, which is not a fault.
    """
    choices: list[Choice] = []
    seen: set[tuple[str, str]] = set()
    kept: list[int] = []
    for index, attempt in enumerate(attempts):
        assert attempt.verdict is not None and attempt.trace is not None  # noqa: S101 - narrows the type
        reason = rejection(attempt.verdict, attempt.flags, settings)
        text = (attempt.trace.thinking, attempt.trace.answer)
        if reason:
            choices.append(Choice("rejected", reason))
        elif text in seen:
            choices.append(Choice("surplus", "duplicate"))
        else:
            choices.append(Choice("accepted"))
            kept.append(index)
            seen.add(text)
    for index in _over(attempts, kept, settings.per_problem):
        choices[index] = Choice("surplus", "per_problem")
    return choices


def gold_suspect(attempts: Sequence[Attempt]) -> bool:
    """No trace is right, and at least three and two thirds of those with an answer agree on another one.

    The reference is never overwritten; agreement is of the extracted text, so it misses some.
    """
    answers = [
        attempt.verdict.extracted.strip()
        for attempt in attempts
        if attempt.verdict and attempt.verdict.extracted
    ]
    if not answers or any(attempt.verdict and attempt.verdict.outcome == "correct" for attempt in attempts):
        return False
    agreeing = Counter(answers).most_common(1)[0][1]
    return agreeing >= SUSPECT_TRACES and agreeing * 3 >= len(answers) * 2


def split_of(problem: str, test_share: float) -> Literal["train", "test"]:
    """The split of a problem and so of all its traces: a draw by its id, the same in every run."""
    draw = int(hashlib.sha256(f"split {problem}".encode()).hexdigest()[:8], 16) / 2**32
    return "test" if draw < test_share else "train"


def _over(attempts: Sequence[Attempt], kept: list[int], limit: int) -> list[int]:
    if not limit or len(kept) <= limit:
        return []
    length = {index: len(trace.thinking) for index in kept if (trace := attempts[index].trace)}
    return sorted(kept, key=lambda index: (length[index], index))[limit:]
