"""The student's half of a recipe: the tables `[train]`, `[evaluate]` and `[distill]`.

A recipe that builds a dataset may carry them, and trains on its own run; a recipe with nothing but a
name, `[train]` and `[evaluate]` trains on datasets that are there. `load` reads either. Errors name the
file and the key, as for every recipe.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from tracegen import recipe
from tracegen.data import Sampling
from tracegen.errors import RecipeError
from tracegen.recipe import Columns, Name, Positive, ProblemSource, Section, Share, Verify

Region = Literal["prompt", "open", "think", "close", "answer", "eot"]
Weight = Annotated[float, msgspec.Meta(ge=0.0)]
Above = Annotated[float, msgspec.Meta(gt=0.0)]


class TrainColumns(Columns, frozen=True):
    """Which column of a foreign dataset holds what; for tracegen's own datasets nothing is to be named."""

    messages: str = ""
    """A conversation: turns of role and content (or from and value); every assistant turn is trained."""
    reference: str = ""
    """The right answer, for what is measured while training; it is never shown to the student."""
    logprobs: str = ""
    """A teacher's stored distribution: tokenizer (hash), ids, top_ids, top_logprobs."""


class TrainSource(Section, frozen=True):
    """One place that rows to train on come from."""

    path: str = ""
    """A run directory, dataset directory, jsonl or parquet file (relative to the recipe), or Hub id; empty
    takes the run of this recipe."""
    config: str = ""
    """Config of the dataset; empty takes `verified` of tracegen's own, of others the default one."""
    split: str = "train"
    revision: str = ""
    columns: TrainColumns = TrainColumns()
    """Columns of a foreign dataset: question, and either response (with inline tags), or answer with or
    without thinking, or messages. Columns with usual names are found without it."""
    open: str = ""
    """Tags around the thinking in its responses, where they are others than the student's."""
    close: str = ""
    template_options: dict[str, bool | str] = {}
    """Keyword arguments of the chat template for these rows alone, such as { enable_thinking = false } for a
    mix-in without thinking, where the student is served in both ways."""
    weight: Weight = 1.0
    """Weight of each of its rows."""
    share: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    """Share of the whole loss mass that this source is cut down to (a mix-in); 0 takes all rows."""
    limit: int = 0
    """First so many rows; 0 takes all."""


class RowRule(Section, frozen=True):
    """Weight of the rows whose column has a value."""

    column: str
    """flags (any of them), source, config, stage, domain or another column of the dataset."""
    value: str
    weight: Weight


class Stage(Section, frozen=True):
    """One stretch of training with its own weights (SFTKey, arXiv 2512.21017: all, then the answer)."""

    epochs: Above = 1.0
    preset: Literal["", "include", "exclude", "answer_only", "anti_collapse"] = ""
    """Empty keeps that of `[train]`."""
    weights: dict[Region, Weight] = {}


class Lora(Section, frozen=True):
    """Low-rank adapters on every linear layer, in place of the whole model."""

    rank: Positive = 32
    alpha: Above = 64.0
    dropout: Share = 0.0
    quantize: bool = False
    """QLoRA: the frozen weights in 4 bits (needs a GPU and bitsandbytes)."""
    merge: bool = True
    """Save the merged model beside the adapter."""


class Sft(Section, tag="sft", tag_field="kind", frozen=True):
    """Cross-entropy on the tokens of the traces."""


class Kd(Section, tag="kd", tag_field="kind", frozen=True):
    """Stored top-k logprobs of a teacher with the same tokenizer, with a bucket for the rest."""

    alpha: Share = 0.5
    """Share of the soft target; the rest is cross-entropy."""
    temperature: Above = 1.0


class Logits(Section, tag="logits", tag_field="kind", kw_only=True, frozen=True):
    """A live teacher with the same tokenizer: alpha · T² · KL + (1 - alpha) · CE."""

    teacher: str
    alpha: Share = 0.5
    temperature: Above = 1.0


class Gkd(Section, tag="gkd", tag_field="kind", kw_only=True, frozen=True):
    """On-policy distillation through TRL's trainer (Agarwal et al., arXiv 2306.13649)."""

    teacher: str
    on_policy: Share = 0.5
    beta: Share = 0.5
    """Of the generalised Jensen-Shannon divergence."""
    new_tokens: Positive = 256


class StepByStep(Section, tag="step_by_step", tag_field="kind", frozen=True):
    """Rationale and label as two tasks (Hsieh et al. 2023, arXiv 2305.02301)."""

    rationale: Weight = 1.0
    """Weight of the rationale task; the label's is 1."""


Method = Sft | Kd | Logits | Gkd | StepByStep


class Monitor(Section, frozen=True):
    """The watch for a collapse of thinking while training."""

    every: int = 0
    """Steps between forward-only probes; 0 takes a twentieth of the training, at least 1."""
    generate_every: int = 0
    """Steps between probes by generation; 0 takes a quarter of the training."""
    prompts: Positive = 16
    """Held-out prompts."""
    budgets: tuple[Positive, ...] = (128, 512)
    """New tokens that a generation may take; truncation is counted at each."""
    warn_close_at_once: Share = 0.05
    """Mean P(close at once | open) that warns …"""
    stop_close_at_once: Share = 0.2
    """… and that stops where `action` is stop."""
    action: Literal["off", "warn", "stop"] = "warn"


class Train(Section, kw_only=True, frozen=True):
    """How the student is trained."""

    model: str
    """A directory or Hub id of a causal language model with its tokenizer."""
    revision: str = ""
    data: tuple[TrainSource, ...] = (TrainSource(),)
    method: Method = Sft()
    preset: Literal["include", "exclude", "answer_only", "anti_collapse"] = "anti_collapse"
    """Weights of the regions. include: 1 everywhere. exclude: thinking 0, its delimiters kept, since a
    student without them never closes. answer_only: answer and end alone. anti_collapse: 1, closing tag 5,
    beginning of the thinking 4."""
    weights: dict[Region, Weight] = {}
    """Overrides of the preset, such as { think = 0.5 }. The prompt is never trained."""
    think_first: int = 0
    """Train only the first so many tokens of the thinking; 0 trains all."""
    think_last: int = 0
    """Train only the last so many tokens of the thinking; 0 trains all."""
    lead: Weight = 0.0
    """Multiplies the weight of the first tokens of the thinking, where a student begins to think or to answer
    at once; 0 takes the preset's: 4 in anti_collapse, else 1."""
    lead_tokens: Annotated[int, msgspec.Meta(ge=0)] = 8
    """How many tokens that are."""
    think_balance: Literal["none", "per_example"] = "none"
    """per_example: scales the thinking of each row to the mass of its answer."""
    row_weights: tuple[RowRule, ...] = ()
    stages: tuple[Stage, ...] = ()
    """One after the other; empty is one stage of `epochs`."""
    empty_think: Literal["mask", "drop", "train"] = "mask"
    """The empty thinking block that a chat template puts before an answer without thinking: not trained, the
    row dropped, or trained (which makes students that close at once)."""
    over_length: Literal["drop", "keep_think_mask_close", "cut"] = "drop"
    """Rows over `max_tokens`: dropped; or their thinking cut, the closing tag not trained, the answer kept;
    or cut off at the end. Always counted."""
    max_tokens: Positive = 4096
    open: str = "<think>"
    close: str = "</think>"
    prompt: str = ""
    """Prompt by name or path, as the student will be asked; `bare` is the question alone. Default: the prompt
    of the row's domain, and the question alone where a dataset names none."""
    template: str = ""
    """Chat template to train with and save, a jinja file; empty keeps the tokenizer's."""
    template_options: dict[str, bool | str] = {}
    """Keyword arguments of the chat template, as the student will be served (enable_thinking …)."""
    lora: Lora | None = None
    repeated: Literal["keep", "drop"] = "keep"
    """Rows whose question, thinking and answer were there before, in whatever source: kept, or dropped and
    counted."""
    epochs: Above = 2.0
    max_steps: int = 0
    """Optimizer steps at most; 0 is no limit."""
    learning_rate: float = 0.0
    """0 takes 2e-5, with LoRA 2e-4."""
    warmup: Share = 0.05
    weight_decay: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0
    clip: Annotated[float, msgspec.Meta(ge=0.0)] = 1.0
    batch_tokens: Positive = 16384
    """Tokens of one optimizer step, over all devices."""
    device_tokens: Positive = 8192
    """Tokens of one forward pass on one device."""
    packing: bool = True
    """Several rows in one sequence, kept apart by their positions; never cut."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Precision of computing and of the saved weights. auto is bfloat16 on a GPU and on a processor with
    instructions for it, else float32, which is several times as fast there."""
    gradient_checkpointing: bool = False
    seed: int = 0
    validation_share: Share = 0.02
    """Share of the problems held out for the validation loss."""
    patience: int = 0
    """Stop after so many validations without a better loss; 0 trains to the end."""
    save_every: int = 0
    """Steps between checkpoints; 0 takes a tenth of the training."""
    report_to: tuple[str, ...] = ()
    """Trackers as transformers names them: tensorboard, wandb …"""
    monitor: Monitor = Monitor()


class EvaluationSet(ProblemSource, kw_only=True, frozen=True):
    """Problems to evaluate on."""

    name: Name
    kind: Literal["in", "out", "general"] = "in"
    """In the distribution of the training, out of it, or general abilities."""
    difficulty: str = ""
    """Column with the difficulty of a problem; without one, problems are parted by the base's pass rate."""


class Evaluate(Section, frozen=True):
    """How a student is compared with its base."""

    model: str = ""
    """A directory or Hub id, NAME@http://… (an OpenAI-compatible endpoint), or recorded traces (a run
    directory or a file); empty takes the student of this recipe."""
    against: str = ""
    """The same of whom to compare with; empty takes `train.model`."""
    problems: tuple[EvaluationSet, ...] = ()
    n: Positive = 1
    """Samples per problem."""
    sampling: Sampling = Sampling(max_tokens=512)
    engine: Literal["local", "vllm", "transformers"] = "local"
    prompts: dict[str, str] = {}
    thinking: Literal["native", "tagged", "forced"] = "native"
    batch: Positive = 64
    student: dict[str, Any] = {}
    """Keys of a `[teacher]` table that are different for the student: kind, prompts, sampling, elicit …"""
    base: dict[str, Any] = {}
    """The same for the base."""
    trained_on: tuple[str, ...] = ()
    """Run directories, datasets or files that the student was trained on, to count the problems that are in
    them; empty takes those of `train.data`, or of the student's own recipe."""


class Distill(Section, frozen=True):
    """How `tracegen distill` goes from one round to the next. The first round's traces are those of
    `[teacher]`, every later one's those of the student that was just trained, on the same problems."""

    start: Literal["base", "last"] = "base"
    """What each round trains: `train.model` afresh (STaR, arXiv 2203.14465; ReST-EM, arXiv 2312.06585), or
    the last round's student."""
    data: Literal["all", "last"] = "all"
    """What it is trained on: the verified traces of all rounds so far, or those of its own round alone."""
    student: dict[str, Any] = {}
    """Keys of a `[teacher]` table that are different where the student is asked: kind, n, sampling, elicit …;
    those of `[teacher]` else. Its prompt is the one that it is trained with."""


class Student(Section, kw_only=True, frozen=True):
    """What `tracegen train`, `tracegen evaluate` and `tracegen distill` read of a recipe."""

    name: Name
    output: str = ""
    """Directory of the student; empty means `students/<name>` under the working directory."""
    verify: Verify = Verify()
    train: Train | None = None
    evaluate: Evaluate = Evaluate()
    distill: Distill = Distill()


def load(path: Path, overrides: tuple[str, ...] = ()) -> Student:
    """The student's settings in the recipe at `path`, with `--set` overrides applied.

    Raises RecipeError where the file cannot be read or a key does not fit; of a recipe that also builds a
    dataset every table is checked.
    """
    tree = recipe.read(path, overrides)
    if "problems" in tree or "teacher" in tree:
        recipe.from_tree(tree, str(path))
        run = tree.get("output") or f"runs/{tree['name']}"
        settings = of_recipe(tree, path)
        if settings.train is not None:
            settings = _on_own_run(settings, settings.train, str(Path(run).resolve()))
        return settings
    settings = _sound(recipe.checked(tree, Student, str(path)), path)
    for number, source in enumerate(settings.train.data if settings.train else ()):
        if not source.path:
            raise RecipeError(
                f"{path}: train.data.{number}.path: names no dataset - give a run, file or Hub id"
            )
    return settings


def of_recipe(tree: dict[str, Any], path: Path) -> Student:
    """The student's tables of a recipe that builds a dataset; a source without a path is its own run.

    Raises RecipeError.
    """
    tables = ("name", "verify", "train", "evaluate", "distill")
    return _sound(recipe.checked({key: tree[key] for key in tables if key in tree}, Student, str(path)), path)


def _sound(settings: Student, path: Path) -> Student:
    """The settings. Raises RecipeError where a key fits its type but means nothing."""
    if settings.train is not None:
        tables: dict[str, Train | Stage] = {"": settings.train}
        tables |= {f"stages.{number}.": stage for number, stage in enumerate(settings.train.stages)}
        for where, table in tables.items():
            if table.weights.get("prompt"):
                raise RecipeError(
                    f"{path}: train.{where}weights.prompt: the prompt is never trained - take it out"
                )
    return settings


def _on_own_run(settings: Student, train: Train, run: str) -> Student:
    sources = tuple(msgspec.structs.replace(s, path=s.path or run) for s in train.data)
    return msgspec.structs.replace(settings, train=msgspec.structs.replace(train, data=sources))
