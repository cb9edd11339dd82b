"""The columns of a dataset, written down once: `Record` as Arrow types and as Hugging Face features.

Every config, split and shard has this schema, whatever rows it holds: no column's type is inferred, so
none is `null` where a run happens to have no value for it. Not covered: datasets of another shape.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tracegen.data import Record

if TYPE_CHECKING:
    import pyarrow as pa

Column = str | Sequence["Column"] | dict[str, "Column"]
"""A column's type: a scalar's name, `[item]` for a list, `{name: type}` for a struct."""

COLUMNS: dict[str, Column] = {
    "id": "string",
    "problem_id": "string",
    "problem_key": "string",
    "question": "string",
    "reference": "string",
    "domain": "string",
    "source": "string",
    "licence": "string",
    "split": "string",
    "status": "string",
    "reason": "string",
    "stage": "string",
    "recovery_reason": "string",
    "teacher": "string",
    "teacher_id": "string",
    "index": "int64",
    "messages": [{"role": "string", "content": "string"}],
    "thinking": "string",
    "answer": "string",
    "finish_reason": "string",
    "closed": "bool",
    "forced_close": "bool",
    "outcome": "string",
    "cause": "string",
    "step": "string",
    "extracted": "string",
    "evidence": "string",
    "trust": "string",
    "flags": ["string"],
    "prompt_tokens": "int64",
    "completion_tokens": "int64",
    "thinking_tokens": "int64",
    "sampling": {
        "temperature": "float64",
        "top_p": "float64",
        "top_k": "int64",
        "min_p": "float64",
        "repetition_penalty": "float64",
        "thinking_tokens": "int64",
        "max_tokens": "int64",
    },
    "seed": "int64",
    "problem_accepted": "int64",
    "problem_asked": "int64",
    "majority": "string",
    "votes": "int64",
    "agreement": "float64",
    "rewrite_of": "string",
    "rewritten_as": "string",
    "not_rewritten": "string",
    "language": "string",
    "logprobs": {
        "tokenizer": "string",
        "ids": ["int32"],
        "top_ids": [["int32"]],
        "top_logprobs": [["float32"]],
    },
}
"""Every field of `Record`, in its order. Only a trace's three token counts and logprobs are ever null."""


def schema() -> pa.Schema:
    """The Arrow schema of every file, with the features in its metadata, where `datasets` looks for them."""
    import pyarrow as pa

    features = {"info": {"features": {name: _feature(column) for name, column in COLUMNS.items()}}}
    fields = [pa.field(name, _arrow(column)) for name, column in COLUMNS.items()]
    return pa.schema(fields, metadata={"huggingface": json.dumps(features)})


def features() -> list[dict[str, Any]]:
    """The columns as `dataset_info.features` of a card, in the form that `datasets` itself writes."""
    return [{"name": name, **_card_type(column)} for name, column in COLUMNS.items()]


def table(records: Iterable[Record]) -> pa.Table:
    """The records as rows, in the order given.

    A lone surrogate, which a teacher's JSON may hold and UTF-8 cannot, becomes `?`.
    """
    import pyarrow as pa

    rows = [msgspec.to_builtins(record) for record in records]
    try:
        return pa.Table.from_pylist(rows, schema=schema())
    except UnicodeEncodeError:
        return pa.Table.from_pylist([_encodable(row) for row in rows], schema=schema())


def _arrow(column: Column) -> pa.DataType:
    import pyarrow as pa

    match column:
        case str():
            return pa.type_for_alias(column)
        case dict():
            return pa.struct([pa.field(name, _arrow(inner)) for name, inner in column.items()])
        case _:
            return pa.list_(_arrow(column[0]))


def _feature(column: Column) -> Any:
    """As in Arrow metadata. A list is written `[item]`, which every version of `datasets` reads; the type
    names `List` (4.0 and later) and `Sequence` (before) are each refused or misread by the other side."""
    match column:
        case str():
            return {"dtype": column, "_type": "Value"}
        case dict():
            return {name: _feature(inner) for name, inner in column.items()}
        case _:
            return [_feature(column[0])]


def _card_type(column: Column) -> dict[str, Any]:
    match column:
        case str():
            return {"dtype": column}
        case dict():
            return {"struct": [{"name": name, **_card_type(inner)} for name, inner in column.items()]}
        case _:
            item = _card_type(column[0])
            return {"list": item.get("struct") or item.get("dtype") or item}


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {key: _encodable(inner) for key, inner in value.items()}
        case list():
            return [_encodable(inner) for inner in value]
        case _:
            return value
