"""Does a model learn from its own right traces? Two rounds without an outside teacher, on one-step sums.

SmolLM2-135M-Instruct is shown one worked example and asked 1,000 sums, its thinking forced; what it gets
right by itself is trained on without the example, and the student is asked the same sums again. Base and
students are then asked held-out sums (other numbers, no example) and the word problems of the demo. What is
there already in FOLDER is not made again, so a killed run goes on.

    python -m benchmarks.circle [--problems 1000] [--held 200] [--rounds 2] [--folder runs/circle]

On one core without instructions for bf16 about an hour.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks.learns import lines
from tracegen.teachers.weights import SMOLLM2

WORDS = Path(__file__).parents[1] / "recipes" / "demo" / "word_problems.jsonl"
COLUMNS = {"id": "id", "question": "question", "answer": "answer", "source": "source"}
SAMPLING = {"temperature": 0.7, "top_p": 0.95, "thinking_tokens": 48, "max_tokens": 80}
HELD = {"name": "sums", "kind": "in", "path": "held.jsonl", "domain": "math", "columns": COLUMNS}
TRAIN: dict[str, Any] = {
    "model": SMOLLM2,
    "prompt": "bare",
    "max_tokens": 256,
    "batch_tokens": 1024,
    "epochs": 2.0,
    "learning_rate": 5e-5,
    "validation_share": 0.05,
    "monitor": {"prompts": 8, "budgets": [80], "generate_every": 1000},
}
"""How a student of sums is trained …"""
EVALUATE: dict[str, Any] = {
    "engine": "transformers",
    "thinking": "forced",
    "sampling": {**SAMPLING, "temperature": 0.0},
    "prompts": {"math": "bare"},
    "problems": [HELD],
}
"""… and asked."""


def main() -> None:
    """Write the sums and the recipe, and go round."""
    parser = argparse.ArgumentParser(description="Rounds of a model on its own right traces.")
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--held", type=int, default=200, help="sums that are only measured on")
    parser.add_argument("--samples", type=int, default=2, help="per sum and round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("runs/circle"))
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    drawn = sums(asked.problems + asked.held)
    lines(folder / "sums.jsonl", drawn[: asked.problems])
    lines(folder / "held.jsonl", drawn[asked.problems :])
    (folder / "circle.toml").write_text(tomli_w.dumps(recipe(asked.samples)), encoding="utf-8")
    command = ["distill", "circle.toml", "--rounds", str(asked.rounds)]
    print(f"$ tracegen {shlex.join(command)}", flush=True)
    begin, before = time.monotonic(), os.times()
    done = subprocess.run([sys.executable, "-m", "tracegen", *command], cwd=folder, check=False)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    print(
        f"exit {done.returncode}, {(time.monotonic() - begin) / 60:.1f} minutes, {used / 60:.1f} CPU minutes"
    )
    raise SystemExit(done.returncode)


def sums(count: int) -> list[dict[str, str]]:
    """One-step sums, none twice: two in five additions, two in five subtractions, one in five products."""
    drawn = random.Random(0)
    found: dict[str, dict[str, str]] = {}
    while len(found) < count:
        sign = drawn.choice("++--*")
        high = 12 if sign == "*" else 60
        left, right = drawn.randint(1, high), drawn.randint(1, high)
        if sign == "-" and left < right:
            left, right = right, left
        value = {"+": left + right, "-": left - right, "*": left * right}[sign]
        text = f"What is {left} {sign} {right}?"
        source = {"+": "additions", "-": "subtractions", "*": "products"}[sign]
        one = {"id": f"sum-{len(found)}", "question": text, "answer": str(value), "source": source}
        found.setdefault(text, one)
    return list(found.values())


def recipe(samples: int) -> dict[str, Any]:
    """Everything of both rounds; thinking is forced on all sides, the example shown in round one alone."""
    return {
        "name": "circle",
        "problems": [{"path": "sums.jsonl", "domain": "math", "columns": COLUMNS}],
        "teacher": {
            "kind": "transformers",
            "model": SMOLLM2,
            "n": samples,
            "elicit": {"mode": "forced"},
            "sampling": SAMPLING,
            "prompts": {"math": "math_one_example"},
        },
        "publish": {"test_share": 0.0},
        "train": {**TRAIN, "lead": 1.0},  # measured so for the README; with the default lead it has not been
        "distill": {"start": "base", "data": "all"},
        "evaluate": {
            **EVALUATE,
            "problems": [
                HELD,
                {"name": "words", "kind": "out", "path": str(WORDS), "domain": "math", "columns": COLUMNS},
            ],
        },
    }


if __name__ == "__main__":
    main()
