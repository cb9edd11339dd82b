"""The card: front matter that every reader understands, true numbers, text that cannot escape."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]  # ships no types

from tests.made_up_records import RECIPE, record, records, rejected, report
from tracegen.data import Record
from tracegen.publish import card, front_matter, write
from tracegen.publish.contents import CONFIGS, Contents
from tracegen.publish.schema import COLUMNS
from tracegen.publish.write import write_dataset
from tracegen.recipe import Publish
from tracegen.report import Report

NASTY = (
    "a: b # \"c\" 'd'\n---\n| e | <script>alert(1)</script> ![x](http://y) `z` \u2028\x07 [[f]] $g$ *h* ```"
)


def readme(
    tmp_path: Path,
    rows: list[Record] | None = None,
    *,
    about: Report | None = None,
    settings: Publish | None = None,
    recipe: str = RECIPE,
) -> str:
    rows = records() if rows is None else rows
    out = tmp_path / "made"
    write_dataset(
        rows, report=about or report(rows), recipe_toml=recipe, settings=settings or Publish(), out=out
    )
    return (out / "README.md").read_text(encoding="utf-8")


def front(text: str) -> dict[str, Any]:
    """The front matter as the Hub cuts it out."""
    found = re.match(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))", text)
    assert found
    parsed: dict[str, Any] = yaml.safe_load(found[2])
    return parsed


def test_has_the_front_matter_that_the_hub_and_datasets_read(tmp_path: Path) -> None:
    matter = front(readme(tmp_path, settings=Publish(title="Sums, made up")))
    assert matter["license"] == "mit"
    assert matter["language"] == ["en"]
    assert matter["task_categories"] == ["text-generation"]
    assert {"reasoning", "tracegen", "math"} <= set(matter["tags"])
    assert matter["size_categories"] == ["n<1K"]
    assert matter["pretty_name"] == "Sums, made up"
    assert [config["config_name"] for config in matter["configs"]] == list(CONFIGS)
    assert [config.get("default", False) for config in matter["configs"]] == [
        True,
        False,
        False,
        False,
        False,
    ]


def test_counts_the_rows_of_every_config_and_split(tmp_path: Path) -> None:
    rows = records()
    matter = front(readme(tmp_path, rows))
    for info in matter["dataset_info"]:
        name = info["config_name"]
        told = {split["name"]: split["num_examples"] for split in info["splits"]}
        for split in ("train", "test"):
            assert told[split] == sum(row.split == split and name in write.configs_of(row) for row in rows)
        on_disk = sum(path.stat().st_size for path in (tmp_path / "made" / "data" / name).iterdir())
        assert info["download_size"] == on_disk
        assert info["dataset_size"] == sum(split["num_bytes"] for split in info["splits"])
        assert [feature["name"] for feature in info["features"]] == list(COLUMNS)


def test_is_accepted_by_the_clients_own_parser(tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    parsed = DatasetCard(readme(tmp_path)).data
    assert parsed.license == "mit"
    assert parsed.configs[0]["config_name"] == "verified"


def test_gives_every_number_its_denominator(tmp_path: Path) -> None:
    text = readme(tmp_path)
    assert "| answered | 30 of 32 requests |" in text
    assert "| verified | 10 of 30 traces |" in text
    assert "Not accepted: 14 of 30 traces; accepted, but surplus: 6 of 30." in text
    assert "| flag: truncated | 10 of 14 |" in text
    assert "| truncated | 10 of 30 |" in text
    assert "3,000 completion tokens and 12.3 seconds for each of 10 accepted traces" in text
    assert "On 1 of 10 problems several independent traces agree" in text
    assert "Requests without an answer: 429 (2)." in text
    assert "Problems not asked, because their reference could not be used: 1." in text
    assert "Trust in accepted traces: strong (10)." in text


def test_explains_every_column_in_the_words_of_record(tmp_path: Path) -> None:
    docs = card.column_docs()
    assert set(docs) == set(COLUMNS)
    text = readme(tmp_path)
    for name in COLUMNS:
        assert f"| `{name}` |" in text
    assert "| `messages` | `list of {role, content}` | User and assistant turns" in text


def test_puts_the_whole_recipe_into_a_block_that_it_cannot_end(tmp_path: Path) -> None:
    recipe = RECIPE.replace("Made-up sums", "a ```` b")
    text = readme(tmp_path, recipe=recipe)
    _, block = text.split("`````toml\n")
    assert tomllib.loads(block.removesuffix("\n`````\n")) == tomllib.loads(recipe)


def test_lets_no_untrusted_text_out_of_its_place(tmp_path: Path) -> None:
    rows = [
        record(1, 0, source=NASTY, licence=NASTY, question=NASTY, thinking=NASTY, teacher=NASTY, cause=NASTY),
        rejected(1, 1, source=NASTY, licence=NASTY, reason=NASTY),
    ]
    tally = report(rows).sources["sums"]
    about = report(
        rows,
        name="made-up",
        sources={NASTY: tally},
        teachers={NASTY: tally},
        causes={NASTY: 2},
        flags={NASTY: 1},
        unanswered={NASTY: 1},
    )
    text = readme(tmp_path, rows, about=about, settings=Publish(title=NASTY, licence=NASTY))
    matter = front(text)
    assert matter["pretty_name"] == " ".join(NASTY.split())
    assert (matter["license"], matter["license_name"]) == ("other", NASTY)
    body = text.split("\n---\n", 1)[1]
    prose = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", body)
    assert "<script" not in prose.replace(r"\<script", "")
    assert re.search(r"(?<!\\)!\[", prose) is None
    for line in prose.splitlines():
        if line.startswith("|"):
            borders = len(re.findall(r"(?<!\\)\|", line))
            assert borders in (3, 4, 5), line
    assert [line for line in prose.splitlines() if line == "---"] == []
    blocks = re.findall(r"(?ms)^(`{3,})(\w+)\n(.*?)^\1$", body)
    assert [language for _, language, _ in blocks] == ["python", "json", "toml"]


@pytest.mark.parametrize(
    "text",
    ["no", "Null", "1.0", "1e3", "0x1f", "2026-01-01", "- a", "a: b", "", " ", "~", "@a", "%a", "!a", "&a",
     "*a", "é", "a\tb", "a\x85b", "\u2028", "\U0001f600", "\x00", '"', "\\", "'", "# a", "a #b", "[a]", "{a}",
     "=", "<<", "1:2"],
)  # fmt: skip
def test_quotes_whatever_yaml_would_read_as_something_else(text: str) -> None:
    tree = {"a": text, "b": [text, {"c": text, "d": [text]}], "e": {"f": text}, "g": []}
    assert yaml.safe_load(front_matter.yaml(tree)) == tree


def test_keeps_numbers_and_booleans_as_they_are() -> None:
    assert yaml.safe_load(front_matter.yaml({"a": 1, "b": 1.5, "c": True})) == {"a": 1, "b": 1.5, "c": True}


@pytest.mark.parametrize(
    ("chosen", "sources", "fields"),
    [
        ("Apache-2.0", {"a": {"MIT": 1}}, {"license": "apache-2.0"}),
        ("", {"a": {"MIT": 1}, "b": {"mit": 1}}, {"license": "mit"}),
        ("", {"a": {"MIT": 1}, "b": {"CC-BY-4.0": 1}}, {"license": ["cc-by-4.0", "mit"]}),
        ("", {"a": {"": 1}}, {"license": "unknown"}),
        ("", {"a": {"MIT": 1, "own": 2}}, {"license": ["mit", "other"], "license_name": "own"}),
        ("my terms", {}, {"license": "other", "license_name": "my terms"}),
    ],
)
def test_names_licences_as_the_hub_knows_them(
    chosen: str, sources: dict[str, dict[str, int]], fields: dict[str, Any]
) -> None:
    contents = Contents(
        rewrites=0,
        sizes={},
        problems={},
        domains={},
        sources=sources,
        reasons={},
        surplus=0,
        unjudged=0,
        trust={},
        lengths={},
        sample=None,
    )
    assert front_matter._licence(chosen, contents) == fields


@pytest.mark.parametrize(
    ("rows", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (99_999, "10K<n<100K"), (8_000_000, "1M<n<10M"),
     (10**8, "100M<n<1B")],
)  # fmt: skip
def test_sorts_a_dataset_into_its_size_category(rows: int, category: str) -> None:
    assert front_matter._size_category(rows) == category


def test_says_so_where_nothing_was_accepted(tmp_path: Path) -> None:
    rows = [rejected(1, 0)]
    text = readme(tmp_path, rows, about=report(rows, flags={}, unanswered={}, refused=(), gold_suspect=()))
    assert "no trace was accepted" in text
    assert "No trace carries a flag." in text
    assert "| `verified` | none | none |" in text
    assert "does not exist" in text
    assert "default" not in front(text)["configs"][0]


def test_sums_up_what_a_table_has_no_room_for() -> None:
    text = card.counts("cause", {f"cause {n:03d}": 1 for n in range(40)}, 40, "traces")
    assert len(text.splitlines()) == 2 + card.LISTED + 1
    assert text.endswith("| 15 others | 15 of 40 |")


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.95, 9), (0.0, 1), (1.0, 9)])
def test_finds_quantiles_of_counted_values(share: float, value: int) -> None:
    assert card.quantile({1: 2, 2: 5, 9: 3}, share) == value


def test_says_how_to_load_it_from_its_place_on_the_hub(tmp_path: Path) -> None:
    text = card.addressed(readme(tmp_path), "user/name")
    assert 'load_dataset("user/name")  # verified: 10 rows' in text
    assert 'load_dataset("user/name", "all")  # all: 30 rows' in text


def test_shows_a_short_row(tmp_path: Path) -> None:
    rows = [msgspec.structs.replace(row, thinking=row.thinking * 200) for row in records()]
    block = readme(tmp_path, rows).split("```json\n")[1].split("\n```")[0]
    shown = msgspec.json.decode(block)
    assert shown["outcome"] == "correct"
    assert len(shown["thinking"]) < 410


def test_lists_the_largest_sources_and_counts_the_rest(tmp_path: Path) -> None:
    tally = report(records()).sources["sums"]
    about = report(records(), sources={f"source {n}": tally for n in range(30)})
    assert "| 5 others |" in readme(tmp_path, about=about)


def test_says_nothing_of_a_language_that_was_not_given(tmp_path: Path) -> None:
    assert "language" not in front(readme(tmp_path, settings=Publish(language=())))
    assert front(readme(tmp_path, settings=Publish(language=("no", "en"))))["language"] == ["no", "en"]
