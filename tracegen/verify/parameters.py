"""Constants of integration, integer parameters and shared parameters that are named differently."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import permutations
from typing import Any

import mpmath

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

CONSTANTS = re.compile(r"(?:[A-DKck]|const)(?:_\w+)?\Z")
_INTEGRATION = re.compile(r"(?:[CKc]_\w+|C|K|const)\Z")
_PARAMETERS = frozenset({"n", "k", "m", "l", "j", "ell"})
_VARIABLES = frozenset({"x", "t", "u", "y", "z", "s", "v", "theta"})
_ANGLED = frozenset({"sin", "cos", "tan", "cot", "sec", "csc"})


def renamings(reference: Node, answer: Node) -> list[Node]:
    """The answer with its own parameter named as the reference names hers, where that is allowed."""
    own, theirs = free_symbols(answer), free_symbols(reference)
    extra, missing = own - theirs, theirs - own
    if 1 < len(extra) <= 3 and len(extra) == len(missing) and all(_computed(answer, name) for name in extra):
        return _constants(reference, answer, sorted(extra), sorted(missing))
    if len(extra) != 1 or len(missing) != 1:
        return []
    old, new = extra.pop(), missing.pop()
    sides = (reference, new), (answer, old)
    cased = {old, new} == {"C", "c"} and all(_is_free(*side) and _only_variables(*side) for side in sides)
    if cased and isinstance(reference, Rel) and isinstance(answer, Rel):
        return [substituted(answer, old, Sym(new))]
    if not (_computed(answer, old) and _computed(reference, new)):
        return []
    constant = bool(CONSTANTS.match(old) and CONSTANTS.match(new)) and bool(
        _INTEGRATION.match(old) or _INTEGRATION.match(new)
    )
    constant = constant and all(_is_integration(*side) for side in sides)
    free = _FREE.issuperset((old, new)) and all(_is_definition(side) for side in (reference, answer))
    several = all(isinstance(unlabelled(side), Group | Seq | SetOf | Matrix) for side in (reference, answer))
    integer = old in _PARAMETERS and new in _PARAMETERS and all(_turns(*side) for side in sides)
    bound = several and not any(binds(side, name) for side, name in sides)
    bound = bound and _relates(reference, new) and _relates(answer, old)
    return [substituted(answer, old, Sym(new))] if cased or constant or integer or bound or free else []


def _is_integration(node: Node, name: str) -> bool:
    """Whether `name` is added to a term in a variable, or its only factor: `x² + C`, `C/x`; not `½ C x²`."""
    tops = [part for part in walk(node) if isinstance(part, Op) and name in symbols(part)]
    products = [_factors(part) for part in tops if part.name in ("mul", "div", "neg")]
    own = [factors for factors in products if Sym(name) in factors]
    stands = any(
        part.name in ("add", "mul", "div")
        and any(Sym(name) in _factors(arg) for arg in part.args)
        and (_VARIABLES | _exponents(part)) & symbols(part)
        for part in tops
    )
    return (
        stands
        and not any(isinstance(factor, Num) and factor.value != 1 for factors in own for factor in factors)
        and not any(part.name in _ANGLED for part in tops)
        and _is_free(node, name)
        and _only_variables(node, name)
    )


def _is_free(node: Node, name: str) -> bool:
    """Whether no part says that `name` is an angle, an event, a set or a count: `sin C`, `P(C)`, `C_5^2`."""
    for part in walk(node):
        if not isinstance(part, Op) or name not in symbols(part):
            continue
        angle = part.name in _ANGLED and not (_VARIABLES & symbols(part))
        count = part.name == "pow" and part.args[0] == Sym(name) and re.match(r"[CAP]_\w", name)
        if angle or count or part.name in ("cup", "cap", "setminus") or part.name.startswith("call "):
            return False
    return True


def _only_variables(node: Node, name: str) -> bool:
    """Whether the other letters are variables, rates of growth, or constants of integration themselves."""
    others = symbols(value(node) if label(node) else node) - {name}
    variables = _VARIABLES | _exponents(node)
    return bool(others & variables) and all(one in variables or _INTEGRATION.match(one) for one in others)


def _exponents(node: Node) -> set[str]:
    """The small letters in exponents of numbers: `k` and `t` of `e^{kt}`, `n` of `2^n`."""
    powers = [part.args for part in walk(node) if isinstance(part, Op) and part.name == "pow"]
    return {name for base, above in powers if not symbols(base) for name in symbols(above) if name.islower()}


def _factors(node: Node) -> list[Node]:
    if isinstance(node, Op) and node.name in ("mul", "div", "neg"):
        return [factor for arg in node.args for factor in _factors(arg)]
    return [node]


def _turns(node: Any, name: str) -> bool:
    """Whether the letter stands in nothing but `start + q π n`, `q` rational; the start may be `(-1)^n a`.

    Such a term may be the exponent of e, in which it may be imaginary.
    """
    if isinstance(node, tuple):
        return all(_turns(part, name) for part in node)
    if not isinstance(node, Node) or name not in symbols(node):
        return True
    powers = any(
        isinstance(part, Op) and part.name == "pow" and part.args[0] == Const("e") for part in walk(node)
    )
    if isinstance(node, Op) and node.name not in ("cup", "cap", "setminus") and not powers:
        return symbols(node) == {name} and _by_turns(_one_sign(node), name)
    return all(_turns(getattr(node, field), name) for field in node.__struct_fields__)


def _by_turns(node: Node, name: str) -> bool:
    """Whether even integers make equal steps of a rational number of turns, and odd ones the same."""
    with mpmath.workdps(numeric.DIGITS):
        at = [numeric._attempt(node, {name: mpmath.mpf(place)}) for place in range(6)]
        if any(isinstance(one, numeric.NoValue) or not mpmath.isfinite(one) for one in at):
            return False
        at = at if any(mpmath.re(one) for one in at) else [mpmath.im(one) for one in at]
        if any(mpmath.im(one) for one in at):
            return False
        steps = [(later - one) / (2 * mpmath.pi) for one, later in zip(at, at[2:], strict=False)]
        near = Fraction(mpmath.nstr(steps[0], 30)).limit_denominator(360)
        turns = mpmath.mpf(near.numerator) / near.denominator
        return bool(near) and all(abs(step - turns) < mpmath.mpf(10) ** -20 for step in steps)


def _one_sign(node: Any) -> Any:
    """The tree with plus for plus or minus."""
    if isinstance(node, tuple):
        return tuple(_one_sign(part) for part in node)
    if not isinstance(node, Node):
        return node
    if isinstance(node, Op) and node.name == "pm":
        return Op("add", tuple(_one_sign(arg) for arg in node.args))
    return type(node)(*(_one_sign(getattr(node, field)) for field in node.__struct_fields__))


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
    if constant == "c":  # may be data: `x - c` is no `x + c`
        added = added and numeric.same(once, Op("add", (without, Num(Fraction(1))))) is True
    return (without, name) if added else None


_FREE = frozenset({"c", "k", "C", "K", "a", "b", "m", "A", "lambda", "alpha"})
"""Letters for a free constant of a family of functions."""


def _is_definition(node: Node) -> bool:
    """`f(x) = c x`."""
    return isinstance(node, Rel) and isinstance(node.sides[0], Op) and node.sides[0].name.startswith("call ")


def _computed(node: Node, name: str) -> bool:
    """Whether something is computed with the symbol; alone it is an answer of its own."""
    return any(isinstance(part, Op) and name in symbols(part) for part in walk(node))


def _constants(reference: Node, answer: Node, old: list[str], new: list[str]) -> list[Node]:
    """`C_1 e^x + C_2 e^{-x}` with the constants named as the reference does, in every order."""
    all_constants = all(CONSTANTS.match(name) for name in (*old, *new))
    integration = all(map(_INTEGRATION.match, old)) or all(map(_INTEGRATION.match, new))
    free = all(_is_free(answer, name) for name in old) and all(_is_free(reference, name) for name in new)
    if not all_constants or not integration or not free:
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
