"""The sandbox: model code in containers, without network, root, capabilities or anything to read.

A `Sandbox` is opened once per run and judges many programs at once. What it cannot do (no engine, no
image, a lost container) it raises as SandboxError; what a program does is a `Finding`.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import msgspec

from tracegen import languages
from tracegen.data import CodeTests, StdioTests
from tracegen.errors import SandboxError
from tracegen.recipe import CodeLimits
from tracegen.sandbox import image, programs
from tracegen.sandbox.container import Died
from tracegen.sandbox.judging import Finding, Program, died, judge
from tracegen.sandbox.pool import Pool

__all__ = ["Finding", "Program", "Sandbox"]

TRIES = 4
"""Judgements of one program that the sandbox may lose …"""
OUTAGE = 30.0
"""… and seconds that have to pass since the first loss, before the program is given up."""
PAUSE = 0.5
"""Seconds before a program is judged again after the sandbox failed; doubled each time, up to 8."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Sandbox:
    """Pools of warm containers, one for each language.

        async with Sandbox(recipe.verify.code) as sandbox:
            finding = await sandbox.judge(tests, Program(source=code))

    Entering opens the pools of `ahead`; other languages' are opened when their first program comes.
    It raises SandboxError: docker_unavailable where no engine answers, image_missing where an
    image has not been built, container_lost where it does not start.
    """

    def __init__(
        self, limits: CodeLimits, ahead: Iterable[str] = ("python",), *, reading: bool = True
    ) -> None:
        self.limits = limits
        self.reading = reading
        """Tests that are nothing but data are read instead of run, which finds the same at less cost."""
        self.slots = limits.containers or 2 * cores()
        self.ahead = tuple(ahead)
        self.pool = Pool(limits, self.slots)
        self.pools: dict[str, Pool] = {}
        self.opening = threading.Lock()
        self.threads = ThreadPoolExecutor(self.slots, thread_name_prefix="sandbox")

    async def __aenter__(self) -> Sandbox:
        try:
            await asyncio.get_running_loop().run_in_executor(self.threads, self.open)
        except BaseException:
            await asyncio.to_thread(self.close)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Wait for the programs being judged, then destroy every container."""
        self.threads.shutdown(wait=True, cancel_futures=True)
        for pool in self.pools.values():
            pool.close()

    def open(self) -> None:
        image.require(self.limits, self.ahead)
        for language in self.ahead:
            self.pool_of(language)

    def pool_of(self, language: str) -> Pool:
        """The open pool of a language; raises SandboxError where it does not open."""
        with self.opening:
            if language not in self.pools:
                limits = programs.container_limits(languages.load(language), self.limits)
                pool = self.pool if language == "python" else Pool(limits, self.slots, language)
                try:
                    pool.open()
                except BaseException:
                    pool.close()
                    raise
                self.pools[language] = pool
            return self.pools[language]

    async def judge(self, tests: CodeTests, program: Program) -> Finding:
        """Run the tests on the program; waits for a free slot. Raises SandboxError after a few tries."""
        return await self.run(tests, lambda: self.judge_once(tests, program))

    async def check_checker(self, tests: StdioTests) -> Finding:
        """Whether the tests' checker accepts what they expect. Raises SandboxError after a few tries."""
        checked = CodeTests(tests)
        return await self.run(checked, lambda: programs.check_checker(self.pool_of, self.limits, tests))

    def judge_once(self, tests: CodeTests, program: Program) -> Finding:
        if programs.own_way(tests):
            return programs.judge_programs(self.pool_of, self.limits, tests, program)
        return judge(self.pool_of("python"), tests, program, reading=self.reading)

    async def run(self, tests: CodeTests, work: Callable[[], Finding]) -> Finding:
        """The work, in a slot of its own, again after a failure of ours."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, self.retried, tests, work)

    def retried(self, tests: CodeTests, work: Callable[[], Finding]) -> Finding:
        """Work until there is a finding; raises SandboxError where the sandbox fails again and again."""
        ends: list[Died] = []
        lost = since = 0.0
        while True:
            began = time.monotonic()
            try:
                finding = work()
            except SandboxError as error:
                lost, since = lost + 1, since or time.monotonic()
                ends += [error] if isinstance(error, Died) else []
                if len(ends) < 2:
                    if error.cause == "image_missing" or (
                        lost >= TRIES and time.monotonic() - since > OUTAGE
                    ):
                        raise
                    time.sleep(min(PAUSE * 2 ** (lost - 1), 8.0))
                    for pool in list(self.pools.values()):
                        pool.weed()
                    continue
                finding = died(tests, ends[-1])
            return msgspec.structs.replace(finding, milliseconds=(time.monotonic() - began) * 1000)
