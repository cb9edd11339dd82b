"""Terms, by their values."""

from __future__ import annotations

from tracegen.verify import exact, numeric
from tracegen.verify.decision import NO, UNDECIDED, Decision
from tracegen.verify.tree import (
    Based,
    Builder,
    Clock,
    Group,
    Labelled,
    Matrix,
    Node,
    Op,
    Rel,
    Seq,
    SetOf,
    Words,
    is_set,
    walk,
)  # fmt: skip


def compare_terms(reference: Node, answer: Node) -> Decision:
    """Two terms by their values."""
    if any(
        isinstance(side, Group | Seq | SetOf | Rel | Matrix | Builder | Words | Labelled | Clock)
        or is_set(side)
        for side in (reference, answer)
    ):
        return NO if type(reference) is not type(answer) and not _has_matrix(reference, answer) else UNDECIDED
    if exact.is_infinite(reference) or exact.is_infinite(answer):
        return Decision(equal=reference == answer)
    if isinstance(reference, Based) and isinstance(answer, Based):
        return Decision(equal=reference.value == answer.value)
    return Decision(equal=numeric.same(reference, answer))


def _has_matrix(*sides: Node) -> bool:
    """A term in which matrices are added or multiplied; that is left to Math-Verify."""
    return any(
        isinstance(side, Op) and any(isinstance(part, Matrix) for part in walk(side)) for side in sides
    )
