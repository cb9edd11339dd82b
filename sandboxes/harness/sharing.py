"""Shared mode: tests that cannot be forwarded run beside the candidate, in its container and process.

What a candidate changes in its own process, it changes for the tests as well; only the test runners are
loaded anew, and builtins are put back.
"""

from __future__ import annotations

import builtins
import json
import linecache
import operator
import sys
import types
from typing import Any

import codec
import decoys
import names
import objects
import runners
from candidate import SEARCHED, Server, Source
from channel import Channel
from judge import COMPARE, alone, checks_itself, compiled, join, parsed, place
from remote import CUT, TEST, Broken, install, resolve

ASKED = {asks: getattr(builtins, name) for name, (_, asks) in objects.ASKED.items()} | {
    "__same__": operator.is_
}
INSTRUMENTS = ("__compared__", "__alone__", "__last__", "__kept__", "__changed__", "__class_of__", *ASKED)
"""What test code calls besides its own (see `judge`)."""


def run_shared(header: dict[str, Any]) -> None:
    """Candidate and tests in one process, for tests that cannot be forwarded; the verdict is weak.

    The candidate is loaded before the tests arrive, and every comparison checks that what stands
    against plain data is plain data.
    """
    channel = Channel(3, 4)
    sys.path[:] = SEARCHED
    server = Server()
    built_in = vars(builtins)
    before = built_in.copy()
    loaded = server.load(json.loads(channel.hear()))
    built_in.clear()
    built_in.update(before)
    fresh_runners()
    channel.say(loaded)
    job = json.loads(channel.hear())
    space = server.solution.__dict__
    verdict: dict[str, Any]
    try:
        verdict = shared(space, job)
    except BaseException as error:  # whatever the candidate or the tests raise
        plain = isinstance(error, AssertionError)
        verdict = {
            "cause": "wrong_answer" if plain else "exception",
            "evidence": join(place(error), repr(error)[:CUT]),
        }
    channel.say(json.dumps({"op": "verdict", **verdict}).encode())
    channel.hear()


def fresh_runners() -> None:
    """Loads the test runners anew, should the candidate have changed them while it was loaded."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("unittest", "pytest", "_pytest", "pluggy"):
            del sys.modules[name]
    loader = runners.__loader__
    loader.exec_module(runners)  # type: ignore[union-attr]  # it was loaded by one


def shared(space: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Runs the tests in the candidate's namespace."""

    def compare(sign: str, left: Any, right: Any) -> Any:
        found = COMPARE[sign](left, right)
        for known, asked in ((right, left), (left, right)) if sign == "Eq" and found else ():
            if strange(asked) and not strange(known):
                others = decoys.among(known)
                if not others or any(asked == other for other in others):
                    raise AssertionError("an object stands where plain data is expected")
        return found

    space |= {
        "__compared__": compare,
        "__alone__": alone,
        "__last__": alone,
        "__kept__": alone,
        "__changed__": lambda: None,
    }
    space |= {"__class_of__": lambda x: x.__class__, **ASKED}
    if job["kind"] in runners.RUN:
        return shared_file(space, job)
    try:
        if job["kind"] == "assert":
            codes = [compiled(text, TEST) for text in (job.get("setup", ""), *job["statements"])]
        else:
            codes = [compiled(job["source"], TEST)]
    except Broken as error:
        return {"cause": "tests_broken", "evidence": str(error)}
    text = "\n".join([job.get("setup", ""), *job["statements"]]) if job["kind"] == "assert" else job["source"]
    linecache.cache[TEST] = (len(text), None, text.splitlines(True), TEST)
    entry = resolve(space, job["entry"]) if job.get("entry") and job["kind"] == "check" else None
    for code in codes:
        exec(code, space)
    if job["kind"] == "check" and not checks_itself(parsed(job["source"])):
        space["check"](entry)
    return {"cause": "passed"}


def shared_file(candidate: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """A pytest or unittest file beside the candidate; it finds the candidate's names anyway."""
    try:
        tree, code = parsed(job["source"]), compiled(job["source"], TEST)
    except Broken as error:
        return {"cause": "tests_broken", "evidence": str(error)}
    taken, _ = names.candidate_imports([tree])
    for name in taken:
        install(name, sys.modules["solution"])
    module = sys.modules["tests"] = types.ModuleType("tests")
    free = names.loaded(tree) - names.bound(tree)
    module.__dict__.update({name: candidate[name] for name in free & candidate.keys()})
    module.__dict__.update(__builtins__=builtins, __file__=TEST)
    module.__dict__.update({name: candidate[name] for name in INSTRUMENTS})
    module.__dict__["__loader__"] = Source(job["source"])
    runners.without_main()
    try:
        exec(code, module.__dict__)
    except ImportError as error:
        return {"cause": "tests_broken", "evidence": f"{type(error).__name__}: {error}"[:CUT]}
    result = runners.RUN[job["kind"]](module, lambda: 0)
    if result.error is not None:
        raise result.error
    if result.how or not result.passed:
        found = "wrong_answer" if result.how == "failed" else "tests_broken"
        evidence = join(result.name, result.how, result.reason) or "no test was collected"
        return {"cause": found, "evidence": evidence}
    return {"cause": "passed"}


def strange(x: Any) -> bool:
    """It has a part whose class is no library's, to a bounded depth."""
    stack, budget = [x], 100_000
    while stack and budget:
        x = stack.pop()
        budget -= 1
        kind = type(x)
        if kind in (list, tuple, set, frozenset):
            stack.extend(x)
        elif kind is dict:
            stack.extend([*x, *x.values()])
        elif kind not in UNNAMED and not in_a_library(kind):
            return True
    return False


def in_a_library(kind: type) -> bool:
    """A module other than the candidate's has it by its name."""
    module = sys.modules.get(kind.__module__)
    if kind.__module__.partition(".")[0] in ("numpy", "pandas", "sympy"):  # which have unnamed ones
        return True
    return kind.__module__ != "solution" and vars(module or types).get(kind.__name__) is kind


UNNAMED = {
    type(None),
    type(NotImplemented),
    type(...),
    *codec.ITERATORS,
    *codec.KEYS,
    *codec.VALUES,
    *codec.ITEMS,
}
"""Types of the library's that stand in no module by their names."""
