"""Programming languages: one description each, `sandboxes/NAME/language.toml`, and nothing else.

A description says how a program of the language is recognised, compiled and run, and what it needs besides
a program's limits; `packages.txt` beside it says what its image holds. Adding a language is adding a folder:
see docs/languages.md. Nothing of a description comes from a model or a dataset.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Annotated

import msgspec

from tracegen import resources
from tracegen.errors import UserError

DESCRIPTION = "language.toml"
Positive = Annotated[int, msgspec.Meta(ge=1)]
Command = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Compile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a program is made ready: once, in `/build`, before its first run."""

    command: Command
    seconds: Annotated[float, msgspec.Meta(gt=0.0)] = 30.0
    """Limit of its own; not part of the program's time."""
    memory_mb: Positive = 512
    disk_mb: Positive = 64
    """Size of `/build` and of `/tmp` while it is compiled, and of the largest file."""
    environment: dict[str, str] = {}


class Run(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a program is run, in `/tmp`: once per test, each time under another uid.

    `{memory_mb}` stands for the program's limit, `{stem}` for the name of its file without the suffix.
    """

    command: Command
    extra_memory_mb: int = 0
    """What the language's own machinery takes beside the program's memory."""
    extra_processes: int = 0
    """The same for threads and processes."""
    stack_mb: int = 0
    """Stack of the main thread; 0 leaves the system's 8 MB."""
    environment: dict[str, str] = {}


class Ends(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Regular expressions for lines of standard error after a run that failed."""

    exception: tuple[str, ...] = ()
    """An exception or panic that nobody caught."""
    memory: tuple[str, ...] = ()
    """Memory was refused; where the kernel killed the program, that is known without them."""


class Language(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A description."""

    name: str = ""
    """The folder's name; not written in the file."""
    title: str
    """What people call it."""
    aliases: tuple[str, ...] = ()
    """Other names, in any case: in the data, and behind the opening of a fenced block."""
    fences: tuple[str, ...] = ()
    """Further words, in lower case, behind the opening of a block that may still hold it."""
    image: str = ""
    """Folder whose image it runs in; empty is its own."""
    file: str
    """What the program's file is called."""
    files: tuple[tuple[str, str], ...] = ()
    """Pairs of a regular expression and another name for the file, `{1}` being the first group: the first
    one found in the program counts (Java names a file after its class)."""
    outlined: bool = False
    """`files` are looked for in the program's `outline`, which has braces around its blocks."""
    without: tuple[str, ...] = ()
    """Regular expressions of what is taken out of a program (Java's `package`, as there are no folders)."""
    whole: str = ""
    """Regular expression that a whole program contains, to tell it from a snippet."""
    compile: Compile | None = None
    run: Run | None = None
    """Nothing: the harness runs it in a fork of its own interpreter (Python)."""
    ends: Ends = Ends()
    example: str
    """A program that prints the sum of the whole numbers on its standard input; for `sandbox check`."""

    @property
    def fence(self) -> str:
        """The word for a fenced block, to be told to a teacher."""
        return (self.aliases or (self.name,))[0]

    @property
    def words(self) -> frozenset[str]:
        """Words behind the opening of a fenced block that say this language, in lower case."""
        return frozenset(word.lower() for word in (self.name, *self.aliases))

    def file_of(self, source: str) -> str:
        """The name of the file that the program has to be in."""
        source = outline(source, self.whole) if self.outlined else source
        for pattern, file in self.files:
            if found := re.search(pattern, source):
                name = file.replace("{1}", found[1]) if found.re.groups else file
                return name if re.fullmatch(r"\w[\w.]{0,99}", name) else self.file
        return self.file

    def prepared(self, source: str) -> str:
        """The program without what cannot stand in it here."""
        for pattern in self.without:
            source = re.sub(pattern, "", source, count=1)
        return source

    def holds_program(self, source: str) -> bool:
        """It looks like a whole program, not a snippet."""
        return re.search(self.whole, source) is not None


_PARTS = re.compile(
    r"//[^\n]*|/\*(?:.*?\*/|.*)|\"\"\"(?:\\.|.)*?(?:\"\"\"|\Z)|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?"
    r"|([{}])|([^{}/\"']+|.)",
    re.DOTALL,
)
"""Comments and texts, closed or not; braces; anything else."""


def outline(source: str, whole: str) -> str:
    """What stands outside of all blocks in braces, without comments and texts and with single spaces; a block
    is `{}`, or `{main}` where the pattern `whole` is found in it. Takes linear time."""
    found: list[str] = []
    inside: list[str] = []
    depth = 0
    for part in _PARTS.finditer(source):
        brace, text = part[1], part[2]
        if text or not brace:
            (inside if depth else found).append(text or " ")
            continue
        depth = max(depth + (1 if brace == "{" else -1), 0)
        if not depth and brace == "}":
            found.append("{main}" if whole and re.search(whole, "".join(inside)) else "{}")
            inside.clear()
    return " ".join("".join(found).split())


def filled(command: tuple[str, ...], *, file: str, memory_mb: int) -> list[str]:
    """A command of a description with its placeholders put in."""
    values = {"{stem}": file.rpartition(".")[0], "{file}": file, "{memory_mb}": str(memory_mb)}
    pattern = re.compile("|".join(map(re.escape, values)))
    return [pattern.sub(lambda found: values[found[0]], word) for word in command]


@cache
def known() -> tuple[str, ...]:
    """Names of the languages that are described, Python first."""
    found = sorted(path.parent.name for path in resources.path("sandboxes").glob(f"*/{DESCRIPTION}"))
    return tuple(sorted(found, key=lambda name: name != "python"))


@cache
def load(name: str) -> Language:
    """The language of a folder's name. Raises UserError if it is none, or its description is broken."""
    if name not in known():
        raise UserError(f"no language is called {name!r} - expected one of {', '.join(known())}")
    path = resources.path("sandboxes") / name / DESCRIPTION
    try:
        language = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Language)
        names = [pattern for pattern, _ in language.files]
        for pattern in (*names, language.whole, *language.ends.exception, *language.ends.memory):
            re.compile(pattern)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError, re.error) as error:
        raise UserError(f"{path}: {error} - docs/languages.md says what a description holds") from None
    return msgspec.structs.replace(language, name=name, image=language.image or name)


def find(word: str) -> Language:
    """The language that a name or alias means, in any case. Raises UserError naming the known ones."""
    wanted = word.strip().lower()
    for name in known():
        language = load(name)
        if wanted == name or wanted in (alias.lower() for alias in language.aliases):
            return language
    raise UserError(f"no language is called {word!r} - expected one of {', '.join(known())}")
