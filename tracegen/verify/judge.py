"""The last step of the ladder: a model that is shown a reference and an extracted answer, to compare them.

It is asked only where the steps before it end undecided, never after a limit of ours (`too_large`,
`timeout`). What it is shown was written by a model too, and may want to be called right. So

- it sees the reference and the extracted answer alone, neither the question nor the response;
- each is one JSON string on a line of its own, which no text can close, continue or imitate;
- a text of more than `MAX_CHARACTERS`, or with anything like a token of a chat template, is not shown to it
  (cause `judge_withheld`);
- of its reply only one whole word counts: EQUAL, DIFFERENT or UNCLEAR. Everything else is `judge_unclear`.

Its verdicts have weak trust: a model that is talked round inside its quotes is still talked round.
"""

from __future__ import annotations

import json
import re

import msgspec

from tracegen.data import (
    ChoiceAnswer,
    CodeTests,
    GymAnswer,
    JudgedAnswer,
    MathAnswer,
    NoReference,
    Reference,
    Trace,
    Verdict,
)
from tracegen.verify import math, words
from tracegen.verify.extract import WEAK, final_answer
from tracegen.verify.latex import canonical
from tracegen.verify.pool import Pool

OPEN = frozenset({"undecided", "reference_unreadable"})
"""Causes of a verdict that a judge may close."""
LIMITS = frozenset({"too_large", "timeout", "memory_limit", "crashed"})
"""Causes of a verdict that would have taken more than our limits; no judge is asked for it."""
MAX_CHARACTERS = 2_000
"""Of a reference, and of an answer; a longer one is hardly an answer, and has room for persuasion."""

_CONTROL = re.compile(
    r"<[|｜][^<>]{1,40}[|｜]>|</?\s*[A-Za-z_][\w:-]*\s*/?>|<<SYS>>|[◁▷]"
    r"|\[/?(?:INST|SYSTEM_PROMPT|THINK|TOOL_\w+|AVAILABLE_TOOLS)\]|^\s*(?:system|assistant|user)\s*:",
    re.IGNORECASE | re.MULTILINE,
)
"""What chat templates mark turns and thinking with; servers may read it as such even inside a message."""
_WORD = re.compile(r"\s*(EQUAL|DIFFERENT|UNCLEAR)\s*", re.IGNORECASE | re.ASCII)


async def free_text(pool: Pool, reference: JudgedAnswer, text: str, *, bare: bool, seconds: float) -> Verdict:
    """The verdict of the ladder on an answer in free text: equal, or left `undecided` for the judge."""
    answer, rule = (text.strip(), "bare") if bare else final_answer(text)
    if not answer or rule in WEAK:
        return Verdict("no_answer", "no_answer", "extract", evidence="no final answer was found")
    if _same_writing(reference.answer, answer):
        return Verdict("correct", "equal", "text", answer)
    verdict = await math.compare(pool, reference.answer, answer, seconds=seconds)
    if verdict.outcome in ("correct", "error") or verdict.cause in LIMITS or verdict.step == "exact":
        return verdict
    return msgspec.structs.replace(verdict, outcome="unverifiable", cause="undecided", trust="none")


def unfit(reference: JudgedAnswer) -> str:
    """Why a judge cannot be shown this reference, or an empty string."""
    return _unfit("reference", reference.answer)


def is_open(verdict: Verdict) -> bool:
    """Whether the ladder has left a verdict for a judge."""
    return verdict.outcome == "unverifiable" and verdict.cause in OPEN


def sides(reference: Reference, verdict: Verdict) -> str | Verdict:
    """What the judge is shown of an open verdict; or the verdict where it is not to be shown that."""
    wanted = _written(reference)
    if not wanted or not verdict.extracted:
        return verdict
    withheld = _unfit("reference", wanted) or _unfit("answer", verdict.extracted)
    if withheld:
        return msgspec.structs.replace(verdict, cause="judge_withheld", evidence=withheld)
    return f"reference: {_quoted(wanted)}\nanswer: {_quoted(verdict.extracted)}"


def ruled(verdict: Verdict, reply: Trace) -> Verdict:
    """The judge's verdict in place of the ladder's open one."""
    said = _WORD.fullmatch(reply.answer) if reply.closed and reply.finish_reason != "length" else None
    match said[1].upper() if said else "":
        case "EQUAL":
            outcome, cause = "correct", "equal"
        case "DIFFERENT":
            outcome, cause = "incorrect", "different"
        case _:
            outcome, cause = "unverifiable", "judge_unclear"
    raw = reply.answer if reply.closed else "an unclosed thinking"
    return Verdict(
        outcome=outcome,  # type: ignore[arg-type]  # one of three outcomes
        cause=cause,
        step="judge",
        extracted=verdict.extracted,
        evidence=f"the judge said {raw[:200]!r} of {verdict.evidence}",
        trust="weak",
        milliseconds=verdict.milliseconds,
    )


def _written(reference: Reference) -> str:
    match reference:
        case MathAnswer(answer):
            return math.reference_of(answer)
        case JudgedAnswer(answer):
            return answer
        case ChoiceAnswer() | GymAnswer() | CodeTests() | NoReference():
            return ""


def _unfit(name: str, text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        return f"a judge is shown at most {MAX_CHARACTERS} characters, the {name} has {len(text)}"
    if found := _CONTROL.search(text):
        return f"a judge is not shown {found[0].strip()!r}, which the {name} holds"
    return ""


def _quoted(text: str) -> str:
    """One JSON string without a character that ends a line, reorders text or is not to be seen."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in quoted)


def _same_writing(first: str, second: str) -> bool:
    left, right = canonical(first[:MAX_CHARACTERS]), canonical(second[:MAX_CHARACTERS])
    short = max(len(first), len(second)) <= MAX_CHARACTERS
    return short and ((left == right and bool(left)) or words.same(first, second))
