"""Parts of an axis: which runs of a schedule are computed part by part, so that what lives only
within a run needs room for one part, not for all steps.

A run holds what a part of the axis needs from the same part alone: values that are pointwise
in the axis, loops in one direction, reads backwards in that direction, and sums over the axis,
which accumulate. Everything else stands between runs. A run is named by its place from the end:
run 0 is the last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unfold.analysis.schedule import Loop
from unfold.core.axis import Axis
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.engine.rewrites.passes import SumOfProducts, SumOfScatters
from unfold.ops.array.reduction import Sum
from unfold.ops.time.delays import Delay

if TYPE_CHECKING:
    from unfold.engine.plan.plan import Plan

PART = 1 << 15  # numbers in the largest array of a part: all of its arrays stay in the cache
STEPS = 32  # of a part at least: fewer make sums over the axis too many small products
Item = Node | Loop


@dataclass(eq=False)
class Chunk:
    """Items computed part by part, forward (sign 1) or backward over the axis."""

    axis: Axis
    sign: int
    steps: int  # of a part; the last one may have fewer
    items: list[Item]
    saved: list[Node]  # what others read: copied from each part into a whole buffer

    @property
    def nodes(self) -> list[Node]:
        return [n for item in self.items for n in _nodes(item)]


def length(size: int, row: int) -> int:
    """How many of `size` steps a part has, when the largest array has `row` numbers a step; a
    little fewer where then all parts are alike."""
    parts = -(-size // max(STEPS, PART // max(1, row)))
    most = -(-size // max(1, parts))
    return next((n for n in range(most, 3 * most // 4, -1) if size % n == 0), most)


def chunked(plan: Plan) -> list[Item | Chunk]:
    """The schedule with its runs over the outermost axis made into chunks; as it is where all
    steps fit into one part."""
    items: list[Item | Chunk] = list(plan.schedule)
    if "chunk" not in plan.optimise or not plan.order:
        return items
    axis = plan.order[0]
    fits = [_fits(plan, item, axis) for item in plan.schedule]
    inside = [n for item, fit in zip(plan.schedule, fits, strict=True) if fit for n in _nodes(item)]
    sizes = [_row(plan, n, axis) for n in inside if axis in n.axes and not isinstance(n.op, Symbol)]
    if not any(isinstance(i, Loop) and fit for i, fit in zip(plan.schedule, fits, strict=True)):
        return items
    size = plan.bound.extents[axis]
    steps = length(size, max(sizes))
    return items if steps >= size else _Runs(plan, axis, fits).arranged(steps)


def _nodes(item: Item) -> list[Node]:
    return item.nodes if isinstance(item, Loop) else [item]


def _row(plan: Plan, node: Node, axis: Axis) -> int:
    lead = [plan.bound.extents[a] for a in node.axes if a != axis]
    return int(np.prod([*lead, *plan.shape(node)], dtype=int))


def _fits(plan: Plan, item: Item, axis: Axis) -> bool:
    """Whether a part of an item needs only the same part of what it reads."""
    if not isinstance(item, Loop):
        return _pointwise(plan, item, axis) or accumulates(plan, item, axis)
    straight = [a for a, _ in item.direction] == [axis] and len(set(item.offsets.values())) == 1
    return straight and all(
        isinstance(n, Node) and (isinstance(n.op, Symbol) or _pointwise(plan, n, axis)) for n in item.body
    )


def _pointwise(plan: Plan, node: Node, axis: Axis) -> bool:
    op = node.op
    if op.leaf or plan.axes(node)[:1] != (axis,) or axis in op.spans:
        return False
    return not op.structural or (isinstance(op, Delay) and op.axis == axis)


def accumulates(plan: Plan, node: Node, axis: Axis) -> bool:
    """Whether a node is a sum over the axis."""
    total = isinstance(node.op, Sum | SumOfProducts | SumOfScatters) and axis in node.op.spans
    over = [plan.axes(u) for u in plan.inputs(node) if axis in u.axes]
    return total and node.dtype != "int" and bool(over) and all(axes[0] == axis for axes in over)


class _Runs:
    """The run of every item that fits, and where the others stand."""

    def __init__(self, plan: Plan, axis: Axis, fits: list[bool]) -> None:
        self.plan, self.axis, self.fits = plan, axis, fits
        self.items = list(plan.schedule)
        self.signs: list[int] = []  # of each run; 0 while either direction will do
        home = {n: k for k, item in enumerate(self.items) for n in _nodes(item)}
        self.reads: list[list[tuple[int, int | None]]] = [[] for _ in self.items]
        self.read_by: list[list[tuple[int, int | None]]] = [[] for _ in self.items]
        for k, item in enumerate(self.items):
            for node in _nodes(item):
                for place, u in enumerate(() if isinstance(node.op, Symbol) else plan.inputs(node)):
                    j = home[u]
                    if j != k:
                        self.reads[k].append((j, self.way(node, place, u)))
                        self.read_by[j].append((k, self.way(node, place, u)))

    def way(self, node: Node, place: int, u: Node) -> int | None:
        """The direction in which a read can share the run of what it reads: 0 for either,
        None for neither."""
        if isinstance(node.op, Delay):
            return None if place else 1 if node.op.lag > 0 else -1
        return 0 if self.axis in u.axes else None

    def shares(self, run: int, way: int | None) -> bool:
        if way and not self.signs[run]:
            self.signs[run] = way
        return way is not None and way in (0, self.signs[run])

    def arranged(self, steps: int) -> list[Item | Chunk]:
        """The items of each run together, the others as early as they can be."""
        late = self.latest()
        self.signs = [s or 1 for s in self.signs]
        runs: list[list[Item]] = [[] for _ in self.signs]
        between: list[list[Item]] = [[] for _ in range(len(self.signs) + 1)]
        bounds: list[int] = []  # the run of an item, or the first run that may read it
        for k, item in enumerate(self.items):
            at = len(self.signs) - 1
            for j, way in self.reads[k]:
                together = not self.fits[j] or (self.fits[k] and self.shares(bounds[j], way))
                at = min(at, bounds[j] if together else bounds[j] - 1)
            if self.fits[k] and late[k] is not None:
                at = late[k] or 0
            elif self.fits[k] and at < 0:
                self.fits[k] = False
            bounds.append(at)
            (runs[at] if self.fits[k] else between[at + 1]).append(item)
        chunks = [Chunk(self.axis, s, steps, run, []) for s, run in zip(self.signs, runs, strict=True)]
        self.plan.chunk_of = {n: c for c in chunks for n in c.nodes}
        for c in chunks:
            self.bring_back(c)
        for c in chunks:
            c.saved = self.saved(c)
        out: list[Item | Chunk] = []
        for run in reversed(range(len(self.signs))):
            out += [*between[run + 1], chunks[run]]
        return [*out, *between[0]]

    def latest(self) -> list[int | None]:
        """The latest run in which its readers allow an item to be: what only the last run reads
        is computed there and need not be kept. None where nothing forces a run: sums over
        the axis and what leads to them alone, best placed where their inputs are."""
        late: list[int | None] = [None] * len(self.items)
        for k in reversed(range(len(self.items))):
            item, need = self.items[k], -1
            for v, way in self.read_by[k]:
                run = late[v]
                if run is not None:
                    together = not self.fits[k] or (self.fits[v] and self.shares(run, way))
                    need = max(need, run if together else run + 1)
            if not self.fits[k]:
                late[k] = need if need >= 0 else None
                continue
            if isinstance(item, Loop):
                need, sign = max(need, 0), item.direction[0][1]
                while need < len(self.signs) and self.signs[need] not in (0, sign):
                    need += 1
                self.signs[need : need + 1] = [sign]
            elif need == len(self.signs):
                self.signs.append(0)
            late[k] = need if need >= 0 else None
        return late

    def bring_back(self, chunk: Chunk) -> None:
        """Where others read only some pieces of a value, the pieces join its run: they are kept
        without the rest."""
        plan = self.plan
        outputs = {plan.resolve(u) for u in plan.graph.outputs.values()}
        for node in chunk.nodes:
            pieces = [v for v in plan.users.get(node, []) if plan.chunk_of.get(v) is not chunk]
            apart = all(v.op.name == "narrow" and v in plan.chunk_of for v in pieces)
            if not pieces or not apart or node in outputs or self.axis not in node.axes:
                continue
            if sum(_row(plan, v, self.axis) for v in pieces) < _row(plan, node, self.axis):
                for v in pieces:
                    plan.chunk_of[v].items.remove(v)
                    plan.chunk_of[v] = chunk
                    chunk.items.append(v)

    def saved(self, chunk: Chunk) -> list[Node]:
        """The values of a run that somebody else reads. What only looks at another value is
        looked at again instead; a piece of one that nobody else needs is kept alone."""
        plan, out = self.plan, dict[Node, None]()
        outputs = {plan.resolve(u) for u in plan.graph.outputs.values()}
        for node in chunk.nodes:
            if self.axis not in node.axes or isinstance(node.op, Symbol):
                continue
            if node in outputs or any(plan.chunk_of.get(v) is not chunk for v in plan.users.get(node, [])):
                while is_view(node) and node.op.name != "narrow":
                    node = plan.inputs(node)[0]
                out[node] = None

        def seen(node: Node) -> bool:
            while is_view(node):
                node = plan.inputs(node)[0]
                if node in out:
                    return True
            return False

        return [n for n in out if plan.chunk_of.get(n) is chunk and not seen(n)]


def is_view(node: Node) -> bool:
    """Whether a value is always a view of another."""
    return isinstance(node.op, Delay) or node.op.name in ("transpose", "broadcast_to", "narrow")
