"""A Docker engine of one's own, to be stopped, killed and started again without hurting anybody.

Needs root and `dockerd`. Its containers, images and sockets live in one folder; nothing of the engine
that listens on /var/run/docker.sock is touched, but the image is copied from it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

SECONDS = 120.0


class SecondEngine:
    """Runs while the context is open; `url` is its DOCKER_HOST."""

    def __init__(self, image: str, *, live_restore: bool = False) -> None:
        self.image, self.live_restore = image, live_restore
        self.folder = Path(tempfile.mkdtemp(prefix="second-engine-"))
        self.url = f"unix://{self.folder}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SecondEngine:
        try:
            self.start()
            save = subprocess.Popen(["docker", "save", self.image], stdout=subprocess.PIPE)
            with save:
                subprocess.run(
                    ["docker", "-H", self.url, "load"],
                    stdin=save.stdout,
                    stdout=subprocess.DEVNULL,
                    check=True,
                )
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start it, and wait until it answers; raises TimeoutError."""
        command = [
            "dockerd", "--iptables=false", "--bridge=none", "--data-root", f"{self.folder}/data",
            "--exec-root", f"{self.folder}/exec", "-H", self.url, "-p", f"{self.folder}/pid",
            *(["--live-restore"] if self.live_restore else []),
        ]  # fmt: skip
        end = time.monotonic() + SECONDS
        asked = ["docker", "-H", self.url, "version"]
        self.process = None
        while True:
            if (
                self.process is None or self.process.poll() is not None
            ):  # on a busy machine it gives up itself
                with (self.folder / "log").open("ab") as log:
                    self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                return
            if time.monotonic() > end:
                last = (self.folder / "log").read_text(errors="replace").splitlines()[-3:]
                raise TimeoutError(f"dockerd did not start: {' | '.join(last)}")
            time.sleep(0.2)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the engine alone, kindly or with SIGKILL; what becomes of its containers is its affair."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(SECONDS)
        (self.folder / "pid").unlink(missing_ok=True)

    def containers(self) -> list[str]:
        """Ids of all its containers."""
        command = ["docker", "-H", self.url, "ps", "-aq", "--no-trunc"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    def left_over(self) -> list[str]:
        """Containers and processes in containers that there should not be any more."""
        known = (f"container {name}: {state}" for name, state in self.states().items() if state)
        inside = (child for pid in self.shims() for child in children(pid) if not never_started(child))
        return [*known, *(f"process {pid}: {described(pid)}" for pid in inside)]

    def rubble(self) -> list[str]:
        """Containers that the engine itself does not know. Of one that an engine was killed while it made
        or removed there may be a folder that the next engine cannot load (`failed to load container` in its
        log), or a line in the list of containers: no client can ask for its end."""
        return [name for name, state in self.states().items() if not state]

    def states(self) -> dict[str, str]:
        """State by id of each container that the engine lists or has a folder of; empty where it says
        that there is no such container."""
        folders = (self.folder / "data" / "containers").glob("*")
        ids = sorted({*self.containers(), *(path.name for path in folders)})
        if not ids:
            return {}
        command = ["docker", "-H", self.url, "inspect", "--type=container", "-f={{.Id}} {{.State.Status}}"]
        said = subprocess.run([*command, *ids], capture_output=True, text=True, check=False)
        states = dict(line.split() for line in said.stdout.splitlines() if line)
        unknown = dict.fromkeys((name for name in ids if f"No such container: {name}" in said.stderr), "")
        return dict.fromkeys(ids, "not told") | states | unknown

    def shims(self) -> list[int]:
        """The engine's own process beside each container. One whose engine was killed while it made or
        started the container is never called again and stays until the machine restarts, with nothing in
        it or with `runc init`, which waits to be told to become the container's first process: the engine
        that starts next has no record of it, so no client can ask for its end."""
        return [pid for pid in self.processes() if self.is_shim(pid)]

    def processes(self) -> list[int]:
        """Everything that was started out of its folder: the engine, its containerd, its shims."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.folder).encode() in (path / "cmdline").read_bytes():
                    found.append(int(path.name))
        return [pid for pid in found if pid != os.getpid()]

    @staticmethod
    def is_shim(pid: int) -> bool:
        with contextlib.suppress(OSError):
            return b"containerd-shim" in Path(f"/proc/{pid}/cmdline").read_bytes()
        return False

    def close(self) -> None:
        """End everything that it started, and remove its folder."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.SubprocessError):
                for container in self.containers():
                    subprocess.run(
                        ["docker", "-H", self.url, "rm", "-f", container], capture_output=True, check=False
                    )
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(SECONDS)
        inside = [int(child) for pid in self.shims() for child in children(pid)]
        for pid in [*self.processes(), *inside]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if line.split()[1].startswith(str(self.folder)):
                subprocess.run(["umount", "-l", line.split()[1]], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def children(pid: int) -> list[str]:
    """Processes that a process has started."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return []


def never_started(pid: str) -> bool:
    """A container's first process is still the engine's own; nothing of the container has run in it."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:2] == [b"runc", b"init"]
    return False


def described(pid: str) -> str:
    """State and command line of a process; empty where it has ended."""
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        where = Path(f"/proc/{pid}/wchan").read_text()
        return f"{state} {words.strip()} ({where})"
    return ""


def possible() -> str:
    """Why there can be no second engine here; empty where there can."""
    if os.geteuid() != 0:
        return "a second Docker engine needs root"
    return "" if shutil.which("dockerd") and shutil.which("docker") else "dockerd is not installed"
