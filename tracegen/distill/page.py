"""The curve over rounds for a reader: a table on the terminal, and one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from rich.table import Table

from tracegen import frame
from tracegen.classes import CLASSES
from tracegen.distill.curve import Curve, Evaluated, Round, Sampled
from tracegen.evaluate.tables import difference, interval, probability, spread
from tracegen.train.report import STYLE, plot

Line = tuple[str, Callable[[Round], str]]
LINES: tuple[Line, ...] = (
    ("asked of", lambda one: one.teacher),
    ("problems solved", lambda one: f"{one.sampled.solved} of {one.sampled.problems}"),
    ("pass rate in % [95 %]", lambda one: interval(one.sampled.pass_rate)),
    ("recovered", lambda one: f"{one.sampled.recovered} of {one.sampled.problems - one.sampled.solved}"),
    ("verified traces", lambda one: str(one.sampled.verified)),
    ("thinking, words [5, 95 %]", lambda one: spread(one.sampled.words)),
    ("thinking, tokens [5, 95 %]", lambda one: spread(one.sampled.tokens)),
    ("completion tokens", lambda one: str(one.sampled.completion_tokens)),
)
REWRITTEN: tuple[Line, ...] = (
    ("rewritten", lambda one: f"{one.sampled.rewritten} of {one.sampled.verified}"),
    ("  words, before and after", lambda one: f"{one.sampled.words_before} and {one.sampled.words_after}"),
)
TRAINED: tuple[Line, ...] = (
    ("trained rows", lambda one: str(one.trained.rows)),
    ("trained tokens", lambda one: str(one.trained.tokens)),
    ("steps", lambda one: str(one.trained.steps)),
    ("loss, of the last step", lambda one: f"{one.trained.loss:.4f}"),
)


def lines(curve: Curve) -> list[tuple[str, list[str]]]:
    """What is said of every round: a name, and a text for each round."""
    rounds = curve.rounds
    found = [(name, [say(one) for one in rounds]) for name, say in LINES]
    for kind in CLASSES:
        told = [f"{one.sampled.classes[kind]} of {one.sampled.traces}" for one in rounds]
        found.append((f"  {kind.replace('_', ' ')}", told))
    if any(one.sampled.rewritten for one in rounds):
        found += [(name, [say(one) for one in rounds]) for name, say in REWRITTEN]
    found += [(name, [say(one) for one in rounds]) for name, say in TRAINED]
    for name in _sets(rounds):
        scores = [_score(one, name) for one in rounds]
        base = next((one.base for one in scores if one and one.base), None)
        if base is not None:
            found.append((f"{name}: base, pass@1 in %", [interval(base)] + [""] * (len(rounds) - 1)))
        found.append(
            (f"{name}: student, pass@1 in %", [interval(one.student) if one else "" for one in scores])
        )
        if any(one and one.difference for one in scores):
            found.append((f"{name}: difference", [_difference(one) for one in scores]))
    return found


def to_table(curve: Curve) -> Table:
    """The table for the terminal: a column for each round."""
    table = Table(title=f"{curve.name}: {curve.model} over rounds", title_justify="left", box=None)
    table.add_column("")
    for one in curve.rounds:
        table.add_column(f"round {one.number}", justify="right")
    for name, told in lines(curve):
        table.add_row(name, *told)
    return table


def render(curve: Curve) -> str:
    """The whole page."""
    rounds = curve.rounds
    shares: dict[str, Callable[[Sampled], float]] = {
        "pass rate": lambda found: found.pass_rate.value,
        "problems solved": lambda found: found.solved / max(found.problems, 1),
        "thinking is ok": lambda found: found.classes["ok"] / max(found.traces, 1),
    }
    solved = {name: [(one.number, share(one.sampled)) for one in rounds] for name, share in shares.items()}
    scores: dict[str, list[tuple[float, float]]] = {}
    for name in _sets(rounds):
        found = [(one.number, score) for one in rounds if (score := _score(one, name))]
        base: list[tuple[float, float]] = [(0, score.base.value) for _, score in found[:1] if score.base]
        scores[name] = base + [(number, score.student.value) for number, score in found]
    heads = [("", ""), *((f"round {one.number}", "n") for one in rounds)]
    body = [
        f'<p class="dim">{escape(curve.model)}, asked for the same problems in every round.</p>',
        plot(solved, top=1.0, unit="round"),
        *([plot(scores, top=1.0, unit="round")] if scores else []),
        frame.table(heads, [[escape(name), *map(escape, told)] for name, told in lines(curve)]),
        *_warnings(rounds),
        '<p class="dim">Student and base are compared on problems of their own, which no round asks; round 0 '
        "is the base. Intervals are clustered by problem.</p>"
        if scores
        else "",
        f'<p class="dim">Made with tracegen {escape(curve.version)}.</p>',
    ]
    return frame.page(f"{curve.name}: distillation", body, STYLE)


def _sets(rounds: Sequence[Round]) -> list[str]:
    return list(dict.fromkeys(score.name for one in rounds for score in one.evaluated))


def _score(one: Round, name: str) -> Evaluated | None:
    return next((score for score in one.evaluated if score.name == name), None)


def _difference(one: Evaluated | None) -> str:
    if one is None or one.difference is None or one.p is None:
        return ""
    return f"{difference(one.difference)}, won {one.won}, lost {one.lost}, p {probability(one.p)}"


def _warnings(rounds: Sequence[Round]) -> list[str]:
    said = [(one.number, text) for one in rounds for text in one.trained.warnings]
    items = "".join(f"<li>round {number}, {escape(text)}</li>" for number, text in said)
    return [f"<h2>Monitor</h2><ul>{items}</ul>"] if said else []
