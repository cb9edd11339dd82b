"""Final answers in texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracegen.verify.extract import MAX_ANSWER, final_answer

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "cases/extract.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=[case["text"][:50] for case in CASES])
def test_finds_the_answer_and_names_the_rule(case: dict[str, str]) -> None:
    assert final_answer(case["text"]) == (case["answer"], case["rule"])


@pytest.mark.parametrize(
    "text",
    [
        "$ " * 100000,
        "\\boxed{" * 30000,
        "\\boxed{1} " * 20000,
        "answer is " * 20000,
        "answer: " * 25000,
        "1 " * 100000,
        "**a** " * 33000,
        "(" * 200000,
        "answer to " * 20000,
        "1,000" * 40000,
        " " * 200000,
        "<answer>" * 25000,
        "\\text{" * 30000,
        "\\(a" * 60000,
        "answer\n" * 30000,
        "#### 1\n" * 25000,
        "\\boxed{1} and " * 14000,
    ],
)
def test_takes_linear_time(text: str) -> None:
    final_answer(text)  # quadratic code would take minutes


def test_gives_nothing_where_the_answer_is_too_long() -> None:
    assert final_answer("\\boxed{" + "1" * (MAX_ANSWER + 1) + "}") == ("", "none")


def test_finds_an_answer_in_nearly_all_real_traces(shared: Path) -> None:
    rows = json.loads((shared / "traces/mip_overthinking/gsm8k.normal.deepseekR1.json").read_text())
    answers = [final_answer(row["deepseek-reasoner (question)"].rpartition("</think>")[2])[0] for row in rows]
    assert sum(bool(answer) for answer in answers) >= 580
