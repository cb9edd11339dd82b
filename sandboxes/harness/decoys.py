"""Values among which the one that a test compares with cannot be told.

An object may be equal to plain data (`Money(5) == 5`), and what it is equal to its own class says: with the
expected value at hand. So it is asked about many values, one after another: to say yes to that one alone it
has to know it by itself, or to guess one in `MANY`. The values differ from each other as they do from the
expected one, which is not in their middle.
"""

from __future__ import annotations

import decimal
import fractions
import math
import random
import string

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from typing import Any

MANY = 50
LETTERS = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
PLACES = 3


def among(value: Any) -> list[Any]:
    """`MANY` values in random order, of which one is `value` itself; empty where there are not so many."""
    rng = random.SystemRandom()  # which neither tests nor candidate can have seeded
    found: list[Any] = []
    for other in variants(value, rng):
        if other != value and other not in found:
            found.append(other)
    if len(found) < MANY - 1:
        return []
    found = [*found[: MANY - 1], value]
    rng.shuffle(found)
    return found


def variants(value: Any, rng: random.Random) -> list[Any]:
    """Values like this one."""
    kind = type(value)
    if kind is int or kind is float:
        return numbers(value, rng)
    if kind is str:
        return texts(value, rng)
    if kind is bytes:
        return [text.encode("latin-1") for text in texts(value.decode("latin-1"), rng)]
    if kind in (list, tuple, set, frozenset):
        return [kind(held) for held in sequences(list(value), rng)]
    if kind is dict:
        return [dict(zip(value or "a", held, strict=True)) for held in sequences(list(value.values()), rng)]
    return []


def numbers(value: float, rng: random.Random) -> list[float]:
    """As round as the number is, which may be anywhere among them."""
    if value.bit_length() > 4000 if type(value) is int else not math.isfinite(value):
        return []
    exact = fractions.Fraction(repr(value))
    zeros = len(str(value)) - len(str(value).rstrip("0")) if type(value) is int and value else 0
    point = decimal.Decimal(repr(value)).normalize().as_tuple().exponent if type(value) is float else zeros
    offsets = rng.sample(range(4 * MANY), MANY)
    unit = fractions.Fraction(10) ** int(point)
    return [type(value)(exact + (offset - offsets[0]) * unit) for offset in offsets]


def texts(value: str, rng: random.Random) -> list[str]:
    """With other letters in the same few places; any short ones where it is short."""
    if len(value) < 2:
        return ["".join(rng.choices(LETTERS[1], k=rng.randint(0, 2))) for _ in range(4 * MANY)]
    places = rng.sample(range(len(value)), min(PLACES, len(value)))
    found: list[str] = []
    for _ in range(4 * MANY):
        made = list(value)
        for place in places:
            kinds = [letters for letters in LETTERS if value[place] in letters]
            made[place] = rng.choice(kinds[0] if kinds else LETTERS[1])
        found.append("".join(made))
    return found


def sequences(held: list[Any], rng: random.Random) -> list[list[Any]]:
    """With other items in one place; of one item where there is none."""
    if not held:
        return [[other] for other in numbers(1, rng)]
    for place in rng.sample(range(len(held)), len(held)):
        if found := variants(held[place], rng):
            return [[*held[:place], other, *held[place + 1 :]] for other in found]
    return []
