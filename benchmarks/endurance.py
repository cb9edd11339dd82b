"""Many programs in a row while the Docker engine is restarted: nothing lost, nothing wrong, nothing left.

    python -m benchmarks.endurance [--programs 5000] [--restarts 2] [--live-restore]

Programs are right, wrong, crashing, endless, forking or greedy, and every verdict is known beforehand.
The engine is one of its own (root and `dockerd` needed), stopped in turns kindly and with SIGKILL and
started again a few seconds later. Prints what was judged, and the memory of this process and of the
containers near the start and near the end. Exit code 1 where anything was lost, wrong or left over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.second_engine import SecondEngine, possible
from tracegen.data import AssertTests, CodeTests, IoCase, StdioTests, Verdict
from tracegen.recipe import CodeLimits
from tracegen.sandbox import Sandbox
from tracegen.sandbox.container import PATIENCE, QUIET
from tracegen.sandbox.engine import SILENCE
from tracegen.sandbox.image import tag_of
from tracegen.verify.code import judge_code

LIMITS = CodeLimits(seconds=4, total_seconds=12, memory_mb=256)
ADD = CodeTests(
    tests=AssertTests(statements=tuple(f"assert add({n}, {n + 1}) == {2 * n + 1}" for n in range(5))),
    entry_point="add",
)
ECHO = CodeTests(
    tests=StdioTests(cases=(IoCase(input="1 2\n", output="3\n"), IoCase(input="4 5\n", output="9\n")))
)
KINDS: tuple[tuple[int, str, CodeTests, str], ...] = (
    (40, "passed", ADD, "def add(a, b):\n    return a + b  # {n}\n"),
    (15, "wrong_answer", ADD, "def add(a, b):\n    return a - b - {n}\n"),
    (10, "exception", ADD, "def add(a, b):\n    raise ValueError({n})\n"),
    (10, "passed", ECHO, "print(sum(map(int, input().split())))  # {n}\n"),
    (5, "wrong_answer", ECHO, "print({n}, 'or so')\n"),
    (5, "syntax_error", ADD, "def add(a, b:\n    return {n}\n"),
    (5, "early_exit", ADD, "import os\ndef add(a, b):\n    os._exit({n} % 2)\n"),
    (3, "crashed", ADD, "import os\ndef add(a, b):\n    os.kill(os.getpid(), 11)  # {n}\n"),
    (3, "passed", ADD, "open('/tmp/left-{n}', 'w').write('x')\ndef add(a, b):\n    return a + b\n"),
    (
        2,
        "passed",
        ADD,
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(99)  # {n}\n"
        "def add(a, b):\n    return a + b\n",
    ),
    (1, "timeout", ADD, "def add(a, b):\n    while True: pass  # {n}\n"),
    (1, "memory_limit", ADD, "def add(a, b):\n    return len(bytearray(1 << 30)) + {n}\n"),
)
"""How many in a hundred, the cause to be found, tests, program."""


def planned(programs: int) -> list[tuple[str, CodeTests, str]]:
    """Cause, tests and source of each program, in an order that is the same each time."""
    kinds = [kind for kind in KINDS for _ in range(kind[0])]
    chosen = [kinds[number % len(kinds)] for number in range(programs)]
    random.Random(0).shuffle(chosen)
    return [
        (cause, tests, source.replace("{n}", str(n))) for n, (_, cause, tests, source) in enumerate(chosen)
    ]


def memory() -> int:
    """Resident KB of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def container_memory(engine: SecondEngine) -> int:
    """KB charged to the largest container."""
    largest = 0
    for container in engine.containers():
        for pattern in (
            "memory/docker/{}/memory.usage_in_bytes",
            "system.slice/docker-{}.scope/memory.current",
        ):
            path = Path("/sys/fs/cgroup") / pattern.format(container)
            if path.is_file():
                largest = max(largest, int(path.read_text()) >> 10)
    return largest


async def endure(engine: SecondEngine, programs: int, restarts: int) -> list[str]:
    """Judge them all, restarting the engine in between; what went wrong."""
    jobs = planned(programs)
    verdicts: list[Verdict | None] = [None] * programs
    done = 0
    marks: list[tuple[int, int]] = []
    marks_reached = [asyncio.Event() for _ in range(restarts)]
    async with Sandbox(LIMITS) as sandbox:
        line = asyncio.Queue[int]()
        for number in range(programs):
            line.put_nowait(number)

        async def work() -> None:
            nonlocal done
            while not line.empty():
                number = line.get_nowait()
                _, tests, source = jobs[number]
                verdicts[number] = await judge_code(sandbox, tests, source, bare=True)
                done += 1
                for turn, reached in enumerate(marks_reached, 1):
                    if done >= programs * turn // (restarts + 1):
                        reached.set()

        async def restart() -> None:
            for turn in range(restarts):
                await marks_reached[turn].wait()
                how = signal.SIGKILL if turn % 2 else signal.SIGTERM
                print(f"after {done:,} programs: dockerd is ended by {how.name} …", flush=True)
                began = time.monotonic()
                await asyncio.to_thread(engine.stop, how)
                await asyncio.sleep(2)
                await asyncio.to_thread(engine.start)
                print(f"… and answers again {time.monotonic() - began:.1f} s later", flush=True)

        async def watch() -> None:
            while done < programs:
                if done >= programs * len(marks) // 10 and len(marks) < 10:
                    marks.append((memory(), await asyncio.to_thread(safe_container_memory, engine)))
                await asyncio.sleep(0.2)

        began = time.monotonic()
        await asyncio.gather(restart(), watch(), *(work() for _ in range(sandbox.slots * 2)))
        took = time.monotonic() - began
    wrong = [
        f"program {number}: {verdict.cause if verdict else 'lost'} instead of {cause} | "
        f"{verdict.evidence if verdict else ''}"
        for number, ((cause, _, _), verdict) in enumerate(zip(jobs, verdicts, strict=True))
        if verdict is None or verdict.cause != cause
    ]
    print(f"{programs:,} programs in {took:.0f} s, {programs / took:.1f} a second, {restarts} restarts")
    print(json.dumps(Counter(verdict.cause for verdict in verdicts if verdict)))
    shown = ", ".join(f"{host >> 10}+{inside >> 10}" for host, inside in marks)
    print(f"memory, MB of this process + of the largest container, at each tenth: {shown}")
    return wrong


def safe_container_memory(engine: SecondEngine) -> int:
    """The same, or 0 while the engine is away."""
    try:
        return container_memory(engine)
    except (subprocess.SubprocessError, OSError):
        return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--programs", type=int, default=5000)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--live-restore", action="store_true", help="containers outlive their engine")
    options = parser.parse_args()
    if why := possible():
        print(why, file=sys.stderr)
        return 2
    with SecondEngine(tag_of("python"), live_restore=options.live_restore) as engine:
        os.environ["DOCKER_HOST"] = engine.url
        wrong = asyncio.run(endure(engine, options.programs, options.restarts))
        # until those end that the killed engine has forgotten, with a job or without one
        end = time.monotonic() + max(SILENCE, PATIENCE * LIMITS.total_seconds + QUIET) + 30
        while (left := engine.left_over()) and time.monotonic() < end:
            time.sleep(0.5)
        empty, rubble = len(engine.shims()), engine.rubble()
    del os.environ["DOCKER_HOST"]
    for line in wrong[:20]:
        print(line)
    print(f"{len(wrong)} lost or wrong, {len(left)} containers or processes left over {left[:3]}")
    print(
        f"of the killed engine: {empty} shims whose containers it had not started, "
        f"{len(rubble)} folders of containers that it was making or removing"
    )
    return 1 if wrong or left else 0


if __name__ == "__main__":
    sys.exit(main())
