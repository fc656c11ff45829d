"""Small systems on which a plan once gave other values than the definition, or an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unfold as uf
from tests.engine.test_plan import agree
from unfold.engine.run import _joint
from unfold.graph import Graph


def weights(graph: Any, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {k: rng.standard_normal(v.shape) for k, v in graph.init(seed=0).items()}


def inputs(*shape: int) -> Any:
    return np.random.default_rng(1).standard_normal(shape)


def gate(k: str, n: int, h: Any, x: Any, f: Any) -> Any:
    return f(uf.param("W" + k, n, n) @ h + uf.param("U" + k, n, n) @ x)


def test_the_half_of_a_lone_sigmoid_is_not_lost(t):
    x, h = uf.input("x", 2, over=t), uf.var("h", 2, over=t)
    h[0] = 0
    h[t] = uf.sigmoid(uf.param("W", 2, 2) @ h[t - 1] + uf.param("b", 2)) * x[t]
    graph = uf.graph(h=h[t])
    agree(graph, weights(graph) | {"x": inputs(3, 2)}, 1e-12)


def gated(t: Any, n: int, more: Any = 0) -> Any:
    x, h = uf.input("x", n, over=t), uf.var("h", n, over=t)
    h[0] = 0
    z, i = (gate(k, n, h[t - 1], x[t] + more, uf.sigmoid) for k in "zi")
    h[t] = z * h[t - 1] + i * gate("g", n, h[t - 1], x[t], uf.tanh)
    return h


def test_a_sum_over_time_of_what_holds_its_batch_innermost_keeps_its_examples_apart(t):
    graph = uf.graph(pool=uf.sum(gated(t, 4)[t], over=t)).batch("n")
    agree(graph, weights(graph) | {"x": inputs(5, 3, 4)}, 1e-12)


def test_pieces_of_what_holds_its_batch_innermost_are_summed_over_the_batch(t):
    c = uf.var("c", 4, over=t)
    c[0] = 0
    c[t] = uf.tanh(uf.param("A", 4, 4) @ c[t - 1] + uf.param("b", 4))  # the same for all examples
    h = gated(t, 4, c[t])
    joined = uf.concat([h[t], c[t]])
    graph = uf.graph(loss=uf.sum(uf.sum(uf.sin(joined)), over=t)).batch("n")
    agree(_joint(graph, "loss", None), weights(graph) | {"x": inputs(5, 3, 4)}, 1e-12)


def test_a_value_of_the_step_before_may_be_concatenated_with_itself(t):
    h = uf.var("h", 2, over=t)
    h[0] = 0.5
    h[t] = uf.tanh(uf.param("W", 2, 4) @ uf.concat([h[t - 1], h[t - 1]]))
    graph = uf.graph(h=h[t])
    agree(graph, weights(graph) | {"t": 3}, 1e-12)


@pytest.mark.parametrize("batch", [4, 3])
def test_a_piece_of_what_is_the_same_for_all_examples_is_kept_from_part_to_part(t, batch):
    n, x = 4, uf.input("x", 4, over=t)

    def gru(k: str, back: int) -> Any:
        h = uf.var("h" + k, n, over=t)
        h[0 if back > 0 else t.last + 1] = 0
        z, r = (gate(g + k, n, h[t - back], x[t], uf.sigmoid) for g in "zr")
        h[t] = z * h[t - back] + (1 - z) * gate("g" + k, n, r * h[t - back], x[t], uf.tanh)
        return h[t]

    both = uf.concat([gru("a", 1), gru("b", -1)])
    graph = uf.graph(loss=uf.sum(uf.sum(both) * uf.input("m", over=t)[t], over=t)).batch("n")
    arrays = weights(graph) | {"x": inputs(5, batch, n), "m": inputs(5, batch)}
    agree(_joint(graph, "loss", None), arrays, 1e-12)


def test_a_matrix_that_depends_on_a_product_is_not_stacked_with_its_matrix(t):
    x = uf.input("x", 2, over=t)
    first = uf.param("A", 2, 2) @ x[t]
    second = uf.param("B", 2, 2) * uf.sum(uf.sum(uf.tanh(first)), over=t) @ x[t]
    graph = uf.graph(y=uf.tanh(second))
    agree(graph, weights(graph) | {"x": inputs(3, 2)}, 1e-12)


@pytest.mark.parametrize("which", ["W", "U", "V", "X"])
def test_a_penalty_on_a_gradient_of_gates_has_a_gradient(t, which):
    x, h = uf.input("x", 2, over=t), uf.var("h", 2, over=t)
    W, U, V, X = (uf.param(k, 2, 2) for k in "WUVX")
    h[0] = 0
    h[t] = uf.sigmoid(W @ h[t - 1] + U @ x[t]) * uf.tanh(V @ h[t - 1] + X @ x[t])
    first = uf.graph(loss=uf.sum(uf.sum(h[t]), over=t)).grad("loss")
    penalty = uf.sum(uf.square(first.outputs[which]))
    graph = Graph({"penalty": penalty}, first.definitions, first.spare)
    agree(_joint(graph, "penalty", None), weights(graph) | {"x": inputs(4, 2)}, 1e-10)


def test_a_forward_and_a_backward_cell_on_one_input_stay_two_loops(t):
    x, two = uf.input("x", 2, over=t), uf.param("E", 2, 2)
    e = uf.tanh(two @ x[t])
    h, s, k, c = (uf.var(name, n, over=t) for name, n in (("h", 1), ("s", 1), ("k", 2), ("c", 2)))
    h[0] = s[0] = k[t.last + 1] = c[t.last + 1] = 0

    def forward(j: str) -> Any:
        return uf.param("W" + j, 1, 1) @ h[t - 1] + uf.param("U" + j, 1, 2) @ e

    s[t] = uf.sigmoid(forward("f")) * s[t - 1] + uf.sigmoid(forward("i")) * uf.tanh(forward("g"))
    h[t] = uf.tanh(s[t])
    keep = uf.sigmoid(uf.param("A", 2, 4) @ uf.concat([k[t + 1], e]))
    c[t] = keep * c[t + 1] + uf.tanh(uf.param("B", 2, 2) @ k[t + 1] + uf.param("C", 2, 2) @ e)
    k[t] = uf.tanh(c[t])
    graph = _joint(uf.graph(loss=uf.sum(uf.sum(h[t]) + uf.sum(k[t]), over=t)), "loss", None)
    agree(graph, weights(graph) | {"x": inputs(4, 2)}, 1e-12)
