"""Which traces are accepted and which kept, each with its reason; nothing is dropped in silence."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from tracegen.data import NO_REFERENCE, Flag, Struct, Verdict
from tracegen.policy import Attempt
from tracegen.recipe import Select


class Choice(Struct, frozen=True):
    """What becomes of a trace in the dataset."""

    status: Literal["accepted", "rejected", "surplus", "unjudged"]
    reason: str = ""


def rejection(verdict: Verdict, flags: Sequence[Flag], settings: Select) -> str:
    """Why a trace is not accepted by its own verdict and flags; empty if it is."""
    blocking = [flag.name for flag in flags if flag.name in settings.reject]
    if verdict.outcome != "correct" and not (blocking and verdict.cause == NO_REFERENCE):
        return f"{verdict.outcome}: {verdict.cause}"
    return f"flag: {', '.join(blocking)}" if blocking else ""


def choose(attempts: Sequence[Attempt], settings: Select) -> list[Choice]:
    """The fate of each trace of one problem, in the order given.

    Attempts come with what the vote made of them. Of accepted traces with the same text only the first
    is kept, and of the rest the `per_problem` with the shortest thinking; the others are surplus, which is
    not a fault.
    """
    choices: list[Choice] = []
    seen: set[tuple[str, str]] = set()
    kept: list[int] = []
    for index, attempt in enumerate(attempts):
        assert attempt.verdict is not None and attempt.trace is not None  # noqa: S101 - narrows the type
        reason = "" if attempt.accepted else rejection(attempt.verdict, attempt.flags, settings)
        text = (attempt.trace.thinking, attempt.trace.answer)
        if reason:
            unjudged = attempt.unjudgeable and not reason.startswith("flag: ")
            choices.append(Choice("unjudged" if unjudged else "rejected", reason))
        elif text in seen:
            choices.append(Choice("surplus", "duplicate"))
        else:
            choices.append(Choice("accepted"))
            kept.append(index)
            seen.add(text)
    for index in _over(attempts, kept, settings.per_problem):
        choices[index] = Choice("surplus", "per_problem")
    return choices


def split_of(problem: str, test_share: float) -> Literal["train", "test"]:
    """The split of a problem and so of all its traces: a draw by its id, the same in every run."""
    draw = int(hashlib.sha256(f"split {problem}".encode()).hexdigest()[:8], 16) / 2**32
    return "test" if draw < test_share else "train"


def _over(attempts: Sequence[Attempt], kept: list[int], limit: int) -> list[int]:
    if not limit or len(kept) <= limit:
        return []
    length = {index: len(trace.thinking) for index in kept if (trace := attempts[index].trace)}
    return sorted(kept, key=lambda index: (length[index], index))[limit:]
