"""Sets in braces with a condition, and values that run through the integers."""

from __future__ import annotations

from tracegen.verify.decision import NO, UNDECIDED, YES, Compare, Decision
from tracegen.verify.families import WHOLE, compare_families, runs
from tracegen.verify.lists import items
from tracegen.verify.names import is_number, label, value
from tracegen.verify.regions import compare_regions
from tracegen.verify.tree import (
    Builder,
    Const,
    Group,
    Node,
    Num,
    Op,
    Rel,
    Residue,
    Seq,
    SetOf,
    Sym,
    is_set,
    substituted,
    symbols,
)


def compare_sets(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """Sets of numbers; a number is none, and two signs for sets that are no part of the line differ."""
    region = compare_regions(reference, answer)
    if region is None or region.settled:
        return region
    alone = is_set(reference) != is_set(answer) and any(isinstance(side, Num) for side in (reference, answer))
    if isinstance(reference, Builder) and isinstance(answer, Builder):
        built = _same_builders(reference, answer, compare)
        if built.settled:
            return built
    signs = isinstance(reference, Const) and isinstance(answer, Const)
    return NO if alone or signs else region


def _same_builders(reference: Builder, answer: Builder, compare: Compare) -> Decision:
    """The same element under the same conditions, in any order; undecided where they are others.

    The letter of the element does not matter; elements that run through integers are compared by values.
    """
    (first, ours), (second, theirs) = _conditions(reference), _conditions(answer)
    names = symbols(first), symbols(second)
    if len(names[0]) == len(names[1]) == 1 and names[0] != names[1]:
        (name,), (other,) = names
        theirs = [substituted(condition, other, Sym(name)) for condition in theirs]
        second = substituted(second, other, Sym(name))
    for name in symbols(first) & symbols(second):
        if all(Rel(("in",), (Sym(name), Const("Z"))) in conditions for conditions in (ours, theirs)):
            first, second = (substituted(side, name, Sym(WHOLE + name)) for side in (first, second))
    if len(ours) == len(theirs) == 1 and runs(first) and runs(second):
        return compare_general(first, second) or UNDECIDED
    if len(ours) != len(theirs) or not compare(first, second).equal:
        return UNDECIDED
    for wanted in ours:
        found = next((one for one in theirs if one == wanted or compare(wanted, one).equal), None)
        if found is None:
            return UNDECIDED
        theirs.remove(found)
    return YES


def _conditions(node: Builder) -> tuple[Node, list[Node]]:
    """What the elements are, and all conditions: `{x ∈ N | x > 3}`, `{x | x = 2k, k ∈ Z}`."""
    element = node.element
    parts = list(node.condition.items) if isinstance(node.condition, Seq) else [node.condition]
    if isinstance(element, Rel) and element.ops == ("in",):
        element, parts = element.sides[0], [element, *parts]
    for part in parts:
        match part:
            case Rel(ops=("=",), sides=(Sym() as name, term)) if name == element and name.name not in symbols(
                term
            ):
                return term, [one for one in parts if one != part]
    return element, parts


def compare_general(reference: Node, answer: Node) -> Decision | None:
    """General solutions by the values that they reach; None where a side is none, or names contradict."""
    if any(isinstance(value(side), Group | SetOf) for side in (reference, answer)):
        return None
    sides = items(_unbuilt(reference)), items(_unbuilt(answer))
    if not all(runs(item) for side in sides for item in side):
        return None
    named = [{label(item) for item in side} - {None} for side in sides]
    return compare_families(*sides) if len(named[0] | named[1]) <= 1 else None


def _unbuilt(node: Node) -> Node:
    """`x` of `{x | x = 2k, k ∈ Z}`; `n = 3 + 7k` of `n ≡ 3 (mod 7)`."""
    match node:
        case Seq(items=parts, joint=joint):
            return Seq(tuple(map(_unbuilt, parts)), joint)
        case Rel(ops=("=",), sides=(name, Residue() as residue)):
            return Rel(("=",), (name, _unbuilt(residue)))
        case Residue(value=start, modulus=step) if is_number(start) and is_number(step):
            return Op("add", (start, Op("mul", (step, Sym(WHOLE + "n")))))
    if not isinstance(node, Builder):
        return node
    element, conditions = _conditions(node)
    if len(symbols(element)) == 1 and not runs(element):
        (letter,) = symbols(element)
        if conditions == [Rel(("in",), (Sym(letter), Const("Z")))]:
            family: Node = substituted(element, letter, Sym(WHOLE + "n"))
            return family
    return element if conditions == [Rel(("in",), (Sym(runs(element)), Const("Z")))] else node
