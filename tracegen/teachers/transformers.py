"""transformers in this process: runs anywhere, and is the default where vLLM is not installed.

One thread per model runs the decoder (`teachers.decode`); the event loop hands it jobs and is handed
back each completion as soon as it is done. Rows of all requests, with any sampling, run together. A
request's seed starts its own generator, but logits differ in the last bits with the company a row has,
so the same request may be answered otherwise in another batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tracegen import recipe
from tracegen.data import Request, digest
from tracegen.errors import TeacherError
from tracegen.teachers import Reply, weights
from tracegen.teachers.distribution import Top, tokenizer_hash
from tracegen.teachers.forced import (
    Budget,
    Ended,
    Generated,
    Part,
    budget_of,
    encode,
    joint,
    started,
    too_long,
)

if TYPE_CHECKING:
    from tracegen.teachers.decode import Row

KIND = "transformers"
GATHER_SECONDS = 0.05
"""How long an idle engine waits for a first request's neighbours."""
SPINS = "10000"
"""How often a thread of torch's OpenMP looks for work before it sleeps, read when torch is first imported.
The default of 300,000 makes decoding 10 to 20 times slower where others use the cores too."""


class Transformers:
    """A teacher on a model that this process has loaded."""

    def __init__(self, config: recipe.TransformersTeacher, *, label: str, base: Path) -> None:
        self._config = config
        self._label = label
        self._base = base
        self._engine: Engine | None = None

    async def ready(self) -> None:
        """Load the model, unless another teacher has."""
        if self._engine is None:
            self._engine = await asyncio.to_thread(acquire, self._config, self._base, self._label)

    async def complete(self, request: Request) -> Reply:
        """The answer, when its row is done."""
        await self.ready()
        assert self._engine is not None  # noqa: S101 - ready() has loaded it
        return await self._engine.complete(request, self._config.elicit, self._config.logprobs)

    async def aclose(self) -> None:
        """Let the model go if no other teacher uses it."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.to_thread(release, engine)


class Job:
    """A request on its way through the engine: what its row says next, and when it is done."""

    def __init__(
        self,
        request: Request,
        row: Row,
        budget: Budget | None,
        tokenizer: Any,
        likeliest: int = 0,
        hash_: str = "",
    ) -> None:
        self.request = request
        self.row = row
        self.loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[Reply] = self.loop.create_future()
        self.likeliest = likeliest
        """Of how many tokens the log-probabilities are kept."""
        self._hash = hash_
        self._budget = budget
        self._tokenizer = tokenizer
        self._parts: list[Generated] = []
        self._inserted: tuple[str, ...] = ()
        self._forced = False
        self._queued: list[int] = []
        """Inserted tokens that are still to be read."""
        self._tokens: list[int] = []
        """Tokens of the current part …"""
        self._tops: list[Top] = []
        """… and the likeliest ones where each was drawn, if they are kept."""
        self._offset = len(row.prompt)
        """Tokens before the current part."""

    def take(self, token: int, ends: frozenset[int], top: Top | None = None) -> int | None:
        """What the row says now that `token` was drawn: that, something inserted, or None if it is done."""
        if self._queued:
            return self._queued.pop(0)
        self._tokens.append(token)
        if top is not None:
            self._tops.append((top[0][: self.likeliest], top[1][: self.likeliest]))
        if token in ends:
            self._end_part("stop", None, ended=True)
            return None
        return self._think(token) if self._budget and not self._parts else self._answer(token)

    def reply(self) -> Reply:
        """The finished answer."""
        replies = tuple(msgspec.json.encode(part) for part in self._parts)
        body = encode(KIND, self.request.prefill, replies, self._inserted, self._forced, self._hash)
        return Reply(body=body, seconds=self.row.seconds)

    def resolve(self, outcome: Reply | TeacherError) -> None:
        """Hand the outcome to whoever waits; called from the engine's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has gone, and with it whoever waited
            self.loop.call_soon_threadsafe(self._settle, outcome)

    def _settle(self, outcome: Reply | TeacherError) -> None:
        if self.answered.done():
            return
        if isinstance(outcome, Reply):
            self.answered.set_result(outcome)
        else:
            self.answered.set_exception(outcome)

    def _think(self, token: int) -> int | None:
        assert self._budget is not None  # noqa: S101 - asked by take()
        close = self._budget.close
        tail = self._tokens[-len(close.encode()) - 1 :]
        if close in self._text(tail):
            ended: Ended = "closed"
        elif len(self._tokens) >= self._budget.tokens:
            ended = "length"
        else:
            return token
        used = len(self._tokens)
        text = self._end_part("stop" if ended == "closed" else "length", close if ended == "closed" else None)
        between = joint(Part(raw=b"", text=text, ended=ended, tokens=used), self._budget, self._left)
        if between is None:
            return None
        self._inserted, self._forced = (between[0],), between[1]
        self._queued = (
            list(self._tokenizer.encode(between[0], add_special_tokens=False)) if between[0] else []
        )
        self._offset += len(self._queued)
        return token

    def _answer(self, token: int) -> int | None:
        if len(self._tokens) < self._left:
            return token
        self._end_part("length", None)
        return None

    @property
    def _left(self) -> int:
        """Tokens that the current part may have."""
        return self.request.sampling.max_tokens - sum(part.completion_tokens for part in self._parts)

    def _end_part(self, finish_reason: str, stop_reason: str | None, *, ended: bool = False) -> str:
        """Keep the part; the token that ended the turn is counted, but is no text."""
        text = self._text(self._tokens[:-1] if ended else self._tokens)
        self._parts.append(
            Generated(
                text=text,
                finish_reason=finish_reason,
                stop_reason=stop_reason,
                prompt_tokens=self._offset,
                completion_tokens=len(self._tokens),
                token_ids=tuple(self._tokens),
                top_ids=tuple(ids for ids, _ in self._tops),
                top_logprobs=tuple(values for _, values in self._tops),
            )
        )
        self._offset += len(self._tokens)
        self._tokens, self._tops = [], []
        return text

    def _text(self, tokens: list[int]) -> str:
        return str(
            self._tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        )


class Engine:
    """A loaded model, and the thread that runs it."""

    def __init__(self, name: str, model: Any, tokenizer: Any, batch: int) -> None:
        from tracegen.teachers.decode import Decoder

        self.users = 1
        self._name = name
        self._tokenizer = tokenizer
        self._context = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 0)
        self._decoder = Decoder(model, end_tokens(model, tokenizer), batch)
        self._arrived: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._running: dict[Row, Job] = {}
        self._stopped = ""
        self._thread = threading.Thread(target=self._run, name=f"tracegen {name}", daemon=True)
        self._thread.start()

    async def complete(self, request: Request, elicit: recipe.Elicit, likeliest: int = 0) -> Reply:
        """Queue a request and wait for its answer. Raises TeacherError for a prompt that does not fit."""
        budget = budget_of(elicit, request.sampling)
        hash_ = self._hash if likeliest else ""
        job = Job(request, self._row(request), budget, self._tokenizer, likeliest, hash_)
        if self._stopped:
            raise self._gone()
        self._arrived.put(job)
        return await job.answered

    @cached_property
    def _hash(self) -> str:
        """Of the tokenizer; made where logprobs are asked for, since it reads the whole vocabulary."""
        return tokenizer_hash(self._tokenizer)

    def stop(self) -> None:
        """End the thread; whoever still waits is told."""
        self._arrived.put(None)
        self._thread.join()

    def _row(self, request: Request) -> Row:
        from tracegen.teachers.decode import Row

        prompt = started(render(self._tokenizer, request), request.prefill)
        ids = list(self._tokenizer.encode(prompt, add_special_tokens=False, verbose=False))
        if self._context and len(ids) + request.sampling.max_tokens > self._context:
            raise too_long(self._name, len(ids), request.sampling.max_tokens, self._context)
        return Row(
            prompt=ids, sampling=request.sampling, seed=request.seed, family=digest(request.messages[:-1])
        )

    # --- in the thread

    def _run(self) -> None:
        import torch

        backlog: list[Job] = []
        try:
            with torch.inference_mode():
                while self._gather(backlog):
                    self._admit(backlog)
                    self._step()
            self._stopped = "the engine was closed"
        except Exception as error:
            self._stopped = f"the engine failed ({type(error).__name__}: {error})"
        with contextlib.suppress(queue.Empty):
            while True:
                backlog.append(self._arrived.get_nowait())  # type: ignore[arg-type]  # None is filtered below
        for job in [*backlog, *self._running.values()]:
            if job is not None:
                job.resolve(self._gone())

    def _gone(self) -> TeacherError:
        return TeacherError(
            f"{self._name}: {self._stopped} - run again with a smaller batch if memory ran out",
            cause="engine_failed",
            fatal=True,
        )

    def _gather(self, backlog: list[Job]) -> bool:
        """Move what has arrived to `backlog`; an idle engine waits for it. False if it is time to stop."""
        working = bool(self._decoder.rows)
        patience = 0.0 if working else None if not backlog else GATHER_SECONDS
        while True:
            try:
                job = self._arrived.get(block=patience != 0.0, timeout=patience)
            except queue.Empty:
                return True
            if job is None:
                return False
            backlog.append(job)
            patience = 0.0 if working else GATHER_SECONDS

    def _admit(self, backlog: list[Job]) -> None:
        """Fill free places, many at a time: reading a few prompts holds up every row that is running."""
        decoder = self._decoder
        joining = min(len(backlog), decoder.free)
        if not joining or (joining * 8 < decoder.capacity and len(decoder.rows) * 2 > decoder.capacity):
            return
        jobs = [job for job in backlog[:joining] if not job.answered.cancelled()]
        self._running |= {job.row: job for job in jobs}
        del backlog[:joining]
        with _timed([job.row for job in jobs]):
            decoder.admit([job.row for job in jobs])

    def _step(self) -> None:
        """A token for every row; rows that are done leave, and are handed back."""
        decoder, rows = self._decoder, list(self._decoder.rows)
        done = []
        with _timed(rows):
            kept = max((self._running[row].likeliest for row in rows), default=0)
            tops = decoder.likeliest(kept) if kept else [None] * len(rows)
            says = {
                row: self._take(row, token, top)
                for row, token, top in zip(rows, decoder.draw() if rows else (), tops, strict=True)
            }
            for row in rows:
                if says[row] is None:
                    decoder.leave(row)
                    done.append(self._running.pop(row))
            if decoder.rows:
                decoder.advance([token for row in decoder.rows if (token := says[row]) is not None])
        for job in done:
            job.resolve(job.reply())

    def _take(self, row: Row, token: int, top: Top | None) -> int | None:
        job = self._running[row]
        top = top if job.likeliest else None
        return None if job.answered.cancelled() else job.take(token, self._decoder.ends, top)


# --- loading


_engines: dict[tuple[str, str, str], Engine] = {}
_loading = threading.Lock()


def acquire(config: recipe.TransformersTeacher, base: Path, label: str) -> Engine:
    """The process's engine for a model, loaded if it is not. Every `acquire` needs a `release`."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    with _loading:
        folder = weights.resolve(config.model, config.revision, base)
        key = (str(folder), config.dtype, config.device)
        engine = _engines.get(key)
        if engine is None:
            engine = _engines[key] = _load(folder, config, label)
        else:
            engine.users += 1
        return engine


def release(engine: Engine) -> None:
    """Stop the engine if nobody else uses it."""
    with _loading:
        engine.users -= 1
        if engine.users:
            return
        for key in [key for key, other in _engines.items() if other is engine]:
            del _engines[key]
    engine.stop()


def _load(folder: Path, config: recipe.TransformersTeacher, label: str) -> Engine:
    import torch
    import transformers

    from tracegen.teachers.decode import register_attention

    name = f"teacher {label!r} ({config.model})"
    try:
        with weights.quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype=_dtype(config.dtype, config.device), attn_implementation=register_attention()
            )
        model.to(_device(config.device)).eval()
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, torch.OutOfMemoryError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise TeacherError(
            f"{name}: cannot be loaded from {folder}: {why} - check the folder, dtype and device",
            cause="cannot_load",
            fatal=True,
        ) from error
    if tokenizer.chat_template is None:
        raise TeacherError(
            f"{name}: its tokenizer has no chat template - use an instruct model",
            cause="no_chat_template",
            fatal=True,
        )
    linear = [
        kind
        for kind in getattr(model.config, "layer_types", None) or ()
        if "attention" not in kind or "linear" in kind
    ]
    if linear:
        raise TeacherError(
            f'{name}: layers of type {linear[0]} are not supported here - use kind = "vllm"',
            cause="unsupported_model",
            fatal=True,
        )
    return Engine(name, model, tokenizer, config.batch)


def _device(named: str) -> str:
    import torch

    if named != "auto":
        return named
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _dtype(named: str, device: str) -> Any:
    """`auto`, and bfloat16 on a CPU that can only emulate it, become what is fast there."""
    import torch

    if named not in ("auto", "bfloat16"):
        return getattr(torch, named)
    slow = _device(device) == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.float32 if slow else torch.bfloat16


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Every token that ends a turn, by the model's generation config and by its tokenizer."""
    named = model.generation_config.eos_token_id
    ends = set(named if isinstance(named, list) else [named]) | {tokenizer.eos_token_id}
    return {int(token) for token in ends if token is not None}


def render(tokenizer: Any, request: Request) -> str:
    """The chat as the model's template writes it, up to where the assistant's turn begins."""
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


@contextlib.contextmanager
def _timed(rows: Sequence[Row]) -> Iterator[None]:
    """Share out what the block takes over `rows`."""
    begin = time.perf_counter()
    yield
    for row in rows:
        row.seconds += (time.perf_counter() - begin) / len(rows)
