"""LaTeX commands that stand for a value: fractions, roots, sums, sets, matrices, arrows over letters."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tracegen.verify.names import each_excluded
from tracegen.verify.numerals import number
from tracegen.verify.tokens import Token
from tracegen.verify.tree import (
    BOUND,
    Builder,
    Cases,
    Const,
    Group,
    Matrix,
    Node,
    Op,
    Quantity,
    Rel,
    Seq,
    SetOf,
    Sym,
    Unreadable,
    Words,
    replaced,
    symbols,
    walk,
)

if TYPE_CHECKING:
    from tracegen.verify.formula import Formula as Parser


def argument(parser: Parser) -> Node:
    """A braced group, or one token: a digit of a number, so that `\\frac12` is one half."""
    if parser.sees("{"):
        parser.at += 1
        node = parser.listed("}")
        return node[0] if len(node) == 1 else Group("(", ")", tuple(node))
    token = parser.peek()
    if token is not None and token.kind == "num" and len(token.text) > 1 and token.text.isdigit():
        rest = token.text[1:]
        parser.tokens[parser.at] = Token("num", rest, False, number(rest))
        return number(token.text[0])
    return parser.atom()


def _frac(parser: Parser) -> Node:
    above, below = argument(parser), argument(parser)
    if above == Sym("d") and isinstance(below, Op) and below.args[0] == Sym("d"):
        raise Unreadable("an operator")
    return Op("div", (above, below))


def _binom(parser: Parser) -> Node:
    return Op("binom", (argument(parser), argument(parser)))


def _sqrt(parser: Parser) -> Node:
    if parser.accept("["):
        degree = parser.listed("]")
        return Op("root", (_radicand(parser), degree[0]))
    return Op("sqrt", (_radicand(parser),))


def _radicand(parser: Parser) -> Node:
    return argument(parser) if parser.sees("{") else parser.atom()


def _money(parser: Parser) -> Node:
    return Quantity(parser.factor(), "$")


def _rounded(parser: Parser, name: str, closing: str) -> Node:
    node = parser.sum()
    parser.expect(closing)
    return Op(name, (node,))


# --- sums ------------------------------------------------------------------------------------------


def _series(parser: Parser, name: str) -> Node:
    """`\\sum_{k=1}^{n} …` with finite bounds; the index becomes a symbol that no answer can name."""
    low: Node | None = None
    high: Node | None = None
    while parser.sees("_", "^"):
        below = parser.take().text == "_"
        bound = argument(parser)
        low, high = (bound, high) if below else (low, bound)
    if not isinstance(low, Rel) or low.ops != ("=",) or high is None:
        raise Unreadable(f"a {name} without its bounds")
    letter, start = low.sides
    if not isinstance(letter, Sym | Const):
        raise Unreadable(f"a {name} without its index")
    index = letter.name
    body = parser.product()
    whole = (start, body) if name == "sum" and high == Const("infinity") else (start, high, body)
    if any(isinstance(part, Const) and part.name == "infinity" for side in whole for part in walk(side)):
        raise Unreadable(f"an infinite {name}")
    for other in symbols(body):
        if index in other.partition("_")[2]:
            body = replaced(body, Sym(other), _member(other))
    return Op(name, (start, high, replaced(body, letter, Sym(BOUND + index)), Sym(BOUND + index)))


def _member(name: str) -> Node:
    """`F_{n-k}` under a sum over k: the value of a sequence."""
    from tracegen.verify.expression import read_cleaned

    letter, _, place = name.partition("_")
    return Op(f"call {letter}", (read_cleaned(place),))


# --- sets ------------------------------------------------------------------------------------------


def _set(parser: Parser) -> Node:
    """`\\{…\\}`: a list of elements, or an element and a condition."""
    if parser.accept("}"):
        return Const("emptyset")
    start = parser.at
    if not _starts_builder(parser):
        try:
            return SetOf(tuple(parser.listed("}")))
        except Unreadable:
            parser.at = start
    bars, parser.bars = parser.bars, 1
    element = parser.relation()
    if not (parser.accept("|") or parser.accept(":")):
        parser.at, parser.bars = start, bars
        return SetOf(tuple(parser.listed("}")))
    conditions = [parser.relation()]
    joints = list[str]()
    while (joint := parser.separator()) is not None:
        joints.append(joint)
        conditions.append(parser.relation())
    parser.bars = bars
    parser.expect("}")
    conditions = each_excluded(conditions)
    condition = conditions[0] if len(conditions) == 1 else Seq(tuple(conditions), "or" * ("or" in joints))
    return Builder(element, condition)


def _starts_builder(parser: Parser) -> bool:
    """`x |`, `x :` or `x ∈` at the start of a set; `2k + 1 : k ∈` there."""
    token = parser.peek()
    ahead = 1
    for at in range(1, 30):
        following = parser.peek(at)
        if following is None or following.text in ("}", ",", "|"):
            break
        if following.text == ":" and parser.sees("in", ahead=at + 2):
            return True
    if parser.sees("("):  # `{(x, y) : x + y = 1}`
        while (token := parser.peek(ahead)) is not None and (token.kind == "sym" or token.text == ","):
            ahead += 1
        return ahead > 3 and parser.sees(")", ahead=ahead) and parser.sees("|", ":", "in", ahead=ahead + 1)
    return token is not None and token.kind == "sym" and parser.sees("|", ":", "in", ahead=1)


_PARTS = {
    "+": "+", "-": "-", ">0": "+", "<0": "-", "ge0": "0+", "geq0": "0+", "le0": "0-", "*": "*", "ne0": "*",
    "times": "*", "star": "*", "neq0": "*", "{+}": "+",
}  # fmt: skip


def _number_set(parser: Parser) -> Node:
    """`\\mathbb{R}`, and its parts `\\mathbb{R}^+`, `\\mathbb{Z}_{>0}`."""
    name = parser.script()
    if name not in ("R", "Z", "N", "Q", "C"):
        return Sym(name)
    part = ""
    while parser.sees("_", "^"):
        parser.at += 1
        written = parser.script().replace(" ", "")
        if written in ("2", "3", "n", "m"):
            return Sym(f"{name}^{written}")
        if part or written not in _PARTS:
            raise Unreadable("a part of a set of numbers")
        part = _PARTS[written]
    return Const(name + part if name + part != "N+" else "Z+")


def _langle(parser: Parser) -> Node:
    return Group("(", ")", tuple(parser.listed("rangle")))


# --- matrices --------------------------------------------------------------------------------------


def _environment(parser: Parser) -> Node:
    name = parser.script()
    if name in ("cases", "aligned", "align", "align*", "gathered"):
        return _cases(parser)
    if name not in ("pmatrix", "bmatrix", "matrix", "vmatrix", "smallmatrix", "array", "Bmatrix"):
        raise Unreadable(f"the environment {name}")
    if name == "array" and parser.sees("{"):
        parser.script()
    rows: list[tuple[Node, ...]] = []
    row: list[Node] = []
    while not parser.accept("end"):
        if parser.accept("\\"):
            rows.append(tuple(row))
            row = []
        elif parser.accept("&", "hline"):
            continue
        else:
            row.append(parser.relation())
    parser.script()
    if row:
        rows.append(tuple(row))
    if not rows or len({len(one) for one in rows}) != 1 or not rows[0]:
        raise Unreadable("a matrix with rows of several lengths")
    matrix = Matrix(tuple(rows))
    return Op("det", (matrix,)) if name == "vmatrix" else matrix


def _cases(parser: Parser) -> Node:
    """A function by cases, or the equations of a system."""
    rows: list[tuple[Node, ...]] = []
    while not parser.accept("end"):
        if parser.accept("\\"):
            continue
        row: list[Node] = []
        while not (parser.sees("end") or parser.sees("\\")):
            token = parser.peek()
            if parser.sees(",", "&", ";", ".", "quad", "qquad"):
                parser.at += 1
            elif token is not None and token.kind in ("text", "word"):
                parser.at += 1
                if token.text.strip(" ,.") in ("otherwise", "else"):
                    row.append(Words("otherwise"))
            else:
                row.append(parser.relation())
        rows.append(tuple(row))
    parser.script()
    rows = [row for row in rows if row]
    if rows and all(len(row) == 1 for row in rows):
        return Seq(tuple(row[0] for row in rows))
    if not rows or any(len(row) < 2 for row in rows):
        raise Unreadable("cases without their conditions")
    return Cases(tuple((row[0], row[1] if len(row) == 2 else Seq(row[1:], "and")) for row in rows))


# --- marks over letters ----------------------------------------------------------------------------


def _arrow(parser: Parser) -> Node:
    node = argument(parser)
    if isinstance(node, Op) and node.name == "mul" and all(isinstance(part, Sym) for part in node.args):
        return Sym("vec " + "".join(part.name for part in node.args if isinstance(part, Sym)))
    return Sym("vec " + node.name) if isinstance(node, Sym) else node


def _overline(parser: Parser) -> Node:
    """A segment, digits, or the conjugate of a complex number."""
    node = argument(parser)
    if isinstance(node, Sym):
        return Sym("bar " + node.name)
    if isinstance(node, Op) and node.name == "mul" and len(node.args) > 1:
        letters = [arg.name for arg in node.args if isinstance(arg, Sym) and arg.name.islower()]
        if len(letters) == len(node.args):  # the digits of a number
            return Sym("digits " + " ".join(letters))
    return Op("conj", (node,)) if Const("i") in walk(node) else node


def _figure(parser: Parser, kind: str) -> Node:
    """`\\angle ABC` is `\\angle CBA`; a triangle has no first corner."""
    if parser.sees("{"):
        names = re.findall(r"[A-Za-z](?:_\d|')?|\d", parser.script())
    else:
        names = []
        while (token := parser.peek()) is not None and token.kind == "sym" and len(names) < 4:
            if names and (token.spaced or not token.text.isupper()):
                break
            names.append(token.text)
            parser.at += 1
            while parser.accept("'"):
                names[-1] += "'"
    if not names:
        number_ = parser.take()
        names = [number_.text]
    ordered = sorted(names) if kind == "triangle" else min(names, names[::-1])
    return Sym(f"{kind} " + "".join(ordered))


def _complement(parser: Parser) -> Node:
    """`\\complement_U A`, the name of a set."""
    if parser.accept("_"):
        parser.script()
    inner = parser.atom()
    return Sym(f"complement {inner.name}") if isinstance(inner, Sym) else Op("complement", (inner,))


ATOMS: dict[str, Callable[[Parser], Node]] = {
    "frac": _frac,
    "binom": _binom,
    "sqrt": _sqrt,
    "sum": lambda parser: _series(parser, "sum"),
    "prod": lambda parser: _series(parser, "prod"),
    "{": _set,
    "$": _money,
    "mathbb": _number_set,
    "langle": _langle,
    "lfloor": lambda parser: _rounded(parser, "floor", "rfloor"),
    "lceil": lambda parser: _rounded(parser, "ceil", "rceil"),
    "begin": _environment,
    "infty": lambda parser: Const("infinity"),
    "dots": lambda parser: Const("dots"),
    "emptyset": lambda parser: Const("emptyset"),
    "overrightarrow": _arrow,
    "vec": _arrow,
    "hat": argument,
    "widehat": argument,
    "tilde": argument,
    "overline": _overline,
    "bar": _overline,
    "mathcal": argument,
    "underline": argument,
    "complement": _complement,
    "basisi": lambda parser: Sym("basis i"),
    "basisj": lambda parser: Sym("basis j"),
    "basisk": lambda parser: Sym("basis k"),
    "angle": lambda parser: _figure(parser, "angle"),
    "triangle": lambda parser: _figure(parser, "triangle"),
}
"""Commands, and what each reads after it."""
