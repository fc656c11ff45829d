"""What an expression looks like on paper: where its leaves are read, which contractions are
matrix products, which slices are subscripts, and what is zero outside the sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from unfold.analysis.naming import is_zeros
from unfold.core.dims import subtract
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.core.system import postorder
from unfold.ops.array.linear import Contract

# ---------------------------------------------------------------------- zero outside 1..T
ALL_ZERO = frozenset({"add", "subtract", "concat", "stack"})
KEEPS_ZERO = frozenset(
    {
        *("negative", "divide", "square", "tanh", "sum", "reshape", "broadcast_to", "transpose"),
        *("narrow", "widen", "take", "scatter", "stop_gradient"),
    }
)


def vanishing(root: Node, may: Callable[[Node], bool]) -> list[Node] | None:
    """Symbols (of those that `may`) that, where they are zero, make an expression zero;
    None when none do."""
    found: dict[Node, list[Node] | None] = {}
    for u in postorder([root]):
        parts = [found[v] for v in u.inputs]
        if is_zeros(u):
            found[u] = []
        elif isinstance(u.op, Symbol):
            found[u] = [u] if may(u) else None
        elif u.op.name in ("multiply", "contract"):
            found[u] = next((p for p in parts if p is not None), None)
        elif u.op.name in KEEPS_ZERO:
            found[u] = parts[0]
        elif u.op.name in ALL_ZERO or u.op.name == "where":
            rest = parts[1:] if u.op.name == "where" else parts
            known = [p for p in rest if p is not None]
            found[u] = [s for p in known for s in p] if len(known) == len(rest) else None
        else:
            found[u] = None
    return found[root]


# ---------------------------------------------------------------------- products and slices
def as_matmul(op: Contract) -> list[tuple[int, bool]] | str | None:
    """A contraction of two operands as a matrix product: the two sides in order, each with
    whether it is transposed; "outer" for an outer product; None when it is neither."""
    if len(op.operands) != 2:
        return None
    a, b, out = *op.operands, op.result
    if len(a) == len(b) == 1 and len(out) == 2:
        return "outer"
    shared = [c for c in a if c in b and c not in out]
    if len(shared) != 1 or not (a and b) or max(len(a), len(b)) > 2:
        return [(0, False), (1, False)] if _is_stacked(a, b, out) else None
    (c,) = shared
    rest = [a.replace(c, ""), b.replace(c, "")]
    if rest[0] + rest[1] != out and rest[1] + rest[0] != out:
        return None
    # a matrix acts on a column vector: v @ W is written W.T @ v
    first = 0 if (rest[0] + rest[1] == out and not (len(a) == 1 < len(b))) else 1
    left, right = (a, b) if first == 0 else (b, a)
    return [(first, len(left) == 2 and left[0] == c), (1 - first, len(right) == 2 and right[1] == c)]


def _is_stacked(a: str, b: str, out: str) -> bool:
    """Whether this is NumPy's product of stacks of matrices."""
    if min(len(a), len(b)) < 2 or a[-1] != b[-2]:
        return False
    lead = max(a[:-2], b[:-2], key=len)
    return out == lead + a[-2] + b[-1] and lead.endswith(a[:-2]) and lead.endswith(b[:-2])


Slices = dict[int, tuple[Any, Any, int]]


def narrowed(node: Node) -> tuple[Node, Slices]:
    """What a chain of slices is taken from, and the slice of each dimension."""
    slices: Slices = {}
    while node.op.name == "narrow" and node.op.parameters["dim"] not in slices:
        p = node.op.parameters
        slices[p["dim"]] = (p["start"], p["stop"], p["step"])
        node = node.inputs[0]
    return node, slices


def is_single(bounds: tuple[Any, Any, int]) -> bool:
    """Whether a slice is one entry."""
    start, stop, step = bounds
    return step == 1 and subtract(stop, start) == 1


def spelled_slices(base: Node, slices: Slices, single: Iterable[int] = ()) -> list[str]:
    """What stands in the brackets: `[0]`, `[:, 2:4]`."""
    one, rank = set(single), len(base.shape)
    out = []
    for d in range(-rank, max(slices, key=lambda d: d, default=-rank) + 1):
        if d not in slices:
            out.append(":")
            continue
        start, stop, step = slices[d]
        if d in one:
            out.append(str(start))
            continue
        first = "" if start == 0 and step > 0 else str(start)
        last = "" if stop == base.shape[d] or (isinstance(stop, int) and stop < 0) else str(stop)
        out.append(f"{first}:{last}" + (f":{step}" if step != 1 else ""))
    return out
