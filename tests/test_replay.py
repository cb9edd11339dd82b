"""The replay teacher on recorded runs and on real traces of others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tracegen import recipe, rows
from tracegen.data import MathAnswer, Message, Problem, Request, Response, Sampling, Stage, Trace
from tracegen.errors import TeacherError, UserError
from tracegen.store import Store
from tracegen.teachers import Reply, open_teacher, teacher_digest
from tracegen.teachers.dialects import parse

SUM = Problem("What is 2 + 2?", MathAnswer("4"), "a1")


def request(problem: Problem, index: int = 0, stage: Stage = "first", temperature: float = 0.6) -> Request:
    return Request(
        problem=problem.id,
        teacher="t",
        stage=stage,
        messages=(Message("user", problem.question),),
        prefill="",
        sampling=Sampling(temperature=temperature),
        index=index,
    )


def replay(
    config: recipe.ReplayTeacher, base: Path, asked: Sequence[Request], problems: Sequence[Problem] = (SUM,)
) -> list[Reply]:
    by_id = {problem.id: problem for problem in problems}

    async def run() -> list[Reply]:
        teacher = open_teacher(config, label="first", base=base, problem_of=by_id.__getitem__)
        try:
            return [await teacher.complete(one) for one in asked]
        finally:
            await teacher.aclose()

    return asyncio.run(run())


def trace(config: recipe.ReplayTeacher, base: Path, problem: Problem = SUM, index: int = 0) -> Trace:
    asked = request(problem, index)
    [reply] = replay(config, base, [asked], [problem])
    return parse(asked, reply.body, config.elicit)


def write(folder: Path, *lines: dict[str, Any]) -> Path:
    (folder / "traces.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def columns(**named: str) -> recipe.Columns:
    return recipe.Columns(**named)


FILE = recipe.ReplayTeacher(path="traces.jsonl")


def test_finds_a_row_by_its_question_whatever_the_white_space(tmp_path: Path) -> None:
    write(tmp_path, {"question": " What is\n2 + 2? ", "response": "<think>a</think>4"})
    found = trace(FILE, tmp_path)
    assert (found.thinking, found.answer, found.finish_reason) == ("a", "4", "unknown")


def test_finds_a_row_by_its_id_where_an_id_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"id": "a1", "question": "other words", "response": "4"})
    config = recipe.ReplayTeacher(path="traces.jsonl", columns=columns(id="id"))
    assert trace(config, tmp_path).answer == "4"


def test_gives_the_rows_of_a_problem_in_their_order(tmp_path: Path) -> None:
    other = Problem("What is 3 + 3?", MathAnswer("6"))
    texts = [(SUM, "first"), (other, "six"), (SUM, "second")]
    write(tmp_path, *({"question": problem.question, "response": text} for problem, text in texts))
    asked = [request(SUM, 1), request(SUM, 0), request(other, 0)]
    replies = replay(FILE, tmp_path, asked, [SUM, other])
    found = [parse(one, reply.body, FILE.elicit).answer for one, reply in zip(asked, replies, strict=True)]
    assert found == ["second", "first", "six"]


def test_says_what_was_not_recorded(tmp_path: Path) -> None:
    write(tmp_path, {"question": SUM.question, "response": "4"})
    with pytest.raises(TeacherError, match=r"has 1 responses to problem .*, not 2") as caught:
        replay(FILE, tmp_path, [request(SUM, 1)])
    assert (caught.value.cause, caught.value.fatal) == ("not_recorded", False)


def test_keeps_the_finish_reason_of_the_row_or_the_recipe(tmp_path: Path) -> None:
    write(tmp_path, {"question": SUM.question, "response": "4", "finish_reason": "length"})
    assert trace(FILE, tmp_path).finish_reason == "length"
    write(tmp_path, {"question": SUM.question, "response": "4"})
    config = recipe.ReplayTeacher(path="traces.jsonl", finish_reason="stop")
    assert trace(config, tmp_path).finish_reason == "stop"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": "4", "reasoning_content": "a"}],
        [{"from": "human", "value": "q"}, {"from": "gpt", "value": "<think>a</think>4"}],
    ],
)
def test_takes_the_last_turn_of_a_chat(tmp_path: Path, messages: list[dict[str, str]]) -> None:
    write(tmp_path, {"question": SUM.question, "messages": messages})
    found = trace(FILE, tmp_path)
    assert (found.thinking, found.answer) == ("a", "4")


def test_reads_what_tracegen_publishes(tmp_path: Path) -> None:
    write(tmp_path, {"question": SUM.question, "thinking": "a", "answer": "4", "messages": []})
    found = trace(recipe.ReplayTeacher(path="traces.jsonl", layout="tracegen"), tmp_path)
    assert (found.thinking, found.answer) == ("a", "4")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "traces.jsonl:1: not JSON"),
        ('{"response": "4"}', "traces.jsonl:1: question: no column named any of question"),
        ('{"question": "q"}', "traces.jsonl:1: response: no column named any of response"),
        ('{"question": "q", "messages": [{"role": "user"}]}', "a chat without a turn of the assistant"),
        ("", "no responses in it"),
    ],
)
def test_lists_bad_rows(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "traces.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        replay(FILE, tmp_path, [request(SUM)])


def test_refuses_what_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        replay(recipe.ReplayTeacher(path="nothing.jsonl"), tmp_path, [request(SUM)])
    with pytest.raises(UserError, match="unknown layout 'nope' - expected one of"):
        replay(recipe.ReplayTeacher(path="x.jsonl", layout="nope"), tmp_path, [request(SUM)])


def test_is_another_teacher_when_the_file_is_another(tmp_path: Path) -> None:
    write(tmp_path, {"question": SUM.question, "response": "4"})
    before = teacher_digest(FILE, tmp_path)
    roundabout = recipe.ReplayTeacher(path=f"../{tmp_path.name}/traces.jsonl")
    assert teacher_digest(roundabout, tmp_path) == before
    write(tmp_path, {"question": SUM.question, "response": "5"})
    assert teacher_digest(FILE, tmp_path) != before


# --- a run


def run_of(folder: Path, *recorded: tuple[Request, bytes]) -> None:
    async def fill() -> None:
        for asked, body in recorded:
            await store.put_ask(asked)
            await store.put_response(Response(asked.id, body, 1.5, 0.0))

    with Store(folder) as store:
        asyncio.run(store.put_problems([SUM]))
        asyncio.run(fill())


def test_gives_back_a_runs_bodies_byte_for_byte(tmp_path: Path) -> None:
    bodies = [b'{"kind":"openai","replies":[ 1 ]}', b'{"kind":"vllm","replies":[]}']
    run_of(tmp_path / "run", *((request(SUM, index), body) for index, body in enumerate(bodies)))
    replies = replay(recipe.ReplayTeacher(path="run"), tmp_path, [request(SUM, 1), request(SUM, 0)])
    assert [reply.body for reply in replies] == bodies[::-1]
    assert replies[0].seconds == 1.5


def test_keeps_a_runs_stages_apart(tmp_path: Path) -> None:
    recorded = [(request(SUM, 0, "first"), b"1"), (request(SUM, 0, "recovery", 0.9), b"2")]
    run_of(tmp_path / "run", *recorded)
    replies = replay(recipe.ReplayTeacher(path="run"), tmp_path, [one for one, _ in recorded])
    assert [reply.body for reply in replies] == [b"1", b"2"]


def test_does_not_invent_what_a_run_does_not_have(tmp_path: Path) -> None:
    run_of(tmp_path / "run", (request(SUM), b"1"))
    with pytest.raises(TeacherError, match="has 1 responses"):
        replay(recipe.ReplayTeacher(path="run"), tmp_path, [request(SUM, 1)])


# --- real traces


def problems_of(path: Path, question: str) -> list[Problem]:
    found = [str(row.values[question]) for row in rows.read(str(path)) if isinstance(row, rows.Row)]
    return [Problem(text, MathAnswer("0")) for text in dict.fromkeys(found)]


def parsed(config: recipe.ReplayTeacher, problems: Sequence[Problem]) -> list[Trace]:
    asked = [request(problem) for problem in problems]
    replies = replay(config, Path(), asked, problems)
    return [parse(one, reply.body, config.elicit) for one, reply in zip(asked, replies, strict=True)]


def test_replays_deepseek_r1_with_its_orphan_tags(shared: Path) -> None:
    path = shared / "traces/mip_overthinking/gsm8k.normal.deepseekR1.json"
    config = recipe.ReplayTeacher(
        path=str(path),
        columns=columns(response="deepseek-reasoner (question)"),
        elicit=recipe.Elicit(prefilled=True),
    )
    found = parsed(config, problems_of(path, "question"))
    assert len(found) == 582
    assert sum(not one.closed for one in found) == 1
    assert all(one.thinking for one in found)


def test_replays_short_thinking_from_a_nested_column(shared: Path) -> None:
    path = shared / "traces/short_think_qwen3b/svamp.jsonl"
    config = recipe.ReplayTeacher(path=str(path), layout="qwen-eval")
    found = parsed(config, problems_of(path, "question"))
    assert len(found) > 900
    assert sum(one.thought and one.closed for one in found) > 0.95 * len(found)


def test_replays_thinking_from_a_column_of_its_own(shared: Path) -> None:
    path = shared / "traces/rasbt_r1_samples/sample_openrouter_outputs.json"
    found = parsed(recipe.ReplayTeacher(path=str(path)), problems_of(path, "problem"))
    assert len(found) == 5
    assert {one.dialect for one in found} == {"reasoning_content"}
    assert all(one.closed and one.thinking and one.answer for one in found)


def test_replays_a_parquet_file(shared: Path) -> None:
    path = shared / "traces/curator_gemini_fixture/reasoning_dataset.parquet"
    config = recipe.ReplayTeacher(
        path=str(path), columns=columns(response="gemini_attempt", thinking="gemini_thinking_trajectory")
    )
    found = parsed(config, problems_of(path, "question"))
    assert len(found) == 5
    assert all(one.thinking and one.answer for one in found)
