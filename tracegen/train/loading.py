"""The model that is trained: loaded, adapted and taught our loss. Every failure is a line for the user."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from tracegen.errors import UserError
from tracegen.student import Gkd, Lora, Train

EXTRA = "pip install 'tracegen[train]'"


def refuse_unable(train: Train) -> None:
    """Refuse what this machine or installation cannot do, before anything is loaded. Raises UserError."""
    needed = ["torch", "transformers", "accelerate", *(["peft"] if train.lora else [])]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"training needs {', '.join(missing)} - {EXTRA}")
    if isinstance(train.method, Gkd) and importlib.util.find_spec("trl") is None:
        raise UserError(
            'train.method.kind = "gkd" needs trl - pip install \'tracegen[gkd]\', or use kind = "logits"'
        )
    for tracker in train.report_to:
        if tracker in ("tensorboard", "wandb", "mlflow") and importlib.util.find_spec(tracker) is None:
            raise UserError(f"train.report_to: {tracker} is not installed - pip install {tracker}")
    if train.lora and train.lora.quantize:
        import torch

        if not torch.cuda.is_available():
            raise UserError(
                "train.lora.quantize: QLoRA needs an NVIDIA GPU and there is none - set it to false"
            )
        if importlib.util.find_spec("bitsandbytes") is None:
            raise UserError("train.lora.quantize: needs bitsandbytes - pip install bitsandbytes")


def settled(train: Train) -> Train:
    """The settings with the precision that `auto` stands for on this machine.

    Without instructions for it a product in bfloat16 takes about seven times as long as one in float32
    (8 against 60 GFLOP/s a core, AVX2, torch 2.13).
    """
    import torch

    if train.dtype != "auto":
        return train
    able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # newer torch has it
    fast = torch.cuda.is_available() or any(has for name, has in able.items() if "bf16" in name)
    return msgspec.structs.replace(train, dtype="bfloat16" if fast else "float32")


def load(name: str, folder: Path, *, train: Train) -> Any:
    """The model in `folder`, in float32 if all of it is trained, else in the recipe's dtype.

    Raises UserError where it cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from tracegen.teachers import weights

    dtype = torch.float32 if train.lora is None else getattr(torch, train.dtype)
    extra: dict[str, Any] = {}
    if train.lora and train.lora.quantize:
        from transformers import BitsAndBytesConfig

        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    try:
        with weights.quiet():
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **extra)
    except Exception as error:  # transformers, safetensors and torch each raise their own
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"model {name!r}: cannot be loaded from {folder}: {why} - train.model must name a causal "
            "language model"
        ) from None
    return model


def prepare(model: Any, train: Train, attention: str = "") -> tuple[Any, bool]:
    """The model with loss, attention and adapter, and whether its logits are made in chunks."""
    from tracegen.train.loss import install

    chunked = install(model)
    if attention:
        model.set_attn_implementation(attention)
    return (adapted(model, train.lora) if train.lora else model), chunked


def adapted(model: Any, lora: Lora) -> Any:
    """The model with fresh adapters on all linear layers, everything else frozen."""
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if lora.quantize:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def sizes(model: Any) -> tuple[int, int]:
    """Number of parameters, and of those that are trained."""
    return _count(model.parameters()), _count(p for p in model.parameters() if p.requires_grad)


def _count(parameters: Iterable[Any]) -> int:
    return sum(parameter.numel() for parameter in parameters)
