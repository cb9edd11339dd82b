"""The command line: each command parses, calls one function and shows one thing.

Data goes to stdout, talk to stderr. Exit codes: 0 done, 1 something is still owed or a service failed,
2 the user's mistake (one line, nothing spent), 130 interrupted (everything kept).
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracegen import __version__

if TYPE_CHECKING:
    from tracegen.recipe import Recipe

OK, OWED, MISTAKE, INTERRUPTED = 0, 1, 2, 130

setting = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, such as teacher.n=4."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tracegen")
def cli() -> None:
    """Sample reasoning traces, prove which are right, publish a dataset to trust."""


@cli.command()
@click.argument("recipe")
@click.option("--output", type=click.Path(path_type=Path), help="Run directory  [default: runs/NAME].")
@setting
@as_json
def build(recipe: str, output: Path | None, overrides: tuple[str, ...], as_json: bool) -> int:
    """Run RECIPE: sample, verify, recover, label and write the dataset.

    Running the same command again goes on where it stopped and asks for nothing twice.
    RECIPE is a TOML file; `recipes/demo.toml` is found in the installation too.
    """
    from tracegen import progress, run

    settings, base, directory = _recipe(recipe, output, overrides)
    with progress.Screen(quiet=as_json) as screen:
        built = run.build(settings, base, directory, screen)
    if as_json:
        _print(run.to_json(built.report).decode())
    else:
        screen.console.print(progress.funnel(built.report))
        screen.console.print(progress.price(built.report), markup=False)
        if said := progress.lengths(built.report):
            screen.console.print(said, markup=False)
    if built.stopped:
        _say(f"stopped; everything is kept. To go on: {_same_command()}")
        return INTERRUPTED
    if built.undecided or built.failed:
        _say(
            f"{built.failed} requests and {built.undecided} verdicts are owed "
            f"({', '.join(f'{n} {cause}' for cause, n in built.report.unanswered.items()) or 'verifier'}). "
            f"To go on: {_same_command()}"
        )
        return OWED
    if not as_json:
        _print(str(directory / run.DATASET))
        _say(
            "next:\n"
            f"  tracegen show {directory} --status accepted\n"
            f"  tracegen status {directory} --json\n"
            f"  tracegen push {directory} USER/NAME"
        )
    return OK


@cli.command()
@click.argument("recipe")
@click.option("--output", type=click.Path(path_type=Path), help="Run directory  [default: runs/NAME].")
@setting
@as_json
def plan(recipe: str, output: Path | None, overrides: tuple[str, ...], as_json: bool) -> int:
    """Say what building RECIPE would ask, and spend nothing.

    Counts the requests that are owed next and the most tokens that they and the recovery could cost.
    """
    from tracegen import estimate

    settings, base, directory = _recipe(recipe, output, overrides)
    found = estimate.estimate(settings, base, directory)
    _print(estimate.to_json(found).decode() if as_json else estimate.to_text(found))
    return OK


@cli.command()
@click.argument("run_directory", type=click.Path(path_type=Path), metavar="RUN")
@as_json
def status(run_directory: Path, as_json: bool) -> int:
    """Show the funnel of RUN as it stands, also while a build is writing to it."""
    from rich.console import Console

    from tracegen import progress, run

    report = run.report_of(run_directory)
    if as_json:
        _print(run.to_json(report).decode())
        return OK
    console = Console(highlight=False)
    console.print(progress.funnel(report))
    console.print(progress.price(report), markup=False)
    if said := progress.lengths(report):
        console.print(said, markup=False)
    for title, counts in (("verdicts", report.causes), ("flags", report.flags), ("owed", report.unanswered)):
        for name, count in counts.items():
            console.print(f"{title:>9}  {count:6}  {name}", markup=False)
    for suspect in report.gold_suspect:
        console.print(
            f"gold_suspect  {suspect.key or suspect.problem}: {suspect.votes} of {suspect.voters} traces "
            f"agree on {suspect.majority!r}, {suspect.right} on the reference {suspect.reference!r}",
            markup=False,
        )
    for refused in report.refused:
        console.print(f"not asked  {refused.key}: {refused.cause}: {refused.evidence}", markup=False)
    return OK


@cli.command()
@click.argument("run_directory", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("trace", required=False)
@click.option(
    "--status", type=click.Choice(["accepted", "rejected", "surplus", "unjudged"]), help="Only these."
)
@click.option("--stage", type=click.Choice(["first", "recovery", "rewrite"]), help="Only of this pass.")
@click.option("--flag", help="Only those with this flag.")
@click.option("--cause", help="Only those whose verdict has this cause.")
@click.option("--limit", default=5, show_default=True, help="At most so many; 0 shows all.")
@as_json
def show(run_directory: Path, trace: str | None, limit: int, as_json: bool, **wanted: str | None) -> int:
    """Show traces of RUN with their verdicts and flags, or the one trace whose id begins with TRACE."""
    from tracegen import showing

    found = showing.find(run_directory, trace or "", {k: v for k, v in wanted.items() if v}, limit)
    for record in found:
        _print(showing.to_json(record) if as_json else showing.to_text(record))
    return OK


@cli.command()
@click.argument("run_directory", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("repository", metavar="USER/NAME")
@click.option("--public", is_flag=True, help="Make the repository public  [default: private].")
@click.option("--tag", default="", help="Tag the commit, such as v1.0.")
@as_json
def push(run_directory: Path, repository: str, public: bool, tag: str, as_json: bool) -> int:
    """Upload the dataset of RUN to the Hugging Face Hub, in one commit.

    The token is HF_TOKEN, or the one that `hf auth login` stored. Pushing an unchanged dataset
    changes nothing.
    """
    import json

    from tracegen import run
    from tracegen.publish import push as upload

    dataset = run_directory if (run_directory / "README.md").is_file() else run_directory / run.DATASET
    result = upload(
        dataset, repository, private=not public, token=os.environ.get("HF_TOKEN"), revision_tag=tag
    )
    if as_json:
        _print(json.dumps({"url": result.url, "commit": result.commit, "changed": result.changed}))
        return OK
    _say("pushed" if result.changed else "unchanged: the Hub already has it")
    _print(result.url)
    return OK


@cli.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--row", default="", metavar="ID", help="Only rows whose id begins so.")
@click.option("--limit", default=3, show_default=True, help="At most so many rows; 0 shows all.")
@click.option("--stage", default=0, metavar="N", help="With the weights of the N-th stage of the training.")
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write a page, too.")
@setting
@as_json
def mask(
    recipe: Path,
    row: str,
    limit: int,
    stage: int,
    page: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> int:
    """Show which tokens RECIPE trains its student on, and with which weight.

    Each region has its colour; special tokens and tokens over a boundary are marked. The tables give the
    share of the loss of every region and source over the whole dataset. No model is loaded.
    """
    from rich.console import Console

    from tracegen import student
    from tracegen.errors import UserError
    from tracegen.train import mask as masks

    settings = student.load(recipe, overrides)
    if settings.train is None:
        raise UserError(f"{recipe}: has no [train] table - add one with the student's model")
    found = masks.look(settings.train, recipe.parent, row, limit, stage)
    if page is not None:
        try:
            page.write_text(masks.to_html(found, f"{settings.name}: what is trained"), encoding="utf-8")
        except OSError as error:
            raise UserError(f"{page}: cannot be written: {error.strerror} - choose another --html") from None
    if as_json:
        _print(masks.to_json(found))
    else:
        masks.show(found, Console(highlight=False))
    return OK


@cli.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only the checks: nothing is trained or written.")
@click.option("--output", type=click.Path(path_type=Path), help="Directory  [default: students/NAME].")
@setting
@as_json
def train(recipe: Path, check: bool, output: Path | None, overrides: tuple[str, ...], as_json: bool) -> int:
    """Train the student of RECIPE, with a loss on the regions that the recipe names.

    Checks what would be trained before it trains, and refuses what would train the wrong thing. Running
    the same command again goes on from the last checkpoint. `tracegen mask` shows the loss token by token.
    """
    from tracegen import student
    from tracegen.train import training

    settings = student.load(recipe, overrides)
    directory = output or Path(settings.output or f"students/{settings.name}")
    return training.command(settings, recipe.parent, directory, _say, check=check, as_json=as_json)


@cli.command()
@click.argument("dataset")
@click.option(
    "--reference-column", "-r", default="", help="Column of the reference  [default: the layout's]."
)
@click.option("--response-column", "-c", default="", help="Column of the response  [default: the layout's].")
@click.option("--domain", type=click.Choice(["math", "code", "choice"]), help="What is judged.")
@click.option(
    "--layout",
    default="",
    help="Usual columns: gsm8k, math, choice, humaneval, humanevalplus, mbpp, leetcode, kodcode, "
    "bigcodebench, livecodebench, sandboxfusion, cruxeval, stdio.",
)
@click.option("--id-column", default="", help="Column that is copied as id  [default: id, task_id … or row].")
@click.option("--entry-point-column", default="", help="Column with the name of the function.")
@click.option("--language", default="", help="Language of the programs, such as cpp  [default: python].")
@click.option("--bare", is_flag=True, help="The response is only the answer or only the code.")
@click.option("--tags", nargs=2, default=("<think>", "</think>"), help="Open and close tag of the thinking.")
@click.option("--prefilled", is_flag=True, help="Responses begin inside the thinking (DeepSeek-R1).")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Verdicts as JSON lines.")
@click.option("--config", default="", help="Config of a Hugging Face dataset.")
@click.option("--split", default="train", show_default=True, help="Split of a Hugging Face dataset.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override, such as math_seconds=2."
)
@as_json
def verify(as_json: bool, overrides: tuple[str, ...], out: Path | None, **given: Any) -> int:
    """Judge the traces of DATASET (jsonl, parquet, csv or a Hugging Face dataset).

    Writes one row per input row, in order: id, outcome, cause, extracted, milliseconds, trust, step,
    evidence; to --out, else to stdout. For code the reference is a list of asserts, a check(candidate)
    source, or input/output pairs.
    """
    from tracegen import verifying

    return verifying.main(given, overrides, out, as_json=as_json)


@cli.command()
@click.argument("model")
@click.option("--against", default="", metavar="BASE", help="Whom to compare with, named like MODEL.")
@click.option("--problems", "-p", "problems", multiple=True, metavar="SET", help="In distribution.")
@click.option("--ood", multiple=True, metavar="SET", help="Out of the training's distribution.")
@click.option("--general", multiple=True, metavar="SET", help="General abilities.")
@click.option("--limit", type=click.IntRange(min=0), help="First so many problems of each set.")
@click.option("--n", type=int, help="Samples per problem  [default: 1].")
@click.option("--engine", type=click.Choice(["local", "vllm", "transformers"]), help="[default: local]")
@click.option("--thinking", type=click.Choice(["native", "tagged", "forced"]), help="[default: native]")
@click.option(
    "--trained-on", multiple=True, metavar="DATA", help="What MODEL was trained on, for the overlap."
)
@click.option("--output", type=click.Path(path_type=Path), help="Directory  [default: evaluations/NAME].")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, such as evaluate.n=4."
)
@as_json
def evaluate(
    model: str,
    against: str,
    problems: tuple[str, ...],
    ood: tuple[str, ...],
    general: tuple[str, ...],
    output: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    **changes: Any,
) -> int:
    """Compare MODEL with BASE on SETs of problems: accuracy, thinking, what was won and lost.

    MODEL and BASE are each a directory, a Hub id, NAME@http://host/v1 (an endpoint) or recorded traces (a
    run directory or a file). A SET is NAME=FILE, NAME=FILE:LAYOUT or NAME=FILE:QUESTION,ANSWER (columns).
    MODEL may also be a recipe with an [evaluate] table, which --set changes and the other options do not.
    Running the same command again goes on where it stopped and asks for nothing twice.
    """
    from tracegen import evaluate as evaluating
    from tracegen import progress
    from tracegen.evaluate.tables import show as show_tables

    sets = [
        (kind, text) for kind, some in (("in", problems), ("out", ood), ("general", general)) for text in some
    ]
    settings, base = evaluating.settings_of(model, against, sets, changes, overrides)
    task = evaluating.prepare(settings, base, output)
    with progress.Screen(quiet=as_json) as screen:
        evaluation, stopped = evaluating.evaluate(task, screen)
    if stopped:
        _say(f"stopped; everything is kept. To go on: {_same_command()}")
        return INTERRUPTED
    if as_json:
        _print(evaluating.to_json(evaluation).decode())
    else:
        show_tables(evaluation)
        _print(str(task.directory / evaluating.PAGE))
    missing = sum(side.missing for side in evaluation.sides.values())
    if missing:
        _say(f"{missing} answers were not recorded, and are in no number")
    owed = sum(side.owed + side.undecided for side in evaluation.sides.values())
    if owed:
        _say(f"{owed} answers or verdicts are owed, and in no number. To go on: {_same_command()}")
        return OWED
    return OK


@cli.command()
@click.argument("recipe")
@click.option("--rounds", type=click.IntRange(min=1), required=True, metavar="N", help="So many rounds.")
@click.option(
    "--rewrite", is_flag=True, help="Train on traces that the teacher of [rewrite] has made compact."
)
@click.option("--plan", "only_plan", is_flag=True, help="Only say what the rounds would ask and train.")
@click.option("--output", type=click.Path(path_type=Path), help="Directory  [default: distilled/NAME].")
@setting
@as_json
def distill(
    recipe: str,
    rounds: int,
    rewrite: bool,
    only_plan: bool,
    output: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> int:
    """Teach a model with its own verified traces: build, train, and the student samples the next round.

    The first round is sampled by the [teacher] of RECIPE, every later one by the student that the round
    before has trained, on the same problems. With [evaluate] each student is compared with the base. Running
    the same command again goes on where it stopped; a larger N goes on after the last round.
    """
    from rich.console import Console

    from tracegen import distill as distilling
    from tracegen import progress
    from tracegen.distill import curve, page

    task = distilling.prepare(_found(recipe), overrides, rounds, output, rewrite=rewrite)
    if only_plan:
        _print(distilling.plan(task))
        return OK
    with progress.Screen(quiet=as_json) as screen:
        found, ended = distilling.distill(task, screen)
    if as_json:
        _print(curve.to_json(found).decode())
    elif found.rounds:
        Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(page.to_table(found))
        _say(f"page: {task.directory / distilling.PAGE}")
    if ended != "done":
        _say(f"{ended}; everything is kept. To go on: {_same_command()}")
    return {"done": OK, "stopped": INTERRUPTED, "owed": OWED}[ended]


@cli.command("export-model")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--gguf", type=click.Path(path_type=Path), required=True, metavar="FILE", help="File to write.")
@click.option(
    "--outtype", type=click.Choice(["bf16", "f16", "f32", "q8_0", "auto"]), default="bf16", show_default=True
)
def export_model(model: Path, gguf: Path, outtype: str) -> int:
    """Write the student in the directory MODEL as one GGUF file, for llama.cpp.

    llama.cpp's converter does it, from the checkout that LLAMA_CPP names or on PATH; without one the two
    commands to run are printed.
    """
    from tracegen import export

    convert, quantize = export.commands(model, gguf, outtype)
    if not export.export_gguf(model, gguf, outtype):
        _say("llama.cpp is not installed here (no convert_hf_to_gguf.py on PATH, no LLAMA_CPP); to be run:")
        _print(f"{convert}\n{quantize}")
        return OWED
    _print(str(gguf))
    _say(f"next, to make it smaller:\n  {quantize}")
    return OK


@cli.group()
def sandbox() -> None:
    """Build and check the container image in which model code runs."""


@sandbox.command("build")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Build those of every language.")
@click.option("--force", is_flag=True, help="Build even if the image is up to date.")
def sandbox_build(names: tuple[str, ...], every: bool, force: bool) -> int:
    """Build the sandbox image of each language NAME  [default: python]; needs a Docker engine.

    A language is a folder of sandboxes/, such as cpp; `tracegen sandbox check` lists them.
    """
    from tracegen.sandbox import image

    for name in image.folders(image.names() if every else names or ("python",)):
        _print(image.build(name, force=force, say=_say))
    return OK


@sandbox.command("check")
def sandbox_check() -> int:
    """Run an honest and a wrong program in every language whose image is built, to see that all works."""
    from tracegen import verifying

    return verifying.check_sandbox()


@sandbox.command("selftest")
@click.option("--only", multiple=True, metavar="NAME", help="Only this program; may be given again.")
@as_json
def sandbox_selftest(only: tuple[str, ...], as_json: bool) -> int:
    """Run programs that cheat, break and flood, and honest ones, against the Docker here.

    Prints program, expected report, got, and ok or FAIL. Exit code 1 if any report is not as expected or
    anything is left. Takes minutes.
    """
    from tracegen.sandbox import selftest

    return selftest.main(only, as_json=as_json)


def main() -> None:
    """Run the command line; our errors become one line and an exit code."""
    from tracegen.errors import TracegenError, UserError

    try:
        code = cli.main(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _say(f"interrupted; everything is kept. To go on: {_same_command()}")
        code = INTERRUPTED
    except click.ClickException as error:
        _say(f"tracegen: {error.format_message()}")
        code = MISTAKE
    except UserError as error:
        _say(f"tracegen: {error}")
        code = MISTAKE
    except TracegenError as error:
        _say(f"tracegen: {error}")
        code = OWED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    sys.exit(code)


def _recipe(given: str, output: Path | None, overrides: tuple[str, ...]) -> tuple[Recipe, Path, Path]:
    """The recipe, the folder its paths are relative to, and its run directory."""
    from tracegen import recipe

    path = _found(given)
    settings = recipe.load(path, overrides)
    directory = output or Path(settings.output or f"runs/{settings.name}")
    return settings, path.parent, directory


def _found(given: str) -> Path:
    """The path of a recipe; one that is shipped is found by its name."""
    from tracegen import resources

    path = Path(given)
    shipped = resources.path("recipes") / path.with_suffix(".toml").name
    if not path.is_file() and shipped.is_file() and path.parent.name in ("", "recipes"):
        return shipped
    return path


def _same_command() -> str:
    """What the user typed, to be typed again."""
    return shlex.join(["tracegen", *sys.argv[1:]])


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")


def _say(text: str) -> None:
    sys.stderr.write(text.rstrip("\n") + "\n")
