"""What a run did, in numbers: the funnel, and what an accepted trace cost."""

from __future__ import annotations

from tracegen.data import Struct


class Step(Struct, frozen=True):
    """A line of the funnel: `count` of `of` somethings."""

    name: str
    """asked, answered, closed, verified, recovered, kept …"""
    count: int
    of: int
    what: str
    """What is counted, such as `traces` or `problems`."""


class Tally(Struct, frozen=True):
    """Counts of one source or teacher."""

    problems: int = 0
    solved: int = 0
    traces: int = 0
    accepted: int = 0


class Refused(Struct, frozen=True):
    """A problem for which nothing was asked."""

    key: str
    cause: str
    evidence: str


class Suspect(Struct, frozen=True):
    """A problem whose independent traces agree against its reference."""

    problem: str
    """Problem id."""
    key: str
    reference: str
    majority: str
    """What they agree on."""
    votes: int
    """Traces that do."""
    voters: int
    """Independent traces with an answer."""
    right: int
    """Those that are right by the reference."""


class Rewrites(Struct, frozen=True):
    """What became of the kept traces that were to be written again in fewer words."""

    traces: int
    """Kept ones."""
    rewritten: int
    """… for which a shorter rewrite stands that is right, too."""
    words: int
    """Words of thinking of these, before …"""
    compact_words: int
    """… and after."""
    median_words: float
    """The middle one's words before …"""
    median_compact_words: float
    """… and the middle rewrite's."""
    reasons: dict[str, int]
    """Why the others stand for themselves."""


class Report(Struct, frozen=True):
    """Everything that the card, `status` and the end of a run print; computed from the store alone."""

    name: str
    version: str
    funnel: tuple[Step, ...]
    causes: dict[str, int]
    """Verdicts by `outcome: cause`."""
    flags: dict[str, int]
    sources: dict[str, Tally]
    teachers: dict[str, Tally]
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Wall seconds spent in `tracegen build`, all sessions together."""
    usd: float
    accepted: int
    refused: tuple[Refused, ...]
    gold_suspect: tuple[Suspect, ...]
    """Problems whose independent traces agree against the reference; no reference is changed."""
    unanswered: dict[str, int]
    """Requests still owed, by cause."""
    repeated: int
    """Requests asked more than once, because they were in flight when a run was killed."""
    rewrites: Rewrites | None = None
    """None where the recipe rewrites nothing."""
