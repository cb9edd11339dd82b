"""The container images in which model code runs, one for each language, built from `sandboxes/NAME`.

Three layers: Debian, the packages of `packages.txt`, and `sandboxes/harness`. Debian comes from a registry
where Docker can pull it, else from debootstrap, which needs root but no registry; the packages come by apt
in a build where that has a network, else by debootstrap, too. All are tagged with a digest of what they
were made from (`tracegen-python:1f0c…`), so they are only built again when it has changed, and two versions
of tracegen on one machine keep out of each other's way.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tracegen import languages, resources
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
BOOTSTRAPPED = f"tracegen-debian:{SUITE}"
"""Debian as debootstrap makes it, where no registry can be reached; the images share it."""
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
    source = folder(image_name(name))
    name = source.name
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
    """The folder that an image is made from, or the `harness`; raises RecipeError where there is none."""
    found = resources.path("sandboxes") / name
    if name not in (*names(), "harness"):
        raise RecipeError(f"no sandbox is called {name!r} - expected one of {', '.join(names())}")
    return found


def names() -> list[str]:
    """The images, Python's first."""
    found = sorted(path.parent.name for path in resources.path("sandboxes").glob("*/packages.txt"))
    return sorted(found, key=lambda name: name != "python")


def folders(wanted: Iterable[str]) -> list[str]:
    """The folders of these images or languages, each once; raises RecipeError at the first unknown one."""
    return list(dict.fromkeys(folder(image_name(name)).name for name in wanted))


def image_name(name: str) -> str:
    """The image that a language's programs run in, which another language may share."""
    return languages.load(name).image if name in languages.known() else name


def tag_of(name: str) -> str:
    """The tag of the image that this tracegen builds from `sandboxes/NAME`; NAME may be a language."""
    name = image_name(name)
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
            f"sandbox image {tag!r} is of another version - run `{command(tag)}`",
            cause="image_missing",
        )


def require(limits: CodeLimits, wanted: Iterable[str]) -> None:
    """Raise SandboxError naming every language whose image is not there, and the one command for them."""
    absent = lacking(limits, wanted)
    if len(absent) > 1:
        titles = " and ".join(languages.load(name).title for name in absent)
        folders = " ".join(dict.fromkeys(map(image_name, absent)))
        raise SandboxError(
            f"the sandbox images of {titles} are not here - run `tracegen sandbox build {folders}`",
            cause="image_missing",
        )
    if absent:
        raise missing(of(limits, absent[0]))


def lacking(limits: CodeLimits, wanted: Iterable[str]) -> list[str]:
    """Those of the languages whose image is not there; raises SandboxError where no engine answers."""
    client = engine.connect()
    try:
        return [name for name in wanted if not has_image(client, of(limits, name))]
    finally:
        client.close()


def missing(tag: str) -> SandboxError:
    """What to say where the image is not there."""
    return SandboxError(f"sandbox image {tag!r} is not here - run `{command(tag)}`", cause="image_missing")


def command(tag: str) -> str:
    """What builds an image."""
    name = tag.partition(":")[0].removeprefix("tracegen-")
    return (
        f"tracegen sandbox build {name}" if name in names() and name != "python" else "tracegen sandbox build"
    )


def of(limits: CodeLimits, name: str) -> str:
    """The tag of the image that runs programs of language `name`: the recipe's, else our own."""
    return limits.images.get(name) or tag_of(name)


def fingerprint(limits: CodeLimits, language: str) -> str:
    """What the verdicts on a language's programs depend on: its image and, but for Python, its description.

    Raises SandboxError: image_missing where it is not there, docker_unavailable where no engine answers.
    """
    made_of = image_digest(of(limits, language))
    if languages.load(language).run is None:
        return made_of
    return f"{made_of} {digest('language', languages.load(language))}"


def content(source: Path) -> str:
    """Digest of the files that make the image, by name and content."""
    return digest("sandbox", [(name, (source / name).read_text()) for name in files(source)], SUITE)


def files(source: Path) -> list[str]:
    """Relative names of the files that make the image, without a description and what tools leave behind."""
    found = (path.relative_to(source) for path in source.rglob("*") if path.is_file())
    return sorted(
        str(name)
        for name in found
        if name.name != languages.DESCRIPTION
        and not any(part.startswith((".", "__pycache__")) for part in name.parts)
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
    """Debian with the packages, by whichever of the ways works here."""
    debian, why = find_debian(client, say)
    if debian:
        try:
            say(f"{base}: installing {' '.join(wanted(source))}")
            compose(client, source, "Dockerfile.base", base, {LABEL: packages}, {"DEBIAN": debian})
        except SandboxError as error:
            why = str(error)
        else:
            return
    if not can_bootstrap():
        raise SandboxError(
            f"cannot build the sandbox's base: {why}; and debootstrap "
            + ("needs root" if shutil.which("debootstrap") else "is not installed")
            + " - let Docker reach a registry, or run `apt-get install debootstrap` and this command as root",
            cause="image_missing",
        )
    bootstrap(client, wanted(source), base, {LABEL: packages}, say, needless(source))


def wanted(source: Path) -> list[str]:
    """Debian packages of an image."""
    return (source / "packages.txt").read_text().split()


def find_debian(client: Any, say: Say) -> tuple[str, str]:
    """The tag of a plain Debian to install on; else empty, and why there is none."""
    pulled = ":".join(PULLED)
    try:
        if has_image(client, pulled):
            return pulled, ""
        if can_bootstrap() and has_image(client, BOOTSTRAPPED):
            return BOOTSTRAPPED, ""
        say(f"pulling {pulled}")
        pull()
    except SandboxError as error:
        if not can_bootstrap():
            return "", str(error)
        bootstrap(client, [], BOOTSTRAPPED, {LABEL: SUITE}, say)
        return BOOTSTRAPPED, ""
    return pulled, ""


def has_image(client: Any, tag: str) -> bool:
    """The engine has an image of that tag; raises SandboxError where none answers."""
    import docker.errors

    try:
        client.inspect_image(tag)
    except docker.errors.ImageNotFound:
        return False
    except engine.failures() as error:
        raise engine.unavailable(error) from error
    return True


def pull() -> None:
    """Fetches Debian's image; raises SandboxError."""
    repository, tag = PULLED
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


def can_bootstrap() -> bool:
    """Debian can be made without a registry."""
    return os.geteuid() == 0 and shutil.which("debootstrap") is not None


def bootstrap(
    client: Any,
    include: list[str],
    tag: str,
    labels: dict[str, str],
    say: Say,
    patterns: tuple[str, ...] = (),
) -> None:
    """Debian and packages from its mirror, without a registry; about a minute. Raises SandboxError.

    What matches `patterns` is left out of the image.
    """
    root = Path(tempfile.mkdtemp(prefix="tracegen-", dir="/var/tmp" if Path("/var/tmp").is_dir() else None))  # noqa: S108 - a fresh private directory under it
    try:
        say(f"{tag}: debootstrap {SUITE} (about a minute)")
        command = [
            "debootstrap",
            "--variant=minbase",
            *([f"--include={','.join(include)}"] if include else []),
        ]
        command += [SUITE, str(root / "debian")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - no shell, no foreign words
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()[-3:]
            raise SandboxError(f"debootstrap failed: {' / '.join(said)}", cause="image_missing")
        for pattern in (*NEEDLESS, *patterns):
            remove(root / "debian", pattern)
        say(f"{tag}: importing")
        packed = root / "debian.tar"
        with tarfile.open(packed, mode="w") as tar:
            tar.add(root / "debian", arcname=".")
        changes = [f"LABEL {name}={value}" for name, value in labels.items()]
        client.import_image(str(packed), repository=tag, changes=changes)
    except engine.failures() as error:
        raise SandboxError(
            f"{tag} could not be imported: {engine.first_line(error)}", cause="image_missing"
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
    network = build_network(client) if dockerfile == "Dockerfile.base" else "none"
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


def build_network(client: Any) -> str | None:
    """The network of a build that installs packages: Docker's own, or the host's where it has none."""
    try:
        bridged = any(network.get("Driver") == "bridge" for network in client.networks())
    except engine.failures() as error:
        raise engine.unavailable(error) from error
    return None if bridged else "host"


def context(source: Path) -> io.BytesIO:
    """The folder, with the harness in it, as a tar without caches; a Dockerfile of its own comes first."""
    packed = io.BytesIO()
    harness, own = folder("harness"), files(source)
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in own:
            tar.add(source / name, arcname=name)
        for name in files(harness):
            if name.startswith("Dockerfile"):
                if name not in own:
                    tar.add(harness / name, arcname=name)
            else:
                tar.add(harness / name, arcname=f"harness/{name}")
    packed.seek(0)
    return packed
