"""Real-time recurrent learning: gradients forward in time (Williams and Zipser 1989).

    online = rtrl(rnn, "loss")          # a graph with an output for every parameter
    step_by_step = stream(online)       # the gradient of the loss so far, in constant memory

Cost, for n state entries and P parameter entries over T steps: every entry of every parameter
has its own tangent of the state, n P numbers carried and about n n P multiplications a step;
backpropagation through time needs n T numbers and about P multiplications a step. So it pays
for small systems and endless sequences.
"""

from __future__ import annotations

from unfold.core.errors import NotDifferentiable
from unfold.core.key import steps_among
from unfold.core.node import Node
from unfold.core.system import G, Wrt, signature
from unfold.transform.adjoint import select
from unfold.transform.jacobians import forward_rows
from unfold.transform.simplify import simplify, with_axes


def rtrl(graph: G, of: str, wrt: Wrt = None) -> G:
    """d of / d wrt, the graph of `graph.grad(of, wrt)` computed by tangents that run with the
    system: dh[t]/dW = (dh[t]/dh[t-1]) dh[t-1]/dW + (what W does at t).

    >>> import unfold as uf
    >>> w, x = uf.param("w"), uf.input("x")
    >>> float(rtrl(uf.graph(y=w * w * x), "y")(w=3.0, x=2.0).w)
    12.0
    """
    target = graph.output(of)
    if target.axes or target.shape:
        raise NotDifferentiable(f"rtrl needs {of!r} to be one number; such as uf.sum(..., over=t)")
    outputs: dict[str, Node] = {}
    definitions = dict(graph.definitions)
    sources = select(graph, wrt)
    for name, node in sources.items():
        outputs[name], more = forward_rows(graph, target, name, node)
        definitions |= more
    joint = graph.remade(outputs, definitions, signature(graph), steps_among(sources))
    result = simplify(joint, inline=definitions.keys() - dict(graph.definitions).keys())
    return with_axes(result, {name: node.axes for name, node in sources.items()})
