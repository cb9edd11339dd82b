"""Killable workers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracegen.verify.pool import Crashed, Done, Lost, OutOfMemory, Pool, Raised, TimedOut

SECONDS = 20.0


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers=2, memory_mb=400) as pool:
        yield pool


def factorial(pool: Pool, number: int) -> object:
    result = pool.run("math:factorial", number, seconds=SECONDS)
    return result.value if isinstance(result, Done) else result


def test_runs_a_function(pool: Pool) -> None:
    assert factorial(pool, 5) == 120


def test_kills_a_job_at_its_limit_and_goes_on(pool: Pool) -> None:
    started = time.monotonic()
    assert isinstance(pool.run("time:sleep", 60, seconds=0.3), TimedOut)
    assert isinstance(pool.run("builtins:pow", 7, 10**9, seconds=0.3), TimedOut)  # C code that holds the GIL
    assert time.monotonic() - started < 30
    assert factorial(pool, 5) == 120


def test_tells_a_crash_an_exit_an_exception_and_a_lack_of_memory_apart(pool: Pool) -> None:
    assert pool.run("os:abort", seconds=SECONDS) == Crashed(status=-signal.SIGABRT)
    assert pool.run("os:_exit", 4, seconds=SECONDS) == Crashed(status=4)
    raised = pool.run("math:factorial", "x", seconds=SECONDS)
    assert isinstance(raised, Raised)
    assert raised.kind == "TypeError"
    assert isinstance(pool.run("builtins:bytearray", 1 << 30, seconds=SECONDS), OutOfMemory)
    assert factorial(pool, 5) == 120


def test_serves_threads(pool: Pool) -> None:
    got: list[object] = []
    threads = [
        threading.Thread(target=lambda number=number: got.append(factorial(pool, number)))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 20
    assert all(isinstance(value, int) for value in got)


def test_leaves_the_event_loop_free(pool: Pool) -> None:
    async def ticks() -> int:
        job = asyncio.create_task(pool.call("time:sleep", 0.5, seconds=SECONDS))
        count = 0
        while not job.done():
            await asyncio.sleep(0.01)
            count += 1
        return count

    assert asyncio.run(ticks()) >= 5


def test_runs_no_more_jobs_at_once_than_it_has_workers(pool: Pool) -> None:
    async def many() -> float:
        started = time.monotonic()
        await asyncio.gather(*(pool.call("time:sleep", 0.2, seconds=SECONDS) for _ in range(6)))
        return time.monotonic() - started

    assert asyncio.run(many()) >= 0.55


@pytest.mark.slow
def test_does_not_count_waiting_against_the_limit(pool: Pool) -> None:
    async def many() -> list[object]:
        return list(await asyncio.gather(*(pool.call("time:sleep", 0.2, seconds=0.9) for _ in range(12))))

    assert all(isinstance(result, Done) for result in asyncio.run(many()))


def test_survives_an_alarm_of_the_host(pool: Pool) -> None:
    def ring(number: int, frame: object) -> None:
        raise TimeoutError("the host's own alarm")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeoutError):
            pool.run("time:sleep", 60, seconds=SECONDS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert [factorial(pool, 5) for _ in range(5)] == [120] * 5


def test_leaves_the_alarm_of_the_host_alone(pool: Pool) -> None:
    rung = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        assert factorial(pool, 5) == 120
        assert rung.wait(5)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_starts_again_when_the_zygote_is_killed() -> None:
    with Pool(workers=1) as pool:
        assert factorial(pool, 5) == 120
        process = pool._zygote._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert factorial(pool, 6) == 720


def test_says_that_it_is_lost_where_the_modules_cannot_be_loaded() -> None:
    with Pool(preload=("no_such_module:f",), workers=1) as pool:
        result = pool.run("math:factorial", 5, seconds=SECONDS)
    assert isinstance(result, Lost)
    assert "no_such_module" in result.reason


def test_is_lost_once_it_is_closed() -> None:
    pool = Pool(workers=1)
    pool.start()
    pool.close()
    assert isinstance(pool.run("math:factorial", 5, seconds=SECONDS), Lost)


def test_replaces_a_worker_after_so_many_jobs() -> None:
    with Pool(workers=1, recycle=3) as pool:
        pids = [pool.run("os:getpid", seconds=SECONDS) for _ in range(6)]
    values = [result.value for result in pids if isinstance(result, Done)]
    assert len(values) == 6
    assert len(set(values)) == 2


def test_gives_workers_no_environment_of_the_host(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    with Pool(workers=1) as fresh:
        result = fresh.run("os:getenv", "SOME_API_KEY", seconds=SECONDS)
        ground = fresh.run("os:getenv", "SYMPY_GROUND_TYPES", seconds=SECONDS)
    assert isinstance(result, Done)
    assert result.value is None
    assert isinstance(ground, Done)
    assert ground.value == "python"


HOST = """
import os, sys, threading, time
from tracegen.verify.pool import Pool
pool = Pool(workers=2)
pool.start()
pids = {pool.run("os:getpid", seconds=20).value}
threading.Thread(target=lambda: pool.run("builtins:pow", 7, 10**10, seconds=600), daemon=True).start()
time.sleep(0.5)
pids.add(pool.run("os:getpid", seconds=20).value)
print(pool._zygote._process.pid, *pids, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_leaves_nothing_behind_when_the_host_is_killed() -> None:
    root = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, text=True, cwd=root) as host:
        assert host.stdout is not None
        pids = [int(pid) for pid in host.stdout.readline().split()]
        assert len(pids) >= 3
        group = pids[0]
        host.kill()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and _alive(group):
        time.sleep(0.1)
    assert not _alive(group)


def _alive(session: int) -> list[str]:
    """Processes of the zygote's session that are not zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(str(stat))
    return found
