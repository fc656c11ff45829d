"""A refusal says which argument, why and what to do; the shapes are fields of the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unfold as uf
from unfold.core.errors import DefinitionError, ShapeMismatch

T = uf.axis("t")
N, A, V, C = uf.input("n"), uf.input("a", 2, 3), uf.input("v", "n"), uf.input("c", 2, 3, 4)
I, X = uf.input("i", dtype=int), uf.input("x", 2, over=T)
S = uf.input("s", 3, 3)

# what is refused, all of the message (but for the line it stands on), and the field `shapes`
REFUSED: dict[str, tuple[Callable[[], Any], str, tuple[Any, ...] | None]] = {
    "window of nothing": (lambda: uf.window(A, 2, over=T),
        "a does not vary over t (it has no axis)", ((2, 3),)),
    "window over no axis": (lambda: uf.window(X[T], 2, over=0),
        "x[t] does not vary over 0 (it has t)", ((2,),)),
    "window of no width": (lambda: uf.window(X[T], 0, over=T),
        "window of x[t]: the width is a number of steps, not 0", None),
    "window of a true width": (lambda: uf.window(X[T], True, over=T),
        "window of x[t]: the width is a number of steps, not True", None),
    "window of a fraction": (lambda: uf.window(X[T], 1.5, over=T),
        "window of x[t]: the width is a number of steps, not 1.5", None),
    "take_along_axis of fractions": (lambda: uf.take_along_axis(A, A),
        "take_along: shapes do not fit: a: (2, 3) and a: (2, 3); indices are integers (dtype=int) "
        "with the other dimensions of a", ((2, 3), (2, 3))),
    "take_along_axis of another rank": (lambda: uf.take_along_axis(A, I),
        "take_along: shapes do not fit: a: (2, 3) and i: (); indices are integers (dtype=int) with "
        "the other dimensions of a", ((2, 3), ())),
    "take_along_axis of other rows": (lambda: uf.take_along_axis(A, uf.input("k", 3, 3, dtype=int)),
        "take_along: shapes do not fit: a: (2, 3) and k: (3, 3); indices are integers (dtype=int) "
        "with the other dimensions of a", ((2, 3), (3, 3))),
    "searchsorted in a matrix": (lambda: uf.searchsorted(A, N),
        "searchsorted(a, n, 'left'): a is a vector, side 'left' or 'right'", None),
    "searchsorted on a side": (lambda: uf.searchsorted(V, N, side="middle"),
        "searchsorted(v, n, 'middle'): a is a vector, side 'left' or 'right'", None),
    "take from a number": (lambda: uf.take(N, I),
        "take: n is one number; there is nothing to choose from", ((),)),
    "take by a fraction": (lambda: uf.take(A, N),
        "take: shapes do not fit: a: (2, 3) and n: (); indices are integers, here float; declare "
        "dtype=int", ((2, 3), ())),
    "take a step by a fraction": (lambda: uf.take(X[T], N, over=T),
        "take: a step is an integer, n is float; declare dtype=int", ((),)),
    "take over an axis it lacks": (lambda: uf.take(A, I, over=T),
        "a does not vary over t (it has no axis)", ((2, 3),)),
    "scatter_add of other rows": (lambda: uf.scatter_add(A, I, V),
        "scatter_add: at indices () of (2, 3) go rows of shape (3), not (n)", ((2, 3), (), ("n",))),
    "scatter_add to a number": (lambda: uf.scatter_add(N, I, N),
        "scatter_add: at indices () of () go rows of shape (), not ()", ((), (), ())),
    "a condition": (lambda: A[A > 0],
        "a[condition]: how many entries there are would depend on data; use uf.where(condition, a, "
        "0), or a constant boolean array", None),
    "indices apart": (lambda: C[I, :, I],
        "c[...]: indices by data go together only as the first ones (a[i, j, ...]), or one of them "
        "among slices; index in two steps, or use uf.take(a, i, axis)", None),
    "a mask of another size": (lambda: A[np.array([True, False, True])],
        "a[mask]: the mask is (3,), the value (2, 3)", ((2, 3),)),
    "an index beyond": (lambda: A[:, [0, 3]], "a has shape (2, 3): no index [0, 3]", ((2, 3),)),
    "an index before": (lambda: A[[-3]], "a has shape (2, 3): no index [-3]", ((2, 3),)),
    "an integer beyond": (lambda: A[2], "a has shape (2, 3): no index 2", ((2, 3),)),
    "an integer before": (lambda: A[0, -4], "a has shape (2, 3): no index -4", ((2, 3),)),
    "too many indices": (lambda: A[0, 0, 0], "a has shape (2, 3): too many indices (0, 0, 0)", ((2, 3),)),
    "a step of a value": (lambda: A[T],
        "a[t]: a is a value over no axis; declare it over an axis to read its steps", None),
    "a step of a value over another": (lambda: X[T][uf.axis("s")],
        "x[t][s]: x[t] is a value over t; declare it over an axis to read its steps", None),
    "a text": (lambda: A["first"],
        "a['first']: an index is an integer, a slice, ..., None or integer data", None),
    "a truth": (lambda: A[True],
        "a[True]: an index is an integer, a slice, ..., None or integer data", None),
    "a slice with a step of a name": (lambda: V[::2],
        "v[slice(None, None, 2)]: a step needs an integer dimension, n is a name", (("n",),)),
    "one_hot of a fraction": (lambda: uf.one_hot(N, 3),
        "one_hot: shapes do not fit: n: (); an index is an integer, here float; declare dtype=int", ((),)),
    "einsum with a letter too many": (lambda: uf.einsum("ijk->i", A),
        "contract: shapes do not fit: a: (2, 3); 'ijk' wants 3 dimensions", ((2, 3),)),
    "einsum that does not fit": (lambda: uf.einsum("ij,jk->ik", A, A),
        "contract: shapes do not fit: a: (2, 3) and a: (2, 3); 3 is not 2 (3: a is (2, 3), declared "
        "at ", ((2, 3), (2, 3))),
    "einsum with a number": (lambda: uf.einsum("i1->i", A),
        "einsum 'i1->i': give one group of letters for each of 1 operands", None),
    "einsum with one group": (lambda: uf.einsum("ij->i", A, A),
        "einsum 'ij->i': give one group of letters for each of 2 operands", None),
    "einsum to a letter twice": (lambda: uf.einsum("ij->ii", A),
        "einsum 'ij->ii': a letter twice in the result; use uf.diag", None),
    "einsum to letters from nowhere": (lambda: uf.einsum("ij->lk", A),
        "einsum 'ij->lk': k, l stands only after the arrow", None),
    "matmul with a number": (lambda: A @ N, "a @ n: a number has no matrix product; use *", ((2, 3), ())),
    "matmul of a number": (lambda: N @ A, "n @ a: a number has no matrix product; use *", ((), (2, 3))),
    "matmul that does not fit": (lambda: A @ A,
        "a @ a: (2, 3) @ (2, 3): 3 is not 2 (3: a is (2, 3), declared at ", ((2, 3), (2, 3))),
    "inverse of a rectangle": (lambda: uf.inv(A),
        "inv: shapes do not fit: a: (2, 3); it needs a square matrix", ((2, 3),)),
    "inverse of a vector": (lambda: uf.inv(V),
        "inv: shapes do not fit: v: (n); it needs a square matrix", (("n",),)),
    "diagonal of a number": (lambda: uf.diagonal_matrix(N),
        "diagonal_matrix: shapes do not fit: n: (); a diagonal is a vector", ((),)),
    "triangle of a vector": (lambda: uf.tril(V),
        "triangle: shapes do not fit: v: (n); a triangle is a part of a matrix", (("n",),)),
    "solve in a rectangle": (lambda: uf.solve(A, uf.input("b", 2)),
        "solve: shapes do not fit: a: (2, 3) and b: (2); it needs a square matrix and a vector or "
        "matrix of its size", ((2, 3), (2,))),
    "solve with another size": (lambda: uf.solve(S, uf.input("b", 2)),
        "solve: shapes do not fit: s: (3, 3) and b: (2); it needs a square matrix and a vector or "
        "matrix of its size", ((3, 3), (2,))),
    "solve for a stack": (lambda: uf.solve(S, uf.input("b", 3, 3, 3)),
        "solve: shapes do not fit: s: (3, 3) and b: (3, 3, 3); it needs a square matrix and a vector "
        "or matrix of its size", ((3, 3), (3, 3, 3))),
    "kron of different ranks": (lambda: uf.kron(A, V),
        "kron of a and v: two vectors or two matrices", ((2, 3), ("n",))),
    "kron of stacks": (lambda: uf.kron(C, C),
        "kron of c and c: two vectors or two matrices", ((2, 3, 4), (2, 3, 4))),
    "cross of short vectors": (lambda: uf.cross(A[0, :2], A[1, :2]),
        "cross of a[0, :2] and a[1, :2]: two vectors of size 3", ((2,), (2,))),
    "cross of a matrix": (lambda: uf.cross(A, A[0]),
        "cross of a and a[0]: two vectors of size 3", ((2, 3), (3,))),
    "cross_entropy of a fraction": (lambda: uf.cross_entropy(V, N),
        "cross_entropy: shapes do not fit: v: (n) and n: (); scores are one vector, the class one "
        "integer (dtype=int)", (("n",), ())),
    "cross_entropy of matrices": (lambda: uf.cross_entropy(A, I),
        "cross_entropy: shapes do not fit: a: (2, 3) and i: (); scores are one vector, the class one "
        "integer (dtype=int)", ((2, 3), ())),
    "cross_entropy of several classes": (lambda: uf.cross_entropy(V, uf.input("k", 2, dtype=int)),
        "cross_entropy: shapes do not fit: v: (n) and k: (2); scores are one vector, the class one "
        "integer (dtype=int)", (("n",), (2,))),
    "conv1d of vectors": (lambda: uf.conv1d(V, uf.input("f", 2, 3, 4)),
        "conv1d: a is (length, channels), here (n); filters are (outputs, width, channels) with a "
        "width that is a number, here (2, 3, 4)", (("n",), (2, 3, 4))),
    "conv1d with a matrix": (lambda: uf.conv1d(A, A),
        "conv1d: a is (length, channels), here (2, 3); filters are (outputs, width, channels) with a "
        "width that is a number, here (2, 3)", ((2, 3), (2, 3))),
    "conv1d of a named width": (lambda: uf.conv1d(A, uf.input("f", 2, "w", 3)),
        "conv1d: a is (length, channels), here (2, 3); filters are (outputs, width, channels) with a "
        "width that is a number, here (2, w, 3)", ((2, 3), (2, "w", 3))),
    "moveaxis from one twice": (lambda: uf.moveaxis(C, (0, 0), (0, 1)),
        "moveaxis of c: (0, 0) to (0, 1): give each dimension one place", ((2, 3, 4),)),
    "moveaxis to one twice": (lambda: uf.moveaxis(C, (0, 1), (1, 1)),
        "moveaxis of c: (0, 1) to (1, 1): give each dimension one place", ((2, 3, 4),)),
    "moveaxis of two to one": (lambda: uf.moveaxis(C, (0, 1), 1),
        "moveaxis of c: (0, 1) to 1: give each dimension one place", ((2, 3, 4),)),
    "squeeze of two": (lambda: uf.squeeze(A, 0), "squeeze of a: (2, 3) is not 1 at 0", ((2, 3),)),
    "unstack along a name": (lambda: uf.unstack(V),
        "unstack of v: dimension n has no fixed size", (("n",),)),
    "pad with a pair for one of two": (lambda: uf.pad(A, ((1, 2),)),
        "pad of a: ((1, 2),) is no pair for each dimension of (2, 3)", None),
    "pad by a triple": (lambda: uf.pad(A, ((1, 2, 3), (1, 2))),
        "pad of a: ((1, 2, 3), (1, 2)) is no pair for each dimension of (2, 3)", None),
    "pad by less than nothing": (lambda: uf.pad(A, ((1, -2), 0)),
        "pad of a: ((1, -2), 0) is no pair for each dimension of (2, 3)", None),
    "over one twice": (lambda: uf.sum(A, over=(0, 0)), "over=(0, 0) names one twice", ((2, 3),)),
    "over an axis it lacks": (lambda: uf.sum(X[T], over=uf.axis("s")),
        "x[t] does not vary over s (it has t)", ((2,),)),
    "over an axis without any": (lambda: uf.sum(A, over=T),
        "a does not vary over t (it has no axis)", ((2, 3),)),
    "softmax over both": (lambda: uf.softmax(X[T], over=(T, 0)),
        "softmax of x[t]: over=(t, 0); give one axis or dimension", ((2,),)),
    "softmax over nothing": (lambda: uf.softmax(N, over=()),
        "softmax of n: over=(); give one axis or dimension", ((),)),
    "broadcast to less": (lambda: uf.broadcast_to(A, (3,)),
        "broadcast_to: shapes do not fit: a: (2, 3); it cannot be repeated to (3)", ((2, 3),)),
    "broadcast to another size": (lambda: uf.broadcast_to(A, (4, 3)),
        "broadcast_to: shapes do not fit: a: (2, 3); it cannot be repeated to (4, 3)", ((2, 3),)),
    "reshape to too many": (lambda: uf.reshape(A, (4, 2)),
        "reshape: shapes do not fit: a: (2, 3); 6 entries do not fill (4, 2)", ((2, 3),)),
    "reshape to no whole number": (lambda: uf.reshape(A, (4, -1)),
        "6 cannot be split into 4 equal parts", ((6,),)),
    "reshape of names": (lambda: uf.reshape(V, ("m", -1)),
        "reshape of v: (n) leaves no whole number for -1 in ('m', -1)", (("n",),)),
    "reshape with two left open": (lambda: uf.reshape(A, (-1, -1)),
        "a dimension cannot be negative: -1", None),
    "transpose in no order": (lambda: uf.transpose(A, (0, 0)),
        "transpose: shapes do not fit: a: (2, 3); (0, 0) is no order of its dimensions", ((2, 3),)),
    "concat of different rows": (lambda: uf.concat(A, S),
        "concat: shapes do not fit: a: (2, 3) and s: (3, 3)", ((2, 3), (3, 3))),
    "concat of other columns": (lambda: uf.concat(A, C[0, :2], axis=0),
        "concat: shapes do not fit: a: (2, 3) and c[0, :2]: (2, 4)", ((2, 3), (2, 4))),
    "concat of ranks": (lambda: uf.concat(A, A[0]),
        "concat: shapes do not fit: a: (2, 3) and a[0]: (3)", ((2, 3), (3,))),
    "stack of different shapes": (lambda: uf.stack(A, S),
        "stack: shapes do not fit: a: (2, 3) and s: (3, 3)", ((2, 3), (3, 3))),
    "no such dimension": (lambda: uf.sum(A, over=2), "a has shape (2, 3): no dimension 2", ((2, 3),)),
    "no such dimension before": (lambda: uf.sum(A, over=-3),
        "a has shape (2, 3): no dimension -3", ((2, 3),)),
    "a true dimension": (lambda: uf.sum(A, over=True), "a has shape (2, 3): no dimension True", ((2, 3),)),
    "a dimension with a name": (lambda: uf.sum(A, over="hidden"),
        "a has shape (2, 3): no dimension hidden", ((2, 3),)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_all_of_it(name: str) -> None:
    call, message, shapes = REFUSED[name]
    with pytest.raises(DefinitionError) as error:
        call()
    said = error.value.message.partition(", in `")[0]
    assert said.startswith(message) if message.endswith("declared at ") else said == message
    assert getattr(error.value, "shapes", None) == shapes
    operation = {"matmul that does not fit": "matmul", "reshape of names": "reshape"}.get(name)
    if "do not fit" in message or message.startswith(("scatter_add:", "conv1d:")):
        operation = message.partition(":")[0]
    assert getattr(error.value, "operation", None) == operation
    assert isinstance(error.value, ShapeMismatch) == ("in `" in error.value.message)
