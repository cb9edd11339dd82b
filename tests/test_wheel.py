"""The wheel …"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that an installed wheel would be in, without the checkout beside it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tracegen", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_plans_the_demo_that_it_ships(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "plan", "recipes/demo.toml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("demo: 80 problems")


def test_finds_its_sandbox_and_its_prompts(installed: Path, tmp_path: Path) -> None:
    program = "from tracegen import resources; print(resources.path('sandboxes'), resources.path('prompts'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    sandboxes, prompts = map(Path, done.stdout.split())
    assert sandboxes.is_relative_to(installed)
    assert (sandboxes / "harness" / "Dockerfile").is_file()
    assert (sandboxes / "cpp" / "language.toml").is_file()
    assert (prompts / "math.toml").is_file()


def test_holds_nothing_that_belongs_to_the_checkout_only(installed: Path) -> None:
    found = {path.name for path in installed.iterdir()}
    assert found == {"tracegen", next(name for name in found if name.endswith(".dist-info"))}
