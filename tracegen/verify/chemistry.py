r"""Chemical formulas and reactions: `Fe_2O_3`, `\ce{2H2 + O2 -> 2H2O}`, as they are counted, not computed.

Two formulas are the same where they are written with the same elements, counts and charges in the same order;
two reactions where each side has the same terms, in any order.
"""

from __future__ import annotations

import re
from collections import Counter

from tracegen.verify.vocabulary import listed

_ELEMENTS = listed(
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb "
    "Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf "
    "Ta W Re Os Ir Pt Au Hg Tl Pb Bi Th U Pu"
)
_ARROW = re.compile(
    r"\\(?:x|long)?(?:rightleftharpoons|(?:left)?rightarrow)(?![a-z])(?:\[\])?(?:\{\})?|\\to\b|-+>|→|⟶|⇌|<=>"
)
_WRAPPED = re.compile(r"\\(?:ce|text|mathrm|mathsf|mathbf|rm|textbf)\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_TERM = re.compile(
    r"(\d*)((?:[A-Z][a-z]?\d*|[(\[](?:[A-Z][a-z]?\d*)+[)\]]\d*)+)(?:\^?(\d*[+-]))?(?:\((?:s|l|g|aq)\))?"
)
_COUNTED = re.compile(r"[A-Z][a-z]?\d|\)\d")
"""A count behind an element as no product is written: `NO2`."""
MAX_CHARACTERS = 400
Side = Counter[tuple[str, str, str]]
"""Terms: coefficient, formula, charge."""


def read(text: str) -> list[Side] | None:
    """The two sides of a reaction, whatever its arrow, or one side with one formula; None for other texts."""
    if len(text) > MAX_CHARACTERS or not re.search(r"[A-Z]", text):
        return None
    plain = text.strip().strip("$").strip().rstrip(".")
    for _ in range(3):
        plain = _WRAPPED.sub(r"\1", plain)
    sides = [_side(part) for part in _ARROW.split(plain)]
    known = [side for side in sides if side is not None]
    if len(known) < len(sides) or len(sides) > 2 or (len(sides) == 1 and sum(known[0].values()) > 1):
        return None
    return known


def _side(text: str) -> Side | None:
    """`2 H_2 + O_2` term by term."""
    compact = re.sub(r"\\[,;:! ]|[\s_{}~]|\\(?:cdot|left|right)(?![a-z])", "", text)
    terms = [_TERM.fullmatch(term) for term in re.split(r"(?<!\^)(?<!\^\d)\+(?=[\dA-Z(\[])", compact)]
    found: Side = Counter()
    for term in terms:
        if term is None or not _ELEMENTS.issuperset(re.findall(r"[A-Z][a-z]?", term[2])):
            return None
        found["" if term[1] == "1" else term[1], term[2], term[3] or ""] += 1
    return found


def same(first: str, second: str) -> bool | None:
    """Whether two texts are one formula or one reaction; None where one is neither, or a product."""
    left, right = read(first), read(second)
    if left is None or right is None or len(left) != len(right):
        return None
    if left == right:
        return True
    counted = all(_COUNTED.search(text) for text in (first, second))
    charges = [{term[2] for term in side[0]} for side in (left, right)]
    return False if len(left) == 2 or counted or charges[0] != charges[1] else None
