"""A Hugging Face Hub for tests: in memory, standard library only, for the unmodified clients.

It speaks what `huggingface_hub` and `datasets` ask of a dataset repository: create_repo, validate-yaml,
preupload, LFS batch, upload and verify, commit, tree, revision, refs, tags, and resolve by HEAD, GET and
Range. With `xet` (a folder) it also hands out tokens for Xet storage in that folder, which `hf_xet` then
fills and reads by itself. Private repositories answer 401 without the right token, and `fail` makes the
next matching requests fail. Not covered: everything else, among it users, organisations and rate limits.

    with HubDouble() as hub:
        ...  # HF_ENDPOINT=hub.url HF_TOKEN=hub.token, and HF_HUB_DISABLE_XET=1 without `xet`
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_testDoubleTokenWithWriteAccess0001"


@dataclass(frozen=True)
class Blob:
    """A file: its bytes are inline, in the LFS store or in Xet storage."""

    size: int
    oid: str
    content: bytes | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    files: dict[str, Blob]


@dataclass
class Repo:
    private: bool
    commits: list[Commit]
    tags: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> Commit | None:
        """The commit that a branch, tag or oid names."""
        if revision == "main":
            return self.commits[-1]
        oid = self.tags.get(revision, revision)
        return next((commit for commit in self.commits if commit.oid == oid), None)


@dataclass(frozen=True)
class Asked:
    """A request as the log keeps it."""

    method: str
    path: str
    status: int


@dataclass
class Fault:
    method: str
    path: re.Pattern[str]
    status: int
    times: int
    headers: dict[str, str]
    effect: Callable[[], object] | None
    after: bool


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class HubDouble:
    """The hub, listening on a free port of this machine."""

    def __init__(self, *, token: str = TOKEN, xet: Path | None = None) -> None:
        self.token, self.xet = token, xet
        self.repos: dict[str, Repo] = {}
        self.stored: dict[str, bytes] = {}
        self.log: list[Asked] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> HubDouble:
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    def environment(self) -> dict[str, str]:
        """What a client process needs in its environment to talk to this hub and no other."""
        without_xet = {} if self.xet else {"HF_HUB_DISABLE_XET": "1"}
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": self.token, **without_xet}

    def fail(
        self,
        method: str,
        path: str,
        status: int,
        *,
        times: int = 1,
        headers: dict[str, str] | None = None,
        effect: Callable[[], object] | None = None,
        after: bool = False,
    ) -> None:
        """Answer the next `times` requests that match (a regular expression in `path`) with `status`.

        `effect` runs first. `after` carries the request out and only then fails: a lost answer.
        """
        self.faults.append(Fault(method, re.compile(path), status, times, headers or {}, effect, after))

    def asked(self, method: str, path: str) -> list[Asked]:
        """The logged requests that match."""
        with self.lock:
            return [line for line in self.log if line.method == method and re.search(path, line.path)]

    def commit(self, repo_id: str, title: str, changes: dict[str, bytes | None]) -> str:
        """Commit as somebody else would; None deletes a file. Returns the commit's oid."""
        with self.lock:
            repo = self.repos[repo_id]
            files = dict(repo.commits[-1].files)
            for path, content in changes.items():
                if content is None:
                    files.pop(path, None)
                else:
                    files[path] = _inline(content)
            return _append(repo, title, files).oid

    # --- requests --------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """The answer to a request, faults included."""
        with self.lock:
            fault = self._fault(request)
            if fault is None:
                return self._route(request)
            if fault.effect:
                fault.effect()
            if fault.after:
                self._route(request)
            return _error(fault.status, "", f"injected {fault.status}", fault.headers)

    def _fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method == request.method and fault.path.search(request.path):
                fault.times -= 1
                return fault
        return None

    def _route(self, request: Request) -> Answer:
        if request.token is not None and request.token != self.token:
            return _error(401, "", "Invalid credentials in Authorization header")
        for pattern, handle in _ROUTES:
            if found := re.fullmatch(pattern, request.path):
                return handle(self, request, *(unquote(group or "") for group in found.groups()))
        return _error(404, "", f"the double has no route {request.method} {request.path}")

    def create(self, request: Request) -> Answer:
        """POST /api/repos/create"""
        if request.token is None:
            return _error(401, "", "Invalid username or password.")
        wanted = request.json()
        repo_id = f"{wanted.get('organization') or 'tester'}/{wanted['name']}"
        if repo_id.startswith("forbidden/"):
            return _error(403, "", "You don't have the rights to create a dataset under the namespace")
        url = f"{self.url}/datasets/{repo_id}"
        if repo_id in self.repos:
            return _json({"error": "You already created this dataset repo", "url": url}, 409)
        attributes = {".gitattributes": _inline(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")}
        first = Commit(_oid(repo_id), "initial commit", attributes)
        self.repos[repo_id] = Repo(private=wanted.get("visibility") == "private", commits=[first])
        return _json({"url": url, "id": repo_id})

    def validate(self, request: Request) -> Answer:
        """POST /api/validate-yaml"""
        found = re.match(r"---\n(.*?)\n---\n", request.json()["content"], re.DOTALL)
        errors = [] if found else [{"message": "the card has no front matter"}]
        return _json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def lfs_batch(self, request: Request, repo_id: str) -> Answer:
        """POST /datasets/R.git/info/lfs/objects/batch"""
        objects = []
        for wanted in request.json()["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
            if wanted["oid"] not in self.stored:
                upload = {"href": f"{self.url}/lfs/{wanted['oid']}", "header": {}}
                entry["actions"] = {
                    "upload": upload,
                    "verify": {"href": f"{self.url}/lfs-verify", "header": {}},
                }
            objects.append(entry)
        return _json({"transfer": "basic", "objects": objects})

    def lfs_put(self, request: Request, sha256: str) -> Answer:
        """PUT /lfs/SHA256"""
        if hashlib.sha256(request.body).hexdigest() != sha256:
            return _error(400, "", "the content is not what its name says")
        self.stored[sha256] = request.body
        return _json({})

    def lfs_verify(self, request: Request) -> Answer:
        """POST /lfs-verify"""
        return _json({}, 200 if request.json()["oid"] in self.stored else 404)

    def dataset(self, request: Request, repo_id: str, operation: str, revision: str, rest: str) -> Answer:
        """/api/datasets/R[/operation[/revision[/rest]]]"""
        repo = self.repos.get(repo_id)
        if repo is None:
            return _error(404, "RepoNotFound", "Repository not found")
        if repo.private and request.token is None:
            return _error(401, "RepoNotFound", "Invalid username or password.")
        if operation.startswith("xet-"):
            return self._xet_token()
        if operation == "refs":
            tags = [
                {"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid}
                for name, oid in repo.tags.items()
            ]
            main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.commits[-1].oid}
            return _json({"branches": [main], "tags": tags, "converts": []})
        commit = repo.at(revision or "main")
        if commit is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        match operation:
            case "" | "revision":
                return _json(_described(repo_id, repo, commit))
            case "preupload":
                return _json({"files": [_upload_mode(file, commit) for file in request.json()["files"]]})
            case "commit":
                return self._commit(request, repo_id, repo, commit)
            case "tree":
                return _tree(
                    commit, rest, recursive=request.query.get("recursive", "").lower() in ("true", "1")
                )
            case "paths-info":
                wanted = request.form("paths")
                return _json([_entry(path, commit.files[path]) for path in wanted if path in commit.files])
            case "tag":
                name = request.json()["tag"]
                if name in repo.tags:
                    return _error(409, "", "Tag reference exists already")
                repo.tags[name] = commit.oid
                return _json({})
            case _:
                return _error(404, "", f"the double has no operation {operation}")

    def _commit(self, request: Request, repo_id: str, repo: Repo, parent: Commit) -> Answer:
        """POST /api/datasets/R/commit/main: lines of JSON, all or nothing."""
        files, title = dict(parent.files), ""
        for line in request.body.splitlines():
            step = json.loads(line)
            value = step["value"]
            match step["key"]:
                case "header":
                    title = value["summary"]
                    if value.get("parentCommit", parent.oid) != parent.oid:
                        return _error(412, "", "A commit has happened since. Please refresh and try again.")
                case "file":
                    files[value["path"]] = _inline(base64.b64decode(value["content"]))
                case "lfsFile":
                    if value["oid"] not in self.stored and not self._fetch_xet(value["oid"], value["size"]):
                        return _error(400, "", f"the lfs object {value['oid']} is missing")
                    files[value["path"]] = Blob(value["size"], _oid(value["oid"]), sha256=value["oid"])
                case "deletedFile":
                    files.pop(value["path"])
        commit = _append(repo, title, files)
        url = f"{self.url}/datasets/{repo_id}/commit/{commit.oid}"
        return _json({"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""})

    def resolve(self, request: Request, repo_id: str, revision: str, path: str) -> Answer:
        """HEAD and GET /datasets/R/resolve/REVISION/PATH, whole or a range."""
        repo = self.repos.get(repo_id)
        if repo is None or (repo.private and request.token is None):
            return _error(404 if repo is None else 401, "RepoNotFound", "Repository not found")
        commit = repo.at(revision)
        if commit is None:
            return _error(404, "RevisionNotFound", "Invalid rev id")
        if path not in commit.files:
            return _error(404, "EntryNotFound", "Entry not found")
        blob = commit.files[path]
        headers = {
            "X-Repo-Commit": commit.oid,
            "ETag": f'"{blob.sha256 or blob.oid}"',
            "Accept-Ranges": "bytes",
        }
        if blob.sha256:
            headers |= {"X-Linked-Size": str(blob.size), "X-Linked-Etag": f'"{blob.sha256}"'}
        if blob.sha256 and self.xet and (xet_hash := xet_hashes(self.xet).get(blob.sha256)):
            link = f"{self.url}/api/datasets/{repo_id}/xet-read-token/{commit.oid}"
            headers |= {"X-Xet-Hash": xet_hash, "Link": f'<{link}>; rel="xet-auth"'}
        content = self.stored[blob.sha256] if blob.content is None else blob.content
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", request.range):
            first, last = int(asked[1]), min(int(asked[2] or blob.size), blob.size - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
            return Answer(206, content[first : last + 1], headers)
        return Answer(200, content, headers)

    # --- Xet -------------------------------------------------------------------------------------------

    def _xet_token(self) -> Answer:
        if self.xet is None:
            return _error(404, "", "this hub has no Xet storage")
        storage, expires = f"local://{self.xet}", int(time.time()) + 3600
        headers = {
            "X-Xet-Cas-Url": storage,
            "X-Xet-Access-Token": "token",
            "X-Xet-Token-Expiration": str(expires),
        }
        return Answer(
            200, json.dumps({"casUrl": storage, "accessToken": "token", "exp": expires}).encode(), headers
        )

    def _fetch_xet(self, sha256: str, size: int) -> bool:
        """Copy a file out of Xet storage, so that plain HTTP serves it too, and check that it is whole."""
        if self.xet is None or sha256 not in (hashes := xet_hashes(self.xet)):
            return False
        import hf_xet  # type: ignore[import-untyped]  # ships no types

        target = self.xet / f"{sha256}.bridge"
        session = hf_xet.XetSession().new_file_download_group(
            token="token", token_expiry_unix_secs=int(time.time()) + 3600, endpoint=f"local://{self.xet}"
        )
        with session as group:
            group.start_download_file(hf_xet.XetFileInfo(hashes[sha256], size), str(target))
        content = target.read_bytes()
        target.unlink()
        self.stored[sha256] = content
        return hashlib.sha256(content).hexdigest() == sha256


_REPO = r"([\w.-]+/[\w.-]+?)"
_ROUTES: list[tuple[str, Callable[..., Answer]]] = [
    (r"/api/repos/create", HubDouble.create),
    (r"/api/validate-yaml", HubDouble.validate),
    (rf"/datasets/{_REPO}\.git/info/lfs/objects/batch", HubDouble.lfs_batch),
    (r"/lfs/([0-9a-f]{64})", HubDouble.lfs_put),
    (r"/lfs-verify", HubDouble.lfs_verify),
    (rf"/api/datasets/{_REPO}(?:/([a-z-]+)(?:/([^/]+)(?:/(.*))?)?)?", HubDouble.dataset),
    (rf"/datasets/{_REPO}/resolve/([^/]+)/(.+)", HubDouble.resolve),
]


# --- what the hub says of things -------------------------------------------------------------------


def _oid(*parts: object) -> str:
    return hashlib.sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


def _inline(content: bytes) -> Blob:
    named = b"blob %d\0" % len(content) + content
    return Blob(len(content), hashlib.sha1(named, usedforsecurity=False).hexdigest(), content)


def _append(repo: Repo, title: str, files: dict[str, Blob]) -> Commit:
    commit = Commit(_oid(repo.commits[-1].oid, len(repo.commits)), title, files)
    repo.commits.append(commit)
    return commit


def _described(repo_id: str, repo: Repo, commit: Commit) -> dict[str, Any]:
    return {
        "_id": "0" * 24,
        "id": repo_id,
        "sha": commit.oid,
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "lastModified": "2026-01-01T00:00:00.000Z",
        "siblings": [{"rfilename": path, "size": blob.size} for path, blob in commit.files.items()],
    }


def _upload_mode(file: dict[str, Any], commit: Commit) -> dict[str, Any]:
    large = file["path"].endswith(".parquet") or file["size"] > 10 * 2**20
    blob = commit.files.get(file["path"])
    oid = (blob.sha256 or blob.oid) if blob else None
    return {
        "path": file["path"],
        "uploadMode": "lfs" if large else "regular",
        "shouldIgnore": False,
        "oid": oid,
    }


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": blob.size, "oid": blob.oid}
    if blob.sha256:
        entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 134}
    return entry


def _tree(commit: Commit, folder: str, *, recursive: bool) -> Answer:
    """The files and folders under a folder, or only those directly in it."""
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, blob in commit.files.items():
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            parent = prefix + "/".join(parts[:depth])
            entries[parent] = {"type": "directory", "path": parent, "size": 0, "oid": _oid(parent)}
        if recursive or len(parts) == 1:
            entries[path] = _entry(path, blob)
    if prefix and not entries:
        return _error(404, "EntryNotFound", f"{folder} does not exist")
    return _json(list(entries.values()))


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    named = {"X-Error-Code": code} if code else {}
    told = {"Content-Type": "application/json", "X-Error-Message": message, **named, **(headers or {})}
    return Answer(status, json.dumps({"error": message}).encode(), told)


def xet_hashes(storage: Path) -> dict[str, str]:
    """SHA-256 to Xet hash of every file, from the shards that `hf_xet` writes into a `local://` storage.

    A shard is a header of 48 bytes and then, for each file, entries of 48 bytes: the file's hash, flags and
    number of segments; the segments; as many again if bit 31 is set; and the SHA-256 if bit 30 is.
    """
    return {
        sha256: xet for shard in storage.rglob("*.mdb") for sha256, xet in _shard_files(shard.read_bytes())
    }


def _shard_files(shard: bytes) -> Iterator[tuple[str, str]]:
    place = 48
    while place + 48 <= len(shard) and (name := shard[place : place + 32]) != b"\xff" * 32:
        flags, segments = struct.unpack("<II", shard[place + 32 : place + 40])
        place += 48 * (1 + segments * (2 if flags & 1 << 31 else 1))
        if flags & 1 << 30:
            yield _words(shard[place : place + 32]), _words(name)
            place += 48


def _words(hash_: bytes) -> str:
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", hash_))


# --- HTTP ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: bytes
    token: str | None
    range: str

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def form(self, name: str) -> list[str]:
        """Values of a field, from a form or from JSON."""
        if self.body.startswith(b"{"):
            return list(self.json().get(name, []))
        return parse_qs(self.body.decode()).get(name, [])


class _Handler(BaseHTTPRequestHandler):
    hub: HubDouble
    protocol_version = "HTTP/1.1"

    def handle_request(self) -> None:
        url = urlsplit(self.path)
        bearer = self.headers.get("Authorization", "")
        request = Request(
            method=self.command,
            path=url.path,
            query={name: values[0] for name, values in parse_qs(url.query).items()},
            body=self.read_body(),
            token=bearer.removeprefix("Bearer ") if bearer else None,
            range=self.headers.get("Range", ""),
        )
        answer = self.hub.answer(request)
        with self.hub.lock:
            self.hub.log.append(Asked(self.command, self.path, answer.status))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request
