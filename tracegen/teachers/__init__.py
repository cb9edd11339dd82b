"""Teachers: given a request, the raw answer to it, unparsed.

`open_teacher` makes one from a recipe's section. Engines and clients are imported only when a teacher
of that kind is opened, and two teachers on the same model in this process share one engine.
"""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tracegen import recipe
from tracegen.data import Problem, Request, Struct, digest
from tracegen.errors import UserError


class Reply(Struct, frozen=True):
    """A raw answer."""

    body: bytes
    """JSON of `teachers.forced.Body`."""
    seconds: float
    """Wall seconds it took; in a batch its share of the batch's time."""


class Teacher(Protocol):
    """Whoever answers requests. Every failure is a TeacherError; nothing is parsed or dropped."""

    async def ready(self) -> None:
        """Make sure that requests can be answered, at no cost; an engine in this process is loaded.

        Raises TeacherError (fatal, with a cause) or UserError, each in one line that says what to do.
        """

    async def complete(self, request: Request) -> Reply:
        """The answer to a request. Raises TeacherError; the request then stays owed."""

    async def aclose(self) -> None:
        """Let go of connections, threads and engines."""


def open_teacher(
    config: recipe.Teacher,
    *,
    label: str,
    base: Path,
    problem_of: Callable[[str], Problem] | None = None,
) -> Teacher:
    """The teacher that `config` describes, called `label` in messages; paths are relative to `base`.

    `problem_of` gives a problem by its id, for a replay. Nothing is spent or loaded before `ready`.
    Raises UserError where an extra or a key is missing.
    """
    match config:
        case recipe.OpenAITeacher():
            from tracegen.teachers.openai import OpenAI

            return OpenAI(config, label=label, base=base)
        case recipe.VllmTeacher():
            return _vllm(config, label, base)
        case recipe.TransformersTeacher():
            return _transformers(config, label, base)
        case recipe.LocalTeacher():
            if installed("vllm") and vllm_is_fast():
                return _vllm(as_vllm(config), label, base)
            return _transformers(as_transformers(config), label, base)
        case recipe.ReplayTeacher():
            from tracegen.teachers.replay import Replay

            return Replay(config, label=label, base=base, problem_of=problem_of)


def teacher_digest(config: recipe.Teacher, base: Path = Path()) -> str:
    """Digest of what makes a teacher another one: model, revision, elicitation, extra body.

    Not of where it runs or how much is asked of it: `local`, `vllm` and `transformers` with the same
    model have the same digest. A model in a local directory is told by its files, and a replay by what
    was recorded, so that a recipe that names them from elsewhere (`base`) gives the same digest.
    """
    match config:
        case recipe.ReplayTeacher():
            from tracegen.teachers.replay import fingerprint

            return digest("replay", fingerprint(config, base))
        case recipe.OpenAITeacher():
            return digest("teacher", config.model, config.revision, config.elicit, config.extra_body)
        case _:
            return digest("teacher", _model(config, base), config.revision, config.elicit, {})


def as_vllm(config: recipe.LocalTeacher) -> recipe.VllmTeacher:
    """The same teacher, to be run by vLLM."""
    return recipe.VllmTeacher(max_model_len=config.max_model_len, **_common(config))


def as_transformers(config: recipe.LocalTeacher) -> recipe.TransformersTeacher:
    """The same teacher, to be run by transformers."""
    return recipe.TransformersTeacher(batch=config.batch, **_common(config))


def _common(config: recipe.LocalTeacher) -> dict[str, Any]:
    return {field: getattr(config, field) for field in recipe.TeacherBase.__struct_fields__}


def _model(config: recipe.VllmTeacher | recipe.TransformersTeacher | recipe.LocalTeacher, base: Path) -> str:
    folder = base / config.model
    if not config.model or not folder.is_dir():
        return config.model
    from tracegen.teachers.weights import fingerprint

    return fingerprint(folder)


def _vllm(config: recipe.VllmTeacher, label: str, base: Path) -> Teacher:
    _need("vllm", "vllm", label)
    from tracegen.teachers.vllm import Vllm

    return Vllm(config, label=label, base=base)


def _transformers(config: recipe.TransformersTeacher, label: str, base: Path) -> Teacher:
    for package in ("torch", "transformers"):
        _need(package, "local", label)
    from tracegen.teachers.transformers import Transformers

    return Transformers(config, label=label, base=base)


def _need(package: str, extra: str, label: str) -> None:
    if not installed(package):
        raise UserError(f"teacher {label!r} needs {package} - pip install 'tracegen[{extra}]'")


def vllm_is_fast() -> bool:
    """There is a GPU, or a processor that vLLM's kernels are made for.

    On x86 without AVX-512 the teacher on transformers makes four times as many tokens a CPU-second (85
    against 20, SmolLM2-135M in float32, vLLM 0.32.0).
    """
    if any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists():
        return True
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    try:
        return " avx512f " in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True  # no Linux: nothing is known


def installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


__all__ = ["Reply", "Teacher", "open_teacher", "teacher_digest"]
