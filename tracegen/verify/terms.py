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
    sides = reference, answer
    if any(
        isinstance(side, Group | Seq | SetOf | Rel | Matrix | Builder | Words | Labelled | Clock)
        for side in sides
    ):
        return NO if type(reference) is not type(answer) else UNDECIDED
    if any(is_set(side) for side in sides):
        return NO if is_set(reference) != is_set(answer) else UNDECIDED
    if any(_computes_with_sets(side) for side in sides):
        return Decision(equal=False, why="arithmetic with a set or tuple")
    if any(exact.is_infinite(side) for side in sides):
        return Decision(equal=reference == answer)
    if isinstance(reference, Based) and isinstance(answer, Based):
        return Decision(equal=reference.value == answer.value)
    return Decision(equal=numeric.same(reference, answer))


def _computes_with_sets(node: Node) -> bool:
    """`(1, 2) + 1`: nothing that has a value. A determinant has one."""
    return any(
        isinstance(part, Op)
        and part.name not in ("cup", "cap", "setminus", "det")
        and any(isinstance(arg, Group | SetOf | Builder | Matrix) for arg in part.args)
        for part in walk(node)
    )
