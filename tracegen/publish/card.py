"""README.md of a dataset: front matter that the Hub and `datasets` read, and text for people.

Every number is computed, from the run's report or from the rows as they were written, and stands beside
its denominator. Titles, sources, licences, causes and flags may hold anything and are escaped. What must
not be public is taken out before it gets here (see `private`).
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tracegen import data
from tracegen.publish.contents import CONFIGS, Contents
from tracegen.publish.front_matter import front_matter, title
from tracegen.publish.schema import COLUMNS, Column
from tracegen.recipe import Publish
from tracegen.report import Report, Tally

ADDRESS = 'load_dataset("."'
"""What `addressed` turns into the dataset's name on the Hub."""

LISTED = 25
"""Lines of a table, after which the rest is summed up."""


def render(report: Report, contents: Contents, recipe_toml: str, settings: Publish) -> str:
    """The whole README.md."""
    parts = [
        front_matter(report, contents, settings),
        f"# {escaped(title(report, settings))}",
        _summary(report, contents),
        _loading(contents),
        _configs(contents),
        _funnel(report),
        _rejections(report, contents),
        _flags(report, contents),
        _teachers(report),
        _sources(report, contents),
        _cost(report, contents),
        _rewrites(report),
        _suspects(report, contents),
        _columns(),
        _judging(report, contents),
        _sample(contents),
        _recipe(recipe_toml),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def addressed(readme: str, repo_id: str) -> str:
    """The card with the dataset's name on the Hub in the lines that load it."""
    return readme.replace(ADDRESS, f'load_dataset("{repo_id}"')


# --- text ------------------------------------------------------------------------------------------


def _summary(report: Report, contents: Contents) -> str:
    verified, everything = contents.rows("verified"), contents.rows("all") - contents.rewrites
    problems = sum(contents.problems.values())
    teachers = ", ".join(escaped(name) for name in list(report.teachers)[:LISTED]) or "no teacher"
    return (
        f"{verified:,} verified reasoning traces, of {everything:,} sampled from {teachers} on {problems:,} "
        f"problems: {_listing(contents.domains)}. Every trace is kept, right or wrong, and says what "
        f"a verifier made of it, why, and how it is labelled. Made with tracegen {escaped(report.version)}."
    )


def _loading(contents: Contents) -> str:
    lines = []
    for name in contents.sizes:
        argument = "" if name == "verified" else f", {json.dumps(name)}"
        lines.append(f"{ADDRESS}{argument})  # {name}: {contents.rows(name):,} rows")
    code = fenced("from datasets import load_dataset\n\n" + "\n".join(lines), "python")
    text = (
        "A row is one trace. `messages` is the conversation as a chat template takes it, the thinking inline "
        "between `<think>` and `</think>`; `thinking` and `answer` are its two parts."
    )
    return f"## Load\n\n{code}\n\n{text}"


def _configs(contents: Contents) -> str:
    rows = [
        [f"`{name}`", _rows(contents, name, "train"), _rows(contents, name, "test"), meaning]
        for name, meaning in CONFIGS.items()
    ]
    problems = ", ".join(f"{count:,} in {split}" for split, count in contents.problems.items())
    text = f"Split by problem, never by trace: {problems}."
    if len(contents.sizes) < len(CONFIGS) or any(len(sizes) < 2 for sizes in contents.sizes.values()):
        text += " A config or split without rows does not exist, because `datasets` cannot load an empty one."
    return "## Configs\n\n" + table(["config", "train", "test", "holds"], rows) + "\n\n" + text


def _rows(contents: Contents, config: str, split: str) -> str:
    size = contents.sizes.get(config, {}).get(split)
    return f"{size.rows:,}" if size else "none"


def _funnel(report: Report) -> str:
    rows = [[escaped(step.name), of(step.count, step.of, escaped(step.what))] for step in report.funnel]
    notes = []
    if report.unanswered:
        notes.append(f"Requests without an answer: {_listing(report.unanswered)}.")
    if report.refused:
        count = len(report.refused)
        notes.append(f"Problems not asked, because their reference could not be used: {count:,}.")
    return "\n\n".join(["## Funnel", table(["step", "count"], rows), *notes])


def _rejections(report: Report, contents: Contents) -> str:
    rejected, everything = contents.rows("rejected"), contents.rows("all")
    text = f"Not accepted: {of(rejected, everything, 'traces')}"
    text += f"; accepted, but surplus: {of(contents.surplus, everything)}" if contents.surplus else ""
    text += (
        f"; without a reference to judge them by: {of(contents.unjudged, everything)}."
        if contents.unjudged
        else "."
    )
    why = counts("reason", contents.reasons, rejected, "rejected traces")
    verdicts = counts("verdict", report.causes, sum(report.causes.values()), "verdicts")
    return f"## Verdicts\n\n{text}\n\n{why}\n\nAll verdicts, those of accepted traces too:\n\n{verdicts}"


def _flags(report: Report, contents: Contents) -> str:
    if not report.flags:
        return "## Flags\n\nNo trace carries a flag."
    rows = counts("flag", report.flags, contents.rows("all"), "traces")
    return f"## Flags\n\nA trace may carry several; which of them reject it is in the recipe.\n\n{rows}"


def _teachers(report: Report) -> str:
    rows = [row for _, row in _tallies(report.teachers)]
    return "## Teachers\n\n" + table(["teacher", *_TALLY], rows)


def _sources(report: Report, contents: Contents) -> str:
    rows = [[*row, _licences(contents.sources.get(name, {}))] for name, row in _tallies(report.sources)]
    return "## Sources\n\n" + table(["source", *_TALLY, "licence"], rows)


_TALLY = ("problems solved", "traces accepted")


def _tallies(tallies: Mapping[str, Tally]) -> list[tuple[str, list[str]]]:
    """A row for each name, the one with most traces first; beyond LISTED the rest is only counted."""
    ranked = sorted(tallies.items(), key=lambda item: (-item[1].traces, item[0]))
    rows = [(name, [escaped(name) or "not given", *_tally(tally)]) for name, tally in ranked[:LISTED]]
    if rest := ranked[LISTED:]:
        rows.append(("", [f"{len(rest)} others", "", ""]))
    return rows


def _tally(tally: Tally) -> list[str]:
    return [of(tally.solved, tally.problems), of(tally.accepted, tally.traces)]


def _licences(counted: Mapping[str, int]) -> str:
    return ", ".join(escaped(name) for name in counted if name) or "not given"


def _cost(report: Report, contents: Contents) -> str:
    spent = (
        f"{report.completion_tokens:,} completion tokens, {report.prompt_tokens:,} prompt tokens and "
        f"{report.seconds:,.0f} seconds were spent" + (f", {report.usd:,.2f} USD" if report.usd else "")
    )
    if not report.accepted:
        return f"## Cost\n\n{spent}; no trace was accepted."
    each = (
        f"{report.completion_tokens / report.accepted:,.0f} completion tokens and "
        f"{report.seconds / report.accepted:,.1f} seconds"
    )
    usd = f", {report.usd / report.accepted:,.4f} USD" if report.usd else ""
    lengths = _lengths(contents)
    return f"## Cost\n\n{spent}: {each}{usd} for each of {report.accepted:,} accepted traces.{lengths}"


def _lengths(contents: Contents) -> str:
    counted = sum(contents.lengths.values())
    if not counted:
        return ""
    middle, high = (quantile(contents.lengths, share) for share in (0.5, 0.95))
    return (
        f" Of the {counted:,} whose tokens the teacher counted, half have at most {middle:,} completion "
        f"tokens and 95 % at most {high:,}."
    )


def _rewrites(report: Report) -> str:
    found = report.rewrites
    if found is None:
        return ""
    text = (
        "A teacher was shown each kept trace and wrote its thinking again in fewer words. The rewrite was "
        "judged and flagged like any trace; it is a row of its own with the stage `rewrite`, and names its "
        "trace in `rewrite_of`. The config `compact` holds, for each trace of `verified`, its shortest right "
        "rewrite where that is shorter, else the trace itself, which says why in `not_rewritten`. `verified` "
        "holds no rewrite."
    )
    rows = [
        ["traces rewritten", of(found.rewritten, found.traces)],
        ["words of their thinking, before and after", f"{found.words:,} and {found.compact_words:,}"],
        ["… of the middle one", f"{found.median_words:g} and {found.median_compact_words:g}"],
    ]
    kept = counts("not rewritten, because", found.reasons, found.traces, "traces") if found.reasons else ""
    return "\n\n".join(filter(None, ["## Rewrites", text, table(["", ""], rows), kept]))


def _suspects(report: Report, contents: Contents) -> str:
    problems = sum(contents.problems.values())
    text = (
        f"On {of(len(report.gold_suspect), problems, 'problems')} several independent traces agree with each "
        "other and not with the reference."
    )
    if report.gold_suspect:
        text += (
            " They are listed under `gold_suspect` in `report.json`, and their traces have a flag of that "
            "name; no reference and no verdict was changed."
        )
    return f"## References that may be wrong\n\n{text}"


def _columns() -> str:
    docs = column_docs()
    rows = [[f"`{name}`", f"`{_type_name(column)}`", docs.get(name, "")] for name, column in COLUMNS.items()]
    return "## Columns\n\n" + table(["column", "type", "meaning"], rows)


def _type_name(column: Column) -> str:
    match column:
        case str():
            return column
        case dict():
            return "{" + ", ".join(column) + "}"
        case _:
            return f"list of {_type_name(column[0])}"


_JUDGED = {
    "math": "a symbolic comparison with the reference, in a process with a time limit",
    "choice": "the label that the answer names",
    "gym": "the scorer that the procedural problem came with",
    "code": "the problem's tests, run in a container without network, privileges or a writable disk",
    "judged": "its writing and value, and a model that sees the reference and the extracted answer alone",
}


_JUDGE = """

What all steps of the verifier left undecided was shown to a model, the reference and the extracted answer
alone; its verdicts have the step `judge` and weak trust."""
_VOTE = """

Problems without a reference have nothing to be judged by: their traces are `unverifiable` with the cause
`no_reference`, and `majority`, `votes` and `agreement` say what they agree on. Where the recipe accepts a
majority, its traces are `accepted` with weak trust and the same verdict."""


def _judging(report: Report, contents: Contents) -> str:
    steps = {step.name for step in report.funnel}
    more = (_JUDGE if "decided by the judge" in steps else "") + (
        _VOTE if "accepted by majority" in steps else ""
    )
    ways = "\n".join(f"- {name}: {_JUDGED[name]}" for name in _JUDGED if name in contents.domains)
    trust = f"\n\nTrust in accepted traces: {_listing(contents.trust)}." if contents.trust else ""
    return f"""## How verdicts are made

The answer is read only from what follows the closed thinking; an unclosed thinking has no answer. It is
judged by

{ways}

`outcome` keeps the model's mistakes (`incorrect`, `no_answer`) apart from what could not be judged
(`unverifiable`) and from failures of the verifier (`error`); a time limit that the verifier itself met is
not a wrong answer. `cause`, `step`, `extracted` and `evidence` say how the verdict was reached. `trust`
says how far to rely on it: `strong` where the answer was stated in so many words and the trace cannot
influence its judge; `weak` where a rule had to guess what the answer or its form was, or where a program
shared a process with its tests; `none` where nothing was decided. A right final answer does not prove that
the thinking is sound; the flags mark some of what is not.{trust}

Before anything was sampled the verifier had to accept each reference. The second teacher saw neither the
reference nor the failed attempts; who rewrites a trace
sees that trace, and no reference. Flags label a trace and delete nothing.{more}"""


_SHOWN = ("question", "reference", "thinking", "answer", "outcome", "cause", "extracted", "flags", "teacher")


def _sample(contents: Contents) -> str:
    if contents.sample is None:
        return ""
    record = msgspec.to_builtins(contents.sample)
    row = {name: _shortened(record[name]) for name in _SHOWN}
    return "## A row\n\n" + fenced(json.dumps(row, indent=2, ensure_ascii=False), "json")


def _shortened(value: Any, limit: int = 400) -> Any:
    return value[:limit] + " …" if isinstance(value, str) and len(value) > limit else value


def _recipe(recipe_toml: str) -> str:
    text = "The run's whole recipe, also in `recipe.toml`; keys are named by environment variable only."
    return f"## Recipe\n\n{text}\n\n" + fenced(recipe_toml.strip(), "toml")


# --- pieces ----------------------------------------------------------------------------------------


def of(count: int, whole: int, what: str = "") -> str:
    """`41 of 138 traces`."""
    return f"{count:,} of {whole:,}" + (f" {what}" if what else "")


def counts(name: str, counted: Mapping[str, int], whole: int, what: str) -> str:
    """A table of counts, the largest first, each of `whole`; beyond LISTED lines the rest is summed up."""
    if not counted:
        return f"No {what}."
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    rows = [[escaped(key), of(count, whole)] for key, count in ranked[:LISTED]]
    if rest := ranked[LISTED:]:
        rows.append([f"{len(rest)} others", of(sum(count for _, count in rest), whole)])
    return table([name, what], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the cells have to be escaped already."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def fenced(text: str, language: str) -> str:
    """A code block that no run of backticks in `text` can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def escaped(text: str, limit: int = 160) -> str:
    """Text on one line in which nothing is Markdown, HTML or a table's border."""
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    if len(line) > limit:
        line = line[:limit] + "…"
    return re.sub(r"([\\`*_{}\[\]<>#|~$!&@])", r"\\\1", line)


def quantile(counted: Mapping[int, int], share: float) -> int:
    """The smallest value that at least `share` of the values do not exceed."""
    wanted, seen = share * sum(counted.values()), 0
    for value in sorted(counted):
        seen += counted[value]
        if seen >= wanted:
            return value
    raise ValueError("no values")


def _listing(counted: Mapping[str, int]) -> str:
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{escaped(key)} ({count:,})" for key, count in ranked[:LISTED])


def column_docs() -> dict[str, str]:
    """What `Record` says of each field, on one line; empty where the source is not installed."""
    try:
        tree = ast.parse(inspect.getsource(data))
    except OSError:
        return {}
    record = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Record")
    docs: dict[str, str] = {}
    for field, doc in zip(record.body, record.body[1:], strict=False):
        match field, doc:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = " ".join(text.split()).replace("|", "\\|")
    return docs
