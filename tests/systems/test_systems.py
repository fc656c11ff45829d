"""Every ready-made system against the same mathematics written by hand as NumPy loops.

The loops below are the oracle: they know nothing of the library. Values are compared with
them, and gradients with their complex step, f'(x) = Im f(x + i h) / h, which has no
cancellation and so is exact to rounding.
"""

import inspect

import numpy as np
import pytest

import unfold as uf
from unfold import systems
from unfold.core.errors import BindingError, DefinitionError

tanh, I, H, D, K, N = np.tanh, 3, 4, 5, 6, 2  # sizes: input, hidden, decoder, classes, depth
SIZES = {
    "input": I,
    "hidden": H,
    "decoder": D,
    "classes": K,
    "state": H,
    "context": I,
    "align": N,
    "vocabulary": I,
    "memory": H,
}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    z = np.exp(x - x.real.max())
    return z / z.sum()


def cross_entropy(o, y):
    return -np.log(softmax(o)[y])


def zeros(n):
    return np.zeros(n)


def sequence(states, V, c, y):
    o = [c + V @ h for h in states]
    return {"loss": sum(map(cross_entropy, o, y)), "o": o}


def tanh_states(xs, W, U, b, h):
    states = []
    for x in xs:
        states.append(h := tanh(W @ h + U @ x + b))
    return states


def feed_forward(x, y, W1, b1, W2, b2):
    o = W2 @ tanh(W1 @ x + b1) + b2
    return {"loss": cross_entropy(o, y), "o": o, "yhat": softmax(o)}


def dynamical(target, A, s0, t):
    return driven(np.zeros((t, H)), target, A, s0)


def driven(x, target, A, s0):
    states = []
    for signal in x:
        states.append(s0 := tanh(A @ s0 + signal))
    return {"loss": ((states[-1] - target) ** 2).sum(), "s": states}


def rnn(x, y, U, W, V, b, c):
    return sequence(tanh_states(x, W, U, b, zeros(H)), V, c, y)


def rnn_output(x, y, U, W, V, b, c):
    o, states = zeros(K), []
    for signal in x:
        states.append(tanh(b + W @ o + U @ signal))
        o = c + V @ states[-1]
    return sequence(states, V, c, y)


def rnn_teacher_forcing(x, y, U, E, V, b, c):
    before = [0, *y[:-1]]
    return sequence([tanh(b + E[w] + U @ s) for w, s in zip(before, x, strict=True)], V, c, y)


def vector_to_sequence(context, y, W, R, b, E, V, c):
    h, states = zeros(H), []
    for word in [0, *y[:-1]]:
        states.append(h := tanh(W @ h + R @ context + E[word] + b))
    return sequence(states, V, c, y)


def decode(C, d, z, P, S, E, p, V, c):
    states = []
    for word in [0, *z[:-1]]:
        states.append(d := tanh(P @ d + S @ C + E[word] + p))
    return sequence(states, V, c, z)


def encoder_decoder(x, z, W, U, b, P, E, p, Q, S, V, c):
    C = tanh_states(x, W, U, b, zeros(H))[-1]
    return decode(C, tanh(Q @ C), z, P, S, E, p, V, c)


def encoder_decoder_initial(x, z, W, U, b, P, E, p, Q, V, c):
    C = tanh_states(x, W, U, b, zeros(H))[-1]
    return decode(C, tanh(Q @ C), z, P, np.zeros((D, H)), E, p, V, c)


def encoder_decoder_every(x, z, W, U, b, P, E, p, S, V, c):
    C = tanh_states(x, W, U, b, zeros(H))[-1]
    return decode(C, zeros(D), z, P, S, E, p, V, c)


def attention(x, z, W, U, b, A, B, v, P, E, p, Q, S, V, c):
    hs = np.array(tanh_states(x, W, U, b, zeros(H)))
    d, states, weights = tanh(Q @ hs[-1]), [], []
    for word in [0, *z[:-1]]:
        weights.append(softmax(np.array([v @ tanh(A @ d + B @ h) for h in hs])))
        states.append(d := tanh(P @ d + S @ (weights[-1] @ hs) + E[word] + p))
    return {**sequence(states, V, c, z), "a": weights}


def bidirectional(x, y, Wf, Uf, bf, Wg, Ug, bg, V, c):
    f = tanh_states(x, Wf, Uf, bf, zeros(H))
    g = tanh_states(x[::-1], Wg, Ug, bg, zeros(H))[::-1]
    return sequence([np.concatenate(pair) for pair in zip(f, g, strict=True)], V, c, y)


def stacked(x, y, V, c, **layers):
    for n in range(1, 4):
        if f"W{n}" in layers:
            x = tanh_states(x, *(layers[f"{name}{n}"] for name in "WUb"), zeros(H))
    return sequence(x, V, c, y)


def lstm(x, y, V, b, **gates):
    c, h, states = zeros(H), zeros(H), []
    for signal in x:
        i, f, q, g = (gates["W" + n] @ h + gates["U" + n] @ signal + gates["b" + n] for n in "ifqg")
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        states.append(h := sigmoid(q) * tanh(c))
    return sequence(states, V, b, y)


def gru(x, y, Wr, Ur, br, Wz, Uz, bz, Wg, Ug, bg, V, c):
    h, states = zeros(H), []
    for signal in x:
        r, z = sigmoid(Wr @ h + Ur @ signal + br), sigmoid(Wz @ h + Uz @ signal + bz)
        states.append(h := z * h + (1 - z) * tanh(Wg @ (r * h) + Ug @ signal + bg))
    return sequence(states, V, c, y)


def memory_network(x, q, y, A, B, C, V):
    u, weights = B @ q, []
    for _ in range(3):
        weights.append(softmax(np.array([u @ (A @ s) for s in x])))
        u = u + sum(w * (C @ s) for w, s in zip(weights[-1], x, strict=True))
    return {"loss": cross_entropy(V @ u, y), "o": V @ u, "p": weights}


def grid(x, y, Wr, Wc, U, b, V, c):
    rows, columns = x.shape[:2]
    h = np.zeros((rows + 1, columns + 1, H), np.result_type(Wr, Wc, U, b))
    for i in range(rows):
        for j in range(columns):
            h[i + 1, j + 1] = tanh(Wr @ h[i, j + 1] + Wc @ h[i + 1, j] + U @ x[i, j] + b)
    o = c + V @ h[-1, -1]
    return {"loss": cross_entropy(o, y), "o": o, "h": h[1:, 1:]}


BY_HAND = {name: globals()[name] for name in systems.all() if name in globals()} | {"stacked_3": stacked}
NAMES = list(systems.all())


def build(name, **more):
    maker = systems.all()[name]
    wanted = inspect.signature(maker).parameters
    sizes = {dim: n for dim, n in SIZES.items() if dim in wanted and isinstance(wanted[dim].default, str)}
    if "encoder_decoder" in name:
        del sizes["context"]  # there it is where the context enters
    return maker(**sizes, **more)


def arrays_of(graph, steps=4, seed=0):
    """Random parameters and inputs; every integer input is a class index."""
    rng = np.random.default_rng(seed)
    parameters = {n: rng.normal(size=u.shape) / 2 for n, u in graph.params.items()}
    lengths = {a: steps + (a.name in "im") for a in graph.axes}
    data = {} if graph.axes == () or any(u.axes for u in graph.inputs.values()) else {"t": steps}
    for name, u in graph.inputs.items():
        shape = (*(lengths[a] for a in u.axes), *u.shape)
        data[name] = rng.integers(0, K, shape) if u.dtype == "int" else rng.normal(size=shape)
    return data, parameters


def complex_step(f, parameters):
    h = 2.0**-200
    for name, value in parameters.items():
        gradient = np.empty(value.shape)
        for at in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[at] += 1j * h
            gradient[at] = f(**{**parameters, name: moved}).imag / h
        yield name, gradient


def test_there_are_thirteen_systems():
    assert len(systems.SYSTEMS) == 13
    assert set(BY_HAND) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_values_are_those_of_the_loop_written_by_hand(name, steps):
    graph = build(name)
    data, parameters = arrays_of(graph, steps)
    result = graph(**data, **parameters)
    expected = BY_HAND[name](**data, **parameters)
    assert set(result) == set(expected)
    for output, value in expected.items():
        np.testing.assert_allclose(result[output], np.array(value), rtol=1e-12, atol=1e-14, err_msg=output)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_the_complex_step_of_the_loop_written_by_hand(name):
    graph = build(name)
    data, parameters = arrays_of(graph)
    loss, gradients = graph.value_and_grad("loss")(**data, **parameters)
    assert set(gradients) == set(parameters)
    np.testing.assert_allclose(loss, BY_HAND[name](**data, **parameters)["loss"], rtol=1e-12)
    for parameter, expected in complex_step(lambda **p: BY_HAND[name](**data, **p)["loss"], parameters):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            gradients[parameter], expected, rtol=1e-10, atol=1e-10 * scale, err_msg=parameter
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_graph_and_the_unfolded_one_give_the_same_gradients(name):
    graph = build(name)
    data, parameters = arrays_of(graph, steps=3)
    extents = {a.name: 3 + (a.name in "im") for a in graph.axes if a.size is None}
    folded = graph.grad("loss")(**data, **parameters)
    data.pop("t", None)
    unfolded = graph.unfold(**extents).grad("loss")(**data, **parameters)
    for parameter, value in folded.items():
        np.testing.assert_allclose(unfolded[parameter], value, rtol=1e-10, atol=1e-12, err_msg=parameter)


@pytest.mark.parametrize("name", NAMES)
def test_dimensions_may_be_names_or_numbers(name):
    named, numbered = systems.all()[name](), build(name)
    data, parameters = arrays_of(numbered)
    assert list(named.params) == list(parameters)
    assert named(**data, **parameters).loss == numbered(**data, **parameters).loss


@pytest.mark.parametrize("name", NAMES)
def test_every_system_says_what_it_computes_and_where_it_comes_from(name):
    maker = systems.all()[name]
    text = inspect.getdoc(getattr(maker, "func", maker))
    assert "=" in text.splitlines()[0] or "[t]" in text.splitlines()[0]
    assert "Source" in text
    assert "outputs loss: ()" in text


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_stack_has_the_depth_asked_for(depth):
    graph = uf.systems.stacked(input=I, hidden=H, classes=K, depth=depth)
    assert {f"W{n}" for n in range(1, depth + 1)} == {p for p in graph.params if p.startswith("W")}


@pytest.mark.parametrize("hops", [1, 4])
def test_a_memory_is_read_as_often_as_asked_for(hops):
    graph = build("memory_network", hops=hops)
    data, parameters = arrays_of(graph)
    assert graph(**data, **parameters).p.shape == (hops, 5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: systems.stacked(depth=0), "at least one layer"),
        (lambda: systems.rnn(recurrence="sideways"), "'sideways'"),
        (lambda: systems.encoder_decoder(context="never"), "'never'"),
    ],
)
def test_a_variant_that_does_not_exist_is_refused(make, words):
    with pytest.raises(DefinitionError, match=words):
        make()


def test_a_system_that_moves_by_itself_is_told_how_long():
    graph = build("dynamical")
    data, parameters = arrays_of(graph, steps=4)
    assert graph(**data, **parameters).s.shape == (4, H)
    del data["t"]
    with pytest.raises(BindingError, match="pass t=<number of steps>"):
        graph(**data, **parameters)
    with pytest.raises(BindingError, match="t='4': the length of an axis is a number of steps"):
        graph(**data, **parameters, t="4")


def test_a_length_that_the_arrays_contradict_is_refused():
    graph = build("driven")
    data, parameters = arrays_of(graph, steps=4)
    with pytest.raises(BindingError, match="x has 4 steps of t, the call has 3"):
        graph(**data, **parameters, t=3)
