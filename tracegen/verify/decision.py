"""What a comparison of trees says: equal, not equal, or undecided."""

from __future__ import annotations

from collections.abc import Callable

from tracegen.data import Struct
from tracegen.verify.tree import Node


class Decision(Struct, frozen=True):
    """equal, not equal, or None: undecided."""

    equal: bool | None
    why: str = ""
    weak: bool = False
    """It rests on a leniency, such as another counted thing."""
    unit_missing: bool = False
    """It rests on taking a unit that one side lacks for meant."""

    @property
    def settled(self) -> bool:
        return self.equal is not None


YES, NO, UNDECIDED = Decision(equal=True), Decision(equal=False), Decision(equal=None)
Compare = Callable[[Node, Node], Decision]
"""Reference and answer to a decision; handed down to what compares parts."""


def every(decisions: list[Decision]) -> Decision:
    """All of several decisions together: one that says no decides, one that is open leaves it open."""
    if any(decision.equal is False for decision in decisions):
        return next(decision for decision in decisions if decision.equal is False)
    if any(decision.equal is None for decision in decisions):
        return UNDECIDED
    return together(decisions)


def together(decisions: list[Decision]) -> Decision:
    """Equality that rests on several others."""
    return Decision(
        equal=True,
        weak=any(decision.weak for decision in decisions),
        unit_missing=any(decision.unit_missing for decision in decisions),
    )
