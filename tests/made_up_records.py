"""Made-up records, report and recipe for the tests of publishing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from tracegen.data import Message, Record, Sampling, digest
from tracegen.publish.write import order
from tracegen.report import Refused, Report, Step, Suspect, Tally

RECIPE = """\
name = "made-up"
seed = 7

[[problems]]
path = "sums.jsonl"
licence = "MIT"

[teacher]
kind = "openai"
model = "teacher-one"
key_env = "TRACEGEN_TEST_KEY"

[publish]
title = "Made-up sums"
"""


def record(problem: int, index: int, **changes: Any) -> Record:
    """A trace of `problem` + 2 = ?; accepted and right unless `changes` say otherwise."""
    problem_id = digest("made up", problem)
    question = f"What is {problem} + 2? Ünïcode $x^2$ | pipe"
    thinking = f"I take {problem} and add 2.\n" * (index + 1)
    answer = f"It is \\boxed{{{problem + 2}}}."
    made = Record(
        id=digest("trace", problem, index, changes.get("stage", "first")),
        problem_id=problem_id,
        problem_key=f"sum-{problem}",
        question=question,
        reference=str(problem + 2),
        domain="math",
        source="sums",
        licence="MIT",
        split="test" if problem % 5 == 4 else "train",
        status="accepted",
        reason="",
        stage="first",
        recovery_reason="",
        teacher="teacher-one",
        teacher_id=digest("teacher-one"),
        index=index,
        messages=(
            Message(role="user", content=question),
            Message(role="assistant", content=f"<think>\n{thinking}</think>\n{answer}"),
        ),
        thinking=thinking,
        answer=answer,
        finish_reason="stop",
        closed=True,
        forced_close=False,
        outcome="correct",
        cause="equal",
        step="string",
        extracted=str(problem + 2),
        evidence="",
        trust="strong",
        flags=(),
        prompt_tokens=20,
        completion_tokens=40 + 10 * index,
        thinking_tokens=30,
        sampling=Sampling(),
        seed=11,
        problem_accepted=1,
        problem_asked=3,
        majority=str(problem + 2),
        votes=2,
        agreement=2 / 3,
    )
    return msgspec.structs.replace(made, **changes)


def rejected(problem: int, index: int, **changes: Any) -> Record:
    """A trace with a wrong answer."""
    wrong: dict[str, Any] = {"status": "rejected", "reason": "incorrect: different", "outcome": "incorrect"}
    return record(problem, index, **{**wrong, "cause": "different", "extracted": "0", **changes})


def records(problems: int = 10) -> list[Record]:
    """Three traces a problem, of every status and stage, in the order of a dataset."""
    made: list[Record] = []
    for problem in range(problems):
        right = record(problem, 0, not_rewritten="1 not shorter")
        made.append(right if problem % 3 else rejected(problem, 0))
        truncated = {"reason": "flag: truncated", "flags": ("truncated", "think_unclosed"), "closed": False}
        made.append(rejected(problem, 1, completion_tokens=None, thinking_tokens=None, **truncated))
        if problem % 3:
            made.append(record(problem, 2, status="surplus", reason="duplicate"))
        else:
            why = {"stage": "recovery", "recovery_reason": "no accepted trace", "teacher": "teacher-two"}
            made.append(record(problem, 0, **why))
    return sorted(made, key=order)


def report(rows: list[Record], **changes: Any) -> Report:
    """A report that fits the rows."""
    accepted = sum(row.status == "accepted" for row in rows)
    problems = len({row.problem_id for row in rows})
    solved = len({row.problem_id for row in rows if row.status == "accepted"})
    tally = Tally(problems=problems, solved=solved, traces=len(rows), accepted=accepted)
    made = Report(
        name="made-up",
        version="0.1.0",
        funnel=(
            Step(name="answered", count=len(rows), of=len(rows) + 2, what="requests"),
            Step(name="verified", count=accepted, of=len(rows), what="traces"),
        ),
        causes=dict(Counter(f"{row.outcome}: {row.cause}" for row in rows)),
        flags=dict(Counter(flag for row in rows for flag in row.flags)),
        sources={"sums": tally},
        teachers={"teacher-one": tally},
        prompt_tokens=20 * len(rows),
        completion_tokens=1_000 * len(rows),
        seconds=123.4,
        usd=0.0,
        accepted=accepted,
        refused=(Refused(key="sum-99", cause="unparsable", evidence="'?'"),),
        gold_suspect=(Suspect(digest("suspect"), "sum-98", "4", "5", 3, 3, 0),),
        unanswered={"429": 2},
        repeated=0,
    )
    return msgspec.structs.replace(made, **changes)
