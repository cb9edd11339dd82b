r"""Answers in which the order of factors counts: `f \circ g`, `A^{-1}B`, `u \times v`, `BCAD`, `(1 2 3)`.

These would be equal as products of numbers. Each kind is recognised by what only it has.
"""

from __future__ import annotations

import re

from tracegen.verify.latex import clean

_CYCLES = re.compile(r"(?:\(\s*\d{1,2}(?:\s+\d{1,2})+\s*\)\s*)+")
_LABEL = re.compile(r"\A[A-Z]\s*=\s*")
_CODE = re.compile(r"[A-Z]{4,10}")
_FACTOR = re.compile(
    r"\(([A-Z]{2,4})\)\s*\^\s*\{?\s*(-1|T|\\top|\\intercal)\s*\}?|([A-Z])(?:\s*\^\s*\{?\s*(-1|T|\\top|\\intercal)\s*\}?)?|\s+|\\cdot"
)
_COMPOSED = re.compile(r"(?<![\^{])\s*\\circ(?![a-z])|∘")
_VECTORS = re.compile(r"\\(?:vec|mathbf|boldsymbol|overrightarrow|bm)\b|\\nabla")
_PRODUCT = re.compile(r"\\times(?![a-z])|\\cdot(?![a-z])")
_DIMENSIONS = frozenset("MLTIKNJ")
_MAY = re.compile(
    r"[A-Z]{4}|[(（]\s*\d{1,2}[\s\\]|\^\s*\{?\s*(?:[-−–]\s?1|T|\\top|\\intercal)|\\circ|∘|\\(?:vec|mathbf|boldsymbol"
    r"|overrightarrow|bm)\b|\\nabla|∇"
)
"""What such an answer has: a look before the text is cleaned."""
MAX_CHARACTERS = 120


def same(first: str, second: str) -> bool | None:
    """Whether two such answers are equal; None where they are of no such kind, or others have to decide."""
    if max(len(first), len(second)) > MAX_CHARACTERS or not (_MAY.search(first) and _MAY.search(second)):
        return None
    sides = [
        re.sub(r"\\[,;:! ]|\\(?:left|right)(?![a-z])|\$", " ", clean(side)).strip(" .")
        for side in (first, second)
    ]
    if all(map(_CYCLES.fullmatch, sides)) and any(len(side.split()) > 2 for side in sides):
        return permutation(sides[0]) == permutation(sides[1])
    if all(map(_CODE.fullmatch, sides)) and sorted(sides[0]) == sorted(sides[1]):
        return sides[0] == sides[1]
    words = [word(_LABEL.sub("", side)) for side in sides]
    if words[0] is not None and words[1] is not None:
        return words[0] == words[1]
    letters = [re.findall(r"\\?[A-Za-z]+|\d+|[-+=/^]", side) for side in sides]
    ordered = all(map(_COMPOSED.search, sides)) or all(
        _VECTORS.search(side) and "\\times" in side for side in sides
    )
    if ordered and letters[0] != letters[1] and sorted(letters[0]) == sorted(letters[1]):
        return False
    signs = [_PRODUCT.findall(side) for side in sides]
    if all(map(_VECTORS.search, sides)) and len(signs[0]) == len(signs[1]) == 1 and signs[0] != signs[1]:
        return False
    return None


def permutation(text: str) -> dict[int, int]:
    """Where each number goes, of cycles that are done from right to left; those that stay are left out."""
    going: dict[int, int] = {}
    for cycle in re.findall(r"\(([^()]*)\)", text)[::-1]:
        numbers = [int(number) for number in cycle.split()]
        step = dict(zip(numbers, [*numbers[1:], numbers[0]], strict=True))
        going = {start: step.get(going.get(start, start), going.get(start, start)) for start in going | step}
    return {start: end for start, end in going.items() if start != end}


def word(text: str) -> list[tuple[str, str]] | None:
    """The factors of a product of matrices, one of them inverse or transposed: `(AB)^{-1}` is `B^{-1}A^{-1}`.

    None for other texts, and for products of units and dimensions, whose order does not count.
    """
    found: list[tuple[str, str]] = []
    at = 0
    for factor in _FACTOR.finditer(text):
        if factor.start() != at:
            return None
        at = factor.end()
        if factor[1]:
            found += [(letter, "-1" if factor[2] == "-1" else "T") for letter in reversed(factor[1])]
        elif factor[3]:
            power = factor[4] or ""
            found.append((factor[3], "T" if power and power != "-1" else power))
    matrices = any(power for _, power in found) and len({letter for letter, _ in found}) > 1
    if at != len(text) or not matrices or _DIMENSIONS & {letter for letter, _ in found}:
        return None
    return found
