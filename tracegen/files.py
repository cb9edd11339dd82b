"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path


def replace(path: Path, body: bytes) -> None:
    """Put `body` in the place of `path` in one step: a reader sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(body)
    partial.replace(path)
