"""A view as an expression on the array of its buffer: `h[1:7].T`, `x.reshape(36, 16)`."""

from __future__ import annotations

from collections.abc import Sequence

from unfold.engine.plan.view import Sizes, View, contiguous_strides

Dims = list[tuple[int, int]]  # (size, stride)


def spelled(view: View, base: str) -> str | None:
    """The expression of a view (but for its steps) on the whole array of its buffer, named `base`; None
    where there is no short one."""
    if view.size == 0 or view.buffer.size == 0 or view.offset < 0:
        return None
    dims = [(n, s) for n, s in zip(view.shape, view.strides, strict=True) if n > 1]
    order = sorted(range(len(dims)), key=lambda i: -abs(dims[i][1]))
    lined = [dims[i] for i in order]
    turn = "" if order == sorted(order) else _turn(order)
    keys = _keys(lined, view.offset, view.buffer.shape)
    ones = len(dims) < len(view.shape)
    if keys is not None:
        if ones and not turn:
            return base + _bracket(_with_ones(keys, view.shape), view.buffer.shape)
        return base + _bracket(keys, view.buffer.shape) + turn + (_ones(view.shape) if ones else "")
    block = _block(lined, view.offset, view.buffer.shape)
    if block is None:
        return None
    shape = view.shape if not turn else tuple(n for n, _ in lined)
    return f"{base}{block}.reshape({', '.join(map(str, shape))}){turn}" + (
        _ones(view.shape) if ones and turn else ""
    )


def _turn(order: Sequence[int]) -> str:
    if list(order) == list(range(len(order)))[::-1]:
        return ".T"
    return f".transpose({', '.join(str(list(order).index(i)) for i in range(len(order)))})"


def _ones(shape: Sizes) -> str:
    return f"[{', '.join('None' if n == 1 else ':' for n in shape)}]"


def _with_ones(keys: list[str], shape: Sizes) -> list[str]:
    """The keys with a new dimension for every size of 1."""
    out, rest = [], list(keys)
    for n in shape:
        while n > 1 and rest and rest[0].isdigit():
            out.append(rest.pop(0))
        out.append(rest.pop(0) if n > 1 else "None")
    return out + rest


def _keys(dims: Dims, offset: int, shape: Sizes) -> list[str] | None:
    """An index or a slice for each dimension of the array, or None where a dimension of the view goes
    through more than one of these."""
    keys, rest = [], list(dims)
    for n, stride in zip(shape, contiguous_strides(shape), strict=True):
        at, offset = divmod(offset, stride)
        if rest and rest[0][1] % stride == 0 and rest[0][1]:
            count, step = rest[0][0], rest[0][1] // stride
            if 0 <= at + (count - 1) * step < n:
                keys.append(_slice(at, count, step, n))
                rest.pop(0)
                continue
        if not at < n:
            return None
        keys.append(str(at))
    return None if rest or offset else keys


def _bracket(keys: list[str], shape: Sizes) -> str:
    used = len(keys)
    while used and keys[used - 1] == ":":
        used -= 1
    if not used:
        return ""
    numbers = all(k.isdigit() for k in keys) and len(keys) == len(shape)
    return f"[{', '.join([*keys[:used], *(['...'] if numbers else [])])}]"


def _slice(start: int, count: int, step: int, size: int) -> str:
    if step > 0:
        stop = start + (count - 1) * step + 1
        text = f"{start or ''}:{'' if stop + step - 1 >= size else stop}"
        return text + (f":{step}" if step != 1 else "")
    stop = start + count * step
    return f"{'' if start == size - 1 else start}:{stop if stop >= 0 else ''}:{step}"


def _block(dims: Dims, offset: int, shape: Sizes) -> str | None:
    """The rows of the array that hold just the entries of a view that lie side by side."""
    count = 1
    for n, stride in reversed(dims):
        if stride != count:
            return None
        count *= n
    row = contiguous_strides(shape)[0] if shape else 1
    if offset % row or count % row:
        return None
    first, last = offset // row, (offset + count) // row
    return "" if (first, last) == (0, shape[0] if shape else 1) else f"[{first}:{last}]"
