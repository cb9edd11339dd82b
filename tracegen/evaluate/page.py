"""An evaluation as one HTML page that needs nothing else: no script, no font, no network.

Everything that is not ours (names, questions, what models wrote) is escaped, and a content policy forbids
whatever might slip through.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tracegen import frame
from tracegen.classes import CLASSES, Class
from tracegen.evaluate.results import Change, Evaluation, Group, Thinking
from tracegen.evaluate.statistics import Interval
from tracegen.evaluate.tables import (
    KINDS,
    difference,
    follows,
    interval,
    more,
    percent,
    probability,
    spread,
    without,
)

SHOWN = 100
"""Changes of each kind that the page lists; all of them are in results.json."""
COLOURS: dict[Class, str] = {
    "ok": "#2e7d32",
    "not_opened": "#90a4ae",
    "empty": "#c62828",
    "unclosed": "#ef6c00",
    "answer_in_think": "#6a1b9a",
    "no_answer": "#5d4037",
}
STYLE = """
table { width: 100% }
.won { color: #2e7d32 } .lost { color: #c62828 }
.bar { display: flex; height: 1rem; min-width: 12rem; background: #eee }
.bar span { height: 100% }
.key span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem }
details { margin: .3rem 0 } summary { cursor: pointer }
svg { display: block }
"""


def render(evaluation: Evaluation) -> str:
    """The whole page."""
    body = [
        _who(evaluation),
        "<h2>How often right</h2>",
        _rates(evaluation),
        _notes(evaluation),
        "<h2>Thinking</h2>",
        _thinking(evaluation.thinking),
        *(_changes(evaluation.changes, what) for what in ("lost", "won") if "base" in evaluation.sides),
        f'<p class="dim">Made with tracegen {escape(evaluation.version)}.</p>',
    ]
    return frame.page(f"{evaluation.name}: evaluation", body, STYLE)


def _who(evaluation: Evaluation) -> str:
    rows = [
        [
            name,
            escape(side.model) + (f" @ {escape(side.revision)}" if side.revision else ""),
            escape(side.engine),
            str(side.n),
            escape(
                f"temperature {side.sampling.temperature:g}, top_p {side.sampling.top_p:g}, "
                f"{side.sampling.max_tokens} tokens, thinking {side.thinking}"
            ),
            escape(
                ", ".join(f"{domain}: {prompt}" for domain, prompt in side.prompts.items()) or "by domain"
            ),
            f"{side.owed} / {side.undecided} / {side.missing}",
        ]
        for name, side in evaluation.sides.items()
    ]
    heads = [("", ""), ("model", ""), ("engine", ""), ("samples", "n"), ("sampling", ""), ("prompts", "")]
    return frame.table([*heads, ("owed / undecided / not recorded", "n")], rows)


def _rates(evaluation: Evaluation) -> str:
    compared = "base" in evaluation.sides
    heads = [("", ""), ("problems", "n"), ("model, pass@1 in % [95 %]", "n")]
    if compared:
        heads += [("base", "n"), ("difference", "n"), ("won", "n"), ("lost", "n"), ("McNemar p", "n")]
    heads += [("", ""), ("trained on", ""), ("more samples", "")]
    rows = [_rate(group, compared) for group in evaluation.groups]
    return frame.table(heads, rows)


def _rate(group: Group, compared: bool) -> list[str]:
    label = KINDS[group.name] if group.by == "kind" else group.name
    note = KINDS[group.kind] if group.by == "set" else group.by if group.by != "all" else ""
    cells = [f'{escape(label)} <span class="dim">{escape(note)}</span>', str(group.model.problems)]
    cells.append(interval(group.model.pass_1))
    if compared and group.base is not None and group.paired is not None:
        paired = group.paired
        cells += [interval(group.base.pass_1), difference(paired.difference)]
        cells += [f'<span class="won">{paired.won}</span>', f'<span class="lost">{paired.lost}</span>']
        cells.append(escape(probability(paired.p)))
    sides = [group.model.pass_1] + ([group.base.pass_1] if group.base is not None else [])
    said = [more(score) for score in (group.model, group.base) if score is not None]
    cells += [
        _whiskers(sides),
        escape(without(group.clean, group.model.problems)),
        " | ".join(filter(None, said)),
    ]
    return cells


def _whiskers(sides: Sequence[Interval]) -> str:
    """The intervals as lines from 0 to 100 %, the model's above the base's."""
    marks = []
    for number, (found, colour) in enumerate(zip(sides, ("#1565c0", "#9e9e9e"), strict=False)):
        y, low, high = 6 + 10 * number, 160 * found.low, 160 * found.high
        marks.append(
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
            f'<circle cx="{160 * found.value:.1f}" cy="{y}" r="3.5" fill="{colour}"/>'
        )
    height = 10 * len(sides) + 2
    return (
        f'<svg width="166" height="{height}" viewBox="-3 0 166 {height}" role="img">'
        + "".join(marks)
        + "</svg>"
    )


def _notes(evaluation: Evaluation) -> str:
    notes = [
        "Intervals of pass@1 are Wilson's at the effective sample size, clustered by problem; the difference "
        "is bootstrapped over the problems; won and lost are problems solved by one side only."
    ]
    if evaluation.by_base_rate and any(group.by == "difficulty" for group in evaluation.groups):
        notes.append(
            "Difficulty is the base's own pass rate here, so the base does worse than chance on the hard "
            "ones and better on the easy ones by construction."
        )
    if evaluation.not_asked:
        notes.append(f"{evaluation.not_asked} problems were not asked: the verifier rejects their reference.")
    unjudged = max((group.model.unjudged for group in evaluation.groups), default=0)
    if unjudged:
        notes.append(f"Up to {unjudged} samples of a group could not be judged and are in no rate.")
    trained = ", ".join(evaluation.trained_on)
    notes.append(f"Trained on: {trained}." if trained else "What the model was trained on is not known.")
    return "".join(f'<p class="dim">{escape(note)}</p>' for note in notes)


def _thinking(rows: Sequence[Thinking]) -> str:
    key = "".join(
        f'<span style="background:{COLOURS[name]}"></span>{name.replace("_", " ")}' for name in CLASSES
    )
    heads = [("", ""), ("", ""), ("samples", "n"), *((name.replace("_", " "), "n") for name in CLASSES)]
    heads += [("truncated", "n"), ("words", "n"), ("tokens", "n"), ("answer follows", "")]
    cells = [
        [
            f'{escape(one.name)} <span class="dim">{one.side}</span>',
            _bar(one),
            str(one.samples),
            *(str(one.classes[name]) for name in CLASSES),
            f"{percent(one.truncated.value)} %",
            spread(one.words),
            spread(one.tokens),
            follows(one),
        ]
        for one in rows
    ]
    return f'<p class="key">{key}</p>' + frame.table(heads, cells)


def _bar(one: Thinking) -> str:
    parts = "".join(
        f'<span style="background:{COLOURS[name]};width:{100 * count / one.samples:.2f}%"></span>'
        for name, count in one.classes.items()
        if count
    )
    return f'<div class="bar">{parts}</div>'


def _changes(changes: Sequence[Change], what: str) -> str:
    some = [change for change in changes if change.what == what]
    title = f"<h2>Problems {what}: {len(some)}</h2>"
    if len(some) > SHOWN:
        title += f'<p class="dim">The first {SHOWN}; all are in results.json.</p>'
    return title + "".join(_change(change) for change in some[:SHOWN])


def _change(change: Change) -> str:
    rates = f"{percent(change.base_rate)} to {percent(change.model_rate)} %"
    name = escape(f"{change.name} {change.key or change.problem}")
    rows = [
        ["question", f"<pre>{escape(change.question)}</pre>"],
        ["reference", f"<pre>{escape(change.reference)}</pre>"],
        [f"base, {change.base_class}", f"<pre>{escape(change.base)}</pre>"],
        [f"model, {change.model_class}", f"<pre>{escape(change.model)}</pre>"],
    ]
    table = frame.table([("", ""), ("", "")], rows)
    return f'<details><summary><span class="{change.what}">{name}</span> {rates}</summary>{table}</details>'
