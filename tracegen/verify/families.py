"""Values that run through all integers, as general solutions do: `±π/3 + 2kπ`, `(-1)^n π/6 + nπ`, `2n + 1`.

The letter that runs is a symbol whose name begins with `WHOLE`. A family is a step and a start, or several
where the value is linear only on the even and on the odd integers. Two lists of families are equal where
they reach the same values: all are brought to one common step, and what is left is compared. Tuples and
intervals that move are compared by the vectors of their steps and starts.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm
from typing import Any

import mpmath

from tracegen.verify import numeric
from tracegen.verify.decision import Decision
from tracegen.verify.names import label, value
from tracegen.verify.tree import Group, Node, Rel, Seq, Sym, symbols

WHOLE = "whole "
MAX_RESIDUES = 240
Family = tuple[Any, Any]
"""A step and a start."""


def runs(node: Node) -> str:
    """The symbol that runs through all integers, where that is the only one; else an empty string."""
    names = symbols(value(node) if label(node) else node)
    return next(iter(names)) if len(names) == 1 and next(iter(names)).startswith(WHOLE) else ""


def compare_families(left: list[Node], right: list[Node]) -> Decision | None:
    """Whether two lists of families reach the same values; None where an item is none."""
    with mpmath.workdps(numeric.DIGITS):
        first, second = _all_families(left), _all_families(right)
        if first is None or second is None:
            return None
        sides = first, second
        unit = sides[0][0][0]
        steps = [_ratio(step / unit) for side in sides for step, _ in side]
        known = [step for step in steps if step]
        if len(known) < len(steps):
            return None
        common = Fraction(
            lcm(*(step.numerator for step in known)), gcd(*(step.denominator for step in known))
        )
        residues = [_residues(side, unit, common) for side in sides]
        if residues[0] is None or residues[1] is None:
            return None
        return Decision(equal=_same(residues[0], residues[1]))


def same_moving(first: Node, second: Node) -> bool:
    """Whether two tuples, intervals or lists of named values move alike with an integer.

    `[kπ - π/3, kπ + π/6]` and `[nπ + 2π/3, nπ + 7π/6]`; `(1 + 3t, 2 - 5t)` and `x = 4 + 3k, y = -3 - 5k`:
    both step by the same vector, forwards or backwards, and start a whole number of steps apart.
    """
    with mpmath.workdps(numeric.DIGITS):
        one, two = _moving(first), _moving(second)
        if one is None or two is None:
            return False
        (brackets, names, left), (others, other_names, right) = one, two
        if names and other_names:
            if set(names) != set(other_names):
                return False
            right = [right[other_names.index(name)] for name in names]
        elif brackets != others or len(left) != len(right):
            return False
        near = mpmath.mpf(10) ** -20
        pairs = list(zip(left, right, strict=True))
        steps = next(
            ((other - start) / step for (step, start), (_, other) in pairs if step), mpmath.mpf("0.5")
        )
        if abs(steps - mpmath.nint(steps)) > near:
            return False
        return any(
            all(
                abs(theirs - sign * step) < near and abs(other - start - step * mpmath.nint(steps)) < near
                for (step, start), (theirs, other) in pairs
            )
            for sign in (1, -1)
        )


def _moving(node: Node) -> tuple[str, list[str], list[Family]] | None:
    """Brackets, names, and step and start of each part; None where a part is not linear in one integer."""
    names: list[str] = []
    match node:
        case Group(items=parts, left=left, right=right):
            brackets = left + right
        case Rel(ops=("=",), sides=(Group(items=called), Group(items=parts))) if len(called) == len(parts):
            brackets, names = "()", [str(name) for name in called]
        case Seq(items=rows) if all(
            isinstance(row, Rel) and row.ops == ("=",) and isinstance(row.sides[0], Sym) for row in rows
        ):
            brackets, names = "()", [str(label(row)) for row in rows]
            parts = tuple(value(row) for row in rows)
        case _:
            return None
    letters = {name for part in parts for name in symbols(part)}
    if len(letters) != 1 or not next(iter(letters)).startswith(WHOLE) or len(set(names)) != len(names):
        return None
    (letter,) = letters
    found: list[Family] = []
    for part in parts:
        at = [numeric._attempt(part, {letter: mpmath.mpf(place)}) for place in range(5)]
        if any(isinstance(one, numeric.NoValue) or mpmath.im(one) or not mpmath.isfinite(one) for one in at):
            return None
        if any(abs(one - at[0] - (at[1] - at[0]) * place) > 1e-30 for place, one in enumerate(at)):
            return None
        found.append((at[1] - at[0], at[0]))
    return brackets, names, found


def _all_families(items: list[Node]) -> list[Family] | None:
    found: list[Family] = []
    for item in items:
        inner = value(item) if label(item) else item
        own = _families(inner, runs(item)) if runs(item) else None
        if own is None:
            return None
        found += own
    return found or None


def _families(node: Node, name: str) -> list[Family] | None:
    """One family where the value is linear in the integer, two where it is so by parity."""
    values = [numeric._attempt(node, {name: mpmath.mpf(at)}) for at in range(-4, 8)]
    if any(isinstance(one, numeric.NoValue) or mpmath.im(one) or not mpmath.isfinite(one) for one in values):
        return None
    for period in (1, 2):
        parts = [values[start::period] for start in range(period)]
        if all(_linear(part) for part in parts):
            return [(part[1] - part[0], part[0]) for part in parts]
    return None


def _linear(values: list[Any]) -> bool:
    step = values[1] - values[0]
    return bool(step) and all(
        abs(one - values[0] - step * index) < mpmath.mpf(10) ** -30 for index, one in enumerate(values)
    )


def _ratio(number: Any) -> Fraction | None:
    near = Fraction(str(mpmath.nstr(abs(number), 30))).limit_denominator(60)
    return near if near and abs(mpmath.mpf(near.numerator) / near.denominator - abs(number)) < 1e-25 else None


def _residues(families: list[Family], unit: Any, common: Fraction) -> list[Any] | None:
    """Starts modulo the common step, in units of the first step, each once, in order."""
    whole = mpmath.mpf(common.numerator) / common.denominator
    found: list[Any] = []
    for step, start in families:
        ratio = _ratio(step / unit)
        count = common / ratio if ratio else Fraction(0)
        if count.denominator != 1 or not 0 < count <= MAX_RESIDUES:
            return None
        for index in range(int(count)):
            place = (start + step * index) / unit
            place -= whole * mpmath.floor(place / whole + mpmath.mpf(10) ** -20)
            if not any(abs(place - other) < mpmath.mpf(10) ** -15 for other in found):
                found.append(place)
    return sorted(found)


def _same(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(
        abs(one - other) < mpmath.mpf(10) ** -15 for one, other in zip(left, right, strict=True)
    )
