"""Tokenizers of students: real chat templates over real vocabularies that were cut down to a few merges."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tracegen.student import Train
from tracegen.train.sources import Row, Turn

HERE = Path(__file__).parent
FOLDER = HERE / "fixtures" / "templates"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chat template, the vocabulary under it, and what it is known to do."""

    template: str
    vocabulary: str
    special: tuple[str, ...]
    plain: tuple[str, ...]
    """Added tokens that the vocabulary does not call special."""
    bos: str
    eos: str
    treatment: dict[str, Any]
    why: str


def cases() -> dict[str, Case]:
    """Every template by name."""
    lines = (HERE / "cases" / "templates.jsonl").read_bytes().splitlines()
    return {case.template: case for case in (msgspec.json.decode(line, type=Case) for line in lines)}


@cache
def tokenizer(name: str) -> Any:
    """The tokenizer of a case. Its ids are not those of the model, its merges are."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerFast

    case = cases()[name]
    backend = Tokenizer.from_file(str(FOLDER / f"{case.vocabulary}.json"))
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in case.special])
    backend.add_tokens([AddedToken(token, normalized=False) for token in case.plain])
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=case.bos or None, eos_token=case.eos, pad_token=case.eos
    )
    made.chat_template = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    return made


def train(**changes: Any) -> Train:
    """Settings of a training; the model is never loaded."""
    return Train(**{"model": "student", **changes})


def row(id_: str = "r", question: str = "What is 12 + 30?", **changes: Any) -> Row:
    """A row with thinking."""
    given: dict[str, Any] = {
        "problem": question,
        "source": "student",
        "turns": (Turn("user", question),),
        "thinking": "Add the tens: 10 + 30 = 40.\nThen 40 + 2 = 42.",
        "answer": "The answer is \\boxed{42}.",
    }
    return Row(id=id_, **{**given, **changes})
