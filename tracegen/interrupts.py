"""Ctrl-C once is a request; twice is an end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def first_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Inside, the running loop's first SIGINT or SIGTERM calls `stop`; the second one ends the program."""
    loop = asyncio.get_running_loop()

    def release() -> None:
        for name in SIGNALS:
            loop.remove_signal_handler(name)

    def first() -> None:
        release()
        stop()

    for name in SIGNALS:
        loop.add_signal_handler(name, first)
    try:
        yield
    finally:
        release()
