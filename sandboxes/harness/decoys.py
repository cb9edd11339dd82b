"""Values among which the one that a test compares with cannot be told.

An object may be equal to plain data (`Money(5) == 5`), and what it is equal to its own class says: with the
expected value at hand. So it is asked about many values, one after another: to say yes to that one alone it
has to know it by itself, or to guess one in `MANY`. The values differ from each other as they do from the
expected one, which is not in their middle.
"""

from __future__ import annotations

import contextlib
import decimal
import fractions
import math
import random
import string

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MANY = 50
FEW = 20
"""As many have to be left where there are no more, such as of the letters."""
LETTERS = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
PLACES = 3
LARGE = 100
"""Items beyond which few are changed."""


def among(value: Any, literals: Iterable[Any] = ()) -> list[Any]:
    """Values of the kind of `value` that differ from it, of those that the tests speak of, too; empty where
    there are too few."""
    rng = random.SystemRandom()  # which neither tests nor candidate can have seeded
    found: list[Any] = []
    for other in variants(value, rng):
        if len(found) < MANY and other != value and other not in found:
            found.append(other)
    if len(found) < FEW:
        return []
    known = [other for other in literals if type(other) is type(value) and differs(other, value)]
    known = [other for other in rng.sample(known, len(known)) if other not in found]
    return [*found[: MANY - 1], *known[:FEW]]


def differs(one: Any, other: Any) -> bool:
    """Not only by the case of its letters."""
    return bool(one != other) and (type(one) is not str or one.casefold() != other.casefold())


def mixed(others: list[Any], value: Any) -> tuple[list[Any], int]:
    """The value in a place among the others that nobody knows; nothing in it stands twice as one object."""
    rng = random.SystemRandom()
    values = [(other, False) for other in others] + [(value, True)]
    rng.shuffle(values)
    return [apart(one) for one, _ in values], [here for _, here in values].index(True)


def apart(value: Any) -> Any:
    """The same value, made of new parts."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return kind([apart(item) for item in value])
    return {apart(key): apart(item) for key, item in value.items()} if kind is dict else value


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
    """Neighbours as round as the number is, which may be anywhere among them."""
    if value.bit_length() > 4000 if type(value) is int else not math.isfinite(value):
        return []
    exact = fractions.Fraction(repr(value))
    zeros = len(str(value)) - len(str(value).rstrip("0")) if type(value) is int and value else 0
    point = decimal.Decimal(repr(value)).normalize().as_tuple().exponent if type(value) is float else zeros
    if type(value) is float and value and abs(value) > 1e-300:
        point = max(int(point), math.floor(math.log10(abs(value))) - 12)  # of 0.1 + 0.2 as well
    unit, own = fractions.Fraction(10) ** int(point), rng.randrange(MANY)
    found = []
    for step in range(MANY):
        with contextlib.suppress(OverflowError):
            found.append(type(value)(exact + (step - own) * unit))
    return found


def texts(value: str, rng: random.Random) -> list[str]:
    """With other letters in the same few places; any short ones where it is short."""
    if not value:
        return ["".join(rng.choices(LETTERS[1], k=rng.randint(1, 2))) for _ in range(4 * MANY)]
    if len(value) == 1:
        own = [letters for letters in LETTERS if value in letters]
        return [letter for letters in (*own, *LETTERS) for letter in rng.sample(letters, len(letters))]
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
    """With other items in one place and in several; of one item where there is none."""
    if not held:
        return [[other] for other in numbers(1, rng)]
    large = len(held) > LARGE
    places = rng.sample(range(len(held)), min(len(held), PLACES if large else LARGE))
    choices = {place: found for place in places if (found := variants(held[place], rng))}
    made: dict[str, list[Any]] = {}
    for _ in range(4 * MANY if choices else 0):
        chosen = rng.sample(list(choices), rng.choice((1, rng.randint(1, len(choices)))))
        changed = {at: rng.choice(choices[at]) for at in chosen}
        made[repr(sorted(changed.items()))] = [changed.get(at, item) for at, item in enumerate(held)]
        if large and len(made) > FEW:
            break
    return [*made.values()]
