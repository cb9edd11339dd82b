"""Programs over standard input in every language, and checkers: compile once, run each case, compare.

    source ──compile──> /build ──run, case by case──> output ──┬─ compared with the expected one here
                  one container of its own                     └─ or shown to the checker, in another one

A compiler has limits of its own, which are its language's; what it refuses is a `compile_error`. Running has
the recipe's limits, plus what the language itself needs.

A checker is a dataset's program, and no more trusted than a candidate. It is run as
`checker input.txt output.txt answer.txt` (the case's input, the candidate's output, the expected output)
in a folder that holds these files, with nothing on its standard input. Its exit status decides, as with
testlib: 0 is right; 1, 2, 4 and 8 are wrong; anything else says that the checker fails, and so does an
exception of its own. One that fails on an output and accepts the expected one refuses that output, with weak
trust; one that fails on both is broken. Its last line is the evidence.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tracegen import languages
from tracegen.data import CodeTests, IoCase, StdioTests, Trust
from tracegen.errors import SandboxError
from tracegen.languages import Language, filled
from tracegen.recipe import CodeLimits
from tracegen.sandbox.container import Container, Over, Role, Said
from tracegen.sandbox.judging import (
    CUT,
    JUDGE_SECONDS,
    Finding,
    Program,
    cut,
    ended_cause,
    join,
    last_line,
    program_ended,
    same_output,
    signal_name,
    too_long,
)
from tracegen.sandbox.pool import Pool

Pools = Callable[[str], Pool]
"""The pool of a language; raises SandboxError where it cannot be opened."""
REFUSED = (1, 2, 4, 8)
"""testlib's wrong answer, presentation error, dirt and unexpected end of file."""
MESSAGE = 2000
"""Characters of a compiler's message that are kept."""


class Unusable(Exception):
    """A program that cannot be run at all; holds what to say of it."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.cause)
        self.finding = finding


def own_way(tests: CodeTests) -> bool:
    """These tests are run here: programs in another language than Python, or with a checker."""
    return tests.language != "python" or (isinstance(tests.tests, StdioTests) and bool(tests.tests.checker))


def container_limits(language: Language, limits: CodeLimits) -> CodeLimits:
    """What a container of the language gets, so that the program in it has the recipe's limits to itself."""
    if language.run is None:
        return limits
    memory, disk = limits.memory_mb + language.run.extra_memory_mb, limits.disk_mb
    if language.compile:
        memory, disk = max(memory, language.compile.memory_mb), max(disk, language.compile.disk_mb)
    processes = limits.processes + language.run.extra_processes
    return msgspec.structs.replace(limits, memory_mb=memory, disk_mb=disk, processes=processes)


def judge_programs(pools: Pools, limits: CodeLimits, tests: CodeTests, program: Program) -> Finding:
    """Run a whole program on every case; blocks. Raises SandboxError, never for what the program does."""
    language = languages.load(tests.language)
    if not isinstance(tests.tests, StdioTests):
        return Finding(cause="tests_broken", evidence=f"{language.title}: tested over standard input only")
    if not tests.tests.cases:
        return Finding(cause="tests_broken", evidence="no cases", step="stdio")
    if refused := too_long(program):
        return refused
    source = f"{program.context}\n{program.source}" if program.context else program.source
    try:
        with contextlib.ExitStack() as stack:
            candidate = stack.enter_context(executable(pools, limits, language, source))
            checker = stack.enter_context(checker_of(pools, limits, tests.tests))
            found = run_cases(candidate, checker, limits, tests.tests.cases)
    except Unusable as unusable:
        found = unusable.finding
    return msgspec.structs.replace(found, evidence=join(language.title, found.evidence))


def check_checker(pools: Pools, limits: CodeLimits, tests: StdioTests) -> Finding:
    """Whether the checker accepts the expected outputs themselves, which a right one does."""
    try:
        with checker_of(pools, limits, tests) as checker:
            for number, case in enumerate(tests.cases, 1):
                cause, evidence = compared(checker, case, case.output.encode(errors="surrogatepass"))
                if cause != "passed":
                    evidence = f"case {number}: the checker does not accept the expected output | {evidence}"
                    return Finding(cause="tests_broken", evidence=evidence, step="stdio")
    except Unusable as unusable:
        return unusable.finding
    return Finding(cause="passed", step="stdio")


# --- a program that is ready to run ----------------------------------------------------------------


class Executable:
    """A program in a container of its own, ready to run."""

    def __init__(self, container: Container, language: Language, limits: CodeLimits, source: str) -> None:
        self.container, self.language, self.limits = container, language, limits
        self.source = language.prepared(source)
        self.file = language.file_of(source)
        self.compiled_in = 0.0
        """Milliseconds that the compiler took."""

    def compile(self) -> None:
        """Make it ready; raises Unusable with the compiler's own words."""
        run, compiler = self.language.run, self.language.compile
        if run is None:
            return
        seconds = compiler.seconds if compiler else JUDGE_SECONDS
        over = self.start(
            "compile",
            seconds,
            argv=self.filled(compiler.command) if compiler else [],
            environment=compiler.environment if compiler else {},
            files={self.file: to_text(to_bytes(self.source))},
            disk=self.container.limits.disk_mb << 20,
        )
        self.compiled_in = over.milliseconds
        finding = compile_ended(over, seconds)
        if finding:
            raise Unusable(finding)
        if not self.container.usable:
            raise Unusable(said_of_compiler("compile_error", "it left files that every program could change"))
        wanted = self.limits.memory_mb + run.extra_memory_mb
        if wanted < self.container.limits.memory_mb and not self.container.limit_memory(wanted):
            raise Unusable(said_of_compiler("memory_limit", "the compiled program alone takes more"))

    def run(
        self,
        seconds: float,
        stdin: bytes,
        files: dict[str, str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> Over:
        """One run; every run begins with an empty folder but for `files`."""
        run = self.language.run
        if run is None:
            return self.start(
                "program", seconds, stdin, source=self.source, files=files or {}, arguments=arguments
            )
        return self.start(
            "command",
            seconds,
            stdin,
            argv=[*self.filled(run.command), *arguments],
            environment=run.environment,
            files=files or {},
            stack=run.stack_mb << 20,
            disk=self.limits.disk_mb << 20,
        )

    def filled(self, command: tuple[str, ...]) -> list[str]:
        return filled(command, file=self.file, memory_mb=self.limits.memory_mb)

    def start(self, role: Role, seconds: float, stdin: bytes = b"", source: str = "", **more: Any) -> Over:
        over = self.container.start(role, seconds, stdin, source=source, **more)
        if isinstance(over, Said):
            raise SandboxError("the supervisor broke its protocol", cause="container_lost")
        if over.missing:
            raise SandboxError(
                f"{self.language.title}: the image has no {more['argv'][0]} - run `tracegen sandbox build "
                f"{self.language.image} --force`",
                cause="image_missing",
            )
        return over


@contextlib.contextmanager
def executable(
    pools: Pools, limits: CodeLimits, language: Language, source: str, *, checks: bool = False
) -> Iterator[Executable]:
    """The program, compiled in a container that is used for nothing else; raises Unusable.

    A Python checker takes a container of the judges: as many programs as there are slots may hold all of
    the candidates', each waiting for its checker.
    """
    pool = pools(language.name)
    with pool.judge() if checks and language.run is None else pool.candidate() as container:
        made = Executable(container, language, limits, source)
        made.compile()
        yield made


@contextlib.contextmanager
def checker_of(pools: Pools, limits: CodeLimits, tests: StdioTests) -> Iterator[Executable | None]:
    """The checker of the tests, if they have one; raises Unusable where it does not compile."""
    if not tests.checker:
        yield None
        return
    language = languages.find(tests.checker_language)
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(executable(pools, limits, language, tests.checker, checks=True))
        except Unusable as unusable:
            evidence = join("the checker", unusable.finding.evidence)
            raise Unusable(Finding(cause="tests_broken", evidence=evidence, step="compile")) from None
        yield made


# --- running the cases -----------------------------------------------------------------------------


def run_cases(
    candidate: Executable, checker: Executable | None, limits: CodeLimits, cases: tuple[IoCase, ...]
) -> Finding:
    """Each case in a process of its own, until one fails; expected outputs never enter its container."""
    left = limits.total_seconds
    for number, case in enumerate(cases, 1):
        seconds = min(limits.seconds, left)
        over = candidate.run(seconds, to_bytes(case.input))
        left = max(left - over.milliseconds / 1000, 0.01)
        cause, evidence = run_ended(candidate.language, over, seconds)
        trust: Trust = "strong"
        if cause == "passed":
            cause, evidence = compared(checker, case, over.stdout)
        if cause == "tests_broken" and accepts(checker, case):
            cause, trust = "wrong_answer", "weak"
        if cause == "passed" and not candidate.container.usable:
            cause, evidence = "crashed", "the sandbox could not be cleaned"
        if cause != "passed":
            where = f"case {number}, input {cut(case.input, 160)}"
            return Finding(cause=cause, evidence=join(where, evidence), step="stdio", trust=trust)
    return Finding(cause="passed", step="stdio")


def accepts(checker: Executable | None, case: IoCase) -> bool:
    """The checker works: it accepts the expected output."""
    usable = checker is not None and checker.container.usable
    return usable and compared(checker, case, to_bytes(case.output))[0] == "passed"


def compared(checker: Executable | None, case: IoCase, output: bytes) -> tuple[str, str]:
    """Cause and evidence of what was printed; `tests_broken` where the checker itself fails."""
    got = output.decode("utf-8", "replace")
    sides = f"got {cut(got)}, expected {cut(case.output)}"
    if checker is None:
        return ("passed", "") if same_output(got, case.output) else ("wrong_answer", sides)
    files = {
        "input.txt": to_text(to_bytes(case.input)),
        "output.txt": to_text(output),
        "answer.txt": to_text(to_bytes(case.output)),
    }
    over = checker.run(JUDGE_SECONDS, b"", files, tuple(files))
    cause, evidence = run_ended(checker.language, over, JUDGE_SECONDS)
    if not checker.container.usable:
        return "tests_broken", "the checker left something behind that could not be cleaned"
    if cause == "passed":
        return "passed", ""
    if cause == "crashed" and over.exit in REFUSED:
        said = last_line(over.stderr) or last_line(over.stdout.decode("utf-8", "replace"))
        return "wrong_answer", join(f"the checker: {said or f'exit status {over.exit}'}", sides)
    return "tests_broken", f"the checker failed: {cause}: {evidence}"


# --- what an end means -----------------------------------------------------------------------------


def compile_ended(over: Over, seconds: float) -> Finding | None:
    """What the end of a compiler says of the program; None where it is ready to run."""
    message = over.stdout.decode("utf-8", "replace").strip()[:MESSAGE]
    if over.oom:
        return said_of_compiler("compile_error", "the compiler ran out of memory")
    match over.how:
        case "exit" if over.exit == 0:
            return None
        case "timeout":
            return said_of_compiler("timeout", f"the compiler did not end within {seconds:g} s")
        case "output":
            return said_of_compiler("compile_error", f"the compiler said more than the limit: {message}")
    return said_of_compiler("compile_error", message or ended_cause(over, "")[1])


def said_of_compiler(cause: str, evidence: str) -> Finding:
    return Finding(cause=cause, evidence=evidence, step="compile")


def run_ended(language: Language, over: Over, seconds: float) -> tuple[str, str]:
    """Cause and evidence of the end of a run; `passed` where it ended as it should."""
    if language.run is None:
        return program_ended(over, seconds)
    if over.how != "exit" or over.oom:
        return ended_cause(over, f"no end within {seconds:g} s")
    if over.exit == 0:
        return "passed", ""
    if over.refused:
        return "process_limit", last_line(over.stderr)
    for cause, patterns in (("memory_limit", language.ends.memory), ("exception", language.ends.exception)):
        for pattern in patterns:
            if found := re.search(pattern, over.stderr, re.MULTILINE):
                return cause, found[0].strip()[:CUT]
    if over.signal is not None:
        return "crashed", join(f"signal {signal_name(over.signal)}", last_line(over.stderr))
    return "crashed", join(f"exit status {over.exit}", last_line(over.stderr))


def to_bytes(text: str) -> bytes:
    """A dataset's text as a file's content, whatever is in it."""
    return text.encode(errors="surrogatepass")


def to_text(content: bytes) -> str:
    """Any content as text that the harness writes out as the same bytes."""
    return content.decode("utf-8", "surrogateescape")
