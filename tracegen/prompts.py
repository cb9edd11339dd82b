"""Prompts: TOML files in `prompts/`, and the chat that they make of a problem.

A prompt has a `user` template, and may have a `system` text, worked `examples`, and the sentence that
asks for tags under `tagged` elicitation. The question is put in literally, once, so braces in it mean
nothing. A reference is never part of it: of a code problem's tests only the name that they call, and
how many arguments it takes, is told. In a code problem's prompt `{language}` and `{fence}` stand for
the language's title (C++) and the word for a fenced block of it (cpp).
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import msgspec

from tracegen import languages, resources
from tracegen.data import (
    AssertTests,
    CallTests,
    CheckTests,
    ChoiceAnswer,
    CodeTests,
    Message,
    NoReference,
    Problem,
    StdioTests,
    Struct,
)
from tracegen.errors import UserError
from tracegen.recipe import Elicit
from tracegen.syntax import tree_of

QUESTION = "{question}"
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Example(Struct, forbid_unknown_fields=True, frozen=True):
    """A worked example: a turn of the user and one of the assistant."""

    question: str
    thinking: str
    answer: str


class Prompt(Struct, forbid_unknown_fields=True, frozen=True):
    """A prompt file."""

    user: str = QUESTION
    """What the user says, of the problem and of the examples; `{question}` stands for the question, and in a
    judge's prompt for the reference and the answer."""
    system: str = ""
    """Left out if empty; some chat templates then put in their own."""
    tagged: str = "Think step by step between {open} and {close}, then answer."
    """Added to the system text, or to the user's if there is none, where thinking is asked for in tags."""
    examples: tuple[Example, ...] = ()


def load(name_or_path: str, base: Path) -> Prompt:
    """The prompt of a name in `prompts/`, or of a path to a .toml file relative to `base`.

    Raises UserError that says what is wrong with it.
    """
    path = _find(name_or_path, base)
    try:
        text = path.read_text(encoding="utf-8")
        prompt = msgspec.convert(tomllib.loads(text), Prompt)
    except OSError as error:
        raise UserError(f"prompt {path}: cannot be read: {error.strerror} - check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"prompt {path}: not valid TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise UserError(f"prompt {path}: {error} - a prompt has system, user, tagged and examples") from None
    held = prompt.user.count(QUESTION)
    if held != 1:
        raise UserError(f"prompt {path}: user must hold {QUESTION} exactly once, but holds it {held} times")
    return prompt


def names() -> list[str]:
    """The built-in prompts."""
    return sorted(path.stem for path in resources.path("prompts").glob("*.toml"))


def render(prompt: Prompt, problem: Problem, elicit: Elicit) -> tuple[tuple[Message, ...], str]:
    """The messages that ask for a problem, and what the assistant's turn is started with."""
    spoken = msgspec.structs.replace(
        prompt, system=_in_language(prompt.system, problem), user=_in_language(prompt.user, problem)
    )
    return chat(spoken, question_of(problem), elicit)


def chat(prompt: Prompt, question: str, elicit: Elicit) -> tuple[tuple[Message, ...], str]:
    """The messages that ask `question`, and what the assistant's turn is started with."""
    system, user = prompt.system.strip(), prompt.user.strip("\n")
    if elicit.mode == "tagged":
        asked = prompt.tagged.replace("{open}", elicit.open).replace("{close}", elicit.close)
        if system:
            system = f"{system}\n\n{asked}"
        else:
            user = f"{user}\n\n{asked}"
    messages = [Message("system", system)] if system else []
    for example in prompt.examples:
        messages.append(Message("user", _ask(user, example.question)))
        messages.append(Message("assistant", _worked(example, elicit)))
    messages.append(Message("user", _ask(user, question)))
    return tuple(messages), f"{elicit.open}\n" if elicit.mode == "forced" else ""


def question_of(problem: Problem) -> str:
    """The question with what a teacher must know besides: the options, or what the program has to be."""
    match problem.reference:
        case ChoiceAnswer(choices=choices) | NoReference(choices=choices) if not all(
            choice in problem.question for choice in choices
        ):
            options = [f"{label}. {choice}" for label, choice in zip(LABELS, choices, strict=False)]
            return "\n".join([problem.question.rstrip(), "", *options])
        case CodeTests() as code:
            return "\n\n".join([problem.question.rstrip(), *_wanted(code, problem.question)])
        case _:
            return problem.question


# --- parts


def _find(name_or_path: str, base: Path) -> Path:
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        return base / name_or_path
    if name_or_path not in names():
        raise UserError(
            f"prompt {name_or_path!r}: no such prompt - expected one of {', '.join(names())},"
            " or a path to a .toml file"
        )
    return resources.path("prompts") / f"{name_or_path}.toml"


def _ask(template: str, question: str) -> str:
    before, _, after = template.partition(QUESTION)
    return before + question.strip() + after


def _in_language(template: str, problem: Problem) -> str:
    """The template with the problem's programming language put in, if it has one."""
    if not isinstance(problem.reference, CodeTests):
        return template
    language = languages.load(problem.reference.language)
    return template.replace("{language}", language.title).replace("{fence}", language.fence)


def _worked(example: Example, elicit: Elicit) -> str:
    """The assistant's turn of an example; a model that thinks natively is shown the answer only."""
    if elicit.mode == "native":
        return example.answer.strip()
    return f"{elicit.open}\n{example.thinking.strip()}\n{elicit.close}\n\n{example.answer.strip()}"


def _wanted(code: CodeTests, question: str) -> list[str]:
    """Sentences that say what the tests will call, where the question does not."""
    said, language = [], languages.load(code.language)
    if code.prompt.strip() and code.prompt.strip() not in question:
        said.append(f"Complete this code:\n```{language.fence}\n{code.prompt.strip()}\n```")
    match code.tests:
        case StdioTests():
            said.append("The program reads standard input and prints to standard output.")
            if language.name != "python":
                said.append(f"Write it in {language.title}.")
        case AssertTests(statements=statements) if _plausible(tested := called(statements), code.entry_point):
            name, arguments = tested
            if not re.search(rf"\b{re.escape(name)}\s*\(", question):
                said.append(f"The function is called `{name}` and takes {_count(arguments)}.")
        case AssertTests() | CheckTests() | CallTests():
            said.extend(_named(code.entry_point, question))
    return said


def _named(entry_point: str, question: str) -> list[str]:
    owner, dot, name = entry_point.rpartition(".")
    if not name or re.search(rf"\b{re.escape(name)}\b", question):
        return []
    if dot:
        return [f"Write a class `{owner.removesuffix('()')}` with a method `{name}`."]
    return [f"The function is called `{name}`."]


def _plausible(tested: tuple[str, int], entry_point: str) -> bool:
    """The asserts tell of one function, and it is the one that is to be called."""
    return bool(tested[0]) and entry_point in ("", tested[0])


def _count(arguments: int) -> str:
    return "one argument" if arguments == 1 else f"{arguments} arguments"


def called(statements: tuple[str, ...]) -> tuple[str, int]:
    """Name of the function that assert statements test, and its number of arguments; `("", 0)` if unclear.

    The statements are parsed, never run. The tested function is the one called in every statement; of
    several the outermost, which comes first.
    """
    import builtins

    found: list[dict[str, int]] = []
    for statement in statements:
        try:
            tree = tree_of(statement)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return "", 0
        calls = [
            node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        names = {node.func.id: len(node.args) for node in reversed(calls) if isinstance(node.func, ast.Name)}
        found.append({name: count for name, count in reversed(names.items()) if not hasattr(builtins, name)})
    everywhere = [name for name in (found[0] if found else {}) if all(name in one for one in found)]
    return (everywhere[0], found[0][everywhere[0]]) if everywhere else ("", 0)
