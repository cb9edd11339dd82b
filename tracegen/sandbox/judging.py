"""Judging one program: the relay between candidate and judge, programs over standard input, shared mode.

    tests ──> judge's container ──call──> here ──call──> candidate's container
                    │         <──data──      <──data──
                  verdict

Tests that are nothing but data need no judge: `plain` reads them, and compares answers that are plain data of
bounded size here. Of other answers nothing is interpreted here beyond one flat object; the judge decodes
them in its own container, and what it makes of them is all that counts.

Time: one test is one call of the candidate (its loading is one, too), or one run of a program. Each gets
`limits.seconds`, all together `limits.total_seconds`, by the clock of the candidate's supervisor. That
clock starts when the program has been handed its input, and leaves out what it waited for a core (see
the supervisor), so neither a slow engine nor a busy host is held against it. The tests' own code gets
`JUDGE_SECONDS` between two calls.
"""

from __future__ import annotations

import json
import math
import re
import signal
import time
from collections import deque
from typing import Any, Literal, get_args

import msgspec

from tracegen.data import (
    AssertTests,
    CallTests,
    CheckTests,
    CodeTests,
    IoCase,
    PytestTests,
    StdioTests,
    Struct,
    Trust,
    UnittestTests,
)
from tracegen.errors import SandboxError
from tracegen.recipe import CodeLimits
from tracegen.sandbox import plain
from tracegen.sandbox.container import Container, Died, Over, Said
from tracegen.sandbox.pool import Pool

Cause = Literal[
    "passed", "wrong_answer", "exception", "timeout", "memory_limit", "output_limit", "process_limit",
    "crashed", "early_exit", "syntax_error", "compile_error", "protocol_violation", "tests_broken",
]  # fmt: skip
CAUSES = (*get_args(Cause), "ended", "needs_shared", "unforeseen", "undefined")
"""What a judge may say: its own words besides, for what comes next."""
NAMES = "looking up names"
"""What the judge calls its first question, whose answer is short: it is before any test."""
JUDGE_SECONDS = 30.0
BEAT_SECONDS = 10.0
JUDGE_OUTPUT = 16 << 20
RESULT_BYTES = 16 << 20
"""What a function may return (HumanEval+ asks for a million numbers); printing has the recipe's limit."""
FLAT_BYTES = 1 << 20
"""Foreign JSON that is parsed here: it may take forty times as much memory."""
SOURCE_BYTES = 256 << 10
"""A longer program is refused before a container is used."""
CUT = 500
TOLERANCE = 1e-6
WALL = 5.0
"""Times `total_seconds` that one program's judgement may take by the wall clock, transport included."""


class Program(Struct, frozen=True):
    """A candidate program."""

    source: str
    context: str = ""
    """The dataset's code that runs before it in the same module (imports and helpers of a prompt)."""


class Finding(Struct, frozen=True):
    """How a program did in its tests."""

    cause: str
    """One of `Cause`."""
    evidence: str = ""
    step: Literal["split_judge", "shared_judge", "stdio", "compile"] = "split_judge"
    trust: Trust = "strong"
    milliseconds: float = 0.0
    """From the first container to the finding, without waiting for a slot."""


class Ended(Exception):
    """The judgement is over early, with this finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.cause)
        self.finding = finding


def judge(pool: Pool, tests: CodeTests, program: Program, *, reading: bool = True) -> Finding:
    """Run the tests on the program; blocks. Raises SandboxError, which is ours and never the program's.

    `reading`: tests that are nothing but data are read instead of run.
    """
    if refused := too_long(program):
        return refused
    program = msgspec.structs.replace(program, source=program.source.removeprefix("\ufeff"))
    try:
        match tests.tests:
            case StdioTests(cases=cases):
                found = run_programs(pool, cases, program)
            case _:
                found = run_functions(pool, tests, program, reading=reading)
    except Ended as early:
        found = early.finding
    return msgspec.structs.replace(found, evidence=printable(found.evidence))


def printable(text: str) -> str:
    """Foreign text without lone surrogates, which no file takes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def died(tests: CodeTests, end: Died) -> Finding:
    """What it means that a program's container ended twice, in two containers."""
    cause, evidence = ended_cause(end.over, "the container fell silent")
    if end.purpose == "judge":
        return Finding(cause="tests_broken", evidence=join("the tests' container", evidence))
    return Finding(
        cause=cause, evidence=evidence, step="stdio" if isinstance(tests.tests, StdioTests) else "split_judge"
    )


def too_long(program: Program) -> Finding | None:
    """What is said of a program that is not even given to a container."""
    size = len(program.source.encode(errors="surrogatepass"))
    if size <= SOURCE_BYTES:
        return None
    return Finding(
        cause="output_limit", evidence=f"a program of {size:,} bytes; the limit is {SOURCE_BYTES:,}"
    )


# --- programs over standard input ------------------------------------------------------------------


def run_programs(pool: Pool, cases: tuple[IoCase, ...], program: Program) -> Finding:
    """Each case in a process of its own; expected outputs stay here."""
    if not cases:
        return Finding(cause="tests_broken", evidence="no cases", step="stdio")
    limits, left = pool.limits, pool.limits.total_seconds
    source = f"{program.context}\n{program.source}" if program.context else program.source
    with pool.candidate() as candidate:
        for number, case in enumerate(cases, 1):
            seconds = min(limits.seconds, left)
            over = candidate.start(
                "program", seconds, case.input.encode(errors="surrogatepass"), source=source
            )
            if isinstance(over, Said):
                raise SandboxError("the supervisor broke its protocol", cause="container_lost")
            left = max(left - over.milliseconds / 1000, 0.01)
            cause, evidence = program_ended(over, seconds)
            got = over.stdout.decode("utf-8", "replace")
            if cause == "passed" and not same_output(got, case.output):
                cause, evidence = "wrong_answer", f"got {cut(got)}, expected {cut(case.output)}"
            if cause != "passed":
                where = f"case {number}, input {cut(case.input, 160)}"
                return Finding(cause=cause, evidence=f"{where} | {evidence}", step="stdio")
            if not candidate.usable:
                return Finding(
                    cause="crashed", evidence=f"case {number}: the sandbox could not be cleaned", step="stdio"
                )
    return Finding(cause="passed", step="stdio")


def program_ended(over: Over, seconds: float) -> tuple[str, str]:
    """Cause and evidence of the end of a whole program; `passed` where it ended as it should."""
    if over.how == "exit" and over.exit == 0 and not over.oom:
        return "passed", ""
    if over.how == "exit" and over.exit and not over.oom:
        last = last_line(over.stderr)
        if last.startswith(("SyntaxError", "IndentationError", "TabError")) and "solution.py" in over.stderr:
            return "syntax_error", last
        if last.startswith("MemoryError"):
            return "memory_limit", last
        if over.refused:
            return "process_limit", last
        return ("exception", last) if "Traceback" in over.stderr else ("crashed", f"exit status {over.exit}")
    return ended_cause(over, f"no end within {seconds:g} s")


DECIMAL = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?\d+[eE][-+]\d+", re.ASCII)
"""Numbers that were rounded when they were printed. `1e3` and `0e83040045` may be digits of a code, and no
language prints a number so."""


def same_output(got: str, expected: str) -> bool:
    """Equal token by token; a decimal number within 1e-6 (absolute or relative) of the expected one."""
    ours, theirs = got.removeprefix("\ufeff").split(), expected.removeprefix("\ufeff").split()
    return len(ours) == len(theirs) and all(map(same_token, ours, theirs))


def same_token(got: str, expected: str) -> bool:
    if got == expected:
        return True
    if not DECIMAL.fullmatch(expected) or "_" in got or len(got) > 5000 or not got.isascii():
        return False
    try:
        ours, theirs = float(got), float(expected)
    except ValueError:
        return False
    return math.isfinite(theirs) and abs(ours - theirs) <= TOLERANCE * max(1.0, abs(theirs))


# --- functions, by reading the tests ---------------------------------------------------------------


def run_plain(pool: Pool, tests: CodeTests, data: plain.Plain, program: Program) -> Finding | None:
    """The finding where the tests are data; None where an answer is more than that, and the judge decides.

    The program is loaded and asked everything in one message, and ends after its last answer.
    """
    with pool.candidate() as candidate:
        clock = Clock(pool.limits)
        questions = [loading(program, method_wanted(tests)), *data.questions]
        messages = b"".join(len(question).to_bytes(4, "big") + question for question in questions)
        output = max(RESULT_BYTES, candidate.limits.output_kb * 1024)
        candidate.launch(
            "functions", clock.seconds, messages, output=output, total=clock.total, apart=data.apart
        )
        answers = Answers(candidate, clock.seconds)
        loaded(answers.next(), clock.seconds)
        verdict = compared(data, answers, clock.seconds)
        return settle(verdict, answers.end()) if verdict else None


class Answers:
    """What a job says to the questions that it has been asked, and its end."""

    def __init__(self, candidate: Container, seconds: float) -> None:
        self.candidate, self.seconds = candidate, seconds
        self.held: deque[bytes] = deque()
        self.over: Over | None = None

    def next(self) -> bytes | Over:
        """The next answer, or the end where there is none."""
        while not self.held and self.over is None:
            said = self.candidate.hear(self.seconds)
            if isinstance(said, Over):
                self.over = said
            else:
                self.held.extend(said.answers)
        return self.held.popleft() if self.held else self.over or Over(how="stopped")

    def end(self) -> Over:
        """The end of the job, which is told to stop if it still runs."""
        return self.over or self.candidate.stop()


def compared(tests: plain.Plain, answers: Answers, seconds: float) -> dict[str, Any] | None:
    """The verdict that the answers give, as a judge would say it; None where that is not plain to see."""
    asked = 0
    for test in tests.tests:
        given: dict[Any, Any] = {}
        for call in test.calls:
            said = answers.next()
            asked += 1
            if isinstance(said, Over):
                cause, evidence = ended_cause(said, f"no answer within {seconds:g} s")
                raise Ended(Finding(cause=cause, evidence=join(plain.text(call), evidence)))
            answer = flat(said)
            if "error" in answer:
                kinds = answer.get("kinds")
                cause = "memory_limit" if type(kinds) is list and "MemoryError" in kinds else "exception"
                raised = f"{plain.text(call)} raised {word(answer, 'error')}: {word(answer, 'message')}"[:CUT]
                line = f"({word(answer, 'line')})" if answer.get("line") else ""
                return {"cause": cause, "evidence": join(test.line, f"{raised} {line}".strip())}
            try:
                given[call] = plain.answered(answer["result"])
            except (plain.Unreadable, *plain.REFUSED):
                return None
        try:
            if not plain.evaluate(test.condition, given):
                if not test.says:
                    return None
                evidence = join(test.line, plain.evidence(test, given))
                return {"cause": "wrong_answer", "evidence": evidence, "early": asked < len(tests.questions)}
        except (plain.Unreadable, *plain.REFUSED):
            return None
    return {"cause": "passed"}


# --- functions, by split judge ---------------------------------------------------------------------


def run_functions(pool: Pool, tests: CodeTests, program: Program, *, reading: bool = True) -> Finding:
    """The split judge: by reading the tests, else by running them; shared mode where neither can be."""
    if reading and (data := plain.read(tests)) and (found := run_plain(pool, tests, data, program)):
        return found
    verdict, over = split_judge(pool, tests, program, ahead=True)
    if verdict["cause"] == "unforeseen":
        verdict, over = split_judge(pool, tests, program, ahead=False)
    if verdict["cause"] == "needs_shared":
        return run_shared(pool, tests, program, str(verdict.get("evidence", "")))
    return settle(verdict, over)


def split_judge(
    pool: Pool, tests: CodeTests, program: Program, *, ahead: bool
) -> tuple[dict[str, Any], Over]:
    """The judge's verdict and the candidate's end; `ahead`: the judge asks what it foresees at once."""
    with pool.candidate() as candidate, pool.judge() as judging:
        clock = Clock(pool.limits)
        job = judge_job(tests) | {"ahead": ahead}
        runners = isinstance(tests.tests, PytestTests | UnittestTests)
        judging.launch("judge", JUDGE_SECONDS, json.dumps(job).encode(), output=JUDGE_OUTPUT, runners=runners)
        load(candidate, tests, program, clock)
        verdict = relay(judging, candidate, clock)
        return verdict, candidate.stop()


def settle(verdict: dict[str, Any], over: Over) -> Finding:
    """The judge's verdict, with what the candidate's supervisor saw.

    An `early` verdict was reached while the candidate worked on calls that nobody needs any more; these
    explain an exception, but nothing else.
    """
    cause, evidence = str(verdict["cause"]), str(verdict.get("evidence", ""))
    if cause == "undefined":
        cause = "exception"
    if cause == "tests_broken":
        return Finding(cause=cause, evidence=evidence)
    early = verdict.get("early") is True and cause not in ("passed", "exception")
    if over.oom and not early:
        return Finding(cause="memory_limit", evidence=join(evidence, "a process was killed for memory"))
    if cause == "exception" and over.refused:
        cause = "process_limit"
    if cause == "passed" and over.how in ("protocol", "output"):
        return Finding(cause=ended_cause(over, "")[0], evidence="after the last test")
    return Finding(cause=cause, evidence=evidence, trust="weak" if verdict.get("weak") is True else "strong")


class Clock:
    """What is left of the candidate's time."""

    def __init__(self, limits: CodeLimits) -> None:
        self.each, self.left = limits.seconds, limits.total_seconds
        self.end = time.monotonic() + WALL * limits.total_seconds

    @property
    def seconds(self) -> float:
        return max(min(self.each, self.left), 0.01)

    @property
    def total(self) -> float:
        return max(self.left, 0.01)

    @property
    def over(self) -> bool:
        """All is spent, or so many calls were made that their transport alone took too long."""
        return self.left <= 0 or time.monotonic() > self.end

    def spent(self, said: Said) -> None:
        self.left -= said.milliseconds / 1000


def load(
    candidate: Container,
    tests: CodeTests,
    program: Program,
    clock: Clock,
    role: Literal["functions", "shared"] = "functions",
) -> None:
    """Run the candidate's module; raises Ended where it does not load."""
    preamble = method_wanted(tests) or (
        isinstance(tests.tests, CallTests) and "class Solution" in program.source
    )
    seconds = clock.seconds
    output = max(RESULT_BYTES, candidate.limits.output_kb * 1024)
    said = candidate.start(role, seconds, loading(program, preamble), output=output)
    if isinstance(said, Said):
        clock.spent(said)
    loaded(said if isinstance(said, Over) else said.answer, seconds)


def loading(program: Program, preamble: bool = False) -> bytes:
    """The message by which a job loads the candidate's module."""
    body = {"source": program.source, "context": program.context, "preamble": preamble}
    return json.dumps(body).encode()


def loaded(answer: bytes | Over, seconds: float) -> None:
    """Raises Ended where the candidate's module did not load."""
    if isinstance(answer, Over):
        cause, evidence = ended_cause(answer, f"not loaded within {seconds:g} s")
        raise Ended(Finding(cause=cause, evidence=join("while loading", evidence)))
    said = flat(answer)
    if said.get("loaded") is True:
        return
    if "syntax" in said:
        raise Ended(Finding(cause="syntax_error", evidence=word(said, "syntax")))
    if "error" not in said:
        raise Ended(Finding(cause="protocol_violation", evidence="the program spoke before it was loaded"))
    name = word(said, "error")
    evidence = f"while loading: {name}: {word(said, 'message')} {word(said, 'line')}"[:CUT].strip()
    cause = {"SystemExit": "early_exit", "MemoryError": "memory_limit"}.get(name, "exception")
    raise Ended(Finding(cause=cause, evidence=evidence))


def relay(judging: Container, candidate: Container, clock: Clock) -> dict[str, Any]:
    """Carry the judge's questions to the candidate until there is a verdict; raises Ended.

    The judge asks several at once where it foresees them, and says `more` for the answers that are still
    to come. Where the candidate ends instead, the judge is told so by no answers, and names the question.
    """
    said, over = judging.hear(JUDGE_SECONDS), None
    text, asked, beaten = "", False, time.monotonic()
    while True:
        if isinstance(said, Over):
            raise Ended(judge_ended(said, text))
        line, _, questions = said.answer.partition(b"\n")
        head = flat(line)
        text = str(head.get("text", text))[:CUT]
        match head.get("op"):
            case "verdict" if head.get("cause") in CAUSES:
                judging.wait()
                if head["cause"] == "ended" and over is not None:
                    cause, evidence = ended_cause(over, f"no answer within {clock.each:g} s")
                    raise Ended(Finding(cause=cause, evidence=join(str(head["evidence"]), evidence)))
                return head
            case "ask" if questions:
                asked = True
                apart = head.get("apart") is True
                answers = candidate.ask(questions, clock.seconds, clock.total, apart=apart)
            case "more" if asked:
                answers = candidate.hear(clock.seconds)
            case _:
                raise Ended(Finding(cause="tests_broken", evidence="the tests broke the judge's protocol"))
        if isinstance(answers, Over):
            over = answers
        else:
            clock.spent(answers)
            if text == NAMES and len(answers.body) > FLAT_BYTES:
                judging.stop()
                raise Ended(Finding(cause="protocol_violation", evidence=join(text, "too long an answer")))
            if clock.over:
                judging.stop()
                raise Ended(Finding(cause="timeout", evidence=join(text, "the calls do not end")))
        if over is None and time.monotonic() - beaten > BEAT_SECONDS:
            candidate.beat()  # the tests may think for longer than it waits for a host
            beaten = time.monotonic()
        said = judging.give(answers.body if isinstance(answers, Said) else b"", JUDGE_SECONDS)


def judge_ended(over: Over, text: str) -> Finding:
    """The tests' process died or hung: broken before the first call, else by what the candidate answered."""
    if not text or text == NAMES:
        return Finding(cause="tests_broken", evidence=ended_cause(over, "the tests hang")[1])
    cause, evidence = ended_cause(over, "the tests did not end")
    return Finding(cause=cause, evidence=join(f"in the tests, after {text}", evidence))


def judge_job(tests: CodeTests) -> dict[str, Any]:
    """What the judge is told: everything that the candidate is not."""
    job: dict[str, Any] = {
        "entry": tests.entry_point,
        "prompt": tests.prompt,
        "solution": tests.solution,
        "preamble": method_wanted(tests),
    }
    match tests.tests:
        case AssertTests(statements=statements, setup=setup):
            job |= {"kind": "assert", "statements": statements, "setup": setup}
        case CheckTests(source=source):
            job |= {"kind": "check", "source": source}
        case PytestTests(source=source):
            job |= {"kind": "pytest", "source": source}
        case UnittestTests(source=source):
            job |= {"kind": "unittest", "source": source}
        case CallTests(cases=cases):
            job |= {"kind": "call", "cases": [(case.args, case.expected) for case in cases]}
    return job


def method_wanted(tests: CodeTests) -> bool:
    """LeetCode's convention: such solutions come without their imports."""
    match tests.tests:
        case CheckTests(source=source):
            said = source
        case AssertTests(statements=statements):
            said = "\n".join(statements)
        case _:
            said = ""
    return tests.entry_point.startswith("Solution(") or "Solution()." in said


# --- shared mode -----------------------------------------------------------------------------------


def run_shared(pool: Pool, tests: CodeTests, program: Program, reason: str) -> Finding:
    """Tests and program in one throw-away process, because the tests need it; trusted only weakly."""
    with pool.candidate() as candidate:
        clock = Clock(pool.limits)
        load(candidate, tests, program, clock, role="shared")
        job = judge_job(tests) | {"solution": ""}
        said = candidate.give(json.dumps(job).encode(), max(clock.left, 0.01))
        if isinstance(said, Over):
            cause, evidence = ended_cause(said, "the tests did not end")
        else:
            found = flat(said.answer)
            cause, evidence = str(found.get("cause", "protocol_violation")), str(found.get("evidence", ""))
            over = candidate.stop()
            if cause not in ("passed", "tests_broken", "wrong_answer", "exception"):
                cause = "protocol_violation"
            if over.oom:
                cause = "memory_limit"
    return Finding(
        cause=cause, evidence=join(evidence[:CUT], f"shared: {reason}"), step="shared_judge", trust="weak"
    )


# --- what an end means -----------------------------------------------------------------------------


def ended_cause(over: Over, late: str) -> tuple[str, str]:
    """Cause and evidence where a job ended instead of answering."""
    if over.oom:
        return "memory_limit", "killed for memory"
    if over.refused and over.how in ("timeout", "exit"):
        return "process_limit", last_line(over.stderr) or "too many processes or threads"
    match over.how:
        case "timeout":
            return "timeout", late
        case "output":
            return "output_limit", "more output than the limit"
        case "protocol":
            return "protocol_violation", "an answer that was not asked for"
        case "container":
            return "crashed", "the program ended its container"
    if over.signal is not None:
        return "crashed", f"signal {signal_name(over.signal)}"
    return "early_exit", join(f"exit status {over.exit}", last_line(over.stderr))


def signal_name(number: int) -> str:
    """SIGSEGV for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def last_line(text: str) -> str:
    """The last line with anything on it, cut; empty where there is none."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip()[:CUT] if lines else ""


def word(said: dict[str, Any], key: str) -> str:
    """A text in a foreign object, cut; empty where it has none."""
    found = said.get(key)
    return found[:CUT] if isinstance(found, str) else ""


def flat(body: bytes) -> dict[str, Any]:
    """One JSON object out of foreign bytes; empty where it is none, or too large to be taken apart here."""
    try:
        found = json.loads(body) if len(body) <= FLAT_BYTES else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def cut(text: str, limit: int = 240) -> str:
    """A text in quotes, at most so many characters of it."""
    return repr(text if len(text) <= limit else text[:limit] + "…")


def join(*parts: str) -> str:
    """Pieces of evidence as one; empty ones are left out."""
    return " | ".join(part for part in parts if part)
