"""Labels of options in a text: `(B)`, `B.`, `\\text{B}`, `B) 12`, `option B`, `A and C`."""

from __future__ import annotations

import re

from tracegen.verify.extract import tidy
from tracegen.verify.latex import clean, unwrapped
from tracegen.verify.vocabulary import TURNS

_LONE = re.compile(r"\(?\s*([A-Za-z])\s*[).:]?", re.ASCII)
_SEVERAL = re.compile(r"\(?[A-Z]\)?(?:\s*(?:,|and|&|;|\s)\s*\(?[A-Z]\)?)+|[A-Z]{2,6}")
_LEADING = re.compile(r"(?:\(\s*([A-Za-z])\s*\)|([A-Z])\s*[).:])(?:\s+[^\s,;+*/=]|[\w\\$])")
_NAMED = re.compile(
    r"\b(?:option|choice|answer|alternative)\s*(?:is)?\s*:?\s*(?:\(\s*([A-Za-z])\s*\)|([A-Z])\b)",
    re.IGNORECASE,
)
_MARKED = re.compile(r"\(([A-Z])\)|\b(?:option|choice)\s+([A-Z])\b")


def labels(answer: str) -> frozenset[str]:
    """The labels that `answer` names, in capitals; empty where it names none."""
    plain = unwrapped(clean(tidy(answer[:2000])))
    plain = re.sub(r"[*`\"'{}]", "", plain).strip().rstrip(".").strip()
    if lone := _LONE.fullmatch(plain):
        return frozenset(lone[1].upper())
    if _SEVERAL.fullmatch(plain):
        return frozenset(_all_labels(plain))
    if found := _LEADING.match(plain):
        start = found.end(1) if found[1] else found.end(2)
        return _with_others((found[1] or found[2]).upper(), plain[start:].lstrip(" ).:"))
    if found := _NAMED.search(plain):
        clause = re.split(r"[.,;:!?\n]", plain[: found.start()])[-1]
        if TURNS & set(re.findall(r"[a-z]+", clause.lower().replace("'", ""))):
            return frozenset()
        return _with_others((found[1] or found[2]).upper(), plain[found.end() :].lstrip(" )"))
    return frozenset()


def _all_labels(plain: str) -> str:
    """The letters of several labels; none of words, numerals, points or throws: `II`, `HHT`."""
    found = "".join(re.findall(r"[A-Z]", re.sub(r"\band\b", " ", plain)))
    run = found == plain and "".join(sorted(found)) != found
    return "" if run or len(set(found)) < len(found) or not set(found) <= set("ABCDEFGH") else found


_ABOUT = re.compile(r"(?:is|are|was|were|can|cant|cannot|isnt|must|may|seems)\b", re.IGNORECASE)
"""Begins what is said of a label; any other text after one is its option's."""
_OTHER = re.compile(r"(?:(?:\A|[,;&.]|\bor|\band)\s*(?:option\s*)?|(?<=\)))\(([A-Z])\)")
"""Another label beside the first, as in `(B), (C)`; not one inside a text, as in `(D) Both (A) and (C)`."""


def _with_others(label: str, rest: str) -> frozenset[str]:
    """A label and those listed after it; none where it is denied."""
    if _ABOUT.match(rest) and TURNS & set(re.findall(r"[a-z]+", rest.lower())):
        return frozenset()
    if re.match(r"(?:both|either|neither|all|none|only)\b", rest, re.IGNORECASE):
        return frozenset(label)
    return frozenset([label, *_OTHER.findall(rest)])


def last_marked(text: str) -> frozenset[str]:
    """The last label in parentheses or after `option`, for texts without a final answer."""
    found = _MARKED.findall(text[-4000:])
    return frozenset("".join(found[-1]).upper()) if found else frozenset()


_OPTION = re.compile(r"\(?([A-J])\)?\.?")


_OPTION_TEXT = re.compile(r"\(\s*([A-J])\s*\)\s*(\S.*)", re.DOTALL)


_LISTED = re.compile(r"(?:\s*(?:[,;&]|and|or)?\s*\([A-J]\))+\s*\.?")
"""More labels, which are no text of an option."""


_PART = re.compile(r"\(\s*(?:[A-J]|I{2,3}|IV|V)\s*\)")
_OF_OPTIONS = re.compile(r"\W*(?:\\text\s*\{\s*)?(?:both|either|neither|all|none|only)\b", re.IGNORECASE)
"""`(I) 3; (II) 4` is two parts; `(D) Both (A) and (C)` one option."""


def option(text: str) -> tuple[str, str]:
    """Label and text of a reference such as `\\textbf{(D)}\\ 7`; two empty strings for any other."""
    plain = re.sub(r"\\text\s*\{\s*(\([A-J]\))\s*\}", r" \1 ", clean(text)).strip() if "(" in text else ""
    found = _OPTION_TEXT.fullmatch(plain)
    parts = found and _PART.search(found[2]) and not _OF_OPTIONS.match(found[2])
    return (found[1], found[2]) if found and not parts and not _LISTED.fullmatch(found[2]) else ("", "")


def several(text: str) -> str:
    """The labels in their order that are all of a text such as `BC`, `B, C`, `(B) and (C)`; else empty."""
    plain = unwrapped(clean(text)).strip()
    found = _all_labels(plain) if _SEVERAL.fullmatch(plain) else ""
    return found if len(found) > 1 and "".join(sorted(found)) == found else ""


def only_label(text: str) -> str:
    """The label that is all of a reference such as `B`, `(B)` or `\\text{(B)}`; else an empty string."""
    plain = unwrapped(clean(text)).strip()
    found = _OPTION.fullmatch(plain)
    return found[1] if found else ""
