"""Problems from files, datasets and reasoning_gym: rows in, `Problem`s out.

Every bad row is reported with its file, line and field, all of them at once; nothing is sampled while
there is one. Rows with the same question and reference are one problem, and are counted as merged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tracegen import languages, rows, suites
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
    NoReference,
    Problem,
    PytestTests,
    Reference,
    StdioTests,
    Struct,
    UnittestTests,
)
from tracegen.errors import ProblemError, UserError
from tracegen.recipe import Columns, ProblemSource


class Layout(Struct, frozen=True):
    """The usual columns of a known dataset; several names for one column are tried in order."""

    domain: str
    question: tuple[str, ...]
    answer: tuple[str, ...]
    id: tuple[str, ...] = ()
    entry_point: tuple[str, ...] = ()
    prompt: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    solution: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    entry: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    """The arguments of one call, as source, whose value is the answer (CRUXEval)."""
    inputs: tuple[str, ...] = ()
    """Columns with lists of arguments, all of which count; the solution says the values (HumanEval+)."""
    tolerance: tuple[str, ...] = ()
    response: tuple[str, ...] = ("response", "completion", "generation", "prediction", "output")


LAYOUTS = {
    "gsm8k": Layout(domain="math", question=("question",), answer=("answer",)),
    "math": Layout(
        domain="math",
        question=("problem", "question"),
        answer=("answer", "solution"),
        id=("unique_id",),
    ),
    "humaneval": Layout(
        domain="code",
        question=("prompt",),
        answer=("test",),
        id=("task_id",),
        entry_point=("entry_point",),
        prompt=("prompt",),
        solution=("canonical_solution",),
        response=("completion", "response", "generation", "solution", "canonical_solution"),
    ),
    "humanevalplus": Layout(
        domain="code",
        question=("prompt",),
        answer=("test", "base_input"),
        id=("task_id",),
        entry_point=("entry_point",),
        prompt=("prompt",),
        solution=("canonical_solution",),
        inputs=("base_input", "plus_input"),
        tolerance=("atol",),
        response=("completion", "response", "generation", "solution", "canonical_solution"),
    ),
    "mbpp": Layout(
        domain="code",
        question=("text", "prompt"),
        answer=("test_list",),
        id=("task_id",),
        setup=("test_setup_code", "test_imports"),
        solution=("code",),
        response=("completion", "response", "generation", "solution", "code"),
    ),
    "leetcode": Layout(
        domain="code",
        question=("problem", "question"),
        answer=("tests",),
        entry_point=("entry_point", "fn_name"),
        response=("completion", "response", "solution", "solutions.0"),
    ),
    "kodcode": Layout(
        domain="code",
        question=("question", "prompt"),
        answer=("test", "test_code", "tests"),
        id=("question_id",),
        solution=("solution",),
        response=("completion", "response", "r1_solution", "solution"),
    ),
    "bigcodebench": Layout(
        domain="code",
        question=("complete_prompt", "instruct_prompt", "content"),
        answer=("test",),
        id=("task_id", "id"),
        entry_point=("entry_point", "labels.entry_point"),
        prompt=("complete_prompt", "code_prompt", "content"),
        solution=("canonical_solution",),
        response=("completion", "response", "generation", "solution", "canonical_solution"),
    ),
    "livecodebench": Layout(
        domain="code",
        question=("question_content", "content"),
        answer=("test", "private_test_cases", "public_test_cases"),
        id=("question_id", "labels.task_id"),
        entry_point=("metadata.func_name",),
        prompt=("starter_code",),
        response=("completion", "response", "solution", "code", "canonical_solution"),
    ),
    "sandboxfusion": Layout(
        domain="code",
        question=("content",),
        answer=("test", "test_list"),
        id=("id",),
        entry_point=("labels.entry_point",),
        prompt=("content",),
        setup=("labels.test_setup_code",),
        solution=("canonical_solution",),
        response=("completion", "response", "canonical_solution"),
    ),
    "cruxeval": Layout(
        domain="code",
        question=("code",),
        answer=("output",),
        id=("id",),
        solution=("code",),
        arguments=("input",),
        response=("completion", "response", "code"),
    ),
    "stdio": Layout(
        domain="code",
        question=("problem", "question", "description"),
        answer=("tests", "test_cases", "public_tests"),
        response=("completion", "response", "solution"),
    ),
    "choice": Layout(
        domain="choice",
        question=("question",),
        answer=("answer", "label", "answerKey"),
        choices=("choices", "options"),
    ),
    "gym": Layout(domain="gym", question=("question",), answer=("answer",), entry=("entry",), id=("id",)),
}
PLAIN = Layout(
    domain="math",
    question=("question", "problem", "prompt"),
    answer=("answer", "reference", "tests", "test_list"),
    id=("id",),
    entry_point=("entry_point",),
    prompt=("prompt_code",),
    setup=("setup",),
    solution=("solution",),
    choices=("choices",),
    entry=("entry",),
)
SHORT_REFERENCE = 200
"""Characters beyond which a reference is a solution, not an answer."""
GSM8K_ANSWER = re.compile(r"^####\s*(.+?)\s*$", re.MULTILINE)


class Loaded(Struct, frozen=True):
    """What the sources of a recipe hold."""

    problems: tuple[Problem, ...]
    merged: int
    """Rows that say the same as an earlier one."""


def load(sources: tuple[ProblemSource, ...], base: Path) -> Loaded:
    """All problems of the sources, in order.

    Raises ProblemError naming every bad row, and UserError where a source is missing or empty.
    """
    problems: dict[str, Problem] = {}
    keys: dict[str, str] = {}
    bad: list[str] = []
    merged = 0
    for number, source in enumerate(sources):
        found = 0
        for where, problem in _of_source(source, base, f"problems.{number}"):
            found += 1
            if isinstance(problem, str):
                bad.append(f"{where}: {problem}")
                continue
            if problem.key and problem.key in keys:
                bad.append(f"{where}: id: {problem.key!r} was already used at {keys[problem.key]}")
                continue
            if problem.key:
                keys[problem.key] = where
            merged += problem.id in problems
            problems.setdefault(problem.id, problem)
        if not found:
            raise UserError(f"problems.{number}.path: {source.path}: no rows - nothing to ask")
    if bad:
        raise ProblemError(bad)
    return Loaded(tuple(problems.values()), merged)


def reference(
    value: Any,
    domain: str,
    *,
    entry_point: str = "",
    prompt: str = "",
    setup: str = "",
    solution: str = "",
    choices: tuple[str, ...] = (),
    entry: Any = None,
    dataset: str = "",
    language: str = "",
    checker: str = "",
    checker_language: str = "",
    arguments: str | None = None,
    inputs: list[Any] | None = None,
    tolerance: float = 0.0,
) -> Reference:
    """The reference in a cell. Raises ValueError saying what is wrong with it."""
    match domain:
        case "math":
            return MathAnswer(bare_answer(_text(value)))
        case "choice":
            return ChoiceAnswer(_label(value, choices), choices)
        case "judged":
            return JudgedAnswer(_text(value))
        case "gym":
            return _gym(value, entry, dataset)
        case "code":
            if isinstance(value, str):
                value = suites.unpacked(value)
            if isinstance(value, dict) and isinstance(value.get("input_output"), str):
                value = json.loads(value["input_output"])
            if arguments is not None:
                value = suites.literal_assert(entry_point or _defined(solution), arguments, _text(value))
            if inputs:
                own = value if isinstance(value, str) else ""
                value = suites.plus_check(own, prompt + solution, entry_point, inputs, tolerance)
            entry_point = _under_solution(entry_point or _function_name(value), value, prompt, solution)
            tests = _checked(_tests(value, entry_point, setup), checker, checker_language)
            written_in = _language(language)
            if written_in != "python" and not isinstance(tests, StdioTests):
                raise ValueError(
                    f"{languages.load(written_in).title} programs are tested by input/output pairs only"
                )
            return CodeTests(tests, entry_point, prompt, solution, written_in)
        case _:
            raise ValueError(f"unknown domain {domain!r}")


def bare_answer(text: str) -> str:
    """The answer in a reference: what follows GSM8K's `####`, or the last `\\boxed{}` of a long solution.

    A short text with boxes is an answer, perhaps of several parts, and is left to the verifier.
    """
    final = GSM8K_ANSWER.findall(text)
    if final:
        return str(final[-1])
    boxed = text.rfind("\\boxed{")
    if boxed < 0 or len(text) <= SHORT_REFERENCE:
        return text.strip()
    depth = 0
    for end in range(boxed + 6, len(text)):
        depth += (text[end] == "{") - (text[end] == "}")
        if depth == 0:
            return text[boxed + 7 : end].strip()
    return text.strip()


def column(values: dict[str, Any], named: str, usual: tuple[str, ...]) -> Any:
    """The cell of the named column, or of the first usual one that the row has; None without either.

    Raises KeyError if a named column is not there.
    """
    if named:
        return rows.pick(values, named)
    for name in usual:
        try:
            return rows.pick(values, name)
        except KeyError:
            continue
    return None


# --- rows to problems ------------------------------------------------------------------------------


def _of_source(source: ProblemSource, base: Path, where: str) -> Iterator[tuple[str, Problem | str]]:
    """Each row's place, and its problem or what is wrong with it."""
    if source.layout and source.layout not in LAYOUTS:
        raise UserError(
            f"{where}.layout: unknown layout {source.layout!r} - expected one of {', '.join(LAYOUTS)}"
        )
    for key in ("language", "checker_language"):
        try:
            languages.find(getattr(source, key) or "python")
        except UserError as error:
            raise UserError(f"{where}.{key}: {error}") from None
    layout = LAYOUTS.get(source.layout, PLAIN)
    try:
        stream = _generated(source) if source.path.startswith("reasoning_gym:") else _read(source, base)
        for number, row in enumerate(stream):
            if source.limit and number >= source.limit:
                return
            yield row.where, row.why if isinstance(row, rows.BadRow) else _problem(row.values, source, layout)
    except UserError as error:
        raise UserError(f"{where}.path: {error}") from None


def _read(source: ProblemSource, base: Path) -> Iterator[rows.Row | rows.BadRow]:
    return rows.read(source.path, base=base, config=source.config, split=source.split)


def _problem(values: dict[str, Any], source: ProblemSource, layout: Layout) -> Problem | str:
    """The problem in a row, or `field: what is wrong`."""
    columns = source.columns
    field = "question"
    try:
        question = _text(column(values, columns.question, layout.question))
        field = "domain"
        domain = _optional(values, columns.domain, ()) or source.domain or layout.domain
        field = "answer"
        found = _reference(values, columns, layout, domain, source)
        field = "id"
        key = _optional(values, columns.id, layout.id)
    except KeyError as error:
        return f"{field}: no column {error} - the row has {', '.join(map(str, values))}"
    except ValueError as error:
        votes = field == "answer" and str(error) in ("missing", "empty") and domain in ("math", "choice")
        return f"{field}: {error}" + (' (without_answer = "vote" would ask without one)' if votes else "")
    return Problem(
        question,
        found,
        key,
        source=_optional(values, columns.source, ()) or source.source or Path(source.path).stem,
        licence=_optional(values, columns.licence, ()) or source.licence,
    )


def _reference(
    values: dict[str, Any], columns: Columns, layout: Layout, domain: str, source: ProblemSource
) -> Reference:
    options = column(values, columns.choices, layout.choices)
    if isinstance(options, dict):  # ARC: {"text": [...], "label": [...]}
        options = options.get("text")
    value, texts = column(values, columns.answer, layout.answer), tuple(map(str, options or ()))
    if source.without_answer == "vote" and domain in ("math", "choice") and _blank(value):
        return NoReference("math" if domain == "math" else "choice", texts)
    return reference(
        value,
        domain,
        entry_point=_optional(values, columns.entry_point, layout.entry_point),
        prompt=_optional(values, columns.prompt, layout.prompt),
        setup=_lines(column(values, columns.setup, layout.setup)),
        solution=_optional(values, columns.solution, layout.solution),
        choices=texts,
        entry=column(values, columns.entry, layout.entry),
        dataset=source.source,
        language=_optional(values, columns.language, ()) or source.language,
        checker=_optional(values, columns.checker, ()),
        checker_language=source.checker_language,
        **suite_columns(values, layout),
    )


def suite_columns(values: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """What a suite keeps beside its tests, as arguments of `reference`."""
    arguments = column(values, "", layout.arguments)
    lists = [column(values, "", (name,)) for name in layout.inputs]
    return {
        "arguments": None if arguments is None else str(arguments),
        "inputs": [item for held in lists if isinstance(held, list) for item in held],
        "tolerance": float(column(values, "", layout.tolerance) or 0.0),
    }


def _optional(values: dict[str, Any], named: str, usual: tuple[str, ...]) -> str:
    value = column(values, named, usual)
    return "" if value is None else str(value)


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _lines(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _text(value: Any) -> str:
    """A cell as text. Raises ValueError if it is missing or blank."""
    if value is None:
        raise ValueError("missing")
    if isinstance(value, (dict, list)):
        raise ValueError(f"expected text, got {type(value).__name__}")
    text = str(value).strip()
    if not text:
        raise ValueError("empty")
    return text


def _label(value: Any, choices: tuple[str, ...]) -> str:
    """The label of a choice: a letter, the number of an option counted from 0, or its text."""
    text = _text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(choices):
            raise ValueError(f"option {value} of {len(choices)}")
        return chr(ord("A") + value)
    letter = text.strip("().").upper()
    if re.fullmatch(r"[A-Z]", letter) and (not choices or ord(letter) - ord("A") < len(choices)):
        return letter
    if text in choices:
        return chr(ord("A") + choices.index(text))
    raise ValueError(f"{text[:40]!r} is neither a label nor one of the choices")


def _language(word: str) -> str:
    """The language's own name. Raises ValueError naming the known ones."""
    try:
        return languages.find(word or "python").name
    except UserError as error:
        raise ValueError(f"language: {error}") from None


# --- code tests ------------------------------------------------------------------------------------


Tests = AssertTests | CheckTests | StdioTests | CallTests | PytestTests | UnittestTests


def _tests(value: Any, entry_point: str, setup: str) -> Tests:
    if isinstance(value, str):
        value = _maybe_json(value)
    if isinstance(value, str):
        return _source_tests(value, setup)
    if isinstance(value, dict):
        return _table_tests(value, entry_point, setup)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return AssertTests(tuple(value), setup)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        pairs = [
            (_stream(item.get("input"), "stdin"), _stream(item.get("output"), "stdout")) for item in value
        ]
        return _case_tests(pairs, entry_point)
    if isinstance(value, list) and value and all(isinstance(item, list) and len(item) == 2 for item in value):
        return _case_tests([(item[0], item[1]) for item in value], entry_point)
    raise ValueError("expected assert statements, a check(candidate) source or input/output pairs")


def _checked(tests: Tests, checker: str, language: str) -> Tests:
    """The tests with their checker, if they have one."""
    if not checker.strip():
        return tests
    if not isinstance(tests, StdioTests):
        raise ValueError("a checker goes with input/output pairs only")
    return StdioTests(tests.cases, checker, _language(language))


def _stream(value: Any, name: str) -> Any:
    """SandboxFusion: `{"stdin": …}`."""
    return value[name] if isinstance(value, dict) and set(value) == {name} else value


def _source_tests(source: str, setup: str) -> AssertTests | CheckTests | PytestTests | UnittestTests:
    whole = f"{setup}\n{source}" if setup else source
    if re.search(r"^\s*def\s+check\s*\(", source, re.MULTILINE):
        return CheckTests(whole)
    functions = re.search(r"^(?:async\s+)?def\s+test|^(?:import|from)\s+pytest\b", source, re.MULTILINE)
    if not functions and re.search(r"^class\s+\w+\(.*TestCase", source, re.MULTILINE):
        return UnittestTests(whole)
    if functions or re.search(r"^class\s+Test\w*.*:\s*$", source, re.MULTILINE):
        return PytestTests(whole)
    if "assert" in source:
        return AssertTests((source,), setup)
    raise ValueError("has neither def check(candidate), nor tests of pytest or unittest, nor an assert")


def _table_tests(value: dict[str, Any], entry_point: str, setup: str) -> Tests:
    if isinstance(value.get("functional"), str):
        return _source_tests(value["functional"], setup)
    inputs = value.get("inputs", value.get("input"))
    outputs = value.get("outputs", value.get("output"))
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise ValueError("expected as many outputs as inputs")
    return _case_tests(
        list(zip(inputs, outputs, strict=True)), entry_point or str(value.get("fn_name") or "")
    )


def _case_tests(pairs: list[tuple[Any, Any]], entry_point: str) -> StdioTests | CallTests:
    if not pairs or any(given is None or wanted is None for given, wanted in pairs):
        raise ValueError("an input/output pair lacks one side")
    if entry_point:
        return CallTests(tuple(CallCase(_arguments(given), _as_json(wanted)) for given, wanted in pairs))
    return StdioTests(tuple(IoCase(_lines(given), _lines(wanted)) for given, wanted in pairs))


def _arguments(given: Any) -> str:
    """JSON list of the arguments; LiveCodeBench writes one JSON value a line."""
    if not isinstance(given, str):
        return json.dumps(given if isinstance(given, list) else [given])
    return json.dumps([json.loads(line) for line in given.splitlines() if line.strip()])


def _as_json(wanted: Any) -> str:
    if isinstance(wanted, str):
        try:
            json.loads(wanted)
        except ValueError:
            return json.dumps(wanted)
        return wanted
    return json.dumps(wanted)


def _maybe_json(text: str) -> Any:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _function_name(value: Any) -> str:
    return str(value.get("fn_name") or "") if isinstance(value, dict) else ""


def _under_solution(entry_point: str, value: Any, prompt: str, solution: str) -> str:
    """LeetCode's functions are methods of `Solution`, though their name comes alone."""
    is_table = isinstance(value, dict) and "functional" not in value
    if (
        not entry_point.isidentifier()
        or not is_table
        or re.search(rf"^def\s+{entry_point}\b", solution, re.M)
    ):
        return entry_point
    return f"Solution().{entry_point}" if "class Solution" in prompt + solution else entry_point


def _defined(solution: str) -> str:
    """The first function of a solution. Raises ValueError where it has none."""
    found = re.search(r"^def\s+(\w+)", solution, re.MULTILINE)
    if not found:
        raise ValueError("no entry point, and the solution defines no function")
    return found[1]


# --- reasoning_gym ---------------------------------------------------------------------------------


def _gym(value: Any, entry: Any, dataset: str) -> GymAnswer:
    if entry is None:
        raise ValueError("gym needs the entry column, the row that reasoning_gym made")
    whole = json.loads(entry) if isinstance(entry, str) else entry
    if not isinstance(whole, dict):
        raise ValueError("entry: expected an object")
    name = str((whole.get("metadata") or {}).get("source_dataset") or dataset)
    if not name:
        raise ValueError("entry: metadata.source_dataset is missing")
    return GymAnswer(name, _text(value), json.dumps(whole, sort_keys=True, default=str))


def _generated(source: ProblemSource) -> Iterator[rows.Row]:
    """Rows of a reasoning_gym dataset, made afresh; the same seed and options make the same rows."""
    name = source.path.removeprefix("reasoning_gym:")
    try:
        import reasoning_gym
    except ImportError:
        raise UserError("procedural problems need the gym extra - pip install 'tracegen[gym]'") from None
    options = {"size": source.limit or 100, "seed": source.seed, **source.options}
    try:
        dataset = reasoning_gym.create_dataset(name, **options)
    except (ValueError, TypeError, AssertionError) as error:
        raise UserError(f"reasoning_gym cannot make {name!r}: {error}") from None
    for number, entry in enumerate(dataset, 1):
        whole = msgspec.json.decode(msgspec.json.encode(entry, enc_hook=str))
        values = {"question": entry["question"], "answer": entry["answer"], "entry": whole}
        yield rows.Row(f"{source.path}:row {number}", {**values, "id": None})
