"""Drive the teachers: each problem from its first request to its last, many problems at once.

Waiting on others is bounded: so many problems are open at a time, so many requests of a teacher in
flight. A failed request stays owed and does not stop its neighbours; a failure that no later request
can escape (a bad key, a dead endpoint) stops the run, after what is in flight has been kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from tracegen.data import Problem, Reference, Request, Response, Stage, Trace, Verdict
from tracegen.errors import TeacherError
from tracegen.flags import label
from tracegen.plan import Plan
from tracegen.policy import Attempt, next_requests, planned
from tracegen.select import rejection
from tracegen.store import Store
from tracegen.teachers import Teacher
from tracegen.teachers.dialects import parse


class Judge(Protocol):
    """What sampling needs of a verifier."""

    @property
    def digest(self) -> str: ...

    async def judge(self, reference: Reference, answer: str) -> Verdict: ...


class Watch(Protocol):
    """Who is told of progress."""

    def opened(self, problem: Problem, attempts: Sequence[Attempt]) -> None:
        """A problem is taken up, with what is stored for it."""

    def asked(self, request: Request) -> None:
        """A request is sent."""

    def answered(self, attempt: Attempt) -> None:
        """A response was stored, parsed and judged, or has failed."""

    def closed(self, problem: Problem, attempts: Sequence[Attempt]) -> None:
        """Nothing more is asked for a problem in this session."""


class Sampling:
    """One session's sampling: the plan's teachers over a store, with a verifier."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        teacher: Callable[[Stage], Awaitable[Teacher]],
        judge: Judge,
        watch: Watch,
    ) -> None:
        self.plan = plan
        self.store = store
        self.judge = judge
        self._verifier = judge.digest
        self.watch = watch
        self._teacher = teacher
        self._slots = {
            stage: asyncio.Semaphore(config.concurrency) for stage, config in plan.teachers.items()
        }
        self._stop = asyncio.Event()
        self.fatal: TeacherError | None = None
        self.undecided = 0
        """Traces whose verdict is owed, because the verifier failed."""

    def stop(self) -> None:
        """Ask nothing more; what is in flight is still kept."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    async def run(self, problems: Iterable[Problem]) -> None:
        """Ask everything that is owed. Raises the TeacherError that made going on pointless."""
        window = asyncio.Semaphore(2 * max(config.concurrency for config in self.plan.teachers.values()))
        async with asyncio.TaskGroup() as group:
            for problem in problems:
                await window.acquire()
                if self.stopped:
                    window.release()
                    break
                task = group.create_task(self.solve(problem))
                task.add_done_callback(lambda _: window.release())
        if self.fatal is not None:
            raise self.fatal

    async def solve(self, problem: Problem) -> list[Attempt]:
        """One problem, until nothing more is owed for it or the run is stopped."""
        attempts = await self.stored(problem)
        self.watch.opened(problem, attempts)
        while not self.stopped:
            requests = next_requests(problem, attempts, self.plan.stages, self.plan.ask)
            if not requests:
                break
            attempts += await asyncio.gather(*(self._attempt(problem, request) for request in requests))
        self.watch.closed(problem, attempts)
        return attempts

    async def stored(self, problem: Problem) -> list[Attempt]:
        """The planned attempts of a problem that are answered, judged where a verdict was owed."""
        answered = [Attempt(request, trace) for request, trace in traces_of(self.store, self.plan, problem)]
        wanted = planned(problem, answered, self.plan.stages, self.plan.ask)
        return [
            await self._judged(problem, attempt.request, attempt.trace) for attempt in wanted if attempt.trace
        ]

    async def _attempt(self, problem: Problem, request: Request) -> Attempt:
        async with self._slots[request.stage]:
            if self.stopped:
                return Attempt(request, failure="stopped")
            teacher = await self._teacher(request.stage)
            await self.store.put_ask(request)
            self.watch.asked(request)
            try:
                reply = await teacher.complete(request)
            except TeacherError as error:
                return await self._failed(request, error)
            response = Response(request.id, reply.body, reply.seconds, time.time())
            await self.store.put_response(response)
        trace = parse(request, response.body, self.plan.teachers[request.stage].elicit)
        attempt = await self._judged(problem, request, trace)
        self.watch.answered(attempt)
        return attempt

    async def _failed(self, request: Request, error: TeacherError) -> Attempt:
        await self.store.put_failure(request.id, error.cause, str(error))
        if error.fatal and self.fatal is None:
            self.fatal = error
            self.stop()
        attempt = Attempt(request, failure=error.cause)
        self.watch.answered(attempt)
        return attempt

    async def _judged(self, problem: Problem, request: Request, trace: Trace) -> Attempt:
        verdict = self.store.verdict(trace.request, self._verifier)
        if verdict is None:
            verdict = await verdict_on(self.judge, problem, trace)
            if verdict.outcome == "error":
                self.undecided += 1
            else:
                await self.store.put_verdict(trace.request, self._verifier, verdict)
        return attempt_of(self.plan, request, trace, verdict)


async def verdict_on(judge: Judge, problem: Problem, trace: Trace) -> Verdict:
    """The verdict on a trace; the answer is looked for only after the thinking has closed."""
    if not trace.closed:
        return Verdict("no_answer", "think_unclosed", "trace")
    if not trace.answer.strip():
        return Verdict("no_answer", "empty_answer", "trace")
    return await judge.judge(problem.reference, trace.answer)


def attempt_of(plan: Plan, request: Request, trace: Trace, verdict: Verdict | None) -> Attempt:
    """An answered request with its flags, and whether it is accepted."""
    if verdict is None:
        return Attempt(request, trace)
    flags = label(trace, verdict, plan.recipe.flags)
    return Attempt(request, trace, verdict, flags, not rejection(verdict, flags, plan.recipe.select))


def traces_of(store: Store, plan: Plan, problem: Problem) -> list[tuple[Request, Trace]]:
    """Every stored response to a problem, parsed anew."""
    found = []
    for request in store.requests_of(problem.id):
        response = store.response(request.id)
        if response is not None and request.stage in plan.teachers:
            found.append((request, parse(request, response.body, plan.teachers[request.stage].elicit)))
    return found


def read_attempts(store: Store, plan: Plan, problem: Problem, verifier: str) -> list[Attempt]:
    """The planned attempts of a problem as they are stored; nothing is judged."""
    found = [
        attempt_of(plan, request, trace, store.verdict(trace.request, verifier))
        for request, trace in traces_of(store, plan, problem)
    ]
    return planned(problem, found, plan.stages, plan.ask)
