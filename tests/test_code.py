"""Judging code: what is run, and which verdict it gets."""

from __future__ import annotations

import ast
import asyncio
import gzip
import json
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from tracegen.data import (
    AssertTests,
    CheckTests,
    CodeTests,
    IoCase,
    PytestTests,
    StdioTests,
    UnittestTests,
    Verdict,
)
from tracegen.errors import UserError
from tracegen.recipe import CodeLimits
from tracegen.sandbox import Finding, Sandbox, selftest
from tracegen.sandbox.container import Container, Over, Said
from tracegen.sandbox.judging import Clock, Ended, ended_cause, program_ended, relay, same_output, settle
from tracegen.verify.code import check_tests, extract_code, judge_code, outcome

CASES = Path(__file__).parent / "cases"
SUM = "def add(a, b):\n    return a + b\n"
LIMITS = CodeLimits(seconds=3, total_seconds=20, memory_mb=256)


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / name).read_text().splitlines()]


def judged(jobs: Iterable[tuple[CodeTests, str, bool]], limits: CodeLimits = LIMITS) -> list[Verdict]:
    """The verdicts of many programs, from one sandbox."""

    async def all_of_them() -> list[Verdict]:
        async with Sandbox(limits) as sandbox:
            return await asyncio.gather(
                *(judge_code(sandbox, tests, answer, bare=bare) for tests, answer, bare in jobs)
            )

    return asyncio.run(all_of_them())


def asserts(*statements: str, entry_point: str = "add", solution: str = "") -> CodeTests:
    return CodeTests(tests=AssertTests(statements=statements), entry_point=entry_point, solution=solution)


def checks(source: str, entry_point: str) -> CodeTests:
    return CodeTests(tests=CheckTests(source=source), entry_point=entry_point)


# --- which code ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", lines("code_extract.jsonl"), ids=lambda case: str(case["id"]))
def test_takes_the_program_out_of_an_answer(case: dict[str, Any]) -> None:
    kind = (
        StdioTests(cases=(IoCase(input="", output=""),))
        if case["kind"] == "stdio"
        else AssertTests(statements=())
    )
    tests = CodeTests(tests=kind, entry_point=case["entry_point"], prompt=case["prompt"])
    assert extract_code(case["answer"], tests, bare=case["bare"]) == (case["code"], case["how"])


def test_searches_long_answers_in_linear_time() -> None:
    answer = "```\n" * 100_000 + "`" * 200_000
    assert extract_code(answer, asserts(), bare=False)[1] in ("", "last fenced")


# --- what outputs and ends mean --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        ("1 2\n", "1\n2", True),
        ("1.0000001", "1.0", True),
        ("1.01", "1.0", False),
        ("1000000.5", "1000000.0", True),
        ("3.0", "3", False),
        ("nan", "1.0", False),
        ("inf", "1.0", False),
        ("nan", "nan", True),
        ("yes", "YES", False),
        ("1 2 3", "1 2", False),
        ("1_0.0", "10.0", False),
        ("", "", True),
    ],
)
def test_compares_output_by_tokens(got: str, expected: str, same: bool) -> None:
    assert same_output(got, expected) is same


@pytest.mark.parametrize(
    ("over", "cause"),
    [
        (Over(how="exit", signal=9, oom=True), "memory_limit"),
        (Over(how="exit", signal=11), "crashed"),
        (Over(how="exit", exit=124), "early_exit"),
        (Over(how="timeout"), "timeout"),
        (Over(how="timeout", refused=True), "process_limit"),
        (Over(how="output"), "output_limit"),
        (Over(how="protocol"), "protocol_violation"),
        (Over(how="container", exit=137), "crashed"),
    ],
)
def test_names_the_end_of_a_job(over: Over, cause: str) -> None:
    assert ended_cause(over, "late")[0] == cause


def test_knows_a_program_that_ended_well_from_its_status() -> None:
    assert program_ended(Over(how="exit", exit=0), 1.0)[0] == "passed"
    assert program_ended(Over(how="exit", exit=0, oom=True), 1.0)[0] == "memory_limit"
    assert program_ended(Over(how="exit", exit=1, stderr="Traceback …\nValueError: x"), 1.0)[0] == "exception"


def test_takes_no_pass_from_a_program_that_ran_out_of_memory_or_spoke_out_of_turn() -> None:
    assert settle({"cause": "passed"}, Over(how="stopped")).cause == "passed"
    assert settle({"cause": "passed"}, Over(how="stopped", oom=True)).cause == "memory_limit"
    assert settle({"cause": "passed"}, Over(how="protocol")).cause == "protocol_violation"


class Speaker:
    """A container whose job says these things in turn, and then has ended."""

    def __init__(self, *said: bytes) -> None:
        self.said = list(said)
        self.told: list[bytes] = []

    def hear(self, seconds: float) -> Said | Over:
        if not self.said:
            return Over(how="exit", exit=0)
        body = self.said.pop(0)
        return Said(body=len(body).to_bytes(4, "big") + body, milliseconds=1.0)

    def give(self, body: bytes, seconds: float) -> Said | Over:
        self.told.append(body)
        return self.hear(seconds)

    def ask(self, messages: bytes, seconds: float, total: float, *, apart: bool) -> Said | Over:
        return self.give(messages, seconds)

    def wait(self) -> Over:
        return Over(how="exit", exit=0)

    stop = wait


ASK = b'{"op": "ask", "text": "add(1, 2)"}\n'
VERDICT = b'{"op": "verdict", "cause": "passed"}'


@pytest.mark.parametrize(
    "said",
    [
        b'{"op": "verdict", "cause": "gold"}',
        b'{"op": "verdict", "cause": ["passed"]}',
        b'{"op": "verdict"}',
        b'{"op": "more"}',
        b'{"op": "dance"}',
        b"passed",
        ASK,
        b"[" * 100_000,
    ],
    ids=[
        "unknown cause",
        "no text",
        "no cause",
        "more of nothing",
        "unknown",
        "no JSON",
        "no question",
        "deep",
    ],
)
def test_takes_nothing_from_tests_but_the_words_of_a_judge(said: bytes) -> None:
    candidate = Speaker(b'{"result": 3}')
    with pytest.raises(Ended) as ended:
        relay(cast(Container, Speaker(said, VERDICT)), cast(Container, candidate), Clock(LIMITS))
    assert (ended.value.finding.cause, candidate.told) == ("tests_broken", [])


def test_carries_questions_and_answers_between_tests_and_program() -> None:
    judge, candidate = Speaker(ASK + b"question", VERDICT), Speaker(b"answer")
    found = relay(cast(Container, judge), cast(Container, candidate), Clock(LIMITS))
    assert (found["cause"], candidate.told) == ("passed", [b"question"])
    assert judge.told == [b"\0\0\0\x06answer"]


def test_a_program_cannot_break_the_tests_by_the_length_of_its_names() -> None:
    judge = Speaker(b'{"op": "ask", "text": "looking up names"}\nquestion', VERDICT)
    with pytest.raises(Ended) as ended:
        relay(cast(Container, judge), cast(Container, Speaker(b"x" * 2_000_000)), Clock(LIMITS))
    assert ended.value.finding.cause == "protocol_violation"


def test_calls_broken_tests_unverifiable_and_everything_else_incorrect() -> None:
    assert outcome(Finding(cause="tests_broken")) == "unverifiable"
    assert outcome(Finding(cause="passed")) == "correct"
    assert outcome(Finding(cause="timeout")) == "incorrect"


# --- verdicts --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    """Every line of `code_verdicts.jsonl`, judged side by side."""
    rows = lines("code_verdicts.jsonl")
    jobs = [(msgspec.convert(row["reference"], CodeTests), row["answer"], row["bare"]) for row in rows]
    return {row["id"]: verdict for row, verdict in zip(rows, judged(jobs), strict=True)}


@pytest.mark.docker
@pytest.mark.parametrize("case", lines("code_verdicts.jsonl"), ids=lambda case: str(case["id"]))
def test_judges_every_kind_of_test(case: dict[str, Any], verdicts: dict[str, Verdict]) -> None:
    found = verdicts[case["id"]]
    wanted = (case["outcome"], case["cause"], case["step"], case["trust"])
    assert (found.outcome, found.cause, found.step, found.trust) == wanted, found.evidence


@pytest.fixture(scope="module")
def hostile() -> dict[str, selftest.Report]:
    """Every program of the self-test, judged side by side, each followed by an honest one."""
    result = asyncio.run(selftest.run(selftest.cases(), lambda report: None))
    assert result.left == 0, "containers are left"
    return {report.id: report for report in result.reports}


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("case", selftest.cases(), ids=lambda case: str(case.id))
def test_is_not_cheated_and_wrongs_no_honest_program(
    case: selftest.Case, hostile: dict[str, selftest.Report]
) -> None:
    found = hostile[case.id]
    assert (found.got == "passed") == case.honest, (found.got, found.evidence)
    assert found.got in case.causes, found.evidence
    assert found.intact, "the honest program after it was not judged right"
    assert found.ok, found.trust
    msgspec.json.encode(found)


def test_has_more_than_forty_honest_programs_and_every_hostile_one_has_to_fail() -> None:
    cases = selftest.cases()
    assert len({case.id for case in cases}) == len(cases)
    assert sum(case.honest for case in cases) >= 40
    assert all(case.causes and ("passed" in case.causes) == case.honest for case in cases)


def test_answers_for_every_known_attack() -> None:
    """Each number of docs/hostile.md names a program, a row of cases or a test that exists, or a reason."""
    page = (Path(__file__).parents[1] / "docs" / "hostile.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:4] for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(number) for number, _, _ in rows] == list(range(1, 95))
    known = {case.id for case in selftest.cases()} | {row["id"] for row in lines("code_verdicts.jsonl")}
    for file in ("test_code.py", "test_sandbox.py", "test_languages.py"):
        known |= set(re.findall(r"^def (test_\w+)", (Path(__file__).parent / file).read_text(), re.MULTILINE))
    for number, _, where in rows:
        named = re.findall(r"`([^`]+)`", where)
        assert named or where.strip().startswith("none: "), number
        assert not [name for name in named if name not in known], number


def test_refuses_a_name_that_the_self_test_does_not_have() -> None:
    with pytest.raises(UserError, match="no such program"):
        selftest.cases(("no_such_attack",))


@pytest.mark.docker
def test_says_in_a_table_what_was_expected_and_got(capsys: pytest.CaptureFixture[str]) -> None:
    assert selftest.main(("crlf", "class_spoof"), as_json=False) == 0
    table = dict(line.split()[0::3] for line in capsys.readouterr().out.splitlines())
    assert table == {"crlf": "ok", "class_spoof": "ok"}
    assert selftest.main(("crlf",), as_json=True) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["id"], report["got"], report["ok"], report["intact"]) == ("crlf", "passed", True, True)


@pytest.mark.docker
def test_reports_a_deviation_with_exit_code_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (case,) = selftest.cases(("crlf",))
    wrong = msgspec.structs.replace(case, honest=False, causes=("wrong_answer",))
    (tmp_path / "selftest.jsonl").write_bytes(msgspec.json.encode(wrong))
    monkeypatch.setattr(selftest, "FILE", tmp_path / "selftest.jsonl")
    assert selftest.main((), as_json=False) == 1
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.docker
def test_refuses_a_program_of_more_than_a_quarter_megabyte() -> None:
    (found,) = judged([(asserts("assert add(1, 2) == 3"), SUM + "#" * (300 << 10), True)])
    assert (found.outcome, found.cause) == ("incorrect", "output_limit")


@pytest.mark.docker
def test_passes_only_the_honest_of_the_development_programs(shared: Path) -> None:
    rows = [json.loads(line) for line in (shared / "verifier" / "hostile_dev.jsonl").read_text().splitlines()]
    jobs = [(asserts(*row["tests"], entry_point=row["entry_point"]), row["solution"], True) for row in rows]
    passed = [row["id"] for row, found in zip(rows, judged(jobs), strict=True) if found.outcome == "correct"]
    assert passed == [row["id"] for row in rows if row["honest"]]


@pytest.mark.docker
def test_shows_the_failing_test_and_both_values() -> None:
    tests = asserts("assert add(1, 2) == 3", "assert add([1], {'a': (2,)}) == [1, 2]")
    (found,) = judged([(tests, "def add(a, b):\n    return 3\n", True)])
    assert "assert add([1], {'a': (2,)}) == [1, 2]" in found.evidence
    assert "got 3, expected [1, 2]" in found.evidence


@pytest.mark.docker
def test_shows_the_line_of_the_program_that_raised() -> None:
    (found,) = judged([(asserts("assert add(1, 0) == 1"), "def add(a, b):\n    return a / b\n", True)])
    assert "ZeroDivisionError: division by zero (line 2: return a / b)" in found.evidence


@pytest.mark.docker
def test_gives_the_same_verdict_every_time() -> None:
    code = "def order(xs):\n    return list({str(x) for x in xs})\n"
    tests = asserts("assert order(range(20)) == sorted(order(range(20)))", entry_point="order")
    assert len({(found.cause, found.evidence) for found in judged([(tests, code, True)] * 4)}) == 1


# --- the tests themselves --------------------------------------------------------------------------


@pytest.mark.docker
@pytest.mark.parametrize(
    ("tests", "outcome", "cause"),
    [
        (asserts("assert add(1, 2) == 3", solution=SUM), "correct", "passed"),
        (asserts("assert add(1, 2) == 4", solution=SUM), "unverifiable", "solution_rejected"),
        (asserts("assert add(1, 2) == 3"), "correct", "tests_load"),
        (asserts("assert add(1, 2 == 3"), "unverifiable", "tests_broken"),
        (asserts("assert 1 + 1 == 2"), "unverifiable", "tests_broken"),
        (checks("def check(c):\n    assert c(1)\n", "f"), "correct", "tests_load"),
        (checks("def chek(c):\n    assert c(1)\n", "f"), "unverifiable", "tests_broken"),
        (checks("def check(c):\n    c(1)\ncheck(Solution().f)", "Solution().f"), "correct", "tests_load"),
        (CodeTests(tests=PytestTests("from x import f\ndef test_f(): assert f(1)")), "correct", "tests_load"),
        (CodeTests(tests=PytestTests("import x\ndef g(): assert x.f(1)")), "unverifiable", "tests_broken"),
        (CodeTests(tests=UnittestTests("import torch")), "unverifiable", "tests_broken"),
        (CodeTests(tests=StdioTests(cases=())), "unverifiable", "tests_broken"),
        (CodeTests(tests=StdioTests(cases=(IoCase(input="", output=""),))), "correct", "tests_load"),
    ],
)  # fmt: skip
def test_checks_the_tests_before_a_token_is_spent(tests: CodeTests, outcome: str, cause: str) -> None:
    async def check() -> Verdict:
        async with Sandbox(LIMITS) as sandbox:
            return await check_tests(sandbox, tests)

    found = asyncio.run(check())
    assert (found.outcome, found.cause) == (outcome, cause), found.evidence


# --- suites ----------------------------------------------------------------------------------------


def hollow(source: str) -> str:
    """The program with every function's body replaced by `return None`."""
    with warnings.catch_warnings(action="ignore"):
        tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Return(ast.Constant(None))]
    return ast.unparse(ast.fix_missing_locations(tree))


def humaneval(shared: Path) -> list[tuple[CodeTests, str, str]]:
    """Tests, canonical completion and hollow program of every problem."""
    packed = (shared / "problems" / "humaneval" / "HumanEval.jsonl.gz").read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    return [
        (
            CodeTests(
                tests=CheckTests(source=row["test"]), entry_point=row["entry_point"], prompt=row["prompt"]
            ),
            row["canonical_solution"],
            hollow(row["prompt"] + row["canonical_solution"]),
        )
        for row in rows
    ]


def mbpp(shared: Path) -> list[tuple[CodeTests, str, str]]:
    """The same, of every eighth problem and those whose tests make objects."""
    rows = [
        json.loads(line) for line in (shared / "problems" / "mbpp" / "mbpp.jsonl").read_text().splitlines()
    ]
    return [
        (
            CodeTests(tests=AssertTests(statements=tuple(row["test_list"]), setup=row["test_setup_code"])),
            row["code"],
            hollow(row["code"]),
        )
        for index, row in enumerate(rows)
        if index % 8 == 0 or row["test_setup_code"] or row["task_id"] in (126, 596, 601)
    ]


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("suite", [humaneval, mbpp])
def test_accepts_every_reference_and_no_hollow_program(suite: Any, shared: Path) -> None:
    rows = suite(shared)
    found = judged(
        [(tests, good, True) for tests, good, _ in rows] + [(tests, empty, True) for tests, _, empty in rows],
        CodeLimits(),
    )
    assert [verdict.evidence for verdict in found[: len(rows)] if verdict.outcome != "correct"] == []
    assert [verdict.extracted for verdict in found[len(rows) :] if verdict.outcome == "correct"] == []
