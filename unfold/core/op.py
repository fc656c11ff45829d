"""What most operations share, how one is applied to nodes, and how one is registered."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from unfold.core.axis import Axis
from unfold.core.dims import Dim, Shape, show
from unfold.core.errors import DefinitionError
from unfold.core.kinds import DTYPES, KINDS, Dtype
from unfold.core.leaves import Expression, as_node
from unfold.core.node import OPERATIONS, Node, Op, enter, register
from unfold.core.source import caller

Over = int | Axis | Sequence[int | Axis] | None  # along what: dimensions or axes; None: every dimension


@dataclass(frozen=True)
class Elementwise(Op):
    """Acts on every entry alone; shapes broadcast as in NumPy, names only against themselves or 1."""

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        self.refuse_complex(*inputs)
        return broadcast(self, *inputs), promote(self.kind, *inputs)

    def jvp(self, tangents: Sequence[Node | None], out: Node, *inputs: Node) -> Node | None:
        """The Jacobian is diagonal: each argument's `vjp`, of its own tangent."""
        if self.linear:
            return NotImplemented  # type: ignore[no-any-return]
        parts = [self.vjp(t, out, *inputs)[k] for k, t in enumerate(tangents) if t is not None]
        present = [p for p in parts if p is not None]
        return functools.reduce(operator.add, present) if present else None


@dataclass(frozen=True)
class Along(Op):
    """Acts along dimensions (negative numbers) or along axes, never both in one node."""

    over: tuple[int | Axis, ...] = (-1,)

    reduces: ClassVar[bool] = False
    neutral: ClassVar[float | None] = None  # an entry that changes nothing (for padding)

    @property
    def spans(self) -> tuple[Axis, ...]:
        return tuple(a for a in self.over if isinstance(a, Axis))

    def infer_axes(self, *inputs: Node) -> tuple[Axis, ...]:
        """Those of the inputs, without the ones it reduces. What it does not reduce it varies along,
        also where no input does: the running sum of one number is that number times t."""
        axes = super().infer_axes(*inputs)
        if self.reduces:
            return tuple(a for a in axes if a not in self.over)
        return tuple(dict.fromkeys((*axes, *self.spans)))

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        self.refuse_complex(*inputs)
        x = inputs[0]
        gone = {d % len(x.shape) for d in self.over if isinstance(d, int)} if self.reduces else set()
        return tuple(n for d, n in enumerate(x.shape) if d not in gone), promote(self.kind, *inputs)

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimensions to act on, in `forward` (there, an axis has become a dimension)."""
        return tuple(d for d in self.over if isinstance(d, int))

    def bind(self, axes: Sequence[Axis], rank: int) -> Along:
        """The same operation on arrays whose leading dimensions are `axes`."""
        at = {a: i - len(axes) - rank for i, a in enumerate(axes)}
        return replace(self, over=tuple(at[d] if isinstance(d, Axis) else d for d in self.over))


def conflict(a: Dim, x: Node, b: Dim, y: Node) -> str:
    """What to say where dimension `a` of x meets another dimension `b` of y: what bound each."""
    return f"{a} is not {b} ({bound(a, x)}; {bound(b, y)})"


def bound(dim: Dim, node: Node) -> str:
    """Which leaf below a node has a dimension, and where that was declared."""
    stack, seen = [node], {node}
    while stack:
        u = stack.pop()
        if u.op.leaf and dim in u.shape:
            where = getattr(u.op, "declared", u.where)
            return f"{dim}: {u} is {show(u.shape)}" + (f", declared at {where}" if where else "")
        stack += [v for v in u.inputs[::-1] if v not in seen]
        seen.update(u.inputs)
    return f"{dim}: {node} is {show(node.shape)}"


def promote(kind: str | None, *inputs: Node) -> Dtype:
    """The widest dtype kind among the inputs and `kind`."""
    return max([u.dtype for u in inputs] + ([DTYPES[kind]] if kind else []), key=KINDS.index)


def broadcast(op: Op, *inputs: Node) -> Shape:
    """NumPy's broadcasting on shapes with names."""
    out: list[Dim] = []
    for place in range(1, max((len(u.shape) for u in inputs), default=0) + 1):
        here = {u.shape[-place] for u in inputs if len(u.shape) >= place} - {1}
        if len(here) > 1:
            (a, x), (b, y), *_ = {
                u.shape[-place]: u for u in inputs if len(u.shape) >= place and u.shape[-place] != 1
            }.items()
            raise op.mismatch(*inputs, why=conflict(a, x, b, y))
        out.insert(0, here.pop() if here else 1)
    return tuple(out)


def apply(op: Op, *inputs: Any) -> Node:
    """The node of an operation on inputs; checks their shapes."""
    nodes = tuple(map(as_node, inputs))
    shape, dtype = op.infer(*nodes)
    return Node(op, nodes, op.infer_axes(*nodes), shape, dtype, caller())


def cotangents(op: Op, ct: Node, out: Node, inputs: Sequence[Node]) -> list[Node | None]:
    """What the rule of an operation gives, one for each input. Raises where it gives something else."""
    pieces = op.vjp(ct, out, *inputs)
    if not isinstance(pieces, list | tuple) or len(pieces) != len(inputs):
        got = f"{len(pieces)}" if isinstance(pieces, list | tuple) else f"one {type(pieces).__name__}"
        raise DefinitionError(
            f"the vjp of {op.name} must return a tuple of {len(inputs)}, one cotangent for each argument "
            f"(None where there is none); it returned {got}"
        )
    return [None if piece is None else as_node(piece) for piece in pieces]


def operation(cls: type[Op]) -> Callable[..., Node]:
    """Register an operation without parameters; returns its function.

    `relu = operation(Relu)` then `relu(x)`. The function takes over the class's docstring, and
    the names of its arguments from the gradient rule.
    """
    enlist(cls)
    op = cls()
    arguments = _arguments(cls)
    count = None if any(p.kind is p.VAR_POSITIONAL for p in arguments) else len(arguments)

    def function(*inputs: Expression) -> Node:
        if count is not None and len(inputs) != count:
            raise DefinitionError(f"{cls.name} takes {count} argument{'s' * (count > 1)}, here {len(inputs)}")
        return apply(op, *inputs)

    function.__name__ = function.__qualname__ = cls.name
    function.__doc__ = cls.__doc__
    function.__module__ = cls.__module__
    function.__signature__ = inspect.Signature(arguments, return_annotation="Node")  # type: ignore[attr-defined]
    return register(function)


def _arguments(cls: type[Op]) -> list[inspect.Parameter]:
    """The inputs that the gradient rule of an operation names, by place; `*inputs` for any number."""
    return [
        p.replace(
            kind=p.kind if p.kind is p.VAR_POSITIONAL else p.POSITIONAL_ONLY,
            annotation="Expression",
            default=p.empty,
        )
        for p in list(inspect.signature(cls.vjp).parameters.values())[3:]
        if p.kind is not p.VAR_KEYWORD
    ]


def enlist(cls: type[Op]) -> type[Op]:
    """Register an operation class (a decorator); its name must be free."""
    enter(OPERATIONS, cls.name, cls)
    return cls
