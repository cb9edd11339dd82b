"""README.md of a student: what it was made of, how, and what was checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tracegen import __version__, recipe
from tracegen.publish.card import escaped, fenced, table
from tracegen.student import Student, Train
from tracegen.train.checks import Finding
from tracegen.train.prepare import Prepared
from tracegen.train.saving import State
from tracegen.train.weights import leading, scheme


def render(
    settings: Student, train: Train, prepared: Sequence[Prepared], findings: Sequence[Finding], state: State
) -> str:
    """The whole README.md. Of a path on this machine it tells the last part only."""
    settings, train = without_paths(settings, train)
    parts = [
        front_matter(settings, train),
        f"# {escaped(settings.name)}",
        _summary(train, prepared[0], state),
        _data(train, prepared[0]),
        _loss(train, prepared),
        _checks(findings),
        _watched(state),
        _serving(train),
        _recipe(settings),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def without_paths(settings: Student, train: Train) -> tuple[Student, Train]:
    """The same with absolute paths cut down to their names."""
    data = tuple(msgspec.structs.replace(source, path=_name(source.path)) for source in train.data)
    train = msgspec.structs.replace(train, data=data, model=_name(train.model))
    return msgspec.structs.replace(settings, output=_name(settings.output), train=train), train


def _name(path: str) -> str:
    return Path(path).name if Path(path).is_absolute() else path


def front_matter(settings: Student, train: Train) -> str:
    """What the Hub reads: the base model, the datasets that have a Hub id, the library."""
    hub = "/" in train.model and train.model.count("/") == 1 and not train.model.startswith((".", "/"))
    lines = ["library_name: " + ("peft" if train.lora and not train.lora.merge else "transformers")]
    lines.append("pipeline_tag: text-generation")
    if hub:
        lines.append(f"base_model: {json.dumps(train.model)}")
    named = [
        source.path for source in train.data if source.path.count("/") == 1 and source.path[0] not in "./"
    ]
    if named:
        lines += ["datasets:", *(f"  - {json.dumps(name)}" for name in named)]
    lines += ["tags:", "  - tracegen", "  - reasoning", f"model_name: {json.dumps(settings.name)}"]
    return "---\n" + "\n".join(lines) + "\n---"


def _summary(train: Train, prepared: Prepared, state: State) -> str:
    how = f"LoRA of rank {train.lora.rank}" if train.lora else "the whole model"
    held = f" Loss on held-out problems: {state.validation:.4f}." if state.validation is not None else ""
    kind = msgspec.to_builtins(train.method)["kind"]
    return (
        f"{escaped(train.model)}{_revision(train.revision)} trained ({how}, `{kind}`) on "
        f"{len(prepared.examples):,} rows for {state.steps:,} steps; the last step's loss is "
        f"{state.loss:.4f}.{held} Made with tracegen "
        f"{__version__}. The licence of the base model and those of the data apply to it."
    )


def _revision(revision: str) -> str:
    return f" at {escaped(revision)}" if revision else ""


def _data(train: Train, prepared: Prepared) -> str:
    rows = [
        [
            escaped(source.path),
            escaped(source.config),
            escaped(source.revision) or "newest",
            f"{source.weight:g}",
        ]
        for source in train.data
    ]
    left = [[escaped(why), f"{len(ids):,}"] for why, ids in sorted(prepared.dropped.items())]
    text = f"## Data\n\n{table(['dataset', 'config', 'revision', 'weight'], rows)}"
    return f"{text}\n\n{table(['left out', 'rows'], left)}" if left else text


def _loss(train: Train, prepared: Sequence[Prepared]) -> str:
    stages = train.stages or (None,)
    parts = [
        "## Loss",
        "sum(w · loss) / sum(w) over the tokens of a step. Nothing that the prompt supplies is trained.",
    ]
    for number, (stage, one) in enumerate(zip(stages, prepared, strict=True), 1):
        mass = sum(one.by_region.values()) or 1.0
        weights = scheme(train, stage)
        rows = [
            [f"`{region}`", f"{weight:g}", f"{one.by_region.get(region, 0.0) / mass:.1%}"]
            for region, weight in weights.by_region.items()
        ]
        if len(stages) > 1:
            parts.append(f"Stage {number}, {stage.epochs if stage else train.epochs:g} epochs:")
        parts.append(table(["region", "weight", "share of the loss"], rows))
        if said := leading(weights):
            parts.append(f"{said[0].upper()}{said[1:]}.")
    return "\n\n".join(parts)


def _checks(findings: Sequence[Finding]) -> str:
    rows = [[escaped(one.name), one.verdict, escaped(one.says), escaped(one.remedy)] for one in findings]
    return f"## Checks before training\n\n{table(['check', 'verdict', 'finding', 'what to do'], rows)}"


def _watched(state: State) -> str:
    if not state.warnings:
        return "## Monitor\n\nNo sign of a collapse of thinking was seen; the curves are in `report.html`."
    lines = "\n".join(f"- {escaped(text, 400)}" for text in state.warnings)
    return f"## Monitor\n\n{lines}"


def _serving(train: Train) -> str:
    prompt = f" under the prompt `{escaped(train.prompt)}`" if train.prompt and train.prompt != "bare" else ""
    options = ", ".join(f"`{name} = {json.dumps(value)}`" for name, value in train.template_options.items())
    more = f" Its options as trained are the template's defaults: {options}." if options else ""
    return f"## Serve\n\nThrough its chat template{prompt}, which is saved with it.{more}"


def _recipe(settings: Student) -> str:
    import tomli_w

    text = tomli_w.dumps(recipe.without_none(msgspec.to_builtins(settings)))
    return f"## Recipe\n\n{fenced(text.strip(), 'toml')}"
