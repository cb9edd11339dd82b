"""Drive the teachers: each problem from its first request to its last, many problems at once.

Waiting on others is bounded: so many problems are open at a time, so many requests of a teacher in
flight. The judge, where the recipe names one, is asked like a teacher; its reply is never stored as a
verdict, but read again from its response. A failed request stays owed and does not stop its neighbours; a
failure that no later request can escape (a bad key, a dead endpoint) stops the run, after what is in flight
has been kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from tracegen import recipe
from tracegen.data import Problem, Reference, Request, Response, Stage, Trace, Verdict, digest
from tracegen.errors import TeacherError
from tracegen.flags import label
from tracegen.plan import COMPACT, Plan
from tracegen.policy import Attempt, at, next_requests, planned
from tracegen.select import rejection
from tracegen.store import Store
from tracegen.teachers import Teacher
from tracegen.teachers.dialects import parse
from tracegen.verify.judge import is_open, ruled, sides
from tracegen.vote import Likeness, Same, vote

COSTLY = frozenset({"timeout", "memory_limit", "crashed"})
"""Causes of verdicts that took a worker as long as it may take."""


class Judge(Protocol):
    """What sampling needs of a verifier."""

    @property
    def digest(self) -> str: ...

    async def judge(self, reference: Reference, answer: str) -> Verdict: ...

    async def agree(self, reference: Reference, first: str, second: str) -> Verdict: ...


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
        self._slots = {stage: asyncio.Semaphore(config.concurrency) for stage, config in plan.models.items()}
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
            requests = next_requests(problem, attempts, self.plan.stages, self.plan.ask, self.plan.rewrites)
            if not requests:
                await self._compare(problem, attempts)
                break
            asked = [request for request in requests if request.stage != "judge"]
            failures = await asyncio.gather(
                *(self._consult(request) for request in requests if request.stage == "judge")
            )
            attempts = self._ruled(problem, attempts, dict(failures))
            attempts += await asyncio.gather(*(self._attempt(problem, request) for request in asked))
        self.watch.closed(problem, attempts)
        return attempts

    async def stored(self, problem: Problem) -> list[Attempt]:
        """The planned attempts of a problem that are answered, judged where a verdict was owed."""
        answered = [Attempt(request, trace) for request, trace in traces_of(self.store, self.plan, problem)]
        found = await self._all_judged(problem, planned(problem, answered, self.plan.stages, self.plan.ask))
        return found + await self._all_judged(problem, at(answered, self.plan.rewrites(problem, found)))

    async def _all_judged(self, problem: Problem, attempts: Sequence[Attempt]) -> list[Attempt]:
        return [await self._judged(problem, one.request, one.trace) for one in attempts if one.trace]

    async def _attempt(self, problem: Problem, request: Request) -> Attempt:
        response = await self._send(request)
        if isinstance(response, str):
            return Attempt(request, failure=response)
        trace = read(self.plan, request, response)
        attempt = await self._judged(problem, request, trace)
        self.watch.answered(attempt)
        return attempt

    async def _consult(self, request: Request) -> tuple[str, str]:
        """Ask the judge; the request's id, and why there is no response or an empty string."""
        response = await self._send(request)
        if isinstance(response, str):
            return request.id, response
        self.watch.answered(Attempt(request))
        return request.id, ""

    async def _send(self, request: Request) -> Response | str:
        """Ask, and keep the response; or why there is none."""
        async with self._slots[request.stage]:
            if self.stopped:
                return "stopped"
            teacher = await self._teacher(request.stage)
            await self.store.put_ask(request)
            self.watch.asked(request)
            try:
                reply = await teacher.complete(request)
            except TeacherError as error:
                return await self._failed(request, error)
            response = Response(request.id, reply.body, reply.seconds, time.time())
            await self.store.put_response(response)
            return response

    async def _failed(self, request: Request, error: TeacherError) -> str:
        await self.store.put_failure(request.id, error.cause, str(error))
        if error.fatal and self.fatal is None:
            self.fatal = error
            self.stop()
        self.watch.answered(Attempt(request, failure=error.cause))
        return error.cause

    async def _judged(self, problem: Problem, request: Request, trace: Trace) -> Attempt:
        verdict = self.store.verdict(trace.request, self._verifier)
        if verdict is None:
            verdict = await verdict_on(self.judge, problem, trace)
            if verdict.outcome == "error":
                self.undecided += 1
            else:
                await self.store.put_verdict(trace.request, self._verifier, verdict)
        return attempt_of(self.store, self.plan, problem, request, trace, verdict)

    def _ruled(
        self, problem: Problem, attempts: Sequence[Attempt], failures: dict[str, str]
    ) -> list[Attempt]:
        """The attempts again, with what the judge has said of those that it was asked about now."""
        return [self._reread(problem, attempt, failures) for attempt in attempts]

    def _reread(self, problem: Problem, attempt: Attempt, failures: dict[str, str]) -> Attempt:
        if attempt.trace is None or attempt.judging is None or attempt.judging.id not in failures:
            return attempt
        if failure := failures[attempt.judging.id]:
            return msgspec.structs.replace(attempt, failure=failure)
        return attempt_of(self.store, self.plan, problem, attempt.request, attempt.trace, attempt.verdict)

    async def _compare(self, problem: Problem, attempts: Sequence[Attempt]) -> None:
        """Find out which answers say the same, as far as the vote depends on it."""
        same = agreement(self.store, problem, self._verifier)
        while (owed := vote(problem, attempts, same).owed) is not None:
            verdict = await self.judge.agree(problem.reference, *owed)
            if verdict.outcome == "error":
                self.undecided += 1
                return
            await self.store.put_verdict(_pair(problem, *owed), self._verifier, verdict)


async def verdict_on(judge: Judge, problem: Problem, trace: Trace) -> Verdict:
    """The verdict on a trace; the answer is looked for only after the thinking has closed."""
    if not trace.closed:
        return Verdict("no_answer", "think_unclosed", "trace")
    if not trace.answer.strip():
        return Verdict("no_answer", "empty_answer", "trace")
    return await judge.judge(problem.reference, trace.answer)


def attempt_of(
    store: Store, plan: Plan, problem: Problem, request: Request, trace: Trace, verdict: Verdict | None
) -> Attempt:
    """An answered request with its flags, whether it is accepted, and what the judge has to do with it."""
    if verdict is None:
        return Attempt(request, trace)
    judging = ruling = None
    if plan.judge is not None and is_open(verdict):
        judging, ruling, verdict = _of_judge(store, plan, plan.judge, problem, verdict)
    flags = label(trace, verdict, plan.recipe.flags)
    accepted = not rejection(verdict, flags, plan.recipe.select)
    return Attempt(request, trace, verdict, flags, accepted, judging=judging, ruling=ruling)


def _of_judge(
    store: Store, plan: Plan, judge: recipe.Teacher, problem: Problem, verdict: Verdict
) -> tuple[Request | None, Trace | None, Verdict]:
    """What the judge is asked about an open verdict, what it said, and the verdict that follows."""
    shown = sides(problem.reference, verdict)
    if isinstance(shown, Verdict):
        return None, None, shown
    request = plan.ask_judge(problem, shown)
    ruling = _ruling(store, request, judge.elicit)
    return request, ruling, verdict if ruling is None else ruled(verdict, ruling)


def _ruling(store: Store, request: Request, elicit: recipe.Elicit) -> Trace | None:
    """What the judge said with whatever budget; None where it is to be asked, or was cut by a smaller one."""
    asked = [other for other in store.requests_of(request.problem) if other.slot == request.slot]
    for other in sorted(asked, key=lambda other: other.sampling.max_tokens):
        response = store.response(other.id)
        said = response and parse(other, response.body, elicit)
        enough = other.sampling.max_tokens >= request.sampling.max_tokens
        if said and (enough or said.finish_reason != "length"):
            return said
    return None


def traces_of(store: Store, plan: Plan, problem: Problem) -> list[tuple[Request, Trace]]:
    """Every stored response to a problem, parsed anew; the judge's are none."""
    found = []
    for request in store.requests_of(problem.id):
        response = store.response(request.id)
        if response is not None and request.stage in plan.teachers:
            found.append((request, read(plan, request, response)))
    return found


def read(plan: Plan, request: Request, response: Response) -> Trace:
    """The trace in a response to one of the plan's teachers."""
    elicit = plan.teachers[request.stage].elicit
    trace = parse(request, response.body, elicit)
    return compact(trace) if request.stage == "rewrite" and elicit.mode == "native" else trace


def compact(trace: Trace) -> Trace:
    """The rewrite that a teacher has put between tags of ours after a thinking of its own, if it had any.

    Without them it has no thinking; where they are not closed it has no answer.
    """
    _, opened, rest = trace.answer.partition(COMPACT.open)
    thinking, closed, answer = rest.partition(COMPACT.close)
    return msgspec.structs.replace(
        trace,
        thinking=thinking.strip(),
        answer=answer.strip() if opened else trace.answer,
        closed=trace.closed and bool(closed) == bool(opened),
        thought=bool(opened),
        forced_close=False,
        thinking_tokens=None,
    )


def read_attempts(store: Store, plan: Plan, problem: Problem, verifier: str) -> list[Attempt]:
    """The planned attempts of a problem as they are stored; nothing is judged."""
    found = [
        attempt_of(store, plan, problem, request, trace, store.verdict(trace.request, verifier))
        for request, trace in traces_of(store, plan, problem)
    ]
    own = planned(problem, found, plan.stages, plan.ask)
    return own + at(found, plan.rewrites(problem, own))


def agreement(store: Store, problem: Problem, verifier: str) -> Same:
    """Which answers to a problem say the same, as far as that is stored."""
    known: dict[str, Likeness] = {}

    def same(first: str, second: str) -> Likeness | None:
        pair = _pair(problem, first, second)
        if pair not in known:
            verdict = store.verdict(pair, verifier)
            if verdict is None:
                return None
            known[pair] = _likeness(verdict)
        return known[pair]

    return same


def _likeness(verdict: Verdict) -> Likeness:
    if verdict.outcome == "correct":
        return "same"
    return "costly" if verdict.cause in COSTLY else "different"


def _pair(problem: Problem, first: str, second: str) -> str:
    """The id under which the verdict on two answers is kept, beside those on traces."""
    return digest("agree", problem.id, *sorted((first, second)))
