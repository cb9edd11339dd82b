"""The nouns of an evaluation's outcome; `results.json` is `Evaluation` as JSON."""

from __future__ import annotations

from typing import Literal

from tracegen.classes import Class
from tracegen.data import Sampling, Struct
from tracegen.evaluate.statistics import Interval, Quantiles

By = Literal["all", "kind", "set", "source", "difficulty"]


class Score(Struct, frozen=True):
    """How often one side is right on a group of problems."""

    problems: int
    """With at least one judged sample."""
    samples: int
    """Judged."""
    unjudged: int
    """Samples that the verifier could not judge; in no rate."""
    pass_1: Interval
    """Mean share of right samples; the interval is clustered by problem."""
    pass_k: dict[str, float]
    """Unbiased pass@k by k, where more than one sample was drawn."""
    majority: float | None
    """Share of problems whose most frequent answer is right; None with one sample."""


class Paired(Struct, frozen=True):
    """The model against its base on the problems that both answered."""

    problems: int
    won: int
    """Problems that the base does not solve and the model does (0 to 1)."""
    lost: int
    """Problems that the base solves and the model does not (1 to 0)."""
    p: float
    """McNemar's exact test, two-sided."""
    difference: Interval
    """Of pass@1, bootstrapped over the problems."""


class Clean(Struct, frozen=True):
    """The same without the problems that the student was trained on."""

    overlapping: int
    exact: int
    """Of the overlapping ones those with the same question; the others share a long run of words."""
    model: Interval | None
    """None where nothing is left."""
    base: Interval | None


class Group(Struct, frozen=True):
    """One line of the table."""

    by: By
    name: str
    kind: str
    """`in`, `out`, `general`, or empty where it is mixed."""
    model: Score
    base: Score | None
    paired: Paired | None
    clean: Clean | None
    """None where the training data is not known."""


class Thinking(Struct, frozen=True):
    """How one side thinks on one set of problems."""

    side: Literal["model", "base"]
    name: str
    samples: int
    classes: dict[Class, int]
    truncated: Interval
    """Share of samples that ended because their tokens were spent."""
    words: Quantiles | None
    """Words of the thinking, of the samples with any."""
    tokens: Quantiles | None
    """The same in tokens, where they were counted."""
    follows: dict[str, int]
    """last: the last value of the thinking is the answer; occurs: the answer is in it; absent: it is not."""


class Change(Struct, frozen=True):
    """A problem that was won or lost."""

    what: Literal["won", "lost"]
    name: str
    """Of the set."""
    problem: str
    key: str
    question: str
    reference: str
    base_rate: float
    model_rate: float
    base: str
    """Its first sample's answer, or the end of a thinking without one."""
    model: str
    base_class: Class
    model_class: Class


class Side(Struct, frozen=True):
    """Whom was asked, and how."""

    model: str
    engine: str
    revision: str
    n: int
    sampling: Sampling
    thinking: str
    prompts: dict[str, str]
    run: str
    """Its run directory, beside this file."""
    owed: int
    """Requests that failed, and are asked again by the same command."""
    missing: int
    """Requests to recorded traces that were never recorded."""
    undecided: int
    """Answers without a verdict, because the verifier failed."""


class Evaluation(Struct, frozen=True):
    """Everything that the table, the JSON and the page show."""

    name: str
    version: str
    sides: dict[str, Side]
    groups: tuple[Group, ...]
    thinking: tuple[Thinking, ...]
    changes: tuple[Change, ...]
    not_asked: int
    """Problems whose reference the verifier does not accept."""
    trained_on: tuple[str, ...]
    by_base_rate: bool
    """Difficulty is the base's pass rate, for lack of a column."""
