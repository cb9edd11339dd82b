"""On-policy distillation through TRL's trainer (Agarwal et al., arXiv 2306.13649), an optional extra.

The student writes, the teacher scores every token of it; the other batches are the dataset's own rows. TRL's
data path does the rendering here, so regions and weights do not apply: of the dataset's rows the completion
is trained as a whole. Not covered: packing, stages, the collapse monitor, resuming.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tracegen.errors import UserError
from tracegen.student import Gkd, Train
from tracegen.train import loading, saving
from tracegen.train.sources import Row


def chat(row: Row, train: Train) -> list[dict[str, str]]:
    """A row as the messages that TRL renders, the thinking inline."""
    thinking = (row.thinking or "").strip()
    thought = f"{train.open}\n{thinking}\n{train.close}\n\n" if thinking else ""
    asked = [{"role": turn.role, "content": turn.content} for turn in row.turns]
    return [*asked, {"role": "assistant", "content": f"{thought}{row.answer.strip()}"}]


def train(
    settings: Train,
    method: Gkd,
    rows: Sequence[Row],
    tokenizer: Any,
    folders: tuple[Path, Path],
    directory: Path,
    say: Callable[[str], None],
) -> tuple[Any, saving.State]:
    """Train the student in the first of `folders` with the teacher in the second; the trainer and its state.

    Raises UserError where the installed TRL has no such trainer, or there is no row.
    """
    config, trainer_class = _trl()
    from datasets import Dataset
    from transformers import PrinterCallback
    from transformers.utils import logging as noise

    noise.set_verbosity_error()
    noise.disable_progress_bar()

    kept = [row for row in rows if not row.refused]
    if not kept:
        raise UserError("train.data: no row can be trained on")
    args = config(
        output_dir=str(directory / saving.CHECKPOINTS),
        max_steps=settings.max_steps or -1,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=max(1, settings.batch_tokens // settings.max_tokens),
        learning_rate=settings.learning_rate or (2e-4 if settings.lora else 2e-5),
        lr_scheduler_type="cosine",
        warmup_steps=0,
        max_grad_norm=settings.clip,
        bf16=settings.dtype == "bfloat16",
        use_cpu=not _on_gpu(),
        gradient_checkpointing=settings.gradient_checkpointing,
        seed=settings.seed,
        lmbda=method.on_policy,
        beta=method.beta,
        max_new_tokens=method.new_tokens,
        max_length=settings.max_tokens,
        report_to=list(settings.report_to) or "none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
    )
    student = loading.load(settings.model, folders[0], train=settings)
    model = loading.adapted(student, settings.lora) if settings.lora else student
    as_teacher = msgspec.structs.replace(settings, lora=None)
    trainer = trainer_class(
        model=model,
        teacher_model=loading.load(method.teacher, folders[1], train=as_teacher),
        args=args,
        train_dataset=Dataset.from_list([{"messages": chat(row, settings)} for row in kept]),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    say(f"on-policy distillation of {len(kept)} rows through TRL")
    begin = time.perf_counter()
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return trainer, saving.State(
        fingerprint="",
        status="done",
        steps=trainer.state.global_step,
        loss=losses[-1] if losses else 0.0,
        seconds=round(time.perf_counter() - begin, 1),
    )


def _trl() -> tuple[Any, Any]:
    """The config and the trainer, which TRL has moved once."""
    try:
        from trl.experimental.gkd import GKDConfig, GKDTrainer
    except ImportError:
        try:
            from trl import GKDConfig, GKDTrainer
        except ImportError as error:
            raise UserError(
                f"train.method: the installed trl has no GKDTrainer ({error}) - pip install -U trl"
            ) from None
    return GKDConfig, GKDTrainer


def _on_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())
