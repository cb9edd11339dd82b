"""Pushing to a hub: one commit, once, whatever happens on the way, and no word of the token."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_double import HubDouble
from tests.made_up_records import record, records
from tests.test_publish import expected, loaded, written
from tracegen.errors import HubError, TracegenError, UserError
from tracegen.publish import PushResult, card, push
from tracegen.publish.contents import CONFIGS

# huggingface_hub 2.4 itself uploads in a way that its HTTP client calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

REPO = "tester/made-up"
PUSH = """
import json, sys
from pathlib import Path
from tracegen.publish import push
done = push(Path(sys.argv[1]), sys.argv[2], token=None)
json.dump({"url": done.url, "commit": done.commit, "changed": done.changed}, sys.stdout)
"""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """A hub without Xet, that this process talks to."""
    import huggingface_hub.constants

    with HubDouble() as double:
        monkeypatch.setenv("HF_ENDPOINT", double.url)
        # The client reads this variable once, when it is first imported.
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        yield double


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return written(tmp_path / "made", records())


def pushed(hub: HubDouble, dataset: Path, **options: object) -> PushResult:
    return push(dataset, REPO, token=hub.token, **options)  # type: ignore[arg-type]  # as the test says


def on_hub(hub: HubDouble) -> dict[str, bytes]:
    """The files of the repository, without the hub's own."""
    blobs = hub.repos[REPO].commits[-1].files
    return {
        path: hub.stored[blob.sha256] if blob.content is None else blob.content
        for path, blob in blobs.items()
        if path != ".gitattributes"
    }


def local(dataset: Path) -> dict[str, bytes]:
    found = {
        path.relative_to(dataset).as_posix(): path.read_bytes()
        for path in dataset.rglob("*")
        if path.is_file()
    }
    found["README.md"] = card.addressed(found["README.md"].decode(), REPO).encode()
    return found


# --- what arrives ----------------------------------------------------------------------------------


def test_makes_one_commit_of_the_whole_dataset(hub: HubDouble, dataset: Path) -> None:
    done = pushed(hub, dataset)
    assert done.changed and done.private
    assert done.url == f"{hub.url}/datasets/{REPO}"
    assert [commit.oid for commit in hub.repos[REPO].commits][1:] == [done.commit]
    assert on_hub(hub) == local(dataset)


def test_makes_no_commit_where_everything_is_there_already(hub: HubDouble, dataset: Path) -> None:
    first, second = pushed(hub, dataset), pushed(hub, dataset)
    assert (second.changed, second.commit) == (False, first.commit)
    assert len(hub.repos[REPO].commits) == 2
    assert len(hub.asked("PUT", "/lfs/")) == len(list(dataset.glob("data/*/*.parquet")))


@pytest.mark.slow
def test_replaces_what_changed_and_deletes_only_stale_shards_of_its_own(
    hub: HubDouble, tmp_path: Path
) -> None:
    pushed(hub, written(tmp_path / "old", records()))
    hub.commit(
        REPO, "by hand", {"LICENSE": b"MIT", "data/mine/train.parquet": b"PAR1", "data/notes.txt": b"!"}
    )
    new = written(tmp_path / "new", [record(1, 0)])
    assert pushed(hub, new).changed
    kept = {"LICENSE": b"MIT", "data/mine/train.parquet": b"PAR1", "data/notes.txt": b"!"}
    assert on_hub(hub) == local(new) | kept


@pytest.mark.slow
@pytest.mark.parametrize("xet", [False, True], ids=["lfs", "xet"])
def test_loads_every_config_from_the_hub_as_from_disk(tmp_path: Path, dataset: Path, xet: bool) -> None:
    storage = tmp_path / "xet" if xet else None
    if storage:
        storage.mkdir()
    with HubDouble(xet=storage) as hub:
        environment = {**hub.environment(), "HF_HOME": str(tmp_path / "home")}
        runs = [
            subprocess.run(
                [sys.executable, "-c", PUSH, str(dataset), REPO],
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                timeout=300,
                check=True,
            )
            for _ in range(2)
        ]
        first, second = (json.loads(done.stdout) for done in runs)
        assert (first["changed"], second["changed"]) == (True, False)
        assert on_hub(hub) == local(dataset)
        assert bool(hub.asked("PUT", "/lfs/")) is not xet
        found = loaded([(REPO, config) for config in CONFIGS], tmp_path / "home", hub.environment())
    for config in CONFIGS:
        assert found[REPO, config].rows == expected(records(), config)


@pytest.mark.slow
def test_gives_the_commit_a_tag_once(hub: HubDouble, dataset: Path, tmp_path: Path) -> None:
    done = pushed(hub, dataset, revision_tag="v1.0")
    assert hub.repos[REPO].tags == {"v1.0": done.commit}
    assert not pushed(hub, dataset, revision_tag="v1.0").changed
    other = written(tmp_path / "other", records(4))
    uploads = len(hub.asked("PUT", "/lfs/"))
    with pytest.raises(UserError, match=r"tag 'v1\.0' already names commit"):
        pushed(hub, other, revision_tag="v1.0")
    assert len(hub.repos[REPO].commits) == 2
    assert len(hub.asked("PUT", "/lfs/")) == uploads


# --- who may see it --------------------------------------------------------------------------------


def test_makes_a_private_repository_unless_asked_otherwise(hub: HubDouble, dataset: Path) -> None:
    pushed(hub, dataset)
    assert hub.repos[REPO].private
    assert not push(dataset, "tester/open", token=hub.token, private=False).private
    assert not hub.repos["tester/open"].private


def test_refuses_to_put_a_private_dataset_into_a_public_repository(hub: HubDouble, dataset: Path) -> None:
    pushed(hub, dataset, private=False)
    with pytest.raises(UserError, match="is public on the hub"):
        pushed(hub, dataset)
    assert pushed(hub, dataset, private=False).changed is False


def test_leaves_a_private_repository_private(hub: HubDouble, dataset: Path) -> None:
    pushed(hub, dataset)
    assert pushed(hub, dataset, private=False).private
    assert hub.repos[REPO].private


# --- what goes wrong on the way --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("status", [409, 412, 429, 500, 503])
def test_tries_again_where_the_commit_fails_in_passing(hub: HubDouble, dataset: Path, status: int) -> None:
    hub.fail("POST", "/commit/main", status)
    assert pushed(hub, dataset).changed
    assert len(hub.repos[REPO].commits) == 2
    assert on_hub(hub) == local(dataset)


@pytest.mark.slow
def test_waits_as_long_as_the_server_asks(hub: HubDouble, dataset: Path) -> None:
    hub.fail("POST", "/commit/main", 429, headers={"Retry-After": "1"})
    assert pushed(hub, dataset).changed


@pytest.mark.slow
def test_builds_on_a_commit_that_came_in_between(hub: HubDouble, dataset: Path, tmp_path: Path) -> None:
    pushed(hub, written(tmp_path / "old", records(4)))
    stale = "data/all/train-00000-of-00009.parquet"
    hub.fail(
        "POST",
        "/commit/main",
        412,
        effect=lambda: hub.commit(REPO, "theirs", {stale: b"PAR1", "NOTES": b"!"}),
    )
    assert pushed(hub, dataset).changed
    assert [commit.title for commit in hub.repos[REPO].commits][2] == "theirs"
    assert on_hub(hub) == local(dataset) | {"NOTES": b"!"}


@pytest.mark.slow
def test_makes_no_second_commit_where_only_the_answer_was_lost(hub: HubDouble, dataset: Path) -> None:
    hub.fail("POST", "/commit/main", 500, after=True)
    done = pushed(hub, dataset)
    assert done.changed
    assert [commit.oid for commit in hub.repos[REPO].commits][1:] == [done.commit]


@pytest.mark.slow
def test_uploads_no_shard_twice_after_an_interrupted_push(hub: HubDouble, dataset: Path) -> None:
    hub.fail("POST", "/commit/main", 400)
    with pytest.raises(HubError, match="answered 400"):
        pushed(hub, dataset)
    uploads = len(hub.asked("PUT", "/lfs/"))
    assert pushed(hub, dataset).changed
    assert len(hub.asked("PUT", "/lfs/")) == uploads


@pytest.mark.slow
def test_gives_up_on_a_hub_that_keeps_failing(hub: HubDouble, dataset: Path) -> None:
    hub.fail("POST", "/commit/main", 503, times=100, headers={"Retry-After": "0"})
    with pytest.raises(HubError, match=r"answered 503: injected 503 - push again later") as raised:
        pushed(hub, dataset)
    assert "\n" not in str(raised.value)
    assert len(hub.repos[REPO].commits) == 1


# --- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "repo_id", ["name", "a/b/c", "", "a b/c", "user/na--me", "/x", "user/", "user/x.git"]
)
def test_refuses_a_bad_repository_id_before_anything_is_sent(
    hub: HubDouble, dataset: Path, repo_id: str
) -> None:
    with pytest.raises(UserError, match="no repository id - give it as user/name"):
        push(dataset, repo_id, token=hub.token)
    assert hub.log == []


@pytest.mark.parametrize("lost", ["README.md", "report.json", "data"])
def test_refuses_a_folder_that_is_no_dataset(hub: HubDouble, dataset: Path, lost: str) -> None:
    shutil.rmtree(dataset / lost) if lost == "data" else (dataset / lost).unlink()
    with pytest.raises(UserError, match="is not a dataset"):
        pushed(hub, dataset)
    assert hub.log == []


def test_asks_for_a_token_where_there_is_none(hub: HubDouble, dataset: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.url, "HF_TOKEN": ""}
    done = subprocess.run(
        [sys.executable, "-c", PUSH, str(dataset), REPO],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "UserError: the hub needs a token - set HF_TOKEN" in done.stderr
    assert hub.log == []


@pytest.mark.parametrize("token", ["hf_bad\nheader", "hf_ünicode", "two words", "hf_\x00"])
def test_refuses_a_token_that_would_break_the_header_without_repeating_it(
    hub: HubDouble, dataset: Path, token: str
) -> None:
    with pytest.raises(UserError, match="characters that no token has") as raised:
        push(dataset, REPO, token=token)
    assert token not in everything(raised.value)


def everything(error: BaseException) -> str:
    """An error as a traceback prints it, causes included."""
    return "".join(traceback.format_exception(error))


def test_says_that_the_token_was_refused(hub: HubDouble, dataset: Path) -> None:
    token = "hf_wrong_but_secret"
    with pytest.raises(UserError, match=r"refused the token \(401\) - set HF_TOKEN") as raised:
        push(dataset, REPO, token=token)
    assert token not in everything(raised.value)


def test_says_that_the_token_may_not_write_there(hub: HubDouble, dataset: Path) -> None:
    with pytest.raises(
        UserError, match=r"forbidden/made-up: the token may not write there \(403: You don't have"
    ):
        push(dataset, "forbidden/made-up", token=hub.token)


def test_names_a_hub_that_cannot_be_reached(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "hf_secret_enough"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        HubError, match=r"http://127\.0\.0\.1:9 cannot be reached: .* check the network"
    ) as raised:
        push(dataset, REPO, token=token)
    assert "\n" not in str(raised.value)
    assert token not in everything(raised.value)


def test_never_repeats_a_token_that_the_server_echoes(
    hub: HubDouble, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fail("POST", "/commit/main", 400, headers={"X-Error-Message": f"what is {hub.token}?"})
    with pytest.raises(TracegenError, match=r"what is \*\*\*\?") as raised:
        pushed(hub, dataset)
    assert hub.token not in everything(raised.value)


def test_says_what_to_set_for_a_hub_without_xet(
    hub: HubDouble, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(UserError, match="has no Xet storage - set HF_HUB_DISABLE_XET=1"):
        pushed(hub, dataset)


def test_says_what_the_hub_finds_wrong_with_the_card(hub: HubDouble, dataset: Path) -> None:
    (dataset / "README.md").write_text("no front matter")
    with pytest.raises(HubError, match=r"refused the dataset: .*no front matter"):
        pushed(hub, dataset)
