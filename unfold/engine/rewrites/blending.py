"""Gates in loops: what f * s + i * g becomes where a call costs more than its arithmetic.

Where f and i lie side by side, and s beside g, both products are one: [f, i] * [s, g]. A gate is
sigmoid(z) = (1 + T) / 2 with T = tanh(z / 2), so that

    f * s + i * g = (T_f * s + T_i * g + s + g) / 2,        q * u = (T_q * u + u) / 2:

half the sum of vectors that lie end to end, which is one product with (1/2, 1/2, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unfold.core import dims
from unfold.core.dims import Dim, Shape
from unfold.core.leaves import Constant
from unfold.core.node import Node, Op
from unfold.core.op import Elementwise, apply, promote
from unfold.core.system import System
from unfold.engine.binding import Binding
from unfold.engine.rewrites.passes import SMALL, is_step_back, loops_of, numbers
from unfold.engine.rewrites.stacking import Replaced, pieces_of
from unfold.ops.array.indexing import Narrow
from unfold.ops.array.shape import Concat

Beside = tuple[Node, Node, bool]  # s and g in one, their products with the gates, whether s is first


@dataclass(frozen=True)
class Blend(Op):
    """half the sum of vectors that lie end to end"""

    count: int = 2
    size: Dim = 1  # of each

    sized = ("size",)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return (self.size,), promote(None, *inputs)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        (a,) = arrays
        return a.reshape((*a.shape[:-1], self.count, a.shape[-1] // self.count)).sum(-2) * 0.5


def pair(graph: System) -> tuple[Replaced, Replaced]:
    """In loops, f * s + i * g is one product [f, i] * [s, g], and the sum of its halves: where f
    and i lie side by side, and s is a delayed value that may lie beside g."""
    part_of, cyclic = loops_of(graph)
    out: Replaced = {}
    for node in graph.order:
        if node.op.name != "add" or part_of[node] not in cyclic:
            continue
        for s, f, g, i in _products(graph, node):
            new = _side_by_side(s, f, g, i, part_of) if is_step_back(graph, s) else None
            if new is not None:
                one, other = pieces_of(new[1], [node.shape[-1]] * 2, -1)
                out.setdefault(node, one + other)
    return out, {}


def gates(graph: System, bound: Binding) -> tuple[Replaced, Replaced]:
    """In small loops, gates by their tanh alone, where all that they are multiplied with can be blended
    in fewer calls than the gates themselves would take."""
    part_of, cyclic = loops_of(graph)
    out: Replaced = {}
    for sigmoid in graph.order:
        inner = _tanh(sigmoid)
        if inner is None or part_of[sigmoid] not in cyclic or 2 * numbers(sigmoid, bound) > SMALL:
            continue
        pieces = [u for u in graph.users[sigmoid] if part_of[u] == part_of[sigmoid]]
        uses = {p: [u for u in graph.users[p] if part_of[u] == part_of[p]] for p in pieces}
        if all(isinstance(p.op, Narrow) and len(p.shape) == 1 for p in pieces):
            out |= _blends(graph, inner, uses, part_of)
    return out, {}


def _blends(
    graph: System, inner: Node, uses: Mapping[Node, list[Node]], part_of: Mapping[Node, int]
) -> Replaced:
    """What replaces all that the loop multiplies the pieces of a gate with; nothing where it does more
    than that, or more than one product would be blended alone, which takes a call more."""
    found: Replaced = {}
    alone = 0
    for product in [u for users in uses.values() for u in users]:
        sums = [
            (node, _blended(s, _piece(inner, f), g, _piece(inner, i), part_of))
            for node in graph.users[product]
            for s, f, g, i in _products(graph, node)
            if f in uses and i in uses and is_step_back(graph, s)
        ]
        node, new = next(((node, new) for node, new in sums if new is not None), (product, None))
        if new is None and product.op.name == "multiply":
            gate, value = sorted(product.inputs, key=lambda u: u not in uses)
            if value.shape == product.shape and set(value.axes) == set(product.axes) and value not in uses:
                joint = apply(Concat(-1), value, _piece(inner, gate) * value)
                new, alone = apply(Blend(2, value.shape[-1]), joint), alone + 1
        if new is None or alone > 1:
            return {}
        found[node] = new
    return found


def _tanh(node: Node) -> Node | None:
    """T of (1 + T) / 2."""
    if node.op.name != "add" or len(node.inputs) != 2 or not _is_half(node.inputs[1]):
        return None
    half = node.inputs[0]
    return half.inputs[0] if half.op.name == "multiply" and _is_half(half.inputs[1]) else None


def _is_half(node: Node) -> bool:
    return isinstance(node.op, Constant) and not node.shape and bool(node.op.value == 0.5)


def _piece(whole: Node, like: Node) -> Node:
    """The piece of a value where another one has a piece of its own."""
    assert isinstance(like.op, Narrow)
    start, stop = like.op.start, like.op.stop
    if isinstance(whole.op, Narrow) and (whole.op.dim, whole.op.step) == (-1, 1):
        start, stop = dims.add(whole.op.start, start), dims.add(whole.op.start, stop)
        whole = whole.inputs[0]
    return apply(Narrow(start, stop, 1, -1), whole)


def _products(graph: System, node: Node) -> list[tuple[Node, Node, Node, Node]]:
    """Ways to read a sum as f * s + i * g, each product needed nowhere else: (s, f, g, i)."""
    if node.op.name != "add" or len(node.inputs) != 2 or len(node.shape) != 1:
        return []
    alone = all(graph.users[u] == [node] and u.op.name == "multiply" for u in node.inputs)
    if not alone or any(
        v.shape != node.shape or v.dtype != node.dtype for u in node.inputs for v in u.inputs
    ):
        return []
    first, second = (u.inputs for u in node.inputs)
    return [
        (s, f, g, i)
        for left, right in ((first, second), (second, first))
        for s, f in (left, left[::-1])
        for g, i in (right, right[::-1])
    ]


def _side_by_side(s: Node, f: Node, g: Node, i: Node, part_of: Mapping[Node, int]) -> Beside | None:
    if not all(isinstance(u.op, Narrow) and (u.op.dim, u.op.step) == (-1, 1) for u in (f, g, i)):
        return None
    assert isinstance(f.op, Narrow) and isinstance(g.op, Narrow) and isinstance(i.op, Narrow)  # noqa: PT018
    gates, values = f.inputs[0], g.inputs[0]
    computed = isinstance(values.op, Elementwise) and part_of[values] == part_of[s]
    if i.inputs[0] is not gates or not computed or set(values.axes) != set(s.axes):
        return None
    size, width = s.shape[-1], values.shape[-1]
    if g.op.start == 0 and i.op.start == f.op.stop:  # [s, g, ...] and [f, i]
        joint, start, of, first = (
            apply(Concat(-1), s, values),
            dims.canonical(0),
            (f.op.start, i.op.stop),
            True,
        )
    elif g.op.stop == width and f.op.start == i.op.stop:  # [..., g, s] and [i, f]
        joint, start, of, first = apply(Concat(-1), values, s), g.op.start, (i.op.start, f.op.stop), False
    else:
        return None
    both = apply(Narrow(start, dims.add(start, size, size), 1, -1), joint)
    return joint, both * apply(Narrow(*of, 1, -1), gates), first


def _blended(s: Node, f: Node, g: Node, i: Node, part_of: Mapping[Node, int]) -> Node | None:
    """Half of T_f * s + T_i * g + s + g, with all four end to end."""
    found = _side_by_side(s, f, g, i, part_of)
    if found is None:
        return None
    joint, both, first = found
    whole, size = apply(Concat(-1), *((both, joint) if first else (joint, both))), s.shape[-1]
    stop = dims.add(size, size, size, size) if first else whole.shape[-1]
    start = dims.subtract(stop, dims.add(size, size, size, size))
    return apply(Blend(4, size), apply(Narrow(start, stop, 1, -1), whole))
