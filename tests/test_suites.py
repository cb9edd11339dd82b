"""Suites …"""

from __future__ import annotations

import base64
import json
import pickle
import zlib

import pytest

from tracegen import problems, suites
from tracegen.data import AssertTests, CheckTests, CodeTests


def packed(value: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


@pytest.mark.parametrize(
    "value", [json.dumps({"inputs": ["1"]}), {"input_output": json.dumps({"inputs": ["1"]})}]
)
def test_unpack_what_was_pickled_without_running_it(value: object) -> None:
    assert suites.unpacked(packed(value)) == {"inputs": ["1"]}


def test_follow_no_instruction_of_a_pickle() -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("raise SystemExit('the pickle was run')",)

    with pytest.raises(ValueError, match="without JSON"):
        suites.unpacked(packed(Trap()))


@pytest.mark.parametrize("text", ["assert f(1) == 2", "eJ is no packing", "eJ", ""])
def test_leave_alone_what_is_not_packed(text: str) -> None:
    assert suites.unpacked(text) == text


def test_refuse_a_packing_that_grows_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "UNPACKED", 1000)
    with pytest.raises(ValueError, match="unpacks to more"):
        suites.unpacked(packed("x" * 5000))


def test_of_one_call_become_an_assert() -> None:
    found = problems.reference("[4]", "code", solution="def g(x):\n    return [x + 1]\n", arguments="3")
    assert isinstance(found, CodeTests)
    assert found.tests == AssertTests(("assert g(3) == ([4])",))


def test_of_inputs_alone_ask_the_reference_solution_for_the_values() -> None:
    found = problems.reference(
        None, "code", entry_point="f", prompt="def f(x):\n", solution="    return x\n", inputs=[[1], [[2]]]
    )
    assert isinstance(found, CodeTests)
    assert isinstance(found.tests, CheckTests)
    compile(found.tests.source, "check", "exec")
    assert "[[1], [[2]]]" in found.tests.source
