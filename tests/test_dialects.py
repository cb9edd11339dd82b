"""Responses to traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tracegen.data import Message, Request, Sampling, Trace
from tracegen.errors import InfraError
from tracegen.recipe import Elicit
from tracegen.teachers.dialects import parse, split_text

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "cases/dialects.jsonl").read_text().splitlines()
]

REQUEST = Request(
    problem="p",
    teacher="t",
    stage="first",
    messages=(Message(role="user", content="2+3?"),),
    prefill="",
    sampling=Sampling(),
    index=0,
)


def trace(body: dict[str, Any], elicit: Elicit | None = None) -> Trace:
    return parse(REQUEST, msgspec.json.encode(body), elicit or Elicit())


def openai(
    message: dict[str, Any], finish: str = "stop", usage: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "kind": "openai",
        "replies": [{"choices": [{"message": message, "finish_reason": finish}], "usage": usage or {}}],
    }


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_takes_a_text_apart(case: dict[str, Any]) -> None:
    elicit = Elicit(
        open=case.get("open", "<think>"),
        close=case.get("close", "</think>"),
        prefilled=case.get("prefilled", False),
    )
    got = trace({"kind": "vllm", "replies": [{"text": case["text"]}]}, elicit)
    assert (got.thinking, got.answer, got.dialect) == (case["thinking"], case["answer"], case["dialect"])
    assert got.closed == case.get("closed", True)
    assert got.thought == case.get("thought", True)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reads_the_field_that_holds_the_thinking(field: str) -> None:
    got = trace(openai({"content": "It is 5.", field: "2+3=5"}))
    assert (got.thinking, got.answer, got.dialect, got.closed) == ("2+3=5", "It is 5.", field, True)


def test_reads_reasoning_details() -> None:
    details = [
        {"type": "reasoning.text", "text": "2+3"},
        {"type": "reasoning.summary", "summary": "=5"},
        {"data": "x"},
    ]
    got = trace(openai({"content": "5", "reasoning_details": details}))
    assert (got.thinking, got.dialect) == ("2+3\n=5", "reasoning_details")


def test_reads_content_that_is_a_list_of_parts() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "2+3"}]},
        {"type": "text", "text": "5"},
    ]
    got = trace(openai({"content": parts}))
    assert (got.thinking, got.answer, got.dialect) == ("2+3", "5", "parts")


def test_leaves_an_unclosed_field_without_answer() -> None:
    got = trace(openai({"content": None, "reasoning": "2+3 is"}, finish="length"))
    assert (got.closed, got.answer, got.thought, got.finish_reason) == (False, "", True, "length")


def test_strips_tags_from_the_content_only_if_they_repeat_the_field() -> None:
    repeated = trace(openai({"content": "<think>2+3</think>5", "reasoning": "2+3"}))
    stray = trace(openai({"content": "</think>5", "reasoning": "2+3"}))
    other = trace(openai({"content": "<think>7</think>5", "reasoning": "2+3"}))
    assert (repeated.answer, stray.answer) == ("5", "5")
    assert other.answer == "<think>7</think>5"
    assert {repeated.thinking, stray.thinking, other.thinking} == {"2+3"}


def test_prefers_the_field_to_inline_tags() -> None:
    got = trace(openai({"content": "The tag </think> ends it: 5", "reasoning_content": "2+3"}))
    assert (got.thinking, got.answer) == ("2+3", "The tag </think> ends it: 5")


def test_takes_an_empty_field_as_absent() -> None:
    got = trace(openai({"content": "<think>a</think>5", "reasoning_content": "", "reasoning": None}))
    assert (got.thinking, got.answer, got.dialect) == ("a", "5", "tags")


def test_keeps_a_closed_answer_that_was_cut() -> None:
    got = trace(openai({"content": "<think>a</think>It is 5 bec"}, finish="length"))
    assert (got.closed, got.answer, got.finish_reason) == (True, "It is 5 bec", "length")


def test_counts_a_prefill_as_opened() -> None:
    body = {"kind": "transformers", "prefill": "<think>\n", "replies": [{"text": "2+3=5"}]}
    assert trace(body).closed is False
    body["replies"] = [{"text": "<think>2+3=5</think>5"}]
    got = trace(body)
    assert (got.thinking, got.answer, got.dialect) == ("2+3=5", "5", "tags")


def test_joins_the_replies_of_budget_forcing() -> None:
    replies = [
        {"text": "2+3 is", "finish_reason": "length", "prompt_tokens": 10, "completion_tokens": 4},
        {"text": " 5.", "finish_reason": "stop", "prompt_tokens": 20, "completion_tokens": 2},
    ]
    body = {
        "kind": "vllm",
        "prefill": "<think>\n",
        "inserted": ["\n</think>\n\nThe answer is"],
        "forced_close": True,
        "replies": replies,
    }
    got = trace(body)
    assert (got.thinking, got.answer) == ("2+3 is", "The answer is 5.")
    assert (got.prompt_tokens, got.completion_tokens, got.thinking_tokens) == (10, 6, 4)
    assert got.forced_close
    assert got.finish_reason == "stop"


def test_takes_thinking_tokens_from_the_usage() -> None:
    usage = {
        "prompt_tokens": 7,
        "completion_tokens": 30,
        "completion_tokens_details": {"reasoning_tokens": 21},
    }
    got = trace(openai({"content": "5", "reasoning": "a"}, usage=usage))
    assert (got.prompt_tokens, got.completion_tokens, got.thinking_tokens) == (7, 30, 21)


def test_reads_a_replayed_message() -> None:
    body = {
        "kind": "replay",
        "replies": [{"message": {"content": "<think>a</think>5"}, "finish_reason": "unknown"}],
    }
    got = trace(body)
    assert (got.thinking, got.answer, got.completion_tokens) == ("a", "5", None)


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 5}}]},
        {"usage": "none", "choices": [{"message": {"content": [None, 3]}}]},
        {"error": {"message": "overloaded"}},
    ],
)
def test_parses_any_reply_of_a_server(reply: dict[str, Any]) -> None:
    got = trace({"kind": "openai", "replies": [reply]})
    assert (got.thinking, got.answer, got.finish_reason) == ("", "", "unknown")


def test_keeps_a_refusal_as_the_answer() -> None:
    assert trace(openai({"content": None, "refusal": "I cannot."}, "content_filter")).answer == "I cannot."


def test_says_that_a_damaged_body_is_ours() -> None:
    with pytest.raises(InfraError, match="cannot be read"):
        parse(REQUEST, b'{"kind": "openai"', Elicit())


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 30000,
        "<think>\n</think>\n" * 12000,
        "</think>" * 25000,
        "```" * 60000 + "</think>",
        "\n<think> " * 20000 + "</think>",
        "<|channel|>analysis<|message|>" * 7000,
        " " * 200000 + "<think>",
    ],
)
def test_stays_fast_on_long_texts(text: str) -> None:
    split_text(text, Elicit())  # quadratic code would take minutes


def test_parses_real_traces_of_deepseek_r1(shared: Path) -> None:
    rows = json.loads((shared / "traces/mip_overthinking/gsm8k.normal.deepseekR1.json").read_text())
    texts = [row["deepseek-reasoner (question)"] for row in rows]
    got = [split_text(text, Elicit()) for text in texts]
    assert (
        sum(split.dialect == "orphan" for split in got) == len(rows) - 1
    )  # one row is a server's error message
    assert all(split.closed and split.answer.strip() for split in got)


def test_parses_real_traces_with_custom_tags(shared: Path) -> None:
    rows = json.loads((shared / "traces/marco_o1_cot_demo/CoT_demo.json").read_text())
    got = [split_text(row["response"], Elicit(open="<Thought>", close="</Thought>")) for row in rows]
    assert sum(split.closed and split.thought and bool(split.thinking) for split in got) == len(rows)


def test_parses_real_traces_with_think_tags(shared: Path) -> None:
    path = shared / "traces/short_think_qwen3b/svamp.jsonl"
    texts = [json.loads(line)["code"][0] for line in path.read_text().splitlines()]
    got = [split_text(text, Elicit()) for text in texts]
    assert sum(split.dialect == "tags" for split in got) >= 990
    assert all(not split.answer for split in got if not split.closed)
