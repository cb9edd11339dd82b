"""One container and the conversation with its supervisor: start a job, give it messages, hear how it ended.

The limit of a job is the supervisor's clock, which starts when the job has been handed its message, so
that a slow engine or a busy host costs the candidate nothing. The host waits `GRACE` seconds longer and then
asks the engine: a container that still runs has been made deaf by its own program (a timeout), one that
ended was ended by its program, and one that the engine does not know was lost, which is ours.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any, Literal, NoReturn

from tracegen.data import Struct
from tracegen.errors import SandboxError
from tracegen.recipe import CodeLimits
from tracegen.sandbox import engine

GRACE = 20.0
PATIENCE = 3.0
"""The supervisor gives a starved job up to so many times its limit."""
QUIET = 60.0
"""Seconds for which nothing may be said to a job, beyond what other containers' jobs may take meanwhile.
Where that is too few, the container is lost and the program judged again; a job whose engine was killed
waits in vain for as long."""
Role = Literal["program", "functions", "judge", "shared", "compile", "command"]


class Said(Struct, frozen=True):
    """A job's next answers, in the order of the messages."""

    body: bytes
    """Each with its length (4 bytes) in front."""
    milliseconds: float
    """The job's time for them."""

    @property
    def answers(self) -> list[bytes]:
        """Each of them."""
        found, at = [], 0
        while at < len(self.body):
            size = int.from_bytes(self.body[at : at + 4], "big")
            found.append(self.body[at + 4 : at + 4 + size])
            at += 4 + size
        return found

    @property
    def answer(self) -> bytes:
        """The only answer."""
        return self.body[4:]


class Over(Struct, frozen=True):
    """A job's end, as the supervisor reported it."""

    how: Literal["exit", "timeout", "output", "protocol", "stopped", "container"]
    """`container`: the whole container ended or fell silent."""
    exit: int | None = None
    signal: int | None = None
    oom: bool = False
    """The kernel killed one of the job's processes for memory."""
    refused: bool = False
    """A fork was refused by the limit on processes."""
    missing: bool = False
    """What was to be run is not in the image."""
    answered: bool = True
    """The job had answered every message."""
    clean: bool = False
    """Nothing is left of it: the same program may be run again …"""
    fresh: bool = False
    """… and nothing had to be emptied or killed, and no limit was hit: another program may be, too."""
    stdout: bytes = b""
    stderr: str = ""
    """The last 4 KB."""
    milliseconds: float = 0.0


class Died(SandboxError):
    """A container ended or fell silent while a job ran: the job's doing if it happens again, else ours."""

    def __init__(self, container: str, purpose: engine.Purpose, over: Over) -> None:
        super().__init__(f"container {container[:12]} ended by itself", cause="container_lost")
        self.purpose, self.over = purpose, over


class Container:
    """A started container. Not for two threads at once."""

    def __init__(
        self, client: Any, limits: CodeLimits, image: str, run: str, purpose: engine.Purpose
    ) -> None:
        self.client, self.limits, self.purpose = client, limits, purpose
        self.since = time.time()
        self.id = engine.create(client, limits, image, run, purpose)
        self.stream = engine.start(client, self.id)
        self.jobs = 0
        self.programs = 0
        self.busy = False
        """A job runs."""
        self.usable = True
        """It has been seen clean since its last job."""
        self.fresh = True
        """No job has left anything, hit a limit or ended badly."""
        try:
            self.wait_ready(engine.SECONDS)
        except (OSError, EOFError) as error:
            self.remove()
            raise SandboxError(
                f"a sandbox of image {image!r} did not come up - run `tracegen sandbox build --force`",
                cause="container_lost",
            ) from error

    # --- frames ------------------------------------------------------------------------------------

    def tell(
        self, kind: bytes, header: dict[str, Any], body: bytes = b"", seconds: float = engine.SECONDS
    ) -> None:
        head = json.dumps(header).encode()
        sizes = len(head).to_bytes(4, "big") + len(body).to_bytes(4, "big")
        self.stream.send(kind + sizes + head + body, seconds)

    def frame(self, seconds: float) -> tuple[bytes, dict[str, Any], bytes]:
        """The supervisor's next frame; raises TimeoutError, EOFError, OSError."""
        until = time.monotonic() + seconds
        first = self.stream.read(9, until)
        header = self.stream.read(int.from_bytes(first[1:5], "big"), until)
        body = self.stream.read(int.from_bytes(first[5:9], "big"), until)
        return first[:1], json.loads(header), body

    def wait_ready(self, seconds: float) -> None:
        kind, _, _ = self.frame(seconds)
        if kind != b"R":
            raise EOFError

    # --- jobs --------------------------------------------------------------------------------------

    def start(
        self, role: Role, seconds: float, body: bytes, *, source: str = "", output: int = 0, **more: Any
    ) -> Said | Over:
        """Fork a job and hand it its first message, or its standard input if it is a program.

        `more` are further words of the job's header, such as its `argv`.
        """
        self.launch(role, seconds, body, source=source, output=output, **more)
        return self.hear(seconds)

    def launch(
        self, role: Role, seconds: float, body: bytes, *, source: str = "", output: int = 0, **more: Any
    ) -> None:
        """Start a job, but do not wait for what it says.

        With `total`, which is the limit for all of them, `body` is messages (each with its length in front),
        and the job ends after its last answer.
        """
        self.jobs += 1
        self.usable, self.busy = False, True
        header = {
            "role": role,
            "seconds": seconds,
            "output": output or self.limits.output_kb * 1024,
            "disk": self.limits.disk_mb << 20,
            "source": source,
            "quiet": PATIENCE * max(seconds, self.limits.total_seconds) + QUIET,
            **more,
        }
        self.send(b"S", header, body)

    def give(self, body: bytes, seconds: float) -> Said | Over:
        """The job's answer to one message, or its end."""
        return self.ask(len(body).to_bytes(4, "big") + body, seconds, seconds)

    def ask(self, messages: bytes, seconds: float, total: float, *, apart: bool = False) -> Said | Over:
        """The first answers to messages (each with its length in front), or the job's end.

        Each gets `seconds`, all of them together `total`; `hear` gets the answers that are still to come.
        `apart`: the job sees no message before it has answered the one before.
        """
        self.send(b"G", {"seconds": seconds, "total": total, "apart": apart}, messages)
        return self.hear(min(seconds, total))

    def send(self, kind: bytes, header: dict[str, Any], body: bytes = b"") -> None:
        """Tell the supervisor; where it is gone, hearing of it says so."""
        with contextlib.suppress(OSError):
            self.tell(kind, header, body)

    def hear(self, seconds: float) -> Said | Over:
        """The job's next answers, or its end."""
        try:
            kind, found, data = self.frame(seconds * PATIENCE + GRACE)
            if kind == b"M":
                return Said(body=data, milliseconds=found["ms"])
            return self.over(found, data)
        except (OSError, EOFError, ValueError, KeyError) as error:
            self.lost(error, seconds)

    def limit_memory(self, megabytes: int) -> bool:
        """Change the limit of the memory; False where the container holds more. Raises SandboxError."""
        return engine.limit_memory(self.client, self.id, megabytes)

    def stop(self) -> Over:
        """End the job that runs, and hear what it did."""
        self.send(b"K", {})
        return self.wait()

    def wait(self) -> Over:
        """The end of a job that ends by itself, or has been told to."""
        while True:
            said = self.hear(0.0)
            if isinstance(said, Over):
                return said

    def over(self, found: dict[str, Any], stdout: bytes) -> Over:
        over = Over(
            how=found["how"],
            exit=found.get("exit"),
            signal=found.get("signal"),
            oom=found["oom"] > 0,
            refused=found["refused"] > 0,
            missing=found["missing"] is True,
            answered=found["answered"],
            clean=found["clean"],
            fresh=found["fresh"],
            stdout=stdout,
            stderr=found["stderr"],
            milliseconds=found["ms"],
        )
        self.usable, self.fresh, self.busy = over.clean, self.fresh and over.fresh, False
        return over

    def lost(self, error: BaseException, seconds: float) -> NoReturn:
        """Why the supervisor does not answer: its program's doing (raises Died), or ours (SandboxError)."""
        self.usable = self.fresh = self.busy = False
        if isinstance(error, TimeoutError) and self.runs():
            raise Died(
                self.id, self.purpose, Over(how="timeout", answered=False, milliseconds=seconds * 1000)
            )
        ended = engine.how_ended(self.client, self.id, self.since)
        if ended is not None and (ended.oom or ended.status not in (0, 137, 143)):
            raise Died(
                self.id, self.purpose, Over(how="container", answered=False, exit=ended.status, oom=ended.oom)
            )
        raise SandboxError(
            f"the engine lost container {self.id[:12]} ({error or type(error).__name__})",
            cause="container_lost",
        ) from error

    def beat(self) -> None:
        """Say that the host is there; a container that does not take it is found out when it is lent."""
        with contextlib.suppress(OSError):
            self.tell(b"B", {}, seconds=1.0)

    def runs(self) -> bool:
        try:
            return bool(self.client.inspect_container(self.id)["State"]["Running"])
        except engine.failures():
            return False

    def answers(self) -> bool:
        """Its supervisor still holds its end of the line, and the engine runs it."""
        return self.stream.open() and self.runs()

    # --- the end -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Let it end and remove itself."""
        self.usable = False
        self.stream.close()

    def remove(self) -> None:
        """Kill and remove it."""
        self.close()
        engine.remove(self.client, self.id)
