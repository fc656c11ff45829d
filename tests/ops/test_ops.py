"""Every registered operation: values, gradients, tangents, second order, axes, dtypes."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from evaluation import (
    along,
    draw,
    floating,
    graph_of,
    inputs_of,
    is_complex_safe,
    number_of,
    results,
    run,
    stacked,
)

import unfold as uf
from unfold.core.node import FUNCTIONS, OPERATIONS
from unfold.ops.examples import CALLS, WITHOUT, Example, all_examples

EXAMPLES = [e for e in all_examples() if e.name != "stop_gradient"]
IDS = [f"{e.name}-{k}" for k, e in enumerate(EXAMPLES)]
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=IDS)


def generator(example: Example) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(example.name.encode()))


def close(a: Any, b: Any, graph: uf.Graph, scale: float = 1.0) -> None:
    tolerance = 1e-11 if is_complex_safe(graph) else 1e-7
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


@each_example
def test_the_gradient_is_the_derivative(example: Example) -> None:
    rng = generator(example)
    graph = number_of(example, rng)
    if graph is None:
        return
    arrays, names = draw(example.given, rng), floating(example)
    direction = {n: rng.normal(size=np.shape(arrays[n])) for n in names}
    _, gradient = graph.value_and_grad("y", wrt=names, backend="reference")(**arrays)
    analytic = sum(np.sum(gradient[n] * direction[n]) for n in names)
    close(analytic, along(graph, "y", arrays, direction), graph)


@each_example
def test_the_tangent_is_the_derivative_and_the_transpose_of_the_gradient(example: Example) -> None:
    rng = generator(example)
    graph = number_of(example, rng)
    if graph is None:
        return
    arrays, names = draw(example.given, rng), floating(example)
    direction = {n: rng.normal(size=np.shape(arrays[n])) for n in names}
    forward = graph.jvp("y", wrt=names)
    got = run(forward, **arrays, **{n + "_dot": v for n, v in direction.items()})
    close(got["y_dot"], along(graph, "y", arrays, direction), graph)
    _, gradient = graph.value_and_grad("y", wrt=names, backend="reference")(**arrays)
    np.testing.assert_allclose(
        got["y_dot"], sum(np.sum(gradient[n] * direction[n]) for n in names), rtol=1e-11
    )


@each_example
def test_the_second_derivative_is_the_derivative_of_the_gradient(example: Example) -> None:
    rng = generator(example)
    graph = number_of(example, rng)
    if graph is None:
        return
    arrays, names = draw(example.given, rng), floating(example)
    first = graph.grad("y", wrt=names)
    weights = {n: rng.normal(size=np.shape(arrays[n])) for n in names}
    slope = uf.add(*(uf.sum(weights[n] * first.outputs[n]) for n in names), 0.0)
    if not slope.inputs or not any(n in uf.graph(s=slope).inputs for n in names):
        return  # linear
    graph = uf.graph(s=slope)
    given = {n: a for n, a in arrays.items() if n in graph.inputs}
    present = [n for n in names if n in given]
    direction = {n: rng.normal(size=np.shape(arrays[n])) for n in present}
    numeric = along(graph, "s", given, direction)
    _, gradient = graph.value_and_grad("s", wrt=present, backend="reference")(**given)
    close(sum(np.sum(gradient[n] * direction[n]) for n in present), numeric, graph, scale=10.0)
    tangent = graph.jvp("s", wrt=present)
    got = run(tangent, **given, **{n + "_dot": v for n, v in direction.items()})
    close(got["s_dot"], numeric, graph, scale=10.0)


@each_example
def test_under_an_axis_it_acts_on_each_step_alone(example: Example) -> None:
    rng = generator(example)
    t = uf.axis("t")
    steps = [draw(example.given, rng) for _ in range(3)]
    arrays = {n: np.stack([s[n] for s in steps]) for n in steps[0]}
    single = graph_of(example)
    expected = [run(single, **s) for s in steps]
    for k, y in enumerate(results(example.call(*inputs_of(example, t)))):
        together = uf.graph(y=y)
        want = np.stack([e[f"y{k}"] for e in expected])
        np.testing.assert_array_equal(run(together, **arrays)["y"], want)
        np.testing.assert_array_equal(run(together.unfold(t=3), **arrays)["y"], want)


@each_example
def test_with_leading_axes_its_forward_acts_on_each_alone(example: Example) -> None:
    rng = generator(example)
    draws = [draw(example.given, rng) for _ in range(3)]
    single = graph_of(example)
    for constant in [None, *draws[0]]:  # an input that does not vary along the axis has size 1 there
        for s in draws:
            s.update({constant: draws[0][constant]} if constant else {})
        arrays = {n: np.stack([s[n] for s in draws])[: 1 if n == constant else None] for n in draws[0]}
        expected = [run(single, **s) for s in draws]
        for k, y in enumerate(results(example.call(*inputs_of(example)))):
            want = np.stack([e[f"y{k}"] for e in expected])
            got = np.broadcast_to(stacked(y, arrays), want.shape)
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_every_operation_has_an_example() -> None:
    assert not (set(CALLS) | WITHOUT) - set(FUNCTIONS), "examples of what is not there"
    used = {u.op.name for e in EXAMPLES for u in graph_of(e).order}
    gradients = {
        u.op.name
        for e in EXAMPLES
        if (g := number_of(e, generator(e))) is not None
        for u in g.grad("y", wrt=floating(e)).order
    }
    inner = {
        "delay",
        "at",
        "place",
        "reverse",
        "step",
        "size",
        "collect",
        "pick",
        "extent",
        "symbol",
        "param",
    }
    assert {n for n in OPERATIONS if n not in used | gradients | inner} <= {"read"}


def test_there_are_more_than_120_differentiable_operations() -> None:
    differentiable = set()
    for e in EXAMPLES:
        graph = number_of(e, generator(e))
        if graph is not None and any(not np.all(v == 0) for v in _gradient(graph, e).values()):
            differentiable.add(e.name)
    assert len(differentiable) >= 120, len(differentiable)


def _gradient(graph: uf.Graph, example: Example) -> dict[str, Any]:
    arrays = draw(example.given, generator(example))
    return graph.value_and_grad("y", wrt=floating(example), backend="reference")(**arrays)[1]


@each_example
def test_third_derivatives_exist_and_are_right(example: Example) -> None:
    """Along one line: the third derivative is the derivative of the second."""
    rng = generator(example)
    graph = number_of(example, rng)
    if graph is None:
        return
    arrays, names = draw(example.given, rng), floating(example)
    for _ in range(2):
        first = graph.grad("y", wrt=names)
        terms = [uf.sum(rng.normal(size=np.shape(arrays[n])) * first.outputs[n]) for n in names]
        graph = uf.graph(y=uf.add(*terms, 0.0))
        names = [n for n in names if n in graph.inputs]
        if not names:
            return
    direction = {n: rng.normal(size=np.shape(arrays[n])) for n in names}
    got = run(graph.jvp("y", wrt=names), **arrays, **{n + "_dot": v for n, v in direction.items()})
    close(got["y_dot"], along(graph, "y", arrays, direction), graph, scale=100.0)


LINEAR = [
    e for e in EXAMPLES if any(u.op.linear and not u.op.leaf for u in graph_of(e).order) and floating(e)
]


@pytest.mark.parametrize("example", LINEAR, ids=lambda e: e.name)
def test_second_derivatives_pass_through_what_is_linear(example: Example) -> None:
    """The sine of its results: the derivative of a linear operation alone is constant."""
    rng = generator(example)
    arrays, names = draw(example.given, rng), floating(example)
    parts = [y for y in results(example.call(*inputs_of(example))) if y.dtype == "float"]
    terms = [uf.sum(rng.normal(size=[int(n) for n in y.shape]) * uf.sin(y)) for y in parts]
    if not terms:
        return
    first = uf.graph(y=uf.add(*terms, 0.0)).grad("y", wrt=names)
    pieces = [uf.sum(rng.normal(size=np.shape(arrays[n])) * first.outputs[n]) for n in names]
    graph = uf.graph(y=uf.add(*pieces, 0.0))
    names = [n for n in names if n in graph.inputs]
    if names:
        direction = {n: rng.normal(size=np.shape(arrays[n])) for n in names}
        gradient = run(graph.grad("y", wrt=names), **arrays)
        got = sum(np.sum(gradient[n] * direction[n]) for n in names)
        close(got, along(graph, "y", arrays, direction), graph, scale=100.0)


def test_every_operation_is_reached_by_its_name() -> None:
    x = uf.input("x", 2, 2)
    assert uf.graph(y=uf.trace(x))(x=np.eye(2))["y"] == 2.0
    wrong = [n for n in FUNCTIONS if getattr(uf, n) is not FUNCTIONS[n]]  # a module may have its name
    assert not wrong
