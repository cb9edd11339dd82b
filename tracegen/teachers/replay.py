"""Recorded responses: of a run directory, or of a file of existing traces. Imports what others made.

A recording answers a problem that asks the same question (white space apart), or has the same key where
`columns.id` names one; the k-th recording of a problem is its sample k. What was never recorded is a
TeacherError with cause `not_recorded`, which is final. The whole file is held in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tracegen import problems, recipe, rows
from tracegen.data import Problem, Request
from tracegen.errors import TeacherError, UserError
from tracegen.teachers import Reply
from tracegen.teachers.forced import encode

KIND = "replay"
RUN = "run.sqlite"


class Replay:
    """A teacher that says again what was said before."""

    def __init__(
        self,
        config: recipe.ReplayTeacher,
        *,
        label: str,
        base: Path,
        problem_of: Callable[[str], Problem] | None,
    ) -> None:
        self._config = config
        self._label = label
        self._base = base
        self._problem_of = problem_of
        self._recorded: dict[str, list[bytes]] | None = None

    async def ready(self) -> None:
        """Read the recording. Raises UserError if there is none, or a row of it cannot be used."""
        if self._recorded is None:
            folder = self._base / self._config.path
            try:
                self._recorded = _of_run(folder) if (folder / RUN).is_file() else _of_file(self._config, self._base)
            except UserError as error:
                raise UserError(f"{self._label}.path: {error}") from None

    async def complete(self, request: Request) -> Reply:
        """The recorded body. Raises TeacherError (not_recorded) where there is none for this sample."""
        await self.ready()
        assert self._recorded is not None  # noqa: S101 - ready() has read it
        problem = self._problem_of(request.problem) if self._problem_of else None
        names = [_name(problem.key), _name(problem.question)] if problem else [_name(_question(request))]
        found = next((self._recorded[name] for name in names if name and name in self._recorded), [])
        if request.index >= len(found):
            raise TeacherError(
                f"{self._label}: {self._config.path} holds {len(found)} responses to problem {request.problem}",
                cause="not_recorded",
            )
        return Reply(body=found[request.index], seconds=0.0)

    async def aclose(self) -> None:
        """Let go of the recording."""
        self._recorded = None


def fingerprint(config: recipe.ReplayTeacher, base: Path) -> str:
    """What tells a recording from another one: the file's bytes and columns, or the run's recipe.

    Raises UserError if there is no such file.
    """
    path = base / config.path
    file = path / "recipe.toml" if path.is_dir() else path
    try:
        state = hashlib.sha256(file.read_bytes())
    except OSError as error:
        raise UserError(f"{config.path}: no recording can be read there: {error.strerror}") from None
    state.update(msgspec.json.encode([config.layout, config.columns, config.finish_reason]))
    return state.hexdigest()


def _of_run(folder: Path) -> dict[str, list[bytes]]:
    """The responses of a run, in the order of pass and sample."""
    from tracegen.store import Store

    recorded: dict[str, list[bytes]] = {}
    with Store(folder, write=False) as store:
        for problem in store.problems():
            requests = sorted(store.requests_of(problem.id), key=lambda one: (one.stage, one.index, one.id))
            bodies = [found.body for one in requests if (found := store.response(one.id))]
            for name in filter(None, {_name(problem.key), _name(problem.question)}):
                recorded[name] = bodies
    return recorded


def _of_file(config: recipe.ReplayTeacher, base: Path) -> dict[str, list[bytes]]:
    """The responses of a file, by the name of the problem that each answers."""
    if config.layout and config.layout not in problems.LAYOUTS:
        raise UserError(f"unknown layout {config.layout!r} - expected one of {', '.join(problems.LAYOUTS)}")
    recorded: dict[str, list[bytes]] = {}
    bad: list[str] = []
    for row in rows.read(config.path, base=base):
        if isinstance(row, rows.BadRow):
            bad.append(f"{row.where}: {row.why}")
            continue
        try:
            name, body = _recording(config, row.values)
        except KeyError as error:
            bad.append(f"{row.where}: no column {error} - the row has {', '.join(map(str, row.values))}")
            continue
        recorded.setdefault(name, []).append(body)
    if bad:
        raise UserError("\n".join(bad))
    return recorded


def _recording(config: recipe.ReplayTeacher, values: dict[str, Any]) -> tuple[str, bytes]:
    """The name of the problem that a row answers, and the row as a body."""
    layout = problems.LAYOUTS.get(config.layout, problems.PLAIN)
    columns = config.columns
    name = problems.column(values, columns.id or columns.question, layout.question)
    response = problems.column(values, columns.response, layout.response)
    message: dict[str, Any] = {"role": "assistant", "content": response}
    if columns.thinking:
        message["reasoning_content"] = rows.pick(values, columns.thinking)
    reply: dict[str, Any] = {"message": message, "finish_reason": values.get("finish_reason") or config.finish_reason}
    for count in ("prompt_tokens", "completion_tokens"):
        if isinstance(values.get(count), int):
            reply[count] = values[count]
    return _name(str(name)), encode(KIND, "", (msgspec.json.encode(reply),))


def _question(request: Request) -> str:
    return request.messages[-1].content


def _name(text: str) -> str:
    return " ".join(text.split())
