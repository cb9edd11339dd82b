"""Which traces are accepted and which kept, each with its reason; nothing is dropped in silence."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from tracegen.data import NO_REFERENCE, Flag, Struct, Verdict
from tracegen.policy import Attempt
from tracegen.recipe import Select


class Choice(Struct, frozen=True):
    """What becomes of a trace in the dataset."""

    status: Literal["accepted", "rejected", "surplus", "unjudged"]
    reason: str = ""
    rewritten_as: str = ""
    """Of an accepted trace: the id of the rewrite that stands for it …"""
    not_rewritten: str = ""
    """… or why there is none. Both are empty where the recipe rewrites nothing."""


def rejection(verdict: Verdict, flags: Sequence[Flag], settings: Select) -> str:
    """Why a trace is not accepted by its own verdict and flags; empty if it is."""
    blocking = [flag.name for flag in flags if flag.name in settings.reject]
    if verdict.outcome != "correct" and not (blocking and verdict.cause == NO_REFERENCE):
        return f"{verdict.outcome}: {verdict.cause}"
    return f"flag: {', '.join(blocking)}" if blocking else ""


def choose(attempts: Sequence[Attempt], settings: Select, *, rewriting: bool = False) -> list[Choice]:
    """The fate of each trace of one problem, in the order given.

    Attempts come with what the vote made of them. Of accepted traces with the same text only the first
    is kept, and of the rest the `per_problem` with the shortest thinking; the others are surplus, which is
    not a fault. Of the rewrites of a kept trace the one with the fewest words of thinking is accepted, if it
    is right and has fewer than the trace itself; right ones that are not are surplus, too.
    """
    own = [attempt for attempt in attempts if attempt.request.stage != "rewrite"]
    chosen = dict(zip(map(id, own), _own(own, settings), strict=True))
    if rewriting:
        for original in own:
            if chosen[id(original)].status == "accepted":
                rewrites = [one for one in attempts if one.request.source == original.request.id]
                chosen |= _rewritten(original, rewrites, settings)
    left = Choice("surplus", "its trace is not kept")
    return [chosen.get(id(attempt), left) for attempt in attempts]


def length(attempt: Attempt) -> int:
    """Words of its thinking, which is what a rewrite is to have fewer of."""
    return len(attempt.trace.thinking.split()) if attempt.trace else 0


def _rewritten(original: Attempt, rewrites: Sequence[Attempt], settings: Select) -> dict[int, Choice]:
    """What becomes of a kept trace and its rewrites, by the `id` of each attempt."""
    reasons: dict[int, str] = {}
    for one in rewrites:
        assert one.verdict is not None  # noqa: S101 - narrows the type
        reasons[id(one)] = "" if one.accepted else rejection(one.verdict, one.flags, settings)
    right = [one for one in rewrites if not reasons[id(one)]]
    shorter = sorted((one for one in right if 0 < length(one) < length(original)), key=length)
    found = {id(one): Choice("rejected", reasons[id(one)]) for one in rewrites if reasons[id(one)]}
    found |= {id(one): Choice("surplus", "not shorter") for one in right}
    found |= {id(one): Choice("surplus", "another rewrite is shorter") for one in shorter}
    if shorter:
        found[id(shorter[0])] = Choice("accepted")
        found[id(original)] = Choice("accepted", rewritten_as=shorter[0].request.id)
    else:
        counted = Counter(choice.reason for choice in found.values())
        why = ", ".join(f"{count} {reason}" for reason, count in counted.most_common())
        nothing = "not answered" if length(original) else "no thinking"
        found[id(original)] = Choice("accepted", not_rewritten=why or nothing)
    return found


def _own(attempts: Sequence[Attempt], settings: Select) -> list[Choice]:
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
    size = {index: len(trace.thinking) for index in kept if (trace := attempts[index].trace)}
    return sorted(kept, key=lambda index: (size[index], index))[limit:]
