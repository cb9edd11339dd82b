"""Units of measurement: names, sizes and dimensions, and reading a product of them.

`read("km/h")` gives a size in base units and the dimension as a tuple of (base, power). Words that are
not units (apples, students) are none: they are kept as text and never compared as measures.
Temperatures have no common base here; `measures` converts them, as their zeros differ.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from tracegen.data import Struct
from tracegen.verify.vocabulary import listed

Dimension = tuple[tuple[str, int], ...]


class Unit(Struct, frozen=True):
    """A product of units: `size` times the base units in `dimension`, which is sorted by name."""

    size: Fraction
    dimension: Dimension


_BASES = """
    length    m 1 meter 1 metre 1 cm 1/100 centimeter 1/100 centimetre 1/100 mm 1/1000 millimeter 1/1000
    length    millimetre 1/1000 dm 1/10 decimeter 1/10 km 1000 kilometer 1000 kilometre 1000 nm 1/1000000000
    length    in 127/5000 inch 127/5000 inches 127/5000 ft 381/1250 foot 381/1250 feet 381/1250
    length    yd 1143/1250 yard 1143/1250 mi 201168/125 mile 201168/125
    mass      g 1 gram 1 gramme 1 kg 1000 kilogram 1000 kilo 1000 mg 1/1000 milligram 1/1000 ton 1000000
    mass      tonne 1000000 lb 45359237/100000 lbs 45359237/100000 pound 45359237/100000
    mass      oz 45359237/1600000 ounce 45359237/1600000
    time      s 1 sec 1 second 1 ms 1/1000 millisecond 1/1000 min 60 minute 60 h 3600 hr 3600 hour 3600
    time      day 86400 week 604800 month 2629746 year 31556952 yr 31556952
    dollar    $ 1 dollar 1 usd 1 buck 1 cent 1/100 ¢ 1/100
    euro      € 1 euro 1 eur 1
    sterling  £ 1 gbp 1 pence 1/100
    yuan      yuan 1 ¥ 1 rmb 1 cny 1
    rupee     ₹ 1 rupee 1 rs 1
    time      microsecond 1/1000000 decade 315569520 century 3155695200 centurie 3155695200 fortnight 1209600
    length    micrometer 1/1000000 micron 1/1000000
    current   amp 1 ampere 1 a 1
    kelvin    kelvin 1 k 1
    amount    mol 1 mole 1
    celsius   celsius 1 °c 1
    fahrenheit fahrenheit 1 °f 1
    angle     ° 1 degree 1 deg 1 arcminute 1/60
    ohm       ohm 1 ω 1 omega 1 kω 1000
    bit       bit 1 byte 8 kb 8000 mb 8000000 gb 8000000000
"""
"""A kind of measure, then names with their sizes in its base unit."""

_DERIVED = """
    length^3                            l 1/1000 liter 1/1000 litre 1/1000 ml 1/1000000 milliliter 1/1000000
    length^3                            millilitre 1/1000000 cc 1/1000000
    length^2                            hectare 10000 acre 316160658/78125
    length^1,time^-1                    mph 1397/3125 kph 5/18 kmh 5/18
    length^1,mass^1,time^-2             n 1000 newton 1000
    length^2,mass^1,time^-2             j 1000 joule 1000 kj 1000000
    length^2,mass^1,time^-3             w 1000 watt 1000 kw 1000000
    length^-1,mass^1,time^-2            pa 1000 pascal 1000
    length^3                            gallon 473176473/125000000000 gal 473176473/125000000000
    length^3                            quart 473176473/500000000000 pint 473176473/1000000000000
    length^2,mass^1,time^-2             wh 3600000 kwh 3600000000 mwh 3600000000000
    length^2,mass^1,time^-2             cal 4184 calorie 4184 kcal 4184000
    length^2,mass^1,time^-2             ev 1602176634/10000000000000000000000000
    length^-1,mass^1,time^-2            atm 101325000
    current^1,time^1                    coulomb 1 c 1
    current^-1,mass^1,time^-2           tesla 1000
    current^2,length^-2,mass^-1,time^4  farad 1/1000
    current^-2,length^2,mass^1,time^-2  henry 1000
    time^-1                             hz 1 hertz 1
    current^-1,length^2,mass^1,time^-3  v 1000 volt 1000
"""
"""A dimension, then names with their sizes."""


_PREFIXES = {
    "p": Fraction(1, 10**12), "n": Fraction(1, 10**9), "µ": Fraction(1, 10**6), "μ": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "c": Fraction(1, 100), "h": Fraction(100), "k": Fraction(1000), "M": Fraction(10**6),
    "G": Fraction(10**9), "T": Fraction(10**12),
}  # fmt: skip
_PREFIXED = (
    ("Hz Pa J W V eV mol", "n µ μ m h k M G T"), ("N A", "n µ μ m k"),
    ("m g s l L", "n µ μ m"), ("L l mol", "c k"),
)  # fmt: skip
"""Symbols, and the prefixes that they are written with: `MG` is more often a slip, and `2MN` a length."""


def _table() -> dict[str, tuple[Fraction, Dimension]]:
    known: dict[str, tuple[Fraction, Dimension]] = {}
    for line in (_BASES + _DERIVED).splitlines():
        kind, *rest = line.split() or [""]
        powers = [part.partition("^") for part in kind.split(",")]
        dimension = tuple((name, int(power or 1)) for name, _, power in powers)
        for name, size in zip(rest[::2], rest[1::2], strict=True):
            known[name] = Fraction(size), dimension
    return known


_KNOWN = _table()
_CAPITAL = (("F", "farad", "p n µ μ m"), ("T", "tesla", "n µ μ m"), ("H", "henry", "n µ μ m"))
"""Symbols whose small letters mean something else, and their units."""
_BY_SYMBOL = {
    prefix + symbol: (_PREFIXES[prefix] * _KNOWN[name][0], _KNOWN[name][1])
    for symbol, name, prefixes in (
        *(
            (symbol, symbol.lower(), prefixes)
            for symbols, prefixes in _PREFIXED
            for symbol in symbols.split()
        ),
        *_CAPITAL,
    )
    for prefix in prefixes.split()
}
"""Size and dimension of `kHz`, `MPa`, `mmol`; in this case only, as `mW` is not `MW`."""
MIXED_CASE = listed("kJ mL kW kWh kHz MHz GHz kPa MPa mA kB km Hz Pa kN mV kV dL hPa keV MeV GeV")
"""Units that are written so; `mM` is a product."""
SIGNS = frozenset("$€£¥₹¢°")
_TOKEN = re.compile(
    r"\s*(?:(\^?\{?\s*([-+]?\s?\d)\s*\}?)|([/*·]|\\?(?:cdot|times)\b)|([A-Za-z]+|[$€£¥₹¢°]\s?[CF]?)|(.))"
)
POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cubed": 3, "cu": 3}


def known(word: str) -> tuple[Fraction, Dimension] | None:
    """Size and dimension of one unit's name, singular or plural, in any case but that of `mW` and `MW`."""
    if word in _BY_SYMBOL:
        return _BY_SYMBOL[word]
    word = word.lower().replace(" ", "")
    for name in (word, word.removesuffix("s"), word.removesuffix("es")):
        if name in _KNOWN and (len(word) > 2 or name == word):
            return _KNOWN[name]
    return None


@lru_cache(maxsize=4096)
def read(text: str) -> Unit | None:
    """The unit that all of `text` spells, or None; `square feet`, `m/s^2`, `miles per hour`."""
    size, powers = Fraction(1), dict[str, int]()
    sign, ahead, last = 1, 1, ""
    for token in _TOKEN.finditer(text.strip().rstrip(".")):
        power, digit, operator, word, other = token[1], token[2], token[3], token[4], token[5]
        if other and other.strip() and other not in "().":
            return None
        if power and last:
            size = _multiply(size, powers, last, sign * (int(digit.replace(" ", "")) - 1))
        elif power:
            return None
        elif operator == "/" or (word and word.lower() in ("per", "an", "a", "each") and last):
            sign = -1
        elif word and word.lower() in POWERS:
            power_of = POWERS[word.lower()]
            if word.lower().endswith("ed") and last:
                size = _multiply(size, powers, last, sign * (power_of - 1))
            else:
                ahead = power_of
        elif word:
            if known(word) is None:
                return None
            size, last = _multiply(size, powers, word, sign * ahead), word
            ahead = 1
    dimension = tuple(sorted((name, power) for name, power in powers.items() if power))
    return Unit(size=size, dimension=dimension) if last and dimension else None


def _multiply(size: Fraction, powers: dict[str, int], word: str, power: int) -> Fraction:
    """Multiply in `word` to `power`: the powers in place, the size returned."""
    found = known(word)
    if found is None or abs(power) > 9:
        return size
    for name, own in found[1]:
        powers[name] = powers.get(name, 0) + own * power
    return size * found[0] ** power
