"""Clean-up after a transformation, so that gradients read like a textbook's.

Local rules (zeros, ones, double negations), equal nodes made one, and adjoint symbols that
turned out constant put in place. Values never change, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from unfold.axis import Axis
from unfold.graph import Graph, rebuild, rewrite
from unfold.node import Constant, Named, Node, Symbol, apply, call
from unfold.op import Along
from unfold.ops.time import Zeros, size, step, zeros

Rule = Callable[[Node], Node | None]


def simplify(graph: Graph, inline: Iterable[Node] = ()) -> Graph:
    """The graph, simplified. Symbols in `inline` whose definition turns out to be constant,
    or another symbol, are replaced by it."""
    free = set(inline)
    axes = {name: node.axes for name, node in graph.outputs.items()}
    while True:
        graph = _improved(graph)
        bodies = {s: graph.definitions[s] for s in free if s in graph.definitions}
        plain = {s: body for s, body in bodies.items() if _is_plain(body, s)}
        if not plain:
            return with_axes(graph, axes)
        graph = _inlined(graph, plain)


def _improved(graph: Graph) -> Graph:
    """One pass of the rules over all nodes, equal nodes made one."""
    merged: dict[tuple[object, ...], Node] = {}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
        new = _improve(_renew(node, inputs))
        key = (new.op, new.inputs, new.axes, new.shape, new.dtype)
        return new if isinstance(new.op, Named) else merged.setdefault(key, new)

    return rewrite(graph, rule)


def _inlined(graph: Graph, plain: Mapping[Node, Node]) -> Graph:
    return rewrite(graph, lambda n, inputs: _resolve(plain, n) if n in plain else rebuild(n, inputs))


def _is_plain(body: Node, symbol: Node) -> bool:
    if isinstance(body.op, Symbol):
        return body is not symbol and body.axes == symbol.axes
    return is_constant(body)


def _resolve(plain: Mapping[Node, Node], node: Node) -> Node:
    seen = {node}
    while node in plain and plain[node] not in seen:
        node = plain[node]
        seen.add(node)
    return node


def _renew(node: Node, inputs: tuple[Node, ...]) -> Node:
    """The node on simplified inputs, which may have lost an axis they did not vary along."""
    if node.op.leaf:
        return node
    lost = [a for a in node.op.spans if not any(a in u.axes for u in inputs)]
    if lost and node.op.name == "sum" and isinstance(node.op, Along):
        kept = tuple(d for d in node.op.over if d not in lost)
        out = apply(type(node.op)(kept), *inputs) if kept else inputs[0]
        for axis in lost:
            out = out * size(axis)
        return out
    for axis in lost:  # the same value at every step, for an operation that counts the steps
        inputs = (call("where", call("less", step(axis), 0), inputs[0], inputs[0]), *inputs[1:])
    varies = node.op.infer_axes(*inputs)
    axes = tuple(a for a in node.axes if a in varies)
    if axes == node.axes:
        return rebuild(node, inputs)
    return Node(node.op, inputs, axes, node.shape, node.dtype, node.where)


def with_axes(graph: Graph, axes: Mapping[str, tuple[Axis, ...]]) -> Graph:
    """The graph with its outputs over at least these axes, in this order: one that is the same at every
    step, or has its axes in another order, becomes a variable of its own."""
    axes = {name: tuple(dict.fromkeys(own)) for name, own in axes.items()}
    odd = [name for name, node in graph.outputs.items() if not _is_over(node, axes[name])]
    if not odd:
        return graph
    outputs, definitions = dict(graph.outputs), dict(graph.definitions)
    taken = {n.op.label for n in graph.order if isinstance(n.op, Named)}
    for name in odd:
        node, label = graph.outputs[name], unused(name, taken)
        taken.add(label)
        more = tuple(a for a in node.axes if a not in axes[name])
        index = tuple(a.now for a in (*axes[name], *more))
        outputs[name] = Node(Symbol(label, index), (), (*axes[name], *more), node.shape, node.dtype)
        definitions[outputs[name]] = node
    return Graph(outputs, definitions, graph.spare)


def _is_over(node: Node, axes: tuple[Axis, ...]) -> bool:
    return tuple(a for a in node.axes if a in axes) == axes


def unused(name: str, taken: Iterable[str]) -> str:
    """The name, with primes until it is not taken."""
    while name in taken:
        name += "'"
    return name


def _improve(node: Node) -> Node:
    for _ in range(8):
        rule = _RULES.get(node.op.name, _linear if node.op.linear else None)
        new = rule(node) if rule else None
        if new is None or new.dtype != node.dtype:
            return node
        node = new if new.shape == node.shape else call("broadcast_to", new, node.shape)
    return node


# ---------------------------------------------------------------------- what a node is
def is_constant(node: Node) -> bool:
    """A constant, perhaps repeated."""
    while node.op.name in ("broadcast_to", "reshape"):
        node = node.inputs[0]
    return isinstance(node.op, Constant | Zeros)


def _value(node: Node) -> object:
    """The one number a constant is filled with; None when there is none."""
    while node.op.name in ("broadcast_to", "reshape"):
        node = node.inputs[0]
    if isinstance(node.op, Zeros):
        return 0.0
    if isinstance(node.op, Constant) and node.op.value.size:
        first = node.op.value.flat[0]
        return first if np.all(node.op.value == first) else None
    return None


def is_zero(node: Node) -> bool:
    """A constant of zeros."""
    value = _value(node)
    return value is not None and value == 0


def is_one(node: Node) -> bool:
    """A constant of ones."""
    value = _value(node)
    return value is not None and value == 1


def _zero_like(node: Node) -> Node:
    return zeros(node.shape, node.dtype)


# ---------------------------------------------------------------------- rules
def _add(node: Node) -> Node | None:
    terms = [u for u in node.inputs if not is_zero(u)]
    if not terms:
        return _zero_like(node)
    if len(terms) == 1:
        return terms[0]
    if any(u.op.name == "add" and u.shape == node.shape for u in terms):
        flat = [
            v for u in terms for v in (u.inputs if u.op.name == "add" and u.shape == node.shape else (u,))
        ]
        return call("add", *flat)
    if len(terms) == 2 and terms[1].op.name == "negative":
        return terms[0] - terms[1].inputs[0]
    return call("add", *terms) if len(terms) < len(node.inputs) else None


def _subtract(node: Node) -> Node | None:
    a, b = node.inputs
    if is_zero(b):
        return a
    if is_zero(a):
        return -b
    return a + b.inputs[0] if b.op.name == "negative" else None


def _multiply(node: Node) -> Node | None:
    a, b = node.inputs
    if is_zero(a) or is_zero(b):
        return _zero_like(node)
    if is_one(a) and b.dtype == node.dtype:
        return b
    if is_one(b) and a.dtype == node.dtype:
        return a
    for x, y, swap in ((a, b, False), (b, a, True)):
        if x.op.name == "negative":
            return -(y * x.inputs[0] if swap else x.inputs[0] * y)
        if x.op.name == "broadcast_to" and y.shape == node.shape:
            return y * x.inputs[0] if swap else x.inputs[0] * y
        if _value(x) == -1:
            return -y
    return None


def _divide(node: Node) -> Node | None:
    a, b = node.inputs
    if is_zero(a):
        return _zero_like(node)
    return a if is_one(b) and a.dtype == node.dtype else None


def _negative(node: Node) -> Node | None:
    (a,) = node.inputs
    if is_zero(a):
        return _zero_like(node)
    return a.inputs[0] if a.op.name == "negative" else None


def _linear(node: Node) -> Node | None:
    """An operation that keeps zero zero."""
    values = [u for k, u in enumerate(node.inputs) if k not in node.op.data]
    return _zero_like(node) if all(map(is_zero, values)) else None


def _involution(node: Node) -> Node | None:
    """An operation that undoes itself."""
    (a,) = node.inputs
    return a.inputs[0] if a.op == node.op and a.inputs[0].axes == node.axes else _linear(node)


def _contract(node: Node) -> Node | None:
    return _zero_like(node) if any(map(is_zero, node.inputs)) else None


def _delay(node: Node) -> Node | None:
    return _zero_like(node) if all(map(is_zero, node.inputs)) else None


def _where(node: Node) -> Node | None:
    condition, a, b = node.inputs
    if is_zero(a) and is_zero(b):
        return _zero_like(node)
    if a is b and a.axes == node.axes:
        return a
    if a.op.name == "where" and a.inputs[0] is condition:
        return call("where", condition, a.inputs[1], b)
    if b.op.name == "where" and b.inputs[0] is condition:
        return call("where", condition, a, b.inputs[2])
    return None


def _reshape(node: Node) -> Node | None:
    (a,) = node.inputs
    if is_zero(a):
        return _zero_like(node)
    if a.shape == node.shape:
        return a
    return call("reshape", a.inputs[0], node.shape) if a.op.name == "reshape" else None


def _broadcast_to(node: Node) -> Node | None:
    (a,) = node.inputs
    if a.op.name == "broadcast_to":
        return call("broadcast_to", a.inputs[0], node.shape)
    return _zero_like(node) if is_zero(a) else a if a.shape == node.shape else None


def _transpose(node: Node) -> Node | None:
    (a,) = node.inputs
    if a.op.name == "transpose":
        inner, outer = a.op.parameters["order"], node.op.parameters["order"]
        return call("transpose", a.inputs[0], [inner[i] for i in outer])
    return _linear(node)


_RULES: dict[str, Rule] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "negative": _negative,
    "contract": _contract,
    "delay": _delay,
    "at": _delay,
    "where": _where,
    "reshape": _reshape,
    "broadcast_to": _broadcast_to,
    "transpose": _transpose,
    "square": _linear,
    **dict.fromkeys(("reverse", "flip", "conj"), _involution),
}
