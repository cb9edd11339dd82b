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
        "$ " * 100_000,
        "\\boxed{" * 30_000,
        "\\boxed{1} " * 20_000,
        "answer is " * 20_000,
        "answer: " * 25_000,
        "1 " * 100_000,
    ]
    + [
        "**a** " * 33_000,
        "(" * 200_000,
        "answer to " * 20_000,
        "1,000" * 40_000,
        " " * 200_000,
        "<answer>" * 25_000,
    ]
    + [
        "\\text{" * 30_000,
        "\\(a" * 60_000,
        "answer\n" * 30_000,
        "#### 1\n" * 25_000,
        "\\boxed{1} and " * 14_000,
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
