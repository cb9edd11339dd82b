"""Exact rational values of trees, and what equality means for numbers that were written as decimals.

Everything here is integer arithmetic: 1/2^99 is not 1/2^98. Work is refused by size before it is done:
a value of more than `bits` bits, or a factorial or binomial of a large argument, is `TooLarge`.

Decimals. A reference with at least three significant digits and a fractional part that is not zero
was rounded, as far as we can know: an answer is equal to it if it lies within half a unit of the
reference's last digit (3.1416 and 3.14159; 85.71 and 600/7 where the reference is 85.71). Any other
reference is exact: 0.25 is not 0.252, 2.0 is not 2.04, 1/12 is not 0.0833. One thing is added for
machine output: a decimal with 12 or more digits after the point that agrees in all of them with an exact
reference is equal to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from tracegen.verify.tree import Based, Const, Node, Num, Op, Quantity, Sym, substituted

HOST_BITS = 20_000
"""Size of a value that may be computed outside a worker."""
WORKER_BITS = 4_000_000
MAX_TERMS = 2_000
"""Terms of a sum or factors of a product that are computed."""


class TooLarge(Exception):
    """The value is too large to be computed; the message names what."""


def value(node: Node, bits: int = HOST_BITS) -> Fraction | None:
    """The exact value of `node`, or None where it is not rational by construction. Raises TooLarge."""
    match node:
        case Num(value=number) | Based(value=number):
            return number
        case Op(name="add", args=args):
            return _sum([value(arg, bits) for arg in args], bits)
        case Op(name="neg", args=(arg,)):
            inner = value(arg, bits)
            return None if inner is None else -inner
        case Op(name="mul", args=args):
            return _product([value(arg, bits) for arg in args], bits)
        case Op(name="div", args=(top, bottom)):
            above, below = value(top, bits), value(bottom, bits)
            return None if above is None or not below else above / below
        case Op(name="percent", args=(arg,)):
            inner = value(arg, bits)
            return None if inner is None else inner / 100
        case Op(name="pow", args=(base, exponent)):
            return _power(value(base, bits), value(exponent, bits), bits)
        case Op(name="factorial", args=(arg,)):
            return _factorial(value(arg, bits), bits)
        case Op(name="double factorial", args=(arg,)):
            return _factorial(value(arg, bits), bits, step=2)
        case Op(name="binom", args=(above_node, below_node)):
            return _binomial(value(above_node, bits), value(below_node, bits), bits)
        case Op(name=name, args=args) if name in _SIMPLE:
            values = [value(arg, bits) for arg in args]
            known = [one for one in values if one is not None]
            fits = len(known) == len(values) and (len(known) == 1 or name in _MANY)
            return _SIMPLE[name](*known) if fits else None
        case Op(name="sqrt" | "root", args=args):
            degree = value(args[1], bits) if len(args) == 2 else Fraction(2)
            return _root(value(args[0], bits), degree)
        case Op(name="sum" | "prod" as name, args=(low, high, body, Sym(name=index))):
            return _series(name, value(low, bits), value(high, bits), body, index, bits)
        case Op(name="mod", args=(left, right)):
            first, second = value(left, bits), value(right, bits)
            return None if first is None or not second else first % second
        case _:
            return None


def plain_value(node: Node) -> Fraction | None:
    """`value`, for numbers and terms only. Raises TooLarge."""
    return value(node) if isinstance(node, Num | Op) else None


_MANY = ("max", "min")
_SIMPLE: dict[str, Callable[..., Fraction]] = {
    "abs": abs,
    "floor": lambda number: Fraction(math.floor(number)),
    "ceil": lambda number: Fraction(math.ceil(number)),
    "max": max,
    "min": min,
}


def _size(number: Fraction) -> int:
    return number.numerator.bit_length() + number.denominator.bit_length()


def _sum(parts: list[Fraction | None], bits: int) -> Fraction | None:
    total = Fraction(0)
    for part in parts:
        if part is None:
            return None
        total += part
        if _size(total) > bits:
            raise TooLarge("a sum")
    return total


def _product(parts: list[Fraction | None], bits: int) -> Fraction | None:
    product = Fraction(1)
    for part in parts:
        if part is None:
            return None
        if _size(product) + _size(part) > bits:
            raise TooLarge("a product")
        product *= part
    return product


def _series(
    name: str, low: Fraction | None, high: Fraction | None, body: Node, index: str, bits: int
) -> Fraction | None:
    if low is None or high is None or low.denominator != 1 or high.denominator != 1:
        return None
    if high - low > MAX_TERMS:
        raise TooLarge(f"a {name} of {high - low + 1} terms")
    terms = [
        value(substituted(body, index, Num(Fraction(at))), bits) for at in range(int(low), int(high) + 1)
    ]
    return _sum(terms, bits) if name == "sum" else _product(terms, bits)


def _power(base: Fraction | None, exponent: Fraction | None, bits: int) -> Fraction | None:
    if base is None or exponent is None:
        return None
    if exponent.denominator != 1:
        root = _root(base, Fraction(exponent.denominator))
        return None if root is None else _power(root, Fraction(exponent.numerator), bits)
    if base == 0:
        return None if exponent <= 0 else Fraction(0)
    if abs(base) != 1 and _size(base) * abs(exponent.numerator) > bits:
        raise TooLarge("a power")
    return base ** (exponent.numerator if abs(base) != 1 else exponent.numerator % 2)


def _root(number: Fraction | None, degree: Fraction | None) -> Fraction | None:
    """The real root where it is rational; of a negative number only if the degree is odd."""
    if (
        number is None
        or degree is None
        or degree.denominator != 1
        or not 2 <= degree <= 64
        or _size(number) > 10_000
    ):
        return None
    power = degree.numerator
    if number < 0:
        inner = _root(-number, degree) if power % 2 else None
        return None if inner is None else -inner
    top, bottom = _integer_root(number.numerator, power), _integer_root(number.denominator, power)
    return None if top is None or bottom is None else Fraction(top, bottom)


def _integer_root(number: int, power: int) -> int | None:
    if power == 2:
        root = math.isqrt(number)
        return root if root * root == number else None
    low, high = 0, 1 << (number.bit_length() // power + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**power <= number:
            low = middle
        else:
            high = middle - 1
    return low if low**power == number else None


def _factorial(number: Fraction | None, bits: int, step: int = 1) -> Fraction | None:
    if number is None or number.denominator != 1 or number < 0:
        return None
    if number > 20 and number * number.numerator.bit_length() > bits:
        raise TooLarge("a factorial")
    if step == 1:
        return Fraction(math.factorial(number.numerator))
    return Fraction(math.prod(range(number.numerator, 0, -step)))


def _binomial(above: Fraction | None, below: Fraction | None, bits: int) -> Fraction | None:
    if (
        above is None
        or below is None
        or above.denominator != 1
        or below.denominator != 1
        or above < 0
        or below < 0
    ):
        return None
    smaller = min(below, abs(above - below))
    if smaller * above.numerator.bit_length() > bits:
        raise TooLarge("a binomial coefficient")
    return Fraction(math.comb(above.numerator, below.numerator))


# --- equality --------------------------------------------------------------------------------------


def literal(node: Node) -> tuple[Num, Fraction] | None:
    """A number as it was written, under signs, percents and units, and what one unit of it counts."""
    match node:
        case Num():
            return node, Fraction(1)
        case Op(name="neg", args=(arg,)) | Quantity(value=arg):
            return literal(arg)
        case Op(name="percent", args=(arg,)):
            inner = literal(arg)
            return None if inner is None else (inner[0], inner[1] / 100)
        case Op(name="mul", args=(Num() as mantissa, Op(name="pow", args=(Num(value=ten), exponent)))) if (
            ten == 10
        ):
            power = value(exponent)
            if power is None or power.denominator != 1 or abs(power) > 1000:
                return None
            return mantissa, Fraction(10) ** power.numerator
        case _:
            return None


def tolerance(node: Node) -> Fraction:
    """How far from the value of `node`, a reference, an equal answer may lie; 0 where it is exact."""
    written = literal(node)
    if written is None:
        return Fraction(0)
    number, unit = written
    rounded = number.decimals > 0 and number.significant >= 3 and (number.value.denominator != 1)
    return unit / (2 * 10**number.decimals) if rounded else Fraction(0)


def machine(node: Node) -> Fraction:
    """How far from an exact value a decimal with 12 or more digits after its point may lie; 0 for others."""
    written = literal(node)
    if written is None or written[1] > 1 or written[0].decimals < 12 or written[0].significant < 12:
        return Fraction(0)
    return written[1] / Fraction(10) ** written[0].decimals


def equal(reference: Node, answer: Node, first: Fraction, second: Fraction) -> bool:
    """Whether `second`, the value of `answer`, is that of `reference`."""
    distance = abs(first - second)
    return distance <= tolerance(reference) or (distance > 0 and distance < machine(answer))


def is_infinite(node: Node) -> bool:
    """Plus or minus infinity."""
    match node:
        case Const(name="infinity"):
            return True
        case Op(name="neg", args=(arg,)):
            return is_infinite(arg)
        case _:
            return False
