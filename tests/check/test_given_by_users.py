"""`uf.check` in the hands of a user: wrong operations, odd arrays, gradients from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import unfold as uf
from unfold import systems
from unfold.check.mutants import engine_mutant, mutate
from unfold.core.errors import BindingError, DefinitionError, UnfoldError
from unfold.core.node import Node
from unfold.core.op import Elementwise, operation
from unfold.graph import Graph

RNN = systems.rnn(input=3, hidden=4, classes=3)
W = np.array([0.5, -1.0, 2.0])
w = uf.param("w", 3)


def data(steps: int = 6) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(steps, 3)), "y": rng.integers(0, 3, steps), **RNN.init(seed=1)}


def total(node: Node) -> Graph:
    return uf.graph(loss=uf.sum(node))


def node_of(graph: Graph, name: str) -> Node:
    return next(n for n in graph.order if n.op.name == name)


# ---------------------------------------------------------------------- operations
@dataclass(frozen=True)
class Cubed_of_user(Elementwise):
    """a ** 3, with the wrong factor"""

    def forward(self, xp: Any, a: Any) -> Any:
        return a * a * a

    def vjp(self, ct: Node, out: Node, a: Node) -> tuple[Node]:
        return (2.0 * ct * a * a,)


@dataclass(frozen=True)
class Short_of_user(Elementwise):
    """a * b, one cotangent forgotten"""

    domain = ((-2.0, 2.0), (-2.0, 2.0))

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return a * b

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> tuple[Node, ...]:
        return (ct * b,)


@dataclass(frozen=True)
class Bare_of_user(Elementwise):
    """2 a, the cotangent not in a tuple"""

    def forward(self, xp: Any, a: Any) -> Any:
        return 2 * a

    def vjp(self, ct: Node, out: Node, a: Node) -> Any:
        return 2.0 * ct


@dataclass(frozen=True)
class Endless_of_user(Elementwise):
    """2 a, with a rule that gives NaN"""

    def forward(self, xp: Any, a: Any) -> Any:
        return 2 * a

    def vjp(self, ct: Node, out: Node, a: Node) -> tuple[Node]:
        return (ct * uf.log(-a * a),)


def test_a_wrong_factor_is_found_though_a_single_value_shows_it() -> None:
    report = uf.check(total(operation(Cubed_of_user)(w)), "loss", w=W)
    assert report.culprit == "cubed_of_user, argument 0"
    assert report.diagnosis == "0.6666666667 times the true value"
    assert report.source
    assert report.source.startswith("test_given_by_users.py:")


@pytest.mark.parametrize(
    ("op", "count", "got"), [(Short_of_user, 2, "it returned 1"), (Bare_of_user, 1, "one Node")]
)
def test_a_rule_that_returns_too_little_is_named(op: Any, count: int, got: str) -> None:
    graph = total(operation(op)(*[w] * count))
    with pytest.raises(DefinitionError, match=rf"vjp of {op.name} must return a tuple of {count}.*{got}"):
        uf.check(graph, "loss", w=W)


def test_a_rule_that_gives_nan_is_wrong() -> None:
    report = uf.check(total(operation(Endless_of_user)(w)), "loss", w=W)
    assert report.culprit == "endless_of_user, argument 0"
    assert "not finite where the derivative is" in str(report)
    assert "is wrong (not finite)" in str(report)


@dataclass(frozen=True)
class Hidden_of_user(Elementwise):
    """a ** 2, with a rule that is right and cannot be differentiated again"""

    def forward(self, xp: Any, a: Any) -> Any:
        return a * a

    def vjp(self, ct: Node, out: Node, a: Node) -> tuple[Node]:
        return (2.0 * ct * uf.stop_gradient(a),)


def test_a_rule_that_hides_the_second_derivative_is_found() -> None:
    graph = total(operation(Hidden_of_user)(w))
    assert uf.check(graph, "loss", w=W).ok
    report = uf.check(graph, "loss", order=2, w=W)
    assert report.verdict == "WRONG"
    assert report.operation == "stop_gradient"
    meant = total(uf.stop_gradient(uf.exp(w)) * w * w)  # held by the equation, not by a rule
    assert uf.check(meant, "loss", order=2, w=W).ok


# ---------------------------------------------------------------------- arrays
@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e-150, 1e-70, 1e70, 1e150])
def test_a_system_is_right_at_every_scale(size: float) -> None:
    arrays = {n: a * size if a.dtype.kind == "f" else a for n, a in data().items()}
    assert uf.check(RNN, "loss", **arrays).verdict == "OK"


@pytest.mark.parametrize("function", [uf.log, uf.sqrt, lambda a: 1 / a, lambda a: a**3, uf.tanh])
def test_tiny_numbers_beside_great_ones_are_right(function: Any) -> None:
    graph, point = total(function(w)), np.array([1e-100, 1.0, 1e10])
    report = uf.check(graph, "loss", w=point)
    assert report.verdict == "OK", str(report)
    node = graph.outputs["loss"].inputs[0]
    wrong = mutate(graph, node, len(node.inputs) - 1 if node.op.name == "divide" else 0, "double")
    assert uf.check(wrong, "loss", w=point).operation == node.op.name


def test_an_array_with_a_nan_is_named_with_its_step() -> None:
    arrays = data()
    arrays["x"][2, 1] = np.nan
    report = uf.check(RNN, "loss", **arrays)
    assert report.verdict == "INCONCLUSIVE"
    assert (report.equation, report.steps) == ("x[t]", (3,))
    assert "x[t] is not finite: give it numbers" in report.notes


def test_the_operation_that_leaves_its_domain_is_named_with_its_step() -> None:
    t = uf.axis("t")
    x, v = uf.input("x", over=t), uf.var("v", over=t)
    v[0] = 1
    v[t] = uf.log(v[t - 1] + x[t])
    graph = uf.graph(loss=uf.sum(v[t], over=t))
    report = uf.check(graph, "loss", wrt="x", x=[1.0, 2.0, -9.0, 1.0])
    assert report.verdict == "INCONCLUSIVE"
    assert (report.equation, report.steps) == ("v[t] = log(v[t-1] + x[t])", (3,))
    assert "log is not finite, though its operands are" in str(report)


@pytest.mark.parametrize("function", [uf.sqrt, lambda a: a**0.5, lambda a: uf.sqrt(uf.sum(a * a))])
def test_where_there_is_no_derivative_nothing_is_proven(function: Any) -> None:
    report = uf.check(total(function(uf.param("w", 2))), "loss", w=np.zeros(2))
    assert report.verdict == "INCONCLUSIVE", str(report)
    assert "argument 0, is not finite here: check at another point, or guard" in str(report)


def test_a_derivative_that_is_not_known_numerically_proves_nothing() -> None:
    a = uf.param("a", 2)
    report = uf.check(total(uf.arctan2(a, 0.0 * a)), "loss", a=np.zeros(2))
    assert report.verdict == "INCONCLUSIVE"


def test_a_gradient_that_is_nan_where_the_derivative_is_a_number_is_wrong() -> None:
    graph = total(uf.where(w > 0.0, uf.sqrt(w), 0.0))  # 0 * d sqrt(-1): the usual trap
    report = uf.check(graph, "loss", w=W)
    assert report.verdict == "WRONG"
    assert "sqrt is not finite, though its operands are" in str(report)
    report = uf.check(total(uf.sqrt(uf.sum(w * w)) * w), "loss", w=np.zeros(3))  # |w| w: its slope at 0 is 0
    assert report.verdict == "WRONG"
    assert "the derivative of sqrt, argument 0, is not finite here" in str(report)


def test_a_wrong_rule_is_found_though_it_is_not_finite_at_another_step() -> None:
    t = uf.axis("t")
    x, v = uf.input("x", over=t), uf.var("v", over=t)
    v[t] = uf.where(x[t] > 0.0, uf.log(x[t]), 0.0)
    graph = uf.graph(loss=uf.sum(v[t], over=t))
    wrong = mutate(graph, node_of(graph, "log"), 0, "double")
    report = uf.check(wrong, "loss", wrt="x", x=[1.5, -2.0, 0.5])
    assert (report.verdict, report.operation, report.steps) == ("WRONG", "log", (1, 3))


def test_an_overflow_on_the_way_is_told_from_a_wrong_formula() -> None:
    report = uf.check(total(uf.exp(-uf.exp(w))), "loss", w=np.array([1000.0, 0.0, 1.0]))
    assert report.verdict == "INACCURATE"
    assert "exp is not finite, though its operands are" in str(report)


def test_no_steps_show_nothing_and_it_is_said() -> None:
    report = uf.check(RNN, "loss", **data(0))
    assert report.ok
    assert "t has no steps here: nothing along it was compared" in report.notes


def test_rules_that_met_only_zeros_are_named() -> None:
    report = uf.check(total(uf.relu(w)), "loss", w=-abs(W))
    assert report.ok
    assert "1 of 2 rules met nothing but zeros here (relu)" in str(report)


def test_a_parameter_that_does_not_matter_is_named() -> None:
    unread = uf.param("b", 2)
    graph = uf.graph(loss=uf.sum(w * w), other=uf.sum(unread))
    arrays = {"w": W, "b": np.ones(2)}
    assert "loss does not depend on b" in uf.check(graph, "loss", **arrays).notes
    second = uf.check(graph, "loss", order=2, **arrays)
    assert second.ok
    assert "dloss does not depend on b: second derivatives are zero" in second.notes


def test_a_parameter_that_matters_linearly_does_not_disturb_second_derivatives() -> None:
    first, last = uf.param("a", 2), uf.param("b", 4)
    graph = uf.graph(loss=uf.sum(first) + uf.sum(uf.tanh(w) ** 2) + uf.sum(last**3))
    assert uf.check(graph, "loss", order=2, a=np.ones(2), w=W, b=np.arange(4.0)).verdict == "OK"


def test_a_check_of_second_order_is_one_of_first_order_too() -> None:
    with engine_mutant("one reader only"):
        graph = uf.graph(loss=uf.sum(w * uf.tanh(w)))
        report = uf.check(graph, "loss", order=2, w=W)
    assert report.verdict == "WRONG"
    assert report.order == 1


def test_a_sequence_of_one_step_is_checked() -> None:
    for order in (1, 2):
        assert uf.check(RNN, "loss", order=order, **data(1)).verdict == "OK"


def test_padding_may_hold_anything() -> None:
    graph = RNN.batch("n", lengths="len")
    rng = np.random.default_rng(3)
    arrays = {**data(), "x": rng.normal(size=(6, 3, 3)), "y": rng.integers(0, 3, (6, 3))}
    arrays["len"] = np.array([6, 2, 0])
    arrays["x"][2:, 1] = np.nan
    assert uf.check(graph, "loss", **arrays).verdict == "OK"
    wrong = mutate(graph, node_of(graph, "tanh"), 0, "double")
    assert uf.check(wrong, "loss", **arrays).operation == "tanh"


# ---------------------------------------------------------------------- complex numbers
Z = np.array([1.0 + 2.0j, -0.3 + 0.1j, 0.5 - 1.0j])
z = uf.param("z", 3, dtype="complex")
COMPLEX = {
    "a real part": uf.sum(uf.real(z * z * z)),
    "an imaginary part": uf.sum(uf.imag(z * z * np.array([1.0, 2.0j, 3.0]))),
    "a size": uf.sum(abs(z) ** 3),
    "a complex number": uf.sum(z * z),
}


@pytest.mark.parametrize("kind", COMPLEX)
def test_complex_parameters_are_checked_in_both_parts(kind: str) -> None:
    graph = uf.graph(loss=COMPLEX[kind])
    report = uf.check(graph, "loss", z=Z)
    assert report.verdict == "OK", str(report)
    _, gradient = graph.value_and_grad("loss")(z=Z)
    assert uf.check(graph, "loss", gradients=gradient, z=Z).ok
    part = {"z": gradient["z"] + 0.1j}
    assert uf.check(graph, "loss", gradients=part, z=Z).verdict == "WRONG"


def test_a_fault_of_the_engine_is_found_with_complex_parameters() -> None:
    with engine_mutant("one reader only"):
        graph = uf.graph(loss=uf.sum(uf.real(z * z * z + z)))
        assert uf.check(graph, "loss", z=Z).verdict == "WRONG"


def test_a_conjugate_gradient_is_recognised() -> None:
    graph = uf.graph(loss=COMPLEX["a real part"])
    report = uf.check(graph, "loss", gradients={"z": (3 * Z**2).conj()}, z=Z)
    assert "the complex conjugate" in (report.diagnosis or "")


@pytest.mark.parametrize("kind", COMPLEX)
def test_second_derivatives_in_complex_parameters_hold(kind: str) -> None:
    assert uf.check(uf.graph(loss=COMPLEX[kind]), "loss", order=2, z=Z).ok


# ---------------------------------------------------------------------- gradients from elsewhere
def test_wrong_examples_of_a_batch_are_named() -> None:
    graph = RNN.batch("n")
    rng = np.random.default_rng(3)
    arrays = {**data(), "x": rng.normal(size=(6, 3, 3)), "y": rng.integers(0, 3, (6, 3))}
    _, right = graph.value_and_grad("loss", wrt=["x"])(**arrays)
    report = uf.check(graph, "loss", gradients={"x": right["x"] * [[[1.0], [0.0], [1.0]]]}, **arrays)
    assert "18 of 54 entries of dloss/dx are wrong, all at n = 2" in report.notes


def test_wrong_entries_of_a_matrix_are_placed() -> None:
    _, right = RNN.value_and_grad("loss", wrt=["W"])(**data())
    wrong = right["W"].copy()
    wrong[:, [0, 2]] += 1.0
    report = uf.check(RNN, "loss", gradients={"W": wrong}, **data())
    assert "8 of 16 entries of dloss/dW are wrong, all at [:, {0, 2}]" in report.notes


def test_short_numbers_are_not_taken_for_single_precision() -> None:
    graph = total(w * np.array([1.0, 2.0, 1.001]))
    assert not uf.check(graph, "loss", gradients={"w": [1, 2, 1]}, w=W)
    single = np.array([1.0, 2.0, 1.001], np.float32)
    assert uf.check(graph, "loss", gradients={"w": single}, w=W)
    assert uf.check(graph, "loss", gradients={"w": single.astype(float)}, w=W)


def test_a_derivation_that_rounds_better_than_ours_is_right() -> None:
    point = np.array([15.0, 16.0, 17.0])
    graph = total(uf.tanh(w))
    assert uf.check(graph, "loss", gradients={"w": 1 / np.cosh(point) ** 2}, w=point).ok
    assert not uf.check(graph, "loss", gradients={"w": np.ones(3)}, w=point).ok


def test_one_step_of_an_unfolded_input_stands_for_all_of_them() -> None:
    graph = RNN.unfold(t=6)
    report = uf.check(graph, "loss", wrt=["x[2]"], **data())
    assert report.ok
    assert report.wrt == ("x",)
    with pytest.raises(UnfoldError, match="give those of whole arrays: x"):
        uf.check(graph, "loss", gradients={"x[2]": np.zeros(3)}, **data())


def test_a_gradient_that_is_nan_is_wrong() -> None:
    report = uf.check(total(w * w), "loss", gradients={"w": [1.0, np.nan, 4.0]}, w=W)
    assert report.verdict == "WRONG"
    assert "all at [1]" in str(report)


# ---------------------------------------------------------------------- calls
CALLS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no gradients": ({"gradients": {}}, UnfoldError, r"give \{name: array\}"),
    "gradients in a list": ({"gradients": [W]}, UnfoldError, r"give \{name: array\}"),
    "second order of them": ({"gradients": {"w": W}, "order": 2}, UnfoldError, "order=1"),
    "a gradient that is no array": ({"gradients": {"w": None}}, BindingError, "float64 numbers like w, not"),
    "order 3": ({"order": 3}, UnfoldError, "first or second order"),
    "a word for a seed": ({"seed": "a"}, UnfoldError, "a whole number"),
    "no such rule": ({"only": ("h", "tanh", 0)}, UnfoldError, r"give one of .*\('loss', 'sum', 0\)"),
    "half a rule": ({"only": ("loss", "sum")}, UnfoldError, "no such rule"),
}


@pytest.mark.parametrize("mistake", CALLS)
def test_a_wrong_call_is_told_what_to_do(mistake: str) -> None:
    options, error, text = CALLS[mistake]
    with pytest.raises(error, match=text):
        uf.check(total(uf.tanh(w)), "loss", w=W, **options)


def test_what_is_no_graph_is_told_how_to_make_one() -> None:
    with pytest.raises(UnfoldError, match=r"uf.graph\(loss=...\) makes one"):
        uf.check(uf.sum(w), "loss", w=W)  # type: ignore[arg-type]


def test_names_that_the_check_gives_itself_are_free_for_users() -> None:
    v, held, probe = uf.param("v_0"), uf.param("held_0"), uf.param("probe_0")
    t = uf.axis("t")
    x, s = uf.input("x", over=t), uf.var("s", over=t)
    s[0] = 0
    s[t] = uf.tanh(v * s[t - 1] + held * x[t] + probe) + uf.stop_gradient(x[t] * v)
    graph = uf.graph(loss=uf.sum(s[t] * s[t], over=t))
    arrays = {"x": [0.3, -0.2, 0.5], "v_0": 0.4, "held_0": 0.7, "probe_0": 0.1}
    assert uf.check(graph, "loss", **arrays).ok
    with engine_mutant("delay off by one"):
        assert not uf.check(graph.remade(graph.outputs, graph.definitions), "loss", **arrays).ok


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("of", ["dw", "d w"])
def test_an_output_may_be_named_like_a_gradient(of: str, order: int) -> None:
    w, v = uf.param("w"), uf.param("v_0")
    graph = uf.graph(**{of: uf.tanh(w * v) * w})
    assert uf.check(graph, of, order=order, w=0.4, v_0=0.3).verdict == "OK"
    assert not uf.check(graph, of, gradients={"w": np.asarray(0.3)}, w=0.4, v_0=0.3)


def test_a_verdict_is_equal_to_and_shown_as_its_name() -> None:
    report = uf.check(uf.graph(y=uf.tanh(uf.param("w"))), "y", w=0.3)
    assert report.verdict == "OK"
    assert (str(report.verdict), repr(report.verdict), f"{report.verdict}") == ("OK", "'OK'", "OK")
