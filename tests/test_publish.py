"""Writing a dataset: what is in it, that it loads, that its bytes repeat, that a crash spares the old one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from tests.made_up_records import RECIPE, record, records, rejected, report
from tracegen.data import Record, Struct
from tracegen.errors import UserError
from tracegen.publish import write, write_dataset
from tracegen.publish.contents import CONFIGS
from tracegen.publish.schema import schema, table
from tracegen.publish.write import configs_of
from tracegen.recipe import Publish
from tracegen.report import Report

LOAD = """
import json, sys
from datasets import load_dataset
found = {}
for where, config in json.loads(sys.argv[1]):
    name = [config] if config else []
    whole = load_dataset(where, *name)
    streamed = load_dataset(where, *name, streaming=True)
    rows = {split: list(of_split) for split, of_split in whole.items()}
    assert rows == {split: list(of_split) for split, of_split in streamed.items()}
    features = {split: str(of_split.features) for split, of_split in whole.items()}
    found[f"{where} {config}"] = [rows, features]
json.dump(found, sys.stdout)
"""


class Loaded(Struct, frozen=True):
    """A config as `datasets` sees it, by split."""

    rows: dict[str, list[dict[str, Any]]]
    features: dict[str, str]


def loaded(
    wanted: list[tuple[str, str]], home: Path, environment: Mapping[str, str] = {}
) -> dict[tuple[str, str], Loaded]:
    """The wanted pairs of place and config, loaded whole and streamed by a process of their own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(wanted)],
        env={**clean, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {(where, config): Loaded(*found[f"{where} {config}"]) for where, config in wanted}


def expected(rows: list[Record], config: str) -> dict[str, list[dict[str, Any]]]:
    """What a config holds: the rows as Arrow gives them back, by split."""
    splits: dict[str, list[Record]] = {}
    for row in rows:
        if config in configs_of(row):
            splits.setdefault(row.split, []).append(row)
    return {split: table(of_split).to_pylist() for split, of_split in splits.items()}


def written(
    out: Path, rows: list[Record], *, settings: Publish | None = None, about: Report | None = None
) -> Path:
    write_dataset(
        rows, report=about or report(rows), recipe_toml=RECIPE, settings=settings or Publish(), out=out
    )
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


# --- what is in it ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_loads_every_config_and_split_with_the_values_that_were_written(tmp_path: Path) -> None:
    rows = records()
    out = str(written(tmp_path / "made", rows))
    found = loaded([(out, config) for config in ("", *CONFIGS)], tmp_path / "home")
    assert len({features for config in found.values() for features in config.features.values()}) == 1
    for config in CONFIGS:
        assert found[out, config].rows == expected(rows, config)
        assert set(found[out, config].rows) == {"train", "test"}
    assert found[out, ""].rows == expected(rows, "verified")


@pytest.mark.slow
def test_has_a_loadable_config_exactly_where_there_are_rows(tmp_path: Path) -> None:
    cases: dict[str, tuple[list[Record], dict[str, set[str]]]] = {
        "no test rows": ([record(1, 0)], {"verified": {"train"}, "all": {"train"}}),
        "no train rows": ([record(4, 0)], {"verified": {"test"}, "all": {"test"}}),
        "nothing accepted": ([rejected(1, 0)], {"rejected": {"train"}, "all": {"train"}}),
        "only surplus": ([record(1, 0, status="surplus", reason="duplicate")], {"all": {"train"}}),
        "one split each": (
            [record(0, 0), rejected(4, 0), record(1, 0, stage="recovery")],
            {"verified": {"train"}, "recovered": {"train"}, "rejected": {"test"}, "all": {"train", "test"}},
        ),
    }
    for name, (rows, configs) in cases.items():
        out = written(tmp_path / name, sorted(rows, key=write.order))
        assert {path.name for path in (out / "data").iterdir()} == set(configs)
    wanted = [(str(tmp_path / name), config) for name, (_, configs) in cases.items() for config in configs]
    found = loaded(wanted, tmp_path / "home")
    for name, (_, configs) in cases.items():
        assert {config: set(found[str(tmp_path / name), config].rows) for config in configs} == configs


def test_gives_every_file_the_same_schema_zstd_and_a_page_index(tmp_path: Path) -> None:
    out = written(tmp_path / "made", records())
    for path in out.glob("data/*/*.parquet"):
        metadata = pq.read_metadata(path)
        column = metadata.row_group(0).column(0)
        assert pq.read_schema(path).equals(schema())
        assert pq.read_schema(path).metadata[b"huggingface"] == schema().metadata[b"huggingface"]
        assert (column.compression, column.has_column_index, column.has_offset_index) == ("ZSTD", True, True)


def test_rolls_a_split_over_at_shard_rows_and_numbers_the_files(tmp_path: Path) -> None:
    rows = [record(problem, 0, split="train") for problem in range(25)]
    rows.sort(key=write.order)
    out = written(tmp_path / "made", rows, settings=Publish(shard_rows=10))
    shards = sorted((out / "data" / "all").iterdir())
    assert [path.name for path in shards] == [f"train-{n:05d}-of-00003.parquet" for n in range(3)]
    assert [pq.read_metadata(path).num_rows for path in shards] == [10, 10, 5]
    assert [row["id"] for path in shards for row in pq.read_table(path).to_pylist()] == [
        row.id for row in rows
    ]


def test_makes_no_empty_file_where_the_rows_fill_the_last_shard(tmp_path: Path) -> None:
    rows = sorted((record(problem, 0, split="train") for problem in range(20)), key=write.order)
    out = written(tmp_path / "made", rows, settings=Publish(shard_rows=10))
    assert [path.name[-14:] for path in sorted((out / "data" / "all").iterdir())] == ["-00002.parquet"] * 2


def test_cuts_row_groups_by_rows_and_by_text(tmp_path: Path) -> None:
    short = sorted((record(problem, 0, split="train") for problem in range(1_500)), key=write.order)
    [path] = (written(tmp_path / "short", short) / "data" / "all").iterdir()
    assert [pq.read_metadata(path).row_group(n).num_rows for n in range(2)] == [1_000, 500]
    long = [msgspec.structs.replace(row, thinking="x" * 4_000_000) for row in short[:5]]
    [path] = (written(tmp_path / "long", long) / "data" / "all").iterdir()
    assert pq.read_metadata(path).row_group(0).num_rows == 3


def test_writes_the_same_bytes_for_the_same_records_in_any_order_within_a_problem(tmp_path: Path) -> None:
    rows = records()
    first = files(written(tmp_path / "first", rows))
    backwards = sorted(rows, key=lambda row: row.id, reverse=True)
    shuffled = sorted(backwards, key=lambda row: row.problem_id)
    assert files(written(tmp_path / "second", shuffled)) == first
    assert files(written(tmp_path / "first", rows)) == first


@pytest.mark.slow
def test_holds_a_row_group_at_a_time(tmp_path: Path) -> None:
    megabyte = 2**20
    rows = sorted((record(problem, 0, split="train") for problem in range(150)), key=write.order)
    large = (msgspec.structs.replace(row, thinking="x" * megabyte + row.id) for row in rows)
    tracemalloc.start()
    try:
        write_dataset(
            large, report=report(rows), recipe_toml=RECIPE, settings=Publish(), out=tmp_path / "made"
        )
        assert tracemalloc.get_traced_memory()[1] < 50 * megabyte
    finally:
        tracemalloc.stop()


# --- what it refuses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [
        list(reversed(records())),
        [record(1, 0), record(1, 0)],
        [record(1, 0), record(1, 1, split="test")],
    ],
    ids=["unsorted", "twice the same id", "a problem in both splits"],
)
def test_refuses_records_that_would_make_a_wrong_dataset(tmp_path: Path, rows: list[Record]) -> None:
    old = files(written(tmp_path / "made", records(3)))
    with pytest.raises(ValueError, match="problem"):
        written(tmp_path / "made", rows, about=report(records()))
    assert files(tmp_path / "made") == old
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_refuses_to_replace_a_dataset_by_nothing(tmp_path: Path) -> None:
    old = files(written(tmp_path / "made", records(3)))
    with pytest.raises(UserError, match="no answered trace"):
        written(tmp_path / "made", [], about=report(records()))
    assert files(tmp_path / "made") == old


def test_refuses_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="something else"):
        written(tmp_path, records())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_says_that_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        written(tmp_path / "file" / "made", records())


# --- crashes ---------------------------------------------------------------------------------------


def test_leaves_the_old_dataset_where_the_records_break_off(tmp_path: Path) -> None:
    old = files(written(tmp_path / "made", records(3)))

    def breaking() -> Iterator[Record]:
        yield from records()[:20]
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        write_dataset(
            breaking(),
            report=report(records()),
            recipe_toml=RECIPE,
            settings=Publish(),
            out=tmp_path / "made",
        )
    assert files(tmp_path / "made") == old
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.slow
def test_leaves_one_whole_dataset_whenever_it_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import itertools, pathlib, sys
        from tests.made_up_records import records
        from tests.test_publish import written
        for problems in itertools.cycle((5, 50)):
            written(pathlib.Path(sys.argv[1]), records(problems))
            print(problems, flush=True)
    """)
    root = str(Path(__file__).parents[1])
    whole = {n: files(written(tmp_path / str(n), records(n))) for n in (5, 50)}
    moments = random.Random(3)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "made")],
            env={**os.environ, "PYTHONPATH": root},
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert files(tmp_path / "made") in whole.values()
    written(tmp_path / "made", records(5))
    assert {path.name for path in tmp_path.iterdir()} == {"5", "50", "made"}


def test_puts_the_old_dataset_back_after_a_crash_between_the_two_steps(tmp_path: Path) -> None:
    out = written(tmp_path / "made", records(3))
    old = files(out)
    out.rename(tmp_path / ".made.previous")
    with pytest.raises(UserError, match="no answered trace"):
        written(out, [], about=report(records()))
    assert files(out) == old


def test_exchanges_folders_in_two_steps_where_the_system_has_no_exchange(tmp_path: Path) -> None:
    new, out = tmp_path / "new", tmp_path / "out"
    for folder in (new, out):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    write._exchange_in_two_steps(new, out)
    assert (out / "name").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# --- what must not get out -------------------------------------------------------------------------


def test_publishes_no_key_and_no_path_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, token = "sk-4242424242424242", "hf_abcdefghijklmnop"
    monkeypatch.setenv("TRACEGEN_TEST_KEY", key)
    monkeypatch.setenv("HF_TOKEN", token)
    recipe = f"""
        name = "made-up"
        output = "{tmp_path}/runs/made-up"
        [[problems]]
        path = "{tmp_path}/private/sums.jsonl"
        [teacher]
        kind = "openai"
        model = "/home/somebody/models/teacher-one"
        key_env = "TRACEGEN_TEST_KEY"
        base_url = "https://user:hunter2@example.org/v1?api_key=abc123"
        [teacher.elicit]
        open = "/think"
        [teacher.extra_body]
        headers = {{ Authorization = "Bearer sesame" }}
    """
    rows = [record(1, 0, teacher="/home/somebody/models/teacher-one")]
    about = report(
        rows,
        teachers={"/home/somebody/models/teacher-one": report(rows).teachers["teacher-one"]},
        unanswered={f"401: bad key {key}, token {token}": 1, f"no {Path.home()}/models": 1},
    )
    out = tmp_path / "made"
    write_dataset(rows, report=about, recipe_toml=recipe, settings=Publish(), out=out)
    for name, content in files(out).items():
        for secret in (
            key,
            token,
            "hunter2",
            "abc123",
            "sesame",
            "somebody",
            str(tmp_path),
            f"{Path.home()}/",
        ):
            assert secret.encode() not in content, (name, secret)
    published = tomllib.loads((out / "recipe.toml").read_text())
    assert published["problems"][0]["path"] == "sums.jsonl"
    assert published["teacher"]["key_env"] == "TRACEGEN_TEST_KEY"
    assert published["teacher"]["base_url"] == "https://example.org/v1?api_key=***"
    assert published["teacher"]["elicit"]["open"] == "/think"
    assert pq.read_table(out / "data" / "all").column("teacher").to_pylist() == ["teacher-one"]


def test_writes_recipe_and_report_that_read_back(tmp_path: Path) -> None:
    out = written(tmp_path / "made", records())
    assert tomllib.loads((out / "recipe.toml").read_text()) == tomllib.loads(RECIPE)
    assert msgspec.json.decode((out / "report.json").read_bytes(), type=Report) == report(records())
