"""pytest and unittest over a module that exists already: no files, no configuration, no plug-ins.

A run passes where at least one test was collected and every one of them ran and passed. A test that was
skipped, expected to fail or not collected has shown nothing, and is named instead.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
import types
import unittest
from collections.abc import Callable
from typing import Any


class Result:
    """How a run ended: the tests that passed, and the first one that did not."""

    def __init__(self, calls: Callable[[], int]) -> None:
        self.calls = calls
        self.before = 0
        """Calls of the candidate before the test that runs."""
        self.asked = False
        """The test that did not pass had called the candidate."""
        self.passed = 0
        self.name = ""
        self.how = ""
        """`failed`, `skipped`, `xfailed`; empty where every test passed."""
        self.error: BaseException | None = None
        self.reason = ""

    def note(self, name: str, how: str, error: BaseException | None = None, reason: str = "") -> None:
        """Keeps the first test that did not pass; a failure counts more than a skip."""
        if not self.how or (how == "failed" and self.how != "failed"):
            self.name, self.how, self.error, self.reason = name, how, error, reason
            self.asked = self.calls() > self.before


def run_pytest(module: types.ModuleType, calls: Callable[[], int]) -> Result:
    """Every test of `module`, by pytest itself, up to the first failure; `calls` counts the candidate's."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    from _pytest.config import main

    watch = Watch(module, Result(calls))
    options = [
        "--exitfirst", "--noconftest", "--assert=plain", "--capture=no", "--rootdir=/", "-c", "/dev/null",
        "-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:warnings", "-p", "no:faulthandler",
    ]  # fmt: skip
    code = main([*options, __file__], plugins=[watch])
    result = watch.result
    if not result.how and code not in (0, 5):
        result.note("pytest", "failed", watch.interrupt, f"pytest ended with status {int(code)}")
    return result


class Watch:
    """The plug-in through which pytest finds the module and says what became of each test."""

    def __init__(self, module: types.ModuleType, result: Result) -> None:
        self.module, self.result = module, result
        self.interrupt: BaseException | None = None
        self.error: BaseException | None = None

    def pytest_configure(self, config: Any) -> None:
        config.option.tbstyle = "native"  # which shows no arguments: the candidate is not asked for a repr

    def pytest_runtest_makereport(self, call: Any) -> None:
        self.error = call.excinfo.value if call.excinfo else None

    def pytest_runtest_logstart(self) -> None:
        self.result.before = self.result.calls()

    def pytest_pycollect_makemodule(self, module_path: Any, parent: Any) -> Any:
        import pytest

        given = self.module

        class Given(pytest.Module):  # type: ignore[misc]  # pytest is only in the image
            def _getobj(self) -> types.ModuleType:
                return given

        return Given.from_parent(parent, path=module_path)

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        self.interrupt = excinfo.value

    def pytest_pyfunc_call(self, pyfuncitem: Any) -> bool | None:
        """A coroutine is run to its end; without a plug-in pytest would skip it."""
        if not inspect.iscoroutinefunction(pyfuncitem.obj):
            return None
        wanted = pyfuncitem._fixtureinfo.argnames
        asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
        return True

    def pytest_exception_interact(self, node: Any, call: Any, report: Any) -> None:
        self.result.note(name_of(report.nodeid), "failed", call.excinfo.value)

    def pytest_collectreport(self, report: Any) -> None:
        if report.skipped:
            self.result.note("the module", "skipped", reason=reason_of(report))

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = name_of(report.nodeid)
        if hasattr(report, "wasxfail"):
            if report.skipped:
                self.result.note(name, "xfailed", reason=str(report.wasxfail))
            elif report.when == "call":
                self.result.passed += 1
        elif report.failed:
            self.result.note(name, "failed", self.error, reason=str(report.longrepr)[:500])
        elif report.skipped:
            self.result.note(name, "skipped", reason=reason_of(report))
        elif report.when == "call":
            self.result.passed += 1


def name_of(nodeid: str) -> str:
    return str(nodeid).partition("::")[2] or "the module"


def reason_of(report: Any) -> str:
    held = report.longrepr
    return str(held[2] if isinstance(held, tuple) and len(held) == 3 else held or "")[:200]


def run_unittest(module: types.ModuleType, calls: Callable[[], int]) -> Result:
    """Every test case of `module`, by unittest itself, up to the first failure; `calls` as above."""
    suite = unittest.TestSuite()
    for kind in list(vars(module).values()):
        if (
            isinstance(kind, type)
            and issubclass(kind, unittest.TestCase)
            and kind.__module__ == module.__name__
        ):
            suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(kind))
    watch = Cases(Result(calls))
    watch.failfast = True
    suite.run(watch)
    return watch.result


class Cases(unittest.TestResult):
    """Notes what became of each test."""

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result

    def startTest(self, test: unittest.TestCase) -> None:
        self.result.before = self.result.calls()
        super().startTest(test)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.result.passed += 1

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.result.note(case_name(test), "skipped", reason=str(reason)[:200])

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.result.note(case_name(test), "xfailed")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self.result.note(case_name(test), "xfailed", reason="passed, and was expected to fail")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.fail(test, err)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self.fail(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self.fail(subtest, err)

    def fail(self, test: unittest.TestCase, err: Any) -> None:
        self.result.note(case_name(test), "failed", err[1])
        self.stop()


def case_name(test: unittest.TestCase) -> str:
    return str(test).partition(" (")[0]


def without_main() -> None:
    """`pytest.main()` and `unittest.main()` at the end of a test file do nothing while it is loaded."""
    unittest.main = lambda *_, **__: None  # type: ignore[assignment,misc]
    pytest = sys.modules.get("pytest")
    if pytest is not None:
        vars(pytest)["main"] = lambda *_, **__: 0


def warm() -> None:
    """Loads pytest, which a judge's forks then have."""
    path = "/usr/lib/python3/dist-packages"
    sys.path.append(path)
    try:
        for name in ("main", "python", "fixtures", "unittest", "python_api", "runner", "mark", "monkeypatch"):
            importlib.import_module("_pytest." + name)
    finally:
        sys.path.remove(path)


RUN = {"pytest": run_pytest, "unittest": run_unittest}
"""By the format's name."""
