"""`tracegen verify` and `tracegen sandbox check`: the verifier over what others made."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tracegen import grade, languages, recipe
from tracegen.data import AssertTests, CodeTests, IoCase, StdioTests
from tracegen.errors import SandboxError, UserError
from tracegen.problems import LAYOUTS, PLAIN
from tracegen.recipe import Elicit, Verify
from tracegen.verify import Verifier


def main(given: Mapping[str, Any], overrides: tuple[str, ...], out: Path | None, *, as_json: bool) -> int:
    """Judge a dataset as the command line says; returns the exit code."""
    task = _task(given)
    settings = recipe.section(Verify, overrides, "--set")
    if settings.judge is not None:
        raise UserError(
            "--set judge: a judge is asked only in a build, where its replies are kept - leave it out"
        )
    started = time.monotonic()
    verifier = Verifier(settings, sandbox=task.domain == "code", languages=(task.language or "python",))
    with tempfile.TemporaryDirectory() as folder:
        target = out or Path(folder) / "verdicts.jsonl"
        try:
            graded = grade.grade(task, verifier, target, _Progress())
        except SandboxError as error:
            raise UserError(f"code is judged in the sandbox: {error}") from error
        if out is None:
            sys.stdout.write(target.read_text("utf-8") if target.exists() else "")
    seconds = time.monotonic() - started
    if as_json and out is not None:
        sys.stdout.write(msgspec.json.encode(graded).decode() + "\n")
    sys.stderr.write(_summary(graded, seconds))
    if graded.stopped:
        sys.stderr.write("stopped; what is judged is kept, and the same command goes on\n")
        return 130
    return 1 if any(name.startswith("error:") for name in graded.outcomes) else 0


def check_sandbox() -> int:
    """Judge one right and one wrong program in the sandbox; returns the exit code."""
    return asyncio.run(_check_sandbox())


async def _check_sandbox() -> int:
    from tracegen.sandbox import image

    limits, failed = Verify(), 0
    lacking = await asyncio.to_thread(image.lacking, limits.code, languages.known())
    ready = [name for name in languages.known() if name not in lacking or name == "python"]
    async with Verifier(limits, sandbox=True, languages=ready) as verifier:
        for name, wanted, tests, program in _checks(ready):
            verdict = await verifier.judge(tests, program, bare=True)
            failed += verdict.outcome != wanted
            said = f"{verdict.outcome} ({verdict.cause}), {verdict.milliseconds:.0f} ms"
            sys.stdout.write(
                f"{name:19} {said}{'' if verdict.outcome == wanted else f' - {verdict.evidence}'}\n"
            )
    for name in lacking:
        title = languages.load(name).title
        sys.stdout.write(f"{title:19} no image - `tracegen sandbox build {image.image_name(name)}`\n")
    return 1 if failed else 0


def _checks(names: list[str]) -> Iterator[tuple[str, str, CodeTests, str]]:
    """A right and a wrong program of each: what it is, the outcome it must have, its tests, its source."""
    asserts = CodeTests(AssertTests(("assert add(1, 2) == 3", "assert add(-1, 1) == 0")), "add")
    yield "Python call, right", "correct", asserts, "def add(a, b):\n    return a + b\n"
    yield "Python call, wrong", "incorrect", asserts, "def add(a, b):\n    return 3\n"
    for name in names:
        language = languages.load(name)
        for wanted, printed in (("correct", "6"), ("incorrect", "7")):
            tests = CodeTests(StdioTests((IoCase("1 2 3\n", printed),)), language=name)
            yield (
                f"{language.title}, {'right' if printed == '6' else 'wrong'}",
                wanted,
                tests,
                language.example,
            )


def _task(given: Mapping[str, Any]) -> grade.Task:
    """The task that the command line names. Raises UserError for a layout that is not known."""
    open_tag, close_tag = given["tags"]
    task = grade.Task(
        dataset=given["dataset"],
        domain=given["domain"] or "",
        layout=given["layout"],
        reference_column=given["reference_column"],
        response_column=given["response_column"],
        id_column=given["id_column"],
        entry_point_column=given["entry_point_column"],
        language=languages.find(given["language"]).name if given["language"] else "",
        config=given["config"],
        split=given["split"],
        bare=given["bare"],
        elicit=Elicit(open=open_tag, close=close_tag, prefilled=given["prefilled"]),
    )
    if task.layout and task.layout not in LAYOUTS:
        raise UserError(f"--layout {task.layout}: unknown - expected one of {', '.join(LAYOUTS)}")
    layout = LAYOUTS.get(task.layout, PLAIN)
    return msgspec.structs.replace(task, domain=task.domain or (layout.domain if task.layout else ""))


def _summary(graded: grade.Graded, seconds: float) -> str:
    lines = [f"{count:7}  {name}" for name, count in graded.outcomes.items()]
    rate = graded.rows / seconds if seconds else 0.0
    return "\n".join([*lines, f"{graded.rows:7}  rows in {seconds:.1f} s ({rate:.0f}/s)", ""])


class _Progress:
    """A line on stderr every few seconds."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, rows: int) -> None:
        if time.monotonic() - self._said > 5:
            self._said = time.monotonic()
            sys.stderr.write(f"{rows} rows judged\n")
