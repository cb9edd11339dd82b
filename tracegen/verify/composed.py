"""Answers composed of several: numbered parts, values with their conditions in words, permutations.

- `(a) 12 (b) 18`, `1) x = 3; 2) x = 5`: a list whose items are named by their numbers;
- `n/2 if n is even, (n-1)/2 if n is odd`: a function by cases;
- `(1, 2, 3) and its permutations`: the list of all of them.
"""

from __future__ import annotations

import re
from itertools import permutations

from tracegen.verify import words
from tracegen.verify.expression import read_cleaned
from tracegen.verify.latex import unwrapped
from tracegen.verify.names import SHORT, label
from tracegen.verify.tokens import Commas
from tracegen.verify.tree import Cases, Group, Node, Rel, Seq, Sym, Unreadable, Words
from tracegen.verify.vocabulary import SMALL_WORDS, TURNS

MAX_CHARACTERS = 1_000


def read_composed(cleaned: str, commas: Commas = "separator") -> Node | None:
    """The tree of a composed answer; None for any other. Raises Unreadable where a part cannot be read."""
    if len(cleaned) > MAX_CHARACTERS:
        return None
    return _numbered(cleaned, commas) or _by_cases(cleaned, commas) or _permuted(cleaned, commas)


def _plain(cleaned: str) -> str:
    """Without `\\text`, with single spaces."""
    return " ".join(unwrapped(cleaned).split())


# --- numbered parts --------------------------------------------------------------------------------

_MARK = re.compile(
    r"(?:(?<=[\s;,.}])|\A)(?:\\text\s*\{\s*)?(?:part\s*)?\(?\s*(\d|[a-h]|i{1,3}|iv|v)\s*\)(?:\s*\})?[\s:.]",
    re.I,
)
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5}


def read_numbered(cleaned: str, commas: Commas = "separator") -> Node | None:
    """Numbered parts by their numbers alone, whatever names the parts have; None for any other text."""
    items = _parts(cleaned, commas) if len(cleaned) <= MAX_CHARACTERS else []
    parts = (Rel(("=",), (Sym(f"part {place}"), node)) for place, node in enumerate(items, 1))
    return Seq(tuple(parts)) if items else None


def _numbered(cleaned: str, commas: Commas) -> Node | None:
    items = _parts(cleaned, commas)
    names = [label(node) for node in items]
    if not items or (len(set(names)) == len(names) and None not in names):
        return Seq(tuple(items)) if items else None
    return Seq(tuple(_called(place, node, names) for place, node in enumerate(items, 1)))


def _parts(cleaned: str, commas: Commas) -> list[Node]:
    """What stands after each number; nothing where there are no parts. Raises Unreadable."""
    marks = list(_MARK.finditer(cleaned))
    if len(marks) < 2 or marks[0].start() or not _in_sequence([mark[1] for mark in marks]):
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(cleaned)]
    texts = [cleaned[mark.end() : end].strip(" ,;.") for mark, end in zip(marks, ends, strict=True)]
    texts = [
        re.sub(r"(?:,|;|\band|\\text\s*\{\s*(?:and)?\s*\}?|\\q?quad)\s*\Z", "", text).strip(" ,;.")
        for text in texts
    ]
    return [_part(text, commas) for text in texts] if all(texts) else []


def _called(place: int, node: Node, names: list[str | None]) -> Node:
    """A part under its number; one with a name of its own keeps that, one with a shared name loses it."""
    name = label(node)
    inner = node.sides[-1] if name and names.count(name) > 1 and isinstance(node, Rel) else node
    return node if name and names.count(name) == 1 else Rel(("=",), (Sym(f"part {place}"), inner))


def _in_sequence(marks: list[str]) -> bool:
    """1, 2, 3 or a, b, c or i, ii, iii."""
    places = range(1, len(marks) + 1)
    if any(mark.isupper() for mark in marks):
        return False
    return (
        marks == [str(place) for place in places]
        or [ord(mark[0]) - 96 for mark in marks] == list(places)
        or [_ROMAN.get(mark) for mark in marks] == list(places)
    )


def _part(text: str, commas: Commas) -> Node:
    return Words(text) if words.plain(text) else read_cleaned(text, commas)


# --- named values ----------------------------------------------------------------------------------

_BETWEEN_NAMES = re.compile(
    r"\s*(?:[,;.]|\b(?:and|while|whereas)\b)(?:\s+(?:and|the|its|while|a|an)\b)*\s+(?=\\(?:max|min)\b|[A-Za-z]{3})"
)
_BRACKETED = re.compile(r"[(\[][^()\[\]]*[)\]]")
_NAMED = re.compile(
    r"(?:the |its |\\(?=max|min))?([A-Za-z]{3,}(?: [a-z]{2,}){0,3}?)"
    r"(?: (?:value|number|is|are|has|have|gets|costs|equals|will be))*\s*[:=]?(?<![a-z])(?<=[\s:=])\s*"
    r"([^A-Za-z\s].{0,80})",
    re.IGNORECASE,
)


def named_values(cleaned: str) -> dict[str, str]:
    """`The maximum is 5 and the minimum is -1` as values by name; empty for any other text."""
    plain = _plain(cleaned).strip(" .")
    clauses = _BETWEEN_NAMES.split(plain) if len(plain) <= MAX_CHARACTERS else []
    found = [_NAMED.fullmatch(clause) for clause in clauses]
    if len(found) < 2:
        return {}
    values: dict[str, str] = {}
    for clause in found:
        if clause is None:
            return {}
        name = words.normal(clause[1])
        name, said = SHORT.get(name, name), set(re.findall(r"(?<!\\)\b[a-z]{2,}", clause[2].lower()))
        if name in values or said & (TURNS | SMALL_WORDS) or len(said) > 2:
            return {}
        values[name] = clause[2]
    lists = [value for value in values.values() if re.search(r"[,;]|\band\b", _BRACKETED.sub("", value))]
    return values if len(lists) < 2 else {}  # whose items belong together


# --- cases -----------------------------------------------------------------------------------------

_IF = r"(?:,\s*)?(?:if|when|for)\s+(?:all\s+)?"
_PARITY = re.compile(
    r"([A-Za-z])\s*(?:is\s+)?(?:an?\s+)?(odd|even)(?:\s+(?:integer|number))?|(odd|even)\s+([A-Za-z])", re.I
)


def _by_cases(cleaned: str, commas: Commas) -> Node | None:
    plain = _plain(cleaned)
    pieces = re.split(_IF, plain)
    if not 3 <= len(pieces) <= 6:
        return None
    name, _, first = pieces[0].rpartition("=")
    pieces[0] = first
    rows: list[tuple[Node, Node]] = []
    value = pieces[0]
    for index, piece in enumerate(pieces[1:], 1):
        condition, following = (piece, "") if index == len(pieces) - 1 else _condition_and_next(piece)
        if not condition or (not following and index < len(pieces) - 1):
            return None
        rows.append((read_cleaned(value.strip(" ,;"), commas), _condition(condition)))
        value = following
    cases = Cases(tuple(rows))
    return Rel(("=",), (read_cleaned(name), cases)) if name.strip() else cases


def _condition_and_next(piece: str) -> tuple[str, str]:
    """`n is even, and n - 1` as the condition and the value after it."""
    parity = _PARITY.match(piece)
    if parity:
        return parity[0], re.sub(r"\A[\s,;.]*(?:and\b|or\b)?[\s,]*", "", piece[parity.end() :])
    parts = re.split(r"\s*[,;]\s*(?:and\s+|or\s+)?|\s+and\s+", piece)
    return (parts[0], parts[1]) if len(parts) == 2 else ("", "")


def _condition(text: str) -> Node:
    parity = _PARITY.fullmatch(text.strip(" .,;"))
    if parity is None:
        node = read_cleaned(text)
        if not isinstance(node, Rel):
            raise Unreadable("a condition that is none")
        return node
    return Words(f"{(parity[1] or parity[4])} {(parity[2] or parity[3]).lower()}")


# --- permutations ----------------------------------------------------------------------------------

_PERMUTED = re.compile(
    r"[ ,;(]*\b(?:(?:and|or|with|plus|up to|along with|together with|all|its|their|the|of) ){0,4}"
    r"(cyclic )?permutations?(?: thereof| of (?:it|them|these|this))?[ .)]*\Z",
    re.IGNORECASE,
)
_LEADING = re.compile(r"(?:all )?(?:the )?(cyclic )?permutations of (\(.{1,200})", re.IGNORECASE)
"""`all permutations of (1, 2, 3)`."""
_MAX_SIZE = 5


def _permuted(cleaned: str, commas: Commas) -> Node | None:
    plain = _plain(cleaned)
    if leading := _LEADING.fullmatch(plain):
        plain = f"{leading[2]} and {leading[1] or ''}permutations"
    found = _PERMUTED.search(plain) if "permutation" in plain else None
    if found is None or not found.start():
        return None
    node = read_cleaned(plain[: found.start()], commas)
    inner = node.sides[-1] if isinstance(node, Rel) else node
    items = inner.items if isinstance(inner, Seq) else (inner,)
    whole: list[Node] = []
    for item in items:
        if not isinstance(item, Group) or len(item.items) > _MAX_SIZE:
            raise Unreadable("permutations of something else")
        size = len(item.items)
        orders = (
            [item.items[at:] + item.items[:at] for at in range(size)]
            if found[1]
            else permutations(item.items)
        )
        whole += [Group(item.left, item.right, tuple(order)) for order in orders]
    return Seq(tuple(dict.fromkeys(whole)))
