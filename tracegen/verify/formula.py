"""Formulas: sums, products, powers, brackets and functions, with the commands of `commands`.

What stands between formulas (relations, units, lists, words) is read by `expression`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from fractions import Fraction

from tracegen.verify import commands, exact, units
from tracegen.verify.cursor import DEPTH, Cursor
from tracegen.verify.numerals import based
from tracegen.verify.tokens import ORDINAL, Token, letter
from tracegen.verify.tree import (
    Const,
    Group,
    Matrix,
    Node,
    Num,
    Op,
    Quantity,
    Seq,
    Sym,
    Unreadable,
    Words,
    is_set,
    symbols,
)
from tracegen.verify.vocabulary import FUNCTIONS, INVERTIBLE

CLOSING = {"(": ")", "[": "]", "\\{": "\\}", "{": "}"}


class Formula(Cursor, ABC):
    """Recursive descent from a union of sets down to a single token."""

    @abstractmethod
    def relation(self) -> Node:
        """What an argument or element may be: a formula, or a relation between some."""

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
                terms = [Op(token.text, (flat("add", terms), right))]
            elif token.text == "-" and len(terms) == 1 and is_set(terms[0]):
                terms = [Op("setminus", (terms[0], right))]
            else:
                terms.append(right if token.text == "+" else Op("neg", (right,)))
        return flat("add", terms)

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
                factors = [self._divided(flat("mul", factors), right, token.text)]
            elif self._starts_factor(token):
                factors = self._juxtaposed(factors, token)
            else:
                break
        return flat("mul", factors)

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
        if token.text == "(" and self.at_domain():
            return False
        if token.text == "[":
            return not self.turned
        return token.text in ("(", "{") or (token.text == "|" and not self.bars)

    def at_domain(self) -> bool:
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
        return [*factors, right] if len(factors) < 50 else [flat("mul", factors), right]

    # factors

    def factor(self) -> Node:
        return self._postfix(self.atom())

    def _postfix(self, node: Node) -> Node:
        while (token := self.peek()) is not None:
            if token.kind == "op" and token.text == "!" and not self._means_unequal():
                self.at += 1
                double = self.sees("!") and not self._means_unequal()
                self.at += double
                node = Op("double factorial" if double else "factorial", (node,))
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
            if (
                isinstance(node, Matrix)
                and token is not None
                and token.text in ("T", "top")
                and self.sees("}", ahead=1)
            ):
                self.at += 2
                return Op("transpose", (node,))
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
            if not (self.at_separator() or self.sees(*closing)):
                raise Unreadable("two values side by side")
        self.bars, self.inside = bars, self.inside - 1
        if not items:
            raise Unreadable("empty brackets")
        return filled(items)

    def _inner_item(self, closing: tuple[str, ...]) -> Node:
        words: list[str] = []
        while (token := self.peek()) is not None and token.kind in ("word", "text"):
            words.append(token.text)
            self.at += 1
        if words and (self.at_separator() or self.sees(*closing)):
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
        if name in INVERTIBLE and self.sees("(") and isinstance(argument, Num):
            argument = Op("mul", (argument, self.factor()))  # `sin 2(x - 1)`
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


def flat(name: str, nodes: list[Node]) -> Node:
    """One node for many terms or factors, so that a long sum is no deep tree."""
    return nodes[0] if len(nodes) == 1 else Op(name, tuple(nodes))


MAX_FILLED = 1000
"""Numbers that dots may stand for."""


def filled(items: list[Node]) -> list[Node]:
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
        return [*items[:at], *numbers, *filled(items[at + 1 :])]
    return items


def _whole(node: Node) -> int | None:
    number = exact.plain_value(node) if isinstance(node, Num | Op) and not symbols(node) else None
    return int(number) if number is not None and number.denominator == 1 else None


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
