"""Which problems of an evaluation the student was trained on: the same question, or a long run of its words.

Compared are words, without case and punctuation. A run is as long as the question if that has 8 to 13
words, and 13 words if it is longer (GPT-3's rule, Brown et al. 2020, arXiv 2005.14165, appendix C); a
question of fewer than 8 words has to be the same as a whole. Only questions are compared, since a trace
repeats the question that it answers. Not covered: paraphrases and translations.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from tracegen import rows
from tracegen.errors import UserError
from tracegen.student import TrainSource

LONGEST, SHORTEST = 13, 8
"""Words of a run."""
WORD = re.compile(r"\w+")
COLUMNS = ("question", "problem", "instruction", "prompt", "input", "query")
ROLES = ("user", "human")
Overlap = Literal["exact", "ngram"]


def words(text: str) -> tuple[str, ...]:
    """The words of a text as they are compared."""
    return tuple(WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def overlaps(questions: Mapping[str, str], trained: Iterable[str]) -> dict[str, Overlap]:
    """Of the questions by their id those that are among the trained ones, and how; one pass over these.

    Takes memory for the evaluation's runs of words, not for the training set.
    """
    wholes: dict[tuple[str, ...], list[str]] = {}
    grams: dict[tuple[str, ...], set[str]] = {}
    for name, question in questions.items():
        tokens = words(question)
        wholes.setdefault(tokens, []).append(name)
        for gram in _grams(tokens, min(LONGEST, len(tokens))):
            grams.setdefault(gram, set()).add(name)
    sizes = sorted({len(gram) for gram in grams})
    found: dict[str, Overlap] = {}
    for text in trained:
        tokens = words(text)
        for size in sizes:
            for gram in _grams(tokens, size):
                for name in grams.get(gram, ()):
                    found.setdefault(name, "ngram")
        for name in wholes.get(tokens, ()):
            found[name] = "exact"
    return found


def trained_questions(source: TrainSource, base: Path) -> Iterator[str]:
    """The questions of a training set: a run directory, dataset directory, file or Hub id.

    Raises UserError where there is no such thing, or a row has no question.
    """
    for number, row in enumerate(_rows(source, base)):
        if source.limit and number >= source.limit:
            return
        if isinstance(row, rows.BadRow):
            raise UserError(f"trained on {source.path}: {row.where}: {row.why}")
        question = _question(row.values, source.columns.question)
        if not question:
            raise UserError(
                f"trained on {source.path}: {row.where}: no question - expected a column named "
                f"{', '.join(COLUMNS)}, messages or conversations"
            )
        yield question


def _grams(tokens: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    if size >= SHORTEST:
        for start in range(len(tokens) - size + 1):
            yield tokens[start : start + size]


def _rows(source: TrainSource, base: Path) -> Iterator[rows.Row | rows.BadRow]:
    """The rows; of a run or dataset directory of ours those of the config and split that are trained on."""
    folder = base / source.path
    for inner in (folder / "dataset" / "data", folder / "data"):
        files = sorted((inner / (source.config or "verified")).glob(f"{source.split}-*.parquet"))
        if files:
            for file in files:
                yield from rows.read(str(file.resolve()))
            return
    own = folder.exists() or source.config == TrainSource().config
    yield from rows.read(source.path, base=base, config="" if own else source.config, split=source.split)


def _question(values: Mapping[str, Any], named: str) -> str:
    for name in (named, *COLUMNS) if named else COLUMNS:
        if isinstance(values.get(name), str) and values[name].strip():
            return str(values[name])
    for name in ("messages", "conversations", "prompt"):
        turns = values.get(name)
        if isinstance(turns, list):
            return "\n".join(_asked(turn) for turn in turns)
    return ""


def _asked(turn: Any) -> str:
    """What a turn of the user says."""
    if not isinstance(turn, dict) or turn.get("role", turn.get("from")) not in ROLES:
        return ""
    return str(turn.get("content", turn.get("value", "")))
