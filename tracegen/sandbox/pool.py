"""Containers kept ready ahead: one for each candidate, destroyed after it; a judge for each slot.

A started container costs a core about a quarter of a second, most of it the engine's; the pool pays that
while others are being judged. Judges run a dataset's tests, not a model's program: they are used again as
long as their supervisor finds nothing left of the last job, and replaced now and then all the same.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tracegen import languages
from tracegen.errors import SandboxError
from tracegen.recipe import CodeLimits
from tracegen.sandbox import engine, image
from tracegen.sandbox.container import Container

MAKERS = 2
JUDGE_JOBS = 200
TRIES = 3
PAUSE = 1.0
"""Seconds before the engine is asked again after a failure; doubled each time."""
WAIT = 300.0


class Pool:
    """Ready containers of one language. Thread-safe."""

    def __init__(self, limits: CodeLimits, slots: int, language: str = "python") -> None:
        self.limits, self.slots = limits, slots
        self.purpose: engine.Purpose = "programs" if languages.load(language).run else "candidate"
        self.image = image.of(limits, language)
        self.run = uuid.uuid4().hex
        self.client: Any = None
        self.ready: queue.Queue[Container | SandboxError] = queue.Queue()
        self.wanted = threading.Semaphore(0)
        self.judges: list[Container] = []
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.makers: list[threading.Thread] = []
        self.buriers: ThreadPoolExecutor | None = None

    def open(self) -> None:
        """Connect, sweep, start the first containers; raises SandboxError."""
        self.client = engine.connect()
        image.check(self.client, self.image)
        engine.sweep(self.client)
        self.buriers = ThreadPoolExecutor(2, thread_name_prefix="sandbox-end")
        if self.purpose == "candidate":
            self.judges.append(self.make("judge"))
        for number in range(MAKERS):
            maker = threading.Thread(target=self.keep_making, name=f"sandbox-make-{number}", daemon=True)
            maker.start()
            self.makers.append(maker)
        for _ in range(self.slots + 1):
            self.wanted.release()

    def close(self) -> None:
        """Destroy everything that this pool started."""
        self.closed.set()
        if self.client is None:
            return
        for _ in self.makers:
            self.wanted.release()
        for maker in self.makers:
            maker.join(timeout=engine.SECONDS)
        with self.lock:
            left = list(self.judges)
            self.judges.clear()
        with contextlib.suppress(queue.Empty):
            while True:
                made = self.ready.get_nowait()
                if isinstance(made, Container):
                    left.append(made)
        for container in left:
            container.close()
        if self.buriers is not None:
            self.buriers.shutdown(wait=True)
        self.remove_leftovers()
        self.client.close()

    def remove_leftovers(self) -> None:
        """What has not removed itself in a moment is removed."""
        end = time.monotonic() + 10.0
        while True:
            try:
                found = self.client.containers(all=True, filters={"label": f"{engine.RUN}={self.run}"})
            except engine.failures():
                return
            if not found:
                return
            if time.monotonic() > end or not self.slots:
                for container in found:
                    engine.remove(self.client, container["Id"])
                return
            time.sleep(0.1)

    # --- making ------------------------------------------------------------------------------------

    def make(self, purpose: engine.Purpose) -> Container:
        """A new container; the engine gets a few tries, unless the image is not there."""
        for attempt in range(TRIES):
            try:
                return Container(self.client, self.limits, self.image, self.run, purpose)
            except SandboxError as error:
                if (
                    error.cause == "image_missing"
                    or attempt == TRIES - 1
                    or self.closed.wait(PAUSE * 2**attempt)
                ):
                    raise
        raise AssertionError

    def keep_making(self) -> None:
        while True:
            self.wanted.acquire()
            if self.closed.is_set():
                return
            try:
                self.ready.put(self.make(self.purpose))
            except SandboxError as error:
                self.ready.put(error)

    # --- lending -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def candidate(self) -> Iterator[Container]:
        """A container that has never run a program, and never will run another one."""
        self.wanted.release()
        try:
            made = self.ready.get(timeout=WAIT)
        except queue.Empty:
            raise SandboxError(f"no sandbox came up in {WAIT:g} s", cause="container_lost") from None
        if isinstance(made, SandboxError):
            raise made
        try:
            yield made
        finally:
            self.bury(made)

    @contextlib.contextmanager
    def judge(self) -> Iterator[Container]:
        """A container for tests, clean."""
        with self.lock:
            judge = self.judges.pop() if self.judges else None
        judge = judge or self.make("judge")
        try:
            yield judge
        finally:
            if judge.usable and judge.jobs < JUDGE_JOBS and not self.closed.is_set():
                with self.lock:
                    self.judges.append(judge)
            else:
                self.bury(judge)

    def weed(self) -> None:
        """After a loss: drop every waiting container that the engine no longer runs."""
        waiting: list[Container] = []
        with self.lock:
            waiting += self.judges
            self.judges.clear()
        kept = [judge for judge in waiting if judge.runs()]
        with self.lock:
            self.judges += kept
        for judge in waiting:
            if judge not in kept:
                self.bury(judge)
        for _ in range(self.ready.qsize()):
            with contextlib.suppress(queue.Empty):
                made = self.ready.get_nowait()
                if isinstance(made, Container) and made.runs():
                    self.ready.put(made)
                    continue
                if isinstance(made, Container):
                    self.bury(made)
                self.wanted.release()

    def bury(self, container: Container) -> None:
        """Destroy a container, away from the caller."""
        end = container.close if container.usable else container.remove
        try:
            if self.buriers is not None:
                self.buriers.submit(end)
        except RuntimeError:  # the pool is closing; its leftovers are removed by label
            end()
