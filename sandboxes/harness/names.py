"""Which names of a test go to the candidate, decided from the test alone.

Were it decided from what the candidate defines, a candidate could define `isclose` or `set` and so
judge itself.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable

from library import known_function, known_module

SHARED_CALLS = {
    "getsource",
    "getsourcelines",
    "redirect_stdout",
    "redirect_stderr",
    "patch",
    "capsys",
    "monkeypatch",
}
SHARED_MODULES = {"unittest.mock", "mock", "solution", "subprocess", "multiprocessing", "tempfile", "socket"}
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


def forwarded(trees: Iterable[ast.Module], own: set[str], entry: str) -> set[str]:
    """Names that stand for the candidate's: the entry point, else what the statements call.

    `trees` are the statements (or the one source), `own` what the setup and the prompt bind. Class names that
    nobody binds are the candidate's as well.
    """
    trees = list(trees)
    free = (
        {name for tree in trees for name in loaded(tree)}
        - {name for tree in trees for name in bound(tree)}
        - own
    )
    strange = {name for name in free if not hasattr(builtins, name) and known_module(name) is None}
    classes = {name for name in strange if is_class_name(name) and known_function(name) is None}
    if entry:
        return {entry} | classes
    calls = {name for tree in trees for name in called(tree)} & strange
    functions = {name for name in calls if known_function(name) is None} or calls
    if not functions | classes:
        everywhere = [called(tree) & free for tree in trees if called(tree)]
        functions = set.intersection(*everywhere) if everywhere else set()
    return functions | classes


def class_names(trees: Iterable[ast.Module]) -> list[str]:
    """Classes that the dataset's side defines at top level."""
    return sorted({node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)})


def needs_shared(tree: ast.AST) -> str:
    """Why these tests cannot be forwarded, or nothing."""
    for node in ast.walk(tree):
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
        if (
            isinstance(node, ast.Attribute)
            and not isinstance(node.ctx, ast.Load)
            and node.attr in SHARED_TARGETS
        ):
            return "replaces " + node.attr
    return ""


def levels(
    wanted: set[str], tests: Iterable[ast.Module], known: Iterable[ast.Module | None]
) -> dict[str, int]:
    """How far each name is a class: 2 where the dataset defines it as one, 1 where tests use it as one."""
    found: dict[str, int] = {}
    trees = [tree for tree in known if tree is not None]
    functions = {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    classes = set(class_names(trees))
    for name in wanted:
        if name in classes:
            found[name] = 2
        elif name == "Solution" or (
            is_class_name(name) and name not in functions and used_as_class(name, tests)
        ):
            found[name] = 1
    return found


def used_as_class(name: str, tests: Iterable[ast.Module]) -> bool:
    """The tests keep `Name(…)`, pass it on or take its attributes."""
    for tree in tests:
        for node in ast.walk(tree):
            holders: list[ast.AST] = []
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Attribute, ast.NamedExpr)) and node.value:
                holders = [node.value]
            elif isinstance(node, (ast.List, ast.Tuple)):
                holders = list(node.elts)
            elif isinstance(node, ast.Call):
                holders = list(node.args)
            if any(isinstance(held, ast.Call) and getattr(held.func, "id", "") == name for held in holders):
                return True
    return False
