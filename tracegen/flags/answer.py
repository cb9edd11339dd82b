"""The flag of an answer that the thinking does not lead to."""

from __future__ import annotations

import re

from tracegen.data import Flag, Trace, Verdict
from tracegen.recipe import Flags

DRESS = re.compile(r"\\(?:text|mathrm|mathbf|boxed|left|right|[,;! ])|[\s${}\\*`\"']|(?<=\d),(?=\d{3})")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
SHORT = 40
"""Characters beyond which an answer is a text or a program, which thinking need not spell out."""


def answer_not_in_thinking(trace: Trace, verdict: Verdict, _: Flags) -> Flag | None:
    """The extracted answer does not occur in the thinking, which then cannot have led to it.

    Compared after dropping white space, LaTeX dressing and thousands separators; a number has to
    occur as a whole number (5 is not in 15). Long answers and programs are not looked for.
    """
    answer = _plain(verdict.extracted)
    if not answer or len(answer) > SHORT or not trace.thinking.strip() or _is_code(verdict):
        return None
    thinking = _plain(trace.thinking)
    if NUMBER.fullmatch(answer):
        present = _occurs(answer, thinking)
    else:
        present = answer.casefold() in thinking.casefold()
    return (
        None if present else Flag("answer_not_in_thinking", f"{verdict.extracted!r} is not in the thinking")
    )


def _is_code(verdict: Verdict) -> bool:
    return verdict.step in ("split_judge", "shared_judge") or "\n" in verdict.extracted


def _plain(text: str) -> str:
    return DRESS.sub("", text)


def _occurs(number: str, text: str) -> bool:
    bare = number.removeprefix("-").removesuffix(".0").removesuffix(".00")
    return re.search(rf"(?<![\d.]){re.escape(bare)}(?!\d|\.\d*[1-9])", text) is not None
