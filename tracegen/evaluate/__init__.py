"""A student against its base: the pipeline's teachers and verifier, one run directory a side.

    settings, base = settings_of(model, against, sets, changes, overrides)
    evaluation, stopped = evaluate(prepare(settings, base, output), watch)

An evaluation is a directory `evaluations/NAME` with the runs `model` and `base`, which resume like every
run and pay for nothing twice, and what is made of them: `results.json`, `report.html` and the files for
other harnesses. Everything but the runs can be made again from them without a token.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from tracegen import __version__, files, run
from tracegen.data import Struct
from tracegen.errors import TeacherError
from tracegen.evaluate import compare, handoff, page
from tracegen.evaluate.items import Item, Tokens, read_items
from tracegen.evaluate.results import Evaluation, Side
from tracegen.evaluate.settings import SideName, Task, prepare, read_sets, settings_of
from tracegen.plan import Plan
from tracegen.policy import FINAL
from tracegen.recipe import LocalTeacher, Recipe, TransformersTeacher, VllmTeacher, kind
from tracegen.store import Store

RESULTS, PAGE = "results.json", "report.html"


class Asked(Struct, frozen=True):
    """How the asking of one side ended."""

    answers: dict[str, Item]
    side: Side
    stopped: bool
    not_asked: int


def evaluate(task: Task, watch: run.Watcher) -> tuple[Evaluation, bool]:
    """Ask what is owed on either side, compare, and write the results; also whether it was interrupted.

    Raises UserError before anything is asked, and TeacherError if a teacher can answer nothing more.
    """
    asked: dict[SideName, Asked] = {}
    for note in task.notes:
        watch.note(note)
    for one in task.sets:
        if one.merged:
            watch.note(f"{one.name}: {one.merged} rows say the same as an earlier one and count once")
    for side, settings in task.sides.items():
        watch.note(f"{side}: {settings.teacher.model or kind(settings.teacher)}")
        asked[side] = _ask(side, settings, task, watch)
        if asked[side].stopped:
            break
    stopped = any(one.stopped for one in asked.values())
    evaluation = _compared(task, asked)
    if not stopped:
        _write(task, evaluation)
    return evaluation, stopped


def to_json(evaluation: Evaluation) -> bytes:
    """The evaluation as JSON, for a machine."""
    return msgspec.json.format(msgspec.json.encode(evaluation))


def _compared(task: Task, asked: dict[SideName, Asked]) -> Evaluation:
    answers = {side: one.answers for side, one in asked.items()}
    found = compare.rows_of(task.sets, answers)
    return Evaluation(
        name=task.name,
        version=__version__,
        sides={side: one.side for side, one in asked.items()},
        groups=compare.groups(found, task.overlap, base="base" in asked),
        thinking=compare.thinking(found, list(asked)),
        changes=compare.changes(found),
        not_asked=max(one.not_asked for one in asked.values()),
        trained_on=task.trained_on,
        by_base_rate=not any(one.difficulty for one in task.sets),
    )


def _ask(side: SideName, settings: Recipe, task: Task, watch: run.Watcher) -> Asked:
    problems = tuple({p.id: p for one in task.sets for p in one.problems}.values())
    plan = Plan(settings, task.base)
    teacher = settings.teacher
    with Store(task.run(side)) as store:
        sampling = run.answer(plan, store, problems, task.base, watch)
        answers = read_items(store, plan, task.verify, _tokens(settings, task.base))
        verifier = store.verifier()
        checks = [store.check(problem.id, verifier) for problem in problems]
        not_asked = sum(check is not None and check.outcome != "correct" for check in checks)
        failures = store.failures()
        missing = sum(count for cause, count in failures.items() if cause in FINAL)
    said = Side(
        model=teacher.model,
        engine=kind(teacher),
        revision=teacher.revision,
        n=teacher.n,
        sampling=teacher.sampling,
        thinking=teacher.elicit.mode,
        prompts=teacher.prompts,
        run=os.path.relpath(task.run(side), task.directory),
        owed=failures.total() - missing,
        missing=missing,
        undecided=sampling.undecided,
    )
    return Asked(answers, said, sampling.stopped, not_asked)


def _tokens(settings: Recipe, base: Path) -> Tokens | None:
    """Counts tokens as the model's tokenizer does, where the model is on this machine."""
    match settings.teacher:
        case VllmTeacher() | TransformersTeacher() | LocalTeacher():
            return _counter(settings.teacher.model, settings.teacher.revision, base)
        case _:
            return None


def _counter(model: str, revision: str, base: Path) -> Callable[[str], int] | None:
    from tracegen.teachers import weights

    try:
        folder = weights.resolve(model, revision, base)
    except TeacherError:  # everything was answered before, and the Hub is away now
        return None
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False)) if text else 0


def _write(task: Task, evaluation: Evaluation) -> None:
    handoff.write(task, evaluation)
    files.replace(task.directory / PAGE, page.render(evaluation).encode())
    files.replace(task.directory / RESULTS, to_json(evaluation))


__all__ = ["Evaluation", "Task", "evaluate", "prepare", "read_sets", "settings_of", "to_json"]
