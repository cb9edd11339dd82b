"""Tests that are nothing but data: which are, and that reading them finds what running them finds."""

from __future__ import annotations

import ast
import asyncio
import gc
import json
import time
import warnings
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.test_code import LIMITS, hollow, humaneval, mbpp
from tracegen.data import AssertTests, CheckTests, CodeTests
from tracegen.recipe import CodeLimits
from tracegen.sandbox import Finding, Program, Sandbox, plain, selftest
from tracegen.sandbox.container import Over
from tracegen.sandbox.judging import Answers, compared
from tracegen.verify.code import context, extract_code


def asserts(*statements: str, setup: str = "", entry_point: str = "f", prompt: str = "") -> CodeTests:
    return CodeTests(AssertTests(statements, setup), entry_point, prompt)


def checks(source: str, prompt: str = "") -> CodeTests:
    return CodeTests(CheckTests(source), "f", prompt)


READ = [
    "assert f(1, [2, (3, 'x')], {'a': None}) == {1: (2.5, -3)}",
    "assert f(1) == f(2)",
    "assert f(a=1)",
    "assert not f()",
    "assert f(1) is None",
    "assert f(1) is not True",
    "assert f(1) != 2 and f(2) >= 3",
    "assert 2 in f(1)",
    "assert abs(f(1) - 0.5) < 1e-6",
    "assert math.isclose(f(1), 2 / 3, rel_tol=1e-9)",
    "assert round(f(1), 2) == 1.23",
    "assert set(f(1)) == {1, 2}",
    "assert sorted(f([3, 1])) == sorted([1, 3])",
    "assert len(f('x' + 'y')) == 10**2",
    "assert isinstance(f(1), (int, float))",
    "assert (f(1), f(2)) == (1, 2), 'both'",
    "assert f(1) == 1, f'not {f(1)}'",
    "assert f(-1.5e300, b'x', 2**70) == []",
]
NOT_READ = [
    "x = [3, 1]; f(x); assert x == [1, 3]",
    "assert f(x) == 1",
    "assert f(g(1)) == 1",
    "assert f(f(1)) == 1",
    "assert f(1) is 1",
    "assert f(1) == 1 or f(1) == 2",
    "assert all(f(x) for x in [1])",
    "assert f(*[1]) == 1",
    "assert f(**{'a': 1}) == 1",
    "assert f({1, 2}) == 1",
    "assert f(1).x == 1",
    "assert f(1)[0] == 1",
    "assert 1 < f(1) < 3",
    "assert f(1) == 1j",
    "assert eval('f(1)') == 1",
    "assert str.upper(f(1)) == 'A'",
    "assert True",
    "assert f(lambda x: x) == 1",
    "f(1)",
    "assert f(1) ==",
    "import os; assert f(1) == 1",
    "assert f(1) == __import__('os').getpid()",
]


@pytest.mark.parametrize("statement", READ)
def test_are_asserts_of_calls_and_literals(statement: str) -> None:
    assert plain.read(asserts(statement)) is not None
    assert (
        plain.read(checks(f"def check(candidate):\n    {statement.replace('f(', 'candidate(')}")) is not None
    )


@pytest.mark.parametrize("statement", NOT_READ)
def test_are_nothing_that_runs_code(statement: str) -> None:
    assert plain.read(asserts(statement)) is None


@pytest.mark.parametrize(
    "tests",
    [
        asserts("assert f(1) == 1", setup="import os"),
        asserts("assert f(1) == 1", setup="f = len"),
        asserts("assert f(1) == 1", prompt="class Node: ..."),
        asserts("assert f(1) == 1", prompt="def f(x): ...", entry_point=""),
        asserts("assert len(f(1)) == 1", prompt="def len(x): ..."),
        asserts("assert f(1) == 1", entry_point="Solution().f"),
        asserts("assert max([1]) == 1", entry_point=""),
        asserts("assert heapq(1) == 1", entry_point=""),
        asserts("assert f(1) == 1", "assert g(1) == 1", entry_point=""),
        checks("def check(candidate, n=1):\n    assert candidate(1) == n"),
        checks("def check(candidate):\n    assert candidate(1) == 1\ncheck(g)"),
        checks("def check(candidate):\n    assert candidate(1) == 1\ncheck(Node().f)"),
        checks("@wrap\ndef check(candidate):\n    assert candidate(1) == 1"),
        checks("len = 1\ndef check(candidate):\n    assert len(candidate(1)) == 1"),
    ],
)
def test_are_nothing_whose_names_may_mean_something_else(tests: CodeTests) -> None:
    assert plain.read(tests) is None


class Garbage:
    """What lets another thread in while it is collected."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        time.sleep(0)


def test_are_read_in_many_threads_while_garbage_is_collected() -> None:
    nested = "assert f([[1, [2, [3]]], {'a': (1, (3,))}]) == {1: [2, [3]], 'b': [[[]]]}"

    def read_some(thread: int) -> None:
        for number in range(100):
            Garbage()
            assert plain.read(asserts(*[nested] * 5, f"assert f({thread}) == {number}"))

    held = gc.get_threshold()
    gc.set_threshold(20)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(read_some, range(4)))
    finally:
        gc.set_threshold(*held)


def test_may_check_a_method_themselves() -> None:
    source = "def check(candidate):\n    assert candidate(n = 1) == 1\n\ncheck(Solution().f)"
    found = plain.read(CodeTests(CheckTests(source), "Solution().f", "Write class Solution:"))
    assert found is not None
    assert json.loads(found.questions[0])["name"] == "Solution().f"
    assert plain.read(CodeTests(CheckTests(source))) is not None


def test_ask_for_the_calls_in_the_order_in_which_python_makes_them() -> None:
    found = plain.read(asserts("assert f(1) + f(2) == f(3) and not f(4)", "assert f(5)"))
    assert found is not None
    asked = [json.loads(question)["call"]["n"][1] for question in found.questions]
    assert asked == [["l", 1], ["l", 2], ["l", 3], ["l", 4], ["l", 5]]


def test_send_no_value_that_is_expected() -> None:
    found = plain.read(asserts("assert f('given') == 'wanted', 'message'"))
    assert found is not None
    assert b"given" in found.questions[0]
    assert b"wanted" not in b"".join(found.questions) and b"message" not in b"".join(found.questions)


def message(value: Any, *nodes: list[Any]) -> dict[str, Any]:
    return {"v": [0], "n": [["l", value, None], *nodes]}


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (message(1), 1),
        (message([1], ["t", 1, [2]], ["l", "x"]), (1, ["x"])),
        (message([1], ["S", 1, 2]), {1, 2}),
        (message([1], ["d", "a", [2]], ["i", "-ff"]), {"a": -255}),
    ],
)
def test_take_an_answer_that_is_plain_data(answer: dict[str, Any], value: object) -> None:
    assert plain.answered(answer) == value


@pytest.mark.parametrize(
    "answer",
    [
        message([1], ["h", 0, "object", "Evil"]),
        message([1], ["o", "Node"]),
        message([1], ["A", "<i8", [1], "00"]),
        message([1], ["l", [1]]),
        message([1], *(["l", [n + 2], [n + 2]] for n in range(30)), ["l"]),
        message([1], ["S", *range(5000)]),
        message([1], ["i", "f" * 100_000]),
        message([9]),
        message([True]),
        message([1], []),
        message([1], 5),  # type: ignore[arg-type]  # no node at all
        message([1], ["t", [-1]]),
        message(10**40),
        {"v": [0], "n": [["l", 1, [1]], ["l"]]},
        {"v": 1, "n": []},
        message([1], ["l", *([2] for _ in range(1000))], ["i", *"f" * 1000]),
        message([1], ["l", *([2] for _ in range(100))], ["S", *range(900)]),
        {},
    ],
    ids=lambda answer: str(answer)[:40],
)
def test_take_no_answer_that_is_more(answer: dict[str, Any]) -> None:
    with pytest.raises((plain.Unreadable, *plain.REFUSED)):
        plain.answered(answer)


class Heard(Answers):
    """What a candidate has said already."""

    def __init__(self, *held: bytes) -> None:
        self.held, self.over = deque(held), Over(how="stopped")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (b'{"result": {"v": [0], "n": [["l", 3, null]]}}', "passed"),
        (b'{"result": {"v": [0], "n": [["l", 4, null]]}}', "wrong_answer"),
        (b'{"error": "ValueError", "message": "no", "kinds": ["ValueError"]}', "exception"),
        (b'{"error": "MemoryError", "kinds": ["MemoryError", "Exception"]}', "memory_limit"),
        (b'{"error": [[]], "message": {}, "kinds": 5, "line": [1]}', "exception"),
        (b'{"error": ' + b"[" * 900 + b"]" * 900 + b"}", "exception"),
        (b'{"result": ' + b"[" * 900 + b"]" * 900 + b"}", ""),
        (b'{"result": {"v": [0], "n": [["l", "' + b"x" * (1 << 21) + b'", null]]}}', ""),
        (b'{"absent": true}', ""),
        (b"[]", ""),
        (b"\xff\x00", ""),
        (b"", ""),
    ],
    ids=lambda said: str(said)[:40],
)
def test_make_of_an_answer_a_verdict_or_leave_it_to_the_judge(said: bytes, cause: str) -> None:
    data = plain.read(asserts("assert f(1) == 3"))
    assert data is not None
    verdict = compared(data, Heard(said), 1.0)
    assert (verdict["cause"] if verdict else "") == cause


@pytest.mark.parametrize(
    ("statement", "given"),
    [
        ("assert list(f(1)) == [1]", {1, 2}),
        ("assert sum(f(1)) == 1", {1.0, 2.0}),
        ("assert sorted(f(1)) == [1]", {frozenset({1}), frozenset({2})}),
        ("assert f(1) ** f(1) == 1", 10**9),
        ("assert f(1) < 3", "a"),
        ("assert 1 / f(1) == 3", 0),
        ("assert str(f(1)) == '[]'", []),
        ("assert round(1.5, f(1)) == 1", 10**9),
        ("assert f(1) * f(1) == 'x'", "x"),
    ],
)
def test_leave_to_the_judge_what_depends_on_the_process_or_is_not_taken(
    statement: str, given: object
) -> None:
    found = plain.read(asserts(statement))
    assert found is not None
    [test] = found.tests
    with pytest.raises((plain.Unreadable, *plain.REFUSED)):
        plain.evaluate(test.condition, dict.fromkeys(test.calls, given))


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("1 == 1.0", True), ("1 == True", True), ("(1, 2) == [1, 2]", False), ("0.0 == -0.0", True),
        ("{1: 2} == {1.0: 2}", True), ("{1, 2} == {2, 1}", True), ("'1' == 1", False), ("[] == ()", False),
        ("0.1 + 0.2 == 0.3", False), ("[[1], {2: (3,)}] == [[1], {2: (3,)}]", True), ("-(1) < 0", True),
        ("not [] and 2 in [1, 2]", True), ("round(2.5) == 2", True), ("isinstance(True, int)", True),
    ],
)  # fmt: skip
def test_compare_as_python_does(expression: str, holds: bool) -> None:
    assert plain.evaluate(ast.parse(expression, mode="eval").body, {}) is holds


# --- both ways -------------------------------------------------------------------------------------


def both_ways(
    jobs: Iterable[tuple[CodeTests, str]], limits: CodeLimits = LIMITS
) -> list[tuple[str, Any, Any]]:
    """Of each program: what reading its tests finds, and what running them does."""

    def kept(found: Finding) -> tuple[str, str, str]:
        return found.cause, found.step, found.trust

    async def all_of_them(reading: bool) -> list[Finding]:
        async with Sandbox(limits, reading=reading) as sandbox:
            return await asyncio.gather(
                *(
                    sandbox.judge(tests, Program(source=code, context=context(code, tests)))
                    for tests, answer in jobs
                    for code, _ in [extract_code(answer, tests, bare=True)]
                )
            )

    jobs = list(jobs)
    read, ran = asyncio.run(all_of_them(True)), asyncio.run(all_of_them(False))
    return [
        (f"{answer}\n# {one.evidence} | {other.evidence}", kept(one), kept(other))
        for (_, answer), one, other in zip(jobs, read, ran, strict=True)
    ]


def different(found: Iterable[tuple[Any, Any, Any]]) -> list[tuple[Any, Any, Any]]:
    return [(what, one, other) for what, one, other in found if one != other]


@pytest.mark.docker
@pytest.mark.slow
def test_find_what_the_judge_finds_of_every_hostile_and_honest_program() -> None:
    cases = [case for case in selftest.cases() if plain.read(case.reference)]
    assert len(cases) > 200
    found = both_ways(((case.reference, case.solution) for case in cases), selftest.LIMITS)
    # A program that attacks the clock or the conversation itself may be caught at either.
    reports = [(case.causes, one, other) for case, (_, one, other) in zip(cases, found, strict=True)]
    assert different(row for row in reports if not {row[1][0], row[2][0]} <= set(row[0])) == []
    assert [one[0] == "passed" for _, one, _ in reports] == [case.honest for case in cases]


def mutants(source: str) -> list[str]:
    """The program, hollow, with one more than it returns, with a list of it, and one that raises."""
    with warnings.catch_warnings(action="ignore"):
        tree = ast.parse(source)
    extra = [
        source + f"\n_held = {name}\ndef {name}(*a, **k):\n    return {value}\n"
        for name in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)][-1:]
        for value in ("_held(*a, **k) + 1", "[_held(*a, **k)]", "_held()", "type('X', (), {})()")
    ]
    return [source, hollow(source), *extra]


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("suite", [humaneval, mbpp])
def test_find_what_the_judge_finds_of_right_and_wrong_solutions(suite: Any, shared: Path) -> None:
    rows = [(tests, tests.prompt + good) for tests, good, _ in suite(shared) if plain.read(tests)][::3]
    assert len(rows) > 30
    jobs = [(tests, program) for tests, good in rows for program in mutants(good)]
    assert different(both_ways(jobs)) == []


@pytest.mark.docker
def test_find_what_the_judge_finds_of_every_kind_of_end() -> None:
    kinds = {
        "passed": "def f(x):\n    return x",
        "wrong": "def f(x):\n    return -x",
        "raises": "def f(x):\n    raise KeyError(x)",
        "no memory": "def f(x):\n    raise MemoryError",
        "undefined": "def g(x):\n    return x",
        "value": "f = 3",
        "class": "class f(int): pass",
        "does not load": "import nothing\ndef f(x):\n    return x",
        "not Python": "def f(x:\n    return x",
        "exits": "import os\ndef f(x):\n    os._exit(0)",
        "exits while loading": "import os\nos._exit(0)",
        "leaves": "def f(x):\n    raise SystemExit(0)",
        "endless": "def f(x):\n    while x == 2: pass\n    return x",
        "endless after a wrong answer": "def f(x):\n    while x == 2: pass\n    return 7",
        "stops the iteration": "def f(x):\n    raise StopIteration",
        "hostile": "class I(int):\n    def __eq__(s, o): return True\ndef f(x):\n    return I(x)",
        "true": "def f(x):\n    return x == 1 or x",
        "generator": "def f(x):\n    yield x",
        "speaks": "import os\nos.write(4, b'x' * 50)\ndef f(x):\n    return x",
    }
    tests = asserts("assert f(1) == 1", "assert f(2) == 2", "assert f(3) == 3")
    of_a_method = CodeTests(
        CheckTests("def check(candidate):\n    assert candidate(1) == 1\ncheck(Solution().f)"), "Solution().f"
    )
    methods = {
        "right": "class Solution:\n    def f(self, x: List[int]):\n        return x",
        "wrong": "class Solution:\n    def f(self, x):\n        return 2",
        "not made": "class Solution:\n    def __init__(self): raise OSError\n    def f(self, x): return x",
        "no method": "class Solution: pass",
        "no class": "def Solution(): pass",
    }
    found = both_ways(((of_a_method, source) for source in methods.values()), LIMITS)
    assert different(found) == []
    assert [one[0] for _, one, _ in found][:2] == ["passed", "wrong_answer"]
    found = both_ways(((tests, source) for source in kinds.values()), CodeLimits(seconds=1, memory_mb=256))
    assert different(found) == []
