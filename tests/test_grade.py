"""`tracegen verify` …"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import runs
from tests.test_cli import one_line, tracegen

GRADED = [
    ("18", "18", "correct"),
    ("18", "17", "incorrect"),
    ("\\frac{1}{2}", "0.5", "correct"),
    ("5 \\text{ cm}", "5 \\text{ m}", "incorrect"),
]


def verdicts(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_writes_one_row_for_each_in_their_order(tmp_path: Path) -> None:
    runs.lines(
        tmp_path / "a.jsonl", [{"id": f"r{n}", "gold": g, "pred": p} for n, (g, p, _) in enumerate(GRADED)]
    )
    done = tracegen(
        "verify", "a.jsonl", "--reference-column", "gold", "--response-column", "pred",
        "--domain", "math", "--bare", "--out", "v.jsonl", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = verdicts((tmp_path / "v.jsonl").read_text())
    assert [row["id"] for row in found] == ["r0", "r1", "r2", "r3"]
    assert [row["outcome"] for row in found] == [outcome for _, _, outcome in GRADED]
    assert list(found[0])[:6] == ["id", "outcome", "cause", "extracted", "milliseconds", "trust"]
    assert "4  rows" in done.stderr


@pytest.mark.slow
def test_reads_thinking_and_answers_of_whole_traces(tmp_path: Path) -> None:
    runs.lines(
        tmp_path / "a.jsonl",
        [
            {"answer": "1", "response": runs.right(0)},
            {"answer": "1", "response": runs.wrong(0)},
            {"answer": "1", "response": runs.unclosed(0)},
            {"answer": "1", "response": None},
            {"answer": None, "response": "1"},
        ],
    )
    done = tracegen("verify", "a.jsonl", "--domain", "math", cwd=tmp_path)
    found = verdicts(done.stdout)
    assert [(row["id"], row["outcome"]) for row in found] == [
        (0, "correct"),
        (1, "incorrect"),
        (2, "no_answer"),
        (3, "no_answer"),
        (4, "unverifiable"),
    ]
    assert [row["cause"] for row in found[2:]] == ["think_unclosed", "no_response", "bad_reference"]


@pytest.mark.slow
def test_keeps_a_row_for_a_line_that_is_not_json(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"answer": "1", "response": "1"}\n{broken\n')
    found = verdicts(tracegen("verify", "a.jsonl", "--domain", "math", "--bare", cwd=tmp_path).stdout)
    assert [row["cause"] for row in found][1] == "bad_row"


@pytest.mark.slow
def test_goes_on_after_the_last_whole_row(tmp_path: Path) -> None:
    runs.lines(tmp_path / "a.jsonl", [{"answer": "1", "response": "1"}] * 5)
    arguments = ("verify", "a.jsonl", "--domain", "math", "--bare", "--out", "v.jsonl")
    tracegen(*arguments, cwd=tmp_path)
    whole = (tmp_path / "v.jsonl").read_text()
    from tracegen.grade import Judgement, _keep_whole_lines

    partial = tmp_path / ".v.partial"
    partial.write_text(whole[:-20])
    kept = _keep_whole_lines(partial)
    assert len(kept) == 4
    assert all(isinstance(one, Judgement) for one in kept)
    assert partial.read_text() == "".join(whole.splitlines(keepends=True)[:4])


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["gsm8k"])
def test_knows_the_usual_columns(tmp_path: Path, layout: str) -> None:
    solution = "Janet sells 16 - 3 - 4 = 9 eggs.\n#### 18"
    runs.lines(tmp_path / "a.jsonl", [{"question": "q", "answer": solution, "response": "so \\boxed{18}"}])
    done = tracegen("verify", "a.jsonl", "--layout", layout, cwd=tmp_path)
    assert verdicts(done.stdout)[0]["outcome"] == "correct", done.stderr


def test_refuses_a_file_without_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    done = tracegen("verify", "a.jsonl", "-r", "a", "-c", "b", "--domain", "math", cwd=tmp_path)
    assert "no rows" in one_line(done)


def test_refuses_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    runs.lines(tmp_path / "a.jsonl", [{"answer": "1", "response": "1"}])
    done = tracegen("verify", "a.jsonl", "--domain", "math", "--out", "none/v.jsonl", cwd=tmp_path)
    assert "cannot be written" in one_line(done)


def test_refuses_code_without_a_sandbox(tmp_path: Path) -> None:
    runs.lines(tmp_path / "a.jsonl", [{"tests": ["assert f(1) == 1"], "response": "def f(x): return x"}])
    done = tracegen("verify", "a.jsonl", "--domain", "code", cwd=tmp_path, DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


@pytest.mark.docker
def test_judges_programs(tmp_path: Path) -> None:
    tests = ["assert double(2) == 4", "assert double(-1) == -2"]
    runs.lines(
        tmp_path / "a.jsonl",
        [
            {"tests": tests, "response": "def double(x):\n    return 2 * x"},
            {"tests": tests, "response": "def double(x):\n    return x + 2"},
            {"tests": [["3\n", "6\n"]], "response": "print(2 * int(input()))"},
        ],
    )
    done = tracegen("verify", "a.jsonl", "--domain", "code", "--bare", cwd=tmp_path)
    assert [row["outcome"] for row in verdicts(done.stdout)] == ["correct", "incorrect", "correct"], (
        done.stderr
    )
