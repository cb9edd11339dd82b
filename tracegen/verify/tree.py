"""The nodes that answers are read into: frozen structs, compared by value, without behaviour."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import msgspec


class Unreadable(Exception):
    """The text is not of a form that is read here; the message says what was in the way."""


class Node(msgspec.Struct, frozen=True):
    """A part of an answer."""


class Num(Node, frozen=True):
    """A number that was written with digits."""

    value: Fraction
    decimals: int = -1
    """Digits after the point, or -1 where there was no point."""
    significant: int = 0


class Sym(Node, frozen=True):
    """A symbol with its subscript, such as `x`, `alpha`, `a_{37}`."""

    name: str


class Const(Node, frozen=True):
    """pi, e, i, infinity, dots, emptyset, a set of numbers R, Z, N, Q, C or a part of one such as R+."""

    name: str


class Op(Node, frozen=True):
    """A function or operator of one or more arguments."""

    name: str
    args: tuple[Node, ...]


class Group(Node, frozen=True):
    """A tuple, point or interval: two or more items in brackets."""

    left: str
    right: str
    items: tuple[Node, ...]


class SetOf(Node, frozen=True):
    """A finite set in braces."""

    items: tuple[Node, ...]


class Builder(Node, frozen=True):
    """A set in braces with a condition."""

    element: Node
    condition: Node


class Rel(Node, frozen=True):
    """A chain of relations: `sides[0] ops[0] sides[1] ops[1] …`."""

    ops: tuple[str, ...]
    sides: tuple[Node, ...]


class Seq(Node, frozen=True):
    """A list without brackets."""

    items: tuple[Node, ...]
    joint: str = ""
    """`and` or `or`, where the items are joined by one of them alone."""


class Matrix(Node, frozen=True):
    """Rows of equal length."""

    rows: tuple[tuple[Node, ...], ...]


class Cases(Node, frozen=True):
    """A function by cases: values and their conditions, `Words` for otherwise."""

    rows: tuple[tuple[Node, Node], ...]


class Quantity(Node, frozen=True):
    """A value with a unit or a counted thing; `unit` is the text as written, with single spaces."""

    value: Node
    unit: str


class Labelled(Node, frozen=True):
    """`Minimum: 3`."""

    label: str
    value: Node


class Based(Node, frozen=True):
    """Digits in a base from 2 to 36."""

    value: Fraction
    base: int


class Residue(Node, frozen=True):
    """A value modulo a number: the right side of `x = 3 (mod 7)`."""

    value: Node
    modulus: Node


class Ratio(Node, frozen=True):
    """`a : b : c`."""

    parts: tuple[Node, ...]


class Clock(Node, frozen=True):
    """A time of day, or a duration written like one; seconds, and `am`, `pm` or nothing."""

    seconds: int
    half: str


class Words(Node, frozen=True):
    """Plain words."""

    text: str


BOUND = "#"
"""Begins the name of a symbol that a sum binds."""


# --- looking into trees ----------------------------------------------------------------------------


def walk(node: Node) -> Iterable[Node]:
    """`node` and every part of it."""
    stack: list[Any] = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, Node):
            yield part
            stack.extend(getattr(part, name) for name in part.__struct_fields__)
        elif isinstance(part, tuple):
            stack.extend(part)


def symbols(node: Node) -> set[str]:
    """Names of the free symbols in `node`."""
    return {part.name for part in walk(node) if isinstance(part, Sym) and part.name[0] != BOUND}


def is_set(node: Node) -> bool:
    """Written as a set or interval."""
    if isinstance(node, Const):
        return node.name[0] in "RZNQC" or node.name == "emptyset"
    return isinstance(node, SetOf | Builder) or (
        isinstance(node, Op) and node.name in ("cup", "cap", "setminus")
    )


def substituted(node: Any, name: str, value: Node) -> Any:
    """The tree with every variable of this name replaced."""
    return replaced(node, Sym(name), value)


def replaced(node: Any, old: Node, new: Node) -> Any:
    """The tree with `new` wherever `old`, a symbol or constant, stands."""
    if isinstance(node, tuple):
        return tuple(replaced(part, old, new) for part in node)
    if not isinstance(node, Node):
        return node
    if isinstance(node, Sym | Const):
        return new if node == old else node
    return type(node)(*(replaced(getattr(node, field), old, new) for field in node.__struct_fields__))
