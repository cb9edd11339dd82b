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
from typing import Any, Literal

from tracegen.data import Struct
from tracegen.errors import SandboxError
from tracegen.recipe import CodeLimits
from tracegen.sandbox import engine

GRACE = 20.0
PATIENCE = 3.0
"""The supervisor gives a starved job up to so many times its limit."""
Role = Literal["program", "functions", "judge", "shared", "compile", "command"]


class Said(Struct, frozen=True):
    """A job's answer to a message."""

    body: bytes
    milliseconds: float


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
    answered: bool = True
    """The job had answered every message."""
    stdout: bytes = b""
    stderr: str = ""
    """The last 4 KB."""
    milliseconds: float = 0.0


class Container:
    """A started container. Not for two threads at once."""

    def __init__(
        self, client: Any, limits: CodeLimits, image: str, run: str, purpose: engine.Purpose
    ) -> None:
        self.client, self.limits = client, limits
        self.since = time.time()
        self.id = engine.create(client, limits, image, run, purpose)
        self.stream = engine.start(client, self.id)
        self.jobs = 0
        self.usable = True
        """It has been seen clean since its last job."""
        try:
            self.wait_ready(engine.SECONDS)
        except (OSError, EOFError) as error:
            self.remove()
            raise SandboxError(
                f"a sandbox of image {image!r} did not come up - run `tracegen sandbox build --force`",
                cause="container_lost",
            ) from error

    # --- frames ------------------------------------------------------------------------------------

    def tell(self, kind: bytes, header: dict[str, Any], body: bytes = b"") -> None:
        head = json.dumps(header).encode()
        sizes = len(head).to_bytes(4, "big") + len(body).to_bytes(4, "big")
        self.stream.send(kind + sizes + head + body, engine.SECONDS)

    def frame(self, seconds: float) -> tuple[bytes, dict[str, Any], bytes]:
        """The supervisor's next frame; raises TimeoutError, EOFError, OSError."""
        until = time.monotonic() + seconds
        first = self.stream.read(9, until)
        header = self.stream.read(int.from_bytes(first[1:5], "big"), until)
        body = self.stream.read(int.from_bytes(first[5:9], "big"), until)
        return first[:1], json.loads(header), body

    def wait_ready(self, seconds: float) -> None:
        kind, header, _ = self.frame(seconds)
        if kind != b"R":
            raise EOFError
        self.usable = bool(header["clean"])

    # --- jobs --------------------------------------------------------------------------------------

    def start(
        self, role: Role, seconds: float, body: bytes, *, source: str = "", output: int = 0, **more: Any
    ) -> Said | Over:
        """Fork a job and hand it its first message, or its standard input if it is a program.

        `more` are further words of the job's header, such as its `argv`.
        """
        self.jobs += 1
        self.usable = False
        header = {
            "role": role,
            "seconds": seconds,
            "output": output or self.limits.output_kb * 1024,
            "disk": self.limits.disk_mb << 20,
            "source": source,
            **more,
        }
        return self.exchange(b"S", header, body, seconds)

    def give(self, body: bytes, seconds: float) -> Said | Over:
        """The job's answer to a message, or its end."""
        return self.exchange(b"G", {"seconds": seconds}, body, seconds)

    def exchange(self, kind: bytes, header: dict[str, Any], body: bytes, seconds: float) -> Said | Over:
        try:
            self.tell(kind, header, body)
            while True:
                kind, found, data = self.frame(seconds * PATIENCE + GRACE)
                if kind == b"M":
                    return Said(body=data, milliseconds=found["ms"])
                if kind == b"E":
                    return self.over(found, data)
        except (OSError, EOFError, ValueError, KeyError) as error:
            return self.lost(error, seconds)

    def limit_memory(self, megabytes: int) -> None:
        """Change the limit of the memory; raises SandboxError."""
        engine.limit_memory(self.client, self.id, megabytes)

    def stop(self) -> Over:
        """End the job that runs, and hear what it did."""
        try:
            self.tell(b"K", {})
            while True:
                kind, found, data = self.frame(GRACE)
                if kind == b"E":
                    return self.over(found, data)
        except (OSError, EOFError, ValueError, KeyError) as error:
            return self.lost(error, 0.0)

    def over(self, found: dict[str, Any], stdout: bytes) -> Over:
        with contextlib.suppress(OSError, EOFError):
            self.wait_ready(GRACE)
        return Over(
            how=found["how"],
            exit=found.get("exit"),
            signal=found.get("signal"),
            oom=found["oom"] > 0,
            refused=found["refused"] > 0,
            answered=found["answered"],
            stdout=stdout,
            stderr=found["stderr"],
            milliseconds=found["ms"],
        )

    def lost(self, error: BaseException, seconds: float) -> Over:
        """Why the supervisor does not answer: its program's doing, or ours (raises SandboxError)."""
        self.usable = False
        if isinstance(error, TimeoutError) and self.runs():
            return Over(how="timeout", answered=False, milliseconds=seconds * 1000)
        ended = engine.how_ended(self.client, self.id, self.since)
        if ended is not None and (ended.oom or ended.status not in (0, 137, 143)):
            return Over(how="container", answered=False, exit=ended.status, oom=ended.oom)
        raise SandboxError(
            f"the engine lost container {self.id[:12]} ({error or type(error).__name__})",
            cause="container_lost",
        ) from error

    def runs(self) -> bool:
        try:
            return bool(self.client.inspect_container(self.id)["State"]["Running"])
        except engine.failures():
            return False

    # --- the end -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Let it end and remove itself."""
        self.usable = False
        self.stream.close()

    def remove(self) -> None:
        """Kill and remove it."""
        self.close()
        engine.remove(self.client, self.id)
