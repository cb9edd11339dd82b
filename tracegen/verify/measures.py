"""Values with a unit: measures, money, percents, angles, counted things.

Units are compared and converted. A unit, sign of money or percent sign on one side only is equal as far as
these rules go, and says so (`unit_missing`): the recipe decides. Different counted things (`12 students`,
`12 people`) are accepted with weak trust. Degrees equal their radians, and a
bare number of degrees.
"""

from __future__ import annotations

import re
from fractions import Fraction

from tracegen.verify import exact, units, words
from tracegen.verify.decision import Compare, Decision
from tracegen.verify.terms import compare_terms
from tracegen.verify.tree import Group, Matrix, Node, Num, Op, Quantity, Rel, Seq, SetOf, Sym, symbols
from tracegen.verify.vocabulary import DENIALS

ANGLE: units.Dimension = (("angle", 1),)
MOLAR: units.Dimension = (("amount", 1), ("length", -3))
"""Of `mol/L`, for which `M` is written; by itself that is a metre in capitals."""
_TO_KELVIN: dict[units.Dimension, tuple[Fraction, Fraction]] = {
    (("kelvin", 1),): (Fraction(0), Fraction(1)),
    (("celsius", 1),): (Fraction("273.15"), Fraction(1)),
    (("fahrenheit", 1),): (Fraction("459.67"), Fraction(5, 9)),
}
"""What is added to a temperature, and what the sum is multiplied by, to have kelvins."""


def is_measured(node: Node) -> bool:
    """The answer has a unit or a percent sign."""
    match node:
        case Quantity() | Op(name="percent") | Op(name="neg", args=(Quantity(),)):
            return True
        case _:
            return False


def _parts(node: Node) -> tuple[Node, str]:
    """A value and its unit; `%` is one."""
    match node:
        case Quantity(value=inner, unit=unit):
            return inner, unit
        case Op(name="percent", args=(inner,)):
            return inner, "%"
        case Op(name="neg", args=(Quantity(value=inner, unit=unit),)):
            return Op("neg", (inner,)), unit
        case _:
            return node, ""


def compare_measures(reference: Node, answer: Node, compare: Compare) -> Decision | None:
    """Values with units, converted before they are compared; None where they are no single values."""
    if any(isinstance(side, Group | Seq | SetOf | Rel | Matrix) for side in (reference, answer)):
        return None
    (first, one), (second, other) = _parts(reference), _parts(answer)
    if "%" in (one, other) and not words.opposite(one, other):
        return _percents(reference, answer, first, second, one, other, compare)
    if _RADIANS.fullmatch(one) or _RADIANS.fullmatch(other):
        return _in_radians(first, second, one, other, compare)
    units_read = units.read(one), units.read(other)
    angles = [unit is not None and unit.dimension == ANGLE for unit in units_read]
    if any(angles) and all(angle or not unit for angle, unit in zip(angles, (one, other), strict=True)):
        return _angles(first, second, one, other, compare)
    if {one.lower().rstrip("s"), other.lower().rstrip("s")} == {"£", "pound"}:
        return compare(first, second)
    if "M" in (one, other) and any(unit is not None and unit.dimension == MOLAR for unit in units_read):
        one, other = ("mol/L" if unit == "M" else unit for unit in (one, other))
        units_read = units.read(one), units.read(other)
    if units_read[0] is not None and units_read[1] is not None:
        scales = [_TO_KELVIN.get(unit.dimension) for unit in units_read if unit is not None]
        if units_read[0].dimension != units_read[1].dimension and all(scales):
            return compare(*(_in_kelvin(*part) for part in zip((first, second), scales, strict=True)))
        if units_read[0].dimension != units_read[1].dimension:
            return Decision(equal=False, why=f"{one} against {other}")
        if units_read[0].size == units_read[1].size:
            return compare(first, second)
        return compare(scaled(first, units_read[0].size), scaled(second, units_read[1].size))
    if (units_read[0] is None) != (units_read[1] is None):
        written = _with_symbols(reference, units_read[1]), _with_symbols(answer, units_read[0])
        if written != (reference, answer):
            return compare_measures(*written, compare)
    if (
        words.opposite(one, other)
        or _contrary(one, other)
        or any(apart(one, other) for apart in (_rates, _numbered, _inverted))
    ):
        return Decision(equal=False, why=f"{one} against {other}")
    values = compare(first, second)
    if values.equal and (words.normal(one) or one) != (words.normal(other) or other):
        both = bool(one and other)
        why = f"{one or 'no unit'} against {other or 'no unit'}"
        return Decision(equal=True, weak=both, unit_missing=not both, why=why)
    return values


def _contrary(one: str, other: str) -> bool:
    """Whether only one of two units is denied, as in `5 is not the answer`, or they have different powers."""
    said = [words.normal(unit).split() for unit in (one, other)]
    powers = [{units.POWERS[word] for word in side if word in units.POWERS} for side in said]
    return [word for word in said[0] if word in DENIALS] != [word for word in said[1] if word in DENIALS] or (
        all(powers) and powers[0] != powers[1]
    )


def _inverted(one: str, other: str) -> bool:
    """Whether a rate is turned upside down: `students per teacher`, `teachers per student`."""
    sides = [[word.removesuffix("s") for word in words.normal(unit).split(" per ")] for unit in (one, other)]
    return len(sides[0]) == 2 and sides[0] == sides[1][::-1] and sides[0] != sides[1]


def _numbered(one: str, other: str) -> bool:
    """Whether both units have numbers, and not the same: `5 cm by 7 cm`, `units^2`."""
    found = re.findall(r"\d+", one), re.findall(r"\d+", other)
    return all(found) and found[0] != found[1]


def _rates(one: str, other: str) -> bool:
    """Whether two rates are of different units, as in `apples per day` against `apples per week`."""
    below = [found and units.read(found[1]) for found in (_PER.search(one), _PER.search(other))]
    return None not in below and below[0] != below[1]


_PER = re.compile(r"(?:\b(?:per|each|every|an?)\s|/)\s*(\S.*)", re.IGNORECASE)


def _percents(
    reference: Node, answer: Node, first: Node, second: Node, one: str, other: str, compare: Compare
) -> Decision:
    if one == other:
        return compare(first, second)
    plain = compare_terms(reference if one in ("", "%") else first, answer if other in ("", "%") else second)
    if plain.equal:
        return plain
    bare = compare(first, second)
    known = exact.plain_value(first)
    if (
        bare.equal and not (one and other) and (known is None or abs(known) >= 1)
    ):  # 0.5 is no short form of 0.5 %
        return Decision(equal=True, unit_missing=True, why="a percent sign on one side")
    return plain


_RADIANS = re.compile(r"rads?|radians?", re.IGNORECASE)


def _in_radians(first: Node, second: Node, one: str, other: str, compare: Compare) -> Decision:
    """Radians are plain numbers; degrees beside them are not."""
    plain = [
        Quantity(side, "°") if unit == "°" or unit.lower().startswith("deg") else side
        for side, unit in ((first, one), (second, other))
    ]
    if any(
        unit and not _RADIANS.fullmatch(unit) and side == bare
        for unit, side, bare in ((one, plain[0], first), (other, plain[1], second))
    ):
        return Decision(equal=False, why=f"{one} against {other}")
    return compare_terms(*plain) if any(isinstance(side, Quantity) for side in plain) else compare(*plain)


def _angles(first: Node, second: Node, one: str, other: str, compare: Compare) -> Decision:
    """Degrees against degrees, against radians, or against the bare number of degrees."""
    values = compare(first, second)
    if values.equal:
        return Decision(equal=True, unit_missing=not (one and other))
    if one and other:
        return values
    return compare_terms(Quantity(first, "°") if one else first, Quantity(second, "°") if other else second)


def _in_kelvin(node: Node, scale: tuple[Fraction, Fraction] | None) -> Node:
    """A temperature on the scale that begins at absolute zero."""
    added, size = scale or (Fraction(0), Fraction(1))
    return scaled(Op("add", (node, Num(added))) if added else node, size)


def scaled(node: Node, size: Fraction) -> Node:
    """A value times the size of its unit."""
    return node if size == 1 else Op("mul", (node, Num(size)))


# --- units that were read as symbols ---------------------------------------------------------------


def _with_symbols(node: Node, other: units.Unit | None) -> Node:
    """`10 m/s` whose letters were read as symbols, where the other side has a unit: a quantity."""
    if other is None or isinstance(node, Quantity) or not isinstance(node, Op):
        return node
    spelled = _spelled(node)
    if spelled is not None and spelled[1] == "M" and other.dimension == MOLAR:
        return Quantity(spelled[0], "mol/L")
    if spelled is None or not spelled[1] or units.read(spelled[1]) is None:
        return node
    return Quantity(spelled[0], spelled[1])


def _spelled(node: Node) -> tuple[Node, str] | None:
    """A product of one number and symbols as the number and the text of its unit; None for anything else."""
    match node:
        case Op() | Num() if not symbols(node):
            return node, ""
        case Sym(name=name):
            return Num(Fraction(1)), name
        case Op(name="neg", args=(inner,)):
            parts = _spelled(inner)
            return None if parts is None else (Op("neg", (parts[0],)), parts[1])
        case Op(name="pow", args=(Sym(name=name), Num(value=power))):
            return Num(Fraction(1)), f"{name}^{power}"
        case Op(name="div", args=(above, below)) if isinstance(below, Sym | Op):
            top, bottom = _spelled(above), _spelled(below)
            return None if top is None or bottom is None else (top[0], f"{top[1]}/{bottom[1]}")
        case Op(name="mul", args=args):
            return _product([_spelled(one) for one in args])
        case _:
            return None


def _product(factors: list[tuple[Node, str] | None]) -> tuple[Node, str] | None:
    """Up to three numbers, and units, multiplied."""
    known = [factor for factor in factors if factor is not None]
    numbers = [number for number, unit in known if not unit] or [Num(Fraction(1))]
    if len(known) < len(factors) or len(numbers) > 3:
        return None
    number = numbers[0] if len(numbers) == 1 else Op("mul", tuple(numbers))
    return number, " ".join(unit for _, unit in known if unit)
