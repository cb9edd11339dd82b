"""What is evaluated: the two teachers, the sets of problems and the training data, from a recipe or the
command line. Everything that the user can get wrong is found out here, before anything is asked.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from tracegen import problems as reading
from tracegen import recipe, rows, student
from tracegen.data import JudgedAnswer, NoReference, Problem, Struct
from tracegen.errors import RecipeError, TeacherError, UserError
from tracegen.evaluate.overlap import Overlap, overlaps, trained_questions
from tracegen.plan import Plan
from tracegen.recipe import ProblemSource, Recipe, ReplayTeacher, Section, Select, Teacher, Verify
from tracegen.store import FILE, Store
from tracegen.student import Evaluate, EvaluationSet, Student, TrainSource
from tracegen.teachers import open_teacher

SideName = Literal["model", "base"]
ENDPOINT = re.compile(r"(.+)@(https?://.+)")
NAME = re.compile(r"[^A-Za-z0-9._-]+")
GYM = "reasoning_gym:"


class OneTeacher(Section, frozen=True):
    """A side of the comparison, checked like a recipe's teacher."""

    teacher: Teacher


class ProblemSet(Struct, frozen=True):
    """A set of problems as it was read."""

    name: str
    kind: Literal["in", "out", "general"]
    problems: tuple[Problem, ...]
    difficulty: dict[str, str]
    """By problem id; empty without a column."""
    merged: int = 0
    """Rows that say the same as an earlier one."""


class Task(Struct, frozen=True):
    """Everything that an evaluation needs."""

    name: str
    directory: Path
    base: Path
    """Folder that the paths are relative to."""
    sides: dict[SideName, Recipe]
    sets: tuple[ProblemSet, ...]
    verify: Verify
    trained_on: tuple[str, ...]
    overlap: dict[str, Overlap] | None
    """Problems that the student was trained on, by id; None where the training data is not known."""
    notes: tuple[str, ...] = ()
    """What the user should know before it begins."""
    base_run: Path | None = None
    """Run directory of the base, where other evaluations share it; None is one of its own."""

    def run(self, side: SideName) -> Path:
        """The run directory of a side."""
        return self.base_run if side == "base" and self.base_run else self.directory / side


def settings_of(
    model: str,
    against: str,
    sets: Sequence[tuple[str, str]],
    changes: Mapping[str, Any],
    overrides: tuple[str, ...],
) -> tuple[Student, Path]:
    """What `tracegen evaluate MODEL` says, and the folder that its paths are relative to.

    `sets` are kinds with `NAME=PATH[:COLUMNS]`, `changes` keys of `[evaluate]`; where MODEL is a recipe
    there may be none of them. Raises UserError.
    """
    table: dict[str, Any] = {key: value for key, value in changes.items() if value not in (None, ())}
    if "trained_on" in table:
        table["trained_on"] = list(table["trained_on"])
    if model.endswith(".toml"):
        options = ["--against"] * bool(against) + ["--problems"] * bool(sets)
        options += [f"--{key.replace('_', '-')}" for key in table]
        if options:
            raise UserError(
                f"{model}: a recipe says {options[0][2:]} itself - change it with --set evaluate.KEY=VALUE"
            )
        return student.load(Path(model), overrides), Path(model).parent
    limit = table.pop("limit", 0)
    problems = [_set(kind, text, limit) for kind, text in sets]
    tree: dict[str, Any] = {
        "name": _plain_name(model),
        "evaluate": {"model": model, "against": against, "problems": problems, **table},
    }
    for given in overrides:
        recipe.override(tree, given)
    return recipe.checked(tree, Student, "tracegen evaluate"), Path()


def prepare(settings: Student, base: Path, output: Path | None, *, base_run: Path | None = None) -> Task:
    """The task of these settings. Raises UserError for whatever cannot be used; nothing is spent."""
    table = settings.evaluate
    sets = read_sets(table, base)
    texts = (isinstance(problem.reference, JudgedAnswer) for one in sets for problem in one.problems)
    if settings.verify.judge is None and any(texts):
        raise UserError("problems: references in free text need a judge - name one in [verify.judge]")
    who = _who(settings, base)
    sides = {side: _side(side, named, settings, base) for side, named in who.items()}
    name = settings.name
    if output is None and len(who) == 2 and table.model:
        name = f"{_plain_name(who['model'])}-against-{_plain_name(who['base'])}"
    everything = {problem.id: problem for one in sets for problem in one.problems}
    for side, settings_of in sides.items():
        _usable(side, settings_of, list(everything.values()), base)
    _different(sides, base)
    questions = {problem.id: problem.question for problem in everything.values()}
    sources, overlap, notes = _overlap(settings, who["model"], base, questions)
    return Task(
        name=name,
        directory=output or Path("evaluations") / name,
        base=base,
        sides=sides,
        sets=sets,
        verify=settings.verify,
        trained_on=tuple(source.path for source in sources),
        overlap=overlap,
        notes=notes,
        base_run=base_run,
    )


def read_sets(table: Evaluate, base: Path) -> tuple[ProblemSet, ...]:
    """The sets of problems. Raises UserError where there is none, or one cannot be used."""
    if not table.problems:
        raise UserError("no problems to evaluate on - give --problems NAME=FILE, or [[evaluate.problems]]")
    names = [one.name for one in table.problems]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"two sets of problems are called {twice!r} - name them apart with NAME=FILE")
    return tuple(read_set(one, base) for one in table.problems)


# --- problems ----------------------------------------------------------------------------------------


def _set(kind: str, text: str, limit: int) -> dict[str, Any]:
    """`NAME=PATH`, `NAME=PATH:LAYOUT` or `NAME=PATH:QUESTION,ANSWER` as a table."""
    name, equals, rest = text.partition("=")
    if not equals or "/" in name or ":" in name:
        name, rest = "", text
    scheme = GYM if rest.startswith(GYM) else ""
    path, _, columns = rest.removeprefix(scheme).partition(":")
    table: dict[str, Any] = {
        "name": name or _plain_name(Path(path).name.split(".")[0]),
        "path": scheme + path,
        "kind": kind,
        "limit": limit,
    }
    if scheme:
        table["domain"] = "gym"
        table["layout"] = "gym"
    elif "," in columns:
        question, _, answer = columns.partition(",")
        table["columns"] = {"question": question, "answer": answer}
    elif columns:
        table["layout"] = columns
    if not path:
        raise UserError(
            f"--problems {text}: expected NAME=PATH, NAME=PATH:LAYOUT or NAME=PATH:QUESTION,ANSWER"
        )
    return table


def read_set(one: EvaluationSet, base: Path) -> ProblemSet:
    """The problems of a set. Raises UserError, in one line, where they cannot be used.

    Without a reference nothing tells whether an answer is right.
    """
    source = _source(one)
    try:
        loaded = reading.load((source,), base)
        difficulty = {}
        if one.difficulty:
            columns = msgspec.structs.replace(source.columns, source=one.difficulty)
            again = reading.load((msgspec.structs.replace(source, columns=columns),), base)
            difficulty = {problem.id: problem.source for problem in again.problems}
    except UserError as error:
        raise UserError(f"problems {one.name!r}: {_first_line(error)}") from None
    blind = [problem for problem in loaded.problems if isinstance(problem.reference, NoReference)]
    if blind:
        raise UserError(
            f"problems {one.name!r}: {len(blind)} of {len(loaded.problems)} have no reference, such as "
            f"{blind[0].key or blind[0].id} - an evaluation needs one for each; leave without_answer out"
        )
    return ProblemSet(one.name, one.kind, loaded.problems, difficulty, loaded.merged)


def _source(one: EvaluationSet) -> ProblemSource:
    return ProblemSource(**{field: getattr(one, field) for field in ProblemSource.__struct_fields__})


def _first_line(error: UserError) -> str:
    """One line, also of an error that names many rows."""
    lines = str(error).splitlines()
    return lines[0] + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "")


# --- the two sides -----------------------------------------------------------------------------------


def _who(settings: Student, base: Path) -> dict[SideName, str]:
    """The names of the model and, if there is one to compare with, of the base."""
    table, train = settings.evaluate, settings.train
    model = table.model
    if not model:
        folder = Path(settings.output or f"students/{settings.name}").resolve()
        if not folder.is_dir() and not table.student:
            raise UserError(f"{folder}: no student there - train it first, or name one in evaluate.model")
        model = str(folder)
    against = table.against or (train.model if train else "")
    return {"model": model, "base": against} if against or table.base else {"model": model}


def _side(side: SideName, named: str, settings: Student, base: Path) -> Recipe:
    """The run of one side: its teacher, and no more of a recipe than evaluating needs."""
    own = settings.evaluate.student if side == "model" else settings.evaluate.base
    tree = merged(_teacher(named, settings, base), own)
    try:
        teacher = recipe.checked({"teacher": tree}, OneTeacher, f"evaluate, {side}").teacher
    except RecipeError as error:
        raise UserError(_first_line(error)) from None
    for key in ("stop_after", "retry_max_tokens"):
        if getattr(teacher, key):
            raise UserError(
                f"evaluate, {side}: {key} would ask more of one problem than of another - leave it out"
            )
    teacher = located(teacher, base)
    return Recipe(
        name=f"{settings.name}-{side}",
        problems=tuple(_source(one) for one in settings.evaluate.problems),
        teacher=opened(teacher, base),
        verify=settings.verify,
        select=Select(reject=()),
    )


def _teacher(named: str, settings: Student, base: Path) -> dict[str, Any]:
    """The `[teacher]` table of a model's name."""
    table = settings.evaluate
    tags = {"open": settings.train.open, "close": settings.train.close} if settings.train else {}
    common: dict[str, Any] = {
        "n": table.n,
        "sampling": msgspec.to_builtins(table.sampling),
        "elicit": {"mode": table.thinking, **tags},
        "prompts": dict(table.prompts),
    }
    endpoint = ENDPOINT.fullmatch(named)
    if endpoint:
        return {"kind": "openai", "model": endpoint[1], "base_url": endpoint[2], **common}
    place = base / named
    if named and ((place / FILE).is_file() or (place.is_file() and named.endswith(rows.SUFFIXES))):
        return {"kind": "replay", "model": place.name.split(".")[0], "path": named, **common}
    batch = {} if table.engine == "vllm" else {"batch": table.batch}
    return {"kind": table.engine, "model": named, **common, **batch}


def merged(tree: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`own` over `tree`; another kind of teacher keeps only what every teacher has."""
    if own.get("kind", tree["kind"]) != tree["kind"]:
        tree = {key: tree[key] for key in ("model", "n", "sampling", "elicit", "prompts")}
    merged = dict(tree)
    for key, value in own.items():
        inner = merged.get(key)
        merged[key] = {**inner, **value} if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def located(teacher: Teacher, base: Path) -> Teacher:
    """A student that was saved as an adapter beside its merged model is asked as the merged one."""
    folder = base / teacher.model
    if isinstance(teacher, ReplayTeacher) or not teacher.model or not folder.is_dir():
        return teacher
    if (folder / "config.json").is_file():
        return teacher
    if (folder / "merged" / "config.json").is_file():
        return msgspec.structs.replace(teacher, model=f"{teacher.model}/merged")
    what = "only an adapter there" if (folder / "adapter_config.json").is_file() else "no model there"
    raise UserError(f"{folder}: {what} - give a directory with config.json and the weights")


def opened(teacher: Teacher, base: Path) -> Teacher:
    """Says that the model's own chat template opens the thinking, where it does.

    Raises UserError where there is no such model.
    """
    if isinstance(teacher, recipe.OpenAITeacher | ReplayTeacher):
        return teacher
    from tracegen.teachers import weights

    try:
        folder = weights.resolve(teacher.model, teacher.revision, base)
    except TeacherError as error:
        raise UserError(str(error)) from error
    elicit = teacher.elicit
    if elicit.mode != "native" or elicit.prefilled or elicit.open not in _template(folder):
        return teacher
    if not _prompt_of(folder).rstrip().endswith(elicit.open):
        return teacher
    return msgspec.structs.replace(teacher, elicit=msgspec.structs.replace(elicit, prefilled=True))


def _template(folder: Path) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    settings = folder / "tokenizer_config.json"
    found = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    return str(found.get("chat_template") or "")


def _prompt_of(folder: Path) -> str:
    """What the model's chat template makes of a question; it is rendered in transformers' sandbox."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    turns = [{"role": "user", "content": "Hello"}]
    return str(tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))


def _usable(side: SideName, settings: Recipe, problems: Sequence[Problem], base: Path) -> None:
    """Find out whether a side can be asked, without asking. Raises UserError."""
    Plan(settings, base)
    teacher = settings.teacher
    try:
        match teacher:
            case recipe.OpenAITeacher():
                asyncio.run(_ready(teacher, side, base))
            case ReplayTeacher():
                _covers(side, teacher, problems, base)
                asyncio.run(_ready(teacher, side, base))
            case _:
                pass  # its weights are there, and loading two engines at once would be too much
    except TeacherError as error:
        raise UserError(str(error)) from error


async def _ready(teacher: Teacher, side: SideName, base: Path) -> None:
    opened = open_teacher(teacher, label=side, base=base)
    try:
        await opened.ready()
    finally:
        await opened.aclose()


def _covers(side: SideName, teacher: ReplayTeacher, problems: Sequence[Problem], base: Path) -> None:
    """Raises UserError where a recorded run was asked other problems, or fewer samples of them."""
    folder = base / teacher.path
    if not (folder / FILE).is_file():
        return
    with Store(folder, write=False) as store:
        lacking = [p for p in problems if len(store.requests_of(p.id)) < teacher.n]
    if lacking:
        raise UserError(
            f"{side}: {teacher.path} was asked other problems or fewer samples: {len(lacking)} of "
            f"{len(problems)} are not in it {teacher.n} times - evaluate it on these, or name the model"
        )


def _different(sides: Mapping[SideName, Recipe], base: Path) -> None:
    """Raises UserError where both sides would be asked the very same."""
    if len(sides) < 2:
        return
    plans = [Plan(settings, base) for settings in sides.values()]
    asked = [(plan.digests, plan.recipe.teacher.sampling, plan.recipe.teacher.prompts) for plan in plans]
    if asked[0] == asked[1]:
        raise UserError(
            "the model and its base are the same, asked the same - name another, or change one of them, "
            "such as --set evaluate.base.sampling.temperature=1.0"
        )


# --- training data -----------------------------------------------------------------------------------


def _overlap(
    settings: Student, model: str, base: Path, questions: Mapping[str, str]
) -> tuple[tuple[TrainSource, ...], dict[str, Overlap] | None, tuple[str, ...]]:
    """The training data, the problems that are in it, and a note where it is known but not to be had.

    Raises UserError where data that the user named cannot be read.
    """
    named = tuple(TrainSource(path=path) for path in settings.evaluate.trained_on)
    of_recipe = tuple(source for source in (settings.train.data if settings.train else ()) if source.path)
    sources = named or of_recipe or _of_student(base / model)
    if not sources:
        return (), None, ()
    try:
        trained = (question for source in sources for question in trained_questions(source, base))
        return sources, overlaps(questions, trained), ()
    except UserError as error:
        if named:
            raise
        why = _first_line(error)
        return (), None, (f"what the student was trained on cannot be read: {why} - name it: --trained-on",)


def _of_student(folder: Path) -> tuple[TrainSource, ...]:
    """The training data that the recipe in a student's directory names, found from there or from here."""
    for place in (folder, folder.parent):
        file = place / "recipe.toml"
        if file.is_file() and not (folder / FILE).is_file() and (folder / "config.json").is_file():
            train = student.load(file).train
            return tuple(
                msgspec.structs.replace(source, path=_found(source.path, place))
                for source in (train.data if train else ())
            )
    return ()


def _found(path: str, place: Path) -> str:
    for folder in (place, Path()):
        if path and (folder / path).exists():
            return str((folder / path).resolve())
    return path


def _plain_name(text: str) -> str:
    """A name for a directory, of a model's name or path."""
    name = ENDPOINT.sub(r"\1", text).rstrip("/").rpartition("/")[2]
    name = NAME.sub("-", name.removesuffix(".jsonl").removesuffix(".parquet")).strip("-._")
    return name or "model"
