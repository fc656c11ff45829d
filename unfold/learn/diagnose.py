"""What the gradients of a recurrent system do: where they vanish, explode, or stop being numbers.

report = diagnose(rnn, "loss", x=X, y=Y, **weights)
print(report)
report.norms["h"]           # |dloss/dh[t]| at every step
report.contributions["h"]   # [k, t]: |dL[k]/dh[t]|, what step t means for the loss of step k
report.jacobians            # the spectral norm of d state[t] / d state[t-1] at every step
report.bad                  # the first NaN or infinity, with the chain that led to it
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.analysis.instances import needs
from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.key import unused
from unfold.core.kinds import INEXACT
from unfold.core.leaves import Input, Named, Symbol, constant
from unfold.core.node import Node, call
from unfold.core.system import Wrt, once, reach, rebuild, rewrite
from unfold.engine.binding import bind
from unfold.engine.run import Bad, Run
from unfold.graph import Graph
from unfold.learn.states import name_of
from unfold.ops.time.delays import Delay, step
from unfold.transform.adjoint import adjoints, full
from unfold.transform.forward import tangents
from unfold.transform.simplify import simplify, with_axes
from unfold.transform.truncation import truncate

Array = NDArray[Any]
LONG = 256  # steps beyond which the matrix of contributions is made only on demand


@dataclass(frozen=True)
class Link:
    """One value on the way to a NaN or infinity: what, at which step, and how large."""

    text: str
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.text} in [{self.low:.3g}, {self.high:.3g}]"


class Health(StrEnum):
    """What becomes of a gradient on its way back; equal to its text."""

    HEALTHY = "healthy"
    VANISHING = "vanishing"
    EXPLODING = "exploding"
    NOT_FINITE = "not finite"

    __repr__ = str.__repr__


@dataclass(frozen=True)
class Diagnosis:
    """The findings, as data (see the module) and, by `print`, in words."""

    of: str
    norms: Mapping[str, Array]
    jacobians: Array
    contributions: Mapping[str, Array]
    bad: Bad | None
    chain: Sequence[Link]

    @property
    def verdict(self) -> Health:
        """ "not finite", "vanishing", "exploding" or "healthy": what becomes of a gradient on its
        way back, judged by the growth per step of the state's Jacobians."""
        if self.bad is not None:
            return Health.NOT_FINITE
        if not self.jacobians.size:
            return Health.HEALTHY
        if np.sum(np.log10(np.maximum(self.jacobians, 1e-300))) < -3:
            return Health.VANISHING
        exploding = any(
            len(n) and (n[0] > 1e3 * n[-1] > 0 or n[-1] > 1e3 * n[0] > 0) for n in self.norms.values()
        )
        growing = np.exp(np.mean(np.log(self.jacobians))) > 1
        return Health.EXPLODING if exploding and growing else Health.HEALTHY

    def __str__(self) -> str:
        lines = [f"gradient of {self.of}: {self.verdict}"]
        width = max([len(name) for name in self.norms] + [5])
        for name, n in self.norms.items():
            if len(n):
                lines.append(
                    f"  {name:{width}}  {sparkline(n)}  |d{self.of}/d{name}[t]| {n[0]:.2e} at t = 1, "
                    f"{n[-1]:.2e} at t = {len(n)}, greatest {n.max():.2e} at t = {int(np.argmax(n)) + 1}"
                )
        if self.jacobians.size:
            j = self.jacobians
            total = float(np.sum(np.log10(np.maximum(j, 1e-300))))
            lines.append(
                f"  {'state':{width}}  {sparkline(j)}  spectral norm of its Jacobian {j.min():.3g} to "
                f"{j.max():.3g}: over {len(j)} steps a gradient grows at most by 1e{total:+.0f}"
            )
        if self.bad is not None:
            lines += [f"  {self.bad}", *(f"    from {link}" for link in self.chain)]
        return "\n".join(lines)


def diagnose(
    graph: Graph,
    of: str,
    *,
    contributions: bool | None = None,
    arrays: Mapping[str, Any] | None = None,
    **more: Any,
) -> Diagnosis:
    """Look at the gradient of an output that is one number, for given inputs and parameters.

    The recurrent variables of the axis with a recurrence are looked at (the first such axis,
    where there are several). `contributions` needs a backward pass for every step; by default
    it is made up to 256 steps.
    """
    arrays = {**(arrays or {}), **more}
    with np.errstate(all="ignore"):
        bad, chain = _bad(graph, arrays)
        look = Look(graph, arrays)
        if look.axis is None:
            return Diagnosis(of, {}, np.zeros(0), {}, bad, chain)
        wanted = contributions if contributions is not None else look.steps <= LONG
        return Diagnosis(
            of, look.norms(of), look.spectral(), look.contributions(of) if wanted else {}, bad, chain
        )


def recurrences(graph: Graph) -> list[Node]:
    """The delays that close a loop."""
    delays = [n for n in graph.order if isinstance(n.op, Delay) and n.dtype in INEXACT]
    return [d for d in delays if d.inputs[0] in reach([d], lambda n: graph.users.get(n, ()))]


class Look:
    """A graph on given arrays, with the loops of one axis."""

    def __init__(self, graph: Graph, arrays: Mapping[str, Any]) -> None:
        self.graph, self.arrays = graph, dict(arrays)
        self.bound = bind(graph, arrays)
        ops = [(d, d.op) for d in recurrences(graph)]
        self.axis = next((op.axis for _, op in ops if isinstance(op, Delay)), None)
        self.loops = {d: op for d, op in ops if isinstance(op, Delay) and op.axis == self.axis}
        self.variables = {name_of(graph, d.inputs[0]): _symbol(graph, d.inputs[0]) for d in self.loops}

    @property
    def steps(self) -> int:
        """How many steps the axis has here."""
        assert self.axis is not None
        return self.bound.extents[self.axis]

    def norms(self, of: str) -> dict[str, Array]:
        """|d of / d v[t]| for every step t (over a whole batch, where there is one)."""
        target = self.graph.output(of)
        adjoint, definitions = adjoints(self.graph, {target: constant(1.0)}, self.variables.values())
        outputs = {name: full(adjoint.get(s), s) for name, s in self.variables.items()}
        values = self.run(self.graph, outputs, definitions, {n: s.axes for n, s in self.variables.items()})
        return {n: _norm(values[n], s.axes, [self.axis]) for n, s in self.variables.items()}

    def contributions(self, of: str) -> dict[str, Array]:
        """[k, t]: |d L[k] / d v[t]| where `of` is a sum over t of L[t]; nothing where it is not."""
        assert self.axis is not None
        term = _term(self.graph, of, self.axis)
        if term is None:
            return {}
        k = self.fresh(self.steps)
        seed = call("where", call("equal", step(self.axis), step(k)), 1.0, 0.0)
        adjoint, definitions = adjoints(self.graph, {term: seed}, self.variables.values(), (k,))
        outputs = {name: full(adjoint.get(s), s) for name, s in self.variables.items()}
        axes = {n: (*s.axes, k) for n, s in self.variables.items()}
        values = self.run(self.graph, outputs, definitions, axes)
        return {n: _norm(values[n], axes[n], [k, self.axis]) for n in self.variables}

    def spectral(self) -> Array:
        """The spectral norm of the state's Jacobian at every step; the greatest of a batch."""
        blocks = self.jacobians()
        if not blocks.size or not np.isfinite(blocks).all():
            return np.zeros(0)
        norms = np.linalg.norm(blocks, 2, axis=(-2, -1))
        return np.asarray(norms.reshape(len(norms), -1).max(axis=1))

    def jacobians(self) -> Array:
        """d state[t] / d state[t-1] at every step, (T, ..., N, N): the state is all that the
        loops along the axis carry (h, and c in an LSTM; a longer lag as further rows), in the
        direction of the first loop."""
        back = next(iter(self.loops.values())).lag < 0
        reads = {(d.inputs[0], abs(op.lag)): d for d, op in self.loops.items() if (op.lag < 0) == back}
        given, before = self.opened(reads.values())
        sources = {str(i): s for i, s in enumerate(dict.fromkeys(s for s, _ in reads))}
        opened = rewrite(
            Graph(sources, self.graph.definitions),
            lambda n, inputs: given[n] if n in given else rebuild(n, inputs),
        )
        rows, size = self.rows(reads)
        out: Array = np.zeros(0)
        for key, d in reads.items():
            blocks = self.jacobian(opened, given[d], before)
            for name, s in sources.items():
                block = blocks[name]
                out = out if out.size else np.zeros((*block.shape[:-2], size, size))
                out[..., rows[s, 1][:, None], rows[key]] = block
        for s, m in rows:
            if m > 1:
                out[..., rows[s, m], rows[s, m - 1]] = 1.0
        return out[::-1] if back else out

    def rows(self, reads: Collection[tuple[Node, int]]) -> tuple[dict[tuple[Node, int], Array], int]:
        """Where each value of the state lies in it, by how many steps ago it was: up to the
        longest read of it; and the size of the state."""
        rows: dict[tuple[Node, int], Array] = {}
        end = 0
        for s in dict.fromkeys(s for s, _ in reads):
            count = int(np.prod([dims.evaluate(d, self.bound.sizes) for d in s.shape]))
            for m in range(1, 1 + max(lag for u, lag in reads if u is s)):
                rows[s, m] = np.arange(end, end + count)
                end += count
        return rows, end

    def opened(self, delays: Iterable[Node]) -> tuple[dict[Node, Node], dict[str, Array]]:
        """Inputs in the place of delays, and their values: the loops, cut open."""
        names = {d: f"state {i}" for i, d in enumerate(delays)}
        given = {d: Node(Input(name), (), d.axes, d.shape, d.dtype) for d, name in names.items()}
        reads: dict[str, Node] = {name: d for d, name in names.items()}
        return given, self.run(self.graph, reads, {}, {name: d.axes for d, name in names.items()})

    def jacobian(self, graph: Graph, source: Node, more: Mapping[str, Array]) -> dict[str, Array]:
        """d output / d source at the same step: (T, ..., entries out, entries in) by output."""
        k = self.fresh(dims.multiply(*source.shape))
        basis = call("reshape", call("one_hot", step(k) - 1, k.size), source.shape)
        tangent, definitions = tangents(graph, {source: basis}, (k,))
        outputs = {name: full(tangent.get(u), u) for name, u in graph.outputs.items()}
        axes = {name: (*u.axes, k) for name, u in graph.outputs.items()}
        values = self.run(graph, outputs, definitions, axes, more)
        out = {}
        for name, u in graph.outputs.items():
            lead = len(u.axes)
            columns = np.moveaxis(values[name], lead, -1)
            out[name] = columns.reshape(*columns.shape[:lead], -1, columns.shape[-1])
        return out

    def run(
        self,
        graph: Graph,
        outputs: Mapping[str, Node],
        definitions: Mapping[Node, Node],
        axes: Mapping[str, Sequence[Axis]],
        more: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """Values of further outputs of a graph, over the given axes in their order."""
        joint = simplify(Graph(outputs, {**dict(graph.definitions), **definitions}), inline=definitions)
        joint = with_axes(joint, {name: tuple(own) for name, own in axes.items()})
        leaves = [u.op for u in [*joint.inputs.values(), *joint.params.values()]]
        labels = {op.label for op in leaves if isinstance(op, Named)}
        arrays = {name: a for name, a in {**self.arrays, **(more or {})}.items() if name in labels}
        lengths = {a.name: n for a, n in self.bound.extents.items() if a in joint.axes and a.size is None}
        values = joint(**lengths, **arrays)
        result = {}
        for name, own in axes.items():
            have = joint.outputs[name].axes
            order = [have.index(a) for a in own]
            value = np.asarray(values[name])
            result[name] = value.transpose(*order, *range(len(have), value.ndim))
        return result

    def fresh(self, size: dims.Dim) -> Axis:
        """A further axis."""
        return Axis(unused("k", {a.name for a in self.graph.axes}), size)


def _norm(value: Array, axes: Sequence[Axis], keep: Sequence[Axis | None]) -> Array:
    """The norm over all but the axes to keep, those in their order."""
    value = np.moveaxis(value, [axes.index(a) for a in keep if a], range(len(keep)))
    return np.asarray(np.linalg.norm(value.reshape(*value.shape[: len(keep)], -1), axis=-1))


def _term(graph: Graph, of: str, axis: Axis) -> Node | None:
    """What an output sums over the axis, looking through factors and means."""
    node = graph.output(of)
    while True:
        if node.op.name == "sum" and axis in node.op.spans:
            return node.inputs[0] if not node.inputs[0].shape else None
        varying = [u for u in graph.inputs_of(node) if axis in _over(graph, u)]
        if len(varying) != 1 or node.op.name not in ("sum", "divide", "multiply", "symbol", "negative"):
            return None
        node = varying[0]


def _over(graph: Graph, node: Node) -> set[Axis]:
    return {a for u in reach([node], graph.inputs_of) for a in (*u.axes, *u.op.spans)}


def _symbol(graph: Graph, node: Node) -> Node:
    return node if isinstance(node.op, Symbol) else graph.names.get(node, node)


# ---------------------------------------------------------------------- not a number
def _bad(graph: Graph, arrays: Mapping[str, Any], length: int = 6) -> tuple[Bad | None, list[Link]]:
    """The first value that is not finite, and what it was made from: the greatest at each turn."""
    outputs = graph.compile()(**arrays)
    if all(np.isfinite(v).all() for v in outputs.values()):
        return None, []
    run = Run(graph, arrays)
    bad = run.first_bad()
    if bad is None:
        return None, []
    chain: dict[str, Link] = {}
    node: Node = bad.node
    at: Mapping[Axis, int] = bad.index
    while len(chain) < length:
        reads = [(u, here) for u, here in needs(graph, node, at, run.bound.extents) if u.dtype in INEXACT]
        sizes = [float(np.abs(run.value(u, here)).max(initial=0.0)) for u, here in reads]
        if not reads:
            break
        node, at = reads[int(np.argmax(sizes))]
        name = graph.names.get(node, node)
        if isinstance(name.op, Named) and (value := run.value(node, at)).size:
            where = ", ".join(f"{a.name} = {at[a]}" for a in node.axes)
            text = f"{name.op}" + (f" at {where}" if where else "")
            chain.setdefault(text, Link(text, float(value.real.min()), float(value.real.max())))
    return bad, list(chain.values())


def sparkline(values: Array, width: int = 40) -> str:
    """A line of blocks, on a scale of powers of ten.

    >>> sparkline(np.array([1e-8, 1e-4, 1.0]))
    '▁▄█'
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return ""
    groups = np.array_split(finite, min(width, finite.size))
    logs = np.log10(np.maximum([g.max() for g in groups], 1e-300))
    logs = np.maximum(logs, logs.max() - 16)
    low, span = logs.min(), max(float(np.ptp(logs)), 1.0)
    return "".join("▁▂▃▄▅▆▇█"[int(7 * (v - low) / span)] for v in logs)


def truncation_bias(
    graph: Graph,
    of: str,
    k: int,
    wrt: Wrt = None,
    over: str | None = None,
    *,
    arrays: Mapping[str, Any] | None = None,
    **more: Any,
) -> Mapping[str, float]:
    """What truncation does to a gradient, exactly: |truncated - full| / |full| by name."""
    arrays = {**(arrays or {}), **more}
    wrt = once(wrt)
    full, cut = graph.grad(of, wrt)(**arrays), truncate(graph, k, over).grad(of, wrt)(**arrays)
    return {
        name: float(np.linalg.norm(cut[name] - full[name]) / max(float(np.linalg.norm(full[name])), 1e-300))
        for name in full
    }
