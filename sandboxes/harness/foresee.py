"""Which calls the tests will make, so that they can be asked for at once instead of one by one.

The tests are run twice: first against a candidate whose every answer is an object that agrees with
everything, in a fork that is thrown away, to see the calls; then for real, with the answers at hand.
Foresight decides nothing: the first call that is not the foreseen one, or a foreseen call that is not
made, ends the judgement, and it is started again without foresight.

A large literal is taken out of the source before anything walks its tree: most of the tests' text is data.
"""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import random
import re
import select
import signal
import time
from collections.abc import Callable
from typing import Any

MOST = 4000
"""Calls that are foreseen at most."""
MOST_BYTES = 8 << 20
SECONDS = 1.0
LARGE = 1000
"""Characters of a literal that is worth taking out."""
ASSIGNMENT = re.compile(r"^([A-Za-z_]\w*) = ([\[{(].{%d,}[\]})])[ \t]*$" % LARGE, re.MULTILINE)
LITERAL = re.compile(
    r"""(?:[\[\]{}(),:\s+-]|\b(?:True|False|None)\b"""
    r"""|(?<![\w.])(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)j?(?!\w)"""
    r"""|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")*"""
)


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
    if "\\" not in text:
        with contextlib.suppress(ValueError):
            return json.loads(text, parse_constant=refuse)  # where both read the same, JSON is much faster
    if not LITERAL.fullmatch(text):
        raise ValueError("not a literal")
    return eval(compile(text, "literal", "eval"), {"__builtins__": {}})


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

    def add(self, found: bytes, question: bytes) -> None:
        """Notes a call; raises Enough where it is one too many or cannot be recognized again."""
        self.size += len(question) + len(found)
        if not found or self.size > MOST_BYTES or len(self.calls) >= MOST:
            raise Enough
        self.calls.append((found, question))


def rehearse(seen: Seen, run: Callable[[], object]) -> list[tuple[bytes, bytes]]:
    """The calls that `run` makes, seen in a fork that nothing comes back from but these."""
    reader, writer = os.pipe()
    chance = random.getstate()
    pid = os.fork()
    if pid == 0:
        try:
            random.setstate(chance)  # which a fork seeds anew
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            with contextlib.suppress(BaseException):
                run()
            data = memoryview(marshal.dumps(seen.calls))
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
        found: list[tuple[bytes, bytes]] = marshal.loads(said) if said else []
    except (ValueError, EOFError, TypeError):
        return []
    return found


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
