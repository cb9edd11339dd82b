"""Python's own parser, for several threads."""

from __future__ import annotations

import ast
import threading

PARSING = threading.Lock()


def tree_of(source: str) -> ast.Module:
    """The tree, made by one thread at a time; raises what `ast.parse` does.

    CPython counts the depth of all trees that are being made in one place, and raises SystemError where a
    collection of garbage lets another thread in between.
    """
    with PARSING:
        return ast.parse(source)
