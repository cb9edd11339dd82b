"""`tracegen sandbox selftest`: hostile and honest programs against the user's own Docker.

The programs are lines of `sandboxes/selftest.jsonl`: their tests, whether they are honest, and which causes
are right for them. After each one an honest program is judged in the same sandbox, which has to be right;
when all are done nothing of the run may be left.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Literal

import msgspec

from tracegen import resources
from tracegen.data import (
    AssertTests,
    CheckTests,
    CodeTests,
    IoCase,
    PytestTests,
    StdioTests,
    Struct,
    UnittestTests,
)
from tracegen.errors import UserError
from tracegen.recipe import CodeLimits
from tracegen.sandbox import Program, Sandbox, engine

LIMITS = CodeLimits(seconds=5, total_seconds=20, memory_mb=256)
FILE = resources.path("sandboxes") / "selftest.jsonl"
PROBE = CodeTests(tests=AssertTests(statements=("assert add(1, 2) == 3",)), entry_point="add")
HONEST = Program(source="def add(a, b):\n    return a + b\n")


class Case(Struct, frozen=True):
    """A program with its tests, and the only right report on it."""

    id: str
    honest: bool
    causes: tuple[str, ...]
    """Any of these; `passed` is right for an honest program only."""
    tests: tuple[str, ...]
    """Statements, one source, or inputs and outputs in turn, as `format` says."""
    solution: str
    entry_point: str = ""
    format: Literal["assert", "check", "pytest", "unittest", "stdio"] = "assert"
    modes: tuple[str, ...] = ("split_judge",)
    """The steps that may decide."""

    @property
    def reference(self) -> CodeTests:
        match self.format:
            case "assert":
                return CodeTests(AssertTests(self.tests), self.entry_point)
            case "check":
                return CodeTests(CheckTests(self.tests[0]), self.entry_point)
            case "pytest":
                return CodeTests(PytestTests(self.tests[0]), self.entry_point)
            case "unittest":
                return CodeTests(UnittestTests(self.tests[0]), self.entry_point)
            case "stdio":
                pairs = zip(self.tests[::2], self.tests[1::2], strict=True)
                return CodeTests(StdioTests(tuple(IoCase(given, wanted) for given, wanted in pairs)))


class Report(Struct, frozen=True):
    """What became of a case."""

    id: str
    honest: bool
    expected: tuple[str, ...]
    got: str
    trust: str
    evidence: str
    intact: bool
    """The honest program after it was judged right."""
    milliseconds: float
    ok: bool


class Result(Struct, frozen=True):
    """What became of all cases, in their order, and how many containers of the run were left."""

    reports: tuple[Report, ...]
    left: int


def cases(only: tuple[str, ...] = ()) -> list[Case]:
    """The programs that ship, or those named. Raises UserError where a name is none of theirs."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    found = [msgspec.json.decode(line, type=Case) for line in lines if line.strip()]
    unknown = set(only) - {case.id for case in found}
    if unknown:
        raise UserError(f"--only {min(unknown)}: no such program - see {FILE}")
    return [case for case in found if not only or case.id in only]


async def run(chosen: list[Case], say: Callable[[Report], object], limits: CodeLimits = LIMITS) -> Result:
    """Judge every case, each followed by an honest program; `say` hears each report as it comes.

    Raises SandboxError where there is no working sandbox.
    """
    async with Sandbox(limits) as sandbox:

        async def judged(case: Case) -> Report:
            async with free:
                report = await report_on(sandbox, case)
            say(report)
            return report

        free = asyncio.Semaphore(sandbox.slots)
        reports = await asyncio.gather(*map(judged, chosen))
    return Result(tuple(reports), await asyncio.to_thread(containers_left, sandbox.pool.run))


async def report_on(sandbox: Sandbox, case: Case) -> Report:
    """One case, and the honest program after it."""
    found = await sandbox.judge(case.reference, Program(source=case.solution))
    after = await sandbox.judge(PROBE, HONEST)
    fits = found.cause in case.causes and (found.cause == "passed") == case.honest
    return Report(
        id=case.id,
        honest=case.honest,
        expected=case.causes,
        got=found.cause,
        trust=found.trust,
        evidence=found.evidence,
        intact=after.cause == "passed",
        milliseconds=found.milliseconds,
        ok=fits and found.step in case.modes and after.cause == "passed",
    )


def containers_left(run_id: str) -> int:
    """Containers of a run that the engine still has."""
    client = engine.connect()
    try:
        return len(client.containers(all=True, filters={"label": f"{engine.RUN}={run_id}"}))
    finally:
        client.close()


def main(only: tuple[str, ...], *, as_json: bool) -> int:
    """The command: the table on stdout, or JSON lines; returns 1 on any deviation."""
    chosen = cases(only)
    width = max(len(case.id) for case in chosen)

    def say(report: Report) -> None:
        text = msgspec.json.encode(report).decode() if as_json else line(report, width)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    result = asyncio.run(run(chosen, say))
    wrong = [report.id for report in result.reports if not report.ok]
    cheated = sum(report.got == "passed" for report in result.reports if not report.honest)
    hostile = sum(not report.honest for report in result.reports)
    sys.stderr.write(
        f"{len(result.reports) - len(wrong)} of {len(result.reports)} as expected; "
        f"{cheated} of {hostile} hostile programs passed; {result.left} containers left\n"
    )
    return 1 if wrong or result.left else 0


def line(report: Report, width: int) -> str:
    """One row of the table: program, expected report, got, ok or FAIL."""
    verdict = "ok" if report.ok else "FAIL"
    text = f"{report.id:{width}}  {'|'.join(report.expected):40}  {report.got:18}  {verdict}"
    if report.ok:
        return text
    after = "" if report.intact else "the next program was not judged right; "
    return f"{text}  {after}{report.evidence[:200]!r}"
