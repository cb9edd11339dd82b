"""Statements of several parts, in any order: `isosceles or right`, `rises on (1, 2), falls on (2, 3)`."""

from __future__ import annotations

import re

from tracegen.verify import words
from tracegen.verify.latex import clean, unwrapped
from tracegen.verify.tree import Node, Num, Op, Rel
from tracegen.verify.vocabulary import TURNS

MAX_CHARACTERS = 400


def same_alternatives(first: str, second: str) -> bool:
    """Whether two texts name the same alternatives: `The triangle is either isosceles or right.`"""
    sides = [_alternatives(side) for side in (first, second)]
    if sides[0] is None or sides[1] is None or sides[0][1] != sides[1][1]:
        return False
    subjects = {side[0] for side in sides if side is not None and side[0]}
    return len(subjects) < 2


def _alternatives(text: str) -> tuple[str, frozenset[str]] | None:
    """The subject, which may be empty, and what it is one of; None for any other text."""
    plain = _plain(text).lower()
    if " or " not in plain or len(plain) > MAX_CHARACTERS or re.search(r"[^\w\s,.'-]|\d", plain):
        return None
    subject, predicate = "", plain
    if found := _SUBJECT.match(plain):
        subject, predicate = words.normal(found[1]), plain[found.end() :]
    parts = [words.normal(part) for part in re.split(r",\s*or\s|,|\sor\s", predicate.removeprefix("either "))]
    said = {word for part in parts for word in part.split()}
    if not all(0 < len(part.split()) <= 4 for part in parts) or said & (TURNS | {"is", "are"}):
        return None
    return (subject, frozenset(parts)) if len(set(parts)) == len(parts) > 1 else None


_SUBJECT = re.compile(r"((?:[a-z]+ ){1,3})(?:is|are|must be) (?=\w)")


def _plain(text: str) -> str:
    return " ".join(unwrapped(clean(text)).split()).strip(" .")


_SIGN = re.compile(
    r"(?:the )?(?P<noun>sum|product|difference|quotient|value|expression|result|quantity)"
    r"(?: of [\w ]{1,40})? (?:is|must be|will be) (?:always |strictly )?"
    r"(?P<sign>negative|positive|zero|non-?negative|non-?positive|"
    r"(?:less|smaller|greater|more|larger) than (?:zero|0)|equal to (?:zero|0))",
    re.IGNORECASE,
)
_OPS = {
    "neg": "<",
    "les": "<",
    "sma": "<",
    "pos": ">",
    "gre": ">",
    "mor": ">",
    "lar": ">",
    "zer": "=",
    "equ": "=",
}
_KINDS = {"sum": "add", "difference": "add", "product": "mul", "quotient": "div"}


def sign_said(sentence: str) -> tuple[str, str] | None:
    """The relation to zero and what it is said of: `<` and `sum` of `The sum is negative.`"""
    short = len(sentence) < MAX_CHARACTERS and re.search(r"\b(?:is|be)\b", sentence, re.IGNORECASE)
    found = _SIGN.fullmatch(_plain(sentence)) if short else None
    if found is None:
        return None
    sign = found["sign"].lower()
    op = {"p": "<=", "n": ">="}[sign.replace("-", "")[3]] if sign.startswith("non") else _OPS[sign[:3]]
    return op, found["noun"].lower()


def has_sign(node: Node, op: str, noun: str) -> bool:
    """Whether a relation says the same: `a + b < 0`."""
    match node:
        case Rel(ops=(stated,), sides=(Op(name=name), Num(value=end))) if not end:
            return stated == op and _KINDS.get(noun, name) == name
        case _:
            return False


def stretches(text: str) -> dict[str, str] | None:
    """Where a function rises, falls, is convex …: each with its set of numbers; None for any other text."""
    plain = _plain(text)
    found = list(_BEHAVIOUR.finditer(plain)) if len(plain) <= MAX_CHARACTERS else []
    if not found or not _LEAD.fullmatch(plain[: found[0].start()]):
        return None
    where: dict[str, str] = {}
    ends = [match.start() for match in found[1:]] + [len(plain)]
    for match, end in zip(found, ends, strict=True):
        name = " ".join(match[1].lower().replace("es", "ing").split())
        place = _JOINT.sub("", plain[match.end() : end])
        if name in where or not place or re.search(r"[A-Za-z]{4}", re.sub(r"\\[A-Za-z]+", "", place)):
            return None
        where[name] = place
    return where


_BEHAVIOUR = re.compile(
    r"\b((?:strictly )?(?:(?:in|de)creas(?:ing|es)|concave (?:up|down)|convex|concave|positive|negative|"
    r"constant))"
    r"(?:wards?)? (?:on|for|in|over|when) (?:the intervals? )?",
    re.IGNORECASE,
)
_LEAD = re.compile(r"\s*(?:(?:the|function|it|is|graph|of|f|y|f\s*\(\s*x\s*\))\s*)*", re.IGNORECASE)
_JOINT = re.compile(r"(?:[\s,;.]|\b(?:and|while|but|it|is|the|function)\b)+\Z", re.IGNORECASE)
"""What stands between two such clauses."""
