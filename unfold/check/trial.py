"""A graph on trial at one point: its gradients along random directions, its rules one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.check.numbers.oracle import LONG, TRUST, VAGUE, allowed, complex_step, one_sided, richardson
from unfold.check.numbers.recorder import choices, record
from unfold.check.numbers.rounding import furthest, nudges
from unfold.check.rules.certificates import HOLD, Certificate, Rule, active, certificate, gaussian
from unfold.check.rules.fault import Fault, Kind
from unfold.core.errors import UnfoldError
from unfold.core.key import unused
from unfold.core.leaves import Input, Named
from unfold.core.node import Node
from unfold.core.system import Wrt, rebuild, rewrite
from unfold.engine.binding import Binding, bind
from unfold.graph import Graph
from unfold.transform import adjoint

Array = NDArray[Any]
Gradients = Mapping[str, Array]


@dataclass(frozen=True)
class Projection:
    """The gradient of one variable along one direction, beside the truth."""

    variable: str
    analytic: float
    numeric: float
    error: float
    size: float  # S, the total size of the terms
    eps: float
    doubt: float = 0.0  # what the oracle itself may be off by
    rounding: float = 0.0  # what rounding on the way may add

    @property
    def allowed(self) -> float:
        return float(allowed(self.eps, self.size)) + self.doubt + self.rounding

    @property
    def vague(self) -> bool:
        """Whether it is only a great doubt of the oracle's that lets them agree."""
        return self.doubt > VAGUE * self.size and self.error > self.allowed - self.doubt

    @property
    def wrong(self) -> bool:
        return not self.error <= self.allowed < np.inf


class Trial:
    """One graph, one output and one point, with all that a check measures there."""

    def __init__(
        self, graph: Graph, of: str, wrt: Wrt, seed: int, arrays: Mapping[str, Any], hold: bool = True
    ) -> None:
        self.graph, self.of, self.seed, self.hold = graph, of, seed, hold
        self.arrays = {name: np.asarray(value) for name, value in arrays.items()}
        self.bound = bind(graph, self.arrays)
        chosen = [_label(u) for u in adjoint.select(graph, wrt).values()]
        self.sources = adjoint.select(graph, list(dict.fromkeys(chosen)))  # x for x[2]: all steps
        if not self.sources:
            known = ", ".join(graph.inputs) or "no inputs"
            raise UnfoldError(f"nothing to check: the graph has no parameters; name inputs in wrt= ({known})")
        self._distrusted: set[Node] = set()
        self.idle: list[Rule] = []  # rules of which nothing but zeros was seen
        self.labels = list(dict.fromkeys(_label(u) for u in self.sources.values()))
        self.wrt = list(self.sources)
        complex = self.bound.dtype.kind == "c" or any(u.dtype == "complex" for u in self.sources.values())
        self.unsafe = complex or any(not n.op.complex_safe for n, _ in self.rules)

    @cached_property
    def rules(self) -> list[Rule]:
        return active(self.graph, list(self.sources.values()), self.graph.output(self.of), self.hold)

    @cached_property
    def values(self) -> dict[Node, Array]:
        """Every value of the run, at double precision or more."""
        return record(self.graph, self.wide)

    @cached_property
    def wide(self) -> Binding:
        """The arrays at double precision or more."""
        return self._bound(np.float64)

    def _bound(self, dtype: Any) -> Binding:
        wide = np.result_type(dtype, self.bound.dtype)
        arrays = {
            n: a.astype(np.result_type(a, wide)) if a.dtype.kind in "fc" else a
            for n, a in self.bound.arrays.items()
        }
        return replace(self.bound, arrays=arrays, dtype=wide)

    # ------------------------------------------------------------------ the whole gradient
    @cached_property
    def mark(self) -> str:
        """What the names of the gradients begin with: "d", unless the output is named like one."""
        mark = "d"
        while self.of in {mark + name for name in (*self.sources, *self.labels)}:
            mark += "'"
        return mark

    @cached_property
    def joint(self) -> Graph:
        """The output and its gradients, as one graph."""
        sources = {self.mark + name: u for name, u in self.sources.items()}
        return adjoint.with_gradients(self.graph, self.of, sources, [self.of])

    def compiled_gradients(self, dtype: Any = None) -> Gradients:
        """The gradients as the compiled graph gives them: what is on trial."""
        bound = self.bound if dtype is None else self._bound(dtype)
        found = compiled(self.joint, bound)
        return {label: np.asarray(found[self.mark + label]) for label in self.labels}

    def recorded_gradients(self, dtype: Any) -> Gradients:
        """The gradients of the gradient graph, without the backend, in any precision."""
        with np.errstate(all="ignore"):
            values = record(self.joint, self._bound(dtype), self.joint.outputs.values())
        return self._by_label(values)

    def _by_label(self, values: Mapping[Node, Array]) -> Gradients:
        return self._grouped({name: values[self.joint.outputs[self.mark + name]] for name in self.sources})

    @cached_property
    def _nudged(self) -> Sequence[Gradients]:
        """What rounding on the way may change in each gradient: the changes of a few runs."""
        keep = [*self.joint.outputs.values(), *choices(self.joint)]
        plain = record(self.joint, self.wide, keep)
        true = self._by_label(plain)
        runs = [
            self._by_label(record(self.joint, self.wide, self.joint.outputs.values(), nudge))
            for nudge in nudges(self.bound.dtype, plain)
        ]
        return [{label: run[label] - true[label] for label in true} for run in runs]

    def entry_rounding(self, label: str) -> Array:
        """How far rounding on the way may put each entry of a gradient off."""
        return furthest([run[label] for run in self._nudged])

    def with_rounding(self, found: Projection, draw: int) -> Projection:
        """The same, allowed also what rounding on the way may do: a gradient whose terms have
        cancelled before they were summed."""
        u = self.direction(found.variable, draw)
        off = furthest([np.real(run[found.variable] * u).sum() for run in self._nudged])
        return replace(found, rounding=float(off))

    def _grouped(self, found: Mapping[str, Array]) -> Gradients:
        """Gradients in `x[1]`, `x[2]`, ... of an unfolded graph as one array over the steps."""
        out: dict[str, Array] = {}
        for name, value in found.items():
            op = self.sources[name].op
            assert isinstance(op, Named)
            steps = [i for i in op.index if isinstance(i, int)]
            if not steps:
                out[op.label] = value
                continue
            whole = out.setdefault(op.label, np.zeros_like(self.bound.arrays[op.label], value.dtype))
            whole[tuple(i - 1 if isinstance(i, int) else slice(None) for i in op.index)] = value
        return out

    @cached_property
    def _held(self) -> tuple[Graph, dict[str, Array]]:
        """The output alone, with what `stop_gradient` holds as further inputs: their values."""
        held: dict[str, Array] = {}

        def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
            if node.op.name != HOLD or node.dtype != "float" or not self.hold:
                return rebuild(node, inputs)
            name = unused(f"held_{len(held)}", self.bound.arrays)
            held[name] = self.values[node]
            return Node(Input(name), (), node.axes, node.shape, node.dtype)

        return rewrite(self.graph.select(self.of), rule), held

    @cached_property
    def fast(self) -> bool:
        """Whether the compiled output, in complex numbers, is the recorded one: then the
        projections may use it, which counts for long sequences."""
        target, held = self._held
        bound = self._bound(np.complex128)
        bound = replace(bound, arrays={**bound.arrays, **held})
        have = self.values[self.graph.output(self.of)]
        try:
            found = np.asarray(compiled(target, bound)[self.of])
        except TypeError:  # a forward that takes no complex numbers
            return False
        return bool(abs(found - have) <= 1e-10 * (1 + abs(have)))

    def loss(self, label: str, u: Array, dtype: Any) -> Callable[[Any], Array]:
        """e -> the output with one variable moved by e u."""
        target, held = self._held
        base = self._bound(dtype)
        base = replace(base, arrays={**base.arrays, **held})
        node = target.outputs[self.of]

        def along(e: Any) -> Array:
            moved = base.arrays[label] + e * u
            bound = replace(
                base, arrays={**base.arrays, label: moved}, dtype=np.result_type(base.dtype, moved)
            )
            if self.fast and bound.dtype == np.complex128:
                return np.asarray(compiled(target, bound)[self.of])
            return record(target, bound, [node])[node]

        return along

    def direction(self, label: str, draw: int) -> Array:
        like = self.bound.arrays[label]
        rng = np.random.default_rng([self.seed, draw, self.labels.index(label)])
        return gaussian(rng, like.shape, like.dtype.kind == "c")

    def project(self, label: str, u: Array, gradient: Array, precise: bool = False) -> Projection:
        """Both sides of <gradient, u>: of the real part, for complex numbers."""
        dtype = LONG if precise else np.dtype(np.float64)
        doubt = 0.0
        with np.errstate(all="ignore"):
            slope = None if self.unsafe else self._by_complex_step(label, u, dtype)
            if slope is None:
                slope, guess = richardson(self.loss(label, u, LONG), self.scale(label, u))
                doubt = TRUST * float(guess)
            slope, terms = np.real(slope), np.real(gradient * u)
            error = abs(terms.sum() - slope)
            size = float(abs(terms).sum() + abs(slope))
        numeric = float(slope)
        off = float(error) if terms.sum() >= numeric else -float(error)
        eps = float(np.finfo(gradient.dtype).eps)
        return Projection(label, numeric + off, numeric, float(error), size, eps, doubt)

    def scale(self, label: str, u: Array) -> float:
        """A step along u that is small beside the variable."""
        at = float(np.abs(self.bound.arrays[label]).max(initial=0)) or 1.0
        return min(1.0, at) / (float(np.abs(u).max(initial=0)) or 1.0)

    def slopes(self, found: Projection, draw: int) -> tuple[float, float]:
        """The one-sided derivatives of the output along the direction of a projection."""
        u = self.direction(found.variable, draw)
        with np.errstate(all="ignore"):
            left, right = one_sided(self.loss(found.variable, u, LONG), self.scale(found.variable, u))
            return float(np.real(left)), float(np.real(right))

    def _by_complex_step(self, label: str, u: Array, dtype: Any) -> Array | None:
        try:
            kind = np.result_type(dtype, np.complex64)
            return complex_step(self.loss(label, u, dtype), kind, self.bound.arrays[label])
        except TypeError:  # a forward that takes no complex numbers
            self.unsafe = True
            return None

    def projections(self, gradients: Gradients, precise: bool = False) -> Iterator[Projection]:
        """Two Gaussian directions for every variable."""
        for label in self.labels:
            for draw in (0, 1):
                yield self.project(label, self.direction(label, draw), gradients[label], precise)

    def shrinks(self, found: Projection, draw: int, gradients: Gradients) -> bool:
        """Whether a mismatch shrinks in long double as rounding does, and a wrong formula does not."""
        label = found.variable
        again = self.project(label, self.direction(label, draw), gradients[label], precise=True)
        return not again.wrong or again.error < found.error / 50

    # ------------------------------------------------------------------ rule by rule
    def certificate(self, rule: Rule) -> Certificate:
        """The certificate of one argument of one node, at the values of the run."""
        cert = certificate(self.graph, self.bound, self.values, rule, self.seed)
        return replace(cert, safe=rule.node not in self._distrusted)

    def distrust(self, rule: Rule) -> None:
        """From here on, differences instead of complex steps through this node."""
        self._distrusted.add(rule.node)
        self.unsafe = True

    def judge(self, rule: Rule) -> Fault | None:
        """The fault of a rule at a node; None where it holds."""
        cert = self.certificate(rule)
        found = cert.compare()
        if not found.size.any():
            self.idle.append(rule)
        if found.wrong.any():
            return Fault(rule, cert, found).confirmed()
        return Fault(rule, cert, found, Kind.VAGUE) if found.vague.any() else None


def compiled(graph: Graph, bound: Binding) -> Mapping[str, Array]:
    """The outputs of a compiled graph at bound arrays, of which it may need only some."""
    leaves = {_label(u) for u in [*graph.inputs.values(), *graph.params.values()]}
    lengths = {a.name: bound.extents[a] for a in graph.axes if a.name not in leaves and a.size is None}
    arrays = {name: x for name, x in bound.arrays.items() if name in leaves}
    return graph.compile().holomorphic({**lengths, **arrays})


def _label(node: Node) -> str:
    assert isinstance(node.op, Named)
    return node.op.label
