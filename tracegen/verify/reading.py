"""A text to every tree that it may mean, and whether it is words or prose instead."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from tracegen.verify import exact, words
from tracegen.verify.composed import read_composed, read_numbered
from tracegen.verify.expression import read_cleaned
from tracegen.verify.extract import NUMBER
from tracegen.verify.latex import balanced, clean, unwrapped
from tracegen.verify.phrases import in_signs
from tracegen.verify.tree import Group, Node, Num, Quantity, Seq, Unreadable, Words
from tracegen.verify.vocabulary import NOT_PROSE, listed


def readings(text: str) -> list[Node]:
    """Every way to read `text`: with commas between thousands, between items, or before decimals."""
    cleaned = in_signs(clean(text))
    spelled = words.number(text) if words.plain(text) else None
    found: list[Node] = [] if spelled is None else [Num(spelled)]
    wanted: list[Any] = ["separator"]
    if re.search(r"\d,\d{3}(?!\d)", cleaned) and (", " in cleaned or not _IN_BRACKETS.search(cleaned)):
        wanted.insert(0, "thousands")
    if re.fullmatch(r"[-+]?\d+,(?:\d{1,2}|\d{4,})(?:\s*[^\d,]*)?", cleaned):
        wanted.append("decimal")
    if _OPTIONS.fullmatch(cleaned):
        found.append(Seq(tuple(Num(Fraction(int(digit))) for digit in re.findall(r"\d", cleaned))))
    if cleaned != clean(text) and not re.search(r"[\d<>=^|]", text) and is_text(text):
        found.append(Words(clean(text)))
    for commas in wanted:
        try:
            node = read_composed(cleaned, commas) or read_cleaned(cleaned, commas)
        except (Unreadable, ValueError, RecursionError):
            continue
        if node not in found:
            found.append(node)
    for other in (_groups, read_numbered):
        try:
            items = other(cleaned)
        except (Unreadable, ValueError, RecursionError):
            continue
        if items is not None and items not in found:
            found.append(items)
    return found


def _groups(cleaned: str) -> Node | None:
    """`5, 12, 13 and 6, 8, 10` as tuples, which is one reading of it; None for any other text."""
    plain = unwrapped(cleaned)
    pieces = [piece.strip(" ,").split(",") for piece in re.split(r";|\band\b|\bor\b", plain)]
    size = len(pieces[0])
    if not 1 < len(pieces) <= 20 or size < 2 or any(len(piece) != size for piece in pieces):
        return None
    if not all(_ITEM.fullmatch(item) for piece in pieces for item in piece):
        return None
    return Seq(tuple(Group("(", ")", tuple(map(read_cleaned, piece))) for piece in pieces))


_ITEM = re.compile(r"\s*-?(?:\d[\d.]{0,20}|\\frac\s*\{\d{1,9}\}\s*\{\d{1,9}\}|\d{1,9}/\d{1,9})\s*")
"""A number of a tuple that is written without brackets."""
_OPTIONS = re.compile(r"\(\d\)(?:\s*\(\d\))+")
"""`(1)(3)`: numbers of statements, unless it is a product."""
_IN_BRACKETS = re.compile(r"[(\[{][^()\[\]{}]*\d,\d{3}(?!\d)")


_COMMANDS = re.compile(r"\\(?!text)[A-Za-z]+")


def is_text(text: str) -> bool:
    """Words that can be compared as words: letters, balanced, more of them than of mathematics."""
    cleaned = clean(text)
    plain = _COMMANDS.sub(" ", cleaned.replace("\\text", " "))
    letters = re.findall(r"[^\W\d_]{2,}", plain)
    lone = re.fullmatch(r"\W*\w\W*", plain)
    return (
        balanced(cleaned)
        and (bool(letters) or bool(lone))
        and len(letters) >= len(_COMMANDS.findall(cleaned))
    )


def is_prose(text: str) -> bool:
    """A text with words in it that are no names of functions, units or the like."""
    cleaned = clean(text)
    inside = " ".join(re.findall(r"\\text\s*\{([^{}]*)\}", cleaned))
    outside = _COMMANDS.sub(" ", re.sub(r"\\text\s*\{[^{}]*\}", " ", cleaned))
    found = re.findall(r"[^\W\d_]{3,}", f"{inside} {outside}")
    return any(word.lower() not in NOT_PROSE for word in found)


def _number(text: str) -> Node:
    found = readings(text)
    return found[0] if found else Seq(())


def numbers_said(reference: str, answer: str) -> bool:
    """Whether an answer lists just the numbers, two or more, that a sentence gives, in their order.

    Other words than those of the sentence say something else: `local minimum at (0,0)`.
    """
    said = NUMBER.findall(clean(reference)) if is_prose(reference) else []
    within = _BETWEEN.search(clean(reference))
    if not 2 <= len(said) <= 10 or (within and not (within[0] == "between" and re.search(r"[(\[]", answer))):
        return False
    ends = [re.sub(r"[^()\[\]]", "", clean(side)) for side in (reference, answer)]
    if all(ends) and ends[0] != ends[1]:
        return False
    if _named_in_turn(clean(reference), answer, said):
        return True
    if not set(words.normal(answer).split()) - set(words.normal(reference).split()) <= _JOINING:
        return False
    for node in readings(answer):
        items = node.items if isinstance(node, Seq | Group) else ()
        bare = [item.value if isinstance(item, Quantity) else item for item in items]
        values = [exact.plain_value(item) for item in bare]
        if None not in values and values == [exact.plain_value(node) for node in map(_number, said)]:
            return True
    return False


_BETWEEN = re.compile(
    r"\b(?:between|except|excluding|other than|modulo|not)\b|\bfrom\b.*\bto\b", re.IGNORECASE
)
"""What makes the numbers of a sentence something else than what it says."""
_JOINING = listed("and or")
_NAMED = re.compile(
    r"\s*(?:the )?([^\W\d_][^\d:=]{1,30}?)\s*[:=]\s*\$?\s*(\d[\d,]*(?:\.\d+)?)\s*(?:[^\W\d_]+|\$)?\s*"
)


def _named_in_turn(sentence: str, answer: str, said: list[str]) -> bool:
    """Whether an answer is just `bat: 50, ball: 12`: each name in the sentence, and its number after it."""
    bare = unwrapped(clean(answer))
    pieces = [_NAMED.fullmatch(piece) for piece in re.split(r"[,;](?!\d{3})|\band\b", bare)]
    if len(pieces) != len(said) or None in pieces:
        return False
    rest, wanted = sentence.lower(), {}
    for number in said:
        before, _, rest = rest.partition(number.lower())
        wanted[before] = number
    for piece in pieces:
        assert piece is not None  # noqa: S101 - looked above
        name = re.compile(rf"\b{re.escape(piece[1].strip().lower())}s?\b")
        found = [before for before in wanted if name.search(before)]
        if len(found) != 1:
            return False
        if exact.plain_value(_number(piece[2])) != exact.plain_value(_number(wanted.pop(found[0]))):
            return False
    return True
