"""The verifier: whether an answer is right, and how we know.

    async with Verifier(recipe.verify, sandbox=True) as verifier:
        verdict = await verifier.judge(problem.reference, trace.answer)

- `math`: references that are values; `choice`: labels; `gym`: reasoning_gym; `code`: programs.
- `judge`: what a model is asked where all else is undecided; `agreement`: answers without a reference.
- `extract` finds the final answer in what follows the thinking; `pool` runs what may hang.

`check` is asked before anything is spent on a problem: its reference must be readable, and be accepted
against itself. A verdict is never a bool; `error` is ours and is owed again.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec

from tracegen.data import (
    NO_REFERENCE,
    ChoiceAnswer,
    CodeTests,
    GymAnswer,
    JudgedAnswer,
    MathAnswer,
    NoReference,
    Problem,
    Reference,
    StdioTests,
    Verdict,
    digest,
)
from tracegen.errors import SandboxError
from tracegen.recipe import Verify
from tracegen.verify import agreement, choice, gym, judge, math
from tracegen.verify.extract import WEAK, final_answer
from tracegen.verify.pool import Pool

if TYPE_CHECKING:
    from tracegen.sandbox import Sandbox

RULES = 2
"""Raised when a verdict of these rules changes: then every trace is judged again."""
PACKAGES = ("math-verify", "sympy", "latex2sympy2_extended", "antlr4-python3-runtime", "mpmath")
"""Packages whose versions change verdicts."""


class Verifier:
    """Judges answers; many at once. Enter it before use.

    Entering raises SandboxError where `sandbox` is asked for and none works.
    """

    def __init__(self, settings: Verify, *, sandbox: bool, languages: Iterable[str] = ("python",)) -> None:
        """`sandbox`: code problems are going to be judged, so a sandbox must work, for these languages."""
        self.settings = settings
        self._languages = tuple(sorted(languages))
        self._wants_sandbox = sandbox
        self._sandbox: Sandbox | None = None
        self._pool = self._new_pool("tracegen.verify.math:warm")
        self._gym_pool: Pool | None = None
        self._stack = AsyncExitStack()

    def _new_pool(self, *preload: str) -> Pool:
        return Pool(preload=preload, workers=self.settings.workers, memory_mb=self.settings.memory_mb)

    async def __aenter__(self) -> Verifier:
        async with AsyncExitStack() as stack:
            self._pool.start()
            stack.callback(self._pool.close)
            if self._wants_sandbox:
                from tracegen.sandbox import Sandbox

                self._sandbox = await stack.enter_async_context(Sandbox(self.settings.code, self._languages))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def digest(self) -> str:
        """What verdicts depend on: rules, limits, versions of the packages, and the sandbox's image.

        Not on how many workers there are. Raises SandboxError where the image is wanted and is not there.
        """
        settings = msgspec.structs.replace(self.settings, workers=0, without_sandbox="stop")
        code = (
            msgspec.structs.replace(self.settings.code, containers=0, reuse=1)
            if self._wants_sandbox
            else None
        )
        image = ""
        if self._wants_sandbox:
            from tracegen.sandbox import image as images

            image = " ".join(images.fingerprint(self.settings.code, name) for name in self._languages)
        limits = [settings.math_seconds, settings.memory_mb, settings.unit_missing, code]
        return digest("verifier", RULES, limits, [f"{name} {_version(name)}" for name in PACKAGES], image)

    async def judge(self, reference: Reference, answer: str, *, bare: bool = False) -> Verdict:
        """The verdict on `answer`: the text after the closed thinking, or with `bare` the answer itself.

        A bare answer is still taken out of a box or a sentence where it is wrapped in one. Raises UserError
        for a reasoning_gym problem without reasoning_gym.
        """
        match reference:
            case MathAnswer():
                return await self._math(reference, answer, bare=bare)
            case ChoiceAnswer():
                return await choice.judge(
                    self._pool, reference, answer, bare=bare, seconds=self.settings.math_seconds
                )
            case GymAnswer():
                return await gym.judge(
                    self._gym(), reference, answer, bare=bare, seconds=self.settings.math_seconds
                )
            case CodeTests():
                return await self._code(reference, answer, bare=bare)
            case JudgedAnswer():
                return await judge.free_text(
                    self._pool, reference, answer, bare=bare, seconds=self.settings.math_seconds
                )
            case NoReference():
                return agreement.unjudged(reference, answer, bare=bare)

    async def agree(self, reference: Reference, first: str, second: str) -> Verdict:
        """`correct` if two extracted answers to a problem say the same, whatever its reference is."""
        return await agreement.agree(self._pool, reference, first, second, seconds=self.settings.math_seconds)

    async def check(self, problem: Problem) -> Verdict:
        """Whether the problem's reference can be used: readable, and accepted against itself.

        `correct` if so; else `unverifiable` with the cause, or `error` where that is ours.
        """
        reference = problem.reference
        match reference:
            case MathAnswer():
                own = math.reference_of(reference.answer)
                verdict = await math.readable(self._pool, own, seconds=self.settings.math_seconds)
                return (
                    verdict
                    if verdict.outcome != "correct"
                    else _accepted(await self.judge(reference, f"\\boxed{{{own}}}"))
                )
            case ChoiceAnswer():
                broken = choice.broken(reference)
                if broken:
                    return Verdict(
                        outcome="unverifiable", cause="reference_unreadable", step="label", evidence=broken
                    )
                return _accepted(await self.judge(reference, reference.label, bare=True))
            case GymAnswer():
                return _accepted(await self.judge(reference, reference.answer, bare=True))
            case CodeTests():
                return await self._check_code(reference)
            case JudgedAnswer():
                broken = judge.unfit(reference)
                if broken:
                    return Verdict("unverifiable", "reference_unreadable", "judge", evidence=broken)
                return _accepted(await self.judge(reference, reference.answer, bare=True))
            case NoReference():
                return Verdict("correct", NO_REFERENCE, "vote", evidence="there is nothing to check")

    async def _math(self, reference: MathAnswer, text: str, *, bare: bool) -> Verdict:
        wanted, seconds = math.reference_of(reference.answer), self.settings.math_seconds
        policy = self.settings.unit_missing
        if bare:
            return await math.compare_stated(self._pool, wanted, text, seconds=seconds, unit_missing=policy)
        answer, rule = final_answer(text)
        if (rule in WEAK or rule == "none") and math.said_in_words(wanted, text):
            return Verdict("correct", "equal", "text", wanted, "words of the last sentence", "weak")
        if not answer:
            return Verdict(outcome="no_answer", cause=rule if rule != "none" else "no_answer", step="extract")
        verdict = await math.compare(self._pool, wanted, answer, seconds=seconds, unit_missing=policy)
        return (
            msgspec.structs.replace(verdict, trust="weak")
            if rule in WEAK and verdict.trust == "strong"
            else verdict
        )

    def _gym(self) -> Pool:
        if self._gym_pool is None:
            gym.require()
            self._gym_pool = self._new_pool("tracegen.verify.math:warm", "tracegen.verify.gym:warm")
            self._gym_pool.start()
            self._stack.callback(self._gym_pool.close)
        return self._gym_pool

    async def _code(self, reference: CodeTests, answer: str, *, bare: bool) -> Verdict:
        from tracegen.verify.code import judge_code

        return await judge_code(self._sandboxed(), reference, answer, bare=bare)

    async def _check_code(self, reference: CodeTests) -> Verdict:
        from tracegen.verify.code import check_tests

        return await check_tests(self._sandboxed(), reference)

    def _sandboxed(self) -> Sandbox:
        if self._sandbox is None:
            raise SandboxError(
                "code cannot be judged: this verifier has no sandbox", cause="docker_unavailable"
            )
        return self._sandbox


def languages_of(problems: Iterable[Problem]) -> set[str]:
    """Languages of the programs that judging these problems runs: candidates and checkers."""
    found = set()
    for problem in problems:
        if isinstance(problem.reference, CodeTests):
            found.add(problem.reference.language)
            tests = problem.reference.tests
            if isinstance(tests, StdioTests) and tests.checker:
                found.add(tests.checker_language)
    return found


def _accepted(verdict: Verdict) -> Verdict:
    """The verdict on a reference against itself, as the verdict on the reference."""
    if verdict.outcome in ("correct", "error", "unverifiable"):
        return verdict
    return msgspec.structs.replace(verdict, outcome="unverifiable", cause="reference_rejected")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
