"""Judging code: what is run, in which sandbox mode, and what the outcome is called.

    outcome        cause
    correct        passed
    incorrect      wrong_answer, exception, timeout, memory_limit, output_limit, process_limit, crashed,
                   early_exit, syntax_error, compile_error, protocol_violation
    no_answer      no_code
    unverifiable   tests_broken, solution_rejected (by `check_tests` only)
    error          docker_unavailable, image_missing, container_lost: ours, owed again

Expected values and test code never enter the container that runs the candidate, unless the tests cannot
be forwarded (they patch, capture output or pass functions): then step is `shared_judge` and trust `weak`.
"""

from __future__ import annotations

import ast
import functools
import re
import textwrap
import time
import warnings

from tracegen import languages
from tracegen.data import (
    AssertTests,
    CallTests,
    CheckTests,
    CodeTests,
    Outcome,
    PytestTests,
    StdioTests,
    UnittestTests,
    Verdict,
)
from tracegen.errors import SandboxError
from tracegen.languages import Language
from tracegen.sandbox import Finding, Program, Sandbox
from tracegen.syntax import tree_of

FENCE = re.compile(
    r"^[ \t]*(```+|~~~+)[ \t]*([^\n`]*)\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
LIMIT = 1 << 20
"""Characters of an answer that are searched for code."""
PARSED = 64 << 10
"""Characters of a program that is parsed here; of a longer one its names are looked for in its text."""


# --- which code ------------------------------------------------------------------------------------


def extract_code(answer: str, tests: CodeTests, *, bare: bool = False) -> tuple[str, str]:
    """The program in an answer, and how it was found; both empty where there is none.

    The last fenced Python block that defines the entry point, else the last one that is not another
    language's, else the whole text if it parses and defines it. A body without its head gets the prompt in
    front. `bare` says that the whole answer is the code. Other languages: see `fenced_program`.
    """
    language = languages.load(tests.language)
    answer = answer[:LIMIT].removeprefix("\ufeff").replace("\r\n", "\n")
    if bare:
        whole = complete(answer, tests) if language.name == "python" else answer
        return (whole, "bare") if answer.strip() else ("", "")
    blocks = [(word.strip().lower(), code) for _, word, code in FENCE.findall(answer)]
    blocks = [(word.split()[0] if word else "", code) for word, code in blocks if code.strip()]
    if language.name != "python":
        return fenced_program(blocks, language)
    ours = [textwrap.dedent(code) for word, code in blocks if not word or word in language.words]
    for code in reversed(ours):
        if defines(code, tests):
            return code, "fenced"
    if ours:
        return complete(ours[-1], tests), "last fenced"
    if not blocks and parses(answer) and (defines(answer, tests) if root(tests) else has_code(answer)):
        return answer, "whole text"
    if not blocks and tests.prompt and answer[:1].isspace() and parses(tests.prompt + answer):
        return tests.prompt + answer, "completion"
    return "", ""


def fenced_program(blocks: list[tuple[str, str]], language: Language) -> tuple[str, str]:
    """The last block of the language that is a whole program, else the last one of it.

    A block without a word, or with that of a near relative, comes after those that say the language.
    """
    blocks = [(word, textwrap.dedent(code)) for word, code in blocks]
    named = [code for word, code in blocks if word in language.words]
    maybe = [code for word, code in blocks if not word or word in language.fences]
    for group in (named, maybe):
        for code in reversed(group):
            if language.holds_program(code):
                return code, "fenced"
    last = (named or maybe)[-1:]
    return (last[0], "last fenced") if last else ("", "")


def root(tests: CodeTests) -> str:
    """The name that the program has to define; empty where none is named."""
    return re.split(r"[.(]", tests.entry_point, maxsplit=1)[0]


def defines(code: str, tests: CodeTests) -> bool:
    """The code binds the entry point, or (without one) is any Python at all."""
    name = root(tests)
    tree = parse(code)
    if tree is None:
        return (
            bool(name)
            and re.search(rf"^(?:async\s+def|def|class)\s+{re.escape(name)}\b", code, re.MULTILINE)
            is not None
        )
    return not name or any(name in bindings(node) for node in tree.body)


def bindings(node: ast.stmt) -> set[str]:
    """Names that a top-level statement binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return {
        part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)
    }


def complete(code: str, tests: CodeTests) -> str:
    """The code, behind the prompt where it is only the body that the prompt asks for."""
    if not tests.prompt or not root(tests) or defines(code, tests):
        return code
    indented = tests.prompt + textwrap.indent(code, "    ")
    if not code.lstrip("\n")[:1].isspace() and parses(indented):
        return indented
    apart = f"{tests.prompt}\n{code}"  # a prompt that ends with its docstring's last line
    return apart if not parses(tests.prompt + code) and parses(apart) else tests.prompt + code


def context(code: str, tests: CodeTests) -> str:
    """The prompt's imports and helpers, for a program that was written as if they were there."""
    if not tests.prompt or tests.prompt.strip() in code or isinstance(tests.tests, StdioTests):
        return ""
    return tests.prompt if parses(tests.prompt) else ""


@functools.lru_cache(maxsize=16)
def parse(code: str) -> ast.Module | None:
    """The tree, which nobody changes; None where it is not Python, or too long to be parsed here."""
    if len(code) > PARSED:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a program's bad escapes are its own affair
            return tree_of(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parses(code: str) -> bool:
    return parse(code) is not None


def has_code(text: str) -> bool:
    """More than a lone word or string, which parse as Python, too."""
    tree = parse(text)
    return tree is not None and any(
        not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in tree.body
    )


# --- the verdict -----------------------------------------------------------------------------------


async def judge_code(sandbox: Sandbox, tests: CodeTests, answer: str, *, bare: bool = False) -> Verdict:
    """Judge the program in an answer; never raises for what the sandbox or the program does."""
    began = time.monotonic()
    code, _ = extract_code(answer, tests, bare=bare)
    if not code.strip():
        return Verdict(outcome="no_answer", cause="no_code", step="extract", milliseconds=since(began))
    try:
        finding = await sandbox.judge(tests, Program(source=code, context=context(code, tests)))
    except SandboxError as error:
        return Verdict(
            outcome="error", cause=error.cause, step="sandbox", extracted=code, evidence=str(error),
            trust="none", milliseconds=since(began),
        )  # fmt: skip
    return Verdict(
        outcome=outcome(finding),
        cause=finding.cause,
        step=finding.step,
        extracted=code,
        evidence=finding.evidence,
        trust=finding.trust,
        milliseconds=finding.milliseconds,
    )


def outcome(finding: Finding) -> Outcome:
    match finding.cause:
        case "passed":
            return "correct"
        case "tests_broken":
            return "unverifiable"
    return "incorrect"


def since(began: float) -> float:
    return (time.monotonic() - began) * 1000


async def check_tests(sandbox: Sandbox, tests: CodeTests) -> Verdict:
    """Whether a problem's tests can be used: its own solution passes, or at least they load and call.

    `correct` if they can; `unverifiable` with cause solution_rejected or tests_broken if not; `error` where
    the sandbox failed.
    """
    if tests.solution.strip():
        verdict = await judge_code(sandbox, tests, tests.solution, bare=True)
        if verdict.outcome not in ("incorrect", "no_answer"):
            return verdict
        evidence = f"the reference solution: {verdict.cause}: {verdict.evidence}"
        return rename(verdict, "unverifiable", "solution_rejected", evidence)
    if isinstance(tests.tests, StdioTests):
        return await check_cases(sandbox, tests.tests)
    verdict = await judge_code(sandbox, tests, stand_in(tests), bare=True)
    if verdict.outcome in ("correct", "incorrect"):
        return rename(verdict, "correct", "tests_load", f"a function that does nothing: {verdict.evidence}")
    return verdict


async def check_cases(sandbox: Sandbox, tests: StdioTests) -> Verdict:
    """The same for input/output pairs without a solution: a checker must accept what they expect."""
    if not tests.cases:
        return Verdict("unverifiable", "tests_broken", "stdio", evidence="no cases", trust="weak")
    if not tests.checker:
        return Verdict("correct", "tests_load", "stdio", trust="weak")
    try:
        found = await sandbox.check_checker(tests)
    except SandboxError as error:
        return Verdict("error", error.cause, "sandbox", evidence=str(error), trust="none")
    if found.cause != "passed":
        return Verdict("unverifiable", "tests_broken", found.step, evidence=found.evidence, trust="weak")
    return Verdict("correct", "tests_load", found.step, trust="weak", milliseconds=found.milliseconds)


def rename(verdict: Verdict, outcome: Outcome, cause: str, evidence: str) -> Verdict:
    return Verdict(
        outcome=outcome, cause=cause, step=verdict.step, evidence=evidence, trust=verdict.trust,
        milliseconds=verdict.milliseconds,
    )  # fmt: skip


def stand_in(tests: CodeTests) -> str:
    """A program that defines every name the tests may call, and does nothing."""
    names = {root(tests)} if root(tests) else called_names(tests)
    method = re.fullmatch(r"(\w+)\(\)\.(\w+)", tests.entry_point)
    if method:
        return f"class {method[1]}:\n    def {method[2]}(self, *args, **kwargs):\n        return None\n"
    return "".join(f"def {name}(*args, **kwargs):\n    return None\n" for name in sorted(names)) or "pass\n"


def called_names(tests: CodeTests) -> set[str]:
    """Functions that the tests call by name."""
    match tests.tests:
        case AssertTests(statements=statements):
            source = "\n".join(statements)
        case CheckTests(source=source) | PytestTests(source=source) | UnittestTests(source=source):
            pass
        case CallTests() | StdioTests():
            return set()
    tree = parse(source)
    return {
        node.func.id
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
