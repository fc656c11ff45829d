"""Which statements can be compiled; for every other one, why not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from unfold.engine.numba.scalars import REAL, SCALAR
from unfold.engine.plan.statement import Items, Statement, Sweep, Verb, statements
from unfold.engine.rewrites.passes import SumOfScatters
from unfold.ops.array.indexing import One_hot, Scatter, Take
from unfold.ops.array.reduction import Softmax
from unfold.ops.choice.losses import Cross_entropy

CALLS = (Take, Scatter, SumOfScatters, One_hot, Cross_entropy, Softmax)  # operations that are written out
TRUTHS = {name for name in SCALAR if name.startswith(("logical", "less", "greater", "equal", "not_equal"))}
REALS = (Cross_entropy, Softmax)
SUMS = (
    Verb.DOT,
    Verb.MATMUL,
    Verb.EINSUM,
    Verb.TOTAL,
    Verb.PARTIAL,
    Verb.SOFTMAX,
    Verb.ENTROPY,
)
LARGEST = 1 << 16  # multiplications of a product where no BLAS is found; beyond, it is left to NumPy
MANY = 400  # statements of one function: more take too long to compile


def unsuited(item: Statement | Sweep, dtype: np.dtype[Any], blas: bool) -> str | None:
    """Why a statement or a loop cannot be compiled; None where it can. `dtype`: of real numbers."""
    if isinstance(item, Sweep):
        inside = [s for s, _ in statements([item])]
        if len(inside) > MANY:
            return f"it has {len(inside)} statements"
        return next((why for s in inside if (why := unsuited(s, dtype, blas))), None)
    return next(_objections(item, dtype, blas), None)


def cost(s: Statement) -> int:
    """The multiplications of a matrix product, of each where it is one of many."""
    a, out = s.operands[0], s.outputs[0]
    return a.shape[-1] * math.prod(out.shape[-2:] if s.kind is Verb.MATMUL else out.shape)


def _objections(s: Statement, dtype: np.dtype[Any], blas: bool) -> Iterator[str]:
    kinds = {v.buffer.dtype for v in (*s.outputs, *s.operands)}
    if any(kind.kind == "c" for kind in kinds):
        yield "it has complex numbers"
    if not kinds <= {dtype, np.dtype(np.int64), np.dtype(np.bool_)}:
        yield "it has numbers of other kinds"
    if s.kind is Verb.UFUNC:
        yield from _of_ufuncs(s)
    elif s.kind is Verb.CALL:
        yield from _of_calls(s, dtype)
    elif s.kind in SUMS:
        yield from _of_sums(s, dtype, blas)


def _of_ufuncs(s: Statement) -> Iterator[str]:
    real = s.outputs[0].buffer.dtype.kind == "f"
    if s.what not in SCALAR:
        yield f"it calls {s.what}"
    if s.what in REAL and not real:
        yield f"it calls {s.what} for integers"
    if s.what not in TRUTHS and all(v.buffer.dtype.kind == "b" for v in s.operands):
        yield f"it calls {s.what} of what is true or false"


def _of_calls(s: Statement, dtype: np.dtype[Any]) -> Iterator[str]:
    op, (out,) = s.what[0], s.outputs
    if not isinstance(op, CALLS):
        yield f"it calls {op.name}"
    elif isinstance(op, Softmax) and len(op.dims) != 1:
        yield f"it calls {op.name} along several dimensions"
    elif isinstance(op, REALS) and {out.buffer.dtype, s.operands[0].buffer.dtype} != {dtype}:
        yield f"it calls {op.name} of what are no real numbers"
    elif isinstance(op, Scatter | SumOfScatters) and out.buffer.dtype.kind == "b":
        yield "it adds up what is true"


def _of_sums(s: Statement, dtype: np.dtype[Any], blas: bool) -> Iterator[str]:
    added = (*s.outputs, s.operands[0]) if s.kind is Verb.ENTROPY else (*s.outputs, *s.operands)
    if any(v.buffer.dtype != dtype for v in added):
        yield f"it has a {s.kind.value} of what are no real numbers"
    letters = s.outputs[0].letters
    if s.kind is Verb.EINSUM and len(set(letters)) < len(letters):
        yield "its sum is written along a diagonal"
    if s.kind in (Verb.DOT, Verb.MATMUL) and not blas and cost(s) > LARGEST:
        yield "its products are large, and no BLAS was found"


def runs(
    items: Items, dtype: np.dtype[Any], blas: bool
) -> Iterator[tuple[list[Statement | Sweep], str | None]]:
    """A list in runs that can be compiled, each with None, and single items that cannot, with why."""
    run: list[Statement | Sweep] = []
    count = 0
    for item in items:
        why = unsuited(item, dtype, blas)
        size = sum(1 for _ in statements([item]))
        if run and (why is not None or count + size > MANY):
            yield run, None
            run, count = [], 0
        if why is None:
            run.append(item)
            count += size
        else:
            yield [item], why
    if run:
        yield run, None
