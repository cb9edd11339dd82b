"""Our own reader of answers: cleaned LaTeX or plain text to a tree, in linear time, evaluating nothing.

`read(text)` gives a node of `tree` or raises `Unreadable`. It reads what answers consist of: numbers (with
separators, decimals, repeating decimals, scientific notation, mixed numbers, percents, currency, units,
bases, times, ratios, congruences), terms with the usual functions, finite sums, functions by cases,
relations and chains of them, tuples, intervals, sets, unions, set builders, lists joined by commas, `and`,
`or` or semicolons, matrices, labels (`x = …`, `Minimum: …`), and words. Formulas are read by `formula`.

Where a writing has two meanings the caller asks for one: `commas` says whether `1,234` is a number, two
numbers, or a decimal. Depth is bounded by `DEPTH`, length by the caller. What it does not read (infinite
sums, integrals, limits, derivatives, arrows, logic) is `Unreadable`.
"""

from __future__ import annotations

import re
from fractions import Fraction

from tracegen.verify import commands, units, words
from tracegen.verify.formula import Formula, filled
from tracegen.verify.latex import clean
from tracegen.verify.names import each_excluded
from tracegen.verify.numerals import based
from tracegen.verify.tokens import ORDINAL, Commas, tokens
from tracegen.verify.tree import (
    Clock,
    Const,
    Group,
    Labelled,
    Node,
    Num,
    Op,
    Quantity,
    Ratio,
    Rel,
    Residue,
    Seq,
    Sym,
    Unreadable,
    Words,
    symbols,
)  # fmt: skip
from tracegen.verify.vocabulary import DENIALS, OPPOSED, QUANTIFIERS, TURNS, listed


def read(text: str, commas: Commas = "separator") -> Node:
    """The tree of `text`, as the module's docstring says."""
    return read_cleaned(clean(text), commas)


def read_cleaned(text: str, commas: Commas = "separator") -> Node:
    """The tree of a text without dressing. Raises Unreadable."""
    found = tokens(text, commas)
    if not found:
        raise Unreadable("nothing")
    return Parser(found).answer()


RELATIONS = {
    "=": "=", "<": "<", ">": ">", "le": "<=", "ge": ">=", "ne": "!=", "in": "in", "approx": "~", "equiv": "=",
    "sim": "~",
    "parallel": "parallel", "perp": "perp",
    "simeq": "~", "cong": "=", "propto": "propto", "subset": "subset", "subseteq": "subset", "notin": "notin",
}  # fmt: skip
COMMENT = re.compile(
    r"(?:for|where|when|with|at|attained|achieved|such that|provided|respectively)\b", re.IGNORECASE
)


_OPENING = listed("all any the either both about approximately approx roughly around nearly exactly")
"""Words before a value that leave it as it is."""
_MEASURED = listed(
    "maximum minimum max min mean median mode area perimeter volume length width height radius"
)
"""Names of what a number after them measures."""
_PLACED = listed("center centre vertex focus point midpoint centroid")
"""Names of what a pair after them places."""
_CHANGING = TURNS | listed(
    "of half twice double triple than when if for to with by minus plus times sum square"
)
"""Words that change what a formula after them says."""
_TELLING = DENIALS | OPPOSED | QUANTIFIERS | {"inverse", "derivative", "asymptote", "directrix"}
"""Words that tell one statement about a formula from another."""
_BOUNDS = {
    "at least": "ge", "no less than": "ge", "not less than": "ge", "minimum of": "ge", "more than": ">",
    "greater than": ">", "at most": "le", "no more than": "le", "not more than": "le", "less than": "<",
    "fewer than": "<",
}  # fmt: skip
_OR_MORE = {"more": "ge", "greater": "ge", "above": "ge", "less": "le", "fewer": "le", "below": "le"}


_NO_UNITS = listed("plus minus over divided choose factorial root squared cubed if unless otherwise")
"""Words after a number that change it."""


class Parser(Formula):
    """Answers: items, their names, relations and units."""

    # answers and items

    def answer(self) -> Node:
        """Everything: items by semicolons, of items by commas and words."""
        outer: list[list[Node]] = [[]]
        wide = False
        joints = set[str]()
        order = list[str]()
        seps = {token.text for token in self.tokens if token.kind == "sep"}
        while self.peek() is not None:
            if self.accept(";"):
                wide = True
                outer.append([])
            elif (joint := self.separator()) is not None:
                joints.add(joint)
                order.append(joint)
                if joint == "or" and "and" in seps:  # `1 and 9, or 3 and 7`
                    outer.append([])
            else:
                outer[-1].append(self.item())
        if len(order) > 2 and order == (["and", ""] * len(order))[: len(order)] and len(outer) == 1:
            outer = [outer[0][at : at + 2] for at in range(0, len(outer[0]), 2)]  # `1 and 4, 2 and 5`
        groups = [group for group in outer if group]
        if not groups:
            raise Unreadable("nothing")
        nested = len(groups) > 1 and len({len(group) for group in groups}) == 1 and len(groups[0]) > 1
        if (wide and any(len(group) > 1 for group in groups)) or nested:
            return Seq(
                tuple(group[0] if len(group) == 1 else Group("(", ")", tuple(group)) for group in groups)
            )
        items = each_excluded(filled([node for group in groups for node in group]))
        match items:
            case [Num() as number, Words(text=text)] if text.strip() in _OR_MORE and "or" in joints:
                return _beyond(_OR_MORE[text.strip()], number)
        words_between = joints & {"and", "or"}
        joined = words_between.pop() if len(words_between) == 1 else ""
        return items[0] if len(items) == 1 else Seq(_same_modulus(items), joined)

    def item(self) -> Node:
        """One item: an optional label, a relation or value, an optional unit and comment."""
        if self.sees("forall", "exists"):
            return self._statement()
        label = self._label()
        if label is not None:
            return Labelled(label, self.item())
        words = self._only_words()
        if words is not None:
            return words
        bound = self._bound()
        if bound:
            return _beyond(bound, self.relation())
        self._skip_opening_words()
        introduction = self._introduction()
        if introduction:
            return Labelled(introduction, self.item())
        self.accept("approx", "=", "therefore")
        node = self.relation()
        self._skip_domain()
        self._skip_comment()
        token = self.peek()
        if token is None or self.at_separator() or (isinstance(node, Quantity) and token.kind == "num"):
            return node
        raise Unreadable(f"{token.text} after an item")

    def _statement(self) -> Node:
        """`\\forall x > 0, 3^x > x^2`."""
        quantifier = self.take().text
        binder = self.relation()
        while (token := self.peek()) is not None and (
            self.at_separator() or self.sees(":") or token.text in ("such that", "st", "s.t")
        ):
            self.at += 1
        return Op(quantifier, (binder, self.relation()))

    def _label(self) -> str | None:
        """`Minimum:`, `Maximum =` or `maximum` before a value; words only."""
        at, words = self.at, list[str]()
        while (token := self.peek(at - self.at)) is not None and token.kind in ("word", "text"):
            words.append(token.text)
            at += 1
        token = self.peek(at - self.at)
        text = " ".join(words)
        if token is None and text.endswith(":"):
            return None
        if words and text.endswith(":") and token is not None:
            self.at = at
            return text.rstrip(": ")
        if (
            words
            and token is not None
            and token.kind == "op"
            and token.text in (":", "=")
            and len(text.split()) <= 6
        ):
            self.at = at + 1
            return text
        measured = (
            token is not None and token.kind == "num" and text.lower().removesuffix(" value") in _MEASURED
        )
        if measured or (self.sees("(", ahead=at - self.at) and text.lower() in _PLACED):
            self.at = at
            return text
        return None

    def _only_words(self) -> Words | None:
        """Nothing but words up to the next separator or the end."""
        at, words = self.at, list[str]()
        while (token := self.peek(at - self.at)) is not None and not (
            token.kind == "sep" or token.text in (",", ";", "quad", "qquad", "&", "\\")
        ):
            if token.kind not in ("word", "text"):
                return None
            words.append(token.text)
            at += 1
        if not words:
            return None
        self.at = at
        return Words(" ".join(words))

    def _skip_opening_words(self) -> None:
        while (
            (token := self.peek()) is not None
            and token.kind in ("text", "word")
            and token.text.lower().strip() in _OPENING
        ):
            self.at += 1

    def _introduction(self) -> str:
        """Words before a named value are passed: `the identity function f(x) = x`; not `half of x = 3`.

        Those that tell it from another, as in `minimum at x = 3`, are given back as a label.
        """
        at, said = 0, list[str]()
        while (token := self.peek(at)) is not None and token.kind in ("text", "word"):
            said += token.text.lower().split()
            at += 1
        after = self.peek(at)
        if not said or after is None or not isinstance(after.node, Sym) or _CHANGING & set(said):
            return ""
        called = (
            self.sees("(", ahead=at + 1) and self.sees(")", ahead=at + 3) and self.sees("=", ahead=at + 4)
        )
        if not called and not self.sees("=", ahead=at + 1):
            return ""
        self.at += at
        return " ".join(said) if _TELLING & set(said) else ""

    def _bound(self) -> str:
        """`at least`, `more than` or a lone sign before a number, as a sign."""
        token = self.peek()
        if token is not None and token.kind in ("op", "cmd") and token.text in ("<", ">", "le", "ge"):
            self.at += 1
            return token.text
        for size in (3, 2, 1):
            following = self.peek(size)
            words_read = " ".join(token.text for token in self.tokens[self.at : self.at + size])
            if following is not None and following.kind in ("num", "op") and words_read in _BOUNDS:
                self.at += size
                return _BOUNDS[words_read]
        return ""

    def _skip_domain(self) -> None:
        """`(k ∈ Z)` after a value."""
        if self.at_domain():
            while not self.accept(")"):
                self.take()

    def _skip_comment(self) -> None:
        """Words after a value that leave it as it is: `for all x`; not `for some x`, `for odd n`."""
        token, end = self.peek(), 0
        if token is None or token.kind not in ("text", "word") or not COMMENT.match(token.text.strip(" ,(")):
            return
        said = set[str]()
        while (token := self.peek(end)) is not None and token.text not in (",", ";") and token.kind != "sep":
            said.update(token.text.lower().split())
            end += 1
        if not _TELLING & said:
            self.at += end

    # relations

    def relation(self) -> Node:
        mapped = self._mapping()
        if mapped is not None:
            return mapped
        sides, ops = [self._definition() or self.ratio()], list[str]()
        while (token := self.peek()) is not None and token.kind in ("op", "cmd") and token.text in RELATIONS:
            self.at += 1
            ops.append(RELATIONS[token.text])
            side = self.ratio()
            if token.text == "equiv" and isinstance(side, Op) and side.name == "mod":
                side = Residue(*side.args)
            if token.text == "in" and isinstance(side, Sym) and side.name in "RZNQC":
                side = Const(side.name)
            sides.append(side)
        if ops and not any(symbols(side) for side in sides):  # the eccentricity of `1/2 < e < 1`
            sides = [Sym("e") if side == Const("e") else side for side in sides]
        modulus = self._modulus()
        if modulus is not None:
            sides[-1] = Residue(sides[-1], modulus)
        return Rel(tuple(ops), tuple(sides)) if ops else sides[0]

    def _mapping(self) -> Node | None:
        """`x \\mapsto 1 - x`, `f: x \\mapsto 1 - x` as `f(x) = 1 - x`."""
        token, named = self.peek(), 2 * self.sees(":", ahead=1)
        argument = self.peek(named)
        if token is None or argument is None or not self.sees("mapsto", ahead=named + 1):
            return None
        if not isinstance(token.node, Sym) or not isinstance(argument.node, Sym):
            return None
        self.at += named + 2
        return Rel(("=",), (Op("call f", (argument.node,)), self.ratio()))

    def _modulus(self) -> Node | None:
        """`\\pmod{7}`, `(mod 7)`, `mod 7`."""
        if self.accept("pmod"):
            return commands.argument(self)
        bracket = self.sees("(")
        token = self.peek(1) if bracket else self.peek()
        if token is None or token.text.strip() not in ("mod", "modulo"):
            return None
        self.at += 2 if bracket else 1
        modulus = self.sum()
        if bracket:
            self.expect(")")
        return modulus

    def _definition(self) -> Node | None:
        """The left side of `F(x, y) = …`, `f'(x) = …`, `f^{-1}(x) = …`, whatever the name of the function."""
        name = self.peek()
        if name is None or not isinstance(name.node, Sym):
            return None
        called, at = name.node.name, 1
        while self.sees("'", ahead=at):
            called, at = called + "'", at + 1
        if self.sees("^", ahead=at) and self.sees("{", ahead=at + 1):
            closing = next((ahead for ahead in range(at + 2, at + 8) if self.sees("}", ahead=ahead)), None)
            if closing is None:
                return None
            called += "^" + "".join(token.text for token in self.tokens[self.at + at + 2 : self.at + closing])
            at = closing + 1
        if not self.sees("(", ahead=at):
            return None
        args: list[Node] = []
        at += 1
        while (token := self.peek(at)) is not None and (token.kind in ("num", "sym") or token.text == ","):
            if token.node is not None:
                args.append(token.node)
            at += 1
        if not args or not self.sees(")", ahead=at) or not self.sees("=", "approx", ahead=at + 1):
            return None
        self.at += at + 1
        return Op(f"call {called}", tuple(args))

    def ratio(self) -> Node:
        clock = self._clock()
        if clock is not None:
            return clock
        parts = [self.union()]
        while (not self.bars and self.accept(":")) or self._accept_to():
            parts.append(self.union())
        return self._with_unit(parts[0] if len(parts) == 1 else Ratio(tuple(parts)))

    def _accept_to(self) -> bool:
        """The word of `2 to 3`."""
        token, following = self.peek(), self.peek(1)
        if token is None or token.kind not in ("word", "text") or token.text.strip() != "to":
            return False
        if following is None or following.kind != "num":
            return False
        self.at += 1
        return True

    def _clock(self) -> Clock | None:
        """`7:05`, `12:00:30`, with or without am and pm."""
        parts, at = list[int](), self.at
        while (
            (token := self.peek(at - self.at)) is not None
            and token.kind == "num"
            and re.fullmatch(r"\d{1,2}", token.text)
        ):
            if parts and len(token.text) != 2:
                return None
            parts.append(int(token.text))
            following = self.peek(at + 1 - self.at)
            at += 1
            if following is None or following.kind != "op" or following.text != ":":
                break
            at += 1
        if len(parts) not in (1, 2, 3) or any(part > 59 for part in parts[1:]) or parts[0] > 24:
            return None
        following_text = " ".join(
            token.text if token.kind in ("text", "word", "sym") else "." for token in self.tokens[at : at + 4]
        )
        found = re.match(r"([ap])\s*m\b", following_text.lower().replace(".", " ").strip())
        half = found[1] + "m" if found else _half_of_day(following_text)
        written = [token.text for token in self.tokens[self.at : at]]
        if not half and (len(parts) == 1 or not any(text.startswith("0") for text in written[2::2])):
            return None
        self.at = at
        while half and not self.at_separator():
            if re.match(r"on\b|\w+day\b", self.tokens[self.at].text.lower()):
                raise Unreadable("a time of some day")
            self.at += 1
        padded = [*parts, 0, 0][:3]
        return Clock(padded[0] * 3600 + padded[1] * 60 + padded[2], half)

    def _with_unit(self, node: Node) -> Node:
        """A unit or a counted thing after a value: words up to the end of the item, with powers and `/`."""
        token = self.peek()
        if token is None or token.kind not in ("text", "word") or COMMENT.match(token.text):
            return node
        parts: list[str] = []
        while (token := self.peek()) is not None and not self.at_separator():
            if token.kind in ("text", "word"):
                if parts and COMMENT.match(token.text):
                    break
                parts.append(token.text)
            elif token.kind == "num" and units.known(parts[-1]) is not None:
                break  # `5 feet 3 inches`
            elif token.text in ("^", "/", "{", "}", "-", "(", ")", ".", "cdot") or token.kind in (
                "num",
                "sym",
                "const",
            ):
                parts.append(token.text)
            else:
                break
            self.at += 1
        unit = (
            re.sub(r"\s+", " ", " ".join(parts))
            .replace(" ^ ", "^")
            .replace("{ ", "{")
            .replace(" }", "}")
            .strip()
        )
        if ORDINAL.match(unit.partition(" ")[0]):
            unit = unit.partition(" ")[2]
        scale, _, rest = unit.partition(" ")
        if scale.lower() in words.SCALES and not symbols(node):
            node, unit = Op("mul", (node, Num(Fraction(words.SCALES[scale.lower()])))), rest
        if unit.lower() in ("percent", "pct", "percentage", "per cent", "percentage points"):
            return Op("percent", (node,))
        base = re.fullmatch(r"\(?\s*base\s+(\w+)\s*\)?", unit, re.IGNORECASE)
        if base is not None and isinstance(node, Num):
            return based(node, base[1])
        if unit.partition(" ")[0].lower() in _NO_UNITS:
            raise Unreadable("words that are no unit")
        if symbols(node) and unit and units.read(unit) is None:  # `a right angle`
            raise Unreadable("words after a symbol")
        return Quantity(node, unit) if unit else node


def _half_of_day(text: str) -> str:
    """`am` or `pm` of `in the morning`, `in the evening`; else an empty string."""
    found = re.match(r"in the (morning|afternoon|evening)\b", " ".join(text.lower().split()))
    return "" if found is None else "am" if found[1] == "morning" else "pm"


def _beyond(sign: str, end: Node) -> Node:
    """All numbers on one side of `end`."""
    infinity = Const("infinity")
    if sign in ("ge", ">"):
        return Group("[" if sign == "ge" else "(", ")", (end, infinity))
    return Group("(", "]" if sign == "le" else ")", (Op("neg", (infinity,)), end))


def _same_modulus(items: list[Node]) -> tuple[Node, ...]:
    """`x = 1, 4 (mod 5)`: the modulus that ends a list belongs to all of it."""
    last = items[-1].sides[-1] if isinstance(items[-1], Rel) else items[-1]
    if not isinstance(last, Residue):
        return tuple(items)
    ours: list[Node] = []
    for item in items:
        match item:
            case Residue():
                ours.append(item)
            case Rel(ops=ops, sides=(*sides, side)):
                side = side if isinstance(side, Residue) else Residue(side, last.modulus)
                ours.append(Rel(ops, (*sides, side)))
            case _:
                ours.append(Residue(item, last.modulus))
    return tuple(ours)
