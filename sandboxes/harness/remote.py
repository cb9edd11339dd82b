"""The candidate's objects as the tests see them: stand-ins that ask the candidate elsewhere.

The candidate's answers arrive as plain data. What is not plain data is a `Remote`: it can be called,
read and passed back, but comparing it with plain data ends the judgement. How far the methods of a
remote object are trusted is its level, which the dataset decides and never the candidate:

    0  a value that a call or an attribute gave: its attributes, its items, its methods without arguments,
       and with arguments where the tests drop what they return
    1  an instance of a class that the tests make (`s = Stack()`), or a value of which they ask what no
       plain type has (see `objects`): its methods, with arguments
    2  the same, where the prompt or the reference solution defines the class, or a test file imports it: its
       operators, too

What is equal to plain data at levels 1 and 2 has to tell it from others of its kind (see `decoys`).
"""

from __future__ import annotations

import abc
import ast
import builtins
import collections
import itertools
import json
import linecache
import opcode
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import codec
import decoys
import foresee
import library
import names
import objects
from candidate import CHUNK
from channel import Channel, pack, split

FUNCTIONS = ("builtins", "math", "operator", "_operator", "itertools", "_functools", "functools")
TEST = "test.py"
CUT = 500
MOST_ITEMS = 1_000_000
OWN_PARTS = codec.MAX_NODES // 8
"""Where a candidate has said more than this, what is too large to be passed to it may be its own."""
TOLD_APART, FEW = 20, 4
"""After so many values that an object was equal to alone, others are hidden among few."""
SINGLE = 64
"""Items of an object that are fetched one by one, since it may count them."""
MOST_VIEWED = 5_000
"""Parts of a value that tests may change in place."""
READS = frozenset(("bool", "len", "str", "repr", "int", "float", "index", "complex", "format"))
"""Questions of Python's own, whose answer stays the same until the tests do something else."""
SAME_SECONDS = 0.05
"""After that an object may have changed by itself."""
UNASKED = ("__", "_pytest", "pytest")
"""Attributes by which Python and pytest ask what an object is: never the candidate's business."""


class Stop(BaseException):
    """The verdict is settled, whatever the test code does with exceptions."""

    def __init__(self, cause: str, evidence: str) -> None:
        super().__init__(cause)
        self.cause, self.evidence = cause, evidence


class Broken(BaseException):
    """The tests cannot be run, whatever the candidate."""


class Line:
    """Questions to the candidate and its answers, in turn."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.answers: collections.deque[bytes] = collections.deque()
        self.asked = False
        """The host owes an answer to what was said last."""

    def send(self, questions: list[bytes], text: str, *, apart: bool = False) -> None:
        """Ask the questions; `text` shows the first of them. `apart`: none is seen before it is due."""
        head = {"op": "ask", "text": text, "apart": apart}
        self.channel.say(json.dumps(head).encode() + b"\n" + pack(questions))
        self.asked = True

    def answer(self) -> bytes | None:
        """The next answer; None where the candidate has ended without one."""
        if not self.answers:
            if not self.asked:
                self.channel.say(b'{"op": "more"}')
            self.asked = False
            self.answers.extend(split(self.channel.hear()))
        return self.answers.popleft() if self.answers else None

    def hush(self) -> None:
        """Hears what is owed, so that there may be said something else."""
        if self.asked:
            self.asked = False
            self.channel.hear()


class Session:
    """One judgement: the line to the candidate, and what has been seen so far."""

    def __init__(self, channel: Channel) -> None:
        self.line = Line(channel)
        self.module = sys.modules["tests"] = types.ModuleType("tests")
        self.space: dict[str, Any] = self.module.__dict__
        self.space |= {"__builtins__": builtins, "__file__": TEST}
        self.stop: Stop | None = None
        self.calls = 0
        self.looked = False
        """The tests have asked whether a name is defined."""
        self.deeds = 0
        """Operations that may have changed something."""
        self.reads: dict[tuple[int, str], tuple[int, float, Any]] = {}
        """What objects answered to `READS`: after how many deeds, until when that counts, and what."""
        self.cached: dict[tuple[int, int], Remote] = {}
        self.last: str | Call = ""
        self.compared: tuple[str, Any, Any] | None = None
        self.raised: dict[int, BaseException] = {}
        self.thrown: dict[int, Any] = {}
        """By what number the candidate knows them, if it says so."""
        self.changed: list[tuple[Any, Any]] = []
        """Arguments and what they are to become at the end of the statement that runs."""
        self.numeric = False
        """The tests compare by numpy, to which nothing is close to everything."""
        self.heard = 0
        """Parts of all answers so far, as an upper bound."""
        self.given: frozenset[str] = frozenset()
        """Classes of the prompt, which a program finds in its module and may replace, not remove."""
        self.own: frozenset[str] = frozenset()
        """Classes that the tests or the prompt define …"""
        self.classes: frozenset[str] = frozenset()
        """… and the candidate does as well."""
        self.exceptions: dict[str, type[BaseException]] = {}
        self.aliases: dict[type[BaseException], type[BaseException]] = {}
        """Classes of the library for which the candidate has another name."""
        self.levels: dict[str, int] = {}
        self.objects: set[str] = set()
        """Functions and attributes whose values are objects by the tests' own word (see `objects`) …"""
        self.trusted = 1
        """… and how far these are trusted."""
        self.kinds: dict[int, Remote] = {}
        """The candidate's classes that the tests name, by number."""
        self.spelled: set[str] = set()
        """Attributes that the tests themselves name."""
        self.in_place: set[str] = set()
        """Attributes whose value the tests change in place …"""
        self.views: dict[tuple[int, str, str], tuple[Remote, Any, Any, Any]] = {}
        """… with the values that they were given last, and how these were."""
        self.read_only: set[str] = set()
        """Attributes that the tests read and never call."""
        self.doubtful: set[str] = set()
        """Classes by the spelling of their names alone."""
        self.spared: BaseException | None = None
        """What was raised by a statement that ends a `with`."""
        self.hashes: dict[int, int] = {}
        self.literals: Callable[[], list[Any]] = list
        """Numbers and texts of the tests …"""
        self.hidden: dict[str, list[Any]] = {}
        """… and the values among which others were hidden …"""
        self.apart: set[str] = set()
        """… and from which an object told them."""
        self.weak = False
        self.stops = False
        """The tests speak of StopIteration, which otherwise would end a loop of theirs (`map`) unseen."""
        self.exact = False
        """The tests talk with generators, which are not run ahead then."""
        self.ahead = False
        self.kind = ""
        self.wanted: set[str] = set()
        self.awaited: set[str] = set()
        """Names by which the tests catch exceptions …"""
        self.needed: set[str] = set()
        """… that they import before anything else …"""
        self.optional: set[str] = set()
        """… and that they try to import."""
        self.seen: foresee.Seen | None = None
        """What a rehearsal of the tests has seen so far; None where they run for real."""
        self.foreseen: foresee.Foreseen | None = None
        self.lock = threading.RLock()
        """Tests may call from several threads, and one answer belongs to one question."""

    # --- talking ---------------------------------------------------------------------------------

    def halt(self, cause: str, evidence: str) -> Stop:
        self.stop = self.stop or Stop(cause, evidence)
        return self.stop

    def ask(self, question: dict[str, Any], text: str) -> dict[str, Any]:
        """One question to the candidate; its parsed answer."""
        with self.lock:
            if self.stop:
                raise self.stop
            self.line.send([json.dumps(question).encode()], text)
            return self.answered(text)

    def answered(self, text: str | Call) -> dict[str, Any]:
        """The next answer, parsed."""
        said = self.line.answer()
        if said is None:
            raise self.halt("ended", str(text))
        try:
            answer = json.loads(said.decode())
        except (ValueError, RecursionError):
            raise self.halt("protocol_violation", f"{text} was not answered in JSON") from None
        if type(answer) is not dict:
            raise self.halt("protocol_violation", f"{text} was not answered by an object")
        self.heard += len(said) // 8
        return answer

    def encode(self, value: Any) -> dict[str, Any]:
        try:
            return codec.Encoder(self.handle, self, FUNCTIONS, iterators=True).message(value)  # type: ignore[arg-type]
        except codec.TooLarge as error:
            cause = "output_limit" if self.heard > OWN_PARTS else "needs_shared"
            raise self.halt(cause, f"the test passes {error}") from None
        except codec.Refused as error:
            raise self.halt("needs_shared", f"the test passes {error}") from None
        except Exception as error:  # a test's own iterator
            if id(error) in self.raised or (self.calls > 1 and not deliberate(error)):
                raise
            raise self.halt("needs_shared", f"the test passes what cannot be read: {error}") from None

    def get(self, kind: type) -> str | None:
        """Class name by which an object of the tests crosses, for the encoder."""
        name = kind.__name__
        if self.exceptions.get(name) is kind and self.space.get(name) is kind:
            return name
        if name not in self.own or self.space.get(name) is not kind:
            return None
        if codec.of_builtins(kind):
            return None
        if name in self.classes or not has_methods(kind):
            return name
        if name in self.given:
            raise self.halt("protocol_violation", f"the code removes the class {name} of the prompt")
        return None

    def handle(self, x: Any) -> list[Any] | None:
        if isinstance(x, BaseException) and self.raised.get(id(x)) is x:
            if type(number := self.thrown.get(id(x))) is not int:
                raise self.halt("protocol_violation", "the test passes on what the code does not hold")
            return ["h", number]
        if isinstance(x, type) and x in codec.MADE:
            raise self.halt("protocol_violation", "the test passes on the class of an answer")
        x = x.source if type(x) is Forwarded else x
        return ["h", slot(x, "_number")] if type(x) is Remote else None

    def known_class(self, name: str) -> type | None:
        kind = self.space.get(name)
        if name not in self.own or not isinstance(kind, type):
            return None
        self.weak = self.weak or compares(kind)
        return kind

    def operate(
        self, operation: str, value: Any, text: str | Call, *, level: int = 0, asked: str = "", **more: Any
    ) -> tuple[Any, Any]:
        """An operation on the candidate's side: its result and the arguments as they are afterwards.

        `level` is how far the result is trusted, `asked` by which name the tests asked for it.
        """
        self.calls += 1
        self.deeds += operation not in READS
        self.last = text
        if self.seen is not None:
            with self.lock:
                self.rehearsed(self.seen, operation, value, more)
            return foresee.AGREEABLE, None
        made = operation == "call" and type(value[0]) is Remote and slot(value[0], "_kind") == "class"
        if self.views:
            self.write_back("new" if made else operation)
        with self.lock:  # a foreseen answer belongs to the call that is next, whichever thread makes it
            if self.foreseen is not None and self.foreseen.keys:
                if self.stop or not self.foreseen.is_next(self.key(operation, value, more)):
                    raise self.halt("unforeseen", str(text))
                answer = self.answered(text)
            else:
                answer = self.ask({"op": operation, "call": self.encode(value), **more}, str(text))
        if "result" not in answer:
            raise self.failed(answer, text, ends=operation == "method" and value[1][:1] == ["__next__"])
        method = "function" if operation == "getattr" else ""
        of_class = type(value[0]) is Remote and slot(value[0], "_kind") == "class"
        member = of_class and operation in ("getattr", "getitem")  # `Color.RED`
        held: list[Any] = []

        def stand_in(rest: list[Any]) -> Any:
            held.append(self.remote(rest, level, asked, made=made, member=member, method=method))
            return held[-1]

        decoder = codec.Decoder(stand_in, self.known_class, FUNCTIONS, closed=True)
        try:
            result, changed = decoder.message(answer["result"])
            if decoder.structured():  # `SimpleNamespace(startswith=lambda x: True)`
                own(held, Remote(self, PART, "result", 0, "object"))
            self.heard += decoder.size()
            nothing = self.numeric and empty(result)
            self.weak = self.weak or nothing or decoder.hollow()
        except (codec.Malformed, TypeError, ValueError) as error:
            raise self.halt("protocol_violation", f"the answer to {text} is malformed: {error}") from None
        return result, changed

    def view(self, remote: Remote, operation: str, name: Any, value: Any) -> None:
        """Remembers a value that the tests may change in place, so that the candidate's is changed, too."""
        wanted = (name if operation == "getattr" else "[]") in self.in_place
        if wanted and codec.mutable(value) and type(value) not in (Remote, Forwarded):
            self.views[number_of(remote), operation, repr(name)] = remote, name, value, self.snapshot(value)

    def message(self, value: Any) -> dict[str, Any] | None:
        """What would be sent for a value; None where it cannot be."""
        try:
            return codec.Encoder(self.handle, self, FUNCTIONS).message(value)  # type: ignore[arg-type]
        except codec.Refused:
            return None

    def snapshot(self, value: Any) -> Any:
        """What tells a changed value from the same one; None where it cannot be sent, or is large."""
        found = self.message(value)
        return found if found is not None and len(found["n"]) <= MOST_VIEWED else None

    def lures(self, value: Any) -> tuple[list[Any], int]:
        """Values among which this one is hidden, and its place: the same ones each time, and fewer where an
        object has been equal to it alone, or others to that many others."""
        key = json.dumps(self.message(value))
        if key not in self.hidden:
            self.hidden[key] = decoys.among(value, self.literals())
        few = key in self.apart or len(self.apart) >= TOLD_APART
        return decoys.mixed(self.hidden[key][: FEW if few else None], value)

    def equal_to(self, value: Any) -> None:
        """An object was equal to this value, and to none of the others."""
        self.apart.add(json.dumps(self.message(value)))

    def write_back(self, operation: str) -> None:
        """Changes the candidate's attributes as the tests have changed theirs. A value that they have not
        changed may be another's after the next operation, and is forgotten."""
        views, self.views = self.views, {}
        for key, (remote, name, value, before) in views.items():
            now = self.snapshot(value)
            if now is None or before is None:
                continue
            if now != before:
                change = {"op": "absorb", "call": self.encode([remote, [key[1], name, value]])}
                self.ask(change, f"changing {name}")
            if now != before or operation in (*READS, "getattr", "getitem", "new"):
                self.views[key] = remote, name, value, now

    def key(self, operation: str, value: Any, more: dict[str, Any]) -> bytes:
        """By what a foreseen call of one of the candidate's functions is known again."""
        if operation != "call" or type(value[0]) is not Remote:
            return b""
        return foresee.key([slot(value[0], "_number"), value[1:], more])

    def rehearsed(self, seen: foresee.Seen, operation: str, value: Any, more: dict[str, Any]) -> None:
        """Notes a call that the tests will make."""
        if type(value[0]) is Remote and slot(value[0], "_kind") == "class":
            raise foresee.Enough  # what becomes of an object cannot be foreseen
        found = self.key(operation, value, more)
        if not found:
            raise foresee.Enough  # such as an argument that is an answer
        question = {"op": operation, "call": self.encode(value), **more}
        seen.add(found, json.dumps(question).encode())
        seen.given([*value[1], *value[2].values()])

    def look_ahead(self, run: Callable[[], object], *, inert: bool) -> None:
        """Finds out which calls `run` will make, and asks for them all; `inert`: it may run twice."""
        if not self.ahead or self.calls or self.stop:
            return
        seen = self.seen = foresee.Seen()
        calls = foresee.rehearse(seen, run, here=inert)
        self.seen, self.stop, self.calls, self.last, self.weak = None, None, 0, "", False
        if len(calls) > 1:
            self.foreseen = foresee.Foreseen(calls)
            self.line.send(self.foreseen.questions, "the calls that were asked ahead", apart=seen.apart)

    def remote(
        self, rest: list[Any], level: int, asked: str, *, made: bool, member: bool, method: str
    ) -> Any:
        """What a handle stands for; `made`: it is what a class of the candidate's gave for a new object,
        `member`: for one of its attributes.

        What is of the kind `method` is no such object, whatever the tests ask of what it returns.
        """
        number, kind, name, *more = rest
        if type(number) is not int or type(name) is not str:
            raise codec.Malformed("a handle")
        if kind == "error" and len(more) == 1 and type(more[0]) is dict:
            error = self.told({**more[0], "handle": number})
            error.__dict__["__judge__"] = f"an answer, {type(error).__name__}, was raised"
            self.raised[id(error)], self.thrown[id(error)] = error, number
            return error
        if kind == "iterator":
            return Forwarded(self, number, name, asked)
        kind = "function" if kind == "function" else "object"
        granted = (member or level < self.trusted) and kind != method
        granted = granted and bool({asked, f"{asked}[]"} & self.objects)
        level = self.trusted if granted else level
        if not level or kind == method:
            return Remote(self, number, name, 0, kind, asked)
        held = self.cached.get((number, 2), self.cached.get((number, 1)))
        if held is None:  # so that `is` holds of one object
            held = self.cached[number, level] = Remote(self, number, name, level, kind, asked)
            object.__setattr__(held, "_granted", granted)
            object.__setattr__(held, "_member", member and not granted)
        elif made:
            self.weak = True  # that one object stands for two is the candidate's word
        return held

    def failed(self, answer: dict[str, Any], text: str | Call, *, ends: bool = False) -> BaseException:
        """The candidate's exception, as one of ours; `ends`: StopIteration is how an iterator ends."""
        if "refused" in answer:
            cause = "output_limit" if answer.get("large") is True else "protocol_violation"
            return self.halt(cause, f"{text} returned {str(answer['refused'])[:200]}")
        name, message = str(answer.get("error", "Exception"))[:80], str(answer.get("message", ""))[:CUT]
        error = self.told(answer)
        if isinstance(error, StopIteration) and not (self.stops or ends):
            name, error = "RuntimeError", RuntimeError(message)
        line = f" ({answer['line']})" if answer.get("line") else ""
        error.__dict__["__judge__"] = f"{text} raised {name}: {message}{line}"
        self.raised[id(error)], self.thrown[id(error)] = error, answer.get("handle")
        return error

    def told(self, answer: dict[str, Any], depth: int = 0) -> BaseException:
        """The exception that an answer tells of, with its causes."""
        kinds = [kind for kind in answer.get("kinds", ()) if type(kind) is str]
        name, message = str(answer.get("error", "Exception"))[:80], str(answer.get("message", ""))
        error = self.exception(name, kinds, message, self.state(answer.get("state")))
        if depth < 3 and type(answer.get("cause")) is dict:
            error.__cause__ = self.told(answer["cause"], depth + 1)
        if depth < 3 and type(answer.get("context")) is dict:
            error.__context__ = self.told(answer["context"], depth + 1)
        error.__suppress_context__ = answer.get("suppressed") is True
        if type(answer.get("handle")) is int:
            held = Remote(self, answer["handle"], name, 0, "object")
            error.__dict__["__held__"] = held
        return error

    def state(self, told: Any) -> tuple[list[Any], dict[str, Any]] | None:
        """Arguments and attributes of an exception, where they are plain data."""
        decoder = codec.Decoder(refuse, self.known_class, (), closed=True)
        try:
            args, attributes = decoder.message(told)
        except (codec.Malformed, TypeError, ValueError):
            return None
        known = type(args) is list and type(attributes) is dict and not decoder.hollow(alone=True)
        return (args, attributes) if known else None

    def exception(
        self,
        name: str,
        kinds: list[str],
        message: str,
        state: tuple[list[Any], dict[str, Any]] | None = None,
    ) -> BaseException:
        """An exception of the candidate's class, or of the nearest that tests can know."""
        known = self.exceptions.get(name) or (self.known_class(name) if name in self.classes else None)
        args, attributes = state or ([message], {})
        for found in [known, *map(self.exception_class, kinds), Exception]:
            if not isinstance(found, type) or not issubclass(found, BaseException):
                continue
            kind = self.aliases.get(found, found)
            if found is not known and found.__name__ != name and name.isidentifier():
                bases = tuple(self.aliases.get(base, base) for base in self.bases(kinds))
                kind = self.exceptions.setdefault(name, self.counted(name, bases))
            try:
                error = made_exception(kind, args)
            except Exception:  # such as ExceptionGroup, which wants its exceptions
                continue
            for attribute, value in attributes.items():
                if (
                    type(attribute) is str
                    and not attribute.startswith("__")
                    and not hasattr(error, attribute)
                ):
                    error.__dict__[attribute] = value
            error.__dict__["__said__"] = message
            return error
        return Exception(message)

    def exception_class(self, kind: str) -> type | None:
        """The exception class that the tests know by what the candidate calls it."""
        module, _, name = kind.rpartition(":")
        return self.exceptions.get(name) if module == "solution" else library_exception(kind)

    def bases(self, kinds: list[str]) -> tuple[type[BaseException], ...]:
        """The nearest classes that the tests know of an exception's."""
        found: list[type[BaseException]] = []
        for kind in map(self.exception_class, kinds):
            if kind is not None and not any(issubclass(held, kind) for held in found):
                found.append(kind)
        return tuple(found) or (Exception,)

    def counted(self, name: str, bases: tuple[type[BaseException], ...]) -> type[BaseException]:
        """An exception class of the candidate's: the tests call the candidate where they make one."""

        def __new__(kind: Any, *args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return bases[0].__new__(kind, *args, **kwargs)

        inner = {"__str__": said, "__module__": "solution", "__new__": __new__, "__getattr__": asked_error}
        try:
            return type(name, bases, inner)
        except TypeError:  # of which no class can be made
            return type(name, bases[:1], inner)

    # --- names -----------------------------------------------------------------------------------

    def hello(self, wanted: set[str], classes: list[str]) -> None:
        """Puts the candidate's names into the tests' namespace."""
        answer = self.ask({"op": "hello", "names": sorted(wanted), "classes": classes}, "looking up names")
        found = answer.get("names")
        held = answer.get("classes")
        if type(found) is not dict or type(held) is not list:
            raise self.halt("protocol_violation", "the names were not answered")
        for name in sorted(self.needed - self.optional - found.keys()):
            raise self.halt("undefined", f"the code does not define {name!r}")
        for name in sorted((self.awaited & wanted) - self.optional):
            if type(found.get(name)) is not dict or found[name].get("kind") not in ("exception", "value"):
                raise self.halt("undefined", f"the code does not define the exception {name!r}")
        self.own = frozenset(classes)
        self.classes = frozenset(name for name in classes if name in held)
        for name in sorted(wanted, key=lambda name: (ancestry(found.get(name)), name)):  # bases before others
            try:
                self.space[name] = self.stand_in(name, found.get(name))
            except Exception as error:  # whatever a forged description provokes
                raise self.halt("protocol_violation", f"{name} is described badly: {error}") from None

    def stand_in(self, name: str, described: Any) -> Any:
        if type(described) is not dict or type(described.get("handle")) is not int:
            return Missing(self, name)
        if described.get("kind") == "exception":
            kinds = [kind for kind in described.get("kinds", ()) if type(kind) is str]
            made = self.exceptions[name] = self.counted(name, self.bases(kinds))
            if kinds and (base := library_exception(kinds[0])) is not None:  # another name for the library's
                self.aliases[base] = made
            for attribute, value in plain_items(described.get("attributes")):
                if not hasattr(made, attribute):
                    setattr(made, attribute, value)
            return made
        kind = "class" if described.get("kind") == "class" else "function"
        remote = Remote(self, described["handle"], name, self.levels.get(name, 0), kind, name)
        if kind == "class":  # so that `is` holds of what an object answers to `type`
            self.kinds[described["handle"]] = remote
        if described.get("kind") == "value":
            return self.operate("value", [remote, []], name, asked=name)[0]
        return remote

    def look_up(self, name: str) -> bool:
        """Whether the candidate has the class `name`; it is then in the tests' namespace."""
        found = self.ask({"op": "hello", "names": [name], "classes": []}, f"looking up {name}").get("names")
        if type(found) is not dict or type(found.get(name)) is not dict:
            return False
        self.levels[name] = 1
        self.space[name] = self.stand_in(name, found[name])
        return True

    def modules(self, taken: dict[str, set[str]], free: set[str]) -> None:
        """Makes the modules by which tests import the candidate; `free` is what `import *` gives them."""
        for name, attributes in taken.items():
            stub = Stub(
                self, name.lstrip("."), {held for held in free if type(self.space.get(held)) is not Missing}
            )
            for attribute in attributes:
                found = self.space.get(attribute, Missing(self, attribute))
                constant = not isinstance(found, (Remote, Missing, type))
                if constant and self.kind in ("pytest", "unittest"):
                    continue  # which the candidate may have changed by the time that it is read
                if type(found) is not Missing or attribute not in self.optional:
                    stub.__dict__[attribute] = found
            install(name, stub)
            if name.startswith("."):
                self.space["__package__"] = "package"

    def library(self, trees: list[ast.Module]) -> None:
        """What tests use without importing it."""
        free = set().union(*(names.loaded(tree) for tree in trees))
        for name in free - set(self.space):
            if hasattr(builtins, name):
                continue
            found = library.known_module(name) or library.known_function(name)
            if found is not None:
                self.space[name] = found

    def resolve(self, entry: str) -> Any:
        """The stand-in for an entry point: a name, with calls without arguments and attributes."""
        return resolve(self.space, entry)


class Stub(types.ModuleType):
    """The module that tests import the candidate from; a name that they did not mention is looked up."""

    def __init__(self, session: Session, name: str, free: set[str]) -> None:
        super().__init__(name)
        self.__dict__.update(__all__=sorted(free), __path__=[], __file__="solution.py")
        self.__dict__["__session__"] = session

    def __getattr__(self, name: str) -> Any:
        session = self.__dict__["__session__"]
        if name.startswith(UNASKED):
            raise AttributeError(name)
        found = session.ask({"op": "hello", "names": [name], "classes": []}, f"looking up {name}").get(
            "names"
        )
        session.looked = True
        if type(found) is not dict or name not in found:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        try:
            return session.stand_in(name, found[name])
        except Exception as error:  # whatever a forged description provokes
            raise session.halt("protocol_violation", f"{name} is described badly: {error}") from None


def install(name: str, module: types.ModuleType) -> None:
    """Puts `module` where `import name` finds it: `solution`, `src.solution`, `.solution`."""
    if name.startswith("."):
        package = types.ModuleType("package")
        package.__path__ = []
        sys.modules["package"] = package
        parts = ["package", *filter(None, name.lstrip(".").split("."))]
    else:
        parts = name.split(".")
    for end in range(1, len(parts)):
        parent = ".".join(parts[:end])
        held = sys.modules.setdefault(parent, types.ModuleType(parent))
        held.__dict__.setdefault("__path__", [])
        held.__dict__[parts[end]] = module if end == len(parts) - 1 else types.ModuleType(parts[end])
    sys.modules[".".join(parts)] = module


def resolve(space: dict[str, Any], entry: str) -> Any:
    """A name in `space`, with calls without arguments and attributes: `Solution().name`."""
    tree = ast.parse(entry, mode="eval").body
    steps: list[str] = []
    while not isinstance(tree, ast.Name):
        if isinstance(tree, ast.Call) and not tree.args and not tree.keywords:
            steps.append("()")
            tree = tree.func
        elif isinstance(tree, ast.Attribute):
            steps.append(tree.attr)
            tree = tree.value
        else:
            raise Broken(f"entry point {entry!r} is not a name or Name().name")
    target = space[tree.id]
    for step in reversed(steps):
        target = target() if step == "()" else getattr(target, step)
    return target


PLAIN_METHODS = frozenset(("__init__", "__post_init__", "__repr__", "__str__", "__hash__"))
COMPARISONS = frozenset(f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge"))
RUNNERS = {
    "unittest",
    "pytest",
    "_pytest",
    "pluggy",
    "bdb",
    "doctest",
    "candidate",
    "__main__",
    *names.HARNESS,
}
"""Modules whose exceptions steer a test run: no candidate raises them."""


def library_exception(name: str) -> type | None:
    """The exception class of that name that the tests can know; None where there is none."""
    module, _, kind = name.rpartition(":")
    if not module:
        found = vars(builtins).get(kind)
    elif module.partition(".")[0] in RUNNERS or module not in sys.modules:
        return None
    else:
        found = vars(sys.modules[module]).get(kind)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def made_exception(kind: type[BaseException], args: list[Any]) -> BaseException:
    """An exception with these arguments, whatever its constructor wants."""
    if kind.__module__ == "builtins":
        return kind(*args)
    error = kind.__new__(kind, *args)  # whose constructor may want others, as JSONDecodeError's does
    error.args = tuple(args)
    return error


def said(error: BaseException) -> str:
    """How the candidate's own class shows itself."""
    told = error.__dict__.get("__said__")
    return BaseException.__str__(error) if told is None else str(told)


def asked_error(error: BaseException, name: str) -> Any:
    """An attribute of an exception that did not come with it."""
    held = error.__dict__.get("__held__")
    if held is None or name.startswith("_"):
        raise AttributeError(f"{type(error).__name__!r} object has no attribute {name!r}")
    return getattr(held, name)


def deliberate(error: BaseException) -> bool:
    """The tests raise it whatever the candidate answers: by `raise`, or by an expression in which no name can
    hold an answer (`1 / 0`, `int("x")`, `json.loads("{")`).

    Only then may it lead to shared mode: a candidate that could provoke it would be trusted more for it.
    """
    trace, found = error.__traceback__, None
    while trace is not None:
        found = trace if trace.tb_frame.f_code.co_filename == TEST else found
        trace = trace.tb_next
    if found is None:
        return False
    code, frame = found.tb_frame.f_code, found.tb_frame
    if code.co_code[found.tb_lasti] == opcode.opmap["RAISE_VARARGS"]:
        return True
    try:
        place = next(itertools.islice(code.co_positions(), found.tb_lasti // 2, None))
        tree = ast.parse(segment(linecache.getlines(TEST, frame.f_globals), *place).strip(), mode="eval")
    except (SyntaxError, ValueError, TypeError, StopIteration):
        return False
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return all(
        type((frame.f_globals | frame.f_locals).get(name, builtins)) is types.ModuleType for name in named
    )


def segment(lines: list[str], first: int, last: int, start: int, stop: int) -> str:
    """The source between two places; rows count from 1, columns in bytes from 0."""
    held = [line.encode() for line in lines[first - 1 : last]]
    held[-1] = held[-1][:stop]
    held[0] = held[0][start:]
    return b"".join(held).decode()


def plain_items(told: Any) -> list[tuple[str, Any]]:
    """Attributes of a class, of a description that may be forged."""
    held = told if type(told) is dict else {}
    return [(name, value) for name, value in held.items() if name.isidentifier() and not name.startswith("_")]


def ancestry(described: Any) -> int:
    """How many classes a described exception has."""
    kinds = described.get("kinds") if type(described) is dict else None
    return len(kinds) if type(kinds) is list else 0


def empty(x: Any) -> bool:
    """A container without a value in it."""
    if type(x) in (list, tuple):
        return all(map(empty, x))
    return type(x) in (dict, set, range) and not x


def refuse(rest: list[Any]) -> Any:
    raise codec.Malformed("a handle")


def compares(kind: type) -> bool:
    """Its own code says what its objects are equal to: with the attributes that the candidate gives them.

    Of a class of the tests that may be any method, of one of the prompt the comparisons.
    """
    for name, held in ((name, held) for base in kind.__mro__[:-1] for name, held in vars(base).items()):
        file = getattr(getattr(held, "__code__", None), "co_filename", "")
        if (file == TEST and name not in PLAIN_METHODS) or (file == "prompt.py" and name in COMPARISONS):
            return True
    return False


def has_methods(kind: type) -> bool:
    """More than data: the candidate would miss what it does."""
    return any(
        callable(held) and (not name.startswith("__") or (name not in OF_DATA and written(held)))
        for name, held in vars(kind).items()
    )


OF_DATA = frozenset(("__init__", "__post_init__", "__eq__", "__hash__"))


def written(held: Any) -> bool:
    """A method that stands in the tests: `dataclass` makes others."""
    return getattr(getattr(held, "__code__", None), "co_filename", "") == TEST


def text_of(name: str, args: Any, kwargs: dict[str, Any]) -> str:
    parts = [show(arg, 120) for arg in args] + [f"{key}={show(arg, 120)}" for key, arg in kwargs.items()]
    return f"{name}({', '.join(parts)})"[:CUT]


class Call:
    """A call as text, once somebody wants to read it."""

    def __init__(self, name: str, args: Any, kwargs: dict[str, Any]) -> None:
        self.parts = name, args, kwargs

    def __str__(self) -> str:
        return text_of(*self.parts)


def slot(remote: Remote, name: str) -> Any:
    """A slot of a remote object, past its own `__getattr__`."""
    return object.__getattribute__(remote, name)


def number_of(remote: Remote) -> int:
    """By what the candidate knows the object."""
    return int(slot(remote, "_number"))


PART = -1
"""The number of what has functions as parts that are no methods of a stand-in."""
OF_FUNCTIONS = frozenset(("__wrapped__", "dispatch", "register"))
"""What decorators of functools give a function."""
ALONE = frozenset(("__neg__", "__pos__", "__invert__", "__abs__", "__round__"))
"""Operators that are told nothing but the object."""


def tainted(name: str) -> Any:
    """An operator on a remote object: its class decides only where the dataset lets it."""

    def operation(self: Remote, *args: Any) -> Any:
        session, level = slot(self, "_session"), slot(self, "_level")
        levels = [level, *(slot(arg, "_level") for arg in args if type(arg) is Remote)]
        remote = all(type(arg) is Remote for arg in args)
        if name == "__eq__" and not remote and level:
            return self._is(args[0])
        if not (name in ALONE or (remote and max(levels)) or level == 2):
            what = f"{session.last} returned an object of type {slot(self, '_name')}, not plain data ({name})"
            raise session.halt("protocol_violation", what)
        session.weak = True
        text = f"{slot(self, '_name')}.{name}"
        more = {"level": level, "asked": slot(self, "_asked")}
        return session.operate("special", [self, [name, *args]], text, **more)[0]

    operation.__name__ = name
    return operation


class Remote:
    # Something of the candidate's that stays with the candidate; its docstring is the candidate's, too.
    __doc__ = property(lambda self: self._do("getattr", "__doc__"))  # type: ignore[assignment]
    REMOTE = True
    __slots__ = ("_asked", "_granted", "_kind", "_level", "_member", "_name", "_number", "_owner", "_session")

    def __init__(
        self, session: Session, number: int, name: str, level: int, kind: str, asked: str = ""
    ) -> None:
        put = object.__setattr__
        put(self, "_session", session)
        put(self, "_number", number)
        put(self, "_name", name)
        put(self, "_level", level)
        put(self, "_kind", kind)
        put(self, "_asked", asked)
        put(self, "_granted", False)
        put(self, "_member", False)
        put(self, "_owner", None)

    def _read(self, operation: str) -> Any:
        """An object that has another value whenever it is asked would be right for every test."""
        session, number = slot(self, "_session"), slot(self, "_number")
        deeds, until, answer = session.reads.get((number, operation), (-1, 0.0, None))
        if deeds != session.deeds or time.monotonic() > until:
            answer = self._do(operation)
            session.reads[number, operation] = session.deeds, time.monotonic() + SAME_SECONDS, answer
        return answer

    def _do(self, operation: str, *args: Any) -> Any:
        text = f"{slot(self, '_name')} {operation} {', '.join(show(arg, 80) for arg in args)}".strip()
        level, asked = 0, slot(self, "_asked")
        if operation in ("copy", "deepcopy"):
            level = slot(self, "_level")
        elif operation == "getattr":
            asked = str(args[0])
        elif not asked.endswith("[]"):
            asked += "[]"
        if slot(self, "_kind") == "class" and operation in ("getattr", "getitem"):  # `Color.RED`
            level = min(slot(self, "_level"), 1)
        session: Session = slot(self, "_session")
        return session.operate(operation, [self, list(args)], text, level=level, asked=asked)[0]

    def _is(self, value: Any) -> bool:
        """What it is equal to its class says, which must not have to be told the value."""
        session = slot(self, "_session")
        session.weak = True
        text = f"{session.last}: an object of type {slot(self, '_name')}"
        if session.message(value) is None:  # and no object of the candidate's leads to shared mode
            raise session.halt("protocol_violation", f"{text} is compared with {show(value, 80)}")
        others, place = session.lures(value)
        told = [self._do("equals", other) is True for other in others]  # all of them, so that it stays hidden
        if told[place] and (sum(told) > 1 or len(told) == 1):
            what = f"{text} may be equal to more than {show(value, 80)}"
            raise session.halt("protocol_violation", what)
        if told[place]:
            session.equal_to(value)
        return told[place]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("", args, kwargs)

    def _call(self, when: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`when` changed arguments are brought back although something is returned: "now", "later" or ""."""
        session, owner = slot(self, "_session"), slot(self, "_owner")
        if owner is not None and (args or kwargs) and when not in ("now", "last"):
            named = slot(owner, "_kind") == "function" and slot(self, "_asked") in OF_FUNCTIONS
            trusted = slot(owner, "_level") and not slot(owner, "_member")
            part = number_of(owner) == PART  # by which name it is called, nobody knows
            told = kwargs or any(type(arg) is not Remote for arg in args)  # something of the tests'
            unlike = not told or not objects.of_plain_data(slot(self, "_asked"))
            named = named or (unlike and not (trusted or part))
            if not trusted and not named:
                what = "a method of an object that the tests did not make was called with arguments"
                raise session.halt("protocol_violation", f"{session.last}: {what}")
            doubtful = slot(owner, "_asked") in session.doubtful  # a class by its spelling alone
            session.weak = session.weak or named or doubtful or slot(owner, "_granted")
        session.weak = session.weak or (slot(self, "_granted") and bool(args or kwargs))
        changes = any(map(codec.mutable, args)) or any(map(codec.mutable, kwargs.values()))
        try:
            return self._called(when, args, kwargs, changes=changes)
        except Exception as error:
            if when == "last" and session.raised.get(id(error)) is error:
                session.spared = error
            raise

    def _called(self, when: str, args: tuple[Any, ...], kwargs: dict[str, Any], *, changes: bool) -> Any:
        session, level, kind = slot(self, "_session"), slot(self, "_level"), slot(self, "_kind")
        result, changed = session.operate(
            "call",
            [self, list(args), kwargs],
            Call(slot(self, "_name"), args, kwargs),
            level=level if kind == "class" else 0,
            asked=slot(self, "_asked"),
            mutable=changes and ("always" if when else "none"),
        )
        if changed is not None:
            session.last = str(session.last)
            if when == "later" and result is not None:
                session.changed.append(([list(args), kwargs], changed))
            else:
                absorb(session, [list(args), kwargs], changed)
        return result

    def __getattr__(self, name: str) -> Any:
        session = slot(self, "_session")
        if name.startswith(UNASKED) and name not in session.spelled | {"__name__", "__doc__", "__dict__"}:
            raise AttributeError(name)
        found = self._do("getattr", name)
        if session.in_place:
            session.view(self, "getattr", name, found)
        if name.startswith("__") and type(found) is tuple:  # `__mro__`, `__bases__`
            held = [session.kinds.get(number_of(kind), kind) for kind in found if type(kind) is Remote]
            return tuple(held) if len(held) == len(found) else found
        if type(found) is Remote and not slot(found, "_level"):
            object.__setattr__(found, "_name", f"{slot(self, '_name')}.{name}")
            object.__setattr__(found, "_owner", self)
        elif type(found) in (type, types.BuiltinFunctionType):  # which nobody could keep from being called
            if not slot(self, "_level") and name not in session.read_only:
                what = f"{name} is {found.__name__}, of an object that the tests did not make"
                raise session.halt("protocol_violation", f"{slot(self, '_name')}: {what}")
            session.weak = True
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        self._do("setattr", name, value)

    def __delattr__(self, name: str) -> None:
        self._do("delattr", name)

    def __dir__(self) -> Any:
        return self._do("dir")

    def __copy__(self) -> Any:
        return self if slot(self, "_kind") == "class" else self._do("copy")

    def __deepcopy__(self, memo: object) -> Any:
        return self if slot(self, "_kind") == "class" else self._do("deepcopy")

    def __eq__(self, other: object) -> Any:
        if type(other) is Remote:
            if number_of(self) == number_of(other):
                slot(self, "_session").weak = True  # that it is one object is the candidate's word
                return True
        elif other is None:
            return False
        return _equal(self, other)

    def __ne__(self, other: object) -> Any:
        return not self == other

    def __hash__(self) -> int:
        session, number = slot(self, "_session"), slot(self, "_number")
        if slot(self, "_kind") == "class":
            return hash(("remote", number))
        session.weak = session.weak or bool(slot(self, "_level"))
        if number not in session.hashes:
            session.hashes[number] = hash(self._do("hash"))
        return int(session.hashes[number])

    def __bool__(self) -> bool:
        return self._read("bool") is True

    def __len__(self) -> int:
        return int(self._read("len"))

    def __iter__(self) -> Iterator[Any]:
        found = self._do("iter")
        if type(found) is Forwarded:
            found.single = SINGLE
        return iter(found)

    def __reversed__(self) -> Iterator[Any]:
        return iter(self._do("reversed"))

    def __getitem__(self, key: Any) -> Any:
        found = self._do("getitem", key)
        if (session := slot(self, "_session")).in_place and type(key) in (int, str, tuple):
            session.view(self, "getitem", key, found)
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        self._do("setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        self._do("delitem", key)

    def __str__(self) -> str:
        return str(self._read("str"))

    def __repr__(self) -> str:
        return str(self._read("repr"))

    def __format__(self, form: str) -> str:
        return str(self._do("method", "__format__", form) if form else self._read("format"))

    def __bytes__(self) -> bytes:
        return bytes(self._do("bytes"))

    def __index__(self) -> int:
        return int(self._read("index"))

    def __complex__(self) -> complex:
        return complex(self._read("complex"))

    def __int__(self) -> int:
        return int(self._read("int"))

    def __float__(self) -> float:
        return float(self._read("float"))

    def __next__(self) -> Any:
        return self._do("method", "__next__")

    def __enter__(self) -> Any:
        session, asked = slot(self, "_session"), slot(self, "_asked")
        text = f"{slot(self, '_name')} enter"
        found = session.operate("method", [self, ["__enter__"]], text, asked=asked)[0]
        return self if type(found) is Remote and number_of(found) == number_of(self) else found

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> Any:
        session = slot(self, "_session")
        if error is None:
            return self._do("method", "__exit__", None, None, None)
        if session.raised.get(id(error)) is error and type(session.thrown.get(id(error))) is int:
            ended = self._do("exit", error) is True
            session.weak = session.weak or ended
            return ended and session.spared is error  # else it would spare the tests a check
        ours = isinstance(error, AssertionError) or not isinstance(error, Exception)  # as pytest's own
        if not ours and deliberate(error):
            raise session.halt("needs_shared", "the test raises an error within a `with` of the candidate's")
        return None

    def __instancecheck__(self, x: object) -> bool:
        if type(x) is not Remote:
            return False
        slot(self, "_session").weak = True
        return self._do("instance", x) is True

    for _name in (
        "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul",
        "and", "or", "xor", "lshift", "rshift", "radd", "rsub", "rmul", "rtruediv", "rfloordiv", "rmod",
        "rpow", "rmatmul", "rand", "ror", "rxor", "contains", "neg", "pos", "invert", "abs", "round",
        "divmod", "rdivmod", "iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul",
        "iand", "ior", "ixor", "ilshift", "irshift",
    ):  # fmt: skip
        locals()[f"__{_name}__"] = tainted(f"__{_name}__")
    del _name


_equal = tainted("__eq__")


def type_of(x: Any) -> Any:
    """`type(x)`: of a stand-in, what the candidate says it is."""
    return asked_class(x) if type(x) is Remote else type(x)


def class_of(x: Any) -> Any:
    """`x.__class__`, in the same way."""
    return asked_class(x) if type(x) is Remote else x.__class__


def is_instance(x: Any, kind: Any) -> bool:
    """`isinstance(x, kind)`: of a stand-in and a type of the library, what the candidate says."""
    if type(x) is Forwarded and kind is types.GeneratorType:
        x.session.weak = True
        return x.name == "generator"
    if type(x) is not Remote:
        return isinstance(x, kind)
    slot(x, "_session").weak = True
    told = []
    for held in kind if type(kind) is tuple else (kind,):
        known = type(held) in (type, abc.ABCMeta)
        if (held is types.FunctionType and slot(x, "_name") == "function") or (
            not known and isinstance(x, held)  # a class of the candidate's, a protocol of the tests
        ):
            return True
        told += [f"{held.__module__}:{held.__qualname__}"] if known else []
    open_to_all = ("collections.abc",) if not slot(x, "_level") else LIBRARY
    asked = [name for name in told if name.partition(":")[0] in open_to_all]
    return bool(asked) and x._do("inherits", asked) is True


LIBRARY = frozenset(("builtins", "collections", "collections.abc", "enum", "numbers", "datetime", "abc"))
"""Modules whose classes a candidate's may derive from."""


def id_of(x: Any) -> int:
    """`id(x)`, of what a stand-in stands for."""
    if type(x) is not Remote:
        return id(x)
    slot(x, "_session").weak = True
    return -1 - number_of(x)


def has_attribute(x: Any, name: Any) -> bool:
    """`hasattr(x, name)`: a stand-in has every operator."""
    if type(x) is Remote and type(name) is str and name.startswith("__"):
        return x._do("hasattr", name) is True
    return hasattr(x, name)


def is_callable(x: Any) -> bool:
    """`callable(x)`: a stand-in always is."""
    return slot(x, "_kind") != "object" if type(x) is Remote else callable(x)


def asked_class(remote: Remote) -> Any:
    session = slot(remote, "_session")
    found = remote._do("type")
    if type(found) is not Remote:
        raise session.halt("protocol_violation", f"{slot(remote, '_name')} is of no class of its own")
    session.weak = True
    return session.kinds.get(number_of(found), found)


def own(held: list[Any], owner: Remote) -> None:
    """What came as a part of something is that one's."""
    for part in held:
        if type(part) is Remote and not slot(part, "_level"):
            object.__setattr__(part, "_owner", owner)


def absorb(session: Session, old: Any, new: Any) -> None:
    try:
        codec.absorb(old, new)
    except Exception as error:  # the shape of what came back is the candidate's doing
        raise session.halt("protocol_violation", f"arguments came back malformed: {error}") from None


class Forwarded:
    """An iterator of the candidate's, fetched in growing steps."""

    REMOTE = True

    def __init__(self, session: Session, number: int, name: str, asked: str = "") -> None:
        self.source = Remote(session, number, name, 0, "object", asked)
        self.ready: Iterator[Any] = iter(())
        self.session, self.name, self.step, self.taken, self.over = session, name, 1, 0, False
        self.single = 0
        """Items to be fetched one by one."""

    def __iter__(self) -> Forwarded:
        return self

    def __next__(self) -> Any:
        if (item := next(self.ready, self)) is not self:
            return item
        if self.over:
            raise StopIteration
        if self.session.exact:
            return self.source._do("method", "__next__")
        if self.taken > MOST_ITEMS:
            raise self.session.halt("output_limit", f"an iterator of more than {MOST_ITEMS:,} items")
        items = self.source._do("next", self.step)
        if type(items) is not list:
            raise self.session.halt("protocol_violation", "an iterator did not answer with items")
        self.taken += self.step
        self.over = len(items) < self.step
        self.step = 1 if self.taken < self.single else min(self.step * 2, CHUNK)
        self.ready = iter(items)
        return next(self)

    def send(self, value: Any) -> Any:
        """As a generator's; tests that use it are given one value at a time."""
        return self.source._do("method", "send", value)

    def throw(self, *error: Any) -> Any:
        raise self.session.halt("needs_shared", "the test throws into a generator of the candidate's")

    def close(self) -> None:
        self.over = True
        self.source._do("method", "close")


class Missing:
    """A name that the candidate should define and does not."""

    def __init__(self, session: Session, name: str) -> None:
        self.__dict__.update(session=session, name=name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(UNASKED):
            raise AttributeError(name)
        session = self.__dict__["session"]
        session.calls += 1
        raise session.halt("undefined", f"the code does not define {self.__dict__['name']!r}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__getattr__("")

    def __bool__(self) -> bool:
        return bool(self.__getattr__(""))

    def __eq__(self, other: object) -> bool:
        return bool(self.__getattr__(""))

    __hash__ = object.__hash__


# --- showing --------------------------------------------------------------------------------------


def show(x: Any, limit: int = CUT) -> str:
    """A repr that is cut while it is made and asks nothing of foreign objects."""
    parts: list[str] = []
    room = limit
    stack: list[Any] = [x]
    brackets: dict[type, str] = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", dict: "{}"}
    while stack and room > 0:
        item = stack.pop()
        kind = type(item)
        if kind is Text:
            part = item.text
        elif kind is Remote:
            part = f"<{slot(item, '_name')} of the candidate's>"
        elif kind in brackets:
            part = brackets[kind][0]
            inner: list[Any] = []
            for index, entry in enumerate(itertools.islice(item.items() if kind is dict else item, room)):
                inner += ([Text(", ")] if index else []) + (
                    [entry[0], Text(": "), entry[1]] if kind is dict else [entry]
                )
            if kind is tuple and len(item) == 1:
                inner.append(Text(","))
            stack += [Text(brackets[kind][1]), *reversed(inner)]
        elif kind is str or kind is bytes:
            part = repr(item[:room])
        elif kind is int and item.bit_length() > 3000:
            part = f"<an integer of {item.bit_length()} bits>"
        else:
            try:
                part = repr(item)
            except BaseException as error:  # a test's own class
                part = f"<{kind.__name__}: {type(error).__name__}>"
        parts.append(part[:room])
        room -= len(part)
    return "".join(parts) + ("…" if room <= 0 else "")


class Text:
    def __init__(self, text: str) -> None:
        self.text = text
