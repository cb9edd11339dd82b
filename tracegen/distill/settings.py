"""What the rounds of a recipe are: who samples each, what is trained on what, and where it lies.

Everything that the user can get wrong is found out here, before anything is asked: the training is rehearsed
on a made-up row, and the text that later rounds ask with has to be the beginning of the text that is trained.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from tracegen import problems as reading
from tracegen import prompts, run, student
from tracegen import recipe as recipes
from tracegen.data import Problem, Struct, digest
from tracegen.errors import RecipeError, TeacherError, UserError
from tracegen.evaluate.settings import OneTeacher, merged, read_sets
from tracegen.plan import Plan
from tracegen.recipe import LocalTeacher, Recipe, Teacher, TransformersTeacher, VllmTeacher, kind
from tracegen.student import Student, Train, TrainSource
from tracegen.teachers import open_teacher
from tracegen.teachers.forced import started

IN_PROCESS = LocalTeacher | VllmTeacher | TransformersTeacher
EVERY_TEACHER = ("n", "sampling", "stop_after", "retry_max_tokens")
SHOWN = 60
"""Characters of a text that a message quotes."""


class Task(Struct, frozen=True):
    """Everything that the rounds need."""

    recipe: Recipe
    student: Student
    train: Train
    """Of `student`; a source without a path stands for the rounds' runs."""
    base: Path
    """Folder that the paths are relative to."""
    directory: Path
    rounds: int
    problems: tuple[Problem, ...]
    prefilled: bool
    """The student's chat template opens the thinking."""

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def evaluates(self) -> bool:
        """The recipe has problems to evaluate on."""
        return bool(self.student.evaluate.problems)

    def label(self, number: int) -> str:
        """Name of a round's run, student and evaluation."""
        return f"{self.name}-{number}"

    def run(self, number: int) -> Path:
        """Run directory of a round."""
        return self.directory / "runs" / self.label(number)

    def home(self, number: int) -> Path:
        """Directory of the student that a round has trained."""
        return self.directory / "students" / self.label(number)

    def evaluation(self, number: int) -> Path:
        """Directory of a round's evaluation."""
        return self.directory / "evaluations" / self.label(number)

    @property
    def base_run(self) -> Path:
        """Run directory of the base, which is asked once for the evaluations of all rounds."""
        return self.directory / "evaluations" / "base"


def prepare(
    path: Path, overrides: tuple[str, ...], rounds: int, output: Path | None, *, rewrite: bool = False
) -> Task:
    """The task of a recipe. Raises UserError for whatever cannot be used; nothing is spent.

    With `rewrite` each round's verified traces are written again by the teacher of `[rewrite]`, and the
    config `compact` is trained on where a source names none; without it nothing is rewritten.
    """
    tree = recipes.read(path, overrides)
    for table, why in (
        ("problems", "what the rounds ask"),
        ("teacher", "who samples the first round"),
        ("train", "the student's model"),
    ):
        if not tree.get(table):
            raise RecipeError(f"{path}: has no [{table}] table - distill needs it: {why}")
    recipe = recipes.from_tree(tree, str(path))
    settings = student.of_recipe(tree, path)
    assert settings.train is not None  # noqa: S101 - there is a [train] table
    train = msgspec.structs.replace(settings.train, repeated="drop")
    if rewrite and recipe.rewrite is None:
        raise RecipeError(f"{path}: has no [rewrite] table - --rewrite needs it: the teacher who rewrites")
    if rewrite:
        train = msgspec.structs.replace(train, data=tuple(map(_compact, train.data)))
    _refuse_unfit(settings, train, path)
    problems = reading.load(recipe.problems, path.parent).problems
    task = Task(
        recipe=msgspec.structs.replace(
            recipe, output="", train={}, evaluate={}, distill={}, rewrite=recipe.rewrite if rewrite else None
        ),
        student=settings,
        train=train,
        base=path.parent,
        directory=(output or Path("distilled") / recipe.name).resolve(),
        rounds=rounds,
        problems=problems,
        prefilled=False,
    )
    if task.evaluates:
        read_sets(settings.evaluate, task.base)
    Plan(recipe, task.base)
    return msgspec.structs.replace(task, prefilled=_rehearsed(task))


def recipe_of(task: Task, number: int) -> Recipe:
    """The recipe of a round's run: the first one's teacher is the recipe's, a later one's the student."""
    teacher = task.recipe.teacher if number == 1 else asked_student(task, number - 1)
    return msgspec.structs.replace(task.recipe, name=task.label(number), teacher=teacher)


def asked_student(task: Task, number: int) -> Teacher:
    """The student of a round as the teacher of the next one.

    It is asked as `[teacher]` is, by the same engine where that is in this process, but with the prompt that
    it is trained with, and without a sentence that asks for tags, which it has learnt to write by itself.
    Raises RecipeError.
    """
    teacher = task.recipe.teacher
    local = isinstance(teacher, IN_PROCESS)
    given = msgspec.to_builtins(teacher)
    mode = "forced" if teacher.elicit.mode == "forced" else "native"
    tree: dict[str, Any] = {
        **({key: value for key, value in given.items() if local}),
        **{key: given[key] for key in EVERY_TEACHER},
        "kind": kind(teacher) if local else "local",
        "model": str(task.home(number)),
        "revision": "",
        "elicit": {"mode": mode, "open": task.train.open, "close": task.train.close},
        "prompts": dict.fromkeys(_domains(task), task.train.prompt) if task.train.prompt else {},
    }
    tree = merged(tree, task.student.distill.student)
    made = recipes.checked({"teacher": tree}, OneTeacher, "distill.student").teacher
    if task.prefilled and made.elicit.mode == "native":
        made = msgspec.structs.replace(made, elicit=msgspec.structs.replace(made.elicit, prefilled=True))
    return made


def settings_of(task: Task, number: int) -> Student:
    """The student of a round: what it is trained on, and on what it is evaluated.

    The sources that have no path become the runs of the rounds so far, or that of this one alone.
    """
    distill = task.student.distill
    first = 1 if distill.data == "all" else number
    runs = [task.run(one) for one in range(first, number + 1)]
    data: list[TrainSource] = []
    for source in task.train.data:
        if source.path:
            data.append(source)
            continue
        own = [one for one in runs if _has_rows(one, source)]
        share = source.share / max(len(own), 1)
        data += [msgspec.structs.replace(source, path=str(one), share=share) for one in own]
    train = msgspec.structs.replace(task.train, data=tuple(data))
    if distill.start == "last" and number > 1:
        train = msgspec.structs.replace(train, model=str(task.home(number - 1)), revision="")
    evaluate = msgspec.structs.replace(
        task.student.evaluate,
        model=str(task.home(number)),
        against=task.student.evaluate.against or task.train.model,
    )
    return Student(name=task.label(number), verify=task.student.verify, train=train, evaluate=evaluate)


def trains_on_itself(settings: Student) -> bool:
    """A round has left a verified trace to train on."""
    data = settings.train.data if settings.train else ()
    return any((Path(source.path) / run.DATASET).is_dir() for source in data)


def fingerprint(task: Task, number: int, last: str) -> str:
    """Digest of all that a round's run and student depend on; `last` is that of the last round's student."""
    recipe = recipe_of(task, number)
    plan = Plan(recipe, task.base)
    first = task.problems[0]
    asked = []
    for rules in plan.stages:
        request = plan.ask(first, rules.stage, 0, rules.max_tokens)
        own = last if rules.stage == "first" and number > 1 else request.teacher
        asked.append((own, request.messages, request.prefill, request.sampling, rules))
    told = [
        (plan.digests[stage], model.sampling, model.n, sorted(model.prompts.items()))
        for stage, model in plan.models.items()
        if stage in ("judge", "rewrite")
    ]
    verify = msgspec.to_builtins(recipe.verify)
    for key in ("workers", "memory_mb", "judge"):
        verify.pop(key)
    for key in ("containers", "reuse", "runtime"):
        verify["code"].pop(key)
    train = msgspec.structs.replace(task.train, monitor=student.Monitor(), report_to=(), save_every=0)
    return digest(
        "round",
        [problem.id for problem in task.problems],
        asked,
        told,
        verify,
        recipe.flags,
        recipe.select,
        recipe.publish.test_share,
        msgspec.to_builtins(train),
        (task.student.distill.start, task.student.distill.data),
    )


# --- refusals ----------------------------------------------------------------------------------------


def _refuse_unfit(settings: Student, train: Train, path: Path) -> None:
    """Raises RecipeError where the tables do not go together."""
    own = settings.distill.student
    said = {
        "train.data: no source is the run itself - leave out the path of one": all(
            source.path for source in train.data
        ),
        "train.lora.merge: an adapter alone cannot sample the next round - leave it true": (
            train.lora is not None and not train.lora.merge
        ),
        "evaluate.model: distill evaluates the student of each round - leave it out": (
            settings.evaluate.model != ""
        ),
        "distill.student.prompts: a student is asked with the prompt it is trained with - set train.prompt": (
            "prompts" in own
        ),
        "distill runs in one process - start it without accelerate launch": (
            int(os.environ.get("WORLD_SIZE") or 1) > 1
        ),
        "distill.student.model: it is the student of the round - leave it out": "model" in own,
    }
    for text, wrong in said.items():
        if wrong:
            raise RecipeError(f"{path}: {text}")
    asked = own.get("kind", "local")
    if asked not in ("local", "vllm", "transformers"):
        raise RecipeError(f"{path}: distill.student.kind: {asked!r} cannot load a student - take local")


def _rehearsed(task: Task) -> bool:
    """Find out whether the student can be trained and asked; whether its template opens the thinking.

    Raises UserError.
    """
    from tracegen.teachers import weights
    from tracegen.teachers.transformers import render
    from tracegen.train import checks, loading, saving, sources, training
    from tracegen.train.prepare import Maker, prepare
    from tracegen.train.render import load_tokenizer

    train = msgspec.structs.replace(task.train, max_tokens=1 << 20, row_weights=())
    loading.refuse_unable(train)
    tokenizer = load_tokenizer(train, task.base)
    if isinstance(train.method, student.Kd):
        _refuse_without_distribution(task, tokenizer)
        train = msgspec.structs.replace(train, method=student.Sft())  # a made-up row has no distribution
    first = {problem.domain: problem for problem in reversed(task.problems)}
    rows = [
        sources.Row(
            id=domain,
            problem=problem.id,
            source="rehearsal",
            turns=sources.asked(problem, domain, train, task.base),
            thinking="One and one is two.",
            answer="It is 2.",
        )
        for domain, problem in first.items()
    ]
    stages = train.stages or (None,)
    made = tuple(prepare(train, tokenizer, _tasks(rows, train), stage) for stage in stages)
    data = training.Data(made, tuple(one.examples for one in made), ())
    checks.refuse(training.data_findings(train, tokenizer, data, task.base))
    template = Maker(train, tokenizer).template({})
    prefilled = template.treatment.supplies == "open"
    asked = msgspec.structs.replace(task, prefilled=prefilled)
    teacher = asked_student(asked, 1)
    open_teacher(teacher, label="student", base=task.base)
    try:
        _fits(teacher, weights.resolve(train.model, train.revision, task.base))
    except TeacherError as error:
        raise UserError(str(error)) from None
    plan = Plan(msgspec.structs.replace(task.recipe, teacher=teacher), task.base)
    tokenizer.chat_template = saving.served_template(tokenizer.chat_template, train.template_options)
    for row, problem in zip(rows, first.values(), strict=True):
        request = plan.ask(problem, "first", 0, teacher.sampling.max_tokens)
        served, trained = started(render(tokenizer, request), request.prefill), template.render(row).text
        if not trained.startswith(served):
            raise UserError(_unlike(served, trained, task))
    return prefilled


def _refuse_without_distribution(task: Task, tokenizer: Any) -> None:
    """Raises UserError where `[teacher]` keeps no distribution, or one over other tokens."""
    from tracegen.teachers.distribution import tokenizer_hash
    from tracegen.train.render import load_tokenizer

    teacher = task.recipe.teacher
    if not getattr(teacher, "logprobs", 0):
        raise UserError('teacher.logprobs: train.method.kind = "kd" learns from them - set it, such as to 20')
    named = getattr(teacher, "tokenizer", "") or teacher.model
    theirs = msgspec.structs.replace(task.train, model=named, revision=getattr(teacher, "revision", ""))
    if tokenizer_hash(load_tokenizer(theirs, task.base)) != tokenizer_hash(tokenizer):
        raise UserError(
            f"teacher.logprobs: {named} has another tokenizer than {task.train.model} - "
            'take a teacher of its family, or set train.method.kind = "sft"'
        )


def _tasks(rows: list[Any], train: Train) -> list[Any]:
    from tracegen.train import training

    if not isinstance(train.method, student.StepByStep):
        return rows
    return [one for row in rows for one in training.tasks(row, train.method)]


def _unlike(served: str, trained: str, task: Task) -> str:
    """What to say where the next round would ask otherwise than is trained."""
    same = next((at for at in range(len(served)) if served[at] != trained[at : at + 1]), 0)
    line = max(served.rfind("\n", 0, same) + 1, same - SHOWN)
    here, there = (text[line : same + SHOWN] for text in (served, trained))
    named = [task.train.prompt] if task.train.prompt else _domains(task)
    remedy = (
        "set train.prompt to one without worked examples, such as bare"
        if any(prompts.load(name, task.base).examples for name in named)
        else "leave distill.student.elicit out, or set train.open and train.close"
    )
    return f"distill.student: would be asked {here!r} where it is trained on {there!r} - {remedy}"


def _fits(teacher: Teacher, folder: Path) -> None:
    """Raises UserError where the student's context is smaller than what it may write."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    context = config.get("max_position_embeddings")
    most = max(teacher.sampling.max_tokens, teacher.retry_max_tokens)
    if isinstance(context, int) and most >= context:
        raise UserError(
            f"distill.student: may write {most} tokens in a context of {context} - "
            "set distill.student.sampling.max_tokens"
        )


def _compact(source: TrainSource) -> TrainSource:
    """The source with the config of rewrites, if it is the run itself and names none."""
    own = not source.path and not source.config
    return msgspec.structs.replace(source, config="compact") if own else source


def _domains(task: Task) -> list[str]:
    return sorted({problem.domain for problem in task.problems})


def _has_rows(directory: Path, source: TrainSource) -> bool:
    """A run has rows of a source's config and split."""
    folder = directory / run.DATASET / "data" / (source.config or "verified")
    return any(folder.glob(f"{source.split}-*.parquet"))
