"""Recorded responses: of a run directory, or of a file or dataset of existing traces.

It imports other people's traces and drives every later stage without a token. A row belongs to a
problem by its id where an id column is named, else by the text of its question (white space aside);
the k-th row of a problem is its sample k. A judge's reply, and a rewrite, is found by the text that was
asked. What was not recorded fails with the cause `not_recorded`. A run's responses come back as they were
stored, whatever teacher gave them. The traces of a file are kept in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tracegen import problems, recipe, rows
from tracegen.data import Problem, Request, Struct, digest
from tracegen.errors import TeacherError, UserError
from tracegen.store import FILE, Store
from tracegen.teachers import Reply
from tracegen.teachers.forced import encode

KIND = "replay"
SHOWN = 10
"""Bad rows that a message lists."""
TOLD = ("judge", "rewrite")
"""Stages whose replies are found by what was asked, not by the problem."""
ASSISTANTS = ("assistant", "gpt", "model")
"""Names of the role in chats."""


class Usual(Struct, frozen=True):
    """The usual columns of traces, tried in order."""

    question: tuple[str, ...] = ("question", "problem", "instruction", "prompt", "input", "query")
    response: tuple[str, ...] = (
        "response",
        "completion",
        "generation",
        "model_answer",
        "message_content",
        "solution",
        "output",
        "text",
        "messages",
    )
    thinking: tuple[str, ...] = ("thinking", "reasoning", "reasoning_content", "message_thinking")
    finish_reason: tuple[str, ...] = ("finish_reason", "stop_reason")


LAYOUTS = {
    "": Usual(),
    "tracegen": Usual(question=("question",), response=("answer",), thinking=("thinking",)),
    "messages": Usual(response=("messages", "conversations"), thinking=()),
    "openthoughts": Usual(("problem",), ("deepseek_solution",), ("deepseek_reasoning",)),
    "s1k": Usual(("question",), ("deepseek_attempt",), ("deepseek_thinking_trajectory",)),
    "qwen-eval": Usual(("question",), ("code.0",), ()),
}
"""Columns of known traces: tracegen's own, chats, OpenThoughts, s1K-1.1, Qwen2.5-Math's evaluation; those
of problems (`problems.LAYOUTS`) are known here too."""
COUNTS = ("prompt_tokens", "completion_tokens", "thinking_tokens")


class Recorded(Struct, frozen=True):
    """What a row holds for a problem."""

    body: bytes
    seconds: float = 0.0


class Replay:
    """A teacher that says what was said before."""

    def __init__(
        self,
        config: recipe.ReplayTeacher,
        *,
        label: str,
        base: Path,
        problem_of: Callable[[str], Problem] | None,
    ) -> None:
        """Raises UserError for a layout that does not exist."""
        self._usual = usual_columns(config.layout, label)
        self._config = config
        self._label = label
        self._base = base
        self._problem_of = problem_of
        self._store: Store | None = None
        self._tape: dict[str, list[Recorded]] | None = None

    async def ready(self) -> None:
        """Open the run, or read the file. Raises UserError where there is neither, or rows are bad."""
        if self._store is not None or self._tape is not None:
            return
        if is_run(self._config, self._base):
            self._store = Store(self._base / self._config.path, write=False)
        else:
            self._tape = await asyncio.to_thread(read_tape, self._config, self._base, self._usual)

    async def complete(self, request: Request) -> Reply:
        """What was recorded for this sample of the problem. Raises TeacherError (not_recorded)."""
        await self.ready()
        recorded = self._of_run(request) if self._store is not None else self._of_tape(request)
        if request.index >= len(recorded):
            raise TeacherError(
                f"teacher {self._label!r}: {self._config.path} has {len(recorded)} responses to problem"
                f" {request.problem}, not {request.index + 1} - lower n, or record more",
                cause="not_recorded",
            )
        found = recorded[request.index]
        return Reply(body=found.body, seconds=found.seconds)

    async def aclose(self) -> None:
        """Close the run."""
        store, self._store, self._tape = self._store, None, None
        if store is not None:
            store.close()

    def _of_run(self, request: Request) -> list[Recorded]:
        """Responses of the same stage if there are any, in the order of their index."""
        assert self._store is not None  # noqa: S101 - asked by complete()
        asked = [other for other in self._store.requests_of(request.problem) if _alike(other, request)]
        same = [other for other in asked if other.stage == request.stage] or asked
        same.sort(key=lambda other: (other.stage, other.index, other.sampling.max_tokens))
        responses = [response for other in same if (response := self._store.response(other.id))]
        return [Recorded(body=response.body, seconds=response.seconds) for response in responses]

    def _of_tape(self, request: Request) -> list[Recorded]:
        assert self._tape is not None  # noqa: S101 - asked by complete()
        if request.stage in TOLD:
            return self._tape.get(by_question(request.messages[-1].content), [])
        if self._problem_of is None:
            raise UserError(
                f"teacher {self._label!r}: a file is replayed by question, but no problem is known"
            )
        problem = self._problem_of(request.problem)
        name = by_key(problem.key) if self._config.columns.id else by_question(problem.question)
        return self._tape.get(name, [])


def _alike(recorded: Request, request: Request) -> bool:
    """The reply of a judge, and a rewrite, belong to the text that was asked."""
    if request.stage in TOLD:
        return recorded.stage == request.stage and recorded.messages == request.messages
    return recorded.stage not in TOLD


def is_run(config: recipe.ReplayTeacher, base: Path) -> bool:
    """Whether the path is a run directory."""
    return (base / config.path / FILE).is_file()


def fingerprint(config: recipe.ReplayTeacher, base: Path) -> str:
    """Digest of what is replayed: a run's recipe, a file's content, or a dataset's name; and its columns.

    Raises UserError where the path leads to nothing.
    """
    path = base / config.path
    if is_run(config, base):
        saved = path / "recipe.toml"
        what = saved.read_text(encoding="utf-8") if saved.is_file() else path.name
    elif path.is_file():
        with path.open("rb") as file:
            what = hashlib.file_digest(file, "sha256").hexdigest()
    elif path.is_dir() or (rows.HUB_ID.fullmatch(config.path) and not config.path.endswith(rows.SUFFIXES)):
        what = config.path
    else:
        raise UserError(f"{path}: no recording there - give a file, a dataset, or a run directory")
    return digest(what, config.layout, config.columns, config.finish_reason, config.elicit)


def usual_columns(layout: str, label: str) -> Usual:
    """The usual columns of a layout. Raises UserError if there is no such layout."""
    if layout in LAYOUTS:
        return LAYOUTS[layout]
    if layout in problems.LAYOUTS:
        known = problems.LAYOUTS[layout]
        return Usual(question=known.question, response=known.response)
    names = ", ".join(sorted(filter(None, {*LAYOUTS, *problems.LAYOUTS})))
    raise UserError(f"teacher {label!r}: unknown layout {layout!r} - expected one of {names}")


def read_tape(config: recipe.ReplayTeacher, base: Path, usual: Usual) -> dict[str, list[Recorded]]:
    """The recorded rows by `by_key` or `by_question`, in file order. Raises UserError that lists bad rows."""
    tape: dict[str, list[Recorded]] = {}
    bad: list[str] = []
    for row in rows.read(config.path, base=base):
        try:
            name, recorded = _recorded(row, config, usual)
        except (KeyError, ValueError) as error:
            bad.append(f"{row.where}: {error.args[0]}")
        else:
            tape.setdefault(name, []).append(recorded)
    if bad:
        more = f"\nand {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise UserError("\n".join(bad[:SHOWN]) + more)
    if not tape:
        raise UserError(f"{config.path}: no responses in it - name its columns")
    return tape


def by_question(question: str) -> str:
    """The name of rows that a question finds."""
    return "question " + " ".join(question.split())


def by_key(key: str) -> str:
    """The name of rows that a problem's key finds."""
    return f"key {key}"


def _recorded(
    row: rows.Row | rows.BadRow, config: recipe.ReplayTeacher, usual: Usual
) -> tuple[str, Recorded]:
    """A row's name and what it holds. Raises KeyError or ValueError that says what is wrong with it."""
    if isinstance(row, rows.BadRow):
        raise ValueError(row.why)
    columns = config.columns
    if columns.id:
        name = by_key(str(_cell(row.values, columns.id, (), "id")))
    else:
        name = by_question(str(_cell(row.values, columns.question, usual.question, "question")))
    message = _message(
        _cell(row.values, columns.response, usual.response, "response"),
        _found(row.values, columns.thinking, usual.thinking),
    )
    reason = _found(row.values, "", usual.finish_reason)
    reply: dict[str, Any] = {
        "message": message,
        "finish_reason": str(reason) if reason else config.finish_reason,
    }
    if isinstance(row.values.get("usage"), dict):
        reply["usage"] = row.values["usage"]
    reply |= {name: count for name in COUNTS if isinstance(count := row.values.get(name), int)}
    return name, Recorded(body=encode(KIND, "", (msgspec.json.encode(reply),)))


def _message(response: Any, thinking: Any) -> dict[str, Any]:
    """The assistant's message in a cell: its text, the message itself, or a chat that ends with it."""
    if isinstance(response, list):
        turns = [turn for turn in response if isinstance(turn, dict) and _role(turn) in ASSISTANTS]
        if not turns:
            raise ValueError("response: a chat without a turn of the assistant")
        response = turns[-1]
    if isinstance(response, dict):
        content = response.get("content", response.get("value"))
        return {**response, "role": "assistant", "content": content}
    message: dict[str, Any] = {"role": "assistant", "content": "" if response is None else str(response)}
    if thinking:
        message["reasoning_content"] = str(thinking)
    return message


def _role(turn: dict[str, Any]) -> str:
    return str(turn.get("role", turn.get("from", "")))


def _cell(values: dict[str, Any], named: str, usual: tuple[str, ...], what: str) -> Any:
    """The named or first usual column. Raises KeyError where there is none."""
    for name in (named,) if named else usual:
        try:
            return rows.pick(values, name)
        except KeyError:
            continue
    wanted = repr(named) if named else f"named any of {', '.join(usual)}"
    raise KeyError(f"{what}: no column {wanted} - the row has {', '.join(map(str, values))}")


def _found(values: dict[str, Any], named: str, usual: tuple[str, ...]) -> Any:
    """Like `_cell`, but None where there is no usual column."""
    if named:
        return _cell(values, named, (), "thinking")
    return next(_present(values, usual), None)


def _present(values: dict[str, Any], usual: tuple[str, ...]) -> Iterator[Any]:
    for name in usual:
        try:
            yield rows.pick(values, name)
        except KeyError:
            continue
