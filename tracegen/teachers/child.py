"""What the child processes of an engine import in place of the caller's script: they end with their parent,
and have its stderr for their stdout.

vLLM's engine outlives a parent that was killed, and keeps its memory. `teachers.vllm` names this module
as the main one while it starts an engine, so every process that is spawned runs it first, as
`__mp_main__`, and so do the processes that those spawn.
"""

import contextlib
import logging
import os
import signal
import threading
import time

SECONDS = 1.0


def end_with(parent: int) -> None:
    """Kill this process when `parent` is no longer its parent; never returns otherwise."""
    while os.getppid() == parent:
        time.sleep(SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def hush() -> None:
    """Drop what vLLM logs before it has set up its logging, which Python would print."""
    logging.getLogger("vllm").addHandler(logging.NullHandler())


if __name__ == "__mp_main__":
    hush()
    with contextlib.suppress(OSError):  # without a stderr
        os.dup2(2, 1)  # what the engine prints is no data of the process that started it
    threading.Thread(target=end_with, args=(os.getppid(),), name="end with parent", daemon=True).start()
