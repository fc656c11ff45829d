"""Operations on matrices: diagonals and triangles, inverse, determinant, solve, Cholesky.

They act on the last two dimensions of a value; gradients after Giles (2008), "Collected
matrix derivative results for forward and reverse mode algorithmic differentiation".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core import dims
from unfold.core.dims import Dim, Shape
from unfold.core.errors import ShapeMismatch
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, Op, call, register
from unfold.core.op import apply, enlist, operation, promote
from unfold.ops.array.linear import einsum, matmul, outer

Cts = Sequence[Node | None]


def lapack(function: Callable[..., Any], *arrays: Any) -> Any:
    """A function of numpy.linalg, which knows neither longdouble nor integers well."""
    kind = np.result_type(*arrays, np.float32)
    work = {"g": np.float64, "G": np.complex128}.get(kind.char, kind)
    return function(*(a.astype(work, copy=False) for a in arrays)).astype(kind, copy=False)


@dataclass(frozen=True)
class Square_matrix(Op):
    """An operation on a square matrix (or a stack of them) whose result has its shape."""

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        (a,) = inputs
        if len(a.shape) < 2 or a.shape[-1] != a.shape[-2]:
            raise self.mismatch(a, why="it needs a square matrix")
        self.refuse_complex(a)
        return a.shape, promote(self.kind, a)


@dataclass(frozen=True)
class Diagonal(Square_matrix):
    """the diagonal of a square matrix: a[i, i]"""

    symbol, linear = "diag", True

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        shape, dtype = super().infer(*inputs)
        return shape[:-1], dtype

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.diagonal(a, axis1=-2, axis2=-1)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (_diagonal_matrix(ct),)


@dataclass(frozen=True)
class Diagonal_matrix(Op):
    """the matrix with a on its diagonal and zeros elsewhere"""

    symbol, linear = "diag", True

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        (a,) = inputs
        if not a.shape:
            raise self.mismatch(a, why="a diagonal is a vector")
        return (*a.shape, a.shape[-1]), a.dtype

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.where(xp.eye(a.shape[-1], dtype=bool), a[..., None], a.dtype.type(0))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (_diagonal(ct),)


@enlist
@dataclass(frozen=True)
class Triangle(Op):
    """a with zeros above (below, for `upper`) its k-th diagonal"""

    k: int = 0
    upper: bool = False

    symbol, linear = "◺", True

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        (a,) = inputs
        if len(a.shape) < 2:
            raise self.mismatch(a, why="a triangle is a part of a matrix")
        return a.shape, a.dtype

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.triu(a, self.k) if self.upper else xp.tril(a, self.k)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (apply(self, ct),)


@dataclass(frozen=True)
class Inv(Square_matrix):
    """the inverse of a matrix"""

    symbol, tex, kind = "A⁻¹", "{0}^{{-1}}", "float"

    def forward(self, xp: Any, a: Any) -> Any:
        return lapack(xp.linalg.inv, a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        back = _t(out)
        return (-(back @ ct @ back),)


@dataclass(frozen=True)
class Det(Square_matrix):
    """the determinant of a matrix; its gradient needs the inverse"""

    tex, kind = r"\det {0}", "float"

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        shape, dtype = super().infer(*inputs)
        return shape[:-2], dtype

    def forward(self, xp: Any, a: Any) -> Any:
        return lapack(xp.linalg.det, a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (_scale(ct * out, _t(inv(a))),)


@dataclass(frozen=True)
class Logdet(Det):
    """log |det a|"""

    tex, real = r"\log |\det {0}|", True

    def forward(self, xp: Any, a: Any) -> Any:
        sign = lapack(lambda m: xp.linalg.slogdet(m)[0], a)
        size = lapack(lambda m: xp.linalg.slogdet(m)[1].astype(m.dtype), a)
        turn = xp.multiply(sign, xp.sign(xp.real(sign)))  # 1, but for the complex step
        return xp.add(size, xp.log(xp.where(xp.equal(turn, 0), 1, turn)))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (_scale(ct, _t(inv(a))),)


@enlist
@dataclass(frozen=True)
class Solve(Op):
    """the x with a x = b, for a vector or a matrix b"""

    vector: bool = True

    symbol, tex, kind = "A⁻¹b", "{0}^{{-1}} {1}", "float"

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        a, b = inputs
        rank = 1 if self.vector else 2
        fits = len(a.shape) == 2 and a.shape[0] == a.shape[1] and len(b.shape) == rank
        if not fits or a.shape[0] != b.shape[0]:
            raise self.mismatch(a, b, why="it needs a square matrix and a vector or matrix of its size")
        return b.shape, promote(self.kind, a, b)

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        if self.vector:
            return lapack(xp.linalg.solve, a, b[..., None])[..., 0]
        return lapack(xp.linalg.solve, a, b)

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        back = apply(self, _t(a), ct)
        return -(outer(back, out) if self.vector else back @ _t(out)), back


@dataclass(frozen=True)
class Cholesky(Square_matrix):
    """the lower triangular L with L Lᵀ = (a + aᵀ) / 2, a positive definite"""

    kind, real, complex_safe = "float", True, False

    def forward(self, xp: Any, a: Any) -> Any:
        symmetric = xp.multiply(xp.add(a, xp.swapaxes(a, -1, -2)), 0.5)
        return lapack(xp.linalg.cholesky, symmetric)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        inner = tril(_t(out) @ ct)
        inner = inner - 0.5 * _diagonal_matrix(_diagonal(inner))
        back = inv(out)
        outside = _t(back) @ inner @ back
        return (0.5 * (outside + _t(outside)),)


def _t(a: Node) -> Node:
    return call("swapaxes", a, -1, -2)


def _scale(number: Node, matrix: Node) -> Node:
    return call("reshape", number, (*number.shape, 1, 1)) * matrix


_diagonal, _diagonal_matrix = operation(Diagonal), operation(Diagonal_matrix)
inv, det, logdet, cholesky = map(operation, (Inv, Det, Logdet, Cholesky))


@register
def diagonal(a: Expression, first: int = -2, second: int = -1) -> Node:
    """The entries a[.., i, .., i] along two dimensions, which become the last one."""
    return _diagonal(call("moveaxis", a, (first, second), (-2, -1)))


@register
def diag(a: Expression) -> Node:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    a = as_node(a)
    return _diagonal_matrix(a) if len(a.shape) == 1 else _diagonal(a)


@register
def trace(a: Expression) -> Node:
    """The sum of the diagonal of a matrix."""
    return call("sum", diagonal(a, 0, 1), over=-1)


@register
def tril(a: Expression, k: int = 0) -> Node:
    """The lower triangle of a matrix, zeros above its k-th diagonal."""
    return apply(Triangle(k, False), a)


@register
def triu(a: Expression, k: int = 0) -> Node:
    """The upper triangle of a matrix, zeros below its k-th diagonal."""
    return apply(Triangle(k, True), a)


@register
def eye(n: Dim) -> Node:
    """The identity matrix; its size may be a name."""
    return _diagonal_matrix(call("broadcast_to", 1.0, (dims.canonical(n),)))


@register
def slogdet(a: Expression) -> tuple[Node, Node]:
    """The sign of the determinant of a matrix, and the logarithm of its size."""
    return call("sign", call("stop_gradient", det(a))), logdet(a)


@register
def solve(a: Expression, b: Expression) -> Node:
    """The x with a @ x = b.

    >>> import unfold as uf
    >>> uf.graph(x=solve(uf.constant([[2.0, 0.0], [0.0, 4.0]]), [2.0, 2.0]))().x.tolist()
    [1.0, 0.5]
    """
    return apply(Solve(len(as_node(b).shape) == 1), a, b)


@register
def matrix_power(a: Expression, n: int) -> Node:
    """a @ a @ ... @ a, n times (by repeated squaring); of the inverse for n < 0."""
    a = inv(a) if n < 0 else as_node(a)
    out: Node | None = None
    n = abs(n)
    while n:
        if n % 2:
            out = a if out is None else matmul(out, a)
        n //= 2
        a = matmul(a, a) if n else a
    return eye(a.shape[-1]) if out is None else out


@register
def kron(a: Expression, b: Expression) -> Node:
    """The Kronecker product of two matrices, or of two vectors."""
    a, b = as_node(a), as_node(b)
    if len(a.shape) != len(b.shape) or len(a.shape) not in (1, 2):
        raise ShapeMismatch(f"kron of {a} and {b}: two vectors or two matrices", shapes=(a.shape, b.shape))
    product = einsum("i,j->ij" if len(a.shape) == 1 else "ij,kl->ikjl", a, b)
    return call("reshape", product, tuple(dims.multiply(m, n) for m, n in zip(a.shape, b.shape, strict=True)))


@register
def cross(a: Expression, b: Expression) -> Node:
    """The vector product of two vectors of size 3."""
    a, b = as_node(a), as_node(b)
    if a.shape != (3,) or b.shape != (3,):
        raise ShapeMismatch(f"cross of {a} and {b}: two vectors of size 3", shapes=(a.shape, b.shape))
    i, j = np.array([1, 2, 0]), np.array([2, 0, 1])
    return call("subtract", a[i] * b[j], a[j] * b[i])
