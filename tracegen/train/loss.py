"""The weighted loss: sum(w · ce) / sum(w), with the language model's head only where something is trained.

`install` teaches a causal language model to return that sum when it is called with `targets`, so that a
wrapper (DDP, FSDP, an adapter) sees one ordinary forward. The logits never exist as a whole: they are made,
scored and turned into gradients chunk by chunk. The division is the caller's, who alone knows the
accumulation window and the other ranks: `weights` come already divided.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

CHUNK_BYTES = 256 * 2**20
"""What the float32 logits of one chunk may take."""

Objective = Callable[[torch.Tensor, slice], torch.Tensor]
"""From the logits (n, V) of the supervised positions in a slice to their summed, weighted loss."""


def supervised(
    weights: torch.Tensor, input_ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where something is trained: flat positions (n,) whose logits predict, targets (n,), weights (n,).

    `weights[b, t]` belongs to predicting `input_ids[b, t]` from what stands before it, so the logits are
    those of position t - 1; the first weight of every row is 0.
    """
    width = input_ids.shape[1]
    row, column = (weights[:, 1:] > 0).nonzero(as_tuple=True)
    return row * width + column, input_ids[row, column + 1], weights[row, column + 1]


def cross_entropy(targets: torch.Tensor, weights: torch.Tensor) -> Objective:
    """The objective of plain training, for heads that the fused function does not serve."""

    def score(logits: torch.Tensor, part: slice) -> torch.Tensor:
        return (functional.cross_entropy(logits, targets[part], reduction="none") * weights[part]).sum()

    return score


class FusedCrossEntropy(torch.autograd.Function):  # type: ignore[misc]  # torch is untyped here
    """sum(w · ce) of a linear head; gradients are made with the loss, so that no logits outlive their chunk.

    As in Liger's fused linear cross-entropy (arXiv 2410.10989), in plain torch and with weights.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        head: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        """`hidden` (n, d), `head` (V, d), `bias` (V,) or None, `targets` and `weights` (n,)."""
        dtype = _compute_dtype(hidden)
        wants_hidden, wants_head, wants_bias = ctx.needs_input_grad[:3]
        matrix = head.to(dtype)
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_head = torch.zeros_like(head, dtype=torch.float32) if wants_head else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and wants_bias else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for part in _chunks(hidden.shape[0], head.shape[0]):
            inputs, wanted, scale = hidden[part].to(dtype), targets[part, None], weights[part, None].float()
            logits = functional.linear(inputs, matrix, None if bias is None else bias.to(dtype)).float()
            normalizer = logits.logsumexp(-1, keepdim=True)
            total += ((normalizer - logits.gather(1, wanted)) * scale).sum()
            if grad_hidden is None and grad_head is None and grad_bias is None:
                continue
            slope = logits.sub_(normalizer).exp_().mul_(scale)
            slope.scatter_add_(1, wanted, -scale)
            if grad_bias is not None:
                grad_bias += slope.sum(0)
            slope = slope.to(dtype)
            if grad_hidden is not None:
                grad_hidden[part] = slope @ matrix
            if grad_head is not None:
                grad_head += slope.t() @ inputs
        ctx.save_for_backward(grad_hidden, grad_head, grad_bias)
        ctx.dtypes = (hidden.dtype, head.dtype, None if bias is None else bias.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients that `forward` has made, times that of what came after."""
        return (
            *(
                None if grad is None else (grad * slopes[0]).to(dtype)
                for grad, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
            ),
            None,
            None,
        )


def _compute_dtype(hidden: torch.Tensor) -> torch.dtype:
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def _chunks(rows: int, vocabulary: int) -> list[slice]:
    size = max(1, CHUNK_BYTES // (4 * vocabulary))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _checkpointed(
    head: Callable[[torch.Tensor], torch.Tensor], hidden: torch.Tensor, objective: Objective, vocabulary: int
) -> torch.Tensor:
    """Any objective over any head: a chunk's logits are made again in the backward pass."""

    def score(inputs: torch.Tensor, part: slice) -> torch.Tensor:
        return objective(head(inputs).float(), part)

    total = hidden.new_zeros((), dtype=torch.float32)
    for part in _chunks(hidden.shape[0], vocabulary):
        total = total + checkpoint(score, hidden[part], part, use_reentrant=False)
    return total


def install(model: Any) -> bool:
    """Make `model(**inputs, keep=…, targets=…, target_weights=…, objective=…)` return the summed loss.

    Called without `targets` it is the model that it was. Returns whether the logits are made in chunks:
    a model that does more to its logits than its head (a scale, a soft cap) makes those of all supervised
    positions at once.
    """
    original = model.forward
    chunked = head_is_all(model)

    def forward(
        self: Any,
        *args: Any,
        keep: torch.Tensor | None = None,
        targets: torch.Tensor | None = None,
        target_weights: torch.Tensor | None = None,
        objective: Objective | None = None,
        **inputs: Any,
    ) -> Any:
        if keep is None or targets is None or target_weights is None:
            return original(*args, **inputs)
        from transformers.modeling_outputs import CausalLMOutput

        head = self.get_output_embeddings()
        wanted = objective or cross_entropy(targets, target_weights)
        if not chunked:
            loss = _whole(original, inputs, keep, wanted)
            return CausalLMOutput(loss=loss)
        hidden = self.get_decoder()(**inputs, use_cache=False).last_hidden_state
        hidden = hidden.reshape(-1, hidden.shape[-1]).index_select(0, keep)
        if objective is None and type(head) is torch.nn.Linear:
            loss = FusedCrossEntropy.apply(hidden, head.weight, head.bias, targets, target_weights)
        else:
            loss = _checkpointed(head, hidden, wanted, _vocabulary(self))
        return CausalLMOutput(loss=loss)

    model.forward = MethodType(forward, model)
    return chunked


def _whole(
    original: Callable[..., Any], inputs: dict[str, Any], keep: torch.Tensor, objective: Objective
) -> torch.Tensor:
    rows, width = inputs["input_ids"].shape
    if rows == 1:
        logits = original(**inputs, use_cache=False, logits_to_keep=keep).logits[0]
    else:
        logits = original(**inputs, use_cache=False).logits
        logits = logits.reshape(rows * width, -1).index_select(0, keep)
    return objective(logits.float(), slice(0, len(keep)))


def _vocabulary(model: Any) -> int:
    return int(model.config.get_text_config().vocab_size)


def head_is_all(model: Any) -> bool:
    """Whether the logits are the head applied to the decoder's last hidden states, tried on four tokens."""
    device = next(model.parameters()).device
    ids = torch.arange(4, device=device)[None] % _vocabulary(model)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            whole = model(input_ids=ids, use_cache=False).logits
            hidden = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
            return bool(torch.equal(model.get_output_embeddings()(hidden), whole))
    except (AttributeError, TypeError, RuntimeError):
        return False
    finally:
        model.train(training)
