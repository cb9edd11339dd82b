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
from tracegen.sandbox.judging import Finding, Program, judge
from tracegen.sandbox.pool import Pool

__all__ = ["Finding", "Program", "Sandbox"]

TRIES = 5
PAUSE = 1.0
"""Seconds before a program is judged again after the sandbox failed; doubled each time."""


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

    def __init__(self, limits: CodeLimits, ahead: Iterable[str] = ("python",)) -> None:
        self.limits = limits
        self.slots = limits.containers or cores()
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
        return await self.run(lambda: self.judge_once(tests, program))

    async def check_checker(self, tests: StdioTests) -> Finding:
        """Whether the tests' checker accepts what they expect. Raises SandboxError after a few tries."""
        return await self.run(lambda: programs.check_checker(self.pool_of, self.limits, tests))

    def judge_once(self, tests: CodeTests, program: Program) -> Finding:
        if programs.own_way(tests):
            return programs.judge_programs(self.pool_of, self.limits, tests, program)
        return judge(self.pool_of("python"), tests, program)

    async def run(self, work: Callable[[], Finding]) -> Finding:
        """The work, in a slot of its own, again after a failure of ours."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, self.retried, work)

    def retried(self, work: Callable[[], Finding]) -> Finding:
        for attempt in range(TRIES):
            try:
                began = time.monotonic()
                finding = work()
                took = (time.monotonic() - began) * 1000
                return msgspec.structs.replace(finding, milliseconds=took)
            except SandboxError as error:
                if error.cause == "image_missing" or attempt == TRIES - 1:
                    raise
                time.sleep(PAUSE * 2**attempt)
                for pool in list(self.pools.values()):
                    pool.weed()
        raise AssertionError
