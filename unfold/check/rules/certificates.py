"""Local certificates: every rule, at every node, over all steps at once.

For a node v = f(a, b, ...) and its argument a, with a random cotangent ct and direction u,

    <ct, J u> = <vjp(ct), u>      at every step (the real parts, for complex numbers)

where J u comes from one complex step of f alone, at the values of the run. A wrong rule
fails where it is wrong, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unfold.check.numbers.oracle import TRUST, VAGUE, allowed, complex_step, richardson
from unfold.check.numbers.recorder import NodeFunction, record
from unfold.check.numbers.rounding import Nudge, furthest, nudges
from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.leaves import Input
from unfold.core.node import Node
from unfold.core.op import cotangents
from unfold.core.system import reach
from unfold.engine.binding import Binding
from unfold.graph import Graph

Array = NDArray[Any]
HOLD = "stop_gradient"  # by intent, its gradient is not its derivative

BATCH = 1 << 19  # entries of the largest array of one batch of steps


class Rule(NamedTuple):
    """How one argument of one node is differentiated."""

    node: Node
    argument: int


def active(graph: Graph, sources: Sequence[Node], target: Node, hold: bool = True) -> list[Rule]:
    """The rules that a gradient of `target` in `sources` goes through; those
    of `stop_gradient` count unless it holds by intent."""
    smooth = ("float", "complex")
    forward = reach(sources, lambda n: [u for u in graph.users.get(n, ()) if u.dtype in smooth])
    between = forward & reach([target], graph.inputs_of)
    inner = [n for n in graph.order if n in between and not n.op.leaf and not (hold and n.op.name == HOLD)]
    return [Rule(n, k) for n in inner for k, u in enumerate(n.inputs) if u in between]


def full_shape(node: Node, bound: Binding) -> tuple[int, ...]:
    """The shape of a node's value over all steps of its axes."""
    return (*(bound.extents[a] for a in node.axes), *(dims.evaluate(d, bound.sizes) for d in node.shape))


@dataclass(frozen=True)
class Discrepancy:
    """One rule beside the truth, at every step that can be told apart: arrays over `axes`.
    `size` is the S of the error bar."""

    analytic: Array
    numeric: Array
    size: Array
    doubt: Array  # what the oracle may be off by, or the rule by rounding on the way
    eps: float
    safe: bool  # whether the complex step applied

    @property
    def error(self) -> Array:
        return np.asarray(abs(self.analytic - self.numeric))

    @property
    def allowed(self) -> Array:
        return np.asarray(allowed(self.eps, self.size) + self.doubt)

    @property
    def wrong(self) -> Array:
        """Where the two lie further apart than rounding explains (what is not finite is apart)."""
        return ~((self.error <= self.allowed) & np.isfinite(self.error)) & (self.doubt < np.inf)

    @property
    def vague(self) -> Array:
        """Where it is only a great doubt of the oracle's that lets them agree."""
        doubt = (self.doubt > VAGUE * self.size) & (self.doubt < np.inf)
        return np.asarray(doubt & ~(self.error <= allowed(self.eps, self.size)))

    def but(self, doubt: Array) -> Discrepancy:
        """The same with more that is explained; infinite doubt leaves a step out."""
        return replace(self, doubt=self.doubt + doubt)


@dataclass(frozen=True)
class Certificate:
    """One argument of one node, with the values of a run, a random cotangent and direction."""

    node: Node
    argument: int
    bound: Binding
    operands: tuple[Array, ...]
    out: Array
    ct: Array
    u: Array
    safe: bool = True  # whether the forward may be trusted with complex numbers

    @property
    def like(self) -> Node:
        """The argument as a node."""
        return self.node.inputs[self.argument]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The real dtype it is computed in."""
        return np.dtype(self.ct.real.dtype)

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The axes whose steps the rule keeps apart; a time operation mixes those of its own."""
        op = self.node.op
        mixed = {*op.spans, *([op.axis] if op.structural else [])}  # type: ignore[attr-defined]
        return tuple(a for a in self.node.axes if a not in mixed)

    # ------------------------------------------------------------------ the same, otherwise
    def precisely(self, dtype: Any) -> Certificate:
        """The same in another precision, its value computed anew: a rule that uses the value
        (1 - out**2, say) must not be given one that was rounded before."""

        def cast(x: Array) -> Array:
            wide = np.result_type(dtype, np.complex64) if x.dtype.kind == "c" else dtype
            return x.astype(wide) if x.dtype.kind in "fc" else x

        changed = replace(self, operands=tuple(map(cast, self.operands)), ct=cast(self.ct), u=cast(self.u))
        same = cast(self.out).dtype == self.out.dtype
        return changed if same else replace(changed, out=changed.forward(changed.operands))

    def at(self, axis: Axis, steps: slice) -> Certificate:
        """The same for some steps of an axis that the rule keeps apart."""

        def cut(x: Array, node: Node) -> Array:
            return (
                x[tuple(steps if a == axis else slice(None) for a in node.axes)] if axis in node.axes else x
            )

        n = len(range(*steps.indices(self.bound.extents[axis])))
        return replace(
            self,
            bound=replace(self.bound, extents={**self.bound.extents, axis: n}),
            operands=tuple(cut(x, u) for x, u in zip(self.operands, self.node.inputs, strict=True)),
            out=cut(self.out, self.node),
            ct=cut(self.ct, self.node),
            u=cut(self.u, self.like),
        )

    def towards(self, u: Array) -> Certificate:
        """The same in another direction."""
        return replace(self, u=u)

    # ------------------------------------------------------------------ the truth
    def along(self, e: Any) -> Array:
        """f(a + e u), over all steps of the node."""
        operands = list(self.operands)
        operands[self.argument] = operands[self.argument] + e * self.u
        return self.forward(operands)

    def forward(self, operands: Sequence[Array], nudge: Nudge | None = None) -> Array:
        """f(a, b, ...), over all steps of the node."""
        kinds = [x.dtype for x in operands if x.dtype.kind in "fc"]
        bound = replace(self.bound, dtype=np.result_type(*kinds))
        return NodeFunction(self.node, bound, nudge=nudge).whole(operands)

    def slope(self) -> tuple[Array, Array | None]:
        """J u, and its error where not the complex step gave it (not every forward takes
        complex numbers)."""
        op = self.node.op
        if self.safe and op.complex_safe and not any(x.dtype.kind == "c" for x in self.operands):
            try:
                with np.errstate(all="ignore"):
                    kind = np.result_type(self.dtype, np.complex64)
                    return complex_step(self.along, kind, self.operands[self.argument]), None
            except TypeError:
                pass
        slope, error = self.precisely(np.longdouble).extrapolated()
        kind = np.result_type(self.dtype, np.complex64) if slope.dtype.kind == "c" else self.dtype
        return slope.astype(kind), error.astype(self.dtype)

    def extrapolated(self) -> tuple[Array, Array]:
        """J u by Richardson's extrapolation, and its estimated error."""
        with np.errstate(all="ignore"):
            return richardson(self.along, self.scale)

    @property
    def scale(self) -> float:
        """A step along u that is small beside the argument."""
        at = float(np.abs(self.operands[self.argument]).max(initial=0)) or 1.0
        return min(1.0, at) / (float(np.abs(self.u).max(initial=0)) or 1.0)

    # ------------------------------------------------------------------ the rule
    @cached_property
    def _rule(self) -> Node | None:
        node = self.node
        leaves = [Node(Input(f"a{j}"), (), u.axes, u.shape, u.dtype) for j, u in enumerate(node.inputs)]
        ct, out = (Node(Input(n), (), node.axes, node.shape, node.dtype) for n in ("ct", "out"))
        return cotangents(node.op, ct, out, leaves)[self.argument]

    def piece(self, ct: Array | None = None) -> tuple[Array, tuple[Axis, ...]]:
        """vjp(ct) as the rule gives it, and the axes it varies along."""
        result = self._rule
        if result is None:
            return np.zeros((), self.dtype), ()
        return self._values(result, self.ct if ct is None else ct)[result], result.axes

    def _values(self, result: Node, ct: Array, nudge: Nudge | None = None) -> dict[Node, Array]:
        graph = Graph({"piece": result}, {})
        have = {f"a{j}": x for j, x in enumerate(self.operands)}
        have |= {"ct": ct, "out": self.out if nudge is None else self.forward(self.operands, nudge)}
        arrays = {name: have[name] for name in graph.inputs}
        kinds = [x.dtype for x in arrays.values() if x.dtype.kind in "fc"]
        bound = replace(self.bound, arrays=arrays, dtype=np.result_type(self.dtype, *kinds))
        with np.errstate(all="ignore"):
            return record(graph, bound, nudge=nudge)

    def rounding(self) -> Array:
        """How far rounding on the way may put <vjp(ct), u> off, step by step: where 1 - out**2
        has lost its digits, far. Measured, as what a few runs with every operand nudged differ."""
        if self._rule is None:
            return np.zeros(())
        return together([part._rounding(self._rule) for part in self._batches()])

    def _rounding(self, rule: Node) -> Array:
        values, changes = self._values(rule, self.ct), []
        for nudge in nudges(self.dtype, values):
            moved = self._values(rule, self.ct, nudge)[rule] - values[rule]
            changes.append(self.sum_right(*self.products(moved, rule.axes)))
        return furthest(changes)

    # ------------------------------------------------------------------ together
    def compare(self) -> Discrepancy:
        """<ct, J u> beside <vjp(ct), u>, step by step, in batches that fit the memory."""
        parts = [part._compare() for part in self._batches()]
        analytic, numeric, size, doubt = (
            together([getattr(p, name) for p in parts]) for name in ("analytic", "numeric", "size", "doubt")
        )
        return Discrepancy(analytic, numeric, size, doubt, parts[0].eps, all(p.safe for p in parts))

    def _batches(self) -> Iterator[Certificate]:
        entries = max(
            int(np.prod([dims.evaluate(d, self.bound.sizes) for d in u.shape], dtype=float))
            for u in (self.node, *self.node.inputs)
        )
        steps = int(np.prod([self.bound.extents[a] for a in self.node.axes], dtype=float))
        if not self.axes or entries * steps <= BATCH:
            yield self
            return
        axis = self.axes[0]
        size = self.bound.extents[axis]
        width = max(1, BATCH // max(1, entries * steps // size))
        for start in range(0, size, width):
            yield self.at(axis, slice(start, start + width))

    def _compare(self) -> Discrepancy:
        slope, error = self.slope()
        left = np.real(self.ct * slope)
        right, every = self.products(*self.piece())
        numeric, analytic = self.sum_left(left), self.sum_right(right, every)
        size = self.sum_left(abs(left)) + self.sum_right(abs(right), every)
        doubt = np.zeros_like(size) if error is None else TRUST * self.sum_left(abs(self.ct) * error)
        return Discrepancy(analytic, numeric, size, doubt, float(np.finfo(self.dtype).eps), error is None)

    def products(self, piece: Array, axes: tuple[Axis, ...]) -> tuple[Array, tuple[Axis, ...]]:
        """The terms of <piece, u>, and the axes over which they lie."""
        rank, every = max(piece.ndim - len(axes), len(self.like.shape)), self.every(axes)
        ours, theirs = self.spread(piece, axes, every, rank), self.spread(self.u, self.like.axes, every, rank)
        return np.real(ours * theirs), every

    def sum_left(self, terms: Array) -> Array:
        """Terms over the node's axes and dimensions, summed to the axes kept apart."""
        gone = [i for i, a in enumerate(self.node.axes) if a not in self.axes]
        return np.asarray(terms.sum(axis=(*gone, *range(len(self.node.axes), terms.ndim))))

    def every(self, axes: Sequence[Axis]) -> tuple[Axis, ...]:
        """The axes over which <vjp(ct), u> is summed, those kept apart first."""
        moved = self.node.op.axis if self.node.op.structural else None  # type: ignore[attr-defined]
        own = [a for a in self.node.axes if a != moved]
        return tuple(dict.fromkeys((*self.axes, *own, *self.like.axes, *axes)))

    def spread(self, x: Array, axes: Sequence[Axis], every: Sequence[Axis], rank: int) -> Array:
        """An array over `axes` and dimensions as one over every axis, 1 where it does not vary."""
        order = [axes.index(a) for a in every if a in axes]
        x = x.transpose(*order, *range(len(axes), x.ndim))
        lead = iter(x.shape)
        sizes = [next(lead) if a in axes else 1 for a in every]
        return x.reshape((*sizes, *[1] * (rank - (x.ndim - len(axes))), *x.shape[len(axes) :]))

    def sum_right(self, terms: Array, every: Sequence[Axis]) -> Array:
        """Terms over every axis; what does not vary along one counts at each of its steps."""
        sizes = [self.bound.extents[a] for a in every]
        whole = np.broadcast_to(terms, (*sizes, *terms.shape[len(sizes) :]))
        return np.asarray(whole.sum(axis=tuple(range(len(self.axes), whole.ndim))))


def together(parts: Sequence[Array]) -> Array:
    """The batches of one array, together."""
    return parts[0] if len(parts) == 1 else np.concatenate(list(parts))


def gaussian(rng: np.random.Generator, shape: tuple[int, ...], complex: bool) -> Array:
    """Independent normal entries, of both parts of complex numbers."""
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if complex else x


def certificate(
    graph: Graph, bound: Binding, values: Mapping[Node, Array], rule: Rule, seed: int
) -> Certificate:
    """The certificate of one argument of one node, at the values of a run."""
    node, k = rule
    rng = np.random.default_rng([seed, len(node.inputs), k])
    ct, u = (gaussian(rng, full_shape(v, bound), v.dtype == "complex") for v in (node, node.inputs[k]))
    if ct.size == 1:
        ct = -abs(ct)  # so that |ct| for ct shows
    operands = tuple(values[v] for v in node.inputs)
    raw = Certificate(node, k, bound, operands, values[node], ct, u)
    return raw.precisely(np.float64)
