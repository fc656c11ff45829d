"""Immutable nodes and what an operation is; between them, the operators of Python and of NumPy.

A node is an operation, its input nodes, its axes, its value shape, its dtype kind ("bool", "int",
"float", "complex"; the precision comes from the arrays of a call), and where it was written. Nodes
compare by identity.

An operation is one small class. From it come its function, its gradient check, its batching, its
unfolding, its place in a plan, its drawing and its LaTeX form:

    class Tanh(Elementwise):
        \"\"\"tanh(x)\"\"\"
        symbol, tex = "tanh", r"\\tanh({0})"
        def forward(self, xp, x): return xp.tanh(x)
        def vjp(self, ct, y, x): return (ct * (1 - y * y),)

    tanh = operation(Tanh)

Rules are written for one example. What the engine takes care of: axes (time, batch), so a rule never
sees them; undoing broadcasts after a `vjp`; the working dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Number
from typing import Any, ClassVar, TypeVar

import numpy as np

from unfold.core.axis import Axis, Index
from unfold.core.dims import Shape, evaluate, show
from unfold.core.errors import BadName, DefinitionError, NotDifferentiable, ShapeMismatch
from unfold.core.kinds import DTYPES, Dtype
from unfold.core.source import portable

F = TypeVar("F", bound=Callable[..., Any])
OPERATIONS: dict[str, type[Op]] = {}
FUNCTIONS: dict[str, Callable[..., Any]] = {}

# What a node offers and other modules define: `as_node` (any value as a node), `write` (a node as a formula),
# `ufunc` and `function` (NumPy's protocols). Each module enters its own when it is imported.
SERVICES: dict[str, Callable[..., Any]] = {}


def register(function: F, name: str | None = None) -> F:
    """Make a function reachable by operators, NumPy protocols and the table of operations; its name must
    be free."""
    enter(FUNCTIONS, name or function.__name__, function)
    return function


def enter(table: dict[str, Any], name: str, thing: Any) -> None:
    """Give a name to a function or a class. The same one again (a cell of a notebook that is run twice)
    replaces the one before; another one is refused."""
    before = table.setdefault(name, thing)
    if _written(before) != _written(thing):
        raise BadName(f"there is an operation {name!r} already: {_written(before)[0]}")
    table[name] = thing


def _written(thing: Any) -> tuple[str, str]:
    """Where a function or a class stands."""
    return thing.__module__, thing.__qualname__


def call(name: str, *args: Any, **kwargs: Any) -> Node:
    """Apply a registered function by name."""
    result: Node = FUNCTIONS[name](*args, **kwargs)
    return result


class Operators:
    """The Python operators, for whatever can stand in an expression."""

    __slots__ = ()
    __array_priority__ = 1000

    def __add__(self, other: Any) -> Node:
        return call("add", self, other)

    def __radd__(self, other: Any) -> Node:
        return call("add", other, self)

    def __sub__(self, other: Any) -> Node:
        return call("subtract", self, other)

    def __rsub__(self, other: Any) -> Node:
        return call("subtract", other, self)

    def __mul__(self, other: Any) -> Node:
        return call("multiply", self, other)

    def __rmul__(self, other: Any) -> Node:
        return call("multiply", other, self)

    def __truediv__(self, other: Any) -> Node:
        return call("divide", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return call("divide", other, self)

    def __pow__(self, other: Any) -> Node:
        return call("power", self, other)

    def __rpow__(self, other: Any) -> Node:
        return call("power", other, self)

    def __matmul__(self, other: Any) -> Node:
        return call("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Node:
        return call("matmul", other, self)

    def __neg__(self) -> Node:
        return call("negative", self)

    def __pos__(self) -> Node:
        made: Node = SERVICES["as_node"](self)
        return made

    def __abs__(self) -> Node:
        return call("abs", self)

    def __lt__(self, other: Any) -> Node:
        return call("less", self, other)

    def __le__(self, other: Any) -> Node:
        return call("less_equal", self, other)

    def __gt__(self, other: Any) -> Node:
        return call("less", other, self)

    def __ge__(self, other: Any) -> Node:
        return call("less_equal", other, self)

    def __and__(self, other: Any) -> Node:
        return call("logical_and", self, other)

    def __or__(self, other: Any) -> Node:
        return call("logical_or", self, other)

    def __invert__(self) -> Node:
        return call("logical_not", self)

    def __bool__(self) -> bool:
        raise DefinitionError(
            f"the truth of {self} is not known while equations are written; use uf.where(condition, a, b)"
        )

    def __iter__(self) -> Iterator[Node]:
        raise DefinitionError(f"{self} cannot be iterated over; read its entries by index: v[0], v[1], ...")

    def __float__(self) -> float:
        raise DefinitionError(f"{self} is an expression, not a number; call a graph to get values")

    __complex__ = __int__ = __float__

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise DefinitionError(f"{self} is an expression, not an array; call a graph to get values")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Node:
        made: Node = SERVICES["ufunc"](ufunc, method, inputs, kwargs)
        return made

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return SERVICES["function"](func, args, kwargs)


def _blank(cls: type[Node]) -> Node:
    """A node before its state arrives: what it is made of may hold it again, through a variable."""
    return object.__new__(cls)


class Node(Operators):
    """One operation applied to nodes. Make it with operators and functions, not by hand."""

    __slots__ = ("__weakref__", "axes", "dtype", "inputs", "op", "shape", "where")

    op: Op
    inputs: tuple[Node, ...]
    axes: tuple[Axis, ...]
    shape: Shape
    dtype: Dtype
    where: str | None

    def __init__(
        self,
        op: Op,
        inputs: tuple[Node, ...] = (),
        axes: tuple[Axis, ...] = (),
        shape: Shape = (),
        dtype: str = Dtype.FLOAT,
        where: str | None = None,
    ) -> None:
        keep = object.__setattr__  # nodes refuse their own
        keep(self, "op", op)
        keep(self, "inputs", inputs)
        keep(self, "axes", axes)
        keep(self, "shape", shape)
        keep(self, "dtype", DTYPES[dtype])
        keep(self, "where", where)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"nodes are immutable: cannot set {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.op, self.inputs, self.axes, self.shape, str(self.dtype), portable(self.where))
        return _blank, (type(self),), state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        Node.__init__(self, *state)

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: Any) -> Node:
        return self

    __hash__ = object.__hash__  # by identity, at the speed of C

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Number | np.ndarray | Axis | Index):
            raise DefinitionError(
                f"{self} == {other!r}: nodes compare by identity; write uf.equal(a, b) for the equation's =="
            )
        return self is other

    @property
    def ndim(self) -> int:
        """How many dimensions the value has."""
        return len(self.shape)

    @property
    def T(self) -> Node:
        """The transpose of the value."""
        return call("transpose", self)

    def __getitem__(self, key: Any) -> Node:
        return call("getitem", self, key)

    def named(self, name: str) -> Node:
        """The same value, with a name for drawings and queries."""
        return call("named", self, name)

    def sum(self, over: Any = None, keepdims: bool = False) -> Node:
        """The sum over an axis or dimensions."""
        return call("sum", self, over=over, keepdims=keepdims)

    def mean(self, over: Any = None, keepdims: bool = False) -> Node:
        """The mean over an axis or dimensions."""
        return call("mean", self, over=over, keepdims=keepdims)

    def max(self, over: Any = None, keepdims: bool = False) -> Node:
        """The greatest entry over an axis or dimensions."""
        return call("max", self, over=over, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Node:
        """The entries in another shape."""
        return call("reshape", self, *shape)

    def __str__(self) -> str:
        text: str = SERVICES["write"](self)
        return text

    def __repr__(self) -> str:
        over = f" over {', '.join(a.name for a in self.axes)}" if self.axes else ""
        return f"<{self}: {self.dtype} {show(self.shape)}{over}>"


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
    # `**_` says to type checkers that rules name as many arguments as they have
    def forward(self, xp: Any, *arrays: Any, **_: Any) -> Any:
        """The values, computed with the array namespace `xp` (see the class)."""
        raise NotImplementedError

    def vjp(self, ct: Node, out: Node, *inputs: Any, **_: Any) -> Sequence[Node | None]:
        """Cotangent of each input, in graph operations; None where there is no gradient."""
        raise NotDifferentiable(f"{self.name} has no gradient; wrap it in stop_gradient(...)")

    def jvp(self, tangents: Sequence[Node | None], out: Node, *inputs: Node) -> Node | None:
        """Tangent of the result from those of the inputs (None: no tangent). `NotImplemented`, as here,
        leaves it to forward mode: the operation itself where it is linear, else the transpose of `vjp`."""
        return NotImplemented  # type: ignore[no-any-return]

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
        if self.real and any(u.dtype == Dtype.COMPLEX for u in inputs):
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
