"""Hand-written NumPy for the LSTM: feature-major for batches, rows at batch 1, fused rows at tiny sizes.

The gates' weights are stacked once, outside the timing, as an expert keeps them: rows g, f, i, q. All four
gates take one tanh: sigmoid(z) = 0.5 + 0.5 tanh(z / 2), the halves folded into the weights. A step's row is

    [s[t-1], g, f, i, q]        so that  [s[t-1], g] * [f, i]  is one product.

Backward, what does not depend on the cotangents is made for a whole chunk of time before its loop:

    ds[t] = dh[t] * q (1 - u^2) + ds[t+1] * f[t+1],   u = tanh(s[t])
    [ds[t] f, dz_g, dz_f, dz_i] = ds[t] * [f, i (1 - g^2), s[t-1] f (1 - f), g i (1 - i)]
    dz_q = dh[t] * u q (1 - q)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import Arrays, Case, Run

Array = np.ndarray[Any, Any]
GATES = "gfiq"
CACHE = 1 << 18  # numbers of the gates of a chunk


def stacked(weights: Arrays, kind: str) -> Array:
    return np.concatenate([weights[kind + k] for k in GATES])


def named(grads: Arrays) -> Arrays:
    """Gradients of the stacked weights in the names of the single ones."""
    out = {k: g for k, g in grads.items() if k in "Vc"}
    for kind in "WUb":
        out |= {kind + k: part for k, part in zip(GATES, np.split(grads[kind], 4), strict=True)}
    return out


def coefficients(z: Array, u: Array, k: Array, slope: Array, hidden: int) -> None:
    """k = [f, i (1-g^2), s' f (1-f), g i (1-i), u q (1-q)], slope = q (1-u^2), from z and u = tanh(s)."""
    g, f, i, q = (z[:, j * hidden : (j + 1) * hidden] for j in range(1, 5))
    kf, kg, kifq = k[:, :hidden], k[:, hidden : 2 * hidden], k[:, 2 * hidden :]
    np.multiply(u, u, slope)
    np.subtract(z.dtype.type(1), slope, slope)
    np.multiply(slope, q, slope)
    np.multiply(g, g, kg)
    np.subtract(z.dtype.type(1), kg, kg)
    np.multiply(kg, i, kg)
    np.subtract(z.dtype.type(1), z[:, 2 * hidden :], kifq)
    np.multiply(kifq, z[:, 2 * hidden :], kifq)
    np.multiply(kifq[:, : 2 * hidden], z[:, : 2 * hidden], kifq[:, : 2 * hidden])
    np.multiply(kifq[:, 2 * hidden :], u, kifq[:, 2 * hidden :])
    kf[...] = f


def lstm(case: Case) -> Run:
    """Feature-major: the state of a step is (hidden, batch), so each gate is one contiguous block."""
    size, w, dtype = case.size, case.weights, case.dtype
    steps, n, hidden, classes = size.steps, size.batch, size.hidden, size.classes
    W, U, b = (stacked(w, kind) for kind in "WUb")
    V, c = w["V"], w["c"][:, None]
    halves = np.repeat(np.array([1, 0.5, 0.5, 0.5], dtype), hidden)[:, None]
    half, scale = (np.array(v, dtype) for v in (0.5, 1 / n))
    length = max(1, min(steps, CACHE // (4 * hidden * n)))
    z = np.zeros((steps + 1, 5 * hidden, n), dtype)
    h, u = np.zeros((steps + 1, hidden, n), dtype), np.empty((steps, hidden, n), dtype)
    xs = np.ones((steps, size.input + 1, n), dtype)
    k, slope = np.empty((length, 5 * hidden, n), dtype), np.empty((length, hidden, n), dtype)
    dz, dh = np.zeros((length + 1, 4 * hidden, n), dtype), np.empty((length, hidden, n), dtype)
    row, pair, carry = (np.empty((m * hidden, n), dtype) for m in (4, 2, 1))
    back, ds = np.empty((hidden, n), dtype), np.empty((hidden, n), dtype)
    flat_dz = np.empty((4 * hidden, length, n), dtype)
    flat_h, flat_x = np.empty((hidden, length, n), dtype), np.empty((size.input + 1, length, n), dtype)
    o, place = np.empty((classes, length * n), dtype), np.arange(length * n)

    forward = [
        (
            h[t].reshape(hidden, n),
            *(z[t, a * hidden : e * hidden] for a, e in ((1, 5), (2, 5), (0, 2), (2, 4), (4, 5))),
            z[t + 1, :hidden], u[t], h[t + 1],
        )
        for t in range(steps)
    ]  # fmt: skip
    loops = [
        (dz[j + 1], dh[j], slope[j], k[j, : 4 * hidden].reshape(4, hidden, n), k[j, 4 * hidden :], dz[j])
        for j in range(length)
    ]
    parts = [slice(a, min(a + length, steps)) for a in range(0, steps, length)]

    def step() -> Any:
        add, multiply, tanh = np.add, np.multiply, np.tanh
        into = np.concatenate((U, b[:, None]), 1)
        into *= halves
        recurrent = W * halves
        first, second = pair[:hidden], pair[hidden:]
        xs[:, :-1] = case.x.transpose(0, 2, 1)
        dot = recurrent.dot
        for part in parts:
            np.matmul(into, xs[part], z[part, hidden:])
            for before, gates, sigmoids, sg, fi, q, s, us, now in forward[part]:
                dot(before, row)
                add(gates, row, gates)
                tanh(gates, gates)
                multiply(sigmoids, half, sigmoids)
                add(sigmoids, half, sigmoids)
                multiply(sg, fi, pair)
                add(first, second, s)
                tanh(s, us)
                multiply(q, us, now)
        WT = W.T
        dot = np.ascontiguousarray(WT).dot
        grads: Arrays = {}
        loss = 0
        dz[length] = 0
        carry[...] = 0
        for part in reversed(parts):
            count = part.stop - part.start
            states = flat_h[:, :count]
            states[...] = h[part.start + 1 : part.stop + 1].transpose(1, 0, 2)
            rows = states.reshape(hidden, -1)
            out, at = o[:, : count * n], place[: count * n]
            V.dot(rows, out) if out.flags.c_contiguous else np.matmul(V, rows, out)
            add(out, c, out)
            out -= np.maximum.reduce(out, 0)
            y = case.y[part].reshape(-1)
            loss -= add.reduce(out[y, at])
            np.exp(out, out)
            total = add.reduce(out, 0)
            loss += add.reduce(np.log(total))
            multiply(out, np.divide(scale, total, total), out)
            out[y, at] -= scale
            np.matmul(V.T, out.reshape(classes, count, n).transpose(1, 0, 2), dh[:count])
            coefficients(z[part], u[part], k[:count], slope[:count], hidden)
            if count < length:  # the last chunk is short: its first cotangent is zero
                dz[count] = 0
            for after, d, sl, ks, kq, now in reversed(loops[:count]):
                dot(after, back)
                add(d, back, d)
                multiply(d, sl, ds)
                add(ds, carry, ds)
                multiply(d, kq, now[3 * hidden :])
                multiply(ds, ks[0], carry)
                multiply(ds, ks[1:], now[: 3 * hidden].reshape(3, hidden, n))
            flat = flat_dz[:, :count]
            flat[...] = dz[:count].transpose(1, 0, 2)
            flat = flat.reshape(4 * hidden, -1)
            parts_h, parts_x = flat_h[:, :count], flat_x[:, :count]
            new = {"V": out.dot(rows.T), "c": add.reduce(out, 1)}
            parts_h[...] = h[part].transpose(1, 0, 2)
            parts_x[...] = xs[part].transpose(1, 0, 2)
            new |= {
                "W": flat.dot(parts_h.reshape(hidden, -1).T),
                "UB": flat.dot(parts_x.reshape(-1, count * n).T),
            }
            for name, g in new.items():
                if name in grads:
                    grads[name] += g
                else:
                    grads[name] = g
            dz[length] = dz[0]
        ub = grads.pop("UB")
        return loss * scale, grads | {"U": ub[:, :-1], "b": ub[:, -1]}

    return Run(step, lambda result: (float(result[0]), named(result[1])))
