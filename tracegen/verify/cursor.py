"""Tokens in a row, with a place in them: looking ahead, taking, and what separates items."""

from __future__ import annotations

from tracegen.verify.tokens import Token
from tracegen.verify.tree import Unreadable

DEPTH = 64
"""Nesting that is read; deeper is Unreadable. Each level is some ten frames of Python's stack."""


class Cursor:
    """Recursive descent over tokens."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.at = 0
        self.depth = 0
        self.bars = 0
        self.inside = 0
        self.turned = 0

    # tokens

    def peek(self, ahead: int = 0) -> Token | None:
        index = self.at + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise Unreadable("an end too early")
        self.at += 1
        return token

    def sees(self, *texts: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token is not None and token.kind in ("op", "cmd", "sep") and token.text in texts

    def accept(self, *texts: str) -> bool:
        if self.sees(*texts):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise Unreadable(f"no {text} where one is needed")

    def enter(self) -> None:
        self.depth += 1
        if self.depth > DEPTH:
            raise Unreadable("too deeply nested")

    def separator(self) -> str | None:
        """What separates two items, if the next token does: `and`, `or`, or an empty string for signs."""
        token = self.peek()
        if token is None or not self.at_separator() or token.text == ";":
            return None
        self.at += 1
        return token.text if token.kind == "sep" else ""

    def at_separator(self) -> bool:
        token = self.peek()
        return token is None or token.kind == "sep" or token.text in (",", ";", "quad", "qquad", "&", "\\")

    def script(self) -> str:
        """The text of a subscript, without white space and braces."""
        if not self.accept("{"):
            return self.take().text
        parts, depth = list[str](), 1
        while depth:
            token = self.take()
            depth += {"{": 1, "}": -1}.get(token.text, 0) if token.kind == "op" else 0
            if token.text not in ("{", "}"):
                parts.append(token.text)
        return "".join(parts).strip()
