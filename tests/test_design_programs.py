"""The programs by which the language was designed, as they were written then.

The first one stands whole. The others show only their equations; what they leave out, the
declarations, stands beside them. Nothing here is adapted to the library.
"""

import numpy as np
import pytest

FIRST = """
import numpy as np
import unfold as uf
import viz

t = uf.axis("t")                                   # time: t = 1, 2, ..., T

x = uf.input("x", "input", over=t)                 # a vector of size "input" at each step
y = uf.input("y", over=t, dtype=int)               # a class index at each step
U = uf.param("U", "hidden", "input")               # parameters have no axis: shared over time
W = uf.param("W", "hidden", "hidden")
V = uf.param("V", "classes", "hidden")
b, c = uf.param("b", "hidden"), uf.param("c", "classes")

h = uf.var("h", "hidden", over=t)                  # defined by equations
o = uf.var("o", "classes", over=t)
L = uf.var("L", over=t)

h[0] = 0
h[t] = uf.tanh(b + W @ h[t-1] + U @ x[t])
o[t] = c + V @ h[t]
L[t] = uf.cross_entropy(o[t], y[t])                # -log softmax(o[t])[y[t]]

rnn = uf.graph(loss=uf.sum(L[t], over=t), o=o)     # everything the outputs need; checked here

print(rnn)                       # the equations, the loops and their lags, the shapes
rnn                              # in a notebook: the cyclic diagram
dag = rnn.unfold(t=4)            # a graph with no axis left: the explicit DAG
dag["h", 3]                      # one node: its operation, inputs, shape
bptt = rnn.grad("loss")          # a graph again: the adjoint recurrences, outputs named like the parameters
print(bptt)                      # ... as equations;  bptt.latex() for a paper
rnn.unfold(t=4).grad("loss")     # == rnn.grad("loss").unfold(t=4)

weights = rnn.init(seed=0, input=8, hidden=16, classes=8)     # {"U": array, ...}, scaled by fan-in
loss, grads = rnn.value_and_grad("loss")(x=X, y=Y, **weights) # X: (T, input), Y: (T,)
rnn.code("loss")                 # the NumPy source that runs: forward loop, batched blocks, backward loop

uf.check(rnn, "loss", x=X, y=Y, **weights)         # proven gradients, or the operation and step at fault
viz.draw(rnn).save("rnn.svg")                      # cyclic;  .html .pdf .png .dot by suffix
viz.draw(dag).save("rnn4.svg")                     # unfolded
viz.unfolding(rnn, t=3).save("figure.svg")         # cyclic -> "Unfold" -> unfolded, side by side
"""

SIZES = {"input": 3, "hidden": 4, "decoder": 5, "align": 2, "classes": 6}

# name: (what the design leaves out, what it says, the outputs)
PROGRAMS = {
    "feed-forward network": (
        """
x, y = uf.input("x", "input"), uf.input("y", dtype=int)
W1, b1 = uf.param("W1", "hidden", "input"), uf.param("b1", "hidden")
W2, b2 = uf.param("W2", "classes", "hidden"), uf.param("b2", "classes")
""",
        """
hidden = uf.tanh(W1 @ x + b1);  yhat = uf.softmax(W2 @ hidden + b2)
""",
        "loss=-uf.sum(uf.log(yhat) * uf.one_hot(y, 'classes'))",
    ),
    "dynamical system": (
        """
t = uf.axis("t", size=3)
A, s0 = uf.param("A", "hidden", "hidden"), uf.param("s0", "hidden")
s = uf.var("s", "hidden", over=t)
""",
        """
s[0] = s0;  s[t] = uf.tanh(A @ s[t-1])
""",
        "loss=uf.sum(uf.square(s[t.last]))",
    ),
    "driven dynamical system": (
        """
t = uf.axis("t")
A, s0 = uf.param("A", "hidden", "hidden"), uf.param("s0", "hidden")
s, x = uf.var("s", "hidden", over=t), uf.input("x", "hidden", over=t)
""",
        """
s[0] = s0;  s[t] = uf.tanh(A @ s[t-1] + x[t])
""",
        "loss=uf.sum(uf.square(s[t.last]))",
    ),
    "vector to sequence": (
        """
t = uf.axis("t")
context, y = uf.input("context", "input"), uf.input("y", over=t, dtype=int)
W, R, b = uf.param("W", "hidden", "hidden"), uf.param("R", "hidden", "input"), uf.param("b", "hidden")
E, V = uf.param("E", "classes", "hidden"), uf.param("V", "classes", "hidden")
h = uf.var("h", "hidden", over=t)
""",
        """
h[0] = 0;  y[0] = 0                                 # y[0]: the start symbol
h[t] = uf.tanh(W @ h[t-1] + R @ context + uf.embedding(E, y[t-1]) + b)
""",
        "loss=uf.sum(uf.cross_entropy(V @ h[t], y[t]), over=t)",
    ),
    "encoder-decoder": (
        """
i, j = uf.axis("i"), uf.axis("j")
x, z = uf.input("x", "input", over=i), uf.input("z", over=j, dtype=int)
W, U, b = uf.param("W", "hidden", "hidden"), uf.param("U", "hidden", "input"), uf.param("b", "hidden")
P, p = uf.param("P", "decoder", "decoder"), uf.param("p", "decoder")
Q, S = uf.param("Q", "decoder", "hidden"), uf.param("S", "decoder", "hidden")
E, V = uf.param("E", "classes", "decoder"), uf.param("V", "classes", "decoder")
h, d = uf.var("h", "hidden", over=i), uf.var("d", "decoder", over=j)
z[0] = 0
""",
        """
h[0] = 0;                  h[i] = uf.tanh(W @ h[i-1] + U @ x[i] + b)
C = h[i.last]
d[0] = uf.tanh(Q @ C);     d[j] = uf.tanh(P @ d[j-1] + S @ C + uf.embedding(E, z[j-1]) + p)
""",
        "loss=uf.sum(uf.cross_entropy(V @ d[j], z[j]), over=j)",
    ),
    "attention over the encoder": (
        """
i, j = uf.axis("i"), uf.axis("j")
h, d = uf.input("h", "hidden", over=i), uf.var("d", "decoder", over=j)
A, B, v = uf.param("A", "align", "decoder"), uf.param("B", "align", "hidden"), uf.param("v", "align")
P, S = uf.param("P", "decoder", "decoder"), uf.param("S", "decoder", "hidden")
e, a = uf.var("e", over=(j, i)), uf.var("a", over=(j, i))
ctx = uf.var("ctx", "hidden", over=j)
z = uf.input("z", "decoder", over=j)
d[0] = 0
d[j] = uf.tanh(P @ d[j-1] + S @ ctx[j] + z[j])
""",
        """
e[j, i] = v @ uf.tanh(A @ d[j-1] + B @ h[i])
a[j, i] = uf.softmax(e[j, i], over=i)
ctx[j]  = uf.sum(a[j, i] * h[i], over=i)
""",
        "loss=uf.sum(uf.sum(uf.square(d[j])), over=j), a=a",
    ),
    "bidirectional": (
        """
t = uf.axis("t")
x, y = uf.input("x", "input", over=t), uf.input("y", over=t, dtype=int)
Wf, Uf, bf = uf.param("Wf", "hidden", "hidden"), uf.param("Uf", "hidden", "input"), uf.param("bf", "hidden")
Wg, Ug, bg = uf.param("Wg", "hidden", "hidden"), uf.param("Ug", "hidden", "input"), uf.param("bg", "hidden")
V, c = uf.param("V", "classes", "hidden + hidden"), uf.param("c", "classes")
f, g, o = uf.var("f", "hidden", over=t), uf.var("g", "hidden", over=t), uf.var("o", "classes", over=t)
""",
        """
f[0] = 0;            f[t] = uf.tanh(Wf @ f[t-1] + Uf @ x[t] + bf)
g[t.last + 1] = 0;   g[t] = uf.tanh(Wg @ g[t+1] + Ug @ x[t] + bg)
o[t] = c + V @ uf.concat(f[t], g[t])
""",
        "loss=uf.sum(uf.cross_entropy(o[t], y[t]), over=t)",
    ),
    "stacked": (
        """
t = uf.axis("t")
x = uf.input("x", "input", over=t)
W1, U1 = uf.param("W1", "hidden", "hidden"), uf.param("U1", "hidden", "input")
W2, U2 = uf.param("W2", "decoder", "decoder"), uf.param("U2", "decoder", "hidden")
h1, h2 = uf.var("h1", "hidden", over=t), uf.var("h2", "decoder", over=t)
h1[0] = 0;  h2[0] = 0
""",
        """
h1[t] = uf.tanh(W1 @ h1[t-1] + U1 @ x[t]);  h2[t] = uf.tanh(W2 @ h2[t-1] + U2 @ h1[t])
""",
        "loss=uf.sum(uf.sum(uf.square(h2[t])), over=t)",
    ),
    "LSTM": (
        """
t = uf.axis("t")
x = uf.input("x", "input", over=t)
Wi, Ui, bi = uf.param("Wi", "hidden", "hidden"), uf.param("Ui", "hidden", "input"), uf.param("bi", "hidden")
Wf, Uf, bf = uf.param("Wf", "hidden", "hidden"), uf.param("Uf", "hidden", "input"), uf.param("bf", "hidden")
Wq, Uq, bq = uf.param("Wq", "hidden", "hidden"), uf.param("Uq", "hidden", "input"), uf.param("bq", "hidden")
Wg, Ug, bg = uf.param("Wg", "hidden", "hidden"), uf.param("Ug", "hidden", "input"), uf.param("bg", "hidden")
i, f, q, g, c, h = (uf.var(name, "hidden", over=t) for name in "ifqgch")
c[0] = 0;  h[0] = 0
f[t] = uf.sigmoid(Wf @ h[t-1] + Uf @ x[t] + bf)
q[t] = uf.sigmoid(Wq @ h[t-1] + Uq @ x[t] + bq)
g[t] = uf.tanh(Wg @ h[t-1] + Ug @ x[t] + bg)
""",
        """
i[t] = uf.sigmoid(Wi @ h[t-1] + Ui @ x[t] + bi)
c[t] = f[t] * c[t-1] + i[t] * g[t];                h[t] = q[t] * uf.tanh(c[t])
""",
        "loss=uf.sum(uf.sum(uf.square(h[t])), over=t)",
    ),
    "memory network": (
        """
k, m = uf.axis("k", size=3), uf.axis("m")
M, O = uf.input("M", "hidden", over=m), uf.input("O", "hidden", over=m)
B, q = uf.param("B", "hidden", "input"), uf.input("q", "input")
p, u = uf.var("p", over=(k, m)), uf.var("u", "hidden", over=k)
u[0] = B @ q
""",
        """
p[k, m] = uf.softmax(u[k-1] @ M[m], over=m);  u[k] = u[k-1] + uf.sum(p[k, m] * O[m], over=m)
""",
        "loss=uf.sum(uf.square(u[k.last])), p=p",
    ),
    "grid": (
        """
i, j = uf.axis("i"), uf.axis("j")
x = uf.input("x", "input", over=(i, j))
Wr, Wc = uf.param("Wr", "hidden", "hidden"), uf.param("Wc", "hidden", "hidden")
U = uf.param("U", "hidden", "input")
h = uf.var("h", "hidden", over=(i, j))
h[0, j] = 0;  h[i, 0] = 0
""",
        """
h[i, j] = uf.tanh(Wr @ h[i-1, j] + Wc @ h[i, j-1] + U @ x[i, j])
""",
        "loss=uf.sum(uf.sum(uf.square(h[i, j])), over=(i, j))",
    ),
}  # fmt: skip


def build(name):
    declarations, program, outputs = PROGRAMS[name]
    space = {}
    exec(f"import unfold as uf\n{declarations}\n{program}\ngraph = uf.graph({outputs})", space)
    return space["graph"]


def arrays_of(graph, steps=3):
    rng = np.random.default_rng(0)
    shapes = str([u.shape for u in graph.params.values()])
    weights = graph.init(seed=0, **{name: n for name, n in SIZES.items() if name in shapes})
    data = {}
    for name, u in graph.inputs.items():
        shape = (*(a.size or steps for a in u.axes), *(SIZES[n] for n in u.shape))
        data[name] = rng.integers(0, SIZES["classes"], shape) if u.dtype == "int" else rng.normal(size=shape)
    return {**data, **weights}


def test_the_first_program_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    space = {"X": rng.normal(size=(5, 8)), "Y": rng.integers(0, 8, 5)}
    exec(FIRST, space)
    assert "h[t] = tanh(b + W @ h[t-1] + U @ x[t])" in capsys.readouterr().out.replace("t - 1", "t-1")
    assert {path.name for path in tmp_path.iterdir()} == {"rnn.svg", "rnn4.svg", "figure.svg"}
    assert set(space["grads"]) == set("UWVbc")
    assert "for " in space["rnn"].code("loss")
    assert space["uf"].check(space["rnn"], "loss", x=space["X"], y=space["Y"], **space["weights"]).ok


def test_unfolding_and_differentiating_commute_in_the_first_program():
    space = {}
    exec(FIRST.partition("print(rnn)")[0].replace("import viz", ""), space)
    rnn = space["rnn"]
    rng = np.random.default_rng(1)
    weights = rnn.init(seed=0, input=8, hidden=16, classes=8)
    data = {"x": rng.normal(size=(4, 8)), "y": rng.integers(0, 8, 4), **weights}
    one, other = rnn.unfold(t=4).grad("loss")(**data), rnn.grad("loss").unfold(t=4)(**data)
    for name in weights:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_other_program_runs_unfolds_and_differentiates(name):
    graph = build(name)
    arrays = arrays_of(graph)
    loss, gradients = graph.value_and_grad("loss")(**arrays)
    assert np.isfinite(loss)
    unfolded = graph.unfold(**{a.name: a.size or 3 for a in graph.axes})
    assert not unfolded.axes
    again, others = unfolded.value_and_grad("loss")(**arrays)
    np.testing.assert_allclose(again, loss, rtol=1e-12)
    for parameter, value in gradients.items():
        np.testing.assert_allclose(others[parameter], value, rtol=1e-9, atol=1e-12, err_msg=parameter)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_gradients_of_every_other_program_are_proven(name):
    import unfold as uf

    graph = build(name)
    report = uf.check(graph, "loss", **arrays_of(graph))
    assert report.ok, str(report)
