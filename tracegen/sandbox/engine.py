"""The edge to the Docker engine: connecting, hardened containers, attached streams, the sweep.

Everything that Docker or the network raises leaves here as a SandboxError. Containers carry the owner's
identity as a label, remove themselves when they end, and end when their owner's connection does; the
sweep at start is for what an engine that was killed itself has left over.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Any, Literal

from tracegen.data import Struct
from tracegen.errors import SandboxError
from tracegen.recipe import CodeLimits

Purpose = Literal["judge", "candidate", "programs"]
"""What a container is for: tests, one candidate in Python, or one program that is compiled first."""
OWNER = "tracegen.owner"
RUN = "tracegen.run"
SECONDS = 60
"""How long the engine may take to answer one request."""
SILENCE = 180.0
"""Seconds after which a container whose host has said nothing ends itself: an engine that was killed may have
forgotten it. The pool beats three times as often and more (see `pool`)."""
COMMAND = ["/usr/bin/python3", "-P", "-s", "-S", "/harness/main.py"]
"""Without user or third-party packages; not `-I`, which would ignore the seed of hashes below."""
SUPERVISOR = ["SETUID", "SETGID", "KILL"]
"""What PID 1 keeps, to start each job under another uid and to kill it; a job has no capability at all."""
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - inside the container
    "TMPDIR": "/tmp",  # noqa: S108 - inside the container
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "LD_BIND_NOW": "1",  # else every fork looks up again what it is the first to call
}


class Ended(Struct, frozen=True):
    """How a container ended by itself, as the engine recorded it."""

    status: int
    oom: bool


def failures() -> tuple[type[BaseException], ...]:
    """What talking to the engine can raise."""
    import docker.errors
    import requests
    import urllib3

    return (
        docker.errors.DockerException,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,
    )


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    said = str(error).strip().splitlines()
    return said[0][:300] if said else type(error).__name__


def unavailable(error: BaseException) -> SandboxError:
    """The engine did not answer."""
    return SandboxError(
        f"no Docker engine answers ({first_line(error)}) - start it, or set DOCKER_HOST",
        cause="docker_unavailable",
    )


def connect(timeout: float = SECONDS) -> Any:
    """A client of the engine that the environment names; raises SandboxError."""
    import docker
    from docker.utils import kwargs_from_env

    settings = kwargs_from_env()
    try:
        knock(settings.get("base_url") or "unix:///var/run/docker.sock")
        client = docker.APIClient(timeout=timeout, version="auto", **settings)
        client.ping()
    except failures() as error:
        raise unavailable(error) from error
    return client


def knock(url: str) -> None:
    """Raises OSError where nobody listens on a local socket; the SDK would leak one finding out."""
    if url.startswith("unix://"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(SECONDS)
            door.connect("/" + url.removeprefix("unix://").lstrip("/"))


# --- who owns a container --------------------------------------------------------------------------


def owner(pid: int | None = None) -> str:
    """Boot, pid namespace, pid and start time: what tells a living owner from a dead one."""
    pid = pid or os.getpid()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - not a path one walks
        return f"{boot}:{space}:{pid}:{started(pid)}"
    except OSError:
        return f"{uuid.getnode():x}:0:{pid}:0"


def started(pid: int) -> str:
    """Start time of a process in clock ticks; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def dead(label: str, mine: str) -> bool:
    """The owner in `label` is one that we could see, and is gone."""
    theirs, ours = label.split(":"), mine.split(":")
    if len(theirs) != 4 or theirs[:2] != ours[:2] or not theirs[2].isdigit():
        return False
    return not theirs[3] or started(int(theirs[2])) != theirs[3]


def sweep(client: Any) -> int:
    """Remove what dead owners left over; returns how many containers. A living run's are never touched."""
    mine, swept = owner(), 0
    try:
        found = client.containers(all=True, filters={"label": OWNER})
    except failures() as error:
        raise unavailable(error) from error
    for container in found:
        label = (container.get("Labels") or {}).get(OWNER, "")
        running = container.get("State") in ("running", "created", "paused")
        stale = not running and time.time() - container.get("Created", 0) > 3600
        if dead(label, mine) or stale:
            remove(client, container["Id"])
            swept += 1
    return swept


def remove(client: Any, container: str) -> bool:
    """Kill and remove; a container that is already going is as good. False where the engine is away."""
    import docker.errors

    try:
        client.remove_container(container, force=True, v=True)
    except docker.errors.APIError as error:
        return bool(error.is_client_error())
    except failures():
        return False
    return True


# --- a container -----------------------------------------------------------------------------------


def create(client: Any, limits: CodeLimits, image: str, run: str, purpose: Purpose) -> str:
    """A hardened container for `purpose`, not yet started; returns its id."""
    import docker.errors

    memory = f"{limits.memory_mb}m"
    disk = f"size={limits.disk_mb}m,nr_inodes=16k,nosuid,nodev"
    tmpfs = {"/tmp": f"{disk},mode=1777"}  # noqa: S108 - inside the container
    if purpose == "programs":
        tmpfs["/build"] = f"{disk},mode=755,exec"
    host = client.create_host_config(
        network_mode="none",
        cap_drop=["ALL"],
        cap_add=SUPERVISOR,
        security_opt=["no-new-privileges"],
        read_only=True,
        pids_limit=limits.processes + 2,
        mem_limit=memory,
        memswap_limit=memory,
        cpu_period=100_000,
        cpu_quota=int(limits.cpus * 100_000),
        tmpfs=tmpfs,
        shm_size=f"{min(limits.disk_mb, 16)}m",
        ipc_mode="private",
        log_config={"Type": "none", "Config": {}},
        auto_remove=True,
        init=False,
        runtime=limits.runtime or None,
    )
    try:
        made = client.create_container(
            image,
            [*COMMAND, f"{SILENCE:g}", purpose],
            hostname="sandbox",
            user="0:0",
            stdin_open=True,
            network_disabled=True,
            environment=ENVIRONMENT,
            working_dir="/tmp",  # noqa: S108 - inside the container
            labels={OWNER: owner(), RUN: run},
            host_config=host,
        )
    except docker.errors.ImageNotFound as error:
        raise SandboxError(
            f"sandbox image {image!r} is not here - run `tracegen sandbox build`",
            cause="image_missing",
        ) from error
    except docker.errors.APIError as error:
        if error.is_client_error():
            raise SandboxError(
                f"Docker refused a sandbox: {error.explanation}", cause="docker_unavailable"
            ) from error
        raise unavailable(error) from error
    except failures() as error:
        raise unavailable(error) from error
    return str(made["Id"])


def limit_memory(client: Any, container: str, megabytes: int) -> bool:
    """Change the limit of a running container's memory; False where it holds more. Raises SandboxError."""
    try:
        client.update_container(container, mem_limit=f"{megabytes}m", memswap_limit=f"{megabytes}m")
        return True
    except failures() as error:
        if "unable to set memory limit" in str(error):  # runc, where the kernel says EBUSY
            return False
        raise SandboxError(
            f"a sandbox's memory could not be limited: {first_line(error)}", cause="container_lost"
        ) from error


class Stream:
    """The attached input and output of a container; its end is the container's end."""

    def __init__(self, attached: Any) -> None:
        self.attached = attached
        """The SDK's wrapper, which closes the socket when it is collected."""
        self.socket: socket.socket = getattr(attached, "_sock", attached)
        self.inbox = bytearray()
        self.payload = bytearray()

    def send(self, data: bytes, seconds: float) -> None:
        """Writes everything; raises OSError."""
        self.socket.settimeout(seconds)
        self.socket.sendall(data)

    def read(self, size: int, until: float) -> bytes:
        """Exactly `size` bytes of stdout; raises TimeoutError at `until` (monotonic seconds) and EOFError."""
        while len(self.payload) < size:
            self.demultiplex(until)
        data = bytes(self.payload[:size])
        del self.payload[:size]
        return data

    def demultiplex(self, until: float) -> None:
        """Takes one more piece out of Docker's frames: stream (1 byte), 3 zeros, length (4 bytes)."""
        while len(self.inbox) < 8 or len(self.inbox) < 8 + int.from_bytes(self.inbox[4:8], "big"):
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError
            self.inbox += data
        size = 8 + int.from_bytes(self.inbox[4:8], "big")
        if self.inbox[0] == 1:
            self.payload += self.inbox[8:size]
        del self.inbox[:size]

    def open(self) -> bool:
        """The other end has not hung up, as far as one can tell without sending."""
        try:
            self.socket.settimeout(0.0)
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Ends the attachment; the supervisor reads the end of its input and ends the container."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, AttributeError):
            self.attached.close()
        with contextlib.suppress(OSError):
            self.socket.close()


def start(client: Any, container: str) -> Stream:
    """Attach to a created container and start it; raises SandboxError."""
    stream = None
    try:
        stream = Stream(
            client.attach_socket(container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        )
        client.start(container)
    except failures() as error:
        if stream:
            stream.close()
        remove(client, container)
        raise SandboxError(f"a sandbox did not start: {str(error)[:300]}", cause="container_lost") from error
    return stream


def how_ended(client: Any, container: str, since: float) -> Ended | None:
    """The container's own end, from the engine's events; None where the engine knows of none."""
    try:
        events = client.events(
            since=int(since) - 1, until=int(time.time()) + 1, filters={"container": container}, decode=True
        )
        seen = list(events)
    except failures():
        return None
    status = [event["Actor"]["Attributes"].get("exitCode") for event in seen if event.get("Action") == "die"]
    oom = any(event.get("Action") == "oom" for event in seen)
    return Ended(status=int(status[0] or 0), oom=oom) if status else None
