"""Reading rows …"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tracegen import rows
from tracegen.errors import UserError

VALUES = [{"q": "1+1", "a": "2"}, {"q": "2+2", "a": "4"}]


def lines(values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)  # type: ignore[attr-defined]  # any list


def values_of(path: Path) -> list[object]:
    return [row.values for row in rows.read(str(path)) if isinstance(row, rows.Row)]


def test_gives_the_same_rows_from_every_format(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines(VALUES) + "\n")
    (tmp_path / "b.json").write_text(json.dumps(VALUES))
    (tmp_path / "c.csv").write_text("q,a\n1+1,2\n2+2,4\n")
    (tmp_path / "d.tsv").write_text("q\ta\n1+1\t2\n2+2\t4\n")
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(lines(VALUES).encode()))
    (tmp_path / "f.json").write_text(lines(VALUES))
    pq.write_table(pa.Table.from_pylist(VALUES), tmp_path / "g.parquet")
    for path in sorted(tmp_path.iterdir()):
        assert values_of(path) == VALUES, path.name


def test_reads_one_object_as_one_row(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(VALUES[0]))
    assert values_of(tmp_path / "one.json") == VALUES[:1]


def test_says_where_a_row_is_broken_and_reads_on(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"q": 1}\nnot json\n[1]\n{"q": 2}\n')
    found = list(rows.read(str(tmp_path / "a.jsonl")))
    assert [row.where for row in found] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3", "a.jsonl:4"]
    assert [isinstance(row, rows.BadRow) for row in found] == [False, True, True, False]


def test_says_which_csv_line_has_too_few_fields(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("q,a\n1\n2,2\n")
    found = list(rows.read(str(tmp_path / "a.csv")))
    assert found[0] == rows.BadRow("a.csv:2", "expected 2 fields")


@pytest.mark.parametrize("name", ["missing.jsonl", "notes.txt"])
def test_refuses_what_it_cannot_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=name):
        list(rows.read(name, base=tmp_path))


def test_refuses_a_parquet_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("x")
    with pytest.raises(UserError, match="not a parquet file"):
        list(rows.read("a.parquet", base=tmp_path))


def test_reads_a_dataset_folder(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    pq.write_table(pa.Table.from_pylist(VALUES), tmp_path / "set" / "train.parquet")
    found = [row.values for row in rows.read("set", base=tmp_path) if isinstance(row, rows.Row)]
    assert found == VALUES


def test_says_in_one_line_that_a_dataset_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: cannot be loaded as a dataset") as caught:
        list(rows.read("empty", base=tmp_path))
    assert "\n" not in str(caught.value)


def test_reaches_into_nested_values() -> None:
    values = {"tests": {"functional": "x"}, "code": ["first"], "a.b": 1}
    assert rows.pick(values, "tests.functional") == "x"
    assert rows.pick(values, "code.0") == "first"
    assert rows.pick(values, "a.b") == 1
    for missing in ("code.1", "tests.other", "nothing"):
        with pytest.raises(KeyError):
            rows.pick(values, missing)
