"""Containers that are used again: when, when not, and what an engine that goes away does to them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time

import pytest

from benchmarks.second_engine import SecondEngine, possible
from tests.test_cli import ROOT
from tracegen.data import AssertTests, CheckTests, CodeTests, IoCase, StdioTests
from tracegen.recipe import CodeLimits
from tracegen.sandbox import Finding, Program, Sandbox, engine, image, pool
from tracegen.sandbox.container import Container, Died, Over

LIMITS = CodeLimits(seconds=2, total_seconds=10, memory_mb=256, containers=1)
SUM = "def add(a, b):\n    return a + b\n"


def asserts(*statements: str, setup: str = "") -> CodeTests:
    return CodeTests(tests=AssertTests(statements=statements, setup=setup), entry_point="add")


ADD = asserts("assert add(1, 2) == 3", "assert add(2, 2) == 4")


def in_turn(*jobs: tuple[CodeTests, str], limits: CodeLimits = LIMITS) -> tuple[list[Finding], int]:
    """What is found of each program, one after another, and how many containers candidates took."""

    async def one_by_one() -> tuple[list[Finding], int]:
        async with Sandbox(limits) as sandbox:
            found = [await sandbox.judge(tests, Program(source=code)) for tests, code in jobs]
            await asyncio.sleep(0.5)  # for what replaces the last one
            return found, sandbox.pool.made["candidate"]

    return asyncio.run(one_by_one())


# --- when a container is used again ----------------------------------------------------------------


@pytest.mark.docker
def test_uses_a_container_again_for_programs_that_end_well() -> None:
    wrong = SUM.replace("+", "-")
    prints = CodeTests(tests=StdioTests(cases=(IoCase(input="1", output="1"), IoCase(input="2", output="2"))))
    found, containers = in_turn(*[(ADD, SUM), (ADD, wrong), (prints, "print(input())")] * 4)
    assert [finding.cause for finding in found] == ["passed", "wrong_answer", "passed"] * 4
    assert containers == 1


@pytest.mark.docker
def test_gives_every_program_a_container_of_its_own_where_the_recipe_says_so() -> None:
    found, containers = in_turn(*[(ADD, SUM)] * 3, limits=CodeLimits(containers=1, reuse=1))
    assert [finding.cause for finding in found] == ["passed"] * 3
    assert containers >= 3


DIRTY = {
    "timeout": "def add(a, b):\n    while True: pass\n",
    "crash": "import os\ndef add(a, b):\n    os.kill(os.getpid(), 11)\n",
    "memory": "def add(a, b):\n    return len(bytearray(1 << 30))\n",
    "output": "def add(a, b):\n    while True: print('x' * 9999)\n",
    "protocol": "import os\ndef add(a, b):\n    os.write(4, b'x' * 64)\n    return 3\n",
    "processes": "import os\ndef add(a, b):\n    while True: os.fork()\n",
    "exit": "import os\ndef add(a, b):\n    os._exit(3)\n",
    "file": "open('/tmp/left', 'w').close()\n" + SUM,
    "shared memory file": "open('/dev/shm/left', 'w').close()\n" + SUM,
    "system v": "import ctypes\nctypes.CDLL(None).shmget(7, 4096, 0o1666)\n" + SUM,
    "process": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\n    os._exit(0)\n" + SUM
    ),
    "lingering socket": (
        "import socket\nl = socket.create_server(('127.0.0.1', 0))\n"
        "c = socket.create_connection(l.getsockname())\n"
        "s, _ = l.accept()\nc.close()\ns.close()\nl.close()\n" + SUM
    ),
}


@pytest.mark.docker
@pytest.mark.parametrize("kind", DIRTY)
def test_destroys_a_container_whose_program_left_something_or_hit_a_limit(kind: str) -> None:
    found, containers = in_turn((ADD, DIRTY[kind]), (ADD, SUM))
    assert found[1].cause == "passed"
    assert containers == 2, found[0]


# --- what a program can learn of the one before ----------------------------------------------------


LOOKS = """
import ctypes
def add(a, b):
    mark = b"siht-etorw-margorp-tsrif-eht"  # reversed, so that it is not found where it is looked for
    found = 0
    for line in open("/proc/self/maps").readlines():
        span, mode, *_, name = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        if mode.startswith("rw") and not name.startswith("[v"):
            found += ctypes.string_at(start, end - start)[::-1].count(mark)
    return found
"""


@pytest.mark.docker
def test_leaves_no_byte_of_a_program_where_the_next_can_read_it() -> None:
    mark = "# the-first-program-wrote-this\n"
    none, some = asserts("assert add(1, 2) == 0"), asserts("assert add(1, 2) > 0")
    found, containers = in_turn((ADD, SUM + mark * 99), (none, LOOKS), (some, LOOKS + mark))
    assert [finding.cause for finding in found] == ["passed"] * 3, found
    assert containers == 1


@pytest.mark.docker
def test_runs_every_program_under_another_user() -> None:
    shows = CodeTests(tests=StdioTests(cases=(IoCase(input="", output="?"),)))
    found, containers = in_turn(*[(shows, "import os\nprint(os.getuid(), os.getgid())")] * 5)
    assert len({finding.evidence for finding in found}) == 5
    assert containers == 1


# --- calls that are asked for at once --------------------------------------------------------------

COUNTS = "n = 0\ndef add(a, b):\n    global n\n    n += 1\n    return n if a == 9 else a + b\n"
HANGS = "def add(a, b):\n    while a == b == 0: pass\n    return a + b\n"


def checks(body: str, before: str = "") -> CodeTests:
    source = f"{before}\ndef check(f):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return CodeTests(tests=CheckTests(source=source), entry_point="add")


ORDERS: dict[str, tuple[CodeTests, str, str]] = {
    "calls of answers": (
        asserts("assert add(add(1, 2), add(3, 4)) == 10", "assert add(9, 9) == 4"),
        COUNTS,
        "passed",
    ),
    "branches on an answer": (
        checks("for i in range(3):\n    if f(i, 0) == 1: break\nassert f(9, 9) == 3"),
        COUNTS,
        "passed",
    ),
    "an assert that stops early": (
        asserts("assert add(1, 2) == 3 or add(9, 9) == 7", "assert add(9, 9) == 2"),
        COUNTS,
        "passed",
    ),
    "arguments changed in place": (
        checks("xs = [3]\nassert f(xs, xs) is None\nassert f(xs, []) is None\nassert xs == [3, 3, 3]"),
        "def add(a, b):\n    a.append(3)\n",
        "passed",
    ),
    "tests that count themselves": (
        checks("n.append(1)\nassert f(len(n), 0) == 2\nassert len(n) == 2", "n = [0]"),
        SUM,
        "passed",
    ),
    "a wrong answer before an endless call": (
        asserts("assert add(1, 1) == 2", "assert add(1, 2) == 4", "assert add(0, 0) == 0"),
        HANGS,
        "wrong_answer",
    ),
    "an endless call before a wrong answer": (
        asserts("assert add(1, 1) == 2", "assert add(0, 0) == 0", "assert add(1, 2) == 4"),
        HANGS,
        "timeout",
    ),
    "chance": (
        checks("assert f(random.random(), 0) < 1\nassert f(random.random(), 1) > 1", "import random"),
        SUM,
        "passed",
    ),
    "a generator": (
        asserts("assert all(x == 3 for x in add(1, 2))", "assert add(1, 2)"),
        "def add(a, b):\n    yield a + b\n",
        "passed",
    ),
}


@pytest.fixture(scope="module")
def ordered() -> dict[str, Finding]:
    found, _ = in_turn(*((tests, code) for tests, code, _ in ORDERS.values()))
    return dict(zip(ORDERS, found, strict=True))


@pytest.mark.docker
@pytest.mark.parametrize("kind", ORDERS)
def test_finds_the_same_as_if_each_call_had_waited_for_the_one_before(
    kind: str, ordered: dict[str, Finding]
) -> None:
    assert ordered[kind].cause == ORDERS[kind][2], ordered[kind].evidence


@pytest.mark.docker
def test_names_the_call_that_did_not_end() -> None:
    tests = asserts(*(f"assert add({n}, 1) == {n + 1}" for n in range(9)))
    (found, *_), _ = in_turn((tests, "def add(a, b):\n    while a == 6: pass\n    return a + b\n"))
    assert found.cause == "timeout"
    assert found.evidence.startswith("add(6, 1)")


# --- when the engine goes away ---------------------------------------------------------------------


class Fragile:
    """Work whose container ends by itself the first times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self) -> Finding:
        self.times -= 1
        if self.times >= 0:
            raise Died("0123456789abcdef", "candidate", Over(how="container", exit=139, answered=False))
        return Finding(cause="passed")


@pytest.mark.parametrize(("times", "cause"), [(0, "passed"), (1, "passed"), (2, "crashed")])
def test_blames_a_program_for_its_container_only_when_it_happens_again(times: int, cause: str) -> None:
    assert Sandbox(LIMITS).retried(ADD, Fragile(times)).cause == cause


@pytest.mark.docker
def test_ends_a_container_whose_host_is_silent_though_its_line_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "SILENCE", 1.0)
    client = engine.connect()
    container = Container(client, LIMITS, image.of(LIMITS, "python"), "silent", "candidate")
    try:
        end = time.monotonic() + 60
        while container.runs() and time.monotonic() < end:
            time.sleep(0.2)
        assert not container.runs()
    finally:
        container.remove()
        client.close()


@pytest.mark.docker
@pytest.mark.slow
def test_keeps_the_waiting_containers_of_a_living_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SILENCE", 8.0)
    monkeypatch.setattr(pool, "BEAT", 0.5)

    async def judged_before_and_after() -> tuple[list[str], int]:
        async with Sandbox(LIMITS) as sandbox:
            before = await sandbox.judge(ADD, Program(source=SUM))
            await asyncio.sleep(12)
            after = await sandbox.judge(ADD, Program(source=SUM))
            return [before.cause, after.cause], sandbox.pool.made["candidate"]

    assert asyncio.run(judged_before_and_after()) == (["passed", "passed"], 1)


@pytest.mark.docker
@pytest.mark.slow
def test_loses_nothing_when_its_engine_is_stopped_and_killed() -> None:
    if why := possible():
        pytest.skip(why)
    # In a process of its own: the engine's client leaves sockets that were refused to the collector.
    command = [sys.executable, "-m", "benchmarks.endurance", "--programs", "100", "--restarts", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n0 lost or wrong, 0 containers or processes left over" in done.stdout


@pytest.mark.parametrize(("name", "left"), [("runc", 0), ("python3", 1)])
def test_a_container_that_its_killed_engine_never_started_is_no_leftover(
    name: str, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SecondEngine, "containers", lambda self: [])
    engine = SecondEngine("none")
    (engine.folder / "init").write_text("echo runs; read forever\n")
    (engine.folder / "shim").write_text(f"(exec -a {name} sh init); true\n")
    shim = subprocess.Popen(
        ["containerd-shim-runc-v2", str(engine.folder / "shim")],
        executable=shutil.which("bash"),
        cwd=engine.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with shim:
        assert shim.stdout is not None and shim.stdout.readline() == b"runs\n"
        assert (engine.shims(), len(engine.left_over())) == ([shim.pid], left)
        engine.close()
        assert shim.stdout.read() == b""  # nobody holds the other end any more


@pytest.mark.docker
def test_what_an_engine_does_not_know_itself_is_no_leftover() -> None:
    if why := possible():
        pytest.skip(why)
    second = SecondEngine("none")
    try:
        second.start()
        docker = ["docker", "-H", second.url]
        nothing = bytes(10240)  # an archive without files
        subprocess.run([*docker, "import", "-", "empty"], input=nothing, check=True, capture_output=True)
        made = subprocess.run([*docker, "create", "empty", "x"], check=True, capture_output=True, text=True)
        half_made = second.folder / "data" / "containers" / ("30e45af5" * 8)
        half_made.mkdir()
        assert second.left_over() == [f"container {made.stdout.strip()}: created"]
        assert second.rubble() == [half_made.name]
        subprocess.run([*docker, "rm", made.stdout.strip()], check=True, capture_output=True)
        assert second.left_over() == []
    finally:
        second.close()
