"""PID 1 of a sandbox: has one job at a time forked under another uid, limits it, reports on it, cleans up.

Frames, both ways: kind (1 byte), length of header and of body (4 bytes each), header (JSON), body. A body
of messages is a sequence of length (4 bytes) and message.

    host → supervisor   S start {role, name, seconds, output, disk}, body: its first message or stdin;
                          with {total} too: messages, after whose last answer it is stopped
                        G give {seconds, total}, body: messages, which the job answers one after another;
                          with {apart} it sees none before it has answered the one before
                        K stop
                        B beat: the host is there
    supervisor → host   R ready {}                     the zygote is up
                        M messages {n, ms}, body       the job's next n answers
                        E ended {…, clean, fresh}, body   the job is over: how, and the head of its stdout

A host that has said nothing for a while is gone, even where nobody closed its line (an engine that was
killed itself leaves such containers, and forgets them): then everything here ends. A waiting host beats;
while a job runs it may be silent for as long as the job's header says (`quiet`).

The clock, the counters of the cgroup and the wait status are read here, under a uid that the job
cannot signal, trace or write to. The clock counts wall seconds since the message before was answered, less
those that the job stood runnable in the kernel's queue without getting a core, so that a busy host is not
held against it; it never gets more than `PATIENCE` times its limit.

What one program could leave for the next, and why it does not. Each job has a uid that no job of this
container had before, and is forked from a process that never held a byte of any program (the zygote).
After a job every process but these two is gone; `/tmp`, `/dev/shm` and `/dev/mqueue` are empty, and the
job can write nowhere else; there is no System V object, no socket (bound, listening or lingering), and the
counters of the cgroup are read as differences. `clean` says that this was seen, after emptying what had
to be emptied: the same program may run its next test. `fresh` says that there was nothing to empty
or kill, and no limit was hit: only then may another program follow. What remains to be learned from
inside is how many jobs there were (uids and pids count up), and how much memory the largest took. What a
compile job made in `/build` stays, for the jobs after it to run (see commands), and spoils the container.
"""

from __future__ import annotations

import _socket
import contextlib
import json
import os
import select
import signal
import sys
import time

import commands
from channel import NONCE, pack, split

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from typing import Any, NoReturn

CHUNK = 1 << 16
TAIL = 4096
PATIENCE = 3.0
BURIAL = 1.0
"""Seconds for a killed job to be buried."""
FLUSH_BYTES = 1 << 16
FLUSH_SECONDS = 0.01
"""How long answers wait for more of them, while the job works on the next."""
MANY = 1
PAUSE = 0.001
"""Seconds for which answers are left in the pipe where more than `MANY` are still to come."""
SHORT = 0.05
"""Seconds that are not worth asking the kernel how many of them were spent in its queue."""
WRITABLE = ("/tmp", "/dev/shm", "/dev/mqueue")
SOCKETS = ("/proc/net/sockstat", "/proc/net/sockstat6")
"""Counts of every kind of socket, lingering ones too; the tables themselves take milliseconds to read."""
TASKS = ("/sys/fs/cgroup/pids/pids.current", "/sys/fs/cgroup/pids.current")
"""How many processes and threads the kernel counts in this container (cgroup v1, v2)."""
FIRST_UID = 20_000
PROGRAMS = ("program", "compile", "command")
"""Roles that read standard input, print and end; the others talk over the channel."""


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def frame(kind: bytes, header: dict[str, Any], body: bytes = b"") -> bytes:
    head = json.dumps(header).encode()
    return kind + len(head).to_bytes(4, "big") + len(body).to_bytes(4, "big") + head + body


def tell(kind: bytes, header: dict[str, Any], body: bytes = b"") -> None:
    write_all(1, frame(kind, header, body))


def read_bytes(path: str) -> bytes:
    """A small file of the kernel's; empty where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(fd, CHUNK)
    except OSError:
        return b""
    finally:
        os.close(fd)


KEPT: dict[str, int] = {}
"""Files of the kernel's that are read for every job stay open: most of a small read is finding the file."""


def read_kept(path: str) -> bytes:
    """The same as `read_bytes`, of a file that is always the same one."""
    try:
        if path not in KEPT:
            KEPT[path] = os.open(path, os.O_RDONLY)
        return os.pread(KEPT[path], CHUNK, 0)
    except OSError:
        return b""


def listing(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def counter(path: str, key: bytes) -> int:
    """The number after `key` in a cgroup file; 0 where there is none."""
    for line in read_kept(path).splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == key:
            return int(words[1])
    return 0


def out_of_memory() -> int:
    """Processes that the kernel killed for memory in this container (cgroup v1, else v2)."""
    groups = "/sys/fs/cgroup"
    return counter(groups + "/memory/memory.oom_control", b"oom_kill") or counter(
        groups + "/memory.events", b"oom_kill"
    )


def refused_processes() -> int:
    """Forks that the pids limit refused in this container."""
    return counter("/sys/fs/cgroup/pids/pids.events", b"max") or counter("/sys/fs/cgroup/pids.events", b"max")


def in_memory(data: bytes) -> int:
    """A descriptor from which `data` can be read."""
    fd = os.memfd_create("told")
    write_all(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def exit_status(status: int) -> dict[str, int]:
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"exit": os.WEXITSTATUS(status)}


class Become(BaseException):
    """Unwinds a fork to the top of the main module, where the zygote lives on a clean stack."""


class Zygote:
    """The process that jobs are forked from."""

    def __init__(self) -> None:
        self.door, far = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            signal.set_wakeup_fd(-1)
            self.door.close()
            nothing = os.open("/dev/null", os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)
            os.closerange(2 + 1, far.fileno())
            os.closerange(far.fileno() + 1, 1024)
            raise Become(far)
        far.close()
        if not self.door.recv(64):  # it has loaded its modules
            raise EOFError("the zygote did not come up")

    def fork(self, request: dict[str, Any], fds: list[int]) -> int:
        """A new job's pid."""
        packed = b"".join(fd.to_bytes(4, "little") for fd in fds)
        self.door.sendmsg([json.dumps(request).encode()], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])
        while True:
            told = self.door.recv(64).split()
            if len(told) == 1:
                return int(told[0])
            if not told:
                raise EOFError("the zygote ended")


def processor_seconds() -> float:
    """What this container has used of the processor; 0 where that is not told."""
    groups = "/sys/fs/cgroup"
    nanoseconds = read_bytes(groups + "/cpuacct/cpuacct.usage").strip()
    return int(nanoseconds or 0) / 1e9 or counter(groups + "/cpu.stat", b"usage_usec") / 1e6


class Job:
    """One forked job and the pipes to it."""

    def __init__(self, header: dict[str, Any], body: bytes, uid: int, zygote: Zygote) -> None:
        self.role, self.uid = header["role"], uid
        self.output = int(header["output"])
        self.quiet = float(header.get("quiet", 0.0))
        """Seconds for which the host may be silent meanwhile."""
        self.brief = "total" in header
        """It is stopped after the last answer to its first messages."""
        self.said = bytearray()
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.printed = 0
        self.how = ""
        self.status: int | None = None
        self.outbox = memoryview(b"")
        self.later: list[bytes] = []
        """Messages that the job may not see yet, the next one last."""
        self.nonces: list[bytes] = []
        """Of the messages that wait for their answer, the next one last."""
        self.answers: list[bytes] = []
        self.held = 0
        """Bytes of answers that have not been passed on."""
        self.flush = self.pause = 0.0
        argv = header.get("argv") or ()
        self.missing = bool(argv) and not os.path.exists(argv[0])
        """Its program is not in the image; what the job says itself does not count."""
        self.oom, self.refused = out_of_memory(), refused_processes()
        self.used = self.used_asked = self.used_mark = processor_seconds()
        """What the container had used when the job began, was asked last, and when answers were passed on."""
        hear, self.tell = os.pipe()
        self.hear, say = os.pipe()
        self.out, out = os.pipe()
        self.err, err = os.pipe()
        for end in (out, err):
            os.fchmod(end, 0o622)  # so that the job can open /dev/stdout
        stdin = in_memory(body) if self.role in PROGRAMS else os.open("/dev/null", os.O_RDONLY)
        told = stdin if self.role == "functions" else in_memory(json.dumps(header).encode())
        fds = [stdin, out, err, hear, say, told]
        self.asked = self.mark = self.began = time.monotonic()
        self.waited = 0.0
        self.seconds = self.total = float(header["seconds"])
        self.deadline = self.asked + self.seconds
        bare = self.role != "functions" and b"np." in body  # tests may use it without an import
        numpy = bare or b"numpy" in body or "numpy" in header.get("source", "")
        load = ["numpy"] * numpy + ["runners"] * header.get("runners", False)
        request = {"role": self.role, "uid": uid, "disk": header["disk"], "load": load}
        self.pid = zygote.fork(request, fds)
        for fd in {*fds}:
            os.close(fd)
        for fd in (self.hear, self.out, self.err, self.tell):
            os.set_blocking(fd, False)

    @property
    def timed(self) -> bool:
        """Its clock runs."""
        return bool(self.nonces) or self.role in PROGRAMS

    def give(self, messages: list[bytes], seconds: float, total: float, *, apart: bool) -> bool:
        """Hands over messages and starts the clock; False where the job has spoken out of turn."""
        self.drain(self.hear)
        if self.said or self.nonces:
            return False
        self.nonces = [os.urandom(NONCE) for _ in messages]
        packed = [
            (len(message) + NONCE).to_bytes(4, "big") + nonce + message
            for message, nonce in zip(messages, self.nonces, strict=True)
        ]
        self.later = packed[:0:-1] if apart else []
        self.outbox = memoryview(packed[0] if apart else b"".join(packed))
        self.nonces.reverse()
        self.asked = self.mark = self.began = time.monotonic()
        self.seconds, self.total = seconds, total
        self.deadline = self.asked + min(seconds, total)
        self.push()
        return True

    def in_queue(self) -> float:
        """Seconds that the job's threads have stood runnable without a core, the longest of them."""
        longest = 0
        for thread in listing(f"/proc/{self.pid}/task"):
            words = read_bytes(f"/proc/{self.pid}/task/{thread}/schedstat").split()
            longest = max(longest, int(words[1]) if len(words) == 3 else 0)
        return longest / 1e9

    def elapsed(self, since: float, used: float) -> float:
        """Seconds since then, less those spent waiting for a core, where that is worth asking.

        `used` is what the container had used of the processor then.

        A compiler is a chain of processes, each with its own queueing; of it the processor's seconds count.
        What the container itself has burnt is no waiting: idle threads would queue behind the busy ones.
        """
        wall = time.monotonic() - since
        if wall < SHORT:
            return wall
        burnt = processor_seconds() - used
        if self.role == "compile":
            return max(burnt, wall / PATIENCE)
        return max(wall - (self.in_queue() - self.waited), min(burnt, wall), wall / PATIENCE)

    def late(self) -> bool:
        """The limit has passed; where only the wall clock says so, the deadline moves on."""
        now = time.monotonic()
        if now < self.deadline:
            return False
        left = min(
            self.seconds - self.elapsed(self.asked, self.used_asked),
            self.total - self.elapsed(self.began, self.used),
        )
        if left <= 0:
            return True
        self.deadline = now + max(left, 0.01)
        return False

    def push(self) -> None:
        """Writes as much of the messages as the pipe takes."""
        try:
            while self.outbox:
                self.outbox = self.outbox[os.write(self.tell, self.outbox[:CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:
            self.outbox = memoryview(b"")

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
                self.take()
                if len(self.said) > self.output + NONCE + 4:
                    self.how = self.how or "output"
                if self.how or self.held > 16 * FLUSH_BYTES:
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

    def take(self) -> None:
        """Moves whole answers from what was said to `answers`; marks what is not one."""
        said, at = self.said, 0
        while len(said) - at >= 4 and not self.how:
            size = int.from_bytes(said[at : at + 4], "big")
            if size < NONCE or size > self.output + NONCE:
                self.how = "protocol" if size < NONCE else "output"
            elif len(said) - at < size + 4:
                break
            elif not self.nonces or said[at + 4 : at + 4 + NONCE] != self.nonces[-1]:
                self.how = "protocol"
            else:
                self.nonces.pop()
                self.answers.append(bytes(said[at + 4 + NONCE : at + 4 + size]))
                self.held += size
                at += size + 4
        if at:
            del said[:at]
            self.asked, self.used_asked = time.monotonic(), processor_seconds()
            self.deadline = min(self.asked + self.seconds, self.began + self.total)
            self.flush = self.flush or self.asked + FLUSH_SECONDS
            self.pause = self.asked + PAUSE if len(self.nonces) > MANY and not self.later else 0.0
            if self.later:
                self.outbox = memoryview(self.later.pop())
                self.push()
        if said and not self.nonces:
            self.how = self.how or "protocol"

    def pass_on(self) -> bytes:
        """The frame with the answers so far."""
        ms = self.elapsed(self.mark, self.used_mark) * 1000
        if ms >= SHORT * 1000:
            self.waited = self.in_queue()
        self.mark, self.used_mark = time.monotonic(), processor_seconds()
        told = frame(b"M", {"n": len(self.answers), "ms": ms}, pack(self.answers))
        self.answers, self.held, self.flush = [], 0, 0.0
        return told

    def close(self) -> None:
        for fd in (self.hear, self.tell, self.out, self.err):
            if fd >= 0:
                os.close(fd)


class Supervisor:
    """The loop between the host and the job."""

    def __init__(self, silence: float) -> None:
        self.silence = silence
        self.heard = time.monotonic()
        self.inbox = bytearray()
        self.job: Job | None = None
        self.uid = FIRST_UID
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self.zygote = Zygote()
        self.spoiled = False
        """A process had to be killed that no job should have left: only the same program may go on."""
        self.wake, woken = os.pipe()
        for fd in (self.wake, woken):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        os.set_blocking(0, False)
        self.sockets = sockets()

    def serve(self) -> None:
        """Until the host closes its end."""
        tell(b"R", {})
        while True:
            self.turn()

    def turn(self) -> None:
        """Waits for the host, the job or the clock, and does what is due."""
        job = self.job
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        poll.register(self.zygote.door.fileno(), select.POLLIN)
        now = time.monotonic()
        gone = self.heard + max(self.silence, job.quiet if job else 0.0)
        due = [gone]
        if now >= gone:
            self.leave()
        if job:
            paused = job.pause > now
            for fd in (-1 if paused else job.hear, job.out, job.err):
                if fd >= 0:
                    poll.register(fd, select.POLLIN)
            if job.outbox:
                poll.register(job.tell, select.POLLOUT)
            due += [job.deadline] if job.timed else []
            due += ([job.flush] if job.flush else []) + ([job.pause] if paused else [])
        ready = {fd for fd, _ in poll.poll(max(0.0, min(due) - now) * 1000)}
        if self.wake in ready:
            self.reap()
        if self.zygote.door.fileno() in ready:
            self.read_zygote()
        if 0 in ready:
            self.read_host()
        if self.job and self.job is job:
            self.tend(job, ready)

    def read_host(self) -> None:
        data = os.read(0, CHUNK)
        if not data:
            self.leave()
        self.heard = time.monotonic()
        self.inbox += data
        while len(self.inbox) >= 9:
            head, body = int.from_bytes(self.inbox[1:5], "big"), int.from_bytes(self.inbox[5:9], "big")
            if len(self.inbox) < 9 + head + body:
                return
            kind, header = bytes(self.inbox[:1]), json.loads(self.inbox[9 : 9 + head])
            payload = bytes(self.inbox[9 + head : 9 + head + body])
            del self.inbox[: 9 + head + body]
            self.command(kind, header, payload)

    def leave(self) -> NoReturn:
        """Ends the container."""
        self.kill_all()
        os._exit(0)

    def command(self, kind: bytes, header: dict[str, Any], body: bytes) -> None:
        if kind == b"S" and self.job is None:
            self.uid += 1
            if header["role"] == "compile":
                commands.open_build()
                self.spoiled = True
            self.job = Job(header, body, self.uid, self.zygote)
            if header["role"] not in PROGRAMS:
                seconds = float(header["seconds"])
                messages = split(body) if self.job.brief else [body]
                total, apart = float(header.get("total", seconds)), header.get("apart", False)
                self.job.give(messages, seconds, total, apart=apart)
        elif kind == b"G" and self.job is not None:
            seconds, total, apart = float(header["seconds"]), float(header["total"]), bool(header["apart"])
            if not self.job.give(split(body), seconds, total, apart=apart):
                self.end(self.job, "protocol")
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
        if job.brief and job.answers and not job.nonces and not job.how:
            self.end(job, "stopped")
            return
        if job.answers and (
            not job.nonces or job.how or job.held > FLUSH_BYTES or time.monotonic() >= job.flush
        ):
            write_all(1, job.pass_on())
        if job.how:
            self.end(job, job.how)
        elif job.status is not None:
            self.end(job, "exit")
        elif job.timed and job.late():
            self.end(job, "timeout")

    # --- the end of a job --------------------------------------------------------------------------

    def read_zygote(self) -> None:
        """Notes how the job ended."""
        told = self.zygote.door.recv(64).split()
        if len(told) == 2 and self.job and int(told[0]) == self.job.pid:
            self.job.status = int(told[1])
        elif not told:
            self.lose_zygote()

    def lose_zygote(self) -> None:
        """It died of what a job did to the container, such as taking all memory: start another one."""
        self.spoiled = True
        if self.job and self.job.status is None:
            self.job.status = signal.SIGKILL
        self.zygote.door.close()
        self.kill_all()
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        self.zygote = Zygote()

    def reap(self) -> None:
        """Buries orphans."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, CHUNK)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def kill_all(self) -> None:
        """Kills everything else in this container, the zygote too; no fork can outrun kill(-1)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)

    def strangers(self) -> bool:
        """Processes that are neither this one, nor the zygote, nor the job's dead."""
        if any(read_kept(path).strip() == b"2" for path in TASKS):
            return False
        return any(name.isdigit() and int(name) not in (1, self.zygote.pid) for name in listing("/proc"))

    def stop(self, job: Job) -> None:
        """Kills the job and everything that it started."""
        if job.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(job.pid, signal.SIGKILL)
        end = time.monotonic() + BURIAL
        while job.status is None:
            if select.select([self.zygote.door], [], [], max(0.0, end - time.monotonic()))[0]:
                self.read_zygote()
            elif time.monotonic() > end:  # one of its children traces it, and does not bury it
                self.lose_zygote()
        if self.strangers():
            self.reap()  # orphans that are only waiting to be buried are no one's fault
        if self.strangers():
            self.lose_zygote()

    def end(self, job: Job, how: str) -> None:
        """Stops the job, cleans up after it, reports on it."""
        elapsed = job.elapsed(job.mark, job.used_mark)
        self.stop(job)
        for fd in (job.hear if how == "exit" else -1, job.out, job.err):
            job.drain(fd)
        if how == "exit" and job.how:
            how = job.how
        answers = job.pass_on() if job.answers else b""
        job.close()
        self.job = None
        oom, refused = out_of_memory() - job.oom, refused_processes() - job.refused
        fresh = self.untouched() and not self.spoiled
        sealed = job.role != "compile" or commands.seal_build(job.uid)
        well = how == "stopped" or (how == "exit" and job.status == 0)
        report = {
            "how": how,
            "ms": elapsed * 1000,
            "answered": not job.nonces,
            "oom": oom,
            "refused": refused,
            "missing": job.missing,
            "stderr": bytes(job.stderr).decode("utf-8", "replace"),
            "clean": (fresh or self.clean(job.uid)) and sealed,
            "fresh": fresh and well and not oom and not refused,
            **(exit_status(job.status) if how == "exit" and job.status is not None else {}),
        }
        write_all(1, answers + frame(b"E", report, bytes(job.stdout)))

    def untouched(self) -> bool:
        """Nothing is left of the job: no file, no System V object, no socket."""
        if any(listing(path) for path in WRITABLE) or messages_left():
            return False
        return sockets() == self.sockets

    def clean(self, uid: int) -> bool:
        """Empties what a job can write to, as the job's own uid; True if nothing is left."""
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
                os.kill(pid, signal.SIGKILL)
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


def sockets() -> list[tuple[bytes, bytes, bytes]]:
    """What the kernel counts of this container's own sockets (`alloc`, `orphan` and `mem` are the host's)."""
    found = []
    for line in b"".join(map(read_kept, SOCKETS)).splitlines():
        kind, *words = line.split()
        pairs = zip(words[::2], words[1::2], strict=False)
        found += [(kind, name, number) for name, number in pairs if name in (b"used", b"inuse", b"tw")]
    return found


def messages_left() -> bool:
    """System V objects outlive their processes; a job that made any is not followed by another."""
    return any(read_kept("/proc/sysvipc/" + kind).count(b"\n") > 1 for kind in ("shm", "sem", "msg"))


def supervise(silence: float) -> _socket.socket:
    """Serves until the host is gone, or silent for so many seconds.

    Returns the zygote's end of the line, in the zygote only.
    """
    try:
        Supervisor(silence).serve()
    except Become as fork:
        door: _socket.socket = fork.args[0]
        return door
    sys.exit(0)
