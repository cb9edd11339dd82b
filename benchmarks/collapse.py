"""Thinking collapse in a dozen steps, arm by arm, and when the monitor names it.

A student whose prompt opens its thinking (as Qwen3.5, R1 and Nemotron do) is trained on 16 rows that think
and 16 that answer at once, with one setting of the loss after another. Reads MAWPS traces from the folder
of shared data (TRACEGEN_SHARED) and trains SmolLM2-135M-Instruct: about two CPU minutes an arm.

    python -m benchmarks.collapse [--arm NAME …] [--seeds 0 1] [--out FILE.jsonl]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import shared
from tracegen import student
from tracegen.teachers.weights import SMOLLM2
from tracegen.train import saving, training
from tracegen.train.render import load_tokenizer

ROWS = 16
PROMPTS = 16
TEMPLATE = """{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}\
{% if m['role'] == 'assistant' and '</think>' not in m['content'] %}\
{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}\
{{ m['content'] + '<|im_end|>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"""
"""SmolLM2's, opening the thinking in the prompt, with an empty block for answers without any."""

ARMS: dict[str, dict[str, Any]] = {
    "default": {},
    "close5": {"lead": 1.0},
    "think_only": {"preset": "include", "data": ["think"], "epochs": 6, "validation_share": 0.5},
    "empty_trained": {"preset": "include", "empty_think": "train"},
    "empty_trained_think3": {"preset": "include", "empty_think": "train", "weights": {"think": 3}},
    "empty_masked": {"preset": "include"},
    "think3_close5": {"weights": {"think": 3}, "lead": 1.0},
    "exclude": {"preset": "exclude"},
    "exclude_with_delimiters": {"weights": {"open": 0, "think": 0, "close": 0}},
}
"""What each arm sets of [train]; `default` is the preset anti_collapse with the empty block masked,
`close5` the same without the weight on the beginning of the thinking."""
SIGNS = {"collapsed": {"empty"}, "never closes": {"unclosed", "answer_in_think"}}
"""How an arm can have failed at its end, and the classes by which the monitor names that."""


def main() -> None:
    """Run the arms and print the table."""
    parser = argparse.ArgumentParser(description="Thinking collapse, arm by arm.")
    parser.add_argument("--arm", action="append", choices=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    print(f"{'arm':24} seed  P(close at once)  P(close)  classes at the end; failure, and its first warning")
    for name in asked.arm or ARMS:
        for seed in asked.seeds:
            row = run(name, seed)
            print(line(row), flush=True)
            if asked.out:
                with asked.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    classes = ", ".join(f"{count} {name}" for name, count in row["classes"].items() if count)
    if row["failure"]:
        said = f"at step {row['named']['step']}" if row["named"] else "NEVER"
        named = f"{row['failure']}, named {said} of {row['steps']}"
    else:
        warned = ", ".join(f"{one['cls']} at step {one['step']}" for one in row["warnings"])
        named = f"no failure, warned of {warned}" if warned else "no failure, no warning"
    return (
        f"{row['arm']:24} {row['seed']:4}  {row['close_at_once']:16.4f}  {row['close']:8.3f}  "
        f"{classes}; {named} ({row['cpu_seconds']:.0f} CPU-s)"
    )


def run(name: str, seed: int) -> dict[str, Any]:
    """Train one arm and read what the monitor has measured."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        recipe = write(folder, name, seed)
        begin = time.process_time()
        settings = student.load(recipe)
        training.train(settings, folder, folder / "out", lambda text: None)
        seconds = time.process_time() - begin
        watched = saving.read_lines(folder / "out" / saving.MONITOR)
    probes = [row for row in watched if row["kind"] == "probe"]
    last = [row for row in watched if row["kind"] == "generation"][-1]
    warned = [row for row in watched if row["kind"] == "warning"]
    closed = last["classes"]["ok"] + last["classes"]["empty"] + last["classes"]["no_answer"]
    failure = None
    if last["classes"]["empty"] >= 2 or probes[-1]["close_at_once"] > 0.05:
        failure = "collapsed"
    elif closed < PROMPTS / 2:
        failure = "never closes"
    named = next((row for row in warned if failure and row["cls"] in SIGNS[failure]), None)
    return {
        "arm": name,
        "seed": seed,
        "steps": probes[-1]["step"],
        "close_at_once": probes[-1]["close_at_once"],
        "close": probes[-1]["close"],
        "curve": [(row["step"], row["close_at_once"], row["close"]) for row in probes],
        "classes": last["classes"],
        "prompts": last["prompts"],
        "collapsed": last["classes"]["empty"],
        "closed": closed,
        "thinking": last["thinking"],
        "failure": failure,
        "named": named,
        "named_in_time": (named is not None and named["step"] < probes[-1]["step"] / 2) if failure else None,
        "warnings": warned,
        "cpu_seconds": seconds,
    }


def write(folder: Path, name: str, seed: int) -> Path:
    """The rows and the recipe of an arm. Which problems are held out is the split of the training itself."""
    rows = short_rows(shared.path("traces", "short_think_qwen3b", "mawps.jsonl"), 2 * ROWS + PROMPTS)
    _write(folder / "think.jsonl", rows)
    _write(folder / "plain.jsonl", [])
    (folder / "template.jinja").write_text(TEMPLATE, encoding="utf-8")
    path = _recipe(folder, {"data": ["think"]}, seed)
    settings = student.load(path).train
    assert settings is not None
    held = {one.id for one in training.read(settings, load_tokenizer(settings, folder), folder).held}
    kept = [row for row in rows if row["id"] not in held]
    assert len(held) == PROMPTS
    _write(folder / "think.jsonl", [row for row in rows if row not in kept[ROWS:]])
    _write(folder / "plain.jsonl", [{**row, "thinking": ""} for row in kept[ROWS:]])
    return _recipe(folder, ARMS[name], seed)


def _recipe(folder: Path, arm: dict[str, Any], seed: int) -> Path:
    import tomli_w

    sources = arm.get("data", ["think", "plain"])
    own = {key: value for key, value in arm.items() if key != "data"}
    train = {
        "model": SMOLLM2,
        "template": "template.jinja",
        "prompt": "bare",
        "epochs": 3,
        "learning_rate": 1e-4,
        "warmup": 0.0,
        "batch_tokens": 600,
        "seed": seed,
        "validation_share": PROMPTS / (PROMPTS + 2 * ROWS),
        "save_every": 100,
        "data": [{"path": f"{source}.jsonl"} for source in sources],
        "monitor": {"every": 1, "generate_every": 4, "prompts": PROMPTS, "budgets": [100]},
        **own,
    }
    path = folder / "collapse.toml"
    path.write_text(tomli_w.dumps({"name": "collapse", "train": train}), encoding="utf-8")
    return path


def short_rows(path: Path, count: int) -> list[dict[str, str]]:
    """The right traces with the shortest thinking, one a question, cut to its first two sentences (as in the
    experiment that this repeats: a student learns in a dozen steps where so short a thinking ends)."""
    found: dict[str, dict[str, str]] = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines()):
        row = json.loads(text)
        said = row["code"][0]
        if row["score"][0] and said.count("</think>") == 1:
            sentences = said.partition("</think>")[0].replace("<think>", "").strip().split(". ")
            thinking = ". ".join(sentences[:2]).rstrip(".") + "."
            if "\n" in thinking:
                continue
            found[row["question"]] = {
                "id": f"mawps-{number}",
                "question": row["question"],
                "thinking": thinking,
                "answer": f"The answer is {row['gt']}.",
            }
    return sorted(found.values(), key=lambda row: (len(row["thinking"]), row["id"]))[:count]


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
