"""The candidate's side: runs one program, and answers calls with type-tagged data.

Everything in this process belongs to the candidate's uid, and nothing here is worth reading: inputs
come here, expected values and tests never.
"""

from __future__ import annotations

import builtins
import importlib
import io
import itertools
import json
import operator
import os
import site
import sys
import types

import codec
import commands
import library
from channel import Channel

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from typing import Any

FILE = "solution.py"
FUNCTIONS = ("builtins", "math", "operator", "_operator", "itertools", "_functools", "functools")
CHUNK = 8192


class Source:
    """A module's loader, by which tracebacks and `inspect` find the source that is on no disk."""

    def __init__(self, source: str) -> None:
        self.source = source

    def get_source(self, name: str) -> str:
        return self.source


HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ["/usr/local/lib/python3/dist-packages", "/usr/lib/python3/dist-packages"]
SEARCHED = [path for path in sys.path if path != HERE] + PACKAGES
"""Where jobs find modules: not in the harness, and the supervisor has no third-party packages."""


def keep_streams() -> None:
    """Makes the standard streams of all forks, on descriptors 0, 1 and 2, whatever these are by then.

    Once, over pipes as the jobs' are: a stream asks once whether it can be sought in. They say their names
    and modes as Python's own do (`create_stdio` in pylifecycle.c), which templates for fast input look at.
    """
    kept = [os.dup(fd) for fd in (1, 2)]
    pipe = os.pipe()
    for fd in (1, 2):
        os.dup2(pipe[1], fd)
    made = {
        "stdin": io.TextIOWrapper(open(0, "rb", closefd=False), encoding="utf-8", errors="surrogateescape"),
        "stdout": io.TextIOWrapper(open(1, "wb", closefd=False), encoding="utf-8", errors="surrogateescape"),
        "stderr": io.TextIOWrapper(
            open(2, "wb", closefd=False), encoding="utf-8", errors="backslashreplace", line_buffering=True
        ),
    }
    for name, stream in made.items():
        vars(stream.buffer.raw)["name"] = f"<{name}>"
        vars(stream)["mode"] = "r" if name == "stdin" else "w"
    vars(sys).update(made)
    vars(sys).update({f"__{name}__": stream for name, stream in made.items()})
    for target, fd in zip((1, 2), kept, strict=True):
        os.dup2(fd, target)
    for fd in (*kept, *pipe):
        os.close(fd)


def look_like_a_program() -> None:
    """What every program finds in its interpreter; the zygote has no use for it itself."""
    keep_streams()
    sys.argv[:] = [FILE]
    site.setquit()


def module(name: str, source: str = "") -> types.ModuleType:
    """An empty module in which a program runs."""
    made = types.ModuleType(name)
    made.__file__ = FILE
    vars(made)["__loader__"] = Source(source)
    made.__dict__["__builtins__"] = builtins
    sys.modules[name] = made
    return made


def run_program(header: dict[str, Any]) -> None:
    """A whole program, once, as `__main__`; the interpreter then ends as it always does."""
    os.closerange(3, 5)
    sys.path[:] = SEARCHED
    commands.lay_out(header)
    sys.argv += header.get("arguments", ())
    source = header["source"]
    program = module("__main__", source)
    exec(compile(source, FILE, "exec", dont_inherit=True), program.__dict__)


def serve_functions(header: dict[str, Any]) -> None:
    """Loads a candidate, then answers one call after another until the channel closes."""
    channel = Channel(3, 4)
    sys.path[:] = SEARCHED
    server = Server()
    channel.say(server.load(json.loads(channel.hear())))
    while True:
        channel.say(server.answer(json.loads(channel.hear())))


def failure(error: BaseException, depth: int = 0) -> dict[str, Any]:
    """What the other side may know of an exception: its classes by name, its text, its plain attributes."""
    found: dict[str, Any] = {"error": type(error).__name__[:80], "message": "", "line": line_of(error)}
    try:
        found["kinds"] = [kind_name(kind) for kind in type(error).__mro__[:12]]
        found["message"] = str(error)[:4000]
        encoder = codec.Encoder(lambda x: None, {}, FUNCTIONS)
        for chain, other in (("cause", error.__cause__), ("context", error.__context__)):
            if other is not None and depth < 3:
                found[chain] = failure(other, depth + 1)
        found["suppressed"] = bool(error.__suppress_context__)
        args = list(error.args)
        if isinstance(error, OSError) and len(args) == 2 and error.filename is not None:
            args.append(error.filename)
        plain = {name: item for name, item in vars(error).items() if sendable(item)}
        found["state"] = encoder.message([args, plain])
    except BaseException:  # a hostile __str__, or attributes that are not plain
        return found
    return found


def sendable(x: Any) -> bool:
    """Plain data; what else an exception holds is asked for where the tests want it."""
    try:
        codec.Encoder(lambda x: None, {}, FUNCTIONS).message(x)
    except codec.Refused:
        return False
    return True


def kind_name(kind: type) -> str:
    """`ValueError`, or `json.decoder:JSONDecodeError`."""
    if getattr(builtins, kind.__name__, None) is kind:
        return kind.__name__
    return f"{kind.__module__}:{kind.__name__}"[:160]


def line_of(error: BaseException) -> str:
    """The last line of the candidate's that an exception passed; empty where that cannot be found."""
    line = ""
    try:
        import traceback

        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename == FILE:
                line = f"line {frame.lineno}: {frame.line or ''}".strip()[:200]
    except BaseException:  # no descriptors, no memory, or a candidate that patched the library
        return ""
    return line


class Server:
    """The candidate's objects, and the calls on them."""

    def __init__(self) -> None:
        self.solution = module("solution")
        self.held: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.classes: dict[type, str] = {}
        self.shared: dict[str, type] = {}
        self.named: dict[str, Any] = {}
        self.given: dict[str, Any] = {}
        """What the preamble put into the module, which is none of the program's."""

    def load(self, job: dict[str, Any]) -> bytes:
        """Runs the candidate's module."""
        space = self.solution.__dict__
        try:
            if job.get("preamble"):
                exec(compile(library.LEETCODE, "preamble.py", "exec", dont_inherit=True), space)
                self.given = dict(space)
            if job.get("context"):
                exec(compile(job["context"], "prompt.py", "exec", dont_inherit=True), space)
            space["__loader__"] = Source(job["source"])
            try:
                code = compile(job["source"], FILE, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                return json.dumps(
                    {"loaded": False, "syntax": f"{type(error).__name__}: {error}"[:400]}
                ).encode()
            exec(code, space)
        except BaseException as error:  # SystemExit and KeyboardInterrupt are the candidate's, too
            return json.dumps({"loaded": False, **failure(error)}).encode()
        return json.dumps({"loaded": True}).encode()

    def answer(self, ask: dict[str, Any]) -> bytes:
        """One operation; whatever goes wrong in it is the answer."""
        try:
            match ask["op"]:
                case "hello":
                    return self.hello(ask)
                case "call":
                    return self.call(ask)
                case "named":
                    return self.call_named(ask)
                case operation:
                    return self.reply(self.operate(operation, ask))
        except codec.Refused as error:
            large = isinstance(error, codec.TooLarge)
            return json.dumps({"refused": str(error), "large": large}).encode()
        except BaseException as error:  # as above
            return json.dumps(failure(error) | {"handle": self.number(error)}).encode()

    def hello(self, ask: dict[str, Any]) -> bytes:
        """Which of the names that the tests use are here, and of what kind."""
        space = self.solution.__dict__
        for name in ask["classes"]:
            if isinstance(space.get(name), type) and not codec.of_builtins(space[name]):
                self.classes[space[name]] = name
                self.shared[name] = space[name]
        held = sorted(self.shared)
        found = {name: space[name] for name in ask["names"] if name in space}
        names = {name: self.describe(x) for name, x in found.items() if self.given.get(name, self) is not x}
        self.shared |= {name: x for name, x in found.items() if is_exception(x)}
        return json.dumps({"names": names, "classes": held}).encode()

    def describe(self, x: Any) -> dict[str, Any]:
        kind = "value"
        if isinstance(x, types.ModuleType):
            kind = "module"
        elif isinstance(x, type):
            kind = "exception" if is_exception(x) else "class"
        elif callable(x):
            kind = "function"
        described = {"kind": kind, "handle": self.number(x)}
        if isinstance(x, type) and kind == "exception":
            described["kinds"] = [kind_name(base) for base in x.__mro__[:12]]
            held = {name: item for base in reversed(x.__mro__[:-1]) for name, item in vars(base).items()}
            simple = (type(None), bool, int, float, str)
            described["attributes"] = {name: item for name, item in held.items() if type(item) in simple}
        return described

    def number(self, x: Any) -> int:
        """By what the other side knows an object that stays here."""
        number = self.numbers.get(id(x))
        if number is None:
            number = self.numbers[id(x)] = len(self.held)
            self.held.append(x)
        return number

    def hold(self, x: Any) -> list[Any]:
        """A handle: the object stays here, the other side gets its number; of an exception, what it says."""
        number = self.number(x)
        if isinstance(x, BaseException):
            return ["h", number, "error", type(x).__name__[:80], failure(x)]
        iterator = type(x) is Held or type(x) in codec.ITERATORS
        kind = "iterator" if iterator else "function" if callable(x) else "object"
        return ["h", number, kind, type(x).__name__[:80]]

    def call(self, ask: dict[str, Any]) -> bytes:
        """A call; arguments changed in place go back where nothing is returned, or what is does not matter.

        Elsewhere they do not: `assert f(x) == x` would hold of a program that empties `x` and returns it.
        """
        decoder = codec.Decoder(
            lambda rest: self.held[rest[0]], self.find_class, FUNCTIONS, every_builtin=True
        )
        target, args, kwargs = decoder.message(ask["call"])
        result = target(*args, **kwargs)
        wanted = ask.get("mutable")
        changed = [args, kwargs] if wanted == "always" or (wanted and result is None) else None
        return self.reply(result, changed)

    def call_named(self, ask: dict[str, Any]) -> bytes:
        """A call of the function that had this name first, with arguments that are nothing but data."""
        name = ask["name"]
        if name not in self.named:
            self.named[name] = self.find_named(name)
        target = self.named[name]
        if not callable(target) or isinstance(target, type):
            return b'{"absent": true}'
        args, kwargs = codec.Decoder(lambda _: None, self.find_class).message(ask["call"])
        return self.reply(target(*args, **kwargs))

    def find_named(self, name: str) -> Any:
        """What a name means, or the method of a new object (`Solution().name`)."""
        root, made, method = name.partition("().")
        found = self.solution.__dict__.get(root)
        if not made:
            return found
        return getattr(found(), method, None) if isinstance(found, type) else None

    def find_class(self, name: str) -> type:
        """The candidate's class of that name, else an empty one to hold the attributes."""
        if name not in self.shared:
            self.shared[name] = type(name, (), {})
            self.classes[self.shared[name]] = name
        return self.shared[name]

    def reply(self, result: Any, changed: Any = None) -> bytes:
        encoder = codec.Encoder(self.hold, self.classes, FUNCTIONS)
        return json.dumps({"result": encoder.message([result, changed])}).encode()

    def operate(self, operation: str, ask: dict[str, Any]) -> Any:
        """An operation on a held object."""
        decoder = codec.Decoder(
            lambda rest: self.held[rest[0]], self.find_class, FUNCTIONS, every_builtin=True
        )
        x, args = decoder.message(ask["call"])
        match operation:
            case "next":
                return list(itertools.islice(x, min(int(args[0]), CHUNK)))
            case "iter":
                return Held(iter(x))
            case "value":
                return x
            case "getattr":
                return getattr(x, args[0])
            case "setattr":
                return setattr(x, args[0], args[1])
            case "bool" | "len" | "str" | "repr" | "int" | "float" | "complex" | "bytes" | "format":
                return getattr(builtins, operation)(x)
            case "hash" | "dir" | "type":
                return getattr(builtins, operation)(x)
            case "index":
                return x.__index__() if hasattr(type(x), "__index__") else [][x]
            case "copy" | "deepcopy":
                return getattr(importlib.import_module("copy"), operation)(x)
            case "equals":
                return bool(x == args[0])
            case "absorb":
                held = getattr(x, args[1]) if args[0] == "getattr" else x[args[1]]
                codec.absorb(held, args[2], objects=False)
                return None
            case "reversed":
                return Held(reversed(x))
            case "hasattr":
                return hasattr(x, args[0])
            case "inherits":
                return inherits(type(x), args[0])
            case "delattr":
                return delattr(x, args[0])
            case "getitem":
                return x[args[0]]
            case "setitem":
                x[args[0]] = args[1]
                return None
            case "delitem":
                del x[args[0]]
                return None
            case "contains":
                return args[0] in x
            case "instance":
                return isinstance(args[0], x)
            case "method":
                return getattr(x, args[0])(*args[1:])
            case "exit":
                return bool(x.__exit__(type(args[0]), args[0], args[0].__traceback__))
            case "special":
                return special(x, *args)
        raise ValueError(operation)


def inherits(kind: type, told: list[str]) -> bool:
    """The class derives from one of these of the library."""
    found = [name.partition(":")[::2] for name in told]
    return any(issubclass(kind, getattr(importlib.import_module(module), name)) for module, name in found)


def special(x: Any, name: str, *args: Any) -> Any:
    """What an operator comes to: NotImplemented where the other operand's class is to be asked."""
    if name in ("__contains__", "__neg__", "__pos__", "__abs__") or name.startswith("__i"):  # `+=`, `~`
        return getattr(operator, name)(x, *args)
    if name == "__round__":
        return round(x, *args)
    found = getattr(type(x), name, None)
    return NotImplemented if found is None else found(x, *args)


def is_exception(x: Any) -> bool:
    return isinstance(x, type) and issubclass(x, BaseException)


class Held:
    """Marks an iterator that must stay here whatever its type."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __iter__(self) -> Any:
        return self.inner

    def __next__(self) -> Any:
        return next(self.inner)


def run_tests(header: dict[str, Any]) -> None:
    import judge

    judge.run_tests(header)


def run_shared(header: dict[str, Any]) -> None:
    import sharing

    sharing.run_shared(header)


ENTRIES = {
    "program": run_program,
    "functions": serve_functions,
    "judge": run_tests,
    "shared": run_shared,
    "compile": commands.run_compile,
    "command": commands.run_command,
}
"""What a fork may become, by role."""
