"""What the buffers of a plan look like: their dimensions, types and names, and numbers known
before any array is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.core.leaves import Constant, Named
from unfold.core.node import Node
from unfold.core.op import Elementwise
from unfold.engine.binding import Array
from unfold.engine.numpy.lines import Source
from unfold.engine.numpy.storage import Letters, Var
from unfold.engine.plan.plan import CannotPlan, Plan
from unfold.engine.rewrites.augmenting import Eye
from unfold.ops.array.indexing import Extent
from unfold.ops.array.linear import Contract
from unfold.ops.time.delays import Delay, Size, Step, Zeros


@dataclass
class Layout:
    """The variables of a plan's values, made when they are first needed."""

    plan: Plan
    equations: dict[Node, str]
    source: Source = field(default_factory=Source)
    vars: dict[Node, Var] = field(default_factory=dict)
    padded: dict[Node, Var] = field(default_factory=dict)
    spare: dict[tuple[Any, ...], Var] = field(default_factory=dict)
    carried: list[tuple[Node, Node]] = field(default_factory=list)  # (delay, source) kept in rows
    owned: dict[Node, None] = field(default_factory=dict)  # whose place may be taken over
    keep: set[Node] = field(default_factory=set)  # the outputs
    saved: set[Node] = field(default_factory=set)  # copied from each part into a whole buffer
    done: set[Node] = field(default_factory=set)  # printed; `vars` may hold a place before that

    def node(self, node: Node) -> None:
        """Print a node (in a subclass)."""
        raise NotImplementedError

    # ------------------------------------------------------------------ layout
    def letters(self, node: Node, whole: bool = True) -> Letters:
        """The dimensions of a node's buffer: axes in the plan's order, then its value's; then the axis of
        the batch, where it lies innermost."""
        stepped = {a for loop in self.plan.nest(node) for a in loop.axes} if not whole else set()
        axes = tuple(a for a in self.plan.axes(node) if a not in stepped)
        inner = (self.plan.inner,) if node in self.plan.turned and self.plan.inner in axes else ()
        return (*(a for a in axes if a not in inner), *range(len(node.shape)), *inner)

    def extent(self, letters: Letters, node: Node) -> list[int]:
        shape = self.plan.shape(node)
        return [self.steps(x) if isinstance(x, Axis) else shape[x] for x in letters]

    def steps(self, axis: Axis) -> int:
        """How many steps of an axis a buffer made here holds: those of a part, or all."""
        part = self.source.part
        return part.steps if part and part.axis == axis else self.plan.bound.extents[axis]

    def dtype(self, node: Node) -> Any:
        return self.plan.bound.dtype_of(node.dtype)

    def wish(self, node: Node) -> str:
        label = self.plan.labels.get(node)
        if label is None:
            if isinstance(node.op, Contract) and len(node.inputs) == 2:
                parts = [self.short(u) for u in node.inputs]
                return "".join(parts) if all(parts) else "a"
            return "a"
        name, _, index = label.partition("[")
        inner = index.rstrip("]")
        return name if not inner or not any(c.isdigit() or c.isupper() for c in inner) else f"{name}_{inner}"

    def short(self, node: Node) -> str:
        """What an operand is called, for the name of a product: Ux, Wh."""
        node = self.plan.resolve(node)
        if isinstance(node.op, Delay):
            return self.short(node.inputs[0])
        label = node.op.label if isinstance(node.op, Named) else self.plan.labels.get(node, "")
        return label.partition("[")[0]

    # ------------------------------------------------------------------ variables
    def var(self, node: Node) -> Var:
        """The variable of a node, printed already or a view made now."""
        node = self.plan.resolve(node)
        if node not in self.vars:
            self.node(node)
        return self.vars[node]

    # ------------------------------------------------------------------ numbers
    def number(self, value: Any, dtype: Any) -> Var:
        """A number as a 0-d array of the right dtype: a Python number costs twice the call."""
        key = (np.dtype(dtype).name, repr(value))
        if key not in self.spare:
            name = self.source.name({1: "one", 0: "zero", 0.5: "half", 2: "two"}.get(value, "k"))
            self.source.prepare.append(f"{name} = np.array({value!r}, {self.source.dtype(dtype)})")
            self.spare[key] = Var(name, (), np.array(value, dtype), True, value=value)
        return self.spare[key]

    def constant(self, node: Node) -> Array:
        op, bound = node.op, self.plan.bound
        if isinstance(op, Constant):
            value = op.value
        elif isinstance(op, Step):
            value = np.arange(1, bound.extents[op.axis] + 1)
        elif isinstance(op, Size):
            value = np.asarray(bound.extents[op.axis])
        elif isinstance(op, Extent):
            value = np.asarray(op.at_sizes(bound.sizes).dim)  # type: ignore[attr-defined]
        elif isinstance(op, Eye):
            value = np.eye(self.plan.shape(node)[0])
        elif isinstance(op, Zeros):
            value = np.zeros(self.plan.shape(node))
        elif self.is_number(node):
            value = np.asarray(op.forward(np, *(self.constant(u) for u in self.plan.inputs(node))))
        else:
            raise CannotPlan(f"a leaf {op.name}")
        users = self.plan.users.get(node, [node])  # an index stays an integer
        floats = node.dtype == "int" and all(
            isinstance(u.op, Elementwise) and u.dtype in ("float", "complex") for u in users
        )
        return np.asarray(value, bound.dtype if floats else self.dtype(node))

    def is_number(self, node: Node) -> bool:
        """A number that is known before any array is."""
        if isinstance(node.op, Size | Extent):
            return True
        if node.op.leaf:
            return isinstance(node.op, Constant)
        scalar = isinstance(node.op, Elementwise) and not node.shape and not node.axes
        return scalar and all(isinstance(u.op, Constant | Size | Extent) for u in self.plan.inputs(node))
