"""Cleaned text to tokens, in linear time."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from tracegen.verify import units
from tracegen.verify.latex import clean
from tracegen.verify.numerals import lettered, number, repeating, scientific
from tracegen.verify.tree import Const, Node, Sym, Unreadable
from tracegen.verify.vocabulary import FUNCTIONS, GREEK, OTHER_NAMES, SHORT_WORDS

Commas = Literal["thousands", "separator", "decimal"]
"""What `1,234` is: one number, two numbers, or a decimal."""


class Token(msgspec.Struct, frozen=True):
    """kind: num, word (letters to be read as words), text, cmd, sym (one letter) or op (anything else)."""

    kind: str
    text: str
    spaced: bool
    """White space stands before it."""
    node: Node | None = None


_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<text>\\text\s*\{)"
    r"|(?P<repeat>\d*+\.\d*+\s*\\(?:overline|bar|dot)\s*(?:\{\s*\d+\s*\}|\d)(?:\d*\\dot\s*(?:\{\s*\d\s*\}|\d))?|\d*+\.\d*+\(\d+\)|\d++\.\d++(?:\.\.\.|…|\\dots))"
    r"|(?P<sci>(?>\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+(?![A-Za-z\d]))"
    r"|(?P<based>\(?(?:(?=[A-F]*\d)[\dA-F]*[A-F][\dA-F]*\)?\s*_\s*\{?\s*1[1-6](?!\d)|[A-F]{2,}\)?\s*_\s*\{?\s*16(?!\d))\s*\}?|0[xX][\dA-Fa-f]+(?![A-Za-z]))"
    r"|(?P<num>\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<cmd>\\[A-Za-z]+|\\.)"
    r"|(?P<foreign>[A-Za-z]*[^\W\d_A-Za-z][^\W\d_]+|[\u3040-\u9fff\uac00-\ud7af])"
    r"|(?P<word>[A-Za-z]+)"
    r"|(?P<rel><=|>=|!=|==|=<|=>|:=)"
    r"|(?P<op>\*\*|.)",
    re.DOTALL,
)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,]*\d)")
_DECIMAL_COMMA = re.compile(r"\d+,\d+")
ORDINAL = re.compile(r"(?:st|nd|rd|th)\Z", re.IGNORECASE)


def tokens(text: str, commas: Commas = "separator") -> list[Token]:
    """Tokens of cleaned text. Raises Unreadable for a number that is too long or an open `\\text{`."""
    found: list[Token] = []
    at, spaced = 0, False
    while at < len(text):
        if commas != "separator" and text[at].isdigit() and (at == 0 or text[at - 1] not in ".,"):
            pattern = _GROUPED if commas == "thousands" else _DECIMAL_COMMA
            if grouped := pattern.match(text, at):
                plain = grouped[0].replace(",", "" if commas == "thousands" else ".")
                found.append(Token("num", plain, spaced, number(plain)))
                at, spaced = grouped.end(), False
                continue
        match = _TOKEN.match(text, at)
        assert match is not None  # noqa: S101 - the last alternative takes any character
        at = match.end()
        kind = match.lastgroup or "op"
        if kind == "space":
            spaced = True
            continue
        if kind == "text":
            end = _closing(text, at)
            found.extend(_text_tokens(text[at:end], spaced))
            at = end + 1
        elif kind == "word" and (
            (_SEGMENT.match(match[0]) and not (found and found[-1].kind == "num"))
            or _EXPONENTIAL.match(text, match.start())
            or (ORDINAL.match(match[0]) and text[: match.start()].endswith(_BEFORE_FACTORS))
        ):
            found.extend(_symbols(match[0], spaced))
        else:
            found.extend(_token(kind, match[0], spaced))
        spaced = False
    return [_unit_name(found, index) for index in range(len(found))]


def _unit_name(found: list[Token], index: int) -> Token:
    """`min` after a number is a minute, not a minimum."""
    token = found[index]
    following = found[index + 1].text if index + 1 < len(found) else ""
    measured = (
        token.kind == "cmd" and token.text in ("min", "deg") and following not in ("(", "{", "_", "\\{")
    )
    return Token("word", token.text, True) if measured and index else token


def _closing(text: str, at: int) -> int:
    depth = 1
    for match in re.finditer(r"\\.|[{}]", text[at:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return at + match.start()
    raise Unreadable("a text without its end")


def _token(kind: str, text: str, spaced: bool) -> list[Token]:
    if kind == "num":
        return [Token("num", text, spaced, number(text))]
    if kind == "sci":
        return [Token("num", text, spaced, scientific(text))]
    if kind == "based":
        return [Token("num", text, spaced, lettered(text))]
    if kind == "repeat":
        return [Token("num", text, spaced, repeating(text))]
    if kind == "foreign":
        return [Token("word", text, spaced)]
    if kind == "word":
        return _letters(text, spaced)
    if kind == "cmd":
        name = OTHER_NAMES.get(text[1:], text[1:])
        if name == "pi":
            return [Token("const", "pi", spaced, Const("pi"))]
        if name in GREEK:
            return [Token("sym", name, spaced, Sym(name))]
        return [Token("cmd", name, spaced)]
    return [Token("op", _SIGNS.get(text, text), spaced)]


_SIGNS = {"**": "^", "<=": "le", ">=": "ge", "=<": "le", "!=": "ne", "==": "=", ":=": "="}


def _letters(text: str, spaced: bool) -> list[Token]:
    """A run of letters outside \\text: a known name, a word, or a product of one-letter symbols."""
    lower = text.lower()
    if lower in ("and", "or"):
        return [Token("sep", lower, spaced)]
    if text in FUNCTIONS or text in ("sqrt", "mod"):
        return [Token("cmd", text, spaced)]
    if text in OTHER_NAMES:
        return [Token("cmd", OTHER_NAMES[text], spaced)]
    if lower in ("infinity", "inf", "oo"):
        return [Token("const", "infinity", spaced, Const("infinity"))]
    if text == "pi":
        return [Token("const", "pi", spaced, Const("pi"))]
    if text in GREEK:
        return [Token("sym", text, spaced, Sym(text))]
    if len(text) == 1:
        return [Token("sym", text, spaced, letter(text))]
    if text[-2:] == "pi" and len(text) <= 3:
        return [*_letters(text[:-2], spaced), Token("const", "pi", False, Const("pi"))]
    if is_word(text):
        return [Token("word", text, spaced)]
    return _symbols(text, spaced)


def _symbols(text: str, spaced: bool) -> list[Token]:
    return [Token("sym", char, spaced and index == 0, letter(char)) for index, char in enumerate(text)]


_SEGMENT = re.compile(r"[A-Z]{2}\Z")
"""Two points, such as MB, which is a unit after a number only."""
_BEFORE_FACTORS = ("{", "(", "+", "-", "*", "/", "=")
"""Signs after which `st` is a product, and not what makes `1` the first."""
_EXPONENTIAL = re.compile(r"[A-Z]e\s*\^")
"""`Be^x`, which is no word."""
_PRODUCT = re.compile(r"[A-Za-z]{2}\Z|[abcdkmnpqrtuvwxyzijs]{3}\Z|[A-Z]{3,4}\Z")


def is_word(text: str) -> bool:
    """Letters that are words or units rather than a product of symbols."""
    cased = text.islower() or text.isupper() or text.istitle() or text in units.MIXED_CASE
    if (
        (cased and units.known(text) is not None)
        or ORDINAL.match(text)
        or (text.lower() in SHORT_WORDS and not text.isupper())
    ):
        return True
    inner_capitals = text[1:] != text[1:].lower() and not text.isupper() and len(text) < 5
    return not (_PRODUCT.match(text) or inner_capitals)


def letter(char: str) -> Node:
    """A single letter: a constant or a variable."""
    return Const(char) if char in ("e", "i") else Sym(char)


def _text_tokens(text: str, spaced: bool) -> list[Token]:
    """What `\\text{…}` holds: separators, names of functions, numbers, single letters, else words."""
    inside = text.strip().strip("{}").strip()
    inside = OTHER_NAMES.get(inside, inside)
    if inside in FUNCTIONS:
        return [Token("cmd", inside, spaced)]
    found: list[Token] = []
    pieces = re.split(r"(\band\b|\bor\b|[,;]|\\text)", inside)
    for piece in pieces:
        piece = piece.strip(" {}")
        if piece in ("and", "or"):
            found.append(Token("sep", piece, True))
        elif piece in (",", ";"):
            found.append(Token("op", piece, True))
        elif re.fullmatch(r"[-+]?\$?\d[\d,]*(?:\.\d+)?\s*\\?%?|\d{1,2}:\d\d\b[\s\w.:]{0,12}", piece):
            found.extend(tokens(clean(piece), "thousands"))
        elif counted := re.match(r"[-+]?\d[\d,]*(?:\.\d+)?(?=\s+[A-Za-z]{2})", piece):
            found.extend(tokens(clean(counted[0]), "thousands"))
            found.append(Token("text", piece[counted.end() :].strip(), True))
        elif piece and piece != "\\text":
            found.append(Token("text", piece, True))
    return found
