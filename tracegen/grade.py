"""Judge a dataset that others made: one verdict per row, in the order of the rows.

Rows are judged many at a time and written in their order. What is written survives an interruption:
the same command goes on after the last row. Responses are untrusted like any trace.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from tracegen import problems, rows
from tracegen.data import Problem, Request, Sampling, Struct, Verdict, digest
from tracegen.errors import UserError
from tracegen.interrupts import first_interrupt
from tracegen.problems import LAYOUTS, PLAIN
from tracegen.recipe import Elicit
from tracegen.sample import verdict_on
from tracegen.teachers.dialects import parse
from tracegen.verify import Verifier

WINDOW = 256
"""Rows that are judged ahead of the one that is written next."""
IDS = ("id", "task_id", "unique_id", "uuid", "problem_id", "idx")


class Task(Struct, frozen=True):
    """What to judge, and where it stands."""

    dataset: str
    domain: Literal["", "math", "code", "choice"] = ""
    layout: str = ""
    reference_column: str = ""
    response_column: str = ""
    id_column: str = ""
    entry_point_column: str = ""
    language: str = ""
    """Programming language of the responses; empty is Python."""
    config: str = ""
    split: str = "train"
    bare: bool = False
    """The response is only the answer or the code, without thinking or words around it."""
    elicit: Elicit = Elicit()


class Judgement(Struct, frozen=True):
    """A row of the output."""

    id: str | int
    outcome: str
    cause: str
    extracted: str
    milliseconds: float
    trust: str
    step: str
    evidence: str


class Graded(Struct, frozen=True):
    """How it ended."""

    rows: int
    outcomes: dict[str, int]
    """Rows by `outcome: cause`."""
    stopped: bool


def grade(task: Task, verifier: Verifier, out: Path, say: Callable[[int], None]) -> Graded:
    """Judge every row and write `out` as JSON lines; `say` is told how many rows are done.

    Raises UserError if the dataset, a column or the layout is not there, and SandboxError without a sandbox.
    """
    task = _completed(task)
    stream = rows.read(task.dataset, config=task.config, split=task.split)
    first = next(stream, None)
    if first is None:
        raise UserError(f"{task.dataset}: no rows - nothing to judge")
    task = _with_columns(task, first)
    stream = itertools.chain([first], stream)
    partial = out.with_name(f".{out.name}.{_fingerprint(task, verifier)}.partial")
    done = _keep_whole_lines(partial)
    try:
        sink = partial.open("ab")
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror} - choose another --out") from None
    with sink:
        graded = asyncio.run(_grade(task, verifier, stream, done, lambda line: _append(sink, line), say))
    if not graded.stopped:
        partial.replace(out)
    return graded


async def _grade(
    task: Task,
    verifier: Verifier,
    stream: Iterator[rows.Row | rows.BadRow],
    done: list[Judgement],
    write: Callable[[bytes], None],
    say: Callable[[int], None],
) -> Graded:
    outcomes = Counter(f"{one.outcome}: {one.cause}" for one in done)
    stop = asyncio.Event()
    written = len(done)
    waiting: deque[asyncio.Task[Judgement]] = deque()

    async def next_written() -> None:
        nonlocal written
        judgement = await waiting.popleft()
        write(msgspec.json.encode(judgement) + b"\n")
        outcomes[f"{judgement.outcome}: {judgement.cause}"] += 1
        written += 1
        say(written)

    async with verifier, asyncio.TaskGroup() as group:
        with first_interrupt(stop.set):
            for number, row in enumerate(stream):
                if number < len(done):
                    continue
                if stop.is_set():
                    break
                waiting.append(group.create_task(_judge(task, verifier, number, row)))
                if len(waiting) >= WINDOW:
                    await next_written()
            while waiting:
                await next_written()
    return Graded(written, dict(outcomes.most_common()), stop.is_set())


async def _judge(task: Task, verifier: Verifier, number: int, row: rows.Row | rows.BadRow) -> Judgement:
    if isinstance(row, rows.BadRow):
        return _judgement(number, Verdict("unverifiable", "bad_row", evidence=f"{row.where}: {row.why}"))
    identity = _identity(task, number, row.values)
    try:
        problem = _problem(task, row.values)
    except (KeyError, ValueError) as error:
        return _judgement(identity, Verdict("unverifiable", "bad_reference", evidence=str(error)))
    try:
        response = problems.column(row.values, task.response_column, ())
    except KeyError:
        response = None
    if response is None:
        return _judgement(identity, Verdict("no_answer", "no_response"))
    text = response if isinstance(response, str) else str(response)
    if task.bare:
        return _judgement(identity, await verifier.judge(problem.reference, text, bare=True))
    return _judgement(
        identity, await verdict_on(verifier, problem, parse(_AS_ASKED, _body(text), task.elicit))
    )


def _problem(task: Task, values: dict[str, Any]) -> Problem:
    layout = LAYOUTS.get(task.layout, PLAIN)

    def text(named: str, usual: tuple[str, ...]) -> str:
        value = problems.column(values, named, usual)
        return "\n".join(map(str, value)) if isinstance(value, list) else str(value or "")

    return Problem(
        question="",
        reference=problems.reference(
            problems.column(values, task.reference_column, ()),
            task.domain or layout.domain,
            entry_point=text(task.entry_point_column, layout.entry_point),
            prompt=text("", layout.prompt),
            setup=text("", layout.setup),
            choices=tuple(map(str, problems.column(values, "", layout.choices) or ())),
            language=task.language,
            solution=text("", layout.solution) if layout.inputs or layout.arguments else "",
            **problems.suite_columns(values, layout),
        ),
    )


def _completed(task: Task) -> Task:
    """The task with its domain settled. Raises UserError where nothing says what it is."""
    domain = task.domain or (LAYOUTS[task.layout].domain if task.layout else "")
    if not domain:
        raise UserError("--domain: not given - say math, code or choice, or a --layout")
    return msgspec.structs.replace(task, domain=domain)


def _with_columns(task: Task, first: rows.Row | rows.BadRow) -> Task:
    """The task with the layout's usual columns where none is named, found in the first row.

    Raises UserError where a column is not there.
    """
    layout = LAYOUTS.get(task.layout, PLAIN)
    values = first.values if isinstance(first, rows.Row) else {}
    found: dict[str, str] = {}
    for option, usual in (("reference", layout.answer), ("response", layout.response)):
        named = getattr(task, f"{option}_column")
        column = named or next((name for name in usual if _has(values, name)), "")
        if not column:
            raise UserError(f"--{option}-column: not given, and no usual column is there - name one")
        if values and not _has(values, column):
            columns = ", ".join(map(str, values))
            raise UserError(f"--{option}-column {column}: no such column - the rows have {columns}")
        found[f"{option}_column"] = column
    return msgspec.structs.replace(task, **found)


def _has(values: dict[str, Any], column: str) -> bool:
    try:
        problems.column(values, column, ())
    except KeyError:
        return False
    return True


def _identity(task: Task, number: int, values: dict[str, Any]) -> str | int:
    try:
        value = problems.column(values, task.id_column, IDS)
    except KeyError:
        value = None
    return value if isinstance(value, (str, int)) else number


def _judgement(identity: str | int, verdict: Verdict) -> Judgement:
    return Judgement(
        id=identity,
        outcome=verdict.outcome,
        cause=verdict.cause,
        extracted=verdict.extracted,
        milliseconds=round(verdict.milliseconds, 3),
        trust=verdict.trust,
        step=verdict.step,
        evidence=verdict.evidence,
    )


_AS_ASKED = Request("", "", "first", (), "", Sampling(), 0)
"""What stands for the request of a response that we did not ask for."""


def _body(text: str) -> bytes:
    reply = {"message": {"content": text}, "finish_reason": "unknown"}
    return msgspec.json.encode(
        {"kind": "replay", "prefill": "", "inserted": [], "forced_close": False, "replies": [reply]}
    )


def _fingerprint(task: Task, verifier: Verifier) -> str:
    """What has to be the same for a half-done output to be gone on with."""
    file = Path(task.dataset)
    stat = file.stat() if file.exists() else None
    return digest(task, verifier.digest, stat and (stat.st_size, stat.st_mtime_ns))[:8]


def _keep_whole_lines(partial: Path) -> list[Judgement]:
    """The rows that are already written; a torn last line is cut off and judged again."""
    if not partial.exists():
        return []
    text = partial.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        partial.write_bytes(whole)
    return [msgspec.json.decode(line, type=Judgement) for line in whole.splitlines()]


def _append(sink: Any, line: bytes) -> None:
    sink.write(line)
    sink.flush()
