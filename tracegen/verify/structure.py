"""Whether two trees are the same answer: what is compared with what, kind by kind.

Runs in a worker. The kinds, in the order in which they are looked for: general solutions (`families`),
integers that go on (`progressions`), orders, statements and functions by cases (`cases`), lists and sets
(`lists`), times of day (`clocks`), words, congruences, equations, inequalities and names (`equations`),
tuples and matrices (`lists`), sets of numbers (`regions`, `builders`), units (`measures`), ratios
(`clocks`); what is left are terms, compared by value (`numeric`). The rules are in the docstrings of these
modules; letters with other names are in `parameters` and `domains`, antiderivatives and their constants in
`parameters`, lines in `straight`. Here:

- digits in a base have their value;
- a phrase of a sentence is accepted with weak trust where nothing denies it (`words.said`);
- `\\log` is the natural logarithm or the one to base 10, `C_n^k` a power or a binomial coefficient: either
  reading may make two answers equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec

from tracegen.verify import exact, words
from tracegen.verify.builders import compare_general, compare_sets
from tracegen.verify.cases import compare_cases, compare_statements, is_cases, is_statement
from tracegen.verify.clocks import compare_clocks, compare_ratios, is_clock, is_ratio
from tracegen.verify.congruences import compare_congruences, is_congruence
from tracegen.verify.decision import NO, YES, Compare, Decision
from tracegen.verify.equations import compare_relations, is_relation
from tracegen.verify.expression import read_cleaned
from tracegen.verify.families import same_moving
from tracegen.verify.lists import (
    compare_lists,
    compare_tuples,
    each_named,
    each_sign,
    is_list,
    is_tuple,
    spread,
    values_beside_interval,
)
from tracegen.verify.matrices import as_matrix, as_vector
from tracegen.verify.measures import compare_measures, is_measured
from tracegen.verify.names import in_order, is_label, is_number, label, value
from tracegen.verify.parameters import renamings, same_up_to_constant
from tracegen.verify.progressions import compare_progressions
from tracegen.verify.regions import compare_regions, integers_of
from tracegen.verify.solutions import same_solutions
from tracegen.verify.straight import same_line
from tracegen.verify.terms import compare_terms
from tracegen.verify.tree import (
    Builder,
    Const,
    Group,
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
    Unreadable,
    Words,
    is_set,
    substituted,
    symbols,
)
from tracegen.verify.vocabulary import TURNS


def compare(reference: Node, answer: Node) -> Decision:
    """Whether `answer` is `reference`. Raises exact.TooLarge."""
    families = compare_general(_plain(reference), _plain(answer))
    if families is not None:
        return families
    if same_moving(reference, answer):
        return YES
    going_on = compare_progressions(reference, answer)
    if going_on is not None:
        return going_on
    decision = _compare(reference, answer)
    if decision.equal is not True:
        if any(same(reference, answer) for same in (same_up_to_constant, same_line, same_solutions)):
            return YES
        decimal = _decimal_logarithms(reference), _decimal_logarithms(answer)
        others = [(reference, renamed) for renamed in renamings(reference, answer)]
        counted = _counted(reference), _counted(answer)
        if counted != (reference, answer):
            others.append(counted)
        shorter = _without_domain(reference), _without_domain(answer)
        if (shorter[0] is None) != (shorter[1] is None):
            again = _compare(shorter[0] or reference, shorter[1] or answer)
            if again.equal:
                return msgspec.structs.replace(again, weak=True, why="a domain on one side")
        bare = _without_remark(reference), _without_remark(answer)
        if (bare[0] == reference) != (bare[1] == answer):
            again = _compare(*bare)
            if again.equal:
                return msgspec.structs.replace(again, weak=True)
        for ours, theirs in ([decimal] if decimal != (reference, answer) else []) + others:
            again = _compare(ours, theirs)
            if again.equal:
                return again
    return decision


def _counted(node: Any) -> Any:
    """The tree with `C_n^k` as a binomial coefficient and `A_n^k` as the number of arrangements."""
    if isinstance(node, tuple):
        return tuple(_counted(part) for part in node)
    match node:
        case Op(name="pow", args=(Sym(name=name), below)) if re.match(r"[CAP]_[\w+-]+\Z", name):
            try:
                above = read_cleaned(name[2:])
            except Unreadable:
                return node
            chosen = Op("binom", (above, below))
            return chosen if name[0] == "C" else Op("mul", (chosen, Op("factorial", (below,))))
        case Node():
            return type(node)(*(_counted(getattr(node, field)) for field in node.__struct_fields__))
        case _:
            return node


def _without_domain(node: Node) -> Node | None:
    """`f(x) = 2x` of `f(x) = 2x, 0 <= x <= 3`; None where nothing follows a definition."""
    match node:
        case Seq(
            items=(Rel(sides=(Op(name=called, args=(Sym(name=name),)), *_)) as definition, Rel() as domain)
        ):
            bound = set(domain.ops) != {"="} and symbols(domain) == {name}
            return definition if bound and called.startswith("call ") else None
        case _:
            return None


def _without_remark(node: Node) -> Node:
    """`3:1` of `3:1, counting from the vertex`."""
    match node:
        case Seq(items=(value_, Words(text=text))) if not isinstance(value_, Words):
            said = words.normal(text).split()
            return value_ if len(said) > 2 and not TURNS & set(said) else node
        case _:
            return node


def _decimal_logarithms(node: Any) -> Any:
    """The tree with `\\log`, which is the natural logarithm elsewhere, as the one to base 10."""
    if isinstance(node, tuple):
        return tuple(_decimal_logarithms(part) for part in node)
    if isinstance(node, Op) and node.name == "log" and len(node.args) == 1:
        return Op("log", (_decimal_logarithms(node.args[0]), Num(Fraction(10))))
    if not isinstance(node, Node):
        return node
    return type(node)(*(_decimal_logarithms(getattr(node, name)) for name in node.__struct_fields__))


def _compare(reference: Node, answer: Node) -> Decision:
    if values_beside_interval(reference, answer):
        return Decision(equal=False, why="an interval beside values")
    reference, answer = _in_space(reference, answer), _in_space(answer, reference)
    reference, answer = _plain(reference), _plain(answer)
    reference, answer = spread(reference), spread(answer)
    reference, answer = each_named(reference, answer), each_named(answer, reference)
    reference, answer = _points(reference, answer), _points(answer, reference)
    reference, answer = each_sign(reference, answer), each_sign(answer, reference)
    if reference == answer or (
        {type(reference), type(answer)} == {Sym, Const} and _letter(reference) == _letter(answer)
    ):
        return YES
    for kind, judge in _KINDS:
        if kind(reference) or kind(answer):
            decision = judge(reference, answer, _compare)
            if decision is not None:
                return decision
    strings = _capitals(reference), _capitals(answer)
    if all(strings) and not _same_figure(*strings):
        return Decision(equal=False, why="another order")
    return _in_symbols(reference, answer) or compare_terms(reference, answer)


def _capitals(node: Node) -> str:
    """`BACD`, three or more capitals in their order, or a Roman numeral: no product; else empty."""
    names = [arg.name for arg in node.args if isinstance(arg, Sym)] if isinstance(node, Op) else []
    if not isinstance(node, Op) or node.name != "mul" or len(names) < len(node.args):
        return ""
    text = "".join(names)
    capitals = all(len(name) == 1 and "A" <= name <= "Z" for name in names)
    return text if capitals and (len(names) > 2 or _is_numeral(text)) else ""


def _is_numeral(text: str) -> bool:
    """`IV`, `XL`; not `CD`, which may be a segment."""
    return set(text) <= set("IVXLCDM") and bool(set(text) & set("IVX"))


def _same_figure(first: str, second: str) -> bool:
    """Whether two strings of capitals name one figure: a triangle, or corners read the other way round."""
    if len(set(first)) == len(first) == 3 and not _is_numeral(first):
        return set(first) == set(second)
    if second == first or len(set(first)) < len(first) or len(first) < 4:
        return second == first
    turned = [first[at:] + first[:at] for at in range(len(first))]
    return second in turned or second[::-1] in turned


def _in_space(node: Node, other: Node) -> Node:
    """`4i - 3j` as a vector of three parts, beside one."""
    match node, other:
        case Op(), Group(items=(_, _, _)):
            return as_vector(node, in_space=True) or node
        case _:
            return node


def _points(node: Node, other: Node) -> Node:
    """`{(x, y) | x + y = 1}` as its equation, beside one."""
    match node, other:
        case Builder(element=Group(items=items), condition=Rel() as condition), Rel() if set(items) == {
            Sym(name) for name in symbols(condition)
        }:
            return condition
        case _:
            return node


_UNITS = frozenset("CKJVWTFHL")
"""Units of one letter that are read as symbols."""


def _in_symbols(reference: Node, answer: Node) -> Decision | None:
    """`1.6 \\times 10^{-19} C`, `3 m/s` against the bare number."""
    for side, other in ((reference, answer), (answer, reference)):
        match side:
            case Op(name="mul", args=(*factors, Sym(name=name))) if name in _UNITS and is_number(other):
                number = factors[0] if len(factors) == 1 else Op("mul", tuple(factors))
                known = exact.plain_value(number)
                if known is not None and (known.denominator > 1 or abs(known) >= 10):
                    same = compare_terms(*((number, other) if side is reference else (other, number)))
                    return msgspec.structs.replace(same, unit_missing=True)
            case Op(name="div", args=(Op(name="mul", args=(*factors, Sym(name=above))), below)) if (
                is_number(other) and above in _ABOVE and _bottom(below) in _BELOW
            ):
                number = factors[0] if len(factors) == 1 else Op("mul", tuple(factors))
                if is_number(number):
                    same = compare_terms(*((number, other) if side is reference else (other, number)))
                    return msgspec.structs.replace(same, unit_missing=True)
    return None


_ABOVE, _BELOW = frozenset("mgNJ"), frozenset("smLCKh")
"""Units of a fraction of units, such as m/s."""


def _bottom(node: Node) -> str:
    match node:
        case Sym(name=name) | Op(name="pow", args=(Sym(name=name), Num())):
            return name
        case _:
            return ""


def _letter(node: Node) -> str:
    """`R` for the real numbers, whatever the font."""
    return (
        node.name if isinstance(node, Sym | Const) and node.name in ("R", "Z", "N", "Q", "C") else str(node)
    )


def _plain(node: Node) -> Node:
    """`node` in a plainer form: without approximations, names of points, and sums of matrices."""
    match node:
        case Words(text=text):
            return _spelled(text) or node
        case Rel(ops=ops) if "~" in ops:
            return _plain(_exactly(node))
        case Rel(ops=("=",), sides=(left, right)) if is_number(left) and is_label(right):
            return Rel(("=",), (right, left))
        case Rel(ops=("in",), sides=(Sym(), Const(name="emptyset") as nothing)):
            return nothing
        case Seq(items=(Rel(), Rel(ops=("in",), sides=(Sym() as name, Const())))) if (
            inside := integers_of(node)
        ) is not None:
            return Rel(("in",), (name, inside))
        case Seq(items=items):
            values = tuple(_colon_label(item) for item in items if not _is_domain(item, items))
            return values[0] if len(values) == 1 else Seq(values or items, node.joint)
        case Op(name="mul", args=(Sym(name=name) as named, Group() as point)) if name[:1].isupper():
            return Rel(("=",), (named, point))
        case Op(name="mul", args=(*factors, Group(left=left, right=right, items=items))) if all(
            is_number(factor) and not isinstance(factor, Group | SetOf | Seq | Matrix) for factor in factors
        ):
            return Group(left, right, tuple(Op("mul", (*factors, item)) for item in items))
        case Op(name="neg", args=(Group(left=left, right=right, items=items),)):
            return Group(left, right, tuple(Op("neg", (item,)) for item in items))
        case Op() | Sym():
            vector = as_vector(node)
            return (
                vector
                or as_matrix(substituted(node, "basis i", Const("i")))
                or substituted(node, "basis i", Const("i"))
            )
        case _:
            return node


def _exactly(node: Rel) -> Node:
    """`x ≈ 3` is 3, where `x` is a name; `1/3 ≈ 0.33` is 1/3; `ABC ~ DEF` says that figures are similar."""
    at = node.ops.index("~")
    figures = [_corners(side) for side in node.sides]
    if all(figures) and len(figures) == 2:
        return Rel(("similar",), tuple(map(Sym, sorted(figures))))
    if at:
        return Rel(node.ops[:at], node.sides[: at + 1])
    names = isinstance(node.sides[0], Op) and node.sides[0].name == "mul" and not is_number(node.sides[0])
    if not (names or is_label(node.sides[0])):
        return node.sides[0]
    return node.sides[1] if len(node.ops) == 1 else Rel(node.ops[1:], node.sides[1:])


def _corners(node: Node) -> str:
    """`triangle ABC`, `ABC`: the corners of a figure in their order; an empty string for what is none."""
    match node:
        case Sym(name=name) if name.startswith("triangle "):
            return name
        case Op(name="mul", args=args):
            corners = args[1:] if args[0] == Sym("Delta") else args
            names = [arg.name for arg in corners if isinstance(arg, Sym)]
            bare = len(names) == len(corners) > 2 and all(name[0].isupper() for name in names)
            return "".join(names) if bare else ""
        case _:
            return ""


def _spelled(text: str) -> Node | None:
    """`third`, `twenty-five`, `fifteen percent`, `five dollars` as numbers with what they count."""
    value = words.number(text)
    value = words.place(text) if value is None else value
    if value is not None:
        return Num(value)
    parts = words.normal(text).split()
    for size in range(min(4, len(parts) - 1), 0, -1):
        value = words.number(" ".join(parts[:size]))
        if value is not None and len(parts) - size <= 3:
            unit = " ".join(parts[size:])
            return (
                Op("percent", (Num(value),))
                if unit in ("percent", "pct", "per cent")
                else Quantity(Num(value), unit)
            )
    return None


def _colon_label(node: Node) -> Node:
    """`A: 3` in a list is a label, not a ratio."""
    match node:
        case Ratio(parts=(Sym() as name, value)) if is_number(value):
            return Rel(("=",), (name, value))
        case _:
            return node


def _is_domain(node: Node, items: tuple[Node, ...]) -> bool:
    """`n ∈ Z` beside a value; not `x ∈ Z` beside `x > 3`, which says more than that."""
    match node:
        case Rel(ops=("in",), sides=(name, Const(name=line))):
            bounded = any(isinstance(item, Rel) and "=" not in item.ops and item != node for item in items)
            return (
                line == "R"
                or not bounded
                or not any(isinstance(item, Rel) and item != node and name in item.sides for item in items)
            )
        case _:
            return False


# --- words, times, ratios, terms -------------------------------------------------------------------


def _is_chain(node: Node) -> bool:
    return isinstance(node, Rel) and len(node.sides) > 2 and set(node.ops) == {"="}


def _is_words(node: Node) -> bool:
    return isinstance(node, Words)


def _compare_words(reference: Node, answer: Node, compare: Compare) -> Decision:
    if label(reference) or label(answer):
        alike = not (label(reference) and label(answer)) or label(reference) == label(answer)
        values = [value(side) if label(side) else side for side in (reference, answer)]
        return compare(*values) if alike else NO
    if isinstance(reference, Words) and isinstance(answer, Words):
        if words.same(reference.text, answer.text):
            return YES
        return Decision(
            equal=words.said(reference.text, answer.text), weak=True, why="words of the reference"
        )
    phrase, other = (reference, answer) if isinstance(reference, Words) else (answer, reference)
    assert isinstance(phrase, Words)  # noqa: S101 - the table of kinds looked
    meaning = words.meaning(phrase.text)
    signs = {words.EMPTY: "emptyset", words.INFINITE: "infinity", words.REALS: "R", words.INTEGERS: "Z"}
    if meaning not in signs:
        return NO
    if meaning == words.REALS and not isinstance(other, Const):
        return compare_regions(Const("R"), other) or NO
    return Decision(equal=isinstance(other, Const) and signs[meaning] == other.name)


def _compare_orders(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """`b < a < c` against the list `b, a, c`."""
    ordered = in_order(reference), in_order(answer)
    if ordered == (reference, answer) or not all(isinstance(side, Group) for side in ordered):
        return None
    return msgspec.structs.replace(compare(*ordered), weak=True)


def _is_order(node: Node) -> bool:
    return isinstance(in_order(node), Group) and not isinstance(node, Group | Seq)


Judge = Callable[[Node, Node, Compare], Decision | None]
_KINDS: tuple[tuple[Callable[[Node], bool], Judge], ...] = (
    (_is_order, _compare_orders),
    (is_statement, compare_statements),
    (is_cases, compare_cases),
    (is_list, compare_lists),
    (is_clock, compare_clocks),
    (_is_words, _compare_words),
    (is_congruence, compare_congruences),
    (is_relation, compare_relations),
    (is_tuple, compare_tuples),
    (is_set, compare_sets),
    (is_measured, compare_measures),
    (is_ratio, compare_ratios),
)
"""Kinds in the order in which they are looked for; a judge may say None: it is not for me."""
