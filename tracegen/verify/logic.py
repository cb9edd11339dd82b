r"""Formulas of propositional logic by their truth tables: `\neg(p \land q)` is `\neg p \lor \neg q`."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

_SIGN = re.compile(
    r"\\(?:lnot|neg|sim)(?![a-z])|¬|\\(?:land|wedge)(?![a-z])|∧|\\(?:lor|vee)(?![a-z])|∨"
    r"|\\(?:iff|leftrightarrow|Leftrightarrow)(?![a-z])|↔|\\(?:to|rightarrow|Rightarrow|implies)(?![a-z])|→|⇒"
)
_NAMES = {
    "not": "\\lnot \\neg \\sim ¬",
    "and": "\\land \\wedge ∧",
    "or": "\\lor \\vee ∨",
    "iff": "\\iff \\leftrightarrow \\Leftrightarrow ↔",
    "then": "\\to \\rightarrow \\Rightarrow \\implies → ⇒",
}
_NAMED = {sign: name for name, signs in _NAMES.items() for sign in signs.split()}
_TOKEN = re.compile(rf"({_SIGN.pattern})|([A-Za-z])(?![A-Za-z])|([()])")
_BINDS = ("iff", "then", "or", "and")
"""From the loosest to the tightest."""
MAX_CHARACTERS, MAX_LETTERS = 200, 6
Formula = Callable[[dict[str, bool]], bool]


class _NoFormula(Exception):
    """The text is something else."""


def same(first: str, second: str) -> bool | None:
    """Whether two formulas agree for all truth values; None where a text is none, or neither has a sign."""
    if not (_SIGN.search(first) and _SIGN.search(second)) or max(len(first), len(second)) > MAX_CHARACTERS:
        return None
    try:
        left, right = _Reader(first), _Reader(second)
        sides = left.formula(), right.formula()
    except (_NoFormula, RecursionError):
        return None
    if not (left.has("and", "or", "not") and right.has("and", "or", "not")):
        return None  # `x \to y` says many things
    letters = sorted(left.letters | right.letters)
    if len(letters) > MAX_LETTERS:
        return None
    return all(
        sides[0](row) == sides[1](row)
        for row in (
            dict(zip(letters, values, strict=True)) for values in product((False, True), repeat=len(letters))
        )
    )


class _Reader:
    """A recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        bare = re.sub(r"\\left|\\right(?![a-z])|\\[,;:! ]|[\s$]", " ", text.strip(" .$"))
        self.tokens: list[str] = []
        at = 0
        for found in _TOKEN.finditer(bare):
            if bare[at : found.start()].strip():
                raise _NoFormula
            self.tokens.append(_NAMED.get(found[0], found[0]))
            at = found.end()
        if bare[at:].strip():
            raise _NoFormula
        self.letters = {token for token in self.tokens if len(token) == 1 and token.isalpha()}
        self.at = 0

    def has(self, *signs: str) -> bool:
        return any(sign in self.tokens for sign in signs)

    def formula(self) -> Formula:
        """All of it; raises _NoFormula."""
        found = self.joined(0)
        if self.at != len(self.tokens):
            raise _NoFormula
        return found

    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def joined(self, level: int) -> Formula:
        if level == len(_BINDS):
            return self.single()
        sign, left = _BINDS[level], self.joined(level + 1)
        while self.next() == sign:
            self.at += 1
            right = self.joined(level if sign == "then" else level + 1)  # p → q → r is p → (q → r)
            left = _join(sign, left, right)
        return left

    def single(self) -> Formula:
        found = self.next()
        self.at += 1
        if found == "not":
            inner = self.single()
            return lambda row: not inner(row)
        if found == "(":
            inside = self.joined(0)
            if self.next() != ")":
                raise _NoFormula
            self.at += 1
            return inside
        if found not in self.letters:
            raise _NoFormula
        return lambda row: row[found]


def _join(sign: str, left: Formula, right: Formula) -> Formula:
    match sign:
        case "and":
            return lambda row: left(row) and right(row)
        case "or":
            return lambda row: left(row) or right(row)
        case "then":
            return lambda row: not left(row) or right(row)
    return lambda row: left(row) == right(row)
