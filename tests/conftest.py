"""What tests share: the folder of public data, and the rule that CI skips nothing."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tracegen.sandbox import image

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("TRACEGEN_SHARED", ROOT.parent / "shared")) / "data"
gc.disable()  # until all is imported: the collector would walk every new object of torch and sympy in vain
REQUIRED = set(filter(None, os.environ.get("TRACEGEN_REQUIRE", "").split(",")))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public problems and traces that tests read but the project does not ship."""
    if not SHARED.is_dir():
        _lacking("shared", f"no {SHARED}: set TRACEGEN_SHARED to the folder above data/")
    return SHARED


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of known-hard cases."""
    return Path(__file__).parent / "cases"


def pytest_collection_finish() -> None:
    """The tests run as any program does."""
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, and say why; where CI requires it, fail instead."""
    for marker, why in (("docker", _no_docker), ("vllm", _no_vllm), ("model", _no_model)):
        if item.get_closest_marker(marker) and (reason := why()):
            _lacking(marker, reason)


def _lacking(what: str, reason: str) -> None:
    if what in REQUIRED:
        pytest.fail(f"{what} is required here: {reason}")
    pytest.skip(reason)


def needs_image(language: str) -> None:
    """Skip, or fail where CI requires Docker, unless the image of a language is built."""
    if not image_is_built(language):
        _lacking("docker", f"no image for {language} - run `tracegen sandbox build --all`")


def image_is_built(language: str) -> bool:
    """Programs in this language can be run here."""
    return _inspected(image.tag_of(language))


@cache
def _inspected(tag: str) -> bool:
    found = subprocess.run(["docker", "image", "inspect", tag], capture_output=True, check=False)
    return found.returncode == 0


@cache
def _no_docker() -> str:
    if shutil.which("docker") is None:
        return "docker is not installed"
    if image_is_built("python"):
        return ""
    return "no Docker engine, or no image - run `tracegen sandbox build`"


@cache
def _no_vllm() -> str:
    return "" if importlib.util.find_spec("vllm") else "vllm is not installed"


@cache
def _no_model() -> str:
    return "" if importlib.util.find_spec("transformers") else "transformers is not installed"
