"""JAX: jit of value_and_grad over lax.scan, and the same with the input projection hoisted by hand.

A call is timed until its results are ready.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.models import Arrays, Case, Run, Unsupported


def gate(w: Arrays, k: str, h: Any, x: Any) -> Any:
    return h @ w["W" + k].T + x @ w["U" + k].T + w["b" + k]


def cross_entropy(o: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(o), y[..., None], -1).sum() / y.shape[1]


def loss_of(w: Arrays, h: Any, y: Any) -> Any:
    return cross_entropy(h @ w["V"].T + w["c"], y)


def zeros(w: Arrays, k: str, x: Any) -> Any:
    return jnp.zeros((x.shape[1], w[k].shape[0]), x.dtype)


def chain(w: Arrays, k: str, x: Any, reverse: bool = False) -> Any:
    def step(h: Any, xt: Any) -> Any:
        h = jnp.tanh(gate(w, k, h, xt))
        return h, h

    return lax.scan(step, zeros(w, "W" + k, x), x, reverse=reverse)[1]


def rnn(w: Arrays, x: Any, y: Any) -> Any:
    return loss_of(w, chain(w, "", x), y)


def bidirectional(w: Arrays, x: Any, y: Any) -> Any:
    return loss_of(w, jnp.concatenate([chain(w, "f", x), chain(w, "g", x, reverse=True)], -1), y)


def stacked(w: Arrays, x: Any, y: Any) -> Any:
    return loss_of(w, chain(w, "2", chain(w, "1", x)), y)


def lstm(w: Arrays, x: Any, y: Any) -> Any:
    def step(state: Any, xt: Any) -> Any:
        h, s = state
        i, f, q = (jax.nn.sigmoid(gate(w, k, h, xt)) for k in "ifq")
        s = f * s + i * jnp.tanh(gate(w, "g", h, xt))
        h = q * jnp.tanh(s)
        return (h, s), h

    start = zeros(w, "Wi", x)
    return loss_of(w, lax.scan(step, (start, start), x)[1], y)


def gru(w: Arrays, x: Any, y: Any) -> Any:
    def step(h: Any, xt: Any) -> Any:
        r, z = jax.nn.sigmoid(gate(w, "r", h, xt)), jax.nn.sigmoid(gate(w, "z", h, xt))
        n = jnp.tanh(xt @ w["Un"].T + w["bn"] + r * (h @ w["Wn"].T))
        h = (1 - z) * n + z * h
        return h, h

    return loss_of(w, lax.scan(step, zeros(w, "Wr", x), x)[1], y)


def attention(w: Arrays, x: Any, y: Any) -> Any:
    memory = chain(w, "", x)
    keys = memory @ w["B"].T
    previous = jnp.concatenate([jnp.zeros_like(y[:1]), y[:-1]])

    def step(d: Any, word: Any) -> Any:
        e = jnp.tanh(d @ w["A"].T + keys) @ w["v"]
        k = (jax.nn.softmax(e, 0)[:, :, None] * memory).sum(0)
        d = jnp.tanh(d @ w["P"].T + k @ w["S"].T + word + w["p"])
        return d, d

    return loss_of(w, lax.scan(step, jnp.tanh(memory[-1] @ w["Q"].T), w["E"][previous])[1], y)


# ------------------------------------------------------------ the input projection hoisted by hand
def hoisted_chain(w: Arrays, k: str, x: Any, reverse: bool = False) -> Any:
    recurrent = w["W" + k].T

    def step(h: Any, a: Any) -> Any:
        h = jnp.tanh(h @ recurrent + a)
        return h, h

    return lax.scan(step, zeros(w, "W" + k, x), x @ w["U" + k].T + w["b" + k], reverse=reverse)[1]


def hoisted_rnn(w: Arrays, x: Any, y: Any) -> Any:
    return loss_of(w, hoisted_chain(w, "", x), y)


def hoisted_bidirectional(w: Arrays, x: Any, y: Any) -> Any:
    both = [hoisted_chain(w, "f", x), hoisted_chain(w, "g", x, reverse=True)]
    return loss_of(w, jnp.concatenate(both, -1), y)


def hoisted_stacked(w: Arrays, x: Any, y: Any) -> Any:
    return loss_of(w, hoisted_chain(w, "2", hoisted_chain(w, "1", x)), y)


def stack(w: Arrays, kind: str, gates: str) -> Any:
    return jnp.concatenate([w[kind + k] for k in gates])


def hoisted_lstm(w: Arrays, x: Any, y: Any) -> Any:
    recurrent = stack(w, "W", "ifqg").T

    def step(state: Any, a: Any) -> Any:
        h, s = state
        i, f, q, g = jnp.split(h @ recurrent + a, 4, -1)
        s = jax.nn.sigmoid(f) * s + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(q) * jnp.tanh(s)
        return (h, s), h

    start = zeros(w, "Wi", x)
    a = x @ stack(w, "U", "ifqg").T + stack(w, "b", "ifqg")
    return loss_of(w, lax.scan(step, (start, start), a)[1], y)


def hoisted_gru(w: Arrays, x: Any, y: Any) -> Any:
    recurrent = stack(w, "W", "rzn").T

    def step(h: Any, a: Any) -> Any:
        (r, z, m), (ar, az, an) = jnp.split(h @ recurrent, 3, -1), jnp.split(a, 3, -1)
        r, z = jax.nn.sigmoid(r + ar), jax.nn.sigmoid(z + az)
        h = (1 - z) * jnp.tanh(an + r * m) + z * h
        return h, h

    a = x @ stack(w, "U", "rzn").T + stack(w, "b", "rzn")
    return loss_of(w, lax.scan(step, zeros(w, "Wr", x), a)[1], y)


SCANS = {f.__name__: f for f in (rnn, lstm, gru, bidirectional, stacked, attention)}
HOISTED = {
    "rnn": hoisted_rnn,
    "lstm": hoisted_lstm,
    "gru": hoisted_gru,
    "bidirectional": hoisted_bidirectional,
    "stacked": hoisted_stacked,
}


def prepare(model: Any, case: Case) -> Run:
    jax.config.update("jax_enable_x64", case.dtype == "float64")
    compiled = jax.jit(jax.value_and_grad(model))
    w = {k: jnp.asarray(a) for k, a in case.weights.items()}
    x, y = jnp.asarray(case.x), jnp.asarray(case.y)

    def step() -> Any:
        return jax.block_until_ready(compiled(w, x, y))

    return Run(step, lambda r: (float(r[0]), {k: np.asarray(g) for k, g in r[1].items()}))


def scan(case: Case) -> Run:
    return prepare(SCANS[case.model], case)


def hoisted(case: Case) -> Run:
    if case.model not in HOISTED:
        raise Unsupported("the scan of this model has its input projection outside already")
    return prepare(HOISTED[case.model], case)


PEERS = {"JAX scan": scan, "JAX scan, hoisted": hoisted}
