"""Lines: `(x-1)/2 = (y+3)/-1 = z/4`, `x = 1+2t, y = -3-t, z = 4t`, `(1,-3,0) + t(2,-1,4)`.

Each becomes a point and a direction in its coordinates. Two such lines are equal where the directions and
the way from point to point are parallel. Two parametrisations by coordinates are left to others where neither
says that `t` is any real number: it may be an integer. Where it is said to be one, there is no line.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

from tracegen.verify import numeric
from tracegen.verify.families import WHOLE
from tracegen.verify.names import unlabelled
from tracegen.verify.tree import Const, Group, Node, Num, Op, Rel, Seq, Sym, substituted, symbols

Line = dict[str, tuple[Node, Node]]
"""Name of a coordinate to its value at a point of the line and in its direction."""
_AXES = ("x", "y", "z")
_ZERO, _ONE = Num(Fraction(0)), Num(Fraction(1))


def same_line(reference: Node, answer: Node) -> bool:
    """Whether both are one line, and one of them is written as nothing but a line can be."""
    if any(name.startswith(WHOLE) for side in (reference, answer) for name in symbols(side)):
        return False
    certain = [_by_ratios(side) or _by_vectors(side) or _over_reals(side) for side in (reference, answer)]
    if not any(certain):
        return False
    first, second = (
        one or _by_coordinates(side) for one, side in zip(certain, (reference, answer), strict=True)
    )
    if first is None or second is None or first.keys() != second.keys():
        return False
    ways = [
        [first[name][1] for name in first],
        [second[name][1] for name in first],
        [_minus(second[name][0], first[name][0]) for name in first],
    ]
    points = all(any(numeric.same(part, _ZERO) is False for part in way) for way in ways[:2])
    return points and all(_parallel(ways[0], way) for way in ways[1:])


def _minus(left: Node, right: Node) -> Node:
    return Op("add", (left, Op("neg", (right,))))


def _parallel(first: list[Node], second: list[Node]) -> bool:
    return all(
        numeric.same(Op("mul", (first[one], second[other])), Op("mul", (first[other], second[one]))) is True
        for one, other in combinations(range(len(first)), 2)
    )


def _linear(node: Node, name: str) -> tuple[Node, Node] | None:
    """The values of `a` and `b` in `a + b t`; None where the node is something else."""
    if symbols(node) - {name}:
        return None
    below, start, one, two = (substituted(node, name, Num(Fraction(at))) for at in (-1, 0, 1, 2))
    step = _minus(one, start)
    same = numeric.same(_minus(two, one), step) and numeric.same(_minus(start, below), step)
    return (start, step) if same else None


def _by_ratios(node: Node) -> Line | None:
    """`(x-1)/2 = y/3 = z`, and `(x-1)/2 = y/3, z = 4`: each side about another coordinate."""
    chain, *others = node.items if isinstance(node, Seq) else (node,)
    if not isinstance(chain, Rel) or set(chain.ops) != {"="}:
        return None
    line: Line = {}
    for side in chain.sides:
        name = next(iter(symbols(side)), "")
        found = _linear(side, name) if name in _AXES and name not in line else None
        if found is None or numeric.same(found[1], _ZERO) is not False:
            return None
        line[name] = Op("div", (Op("neg", (found[0],)), found[1])), Op("div", (_ONE, found[1]))
    for other in others:
        match other:
            case Rel(ops=("=",), sides=(Sym(name=name), place)) if name in _AXES and not symbols(place):
                line[name] = place, _ZERO
            case _:
                return None
    return line if len(line) == len(chain.sides) + len(others) and len(line) > 1 else None


def _by_vectors(node: Node) -> Line | None:
    """`(x, y, z) = (1, -3, 0) + t(2, -1, 4)`, with or without the names before it."""
    inner = node.sides[-1] if isinstance(node, Rel) and node.ops == ("=",) else unlabelled(node)
    match inner:
        case Op(name="add", args=(Group(items=start), Op(name="mul", args=(Sym(), Group(items=way))))) if len(
            start
        ) == len(way) <= len(_AXES) and not symbols(Seq((*start, *way))):
            return dict(zip(_AXES, zip(start, way, strict=True), strict=False))
        case _:
            return None


def _over_reals(node: Node) -> Line | None:
    """`(t + 1, t, t - 1), t ∈ R`: as below, and the letter is said to be any number."""
    match node:
        case Seq(items=(inner, Rel(ops=("in",), sides=(Sym(), Const(name="R"))))):
            return _by_coordinates(inner)
        case _:
            return None


def _by_coordinates(node: Node) -> Line | None:
    """`x = 1 + 2t, y = -3 - t, z = 4t`, `(1 + 2t, -3 - t, 4t)`."""
    match node:
        case Seq(items=items) if all(isinstance(item, Rel) and item.ops == ("=",) for item in items):
            named = [(item.sides[0], item.sides[1]) for item in items if isinstance(item, Rel)]
        case Rel(ops=("=",), sides=(Group(items=names), Group(items=terms))) if len(names) == len(terms):
            named = list(zip(names, terms, strict=True))
        case Group(items=terms) if len(terms) <= len(_AXES):
            named = list(zip(map(Sym, _AXES), terms, strict=False))
        case _:
            return None
    letters = {name for _, term in named for name in symbols(term)}
    line: Line = {}
    for name, term in named:
        found = _linear(term, min(letters)) if len(letters) == 1 else None
        if not isinstance(name, Sym) or name.name not in _AXES or name.name in letters or found is None:
            return None
        line[name.name] = found
    return line
