"""PID 1 of a sandbox: forks one job at a time under another uid, limits it, reports on it, cleans up.

Frames, both ways: kind (1 byte), length of header and of body (4 bytes each), header (JSON), body.

    host → supervisor   S start {role, name, seconds, output, disk}, body: what the job hears first
                        G give {seconds}, body: the next message
                        K stop
    supervisor → host   R ready {clean}           nothing of the last job is left, if clean
                        A ack {}                  the job has been handed its message; its clock runs
                        M message {ms}, body      the job's one answer to a message
                        E ended {…}, body         the job is over: how, and the head of its stdout

The clock, the counters of the cgroup and the wait status are read here, under a uid that the job
cannot signal, trace or write to. The clock counts wall seconds less those that the job stood runnable in
the kernel's queue without getting a core, so that a busy host is not held against it; it never gets more
than `PATIENCE` times its limit. Between jobs every other process is killed and everything
that the job could write to is emptied and looked at; what is not clean is not used again. Only what a
compile job made in `/build` stays, for the jobs after it to run (see commands).
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time

import commands
from channel import NONCE

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from typing import Any, Callable

POOR = b""
CHUNK = 1 << 16
TAIL = 4096
PATIENCE = 3.0
WRITABLE = ("/tmp", "/dev/shm", "/dev/mqueue")
FIRST_UID = 20_000
PROGRAMS = ("program", "compile", "command")
"""Roles that read standard input, print and end; the others talk over the channel."""


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def tell(kind: bytes, header: dict[str, Any], body: bytes = b"") -> None:
    head = json.dumps(header).encode()
    write_all(1, kind + len(head).to_bytes(4, "big") + len(body).to_bytes(4, "big") + head + body)


def read_text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def listing(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def counter(path: str, key: str) -> int:
    """The number after `key` in a cgroup file; 0 where there is none."""
    for line in read_text(path).splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == key:
            return int(words[1])
    return 0


def out_of_memory() -> int:
    """Processes that the kernel killed for memory in this container (cgroup v1, else v2)."""
    groups = "/sys/fs/cgroup"
    return counter(groups + "/memory/memory.oom_control", "oom_kill") or counter(
        groups + "/memory.events", "oom_kill"
    )


def refused_processes() -> int:
    """Forks that the pids limit refused in this container."""
    return counter("/sys/fs/cgroup/pids/pids.events", "max") or counter("/sys/fs/cgroup/pids.events", "max")


def processor_seconds() -> float:
    """What this container has used of the processor; 0 where that is not told."""
    groups = "/sys/fs/cgroup"
    nanoseconds = read_text(groups + "/cpuacct/cpuacct.usage").strip()
    return int(nanoseconds or 0) / 1e9 or counter(groups + "/cpu.stat", "usage_usec") / 1e6


class Job:
    """One forked job and the pipes to it."""

    def __init__(self, header: dict[str, Any], body: bytes, uid: int, entry: Callable[..., None]) -> None:
        self.output = int(header["output"])
        self.said = bytearray()
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.printed = 0
        self.how = ""
        self.status: int | None = None
        self.nonce = POOR
        self.started = time.monotonic()
        self.asked = self.started
        self.seconds = float(header["seconds"])
        self.deadline = self.started + self.seconds
        self.waited = 0.0
        self.oom, self.refused = out_of_memory(), refused_processes()
        self.used = processor_seconds()
        hear, self.tell = os.pipe()
        self.hear, say = os.pipe()
        self.out, out = os.pipe()
        self.err, err = os.pipe()
        stdin = os.memfd_create("stdin") if header["role"] in PROGRAMS else os.open("/dev/null", os.O_RDONLY)
        if header["role"] in PROGRAMS:
            write_all(stdin, body)
            os.lseek(stdin, 0, os.SEEK_SET)
        self.uid = uid
        self.pid = os.fork()
        if self.pid == 0:
            become_job(uid, (stdin, out, err), (hear, say), header, entry)
        for fd in (stdin, out, err, hear, say):
            os.close(fd)
        for fd in (self.hear, self.out, self.err, self.tell):
            os.set_blocking(fd, False)
        self.outbox = b""
        self.answered = True
        self.role = header["role"]

    def give(self, payload: bytes, seconds: float) -> bool:
        """Hands over a message and starts its clock; False where the job has spoken out of turn."""
        self.drain(self.hear)
        if self.said:
            return False
        self.nonce = os.urandom(NONCE)
        self.outbox = (len(payload) + NONCE).to_bytes(4, "big") + self.nonce + payload
        self.answered = False
        self.asked = time.monotonic()
        self.waited, self.seconds = self.in_queue(), seconds
        self.deadline = self.asked + seconds
        return True

    def in_queue(self) -> float:
        """Seconds that the job's threads have stood runnable without a core, the longest of them."""
        longest = 0
        for thread in listing(f"/proc/{self.pid}/task"):
            words = read_text(f"/proc/{self.pid}/task/{thread}/schedstat").split()
            longest = max(longest, int(words[1]) if len(words) == 3 else 0)
        return longest / 1e9

    def elapsed(self) -> float:
        """Seconds since the message, less those spent waiting for a core.

        A compiler is a chain of processes, each with its own queueing; of it the processor's seconds count.
        """
        wall = time.monotonic() - self.asked
        if self.role == "compile":
            return max(processor_seconds() - self.used, wall / PATIENCE)
        return max(wall - (self.in_queue() - self.waited), wall / PATIENCE)

    def late(self) -> bool:
        """The limit has passed; where only the wall clock says so, the deadline moves on."""
        now = time.monotonic()
        if now < self.deadline:
            return False
        left = self.seconds - self.elapsed()
        if left <= 0:
            return True
        self.deadline = now + max(left, 0.01)
        return False

    def push(self) -> None:
        """Writes as much of the message as the pipe takes."""
        try:
            self.outbox = self.outbox[os.write(self.tell, self.outbox[:CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:
            self.outbox = b""

    def drain(self, fd: int) -> bool:
        """Reads what is there, up to the limit; False at the end of the file."""
        while fd >= 0:
            try:
                data = os.read(fd, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            if fd == self.hear:
                self.said += data
                if len(self.said) > self.output + NONCE + 4:
                    self.how = self.how or "output"
                    return True
            else:
                self.keep(fd, data)
                if self.how == "output":
                    return True
        return True

    def keep(self, fd: int, data: bytes) -> None:
        self.printed += len(data)
        if fd == self.out:
            self.stdout += data[: self.output - len(self.stdout)]
        else:
            self.stderr += data
            del self.stderr[:-TAIL]
        if self.printed > self.output:
            self.how = self.how or "output"

    def answer(self) -> bytes | None:
        """The whole answer, if it is there; marks what is not one."""
        if len(self.said) < 4:
            return None
        size = int.from_bytes(self.said[:4], "big")
        if size < NONCE or size > self.output + NONCE:
            self.how = self.how or ("protocol" if size < NONCE else "output")
            return None
        if len(self.said) < size + 4:
            return None
        message = bytes(self.said[4 : size + 4])
        del self.said[: size + 4]
        if self.answered or message[:NONCE] != self.nonce or self.said:
            self.how = self.how or "protocol"
            return None
        self.answered = True
        return message[NONCE:]

    def close(self) -> None:
        for fd in (self.hear, self.tell, self.out, self.err):
            if fd >= 0:
                os.close(fd)


def become_job(
    uid: int,
    standard: tuple[int, int, int],
    pipes: tuple[int, int],
    header: dict[str, Any],
    entry: Callable[..., None],
) -> None:
    """In the child: gives up everything, then leaves this module's frames for the job's."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    os.nice(19)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    spare = [os.dup(fd) for fd in (*standard, *pipes)]
    high = max(spare) + 1
    for target, fd in enumerate(spare):
        os.dup2(fd, high + target, inheritable=False)
    for target in range(5):
        os.dup2(high + target, target, inheritable=target < 3)
    os.closerange(5, high + 5)
    disk = int(header["disk"])
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_FSIZE, disk),
    ):
        resource.setrlimit(limit, (value, value))
    os.umask(0o022)
    os.chdir("/tmp")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    raise Become(entry, header)


class Become(BaseException):
    """Unwinds the child to the top of the main module, where the job runs on a clean stack."""


def exit_status(status: int) -> dict[str, int]:
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"exit": os.WEXITSTATUS(status)}


class Supervisor:
    """The loop between the host and the job."""

    def __init__(self, entries: dict[str, Callable[..., None]]) -> None:
        self.entries = entries
        self.inbox = bytearray()
        self.job: Job | None = None
        self.uid = FIRST_UID
        self.wake, woken = os.pipe()
        for fd in (self.wake, woken):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        os.set_blocking(0, False)

    def serve(self) -> None:
        """Until the host closes its end."""
        tell(b"R", {"clean": True})
        while True:
            poll = select.poll()
            poll.register(0, select.POLLIN)
            poll.register(self.wake, select.POLLIN)
            timeout = None
            if self.job:
                for fd in (self.job.hear, self.job.out, self.job.err):
                    if fd >= 0:
                        poll.register(fd, select.POLLIN)
                if self.job.outbox:
                    poll.register(self.job.tell, select.POLLOUT)
                if not self.job.answered or self.job.role in PROGRAMS:
                    timeout = max(0.0, self.job.deadline - time.monotonic()) * 1000
            ready = {fd for fd, _ in poll.poll(timeout)}
            if 0 in ready:
                self.read_host()
            if self.job:
                self.tend(self.job, ready)
            elif self.wake in ready:
                self.reap(None)  # what the last job left has ended; an unread wake would make poll spin

    def read_host(self) -> None:
        data = os.read(0, CHUNK)
        if not data:
            self.kill_all()
            os._exit(0)
        self.inbox += data
        while len(self.inbox) >= 9:
            head, body = int.from_bytes(self.inbox[1:5], "big"), int.from_bytes(self.inbox[5:9], "big")
            if len(self.inbox) < 9 + head + body:
                return
            kind, header = self.inbox[:1], json.loads(self.inbox[9 : 9 + head])
            payload = bytes(self.inbox[9 + head : 9 + head + body])
            del self.inbox[: 9 + head + body]
            self.command(bytes(kind), header, payload)

    def command(self, kind: bytes, header: dict[str, Any], body: bytes) -> None:
        if kind == b"S" and self.job is None:
            self.uid = FIRST_UID + (self.uid - FIRST_UID + 1) % 10_000
            if header["role"] == "compile":
                commands.open_build()
            self.job = Job(header, body, self.uid, self.entries[header["role"]])
            if header["role"] not in PROGRAMS:
                self.job.give(body, float(header["seconds"]))
            tell(b"A", {})
        elif kind == b"G" and self.job is not None:
            if not self.job.give(body, float(header["seconds"])):
                self.end(self.job, "protocol")
            else:
                tell(b"A", {})
        elif kind == b"K" and self.job is not None:
            self.end(self.job, "stopped")

    def tend(self, job: Job, ready: set[int]) -> None:
        """One turn for the job: pass on, read, time."""
        if job.outbox:
            job.push()
        for name in ("hear", "out", "err"):
            fd = getattr(job, name)
            if fd in ready and not job.drain(fd):
                os.close(fd)
                setattr(job, name, -1)
        if job.role not in PROGRAMS:
            answer = job.answer()
            if answer is not None:
                tell(b"M", {"ms": job.elapsed() * 1000}, answer)
        self.reap(job)
        if job.how:
            self.end(job, job.how)
        elif job.status is not None:
            self.end(job, "exit")
        elif (not job.answered or job.role in PROGRAMS) and job.late():
            self.end(job, "timeout")

    def reap(self, job: Job | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, CHUNK)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if job is not None and pid == job.pid:
                job.status = status

    def kill_all(self) -> None:
        """Kills everything else in this container; no fork can outrun kill(-1)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)

    def end(self, job: Job, how: str) -> None:
        """Stops the job, reports on it, cleans up after it."""
        elapsed = job.elapsed()
        self.kill_all()
        self.wait_all(job)
        for fd in (job.out, job.err):
            job.drain(fd)
        if how == "exit" and job.how:
            how = job.how
        report = {
            "how": how,
            "ms": elapsed * 1000,
            "answered": job.answered,
            "oom": out_of_memory() - job.oom,
            "refused": refused_processes() - job.refused,
            "stderr": bytes(job.stderr).decode("utf-8", "replace"),
            **(exit_status(job.status) if how == "exit" and job.status is not None else {}),
        }
        self.job = None
        job.close()
        tell(b"E", report, bytes(job.stdout))
        sealed = job.role != "compile" or commands.seal_build(job.uid)
        tell(b"R", {"clean": self.clean(job.uid) and sealed})

    def wait_all(self, job: Job) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            if pid == job.pid and job.status is None:
                job.status = status

    def clean(self, uid: int) -> bool:
        """Empties what a job can write to, as the job's own uid; True if nothing is left."""
        if not any(listing(path) for path in WRITABLE) and not messages_left():
            return True
        pid = os.fork()
        if pid == 0:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            for path in WRITABLE:
                with contextlib.suppress(OSError, RecursionError):
                    empty(path)
            os._exit(0)
        end = time.monotonic() + 2.0
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > end:
                self.kill_all()
                os.waitpid(pid, 0)
                return False
            time.sleep(0.002)
        return not any(listing(path) for path in WRITABLE) and not messages_left()


def empty(path: str) -> None:
    """Removes what is in a directory; raises OSError at what cannot be removed."""
    for folder, folders, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            inner = os.path.join(folder, name)
            (os.unlink if os.path.islink(inner) else os.rmdir)(inner)


def messages_left() -> bool:
    """System V objects outlive their processes; a job that made any is not followed by another."""
    return any(len(read_text("/proc/sysvipc/" + kind).splitlines()) > 1 for kind in ("shm", "sem", "msg"))


def supervise(entries: dict[str, Callable[..., None]]) -> tuple[Callable[..., None], dict[str, Any]]:
    """Serves until a fork becomes a job; returns that job, in the child only."""
    try:
        Supervisor(entries).serve()
    except Become as job:
        entry, header = job.args
        return entry, header
    sys.exit(0)
