"""The folder of public problems and traces that some benchmarks read and the project does not ship."""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOLDER = Path(os.environ.get("TRACEGEN_SHARED", Path(__file__).parents[2] / "shared")) / "data"


def path(*parts: str) -> Path:
    """A file or folder in it; ends the program in one line, with code 2, where it is not there."""
    found = FOLDER.joinpath(*parts)
    if not found.exists():
        print(f"no {found}: set TRACEGEN_SHARED to the folder above data/", file=sys.stderr)
        raise SystemExit(2)
    return found
