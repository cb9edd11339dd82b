"""Lists, sets and tuples: what is ordered, what is counted, and ± as two values.

- lists without brackets are unordered, with multiplicity: `2, 2` is not `2`;
- sets are without multiplicity; a list equals a set of the same elements, a tuple does not;
- tuples and points are ordered and keep their brackets; three or more numbers are a vector in any;
- a list and a tuple, and a list of names against bare values, are compared in order;
- two lists with the same names are matched by name, and hold all at once on both sides or any on both;
- `x_1`, `x_2` are roots (`λ_1`, `λ_2` eigenvalues), of which nobody can know the order;
- a list that goes on (`…`) is ordered;
- quantities of one kind that get smaller are one: `5 feet 3 inches`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec

from tracegen.verify import exact, units
from tracegen.verify.decision import NO, UNDECIDED, Compare, Decision, every, together
from tracegen.verify.matrices import beside
from tracegen.verify.measures import scaled
from tracegen.verify.names import label, unlabelled, value
from tracegen.verify.regions import compare_regions
from tracegen.verify.tree import (
    Const,
    Group,
    Labelled,
    Matrix,
    Node,
    Num,
    Op,
    Quantity,
    Rel,
    Seq,
    SetOf,
    Sym,
    Words,
    is_set,
    symbols,
    walk,
)
from tracegen.verify.words import normal

DOTS = Const("dots")
"""What makes a list a sequence that goes on, in its order."""
MAX_ITEMS = 3000
"""Items of a list that are compared."""


def is_list(node: Node) -> bool:
    """The answer gives several values in no order."""
    return isinstance(node, Seq | SetOf) or has_sign(node)


def has_sign(node: Node) -> bool:
    return any(isinstance(part, Op) and part.name in ("pm", "mp") for part in walk(node))


def items(node: Node) -> list[Node]:
    """The items of a list, set, tuple or single value, with each ± as two."""
    whole = isinstance(node, Group) and has_sign(node)  # `(±1, 0)` are two points
    parts = list(node.items) if isinstance(node, Seq | SetOf | Group) and not whole else [node]
    return [variant for part in parts for variant in _variants(part)]


def _variants(node: Node) -> list[Node]:
    return [_signed(node, 1), _signed(node, -1)] if has_sign(node) else [node]


def _freely(node: Any) -> list[Any]:
    """`node` with the signs of `±1 ± √2` chosen one by one; of more than six, or with ∓, none."""
    signs = [part for part in walk(node) if isinstance(part, Op) and part.name in ("pm", "mp")]
    if not 1 < len(signs) <= 6 or any(sign.name == "mp" for sign in signs):
        return []
    found: list[Any] = [node]
    for _ in signs:
        found = [one for part in found for one in _first_sign(part)]
    return list(dict.fromkeys(found))


def _first_sign(node: Any) -> list[Any]:
    """Both readings of the first ± that no other one stands in; the node itself where there is none."""
    if isinstance(node, tuple):
        for index, part in enumerate(node):
            if isinstance(part, Node | tuple) and any(has_sign(one) for one in _nodes(part)):
                return [(*node[:index], one, *node[index + 1 :]) for one in _first_sign(part)]
        return [node]
    if isinstance(node, Op) and node.name == "pm":
        last = node.args[-1]
        ends = [last, Op("neg", (last,))]
        return ends if len(node.args) == 1 else [Op("add", (node.args[0], end)) for end in ends]
    for name in node.__struct_fields__:
        field = getattr(node, name)
        if isinstance(field, Node | tuple) and any(has_sign(one) for one in _nodes(field)):
            return [msgspec.structs.replace(node, **{name: one}) for one in _first_sign(field)]
    return [node]


def _nodes(part: Any) -> list[Node]:
    return [one for inner in part for one in _nodes(inner)] if isinstance(part, tuple) else [part]


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


def values_beside_interval(first: Node, second: Node) -> bool:
    """Whether one side is an interval and the other values: `[3, 7)` and `3, 7`, `(-2, 2)` and `±2`.

    Two numbers in round or square brackets may be a pair or a list, except beside `±` and `or`.
    """
    for stretch, other in ((first, second), (second, first)):
        values_ = value(other) if label(other) else other
        signs = isinstance(values_, Op) and values_.name == "pm"
        either = isinstance(other, Seq) and other.joint == "or"
        if not (signs or (isinstance(other, Seq) and all(map(_is_value, other.items)))):
            continue
        match stretch:
            case Rel(ops=("in",), sides=(Sym(), Group(items=(_, _)))):
                return True
            case Group(left=left, right=right, items=(start, end)):
                half = left + right in ("[)", "(]")
                ends = exact.plain_value(start), exact.plain_value(end)
                rising = ends[0] is not None and ends[1] is not None and ends[0] < ends[1]
                if half or ((signs or either) and rising):
                    return True
    return False


def _is_value(node: Node) -> bool:
    """A number, or a name and its value."""
    inner = value(node) if label(node) else node
    return isinstance(inner, Num | Op | Const | Sym)


def compare_lists(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """Unordered values, each as often on both sides; None where neither side is a list."""
    if isinstance(reference, Seq) != isinstance(answer, Seq):
        whole = _in_one(reference), _in_one(answer)
        if whole != (reference, answer):
            return compare(*whole)
    region = compare_regions(reference, answer)
    if region is not None and region.settled:
        return region
    if _all_or_any(reference, answer):
        return Decision(equal=False, why="all at once against any")
    reference, answer = _restated(reference, compare), _restated(answer, compare)
    if not (is_list(reference) or is_list(answer)):
        return compare(reference, answer)
    reference, answer = _tuples_by_name(reference), _tuples_by_name(answer)
    if isinstance(answer, Seq) or isinstance(reference, Seq):
        reference, answer = _each_inside(reference, answer), _each_inside(answer, reference)
    if _is_value_list(reference) and _is_value_list(answer):
        reference, answer = unlabelled(reference), unlabelled(answer)
        if (isinstance(reference, Group) and isinstance(answer, SetOf)) or (
            isinstance(reference, SetOf) and isinstance(answer, Group)
        ):
            return NO
        left, right = items(reference), items(answer)
        free = [_free_items(side) for side in (reference, answer)]
        if len(left) != len(right) or len(free[0]) != len(free[1]):
            left, right = free
        if isinstance(reference, SetOf) and isinstance(answer, SetOf):
            left, right = _distinct(left, compare), _distinct(right, compare)
        if (isinstance(reference, Group) or isinstance(answer, Group)) and not has_sign(
            Seq((reference, answer))
        ):
            return _pairwise(left, right, compare)
        return _matched(left, right, compare)
    return NO if isinstance(reference, Seq) != isinstance(answer, Seq) else None


def _all_or_any(reference: Node, answer: Node) -> bool:
    """`a = 0 or b = 0` beside `a = 0, b = 0`."""
    sides = [side for side in (reference, answer) if isinstance(side, Seq)]
    capitals = [
        all(isinstance(item, Sym) and len(item.name) == 1 and item.name.isupper() for item in side.items)
        for side in sides
    ]
    if len(sides) == 2 and all(capitals):
        return {side.joint for side in sides} == {"and", "or"}
    named = [{label(item) for item in side.items} for side in sides]
    apart = [
        None not in names and len(names) == len(side.items) > 1
        for names, side in zip(named, sides, strict=True)
    ]
    return (
        len(sides) == 2
        and all(apart)
        and named[0] == named[1]
        and len({side.joint == "or" for side in sides}) == 2
    )


def _restated(node: Node, compare: Compare) -> Node:
    """`1/4 or 25%`, `1/4, 25%`: one value, said twice."""
    if not isinstance(node, Seq) or len(node.items) > 3:
        return node
    percents = sum(isinstance(item, Op) and item.name == "percent" for item in node.items)
    if node.joint != "or" and not 0 < percents < len(node.items):
        return node
    first, *others = node.items
    if node.joint != "or" and len({exact.plain_value(item) for item in node.items}) > 1:
        return node
    same = first not in others and all(bool(compare(first, other).equal) for other in others)
    return first if same else node


def _each_inside(node: Node, other: Node) -> Node:
    """`x ∈ {1, 2}` as `x = 1, x = 2` beside values that are named."""
    match node, other:
        case Rel(ops=("in",), sides=(Sym() as name, SetOf(items=inside))), Seq(items=parts) if any(
            map(label, parts)
        ):
            return Seq(tuple(Rel(("=",), (name, item)) for item in inside))
        case _:
            return node


def _tuples_by_name(node: Node) -> Node:
    """`p = 2, q = 3 or p = 3, q = 2` as two pairs: names that recur in their order. The pairs are by name."""
    if not isinstance(node, Seq):
        return node
    names = [label(item) for item in node.items]
    size = len(dict.fromkeys(names))
    recurs = None not in names and 1 < size < len(names) and names == names[:size] * (len(names) // size)
    if not recurs:
        return node
    values = [value(item) for item in node.items]
    order = sorted(range(size), key=lambda at: str(names[at]))
    return Seq(
        tuple(
            Group("(", ")", tuple(values[at + place] for place in order))
            for at in range(0, len(values), size)
        )
    )


def spread(node: Node) -> Node:
    """`a = b = 3, c = -6` as `a = 3, b = 3, c = -6`."""
    if not isinstance(node, Seq) or not any(
        isinstance(item, Rel) and len(item.sides) > 2 for item in node.items
    ):
        return node
    found: list[Node] = []
    for item in node.items:
        *names, last = item.sides if isinstance(item, Rel) and set(item.ops) == {"="} else (item,)
        if names and all(isinstance(name, Sym) for name in names):
            found += [Rel(("=",), (name, last)) for name in names]
        else:
            found.append(item)
    return Seq(tuple(found), node.joint)


def each_named(node: Node, other: Node) -> Node:
    """`a = b = 1` as `a = 1, b = 1`, beside a list or tuple of as many values, or of just these names.

    `(x, y) = (4, -1)` as `x = 4, y = -1`, beside a list of named values.
    """
    match node, other:
        case Rel(ops=("=",), sides=(Group(items=called), Group(items=values))), Seq(items=parts) if len(
            called
        ) == len(values) and all(map(_is_named, parts)):
            return Seq(tuple(Rel(("=",), pair) for pair in zip(called, values, strict=True)))
    if not isinstance(node, Rel) or set(node.ops) != {"="} or len(node.sides) < 3:
        return node
    *names, last = node.sides
    match other:
        case Rel(ops=("=",), sides=(Group(items=called) as tuple_, Group())) if list(called) == names:
            return Rel(("=",), (tuple_, Group("(", ")", (last,) * len(names))))
    alike = isinstance(other, Seq | Group) and len(other.items) == len(names)
    if not alike or not all(isinstance(name, Sym) for name in names):
        return node
    return Seq(tuple(Rel(("=",), (name, last)) for name in names))


def _is_named(node: Node) -> bool:
    return isinstance(node, Rel) and node.ops == ("=",) and isinstance(node.sides[0], Sym)


def each_sign(node: Node, other: Node) -> Node:
    """`|k| = 4` as `k = ±4`, beside a list of values of `k`; not `|z| = 4`, which is a circle."""
    match node:
        case Rel(ops=("=",), sides=(Op(name="abs", args=(Sym(name=name) as named,)), size)) if (
            name not in ("z", "w") and is_list(other) and isinstance(other, Seq | Rel)
        ):
            parts = other.items if isinstance(other, Seq) else (other,)
            bare = all(
                isinstance(part, Rel) and part.ops == ("=",) and part.sides[0] == named for part in parts
            )
            return Rel(("=",), (named, Op("pm", (size,)))) if bare and not symbols(size) else node
        case _:
            return node


def _free_items(node: Node) -> list[Node]:
    """`_items` with every ± on its own."""
    whole = isinstance(node, Group) and has_sign(node)
    items = list(node.items) if isinstance(node, Seq | SetOf | Group) and not whole else [node]
    return [variant for item in items for variant in _freely(item) or _variants(item)]


def _in_one(node: Node) -> Node:
    """`18 hours and 48 minutes`, `5 feet 3 inches`: one quantity in the smallest of its units."""
    if not isinstance(node, Seq) or not all(isinstance(item, Quantity) for item in node.items):
        return node
    read = [units.read(item.unit) for item in node.items if isinstance(item, Quantity)]
    known = [unit for unit in read if unit is not None]
    falling = all(one.size > other.size for one, other in pairwise(known))
    if len(known) < len(node.items) or len({unit.dimension for unit in known}) != 1 or not falling:
        return node
    last = node.items[-1]
    parts = [
        scaled(item.value, unit.size / known[-1].size)
        for item, unit in zip(node.items, known, strict=True)
        if isinstance(item, Quantity)
    ]
    return Quantity(Op("add", tuple(parts)), last.unit) if isinstance(last, Quantity) else node


def _is_value_list(node: Node) -> bool:
    return not (is_set(node) and not isinstance(node, SetOf)) and not isinstance(node, Matrix)


def _distinct(items: list[Node], compare: Compare) -> list[Node]:
    """Without repeated elements; exact values by hashing, up to 100 others by comparing."""
    kept: list[Node] = []
    others: list[Node] = []
    seen: set[Fraction] = set()
    for item in items:
        known = exact.plain_value(item)
        if known is not None:
            if known not in seen:
                seen.add(known)
                kept.append(item)
        elif len(others) >= 100 or not any(compare(item, other).equal for other in others):
            others.append(item)
            kept.append(item)
    return kept


def _pairwise(left: list[Node], right: list[Node], compare: Compare) -> Decision:
    """In order."""
    if len(left) != len(right):
        return Decision(equal=False, why=f"{len(left)} parts against {len(right)}")
    return every([compare(one, other) for one, other in zip(left, right, strict=True)])


def _matched(left: list[Node], right: list[Node], compare: Compare) -> Decision:
    """As multisets; by label where both sides are labelled alike."""
    if len(left) != len(right):
        return Decision(equal=False, why=f"{len(left)} values against {len(right)}")
    if len(left) > MAX_ITEMS:
        raise exact.TooLarge(f"a list of {len(left)} values")
    names = [label(item) for item in left], [label(item) for item in right]
    if DOTS in left or DOTS in right:
        return _pairwise(left, right, compare)
    if _only_one_names(left, right):
        decision = _pairwise(left, right, compare)
        if decision.equal is not False or not _are_roots(left if names[0][0] else right):
            return decision
        return msgspec.structs.replace(_assigned(left, right, compare), weak=True)
    if None not in names[0] and len(set(names[0])) == len(left) and set(names[0]) == set(names[1]):
        return _pairwise(left, [right[names[1].index(name)] for name in names[0]], compare)
    replies = [[item.text if isinstance(item, Words) else "" for item in side] for side in (left, right)]
    if all(all(side) and _in_turn(side) for side in replies):
        return _pairwise(left, right, compare)
    counted = [_counted_thing(item) for item in left], [_counted_thing(item) for item in right]
    if "" not in counted[0] and len(set(counted[0])) == len(left) and set(counted[0]) == set(counted[1]):
        return _pairwise(left, [right[counted[1].index(name)] for name in counted[0]], compare)
    return _assigned(left, right, compare)


def _in_turn(said: list[str]) -> bool:
    """Whether words answer several questions in turn: `true, false, true`, `up, down, up`."""
    plain = [normal(text) for text in said]
    return len(set(plain)) < len(plain) or set(plain) <= {"true", "false", "yes", "no"}


def _counted_thing(item: Node) -> str:
    """`apples` of `3 apples` and `apples: 3`; an empty string for measures and bare numbers."""
    if isinstance(item, Labelled):
        return normal(item.label)
    return normal(item.unit) if isinstance(item, Quantity) and units.read(item.unit) is None else ""


def _only_one_names(left: list[Node], right: list[Node]) -> bool:
    """`x = 1, y = 2` against bare values: in the order of the names. `Minimum: 1` gives no order."""
    named = [
        len({label(item) for item in items}) == len(items)
        and all(isinstance(item, Rel) and label(item) for item in items)
        for items in (left, right)
    ]
    bare = [not any(label(item) for item in items) for items in (left, right)]
    return len(left) > 1 and ((named[0] and bare[1]) or (bare[0] and named[1]))


_ROOT = re.compile(r"([xz]|lambda)_?\d\Z")


def _are_roots(items: list[Node]) -> bool:
    """`x_1 = 3, x_2 = -5`: numbered roots or eigenvalues, of which nobody can know the order."""
    found = [
        _ROOT.match(item.sides[0].name) if isinstance(item, Rel) and isinstance(item.sides[0], Sym) else None
        for item in items
    ]
    return all(found) and len({match[1] for match in found if match}) == 1


def _assigned(left: list[Node], right: list[Node], compare: Compare) -> Decision:
    """Exact values by sorting, the rest by trying: each item takes the first that is equal."""
    rest: list[Node] = list(right)
    undecided = False
    found: list[Decision] = []
    exactly: dict[Fraction, list[Node]] = {}
    for item in rest:
        known = exact.plain_value(item)
        if known is not None:
            exactly.setdefault(known, []).append(item)
    taken: set[int] = set()
    open_items: list[Node] = []
    for item in left:
        known = exact.plain_value(item)
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
            inner = isinstance(item, SetOf) != isinstance(other, SetOf)
            decision = NO if inner else compare(item, other)
            undecided = undecided or not decision.settled
            if decision.equal:
                found.append(decision)
                del rest[index]
                break
        else:
            return UNDECIDED if undecided else Decision(equal=False, why="a value has no counterpart")
    return together(found)


# --- tuples and matrices ---------------------------------------------------------------------------


def is_tuple(node: Node) -> bool:
    """The answer gives several values in their order."""
    return isinstance(node, Group | Matrix)


def compare_tuples(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """Ordered values and matrices, place by place; None where neither side is one."""
    reference, answer = unlabelled(reference), unlabelled(answer)
    if isinstance(reference, Matrix) and isinstance(answer, Matrix):
        shape = [len(reference.rows), len(reference.rows[0])] == [len(answer.rows), len(answer.rows[0])]
        left, right = ([cell for row in matrix.rows for cell in row] for matrix in (reference, answer))
        return _pairwise(left, right, compare) if shape else NO
    if isinstance(reference, Matrix) and isinstance(answer, Group):
        return _pairwise(list(_as_group(reference).items), list(answer.items), compare)
    if isinstance(reference, Group) and isinstance(answer, Matrix):
        return _pairwise(list(reference.items), list(_as_group(answer).items), compare)
    if isinstance(reference, Matrix) or isinstance(answer, Matrix):
        matrix, other = (reference, answer) if isinstance(reference, Matrix) else (answer, reference)
        unit = beside(other, matrix) if isinstance(matrix, Matrix) and isinstance(other, Op | Sym) else None
        return None if unit is None else compare_tuples(matrix, unit, compare)
    if isinstance(reference, Group) and isinstance(answer, Group):
        if (reference.left, reference.right) != (answer.left, answer.right) and not _vector(
            reference, answer
        ):
            return Decision(equal=False, why="brackets")
        return _pairwise(list(reference.items), list(answer.items), compare)
    region = compare_regions(reference, answer)
    if region is not None and region.settled:
        return region
    if isinstance(reference, Group | Seq) and isinstance(answer, Group | Seq):
        return _pairwise(items(reference), items(answer), compare)
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
