"""What stands around a call: indices are checked, results are the caller's own, memory is bounded, a plan
that fails is heard of, and any name may be an array's."""

import gc
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest

import unfold as uf
from unfold.engine import run as running

BACKENDS = ("reference", "numpy")
rng = np.random.default_rng(0)


# ---------------------------------------------------------------------- indices
def choosing(t):
    """Every operation that chooses by data: what it is called -> (graph, arrays)."""
    y, i = uf.input("y", over=t, dtype=int), uf.input("i", dtype=int)
    x, table, o = uf.input("x", over=t), uf.param("E", 3, 2), uf.param("o", 3)
    data = {"y": np.array([0, 2, 1]), "i": np.array(1), "x": rng.normal(size=3)}
    weights = {"E": rng.normal(size=(3, 2)), "o": rng.normal(size=3)}
    k = uf.input("k", 2, dtype=int)
    return (
        {
            "cross_entropy": uf.cross_entropy(o * x[t], y[t]),
            "weighted": uf.cross_entropy(o * x[t], y[t], weights=o),
            "nll": uf.nll(o * x[t], y[t]),
            "embedding": uf.sum(uf.embedding(table, y[t])) * x[t],
            "take": uf.take(o, y[t]) * x[t],
            "getitem": o[y[t]] * x[t],
            "one_hot": uf.sum(uf.one_hot(y[t], 3) * o) * x[t],
            "read before": o[y[t - 1]] * x[t],
            "computed": o[y[t] + 0] * x[t],
            "one for all": o[i] * x[t],
            "several": uf.sum(o[k]) * x[t],
            "take_along_axis": uf.sum(uf.take_along_axis(o, k, -1)) * x[t],
            "scatter_add": uf.sum(uf.scatter_add(o, k, uf.stack([x[t], x[t]]))),
        },
        {**data, **weights, "k": np.array([2, 0])},
        y,
    )


NAMES = ["cross_entropy", "weighted", "nll", "embedding", "take", "getitem", "one_hot", "computed"]
NAMES += ["one for all", "several", "take_along_axis", "scatter_add", "read before"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [-1, -3, 3, 100])
@pytest.mark.parametrize("name", NAMES)
def test_an_index_that_chooses_nothing_is_refused_before_anything_is_computed(t, name, bad, backend):
    made, arrays, y = choosing(t)
    y[0] = 0
    graph = uf.graph(loss=uf.sum(made[name], over=t))
    arrays = {n: a for n, a in arrays.items() if n in {*graph.inputs, *graph.params}}
    label = next(n for n in ("y", "i", "k") if n in arrays)
    place = {"y": (1,), "i": (), "k": (1,)}[label]
    for call in (graph.compile(backend), graph.value_and_grad("loss", backend=backend)):
        for _ in range(2):  # the second call checks less
            call(**arrays)
            wrong = {**arrays, label: arrays[label].copy()}
            wrong[label][place] = bad
            with pytest.raises(uf.BadIndex, match=rf"{bad}, but .*chooses from 3: 0 to 2"):
                call(**wrong)
    with pytest.raises(uf.BadIndex, match=rf"{bad}, but"):
        graph.run(**wrong)


def test_the_message_says_the_array_the_value_and_the_step(t):
    o, y = uf.input("o", 3, over=t), uf.input("y", over=t, dtype=int)
    graph = uf.graph(loss=uf.sum(uf.cross_entropy(o[t], y[t]), over=t)).batch("n")
    with pytest.raises(uf.BadIndex, match=r"y holds -100, but .* 3: 0 to 2, at t = 2, n = 1 \("):
        graph(o=np.zeros((2, 2, 3)), y=np.array([[0, 1], [-100, 2]]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pad", ["right", "left"])
def test_padding_may_hold_anything(t, backend, pad):
    o, y = uf.input("o", 3, over=t), uf.input("y", over=t, dtype=int)
    graph = uf.graph(loss=uf.sum(uf.cross_entropy(o[t], y[t]), over=t))
    graph = graph.batch("n", lengths="len", reduce="sum", pad=pad)
    own = [slice(0, 1), slice(0, 3)] if pad == "right" else [slice(2, 3), slice(0, 3)]
    scores, labels, total = rng.normal(size=(3, 2, 3)), np.full((3, 2), -7), 0.0
    for n, part in enumerate(own):
        labels[part, n] = 1
        total -= sum(row[1] - np.log(np.exp(row).sum()) for row in scores[part, n])
    call = graph.compile(backend)
    np.testing.assert_allclose(call(o=scores, y=labels, len=[1, 3]).loss, total)
    labels[2 if pad == "left" else 0, 0] = -1
    with pytest.raises(uf.BadIndex, match=r"y.* -1"):
        call(o=scores, y=labels, len=[1, 3])


def test_a_constant_index_is_refused_where_it_is_written():
    for bad in (7, -1, 5):
        with pytest.raises(uf.UnfoldError, match=f"one_hot: {bad} is none of 5: 0 to 4"):
            uf.one_hot(bad, 5)


# ---------------------------------------------------------------------- what a call takes
def test_masked_arrays_and_complex_numbers_for_real_ones_are_refused(t):
    x = uf.input("x", over=t)
    graph = uf.graph(loss=uf.sum(x[t] ** 2, over=t))
    with pytest.raises(uf.BindingError, match=r"x is a masked array.*filled"):
        graph(x=np.ma.masked_less([1.0, -1.0], 0))
    for call in (graph, graph.compile("numpy"), graph.value_and_grad("loss", "x"), graph.grad("loss", "x")):
        with pytest.raises(uf.BindingError, match="x is declared float, the array is complex128"):
            call(x=np.array([1j, 0.0]))


NAMED = (
    "self",
    "of",
    "order",
    "seed",
    "only",
    "wrt",
    "arrays",
    "backend",
    "state",
    "graph",
    "keep",
    "optimise",
)


@pytest.mark.parametrize("name", NAMED)
def test_any_name_may_be_an_arrays(t, name):
    w, x = uf.param(name), uf.input("x", over=t)
    graph = uf.graph(loss=uf.sum(w * x[t], over=t))
    arrays = {name: 2.0, "x": np.array([1.0, 2.0])}
    assert graph(**arrays).loss == 6.0
    assert graph.compile()(**arrays).loss == 6.0
    assert graph.value_and_grad("loss")(**arrays)[1][name] == 3.0
    assert graph.run(arrays=arrays).outputs.loss == 6.0
    assert graph.run(of="loss", arrays=arrays).adjoint[name] == 3.0
    assert uf.check(graph, "loss", arrays=arrays).ok
    assert uf.checkpoint(graph, "loss")(**arrays)[1][name] == 3.0
    stream = uf.stream(graph)
    state = stream.init(**{name: 2.0})
    assert stream(state, **{name: 2.0}, x=1.0)[0].loss == 2.0


@pytest.mark.parametrize("name", ["self", "seed", "sizes", "of"])
def test_any_name_may_be_a_dimensions(name):
    graph = uf.graph(y=uf.sum(uf.param("w", name)))
    assert graph.init(sizes={name: 3})["w"].shape == (3,)


# ---------------------------------------------------------------------- whose arrays
def test_results_are_the_callers_own(t):
    x, w, h = uf.input("x", 2, over=t), uf.param("w", 2, 3), uf.var("h", 2, over=t)
    h[0] = uf.constant([1.0, 2.0])
    h[t] = h[t - 1] + x[t]
    graph = uf.graph(
        x=x[t], w=w, turned=w.T, row=w[0], c=uf.constant([1.0, 2.0]), h=h, last=x[t.last], before=h[t - 1]
    )
    for backend in BACKENDS:
        call = graph.compile(backend)
        for _ in range(3):
            arrays = {"x": rng.normal(size=(3, 2)), "w": rng.normal(size=(2, 3))}
            kept = {n: a.copy() for n, a in arrays.items()}
            first = call(**arrays)
            want = {n: np.array(a) for n, a in first.items()}
            for a in arrays.values():
                a[...] = 99.0
            call(**{n: a + 1 for n, a in kept.items()})
            for name in want:
                np.testing.assert_array_equal(first[name], want[name], err_msg=f"{name} {backend}")
            for out in first.values():
                out[...] = -5.0
            np.testing.assert_array_equal(call(**kept)["c"], [1.0, 2.0])


def test_a_run_is_what_it_was_when_it_was_made():
    graph = uf.systems.rnn(input=2, hidden=3, classes=2)
    arrays = {"x": rng.normal(size=(4, 2)), "y": rng.integers(0, 2, 4), **graph.init(seed=0)}
    want, slope = float(graph(**arrays).loss), graph.grad("loss")(**arrays)["W"]
    run = graph.run(of="loss", **arrays)
    for a in arrays.values():
        a *= 0
    assert float(run.outputs["loss"]) == pytest.approx(want)
    np.testing.assert_allclose(run.adjoint["W"], slope)
    run["x"][...] = 7
    assert not (run["x"] == 7).any()


def test_a_constant_and_a_state_do_not_follow_their_arrays(t):
    array = np.array([1.0, 2.0])
    c, h0, h = uf.constant(array), uf.param("h0", 2), uf.var("h", 2, over=t)
    h[0] = h0
    h[t] = h[t - 1] * uf.input("x", over=t)[t] + c
    stream, start = uf.stream(uf.graph(h=h), "h"), np.array([3.0, 4.0])
    state = stream.init(h0=start)
    array[...] = start[...] = 0
    out, after = stream(state, x=2.0)
    assert out.h.tolist() == [7.0, 10.0]
    out.h[...] = 0
    assert stream(after, x=1.0)[0].h.tolist() == [8.0, 12.0]


# ---------------------------------------------------------------------- memory and failure
@pytest.mark.parametrize("keep", [1, 3])
def test_few_shapes_are_kept_and_all_are_right(t, keep):
    x = uf.input("x", over=t)
    call = uf.graph(y=uf.cumsum(x[t], over=t)).compile(keep=keep)
    for n in [1, 2, 3, 4, 1, 2, 5, 1, 1, 4]:
        for _ in range(2):
            assert call(x=np.ones(n)).y.tolist() == list(range(1, n + 1))
        assert len(call._built) <= keep
        assert len(call._known) <= keep
    with pytest.raises(uf.UnfoldError, match="keep=0"):
        uf.graph(y=uf.sum(x[t], over=t)).compile(keep=0)


def test_many_lengths_take_little_memory():
    graph = uf.systems.rnn(input=3, hidden=3, classes=2)
    call, weights = graph.value_and_grad("loss"), graph.init(seed=0)
    tracemalloc.start()
    try:
        for n in range(600, 640):
            call(x=np.ones((n, 3)), y=np.zeros(n, int), **weights)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 20e6
    finally:
        tracemalloc.stop()


def test_a_plan_that_fails_is_heard_of_and_the_values_are_right(t, monkeypatch):
    x, graph = np.arange(3.0), uf.graph(y=uf.sum(uf.input("x", over=t)[t], over=t))

    def fails(*args, **passes):
        raise ArithmeticError("sum: no place")

    monkeypatch.setattr(running, "plan", fails)
    with pytest.raises(ArithmeticError):  # in tests
        graph(x=x)
    monkeypatch.delenv("UNFOLD_STRICT")
    with pytest.warns(running.Interpreted, match=r"no plan was made.*ArithmeticError: sum: no place"):
        assert graph(x=x).y == 3.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert graph(x=np.arange(4.0)).y == 6.0  # said once
    assert graph.code().startswith("# no plan was made")


# ---------------------------------------------------------------------- no steps, no entries
@pytest.mark.parametrize("form", ["reference", "unfolded"])
def test_nothing_is_summed_to_zero_and_the_last_state_is_the_first(t, form):
    x, h0, h = uf.input("x", 2, over=t), uf.param("h0", 2), uf.var("h", 2, over=t)
    h[0] = h0
    h[t] = h[t - 1] * x[t]
    graph = uf.graph(
        loss=uf.sum(h[t.last]) + uf.sum(uf.sum(h[t]), over=t), h=h, product=uf.prod(uf.sum(x[t]), over=t)
    )
    arrays = {"x": np.zeros((0, 2)), "h0": np.array([20.0, 30.0])}
    made = graph.unfold(t=0) if form == "unfolded" else graph
    out = made.compile("reference")(**arrays)
    assert out.loss == 50.0
    assert out.product == 1.0
    assert form == "unfolded" or out.h.shape == (0, 2)
    loss, grads = made.value_and_grad("loss", backend="reference")(**arrays)
    assert loss == 50.0
    assert grads["h0"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_greatest_of_nothing_is_refused_by_name(t, backend):
    x = uf.input("x", over=t)
    for function in (uf.max, uf.min, uf.argmax):
        graph = uf.graph(y=function(x[t], over=t))
        with pytest.raises(uf.BindingError, match="greatest or least of nothing: axis t has no steps"):
            graph.compile(backend)(x=np.zeros(0))
    with pytest.raises(uf.BindingError, match="dimension n is 0"):
        uf.graph(y=uf.max(uf.input("x", "n"))).compile(backend)(x=np.zeros(0))


def test_values_without_entries_have_values():
    v = uf.input("v", "n")
    graph = uf.graph(
        s=uf.softmax(v), l=uf.log_softmax(v), e=uf.logsumexp(v), p=uf.prod(v), n=uf.norm(v), c=uf.cumsum(v)
    )
    out = graph.compile("reference")(v=np.zeros(0))
    assert (out.s.shape, out.l.shape, out.c.shape) == ((0,), (0,), (0,))
    assert (out.e, out.p, out.n) == (-np.inf, 1.0, 0.0)


def test_a_second_process_says_nothing_in_strict_silence():
    text = "import unfold as uf; x = uf.input('x'); print(uf.graph(y=x * 2)(x=2.0).y)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "4.0"
