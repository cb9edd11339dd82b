"""Congruences: against each other, a term that runs through the class, or a bare residue."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from tracegen.verify import exact, numeric
from tracegen.verify.decision import NO, Compare, Decision
from tracegen.verify.names import is_label, label, unlabelled, value
from tracegen.verify.terms import compare_terms
from tracegen.verify.tree import Labelled, Node, Num, Op, Rel, Residue, Sym, substituted, symbols


def is_congruence(node: Node) -> bool:
    """The answer is a class of residues."""
    return isinstance(unlabelled(node) if isinstance(node, Labelled) else value(node), Residue)


def compare_congruences(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """`x = 3 (mod 7)` against another residue, `x = 7k + 3`, or, with weak trust, the bare number 3."""
    names = label(reference), label(answer)
    if names[0] and names[1] and names[0] != names[1]:
        return NO
    terms = [_term(side) for side in (reference, answer)]
    if any(terms):
        if not all(isinstance(value(side), Residue) for side in (reference, answer)):
            return NO
        if terms[0] is None or terms[1] is None or not compare_terms(terms[0], terms[1]).equal:
            return NO
    first, second = value(reference), value(answer)
    if isinstance(first, Residue) and isinstance(second, Residue):
        if not numeric.same(first.modulus, second.modulus):
            return NO
        return Decision(equal=_congruent(first.value, second.value, first.modulus))
    residue, other = (first, second) if isinstance(first, Residue) else (second, first)
    assert isinstance(residue, Residue)  # noqa: S101 - the table of kinds looked
    if not isinstance(other, Num | Op | Sym):
        return NO
    named = names[1] if isinstance(first, Residue) else names[0]
    if not symbols(other):
        return Decision(
            equal=not named and bool(compare_terms(residue.value, other).equal), weak=True, why="a residue"
        )
    return Decision(equal=_runs_through(other, residue))


def _term(node: Node) -> Node | None:
    """`2^n` of `2^n = 1 (mod 7)`: what is computed with before it is the residue; None for a name or none."""
    left = node.sides[0] if isinstance(node, Rel) and len(node.sides) == 2 else None
    return None if left is None or is_label(left) else left


def _congruent(first: Node, second: Node, modulus: Node) -> bool:
    """Whether two integers, or equal terms, are the same modulo a number."""
    values = exact.value(first), exact.value(second), exact.value(modulus)
    if values[0] is None or values[1] is None or not values[2]:
        return bool(numeric.same(first, second))
    return (values[0] - values[1]) % values[2] == 0


def _runs_through(term: Node, residue: Residue) -> bool:
    """Whether `7k + 3` takes all values of the class and no other: steps of one modulus, from a member."""
    (name, *more) = symbols(term)
    at = [exact.value(substituted(term, name, Num(Fraction(index)))) for index in range(4)]
    modulus, known = exact.value(residue.modulus), exact.value(residue.value)
    if more or None in at or not modulus or known is None:
        return False
    start, *others = [one for one in at if one is not None]
    steps = [one - before for before, one in pairwise([start, *others])]
    return len(set(steps)) == 1 and abs(steps[0]) == abs(modulus) and (start - known) % modulus == 0
