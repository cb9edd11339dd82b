"""A recipe: one TOML file that says everything about a run.

`load` reads and checks it; `dump` writes the resolved recipe, which is itself a valid recipe. Every
error names the file and the path of the key (`teacher.sampling.temprature`), says what was expected
and suggests the nearest key. Nothing is spent before a recipe has passed.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from tracegen.data import Sampling
from tracegen.errors import RecipeError

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, msgspec.Meta(gt=0.0)]
S = TypeVar("S", bound=msgspec.Struct)
AGAIN = ("stop_after", "retry_max_tokens")
"""Keys of a teacher whose requests depend on the answers to the ones before."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every table of a recipe: unknown keys are errors."""


class Columns(Section, frozen=True):
    """Which column of the file holds what; a dotted path (`code.0`) reaches into nested values."""

    id: str = ""
    question: str = ""
    answer: str = ""
    """Column with the reference: an answer, a label, or tests."""
    choices: str = ""
    entry_point: str = ""
    prompt: str = ""
    """Code that precedes a completion (HumanEval)."""
    setup: str = ""
    solution: str = ""
    source: str = ""
    licence: str = ""
    domain: str = ""
    language: str = ""
    """Column with the programming language of a code problem."""
    checker: str = ""
    """Column with the source of a checker program, for input/output pairs with several right outputs."""
    entry: str = ""
    """reasoning_gym's whole entry, as JSON text or an object."""
    thinking: str = ""
    response: str = ""


class ProblemSource(Section, frozen=True):
    """One place that problems come from."""

    path: str
    """A jsonl, json, parquet or csv file (relative to the recipe), a dataset directory or Hub id,
    or `reasoning_gym:NAME`."""
    domain: Literal["", "math", "choice", "code", "gym", "judged"] = ""
    """What a reference is; `judged` is free text, which `verify.judge` compares. Empty: the layout's."""
    layout: str = ""
    """Preset of columns: gsm8k, math, humaneval, humanevalplus, mbpp, leetcode, kodcode, bigcodebench,
    livecodebench, sandboxfusion, cruxeval, stdio, choice, gym."""
    columns: Columns = Columns()
    language: str = ""
    """Programming language of code problems that have no column for it: a folder of `sandboxes/`, such as
    cpp, c, java, javascript, go or rust; empty is python."""
    checker_language: str = ""
    """The same for their checkers."""
    config: str = ""
    """Config of a Hub dataset."""
    split: str = "train"
    source: str = ""
    licence: str = ""
    limit: int = 0
    """First so many rows; 0 takes all."""
    without_answer: Literal["refuse", "vote"] = "refuse"
    """What a row of math or choice with an empty answer is: a mistake, or a problem without a reference,
    whose traces are kept as `unjudged` with the answer that most of them agree on."""
    options: dict[str, Any] = {}
    """Options of a reasoning_gym dataset; `size` is the number of problems."""
    seed: int = 0


class Elicit(Section, frozen=True):
    """How thinking is obtained (native, tagged or forced) and how its end is recognised."""

    mode: Literal["native", "tagged", "forced"] = "native"
    """`native`: the model thinks by itself. `tagged`: the prompt asks for tags. `forced`: the
    assistant's turn is started with the open tag, and closed when `sampling.thinking_tokens` is spent."""
    open: str = "<think>"
    close: str = "</think>"
    prefilled: bool = False
    """The server's chat template already opened the thinking (DeepSeek-R1): text without a closing
    tag is then an unclosed thinking, not an answer."""


class TeacherBase(Section, frozen=True):
    """What every teacher has."""

    model: str = ""
    revision: str = ""
    n: Positive = 1
    """Samples per problem."""
    sampling: Sampling = Sampling()
    elicit: Elicit = Elicit()
    prompts: dict[str, str] = {}
    """Prompt by domain, a name in `prompts/` or a path; default: the name of the domain."""
    stop_after: int = 0
    """Ask no more samples for a problem once so many are accepted; 0 asks all n."""
    retry_max_tokens: int = 0
    """Ask a truncated trace once more with this budget; 0 does not."""
    concurrency: Positive = 64
    """Requests in flight at once."""
    logprobs: Annotated[int, msgspec.Meta(ge=0, le=128)] = 0
    """Keep the log-probabilities of so many likeliest tokens at every token, for `train.method.kind = "kd"`.
    No part of a request: what was asked without stays without."""


class OpenAITeacher(TeacherBase, tag="openai", tag_field="kind", frozen=True):
    """Any OpenAI-compatible endpoint."""

    base_url: str = "https://api.openai.com/v1"
    key_env: str = ""
    """Environment variable that holds the key; never the key itself."""
    extra_body: dict[str, Any] = {}
    timeout: Seconds = 600.0
    tries: Positive = 6
    usd_per_million_prompt: float = 0.0
    usd_per_million_completion: float = 0.0
    tokenizer: str = ""
    """With `logprobs`: a directory or Hub id with the model's tokenizer; empty takes `model`. The server must
    tell token ids, as vLLM's does."""


class VllmTeacher(TeacherBase, tag="vllm", tag_field="kind", frozen=True):
    """vLLM in this process (extra `vllm`)."""

    dtype: str = "auto"
    max_model_len: int = 0
    engine: dict[str, Any] = {}
    """Further engine arguments, as vLLM names them."""


class TransformersTeacher(TeacherBase, tag="transformers", tag_field="kind", frozen=True):
    """transformers in this process; runs anywhere."""

    dtype: str = "bfloat16"
    device: str = "auto"
    batch: Positive = 64


class LocalTeacher(TeacherBase, tag="local", tag_field="kind", frozen=True):
    """vLLM where it is installed and fast (a GPU, or AVX-512), else transformers; with the same requests."""

    batch: Positive = 64
    max_model_len: int = 0


class ReplayTeacher(TeacherBase, tag="replay", tag_field="kind", kw_only=True, frozen=True):
    """Recorded responses: of a run directory, or a file of existing traces."""

    path: str
    layout: str = ""
    columns: Columns = Columns()
    finish_reason: str = "unknown"
    """What to say of rows that do not tell."""


Teacher = OpenAITeacher | VllmTeacher | TransformersTeacher | LocalTeacher | ReplayTeacher


class CodeLimits(Section, frozen=True):
    """Limits of one candidate program in the sandbox."""

    images: dict[str, str] = {}
    """Image by language; default: the one that `tracegen sandbox build LANGUAGE` makes."""
    runtime: str = ""
    """Container runtime, such as `runsc`; empty takes Docker's default."""
    seconds: Seconds = 10.0
    """Wall seconds of one test."""
    total_seconds: Seconds = 60.0
    """Wall seconds of all tests of one candidate."""
    memory_mb: Positive = 512
    processes: Positive = 64
    output_kb: Positive = 1024
    disk_mb: Positive = 64
    cpus: Annotated[float, msgspec.Meta(gt=0.0)] = 1.0
    containers: int = 0
    """Candidates judged at once; 0 takes two per core, since each waits for its judge now and then."""
    reuse: Positive = 1000
    """Programs that may follow one another in a container, as long as each ended well and left nothing;
    1 gives every program a container of its own."""


class Verify(Section, frozen=True):
    """How traces are judged."""

    math_seconds: Seconds = 5.0
    """Wall seconds for one comparison, after which the worker is killed."""
    workers: int = 0
    """Math worker processes; 0 takes one per core."""
    memory_mb: Positive = 2048
    unit_missing: Literal["accept", "weak", "reject"] = "weak"
    """A unit, sign of money or percent sign on one side only (`10 cm` and `10`): equal, equal with weak
    trust, or different."""
    without_sandbox: Literal["stop", "skip"] = "stop"
    """What to do with code problems where no sandbox works: stop before anything is spent, or skip
    these problems and say so. They are never run bare."""
    code: CodeLimits = CodeLimits()
    judge: Teacher | None = None
    """A model that is asked, once for each extracted answer, where all other steps are undecided. It sees
    this answer and the reference, nothing else; trust in its verdicts is weak."""


class Flags(Section, frozen=True):
    """Thresholds of the labels. Words are runs of non-space characters; tokens are the teacher's."""

    think_short_words: int = 8
    """`think_short`: thinking of fewer words than this."""
    loop_ngram_words: Positive = 8
    """`looping`: an n-gram of so many words …"""
    loop_repeats: Positive = 6
    """… that occurs at least so often …"""
    loop_share: Share = 0.3
    """… and together with the other repeated n-grams covers at least this share of the words."""
    suspect_traces: Positive = 3
    """`gold_suspect`: so many independent traces of the problem agree against its reference, at least two
    for each that is right …"""
    suspect_share: Share = 0.5
    """… and they are at least this share of those with an answer."""


class Select(Section, frozen=True):
    """Which traces are accepted, and how many are kept."""

    reject: tuple[str, ...] = ("think_empty", "think_unclosed", "truncated", "looping")
    """Flags that keep a correct trace out of `verified`."""
    per_problem: int = 0
    """Accepted traces kept per problem, shortest thinking first; 0 keeps all."""
    accept_majority: Share = 0.0
    """Accept, with weak trust, the majority's traces of a problem without a reference where at least three
    of its independent traces, and at least this share of them, agree; 0 never does."""


class Publish(Section, frozen=True):
    """The dataset."""

    title: str = ""
    licence: str = ""
    """Licence of the dataset on its card; empty lists the sources' licences."""
    test_share: Share = 0.05
    shard_rows: Positive = 50_000
    language: tuple[str, ...] = ("en",)


class Recipe(Section, frozen=True):
    """Everything about a run."""

    name: Name
    problems: Annotated[tuple[ProblemSource, ...], msgspec.Meta(min_length=1)]
    teacher: Teacher
    recovery: Teacher | None = None
    """The second teacher, for problems without an accepted trace."""
    rewrite: Teacher | None = None
    """Who writes accepted traces again in fewer words, for the config `compact`; sees problem and trace."""
    output: str = ""
    """Run directory; empty means `runs/<name>` under the working directory."""
    verify: Verify = Verify()
    flags: Flags = Flags()
    select: Select = Select()
    publish: Publish = Publish()
    train: dict[str, Any] = {}
    """The student's training; `tracegen.student` reads it."""
    evaluate: dict[str, Any] = {}
    distill: dict[str, Any] = {}


# --- reading and writing ---------------------------------------------------------------------------


def load(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """The recipe in `path`, with `--set` overrides such as `teacher.sampling.n=4` applied.

    Raises RecipeError: no such file, not TOML, unknown keys (all of them), or a value that does not fit.
    """
    return from_tree(read(path, overrides), str(path))


def read(path: Path, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """The TOML document in `path` with its overrides, not yet checked; raises RecipeError."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe - give the path of a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from None
    for given in overrides:
        override(tree, given)
    return tree


def checked(tree: dict[str, Any], type_: type[S], where: str) -> S:
    """A parsed TOML document as `type_`; raises RecipeError with every unknown key, or the first misfit."""
    unknown = list(_unknown_keys(tree, type_, ""))
    if unknown:
        raise RecipeError("\n".join(f"{where}: {line}" for line in unknown))
    try:
        return msgspec.convert(tree, type_)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where}: {_explain(error)}") from None


def from_tree(tree: dict[str, Any], where: str) -> Recipe:
    """The recipe in a parsed TOML document; `where` names it in errors."""
    recipe = checked(tree, Recipe, where)
    if recipe.recovery is not None and _same_asks(recipe.teacher, recipe.recovery):
        raise RecipeError(
            f"{where}: recovery: asks exactly what teacher asks - change its model, sampling or prompts"
        )
    if recipe.verify.judge is not None and (wrong := _unfit(recipe.verify.judge, ("n", *AGAIN))):
        raise RecipeError(f"{where}: verify.judge.{wrong}")
    if recipe.rewrite is not None and (wrong := _unfit(recipe.rewrite, AGAIN)):
        raise RecipeError(f"{where}: rewrite.{wrong}")
    return recipe


def section(type_: type[S], overrides: tuple[str, ...], where: str) -> S:
    """One table of a recipe, of its defaults and `KEY=VALUE` overrides alone; for `tracegen verify`."""
    tree: dict[str, Any] = {}
    for given in overrides:
        override(tree, given)
    unknown = list(_unknown_keys(tree, type_, ""))
    if unknown:
        raise RecipeError("\n".join(f"{where} {line}" for line in unknown))
    try:
        return msgspec.convert(tree, type_)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where} {_explain(error)}") from None


def dump(recipe: Recipe) -> str:
    """The recipe as TOML that `load` reads back to an equal recipe."""
    import tomli_w

    return tomli_w.dumps(without_none(msgspec.to_builtins(recipe)))


def kind(teacher: Teacher | type[Teacher]) -> str:
    """The `kind` of a teacher, as the recipe names it."""
    return str(teacher.__struct_config__.tag)


def _same_asks(first: Teacher, second: Teacher) -> bool:
    def asked(teacher: Teacher) -> object:
        return [getattr(teacher, name) for name in ("model", "revision", "sampling", "elicit", "prompts")]

    return (
        type(first) is type(second) and not isinstance(first, ReplayTeacher) and asked(first) == asked(second)
    )


def _unfit(teacher: Teacher, without: tuple[str, ...]) -> str:
    """What keeps a teacher from judging or rewriting, or an empty string; `without` are keys not for it."""
    judges = "n" in without
    if not teacher.model and not isinstance(teacher, ReplayTeacher):
        return f"model: missing - name the model that {'judges' if judges else 'rewrites'}"
    who = "a judge is asked once for each answer" if judges else "a trace is rewritten n times"
    for key in without:
        if getattr(teacher, key) != getattr(TeacherBase(), key):
            return f"{key}: {who} - leave it out"
    return ""


def without_none(value: Any) -> Any:
    """The same without the keys that have no value, which TOML cannot write."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [without_none(item) for item in value]
    return value


def override(tree: dict[str, Any], text: str) -> None:
    """Set one dotted key of the tree; the value is TOML, or else a string as it stands."""
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {text}: expected KEY=VALUE, such as teacher.n=4")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    *parents, last = key.strip().split(".")
    node: Any = tree
    for part in parents:
        node = node.setdefault(part, {}) if isinstance(node, dict) else _item(node, part, text)
    if isinstance(node, list):
        _item(node, last, text)
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise RecipeError(f"--set {text}: {'.'.join(parents)} is a value, not a table")


def _item(node: Any, part: str, text: str) -> Any:
    if isinstance(node, list) and part.isdigit() and int(part) < len(node):
        return node[int(part)]
    raise RecipeError(f"--set {text}: there is no {part!r} there")


def _unknown_keys(value: Any, expected: Any, path: str) -> Any:
    """Every key of `value` that the type does not have, with the nearest one it has."""
    if get_origin(expected) is Annotated:
        expected = get_args(expected)[0]
    if isinstance(value, list):
        inner = get_args(expected)[:1]
        for index, item in enumerate(value):
            yield from _unknown_keys(item, inner[0] if inner else Any, f"{path}.{index}")
    struct = _struct_of(value, expected)
    if struct is None:
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    tag = struct.__struct_config__.tag_field
    hints = get_type_hints(struct, include_extras=True)
    for key, item in value.items():
        here = f"{path}.{key}" if path else key
        if key in fields:
            yield from _unknown_keys(item, hints[fields[key].name], here)
        elif key != tag:
            yield f"{here}: unknown key{_nearest(key, list(fields))}"


def _struct_of(value: Any, expected: Any) -> type[msgspec.Struct] | None:
    """The struct that a table is to become; of a tagged union the one it names."""
    if not isinstance(value, dict):
        return None
    candidates = [
        option for option in get_args(expected) or (expected,) if hasattr(option, "__struct_fields__")
    ]
    for option in candidates:
        config = option.__struct_config__
        if config.tag_field is None or value.get(config.tag_field) == config.tag:
            return option  # type: ignore[no-any-return]  # get_args is untyped
    return None


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return f" - did you mean {close[0]!r}?" if close else f" - expected one of {', '.join(sorted(known))}"


def _explain(error: msgspec.ValidationError) -> str:
    """msgspec's message as `path: what was expected`."""
    message, _, where = str(error).partition(" - at `$")
    path = where.rstrip("`").replace("[", ".").replace("]", "").lstrip(".") or "recipe"
    if message.startswith("Invalid value '") and path.endswith("kind"):
        return f"{path}: unknown teacher {message.split(' ', 2)[2]}{_nearest_kind(message)}"
    message = message.replace("`", "'")
    return f"{path}: {message[:1].lower()}{message[1:]}"


def _nearest_kind(message: str) -> str:
    return _nearest(message.split("'")[1], [kind(option) for option in get_args(Teacher)])
