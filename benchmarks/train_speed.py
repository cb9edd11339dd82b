"""Real tokens per CPU-second of training: ours, plain transformers.Trainer with padding, TRL's SFTTrainer.

The same rows (made-up text, every token after the prompt trained), the same model, one process for each so
that memory is its own. Uniform lengths and skewed ones (half of the rows a tenth as long), the whole model
and LoRA. Only real tokens count, padding does not. TRL is measured where it is installed.

    python -m benchmarks.train_speed [--model DIR] [--rows 24] [--threads 1] [--only ours plain trl]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from array import array
from pathlib import Path
from typing import Any

from tracegen.student import Lora, Train
from tracegen.teachers import weights
from tracegen.train import loading
from tracegen.train.example import Example

WAYS = ("ours", "plain", "trl")
PROMPT_SHARE = 0.35
"""Of a row's tokens, as in the MAWPS traces."""
BATCH = 8
"""Rows of an optimizer step."""


def main() -> None:
    """Measure every way, and print each with its ratio to the plain Trainer."""
    parser = argparse.ArgumentParser(description="Speed of training.")
    parser.add_argument("--model", default=weights.SMOLLM2)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--lengths", nargs="+", choices=["uniform", "skewed"], default=["uniform", "skewed"])
    parser.add_argument("--tuning", nargs="+", choices=["full", "lora"], default=["full", "lora"])
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        way, lengths, tuning = asked.one.split(",")
        print(json.dumps(measure(way, lengths, tuning, asked.model, asked.rows, asked.threads)))
        return
    for lengths in asked.lengths:
        for tuning in asked.tuning:
            found = {}
            for way in asked.only:
                if way == "trl" and importlib.util.find_spec("trl") is None:
                    continue
                found[way] = _apart(f"{way},{lengths},{tuning}")
            base = found.get("plain", {}).get("per_cpu_second")
            for way, row in found.items():
                ratio = f"{row['per_cpu_second'] / base:5.2f} of plain" if base else ""
                print(
                    f"{lengths:8} {tuning:5} {way:6} {row['per_cpu_second']:7.1f} real tokens a CPU-second  "
                    f"{ratio}  {row['gib']:.1f} GiB at most  ({row['dtype']}, "
                    f"{row['tokens']} tokens, {row['steps']} steps, {row['cpu_seconds']:.0f} CPU-s)",
                    flush=True,
                )


def _apart(what: str) -> dict[str, Any]:
    """Measure in a process of its own, which has its own peak of memory."""
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--one", what], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def measure(way: str, lengths: str, tuning: str, model: str, rows: int, threads: int) -> dict[str, Any]:
    """Train on the rows once and count real tokens, CPU-seconds and the peak of memory."""
    import resource

    import torch

    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    examples = made_up(lengths, rows)
    train = loading.settled(
        Train(
            model=model,
            lora=Lora(rank=16, alpha=32.0) if tuning == "lora" else None,
            learning_rate=1e-5,
            clip=1.0,
        )
    )
    folder = weights.resolve(model)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = {"ours": ours, "plain": plain, "trl": trl}[way](train, folder, examples, Path(scratch))
        begin = time.process_time()
        trainer.train()
        seconds = time.process_time() - begin
    tokens = sum(len(one.ids) for one in examples)
    return {
        "per_cpu_second": tokens / seconds,
        "tokens": tokens,
        "cpu_seconds": seconds,
        "steps": trainer.state.global_step,
        "dtype": train.dtype,
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def made_up(lengths: str, count: int) -> list[Example]:
    """Rows of random tokens, of 175 to 226 tokens; skewed: every second one a tenth of that."""
    draw = random.Random(0)
    rows = []
    for number in range(count):
        size = draw.randint(175, 226) // (10 if lengths == "skewed" and number % 2 else 1)
        prompt = max(1, int(PROMPT_SHARE * size))
        ids = array("i", (draw.randrange(1000, 40000) for _ in range(size)))
        rows.append(
            Example(
                id=str(number),
                ids=ids,
                weights=array("f", [0.0] * prompt + [1.0] * (size - prompt)),
                regions=bytes([0] * prompt + [4] * (size - prompt)),
            )
        )
    return rows


def ours(train: Train, folder: Path, examples: list[Example], scratch: Path) -> Any:
    """`tracegen train`'s trainer, packing rows of a step into passes of at most 2,048 tokens."""
    from tracegen.train import attention
    from tracegen.train.pack import pack
    from tracegen.train.schedule import plan
    from tracegen.train.trainer import Batches, WeightedTrainer, arguments
    from tracegen.train.training import CPU_TOKENS

    lengths = [len(one.ids) for one in examples]
    per_step = sum(lengths) // (len(examples) // BATCH)
    schedule = plan(
        [(lengths, 1.0)],
        capacity=min(CPU_TOKENS, per_step + max(lengths) // 4),
        batch_tokens=per_step,
        ranks=1,
        seed=0,
        group=pack,
    )
    model = loading.load(train.model, folder, train=train)
    attention.use(model)
    model, _ = loading.prepare(model, train, attention.NAME)
    args = arguments(train, schedule, scratch, validate=False)
    args.set_save(strategy="no")
    return WeightedTrainer(
        model=model, args=args, train_dataset=Batches([examples], schedule.micros, packing=True)
    )


def _settings(kind: Any, train: Train, scratch: Path, **more: Any) -> Any:
    """The same arguments for the two others."""
    return kind(
        output_dir=str(scratch),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=1e-5,
        lr_scheduler_type="cosine",
        bf16=train.dtype == "bfloat16",
        use_cpu=True,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_steps=1,
        **more,
    )


def _rows(examples: list[Example]) -> list[dict[str, list[int]]]:
    return [
        {
            "input_ids": list(one.ids),
            "labels": [token if weight else -100 for token, weight in zip(one.ids, one.weights, strict=True)],
        }
        for one in examples
    ]


def _model(train: Train, folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    from tracegen.train.loading import adapted

    dtype = getattr(torch, train.dtype) if train.lora else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    return adapted(model, train.lora) if train.lora else model


def plain(train: Train, folder: Path, examples: list[Example], scratch: Path) -> Any:
    """transformers.Trainer with the usual padding collator."""
    from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Trainer(
        model=_model(train, folder),
        args=_settings(TrainingArguments, train, scratch),
        train_dataset=_rows(examples),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )


def trl(train: Train, folder: Path, examples: list[Example], scratch: Path) -> Any:
    """TRL's SFTTrainer on rows that are tokenised already, without packing."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    args = _settings(
        SFTConfig,
        train,
        scratch,
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    return SFTTrainer(
        model=_model(train, folder),
        args=args,
        train_dataset=Dataset.from_list(_rows(examples)),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )


if __name__ == "__main__":
    main()
