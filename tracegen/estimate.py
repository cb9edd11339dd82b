"""What a build would ask and cost at most, worked out from the recipe and what is stored."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tracegen import problems as reading
from tracegen.data import Problem, Stage, Struct
from tracegen.plan import Plan
from tracegen.policy import next_requests
from tracegen.recipe import OpenAITeacher, Recipe
from tracegen.sample import read_attempts
from tracegen.store import FILE, Store


class StageEstimate(Struct, frozen=True):
    """One teacher's share."""

    teacher: str
    owed_now: int
    """Requests that would be sent next."""
    at_most: int
    """Requests if every problem needs all samples (and, for recovery, all of them fail first; for the
    judge, the verifier is undecided on each; for a rewrite, all of one teacher's samples are accepted)."""
    completion_tokens_at_most: int
    usd_at_most: float
    """Of completions, at the recipe's prices; prompts come on top."""


class Estimate(Struct, frozen=True):
    """The plan of a recipe."""

    name: str
    problems: int
    merged: int
    domains: dict[str, int]
    stages: dict[str, StageEstimate]


def estimate(recipe: Recipe, base: Path, directory: Path) -> Estimate:
    """The estimate for a recipe; a run directory that exists already is taken into account."""
    plan = Plan(recipe, base)
    loaded = reading.load(recipe.problems, base)
    domains: dict[str, int] = {}
    for problem in loaded.problems:
        domains[problem.domain] = domains.get(problem.domain, 0) + 1
    now = _owed(plan, directory, loaded.problems)
    stages: dict[str, StageEstimate] = {
        stage: _stage(plan, stage, now[stage], len(loaded.problems)) for stage in plan.models
    }
    return Estimate(recipe.name, len(loaded.problems), loaded.merged, domains, stages)


def to_json(found: Estimate) -> bytes:
    """The estimate as JSON."""
    return msgspec.json.format(msgspec.json.encode(found))


def to_text(found: Estimate) -> str:
    """The estimate for a reader."""
    kinds = ", ".join(f"{count} {domain}" for domain, count in found.domains.items())
    lines = [f"{found.name}: {found.problems} problems ({kinds}), {found.merged} merged"]
    for stage, part in found.stages.items():
        cost = f", at most ${part.usd_at_most:.2f}" if part.usd_at_most else ""
        lines.append(
            f"{stage:>9}: {part.teacher}: {part.owed_now} requests now, at most {part.at_most} "
            f"and {part.completion_tokens_at_most} completion tokens{cost}"
        )
    return "\n".join(lines)


def _stage(plan: Plan, stage: Stage, now: int, problems: int) -> StageEstimate:
    teacher = plan.models[stage]
    tokens = teacher.sampling.max_tokens + max(0, teacher.retry_max_tokens)
    most = problems * _samples(plan, stage)
    price = teacher.usd_per_million_completion if isinstance(teacher, OpenAITeacher) else 0.0
    return StageEstimate(teacher.model, now, most, most * tokens, most * tokens * price / 1e6)


def _samples(plan: Plan, stage: Stage) -> int:
    """At most so many requests a problem: of a rewrite for each trace, of the judge for each answer."""
    own = [plan.teachers[one.stage].n for one in plan.stages]
    rewrites = max(own) * plan.teachers["rewrite"].n if "rewrite" in plan.teachers else 0
    match stage:
        case "rewrite":
            return rewrites
        case "judge":
            return sum(own) + rewrites
        case _:
            return plan.teachers[stage].n


def _owed(plan: Plan, directory: Path, problems: tuple[Problem, ...]) -> dict[Stage, int]:
    """Requests that a build would send next, by stage."""
    store = Store(directory, write=False) if (directory / FILE).is_file() else None
    counts: dict[Stage, int] = dict.fromkeys(plan.models, 0)
    for problem in problems:
        attempts = read_attempts(store, plan, problem, store.verifier()) if store else []
        for request in next_requests(problem, attempts, plan.stages, plan.ask, plan.rewrites):
            counts[request.stage] += 1
    if store:
        store.close()
    return counts
