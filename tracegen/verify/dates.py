"""Calendar dates in words: `March 5`, `the 5th of March, 2020`, `2020-03-05`."""

from __future__ import annotations

import re

from tracegen.verify.latex import clean
from tracegen.verify.words import normal

_MONTHS = """
    january february march april may june july august september october november december
"""
_MONTH = {
    name[:length]: index for index, name in enumerate(_MONTHS.split(), 1) for length in (3, 4, len(name))
}
_NAMES = "|".join(sorted(_MONTH, key=len, reverse=True))
_NAMED_DAY = re.compile(r"(mon|tues|wednes|thurs|fri|satur|sun)day")
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day )?"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_FORMS = (
    (re.compile(rf"{_WEEKDAY}({_NAMES}) {_DAY}(?: (\d{{4}}))?\Z"), (3, 1, 2)),
    (re.compile(rf"{_WEEKDAY}{_DAY} (?:of )?({_NAMES})(?: (\d{{4}}))?\Z"), (3, 2, 1)),
    (re.compile(r"(\d{4}) (\d{2}) (\d{2})\Z"), (1, 2, 3)),
)
"""Patterns, and the groups with year, month and day."""

Date = tuple[int, int, int]
"""Year or 0, month, day."""


def read(text: str) -> Date | None:
    """The date that all of `text` is; numbers alone are one only as year-month-day."""
    if len(text) > 60 or not (
        re.search(r"[A-Za-z]{3}", text) or re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", text)
    ):
        return None
    plain = normal(clean(text).replace("-", " "))
    for pattern, groups in _FORMS:
        if found := pattern.match(plain):
            year, month, day = (found[group] or "0" for group in groups)
            number = int(month) if month.isdigit() else _MONTH[month]
            return (int(year), number, int(day)) if 1 <= number <= 12 and 1 <= int(day) <= 31 else None
    return None


def same(first: str, second: str) -> bool | None:
    """Whether two texts are one date, whatever the year or weekday that one lacks; None where one is none."""
    left, right = read(first), read(second)
    if left is None or right is None:
        return None
    weekdays = {found[1] for text in (first, second) if (found := _NAMED_DAY.search(text.lower()))}
    return left[1:] == right[1:] and (left[0] == right[0] or 0 in (left[0], right[0])) and len(weekdays) < 2
