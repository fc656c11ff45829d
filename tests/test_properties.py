"""What holds for every system: drawn at random, judged by definitions and by each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings, target
from hypothesis import strategies as st

import unfold as uf
from unfold.core.errors import DefinitionError
from unfold.core.node import call
from unfold.graph import Graph
from unfold.testing import BlockSpec, EquationSpec, SystemSpec, build
from unfold.testing.specs import walk
from unfold.testing.strategies import (
    expressions,
    illegal_systems,
    inputs,
    kinky_inputs,
    op_calls,
    shapes,
    systems,
    time_lengths,
)

EXAMPLES = 25
some = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 2**16)


def close(a: Any, b: Any, tolerance: float = 1e-10) -> None:
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    scale = 1 + max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    assert float(np.abs(a - b).max(initial=0)) <= tolerance * scale


def same_results(a: Any, b: Any) -> None:
    assert set(a) == set(b)
    for name in a:
        close(a[name], b[name])


def sources(graph: Graph) -> list[str]:
    return [*graph.params, *graph.inputs]


def gradient_of(graph: Graph, arrays: dict[str, Any], **options: Any) -> dict[str, Any]:
    _, gradient = graph.value_and_grad("loss", wrt=sources(graph), **options)(**arrays)
    return gradient


def unfolded(graph: Graph, arrays: dict[str, Any], steps: int) -> tuple[Graph, dict[str, Any]]:
    return graph.unfold(t=steps), {n: a for n, a in arrays.items() if n != "t"}


# ---------------------------------------------------------------------- forms agree
@some
@given(systems(), seeds, time_lengths())
def test_the_plan_the_unfolded_graph_and_the_definition_give_the_same_values(
    spec: SystemSpec, seed: int, steps: int
) -> None:
    system = build(spec)
    arrays = system.arrays(seed, steps)
    definition = system.graph.compile("reference")(**arrays)
    same_results(system.graph(**arrays), definition)
    dag, given_arrays = unfolded(system.graph, arrays, steps)
    same_results(dag.compile("reference")(**given_arrays), definition)


def one(vector: bool, body: Any, boundary: str = "zero", direction: int = 1) -> BlockSpec:
    return BlockSpec(direction, (EquationSpec(vector, body, (boundary,)),))


# what once went wrong
OVERWRITTEN = SystemSpec(3, (one(True, ("tanh", ("cumsum", ("x", 0)))),), (("last", 0), ("all", 0)))
SUM_OF_A_CONSTANT = SystemSpec(
    1, (one(False, ("tanh", ("param", False))), one(False, ("tanh", ("over", "sum", ("read", 0, 0)))))
)

SUM_OF_A_SUM = SystemSpec(
    1,
    (
        one(True, ("sin", ("over", "logsumexp", ("x", 0)))),
        one(True, ("sin", ("over", "sum", ("read", 0, 0)))),
    ),
    (("all", 1),),
)
PRODUCT_OF_CONSTANTS = SystemSpec(
    1,
    (
        one(True, ("tanh", ("matvec", ("flip", ("param", True))))),
        one(True, ("tanh", ("softmax", ("matvec", ("read", 0, 0))))),
    ),
    (("all", 1),),
)
SOFTMAX_OF_A_CONSTANT = SystemSpec(
    1,
    (one(False, ("tanh", ("param", False))), one(False, ("tanh", ("over", "softmax", ("read", 0, 0))))),
    (("last", 1),),
)
SATURATED = SystemSpec(
    3,
    (
        BlockSpec(
            -1,
            (
                EquationSpec(False, ("sigmoid", ("z", 0)), ("param",)),
                EquationSpec(
                    False,
                    ("sigmoid", ("dot", ("cumsum", ("param", True)), ("cumsum", ("param", True)))),
                    ("param",),
                ),
            ),
        ),
    ),
    (("last", 1),),
)
SATURATED_AT_A_STEP = SystemSpec(
    1,
    (
        one(
            False,
            ("tanh", ("subtract", ("subtract", ("step",), ("param", False)), ("over", "sum", ("z", 0)))),
            "number",
            -1,
        ),
    ),
    (("last", 0),),
)


@some
@given(systems(), seeds, time_lengths())
@example(OVERWRITTEN, 1, 6)
@example(PRODUCT_OF_CONSTANTS, 1, 3)
@example(SUM_OF_A_SUM, 1, 3)
@example(SUM_OF_A_CONSTANT, 0, 1)
@example(SUM_OF_A_CONSTANT, 0, 3)
@example(SOFTMAX_OF_A_CONSTANT, 0, 2)
def test_the_gradients_of_plan_and_definition_agree(spec: SystemSpec, seed: int, steps: int) -> None:
    system = build(spec)
    arrays = system.arrays(seed, steps)
    plan = gradient_of(system.graph, arrays)
    same_results(plan, gradient_of(system.graph, arrays, backend="reference"))
    same_results(plan, gradient_of(system.graph, arrays, optimise=()))


@some
@given(systems(max_vars=3), seeds, time_lengths())
def test_unfolding_and_differentiating_commute(spec: SystemSpec, seed: int, steps: int) -> None:
    system = build(spec)
    graph, arrays = system.graph, system.arrays(seed, steps)
    wrt = list(graph.params)
    if not wrt:
        return
    dag, given_arrays = unfolded(graph, arrays, steps)
    one, other = dag.grad("loss", wrt), graph.grad("loss", wrt)
    other = other.unfold(t=steps) if other.axes else other
    kept = [u.op.label for g in (one, other) for u in (*g.inputs.values(), *g.params.values())]
    given_arrays = {n: a for n, a in given_arrays.items() if n in kept}

    def run(g: Graph) -> Any:
        needed = {u.op.label for u in (*g.inputs.values(), *g.params.values())}
        return g.compile("reference")(**{n: a for n, a in given_arrays.items() if n in needed})

    same_results(run(one), run(other))


# ---------------------------------------------------------------------- gradients are right
@settings(some, max_examples=2 * EXAMPLES)
@given(systems(), seeds, time_lengths())
@example(SATURATED, 994909, 6)
@example(SATURATED_AT_A_STEP, 87302784, 4)
def test_a_right_system_is_never_called_wrong(spec: SystemSpec, seed: int, steps: int) -> None:
    system = build(spec)
    arrays = system.arrays(seed, steps)
    if not sources(system.graph):
        return
    report = uf.check(system.graph, "loss", wrt=sources(system.graph), **arrays)
    target(report.error / (report.allowed or 1.0), label="error / allowed")
    assert report.ok, str(report)


@some
@given(systems(max_vars=2), st.data())
def test_a_right_system_is_not_called_wrong_at_kinks(spec: SystemSpec, data: st.DataObject) -> None:
    system = build(spec)
    arrays = data.draw(kinky_inputs(system))
    if sources(system.graph):
        report = uf.check(system.graph, "loss", wrt=sources(system.graph), **arrays)
        assert report.verdict != "WRONG", str(report)


@some
@given(expressions(), seeds)
def test_expressions_have_right_gradients_and_a_symmetric_hessian(spec: Any, seed: int) -> None:
    system = build(spec)
    arrays = system.arrays(seed)
    if not system.graph.params:
        return
    assert uf.check(system.graph, "loss", **arrays).ok
    assert uf.check(system.graph, "loss", order=2, **arrays).verdict in ("OK", "NONDIFFERENTIABLE")


@some
@given(systems(max_vars=2, max_depth=2), seeds, time_lengths())
def test_second_derivatives_of_systems_are_right(spec: SystemSpec, seed: int, steps: int) -> None:
    system = build(spec)
    arrays = system.arrays(seed, steps)
    if system.graph.params:
        assert uf.check(system.graph, "loss", order=2, **arrays).ok


@settings(some, max_examples=4 * EXAMPLES)
@given(op_calls(), st.data())
def test_every_operation_has_right_gradients_on_any_shapes(spec: Any, data: st.DataObject) -> None:
    system = build(spec)
    arrays = data.draw(inputs(system))
    names = [n for n, u in system.graph.inputs.items() if u.dtype == "float"]
    if "loss" in system.graph.outputs and names:
        assert uf.check(system.graph, "loss", wrt=names, **arrays).verdict in ("OK", "NONDIFFERENTIABLE")


@some
@given(systems(max_vars=3), seeds)
def test_the_gradient_of_a_sum_is_the_sum_of_the_gradients(spec: SystemSpec, seed: int) -> None:
    system = build(spec)
    graph, arrays = system.graph, system.arrays(seed)
    other = call("sum", graph.outputs["out0"] * 0.7)
    other = call("sum", other, over=other.axes) if other.axes else other
    wrt = list(graph.params)
    both = Graph(
        {"loss": graph.outputs["loss"] + other, "one": graph.outputs["loss"], "two": other}, graph.definitions
    )
    wrt = list(both.params)
    arrays = {n: a for n, a in arrays.items() if n in (*wrt, *both.inputs, "t")}
    if wrt:
        _, together = both.value_and_grad("loss", wrt=wrt)(**arrays)
        parts = [both.value_and_grad(name, wrt=wrt)(**arrays)[1] for name in ("one", "two")]
        same_results(together, {n: parts[0][n] + parts[1][n] for n in wrt})


# ---------------------------------------------------------------------- time
@some
@given(systems(causal=True), seeds, st.integers(2, 6), st.data())
def test_what_comes_later_changes_nothing_before(
    spec: SystemSpec, seed: int, steps: int, data: st.DataObject
) -> None:
    system = build(spec)
    arrays = system.arrays(seed, steps)
    moment = data.draw(st.integers(1, steps))
    before = system.graph(**arrays)
    later = {n: a.copy() for n, a in arrays.items()}
    for name in system.graph.inputs:
        later[name][moment - 1 :] += 1.0
    after = system.graph(**later)
    for name in before:
        if name != "loss":
            close(np.asarray(before[name])[: moment - 1], np.asarray(after[name])[: moment - 1], 0)


@some
@given(systems(causal=True), seeds, st.integers(2, 6), st.data())
def test_a_shorter_run_is_the_beginning_of_a_longer_one(
    spec: SystemSpec, seed: int, steps: int, data: st.DataObject
) -> None:
    system = build(spec)
    arrays = system.arrays(seed, steps)
    early = data.draw(st.integers(1, steps))
    short = {n: a[:early] if n in system.graph.inputs else a for n, a in arrays.items()}
    if "t" in short:
        short["t"] = np.asarray(early)
    whole, part = system.graph(**arrays), system.graph(**short)
    for name in whole:
        if name != "loss":
            close(np.asarray(whole[name])[:early], part[name])


@some
@given(systems(causal=True, max_vars=3), seeds, st.integers(1, 5))
def test_a_run_step_by_step_with_carried_state_is_the_whole_run(
    spec: SystemSpec, seed: int, steps: int
) -> None:
    from unfold.learn.streaming import stream

    spec = replace(spec, loss=(("all", 0),))
    system = build(spec)
    arrays = {n: a for n, a in system.arrays(seed, steps).items() if n != "t"}
    names = [n for n in system.graph.outputs if n != "loss"]
    if set(system.graph.axes) != {a for u in system.graph.inputs.values() for a in u.axes}:
        return
    whole = system.graph(**arrays)
    s = stream(system.graph, *names)
    fixed = {n: a for n, a in arrays.items() if n not in system.graph.inputs}
    state = s.init(**fixed)
    for k in range(steps):
        now = {n: arrays[n][k] for n in system.graph.inputs}
        out, state = s(state, **now, **fixed)
        for name in names:
            close(out[name], np.asarray(whole[name])[k])


@some
@given(systems(causal=True, max_vars=3), seeds, st.lists(st.integers(1, 5), min_size=2, max_size=3), seeds)
def test_padding_changes_no_output_and_no_gradient(
    spec: SystemSpec, seed: int, lengths: list[int], noise: int
) -> None:
    system = build(spec)
    graph = system.graph
    if not graph.inputs or not graph.params:
        return
    steps = max(lengths) + 1
    each = [system.arrays(seed + k, n) for k, n in enumerate(lengths)]
    shared = {n: each[0][n] for n in graph.params}
    rng = np.random.default_rng(noise)
    batch: dict[str, Any] = {}
    for name in graph.inputs:
        batch[name] = rng.uniform(-9, 9, (steps, len(lengths), *each[0][name].shape[1:]))
        for k, arrays in enumerate(each):
            batch[name][: lengths[k], k] = arrays[name]
    padded = graph.batch("n", lengths="len", reduce="sum")
    value, gradient = padded.value_and_grad("loss")(**batch, **shared, len=np.array(lengths))
    parts = [
        graph.value_and_grad("loss")(**{n: a for n, a in arrays.items() if n in graph.inputs}, **shared)
        for arrays in each
    ]
    close(value, sum(v for v, _ in parts))
    same_results(gradient, {n: sum(g[n] for _, g in parts) for n in gradient})


# ---------------------------------------------------------------------- what must not matter
@some
@given(systems(), seeds, time_lengths())
def test_the_order_of_equations_and_the_names_of_variables_do_not_matter(
    spec: SystemSpec, seed: int, steps: int
) -> None:
    one = build(spec)
    other = build(replace(spec, reverse_order=True, prefix="a name with spaces "))
    arrays = one.arrays(seed, steps)
    assert set(one.graph.params) == set(other.graph.params)
    close(one.graph(**arrays)["loss"], other.graph(**arrays)["loss"])
    same_results(gradient_of(one.graph, arrays), gradient_of(other.graph, arrays))


@some
@given(systems(), seeds, time_lengths())
def test_no_call_changes_its_arguments(spec: SystemSpec, seed: int, steps: int) -> None:
    system = build(spec)
    arrays = system.arrays(seed, steps)
    before = {n: a.copy() for n, a in arrays.items()}
    system.graph(**arrays)
    gradient_of(system.graph, arrays)
    assert all(np.array_equal(arrays[n], before[n]) for n in arrays)


@some
@given(illegal_systems())
def test_illegal_systems_are_refused_by_the_error_that_names_them(spec: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        build(spec)
    assert type(caught.value).__name__ == spec.error
    assert "v0" in str(caught.value) or spec.variables > 1


@some
@given(shapes("(m,n),(n),(3)"))
def test_shapes_fit_their_signature(drawn: Any) -> None:
    (m, n), (k,), (three,) = drawn
    assert n == k
    assert three == 3
    assert m >= 0


# ---------------------------------------------------------------------- drawings
def drawn(drawing: Any) -> tuple[set[str], set[tuple[str, str]]]:
    """The circles of a drawing that stand for a step, and the edges between them."""
    from viz.shapes.figures import Circle, Path, walk

    shapes = [shape for shape, _ in walk(drawing.parts)]
    names = {s.name for s in shapes if isinstance(s, Circle) and "@" in s.name and not s.name.endswith("@0")}
    ends = [s.ends for s in shapes if isinstance(s, Path)]
    return names, {(a, b) for a, b in ends if a in names and b in names}


@some
@given(systems(causal=True, max_vars=3, max_depth=2), st.integers(1, 4))
def test_an_unfolded_drawing_has_exactly_the_nodes_and_edges_of_its_graph(
    spec: SystemSpec, steps: int
) -> None:
    import viz

    graph = build(spec).graph
    if not graph.axes:
        return
    equations = [e for b in spec.blocks for e in b.equations]
    nodes = {f"{spec.prefix}{k}@{t}" for k in range(len(equations)) for t in range(1, steps + 1)}
    edges = set()
    for k, e in enumerate(equations):
        for part in walk(e.body):
            if part[0] not in ("read", "x", "z"):
                continue
            name = f"{spec.prefix}{part[1]}" if part[0] == "read" else part[0]
            for t in range(1, steps + 1):
                if 1 <= t - part[-1] <= steps:
                    edges.add((f"{name}@{t - part[-1]}", f"{spec.prefix}{k}@{t}"))
                if name in graph.inputs:
                    nodes.add(f"{name}@{t}")
    assert drawn(viz.draw(graph.unfold(t=steps), columns=steps)) == (nodes, edges)
