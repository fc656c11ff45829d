"""Results have the axes of what they belong to, in its order: gradients those of the input, outputs the
written ones, batches their axis first where they were asked for so. The oracles are loops by hand."""

import numpy as np
import pytest

import unfold as uf

BACKENDS = ("reference", "numpy")
rng = np.random.default_rng(3)
X, A = rng.normal(size=(4, 3)), 0.7  # (t, i)


@pytest.fixture
def turned(t):
    """h varies over (i, t), its input over (t, i)."""
    i = uf.axis("i")
    x, a, h = uf.input("x", over=(t, i)), uf.param("a"), uf.var("h", over=(i, t))
    h[0, t] = 0
    h[i, t] = uf.tanh(a * h[i - 1, t] + x[t, i])
    return uf.graph(loss=uf.sum(uf.sum(h[i, t], over=i), over=t), h=h, turned=x[t, i] * 1.0)


def by_hand(x, a=A):
    """h[i, t], the loss and its slope in x[t, i]."""
    steps, width = x.shape
    h, slope = np.zeros((width + 1, steps)), np.zeros((steps, width))
    for i in range(1, width + 1):
        for t in range(steps):
            h[i, t] = np.tanh(a * h[i - 1, t] + x[t, i - 1])
    for t in range(steps):
        back = 0.0
        for i in range(width, 0, -1):
            back = (back + 1.0) * (1 - h[i, t] ** 2)
            slope[t, i - 1] = back
            back *= a
    return h[1:], h[1:].sum(), slope


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(4, 3), (3, 3), (2, 5), (1, 4)])
def test_a_gradient_has_the_axes_of_its_input(turned, backend, shape):
    x = rng.normal(size=shape)
    _, loss, slope = by_hand(x)
    value, grads = turned.value_and_grad("loss", "x", backend=backend)(x=x, a=A)
    np.testing.assert_allclose(value, loss)
    np.testing.assert_allclose(grads["x"], slope)
    np.testing.assert_allclose(turned.grad("loss", "x").compile(backend)(x=x, a=A)["x"], slope)
    np.testing.assert_allclose(turned.run(of="loss", x=x, a=A).adjoint["x"], slope)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tangent_has_the_axes_of_its_output(turned, backend):
    h, _, slope = by_hand(X)
    direction, e = rng.normal(size=X.shape), 1e-6
    forward = turned.jvp(wrt="x").compile(backend)(x=X, a=A, x_dot=direction)
    np.testing.assert_allclose(forward["h"], h)
    np.testing.assert_allclose(forward["turned_dot"], direction)
    np.testing.assert_allclose(forward["loss_dot"], (slope * direction).sum())
    moved = (by_hand(X + e * direction)[0] - by_hand(X - e * direction)[0]) / (2 * e)
    np.testing.assert_allclose(forward["h_dot"], moved, atol=1e-8)
    second = turned.hvp("loss", "x").compile(backend)(x=X, a=A, x_dot=direction)
    curved = (by_hand(X + e * direction)[2] - by_hand(X - e * direction)[2]) / (2 * e)
    np.testing.assert_allclose(second["x"], curved, atol=1e-8)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_batch_has_its_axis_where_it_was_asked_for(turned, backend, batch_first):
    examples = [rng.normal(size=(4, 3)) for _ in range(2)]
    stacked = np.stack(examples, 0 if batch_first else 2)
    graph = turned.batch("n", batch_first=batch_first, reduce="sum")
    where = 0 if batch_first else 2
    out = graph.compile(backend)(x=stacked, a=A)
    np.testing.assert_allclose(out.h, np.stack([by_hand(x)[0] for x in examples], where))
    np.testing.assert_allclose(out.turned, stacked)
    grads = graph.value_and_grad("loss", "x", backend=backend)(x=stacked, a=A)[1]
    np.testing.assert_allclose(grads["x"], np.stack([by_hand(x)[2] for x in examples], where))
    assert graph.run(of="loss", x=stacked, a=A).adjoint["x"].shape == stacked.shape


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("pad", ["left", "right"])
def test_padded_batches_keep_their_order(t, backend, batch_first, pad):
    x, w, s = uf.input("x", over=t), uf.param("w"), uf.var("s", over=t)
    s[0] = 0
    s[t] = w * s[t - 1] + x[t]
    graph = uf.graph(loss=uf.sum(s[t] ** 2, over=t), s=s, steps=s[t] * uf.step(t))
    graph = graph.batch("n", batch_first=batch_first, reduce="sum", lengths="len", pad=pad)
    lengths, data = [3, 1, 4, 0], rng.normal(size=(4, 4))  # (example, step)
    states, loss, slope = np.zeros((4, 4)), 0.0, np.zeros((4, 4))
    for n, length in enumerate(lengths):
        start, now = (0 if pad == "right" else 4 - length), 0.0
        for k in range(start, start + length):
            now = states[n, k] = 0.5 * now + data[n, k]
            loss += now**2
        back = 0.0
        for k in range(start + length - 1, start - 1, -1):
            back = slope[n, k] = 0.5 * back + 2 * states[n, k]

    def order(a):
        return a if batch_first else a.T

    arrays = {"x": order(data), "w": 0.5, "len": lengths}
    out = graph.compile(backend)(**arrays)
    np.testing.assert_allclose(out.s, order(states))
    assert out.steps.shape == order(states).shape
    value, grads = graph.value_and_grad("loss", "x", backend=backend)(**arrays)
    np.testing.assert_allclose(value, loss)
    np.testing.assert_allclose(grads["x"], order(slope))
    if pad == "right":
        got = uf.checkpoint(graph, "loss", ["x", "w"], window=3, snapshots=1, over="t")(**arrays)
        np.testing.assert_allclose(got[1]["x"], order(slope))
        e = 1e-6
        near = [graph.compile(backend)(**{**arrays, "w": 0.5 + d}).loss for d in (e, -e)]
        np.testing.assert_allclose(got[1]["w"], (near[0] - near[1]) / (2 * e), rtol=1e-5)


def test_lengths_beyond_the_axis_are_refused_by_checkpoint_too(t):
    x = uf.input("x", over=t)
    graph = uf.graph(loss=uf.sum(x[t], over=t)).batch("n", lengths="len")
    with pytest.raises(uf.UnfoldError, match="5 is no length of a sequence of 3 steps"):
        uf.checkpoint(graph, "loss", "x", over="t")(x=np.ones((3, 2)), len=[5, 1])


def test_a_real_time_gradient_is_that_of_its_batch_and_takes_what_the_graph_takes(t):
    x, w, unread, h = uf.input("x", over=t), uf.param("w"), uf.param("b"), uf.var("h", over=t)
    h[0] = 0
    h[t] = uf.tanh(w * h[t - 1] + x[t]) + 0 * unread
    graph = uf.graph(loss=uf.sum(h[t] ** 2, over=t)).batch("n", reduce="sum")
    data, e = rng.normal(size=(5, 3)), 1e-6

    def loss(w):
        total, h = 0.0, np.zeros(3)
        for row in data:
            h = np.tanh(w * h + row)
            total += (h**2).sum()
        return total

    got = uf.rtrl(graph, "loss").compile("reference")(x=data, w=0.6, b=1.0)
    np.testing.assert_allclose(got.w, (loss(0.6 + e) - loss(0.6 - e)) / (2 * e), rtol=1e-6)
    assert got.b == 0


def test_hvp_takes_a_direction_for_every_parameter():
    w, q = uf.param("w"), uf.param("q", 2)
    got = uf.graph(y=w**3 + uf.sum(q)).hvp("y")(w=2.0, q=[1.0, 2.0], w_dot=1.5, q_dot=[1.0, 1.0])
    assert got["w"] == 18.0
    assert got["q"].tolist() == [0.0, 0.0]


def test_checkpoint_gives_the_gradients_of_inputs(t):
    c, x, w, h = uf.input("c", 2), uf.input("x", 2, over=t), uf.param("w", 2), uf.var("h", 2, over=t)
    h[0] = c
    h[t] = uf.tanh(w * h[t - 1] + c * x[t] + x[t - 1])
    x[0] = c
    graph = uf.graph(loss=uf.sum(uf.sum(h[t] ** 2), over=t))
    arrays = {"c": np.array([0.2, -0.4]), "w": np.array([0.5, 0.3]), "x": rng.normal(size=(5, 2))}

    def loss(c, w, x):
        h, before, total = c, c, 0.0
        for row in x:
            h, before = np.tanh(w * h + c * row + before), row
            total = total + (h**2).sum()
        return total

    for window in (1, 2, 5, 9):
        value, grads = uf.checkpoint(graph, "loss", ["c", "x", "w"], window=window, snapshots=1)(**arrays)
        np.testing.assert_allclose(value, loss(**arrays))
        for name, array in arrays.items():
            want = np.zeros_like(array)
            for k in np.ndindex(array.shape):
                step = np.zeros(array.shape, complex)
                step[k] = 1e-30j
                want[k] = np.imag(complex_loss(loss, {**arrays, name: array + step})) / 1e-30
            np.testing.assert_allclose(grads[name], want)


def complex_loss(loss, arrays):
    return loss(**arrays)


def test_checkpoint_of_whole_numbers_gives_floating_gradients(t):
    x, w = uf.input("x", over=t), uf.param("w")
    graph = uf.graph(loss=uf.sum(w * w * x[t] * 0.5, over=t))
    assert uf.checkpoint(graph, "loss", ["x", "w"])(x=[1, 2], w=1)[1]["x"].tolist() == [0.5, 0.5]


# ---------------------------------------------------------------------- the same at every step
OVER = {
    "cumsum": (lambda v, t: uf.cumsum(v, over=t), np.cumsum),
    "cumprod": (lambda v, t: uf.cumprod(v, over=t), np.cumprod),
    "softmax": (lambda v, t: uf.softmax(v, over=t), lambda v: np.exp(v) / np.exp(v).sum()),
    "log_softmax": (lambda v, t: uf.log_softmax(v, over=t), lambda v: v - np.log(np.exp(v).sum())),
    "cummax": (lambda v, t: uf.cummax(v, over=t), np.maximum.accumulate),
    "sort": (lambda v, t: uf.sort(v, over=t), np.sort),
    "window": (lambda v, t: uf.sum(uf.window(v, 2, over=t)), lambda v: v + np.concatenate([[0], v[:-1]])),
    "sum": (lambda v, t: uf.sum(v, over=t), np.sum),
    "mean": (lambda v, t: uf.mean(v, over=t), np.mean),
    "prod": (lambda v, t: uf.prod(v, over=t), np.prod),
    "max": (lambda v, t: uf.max(v, over=t), np.max),
    "logsumexp": (lambda v, t: uf.logsumexp(v, over=t), lambda v: np.log(np.exp(v).sum())),
    "norm": (lambda v, t: uf.norm(v, over=t), lambda v: np.sqrt((v * v).sum())),
    "variance": (lambda v, t: uf.variance(v, over=t), np.var),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", OVER)
@pytest.mark.parametrize("spread", [False, True])
def test_what_is_the_same_at_every_step_counts_at_every_step(t, name, backend, spread):
    """f over t of w alone (through a variable that has the axis), and of w + z[t]."""
    ours, theirs = OVER[name]
    w, z, v = uf.param("w"), uf.input("z", over=t), uf.var("v", over=t)
    v[t] = w + z[t] if spread else w
    y = ours(v[t], t)
    graph = uf.graph(loss=uf.sum(y * z[t], over=t))
    Z = np.array([1.0, 2.5, 4.0])

    def loss(w):
        return float((theirs(w + Z if spread else np.full(3, w)) * Z).sum())

    e, at = 1e-5, 0.8
    slope = (loss(at + e) - loss(at - e)) / (2 * e)
    value, grads = graph.value_and_grad("loss", backend=backend)(w=at, z=Z)
    np.testing.assert_allclose(value, loss(at))
    np.testing.assert_allclose(grads["w"], slope, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(graph.run(w=at, z=Z).adjoint["w"], slope, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        graph.jvp("loss").compile(backend)(w=at, z=Z, w_dot=1.0)["loss_dot"], slope, rtol=1e-6, atol=1e-8
    )
    np.testing.assert_allclose(graph.unfold(t=3).grad("loss")(w=at, z=Z)["w"], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_running_sum_of_ones_is_the_step(t, backend):
    w, z = uf.param("w"), uf.input("z", over=t)
    summed = uf.graph(y=uf.sum(uf.cumsum(z[t] + w, over=t), over=t))
    Z = np.array([1.0, 2, 4])
    assert summed.jvp("y", "w").compile(backend)(w=1.0, z=Z, w_dot=1.0)["y_dot"] == 6.0
    assert summed.grad("y", "z").compile(backend)(w=1.0, z=Z)["z"].tolist() == [3.0, 2.0, 1.0]
