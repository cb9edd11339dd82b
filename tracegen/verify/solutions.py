"""General solutions of linear differential equations: `C_1 e^x + C_2 e^{-x}` is `A cosh x + B sinh x`.

A solution that is linear in its constants is one function and the span of others. Two of them are equal where
the spans are, and the difference of the functions is within. Compared at more places than there are
constants, with `numeric.DIGITS` digits.
"""

from __future__ import annotations

import re
from typing import Any

import mpmath

from tracegen.verify import numeric
from tracegen.verify.names import label, value
from tracegen.verify.parameters import CONSTANTS
from tracegen.verify.tree import Node, Op, symbols, walk

_CONSTANT = re.compile(r"(?:C|c)_\w+\Z|C\Z")
"""How the reference writes the constants that are free; the answer may write them as `CONSTANTS` says."""
_VARIABLES = frozenset({"x", "t", "theta"})
_GROWING = frozenset({"sin", "cos", "exp", "cosh", "sinh", "ln", "log"})
MAX_CONSTANTS = 4
PLACES = 9
Row = list[Any]


def same_solutions(reference: Node, answer: Node) -> bool:
    """Whether both are the same family of functions of one variable, however their constants are chosen.

    Asked only where something grows or turns with the variable (`e^{2x}`, `sin x`): a lone `C` beside a
    power may be a given coefficient.
    """
    if label(reference) and label(answer) and label(reference) != label(answer):
        return False
    first, second = (value(side) if label(side) else side for side in (reference, answer))
    names = symbols(first) & _VARIABLES, symbols(second) & _VARIABLES
    if names[0] != names[1] or len(names[0]) != 1 or not _grows(first, *names[0]):
        return False
    (name,) = names[0]
    constants = sorted(symbols(first) - {name}), sorted(symbols(second) - {name})
    if not 0 < len(constants[0]) == len(constants[1]) <= MAX_CONSTANTS:
        return False
    if not all(map(_CONSTANT.match, constants[0])) or not all(map(CONSTANTS.match, constants[1])):
        return False
    with mpmath.workdps(numeric.DIGITS):
        one, two = _span(first, name, constants[0]), _span(second, name, constants[1])
        if one is None or two is None:
            return False
        (start, basis), (other, others) = one, two
        apart = [here - there for here, there in zip(start, other, strict=True)]
        count = len(basis)
        return _rank(basis) == _rank(others) == count == _rank([*basis, *others, apart])


def _grows(node: Node, name: str) -> bool:
    """Whether the variable is in an exponent, or in a function of angles or growth."""
    return any(
        isinstance(part, Op)
        and (
            name in symbols(part.args[-1])
            if part.name == "pow"
            else part.name in _GROWING and name in symbols(part)
        )
        for part in walk(node)
    )


def _span(node: Node, name: str, constants: list[str]) -> tuple[Row, list[Row]] | None:
    """The values without constants, and what each adds; None where the node is not linear in them."""
    places = [mpmath.mpf(3 * index + 2) / 7 for index in range(PLACES)]

    def at(chosen: dict[str, Any]) -> Row | None:
        found = [numeric._attempt(node, {name: place} | chosen) for place in places]
        known = not any(isinstance(one, numeric.NoValue) or not mpmath.isfinite(one) for one in found)
        return found if known else None

    nothing = dict.fromkeys(constants, mpmath.mpf(0))
    start = at(nothing)
    mixed = at({constant: mpmath.mpf(2 * index + 3) for index, constant in enumerate(constants)})
    alone = [at(nothing | {constant: mpmath.mpf(1)}) for constant in constants]
    known = [row for row in alone if row is not None]
    if start is None or mixed is None or len(known) < len(alone):
        return None
    basis = [[one - without for one, without in zip(row, start, strict=True)] for row in known]
    for index, place in enumerate(mixed):
        linear = start[index] + sum((2 * number + 3) * row[index] for number, row in enumerate(basis))
        if abs(place - linear) > mpmath.mpf(10) ** -25 * (1 + abs(place)):
            return None
    return start, basis


def _rank(rows: list[Row]) -> int:
    """How many rows are independent, by elimination."""
    left, found = list(rows), 0
    scale = max((abs(one) for row in rows for one in row), default=mpmath.mpf(0))
    for column in range(PLACES):
        pivot = max(left, key=lambda row: abs(row[column]), default=None)
        if pivot is None or abs(pivot[column]) <= scale * mpmath.mpf(10) ** -25:
            continue
        left = [
            [one - row[column] / pivot[column] * two for one, two in zip(row, pivot, strict=True)]
            for row in left
            if row is not pivot
        ]
        found += 1
    return found
