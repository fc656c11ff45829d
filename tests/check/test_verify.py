"""`uf.check`: what it proves, what it blames, and what its report says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import unfold as uf
from unfold import systems
from unfold.check.mutants import mutate
from unfold.core.errors import BindingError, GradientError, UnfoldError
from unfold.core.node import OPERATIONS, Node
from unfold.core.op import Elementwise, operation
from unfold.core.system import rebuild, rewrite
from unfold.graph import Graph

RNN = systems.rnn(input=3, hidden=4, classes=3)


def data(steps: int = 6, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    weights = RNN.init(seed=seed + 1)
    return {"x": rng.normal(size=(steps, 3)), "y": rng.integers(0, 3, steps), **weights}


def node_of(graph: Graph, name: str) -> Node:
    return next(n for n in graph.order if n.op.name == name)


def planted(change: str = "negate", name: str = "tanh", argument: int = 0, above: float = 1.0) -> Graph:
    return mutate(RNN, node_of(RNN, name), argument, change, above)


# ---------------------------------------------------------------------- what holds
@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_every_system_has_right_gradients(name: str) -> None:
    from unfold.engine.made_up import arrays

    graph = systems.SYSTEMS[name]()
    report = uf.check(graph, "loss", **arrays(graph))
    assert report.verdict == "OK", str(report)
    assert report
    assert "is proven" in str(report)


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_every_system_has_right_second_derivatives(name: str) -> None:
    from unfold.engine.made_up import arrays

    graph = systems.SYSTEMS[name]()
    report = uf.check(graph, "loss", order=2, **arrays(graph))
    assert report.verdict == "OK", str(report)


def test_inputs_can_be_checked_too() -> None:
    report = uf.check(RNN, "loss", wrt=["x", "W"], **data())
    assert report.ok
    assert report.wrt == ("x", "W")


def test_the_unfolded_graph_is_checked_like_the_cyclic_one() -> None:
    assert uf.check(RNN.unfold(t=6), "loss", wrt=["x", "W"], **data()).ok


def test_a_batch_is_checked_like_one_example() -> None:
    graph, arrays = RNN.batch("n"), data()
    rng = np.random.default_rng(3)
    arrays["x"], arrays["y"] = rng.normal(size=(6, 2, 3)), rng.integers(0, 3, (6, 2))
    assert uf.check(graph, "loss", **arrays).ok


def test_a_batch_of_systems_over_two_axes_is_checked_like_one_example() -> None:
    from unfold.engine.made_up import arrays

    graph = systems.attention()
    one = arrays(graph)
    many = {n: np.stack([one[n], one[n][::-1]], axis=1) for n in ("x", "z")}
    assert uf.check(graph.batch("n"), "loss", **{**one, **many}).verdict == "OK"


def test_single_precision_is_held_to_its_own_rounding() -> None:
    arrays = {n: a.astype(np.float32) if a.dtype.kind == "f" else a for n, a in data().items()}
    report = uf.check(RNN, "loss", **arrays)
    assert report.ok
    assert report.allowed > 1e-6


def test_second_derivatives_are_checked_and_the_hessian_is_symmetric() -> None:
    report = uf.check(RNN, "loss", order=2, **data())
    assert report.ok
    assert report.order == 2
    assert any("symmetric" in note for note in report.notes)


def test_ties_follow_the_declared_subgradient() -> None:
    t = uf.axis("t")
    x, w, h = uf.input("x", 2, over=t), uf.param("w"), uf.var("h", 2, over=t)
    h[0] = 0
    h[t] = uf.relu(w * h[t - 1]) + abs(h[t - 1]) + x[t]
    graph = uf.graph(loss=uf.sum(uf.sum(h[t] ** 2), over=t))
    assert uf.check(graph, "loss", wrt=["x", "w"], x=np.zeros((3, 2)), w=0.0).ok


def test_what_is_held_constant_is_held_constant_by_the_check() -> None:
    w = uf.param("w", 3)
    graph = uf.graph(loss=uf.sum(uf.stop_gradient(uf.exp(w)) * w))
    assert uf.check(graph, "loss", w=np.array([0.1, -0.4, 2.0])).ok


def test_gradients_that_are_exactly_zero_hold() -> None:
    w = uf.param("w", 3)
    assert uf.check(uf.graph(loss=uf.sum(w * 0.0)), "loss", w=np.ones(3)).ok


# ---------------------------------------------------------------------- what does not
def test_the_report_names_the_operation_the_argument_the_steps_and_the_line() -> None:
    report = uf.check(planted("wrong above", above=-0.2), "loss", **data())
    assert report.verdict == "WRONG"
    assert (report.operation, report.argument) == ("tanh", 0)
    assert report.equation == "h[t] = tanh(b + W @ h[t-1] + U @ x[t])"
    assert report.source
    assert report.source.startswith("recurrent.py:")
    assert report.failed == 1
    assert report.worst is not None
    assert report.worst.analytic == pytest.approx(1.5 * report.worst.numeric)


def test_a_step_is_wrong_where_and_only_where_the_rule_is() -> None:
    arrays = data()
    values = RNN.run(**arrays)
    at = values["h"].max(axis=1)
    fourth = sorted(np.arctanh(at))[-2]  # one step only goes further
    report = uf.check(planted("wrong above", above=float(fourth) + 1e-9), "loss", **arrays)
    assert report.steps == (int(np.argmax(at)) + 1,)
    assert "only (1 of 6)" in str(report)


TEXT = {
    "negate": "minus the true value",
    "double": "twice the true value",
    "drop": "zero: the contribution is missing",
    "one in a thousand": "1.001 times the true value",
    "ct missing": "is ct missing?",
    "ct twice": "ct twice?",
    "|ct|": "not linear in the cotangent",
}


@pytest.mark.parametrize("change", TEXT)
def test_the_diagnosis_says_what_a_wrong_rule_looks_like(change: str) -> None:
    report = uf.check(planted(change), "loss", **data())
    assert TEXT[change] in (report.diagnosis or "")


def test_a_transposed_rule_is_recognised() -> None:
    W = uf.param("W", 3, 3)
    graph = uf.graph(loss=uf.sum(uf.exp(W) * np.arange(9.0).reshape(3, 3)))
    node = node_of(graph, "exp")

    @dataclass(frozen=True)
    class Turned(OPERATIONS["exp"]):  # type: ignore[name-defined,misc]
        name = "exp"

        def vjp(self, ct: Node, out: Node, a: Node) -> tuple[Node]:
            return ((ct * out).T,)

    def rule(n: Node, inputs: tuple[Node, ...]) -> Node:
        return Node(Turned(), inputs, n.axes, n.shape, n.dtype, n.where) if n is node else rebuild(n, inputs)

    report = uf.check(rewrite(graph, rule), "loss", W=np.random.default_rng(0).normal(size=(3, 3)))
    assert report.diagnosis == "transposed"


def test_a_tiny_factor_is_wrong_and_not_noise() -> None:
    report = uf.check(planted("one in a million"), "loss", **data())
    assert report.verdict == "WRONG"
    assert "same mismatch in long double" in str(report)


def test_a_failed_check_can_be_run_again_alone() -> None:
    report = uf.check(planted(), "loss", **data())
    assert "only=('h[t]', 'tanh', 0)" in str(report)
    again = uf.check(planted(), "loss", only=("h[t]", "tanh", 0), **data())
    assert again.local == 1
    assert again.operation == "tanh"


def test_a_wrong_rule_of_the_second_derivative_only_is_found() -> None:
    graph = uf.graph(loss=uf.sum(uf.tanh(uf.param("w", 3))))
    gradient = graph.grad("loss")
    square = mutate(gradient, node_of(gradient, "square"), 0, "double")
    outer = uf.graph(y=uf.sum(square.outputs["w"] * np.array([1.0, -2.0, 0.5])))
    assert uf.check(outer, "y", w=np.array([0.3, 0.1, -0.7])).operation == "square"


def test_assert_gradients_raises_with_the_same_text() -> None:
    with pytest.raises(GradientError, match=r"culprit .*tanh, argument 0") as caught:
        uf.assert_gradients(planted(), "loss", **data())
    assert str(caught.value) == str(caught.value.report)
    assert uf.assert_gradients(RNN, "loss", **data()).ok


def test_values_that_are_not_finite_decide_nothing() -> None:
    w = uf.param("w")
    graph = uf.graph(loss=uf.log(w) * w)
    assert uf.check(graph, "loss", w=0.0).verdict == "INCONCLUSIVE"


def test_a_graph_without_parameters_asks_for_inputs() -> None:
    with pytest.raises(UnfoldError, match=r"name inputs in wrt= .x"):
        uf.check(uf.graph(loss=uf.sum(uf.input("x", 2))), "loss", x=[1.0, 2.0])


# ---------------------------------------------------------------------- operations of users
@dataclass(frozen=True)
class Cube_of_test(Elementwise):
    """a ** 3"""

    def forward(self, xp: Any, a: Any) -> Any:
        return a * a * a

    def vjp(self, ct: Node, out: Node, a: Node) -> tuple[Node]:
        return (3.0 * ct * a * a,)


@dataclass(frozen=True)
class Size_of_test(Elementwise):
    """|a|, by a function that drops the imaginary part"""

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.abs(a)

    def vjp(self, ct: Node, out: Node, a: Node) -> tuple[Node]:
        return (ct * uf.sign(a),)


def test_an_operation_of_the_user_is_checked_like_any_other() -> None:
    cube = operation(Cube_of_test)
    graph = uf.graph(loss=uf.sum(cube(uf.param("w", 4))))
    w = np.linspace(-1, 2, 4)
    assert uf.check(graph, "loss", w=w).ok
    wrong = mutate(graph, node_of(graph, "cube_of_test"), 0, "double")
    assert uf.check(wrong, "loss", w=w).culprit == "cube_of_test, argument 0"


def test_a_forward_that_does_not_take_complex_numbers_is_checked_by_differences() -> None:
    size = operation(Size_of_test)
    graph = uf.graph(loss=uf.sum(size(uf.param("w", 4)) ** 2))
    w = np.array([-1.0, 2.0, 0.5, -0.1])
    report = uf.check(graph, "loss", w=w)
    assert report.ok, str(report)
    wrong = mutate(graph, node_of(graph, "size_of_test"), 0, "one in a million")
    assert uf.check(wrong, "loss", w=w).operation == "size_of_test"


# ---------------------------------------------------------------------- gradients from elsewhere
def bptt(arrays: dict[str, Any], mistake: str = "") -> np.ndarray[Any, Any]:
    """dL/dW of the vanilla network by hand, with a mistake of the usual kind."""
    W, U, V, b, c, X, Y = (arrays[n] for n in ["W", "U", "V", "b", "c", "x", "y"])
    T = len(X)
    h, total, dh = np.zeros((T + 1, 4)), np.zeros((4, 4)), np.zeros(4)
    for t in range(1, T + 1):
        h[t] = np.tanh(b + W @ h[t - 1] + U @ X[t - 1])
    for t in range(T, 0, -1):
        p = np.exp(c + V @ h[t])
        p /= p.sum()
        p[Y[t - 1]] -= 1
        dh = dh + V.T @ p
        da = {"no tanh": dh, "a for h": dh * (1 - np.arctanh(h[t]) ** 2)}.get(mistake, dh * (1 - h[t] ** 2))
        here = np.outer(da, h[t] if mistake == "one late" else h[t - 1])
        total += {"skip 3": t != 3, "double 4": 1 + (t == 4), "truncated": t > 3}.get(mistake, 1) * here
        dh = (W if mistake == "not transposed" else W.T) @ da * (mistake != "no carry")
    return {"sign": -total, "mean": total / T, "turned": total.T}.get(mistake, total)


MISTAKES: dict[str, tuple[str, str | None, tuple[int, ...]]] = {
    "no tanh": ("its derivative is left out", "tanh", ()),
    "a for h": ("its input is used where its value belongs", "tanh", ()),
    "not transposed": ("not transposed", "contract", ()),
    "no carry": ("as if that argument were constant", "delay", ()),
    "one late": ("one step too late", "contract", (1, 2, 3, 4, 5, 6)),
    "skip 3": ("the contribution of t = 3 is missing", "contract", (3,)),
    "double 4": ("2 at t = 4", "contract", (4,)),
    "truncated": ("are missing", "contract", (1, 2, 3)),
    "sign": ("minus the true value", None, ()),
    "mean": ("1/T of the true value (T = 6)", None, ()),
    "turned": ("transposed", None, ()),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_derivation_by_hand_is_explained(mistake: str) -> None:
    text, operation_name, steps = MISTAKES[mistake]
    arrays = data()
    report = uf.check(RNN, "loss", gradients={"W": bptt(arrays, mistake)}, **arrays)
    assert report.verdict == "WRONG"
    assert report.variable == "W"
    assert text in (report.diagnosis or ""), str(report)
    assert report.operation == operation_name
    assert report.steps == steps


def test_a_right_derivation_by_hand_is_accepted() -> None:
    arrays = data()
    assert uf.check(RNN, "loss", gradients={"W": bptt(arrays)}, **arrays).ok


def test_a_wrong_entry_of_an_input_gradient_is_placed() -> None:
    arrays = data()
    _, right = RNN.value_and_grad("loss", wrt=["x"])(**arrays)
    wrong = right["x"].copy()
    wrong[2, 1] += 0.3
    report = uf.check(RNN, "loss", gradients={"x": wrong}, **arrays)
    assert report.steps == (3,)
    assert report.worst is not None
    assert report.worst.index == (2, 1)
    assert "1 of 18 entries" in str(report)


def test_a_gradient_of_another_shape_is_refused() -> None:
    with pytest.raises(BindingError, match=r"gradients\['W'\] should be \(4, 4\)"):
        uf.check(RNN, "loss", gradients={"W": np.zeros(4)}, **data())


# ---------------------------------------------------------------------- the report itself
def test_the_notebook_form_is_escaped() -> None:
    html = uf.check(planted(), "loss", **data())._repr_html_()
    assert html.startswith("<div")
    assert "<pre>" in html


def test_checking_changes_no_array() -> None:
    arrays = data()
    before = {n: a.copy() for n, a in arrays.items()}
    uf.check(RNN, "loss", **arrays)
    assert all((arrays[n] == before[n]).all() for n in arrays)
