"""The pipeline, top to bottom: problems, self-check, sample and verify, recover, vote, publish, report.

A run is a directory. Every stage works out what is owed, makes it and appends it; so running again is
resuming, and a finished run that is built again costs no token.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from tracegen import files
from tracegen import problems as reading
from tracegen import recipe as recipes
from tracegen.data import CodeTests, JudgedAnswer, Problem, Stage, Struct, Verdict
from tracegen.errors import SandboxError, TeacherError, TracegenError, UserError
from tracegen.interrupts import first_interrupt
from tracegen.ledger import Ledger
from tracegen.plan import Plan, relocate
from tracegen.policy import FINAL
from tracegen.publish import write_dataset
from tracegen.recipe import Recipe
from tracegen.records import read_problem, read_records
from tracegen.report import Report
from tracegen.sample import Sampling, Watch
from tracegen.select import choose
from tracegen.store import Store
from tracegen.teachers import Teacher, open_teacher
from tracegen.verify import Verifier, languages_of

RECIPE = "recipe.toml"
DATASET = "dataset"
NO_SANDBOX = Verdict("unverifiable", "no_sandbox", evidence="no sandbox works here; code runs nowhere else")


class Watcher(Watch, Protocol):
    """Who is told of a build's progress."""

    def stage(self, name: str, total: int) -> None:
        """A stage begins, with so many problems."""

    def checked(self, problem: Problem, verdict: Verdict) -> None:
        """A problem's reference was checked against itself."""

    def note(self, text: str) -> None:
        """Something the user should know."""


class Built(Struct, frozen=True):
    """How a build ended."""

    directory: Path
    report: Report
    stopped: bool
    """It was interrupted; the same command goes on."""
    undecided: int
    """Traces whose verdict is owed, because the verifier failed."""
    failed: int
    """Requests that are owed, because a teacher failed."""


def build(recipe: Recipe, base: Path, directory: Path, watch: Watcher) -> Built:
    """Run a recipe in a run directory, or go on where it stopped. Paths are relative to `base`.

    Raises UserError before anything is spent, and TeacherError if a teacher can answer nothing more.
    """
    plan = Plan(recipe, base)
    loaded = reading.load(recipe.problems, base)
    if plan.judge is None and any(isinstance(one.reference, JudgedAnswer) for one in loaded.problems):
        raise UserError("problems: references in free text need a judge - name one in [verify.judge]")
    if loaded.merged:
        watch.note(f"{loaded.merged} rows say the same as an earlier one and were merged with it")
    with Store(directory) as store:
        sampling = answer(plan, store, loaded.problems, base, watch)
        report = publish(plan, store)
        failed = sum(count for cause, count in store.failures().items() if cause not in FINAL)
        return Built(store.directory, report, sampling.stopped, sampling.undecided, failed)


def answer(plan: Plan, store: Store, problems: tuple[Problem, ...], base: Path, watch: Watcher) -> Sampling:
    """A build without its dataset: check the problems, ask and judge what is owed; says how that ended.

    Raises as `build` does.
    """
    resolved = recipes.dump(relocate(plan.recipe, base, store.directory))
    files.replace(store.directory / RECIPE, resolved.encode())
    try:
        return asyncio.run(_answer(plan, store, problems, base, watch))
    except BaseExceptionGroup as group:
        raise _first(group) from group


def report_of(directory: Path) -> Report:
    """The report of a run directory as it stands, also while a build is writing to it."""
    with Store(directory, write=False) as store:
        return _report(stored_plan(directory), store)


def stored_plan(directory: Path) -> Plan:
    """The plan of the recipe that a run directory was built with."""
    return Plan(recipes.load(directory / RECIPE), directory)


async def _answer(
    plan: Plan, store: Store, problems: tuple[Problem, ...], base: Path, watch: Watcher
) -> Sampling:
    await store.put_problems(problems)
    async with _verifier(plan.recipe, languages_of(problems), watch) as (verifier, bare):
        await store.put_verifier(verifier.digest)
        askable = await _self_check(store, verifier, problems, watch, without_code=bare)
        async with contextlib.aclosing(Teachers(plan, askable, base)) as teachers:
            sampling = Sampling(plan, store, teachers.get, verifier, watch)

            def stop() -> None:
                watch.note("stopping: what is in flight will be kept (Ctrl-C again to leave it)")
                sampling.stop()

            watch.stage("sample", len(askable))
            with first_interrupt(stop):
                await sampling.run(askable)
    return sampling


async def _self_check(
    store: Store, verifier: Verifier, problems: Sequence[Problem], watch: Watcher, *, without_code: bool
) -> list[Problem]:
    """The problems whose reference the verifier accepts; the others are reported, and nothing is asked.

    Raises UserError if that leaves none.
    """
    watch.stage("check", len(problems))
    gate = asyncio.Semaphore(64)
    digest = verifier.digest

    async def check(problem: Problem) -> Verdict:
        async with gate:
            verdict = store.check(problem.id, digest)
            if verdict is None:
                skipped = without_code and isinstance(problem.reference, CodeTests)
                verdict = NO_SANDBOX if skipped else await verifier.check(problem)
                if verdict.outcome != "error":
                    await store.put_check(problem.id, digest, verdict)
            watch.checked(problem, verdict)
            return verdict

    checked = list(zip(problems, await asyncio.gather(*map(check, problems)), strict=True))
    refused = [(problem, verdict) for problem, verdict in checked if verdict.outcome != "correct"]
    if refused:
        problem, verdict = refused[0]
        first = f"{problem.key or problem.id}: {verdict.cause}: {verdict.evidence}"
        if len(refused) == len(checked):
            raise UserError(f"no problem can be asked: {first}")
        watch.note(f"{len(refused)} of {len(checked)} problems are not asked, such as {first}")
    return [problem for problem, verdict in checked if verdict.outcome == "correct"]


def publish(plan: Plan, store: Store) -> Report:
    """Write the dataset of everything that is stored, from the store alone; returns its report.

    There is no dataset while nothing has been answered.
    """
    report = _report(plan, store)
    if not report.causes:
        return report
    problems = sorted(store.problems(), key=lambda problem: problem.id)
    write_dataset(
        read_records(store, plan, store.verifier(), problems),
        report=report,
        recipe_toml=recipes.dump(plan.recipe),
        settings=plan.recipe.publish,
        out=store.directory / DATASET,
    )
    return report


def _report(plan: Plan, store: Store) -> Report:
    ledger = Ledger(plan)
    verifier = store.verifier()
    for problem in store.problems():
        check = store.check(problem.id, verifier)
        if check is not None and check.outcome != "correct":
            ledger.refuse(problem, check)
            continue
        attempts, vote = read_problem(store, plan, problem, verifier)
        rewriting = plan.recipe.rewrite is not None
        ledger.count(problem, attempts, choose(attempts, plan.recipe.select, rewriting=rewriting), vote)
    return ledger.report(store)


@contextlib.asynccontextmanager
async def _verifier(
    recipe: Recipe, languages: set[str], watch: Watcher
) -> AsyncIterator[tuple[Verifier, bool]]:
    """A verifier for code in these languages, and whether it is to be skipped because no sandbox works."""
    async with contextlib.AsyncExitStack() as stack:
        verifier = Verifier(recipe.verify, sandbox=bool(languages), languages=languages)
        without = False
        try:
            await stack.enter_async_context(verifier)
        except SandboxError as error:
            if recipe.verify.without_sandbox == "stop":
                raise UserError(f"code problems need the sandbox: {error}") from error
            watch.note(f"code problems are skipped: {error}")
            verifier, without = Verifier(recipe.verify, sandbox=False), True
            await stack.enter_async_context(verifier)
        yield verifier, without


class Teachers:
    """The plan's teachers, all opened and found ready when the first one is needed, and not before."""

    def __init__(self, plan: Plan, problems: Sequence[Problem], base: Path) -> None:
        self._plan = plan
        self._base = base
        self._by_id = {problem.id: problem for problem in problems}
        self._open: dict[Stage, Teacher] = {}
        self._ready = False
        self._failure: TracegenError | None = None
        self._gate = asyncio.Lock()

    async def get(self, stage: Stage) -> Teacher:
        """The teacher of a stage. Raises UserError if any of the teachers is not ready: nothing is spent."""
        async with self._gate:
            if self._failure is not None:
                raise self._failure
            if not self._ready:
                try:
                    await self._prepare()
                except TracegenError as error:
                    self._failure = error
                    raise
            return self._open[stage]

    async def aclose(self) -> None:
        """Close those that were opened."""
        for teacher in self._open.values():
            await teacher.aclose()

    async def _prepare(self) -> None:
        for stage, config in self._plan.models.items():
            label = "teacher" if stage == "first" else stage
            self._open[stage] = open_teacher(
                config, label=label, base=self._base, problem_of=self._by_id.__getitem__
            )
        for teacher in self._open.values():
            try:
                await teacher.ready()
            except TeacherError as error:
                raise UserError(str(error)) from error
        self._ready = True


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that a task group wraps: ours if there is one."""
    leaves: list[BaseException] = []
    todo: list[BaseException] = [group]
    while todo:
        error = todo.pop()
        if isinstance(error, BaseExceptionGroup):
            todo.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((error for error in leaves if isinstance(error, TracegenError)), leaves[0])


def to_json(report: Report) -> bytes:
    """The report as JSON, for a machine."""
    return msgspec.json.format(msgspec.json.encode(report))
