"""Printed expressions and graphs. The strongest oracle: what is printed is a program, and
running it gives the values of the graph that was printed."""

import ast
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_systems import model

import unfold as uf
from unfold import systems
from unfold.core.node import FUNCTIONS, OPERATIONS
from unfold.language.variables import Var
from unfold.notation.listing import Listing
from unfold.notation.text import expression, short


@pytest.fixture
def vanilla(t):
    x = uf.input("x", "input", over=t)
    y = uf.input("y", over=t, dtype=int)
    U = uf.param("U", "hidden", "input")
    W = uf.param("W", "hidden", "hidden")
    V = uf.param("V", "classes", "hidden")
    b = uf.param("b", "hidden")
    c = uf.param("c", "classes")
    h, o, L = uf.var("h", "hidden", over=t), uf.var("o", "classes", over=t), uf.var("L", over=t)
    h[0] = 0
    h[t] = uf.tanh(b + W @ h[t - 1] + U @ x[t])
    o[t] = c + V @ h[t]
    L[t] = uf.cross_entropy(o[t], y[t])
    return uf.graph(loss=uf.sum(L[t], over=t), o=o)


# ---------------------------------------------------------------------- whole graphs
def test_the_vanilla_network_prints_as_it_was_written(vanilla):
    assert str(vanilla) == (
        "inputs:  x[t] (input), y[t] () int\n"
        "params:  U (hidden, input), W (hidden, hidden), V (classes, hidden), b (hidden), c (classes)\n"
        "outputs: loss (), o[t] (classes)\n"
        "\n"
        "h[0] = 0\n"
        "h[t] = tanh(b + W @ h[t-1] + U @ x[t])\n"
        "o[t] = c + V @ h[t]\n"
        "L[t] = cross_entropy(o[t], y[t])\n"
        "loss = sum(L[t], over=t)\n"
        "\n"
        "loops: h -> h, lag 1"
    )


def test_its_gradient_reads_like_the_textbook(vanilla):
    text = str(vanilla.grad("loss"))
    system, adjoints = text.split("\n\n")[1:3]
    assert system.startswith("h[0] = 0\nh[t] = tanh(")
    assert adjoints == (
        "do[t] = softmax(o[t]) - one_hot(y[t], classes)\n"
        "dh[t.last + 1] = 0\n"
        "dh[t] = W.T @ (dh[t+1] * (1 - h[t+1]**2)) + V.T @ do[t]\n"
        "dc = sum(do[t], over=t)\n"
        "dV = sum(outer(do[t], h[t]), over=t)\n"
        "db = sum(dh[t] * (1 - h[t]**2), over=t)\n"
        "dW = sum(outer(dh[t] * (1 - h[t]**2), h[t-1]), over=t)\n"
        "dU = sum(outer(dh[t] * (1 - h[t]**2), x[t]), over=t)"
    )
    assert text.endswith("loops: h -> h, lag 1\n       dh -> dh, lag -1")


def test_tangents_stand_apart_and_start_at_zero(vanilla):
    text = str(vanilla.jvp("loss", "W"))
    assert "\n\nh_dot[0] = 0\nh_dot[t] = (W_dot @ h[t-1] + W @ h_dot[t-1]) * (1 - h[t]**2)\n" in text


def test_the_unfolded_network_has_an_equation_a_step(vanilla):
    text = str(vanilla.unfold(t=3))
    assert "inputs:  x[1], ..., x[3] (input), y[1], ..., y[3] () int\n" in text
    assert "h[0] = 0\nh[1] = tanh(b + W @ h[0] + U @ x[1])\nh[2] = tanh(b + W @ h[1] + U @ x[2])\n" in text
    assert text.endswith("loss = L[1] + L[2] + L[3]")


def test_long_unfolded_graphs_show_the_first_steps_and_the_last(vanilla):
    for steps in (40, 100_000):
        lines = str(vanilla.unfold(t=steps)).splitlines()
        at = lines.index("h[3] = tanh(b + W @ h[2] + U @ x[3])")
        assert lines[at + 1 : at + 3] == [
            "...",
            f"h[{steps}] = tanh(b + W @ h[{steps - 1}] + U @ x[{steps}])",
        ]
        assert len(lines) < 30


def test_both_ways_to_an_unfolded_gradient_print_the_same_parts(vanilla):
    one, other = vanilla.grad("loss").unfold(t=3), vanilla.unfold(t=3).grad("loss")
    for text in (str(one), str(other)):
        assert "dh[3] = V.T @ do[3]\n" in text
        assert "dW = outer(dh[1] * (1 - h[1]**2), h[0]) + outer(dh[2] * (1 - h[2]**2), h[1])" in text


def test_a_gradient_whose_parameter_nothing_reads_is_still_called_its_gradient():
    x, w = uf.input("x", "n"), uf.param("w", "n")
    assert str(uf.graph(loss=uf.sum(w * x)).grad("loss")).endswith("\n\ndw = x")


def test_a_large_shared_expression_gets_a_name_and_small_ones_do_not():
    text = str(systems.attention().grad("loss"))
    assert "a1[j, i] = de[j, i] * v * (1 - tanh(A @ d[j-1] + B @ h[i])**2)" in text
    assert text.count("tanh(A @ d[j-1] + B @ h[i])") <= 3
    assert "a1" not in str(systems.lstm().grad("loss"))


def test_an_expression_shared_a_thousandfold_does_not_explode(t):
    x = uf.input("x", over=t)
    s = uf.var("s", over=t)
    e = x[t]
    for _ in range(60):
        e = uf.tanh(e * x[t] + e)
    s[t] = e
    text = str(uf.graph(s=s[t]))
    assert len(text) < 10_000


def test_boundaries_of_two_axes_stand_before_the_grid():
    body = str(systems.grid()).split("\n\n")[1]
    assert body.startswith("h[i, 0] = 0\nh[0, j] = 0\nh[i, j] = tanh(Wr @ h[i-1, j] + Wc @ h[i, j-1] +")


def test_a_fixed_contribution_says_at_which_step():
    assert "+ where(i == i.last, dC, 0)" in str(systems.encoder_decoder().grad("loss"))


def test_two_variables_with_one_definition_are_told_apart(t):
    x = uf.input("x", over=t)
    a, b = uf.var("a", over=t), uf.var("b", over=t)
    body = uf.tanh(x[t])
    a[t], b[t] = body, body
    text = str(uf.graph(a=a[t], b=b[t]))
    assert ("a[t] = tanh(x[t])\nb[t] = a[t]" in text) or ("a[t] = b[t]\nb[t] = tanh(x[t])" in text)


def test_a_batch_shows_its_axis(vanilla):
    text = str(vanilla.batch("n"))
    assert "h[t, n] = tanh(b + W @ h[t-1, n] + U @ x[t, n])" in text
    assert "loss = mean(sum(L[t, n], over=t), over=n)" in text


@pytest.mark.parametrize("name", systems.all())
def test_every_system_and_its_gradient_print(name):
    graph = systems.all()[name]()
    for g in (
        graph,
        graph.grad("loss"),
        graph.batch("n"),
        graph.unfold(**{a.name: a.size or 2 for a in graph.axes}),
    ):
        text = str(g)
        assert "loss" in text or g is not graph
        assert all(len(line) < 200 for line in text.splitlines())


# ---------------------------------------------------------------------- the printed is a program
COMPARISONS = {
    ast.Eq: "equal",
    ast.LtE: "less_equal",
    ast.Lt: "less",
    ast.GtE: "greater_equal",
    ast.Gt: "greater",
}


def as_step(node):
    return ast.Call(ast.Name("step", ast.Load()), [node], [])


class Numbers(ast.NodeTransformer):
    """`t` and `t.last` outside brackets are numbers; comparisons make nodes."""

    def __init__(self, axes):
        self.axes = {a.name for a in axes}

    def visit_Compare(self, node):
        args = [self.visit(node.left), self.visit(node.comparators[0])]
        return ast.Call(ast.Name(COMPARISONS[type(node.ops[0])], ast.Load()), args, [])

    def visit_Subscript(self, node):
        return ast.Subscript(self.visit(node.value), node.slice, node.ctx)

    def visit_keyword(self, node):
        return node

    def visit_Attribute(self, node):
        return (
            ast.Call(ast.Name("step", ast.Load()), [node], [])
            if node.attr == "last"
            else self.generic_visit(node)
        )

    def visit_Name(self, node):
        return as_step(node) if node.id in self.axes else node


STEPS = 3


def reference(graph, arrays):
    timed = any(x.axes for x in graph.inputs.values()) or not graph.axes
    known = {u.op.label for u in [*graph.inputs.values(), *graph.params.values()]}
    arrays = {name: a for name, a in arrays.items() if name in known}
    return graph.compile("reference")(**arrays, **({} if timed else {"t": STEPS}))


def run(graph, arrays):
    """The outputs of the equations that `print(graph)` shows, run as Python."""
    listing = Listing(graph)
    space = dict(FUNCTIONS) | {a.name: a for a in graph.axes}
    space |= {d: d for n in graph.order for d in n.shape if isinstance(d, str)}
    space |= {p.op.label: uf.param(p.op.label, *p.shape) for p in graph.params.values()}
    for x in graph.inputs.values():
        space[x.op.label] = uf.input(x.op.label, *x.shape, over=x.axes)
    for s in [*graph.symbols.values(), *listing.invented.values()]:
        axes = s.axes or [i.axis for i in s.op.index]
        space.setdefault(s.op.label, uf.var(s.op.label, *s.shape, over=axes))
    text = str(graph).partition("\n\n")[2].partition("\n\nloops:")[0]
    lines = [line for line in re.sub(r"\n +", " ", text).splitlines() if line]
    for line in lines:
        tree = ast.fix_missing_locations(Numbers(graph.axes).visit(ast.parse(line)))
        exec(compile(tree, "printed", "exec"), space)
    for v in space.values():
        if isinstance(v, Var) and v.axes:  # times an adjoint that is zero there
            (t,) = v.axes
            for k in range(5):
                for place in (-k, t.last + 1 + k):
                    if v._pattern(place) not in v.symbols:
                        v[place] = 0
    outputs = {name: space.get(f"d{name}", space.get(name)) for name in graph.outputs}
    return reference(uf.graph(**outputs), arrays)


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_printed_equations_run_and_give_the_same_values(seed):
    m = model(seed, STEPS)
    want, have = reference(m.graph, m.arrays), run(m.graph, m.arrays)
    np.testing.assert_allclose(have.loss, want.loss, rtol=1e-4)


@settings(max_examples=30, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.integers(0, 10**6))
def test_printed_gradients_run_and_give_the_same_values(seed):
    m = model(seed, STEPS)
    graph = m.graph.grad("loss")
    ends = [s for s in graph.symbols.values() if s.op.role and not s.axes]
    assume(
        graph.outputs and not ends
    )  # the adjoint of a boundary shares its name with the zero beyond the end
    want, have = reference(graph, m.arrays), run(graph, m.arrays)
    for name in graph.outputs:
        np.testing.assert_allclose(have[name], want[name], rtol=1e-3, atol=1e-5, err_msg=name)


# ---------------------------------------------------------------------- expressions
def names():
    n = "n"
    return {
        **{k: uf.param(k, n) for k in "abc"},
        **{k: uf.param(k, n, n) for k in "ABC"},
        **FUNCTIONS,
    }


TEXTS = [
    "a + b + c",
    "a - b - c",
    "a - (b + c)",
    "a - b + c",
    "a * b * c",
    "a / (b * c)",
    "a * b / c",
    "a / b / c",
    "-a * b",
    "-(a + b)",
    "a * (-b)",
    "a - (-b)",
    "(a + b) * c",
    "a * (b + c)",
    "A @ a",
    "A @ B @ a",
    "A @ (B @ a)",
    "A @ (a * b)",
    "(A @ a) * b",
    "A.T @ a",
    "(A + B).T",
    "a @ b",
    "(a * b) @ c",
    "a**3",
    "(-a)**2",
    "-a**2",
    "(a**3)**b",
    "a**b**c",
    "2**a",
    "a**(b + c)",
    "1 - a**2",
    "tanh(a + b)",
    "maximum(a, -b)",
    "where(a < b, a, -1)",
    "where((a < b) & (b < c), a, b)",
    "where(a <= b, a, 0)",
    "outer(a, b + c)",
    "outer(a, b) @ c",
    "concat(a, b)",
    "stack(a, b)",
    "stack(a, b, axis=-1)",
    "sum(A)",
    "sum(A, over=-2)",
    "max(A, over=-1)",
    "softmax(A)",
    "softmax(A, over=-2)",
    "cumsum(a)",
    "a[0]",
    "A[0]",
    "A[:, 1]",
    "A[1, 2]",
    "A[:, 1:3]",
    "(a + b)[1:]",
    "A[:3, 1:]",
    "reshape(A, (n*n,))",
    "abs(a)",
    "0.5 * a",
    "logical_not(a < b)",
    "einsum('ijk,j->ik', stack(A, B), a)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_an_expression_prints_with_the_brackets_it_needs_and_no_others(text):
    source = text.replace("(n*n,)", "('n*n',)")
    assert expression(eval(source, names())) == text


expressions = st.recursive(
    st.sampled_from(["a", "b", "c"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(
            lambda p: f"({p[0]} {p[1]} {p[2]})"
        ),
        inner.map(lambda e: f"(-{e})"),
        inner.map(lambda e: f"tanh({e})"),
        inner.map(lambda e: f"({e})**2"),
    ),
    max_leaves=8,
)


@settings(max_examples=150)
@given(expressions)
def test_a_printed_expression_means_what_it_meant(text):
    scope = {"a": uf.param("a"), "b": uf.param("b"), "c": uf.param("c"), "tanh": uf.tanh}
    numbers = {"a": 0.7, "b": -1.3, "c": 2.1, "tanh": np.tanh}
    node = eval(text, scope)
    printed = expression(node)
    with np.errstate(all="ignore"):
        try:
            want, have = eval(text, dict(numbers)), eval(printed, dict(numbers))
        except ZeroDivisionError:
            return
    assert have == pytest.approx(want, rel=1e-4, nan_ok=True)
    assert expression(eval(printed, scope)) == printed


def test_a_vector_times_a_matrix_is_the_transposed_matrix_times_the_vector():
    v, M = uf.param("v", "n"), uf.param("M", "n", "m")
    assert str(v @ M) == "M.T @ v"
    assert str(uf.einsum("ij,i->j", M, v)) == "M.T @ v"
    assert str(uf.einsum("ij,ik->jk", M, M)) == "M.T @ M"
    assert str(uf.einsum("ij,kj->ki", M, M)) == "M @ M.T"
    assert str(uf.einsum("i,j->ji", v, v)) == "outer(v, v)"


def test_a_delay_moves_the_indices_of_what_it_delays(t):
    from unfold.ops.time.delays import delay, read_at, reverse

    x, h = uf.input("x", over=t), uf.var("h", over=t)
    h[0] = 0
    h[t] = x[t]
    e = uf.tanh(uf.graph(h=h[t]).outputs["h"]) * x[t]
    assert str(delay(e, t, -1)) == "where(t <= t.last - 1, tanh(h[t+1]) * x[t+1], 0)"
    assert str(delay(e, t, 2)) == "where(t > 2, tanh(h[t-2]) * x[t-2], 0)"
    assert str(read_at(e, t.last)) == "tanh(h[t.last]) * x[t.last]"
    assert str(read_at(e, t.first)) == "tanh(h[1]) * x[1]"
    assert str(reverse(e, t)) == "tanh(h[t.last + 1 - t]) * x[t.last + 1 - t]"
    assert str(reverse(reverse(e, t), t)) == str(e)


def test_an_index_bound_by_a_sum_is_not_moved(t):
    from unfold.ops.time.delays import delay

    i = uf.axis("i")
    e = uf.input("e", over=(t, i))
    assert "sum(e[t-1, i], over=i)" in str(delay(uf.sum(e[t, i], over=i), t, 1, uf.constant(1.0)))
    soft = delay(uf.softmax(e[t, i], over=i), i, 1, uf.constant(0.0))
    assert "softmax(e[t, i], over=i)[i-1]" in str(soft)


@pytest.mark.parametrize("depth", [100, 10_000])
def test_a_deep_expression_is_elided_and_prints_at_once(depth, t):
    x = uf.input("x", over=t)
    e = x[t]
    for _ in range(depth):
        e = e + x[t]
    assert str(e).startswith("... + x[t] + x[t]")
    assert len(str(e)) < 2000
    for _ in range(depth):
        e = uf.tanh(e)
    assert "..." in str(e)


def test_numbers_are_short():
    assert [short(v) for v in (1.0, -0.5, 1 / 3, 1e-7, 2, True, 1 + 2j, float("nan"))] == [
        *("1", "-0.5", "0.333333", "1e-07", "2", "True", "(1+2j)", "nan")
    ]
    assert str(uf.constant(np.arange(3))) == "[0, 1, 2]"
    assert str(uf.constant(np.arange(100.0))) == "[0., 1., ..., 98., 99.]"


def test_hostile_names_print_as_they_are():
    assert str(uf.param('a"; DROP <b>', "n") + 1) == 'a"; DROP <b> + 1'


def test_every_operation_prints_with_its_name_or_sign(t):
    """An operation nobody thought of prints as a call with its parameters."""
    from dataclasses import dataclass

    from unfold.core.op import Elementwise, apply, enlist

    @dataclass(frozen=True)
    class Test_scaled(Elementwise):
        """f * a"""

        factor: float = 1.0

    enlist(Test_scaled)
    try:
        a = uf.param("a", "n")
        assert str(apply(Test_scaled(), a)) == "test_scaled(a)"
        assert str(apply(Test_scaled(2.5), a + 1)) == "test_scaled(a + 1, factor=2.5)"
    finally:
        del OPERATIONS["test_scaled"]
