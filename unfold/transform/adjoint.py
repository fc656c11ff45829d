"""Reverse mode, as a function from graph to graph.

It gives every symbol `h` an adjoint symbol `dh`, defined by the sum of what its
users contribute. A delay contributes by the opposite delay, a parameter collects the sum
over all steps: backpropagation through time is again a system of recurrences.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product

from unfold.core.axis import Axis, Index
from unfold.core.dims import show
from unfold.core.errors import NotDifferentiable, UnknownName
from unfold.core.key import NewNames, steps_among
from unfold.core.kinds import INEXACT, Dtype, Role
from unfold.core.leaves import Named, Symbol, constant, label_of
from unfold.core.node import Node, call
from unfold.core.op import apply, cotangents
from unfold.core.system import G, System, Wrt, reach, signature
from unfold.ops.array.reduction import Sum
from unfold.ops.time.delays import Structural, size, zeros
from unfold.transform.simplify import simplify, with_axes


def grad(graph: G, of: str, wrt: Wrt = None) -> G:
    """d of / d wrt for every name in `wrt` (all parameters by default): a graph whose outputs
    have those names. `of` is an output that is one number.

    For each node v, adjoint(v) = sum over its users u of vjp_u(adjoint(u)).
    """
    return with_gradients(graph, of, select(graph, wrt), ())


def with_gradients(graph: G, of: str, wrt: Mapping[str, Node], keep: Collection[str]) -> G:
    """The outputs in `keep`, and the gradient of `of` in every node of `wrt`."""
    target = graph.output(of)
    if target.axes or target.shape or target.dtype not in INEXACT:
        over = f" over {', '.join(a.name for a in target.axes)}" if target.axes else ""
        raise NotDifferentiable(
            f"the gradient of {of!r} needs one real number, it is {target.dtype} {show(target.shape)}{over}; "
            f"give the graph an output such as uf.sum(..., over=t)"
        )
    adjoint, definitions = adjoints(graph, {target: constant(1.0)}, wrt.values())
    outputs = {name: graph.output(name) for name in keep}
    outputs.update({name: full(adjoint.get(node), node) for name, node in wrt.items()})
    steps = {name: graph.steps[name] for name in keep if name in graph.steps} | steps_among(wrt)
    joint = graph.remade(outputs, {**dict(graph.definitions), **definitions}, signature(graph), steps)
    result = simplify(joint, inline=definitions)
    return with_axes(
        result, {name: graph.outputs[name].axes if name in keep else wrt[name].axes for name in outputs}
    )


def select(graph: System, wrt: Wrt) -> dict[str, Node]:
    """The inputs and parameters named by `wrt`; all floating parameters for None."""
    if wrt is None:
        return {name: p for name, p in graph.params.items() if p.dtype in INEXACT}
    known = {**graph.params, **graph.inputs}
    chosen: dict[str, Node] = {}
    for name in [wrt] if isinstance(wrt, str) else wrt:
        found = {**_unread(graph, name), **{n: u for n, u in known.items() if name in (n, label_of(u))}}
        if not found and name not in graph.spare:
            raise UnknownName(f"wrt: no parameter or input {name!r}; this graph has {', '.join(known)}")
        for n, node in found.items():
            if node.dtype not in INEXACT:
                raise NotDifferentiable(f"wrt: {n} is {node.dtype} data; it has no gradient")
        chosen.update(found)
    return chosen


def _unread(graph: System, name: str) -> dict[str, Node]:
    """The leaves of an array that a call may pass, also those that nothing reads (any more)."""
    leaf, lead = graph.spare.get(name, (None, ()))
    if leaf is None or not isinstance(leaf.op, Named):
        return {}
    places: list[list[Index | int]] = [list(range(1, n + 1)) if isinstance(n, int) else [n.now] for n in lead]
    if all(isinstance(n, Axis) for n in lead):
        return {name: leaf}
    axes = tuple(n for n in lead if isinstance(n, Axis))
    steps = [Node(replace(leaf.op, index=i), (), axes, leaf.shape, leaf.dtype) for i in product(*places)]
    return {str(step.op): step for step in steps}


def adjoints(
    graph: System, seeds: Mapping[Node, Node], wrt: Iterable[Node], along: tuple[Axis, ...] = ()
) -> tuple[dict[Node, Node], dict[Node, Node]]:
    """The adjoint of every node between `wrt` and the seeded ones, and the definitions of
    the adjoint symbols among them. Seeds may vary along further axes, `along`: then so does
    every adjoint (a Jacobian is a gradient along one more axis)."""
    active = _between(graph, wrt, seeds)
    taken = (
        {s.op.label for s in graph.order if isinstance(s.op, Symbol)} | set(graph.params) | set(graph.inputs)
    )
    new = NewNames(taken)
    fresh = {
        s: sibling(s, new(s.op.label, "d" + s.op.label), Role.ADJOINT, along)
        for s in graph.order
        if isinstance(s.op, Symbol) and s in active
    }
    parts: dict[Node, list[Node]] = {node: [ct] for node, ct in seeds.items()}
    for s, ds in fresh.items():
        body = graph.definitions[s]
        parts.setdefault(body, []).append(unbroadcast(ds, body, s, along))
    result: dict[Node, Node] = {}
    for node in reversed(graph.order):
        if node not in parts or node not in active:
            continue
        result[node] = ct = _total(parts[node])
        if node.op.leaf:
            continue
        pieces = cotangents(node.op, ct, by_name(graph, node), [by_name(graph, u) for u in node.inputs])
        for u, piece in zip(node.inputs, pieces, strict=True):
            if piece is not None and u in active:
                parts.setdefault(u, []).append(unbroadcast(piece, u, node, along))
    definitions = {ds: full(result.get(s), s) for s, ds in fresh.items()}
    return result, definitions


def by_name(graph: System, node: Node) -> Node:
    """The variable that stands for a node, if any: rules then read `h[t]`, not its equation."""
    symbol = graph.names.get(node)
    same = symbol is not None and not node.op.leaf and set(symbol.axes) == set(node.axes)
    return symbol if symbol is not None and same else node


def sibling(symbol: Node, label: str, role: Role, along: tuple[Axis, ...] = ()) -> Node:
    """A symbol for the derivative of another one, perhaps along further axes."""
    op = symbol.op
    assert isinstance(op, Symbol)
    renamed = replace(op, label=label, role=role, index=(*op.index, *(a.now for a in along)))
    return Node(renamed, (), (*symbol.axes, *along), symbol.shape, symbol.dtype, symbol.where)


def unbroadcast(ct: Node, like: Node, user: Node, along: tuple[Axis, ...] = ()) -> Node:
    """A cotangent summed over the axes and dimensions along which `user` repeated `like`; its
    real part where a real number met complex ones."""
    if ct.dtype == Dtype.COMPLEX and like.dtype != Dtype.COMPLEX:
        ct = call("real", ct)
    extra = len(ct.shape) - len(like.shape)
    repeated = tuple(
        i - len(ct.shape)
        for i, n in enumerate(ct.shape)
        if i < extra or (like.shape[i - extra] == 1 and n != 1)
    )
    if repeated:
        ct = call("reshape", apply(Sum(repeated), ct), like.shape)
    elif ct.shape != like.shape:
        ct = call("broadcast_to", ct, like.shape)
    axes = tuple(a for a in ct.axes if a not in like.axes and a not in along)
    ct = apply(Sum(axes), ct) if axes else ct
    moved = user.op.axis if isinstance(user.op, Structural) else None  # its vjp accounts for that axis
    for axis in dict.fromkeys((*user.axes, *user.op.spans)):
        if axis not in (*like.axes, *axes, moved):
            ct = ct * size(axis)  # the same at every step
    return ct


def _total(parts: Sequence[Node]) -> Node:
    return parts[0] if len(parts) == 1 else call("add", *parts)


def full(ct: Node | None, like: Node) -> Node:
    """A derivative, zeros where there is none."""
    return zeros(like.shape, like.dtype) if ct is None else ct


def _between(graph: System, sources: Iterable[Node], targets: Iterable[Node]) -> set[Node]:
    """The differentiable nodes that a source can change and that change a target."""
    forward = reach(sources, lambda n: [u for u in graph.users.get(n, ()) if u.dtype in INEXACT])
    return forward & reach(targets, graph.inputs_of)
