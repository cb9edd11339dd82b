"""The container image in which model code runs, built from `sandboxes/NAME`.

Two layers: a base with Debian's packages (`packages.txt`), and `sandboxes/harness` on it. The base comes
from a registry where Docker can pull and install, else from debootstrap, which needs root but no registry.
Both are tagged with a digest of what they were made from (`tracegen-python:1f0c…`), so they are only built
again when it has changed, and two versions of tracegen on one machine keep out of each other's way.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tracegen import resources
from tracegen.data import digest
from tracegen.errors import RecipeError, SandboxError
from tracegen.recipe import CodeLimits
from tracegen.sandbox import engine

LABEL = "tracegen.digest"
HARNESS = "tracegen.harness"
"""Digest of the harness alone, which has to be the one that this tracegen speaks with."""
TAG_LENGTH = 12
PULLED = ("debian", "bookworm-slim")
SUITE = "bookworm"
PULL_SECONDS = 120
BUILD_SECONDS = 1800
NEEDLESS = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt")
"""What a sandbox does not read."""

Say = Callable[[str], object]


def build(name: str = "python", tag: str = "", say: Say = print, *, force: bool = False) -> str:
    """Build the image of `sandboxes/NAME`; returns its tag, which is `tag_of(name)` unless given.

    Nothing is done where an image of the same digest is there, unless `force` says so. Raises SandboxError
    with what to install where neither a registry nor debootstrap can be used.
    """
    source = folder(name)
    tag = tag or tag_of(name)
    labels = {LABEL: content(source), HARNESS: content(folder("harness"))}
    client = engine.connect(timeout=BUILD_SECONDS)
    try:
        if not force and all(label(client, tag, name) == wanted for name, wanted in labels.items()):
            say(f"{tag}: up to date")
            return tag
        packages = digest("packages", (source / "packages.txt").read_text(), needless(source), SUITE)
        base = f"tracegen-{name}-base:{packages[:TAG_LENGTH]}"
        if force or label(client, base) != packages:
            make_base(client, source, base, packages, say)
        say(f"{tag}: adding the harness")
        compose(client, source, "Dockerfile", tag, labels, {"BASE": base})
        say(f"{tag}: built")
        return tag
    finally:
        client.close()


def folder(name: str) -> Path:
    """The folder of a sandbox's description, or of the `harness`; raises RecipeError where there is none."""
    found = resources.path("sandboxes") / name
    if not found.is_dir():
        known = sorted(path.name for path in found.parent.iterdir() if (path / "packages.txt").is_file())
        raise RecipeError(f"no sandbox is called {name!r} - expected one of {', '.join(known)}")
    return found


def tag_of(name: str) -> str:
    """The tag of the image that this tracegen builds from `sandboxes/NAME`."""
    made_of = digest("image", content(folder(name)), content(folder("harness")))
    return f"tracegen-{name}:{made_of[:TAG_LENGTH]}"


def image_digest(tag: str) -> str:
    """Digest of what the image `tag` was built from: the same on every machine.

    Raises SandboxError: image_missing where it is not there, docker_unavailable where no engine answers.
    """
    client = engine.connect()
    try:
        found = label(client, tag)
    finally:
        client.close()
    if found is None:
        raise missing(tag)
    return found


def check(client: Any, tag: str) -> None:
    """Raise SandboxError where the image is not there, or its harness is not ours."""
    ours = content(folder("harness"))
    found = label(client, tag, HARNESS)
    if found is None:
        raise missing(tag)
    if found != ours:
        raise SandboxError(
            f"sandbox image {tag!r} is of another version - run `tracegen sandbox build`",
            cause="image_missing",
        )


def missing(tag: str) -> SandboxError:
    """What to say where the image is not there."""
    return SandboxError(
        f"sandbox image {tag!r} is not here - run `tracegen sandbox build`", cause="image_missing"
    )


def of(limits: CodeLimits, name: str) -> str:
    """The tag of the image that runs programs of language `name`: the recipe's, else our own."""
    return limits.images.get(name) or tag_of(name)


def content(source: Path) -> str:
    """Digest of the files that make the image, by name and content."""
    return digest("sandbox", [(name, (source / name).read_text()) for name in files(source)], SUITE)


def files(source: Path) -> list[str]:
    """Relative names of the files that make the image, without what tools leave beside them."""
    names = (path.relative_to(source) for path in source.rglob("*") if path.is_file())
    return sorted(
        str(name) for name in names if not any(part.startswith((".", "__pycache__")) for part in name.parts)
    )


def label(client: Any, tag: str, name: str = LABEL) -> str | None:
    """A label of an image; None where there is no such image or it has none."""
    import docker.errors

    try:
        found = client.inspect_image(tag)
    except docker.errors.ImageNotFound:
        return None
    except engine.failures() as error:
        raise engine.unavailable(error) from error
    return (found.get("Config", {}).get("Labels") or {}).get(name)


# --- the base --------------------------------------------------------------------------------------


def make_base(client: Any, source: Path, base: str, packages: str, say: Say) -> None:
    """The base image, by whichever of the two ways works here."""
    reasons = []
    try:
        say(f"{base}: pulling {':'.join(PULLED)}")
        pull(client)
        say(f"{base}: installing packages")
        compose(client, source, "Dockerfile.base", base, {LABEL: packages}, {})
    except SandboxError as error:
        reasons.append(str(error))
    else:
        return
    if os.geteuid() == 0 and shutil.which("debootstrap"):
        bootstrap(client, source, base, packages, say)
        return
    raise SandboxError(
        f"cannot build the sandbox's base: {reasons[0]}; and debootstrap "
        + ("needs root" if shutil.which("debootstrap") else "is not installed")
        + " - let Docker reach a registry, or run `apt-get install debootstrap` and this command as root",
        cause="image_missing",
    )


def pull(client: Any) -> None:
    """Fetches Debian's image, unless it is there; raises SandboxError."""
    import docker.errors

    repository, tag = PULLED
    try:
        client.inspect_image(f"{repository}:{tag}")
        return
    except docker.errors.ImageNotFound:
        pass
    puller = engine.connect(timeout=PULL_SECONDS)
    try:
        for step in puller.pull(repository, tag, stream=True, decode=True):
            if "error" in step:
                raise SandboxError(f"{repository}:{tag}: {step['error']}", cause="image_missing")
    except engine.failures() as error:
        raise SandboxError(
            f"{repository}:{tag} cannot be pulled ({engine.first_line(error)})", cause="image_missing"
        ) from error
    finally:
        puller.close()


def bootstrap(client: Any, source: Path, base: str, packages: str, say: Say) -> None:
    """Debian from its package mirror, without a registry; about a minute."""
    names = ",".join((source / "packages.txt").read_text().split())
    root = Path(tempfile.mkdtemp(prefix="tracegen-", dir="/var/tmp" if Path("/var/tmp").is_dir() else None))  # noqa: S108 - a fresh private directory under it
    try:
        say(f"{base}: debootstrap {SUITE} (about a minute)")
        command = ["debootstrap", "--variant=minbase", f"--include={names}", SUITE, str(root / "debian")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - no shell, no foreign words
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()[-3:]
            raise SandboxError(f"debootstrap failed: {' / '.join(said)}", cause="image_missing")
        for pattern in (*NEEDLESS, *needless(source)):
            remove(root / "debian", pattern)
        say(f"{base}: importing")
        packed = root / "debian.tar"
        with tarfile.open(packed, mode="w") as tar:
            tar.add(root / "debian", arcname=".")
        client.import_image(str(packed), repository=base, changes=[f"LABEL {LABEL}={packages}"])
    except engine.failures() as error:
        raise SandboxError(
            f"the base could not be imported: {engine.first_line(error)}", cause="image_missing"
        ) from error
    finally:
        shutil.rmtree(root, ignore_errors=True)


def needless(source: Path) -> tuple[str, ...]:
    """Patterns of `needless.txt`: what the packages bring and no program of this sandbox uses."""
    listed = source / "needless.txt"
    return tuple(listed.read_text().split()) if listed.is_file() else ()


def remove(root: Path, pattern: str) -> None:
    """Delete what matches under `root`; links are unlinked, never followed."""
    for found in sorted(root.glob(pattern)):
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found, ignore_errors=True)
        else:
            found.unlink(missing_ok=True)


# --- docker build ----------------------------------------------------------------------------------


def compose(
    client: Any, source: Path, dockerfile: str, tag: str, labels: dict[str, str], args: dict[str, str]
) -> None:
    """`docker build` of one Dockerfile; raises SandboxError with the step that failed."""
    network = None if dockerfile == "Dockerfile.base" else "none"
    try:
        steps: Iterator[dict[str, Any]] = client.build(
            fileobj=context(source), custom_context=True, dockerfile=dockerfile, tag=tag, labels=labels,
            buildargs=args, rm=True, forcerm=True, decode=True, network_mode=network,
        )  # fmt: skip
        for step in steps:
            if "error" in step:
                raise SandboxError(f"{tag}: {str(step['error']).strip()}", cause="image_missing")
    except engine.failures() as error:
        raise SandboxError(f"{tag}: {engine.first_line(error)}", cause="image_missing") from error


def context(source: Path) -> io.BytesIO:
    """The folder, with the harness in it, as a tar without caches."""
    packed = io.BytesIO()
    harness = folder("harness")
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in files(source):
            tar.add(source / name, arcname=name)
        for name in files(harness):
            tar.add(harness / name, arcname=f"harness/{name}")
    packed.seek(0)
    return packed
