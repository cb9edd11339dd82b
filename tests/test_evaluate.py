"""An evaluation …"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import runs
from tests.endpoint_double import Answer, Endpoint, Fault, Json, say
from tests.test_cli import ROOT, one_line, tracegen
from tracegen.errors import TeacherError, UserError
from tracegen.evaluate import Evaluation, evaluate, prepare, settings_of
from tracegen.evaluate.overlap import overlaps
from tracegen.evaluate.results import Group
from tracegen.store import Store

EASY = ["--set", "verify.workers=1"]


def compared(
    folder: Path,
    model: str = "student.jsonl",
    against: str = "base.jsonl",
    sets: Sequence[tuple[str, str]] = (("in", "sums=problems.jsonl"),),
    overrides: Sequence[str] = (),
    **changes: Any,
) -> Evaluation:
    """Evaluate in a folder as the command would, into folder/evaluation."""

    def inside(text: str) -> str:
        return str(folder / text) if text.endswith((".jsonl", "/run")) else text

    found, base = settings_of(
        inside(model),
        inside(against),
        [(kind, text.replace("=", f"={folder}/")) for kind, text in sets],
        changes,
        ("verify.workers=1", *overrides),
    )
    return evaluate(prepare(found, base, folder / "evaluation"), runs.Silent())[0]


def group(evaluation: Evaluation, by: str, name: str) -> Group:
    return next(group for group in evaluation.groups if (group.by, group.name) == (by, name))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Twelve sums: the student solves 0 to 8 and never closes the rest; the base solves every third."""
    runs.problems(tmp_path, 12)
    student = {n: [runs.right(n)] if n < 9 else [runs.unclosed(n)] for n in range(12)}
    base = {n: [runs.right(n)] if n % 3 == 0 else [runs.wrong(n)] for n in range(12)}
    runs.recorded(tmp_path / "student.jsonl", student)
    runs.recorded(tmp_path / "base.jsonl", base)
    return tmp_path


@pytest.mark.slow
def test_compares_a_student_with_its_base(recorded: Path) -> None:
    found = group(compared(recorded), "set", "sums")
    assert found.base is not None and found.paired is not None
    assert (found.model.problems, found.model.pass_1.value) == (12, 0.75)
    assert found.base.pass_1.value == pytest.approx(1 / 3)
    assert (found.paired.won, found.paired.lost) == (6, 1)
    assert found.paired.p == pytest.approx(0.125)
    assert found.paired.difference.value == pytest.approx(5 / 12)


@pytest.mark.slow
def test_lists_what_was_lost_and_won(recorded: Path) -> None:
    changes = compared(recorded).changes
    assert [change.key for change in changes if change.what == "lost"] == ["sum-9"]
    won = {change.key for change in changes if change.what == "won"}
    assert won == {"sum-1", "sum-2", "sum-4", "sum-5", "sum-7", "sum-8"}
    assert (changes[0].base_class, changes[0].model_class) == ("ok", "answer_in_think")
    assert "Wait, let me" in changes[0].model


@pytest.mark.slow
def test_says_how_each_side_thinks(recorded: Path) -> None:
    model, base = compared(recorded).thinking
    assert (model.side, base.side) == ("model", "base")
    assert {name: count for name, count in model.classes.items() if count} == {"ok": 9, "answer_in_think": 3}
    assert base.classes["ok"] == 12
    assert model.words is not None and model.words.p50 == 13
    assert model.follows == {"last": 9, "occurs": 0, "absent": 0}


@pytest.mark.slow
def test_tells_an_answer_that_does_not_follow(tmp_path: Path) -> None:
    runs.problems(tmp_path, 3)
    texts = {
        0: "<think>\nIt is 2 - 1, so 1.\n</think>\n\nThe answer is \\boxed{1}.",
        1: "<think>\nIt is 3, and one more would be 4.\n</think>\n\nThe answer is \\boxed{3}.",
        2: "<think>\nIt must be 9.\n</think>\n\nThe answer is \\boxed{5}.",
    }
    runs.recorded(tmp_path / "student.jsonl", {n: [text] for n, text in texts.items()})
    (model,) = compared(tmp_path, against="").thinking
    assert model.follows == {"last": 1, "occurs": 1, "absent": 1}


@pytest.mark.slow
def test_follows_by_the_verifiers_equality(tmp_path: Path) -> None:
    runs.lines(tmp_path / "problems.jsonl", [{"question": "What is 1 + 1?", "answer": "1/2"}])
    text = "<think>\nSo the answer is \\boxed{\\frac{1}{2}}.\n</think>\n\nThe answer is \\boxed{0.5}."
    runs.lines(tmp_path / "student.jsonl", [{"question": "What is 1 + 1?", "response": text}])
    (model,) = compared(tmp_path, against="").thinking
    assert model.follows["last"] == 1


@pytest.mark.slow
def test_counts_more_samples(tmp_path: Path) -> None:
    runs.problems(tmp_path, 2)
    mixed = [runs.right(0), runs.right(0) + " ", runs.wrong(0), "<think>\nno\n</think>\n\nI do not know"]
    runs.recorded(tmp_path / "student.jsonl", {0: mixed, 1: [runs.wrong(1)] * 3 + [runs.right(1)]})
    score = group(compared(tmp_path, against="", n=4), "set", "sums").model
    assert score.pass_1.value == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert score.pass_k == {"2": pytest.approx((5 / 6 + 1 / 2) / 2), "4": 1.0}
    assert score.majority == 0.5


@pytest.mark.slow
def test_takes_a_class_apart_by_kind_source_and_difficulty(recorded: Path) -> None:
    rows = [
        {
            "question": f"What is {n} + {n + 1}?",
            "answer": str(2 * n + 1),
            "from": "ab"[n % 2],
            "level": f"L{n // 6}",
        }
        for n in range(12)
    ]
    runs.lines(recorded / "problems.jsonl", rows)
    runs.lines(recorded / "other.jsonl", rows[:4])
    found = compared(
        recorded,
        sets=(("in", "sums=problems.jsonl"), ("general", "other=other.jsonl")),
        overrides=('evaluate.problems.0.columns={source="from"}', "evaluate.problems.0.difficulty=level"),
    )
    names = [(group.by, group.name, group.model.problems) for group in found.groups]
    assert ("kind", "general", 4) in names
    assert ("all", "all", 12) in names
    assert ("source", "a", 6) in names
    assert [name for name in names if name[0] == "difficulty"] == [
        ("difficulty", "L0", 6),
        ("difficulty", "L1", 6),
    ]


@pytest.mark.slow
def test_takes_the_bases_pass_rate_for_the_difficulty_that_is_not_told(recorded: Path) -> None:
    found = compared(recorded)
    hard = group(found, "difficulty", "solved by the base under 1/4")
    assert found.by_base_rate
    assert (hard.model.problems, hard.base and hard.base.pass_1.value) == (8, 0.0)


@pytest.mark.slow
def test_counts_what_was_trained_on_beside_each_number(recorded: Path) -> None:
    trained = [{"question": f"what is {n} + {n + 1} ?"} for n in (0, 10, 11)]
    runs.lines(recorded / "trained.jsonl", [*trained, {"messages": [{"role": "user", "content": "other"}]}])
    clean = group(compared(recorded, trained_on=(str(recorded / "trained.jsonl"),)), "set", "sums").clean
    assert clean is not None and clean.model is not None and clean.base is not None
    assert (clean.overlapping, clean.exact) == (3, 3)
    assert clean.model.value == pytest.approx(8 / 9)
    assert clean.base.value == pytest.approx(3 / 9)


@pytest.mark.slow
def test_gives_no_rate_where_everything_was_trained_on(recorded: Path) -> None:
    found = compared(recorded, against="", trained_on=(str(recorded / "problems.jsonl"),))
    clean = group(found, "set", "sums").clean
    assert clean is not None
    assert (clean.overlapping, clean.model) == (12, None)
    assert "12 of 12; none is left" in (recorded / "evaluation" / "report.html").read_text()


@pytest.mark.slow
def test_reads_the_training_set_of_a_run(recorded: Path) -> None:
    runs.write_recipe(
        recorded, teacher={"kind": "replay", "path": "student.jsonl"}, publish={"test_share": 0.5}
    )
    assert tracegen("build", "recipe.toml", "--output", "run", cwd=recorded).returncode == 0
    clean = group(compared(recorded, trained_on=(str(recorded / "run"),)), "set", "sums").clean
    assert clean is not None
    assert 0 < clean.overlapping < 9


LONG = (
    "Tom has twelve red apples and gives five of them to Ann who eats two and keeps the other three for later"
)


@pytest.mark.parametrize(
    ("question", "trained", "found"),
    [
        ("What is 2 + 3?", "what is 2+3", "exact"),
        ("What is 2 + 3?", "First, what is 2 + 3?", None),
        (LONG, LONG.upper() + "!", "exact"),
        (LONG, "Once upon a time " + " ".join(LONG.split()[:13]) + " and no more", "ngram"),
        (LONG, " ".join(LONG.split()[:12]) + " and no more", None),
        ("Ann sold nine pens. How many are left?", "Ann sold nine pens. How many are left? Think!", "ngram"),
        ("Ann sold nine pens. How many are left?", "Bob sold nine pens. How many are left?", None),
    ],
)
def test_finds_questions_among_the_trained_ones(question: str, trained: str, found: str | None) -> None:
    assert overlaps({"q": question}, ["something else entirely", trained]).get("q") == found


@pytest.mark.slow
def test_asks_an_endpoint_and_pays_nothing_twice(tmp_path: Path) -> None:
    runs.problems(tmp_path, 4)
    with Endpoint(models=("student", "base")) as endpoint:

        def answer(request: Json) -> Answer:
            question = request["messages"][-1]["content"].split()
            total = int(question[2]) + int(question[4].rstrip("?"))
            right = request["model"] == "student"
            return say(f"<think>\nWe add them.\n</think>\n\nThe answer is \\boxed{{{total + (not right)}}}.")

        endpoint.default = answer
        first = compared(tmp_path, f"student@{endpoint.url}", f"base@{endpoint.url}")
        assert len(endpoint.requests) == 8
        again = compared(tmp_path, f"student@{endpoint.url}", f"base@{endpoint.url}")
        assert len(endpoint.requests) == 8
    assert first == again
    found = group(first, "set", "sums")
    assert found.paired is not None
    assert (found.paired.won, found.paired.lost) == (4, 0)
    assert {side.model for side in first.sides.values()} == {"student", "base"}


@pytest.mark.slow
def test_goes_on_where_it_died(tmp_path: Path) -> None:
    runs.problems(tmp_path, 4)
    with Endpoint(models=("student", "base")) as endpoint:
        endpoint.default = lambda request: (
            say("\\boxed{1}") if request["model"] == "student" else Fault.status(401, "the key was revoked")
        )
        with pytest.raises(TeacherError, match="401"):
            compared(tmp_path, f"student@{endpoint.url}", f"base@{endpoint.url}")
        assert not (tmp_path / "evaluation" / "results.json").exists()
        endpoint.requests.clear()
        endpoint.default = lambda _: say("\\boxed{1}")
        found = compared(tmp_path, f"student@{endpoint.url}", f"base@{endpoint.url}")
        assert {request["model"] for request in endpoint.requests} == {"base"}
    assert group(found, "set", "sums").model.problems == 4
    with Store(tmp_path / "evaluation" / "model", write=False) as store:
        assert store.counts()["repeated"] == 0


@pytest.mark.slow
def test_asks_after_a_kill_only_for_what_was_in_flight(tmp_path: Path) -> None:
    runs.problems(tmp_path, 6)
    with Endpoint(models=("student", "base")) as endpoint:
        slow = Answer(body=say("\\boxed{1}").body, hang=0.3)
        endpoint.default = lambda _: slow
        sides = (f"student@{endpoint.url}", "--against", f"base@{endpoint.url}")
        one_by_one = ("--set", "evaluate.student.concurrency=1")
        arguments = ("evaluate", *sides, "-p", "sums=problems.jsonl", *one_by_one, *EASY, "--output", "out")
        process = subprocess.Popen(
            [sys.executable, "-m", "tracegen", *arguments],
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        until = time.monotonic() + 120
        while time.monotonic() < until and len(endpoint.requests) < 4:
            time.sleep(0.02)
        process.kill()
        process.wait()
        assert len(endpoint.requests) == 4
        done = tracegen(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        asked = [request["model"] for request in endpoint.requests]
    assert asked.count("base") == 6
    assert asked.count("student") in (6, 7)
    with Store(tmp_path / "out" / "model", write=False) as store:
        assert store.paid_twice() == 0


@pytest.mark.slow
def test_takes_the_answers_of_an_earlier_run(recorded: Path) -> None:
    first = compared(recorded)
    (recorded / "evaluation").rename(recorded / "earlier")
    again = compared(recorded, against=str(recorded / "earlier" / "base"))
    assert group(again, "set", "sums").base == group(first, "set", "sums").base


@pytest.mark.slow
def test_writes_a_page_that_nothing_can_break_out_of(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    runs.lines(tmp_path / "problems.jsonl", [{"id": evil, "question": f"1 + 1? {evil}", "answer": "2"}])
    runs.lines(
        tmp_path / "student.jsonl", [{"question": f"1 + 1? {evil}", "response": f"{evil} \\boxed{{3}}"}]
    )
    runs.lines(tmp_path / "base.jsonl", [{"question": f"1 + 1? {evil}", "response": f"{evil} \\boxed{{2}}"}])
    compared(tmp_path)
    page = (tmp_path / "evaluation" / "report.html").read_text()
    assert "<script" not in page and "<img" not in page
    assert page.count("&lt;script&gt;") >= 4
    assert "default-src 'none'" in page
    assert not [word for word in ("http://", "https://", "url(") if word in page]


@pytest.mark.slow
def test_hands_its_problems_to_other_harnesses(recorded: Path) -> None:
    yaml = pytest.importorskip("yaml")
    compared(recorded)
    folder = recorded / "evaluation" / "handoff"
    task = yaml.safe_load((folder / "lm_eval" / "tracegen_sums.yaml").read_text())
    assert task["task"] == "tracegen_sums"
    rows = [
        json.loads(line)
        for line in Path(task["dataset_kwargs"]["data_files"]["test"]).read_text().splitlines()
    ]
    assert len(rows) == 12
    assert rows[1]["answer"] == "3" and rows[1]["prompt"].startswith("What is 1 + 2?")
    assert "\\boxed{}" in rows[1]["prompt"]
    compile((folder / "lighteval" / "tasks.py").read_text(), "tasks.py", "exec")


@pytest.mark.slow
def test_is_a_command_with_a_table_json_and_a_page(recorded: Path) -> None:
    arguments = ["evaluate", "student.jsonl", "--against", "base.jsonl", "-p", "sums=problems.jsonl", *EASY]
    done = tracegen(*arguments, cwd=recorded)
    assert done.returncode == 0, done.stderr
    assert "75.0 [46.8, 91.1]" in done.stderr and "6, 1" in done.stderr
    assert done.stdout.strip() == "evaluations/student-against-base/report.html"
    stored = json.loads((recorded / "evaluations/student-against-base/results.json").read_text())
    printed = tracegen(*arguments, "--json", cwd=recorded)
    assert json.loads(printed.stdout) == stored
    assert printed.stderr == ""


@pytest.mark.slow
def test_is_a_recipe_with_an_evaluate_table(recorded: Path) -> None:
    recipe = """
        name = "student"
        verify = { workers = 1 }
        [evaluate]
        model = "student.jsonl"
        against = "base.jsonl"
        [[evaluate.problems]]
        name = "sums"
        path = "problems.jsonl"
        [[evaluate.problems]]
        name = "few"
        path = "problems.jsonl"
        kind = "out"
        limit = 3
    """
    (recorded / "student.toml").write_text(recipe)
    done = tracegen(
        "evaluate", "student.toml", "--json", "--set", "evaluate.problems.0.limit=6", cwd=recorded
    )
    assert done.returncode == 0, done.stderr
    groups = json.loads(done.stdout)["groups"]
    assert [(g["name"], g["model"]["problems"]) for g in groups[:5]] == [
        ("sums", 6),
        ("few", 3),
        ("in", 6),
        ("out", 3),
        ("all", 6),
    ]
    assert "a recipe says" in one_line(tracegen("evaluate", "student.toml", "--n", "2", cwd=recorded))


@pytest.mark.slow
def test_says_what_was_not_recorded(recorded: Path) -> None:
    runs.recorded(recorded / "base.jsonl", {n: [runs.right(n)] for n in range(5)})
    sides = ("student.jsonl", "--against", "base.jsonl")
    done = tracegen("evaluate", *sides, "-p", "sums=problems.jsonl", *EASY, cwd=recorded)
    assert done.returncode == 0
    assert "7 answers were not recorded" in done.stderr


@pytest.mark.slow
def test_says_what_is_owed_and_asks_for_it_again(recorded: Path) -> None:
    with Endpoint(models=("base",)) as endpoint:
        endpoint.default = lambda _: Fault.status(500)
        sides = ("student.jsonl", "--against", f"base@{endpoint.url}", "--set", "evaluate.base.tries=1")
        arguments = ("evaluate", *sides, "-p", "sums=problems.jsonl", "--limit", "3", *EASY)
        done = tracegen(*arguments, cwd=recorded)
        assert done.returncode == 1, done.stderr
        assert "3 answers or verdicts are owed" in done.stderr
        endpoint.default = lambda _: say("\\boxed{1}")
        done = tracegen(*arguments, "--json", cwd=recorded)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sides"]["base"]["owed"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "no/such/place"}, "no such directory"),
        ({"model": "nothing"}, "no such directory"),
        ({"sets": ()}, "no problems to evaluate on"),
        ({"sets": (("in", "sums=missing.jsonl"),)}, "problems 'sums': .*no such file"),
        ({"sets": (("in", "sums=problems.jsonl:gms8k"),)}, "unknown layout 'gms8k'"),
        (
            {"sets": (("in", "sums=problems.jsonl:q,a"),)},
            "problems 'sums': .*no column 'q'.* \\(and 11 more\\)",
        ),
        ({"sets": (("in", "a=problems.jsonl"), ("out", "a=problems.jsonl"))}, "called 'a'"),
        ({"against": "student.jsonl"}, "the same, asked the same"),
        ({"against": "base@http://127.0.0.1:9/v1"}, "127.0.0.1:9"),
        ({"overrides": ("evaluate.base.tempratur=1",)}, "tempratur: unknown key"),
        ({"overrides": ("evaluate.nn=1",)}, "did you mean 'n'"),
        ({"overrides": ("evaluate.base.stop_after=1",)}, "stop_after"),
        ({"overrides": ("evaluate.student.prompts.math=nope",)}, "no such prompt"),
        ({"trained_on": ("nowhere.jsonl",)}, "nowhere.jsonl: no such file"),
        (
            {
                "sets": (("in", "sums=blind.jsonl"),),
                "overrides": ("evaluate.problems.0.without_answer=vote",),
            },
            "problems 'sums': 1 of 2 have no reference, such as b - ",
        ),
        (
            {"overrides": ("evaluate.problems.0.domain=judged",)},
            "references in free text need a judge",
        ),
    ],
)
def test_refuses_what_it_cannot_use_and_spends_nothing(
    recorded: Path, changes: dict[str, Any], said: str
) -> None:
    blind = [{"id": "a", "question": "1?", "answer": "1"}, {"id": "b", "question": "2?", "answer": ""}]
    runs.lines(recorded / "blind.jsonl", blind)
    with pytest.raises(UserError, match=said) as caught:
        compared(recorded, **changes)
    assert "\n" not in str(caught.value)
    assert not (recorded / "evaluation").exists()


@pytest.mark.slow
def test_refuses_a_base_that_was_asked_other_problems(recorded: Path) -> None:
    compared(recorded)
    runs.problems(recorded, 14)
    with pytest.raises(UserError, match="asked other problems or fewer samples: 2 of 14"):
        compared(recorded, against=str(recorded / "evaluation" / "base"))


def test_refuses_an_adapter_without_its_model(recorded: Path) -> None:
    (recorded / "adapter").mkdir()
    (recorded / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="only an adapter there"):
        compared(recorded, model=str(recorded / "adapter"))


def test_exits_with_two_and_one_line(recorded: Path) -> None:
    assert "no such directory" in one_line(
        tracegen("evaluate", "nothing", "-p", "problems.jsonl", cwd=recorded)
    )


@pytest.mark.model
@pytest.mark.parametrize("opened", [True, False])
def test_sees_that_the_models_own_template_opens_the_thinking(recorded: Path, opened: bool) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    folder = recorded / "student"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")))
    begun = "<think>\n" if opened else "{# <think> #}"
    tokenizer.chat_template = (
        f"{{{{ messages[0].content }}}}{{% if add_generation_prompt %}}{begun}{{% endif %}}"
    )
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text("{}")
    found, base = settings_of(str(folder), "", [("in", f"{recorded}/problems.jsonl")], {}, ())
    assert prepare(found, base, None).sides["model"].teacher.elicit.prefilled is opened


def test_takes_the_training_set_from_the_students_own_recipe(recorded: Path) -> None:
    (recorded / "student").mkdir()
    (recorded / "student" / "config.json").write_text("{}")
    (recorded / "student" / "recipe.toml").write_text(
        'name = "student"\ntrain = { model = "base", data = [{ path = "trained.jsonl" }] }'
    )
    sets = [("in", f"{recorded}/problems.jsonl")]
    found, base = settings_of(str(recorded / "student"), "", sets, {}, ())
    task = prepare(found, base, None)
    assert task.overlap is None
    assert "trained.jsonl: no such file" in task.notes[0]
    runs.lines(recorded / "student" / "trained.jsonl", [{"question": "What is 3 + 4?"}])
    task = prepare(found, base, None)
    assert list((task.overlap or {}).values()) == ["exact"]
    assert task.notes == ()


@pytest.mark.model
@pytest.mark.slow
def test_asks_a_real_model_on_this_machine(tmp_path: Path) -> None:
    runs.problems(tmp_path, 3)
    model = "HuggingFaceTB/SmolLM2-135M-Instruct"
    overrides = (
        "evaluate.sampling.thinking_tokens=16",
        "evaluate.sampling.max_tokens=32",
        "evaluate.student.prompts.math=math_worked",
        "evaluate.base.prompts.math=math_one_example",
    )
    found = compared(tmp_path, model, model, overrides=overrides, engine="transformers", thinking="forced")
    score = group(found, "set", "sums")
    assert score.base is not None
    assert (score.model.samples, score.base.samples) == (3, 3)
    for one in found.thinking:
        assert one.samples == sum(one.classes.values()) == 3
        assert one.tokens is not None and 0 < one.tokens.p95 <= 32
