"""Training a student …"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from tests import tiny
from tests.test_cli import ROOT, one_line, tracegen
from tracegen import student
from tracegen.errors import UserError
from tracegen.train import training

pytestmark = pytest.mark.model


def sums(path: Path, count: int, *, thinking: bool = True) -> Path:
    """Rows that add two digits, with thinking inline or without any."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            one, two = draw.randint(0, 99), draw.randint(0, 99)
            thought = f"<think>\nadd {one} and {two}\n</think>\n\n" if thinking else ""
            row = {"id": str(number), "question": f"{one}+{two}?", "response": f"{thought}{one + two}"}
            file.write(json.dumps(row) + "\n")
    return path


RECIPE = """
name = "small"
[train]
model = "base"
dtype = "float32"
max_tokens = 300
batch_tokens = 1000
epochs = 4
learning_rate = 1e-3
validation_share = 0.1
save_every = 2
[[train.data]]
path = "sums.jsonl"
[train.monitor]
prompts = 2
budgets = [4, 8]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny base, sixty rows and a recipe of about forty steps."""
    tiny.tiny_student(tmp_path / "base")
    sums(tmp_path / "sums.jsonl", 60)
    (tmp_path / "small.toml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def trained(folder: Path, name: str = "out", *overrides: str, check: bool = False) -> training.Result:
    """The recipe, trained in this process."""
    settings = student.load(folder / "small.toml", overrides)
    return training.train(settings, folder, folder / name, lambda text: None, check=check)


def losses(directory: Path) -> list[float]:
    """The loss of every step, from the log."""
    rows = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_leaves_a_student_that_can_be_loaded_and_served(folder: Path) -> None:
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    result = trained(folder)
    assert result.state is not None
    assert result.state.status == "done"
    out = folder / "out"
    curve = losses(out)
    assert len(curve) == result.state.steps
    assert curve[-1] < 0.8 * curve[0]
    with safe_open(out / "model.safetensors", "pt") as stored:
        assert "lm_head.weight" not in list(stored.keys())
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.chat_template == tiny.CHAT
    assert tokenizer.eos_token_id in {GenerationConfig.from_pretrained(out).eos_token_id}
    assert AutoModelForCausalLM.from_pretrained(out).config.use_cache
    assert {one["name"] for one in json.loads((out / "checks.json").read_text())} >= {"template", "packing"}
    assert student.load(out / "recipe.toml").name == "small"
    card = (out / "README.md").read_text()
    assert str(folder) not in card
    assert "sums.jsonl" in card and "end of turn" in card and "share of the loss" in card
    assert not (out / "checkpoints").exists()
    assert trained(folder).state == result.state


def test_writes_nothing_when_it_only_checks(folder: Path) -> None:
    result = trained(folder, check=True)
    assert {one.verdict for one in result.findings} <= {"ok", "warn"}
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ("train.lora={rank=4}",),
        ("train.packing=false", "train.gradient_checkpointing=true"),
        ("train.stages=[{epochs=1}, {epochs=0.5, preset='answer_only'}]",),
        ("train.method={kind='step_by_step'}",),
        ("train.method={kind='logits', teacher='base'}",),
        ("train.dtype=bfloat16", "train.patience=1"),
    ],
)
def test_trains_in_every_way(folder: Path, overrides: tuple[str, ...]) -> None:
    from transformers import AutoModelForCausalLM

    settings = ("train.max_steps=4", "train.epochs=1", "train.monitor.action=off", *overrides)
    result = trained(folder, "out", *settings)
    assert result.state is not None and result.state.steps >= 1
    AutoModelForCausalLM.from_pretrained(folder / "out")


def test_distils_on_policy_where_trl_is_installed(folder: Path) -> None:
    pytest.importorskip("trl")
    tiny.tiny_student(folder / "teacher", seed=1)
    method = "train.method={kind='gkd', teacher='teacher', new_tokens=8}"
    result = trained(folder, "out", method, "train.max_steps=2", "train.batch_tokens=600")
    assert result.state is not None and result.state.status == "done"
    assert trained(folder, "out", method, "train.max_steps=2", "train.batch_tokens=600").state == result.state


@pytest.mark.parametrize(
    ("able", "dtype"), [({"avx2": True, "amx_bf16": False}, "float32"), ({"avx512_bf16": True}, "bfloat16")]
)
def test_computes_in_what_the_processor_is_made_for(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], dtype: str
) -> None:
    import torch

    from tracegen.student import Train
    from tracegen.train import loading

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert loading.settled(Train(model="")).dtype == dtype
    assert loading.settled(Train(model="", dtype="bfloat16")).dtype == "bfloat16"


@pytest.mark.slow
def test_goes_on_after_a_kill_as_if_nothing_had_happened(folder: Path) -> None:
    settings = ("train.epochs=8", "train.lora={rank=4, dropout=0.1}", "train.dtype=bfloat16")
    whole = trained(folder, "whole", *settings)
    command = [sys.executable, "-m", "tracegen", "train", "small.toml", "--output", "killed"]
    command += [part for text in settings for part in ("--set", text)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 300
    while not (folder / "killed/checkpoints/checkpoint-6/trainer_state.json").exists():
        assert child.poll() is None and time.monotonic() < limit
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    done = len(losses(folder / "killed"))
    assert whole.state is not None
    assert done < whole.state.steps
    resumed = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from checkpoint-" in resumed.stderr
    assert losses(folder / "killed") == pytest.approx(losses(folder / "whole"), abs=1e-4)
    state = json.loads((folder / "killed/training.json").read_text())
    assert state["validation"] == pytest.approx(whole.state.validation, abs=1e-4)


def test_takes_no_checkpoint_that_was_cut_off(tmp_path: Path) -> None:
    from tracegen.train.trainer import last_checkpoint, remove_torn

    for step, state in ((2, '{"global_step": 2}'), (10, '{"global_step": 10}'), (12, '{"glob'), (14, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    remove_torn(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-2"]


def mistake(folder: Path, *overrides: str) -> str:
    """The message of the error that the recipe meets; it has one line."""
    with pytest.raises(UserError) as caught:
        trained(folder, "out", "train.max_steps=3", "train.monitor.action=off", *overrides)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("train.model=nowhere",), "there is no such directory"),
        (("train.lora={quantize=true}",), "QLoRA needs an NVIDIA GPU"),
        (("train.method={kind='gkd', teacher='base'}",), "needs trl"),
        (("train.method={kind='kd'}",), "no row has a distribution"),
        (("train.method={kind='logits', teacher='other'}",), "is not the student's"),
        (("train.template=silent.jinja",), "no generation prompt"),
        (("train.data.0.path=plain.jsonl",), "no row has any thinking"),
        (("train.data.0.path=missing.jsonl",), "no such file"),
        (("train.data.0.path=empty.jsonl",), "has no rows"),
        (
            ("train.data.0.config=verified", "train.max_tokens=5"),
            "nothing is left to train on: 60 over 5 tokens",
        ),
        (("train.weights={close=0.0}",), "the student would never close"),
        (("train.weights={eot=0.0, answer=0.0, think=0.0, open=0.0, close=0.0}",), "train"),
        (("train.learning_rate=1e30", "train.warmup=0"), "the loss is nan"),
        (("train.report_to=['wandb']",), "wandb is not installed"),
        (("train.model=unfit",), "cannot be loaded"),
    ],
)
def test_refuses_in_one_line(
    folder: Path, overrides: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums(folder / "plain.jsonl", 20, thinking=False)
    (folder / "empty.jsonl").write_text("")
    (folder / "silent.jinja").write_text("{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}")
    there = importlib.util.find_spec
    if "gkd" in overrides[0]:
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name == "trl" else there(name, *rest)
        )
    if "teacher='other'" in overrides[0]:
        other = tiny.tiny_tokenizer()
        other.add_tokens(["extra"])
        tiny.tiny_student(folder / "other")
        other.save_pretrained(folder / "other")
    if "unfit" in overrides[0]:
        tiny.tiny_student(folder / "unfit")
        (folder / "unfit" / "model.safetensors").write_bytes(b"nothing")
    assert says in mistake(folder, *overrides)


def test_refuses_a_directory_of_another_training(folder: Path) -> None:
    trained(folder, "out", "train.max_steps=2", "train.monitor.action=off")
    assert "another model, dataset or recipe" in mistake(folder, "train.seed=1")
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("")
    with pytest.raises(UserError, match="is not empty and not a student's"):
        trained(folder, "mine")


def test_says_a_mistake_on_one_line_of_the_terminal(folder: Path) -> None:
    done = tracegen("train", "small.toml", "--set", "train.lora={quantize=true}", cwd=folder)
    assert "QLoRA needs an NVIDIA GPU" in one_line(done)


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
from tracegen.cli import main
sys.argv = ["tracegen", "train", "small.toml", "--output", "out"]
main()
"""


def test_loses_nothing_where_a_file_cannot_be_written(folder: Path) -> None:
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", FULL],
        cwd=folder,
        env={**unmeasured, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert not list((folder / "out" / "checkpoints").glob("checkpoint-*"))


def test_serves_the_options_that_it_was_trained_with(folder: Path) -> None:
    from transformers import AutoTokenizer

    from tracegen.train.saving import served_template

    tokenizer: Any = AutoTokenizer.from_pretrained(folder / "base")
    asking = "{% if deep is defined and deep %}deep {% endif %}{{ messages[0]['content'] }}"
    tokenizer.chat_template = served_template(asking, {"deep": True})
    turns = [{"role": "user", "content": "hi"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "deep hi"
    assert tokenizer.apply_chat_template(turns, tokenize=False, deep=False) == "hi"


@pytest.mark.slow
def test_minimises_the_same_on_two_devices_as_on_one(folder: Path) -> None:
    settings = (
        "train.batch_tokens=100000",
        "train.device_tokens=300",
        "train.epochs=3",
        "train.save_every=100",
    )
    whole = trained(folder, "one", *settings)
    command = [sys.executable, "-m", "tracegen", "train", "small.toml", "--output", "two"]
    command += [part for text in settings for part in ("--set", text)]
    common = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "ACCELERATE_USE_CPU": "true"}
    ranks = [
        subprocess.Popen(
            command,
            cwd=folder,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [rank.communicate(timeout=500)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    assert whole.state is not None
    assert losses(folder / "two") == pytest.approx(losses(folder / "one"), rel=1e-4)
    state = json.loads((folder / "two/training.json").read_text())
    assert state["validation"] == pytest.approx(whole.state.validation, rel=1e-4)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
