"""What all teachers share, and the engines in this process with a real model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tracegen import recipe, teachers
from tracegen.data import Message, Request, Sampling
from tracegen.errors import TeacherError, UserError
from tracegen.teachers import Reply, forced, open_teacher, teacher_digest, weights
from tracegen.teachers.dialects import parse

FORCED = recipe.Elicit(mode="forced")
LOCAL = recipe.LocalTeacher(model=weights.SMOLLM2, elicit=FORCED)


def request(
    question: str = "What is 2 + 2?",
    index: int = 0,
    sampling: Sampling | None = None,
    prefill: str = "<think>\n",
) -> Request:
    return Request(
        problem="p",
        teacher="t",
        stage="first",
        messages=(Message("user", question),),
        prefill=prefill,
        sampling=sampling or Sampling(max_tokens=24),
        index=index,
    )


def answers(config: recipe.Teacher, requests: Sequence[Request], base: Path = Path()) -> list[Reply]:
    async def run() -> list[Reply]:
        teacher = open_teacher(config, label="first", base=base)
        try:
            await teacher.ready()
            return await asyncio.gather(*map(teacher.complete, requests))
        finally:
            await teacher.aclose()

    return asyncio.run(run())


def bodies(replies: Sequence[Reply]) -> list[dict[str, Any]]:
    return [json.loads(reply.body) for reply in replies]


# --- digests and opening


def test_has_one_digest_wherever_a_model_runs() -> None:
    common: dict[str, Any] = {"model": "org/name", "elicit": FORCED}
    same = {
        teacher_digest(recipe.LocalTeacher(**common, n=3)),
        teacher_digest(recipe.VllmTeacher(**common, max_model_len=9, sampling=Sampling(temperature=0))),
        teacher_digest(recipe.TransformersTeacher(**common, batch=2, device="cpu")),
    }
    assert len(same) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other/name"},
        {"revision": "main"},
        {"elicit": recipe.Elicit(mode="tagged")},
        {"extra_body": {"reasoning_effort": "high"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_is_another_teacher_with_another(change: dict[str, Any]) -> None:
    common: dict[str, Any] = {"model": "org/name"}
    assert teacher_digest(recipe.OpenAITeacher(**common)) != teacher_digest(
        recipe.OpenAITeacher(**common | change)
    )


def test_is_the_same_teacher_at_another_endpoint() -> None:
    one = recipe.OpenAITeacher(model="m", base_url="http://a/v1", key_env="A", timeout=3, concurrency=1)
    assert teacher_digest(one) == teacher_digest(recipe.OpenAITeacher(model="m"))


def test_tells_a_local_model_by_its_files_not_by_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    near = teacher_digest(recipe.LocalTeacher(model="mine"), tmp_path / "models")
    assert teacher_digest(recipe.LocalTeacher(model="models/mine"), tmp_path) == near
    (folder / "config.json").write_text("[]")
    assert teacher_digest(recipe.LocalTeacher(model="mine"), tmp_path / "models") != near


@pytest.mark.parametrize(
    ("config", "missing", "extra"),
    [
        (recipe.VllmTeacher(), "vllm", "vllm"),
        (recipe.TransformersTeacher(), "torch", "local"),
        (recipe.LocalTeacher(), "torch", "local"),
    ],
    ids=["vllm", "transformers", "local"],
)
def test_names_the_extra_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, config: recipe.Teacher, missing: str, extra: str
) -> None:
    monkeypatch.setattr(teachers, "installed", lambda _: False)
    with pytest.raises(UserError, match=rf"needs {missing} - pip install 'tracegen\[{extra}\]'"):
        open_teacher(config, label="first", base=Path())


def test_runs_local_models_on_what_is_there() -> None:
    assert teachers.as_transformers(LOCAL) == recipe.TransformersTeacher(model=LOCAL.model, elicit=FORCED)
    assert teachers.as_vllm(LOCAL) == recipe.VllmTeacher(model=LOCAL.model, elicit=FORCED)


@pytest.mark.parametrize(("fast", "engine"), [(True, "Vllm"), (False, "Transformers")])
def test_takes_vllm_where_it_is_installed_and_fast(
    monkeypatch: pytest.MonkeyPatch, fast: bool, engine: str
) -> None:
    monkeypatch.setattr(teachers, "installed", lambda _: True)
    monkeypatch.setattr(teachers, "vllm_is_fast", lambda: fast)
    assert type(open_teacher(LOCAL, label="first", base=Path())).__name__ == engine


def test_stays_light() -> None:
    heavy = "torch transformers vllm openai httpx2 aiohttp huggingface_hub pyarrow sympy datasets".split()  # noqa: SIM905 - easier to read
    code = f"import sys, tracegen.teachers, tracegen.prompts; print(sorted(set({heavy}) & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


# --- budget forcing, with an engine that says what it is told


def said(text: str, ended: forced.Ended, tokens: int) -> forced.Part:
    return forced.Part(raw=json.dumps({"text": text}).encode(), text=text, ended=ended, tokens=tokens)


def driven(
    parts: list[forced.Part], sampling: Sampling, elicit: recipe.Elicit = FORCED
) -> tuple[dict[str, Any], list[forced.Ask]]:
    asks: list[forced.Ask] = []

    async def ask(wanted: forced.Ask) -> forced.Part:
        asks.append(wanted)
        return parts[len(asks) - 1]

    budget = forced.budget_of(elicit, sampling)
    body = asyncio.run(forced.drive(ask, "double", "<think>\n", sampling, budget))
    return json.loads(body), asks


BUDGET = Sampling(thinking_tokens=10, max_tokens=30)


def test_goes_on_where_the_model_closed_its_thinking() -> None:
    body, asks = driven([said("a</think>", "closed", 4), said("\n\nb", "turn", 2)], BUDGET)
    assert (body["inserted"], body["forced_close"], len(body["replies"])) == ([""], False, 2)
    assert asks == [
        forced.Ask(text="<think>\n", max_tokens=10, stop="</think>"),
        forced.Ask(text="<think>\na</think>", max_tokens=26),
    ]


def test_puts_back_a_close_tag_that_the_server_cut_off() -> None:
    body, asks = driven([said("a", "closed", 4), said("b", "turn", 2)], BUDGET)
    assert (body["inserted"], body["forced_close"]) == (["</think>"], False)
    assert asks[1].text == "<think>\na</think>"


@pytest.mark.parametrize("ended", ["length", "unknown"])
def test_closes_a_thinking_by_force(ended: forced.Ended) -> None:
    body, asks = driven([said("a", ended, 10), said("b", "turn", 2)], BUDGET)
    assert (body["inserted"], body["forced_close"]) == (["\n</think>\n\n"], True)
    assert (asks[1].text, asks[1].max_tokens) == ("<think>\na\n</think>\n\n", 20)


def test_leaves_a_thinking_that_ended_with_the_turn() -> None:
    body, _ = driven([said("a", "turn", 3)], BUDGET)
    assert (body["inserted"], body["forced_close"], len(body["replies"])) == ([], False, 1)


def test_leaves_a_thinking_that_used_up_everything() -> None:
    body, asks = driven([said("a", "length", 8)], Sampling(thinking_tokens=10, max_tokens=8))
    assert (len(body["replies"]), asks[0].max_tokens) == (1, 8)


@pytest.mark.parametrize("elicit", [recipe.Elicit(), recipe.Elicit(mode="tagged")], ids=["native", "tagged"])
def test_asks_once_where_nothing_is_forced(elicit: recipe.Elicit) -> None:
    _, asks = driven([said("a", "turn", 3)], BUDGET, elicit)
    assert [(ask.max_tokens, ask.stop) for ask in asks] == [(30, "")]


@pytest.mark.parametrize(
    ("prompt", "whole"),
    [
        ("<|user|>q<|assistant|>", "<|user|>q<|assistant|><think>\n"),
        ("<|user|>q<|assistant|><think>\n", "<|user|>q<|assistant|><think>\n"),
        ("<|user|>q<|assistant|>\n<think>", "<|user|>q<|assistant|>\n<think>"),
    ],
)
def test_opens_the_thinking_once(prompt: str, whole: str) -> None:
    assert forced.started(prompt, "<think>\n") == whole
    assert forced.started(prompt, "") == prompt


def test_keeps_replies_byte_for_byte() -> None:
    body = forced.encode("openai", "", (b'{ "a" : 1.50 }',))
    assert b'{ "a" : 1.50 }' in body
    assert msgspec.json.decode(body, type=forced.Body).replies == (msgspec.Raw(b'{ "a" : 1.50 }'),)


# --- the decoder


@pytest.fixture(scope="module")
def decode() -> Any:
    return pytest.importorskip("tracegen.teachers.decode")


def rows(decode: Any, *samplings: Sampling) -> list[Any]:
    return [decode.Row(prompt=[0], sampling=one, seed=number) for number, one in enumerate(samplings)]


def drawn(
    decode: Any, probabilities: Sequence[float], sampling: Sampling, times: int = 4000
) -> dict[int, float]:
    """Shares of the tokens that are drawn."""
    import torch

    logits = torch.tensor(probabilities).log()[None].expand(times, -1)
    count = Counter(decode.choose(logits, rows(decode, *[sampling] * times)))
    return {token: number / times for token, number in sorted(count.items())}


PROBABILITIES = [0.4, 0.3, 0.2, 0.1]


@pytest.mark.model
@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=1, top_p=1), [0.4, 0.3, 0.2, 0.1]),
        (Sampling(temperature=0), [1]),
        (Sampling(temperature=1, top_p=1, top_k=2), [4 / 7, 3 / 7]),
        (Sampling(temperature=1, top_p=0.65), [4 / 7, 3 / 7]),
        (Sampling(temperature=1, top_p=0.01), [1]),
        (Sampling(temperature=1, top_p=1, min_p=0.45), [4 / 9, 3 / 9, 2 / 9]),
        (Sampling(temperature=0.5, top_p=1), [16 / 30, 9 / 30, 4 / 30, 1 / 30]),
        (Sampling(temperature=1, top_p=0.5, top_k=3), [4 / 7, 3 / 7]),
    ],
    ids=str,
)
def test_draws_as_the_sampling_says(decode: Any, sampling: Sampling, expected: list[float]) -> None:
    found = drawn(decode, PROBABILITIES, sampling)
    assert list(found) == list(range(len(expected)))
    assert list(found.values()) == pytest.approx(expected, abs=0.04)


@pytest.mark.model
def test_draws_from_a_nucleus_wider_than_its_first_look(decode: Any) -> None:
    size = 4 * decode.CANDIDATES
    found = drawn(decode, [1 / size] * size, Sampling(temperature=1, top_p=0.9), times=8000)
    assert 0.85 * size < len(found) <= 0.91 * size


@pytest.mark.model
def test_draws_the_same_for_the_same_seed_in_any_company(decode: Any) -> None:
    import torch

    logits = torch.randn(3, 500, generator=torch.Generator().manual_seed(0))
    samplings = [Sampling(temperature=1), Sampling(temperature=0.7, top_p=0.8), Sampling(temperature=0)]
    together = decode.choose(logits, rows(decode, *samplings))
    alone = [decode.choose(logits[n : n + 1], [row])[0] for n, row in enumerate(rows(decode, *samplings))]
    assert together == alone


@pytest.mark.model
def test_lowers_what_was_said_before(decode: Any) -> None:
    import torch

    row = decode.Row(prompt=[0], sampling=Sampling(temperature=0, repetition_penalty=2.0), seed=0)
    assert decode.choose(torch.tensor([[1.0, 0.9]]), [row]) == [1]
    assert decode.choose(torch.tensor([[-0.5, -0.9]]), [row]) == [1]


@pytest.mark.model
def test_finds_what_prompts_have_in_common(decode: Any) -> None:
    assert decode.common_prefix([[1, 2, 3], [1, 2, 4, 5]]) == [1, 2]
    assert decode.common_prefix([[1, 2], [1, 2, 3]]) == [1]
    assert decode.common_prefix([[1, 2], [1, 2]]) == [1]
    assert decode.common_prefix([[1], [2]]) == []


QUESTIONS = [
    "What is 2 + 3?",
    "Tell me a story about a very brave cat who lived in Rome, and say why it went there.",
    "Name a colour.",
    "Who was Plato and what did he write about? Answer in one long paragraph.",
    "hi",
    "Count to five.",
    "Which animals live in the sea?",
]


@pytest.mark.model
def test_says_what_generate_says_in_any_batch(decode: Any) -> None:
    """Greedy and in float32, where batching changes no token; rows join late, and leave at any time."""
    import torch
    import transformers

    folder = weights.resolve(weights.SMOLLM2)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=decode.register_attention()
    ).eval()
    chats = [
        tokenizer.apply_chat_template([{"role": "user", "content": q}], tokenize=False) for q in QUESTIONS
    ]
    prompts = [tokenizer.encode(chat + "<|im_start|>assistant\n") for chat in chats]
    most = 20
    with torch.inference_mode():
        expected = [
            model.generate(torch.tensor([ids]), max_new_tokens=most, do_sample=False)[0, len(ids) :].tolist()
            for ids in prompts
        ]
        waiting = [
            decode.Row(prompt=ids, sampling=Sampling(temperature=0), seed=0, family="one") for ids in prompts
        ]
        every, decoder = list(waiting), decode.Decoder(model, [2], capacity=3)
        while waiting or decoder.rows:
            if waiting and decoder.free:
                joining, waiting = waiting[: decoder.free], waiting[decoder.free :]
                decoder.admit(joining)
            says = dict(zip(list(decoder.rows), decoder.draw(), strict=True))
            for row, token in says.items():
                if token == 2 or len(row.generated) == most:
                    decoder.leave(row)
            if decoder.rows:
                decoder.advance([says[row] for row in decoder.rows])
    assert [row.generated for row in every] == [[t for t in ids if t != 2] for ids in expected]


@pytest.mark.model
def test_moves_its_columns_when_they_run_out(decode: Any) -> None:
    """Rows of very different length, so that the buffers grow, shift and are trimmed."""
    import torch
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=97, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).double().eval()  # no ties
    model.set_attn_implementation(decode.register_attention())
    random = torch.Generator().manual_seed(1)
    lengths = [3, 400, 5, 700, 30, 2, 300, 9]
    prompts = [torch.randint(1, 96, (length,), generator=random).tolist() for length in lengths]
    most = [300, 10, 500, 5, 40, 350, 20, 7]
    with torch.inference_mode():
        expected = [
            model.generate(
                torch.tensor([ids]), max_new_tokens=n, do_sample=False, eos_token_id=96, pad_token_id=0
            )
            for ids, n in zip(prompts, most, strict=True)
        ]
        every = [decode.Row(prompt=ids, sampling=Sampling(temperature=0), seed=0) for ids in prompts]
        waiting, decoder = list(every), decode.Decoder(model, [96], capacity=2)
        while waiting or decoder.rows:
            if waiting and decoder.free:
                decoder.admit([waiting.pop(0)])
            says = dict(zip(list(decoder.rows), decoder.draw(), strict=True))
            for row, token in says.items():
                if token == 96 or len(row.generated) == most[every.index(row)]:
                    decoder.leave(row)
            if decoder.rows:
                decoder.advance([says[row] for row in decoder.rows])
    found = [row.prompt + row.generated for row in every]
    assert found == [[t for t in ids[0].tolist() if t != 96] for ids in expected]


# --- engines with the demo's model


ENGINES = [
    pytest.param(
        recipe.TransformersTeacher(model=weights.SMOLLM2, elicit=FORCED, batch=8), marks=pytest.mark.model
    ),
    pytest.param(
        recipe.VllmTeacher(model=weights.SMOLLM2, elicit=FORCED, max_model_len=1024),
        marks=[pytest.mark.vllm, pytest.mark.slow],
    ),
]


@pytest.mark.parametrize("config", ENGINES, ids=lambda config: str(config.__struct_config__.tag))
def test_answers_in_the_shape_that_is_parsed(
    config: recipe.Teacher, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One engine start for all that is asked of it: budgets, no budgets, native turns, a prompt too long,
    an end."""
    budget = Sampling(temperature=0.7, thinking_tokens=6, max_tokens=20)
    forced_ones = [request(f"What is {n} + {n}?", n, budget) for n in range(12)]
    plain = [request("Say hello.", n, Sampling(temperature=0, max_tokens=12), prefill="") for n in range(2)]
    open_ended = [request("Tell me a story.", 0, Sampling(temperature=0, max_tokens=5))]
    long = request("word " * 9000)

    async def run() -> tuple[list[Reply], BaseException]:
        first = open_teacher(config, label="first", base=Path())
        second = open_teacher(config, label="second", base=Path())
        try:
            await first.ready()
            begin = time.monotonic()
            await second.ready()
            assert time.monotonic() - begin < 5, "the second teacher shares the engine"
            if isinstance(config, recipe.VllmTeacher):  # it ends its own task too late, as on a busy machine
                late = "vllm.v1.engine.async_llm.cancel_task_threadsafe"
                monkeypatch.setattr(late, lambda _: time.sleep(1))
            with pytest.raises(TeacherError) as caught:
                await first.complete(long)
            asked = [*forced_ones, *plain]
            replies = await asyncio.gather(*map(first.complete, asked), *map(second.complete, open_ended))
            await first.aclose()
            return [*replies, await second.complete(plain[0])], caught.value
        finally:
            await second.aclose()

    replies, refused = asyncio.run(run())
    assert "failed" not in "".join(capfd.readouterr())
    assert getattr(refused, "cause", "") == "bad_request"
    traces = [
        parse(one, reply.body, FORCED)
        for one, reply in zip([*forced_ones, *plain, *open_ended], replies, strict=False)
    ]
    for body, trace in zip(bodies(replies)[:12], traces[:12], strict=True):
        assert body["kind"] == config.__struct_config__.tag
        assert len(body["inserted"]) == len(body["replies"]) - 1
        first = body["replies"][0]
        assert first["completion_tokens"] == len(first["token_ids"]) <= 6
        assert sum(part["completion_tokens"] for part in body["replies"]) <= 20
        assert "<|im_end|>" not in "".join(part["text"] for part in body["replies"])
        assert trace.forced_close == body["forced_close"] == (body["inserted"] == ["\n</think>\n\n"])
        assert trace.closed == (len(body["replies"]) == 2)
    assert any(trace.forced_close and trace.answer for trace in traces)
    hello, again, last = (bodies(replies)[n]["replies"] for n in (12, 13, -1))
    assert all(parts[0]["text"] for parts in (hello, again, last))
    assert hello[0]["prompt_tokens"] == again[0]["prompt_tokens"] > 10
    assert traces[14].finish_reason == "length"
    assert not traces[14].closed
    assert all(reply.seconds > 0 for reply in replies)


@pytest.mark.model
def test_answers_more_requests_than_fit_in_a_batch() -> None:
    config = recipe.TransformersTeacher(model=weights.SMOLLM2, elicit=FORCED, batch=4)
    sampling = Sampling(temperature=1.0, thinking_tokens=4, max_tokens=10)
    asked = [request(f"What is {n} + 1?", n, sampling) for n in range(18)]
    replies = answers(config, asked)
    assert len({reply.body for reply in replies}) > 10


@pytest.mark.model
def test_forgets_a_request_that_nobody_waits_for() -> None:
    config = recipe.TransformersTeacher(model=weights.SMOLLM2, elicit=FORCED, batch=4)

    async def run() -> Reply:
        teacher = open_teacher(config, label="first", base=Path())
        try:
            await teacher.ready()
            endless = Sampling(temperature=1.0, max_tokens=4000)
            tasks = [
                asyncio.create_task(teacher.complete(request(index=n, sampling=endless))) for n in range(4)
            ]
            await asyncio.sleep(1.0)
            for task in tasks:
                task.cancel()
            return await asyncio.wait_for(teacher.complete(request()), timeout=120)
        finally:
            await teacher.aclose()

    assert asyncio.run(run()).body


@pytest.mark.model
def test_refuses_a_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TeacherError, match="cannot be loaded from") as caught:
        answers(recipe.TransformersTeacher(model=str(tmp_path)), [request()])
    assert (caught.value.cause, caught.value.fatal) == ("cannot_load", True)
    assert "\n" not in str(caught.value)


SCRIPT = """
import asyncio, logging
from pathlib import Path
from tracegen import recipe
from tracegen.teachers import open_teacher, weights

async def main():
    teacher = open_teacher(
        recipe.VllmTeacher(model=weights.SMOLLM2, max_model_len=1024), label="first", base=Path()
    )
    await teacher.ready()
    logging.getLogger("vllm").error("talk")
    print("ready", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())  # no guard
"""


@pytest.mark.vllm
@pytest.mark.slow
def test_leaves_no_engine_behind_when_it_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    repository = str(Path(teachers.__file__).parents[2])
    with (
        (tmp_path / "stderr").open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "PYTHONPATH": repository},
        ) as process,
    ):
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        engines = _descendants(process.pid)
        spawned = [pid for pid in engines if b"VLLM" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        outputs = [tuple(Path(f"/proc/{pid}/fd/{number}").readlink() for number in (1, 2)) for pid in spawned]
        os.kill(process.pid, signal.SIGKILL)
    assert first == "ready", "data alone is on stdout, and the script is not run again"
    said = (tmp_path / "stderr").read_text().splitlines()
    assert [line[-4:] for line in said] == ["talk"], "an engine starts quietly"
    assert len(engines) >= 2
    assert outputs
    assert all(out == err for out, err in outputs)
    _eventually(lambda: not any(_alive(pid) for pid in engines), seconds=30)


def _descendants(pid: int) -> list[int]:
    """Processes below `pid`, by /proc."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _eventually(holds: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.2)
