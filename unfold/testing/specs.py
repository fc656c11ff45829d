"""Systems, expressions and calls as plain data, and `build`, which makes graphs of them.

A spec prints as what it is and shrinks as hypothesis shrinks data. An expression is a nested
tuple: `("tanh", ("add", ("read", 0, 1), ("x", 0)))` is tanh(v0[t-1] + x[t]).

Well-posed by construction: a block of variables runs forward or backward in time; inside
it a variable is read at lag 1 or more, or at lag 0 when it stands earlier; what earlier
blocks computed may be read at any lag, at a fixed step, reversed, and summed over time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.leaves import constant
from unfold.core.node import Node, call
from unfold.graph import Graph
from unfold.graph import graph as make_graph
from unfold.language.variables import axis, input, param, var
from unfold.ops.examples import examples

Expr = tuple[Any, ...]
Arrays = dict[str, NDArray[Any]]

UNARY = ("tanh", "sigmoid", "sin", "relu", "abs", "softplus", "square", "negative")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum")
VECTOR = ("matvec", "softmax", "cumsum", "flip")
SCALAR = ("sum", "mean", "max", "logsumexp", "dot")
OVER = ("sum", "mean", "max", "logsumexp", "softmax")


@dataclass(frozen=True)
class EquationSpec:
    """One variable: a vector or a number, what its boundary values are, its right side."""

    vector: bool
    body: Expr
    boundary: tuple[str, ...] = ("zero",)  # "zero", "number" or "param", repeated as needed


@dataclass(frozen=True)
class BlockSpec:
    """Variables computed together: forward (1) or backward (-1) in time."""

    direction: int
    equations: tuple[EquationSpec, ...]


@dataclass(frozen=True)
class SystemSpec:
    """A system over t: blocks, the size of its vectors, and what the loss is made of."""

    size: int
    blocks: tuple[BlockSpec, ...]
    loss: tuple[tuple[Any, ...], ...] = (("all", 0),)
    reverse_order: bool = False  # equations written last to first: it must not matter
    prefix: str = "v"  # names of variables start with it: they must not matter

    @property
    def max_lag(self) -> int:
        """The largest shift of any read."""
        bodies = [e.body for b in self.blocks for e in b.equations]
        return max([1, *(abs(lag) for body in bodies for lag in _lags(body))])


@dataclass(frozen=True)
class ExpressionSpec:
    """An expression of one vector and one number, without time."""

    size: int
    vector: bool
    body: Expr


@dataclass(frozen=True)
class OpCall:
    """A call of a registered operation: which of its examples, or on which shapes."""

    name: str
    which: int = 0
    shapes: tuple[tuple[int, ...], ...] | None = None
    seed: int = 0


@dataclass(frozen=True)
class IllegalSpec:
    """A system that must be refused: the error's name, and reads (reader, source, lag)."""

    error: str
    variables: int
    reads: tuple[tuple[int, int, int], ...]
    decoys: int = 0  # legal variables beside


@dataclass
class Built:
    """What a spec builds: the graph, and arrays that fit it."""

    graph: Graph
    size: int
    shapes: dict[str, Callable[[int], tuple[int, ...]]] = field(default_factory=dict)
    domains: dict[str, tuple[float, float]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def arrays(self, seed: int = 0, steps: int = 4) -> Arrays:
        """Random arrays for all inputs and parameters the graph takes."""
        rng = np.random.default_rng(seed)
        arrays = {name: self._draw(rng, name, shape(steps)) for name, shape in self.shapes.items()}
        open_axes = [a for a in self.graph.axes if not any(a in u.axes for u in self.graph.inputs.values())]
        return {**arrays, **{a.name: np.asarray(steps) for a in open_axes}}

    def _draw(self, rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        low, high = self.domains.get(name, (-1.5, 1.5))
        kind = self.kinds.get(name, "float")
        if kind == "int":
            return rng.integers(int(low), int(high), shape)
        return rng.random(shape) < 0.5 if kind == "bool" else rng.uniform(low, high, shape)


def walk(expr: Expr) -> Iterator[Expr]:
    """An expression and all below it."""
    yield expr
    for part in expr[1:]:
        if isinstance(part, tuple):
            yield from walk(part)


def _lags(body: Expr) -> list[int]:
    return [e[-1] for e in walk(body) if e[0] in ("read", "x", "z")]


@singledispatch
def build(spec: Any) -> Built:
    """The system of a spec. Raises what the language raises for an `IllegalSpec`."""
    raise TypeError(f"not a spec: {spec!r}")


class _Script:
    """Writes an expression spec in the language."""

    def __init__(self, size: int) -> None:
        self.size, self.count = size, 0
        self.t: Axis | None = None
        self.variables: list[Any] = []
        self.x: Any = None
        self.z: Any = None

    def param(self, *shape: int) -> Node:
        self.count += 1
        return param(f"p{self.count - 1}", *shape)

    def write(self, expr: Expr) -> Node:
        head, *rest = expr
        own = getattr(self, f"_{head}", None)
        node: Node = own(*rest) if own is not None else call(head, *(self.write(r) for r in rest))
        return node

    def _x(self, lag: int) -> Any:
        return self.x if self.t is None else self.x[self.t - lag]

    def _z(self, lag: int) -> Any:
        return self.z if self.t is None else self.z[self.t - lag]

    def _read(self, k: int, lag: int) -> Any:
        assert self.t is not None
        return self.variables[k][self.t - lag]

    def _last(self, k: int) -> Any:
        assert self.t is not None
        return self.variables[k][self.t.last]

    def _first(self, k: int) -> Any:
        return self.variables[k][1]

    def _back(self, k: int) -> Any:
        assert self.t is not None
        return self.variables[k][self.t.last + 1 - self.t]

    def _param(self, vector: bool) -> Node:
        return self.param(*([self.size] if vector else []))

    def _number(self, value: float) -> Node:
        return constant(value)

    def _step(self) -> Node:
        return 0.1 * call("step", self.t)

    def _matvec(self, x: Expr) -> Node:
        return self.param(self.size, self.size) @ self.write(x)

    def _over(self, operation: str, x: Expr) -> Node:
        return call(operation, self.write(x), over=self.t)

    def _where(self, x: Expr, y: Expr) -> Node:
        a, b = self.write(x), self.write(y)
        return call("where", call("less", 0, a), a, b)

    def _dot(self, x: Expr, y: Expr) -> Node:
        return call("sum", self.write(x) * self.write(y))


@build.register
def _system(spec: SystemSpec) -> Built:
    writer = _Script(spec.size)
    t = writer.t = axis("t")
    writer.x, writer.z = input("x", spec.size, over=t), input("z", over=t)
    lag = max(3, spec.max_lag)
    for m in range(lag):
        writer.x[-m], writer.x[t.last + 1 + m] = 0.5, -0.5
        writer.z[-m], writer.z[t.last + 1 + m] = 0.25, 0
    equations = [(b.direction, e) for b in spec.blocks for e in b.equations]
    for k, (_, e) in enumerate(equations):
        writer.variables.append(var(f"{spec.prefix}{k}", *([spec.size] if e.vector else []), over=t))
    bodies = [writer.write(e.body) for _, e in equations]
    boundaries = {
        (k, m, side): _boundary(writer, e, m)
        for k, (_, e) in enumerate(equations)
        for m in range(lag)
        for side in (1, -1)
    }
    places = list(range(len(equations)))
    for k in places[::-1] if spec.reverse_order else places:
        v = writer.variables[k]
        for m in range(lag):
            v[-m] = boundaries[k, m, 1]
            v[t.last + 1 + m] = boundaries[k, m, -1]
        v[t] = bodies[k]
    total = [_loss(writer.variables[k], t, kind) for kind, k in spec.loss]
    outputs = {f"out{k}": writer.variables[k][t] for k in places}
    graph = make_graph(loss=total[0] if len(total) == 1 else call("add", *total), **outputs)
    return Built(graph, spec.size, _shapes(graph))


def _boundary(writer: _Script, e: EquationSpec, m: int) -> Any:
    kind = e.boundary[m % len(e.boundary)]
    if kind == "param":
        return writer.param(*([writer.size] if e.vector else []))
    return 0.5 if kind == "number" else 0


def _loss(v: Any, t: Axis, kind: str) -> Node:
    term = v[t.last] if kind == "last" else v[t]
    if kind == "last":
        return call("sum", call("square", term))
    return call("sum", call("sum", call("square", term)), over=t)


def _shapes(graph: Graph) -> dict[str, Callable[[int], tuple[int, ...]]]:
    def shape(node: Node) -> Callable[[int], tuple[int, ...]]:
        return lambda steps: (*[steps] * len(node.axes), *(dims.evaluate(d, {}) for d in node.shape))

    return {name: shape(u) for name, u in {**graph.inputs, **graph.params}.items()}


@build.register
def _expression(spec: ExpressionSpec) -> Built:
    writer = _Script(spec.size)
    writer.x, writer.z = param("x", spec.size), param("z")
    value = writer.write(spec.body)
    graph = make_graph(loss=call("sum", value * value), value=value)
    return Built(graph, spec.size, _shapes(graph))


@build.register
def _op_call(spec: OpCall) -> Built:
    example = examples(spec.name)[spec.which]
    shapes = spec.shapes if spec.shapes is not None else tuple(g.shape for g in example.given)
    leaves = [input(n, *s, dtype=g.kind) for n, s, g in zip("abcdef", shapes, example.given, strict=False)]
    made = example.call(*leaves)
    parts = [y for y in (made if isinstance(made, tuple | list) else [made]) if y.dtype == "float"]
    rng = np.random.default_rng(spec.seed)
    terms = [call("sum", rng.normal(size=[dims.evaluate(n, {}) for n in y.shape]) * y) for y in parts]
    outputs = {f"value{k}": y for k, y in enumerate(parts)}
    if not terms:
        outputs = {"value": made}
    else:
        outputs["loss"] = terms[0] if len(terms) == 1 else call("add", *terms)
    graph = make_graph(**outputs)
    given = dict(zip("abcdef", example.given, strict=False))
    return Built(
        graph,
        0,
        _shapes(graph),
        {n: (g.low, g.high) for n, g in given.items()},
        {n: g.kind for n, g in given.items()},
    )


@build.register
def _illegal(spec: IllegalSpec) -> Built:
    t = axis("t")
    largest = max([1, *(abs(lag) for _, _, lag in spec.reads)])
    names = [var(f"v{k}", over=t) for k in range(spec.variables + spec.decoys)]
    bare = spec.error == "MissingBoundary"
    for k, v in enumerate(names):
        for m in range(largest - (1 if bare and k < spec.variables else 0)):
            v[-m] = 0
            v[t.last + 1 + m] = 0
        if spec.error == "Undefined" and k == 0:
            continue
        terms = [names[s][t - lag] for reader, s, lag in spec.reads if reader == k]
        v[t] = call("tanh", sum(terms, start=constant(0.5)))
        if spec.error == "Redefined" and k == 0:
            v[t] = constant(0.0)
    graph = make_graph(**{f"out{k}": v[t] for k, v in enumerate(names)})
    return Built(graph, 0, _shapes(graph))
