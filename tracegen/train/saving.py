"""A student as it is left behind: weights, tokenizer, template, generation config, what was checked and done.

Everything is written beside its place and moved there, and `training.json` says last that it is whole.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tracegen import files
from tracegen.data import Struct
from tracegen.errors import UserError
from tracegen.student import Train

STATE = "training.json"
CHECKPOINTS = "checkpoints"
LOG = "log.jsonl"
MONITOR = "monitor.jsonl"
CHECKS = "checks.json"
RECIPE = "recipe.toml"
REPORT = "report.html"
ADAPTER = "adapter"


class State(Struct, frozen=True):
    """How far the training in a directory has come, and of what."""

    fingerprint: str
    """Digest of model, examples and settings: what a checkpoint may go on with."""
    status: str = "training"
    """training, done, or stopped (by the monitor)."""
    steps: int = 0
    loss: float = 0.0
    """Of the last step."""
    validation: float | None = None
    """Weighted cross-entropy of the held-out rows after training."""
    seconds: float = 0.0
    """Of the last call; a run that was resumed has taken longer."""
    warnings: tuple[str, ...] = ()
    """What the monitor has said."""
    counts: dict[str, int] = {}
    """Of method kd: tokens with and without a teacher's word."""


def read_state(directory: Path) -> State | None:
    """The state of a student's directory; None for a new one. Raises UserError for another's directory."""
    file = directory / STATE
    if file.is_file():
        try:
            return msgspec.json.decode(file.read_bytes(), type=State)
        except msgspec.DecodeError:
            raise UserError(f"{file}: cannot be read - delete the directory to train anew") from None
    if directory.is_dir() and any(directory.iterdir()):
        raise UserError(f"{directory}: is not empty and not a student's - give another output")
    return None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON lines file; none of a missing one, and without lines that were cut off."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def write_state(directory: Path, state: State) -> None:
    """Replace the state in one step."""
    write(directory / STATE, msgspec.json.format(msgspec.json.encode(state), indent=2).decode())


def write(path: Path, text: str) -> None:
    """Replace a file in one step."""
    files.replace(path, text.encode())


def save(
    trainer: Any, tokenizer: Any, train: Train, base: Path, directory: Path, ends: Sequence[int]
) -> None:
    """Write the student's files. Every rank calls it, since a sharded model needs all to be gathered."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    scratch = directory / ".saving"
    shutil.rmtree(scratch, ignore_errors=True)
    if train.lora:
        folder = scratch if not train.lora.merge else scratch / ADAPTER
        model.save_pretrained(folder, state_dict=weights)
        if train.lora.merge:
            _merged(base, folder, train).save_pretrained(scratch)
    else:
        model.config.use_cache = True
        dtype = dtype_of(train)
        cast = _cast(weights, dtype)
        model.save_pretrained(scratch, state_dict=cast)
        _set(scratch / "config.json", dtype=train.dtype)
    _save_tokenizer(tokenizer, train, scratch)
    _save_generation(model, tokenizer, ends, scratch)
    _move(scratch, directory)


def dtype_of(train: Train) -> Any:
    """The recipe's dtype, as torch names it."""
    import torch

    return getattr(torch, train.dtype)


def _cast(weights: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """The weights in `dtype`; those that share their storage go on sharing it, and are saved once."""
    made: dict[int, Any] = {}
    for value in weights.values():
        if value.is_floating_point():
            made.setdefault(value.data_ptr(), value.to(dtype))
    return {
        name: made[value.data_ptr()] if value.is_floating_point() else value
        for name, value in weights.items()
    }


def _merged(base: Path, adapter: Path, train: Train) -> Any:
    """The base in float32 with the adapter added to its weights, in the recipe's dtype."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from tracegen.teachers.weights import quiet

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().to(dtype_of(train))


def _save_tokenizer(tokenizer: Any, train: Train, folder: Path) -> None:
    """The tokenizer; the options that the template was trained with become its defaults."""
    plain = tokenizer.chat_template
    tokenizer.chat_template = served_template(plain, train.template_options)
    try:
        tokenizer.save_pretrained(folder)
    finally:
        tokenizer.chat_template = plain


def served_template(template: str, options: dict[str, bool | str]) -> str:
    """The chat template that does without being told what it was told in training."""
    lines = [
        f"{{%- if {name} is not defined %}}{{%- set {name} = {_literal(value)} %}}{{%- endif %}}"
        for name, value in sorted(options.items())
    ]
    return "".join([*lines, "{#- options as trained #}" if lines else "", template])


def _literal(value: bool | str) -> str:
    return json.dumps(value)


def _save_generation(model: Any, tokenizer: Any, ends: Sequence[int], folder: Path) -> None:
    """A generation config that stops where the training taught to stop."""
    config = model.generation_config
    config.eos_token_id = list(ends) if len(ends) != 1 else ends[0]
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0]
    config.save_pretrained(folder)


def _set(path: Path, **values: str) -> None:
    tree = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**tree, **values}, indent=2) + "\n", encoding="utf-8")


def _move(scratch: Path, directory: Path) -> None:
    for path in scratch.iterdir():
        place = directory / path.name
        if place.is_dir():
            shutil.rmtree(place)
        path.replace(place)
    scratch.rmdir()
