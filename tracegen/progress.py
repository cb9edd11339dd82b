"""What a build shows while it runs: a live line on a terminal, a line now and then elsewhere; on stderr."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tracegen.data import Problem, Request, Verdict
from tracegen.policy import Attempt
from tracegen.report import Report

EVERY = 10.0
"""Seconds between the lines of a build whose stderr is not a terminal."""


class Screen:
    """A build's watcher on stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description:>8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[tail]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=0, tail="")
        self._said = time.monotonic()
        self._name, self._total = "", 0
        self._done = self._asked = self._answered = self._accepted = self._recovered = self._tokens = 0

    def __enter__(self) -> Screen:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def stage(self, name: str, total: int) -> None:
        """A stage begins, with so many problems."""
        self._name, self._total, self._done = name, total, 0
        if name == "check":  # of a next run: nothing of the last one's is counted on
            self._asked = self._answered = self._accepted = self._recovered = self._tokens = 0
        self._bar.reset(self._task, total=total, description=name, tail="")

    def checked(self, problem: Problem, verdict: Verdict) -> None:
        """A problem's reference was checked against itself."""
        self._step("")

    def opened(self, problem: Problem, attempts: Sequence[Attempt]) -> None:
        """A problem is taken up, with what is stored for it."""
        for attempt in attempts:
            self._count(attempt)

    def asked(self, request: Request) -> None:
        """A request is sent."""
        self._asked += 1
        self._show()

    def answered(self, attempt: Attempt) -> None:
        """A response was stored, parsed and judged, or has failed."""
        self._asked -= 1
        self._count(attempt)
        self._show()

    def closed(self, problem: Problem, attempts: Sequence[Attempt]) -> None:
        """Nothing more is asked for a problem in this session."""
        self._step(self._tail())

    def note(self, text: str) -> None:
        """Something the user should know."""
        self.console.print(text, markup=False, soft_wrap=True)

    def _count(self, attempt: Attempt) -> None:
        if attempt.trace is None:
            return
        self._answered += 1
        self._accepted += attempt.accepted and attempt.request.stage != "rewrite"
        self._recovered += attempt.accepted and attempt.request.stage == "recovery"
        self._tokens += attempt.trace.completion_tokens or 0

    def _tail(self) -> str:
        return (
            f"{self._asked} in flight, {self._answered} answered, {self._accepted} accepted "
            f"({self._recovered} recovered), {self._tokens} tokens"
        )

    def _step(self, tail: str) -> None:
        self._done += 1
        self._bar.update(self._task, completed=self._done, tail=tail)
        self._show()

    def _show(self) -> None:
        if self._name == "sample":
            self._bar.update(self._task, tail=self._tail())
        if not self.console.is_terminal and time.monotonic() - self._said > EVERY:
            self._said = time.monotonic()
            tail = self._tail() if self._name == "sample" else ""
            self.note(f"{self._name} {self._done}/{self._total} {tail}")


def funnel(report: Report) -> Table:
    """The funnel as a table: each step with its denominator."""
    table = Table(title=f"{report.name}: funnel", title_justify="left", show_header=False, box=None)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column(justify="left", style="dim")
    for step in report.funnel:
        share = f"{step.count / step.of:.0%}" if step.of else "-"
        table.add_row(step.name, f"{step.count} of {step.of}", f"{step.what}, {share}")
    return table


def lengths(report: Report) -> str:
    """What rewriting has saved, in one line; empty where nothing was to be rewritten."""
    found = report.rewrites
    if found is None:
        return ""
    middle = f"{found.median_words:g} and {found.median_compact_words:g}"
    return (
        f"{found.rewritten} of {found.traces} kept traces rewritten: {found.words} words of thinking before, "
        f"{found.compact_words} after; the middle one {middle}"
    )


def price(report: Report) -> str:
    """What an accepted trace cost, in one line."""
    kept = max(report.accepted, 1)
    line = (
        f"{report.completion_tokens} tokens in {report.seconds:.0f} s; per kept trace "
        f"{report.completion_tokens / kept:.0f} tokens, {report.seconds / kept:.1f} s"
    )
    return f"{line}, ${report.usd / kept:.4f}" if report.usd else line
