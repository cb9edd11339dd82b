"""The run directory: what was asked and answered, in SQLite (WAL, synchronous=FULL), bodies in zstd.

A row is durable when `put` returns: one writer thread commits everything that is waiting as one
transaction, so that many small writes share one fsync. Whatever a kill cuts off is owed again. Asks
are written before they are sent, so a request that was paid twice can be counted. One process writes
at a time (a lock file); others may read.

Responses are never overwritten or deleted. Verdicts are keyed by the verifier's digest as well, so a
changed verifier judges again and an unchanged one does not.
"""

from __future__ import annotations

import asyncio
import fcntl
import queue
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any

import msgspec

from tracegen.data import Problem, Request, Response, Verdict
from tracegen.errors import UserError

SCHEMA = """
create table if not exists problems (id text primary key, position integer, body blob) without rowid;
create table if not exists requests (id text primary key, problem text, body blob) without rowid;
create index if not exists requests_of on requests (problem);
create table if not exists asks (request text, session integer, at real);
create table if not exists responses (
    request text primary key, seconds real, received real, size integer, body blob) without rowid;
create table if not exists verdicts (
    trace text, verifier text, body blob, primary key (trace, verifier)) without rowid;
create table if not exists failures (request text, session integer, cause text, message text);
create table if not exists checks (problem text, verifier text, body blob, primary key (problem, verifier))
    without rowid;
create table if not exists sessions (id integer primary key, started real, last real, verifier text);
"""
FILE = "run.sqlite"
Statement = tuple[str, tuple[Any, ...]]


class Store:
    """A run directory. Reads are synchronous; writes are awaited until they are on the disk."""

    def __init__(self, directory: Path, *, write: bool = True) -> None:
        """Open `directory`, made if it is not there. Raises UserError if it cannot be used, or is in use."""
        self.directory = directory
        self._lock: IO[str] | None = None
        self._writer: threading.Thread | None = None
        self._queue: queue.SimpleQueue[tuple[list[Statement], Future[None]] | None] = queue.SimpleQueue()
        self.session = 0
        if write:
            self._prepare()
        elif not (directory / FILE).is_file():
            raise UserError(f"{directory}: not a run directory - give one that `tracegen build` made")
        try:
            self._read = _connect(directory / FILE, write=write)
        except UserError:
            self._unlock()
            raise
        if write:
            self._begin()

    def close(self) -> None:
        """Write what is waiting, and give the run directory back."""
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None
        self._read.close()
        self._unlock()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- writing

    async def put_problems(self, problems: Sequence[Problem]) -> None:
        """Store the recipe's problems in its order; earlier ones stay, but are not the recipe's any more."""
        rows = [(p.id, n, _pack(msgspec.json.encode(p))) for n, p in enumerate(problems)]
        forget: Statement = ("update problems set position = null", ())
        await self._put(
            [forget, *(("insert or replace into problems values (?, ?, ?)", row) for row in rows)]
        )

    async def put_ask(self, request: Request) -> None:
        """Say that a request is about to be sent."""
        body = _pack(msgspec.json.encode(request))
        await self._put(
            [
                ("insert or ignore into requests values (?, ?, ?)", (request.id, request.problem, body)),
                ("insert into asks values (?, ?, ?)", (request.id, self.session, time.time())),
            ]
        )

    async def put_response(self, response: Response) -> None:
        """Keep a raw response; the first one stands if there were two."""
        await self._put([_kept(response)])

    async def adopt(self, known: Sequence[tuple[Request, Response]]) -> None:
        """Keep what another run was answered, so that it is not asked for here."""
        statements: list[Statement] = []
        for request, response in known:
            body = _pack(msgspec.json.encode(request))
            statements.append(
                ("insert or ignore into requests values (?, ?, ?)", (request.id, request.problem, body))
            )
            statements.append(_kept(response))
        await self._put(statements)

    async def put_verdict(self, trace: str, verifier: str, verdict: Verdict) -> None:
        """Keep a verdict; one with outcome `error` is kept out, because it is owed again."""
        body = _pack(msgspec.json.encode(verdict))
        await self._put([("insert or replace into verdicts values (?, ?, ?)", (trace, verifier, body))])

    async def put_check(self, problem: str, verifier: str, verdict: Verdict) -> None:
        """Keep the self-check of a problem's reference."""
        body = _pack(msgspec.json.encode(verdict))
        await self._put([("insert or replace into checks values (?, ?, ?)", (problem, verifier, body))])

    async def put_verifier(self, verifier: str) -> None:
        """Say which verifier this session judges with."""
        await self._put([("update sessions set verifier = ? where id = ?", (verifier, self.session))])

    async def put_failure(self, request: str, cause: str, message: str) -> None:
        """Keep why a request was not answered; it stays owed."""
        row = (request, self.session, cause, message[:500])
        await self._put([("insert into failures values (?, ?, ?, ?)", row)])

    # --- reading

    def problems(self) -> Iterator[Problem]:
        """Every problem of the last recipe, in its order."""
        for (body,) in self._read.execute(
            "select body from problems where position not null order by position"
        ):
            yield msgspec.json.decode(_unpack(body), type=Problem)

    def requests(self) -> Iterator[Request]:
        """Every request that was ever sent."""
        for (body,) in self._read.execute("select body from requests order by problem, id"):
            yield msgspec.json.decode(_unpack(body), type=Request)

    def requests_of(self, problem: str) -> list[Request]:
        """The requests of one problem."""
        found = self._read.execute("select body from requests where problem = ? order by id", (problem,))
        return [msgspec.json.decode(_unpack(body), type=Request) for (body,) in found]

    def response(self, request: str) -> Response | None:
        """The raw response to a request, or None while it is owed."""
        found = self._read.execute(
            "select seconds, received, body from responses where request = ?", (request,)
        ).fetchone()
        return None if found is None else Response(request, _unpack(found[2]), found[0], found[1])

    def verdict(self, trace: str, verifier: str) -> Verdict | None:
        """The verdict of this verifier on a trace."""
        return self._verdict("verdicts where trace", trace, verifier)

    def check(self, problem: str, verifier: str) -> Verdict | None:
        """The self-check of a problem's reference by this verifier."""
        return self._verdict("checks where problem", problem, verifier)

    def verifier(self) -> str:
        """Digest of the verifier of the last session that got so far as to judge."""
        query = "select verifier from sessions where verifier not null order by id desc limit 1"
        found = self._read.execute(query).fetchone()
        return str(found[0]) if found else ""

    def failures(self) -> Counter[str]:
        """Causes of the requests that are still unanswered, each by its last failure."""
        found = self._read.execute(
            "select cause from failures where rowid in (select max(rowid) from failures group by request)"
            " and request not in (select request from responses)"
        )
        return Counter(cause for (cause,) in found)

    def counts(self) -> dict[str, int]:
        """How many requests, asks and responses there are, and how many were asked more than once."""
        one = "select (select count(*) from {}), 0"
        count = {
            t: self._read.execute(one.format(t)).fetchone()[0] for t in ("requests", "asks", "responses")
        }
        twice = "select count(*) from (select request from asks group by request having count(*) > 1)"
        return {**count, "repeated": self._read.execute(twice).fetchone()[0]}

    def paid_twice(self) -> int:
        """Requests that were sent again although their response was already stored: always 0."""
        query = "select count(*) from asks join responses using (request) where asks.at > responses.received"
        return int(self._read.execute(query).fetchone()[0])

    def seconds(self) -> float:
        """Wall seconds of all sessions together, up to each one's last write."""
        return float(
            self._read.execute("select coalesce(sum(last - started), 0) from sessions").fetchone()[0]
        )

    def _verdict(self, place: str, key: str, verifier: str) -> Verdict | None:
        query = f"select body from {place} = ? and verifier = ?"  # noqa: S608 - place is ours
        found = self._read.execute(query, (key, verifier)).fetchone()
        return None if found is None else msgspec.json.decode(_unpack(found[0]), type=Verdict)

    # --- the writer thread

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _prepare(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = (self.directory / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._unlock()
            raise UserError(
                f"{self.directory}: another tracegen is writing there - wait for it, or stop it"
            ) from None
        except OSError as error:
            why = error.strerror or error
            raise UserError(f"{self.directory}: cannot be written: {why} - choose another output") from None

    def _begin(self) -> None:
        self._read.executescript(SCHEMA)
        now = time.time()
        self.session = int(
            self._read.execute("insert into sessions (started, last) values (?, ?)", (now, now)).lastrowid
            or 0
        )
        self._read.commit()
        self._writer = threading.Thread(target=self._write, name="store", daemon=True)
        self._writer.start()

    async def _put(self, statements: list[Statement]) -> None:
        done: Future[None] = Future()
        self._queue.put((statements, done))
        await asyncio.shield(asyncio.wrap_future(done))

    def _write(self) -> None:
        connection = _connect(self.directory / FILE, write=True)
        running = True
        while running:
            waiting = [self._queue.get()]
            while not self._queue.empty():
                waiting.append(self._queue.get())
            running = None not in waiting
            _commit(connection, [item for item in waiting if item is not None], self.session)
        connection.close()


def _commit(
    connection: sqlite3.Connection, jobs: list[tuple[list[Statement], Future[None]]], session: int
) -> None:
    """One transaction for all jobs; a failing one (disk full) is reported to every waiter."""
    try:
        with connection:
            for statements, _ in jobs:
                for sql, row in statements:
                    connection.execute(sql, row)
            connection.execute("update sessions set last = ? where id = ?", (time.time(), session))
    except sqlite3.Error as error:
        for _, done in jobs:
            done.set_exception(
                UserError(f"the run directory cannot be written: {error} - make room, then run again")
            )
    else:
        for _, done in jobs:
            done.set_result(None)


def _kept(response: Response) -> Statement:
    size, body = len(response.body), _pack(response.body)
    row = (response.request, response.seconds, response.received, size, body)
    return "insert or ignore into responses values (?, ?, ?, ?, ?)", row


def _connect(file: Path, *, write: bool) -> sqlite3.Connection:
    try:
        uri = f"{file.resolve().as_uri()}?mode={'rwc' if write else 'ro'}"
        connection = sqlite3.connect(uri, uri=True, timeout=60, check_same_thread=False)
        connection.execute("pragma synchronous = full")
        if write:
            connection.execute("pragma journal_mode = wal")
    except sqlite3.Error as error:
        raise UserError(f"{file}: cannot be opened: {error}") from None
    return connection


def _pack(body: bytes) -> bytes:
    """Four bytes of length, then zstd."""
    import pyarrow

    packed: bytes = pyarrow.Codec("zstd").compress(body, asbytes=True)
    return len(body).to_bytes(4, "big") + packed


def _unpack(packed: bytes) -> bytes:
    import pyarrow

    size = int.from_bytes(packed[:4], "big")
    return bytes(pyarrow.Codec("zstd").decompress(packed[4:], decompressed_size=size, asbytes=True))
