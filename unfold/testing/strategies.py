"""Hypothesis strategies for shapes, operations, expressions and systems.

Each draws plain data (see `unfold.testing.specs`); `build(spec)` makes the graph. A property
test of an operation of one's own takes five lines:

    from hypothesis import given
    import unfold as uf
    from unfold.testing import build, op_calls

    @given(op_calls("my_operation"))
    def test_my_operation(spec):
        system = build(spec)
        uf.assert_gradients(system.graph, "loss", wrt=list(system.graph.inputs), **system.arrays())
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from hypothesis import strategies as st

from unfold.core.node import OPERATIONS
from unfold.core.op import Elementwise
from unfold.ops.examples import CALLS, examples
from unfold.testing.specs import (
    BINARY,
    OVER,
    SCALAR,
    UNARY,
    VECTOR,
    Arrays,
    BlockSpec,
    Built,
    EquationSpec,
    Expr,
    ExpressionSpec,
    IllegalSpec,
    OpCall,
    SystemSpec,
)

Draw = Any


def time_lengths(max_lag: int = 3) -> st.SearchStrategy[int]:
    """Numbers of steps that matter: 1, below the largest lag, at it, and more."""
    return st.sampled_from(sorted({1, max(1, max_lag - 1), max_lag, max_lag + 1, max_lag + 3}))


@st.composite
def shapes(draw: Draw, signature: str, max_size: int = 4) -> tuple[tuple[int, ...], ...]:
    """Shapes of arguments that fit a signature as of NumPy's generalised functions.

    `shapes("(m,n),(n)")` draws ((2, 3), (3,)), ((1, 4), (4,)), ...; size 0 and 1 included.
    """
    groups = re.findall(r"\(([^()]*)\)", signature.split("->")[0])
    letters = [[c.strip() for c in g.split(",") if c.strip()] for g in groups]
    names = dict.fromkeys(c for g in letters for c in g)
    sizes = {c: int(c) if c.isdigit() else draw(st.integers(0, max_size)) for c in names}
    return tuple(tuple(sizes[c] for c in g) for g in letters)


@st.composite
def broadcastable(draw: Draw, count: int, max_rank: int = 3) -> tuple[tuple[int, ...], ...]:
    """Shapes that broadcast against each other: fewer dimensions, and ones."""
    full = draw(st.lists(st.integers(0, 3), max_size=max_rank).map(tuple))
    out = []
    for _ in range(count):
        keep = draw(st.integers(0, len(full)))
        out.append(tuple(draw(st.sampled_from([n, 1])) for n in full[keep:]))
    return tuple(out)


@st.composite
def op_calls(draw: Draw, name: str | None = None) -> OpCall:
    """Calls of an operation (of any one, without a name): elementwise ones on shapes that
    broadcast, others as in their examples; entries from the operation's domain."""
    chosen = name if name is not None else draw(st.sampled_from(sorted(differentiable())))
    seed = draw(st.integers(0, 2**16))
    op = OPERATIONS.get(chosen)
    if op is not None and issubclass(op, Elementwise) and chosen not in CALLS:
        return OpCall(chosen, 0, draw(broadcastable(len(op.domain))), seed)
    return OpCall(chosen, draw(st.integers(0, len(examples(chosen)) - 1)), None, seed)


def differentiable() -> list[str]:
    """The names of registered operations that have a gradient and can be called alone."""
    return [n for n, op in OPERATIONS.items() if _is_plain(n, op)]


def _is_plain(name: str, op: Any) -> bool:
    if issubclass(op, Elementwise):
        return bool(op.differentiable) and not op.data and name != "stop_gradient"
    return name in CALLS and bool(op.differentiable)


# ---------------------------------------------------------------------- expressions
class _Grammar:
    """What may stand in an expression at a place in a system."""

    def __init__(self, draw: Draw, leaves: dict[bool, list[Expr]], over: dict[bool, list[Expr]]) -> None:
        self.draw, self.leaves, self.over = draw, leaves, over

    def expr(self, vector: bool, depth: int) -> Expr:
        kinds = ["leaf"]
        if depth > 0:
            kinds += ["unary", "binary", "shape", "where"] + (["over"] if self.over[vector] else [])
        kind = self.draw(st.sampled_from(kinds))
        if kind == "leaf":
            return self.draw(st.sampled_from(self.leaves[vector]))  # type: ignore[no-any-return]
        if kind == "unary":
            return (self.draw(st.sampled_from(UNARY)), self.expr(vector, depth - 1))
        if kind == "binary":
            other = vector and self.draw(st.booleans())  # a number broadcasts against a vector
            a, b = self.expr(vector, depth - 1), self.expr(other, depth - 1)
            a, b = (b, a) if self.draw(st.booleans()) else (a, b)
            return (self.draw(st.sampled_from(BINARY)), a, b)
        if kind == "where":
            return ("where", self.expr(vector, depth - 1), self.expr(vector, depth - 1))
        if kind == "over":
            inner = self.draw(st.sampled_from(self.over[vector]))
            return ("over", self.draw(st.sampled_from(OVER)), inner)
        return self._shape(vector, depth)

    def _shape(self, vector: bool, depth: int) -> Expr:
        if vector:
            head = self.draw(st.sampled_from(VECTOR))
            return (head, self.expr(True, depth - 1))
        head = self.draw(st.sampled_from(SCALAR))
        if head == "dot":
            return (head, self.expr(True, depth - 1), self.expr(True, depth - 1))
        return (head, self.expr(True, depth - 1))


@st.composite
def expressions(draw: Draw, max_depth: int = 3) -> ExpressionSpec:
    """Expressions of a vector x and a number z, without time."""
    leaves: dict[bool, list[Expr]] = {
        True: [("x", 0), ("param", True)],
        False: [("z", 0), ("param", False), ("number", 0.5)],
    }
    vector = draw(st.booleans())
    body = _Grammar(draw, leaves, {True: [], False: []}).expr(vector, draw(st.integers(0, max_depth)))
    return ExpressionSpec(draw(st.integers(1, 3)), vector, body)


# ---------------------------------------------------------------------- systems
@st.composite
def systems(
    draw: Draw, max_vars: int = 4, max_lag: int = 3, max_depth: int = 3, causal: bool = False
) -> SystemSpec:
    """Legal systems over t: recurrences forward and backward, reads across them at any lag,
    fixed and reversed reads, sums and softmax over time, all kinds of boundaries. `causal`
    ones read the past only."""
    total = draw(st.integers(1, max_vars))
    sizes: list[int] = []
    while sum(sizes) < total:
        sizes.append(draw(st.integers(1, total - sum(sizes))))
    kinds = [draw(st.booleans()) for _ in range(total)]
    blocks, first = [], 0
    for n in sizes:
        direction = 1 if causal else draw(st.sampled_from([1, -1]))
        own = range(first, first + n)
        equations = []
        for k in own:
            grammar = _Grammar(draw, *_leaves(draw, kinds, own, k, direction, max_lag, causal))
            equations.append(_equation(draw, grammar, kinds[k], max_depth, k, direction, max_lag))
        blocks.append(BlockSpec(direction, tuple(equations)))
        first += n
    loss = draw(
        st.lists(
            st.tuples(st.sampled_from(["all", "last"]), st.integers(0, total - 1)), min_size=1, max_size=2
        )
    )
    return SystemSpec(draw(st.integers(1, 3)), tuple(blocks), tuple(loss))


def _leaves(
    draw: Draw, kinds: list[bool], own: range, k: int, direction: int, max_lag: int, causal: bool
) -> tuple[dict[bool, list[Expr]], dict[bool, list[Expr]]]:
    """The reads that equation k may make, by shape; those that may stand under a sum over t."""
    leaves: dict[bool, list[Expr]] = {True: [("param", True)], False: [("param", False), ("step",)]}
    over: dict[bool, list[Expr]] = {True: [("x", 0)], False: [("z", 0)]}
    shift = st.integers(0 if causal else -max_lag, max_lag)
    leaves[True] += [("x", 0), ("x", draw(shift))]
    leaves[False] += [("z", 0), ("z", draw(shift))]
    for j in own:  # the block's own: a step or more behind, or earlier in the order
        lag = draw(st.integers(1, max_lag))
        leaves[kinds[j]].append(("read", j, direction * lag))
        if j < k:
            leaves[kinds[j]].append(("read", j, 0))
    for j in range(own.start):
        place = draw(st.sampled_from(["last", "first", "back"]))
        leaves[kinds[j]] += [("read", j, draw(shift)), ("read", j, 0)] + ([] if causal else [(place, j)])
        over[kinds[j]].append(("read", j, 0))
    return leaves, {True: [], False: []} if causal else over


def _equation(
    draw: Draw, grammar: _Grammar, vector: bool, max_depth: int, k: int, direction: int, max_lag: int
) -> EquationSpec:
    body = grammar.expr(vector, draw(st.integers(1, max_depth)))
    if draw(st.booleans()):  # most variables recur
        body = ("add", body, ("read", k, direction * draw(st.integers(1, max_lag))))
    squash = draw(st.sampled_from(["tanh", "sigmoid", "sin"]))
    boundary = draw(st.lists(st.sampled_from(["zero", "number", "param"]), min_size=1, max_size=2))
    return EquationSpec(vector, (squash, body), tuple(boundary))


@st.composite
def illegal_systems(draw: Draw) -> IllegalSpec:
    """Systems that must be refused, and the name of the error."""
    error = draw(
        st.sampled_from(
            ["InstantaneousLoop", "ZeroDelayLoop", "TwoWayTime", "MissingBoundary", "Undefined", "Redefined"]
        )
    )
    n = draw(st.integers(2 if error == "ZeroDelayLoop" else 1, 4))
    ring = [(k, (k + 1) % n) for k in range(n)]
    if error == "InstantaneousLoop":
        lags = [0] * n
    elif error == "ZeroDelayLoop":
        lags = draw(st.lists(st.integers(-3, 3), min_size=n - 1, max_size=n - 1))
        lags[0] = lags[0] or 1
        lags.append(-sum(lags))
        if lags[-1] == 0:
            lags[0], lags[-1] = lags[0] + 1, -1
    else:
        lags = [draw(st.integers(1, 3)) for _ in range(n)]
    reads = [(a, b, lag) for (a, b), lag in zip(ring, lags, strict=True)]
    if error == "TwoWayTime":
        reads += [(b, a, -lag - draw(st.integers(0, 2))) for a, b, lag in reads]
    decoys = draw(st.integers(0, 2))
    reads += [(n + i, draw(st.integers(0, n + i)), draw(st.integers(1, 3))) for i in range(decoys)]
    return IllegalSpec(error, n, tuple(reads), decoys)


# ---------------------------------------------------------------------- data
@st.composite
def inputs(draw: Draw, system: Built, steps: int | None = None) -> Arrays:
    """Arrays for a built system: uniform in the domain of what they feed."""
    length = steps if steps is not None else draw(time_lengths())
    return system.arrays(draw(st.integers(0, 2**16)), length)


@st.composite
def kinky_inputs(draw: Draw, system: Built, steps: int | None = None) -> Arrays:
    """Arrays at kinks and ties: 0, 1, -1 and equal entries, among ordinary ones."""
    length = steps if steps is not None else draw(time_lengths())
    arrays = system.arrays(draw(st.integers(0, 2**16)), length)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    for name, x in arrays.items():
        if x.dtype.kind == "f":
            special = rng.choice([0.0, 1.0, -1.0, 0.5], x.shape)
            arrays[name] = np.where(rng.random(x.shape) < 0.6, special, x)
    return arrays
