"""The process that every job is forked from; it never holds a byte of any program, tests or answer.

What a fork inherits, a program can read. So the supervisor, through whose memory all messages pass, forks
nothing: it sends a few words (role, uid, limits) and the descriptors of the job's pipes to this process,
which does nothing else. What a job is to hear comes to it through its own pipes, after the fork.

    supervisor → zygote   {role, uid, disk, load}, with descriptors: stdin, stdout, stderr, hear, say, header
                          (a candidate's functions have no header: they hear all through their own pipe)
    zygote → supervisor   pid (of a fork), or pid and wait status (of an end)

`load` names what the job needs, `numpy` or the test `runners`, and is worth loading here, once, before the
fork: numpy takes thirty times as long as the fork. Who does without it forks from a smaller process. That
an earlier program mentioned it is all that a later one can tell.
"""

from __future__ import annotations

import _signal  # `signal` makes an enum of every number, which costs a fork a quarter of a millisecond
import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any, Callable, Iterator

WARM = (
    "abc", "array", "base64", "bisect", "calendar", "cmath", "collections.abc", "contextlib", "copy",
    "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "heapq", "io",
    "itertools", "json", "linecache", "math", "numbers", "operator", "queue", "random", "re", "statistics",
    "string", "struct", "textwrap", "threading", "time", "traceback", "types", "typing", "unicodedata",
)  # fmt: skip
"""Modules that programs import most; a fork then finds them loaded."""
FDS = 6


def serve(door: socket, judges: bool) -> tuple[Callable[..., None], dict[str, Any]]:
    """Forks jobs until the supervisor is gone; returns only in a fork, with what it is to run."""
    with hooks_held():
        import candidate

        for name in WARM:
            importlib.import_module(name)
    if judges:
        import judge

        judge.warm()
    candidate.look_like_a_program()
    os.environ.pop("LD_BIND_NOW", None)  # it has done its work for this process and its forks
    wake, woken = os.pipe()
    for fd in (wake, woken):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.collect()
    gc.freeze()  # a collection in a fork then leaves the pages that it shares with the others alone
    poll = select.poll()
    poll.register(door.fileno(), select.POLLIN)
    poll.register(wake, select.POLLIN)
    door.send(b"0")
    loaders: dict[str, Callable[[], object]] = {"numpy": load_numpy, "runners": load_runners}
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
            report_ends(door)
        if door.fileno() in ready:
            asked, passed, _, _ = door.recvmsg(4096, 256)
            if not asked:
                os._exit(0)
            header = json.loads(asked)
            fds = [
                int.from_bytes(data[at : at + 4], "little")
                for _, _, data in passed
                for at in range(0, len(data), 4)
            ]
            for name in header["load"]:
                if loader := loaders.pop(name, None):
                    loader()
                    gc.collect()
                    gc.freeze()
            pid = os.fork()
            if pid == 0:
                door.detach()
                more = become_job(header, fds)
                return candidate.ENTRIES[header["role"]], more
            for fd in fds:
                os.close(fd)
            door.send(b"%d" % pid)


HOOKS: list[dict[str, Callable[[], object]]] = []
"""What modules want to have called at forks."""


@contextlib.contextmanager
def hooks_held() -> Iterator[None]:
    """Keeps what the modules that are loaded meanwhile want done at forks for `run_hooks`."""
    register = os.register_at_fork
    os.register_at_fork = lambda **wanted: HOOKS.append(wanted)
    try:
        yield
    finally:
        os.register_at_fork = register


def run_hooks() -> None:
    """In a fork: a random state of its own, and everything else that was held for its own forks.

    What `threading` does in a fork is for one that leaves threads behind; here it would find one thread
    with the same identity, and take as long as the fork itself.
    """
    import random
    import threading

    random.seed()
    threading.main_thread()._set_native_id()
    for wanted in HOOKS:
        os.register_at_fork(**wanted)


def load_numpy() -> None:
    """Loads it for the forks to come, each with a random state of its own."""
    import candidate

    held = list(sys.path)
    sys.path += candidate.PACKAGES
    try:
        numpy = importlib.import_module("numpy")
    except ImportError:
        return
    finally:
        sys.path[:] = held
    os.register_at_fork(after_in_child=numpy.random.seed)


def load_runners() -> None:
    """Loads pytest for the forks to come."""
    import runners

    runners.warm()


def report_ends(door: socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        door.send(b"%d %d" % (pid, status))


def become_job(header: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    """In the child: gives up everything but its own pipes; returns the job's header."""
    run_hooks()
    _signal.set_wakeup_fd(-1)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    os.setsid()
    os.nice(19)
    with contextlib.suppress(OSError):
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"1000")
        os.close(score)
    high = max(fds) + 1
    for target, fd in enumerate(fds):
        os.dup2(fd, high + target, inheritable=False)
    for target in range(FDS):
        os.dup2(high + target, target, inheritable=target < 3)
    os.closerange(FDS, max(high + FDS, 64))
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_FSIZE, int(header["disk"])),
    ):
        resource.setrlimit(limit, (value, value))
    os.umask(0o022)
    os.chdir("/tmp")
    uid = int(header["uid"])
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    more = b"{}" if header["role"] == "functions" else read_all(FDS - 1)
    os.close(FDS - 1)
    told: dict[str, Any] = json.loads(more)
    return told


def read_all(fd: int) -> bytes:
    """What a file holds."""
    data = bytearray()
    while part := os.read(fd, 1 << 20):
        data += part
    return bytes(data)
