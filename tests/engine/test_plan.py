"""A plan gives the values of the definition, whatever it optimises."""

from __future__ import annotations

import re
import warnings
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from random_systems import model

import unfold as uf
from unfold.engine import made_up
from unfold.engine.numpy.routines import SoftmaxCrossEntropy
from unfold.engine.planning import PASSES
from unfold.engine.rewrites.passes import SumOfScatters
from unfold.engine.run import _joint

FEW = len(PASSES) - 1
SETTINGS: list[Any] = [None, (), *combinations(PASSES, 1), *combinations(PASSES, FEW)]


def agree(
    graph: Any, arrays: dict[str, Any], tolerance: float, settings: Any = (None, ()), backend: str = "numpy"
) -> None:
    """Printed plans and the reference interpreter give the same outputs."""
    expected = graph.compile(backend="reference")(**arrays)
    for optimise in settings:
        outputs = graph.compile(backend, optimise).holomorphic(arrays)
        for name, value in expected.items():
            assert np.shape(outputs[name]) == np.shape(value)
            scale = 1 + np.abs(value).max(initial=0)
            assert np.abs(outputs[name] - value).max(initial=0) <= tolerance * scale, (name, optimise)


def request(seed: int, batched: bool) -> tuple[Any, dict[str, Any]]:
    """A random system with its gradients, and arrays for it."""
    m = model(seed)
    graph, arrays = m.graph, dict(m.arrays)
    if not graph.inputs:
        arrays |= {a.name: m.steps for a in graph.axes}
    elif batched:
        graph = graph.batch("n")
        arrays |= {k: np.stack([arrays[k], 0.7 * arrays[k] + 0.1], 1) for k in graph.inputs}
    return _joint(graph, "loss", [*graph.params, *graph.inputs]), arrays


@pytest.mark.parametrize("seed", range(40))
def test_a_random_system_and_its_gradients_agree_with_the_definition(seed):
    graph, arrays = request(seed, batched=seed % 2 == 1)
    agree(graph, arrays, 1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_every_optimisation_can_be_left_out(seed):
    graph, arrays = request(seed, batched=True)
    agree(graph, arrays, 1e-9, SETTINGS)


@pytest.mark.parametrize("seed", range(8))
def test_the_unfolded_graph_agrees_too(seed):
    m = model(seed)
    graph = m.graph
    if graph.inputs:
        dag = graph.unfold(t=m.steps)
        wanted, got = graph(**m.arrays).loss, dag(**m.arrays).loss
        assert abs(wanted - got) <= 1e-9 * (1 + abs(wanted))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float32, 2e-4), (np.float64, 1e-9), (np.complex128, 1e-9)]
)
def test_every_precision_agrees(dtype, tolerance):
    for seed in range(6):
        graph, arrays = request(seed, batched=True)
        cast = {
            k: v.astype(dtype) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v
            for k, v in arrays.items()
        }
        agree(graph, cast, tolerance)
        if graph.inputs and dtype is not np.complex128:  # a complex step is for the reference alone
            assert graph(**cast).loss.dtype == np.zeros(1, dtype).dtype


@pytest.mark.parametrize("name", list(uf.systems.SYSTEMS))
@pytest.mark.parametrize("batched", [False, True])
def test_the_ready_made_systems_agree(name, batched):
    graph = uf.systems.SYSTEMS[name]()
    if batched and graph.inputs:
        graph = graph.batch("n")
    joint = _joint(graph, "loss", None)
    rng = np.random.default_rng(0)
    free = [a for a in joint.axes if not any(a in u.axes for u in joint.inputs.values())]
    arrays: dict[str, Any] = {a.name: 5 for a in free if a.size is None}
    for label, a in made_up.zeros(joint, arrays).arrays.items():
        arrays[label] = rng.integers(0, 3, a.shape) if a.dtype.kind == "i" else rng.standard_normal(a.shape)
    agree(joint, arrays, 1e-9)


def rnn(**sizes: int) -> tuple[Any, dict[str, Any]]:
    graph = uf.systems.rnn().batch("n")
    arrays = {k: a + 0.1 for k, a in made_up.zeros(graph, sizes).arrays.items() if a.dtype.kind == "f"}
    ints = {k: a for k, a in made_up.zeros(graph, sizes).arrays.items() if a.dtype.kind != "f"}
    return graph, {**arrays, **ints}


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_short_and_empty_sequences_run(steps):
    graph, arrays = rnn(t=steps)
    agree(_joint(graph, "loss", None), arrays, 1e-9)


def test_a_result_is_the_callers_own():
    graph, arrays = rnn(t=5)
    run = graph.value_and_grad("loss")
    _, first = run(**arrays)
    kept = {k: v.copy() for k, v in first.items()}
    run(**{k: v * 2 if v.dtype.kind == "f" else v for k, v in arrays.items()})
    for name in kept:
        np.testing.assert_array_equal(first[name], kept[name])
        first[name][...] = np.nan
    _, again = run(**arrays)
    for name in kept:
        np.testing.assert_array_equal(again[name], kept[name])


def test_outputs_share_no_memory_and_can_be_written():
    t = uf.axis("t")
    y = uf.exp(uf.input("x", 3, over=t)[t])
    mean, flat = uf.mean(y, over=t), uf.reshape(y, (1, 3))
    graph = uf.graph(
        y=y, again=y * 1, z=y[1:], w=uf.broadcast_to(flat, (2, 3)), s=uf.sum(y, over=t), mean=mean
    )
    for steps in (1, 3):
        result = graph.compile()(x=np.ones((steps, 3)))
        values = list(result.values())
        assert all(a.flags.writeable for a in values)
        assert not any(np.shares_memory(a, b) for k, a in enumerate(values) for b in values[:k])


def test_matrices_are_arrays_at_every_call():
    t = uf.axis("t")
    x, h = uf.input("x", "n", over=t), uf.var("h", "n", over=t)
    h[0] = 0
    h[t] = uf.tanh(h[t - 1] + x[t])
    run = uf.graph(h=h[t]).compile()
    array = np.arange(6.0).reshape(3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        for given in [array] * 3 + [np.asmatrix(array)] * 3:
            np.testing.assert_array_equal(run(x=given).h, np.asarray(run(x=array.copy()).h))


def test_a_condition_may_be_a_number():
    t = uf.axis("t")
    x, i = uf.input("x", over=t), uf.input("i", over=t, dtype="int")
    graph = uf.graph(y=uf.where(x[t], x[t] + 1, 3.0), z=uf.where(i[t], i[t], 2 * i[t] + 5))
    agree(graph, {"x": np.array([0.5, 0.0, -2.0]), "i": np.array([0, 1, -1])}, 1e-12)


def test_a_view_of_a_piece_of_a_concatenation_outlives_it():
    t = uf.axis("t")
    x, h = uf.input("x", 2, over=t), uf.var("h", 2, over=t)
    h[0] = 0
    piece = uf.tanh(x[t] + h[t - 1])
    first, both = piece[:1], uf.concat(piece, uf.sin(x[t] + h[t - 1]))
    more = uf.sin(uf.exp(both * uf.sum(uf.exp(first))))
    h[t] = more[:2] * first * 0.2 + uf.sum(more)
    agree(uf.graph(h=h[t]), {"x": np.linspace(-1, 1, 6).reshape(3, 2)}, 1e-12)


def test_scores_in_pieces_outlive_the_slope_of_their_cross_entropy():
    t = uf.axis("t")
    x, y = uf.input("x", 3, over=t), uf.input("y", over=t, dtype="int")
    w, v = uf.param("w", 2, 3), uf.param("v", 2, 3)
    scores = uf.concat(uf.tanh(w @ x[t]), uf.tanh(v @ x[t]))
    graph = uf.graph(loss=uf.sum(uf.cross_entropy(scores, y[t]), over=t))
    rng = np.random.default_rng(0)
    arrays = {k: rng.standard_normal(n) for k, n in (("x", (4, 3)), ("w", (2, 3)), ("v", (2, 3)))}
    agree(_joint(graph, "loss", None), {**arrays, "y": np.array([0, 1, 3, 2])}, 1e-12)


def test_an_adjoint_that_is_another_variable_leaves_that_one_its_equation():
    t = uf.axis("t")
    x, h, c = uf.input("x", 2, over=t), uf.var("h", 2, over=t), uf.var("c", 2, over=t)
    h[0] = 0
    h[t] = uf.tanh(x[t] + h[t - 1])
    c[t] = uf.sin(h[t])
    joint = _joint(uf.graph(loss=uf.sum(uf.sum(h[t] * c[t]), over=t)), "loss", ["x"])  # dc = h
    assert "h[t] = tanh(x[t] + h[t-1])" in str(joint)


def test_arguments_are_never_changed():
    graph, arrays = rnn(t=5)
    before = {k: v.copy() for k, v in arrays.items()}
    graph.value_and_grad("loss")(**arrays)
    graph(**arrays)
    for name, value in before.items():
        np.testing.assert_array_equal(arrays[name], value)


def test_arrays_that_are_not_contiguous_or_not_writeable_are_taken_as_they_are():
    graph, arrays = rnn(t=5)
    odd = {}
    for name, a in arrays.items():
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype) if a.ndim else a
        if a.ndim:
            wide[..., ::2] = a
            odd[name] = wide[..., ::2]
            odd[name].flags.writeable = False
        else:
            odd[name] = a
    wanted, got = graph.value_and_grad("loss")(**arrays), graph.value_and_grad("loss")(**odd)
    assert wanted[0] == pytest.approx(got[0])
    for name in wanted[1]:
        np.testing.assert_allclose(got[1][name], wanted[1][name])


def test_one_function_serves_many_sizes_and_dtypes():
    graph, _ = rnn()
    run = graph.compile()
    for steps in (3, 7, 3):
        for dtype in (np.float32, np.float64):
            arrays = {k: a.astype(dtype) if a.dtype.kind == "f" else a for k, a in rnn(t=steps)[1].items()}
            assert run(**arrays).loss.dtype == dtype


def test_calls_from_several_threads_do_not_share_buffers():
    from concurrent.futures import ThreadPoolExecutor

    graph, arrays = rnn(t=40, hidden=8)
    run = graph.value_and_grad("loss")
    scales = [1.0 + 0.1 * k for k in range(8)] * 4

    def at(scale: float) -> float:
        return float(run(**{k: v * scale if v.dtype.kind == "f" else v for k, v in arrays.items()})[0])

    wanted = [at(s) for s in scales]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(at, scales)) == wanted


def test_the_loop_holds_only_what_a_step_must_wait_for():
    source = uf.systems.rnn().code("loss", t=100, input=100, hidden=100, classes=100)
    forward = source[source.index("forward over t") : source.index("# o[t]")]
    backward = source[source.index("backward over t") :]
    body = forward[forward.index("for ") :].splitlines()[1:4]
    assert [line.strip().split("(")[0] for line in body] == ["W_dot", "add", "tanh"]
    body = backward[backward.index("for ") :].splitlines()[1:4]
    assert [line.strip().split("(")[0] for line in body] == ["add", "multiply", "W_T_dot"]


def test_the_gates_of_an_lstm_are_one_product():
    source = uf.systems.lstm().code("loss", t=100, input=100, hidden=100)
    body = source[source.index("step by step, forward over t") : source.index("# o[t]")]
    blended = body.count("reshape_t_dot(")  # half of all that the gates are multiplied with
    assert len(re.findall(r"dot\(", body)) - blended == 1
    assert body.count("tanh(") - body.count("= q") <= 5


def test_what_multiplies_one_cotangent_is_one_call():
    source = uf.systems.gru().code("loss", t=20, input=100, hidden=100)
    body = source[source.index("backward over t") :]
    body = body[body.index("for ") : body.index("# dWg")]
    assert "multiply(dh" not in body
    assert len([line for line in body.splitlines() if "multiply(a" in line and "reshape" in line]) == 1
    assert not any(f"{name}(" in body for name in ("subtract", "negative"))


@pytest.mark.parametrize("first", [0, 2])
def test_the_gradient_of_an_embedding_counts_every_use(first):
    t = uf.axis("t")
    E, y, w = uf.param("E", 4, 3), uf.input("y", over=t, dtype=int), uf.input("w", 3, over=t)
    graph = uf.graph(loss=uf.sum(uf.sum(uf.embedding(E, y[t]) * w[t]), over=t))
    steps = np.array([1, first, 1, 3, first])
    rng = np.random.default_rng(0)
    arrays = {"E": rng.standard_normal((4, 3)), "y": steps, "w": rng.standard_normal((5, 3))}
    _, found = graph.value_and_grad("loss", ["E"])(**arrays)
    wanted = np.zeros((4, 3))
    np.add.at(wanted, steps, arrays["w"])
    np.testing.assert_allclose(found["E"], wanted)


def test_the_source_names_its_equations():
    source = uf.systems.rnn().code("loss")
    assert "# h[t] = tanh(b + W @ h[t-1] + U @ x[t])" in source
    assert "# dW = sum(outer(" in source


def test_an_unknown_optimisation_or_backend_is_refused():
    graph, _ = rnn()
    with pytest.raises(uf.UnfoldError, match="no optimisation 'speed'; there are fuse"):
        graph.compile(optimise=["speed"])
    with pytest.raises(uf.UnfoldError, match="no backend 'tpu'; there are numpy"):
        graph.compile(backend="tpu")
    with pytest.raises(uf.UnfoldError, match="no optimisation 'turns'; there are fuse"):
        uf.systems.rnn().code("loss", optimise=("turns",))


@pytest.mark.parametrize("kept", [(), ("n",)], ids=["over all axes", "for each sequence"])
def test_the_gradient_of_an_embedding_is_added_up_without_an_array_of_all_steps(kept):
    t, n = uf.axis("t"), uf.axis("n")
    table, y = uf.param("E", "words", "hidden"), uf.input("y", over=(t, n), dtype=int)
    weight = uf.input("w", "hidden", over=(t, n))
    rows = uf.embedding(table, y[t, n]) * weight[t, n]
    graph = uf.graph(loss=uf.sum(uf.sum(rows) ** 2, over=(t, n)))
    joint = _joint(graph, "loss", None)
    rng = np.random.default_rng(0)
    arrays = {
        "E": rng.standard_normal((7, 3)),
        "y": rng.integers(0, 7, (5, 4)),
        "w": rng.standard_normal((5, 4, 3)),
    }
    agree(joint, arrays, 1e-12, [None, (), ("fuse",)])
    assert "(5, 4, 7, 3)" not in joint.code(t=5, n=4, words=7, hidden=3)
    step = SumOfScatters((t,), "words", (1, 0))
    if kept:
        values = rng.standard_normal((5, 4, 3))
        got = step.at_sizes({"words": 7}).bind((t, n), 1).forward(np, values, arrays["y"])
        wanted = np.zeros((4, 7, 3))
        np.add.at(wanted, (np.arange(4)[None, :], arrays["y"]), values)
        assert np.allclose(got, wanted)


@pytest.mark.parametrize("summary", [uf.mean, uf.sum, uf.max])
def test_a_sum_over_an_axis_that_nothing_varies_along(summary):
    t = uf.axis("t")
    p, h = uf.param("p", 2), uf.var("h", 2, over=t)
    h[t] = uf.sin(p)
    graph = uf.graph(loss=uf.sum(summary(h[t], over=t) ** 2))
    arrays = {"p": np.array([0.3, -2.0]), "t": 3}
    agree(graph, arrays, 1e-12, SETTINGS[:2])
    agree(_joint(graph, "loss", None), arrays, 1e-12, SETTINGS[:2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.0, 0.3, 3.0, 12.0, 40.0, 1e3, 1e30])
@pytest.mark.parametrize("inplace", [True, False])
def test_cross_entropy_and_its_slope_hold_at_every_scale_of_the_scores(dtype, scale, inplace):
    rng = np.random.default_rng(0)
    for rows, classes in ((1, 1), (7, 5), (60, 90)):
        o = (scale * rng.standard_normal((rows, classes))).astype(dtype)
        y = rng.integers(-classes, classes, rows)
        z = o.astype(np.longdouble) - o.max(axis=1, keepdims=True)
        total = np.log(np.exp(z).sum(axis=1))
        chosen = z[np.arange(rows), y]
        slope = np.exp(z - total[:, None])
        slope[np.arange(rows), y] -= 1
        loss, out = np.empty(rows, dtype), o if inplace else np.empty_like(o)
        SoftmaxCrossEntropy(rows, classes, dtype)(o, y, loss, out)
        eps = np.finfo(dtype).eps
        assert np.abs(loss - (total - chosen)).max() <= 40 * eps * max(1.0, float(np.abs(chosen).max()))
        assert np.abs(out - slope).max() <= 60 * eps


def test_a_dimension_may_be_called_like_an_argument_of_code():
    graph = uf.graph(y=uf.param("a", "of") * uf.param("b", "graph", 1))
    assert graph.code(sizes={"of": 7}, graph=5) == graph.code(sizes={"of": 7, "graph": 5})
