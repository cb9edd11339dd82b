"""vLLM in this process: continuous batching through `AsyncLLM`, with a seed for every request.

The engine itself runs in a child process that vLLM starts. Here it is started without importing the
caller's script again (so a script needs no `if __name__ == "__main__"`), and ended with this process,
also if that is killed. Under a thinking budget the second part of a completion finds the first one in
the prefix cache, so it costs no second reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from tracegen import recipe
from tracegen.data import Request, Sampling
from tracegen.errors import TeacherError
from tracegen.teachers import Reply, child, weights
from tracegen.teachers.distribution import rounded, tokenizer_hash
from tracegen.teachers.forced import Ask, Ended, Generated, Part, budget_of, drive, started, too_long

KIND = "vllm"


class Vllm:
    """A teacher on a vLLM engine that this process has started."""

    def __init__(self, config: recipe.VllmTeacher, *, label: str, base: Path) -> None:
        self._config = config
        self._label = label
        self._base = base
        self._engine: Engine | None = None

    async def ready(self) -> None:
        """Start the engine, unless another teacher has."""
        if self._engine is None:
            self._engine = await acquire(self._config, self._base, self._label)

    async def complete(self, request: Request) -> Reply:
        """The answer, in one part or two."""
        await self.ready()
        engine = self._engine
        assert engine is not None  # noqa: S101 - ready() has started it
        begin = time.perf_counter()
        prompt = engine.render(request)
        parts = 0

        async def ask(wanted: Ask) -> Part:
            nonlocal parts
            parts += 1
            return await engine.generate(
                started(prompt, wanted.text),
                _parameters(wanted, request.sampling, request.seed, self._config.logprobs),
                f"{request.id}-{parts}",
            )

        budget = budget_of(self._config.elicit, request.sampling)
        hash_ = engine.hash if self._config.logprobs else ""
        body = await drive(ask, KIND, request.prefill, request.sampling, budget, hash_)
        return Reply(body=body, seconds=time.perf_counter() - begin)

    async def aclose(self) -> None:
        """Stop the engine if no other teacher uses it."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await release(engine)


class Engine:
    """A running engine and its tokenizer."""

    def __init__(self, name: str, llm: Any, tokenizer: Any) -> None:
        self.users = 1
        self.name = name
        self.llm = llm
        self._tokenizer = tokenizer

    @cached_property
    def hash(self) -> str:
        """Of the tokenizer; made where logprobs are asked for, since it reads the whole vocabulary."""
        return tokenizer_hash(self._tokenizer)

    def render(self, request: Request) -> str:
        """The chat as the model's template writes it, up to where the assistant's turn begins."""
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    async def generate(self, prompt: str, parameters: Any, name: str) -> Part:
        """One part of a completion. Raises TeacherError."""
        from vllm.exceptions import VLLMError
        from vllm.v1.engine.exceptions import EngineDeadError

        ids = self._tokenizer.encode(prompt, add_special_tokens=False, verbose=False)
        context = int(self.llm.model_config.max_model_len)
        if len(ids) + parameters.max_tokens > context:
            raise too_long(self.name, len(ids), parameters.max_tokens, context)
        outputs = self.llm.generate({"prompt_token_ids": ids}, parameters, name)
        final: Any = None
        try:
            async with contextlib.aclosing(outputs):
                async for output in outputs:
                    final = output
        except EngineDeadError as error:
            raise TeacherError(
                f"{self.name}: the engine has died - run again with less memory or a shorter max_model_len",
                cause="engine_failed",
                fatal=True,
            ) from error
        except (ValueError, VLLMError) as error:  # a request that it refuses
            raise TeacherError(
                f"{self.name}: {_line(error)} - check sampling", cause="bad_request"
            ) from error
        if final is None or not final.outputs or not final.outputs[0].finish_reason:
            raise TeacherError(f"{self.name}: the engine gave no answer", cause="empty_reply")
        return self._part(final.outputs[0], len(ids))

    def _part(self, output: Any, prompt_tokens: int) -> Part:
        closed = isinstance(output.stop_reason, str)
        text, ids = str(output.text), tuple(int(token) for token in output.token_ids)
        if output.finish_reason == "stop" and not closed and ids:
            end = self._tokenizer.decode(ids[-1:], skip_special_tokens=False)
            text = text.removesuffix(end)
        ended: Ended = "closed" if closed else "turn" if output.finish_reason == "stop" else "length"
        raw = Generated(
            text=text,
            finish_reason=str(output.finish_reason),
            stop_reason=output.stop_reason if closed else None,
            prompt_tokens=prompt_tokens,
            completion_tokens=len(ids),
            token_ids=ids,
            **_likeliest(output.logprobs),
        )
        return Part(raw=msgspec.json.encode(raw), text=text, ended=ended, tokens=len(ids))


def _likeliest(found: Any) -> dict[str, Any]:
    """The likeliest tokens at each place; vLLM tells the drawn token, too, where it is not one of them."""
    if not found:
        return {}
    tops = [sorted(place.items(), key=lambda item: -item[1].logprob) for place in found]
    count = min(len(top) for top in tops)
    return {
        "top_ids": tuple(tuple(int(token) for token, _ in top[:count]) for top in tops),
        "top_logprobs": tuple(rounded([one.logprob for _, one in top[:count]]) for top in tops),
    }


_engines: dict[bytes, Engine] = {}
_starting = asyncio.Lock()


async def acquire(config: recipe.VllmTeacher, base: Path, label: str) -> Engine:
    """The process's engine for a model and its settings, started if there is none. Needs a `release`."""
    async with _starting:
        folder = await asyncio.to_thread(weights.resolve, config.model, config.revision, base)
        key = msgspec.json.encode(
            (str(folder), config.dtype, config.max_model_len, config.engine, _most(config.logprobs))
        )
        engine = _engines.get(key)
        if engine is None:
            engine = _engines[key] = await asyncio.to_thread(_start, folder, config, label)
        else:
            engine.users += 1
        return engine


async def release(engine: Engine) -> None:
    """Stop the engine if nobody else uses it."""
    async with _starting:
        engine.users -= 1
        if engine.users:
            return
        for key in [key for key, other in _engines.items() if other is engine]:
            del _engines[key]
        await _stop_listening(engine.llm)
        await asyncio.to_thread(_shut_down, engine.llm)


async def _stop_listening(llm: Any) -> None:
    """End the task that waits for answers, which would report the engine's end as a failure (0.32.0)."""
    if (task := llm.output_handler) is not None:
        task.cancel()
        await asyncio.wait([task])


def _shut_down(llm: Any) -> None:
    """Stop the engine once; its finaliser would do it again in a half-dismantled interpreter."""
    llm.shutdown()
    llm.shutdown = lambda *_, **__: None


def _start(folder: Path, config: recipe.VllmTeacher, label: str) -> Engine:
    name = f"teacher {label!r} ({config.model})"
    try:
        with _quietly(), _main_replaced():
            llm = _launch(folder, config)
    except (TypeError, ValueError, RuntimeError, OSError, ImportError) as error:
        raise TeacherError(
            f"{name}: vLLM did not start: {_line(error)} - set VLLM_LOGGING_LEVEL=INFO to see why",
            cause="cannot_load",
            fatal=True,
        ) from error
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.chat_template is None:
        _shut_down(llm)
        raise TeacherError(
            f"{name}: its tokenizer has no chat template - use an instruct model",
            cause="no_chat_template",
            fatal=True,
        )
    return Engine(name, llm, tokenizer)


def _launch(folder: Path, config: recipe.VllmTeacher) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    options: dict[str, Any] = {"enable_prefix_caching": True, "use_tqdm_on_load": False}
    options |= {"max_logprobs": _most(config.logprobs)} | _platform_options() | config.engine
    if config.max_model_len:
        options["max_model_len"] = config.max_model_len
    return AsyncLLM.from_engine_args(
        AsyncEngineArgs(model=str(folder), dtype=config.dtype, disable_log_stats=True, **options)
    )


def _most(likeliest: int) -> int:
    """How many log-probabilities the engine must be able to give; 20 is its own default."""
    return max(20, likeliest)


def _parameters(ask: Ask, sampling: Sampling, seed: int, likeliest: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        repetition_penalty=sampling.repetition_penalty,
        seed=seed,
        max_tokens=ask.max_tokens,
        stop=[ask.stop] if ask.stop else None,
        include_stop_str_in_output=True,
        skip_special_tokens=False,
        logprobs=likeliest or None,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _platform_options() -> dict[str, Any]:
    """On a CPU compiling takes longer than it saves, and a seeded request must not be read in chunks.

    vLLM takes back the draw of a half-read prompt by setting its generator's offset, which a generator
    on the CPU does not have: the engine dies (0.32.0).
    """
    from vllm.platforms import current_platform

    return {"enforce_eager": True, "enable_chunked_prefill": False} if current_platform.is_cpu() else {}


QUIET = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "PYTHONWARNINGS": "ignore",
    "TOKENIZERS_PARALLELISM": "false",
    "GOMP_SPINCOUNT": "10000",
}
"""What vLLM and its children read when they start: less talk, and none of it on stdout; on a CPU a GiB for
keys and values, and threads that sleep when there is nothing to do."""


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Start vLLM with `QUIET`, where the user has not said otherwise."""
    added = {name: value for name, value in QUIET.items() if name not in os.environ}
    os.environ.update(added)
    child.hush()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in added:
            del os.environ[name]


@contextlib.contextmanager
def _main_replaced() -> Iterator[None]:
    """Start child processes that import `teachers.child` where they would import the caller's script."""
    main = sys.modules["__main__"]
    spec, main.__spec__ = main.__spec__, importlib.util.find_spec("tracegen.teachers.child")
    try:
        yield
    finally:
        main.__spec__ = spec


def _line(error: BaseException) -> str:
    """The first line of an error's text."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
