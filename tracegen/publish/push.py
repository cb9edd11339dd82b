"""A dataset folder to the Hugging Face Hub: one commit, so that no reader ever sees half of it.

The commit holds what differs from the Hub, and deletes the shards of ours that are no longer there; other
files of the repository stay. Shards are uploaded before it, so an interrupted push goes on where it was.
Pushing what is there already makes no commit. `HF_ENDPOINT` names another hub, and one without Xet
storage needs `HF_HUB_DISABLE_XET=1`. Not covered: gated access and pull requests.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tracegen
from tracegen.data import Struct
from tracegen.errors import HubError, InfraError, UserError
from tracegen.publish.card import addressed
from tracegen.publish.contents import CONFIGS

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TRIES = 6
FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
"""Seconds before the second try, doubled for each further one, and the most that a server may ask for."""

PASSING = frozenset((408, 409, 412, 429, 500, 502, 503, 504))
"""Answers that another try may mend; 409 and 412 say that somebody else has committed meanwhile."""

_SHARD = re.compile(rf"data/({'|'.join(CONFIGS)})/(train|test)-\d{{5}}-of-\d{{5}}\.parquet")


class PushResult(Struct, frozen=True):
    """What a push did."""

    url: str
    commit: str
    """Head of the dataset's main branch."""
    changed: bool
    """This push made a commit; False where everything was there already."""
    private: bool


def push(
    dataset: Path, repo_id: str, *, private: bool = True, token: str | None, revision_tag: str = ""
) -> PushResult:
    """Upload the dataset in the folder `dataset` to `repo_id`, which is created if need be.

    Without `token` the one of `HF_TOKEN` or `hf auth login` is taken. An existing repository keeps its
    visibility: a public one is refused where `private` is wanted, and a private one stays private.
    `revision_tag` names the commit, once and for all.

    Raises UserError for a folder that is no dataset, a bad repository id, a missing or refused token, a
    public repository or a tag that names another commit, and HubError where the Hub fails or cannot be
    reached. No message holds the token.
    """
    try:
        from huggingface_hub import HfApi, get_token
    except ImportError:
        raise UserError("pushing needs the hub extra - pip install 'tracegen[hub]'") from None

    _check_repo_id(repo_id)
    files = _local_files(dataset, repo_id)
    token = _checked_token(token or get_token())
    endpoint = os.environ.get("HF_ENDPOINT") or None
    api = HfApi(endpoint, token, library_name="tracegen", library_version=tracegen.__version__)
    with _mapped_errors(api.endpoint, repo_id, token):
        api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        is_private = bool(api.dataset_info(repo_id).private)
        if private and not is_private:
            raise UserError(
                f"{repo_id}: is public on the hub - push it as public, or make it private there first"
            )
        commit, changed = _commit(api, repo_id, files, revision_tag)
        if revision_tag and not _tagged(api, repo_id, revision_tag):
            api.create_tag(repo_id, tag=revision_tag, revision=commit, repo_type="dataset")
    url = f"{api.endpoint}/datasets/{repo_id}"
    return PushResult(url=url, commit=commit, changed=changed, private=is_private)


# --- before anything is sent -----------------------------------------------------------------------


def _check_repo_id(repo_id: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
        named = repo_id.count("/") == 1
    except HFValidationError:
        named = False
    if not named:
        raise UserError(
            f"{repo_id!r}: is no repository id - give it as user/name, of letters, digits, -, _ and ."
        )


def _local_files(dataset: Path, repo_id: str) -> dict[str, bytes | Path]:
    """What is to be on the Hub: the card as bytes, with the repository's name in it, the rest as paths."""
    texts = [dataset / name for name in ("README.md", "recipe.toml", "report.json")]
    shards = sorted((dataset / "data").glob("*/*.parquet"))
    if not shards or not all(path.is_file() for path in texts):
        raise UserError(f"{dataset}: is not a dataset - run `tracegen build` to its end first")
    files: dict[str, bytes | Path] = {
        path.relative_to(dataset).as_posix(): path for path in [*texts, *shards]
    }
    files["README.md"] = addressed(texts[0].read_text(encoding="utf-8"), repo_id).encode()
    return files


def _checked_token(token: str | None) -> str:
    token = (token or "").strip()
    if not token:
        raise UserError(
            "the hub needs a token - set HF_TOKEN to one with write access, or run `hf auth login`"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        # The HTTP client would name the whole header in its complaint.
        raise UserError("the hub token has characters that no token has - set HF_TOKEN anew")
    return token


# --- the commit ------------------------------------------------------------------------------------


def _commit(api: HfApi, repo_id: str, files: dict[str, bytes | Path], revision_tag: str) -> tuple[str, bool]:
    """The head of main once it holds `files`, and whether that took a commit.

    Each try begins with what is on the Hub now: so a commit of somebody else is not undone unseen, and one
    of ours whose answer was lost is not made twice.
    """
    from huggingface_hub.errors import HTTPError

    sent = False
    for attempt in range(TRIES):
        try:
            head = str(api.dataset_info(repo_id).sha)
            operations = _operations(api, repo_id, files, head)
            _check_tag(api, repo_id, revision_tag, head, differs=bool(operations) and not sent)
            if not operations:
                return head, sent
            additions = [operation for operation in operations if hasattr(operation, "path_or_fileobj")]
            api.preupload_lfs_files(repo_id, additions, repo_type="dataset", free_memory=False)
            sent = True
            commit = api.create_commit(
                repo_id,
                operations,
                repo_type="dataset",
                commit_message=f"Publish with tracegen {tracegen.__version__}",
                parent_commit=head,
            )
            return str(commit.oid), True
        except (HTTPError, RuntimeError) as error:
            failure = _failure(error)
            if attempt == TRIES - 1 or not _passing(failure):
                raise
            time.sleep(_wait(failure, attempt))
    raise AssertionError("the last try returns or raises")


def _operations(api: HfApi, repo_id: str, files: dict[str, bytes | Path], head: str) -> list[Any]:
    """What turns the Hub's files into ours: what is not the same there, and the shards that are stale."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.hf_api import RepoFile

    tree = api.list_repo_tree(repo_id, recursive=True, revision=head, repo_type="dataset")
    remote = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    stale = sorted(path for path in remote if _SHARD.fullmatch(path) and path not in files)
    changed = [path for path, content in files.items() if not _same(content, remote.get(path))]
    return [
        *(CommitOperationAdd(path_in_repo=path, path_or_fileobj=files[path]) for path in changed),
        *(CommitOperationDelete(path_in_repo=path) for path in stale),
    ]


def _same(content: bytes | Path, remote: Any) -> bool:
    """Whether the Hub has this content; it keeps large files by SHA-256, the others as git blobs."""
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if remote is None or remote.size != size:
        return False
    if remote.lfs is not None:
        return bool(remote.lfs.sha256 == _digest(hashlib.sha256(), content))
    return bool(remote.blob_id == _digest(hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), content))


def _digest(state: hashlib._Hash, content: bytes | Path) -> str:
    if isinstance(content, bytes):
        state.update(content)
    else:
        with content.open("rb") as file:
            while block := file.read(2**20):
                state.update(block)
    return state.hexdigest()


def _tagged(api: HfApi, repo_id: str, tag: str) -> str:
    """The commit that a tag names; empty where there is no such tag."""
    refs = api.list_repo_refs(repo_id, repo_type="dataset")
    return next((str(ref.target_commit) for ref in refs.tags if ref.name == tag), "")


def _check_tag(api: HfApi, repo_id: str, tag: str, head: str, *, differs: bool) -> None:
    """Refuse a tag that is taken before anything is uploaded; a tag never moves."""
    taken = _tagged(api, repo_id, tag) if tag else ""
    if taken and (differs or taken != head):
        raise UserError(f"{repo_id}: tag {tag!r} already names commit {taken[:8]} - choose another tag")


# --- failures --------------------------------------------------------------------------------------


def _failure(error: Exception) -> Exception:
    """The HTTP failure behind an error, where there is one: the LFS client wraps it in a RuntimeError."""
    from huggingface_hub.errors import HTTPError

    cause = error.__cause__
    return cause if isinstance(error, RuntimeError) and isinstance(cause, HTTPError) else error


def _status(error: Exception) -> int | None:
    """The HTTP status of a failure; None where no answer came."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _passing(error: Exception) -> bool:
    """Whether another try may succeed: after a passing answer, or none at all."""
    from huggingface_hub.errors import HTTPError

    status = _status(error)
    return status in PASSING or (status is None and isinstance(error, HTTPError))


def _wait(error: Exception, attempt: int) -> float:
    """Seconds before the next try: what the server asks for, or twice as long as before the last one."""
    asked = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "")
    return min(float(asked) if asked.isdigit() else FIRST_WAIT * 2**attempt, LONGEST_WAIT)


@contextmanager
def _mapped_errors(endpoint: str, repo_id: str, token: str) -> Iterator[None]:
    """Turn the client's errors into ours, of one line each and without the token."""
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except (UserError, InfraError):
        raise
    # Xet's client raises RuntimeError and ConnectionError, the LFS client ValueError.
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        failure = _failure(error)
        ours = _ours(failure, endpoint, repo_id, _one_line(failure, token))
        # A traceback prints the cause too, which may hold a header.
        raise ours from (None if token in f"{error!r}{error}" else error)


def _ours(error: Exception, endpoint: str, repo_id: str, said: str) -> UserError | HubError:
    from huggingface_hub.errors import OfflineModeIsEnabled

    status = _status(error)
    if isinstance(error, OfflineModeIsEnabled):
        return UserError("the hub cannot be reached while HF_HUB_OFFLINE is set - unset it to push")
    if "xet-write-token" in str(error) and "404" in str(error):
        return UserError(f"the hub at {endpoint} has no Xet storage - set HF_HUB_DISABLE_XET=1")
    if status == 401:
        return UserError(
            f"{repo_id}: the hub at {endpoint} refused the token (401) - set HF_TOKEN to a valid one"
        )
    if status == 403:
        return UserError(
            f"{repo_id}: the token may not write there (403: {said}) - use one with write access"
        )
    if status is not None:
        later = "push again later" if status in PASSING else "mend that, then push again"
        return HubError(f"{repo_id}: the hub at {endpoint} answered {status}: {said} - {later}")
    if isinstance(error, ValueError):
        return HubError(f"{repo_id}: the hub at {endpoint} refused the dataset: {said}")
    return HubError(
        f"{repo_id}: the hub at {endpoint} cannot be reached: {said} - check the network and HF_ENDPOINT"
    )


def _one_line(error: Exception, token: str) -> str:
    """What the server said, else the error itself, on one short line."""
    said = getattr(error, "server_message", None) or str(error) or type(error).__name__
    line = " ".join(said.replace(token, "***").split())
    return line if len(line) <= 300 else line[:300] + "…"
