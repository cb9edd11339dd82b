"""The command line …"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import runs
from tests.hub_double import HubDouble
from tracegen.errors import UserError
from tracegen.store import Store

ROOT = Path(__file__).parents[1]


def tracegen(
    *arguments: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "tracegen", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        timeout=900,
        check=False,
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a recipe of three sums, two of them solved by recorded traces."""
    runs.problems(tmp_path, 3)
    runs.recorded(tmp_path / "first.jsonl", {0: [runs.right(0)], 1: [runs.right(1)], 2: [runs.wrong(2)]})
    runs.write_recipe(tmp_path)
    return tmp_path


def one_line(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The single line of an error. Fails if there is more, a traceback or another exit code."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    said = done.stderr.strip().splitlines()
    assert len(said) == 1, done.stderr
    return said[0]


def test_starts_light(tmp_path: Path) -> None:
    heavy = "torch|transformers|datasets|huggingface_hub|sympy|math_verify|docker|openai|pyarrow|vllm|rich"
    program = (
        "import sys, tracegen, tracegen.cli\n"
        f"found = [name for name in sys.modules if name.split('.')[0] in {heavy.split('|')!r}]\n"
        "sys.exit(', '.join(found) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["build", "plan", "status", "show", "push", "verify", "sandbox"])
def test_has_help_that_fits_a_screen(command: str) -> None:
    done = tracegen(command, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) <= 40
    assert "Usage: " in done.stdout


def test_says_what_there_is_when_nothing_is_asked() -> None:
    done = tracegen()
    assert done.returncode == 2
    assert "build" in done.stderr


@pytest.mark.slow
def test_builds_shows_and_reports(small: Path) -> None:
    done = tracegen("build", "recipe.toml", cwd=small)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "runs/sums/dataset"
    assert "2 of 3" in done.stderr
    assert "tracegen push runs/sums" in done.stderr
    status = json.loads(tracegen("status", "runs/sums", "--json", cwd=small).stdout)
    assert status["accepted"] == 2
    assert "2 of 3" in tracegen("status", "runs/sums", cwd=small).stdout
    shown = tracegen("show", "runs/sums", "--status", "rejected", "--json", cwd=small).stdout.splitlines()
    assert [json.loads(line)["problem_key"] for line in shown] == ["sum-2"]
    trace = json.loads(shown[0])["id"]
    assert "What is 2 + 3?" in tracegen("show", "runs/sums", trace[:8], cwd=small).stdout


@pytest.mark.slow
def test_builds_for_a_machine(small: Path) -> None:
    done = tracegen("build", "recipe.toml", "--json", "--output", "out", cwd=small)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] == 2


@pytest.mark.slow
def test_plans_without_spending(small: Path) -> None:
    done = tracegen("plan", "recipe.toml", "--json", cwd=small)
    assert json.loads(done.stdout)["stages"]["first"]["owed_now"] == 3
    assert not (small / "runs").exists()
    tracegen("build", "recipe.toml", cwd=small)
    assert "0 requests now" in tracegen("plan", "recipe.toml", cwd=small).stdout


@pytest.mark.slow
def test_says_that_no_trace_has_this_id(small: Path) -> None:
    tracegen("build", "recipe.toml", cwd=small)
    assert "no trace with an id" in one_line(tracegen("show", "runs/sums", "zzz", cwd=small))


BAD = {
    "missing recipe": (["build", "none.toml"], "none.toml: no such recipe"),
    "bad TOML": (["build", "bad.toml"], "bad.toml: not valid TOML"),
    "unknown key": (
        ["build", "recipe.toml", "--set", "teacher.sampling.temprature=1"],
        "teacher.sampling.temprature: unknown key - did you mean 'temperature'?",
    ),
    "wrong type": (
        ["build", "recipe.toml", "--set", "teacher.n=many"],
        "teacher.n: expected 'int', got 'str'",
    ),
    "missing problems": (
        ["build", "recipe.toml", "--set", "problems.0.path=none.jsonl"],
        "none.jsonl: no such file",
    ),
    "empty problem set": (["build", "recipe.toml", "--set", "problems.0.path=empty.jsonl"], "no rows"),
    "duplicate ids": (
        ["build", "recipe.toml", "--set", "problems.0.path=twice.jsonl"],
        "was already used at",
    ),
    "unparsable reference": (
        ["build", "recipe.toml", "--set", "problems.0.path=unparsable.jsonl"],
        "no problem can be asked",
    ),
    "unknown teacher": (["build", "recipe.toml", "--set", "teacher.kind=opnai"], "unknown teacher 'opnai'"),
    "unreachable endpoint": (
        [
            "build",
            "recipe.toml",
            "--set",
            "teacher={kind='openai', model='m', base_url='http://127.0.0.1:9/v1'}",
        ],
        "http://127.0.0.1:9/v1",
    ),
    "missing key": (
        ["build", "recipe.toml", "--set", "teacher={kind='openai', model='m', key_env='NO_SUCH_KEY'}"],
        "set NO_SUCH_KEY",
    ),
    "judge without a model": (
        ["build", "recipe.toml", "--set", "verify.judge={kind='openai'}"],
        "verify.judge.model: missing - name the model that judges",
    ),
    "judge without a build": (
        [
            "verify",
            "twice.jsonl",
            "--domain=math",
            "-c=question",
            "--set",
            "judge={kind='openai', model='m'}",
        ],
        "a judge is asked only in a build",
    ),
    "missing recording": (["build", "recipe.toml", "--set", "teacher.path=none.jsonl"], "none.jsonl"),
    "output is a file": (["build", "recipe.toml", "--output", "recipe.toml/run"], "cannot be written"),
    "not a run": (["status", "."], "not a run directory"),
    "unknown column": (
        ["verify", "problems.jsonl", "-r", "gold", "-c", "answer", "--domain", "math"],
        "--reference-column gold: no such column - the rows have id, question, answer",
    ),
    "no domain": (["verify", "problems.jsonl", "-r", "answer", "-c", "answer"], "--domain: not given"),
    "unknown layout": (["verify", "problems.jsonl", "--layout", "gsm9k"], "--layout gsm9k: unknown"),
    "unknown option": (["build", "--fast"], "No such option"),
    "prompt is missing": (["build", "recipe.toml", "--set", "teacher.prompts.math=nope"], "nope"),
}


SLOW = ("unreachable endpoint", "missing key", "unparsable reference")
"""Those that have to ask somebody, or to load the verifier."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in BAD],
    ids=[name.replace(" ", "_") for name in BAD],
)
def test_says_bad_input_in_one_line_and_spends_nothing(small: Path, case: str) -> None:
    (small / "bad.toml").write_text("name = \n")
    (small / "empty.jsonl").write_text("")
    row = {"id": "a", "question": "q", "answer": "1"}
    runs.lines(small / "twice.jsonl", [row, {**row, "question": "r"}])
    runs.lines(small / "unparsable.jsonl", [{**row, "answer": "\\frac{1}{"}])
    arguments, expected = BAD[case]
    assert expected in one_line(tracegen(*arguments, cwd=small))
    assert not list(small.rglob("dataset"))


def test_says_that_a_directory_cannot_be_written(small: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/proc/run")
    else:
        folder = small / "closed"
        folder.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
        folder = folder / "run"
    assert "cannot be written" in one_line(tracegen("build", "recipe.toml", "--output", folder, cwd=small))


@pytest.mark.slow
def test_needs_a_sandbox_for_code_and_says_so(small: Path) -> None:
    runs.lines(small / "code.jsonl", [{"question": "double", "tests": ["assert double(1) == 2"]}])
    done = tracegen(
        "build",
        "recipe.toml",
        "--set",
        "problems=[{path='code.jsonl', domain='code'}]",
        cwd=small,
        DOCKER_HOST="unix:///nowhere.sock",
    )
    assert "code problems need the sandbox" in one_line(done)


def responses(directory: Path) -> int:
    """Responses that a build has stored so far."""
    try:
        with Store(directory, write=False) as store:
            return store.counts()["responses"]
    except (UserError, sqlite3.OperationalError):
        return 0


@pytest.mark.slow
def test_drains_at_an_interrupt_and_says_how_to_go_on(tmp_path: Path) -> None:
    runs.problems(tmp_path, 400)
    runs.recorded(tmp_path / "first.jsonl", {n: [runs.wrong(n)] for n in range(400)})
    runs.write_recipe(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "tracegen", "build", "recipe.toml"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and responses(tmp_path / "runs" / "sums") < 20:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "To go on: tracegen build recipe.toml" in said
    assert tracegen("build", "recipe.toml", cwd=tmp_path).returncode == 0


def test_is_what_the_readme_says() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in (
        "build",
        "plan",
        "status",
        "show",
        "push",
        "verify",
        "train",
        "evaluate",
        "distill",
        "sandbox",
    ):
        assert f"`tracegen {command}" in readme, command


LOAD = """
import sys, datasets
for config in sys.argv[2:]:
    loaded = datasets.load_dataset(sys.argv[1], config)
    print(config, sum(split.num_rows for split in loaded.values()))
"""


@pytest.mark.slow
def test_pushes_a_run_that_anybody_may_load(small: Path) -> None:
    pytest.importorskip("datasets", reason="the hub extra is not installed")
    tracegen("build", "recipe.toml", cwd=small)
    with HubDouble() as hub:
        environment = {**hub.environment(), "HF_HOME": str(small / "home")}
        first = tracegen("push", "runs/sums", "someone/sums", "--json", cwd=small, **environment)
        assert first.returncode == 0, first.stderr
        assert json.loads(first.stdout)["changed"] is True
        again = tracegen("push", "runs/sums", "someone/sums", cwd=small, **environment)
        assert "unchanged" in again.stderr
        loaded = subprocess.run(
            [sys.executable, "-c", LOAD, "someone/sums", "verified", "rejected", "all"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    assert loaded.stdout.split() == ["verified", "2", "rejected", "1", "all", "3"], loaded.stderr


@pytest.mark.slow
def test_refuses_to_push_to_what_is_no_repository(small: Path) -> None:
    tracegen("build", "recipe.toml", cwd=small)
    assert "user/name" in one_line(tracegen("push", "runs/sums", "no repository", cwd=small, HF_TOKEN="hf_x"))
