"""One step at a time, in constant memory: a system over t as a graph without t.

A delay is a state that goes in and comes out: `h[t-1]` becomes an input, its next value an
output. A running sum is such a state too, so an output that reads the end of the sequence
(`h[t.last]`, `sum(.., over=t)`) has, after every step, the value of the sequence so far.
What does not depend on t (an encoder under a decoder) is computed once, at the start.

    s = stream(rnn, "o")
    state = s.init(**weights)
    for x in source:
        out, state = s(state, x=x, **weights)      # out.o
"""

from __future__ import annotations

import numpy as np

from unfold.analysis.causality import furthest
from unfold.analysis.schedule import edges
from unfold.core.axis import Axis
from unfold.core.errors import NotCausal, UnknownName
from unfold.core.system import reach
from unfold.graph import Graph
from unfold.learn.states import StepBuilder, Stream, depends


def stream(graph: Graph, *outputs: str, over: str | None = None) -> Stream:
    """The system over its axis (`over`, where there are several) as one step with state.

    Raises `NotCausal` where an output needs a later step. Names in `outputs` choose what is
    computed; all by default.
    """
    chosen = graph.select(*outputs) if outputs else graph
    return StepBuilder(chosen, causal_axis(graph, chosen, over)).stream()


def causal_axis(graph: Graph, chosen: Graph, over: str | None) -> Axis:
    """The axis of a graph to go along for some of its outputs, which need not vary along it; raises
    `NotCausal` where one of them needs a later step."""
    axis = _axis(graph, chosen, over)
    lead = steps_ahead(chosen, axis)
    for name, steps in lead.items():
        if steps > 0:
            far = f"{steps:.0f} step{'s' if steps > 1 else ''}" if steps < np.inf else "without end"
            raise NotCausal(
                f"{name} looks ahead along {axis.name} ({far}), so it cannot be computed step by step; "
                f"choose other outputs, or call the graph on whole sequences",
                output=name,
                lookahead=steps,
            )
    return axis


def steps_ahead(graph: Graph, axis: Axis) -> dict[str, float]:
    """For every output, by how many steps of `axis` it comes too late if every value is computed
    at its own step (infinity: as far as there are steps). An output about the whole sequence is
    judged as of the sequence so far. (`graph.lookahead` says what an output needs in principle.)"""
    inner = depends(graph, axis)
    steps = []
    for e in edges(graph):
        if e.source in inner and axis in e.target.axes:
            causal = e.target.op.name == "cumsum" and not e.target.op.parameters["backward"]
            lag = 0 if causal else dict(e.lags).get(axis, 0)
            steps.append((e.source, e.target, -lag if lag is not None else np.inf))
    ahead = furthest(steps, dict.fromkeys(graph.order, 0.0), least=0.0)
    return {
        name: max(ahead[u] for u in reach([node], graph.inputs_of)) for name, node in graph.outputs.items()
    }


def _axis(graph: Graph, chosen: Graph, over: str | None) -> Axis:
    by_name = {a.name: a for a in graph.axes}
    open_ended = [a for a in chosen.axes if a.size is None]
    if over is None and len(open_ended) == 1:
        return open_ended[0]
    if over is None or over not in by_name:
        what = f"no axis {over!r}" if over else "over which axis?"
        raise UnknownName(f"stream: {what} This graph has {', '.join(by_name) or 'none'}")
    return by_name[over]
