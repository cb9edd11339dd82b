"""The page of a training: curves of the loss and of the thinking, every check, every warning. One file."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tracegen import frame
from tracegen.train import saving

Points = Sequence[tuple[float, float]]

STYLE = """
.ok { color: #17803d } .warn { color: #a15c00 } .refuse { color: #b00020 }
svg { background: #fafafa; border: 1px solid #eee; margin: .3rem 1rem .3rem 0 }
pre { background: #fafafa; padding: .6rem; margin: 1rem 0 }
figure { display: inline-block; margin: 0 } figcaption { color: #555; font-size: 13px }
"""
COLOURS = ("#2463eb", "#b00020", "#17803d", "#a15c00", "#7c3aed", "#0e7490")


def write(directory: Path) -> None:
    """Write `report.html` from the log, the monitor's rows and the checks in a student's directory."""
    log = saving.read_lines(directory / saving.LOG)
    watched = saving.read_lines(directory / saving.MONITOR)
    checks = json.loads((directory / saving.CHECKS).read_text(encoding="utf-8"))
    saving.write(directory / saving.REPORT, render(directory.name, log, watched, checks))


def render(
    name: str,
    log: Sequence[dict[str, Any]],
    watched: Sequence[dict[str, Any]],
    checks: Sequence[dict[str, Any]],
) -> str:
    """The page as HTML, self-contained: no script, nothing loaded from elsewhere."""
    probes = [row for row in watched if row["kind"] == "probe"]
    written = [row for row in watched if row["kind"] == "generation"]
    warnings = [row for row in watched if row["kind"] == "warning"]
    parts = [
        _warnings(warnings),
        "<h2>Loss</h2>",
        plot({"loss": _points(log, "loss"), "validation": _points(log, "eval_loss")}),
        "<h2>Thinking</h2>",
        plot(
            {
                "P(open)": _points(probes, "open"),
                "P(close at once)": _points(probes, "close_at_once"),
                "P(close) in time": _points(probes, "close"),
            },
            top=1.0,
        ),
        _generations(written),
        "<h2>Checks</h2>",
        _checks(checks),
        _samples(written),
    ]
    return frame.page(f"Training of {name}", parts, STYLE)


def plot(
    curves: Mapping[str, Points],
    *,
    top: float | None = None,
    unit: str = "step",
    width: int = 440,
    height: int = 180,
) -> str:
    """Curves over the steps as an SVG figure; empty where there are no points."""
    curves = {name: points for name, points in curves.items() if points}
    if not curves:
        return "<p>Nothing was measured.</p>"
    every = [point for points in curves.values() for point in points]
    last = max(step for step, _ in every) or 1.0
    high = top or max(value for _, value in every) or 1.0
    lines, names = [], []
    for number, (name, points) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        across, down = (width - 60) / last, (height - 40) / high
        path = " ".join(
            f"{10 + step * across:.1f},{height - 20 - min(value, high) * down:.1f}" for step, value in points
        )
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>')
        final = points[-1][1]
        names.append(f'<span style="color:{colour}">{html.escape(name)} {final:.4g}</span>')
    scale = f'<text x="{width - 45}" y="24" font-size="11">{high:.3g}</text>'
    steps = f'<text x="{width - 60}" y="{height - 5}" font-size="11">{unit} {last:.0f}</text>'
    return (
        f'<figure><svg width="{width}" height="{height}" role="img">{"".join(lines)}{scale}{steps}</svg>'
        f"<figcaption>{', '.join(names)}</figcaption></figure>"
    )


def _points(rows: Sequence[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    return [(float(row["step"]), float(row[key])) for row in rows if key in row]


def _warnings(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return '<p class="ok">The monitor saw no sign of a collapse.</p>'
    shown = [
        f"<li>step {row['step']}: {html.escape(row['says'])} - {html.escape(row['remedy'])}</li>"
        for row in rows
    ]
    return f'<ul class="warn">{"".join(shown)}</ul>'


def _generations(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    names = list(rows[0]["classes"])
    curves: dict[str, Points] = {
        name: [(float(row["step"]), row["classes"][name] / row["prompts"]) for row in rows]
        for name in names
        if any(row["classes"][name] for row in rows)
    }
    last = rows[-1]
    budgets = ", ".join(
        f"{count} of {last['prompts']} cut at {budget}" for budget, count in last["truncated"].items()
    )
    cells = "".join(
        f"<tr><td>{name}</td><td>{last['classes'][name]} of {last['prompts']}</td>"
        f"<td>{last['intervals'][name][0]:.0%} to {last['intervals'][name][1]:.0%}</td></tr>"
        for name in names
    )
    lengths = "thinking, quartiles of tokens: {} written, {} trained on".format(
        *("/".join(map(str, last[key])) for key in ("thinking", "trained"))
    )
    judged = [row for row in rows if row.get("judged")]
    right = ""
    if judged:
        now = judged[-1]
        low, high = now["accuracy"]
        right = (
            plot({"right answers": [(float(r["step"]), r["right"] / r["judged"]) for r in judged]}, top=1.0)
            + f"<p>right: {now['right']} of {now['judged']} ({low:.0%} to {high:.0%})</p>"
        )
    return (
        f"{plot(curves, top=1.0)}<table><tr><th>class at step {last['step']}</th><th></th><th>95 %</th></tr>"
        f"{cells}</table><p>{lengths}; {budgets}</p>{right}"
    )


def _checks(rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        [
            html.escape(row["name"]),
            f'<span class="{row["verdict"]}">{row["verdict"]}</span>',
            html.escape(row["says"]),
            html.escape(row["remedy"]),
        ]
        for row in rows
    ]
    return frame.table([("", "")] * 4, cells)


def _samples(rows: Sequence[dict[str, Any]]) -> str:
    if not rows or not rows[-1].get("samples"):
        return ""
    return "<h2>Written at the end</h2>" + "".join(
        f"<pre>{html.escape(text)}</pre>" for text in rows[-1]["samples"]
    )
