"""Random systems in plain `random`: lag systems for legality, and whole models for gradients."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import unfold as uf

Read = tuple[int, int, tuple[int, ...]]  # reader, source, lag along each axis


@dataclass(frozen=True)
class Lags:
    """Who reads whom and how far back: `variables` of them over `axes` axes."""

    variables: int
    axes: int
    reads: tuple[Read, ...]

    def graph(self, sizes: tuple[int, ...] | None = None) -> Any:
        """The system in the language; every boundary is given. Axes fixed at `sizes`."""
        axes = [uf.axis("ijk"[a], size=None if sizes is None else sizes[a]) for a in range(self.axes)]
        names = [uf.var(f"v{k}", over=axes) for k in range(self.variables)]
        for k, v in enumerate(names):
            own = [(source, lags) for reader, source, lags in self.reads if reader == k]
            for index in self._boundary(k, axes):
                v[index] = 0.0
            terms = [names[s][tuple(a - lag for a, lag in zip(axes, lags, strict=True))] for s, lags in own]
            v[tuple(axes)] = uf.tanh(sum(terms, start=uf.constant(0.5)))
        return uf.graph(**{f"out{k}": v[tuple(axes)] for k, v in enumerate(names)})

    def _boundary(self, variable: int, axes: list[Any]) -> Iterator[tuple[Any, ...]]:
        """Every index pattern outside 1..T that some read of the variable may reach."""
        from itertools import product

        reach = [[lags[a] for _, s, lags in self.reads if s == variable] for a in range(self.axes)]
        places = []
        for axis, lags in zip(axes, reach, strict=True):
            before = [-m for m in range(max([0, *lags]))]
            after = [axis.last + 1 + m for m in range(max([0, *(-lag for lag in lags)]))]
            places.append([axis, *before, *after])
        return (p for p in product(*places) if p != tuple(axes))

    def has_order(self, sizes: tuple[int, ...]) -> bool:
        """By brute force: the concrete dependences at these sizes have no cycle."""
        from itertools import product

        nodes = list(product(range(self.variables), *(range(1, n + 1) for n in sizes)))
        inside, waiting, users = set(nodes), dict.fromkeys(nodes, 0), {n: [] for n in nodes}
        for v, *at in nodes:
            for reader, source, lags in self.reads:
                place = (source, *(i - lag for i, lag in zip(at, lags, strict=True)))
                if reader == v and place in inside:
                    waiting[(v, *at)] += 1
                    users[place].append((v, *at))
        ready = [n for n in nodes if not waiting[n]]
        done = 0
        while ready:
            done += 1
            for user in users[ready.pop()]:
                waiting[user] -= 1
                if not waiting[user]:
                    ready.append(user)
        return done == len(nodes)


def lag_system(rng: random.Random, axes: int = 1, largest: int = 2) -> Lags:
    """A few variables with a few reads each; legal or not."""
    n = rng.randint(1, 3)
    reads = [
        (rng.randrange(n), rng.randrange(n), tuple(rng.randint(-largest, largest) for _ in range(axes)))
        for _ in range(rng.randint(1, n + 2))
    ]
    return Lags(n, axes, tuple(dict.fromkeys(reads)))


@dataclass
class Model:
    """A random legal model over t with loss, parameters, inputs and all kinds of reads."""

    graph: Any
    steps: int
    arrays: dict[str, np.ndarray[Any, Any]]


def model(seed: int, steps: int | None = None) -> Model:
    """A model drawn from a seed: vectors and scalars, forward and backward loops, retimed
    ones, fixed and reversed reads, sums over the axis, delayed inputs, broadcasts."""
    rng = random.Random(seed)
    values = np.random.default_rng(seed)
    t = uf.axis("t")
    size = steps if steps is not None else rng.choice([1, 1, 2, 3, 4])
    d = rng.choice([1, 2, 3])
    arrays: dict[str, np.ndarray[Any, Any]] = {}

    def param(*shape: Any) -> Any:
        name = f"p{len(arrays)}"
        arrays[name] = values.standard_normal([d if s == "d" else s for s in shape])
        return uf.param(name, *shape)

    x = uf.input("x", "d", over=t)
    arrays["x"] = values.standard_normal((size, d))
    z = uf.input("z", over=t)
    arrays["z"] = values.standard_normal(size)
    x[0] = param("d")
    x[-1] = 0.25
    z[t.last + 1] = param()
    vectors: list[Any] = []  # what earlier groups computed

    def scale(term: Any) -> Any:
        kind = rng.randrange(4)
        if term.shape == () or kind == 0:
            return param() * term
        if kind == 1:
            return param("d") * term
        return param("d", "d") @ term

    def outside(k: int) -> Any:
        """A term that does not depend on the group being defined."""
        kind = rng.randrange(10)
        if kind == 0:
            return x[t - rng.randint(0, 2)]
        if kind == 1:
            return z[t + rng.randint(0, 1)] * param("d")
        if kind == 2:
            return param("d")
        if kind == 3:
            return uf.sum(x[t] * z[t], over=t)
        if kind == 4 and vectors:
            return uf.softmax(rng.choice(vectors)[t], over=t)
        if kind == 5 and vectors:
            return rng.choice(vectors)[t.last + 1 - t]
        if kind == 6 and vectors:
            return rng.choice(vectors)[rng.choice([t.last, 1])]
        if kind == 7 and vectors:
            v = rng.choice(vectors)
            return v[t - v.lag] * uf.tanh(z[t])
        if kind == 8:
            return uf.step(t) * 0.1 * param("d")
        if vectors:
            return rng.choice(vectors)[t] * x[t]
        return x[t] * 0.5

    for k in range(rng.randint(1, 3)):
        direction = rng.choice([1, 1, -1])
        group = [uf.var(f"h{k}{m}", "d", over=t) for m in range(rng.randint(1, 2))]
        lag = rng.randint(1, 3)
        shift = [0, rng.choice([0, 0, 1, -1])]
        for v in group:
            v.lag = direction * lag
            for m in range(lag + 1):
                v[-m if direction > 0 else t.last + 1 + m] = rng.choice([0, 0.5, param("d"), param() * 2])
            if len(group) == 2 and shift[1]:
                v[t.last + 1 if direction > 0 else 0] = param("d")
        for m, v in enumerate(group):
            terms = [scale(outside(k)) for _ in range(rng.randint(1, 2))]
            if rng.random() < 0.8:
                terms.append(scale(v[t - direction * rng.randint(1, lag)]))
            if m == 1:  # reads the first variable, which reads it back with the opposite shift
                terms.append(scale(group[0][t + shift[1]]))
            elif len(group) == 2:
                back = direction * lag + shift[1]
                if 0 < back * direction <= lag + 1:
                    terms.append(scale(group[1][t - back]))
            total = terms[0]
            for term in terms[1:]:
                total = rng.choice([lambda a, b: a + b, lambda a, b: a - b])(total, term)
            v[t] = rng.choice([uf.tanh, uf.sigmoid, lambda a: a * 0.5, lambda a: uf.tanh(a) * z[t]])(total)
        vectors += group
    v = rng.choice(vectors)
    loss = uf.sum(uf.sum(v[t] * v[t]), over=t) * 0.5
    if rng.random() < 0.5:
        loss = loss + uf.sum(rng.choice(vectors)[rng.choice([t.last, 1])])
    if rng.random() < 0.3:
        loss = loss + uf.sum(uf.max(rng.choice(vectors)[t], over=t) * uf.logsumexp(x[t], over=t))
    if rng.random() < 0.3:
        loss = loss + uf.sum(uf.constant(2.0) * param() + 0 * z[t], over=t)
    graph = uf.graph(loss=loss)
    needed = {*graph.params, *graph.inputs}
    arrays = {name: a for name, a in arrays.items() if name in needed}
    return Model(graph, size, arrays)
