"""Rows of jsonl, json, parquet and csv files, and of Hugging Face datasets, as plain dictionaries.

A row that cannot be read is yielded as a `BadRow`, never skipped: the caller reports it or counts it.
Files may be gzipped; whether they are is read from their first bytes, not their name.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from tracegen.errors import UserError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv")


class Row(msgspec.Struct, frozen=True):
    """One row and where it stands: a line of a text file, else a number counted from 1."""

    where: str
    values: dict[str, Any]


class BadRow(msgspec.Struct, frozen=True):
    """A row that could not be read."""

    where: str
    why: str


def read(
    path: str, *, base: Path = Path(), config: str = "", split: str = "train", revision: str = ""
) -> Iterator[Row | BadRow]:
    """Rows of a file (relative to `base`), a local dataset folder or a Hub id, in their order.

    Raises UserError if there is no such thing, or its format is unknown.
    """
    file = base / path
    if file.is_file():
        return _file(file)
    if file.is_dir():
        return _dataset(str(file), path, config, split)
    if HUB_ID.fullmatch(path) and not path.endswith(SUFFIXES):
        return _dataset(path, path, config, split, revision)
    raise UserError(
        f"{path}: no such file (looked in {base.resolve()}) - give a file, a dataset folder or user/name"
    )


def pick(values: dict[str, Any], path: str) -> Any:
    """The value at a column name, or at a dotted path such as `tests.functional` or `code.0`.

    Raises KeyError with the path where there is none.
    """
    if path in values:
        return values[path]
    node: Any = values
    for part in path.split("."):
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.lstrip("-").isdigit() and -len(node) <= int(part) < len(node):
            node = node[int(part)]
        else:
            raise KeyError(path)
    return node


def _file(file: Path) -> Iterator[Row | BadRow]:
    name = file.name.removesuffix(".gz").lower()
    if name.endswith((".jsonl", ".ndjson")):
        return _json_lines(file)
    if name.endswith(".json"):
        return _json(file)
    if name.endswith(".parquet"):
        return _parquet(file)
    if name.endswith((".csv", ".tsv")):
        return _csv(file, "\t" if name.endswith(".tsv") else ",")
    raise UserError(f"{file}: unknown format - expected one of {', '.join(SUFFIXES)}")


def _open(file: Path) -> IO[bytes]:
    with file.open("rb") as stream:
        gzipped = stream.read(2) == b"\x1f\x8b"
    return gzip.open(file) if gzipped else file.open("rb")  # type: ignore[return-value]  # GzipFile reads bytes


def _json_lines(file: Path) -> Iterator[Row | BadRow]:
    with _open(file) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield _json_row(f"{file.name}:{number}", line)


def _json_row(where: str, line: bytes) -> Row | BadRow:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return BadRow(where, f"not JSON: {error}")
    return _row(where, value)


def _row(where: str, value: Any) -> Row | BadRow:
    return Row(where, value) if isinstance(value, dict) else BadRow(where, "not an object")


def _json(file: Path) -> Iterator[Row | BadRow]:
    with _open(file) as stream:
        text = stream.read()
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        yield from _json_lines(file)  # several datasets name their JSON lines .json
        return
    items = value if isinstance(value, list) else [value]
    for number, item in enumerate(items, 1):
        yield _row(f"{file.name}:row {number}", item)


def _parquet(file: Path) -> Iterator[Row | BadRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(file)
    except pyarrow.ArrowException as error:
        raise UserError(f"{file}: not a parquet file: {error}") from None
    number = 0
    for batch in table.iter_batches(batch_size=1024):
        for values in batch.to_pylist():
            number += 1
            yield Row(f"{file.name}:row {number}", values)


def _csv(file: Path, separator: str) -> Iterator[Row | BadRow]:
    with _open(file) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text, delimiter=separator)
        for values in reader:
            where = f"{file.name}:{reader.line_num}"
            if None in values or None in values.values():
                yield BadRow(where, f"expected {len(reader.fieldnames or [])} fields")
            else:
                yield Row(where, values)


def _dataset(path: str, name: str, config: str, split: str, revision: str = "") -> Iterator[Row | BadRow]:
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"{name}: reading datasets needs the hub extra - pip install 'tracegen[hub]'"
        ) from None
    try:
        rows = datasets.load_dataset(path, config or None, split=split, revision=revision or None)
    except Exception as error:  # datasets raises its own, huggingface_hub's, httpx's and builtins
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{name}: cannot be loaded as a dataset: {first}") from None
    for number, values in enumerate(rows, 1):
        yield Row(f"{name}:row {number}", values)
