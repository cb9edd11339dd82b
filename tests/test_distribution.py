"""A teacher's distribution …"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import tiny_student
from tracegen import recipe
from tracegen.data import Message, Request, Sampling
from tracegen.teachers import distribution, open_teacher
from tracegen.teachers.dialects import parse
from tracegen.teachers.forced import Ask
from tracegen.teachers.openai import payload

ELICIT = recipe.Elicit(mode="forced")


def request(question: str = "What is 2 + 3?", **sampling: Any) -> Request:
    return Request(
        problem="p",
        teacher="t",
        stage="first",
        messages=(Message("user", question),),
        prefill="<think>\n",
        sampling=Sampling(**{"temperature": 0.7, "max_tokens": 12, "thinking_tokens": 6, **sampling}),
        index=0,
    )


def answered(config: recipe.Teacher, asked: Request) -> bytes:
    """The body that a teacher gives to a request."""

    async def complete() -> bytes:
        teacher = open_teacher(config, label="tiny", base=Path())
        try:
            return (await teacher.complete(asked)).body
        finally:
            await teacher.aclose()

    return asyncio.run(complete())


@pytest.mark.slow
def test_is_the_models_own_whatever_the_sampling(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_student(tmp_path / "model")
    config = recipe.TransformersTeacher(
        model=str(folder), dtype="float32", device="cpu", elicit=ELICIT, logprobs=5
    )
    asked = request(top_k=3, repetition_penalty=1.3)

    body = answered(config, asked)
    found = parse(asked, body, ELICIT).logprobs
    assert found is not None
    assert found.tokenizer == distribution.tokenizer_hash(AutoTokenizer.from_pretrained(folder))
    assert {len(top) for top in found.top_ids} == {len(top) for top in found.top_logprobs} == {5}
    first = json.loads(body)["replies"][0]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is 2 + 3?"}], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer.encode(prompt + "<think>\n", add_special_tokens=False)
    with torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        logs = model(torch.tensor([ids + first["token_ids"]])).logits[0, len(ids) - 1 : -1].log_softmax(-1)
    for place, top, values in zip(logs, first["top_ids"], first["top_logprobs"], strict=True):
        assert sorted(top) == sorted(place.topk(5).indices.tolist())
        assert values == pytest.approx(place[top].tolist(), abs=2e-3)


def test_is_not_kept_where_nobody_asks(tmp_path: Path) -> None:
    folder = tiny_student(tmp_path / "model")
    config = recipe.TransformersTeacher(model=str(folder), dtype="float32", device="cpu", elicit=ELICIT)
    assert parse(request(), answered(config, request()), ELICIT).logprobs is None


def server_said(tokens: list[str], finish: str = "stop") -> dict[str, Any]:
    """A chat completion of vLLM's server with `return_tokens_as_token_ids`."""
    content = [
        {
            "token": token,
            "logprob": -0.5,
            "bytes": None,
            "top_logprobs": [{"token": token, "logprob": -0.5}, {"token": "token_id:7", "logprob": -1.25}],
        }
        for token in tokens
    ]
    message = {"role": "assistant", "content": "4"}
    return {"choices": [{"message": message, "finish_reason": finish, "logprobs": {"content": content}}]}


def test_is_read_from_a_server_that_tells_ids() -> None:
    found = distribution.stored(
        "hash", [server_said(["token_id:11", "token_id:12"]), server_said(["token_id:2"])]
    )
    assert found is not None
    assert found.ids == (11, 12, 2)
    assert found.top_ids == ((11, 7), (12, 7), (2, 7))
    assert found.top_logprobs[0] == (-0.5, -1.25)


@pytest.mark.parametrize(
    "reply",
    [
        server_said(["4"]),
        server_said(["token_id:x"]),
        {"choices": [{"message": {"content": "4"}}]},
        {"choices": [{"message": {"content": "4"}, "logprobs": None}]},
        {"choices": [{"logprobs": {"content": [{"token": "token_id:3"}]}}]},
        {"choices": []},
        {},
        {"token_ids": [1, 2], "top_ids": [[1]], "top_logprobs": [[-0.1]]},
    ],
)
def test_is_none_where_a_reply_tells_no_ids(reply: dict[str, Any]) -> None:
    assert distribution.stored("hash", [reply]) is None
    assert distribution.stored("hash", [server_said(["token_id:2"]), reply]) is None


def test_is_asked_of_an_endpoint_without_being_part_of_the_request() -> None:
    ask = Ask(text="", max_tokens=9)
    plain, kept = recipe.OpenAITeacher(model="m"), recipe.OpenAITeacher(model="m", logprobs=20)
    assert payload(kept, request(), ask) == {
        **payload(plain, request(), ask),
        "logprobs": True,
        "top_logprobs": 20,
        "return_tokens_as_token_ids": True,
    }
