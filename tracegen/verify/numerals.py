"""Numbers as they are written: decimals of any length, scientific and repeating ones, digits in a base."""

from __future__ import annotations

import re
from fractions import Fraction

from tracegen.verify.tree import Based, Node, Num, Unreadable

MAX_DIGITS = 20_000
"""Digits of one number."""


def number(text: str) -> Num:
    """A plain decimal; exact, whatever its length up to MAX_DIGITS."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if len(digits) > MAX_DIGITS:
        raise Unreadable("a number of too many digits")
    value = Fraction(integer(digits), 10 ** len(fraction)) if fraction else Fraction(integer(digits))
    return Num(value, len(fraction) if fraction else -1, len(digits.lstrip("0")))


def integer(digits: str) -> int:
    """`int(digits)` for any length: Python refuses more than 4,300 at once."""
    if len(digits) <= 4000:
        return int(digits or "0")
    half = len(digits) // 2
    power: int = 10**half
    return integer(digits[:-half]) * power + integer(digits[-half:])


def scientific(text: str) -> Num:
    """The number written as `1.5e3`. Raises Unreadable for an exponent that is too large."""
    mantissa, _, exponent = text.lower().partition("e")
    power = int(exponent[:8])
    if abs(power) > MAX_DIGITS:
        raise Unreadable("an exponent that is too large")
    base = number(mantissa.rstrip("."))
    return Num(
        base.value * Fraction(10) ** power,
        max(0, base.decimals) - power if base.decimals > 0 else -1,
        base.significant,
    )


def repeating(text: str) -> Num:
    """`0.1\\overline{6}`, `0.1(6)`, `0.\\dot{3}`, `0.1\\dot{2}3\\dot{4}`, `0.333...`."""
    head = re.match(r"(\d*)\.(\d*)", text)
    assert head is not None  # noqa: S101 - the token's pattern begins like this
    whole, fixed = head[1], head[2]
    period = "".join(re.findall(r"\d+", text[head.end() :]))
    if not period:
        repeated = re.search(r"(\d{1,6}?)\1{2,}\d*\Z|(\d)\2+\Z", fixed)
        if repeated is None or len(fixed) < 3:
            return number(text.rstrip(".…").removesuffix("\\dots").rstrip("."))
        period = repeated[1] or repeated[2]
        fixed = fixed[: repeated.start()]
    if len(whole) + len(fixed) + len(period) > 2000:
        raise Unreadable("a number of too many digits")
    value = Fraction(int(whole + fixed or "0"), 10 ** len(fixed))
    return Num(value + Fraction(int(period), 10 ** len(fixed) * (10 ** len(period) - 1)))


def lettered(text: str) -> Based:
    """`1A_{16}`, `(BC)_{13}`, `0xFF`: digits beyond nine. Raises Unreadable for one that the base has not."""
    digits, _, base = re.sub(r"[\s{}()]", "", text).partition("_")
    size = int(base) if base else 16
    try:
        return Based(Fraction(int(digits.lower().removeprefix("0x"), size)), size)
    except ValueError as error:
        raise Unreadable(f"digits that base {size} does not have") from error


_BASES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twelve": 12, "sixteen": 16,
}  # fmt: skip


def based(node: Num, base: str) -> Node:
    """A number whose digits are to be read in `base`, given in digits or words."""
    size = (
        int(base)
        if re.fullmatch(r"\d{1,2}", base)
        else _BASES.get(base.lower().removeprefix("base").strip(), 0)
    )
    if not 2 <= size <= 36 or node.decimals >= 0 or node.value.denominator != 1 or node.significant > 4000:
        raise Unreadable("digits in no base")
    if size == 10:
        return Num(node.value, node.decimals, node.significant)
    digits = str(node.value.numerator)
    if any(int(digit) >= size for digit in digits):
        raise Unreadable(f"digits that base {size} does not have")
    return Based(Fraction(int(digits, size)), size)
