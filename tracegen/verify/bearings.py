"""Directions on a map: `30° north of east`, `N 60° E`, `northwest`, as degrees from north, clockwise."""

from __future__ import annotations

import re
from fractions import Fraction

from tracegen.verify.latex import clean

_AT = {"north": 0, "east": 90, "south": 180, "west": 270}
_POINTS = _AT | {"northeast": 45, "southeast": 135, "southwest": 225, "northwest": 315}
_SIDE = "(north|east|south|west)(?:ward|wards|erly|ern)?"
_NUMBER = r"(\d{1,3}(?:\.\d+)?) ?(?:degrees?|deg)"
_OF = re.compile(rf"(?:at |is |an angle of )*{_NUMBER} (?:to the )?{_SIDE} (?:of|from) (?:due )?{_SIDE}")
_BETWEEN = re.compile(rf"([ns])(?:orth|outh)? ?{_NUMBER} ?([ew])(?:ast|est)?")
_POINT = re.compile(r"(?:due )?(north|south|east|west)(?:[ -]?(east|west))?(?:ward|wards|erly|ern)?")
_LEADING = re.compile(
    r"(?:(?:in |is )?the )?(?:direction|bearing|heading)(?: of| is| =|:)? ?|towards? (?:the )?"
)
MAX_CHARACTERS = 80


def read(text: str) -> Fraction | None:
    """Degrees from north, clockwise, from 0 to below 360; None where the text is no direction in words.

    The first word of `30° north of east` says where one turns to, the second from where.
    """
    if len(text) > MAX_CHARACTERS or not re.search(r"[NSEWnsew]", text):
        return None
    plain = re.sub(r"\\(?:text|mathrm|textbf)\s*\{([^{}]*)\}|\$", r" \1 ", clean(text))
    plain = re.sub(r"\^?\s*\{?\s*(?:°|\\circ)\s*\}?", " degrees ", plain)
    plain = _LEADING.sub("", " ".join(plain.lower().split()).strip(" ."), count=1)
    if found := _OF.fullmatch(plain):
        degrees, to, start = Fraction(found[1]), _AT[found[2]], _AT[found[3]]
    elif found := _BETWEEN.fullmatch(plain):
        degrees = Fraction(found[2])
        to, start = _AT["east" if found[3] == "e" else "west"], _AT["north" if found[1] == "n" else "south"]
    elif found := _POINT.fullmatch(plain):
        place = _POINTS.get(found[1] + (found[2] or ""))
        return None if place is None else Fraction(place)
    else:
        return None
    if (to - start) % 180 != 90 or degrees > 90:
        return None
    return (start + degrees * (1 if (to - start) % 360 == 90 else -1)) % 360


def same(first: str, second: str) -> bool | None:
    """Whether two texts are one direction; None where one is none."""
    left, right = read(first), read(second)
    return None if left is None or right is None else left == right
