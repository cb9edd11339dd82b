"""From a turn in parts to a region for each token: pure, by character offsets.

The text is tokenised whole and once, since tokenising it piece by piece gives ids that the model never sees
(but for a prompt that would end inside a token: see `prepare`). A token that lies over a boundary (`>\\n`,
`.</`) goes to the region of the larger weight, so that no delimiter is lost; of equal weights to the
delimiter. Not covered: what the weights are (`weights`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracegen.data import Struct
from tracegen.student import Region
from tracegen.train.example import CODES, Soft
from tracegen.train.sources import Logprobs

PRECEDENCE = {
    region: rank for rank, region in enumerate(("prompt", "think", "answer", "open", "eot", "close"))
}
"""Who gets a token over a boundary where the weights are equal: the later one."""
Bounds = Sequence[tuple[int, int]]
"""First character of each token, and the one after its last."""


class Span(Struct, frozen=True):
    """A region of the text, by characters."""

    region: Region
    start: int
    end: int


def spans(parts: Sequence[tuple[Region, str]]) -> tuple[Span, ...]:
    """Where each part that has text stands in their concatenation."""
    found, at = [], 0
    for region, text in parts:
        if text:
            found.append(Span(region, at, at + len(text)))
        at += len(text)
    return tuple(found)


def assign(
    bounds: Bounds, parts: Sequence[Span], weights: Mapping[Region, float]
) -> tuple[bytes, tuple[int, ...]]:
    """The code of each token's region, and the tokens that lie over a boundary."""
    codes, straddlers = bytearray(), []
    first = 0
    for index, (start, end) in enumerate(bounds):
        while first < len(parts) - 1 and parts[first].end <= start:
            first += 1
        last = first
        while last < len(parts) - 1 and parts[last].end < end:
            last += 1
        over = parts[first : last + 1]
        if len(over) > 1:
            straddlers.append(index)
        owner = max(over, key=lambda span: (weights[span.region], PRECEDENCE[span.region]))
        codes.append(CODES[owner.region])
    return bytes(codes), tuple(straddlers)


def tiled(bounds: Bounds, length: int) -> bool:
    """The tokens cover the text without a gap; two may share a character that is cut between its bytes."""
    reached = 0
    for start, end in bounds:
        if start > reached or end < start:
            return False
        reached = max(reached, end)
    return reached == length


def bounds_of(tokenizer: Any, ids: Sequence[int], offsets: Bounds, text: str) -> Bounds | None:
    """Where each token stands in the text; None where that cannot be told.

    Tokenizers that trim white space off their offsets leave gaps: then the bytes of the tokens are counted.
    """
    if tiled(offsets, len(text)):
        return offsets
    counted = _by_bytes(tokenizer, ids, text)
    return counted if counted is not None and tiled(counted, len(text)) else None


def align(stored: Logprobs, ids: Sequence[int], start: int) -> Soft | None:
    """The stored distribution where its tokens are those of the example from `start` on; None if none is.

    Token ids decide, not lengths: the common beginning and the common end count, and what lies between (white
    space that was stripped) has no distribution.
    """
    target = ids[start:]
    head = _common(stored.ids, target)
    left = min(len(stored.ids), len(target)) - head
    tail = min(_common(stored.ids[::-1], target[::-1]), left)
    if head + tail == 0:
        return None
    gap = len(target) - head - tail
    return Soft(
        start=start,
        ids=(*stored.top_ids[:head], *((),) * gap, *stored.top_ids[len(stored.ids) - tail :]),
        logprobs=(*stored.top_logprobs[:head], *((),) * gap, *stored.top_logprobs[len(stored.ids) - tail :]),
    )


def text_of(regions: bytes, region: Region) -> list[int]:
    """Indices of the tokens of a region."""
    code = CODES[region]
    return [index for index, found in enumerate(regions) if found == code]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return index
    return min(len(one), len(other))


def _by_bytes(tokenizer: Any, ids: Sequence[int], text: str) -> list[tuple[int, int]] | None:
    """Bounds of the tokens of a byte-level tokenizer: each character of such a token stands for a byte."""
    starts = _characters(text)
    added = tokenizer.added_tokens_decoder
    bounds, at = [], 0
    for id_, token in zip(ids, tokenizer.convert_ids_to_tokens(list(ids)), strict=True):
        size = len(added[id_].content.encode()) if id_ in added else len(token)
        if size == 0 or at + size >= len(starts):
            return None
        bounds.append((starts[at], starts[at + size - 1] + 1))
        at += size
    return bounds if at == len(starts) - 1 else None


def _characters(text: str) -> list[int]:
    """For each byte of the text the character that it belongs to, and the length at the end."""
    found = []
    for index, character in enumerate(text):
        found += [index] * len(character.encode("utf-8", "surrogatepass"))
    return [*found, len(text)]
