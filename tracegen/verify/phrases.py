"""Phrases of mathematics as formulas: `all real numbers except 3`, `x is at least 5`."""

from __future__ import annotations

import re

_ALL_BUT = re.compile(
    r"(?:the set of )?all reals?(?: (?:numbers?|values?))?(?: of)?(?: [a-z])?,? "
    r"(?:except(?: for)?|excluding|other than|but|different from|not equal to|besides|without) "
    r"(?:[a-z] = )?(?P<rest>.{1,200})",
    re.IGNORECASE,
)
_COMPARED = tuple(
    (re.compile(rf" (?:is|are|must be|should be) (?:{words}) ", re.IGNORECASE), f" {sign} ")
    for words, sign in (
        (r"(?:greater|larger|more|bigger) than or equal to|at least|no less than|not less than", r"\\ge"),
        (
            r"(?:less|smaller|fewer) than or equal to|at most|no more than|no greater than|not more than",
            r"\\le",
        ),
        (r"(?:strictly )?(?:greater|larger|more|bigger) than", ">"),
        (r"(?:strictly )?(?:less|smaller) than", "<"),
        (r"not equal to|different from", r"\\ne"),
        (r"congruent to", r"\\equiv"),
        (r"equal to", "="),
    )
)
_NAME = re.compile(r"[A-Za-z](?:_\{?\w\}?)?|\\[a-z]+")
_DIVISIBLE = re.compile(
    r"([a-z]) (?:is|are|must be) (?:divisible by|an? (?:integer |positive )?multiple of) (\d+)"
    r"|(\d+) ?\| ?([a-z])"
)
_MULTIPLES = re.compile(r"(?:all |the )?(?:integer |positive )?multiples of (\d+)", re.IGNORECASE)
_CHANGED = re.compile(
    r"(?:it )?(?:an? )?((?:in|de)crease[ds]?|profit|loss|gain)(?: is)? (?:by|of) (?:about )?(.{1,40})",
    re.IGNORECASE,
)
_CHANGES = {"incr": "increase", "decr": "decrease", "prof": "profit", "loss": "loss", "gain": "gain"}
"""`loss of 4 %` is `4 % loss`."""
_EQUIVALENT = re.compile(
    r"[\s,(]+(?:\\text\s*\{\s*)?or (?:any )?equivalent(?: forms?)?[\s)}.]*\Z", re.IGNORECASE
)
MAX_CHARACTERS = 400


def in_signs(cleaned: str) -> str:
    """A phrase that stands for a formula as that formula; any other text as it is."""
    if len(cleaned) > MAX_CHARACTERS:
        return cleaned
    cleaned = _EQUIVALENT.sub("", cleaned)
    if not re.search(r"\b(?:all|is|are|be|by|of)\b|\|", cleaned, re.IGNORECASE):
        return cleaned
    plain = " ".join(re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", cleaned).split()).strip(" .")
    if found := _DIVISIBLE.fullmatch(plain):
        return rf"{found[1] or found[4]} \equiv 0 \pmod{{{found[2] or found[3]}}}"
    if found := _MULTIPLES.fullmatch(plain):
        return rf"0 \pmod{{{found[1]}}}"
    if found := _CHANGED.fullmatch(plain):
        return rf"{found[2]} \text{{ {_CHANGES[found[1].lower()[:4]]}}}"
    if found := _ALL_BUT.fullmatch(plain):
        return rf"\mathbb{{R}} \setminus \{{{found['rest']}\}}"
    for phrase, sign in _COMPARED:
        left, *right = phrase.split(plain)
        if (
            len(right) == 1
            and _NAME.fullmatch(left)
            and not re.search(r"(?<![\\A-Za-z])[A-Za-z]{4}", right[0])
        ):
            return phrase.sub(sign, plain)
    return cleaned
