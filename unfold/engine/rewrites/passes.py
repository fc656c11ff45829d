"""Graph to graph, for speed: what a plan does to a request before it schedules it.

Each pass keeps every value (up to rounding) and can be left out: `unfold.engine.planning.PASSES`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from unfold.analysis.schedule import components, edges
from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.dims import Dim, Shape
from unfold.core.leaves import Constant, Symbol
from unfold.core.node import Node, Op, call
from unfold.core.op import Along, Elementwise, apply, promote
from unfold.core.system import System, postorder, rebuild, rewriting
from unfold.engine.binding import Binding
from unfold.ops.array.indexing import Scatter
from unfold.ops.array.linear import Contract
from unfold.ops.array.reduction import Sum
from unfold.ops.time.delays import Delay, Reverse, Structural

SMALL = 1024  # numbers or products a step: below, one larger operation costs less than one more call
Passed = tuple[System, dict[Node, Node]]  # the graph, and what became of each node
KIND_DTYPES = {"bool": np.bool_, "int": np.int64, "float": np.float64, "complex": np.complex128}


@dataclass(frozen=True)
class Copy(Elementwise):
    """the same value in a place of its own, perhaps as another kind of number"""

    to: str | None = None

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return inputs[0].shape, promote(self.to, *inputs)

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.positive(a) if self.to is None else xp.multiply(a, 1 if self.to == "int" else 1.0)


@dataclass(frozen=True)
class SumOfProducts(Op):
    """sum over axes of a contraction: one matrix product over stacked rows"""

    spec: str = "i,j->ij"
    over: tuple[Axis, ...] = ()

    symbol: ClassVar[str] = "Σ·"

    @property
    def spans(self) -> tuple[Axis, ...]:
        return self.over

    def infer_axes(self, *inputs: Node) -> tuple[Axis, ...]:
        return tuple(a for a in super().infer_axes(*inputs) if a not in self.over)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return Contract(self.spec).infer(*inputs)


@dataclass(frozen=True)
class SumOfScatters(Along):
    """sum over axes of rows added at integer indices: all rows added into one array"""

    size: Dim = 1
    ranks: tuple[int, int] = (0, 0)  # of a and of i

    symbol, reduces, sized = "Σ·", True, ("size",)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return Scatter(self.size, self.ranks).infer(*inputs)

    def forward(self, xp: Any, a: Any, i: Any) -> Any:
        ahead, rank = (x.ndim - r for x, r in zip((a, i), self.ranks, strict=True))
        lead = np.broadcast_shapes(a.shape[:ahead], i.shape[:rank])
        gone = [d + a.ndim for d in self.dims]
        order = [d for d in range(ahead) if d not in gone] + gone
        kept, steps = tuple(lead[d] for d in order[: ahead - len(gone)]), i.shape[rank:]
        rest = a.shape[ahead + len(steps) :]
        a = np.broadcast_to(a, (*lead, *a.shape[ahead:])).transpose(*order, *range(ahead, a.ndim))
        i = np.broadcast_to(i, (*lead, *steps)).transpose(*order, *range(ahead, ahead + len(steps)))
        size, count, groups = int(self.size), math.prod(rest), math.prod(kept)
        at = _from_zero(i, size).reshape(groups, -1) + size * np.arange(groups)[:, None]
        out = np.zeros((groups * size, count), a.dtype)
        add_rows(a.reshape(at.size, count), at.reshape(-1), out)
        return out.reshape(*kept, size, *rest)


def add_rows(rows: Any, at: Any, out: Any) -> None:
    """out = zeros, with each row added to the one of the given number."""
    out.fill(0)
    if len(at):
        at = _from_zero(at, len(out))
        order = np.argsort(at, kind="stable")
        at = at[order]
        first = np.flatnonzero(np.diff(at, prepend=at[0] - 1))
        out[at[first]] = np.add.reduceat(rows[order], first, axis=0)


def _from_zero(at: Any, size: int) -> Any:
    """Indices, those below zero counted from the end."""
    if at.size and not -size <= at.min() <= at.max() < size:
        raise IndexError(f"an index from {at.min()} to {at.max()} is not one of {size} rows")
    return np.where(at < 0, at + size, at)


def inline(graph: System) -> Passed:
    """Symbols replaced by what defines them, and put in front of every delay instead: there
    alone a cycle may close. A node is then over those axes that its inputs vary along, which may be
    fewer than its equation was declared over, and of the kind that was declared."""
    done: dict[Node, Node] = {}
    cut: dict[tuple[Node, str], Node] = {}  # what a time operation reads, as a kind -> by which symbol
    cast: dict[tuple[Node, str], Node] = {}

    def moves(node: Node) -> Iterable[Node]:
        return node.inputs if isinstance(node.op, Structural) else ()

    def below(node: Node) -> Iterable[Node]:
        return () if isinstance(node.op, Structural) else graph.inputs_of(node)

    def read(symbol: Node) -> Node:
        return as_kind(_define(graph, symbol), symbol.dtype)

    def as_kind(u: Node, kind: str) -> Node:
        if u.dtype != kind and (u, kind) not in cast:
            cast[u, kind] = _of_kind(done[u], kind)
        return cast.get((u, kind), done[u])

    for node in postorder(graph.outputs.values(), moves, below):
        if isinstance(node.op, Symbol):
            continue
        if isinstance(node.op, Structural):
            for symbol in node.inputs:
                u, kind = _define(graph, symbol), symbol.dtype
                leaf = Symbol(f"cut {len(cut)}")
                cut.setdefault((u, kind), Node(leaf, (), u.axes, u.shape, kind, u.where))
            done[node] = rebuild(node, tuple(cut[_define(graph, s), s.dtype] for s in node.inputs))
        else:
            done[node] = rebuild(node, tuple(map(read, node.inputs)))
    definitions = {symbol: as_kind(u, kind) for (u, kind), symbol in cut.items()}
    whole = {name: read(u) for name, u in graph.outputs.items()}
    result, then = _settled(graph.remade(whole, definitions))
    outputs = dict(result.outputs)
    for name, u in graph.outputs.items():  # one that is the same at every step is repeated
        for axis in u.axes:
            if axis not in outputs[name].axes:
                outputs[name] = _spread(outputs[name], axis)
    done |= {u: node for (u, _), node in cast.items()}
    return graph.remade(outputs, result.definitions), {n: then[u] for n, u in done.items() if u in then}


def _of_kind(node: Node, kind: str) -> Node:
    """A value as one of a wider kind: what an equation of numbers defines with integers."""
    while isinstance(node.op, Constant) or node.op.name in ("broadcast_to", "reshape", "zeros"):
        if isinstance(node.op, Constant):
            value = node.op.value.astype(KIND_DTYPES[kind])
            return Node(Constant(value), (), node.axes, node.shape, kind, node.where)
        inputs = tuple(_of_kind(u, kind) for u in node.inputs)
        return Node(node.op, inputs, node.axes, node.shape, kind, node.where)
    return Node(Copy(kind), (node,), node.axes, node.shape, kind, node.where)


def _settled(graph: System) -> Passed:
    """The graph with every node over the axes that its operation makes of those of its inputs, where
    it was declared over more. What acts along an axis that its input lacks is given it along that axis."""
    axes = {n: n.axes for n in graph.order}

    def lacking(node: Node) -> list[Axis]:
        along = (node.op.axis,) if isinstance(node.op, Reverse) else node.op.spans
        return [a for a in along if not any(a in axes[u] for u in node.inputs)]

    settled = False
    while not settled:
        settled = True
        for node in graph.order:
            if node.op.leaf and not isinstance(node.op, Symbol):
                continue
            inputs = [_Over((*axes[u], *lacking(node))) for u in graph.inputs_of(node)]
            want = node.op.infer_axes(*inputs) if node.inputs else inputs[0].axes  # type: ignore[arg-type]
            if not set(axes[node]) <= set(want):
                axes[node] = tuple(a for a in axes[node] if a in want)
                settled = False

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
        if inputs and lacking(node):
            first = inputs[0]
            for axis in lacking(node):
                first = _spread(first, axis)
            inputs = (first, *inputs[1:])
        if axes[node] == node.axes:
            return rebuild(node, inputs)
        return Node(node.op, inputs, axes[node], node.shape, node.dtype, node.where)

    return rewriting(graph, rule)


@dataclass(frozen=True)
class _Over:
    """What an operation looks at to say which axes it is over."""

    axes: tuple[Axis, ...]


def _define(graph: System, node: Node) -> Node:
    while isinstance(node.op, Symbol):
        node = graph.definitions[node]
    return node


def separate(graph: System) -> Passed:
    """A copy of every delayed value that cannot lie in one padded buffer with its boundary:
    what no operation computes, and what is delayed with different boundary values."""
    boundary: dict[tuple[Node, Axis, bool], tuple[Node, ...]] = {}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
        if not isinstance(node.op, Delay):
            return rebuild(node, inputs)
        source = _define(graph, node.inputs[0])
        ends = tuple(_define(graph, u) for u in node.inputs[1:])
        key = (source, node.op.axis, node.op.lag > 0)
        known = boundary.setdefault(key, ends)
        longest = max(known, ends, key=len)
        same = bool(known) == bool(ends) and all(a is b for a, b in zip(known, ends, strict=False))
        computed = not (source.op.leaf or source.op.structural or _is_view(source))
        if same and computed and set(node.axes) <= set(source.axes):
            boundary[key] = longest
            return rebuild(node, inputs)
        copy = Copy()
        missing = tuple(a for a in node.axes if a not in source.axes)  # of the boundary, or its own
        axes = (*missing, *inputs[0].axes)
        moved = Node(copy, inputs[:1], axes, node.shape, node.dtype, node.where)
        return rebuild(node, (moved, *inputs[1:]))

    return rewriting(graph, rule)


VIEWS = ("transpose", "reshape", "narrow", "broadcast_to")


def _is_view(node: Node) -> bool:
    return node.op.name in VIEWS


def _spread(node: Node, axis: Axis) -> Node:
    copy = Copy()
    return Node(copy, (node,), (axis, *node.axes), node.shape, node.dtype, node.where)


def hoist(graph: System) -> Passed:
    """In a loop, products and sums regrouped so that what the loop does not change is combined
    outside it: `(dc * g) * (i * (1 - i))` becomes `dc * (g * i * (1 - i))`."""
    part_of, cyclic = loops_of(graph)
    kept = set(graph.outputs.values())

    def operands(root: Node) -> list[Node]:
        out: list[Node] = []
        stack = list(root.inputs)[::-1]
        while stack:
            u = stack.pop()
            if (
                u.op.name == root.op.name
                and part_of.get(u) == part_of[root]
                and len(graph.users[u]) == 1
                and u not in kept
                and u.shape == root.shape
            ):
                stack.extend(reversed(u.inputs))
            else:
                out.append(u)
        return out

    done: dict[Node, Node] = {}
    for node in graph.order:
        inputs = tuple(done[u] for u in node.inputs)
        done[node] = rebuild(node, inputs)
        if node.op.name not in ("add", "multiply") or part_of[node] not in cyclic:
            continue
        parts = operands(node)
        outside = [done[u] for u in parts if part_of[u] != part_of[node]]
        inside = [done[u] for u in parts if part_of[u] == part_of[node]]
        if len(outside) < 2 or not inside:
            continue
        fixed = _fold(node.op.name, outside)
        new = _fold(node.op.name, [*inside, fixed])
        done[node] = Node(new.op, new.inputs, new.axes, node.shape, node.dtype, node.where)
    if all(u is n for n, u in done.items()):
        return graph, done
    definitions = {done[s]: done[graph.definitions[s]] for s in graph.order if isinstance(s.op, Symbol)}
    return graph.remade({name: done[u] for name, u in graph.outputs.items()}, definitions), done


def _fold(name: str, nodes: list[Node]) -> Node:
    out = nodes[0]
    for u in nodes[1:]:
        out = call(name, out, u)
    return out


def loops_of(graph: System) -> tuple[dict[Node, int], set[int]]:
    """The component of every node, and which components are cycles."""
    known = graph.known.get("loops")
    if known is None:
        links = edges(graph)
        part_of = {n: i for i, part in enumerate(components(graph.order, links)) for n in part}
        cyclic = {part_of[e.source] for e in links if part_of[e.source] == part_of[e.target]}
        known = graph.known["loops"] = part_of, cyclic
    parts: tuple[dict[Node, int], set[int]] = known
    return parts


def fuse(graph: System) -> Passed:
    """A sum over axes of a product nobody else needs becomes one contraction over stacked rows;
    a sum of rows put in places (the gradient of an embedding) puts all rows in one array."""
    kept = set(graph.outputs.values())

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
        (u, *_) = inputs or (node,)
        if (inner := _inner(graph, node, inputs)) is not None and node.inputs[0] not in kept:
            return inner
        over = node.op.over if isinstance(node.op, Along) else ()
        axes = tuple(a for a in over if isinstance(a, Axis))
        if node.op.name != "sum" or not axes or len(axes) != len(over):
            return rebuild(node, inputs)
        old = node.inputs[0]
        if (
            isinstance(u.op, Along)
            and u.op.name == "sum"
            and len(graph.users[old]) == 1
            and old not in kept
            and u.op.spans
            and not set(axes) & set(u.op.over)
        ):
            return apply(replace(u.op, over=(*u.op.over, *axes)), *u.inputs)
        if isinstance(u.op, Scatter) and len(graph.users[old]) == 1 and old not in kept:
            added = SumOfScatters(axes, u.op.size, u.op.ranks)
            return Node(added, u.inputs, node.axes, node.shape, node.dtype, node.where)
        if (
            len(graph.users[old]) > 1
            or old in kept
            or any(v.dtype != node.dtype for v in u.inputs)
            or len(u.inputs) != 2
        ):
            return rebuild(node, inputs)
        spec = _spec(u)
        if spec is None or not all(any(a in v.axes for v in u.inputs) for a in axes):
            return rebuild(node, inputs)
        return Node(SumOfProducts(spec, axes), u.inputs, node.axes, node.shape, node.dtype, node.where)

    return rewriting(graph, rule)


def _inner(graph: System, node: Node, inputs: tuple[Node, ...]) -> Node | None:
    """A sum over the dimension of a product of vectors nobody else needs: an inner product."""
    if node.op != Sum((-1,)) or len(graph.users[node.inputs[0]]) > 1:
        return None
    (u,) = inputs
    alike = all(v.shape == u.shape and v.dtype == node.dtype for v in u.inputs) and len(u.shape) == 1
    if u.op.name != "multiply" or not alike or u.inputs[0].axes == u.inputs[1].axes:
        return None
    return Node(Contract("i,i->"), u.inputs, node.axes, node.shape, node.dtype, node.where)


def _spec(node: Node) -> str | None:
    """A product of two as a contraction, where one of them has letters the other lacks."""
    if isinstance(node.op, Contract):
        return node.op.spec
    if node.op.name != "multiply":
        return None
    a, b = node.inputs
    letters = "ijklmnop"[: len(node.shape)]
    if {a.shape, b.shape} - {node.shape, ()} or a.shape == b.shape:
        return None
    left = letters if a.shape == node.shape else ""
    return f"{left},{letters if b.shape == node.shape else ''}->{letters}"


def is_step_back(graph: System, node: Node) -> bool:
    """A read one step back of what is read in no other way."""
    if not isinstance(node.op, Delay) or abs(node.op.lag) != 1:
        return False
    moved = [u for u in graph.users[node.inputs[0]] if isinstance(u.op, Delay)]
    return all(u.op == node.op and len(u.inputs) == len(node.inputs) for u in moved)


def numbers(node: Node, bound: Binding) -> int:
    """How many numbers a value of a loop has at one step."""
    shape = [dims.evaluate(d, bound.sizes) for d in node.shape]
    return math.prod([*shape, *(bound.extents[a] for a in node.axes[1:])])
