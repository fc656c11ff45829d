"""Dimensions: integers, or names such as "hidden", or sums and products of names.

A dimension is an `int` or a canonical string (`"2*hidden + 1"`), so that shapes print,
compare and travel as they are. Behind the string is a polynomial with integer
coefficients; the functions here are its arithmetic.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from unfold.core.errors import DefinitionError, ShapeMismatch

Dim = int | str
Shape = tuple[Dim, ...]
Poly = dict[tuple[str, ...], int]

_NAME = re.compile(r"[^\W\d]\w*")


def canonical(dim: Dim) -> Dim:
    """The one spelling of a dimension.

    >>> canonical("hidden + hidden"), canonical("3"), canonical(4)
    ('2*hidden', 3, 4)
    """
    if isinstance(dim, str):
        dim = _spell(_poly(dim))
    elif isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise DefinitionError(f"a dimension is an integer or a name, not {dim!r}")
    if not isinstance(dim, str):
        dim = int(dim)
        if dim < 0:
            raise DefinitionError(f"a dimension cannot be negative: {dim}")
    return dim


def shape_of(dims: Iterable[Dim]) -> Shape:
    """A shape with every dimension in its one spelling."""
    return tuple(canonical(d) for d in dims)


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[tuple[tuple[str, ...], int], ...]:
    try:
        marked = _NAME.sub(lambda name: "_" + name[0], text.strip())  # so that "in" is a name too
        return tuple(_walk(ast.parse(marked, mode="eval").body).items())
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):
        raise DefinitionError(
            f"not a dimension: {text!r}; write an integer, a name, or sums and products of them"
        ) from None


def _walk(tree: ast.expr) -> Poly:
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return {(): tree.value} if tree.value else {}
    if isinstance(tree, ast.Name):
        return {(tree.id[1:],): 1}
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return _sum({}, _walk(tree.operand), -1)
    if isinstance(tree, ast.BinOp):
        left, right = _walk(tree.left), _walk(tree.right)
        if isinstance(tree.op, ast.Add):
            return _sum(left, right, 1)
        if isinstance(tree.op, ast.Sub):
            return _sum(left, right, -1)
        if isinstance(tree.op, ast.Mult):
            return _product(left, right)
    raise TypeError


def _poly(dim: Dim) -> Poly:
    if isinstance(dim, int):
        return {(): dim} if dim else {}
    return dict(_parse(dim))


def _sum(a: Poly, b: Poly, sign: int) -> Poly:
    out = dict(a)
    for term, n in b.items():
        out[term] = out.get(term, 0) + sign * n
    return {term: n for term, n in out.items() if n}


def _product(a: Poly, b: Poly) -> Poly:
    out: Poly = {}
    for s, m in a.items():
        for t, n in b.items():
            term = tuple(sorted(s + t))
            out[term] = out.get(term, 0) + m * n
    return {term: n for term, n in out.items() if n}


def _spell(poly: Poly) -> Dim:
    if set(poly) <= {()}:
        return poly.get((), 0)
    text = ""
    for term, n in sorted(poly.items(), key=lambda item: (not item[0], item[0])):
        factors = ([str(abs(n))] if abs(n) != 1 or not term else []) + list(term)
        sign = ("-" if n < 0 else "") if not text else (" - " if n < 0 else " + ")
        text += sign + "*".join(factors)
    return text


def add(*dims: Dim) -> Dim:
    """Sum of dimensions.

    >>> add("hidden", "hidden", 1)
    '2*hidden + 1'
    """
    out: Poly = {}
    for d in dims:
        out = _sum(out, _poly(d), 1)
    return _spell(out)


def subtract(a: Dim, b: Dim) -> Dim:
    """Difference of dimensions.

    >>> subtract("2*hidden", "hidden")
    'hidden'
    """
    return _spell(_sum(_poly(a), _poly(b), -1))


def multiply(*dims: Dim) -> Dim:
    """Product of dimensions.

    >>> multiply("hidden", 2)
    '2*hidden'
    """
    out: Poly = {(): 1}
    for d in dims:
        out = _product(out, _poly(d))
    return _spell(out)


def divide(dim: Dim, by: int) -> Dim:
    """Exact quotient by an integer; raises `ShapeMismatch` when it is not exact."""
    poly = _poly(dim)
    if any(n % by for n in poly.values()):
        raise ShapeMismatch(f"{dim} cannot be split into {by} equal parts", shapes=((dim,),))
    return _spell({term: n // by for term, n in poly.items()})


def names(dim: Dim) -> set[str]:
    """The names a dimension mentions."""
    return {name for term in _poly(dim) for name in term}


def evaluate(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The size of a dimension where its names have the given sizes; it must not be negative.

    >>> evaluate("2*hidden + 1", {"hidden": 4})
    9
    """
    if isinstance(dim, int):
        return dim
    total = _value(dim, sizes)
    if total < 0:
        known = ", ".join(f"{name} = {sizes[name]}" for name in sorted(names(dim)))
        raise ShapeMismatch(f"dimension {dim} would be {total} ({known})", shapes=((dim,),))
    return total


def _value(dim: Dim, sizes: Mapping[str, int]) -> int:
    total = 0
    for term, n in _poly(dim).items():
        for name in term:
            n *= sizes[name]
        total += n
    return total


def solve(dim: Dim, size: int, sizes: Mapping[str, int]) -> tuple[str, int] | None:
    """The one unknown name of a linear dimension and its size, if `dim == size` fixes it."""
    poly = _poly(dim)
    unknown = {name for term in poly for name in term} - set(sizes)
    if len(unknown) != 1:
        return None
    (name,) = unknown
    at0 = _value(dim, {**sizes, name: 0})
    at1 = _value(dim, {**sizes, name: 1})
    slope = at1 - at0
    if any(term.count(name) > 1 for term in poly) or not slope or (size - at0) % slope:
        return None
    value = (size - at0) // slope
    return (name, value) if value >= 0 else None


def show(shape: Iterable[Dim]) -> str:
    """A shape as text: `(hidden, 3)`."""
    return "(" + ", ".join(str(d) for d in shape) + ")"
