"""What a dataset holds: its configs, and what was counted while it was written."""

from __future__ import annotations

from tracegen.data import Record, Struct

CONFIGS = {
    "verified": "accepted traces of both passes; the default",
    "recovered": "accepted traces of the second teacher, for problems that the first did not solve",
    "compact": "the same traces, each replaced by its rewrite where one is right and shorter",
    "rejected": "traces that were not accepted, each with its `reason`",
    "all": "every trace, also those that were surplus (duplicates, or more than were wanted) or unjudged",
}
"""The configs in the order of the card."""


class SplitSize(Struct, frozen=True):
    """A split as it lies on disk."""

    rows: int
    arrow_bytes: int
    """Size in memory, as Arrow."""
    file_bytes: int
    files: int


class Contents(Struct, frozen=True):
    """What was written, counted on the way."""

    sizes: dict[str, dict[str, SplitSize]]
    """By config and split; those without a row are absent."""
    problems: dict[str, int]
    """Problems by split."""
    domains: dict[str, int]
    """Traces by domain."""
    sources: dict[str, dict[str, int]]
    """Traces by source and licence."""
    reasons: dict[str, int]
    """Rejected traces by reason."""
    surplus: int
    unjudged: int
    """Answers to problems without a reference that the majority's vote did not accept."""
    rewrites: int
    """Rows that are rewrites of others."""
    trust: dict[str, int]
    """Accepted traces by the trust in their verdict."""
    lengths: dict[int, int]
    """Accepted traces by number of completion tokens, where the teacher counted them."""
    sample: Record | None
    """A short accepted trace."""

    def rows(self, config: str) -> int:
        """Rows of a config, all splits together."""
        return sum(size.rows for size in self.sizes.get(config, {}).values())
