"""Killable worker processes with heavy modules loaded once, for work on text that may hang or explode.

    host ──socket──> zygote (imports the modules once, never works)
      └───socket──────> worker, worker …   forked by the zygote, one job at a time

Contract
- The host starts one fresh interpreter, so it may have threads, event loops and signal handlers of its
  own; nothing of the host but `sys.path` is inherited, no environment variable with a key either.
- `run` blocks and may be called from any thread; `call` awaits the same. At most `workers` jobs run at
  once; the rest wait, and waiting does not count against their limit.
- The limit is the host's wall clock: at `seconds` the worker gets SIGKILL and is replaced by a fork,
  which costs milliseconds. No alarm is used anywhere.
- A job that runs out of its address space, dies or raises says so (`OutOfMemory`, `Crashed`, `Raised`);
  the next job gets a worker that is not the same process. `Lost` is the pool's own failure.
- A worker is replaced after `recycle` jobs, so that caches do not grow.
- Workers end when the host does, however it ends: at the end of its socket, when the zygote sees its
  parent gone (within a second), and on Linux when the zygote dies.

Functions are named `package.module:function` and get JSON values; the name always comes from tracegen,
never from data. Not covered: Windows.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import importlib
import os
import queue
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from tracegen.data import Struct

START_SECONDS = 120.0
"""How long the zygote may take to import its modules, on a busy machine."""
REPLY_LIMIT = 4 << 20
MEMORY_EXIT = 73
"""Exit status of a worker that had no memory left to say so."""
PACKAGES = {"SYMPY_GROUND_TYPES": "python", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""sympy in pure Python: gmpy2's C code cannot be interrupted and answers in other types."""


_ZYGOTE = (sys.executable, "-P", "-c", "from tracegen.verify import pool; pool._serve_zygote()")


class Done(Struct, tag=True, frozen=True):
    """The function returned `value`, as JSON values."""

    value: Any
    seconds: float


class TimedOut(Struct, tag=True, frozen=True):
    """The worker was killed at the limit."""

    seconds: float


class OutOfMemory(Struct, tag=True, frozen=True):
    """The job needed more address space than a worker has."""


class Crashed(Struct, tag=True, frozen=True):
    """The worker died of the job: `status` is a negative signal number or an exit status."""

    status: int


class Raised(Struct, tag=True, frozen=True):
    """The function raised."""

    kind: str
    message: str


class Lost(Struct, tag=True, frozen=True):
    """The pool's own failure: no worker could be had. The job may be tried again."""

    reason: str


Result = Done | TimedOut | OutOfMemory | Crashed | Raised | Lost


class Pool:
    """`with Pool(preload=("sympy",)) as pool: pool.run("math:factorial", 5, seconds=1.0)`."""

    def __init__(
        self, *, preload: tuple[str, ...] = (), workers: int = 0, memory_mb: int = 2048, recycle: int = 1000
    ) -> None:
        """`preload`: functions `module:function` without arguments, called once in the zygote.

        `workers`: 0 takes one per core that this process may use.
        """
        self.workers = workers or cores()
        self._zygote = _Zygote(preload, memory_mb)
        self._recycle = recycle
        self._slots: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(self.workers):
            self._slots.put(None)
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the zygote and return at once; the first job waits until it is ready."""
        self._zygote.start()

    def close(self) -> None:
        """Kill every worker and wait until they are gone. Jobs that still run come back `Lost`."""
        self._zygote.close()
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True, cancel_futures=True)
        idle = []
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(self._slots.get_nowait())
        for worker in idle:
            if worker is not None:
                worker.discard()
            self._slots.put(None)

    def __enter__(self) -> Pool:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def call(self, function: str, *args: Any, seconds: float) -> Result:
        """`run`, awaited. Cancelling the awaiting task leaves the job to end at its limit."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="tracegen-pool")
            threads = self._threads
        work = asyncio.get_running_loop().run_in_executor(
            threads, lambda: self.run(function, *args, seconds=seconds)
        )
        return await work

    def run(self, function: str, *args: Any, seconds: float) -> Result:
        """Call `function(*args)` in a worker; never raises for what the job does."""
        job = msgspec.json.encode([function, args])
        worker = self._slots.get()
        try:
            for _ in range(2):  # a zygote that was killed from outside is started once more
                try:
                    worker = worker or self._zygote.fork()
                    result = worker.run(job, seconds)
                except _ZygoteLost as error:
                    worker, result = None, Lost(reason=str(error))
                if not isinstance(result, Lost) or self._zygote.closed:
                    break
                worker = None
        except BaseException:  # whatever interrupts the wait (a host's own alarm): the job still runs
            if worker is not None:
                worker.discard()
            self._slots.put(None)
            raise
        if worker is not None and (not isinstance(result, Done | Raised) or worker.jobs >= self._recycle):
            worker.discard()
            worker = None
        self._slots.put(worker)
        return result


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0)) or 1
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


# --- the host's side -------------------------------------------------------------------------------


def _search_path() -> list[str]:
    """Where this process finds modules, so that workers find the same."""
    return [path or str(Path.cwd()) for path in sys.path]


class _ZygoteLost(Exception):
    """The zygote does not answer."""


class _Zygote:
    """The process that forks workers; started on demand, started again if it was killed."""

    def __init__(self, preload: tuple[str, ...], memory_mb: int) -> None:
        self.closed = False
        self._settings = msgspec.json.encode([preload, memory_mb, _search_path()])
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = False

    def start(self) -> None:
        with self._lock:
            self._start()

    def _start(self) -> socket.socket:
        if self.closed:
            raise _ZygoteLost("the pool is closed")
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair()
        keep = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
        environment = {name: os.environ[name] for name in keep if name in os.environ} | PACKAGES
        environment["PYTHONPATH"] = os.pathsep.join(_search_path())
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
                [*_ZYGOTE, str(theirs.fileno()), self._settings.decode()],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C in a terminal is for the host alone
            )
        except OSError as error:
            ours.close()
            raise _ZygoteLost(f"cannot start {sys.executable}: {error}") from error
        finally:
            theirs.close()
        self._control, self._ready = ours, False
        return ours

    def fork(self) -> _Worker:
        """A new worker. Raises _ZygoteLost."""
        with self._lock:
            control = self._start()
            try:
                self._await_ready(control)
                ours, theirs = socket.socketpair()
                with theirs:
                    socket.send_fds(control, [b"F"], [theirs.fileno()])
                (pid,) = struct.unpack("!q", _receive(control, 8, time.monotonic() + START_SECONDS))
            except (OSError, EOFError) as error:
                self._drop()
                raise _ZygoteLost(f"the math workers cannot be started: {error}") from error
        return _Worker(self, ours, pid)

    def _await_ready(self, control: socket.socket) -> None:
        if self._ready:
            return
        (length,) = struct.unpack("!I", _receive(control, 4, time.monotonic() + START_SECONDS))
        failure = _receive(control, length, time.monotonic() + START_SECONDS).decode(errors="replace")
        if failure:
            raise OSError(failure)
        self._ready = True

    def reap(self, pid: int, control: socket.socket | None) -> int | None:
        """Kill worker `pid` if it lives; its status as subprocess gives it, None if the zygote is gone."""
        with self._lock:
            if self._control is None or self._control is not control:
                return None
            try:
                self._control.sendall(b"K" + struct.pack("!q", pid))
                (status,) = struct.unpack("!q", _receive(self._control, 8, time.monotonic() + START_SECONDS))
            except (OSError, EOFError):
                self._drop()
                return None
        return int(status)

    @property
    def control(self) -> socket.socket | None:
        return self._control

    def _drop(self) -> None:
        """Forget a zygote that does not answer; its workers end with it."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()
            self._process.wait()
        self._control = self._process = None

    def close(self) -> None:
        with self._lock:
            self.closed = True
            if self._control is not None:
                self._control.close()
                self._control = None
            if self._process is not None:
                try:
                    self._process.wait(timeout=5.0)
                except subprocess.TimeoutExpired:  # still importing
                    self._process.kill()
                    self._process.wait()
                self._process = None


class _Worker:
    """The host's end of one worker."""

    def __init__(self, zygote: _Zygote, channel: socket.socket, pid: int) -> None:
        self.jobs = 0
        self._zygote = zygote
        self._control = zygote.control
        self._channel = channel
        self._pid = pid

    def run(self, job: bytes, seconds: float) -> Result:
        self.jobs += 1
        started = time.monotonic()
        deadline = started + seconds
        try:
            self._channel.settimeout(seconds)
            self._channel.sendall(struct.pack("!I", len(job)) + job)
            (length,) = struct.unpack("!I", _receive(self._channel, 4, deadline))
            reply = msgspec.json.decode(_receive(self._channel, min(length, REPLY_LIMIT), deadline))
        except TimeoutError:
            if time.monotonic() < deadline:  # not ours: an alarm of the host
                raise
            self.discard()
            return TimedOut(seconds=time.monotonic() - started)
        except (ConnectionError, EOFError):
            return self._death()
        match reply:
            case ["done", value]:
                return Done(value=value, seconds=time.monotonic() - started)
            case ["raised", str(kind), str(message)]:
                return Raised(kind=kind, message=message)
            case _:
                return OutOfMemory()

    def _death(self) -> Result:
        status = self.discard()
        if status is None:
            return Lost(reason="the math workers were killed from outside")
        return OutOfMemory() if status == MEMORY_EXIT else Crashed(status=status)

    def discard(self) -> int | None:
        """Kill the process and forget it; its exit status, or None where that is unknown."""
        if self._pid == 0:
            return None
        pid, self._pid = self._pid, 0
        status = self._zygote.reap(pid, self._control)
        self._channel.close()
        return status


def _receive(channel: socket.socket, length: int, deadline: float | None = None) -> bytes:
    """Exactly `length` bytes. Raises TimeoutError at `deadline` (monotonic), EOFError at the end."""
    parts: list[bytes] = []
    while length:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            channel.settimeout(left)
        part = channel.recv(min(length, 1 << 16))
        if not part:
            raise EOFError("the other side is gone")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


# --- the zygote's side -----------------------------------------------------------------------------


def _serve_zygote() -> None:
    """Main of the zygote: load, then fork and reap on demand until the host is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    preload, memory_mb, paths = msgspec.json.decode(sys.argv[2])
    sys.path[:] = paths
    host = os.getppid()
    sys.set_int_max_str_digits(0)  # long numbers cost time, which the host limits; they are not errors
    failure = b""
    try:
        for name in preload:
            _function(name)()
    except Exception as error:  # any failure to load is told to the host, which knows what to do
        failure = f"{type(error).__name__}: {error}".encode()
    control.sendall(struct.pack("!I", len(failure)) + failure)
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    try:
        while os.getppid() == host:
            if waiting.poll(1000):
                _obey(control, children, memory_mb)
    except (OSError, EOFError):
        pass
    for child in children:
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
    os._exit(0)


def _obey(control: socket.socket, children: set[int], memory_mb: int) -> None:
    """One command of the host: fork a worker, or kill and reap one."""
    command, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if command == b"F":
        child = os.fork()
        if child == 0:
            control.close()
            _serve_worker(socket.socket(fileno=descriptors[0]), memory_mb)
        os.close(descriptors[0])
        children.add(child)
        control.sendall(struct.pack("!q", child))
    elif command == b"K":
        (child,) = struct.unpack("!q", _receive(control, 8, time.monotonic() + START_SECONDS))
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        children.discard(child)
        control.sendall(struct.pack("!q", os.waitstatus_to_exitcode(status)))
    else:
        raise EOFError("the host is gone")


def _serve_worker(channel: socket.socket, memory_mb: int) -> None:
    """Main of a worker: jobs, one after the other, until the host closes the socket."""
    try:
        _die_with_parent()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(ValueError, OSError):  # macOS refuses an address-space limit
            resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
        while True:
            (length,) = struct.unpack("!I", _receive(channel, 4))
            reply = _work(_receive(channel, length))
            channel.sendall(struct.pack("!I", len(reply)) + reply)
    except MemoryError:
        os._exit(MEMORY_EXIT)
    except (OSError, EOFError):
        os._exit(0)
    finally:
        os._exit(1)


def _work(job: bytes) -> bytes:
    """Call what the job names; its reply as JSON."""
    try:
        name, args = msgspec.json.decode(job)
        return msgspec.json.encode(["done", _function(name)(*args)])
    except MemoryError:
        return b'["memory"]'
    except Exception as error:  # the worker must outlive what third-party code raises on odd text
        return msgspec.json.encode(["raised", type(error).__name__, str(error)[:2000]])


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _die_with_parent() -> None:
    """Linux: SIGKILL when the zygote, our parent, is gone."""
    if sys.platform == "linux":
        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)
