"""Forward mode: every symbol `h` gets a tangent symbol `h_dot`, with the same lags.

For each node v, tangent(v) = sum over its inputs u of (dv/du) tangent(u). On a recurrence
this carries the derivative of the state along with the state: with a parameter's tangent it
is real-time recurrent learning (Williams and Zipser 1989).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from unfold.core.axis import Axis
from unfold.core.errors import NotDifferentiable
from unfold.core.key import NewNames, steps_among, unused
from unfold.core.kinds import INEXACT, Role
from unfold.core.leaves import Input, Named, Symbol
from unfold.core.node import Node, Op, call
from unfold.core.op import apply, cotangents
from unfold.core.system import G, System, Wrt, once, postorder, reach, signature
from unfold.ops.time.delays import size, zeros
from unfold.transform.adjoint import adjoints, by_name, full, grad, select, sibling
from unfold.transform.simplify import simplify, with_axes


def jvp(graph: G, of: str | Iterable[str] | None = None, wrt: Wrt = None) -> G:
    """The outputs and their tangents: `loss` and `loss_dot`, given tangents `W_dot`, `x_dot`, ...
    of what `wrt` names (all parameters by default) as further inputs.

    >>> import unfold as uf
    >>> w, x = uf.param("w"), uf.input("x")
    >>> g = jvp(uf.graph(y=w * x**2), wrt="x")
    >>> float(g(w=2.0, x=3.0, x_dot=1.0).y_dot)
    12.0
    """
    return _with_tangents(graph, of, select(graph, wrt))[0]


def _with_tangents(
    graph: G, of: str | Iterable[str] | None, sources: Mapping[str, Node]
) -> tuple[G, dict[str, str]]:
    """The outputs and their tangents, and what the tangent of each output is called."""
    chosen = list(graph.outputs) if of is None else [of] if isinstance(of, str) else list(of)
    seeds = {node: _tangent_input(graph, node) for node in sources.values()}
    tangent, definitions = tangents(graph, seeds)
    outputs: dict[str, Node] = {}
    axes: dict[str, tuple[Axis, ...]] = {}
    dots: dict[str, str] = {}
    for name in chosen:
        outputs[name] = node = graph.output(name)
        axes[name] = node.axes
        if node.dtype in INEXACT:
            dots[name] = dot = unused(name + "_dot", graph.outputs)
            outputs[dot], axes[dot] = full(tangent.get(node), node), node.axes
        elif of is not None:
            raise NotDifferentiable(f"the output {name!r} is {node.dtype} data; it has no tangent")
    definitions = {**dict(graph.definitions), **definitions}
    given = signature(graph) | signature(System({str(u.op): u for u in seeds.values()}, {}))
    joint = simplify(graph.remade(outputs, definitions, given), inline=definitions)
    return with_axes(joint, axes), dots


def hvp(graph: G, of: str, wrt: Wrt = None) -> G:
    """Hessian times a vector: H v for the Hessian of the number `of`. Outputs are named like
    what `wrt` names; v comes in as `W_dot`, ... Forward over reverse: the gradient's tangent.

    >>> import unfold as uf
    >>> x = uf.input("x", 2)
    >>> g = hvp(uf.graph(y=uf.sum(x**3)), "y", "x")
    >>> g(x=[1.0, 2.0], x_dot=[1.0, 1.0])["x"].tolist()
    [6.0, 12.0]
    """
    wrt = once(wrt)
    sources, gradient = select(graph, wrt), grad(graph, of, wrt)
    both, dots = _with_tangents(gradient, None, select(gradient, list(sources)))
    outputs = {name: both.output(dots[name]) for name in sources}
    return graph.remade(outputs, both.definitions, signature(both), steps_among(sources))


def _tangent_input(graph: System, node: Node) -> Node:
    op = node.op
    assert isinstance(op, Named)
    label = unused(op.label + "_dot", {u.op.label for u in graph.order if isinstance(u.op, Named)})
    return Node(Input(label, op.index, role=Role.TANGENT), (), node.axes, node.shape, node.dtype, node.where)


def tangents(
    graph: System, seeds: Mapping[Node, Node], along: tuple[Axis, ...] = ()
) -> tuple[dict[Node, Node], dict[Node, Node]]:
    """The tangent of every node that a seeded one can change, and the definitions of the
    tangent symbols among them. Seeds may vary along further axes, `along`."""
    active = reach(seeds, lambda n: [u for u in graph.users.get(n, ()) if u.dtype in INEXACT])
    taken = {u.op.label for u in graph.order if isinstance(u.op, Named)}
    taken |= {u.op.label for u in seeds.values() if isinstance(u.op, Named)}
    new = NewNames(taken)
    result = dict(seeds)
    fresh: dict[Node, Node] = {}
    for node in graph.order:
        if node in seeds or node not in active:
            continue
        if isinstance(node.op, Symbol):
            label = new(node.op.label, node.op.label + "_dot")
            fresh[node] = result[node] = sibling(node, label, Role.TANGENT, along)
            continue
        pieces = [result.get(u) for u in node.inputs]
        tangent = _tangent(node.op, pieces, by_name(graph, node), [by_name(graph, u) for u in node.inputs])
        if tangent is not None:
            result[node] = _shaped(tangent, node)
    return result, {dot: full(result.get(graph.definitions[s]), s) for s, dot in fresh.items()}


def _shaped(tangent: Node, like: Node) -> Node:
    return tangent if tangent.shape == like.shape else call("broadcast_to", tangent, like.shape)


# ---------------------------------------------------------------------- one operation
def _tangent(op: Op, tangents: Sequence[Node | None], out: Node, inputs: Sequence[Node]) -> Node | None:
    """What the rule of an operation gives; without one, the operation itself where it is linear, else
    the transpose of `vjp`, which is linear in `ct`."""
    tangent = op.jvp(tangents, out, *inputs)
    if tangent is not NotImplemented:
        return tangent
    rule = apply_to_tangents if op.linear else transpose_vjp
    return rule(op, tangents, out, *inputs)


def apply_to_tangents(op: Op, tangents: Sequence[Node | None], out: Node, *inputs: Node) -> Node | None:
    """Tangent of a linear operation: the operation itself, on tangents."""
    if all(t is None for t in tangents):
        return None
    pairs = zip(tangents, inputs, strict=True)
    whole = [zeros(u.shape, out.dtype) if t is None else t for t, u in pairs]
    return apply(op, *(inputs[k] if k in op.data else t for k, t in enumerate(whole)))


def transpose_vjp(op: Op, tangents: Sequence[Node | None], out: Node, *inputs: Node) -> Node | None:
    """Tangent by transposition: `vjp` is linear in `ct`, ct -> J^T ct, and the adjoint of that
    map, seeded with the tangents, is J applied to them (Radul et al. 2023, the other way)."""
    inside = {a for u in inputs for a in u.axes}
    along = [a for t in tangents if t is not None for a in t.axes if a not in inside]
    axes = dict.fromkeys((*out.axes, *along))
    ct = Node(Input("ct"), (), tuple(axes), out.shape, out.dtype)
    pieces = cotangents(op, ct, out, inputs)
    total: list[Node] = []
    for piece, t in zip(pieces, tangents, strict=True):
        if piece is None or t is None:
            continue
        seed = _shaped(t, piece)
        for axis in op.spans:  # what an axis is reduced over counts at every step
            if axis not in (*piece.axes, *out.axes):
                seed = seed * size(axis)
        symbols = [s for s in postorder([piece]) if isinstance(s.op, Symbol)]
        linear = System({"piece": piece}, {s: zeros(s.shape, s.dtype) for s in symbols})
        back, _ = adjoints(linear, {piece: seed}, [ct])
        if ct in back:
            total.append(_shaped(back[ct], out))
    return None if not total else total[0] if len(total) == 1 else call("add", *total)
