"""The columns and Record are the same thing."""

from __future__ import annotations

import json
import types
import typing

import pyarrow as pa

from tests.made_up_records import record, records
from tracegen.data import Logprobs, Message, Record, Sampling
from tracegen.publish import schema


def scalar(annotation: object) -> str:
    """The column type that a field of this type needs."""
    options = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        (annotation,) = (option for option in options if option is not type(None))
    if typing.get_origin(annotation) is typing.Literal:
        annotation = type(options[0])
    return {str: "string", int: "int64", float: "float64", bool: "bool"}[annotation]  # type: ignore[index]  # one of these


LOGPROBS = {
    "tokenizer": "string",
    "ids": ["int32"],
    "top_ids": [["int32"]],
    "top_logprobs": [["float32"]],
}
"""Half as wide as other numbers, since there are k of them for every token."""


def columns_of(struct: type) -> dict[str, object]:
    nested = {
        tuple[str, ...]: ["string"],
        tuple[Message, ...]: [columns_of(Message)] if struct is Record else None,
    }
    found: dict[str, object] = {}
    for name, annotation in typing.get_type_hints(struct).items():
        if annotation is Sampling:
            found[name] = columns_of(Sampling)
        elif annotation == Logprobs | None:
            found[name] = LOGPROBS
        elif nested.get(annotation):
            found[name] = nested[annotation]
        else:
            found[name] = scalar(annotation)
    return found


def test_has_a_column_for_every_field_of_record_and_no_other_in_its_order() -> None:
    assert list(schema.COLUMNS.items()) == list(columns_of(Record).items())


def test_has_a_column_for_every_field_of_logprobs() -> None:
    assert list(LOGPROBS) == list(Logprobs.__struct_fields__)


def test_has_no_column_of_type_null_even_where_no_row_has_a_value() -> None:
    row = record(1, 0, prompt_tokens=None, completion_tokens=None, thinking_tokens=None, flags=())
    assert schema.table([row]).schema.equals(schema.schema(), check_metadata=True)
    assert schema.table([]).schema.equals(schema.schema(), check_metadata=True)
    assert "null" not in str(schema.schema())


def test_keeps_every_value() -> None:
    rows = records()
    columns = Record.__struct_fields__
    for row, read in zip(rows, schema.table(rows).to_pylist(), strict=True):
        assert tuple(read) == columns
        assert read["messages"] == [{"role": turn.role, "content": turn.content} for turn in row.messages]
        assert read["flags"] == list(row.flags)
        assert read["sampling"]["temperature"] == row.sampling.temperature
        assert read["completion_tokens"] == row.completion_tokens
        assert read["thinking"] == row.thinking


def test_writes_a_lone_surrogate_as_a_question_mark() -> None:
    table = schema.table([record(1, 0, thinking="a\ud83db"), record(2, 0, thinking="\U0001f600")])
    assert table.column("thinking").to_pylist() == ["a?b", "\U0001f600"]


def test_has_the_features_that_datasets_reads_from_arrow_and_from_the_card() -> None:
    from datasets import Features

    read = Features.from_arrow_schema(schema.schema())
    assert read.arrow_schema.equals(schema.schema().remove_metadata())
    assert read == Features._from_yaml_list(schema.features())
    assert read._to_yaml_list() == schema.features()


def test_names_the_same_features_in_the_metadata_as_arrow_itself() -> None:
    from datasets import Features

    plain = schema.schema().remove_metadata()
    assert Features.from_arrow_schema(plain) == Features.from_arrow_schema(schema.schema())
    assert set(json.loads(schema.schema().metadata[b"huggingface"])["info"]["features"]) == set(plain.names)
    assert isinstance(plain, pa.Schema)
