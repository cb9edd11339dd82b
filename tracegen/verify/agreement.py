"""Whether two answers of models say the same, where neither of them is a reference.

The ladder takes its first side for the truth: tolerance comes from its digits, and a unit may be missing on
the other. So two answers agree only if each one would be accepted as the answer to the other. Labels agree
with the text of the option that they name. Procedural answers agree as text; programs never do.
"""

from __future__ import annotations

import msgspec

from tracegen.data import (
    NO_REFERENCE,
    ChoiceAnswer,
    CodeTests,
    GymAnswer,
    NoReference,
    Reference,
    Verdict,
)
from tracegen.verify import math, words
from tracegen.verify.extract import WEAK, final_answer
from tracegen.verify.labels import labels, last_marked
from tracegen.verify.latex import canonical
from tracegen.verify.pool import Pool


def unjudged(reference: NoReference, text: str, *, bare: bool) -> Verdict:
    """The verdict on an answer without a reference: what was extracted, and that nothing can judge it."""
    answer, rule = (text.strip(), "bare") if bare else final_answer(text)
    if reference.domain == "choice" and not labels(answer) and (rule in WEAK or rule == "none"):
        answer = ", ".join(sorted(last_marked(text))) or answer
    if not answer:
        return Verdict("no_answer", "no_answer" if rule in ("none", "bare") else rule, "extract")
    return Verdict("unverifiable", NO_REFERENCE, "vote", answer, trust="none")


async def agree(pool: Pool, reference: Reference, first: str, second: str, *, seconds: float) -> Verdict:
    """`correct` if two answers to a problem say the same; else `incorrect`, `unverifiable`, `error`."""
    match reference:
        case CodeTests():
            return _verdict(False, "programs are not compared")
        case GymAnswer():
            return _verdict(first.split() == second.split(), "as text")
        case ChoiceAnswer(choices=choices) | NoReference(domain="choice", choices=choices):
            named = labels(first), labels(second)
            if all(named) or not choices:
                same = named[0] == named[1] if all(named) else canonical(first) == canonical(second)
                return _verdict(same, "by label")
            first, second = _option(first, choices), _option(second, choices)
    if words.same(first, second):
        return _verdict(True, "the same words")
    there = await math.compare(pool, first, second, seconds=seconds)
    if there.outcome != "correct":
        return there
    back = await math.compare(pool, second, first, seconds=seconds)
    return msgspec.structs.replace(back, milliseconds=there.milliseconds + back.milliseconds)


def _option(answer: str, choices: tuple[str, ...]) -> str:
    """The text of the option that an answer names; an answer that names none is a text itself."""
    named = labels(answer)
    index = ord(min(named)) - ord("A") if len(named) == 1 else len(choices)
    return choices[index] if index < len(choices) else answer


def _verdict(same: bool, why: str) -> Verdict:
    return Verdict("correct" if same else "incorrect", "equal" if same else "different", "text", evidence=why)
