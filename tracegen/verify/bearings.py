"""Directions on a map: `30° north of east`, `N 60° E`, `northwest`, as degrees from north, clockwise."""

from __future__ import annotations

import re
from fractions import Fraction

from tracegen.verify.latex import spoken

_AT = {"n": 0, "e": 90, "s": 180, "w": 270}
_POINTS = {"north": 0, "east": 90, "south": 180, "west": 270} | {
    "northeast": 45,
    "southeast": 135,
    "southwest": 225,
    "northwest": 315,
}
_SIDE = r"(north|east|south|west|[nesw]\b)(?:ward|wards|erly|ern)?"
_NUMBER = r"(\d{1,3}(?:\.\d+)?) ?(?:degrees?|deg)"
_OF = re.compile(rf"(?:at |is |an angle of )*{_NUMBER} (?:to the )?{_SIDE} (?:of|from) (?:due )?{_SIDE}")
_BETWEEN = re.compile(rf"(n|s|north|south|e|w|east|west) ?{_NUMBER} ?(n|s|north|south|e|w|east|west)")
_POINT = re.compile(r"(?:due )?(north|south|east|west)(?:[ -]?(east|west))?(?:ward|wards|erly|ern)?")
_LEADING = re.compile(
    r"(?:(?:in |is )?the )?(?:direction|bearing|heading)(?: of| is| =|:)? ?|towards? (?:the )?"
)
_MAY = re.compile(r"north|south|east|west|[°º∘]|circ|deg|\b[ns][ew]\b", re.IGNORECASE)
"""What a direction has: a look before the text is cleaned."""
MAX_CHARACTERS = 80


def read(text: str) -> Fraction | None:
    """Degrees from north, clockwise, from 0 to below 360; None where the text is no direction in words.

    The first word of `30° north of east` says where one turns to, the second from where.
    """
    plain = _LEADING.sub("", _plain(text).lower().strip(" ."), count=1)
    if found := _OF.fullmatch(plain):
        degrees, to, start = Fraction(found[1]), _AT[found[2][0]], _AT[found[3][0]]
    elif found := _BETWEEN.fullmatch(plain):
        degrees = Fraction(found[2])
        to, start = _AT[found[3][0]], _AT[found[1][0]]
    elif found := _POINT.fullmatch(plain):
        place = _POINTS.get(found[1] + (found[2] or ""))
        return None if place is None else Fraction(place)
    else:
        return None
    if (to - start) % 180 != 90 or degrees > 90:
        return None
    return (start + degrees * (1 if (to - start) % 360 == 90 else -1)) % 360


def _plain(text: str) -> str:
    """The words of a text, with one word for the sign of a degree."""
    return " ".join(re.sub(r"\^?\s*\{?\s*(?:°|\\circ)\s*\}?", " degrees ", spoken(text)).split())


def same(first: str, second: str) -> bool | None:
    """Whether two texts are one direction, or name two; None where one names none, or there is more to it."""
    if max(len(first), len(second)) > MAX_CHARACTERS or not (_MAY.search(first) and _MAY.search(second)):
        return None
    left, right = read(first), read(second)
    if left is not None and right is not None:
        return left == right
    within = _within(first), _within(second)
    return False if None not in within and within[0] != within[1] else None


def _within(text: str) -> Fraction | None:
    """The only direction that a text names: `50 km, 30° north of east`, `20 km NE`."""
    plain = _plain(text)
    found = [
        place[0]
        for pattern in (_OF, _BETWEEN_CAPITALS)
        for place in re.finditer(pattern, plain if pattern is _BETWEEN_CAPITALS else plain.lower())
    ]
    corners = _CORNER.findall(plain)
    if len(found) + len(corners) != 1:
        return None
    return Fraction(_CORNERS[corners[0]]) if corners else read(found[0])


_BETWEEN_CAPITALS = re.compile(rf"\b(?:[NS] ?{_NUMBER} ?[EW]|[EW] ?{_NUMBER} ?[NS])\b")
_CORNERS = {"NE": 45, "SE": 135, "SW": 225, "NW": 315}
_CORNER = re.compile(r"(?<=[a-z] )(NE|SE|SW|NW)\b")
"""After a unit only: alone these letters may be a segment."""
