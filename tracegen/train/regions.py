"""From a turn in parts to a region for each token: pure, by character offsets.

The text is tokenised whole and once, since tokenising it piece by piece gives ids that the model never sees
(but for a prompt that would end inside a token: see `prepare`). A token that lies over a boundary (`>\\n`,
`.</`) goes to the region of the larger weight, so that no delimiter is lost; of equal weights to the
delimiter. Not covered: what the weights are (`weights`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracegen.data import Logprobs, Struct
from tracegen.student import Region
from tracegen.train.example import CODES, Soft

PRECEDENCE = {
    region: rank for rank, region in enumerate(("prompt", "think", "answer", "open", "eot", "close"))
}
"""Who gets a token over a boundary where the weights are equal: the later one."""
LOOK = 32
RUN = 4
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

    Token ids decide, not lengths. What one side has alone (white space that was stripped, a tag that the
    teacher's prompt opened) has no distribution: up to LOOK tokens of it are passed over where at least RUN
    tokens are the same again, or all that are left. Linear in the tokens.
    """
    target = ids[start:]
    place: list[int | None] = [None] * len(target)
    left = right = 0
    while left < len(stored.ids) and right < len(target):
        if stored.ids[left] == target[right]:
            place[right] = left
            left, right = left + 1, right + 1
        elif skipped := _resumed(stored.ids, target, left, right):
            left, right = left + skipped[0], right + skipped[1]
        else:
            break
    found = [index for index, at in enumerate(place) if at is not None]
    if not found:
        return None
    return Soft(
        start=start,
        ids=tuple(() if at is None else stored.top_ids[at] for at in place),
        logprobs=tuple(() if at is None else stored.top_logprobs[at] for at in place),
    )


def _resumed(one: Sequence[int], other: Sequence[int], left: int, right: int) -> tuple[int, int] | None:
    """How many tokens to pass over on each side, as few as may be, until they are the same again."""
    for both in range(1, LOOK + 1):
        for mine in range(both + 1):
            here, there = left + mine, right + both - mine
            ours = list(one[here : here + RUN])
            if ours and ours == list(other[there : there + RUN]):
                return mine, both - mine
    return None


def text_of(regions: bytes, region: Region) -> list[int]:
    """Indices of the tokens of a region."""
    code = CODES[region]
    return [index for index, found in enumerate(regions) if found == code]


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
