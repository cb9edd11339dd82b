"""A student as one GGUF file, by llama.cpp's own converter where it is installed.

The converter is `convert_hf_to_gguf.py` in the directory that LLAMA_CPP names, else on PATH. Distil first,
quantise after: the file is written in the student's own precision, and quantising it is one more command.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tracegen.errors import InfraError, UserError

CONVERTER, QUANTIZER = "convert_hf_to_gguf.py", "llama-quantize"
MAGIC = b"GGUF"


def export_gguf(model: Path, file: Path, outtype: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Write the model as GGUF; False where no converter is installed, and nothing was done.

    Raises UserError where there is no model or the file cannot be written, InfraError where the converter
    fails.
    """
    _check(model, file)
    converter = find_converter(environment)
    if converter is None:
        return False
    partial = file.with_name(f".{file.name}.partial")
    partial.unlink(missing_ok=True)
    command = [*converter, str(model.resolve()), "--outfile", str(partial.resolve()), "--outtype", outtype]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own llama.cpp
            command, capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
            raise InfraError(f"{CONVERTER} failed with {done.returncode}: {said}")
        if not _is_gguf(partial):
            raise InfraError(
                f"{CONVERTER} ended well, but wrote no GGUF file - check {shlex.join(converter)}"
            )
        partial.replace(file)
    except OSError as error:
        raise InfraError(f"{shlex.join(converter)}: cannot be run: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return True


def commands(model: Path, file: Path, outtype: str) -> tuple[str, str]:
    """The two commands: the conversion, and the quantisation of what it gives."""
    small = file.with_name(f"{file.stem}-Q4_K_M.gguf")
    convert = ["python", CONVERTER, str(model), "--outfile", str(file), "--outtype", outtype]
    return shlex.join(convert), shlex.join([QUANTIZER, str(file), str(small), "Q4_K_M"])


def find_converter(environment: Mapping[str, str]) -> list[str] | None:
    """How the converter is called here, or None. Raises UserError where LLAMA_CPP names no llama.cpp."""
    named = environment.get("LLAMA_CPP", "")
    if named:
        script = Path(named) / CONVERTER
        if not script.is_file():
            raise UserError(f"LLAMA_CPP: no {CONVERTER} in {named} - set it to a checkout of llama.cpp")
        return [sys.executable, str(script)]
    found = shutil.which(CONVERTER, path=environment.get("PATH"))
    return [found] if found else None


def _check(model: Path, file: Path) -> None:
    if not (model / "config.json").is_file():
        adapter = (model / "adapter_config.json").is_file()
        what = "only an adapter there - merge it first" if adapter else "no model there"
        raise UserError(f"{model}: {what}; give a directory with config.json and the weights")
    if not any(model.glob("*.safetensors")) and not any(model.glob("*.bin")):
        raise UserError(f"{model}: no weights there - give a directory with safetensors")
    if file.is_dir() or not file.name.endswith(".gguf"):
        raise UserError(f"{file}: not the name of a GGUF file - give one that ends in .gguf")
    if file.exists():
        raise UserError(f"{file}: is there already - delete it, or give another name")
    if not file.parent.is_dir():
        raise UserError(f"{file.parent}: no such directory - make it first")


def _is_gguf(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC
