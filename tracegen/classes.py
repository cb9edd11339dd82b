"""What became of a model's thinking: six classes, pure functions of what it wrote.

`ok`               the thinking was opened, filled and closed, and an answer follows.
`not_opened`       no thinking: the answer comes at once.
`empty`            opened and closed with nothing in it: the collapse that a supervised empty block trains.
`unclosed`         opened and never closed, and no answer in it: cut by the budget, or just ended.
`answer_in_think`  the answer was given inside the thinking and nothing usable follows it: what a student
                   does whose closing tag was masked.
`no_answer`        closed, and neither what follows nor the thinking gives an answer.

A thinking that the budget cut (`finish_reason` is `length`) is `unclosed` whatever was said in it, since
an answer on the way may not be the last word.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from tracegen.data import Trace, Verdict
from tracegen.recipe import Elicit
from tracegen.teachers.dialects import split_text
from tracegen.verify.extract import WEAK, final_answer

Class = Literal["ok", "not_opened", "empty", "unclosed", "answer_in_think", "no_answer"]
CLASSES: tuple[Class, ...] = get_args(Class)


def class_of(trace: Trace, verdict: Verdict | None = None) -> Class:
    """The class of a parsed trace. Without a verdict, whether it has an answer is read off its text."""
    answered = _answers(trace.answer) if verdict is None else verdict.outcome != "no_answer"
    return _class(trace.thought, trace.closed, trace.thinking, trace.finish_reason, answered)


def class_of_text(
    text: str, elicit: Elicit, *, finish_reason: str = "unknown", verdict: Verdict | None = None
) -> Class:
    """The class of what a model wrote after the prompt, as one text with the tags of `elicit` in it.

    `elicit.prefilled` says that the prompt has opened the thinking already.
    """
    split = split_text(text, elicit)
    answered = _answers(split.answer) if verdict is None else verdict.outcome != "no_answer"
    return _class(split.thought, split.closed, split.thinking, finish_reason, answered)


def tally(classes: Iterable[Class]) -> dict[Class, int]:
    """How many there are of each class, in their order, zeros too."""
    counts = dict.fromkeys(CLASSES, 0)
    for name in classes:
        counts[name] += 1
    return counts


def _class(thought: bool, closed: bool, thinking: str, finish_reason: str, answered: bool) -> Class:
    if not thought:
        return "not_opened"
    if not closed:
        ended_by_itself = finish_reason != "length"
        return "answer_in_think" if ended_by_itself and _states_answer(thinking) else "unclosed"
    if not thinking.strip():
        return "empty"
    if answered:
        return "ok"
    return "answer_in_think" if _states_answer(thinking) else "no_answer"


def _answers(text: str) -> bool:
    return bool(text.strip())


def _states_answer(thinking: str) -> bool:
    """Whether the thinking gives a final answer in so many words; a number in passing is none."""
    answer, rule = final_answer(thinking)
    return bool(answer) and rule not in WEAK | {"none", "whole", "bold"}
