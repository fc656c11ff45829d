"""Hand-written NumPy as an expert writes it: the bar for the code that unfold prints.

Only what lies on a cycle stays in a loop; everything else is done for a chunk of time at once. Loops
call bound methods and ufuncs with positional outputs on rows prepared once. Every buffer is made once
and reused; what is returned is always new. At tiny sizes, where a call costs more than its arithmetic,
`rnn_tiny` puts [h, x, 1] into one row times [W; U; b], and [dz, do] into one row times [W; V].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import Case, Run, Unsupported
from benchmarks.peers.plan_chain import bidirectional, stacked
from benchmarks.peers.plan_lstm import lstm
from benchmarks.peers.plan_small import lstm_small, lstm_tiny

Array = np.ndarray[Any, Any]
CACHE = 1 << 17  # numbers that a chunk of one array may hold


def chunks(steps: int, numbers: int) -> list[slice]:
    """Slices of time in each of which an array with `numbers` entries per step stays in the cache."""
    length = max(1, min(steps, CACHE // numbers))
    return [slice(k, min(k + length, steps)) for k in range(0, steps, length)]


def rows(*arrays: Array) -> list[tuple[Array, ...]]:
    """The arrays' steps side by side, as views made once."""
    return list(zip(*(list(a) for a in arrays), strict=True))


class Readout:
    """o = h V' + c and its cross-entropy with y, fused: (loss, dh) for the rows of a chunk of steps.

    The gradients of V and c are summed in `dv` and `dc`, which `take` hands out and replaces.
    """

    def __init__(self, case: Case, length: int) -> None:
        self.v, self.c = case.weights["V"], case.weights["c"]
        count = length * case.size.batch
        self.o = np.empty((count, case.size.classes), case.dtype)
        self.column = np.empty((count, 1), case.dtype)
        self.ones = np.ones((case.size.classes, 1), case.dtype)
        self.long = np.ones((1, count), case.dtype)
        self.first = np.arange(count) * case.size.classes
        self.scale = case.dtype.type(1 / case.size.batch)
        self.start()

    def start(self) -> None:
        self.dv: Any = None
        self.dc: Any = None

    def __call__(self, h: Array, y: Array, dh: Array) -> Any:
        """h (rows, hidden), y (rows): the loss, and its gradient with respect to h into dh."""
        count = len(h)
        o, column, picked = self.o[:count], self.column[:count], self.first[:count] + y
        h.dot(self.v.T, o)
        np.add(o, self.c, o)
        np.maximum.reduce(o, 1, None, column, True)
        np.subtract(o, column, o)
        flat = o.reshape(-1)
        loss = -np.add.reduce(flat[picked])
        np.exp(o, o)
        o.dot(self.ones, column)
        loss += np.add.reduce(np.log(column), None)
        np.divide(self.scale, column, column)
        np.multiply(o, column, o)
        flat[picked] -= self.scale
        dv, dc = o.T.dot(h), self.long[:, :count].dot(o)[0]
        if self.dv is None:
            self.dv, self.dc = dv, dc
        else:
            self.dv += dv
            self.dc += dc
        o.dot(self.v, dh)
        return loss * self.scale


def rnn(case: Case) -> Run:
    size, w, dtype = case.size, case.weights, case.dtype
    steps, n, hidden = size.steps, size.batch, size.hidden
    W, U, b = w["W"], w["U"], w["b"]
    parts = chunks(steps, n * hidden)
    length = parts[0].stop
    h = np.zeros((steps + 1, n, hidden), dtype)
    dz = np.zeros((steps + 1, n, hidden), dtype)
    slope = np.empty((length, n, hidden), dtype)
    row = np.empty((n, hidden), dtype)
    ones = np.ones((1, steps * n), dtype)
    x, y = case.x.reshape(steps * n, -1), case.y.reshape(-1)
    flat_h, flat_dz = h.reshape(-1, hidden), dz.reshape(-1, hidden)
    readout = Readout(case, length)
    forward, backward = [], []
    for part in parts:
        here = slice(part.start * n, part.stop * n)
        after = slice(here.start + n, here.stop + n)
        forward.append((x[here], flat_h[after], rows(h[part], h[part.start + 1 : part.stop + 1])))
        slopes = slope[: part.stop - part.start]
        loop = rows(dz[part.start + 1 : part.stop + 1], dz[part], slopes)[::-1]
        backward.append((flat_h[after], y[here], flat_dz[here], slopes.reshape(-1, hidden), loop))

    def step() -> Any:
        add, multiply, subtract, tanh = np.add, np.multiply, np.subtract, np.tanh
        UT, WT, one = U.T, W.T, dtype.type(1)
        for xs, hs, loop in forward:
            xs.dot(UT, hs)
            add(hs, b, hs)
            for before, now in loop:  # h[t] = tanh(W h[t-1] + (U x[t] + b))
                before.dot(WT, row)
                add(now, row, now)
                tanh(now, now)
        readout.start()
        loss = 0
        for hs, ys, dzs, slopes, loop in reversed(backward):
            loss += readout(hs, ys, dzs)
            multiply(hs, hs, slopes)
            subtract(one, slopes, slopes)
            for after, now, s in loop:  # dz[t] = (dh[t] + W' dz[t+1]) * (1 - h[t]^2)
                after.dot(W, row)
                add(now, row, now)
                multiply(now, s, now)
        z = flat_dz[: steps * n]
        grads = {"W": z.T.dot(flat_h[: steps * n]), "U": z.T.dot(x), "b": ones.dot(z)[0]}
        return loss, grads | {"V": readout.dv, "c": readout.dc}

    return Run(step, lambda result: (float(result[0]), result[1]))


def rnn_tiny(case: Case) -> Run:
    """Rows [h[t-1], x[t], 1] times [W, U, b]', and rows [dz[t+1], do[t]] times [W; V]: two calls per step."""
    size, w, dtype = case.size, case.weights, case.dtype
    steps, n, hidden, classes = size.steps, size.batch, size.hidden, size.classes
    V, c = w["V"], w["c"]
    s = np.zeros((steps + 1, n, hidden + size.input + 1), dtype)  # s[t] = [h[t-1], x[t], 1]
    s[:, :, -1] = 1
    r = np.zeros((steps + 1, n, hidden + classes), dtype)  # r[t+1] = [dz[t+1], do[t]]
    slope = np.empty((steps, n, hidden), dtype)
    into, back = np.empty((s.shape[2], hidden), dtype), np.empty((hidden + classes, hidden), dtype)
    row, o = np.empty((n, hidden), dtype), np.empty((steps, n, classes), dtype)
    column, ones = np.empty((steps, n, 1), dtype), np.ones((classes, 1), dtype)
    first = np.arange(steps * n) * classes
    scale, one, long = dtype.type(1 / n), dtype.type(1), np.ones(steps * n, dtype)
    h, flat, y = s[1:, :, :hidden], o.reshape(-1), case.y.reshape(-1)
    do, sums, states = o.reshape(-1, classes), column.reshape(-1, 1), h.reshape(-1, hidden)
    inputs, dz = s[:-1].reshape(steps * n, -1), r[:-1, :, :hidden].reshape(-1, hidden)
    forward = [(a.dot, b) for a, b in zip(s[:-1], h, strict=True)]
    backward = [(r[t + 1].dot, slope[t], r[t, :, :hidden]) for t in reversed(range(steps))]

    def step() -> Any:
        add, multiply, subtract, tanh = np.add, np.multiply, np.subtract, np.tanh
        np.concatenate((w["W"].T, w["U"].T, w["b"][None]), 0, into)
        np.concatenate((w["W"], V), 0, back)
        s[:-1, :, hidden:-1] = case.x
        for dot, now in forward:
            dot(into, row)
            tanh(row, now)
        states.dot(V.T, do)
        add(o, c, o)
        np.maximum.reduce(o, 2, None, column, True)
        subtract(o, column, o)
        picked = first + y
        loss = -add.reduce(flat[picked])
        np.exp(o, o)
        do.dot(ones, sums)
        loss += add.reduce(np.log(column), None)
        np.divide(scale, column, column)
        multiply(o, column, o)
        flat[picked] -= scale
        r[1:, :, hidden:] = o
        multiply(h, h, slope)
        subtract(one, slope, slope)
        for dot, k, before in backward:
            dot(back, row)
            multiply(row, k, before)
        g = dz.T.dot(inputs)
        grads = {
            "W": g[:, :hidden],
            "U": g[:, hidden:-1],
            "b": g[:, -1],
            "V": do.T.dot(states),
            "c": long.dot(do),
        }
        return loss * scale, grads

    return Run(step, lambda result: (float(result[0]), result[1]))


def plan(case: Case) -> Run:
    """The schedule that suits the size: few calls where they dominate, chunks of time elsewhere."""
    width = case.size.batch * case.size.hidden
    if case.model == "rnn":
        return (rnn_tiny if width <= 64 else rnn)(case)
    if case.model == "lstm":
        if case.size.batch == 1 and width <= 32 and case.size.steps <= 1000:
            return lstm_tiny(case)
        return (lstm_small if case.size.steps * width <= 1 << 16 else lstm)(case)
    if case.model in ("stacked", "bidirectional"):
        return (stacked if case.model == "stacked" else bidirectional)(case)
    raise Unsupported("not written by hand for this model")


PEERS = {"plan by hand": plan}
