"""Problems …"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracegen import problems
from tracegen.data import (
    AssertTests,
    CallCase,
    CallTests,
    CheckTests,
    ChoiceAnswer,
    CodeTests,
    GymAnswer,
    IoCase,
    JudgedAnswer,
    MathAnswer,
    NoReference,
    PytestTests,
    StdioTests,
    UnittestTests,
)
from tracegen.errors import ProblemError, UserError
from tracegen.recipe import Columns, ProblemSource

SAMPLES = "problems/sandboxfusion_samples/code_eval"


def source(folder: Path, rows: list[object], **settings: object) -> ProblemSource:
    path = folder / "rows.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return ProblemSource(str(path), **settings)  # type: ignore[arg-type]  # each test names real fields


def loaded(folder: Path, rows: list[object], **settings: object) -> problems.Loaded:
    return problems.load((source(folder, rows, **settings),), folder)


def test_have_the_same_id_whatever_their_place_and_name(tmp_path: Path) -> None:
    first = loaded(tmp_path, [{"id": "a", "question": "1+1", "answer": "2"}]).problems[0]
    second = loaded(tmp_path, [{"question": "0+1", "answer": 1}, {"question": "1+1", "answer": 2}]).problems[
        1
    ]
    assert first.id == second.id


def test_report_every_bad_row_with_line_and_field(tmp_path: Path) -> None:
    rows: list[object] = [
        {"question": "1+1", "answer": "2"},
        "{not json",
        {"question": "", "answer": "2"},
        {"question": "1+2"},
        {"question": ["list"], "answer": "2"},
    ]
    with pytest.raises(ProblemError) as caught:
        loaded(tmp_path, rows)
    assert [line.split(": ")[:2] for line in caught.value.lines] == [
        ["rows.jsonl:2", "not JSON"],
        ["rows.jsonl:3", "question"],
        ["rows.jsonl:4", "answer"],
        ["rows.jsonl:5", "question"],
    ]


def test_report_an_id_that_is_used_twice(tmp_path: Path) -> None:
    rows: list[object] = [
        {"id": 1, "question": "a", "answer": "1"},
        {"id": 1, "question": "b", "answer": "2"},
    ]
    with pytest.raises(ProblemError, match=r"rows.jsonl:2: id: '1' was already used at rows.jsonl:1"):
        loaded(tmp_path, rows)


def test_that_say_the_same_are_one(tmp_path: Path) -> None:
    found = loaded(tmp_path, [{"question": "a", "answer": "1"}] * 3)
    assert (len(found.problems), found.merged) == (1, 2)


def test_name_the_column_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="question: no column 'q' - the row has question, answer"):
        loaded(tmp_path, [{"question": "a", "answer": "1"}], columns=Columns(question="q"))


def test_refuse_an_empty_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        loaded(tmp_path, [])


def test_refuse_an_unknown_layout(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown layout 'gsm9k'"):
        loaded(tmp_path, [{}], layout="gsm9k")


def test_stop_at_the_limit(tmp_path: Path) -> None:
    assert (
        len(loaded(tmp_path, [{"question": str(n), "answer": "1"} for n in range(9)], limit=4).problems) == 4
    )


def test_carry_source_and_licence_of_the_row_or_the_recipe(tmp_path: Path) -> None:
    rows: list[object] = [{"question": "a", "answer": "1", "l": "MIT"}]
    by_row = loaded(tmp_path, rows, columns=Columns(licence="l"), source="here").problems[0]
    assert (by_row.source, by_row.licence) == ("here", "MIT")
    assert loaded(tmp_path, rows, licence="CC0-1.0").problems[0].licence == "CC0-1.0"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Janet sells 16 - 3.\n#### 18", "18"),
        ("first this, then that, " * 10 + "so \\boxed{\\frac{1}{2}} it is", "\\frac{1}{2}"),
        ("\\boxed{1} and \\boxed{2}", "\\boxed{1} and \\boxed{2}"),
        (" 7 ", "7"),
        ("\\boxed{unclosed", "\\boxed{unclosed"),
    ],
)
def test_take_the_answer_out_of_a_solution(text: str, answer: str) -> None:
    assert problems.bare_answer(text) == answer


@pytest.mark.parametrize(
    ("value", "choices", "label"),
    [("b", (), "B"), ("(C)", (), "C"), (1, ("x", "y"), "B"), ("y", ("x", "y"), "B")],
)
def test_read_choices_in_every_form(value: object, choices: tuple[str, ...], label: str) -> None:
    assert problems.reference(value, "choice", choices=choices) == ChoiceAnswer(label, choices)


def test_read_choices_of_a_table_of_texts(tmp_path: Path) -> None:
    rows: list[object] = [
        {"question": "q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "B"}
    ]
    assert loaded(tmp_path, rows, layout="choice").problems[0].reference == ChoiceAnswer("B", ("x", "y"))


def test_refuse_a_choice_that_is_none() -> None:
    for value in (5, "neither"):
        with pytest.raises(ValueError, match=r"option 5 of 1|neither a label"):
            problems.reference(value, "choice", choices=("x",))


@pytest.mark.parametrize("answer", [{}, {"answer": None}, {"answer": " \n"}])
def test_may_have_no_answer_where_the_recipe_says_so(tmp_path: Path, answer: dict[str, object]) -> None:
    rows: list[object] = [{"question": "a", **answer}, {"question": "b", "answer": "2"}]
    found = loaded(tmp_path, rows, without_answer="vote").problems
    assert [problem.reference for problem in found] == [NoReference("math"), MathAnswer("2")]
    assert [problem.domain for problem in found] == ["math", "math"]
    with pytest.raises(
        ProblemError, match=r'rows.jsonl:1: answer: (missing|empty) \(without_answer = "vote"'
    ):
        loaded(tmp_path, rows)


def test_keep_the_options_of_a_choice_without_an_answer(tmp_path: Path) -> None:
    rows: list[object] = [{"question": "q", "choices": ["x", "y"]}]
    (problem,) = loaded(tmp_path, rows, layout="choice", without_answer="vote").problems
    assert problem.reference == NoReference("choice", ("x", "y"))
    assert problem.domain == "choice"


def test_need_a_named_answer_column_and_tests_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="answer: no column 'a'"):
        loaded(tmp_path, [{"question": "q"}], without_answer="vote", columns=Columns(answer="a"))
    for domain in ("code", "gym", "judged"):
        with pytest.raises(ProblemError, match=r"rows.jsonl:1: answer: "):
            loaded(tmp_path, [{"question": "q"}], without_answer="vote", domain=domain)


def test_take_a_free_text_as_it_is(tmp_path: Path) -> None:
    (problem,) = loaded(tmp_path, [{"question": "q", "answer": " the wind\n"}], domain="judged").problems
    assert problem.reference == JudgedAnswer("the wind")
    assert problem.domain == "judged"


PYTEST = "from solution import f\n\ndef test_f():\n    assert f(1) == 2\n"
IN_A_CLASS = "from solution import f\n\nclass TestF:\n    def test_f(self):\n        assert f(1) == 2\n"
UNITTEST = """import unittest

class TestF(unittest.TestCase):
    def test_f(self):
        self.assertEqual(f(1), 2)
"""
CHECK = "def check(candidate):\n    assert candidate(1) == 2"


@pytest.mark.parametrize(
    ("value", "entry_point", "tests"),
    [
        (["assert f(1) == 2"], "", AssertTests(("assert f(1) == 2",))),
        ('["assert f(1) == 2"]', "", AssertTests(("assert f(1) == 2",))),
        ("assert f(1) == 2", "f", AssertTests(("assert f(1) == 2",))),
        (CHECK, "f", CheckTests(CHECK)),
        ({"functional": CHECK}, "f", CheckTests(CHECK)),
        ([{"input": "1\n", "output": "2\n"}], "", StdioTests((IoCase("1\n", "2\n"),))),
        ([["1", "2"]], "", StdioTests((IoCase("1", "2"),))),
        ({"inputs": ["1"], "outputs": ["2"]}, "", StdioTests((IoCase("1", "2"),))),
        ([{"input": "[1, 2]\n3", "output": "6"}], "f", CallTests((CallCase("[[1, 2], 3]", "6"),))),
        ({"inputs": [[1, 2]], "outputs": [3], "fn_name": "f"}, "", CallTests((CallCase("[1, 2]", "3"),))),
        ({"inputs": [[1]], "outputs": ["no json"]}, "f", CallTests((CallCase("[1]", '"no json"'),))),
        ([{"input": {"stdin": "1"}, "output": {"stdout": "2"}}], "", StdioTests((IoCase("1", "2"),))),
        ({"input_output": '{"inputs": ["1"], "outputs": ["2"]}'}, "", StdioTests((IoCase("1", "2"),))),
        (PYTEST, "", PytestTests(PYTEST)),
        (UNITTEST, "f", UnittestTests(UNITTEST)),
        (f"import pytest\n{UNITTEST}", "f", PytestTests(f"import pytest\n{UNITTEST}")),
        (IN_A_CLASS, "", PytestTests(IN_A_CLASS)),
    ],
)
def test_read_tests_in_every_form(value: object, entry_point: str, tests: object) -> None:
    found = problems.reference(value, "code", entry_point=entry_point)
    assert isinstance(found, CodeTests)
    assert found.tests == tests


@pytest.mark.parametrize("value", [[], "x = 1", {"inputs": ["1"], "outputs": []}, 5, [{"input": "1"}], [1]])
def test_refuse_tests_that_are_none(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        problems.reference(value, "code")


def test_refuse_an_unknown_domain() -> None:
    with pytest.raises(ValueError, match="unknown domain"):
        problems.reference("x", "poetry")


def test_of_a_gym_keep_the_whole_entry(tmp_path: Path) -> None:
    entry = {"question": "1+1", "answer": "2", "metadata": {"source_dataset": "chain_sum"}}
    found = loaded(tmp_path, [{"question": "1+1", "answer": "2", "entry": entry}], layout="gym").problems[0]
    assert isinstance(found.reference, GymAnswer)
    assert found.reference.dataset == "chain_sum"
    assert json.loads(found.reference.entry) == entry


def test_of_a_gym_need_the_entry() -> None:
    for entry in (None, "[]", "{}"):
        with pytest.raises(ValueError, match="entry"):
            problems.reference("2", "gym", entry=entry)


def test_are_made_by_a_gym_with_its_options_and_seed(tmp_path: Path) -> None:
    pytest.importorskip("reasoning_gym", reason="the gym extra is not installed")

    def made(seed: int) -> list[str]:
        one = ProblemSource("reasoning_gym:chain_sum", domain="gym", seed=seed, options={"size": 3})
        return [problem.id for problem in problems.load((one,), tmp_path).problems]

    assert len(made(1)) == 3
    assert made(1) == made(1) != made(2)


def test_of_an_unknown_gym_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("reasoning_gym", reason="the gym extra is not installed")
    with pytest.raises(UserError, match="cannot make 'no_such'"):
        problems.load((ProblemSource("reasoning_gym:no_such"),), tmp_path)


@pytest.mark.parametrize(
    ("path", "layout", "rows"),
    [
        ("problems/gsm8k/test.jsonl", "gsm8k", 1319),
        ("problems/math500/math500_test.json", "math", 500),
        ("problems/humaneval/HumanEval.jsonl.gz", "humaneval", 164),
        ("problems/mbpp/mbpp.jsonl", "mbpp", 974),
        ("problems/mbpp/sanitized-mbpp.json", "mbpp", 427),
        ("problems/leetcode/test_codeforces.json", "stdio", 408),
        ("problems/humanevalplus/HumanEvalPlus.jsonl.gz", "humanevalplus", 164),
        ("problems/humanevalplus/HumanEvalPlus-Mini.jsonl.gz", "humanevalplus", 164),
        (f"{SAMPLES}_bigcodebench.jsonl", "bigcodebench", 20),
        (f"{SAMPLES}_live_code_bench_v1.jsonl", "livecodebench", 3),
        (f"{SAMPLES}_cruxeval.jsonl", "cruxeval", 20),
        (f"{SAMPLES}_mbpp.jsonl", "sandboxfusion", 20),
        (f"{SAMPLES}_mhpp.jsonl", "sandboxfusion", 20),
        (f"{SAMPLES}_EvoEval.jsonl", "sandboxfusion", 11),
        (f"{SAMPLES}_code_contests.jsonl", "sandboxfusion", 20),
        (f"{SAMPLES}_rl_train_oj_0328_1707.jsonl", "sandboxfusion", 20),
        (f"{SAMPLES}_shadow_humaneval_python.jsonl", "sandboxfusion", 20),
    ],
)
def test_come_whole_from_the_known_layouts(shared: Path, path: str, layout: str, rows: int) -> None:
    assert len(problems.load((ProblemSource(path, layout=layout),), shared).problems) == rows


def test_of_kodcode_are_pytest_files(tmp_path: Path) -> None:
    row = {
        "question_id": "K1",
        "question": "add one",
        "solution": "def f(x):\n    return x + 1\n",
        "test": PYTEST,
    }
    (found,) = loaded(tmp_path, [row], layout="kodcode").problems
    assert found.reference == CodeTests(PytestTests(PYTEST), solution=row["solution"])


def test_keep_plain_answers_as_they_are() -> None:
    assert problems.reference(14.0, "math") == MathAnswer("14.0")
