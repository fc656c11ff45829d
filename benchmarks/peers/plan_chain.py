"""Hand-written NumPy for tanh recurrences in chunks of time: vanilla, stacked and bidirectional.

h[t] = tanh(W h[t-1] + (U x[t] + b))          U x + b for a chunk at once, straight into h
dz[t] = (dh[t] + W' dz[t+1]) * (1 - h[t]^2)   dh for a chunk at once, straight into dz
dW = sum_t dz[t] h[t-1]', dU = sum_t dz[t] x[t]'   one product each, over all steps
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import Arrays, Case, Run

Array = np.ndarray[Any, Any]
CACHE = 1 << 18  # numbers that a chunk of one array may hold


def chunks(case: Case) -> list[slice]:
    """Slices of time in each of which a state stays in the cache."""
    steps = case.size.steps
    length = max(1, min(steps, CACHE // (case.size.batch * case.size.hidden)))
    return [slice(k, min(k + length, steps)) for k in range(0, steps, length)]


def together(*arrays: Array) -> list[tuple[Array, ...]]:
    """The arrays' steps side by side, as views made once."""
    return list(zip(*(list(a) for a in arrays), strict=True))


class Chain:
    """One recurrence over time, forward or (`back`) from the last step to the first."""

    def __init__(self, case: Case, suffix: str, back: bool = False) -> None:
        size, dtype = case.size, case.dtype
        steps, n, hidden = size.steps, size.batch, size.hidden
        self.suffix = suffix
        self.W, self.U, self.b = (case.weights[k + suffix] for k in "WUb")
        h = np.zeros((steps + 1, n, hidden), dtype)
        dz = np.zeros((steps + 1, n, hidden), dtype)
        slope = np.empty((chunks(case)[0].stop, n, hidden), dtype)
        self.row, self.one = np.empty((n, hidden), dtype), np.array(1, dtype)
        self.ones = np.ones((1, steps * n), dtype)
        states, before, after = (h[:-1], h[1:], slice(0, steps)) if back else (h[1:], h[:-1], slice(1, None))
        direction = -1 if back else 1
        dz, next_dz = (dz[1:], dz[:-1]) if back else (dz[:-1], dz[after])
        self.h, self.before, self.dz = (a.reshape(steps * n, hidden) for a in (states, before, dz))
        self.parts = []
        for part in chunks(case):
            here, k = slice(part.start * n, part.stop * n), slope[: part.stop - part.start]
            forward = together(before[part], states[part])[::direction]
            backward = together(next_dz[part], dz[part], k)[::-direction]
            self.parts.append((here, k.reshape(-1, hidden), forward, backward))

    def forward(self, k: int, x: Array) -> None:
        """States of chunk k from x (T n, inputs)."""
        here, _, loop, _ = self.parts[k]
        add, tanh, row, WT, states = np.add, np.tanh, self.row, self.W.T, self.h[here]
        x[here].dot(self.U.T, states)
        add(states, self.b, states)
        for before, now in loop:
            before.dot(WT, row)
            add(now, row, now)
            tanh(now, now)

    def backward(self, k: int) -> None:
        """dz of chunk k, where dh stands before."""
        here, slope, _, loop = self.parts[k]
        add, multiply, row, W, states = np.add, np.multiply, self.row, self.W, self.h[here]
        multiply(states, states, slope)
        np.subtract(self.one, slope, slope)
        for after, now, s in loop:
            after.dot(W, row)
            add(now, row, now)
            multiply(now, s, now)

    def gradients(self, x: Array) -> Arrays:
        grads = {"W": self.dz.T.dot(self.before), "U": self.dz.T.dot(x), "b": self.ones.dot(self.dz)[0]}
        return {k + self.suffix: g for k, g in grads.items()}


class Readout:
    """o = c + V [h, ...] and its cross-entropy with y, fused; cotangents go straight into each chain's dz."""

    def __init__(self, case: Case, chains: list[Chain]) -> None:
        size, dtype = case.size, case.dtype
        count = chunks(case)[0].stop * size.batch
        self.V, self.c, self.y, self.chains = case.weights["V"], case.weights["c"], case.y.reshape(-1), chains
        self.columns = [slice(k * size.hidden, (k + 1) * size.hidden) for k in range(len(chains))]
        self.o, self.more = (np.empty((count, size.classes), dtype) for _ in range(2))
        self.column, self.ones = np.empty((count, 1), dtype), np.ones((size.classes, 1), dtype)
        self.long, self.first = np.ones((1, count), dtype), np.arange(count) * size.classes
        self.scale = np.array(1 / size.batch, dtype)
        self.start()

    def start(self) -> None:
        self.loss: Any = 0
        self.grads: Arrays = {}

    def __call__(self, k: int) -> None:
        """The loss of chunk k, and dh of every chain."""
        here = self.chains[0].parts[k][0]
        count = here.stop - here.start
        o, column, more = self.o[:count], self.column[:count], self.more[:count]
        self.chains[0].h[here].dot(self.V[:, self.columns[0]].T, o)
        for chain, part in zip(self.chains[1:], self.columns[1:], strict=True):
            chain.h[here].dot(self.V[:, part].T, more)
            np.add(o, more, o)
        np.add(o, self.c, o)
        np.maximum.reduce(o, 1, None, column, True)
        np.subtract(o, column, o)
        flat, picked = o.reshape(-1), self.first[:count] + self.y[here]
        loss = -np.add.reduce(flat[picked])
        np.exp(o, o)
        o.dot(self.ones, column)
        self.loss += (loss + np.add.reduce(np.log(column), None)) * self.scale
        np.divide(self.scale, column, column)
        np.multiply(o, column, o)
        flat[picked] -= self.scale
        new = {"V": np.empty_like(self.V), "c": self.long[:, :count].dot(o)[0]}
        for chain, part in zip(self.chains, self.columns, strict=True):
            np.matmul(o, self.V[:, part], chain.dz[here])
            np.matmul(o.T, chain.h[here], new["V"][:, part])
        if self.grads:
            for name, g in new.items():
                self.grads[name] += g
        else:
            self.grads = new


def rnn(case: Case) -> Run:
    chain = Chain(case, "")
    readout, x, every = Readout(case, [chain]), case.x.reshape(-1, case.size.input), range(len(chunks(case)))

    def step() -> Any:
        for k in every:
            chain.forward(k, x)
        readout.start()
        for k in reversed(every):
            readout(k)
            chain.backward(k)
        return readout.loss, chain.gradients(x) | readout.grads

    return Run(step, lambda result: (float(result[0]), result[1]))


def stacked(case: Case) -> Run:
    low, high = Chain(case, "1"), Chain(case, "2")
    readout, x, every = Readout(case, [high]), case.x.reshape(-1, case.size.input), range(len(chunks(case)))

    def step() -> Any:
        for k in every:
            low.forward(k, x)
            high.forward(k, low.h)
        readout.start()
        for k in reversed(every):
            readout(k)
            high.backward(k)
            here = high.parts[k][0]
            high.dz[here].dot(high.U, low.dz[here])
            low.backward(k)
        return readout.loss, low.gradients(x) | high.gradients(low.h) | readout.grads

    return Run(step, lambda result: (float(result[0]), result[1]))


def bidirectional(case: Case) -> Run:
    f, g = Chain(case, "f"), Chain(case, "g", back=True)
    readout, x, every = Readout(case, [f, g]), case.x.reshape(-1, case.size.input), range(len(chunks(case)))

    def step() -> Any:
        for k in every:
            f.forward(k, x)
        for k in reversed(every):
            g.forward(k, x)
        readout.start()
        for k in reversed(every):
            readout(k)
            f.backward(k)
        for k in every:
            g.backward(k)
        return readout.loss, f.gradients(x) | g.gradients(x) | readout.grads

    return Run(step, lambda result: (float(result[0]), result[1]))
