"""Exporting a model …"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.test_cli import one_line, tracegen

CONVERTER = """#!{python}
import pathlib, sys
model, _, out, _, kind = sys.argv[1:]
assert (pathlib.Path(model) / "config.json").is_file()
{body}
"""
GOOD = "pathlib.Path(out).write_bytes(b'GGUF' + kind.encode())"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with the files of a model."""
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def converter(folder: Path, body: str) -> Path:
    """A converter of our own making in folder/bin."""
    script = folder / "bin" / "convert_hf_to_gguf.py"
    script.parent.mkdir()
    script.write_text(CONVERTER.format(python=sys.executable, body=body))
    script.chmod(0o755)
    return script.parent


@pytest.mark.parametrize("variable", ["PATH", "LLAMA_CPP"])
def test_calls_the_converter_where_it_is_installed(model: Path, variable: str) -> None:
    place = {"PATH": "/nowhere", variable: str(converter(model, GOOD))}
    done = tracegen("export-model", "student", "--gguf", "out.gguf", cwd=model, **place)
    assert done.returncode == 0, done.stderr
    assert (model / "out.gguf").read_bytes() == b"GGUFbf16"
    assert done.stdout.strip() == "out.gguf"
    assert "llama-quantize out.gguf out-Q4_K_M.gguf Q4_K_M" in done.stderr


def test_prints_the_two_commands_where_it_is_not(model: Path) -> None:
    done = tracegen(
        "export-model", "student", "--gguf", "my out.gguf", cwd=model, PATH="/nowhere", LLAMA_CPP=""
    )
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "python convert_hf_to_gguf.py student --outfile 'my out.gguf' --outtype bf16",
        "llama-quantize 'my out.gguf' 'my out-Q4_K_M.gguf' Q4_K_M",
    ]
    assert not (model / "my out.gguf").exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit('Model FooForCausalLM is not supported')", "Model FooForCausalLM is not supported"),
        ("pathlib.Path(out).write_bytes(b'GG'); raise MemoryError", "MemoryError"),
        ("pass", "wrote no GGUF file"),
        ("pathlib.Path(out).write_bytes(b'<html>')", "wrote no GGUF file"),
    ],
)
def test_says_why_the_converter_failed_and_leaves_nothing(model: Path, body: str, said: str) -> None:
    place = converter(model, body)
    done = tracegen("export-model", "student", "--gguf", "out.gguf", cwd=model, LLAMA_CPP=str(place))
    assert said in one_line(done, 1)
    assert sorted(path.name for path in model.iterdir()) == ["bin", "student"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "--gguf", "out.gguf"), "no model there"),
        (("adapter", "--gguf", "out.gguf"), "only an adapter"),
        (("empty", "--gguf", "out.gguf"), "no weights"),
        (("student", "--gguf", "student"), "ends in .gguf"),
        (("student", "--gguf", "there.gguf"), "is there already"),
        (("student", "--gguf", "no/out.gguf"), "no such directory"),
    ],
)
def test_refuses_what_it_cannot_use(model: Path, arguments: tuple[str, ...], said: str) -> None:
    (model / "there.gguf").write_text("")
    for name, file in (("adapter", "adapter_config.json"), ("empty", "config.json")):
        (model / name).mkdir()
        (model / name / file).write_text("{}")
    assert said in one_line(tracegen("export-model", *arguments, cwd=model))


def test_refuses_a_llama_cpp_that_is_none(model: Path) -> None:
    done = tracegen("export-model", "student", "--gguf", "out.gguf", cwd=model, LLAMA_CPP=str(model))
    assert "LLAMA_CPP: no convert_hf_to_gguf.py" in one_line(done)
