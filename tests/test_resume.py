"""A killed build …"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import runs
from tests.endpoint_double import Answer, Endpoint, Fault, Json, say
from tests.test_cli import ROOT, responses
from tracegen.store import Store

PROBLEMS, SAMPLES, CONCURRENCY = 60, 2, 8
BUILD = [sys.executable, "-m", "tracegen", "build", "recipe.toml"]


def recipe(folder: Path, url: str, **more: object) -> None:
    runs.problems(folder, PROBLEMS)
    teacher = {
        "kind": "openai",
        "model": "double",
        "base_url": url,
        "n": SAMPLES,
        "concurrency": CONCURRENCY,
        "timeout": 5.0,
        **more,
    }
    runs.write_recipe(folder, teacher=teacher)


def slowly(_: Json) -> Answer:
    """A right answer to one of the problems, after a moment."""
    thinking = "I count to seven, and seven it is, as far as I can see"
    return replace(say(f"<think>\n{thinking}\n</think>\n\nThe answer is \\boxed{{7}}."), hang=0.05)


def killed(folder: Path, seed: int) -> None:
    """Start a build and kill it with its children at a random moment after its first answers."""
    draw = random.Random(seed)
    before = responses(folder / "runs" / "sums")
    process = subprocess.Popen(
        BUILD,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while (
        time.monotonic() < until and process.poll() is None and responses(folder / "runs" / "sums") <= before
    ):
        time.sleep(0.01)
    time.sleep(draw.uniform(0.0, 0.15))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def finished(folder: Path) -> None:
    done = subprocess.run(
        BUILD,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_loses_nothing_and_repeats_at_most_what_was_in_flight(tmp_path: Path) -> None:
    kills = 5
    with Endpoint() as endpoint:
        endpoint.default = slowly
        recipe(tmp_path, endpoint.url)
        for seed in range(kills):
            killed(tmp_path, seed)
        finished(tmp_path)
        served = Counter(
            (request["messages"][-1]["content"], request["seed"]) for request in endpoint.requests
        )
    with Store(tmp_path / "runs" / "sums", write=False) as store:
        counts = store.counts()
        assert store.paid_twice() == 0
    assert counts["responses"] == len(served) == PROBLEMS * SAMPLES
    assert sum(served.values()) - len(served) <= kills * CONCURRENCY
    assert counts["repeated"] <= kills * CONCURRENCY
    files = (tmp_path / "runs" / "sums" / "dataset" / "data" / "all").glob("*.parquet")
    assert sum(pq.read_metadata(file).num_rows for file in files) == PROBLEMS * SAMPLES


@pytest.mark.slow
def test_is_mended_after_faults_of_every_kind(tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        endpoint.script(
            Fault.busy(retry_after="0"),
            Fault.status(500),
            Fault.reset,
            Fault.truncated,
            Fault.cut,
            Fault.html,
        )
        recipe(tmp_path, endpoint.url)
        finished(tmp_path)
    with Store(tmp_path / "runs" / "sums", write=False) as store:
        assert store.counts()["responses"] == PROBLEMS * SAMPLES


@pytest.mark.slow
def test_spends_nothing_when_the_key_is_refused(tmp_path: Path) -> None:
    with Endpoint(key="right") as endpoint:
        recipe(tmp_path, endpoint.url, key_env="TEST_TEACHER_KEY")
        done = subprocess.run(
            BUILD,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TEST_TEACHER_KEY": "wrong-key-2718"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert endpoint.requests == []
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "401" in done.stderr
    assert "TEST_TEACHER_KEY" in done.stderr
    everything = (
        done.stdout
        + done.stderr
        + "".join(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file())
    )
    assert "wrong-key-2718" not in everything


@pytest.mark.slow
def test_keeps_the_key_out_of_everything_it_writes(tmp_path: Path) -> None:
    with Endpoint(key="right-key-3141") as endpoint:
        recipe(tmp_path, endpoint.url, key_env="TEST_TEACHER_KEY")
        done = subprocess.run(
            BUILD,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TEST_TEACHER_KEY": "right-key-3141"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(endpoint.requests) == PROBLEMS * SAMPLES
    written = "".join(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file())
    assert "right-key-3141" not in written + done.stdout + done.stderr
