"""Sets of real numbers: intervals, unions, differences, set builders, inequalities in one variable.

Both sides become lists of intervals, with further symbols at drawn values, and are compared end by end.
A variable that is named on both sides has to be the same; conditions on several are compared one variable at
a time.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import mpmath

from tracegen.verify import numeric
from tracegen.verify.decision import UNDECIDED, YES, Decision
from tracegen.verify.tree import (
    Builder,
    Const,
    Group,
    Labelled,
    Node,
    Num,
    Op,
    Rel,
    Seq,
    SetOf,
    Sym,
    is_set,
    symbols,
)

Interval = tuple[Any, Any, bool, bool]
"""Lower and upper end, and whether each belongs to it."""


def compare_regions(reference: Node, answer: Node) -> Decision | None:
    """Both as sets of real numbers, at drawn values of further symbols; None where one is not such a set."""
    if not (_speaks_of_sets(reference) or _speaks_of_sets(answer)):
        return None
    groups = _by_variable(reference), _by_variable(answer)
    if len(groups[0]) > 1 or len(groups[1]) > 1:
        return _compare_groups(reference, answer, *groups)
    names = _variable(reference), _variable(answer)
    if names[0] and names[1] and names[0] != names[1]:
        return Decision(equal=False, why=f"{names[0]} against {names[1]}")
    free = sorted((symbols(reference) | symbols(answer)) - set(names))
    with mpmath.workdps(numeric.DIGITS):
        for point in numeric.points(free, 3 if free else 1):
            try:
                left, right = _union(_region(reference, point)), _union(_region(answer, point))
            except numeric.NoValue:
                return UNDECIDED
            if not _same_intervals(left, right):
                return Decision(equal=False, why="the sets differ")
    return YES


def _by_variable(node: Node) -> dict[str, list[Node]]:
    """Conditions by the variable that each is about; empty where one is about none, or about several."""
    found: dict[str, list[Node]] = {}
    for item in node.items if isinstance(node, Seq) else (node,):
        name = _variable(item) if isinstance(item, Rel) else ""
        if not name:
            return {}
        found.setdefault(name, []).append(item)
    return found


def _compare_groups(
    reference: Node, answer: Node, ours: dict[str, list[Node]], theirs: dict[str, list[Node]]
) -> Decision:
    """Conditions on several variables: each variable's own, all at once on both sides or any on both."""
    joints = [isinstance(side, Seq) and side.joint == "or" for side in (reference, answer)]
    if not ours or not theirs:
        return UNDECIDED
    apart = ours.keys() ^ theirs.keys()
    if any(not _is_kind(item) for name in apart for item in (*ours.get(name, ()), *theirs.get(name, ()))):
        return Decision(equal=False, why=f"conditions on {', '.join(sorted(apart))} on one side only")
    if joints[0] != joints[1]:
        return Decision(equal=False, why="all at once against any")
    for name in ours.keys() & theirs.keys():
        if ours[name] != theirs[name]:
            sides = [
                items[0] if len(items) == 1 else Seq(tuple(items)) for items in (ours[name], theirs[name])
            ]
            decision = compare_regions(*sides)
            if decision is None or decision.equal is not True:
                return decision or UNDECIDED
    return UNDECIDED if apart else YES


def _is_kind(node: Node) -> bool:
    """`k ∈ Z`: what kind of number a letter is."""
    return isinstance(node, Rel) and node.ops == ("in",) and isinstance(node.sides[1], Const)


def compared_to_line(condition: Rel, name: str) -> list[Interval] | None:
    """Where a condition on `name` alone holds; None where that cannot be told."""
    if symbols(condition) != {name}:
        return None
    with mpmath.workdps(numeric.DIGITS):
        try:
            return _union(_condition(condition, name, {}))
        except numeric.NoValue:
            return None


def _speaks_of_sets(node: Node) -> bool:
    if isinstance(node, Rel):
        return set(node.ops) <= {"<", ">", "<=", ">=", "!="} or (
            node.ops == ("in",) and not isinstance(node.sides[1], SetOf)
        )
    if isinstance(node, Seq):
        return all(_speaks_of_sets(item) for item in node.items)
    return is_set(node) and not isinstance(node, SetOf)


def _variable(node: Node) -> str:
    """The variable that a condition is about, where it names one."""
    if isinstance(node, Rel) and node.ops == ("in",):
        return node.sides[0].name if isinstance(node.sides[0], Sym) else ""
    if isinstance(node, Seq):
        names = {_variable(item) for item in node.items}
        return names.pop() if len(names) == 1 else ""
    if isinstance(node, Builder):
        return ""
    if not isinstance(node, Rel):
        return ""
    bare = [side.name for side in node.sides if isinstance(side, Sym)]
    if len(bare) == 1:
        return bare[0]
    every = symbols(node)
    return every.pop() if len(every) == 1 else ""


_LINES: dict[str, list[Interval]] = {
    "R": [(-mpmath.inf, mpmath.inf, False, False)],
    "R+": [(mpmath.mpf(0), mpmath.inf, False, False)],
    "R-": [(-mpmath.inf, mpmath.mpf(0), False, False)],
    "R0+": [(mpmath.mpf(0), mpmath.inf, True, False)],
    "R0-": [(-mpmath.inf, mpmath.mpf(0), False, True)],
    "R*": [(-mpmath.inf, mpmath.mpf(0), False, False), (mpmath.mpf(0), mpmath.inf, False, False)],
}
"""Parts of the real line that have a sign of their own."""


# --- to intervals ----------------------------------------------------------------------------------


def _region(node: Node, point: dict[str, Any]) -> list[Interval]:
    """The set as intervals. Raises NoValue."""
    match node:
        case Group(left=left, right=right, items=(low, high)):
            ends = _end(low, point), _end(high, point)
            if ends[0] > ends[1]:
                raise numeric.NoValue("an empty interval")
            return [(*ends, left == "[", right == "]")]
        case SetOf(items=items):
            return [(value, value, True, True) for value in (_end(item, point) for item in items)]
        case Const(name=name) if name in _LINES:
            return list(_LINES[name])
        case Const(name="emptyset"):
            return []
        case Op(name="cup", args=(first, second)):
            return _region(first, point) + _region(second, point)
        case Op(name="cap", args=(first, second)):
            return _intersection(_union(_region(first, point)), _union(_region(second, point)))
        case Op(name="setminus", args=(first, second)):
            return _intersection(_union(_region(first, point)), _complement(_union(_region(second, point))))
        case Rel(ops=("in",), sides=(Sym(), region)):
            return _region(region, point)
        case Rel():
            return _condition(node, _variable(node), point)
        case Builder(element=element, condition=condition):
            return _built(element, condition, point)
        case Seq(items=items):
            return _alternatives([_union(_region(item, point)) for item in items], node.joint)
        case Labelled(value=value):
            return _region(value, point)
        case _:
            raise numeric.NoValue("not a set of numbers")


def _built(element: Node, condition: Node, point: dict[str, Any]) -> list[Interval]:
    name = element.sides[0] if isinstance(element, Rel) else element
    if not isinstance(name, Sym):
        raise numeric.NoValue("a set of other things than numbers")
    several = isinstance(condition, Seq) and condition.joint != "or"
    conditions = list(condition.items) if isinstance(condition, Seq) and several else [condition]
    whole = {Rel(("in",), (name, Const(line))): least for line, least in _WHOLE.items()}
    region: list[Interval] = [(-mpmath.inf, mpmath.inf, False, False)]
    for part in [element, *conditions] if isinstance(element, Rel) else conditions:
        if part not in whole and not _is_range(part, name):
            inner = (
                _condition(part, name.name, point)
                if isinstance(part, Rel) and "in" not in part.ops
                else _region(part, point)
            )
            region = _intersection(region, _union(inner))
    least = [whole[part] for part in (element, *conditions) if part in whole]
    if not least:
        return region
    return _integers(_intersection(_union(region), [(mpmath.mpf(max(least)), mpmath.inf, True, False)]))


_WHOLE = {"Z": -mpmath.inf, "N": 0, "Z0+": 0, "N0+": 0, "Z+": 1, "N*": 1}
"""Sets of integers, and the least of each."""


def _is_range(node: Node, name: Sym) -> bool:
    """`k ∈ Z` about another letter than `name`."""
    return (
        isinstance(node, Rel)
        and node.ops == ("in",)
        and node.sides[0] != name
        and isinstance(node.sides[1], Const)
    )


def integers_of(node: Seq) -> SetOf | None:
    """The integers of `-1 ≤ x < 4, x ∈ Z`; None where they are not finitely many, or not all conditions."""
    condition, domain = node.items
    if not isinstance(domain, Rel) or not isinstance(domain.sides[0], Sym):
        return None
    name, line = domain.sides[0], domain.sides[1]
    if not isinstance(line, Const) or line.name not in _WHOLE or symbols(condition) != {name.name}:
        return None
    if not isinstance(condition, Rel) or not set(condition.ops) <= {"<", ">", "<=", ">="}:
        return None
    with mpmath.workdps(numeric.DIGITS):
        try:
            region = _built(domain, condition, {})
        except numeric.NoValue:
            return None
    return SetOf(tuple(Num(Fraction(int(low))) for low, *_ in region))


MAX_INTEGERS = 1000
"""Integers of a region that are written out."""


def _integers(region: list[Interval]) -> list[Interval]:
    """The integers of a bounded region, one by one."""
    found: list[Interval] = []
    for low, high, has_low, has_high in region:
        if not (mpmath.isfinite(low) and mpmath.isfinite(high)) or high - low > MAX_INTEGERS:
            raise numeric.NoValue("too many integers")
        first, last = int(mpmath.ceil(low)), int(mpmath.floor(high))
        first, last = first + (first == low and not has_low), last - (last == high and not has_high)
        found += [(mpmath.mpf(at), mpmath.mpf(at), True, True) for at in range(first, last + 1)]
    return found


def _alternatives(regions: list[list[Interval]], joint: str) -> list[Interval]:
    """Conditions in a list: any of them after `or`; else all at once where that is possible, else any."""
    if joint == "or":
        return [interval for region in regions for interval in region]
    together = regions[0]
    for region in regions[1:]:
        together = _intersection(together, region)
    return together or [interval for region in regions for interval in region]


def _end(node: Node, point: dict[str, Any]) -> Any:
    value = numeric._attempt(node, point)
    if isinstance(value, numeric.NoValue):
        raise value
    if mpmath.im(value) or mpmath.isnan(value):
        raise numeric.NoValue("no real number")
    return mpmath.re(value)


def _condition(relation: Rel, name: str, point: dict[str, Any]) -> list[Interval]:
    """Where a chain of inequalities, each linear in `name`, holds."""
    if not name:
        raise numeric.NoValue("several variables")
    region: list[Interval] = [(-mpmath.inf, mpmath.inf, False, False)]
    for op, left, right in zip(relation.ops, relation.sides, relation.sides[1:], strict=False):
        if name not in symbols(left) | symbols(right):
            raise numeric.NoValue("a condition on something else")
        region = _intersection(region, _where(op, left, right, name, point))
    return region


def _where(op: str, left: Node, right: Node, name: str, point: dict[str, Any]) -> list[Interval]:
    """Where `left op right` holds; of absolute values, both sides of it."""
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}
    if op in turned and isinstance(right, Op) and right.name == "abs":
        op, left, right = turned[op], right, left
    if op not in turned or not (isinstance(left, Op) and left.name == "abs"):
        return _half_line(op, Op("add", (left, Op("neg", (right,)))), left, right, name, point)
    (inner,) = left.args
    above = _where(op, inner, right, name, point)
    below = _where(turned[op], inner, Op("neg", (right,)), name, point)
    return _union(above + below) if op[0] == ">" else _intersection(_union(above), _union(below))


def _half_line(
    op: str, difference: Node, left: Node, right: Node, name: str, point: dict[str, Any]
) -> list[Interval]:
    """Where `left op right` holds."""
    for side, other, turned in ((left, right, False), (right, left, True)):
        if isinstance(side, Sym) and name not in symbols(other):
            return _beyond(op, _end(other, point), turned)
    values = [_end(difference, {**point, name: mpmath.mpf(at)}) for at in (0, 1, -2, 5)]
    slope = values[1] - values[0]
    straight = all(
        numeric._close(values[index] - values[0], at * slope, numeric.DIGITS // 2)
        for index, at in ((2, -2), (3, 5))
    )
    if not slope or not straight:
        return _between_roots(op, difference, name, point)
    return _beyond(op, -values[0] / slope, bool(slope < 0))


MAX_DEGREE = 6


def _between_roots(op: str, difference: Node, name: str, point: dict[str, Any]) -> list[Interval]:
    """Where a polynomial of low degree is positive, negative or not zero. Raises NoValue for another term."""
    places = range(-MAX_DEGREE - 2, MAX_DEGREE + 3)
    values = [_end(difference, {**point, name: mpmath.mpf(at)}) for at in places]
    size = MAX_DEGREE + 1
    powers = mpmath.matrix([[mpmath.mpf(at) ** power for power in range(size)] for at in places[:size]])
    found = list(mpmath.lu_solve(powers, mpmath.matrix(values[:size])))
    small = mpmath.mpf(10) ** (-numeric.DIGITS // 2) * (1 + max(abs(value) for value in values))
    for at, value in zip(places, values, strict=True):
        if abs(mpmath.polyval(found[::-1], at) - value) > small:
            raise numeric.NoValue("not a polynomial of low degree")
    while found and abs(found[-1]) < small:
        found.pop()
    if op not in ("<", ">", "<=", ">=", "!=") or len(found) < 2:
        raise numeric.NoValue(op)
    try:
        roots = mpmath.polyroots(found[::-1], maxsteps=200, extraprec=400)
    except mpmath.libmp.NoConvergence as error:
        raise numeric.NoValue(str(error)) from error
    real = sorted(mpmath.re(root) for root in roots if abs(mpmath.im(root)) < mpmath.mpf(10) ** -20)
    ends = [root for index, root in enumerate(real) if not index or root - real[index - 1] > 1e-15]
    bounds = [-mpmath.inf, *ends, mpmath.inf]
    region: list[Interval] = [(root, root, True, True) for root in ends if len(op) == 2 and op != "!="]
    for low, high in pairwise(bounds):
        inside = (max(low, (ends or [0])[0] - 1) + min(high, (ends or [0])[-1] + 1)) / 2
        sign = mpmath.polyval(found[::-1], inside)
        if op == "!=" or (sign > 0) == (op[0] == ">"):
            region.append((low, high, False, False))
    return _union(region)


def _beyond(op: str, end: Any, turned: bool) -> list[Interval]:
    if op == "!=":
        return [(-mpmath.inf, end, False, False), (end, mpmath.inf, False, False)]
    if op == "=":
        return [(end, end, True, True)]
    if op not in ("<", ">", "<=", ">="):
        raise numeric.NoValue(op)
    if (op[0] == "<") != turned:
        return [(-mpmath.inf, end, False, len(op) == 2)]
    return [(end, mpmath.inf, len(op) == 2, False)]


# --- intervals -------------------------------------------------------------------------------------


def _equal_ends(first: Any, second: Any) -> bool:
    return numeric._close(first, second, numeric.DIGITS // 2)


def _union(region: list[Interval]) -> list[Interval]:
    """Sorted, and joined where they touch."""
    joined: list[Interval] = []
    for low, high, has_low, has_high in sorted(region, key=lambda interval: (interval[0], not interval[2])):
        if joined:
            before = joined[-1]
            touch = _equal_ends(before[1], low) and (before[3] or has_low)
            if low < before[1] or touch or (_equal_ends(before[0], low) and _equal_ends(before[1], low)):
                if high > before[1]:
                    joined[-1] = (before[0], high, before[2], has_high)
                elif _equal_ends(high, before[1]):
                    joined[-1] = (before[0], before[1], before[2], before[3] or has_high)
                continue
        joined.append((low, high, has_low and not mpmath.isinf(low), has_high and not mpmath.isinf(high)))
    return joined


def _intersection(first: list[Interval], second: list[Interval]) -> list[Interval]:
    common: list[Interval] = []
    for one in first:
        for other in second:
            low, has_low = max((one[0], not one[2]), (other[0], not other[2]))
            high, has_high = min((one[1], one[3]), (other[1], other[3]))
            closed = not has_low and has_high
            if low < high or (low == high and closed):
                common.append((low, high, not has_low, has_high))
    return common


def _complement(region: list[Interval]) -> list[Interval]:
    gaps: list[Interval] = []
    low, has_low = -mpmath.inf, False
    for start, end, has_start, has_end in region:
        if low < start or (low == start and has_low and not has_start):
            gaps.append((low, start, has_low, not has_start and not mpmath.isinf(start)))
        low, has_low = end, not has_end
    if low < mpmath.inf:
        gaps.append((low, mpmath.inf, has_low, False))
    return gaps


def _same_intervals(first: list[Interval], second: list[Interval]) -> bool:
    return len(first) == len(second) and all(
        one[2:] == other[2:] and _equal_ends(one[0], other[0]) and _equal_ends(one[1], other[1])
        for one, other in zip(first, second, strict=True)
    )
