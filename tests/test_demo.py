"""The demo …"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_cli import ROOT, tracegen
from tracegen.store import Store

pytestmark = [pytest.mark.model, pytest.mark.docker, pytest.mark.slow]


def test_makes_a_verified_dataset_with_a_real_model_and_real_docker(tmp_path: Path) -> None:
    recipe = ROOT / "recipes" / "demo.toml"
    fewer = ("problems.0.limit=12", "problems.1.limit=2", "problems.2.limit=4")
    limits = [word for override in fewer for word in ("--set", override)]
    done = tracegen("build", recipe, "--output", "demo", "--json", *limits, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    steps = {step["name"]: (step["count"], step["of"]) for step in report["funnel"]}
    assert steps["problems asked"] == (18, 18)
    assert steps["answered"][0] == steps["answered"][1] >= 36
    assert 0 < steps["closed"][0] <= steps["answered"][0]
    assert steps["verified"][0] >= 4
    assert report["accepted"] >= 3
    assert report["completion_tokens"] > 500
    with Store(tmp_path / "demo", write=False) as store:
        assert store.counts()["repeated"] == 0
    again = tracegen("build", recipe, "--output", "demo", "--json", *limits, cwd=tmp_path)
    assert json.loads(again.stdout)["funnel"] == report["funnel"]
    datasets = pytest.importorskip("datasets")
    for config in ("verified", "rejected", "all"):
        loaded = datasets.load_dataset(
            str(tmp_path / "demo" / "dataset"), config, cache_dir=str(tmp_path / "cache")
        )
        assert all(row["thinking"] or config != "verified" for split in loaded.values() for row in split)
