"""Jacobians and Hessians as graphs: a gradient along one more axis, one step per entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.errors import NotDifferentiable, UnknownName
from unfold.core.key import Key, steps_among, unused
from unfold.core.kinds import INEXACT
from unfold.core.leaves import Named, constant
from unfold.core.node import Node, call
from unfold.core.op import apply
from unfold.core.system import G, System, signature
from unfold.ops.array.reduction import Collect
from unfold.ops.time.delays import step, zeros
from unfold.transform.adjoint import adjoints, full, grad
from unfold.transform.forward import tangents
from unfold.transform.simplify import simplify, with_axes

NameOrStep = str | tuple[Any, ...]  # "W", "h[3]" or ("h", 3)


def jacobian(graph: G, of: NameOrStep, wrt: NameOrStep | Iterable[NameOrStep] | None = None) -> G:
    """d of / d wrt, entry by entry: outputs of shape (*of.shape, *wrt.shape), named like `wrt`.

    `of` and `wrt` may be variables of an unfolded graph: `jacobian(dag, ("h", 10), ("h", 1))`
    is the derivative of a state with respect to an earlier one, named "h_1". Reverse mode, or
    forward mode where `of` varies over an axis.

    >>> import unfold as uf
    >>> x = uf.input("x", 2)
    >>> jacobian(uf.graph(y=x * x), "y", "x")(x=[1.0, 3.0])["x"].tolist()
    [[2.0, 0.0], [0.0, 6.0]]
    """
    sources = _sources(graph, wrt)
    target = find(graph, of)
    for name, node in {_name(of): target, **sources}.items():
        if node.dtype not in INEXACT:
            raise NotDifferentiable(f"{name} is {node.dtype} data; it has no derivative")
    outputs: dict[str, Node] = {}
    definitions = dict(graph.definitions)
    if target.axes:
        for name, node in sources.items():
            outputs[name], more = forward_rows(graph, target, name, node)
            definitions |= more
    else:
        outputs, more = _reverse(graph, target, sources)
        definitions |= more
    fresh = definitions.keys() - dict(graph.definitions).keys()
    joint = graph.remade(outputs, definitions, signature(graph), steps_among(sources))
    result = simplify(joint, inline=fresh)
    return with_axes(result, dict.fromkeys(outputs, target.axes))


def hessian(graph: G, of: NameOrStep, wrt: NameOrStep | Iterable[NameOrStep] | None = None) -> G:
    """d2 of / d a d b for every two that `wrt` names: outputs "W" for one, else "W, b".

    >>> import unfold as uf
    >>> x = uf.input("x", 2)
    >>> hessian(uf.graph(y=x[0] ** 2 * x[1]), "y", "x")(x=[1.0, 3.0])["x"].tolist()
    [[6.0, 2.0], [2.0, 0.0]]
    """
    sources = _sources(graph, wrt)
    first = grad(graph, _name(of), list(sources))
    known = {**first.params, **first.inputs}
    outputs: dict[str, Node] = {}
    definitions: dict[Node, Node] = {}
    for a, u in sources.items():
        second = jacobian(first, a, [b for b in sources if b in known])
        for b, v in sources.items():
            name = a if len(sources) == 1 else f"{a}, {b}"
            outputs[name] = second.outputs.get(b, zeros((*u.shape, *v.shape), u.dtype))
        definitions |= dict(second.definitions)
    return graph.remade(outputs, definitions, signature(graph), steps_among(sources))


def find(graph: System, place: NameOrStep) -> Node:
    """The node of an output, input, parameter or variable: "o", "h[3]" or ("h", 3)."""
    name = str(Key.asked(place))
    for known in (graph.outputs, graph.params, graph.inputs, graph.symbols):
        if name in known:
            return known[name]
    have = [*graph.outputs, *graph.params, *graph.inputs, *graph.symbols][:12]
    raise UnknownName(f"nothing is named {name!r}; there are {', '.join(dict.fromkeys(have))}", name=name)


def _name(place: NameOrStep) -> str:
    asked = Key.asked(place)
    return "_".join(map(str, (asked.label, *asked.steps)))


def _sources(graph: System, wrt: NameOrStep | Iterable[NameOrStep] | None) -> dict[str, Node]:
    if wrt is None:
        return {name: p for name, p in graph.params.items() if p.dtype in INEXACT}
    one = isinstance(wrt, str) or (isinstance(wrt, tuple) and isinstance(wrt[-1], int))
    places: list[Any] = [wrt] if one else list(wrt)
    # what a name of an output also names is the leaf here: gradients have outputs named "W"
    leaves = {**graph.params, **graph.inputs}
    return {_name(p): leaves[p] if isinstance(p, str) and p in leaves else find(graph, p) for p in places}


def _entries(graph: System, node: Node, name: str) -> tuple[Axis, Node]:
    """An axis over the entries of a value, and the basis along it: one at that entry."""
    taken = {a.name for a in graph.axes}
    axis = Axis(unused(name, taken), dims.multiply(*node.shape))
    basis = call("one_hot", step(axis) - 1, axis.size)
    return axis, call("reshape", basis, node.shape)


def _collected(tangent: Node | None, like: Node, axis: Axis, shape: dims.Shape) -> Node:
    if tangent is None:
        return zeros(shape, like.dtype)
    return call("reshape", apply(Collect((axis,), axis.size or 0), tangent), shape)


def _reverse(
    graph: System, target: Node, sources: dict[str, Node]
) -> tuple[dict[str, Node], dict[Node, Node]]:
    for name, node in sources.items():
        _no_axes(name, node)
    if not target.shape:
        adjoint, definitions = adjoints(graph, {target: constant(1.0)}, sources.values())
        return {name: full(adjoint.get(u), u) for name, u in sources.items()}, definitions
    axis, basis = _entries(graph, target, "k")
    adjoint, definitions = adjoints(graph, {target: basis}, sources.values(), (axis,))
    outputs = {
        name: _collected(adjoint.get(u), u, axis, (*target.shape, *u.shape)) for name, u in sources.items()
    }
    return outputs, definitions


def forward_rows(graph: System, target: Node, name: str, node: Node) -> tuple[Node, dict[Node, Node]]:
    """d target / d node by forward mode, one tangent for every entry of the node."""
    _no_axes(name, node)
    axis, basis = _entries(graph, node, f"k_{name}")
    tangent, definitions = tangents(graph, {node: basis}, (axis,))
    rows = _collected(tangent.get(target), target, axis, (*node.shape, *target.shape))
    m, n = len(node.shape), len(target.shape)
    return call("transpose", rows, [*range(m, m + n), *range(m)]), definitions


def _no_axes(name: str, node: Node) -> None:
    if node.axes:
        axes = ", ".join(a.name for a in node.axes)
        label = node.op.label if isinstance(node.op, Named) else name
        raise NotDifferentiable(
            f"the Jacobian in {name}, which varies over {axes}, has a block for every step: "
            f"unfold the graph first, then ask for one, such as ({label!r}, 1)"
        )
