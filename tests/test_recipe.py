"""A recipe …"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tracegen import recipe
from tracegen.errors import RecipeError
from tracegen.plan import relocate

SMALLEST = """
name = "small"
[[problems]]
path = "problems.jsonl"
[teacher]
kind = "openai"
model = "m"
"""


def written(folder: Path, text: str = SMALLEST) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_dumps_to_a_recipe_that_loads_equal(tmp_path: Path) -> None:
    loaded = recipe.load(
        written(tmp_path), ("teacher.sampling.top_k=20", "recovery.kind=openai", "recovery.n=2")
    )
    again = recipe.from_tree(tomllib.loads(recipe.dump(loaded)), "again")
    assert again == loaded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[teacher.sampling]\ntemprature = 1.0",
            "teacher.sampling.temprature: unknown key - did you mean 'temperature'?",
        ),
        ("[verfy]\nworkers = 1", "verfy: unknown key - did you mean 'verify'?"),
        ("[verify]\nworkers = 'two'", "verify.workers: expected 'int', got 'str'"),
        ("[teacher.sampling]\ntop_p = '1'", "teacher.sampling.top_p: expected 'float', got 'str'"),
        ("name = 'again'", "not valid TOML"),
    ],
)
def test_names_the_key_that_is_wrong(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.load(written(tmp_path, SMALLEST + text if "[" in text else text + SMALLEST))
    assert expected in str(caught.value)


def test_names_all_unknown_keys_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe.load(written(tmp_path, SMALLEST + "pormpts = 1\n[selekt]\na = 1"))
    assert "teacher.pormpts" in str(caught.value)
    assert "selekt" in str(caught.value)


def test_suggests_the_teacher_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"teacher\.kind: unknown teacher 'opnai' - did you mean 'openai'"):
        recipe.load(written(tmp_path), ("teacher.kind=opnai",))


def test_says_that_a_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe"):
        recipe.load(tmp_path / "none.toml")


@pytest.mark.parametrize("override", ["teacher.n", "=3", "problems.7.limit=1", "name.x=1"])
def test_refuses_an_override_that_goes_nowhere(tmp_path: Path, override: str) -> None:
    with pytest.raises(RecipeError, match="--set"):
        recipe.load(written(tmp_path), (override,))


def test_takes_overrides_inside_lists_and_of_plain_strings(tmp_path: Path) -> None:
    loaded = recipe.load(written(tmp_path), ("problems.0.limit=3", "teacher.model=some/model"))
    assert loaded.problems[0].limit == 3
    assert loaded.teacher.model == "some/model"


def test_refuses_a_second_teacher_that_asks_the_same(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="recovery: asks exactly what teacher asks"):
        recipe.load(written(tmp_path), ("recovery.kind=openai", "recovery.model=m"))


def test_finds_its_files_from_the_run_directory_too(tmp_path: Path) -> None:
    (tmp_path / "problems.jsonl").write_text("{}")
    loaded = recipe.load(written(tmp_path))
    moved = relocate(loaded, tmp_path, tmp_path / "runs" / "small")
    assert moved.problems[0].path == "../../problems.jsonl"
    assert moved.teacher.model == "m"


def test_names_the_files_of_the_judge_from_the_run_directory(tmp_path: Path) -> None:
    (tmp_path / "judge.jsonl").touch()
    overrides = ("verify.judge.kind=replay", "verify.judge.path=judge.jsonl")
    moved = relocate(recipe.load(written(tmp_path), overrides), tmp_path, tmp_path / "runs" / "small")
    assert isinstance(moved.verify.judge, recipe.ReplayTeacher)
    assert moved.verify.judge.path == "../../judge.jsonl"
    assert recipe.from_tree(tomllib.loads(recipe.dump(moved)), "again") == moved


def test_overrides_a_single_section() -> None:
    assert recipe.section(recipe.Verify, ("math_seconds=2", "code.seconds=3"), "--set").code.seconds == 3
    with pytest.raises(RecipeError, match="--set workrs: unknown key - did you mean 'workers'"):
        recipe.section(recipe.Verify, ("workrs=2",), "--set")
    with pytest.raises(RecipeError, match="--set workers: expected"):
        recipe.section(recipe.Verify, ("workers=many",), "--set")
