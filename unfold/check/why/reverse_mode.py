"""Every rule holds and the gradient is still wrong: a read or a sum of reverse mode between them.

Reverse mode transposes every read and adds up what a node's readers send back. Both are
identities about the adjoints of one run, so each can be tested where it stands:

    <adjoint sent to u by v, direction> = <adjoint(v), J direction>     every read u -> v
    adjoint(u) = sum of what its readers send                           every node u

Time operations, broadcasts and sums over an axis are reads like any other here. The step
at fault is found by bisection: the part of the direction on steps s..T, halved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.check.numbers.oracle import DOUBLE, SLACK, TRUST
from unfold.check.numbers.recorder import NodeFunction, record
from unfold.check.rules.certificates import Certificate, Rule, full_shape
from unfold.check.trial import Trial
from unfold.check.why.diagnosis import factor
from unfold.core.leaves import Symbol, constant
from unfold.core.node import Node
from unfold.core.op import Elementwise
from unfold.core.system import rebuild
from unfold.graph import Graph
from unfold.ops.time.delays import zeros
from unfold.transform import adjoint

Array = NDArray[Any]


@dataclass(frozen=True)
class Through(Elementwise):
    """a, read by one reader: its adjoint is what that reader sends back"""

    def forward(self, xp: Any, a: Any) -> Any:
        return a

    def vjp(self, ct: Node, out: Node, a: Node) -> tuple[Node]:
        return (ct,)


@dataclass(frozen=True)
class EngineFault:
    """A transposition or a sum of the engine that does not hold."""

    node: Node
    argument: int | None  # None: the sum over the readers of `node`
    steps: tuple[int, ...]
    size: int
    axis: str
    diagnosis: str


class ReverseMode:
    """The adjoints of one run, reads told apart."""

    def __init__(self, work: Trial) -> None:
        self.work, self.graph, self.bound, self.rules, self.seed = (
            work, work.graph, work.wide, work.rules, work.seed
        )  # fmt: skip
        self.run(work.graph.output(work.of), list(work.sources.values()))

    def run(self, target: Node, sources: list[Node]) -> None:
        """Reverse mode on the graph with a node on every read."""
        image: dict[Node, Node] = {}
        reads: dict[Rule, Node] = {}
        wanted = set(self.rules)
        for node in self.graph.order:
            inputs = []
            for k, u in enumerate(node.inputs):
                new = image[u]
                if (rule := Rule(node, k)) in wanted:
                    new = reads[rule] = Node(Through(), (new,), u.axes, u.shape, u.dtype)
                inputs.append(new)
            image[node] = rebuild(node, tuple(inputs))
        definitions = {image[s]: image[b] for s, b in self.graph.definitions.items() if s in image}
        outputs = {name: image[u] for name, u in self.graph.outputs.items()}
        probed = Graph(outputs, definitions)
        found, more = adjoint.adjoints(probed, {image[target]: constant(1.0)}, sources)
        names = [*image.values(), *reads.values()]
        adjoints = {n: found.get(n, zeros(n.shape, n.dtype)) for n in names}
        whole = Graph(
            {str(i): u for i, u in enumerate(dict.fromkeys(adjoints.values()))}, {**definitions, **more}
        )
        with np.errstate(all="ignore"):
            recorded = record(whole, self.bound, whole.outputs.values())
        self._adjoints = {n: self._full(recorded[u], u, n) for n, u in adjoints.items()}
        self._image, self._reads, self.target = image, reads, target

    def _full(self, x: Array, adjoint: Node, like: Node) -> Array:
        if adjoint.axes != like.axes:
            x = NodeFunction(like, self.bound).align(x, adjoint, like.axes)
        return np.broadcast_to(x, full_shape(like, self.bound))

    def adjoint(self, node: Node) -> Array:
        """The adjoint of a node, as the engine computes it."""
        return self._adjoints[self._image[node]]

    def sent(self, rule: Rule) -> Array:
        """What one reader sends back to its argument."""
        return self._adjoints[self._reads[rule]]

    # ------------------------------------------------------------------ the identities
    def fault(self) -> EngineFault | None:
        """The first identity that fails, from the output backwards."""
        for rule in reversed(self.rules):
            found = self._read(rule)
            if found is not None:
                return found
        return self._sums()

    def _read(self, rule: Rule) -> EngineFault | None:
        cert = self.work.certificate(rule)
        cert = replace(cert, ct=self.adjoint(rule.node).astype(cert.ct.dtype))
        back = self.sent(rule)
        if not self._differs(cert, back, cert.u):
            return None
        slack = float(cert.rounding().sum())  # what the rule has lost by rounding is not the engine's
        if not self._differs(cert, back, cert.u, slack):
            return None
        node, k = rule
        axes = cert.like.axes
        size = self.bound.extents[axes[0]] if axes else 0

        def wrong(low: int, high: int) -> bool:
            steps = np.arange(1, size + 1).reshape(-1, *[1] * (cert.u.ndim - 1))
            return self._differs(cert, back, np.where((low <= steps) & (steps <= high), cert.u, 0.0), slack)

        steps: tuple[int, ...] = ()
        if axes and size <= 64:
            steps = tuple(s for s in range(1, size + 1) if wrong(s, s))
        elif axes:
            last = bisect(wrong, 1, size)
            steps = () if last is None else (last,)
        text = f"{_doing(node)} is not transposed rightly: it sends back {self._looks(cert, back)}"
        return EngineFault(node, k, steps, size, axes[0].name if axes else "t", text)

    def _pair(self, cert: Certificate, back: Array, u: Array) -> tuple[float, float, float]:
        slope, error = cert.towards(u).slope()
        left, right = np.real(cert.ct * slope), np.real(back * u)
        doubt = 0.0 if error is None else TRUST * float((abs(cert.ct) * error).sum())
        size = float(abs(left).sum() + abs(right).sum()) + doubt / (SLACK * DOUBLE)
        return float(right.sum()), float(left.sum()), size

    def _differs(self, cert: Certificate, back: Array, u: Array, slack: float = 0.0) -> bool:
        analytic, numeric, size = self._pair(cert, back, u)
        return not abs(analytic - numeric) <= SLACK * DOUBLE * size + slack + 1e-290

    def _looks(self, cert: Certificate, back: Array) -> str:
        rng = np.random.default_rng(self.seed)
        draws = [self._pair(cert, back, rng.standard_normal(cert.u.shape)) for _ in range(3)]
        analytic, numeric, size = (np.array(column) for column in zip(*draws, strict=True))
        longest = max((self.bound.extents[a] for a in cert.node.axes), default=0)
        simple = factor(analytic, numeric, size + 1e-300, longest)
        if simple:
            return simple
        return self._some_steps(cert, back) or "something else"

    def _some_steps(self, cert: Certificate, back: Array) -> str | None:
        """An argument shared over time: which steps' contributions it gets."""
        if not cert.axes or set(cert.axes) & set(cert.like.axes):
            return None
        slope, _ = cert.slope()
        terms = cert.sum_left(cert.ct * slope)
        each = terms.sum(axis=tuple(range(1, terms.ndim)))
        analytic = float((back * cert.u).sum())
        scale = float(abs(each).sum()) + 1e-300
        axis = cert.axes[0].name
        for t, term in enumerate(each, start=1):
            if abs(analytic - term) < 1e-9 * scale:
                return f"the contribution of {axis} = {t} alone"
            if abs(analytic - (each.sum() - term)) < 1e-9 * scale:
                return f"all contributions but that of {axis} = {t}"
        return None

    def _sums(self) -> EngineFault | None:
        parts: dict[Node, list[Array]] = {self.target: [np.ones(())]}
        for node, k in self.rules:
            parts.setdefault(node.inputs[k], []).append(self.sent(Rule(node, k)))
            parts.setdefault(node, [])
        for s in self.graph.order:
            if isinstance(s.op, Symbol) and s in parts:
                body = self.graph.definitions[s]
                if s.axes != body.axes:
                    parts.pop(body, None)
                elif body in parts:
                    parts[body].append(self.adjoint(s))
        for node in reversed(self.graph.order):
            if node in parts and self._sum_fails(node, parts[node]):
                size = self.bound.extents[node.axes[0]] if node.axes else 0
                text = f"its adjoint is not the sum of what its {len(parts[node])} readers send back"
                return EngineFault(node, None, (), size, node.axes[0].name if node.axes else "t", text)
        return None

    def _sum_fails(self, node: Node, parts: list[Array]) -> bool:
        have = self.adjoint(node)
        want, size = np.zeros_like(have), abs(have)
        for p in parts:
            want, size = want + p, size + abs(p)
        return bool((~(abs(have - want) <= SLACK * DOUBLE * size + 1e-290)).any())


def bisect(wrong: Callable[[int, int], bool], low: int, high: int) -> int | None:
    """The last step in low..high at which a fault lies, in about log2 steps; None without one.
    `wrong(s, high)` tells whether there is one on the suffix s..high."""
    if not wrong(low, high):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if wrong(middle, high):
            low = middle
        else:
            high = middle - 1
    return low


def _doing(node: Node) -> str:
    return {"delay": "the delay", "at": "the fixed read", "place": "the placing"}.get(
        node.op.name, node.op.name
    )
