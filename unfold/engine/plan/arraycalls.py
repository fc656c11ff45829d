"""Elementwise operations as the array calls they make, each a node of its own.

So that the scheduler can take each out of a loop alone, and each has a place like any value: no
scratch, no special case for what is written in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from unfold.core import dims
from unfold.core.dims import Shape
from unfold.core.leaves import Constant, constant
from unfold.core.node import Node, Op
from unfold.core.op import Elementwise, broadcast
from unfold.engine.binding import Binding
from unfold.engine.plan.trace import Call, Operand, Ref, trace
from unfold.ops.array.indexing import Extent
from unfold.ops.time.delays import Size

Convert = Callable[[Node, str], Node]
DTYPES: Mapping[str, Any] = {"bool": np.bool_, "int": np.int64, "float": np.float64, "complex": np.complex128}


@dataclass(frozen=True)
class ArrayCall(Elementwise):
    """one call of a NumPy ufunc, or of `where`"""

    ufunc: str = "add"
    to: str = "float"  # the kind of the result

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return broadcast(self, *inputs), self.to

    def forward(self, xp: Any, *arrays: Any) -> Any:
        return getattr(xp, self.ufunc)(*arrays)


@dataclass(frozen=True)
class Held(Elementwise):
    """the same value in memory of its own: over more axes, or as numbers of a wider kind"""

    to: str = "float"  # the kind

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return inputs[0].shape, self.to

    def forward(self, xp: Any, a: Any) -> Any:
        return a


def array_calls(node: Node, inputs: tuple[Node, ...], bound: Binding, convert: Convert) -> Node | None:
    """The last call of an elementwise operation on `inputs`; None where it is no plain chain of ufuncs
    on numbers of one kind. `convert` makes a value one of another kind."""
    calls = _calls(node.op, len(inputs), bound.dtype.kind == "c")
    kinds = {u.dtype for u in inputs if u.dtype != "bool" and not _is_number(u)}
    kind = node.dtype if node.dtype != "bool" else next(iter(kinds), "float")
    if calls is None or not _can_be_called(calls, inputs, kind):
        return None
    if node.dtype == "bool" and (len(kinds) > 1 or "complex" in kinds):
        return None  # comparing numbers of two kinds is not to compare them in one of these
    chooses = any(c.name == "where" for c in calls)
    only_bools = not kinds and node.dtype != "bool" and not chooses
    arguments = [_of_kind(u, kind, only_bools, bound, convert) for u in inputs]
    return _chain(node, calls, arguments, kind)


def _can_be_called(calls: list[Call], inputs: tuple[Node, ...], kind: str) -> bool:
    """Whether calls on numbers of a kind mean what the operation means."""
    for c in calls:
        if c.name == "real" or (kind == "int" and not c.boolean and not _stays_int(c.name, len(c.operands))):
            return False
        condition = c.operands[0]
        given = c.name == "where" and isinstance(condition, Ref) and condition.call < 0
        if given and isinstance(condition, Ref) and inputs[condition.arg].dtype != "bool":
            return False  # a number, true where it is not 0
    return True


def _chain(node: Node, calls: list[Call], arguments: list[Node], kind: str) -> Node:
    """A node for each call; the last one has the axes and the shape of the operation."""
    results: list[Node] = []

    def operand(r: Ref | Operand) -> Node:
        if isinstance(r, Ref):
            return results[r.call] if r.call >= 0 else arguments[r.arg]
        return constant(np.asarray(r, DTYPES["bool" if isinstance(r, bool) else kind]))

    for c in calls:
        operands = tuple(map(operand, c.operands))
        op = ArrayCall(c.name, "bool" if c.boolean else kind)
        axes = tuple(dict.fromkeys(a for u in operands for a in u.axes))
        if all(isinstance(u.op, Constant) and not u.shape for u in operands):
            results.append(_folded(op, operands))
        else:
            results.append(Node(op, operands, axes, broadcast(op, *operands), op.to, node.where))
    last = results[-1]
    if isinstance(last.op, Constant) and not node.axes:
        return constant(last.op.value.astype(DTYPES[node.dtype]))
    if isinstance(last.op, Constant):  # the same at every step
        return Node(Held(node.dtype), (last,), node.axes, node.shape, node.dtype, node.where)
    return Node(replace(op, to=node.dtype), last.inputs, node.axes, node.shape, node.dtype, node.where)


def _folded(op: ArrayCall, operands: tuple[Node, ...]) -> Node:
    """A call on numbers that are known."""
    values = [u.op.value for u in operands if isinstance(u.op, Constant)]
    with np.errstate(all="ignore"):
        return constant(np.asarray(op.forward(np, *values), DTYPES[op.to]))


def _of_kind(u: Node, kind: str, bools: bool, bound: Binding, convert: Convert) -> Node:
    """An argument as numbers of a kind; a bool stays one unless there is nothing else."""
    if u.dtype == kind or (u.dtype == "bool" and not bools):
        return u
    if _is_number(u):
        return constant(np.asarray(_number(u, bound), DTYPES[kind]))
    return convert(u, kind)


def _is_number(u: Node) -> bool:
    return isinstance(u.op, Size | Extent) or (isinstance(u.op, Constant) and u.op.value.ndim == 0)


def _number(u: Node, bound: Binding) -> Any:
    if isinstance(u.op, Constant):
        return u.op.value
    return bound.extents[u.op.axis] if isinstance(u.op, Size) else dims.evaluate(_extent(u), bound.sizes)


def _extent(u: Node) -> dims.Dim:
    assert isinstance(u.op, Extent)
    return u.op.dim


@lru_cache(maxsize=4096)
def _calls(op: Op, arguments: int, is_complex: bool) -> list[Call] | None:
    return trace(op, arguments, is_complex)


@lru_cache(maxsize=512)
def _stays_int(name: str, arguments: int) -> bool:
    """Whether a ufunc of integers gives integers."""
    if name == "where":
        return True
    return bool(getattr(np, name)(*[np.ones(1, np.int64)] * arguments).dtype.kind == "i")
