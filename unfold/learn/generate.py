"""Free-running generation: a model's own choices fed back where training fed the truth.

generate(translator, feed="z", length=20, x=X, **weights)          # greedy, or by temperature
beam(translator, feed="z", width=5, length=20, x=X, **weights)     # the likeliest sequences
free_running(translator, feed="z")                                 # the same as a graph
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from unfold.analysis.legality import check_legality
from unfold.core.axis import Axis
from unfold.core.errors import BadName, DefinitionError, UnfoldError, UnknownName
from unfold.core.kinds import Dtype
from unfold.core.leaves import Input, Symbol
from unfold.core.node import Node, call
from unfold.core.system import reach, rebuild, rewrite
from unfold.graph import Graph
from unfold.learn.states import Stream
from unfold.learn.streaming import stream
from unfold.transform.unfolding import written_out


@dataclass(frozen=True)
class Sequence:
    """Chosen symbols, and the logarithm of their probability."""

    symbols: tuple[int, ...]
    log_probability: float


def choose(scores: Any, temperature: float, rng: Generator) -> int:
    """An index drawn from softmax(scores / temperature); the greatest where it is 0.

    >>> choose(np.array([0.0, 9.0, 1.0]), 0.0, np.random.default_rng(0))
    1
    """
    if not temperature >= 0:
        raise UnfoldError(f"a temperature is 0 or more, not {temperature}")
    scores = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise UnfoldError("the model's scores are not finite: its weights have diverged")
    if temperature < 1e-300:  # the division below would overflow
        return int(np.argmax(scores))
    with np.errstate(under="ignore", over="ignore"):
        p = np.exp((scores - scores.max()) / temperature)
    return int(rng.choice(len(p), p=p / p.sum()))


def generate(
    graph: Graph,
    *,
    feed: str,
    length: int,
    scores: str = "o",
    temperature: float = 0.0,
    start: int = 0,
    stop: int | None = None,
    seed: int = 0,
    over: str | None = None,
    arrays: Mapping[str, Any] | None = None,
    **more: Any,
) -> Sequence:
    """Symbols chosen one after another from softmax(scores / temperature) and fed back as the
    input `feed`; greedily where the temperature is 0.

    Ends after `length` symbols, or with `stop`. `start` is fed first where the scores read
    `feed` at the same step; where they read it at the step before, the system has its own.
    """
    arrays = {**(arrays or {}), **more}
    loop = Feedback.of(graph, feed, scores, over)
    state, now, rng = loop.begin(arrays), start, np.random.default_rng(seed)
    chosen: list[int] = []
    total = 0.0
    while len(chosen) < length and (not chosen or chosen[-1] != stop):
        values, state = loop.step(state, now, arrays)
        now = choose(values, temperature, rng)
        total += float(log_softmax(values)[now])
        state = loop.fed(state, now)
        chosen.append(now)
    return Sequence(tuple(chosen), total)


def beam(
    graph: Graph,
    *,
    feed: str,
    length: int,
    width: int = 5,
    scores: str = "o",
    start: int = 0,
    stop: int | None = None,
    normalise: float = 0.0,
    over: str | None = None,
    arrays: Mapping[str, Any] | None = None,
    **more: Any,
) -> list[Sequence]:
    """The likeliest sequences found by beam search, best first, at most `width`.

    Keeps the `width` best beginnings at each step. A sequence ends with `stop` or after
    `length` symbols. With `normalise` = a, they are ranked by log p / (number of symbols)**a,
    which favours long ones (Wu et al. 2016 use 0.6 to 0.7).
    """
    arrays = {**(arrays or {}), **more}
    if width < 1 or length < 0:
        raise UnfoldError(f"beam: width is at least 1 and length at least 0, not {width} and {length}")
    loop = Feedback.of(graph, feed, scores, over)

    def rank(s: Sequence) -> float:
        return float(-s.log_probability / max(1, len(s.symbols)) ** normalise)

    live = [(Sequence((), 0.0), loop.begin(arrays))]
    done: list[Sequence] = []
    for _ in range(length):
        longer = []
        for found, state in live:
            values, after = loop.step(state, found.symbols[-1] if found.symbols else start, arrays)
            logp = log_softmax(values)
            for symbol in np.argsort(-logp, kind="stable")[:width]:
                total = found.log_probability + float(logp[symbol])
                longer.append((Sequence((*found.symbols, int(symbol)), total), after))
        longer.sort(key=lambda pair: -pair[0].log_probability)
        live = []
        for found, after in longer[:width]:
            if found.symbols[-1] == stop:
                done.append(found)
            else:
                live.append((found, loop.fed(after, found.symbols[-1])))
        done = sorted(done, key=rank)[:width]
        hopeless = not normalise and len(done) == width
        if not live or (hopeless and done[-1].log_probability >= live[0][0].log_probability):
            return done
    return sorted([*done, *(found for found, _ in live)], key=rank)[:width]


def free_running(graph: Graph, *, feed: str, scores: str = "o", noise: str | None = None) -> Graph:
    """The system with its own likeliest choice in the place of the input `feed`: a graph with
    the outputs `scores` and `feed`. Call it with the number of steps: `g(j=20, ...)`.

    With `noise` = a name, a further input over the axis is added to the scores: where it holds
    temperature times Gumbel noise, the choices are samples (Gumbel 1954).
    """
    given = _input(graph, feed)
    body = graph.output(scores)
    if set(body.axes) != set(given.axes) or len(body.shape) != 1:
        raise DefinitionError(f"{scores} should be one vector of scores at every step of {feed}")
    symbol = Node(Symbol(feed, tuple(a.now for a in given.axes)), (), given.axes, (), "int", given.where)
    outer = graph.select(scores)
    changed = rewrite(
        Graph({**outer.outputs, feed: given}, graph.definitions),
        lambda node, inputs: symbol if node is given else rebuild(node, inputs),
    )
    values = changed.output(scores)
    if noise is not None:
        if noise in graph.inputs or noise in graph.params:
            raise BadName(f"noise: the name {noise!r} is taken")
        values = values + Node(Input(noise), (), given.axes, body.shape, "float")
    result = Graph(changed.outputs, {**dict(changed.definitions), symbol: call("argmax", values)})
    check_legality(result, written_out)
    return result


def log_softmax(scores: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """scores - log sum exp(scores)"""
    z = np.asarray(scores, dtype=np.float64)
    z = z - z.max()
    return np.asarray(z - np.log(np.exp(z).sum()))


def _input(graph: Graph, name: str) -> Node:
    node = graph.inputs.get(name)
    if node is None or node.dtype != Dtype.INT or not node.axes:
        known = [n for n, u in graph.inputs.items() if u.dtype == Dtype.INT and u.axes]
        raise UnknownName(
            f"feed: no integer input {name!r} over an axis; there are {', '.join(known) or 'none'}"
        )
    return node


@dataclass(frozen=True)
class Feedback:
    """A stream of scores whose choices go back in: at once, or as the register of a delay."""

    stream: Stream
    feed: str
    scores: str
    register: str | None

    @classmethod
    def of(cls, graph: Graph, feed: str, scores: str, over: str | None) -> Feedback:
        made = graph.known.setdefault("feedback", {})  # compiled once per graph
        if (feed, scores, over) not in made:
            made[feed, scores, over] = cls._make(graph, feed, scores, over)
        result: Feedback = made[feed, scores, over]
        return result

    @classmethod
    def _make(cls, graph: Graph, feed: str, scores: str, over: str | None) -> Feedback:
        node = _input(graph, feed)
        axis: Axis = node.axes[0] if over is None else next(a for a in node.axes if a.name == over)
        s = stream(graph, scores, over=axis.name)
        now = s.step.inputs.get(feed)
        at_once = now is not None and now in reach([s.step.output(scores)], s.step.inputs_of)
        register = f"{feed}[{axis.name}-1]"
        if not at_once and register not in s.state:
            raise DefinitionError(f"{scores} does not depend on {feed}, so there is nothing to feed back")
        return cls(s, feed, scores, None if at_once else register)

    def begin(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The state before the first choice."""
        return self.stream.init(**arrays)

    def step(
        self, state: Mapping[str, Any], now: int, arrays: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """The scores of a step, and the state after it."""
        inputs = {
            k: a for k, a in arrays.items() if k in self.stream.step.params or k in self.stream.step.inputs
        }
        out, after = self.stream(state, **{**inputs, self.feed: now})
        return out[self.scores], after

    def fed(self, state: dict[str, Any], symbol: int) -> dict[str, Any]:
        """The state after the choice is known."""
        return state if self.register is None else {**state, self.register: symbol}
