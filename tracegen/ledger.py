"""Count a run: the report, computed from what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tracegen import __version__
from tracegen.data import Problem, Verdict
from tracegen.plan import Plan
from tracegen.policy import Attempt
from tracegen.recipe import OpenAITeacher, kind
from tracegen.report import Refused, Report, Step, Tally
from tracegen.select import Choice, gold_suspect
from tracegen.store import Store


class Ledger:
    """Counts a run problem by problem, in memory that does not grow with the number of traces."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._traces: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()
        self._causes: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._sources: dict[str, Counter[str]] = {}
        self._teachers: dict[str, Counter[str]] = {}
        self._tokens: Counter[str] = Counter()
        self._usd = 0.0
        self._refused: list[Refused] = []
        self._suspect: list[str] = []

    def refuse(self, problem: Problem, verdict: Verdict) -> None:
        """A problem for which nothing is asked, because its reference does not pass its self-check."""
        self._problems["all"] += 1
        self._refused.append(Refused(problem.key or problem.id, verdict.cause, verdict.evidence[:300]))

    def count(self, problem: Problem, attempts: Sequence[Attempt], choices: Sequence[Choice]) -> None:
        """A problem with its planned attempts that are judged, and what became of each."""
        solved = any(choice.status == "accepted" for choice in choices)
        first = any(a.accepted for a in attempts if a.request.stage == "first")
        recovery = any(a.request.stage == "recovery" for a in attempts)
        self._problems.update(
            all=1,
            asked=int(bool(attempts)),
            first=int(first),
            sent=int(recovery),
            recovered=int(solved and not first),
        )
        self._tally(self._sources, problem.source, attempts, solved)
        for stage in {attempt.request.stage for attempt in attempts}:
            of_stage = [attempt for attempt in attempts if attempt.request.stage == stage]
            teacher = self._plan.teachers[stage]
            name = f"{teacher.model or kind(teacher)} ({stage})"
            self._tally(self._teachers, name, of_stage, any(a.accepted for a in of_stage))
        for attempt, choice in zip(attempts, choices, strict=True):
            self._trace(attempt, choice)
        if gold_suspect(attempts):
            self._suspect.append(problem.id)

    def report(self, store: Store) -> Report:
        """The report of everything that was counted."""
        counts = store.counts()
        traces, problems = self._traces, self._problems
        funnel = (
            Step("problems asked", problems["asked"], problems["all"], "problems"),
            Step(
                "answered",
                traces["answered"],
                traces["answered"] + sum(store.failures().values()),
                "requests",
            ),
            Step("closed", traces["closed"], traces["answered"], "traces"),
            Step("verified", traces["correct"], traces["closed"], "traces"),
            Step("accepted", traces["accepted"] + traces["surplus"], traces["correct"], "traces"),
            Step("solved by the first teacher", problems["first"], problems["asked"], "problems"),
            Step("recovered by the second", problems["recovered"], problems["sent"], "problems"),
            Step("kept", traces["accepted"], traces["answered"], "traces"),
        )
        return Report(
            name=self._plan.recipe.name,
            version=__version__,
            funnel=funnel,
            causes=dict(self._causes.most_common()),
            flags=dict(self._flags.most_common()),
            sources={name: Tally(**counter) for name, counter in sorted(self._sources.items())},
            teachers={name: Tally(**counter) for name, counter in self._teachers.items()},
            prompt_tokens=self._tokens["prompt"],
            completion_tokens=self._tokens["completion"],
            seconds=store.seconds(),
            usd=self._usd,
            accepted=traces["accepted"],
            refused=tuple(self._refused),
            gold_suspect=tuple(self._suspect),
            unanswered=dict(store.failures()),
            repeated=counts["repeated"],
        )

    def _trace(self, attempt: Attempt, choice: Choice) -> None:
        trace, verdict = attempt.trace, attempt.verdict
        assert trace is not None and verdict is not None  # noqa: S101 - only judged attempts are counted
        self._traces.update(
            {
                "answered": 1,
                "closed": int(trace.closed),
                "correct": int(verdict.outcome == "correct"),
                choice.status: 1,
            }
        )
        self._causes[f"{verdict.outcome}: {verdict.cause}"] += 1
        self._flags.update(flag.name for flag in attempt.flags)
        prompt, completion = trace.prompt_tokens or 0, trace.completion_tokens or 0
        self._tokens.update(prompt=prompt, completion=completion)
        teacher = self._plan.teachers[attempt.request.stage]
        if isinstance(teacher, OpenAITeacher):
            self._usd += prompt * teacher.usd_per_million_prompt / 1e6
            self._usd += completion * teacher.usd_per_million_completion / 1e6

    def _tally(
        self, tallies: dict[str, Counter[str]], name: str, attempts: Sequence[Attempt], solved: bool
    ) -> None:
        accepted = sum(attempt.accepted for attempt in attempts)
        tallies.setdefault(name, Counter()).update(
            problems=1, solved=int(solved), traces=len(attempts), accepted=accepted
        )
