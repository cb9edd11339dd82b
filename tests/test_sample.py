"""Sampling …"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs import Silent, load
from tracegen.data import MathAnswer, Problem, Reference, Request, Stage, Verdict
from tracegen.errors import TeacherError
from tracegen.plan import Plan
from tracegen.policy import Attempt
from tracegen.sample import Sampling, read_attempts
from tracegen.store import Store
from tracegen.teachers import Reply, Teacher

Answer = Callable[[Request], str]
PROBLEMS = [Problem(f"What is {n} + 1?", MathAnswer(str(n + 1))) for n in range(20)]


class Scripted:
    """A teacher that answers by a function, and counts how many it answers at once."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0

    async def ready(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request.id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.02)
        self.at_once -= 1
        reply = {"message": {"content": self.answer(request)}, "finish_reason": "stop"}
        body = {"kind": "replay", "prefill": "", "inserted": [], "forced_close": False, "replies": [reply]}
        return Reply(json.dumps(body).encode(), 0.001)


class Literal:
    """A judge that compares texts, or fails as ours may."""

    digest = "literal"

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken

    async def judge(self, reference: Reference, answer: str) -> Verdict:
        if self.broken:
            return Verdict("error", "container_lost")
        assert isinstance(reference, MathAnswer)
        return Verdict("correct" if answer == reference.answer else "incorrect", "string", extracted=answer)

    async def agree(self, reference: Reference, first: str, second: str) -> Verdict:
        return Verdict("correct" if first == second else "incorrect", "string")


def solve(request: Request) -> str:
    number = int(request.messages[-1].content.split("What is ")[1].split()[0])
    return f"<think>\n{number} and one more is {number + 1}, so that is it\n</think>\n\n{number + 1}"


def sampled(
    folder: Path, answer: Answer, *, judge: Literal | None = None, stop_at: int = 0, **teacher: object
) -> tuple[Scripted, Silent, Sampling]:
    """One session over the problems; the store stays in `folder`."""
    scripted, watch = Scripted(answer), Silent()
    first = {"kind": "openai", "model": "scripted", **teacher}
    plan = Plan(load(folder, teacher=first), folder)

    async def teacher_of(_: Stage) -> Teacher:
        return scripted

    async def session(store: Store) -> Sampling:
        sampling = Sampling(plan, store, teacher_of, judge or Literal(), watch)

        def stop_in_time(request: Request) -> None:
            if stop_at and len(scripted.asked) >= stop_at:
                sampling.stop()
            Silent.asked(watch, request)

        watch.asked = stop_in_time  # type: ignore[method-assign]  # a test's own watcher
        await sampling.run(PROBLEMS)
        return sampling

    with Store(folder / "run") as store:
        return scripted, watch, asyncio.run(session(store))


def stored(folder: Path) -> dict[str, int]:
    with Store(folder / "run", write=False) as store:
        return store.counts()


def test_asks_each_problem_once_and_stores_every_response(tmp_path: Path) -> None:
    teacher, watch, _ = sampled(tmp_path, solve)
    assert len(teacher.asked) == 20
    assert all(attempt.accepted for attempt in watch.attempts)
    assert stored(tmp_path) == {"requests": 20, "asks": 20, "responses": 20, "repeated": 0}


def test_never_has_more_in_flight_than_the_recipe_says(tmp_path: Path) -> None:
    teacher, _, _ = sampled(tmp_path, solve, concurrency=3, n=2)
    assert teacher.most_at_once == 3


def test_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    first, _, sampling = sampled(tmp_path, solve, stop_at=5, concurrency=2)
    assert sampling.stopped
    assert 5 <= len(first.asked) < 20
    assert stored(tmp_path)["responses"] == len(first.asked)
    second, _, _ = sampled(tmp_path, solve)
    assert len(first.asked) + len(second.asked) == 20
    assert not set(first.asked) & set(second.asked)


def test_keeps_the_neighbours_of_a_failed_request_and_asks_it_again_next_time(tmp_path: Path) -> None:
    def sometimes(request: Request) -> str:
        if "What is 7 +" in request.messages[-1].content:
            raise TeacherError("busy", cause="rate_limit")
        return solve(request)

    sampled(tmp_path, sometimes)
    assert stored(tmp_path)["responses"] == 19
    with Store(tmp_path / "run", write=False) as store:
        assert store.failures() == {"rate_limit": 1}
    again, _, _ = sampled(tmp_path, solve)
    assert len(again.asked) == 1


def test_stops_at_once_when_going_on_is_pointless(tmp_path: Path) -> None:
    def refused(_: Request) -> str:
        raise TeacherError("teacher: 401 - set KEY", cause="unauthorized", fatal=True)

    with pytest.raises(TeacherError, match="set KEY"):
        sampled(tmp_path, refused, concurrency=2)
    assert stored(tmp_path)["asks"] <= 4


def test_owes_a_verdict_that_its_verifier_failed_to_give(tmp_path: Path) -> None:
    _, _, broken = sampled(tmp_path, solve, judge=Literal(broken=True))
    assert broken.undecided == 20
    again, _, mended = sampled(tmp_path, solve)
    assert again.asked == []
    assert mended.undecided == 0
    recipe = load(tmp_path, teacher={"kind": "openai", "model": "scripted"})
    with Store(tmp_path / "run", write=False) as store:
        attempts: list[Attempt] = read_attempts(store, Plan(recipe, tmp_path), PROBLEMS[0], "literal")
    assert [attempt.accepted for attempt in attempts] == [True]


def test_gives_no_verdict_of_correct_to_an_unclosed_thinking(tmp_path: Path) -> None:
    _, watch, _ = sampled(tmp_path, lambda request: solve(request).replace("</think>", ""))
    outcomes = {(a.verdict.outcome, a.verdict.cause) for a in watch.attempts if a.verdict}
    assert outcomes == {("no_answer", "think_unclosed")}


def test_does_not_mix_what_a_changed_temperature_asked(tmp_path: Path) -> None:
    sampled(tmp_path, solve)
    warmer, _, _ = sampled(tmp_path, solve, sampling={"temperature": 1.0})
    assert len(warmer.asked) == 20
