"""Small recipes over recorded responses, for tests of the pipeline and the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomli_w

from tracegen import recipe
from tracegen.data import Problem, Request, Verdict
from tracegen.policy import Attempt
from tracegen.recipe import Recipe

RIGHT = (
    "<think>\nWe add them: {a} + {b} is {c}, which I checked by counting.\n</think>\n\n"
    "The answer is \\boxed{{{c}}}."
)


def problems(folder: Path, count: int = 6) -> list[dict[str, str]]:
    """`count` sums in problems.jsonl; the answer to n is 2n + 1."""
    rows = [
        {"id": f"sum-{n}", "question": f"What is {n} + {n + 1}?", "answer": str(2 * n + 1)}
        for n in range(count)
    ]
    lines(folder / "problems.jsonl", rows)
    return rows


def right(number: int) -> str:
    """A trace that solves the problem of this number."""
    return RIGHT.format(a=number, b=number + 1, c=2 * number + 1)


def wrong(number: int) -> str:
    """A trace that gets it wrong by one."""
    return RIGHT.format(a=number, b=number + 1, c=2 * number + 2)


def unclosed(number: int) -> str:
    """A trace whose thinking never ends, although the right answer is boxed in it."""
    return f"<think>\nWe add {number} and {number + 1}: \\boxed{{{2 * number + 1}}}. Wait, let me"


def recorded(path: Path, answers: Mapping[int, Sequence[str]]) -> None:
    """Recorded responses by the number of the problem, in a file for the replay teacher."""
    rows = [
        {"question": f"What is {n} + {n + 1}?", "response": text}
        for n, texts in answers.items()
        for text in texts
    ]
    lines(path, rows)


def lines(path: Path, rows: Sequence[object]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_recipe(folder: Path, **tables: object) -> Path:
    """recipe.toml over problems.jsonl with a replay teacher, changed by `tables`."""
    tree: dict[str, object] = {
        "name": "sums",
        "problems": [{"path": "problems.jsonl", "source": "sums", "licence": "CC0-1.0"}],
        "teacher": {"kind": "replay", "model": "recorded", "path": "first.jsonl", "n": 1},
        "verify": {"workers": 1},
        **tables,
    }
    path = folder / "recipe.toml"
    path.write_text(tomli_w.dumps({key: value for key, value in tree.items() if value is not None}))
    return path


def load(folder: Path, **tables: object) -> Recipe:
    """The recipe that `write_recipe` writes."""
    return recipe.load(write_recipe(folder, **tables))


class Silent:
    """A watcher that keeps what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.requests: list[Request] = []
        self.attempts: list[Attempt] = []

    def stage(self, name: str, total: int) -> None:
        self.notes.append(f"{name} {total}")

    def checked(self, problem: Problem, verdict: Verdict) -> None:
        if verdict.outcome != "correct":
            self.notes.append(f"{problem.key} {verdict.cause}")

    def opened(self, problem: Problem, attempts: Sequence[Attempt]) -> None:
        pass

    def asked(self, request: Request) -> None:
        self.requests.append(request)

    def answered(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def closed(self, problem: Problem, attempts: Sequence[Attempt]) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)
