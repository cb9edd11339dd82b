"""The sandbox: model code in containers, without network, root, capabilities or anything to read.

A `Sandbox` is opened once per run and judges many programs at once. What it cannot do (no engine, no
image, a lost container) it raises as SandboxError; what a program does is a `Finding`.
"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import msgspec

from tracegen.data import CodeTests
from tracegen.errors import SandboxError
from tracegen.recipe import CodeLimits
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
    """A pool of warm containers.

        async with Sandbox(recipe.verify.code) as sandbox:
            finding = await sandbox.judge(tests, Program(source=code))

    Entering raises SandboxError: docker_unavailable where no engine answers, image_missing where the
    image has not been built, container_lost where it does not start.
    """

    def __init__(self, limits: CodeLimits) -> None:
        self.limits = limits
        self.slots = limits.containers or 2 * cores()
        self.pool = Pool(limits, self.slots)
        self.threads = ThreadPoolExecutor(self.slots, thread_name_prefix="sandbox")

    async def __aenter__(self) -> Sandbox:
        try:
            await asyncio.get_running_loop().run_in_executor(self.threads, self.pool.open)
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
        self.pool.close()

    async def judge(self, tests: CodeTests, program: Program) -> Finding:
        """Run the tests on the program; waits for a free slot. Raises SandboxError after a few tries."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, self.try_judge, tests, program)

    def try_judge(self, tests: CodeTests, program: Program) -> Finding:
        for attempt in range(TRIES):
            try:
                began = time.monotonic()
                finding = judge(self.pool, tests, program)
                took = (time.monotonic() - began) * 1000
                return msgspec.structs.replace(finding, milliseconds=took)
            except SandboxError as error:
                if error.cause == "image_missing" or attempt == TRIES - 1:
                    raise
                time.sleep(PAUSE * 2**attempt)
                self.pool.weed()
        raise AssertionError
