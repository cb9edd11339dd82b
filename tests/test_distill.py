"""A distillation over rounds …"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from tests import runs, tiny
from tests.endpoint_double import Endpoint, say
from tests.test_cli import ROOT, one_line, tracegen
from tracegen import distill as distilling
from tracegen.distill import Curve, curve
from tracegen.distill.settings import asked_student
from tracegen.errors import InfraError, UserError
from tracegen.store import Store
from tracegen.student import Kd

pytestmark = pytest.mark.model
PROBLEMS = 8
GREEDY = {"max_tokens": 24, "temperature": 0.0}
TRAIN: dict[str, Any] = {
    "model": "base",
    "prompt": "bare",
    "dtype": "float32",
    "max_tokens": 400,
    "batch_tokens": 1000,
    "epochs": 2,
    "learning_rate": 1e-3,
    "validation_share": 0.1,
    "monitor": {"action": "off"},
}
STUDENT = {"kind": "transformers", "sampling": GREEDY}
EVALUATE: dict[str, Any] = {
    "engine": "transformers",
    "sampling": GREEDY,
    "prompts": {"math": "bare"},
    "problems": [{"name": "sums", "path": "problems.jsonl", "limit": 4}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny base, eight sums, recorded traces that solve six of them, and a recipe."""
    tiny.tiny_student(tmp_path / "base")
    runs.problems(tmp_path, PROBLEMS)
    traces = {n: [runs.right(n) if n % 4 else runs.wrong(n)] for n in range(PROBLEMS)}
    runs.recorded(tmp_path / "first.jsonl", traces)
    write(tmp_path)
    return tmp_path


def write(folder: Path, **tables: Any) -> None:
    given: dict[str, Any] = {"publish": {"test_share": 0.0}, "train": TRAIN, "distill": {"student": STUDENT}}
    runs.write_recipe(folder, **{**given, **tables})


def distilled(folder: Path, rounds: int = 2, *overrides: str) -> tuple[Curve, runs.Silent]:
    """The rounds of the recipe, gone through in this process, and what the watcher was told."""
    watch = runs.Silent()
    task = distilling.prepare(folder / "recipe.toml", overrides, rounds, folder / "out")
    found, ended = distilling.distill(task, watch)
    assert ended == "done", watch.notes
    return found, watch


def requests(directory: Path) -> list[Any]:
    with Store(directory, write=False) as store:
        return list(store.requests())


def recipe_of(directory: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads((directory / "recipe.toml").read_text())


def test_asks_the_recipes_teacher_first_and_then_the_student(folder: Path) -> None:
    found, _ = distilled(folder)
    one, two = found.rounds
    assert (one.teacher, two.teacher) == ("recorded", "sums-1")
    assert (one.sampled.problems, one.sampled.solved, one.sampled.verified) == (8, 6, 6)
    assert one.sampled.pass_rate.value == 0.75
    assert one.sampled.classes["ok"] == 8
    assert (one.trained.rows, two.sampled.problems) == (6, 8)
    assert 0 < one.trained.tokens < 6 * 400
    assert recipe_of(folder / "out/runs/sums-2")["teacher"]["model"] == "../../students/sums-1"
    written = json.loads((folder / "out/curve.json").read_bytes())
    assert written == json.loads(curve.to_json(found))
    page = (folder / "out/report.html").read_text()
    assert "6 of 8" in page and "<script" not in page and str(folder) not in page


def test_asks_a_student_the_text_that_it_was_trained_on(folder: Path) -> None:
    distilled(folder, 2)
    asked = requests(folder / "out/runs/sums-2")
    assert {len(request.messages) for request in asked} == {1}
    assert {request.messages[0].content for request in asked} == {
        f"What is {n} + {n + 1}?" for n in range(PROBLEMS)
    }
    assert {request.prefill for request in asked} == {""}
    forced = (folder / "forced").resolve()
    task = distilling.prepare(folder / "recipe.toml", ("teacher.elicit.mode=forced",), 2, forced)
    assert distilling.asked_student(task, 1).elicit.mode == "forced"


def test_does_nothing_again_that_is_done(folder: Path) -> None:
    first, _ = distilled(folder)
    again, watch = distilled(folder)
    assert again == first
    assert (watch.requests, watch.notes) == ([], [])
    longer, watch = distilled(folder, 3)
    assert longer.rounds[:2] == first.rounds
    assert [note for note in watch.notes if note.startswith("round")] == [
        "round 3 of 3: sums-2 is asked",
        f"round 3 of 3: {(folder / 'out/students/sums-3').resolve()} is trained",
    ]


def test_trains_the_base_on_all_rounds_or_goes_on_with_the_last(folder: Path) -> None:
    home = folder / "out/students/sums-2"
    distilled(folder)
    train = recipe_of(home)["train"]
    assert train["model"] == "base"
    assert [Path(source["path"]).name for source in train["data"]] == ["sums-1"], "round 2 verified nothing"
    write(folder, distill={"student": STUDENT, "start": "last"})
    task = distilling.prepare(folder / "recipe.toml", (), 2, folder / "other")
    again = distilling.settings_of(task, 2).train
    assert again is not None and again.model == str(folder / "other/students/sums-1")


def test_trains_the_same_words_once(folder: Path) -> None:
    write(folder, train={**TRAIN, "data": [{}, {"path": "first.jsonl"}]})
    found, _ = distilled(folder, 1)
    checks = json.loads((folder / "out/students/sums-1/checks.json").read_text())
    rows = next(one for one in checks if one["name"] == "rows")
    assert (rows["numbers"]["left out: said before"], found.rounds[0].trained.rows) == (6, 8)


def test_says_so_where_a_round_leaves_nothing_to_train_on(folder: Path) -> None:
    write(folder, distill={"student": STUDENT, "data": "last"})
    with pytest.raises(InfraError, match="round 2: no trace of it can be trained on"):
        distilled(folder)


def test_asks_the_base_once_for_the_evaluations_of_all_rounds(folder: Path) -> None:
    write(folder, evaluate=EVALUATE)
    found, _ = distilled(folder)
    assert [score.problems for one in found.rounds for score in one.evaluated] == [4, 4]
    assert all(score.base is not None and score.p == 1.0 for one in found.rounds for score in one.evaluated)
    assert len(requests(folder / "out/evaluations/base")) == 4
    assert not (folder / "out/evaluations/sums-2/base").exists()
    write(folder, evaluate={**EVALUATE, "problems": [{**EVALUATE["problems"][0], "limit": 6}]})
    more, watch = distilled(folder)
    assert [score.problems for one in more.rounds for score in one.evaluated] == [6, 6]
    assert len(watch.requests) == 6, "two more problems, of two students and the base"


def test_pays_a_second_teacher_once_for_the_same_request(folder: Path) -> None:
    with Endpoint() as endpoint:
        endpoint.default = lambda _: say("<think>\nI cannot say.\n</think>\n\nIt is \\boxed{0}.")
        recovery = {"kind": "openai", "model": "double", "base_url": endpoint.url}
        write(folder, recovery=recovery)
        distilled(folder, 3)
        served = Counter(request["messages"][-1]["content"] for request in endpoint.requests)
    assert set(served.values()) == {1}
    assert len(served) == PROBLEMS, (
        "two problems of the first round, the rest of the second, none of the third"
    )
    with Store(folder / "out/runs/sums-3", write=False) as store:
        assert store.paid_twice() == 0
        assert store.counts()["responses"] == 2 * PROBLEMS


def test_ends_where_a_monitor_stops_a_training(folder: Path) -> None:
    monitor = {"action": "stop", "stop_close_at_once": 0.0, "prompts": 2, "budgets": [4], "every": 1}
    write(folder, train={**TRAIN, "monitor": monitor})
    done = tracegen("distill", "recipe.toml", "--rounds", "2", cwd=folder)
    assert done.returncode == 1, done.stderr
    assert "round 1: its monitor stopped the training" in done.stderr
    assert not (folder / "distilled/sums/runs/sums-2").exists()


def test_prints_the_curve(folder: Path) -> None:
    done = tracegen("distill", "recipe.toml", "--rounds", "1", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "problems solved" in done.stdout and "6 of 8" in done.stdout
    done = tracegen("distill", "recipe.toml", "--rounds", "1", "--json", cwd=folder)
    assert json.loads(done.stdout)["rounds"][0]["sampled"]["solved"] == 6
    planned = tracegen("distill", "recipe.toml", "--rounds", "2", "--plan", cwd=folder)
    assert "round 1 (done)" in planned.stdout and "8 requests now" in planned.stdout


@pytest.mark.parametrize("change", ["gone", "edited", "recipe"])
def test_refuses_to_go_on_from_what_was_changed(folder: Path, change: str) -> None:
    distilled(folder, 1)
    home = folder / "out/students/sums-1"
    if change == "gone":
        home.rename(folder / "elsewhere")
    elif change == "edited":
        (home / "generation_config.json").write_text("{}")
    else:
        write(folder, train={**TRAIN, "epochs": 3})
    says = {"gone": "is gone", "edited": "has been changed", "recipe": "round 1 is done, with another recipe"}
    with pytest.raises(UserError, match=says[change]) as caught:
        distilled(folder, 2)
    assert len(str(caught.value).splitlines()) == 1
    assert not (folder / "out/runs/sums-2").exists()


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "no train": (("train={}",), "has no [train] table"),
    "no teacher": (("teacher={}",), "has no [teacher] table"),
    "no model": (("train.model=nowhere",), "there is no such directory"),
    "an adapter alone": (("train.lora={merge=false}",), "train.lora.merge"),
    "no own run": (("train.data=[{path='first.jsonl'}]",), "no source is the run itself"),
    "soft targets of nobody": (("train.method={kind='kd'}",), "teacher.logprobs: train.method.kind"),
    "soft targets over other tokens": (
        ("train.method={kind='kd'}", "teacher={kind='transformers', model='other', logprobs=4}"),
        "other has another tokenizer than base",
    ),
    "a template without prompt": (("train.template=silent.jinja",), "no generation prompt"),
    "weights that never close": (("train.weights={close=0.0}",), "the student would never close"),
    "worked examples": (
        ("teacher.elicit.mode=forced", "train.prompt=math_one_example"),
        "set train.prompt to one without worked examples",
    ),
    "other tags": (
        ("teacher.elicit.mode=forced", "distill.student.elicit.open='<thought>'"),
        "would be asked '<thought>\\n' where it is trained on '<think>",
    ),
    "a prompt of its own": (("distill.student.prompts={math='math'}",), "set train.prompt"),
    "an endpoint as student": (("distill.student.kind=openai",), "'openai' cannot load a student"),
    "too long for its context": (("distill.student.sampling.max_tokens=4096",), "a context of 2048"),
    "another model to evaluate": (("evaluate.model=base",), "evaluate.model"),
    "missing evaluation": (
        ("evaluate.problems=[{name='none', path='none.jsonl'}]",),
        "none.jsonl: no such file",
    ),
    "unknown key": (("distill.strat=last",), "did you mean 'start'?"),
    "unknown teacher key": (("distill.student.temprature=1",), "distill.student: teacher.temprature"),
}


@pytest.mark.parametrize("case", BAD, ids=[name.replace(" ", "_") for name in BAD])
def test_refuses_in_one_line_before_anything_is_spent(folder: Path, case: str) -> None:
    (folder / "silent.jinja").write_text("{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}")
    tiny.tiny_student(folder / "other")
    vocabulary = json.loads((folder / "other" / "tokenizer.json").read_text())
    vocabulary["added_tokens"][-1]["content"] = "<|another|>"
    (folder / "other" / "tokenizer.json").write_text(json.dumps(vocabulary))
    overrides, expected = BAD[case]
    with pytest.raises(UserError) as caught:
        distilling.prepare(folder / "recipe.toml", overrides, 2, folder / "out")
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not (folder / "out").exists()


def test_rehearses_a_training_on_soft_targets(folder: Path) -> None:
    teacher = "teacher={kind='transformers', model='base', logprobs=4, prompts={math='bare'}}"
    task = distilling.prepare(
        folder / "recipe.toml", ("train.method={kind='kd'}", teacher), 2, folder / "out"
    )
    assert task.train.method == Kd()
    assert asked_student(task, 1).logprobs == 4


def test_refuses_several_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="distill runs in one process"):
        distilling.prepare(folder / "recipe.toml", (), 2, folder / "out")


def test_says_a_mistake_on_one_line_of_the_terminal(folder: Path) -> None:
    no_rounds = one_line(tracegen("distill", "recipe.toml", "--rounds", "0", cwd=folder))
    assert "0 is not in the range x>=1" in no_rounds
    done = tracegen("distill", "recipe.toml", "--rounds", "2", "--set", "train.model=nowhere", cwd=folder)
    assert "there is no such directory" in one_line(done)
    assert not list(folder.rglob("run.sqlite"))


@pytest.mark.slow
def test_loses_and_repeats_nothing_when_it_is_killed(folder: Path) -> None:
    """Killed while it samples, while it trains, and while its student is asked."""

    def right(given: Any) -> Any:
        number = int(given["messages"][-1]["content"].split()[2])
        return say(runs.right(number) if number % 4 else runs.wrong(number))

    out = folder / "distilled/sums"
    begun = [
        out / "runs/sums-1/run.sqlite",
        out / "students/sums-1/training.json",
        out / "runs/sums-2/run.sqlite",
    ]
    with Endpoint() as endpoint:
        endpoint.default = right
        teacher = {"kind": "openai", "model": "double", "base_url": endpoint.url, "concurrency": 2}
        write(folder, teacher=teacher, evaluate=EVALUATE)
        for file in begun:
            killed_at(file, folder)
        done = tracegen("distill", "recipe.toml", "--rounds", "2", "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
        served = Counter(request["messages"][-1]["content"] for request in endpoint.requests)
    assert len(served) == PROBLEMS
    assert sum(served.values()) <= PROBLEMS + 2, "at most what was in flight"
    for directory in (out / "runs/sums-1", out / "runs/sums-2", out / "evaluations/base"):
        with Store(directory, write=False) as store:
            assert store.paid_twice() == 0
    rounds = json.loads(done.stdout)["rounds"]
    assert [one["sampled"]["problems"] for one in rounds] == [PROBLEMS, PROBLEMS]


def killed_at(file: Path, folder: Path) -> None:
    """Start the rounds, and kill them as soon as `file` is there."""
    command = [sys.executable, "-m", "tracegen", "distill", "recipe.toml", "--rounds", "2"]
    child = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
    )
    limit = time.monotonic() + 120
    while not file.exists():
        assert child.poll() is None and time.monotonic() < limit
        time.sleep(0.005)
    time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()


def test_trains_on_compact_traces_where_it_is_told_to(folder: Path) -> None:
    with Endpoint() as endpoint:
        endpoint.default = lambda _: say("<compact>\nJust add.\n</compact>\n\nIt is \\boxed{3}.")
        write(folder, rewrite={"kind": "openai", "model": "double", "base_url": endpoint.url})
        distilled(folder, 1)
        assert endpoint.requests == [], "nothing is rewritten that is not trained on"
        task = distilling.prepare(folder / "recipe.toml", (), 1, folder / "compact", rewrite=True)
        found, _ = distilling.distill(task, runs.Silent())
        assert len(endpoint.requests) == 6
    (one,) = found.rounds
    assert (one.sampled.verified, one.sampled.rewritten, one.trained.rows) == (6, 1, 6)
    assert (one.sampled.words_before, one.sampled.words_after) == (13, 2)
    data = recipe_of(folder / "compact/students/sums-1")["train"]["data"]
    assert [source["config"] for source in data] == ["compact"]


def test_needs_somebody_who_rewrites(folder: Path) -> None:
    done = tracegen("distill", "recipe.toml", "--rounds", "1", "--rewrite", cwd=folder)
    assert "has no [rewrite] table" in one_line(done)
