"""Soft targets: a teacher's distribution beside the token that was drawn from it.

loss = sum(w · (alpha · T² · KL(teacher || student) + (1 - alpha) · ce)) / sum(w), over the same regions and
weights as plain training; a token without a teacher's word is plain cross-entropy, and is counted.

Of stored distributions only the k likeliest tokens are known. They stay as they are and the rest of the
vocabulary is one more event, the tail: renormalising them instead pulls the student to probabilities that
the teacher never had. With T = 1 and tail mass p, the KL over these k + 1 events is at most the full one,
which is larger by p · KL(tail || tail), and the gradient with respect to the logits differs from the full
one by at most 2 p in the sum of its absolute values. With another T the k + 1 events are tempered, the
teacher's and the student's alike.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from tracegen.train.attention import NAME
from tracegen.train.example import Soft
from tracegen.train.loss import Objective, head_is_all
from tracegen.train.trainer import Batch

NOTHING = float("-inf")


def bucketed(
    logits: torch.Tensor, ids: torch.Tensor, logprobs: torch.Tensor, temperature: float
) -> torch.Tensor:
    """KL(teacher || student) in nats for each of n tokens, over k known tokens and a tail.

    `logits` (n, V) of the student; `ids` and `logprobs` (n, k) of the teacher, absent ones -inf.
    """
    known = logprobs > NOTHING
    normalizer = logits.logsumexp(-1, keepdim=True)
    top = (logits.gather(1, ids) - normalizer).masked_fill(~known, NOTHING)
    # an absent entry hides nothing: its id is moved onto a known one of the same token
    hidden = torch.where(known, ids, ids[:, :1])
    tail = logits.scatter(1, hidden, NOTHING).logsumexp(-1, keepdim=True) - normalizer
    student = torch.cat([top, tail], 1)
    rest = (-logprobs.exp().sum(-1, keepdim=True)).log1p().nan_to_num(nan=NOTHING, neginf=NOTHING)
    teacher = torch.cat([logprobs, rest], 1)
    if temperature != 1.0:
        student = (student / temperature).log_softmax(-1)
        teacher = (teacher / temperature).log_softmax(-1)
    return _divergence(teacher, student)


def _divergence(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Sum over the events of the last axis; those of no mass add nothing."""
    there = teacher > NOTHING
    difference = torch.where(there, teacher, 0.0) - torch.where(there, student, 0.0)
    return (torch.where(there, teacher.exp(), 0.0) * difference).sum(-1)


def full(logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """KL(teacher || student) in nats for each of n tokens over the whole vocabulary; both are (n, V)."""
    return _divergence((teacher_logits / temperature).log_softmax(-1), (logits / temperature).log_softmax(-1))


def aligned(
    soft: Sequence[Soft | None], starts: Sequence[int], keep: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and logprobs (n, k) for each supervised position; a position without any is -inf throughout.

    `starts` are the flat positions at which the rows begin; the logits of position p are those of p + 1.
    """
    found: list[tuple[tuple[int, ...], tuple[float, ...]]] = []
    for position in keep.tolist():
        row = bisect_right(starts, position) - 1
        here = soft[row]
        at = position + 1 - starts[row] - (here.start if here else 0)
        found.append((here.ids[at], here.logprobs[at]) if here and 0 <= at < len(here.ids) else ((), ()))
    width = max((len(ids) for ids, _ in found), default=0) or 1
    ids = torch.zeros(len(found), width, dtype=torch.long)
    logprobs = torch.full((len(found), width), NOTHING)
    for at, (some, values) in enumerate(found):
        ids[at, : len(some)] = torch.tensor(some, dtype=torch.long)
        logprobs[at, : len(some)] = torch.tensor(values)
    return ids.to(keep.device), logprobs.to(keep.device)


class Stored:
    """The objective of `method = "kd"`. Counts the trained tokens with and without a distribution."""

    def __init__(self, alpha: float, temperature: float) -> None:
        self.alpha = alpha
        self.temperature = temperature
        self.counts = {"with": 0, "without": 0}

    def __call__(
        self, batch: Batch, keep: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> Objective:
        """The objective of one batch."""
        ids, logprobs = aligned(batch["soft"], batch["starts"], keep)
        known = (logprobs > NOTHING).any(-1)
        self.counts["with"] += int(known.sum())
        self.counts["without"] += int((~known).sum())

        def score(logits: torch.Tensor, part: slice) -> torch.Tensor:
            ce = functional.cross_entropy(logits, targets[part], reduction="none")
            here = known[part].nonzero().flatten()
            kl = bucketed(logits[here], ids[part][here], logprobs[part][here], self.temperature)
            return (_mixed(ce, here, kl, self.alpha, self.temperature) * weights[part]).sum()

        return score


def _mixed(
    ce: torch.Tensor, here: torch.Tensor, kl: torch.Tensor, alpha: float, temperature: float
) -> torch.Tensor:
    soft = alpha * temperature**2 * kl + (1 - alpha) * ce[here]
    return ce.index_copy(0, here, soft)


class Live:
    """The objective of `method = "logits"`: a teacher with the same tokenizer runs beside the student."""

    def __init__(self, teacher: Any, alpha: float, temperature: float) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self.alpha = alpha
        self.temperature = temperature
        self._chunked = head_is_all(teacher)

    def __call__(
        self, batch: Batch, keep: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> Objective:
        """The objective of one batch; the teacher's logits are made chunk by chunk, as the student's are."""
        logits_of = self._reader(batch, keep)

        def score(logits: torch.Tensor, part: slice) -> torch.Tensor:
            ce = functional.cross_entropy(logits, targets[part], reduction="none")
            kl = full(logits, logits_of(part), self.temperature)
            every = torch.arange(len(ce), device=ce.device)
            return (_mixed(ce, every, kl, self.alpha, self.temperature) * weights[part]).sum()

        return score

    def _reader(self, batch: Batch, keep: torch.Tensor) -> Callable[[slice], torch.Tensor]:
        """From a slice of the supervised positions to the teacher's logits there."""
        inputs: Batch = {name: batch[name] for name in ("input_ids", "position_ids") if name in batch}
        if "documents" in batch and self.teacher.config._attn_implementation == NAME:
            inputs["documents"] = batch["documents"]
        with torch.no_grad():
            if not self._chunked:
                whole = self.teacher(**inputs, use_cache=False).logits.flatten(0, 1)[keep]
                return lambda part: whole[part].float()
            hidden = self.teacher.get_decoder()(**inputs, use_cache=False).last_hidden_state
            hidden, head = hidden.flatten(0, 1)[keep], self.teacher.get_output_embeddings()
            return lambda part: head(hidden[part]).float()
