"""Constants of integration, integer parameters and shared parameters that are named differently."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import permutations

from tracegen.verify import numeric
from tracegen.verify.names import binds, free_symbols, label, unlabelled, value
from tracegen.verify.tree import (
    Const,
    Group,
    Matrix,
    Node,
    Num,
    Op,
    Rel,
    Seq,
    SetOf,
    Sym,
    substituted,
    symbols,
    walk,
)

_CONSTANTS = re.compile(r"(?:[A-DKck]|const)(?:_\w+)?\Z")
_INTEGRATION = re.compile(r"(?:[CKc]_\w+|C|K|const)\Z")
_PARAMETERS = frozenset({"n", "k", "m", "l", "t", "s", "j", "ell", "r"})


def renamings(reference: Node, answer: Node) -> list[Node]:
    """The answer with its own parameter named as the reference names hers, where that is allowed."""
    own, theirs = free_symbols(answer), free_symbols(reference)
    extra, missing = own - theirs, theirs - own
    if 1 < len(extra) <= 3 and len(extra) == len(missing) and all(_computed(answer, name) for name in extra):
        return _constants(answer, sorted(extra), sorted(missing))
    if len(extra) != 1 or len(missing) != 1:
        return []
    old, new = extra.pop(), missing.pop()
    if {old, new} == {"C", "c"} and isinstance(reference, Rel) and isinstance(answer, Rel):
        return [substituted(answer, old, Sym(new))]
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


_VARIABLES = frozenset({"x", "t", "u", "y", "z", "s", "v", "theta"})


def same_up_to_constant(reference: Node, answer: Node) -> bool:
    """Antiderivatives, each with its constant: `sin² x + C` and `C - cos² x` differ by a number."""
    first, second = _antiderivative(reference), _antiderivative(answer)
    if first is None or second is None or first[1] != second[1]:
        return False
    if label(reference) and label(answer) and label(reference) != label(answer):
        return False
    return _differ_by_number(first[0], second[0], first[1])


def _differ_by_number(first: Node, second: Node, name: str) -> bool:
    """Whether `first - second` does not depend on `name`; as sums, in which no digits are lost."""
    places = Num(Fraction(13, 10)), Num(Fraction(27, 5))
    pairs = (
        (Op("add", (first, substituted(second, name, at))), Op("add", (second, substituted(first, name, at))))
        for at in places
    )
    return any(numeric.same(*pair) is True for pair in pairs)


def _antiderivative(node: Node) -> tuple[Node, str] | None:
    """`F(x)` of `F(x) + C` and the name of its variable; None where no constant is added to a term."""
    inner = value(node) if label(node) else node
    constants = {name for name in symbols(inner) if name == "c" or _INTEGRATION.match(name)}
    others = symbols(inner) - constants
    if not isinstance(inner, Op) or len(constants) != 1 or len(others) != 1 or not others <= _VARIABLES:
        return None
    (constant,), (name,) = constants, others
    without, once, thrice = (substituted(inner, constant, Num(Fraction(at))) for at in (0, 1, 3))
    ends = Op("add", (thrice, without, without)), Op("mul", (Num(Fraction(3)), once))
    added = numeric.same(*ends) is True and _differ_by_number(once, without, name)
    return (without, name) if added else None


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
