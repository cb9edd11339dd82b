"""Tests that published suites keep in forms of their own, as source or as plain JSON.

HumanEval+ has inputs and a reference solution instead of expected values; CRUXEval has one call as text;
LiveCodeBench packs its hidden cases. Nothing here is run: what a dataset wrote runs in the sandbox, and what
it pickled is read opcode by opcode.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from typing import Any

UNPACKED = 256 << 20
"""Bytes that a packed cell may unpack to."""

PLUS = """

import copy
import json

_base = globals().get("check")
_space = {{"__name__": "reference"}}
exec({source!r}, _space)
_reference = _space[{entry!r}]
_inputs = json.loads({inputs!r})
_tolerance = {tolerance!r}


def _floats(x):
    return type(x) is float or (type(x) in (list, tuple) and len(x) > 0 and all(type(i) is float for i in x))


def _near(got, wanted, tolerance):
    if type(wanted) in (list, tuple):
        return len(got) == len(wanted) and all(_near(g, w, tolerance) for g, w in zip(got, wanted))
    if got == wanted or got != got and wanted != wanted:
        return True
    return abs(got - wanted) <= tolerance + 1e-7 * abs(wanted)


def check(candidate):
    if _base is not None:
        _base(candidate)
    for given in _inputs:
        wanted = _reference(*copy.deepcopy(given))
        got = candidate(*copy.deepcopy(given))
        if {entry!r} == "find_zero":
            assert abs(_space["poly"](*given, got)) <= _tolerance, given
            continue
        tolerance = _tolerance or (1e-6 if _floats(wanted) else 0)
        if got == wanted:
            continue
        assert tolerance and type(got) is type(wanted) and _near(got, wanted, tolerance), (given, got, wanted)
"""


def plus_check(test: str, reference: str, entry: str, inputs: list[Any], tolerance: float) -> str:
    """A `check(candidate)` source: the suite's own check, then every input against the reference solution.

    As EvalPlus does it: with the row's tolerance, 1e-6 for floats without one, and a root of `find_zero`
    checked by its polynomial (https://github.com/evalplus/evalplus, evaluate.py).
    """
    source = PLUS.format(source=reference, entry=entry, inputs=json.dumps(inputs), tolerance=tolerance)
    return test + source


def literal_assert(entry: str, arguments: str, expected: str) -> str:
    """CRUXEval: one call and its value, both as Python source."""
    return f"assert {entry}({arguments}) == ({expected})"


def unpacked(text: str) -> Any:
    """The JSON inside a base64, zlib and pickle packing (LiveCodeBench); the text where it is not packed.

    The pickle's strings are read, none of its instructions are followed. Raises ValueError where a packing
    holds no JSON or unpacks to more than `UNPACKED` bytes.
    """
    if not text.startswith(("eJ", "eN", "eA", "ea")):
        return text
    try:
        packer = zlib.decompressobj()
        data = packer.decompress(base64.b64decode(text, validate=True), UNPACKED)
    except (binascii.Error, zlib.error):
        return text
    if packer.unconsumed_tail:
        raise ValueError(f"unpacks to more than {UNPACKED >> 20} MiB")
    try:
        strings = [held for code, held, _ in pickletools.genops(data) if isinstance(held, str)]
    except ValueError:
        strings = [data.decode("utf-8", "replace")]
    for held in sorted(strings, key=len, reverse=True):
        try:
            return json.loads(held)
        except ValueError:
            continue
    raise ValueError("a packed cell without JSON")
