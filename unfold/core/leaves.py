"""Nodes without inputs: what a call passes, what an equation defines, fixed numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from unfold.core.axis import Axis, Index, indexed
from unfold.core.errors import BadName, DefinitionError, UnfoldError
from unfold.core.kinds import Dtype, Role
from unfold.core.node import OPERATIONS, SERVICES, Node, Op, Operators, call


class Arraylike(Protocol):
    """An array of NumPy, or what gives one."""

    def __array__(self) -> Any: ...


# What `as_node` takes: whatever may stand in an expression.
Numbers = complex | Sequence[complex] | Sequence[Sequence[complex]] | Sequence[Sequence[Sequence[complex]]]
Expression = Operators | Axis | Index | Arraylike | Numbers


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
        return indexed(self.label, self.index)


@dataclass(frozen=True)
class Input(Named):
    """Data given at each call; `most` names an axis whose length bounds its entries, `role` says
    whether it is the tangent of another leaf."""

    most: Axis | None = None
    role: Role = Role.PLAIN


@dataclass(frozen=True)
class Param(Named):
    """A parameter: no axis, shared over all steps."""


@dataclass(frozen=True)
class Symbol(Named):
    """What an equation defines; a graph says which node that is. This is how cycles close.
    `role` says whether it is the derivative of another one."""

    role: Role = Role.PLAIN


@dataclass(frozen=True, eq=False)
class Constant(Leaf):
    """A fixed array. Equal when bytes, dtype and shape are (0.0 is not -0.0, 1 is not True)."""

    value: Any = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        value = np.array(state["value"])
        value.flags.writeable = False
        object.__setattr__(self, "value", value)

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


def kind_of(dtype: Any) -> Dtype:
    """The kind of a NumPy dtype."""
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise DefinitionError(f"{dtype!r} is no dtype; use bool, int, float or complex") from None
    kinds = {"b": Dtype.BOOL, "i": Dtype.INT, "u": Dtype.INT, "f": Dtype.FLOAT, "c": Dtype.COMPLEX}
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


SERVICES["as_node"] = as_node


def label_of(node: Node) -> str:
    """The name of a leaf."""
    return node.op.label if isinstance(node.op, Named) else node.op.name


def check_name(name: Any) -> str:
    """A usable name: any text but the empty one and control characters."""
    if not isinstance(name, str) or not name.strip():
        raise BadName(f"a name is a non-empty text, not {name!r}")
    if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise BadName(f"a name has no control characters: {name!r}")
    return name
