"""What to ask next for a problem: one pure function of the recipe and what is stored for it.

Sampling n, stopping early at k accepted, asking the truncated again with a larger budget, asking the judge
where the verifier is undecided, the recovery by the second teacher and the rewriting of what was accepted are
all rules of `next_requests`. So
running again is resuming, and a plan is what the same function says when nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tracegen.data import NO_REFERENCE, Flag, Problem, Request, Stage, Struct, Trace, Verdict

FINAL = frozenset({"not_recorded"})
"""Failures that another session cannot mend: the slot is done, without a response."""


class Attempt(Struct, frozen=True):
    """A request and what has become of it; without a trace it is unanswered."""

    request: Request
    trace: Trace | None = None
    verdict: Verdict | None = None
    flags: tuple[Flag, ...] = ()
    accepted: bool = False
    failure: str = ""
    """Why there is no answer, of the teacher or of the judge, in this session."""
    judging: Request | None = None
    """What the judge is to be asked, or was asked, about its answer."""
    ruling: Trace | None = None
    """What the judge said; the verdict is then the judge's."""

    @property
    def settled(self) -> bool:
        """It is answered and judged, or can never be."""
        judged = self.verdict is not None and self.verdict.outcome != "error"
        return self.failure in FINAL or (judged and (self.judging is None or self.ruling is not None))

    @property
    def unjudgeable(self) -> bool:
        """It has an answer, and the problem has no reference to judge it by."""
        return self.verdict is not None and self.verdict.cause == NO_REFERENCE


class Rules(Struct, frozen=True):
    """What the policy needs to know of one teacher."""

    stage: Stage
    n: int
    max_tokens: int
    stop_after: int = 0
    retry_max_tokens: int = 0


Ask = Callable[[Problem, Stage, int, int], Request]
"""`ask(problem, stage, index, max_tokens)`: the request with the recipe's teacher, prompt and sampling."""


Rewrites = Callable[[Problem, Sequence[Attempt]], tuple[Request, ...]]
"""`rewrites(problem, attempts)`: the requests that rewrite what was accepted of the attempts."""


def no_rewrites(problem: Problem, attempts: Sequence[Attempt]) -> tuple[Request, ...]:
    """The rewrites of a recipe that has none."""
    return ()


def next_requests(
    problem: Problem,
    attempts: Sequence[Attempt],
    stages: Iterable[Rules],
    ask: Ask,
    rewrites: Rewrites = no_rewrites,
) -> tuple[Request, ...]:
    """The requests owed for a problem now; empty when it is done, or waits for a verdict or a failed request.

    Attempts that the recipe no longer plans are ignored. The judge comes before more samples, so that they
    are not asked for in vain. Later stages are reached only when every planned slot of the earlier ones is
    settled and none has an accepted trace, nor an answer that nobody could call right or wrong. Rewrites come
    last, when nothing else is owed or waited for.
    """
    tries = _by_slot(attempts)
    for rules in stages:
        slots = [tries.get(slot, []) for slot in _slots(problem, rules, ask)]
        tried = [attempt for slot in slots for attempt in slot]
        accepted = sum(attempt.accepted for attempt in tried)
        if judgings := _judgings(tried):
            return judgings
        if rules.stop_after and accepted >= rules.stop_after:
            return _rewriting(attempts, rewrites(problem, originals(attempts)))
        owed = [owe for i, slot in enumerate(slots) if (owe := _owed(problem, slot, rules, ask, i))]
        if owed:
            wave = rules.stop_after - accepted if rules.stop_after else len(owed)
            return tuple(owed[:wave])
        if not all(attempt.settled for attempt in tried):
            return ()
        if accepted:
            return _rewriting(attempts, rewrites(problem, originals(attempts)))
        if any(attempt.unjudgeable for attempt in tried):
            return ()
    return ()


def originals(attempts: Iterable[Attempt]) -> list[Attempt]:
    """The attempts without the rewrites of others."""
    return [attempt for attempt in attempts if attempt.request.stage != "rewrite"]


def at(attempts: Sequence[Attempt], requests: Iterable[Request]) -> list[Attempt]:
    """The attempts at the slots of these requests, in their order."""
    tries = _by_slot(attempts)
    slots = dict.fromkeys(request.slot for request in requests)
    return [attempt for slot in slots for attempt in tries.get(slot, [])]


def planned(
    problem: Problem, attempts: Sequence[Attempt], stages: Iterable[Rules], ask: Ask
) -> list[Attempt]:
    """The attempts that belong to the recipe as it is now, in the order of stage, index and budget."""
    tries = _by_slot(attempts)
    slots = [slot for rules in stages for slot in _slots(problem, rules, ask)]
    return [attempt for slot in slots for attempt in tries.get(slot, [])]


def _rewriting(attempts: Sequence[Attempt], wanted: Sequence[Request]) -> tuple[Request, ...]:
    """The rewrites that are owed; the judge comes before more of them."""
    tried = at(attempts, wanted)
    if judgings := _judgings(tried):
        return judgings
    asked = {attempt.request.slot for attempt in tried}
    return tuple({request.slot: request for request in wanted if request.slot not in asked}.values())


def _judgings(attempts: Sequence[Attempt]) -> tuple[Request, ...]:
    """What the judge is still to be asked, once for each answer."""
    owed = [
        attempt.judging
        for attempt in attempts
        if attempt.judging is not None and attempt.ruling is None and not attempt.failure
    ]
    return tuple({request.id: request for request in owed}.values())


def _slots(problem: Problem, rules: Rules, ask: Ask) -> list[str]:
    return [ask(problem, rules.stage, index, rules.max_tokens).slot for index in range(rules.n)]


def _by_slot(attempts: Sequence[Attempt]) -> dict[str, list[Attempt]]:
    """Attempts at each slot, those with the smaller budget first."""
    found: dict[str, list[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.request.sampling.max_tokens):
        found.setdefault(attempt.request.slot, []).append(attempt)
    return found


def _owed(problem: Problem, slot: list[Attempt], rules: Rules, ask: Ask, index: int) -> Request | None:
    """The request that a slot still needs, or None."""
    if any(attempt.failure for attempt in slot):
        return None
    answered = [attempt for attempt in slot if attempt.trace is not None]
    if not answered:
        return ask(problem, rules.stage, index, rules.max_tokens)
    if any(attempt.trace and attempt.trace.finish_reason != "length" for attempt in answered):
        return None
    spent = max(attempt.request.sampling.max_tokens for attempt in answered)
    budget = max(rules.max_tokens, rules.retry_max_tokens)
    return ask(problem, rules.stage, index, budget) if spent < budget else None
