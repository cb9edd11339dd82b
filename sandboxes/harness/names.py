"""Which names of a test go to the candidate, decided from the test alone.

Were it decided from what the candidate defines, a candidate could define `isclose` or `set` and so
judge itself.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import os
import re
import sys
from collections.abc import Iterable

from library import STANDARD, known_function, known_module

SHARED_CALLS = {
    "getsource",
    "getsourcelines",
    "iscoroutinefunction",
    "signature",
    "redirect_stdout",
    "redirect_stderr",
    "patch",
    "capsys",
    "monkeypatch",
}
SHARED_MODULES = {"unittest.mock", "mock", "subprocess", "multiprocessing", "tempfile", "socket"}
SHARED_FIXTURES = {
    "capsys", "capfd", "capsysbinary", "capfdbinary", "caplog", "recwarn", "monkeypatch", "mocker",
    "tmp_path", "tmpdir", "tmp_path_factory", "tmpdir_factory",
}  # fmt: skip
SHARED_METHODS = {"assertLogs", "assertNoLogs", "assertWarns", "assertWarnsRegex", "warns", "deprecated_call"}
"""What these watch happens in the candidate's process."""
SHARED_LOOKS = {"inspect", "os", "shutil", "glob", "gc", "tracemalloc"}
"""Modules whose functions see this process or this disk, where the candidate is not."""
SHARED_TARGETS = {"stdout", "stdin", "stderr", "input", "open", "argv"}


def parse(source: str) -> ast.Module | None:
    """The tree, or None where it is not Python."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def bound(tree: ast.AST) -> set[str]:
    """Names that the source itself binds, anywhere."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names


def loaded(tree: ast.AST) -> set[str]:
    return {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def attributes(tree: ast.AST) -> set[str]:
    """Names of the attributes that the source reads."""
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def called(tree: ast.AST) -> set[str]:
    return {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def is_class_name(name: str) -> bool:
    """`Node` but not `PI`, `node`: by convention the name of a class."""
    bare = name.lstrip("_")
    return bare[:1].isupper() and not (len(bare) > 1 and bare.isupper())


def forwarded(
    trees: Iterable[ast.Module], own: set[str], entry: str, *, builtin_names: bool = True
) -> set[str]:
    """Names that stand for the candidate's: the entry point, else what the statements call.

    `trees` are the statements (or the one source), `own` what the setup and the prompt bind. Class names that
    nobody binds are the candidate's as well. Where every statement calls only builtins, `builtin_names` says
    that the candidate redefines one.
    """
    trees = list(trees)
    everything = any(star(tree) for tree in trees)
    free = (
        {name for tree in trees for name in loaded(tree)}
        - {name for tree in trees for name in bound(tree)}
        - own
    )
    strange = {name for name in free if not hasattr(builtins, name) and known_module(name) is None}
    if everything:
        free -= set().union(*(starred(tree) for tree in trees))
    known = (lambda name: None) if everything else known_function
    classes = {name for name in strange if is_class_name(name) and known(name) is None}
    calls = {name for tree in trees for name in called(tree)} & strange
    functions = {name for name in calls if known(name) is None}
    if entry:
        return {entry} | classes | functions
    functions = functions or calls
    if not functions | classes and builtin_names:
        everywhere = [called(tree) & free for tree in trees if called(tree)]
        functions = set.intersection(*everywhere) if everywhere else set()
    return functions | classes


def star(tree: ast.Module) -> bool:
    """`from solution import *`: what nobody else defines is the candidate's."""
    stars = [node for node in imports(tree) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]
    return any(node.level or is_candidate(str(node.module)) for node in stars)


def starred(tree: ast.Module) -> set[str]:
    """Names that the source takes from the standard library by `import *`."""
    stars = [node for node in imports(tree) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]
    modules = {str(node.module) for node in stars} & {*STANDARD}
    return {name for module in modules for name in vars(importlib.import_module(module))}


STANDS_FOR = {"code", "main", "test", "solution", "candidate", "answer", "program", "submission", "module"}
"""Module names that mean the candidate even where the library has one of that name."""
ABSENT = {
    "PIL", "bs4", "cv2", "django", "faker", "fastapi", "flask", "freezegun", "hypothesis", "lxml",
    "matplotlib", "nltk", "openpyxl", "parameterized", "psutil", "pydantic", "pytest_asyncio",
    "pytest_mock", "requests", "requests_mock", "responses", "seaborn", "selenium", "skimage", "sklearn",
    "sqlalchemy", "tensorflow", "torch", "transformers", "xgboost", "yaml",
}  # fmt: skip
"""Libraries that tests are known to import and the image may not have; no candidate is called so."""
HARNESS = {
    name[:-3] for name in os.listdir(os.path.dirname(os.path.abspath(__file__))) if name.endswith(".py")
}
"""Modules of ours, which no test means."""


def is_candidate(module: str, wanted: Iterable[str] = (), *, strange: bool = True) -> bool:
    """A test that imports `wanted` from `module` means the candidate; `strange` takes any unknown module."""
    top = module.partition(".")[0]
    if top in ABSENT:
        return False
    if top in STANDS_FOR and top in sys.stdlib_module_names:
        found = importlib.import_module(top)
        return any(name != "*" and not hasattr(found, name) for name in wanted)
    if top in sys.stdlib_module_names:
        return False
    if top in STANDS_FOR | HARNESS:
        return True
    return strange and top not in sys.modules and importlib.util.find_spec(top) is None


def candidate_imports(
    trees: Iterable[ast.Module], *, strange: bool = True
) -> tuple[dict[str, set[str]], set[str]]:
    """The modules by which tests mean the candidate, with the names that they take from each.

    Second, the names by which the tests call such a module.
    """
    found: dict[str, set[str]] = {}
    aliases: dict[str, str] = {}
    trees = list(trees)
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom):
            taken = {alias.name for alias in node.names}
            module = "." * node.level + (node.module or "")
            if node.level or is_candidate(module, taken, strange=strange):
                found.setdefault(module, set()).update(taken - {"*"})
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if is_candidate(alias.name, strange=strange):
                    found.setdefault(alias.name, set())
                    aliases[alias.asname or alias.name] = alias.name
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and (module := aliases.get(ast.unparse(node.value))):
            found[module].add(node.attr)
    return found, set(aliases)


def class_names(trees: Iterable[ast.Module]) -> list[str]:
    """Classes that the dataset's side defines at top level."""
    return sorted({node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)})


def file_needs_shared(tree: ast.Module, wanted: set[str]) -> str:
    """Why a pytest or unittest file cannot be forwarded, or nothing; `wanted` names the candidate's."""
    used = loaded(tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            fixtures = {arg.arg for arg in node.args.args} & SHARED_FIXTURES
            if fixtures:
                return f"uses the fixture {min(fixtures)}"
        if isinstance(node, ast.ClassDef) and (bases := {ast.unparse(base) for base in node.bases} & wanted):
            return f"derives from {min(bases)}"
        if isinstance(node, ast.ClassDef) and not of_tests(node):
            for held in node.body:
                made = held.value if isinstance(held, (ast.Assign, ast.AnnAssign)) else None
                if isinstance(made, ast.Call) and (name := getattr(made.func, "id", "")) in wanted:
                    return f"has a class with {name}()"
        if isinstance(node, ast.Attribute) and node.attr in SHARED_METHODS:
            return f"uses {node.attr}"
        if isinstance(node, ast.Attribute) and node.attr == "seed" and "random" in ast.unparse(node.value):
            return "seeds the random numbers"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                module = node.module if isinstance(node, ast.ImportFrom) else alias.name
                top = str(module).partition(".")[0]
                if top in SHARED_LOOKS and (alias.asname or alias.name).partition(".")[0] in used:
                    return f"uses {top}"
    return ""


def of_tests(node: ast.ClassDef) -> bool:
    """A class of tests, not one that the tests use."""
    tests = any(isinstance(held, ast.FunctionDef) and held.name.startswith("test") for held in node.body)
    return tests or node.name.startswith("Test") or "TestCase" in [ast.unparse(b) for b in node.bases]


CLOSE = {
    "isclose", "assert_allclose", "assert_almost_equal", "assert_array_equal", "assert_array_almost_equal",
    "assert_array_almost_equal_nulp", "assert_array_max_ulp", "assert_array_less", "assert_equal",
}  # fmt: skip
"""Functions of numpy to which nothing is close to everything."""
WAITS = re.compile(r"(?:pytest\.)?raises|(?:self|cls)\.assertRaises(?:Regex)?")
EXCEPTION = re.compile(r"\w+(?:Err|Error|Exception|Warning|Failure|Fault|Violation)")


def caught(tree: ast.AST) -> set[str]:
    """Names of exceptions that the source waits for: `except Name`, `raises(Name)`, `assertRaises(Name)`."""
    found: list[ast.expr | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            found.append(node.type)
        elif isinstance(node, ast.Call) and WAITS.fullmatch(ast.unparse(node.func)):
            found += [*node.args[:1], *(word.value for word in node.keywords if "exception" in str(word.arg))]
    parts = [part for held in found for part in (held.elts if isinstance(held, ast.Tuple) else [held])]
    return {getattr(part, "id", getattr(part, "attr", "")) for part in parts} - {""}


def imports(tree: ast.AST) -> list[ast.stmt]:
    return [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def imported_first(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Names that the source imports at once, and names that it tries to import."""
    at_once = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    tried = [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
    optional = {
        alias.name for node in tried for inner in node.body for held in imports(inner) for alias in held.names
    }
    return at_once, optional


OF_DATACLASSES = {"asdict", "astuple", "replace", "fields", "is_dataclass"}
"""Functions of dataclasses that look into an object."""


def of_dataclasses(call: ast.Call, tree: ast.AST) -> bool:
    """The function is the one of dataclasses."""
    if isinstance(call.func, ast.Attribute):
        return ast.unparse(call.func.value) == "dataclasses"
    taken = [node for node in imports(tree) if isinstance(node, ast.ImportFrom)]
    held = {
        alias.asname or alias.name for node in taken if node.module == "dataclasses" for alias in node.names
    }
    return getattr(call.func, "id", "") in held


def asks_for_class(call: ast.Call, wanted: set[str]) -> bool:
    """`isinstance(Name, type)`."""
    return len(call.args) == 2 and ast.unparse(call.args[1]) == "type" and bool(loaded(call.args[0]) & wanted)


def needs_shared(tree: ast.AST, wanted: set[str]) -> str:
    """Why these tests cannot be forwarded, or nothing; `wanted` names the candidate's."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await)):
            return "awaits"
        if isinstance(node, ast.MatchClass) and loaded(node.cls) & wanted:
            return "matches a class"
        if isinstance(node, ast.Import) and any(alias.name in SHARED_MODULES for alias in node.names):
            return "imports " + node.names[0].name
        if isinstance(node, ast.ImportFrom) and node.module in SHARED_MODULES:
            return "imports " + str(node.module)
        if isinstance(node, ast.ImportFrom) and any(alias.name in SHARED_CALLS for alias in node.names):
            return "imports " + node.names[0].name
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in SHARED_CALLS or (isinstance(node.func, ast.Name) and name == "open"):
                return "calls " + name
            if name == "run" and "asyncio" in ast.unparse(node.func):
                return "awaits"
            if name == "issubclass" and loaded(node) & wanted:
                return "asks for a class's bases"
            if name == "isinstance" and asks_for_class(node, wanted):
                return "asks whether something is a class"
            if name in OF_DATACLASSES and any(map(is_class_name, wanted)) and of_dataclasses(node, tree):
                return f"uses dataclasses.{name}"
            if name in ("dumps", "dump") and any(map(is_class_name, wanted)) and "pickle" in loaded(node):
                return "pickles"
            if name in wanted and EXCEPTION.fullmatch(name):
                return "makes an exception of the candidate's"
        if (
            isinstance(node, ast.Attribute)
            and not isinstance(node.ctx, ast.Load)
            and node.attr in SHARED_TARGETS
        ):
            return "replaces " + node.attr
    return ""
