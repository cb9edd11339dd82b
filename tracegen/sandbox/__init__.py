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
        """Judge until there is a finding; raises SandboxError where the sandbox fails again and again."""
        ends: list[Died] = []
        lost = since = 0.0
        while True:
            began = time.monotonic()
            try:
                finding = judge(self.pool, tests, program)
            except SandboxError as error:
                lost, since = lost + 1, since or time.monotonic()
                ends += [error] if isinstance(error, Died) else []
                if len(ends) < 2:
                    if error.cause == "image_missing" or (
                        lost >= TRIES and time.monotonic() - since > OUTAGE
                    ):
                        raise
                    time.sleep(min(PAUSE * 2 ** (lost - 1), 8.0))
                    self.pool.weed()
                    continue
                finding = died(tests, ends[-1])
            return msgspec.structs.replace(finding, milliseconds=(time.monotonic() - began) * 1000)
