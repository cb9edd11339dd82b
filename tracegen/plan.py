"""The plan of a run: what the recipe's teachers would be asked, known before anything is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tracegen import prompts, teachers
from tracegen.data import Problem, Request, Stage
from tracegen.policy import Attempt, Rules
from tracegen.recipe import Elicit, Recipe, Teacher
from tracegen.select import choose, length

COMPACT = Elicit(mode="tagged", open="<compact>", close="</compact>")
"""How a teacher with a thinking of its own is asked for that of a rewrite."""


class Plan:
    """The recipe's teachers and prompts, read once, and the requests that follow from them."""

    def __init__(self, recipe: Recipe, base: Path) -> None:
        """Read the prompts (paths relative to `base`). Raises UserError if one cannot be used."""
        self.recipe = recipe
        self.teachers: dict[Stage, Teacher] = {"first": recipe.teacher}
        if recipe.recovery is not None:
            self.teachers["recovery"] = recipe.recovery
        self.stages = tuple(_rules(stage, teacher) for stage, teacher in self.teachers.items())
        if recipe.rewrite is not None:
            self.teachers["rewrite"] = recipe.rewrite
        self.models = dict(self.teachers)
        """Whoever is asked: the teachers, and the judge if there is one."""
        if recipe.verify.judge is not None:
            self.models["judge"] = recipe.verify.judge
        digest = teachers.teacher_digest
        self.digests = {stage: digest(teacher, base) for stage, teacher in self.models.items()}
        self._base = base
        self._prompts: dict[str, prompts.Prompt] = {}
        for teacher in self.models.values():
            for named in teacher.prompts.values():
                self._prompt(named)

    @property
    def judge(self) -> Teacher | None:
        """Who is asked where the verifier is undecided."""
        return self.models.get("judge")

    def ask(self, problem: Problem, stage: Stage, index: int, max_tokens: int) -> Request:
        """The request for sample `index` of a problem in a stage."""
        model = self.models[stage]
        prompt = self._prompt(model.prompts.get(problem.domain, problem.domain))
        messages, prefill = prompts.render(prompt, problem, model.elicit)
        sampling = msgspec.structs.replace(model.sampling, max_tokens=max_tokens)
        return Request(problem.id, self.digests[stage], stage, messages, prefill, sampling, index)

    def rewrites(self, problem: Problem, attempts: Sequence[Attempt]) -> tuple[Request, ...]:
        """The requests that rewrite the traces of a problem that are kept, without those of other problems.

        The teacher is told problem, thinking and answer, and never the reference. One that thinks by itself
        is asked to put what it writes between tags of ours, apart from its own thinking.
        """
        model = self.recipe.rewrite
        if model is None:
            return ()
        judged = [one for one in attempts if one.verdict is not None and one.trace is not None]
        choices = choose(judged, self.recipe.select)
        kept = [one for one, choice in zip(judged, choices, strict=True) if choice.status == "accepted"]
        several = range(model.n)
        return tuple(self._rewrite(problem, model, one, n) for one in kept if length(one) for n in several)

    def _rewrite(self, problem: Problem, model: Teacher, attempt: Attempt, index: int) -> Request:
        trace = attempt.trace
        assert trace is not None  # noqa: S101 - only answered attempts are rewritten
        question = prompts.question_of(problem)
        parts = (("Problem", question), ("Reasoning", trace.thinking), ("Answer", trace.answer))
        told = "\n\n".join(f"{name}:\n{text.strip()}" for name, text in parts)
        elicit = COMPACT if model.elicit.mode == "native" else model.elicit
        prompt = self._prompt(model.prompts.get("rewrite", "rewrite"))
        messages, prefill = prompts.chat(prompt, told, elicit)
        digest, source = self.digests["rewrite"], attempt.request.id
        return Request(problem.id, digest, "rewrite", messages, prefill, model.sampling, index, source)

    def ask_judge(self, problem: Problem, sides: str) -> Request:
        """The request for the judge's word on a reference and an answer, written in `sides`."""
        model = self.models["judge"]
        messages, prefill = prompts.chat(
            self._prompt(model.prompts.get("judge", "judge")), sides, model.elicit
        )
        return Request(problem.id, self.digests["judge"], "judge", messages, prefill, model.sampling, 0)

    def _prompt(self, named: str) -> prompts.Prompt:
        if named not in self._prompts:
            self._prompts[named] = prompts.load(named, self._base)
        return self._prompts[named]


def relocate(recipe: Recipe, base: Path, home: Path) -> Recipe:
    """The same recipe with the files that it names relative to `base` named relative to `home`."""

    def moved(path: str) -> str:
        return os.path.relpath(base / path, home) if path and (base / path).exists() else path

    def teacher(settings: Teacher) -> Teacher:
        changes: dict[str, Any] = {
            "prompts": {domain: moved(name) for domain, name in settings.prompts.items()},
            "model": moved(settings.model),
        }
        if hasattr(settings, "path"):
            changes["path"] = moved(settings.path)
        return msgspec.structs.replace(settings, **changes)

    return msgspec.structs.replace(
        recipe,
        problems=tuple(
            msgspec.structs.replace(source, path=moved(source.path)) for source in recipe.problems
        ),
        teacher=teacher(recipe.teacher),
        recovery=recipe.recovery and teacher(recipe.recovery),
        rewrite=recipe.rewrite and teacher(recipe.rewrite),
        verify=msgspec.structs.replace(
            recipe.verify, judge=recipe.verify.judge and teacher(recipe.verify.judge)
        ),
    )


def _rules(stage: Stage, teacher: Teacher) -> Rules:
    return Rules(stage, teacher.n, teacher.sampling.max_tokens, teacher.stop_after, teacher.retry_max_tokens)
