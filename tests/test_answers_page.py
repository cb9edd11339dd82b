"""docs/answers.md: every row of its tables is what happens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tracegen.data import MathAnswer
from tracegen.recipe import Elicit, Verify
from tracegen.teachers.dialects import split_text
from tracegen.verify import Verifier
from tracegen.verify.extract import final_answer

PAGE = Path(__file__).parents[1] / "docs/answers.md"
ROW = re.compile(r"\|((?:[^|`]|`[^`]*`)*)(?=\|)")


def rows(*header: str) -> list[list[str]]:
    """Cells of every row under this header, without the marks of code."""
    found: list[list[str]] = []
    inside = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in ROW.findall(line)]
        if cells == list(header):
            inside = True
        elif not cells:
            inside = False
        elif inside and set(cells[0]) != {"-"}:
            found.append([cell.strip("`").replace("⏎", "\n") for cell in cells])
    return found


@pytest.mark.parametrize("row", rows("text", "answer", "rule"), ids=lambda row: row[0][:40])
def test_finds_the_answer_by_the_rule_that_the_page_names(row: list[str]) -> None:
    assert final_answer(row[0]) == (row[1], row[2])


@pytest.mark.parametrize("row", rows("response", "answer", "rule"), ids=lambda row: row[0][:40])
def test_looks_only_at_what_follows_the_thinking(row: list[str]) -> None:
    assert final_answer(split_text(row[0], Elicit()).answer) == (row[1], row[2])


@pytest.fixture(scope="module")
def verdicts() -> Iterator[dict[tuple[str, str], tuple[str, str]]]:
    """Outcome and step of every compared pair of the page."""

    async def judge_all() -> dict[tuple[str, str], tuple[str, str]]:
        async with Verifier(Verify(), sandbox=False) as verifier:
            found: dict[tuple[str, str], tuple[str, str]] = {}
            for reference, answer, *_ in rows("reference", "answer", "verdict", "step"):
                verdict = await verifier.judge(MathAnswer(answer=reference), f"\\boxed{{{answer}}}")
                found[reference, answer] = verdict.outcome, verdict.step
            return found

    yield asyncio.run(judge_all())


@pytest.mark.parametrize(
    "row", rows("reference", "answer", "verdict", "step"), ids=lambda row: f"{row[0]} and {row[1]}"[:50]
)
def test_judges_as_the_page_says(verdicts: dict[tuple[str, str], tuple[str, str]], row: list[str]) -> None:
    assert verdicts[row[0], row[1]] == (row[2], row[3])


def test_reads_the_page_s_tables() -> None:
    assert len(rows("text", "answer", "rule")) > 20
    assert len(rows("reference", "answer", "verdict", "step")) > 40
