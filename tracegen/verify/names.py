"""Names that answers give to their values: `x = 5`, `f(x) = …`, `(x, y) = (1, 2)`, `Minimum: 1`."""

from __future__ import annotations

from typing import Any

from tracegen.verify import words
from tracegen.verify.tree import (
    Group,
    Labelled,
    Node,
    Op,
    Ratio,
    Rel,
    Seq,
    SetOf,
    Sym,
    Words,
    symbols,
    walk,
)


def is_label(node: Node) -> bool:
    """A name for a value: `x`, `a_1`, `f(x)`, `AB`, `(x, y)`, `a:b`, `AB/CD`, `sin A`, `angle ABC`."""
    match node:
        case Sym():
            return True
        case Op(name=name) if name.startswith("call "):
            return True
        case Op(
            name="div",
            args=(Op(name="mul", args=(Sym(name="d"), Sym())), Op(name="mul", args=(Sym(name="d"), Sym()))),
        ):
            return True
        case Op(name="div" | "abs" | "sin" | "cos" | "tan" | "cot", args=args):
            return all(is_label(arg) for arg in args)
        case Op(name="mul", args=args):
            return all(
                isinstance(arg, Sym) and (arg.name[:1].isupper() or arg.name.startswith("vec "))
                for arg in args
            )
        case Group(items=items) | Seq(items=items):
            return all(is_label(item) or _is_application(item) for item in items)
        case Ratio(parts=items):
            return all(is_label(item) for item in items)
        case _:
            return False


def _is_application(node: Node) -> bool:
    """`P(x)` in a list of names, where it was read as a product."""
    return isinstance(node, Op) and node.name == "mul" and all(isinstance(arg, Sym) for arg in node.args)


def label(node: Node) -> str | None:
    """The name that an item gives to its value, as text."""
    if isinstance(node, Labelled):
        said = words.normal(node.label)
        return SHORT.get(said, said)
    if isinstance(node, Rel) and set(node.ops) == {"="} and is_label(node.sides[0]):
        named = node.sides[0]
        match named:
            case Op(name="abs", args=(Op(name="mul", args=points),)) if all(
                isinstance(point, Sym) and point.name.isupper() for point in points
            ):
                named = named.args[0]  # `|AB|` is the length of AB
        return SHORT.get(named.name) if isinstance(named, Sym) and named.name in SHORT else str(named)
    return None


SHORT = {"max": "maximum", "min": "minimum", "maximum value": "maximum", "minimum value": "minimum"}


def value(node: Node) -> Node:
    """What a labelled item says."""
    if isinstance(node, Labelled):
        return node.value
    return node.sides[-1] if isinstance(node, Rel) else node


def unlabelled(node: Node) -> Node:
    """The value of `S = {1, 2}` and of `(x, y) = (1, 2)`; of `(f, g) = (a, b)` a list of equations."""
    if isinstance(node, Labelled):
        return unlabelled(node.value)
    if (
        isinstance(node, Rel)
        and set(node.ops) <= {"=", "in"}
        and isinstance(node.sides[-1], Group | SetOf | Seq)
    ):
        return node.sides[-1]
    return node


def is_number(node: Node) -> bool:
    """The answer has no variable in it."""
    return not symbols(node) and not isinstance(node, Words | Rel)


def free_symbols(node: Any) -> set[str]:
    """Symbols of the values, without those that only label them."""
    if isinstance(node, tuple):
        return {name for part in node for name in free_symbols(part)}
    if isinstance(node, Rel) and label(node) is not None:
        return free_symbols(node.sides[1:])
    if isinstance(node, Sym):
        return {node.name}
    return (
        {name for field in node.__struct_fields__ for name in free_symbols(getattr(node, field))}
        if isinstance(node, Node)
        else set()
    )


def binds(node: Node, name: str) -> bool:
    """Whether `name` is what the answer is about, as in `x = 1, y = 2`, rather than a parameter."""
    labels = [part.sides[0] for part in walk(node) if isinstance(part, Rel)]
    return any(name in symbols(label) for label in labels)


def each_excluded(items: list[Node]) -> list[Node]:
    """`x ≠ 1, 2` and `x ≠ ±1` with the sign before each: `x ≠ 1, x ≠ 2`."""
    match items:
        case [Rel(ops=("!=",), sides=(name, Op(name="pm", args=(end,))))]:
            return [Rel(("!=",), (name, end)), Rel(("!=",), (name, Op("neg", (end,))))]
        case [Rel(ops=("!=",), sides=(Sym() as name, _)) as first, *others] if all(map(is_number, others)):
            return [first, *(Rel(("!=",), (name, other)) for other in others)]
        case _:
            return items


def in_order(node: Node) -> Node:
    """`b < a < c` as an order of names, and a list of names that may be one."""
    if isinstance(node, Rel) and len(node.sides) > 2 and all(isinstance(side, Sym) for side in node.sides):
        falling = {"<": node.sides, ">": node.sides[::-1]}.get(node.ops[0])
        return Group("(", ")", falling) if falling and len(set(node.ops)) == 1 else node
    if isinstance(node, Seq) and all(isinstance(item, Sym) for item in node.items):
        return Group("(", ")", node.items)
    return node
