"""Attention over packed rows that costs what the rows cost, not what the pack costs.

transformers keeps packed rows apart with a block mask, which computes all L² of the pack and leaves the
fast kernels. `use` makes a model attend document by document with no mask at all: the same numbers, and
`sum(l²)` of the work. A model whose attention needs more than causality (sinks, soft caps) is not served
here; the packing self-test finds that out and the trainer falls back to the block mask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "tracegen_documents"
UNSERVED = ("softcap", "s_aux", "position_bias")
"""What an attention layer may ask for and document attention does not do."""


def lengths(position_ids: torch.Tensor) -> list[int]:
    """Lengths of the documents of one packed row, (1, T): a document begins where the position is 0."""
    starts = (position_ids[0] == 0).nonzero().flatten().tolist()
    ends = [*starts[1:], position_ids.shape[1]]
    return [end - start for start, end in zip(starts, ends, strict=True)]


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    documents: Sequence[int] | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each document of (1, heads, T, d), returned as (1, T, heads, d)."""
    position_ids = rest.get("position_ids")
    if documents is None and attention_mask is None and query.shape[0] == 1 and position_ids is not None:
        documents = lengths(position_ids) if query.shape[2] == key.shape[2] > 1 else None
    window = sliding_window if sliding_window and sliding_window < query.shape[2] else 0
    if any(rest.get(name) is not None for name in UNSERVED):
        raise NotServedError(f"{type(module).__name__} needs {', '.join(UNSERVED)}")
    if documents is None or (len(documents) == 1 and not window):
        return sdpa_attention_forward(  # type: ignore[no-any-return]  # transformers is untyped
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
        )
    grouped = query.shape[1] != key.shape[1]
    parts = zip(*(part.split(list(documents), dim=2) for part in (query, key, value)), strict=True)
    attended = [
        scaled_dot_product_attention(
            q, k, v, **_causal(q, window), dropout_p=dropout, scale=scaling, enable_gqa=grouped
        )
        for q, k, v in parts
    ]
    return torch.cat(attended, dim=2).transpose(1, 2), None


class NotServedError(Exception):
    """The model's attention needs something that document attention does not do."""


def _causal(query: torch.Tensor, window: int) -> dict[str, Any]:
    size = query.shape[2]
    if not window or size <= window:
        return {"is_causal": True}
    band = torch.ones(size, size, dtype=torch.bool, device=query.device).tril()
    return {"attn_mask": band.triu(1 - window)}


def _mask(*args: Any, attention_mask: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor | None:
    """None where nothing is padded, since `attend` needs no mask there; the usual one for generation."""
    if attention_mask is None:
        return None
    return sdpa_mask(*args, attention_mask=attention_mask, **kwargs)


def use(model: Any) -> None:
    """Make `model` attend document by document when it is given packed rows without a mask."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _mask)
    model.set_attn_implementation(NAME)


@contextlib.contextmanager
def plain(model: Any) -> Iterator[None]:
    """The model with torch's own attention, for generation with a cache."""
    before = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
