"""Whether two trees are the same answer: what is compared with what, kind by kind.

Runs in a worker. The kinds, in the order in which they are looked for: functions by cases, lists and sets
(`lists`), times of day, words, congruences, equations, inequalities and names (`equations`), tuples and
matrices (`lists`), sets of numbers (`regions`), units (`measures`), ratios; what is left are terms, compared
by value (`numeric`). The rules are in the docstrings of these modules. Here:

- ratios are proportional; times of day are equal to the second; digits in a base have their value;
- a phrase of a sentence is accepted with weak trust where nothing denies it (`words.said`);
- `\\log` is the natural logarithm or the one to base 10, `C_n^k` a power or a binomial coefficient: either
  reading may make two answers equal;
- constants of integration, integer parameters of general solutions, and a parameter that several parts
  share may be named differently.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, permutations
from typing import Any

import msgspec

from tracegen.verify import exact, numeric, words
from tracegen.verify.decision import NO, UNDECIDED, YES, Compare, Decision, every
from tracegen.verify.equations import compare_relations, is_relation
from tracegen.verify.expression import read_cleaned
from tracegen.verify.families import WHOLE, compare_families, runs
from tracegen.verify.lists import compare_lists, compare_tuples, each_named, is_list, is_tuple, items
from tracegen.verify.matrices import as_matrix, as_vector
from tracegen.verify.measures import compare_measures, is_measured
from tracegen.verify.names import binds, free_symbols, in_order, is_label, is_number, label, unlabelled, value
from tracegen.verify.regions import compare_regions
from tracegen.verify.terms import compare_terms
from tracegen.verify.tree import (
    Builder,
    Cases,
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
    Residue,
    Seq,
    SetOf,
    Sym,
    Unreadable,
    Words,
    is_set,
    substituted,
    symbols,
    walk,
)


def compare(reference: Node, answer: Node) -> Decision:
    """Whether `answer` is `reference`. Raises exact.TooLarge."""
    families = _families(_plain(reference), _plain(answer))
    if families is not None:
        return families
    decision = _compare(reference, answer)
    if decision.equal is not True:
        decimal = _decimal_logarithms(reference), _decimal_logarithms(answer)
        others = [(reference, renamed) for renamed in _renamings(reference, answer)]
        counted = _counted(reference), _counted(answer)
        if counted != (reference, answer):
            others.append(counted)
        shorter = _without_domain(reference), _without_domain(answer)
        if (shorter[0] is None) != (shorter[1] is None):
            others.append((shorter[0] or reference, shorter[1] or answer))
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
    reference, answer = _plain(reference), _plain(answer)
    reference, answer = each_named(reference, answer), each_named(answer, reference)
    if reference == answer or (
        {type(reference), type(answer)} == {Sym, Const} and _letter(reference) == _letter(answer)
    ):
        return YES
    for kind, judge in _KINDS:
        if kind(reference) or kind(answer):
            decision = judge(reference, answer, _compare)
            if decision is not None:
                return decision
    return _in_symbols(reference, answer) or compare_terms(reference, answer)


def _families(reference: Node, answer: Node) -> Decision | None:
    """General solutions by the values that they reach; None where a side is none, or names contradict."""
    if any(isinstance(value(side), Group | SetOf) for side in (reference, answer)):
        return None
    sides = items(_unbuilt(reference)), items(_unbuilt(answer))
    if not all(runs(item) for side in sides for item in side):
        return None
    named = [{label(item) for item in side} - {None} for side in sides]
    return compare_families(*sides) if len(named[0] | named[1]) <= 1 else None


def _unbuilt(node: Node) -> Node:
    """`x` of `{x | x = 2k, k ∈ Z}`."""
    if not isinstance(node, Builder):
        return node
    element, conditions = _conditions(node)
    return element if conditions == [Rel(("in",), (Sym(runs(element)), Const("Z")))] else node


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
    """`x ≈ 3` is 3, where `x` is a name; `1/3 ≈ 0.33` is 1/3."""
    at = node.ops.index("~")
    if at:
        return Rel(node.ops[:at], node.sides[: at + 1])
    names = isinstance(node.sides[0], Op) and node.sides[0].name == "mul" and not is_number(node.sides[0])
    if not (names or is_label(node.sides[0])):
        return node.sides[0]
    return node.sides[1] if len(node.ops) == 1 else Rel(node.ops[1:], node.sides[1:])


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


def _is_statement(node: Node) -> bool:
    return isinstance(node, Op) and node.name in ("forall", "exists")


def _compare_statements(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """`for all x in R, f(x) > 0`: the same quantifier over the same set, and the same statement."""
    match reference, answer:
        case Op(name=one, args=(first, said)), Op(name=other, args=(second, stated)) if one == other:
            names = [part.sides[0] if isinstance(part, Rel) else part for part in (first, second)]
            match names:
                case [Sym() as kept, Sym(name=other_name)]:
                    second, stated = (substituted(part, other_name, kept) for part in (second, stated))
            return every([compare(first, second), compare(said, stated)])
        case _:
            return NO


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


def _is_cases(node: Node) -> bool:
    return isinstance(value(node) if label(node) else node, Cases)


def _compare_cases(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """Functions by cases: each value with its condition, in any order; `otherwise` needs no counterpart."""
    if label(reference) or label(answer):
        pair = [value(side) if label(side) else side for side in (reference, answer)]
        return compare(*pair) if any(isinstance(side, Cases) for side in pair) else NO
    if isinstance(reference, Cases) != isinstance(answer, Cases):
        cases, term = (reference, answer) if isinstance(reference, Cases) else (answer, reference)
        return _case_by_case(cases, term, compare) if isinstance(cases, Cases) else NO
    if (
        not isinstance(reference, Cases)
        or not isinstance(answer, Cases)
        or len(reference.rows) != len(answer.rows)
    ):
        return NO
    open_rows = list(answer.rows)
    for wanted, where in reference.rows:
        for row in open_rows:
            if compare(wanted, row[0]).equal and _same_condition(where, row[1], compare):
                open_rows.remove(row)
                break
        else:
            return Decision(equal=False, why="a case has no counterpart")
    return Decision(
        equal=True, weak=any(isinstance(where, Words) for _, where in (*reference.rows, *answer.rows))
    )


def _case_by_case(cases: Cases, term: Node, compare: Compare) -> Decision:
    """Whether a term has the value of each case where its condition holds."""
    for wanted, where in cases.rows:
        pair = wanted, term
        match where:
            case Rel(ops=("=",), sides=(Sym(name=name), at)):
                pair = substituted(wanted, name, at), substituted(term, name, at)
            case Words(text=text) if re.fullmatch(r"\w (?:odd|even)", text):
                half = Op("mul", (Num(Fraction(2)), Sym("n")))
                whole = half if text.endswith("even") else Op("add", (half, Num(Fraction(1))))
                pair = substituted(wanted, text[0], whole), substituted(term, text[0], whole)
        if isinstance(term, Rel | Seq | Group | SetOf | Words) or not compare(*pair).equal:
            return NO
    return Decision(equal=True, weak=True, why="every case")


def _same_condition(first: Node, second: Node, compare: Compare) -> bool:
    parities = [isinstance(side, Words) and side.text.endswith((" odd", " even")) for side in (first, second)]
    if all(parities):
        return first == second
    if isinstance(first, Words) or isinstance(second, Words):
        return True
    return bool(compare(first, second).equal)


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


def _is_clock(node: Node) -> bool:
    return isinstance(node, Clock)


def _compare_clocks(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    if isinstance(reference, Clock) and isinstance(answer, Clock):
        times = [
            clock.seconds if not clock.half else clock.seconds % 43200 + 43200 * (clock.half == "pm")
            for clock in (reference, answer)
        ]
        by_day = any(not clock.half and clock.seconds >= 13 * 3600 for clock in (reference, answer))
        if bool(reference.half) == bool(answer.half) or by_day:
            return Decision(equal=times[0] == times[1])
        return Decision(equal=times[0] % 43200 == times[1] % 43200, weak=True, why="am or pm on one side")
    sides = _as_clock(reference), _as_clock(answer)
    return NO if sides == (reference, answer) else _compare_clocks(*sides, compare)


def _as_clock(node: Node) -> Node:
    """`15:15`, which may be a ratio, and `noon`, beside a time of day."""
    match node:
        case Ratio(parts=(Num(value=hours), Num(value=minutes, significant=digits))) if (
            hours.denominator == minutes.denominator == 1
            and 0 <= hours <= 24
            and 0 <= minutes < 60
            and digits == 2
        ):
            return Clock(int(hours) * 3600 + int(minutes) * 60, "")
        case Words(text=text) if words.normal(text) in _TIMES:
            return _TIMES[words.normal(text)]
        case _:
            return node


_TIMES = {"noon": Clock(43200, "pm"), "midnight": Clock(43200, "am")}


def _is_ratio(node: Node) -> bool:
    return isinstance(node, Ratio)


def _compare_ratios(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    if isinstance(reference, Ratio) and isinstance(answer, Ratio):
        if len(reference.parts) != len(answer.parts):
            return NO
        pairs = list(zip(reference.parts, answer.parts, strict=True))
        return every(
            [
                compare_terms(
                    Op("mul", (first, pairs[index + 1][1])), Op("mul", (second, pairs[index + 1][0]))
                )
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
        return compare(division, answer) if ratio is reference else compare(reference, division)
    return NO


# --- congruences -----------------------------------------------------------------------------------


def _is_congruence(node: Node) -> bool:
    return isinstance(unlabelled(node) if isinstance(node, Labelled) else value(node), Residue)


def _compare_congruences(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """`x = 3 (mod 7)` against another residue, `x = 7k + 3`, or, with weak trust, the bare number 3."""
    names = label(reference), label(answer)
    if names[0] and names[1] and names[0] != names[1]:
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


# --- parameters with other names -------------------------------------------------------------------


_CONSTANTS = re.compile(r"(?:[A-DKck]|const)(?:_\w+)?\Z")
_INTEGRATION = re.compile(r"(?:[CKc]_\w+|C|K|const)\Z")
_PARAMETERS = frozenset({"n", "k", "m", "l", "t", "s", "j", "ell", "r"})


def _renamings(reference: Node, answer: Node) -> list[Node]:
    """The answer with its own parameter named as the reference names hers, where that is allowed."""
    own, theirs = free_symbols(answer), free_symbols(reference)
    extra, missing = own - theirs, theirs - own
    if 1 < len(extra) <= 3 and len(extra) == len(missing) and all(_computed(answer, name) for name in extra):
        return _constants(answer, sorted(extra), sorted(missing))
    if len(extra) != 1 or len(missing) != 1:
        return []
    old, new = extra.pop(), missing.pop()
    if not (_computed(answer, old) and _computed(reference, new)):
        return []
    constant = bool(_CONSTANTS.match(old) and _CONSTANTS.match(new)) and bool(
        _INTEGRATION.match(old) or _INTEGRATION.match(new)
    )
    free = _FREE.issuperset((old, new)) and all(_is_definition(side) for side in (reference, answer))
    several = all(isinstance(unlabelled(side), Group | Seq | SetOf | Matrix) for side in (reference, answer))
    integer = old in _PARAMETERS and new in _PARAMETERS and Const("pi") in list(walk(reference))
    bound = several and not any(binds(side, name) for side, name in ((reference, new), (answer, old)))
    bound = bound and _relates(reference, new) and _relates(answer, old)
    return [substituted(answer, old, Sym(new))] if constant or integer or bound or free else []


_FREE = frozenset({"c", "k", "C", "K", "a", "b", "m", "A", "lambda", "alpha"})
"""Letters for a free constant of a family of functions."""


def _is_definition(node: Node) -> bool:
    """`f(x) = c x`."""
    return isinstance(node, Rel) and isinstance(node.sides[0], Op) and node.sides[0].name.startswith("call ")


def _computed(node: Node, name: str) -> bool:
    """Whether something is computed with the symbol; alone it is an answer of its own."""
    return any(isinstance(part, Op) and name in symbols(part) for part in walk(node))


def _constants(answer: Node, old: list[str], new: list[str]) -> list[Node]:
    """`C_1 e^x + C_2 e^{-x}` with the constants named as the reference does, in every order."""
    all_constants = all(_CONSTANTS.match(name) for name in (*old, *new))
    integration = all(map(_INTEGRATION.match, old)) or all(map(_INTEGRATION.match, new))
    if not all_constants or not integration:
        return []
    found: list[Node] = []
    for order in permutations(new):
        node = answer
        for before, after in zip(old, order, strict=True):
            node = substituted(node, before, Sym(f"{after} "))
        for after in order:
            node = substituted(node, f"{after} ", Sym(after))
        found.append(node)
    return found


def _relates(node: Node, name: str) -> bool:
    """Whether several parts depend on `name`, as in `(t, 2t + 1)`."""
    inner = unlabelled(node)
    if isinstance(inner, Matrix):
        return sum(any(name in symbols(cell) for cell in row) for row in inner.rows) > 1
    return isinstance(inner, Group | Seq | SetOf) and sum(name in symbols(part) for part in inner.items) > 1


def _compare_orders(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """`b < a < c` against the list `b, a, c`."""
    ordered = in_order(reference), in_order(answer)
    if ordered == (reference, answer) or not all(isinstance(side, Group) for side in ordered):
        return None
    return msgspec.structs.replace(compare(*ordered), weak=True)


def _is_order(node: Node) -> bool:
    return isinstance(in_order(node), Group) and not isinstance(node, Group | Seq)


def _compare_sets(reference: Node, answer: Node, compare: Compare) -> Decision | None:
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
        return _families(first, second) or UNDECIDED
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


Judge = Callable[[Node, Node, Compare], Decision | None]
_KINDS: tuple[tuple[Callable[[Node], bool], Judge], ...] = (
    (_is_order, _compare_orders),
    (_is_statement, _compare_statements),
    (_is_cases, _compare_cases),
    (is_list, compare_lists),
    (_is_clock, _compare_clocks),
    (_is_words, _compare_words),
    (_is_congruence, _compare_congruences),
    (is_relation, compare_relations),
    (is_tuple, compare_tuples),
    (is_set, _compare_sets),
    (is_measured, compare_measures),
    (_is_ratio, _compare_ratios),
)
"""Kinds in the order in which they are looked for; a judge may say None: it is not for me."""
