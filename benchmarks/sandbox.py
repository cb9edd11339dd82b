"""Programs per second: tracegen's sandbox against the other ways to run untrusted Python in Docker.

    python -m benchmarks.sandbox [FOLDER] [--suites humaneval+,humaneval,mbpp] [--limit N] [--sample N]

FOLDER holds `humanevalplus`, `humaneval` and `mbpp`; it is `$TRACEGEN_SHARED/data/problems` or
`../shared/data/problems`. Every reference solution is judged by its tests, each way in turn:

    tracegen              the split judge, containers used again while they are seen fresh
    tracegen, tests run   the same, but tests that are nothing but data are run in a judge's container, too
    tracegen, reuse = 1   one container for each candidate
    container each        program and tests in a new hardened container, one at a time and four at once
    docker exec           program and tests by `exec` in one warm container, four at once
    bare subprocess       program and tests in a Python on the host: no isolation, the physical limit

Only ours keep the tests from the program. The slow ways run a sample of the suite, evenly spread; a suite
of which one second is enough is judged several times. A program that computes for longer than a container
takes to start is no measure of how it is run (MBPP has one that takes as long as all others together,
HumanEval one that takes as long as half of them): it is named, and the whole suite with it is a row of its
own. Each way begins once the engine has removed what the way before has left. HumanEval+ comes without
expected values: the reference computes them first, and problems on which that takes more than `--patience`
seconds or gives more than 4 MB are left out and named. Rates are this machine's at this moment; compare
within one run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import shared
from tracegen.data import AssertTests, CheckTests, CodeTests, Struct, Verdict
from tracegen.recipe import CodeLimits
from tracegen.sandbox import Sandbox, cores, engine
from tracegen.sandbox.image import tag_of
from tracegen.verify.code import judge_code

PLUS = """
def same(got, expected, atol):
    if got == expected:
        return True
    if isinstance(expected, (list, tuple)):
        return len(got) == len(expected) and all(same(a, b, atol) for a, b in zip(got, expected))
    return isinstance(expected, float) and abs(got - expected) <= max(atol, 1e-6 * max(1.0, abs(expected)))


def check(candidate):
    for given, expected in zip(inputs, results):
        assert same(candidate(*given), expected, atol)
"""
EXPECTED = """
import copy, sys
sys.set_int_max_str_digits(0)
print(repr([{entry}(*copy.deepcopy(given)) for given in {inputs}]))
"""
RESULTS_BYTES = 4 << 20
COMMAND = ["/usr/bin/python3", "-c", "import sys; exec(compile(sys.stdin.read(), 'program', 'exec'))"]


class Job(Struct, frozen=True):
    """A reference solution: as the sandbox gets it, and as one script with its tests."""

    tests: CodeTests
    answer: str
    script: str


# --- suites ----------------------------------------------------------------------------------------


def packed(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def humaneval(folder: Path, limit: int, patience: float) -> Iterator[Job]:
    """HumanEval: `check(candidate)`."""
    for row in packed(folder / "humaneval" / "HumanEval.jsonl.gz")[:limit]:
        yield checked(row, row["test"])


def mbpp(folder: Path, limit: int, patience: float) -> Iterator[Job]:
    """MBPP: three asserts a problem."""
    for line in (folder / "mbpp" / "mbpp.jsonl").read_text().splitlines()[:limit]:
        row = json.loads(line)
        tests = AssertTests(statements=tuple(row["test_list"]), setup=row["test_setup_code"])
        script = "\n".join([row["code"], row["test_setup_code"], *row["test_list"]])
        yield Job(tests=CodeTests(tests=tests), answer=row["code"], script=script)


def humanevalplus(folder: Path, limit: int, patience: float) -> Iterator[Job]:
    """HumanEval+: on average some 750 calls a problem, all in `check(candidate)`."""
    rows = packed(folder / "humanevalplus" / "HumanEvalPlus.jsonl.gz")[:limit]
    with ThreadPoolExecutor(cores()) as threads:
        found = list(threads.map(lambda row: expected(row, patience), rows))
    left_out = [row["task_id"] for row, results in zip(rows, found, strict=True) if not results]
    if left_out:
        print(f"left out (reference too slow or too large): {', '.join(left_out)}")
    for row, results in zip(rows, found, strict=True):
        if results:
            data = f"inputs = {row['base_input']} + {row['plus_input']}\nresults = {results}\n"
            data = data.replace("] + [", ", ", 1) if row["plus_input"] != "[]" else data
            yield checked(row, f"{data}atol = {float(row['atol'])}\n{PLUS}")


def expected(row: dict[str, Any], patience: float) -> str:
    """The reference's results on all inputs, as a literal; empty where that takes too long."""
    inputs = f"{row['base_input']} + {row['plus_input']}"
    script = (
        row["prompt"] + row["canonical_solution"] + EXPECTED.format(entry=row["entry_point"], inputs=inputs)
    )
    try:
        ran = subprocess.run(
            [sys.executable, *COMMAND[1:]],
            input=script,
            capture_output=True,
            text=True,
            timeout=patience,
            check=True,
        )
    except subprocess.SubprocessError:
        return ""
    results = ran.stdout.strip().splitlines()[-1]
    return results if len(results) < RESULTS_BYTES else ""


def checked(row: dict[str, Any], source: str) -> Job:
    """A problem with `check(candidate)`."""
    tests = CodeTests(tests=CheckTests(source=source), entry_point=row["entry_point"], prompt=row["prompt"])
    answer = row["canonical_solution"]
    script = f"{row['prompt']}{answer}\n{source}\ncheck({row['entry_point']})\n"
    return Job(tests=tests, answer=answer, script=script)


SUITES: dict[str, Callable[[Path, int, float], Iterator[Job]]] = {
    "humaneval+": humanevalplus,
    "humaneval": humaneval,
    "mbpp": mbpp,
}


# --- ways ------------------------------------------------------------------------------------------


async def ours(
    jobs: list[Job], reuse: int = CodeLimits().reuse, *, reading: bool = True
) -> tuple[float, list[Verdict]]:
    """Seconds for all jobs in a sandbox that is up, and the verdicts."""
    limits = CodeLimits(reuse=reuse)
    async with Sandbox(limits, reading=reading) as sandbox:

        async def judged(some: list[Job]) -> list[Verdict]:
            return await asyncio.gather(
                *(judge_code(sandbox, job.tests, job.answer, bare=True) for job in some)
            )

        await judged(jobs[: 2 * sandbox.slots])  # until every container is up
        began = time.perf_counter()
        found = await judged(jobs)
        return time.perf_counter() - began, found


def timed(jobs: list[Job], reuse: int = CodeLimits().reuse, *, reading: bool = True) -> tuple[float, int]:
    """The same, with how many were right."""
    settle()
    took, found = asyncio.run(ours(jobs, reuse, reading=reading))
    return took, sum(verdict.outcome == "correct" for verdict in found)


def settle() -> None:
    """Waits until the engine has removed the containers of the way before, and is idle."""
    client = engine.connect()
    end = time.monotonic() + 30
    mine = {"label": f"{engine.OWNER}={engine.owner()}", "status": "running"}
    while len(client.containers(filters=mine)) > 1 and time.monotonic() < end:  # but for the warm one
        time.sleep(0.1)
    client.close()
    time.sleep(1)


def by_threads(jobs: list[Job], threads: int, run: Callable[[str], bool]) -> tuple[float, int]:
    """Seconds for all jobs, so many at once, and how many were right."""
    settle()
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        right = sum(pool.map(lambda job: run(job.script), jobs))
        return time.perf_counter() - began, right


def bare(script: str) -> bool:
    """A Python on the host."""
    ran = subprocess.run(
        [sys.executable, *COMMAND[1:]], input=script.encode(), capture_output=True, check=False
    )
    return ran.returncode == 0


class Docker:
    """The two plain ways, by Docker's SDK, a client for each thread."""

    def __init__(self) -> None:
        self.image = tag_of("python")
        self.held = threading.local()
        self.warm = self.create(["sleep", "infinity"])
        self.client.start(self.warm)

    @property
    def client(self) -> Any:
        if not hasattr(self.held, "client"):
            self.held.client = engine.connect()
        return self.held.client

    def create(self, command: list[str]) -> str:
        host = self.client.create_host_config(
            network_mode="none", cap_drop=["ALL"], security_opt=["no-new-privileges"], read_only=True,
            pids_limit=64, mem_limit="512m", memswap_limit="512m", cpu_period=100_000, cpu_quota=100_000,
            tmpfs={"/tmp": "size=64m,mode=1777"}, log_config={"Type": "none", "Config": {}},  # noqa: S108 - inside
        )  # fmt: skip
        made = self.client.create_container(
            self.image, command, user="65534:65534", stdin_open=True, network_disabled=True, host_config=host,
            working_dir="/tmp", labels={engine.OWNER: engine.owner()},  # noqa: S108 - inside
        )  # fmt: skip
        return str(made["Id"])

    def container(self, script: str) -> bool:
        """A container for this program alone."""
        made = self.create(COMMAND)
        stream = engine.start(self.client, made)
        feed(stream, script)
        status = self.client.wait(made)["StatusCode"]
        stream.close()
        self.client.remove_container(made, force=True)
        return bool(status == 0)

    def exec(self, script: str) -> bool:
        """An `exec` in the warm container."""
        made = self.client.exec_create(self.warm, COMMAND, stdin=True)["Id"]
        stream = engine.Stream(self.client.exec_start(made, socket=True))
        feed(stream, script)
        stream.close()
        return bool(self.client.exec_inspect(made)["ExitCode"] == 0)

    def close(self) -> None:
        self.client.remove_container(self.warm, force=True)


def feed(stream: engine.Stream, script: str) -> None:
    """Sends the program, and reads what it says to the end."""
    import socket

    stream.send(script.encode(), 60)
    stream.socket.shutdown(socket.SHUT_WR)
    stream.socket.settimeout(60)
    while stream.socket.recv(1 << 16):
        pass


# --- the table -------------------------------------------------------------------------------------


def spread(jobs: list[Job], count: int) -> list[Job]:
    """So many of them, evenly."""
    return [jobs[index * len(jobs) // count] for index in range(min(count, len(jobs)))]


def suite(name: str, jobs: list[Job], sample: int) -> None:
    """Judges a suite every way, and prints the rates and ratios."""
    whole, found = asyncio.run(ours(jobs))
    nothing = [Job(tests=jobs[0].tests, answer="", script="pass")] * 5
    with contextlib.closing(Docker()) as docker:
        start = by_threads(nothing, 1, docker.container)[0] / len(nothing)
        slow = [at for at, verdict in enumerate(found) if verdict.milliseconds > 1000 * start]
        alone = {at: by_threads([jobs[at]], 1, bare)[0] for at in slow}
        long = {at for at in slow if alone[at] > start}
        short = [job for at, job in enumerate(jobs) if at not in long]
        many = short * max(1, round(2000 / len(short)))
        few, some = spread(short, sample), spread(short, 3 * sample)
        rows = [
            ("container each", few, by_threads(few, 1, docker.container)),
            ("container each, 4 at once", some, by_threads(some, 4, docker.container)),
            ("docker exec, 4 at once", some, by_threads(some, 4, docker.exec)),
            ("tracegen, reuse = 1", some, timed(some, 1)),
            ("tracegen, tests run", many, timed(many, reading=False)),
            ("tracegen", many, timed(many)),
            (f"bare subprocess, {cores()} at once", short, by_threads(short, cores(), bare)),
            ("tracegen, the whole suite", jobs, (whole, sum(one.outcome == "correct" for one in found))),
        ]
    for at in sorted(long):
        what = f"computes for {alone[at]:.2f} s, a container starts in {start:.2f}"
        print(f"  no. {at} {what}: only in the whole suite")
    slowest = len(rows[0][1]) / rows[0][2][0]
    four = len(rows[1][1]) / rows[1][2][0]
    print(f"\n{name}: {len(jobs)} programs")
    print(f"  {'':28} {'programs':>8} {'right':>6} {'seconds':>8} {'per s':>7} {'x one':>7} {'x four':>7}")
    for way, judged, (seconds, right) in rows:
        rate = len(judged) / seconds
        ratios = f"{rate / slowest:7.1f} {rate / four:7.1f}"
        print(
            f"  {way:28} {len(judged):8} {right:6} {seconds:8.1f} {rate:7.1f} {ratios}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=None)
    parser.add_argument("--suites", default=",".join(SUITES))
    parser.add_argument("--limit", type=int, default=1000, help="problems of each suite")
    parser.add_argument("--sample", type=int, default=16, help="problems that the slow ways run")
    parser.add_argument("--patience", type=float, default=5.0)
    options = parser.parse_args()
    folder = options.folder or shared.path("problems")
    print(f"{cores()} cores, load {os.getloadavg()[0]:.1f} at the start")
    for name in options.suites.split(","):
        suite(name, list(SUITES[name](folder, options.limit, options.patience)), options.sample)


if __name__ == "__main__":
    main()
