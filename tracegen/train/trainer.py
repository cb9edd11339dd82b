"""transformers' Trainer with our loss, our batches and our idea of a whole checkpoint; the rest is its own.

Not covered: what a row becomes (`regions`), which rows make a step (`schedule`), the loss (`loss`).
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from tracegen.errors import UserError
from tracegen.student import Train
from tracegen.train import saving
from tracegen.train.example import Example
from tracegen.train.loss import Objective, supervised
from tracegen.train.pack import collate, collate_padded
from tracegen.train.schedule import Micro, Schedule

Batch = dict[str, Any]
"""input_ids (b, T), weights (b, T); packed rows have position_ids (1, T) and documents, their lengths."""

STATE = "trainer_state.json"
"""The last file that the Trainer writes of a checkpoint."""
LEARNING_RATE = {False: 2e-5, True: 2e-4}
"""Default for a whole model, and for LoRA (ten times, LoRA Without Regret 2025)."""


def packed(examples: Sequence[Example], rows: Sequence[int] | None = None) -> Batch:
    """The examples one after the other in a single row, kept apart by their positions."""
    chosen = range(len(examples)) if rows is None else rows
    batch = collate(examples, chosen)
    del batch["labels"]
    return {**batch, "documents": [len(examples[row].ids) for row in chosen]}


def padded(examples: Sequence[Example], rows: Sequence[int] | None = None) -> Batch:
    """One row each, padded on the right, where causality alone keeps the padding out of every real token."""
    batch = collate_padded(examples, range(len(examples)) if rows is None else rows, pad=0)
    return {name: batch[name] for name in ("input_ids", "weights")}


BLANK: Batch = {
    "input_ids": torch.zeros(1, 2, dtype=torch.long),
    "weights": torch.zeros(1, 2),
}
"""Trains nothing, and keeps a rank in step with the others."""


class Batches(Dataset[Batch]):  # type: ignore[misc]  # torch is untyped here
    """The micro-batches of a schedule, made when they are asked for."""

    def __init__(
        self,
        stages: Sequence[Sequence[Example]],
        micros: Sequence[Micro],
        *,
        packing: bool,
        soft: bool = False,
    ) -> None:
        self.stages = stages
        self.micros = micros
        self.packing = packing
        self.soft = soft

    def __len__(self) -> int:
        return len(self.micros)

    def __getitem__(self, at: int) -> Batch:
        micro = self.micros[at]
        if not micro.rows:
            return dict(BLANK)
        stage = self.stages[micro.stage]
        batch = packed(stage, micro.rows) if self.packing else padded(stage, micro.rows)
        if self.soft:
            batch["soft"] = [stage[row].soft for row in micro.rows]
            width = batch["input_ids"].shape[1]
            spans = batch["documents"] if self.packing else [width] * len(micro.rows)
            batch["starts"] = [0, *accumulate(spans[:-1])]
        return batch


def only(items: Sequence[Batch]) -> Batch:
    """The collator: a micro-batch is whole already."""
    return items[0]


Objectives = Callable[[Batch, torch.Tensor, torch.Tensor, torch.Tensor], Objective]
"""From a batch, its supervised positions, targets and divided weights to what is minimised in place of
cross-entropy."""


class WeightedTrainer(Trainer):  # type: ignore[misc]  # transformers is untyped
    """Minimises sum(w · ce) / sum(w) over the accumulation window and all ranks."""

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *args: Any,
        validation: Batches | None = None,
        objectives: Objectives | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, data_collator=only, eval_dataset=validation, **kwargs)
        self.validation = validation
        self.objectives = objectives

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> torch.Tensor:
        mass = sum((batch["weights"].sum() for batch in batch_samples), torch.zeros(())).to(device)
        if self.args.world_size > 1:
            mass = self.accelerator.gather(mass).sum()
        return mass

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """This micro-batch's part of the loss of the step, times the number of ranks, whose mean is taken."""
        weights = inputs["weights"]
        mass = weights.sum() if num_items_in_batch is None else num_items_in_batch
        ranks = 1 if num_items_in_batch is None else self.args.world_size
        loss = summed_loss(model, inputs, ranks / mass.clamp(min=1e-8), self.objectives)
        return (loss, {}) if return_outputs else loss

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """A forward and a backward pass. Raises UserError on a loss that is not a number."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise UserError(
                f"step {self.state.global_step + 1}: the loss is {loss.item()} - lower train.learning_rate "
                f'({self.args.learning_rate:g}) or set train.dtype = "float32"; {self._kept()}'
            )
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The weighted loss over the whole validation split, as one sum over one sum."""
        assert self.validation is not None  # noqa: S101 - never asked for without one
        metrics = {"eval_loss": self.validation_loss()}
        self.log(metrics)
        control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control: Any = control
        return metrics

    def validation_loss(self) -> float:
        """Weighted cross-entropy of the validation split, every rank taking its share."""
        assert self.validation is not None  # noqa: S101 - never asked for without one
        model, sums = self.model_wrapped, torch.zeros(2, device=self.args.device)
        training = model.training
        model.eval()
        with torch.no_grad(), self.compute_loss_context_manager(), self.accelerator.autocast():
            rounds = math.ceil(len(self.validation) / self.args.world_size)
            for turn in range(rounds):
                at = turn * self.args.world_size + self.args.process_index
                batch = self.validation[at] if at < len(self.validation) else dict(BLANK)
                batch = self._prepare_inputs(batch)
                loss = summed_loss(model, batch, torch.ones((), device=self.args.device))
                sums += torch.stack([loss.float(), batch["weights"].sum()])
        model.train(training)
        if self.args.world_size > 1:
            sums = self.accelerator.gather(sums[None]).sum(0)
        return float(sums[0] / sums[1].clamp(min=1e-8))

    def _kept(self) -> str:
        last = last_checkpoint(Path(self.args.output_dir))
        return f"kept: {last.name}" if last else "no checkpoint was made yet"


def unwritable(error: BaseException) -> str:
    """Why a file could not be written, as torch, safetensors and Python say it; empty for other errors."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    text = str(error)
    if "os error" in text or "I/O error" in text:  # safetensors
        return text.rpartition("I/O error: ")[2].partition(" (os error")[0]
    if "PytorchStreamWriter" in text or "inline_container" in text:
        return "the file could not be written whole"
    return ""


def summed_loss(
    model: Any, batch: Batch, scale: torch.Tensor, objectives: Objectives | None = None
) -> torch.Tensor:
    """sum(w · loss) · scale of a batch, by a model that `loss.install` has taught."""
    keep, targets, weights = supervised(batch["weights"], batch["input_ids"])
    weights = weights * scale
    inputs = {"input_ids": batch["input_ids"]}
    if "position_ids" in batch:
        inputs["position_ids"] = batch["position_ids"]
        if _by_document(model):
            inputs["documents"] = batch["documents"]
    objective = objectives(batch, keep, targets, weights) if objectives and len(keep) else None
    loss: torch.Tensor = model(
        **inputs, keep=keep, targets=targets, target_weights=weights, objective=objective
    ).loss
    return loss


def _by_document(model: Any) -> bool:
    from tracegen.train.attention import NAME

    config = getattr(model, "config", None) or model.module.config
    return bool(getattr(config, "_attn_implementation", "") == NAME)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    found = [path for path in folder.glob("checkpoint-*") if _whole(path)]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _whole(path: Path) -> bool:
    try:
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and f"checkpoint-{state.get('global_step')}" == path.name


def remove_torn(folder: Path) -> None:
    """Delete checkpoints that a kill has cut off."""
    for path in folder.glob("checkpoint-*"):
        if not _whole(path):
            shutil.rmtree(path, ignore_errors=True)


def arguments(
    train: Train, schedule: Schedule, folder: Path, *, validate: bool, name: str = ""
) -> TrainingArguments:
    """What the Trainer is told; the data's order is ours, so it takes the batches as they come."""
    steps = schedule.steps
    every = train.save_every or max(1, math.ceil(steps / 10))
    early = validate and train.patience > 0
    return TrainingArguments(
        output_dir=str(folder),
        run_name=name or None,
        max_steps=steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=schedule.per_step,
        train_sampling_strategy="sequential",
        learning_rate=train.learning_rate or LEARNING_RATE[train.lora is not None],
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(train.warmup * steps),
        weight_decay=train.weight_decay,
        max_grad_norm=train.clip,
        bf16=train.dtype == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=train.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if train.gradient_checkpointing else None,
        seed=train.seed,
        data_seed=train.seed,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        eval_strategy="steps" if validate else "no",
        eval_steps=every if validate else None,
        load_best_model_at_end=early,
        metric_for_best_model="eval_loss" if early else None,
        greater_is_better=False if early else None,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=list(train.report_to) or "none",
        remove_unused_columns=False,
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
    )


class Log(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """One JSON line a step in `path`, and a line for people through `say`."""

    def __init__(self, path: Path, say: Callable[[str], None], schedule: Schedule) -> None:
        self.path = path
        self.say = say
        self.schedule = schedule

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A run that goes on forgets the steps that it will do again."""
        if state.is_world_process_zero:
            rows = [row for row in saving.read_lines(self.path) if row["step"] <= state.global_step]
            saving.write(self.path, "".join(json.dumps(row) + "\n" for row in rows))

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Append what the Trainer has measured."""
        if not state.is_world_process_zero or not logs:
            return
        stage = self.schedule.stage_of(max(0, state.global_step - 1))
        row = {"step": state.global_step, "stage": stage, **logs}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if "loss" in logs:
            self.say(f"step {state.global_step}/{state.max_steps}  loss {logs['loss']:.4f}")
        if "eval_loss" in logs:
            self.say(f"step {state.global_step}/{state.max_steps}  validation loss {logs['eval_loss']:.4f}")
