"""What an operation is, and the registry of all of them.

An operation is one small class. From it come its function, its gradient check, its
batching, its unfolding, its place in a plan, its drawing and its LaTeX form:

    class Tanh(Elementwise):
        \"\"\"tanh(x)\"\"\"
        symbol, tex = "tanh", r"\\tanh({0})"
        def forward(self, xp, x): return xp.tanh(x)
        def vjp(self, ct, y, x): return (ct * (1 - y * y),)

    tanh = operation(Tanh)

Rules are written for one example. What the engine takes care of: axes (time, batch), so a
rule never sees them; undoing broadcasts after a `vjp`; the working dtype.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from unfold.axis import Axis
from unfold.dims import Dim, Shape, evaluate, show
from unfold.errors import NotDifferentiable, ShapeMismatch

if TYPE_CHECKING:
    from unfold.node import Node

KINDS = ("bool", "int", "float", "complex")
F = TypeVar("F", bound=Callable[..., Any])
OPERATIONS: dict[str, type[Op]] = {}
FUNCTIONS: dict[str, Callable[..., Any]] = {}


@dataclass(frozen=True)
class Op:
    """An operation with its parameters (the dataclass fields); two equal ones are one.

    `forward(xp, *arrays)` computes it with the array namespace `xp`. Arrays may have any
    number of leading axes, the same for all of them, before the dimensions of one value:
    so dimensions are counted from the end (-1 is the last).
    """

    name: ClassVar[str] = ""
    symbol: ClassVar[str] = ""  # on drawings
    infix: ClassVar[tuple[str, int] | None] = None  # ("+", precedence) in printed equations
    tex: ClassVar[str | None] = None  # LaTeX with {0}, {1}: the arguments
    kind: ClassVar[str | None] = None  # the result is at least this kind
    domain: ClassVar[tuple[tuple[float, float], ...]] = ((-2.0, 2.0),)  # tests draw from here
    structural: ClassVar[bool] = False  # moves values along an axis and computes nothing
    leaf: ClassVar[bool] = False  # has no inputs
    sized: ClassVar[tuple[str, ...]] = ()  # the fields that hold dimensions
    differentiable: ClassVar[bool] = True
    linear: ClassVar[bool] = False  # in its inputs jointly (but for those in `data`)
    data: ClassVar[tuple[int, ...]] = ()  # inputs that only choose: indices, conditions
    real: ClassVar[bool] = False  # defined for real numbers only
    complex_safe: ClassVar[bool] = True  # forward is holomorphic, so complex step applies

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = cls.__dict__.get("name", cls.__name__.lower())
        cls.symbol = cls.__dict__.get("symbol", cls.name)

    # ------------------------------------------------------------------ shape and dtype
    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        """Value shape and dtype kind of the result, from its inputs."""
        raise NotImplementedError

    def infer_axes(self, *inputs: Node) -> tuple[Axis, ...]:
        """Axes of the result: those of all inputs, in order of appearance."""
        return tuple(dict.fromkeys(a for u in inputs for a in u.axes))

    # ------------------------------------------------------------------ meaning
    def forward(self, xp: Any, *arrays: Any) -> Any:
        """The values, computed with the array namespace `xp` (see the class)."""
        raise NotImplementedError

    def vjp(self, ct: Node, out: Node, *inputs: Any) -> Sequence[Node | None]:
        """Cotangent of each input, in graph operations; None where there is no gradient."""
        raise NotDifferentiable(f"{self.name} has no gradient; wrap it in stop_gradient(...)")

    def jvp(self, tangents: Sequence[Node | None], out: Node, *inputs: Node) -> Node | None:
        """Tangent of the result from those of the inputs (None: no tangent). The operation
        itself where it is linear, else the transpose of `vjp`, which is linear in `ct`."""
        from unfold.forward import apply_to_tangents, transpose_vjp

        rule = apply_to_tangents if self.linear else transpose_vjp
        return rule(self, tangents, out, *inputs)

    # ------------------------------------------------------------------ the axis, if it acts on one
    @property
    def spans(self) -> tuple[Axis, ...]:
        """The axes it acts along as a whole (`sum(.., over=t)`), if any."""
        return ()

    def at_sizes(self, sizes: Mapping[str, int]) -> Op:
        """The same operation with every dimension a number, ready for `forward`."""
        if not self.sized:
            return self
        known: dict[str, Any] = {}
        for name in self.sized:
            dim = getattr(self, name)
            if dim is None:
                continue
            one = not isinstance(dim, tuple)
            known[name] = evaluate(dim, sizes) if one else tuple(evaluate(d, sizes) for d in dim)
        return replace(self, **known)

    def refuse_complex(self, *inputs: Node) -> None:
        """Raise where an operation on real numbers is given complex ones."""
        if self.real and any(u.dtype == "complex" for u in inputs):
            raise self.mismatch(
                *inputs, why=f"{self.name} is defined for real numbers; take real(..) or abs(..)"
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def mismatch(self, *inputs: Node, why: str = "") -> ShapeMismatch:
        """The error for inputs whose shapes do not fit."""
        shapes = " and ".join(f"{u!s}: {show(u.shape)}" for u in inputs)
        return ShapeMismatch(
            f"{self.name}: shapes do not fit: {shapes}" + (f"; {why}" if why else ""),
            operation=self.name,
            shapes=tuple(u.shape for u in inputs),
        )


@dataclass(frozen=True)
class Elementwise(Op):
    """Acts on every entry alone; shapes broadcast as in NumPy, names only against themselves or 1."""

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        self.refuse_complex(*inputs)
        return broadcast(self, *inputs), promote(self.kind, *inputs)

    def jvp(self, tangents: Sequence[Node | None], out: Node, *inputs: Node) -> Node | None:
        """The Jacobian is diagonal: each argument's `vjp`, of its own tangent."""
        if self.linear:
            return super().jvp(tangents, out, *inputs)
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
        axes = super().infer_axes(*inputs)
        if self.reduces:
            return tuple(a for a in axes if a not in self.over)
        return tuple(dict.fromkeys((*axes, *self.spans)))  # a running sum of ones is 1, 2, ...

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


def promote(kind: str | None, *inputs: Node) -> str:
    """The widest dtype kind among the inputs and `kind`."""
    return max([u.dtype for u in inputs] + ([kind] if kind else []), key=KINDS.index)


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


def register(function: F, name: str | None = None) -> F:
    """Make a function reachable by operators, NumPy protocols and the table of operations."""
    FUNCTIONS[name or function.__name__] = function
    return function
