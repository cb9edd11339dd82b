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

from tracegen.verify import exact, numeric, words
from tracegen.verify.decision import NO, UNDECIDED, YES, Decision, every
from tracegen.verify.equations import compare_relations, is_relation
from tracegen.verify.lists import compare_lists, compare_tuples, is_list, is_tuple
from tracegen.verify.measures import compare_measures, is_measured
from tracegen.verify.names import binds, free_symbols, is_label, is_number, unlabelled
from tracegen.verify.regions import compare_regions
from tracegen.verify.tree import (
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
        if at == 0 and symbols(node.sides[0]) - symbols(node.sides[1]):
            return _plain(node.sides[1] if len(node.ops) == 1 else Rel(node.ops[1:], node.sides[1:]))
        return _plain(Rel(node.ops[:at], node.sides[: at + 1])) if at else node.sides[0]
    if (
        isinstance(node, Rel)
        and "=" in node.ops
        and is_number(node.sides[0])
        and is_label(node.sides[-1])
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


# --- words, times, ratios, terms -------------------------------------------------------------------


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
        return every(
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
        isinstance(side, Op) and any(isinstance(part, Matrix) for part in walk(side)) for side in sides
    )


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
    constant = bool(_CONSTANTS.match(old) and _CONSTANTS.match(new))
    several = all(isinstance(unlabelled(side), Group | Seq | SetOf | Matrix) for side in (reference, answer))
    integer = old in _PARAMETERS and new in _PARAMETERS and Const("pi") in list(walk(reference))
    bound = several and not any(binds(side, name) for side, name in ((reference, new), (answer, old)))
    bound = bound and _relates(reference, new) and _relates(answer, old)
    return [substituted(answer, old, Sym(new))] if constant or integer or bound else []


def _relates(node: Node, name: str) -> bool:
    """Whether `name` is a parameter of several parts, rather than a part itself."""
    inner = unlabelled(node)
    parts = (
        inner.items
        if isinstance(inner, Group | Seq | SetOf)
        else inner.rows
        if isinstance(inner, Matrix)
        else ()
    )
    return (
        Sym(name) not in parts
        and sum(name in symbols(Seq((part,) if isinstance(part, Node) else part)) for part in parts) > 1
    )


_KINDS: tuple[tuple[Callable[[Node], bool], Callable[[Node, Node], Decision | None]], ...] = (
    (is_list, compare_lists),
    (_is_words, _words),
    (is_relation, compare_relations),
    (is_tuple, compare_tuples),
    (lambda node: is_set(node), lambda reference, answer: compare_regions(reference, answer)),
    (_is_clock, _clocks),
    (is_measured, compare_measures),
    (_is_ratio, _ratios),
)
"""Kinds in the order in which they are looked for; a judge may say None: it is not for me."""
