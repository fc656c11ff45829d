"""Immutable nodes, their operators, and the NumPy protocols that let `np.tanh(node)` work.

A node is an operation, its input nodes, its axes, its value shape, its dtype kind ("bool",
"int", "float", "complex"; the precision comes from the arrays of a call), and where it was
written. Nodes compare by identity.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np

from unfold.axis import Axis, Index
from unfold.dims import Shape, show
from unfold.errors import BadName, DefinitionError, UnfoldError
from unfold.op import FUNCTIONS, OPERATIONS, Op, register
from unfold.source import caller as caller


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
        return as_node(self)

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
        from unfold.protocols import apply_ufunc

        return apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from unfold.protocols import apply_function

        return apply_function(func, args, kwargs)


class Node(Operators):
    """One operation applied to nodes. Make it with operators and functions, not by hand."""

    __slots__ = ("__weakref__", "axes", "dtype", "inputs", "op", "shape", "where")

    op: Op
    inputs: tuple[Node, ...]
    axes: tuple[Axis, ...]
    shape: Shape
    dtype: str
    where: str | None

    def __init__(
        self,
        op: Op,
        inputs: tuple[Node, ...] = (),
        axes: tuple[Axis, ...] = (),
        shape: Shape = (),
        dtype: str = "float",
        where: str | None = None,
    ) -> None:
        for name, value in zip(
            ("op", "inputs", "axes", "shape", "dtype", "where"),
            (op, inputs, axes, shape, dtype, where),
            strict=True,
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"nodes are immutable: cannot set {name!r}")

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
        from unfold.text import expression

        return expression(self)

    def __repr__(self) -> str:
        over = f" over {', '.join(a.name for a in self.axes)}" if self.axes else ""
        return f"<{self}: {self.dtype} {show(self.shape)}{over}>"


@dataclass(frozen=True)
class Leaf(Op):
    """A node without inputs; what it is called on drawings and in calls."""

    leaf = True

    def forward(self, xp: Any, *arrays: Any) -> Any:
        raise UnfoldError(f"{self!r} has no value of its own")


@dataclass(frozen=True)
class Named(Leaf):
    """A leaf with a name and, after unfolding, the concrete place it stands for."""

    label: str = ""
    index: tuple[Index | int, ...] = ()

    def __str__(self) -> str:
        return self.label + (f"[{', '.join(map(repr, self.index))}]" if self.index else "")


@dataclass(frozen=True)
class Input(Named):
    """Data given at each call; `most` names an axis whose length bounds its entries."""

    most: Axis | None = None


@dataclass(frozen=True)
class Param(Named):
    """A parameter: no axis, shared over all steps."""


@dataclass(frozen=True)
class Symbol(Named):
    """What an equation defines; a graph says which node that is. This is how cycles close.
    `role` is "adjoint" or "tangent" for the derivative of another one."""

    role: str = ""


@dataclass(frozen=True, eq=False)
class Constant(Leaf):
    """A fixed array. Equal when bytes, dtype and shape are (0.0 is not -0.0, 1 is not True)."""

    value: Any = None

    @property
    def key(self) -> tuple[bytes, str, tuple[int, ...]]:
        return self.value.tobytes(), self.value.dtype.str, self.value.shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        return self.value

    def __str__(self) -> str:
        return np.array2string(self.value, threshold=6, precision=6, separator=", ").replace("\n", "")


for _op in (Input, Param, Symbol, Constant):
    OPERATIONS[_op.name] = _op


def kind_of(dtype: Any) -> str:
    """The kind of a NumPy dtype: "bool", "int", "float" or "complex"."""
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise DefinitionError(f"{dtype!r} is no dtype; use bool, int, float or complex") from None
    kinds = {"b": "bool", "i": "int", "u": "int", "f": "float", "c": "complex"}
    kind = kinds.get(np.dtype(dtype).kind)
    if kind is None:
        raise DefinitionError(f"dtype {np.dtype(dtype)} is not a number; use bool, int, float or complex")
    return kind


def constant(value: Any) -> Node:
    """A node for a fixed array or number."""
    array = np.array(value)
    kind = kind_of(array.dtype)
    array.flags.writeable = False
    return Node(Constant(array), shape=array.shape, dtype=kind)


def as_node(value: Any) -> Node:
    """A node from whatever may stand in an expression."""
    if isinstance(value, Node):
        return value
    if hasattr(value, "__unfold_node__"):
        node = value.__unfold_node__()
        assert isinstance(node, Node)
        return node
    if isinstance(value, Axis | Index):
        return call("step", value)
    if isinstance(value, list | tuple) and any(isinstance(v, Operators) for v in value):
        raise DefinitionError(
            f"a {type(value).__name__} of expressions is no expression; use uf.stack or uf.concat"
        )
    try:
        return constant(value)
    except (DefinitionError, TypeError, ValueError) as error:
        raise DefinitionError(
            f"{type(value).__name__} {value!r} cannot stand in an expression: {error}"
        ) from None


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


def call(name: str, *args: Any, **kwargs: Any) -> Node:
    """Apply a registered function by name."""
    result: Node = FUNCTIONS[name](*args, **kwargs)
    return result


def operation(cls: type[Op]) -> Callable[..., Node]:
    """Register an operation without parameters; returns its function.

    `relu = operation(Relu)` then `relu(x)`. The function takes over the class's docstring.
    """
    enlist(cls)
    op = cls()
    count = _arity(cls)

    def function(*inputs: Any) -> Node:
        if count is not None and len(inputs) != count:
            raise DefinitionError(f"{cls.name} takes {count} argument{'s' * (count > 1)}, here {len(inputs)}")
        return apply(op, *inputs)

    function.__name__ = function.__qualname__ = cls.name
    function.__doc__ = cls.__doc__
    function.__module__ = cls.__module__
    return register(function)


def _arity(cls: type[Op]) -> int | None:
    """How many inputs the gradient rule of an operation names; None for any number."""
    named = list(inspect.signature(cls.vjp).parameters.values())[3:]
    return None if any(p.kind is p.VAR_POSITIONAL for p in named) else len(named)


def enlist(cls: type[Op]) -> type[Op]:
    """Register an operation class (a decorator); its name must be free."""
    if OPERATIONS.setdefault(cls.name, cls).__qualname__ != cls.__qualname__:
        raise BadName(f"there is an operation {cls.name!r} already: {OPERATIONS[cls.name].__module__}")
    OPERATIONS[cls.name] = cls
    return cls


def check_name(name: Any) -> str:
    """A usable name: any text but the empty one and control characters."""
    if not isinstance(name, str) or not name.strip():
        raise BadName(f"a name is a non-empty text, not {name!r}")
    if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise BadName(f"a name has no control characters: {name!r}")
    return name
