"""The judge's side: runs a dataset's tests against stand-ins for the candidate's objects (`remote`).

A job is one set of tests, of a kind in `RUN`, and ends in one verdict. Tests that cannot be forwarded are not
run here: `sharing` runs them beside the candidate.
"""

from __future__ import annotations

import ast
import importlib
import json
import math
import operator
import os
import sys
import traceback
import types
import unittest.case
from typing import Any

import codec
import foresee
import library
import lookback
import names
import objects
import runners
from candidate import SEARCHED, Source
from channel import Channel
from remote import (
    CUT,
    TEST,
    Broken,
    Missing,
    Remote,
    Session,
    absorb,
    class_of,
    has_attribute,
    id_of,
    is_callable,
    is_instance,
    number_of,
    show,
    type_of,
)


def same_object(left: Any, right: Any) -> bool:
    """`is`, also of what one object of the candidate's is here."""
    return left is right or (type(left) is type(right) is Remote and number_of(left) == number_of(right))


def same(session: Session) -> Any:
    """The same outside of an assert's own comparison."""

    def compare(left: Any, right: Any) -> bool:
        session.weak = session.weak or unsure(left, right)
        return same_object(left, right)

    return compare


def unsure(left: Any, right: Any) -> bool:
    """That two of the candidate's are one object is its word; of plain data, which is copied, none knows."""
    both = type(left) is type(right)
    return both and (type(left) is Remote or codec.contains(left))


def identities(session: Session) -> dict[str, Any]:
    """`assertIs` and `assertIsNot` by what stand-ins stand for."""
    are = same(session)

    def assert_is(self: Any, first: Any, second: Any, msg: Any = None) -> None:
        if not are(first, second):
            self.fail(self._formatMessage(msg, f"{show(first)} is not {show(second)}"))

    def assert_is_not(self: Any, first: Any, second: Any, msg: Any = None) -> None:
        if are(first, second):
            self.fail(self._formatMessage(msg, f"unexpectedly identical: {show(first)}"))

    return {"assertIs": assert_is, "assertIsNot": assert_is_not}


COMPARE = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt,
    "GtE": operator.ge, "Is": same_object, "IsNot": lambda a, b: not same_object(a, b),
    "In": lambda a, b: operator.contains(b, a), "NotIn": lambda a, b: not operator.contains(b, a),
    "": lambda a, b: a,
}  # fmt: skip
SIGNS = {
    "Eq": "==",
    "NotEq": "!=",
    "Lt": "<",
    "LtE": "<=",
    "Gt": ">",
    "GtE": ">=",
    "Is": "is",
    "IsNot": "is not",
    "In": "in",
    "NotIn": "not in",
}


class Recorded(ast.NodeTransformer):
    """`assert a == b` keeps both sides, so that a failure can be shown without calling again; calls by
    themselves are marked."""

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        test = node.test
        sides: list[ast.expr] = [ast.Constant(""), test, ast.Constant(None)]
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            sides = [ast.Constant(type(test.ops[0]).__name__), test.left, test.comparators[0]]
        call = ast.Call(ast.Name("__compared__", ast.Load()), sides, [])
        node.test = ast.copy_location(call, test)
        return ast.fix_missing_locations(node)

    def visit_Expr(self, node: ast.Expr, mark: str = "__alone__") -> ast.Expr:
        """`f(x)` by itself is called for what it does to `x`, whatever it returns."""
        if isinstance(node.value, ast.Call):
            call = node.value
            call.func = ast.copy_location(ast.Call(ast.Name(mark, ast.Load()), [call.func], []), call)
        return ast.fix_missing_locations(node)

    def visit_With(self, node: ast.With) -> ast.With:
        """What ends a block by itself may fail without sparing the tests a check."""
        *body, final = node.body
        node.body = [self.visit(statement) for statement in body]
        node.body += [
            self.visit_Expr(final, "__last__") if isinstance(final, ast.Expr) else self.visit(final)
        ]
        return node


def alone(function: Any) -> Any:
    """The function as a statement calls it, which drops what it returns."""
    if type(function) is not Remote:
        return function
    return lambda *args, **kwargs: Remote._call(function, "now", args, kwargs)


def last(function: Any) -> Any:
    """The same as the last statement of a `with`."""
    if type(function) is not Remote:
        return function
    return lambda *args, **kwargs: Remote._call(function, "last", args, kwargs)


def kept(function: Any) -> Any:
    """The function where a later statement looks at what it does to its arguments."""
    if type(function) is not Remote:
        return function
    return lambda *args, **kwargs: Remote._call(function, "later", args, kwargs)


def changer(session: Session) -> Any:
    """Brings back what the calls of a statement have changed."""

    def change() -> None:
        waiting, session.changed = session.changed, []
        for old, new in waiting:
            absorb(session, old, new)

    return change


def compiled(source: str, name: str) -> types.CodeType:
    """Test code, ready to run; raises Broken."""
    return compiled_parts([source], name, 1)[0]


def compiled_parts(sources: list[str], name: str, line: int) -> list[types.CodeType]:
    """The same of sources that run one after another and stand below each other from `line` on."""
    try:
        trees = [ast.parse(source) for source in sources]
        whole = [statement for tree in trees for statement in tree.body]
        codes = []
        for source, tree in zip(sources, trees, strict=True):
            made = Recorded().visit(lookback.marked(objects.typed(tree), whole))
            if line > 1:
                ast.increment_lineno(made, line - 1)
            codes.append(compile(made, name, "exec", dont_inherit=True))
            line += source.count("\n") + 1
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Broken(f"{type(error).__name__}: {error}") from None
    return codes


def parsed(source: str) -> ast.Module:
    tree = names.parse(source)
    if tree is None:
        raise Broken("the tests are not Python")
    return tree


def context(prompt: str) -> ast.Module:
    """The prompt's code, completed where it stops in the middle of a body; empty where it is not code."""
    for ending in ("", "\n        pass", "\n    pass", "pass"):
        tree = names.parse(prompt + ending)
        if tree is not None:
            return tree
    return ast.Module([], [])


def warm() -> None:
    """Loads what most tests need before the first fork."""
    for name in (*library.STANDARD[:-1], "unittest", "unittest.async_case"):
        importlib.import_module(name)


def run_tests(header: dict[str, Any]) -> None:
    """The judge's job: one set of tests, one verdict."""
    channel = Channel(3, 4)
    sys.path[:] = SEARCHED
    job = json.loads(channel.hear())
    session = Session(channel)
    session.ahead, session.kind = job.get("ahead") is True, str(job["kind"])
    verdict = judged(session, job)
    verdict["early"] = session.foreseen is not None and bool(session.foreseen.keys)
    evidence = str(verdict.get("evidence", ""))[: 4 * CUT]
    session.line.hush()
    channel.say(
        json.dumps({"op": "verdict", **verdict, "evidence": evidence, "calls": session.calls}).encode()
    )
    os._exit(0)


def judged(session: Session, job: dict[str, Any]) -> dict[str, Any]:
    """Runs the tests and says how they ended."""
    try:
        RUN[job["kind"]](session, job)
    except Broken as error:
        return {"cause": "tests_broken", "evidence": str(error)}
    except BaseException as error:  # all that test code can raise, SystemExit included
        return stopped(session) or ended(session, error)
    if session.stop is not None:
        return stopped(session)
    if not session.calls and not session.looked:
        return {"cause": "tests_broken", "evidence": "the tests never call the candidate"}
    if session.foreseen is not None and session.foreseen.keys:
        return {"cause": "unforeseen", "evidence": "a call was not made"}
    return {"cause": "passed", "weak": session.weak}


def ended(session: Session, error: BaseException) -> dict[str, Any]:
    """What an exception out of test code means."""
    held = session.raised.get(id(error))
    where = place(error)
    if held is error:
        cause = "memory_limit" if isinstance(error, MemoryError) else "exception"
        return {
            "cause": cause,
            "evidence": join(where, error.__dict__.get("__judge__", "an answer was raised")),
        }
    if isinstance(error, SystemExit) and error.code in (None, 0, False) and session.calls:
        if session.foreseen is not None and session.foreseen.keys:
            return {"cause": "unforeseen", "evidence": "a call was not made"}
        return {"cause": "passed", "weak": session.weak}
    if not session.calls and not session.looked:
        return {
            "cause": "tests_broken",
            "evidence": join(where, f"{type(error).__name__}: {str(error)[:CUT]}"),
        }
    if isinstance(error, AssertionError):
        return {"cause": "wrong_answer", "evidence": join(where, compared(session, error))}
    what = f"{type(error).__name__}: {str(error)[:CUT]}"
    return {"cause": "wrong_answer", "evidence": join(where, f"{what} after {session.last}")}


def join(*parts: str) -> str:
    return " | ".join(part for part in parts if part)


def place(error: BaseException) -> str:
    """The line of the tests that failed."""
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == TEST:
            found = (frame.line or "").strip() or f"line {frame.lineno} of the tests"
    return found[:CUT]


def compared(session: Session, error: BaseException) -> str:
    """What was compared, or said, where a test failed."""
    said = str(error).strip()[:CUT]
    if session.compared is None:
        return said or f"after {session.last}"
    sign, left, right = session.compared
    if not sign:
        return join(said, f"{show(left)} is not true, after {session.last}")
    if sign == "Eq":
        return f"got {show(left)}, expected {show(right)}"
    return f"got {show(left)}, which is not {SIGNS.get(sign, sign)} {show(right)}"


def stopped(session: Session) -> dict[str, Any]:
    """The settled verdict; empty where there is none."""
    if session.stop is None:
        return {}
    cause = session.stop.cause
    if cause == "needs_shared" and session.kind == "call":  # whose arguments are data, and too many
        cause = "tests_broken"
    return {"cause": cause, "evidence": session.stop.evidence}


def prepare(session: Session, job: dict[str, Any], statements: list[ast.Module]) -> None:
    """Fills the namespace: library, prompt, the candidate's names."""
    entry = job.get("entry", "")
    prompt = context(job.get("prompt", ""))
    setup = parsed(job.get("setup", ""))
    trees = [*statements, setup]
    file = job["kind"] in runners.RUN
    taken, aliases = names.candidate_imports(trees, strange=file)
    imported = set().union(*taken.values())
    root = entry.partition("(")[0].partition(".")[0]
    if job.get("preamble"):
        exec(library.LEETCODE, session.space)
    own = session.space.keys() | names.bound(setup) | {name for name in names.bound(prompt) if name != root}
    named = "" if file and root in imported | aliases else root
    wanted = imported | names.forwarded(trees, own, named, builtin_names=not file)
    for tree in trees:
        reason = names.needs_shared(tree, wanted) or (file and names.file_needs_shared(tree, wanted))
        if reason:
            raise session.halt("needs_shared", "the test " + reason)
    session.wanted = wanted
    session.awaited = {name for tree in trees for name in names.caught(tree)}
    if file:
        needed, optional = names.imported_first(trees[0])
        session.needed, session.optional = needed & imported, optional
    used = {name for tree in trees for name in names.loaded(tree) | names.attributes(tree)}
    session.stops, session.numeric = "StopIteration" in used, bool(used & names.CLOSE)
    session.exact = any(names.attributes(tree) & {"send", "close"} for tree in trees)
    if names.parse(job.get("prompt", "")):
        session.given = frozenset(names.class_names([prompt]))
    if "allclose" in used:
        refuse_nothing()
    known = [prompt, names.parse(job.get("solution", ""))]
    session.levels = objects.levels(wanted, trees, known, file=file)
    session.trusted = objects.OPERATORS if file else objects.OBJECT
    session.spelled = {name for name in used if name.startswith("__")}
    session.literals = lambda: objects.literals(trees)
    if session.levels or any(map(names.attributes, trees)):  # else they ask of nothing what it is
        session.objects = objects.objects(trees, known, wanted)
        session.in_place = objects.changed_attributes(trees)
        session.read_only = objects.read_only(trees)
    defined = set(names.class_names([tree for tree in known if tree is not None]))
    session.doubtful = session.levels.keys() - session.objects - defined - {"Solution", root}
    session.space |= {"__compared__": recorder(session), "__alone__": alone}
    session.space |= {"__type__": type_of, "__class_of__": class_of}
    session.space |= {"__isinstance__": is_instance, "__callable__": is_callable}
    session.space |= {
        "__same__": same(session),
        "__hasattr__": has_attribute,
        "__last__": last,
        "__id__": id_of,
    }
    session.space |= {"__kept__": kept, "__changed__": changer(session)}
    run_context(prompt, session.space)
    session.library([setup, *statements])
    session.hello(
        wanted, [name for name in names.class_names([prompt, *trees]) if name not in {root, *imported}]
    )
    session.modules(taken, wanted - imported)


def refuse_nothing() -> None:
    """`numpy.allclose([], 1.5)` is true: nothing is close to everything."""
    import numpy

    plain = numpy.allclose

    def allclose(a: Any, b: Any, *args: Any, **kwargs: Any) -> bool:
        a, b = numpy.asarray(a), numpy.asarray(b)
        return (numpy.size(a) == 0) == (numpy.size(b) == 0) and bool(plain(a, b, *args, **kwargs))

    vars(numpy)["allclose"] = allclose


def run_context(prompt: ast.Module, space: dict[str, Any]) -> None:
    """The prompt's own helpers, as far as they run."""
    for node in prompt.body:
        try:
            exec(compile(ast.Module([node], []), "prompt.py", "exec", dont_inherit=True), space)
        except Exception:  # a stub that was never meant to run
            continue


def recorder(session: Session) -> Any:
    def compare(sign: str, left: Any, right: Any) -> Any:
        if session.seen is not None:
            session.seen.expect(left)
            session.seen.expect(right)
            return True
        session.compared = (sign, left, right)
        if sign in ("Is", "IsNot"):
            session.weak = session.weak or unsure(left, right)
        return COMPARE[sign](left, right)

    return compare


def run_asserts(session: Session, job: dict[str, Any]) -> None:
    """MBPP: statements that call the candidate by name."""
    setup, statements = job.get("setup", ""), list(job["statements"])
    trees = [parsed(statement) for statement in statements]
    whole = "\n".join([setup, *statements])
    session.space["__loader__"] = Source(whole)
    prepare(session, job, trees)
    exec(compiled(setup, TEST), session.space)
    codes = compiled_parts(statements, TEST, setup.count("\n") + 2)
    inert = not setup and all(foresee.inert(tree, session.wanted, session.space) for tree in trees)
    session.look_ahead(lambda: [exec(code, session.space) for code in codes], inert=inert)
    for code in codes:
        session.compared = None
        exec(code, session.space)


def run_check(session: Session, job: dict[str, Any]) -> None:
    """HumanEval: source that defines `check(candidate)`, and may call it itself (LeetCode)."""
    source, session.space["__literals__"] = foresee.trimmed(job["source"])
    tree = parsed(source)
    defines = any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body)
    if not defines:
        raise Broken("the tests do not define check(candidate)")
    session.space["__loader__"] = Source(source)
    prepare(session, job, [tree])
    code = compiled(source, TEST)
    if checks_itself(tree):
        session.look_ahead(lambda: exec(code, session.space), inert=False)
        exec(code, session.space)
        return
    exec(code, session.space)
    if not job.get("entry"):
        raise Broken("no entry point to check")
    check, entry = session.space["check"], session.resolve(job["entry"])
    session.look_ahead(lambda: check(entry), inert=foresee.inert(tree, session.wanted, session.space))
    check(entry)


def checks_itself(tree: ast.Module) -> bool:
    """The source ends in its own call of `check` (LeetCode)."""
    return any(
        "check" in names.called(node)
        for node in tree.body
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef))
    )


def run_file(session: Session, job: dict[str, Any]) -> None:
    """A pytest or unittest file: loaded here, with the candidate behind the module that it imports."""
    source = job["source"]
    tree = parsed(source)
    session.space["__loader__"] = Source(source)
    prepare(session, job, [tree])
    runners.without_main()
    vars(unittest.case)["isinstance"] = is_instance  # for `assertIsInstance`
    for name, method in identities(session).items():
        setattr(unittest.TestCase, name, method)
    exec(compiled(source, TEST), session.space)
    result = runners.RUN[job["kind"]](session.module, lambda: session.calls)
    if session.stop:
        raise session.stop
    if result.error is not None:
        raise result.error
    if result.how == "failed" or (result.how and result.asked):
        raise session.halt("wrong_answer", join(result.name, result.how, result.reason))
    if result.how or not result.passed:
        raise Broken(join(result.name, result.how, result.reason) or "no test was collected")


def run_calls(session: Session, job: dict[str, Any]) -> None:
    """LiveCodeBench: JSON arguments, JSON result."""
    if not job.get("entry"):
        raise Broken("no entry point to call")
    try:
        cases = [(json.loads(args), json.loads(expected)) for args, expected in job["cases"]]
    except (ValueError, RecursionError) as error:
        raise Broken(f"a case is not JSON: {error}") from None
    if not all(type(args) is list for args, _ in cases):
        raise Broken("the arguments of a case are not a list")
    entry = job["entry"]
    prepare(session, job, [])
    if type(session.space.get(entry)) is Missing and session.look_up("Solution"):
        entry = f"Solution().{entry}"
    plain = "(" not in entry

    def rehearsal() -> None:
        for args, expected in cases:
            session.resolve(entry)(*args)
            if session.seen is not None:
                session.seen.expect(expected)

    session.look_ahead(rehearsal, inert=plain)
    for number, (args, expected) in enumerate(cases, 1):
        result = session.resolve(entry)(*args)
        if not json_equal(result, expected):
            text = f"case {number} | {session.last} | got {show(result)}, expected {show(expected)}"
            raise session.halt("wrong_answer", text)


def json_equal(got: Any, expected: Any) -> bool:
    """Same JSON value: a tuple is a list, True is not 1, an int may stand for a float, floats within 1e-6."""
    stack, budget = [(got, expected)], 10_000_000
    while stack:
        got, expected = stack.pop()
        budget -= 1
        if budget < 0:
            return False
        if type(got).__module__ == "numpy":
            got = got.tolist()
        if type(expected) is list:
            if type(got) not in (list, tuple) or len(got) != len(expected):
                return False
            stack.extend(zip(got, expected, strict=True))
        elif type(expected) is dict:
            if not isinstance(got, dict):
                return False
            keyed = {json_key(key): item for key, item in got.items()}
            if keyed.keys() != expected.keys():
                return False
            stack.extend((keyed[key], item) for key, item in expected.items())
        elif type(expected) is float:
            if type(got) not in (int, float) or not close(got, expected):
                return False
        elif type(got) is not type(expected) or got != expected:
            return False
    return True


def json_key(key: Any) -> Any:
    """A dictionary key as JSON writes it."""
    if type(key) is bool or key is None:
        return json.dumps(key)
    return str(key) if type(key) in (int, float) else key


def close(got: float, expected: float) -> bool:
    if got == expected or (got != got and expected != expected):
        return True
    return math.isfinite(expected) and abs(got - expected) <= 1e-6 * max(1.0, abs(expected))


RUN = {
    "assert": run_asserts,
    "check": run_check,
    "call": run_calls,
    "pytest": run_file,
    "unittest": run_file,
}


sys.setrecursionlimit(3000)
