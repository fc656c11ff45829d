"""Queries on cyclic and unfolded graphs, against exact examples, brute force and networkx."""

import itertools
import math

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_systems import lag_system, model

import unfold as uf
from unfold import systems
from unfold.analysis.arrows import arrows, cycles
from unfold.analysis.causality import furthest, lookahead, state
from unfold.analysis.separation import separates
from unfold.analysis.views import at_row, view
from unfold.core.errors import DefinitionError, UnfoldError, UnknownName
from unfold.core.leaves import Input, Param


@pytest.fixture
def rnn():
    return systems.rnn()


@pytest.fixture
def dag(rnn):
    return rnn.unfold(t=4)


# ---------------------------------------------------------------------- views
def test_a_node_says_what_it_is(dag):
    h = dag["h", 3]
    assert (h.name, h.op, h.shape, h.dtype, h.axes) == ("h[3]", "tanh", ("hidden",), "float", ())
    assert h.equation == "h[3] = tanh(b + W @ h[2] + U @ x[3])"
    assert repr(h).startswith("h[3] = tanh(b + W @ h[2] + U @ x[3])   (hidden,)  recurrent.py:")
    assert h.inputs == ("add[3]",)
    assert h.parents().names == ["add[3]"]
    assert sorted(h.children().names) == ["contract[3]", "contract[4]"]


def test_nodes_are_found_by_every_kind_of_key(rnn, dag, t):
    assert rnn["h"].equation == "h[t] = tanh(b + W @ h[t-1] + U @ x[t])"
    assert rnn["h", 0].equation == rnn["h[0]"].equation == "h[0] = 0"
    assert rnn["x"].name == rnn["x", t].name == "x[t]"
    assert rnn["loss"].equation == "loss = sum(L[t], over=t)"
    assert dag["h", 4].row == dag["h[4]"].row == dag["h", t.last].row == dag[dag["h", 4]].row
    assert dag[dag["h", 4].node].row == dag["h", 4].row
    assert dag["h", 0].equation == "h[0] = 0"
    assert dag["W"].name == "W"
    assert dag["loss"].name == "loss"
    assert dag[dag.outputs["o[2]"]].name == "o[2]"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("h", r'no node h: h stands for h\[t\], h\[0\]; it is over t = 1..4; say \("h", 1\)'),
        (("h", 5), r"no node h\[5\]: .* it is over t = 1..4"),
        (("h", 1, 2), r"no node h\[1, 2\]"),
        ("lose", "no node lose; did you mean loss"),
        ("qqqqqq", "no node qqqqqq; this graph has"),
    ],
)
def test_an_unknown_node_is_said_to_be_and_near_ones_are_named(dag, key, message):
    with pytest.raises(UnknownName, match=message):
        dag[key]


def test_a_step_of_a_cyclic_graph_needs_unfolding(rnn):
    with pytest.raises(UnknownName, match="unfold the graph first"):
        rnn["h", 3]


def test_a_variable_that_only_renames_is_a_node(t):
    x, g = uf.input("x", over=t), uf.var("g", over=t)
    x[0] = 0
    g[t] = x[t - 1]
    dag = uf.graph(g=g[t]).unfold(t=3)
    assert (dag["g", 2].op, dag["g", 2].equation, dag["g", 2].inputs) == ("copy", "g[2] = x[1]", ("x[1]",))


def test_every_row_has_a_view_in_both_forms(rnn):
    for graph in (
        rnn,
        rnn.unfold(t=3),
        rnn.grad("loss"),
        rnn.grad("loss").unfold(t=3),
        rnn.unfold(t=3).grad("loss"),
    ):
        for v in graph.nodes:
            assert repr(v)
            assert all(v.row in p.children().rows for p in v.parents())
        assert len(graph.nodes) == len(graph.table)
    assert repr(rnn.nodes[:2]).startswith("2 nodes\n")
    assert "h" in rnn.nodes
    assert "nothing" not in rnn.nodes


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_views_of_random_systems_read_what_their_equations_say(seed):
    graph = model(seed, 3).graph
    for g in (graph, graph.unfold(t=3) if graph.axes else graph):
        for row in range(len(g.table)):
            v = at_row(g, row)
            assert view(g, v.node).row == row or v.node.op.leaf or v.op == "copy" or v.node.op.structural


# ---------------------------------------------------------------------- reach, depth, paths
def as_digraph(graph):
    result = networkx.DiGraph()
    result.add_nodes_from(range(len(graph.table)))
    result.add_edges_from((u, row) for row in range(len(graph.table)) for u in graph.table.inputs(row))
    return result


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_reach_and_depth_agree_with_networkx(seed, which):
    graph = model(seed, 3).graph
    dag = graph.unfold(t=3) if graph.axes else graph
    other = as_digraph(dag)
    row = which % len(dag.table)
    assert set(dag.ancestors(at_row(dag, row)).rows) == networkx.ancestors(other, row)
    assert set(dag.descendants(at_row(dag, row)).rows) == networkx.descendants(other, row)
    longest = {}
    for r in networkx.topological_sort(other):
        work = 0 if dag.table.locate(r)[0].op.leaf else 1
        longest[r] = work + max((longest[u] for u in other.predecessors(r)), default=0)
    assert dag.depth() == max(longest.values())


def test_depth_counts_operations_of_a_step_or_of_all(rnn):
    assert rnn.depth() == 8  # U @ x, two sums, tanh, V @ h, a sum, the loss of a step, their sum
    assert [rnn.unfold(t=n).depth() for n in (1, 2, 3)] == [
        9,
        13,
        17,
    ]  # and the zeros of h[0]


def test_long_graphs_are_queried_without_recursion(rnn):
    dag = rnn.unfold(t=20_000)
    assert dag["h", 19_999].inputs == ("add[19999]",)
    assert len(dag.ancestors(("h", 20_000))) > 100_000
    assert dag.depth() == 4 * 20_000 + 5
    assert separates(dag, ("h", 10_000), ("x", 1), ("h", 20_000))


def test_paths_are_named_and_limited(rnn, dag):
    assert dag.paths(("x", 2), ("h", 2)) == [("x[2]", "contract[2]", "add[2]", "h[2]")]
    assert rnn.paths("h", "h") == [("h[t]", "delay", "contract", "add", "add", "h[t]")]
    assert dag.paths(("h", 3), ("h", 1)) == []
    assert len(dag.paths("W", "loss", limit=3)) == 3


def test_networkx_gets_names_lags_and_argument_numbers(rnn):
    graph = rnn.to_networkx()
    assert graph.nodes["h[t]"] == {"op": "tanh", "shape": ("hidden",), "dtype": "float", "axes": ("t",)}
    assert [d["lag"] for _, _, d in graph.out_edges("h[t]", data=True) if "lag" in d] == [1]
    assert networkx.is_directed_acyclic_graph(rnn.unfold(t=3).to_networkx())


def test_without_networkx_it_says_so(rnn, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    with pytest.raises(UnfoldError, match="pip install networkx"):
        rnn.to_networkx()


# ---------------------------------------------------------------------- arrows and cycles
def told(graph):
    found = set()
    for a in arrows(graph):
        lags = tuple(a.lags.values())
        found.add((*a.names, lags, a.via, a.kind))
    return found


def test_arrows_of_the_vanilla_network(rnn):
    assert told(rnn) == {
        ("x", "h", (0,), ("U",), "now"),
        ("h", "h", (1,), ("W",), "delay"),
        ("h", "h", (), ("W",), "boundary"),
        ("b", "h", (), (), "now"),
        ("h", "o", (0,), ("V",), "now"),
        ("c", "o", (), (), "now"),
        ("o", "L", (0,), (), "now"),
        ("y", "L", (0,), (), "now"),
        ("L", "loss", (None,), (), "reduce"),
    }


def test_arrows_carry_every_parameter_on_the_way_in_order(t):
    x, g = uf.input("x", "n", over=t), uf.var("g", over=t)
    A, B, v, s = uf.param("A", "n", "n"), uf.param("B", "n", "n"), uf.param("v", "n"), uf.param("s")
    g[t] = s * (v @ uf.tanh(A @ (B.T @ x[t]))) + s
    assert told(uf.graph(g=g[t])) == {
        ("x", "g", (0,), ("B", "A", "v", "s"), "now"),
        ("s", "g", (), (), "now"),
    }


def test_parallel_arrows_by_different_parameters_are_kept(t):
    x, g = uf.input("x", over=t), uf.var("g", over=t)
    a, b = uf.param("a"), uf.param("b")
    x[0] = 0
    g[t] = a * x[t] + b * x[t] + b * x[t - 1]
    found = {
        (lags, via) for s, _, lags, via, kind in told(uf.graph(g=g[t])) if s == "x" and kind != "boundary"
    }
    assert found == {((0,), ("a",)), ((0,), ("b",)), ((1,), ("b",))}


def test_arrows_say_how_attention_reads_its_encoder():
    found = told(systems.attention())
    assert ("h", "ctx", (None,), (), "reduce") in found
    assert ("a", "ctx", (0, None), (), "reduce") in found
    assert ("h", "e", (0,), ("B", "v"), "now") in found
    assert ("d", "e", (1,), ("A", "v"), "delay") in found
    assert ("h", "d", (None,), ("Q",), "read") in found
    assert ("z", "d", (1,), ("E",), "delay") in found


def test_a_reversed_read_is_told(t):
    x, g = uf.input("x", over=t), uf.var("g", over=t)
    g[t] = x[t.last + 1 - t] * x[2]
    kinds = {a.kind for a in arrows(uf.graph(g=g[t]))}
    assert kinds == {"reverse", "read"}


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_arrows_are_all_and_only_the_names_an_equation_mentions(seed):
    graph = model(seed, 3).graph
    drawn = {(a.source, a.target) for a in arrows(graph) if not a.output}
    carried = {(p, a.target) for a in arrows(graph) for p in a.via}
    for symbol in graph.symbols.values():
        leaves, waiting = set(), [graph.definitions[symbol]]
        while waiting:
            n = waiting.pop()
            waiting += n.inputs
            leaves |= {n} if isinstance(n.op, Input) or n in graph.definitions else set()
            if isinstance(n.op, Param):
                assert (n, symbol) in drawn or (n.op.label, symbol) in carried
        mine = {s for s, target in drawn if target is symbol and not isinstance(s.op, Param)}
        assert mine == leaves or mine == {graph.names.get(u, u) for u in leaves}


def test_cycles_tell_parallel_lags_apart():
    assert [str(c) for c in cycles(systems.gru())] == [
        "h -> h, lag 1",
        "h -> z -> h, lag 1",
        "h -> g -> h, lag 1",
        "h -> r -> g -> h, lag 1",
    ]
    assert [c.lags for c in systems.grid().cycles()] == [{"i": 1, "j": 0}, {"i": 0, "j": 1}]
    assert [c.lags for c in systems.bidirectional().cycles()] == [{"t": 1}, {"t": -1}]
    assert cycles(systems.feed_forward()) == []


@settings(max_examples=40)
@given(st.randoms(use_true_random=False))
def test_cycles_are_those_of_brute_force(rng):
    system = lag_system(rng)
    try:
        graph = system.graph()
    except DefinitionError:
        return
    want = set()
    for length in range(1, system.variables + 1):
        for loop in itertools.permutations(range(system.variables), length):
            if loop[0] != min(loop):
                continue
            steps = [(loop[(k + 1) % length], loop[k]) for k in range(length)]
            choices = [[lag for r, s, (lag,) in system.reads if (r, s) == step] for step in steps]
            want |= {(frozenset(f"v{k}" for k in loop), sum(c)) for c in itertools.product(*choices)}
    have = {(frozenset(c.names), c.lags["t" if "t" in c.lags else "i"]) for c in cycles(graph)}
    assert have == want


# ---------------------------------------------------------------------- state
@pytest.mark.parametrize(
    ("name", "axis", "want"),
    [
        ("rnn", "t", {"h[t]"}),
        ("gru", "t", {"h[t]"}),
        ("lstm", "t", {"c[t]", "h[t]"}),
        ("stacked", "t", {"h1[t]", "h2[t]"}),
        ("bidirectional", "t", {"f[t]"}),
        ("rnn_output", "t", {"o[t]"}),
        ("rnn_teacher_forcing", "t", {"y[t]"}),
        ("attention", "j", {"d[j]", "z[j]"}),
        ("attention", "i", {"h[i]"}),
        ("grid", "i", {"h[i, j]"}),
    ],
)
def test_the_state_is_what_the_textbook_says(name, axis, want):
    assert set(state(systems.all()[name](), axis)) == want


def test_the_state_of_a_backward_loop_comes_from_the_future():
    assert state(systems.bidirectional(), "t", backward=True) == ("g[t]",)


def test_a_lag_of_two_carries_two_steps(t):
    s, x = uf.var("s", over=t), uf.input("x", over=t)
    s[0], s[-1], x[0] = 0, 0, 0
    s[t] = uf.tanh(s[t - 2] + x[t - 1])
    assert state(uf.graph(s=s[t])) == ("s[t]", "x[t]", "s[t-1]")


def test_what_is_computed_from_the_state_need_not_be_carried(t):
    x = uf.input("x", over=t)
    h, o, p = (uf.var(n, over=t) for n in "hop")
    h[0] = o[0] = p[0] = 0
    h[t] = uf.tanh(h[t - 1] + o[t - 1] + p[t - 1] + x[t])
    o[t] = 2 * h[t]
    p[t] = 3 * h[t]
    assert state(uf.graph(h=h[t])) == ("h[t]",)


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_state_is_a_minimal_cut(rng):
    """Against networkx: no smaller set of past nodes separates."""
    system = lag_system(rng)
    try:
        graph = system.graph()
    except DefinitionError:
        return
    steps = [(s, r, lag) for r, s, (lag,) in system.reads]
    reach = max(abs(lag) for _, _, lag in steps)
    window = range(-reach * (system.variables + 1), 1)
    flow = networkx.DiGraph()
    flow.add_nodes_from(["past", "future"])
    for v in range(system.variables):
        for i in window:
            flow.add_edge((v, i, 0), (v, i, 1), capacity=1)
    for s, r, lag in steps:
        for i in window:
            if i + lag > 0:
                flow.add_edge((s, i, 1), "future")
            elif i + lag in window:
                flow.add_edge((s, i, 1), (r, i + lag, 0))
            if i - lag < window[0]:
                flow.add_edge("past", (r, i, 0))
    assert len(state(graph, "i")) == networkx.minimum_cut_value(flow, "past", "future")


def test_an_unfolded_graph_has_no_axis_to_cut(dag):
    with pytest.raises(UnfoldError, match="an unfolded graph has none: ask the cyclic one"):
        dag.state()


# ---------------------------------------------------------------------- separation
def test_the_state_separates_past_from_future(dag):
    assert separates(dag, ("h", 2), [("x", 1), ("x", 2), ("h", 1)], [("h", 3), ("x", 4), "loss"][:2])
    broken = dag.separates(("o", 2), ("x", 1), ("h", 3))
    assert not broken
    assert broken.path == ("x[1]", "h[1]", "h[2]", "h[3]")
    assert str(broken) == "not separated: x[1] - h[1] - h[2] - h[3]"


def test_the_lstm_needs_both_its_states():
    dag = systems.lstm().unfold(t=4)
    assert separates(dag, [("h", 2), ("c", 2)], ("x", 1), ("h", 3))
    assert "c[2]" in separates(dag, ("h", 2), ("x", 1), ("h", 3)).path


def test_shared_parameters_connect_nothing(dag):
    assert separates(dag, [], ("x", 1), ("x", 2))


def test_a_common_effect_connects_its_causes_once_it_is_known(dag):
    assert separates(dag, [], ("x", 1), ("y", 1))
    assert not separates(dag, "loss", ("x", 1), ("y", 1))


def test_separation_is_about_steps(rnn):
    with pytest.raises(UnfoldError, match=r"unfold the graph first, .unfold\(t=...\)"):
        rnn.separates("h", "x", "o")


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.data())
def test_separation_agrees_with_networkx(seed, data):
    graph = model(seed, 3).graph
    dag = graph.unfold(t=3) if graph.axes else graph
    fixed = {r for r in range(len(dag.table)) if isinstance(dag.table.locate(r)[0].op, Param)}
    fixed |= {
        r
        for r in range(len(dag.table))
        if dag.table.locate(r)[0].op.leaf and dag.table.locate(r)[0].op.name not in ("input", "symbol")
    }
    rows = [r for r in range(len(dag.table)) if r not in fixed]
    if len(rows) < 3:
        return
    a, b = data.draw(st.permutations(rows))[:2]
    cut = set(data.draw(st.lists(st.sampled_from(rows), max_size=3))) - {a, b}
    check = getattr(networkx, "is_d_separator", None) or networkx.d_separated
    want = check(as_digraph(dag), {a}, {b}, cut | fixed)
    have = separates(dag, [at_row(dag, r) for r in sorted(cut)], at_row(dag, a), at_row(dag, b))
    assert bool(have) == want
    assert bool(have.path) != want


# ---------------------------------------------------------------------- streaming
def test_lookahead_is_how_far_an_output_reads_ahead(t):
    x = uf.input("x", over=t)
    y, w = uf.var("y", over=t), uf.var("w", over=t)
    x[t.last + 1] = x[t.last + 2] = y[t.last + 1] = 0
    y[t] = x[t + 2] * x[t]
    w[t] = y[t + 1]
    graph = uf.graph(y=y[t], w=w[t], z=x[t] * 2)
    assert lookahead(graph) == {"y": 2, "w": 3, "z": 0}


def test_a_backward_loop_needs_the_whole_sequence():
    assert systems.bidirectional().lookahead() == {"o": math.inf}
    assert systems.lstm().lookahead() == {"o": 0}


def test_what_a_growing_cycle_feeds_needs_all_steps_and_what_it_does_not_feed_is_counted():
    a, b, c, d = (uf.param(name) for name in "abcd")
    start = dict.fromkeys((a, b, c, d), 0.0)
    need = furthest([(b, c, 0), (a, b, 1), (b, a, 0), (d, d, -1)], start)
    assert need == {a: math.inf, b: math.inf, c: math.inf, d: 0}
    assert furthest([(a, b, -2), (b, c, 3)], start | {b: -math.inf, c: -math.inf})[c] == 1
    assert furthest([(a, b, -2), (b, c, 3)], start, least=0)[c] == 3


@pytest.mark.parametrize("turned", [False, True])
def test_loops_among_many_variables_are_found_without_walking_every_path(turned):
    """From `start` lead 2**40 ways down a ladder, from whose end one comes back to `start` only through
    `gate`, where all of them began."""
    t = uf.axis("t")
    x, start, gate = uf.input("x", over=t), uf.var("start", over=t), uf.var("gate", over=t)
    rungs = [(uf.var(f"a{k}", over=t), uf.var(f"b{k}", over=t)) for k in range(40)]
    start[0] = gate[0] = 0
    for k, (a, b) in enumerate(rungs):
        below = rungs[k - 1] if k else (gate, gate)
        a[0] = b[0] = 0
        a[t] = below[0][t - 1] + below[1][t - 1]
        b[t] = below[0][t - 1] - below[1][t - 1]
    start[t] = x[t] + gate[t - 1]
    gate[t] = start[t - 1] + rungs[-1][0][t - 1]
    outputs = {"gate": gate[t], "start": start[t]}
    found = uf.graph(**dict(reversed(outputs.items())) if turned else outputs).cycles()
    assert len(found) == 64
    assert all(len(set(c.names)) == len(c.names) for c in found)
    assert "start -> gate -> start, lag 2" in map(str, found) or "gate -> start -> gate, lag 2" in map(
        str, found
    )
