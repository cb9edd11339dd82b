"""How tests treat the candidate's objects, decided from the tests alone.

Were it decided from what the candidate says, a candidate could have its objects trusted as it likes.
"""

from __future__ import annotations

import ast
import collections
import datetime
import decimal
import fractions
import inspect
import pathlib
import types
import uuid
from array import array

import codec
import library_types
import names

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

OBJECT, OPERATORS = 1, 2
"""Levels of trust (see `remote`)."""
CROSSING = (
    *(kind for kind in codec.PLAIN_TYPES.values() if not issubclass(kind, (BaseException, property))),
    collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque,
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta, decimal.Decimal,
    fractions.Fraction, pathlib.Path, types.SimpleNamespace, types.GeneratorType, uuid.UUID, array,
)  # fmt: skip
"""Types whose values are answers by themselves; those of libraries are in `library_types`."""
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
        elif makes_objects(name, tests) if name.isupper() else names.is_class_name(name):  # not a constant
            if file:
                found[name] = OPERATORS
            elif name == "Solution" or used_as_class(name, tests):
                found[name] = OBJECT
    return found


def makes_objects(name: str, tests: Iterable[ast.Module]) -> bool:
    """The tests call `NAME()`, or take attributes of what `NAME(…)` gives: as of `LRU`, not of `GCD`. What is
    called and has one letter is a class."""
    tests = list(tests)
    nodes = [node for tree in tests for node in ast.walk(tree)]
    calls = [node for node in nodes if isinstance(node, ast.Call) and names_it(node.func, name)]
    if any(len(name) == 1 or not (call.args or call.keywords) for call in calls):
        return True
    return any(group.uses for group in Uses(tests, {name}).groups if name in group.names)


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


# --- what tests ask of what they get ---------------------------------------------------------------


def objects(tests: Iterable[ast.Module], known: Iterable[ast.Module | None], wanted: set[str]) -> set[str]:
    """Functions, methods and attributes whose values are objects of the candidate's, by the tests' own word:
    they ask of one what no type of plain data has all of. `name[]` stands for the items of such a value.

    Or by the reference's, which returns one.
    """
    found = {
        name
        for group in Uses(tests, wanted).groups
        if group.uses and not plain(group.uses)
        for name in group.names
    }
    return found.union(*(returning(tree) for tree in known if tree is not None))


def returning(tree: ast.Module) -> set[str]:
    """Functions and methods that return `self`, or a new object of a class that the tree defines: all of one
    name do."""
    kinds = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    made = {node.name for node in kinds if own_base(node)} | {"cls", "self.__class__", "type(self)"}
    found: dict[str, bool] = {}
    for body in (tree.body, *(node.body for node in kinds)):
        for node in body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = found.get(node.name, True) and gives_object(node, made)
    return {name for name, every in found.items() if every}


def gives_object(function: ast.FunctionDef, made: set[str]) -> bool:
    """Each of its own `return`s gives such an object."""
    values = []
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(node, ast.Return):
            values.append(node.value)
        waiting += ast.iter_child_nodes(node)
    return bool(values) and all(
        (isinstance(value, ast.Call) and ast.unparse(value.func) in made)
        or (isinstance(value, ast.Name) and value.id == "self")
        for value in values
    )


def own_base(node: ast.ClassDef) -> bool:
    """Not one of plain data, such as a named tuple."""
    return not {ast.unparse(base).rpartition(".")[2] for base in node.bases} & PLAIN_BASES


PLAIN_BASES = {*codec.PLAIN_TYPES, "NamedTuple", "namedtuple", "UserDict", "UserList", "UserString"}


class Group:
    """Attributes asked of one value, and where it may come from."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.uses: list[ast.Call | ast.Attribute] = []


NOBODY: frozenset[str] = frozenset(("",))
NOTHING = Group(frozenset())
"""What nobody asks about, such as what `pytest.raises` gives."""


class Uses(ast.NodeVisitor):
    """The groups of tests, read in the order in which they run: a variable is what it was given last."""

    def __init__(self, trees: Iterable[ast.Module], wanted: set[str]) -> None:
        self.wanted = wanted
        self.returns: dict[str, frozenset[str]] = {}
        """Of helpers, fixtures and `self.name`: where what they hold comes from."""
        trees = list(trees)
        for _ in range(2):  # a fixture may stand below the helper that it calls
            self.keyed: dict[tuple[int, str], Group] = {}
            self.bound: list[Group] = []
            self.local: dict[str, Group] = {}
            self.scope = 0
            self.function = self.kind = ""
            for tree in trees:
                self.visit(tree)
        self.groups = [*self.keyed.values(), *self.bound]

    def of(self, node: ast.AST | None) -> Group | None:
        """The group of an expression's value; None where it is none of the candidate's."""
        if isinstance(node, ast.Name):
            known = self.local.get(node.id) or self.shared(node.id)
            return known or (self.under(f"<{node.id}>", NOBODY) if node.id in self.wanted else None)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                name, ours = node.func.id, node.func.id in self.wanted
            else:
                name = getattr(node.func, "attr", "")
                ours = name in self.wanted or self.of(getattr(node.func, "value", None)) not in (
                    None,
                    NOTHING,
                )
            return self.shared(f"{name}()") or (self.under(name, frozenset((name,))) if ours else None)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and (field := self.shared(self.field(node))):
                return field
            whole = self.of(node.value)
            return whole if whole in (None, NOTHING) else self.under(f".{node.attr}", frozenset((node.attr,)))
        if isinstance(node, ast.Subscript):
            return self.items(self.of(node.value))
        if isinstance(node, (ast.NamedExpr, ast.Await, ast.Starred)):
            return self.of(node.value)
        return None

    def items(self, whole: Group | None) -> Group | None:
        """The group of a value's items."""
        if whole is None or whole is NOTHING:
            return whole
        names = frozenset(name if name.endswith("[]") else f"{name}[]" for name in whole.names)
        return self.under("|".join(sorted(names)), names)

    def shared(self, key: str) -> Group | None:
        names = self.returns.get(key)
        return self.under(key, names) if names else None

    def under(self, key: str, names: frozenset[str]) -> Group:
        """One group for each test."""
        return self.keyed.setdefault((self.scope, key), Group(names))

    def bind(self, target: ast.AST | None, group: Group | None, *, alias: bool = False) -> None:
        """`target` is now a value of the group."""
        if isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                self.bind(part, self.items(group))
        elif isinstance(target, ast.Name):
            self.local.pop(target.id, None)
            if group is not None:
                self.local[target.id] = group if alias or group is NOTHING else Group(group.names)
                self.bound.append(self.local[target.id])
        elif isinstance(target, ast.Attribute) and group is not None:
            self.give(self.field(target), group.names)

    def field(self, node: ast.Attribute) -> str:
        """`self.name` of one class."""
        return f"{self.kind}:{node.value.id if isinstance(node.value, ast.Name) else ''}.{node.attr}"

    def give(self, key: str, names: frozenset[str]) -> None:
        self.returns[key] = self.returns.get(key, frozenset()) | names

    # --- in their order --------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        before = self.local, self.scope, self.function
        self.local, self.scope, self.function = {**self.local}, id(node), node.name
        for arg in (*node.args.args, *node.args.kwonlyargs):  # a fixture, or whatever it is called with
            self.local.pop(arg.arg, None)
        self.generic_visit(node)
        self.local, self.scope, self.function = before

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        before, self.kind = self.kind, node.name
        self.generic_visit(node)
        self.kind = before

    def visit_Lambda(self, node: ast.Lambda) -> None:
        before = dict(self.local)
        for arg in (*node.args.args, *node.args.kwonlyargs):
            self.local[arg.arg] = NOTHING
        self.visit(node.body)
        self.local = before

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.local[node.name] = NOTHING
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return | ast.Yield) -> None:
        self.generic_visit(node)
        group = self.of(node.value)
        if self.function and group is not None:
            self.give(self.function, group.names)
            self.give(f"{self.function}()", group.names)

    def visit_Yield(self, node: ast.Yield) -> None:
        self.visit_Return(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)
            self.bind(target, self.of(node.value), alias=isinstance(node.value, ast.Name))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            self.bind(node.target, self.of(node.value))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.bind(node.target, self.of(node.value))

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            waits = isinstance(item.context_expr, ast.Call) and names.WAITS.fullmatch(
                ast.unparse(item.context_expr.func)
            )
            self.bind(item.optional_vars, NOTHING if waits else self.of(item.context_expr))
        for statement in node.body:
            self.visit(statement)

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self.bind(node.target, self.items(self.of(node.iter)))
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        for part in node.generators:
            self.visit(part.iter)
            self.bind(part.target, self.items(self.of(part.iter)))
            for test in part.ifs:
                self.visit(test)
        for held in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(held)

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            self.use(node.func.value, node)
            self.visit(node.func.value)
        for held in (*node.args, *(word.value for word in node.keywords)):
            self.visit(held)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.use(node.value, node)
        self.visit(node.value)

    def use(self, value: ast.expr, node: ast.Call | ast.Attribute) -> None:
        group = self.of(value)
        if group is not None and group is not NOTHING:
            group.uses.append(node)


def plain(uses: list[ast.Call | ast.Attribute]) -> bool:
    """A type of plain data has all these attributes, and methods that take so many arguments."""
    if any(all(fits(kind, use) for use in uses) for kind in CROSSING):
        return True
    asked = {getattr(use.func, "attr", "") if isinstance(use, ast.Call) else use.attr for use in uses}
    return any(asked <= held for held in library_types.ATTRIBUTES)


def of_plain_data(name: str) -> bool:
    """Some type of plain data has an attribute of this name."""
    return any(hasattr(kind, name) for kind in CROSSING) or any(
        name in held for held in library_types.ATTRIBUTES
    )


def fits(kind: type, use: ast.Call | ast.Attribute) -> bool:
    """The type has what is used."""
    if isinstance(use, ast.Attribute):
        return hasattr(kind, use.attr)
    name = getattr(use.func, "attr", "")
    held = getattr(kind, name, None)
    if held is None or any(isinstance(arg, ast.Starred) for arg in use.args):
        return held is not None
    if name in ARGUMENTS and kind.__module__ in ("builtins", "collections", "array"):
        least, most = ARGUMENTS[name]
        return least <= len(use.args) <= most and not use.keywords
    try:
        signature = inspect.signature(held)
    except (TypeError, ValueError):  # which not every builtin has
        return True
    named = {word.arg: None for word in use.keywords if word.arg}
    try:
        signature.bind(*(() if isinstance(held, type) else (None,)), *use.args, **named)
    except TypeError:
        return isinstance(vars(kind).get(name), (classmethod, staticmethod))
    return True


ARGUMENTS = {
    "add": (1, 1), "discard": (1, 1), "remove": (1, 1), "append": (1, 1), "appendleft": (1, 1),
    "extend": (1, 1), "insert": (2, 2), "count": (1, 3), "index": (1, 3), "find": (1, 3), "pop": (0, 2),
    "get": (1, 2), "setdefault": (1, 2),
}  # fmt: skip
"""At least and at most, of methods of containers and texts that do not all say so themselves."""


def read_only(trees: Iterable[ast.Module]) -> set[str]:
    """Attributes that the tests read and never call."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    called = {
        node.func.attr
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)} - called


def literals(trees: Iterable[ast.Module]) -> list[Any]:
    """Numbers and texts that the tests speak of."""
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    found = {(type(node.value), node.value) for node in nodes if type(node.value) in (int, float, str)}
    return [value for _, value in sorted(found, key=repr)[:1000]]


def changed_attributes(trees: Iterable[ast.Module]) -> set[str]:
    """Attributes whose value the tests change in place: `x.items.append(1)`, `x.items[0] = 1`; `[]` stands
    for items, as in `x[0][1] = 1`."""
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
                found |= {"[]"} if isinstance(node.value, ast.Subscript) else set()
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


ASKED = {
    "type": (1, "__type__"), "isinstance": (2, "__isinstance__"), "callable": (1, "__callable__"),
    "hasattr": (2, "__hasattr__"), "id": (1, "__id__"),
}  # fmt: skip
"""Functions that would see a stand-in as what it is: how many arguments they take, what asks instead."""


class Typed(ast.NodeTransformer):
    """`type(x)`, `x.__class__`, `x is y` and such ask for what `x` stands for."""

    def __init__(self, bound: set[str]) -> None:
        self.bound = bound

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        count, asks = ASKED.get(name, (0, ""))
        plain = not node.keywords and not any(isinstance(arg, ast.Starred) for arg in node.args)
        if asks and plain and len(node.args) == count and name not in self.bound:
            node.func = ast.copy_location(ast.Name(asks, ast.Load()), node.func)
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        if isinstance(node.test, ast.Compare):  # which is compared by the judge anyway
            self.generic_visit(node.test)
            node.msg = self.visit(node.msg) if node.msg is not None else None
            return node
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) != 1 or not isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            return node
        if any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators)):
            return node
        asked = ast.Call(ast.Name("__same__", ast.Load()), [node.left, *node.comparators], [])
        made = asked if isinstance(node.ops[0], ast.Is) else ast.UnaryOp(ast.Not(), asked)
        return ast.copy_location(made, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr != "__class__" or not isinstance(node.ctx, ast.Load):
            return node
        asked = ast.copy_location(ast.Name("__class_of__", ast.Load()), node)
        return ast.copy_location(ast.Call(asked, [node.value], []), node)


def asks(node: ast.AST) -> bool:
    """It may be such a question."""
    if isinstance(node, ast.Compare):
        return isinstance(node.ops[0], (ast.Is, ast.IsNot))
    return (isinstance(node, ast.Name) and node.id in ASKED) or (
        isinstance(node, ast.Attribute) and node.attr == "__class__"
    )


def typed(tree: ast.Module) -> ast.Module:
    """The tree with such questions rewritten, as far as their names mean in it what they always do."""
    if not any(map(asks, ast.walk(tree))):
        return tree
    return ast.fix_missing_locations(Typed(names.bound(tree)).visit(tree))
