"""Prompts: what a teacher is told of a problem, and what it is never told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracegen import prompts
from tracegen.data import (
    AssertTests,
    CallCase,
    CallTests,
    CheckTests,
    ChoiceAnswer,
    CodeTests,
    GymAnswer,
    IoCase,
    JudgedAnswer,
    MathAnswer,
    Message,
    NoReference,
    Problem,
    Reference,
    StdioTests,
)
from tracegen.errors import UserError
from tracegen.plan import Plan
from tracegen.recipe import Elicit, OpenAITeacher, ProblemSource, Recipe

NATIVE, TAGGED, FORCED = Elicit(), Elicit(mode="tagged"), Elicit(mode="forced")
PLAIN = prompts.Prompt()
SECRET = "S3CRET"

REFERENCES: list[Reference] = [
    MathAnswer(SECRET),
    ChoiceAnswer(SECRET, ("one", "two")),
    GymAnswer("chain_sum", SECRET, SECRET),
    CodeTests(AssertTests((f"assert add(1, 2) == '{SECRET}'",), SECRET), "add", "", SECRET),
    CodeTests(AssertTests((f"assert add(1, 2) == '{SECRET}'",)), "", "", SECRET),
    CodeTests(CheckTests(f"def check(candidate): {SECRET}"), "add", "def add(a, b):", SECRET),
    CodeTests(StdioTests((IoCase(SECRET, SECRET),)), "", "", SECRET),
    CodeTests(CallTests((CallCase(SECRET, SECRET),)), "Solution().add", "", SECRET),
    JudgedAnswer(SECRET),
]


def text(messages: tuple[Message, ...]) -> str:
    return "\n".join(message.content for message in messages)


def asked(reference: Reference, question: str = "Add.") -> str:
    return prompts.question_of(Problem(question, reference))


@pytest.mark.parametrize("name", prompts.names())
@pytest.mark.parametrize("elicit", [NATIVE, TAGGED, FORCED], ids=lambda elicit: str(elicit.mode))
@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: type(reference).__name__)
def test_never_tells_the_reference(name: str, elicit: Elicit, reference: Reference) -> None:
    prompt = prompts.load(name, Path())
    messages, prefill = prompts.render(prompt, Problem("Add.", reference, key=SECRET), elicit)
    assert SECRET not in text(messages) + prefill
    assert "Add." in messages[-1].content


@pytest.mark.parametrize("name", ["math", "choice", "code", "gym", "judged", "judge"])
def test_has_a_prompt_for_every_domain(name: str) -> None:
    assert name in prompts.names()


@pytest.mark.parametrize("question", ["{x} {question} {0} {{}} %s $1 \\1", "\\frac{a}{b}", "{open}"])
def test_puts_the_question_in_as_it_is(question: str) -> None:
    prompt = prompts.Prompt(user="Q: {question} {y}!", system="{z}")
    messages, _ = prompts.render(prompt, Problem(question, MathAnswer("1")), TAGGED)
    assert messages[-1].content == f"Q: {question} {{y}}!"


def test_leaves_out_an_empty_system_text() -> None:
    messages, prefill = prompts.render(PLAIN, Problem("q", MathAnswer("1")), NATIVE)
    assert (messages, prefill) == ((Message("user", "q"),), "")


def test_asks_for_tags_only_where_they_are_to_be_asked_for() -> None:
    problem = Problem("q", MathAnswer("1"))
    for elicit in (NATIVE, FORCED):
        assert "<think>" not in text(prompts.render(PLAIN, problem, elicit)[0])
    tags = Elicit(mode="tagged", open="<a>", close="</a>")
    [user] = prompts.render(PLAIN, problem, tags)[0]
    assert user.content == "q\n\nThink step by step between <a> and </a>, then answer."
    system, user = prompts.render(prompts.Prompt(system="S"), problem, tags)[0]
    assert system.content == "S\n\nThink step by step between <a> and </a>, then answer."
    assert user.content == "q"


def test_starts_the_turn_only_where_thinking_is_forced() -> None:
    problem = Problem("q", MathAnswer("1"))
    assert [prompts.render(PLAIN, problem, e)[1] for e in (NATIVE, TAGGED, FORCED)] == ["", "", "<think>\n"]


def test_makes_turns_of_examples() -> None:
    prompt = prompts.Prompt(
        user="Q: {question}", examples=(prompts.Example(question="1+1?", thinking="a", answer="2"),)
    )
    problem = Problem("2+2?", MathAnswer("4"))
    thought = "<think>\na\n</think>\n\n2"
    for elicit, said in ((NATIVE, "2"), (TAGGED, thought), (FORCED, thought)):
        messages, _ = prompts.render(prompt, problem, elicit)
        assert [message.role for message in messages] == ["user", "assistant", "user"]
        assert messages[0].content.startswith("Q: 1+1?")
        assert messages[1].content == said
        assert messages[2].content.startswith("Q: 2+2?")


def test_lists_the_options_unless_the_question_does() -> None:
    assert asked(ChoiceAnswer("A", ("red", "blue"))) == "Add.\n\nA. red\nB. blue"
    assert asked(ChoiceAnswer("A", ("red", "blue")), "A. red B. blue") == "A. red B. blue"
    assert asked(ChoiceAnswer("A")) == "Add."
    assert asked(NoReference("choice", ("red", "blue"))) == "Add.\n\nA. red\nB. blue"
    assert asked(NoReference("math")) == "Add."


def test_names_what_the_tests_call() -> None:
    named = asked(CodeTests(CheckTests("def check(c): ..."), "add"))
    assert named == "Add.\n\nThe function is called `add`."
    assert asked(CodeTests(CheckTests(""), "add"), "Write add(a, b).") == "Write add(a, b)."
    found = asked(CodeTests(AssertTests(("assert set(add((1,), 2)) == set((1, 2))",))))
    assert found == "Add.\n\nThe function is called `add` and takes 2 arguments."
    assert found == asked(CodeTests(AssertTests(("assert add(1, 2) == 3",)), "add"))
    assert asked(CodeTests(AssertTests(("assert add(1) == 3",)), "add"), "Write add(a).") == "Write add(a)."
    method = asked(CodeTests(CallTests(()), "Solution().add"))
    assert method == "Add.\n\nWrite a class `Solution` with a method `add`."
    assert "standard input" in asked(CodeTests(StdioTests(())))


def test_shows_code_to_complete_once() -> None:
    stub = 'def add(a, b):\n    """Add."""\n'
    assert asked(CodeTests(CheckTests(""), "add", stub), stub) == stub.rstrip()
    assert stub.strip() in asked(CodeTests(CheckTests(""), "add", stub))


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (("assert f(1) == 2", "assert f(2) == 3"), ("f", 1)),
        (("assert abs(f(1, 2) - 0.5) < 1e-6",), ("f", 2)),
        (("assert sorted(f(g(1))) == [1]", "assert f(g(2)) == []"), ("f", 1)),
        (("assert f(1)", "assert g(1)"), ("", 0)),
        (("assert not f()",), ("f", 0)),
        (("assert (",), ("", 0)),
        (("(" * 5000,), ("", 0)),
        ((), ("", 0)),
    ],
)
def test_reads_the_tested_function_off_the_asserts(
    statements: tuple[str, ...], found: tuple[str, int]
) -> None:
    assert prompts.called(statements) == found


# --- files


def prompt_file(folder: Path, content: str) -> str:
    (folder / "p.toml").write_text(content)
    return "p.toml"


def test_reads_a_prompt_file_relative_to_the_recipe(tmp_path: Path) -> None:
    prompt_file(tmp_path, 'system = "S"\nuser = "Q {question}"\n')
    assert prompts.load("p.toml", tmp_path) == prompts.Prompt(system="S", user="Q {question}")
    (tmp_path / "deep").mkdir()
    assert prompts.load("../p.toml", tmp_path / "deep").system == "S"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user = ", "not valid TOML"),
        ("usr = 'x'", "unknown field `usr`"),
        ("user = 3", r"Expected `str`, got `int` - at `\$.user`"),
        ("user = 'no place'", "exactly once, but holds it 0 times"),
        ("user = '{question}{question}'", "exactly once, but holds it 2 times"),
        ("[[examples]]\nquestion = 'q'", "missing required field `thinking`"),
    ],
)
def test_says_what_is_wrong_with_a_prompt_file(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        prompts.load(prompt_file(tmp_path, content), tmp_path)
    assert "p.toml" in str(caught.value)


def test_names_the_prompts_there_are() -> None:
    with pytest.raises(UserError, match=r"no such prompt - expected one of bare, choice, code, .*math"):
        prompts.load("maths", Path())
    with pytest.raises(UserError, match="No such file"):
        prompts.load("./missing.toml", Path())


def test_names_the_programming_language_in_what_a_build_asks(tmp_path: Path) -> None:
    recipe = Recipe("code", (ProblemSource("code.jsonl"),), OpenAITeacher(model="m"))
    problem = Problem("Add.", CodeTests(StdioTests((IoCase("1", "2"),))))
    said = text(Plan(recipe, tmp_path).ask(problem, "first", 0, 64).messages)
    assert "in one ```python block" in said
    assert "{fence}" not in said
