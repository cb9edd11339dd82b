"""What of a run must not be published: keys, credentials, and where files lie on the user's machine.

A recipe names keys by environment variable, so none should be in it; this is the second lock. Not
covered: secrets inside the problems and traces themselves, which are the user's to publish or not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

_SECRET_NAME = re.compile(r"(?i)(api_?key|secret|password|authorization|bearer|access_?token|^token|^key)$")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_KEY_IN_QUERY = re.compile(r"(?i)(?<=[?&])([\w-]*(?:key|token|secret|password)[\w-]*)=[^&\s]+")


def private(recipe: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What of a run must not be published, and what stands in its place.

    Absolute paths are cut to their last part, credentials in URLs and values under names such as
    `api_key` are masked, and so are the values of every environment variable that the recipe names.
    """
    found: dict[str, str] = {}
    for name, value in _strings(recipe, ""):
        if name.endswith("_env") and len(environment.get(value, "")) >= 6:
            found[environment[value]] = "***"
        elif _SECRET_NAME.search(name) and value:
            found[value] = "***"
        elif "://" in value:
            found[value] = _KEY_IN_QUERY.sub(r"\1=***", _CREDENTIALS.sub("", value))
        elif _absolute(value):
            found[value] = PureWindowsPath(value).name
    if len(token := environment.get("HF_TOKEN", "")) >= 6:
        found[token] = "***"
    found[f"{Path.cwd()}/"] = ""
    found[f"{Path.home()}/"] = "~/"
    return {text: public for text, public in found.items() if text not in (public, "/", "//")}


def _strings(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Every string in a tree with the key it stands under."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _strings(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, name)


def _absolute(text: str) -> bool:
    """A path from a root or a home with at least two parts; `/think` is none."""
    path = PurePosixPath(text)
    rooted = path.is_absolute() or text.startswith("~/") or PureWindowsPath(text).is_absolute()
    return rooted and "\n" not in text and len(PureWindowsPath(text).parts) > 2


def cleaned(value: Any, hidden: Mapping[str, str]) -> Any:
    """A tree with everything hidden replaced, in keys too, the longest first."""
    if isinstance(value, str):
        for text in sorted(hidden, key=len, reverse=True):
            value = value.replace(text, hidden[text])
        return value
    if isinstance(value, Mapping):
        return {cleaned(key, hidden): cleaned(inner, hidden) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(inner, hidden) for inner in value]
    return value
