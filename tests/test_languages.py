"""Languages other than Python: their descriptions, and what the sandbox makes of their programs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import image_is_built, needs_image
from tests.test_cli import one_line, tracegen
from tracegen import languages, problems, prompts, resources
from tracegen.data import AssertTests, CodeTests, IoCase, Problem, StdioTests, Verdict
from tracegen.errors import ProblemError, SandboxError, UserError
from tracegen.recipe import CodeLimits, Columns, Elicit, ProblemSource, Verify
from tracegen.sandbox import Finding, Program, Sandbox, image, programs
from tracegen.sandbox.container import Over
from tracegen.verify import Verifier, languages_of
from tracegen.verify.code import check_tests, extract_code, judge_code

CASES = Path(__file__).parent / "cases"
LIMITS = CodeLimits(seconds=5, total_seconds=30, memory_mb=256)
SEVEN = ("python", "c", "cpp", "go", "java", "javascript", "rust")
SUMS = (IoCase("3\n1 2 3\n", "6 3\n"), IoCase("2\n5 5\n", "10 5"))
"""How many numbers, and the numbers; their sum and the largest."""
ECHO = (IoCase("1\n", "1\n"), IoCase("2\n", "2\n"))


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / name).read_text().splitlines()]


def programs_of(language: str, *cases: IoCase, checker: str = "", written_in: str = "python") -> CodeTests:
    return CodeTests(StdioTests(cases, checker, written_in), language=language)


def in_sandbox(
    work: Callable[[Sandbox], Any], limits: CodeLimits = LIMITS, ahead: tuple[str, ...] = ()
) -> Any:
    """What `work`, a coroutine function, makes of a sandbox."""

    async def run() -> Any:
        async with Sandbox(limits, ahead) as sandbox:
            return await work(sandbox)

    return asyncio.run(run())


def judged(*jobs: tuple[CodeTests, str], limits: CodeLimits = LIMITS) -> list[Finding]:
    """What is found of several programs, side by side."""
    for tests, _ in jobs:
        needs_image(tests.language)

    async def all_of_them(sandbox: Sandbox) -> list[Finding]:
        return await asyncio.gather(*(sandbox.judge(tests, Program(source=code)) for tests, code in jobs))

    found: list[Finding] = in_sandbox(all_of_them, limits)
    return found


# --- descriptions ----------------------------------------------------------------------------------


def test_ships_the_seven_languages() -> None:
    assert set(languages.known()) >= set(SEVEN)
    assert languages.known()[0] == "python"


@pytest.mark.parametrize("name", languages.known())
def test_describes_each_language_completely(name: str) -> None:
    language = languages.load(name)
    assert language.name == name
    assert language.image in image.names()
    assert language.holds_program(language.example)
    assert language.fence in language.words
    for command in (language.compile, language.run):
        assert command is None or command.command[0].startswith("/")


def test_knows_every_language_by_names_of_its_own() -> None:
    words = [word for name in languages.known() for word in languages.load(name).words]
    assert len(words) == len(set(words))
    assert {languages.find(word).name for word in ("C++", "cpp", " c++17 ")} == {"cpp"}
    assert languages.find("JS").name == "javascript"


def test_names_the_known_languages_where_one_is_unknown() -> None:
    with pytest.raises(
        UserError, match=r"no language is called 'cobol' - expected one of python, c, cpp, go"
    ):
        languages.find("cobol")
    with pytest.raises(UserError, match="no language is called"):
        languages.load("harness")


def test_says_what_is_wrong_with_a_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sandboxes" / "odd").mkdir(parents=True)
    (tmp_path / "sandboxes" / "odd" / "language.toml").write_text('title = "Odd"\nexampel = ""\n')
    monkeypatch.setattr(resources, "path", lambda name: tmp_path / name)
    for cached in (languages.known, languages.load):
        cached.cache_clear()
    try:
        assert languages.known() == ("odd",)
        with pytest.raises(UserError, match=r"language.toml: .*exampel.* - docs/languages.md"):
            languages.load("odd")
    finally:
        monkeypatch.undo()
        for cached in (languages.known, languages.load):
            cached.cache_clear()


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("public class Main {}", "Main.java"),
        ("import java.util.*;\n\npublic final class Solution {\n}", "Solution.java"),
        ("class Node {}\npublic class Tree { public class Inner {} }", "Tree.java"),
        ("class N {\n int x;\n}\nclass A {\n static class B {}\n  public static void main(String[] a) {}\n}",
         "A.java"),
        ("class Only { int x; }", "Main.java"),
        ("  public class Indented {}", "Indented.java"),
        ('@SuppressWarnings("public class No {") public class Noted {}', "Noted.java"),
        ("import java.util.*; public final class OneLine {}", "OneLine.java"),
        ("/*\npublic class No {\n*/ class A { void main(int x) {} }", "A.java"),
        ("// class No has void main()\nclass B { String s = \"}\"; char c = '{'; void main() {} }", "B.java"),
        ('class T { String s = """\n public class Q {\n"""; void main() {} }', "T.java"),
        ("interface I { } enum E { A; public static void main(String[] a) {} }", "E.java"),
        ("public class " + "A" * 200 + " {}", "Main.java"),
    ],
)  # fmt: skip
def test_names_a_java_file_after_its_class(source: str, file: str) -> None:
    assert languages.load("java").file_of(source) == file


def test_names_a_file_in_linear_time() -> None:
    java = languages.load("java")
    for hostile in ("class A {\n" * 100_000, "public " * 100_000, "static " * 100_000):
        assert java.file_of(hostile).endswith(".java")


def test_puts_limits_and_names_into_a_command() -> None:
    command = ("/usr/bin/java", "-Xmx{memory_mb}m", "{stem}", "{file}", "{other}")
    assert languages.filled(command, file="A.java", memory_mb=64)[1:] == ["-Xmx64m", "A", "A.java", "{other}"]


def test_gives_a_language_what_it_needs_beside_the_limits_of_the_program() -> None:
    java, cpp = languages.load("java"), languages.load("cpp")
    assert programs.container_limits(languages.load("python"), LIMITS) == LIMITS
    small, large = (CodeLimits(memory_mb=size) for size in (64, 4096))
    assert java.run and java.compile and cpp.compile
    assert programs.container_limits(java, large).memory_mb == 4096 + java.run.extra_memory_mb
    assert programs.container_limits(java, small).memory_mb == java.compile.memory_mb
    assert programs.container_limits(cpp, small).processes == small.processes


# --- what an answer is -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", lines("language_extract.jsonl"), ids=lambda case: str(case["id"]))
def test_takes_the_program_out_of_an_answer(case: dict[str, Any]) -> None:
    tests = programs_of(case["language"], *ECHO)
    assert extract_code(case["answer"], tests, bare=case.get("bare", False)) == (case["code"], case["how"])


# --- problems --------------------------------------------------------------------------------------


def loaded(tmp_path: Path, row: dict[str, Any], **source: Any) -> Problem:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    given = ProblemSource(path="rows.jsonl", domain="code", **source)
    (problem,) = problems.load((given,), tmp_path).problems
    return problem


ROW = {"question": "Echo.", "tests": [["1", "1"]], "lang": "C++"}
BY_COLUMN = Columns(language="lang")


def test_reads_the_language_of_a_problem(tmp_path: Path) -> None:
    for problem in (
        loaded(tmp_path, ROW, columns=BY_COLUMN),
        loaded(tmp_path, ROW, language="cpp"),
        loaded(tmp_path, {**ROW, "lang": None}, columns=BY_COLUMN, language="c++"),
    ):
        assert isinstance(problem.reference, CodeTests)
        assert problem.reference.language == "cpp"
    assert languages_of([loaded(tmp_path, ROW), loaded(tmp_path, ROW, language="go")]) == {"python", "go"}


def test_refuses_an_unknown_language(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"problems\.0\.language: no language is called 'cobol' - expected"):
        loaded(tmp_path, ROW, language="cobol")
    with pytest.raises(
        ProblemError, match=r"language: no language is called 'COBOL' - expected one of python"
    ):
        loaded(tmp_path, {**ROW, "lang": "COBOL"}, columns=BY_COLUMN)


def test_refuses_calls_in_other_languages_than_python(tmp_path: Path) -> None:
    row = {"question": "Add.", "tests": ["assert add(1, 2) == 3"]}
    with pytest.raises(ProblemError, match=r"C\+\+ programs are tested by input/output pairs only"):
        loaded(tmp_path, row, language="cpp")


def test_reads_a_checker(tmp_path: Path) -> None:
    row = {**ROW, "judge": "print(1)"}
    problem = loaded(tmp_path, row, columns=Columns(checker="judge"), checker_language="c", language="rust")
    assert isinstance(problem.reference, CodeTests)
    assert problem.reference.tests == StdioTests((IoCase("1", "1"),), "print(1)", "c")
    assert languages_of([problem]) == {"rust", "c"}
    with pytest.raises(ProblemError, match="a checker goes with input/output pairs only"):
        loaded(tmp_path, {**row, "tests": ["assert f() == 1"]}, columns=Columns(checker="judge"))


def test_keeps_the_ids_of_problems_without_a_checker() -> None:
    assert msgspec.json.encode(StdioTests(ECHO[:1])) == (
        b'{"type":"stdio","cases":[{"input":"1\\n","output":"1\\n"}]}'
    )


@pytest.mark.parametrize("name", SEVEN)
def test_tells_the_teacher_the_language(name: str) -> None:
    language = languages.load(name)
    problem = Problem("Echo {fence}.", programs_of(name, *ECHO))
    messages, _ = prompts.render(prompts.load("code", Path()), problem, Elicit())
    said = messages[-1].content
    assert f"in one ```{language.fence} block" in said
    assert "Echo {fence}." in said
    assert (f"Write it in {language.title}." in said) is (name != "python")


# --- what ends mean --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "over", "cause"),
    [
        ("cpp", Over(how="exit", exit=0), "passed"),
        ("cpp", Over(how="exit", exit=0, refused=True), "passed"),
        ("cpp", Over(how="exit", exit=0, oom=True), "memory_limit"),
        ("cpp", Over(how="exit", signal=6, stderr="terminate called after throwing an instance of 'int'"),
         "exception"),
        ("cpp", Over(how="exit", signal=6, stderr="terminate called …\n  what():  std::bad_alloc"),
         "memory_limit"),
        ("cpp", Over(how="exit", signal=11), "crashed"),
        ("cpp", Over(how="exit", exit=1, refused=True), "process_limit"),
        ("cpp", Over(how="timeout"), "timeout"),
        ("cpp", Over(how="output"), "output_limit"),
        ("java", Over(how="exit", exit=1, stderr="java.lang.OutOfMemoryError: heap"), "memory_limit"),
        ("rust", Over(how="exit", exit=101, stderr="thread 'main' panicked at 'x', a.rs:1:1"), "exception"),
        ("python", Over(how="exit", exit=1, stderr="Traceback …\nValueError: x"), "exception"),
    ],
)  # fmt: skip
def test_names_the_end_of_a_run(name: str, over: Over, cause: str) -> None:
    assert programs.run_ended(languages.load(name), over, 1.0)[0] == cause


@pytest.mark.parametrize(
    ("over", "cause", "said"),
    [
        (Over(how="exit", exit=1, stdout=b"main.c:1:1: error: x"), "compile_error", "main.c:1:1: error: x"),
        (Over(how="exit", exit=1, oom=True, stdout=b"Killed"), "compile_error", "out of memory"),
        (Over(how="exit", signal=25), "compile_error", "SIGXFSZ"),
        (Over(how="output", stdout=b"a\nb"), "compile_error", "a\nb"),
        (Over(how="timeout"), "timeout", "the compiler did not end within 7 s"),
    ],
)
def test_names_the_end_of_a_compiler(over: Over, cause: str, said: str) -> None:
    finding = programs.compile_ended(over, 7)
    assert finding is not None
    assert (finding.cause, finding.step) == (cause, "compile")
    assert said in finding.evidence


# --- images ----------------------------------------------------------------------------------------


@pytest.mark.docker
def test_names_every_missing_image_and_the_command_for_them() -> None:
    absent = {"cpp": "tracegen-cpp:none", "c": "tracegen-cpp:none", "rust": "tracegen-rust:none"}
    limits = CodeLimits(images=absent)

    async def nothing(sandbox: Sandbox) -> None:
        raise AssertionError

    with pytest.raises(
        SandboxError, match=r"'tracegen-rust:none' is not here - run `tracegen sandbox build rust`"
    ):
        in_sandbox(nothing, limits, ("python", "rust"))
    with pytest.raises(
        SandboxError, match=r"of C and C\+\+ and Rust are .* - run `tracegen sandbox build cpp rust`"
    ):
        in_sandbox(nothing, limits, ("c", "cpp", "rust"))
    with pytest.raises(SandboxError, match="tracegen sandbox build rust"):
        in_sandbox(lambda sandbox: sandbox.judge(programs_of("rust", *ECHO), Program(source="")), limits)


@pytest.mark.docker
def test_knows_verdicts_by_the_languages_that_they_are_on() -> None:
    needs_image("cpp")
    digests = {
        Verifier(Verify(), sandbox=True, languages=names).digest
        for names in (("python",), ("cpp",), ("c",), ("cpp", "python"))
    }
    assert len(digests) == 4


# --- programs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    """Every line of `languages.jsonl` whose image is built, judged side by side."""
    rows = [row for row in lines("languages.jsonl") if image_is_built(row["language"])]

    async def all_of_them(sandbox: Sandbox) -> list[Verdict]:
        return await asyncio.gather(
            *(judge_code(sandbox, programs_of(row["language"], *SUMS), row["answer"]) for row in rows)
        )

    return dict(zip((row["id"] for row in rows), in_sandbox(all_of_them), strict=True))


@pytest.mark.docker
@pytest.mark.parametrize("case", lines("languages.jsonl"), ids=lambda case: str(case["id"]))
def test_judges_programs_in_every_language(case: dict[str, Any], request: pytest.FixtureRequest) -> None:
    needs_image(case["language"])
    found: Verdict = request.getfixturevalue("verdicts")[case["id"]]
    assert (found.outcome, found.cause, found.step) == (case["outcome"], case["cause"], case["step"]), found
    assert case["said"].replace("{seconds}", f"{LIMITS.seconds:g}") in found.evidence
    if case["language"] != "python":
        assert found.evidence.startswith(languages.load(case["language"]).title)


@pytest.mark.docker
@pytest.mark.parametrize("name", languages.known())
def test_runs_the_example_of_every_description(name: str) -> None:
    tests = programs_of(name, IoCase("", "0"), IoCase("1 2\n3\n", "6"))
    (found,) = judged((tests, languages.load(name).example))
    assert found.cause == "passed", found.evidence


@pytest.mark.docker
def test_calls_tests_of_functions_broken_in_other_languages() -> None:
    tests = CodeTests(AssertTests(("assert f() == 1",)), "f", language="cpp")
    (found,) = judged((tests, ""))
    assert (found.cause, found.evidence) == ("tests_broken", "C++: tested over standard input only")


# --- programs that mean harm -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def harmful() -> dict[str, Finding]:
    """Every line of `language_limits.jsonl` whose image is built, judged side by side."""
    rows = [row for row in lines("language_limits.jsonl") if image_is_built(row["language"])]
    patient = CodeLimits(seconds=20, total_seconds=60, memory_mb=256)
    jobs = ((programs_of(row["language"], *ECHO), row["source"]) for row in rows)
    found = judged(*jobs, limits=patient)
    return dict(zip((row["id"] for row in rows), found, strict=True))


@pytest.mark.docker
@pytest.mark.parametrize("case", lines("language_limits.jsonl"), ids=lambda case: str(case["id"]))
def test_holds_compilers_and_programs_to_their_limits(
    case: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    needs_image(case["language"])
    found: Finding = request.getfixturevalue("harmful")[case["id"]]
    assert (found.cause, found.step) == (case["cause"], case["step"]), found
    assert case["said"] in found.evidence


IDLERS = """
import os, threading, time
def spin():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        sum(range(10**5))
for _ in range(6):
    threading.Thread(target=spin, daemon=True).start()
time.sleep(8)  # three times its limit, by which a busy host may stretch it
print(int(input()), flush=True)
os._exit(0)
"""
TRACED = """
import ctypes, os, time
libc = ctypes.CDLL(None)
libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE
parent = os.getpid()
if os.fork() == 0:
    os.setsid()
    libc.ptrace(0x4206, parent, 0, 0)  # PTRACE_SEIZE
    time.sleep(60)
time.sleep(0.3)
print(int(input()), flush=True)
"""


@pytest.mark.docker
@pytest.mark.slow
def test_no_thread_or_child_of_a_program_stretches_its_time() -> None:
    patient = msgspec.structs.replace(LIMITS, seconds=2)
    jobs = [(programs_of("python", IoCase("1\n", "1\n")), source) for source in (IDLERS, TRACED)]
    idlers, traced = judged(*jobs, limits=patient)
    assert (idlers.cause, traced.cause) == ("timeout", "timeout")
    assert "silent" not in traced.evidence  # its container is not lost


@pytest.mark.docker
def test_uses_a_container_in_which_something_was_compiled_for_nothing_else() -> None:
    needs_image("cpp")
    source = (
        "#include <sys/stat.h>\n#include <cstdio>\n"
        'int main() { struct stat s; puts(stat("/build/main", &s) == 0 ? "1" : "0"); }\n'
    )
    ids: list[str] = []

    async def twice(sandbox: Sandbox) -> None:
        pool = sandbox.pool_of("cpp")
        for _ in range(2):
            with programs.executable(sandbox.pool_of, LIMITS, languages.load("cpp"), source) as made:
                ids.append(made.container.id)
                assert made.run(5.0, b"").stdout == b"1\n"
            assert not made.container.usable
        assert pool.purpose == "programs"

    in_sandbox(twice)
    assert len(set(ids)) == 2


@pytest.mark.docker
def test_stops_a_compiler_at_its_own_limit() -> None:
    needs_image("cpp")
    cpp = languages.load("cpp")
    assert cpp.compile is not None
    hurried = msgspec.structs.replace(cpp, compile=msgspec.structs.replace(cpp.compile, seconds=0.3))
    slow = (
        "constexpr long f(long n) { long s = 0; for (long i = 0; i < n; i++) s += i; return s; }\n"
        "template <int N> struct S { static constexpr long v = f(8000000 + N) + S<N - 1>::v; };\n"
        "template <> struct S<0> { static constexpr long v = 0; };\nint main() { return S<400>::v; }\n"
    )

    async def compiled(sandbox: Sandbox) -> Finding:
        try:
            with programs.executable(sandbox.pool_of, LIMITS, hurried, slow):
                raise AssertionError
        except programs.Unusable as unusable:
            return unusable.finding

    found: Finding = in_sandbox(compiled)
    assert (found.cause, found.step) == ("timeout", "compile")


# --- checkers --------------------------------------------------------------------------------------

ANY_PAIR = (IoCase("10\n", "1 9\n"), IoCase("7\n", "3 4\n"))
"""Two numbers with a given sum."""
IN_PYTHON = """import sys
total, given, wanted = (list(map(int, open(name).read().split())) for name in sys.argv[1:])
if len(given) != len(wanted) or sum(given) != total[0]:
    print(f"{given} is not {total[0]}", file=sys.stderr)
    sys.exit(1)
"""
IN_CPP = """#include <fstream>
#include <iostream>
int main(int argc, char **argv) {
    std::ifstream input(argv[1]), output(argv[2]), answer(argv[3]);
    long total, a, b;
    input >> total;
    if (argc != 4 || !(answer >> a >> b)) return 3;
    if (!(output >> a >> b)) { std::cerr << "wrong output format"; return 2; }
    if (a + b != total) { std::cerr << "wrong answer"; return 1; }
    return 0;
}
"""
OTHER_PAIR = "n = int(input())\nprint(n - 2, 2)\n"
NO_PAIR = "n = int(input())\nprint(n, 2)\n"


@pytest.mark.docker
@pytest.mark.parametrize(("checker", "language"), [(IN_PYTHON, "python"), (IN_CPP, "cpp")])
def test_lets_a_checker_decide(checker: str, language: str) -> None:
    needs_image(language)
    tests = programs_of("python", *ANY_PAIR, checker=checker, written_in=language)
    right, wrong, short = judged((tests, OTHER_PAIR), (tests, NO_PAIR), (tests, "print(3)"))
    assert right.cause == "passed", right.evidence
    assert (wrong.cause, short.cause) == ("wrong_answer", "wrong_answer")
    assert "the checker: " in wrong.evidence
    assert "got '10 2\\n'" in wrong.evidence


@pytest.mark.docker
def test_one_slot_is_enough_for_a_program_and_its_checker() -> None:
    tests = programs_of("python", *ANY_PAIR, checker=IN_PYTHON)
    jobs = [(tests, OTHER_PAIR)] * 3 + [(tests, "import sys; print(5, 0); sys.exit(127)")]
    *right, last = judged(*jobs, limits=msgspec.structs.replace(LIMITS, containers=1))
    assert [found.cause for found in right] == ["passed"] * 3
    assert (last.cause, last.evidence[:6]) == ("crashed", "Python")


@pytest.mark.docker
def test_checks_programs_in_other_languages() -> None:
    needs_image("javascript")
    tests = programs_of("javascript", *ANY_PAIR, checker=IN_PYTHON)
    source = "const n = +require('fs').readFileSync(0, 'utf8');\nconsole.log(n + 5, -5);\n"
    (found,) = judged((tests, source))
    assert found.cause == "passed", found.evidence


@pytest.mark.docker
@pytest.mark.parametrize(
    ("checker", "said"),
    [
        ("import sys\nsys.exit(3)", "crashed: exit status 3"),
        ("raise ValueError('mine')", "exception: ValueError: mine"),
        ("def f(:", "syntax_error"),
        ("import os\nos.abort()", "signal SIGABRT"),
        ("open('input.txt', 'w').write('x')\nopen(1, 'wb').write(b'x' * (1 << 22))", "output_limit"),
    ],
)
def test_takes_a_failing_checker_for_broken_tests(checker: str, said: str) -> None:
    tests = programs_of("python", *ANY_PAIR, checker=checker)
    (found,) = judged((tests, OTHER_PAIR))
    assert found.cause == "tests_broken"
    assert said in found.evidence


@pytest.mark.docker
def test_a_checker_that_fails_on_an_output_refuses_it() -> None:
    checker = (
        "import sys\na, b = map(int, open(sys.argv[2]).read().split())\nsys.exit(0 if a + b == 3 else 1)\n"
    )
    tests = programs_of("python", IoCase("", "1 2\n"), checker=checker)
    said, right = judged((tests, "print('hello')"), (tests, "print(3, 0)"))
    assert (said.cause, said.trust, right.cause) == ("wrong_answer", "weak", "passed")
    assert "the checker failed: exception: ValueError" in said.evidence


@pytest.mark.docker
def test_a_program_that_fills_its_memory_before_it_runs_is_at_its_limit() -> None:
    needs_image("cpp")
    source = "char a[60 << 20] = {1};\nint main() { return a[5]; }\n"
    limits = msgspec.structs.replace(LIMITS, memory_mb=48)
    (found,) = judged((programs_of("cpp", IoCase("", "")), source), limits=limits)
    assert (found.cause, found.step) == ("memory_limit", "compile")


@pytest.mark.docker
def test_gives_a_checker_every_output_as_it_is() -> None:
    checker = (
        "import sys\ngot = open(sys.argv[2], 'rb').read()\nassert sys.stdin.read() == ''\n"
        "assert open(sys.argv[1], 'rb').read() == b'\\xe2\\x82\\xac\\r\\n'\n"
        "sys.exit(0 if got == b'\\xff\\x00\\r\\n' else 1)"
    )
    tests = programs_of("python", IoCase("€\r\n", ""), checker=checker)
    (found,) = judged((tests, "import os\nos.write(1, b'\\xff\\x00\\r\\n')"))
    assert found.cause == "passed", found.evidence


@pytest.mark.docker
@pytest.mark.parametrize(
    ("checker", "language", "outcome", "cause"),
    [
        (IN_PYTHON, "python", "correct", "tests_load"),
        ("import sys\nsys.exit(1)", "python", "unverifiable", "tests_broken"),
        ("int main( {", "cpp", "unverifiable", "tests_broken"),
    ],
)
def test_checks_a_checker_before_a_token_is_spent(
    checker: str, language: str, outcome: str, cause: str
) -> None:
    needs_image(language)
    tests = programs_of("python", *ANY_PAIR, checker=checker, written_in=language)
    found: Verdict = in_sandbox(lambda sandbox: check_tests(sandbox, tests))
    assert (found.outcome, found.cause) == (outcome, cause), found.evidence


# --- the command line ------------------------------------------------------------------------------


def test_builds_the_image_that_languages_share_once() -> None:
    assert image.folders(("c", "cpp", "python")) == ["cpp", "python"]
    assert image.tag_of("c") == image.tag_of("cpp")
    with pytest.raises(UserError, match="no sandbox is called 'zig' - expected one of python"):
        image.folders(("zig",))


def recipe(tmp_path: Path) -> Path:
    """A recipe whose one problem asks for a program in C++."""
    answer = "```cpp\n" + languages.load("cpp").example + "```"
    row = {"question": "Print the sum.", "tests": [["1 2", "3"]], "response": answer}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "sums.toml").write_text(
        'name = "sums"\n[[problems]]\npath = "rows.jsonl"\ndomain = "code"\nlanguage = "C++"\n'
        '[teacher]\nkind = "replay"\npath = "rows.jsonl"\n'
    )
    return tmp_path / "sums.toml"


@pytest.mark.docker
def test_says_which_image_a_recipe_lacks(tmp_path: Path) -> None:
    lacking = "verify.code.images.cpp=tracegen-cpp:none"
    done = tracegen("build", recipe(tmp_path), "--output", tmp_path / "run", "--set", lacking)
    assert "'tracegen-cpp:none' is not here - run `tracegen sandbox build cpp`" in one_line(done)


@pytest.mark.docker
def test_builds_a_dataset_of_programs_in_another_language(tmp_path: Path) -> None:
    needs_image("cpp")
    done = tracegen("build", recipe(tmp_path), "--output", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["causes"] == {"correct: passed": 1}


@pytest.mark.docker
def test_judges_a_file_of_programs_in_another_language(tmp_path: Path) -> None:
    needs_image("cpp")
    recipe(tmp_path)
    rows = ("--reference-column", "tests", "--response-column", "response")
    done = tracegen("verify", tmp_path / "rows.jsonl", "--domain", "code", "--language", "c++", *rows)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cause"] == "passed"
    wrong = tracegen("verify", tmp_path / "rows.jsonl", "--domain", "code", "--language", "zig", *rows)
    assert "no language is called 'zig' - expected one of python, c, cpp" in one_line(wrong)
