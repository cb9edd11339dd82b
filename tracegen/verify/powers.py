"""Numbers that are too large to be computed, as products of powers: 9^(9^9) is 3^(2 * 9^9).

Their exponents are computed, they are not. A product of rational powers of integers above 1 that have no
common divisors is 1 only where every exponent is 0 (each prime divides one of them alone), so this is exact.
"""

from __future__ import annotations

import math
from fractions import Fraction

from tracegen.verify import exact
from tracegen.verify.tree import Node, Num, Op

MAX_BASES = 30
EXPONENT_BITS = 200_000

Powers = dict[int, Fraction]
"""Exponents by base; bases are integers above 1, and -1 with an exponent of 1."""


def same(first: Node, second: Node) -> bool | None:
    """Whether both have the same value; None where one is no product of powers of a size to be computed."""
    try:
        left, right = _powers(first), _powers(second)
    except exact.TooLarge:
        return None
    if left is None or right is None or len(left) + len(right) > MAX_BASES:
        return None
    if left.pop(-1, None) != right.pop(-1, None):
        return False
    return not any(_coprime(_product(left, _raised(right, Fraction(-1)))).values())


def _powers(node: Node) -> Powers | None:
    match node:
        case Num(value=number) if number:
            sign = {-1: Fraction(1)} if number < 0 else {}
            parts = {abs(number.numerator): Fraction(1), number.denominator: Fraction(-1)}
            return sign | {base: power for base, power in parts.items() if base > 1}
        case Op(name="neg", args=(arg,)):
            inner = _powers(arg)
            return None if inner is None else _product(inner, {-1: Fraction(1)})
        case Op(name="mul" | "div" as name, args=(first, *rest)):
            product = _powers(first)
            for arg in rest:
                factor = _powers(arg)
                if product is None or factor is None:
                    return None
                product = _product(product, factor if name == "mul" else _raised(factor, Fraction(-1)))
            return product
        case Op(name="pow", args=(base, power)):
            inner, exponent = _powers(base), exact.value(power, EXPONENT_BITS)
            if inner is None or exponent is None or (-1 in inner and exponent.denominator != 1):
                return None
            return _raised(inner, exponent)
        case Op(name="sqrt" | "root", args=args):
            inner, degree = _powers(args[0]), exact.value(args[1]) if len(args) == 2 else Fraction(2)
            if inner is None or -1 in inner or degree is None or degree <= 0:
                return None
            return _raised(inner, 1 / degree)
        case _:
            return None


def _product(first: Powers, second: Powers) -> Powers:
    sums = {base: first.get(base, Fraction(0)) + second.get(base, Fraction(0)) for base in first | second}
    if -1 in sums:
        sums[-1] %= 2
    return {base: power for base, power in sums.items() if power}


def _raised(powers: Powers, exponent: Fraction) -> Powers:
    return _product({base: power * exponent for base, power in powers.items()}, {})


def _coprime(powers: Powers) -> Powers:
    """The same product over bases without common divisors."""
    todo, done = list(powers.items()), Powers()
    while todo:
        base, power = todo.pop()
        for other in done:
            if (common := math.gcd(base, other)) > 1:
                held = done.pop(other)
                todo += [(common, power + held), (base // common, power), (other // common, held)]
                break
        else:
            if base > 1:
                done[base] = power
    return done
