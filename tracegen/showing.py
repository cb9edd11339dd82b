"""Find traces of a run and write them for a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec

from tracegen.data import Record
from tracegen.errors import UserError
from tracegen.records import read_records
from tracegen.run import stored_plan
from tracegen.store import Store

MATCHES = {"flag": "flags"}


def find(directory: Path, trace: str, wanted: Mapping[str, str], limit: int) -> list[Record]:
    """Records whose id begins with `trace` and whose fields are as `wanted` (status, stage, cause, flag).

    Raises UserError if `trace` is given and there is none.
    """
    with Store(directory, write=False) as store:
        every = read_records(store, stored_plan(directory), store.verifier(), store.problems())
        found = list(islice(_matching(every, trace, wanted), limit or None))
    if trace and not found:
        raise UserError(
            f"{directory}: no trace with an id that begins with {trace!r} - `tracegen show {directory}`"
        )
    return found


def to_json(record: Record) -> str:
    """The record as one line of JSON."""
    return msgspec.json.encode(record).decode()


def to_text(record: Record) -> str:
    """The record as a person reads it; what a model wrote is shown without control characters."""
    verdict = f"{record.outcome}: {record.cause} ({record.step}, trust {record.trust})"
    tokens = f"{record.completion_tokens} tokens, finish_reason {record.finish_reason}"
    lines = [
        f"── {record.id}  {record.status}{f' ({record.reason})' if record.reason else ''}",
        f"question   {record.question}",
        f"reference  {record.reference[:300]}",
        f"teacher    {record.teacher}, {record.stage} pass, sample {record.index}, {tokens}",
        f"verdict    {verdict}; extracted {record.extracted[:200]!r}",
        f"evidence   {record.evidence[:500]}",
        f"flags      {', '.join(record.flags) or '-'}",
        f"majority   {record.majority[:200] or '-'}, of {record.votes} traces, {record.agreement:.0%} of all "
        "with an answer",
        *_rewriting(record),
        f"thinking   {record.thinking}",
        f"answer     {record.answer}",
    ]
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in "\n".join(lines)) + "\n"


def _rewriting(record: Record) -> list[str]:
    said = (
        (record.rewrite_of, "rewrite of "),
        (record.rewritten_as, "rewritten as "),
        (record.not_rewritten, "not rewritten: "),
    )
    return [f"compact    {words}{text}" for text, words in said if text]


def _matching(records: Iterator[Record], trace: str, wanted: Mapping[str, str]) -> Iterator[Record]:
    for record in records:
        if record.id.startswith(trace) and all(_has(record, name, value) for name, value in wanted.items()):
            yield record


def _has(record: Record, name: str, value: str) -> bool:
    actual = getattr(record, MATCHES.get(name, name))
    return value in actual if isinstance(actual, tuple) else bool(actual == value)
