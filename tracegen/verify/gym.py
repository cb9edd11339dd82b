"""Problems of reasoning_gym, judged by the scorer of their own dataset, in a worker.

A score of at least `ENOUGH` is correct. Some scorers hand the answer to `eval` or to sympy's parser, which
evaluates Python; what they would be given is a model's text, so they are not run. `hazards` finds
them in the syntax tree of the dataset's module and of its base classes. Their problems are judged by the
mathematical ladder against the reference answer, and the step says so.
"""

from __future__ import annotations

import ast
import inspect
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from tracegen.data import GymAnswer, Verdict
from tracegen.errors import UserError
from tracegen.syntax import tree_of
from tracegen.verify import math
from tracegen.verify.extract import WEAK, final_answer
from tracegen.verify.pool import Done, Pool

ENOUGH = 0.99
HAZARDS = frozenset(
    {
        "eval",
        "exec",
        "compile",
        "__import__",
        "parse_expr",
        "sympify",
        "nsimplify",
        "simplify",
        "subprocess",
        "popen",
        "system",
        "pickle",
        "S",
    }
)
"""Names that evaluate text, or run it."""


def require() -> None:
    """Raises UserError where reasoning_gym is not installed."""
    if find_spec("reasoning_gym") is None:
        raise UserError("reasoning_gym is not installed - pip install 'tracegen[gym]'")


async def judge(pool: Pool, reference: GymAnswer, text: str, *, bare: bool, seconds: float) -> Verdict:
    """Whether the dataset's own scorer accepts the answer in `text`."""
    started = time.perf_counter()
    candidates = _candidates(text, bare=bare)
    verdict = Verdict(
        outcome="no_answer", cause="no_answer", step="scorer", evidence="no final answer was found"
    )
    for answer, trust in candidates:
        verdict = await _scored(pool, reference, answer, seconds=seconds)
        verdict = msgspec.structs.replace(
            verdict, extracted=answer, trust=trust if verdict.trust == "strong" else verdict.trust
        )
        if verdict.outcome != "incorrect":
            break
    return msgspec.structs.replace(verdict, milliseconds=(time.perf_counter() - started) * 1000)


def _candidates(text: str, *, bare: bool) -> list[tuple[str, Any]]:
    """What may be the answer, with its trust: the marked answer, else all of the text, else a guess."""
    if bare:
        return [(text.strip(), "strong")] if text.strip() else []
    answer, rule = final_answer(text)
    if answer and rule not in WEAK and rule != "bold":
        return [(answer, "strong")]
    whole = [(text.strip(), "strong")] if text.strip() and len(text) <= 4000 else []
    return whole + ([(answer, "weak")] if answer and answer != text.strip() else [])


async def _scored(pool: Pool, reference: GymAnswer, answer: str, *, seconds: float) -> Verdict:
    if not reference.entry:
        return await _by_ladder(pool, reference, answer, "there is no entry to score with", seconds=seconds)
    result = await pool.call(
        "tracegen.verify.gym:score", reference.dataset, reference.entry, answer, seconds=seconds
    )
    match result:
        case Done(value=[float() | int() as score, ""]):
            right = score >= ENOUGH
            return Verdict(
                outcome="correct" if right else "incorrect",
                cause="accepted" if right else "different",
                step="scorer",
                evidence=f"{reference.dataset} scores {score:.3g}",
            )
        case Done(value=[_, str(reason)]):
            return await _by_ladder(pool, reference, answer, reason, seconds=seconds)
        case _:
            return math.failed(result, seconds)


async def _by_ladder(
    pool: Pool, reference: GymAnswer, answer: str, reason: str, *, seconds: float
) -> Verdict:
    verdict = await math.compare(pool, reference.answer, answer, seconds=seconds)
    return msgspec.structs.replace(verdict, step="math ladder", evidence=f"{reason}; {verdict.evidence}")


# --- in a worker -----------------------------------------------------------------------------------


def warm() -> None:
    """Load reasoning_gym in the zygote."""
    import reasoning_gym  # noqa: F401 - for its side effect: the datasets register themselves


def score(dataset: str, entry: str, answer: str) -> list[Any]:
    """The scorer's score and an empty string; or None and the reason why it was not run."""
    from reasoning_gym.factory import DATASETS, create_dataset

    if dataset not in DATASETS:
        return [None, f"reasoning_gym has no dataset {dataset}"]
    found = hazards(dataset)
    if found:
        return [None, f"the scorer of {dataset} may evaluate text ({', '.join(found)})"]
    try:
        value = create_dataset(dataset).score_answer(answer, msgspec.json.decode(entry))
    except Exception as error:  # a scorer's bug on an odd answer says nothing about the answer
        return [None, f"the scorer of {dataset} failed ({type(error).__name__}: {str(error)[:200]})"]
    return [float(value), ""]


@cache
def hazards(dataset: str) -> tuple[str, ...]:
    """Hazardous names in the modules that define the dataset and its base classes."""
    from reasoning_gym.factory import DATASETS

    sources = {
        inspect.getsourcefile(one)
        for one in DATASETS[dataset][0].__mro__
        if one.__module__.startswith("reasoning_gym")
    }
    found: set[str] = set()
    for source in sources:
        if source is None:
            return ("no source",)
        found |= HAZARDS & _names(tree_of(Path(source).read_text("utf-8")))
    return tuple(sorted(found))


def _names(tree: ast.AST) -> set[str]:
    """Every name that is used, imported or called as a method; `re.compile` is not `compile`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and node.attr != "compile":
            names.add(node.attr)
        elif isinstance(node, ast.alias):
            names.update(node.name.split("."))
    return names
