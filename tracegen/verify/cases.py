"""Functions by cases, and statements with a quantifier."""

from __future__ import annotations

import re
from fractions import Fraction

import mpmath

from tracegen.verify import numeric
from tracegen.verify.decision import NO, Compare, Decision, every
from tracegen.verify.equations import same_sign
from tracegen.verify.names import label, value
from tracegen.verify.regions import compared_to_line
from tracegen.verify.tree import (
    Cases,
    Group,
    Node,
    Num,
    Op,
    Rel,
    Seq,
    SetOf,
    Sym,
    Words,
    substituted,
    symbols,
)
from tracegen.verify.words import normal


def is_cases(node: Node) -> bool:
    """The answer is a function by cases."""
    return isinstance(value(node) if label(node) else node, Cases)


def compare_cases(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """Functions by cases: each value with its condition, in any order; `otherwise` is the last row left."""
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
    open_rows, unmatched = list(answer.rows), list[tuple[Node, Node]]()
    for wanted, where in reference.rows:
        for row in open_rows:
            if _same_condition(where, row[1], compare) and compare(wanted, row[0]).equal:
                open_rows.remove(row)
                break
        else:
            unmatched.append((wanted, where))
    match unmatched, open_rows:
        case [], []:
            pass
        case [(wanted, where)], [(stated, condition)] if Words in map(type, (where, condition)):
            if not compare(wanted, stated).equal:
                return Decision(equal=False, why="a case has no counterpart")
        case _:
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
            case Rel(ops=ops) if set(ops) <= {"<", ">", "<=", ">="} and len(symbols(where)) == 1:
                if not _alike_inside(where, wanted, term):
                    return NO
                continue
            case Words(text=text) if re.fullmatch(r"\w (?:odd|even)", text):
                half = Op("mul", (Num(Fraction(2)), Sym("n")))
                whole = half if text.endswith("even") else Op("add", (half, Num(Fraction(1))))
                pair = substituted(wanted, text[0], whole), substituted(term, text[0], whole)
        if isinstance(term, Rel | Seq | Group | SetOf | Words) or not compare(*pair).equal:
            return NO
    return Decision(equal=True, weak=True, why="every case")


def _alike_inside(where: Rel, wanted: Node, term: Node) -> bool:
    """Whether two terms have the same values in the region of a condition, at some points of it."""
    (name,) = symbols(where)
    region = compared_to_line(where, name)
    if not region or isinstance(term, Rel | Seq | Group | SetOf | Words):
        return False
    for low, high, *_ in region:
        start = max(low, min(high, 0) - 7)
        width = min(high, max(low, 0) + 7) - start
        for part in (Fraction(1, 97), Fraction(2, 9), Fraction(3, 7), Fraction(5, 8), Fraction(90, 97)):
            at = Num(Fraction(str(mpmath.nstr(start + width * part.numerator / part.denominator, 20))))
            if numeric.same(substituted(wanted, name, at), substituted(term, name, at)) is not True:
                return False
    return True


def _same_condition(first: Node, second: Node, compare: Compare) -> bool:
    match first, second:
        case Words(text=one), Words(text=other):
            said = normal(one), normal(other)
            return said[0] == said[1] or all(_OPEN.fullmatch(side) for side in said)
        case (Words(), _) | (_, Words()):
            return False
        case _:
            return bool(compare(first, second).equal)


_OPEN = re.compile(
    r"(?:if |for )?(?:otherwise|else|elsewhere|(?:in )?all other cases|all other \w+|other \w+)"
)


def is_statement(node: Node) -> bool:
    """The answer is a statement with a quantifier."""
    return isinstance(node, Op) and node.name in ("forall", "exists")


def compare_statements(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """`for all x in R, f(x) > 0`: the same quantifier over the same set, and the same statement."""
    match reference, answer:
        case Op(name=one, args=(first, said)), Op(name=other, args=(second, stated)) if one == other:
            names = [part.sides[0] if isinstance(part, Rel) else part for part in (first, second)]
            match names:
                case [Sym() as kept, Sym(name=other_name)]:
                    second, stated = (substituted(part, other_name, kept) for part in (second, stated))
            alike = compare(said, stated)
            if isinstance(said, Rel) and isinstance(stated, Rel) and alike.equal:
                alike = same_sign(said, stated) or alike  # both may hold everywhere, or nowhere
            return every([compare(first, second), alike])
        case _:
            return NO
