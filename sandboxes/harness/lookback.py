"""Which calls of a test are followed by a look at their arguments, which the candidate may have changed.

    k = remove_element(nums, 3)
    assert nums[:k] == [2, 2]

What a call changed in place is brought back at once where nothing is returned (see `remote`). Where something
is, that waits for the statement's end, and is done only where the tests compare the argument with what the
candidate cannot have touched: of `got = f(x); assert got == sorted(x)`, a program that empties `x` and
returns it would pass.
"""

from __future__ import annotations

import ast
import builtins

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BODIES = ("body", "orelse", "finalbody")
MAX_STATEMENTS = 200
"""In a longer run nobody looks: each statement would be read with all that follow it."""
Check = tuple[list[ast.expr], list[ast.expr]]
"""What is compared, side by side; the second is empty where there is one side."""


def marked(tree: ast.Module, whole: list[ast.stmt]) -> ast.Module:
    """The tree with such calls as `__kept__(f)(x)`, and `__changed__()` after their statements.

    `whole` is the run that the module's body is a part of: other statements may follow.
    """
    for node in [*ast.walk(tree)]:
        for field in BODIES:
            body = getattr(node, field, None)
            if type(body) is list and body and isinstance(body[0], ast.stmt):
                run = whole if node is tree else body
                setattr(node, field, [part for one in body for part in settled(one, looked_at(one, run))])
    return ast.fix_missing_locations(tree)


def settled(statement: ast.stmt, names: set[str]) -> Iterator[ast.stmt]:
    """The statement, its calls with these arguments marked, and what follows it."""
    yield statement
    if not names:
        return
    for call in calls(statement):
        if handed(call) & names:
            call.func = ast.copy_location(ast.Call(ast.Name("__kept__", ast.Load()), [call.func], []), call)
    after = ast.Expr(ast.Call(ast.Name("__changed__", ast.Load()), [], []))
    yield ast.copy_location(after, statement)


def looked_at(statement: ast.stmt, body: list[ast.stmt]) -> set[str]:
    """The arguments of a statement's calls that later ones look at, and nothing but that."""
    looks = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Assert, ast.Expr))
    if not looks or len(body) > MAX_STATEMENTS:
        return set()
    later = body[body.index(statement) + 1 :]
    given = set().union(*(handed(call) for call in calls(statement)))
    return {name for name in given if only_looked_at(name, targets(statement), later)}


def only_looked_at(name: str, results: set[str], later: list[ast.stmt]) -> bool:
    """Whether `name` is in a check, and in none on whose other side is a result of the candidate's."""
    own, theirs, found = {name}, set(results) - {name}, False
    for statement in later:
        for left, right in (check for part in ast.walk(statement) for check in checks(part)):
            sides = [
                (mentions(side, own), mentions(side, theirs) or foreign(side, own)) for side in (left, right)
            ]
            if not (sides[0][0] or sides[1][0]):
                continue
            found = True
            (ours, answered), (others, replied) = sides
            if not right and answered:
                return False
            if (ours and (replied or others)) or (others and answered):
                return False
        made = targets(statement)
        if name in made:
            return found
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            own |= made if mentions([statement.value], own) else set()
            theirs |= (
                made if mentions([statement.value], theirs) or foreign([statement.value], own) else set()
            )
    return found


def checks(node: ast.AST) -> Iterator[Check]:
    """What an assertion compares."""
    if isinstance(node, ast.Assert):
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            yield [test.left], [test.comparators[0]]
        else:
            yield [test], []
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        if isinstance(call.func, ast.Attribute) and call.func.attr.startswith("assert"):
            yield call.args[:1], call.args[1:2]


def calls(statement: ast.stmt) -> list[ast.Call]:
    """The calls in a statement but those of builtin functions and assertions."""
    return [node for node in ast.walk(statement) if isinstance(node, ast.Call) and not known(node.func)]


def known(function: ast.expr) -> bool:
    """A function that is certainly not the candidate's."""
    if isinstance(function, ast.Attribute):
        return function.attr.startswith("assert")
    return isinstance(function, ast.Name) and hasattr(builtins, function.id)


def handed(call: ast.Call) -> set[str]:
    """The names that a call is given as they are."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return {part.id for part in given if isinstance(part, ast.Name)}


def targets(statement: ast.stmt) -> set[str]:
    """The names that a statement binds."""
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def mentions(sides: Iterable[ast.AST], names: set[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for side in sides for node in ast.walk(side))


def foreign(sides: Iterable[ast.AST], own: set[str]) -> bool:
    """Whether a function is called that may be the candidate's: no builtin, no method of these names."""
    for node in (part for side in sides for part in ast.walk(side)):
        if isinstance(node, ast.Call) and not known(node.func):
            base = node.func.value if isinstance(node.func, ast.Attribute) else None
            if not (isinstance(base, ast.Name) and base.id in own):
                return True
    return False
