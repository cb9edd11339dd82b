"""pandas and sympy objects as nodes of a message: rebuilt from plain parts, compared by our own library.

A node is `["P", kind, …values]` or `["Y", kind, …values]`; of the values, lists and dictionaries are filled
only after it was rebuilt, so it is made of tuples. What has no such form (categories, time zones,
undefined functions) stays a handle. Neither library is imported before a value of it is seen.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # spares every container the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

NUMPY_KINDS = "biufcSUmMO"
CONSTANTS = (
    "pi", "E", "I", "oo", "zoo", "nan", "true", "false", "EulerGamma", "GoldenRatio", "Catalan", "EmptySet",
    "Reals", "Integers", "Naturals", "Naturals0", "Rationals", "Complexes", "UniversalSet",
)  # fmt: skip


def parts(x: Any, kind: type) -> list[Any] | None:
    """Tag, kind and plain parts of `x`; None where it has no such form."""
    library = str(kind.__module__).partition(".")[0]
    found = sys.modules.get(library)
    if found is None or library not in ("pandas", "sympy"):
        return None
    return of_pandas(found, x, kind) if library == "pandas" else of_sympy(found, x, kind)


def rebuilt(tag: str, kind: str, held: list[Any]) -> Any:
    """The object of `parts`; whatever it raises is the sender's doing."""
    if tag == "P":
        import pandas

        return to_pandas(pandas, kind, held)
    import sympy

    return to_sympy(sympy, kind, held)


def of_pandas(pandas: Any, x: Any, kind: type) -> list[Any] | None:
    if kind is pandas.DataFrame:
        columns = [x.iloc[:, number].to_numpy() for number in range(x.shape[1])]
        if not all(known(x.iloc[:, number]) for number in range(x.shape[1])):
            return None
        return ["P", "DataFrame", x.index, x.columns, *columns]
    if kind is pandas.Series:
        return ["P", "Series", x.index, x.name, x.to_numpy()] if known(x) else None
    if kind is pandas.RangeIndex:
        return ["P", "RangeIndex", x.start, x.stop, x.step, x.name]
    if kind is pandas.MultiIndex:
        return ["P", "MultiIndex", tuple(x), tuple(x.names)]
    if kind is pandas.DatetimeIndex and x.tz is None:
        return ["P", "DatetimeIndex", x.to_numpy(), x.name, x.freqstr]
    if isinstance(x, pandas.Index) and kind.__name__ in INDEXES and getattr(pandas, kind.__name__) is kind:
        return ["P", "Index", x.to_numpy(), x.name] if known(x) else None
    if kind is pandas.Timestamp and x.tz is None:
        return ["P", "Timestamp", x.value]
    if kind is pandas.Timedelta:
        return ["P", "Timedelta", x.value]
    if x is pandas.NaT or x is pandas.NA:
        return ["P", "NaT" if x is pandas.NaT else "NA"]
    return None


INDEXES = ("Index", "Int64Index", "UInt64Index", "Float64Index", "TimedeltaIndex")


def known(column: Any) -> bool:
    """Of one of numpy's types."""
    return type(column.dtype).__module__.partition(".")[0] == "numpy" and column.dtype.kind in NUMPY_KINDS


def to_pandas(pandas: Any, kind: str, held: list[Any]) -> Any:
    match kind:
        case "DataFrame":
            index, columns, *arrays = held
            made = pandas.DataFrame(dict(enumerate(arrays)), index=index)
            made.columns = columns
            return made
        case "Series":
            return pandas.Series(held[2], index=held[0], name=held[1])
        case "RangeIndex":
            return pandas.RangeIndex(held[0], held[1], held[2], name=held[3])
        case "MultiIndex":
            return pandas.MultiIndex.from_tuples(held[0], names=held[1])
        case "DatetimeIndex":
            return pandas.DatetimeIndex(held[0], name=held[1], freq=held[2])
        case "Index":
            return pandas.Index(held[0], name=held[1])
        case "Timestamp" | "Timedelta":
            return getattr(pandas, kind)(int(held[0]))
        case "NaT" | "NA":
            return getattr(pandas, kind)
    raise ValueError(f"no {kind} of pandas")


def of_sympy(sympy: Any, x: Any, kind: type) -> list[Any] | None:
    for name in CONSTANTS:
        if x is getattr(sympy.S, name, None) or x is getattr(sympy, name, None):
            return ["Y", "constant", name]
    if isinstance(x, sympy.Integer):
        return ["Y", "Integer", int(x)]
    if isinstance(x, sympy.Rational):
        return ["Y", "Rational", int(x.p), int(x.q)]
    if kind is sympy.Float:
        return ["Y", "Float", str(x), int(x._prec)]
    if kind is sympy.Symbol:
        return ["Y", "Symbol", str(x.name), *(part for fact in assumed(x).items() for part in fact)]
    if isinstance(x, sympy.MatrixBase):
        name = "ImmutableMatrix" if isinstance(x, sympy.ImmutableMatrix) else "Matrix"
        return ["Y", name, *map(int, x.shape), *x]
    name = kind.__name__
    if isinstance(x, sympy.Basic) and composed(sympy, name) is kind:
        return ["Y", name, *x.args]
    return None


def assumed(symbol: Any) -> dict[str, bool]:
    """What a symbol was made with."""
    found = getattr(symbol, "_assumptions_orig", None)
    return found if found is not None else symbol._assumptions.generator


def composed(sympy: Any, name: str) -> Any:
    """A class of sympy's whose objects are made of its arguments alone; None where there is none."""
    found = getattr(sympy, name, None)
    kinds = (sympy.Expr, sympy.core.relational.Relational, sympy.Set, sympy.logic.boolalg.BooleanFunction)
    fits = isinstance(found, type) and (issubclass(found, kinds) or found is sympy.Tuple)
    return found if fits and not issubclass(found, (sympy.Symbol, sympy.Number)) else None


def to_sympy(sympy: Any, kind: str, held: list[Any]) -> Any:
    match kind:
        case "constant" if held[0] in CONSTANTS:
            return getattr(sympy.S, held[0], None) or getattr(sympy, held[0])
        case "Integer":
            return sympy.Integer(int(held[0]))
        case "Rational":
            return sympy.Rational(int(held[0]), int(held[1]))
        case "Float":
            return sympy.Float(
                str(float(held[0])) if len(held[0]) > 400 else digits(held[0]), precision=int(held[1])
            )
        case "Symbol":
            facts = {str(name): bool(value) for name, value in zip(held[1::2], held[2::2], strict=True)}
            return sympy.Symbol(str(held[0]), **facts)
        case "Matrix" | "ImmutableMatrix":
            return getattr(sympy, kind)(int(held[0]), int(held[1]), list(map(basic(sympy), held[2:])))
    made = composed(sympy, kind)
    if made is None:
        raise ValueError(f"no {kind} of sympy")
    return made(*map(basic(sympy), held))


def basic(sympy: Any) -> Callable[[Any], Any]:
    """Passes sympy's own objects only: a text would be parsed, which is to evaluate it."""

    def check(x: Any) -> Any:
        if not isinstance(x, sympy.Basic):
            raise TypeError("a part that is not sympy's")
        return x

    return check


def digits(text: str) -> str:
    float(text)
    return text
