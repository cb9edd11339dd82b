"""Elicitation and bodies that all teachers share: how a turn is started, its thinking ended, a reply kept.

Under `forced` elicitation with a thinking budget (budget forcing, s1, arXiv 2501.19393) a completion
has two parts. The first ends when the model closes its thinking, ends its turn, or has spent the
budget; a spent budget is closed for it. The second part is the answer, from what `max_tokens` leaves.
A model that ended its turn while thinking is left as it is: an unclosed thinking has no answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from tracegen.data import Sampling, Struct
from tracegen.errors import TeacherError
from tracegen.recipe import Elicit

Ended = Literal["closed", "turn", "length", "unknown"]
"""How a first part ended: by the close tag, by the end of the turn, by its limit, or nobody says."""


class Generated(Struct, frozen=True):
    """One part of a completion by an engine in this process: the raw reply."""

    text: str
    """As generated, tags included, without the token that ends the turn."""
    finish_reason: str
    """`stop` or `length`."""
    stop_reason: str | None
    """The close tag, where it ended this part."""
    prompt_tokens: int
    completion_tokens: int
    token_ids: tuple[int, ...]
    top_ids: tuple[tuple[int, ...], ...] = ()
    """For each token the ids of the likeliest ones, where they were asked for …"""
    top_logprobs: tuple[tuple[float, ...], ...] = ()
    """… and their log-probabilities before any sampling setting."""


class Body(Struct, frozen=True):
    """What a teacher returns, and the store keeps: raw replies, and what tracegen put between them."""

    kind: str
    """openai, vllm, transformers or replay."""
    prefill: str
    """What the assistant's turn was started with."""
    inserted: tuple[str, ...]
    """Text put between two replies, one fewer than replies; empty where the model went on by itself."""
    forced_close: bool
    """The thinking was closed because its budget was spent."""
    replies: tuple[msgspec.Raw, ...]
    tokenizer: str = ""
    """Hash of the tokenizer whose token ids the replies tell; empty where no logprobs were asked for."""


class Budget(Struct, frozen=True):
    """Of how many tokens a thinking may be, what closes it, and what is inserted where it is spent."""

    tokens: int
    close: str

    @property
    def inserted(self) -> str:
        return f"\n{self.close}\n\n"


class Part(Struct, frozen=True):
    """A first part, as `drive` needs to know it."""

    raw: bytes
    """The reply, JSON."""
    text: str
    ended: Ended
    tokens: int


class Ask(Struct, frozen=True):
    """One part to generate: `text` continues the assistant's turn."""

    text: str
    max_tokens: int
    stop: str = ""
    """The close tag, while thinking."""


def budget_of(elicit: Elicit, sampling: Sampling) -> Budget | None:
    """The thinking budget of a request, or None where it is generated in one part."""
    if elicit.mode != "forced" or not sampling.thinking_tokens:
        return None
    return Budget(tokens=min(sampling.thinking_tokens, sampling.max_tokens), close=elicit.close)


def started(prompt: str, prefill: str) -> str:
    """The rendered prompt with the assistant's turn started; a template may have opened the thinking."""
    opened = bool(prefill.strip()) and prompt.rstrip().endswith(prefill.strip())
    return prompt if opened else prompt + prefill


def joint(part: Part, budget: Budget, left: int) -> tuple[str, bool] | None:
    """What to insert after a first part, and whether that closes the thinking by force; None if it is all.

    `left` is what `max_tokens` leaves for the answer.
    """
    if left <= 0:
        return None
    match part.ended:
        case "closed":
            return ("" if budget.close in part.text else budget.close), False
        case "turn":
            return None
        case "length" | "unknown":
            return budget.inserted, True


def too_long(name: str, prompt: int, most: int, context: int) -> TeacherError:
    """The refusal of a request that does not fit: tokens of its prompt, of its budget, and of the model."""
    return TeacherError(
        f"{name}: a prompt of {prompt} tokens and a budget of {most} exceed its context of {context}"
        " - lower sampling.max_tokens, or raise max_model_len",
        cause="bad_request",
    )


async def drive(
    ask: Callable[[Ask], Awaitable[Part]],
    kind: str,
    prefill: str,
    sampling: Sampling,
    budget: Budget | None,
    tokenizer: str = "",
) -> bytes:
    """Generate a completion in one or two parts; returns the encoded Body."""
    if budget is None:
        part = await ask(Ask(text=prefill, max_tokens=sampling.max_tokens))
        return encode(kind, prefill, (part.raw,), tokenizer=tokenizer)
    first = await ask(Ask(text=prefill, max_tokens=budget.tokens, stop=budget.close))
    left = sampling.max_tokens - first.tokens
    inserted = joint(first, budget, left)
    if inserted is None:
        return encode(kind, prefill, (first.raw,), tokenizer=tokenizer)
    text, forced = inserted
    second = await ask(Ask(text=prefill + first.text + text, max_tokens=left))
    return encode(kind, prefill, (first.raw, second.raw), (text,), forced, tokenizer)


def encode(
    kind: str,
    prefill: str,
    replies: tuple[bytes, ...],
    inserted: tuple[str, ...] = (),
    forced_close: bool = False,
    tokenizer: str = "",
) -> bytes:
    """A Body as JSON, with the replies' JSON as it came."""
    return msgspec.json.encode(
        Body(
            kind=kind,
            prefill=prefill,
            inserted=inserted,
            forced_close=forced_close,
            replies=tuple(msgspec.Raw(reply) for reply in replies),
            tokenizer=tokenizer,
        )
    )
