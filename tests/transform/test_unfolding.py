"""Unfolded graphs: values, names, the table, and sizes from nothing to a hundred thousand."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_systems import model

import unfold as uf
from unfold.analysis.table import build
from unfold.core.errors import OutOfRange, UnknownName
from unfold.core.leaves import Input, Symbol
from unfold.core.system import postorder
from unfold.graph import Graph


def evaluate(graph, **arrays):
    return graph.compile("reference")(**arrays)


def chain(t, lag=1):
    """h[t] = 2 h[t-lag] + x[t], h[0] = a, h[-1] = a + 1, ..."""
    x, a, h = uf.input("x", over=t), uf.param("a"), uf.var("h", over=t)
    for m in range(lag):
        h[-m] = a + m
    h[t] = 2 * h[t - lag] + x[t]
    return uf.graph(last=h[t.last], h=h[t])


# ---------------------------------------------------------------------- values
@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_an_unfolded_system_has_the_values_of_the_cyclic_one(seed):
    drawn = model(seed)
    if drawn.graph.inputs:
        one = evaluate(drawn.graph, **drawn.arrays)
        other = evaluate(drawn.graph.unfold(t=drawn.steps), **drawn.arrays)
        np.testing.assert_allclose(other.loss, one.loss, rtol=1e-12)


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("lag", [1, 2, 3, 5])
def test_sequences_shorter_than_a_lag_read_their_boundary(t, lag, steps):
    x, a = np.arange(1.0, steps + 1), 0.5
    values = {-m: a + m for m in range(lag)}
    for k in range(1, steps + 1):
        values[k] = 2 * values[k - lag] + x[k - 1]
    graph = chain(t, lag)
    for form in (graph, graph.unfold(t=steps)):
        result = evaluate(form, x=x, a=np.float64(a))
        assert result.last == values[steps]
        if steps:
            assert result.h.tolist() == [values[k] for k in range(1, steps + 1)]


def test_an_empty_sequence_unfolds_to_its_boundary(t):
    dag = chain(t).unfold(t=0)
    assert set(dag.outputs) == {"last"}
    assert evaluate(dag, x=np.zeros(0), a=np.float64(7)).last == 7


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_dimensions_of_size_zero_and_one(t, size, steps):
    x, W, h = uf.input("x", "n", over=t), uf.param("W", "n", "n"), uf.var("h", "n", over=t)
    h[0] = 0
    h[t] = uf.tanh(W @ h[t - 1] + x[t])
    graph = uf.graph(loss=uf.sum(uf.sum(h[t]), over=t), last=h[t.last])
    arrays = {"x": np.ones((steps, size)), "W": np.ones((size, size))}
    one, other = evaluate(graph, **arrays), evaluate(graph.unfold(t=steps), **arrays)
    assert one.last.shape == other.last.shape == (size,)
    np.testing.assert_allclose(one.loss, other.loss)
    assert evaluate(graph.grad("loss", ["W", "x"]), **arrays)["x"].shape == (steps, size)


def test_boundaries_before_and_after(t):
    x, h, g = uf.input("x", over=t), uf.var("h", over=t), uf.var("g", over=t)
    h[0], g[t.last + 1] = 10.0, 20.0
    h[t] = h[t - 1] + x[t]
    g[t] = g[t + 1] * 2 + x[t]
    graph = uf.graph(h=h[t], g=g[t], both=h[t - 1] * g[t + 1])
    for form in (graph, graph.unfold(t=3)):
        out = evaluate(form, x=np.array([1.0, 2, 3]))
        assert out.h.tolist() == [11, 13, 16]
        assert out.g.tolist() == [((20 * 2 + 3) * 2 + 2) * 2 + 1, (20 * 2 + 3) * 2 + 2, 20 * 2 + 3]
        assert out.both.tolist() == [10 * out.g[1], 11 * out.g[2], 13 * 20]


def test_reversed_and_fixed_reads(t):
    x = uf.input("x", over=t)
    x[0], x[t.last + 1] = -1.0, -2.0
    reads = {
        "mirror": x[t.last + 1 - t],
        "later": x[t.last - t],
        "sooner": x[t.last + 2 - t],
        "third": x[3],
        "one": x[1],
    }
    graph = uf.graph(**reads, end=x[t.last], before=x[t.last - 1])
    for form in (graph, graph.unfold(t=3)):
        out = evaluate(form, x=np.array([1.0, 2, 3]))
        assert out.mirror.tolist() == [3, 2, 1]
        assert out.later.tolist() == [2, 1, -1]
        assert out.sooner.tolist() == [-2, 3, 2]
        assert (out.third, out.one, out.end, out.before) == (3, 1, 3, 2)


def test_a_fixed_read_of_a_sequence_too_short_is_refused(t):
    graph = uf.graph(y=uf.input("x", over=t)[3])
    with pytest.raises(OutOfRange, match=r"x\[3\].*here T = 2"):
        graph.unfold(t=2)


def test_reads_from_either_end_reach_the_boundary_of_a_short_sequence(t):
    x, h, g = uf.input("x", over=t), uf.var("h", over=t), uf.var("g", over=t)
    h[0], h[-1] = 1.0, 2.0
    h[t] = x[t]
    g[t.last + 1], g[t.last + 2] = 3.0, 4.0
    g[t] = x[t]
    graph = uf.graph(
        a=h[t.last] + h[t.last - 1] * 10, b=g[1] + g[2] * 10, k=uf.sum(h[t - 2] + g[t + 2], over=t)
    )
    for steps, a, b in ((0, 1 + 20, 3 + 40), (1, 7 + 10, 7 + 30), (2, 8 + 70, 7 + 80)):
        for form in (graph, graph.unfold(t=steps)):
            out = evaluate(form, x=np.array([7.0, 8.0])[:steps])
            assert (out.a, out.b) == (a, b)


def test_a_grid_reads_all_its_boundaries():
    i, j = uf.axis("i"), uf.axis("j")
    x, h = uf.input("x", over=(i, j)), uf.var("h", over=(i, j))
    h[0, j], h[i, 0], h[0, 0] = 10.0 * uf.step(j), 100.0 * uf.step(i), 1000.0
    h[i, j] = h[i - 1, j] + h[i, j - 1] + h[i - 1, j - 1] + x[i, j]
    graph = uf.graph(h=h[i, j], corner=h[i.last, j.last], row=h[i.last, j], column=h[i, 1])
    for rows, columns in ((1, 1), (3, 2), (2, 4)):
        X = np.random.default_rng(rows).normal(size=(rows, columns))
        H = np.zeros((rows + 1, columns + 1))
        H[0, :], H[:, 0], H[0, 0] = 10 * np.arange(columns + 1), 100 * np.arange(rows + 1), 1000
        for a in range(1, rows + 1):
            for b in range(1, columns + 1):
                H[a, b] = H[a - 1, b] + H[a, b - 1] + H[a - 1, b - 1] + X[a - 1, b - 1]
        for form in (graph, graph.unfold(i=rows, j=columns), graph.unfold(i=rows).unfold(j=columns)):
            out = evaluate(form, x=X)
            np.testing.assert_allclose(out.h, H[1:, 1:])
            np.testing.assert_allclose(out.row, H[-1, 1:])
            np.testing.assert_allclose(out.column, H[1:, 1])
            assert out.corner == pytest.approx(H[-1, -1])


def test_axes_may_be_unfolded_one_after_the_other():
    i, j = uf.axis("i"), uf.axis("j")
    x, a, s = uf.input("x", 2, over=(i, j)), uf.param("a", 2), uf.var("s", 2, over=(i, j))
    s[0, j], s[i, 0] = a, 1.0
    s[i, j] = uf.tanh(s[i - 1, j] + s[i, j - 1] * x[i, j])
    graph = uf.graph(
        total=uf.sum(uf.sum(s[i, j] * uf.softmax(x[i, j], over=i), over=(i, j))),
        most=uf.max(s[i, j], over=(i, j)),
        log=uf.logsumexp(x[i, j], over=(j, i)),
        end=s[i.last, j],
    )
    arrays = {"x": np.random.default_rng(0).normal(size=(3, 2, 2)), "a": np.array([0.5, -0.5])}
    whole = evaluate(graph, **arrays)
    for first, then in (({"i": 3}, {"j": 2}), ({"j": 2}, {"i": 3}), ({"i": 3, "j": 2}, {})):
        part = graph.unfold(**first)
        assert [x.name for x in part.axes] == sorted({"i", "j"} - set(first))
        for form in (part, part.unfold(**then) if then else part):
            out = evaluate(form, **arrays)
            for name in graph.outputs:
                np.testing.assert_allclose(out[name], whole[name], rtol=1e-12)


def test_a_part_of_what_is_unfolded_in_part_unfolds_alone():
    i, j = uf.axis("i"), uf.axis("j")
    x = uf.input("x", over=(i, j))
    part = uf.graph(y=uf.sum(x[i, j], over=i), z=x[i, j]).unfold(i=2).select("y")
    whole = part.unfold(j=2)
    assert set(whole.outputs) == {"y[1]", "y[2]"}
    assert evaluate(whole, x=np.array([[1.0, 2], [3, 4]])).y.tolist() == [4, 6]


def test_an_axis_of_fixed_size_unfolds_with_the_others():
    k, t = uf.axis("k", size=2), uf.axis("t")
    x, u = uf.input("x", over=t), uf.var("u", over=(t, k))
    u[t, 0] = x[t]
    u[t, k] = u[t, k - 1] * 2 + uf.step(k)
    graph = uf.graph(y=uf.sum(u[t, k.last], over=t))
    assert graph.unfold(t=2).axes == ()
    assert evaluate(graph.unfold(t=2), x=[1.0, 10.0]).y == evaluate(graph, x=[1.0, 10.0]).y == 8 + 44


# ---------------------------------------------------------------------- names
def test_symbols_outputs_and_inputs_carry_their_steps(t):
    dag = chain(t).unfold(t=2)
    assert set(dag.symbols) == {"h[0]", "h[1]", "h[2]"}
    assert list(dag.outputs) == ["last", "h[1]", "h[2]"]
    assert set(dag.inputs) == {"x[1]", "x[2]"}
    assert set(dag.params) == {"a"}
    assert dag.axes == ()
    assert len(dag.outputs) == 3
    assert len(dag.definitions) == 3
    assert all(dag.definitions[s] is not None for s in dag.definitions)


def test_the_same_node_is_made_once(t):
    dag = chain(t).unfold(t=3)
    assert dag.output("h[3]") is dag.output("last") is dag.output("h[3]")
    assert dag.definitions[dag.symbols["h[2]"]] is dag.definitions[dag.symbols["h[2]"]]


def test_unknown_steps_are_unknown_names(t):
    dag = chain(t).unfold(t=3)
    with pytest.raises(UnknownName):
        dag.output("h[4]")
    assert "h[4]" not in dag.outputs


def test_unfolding_what_is_unfolded_changes_nothing(t):
    dag = chain(t).unfold(t=3)
    again = dag.unfold()
    assert list(again.outputs) == list(dag.outputs)
    assert evaluate(again, x=[1.0, 2, 3], a=1.0).last == evaluate(dag, x=[1.0, 2, 3], a=1.0).last


# ---------------------------------------------------------------------- the table
def assert_table_is_the_graph(dag):
    """Row by row, edge by edge: what the arrays say is what the nodes say."""
    table, instances = dag.table, dag.definitions
    template = set(instances.graph.order)

    def made(row):
        node, at = table.locate(row)
        axes = [a for a in node.axes if a in instances.extents]
        return instances.make(node, dict(zip(axes, at, strict=True))) if node in template else None

    def followed(node):
        """Down through symbols, which may or may not have a row."""
        chain = [node]
        while isinstance(chain[-1].op, Symbol):
            chain.append(dag.definitions[chain[-1]])
        return chain

    for row in range(len(table)):
        node = made(row)
        if node is None:
            continue
        reads, parents = dag.inputs_of(node), [made(p) for p in table.inputs(row)]
        assert len(reads) == len(parents)
        for read, parent in zip(reads, parents, strict=True):
            if parent is None:
                assert read.op.name == "zeros"
            else:
                assert set(followed(read)) & set(followed(parent))
    for row in range(len(table)):
        assert all(row in table.users(p) for p in table.inputs(row))
        node, at = table.locate(row)
        if node in template:
            assert table.row(node, at) == row


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 5))
def test_the_table_agrees_with_the_nodes_edge_by_edge(seed, steps):
    drawn = model(seed)
    for graph in (drawn.graph, drawn.graph.grad("loss")):
        if graph.axes:
            try:
                dag = graph.unfold(t=steps)
            except OutOfRange:
                continue
            assert_table_is_the_graph(dag)
            order = dag.table.order.tolist()
            place = {row: k for k, row in enumerate(order)}
            assert len(order) == len(dag.table)
            assert all(place[p] < place[row] for row in order for p in dag.table.inputs(row))


def test_the_table_of_a_grid_agrees_with_its_nodes():
    i, j = uf.axis("i"), uf.axis("j")
    x, h = uf.input("x", over=(i, j)), uf.var("h", over=(i, j))
    h[0, j], h[i, 0], h[0, 0] = 0.0, uf.step(i) * 1.0, 1.0
    h[i, j] = uf.tanh(h[i - 1, j - 1] + x[i, j]) * uf.softmax(x[i, j], over=j)
    graph = uf.graph(loss=uf.sum(h[i, j], over=(i, j)))
    assert_table_is_the_graph(graph.unfold(i=3, j=2))
    assert_table_is_the_graph(graph.grad("loss", "x").unfold(i=2, j=3))


def test_a_graph_made_of_nodes_has_the_same_number_of_rows_as_its_table(t):
    dag = chain(t).unfold(t=5)
    nodes = Graph({n: dag.outputs[n] for n in dag.outputs}, dict(dag.definitions))
    assert len(build(nodes, {})) == len(dag.table)


# ---------------------------------------------------------------------- many steps
def test_a_hundred_thousand_steps_unfold_without_recursion(t):
    steps = 100_000
    x, W, U, b = uf.input("x", 3, over=t), uf.param("W", 4, 4), uf.param("U", 4, 3), uf.param("b", 4)
    h = uf.var("h", 4, over=t)
    h[0] = 0
    h[t] = uf.tanh(W @ h[t - 1] + U @ x[t] + b)
    graph = uf.graph(loss=uf.sum(uf.sum(h[t] * h[t]), over=t))
    limit = sys.getrecursionlimit()
    dag = graph.unfold(t=steps)
    table = dag.table
    assert len(table) > 7 * steps
    assert table.nbytes < 20 * len(table)
    last = table.row(graph.symbols["h[t]"], (steps,))
    assert table.locate(last)[1] == (steps,)
    assert len(table.order) == len(table)
    assert sys.getrecursionlimit() == limit


def test_one_node_of_many_steps_is_made_without_the_others(t):
    graph = chain(t)
    dag = graph.unfold(t=100_000)
    node = dag.output("h[99999]")
    assert str(node.op if isinstance(node.op, Symbol) else node).startswith("h[99999]")
    body = dag.definitions[node]
    assert {str(u.op) for u in postorder([body]) if isinstance(u.op, Symbol | Input)} == {
        "h[99998]",
        "x[99999]",
    }


def test_nodes_of_a_long_chain_are_walked_without_recursion(t):
    steps = 5_000
    dag = chain(t).select("last").unfold(t=steps)
    assert len([n for n in dag.order if isinstance(n.op, Symbol)]) == steps + 1
    assert len(dag.grad("last", "a").order) > 0
