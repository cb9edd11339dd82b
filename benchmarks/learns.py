"""Does a student learn to reason? A base model against its students on held-out problems, seed by seed.

SmolLM2-135M-Instruct is trained on short MAWPS traces that our verifier accepts, split by problem, and
asked held-out MAWPS problems (in the distribution) and SVAMP ones (out of it), greedily, as its base is.
Every step is a command of tracegen's; each is printed with its minutes. Reads the folder of shared data
(TRACEGEN_SHARED); what is there already in FOLDER is not made again, so a killed run goes on.

    python -m benchmarks.learns [--rows 240] [--held 120] [--seeds 0 1 2] [--folder runs/learns]

On 2 cores without instructions for bf16 about an hour.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks import shared
from tracegen.teachers.weights import SMOLLM2

SETS = ("mawps", "svamp")


def main() -> None:
    """Build, train and evaluate, and print the table."""
    parser = argparse.ArgumentParser(description="Base against student on held-out word problems.")
    parser.add_argument("--rows", type=int, default=240, help="traces to train on, the shortest ones")
    parser.add_argument("--held", type=int, default=120, help="problems of each set that are asked")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--folder", type=Path, default=Path("runs/learns"))
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    write_data(folder, asked.rows, asked.held)
    tracegen(folder, "build", write(folder / "build.toml", build()))
    for seed in asked.seeds:
        recipe = write(folder / f"student-{seed}.toml", student(seed, asked.epochs, asked.learning_rate))
        tracegen(folder, "train", recipe)
        base = (
            [] if seed == asked.seeds[0] else ["--set", f"evaluate.against=evaluations/{asked.seeds[0]}/base"]
        )
        tracegen(folder, "evaluate", recipe, "--output", f"evaluations/{seed}", *base)
    table(folder, asked.seeds)


def write_data(folder: Path, count: int, held: int) -> None:
    """The traces to train on, and the held-out problems; no question is in both."""
    by_question: dict[str, dict[str, Any]] = {}
    traces = shared.path("traces", "short_think_qwen3b", "mawps.jsonl")
    svamp = shared.path("problems", "easy_svamp", "SVAMP.json")
    for line in traces.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        by_question.setdefault(row["question"].strip(), row)
    drawn = sorted(by_question, key=lambda question: hashlib.sha256(question.encode()).digest())
    apart = set(drawn[:held])
    kept = [row for question, row in by_question.items() if question not in apart]
    kept.sort(key=lambda row: (len(row["code"][0]), row["question"]))
    lines(folder / "traces.jsonl", kept[:count])
    lines(
        folder / "mawps.jsonl", [{"question": one, "answer": by_question[one]["gt"]} for one in drawn[:held]]
    )
    rows = json.loads(svamp.read_text(encoding="utf-8"))[:held]
    lines(
        folder / "svamp.jsonl",
        [
            {"question": f"{row['Body'].strip()} {row['Question']}", "answer": str(row["Answer"])}
            for row in rows
        ],
    )


def build() -> dict[str, Any]:
    """The recipe that verifies the traces."""
    return {
        "name": "learns",
        "problems": [
            {"path": "traces.jsonl", "domain": "math", "columns": {"question": "question", "answer": "gt"}}
        ],
        "teacher": {"kind": "replay", "path": "traces.jsonl", "layout": "qwen-eval"},
    }


def student(seed: int, epochs: float, rate: float) -> dict[str, Any]:
    """The recipe of one student."""
    return {
        "name": f"learns-{seed}",
        "train": {
            "model": SMOLLM2,
            "data": [{"path": "runs/learns"}],
            "epochs": epochs,
            "learning_rate": rate,
            "batch_tokens": 2048,
            "lead": 1.0,  # what was measured for the README; with the default one it has not been
            "seed": seed,
            "monitor": {"prompts": 8, "budgets": [256], "generate_every": 1000},
        },
        "evaluate": {
            "engine": "transformers",
            "sampling": {"temperature": 0.0, "max_tokens": 320},
            "problems": [
                {
                    "name": name,
                    "kind": kind,
                    "path": f"{name}.jsonl",
                    "columns": {"question": "question", "answer": "answer"},
                }
                for name, kind in zip(SETS, ("in", "out"), strict=True)
            ],
        },
    }


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write(path: Path, tree: dict[str, Any]) -> str:
    path.write_text(tomli_w.dumps(tree), encoding="utf-8")
    return path.name


def tracegen(folder: Path, *words: str) -> None:
    """Run a command there, and print it with its minutes."""
    print(f"$ tracegen {shlex.join(words)}", flush=True)
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "tracegen", *words], cwd=folder, check=False)
    print(f"  exit {done.returncode}, {(time.monotonic() - begin) / 60:.1f} minutes", flush=True)
    if done.returncode:
        raise SystemExit(done.returncode)


def table(folder: Path, seeds: list[int]) -> None:
    """Right answers of the base and of every student, won and lost problems, and the classes of thinking."""
    found = {
        seed: json.loads((folder / "evaluations" / str(seed) / "results.json").read_text()) for seed in seeds
    }
    print(f"\n{'':12} {'set':6} {'right':>10} {'won':>5} {'lost':>5} {'p':>9}  thinking")
    first = found[seeds[0]]
    for name in SETS:
        print(row("base", name, group(first, name)["base"], None, classes(first, "base", name)))
        for seed, results in found.items():
            one = group(results, name)
            print(row(f"seed {seed}", name, one["model"], one["paired"], classes(results, "model", name)))
        rates = [group(results, name)["model"]["pass_1"]["value"] for results in found.values()]
        base = group(first, name)["base"]["pass_1"]["value"]
        times = statistics.mean(rates) / base if base else float("inf")
        print(
            f"{'mean':12} {name:6} {statistics.mean(rates):10.1%}   {times:.1f} times the base's {base:.1%}"
        )


def group(results: dict[str, Any], name: str) -> dict[str, Any]:
    """The line of one set."""
    return next(one for one in results["groups"] if one["by"] == "set" and one["name"] == name)


def classes(results: dict[str, Any], side: str, name: str) -> str:
    """What became of the thinking of one side."""
    one = next(one for one in results["thinking"] if one["side"] == side and one["name"] == name)
    return ", ".join(f"{count} {cls}" for cls, count in one["classes"].items() if count)


def row(who: str, name: str, score: dict[str, Any], paired: dict[str, Any] | None, thinking: str) -> str:
    """One line of the table."""
    right = f"{round(score['pass_1']['value'] * score['problems'])} of {score['problems']}"
    against = f"{paired['won']:5} {paired['lost']:5} {paired['p']:9.2g}" if paired else " " * 21
    return f"{who:12} {name:6} {right:>10} {against}  {thinking}"


if __name__ == "__main__":
    main()
