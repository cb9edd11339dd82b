"""Any OpenAI-compatible endpoint, by the openai client on its aiohttp transport where that is installed.

The client's own retries are off: here a completion is asked again, with jittered exponential back-off
or after what `Retry-After` says, when the server is busy (429), broken (5xx), unreachable or slow, and
when a 200 holds no usable JSON. What a server will refuse again is not asked again. A reply is kept as
the server sent it, byte for byte, but for the key if it should echo it.

Forced elicitation continues a trailing assistant message, which vLLM and SGLang can do
(`continue_final_message`) and others cannot.
"""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tracegen import recipe
from tracegen.data import Request, Struct
from tracegen.errors import TeacherError, UserError
from tracegen.teachers import Reply, distribution
from tracegen.teachers.forced import Ask, Ended, Part, budget_of, drive

KIND = "openai"
FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
"""Seconds of the back-off; `Retry-After` may ask for more, up to LONGEST_RETRY_AFTER."""
LONGEST_RETRY_AFTER = 600.0
READY_TRIES = 3
AGAIN = frozenset({408, 409, 425, 429})
"""Statuses below 500 that may pass."""
NO_KEY = "none"


class Failure(Struct, frozen=True):
    """Why a try failed, and what to do about it."""

    cause: str
    words: str
    """What happened, with the server's words."""
    advice: str = ""
    again: bool = False
    fatal: bool = False
    retry_after: float | None = None
    """Seconds."""


class Failed(Exception):
    """A try that failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.words)
        self.failure = failure


class OpenAI:
    """A teacher behind an endpoint."""

    def __init__(self, config: recipe.OpenAITeacher, *, label: str, base: Path = Path()) -> None:
        """Raises UserError where the key is not in the environment."""
        self._config = config
        self._label = label
        self._base = base
        self._key = key_of(config, label)
        self._gate = asyncio.Semaphore(config.concurrency)
        self._client: Any = None
        self._hash = ""
        self._random = random.Random()  # noqa: S311 - jitter, which must differ between processes

    async def ready(self) -> None:
        """Ask for the list of models, which costs nothing. Raises TeacherError (fatal)."""
        if self._config.logprobs and not self._hash:
            self._hash = await asyncio.to_thread(self._tokenizer_hash)
        try:
            raw = await self._insist(lambda: self._send("GET", "/models", None), READY_TRIES)
        except Failed as failed:
            if failed.failure.cause == "unknown_path":
                return  # some servers have no list; the first completion will tell
            raise self._error(failed.failure, fatal=True) from failed
        served = served_models(raw)
        if served and self._config.model not in served and not await self._knows_model():
            some = ", ".join(sorted(served)[:5])
            raise self._error(
                Failure(
                    cause="unknown_model",
                    words=f"model {self._config.model!r} is not served at {self._config.base_url}",
                    advice=f"it serves {some}",
                ),
                fatal=True,
            )

    async def complete(self, request: Request) -> Reply:
        """The server's reply, or two under a thinking budget. Raises TeacherError."""
        seconds = 0.0

        async def ask(wanted: Ask) -> Part:
            nonlocal seconds
            begin = time.perf_counter()
            body = payload(self._config, request, wanted)
            raw = await self._insist(lambda: self._completion(body), self._config.tries)
            seconds += time.perf_counter() - begin
            return part_of(raw, wanted)

        async with self._gate:
            try:
                budget = budget_of(self._config.elicit, request.sampling)
                body = await drive(ask, KIND, request.prefill, request.sampling, budget, self._hash)
            except Failed as failed:
                raise self._error(failed.failure) from failed
        return Reply(body=body, seconds=seconds)

    def _tokenizer_hash(self) -> str:
        """Of the tokenizer whose ids the server tells. Raises TeacherError where there is none to be had."""
        named = self._config.tokenizer or self._config.model
        try:
            from transformers import AutoTokenizer

            from tracegen.teachers import weights

            folder = weights.resolve(named, self._config.revision, self._base, tokenizer_only=True)
            return distribution.tokenizer_hash(AutoTokenizer.from_pretrained(folder))
        except (ImportError, OSError, ValueError, UserError, TeacherError) as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise TeacherError(
                f"teacher {self._label!r}: logprobs need the tokenizer of {named!r}: {why} - "
                "name its directory or Hub id in tokenizer",
                cause="no_tokenizer",
                fatal=True,
            ) from error

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    # --- tries

    async def _insist(self, send: Any, tries: int) -> bytes:
        """Send until it succeeds, cannot, or `tries` are used up; then raises the last Failed."""
        for number in range(tries):
            try:
                return bytes(await send())
            except Failed as failed:
                if not failed.failure.again or number == tries - 1:
                    raise
                await asyncio.sleep(delay(number, failed.failure.retry_after, self._random.random()))
        raise AssertionError("tries is positive")

    async def _completion(self, body: dict[str, Any]) -> bytes:
        raw = await self._send("POST", "/chat/completions", body)
        failure = unusable(raw)
        if failure is not None:
            raise Failed(failure)
        return raw

    async def _knows_model(self) -> bool:
        """Gateways and aliases: not in the list, but there."""
        try:
            await self._send("GET", f"/models/{self._config.model}", None)
        except Failed:
            return False
        return True

    async def _send(self, method: str, path: str, body: dict[str, Any] | None) -> bytes:
        """One try; returns the body of a 2xx. Raises Failed."""
        import httpx2
        import openai

        client = self._open()
        send = client.post if method == "POST" else client.get
        options: dict[str, Any] = {"cast_to": httpx2.Response} | ({"body": body} if body is not None else {})
        try:
            async with asyncio.timeout(self._config.timeout):
                response = await send(path, **options)
            return self._scrubbed(response.content)
        except openai.APIStatusError as error:
            raise Failed(self._refused(error)) from None  # its text may hold headers
        except (openai.APIConnectionError, httpx2.HTTPError, OSError, EOFError) as error:
            raise Failed(self._unanswered(error)) from None

    def _open(self) -> Any:
        if self._client is None:
            import openai

            try:
                import aiohttp  # noqa: F401 - the client needs it for this transport
            except ImportError:
                http: Any = None
            else:
                import httpx2

                many = self._config.concurrency
                http = openai.DefaultAioHttpClient(
                    timeout=self._config.timeout,
                    limits=httpx2.Limits(max_connections=many, max_keepalive_connections=many),
                )
            self._client = openai.AsyncOpenAI(
                api_key=self._key or NO_KEY,
                base_url=self._config.base_url,
                timeout=self._config.timeout,
                max_retries=0,
                http_client=http,
            )
        return self._client

    # --- failures

    def _refused(self, error: Any) -> Failure:
        words = self._scrubbed(said(error.response.content)).decode(errors="replace")
        return refusal(error.status_code, words, dict(error.response.headers), self._config, time.time())

    def _unanswered(self, error: BaseException) -> Failure:
        """A timeout, or no connection; the aiohttp transport calls both a timeout, but keeps the cause."""
        causes = [error]
        while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
            causes.append(cause)
        if any(isinstance(cause, TimeoutError) for cause in causes):
            words = f"no answer from {self._config.base_url} within {self._config.timeout:g} s"
            return Failure("timeout", words, "raise timeout, or lower concurrency", again=True)
        why = next((text for cause in reversed(causes) if (text := str(cause).strip())), type(error).__name__)
        why = self._scrubbed(why.splitlines()[0][:200].encode()).decode(errors="replace")
        return Failure(
            cause="unreachable",
            words=f"cannot reach {self._config.base_url} ({why})",
            advice="start the server, or mend base_url",
            again=True,
        )

    def _error(self, failure: Failure, *, fatal: bool = False) -> TeacherError:
        advice = f" - {failure.advice}" if failure.advice else ""
        return TeacherError(
            f"teacher {self._label!r}: {failure.words}{advice}",
            cause=failure.cause,
            fatal=fatal or failure.fatal,
            retry_after=failure.retry_after,
        )

    def _scrubbed(self, raw: bytes) -> bytes:
        """Without the key, should a server echo it."""
        return raw.replace(self._key.encode(), b"***") if self._key else raw


# --- what is sent and what comes back (pure)


def key_of(config: recipe.OpenAITeacher, label: str) -> str:
    """The key from the environment, empty where none is named. Raises UserError where it is missing."""
    if not config.key_env:
        return ""
    key = os.environ.get(config.key_env, "").strip()
    if not key:
        raise UserError(
            f"teacher {label!r}: no key for {config.base_url} - set {config.key_env} in the environment"
        )
    return key


def payload(config: recipe.OpenAITeacher, request: Request, ask: Ask) -> dict[str, Any]:
    """The JSON of a chat completion; `extra_body` has the last word."""
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    sampling = request.sampling
    own = urlsplit(config.base_url).hostname == "api.openai.com"
    body: dict[str, Any] = {
        "model": config.model,
        "messages": messages,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": request.seed,
        ("max_completion_tokens" if own else "max_tokens"): ask.max_tokens,
    }
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if sampling.min_p:
        body["min_p"] = sampling.min_p
    if sampling.repetition_penalty != 1.0:
        body["repetition_penalty"] = sampling.repetition_penalty
    if ask.stop:
        body["stop"] = [ask.stop]
    if ask.text:
        messages.append({"role": "assistant", "content": ask.text})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if config.logprobs:
        body |= {**distribution.ASKED, "top_logprobs": config.logprobs}
    return body | config.extra_body


def unusable(raw: bytes) -> Failure | None:
    """Why the body of a 200 is no completion; None if it is one."""
    try:
        reply = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Failure("broken_reply", "200 with broken JSON", "look at the server or its proxy", again=True)
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return None
    words = said(raw).decode(errors="replace")
    error = reply.get("error") if isinstance(reply, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    refused = isinstance(code, int) and 400 <= code < 500 and code not in AGAIN
    return Failure(
        cause="bad_request" if refused else "broken_reply",
        words=f"200 without a choice: {words}",
        advice="look at the server",
        again=not refused,
    )


def refusal(
    status: int, words: str, headers: Mapping[str, str], config: recipe.OpenAITeacher, now: float
) -> Failure:
    """What an error status means. `words` are the server's, `now` is Unix seconds."""
    what = f"{status} from {config.base_url}: {words}" if words else f"{status} from {config.base_url}"
    if status in (401, 403):
        mend = (
            f"set {config.key_env} to a valid key" if config.key_env else "name the key's variable in key_env"
        )
        return Failure("unauthorized", what, mend, fatal=True)
    if status == 402 or (status == 429 and "insufficient_quota" in words):
        return Failure(cause="quota", words=what, advice="pay the account, then run again", fatal=True)
    if status == 404:
        unknown_model = "model" in words.lower()
        return Failure(
            cause="unknown_model" if unknown_model else "unknown_path",
            words=what,
            advice="check model" if unknown_model else "check base_url, which usually ends in /v1",
            fatal=True,
        )
    if status in AGAIN or status >= 500:
        later = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
        return Failure(
            cause="rate_limited" if status == 429 else "server_error",
            words=what,
            advice="lower concurrency" if status == 429 else "run again later",
            again=True,
            retry_after=retry_after(later, now),
        )
    return Failure(cause="bad_request", words=what, advice="check sampling, elicit and extra_body")


def retry_after(value: str, now: float) -> float | None:
    """Seconds that a `Retry-After` header asks to wait, given as seconds or as an HTTP date."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, moment.timestamp() - now)


def delay(number: int, asked: float | None, jitter: float) -> float:
    """Seconds before the next try, after `number` failed ones before this; `jitter` is uniform in [0, 1).

    Never less than what the server asked for; those who were told the same do not come back together.
    """
    if asked is not None:
        return min(asked, LONGEST_RETRY_AFTER) * (1.0 + 0.1 * jitter)
    return float(min(LONGEST_DELAY, FIRST_DELAY * 2**number)) * (0.5 + jitter)


def served_models(raw: bytes) -> set[str]:
    """Ids in a list of models; empty where it is not one."""
    try:
        listed = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return set()
    data = listed.get("data") if isinstance(listed, dict) else None
    rows = data if isinstance(data, list) else []
    return {str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row}


def part_of(raw: bytes, ask: Ask) -> Part:
    """A first part, as far as the server tells how it ended."""
    reply = msgspec.json.decode(raw)
    choice = reply["choices"][0]
    message = choice.get("message") or {}
    texts = (message.get(key) for key in ("content", "reasoning_content", "reasoning"))
    text = next((text for text in texts if isinstance(text, str)), "")
    usage = reply.get("usage") or {}
    tokens = usage.get("completion_tokens")
    return Part(
        raw=raw,
        text=text,
        ended=_ended(choice, text, ask.stop),
        tokens=tokens if isinstance(tokens, int) else ask.max_tokens,
    )


def _ended(choice: dict[str, Any], text: str, stop: str) -> Ended:
    if stop and (stop in text or stop in (choice.get("stop_reason"), choice.get("matched_stop"))):
        return "closed"
    if choice.get("finish_reason") == "length":
        return "length"
    return "turn" if "stop_reason" in choice or "matched_stop" in choice else "unknown"


def said(raw: bytes) -> bytes:
    """What an error body says, in one line."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = raw.decode(errors="replace")
    while isinstance(found, dict):
        code = found.get("code") if isinstance(found.get("code"), str) else ""
        found = next((found[key] for key in ("error", "message", "detail") if found.get(key)), "")
        if isinstance(found, str) and code and code not in found:
            found = f"{found} ({code})"
    return " ".join(str(found).split())[:300].encode()
