"""Which calls the tests will make, so that they can be asked for at once instead of one by one.

The tests are run twice: first against a candidate whose every answer is an object that agrees with
everything, in a fork that is thrown away, to see the calls; then for real, with the answers at hand.
Foresight decides nothing: the first call that is not the foreseen one, or a foreseen call that is not
made, ends the judgement, and it is started again without foresight.

A large literal is taken out of the source before anything walks its tree: most of the tests' text is data.
"""

from __future__ import annotations

import ast
import contextlib
import json
import marshal
import os
import random
import re
import select
import signal
import sys
import time
import types
from collections.abc import Callable, Iterable
from typing import Any

MOST = 4000
"""Calls that are foreseen at most."""
MOST_BYTES = 8 << 20
SECONDS = 1.0
LARGE = 1000
"""Characters of a literal that is worth taking out."""
ASSIGNMENT = re.compile(rf"^([A-Za-z_]\w*) = ([\[{{(].{{{LARGE},}}[\]}})])[ \t]*$", re.MULTILINE)


# --- literals --------------------------------------------------------------------------------------


def trimmed(source: str) -> tuple[str, list[Any]]:
    """The source with its large top-level literals taken out, as `name = __literals__[0]`, and these."""
    literals: list[Any] = []

    def take(found: re.Match[str]) -> str:
        try:
            literals.append(literal(found[2]))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return found[0]
        return f"{found[1]} = __literals__[{len(literals) - 1}]"

    return ASSIGNMENT.sub(take, source), literals


def literal(text: str) -> Any:
    """The value of a Python literal; raises ValueError where it is not one."""
    as_json = like_json(text)
    if as_json:
        with contextlib.suppress(ValueError):
            return json.loads(as_json, parse_constant=refuse)
    code = compile(text, "literal", "eval")
    if code.co_names or any(isinstance(held, types.CodeType) for held in code.co_consts):
        raise ValueError("not a literal")
    return eval(code, {"__builtins__": {}})  # noqa: S307 - a dataset's literal, in the judge's container


def like_json(text: str) -> str:
    """The same value as JSON, which is read ten times faster; empty where that is not plain to see."""
    words = "True" in text or "False" in text or "None" in text
    if "\\" in text or "(" in text or (words and ("'" in text or '"' in text)):
        return ""
    if words:
        return text.replace("True", "true").replace("False", "false").replace("None", "null")
    if "'" in text:
        return "" if '"' in text else text.replace("'", '"')
    return text


def refuse(name: str) -> Any:
    """`NaN` and `Infinity` are names in Python."""
    raise ValueError(name)


# --- calls -----------------------------------------------------------------------------------------


class Foreseen:
    """The calls still to be made, in their order."""

    def __init__(self, calls: list[tuple[bytes, bytes]]) -> None:
        self.keys = [key for key, _ in reversed(calls)]
        self.questions = [question for _, question in calls]

    def is_next(self, key: bytes) -> bool:
        """Whether this is the next call; it is not expected again then."""
        return bool(self.keys) and self.keys.pop() == key


def key(question: Any) -> bytes:
    """What tells one question from another: types, values, order; empty where that cannot be told."""
    try:
        return marshal.dumps(question, 2)
    except ValueError:
        return b""


class Enough(BaseException):
    """Nothing more can be foreseen."""


class Seen:
    """What a rehearsal has seen."""

    def __init__(self) -> None:
        self.calls: list[tuple[bytes, bytes]] = []
        self.size = 0
        self.expected: set[bytes] = set()
        """What answers were compared with so far."""
        self.apart = False
        """One of that is an argument of a later call, which would give an answer away."""

    def add(self, found: bytes, question: bytes) -> None:
        """Notes a call; raises Enough where it is one too many."""
        self.size += len(question) + len(found)
        if self.size > MOST_BYTES or len(self.calls) >= MOST:
            raise Enough
        self.calls.append((found, question))

    def given(self, args: Iterable[Any]) -> None:
        """Notes the arguments of a call."""
        if self.expected and not self.apart:
            self.apart = any(key(arg) in self.expected for arg in args)

    def expect(self, value: Any) -> None:
        """Notes what an answer is compared with."""
        if not slight(value):
            self.expected |= {key(value)} - {b""}


def slight(x: Any) -> bool:
    """A value that occurs twice by chance, or whose parts are not looked at."""
    kind = type(x)
    if kind in (int, float):
        return abs(x) < 10
    return kind not in (str, bytes, list, tuple, set, dict) or not 1 < len(x) < 1000


def rehearse(seen: Seen, run: Callable[[], object], *, here: bool) -> list[tuple[bytes, bytes]]:
    """The calls that `run` makes, seen `here`, or in a fork from which nothing else comes back."""
    if here:
        with contextlib.suppress(Exception, Enough):
            run()
        return seen.calls
    reader, writer = os.pipe()
    chance, numpy = random.getstate(), sys.modules.get("numpy")
    more_chance = numpy.random.get_state() if numpy else None
    pid = os.fork()
    if pid == 0:
        try:
            random.setstate(chance)  # which a fork seeds anew
            if numpy:
                numpy.random.set_state(more_chance)
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            with contextlib.suppress(BaseException):
                run()
            data = memoryview(marshal.dumps((seen.calls, seen.apart)))
            while data:
                data = data[os.write(writer, data) :]
        finally:
            os._exit(0)
    os.close(writer)
    said, end = bytearray(), time.monotonic() + SECONDS
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while True:
        left = end - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            said.clear()
            break
        data = os.read(reader, 1 << 20)
        if not data:
            break
        said += data
    os.close(reader)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        found: list[tuple[bytes, bytes]] = []
        if said:
            found, seen.apart = marshal.loads(said)  # noqa: S302 - our fork's
    except (ValueError, EOFError, TypeError):
        return []
    return found


PURE = {
    "abs", "all", "any", "bin", "bool", "bytes", "chr", "complex", "dict", "divmod", "enumerate", "float",
    "frozenset", "hex", "int", "isinstance", "len", "list", "max", "min", "oct", "ord", "pow", "print",
    "range", "repr", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "type", "zip",
}  # fmt: skip
CLEAN = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assert, ast.Assign, ast.For, ast.If,
    ast.Pass, ast.Expr, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Call, ast.keyword,
    ast.Constant, ast.Name, ast.Starred, ast.Subscript, ast.Slice, ast.List, ast.Tuple, ast.Set, ast.Dict,
    ast.JoinedStr, ast.FormattedValue, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
FRESH = (ast.FunctionDef, ast.Assert, ast.Expr)
MATH = ("math", "cmath")


def inert(tree: ast.Module, wanted: set[str], bound: Iterable[str]) -> bool:
    """Running this twice is the same as once, but for the calls of `wanted`: it changes nothing that lasts.

    `bound` are the names that its namespace has beside the builtins.
    There are only asserts and functions at the top, beside names bound to constants; no function changes
    an object or calls anything but each other, the candidate and builtins that change nothing.
    """
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    given = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    stored: set[str] = set()
    if PURE & {*functions, *given, *bound} or not all(
        isinstance(node, FRESH) or constant(node) for node in tree.body
    ):
        return False
    callable_names = functions | wanted | PURE | (given & {"candidate"})
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in MATH):
                return False
        elif not isinstance(node, CLEAN):
            return False
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id not in callable_names:
                return False
            if not isinstance(node.func, (ast.Name, ast.Attribute)):
                return False
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            stored.add(node.id)
        elif isinstance(node, ast.FunctionDef):
            if node.decorator_list or node.args.defaults:
                return False
        elif isinstance(node, (ast.Subscript, ast.Starred)) and not isinstance(node.ctx, ast.Load):
            return False
    return not stored & (callable_names | set(MATH))


def constant(node: ast.stmt) -> bool:
    """`name = constant`, or a name bound to a literal that was taken out."""
    return isinstance(node, ast.Assign) and (
        isinstance(node.value, ast.Constant)
        or (
            isinstance(node.value, ast.Subscript)
            and isinstance(node.value.value, ast.Name)
            and node.value.value.id == "__literals__"
        )
    )


class Agreeable:
    """An answer that is not known yet: whatever is asked of it, the tests go on."""

    def __getattr__(self, name: str) -> Agreeable:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Agreeable:
        return self

    def __getitem__(self, key: Any) -> Agreeable:
        return self

    def __iter__(self) -> Any:
        return iter(())

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __int__(self) -> int:
        return 0

    def __index__(self) -> int:
        return 0

    def __float__(self) -> float:
        return 0.0

    def __complex__(self) -> complex:
        return 0j

    def __str__(self) -> str:
        return ""

    def __repr__(self) -> str:
        return ""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return True

    for _name in ("lt", "le", "gt", "ge", "contains"):
        locals()[f"__{_name}__"] = lambda self, other: True
    for _name in (
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift",
        "rshift", "divmod", "neg", "pos", "invert", "abs", "round",
    ):  # fmt: skip
        locals()[f"__{_name}__"] = locals()[f"__r{_name}__"] = lambda self, *args: self
    del _name


AGREEABLE = Agreeable()
