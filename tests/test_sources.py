"""A source of rows …"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import made_up_records, runs, students
from tracegen import run, student
from tracegen.data import (
    AssertTests,
    CallCase,
    CallTests,
    CheckTests,
    ChoiceAnswer,
    CodeTests,
    IoCase,
    MathAnswer,
    NoReference,
    Problem,
    Record,
    Reference,
    StdioTests,
    Trace,
)
from tracegen.errors import RecipeError, UserError
from tracegen.progress import Screen
from tracegen.publish.schema import table
from tracegen.records import reference_text, turns
from tracegen.student import RowRule, TrainColumns, TrainSource
from tracegen.train.sources import Row, Turn, asked, names, rows, split_thinking

BARE: dict[str, Any] = {"prompt": "bare"}


def read(folder: Path, *sources: TrainSource, **changes: Any) -> list[Row]:
    return list(rows(students.train(data=sources, **{**BARE, **changes}), folder))


def written(folder: Path, *lines: object, name: str = "data.jsonl", **source: Any) -> list[Row]:
    """The rows of a file with these lines."""
    runs.lines(folder / name, lines)
    return read(folder, TrainSource(path=name, **source))


def dataset(folder: Path, *records: Record, config: str = "verified") -> None:
    """A dataset folder as `tracegen build` lays it out."""
    import pyarrow.parquet as pq

    place = folder / "data" / config
    place.mkdir(parents=True)
    pq.write_table(table(records), place / "train-00000-of-00001.parquet")


# --- datasets of ours


def test_is_a_dataset_of_ours(tmp_path: Path) -> None:
    one = made_up_records.record(1, 0)
    dataset(tmp_path / "set", one, made_up_records.record(2, 0, thinking="", closed=False))
    found, unclosed = read(tmp_path, TrainSource(path="set"))
    assert (found.id, found.thinking, found.answer) == (one.id, one.thinking, one.answer)
    assert found.turns == (Turn("user", one.question),)
    assert (found.reference, found.domain, found.problem_id) == ("3", "math", one.problem_id)
    assert unclosed.refused == "the thinking is never closed"


def test_asks_as_the_student_will_be_asked(tmp_path: Path) -> None:
    dataset(tmp_path / "set", made_up_records.record(1, 0))
    (found,) = read(tmp_path, TrainSource(path="set"), prompt="")
    assert "\\boxed{}" in found.turns[-1].content, "the prompt of the domain"
    (tmp_path / "own.toml").write_text('system = "Be brief."\nuser = "Q: {question}"')
    (own,) = read(tmp_path, TrainSource(path="set"), prompt="own.toml")
    assert [turn.role for turn in own.turns] == ["system", "user"]
    assert own.turns[1].content.startswith("Q: What is 1 + 2?")


def test_knows_an_empty_block_from_none(tmp_path: Path) -> None:
    plain = made_up_records.record(1, 0, thinking="", messages=(("user", "q"), ("assistant", "It is 3.")))
    plain = msgspec.convert({**msgspec.to_builtins(plain), "messages": []}, Record)
    dataset(tmp_path / "set", plain)
    (found,) = read(tmp_path, TrainSource(path="set"))
    assert found.thinking is None


def test_names_the_configs_that_there_are(tmp_path: Path) -> None:
    dataset(tmp_path / "set", made_up_records.record(1, 0), config="all")
    with pytest.raises(
        UserError, match=r"train\.data\.0: set: has no config 'verified' .* expected one of all"
    ):
        read(tmp_path, TrainSource(path="set"))
    assert len(read(tmp_path, TrainSource(path="set", config="all"))) == 1


@pytest.mark.slow
def test_is_a_run(tmp_path: Path) -> None:
    runs.problems(tmp_path, 6)
    runs.recorded(tmp_path / "first.jsonl", {n: [runs.right(n)] for n in range(6)})
    recipe = runs.write_recipe(tmp_path, publish={"test_share": 0.0})
    settings = runs.load(tmp_path, publish={"test_share": 0.0})
    with Screen(quiet=True) as screen:
        run.build(settings, tmp_path, tmp_path / "runs" / "sums", screen)
    found = read(tmp_path, TrainSource(path="runs/sums"))
    assert len(found) == 6
    assert all("which I checked by counting" in str(row.thinking) for row in found)
    assert recipe.is_file()


ASKED: list[Reference] = [
    MathAnswer("3"),
    ChoiceAnswer("B", ("one", "two")),
    NoReference("choice", ("one", "two")),
    CodeTests(AssertTests(("assert add(1, 2) == 3",))),
    CodeTests(CheckTests("def check(candidate): ..."), "add", "def add(a, b):"),
    CodeTests(StdioTests((IoCase("1", "2"),)), language="cpp"),
    CodeTests(CallTests((CallCase("[1]", "2"),)), "Solution().add"),
]


@pytest.mark.parametrize("reference", ASKED, ids=lambda reference: type(reference).__name__)
@pytest.mark.parametrize("prompt", ["", "bare"])
def test_is_asked_the_same_of_a_published_dataset_as_of_its_run(
    tmp_path: Path, reference: Reference, prompt: str
) -> None:
    problem = Problem("Which is it?  ", reference)
    trace = Trace("r", problem.id, "I think.", "It is so.", True, True, "tags", "stop")
    language = reference.language if isinstance(reference, CodeTests) else ""
    published = made_up_records.record(
        1,
        0,
        question=problem.question,
        reference=reference_text(reference),
        domain=problem.domain,
        messages=turns(problem, trace),
        language=language,
    )
    dataset(tmp_path / "set", published)
    (found,) = read(tmp_path, TrainSource(path="set"), prompt=prompt)
    assert found.turns == asked(problem, problem.domain, students.train(prompt=prompt), tmp_path)


def test_trains_the_options_of_a_published_choice(tmp_path: Path) -> None:
    row = {"id": "a", "question": "Which is even?", "answer": "B", "choices": ["one", "two"]}
    runs.lines(tmp_path / "problems.jsonl", [row])
    said = "<think>\nTwo is even, one is not, and so it is the second.\n</think>\n\n\\boxed{B}"
    runs.lines(tmp_path / "first.jsonl", [{"question": row["question"], "response": said}])
    problems = [{"path": "problems.jsonl", "domain": "choice", "columns": {"choices": "choices"}}]
    settings = runs.load(tmp_path, problems=problems, publish={"test_share": 0.0})
    with Screen(quiet=True) as screen:
        run.build(settings, tmp_path, tmp_path / "run", screen)
    (of_run,) = read(tmp_path, TrainSource(path="run"))
    (published,) = read(tmp_path, TrainSource(path="run/dataset"))
    assert "A. one\nB. two" in published.turns[0].content
    assert published.turns == of_run.turns


def test_is_a_run_that_has_to_be_finished(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.sqlite").touch()
    with pytest.raises(UserError, match="the run has no dataset yet - finish it with `tracegen build`"):
        read(tmp_path, TrainSource(path="run"))


# --- datasets of others


@pytest.mark.parametrize(
    ("line", "thinking", "answer"),
    [
        ({"question": "q", "response": "<think>\nt\n</think>\n\na"}, "\nt\n", "\n\na"),
        ({"question": "q", "response": "t</think>a"}, "t", "a"),
        ({"problem": "q", "generation": "just a"}, None, "just a"),
        ({"instruction": "q", "reasoning": "t", "answer": "a"}, "t", "a"),
        ({"question": "q", "reasoning_content": "t", "response": "a"}, "t", "a"),
        ({"question": "q", "answer": "<think>t</think>a"}, "t", "a"),
        ({"question": "q", "thinking": "", "answer": "a"}, "", "a"),
        ({"question": "q", "thinking": None, "answer": "a"}, None, "a"),
    ],
)
def test_has_usual_columns(tmp_path: Path, line: object, thinking: str | None, answer: str) -> None:
    (found,) = written(tmp_path, line)
    assert (found.turns, found.thinking, found.answer) == ((Turn("user", "q"),), thinking, answer)
    assert not found.refused


def test_has_what_an_instruction_is_about(tmp_path: Path) -> None:
    (found,) = written(tmp_path, {"instruction": "Translate.", "input": "Hallo", "output": "Hello"})
    assert found.question == "Translate.\n\nHallo"


def test_has_columns_that_are_named(tmp_path: Path) -> None:
    columns = TrainColumns(question="q.text", thinking="cot", answer="out.0", id="key", reference="gold")
    line = {"q": {"text": "2+2?"}, "cot": "t", "out": ["4", "5"], "key": 7, "gold": 4, "response": "no"}
    (found,) = written(tmp_path, line, columns=columns)
    assert (found.id, found.question, found.thinking, found.answer) == ("7", "2+2?", "t", "4")
    assert found.reference == "4"


def test_has_tags_of_its_own(tmp_path: Path) -> None:
    line = {"question": "q", "response": "<|begin_of_thought|>t<|end_of_thought|>a"}
    (found,) = written(tmp_path, line, open="<|begin_of_thought|>", close="<|end_of_thought|>")
    assert (found.thinking, found.answer) == ("t", "a")


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("<think>\nso", "the thinking is never closed"),
        ("Well, <think>t</think>a", "text before the thinking"),
        ("<think>t</think>a</think>b", "more than one thinking block"),
        ("<think>t<think>u</think>a", "more than one thinking block"),
        ("<think>t</think>a<think>", "more than one thinking block"),
        ("<think>t</think>\n", "no answer"),
        ("", "no response"),
        (None, "no response"),
    ],
)
def test_refuses_a_row_with_its_reason(tmp_path: Path, response: str | None, reason: str) -> None:
    found, good = written(
        tmp_path, {"question": "q", "response": response, "id": "x"}, {"question": "q", "response": "a"}
    )
    assert (found.id, found.refused, good.refused) == ("x", reason, "")


def test_counts_lines_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"question": "q", "response": "a"}\n{torn\n')
    good, bad = read(tmp_path, TrainSource(path="data.jsonl"))
    assert not good.refused
    assert bad.refused.startswith("unreadable: not JSON")
    assert bad.id == "data.jsonl:2"


@pytest.mark.parametrize(
    ("line", "columns", "message"),
    [
        ({"text": "q"}, {}, r"columns\.question: the rows have no such column - name it; they have text"),
        ({"question": "q", "x": 1}, {}, r"columns\.response: the rows have no such column"),
        (
            {"question": "q"},
            {"response": "reply"},
            r"columns\.response: no column 'reply' - the rows have question",
        ),
    ],
)
def test_refuses_columns_that_are_not_there(
    tmp_path: Path, line: object, columns: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=rf"train\.data\.0: data\.jsonl: {message}"):
        written(tmp_path, line, columns=TrainColumns(**columns))


def test_without_a_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.jsonl: has no rows in split 'train'"):
        written(tmp_path)
    with pytest.raises(UserError, match=r"train\.data\.0: none\.jsonl: no such file"):
        read(tmp_path, TrainSource(path="none.jsonl"))


def test_stops_at_its_limit(tmp_path: Path) -> None:
    lines = [{"question": str(n), "response": "a"} for n in range(5)]
    assert [row.question for row in written(tmp_path, *lines, limit=2)] == ["0", "1"]


def test_asks_one_question_under_one_problem(tmp_path: Path) -> None:
    first, other, spaced = written(
        tmp_path,
        {"question": "2 + 2?", "response": "4"},
        {"question": "2 + 3?", "response": "5"},
        {"question": " 2 +\n2? ", "response": "four"},
    )
    assert first.problem == spaced.problem != other.problem
    assert first.id != spaced.id


# --- conversations

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "<think>t1</think>4"},
    {"role": "user", "content": "And 3+3?"},
    {"role": "assistant", "content": "6", "reasoning_content": "t2"},
]


def test_makes_a_row_of_every_assistant_turn(tmp_path: Path) -> None:
    first, second = written(tmp_path, {"id": "c", "messages": CHAT})
    assert (first.id, first.thinking, first.answer) == ("c#2", "t1", "4")
    assert first.turns == (Turn("system", "Be brief."), Turn("user", "2+2?"))
    assert (second.id, second.thinking, second.answer) == ("c#4", "t2", "6")
    assert second.turns[2:] == (Turn("assistant", "4", "t1"), Turn("user", "And 3+3?"))
    assert first.problem == second.problem


def test_reads_conversations_as_sharegpt_writes_them(tmp_path: Path) -> None:
    chat = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    (found,) = written(tmp_path, {"conversations": chat})
    assert (found.turns, found.thinking, found.answer) == ((Turn("user", "q"),), None, "a")


@pytest.mark.parametrize("key", ["text", "value"])
def test_reads_messages_in_parts(tmp_path: Path, key: str) -> None:
    reply = [{"type": "reasoning", key: "t"}, {"type": "text", key: "a"}]
    chat = [
        {"role": "user", "content": [{"type": "text", key: "q"}]},
        {"role": "assistant", "content": reply},
    ]
    (found,) = written(tmp_path, {"messages": chat})
    assert (found.turns, found.thinking, found.answer) == ((Turn("user", "q"),), "t", "a")


@pytest.mark.parametrize(
    ("chat", "reason"),
    [
        ([{"role": "assistant", "content": "a"}], "no question"),
        ([*CHAT[:2], {"role": "assistant", "content": "<think>t"}], "the thinking is never closed"),
        ([*CHAT[:2], {"role": "tool", "content": "{}"}], "a turn of role 'tool'"),
        ([*CHAT[:2], {"role": "assistant", "content": ""}], "no answer"),
        ([*CHAT[:2], {"role": "assistant", "content": "a", "tool_calls": [{}]}], "a tool call"),
        ([{"role": "user", "content": [{"type": "image"}]}, CHAT[2]], "a turn with parts that are no text"),
        (["hello"], "a turn that is no message"),
    ],
)
def test_refuses_a_turn_with_its_reason(tmp_path: Path, chat: object, reason: str) -> None:
    (found,) = written(tmp_path, {"messages": chat})
    assert found.refused == reason


# --- weights and names


def test_weighs_rows_by_any_column(tmp_path: Path) -> None:
    runs.lines(
        tmp_path / "d.jsonl",
        [
            {"question": "a", "response": "x", "flags": ["looping", "short"], "level": 5},
            {"question": "b", "response": "x", "flags": [], "level": 3},
        ],
    )
    rules = (RowRule("flags", "looping", 0.5), RowRule("level", "5", 3.0), RowRule("source", "d.jsonl", 2.0))
    found = read(tmp_path, TrainSource(path="d.jsonl", weight=10.0), row_weights=rules)
    assert [row.weight for row in found] == [30.0, 20.0]


def test_refuses_a_rule_for_a_column_that_no_row_has(tmp_path: Path) -> None:
    runs.lines(tmp_path / "d.jsonl", [{"question": "a", "response": "x"}])
    with pytest.raises(UserError, match=r"train\.row_weights\.0\.column: no source has a column 'flag'"):
        read(tmp_path, TrainSource(path="d.jsonl"), row_weights=(RowRule("flag", "looping", 0.0),))


def test_has_a_name_of_its_own() -> None:
    data = tuple(
        TrainSource(path=p, config=c) for p, c in [("a/x", ""), ("b/x", ""), ("me/x", "all"), ("c/x", "")]
    )
    assert names(students.train(data=data)) == ("x", "x#2", "x/all", "x#3")


def test_splits_thinking_from_the_answer() -> None:
    assert split_thinking("a", "<think>", "</think>") == (None, "a")
    assert split_thinking("<think></think>a", "<think>", "</think>") == ("", "a")


def test_reads_stored_distributions(tmp_path: Path) -> None:
    stored = {
        "tokenizer": "h",
        "ids": [1, 2],
        "top_ids": [[1, 5], [2, 6]],
        "top_logprobs": [[-1, -2], [-1, -3]],
    }
    torn = {**stored, "top_logprobs": [[-1, -2]]}
    lines = [
        {"question": "q", "response": "a", "logprobs": one} for one in (stored, json.dumps(stored), torn)
    ]
    first, text, bad = written(tmp_path, *lines)
    assert first.logprobs is not None
    assert first.logprobs == text.logprobs
    assert first.logprobs.top_ids == ((1, 5), (2, 6))
    assert bad.logprobs is None


# --- the recipe


def test_is_the_recipe_s_own_run_unless_it_is_named(tmp_path: Path) -> None:
    runs.problems(tmp_path, 1)
    path = runs.write_recipe(tmp_path, train={"model": "m"}, output="runs/mine")
    settings = student.load(path)
    assert settings.train is not None
    assert settings.train.data[0].path == str(Path("runs/mine").resolve())


def test_has_to_be_named_where_the_recipe_builds_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('name = "s"\n[train]\nmodel = "m"\n')
    with pytest.raises(RecipeError, match=r"train\.data\.0\.path: names no dataset"):
        student.load(tmp_path / "s.toml")


@pytest.mark.parametrize("where", ["weights", "stages"])
def test_may_not_train_the_prompt(tmp_path: Path, where: str) -> None:
    table = "[train.weights]" if where == "weights" else "[[train.stages]]\n[train.stages.weights]"
    data = '[[train.data]]\npath = "d.jsonl"\n'
    (tmp_path / "s.toml").write_text(f'name = "s"\n[train]\nmodel = "m"\n{data}{table}\nprompt = 1.0\n')
    with pytest.raises(RecipeError, match="the prompt is never trained"):
        student.load(tmp_path / "s.toml")
