"""Equations and inequalities, and values with a name.

- a name may be missing on one side, not contradict: `x = 5` is 5 and is not `y = 5`; the argument of a
  function may have another name;
- a chain of names says that all of them are equal: `a = b = 1` is not `a = 1`;
- equations are equal where one is a constant multiple of the other, or both have the same roots;
- a term equals an equation that it solves: `6/x` and `xy = 6`;
- inequalities in one variable are compared as sets, others where their differences are proportional;
- `b < a < c` and the list `b, a, c` are one order.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import msgspec

from tracegen.verify import exact, numeric, words
from tracegen.verify.decision import NO, UNDECIDED, YES, Compare, Decision
from tracegen.verify.names import is_label, is_number, label, value
from tracegen.verify.regions import compare_regions
from tracegen.verify.tree import (
    Group,
    Labelled,
    Node,
    Num,
    Op,
    Quantity,
    Ratio,
    Rel,
    Seq,
    SetOf,
    Sym,
    Words,
    substituted,
    symbols,
    walk,
)


def is_relation(node: Node) -> bool:
    """The answer says how things relate, or names what it gives."""
    return isinstance(node, Rel | Labelled)


def compare_relations(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """Equations, inequalities and labelled values; None where neither side is one."""
    labels = label(reference), label(answer)
    if labels[0] is not None and labels[1] is not None:
        return _both_labelled(reference, answer, compare)
    if isinstance(reference, Rel) and isinstance(answer, Rel):
        return _two_relations(reference, answer, compare)
    region = compare_regions(reference, answer)
    if region is not None and region.settled:
        return region
    if labels[0] is not None or labels[1] is not None:
        return compare(value(reference) if labels[0] else reference, value(answer) if labels[1] else answer)
    return _one_equation(reference, answer, compare)


def _one_equation(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """An equation against a term: the term is the equation solved for a variable that it does not contain."""
    equation = reference if isinstance(reference, Rel) else answer
    if isinstance(equation, Rel) and set(equation.ops) == {"="}:
        if all(is_number(side) for side in equation.sides) or numeric.same(
            equation.sides[0], equation.sides[-1]
        ):
            return compare(value(reference), value(answer))
        if _is_sum_of_names(equation):
            return msgspec.structs.replace(compare(value(reference), value(answer)), weak=True)
        return Decision(equal=_solves(reference, answer) or False)
    return None


def _is_sum_of_names(equation: Rel) -> bool:
    """`m + n = 37`, what is asked for; not the line `x + y = 5`."""
    match equation.sides:
        case (Op(name="add", args=args), total):
            names = {arg.name for arg in args if isinstance(arg, Sym)}
            return len(names) == len(args) and is_number(total) and names <= set("kmnpqrs")
        case _:
            return False


def _names_of(node: Node) -> set[str]:
    """`a`, `b` and `c` of `a = b = c = 1`, and of `a = b = c`."""
    sides = node.sides if isinstance(node, Rel) else ()
    return {str(side) for side in sides if is_label(side)}


def _both_labelled(reference: Node, answer: Node, compare: Compare) -> Decision:
    names = _names_of(reference), _names_of(answer)
    chains = [isinstance(side, Rel) and len(side.sides) > 2 for side in (reference, answer)]
    if any(chains) and names[0] != names[1] and max(map(len, names)) > 1:
        return Decision(equal=False, why="other names are equal")
    if any(chains) and all(
        len(one) == len(side.sides)
        for one, side in zip(names, (reference, answer), strict=True)
        if isinstance(side, Rel)
    ):
        return YES
    values = compare(value(reference), value(answer))
    if label(reference) == label(answer):
        measured = any(isinstance(part, Quantity) for side in (reference, answer) for part in walk(side))
        return (
            values
            if values.equal or not isinstance(reference, Rel) or measured
            else _same_roots(reference, answer, values, compare)
        )
    if isinstance(reference, Labelled) and isinstance(answer, Labelled):
        return values if words.same_label(reference.label, answer.label) else NO
    if not isinstance(reference, Rel) or not isinstance(answer, Rel):
        return NO if words.opposite(str(label(reference)), str(label(answer))) else values
    left, right = _quotient(reference.sides[0]), _quotient(answer.sides[0])
    if isinstance(left, Group) and isinstance(right, Group):
        return _both_tuples(reference, answer, compare)
    if (
        isinstance(left, Op)
        and isinstance(right, Op)
        and left.name == right.name
        and left.name.startswith("call ")
    ):
        if any(
            _is_fixed(arg) or _is_fixed(other)
            for arg, other in zip(left.args, right.args, strict=False)
            if arg != other
        ):
            return NO
        return compare(value(reference), _renamed(value(answer), right, left))
    if isinstance(left, Sym) and isinstance(right, Sym) and _numbered(left, right):
        return values
    if {left, right} == {Sym("rho"), Sym("r")} and "theta" in symbols(value(reference)):
        return values
    if isinstance(left, Sym) and isinstance(right, Sym):
        return _same_roots(reference, answer, NO, compare) if symbols(reference) == symbols(answer) else NO
    if isinstance(left, Op) and isinstance(right, Op):
        return values if numeric.same(left, right) else NO
    return values if _may_name(left, right) or _may_name(right, left) else NO


def _quotient(node: Node) -> Node:
    """`r : R` as `r / R`."""
    return Op("div", node.parts) if isinstance(node, Ratio) and len(node.parts) == 2 else node


def _numbered(left: Sym, right: Sym) -> bool:
    """`x_1` and `x`, `c_max` and `c`: one name, marked on one side."""
    names = sorted((left.name, right.name), key=len)
    name, _, mark = names[1].partition("_")
    return name == names[0] and (mark.isdigit() or mark in ("max", "min"))


def _both_tuples(reference: Rel, answer: Rel, compare: Compare) -> Decision:
    """`(x, y) = (1, 2)` on both sides: by name where these are the same, in order where all are others."""
    names = [side.items for side in (reference.sides[0], answer.sides[0]) if isinstance(side, Group)]
    values = [side.items for side in (value(reference), value(answer)) if isinstance(side, Group)]
    same = len(values) == 2 and len(names[0]) == len(names[1]) == len(values[0]) == len(values[1])
    if not same or names[0] == names[1] or not set(names[0]) & set(names[1]):
        return compare(value(reference), value(answer))
    if set(names[0]) != set(names[1]) or len(set(names[0])) < len(names[0]):
        return NO
    ordered = tuple(values[1][names[1].index(name)] for name in names[0])
    return compare(value(reference), Group("(", ")", ordered))


def _may_name(name: Node, other: Node) -> bool:
    """`y` for any function or ratio, and a function's own name: `y = 2x`, `f = 2x` beside `f(x) = 2x`."""
    if not isinstance(name, Sym):
        return False
    if name.name.endswith("'"):
        return isinstance(other, Op) and other.name == "div" and f"{name.name[:-1]}" in symbols(other)
    if not isinstance(other, Op):
        return False
    free = other.name.startswith("call ") and not any(map(_is_fixed, other.args))
    return (name.name == "y" and free) or other.name == f"call {name.name}"


def _is_fixed(argument: Node) -> bool:
    """An argument that is no variable: a number, or an event such as the A of `P(A)`."""
    return not isinstance(argument, Sym) or argument.name[:1].isupper()


def _renamed(node: Node, old: Op, new: Op) -> Node:
    """`node` with the arguments of a function named as in `new`."""
    for before, after in zip(old.args, new.args, strict=False):
        if isinstance(before, Sym) and isinstance(after, Sym):
            node = substituted(node, before.name, after)
    return node


def _two_relations(reference: Rel, answer: Rel, compare: Compare) -> Decision | None:
    if _same_sides(reference, answer, compare):
        return YES
    if not symbols(reference) and not symbols(answer):
        return NO
    if reference.ops == answer.ops == ("in",) and not compare(reference.sides[0], answer.sides[0]).equal:
        return NO
    if set(reference.ops) == set(answer.ops) == {"="}:
        return _same_roots(reference, answer, NO, compare)
    region = compare_regions(reference, answer)
    if region is not None and region.settled:
        return region
    if ("=" in reference.ops) != ("=" in answer.ops):
        return Decision(equal=False, why="an equation against an inequality")
    return same_sign(reference, answer)


def _same_sides(reference: Rel, answer: Rel, compare: Compare) -> bool:
    """The same chain, side by side or turned round: `f(1) < f(2)`, `f(2) > f(1)`."""
    if reference.ops != answer.ops and TURNED.keys() >= set(answer.ops):
        answer = Rel(tuple(TURNED[sign] for sign in answer.ops[::-1]), answer.sides[::-1])
    if reference.ops != answer.ops:
        return False
    if reference.ops in (("parallel",), ("perp",)) and not compare(reference.sides[0], answer.sides[0]).equal:
        answer = Rel(answer.ops, answer.sides[::-1])
    return all(bool(compare(*sides).equal) for sides in zip(reference.sides, answer.sides, strict=True))


def _difference(relation: Rel) -> Node | None:
    """`left - right` of a relation with two sides."""
    if len(relation.sides) != 2 or any(
        isinstance(side, Group | SetOf | Seq | Words) for side in relation.sides
    ):
        return None
    return Op("add", (relation.sides[0], Op("neg", (relation.sides[1],))))


# --- roots -----------------------------------------------------------------------------------------


def _same_roots(reference: Node, answer: Node, otherwise: Decision, compare: Compare) -> Decision:
    """Equations as sets of points: proportional, or with common roots in some variable."""
    if not isinstance(reference, Rel) or not isinstance(answer, Rel):
        return otherwise
    first, second = _difference(reference), _difference(answer)
    if first is None or second is None:
        return otherwise
    names = sorted(symbols(first) | symbols(second))
    if not names:
        return compare(value(reference), value(answer))
    if symbols(first) != symbols(second):
        return Decision(equal=False, why="variables")
    ratio = _constant_ratio(first, second, names)
    if ratio is not None:
        return YES
    roots = [_roots_shared(one, other, names) for one, other in ((first, second), (second, first))]
    if roots[0] is False or roots[1] is False:
        return NO
    return YES if roots[0] and roots[1] else otherwise


def _constant_ratio(first: Node, second: Node, names: list[str]) -> Any:
    """first/second where it is the same at all points, else None."""
    with mpmath.workdps(numeric.DIGITS + 15):
        ratios = []
        for point in numeric.points(names, 2 * numeric.POINTS, signed=True):
            left, right = numeric._attempt(first, point), numeric._attempt(second, point)
            if (
                isinstance(left, numeric.NoValue)
                or isinstance(right, numeric.NoValue)
                or not right
                or not left
            ):
                continue
            ratios.append(left / right)
        same = len(ratios) >= 3 and all(
            numeric._close(ratio, ratios[0], numeric.DIGITS // 2) for ratio in ratios
        )
        return ratios[0] if same else None


def _roots_shared(first: Node, second: Node, names: list[str]) -> bool | None:
    """Whether roots of `first` in its variables, at drawn values of the others, are roots of `second`."""
    found = 0
    with mpmath.workdps(30):
        for point in numeric.points(names, 4, signed=True):
            for name, scale in ((name, scale) for name in names[:3] for scale in (1, -1, 0.05)):
                root = _root(first, name, dict(point), point[name] * scale)
                if root is None:
                    continue
                at = dict(point) | {name: root}
                there = numeric._attempt(second, at)
                if isinstance(there, numeric.NoValue):
                    continue
                found += 1
                if abs(there) > mpmath.mpf(10) ** -12 * (1 + abs(root)):
                    return False
    return True if found >= 3 else None


def _root(node: Node, name: str, point: dict[str, Any], start: Any) -> Any:
    """A root in `name`, looked for from `start`; None where none is found."""
    try:
        root = mpmath.findroot(
            lambda value: numeric.evaluate(node, {**point, name: value}),
            (start, start + 1),
            solver="secant",
            maxsteps=60,
        )
    except (ValueError, ZeroDivisionError, OverflowError, TypeError, numeric.NoValue):
        return None
    return root if mpmath.isfinite(root) else None


def _solves(reference: Node, answer: Node) -> bool | None:
    """Whether the term on one side is the equation on the other side, solved for a variable."""
    equation, term = (reference, answer) if isinstance(reference, Rel) else (answer, reference)
    if (
        not isinstance(equation, Rel)
        or isinstance(term, Rel | Labelled | Words | Seq | Group | SetOf)
        or exact.is_infinite(term)
        or len(equation.sides) != 2
    ):
        return None
    difference = _difference(equation)
    if difference is None:
        return None
    free = symbols(difference) - symbols(term)
    if not symbols(term) and len(symbols(difference)) > 1:
        return None
    return any(
        _is_linear(difference, name) and numeric.same(substituted(difference, name, term), ZERO)
        for name in sorted(free)
    )


TURNED = {
    "<": ">",
    ">": "<",
    "<=": ">=",
    ">=": "<=",
    "!=": "!=",
    "=": "=",
    "parallel": "parallel",
    "perp": "perp",
}
ZERO = Num(Fraction(0))


def _is_linear(node: Node, name: str) -> bool:
    """Whether `node` is linear in `name`, so that it has one root: its second difference is zero."""
    first, second, third = (substituted(node, name, Num(Fraction(at))) for at in (1, 2, 3))
    return bool(numeric.same(Op("add", (first, Op("mul", (Num(Fraction(-2)), second)), third)), ZERO))


def same_sign(reference: Rel, answer: Rel) -> Decision | None:
    """Inequalities `left < right`: equal where the differences are positive multiples of each other."""
    first, second = _difference(reference), _difference(answer)
    if first is None or second is None or reference.ops[0] not in TURNED or answer.ops[0] not in TURNED:
        return None
    names = sorted(symbols(first) | symbols(second))
    if not names or symbols(first) != symbols(second):
        return NO
    ratio = _constant_ratio(first, second, names)
    if ratio is None or mpmath.im(ratio):
        return UNDECIDED
    wanted = answer.ops[0] if ratio > 0 else TURNED[answer.ops[0]]
    return Decision(equal=reference.ops[0] == wanted)
