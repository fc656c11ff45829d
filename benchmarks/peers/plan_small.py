"""Hand-written NumPy for the LSTM where calls cost as much as arithmetic: few calls, none that broadcasts.

With g = tanh(..) and Uf, Ui, Uq = tanh of half the gates' arguments (sigmoid(z) = (1 + tanh(z/2)) / 2),

    2 s[t] = s[t-1] + g + Uf s[t-1] + Ui g,      2 h[t] = u + Uq u,   u = tanh(s[t])

The row of a step is [Uf s', Ui g, s', g, Uf, Ui, Uq], each block (hidden, n) contiguous, so that one product
makes the first two and one matrix product with (1/2, 1/2, 1/2, 1/2) sums the first four. Backward,
[ds0, carry] summed and repeated four times is one matrix product with ones (a broadcast costs 0.6 us more).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import Case, Run
from benchmarks.peers.plan_lstm import named, stacked

Array = np.ndarray[Any, Any]


def cross_entropy(o: Array, y: Array, column: Array, ones: Array, first: Array, scale: Any) -> Any:
    """The loss of the rows o (rows, classes); o becomes its gradient."""
    np.maximum.reduce(o, 1, None, column, True)
    np.subtract(o, column, o)
    flat, picked = o.reshape(-1), first + y
    loss = -np.add.reduce(flat[picked])
    np.exp(o, o)
    o.dot(ones, column)
    loss += np.add.reduce(np.log(column), None)
    np.divide(scale, column, column)
    np.multiply(o, column, o)
    flat[picked] -= scale
    return loss * scale


def coefficients(r: Array, u: Array, k: Array, hidden: int, one: Any, half: Any) -> None:
    """k = [f, i (1-g^2), s' f (1-f), g i (1-i), u q (1-q), q (1-u^2)] of all rows r and u."""
    H = hidden
    s_g, gates = r[:, 2 * H : 4 * H], r[:, 3 * H :]
    squares = k[:, H : 5 * H]
    np.multiply(gates, gates, squares)
    np.subtract(one, squares, squares)  # 1-g^2, 4 f(1-f), 4 i(1-i), 4 q(1-q)
    np.multiply(u, u, k[:, 5 * H :])
    np.subtract(one, k[:, 5 * H :], k[:, 5 * H :])
    np.multiply(k[:, 2 * H : 4 * H], s_g, k[:, 2 * H : 4 * H])
    np.multiply(k[:, 4 * H : 5 * H], u, k[:, 4 * H : 5 * H])
    np.multiply(k[:, 2 * H : 5 * H], half * half, k[:, 2 * H : 5 * H])
    f_i_q = (r[:, 4 * H :] + one) * half
    k[:, :H] = f_i_q[:, :H]
    np.multiply(k[:, H : 2 * H], f_i_q[:, H : 2 * H], k[:, H : 2 * H])
    np.multiply(k[:, 5 * H :], f_i_q[:, 2 * H :], k[:, 5 * H :])


def lstm_tiny(case: Case) -> Run:
    """Batch 1, six calls forward and four backward: [u, Uq u, x, 1] and [dz, do] meet one matrix each.

    Row t of d is [dz_q[t], ds0[t], carry, dz_g[t+1], dz_f[t+1], dz_i[t+1], do[t]], and runs on into row t+1:
    from dz_g[t+1] to dz_q[t+1] lies all that W and V carry back to h[t].
    """
    size, w, dtype = case.size, case.weights, case.dtype
    steps, H, classes = size.steps, size.hidden, size.classes
    W, U, b = (stacked(w, kind) for kind in "WUb")
    V, c = w["V"], w["c"]
    halves = np.repeat(np.array([1, 0.5, 0.5, 0.5], dtype), H)[:, None]
    quarter = halves * dtype.type(0.5)
    half, one = np.array(0.5, dtype), np.array(1, dtype)
    s = np.zeros((steps + 1, 2 * H + size.input + 1), dtype)  # s[t] = [u, Uq u, x, 1]
    s[:, -1] = 1
    r, k = np.zeros((steps + 1, 7 * H), dtype), np.empty((steps, 6 * H), dtype)
    width = 6 * H + classes
    d = np.zeros((steps + 1) * width + H, dtype)
    table = d[: (steps + 1) * width].reshape(steps + 1, width)
    do, d_q = table[1:, 6 * H :], table[1:, :H]  # row t + 1 is step t: row 0 takes what precedes step 0
    back, both, repeated = (
        np.empty((4 * H + classes, 2 * H), dtype),
        np.empty(2 * H, dtype),
        np.empty(4 * H, dtype),
    )
    into, fours, sum_repeat = (
        np.empty((s.shape[1], 4 * H), dtype),
        np.full(4, 0.5, dtype),
        np.ones((4, 2), dtype),
    )
    repeat_rows = repeated.reshape(4, H)
    o, column, ones = (
        np.empty((steps, classes), dtype),
        np.empty((steps, 1), dtype),
        np.ones((classes, 1), dtype),
    )
    first, long = np.arange(steps) * classes, np.ones(steps, dtype)
    h = np.zeros((steps + 1, H), dtype)
    states, u, u_q = h[1:], s[1:, :H], s[1:, H : 2 * H]
    forward = [
        (s[t].dot, r[t, 3 * H :], r[t, 2 * H : 4 * H], r[t, 4 * H : 6 * H], r[t, : 2 * H],
         r[t, : 4 * H].reshape(4, H), r[t + 1, 2 * H : 3 * H], s[t + 1, :H], r[t, 6 * H :],
         s[t + 1, H : 2 * H])
        for t in range(steps)
    ]  # fmt: skip
    backward = [
        (d[(t + 1) * width + 3 * H :][: 4 * H + classes].dot, k[t, 4 * H :], table[t + 1, : 2 * H],
         table[t + 1, H : 3 * H].reshape(2, H), k[t, : 4 * H], table[t, 2 * H : 6 * H])
        for t in reversed(range(steps))
    ]  # fmt: skip

    def step() -> Any:
        add, multiply, tanh = np.add, np.multiply, np.tanh
        q = W * quarter
        np.concatenate((q.T, q.T, (U * halves).T, (b[:, None] * halves).T), 0, into)
        for columns in (back[:, :H], back[:, H:]):
            np.concatenate((W[: 3 * H], V, W[3 * H :]), 0, columns)
        s[:-1, 2 * H : -1] = case.x[:, 0]
        half_sum, repeat = fours.dot, sum_repeat.dot
        for dot, gates, sg, fi, pair, four, state, us, uq, usq in forward:
            dot(into, gates)
            tanh(gates, gates)
            multiply(sg, fi, pair)
            half_sum(four, state)
            tanh(state, us)
            multiply(uq, us, usq)
        add(u, u_q, states)
        multiply(states, half, states)
        states.dot(V.T, o)
        add(o, c, o)
        loss = cross_entropy(o, case.y[:, 0], column, ones, first, one)
        do[...] = o
        coefficients(r[:-1], u, k, H, one, half)
        for dot, two, q_s, s_carry, four, before in backward:
            dot(back, both)
            multiply(both, two, q_s)
            repeat(s_carry, repeat_rows)
            multiply(repeated, four, before)
        dz = np.concatenate((table[:-1, 3 * H : 6 * H], d_q), 1)
        ub = dz.T.dot(s[:-1, 2 * H :])
        grads = {
            "W": dz.T.dot(h[:-1]),
            "U": ub[:, :-1],
            "b": ub[:, -1],
            "V": o.T.dot(states),
            "c": long.dot(o),
        }
        return loss, grads

    return Run(step, lambda result: (float(result[0]), named(result[1])))


def columns(a: Array, buffer: Array) -> Array:
    """(T, rows, n) as (rows, T n): a view at batch 1, otherwise copied into the buffer."""
    if a.shape[2] == 1:
        return a[:, :, 0].T
    buffer[...] = a.transpose(1, 0, 2)
    return buffer.reshape(len(buffer), -1)


def lstm_small(case: Case) -> Run:
    """Any batch, the input projection hoisted: eight calls forward, six backward, on blocks (hidden, n).

    Row t of d is [ds0[t-1], carry[t], dz_g[t], dz_f[t], dz_i[t], dz_q[t]].
    """
    size, w, dtype = case.size, case.weights, case.dtype
    steps, n, H, classes = size.steps, size.batch, size.hidden, size.classes
    W, U, b = (stacked(w, kind) for kind in "WUb")
    V, c = w["V"], w["c"][:, None]
    halves = np.repeat(np.array([1, 0.5, 0.5, 0.5], dtype), H)[:, None]
    quarter = halves * dtype.type(0.5)
    half, one, scale = (np.array(v, dtype) for v in (0.5, 1, 1 / n))
    fours, sum_repeat = np.full(4, 0.5, dtype), np.ones((4, 2), dtype)
    r, k = np.zeros((steps + 1, 7 * H, n), dtype), np.empty((steps, 6 * H, n), dtype)
    h, u = np.zeros((steps + 1, H, n), dtype), np.empty((steps, H, n), dtype)  # h holds 2 h
    xs = np.ones((steps, size.input + 1, n), dtype)
    d, dh = np.zeros((steps + 1, 6 * H, n), dtype), np.empty((steps, H, n), dtype)
    row, q1, back = (np.empty((m * H, n), dtype) for m in (4, 1, 1))
    repeated = np.empty((4 * H, n), dtype)
    repeat_rows = repeated.reshape(4, H * n)
    o, at, long = np.empty((classes, steps * n), dtype), np.arange(steps * n), np.ones(steps * n, dtype)
    wide, deep = np.empty((4 * H, steps, n), dtype), np.empty((H, steps, n), dtype)
    inner = np.empty((size.input + 1, steps, n), dtype)
    forward = [
        (h[t], *(r[t, i * H : j * H] for i, j in ((3, 7), (2, 4), (4, 6), (0, 2))),
         r[t, : 4 * H].reshape(4, H * n), r[t + 1, 2 * H : 3 * H].reshape(-1), r[t + 1, 2 * H : 3 * H], u[t],
         r[t, 6 * H :], h[t + 1])
        for t in range(steps)
    ]  # fmt: skip
    backward = [
        (d[t + 1, 2 * H :], dh[t], k[t, 4 * H : 5 * H], d[t, 5 * H :], k[t, 5 * H :], d[t + 1, :H],
         d[t + 1, : 2 * H].reshape(2, H * n), k[t, : 4 * H], d[t, H : 5 * H])
        for t in reversed(range(steps))
    ]  # fmt: skip

    def step() -> Any:
        add, multiply, tanh = np.add, np.multiply, np.tanh
        into = np.concatenate((U, b[:, None]), 1)
        into *= halves
        xs[:, :-1] = case.x.transpose(0, 2, 1)
        if n == 1:
            np.matmul(xs[:, :, 0], into.T, r[:-1, 3 * H :, 0])
        else:
            np.matmul(into, xs, r[:-1, 3 * H :])
        dot, half_sum, repeat = (W * quarter).dot, fours.dot, sum_repeat.dot
        for before, gates, sg, fi, pair, four, flat, state, us, uq, now in forward:
            dot(before, row)
            add(gates, row, gates)
            tanh(gates, gates)
            multiply(sg, fi, pair)
            half_sum(four, flat)
            tanh(state, us)
            add(uq, one, q1)
            multiply(q1, us, now)
        states = columns(h[1:], deep)
        np.matmul(V * half, states, o)
        add(o, c, o)
        np.subtract(o, np.maximum.reduce(o, 0), o)
        y = case.y.reshape(-1)
        loss = -add.reduce(o[y, at])
        np.exp(o, o)
        total = add.reduce(o, 0)
        loss += add.reduce(np.log(total))
        multiply(o, np.divide(scale, total, total), o)
        o[y, at] -= scale
        if n == 1:
            np.matmul(o.T, V, dh[:, :, 0])
        else:
            np.matmul(V.T, o.reshape(classes, steps, n).transpose(1, 0, 2), dh)
        grads = {"V": o.dot(states.T), "c": o.dot(long)}
        grads["V"] *= half
        coefficients(r[:-1], u, k, H, one, half)
        dot = W.T.dot
        for after, g, kq, dz_q, slope, ds, s_carry, four, now in backward:
            dot(after, back)
            add(g, back, g)
            multiply(g, kq, dz_q)
            multiply(g, slope, ds)
            repeat(s_carry, repeat_rows)
            multiply(repeated, four, now)
        dz = columns(d[:-1, 2 * H :], wide)
        grads["W"] = dz.dot(columns(h[:-1], deep).T)
        grads["W"] *= half
        ub = dz.dot(columns(xs, inner).T)
        return loss * scale, grads | {"U": ub[:, :-1], "b": ub[:, -1]}

    return Run(step, lambda result: (float(result[0]), named(result[1])))
