"""Containers kept ready: for each slot that is in use one for candidates and one for judges.

A started container costs a core about a quarter of a second, most of it the engine's, and a forked job
a few milliseconds; so a container is used for up to `reuse` programs, but only where its supervisor has
seen that the last one ended well and left nothing (`sandboxes/harness/supervisor.py` says what that
means); any other is destroyed. Makers replace what was destroyed while others are being judged, and keep
trying where the engine is away.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from tracegen import languages
from tracegen.errors import SandboxError
from tracegen.recipe import CodeLimits
from tracegen.sandbox import engine, image
from tracegen.sandbox.container import Container

MAKERS = 2
JUDGE_JOBS = 200
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before the engine is asked again after a failure; the last one from then on."""
TOLD = 5.0
"""Seconds for which the engine's last failure is worth telling, instead of waiting for a container."""
WAIT = 300.0
BURY_SECONDS = 60.0
BEAT = 30.0
"""Seconds between two signs of life to every waiting container (see `engine.SILENCE`)."""

Purpose = Literal["judge", "candidate"]


class Pool:
    """Ready containers of one language. Thread-safe."""

    def __init__(self, limits: CodeLimits, slots: int, language: str = "python") -> None:
        self.limits, self.slots = limits, slots
        self.purpose: engine.Purpose = "programs" if languages.load(language).run else "candidate"
        self.image = image.of(limits, language)
        self.run = uuid.uuid4().hex
        self.client: Any = None
        self.ready: dict[Purpose, queue.LifoQueue[Container]] = {
            "judge": queue.LifoQueue(),
            "candidate": queue.LifoQueue(),
        }
        """The last one used is the first one used again: the others stay asleep."""
        self.wanted: queue.SimpleQueue[Purpose | None] = queue.SimpleQueue()
        self.made: Counter[Purpose] = Counter()
        """Containers started so far."""
        self.ordered: Counter[Purpose] = Counter()
        """Containers that there are or will be: no more than slots need at once."""
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.makers: list[threading.Thread] = []
        self.beats = threading.Thread(target=self.keep_alive, name="sandbox-beat", daemon=True)
        self.buriers: ThreadPoolExecutor | None = None
        self.trouble: tuple[float, SandboxError] | None = None
        """When a maker failed last, and how; None once one succeeded."""

    def open(self) -> None:
        """Connect, sweep, start the first containers; raises SandboxError."""
        self.client = engine.connect()
        image.check(self.client, self.image)
        engine.sweep(self.client)
        self.buriers = ThreadPoolExecutor(2, thread_name_prefix="sandbox-end")
        if self.purpose == "candidate":
            self.ready["judge"].put(self.make("judge"))
        self.beats.start()
        for number in range(MAKERS):
            maker = threading.Thread(target=self.keep_making, name=f"sandbox-make-{number}", daemon=True)
            maker.start()
            self.makers.append(maker)
        used_once = self.limits.reuse == 1 or self.purpose == "programs"
        self.ordered["judge"] = 1
        for _ in range(self.slots + 1 if used_once else 1):
            self.order("candidate")

    def close(self) -> None:
        """Destroy everything that this pool started."""
        self.closed.set()
        if self.client is None:
            return
        for _ in self.makers:
            self.wanted.put(None)
        for maker in self.makers:
            maker.join(timeout=engine.SECONDS)
        if self.beats.ident is not None:
            self.beats.join(timeout=engine.SECONDS)
        for ready in self.ready.values():
            with contextlib.suppress(queue.Empty):
                while True:
                    ready.get_nowait().close()
        if self.buriers is not None:
            self.buriers.shutdown(wait=True)
        self.remove_leftovers()
        self.client.close()

    def remove_leftovers(self) -> None:
        """What has not removed itself in a moment is removed, and once more where that failed."""
        wait, end = time.monotonic() + 10.0, time.monotonic() + 40.0
        while True:
            try:
                found = self.client.containers(all=True, filters={"label": f"{engine.RUN}={self.run}"})
            except engine.failures():
                found = None
            now = time.monotonic()
            if found == [] or (found is None and now > wait) or now > end:
                return  # without an engine, the next start sweeps
            if found and now > wait:
                for container in found:
                    engine.remove(self.client, container["Id"])
                wait = now + 5.0
            time.sleep(0.1)

    def order(self, purpose: Purpose) -> None:
        """One more of them."""
        self.ordered[purpose] += 1
        self.wanted.put(purpose)

    # --- making ------------------------------------------------------------------------------------

    def make(self, purpose: Purpose) -> Container:
        """A new container; raises SandboxError."""
        container = Container(
            self.client, self.limits, self.image, self.run, "judge" if purpose == "judge" else self.purpose
        )
        self.made[purpose] += 1
        return container

    def keep_making(self) -> None:
        """Makes what is wanted, one after another, however long the engine is away."""
        while True:
            purpose = self.wanted.get()
            failures = 0
            while purpose is not None and not self.closed.is_set():
                try:
                    made = self.make(purpose)
                except SandboxError as error:
                    self.trouble = (time.monotonic(), error)
                    self.closed.wait(PAUSES[min(failures, len(PAUSES) - 1)])
                    failures += 1
                    continue
                self.trouble = None
                self.ready[purpose].put(made)
                if self.closed.is_set():  # perhaps too late for `close` to find it there
                    made.close()
                break
            if purpose is None or self.closed.is_set():
                return

    def keep_alive(self) -> None:
        """Tells the waiting containers now and then that their host is there."""
        while not self.closed.wait(BEAT):
            for ready in self.ready.values():
                with ready.mutex:  # nobody takes one meanwhile
                    for container in ready.queue:
                        container.beat()

    # --- lending -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def candidate(self) -> Iterator[Container]:
        """A container in which no program has left anything: a new one, or one that was seen fresh."""
        with self.lent("candidate", self.limits.reuse) as container:
            yield container

    @contextlib.contextmanager
    def judge(self) -> Iterator[Container]:
        """A container for tests, as clean."""
        with self.lent("judge", JUDGE_JOBS) as container:
            yield container

    @contextlib.contextmanager
    def lent(self, purpose: Purpose, reuse: int) -> Iterator[Container]:
        """A container for one program's jobs; raises SandboxError where none can be made."""
        container = self.take(purpose)
        container.programs += 1
        try:
            yield container
        finally:
            settle(container)
            if container.fresh and container.programs < reuse and not self.closed.is_set():
                self.ready[purpose].put(container)
            else:
                self.wanted.put(purpose)
                self.bury(container)

    def take(self, purpose: Purpose) -> Container:
        """A ready container that has not hung up; raises SandboxError where the engine makes none."""
        began = time.monotonic()
        with self.lock:
            if self.ready[purpose].empty() and self.ordered[purpose] < self.slots:
                self.order(purpose)
        while True:
            with contextlib.suppress(queue.Empty):
                container = self.ready[purpose].get(timeout=0.5)
                if container.stream.open():
                    return container
                self.wanted.put(purpose)
                self.bury(container)
            now, trouble = time.monotonic(), self.trouble
            if trouble is not None and now - began > TOLD:
                raise SandboxError(str(trouble[1]), cause=trouble[1].cause)
            if now - began > WAIT or self.closed.is_set():
                raise SandboxError(f"no sandbox came up in {now - began:.0f} s", cause="container_lost")

    def weed(self) -> None:
        """After a loss: drop every waiting container that the engine no longer runs."""
        for purpose, ready in self.ready.items():
            for _ in range(ready.qsize()):
                with contextlib.suppress(queue.Empty):
                    container = ready.get_nowait()
                    if container.answers():
                        ready.put(container)
                    else:
                        self.wanted.put(purpose)
                        self.bury(container)

    def bury(self, container: Container) -> None:
        """Destroy a container, away from the caller, even where the engine is away for a while."""
        container.close()
        try:
            if self.buriers is not None:
                self.buriers.submit(self.destroy, container)
        except RuntimeError:  # the pool is closing; its leftovers are removed by label
            engine.remove(self.client, container.id)

    def destroy(self, container: Container) -> None:
        end = time.monotonic() + BURY_SECONDS
        while not engine.remove(self.client, container.id):
            if time.monotonic() > end or self.closed.wait(1.0):
                return


def settle(container: Container) -> None:
    """End a job that was left running, so that the container can be judged by its end."""
    if container.busy:
        with contextlib.suppress(SandboxError):
            container.stop()
