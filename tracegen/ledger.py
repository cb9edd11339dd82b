"""Count a run: the report, computed from what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from tracegen import __version__
from tracegen.data import Problem, Trace, Verdict
from tracegen.plan import Plan
from tracegen.policy import Attempt, originals
from tracegen.recipe import OpenAITeacher, Teacher, kind
from tracegen.records import reference_text
from tracegen.report import Refused, Report, Rewrites, Step, Suspect, Tally
from tracegen.select import Choice, length
from tracegen.store import Store
from tracegen.vote import Vote, suspicion


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
        self._suspect: list[Suspect] = []
        self._lengths: list[tuple[int, int]] = []
        self._not_rewritten: Counter[str] = Counter()

    def refuse(self, problem: Problem, verdict: Verdict) -> None:
        """A problem for which nothing is asked, because its reference does not pass its self-check."""
        self._problems["all"] += 1
        self._refused.append(Refused(problem.key or problem.id, verdict.cause, verdict.evidence[:300]))

    def count(
        self, problem: Problem, attempts: Sequence[Attempt], choices: Sequence[Choice], found: Vote
    ) -> None:
        """A problem with its planned attempts that are judged, what became of each, and their vote."""
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
        self._tally(self._sources, problem.source, originals(attempts), solved)
        for stage in {attempt.request.stage for attempt in attempts}:
            of_stage = [attempt for attempt in attempts if attempt.request.stage == stage]
            teacher = self._plan.teachers[stage]
            name = f"{teacher.model or kind(teacher)} ({stage})"
            self._tally(self._teachers, name, of_stage, any(a.accepted for a in of_stage))
        by_id = {attempt.request.id: attempt for attempt in attempts}
        for attempt, choice in zip(attempts, choices, strict=True):
            self._trace(attempt, choice)
            if choice.rewritten_as:
                self._lengths.append((length(attempt), length(by_id[choice.rewritten_as])))
            elif choice.not_rewritten:
                self._not_rewritten[choice.not_rewritten] += 1
        for asked, ruling in {a.judging.id: (a, a.ruling) for a in attempts if a.judging}.values():
            self._judgement(asked, ruling)
        if suspicion(problem, found, self._plan.recipe.flags):
            self._suspect.append(
                Suspect(
                    problem=problem.id,
                    key=problem.key,
                    reference=reference_text(problem.reference)[:300],
                    majority=found.majority[:300],
                    votes=found.votes,
                    voters=found.voters,
                    right=found.right,
                )
            )

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
            *self._where("decided by the judge", traces["ruled"], traces["judged"], "answers"),
            Step("accepted", traces["right"], traces["correct"], "traces"),
            *self._where("accepted by majority", traces["agreed"], traces["unjudgeable"], "traces"),
            Step("solved by the first teacher", problems["first"], problems["asked"], "problems"),
            Step("recovered by the second", problems["recovered"], problems["sent"], "problems"),
            Step("kept", traces["accepted"], traces["answered"], "traces"),
            *self._where(
                "rewritten",
                len(self._lengths),
                len(self._lengths) + self._not_rewritten.total(),
                "kept traces",
            ),
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
            rewrites=self._rewrites(),
        )

    @property
    def _to_rewrite(self) -> int:
        return len(self._lengths) + self._not_rewritten.total()

    def _rewrites(self) -> Rewrites | None:
        if self._plan.recipe.rewrite is None:
            return None
        before, after = ([pair[side] for pair in self._lengths] for side in (0, 1))
        return Rewrites(
            traces=self._to_rewrite,
            rewritten=len(self._lengths),
            words=sum(before),
            compact_words=sum(after),
            median_words=median(before) if before else 0.0,
            median_compact_words=median(after) if after else 0.0,
            reasons=dict(self._not_rewritten.most_common()),
        )

    def _trace(self, attempt: Attempt, choice: Choice) -> None:
        trace, verdict = attempt.trace, attempt.verdict
        assert trace is not None and verdict is not None  # noqa: S101 - only judged attempts are counted
        self._causes[f"{verdict.outcome}: {verdict.cause}"] += 1
        self._flags.update(flag.name for flag in attempt.flags)
        self._spent(trace, self._plan.models[attempt.request.stage])
        if attempt.request.stage == "rewrite":
            return
        self._traces.update(
            {
                "answered": 1,
                "closed": int(trace.closed),
                "correct": int(verdict.outcome == "correct"),
                "unjudgeable": int(attempt.unjudgeable),
                "agreed" if attempt.unjudgeable else "right": int(choice.status in ("accepted", "surplus")),
                choice.status: 1,
            }
        )

    def _judgement(self, attempt: Attempt, ruling: Trace | None) -> None:
        """An answer that the judge was asked about, once for all traces that gave it."""
        decided = attempt.verdict is not None and attempt.verdict.outcome != "unverifiable"
        self._traces.update(judged=1, ruled=int(decided))
        if ruling is not None and self._plan.judge is not None:
            self._spent(ruling, self._plan.judge)

    def _spent(self, trace: Trace, teacher: Teacher) -> None:
        """Tokens and dollars of a response."""
        prompt, completion = trace.prompt_tokens or 0, trace.completion_tokens or 0
        self._tokens.update(prompt=prompt, completion=completion)
        if isinstance(teacher, OpenAITeacher):
            self._usd += prompt * teacher.usd_per_million_prompt / 1e6
            self._usd += completion * teacher.usd_per_million_completion / 1e6

    def _where(self, name: str, count: int, of: int, what: str) -> tuple[Step, ...]:
        """A step that only runs with anything to count have."""
        return (Step(name, count, of, what),) if of else ()

    def _tally(
        self, tallies: dict[str, Counter[str]], name: str, attempts: Sequence[Attempt], solved: bool
    ) -> None:
        accepted = sum(attempt.accepted for attempt in attempts)
        tallies.setdefault(name, Counter()).update(
            problems=1, solved=int(solved), traces=len(attempts), accepted=accepted
        )
