"""Answers that are decisions: columns of a truth table, and what a test says of the null hypothesis."""

from __future__ import annotations

import re

from tracegen.verify.latex import spoken

_TRUTHS = {"t": True, "true": True, "f": False, "false": False}
_COLUMN = re.compile(
    r"(?:t|f|true|false)(?:(?:\s*[,;]\s*(?:and\s+)?|\s+(?:and\s+)?)(?:t|f|true|false))+|[TF]{3,16}"
)
_NULL = r"(?:the )?(?:null(?: hypothesis)?|h ?_? ?\{? ?0 ?\}?)"
_KEPT = r"(?:fail(?:s|ed)? to|failing to|do(?:es)? not|did not|don'?t|cannot|can ?not|can'?t|not|unable to) "
_DECIDED = re.compile(rf"({_KEPT})?(reject|retain|accept)(?:s|ed|ing)? {_NULL}")
_MAY = re.compile(r"(?i:reject|retain|accept|true|false|\b[tf]\b)|[TF]{3}")
"""What a decision has: a look before the text is cleaned."""
MAX_CHARACTERS = 200


def truths(plain: str) -> tuple[bool, ...] | None:
    """`T, F, T` or `True, False, True` in its order; None for other texts and for a single one."""
    plain = plain.strip(" .()[]")
    if not _COLUMN.fullmatch(plain) and not _COLUMN.fullmatch(plain.lower()):
        return None
    said = re.findall(r"[a-z]+", plain.lower().replace("and", " "))
    letters = list(said[0]) if len(said) == 1 else said
    return tuple(_TRUTHS[word] for word in letters)


def rejects(plain: str) -> bool | None:
    """Whether a text rejects the null hypothesis; None where it does not say so, or says both."""
    decisions = {(found[2] == "reject") != bool(found[1]) for found in _DECIDED.finditer(plain.lower())}
    return decisions.pop() if len(decisions) == 1 else None


def same(first: str, second: str) -> bool | None:
    """Whether two texts are the same decision; None where one is none."""
    if max(len(first), len(second)) > MAX_CHARACTERS or not (_MAY.search(first) and _MAY.search(second)):
        return None
    sides = spoken(first), spoken(second)
    columns = truths(sides[0]), truths(sides[1])
    if None not in columns:
        return columns[0] == columns[1]
    rejected = rejects(sides[0]), rejects(sides[1])
    short = len(sides[0].split()) <= 8
    return rejected[0] == rejected[1] if short and None not in rejected else None
