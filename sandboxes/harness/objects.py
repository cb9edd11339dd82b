"""How tests treat the candidate's objects, decided from the tests alone.

Were it decided from what the candidate says, a candidate could have its objects trusted as it likes.
"""

from __future__ import annotations

import ast
import collections
import datetime
import decimal
import fractions
import importlib
import inspect
import pathlib
import types
import uuid
from array import array

import codec
import names

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OBJECT, OPERATORS = 1, 2
"""Levels of trust (see `remote`)."""
CROSSING = (
    *codec.PLAIN_TYPES.values(), collections.Counter, collections.OrderedDict, collections.defaultdict,
    collections.deque, datetime.date, datetime.datetime, datetime.time, datetime.timedelta, decimal.Decimal,
    fractions.Fraction, pathlib.Path, types.SimpleNamespace, types.GeneratorType, uuid.UUID, array,
)  # fmt: skip
"""Types whose values are answers by themselves …"""
LIBRARIES = {
    "numpy": ("ndarray", "generic"),
    "pandas": ("DataFrame", "Series", "Index", "MultiIndex", "DatetimeIndex", "Timestamp", "Timedelta"),
    "sympy": ("Expr", "MatrixBase", "Set", "Tuple", "Rel"),
}
"""… and those of libraries."""
MUTATORS = frozenset((
    "append", "appendleft", "extend", "insert", "remove", "pop", "popleft", "clear", "sort", "reverse", "add",
    "discard", "update", "setdefault", "popitem",
))  # fmt: skip


def levels(
    wanted: set[str], tests: Iterable[ast.Module], known: Iterable[ast.Module | None], *, file: bool
) -> dict[str, int]:
    """How far each name is a class: 2 where the dataset defines it as one or a test file takes its name for
    one, 1 where statements use it as one."""
    found: dict[str, int] = {}
    trees = [tree for tree in known if tree is not None]
    functions = {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    classes = set(names.class_names(trees))
    for name in wanted:
        if name in classes:
            found[name] = OPERATORS
        elif name in functions and name != "Solution":
            continue
        elif names.is_class_name(name) or (name.isupper() and makes_objects(name, tests)):
            if file:
                found[name] = OPERATORS
            elif name == "Solution" or used_as_class(name, tests):
                found[name] = OBJECT
    return found


def makes_objects(name: str, tests: Iterable[ast.Module]) -> bool:
    """The tests call `NAME()`, or take attributes of what `NAME(…)` gives: as of `LRU`, not of `GCD`."""
    tests = list(tests)
    makers = Makers({name})
    for tree in tests:
        makers.read(tree)
    for node in (node for tree in tests for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and names_it(node.func, name) and not (node.args or node.keywords):
            return True
        if isinstance(node, ast.Attribute) and makers.of(node.value):
            return True
    return False


def used_as_class(name: str, tests: Iterable[ast.Module]) -> bool:
    """The tests keep `Name(…)`, pass it on, compute with it or take its attributes, or those of `Name`."""
    for tree in tests:
        for node in ast.walk(tree):
            holders: list[ast.AST] = []
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Attribute, ast.NamedExpr)) and node.value:
                holders = [node.value]
            elif isinstance(node, ast.Compare):
                holders = [node.left, *node.comparators]
            elif isinstance(node, ast.BinOp):
                holders = [node.left, node.right]
            elif isinstance(node, (ast.List, ast.Tuple)):
                holders = list(node.elts)
            elif isinstance(node, ast.Call):
                holders = list(node.args)
            elif isinstance(node, (ast.Return, ast.Yield)) and node.value:
                holders = [node.value]
            elif isinstance(node, ast.withitem):
                holders = [node.context_expr]
            if any(isinstance(held, ast.Call) and names_it(held.func, name) for held in holders):
                return True
            if isinstance(node, ast.Attribute) and names_it(node.value, name):
                return True
    return False


def names_it(function: ast.expr, name: str) -> bool:
    """`name`, or `module.name`."""
    return name in (getattr(function, "id", ""), getattr(function, "attr", ""))


def factories(trees: list[ast.Module], wanted: set[str]) -> set[str]:
    """Functions that give objects of the candidate's: of what they return the tests call methods with
    arguments, and no type of plain data has all that the tests ask of it."""
    makers = Makers(wanted)
    for tree in trees * 2:  # a fixture may stand below the helper that it calls
        makers.read(tree)
    asked: dict[str, list[ast.Call | ast.Attribute]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            held = node.func if isinstance(node, ast.Call) else node
            if isinstance(held, ast.Attribute):
                for name in makers.of(held.value):
                    asked.setdefault(name, []).append(node)  # type: ignore[arg-type]
    return {name for name, uses in asked.items() if any(map(with_arguments, uses)) and not plain(uses)}


def with_arguments(use: ast.AST) -> bool:
    """A call with arguments."""
    return isinstance(use, ast.Call) and bool(use.args or use.keywords)


class Makers:
    """Which of the candidate's functions may have made what an expression of the tests holds."""

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = wanted
        self.held: dict[str, set[str]] = {}

    def of(self, node: ast.expr | None) -> set[str]:
        """Names of functions."""
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            return {name} if name in self.wanted else self.held.get(f"{ast.unparse(node.func)}()", set())
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self.held.get(ast.unparse(node), set())
        return set()

    def hold(self, target: ast.expr | None, value: ast.expr | None) -> None:
        """`target` is now what `value` is."""
        if isinstance(target, (ast.Name, ast.Attribute)) and (found := self.of(value)):
            self.held.setdefault(ast.unparse(target), set()).update(found)

    def read(self, tree: ast.Module) -> None:
        """Notes assignments, and what helpers and fixtures return."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self.hold(target, node.value)
            elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)):
                self.hold(node.target, node.value)
            elif isinstance(node, ast.withitem):
                self.hold(node.optional_vars, node.context_expr)
            elif isinstance(node, ast.FunctionDef):
                for inner in ast.walk(node):
                    if isinstance(inner, (ast.Return, ast.Yield)) and (found := self.of(inner.value)):
                        for name in (node.name, f"{node.name}()"):
                            self.held.setdefault(name, set()).update(found)


def plain(uses: list[ast.Call | ast.Attribute]) -> bool:
    """A type of plain data has all these attributes, and methods that take so many arguments."""
    return any(all(fits(kind, use) for use in uses) for kind in crossing())


def fits(kind: type, use: ast.Call | ast.Attribute) -> bool:
    """The type has what is used."""
    if isinstance(use, ast.Attribute):
        return hasattr(kind, use.attr)
    held = getattr(kind, getattr(use.func, "attr", ""), None)
    if held is None or any(isinstance(arg, ast.Starred) for arg in use.args):
        return held is not None
    try:
        signature = inspect.signature(held)
    except (TypeError, ValueError):  # which not every builtin has
        return True
    named = {word.arg: None for word in use.keywords if word.arg}
    try:
        signature.bind(*(() if isinstance(held, type) else (None,)), *use.args, **named)
    except TypeError:
        return isinstance(vars(kind).get(use.func.attr), (classmethod, staticmethod))  # type: ignore[attr-defined]
    return True


def crossing() -> Iterator[type]:
    """The types of plain data; libraries are loaded last."""
    yield from CROSSING
    for module, kinds in LIBRARIES.items():
        try:
            found = importlib.import_module(module)
        except ImportError:
            continue
        yield from (getattr(found, kind) for kind in kinds)


def changed_attributes(trees: Iterable[ast.Module]) -> set[str]:
    """Attributes whose value the tests change in place: `x.items.append(1)`, `x.items[0] = 1`."""
    found: set[str] = set()
    for tree in trees:
        alias: dict[str, str] = {}
        changed: list[ast.expr] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
                alias.update((ast.unparse(target), node.value.attr) for target in node.targets)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                changed += [node.func.value] if node.func.attr in MUTATORS else []
            elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                changed.append(node.value)
        for held in map(outermost, changed):
            if isinstance(held, ast.Attribute):
                found.add(held.attr)
            elif isinstance(held, ast.Name) and held.id in alias:
                found.add(alias[held.id])
    return found


def outermost(node: ast.expr) -> ast.expr:
    """`x.rows` of `x.rows[0]`."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node


class Typed(ast.NodeTransformer):
    """`type(x)` and `x.__class__` ask for the class of what `x` stands for."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        one = len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred)
        if one and isinstance(node.func, ast.Name) and node.func.id == "type":
            node.func = ast.copy_location(ast.Name("__type__", ast.Load()), node.func)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr != "__class__" or not isinstance(node.ctx, ast.Load):
            return node
        asked = ast.copy_location(ast.Name("__class_of__", ast.Load()), node)
        return ast.copy_location(ast.Call(asked, [node.value], []), node)


def typed(tree: ast.Module) -> ast.Module:
    """The tree with such questions rewritten, unless `type` means something else in it."""
    return tree if "type" in names.bound(tree) else ast.fix_missing_locations(Typed().visit(tree))
