"""Several examples in one sequence, kept apart by their positions alone; and padded ones, for comparison.

Best fit, longest first; an example is never cut. Packed sequences carry no attention mask: with one, even of
ones alone, transformers does not see from the positions that the documents are apart, and each attends to
those before it. Nor does it look where a cache is made, so forward passes need `use_cache=False`.

Loss weights stand beside the tokens they belong to: whoever computes the loss compares the logits at i with
the label and the weight at i + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracegen.train.example import Example

IGNORED = -100
"""Label of a token that is not trained."""


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Indices of the examples of each sequence. No sequence is longer than `capacity`, but for an example
    that is longer by itself and stands alone.

    Best-fit decreasing, deterministic. The free sequences are kept by the room they have left, and which room
    sizes occur is a bit each of one integer; so an example costs a few operations on `capacity / 64` words.
    """
    packs: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    occurring = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        size = lengths[index]
        fitting = occurring >> size
        if size <= capacity and fitting:
            room = size + (fitting & -fitting).bit_length() - 1
            number = with_room[room].pop()
            if not with_room[room]:
                occurring &= ~(1 << room)
            packs[number].append(index)
        else:
            room, number = max(capacity, size), len(packs)
            packs.append([index])
        left = room - size
        if left:
            with_room[left].append(number)
            occurring |= 1 << left
    return packs


def collate(examples: Sequence[Example], pack: Sequence[int]) -> dict[str, Any]:
    """One packed sequence as torch tensors of shape (1, tokens): input_ids, position_ids, labels (int64) and
    weights (float32). No attention mask, on purpose."""
    import torch

    chosen = [examples[index] for index in pack]
    ids = torch.cat([_ids(one) for one in chosen])
    weights = torch.cat([_weights(one) for one in chosen])
    positions = torch.cat([torch.arange(len(one.ids)) for one in chosen])
    return {
        "input_ids": ids[None],
        "position_ids": positions[None],
        "labels": ids.masked_fill(weights == 0, IGNORED)[None],
        "weights": weights[None],
    }


def collate_padded(examples: Sequence[Example], batch: Sequence[int], pad: int) -> dict[str, Any]:
    """Examples beside each other, padded at the right, shape (examples, longest); with an attention mask."""
    import torch

    chosen = [examples[index] for index in batch]
    rows = torch.nn.utils.rnn.pad_sequence
    ids = rows([_ids(one) for one in chosen], batch_first=True, padding_value=pad)
    weights = rows([_weights(one) for one in chosen], batch_first=True)
    mask = rows([torch.ones(len(one.ids), dtype=torch.int64) for one in chosen], batch_first=True)
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "labels": ids.masked_fill(weights == 0, IGNORED),
        "weights": weights,
    }


def _ids(example: Example) -> Any:
    import torch

    return torch.tensor(example.ids, dtype=torch.int64)


def _weights(example: Example) -> Any:
    import torch

    weights = torch.tensor(example.weights, dtype=torch.float32)
    weights[:1] = 0.0
    return weights
