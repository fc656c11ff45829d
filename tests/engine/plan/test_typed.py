"""The typed graph is what its operations make, and has the values of the request."""

from __future__ import annotations

import numpy as np
import pytest
from random_systems import model

import unfold as uf
from tests.engine.conftest import arrays_for
from unfold.core.node import Node
from unfold.engine import reference
from unfold.engine.binding import bind
from unfold.engine.plan.arraycalls import ArrayCall, Held
from unfold.engine.plan.typed import Boundary, settled, typed, valid
from unfold.engine.plan.view import NotPlanned
from unfold.engine.planning import PASSES, plan, rewritten
from unfold.engine.run import _joint
from unfold.graph import Graph
from unfold.ops.time.delays import Delay


def agree(graph, arrays):
    bound = bind(graph, arrays)
    request, _ = rewritten(graph, bound, ())
    final, _ = typed(request, bound)
    valid(final)
    want, got = (reference.compile(g)(bound) for g in (graph, final))
    for name, value in want.items():
        axes = graph.outputs[name].axes
        order = [final.outputs[name].axes.index(a) for a in axes]
        found = got[name].transpose(*order, *range(len(axes), got[name].ndim))
        np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-9)
    return final


@pytest.mark.parametrize("seed", range(20))
def test_it_has_the_values_of_the_request(seed):
    m = model(seed)
    arrays = dict(m.arrays) if m.graph.inputs else {**m.arrays, **{a.name: m.steps for a in m.graph.axes}}
    agree(_joint(m.graph, "loss", [*m.graph.params, *m.graph.inputs]), arrays)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "attention", "bidirectional", "grid"])
def test_it_has_the_values_of_a_system_and_its_gradients(name):
    graph = _joint(getattr(uf.systems, name)(), "loss", None)
    final = agree(graph, arrays_for(graph, t=3))
    assert any(isinstance(n.op, ArrayCall) for n in final.order)


def test_a_boundary_of_more_axes_widens_what_it_bounds():
    t, n = uf.axis("t"), uf.axis("n")
    p, x, v = uf.param("p"), uf.input("x", over=t), uf.var("v", over=t)
    v[t] = p
    v[0] = x[t.last]
    graph = uf.graph(y=v[t - 1]).batch("n")
    bound = bind(graph, {"x": np.ones((3, 2)), "p": 1.0})
    request, _ = rewritten(graph, bound, ())
    final, _ = typed(request, bound)
    (delay,) = [u for u in final.order if isinstance(u.op, Delay)]
    assert set(delay.axes) == {t, n}
    assert set(final.definitions.get(delay.inputs[0], delay.inputs[0]).axes) == {t, n}


def test_every_boundary_value_is_a_node():
    t = uf.axis("t")
    x, h, h0 = uf.input("x", over=t), uf.var("h", over=t), uf.param("h0")
    h[0], h[-1] = h0, 0
    h[t] = h[t - 1] * h[t - 2] + x[t]
    graph = uf.graph(y=h[t])
    program = plan(graph, bind(graph, {"x": np.ones(3), "h0": 1.0}))
    found = [u.op for u in program.outline.graph.order if isinstance(u.op, Boundary)]
    assert sorted((op.side, op.number) for op in found) == [(1, 0), (1, 1)]


def test_a_number_of_another_kind_is_converted_not_reinterpreted():
    t = uf.axis("t")
    h, i = uf.var("h", over=t), uf.input("i", over=t, dtype=int)
    h[0] = 1
    h[t] = h[t - 1] / 2 + i[t]
    graph = uf.graph(h=h, total=uf.sum(h[t] * i[t], over=t))
    agree(graph, {"i": np.arange(4)})


def test_what_is_not_what_its_operation_makes_is_refused():
    x = uf.input("x", 3)
    wrong = Node(Held("float"), (x,), (), (2,), "float")
    with pytest.raises(NotPlanned, match="held"):
        valid(Graph({"y": wrong}, {}))


def test_a_settled_graph_is_itself():
    graph = uf.systems.rnn()
    assert settled(graph)[0] is graph
    assert PASSES
