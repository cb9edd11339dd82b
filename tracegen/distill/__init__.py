"""Rounds: build, train, evaluate, and the student that was trained samples the next round.

    task = prepare(path, overrides, rounds, output)
    curve, ended = distill(task, watch)

    distilled/NAME/  runs/NAME-1  students/NAME-1  evaluations/NAME-1  rounds/1.json  curve.json  report.html

Each round is a run, a student and an evaluation as `build`, `train` and `evaluate` make them, and resumes as
these do. `rounds/K.json` is written last: a round that has it is not done again. What anybody but the round's
own teacher was asked in an earlier round, to the letter, is taken from there. All rounds ask the same
problems.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Literal

import msgspec

from tracegen import __version__, estimate, files, run
from tracegen import evaluate as evaluating
from tracegen.data import Struct, digest
from tracegen.distill import curve as curves
from tracegen.distill import page
from tracegen.distill.curve import Curve, Evaluated, Round
from tracegen.distill.settings import (
    Task,
    asked_student,
    fingerprint,
    prepare,
    recipe_of,
    settings_of,
    trains_on_itself,
)
from tracegen.errors import InfraError, UserError
from tracegen.recipe import kind
from tracegen.store import Store
from tracegen.teachers import weights
from tracegen.train import saving

CURVE, PAGE = "curve.json", "report.html"
Ended = Literal["done", "stopped", "owed"]
"""Everything is done; interrupted; or something is owed, or a monitor has stopped a training."""


class Mark(Struct, frozen=True):
    """That a round is done."""

    settings: str
    """Digest of all that its run and student depend on."""
    student: str
    """Digest of its student's files."""
    evaluation: str
    """Digest of the `[evaluate]` that it was evaluated with; empty without one."""
    round: Round


class Outcome(Struct, frozen=True):
    """How a round ended: its mark, or why there is none."""

    mark: Mark | None = None
    ended: Ended = "done"


def distill(task: Task, watch: run.Watcher) -> tuple[Curve, Ended]:
    """Do the rounds that are not done yet; the curve over those that are, and how it ended.

    Raises UserError before anything is spent, TeacherError if a teacher can answer nothing more, and
    InfraError where a round has verified nothing that could be trained on.
    """
    marks: list[Mark] = []
    outcome = Outcome()
    for number in range(1, task.rounds + 1):
        outcome = _round(task, number, marks, watch)
        if outcome.mark is None:
            break
        marks.append(outcome.mark)
    found = Curve(task.name, __version__, task.train.model, tuple(mark.round for mark in marks))
    if marks:
        files.replace(task.directory / CURVE, curves.to_json(found))
        files.replace(task.directory / PAGE, page.render(found).encode())
    return found, outcome.ended


def plan(task: Task) -> str:
    """What the rounds would ask and train, for a reader; nothing is spent."""
    lines = []
    for number in range(1, task.rounds + 1):
        done = " (done)" if _read_mark(task, number) else ""
        lines.append(f"round {number}{done}: {task.run(number)}")
        if number == 1 or task.home(number - 1).is_dir():
            found = estimate.estimate(recipe_of(task, number), task.base, task.run(number))
            lines += [f"  {line}" for line in estimate.to_text(found).splitlines()[1:]]
        else:
            teacher = asked_student(task, number - 1)
            lines.append(
                f"      first: {teacher.model} ({kind(teacher)}, {teacher.elicit.mode}): at most "
                f"{len(task.problems) * teacher.n} requests"
            )
        start = task.home(number - 1) if task.student.distill.start == "last" and number > 1 else ""
        data = "rounds 1 to" if task.student.distill.data == "all" and number > 1 else "round"
        lines.append(f"      train: {start or task.train.model} on {data} {number}")
    return "\n".join(lines)


# --- a round -----------------------------------------------------------------------------------------


def _round(task: Task, number: int, marks: list[Mark], watch: run.Watcher) -> Outcome:
    last = marks[-1].student if marks else ""
    settings = fingerprint(task, number, last)
    mark = _read_mark(task, number)
    if mark is not None and mark.settings != settings:
        raise UserError(
            f"{task.run(number)}: round {number} is done, with another recipe or after another student - "
            f"give another --output, or delete {_mark_file(task, number)} and all later ones"
        )
    if mark is None:
        if number > 1:
            _intact(task, number - 1, last)
        watch.note(f"round {number} of {task.rounds}: {_who(task, number)} is asked")
        ended = _build(task, number, watch)
        if ended != "done":
            return Outcome(ended=ended)
        state = _train(task, number, watch)
        trained = curves.trained(task.home(number), state)
        sampled = curves.sampled(task.run(number))
        student = weights.fingerprint(task.home(number))
        if state.status == "stopped":
            watch.note(f"round {number}: its monitor stopped the training: {state.warnings[-1]}")
            return Outcome(ended="owed")
    else:
        trained, sampled, student = mark.round.trained, mark.round.sampled, mark.student
    wanted = _evaluation_digest(task)
    evaluated: tuple[Evaluated, ...] = mark.round.evaluated if mark else ()
    if mark is None or mark.evaluation != wanted:
        if mark is not None:
            _intact(task, number, student)
        evaluated, ended = _evaluate(task, number, watch)
        if ended != "done":
            return Outcome(ended=ended)
    done = Round(
        number=number,
        teacher=_who(task, number),
        run=_below(task, task.run(number)),
        student=_below(task, task.home(number)),
        evaluation=_below(task, task.evaluation(number)) if task.evaluates else "",
        sampled=sampled,
        trained=trained,
        evaluated=evaluated,
    )
    made = Mark(settings, student, wanted, done)
    if made != mark:
        file = _mark_file(task, number)
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, msgspec.json.format(msgspec.json.encode(made)))
    return Outcome(made)


def _build(task: Task, number: int, watch: run.Watcher) -> Ended:
    asyncio.run(_carry_over(task, number))
    built = run.build(recipe_of(task, number), task.base, task.run(number), watch)
    if built.stopped:
        return "stopped"
    if built.failed or built.undecided:
        watch.note(f"round {number}: {built.failed} requests and {built.undecided} verdicts are owed")
        return "owed"
    return "done"


async def _carry_over(task: Task, number: int) -> None:
    """Keep what second teacher, rewriter and judge have said in earlier rounds: it is not paid for again."""
    recipe = task.recipe
    if number == 1 or not (recipe.recovery or recipe.verify.judge or recipe.rewrite):
        return
    with Store(task.run(number)) as store:
        for earlier in range(1, number):
            with Store(task.run(earlier), write=False) as other:
                for problem in other.problems():
                    asked = [one for one in other.requests_of(problem.id) if one.stage != "first"]
                    known = [(one, found) for one in asked if (found := other.response(one.id))]
                    if known:
                        await store.adopt(known)


def _train(task: Task, number: int, watch: run.Watcher) -> saving.State:
    from tracegen.train import training

    settings = settings_of(task, number)
    if not trains_on_itself(settings):
        raise InfraError(
            f"round {number}: no trace of it can be trained on - see "
            f"`tracegen status {task.run(number)}`; raise teacher.n, or take easier problems"
        )
    watch.note(f"round {number} of {task.rounds}: {task.home(number)} is trained")
    state = training.train(settings, task.base, task.home(number), watch.note).state
    assert state is not None  # noqa: S101 - it is None for a check only
    return state


def _evaluate(task: Task, number: int, watch: run.Watcher) -> tuple[tuple[Evaluated, ...], Ended]:
    if not task.evaluates:
        return (), "done"
    watch.note(f"round {number} of {task.rounds}: {task.home(number)} is evaluated")
    one = evaluating.prepare(
        settings_of(task, number), task.base, task.evaluation(number), base_run=task.base_run
    )
    found, stopped = evaluating.evaluate(one, watch)
    if stopped:
        return (), "stopped"
    owed = sum(side.owed + side.undecided for side in found.sides.values())
    if owed:
        watch.note(f"round {number}: {owed} answers or verdicts of its evaluation are owed")
        return (), "owed"
    return curves.evaluated(found), "done"


# --- what is known of a round ------------------------------------------------------------------------


def _who(task: Task, number: int) -> str:
    if number > 1:
        return task.label(number - 1)
    teacher = task.recipe.teacher
    return teacher.model or kind(teacher)


def _intact(task: Task, number: int, student: str) -> None:
    """Raises UserError where the student of a finished round is gone, or is not what was trained."""
    folder = task.home(number)
    if not folder.is_dir() or weights.fingerprint(folder) != student:
        what, too = ("has been changed", "it and ") if folder.is_dir() else ("is gone", "")
        raise UserError(
            f"{folder}: the student of round {number} {what} - put it back, or delete {too}"
            f"{_mark_file(task, number)} to train it again"
        )


def _evaluation_digest(task: Task) -> str:
    if not task.evaluates:
        return ""
    sets = evaluating.read_sets(task.student.evaluate, task.base)
    problems = [problem.id for one in sets for problem in one.problems]
    return digest("evaluation", msgspec.to_builtins(task.student.evaluate), problems)


def _read_mark(task: Task, number: int) -> Mark | None:
    file = _mark_file(task, number)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        raise UserError(f"{file}: cannot be read - delete it, and the round is gone through again") from None


def _mark_file(task: Task, number: int) -> Path:
    return task.directory / "rounds" / f"{number}.json"


def _below(task: Task, path: Path) -> str:
    return os.path.relpath(path, task.directory)


__all__ = ["Curve", "Task", "asked_student", "distill", "plan", "prepare", "settings_of"]
