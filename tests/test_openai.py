"""The openai teacher against a real server on the loopback interface, with scripted dialects and faults."""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint_double import Answer, Endpoint, Fault, completion, say
from tracegen import recipe
from tracegen.data import Message, Request, Sampling
from tracegen.errors import TeacherError, UserError
from tracegen.teachers import Reply, Teacher, open_teacher
from tracegen.teachers import openai as module
from tracegen.teachers.dialects import parse
from tracegen.teachers.forced import Ask

KEY = "sk-very-secret-0123456789"
FORCED = recipe.Elicit(mode="forced")


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off in milliseconds."""
    monkeypatch.setattr(module, "FIRST_DELAY", 0.005)


def config(endpoint: Endpoint, **changes: Any) -> recipe.OpenAITeacher:
    return recipe.OpenAITeacher(**{"base_url": endpoint.url, "model": "double", "timeout": 5.0, **changes})


def teacher(settings: recipe.OpenAITeacher) -> Teacher:
    return open_teacher(settings, label="first", base=Path())


def request(index: int = 0, sampling: Sampling | None = None, prefill: str = "") -> Request:
    return Request(
        problem="p",
        teacher="t",
        stage="first",
        messages=(Message("user", "2 + 2?"),),
        prefill=prefill,
        sampling=sampling or Sampling(),
        index=index,
    )


def ask(settings: recipe.OpenAITeacher, requests: Sequence[Request] = (request(),)) -> list[Reply]:
    async def run() -> list[Reply]:
        opened = teacher(settings)
        try:
            return await asyncio.gather(*map(opened.complete, requests))
        finally:
            await opened.aclose()

    return asyncio.run(run())


def fails(settings: recipe.OpenAITeacher) -> TeacherError:
    with pytest.raises(TeacherError) as caught:
        ask(settings)
    return caught.value


def ready(settings: recipe.OpenAITeacher) -> None:
    async def run() -> None:
        opened = teacher(settings)
        try:
            await opened.ready()
        finally:
            await opened.aclose()

    asyncio.run(run())


def not_ready(settings: recipe.OpenAITeacher) -> TeacherError:
    with pytest.raises(TeacherError) as caught:
        ready(settings)
    assert caught.value.fatal
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.slow
def test_keeps_the_reply_byte_for_byte() -> None:
    message = b'{"content":"4","reasoning":"h\\u006dm"}'
    odd = b'{ "choices":[{"message":' + message + b',"finish_reason":"stop","x":[1.50]}] ,"y":1e3}'
    with Endpoint() as endpoint:
        endpoint.script(Answer(body=odd))
        [reply] = ask(config(endpoint))
    assert odd in reply.body
    assert json.loads(reply.body)["replies"] == [json.loads(odd)]


def test_sends_the_sampling_and_the_seed_of_the_request() -> None:
    sampling = Sampling(0.3, 0.9, 20, 0.05, 1.1, max_tokens=99)
    with Endpoint() as endpoint:
        ask(config(endpoint, extra_body={"reasoning": {"effort": "low"}}), [request(sampling=sampling)])
        [sent] = endpoint.requests
    assert sent == {
        "model": "double",
        "messages": [{"role": "user", "content": "2 + 2?"}],
        "temperature": 0.3,
        "top_p": 0.9,
        "top_k": 20,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "max_tokens": 99,
        "seed": request(sampling=sampling).seed,
        "reasoning": {"effort": "low"},
    }


def test_sends_strict_servers_nothing_that_is_off() -> None:
    with Endpoint() as endpoint:
        ask(config(endpoint))
        [sent] = endpoint.requests
    assert set(sent) == {"model", "messages", "temperature", "top_p", "max_tokens", "seed"}


def test_names_the_budget_as_openai_does() -> None:
    settings = recipe.OpenAITeacher(model="o9")
    body = module.payload(settings, request(), Ask(text="", max_tokens=7))
    assert body["max_completion_tokens"] == 7
    assert "max_tokens" not in body


def test_lets_extra_body_have_the_last_word() -> None:
    with Endpoint() as endpoint:
        ask(config(endpoint, extra_body={"temperature": 1.0}))
        assert endpoint.requests[0]["temperature"] == 1.0


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(500),
        Fault.status(503),
        Fault.status(429),
        Fault.status(408),
        Fault.reset,
        Fault.truncated,
        Fault.cut,
        Fault.html,
        Answer(body=b""),
        Answer(body=b'{"choices": []}'),
        Answer(body=b'{"error": {"message": "upstream", "code": 502}}'),
    ],
    ids=["500", "503", "429", "408", "reset", "truncated", "cut", "html", "empty", "no choice", "error"],
)
def test_asks_again_after(fault: Answer) -> None:
    with Endpoint() as endpoint:
        endpoint.script(fault, fault, say("4"))
        [reply] = ask(config(endpoint))
        assert len(endpoint.requests) == 3
        assert endpoint.requests[0] == endpoint.requests[2]
    assert b'"4"' in reply.body


def test_asks_again_after_a_hang() -> None:
    with Endpoint() as endpoint:
        endpoint.script(Fault.hang(30), say("4"))
        [reply] = ask(config(endpoint, timeout=0.3))
    assert b'"4"' in reply.body


def test_waits_as_long_as_retry_after_says() -> None:
    with Endpoint() as endpoint:
        endpoint.script(Fault.busy(retry_after="0.4"), say("4"))
        begin = time.monotonic()
        ask(config(endpoint))
    assert time.monotonic() - begin >= 0.4


def test_gives_up_after_its_tries_and_says_why() -> None:
    with Endpoint() as endpoint:
        endpoint.default = lambda _: Fault.status(503, "overloaded")
        error = fails(config(endpoint, tries=3))
        assert len(endpoint.requests) == 3
    assert (error.cause, error.fatal) == ("server_error", False)
    assert "teacher 'first': 503" in str(error)
    assert "overloaded" in str(error)


@pytest.mark.parametrize(
    ("status", "cause", "fatal"),
    [
        (400, "bad_request", False),
        (422, "bad_request", False),
        (413, "bad_request", False),
        (404, "unknown_path", True),
        (401, "unauthorized", True),
        (403, "unauthorized", True),
        (402, "quota", True),
    ],
)
def test_does_not_ask_again_what_will_be_refused_again(status: int, cause: str, fatal: bool) -> None:
    with Endpoint() as endpoint:
        endpoint.default = lambda _: Fault.status(status)
        error = fails(config(endpoint))
        assert len(endpoint.requests) == 1
    assert (error.cause, error.fatal) == (cause, fatal)


def test_takes_an_exhausted_quota_for_what_it_is() -> None:
    body = b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'
    with Endpoint() as endpoint:
        endpoint.default = lambda _: Answer(status=429, body=body)
        error = fails(config(endpoint))
        assert len(endpoint.requests) == 1
    assert (error.cause, error.fatal) == ("quota", True)


def test_does_not_ask_again_what_a_gateway_refused_inside_a_200() -> None:
    with Endpoint() as endpoint:
        endpoint.default = lambda _: Answer(body=b'{"error": {"message": "too long", "code": 400}}')
        error = fails(config(endpoint))
        assert len(endpoint.requests) == 1
    assert error.cause == "bad_request"
    assert "too long" in str(error)


def test_keeps_no_more_in_flight_than_it_may() -> None:
    with Endpoint() as endpoint:
        endpoint.default = lambda _: Answer(body=say("4").body, hang=0.05)
        ask(config(endpoint, concurrency=3), [request(index) for index in range(20)])
        assert endpoint.most_at_once <= 3
        assert len(endpoint.requests) == 20


@pytest.mark.slow
def test_loses_no_answer_among_faults() -> None:
    with Endpoint() as endpoint:
        faults = [Fault.busy("0.01"), Fault.status(500), Fault.reset, Fault.truncated] * 4
        endpoint.script(*faults)
        replies = ask(config(endpoint, concurrency=8, tries=8), [request(index) for index in range(60)])
        assert len(endpoint.requests) == 60 + len(faults)
    assert len(replies) == 60


# --- readiness


def test_is_ready_where_the_model_is_served() -> None:
    with Endpoint() as endpoint:
        ready(config(endpoint))
        assert endpoint.requests == []


def test_is_ready_where_there_is_no_list_of_models() -> None:
    with Endpoint() as endpoint:
        endpoint.models_answer = Fault.status(404, "nothing here")
        ready(config(endpoint))


def test_names_the_models_that_are_served_instead() -> None:
    with Endpoint(models=("alpha", "beta")) as endpoint:
        error = not_ready(config(endpoint, model="gamma"))
    assert error.cause == "unknown_model"
    assert "'gamma'" in str(error)
    assert "alpha, beta" in str(error)


def test_says_that_nothing_listens() -> None:
    with Endpoint() as endpoint:
        url = endpoint.url
    error = not_ready(recipe.OpenAITeacher(base_url=url, model="double"))
    assert error.cause == "unreachable"
    assert url in str(error)
    assert "base_url" in str(error)


def test_says_that_the_host_is_unknown() -> None:
    error = not_ready(recipe.OpenAITeacher(base_url="http://teacher.invalid/v1", model="double", timeout=5))
    assert error.cause == "unreachable"


def test_says_which_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "wrong")
    with Endpoint(key=KEY) as endpoint:
        error = not_ready(config(endpoint, key_env="TEACHER_KEY"))
    assert error.cause == "unauthorized"
    assert "TEACHER_KEY" in str(error)


def test_wants_the_key_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    with Endpoint() as endpoint:
        with pytest.raises(UserError, match="set TEACHER_KEY"):
            teacher(config(endpoint, key_env="TEACHER_KEY"))
        assert endpoint.headers == []


# --- the key


def test_sends_the_key_and_shows_it_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEACHER_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with Endpoint(key=KEY) as endpoint:
        endpoint.script(say(f"your key is {KEY}"))
        [reply] = ask(config(endpoint, key_env="TEACHER_KEY"))
        assert endpoint.headers[0]["authorization"] == f"Bearer {KEY}"
        endpoint.script(Fault.status(400, f"bad key {KEY}"))
        error = fails(config(endpoint, key_env="TEACHER_KEY"))
    assert KEY.encode() not in reply.body
    assert KEY not in str(error)
    assert KEY not in repr(error)
    assert KEY not in caplog.text


# --- forced elicitation


def forced(tokens: int = 10, most: int = 50) -> Request:
    return request(sampling=Sampling(thinking_tokens=tokens, max_tokens=most), prefill="<think>\n")


def test_starts_the_turn_and_goes_on_after_the_model_closed_it() -> None:
    with Endpoint() as endpoint:
        endpoint.script(
            say("two and two", stop_reason="</think>", usage={"prompt_tokens": 9, "completion_tokens": 6}),
            say("\n\nThe answer is 4.", stop_reason=None),
        )
        [reply] = ask(config(endpoint, elicit=FORCED), [forced()])
        first, second = endpoint.requests
    assert first["messages"][-1] == {"role": "assistant", "content": "<think>\n"}
    assert (first["continue_final_message"], first["add_generation_prompt"]) == (True, False)
    assert (first["stop"], first["max_tokens"]) == (["</think>"], 10)
    assert second["messages"][-1]["content"] == "<think>\ntwo and two</think>"
    assert ("stop" in second, second["max_tokens"]) == (False, 44)
    trace = parse(forced(), reply.body, FORCED)
    assert (trace.thinking, trace.answer, trace.forced_close) == ("two and two", "The answer is 4.", False)


def test_closes_a_thinking_whose_budget_is_spent() -> None:
    with Endpoint() as endpoint:
        endpoint.script(say("on and on", finish_reason="length", stop_reason=None), say("4"))
        [reply] = ask(config(endpoint, elicit=FORCED), [forced()])
        assert endpoint.requests[1]["messages"][-1]["content"] == "<think>\non and on\n</think>\n\n"
    trace = parse(forced(), reply.body, FORCED)
    assert (trace.thinking, trace.answer, trace.forced_close) == ("on and on", "4", True)


def test_leaves_a_turn_that_ended_while_thinking() -> None:
    with Endpoint() as endpoint:
        endpoint.script(say("that is all", stop_reason=None))
        [reply] = ask(config(endpoint, elicit=FORCED), [forced()])
        assert len(endpoint.requests) == 1
    trace = parse(forced(), reply.body, FORCED)
    assert (trace.closed, trace.answer, trace.finish_reason) == (False, "", "stop")


def test_asks_once_where_no_budget_is_set() -> None:
    with Endpoint() as endpoint:
        ask(config(endpoint, elicit=FORCED), [forced(tokens=0, most=33)])
        [sent] = endpoint.requests
    assert (sent["max_tokens"], "stop" in sent) == (33, False)
    assert sent["messages"][-1] == {"role": "assistant", "content": "<think>\n"}


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_leaves_native_reasoning_in_its_field(field: str) -> None:
    with Endpoint() as endpoint:
        endpoint.script(completion({field: "hmm", "content": "4"}))
        [reply] = ask(config(endpoint))
    trace = parse(request(), reply.body, recipe.Elicit())
    assert (trace.thinking, trace.answer, trace.dialect) == ("hmm", "4", field)


# --- pure parts


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("0.25", 0.25),
        ("-1", 0.0),
        ("", None),
        ("soon", None),
        (email.utils.formatdate(NOW + 90, usegmt=True), 90.0),
        (email.utils.formatdate(NOW - 90, usegmt=True), 0.0),
    ],
)
def test_reads_retry_after(value: str, seconds: float | None) -> None:
    assert module.retry_after(value, NOW) == seconds


def test_backs_off_further_each_time_and_never_sooner_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY", 0.5)
    assert [module.delay(n, None, 0.5) for n in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert module.delay(50, None, 0.5) == module.LONGEST_DELAY
    assert module.delay(0, 7.0, 0.0) == 7.0
    assert 7.0 < module.delay(0, 7.0, 0.9) < 8.0
    assert module.delay(0, 1e9, 0.0) == module.LONGEST_RETRY_AFTER
