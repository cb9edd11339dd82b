"""The store …"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tracegen.data import MathAnswer, Message, Problem, Request, Response, Sampling, Verdict
from tracegen.errors import UserError
from tracegen.store import FILE, Store

PROBLEM = Problem("1+1", MathAnswer("2"))
REQUEST = Request(PROBLEM.id, "t", "first", (Message("user", "1+1"),), "", Sampling(), 0)


def test_gives_back_what_was_put(tmp_path: Path) -> None:
    response = Response(REQUEST.id, b'{"replies": []}', 1.5, 2.0)
    verdict = Verdict("correct", "equal")

    async def put(store: Store) -> None:
        await store.put_problems([PROBLEM])
        await store.put_ask(REQUEST)
        await store.put_response(response)
        await store.put_verdict(REQUEST.id, "v", verdict)
        await store.put_check(PROBLEM.id, "v", verdict)
        await store.put_verifier("v")

    with Store(tmp_path) as store:
        asyncio.run(put(store))
    with Store(tmp_path, write=False) as store:
        assert list(store.problems()) == [PROBLEM]
        assert list(store.requests()) == store.requests_of(PROBLEM.id) == [REQUEST]
        assert store.response(REQUEST.id) == response
        assert store.verdict(REQUEST.id, "v") == store.check(PROBLEM.id, "v") == verdict
        assert store.verdict(REQUEST.id, "other") is None
        assert store.verifier() == "v"
        assert store.counts() == {"requests": 1, "asks": 1, "responses": 1, "repeated": 0}


def test_keeps_the_first_of_two_responses(tmp_path: Path) -> None:
    async def put(store: Store) -> None:
        await store.put_response(Response("r", b"first", 0.0, 0.0))
        await store.put_response(Response("r", b"second", 0.0, 0.0))

    with Store(tmp_path) as store:
        asyncio.run(put(store))
        found = store.response("r")
    assert found is not None
    assert found.body == b"first"


def test_forgets_problems_that_the_recipe_no_longer_has(tmp_path: Path) -> None:
    other = Problem("2+2", MathAnswer("4"))
    with Store(tmp_path) as store:
        asyncio.run(store.put_problems([PROBLEM, other]))
        asyncio.run(store.put_problems([other]))
        assert list(store.problems()) == [other]


def test_counts_what_was_asked_twice(tmp_path: Path) -> None:
    async def put(store: Store) -> None:
        await store.put_ask(REQUEST)
        await store.put_ask(REQUEST)
        await store.put_response(Response(REQUEST.id, b"x", 0.0, time.time()))

    with Store(tmp_path) as store:
        asyncio.run(put(store))
        assert store.counts()["repeated"] == 1
        assert store.paid_twice() == 0
        asyncio.run(store.put_ask(REQUEST))
        assert store.paid_twice() == 1


def test_tells_only_of_failures_that_are_still_owed(tmp_path: Path) -> None:
    async def put(store: Store) -> None:
        await store.put_failure("a", "timeout", "slow")
        await store.put_failure("a", "rate_limit", "busy")
        await store.put_failure("b", "timeout", "slow")
        await store.put_response(Response("b", b"x", 0.0, 0.0))

    with Store(tmp_path) as store:
        asyncio.run(put(store))
        assert store.failures() == {"rate_limit": 1}


def test_lets_one_process_write_and_others_read(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        asyncio.run(store.put_problems([PROBLEM]))
        with pytest.raises(UserError, match="another tracegen is writing there"):
            Store(tmp_path)
        with Store(tmp_path, write=False) as reader:
            assert list(reader.problems()) == [PROBLEM]


def test_says_that_a_folder_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run directory"):
        Store(tmp_path, write=False)


def test_says_that_a_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        Store(tmp_path / "file" / "run")


def test_says_that_a_file_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("not a database, but long enough to look at" * 99)
    with pytest.raises(UserError, match="cannot be opened"):
        Store(tmp_path)


WRITER = """
import asyncio, sys
from pathlib import Path
from tracegen.data import Response
from tracegen.store import Store

async def put(store):
    async def one(number):
        await store.put_response(Response(f"r{number}", b"x" * 2000, 0.0, 0.0))
        print(f"r{number}", flush=True)
    for start in range(0, 100_000, 16):
        await asyncio.gather(*(one(number) for number in range(start, start + 16)))

asyncio.run(put(Store(Path(sys.argv[1]))))
"""


def test_has_every_row_that_it_acknowledged_before_a_kill(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            acknowledged.append(line.strip())
            if len(acknowledged) % 200 == 0:
                break
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += process.stdout.read().split()
        process.stdout.close()
        process.wait()
    with Store(tmp_path) as store:
        assert all(store.response(name) for name in acknowledged)
    assert len(acknowledged) >= 600
