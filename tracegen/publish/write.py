"""Records to a dataset folder that `datasets.load_dataset` reads, from disk or from the Hub.

    data/<config>/<split>-00000-of-00001.parquet    README.md    recipe.toml    report.json

The same records give the same bytes. They stream: what is held is one problem's traces and, for each
of the up to ten files being written, one row group (at most 1,000 rows, cut at 16 MiB of text). A split
without rows has no file and no place on the card, because `datasets` 5.2 refuses to load an empty split
(`Instruction "train" corresponds to no data!`) and with it the whole config.

The folder is made beside its destination under another name and exchanged for it in one step, so that a
crash leaves the old dataset or the new one. Where the system has no such exchange there is a moment with
neither, and the next call puts the old one back. Not covered: two writers of one folder at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import shutil
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tracegen.data import Record
from tracegen.errors import UserError
from tracegen.publish import card
from tracegen.publish.contents import CONFIGS, Contents, SplitSize
from tracegen.publish.private import cleaned, private
from tracegen.publish.schema import schema, table
from tracegen.recipe import Publish
from tracegen.report import Report

if TYPE_CHECKING:
    import pyarrow.parquet as pq

SPLITS = ("train", "test")
GROUP_ROWS = 1_000
GROUP_CHARACTERS = 16 * 2**20
CHUNKS = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}
"""Content-defined chunking as `datasets` writes it: an edited dataset uploads little more than its edits."""


def write_dataset(
    records: Iterable[Record], *, report: Report, recipe_toml: str, settings: Publish, out: Path
) -> None:
    """Write the dataset of `records` to the folder `out`, in place of the one that may be there.

    `records` have to come sorted by problem id (all traces of a problem together); within a problem
    they are sorted here. Absolute paths, credentials in URLs and values of the recipe's key variables are
    taken out of `recipe_toml` and `report` before they are published.

    Raises UserError where there is no record, where `out` holds something else than a dataset of ours, or
    where it cannot be written, and ValueError where the records are unsorted, repeat an id or have a problem
    in both splits. In all cases the dataset that was there stays.
    """
    partial = out.with_name(f".{out.name}.partial")
    try:
        _restore(out)
        _refuse_foreign(out)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            _fill(partial, records, report, recipe_toml, settings)
            _flush_to_disk(partial)
            _exchange(partial, out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        why = error.strerror or error
        raise UserError(f"dataset {out}: cannot be written: {why} - mend that, or choose another") from error


def order(record: Record) -> tuple[str, str, int, str]:
    """The sort key of a dataset's rows: by problem, first pass before recovery, then by sample."""
    return (record.problem_id, record.stage, record.index, record.id)


def configs_of(record: Record) -> Iterator[str]:
    """The configs that hold a record."""
    if record.status == "accepted" and record.stage != "rewrite":
        yield "verified"
        if record.stage == "recovery":
            yield "recovered"
    if record.status == "accepted" and (record.stage == "rewrite" or record.not_rewritten):
        yield "compact"
    if record.status == "rejected":
        yield "rejected"
    yield "all"


def _fill(
    folder: Path, records: Iterable[Record], report: Report, recipe_toml: str, settings: Publish
) -> None:
    import tomli_w

    recipe = tomllib.loads(recipe_toml)
    hidden = private(recipe)
    contents = _write_rows(folder, records, settings.shard_rows, hidden)
    if not contents.sizes:
        raise UserError(f"run {report.name!r}: there is no answered trace to publish - build it first")
    public_recipe = tomli_w.dumps(cleaned(recipe, hidden))
    public_report = msgspec.convert(cleaned(msgspec.to_builtins(report), hidden), Report)
    report_json = msgspec.json.format(msgspec.json.encode(public_report), indent=2)
    readme = card.render(public_report, contents, public_recipe, settings)
    (folder / "recipe.toml").write_text(public_recipe, encoding="utf-8")
    (folder / "report.json").write_bytes(report_json + b"\n")
    (folder / "README.md").write_bytes(readme.encode("utf-8", "replace"))


# --- rows ------------------------------------------------------------------------------------------


class _Split:
    """The files of one config's split, rolled over at `shard_rows` and named when their number is known."""

    def __init__(self, folder: Path, name: str, shard_rows: int) -> None:
        self.folder, self.name, self.shard_rows = folder, name, shard_rows
        self.buffer: list[Record] = []
        self.characters = 0
        self.writer: pq.ParquetWriter | None = None
        self.rows = self.file_rows = self.files = self.arrow_bytes = 0

    def add(self, record: Record) -> None:
        self.buffer.append(record)
        self.characters += _characters(record)
        self.file_rows += 1
        if self.file_rows == self.shard_rows:
            self.close_file()
        elif len(self.buffer) == GROUP_ROWS or self.characters >= GROUP_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Write the buffer as a row group."""
        if not self.buffer:
            return
        import pyarrow.parquet as pq

        if self.writer is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.writer = pq.ParquetWriter(
                self.path(self.files),
                schema(),
                compression="zstd",
                use_content_defined_chunking=CHUNKS,
                write_page_index=True,
            )
        rows = table(self.buffer)
        self.writer.write_table(rows)
        self.arrow_bytes += rows.nbytes
        self.rows += len(self.buffer)
        self.buffer, self.characters = [], 0

    def close_file(self) -> None:
        self.flush()
        if self.writer is not None:
            self.writer.close()
            self.files += 1
        self.writer, self.file_rows = None, 0

    def close(self) -> SplitSize:
        """Finish the last file and give every file its name."""
        self.close_file()
        size = 0
        for number in range(self.files):
            final = self.folder / f"{self.name}-{number:05d}-of-{self.files:05d}.parquet"
            self.path(number).rename(final)
            size += final.stat().st_size
        return SplitSize(rows=self.rows, arrow_bytes=self.arrow_bytes, file_bytes=size, files=self.files)

    def path(self, number: int) -> Path:
        return self.folder / f"{self.name}-{number:05d}.parquet"


class _Tally:
    """What the card says of the rows, counted as they pass."""

    def __init__(self) -> None:
        self.problems = dict.fromkeys(SPLITS, 0)
        self.domains: Counter[str] = Counter()
        self.sources: dict[str, Counter[str]] = {}
        self.reasons: Counter[str] = Counter()
        self.surplus = self.unjudged = self.rewrites = 0
        self.trust: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()
        self.sample: Record | None = None

    def add(self, record: Record) -> None:
        self.domains[record.domain] += 1
        self.sources.setdefault(record.source, Counter())[record.licence] += 1
        self.surplus += record.status == "surplus"
        self.unjudged += record.status == "unjudged"
        self.rewrites += record.stage == "rewrite"
        if record.status == "rejected":
            self.reasons[record.reason] += 1
        if record.status == "accepted":
            self.trust[record.trust] += 1
            if record.completion_tokens is not None:
                self.lengths[record.completion_tokens] += 1
            if self.sample is None or _characters(record) < _characters(self.sample):
                self.sample = record

    def contents(self, sizes: dict[str, dict[str, SplitSize]]) -> Contents:
        return Contents(
            sizes=sizes,
            problems=self.problems,
            domains=dict(self.domains),
            sources={name: dict(licences) for name, licences in self.sources.items()},
            reasons=dict(self.reasons),
            surplus=self.surplus,
            unjudged=self.unjudged,
            rewrites=self.rewrites,
            trust=dict(self.trust),
            lengths=dict(self.lengths),
            sample=self.sample,
        )


def _write_rows(
    folder: Path, records: Iterable[Record], shard_rows: int, hidden: Mapping[str, str]
) -> Contents:
    files = {
        (config, split): _Split(folder / "data" / config, split, shard_rows)
        for config in CONFIGS
        for split in SPLITS
    }
    tally = _Tally()
    for traces in _by_problem(records):
        tally.problems[traces[0].split] += 1
        for trace in traces:
            record = _public(trace, hidden)
            tally.add(record)
            for config in configs_of(record):
                files[config, record.split].add(record)
    written = {key: split.close() for key, split in files.items()}
    sizes = {
        config: {split: written[config, split] for split in SPLITS if written[config, split].rows}
        for config in CONFIGS
    }
    return tally.contents({config: splits for config, splits in sizes.items() if splits})


def _by_problem(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The traces of each problem, in order, checked."""
    previous = ""
    for problem, group in itertools.groupby(records, key=lambda record: record.problem_id):
        traces = sorted(group, key=order)
        if problem <= previous:
            raise ValueError(f"problem {problem} comes after {previous}: records are to be sorted by problem")
        if len({trace.split for trace in traces}) > 1:
            raise ValueError(f"problem {problem} has traces in both splits")
        if len({trace.id for trace in traces}) < len(traces):
            raise ValueError(f"problem {problem} has two records with one id")
        previous = problem
        yield traces


def _characters(record: Record) -> int:
    """Roughly a row's text: thinking, answer and question stand in it twice, because of `messages`."""
    twice = len(record.thinking) + len(record.answer) + len(record.question)
    return 2 * twice + len(record.reference) + len(record.evidence) + len(record.extracted)


def _public(record: Record, hidden: Mapping[str, str]) -> Record:
    """The record with a teacher or source that is a path cut to its name."""
    if record.teacher not in hidden and record.source not in hidden:
        return record
    teacher, source = (hidden.get(text, text) for text in (record.teacher, record.source))
    return msgspec.structs.replace(record, teacher=teacher, source=source)


# --- folders ---------------------------------------------------------------------------------------


def _refuse_foreign(out: Path) -> None:
    if not os.path.lexists(out):
        return
    if not out.is_dir() or out.is_symlink():
        raise UserError(f"dataset {out}: is not a folder - choose another one")
    if any(out.iterdir()) and not ((out / "report.json").is_file() and (out / "recipe.toml").is_file()):
        raise UserError(f"dataset {out}: holds something else than a dataset - choose another folder")


def _flush_to_disk(folder: Path) -> None:
    """Have everything in the folder survive a power cut."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exchange(new: Path, out: Path) -> None:
    """Put `new` at `out`; what was there is at `new` afterwards, or gone."""
    if not out.exists():
        new.rename(out)
    elif not _exchanged_at_once(new, out):
        _exchange_in_two_steps(new, out)
    with contextlib.suppress(OSError):  # the rename is done; some file systems cannot flush a folder
        descriptor = os.open(out.parent, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _exchanged_at_once(new: Path, out: Path) -> bool:
    """Exchange two folders with Linux's renameat2; False where there is no such call."""
    if not sys.platform.startswith("linux"):
        return False
    at_working_directory, exchange = -100, 2
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    paths = os.fsencode(new), os.fsencode(out)
    if libc.renameat2(at_working_directory, paths[0], at_working_directory, paths[1], exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(out))


def _previous(out: Path) -> Path:
    return out.with_name(f".{out.name}.previous")


def _exchange_in_two_steps(new: Path, out: Path) -> None:
    previous = _previous(out)
    shutil.rmtree(previous, ignore_errors=True)
    out.rename(previous)
    new.rename(out)
    shutil.rmtree(previous, ignore_errors=True)


def _restore(out: Path) -> None:
    """Put back the dataset that a crash between the two steps has left under its other name."""
    previous = _previous(out)
    if previous.is_dir() and not out.exists():
        previous.rename(out)
