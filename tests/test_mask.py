"""`tracegen mask` …"""

from __future__ import annotations

import html.parser
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests import runs, students
from tests.test_cli import one_line, tracegen
from tracegen.errors import UserError
from tracegen.student import Stage, TrainSource
from tracegen.train import mask

EVIL = '<img src=x onerror="alert(1)"> \x1b[31mred\x1b[0m & </span><script>x</script> [bold]'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A student's folder, a recipe and rows with and without thinking."""
    students.tokenizer("qwen2_5").save_pretrained(tmp_path / "student")
    thinking = "<think>\nThe answer is 42.\n</think>\n\n42"
    rows = [{"id": f"t{n}", "question": f"What is {n}?", "response": thinking} for n in range(6)]
    rows += [
        {"id": "evil", "question": EVIL, "response": f"<think>{EVIL}</think>{EVIL}"},
        {"id": "open", "question": "q", "response": "<think>so"},
    ]
    runs.lines(tmp_path / "rows.jsonl", rows)
    runs.lines(
        tmp_path / "mix.jsonl", [{"id": f"m{n}", "question": "Hi", "response": "Hello!"} for n in range(30)]
    )
    (tmp_path / "s.toml").write_text(
        'name = "s"\n[train]\nmodel = "student"\n'
        '[[train.data]]\npath = "rows.jsonl"\n[[train.data]]\npath = "mix.jsonl"\nshare = 0.1\n'
        '[[train.stages]]\n[[train.stages]]\npreset = "answer_only"\n'
    )
    return tmp_path


def look(folder: Path, *arguments: Any, **changes: Any) -> mask.Mask:
    data = (TrainSource(path="rows.jsonl"), TrainSource(path="mix.jsonl", share=0.1))
    stages = (Stage(), Stage(preset="answer_only"))
    settings = students.train(data=data, stages=stages, **changes)
    return mask.look(settings, folder, *arguments)


def printed(found: mask.Mask, **options: Any) -> str:
    stream = io.StringIO()
    mask.show(found, Console(file=stream, width=100, highlight=False, **options))
    return stream.getvalue()


def test_shows_every_token_of_a_row_once(folder: Path) -> None:
    (row,) = look(folder, "t3").rows
    text = "".join(piece.text for piece in row.pieces)
    assert text.endswith(
        "What is 3?<|im_end|>\n<|im_start|>assistant\n<think>\nThe answer is 42.\n</think>\n\n42<|im_end|>"
    )
    assert sum(piece.tokens for piece in row.pieces) == row.tokens
    assert sum(piece.tokens * piece.weight for piece in row.pieces) == pytest.approx(row.mass)


def test_marks_special_tokens_and_tokens_over_a_boundary(folder: Path) -> None:
    (row,) = look(folder, "t3").rows
    assert {piece.text for piece in row.pieces if piece.special} == {"<|im_start|>", "<|im_end|>"}
    (over,) = [piece for piece in row.pieces if piece.straddles]
    assert (over.text, over.region, over.weight) == (".\n", "close", 5.0)
    assert "⟦.⏎" in printed(look(folder, "t3"))


def test_adds_up_the_loss_by_region_and_source(folder: Path) -> None:
    found = look(folder)
    assert sum(part.share for part in found.regions.values()) == pytest.approx(1.0)
    assert sum(part.share for part in found.sources.values()) == pytest.approx(1.0)
    assert found.sources["mix.jsonl"].share == pytest.approx(0.1, abs=0.03)
    assert found.regions["prompt"].mass == 0
    assert found.regions["close"].weight == 5
    assert found.regions["think"].rows == 7


def test_says_that_the_beginning_of_the_thinking_weighs_more(folder: Path) -> None:
    assert "the first 8 tokens of a thinking weigh 4 times as much" in printed(look(folder))
    assert look(folder, "", 1, 2).lead == ""  # answer_only


def test_lists_what_is_dropped(folder: Path) -> None:
    found = look(folder)
    assert found.dropped["the thinking is never closed"] == ("open",)
    assert "1 dropped: the thinking is never closed (open)" in printed(found)
    with pytest.raises(UserError, match="row 'open' is not trained on: the thinking is never closed"):
        look(folder, "open")
    with pytest.raises(UserError, match="no row has an id that begins with 'nothing'"):
        look(folder, "nothing")


def test_shows_a_stage(folder: Path) -> None:
    assert look(folder, "", 1, 2).regions["think"].mass == 0
    assert look(folder, "", 1, 1).regions["think"].mass > 0
    with pytest.raises(UserError, match="--stage 3: the recipe has 2 stages"):
        look(folder, "", 1, 3)


class Tags(html.parser.HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_escapes_what_models_wrote(folder: Path) -> None:
    page = mask.to_html(look(folder, "evil"), EVIL)
    seen = Tags()
    seen.feed(page)
    assert not seen.names & {"img", "script", "link", "iframe", "a"}
    assert not seen.attributes & {"src", "href", "onerror"}
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in printed(look(folder, "evil"))
    assert "[bold]" in printed(look(folder, "evil"))


def test_colours_the_regions(folder: Path) -> None:
    coloured = printed(look(folder, "t3"), force_terminal=True, color_system="standard")
    assert "\x1b[34m" in coloured, "thinking is blue"
    assert 'class="close straddles"' in mask.to_html(look(folder, "t3"), "t")


@pytest.mark.slow
def test_is_a_command(folder: Path) -> None:
    page = folder / "mask.html"
    done = tracegen("mask", folder / "s.toml", "--limit", "1", "--html", page)
    assert done.returncode == 0, done.stderr
    assert "share of the loss" in done.stdout
    assert page.read_text().startswith("<!doctype html>")
    done = tracegen("mask", folder / "s.toml", "--row", "t3", "--json", "--set", "train.preset=include")
    found = json.loads(done.stdout)
    assert [row["id"] for row in found["rows"]] == ["t3"]
    assert found["regions"]["close"]["weight"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "train.model=none"], "model 'none': there is no such directory"),
        (["--set", "train.data.0.path=none.jsonl"], "train.data.0: none.jsonl: no such file"),
        (["--set", "train.weights.prompt=1"], "the prompt is never trained"),
        (["--set", "train.preset=all"], "train.preset"),
        (["--set", "train.prompt=nonsense"], "prompt 'nonsense': no such prompt"),
        (["--set", "train.template=none.jinja"], "train.template: none.jinja: cannot be read"),
        (["--set", "train.max_tokens=5"], "nothing is left to train on"),
        (["--row", "nothing"], "no row has an id"),
        (["--html", "/no/such/folder/x.html"], "cannot be written"),
    ],
)
def test_says_in_one_line_what_is_wrong(folder: Path, arguments: list[str], message: str) -> None:
    assert message in one_line(tracegen("mask", folder / "s.toml", *arguments))


def test_needs_a_student(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('name = "s"\n')
    assert "has no [train] table" in one_line(tracegen("mask", tmp_path / "s.toml"))
