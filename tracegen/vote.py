"""What the traces of a problem agree on: the majority, and references that they agree against.

Votes are a pure function of a problem's judged attempts and of which answers say the same (`Same`, the
verifier's word, which may still be owed). Nothing of it is stored in a verdict: more traces, another verifier
or another setting change the vote without a token.

- A trace votes if it has an answer that is right, wrong, or has nothing to be judged by. A sample has one
  vote, however often it was asked, and so have all samples of a teacher at temperature 0: they are one draw.
- Right answers are one group, which needs no comparing. Others are compared, the most frequent first, each
  with the groups before it; of more than `COMPARED` different writings the rest stand for themselves, and so
  does one with which `STRIKES` comparisons were costly, so that a few monsters do not cost a problem minutes.
- Answers are not compared where that could change nothing: the right ones are at least as many.
- Programs do not vote, and neither do rewrites, which are made from a trace that does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from tracegen.data import CodeTests, Flag, NoReference, Problem, Struct
from tracegen.policy import Attempt
from tracegen.recipe import Flags, Select
from tracegen.select import rejection

Likeness = Literal["same", "different", "costly"]
"""What the verifier says of two answers; `costly` if telling took more than its limits."""
Same = Callable[[str, str], Likeness | None]
"""The likeness of two answers; None where that is still to be found out."""
COMPARED = 24
"""Different writings of a problem's answers that are compared: at most 276 comparisons."""
STRIKES = 2
QUORUM = 3
"""So many votes a majority needs to be accepted."""
SUSPECT = "gold_suspect"
AGAINST = 2
"""Traces against a reference for each one that is right, from which on it is suspected."""


class Group(Struct, frozen=True):
    """Answers that say the same."""

    writings: tuple[str, ...]
    """As they were written, the most frequent first."""
    votes: int


class Vote(Struct, frozen=True):
    """How the independent traces of a problem voted."""

    majority: str = ""
    """Its most frequent writing; empty where nobody voted."""
    votes: int = 0
    """Traces of the majority."""
    voters: int = 0
    """Independent traces with an answer."""
    right: int = 0
    """Those that are right."""
    writings: frozenset[str] = frozenset()
    """Every writing of the majority."""
    against: bool = False
    """There is a reference, and the majority is not it."""
    owed: tuple[str, str] | None = None
    """The comparison without which the vote is not final."""

    @property
    def share(self) -> float:
        """Of the voters, those of the majority."""
        return self.votes / self.voters if self.voters else 0.0

    @property
    def told(self) -> str:
        """The vote in words."""
        return f"{self.votes} of {self.voters} traces agree on {self.majority[:200]}"


def vote(problem: Problem, attempts: Sequence[Attempt], same: Same) -> Vote:
    """The vote of a problem's judged attempts."""
    if isinstance(problem.reference, CodeTests):
        return Vote()
    voters = _voters(attempts)
    right = [answer for answer, correct in voters if correct]
    others = [answer for answer, correct in voters if not correct]
    groups, owed = group(others, same) if len(others) > len(right) else ([], None)
    best = max(groups, key=lambda found: found.votes, default=Group((), 0))
    agreed = right and len(right) >= best.votes
    if agreed:
        best = Group(_ranked(right), len(right))
    return Vote(
        majority=best.writings[0] if best.writings else "",
        votes=best.votes,
        voters=len(voters),
        right=len(right),
        writings=frozenset(best.writings),
        against=not agreed and bool(best.votes) and not isinstance(problem.reference, NoReference),
        owed=owed,
    )


def group(answers: Sequence[str], same: Same) -> tuple[list[Group], tuple[str, str] | None]:
    """Answers that say the same, together, and the first comparison that is owed; it counts as different.

    The result does not depend on the order of the answers.
    """
    counted = Counter(answers)
    ranked = _ranked(answers)
    found: list[list[str]] = []
    strikes: Counter[str] = Counter()
    owed = None
    for writing in ranked[:COMPARED]:
        for ways in found:
            if max(strikes[ways[0]], strikes[writing]) >= STRIKES:
                continue
            likeness = same(ways[0], writing)
            if likeness is None and owed is None:
                owed = (ways[0], writing)
            if likeness == "costly":
                strikes.update((ways[0], writing))
            if likeness == "same":
                ways.append(writing)
                break
        else:
            found.append([writing])
    found += [[writing] for writing in ranked[COMPARED:]]
    return [Group(tuple(ways), sum(counted[way] for way in ways)) for ways in found], owed


def suspicion(problem: Problem, found: Vote, settings: Flags) -> Flag | None:
    """The flag of a problem whose independent traces agree against its reference; it changes no verdict."""
    enough = found.votes >= max(settings.suspect_traces, AGAINST * found.right)
    if not found.against or not enough or found.share < settings.suspect_share:
        return None
    return Flag(SUSPECT, f"{found.told}, {found.right} on the reference")


def settled(
    problem: Problem, attempts: Sequence[Attempt], found: Vote, flags: Flags, select: Select
) -> list[Attempt]:
    """The attempts with what the vote says of them: flags, evidence, and whether it accepts them."""
    suspect = suspicion(problem, found, flags)
    flagged = [_flagged(attempt, suspect, select) for attempt in attempts]
    return [_counted(attempt, found, select) if attempt.unjudgeable else attempt for attempt in flagged]


def _voters(attempts: Sequence[Attempt]) -> list[tuple[str, bool]]:
    """Answer of each independent trace that votes, and whether it is right."""
    found: dict[tuple[str, str, int], tuple[str, bool]] = {}
    for attempt in attempts:
        request, verdict = attempt.request, attempt.verdict
        if verdict is None or not verdict.extracted.strip() or request.stage == "rewrite":
            continue
        if verdict.outcome in ("correct", "incorrect") or attempt.unjudgeable:
            draw = request.index if request.sampling.temperature > 0 else -1
            answer = verdict.extracted.strip(), verdict.outcome == "correct"
            found[request.stage, request.teacher, draw] = answer
    return list(found.values())


def _ranked(answers: Sequence[str]) -> tuple[str, ...]:
    """The different writings, the most frequent first, then the shortest."""
    counted = Counter(answers)
    return tuple(sorted(counted, key=lambda answer: (-counted[answer], len(answer), answer)))


def _flagged(attempt: Attempt, suspect: Flag | None, select: Select) -> Attempt:
    if suspect is None or attempt.verdict is None:
        return attempt
    flags = (*attempt.flags, suspect)
    accepted = attempt.accepted and not rejection(attempt.verdict, flags, select)
    return msgspec.structs.replace(attempt, flags=flags, accepted=accepted)


def _counted(attempt: Attempt, found: Vote, select: Select) -> Attempt:
    """An answer without a reference: its evidence is the vote, which may accept it."""
    verdict = attempt.verdict
    assert verdict is not None  # noqa: S101 - it is unjudgeable, which is a verdict
    theirs = verdict.extracted.strip() in found.writings
    blocked = any(flag.name in select.reject for flag in attempt.flags)
    enough = found.votes >= QUORUM and found.share >= select.accept_majority > 0
    accepted = theirs and enough and not blocked
    evidence = found.told if theirs else f"{found.told}; this one does not"
    trust = "weak" if accepted else verdict.trust
    return msgspec.structs.replace(
        attempt,
        verdict=msgspec.structs.replace(verdict, evidence=evidence, trust=trust),
        accepted=accepted,
    )
