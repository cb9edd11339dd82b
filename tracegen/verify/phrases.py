"""Phrases of mathematics as formulas: `all real numbers except 3`, `x is at least 5`."""

from __future__ import annotations

import re

from tracegen.verify import words

_ALL_BUT = re.compile(
    r"(?:the set of )?(?:all|any|every|each) reals?(?: (?:numbers?|values?))?(?: of)?(?: [a-z])?,? "
    r"(?:except(?: for)?|excluding|other than|but|different from|not equal to|besides|without) "
    r"(?:[a-z] = )?(?P<rest>.{1,200})",
    re.IGNORECASE,
)
_COMPARED = tuple(
    (re.compile(rf" (?:is|are|must be|should be) (?:{said}) ", re.IGNORECASE), f" {sign} ")
    for said, sign in (
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
_SET = re.compile(
    r"(?:[a-z] (?:is|are|can be) )?(?:the set of )?(?:all|any|every)(?: of)?(?: the)?"
    r"(?: (positive|negative|non-?negative))? (real numbers?|reals?|integers?|rational numbers?|rationals?)"
    r"(?: [a-z])?",
    re.IGNORECASE,
)
_LETTERS = {"real": "R", "integer": "Z", "rational": "Q"}
_PARTS = {"positive": "^+", "negative": "^-", "nonnegative": r"_{\ge 0}"}
_LATER = re.compile(r"(after|before) (\d[\w .]{0,30})", re.IGNORECASE)
"""`after 3 hours` is `3 hours after`."""
_AND_A_PART = re.compile(r"(\w{1,20}) and (?:a|one) (half|third|quarter)((?: \w+){0,3})", re.IGNORECASE)
_BELOW = {"half": 2, "third": 3, "quarter": 4}
_OUT_OF = re.compile(r"(\d+) (?:out of|in)(?: every)? (\d+)(?: chance)?", re.IGNORECASE)
_REMAINDER = re.compile(
    r"(\d+),? \(?(?:R|with (?:a )?remainder(?: of)?|remainder(?: of)?) ?(\d+)\)?", re.IGNORECASE
)
_GAUSS = re.compile(
    r"(?<![\w)}\]])\[\s*(\\frac\s*\{[^{}\[\]]*[a-z][^{}\[\]]*\}\s*\{[^{}\[\]]*\}|\\sqrt\s*\{[^{}\[\]]*[a-z][^{}\[\]]*\})"
    r"\s*\](?!\s*[\^(])"
)
"""`[n/2]`, `[√n]`: the integer part, as a bracket around a fraction or root alone has no other use."""
_BEFORE = re.compile(r"\A\s*(?:\\text\s*\{)?(?:in|by|for|within|over)\s+(?=[\d$\\.])", re.IGNORECASE)
"""Words before a quantity that say nothing of it."""
_EQUIVALENT = re.compile(
    r"[\s,(]+(?:\\text\s*\{\s*)?"
    r"(?:or (?:any )?equivalent(?: forms?)?[\s)}.]*|i\.e\..{0,100}|that is,.{0,100})\Z",
    re.IGNORECASE,
)
"""What only says the same again."""
MAX_CHARACTERS = 400


def in_signs(cleaned: str) -> str:
    """A phrase that stands for a formula as that formula; any other text as it is."""
    if len(cleaned) > MAX_CHARACTERS:
        return cleaned
    cleaned = _GAUSS.sub(r"\\lfloor \1\\rfloor ", _BEFORE.sub("", _EQUIVALENT.sub("", cleaned)))
    if not re.search(
        r"\b(?:all|any|every|is|are|be|by|of|in|half|r|remainder|after|before)\b|\|", cleaned, re.IGNORECASE
    ):
        return cleaned
    plain = " ".join(re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", cleaned).split()).strip(" .")
    if found := _SET.fullmatch(plain):
        sign, name = (found[1] or "").lower(), found[2].lower()
        letter = next(letter for word, letter in _LETTERS.items() if word in name)
        return rf"\mathbb{{{letter}}}" + _PARTS.get(sign.replace("-", ""), "")
    if found := _LATER.fullmatch(plain):
        return rf"{found[2]} \text{{ {found[1].lower()}}}"
    if found := _AND_A_PART.fullmatch(plain):
        whole = found[1] if found[1].isdigit() else words.number(found[1])
        if whole is not None:
            return rf"({whole}+\frac{{1}}{{{_BELOW[found[2].lower()]}}}) \text{{{found[3] or ''}}}"
    if found := _OUT_OF.fullmatch(plain):
        return rf"\frac{{{found[1]}}}{{{found[2]}}}"
    if found := _REMAINDER.fullmatch(plain):
        return f"({found[1]}, {found[2]})"
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
