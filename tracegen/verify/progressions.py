"""Integers that go on at equal distances: `{3, 4, 5, …}`, `n ≥ 3`, `2k + 1, k ∈ N`, `all even integers`.

Such a set is where it starts, its step, and whether it goes on in both directions. N begins with 0 or with 1:
either reading, of both sides, may make two answers equal, with weak trust.
"""

from __future__ import annotations

from fractions import Fraction

import mpmath

from tracegen.verify import exact, numeric
from tracegen.verify.decision import Decision
from tracegen.verify.names import label
from tracegen.verify.regions import compared_to_line
from tracegen.verify.tree import Builder, Const, Node, Num, Op, Rel, Seq, SetOf, Sym, substituted, symbols

Progression = tuple[int, int, bool]
"""A start, a step, and whether it goes on in both directions."""
Readings = tuple[Progression, Progression]
"""What a set is where N begins with 0, and where it begins with 1."""
_LEAST: dict[str, tuple[int | None, int | None]] = {
    "Z": (None, None), "N": (0, 1), "Z0+": (0, 0), "N0+": (0, 0), "Z+": (1, 1), "N*": (1, 1), "N+": (1, 1),
}  # fmt: skip
"""The least number of each set of integers; None where there is none."""
_INTEGERS = frozenset("nmkjl")
"""Letters that are integers beside a set that says so."""


def compare_progressions(reference: Node, answer: Node) -> Decision | None:
    """Two sets that are such progressions; None where one is none, or neither says that it has integers."""
    sides = _progressions(reference), _progressions(answer)
    bare = isinstance(reference, Rel) and isinstance(answer, Rel) and "in" not in reference.ops + answer.ops
    names = _named(reference), _named(answer)
    if not sides[0] or not sides[1] or bare or (all(names) and names[0] != names[1]):
        return None
    same = [one == other for one, other in zip(sides[0], sides[1], strict=True)]
    return Decision(equal=any(same), weak=not all((*same, _says_integers(reference), _says_integers(answer))))


def _named(node: Node) -> str:
    """The letter that the set is of: `n` of `n = 2k`, `n ∈ {1, 2, …}`, `n ≥ 3`; else an empty string."""
    match node:
        case Seq(items=(Rel() as first, *_)):
            return _named(first)
        case Rel(sides=(Sym(name=name), *_)) | Rel(sides=(_, Sym(name=name))):
            return name
        case _:
            return ""


def _says_integers(node: Node) -> bool:
    return not isinstance(node, Rel) or "in" in node.ops


def _progressions(node: Node) -> Readings | None:
    """What the node is, in both readings of N."""
    match node:
        case Rel(ops=("in",), sides=(Sym(), inner)):
            return _progressions(inner)
        case Const(name=name) if name in _LEAST:
            return _members(Sym("k"), [Rel(("in",), (Sym("k"), node))])
        case Op(name="setminus", args=(first, SetOf(items=items))):
            return _without(_progressions(first), [exact.plain_value(item) for item in items])
        case SetOf(items=items):
            return _listed(list(items))
        case Seq(items=(first, *rest)) if Const("dots") in rest:
            return _listed([first.sides[-1] if isinstance(first, Rel) and label(first) else first, *rest])
        case Builder(element=Rel(ops=("in",), sides=(Sym() as name, _)) as element, condition=condition):
            return _members(name, [element, *_parts(condition)])
        case Builder(element=element, condition=condition):
            return _members(element, _parts(condition))
        case (
            Rel(ops=(">" | ">=",), sides=(Sym(name=name), _))
            | Rel(ops=("<" | "<=",), sides=(_, Sym(name=name)))
        ) if name in _INTEGERS:
            return _members(Sym(name), [node, Rel(("in",), (Sym(name), Const("Z")))])
        case Seq(items=(Rel(ops=("=",), sides=(Sym() as named, term)), Rel(ops=("in",)) as domain)) if (
            named.name not in symbols(term)
        ):
            return _members(term, [domain])
        case Seq(items=(Rel(), Rel(ops=("in",), sides=(Sym() as name, _)))):
            return _members(name, list(node.items))
        case _:
            return None


def _without(whole: Readings | None, gone: list[Fraction | None]) -> Readings | None:
    """`{2, 3, …}` of all positive integers but 1: without the first ones, the others go on alike."""
    if whole is None or whole[0] != whole[1] or whole[0][2]:
        return None
    start, step, _ = whole[0]
    first = {Fraction(start + step * index) for index in range(len(gone))}
    return (_normal(start + step * len(gone), step, False),) * 2 if first == set(gone) else None


def _parts(condition: Node) -> list[Node]:
    if not isinstance(condition, Seq):
        return [condition]
    return [] if condition.joint == "or" else list(condition.items)


def _listed(items: list[Node]) -> Readings | None:
    """`3, 4, 5, …`, `…, -2, 0, 2, …`: three or more, as two are no law."""
    both = bool(items) and items[0] == Const("dots")
    values = [exact.plain_value(item) for item in items[both:-1]]
    known = [int(one) for one in values if one is not None and one.denominator == 1]
    if len(known) < 3 or len(known) < len(values) or items[-1] != Const("dots"):
        return None
    step = known[1] - known[0]
    if not step or any(known[index] != known[0] + step * index for index in range(len(known))):
        return None
    return (_normal(known[0], step, both),) * 2


def _members(element: Node, conditions: list[Node]) -> Readings | None:
    """`2k + 1` for the `k` of a set of integers, from the least one that meets an inequality."""
    names = symbols(element)
    name = next(iter(names)) if len(names) == 1 else ""
    lines = [
        part.sides[1].name
        for part in conditions
        if isinstance(part, Rel) and part.ops == ("in",) and part.sides[0] == Sym(name)
        if isinstance(part.sides[1], Const)
    ]
    bounds = [part for part in conditions if isinstance(part, Rel) and part.ops != ("in",)]
    if len(lines) != 1 or lines[0] not in _LEAST or len(bounds) + 1 != len(conditions) or len(bounds) > 1:
        return None
    values = [exact.plain_value(substituted(element, name, Num(Fraction(at)))) for at in range(4)]
    known = [int(one) for one in values if one is not None and one.denominator == 1]
    if len(known) < 4 or len({known[at + 1] - known[at] for at in range(3)}) > 1 or known[0] == known[1]:
        return None
    low = _lower_end(bounds[0], name) if bounds else None
    if bounds and low is None:
        return None
    return _from(known, low, _LEAST[lines[0]][0]), _from(known, low, _LEAST[lines[0]][1])


def _from(values: list[int], *least: int | None) -> Progression:
    """The values at 0, 1, … taken from the largest of several least integers on."""
    step, at = values[1] - values[0], max((end for end in least if end is not None), default=None)
    return _normal(values[0], step, True) if at is None else _normal(values[0] + step * at, step, False)


def _lower_end(bound: Rel, name: str) -> int | None:
    """The least integer of `k ≥ 3`, `k > -1`; None where the condition is no half-line upwards."""
    region = compared_to_line(bound, name)
    if (
        region is None
        or len(region) != 1
        or not mpmath.isfinite(region[0][0])
        or mpmath.isfinite(region[0][1])
    ):
        return None
    low, _, closed, _ = region[0]
    if abs(low) > numeric.HUGE:
        return None
    first = int(mpmath.ceil(low))
    return first + (first == low and not closed)


def _normal(start: int, step: int, both: bool) -> Progression:
    return (start % abs(step), abs(step), True) if both else (start, step, False)
