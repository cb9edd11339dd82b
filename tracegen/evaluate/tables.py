"""An evaluation on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tracegen.classes import CLASSES
from tracegen.evaluate.results import Clean, Evaluation, Group, Score, Thinking
from tracegen.evaluate.statistics import Interval, Quantiles

WIDTH = 160
"""Columns of a file or pipe."""
KINDS = {"in": "in distribution", "out": "out of it", "general": "general", "": ""}


def show(evaluation: Evaluation) -> None:
    """Print the tables on stderr: how often right, and how it thinks."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=True, highlight=False, width=WIDTH)
    for table in (_rates(evaluation), _thinking(evaluation)):
        console.print(table)


def percent(value: float) -> str:
    """A share in percent, with one decimal."""
    return f"{100 * value:.1f}"


def interval(found: Interval) -> str:
    """A share with its interval, in percent."""
    return f"{percent(found.value)} [{percent(found.low)}, {percent(found.high)}]"


def difference(found: Interval) -> str:
    """A difference of shares with its interval, in points."""
    low, high = f"{100 * found.low:+.1f}", f"{100 * found.high:+.1f}"
    return f"{100 * found.value:+.1f} [{low}, {high}]"


def probability(p: float) -> str:
    """A p-value as a reader wants it."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def more(score: Score) -> str:
    """pass@k and the majority, where more than one sample was drawn."""
    found = [f"@{k} {percent(value)}" for k, value in score.pass_k.items()]
    if score.majority is not None:
        found.append(f"majority {percent(score.majority)}")
    return ", ".join(found)


def spread(found: Quantiles | None) -> str:
    """Median with the 5 % and 95 % quantiles."""
    return "-" if found is None else f"{found.p50:.0f} [{found.p5:.0f}, {found.p95:.0f}]"


def without(clean: Clean | None, problems: int) -> str:
    """How many problems were trained on, and how often the rest is right."""
    if clean is None:
        return "not known"
    if not clean.overlapping:
        return f"0 of {problems}"
    if clean.model is None:
        return f"{clean.overlapping} of {problems}; none is left"
    rest = f"rest {percent(clean.model.value)}"
    if clean.base is not None:
        rest += f" against {percent(clean.base.value)}"
    return f"{clean.overlapping} of {problems}; {rest}"


def follows(thinking: Thinking) -> str:
    """How often the answer follows from the thinking, of the samples where that can be told."""
    known = sum(thinking.follows.values())
    if not known:
        return "-"
    occurs = thinking.follows["last"] + thinking.follows["occurs"]
    return f"{thinking.follows['last']} last, {occurs} in it, of {known}"


def _rates(evaluation: Evaluation) -> Table:
    compared = "base" in evaluation.sides
    table = Table(title=f"{escape(evaluation.name)}: pass@1 in % [95 %]", title_justify="left", box=None)
    for column in ("", "problems", "model", *(("base", "difference", "won, lost", "p") if compared else ())):
        table.add_column(column, justify="left" if not column else "right")
    table.add_column("trained on")
    several = any(group.model.pass_k for group in evaluation.groups)
    if several:
        table.add_column("more samples")
    for group in evaluation.groups:
        cells = [_label(group), str(group.model.problems), interval(group.model.pass_1)]
        if compared and group.base is not None and group.paired is not None:
            paired = group.paired
            cells += [interval(group.base.pass_1), difference(paired.difference)]
            cells += [f"{paired.won}, {paired.lost}", probability(paired.p)]
        cells.append(without(group.clean, group.model.problems))
        if several:
            other = f" | base {more(group.base)}" if group.base is not None else ""
            cells.append(more(group.model) + other)
        table.add_row(*cells, end_section=group.by == "all")
    return table


def _label(group: Group) -> str:
    match group.by:
        case "set":
            return f"{escape(group.name)} [dim]{KINDS[group.kind]}[/dim]"
        case "kind":
            return f"[bold]{KINDS[group.name]}[/bold]"
        case "all":
            return "[bold]all[/bold]"
        case "source" | "difficulty":
            return f"[dim]{group.by}[/dim] {escape(group.name)}"


def _thinking(evaluation: Evaluation) -> Table:
    table = Table(title="thinking: samples by class", title_justify="left", box=None)
    table.add_column("")
    for name in CLASSES:
        table.add_column(name.replace("_", " "), justify="right")
    for column in ("truncated", "words", "tokens"):
        table.add_column(column, justify="right")
    table.add_column("answer follows")
    for one in evaluation.thinking:
        counts = [str(one.classes[name]) for name in CLASSES]
        cut = f"{percent(one.truncated.value)} %"
        label = f"{escape(one.name)} [dim]{one.side}[/dim]"
        table.add_row(label, *counts, cut, spread(one.words), spread(one.tokens), follows(one))
    return table
