"""Contractions as matrix products: letters grouped into rows, columns and what is summed."""

from __future__ import annotations

from unfold.engine.numpy.lines import Source
from unfold.engine.numpy.storage import Letter, Letters, Var

WORTH = 64  # rows that a matrix is multiplied with, before it is worth a copy


def emit_product(source: Source, a: Var, b: Var, out: Var) -> None:
    """Print `out = sum of a * b` over the letters that `out` lacks, as one product.

    Letters of the loops being printed are left out: inside a loop these are rows.
    """
    looped = {loop.axis for loop in source.loops}
    la, lb, lo = (tuple(x for x in v.letters if x not in looped) for v in (a, b, out))
    shared, kept = set(la) & set(lb), set(lo)
    sizes = dict(zip(a.letters, a.shadow.shape, strict=True))
    part = source.part.axis if source.part else None
    single = [x for x in la if x in shared and x in kept and sizes[x] == 1 and x != part]
    if single:  # a batch of one is no batch: left to one of the two
        key = [0 if x in single else slice(None) for x in a.letters]
        a = source.index(a, key, tuple(x for x in a.letters if x not in single))
        emit_product(source, a, b, out)
        return
    batch = [x for x in lo if x in shared]
    rows, columns = (
        [x for x in lo if x in la and x not in shared],
        [x for x in lo if x in lb and x not in shared],
    )
    summed = [x for x in la if x in shared and x not in kept]
    lonely = [x for x in (*la, *lb) if x not in shared and x not in kept]
    if not lonely and (summed or not batch):
        for ahead in range(len(lo) if source.broadcasts and summed and not batch else 1):
            each = lo[:ahead]  # of these the product of the others is one matrix product
            left, right = ([x for x in g if x not in each] for g in (rows, columns))
            if _matmul(source, a, b, out, [*batch, *each], left, right, summed, lo):
                return
    source.contract([a, b], out, [la, lb], lo)


def _front(source: Source, v: Var) -> list[list[Letter]]:
    return [[loop.axis] for loop in source.loops if loop.axis in v.letters]


def _matrix(
    source: Source, v: Var, groups: list[list[Letter]], batch: list[Letter], copy: bool
) -> Var | None:
    """The variable as (looped..., batch..., group, group); empty groups are left out."""
    wanted = [*_front(source, v), *[[x] for x in batch if x in v.letters], *[g for g in groups if g]]
    return source.arrange(v, wanted, copy)


def _matmul(
    source: Source,
    a: Var,
    b: Var,
    out: Var,
    batch: list[Letter],
    rows: list[Letter],
    columns: list[Letter],
    summed: list[Letter],
    order: Letters,
) -> bool:
    copy = not source.loops
    if batch and not (rows and columns):
        return False
    own = [x for x in order if x not in batch]
    if own == [*rows, *columns]:
        left, right = (a, rows), (b, columns)
    elif own == [*columns, *rows]:
        left, right = (b, columns), (a, rows)
    else:
        return False
    z = _matrix(source, out, [left[1], right[1]], batch, copy=False)
    x = _matrix(source, left[0], [left[1], summed], batch, copy) if z is not None else None
    y = _matrix(source, right[0], [summed, right[1]], batch, copy) if x is not None else None
    if x is None or y is None or z is None:
        return False
    if batch:
        source.matmul(x, y, z, len(batch))
    elif not summed:
        if rows and columns:
            x = source.index(x, [*[slice(None)] * len(x.letters), None], (*x.letters, None))
        source.ufunc("multiply", [x, y], z)
    elif left[1] or not right[1]:
        source.dot(*_in_order(source, x, y), z)
    else:  # a vector times a matrix: the matrix first
        turned = _matrix(source, right[0], [right[1], summed], batch, copy)
        if turned is None:
            return False
        source.dot(turned, x, z)
    return True


def _in_order(source: Source, x: Var, y: Var) -> tuple[Var, Var]:
    """A transposed matrix that a loop multiplies many rows or columns with is copied once before the
    loop: a product reads it a third faster."""
    looped = {loop.axis for loop in source.loops}

    def ready(matrix: Var, other: Var, inner: int, count: int) -> Var:
        fixed = matrix.shadow.ndim == 2 and matrix.name not in source.rows
        fixed = fixed and not looped & set(matrix.letters)
        many = source.row(other).ndim == 2 and count > 1 and other.shadow.size >= WORTH * max(1, inner)
        if not (fixed and many and looped) or matrix.shadow.flags.c_contiguous:
            return matrix
        with source.before():
            copy = source.buffer(matrix.name, matrix.letters, matrix.shadow.shape, matrix.shadow.dtype)
            source.copy(copy, matrix)
        return copy

    rows, columns = source.row(x).shape, source.row(y).shape
    return ready(x, y, columns[0], columns[-1]), ready(y, x, columns[0], rows[0])
