"""What a graph has to show, against the dependences of its unfolded form, leaf by leaf."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import unfold as uf
from unfold.core.key import key_of
from unfold.core.leaves import Input, Symbol
from unfold.core.system import postorder
from unfold.testing import build, systems
from viz.model.variable_level import model, source
from viz.shapes.spots import spot

some = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def one(equation, *, start=0.0):
    t = uf.axis("t")
    h = uf.var("h", over=t)
    h[0] = start
    h[t] = equation(h, t)
    return uf.graph(h=h)


def arrows(graph):
    return {(a.source, a.target, a.at): a for a in model(graph).arrows}


def carried(graph):
    return {(a.source, a.target): a.carries for a in model(graph).arrows}


def needs(graph, steps):
    """Which variable at which step needs which: from the leaves of the unfolded definitions."""
    (axis,) = graph.axes
    whole = graph.unfold(**{axis.name: steps})
    found = set()
    for node in whole.order:
        if isinstance(node.op, Symbol):
            for leaf in postorder([whole.definitions[node]]):
                if isinstance(leaf.op, Symbol | Input):
                    found.add((spot(*flat(leaf)), spot(*flat(node))))
    return found


def flat(leaf):
    key = key_of(leaf)
    return key.label, *key.steps


def told(graph, steps):
    """The same, from the arrows between variables."""
    found = model(graph)
    edges = set()
    for a in found.arrows:
        target = found.variables.get(a.target)
        if target is None:
            continue
        for at in range(1, steps + 1) if target.axes else [None]:
            for i in a.at or ["alone"]:
                if i == "alone":
                    read = [spot(a.source)]
                elif i is None:
                    read = [spot(a.source, s) for s in range(1, steps + 1)]
                else:
                    read = [spot(a.source, i.resolve(at or 0, steps))]
                edges |= {(s, spot(a.target, *([at] if at else []))) for s in read}
    return edges


@some
@given(systems(max_vars=4, max_depth=3), st.integers(2, 5))
def test_arrows_are_what_the_unfolded_equations_read(spec, steps):
    graph = build(spec).graph
    if len(graph.axes) != 1 or any(a.only for a in model(graph).arrows):
        return
    names = {spot(k, s) for k in model(graph).variables for s in range(1, steps + 1)}
    names |= set(model(graph).variables)
    wanted = {e for e in needs(graph, steps) if set(e) <= names}
    symbols = {key_of(n).label for n in graph.order if isinstance(n.op, Symbol)}
    mine = {e for e in told(graph, steps) if set(e) <= names and e[1].partition("@")[0] in symbols}
    assert mine == wanted


def test_a_boundary_value_belongs_to_the_first_step_only():
    z = uf.input("z")
    found = {(a.source, a.target) for a in model(one(lambda h, t: uf.tanh(h[t - 1]), start=z)).arrows}
    assert found == {("z", "h[0]"), ("h", "h")}


def test_a_parameter_stands_at_the_value_that_it_acts_on_first():
    U, V, W = (uf.param(k) for k in "UVW")
    t = uf.axis("t")
    x, h = uf.input("x", over=t), uf.var("h", over=t)
    h[0] = 0.0
    h[t] = V * (W * h[t - 1] + U * x[t])
    assert carried(uf.graph(h=h)) == {("h", "h"): ("W",), ("x", "h"): ("U",)}


def test_parameters_one_after_the_other_are_all_named():
    V, W = uf.param("V"), uf.param("W")
    assert carried(one(lambda h, t: V * uf.tanh(W * h[t - 1])))["h", "h"] == ("W", "V")


def test_a_bias_acts_on_nothing():
    b = uf.param("b")
    assert carried(one(lambda h, t: uf.tanh(h[t - 1] + b)))["h", "h"] == ()


def test_two_lags_are_two_arrows():
    t = uf.axis("t")
    h = uf.var("h", over=t)
    h[0] = h[-1] = 0.0
    h[t] = h[t - 1] + h[t - 2]
    assert set(arrows(uf.graph(h=h))) == {("h", "h", (t - 1,)), ("h", "h", (t - 2,))}


def test_an_unfolded_graph_is_told_from_a_cyclic_one():
    graph = uf.systems.rnn()
    assert source(graph) == (graph, {})
    origin, sizes = source(graph.unfold(t=4))
    assert origin.axes == graph.axes
    assert set(origin.outputs) == set(graph.outputs)
    assert {a.name: n for a, n in sizes.items()} == {"t": 4}
