"""Systems over several axes: encoder and decoder, attention, memory hops, a grid."""

from __future__ import annotations

from typing import Literal

import unfold as uf
from unfold.core.dims import Dim


def encoder_decoder(
    *,
    input: Dim = "input",
    hidden: Dim = "hidden",
    decoder: Dim = "decoder",
    classes: Dim = "classes",
    context: Literal["initial", "every", "both"] = "both",
) -> uf.Graph:
    """C = h[I], the end of an encoder over i; the decoder d over j starts from it and reads it

    h[i] = tanh(W h[i-1] + U x[i] + b) reads a sequence of I steps, d[j] writes one of J:
    d[j] = tanh(P d[j-1] + S C + E[z[j-1]] + p) from d[0] = tanh(Q C), o[j] = c + V d[j].
    `context` says where C enters: "initial" (only d[0]), "every" (only S C, with d[0] = 0)
    or "both". z[0] = 0 is the start symbol; loss is the sum of the cross entropies.
    x: (I, input), z: (J,) words; outputs loss: (), o: (J, classes).

    Sources: Goodfellow et al. (2016), section 10.4, fig. 10.12; Cho et al. (2014);
    Sutskever, Vinyals and Le (2014).
    """
    if context not in ("initial", "every", "both"):
        raise uf.DefinitionError(f'context is "initial", "every" or "both", not {context!r}')
    i, j = uf.axis("i"), uf.axis("j")
    x, z = uf.input("x", input, over=i), uf.input("z", over=j, dtype=int)
    W, U, b = uf.param("W", hidden, hidden), uf.param("U", hidden, input), uf.param("b", hidden)
    P, E, p = uf.param("P", decoder, decoder), uf.param("E", classes, decoder), uf.param("p", decoder)
    Q, S = uf.param("Q", decoder, hidden), uf.param("S", decoder, hidden)
    V, c = uf.param("V", classes, decoder), uf.param("c", classes)
    h, C = uf.var("h", hidden, over=i), uf.var("C", hidden)
    d, o, L = uf.var("d", decoder, over=j), uf.var("o", classes, over=j), uf.var("L", over=j)

    h[0] = 0
    h[i] = uf.tanh(W @ h[i - 1] + U @ x[i] + b)
    C[...] = h[i.last]
    d[0] = 0 if context == "every" else uf.tanh(Q @ C)
    z[0] = 0
    fed = P @ d[j - 1] if context == "initial" else P @ d[j - 1] + S @ C
    d[j] = uf.tanh(fed + uf.embedding(E, z[j - 1]) + p)
    o[j] = c + V @ d[j]
    L[j] = uf.cross_entropy(o[j], z[j])
    return uf.graph(loss=uf.sum(L[j], over=j), o=o)


def attention(
    *,
    input: Dim = "input",
    hidden: Dim = "hidden",
    decoder: Dim = "decoder",
    align: Dim = "align",
    classes: Dim = "classes",
) -> uf.Graph:
    """ctx[j] = sum_i a[j, i] h[i], a[j, i] = softmax_i(v . tanh(A d[j-1] + B h[i]))

    An encoder-decoder whose decoder looks back, at every step j, at all encoder states h[i]:
    the scores e[j, i] say how well they match the state d[j-1], the weights a[j, i] sum to 1
    over i. d[j] = tanh(P d[j-1] + S ctx[j] + E[z[j-1]] + p) from d[0] = tanh(Q h[I]).
    x: (I, input), z: (J,) words; outputs loss: (), o: (J, classes), a: (J, I).

    Source: Bahdanau, Cho and Bengio (2015); Goodfellow et al. (2016), section 12.4.5.1.
    """
    i, j = uf.axis("i"), uf.axis("j")
    x, z = uf.input("x", input, over=i), uf.input("z", over=j, dtype=int)
    W, U, b = uf.param("W", hidden, hidden), uf.param("U", hidden, input), uf.param("b", hidden)
    A, B, v = uf.param("A", align, decoder), uf.param("B", align, hidden), uf.param("v", align)
    P, E, p = uf.param("P", decoder, decoder), uf.param("E", classes, decoder), uf.param("p", decoder)
    Q, S = uf.param("Q", decoder, hidden), uf.param("S", decoder, hidden)
    V, c = uf.param("V", classes, decoder), uf.param("c", classes)
    h, d = uf.var("h", hidden, over=i), uf.var("d", decoder, over=j)
    e, a, ctx = uf.var("e", over=(j, i)), uf.var("a", over=(j, i)), uf.var("ctx", hidden, over=j)
    o, L = uf.var("o", classes, over=j), uf.var("L", over=j)

    h[0] = 0
    h[i] = uf.tanh(W @ h[i - 1] + U @ x[i] + b)
    d[0] = uf.tanh(Q @ h[i.last])
    z[0] = 0
    e[j, i] = v @ uf.tanh(A @ d[j - 1] + B @ h[i])
    a[j, i] = uf.softmax(e[j, i], over=i)
    ctx[j] = uf.sum(a[j, i] * h[i], over=i)
    d[j] = uf.tanh(P @ d[j - 1] + S @ ctx[j] + uf.embedding(E, z[j - 1]) + p)
    o[j] = c + V @ d[j]
    L[j] = uf.cross_entropy(o[j], z[j])
    return uf.graph(loss=uf.sum(L[j], over=j), o=o, a=a)


def memory_network(
    *, vocabulary: Dim = "vocabulary", memory: Dim = "memory", classes: Dim = "classes", hops: int = 3
) -> uf.Graph:
    """u[k] = u[k-1] + sum_m p[k, m] O[m], p[k, m] = softmax_m(u[k-1] . M[m]), u[0] = B q

    End-to-end memory network: the question q is answered by looking `hops` times at all
    sentences x[m] (bags of words), each seen as a key M[m] = A x[m] and a content
    O[m] = C x[m]. The hops are an axis k, and share their parameters. Answer
    o = V u[K], loss = -log softmax(o)[y].
    x: (number of sentences, vocabulary), q: (vocabulary,), y: a class index;
    outputs loss: (), o: (classes,), p: (hops, number of sentences).

    Source: Sukhbaatar, Szlam, Weston and Fergus (2015), section 2.2, layer-wise weights.
    """
    k, m = uf.axis("k", size=hops), uf.axis("m")
    x, q, y = uf.input("x", vocabulary, over=m), uf.input("q", vocabulary), uf.input("y", dtype=int)
    A, B = uf.param("A", memory, vocabulary), uf.param("B", memory, vocabulary)
    C, V = uf.param("C", memory, vocabulary), uf.param("V", classes, memory)
    M, O = uf.var("M", memory, over=m), uf.var("O", memory, over=m)
    u, p = uf.var("u", memory, over=k), uf.var("p", over=(k, m))
    o = uf.var("o", classes)

    M[m] = A @ x[m]
    O[m] = C @ x[m]
    u[0] = B @ q
    p[k, m] = uf.softmax(u[k - 1] @ M[m], over=m)
    u[k] = u[k - 1] + uf.sum(p[k, m] * O[m], over=m)
    o[...] = V @ u[k.last]
    return uf.graph(loss=uf.cross_entropy(o, y), o=o, p=p)


def grid(*, input: Dim = "input", hidden: Dim = "hidden", classes: Dim = "classes") -> uf.Graph:
    """h[i, j] = tanh(Wr h[i-1, j] + Wc h[i, j-1] + U x[i, j] + b), o = c + V h[I, J]

    A two-dimensional recurrent network: the state at row i and column j follows from the
    ones above and to the left, and the last one has seen the whole picture.
    x: (I, J, input), y: a class index; outputs loss: (), o: (classes,), h: (I, J, hidden).

    Source: Graves, Fernandez and Schmidhuber (2007), with tanh units.
    """
    i, j = uf.axis("i"), uf.axis("j")
    x, y = uf.input("x", input, over=(i, j)), uf.input("y", dtype=int)
    Wr, Wc = uf.param("Wr", hidden, hidden), uf.param("Wc", hidden, hidden)
    U, b = uf.param("U", hidden, input), uf.param("b", hidden)
    V, c = uf.param("V", classes, hidden), uf.param("c", classes)
    h, o = uf.var("h", hidden, over=(i, j)), uf.var("o", classes)

    h[0, j] = 0
    h[i, 0] = 0
    h[i, j] = uf.tanh(Wr @ h[i - 1, j] + Wc @ h[i, j - 1] + U @ x[i, j] + b)
    o[...] = c + V @ h[i.last, j.last]
    return uf.graph(loss=uf.cross_entropy(o, y), o=o, h=h)
