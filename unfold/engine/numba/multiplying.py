"""A matrix product as a call of BLAS."""

from __future__ import annotations

from collections.abc import Callable

from unfold.engine.plan.view import View

PLAIN, TRANSPOSED = 111, 112  # as CBLAS calls them
Pointer = Callable[[View], str]


def turned(view: View) -> View:
    """The transposed matrix."""
    return View(
        view.buffer, view.offset, view.letters[::-1], view.shape[::-1], view.strides[::-1], view.steps
    )


def by_blas(pointer: Pointer, a: View, b: View, out: View) -> str | None:
    """The call that is `out` = a @ b, both matrices or one a vector; None where BLAS does not see one of
    them as a matrix."""
    if len(out.shape) == 2 and 1 in out.shape:  # a row or a column
        row = out.shape[0] == 1
        out, a, b = (_without(out, 0), _without(a, 0), b) if row else (_without(out, 1), a, _without(b, 1))
    return _vector(pointer, a, b, out) if len(out.shape) == 1 else _matrices(pointer, a, b, out)


def _vector(pointer: Pointer, a: View, b: View, out: View) -> str | None:
    """A matrix and a vector; a vector times a matrix is the matrix transposed."""
    matrix, vector, flip = (a, b, False) if len(a.shape) == 2 else (b, a, True)
    stored = _matrix(matrix)
    steps = [v.strides[0] if v.shape[0] != 1 else 1 for v in (vector, out)]
    if stored is None or min(steps) < 1:
        return None
    transposed, ahead = stored
    m, n = matrix.shape[::-1] if transposed else matrix.shape
    flag = TRANSPOSED if transposed != flip else PLAIN
    ends = f"{m}, {n}, {flag}, {ahead}, {steps[0]}, {steps[1]}"
    return f"gemv({pointer(matrix)}, {pointer(vector)}, {pointer(out)}, {ends})"


def _matrices(pointer: Pointer, a: View, b: View, out: View) -> str | None:
    left, right, target = _matrix(a), _matrix(b), _matrix(out)
    if left is None or right is None or target is None:
        return None
    m, n = out.shape
    inside = a.shape[1]
    if target[0]:  # the result lies transposed: b.T @ a.T
        a, b, left, right, m, n = b, a, (not right[0], right[1]), (not left[0], left[1]), n, m
    flags = ", ".join(str(TRANSPOSED if t else PLAIN) for t, _ in (left, right))
    ends = f"{m}, {n}, {inside}, {flags}, {left[1]}, {right[1]}, {target[1]}"
    return f"gemm({pointer(a)}, {pointer(b)}, {pointer(out)}, {ends})"


def _matrix(view: View) -> tuple[bool, int] | None:
    """How BLAS sees a matrix: whether it is stored transposed, and how far its rows are apart."""
    (m, n), (down, across) = view.shape, view.strides
    if (across == 1 or n == 1) and (down >= n or m == 1):
        return False, max(down, n)
    if (down == 1 or m == 1) and (across >= m or n == 1):
        return True, max(across, m)
    return None


def _without(view: View, dim: int) -> View:
    """A matrix of one row or column as a vector."""
    keep = 1 - dim
    one = slice(keep, keep + 1)
    return View(view.buffer, view.offset, view.letters[one], view.shape[one], view.strides[one], view.steps)
