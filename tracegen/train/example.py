"""What a row has become when it is trained on: token ids, and for each a region and a weight."""

from __future__ import annotations

from array import array
from typing import get_args

from tracegen.data import ChoiceAnswer, MathAnswer, Struct
from tracegen.student import Region

REGIONS: tuple[Region, ...] = get_args(Region)
"""The code of a region is its place here: prompt 0, open 1, think 2, close 3, answer 4, eot 5."""
CODES: dict[Region, int] = {region: code for code, region in enumerate(REGIONS)}


class Soft(Struct, frozen=True):
    """A teacher's stored distribution of the tokens of one example."""

    start: int
    """Index in `Example.ids` of the first token that it speaks of."""
    ids: tuple[tuple[int, ...], ...]
    """Top-k token ids for each position; empty where the teacher's tokens are not those of the example."""
    logprobs: tuple[tuple[float, ...], ...]
    """Their natural logarithms, at temperature 1, not renormalised."""


class Example(Struct, frozen=True):
    """One trained turn; nine bytes a token, since ids and weights are arrays."""

    id: str
    """Id of the row."""
    ids: array[int]
    """Token ids of the whole rendered text, as 32-bit integers."""
    weights: array[float]
    """Weight of the loss of predicting `ids[i]` from what stands before it, in 32 bits; as long as `ids`,
    the first one 0."""
    regions: bytes
    """Code of the region of each token."""
    straddlers: tuple[int, ...] = ()
    """Tokens that lie over a boundary; each belongs to the region of the larger weight."""
    source: str = ""
    """Name of the source that it came from, for counts."""
    problem: str = ""
    """Digest of the question, by which the validation split is made."""
    empty: bool = False
    """Without thinking."""
    reference: MathAnswer | ChoiceAnswer | None = None
    """The right answer, where the dataset has one that needs no sandbox; the monitor asks for it."""
    soft: Soft | None = None

    @property
    def mass(self) -> float:
        """Sum of its weights: its part of the loss before the division."""
        return sum(self.weights)
