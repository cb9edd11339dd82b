"""Our own reader of answers: cleaned LaTeX or plain text to a tree, in linear time, evaluating nothing.

`read(text)` gives a node of `tree` or raises `Unreadable`. It reads what answers consist of: numbers (with
separators, decimals, repeating decimals, scientific notation, mixed numbers, percents, currency, units,
bases, times, ratios), terms with the usual functions, relations and chains of them, tuples, intervals,
sets, unions, set builders, lists joined by commas, `and`, `or` or semicolons, matrices, labels
(`x = …`, `Minimum: …`), and words.

Where a writing has two meanings the caller asks for one: `commas` says whether `1,234` is a number, two
numbers, or a decimal. Depth is bounded by `DEPTH`, length by the caller. What it does not read (sums,
integrals, limits, derivatives, piecewise definitions, arrows, logic) is `Unreadable`.
"""

from __future__ import annotations

import re
from fractions import Fraction

from tracegen.verify import commands, exact, units, words
from tracegen.verify.latex import clean
from tracegen.verify.numerals import based
from tracegen.verify.tokens import ORDINAL, Commas, Token, letter, tokens
from tracegen.verify.tree import (
    Clock,
    Const,
    Group,
    Labelled,
    Matrix,
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
    is_set,
    symbols,
)  # fmt: skip
from tracegen.verify.vocabulary import FUNCTIONS, INVERTIBLE, listed

DEPTH = 64
"""Nesting that is read; deeper is Unreadable. Each level is some ten frames of Python's stack."""


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
    "simeq": "~", "cong": "=", "propto": "propto", "subset": "subset", "subseteq": "subset", "notin": "notin",
}  # fmt: skip
CLOSING = {"(": ")", "[": "]", "\\{": "\\}", "{": "}"}
COMMENT = re.compile(r"(?:for|where|when|with|such that|provided|respectively)\b", re.IGNORECASE)


_OPENING = listed("all any the either both about approximately approx roughly around nearly exactly")
"""Words before a value that leave it as it is."""
_BOUNDS = {
    "at least": "ge", "no less than": "ge", "not less than": "ge", "minimum of": "ge", "more than": ">",
    "greater than": ">", "at most": "le", "no more than": "le", "not more than": "le", "less than": "<",
    "fewer than": "<",
}  # fmt: skip
_OR_MORE = {"more": "ge", "greater": "ge", "above": "ge", "less": "le", "fewer": "le", "below": "le"}


class Parser:
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

    # answers and items

    def answer(self) -> Node:
        """Everything: items by semicolons, of items by commas and words."""
        outer: list[list[Node]] = [[]]
        wide = False
        joints = set[str]()
        seps = {token.text for token in self.tokens if token.kind == "sep"}
        while self.peek() is not None:
            if self.accept(";"):
                wide = True
                outer.append([])
            elif (joint := self.separator()) is not None:
                joints.add(joint)
                if joint == "or" and "and" in seps:  # `1 and 9, or 3 and 7`
                    outer.append([])
            else:
                outer[-1].append(self.item())
        groups = [group for group in outer if group]
        if not groups:
            raise Unreadable("nothing")
        nested = len(groups) > 1 and len({len(group) for group in groups}) == 1 and len(groups[0]) > 1
        if (wide and any(len(group) > 1 for group in groups)) or nested:
            return Seq(
                tuple(group[0] if len(group) == 1 else Group("(", ")", tuple(group)) for group in groups)
            )
        items = _filled([node for group in groups for node in group])
        match items:
            case [Num() as number, Words(text=text)] if text.strip() in _OR_MORE and "or" in joints:
                return _beyond(_OR_MORE[text.strip()], number)
        words_between = joints & {"and", "or"}
        joined = words_between.pop() if len(words_between) == 1 else ""
        return items[0] if len(items) == 1 else Seq(_same_modulus(items), joined)

    def separator(self) -> str | None:
        """What separates two items, if the next token does: `and`, `or`, or an empty string for signs."""
        token = self.peek()
        if token is None or not self._at_separator() or token.text == ";":
            return None
        self.at += 1
        return token.text if token.kind == "sep" else ""

    def item(self) -> Node:
        """One item: an optional label, a relation or value, an optional unit and comment."""
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
        self.accept("approx", "=", "therefore")
        node = self.relation()
        self._skip_domain()
        self._skip_comment()
        token = self.peek()
        if token is None or self._at_separator() or (isinstance(node, Quantity) and token.kind == "num"):
            return node
        raise Unreadable(f"{token.text} after an item")

    def _at_separator(self) -> bool:
        token = self.peek()
        return token is None or token.kind == "sep" or token.text in (",", ";", "quad", "qquad", "&", "\\")

    def _label(self) -> str | None:
        """`Minimum:` or `Maximum =` before a value; words only."""
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

    def _bound(self) -> str:
        """`at least`, `more than` or a lone sign before a number, as a sign."""
        token = self.peek()
        if token is not None and token.kind in ("op", "cmd") and token.text in ("<", ">", "le", "ge"):
            self.at += 1
            return token.text
        for size in (3, 2):
            following = self.peek(size)
            words_read = " ".join(token.text for token in self.tokens[self.at : self.at + size])
            if following is not None and following.kind in ("num", "op") and words_read in _BOUNDS:
                self.at += size
                return _BOUNDS[words_read]
        return ""

    def _skip_domain(self) -> None:
        """`(k ∈ Z)` after a value."""
        if self._at_domain():
            while not self.accept(")"):
                self.take()

    def _at_domain(self) -> bool:
        """Whether a parenthesis says what a letter ranges over."""
        ahead, depth = 0, 0
        if not self.sees("("):
            return False
        while (token := self.peek(ahead)) is not None and ahead < 24:
            depth += (token.text == "(") - (token.text == ")") if token.kind == "op" else 0
            if not depth:
                return False
            if token.kind == "cmd" and token.text == "in" and depth == 1:
                return True
            ahead += 1
        return False

    def _skip_comment(self) -> None:
        token = self.peek()
        if token is not None and token.kind in ("text", "word") and COMMENT.match(token.text.strip(" ,(")):
            while (
                self.peek() is not None and not self.sees(",", ";") and (self.peek() or token).kind != "sep"
            ):
                self.at += 1

    # relations

    def relation(self) -> Node:
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
        half = found[1] + "m" if found else ""
        written = [token.text for token in self.tokens[self.at : at]]
        if not half and (len(parts) == 1 or not any(text.startswith("0") for text in written[2::2])):
            return None
        self.at = at
        while half and not self._at_separator():
            self.at += 1
        padded = [*parts, 0, 0][:3]
        return Clock(padded[0] * 3600 + padded[1] * 60 + padded[2], half)

    def _with_unit(self, node: Node) -> Node:
        """A unit or a counted thing after a value: words up to the end of the item, with powers and `/`."""
        token = self.peek()
        if token is None or token.kind not in ("text", "word") or COMMENT.match(token.text):
            return node
        parts: list[str] = []
        while (token := self.peek()) is not None and not self._at_separator():
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
        if symbols(node) and unit and units.read(unit) is None:  # `a right angle`
            raise Unreadable("words after a symbol")
        return Quantity(node, unit) if unit else node

    # sets and sums

    def union(self) -> Node:
        node = self.sum()
        while (
            (token := self.peek()) is not None
            and token.kind == "cmd"
            and token.text in ("cup", "cap", "setminus")
        ):
            self.at += 1
            node = Op(token.text, (node, self.sum()))
        return node

    def sum(self) -> Node:
        terms = [self._signed_product()]
        while (
            (token := self.peek()) is not None
            and token.kind in ("op", "cmd")
            and token.text in ("+", "-", "pm", "mp")
        ):
            self.at += 1
            right = self._signed_product()
            if token.text in ("pm", "mp"):
                terms = [Op(token.text, (_flat("add", terms), right))]
            elif token.text == "-" and len(terms) == 1 and is_set(terms[0]):
                terms = [Op("setminus", (terms[0], right))]
            else:
                terms.append(right if token.text == "+" else Op("neg", (right,)))
        return _flat("add", terms)

    def _signed_product(self) -> Node:
        token = self.peek()
        if token is not None and token.kind in ("op", "cmd") and token.text in ("+", "-", "pm", "mp"):
            self.at += 1
            self.enter()
            inner = self._signed_product()
            self.depth -= 1
            if token.text == "+":
                return inner
            return Op("neg" if token.text == "-" else token.text, (inner,))
        return self.product()

    def product(self) -> Node:
        factors, divisions = [self.factor()], 0
        while (token := self.peek()) is not None:
            if token.kind in ("op", "cmd") and token.text in ("*", "cdot", "times"):
                self.at += 1
                factors.append(self._operand())
            elif token.kind in ("op", "cmd") and (
                token.text in ("/", "div", "mod", "bmod") or self._divides(token)
            ):
                self.at += 1
                divisions += 1
                if divisions > DEPTH:
                    raise Unreadable("too deeply nested")
                right = self._operand()
                factors = [self._divided(_flat("mul", factors), right, token.text)]
            elif self._starts_factor(token):
                factors = self._juxtaposed(factors, token)
            else:
                break
        return _flat("mul", factors)

    def _operand(self) -> Node:
        if self.accept("-"):
            return Op("neg", (self.factor(),))
        self.accept("+")
        return self.factor()

    def _divides(self, token: Token) -> bool:
        """A colon in parentheses is a division; outside it separates a ratio."""
        return token.text == ":" and self.inside > 0 and not self.bars

    def _divided(self, left: Node, right: Node, sign: str) -> Node:
        """`a / b`, `a mod b`; `1 1/2` is a mixed number."""
        if sign in ("mod", "bmod"):
            return Op("mod", (left, right))
        if isinstance(left, Op) and left.name == "spaced" and isinstance(right, Num):
            whole, top = left.args
            if isinstance(top, Num) and top.value < right.value:
                return Op("add", (whole, Op("div", (top, right))))
            raise Unreadable("two numbers side by side")
        return Op("div", (left, right))

    def _starts_factor(self, token: Token) -> bool:
        if token.kind in ("num", "sym", "const"):
            return True
        if token.kind == "cmd":
            return token.text in FUNCTIONS or token.text in commands.ATOMS
        if token.kind != "op":
            return False
        following = self.peek(1)
        if token.text == "(" and following is not None and following.text.strip() in ("mod", "modulo"):
            return False
        if token.text == "(" and self._at_domain():
            return False
        if token.text == "[":
            return not self.turned
        return token.text in ("(", "{") or (token.text == "|" and not self.bars)

    def _juxtaposed(self, factors: list[Node], token: Token) -> list[Node]:
        """One more factor, side by side with the last: a product, or the rest of a mixed number."""
        left, right = factors[-1], self.factor()
        if len(factors) == 1 and isinstance(left, Num) and left.decimals < 0 and left.value.denominator == 1:
            mixed = _mixed(left, right) if token.text == "frac" else None
            if mixed is not None:
                return [mixed]
            if isinstance(right, Num) and right.decimals < 0 and token.kind == "num" and self.sees("/"):
                return [Op("spaced", (left, right))]
        if isinstance(right, Num) and token.kind == "num" and isinstance(left, Num):
            raise Unreadable("two numbers side by side")
        return [*factors, right] if len(factors) < 50 else [_flat("mul", factors), right]

    # factors

    def factor(self) -> Node:
        return self._postfix(self.atom())

    def _postfix(self, node: Node) -> Node:
        while (token := self.peek()) is not None:
            if token.kind == "op" and token.text == "!" and not self._means_unequal():
                self.at += 1
                node = Op("factorial", (node,))
            elif token.text in ("\\%", "%") or (token.kind == "cmd" and token.text == "%"):
                self.at += 1
                node = Op("percent", (node,))
            elif token.kind == "op" and token.text == "'":
                self.at += 1
                node = Sym(node.name + "'") if isinstance(node, Sym) else Op("prime", (node,))
            elif token.kind == "op" and token.text == "_":
                self.at += 1
                node = self._subscript(node)
            elif token.kind == "op" and token.text == "^":
                self.at += 1
                node = self._power(node)
            elif token.kind == "cmd" and token.text == "circ":
                self.at += 1
                node = Quantity(node, self._degree())
            elif token.kind == "cmd" and token.text in ("$",):
                self.at += 1
                node = Quantity(node, "$")
            elif token.kind == "op" and token.text in units.SIGNS:
                self.at += 1
                node = Quantity(node, token.text)
            elif (
                token.kind == "word"
                and not token.spaced
                and ORDINAL.match(token.text)
                and isinstance(node, Num)
            ):
                self.at += 1
            else:
                return node
        return node

    def _means_unequal(self) -> bool:
        """`! =` is a factorial and a sign of equality only with a space between."""
        following = self.peek(1)
        return following is not None and following.text == "=" and not following.spaced

    def _subscript(self, node: Node) -> Node:
        name = self.script()
        if isinstance(node, Num):
            return based(node, name)
        if isinstance(node, Sym):
            return Sym(f"{node.name}_{name}")
        if isinstance(node, Op) and node.name == "pow" and isinstance(node.args[0], Sym):  # v^2_0
            return Op("pow", (Sym(f"{node.args[0].name}_{name}"), node.args[1]))
        if isinstance(node, Const) and len(node.name) == 1:
            return node if node.name.isupper() else Sym(f"{node.name}_{name}")
        raise Unreadable("a subscript that belongs to nothing")

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

    def _power(self, node: Node) -> Node:
        """What follows `^`: an exponent, degrees, primes or an ordinal's ending."""
        token = self.peek()
        if token is not None and token.kind == "cmd" and token.text in ("circ", "prime"):
            self.at += 1
            return self._marked(node, token.text)
        if isinstance(node, Matrix | Group) and token is not None and token.text in ("T", "top", "t"):
            self.at += 1
            return Op("transpose", (node,)) if isinstance(node, Matrix) else node
        if self.accept("{"):
            token = self.peek()
            if token is not None and self.sees("circ", "prime"):
                self.at += 1
                self.expect("}")
                return self._marked(node, token.text)
            if token is not None and token.kind in ("text", "word") and ORDINAL.match(token.text):
                self.at += 1
                self.expect("}")
                return node
            exponent = self.relation()
            self.expect("}")
            return Op("pow", (node, exponent))
        if token is not None and token.kind in ("text", "word") and ORDINAL.match(token.text):
            self.at += 1
            return node
        if self.accept("-"):
            return Op("pow", (node, Op("neg", (self._exponent(),))))
        return Op("pow", (node, self._exponent()))

    def _exponent(self) -> Node:
        """One token or bracket, with its own power: `2^3^4` is `2^(3^4)`."""
        self.enter()
        node = self.atom()
        if self.accept("^"):
            node = self._power(node)
        self.depth -= 1
        return node

    def _degree(self) -> str:
        """The unit that the sign for a degree begins: an angle's, or `°C`."""
        token, following = self.peek(), self.peek(1)
        if token is None or token.text.strip() not in ("C", "F") or (following and following.text == "="):
            return "°"
        self.at += 1
        return "°" + token.text.strip()

    def _marked(self, node: Node, mark: str) -> Node:
        if mark == "circ":
            return Quantity(node, self._degree())
        return Sym(node.name + "'") if isinstance(node, Sym) else Quantity(node, "'")

    def atom(self) -> Node:
        self.enter()
        node = self._atom()
        self.depth -= 1
        return node

    def _atom(self) -> Node:
        token = self.take()
        if token.node is not None:
            return self._called(token)
        if token.kind == "op":
            return self._bracket(token)
        if token.kind == "cmd":
            if token.text in FUNCTIONS:
                return self._function(token.text)
            if token.text in commands.ATOMS:
                return commands.ATOMS[token.text](self)
        if token.kind == "text" and re.fullmatch(r"[A-Za-z]", token.text):
            return letter(token.text)
        raise Unreadable(f"{token.text!r} where a value is needed")

    def _called(self, token: Token) -> Node:
        """A number or symbol; `f(x)`, `g(n)` are values of an unknown function."""
        assert token.node is not None  # noqa: S101 - the caller looked
        if not (isinstance(token.node, Sym) and token.text in ("f", "g") and self.sees("(")):
            return token.node
        self.at += 1
        args = [self.relation()]
        while self.accept(","):
            args.append(self.relation())
        self.expect(")")
        return Op(f"call {token.text}", tuple(args))

    def _bracket(self, token: Token) -> Node:
        if token.text == "{":
            node = self.listed("}")
            return node[0] if len(node) == 1 else Seq(tuple(node))
        if token.text in ("(", "[", "]"):
            return self._parenthesis(token.text)
        if token.text == "|":
            self.bars += 1
            node_inside = self.sum()
            self.bars -= 1
            self.expect("|")
            return Op("abs", (node_inside,))
        if token.text in ("$",) or token.text in units.SIGNS:
            return Quantity(self.factor(), token.text)
        raise Unreadable(f"{token.text!r} where a value is needed")

    def listed(self, *closing: str) -> list[Node]:
        """Items up to one of `closing`, which is taken."""
        bars, self.bars = self.bars, 0
        self.inside += 1
        items: list[Node] = []
        while not self.accept(*closing):
            if self.separator() is not None or self.accept(";"):
                continue
            self._skip_stray()
            if self.accept(*closing):
                break
            items.append(self._inner_item(closing))
            if self.accept("choose"):
                items[-1] = Op("binom", (items[-1], self._inner_item(closing)))
            if not (self._at_separator() or self.sees(*closing)):
                raise Unreadable("two values side by side")
        self.bars, self.inside = bars, self.inside - 1
        if not items:
            raise Unreadable("empty brackets")
        return _filled(items)

    def _inner_item(self, closing: tuple[str, ...]) -> Node:
        words: list[str] = []
        while (token := self.peek()) is not None and token.kind in ("word", "text"):
            words.append(token.text)
            self.at += 1
        if words and (self._at_separator() or self.sees(*closing)):
            return Words(" ".join(words))
        if words:
            raise Unreadable("words before a value")
        node = self.relation()
        self._skip_stray()
        return node

    def _skip_stray(self) -> None:
        while self.sees("."):
            self.at += 1

    def _turned(self) -> bool:
        """Whether an interval ends in a bracket turned outwards: `]1, 2[`, `[1, 2[`."""
        depth = 0
        for at in range(self.at, len(self.tokens)):
            text = self.tokens[at].text
            if self.tokens[at].kind == "op" and text in "([])":
                if not depth and text in "[])":
                    return text == "[" and at > self.at and self.tokens[at - 1].text not in ",;("
                depth += 1 if text == "(" else -1 if text == ")" else 0
        return False

    def _parenthesis(self, left: str) -> Node:
        if left in "[]" and self._turned():
            self.turned += 1
            items = self.listed("[")
            self.turned -= 1
            return Group("(" if left == "]" else "[", ")", tuple(items))
        items = self.listed(")", "]")
        left = "(" if left == "]" else left
        right = self.tokens[self.at - 1].text
        if len(items) == 1:
            if left + right not in ("()", "[]"):
                raise Unreadable("brackets that do not match")
            if left == "[" and isinstance(items[0], Group):
                return Group(left, right, tuple(items))
            return items[0]
        return Group(left, right, tuple(items))

    def _function(self, name: str) -> Node:
        """`\\sin x`, `\\sin^2 x`, `\\log_2 x`; without parentheses up to the end of the product."""
        base: Node | None = None
        power: Node | None = None
        while self.sees("_", "^"):
            if self.accept("_"):
                base = self._exponent() if not self.sees("{") else self._braced()
            else:
                self.at += 1
                power = self._exponent() if not self.sees("{") else self._braced()
        if name in ("max", "min", "gcd", "lcm"):
            return self._of_many(name)
        argument = self._argument()
        match power:
            case Op(name="neg", args=(Num(value=one),)) if one == 1 and name in INVERTIBLE:
                return Op("arc" + name, (argument,))
        node = Op(name, (argument,) if base is None else (argument, base))
        return node if power is None else Op("pow", (node, power))

    def _braced(self) -> Node:
        self.expect("{")
        node = self.relation()
        self.expect("}")
        return node

    def _of_many(self, name: str) -> Node:
        if self.sees("="):
            return Sym(name)
        token = self.take()
        if token.text not in ("(", "\\{", "{"):
            raise Unreadable(f"{name} without brackets")
        return Op(name, tuple(self.listed(CLOSING[token.text])))

    def _argument(self) -> Node:
        if self.sees("(") or self.sees("{") or self.sees("["):
            return self._postfix_power(self.atom())
        node = (
            self._postfix(self.atom()) if not self.accept("-") else Op("neg", (self._postfix(self.atom()),))
        )
        while (token := self.peek()) is not None:
            if token.kind in ("num", "sym", "const") or (
                token.kind == "cmd" and token.text in ("frac", "sqrt")
            ):
                node = Op("mul", (node, self.factor()))
            elif token.kind == "op" and token.text == "/" and not isinstance(node, Op):
                self.at += 1
                node = Op("div", (node, self.factor()))
            else:
                break
        return node

    def _postfix_power(self, node: Node) -> Node:
        return node


def _flat(name: str, nodes: list[Node]) -> Node:
    """One node for many terms or factors, so that a long sum is no deep tree."""
    return nodes[0] if len(nodes) == 1 else Op(name, tuple(nodes))


def _beyond(sign: str, end: Node) -> Node:
    """All numbers on one side of `end`."""
    infinity = Const("infinity")
    if sign in ("ge", ">"):
        return Group("[" if sign == "ge" else "(", ")", (end, infinity))
    return Group("(", "]" if sign == "le" else ")", (Op("neg", (infinity,)), end))


MAX_FILLED = 1000
"""Numbers that dots may stand for."""


def _filled(items: list[Node]) -> list[Node]:
    """`1, 2, …, 10` written out; dots that stand for anything else stay."""
    for at in range(1, len(items) - 1):
        if items[at] != Const("dots"):
            continue
        before = [_whole(item) for item in items[max(0, at - 2) : at]]
        end = _whole(items[at + 1])
        if None in before or end is None:
            return items
        known = [one for one in before if one is not None]
        step = known[-1] - known[0] if len(known) == 2 else 1
        missing = range(known[-1] + step, end, step) if step else range(0)
        if not step or (end - known[-1]) % step or len(missing) > MAX_FILLED:
            return items
        numbers = [Num(Fraction(number)) for number in missing]
        return [*items[:at], *numbers, *_filled(items[at + 1 :])]
    return items


def _whole(node: Node) -> int | None:
    number = exact.plain_value(node) if isinstance(node, Num | Op) and not symbols(node) else None
    return int(number) if number is not None and number.denominator == 1 else None


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


def _mixed(whole: Num, part: Node) -> Node | None:
    """`1 1/2`, also `33 1/3 %` and `22 1/2 °`; None where the part is not a proper fraction."""
    match part:
        case Op(name="div") if _is_proper(part):
            return Op("add", (whole, part))
        case Op(name="percent", args=(Op(name="div") as inner,)) if _is_proper(inner):
            return Op("percent", (Op("add", (whole, inner)),))
        case Quantity(value=Op(name="div") as inner, unit=unit) if _is_proper(inner):
            return Quantity(Op("add", (whole, inner)), unit)
        case _:
            return None


def _is_proper(node: Op) -> bool:
    """A fraction of two whole numbers, the upper one smaller."""
    top, bottom = node.args
    return (
        isinstance(top, Num) and isinstance(bottom, Num) and top.decimals < 0 and 0 < top.value < bottom.value
    )
