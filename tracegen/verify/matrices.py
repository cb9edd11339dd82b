"""Sums and products of matrices."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from tracegen.verify.tree import Group, Matrix, Node, Num, Op, Seq, SetOf, substituted, symbols, walk


def as_matrix(node: Node) -> Matrix | None:
    """The matrix that a sum or product of matrices is; None where it is none or the shapes do not fit."""
    match node:
        case Matrix():
            return node
        case Op(name="transpose", args=(Matrix(rows=rows),)):
            return Matrix(tuple(zip(*rows, strict=True)))
        case Op(name="neg", args=(inner,)):
            return _product(Num(Fraction(-1)), inner)
        case Op(name="add", args=args):
            return _fold(args, _sum)
        case Op(name="mul", args=args):
            return _fold(args, _product)
        case _:
            return None


def beside(node: Node, matrix: Matrix) -> Matrix | None:
    """`2I` and `E` as matrices of the shape of `matrix`; None where they hold no sign of a unit matrix."""
    names = symbols(node) & {"I", "E", f"I_{len(matrix.rows)}", f"E_{len(matrix.rows)}"}
    if len(names) != 1 or len(matrix.rows) != len(matrix.rows[0]):
        return None
    size = range(len(matrix.rows))
    unit = Matrix(tuple(tuple(Num(Fraction(row == column)) for column in size) for row in size))
    return as_matrix(substituted(node, names.pop(), unit))


_AXES = ("basis i", "basis j", "basis k")


def as_vector(node: Node, *, in_space: bool = False) -> Group | None:
    """`2\\mathbf{i} - \\mathbf{j}` as a vector; None where no unit vector occurs, or only one called i.

    It has a third part where `k` occurs, or `in_space`.
    """
    used = [axis for axis in _AXES if axis in symbols(node)]
    if not used or used == ["basis i"]:
        return None
    parts = []
    for axis in _AXES if in_space or "basis k" in used else _AXES[:2]:
        part = node
        for other in _AXES:
            part = substituted(part, other, Num(Fraction(other == axis)))
        parts.append(part)
    return Group("(", ")", tuple(parts))


def _fold(args: tuple[Node, ...], combine: Callable[[Node, Node], Matrix | None]) -> Matrix | None:
    if len(args) > 20 or not any(isinstance(part, Matrix) for arg in args for part in walk(arg)):
        return None
    total: Node | None = args[0]
    for arg in args[1:]:
        total = (
            _times(total, arg) if combine is _product and total is not None else total and combine(total, arg)
        )
        if total is None:
            return None
    return total if isinstance(total, Matrix) else None


def _times(left: Node, right: Node) -> Node | None:
    """A product in which both may still be numbers."""
    if as_matrix(left) is None and as_matrix(right) is None:
        return Op("mul", (left, right))
    return _product(left, right)


def _sum(left: Node, right: Node) -> Matrix | None:
    first, second = as_matrix(left), as_matrix(right)
    if first is None or second is None or _shape(first) != _shape(second):
        return None
    pairs = zip(first.rows, second.rows, strict=True)
    return Matrix(tuple(tuple(Op("add", cells) for cells in zip(*rows, strict=True)) for rows in pairs))


def _product(left: Node, right: Node) -> Matrix | None:
    first, second = as_matrix(left), as_matrix(right)
    if first is None and second is None:
        return None
    if first is None or second is None:
        matrix, factor = (second, left) if first is None else (first, right)
        if matrix is None or isinstance(factor, Group | SetOf | Seq):
            return None
        return Matrix(tuple(tuple(Op("mul", (factor, cell)) for cell in row) for row in matrix.rows))
    if _shape(first)[1] != _shape(second)[0]:
        return None
    columns = list(zip(*second.rows, strict=True))
    return Matrix(tuple(tuple(_dot(row, column) for column in columns) for row in first.rows))


def _dot(row: tuple[Node, ...], column: tuple[Node, ...]) -> Node:
    return Op("add", tuple(Op("mul", cells) for cells in zip(row, column, strict=True)))


def _shape(matrix: Matrix) -> tuple[int, int]:
    return len(matrix.rows), len(matrix.rows[0])
