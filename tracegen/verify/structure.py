"""Whether two trees are the same answer: what is compared with what, kind by kind.

Runs in a worker. `compare` gives a `Decision`: equal, not equal, or undecided. What holds:

- lists without brackets are unordered, with multiplicity: `2, 2` is not `2`. Tuples and points are
  ordered and keep their brackets; a list and a tuple are compared in order. A set equals a list of the
  same elements; `(1, 2)` is not `{1, 2}`.
- a label (`x = 5`, `f(x) = …`, `Minimum: 1`) may be missing on one side, not contradict: `x = 5` is 5 and
  is not `y = 5`. Two lists that are labelled alike are matched by label.
- equations are equal where one is a constant multiple of the other, or both have the same roots.
- inequalities in one variable, intervals, unions and set builders are compared as sets of numbers;
  variables that are named on both sides have to be the same.
- units are compared and converted; a unit, currency or percent sign on one side only is accepted with
  weak trust, and so are different counted things (`12 students`, `12 people`). Degrees equal their
  radians.
- ratios are proportional, times of day equal to the second, digits in a base have their value.
- `±` stands for two values.
- constants of integration, and integer parameters of general solutions, may be named differently.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import msgspec

from tracegen.data import Struct
from tracegen.verify import exact, numeric, units, words
from tracegen.verify.expression import (
    Based,
    Builder,
    Clock,
    Const,
    Group,
    Labelled,
    Matrix,
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
    is_set,
)

MAX_ITEMS = 3000
"""Items of a list that are compared."""


class Decision(Struct, frozen=True):
    """equal, not equal, or None: undecided."""

    equal: bool | None
    why: str = ""
    weak: bool = False
    """It rests on a leniency, such as a unit on one side only."""

    @property
    def settled(self) -> bool:
        return self.equal is not None


YES, NO, UNDECIDED = Decision(equal=True), Decision(equal=False), Decision(equal=None)


def compare(reference: Node, answer: Node) -> Decision:
    """Whether `answer` is `reference`. Raises exact.TooLarge."""
    decision = _compare(reference, answer)
    if decision.equal is not True:
        for renamed in _renamings(reference, answer):
            again = _compare(reference, renamed)
            if again.equal:
                return again
    return decision


def _compare(reference: Node, answer: Node) -> Decision:
    reference, answer = _plain(reference), _plain(answer)
    if reference == answer:
        return YES
    for kind, judge in _KINDS:
        if kind(reference) or kind(answer):
            decision = judge(reference, answer)
            if decision is not None:
                return decision
    return _scalars(reference, answer)


def _plain(node: Node) -> Node:
    """Without approximations: `x ≈ 3` is `x = 3`, `1/3 ≈ 0.33` is 1/3; numbers in words are numbers."""
    if isinstance(node, Words):
        value = words.number(node.text)
        return node if value is None else Num(value)
    if isinstance(node, Rel) and "~" in node.ops:
        at = node.ops.index("~")
        if at == 0 and numeric.symbols(node.sides[0]) - numeric.symbols(node.sides[1]):
            return _plain(node.sides[1] if len(node.ops) == 1 else Rel(node.ops[1:], node.sides[1:]))
        return _plain(Rel(node.ops[:at], node.sides[: at + 1])) if at else node.sides[0]
    if (
        isinstance(node, Rel)
        and "=" in node.ops
        and _is_number(node.sides[0])
        and _is_label(node.sides[-1])
        and len(node.sides) == 2
    ):
        return Rel(node.ops, node.sides[::-1]) if set(node.ops) == {"="} else node
    if isinstance(node, Seq):
        values = tuple(item for item in node.items if not _is_domain(item))
        return values[0] if len(values) == 1 else Seq(values or node.items)
    if (
        isinstance(node, Op)
        and node.name == "mul"
        and isinstance(node.args[-1], Group)
        and isinstance(node.args[0], Sym)
    ):
        return node.args[1] if len(node.args) == 2 else node
    return node


def _is_domain(node: Node) -> bool:
    """`n ∈ Z` beside a value."""
    return isinstance(node, Rel) and node.ops == ("in",) and isinstance(node.sides[1], Const)


# --- lists -----------------------------------------------------------------------------------------


def _is_list(node: Node) -> bool:
    return isinstance(node, Seq | SetOf) or _has_sign(node)


def _has_sign(node: Node) -> bool:
    return any(isinstance(part, Op) and part.name in ("pm", "mp") for part in numeric.walk(node))


def _items(node: Node) -> list[Node]:
    """The items of a list, set, tuple or single value, with each ± as two."""
    items = list(node.items) if isinstance(node, Seq | SetOf | Group) else [node]
    return [variant for item in items for variant in _variants(item)]


def _variants(node: Node) -> list[Node]:
    return [_signed(node, 1), _signed(node, -1)] if _has_sign(node) else [node]


def _signed(node: Any, sign: int) -> Any:
    """`node` with every ± as `sign` and every ∓ as its opposite."""
    if isinstance(node, tuple):
        return tuple(_signed(part, sign) for part in node)
    if not isinstance(node, Node):
        return node
    if isinstance(node, Op) and node.name in ("pm", "mp"):
        args = _signed(node.args, sign)
        positive = (sign > 0) == (node.name == "pm")
        last = args[-1] if positive else Op("neg", (args[-1],))
        return last if len(args) == 1 else Op("add", (args[0], last))
    return type(node)(*(_signed(getattr(node, name), sign) for name in node.__struct_fields__))


def _lists(reference: Node, answer: Node) -> Decision | None:
    if (
        isinstance(reference, Rel) != isinstance(answer, Rel)
        and isinstance(_in_order(reference), Group)
        and isinstance(_in_order(answer), Group)
    ):
        return _relations(reference, answer)
    if isinstance(reference, Seq) != isinstance(answer, Seq):
        whole = _in_one(reference), _in_one(answer)
        if whole != (reference, answer):
            return _compare(*whole)
    region = _regions(reference, answer)
    if region is not None and region.settled:
        return region
    if _is_value_list(reference) and _is_value_list(answer):
        reference, answer = _unlabelled(reference), _unlabelled(answer)
        if (isinstance(reference, Group) and isinstance(answer, SetOf)) or (
            isinstance(reference, SetOf) and isinstance(answer, Group)
        ):
            return NO
        left, right = _items(reference), _items(answer)
        if isinstance(reference, SetOf) and isinstance(answer, SetOf):
            left, right = _distinct(left), _distinct(right)
        if isinstance(reference, Group) or isinstance(answer, Group):
            return _pairwise(left, right)
        return _matched(left, right)
    return None


def _in_one(node: Node) -> Node:
    """`18 hours and 48 minutes`, `5 feet 3 inches`: one quantity in the smallest of its units."""
    if not isinstance(node, Seq) or not all(isinstance(item, Quantity) for item in node.items):
        return node
    read = [units.read(item.unit) for item in node.items if isinstance(item, Quantity)]
    known = [unit for unit in read if unit is not None]
    falling = all(one.size > other.size for one, other in zip(known, known[1:], strict=False))
    if len(known) < len(node.items) or len({unit.dimension for unit in known}) != 1 or not falling:
        return node
    last = node.items[-1]
    parts = [
        _scaled(item.value, unit.size / known[-1].size)
        for item, unit in zip(node.items, known, strict=True)
        if isinstance(item, Quantity)
    ]
    return Quantity(Op("add", tuple(parts)), last.unit) if isinstance(last, Quantity) else node


def _is_value_list(node: Node) -> bool:
    return not (is_set(node) and not isinstance(node, SetOf)) and not isinstance(node, Matrix)


def _unlabelled(node: Node) -> Node:
    """The value of `S = {1, 2}` and of `(x, y) = (1, 2)`; of `(f, g) = (a, b)` a list of equations."""
    if isinstance(node, Labelled):
        return _unlabelled(node.value)
    if (
        isinstance(node, Rel)
        and set(node.ops) <= {"=", "in"}
        and isinstance(node.sides[-1], Group | SetOf | Seq)
    ):
        return node.sides[-1]
    return node


def _distinct(items: list[Node]) -> list[Node]:
    """Without repeated elements; exact values by hashing, up to 100 others by comparing."""
    kept: list[Node] = []
    others: list[Node] = []
    seen: set[Fraction] = set()
    for item in items:
        known = _exact(item)
        if known is not None:
            if known not in seen:
                seen.add(known)
                kept.append(item)
        elif len(others) >= 100 or not any(_compare(item, other).equal for other in others):
            others.append(item)
            kept.append(item)
    return kept


def _pairwise(left: list[Node], right: list[Node]) -> Decision:
    """In order."""
    if len(left) != len(right):
        return Decision(equal=False, why=f"{len(left)} parts against {len(right)}")
    return _all([_compare(one, other) for one, other in zip(left, right, strict=True)])


def _all(decisions: list[Decision]) -> Decision:
    if any(decision.equal is False for decision in decisions):
        return next(decision for decision in decisions if decision.equal is False)
    if any(decision.equal is None for decision in decisions):
        return UNDECIDED
    return Decision(equal=True, weak=any(decision.weak for decision in decisions))


def _matched(left: list[Node], right: list[Node]) -> Decision:
    """As multisets; by label where both sides are labelled alike."""
    if len(left) != len(right):
        return Decision(equal=False, why=f"{len(left)} values against {len(right)}")
    if len(left) > MAX_ITEMS:
        return UNDECIDED
    names = [_label(item) for item in left], [_label(item) for item in right]
    if _only_one_names(left, right):
        return _pairwise(left, right)
    if None not in names[0] and len(set(names[0])) == len(left) and set(names[0]) == set(names[1]):
        return _pairwise(left, [right[names[1].index(name)] for name in names[0]])
    return _assigned(left, right)


def _only_one_names(left: list[Node], right: list[Node]) -> bool:
    """`x = 1, y = 2` against bare values: in the order of the names. Words, as in `Minimum: 1`, give no order."""
    named = [
        len({_label(item) for item in items}) == len(items) and all(isinstance(item, Rel) and _label(item) for item in items)
        for items in (left, right)
    ]
    bare = [not any(_label(item) for item in items) for items in (left, right)]
    return len(left) > 1 and ((named[0] and bare[1]) or (bare[0] and named[1]))


def _assigned(left: list[Node], right: list[Node]) -> Decision:
    """Exact values by sorting, the rest by trying: each item takes the first that is equal."""
    rest: list[Node] = list(right)
    weak = undecided = False
    exactly: dict[Fraction, list[Node]] = {}
    for item in rest:
        known = _exact(item)
        if known is not None:
            exactly.setdefault(known, []).append(item)
    taken: set[int] = set()
    open_items: list[Node] = []
    for item in left:
        known = _exact(item)
        same = exactly.get(known) if known is not None else None
        if same:
            taken.add(id(same.pop()))
        else:
            open_items.append(item)
    rest = [item for item in rest if id(item) not in taken]
    if len(open_items) > 100:
        return Decision(equal=False, why=f"{len(open_items)} values have no counterpart")
    for item in open_items:
        for index, other in enumerate(rest):
            decision = _compare(item, other)
            undecided = undecided or not decision.settled
            if decision.equal:
                weak = weak or decision.weak
                del rest[index]
                break
        else:
            return UNDECIDED if undecided else Decision(equal=False, why="a value has no counterpart")
    return Decision(equal=True, weak=weak)


def _exact(node: Node) -> Fraction | None:
    return exact.value(node) if isinstance(node, Num | Op) and not isinstance(node, Quantity) else None


# --- tuples and matrices ---------------------------------------------------------------------------


def _is_tuple(node: Node) -> bool:
    return isinstance(node, Group | Matrix)


def _tuples(reference: Node, answer: Node) -> Decision | None:
    reference, answer = _unlabelled(reference), _unlabelled(answer)
    if isinstance(reference, Matrix) and isinstance(answer, Matrix):
        shape = [len(reference.rows), len(reference.rows[0])] == [len(answer.rows), len(answer.rows[0])]
        cells = [[cell for row in matrix.rows for cell in row] for matrix in (reference, answer)]
        return _pairwise(*cells) if shape else NO
    if isinstance(reference, Matrix) or isinstance(answer, Matrix):
        matrix, other = (reference, answer) if isinstance(reference, Matrix) else (answer, reference)
        if not isinstance(other, Group):
            return None
        pairs = [_as_group(matrix), other]
        return _pairwise(*[_cells(part) for part in (pairs if matrix is reference else pairs[::-1])])
    if isinstance(reference, Group) and isinstance(answer, Group):
        if (reference.left, reference.right) != (answer.left, answer.right) and not _vector(
            reference, answer
        ):
            return Decision(equal=False, why="brackets")
        return _pairwise(list(reference.items), list(answer.items))
    region = _regions(reference, answer)
    if region is not None and region.settled:
        return region
    if isinstance(reference, Group | Seq) and isinstance(answer, Group | Seq):
        return _pairwise(_items(reference), _items(answer))
    return None


def _vector(first: Group, second: Group) -> bool:
    """Three or more numbers in brackets are a vector, whatever the brackets."""
    return len(first.items) > 2 and all(group.left + group.right in ("()", "[]") for group in (first, second))


def _as_group(matrix: Matrix) -> Group:
    if len(matrix.rows[0]) == 1:
        return Group("(", ")", tuple(row[0] for row in matrix.rows))
    if len(matrix.rows) == 1:
        return Group("(", ")", matrix.rows[0])
    return Group("[", "]", tuple(Group("[", "]", row) for row in matrix.rows))


def _cells(group: Group) -> list[Node]:
    return list(group.items)


# --- relations -------------------------------------------------------------------------------------


def _is_relation(node: Node) -> bool:
    return isinstance(node, Rel | Labelled)


def _is_number(node: Node) -> bool:
    return not numeric.symbols(node) and not isinstance(node, Words | Rel)


def _is_label(node: Node) -> bool:
    """A name for a value: `x`, `a_1`, `f(x)`, `AB`, `(x, y)`, `a:b`, `AB/CD`, `sin A`, `angle ABC`."""
    match node:
        case Sym():
            return True
        case Op(name=name) if name.startswith("call "):
            return True
        case Op(name="div" | "abs" | "sin" | "cos" | "tan" | "cot", args=args):
            return all(_is_label(arg) for arg in args)
        case Op(name="mul", args=args):
            return all(isinstance(arg, Sym) and arg.name[:1].isupper() for arg in args)
        case Group(items=items) | Seq(items=items):
            return all(_is_label(item) or _is_application(item) for item in items)
        case Ratio(parts=items):
            return all(_is_label(item) for item in items)
        case _:
            return False


def _is_application(node: Node) -> bool:
    """`P(x)` in a list of names, where it was read as a product."""
    return isinstance(node, Op) and node.name == "mul" and all(isinstance(arg, Sym) for arg in node.args)


def _label(node: Node) -> str | None:
    """The name that an item gives to its value, as text."""
    if isinstance(node, Labelled):
        return words.normal(node.label)
    if isinstance(node, Rel) and set(node.ops) == {"="} and _is_label(node.sides[0]):
        return str(node.sides[0])
    return None


def _value(node: Node) -> Node:
    """What a labelled item says."""
    if isinstance(node, Labelled):
        return node.value
    return node.sides[-1] if isinstance(node, Rel) else node


def _relations(reference: Node, answer: Node) -> Decision | None:
    ordered = _in_order(reference), _in_order(answer)
    if ordered != (reference, answer) and all(isinstance(side, Group) for side in ordered):
        return msgspec.structs.replace(_compare(*ordered), weak=True)
    labels = _label(reference), _label(answer)
    if labels[0] is not None and labels[1] is not None:
        return _both_labelled(reference, answer)
    if isinstance(reference, Rel) and isinstance(answer, Rel):
        return _two_relations(reference, answer)
    region = _regions(reference, answer)
    if region is not None and region.settled:
        return region
    if labels[0] is not None or labels[1] is not None:
        value = _compare(
            _value(reference) if labels[0] else reference, _value(answer) if labels[1] else answer
        )
        if value.equal is not False or any(isinstance(side, Labelled) for side in (reference, answer)):
            return value
        return Decision(equal=_solves(reference, answer) or False)
    return _one_equation(reference, answer)


def _in_order(node: Node) -> Node:
    """`b < a < c` as an order of names, and a list of names that may be one."""
    if isinstance(node, Rel) and len(node.sides) > 2 and all(isinstance(side, Sym) for side in node.sides):
        return Group("(", ")", node.sides) if set(node.ops) == {"<"} else node
    if isinstance(node, Seq) and all(isinstance(item, Sym) for item in node.items):
        return Group("(", ")", node.items)
    return node


def _one_equation(reference: Node, answer: Node) -> Decision | None:
    """An equation against a term: the term is the equation solved for a variable that it does not contain."""
    equation = reference if isinstance(reference, Rel) else answer
    if isinstance(equation, Rel) and set(equation.ops) == {"="}:
        if all(_is_number(side) for side in equation.sides) or numeric.same(
            equation.sides[0], equation.sides[-1]
        ):
            return _compare(_value(reference), _value(answer))
        return Decision(equal=_solves(reference, answer) or False)
    return None


def _both_labelled(reference: Node, answer: Node) -> Decision:
    values = _compare(_value(reference), _value(answer))
    if _label(reference) == _label(answer):
        return (
            values
            if values.equal or not isinstance(reference, Rel)
            else _same_roots(reference, answer, values)
        )
    if not isinstance(reference, Rel) or not isinstance(answer, Rel):
        return values
    left, right = reference.sides[0], answer.sides[0]
    if isinstance(left, Group) and isinstance(right, Group):
        return values
    if (
        isinstance(left, Op)
        and isinstance(right, Op)
        and left.name == right.name
        and left.name.startswith("call ")
    ):
        return _compare(_value(reference), _renamed(_value(answer), right, left))
    if isinstance(left, Sym) and isinstance(right, Sym):
        return (
            _same_roots(reference, answer, NO)
            if numeric.symbols(reference) == numeric.symbols(answer)
            else NO
        )
    if isinstance(left, Op) and isinstance(right, Op):
        return NO if values.equal is not True or left.name != right.name else values
    return values


def _renamed(node: Node, old: Op, new: Op) -> Node:
    """`node` with the arguments of a function named as in `new`."""
    for before, after in zip(old.args, new.args, strict=False):
        if isinstance(before, Sym) and isinstance(after, Sym):
            node = _substituted(node, before.name, after)
    return node


def _substituted(node: Any, name: str, value: Node) -> Any:
    if isinstance(node, tuple):
        return tuple(_substituted(part, name, value) for part in node)
    if isinstance(node, Sym):
        return value if node.name == name else node
    if not isinstance(node, Node):
        return node
    return type(node)(*(_substituted(getattr(node, field), name, value) for field in node.__struct_fields__))


def _two_relations(reference: Rel, answer: Rel) -> Decision | None:
    if set(reference.ops) == set(answer.ops) == {"="}:
        return _same_roots(reference, answer, UNDECIDED)
    region = _regions(reference, answer)
    if region is not None and region.settled:
        return region
    return _same_sign(reference, answer)


def _difference(relation: Rel) -> Node | None:
    """`left - right` of a relation with two sides."""
    if len(relation.sides) != 2 or any(
        isinstance(side, Group | SetOf | Seq | Words) for side in relation.sides
    ):
        return None
    return Op("add", (relation.sides[0], Op("neg", (relation.sides[1],))))


def _same_roots(reference: Node, answer: Node, otherwise: Decision) -> Decision:
    """Equations as sets of points: proportional, or with common roots in some variable."""
    if not isinstance(reference, Rel) or not isinstance(answer, Rel):
        return otherwise
    first, second = _difference(reference), _difference(answer)
    if first is None or second is None:
        return otherwise
    names = sorted(numeric.symbols(first) | numeric.symbols(second))
    if not names:
        return _compare(_value(reference), _value(answer))
    if numeric.symbols(first) != numeric.symbols(second):
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
            for name in names[:3]:
                root = _root(first, name, dict(point))
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


def _root(node: Node, name: str, point: dict[str, Any]) -> Any:
    start = point[name]
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
        or len(equation.sides) != 2
    ):
        return None
    difference = _difference(equation)
    if difference is None:
        return None
    free = numeric.symbols(difference) - numeric.symbols(term)
    if not numeric.symbols(term) and len(numeric.symbols(difference)) > 1:
        return None
    return any(numeric.same(_substituted(difference, name, term), Num(Fraction(0))) for name in sorted(free))


def _same_sign(reference: Rel, answer: Rel) -> Decision | None:
    """Inequalities `left < right`: equal where the differences are positive multiples of each other."""
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}
    first, second = _difference(reference), _difference(answer)
    if first is None or second is None or reference.ops[0] not in turned or answer.ops[0] not in turned:
        return None
    names = sorted(numeric.symbols(first) | numeric.symbols(second))
    if not names or numeric.symbols(first) != numeric.symbols(second):
        return NO
    ratio = _constant_ratio(first, second, names)
    if ratio is None or mpmath.im(ratio):
        return UNDECIDED
    wanted = answer.ops[0] if ratio > 0 else turned[answer.ops[0]]
    return Decision(equal=reference.ops[0] == wanted)


# --- sets of numbers -------------------------------------------------------------------------------

Interval = tuple[Any, Any, bool, bool]
"""Lower and upper end, and whether each belongs to it."""


def _regions(reference: Node, answer: Node) -> Decision | None:
    """Both as sets of real numbers, at drawn values of further symbols; None where one is not such a set."""
    if not (_speaks_of_sets(reference) or _speaks_of_sets(answer)):
        return None
    names = _variable(reference), _variable(answer)
    if names[0] and names[1] and names[0] != names[1]:
        return Decision(equal=False, why=f"{names[0]} against {names[1]}")
    free = sorted((numeric.symbols(reference) | numeric.symbols(answer)) - set(names))
    with mpmath.workdps(numeric.DIGITS):
        for point in numeric.points(free, 3 if free else 1):
            try:
                left, right = _union(_region(reference, point)), _union(_region(answer, point))
            except numeric.NoValue:
                return UNDECIDED
            if not _same_intervals(left, right):
                return Decision(equal=False, why="the sets differ")
    return YES


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
    every = numeric.symbols(node)
    return every.pop() if len(every) == 1 else ""


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
        case Const(name="R"):
            return [(-mpmath.inf, mpmath.inf, False, False)]
        case Const(name="emptyset"):
            return []
        case Op(name="cup", args=(first, second)):
            return _region(first, point) + _region(second, point)
        case Op(name="cap", args=(first, second)):
            return _intersection(_union(_region(first, point)), _union(_region(second, point)))
        case Op(name="setminus", args=(first, second)):
            return _intersection(_union(_region(first, point)), _complement(_union(_region(second, point))))
        case Rel(ops=("in",), sides=(_, region)):
            return _region(region, point)
        case Rel():
            return _condition(node, _variable(node), point)
        case Builder(element=element, condition=condition):
            return _built(element, condition, point)
        case Seq(items=items):
            return _alternatives([_union(_region(item, point)) for item in items])
        case Labelled(value=value):
            return _region(value, point)
        case _:
            raise numeric.NoValue("not a set of numbers")


def _built(element: Node, condition: Node, point: dict[str, Any]) -> list[Interval]:
    name = element.sides[0] if isinstance(element, Rel) else element
    if not isinstance(name, Sym):
        raise numeric.NoValue("a set of other things than numbers")
    conditions = list(condition.items) if isinstance(condition, Seq) else [condition]
    region: list[Interval] = [(-mpmath.inf, mpmath.inf, False, False)]
    if isinstance(element, Rel):
        region = _region(element, point)
    for part in conditions:
        inner = (
            _condition(part, name.name, point)
            if isinstance(part, Rel) and "in" not in part.ops
            else _region(part, point)
        )
        region = _intersection(region, _union(inner))
    return region


def _alternatives(regions: list[list[Interval]]) -> list[Interval]:
    """Conditions in a list: all of them at once where that is possible, else any of them."""
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
        if name not in numeric.symbols(left) | numeric.symbols(right):
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
        if isinstance(side, Sym) and name not in numeric.symbols(other):
            return _beyond(op, _end(other, point), turned)
    values = [_end(difference, {**point, name: mpmath.mpf(at)}) for at in (0, 1, -2, 5)]
    slope = values[1] - values[0]
    straight = all(
        numeric._close(values[index] - values[0], at * slope, numeric.DIGITS // 2)
        for index, at in ((2, -2), (3, 5))
    )
    if not slope or not straight:
        raise numeric.NoValue("not linear")
    return _beyond(op, -values[0] / slope, bool(slope < 0))


def _beyond(op: str, end: Any, turned: bool) -> list[Interval]:
    if op == "!=":
        return [(-mpmath.inf, end, False, False), (end, mpmath.inf, False, False)]
    if op not in ("<", ">", "<=", ">="):
        raise numeric.NoValue(op)
    if (op[0] == "<") != turned:
        return [(-mpmath.inf, end, False, len(op) == 2)]
    return [(end, mpmath.inf, len(op) == 2, False)]


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


# --- values with something beside them -------------------------------------------------------------


def _is_words(node: Node) -> bool:
    return isinstance(node, Words)


def _words(reference: Node, answer: Node) -> Decision:
    if isinstance(reference, Words) and isinstance(answer, Words):
        if words.same(reference.text, answer.text):
            return YES
        return Decision(
            equal=words.contained(answer.text, reference.text), weak=True, why="words of the reference"
        )
    phrase, other = (reference, answer) if isinstance(reference, Words) else (answer, reference)
    assert isinstance(phrase, Words)  # noqa: S101 - the table of kinds looked
    meaning = words.meaning(phrase.text)
    signs = {words.EMPTY: "emptyset", words.INFINITE: "infinity", words.REALS: "R"}
    return Decision(
        equal=isinstance(other, Const) and meaning is not None and signs.get(meaning) == other.name
    )


def _is_clock(node: Node) -> bool:
    return isinstance(node, Clock)


def _clocks(reference: Node, answer: Node) -> Decision | None:
    if isinstance(reference, Clock) and isinstance(answer, Clock):
        halves = [clock.half for clock in (reference, answer)]
        if halves[0] and halves[1]:
            return Decision(equal=reference == answer)
        times = [
            clock.seconds + 43200 * (clock.half == "pm" and clock.seconds < 43200)
            for clock in (reference, answer)
        ]
        return Decision(
            equal=times[0] == times[1] or reference.seconds == answer.seconds, weak=halves[0] != halves[1]
        )
    return NO


def _is_ratio(node: Node) -> bool:
    return isinstance(node, Ratio)


def _ratios(reference: Node, answer: Node) -> Decision | None:
    if isinstance(reference, Ratio) and isinstance(answer, Ratio):
        if len(reference.parts) != len(answer.parts):
            return NO
        pairs = list(zip(reference.parts, answer.parts, strict=True))
        return _all(
            [
                _scalars(Op("mul", (first, pairs[index + 1][1])), Op("mul", (second, pairs[index + 1][0])))
                for index, (first, second) in enumerate(pairs[:-1])
            ]
        )
    ratio, other = (reference, answer) if isinstance(reference, Ratio) else (answer, reference)
    if (
        isinstance(ratio, Ratio)
        and len(ratio.parts) == 2
        and not isinstance(other, Group | Seq | SetOf | Rel)
    ):
        division = Op("div", ratio.parts)
        return _compare(division, answer) if ratio is reference else _compare(reference, division)
    return NO


def _is_measured(node: Node) -> bool:
    return isinstance(node, Quantity) or (isinstance(node, Op) and node.name == "percent")


def _parts(node: Node) -> tuple[Node, str]:
    """A value and its unit; `%` is one."""
    match node:
        case Quantity(value=inner, unit=unit):
            return inner, unit
        case Op(name="percent", args=(inner,)):
            return inner, "%"
        case Op(name="neg", args=(Quantity(value=inner, unit=unit),)):
            return Op("neg", (inner,)), unit
        case _:
            return node, ""


def _measures(reference: Node, answer: Node) -> Decision | None:
    if any(isinstance(side, Group | Seq | SetOf | Rel | Matrix) for side in (reference, answer)):
        return None
    (first, one), (second, other) = _parts(reference), _parts(answer)
    if "%" in (one, other):
        return _percents(reference, answer, first, second, one, other)
    units_read = units.read(one), units.read(other)
    if "°" in one + other or any(
        unit is not None and unit.dimension == (("angle", 1),) for unit in units_read
    ):
        return _angles(first, second, one, other)
    if units_read[0] is not None and units_read[1] is not None:
        if units_read[0].dimension != units_read[1].dimension:
            return Decision(equal=False, why=f"{one} against {other}")
        if units_read[0].size == units_read[1].size:
            return _compare(first, second)
        return _compare(_scaled(first, units_read[0].size), _scaled(second, units_read[1].size))
    if (units_read[0] is None) != (units_read[1] is None):
        written = _with_symbols(reference, units_read[1]), _with_symbols(answer, units_read[0])
        if written != (reference, answer):
            return _measures(*written)
    values = _compare(first, second)
    if values.equal and words.normal(one) != words.normal(other):
        return Decision(equal=True, weak=True, why=f"{one or 'no unit'} against {other or 'no unit'}")
    return values


def _with_symbols(node: Node, other: units.Unit | None) -> Node:
    """`10 m/s` whose letters were read as symbols, where the other side has a unit: the same as a quantity."""
    if other is None or isinstance(node, Quantity) or not isinstance(node, Op):
        return node
    spelled = _spelled(node)
    if spelled is None or not spelled[1] or units.read(spelled[1]) is None:
        return node
    return Quantity(spelled[0], spelled[1])


def _spelled(node: Node) -> tuple[Node, str] | None:
    """A product of one number and symbols as the number and the text of its unit; None for anything else."""
    match node:
        case Num():
            return node, ""
        case Sym(name=name):
            return Num(Fraction(1)), name
        case Op(name="neg", args=(inner,)):
            parts = _spelled(inner)
            return None if parts is None else (Op("neg", (parts[0],)), parts[1])
        case Op(name="pow", args=(Sym(name=name), Num(value=power))):
            return Num(Fraction(1)), f"{name}^{power}"
        case Op(name="div", args=(above, below)) if isinstance(below, Sym | Op):
            top, bottom = _spelled(above), _spelled(below)
            return None if top is None or bottom is None else (top[0], f"{top[1]}/{bottom[1]}")
        case Op(name="mul", args=(first, *rest)):
            parts = _spelled(first)
            others = [_spelled(one) for one in rest]
            if parts is None or None in others:
                return None
            return parts[0], " ".join([parts[1], *(one[1] for one in others if one is not None)]).strip()
        case _:
            return None


def _scaled(node: Node, size: Fraction) -> Node:
    return node if size == 1 else Op("mul", (node, Num(size)))


def _percents(reference: Node, answer: Node, first: Node, second: Node, one: str, other: str) -> Decision:
    if one == other:
        return _compare(first, second)
    plain = _scalars(reference if one in ("", "%") else first, answer if other in ("", "%") else second)
    if plain.equal:
        return plain
    bare = _compare(first, second)
    known = _exact(first)
    if bare.equal and not (one and other) and (known is None or abs(known) >= 1):  # 0.5 is no short form of 0.5 %
        return Decision(equal=True, weak=True, why="a percent sign on one side")
    return plain


def _angles(first: Node, second: Node, one: str, other: str) -> Decision:
    """Degrees against degrees, against radians, or against the bare number of degrees."""
    values = _compare(first, second)
    if values.equal:
        return Decision(equal=True, weak=not (one and other))
    if one and other:
        return values
    return _scalars(Quantity(first, "°") if one else first, Quantity(second, "°") if other else second)


# --- terms -----------------------------------------------------------------------------------------


def _scalars(reference: Node, answer: Node) -> Decision:
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
        isinstance(side, Op) and any(isinstance(part, Matrix) for part in numeric.walk(side))
        for side in sides
    )


_CONSTANTS = re.compile(r"(?:[CKck]|c|const)(?:_\w+)?\Z")
_PARAMETERS = frozenset({"n", "k", "m", "l", "t", "s", "j", "ell", "r"})


def _renamings(reference: Node, answer: Node) -> list[Node]:
    """The answer with its own parameter named as the reference names hers, where that is allowed."""
    own, theirs = _free(answer), _free(reference)
    extra, missing = own - theirs, theirs - own
    if len(extra) != 1 or len(missing) != 1:
        return []
    old, new = extra.pop(), missing.pop()
    constant = bool(_CONSTANTS.match(old) and _CONSTANTS.match(new))
    several = all(isinstance(_unlabelled(side), Group | Seq | SetOf | Matrix) for side in (reference, answer))
    integer = old in _PARAMETERS and new in _PARAMETERS and Const("pi") in list(numeric.walk(reference))
    bound = several and not any(_binds(side, name) for side, name in ((reference, new), (answer, old)))
    bound = bound and _relates(reference, new) and _relates(answer, old)
    return [_substituted(answer, old, Sym(new))] if constant or integer or bound else []


def _relates(node: Node, name: str) -> bool:
    """Whether `name` is a parameter of several parts, rather than a part itself."""
    inner = _unlabelled(node)
    parts = inner.items if isinstance(inner, Group | Seq | SetOf) else inner.rows if isinstance(inner, Matrix) else ()
    return Sym(name) not in parts and sum(name in numeric.symbols(Seq((part,) if isinstance(part, Node) else part)) for part in parts) > 1


def _free(node: Any) -> set[str]:
    """Symbols of the values, without those that only label them."""
    if isinstance(node, tuple):
        return {name for part in node for name in _free(part)}
    if isinstance(node, Rel) and _label(node) is not None:
        return _free(node.sides[1:])
    if isinstance(node, Sym):
        return {node.name}
    return (
        {name for field in node.__struct_fields__ for name in _free(getattr(node, field))}
        if isinstance(node, Node)
        else set()
    )


def _binds(node: Node, name: str) -> bool:
    """Whether `name` is what the answer is about, as in `x = 1, y = 2`, rather than a parameter."""
    labels = [part.sides[0] for part in numeric.walk(node) if isinstance(part, Rel)]
    return any(name in numeric.symbols(label) for label in labels)


_KINDS: tuple[tuple[Callable[[Node], bool], Callable[[Node, Node], Decision | None]], ...] = (
    (_is_list, _lists),
    (_is_words, _words),
    (_is_relation, _relations),
    (_is_tuple, _tuples),
    (lambda node: is_set(node), lambda reference, answer: _regions(reference, answer)),
    (_is_clock, _clocks),
    (_is_measured, _measures),
    (_is_ratio, _ratios),
)
"""Kinds in the order in which they are looked for; a judge may say None: it is not for me."""
