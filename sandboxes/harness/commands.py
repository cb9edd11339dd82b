"""Programs of any language: a compile job fills `/build` once, and command jobs run what it made.

What to execute comes from the language's description on the host; nothing here knows a language. `/build`
belongs to root and only the compile job may write to it. Jobs that run are of other uids, and find in it
what they cannot change. A container in which something was compiled is never given to another candidate.
"""

from __future__ import annotations

import os
import resource
import signal
import stat
import sys

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from typing import Any

BUILD = "/build"
NOT_FOUND = 127


def open_build() -> None:
    """In the supervisor: the next job may write to `/build`, which nothing was compiled in before."""
    if os.listdir(BUILD):
        raise OSError("this container has compiled a program already")
    os.chmod(BUILD, 0o1777)


def seal_build(uid: int) -> bool:
    """In the supervisor, after the compile job: closes `/build`; True if no other uid can change it."""
    os.chmod(BUILD, 0o755)
    for folder, folders, files in os.walk(BUILD):
        for name in folders + files:
            found = os.lstat(os.path.join(folder, name))
            plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
            if not plain or found.st_uid != uid or found.st_mode & 0o7022:
                return False
    return True


def lay_out(header: dict[str, Any]) -> None:
    """Writes the files that a job finds in its folder, `/tmp`."""
    for name, text in header.get("files", {}).items():
        with open(name, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)


def run_compile(header: dict[str, Any]) -> None:
    """The program's file, and the compiler on it; its messages go to stdout, whose head is kept."""
    os.closerange(3, 5)
    os.dup2(1, 2)
    os.chdir(BUILD)
    lay_out(header)
    if not header["argv"]:
        sys.exit(0)
    become_command(header)


def run_command(header: dict[str, Any]) -> None:
    """One run of a program; the arguments after its own are the job's."""
    os.closerange(3, 5)
    lay_out(header)
    become_command(header)


def become_command(header: dict[str, Any]) -> None:
    """Replaces this process; signals and the stack as any program finds them."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if header.get("stack"):
        _, hard = resource.getrlimit(resource.RLIMIT_STACK)
        resource.setrlimit(resource.RLIMIT_STACK, (header["stack"], hard))
    try:
        os.execve(header["argv"][0], header["argv"], {**os.environ, **header.get("environment", {})})
    except OSError as error:
        os.write(2, f"{header['argv'][0]}: {error.strerror}\n".encode())
        os._exit(NOT_FOUND)
