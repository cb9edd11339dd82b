"""Names that programs and tests are used to finding without an import."""

from __future__ import annotations

import importlib
from typing import Any

LEETCODE = """
from typing import *
from math import *
from collections import *
from itertools import *
from functools import *
from heapq import *
from bisect import *
from operator import *
from string import *
import bisect, collections, copy, datetime, decimal, fractions, functools, heapq, itertools
import math, operator, random, re, statistics, string, sys, typing
from math import gcd, inf
from functools import reduce
pow = __builtins__["pow"] if isinstance(__builtins__, dict) else __builtins__.pow
try:
    from sortedcontainers import SortedDict, SortedList, SortedSet
except ImportError:
    pass
"""
"""Run before a candidate for `Solution().name`: such solutions come without their imports."""

MODULES = {"np": "numpy", "pd": "pandas", "nx": "networkx", "sp": "scipy", "plt": "matplotlib.pyplot"}
FUNCTIONS = (
    "math",
    "collections",
    "itertools",
    "functools",
    "operator",
    "copy",
    "random",
    "re",
    "statistics",
)
STANDARD = (
    *FUNCTIONS, "array", "base64", "bisect", "calendar", "cmath", "datetime", "decimal", "fractions",
    "hashlib", "heapq", "json", "string", "struct", "sys", "textwrap", "time", "typing",
    "unicodedata", "numpy",
)  # fmt: skip


def known_module(name: str) -> Any:
    """The library module that tests mean by a bare name, or None."""
    name = MODULES.get(name, name)
    if name not in STANDARD and name not in MODULES.values():
        return None
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def known_function(name: str) -> Any:
    """A library function or class by its bare name, such as `isclose` or `Counter`, or None."""
    if name.startswith("_"):
        return None
    for module in (
        "math",
        "collections",
        "itertools",
        "functools",
        "copy",
        "typing",
        "datetime",
        "decimal",
        "fractions",
    ):
        found = importlib.import_module(module)
        if hasattr(found, name):
            return getattr(found, name)
    return None
