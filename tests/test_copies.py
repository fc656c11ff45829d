"""Pickle, copy, deepcopy and process pools: what a user holds arrives whole, and works there."""

import copy
import multiprocessing
import pickle
import re
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import unfold as uf
import viz

rng = np.random.default_rng(0)


def there(value):
    return pickle.loads(pickle.dumps(value))


WAYS = {"pickle": there, "deepcopy": copy.deepcopy, "copy": copy.copy}


def rnn():
    graph = uf.systems.rnn(input=2, hidden=3, classes=2)
    data = {"x": rng.normal(size=(4, 2)), "y": np.array([0, 1, 1, 0])}
    return graph, {**data, **graph.init(seed=0)}


def gradient(graph):
    return graph.grad("loss", [*graph.params, "x"])


FORMS = {
    "as written": (lambda g: g, lambda a: a),
    "its gradient": (gradient, lambda a: a),
    "unfolded": (lambda g: g.unfold(t=4), lambda a: a),
    "unfolded gradient": (lambda g: gradient(g).unfold(t=4), lambda a: a),
    "gradient of the unfolded": (lambda g: g.unfold(t=4).grad("loss"), lambda a: a),
    "forward mode": (lambda g: g.jvp("loss", "b"), lambda a: {**a, "b_dot": np.ones(3)}),
    "batch": (
        lambda g: g.batch("n", batch_first=True, lengths="len"),
        lambda a: {**a, "x": a["x"][None], "y": a["y"][None], "len": [3]},
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMS)
def test_a_graph_arrives(form, way):
    graph, arrays = rnn()
    make, give = FORMS[form]
    made, arrays = make(graph), give(arrays)
    want = made(**arrays)
    other = WAYS[way](made)
    got = other(**arrays)
    assert type(other) is type(made)
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_array_equal(got[name], want[name])
    assert len(other.table) == len(made.table)
    assert str(other) == str(made)


def test_one_pickle_keeps_what_is_one_thing():
    graph, _ = rnn()
    node = graph.outputs["loss"]
    other, found, again = there((graph, node, graph))
    assert other is again
    assert found is other.outputs["loss"]


def test_a_long_unfolded_graph_is_pickled_without_walking_deep():
    graph, _arrays = rnn()
    long = graph.unfold(t=20_000)
    assert len(pickle.dumps(long)) < 100_000
    assert len(there(long).table) == len(long.table) > 100_000
    written = graph.unfold(t=300).grad("loss")
    assert len(there(written).order) == len(written.order)
    total = uf.param("a")
    for _ in range(3_000):
        total = total + 1.0
    assert there(uf.graph(y=total)).compile("reference")(a=1.0).y == 3001.0


def test_what_was_found_out_stays_behind():
    graph, arrays = rnn()
    before = len(pickle.dumps(graph))
    graph(**arrays)
    graph.value_and_grad("loss")(**arrays)
    assert len(pickle.dumps(graph)) == before


def test_a_pickle_knows_no_folder_of_this_machine():
    graph, arrays = rnn()
    t = uf.axis("t")
    h = uf.var("h", over=t)
    h[0] = 0
    h[t] = h[t - 1] + 1.0
    own = uf.graph(y=h[t.last])
    folder = __file__.rpartition("/")[0].encode()
    for value in (graph, own, own.grad, h, h[t - 1], own.compile(), graph.run(of="loss", **arrays)):
        assert folder not in pickle.dumps(value)
    assert there(own).definitions.keys() != own.definitions.keys()
    assert own.outputs["y"].where.startswith(__file__)


def test_variables_and_expressions_arrive():
    t = uf.axis("t")
    h, x = uf.var("h", over=t), uf.input("x", over=t)
    h[0] = 0
    h[t] = uf.tanh(h[t - 1]) + x[t]
    h2, x2, last, body = there((h, x, h[t.last], h.bodies[(t.now,)]))
    assert uf.graph(y=last)(x=[0.5, 0.1]).y == uf.graph(y=h[t.last])(x=[0.5, 0.1]).y
    assert str(body) == str(h.bodies[(t.now,)])
    assert uf.graph(y=h2[t] + x2[t])(x=[1.0]).y == [2.0]
    alone = there(h[t.last])  # the variable reads itself
    assert uf.graph(y=alone)(x=[1.0]).y == 1.0


def test_a_constant_stays_constant():
    graph = there(uf.graph(y=uf.constant([1.0, 2.0]) * uf.param("a")))
    value = next(u.op.value for u in graph.order if u.op.name == "constant")
    assert not value.flags.writeable
    assert hash(graph.order[0].op) is not None


@pytest.mark.parametrize("way", WAYS)
def test_compiled_functions_results_and_runs_arrive(way):
    graph, arrays = rnn()
    go = WAYS[way]
    loss, grads = graph.value_and_grad("loss")(**arrays)
    other_loss, other = go(graph.value_and_grad("loss"))(**arrays)
    assert other_loss == loss
    np.testing.assert_array_equal(other["W"], grads["W"])
    assert go(graph.compile("reference"))(**arrays).loss == graph.compile("reference")(**arrays).loss
    result = graph(**arrays)
    assert go(result).loss == result.loss
    run = graph.run(of="loss", **arrays)
    np.testing.assert_array_equal(go(run)["h"], run["h"])
    np.testing.assert_array_equal(go(run.adjoint)["h", 2], run.adjoint["h", 2])


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_what_runs_over_time_arrives(way):
    graph, arrays = rnn()
    go = WAYS[way]
    weights = {n: arrays[n] for n in graph.params}
    stream = uf.stream(graph, "o")
    state = stream.init(**weights)
    want, _ = stream(state, x=arrays["x"][0], **weights)
    got, _ = go(stream)(go(state), x=arrays["x"][0], **weights)
    np.testing.assert_array_equal(got.o, want.o)
    kept = uf.checkpoint(graph, "loss", window=2)
    assert go(kept)(**arrays)[0] == kept(**arrays)[0]
    report = uf.check(graph, "loss", **arrays)
    assert str(go(report)) == str(report)
    drawing = viz.draw(graph)
    assert go(drawing).svg() == drawing.svg()


def errors():
    graph, arrays = rnn()
    t = uf.axis("t")
    x, y, h = uf.input("x", 3), uf.input("y", 2), uf.var("h", over=t)
    h[t] = h[t - 1]
    return {
        "shapes": lambda: x + y,
        "boundary": lambda: uf.graph(y=h[t]),
        "label": lambda: graph(**{**arrays, "y": np.array([0, 1, -1, 0])}),
        "name": lambda: graph.output("nothing"),
        "missing": lambda: graph(),
        "causal": lambda: uf.stream(uf.systems.bidirectional()),
    }


@pytest.mark.parametrize("name", ["shapes", "boundary", "label", "name", "missing", "causal"])
def test_errors_arrive(name):
    with pytest.raises(uf.UnfoldError) as caught:
        errors()[name]()
    error = there(caught.value)
    assert type(error) is type(caught.value)
    assert error.__dict__.keys() == caught.value.__dict__.keys()
    assert __file__ not in str(error)
    assert str(error) == re.sub(r"/[^ ]*/(?=\w+\.py:)", "", str(caught.value))
    assert str(there(error)) == str(error)


def loss_of(work):
    function, arrays = work
    return float(function(**arrays).loss)


def failing(graph):
    graph(x=1)


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_work_is_sent_to_other_processes(start):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {start}")
    graph, arrays = rnn()
    want = float(graph(**arrays).loss)
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert list(pool.map(loss_of, [(graph, arrays), (graph.compile(), arrays)])) == [want, want]
        with pytest.raises(uf.BindingError, match="missing"):
            pool.submit(failing, graph).result()
