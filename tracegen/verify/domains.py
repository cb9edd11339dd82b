"""What an answer says of its letters at its end: `…, n ∈ Z`, `… where a, b are real`, `… for any constant c`.

`declared` cuts such a clause off a cleaned text and says which letters it is about, and of what kind.
Letters that are declared are bound: another name for them is the same answer. Kinds that contradict make
two answers different; a constant is of no kind.
"""

from __future__ import annotations

import re

from tracegen.data import Struct
from tracegen.verify.latex import balanced


class Domain(Struct, frozen=True):
    """What stands before the clause, its letters in their order, and their kind: N, Z, R, R-, … or none."""

    head: str
    letters: tuple[str, ...]
    kind: str


_PIECE = re.compile(r"(\\text\s*\{|[{}\s])|\\[A-Za-z]+|[A-Za-z]+(?:-[A-Za-z]+)?|\d+|.", re.DOTALL)
"""A word, command or sign; the group holds what does not count here: braces and space."""
TAIL = 40
"""Words and signs at the end among which a clause is looked for."""

_LETTER = r"(?:\\[a-z]+|[A-Za-z])(?: _ \w)?"
_LETTERS = rf"(?P<letters>{_LETTER}(?: (?:,|and) {_LETTER}){{0,3}})"
_KIND = (
    r"(?P<kind>(?:(?:an?|any|arbitrary|fixed|some|all|positive|negative|non-?negative|non-?positive|natural|"
    r"real|rational|complex|integer|free|odd|even|prime|composite|distinct) )*"
    r"(?:integers?|numbers?|constants?|reals?|rationals?|arbitrary|"
    r"parameters?|primes?|composites?|odd|even))"
)
_SET = r"(?P<set>(?:\\(?:mathbb|text) )?[RZNQC])(?P<part>(?: [\^_](?: \\?\S+){1,3})?)"
_OPENS = r"(?:where|with|when|for|for all|for any|for every|for each|for some|and|given)"
_AFTER = r"(?:[,;(:] |\\q?quad )+"
_RUN = r"(?P<run>(?:0|1|\\pm 1)(?: , (?:\\pm )?\d){1,4} , \\[lc]?dots)"
"""`0, ±1, ±2, …`: the integers."""
_CLAUSES = tuple(
    re.compile(rf"(?<!\S){pattern}(?: \))*\Z")
    for pattern in (
        rf"(?:{_AFTER}|(?:{_AFTER})?{_OPENS} )(?:{_KIND} )?{_LETTERS} \\in {_SET}",
        rf"(?:{_AFTER})?{_OPENS} {_LETTERS} (?:(?:are|is|being) )?{_KIND}",
        rf"(?:{_AFTER})?{_OPENS} {_KIND} {_LETTERS}",
        rf"{_AFTER}{_LETTERS} (?:(?:are|is) )?{_KIND}",
        rf"(?:{_AFTER}|(?:{_AFTER})?{_OPENS} ){_LETTERS} = {_RUN}",
        rf"(?:{_AFTER})?(?:an? |any |arbitrary )*(?P<kind>constant)(?P<letters>)",
    )
)
PARAMETERS = frozenset({"", "N", "Z", "Q", "R", "C", "Q+", "R+", "Z-", "Q-", "R-"})
"""Kinds that a parameter has unless something else is said: not primes, odd numbers and the like."""


def declared(cleaned: str) -> Domain | None:
    """The clause at the end of a cleaned text; None where there is none."""
    pieces = [match for match in _PIECE.finditer(cleaned) if not match[1]][-TAIL:]
    while pieces and pieces[-1][0] in ".,;":
        pieces.pop()
    starts: dict[int, int] = {}
    tail = ""
    for piece in pieces:
        starts[len(tail)] = piece.start()
        tail += piece[0] + " "
    for clause in _CLAUSES:
        found = clause.search(tail.rstrip())
        if found is not None:
            return _cut(cleaned[: starts[found.start()]], found)
    return None


def _cut(head: str, found: re.Match[str]) -> Domain | None:
    head = re.sub(r"(?:\\text\s*\{|\\q?quad|[\s,;(])+\Z", "", head)
    letters = tuple(name.replace(" ", "").lstrip("\\") for name in re.split(r" (?:,|and) ", found["letters"]))
    whole = bool(head) and balanced(head) and len(set(letters)) == len(letters)
    return Domain(head, letters, _kind(found.groupdict())) if whole else None


def _kind(groups: dict[str, str | None]) -> str:
    """The kind of a clause; with or without zero is one kind: naturals, positive and non-negative ones."""
    said, sign, part = ((groups.get(name) or "").lower() for name in ("kind", "set", "part"))
    if run := groups.get("run"):
        return "Z" if "\\pm" in run else "N"
    restricted = re.findall(r"\b(?:odd|even|prime|composite)", said)
    if restricted:
        return " ".join(restricted)
    letter = sign[-1:].upper()
    for word, name in (
        ("natural", "N"),
        ("integer", "Z"),
        ("rational", "Q"),
        ("real", "R"),
        ("complex", "C"),
    ):
        letter = letter or (name if word in said else "")
    if letter in ("Z", "Q", "R") and (part or "positive" in said or "negative" in said):
        if _BELOW.search(part) or _BELOW.search(said):
            return letter + "-"
        return "N" if letter == "Z" else letter + "+"
    return letter


_BELOW = re.compile(r"(?<!non-)\bnegative|non-?positive|[\^_] (?:-|<|\\le)")
"""What says that numbers are below zero, or not above it."""


def contradict(first: Domain | None, second: Domain | None) -> bool:
    """Whether both say of what kind their letters are, and not the same."""
    kinds = {domain.kind for domain in (first, second) if domain is not None and domain.kind}
    return len(kinds) == 2
