"""Durable responses per second: the store's group commit, against one commit a row and a bare file.

Prints ratios of figures measured in this run. Every row of every arm is on the disk when it counts.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tracegen.data import Response
from tracegen.store import Store

ROWS = 600
IN_FLIGHT = 64
BODY = os.urandom(4_000) + b"the same words again and again " * 500
"""About 20 KB, which zstd halves and more, as it does with text."""


def grouped(folder: Path) -> None:
    """The store, with 64 writers at once."""

    async def write(store: Store) -> None:
        gate = asyncio.Semaphore(IN_FLIGHT)

        async def one(number: int) -> None:
            async with gate:
                await store.put_response(Response(f"r{number}", BODY, 0.0, 0.0))

        await asyncio.gather(*map(one, range(ROWS)))

    with Store(folder) as store:
        asyncio.run(write(store))


def one_by_one(folder: Path) -> None:
    """SQLite with the same settings, a transaction for each row."""
    connection = sqlite3.connect(folder / "one.sqlite")
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute("create table responses (request text primary key, body blob) without rowid")
    for number in range(ROWS):
        with connection:
            connection.execute("insert into responses values (?, ?)", (f"r{number}", BODY))
    connection.close()


def bare_file(folder: Path) -> None:
    """The limit: append and fdatasync, a sync for each row."""
    with (folder / "rows").open("wb") as stream:
        for _ in range(ROWS):
            stream.write(BODY)
            stream.flush()
            os.fdatasync(stream.fileno())


def seconds(arm: Callable[[Path], None]) -> float:
    """The faster of two runs."""
    times = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            arm(Path(folder))
            times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    """Print each arm's rate, and the store's ratio to it."""
    ours = seconds(grouped)
    print(f"store, group commit   {ROWS / ours:8.0f} rows/s")
    for name, arm in (("one commit a row", one_by_one), ("bare file, fdatasync", bare_file)):
        took = seconds(arm)
        print(f"{name:20}  {ROWS / took:8.0f} rows/s, the store is {took / ours:.1f} times as fast")


if __name__ == "__main__":
    main()
