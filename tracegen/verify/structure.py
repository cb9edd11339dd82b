"""Whether two trees are the same answer: what is compared with what, kind by kind.

Runs in a worker. The kinds, in the order in which they are looked for: lists and sets (`lists`), words,
equations, inequalities and names (`equations`), tuples and matrices (`lists`), sets of numbers (`regions`),
times of day, units (`measures`), ratios; what is left are terms, compared by value (`numeric`). The rules
are in the docstrings of these modules. Here:

- ratios are proportional; times of day are equal to the second; digits in a base have their value;
- a phrase of a reference sentence is accepted with weak trust where nothing denies it (`words.contained`);
- constants of integration, integer parameters of general solutions, and a parameter that several parts
  share may be named differently.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from tracegen.verify import words
from tracegen.verify.decision import NO, YES, Compare, Decision, every
from tracegen.verify.equations import compare_relations, is_relation
from tracegen.verify.lists import compare_lists, compare_tuples, is_list, is_tuple
from tracegen.verify.matrices import as_matrix
from tracegen.verify.measures import compare_measures, is_measured
from tracegen.verify.names import binds, free_symbols, in_order, is_label, is_number, unlabelled
from tracegen.verify.regions import compare_regions
from tracegen.verify.terms import compare_terms
from tracegen.verify.tree import (
    Clock,
    Const,
    Group,
    Matrix,
    Node,
    Num,
    Op,
    Ratio,
    Rel,
    Seq,
    SetOf,
    Sym,
    Words,
    is_set,
    substituted,
    symbols,
    walk,
)


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
            decision = judge(reference, answer, _compare)
            if decision is not None:
                return decision
    return compare_terms(reference, answer)


def _plain(node: Node) -> Node:
    """`node` in a plainer form: without approximations, names of points, and sums of matrices."""
    match node:
        case Words(text=text):
            spelled = words.number(text)
            return node if spelled is None else Num(spelled)
        case Rel(ops=ops) if "~" in ops:
            return _plain(_exactly(node))
        case Rel(ops=("=",), sides=(left, right)) if is_number(left) and is_label(right):
            return Rel(("=",), (right, left))
        case Seq(items=items):
            values = tuple(item for item in items if not _is_domain(item))
            return values[0] if len(values) == 1 else Seq(values or items)
        case Op(name="mul", args=(Sym(name=name), Group() as point)) if name[:1].isupper():
            return point
        case Op(name="neg", args=(Group(left=left, right=right, items=items),)):
            return Group(left, right, tuple(Op("neg", (item,)) for item in items))
        case Op():
            return as_matrix(node) or node
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


def _is_domain(node: Node) -> bool:
    """`n ∈ Z` beside a value."""
    return isinstance(node, Rel) and node.ops == ("in",) and isinstance(node.sides[1], Const)


# --- words, times, ratios, terms -------------------------------------------------------------------


def _is_words(node: Node) -> bool:
    return isinstance(node, Words)


def _compare_words(reference: Node, answer: Node, compare: Compare) -> Decision:
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


def _compare_clocks(reference: Node, answer: Node, compare: Compare) -> Decision | None:
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


# --- parameters with other names -------------------------------------------------------------------


_CONSTANTS = re.compile(r"(?:[CKck]|c|const)(?:_\w+)?\Z")
_PARAMETERS = frozenset({"n", "k", "m", "l", "t", "s", "j", "ell", "r"})


def _renamings(reference: Node, answer: Node) -> list[Node]:
    """The answer with its own parameter named as the reference names hers, where that is allowed."""
    own, theirs = free_symbols(answer), free_symbols(reference)
    extra, missing = own - theirs, theirs - own
    if len(extra) != 1 or len(missing) != 1:
        return []
    old, new = extra.pop(), missing.pop()
    constant = bool(_CONSTANTS.match(old) and _CONSTANTS.match(new)) and "C" in (old[0], new[0])
    several = all(isinstance(unlabelled(side), Group | Seq | SetOf | Matrix) for side in (reference, answer))
    integer = old in _PARAMETERS and new in _PARAMETERS and Const("pi") in list(walk(reference))
    bound = several and not any(binds(side, name) for side, name in ((reference, new), (answer, old)))
    bound = bound and _relates(reference, new) and _relates(answer, old)
    return [substituted(answer, old, Sym(new))] if constant or integer or bound else []


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


Judge = Callable[[Node, Node, Compare], Decision | None]
_KINDS: tuple[tuple[Callable[[Node], bool], Judge], ...] = (
    (_is_order, _compare_orders),
    (is_list, compare_lists),
    (_is_words, _compare_words),
    (is_relation, compare_relations),
    (is_tuple, compare_tuples),
    (is_set, lambda reference, answer, compare: compare_regions(reference, answer)),
    (_is_clock, _compare_clocks),
    (is_measured, compare_measures),
    (_is_ratio, _compare_ratios),
)
"""Kinds in the order in which they are looked for; a judge may say None: it is not for me."""
