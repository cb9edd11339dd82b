"""Multiple choice: which label an answer names, or which option's text it repeats.

A label is a letter from A to Z, in either case where it stands alone: `(B)`, `B.`, `\\text{B}`,
`\\textbf{(B) } 12`, `B) 12`, `option B`. Several labels (`A and C`, `AC`) are compared as a set. A label
beside a text counts, whatever the text. Without a label the text is compared with the options, word by
word and then by the mathematical ladder; it names an option if it equals that one and no other.

Causes: `equal`, `different`, `no_label` (nothing that names an option), `ambiguous` (equal to several).
"""

from __future__ import annotations

import time

import msgspec

from tracegen.data import ChoiceAnswer, Verdict
from tracegen.verify import math, words
from tracegen.verify.extract import WEAK, final_answer
from tracegen.verify.labels import labels, last_marked
from tracegen.verify.latex import canonical
from tracegen.verify.pool import Pool


async def judge(pool: Pool, reference: ChoiceAnswer, text: str, *, bare: bool, seconds: float) -> Verdict:
    """Whether the answer in `text` names the option that `reference` does."""
    started = time.perf_counter()
    answer, rule = (text.strip(), "bare") if bare else final_answer(text)
    named = labels(answer)
    weak = rule in WEAK
    if not named and (rule in WEAK or rule == "none"):
        named, weak = last_marked(text), True
        answer = ", ".join(sorted(named)) or answer
    if named:
        verdict = _by_label(reference, named, weak=weak)
    elif not answer:
        verdict = Verdict(
            outcome="no_answer", cause="no_answer", step="label", evidence="no final answer was found"
        )
    else:
        verdict = await _by_text(pool, reference, answer, weak=weak, seconds=seconds)
    milliseconds = (time.perf_counter() - started) * 1000
    return msgspec.structs.replace(verdict, extracted=answer, milliseconds=milliseconds)


def _by_label(reference: ChoiceAnswer, named: frozenset[str], *, weak: bool) -> Verdict:
    wanted = labels(reference.label)
    return Verdict(
        outcome="correct" if named == wanted else "incorrect",
        cause="equal" if named == wanted else "different",
        step="label",
        evidence=f"{_joined(wanted)} against {_joined(named)}",
        trust="weak" if weak else "strong",
    )


def _joined(named: frozenset[str]) -> str:
    return ", ".join(sorted(named))


async def _by_text(
    pool: Pool, reference: ChoiceAnswer, answer: str, *, weak: bool, seconds: float
) -> Verdict:
    if not reference.choices:
        return Verdict(
            outcome="no_answer", cause="no_label", step="label", evidence=f"{answer[:200]!r} names no option"
        )
    equal = [index for index, option in enumerate(reference.choices) if _same_writing(option, answer)]
    if not equal:
        verdicts = [await math.compare(pool, option, answer, seconds=seconds) for option in reference.choices]
        lost = next((verdict for verdict in verdicts if verdict.outcome == "error"), None)
        if lost is not None:
            return lost
        equal = [index for index, verdict in enumerate(verdicts) if verdict.outcome == "correct"]
    if not equal:
        return Verdict(
            outcome="incorrect", cause="different", step="option", evidence="the text of no option"
        )
    if len(equal) > 1:
        among = ", ".join(letter(index) for index in equal)
        return Verdict(
            outcome="unverifiable", cause="ambiguous", step="option", evidence=f"equal to the options {among}"
        )
    verdict = _by_label(reference, frozenset(letter(equal[0])), weak=weak)
    return msgspec.structs.replace(verdict, step="option")


def _same_writing(option: str, answer: str) -> bool:
    return canonical(option) == canonical(answer) or words.same(option, answer)


def letter(index: int) -> str:
    """Label of the option at `index`, from 0."""
    return chr(ord("A") + index)


def broken(reference: ChoiceAnswer) -> str:
    """Why `reference` cannot be used, or an empty string."""
    wanted = labels(reference.label)
    if not wanted:
        return f"{reference.label!r} is no label"
    if reference.choices and max(ord(label) - ord("A") for label in wanted) >= len(reference.choices):
        return f"there is no option {_joined(wanted)} among {len(reference.choices)}"
    return ""
