"""Soft targets against plain SFT on the same traces: is a teacher's distribution worth storing?

A teacher with the student's tokenizer (the last student of `benchmarks/circle.py`, unless another is named)
answers one-step sums that it was not trained on, with its 20 likeliest tokens kept at every token. The right
traces train SmolLM2-135M-Instruct twice for every seed, once on the tokens (`sft`) and once on the stored
distribution too (`kd`); all are asked the held-out sums. What is there already in FOLDER is not made again.

    python -m benchmarks.soft_targets [--teacher FOLDER] [--problems 400] [--seeds 0 1] [--folder runs/soft]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.circle import COLUMNS, EVALUATE, SAMPLING, TRAIN, sums
from benchmarks.learns import group, lines, row, tracegen, write
from tracegen.train import saving

TEACHER = Path("runs/circle/distilled/circle/students/circle-2")
ASKED = 1200
"""Sums that the circle asks or holds out; those of here come after them."""
METHODS: dict[str, dict[str, Any]] = {
    "sft": {"kind": "sft"},
    "kd": {"kind": "kd", "alpha": 0.5, "temperature": 1.0},
}


def main() -> None:
    """Build, train, evaluate, print the table."""
    parser = argparse.ArgumentParser(description="Stored top-k distillation against plain SFT.")
    parser.add_argument("--teacher", type=Path, default=TEACHER, help="a model with SmolLM2's tokenizer")
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--held", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--folder", type=Path, default=Path("runs/soft"))
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    drawn = sums(ASKED + asked.problems + asked.held)[ASKED:]
    lines(folder / "sums.jsonl", drawn[: asked.problems])
    lines(folder / "held.jsonl", drawn[asked.problems :])
    tracegen(folder, "build", write(folder / "build.toml", build(str(asked.teacher.resolve()))))
    base = ""
    for seed in asked.seeds:
        for method in METHODS:
            name = f"{method}-{seed}"
            recipe = write(folder / f"{name}.toml", student(name, method, seed))
            output = folder / "evaluations" / name
            tracegen(folder, "train", recipe)
            tracegen(folder, "evaluate", recipe, "--output", str(output), *base.split())
            base = base or f"--set evaluate.against={os.path.relpath(output / 'base', folder)}"
        apart = f"evaluations/kd-{seed}-against-sft"
        tracegen(
            *(folder, "evaluate", f"kd-{seed}.toml", "--output", apart),
            *("--set", f"evaluate.model=evaluations/kd-{seed}/model"),
            *("--set", f"evaluate.against=evaluations/sft-{seed}/model"),
        )
    table(folder, asked.seeds)


def build(teacher: str) -> dict[str, Any]:
    """The recipe of the traces."""
    return {
        "name": "soft",
        "problems": [{"path": "sums.jsonl", "domain": "math", "columns": COLUMNS}],
        "teacher": {
            "kind": "transformers",
            "model": teacher,
            "n": 1,
            "logprobs": 20,
            "elicit": {"mode": "forced"},
            "sampling": {**SAMPLING, "temperature": 1.0, "top_p": 1.0},
            "prompts": {"math": "bare"},
        },
        "publish": {"test_share": 0.0},
    }


def student(name: str, method: str, seed: int) -> dict[str, Any]:
    """The recipe of one student."""
    return {
        "name": name,
        "train": {**TRAIN, "method": METHODS[method], "data": [{"path": "runs/soft"}], "seed": seed},
        "evaluate": EVALUATE,
    }


def table(folder: Path, seeds: list[int]) -> None:
    """Base, and both students of every seed, with what each has won and lost against the base."""
    names = [f"{method}-{seed}" for seed in seeds for method in METHODS]
    found = {name: json.loads((folder / "evaluations" / name / "results.json").read_text()) for name in names}
    first = group(next(iter(found.values())), "sums")
    print(f"\n{'':12} {'set':6} {'right':>10} {'won':>5} {'lost':>5} {'p':>9}")
    print(row("base", "sums", first["base"], None, ""))
    for name, results in found.items():
        one = group(results, "sums")
        told = json.loads((folder / "students" / name / saving.STATE).read_text())
        tokens = ", ".join(f"{count} tokens {which} soft targets" for which, count in told["counts"].items())
        print(row(name, "sums", one["model"], one["paired"], tokens))
    for seed in seeds:
        told = folder / "evaluations" / f"kd-{seed}-against-sft" / "results.json"
        both = group(json.loads(told.read_text()), "sums")["paired"]
        print(f"seed {seed}, kd against sft: {both['won']} won, {both['lost']} lost, p {both['p']:.2g}")


if __name__ == "__main__":
    main()
