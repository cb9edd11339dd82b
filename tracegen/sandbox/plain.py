"""Tests that are nothing but data: read here, and never run.

`assert f(1, [2]) == [3]` says a call and what it has to give. Where every test of a problem is of that
kind, no test code runs anywhere: the calls go to the candidate's container as data, what they give comes
back as data, and is compared here, as Python would, on values that this module has built itself out of
numbers, texts, lists, tuples, sets and dictionaries. Nothing is ever evaluated by name.

    test      assert EXPRESSION; also in `def check(candidate):`
    EXPRESSION   a literal, f(literals), WRAPPER(EXPRESSION), one comparison, `and`, `not`, sums of numbers

Everything else is `Unreadable`, and so is every answer that is more than plain data, too large or too deep,
or that an operation does not take: then the judge's container decides, which is always right and costs more.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import json
import math
import operator
import re
import sys
from collections.abc import Callable
from typing import Any

from tracegen.data import AssertTests, CheckTests, CodeTests, Struct
from tracegen.syntax import tree_of

SOURCE = 32 << 10
"""Characters of tests that are read; more of them are the judge's."""
MOST_CALLS = 2000
ESCAPE = re.compile(r"\\[^\\'\"abfnrtvx0-7NuU\n]")
"""What may be an escape that Python warns of."""
METHOD = re.compile(r"Solution\(\)\.[A-Za-z]\w*")
"""LeetCode's entry points: a method of an object that is made once."""
SMALL = 1 << 63
HEX_DIGITS = 3000
"""Of an integer; what takes more is not compared here."""
ITEMS = 200_000
"""Steps in which an answer is taken, however often it repeats a part."""
HASHED = 1000
"""Members of a set or dictionary: a hostile choice of them makes each as slow as all before it."""
DEEP = 40
PLAIN = (type(None), bool, int, float, str)
MODULES = {"np", "pd", "nx", "sp", "plt", "numpy", *sys.stdlib_module_names}
"""Names by which tests may mean a library."""
TYPES: dict[str, type] = {
    kind.__name__: kind for kind in (bool, int, float, str, list, tuple, set, frozenset, dict)
}
COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: operator.contains(b, a), ast.NotIn: lambda a, b: not operator.contains(b, a),
}  # fmt: skip
SIGNS: dict[type, str] = {
    ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Is: "is",
    ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
REFUSED = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What Python raises where an operation does not take a value."""


class Unreadable(Exception):
    """More than data."""


class Test(Struct, frozen=True):
    """One assert."""

    condition: ast.expr
    line: str
    """As it stands in the tests."""
    calls: tuple[ast.Call, ...]
    """Those of the candidate, in the order in which they are made."""
    says: bool = True
    """That it fails can be said here; else its message is code, which is the judge's to run."""


class Plain(Struct, frozen=True):
    """Tests that have been read."""

    tests: tuple[Test, ...]
    questions: tuple[bytes, ...]
    """What the candidate is asked, one for each call."""
    apart: bool = False
    """One question gives away the answer to another, as in `f("Ab") == "aB"` and `f("aB") == "Ab"`."""


# --- reading the tests -----------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def read(tests: CodeTests) -> Plain | None:
    """The tests as data; None where they are more than that."""
    try:
        match tests.tests:
            case AssertTests(statements=statements, setup=setup):
                found = asserts_of(statements, setup, tests)
            case CheckTests(source=source):
                found = check_of(source, tests)
            case _:
                return None
    except (Unreadable, SyntaxError, MemoryError, *REFUSED):
        return None
    return found if 0 < len(found.questions) <= MOST_CALLS else None


def asserts_of(statements: tuple[str, ...], setup: str, tests: CodeTests) -> Plain:
    """Statements that call one function by its name."""
    require(sum(map(len, statements)) <= SOURCE)
    trees = [parse(statement) for statement in statements]
    nodes = [(node, source) for tree, source in zip(trees, statements, strict=True) for node in tree.body]
    for node in parse(setup).body:
        require(imports_math(node))
    name = tests.entry_point or only_name([node for node, _ in nodes])
    context_is_plain(tests.prompt, name, named=bool(tests.entry_point))
    return plain(nodes, {name}, name)


def check_of(source: str, tests: CodeTests) -> Plain:
    """`def check(candidate)` that only asserts, beside constants that it does not use."""
    tree = parse(source)
    checks = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    require(len(checks) == 1 and checks[0].name == "check" and not checks[0].decorator_list)
    entry = tests.entry_point
    match tree.body[-1]:
        case ast.Expr(ast.Call(func=ast.Name(id="check"), args=[target], keywords=[])):  # LeetCode
            require(entry in ("", ast.unparse(target)))
            entry = ast.unparse(target)
            tree.body.pop()
    names = {only_argument(checks[0].args), entry}
    for node in tree.body:
        require(node is checks[0] or is_text(node) or imports_math(node) or is_constant(node, names))
    context_is_plain(tests.prompt, entry)
    body = [(node, source) for node in checks[0].body if not is_text(node) and not isinstance(node, ast.Pass)]
    return plain(body, names, entry)


def only_argument(given: ast.arguments) -> str:
    more = [*given.posonlyargs, *given.kwonlyargs, *given.defaults, given.vararg, given.kwarg]
    require(len(given.args) == 1 and not any(more))
    return given.args[0].arg


def parse(source: str) -> ast.Module:
    require(len(source) <= SOURCE and not ESCAPE.search(source))
    return tree_of(source)


def require(holds: object) -> None:
    if not holds:
        raise Unreadable


def only_name(nodes: list[ast.stmt]) -> str:
    """The one function that the statements call and that nobody else defines."""
    used = {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}
    strange = used - TYPES.keys() - WRAPPERS.keys() - {"math", "isinstance"}
    require(len(strange) == 1)
    return strange.pop()


def context_is_plain(prompt: str, name: str, *, named: bool = True) -> None:
    """The name is the candidate's for the judge, too, and the prompt binds nothing that a test could use."""
    require(METHOD.fullmatch(name) or name.isidentifier())
    require(name not in MODULES and not hasattr(builtins, name))
    taken = {*WRAPPERS, *TYPES, "isinstance", "math", "*", *([] if named else [name])}
    for ending in ("", "\n        pass", "\n    pass", "pass") if prompt else ():
        with contextlib.suppress(SyntaxError):
            tree = parse(prompt + ending)
            require(not bound(tree) & taken)
            return


def bound(tree: ast.Module) -> set[str]:
    """Names that a prompt binds; raises Unreadable where it has classes, whose objects the judge knows."""
    names = set()
    for node in ast.walk(tree):
        require(not isinstance(node, ast.ClassDef))
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names if alias.name != "math")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
    return names


def imports_math(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import) and [(name.name, name.asname) for name in node.names] == [
        ("math", None)
    ]


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_constant(node: ast.stmt, taken: set[str]) -> bool:
    """A literal under a name that means nothing else."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            evaluate(value, {})
            return name not in taken and name not in WRAPPERS and name not in TYPES and name not in MODULES
    return False


def plain(nodes: list[tuple[ast.stmt, str]], names: set[str], name: str) -> Plain:
    """The asserts, each with its calls of what `names` mean; raises Unreadable."""
    tests, questions = [], []
    for node, source in nodes:
        match node:
            case ast.Assert(test=condition, msg=message):
                calls = tuple(calls_in(condition, names))
                require(bool(calls) or bool(evaluate(condition, {})))
                questions += [question(call, name) for call in calls]
                line = source.splitlines()[node.lineno - 1].strip()
                says = message is None or isinstance(message, ast.Constant)
                tests.append(Test(condition, line, calls, says))
            case _:
                raise Unreadable
    return Plain(tuple(tests), tuple(questions), telling(tests))


def telling(tests: list[Test]) -> bool:
    """What a test expects is an argument of a later call."""
    later: set[str] = set()
    for test in reversed(tests):
        for call in test.calls:
            args = (*call.args, *(word.value for word in call.keywords))
            later |= {ast.dump(arg) for arg in args if not slight(arg)}
        match test.condition:
            case ast.Compare(left=left, comparators=[right]):
                if any(not slight(side) and ast.dump(side) in later for side in (left, right)):
                    return True
    return False


def slight(node: ast.expr) -> bool:
    """A value that occurs twice by chance: a small number, one character, a list of one item."""
    match node:
        case ast.Constant(value=str(value)):
            return len(value) < 2
        case ast.Constant(value=value):
            return not isinstance(value, int | float) or abs(value) < 10
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items) | ast.Dict(values=items):
            return len(items) < 2
        case ast.UnaryOp(operand=operand):
            return slight(operand)
    return True


def calls_in(node: ast.expr, names: set[str]) -> list[ast.Call]:
    """The candidate's calls in an expression that is otherwise readable, in Python's order."""
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in names:
            return [node]
        case ast.Call(func=ast.Name(id="isinstance"), args=[value, kinds], keywords=[]):
            types_of(kinds)
            return calls_in(value, names)
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in WRAPPERS:
            pass
        case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr="isclose")):
            parts = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg)]
        case ast.Compare(left=left, ops=[sign], comparators=[right]):
            if isinstance(sign, (ast.Is, ast.IsNot)):
                require(isinstance(right, ast.Constant) and type(right.value) in (bool, type(None)))
            parts = [left, right]
        case ast.BoolOp(op=ast.And(), values=parts):
            pass
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in ARITHMETIC:
            parts = [left, right]
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            pass
        case _:
            evaluate(node, {})
            return []
    return [call for part in parts for call in calls_in(part, names)]


def question(call: ast.Call, name: str) -> bytes:
    """A call as the candidate is asked it; raises Unreadable."""
    args = [evaluate(part, {}) for part in call.args]
    kwargs = {str(word.arg): evaluate(word.value, {}) for word in call.keywords if word.arg is not None}
    require(len(kwargs) == len(call.keywords))
    return json.dumps({"op": "named", "name": name, "call": sent([args, kwargs])}).encode()


def sent(value: Any) -> dict[str, Any]:
    """Data as a message of the harness's codec."""
    nodes: list[list[Any]] = []

    def part(x: Any) -> Any:
        kind = type(x)
        if kind in PLAIN and (kind is not int or -SMALL < x < SMALL):
            return x
        node: list[Any] = []
        nodes.append(node)
        index = len(nodes) - 1
        if kind is int:
            node += ["i", format(x, "x")]
        elif kind is bytes:
            node += ["b", x.hex()]
        elif kind is dict:
            node += ["d", *(part(side) for item in x.items() for side in item)]
        elif kind in (list, tuple):
            node += ["l" if kind is list else "t", *map(part, x)]
        else:
            raise Unreadable  # such as a set, whose order is another one here than in the container
        return [index]

    return {"v": part(value), "n": nodes}


# --- values ----------------------------------------------------------------------------------------


def evaluate(node: ast.expr, answers: dict[ast.Call, Any]) -> Any:
    """What an expression is, given what the calls gave; raises Unreadable or what Python raises."""
    match node:
        case ast.Constant(value=value):
            require(type(value) in (*PLAIN, bytes))
            return value
        case ast.List(elts=parts):
            return [evaluate(part, answers) for part in parts]
        case ast.Tuple(elts=parts):
            return tuple([evaluate(part, answers) for part in parts])
        case ast.Set(elts=parts):
            return {evaluate(part, {}) for part in parts}
        case ast.Dict(keys=keys, values=values):
            require(None not in keys)
            return {
                evaluate(key, {}): evaluate(value, {})
                for key, value in zip(keys, values, strict=True)
                if key is not None
            }
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not evaluate(operand, answers)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            x = number(evaluate(operand, answers))
            return -x if isinstance(sign, ast.USub) else +x
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in ARITHMETIC:
            x, y = evaluate(left, answers), evaluate(right, answers)
            if isinstance(sign, ast.Add) and type(x) is type(y) and type(x) in (str, list, tuple):
                require(len(x) + len(y) <= ITEMS)
                return x + y
            return number(ARITHMETIC[type(sign)](number(x), number(y)))
        case ast.BoolOp(op=ast.And(), values=parts):
            for part in parts:
                found = evaluate(part, answers)
                if not found:
                    break
            return found
        case ast.Compare(left=left, ops=[sign], comparators=[right]):
            return COMPARE[type(sign)](evaluate(left, answers), evaluate(right, answers))
        case ast.Call() if node in answers:
            return answers[node]
        case ast.Call(func=ast.Name(id="isinstance"), args=[value, kinds], keywords=[]):
            return isinstance(evaluate(value, answers), types_of(kinds))
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in WRAPPERS:
            return WRAPPERS[name](*(evaluate(part, answers) for part in parts))
        case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr="isclose"), args=parts):
            words = {str(word.arg): number(evaluate(word.value, answers)) for word in node.keywords}
            return math.isclose(*(number(evaluate(part, answers)) for part in parts), **words)
    raise Unreadable


def types_of(node: ast.expr) -> tuple[type, ...]:
    """What `isinstance` is asked for."""
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    names = [part.id for part in parts if isinstance(part, ast.Name) and part.id in TYPES]
    require(len(names) == len(parts))
    return tuple(TYPES[name] for name in names)


def number(x: Any) -> Any:
    require(type(x) is float or (type(x) in (int, bool) and x.bit_length() <= 4 * HEX_DIGITS))
    return x


def power(x: Any, y: Any) -> Any:
    if type(x) is not float and type(y) is not float:
        require(y >= 0 and x.bit_length() * y <= 4 * HEX_DIGITS)
    return x**y


ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: power,
}  # fmt: skip


def sequence(x: Any) -> Any:
    """What has an order of its own: that of a set is another one in every process."""
    require(type(x) in (list, tuple, str, dict))
    return x


def members(x: Any) -> Any:
    require(type(x) in (list, tuple, str, dict, set, frozenset))
    return x


def sortable(x: Any) -> Any:
    """What is sorted in one way only: the members of a set have to be numbers or texts for that."""
    if type(x) in (set, frozenset):
        require(all(type(item) in PLAIN and item == item for item in x))
        return x
    return sequence(x)


def few(digits: Any) -> Any:
    require(digits is None or (type(digits) is int and abs(digits) <= 400))
    return digits


def hashed(kind: type) -> Callable[[Any], Any]:
    def made(x: Any) -> Any:
        require(type(x) is str or len(members(x)) <= HASHED)
        return kind(x)

    return made


def scalar(x: Any) -> Any:
    require(type(x) in PLAIN and (type(x) is not str or len(x) <= 100))
    return x


def numbers(x: Any) -> list[Any]:
    require(type(x) in (list, tuple))
    return [number(item) for item in x]


WRAPPERS: dict[str, Callable[..., Any]] = {
    "len": lambda x: len(members(x)),
    "set": hashed(set),
    "frozenset": hashed(frozenset),
    "sorted": lambda x: sorted(sortable(x)),
    "list": lambda x: list(sequence(x)),
    "tuple": lambda x: tuple(sequence(x)),
    "str": lambda x: str(scalar(x)),
    "int": lambda x: int(scalar(x)),
    "float": lambda x: float(scalar(x)),
    "bool": lambda x: bool(x),
    "abs": lambda x: abs(number(x)),
    "round": lambda x, digits=None: round(number(x), few(digits)),
    "sum": lambda x: sum(numbers(x)),
    "min": lambda x: min(numbers(x)),
    "max": lambda x: max(numbers(x)),
}
"""Builtins that tests put around a call, for values on which they are quick and say the same everywhere."""


# --- answers ---------------------------------------------------------------------------------------


def answered(message: Any) -> Any:
    """The value in a message of the harness's codec, from bytes that the candidate may have made up.

    Raises Unreadable where it is more than plain data, larger or deeper than what is compared here.
    """
    nodes, left = message["n"], ITEMS
    require(type(nodes) is list)

    def part(x: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        require(left >= 0 and depth < DEEP)
        if type(x) is int:
            require(-SMALL < x < SMALL)
        if type(x) in PLAIN:
            return x
        require(type(x) is list and len(x) == 1 and type(x[0]) is int and 0 <= x[0] < len(nodes))
        node = nodes[x[0]]
        require(type(node) is list and node)
        tag, hashed = node[0], node[0] not in ("i", "l", "t")
        require(not hashed or len(node) <= HASHED)
        left -= len(node) ** 2 // 16 if hashed else len(node)  # what it may cost, even if it is met again
        require(left >= 0)
        rest = node[1:]
        if tag == "i":
            require(type(rest[0]) is str and len(rest[0]) <= HEX_DIGITS)
            return int(rest[0], 16)
        items = [part(item, depth + 1) for item in rest]
        match tag:
            case "l":
                return items
            case "t":
                return tuple(items)
            case "S":
                return set(items)
            case "F":
                return frozenset(items)
            case "d":
                return dict(zip(items[::2], items[1::2], strict=True))
        raise Unreadable

    result, changed = part(message["v"], 0)
    require(changed is None)
    return result


def evidence(test: Test, answers: dict[ast.Call, Any]) -> str:
    """What was compared where a test does not hold."""
    match test.condition:
        case ast.Compare(left=left, ops=[sign], comparators=[right]):
            got, wanted = shown(evaluate(left, answers)), shown(evaluate(right, answers))
            if isinstance(sign, ast.Eq):
                return f"got {got}, expected {wanted}"
            return f"got {got}, which is not {SIGNS[type(sign)]} {wanted}"
    return ", ".join(f"{text(call)} is {shown(answers[call], 240)}" for call in test.calls[:3])


def text(call: ast.Call) -> str:
    try:
        return cut(ast.unparse(call), 240)
    except RecursionError:
        return "a call"


def shown(value: Any, limit: int = 500) -> str:
    return cut(repr(value), limit)


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
