"""A teacher's distribution over its own tokens, as it is kept beside a completion, and found again.

Kept at temperature 1 and before top-k, top-p and penalties, so that it says what the model holds likely
and not how it was sampled. Token ids make it useful: a student can be trained on it only if its tokenizer
gives the same ids, which the hash decides. Tokens that tracegen put in (a prefill, a forced close) have no
distribution.

An endpoint must tell ids: vLLM's server does with `return_tokens_as_token_ids`, which is asked for; a
server that answers with texts alone gives traces without a distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tracegen.data import Logprobs, digest

DECIMALS = 4
ID = "token_id:"
"""How vLLM's server writes a token as its id."""
ASKED: dict[str, Any] = {"logprobs": True, "return_tokens_as_token_ids": True}
"""What an endpoint is asked with, beside `top_logprobs`."""

Top = tuple[tuple[int, ...], tuple[float, ...]]
"""Ids and log-probabilities of the likeliest tokens at one place."""


def stored(tokenizer: str, replies: Sequence[dict[str, Any]]) -> Logprobs | None:
    """The distribution over all tokens of a completion's raw replies; None where one of them has none."""
    ids: list[int] = []
    tops: list[Top] = []
    for reply in replies:
        found = _of_engine(reply) if "token_ids" in reply else _of_server(reply)
        if found is None:
            return None
        ids += found[0]
        tops += found[1]
    if not tokenizer or not any(top for top, _ in tops):
        return None
    return Logprobs(tokenizer, tuple(ids), tuple(top for top, _ in tops), tuple(values for _, values in tops))


def tokenizer_hash(tokenizer: Any) -> str:
    """Digest of everything that decides which ids a text becomes: vocabulary, merges, normalising, splitting.

    Two tokenizers with the same hash give the same ids, so that a teacher's stored distributions fit.
    """
    state = msgspec.json.decode(tokenizer.backend_tokenizer.to_str())
    return digest(
        "tokenizer", *(state.get(k) for k in ("model", "added_tokens", "normalizer", "pre_tokenizer"))
    )


def rounded(values: Sequence[float]) -> tuple[float, ...]:
    """Log-probabilities as they are kept."""
    return tuple(round(value, DECIMALS) for value in values)


def _of_engine(reply: dict[str, Any]) -> tuple[list[int], list[Top]] | None:
    ids, top_ids, values = (reply.get(name) or [] for name in ("token_ids", "top_ids", "top_logprobs"))
    if not len(ids) == len(top_ids) == len(values):
        return None
    return ids, [(tuple(top), tuple(some)) for top, some in zip(top_ids, values, strict=True)]


def _of_server(reply: dict[str, Any]) -> tuple[list[int], list[Top]] | None:
    """As in a chat completion: a list of tokens, each with its likeliest ones; anything else is none."""
    try:
        read = msgspec.convert(reply["choices"][0]["logprobs"]["content"], list[_Token])
        ids = [one.id for one in read]
        return ids, [
            (tuple(top.id for top in one.top_logprobs), rounded([top.logprob for top in one.top_logprobs]))
            for one in read
        ]
    except (KeyError, IndexError, TypeError, ValueError):  # msgspec's error is a ValueError, too
        return None


class _Likely(msgspec.Struct):
    token: str
    logprob: float

    @property
    def id(self) -> int:
        """Raises ValueError where the token is told by its text."""
        if not self.token.startswith(ID):
            raise ValueError(self.token)
        return int(self.token.removeprefix(ID))


class _Token(_Likely):
    top_logprobs: list[_Likely] = []
