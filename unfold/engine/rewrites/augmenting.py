"""Several products of a loop over small values as one.

Where a call costs more than its arithmetic, a larger matrix is cheaper than one more call:
W @ h + U @ x + b is one product of [W, U, b] with [h, x, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.dims import Dim
from unfold.core.leaves import Constant, Leaf, Symbol, constant
from unfold.core.node import Node, call
from unfold.core.op import Along, apply
from unfold.core.system import System, reach
from unfold.engine.binding import Binding
from unfold.engine.rewrites.blending import Blend
from unfold.engine.rewrites.packing import Fan
from unfold.engine.rewrites.passes import SMALL, Passed, SumOfProducts, is_step_back, loops_of, numbers
from unfold.engine.rewrites.stacking import Replaced, is_weight, pieces_of, substitute, transposed
from unfold.ops.array.indexing import Narrow
from unfold.ops.array.linear import Contract
from unfold.ops.array.shape import Concat
from unfold.ops.time.delays import Delay, Zeros, zeros


@dataclass(frozen=True)
class Eye(Leaf):
    """The identity matrix."""

    size: Dim = 1

    sized = ("size",)


@dataclass(frozen=True)
class Room(Zeros):
    """Zeros that a step overwrites when it has read them."""


def augment(graph: System, bound: Binding) -> Passed:
    """In loops over small values, W @ h[t-1] + U @ x[t] + b is one product of [W, U, b] with
    [h[t-1], x[t], 1], and W.T @ dz[t+1] + V.T @ do[t] one of [W; V] with [dz[t+1], do[t]]."""
    part_of, cyclic = loops_of(graph)
    replaced: Replaced = {}
    fresh: Replaced = {}
    for node in graph.order:
        if node.op.name != "add" or part_of[node] not in cyclic or node.dtype != "float":
            continue
        terms = _terms(graph, node, part_of)
        inside = [u for u in terms if part_of[u] == part_of[node]]
        outside = [u for u in terms if part_of[u] != part_of[node]]
        size = numbers(node, bound)
        alike = all(u.shape == node.shape for u in terms)
        if len(inside) == 1 and len(node.shape) == 1 and alike:
            new = _forward(graph, inside[0], outside, size, bound, fresh)
            new = _backward(graph, inside[0], outside, size, bound, fresh) if new is None else new
            if new is not None:
                replaced[node] = new
    if not replaced:
        return graph, {n: n for n in graph.order}
    graph, done = substitute(graph.remade(graph.outputs, {**graph.definitions, **fresh}), replaced)
    graph, then = substitute(graph, _gradients(graph, {u for n, u in done.items() if n in replaced}))
    return graph, {n: then[u] for n, u in done.items() if u in then}


def _gradients(graph: System, augmented: set[Node]) -> Replaced:
    """The gradients of W, U and b are the parts of one product with [h[t-1], x[t], 1]."""
    out: Replaced = {}
    for product in augmented:
        joint = product.inputs[-1]
        if not isinstance(joint.op, Concat) or not joint.axes:
            continue
        found: dict[tuple[Node, frozenset[Axis]], dict[Node, Node]] = {}
        for u in joint.inputs:
            for v in graph.users[u]:
                if isinstance(v.op, SumOfProducts) and v.op.spec == "i,j->ij" and v.inputs[1] is u:
                    found.setdefault((v.inputs[0], frozenset(v.op.over)), {})[u] = v
        for (left, over), members in found.items():
            last = joint.inputs[-1]
            if isinstance(last.op, Constant) and np.array_equal(last.op.value, [1.0]):  # times 1: the sum
                for v in graph.users[left]:
                    if v.op.name == "sum" and isinstance(v.op, Along) and frozenset(v.op.over) == over:
                        members[last] = v
            first = next((k for k in range(len(joint.inputs)) if set(joint.inputs[k:]) <= set(members)), None)
            mine = joint.inputs[first:] if first is not None else ()
            if len(mine) < 2 or any(members[u] in out for u in mine):
                continue
            if not reach([left, joint], graph.inputs_of).isdisjoint(members.values()):
                continue  # a gradient of gradients: what is joined depends on one of them
            axes = next(v.op for v in members.values() if isinstance(v.op, SumOfProducts)).over
            ahead = dims.add(*(u.shape[-1] for u in joint.inputs[:first])) if first else 0
            part = call("narrow", joint, ahead, joint.shape[-1], -1) if first else joint
            whole = apply(SumOfProducts("i,j->ij", axes), left, part)
            parts = pieces_of(whole, [u.shape[-1] for u in mine], -1)
            for u, part in zip(mine, parts, strict=True):
                old = members[u]
                out[old] = part if len(old.shape) == 2 else call("reshape", part, old.shape)
    return out


def _terms(graph: System, node: Node, part_of: Mapping[Node, int]) -> list[Node]:
    out: list[Node] = []
    stack = list(node.inputs)[::-1]
    while stack:
        u = stack.pop()
        if u.op.name == "add" and len(graph.users[u]) == 1 and u.shape == node.shape:
            stack.extend(reversed(u.inputs))
        else:
            out.append(u)
    return out


def _fits(weight: Node, size: int, bound: Binding, dim: int) -> bool:
    return is_weight(weight) and size * dims.evaluate(weight.shape[dim], bound.sizes) <= SMALL


def _forward(
    graph: System, term: Node, outside: list[Node], size: int, bound: Binding, fresh: Replaced
) -> Node | None:
    if not (isinstance(term.op, Contract) and term.op.spec == "ij,j->i" and len(graph.users[term]) == 1):
        return None
    weights, values = [term.inputs[0]], [term.inputs[1]]
    if not is_step_back(graph, values[0]) or not is_weight(weights[0]) or not outside:
        return None
    for u in outside:
        if isinstance(u.op, Contract) and u.op.spec == "ij,j->i" and _fits(u.inputs[0], size, bound, -1):
            weights.append(u.inputs[0])
            values.append(u.inputs[1])
        elif not u.axes and u.shape == term.shape:
            weights.append(u)
            values.append(constant(np.ones(1)))
        else:
            return None
    factors = [_factors(w, bound) for w in weights]
    sides = [_on_its_side(w, alike=all(f == factors[0] for f in factors)) for w in weights]
    blended = _blended(graph, term, fresh) if _fits(weights[0], size, bound, -1) else None
    if blended is not None:  # W @ ((a + b) / 2) is [W / 2, W / 2] @ [a, b]
        values[0], sides = blended, [sides[0] * 0.5] * 2 + sides[1:]
    matrix = apply(Concat(-2), *sides)
    if set(factors[0]) != {1.0} and all(f == factors[0] for f in factors):
        row = Node(constant(np.array(factors[0])).op, (), (), matrix.shape[-1:], matrix.dtype)
        matrix = matrix * row
    return apply(Contract("ij,i->j"), matrix, apply(Concat(-1), *values))


def _blended(graph: System, term: Node, fresh: Replaced) -> Node | None:
    """[a[t-1], b[t-1]], where the value that a product reads one step back is half the sum of a and b,
    and the loop needs it for nothing else."""
    (_, read), part_of = term.inputs, loops_of(graph)[0]
    symbol = read.inputs[0]
    blend = graph.definitions.get(symbol, symbol)
    if not isinstance(blend.op, Blend) or blend.op.count != 2:
        return None
    users = [v for u in (blend, symbol, read) for v in graph.users.get(u, [])]
    if any(part_of[v] == part_of[term] and v not in (symbol, read, term) for v in users):
        return None
    (both,) = blend.inputs
    cut = Node(Symbol(f"cut before {len(fresh)}"), (), both.axes, both.shape, both.dtype, both.where)
    fresh[cut] = both
    return apply(read.op, cut, *(_twice(graph, u) for u in read.inputs[1:]))


def _twice(graph: System, node: Node) -> Node:
    """A boundary value and itself."""
    value = graph.definitions.get(node, node)
    return (
        zeros((dims.add(*value.shape, *value.shape),))
        if isinstance(value.op, Zeros)
        else apply(Concat(-1), node, node)
    )


def _factors(weight: Node, bound: Binding) -> list[float]:
    """The number that each row of a matrix (or entry of a vector) is scaled with."""
    dim = -len(weight.shape)
    if isinstance(weight.op, Concat) and weight.op.dim == dim:
        return [f for u in weight.inputs for f in _factors(u, bound)]
    factor = float(weight.inputs[1].op.value) if _is_scaled(weight) else 1.0  # type: ignore[attr-defined]
    return [factor] * dims.evaluate(weight.shape[dim], bound.sizes)


def _is_scaled(weight: Node) -> bool:
    """Whether a matrix is a number times another."""
    if weight.op.name != "multiply":
        return False
    number = weight.inputs[1]
    return isinstance(number.op, Constant) and not number.shape and number.dtype == "float"


def _on_its_side(weight: Node, alike: bool) -> Node:
    """The transpose of a matrix, a vector as a row: products read it faster. What a matrix is
    joined or scaled from is turned, so that each part is written but once; numbers that all
    are scaled with `alike` are left to the whole."""
    if isinstance(weight.op, Concat) and weight.op.dim == -len(weight.shape):
        return apply(Concat(-1), *(_on_its_side(u, alike) for u in weight.inputs))
    if _is_scaled(weight):
        turned = _on_its_side(weight.inputs[0], alike=False)  # a number inside it stays with it
        return turned if alike else turned * weight.inputs[1]
    return call("transpose", weight) if len(weight.shape) > 1 else call("reshape", weight, (1, *weight.shape))


def _backward(
    graph: System, term: Node, outside: list[Node], size: int, bound: Binding, fresh: Replaced
) -> Node | None:
    if not is_step_back(graph, term) or len(term.inputs) != 1 or len(graph.users[term]) != 1:
        return None
    inner = graph.definitions[term.inputs[0]]
    first = _rows(graph, inner, bound)
    if first is None or len(graph.users[inner]) != 1 or not outside:
        return None
    first_blocks = first[0]
    weights, values = list(first_blocks), [first[1]]
    for u in outside:
        more = transposed(u) or _piece(u)
        if more is None or not _fits(more[0], size, bound, -2):
            return None
        weights.append(more[0])
        values.append(more[1])
    source = values[0]
    carried = _carried(graph, source)
    if carried is not None:  # beside it there is room for what it is added to
        space = carried.shape
        first = carried.op.start == dims.canonical(0)  # type: ignore[attr-defined]
        weights.insert(0 if first else len(first_blocks), zeros((space[0], weights[0].shape[-1])))
        values.insert(0 if first else 1, Node(Room(), (), (), space, source.dtype))
    symbol = Node(Symbol(f"cut of {len(fresh)}"), (), source.axes, source.shape, source.dtype, source.where)
    fresh[symbol] = source
    values[values.index(source)] = apply(term.op, symbol)
    return apply(Contract("ij,i->j"), apply(Concat(-2), *weights), apply(Concat(-1), *values))


def _carried(graph: System, source: Node) -> Node | None:
    """The piece of a value, read one step back, that goes into a fan that is part of it: at one of its
    ends."""
    for fan in (source, *source.inputs):
        x = fan.inputs[0] if isinstance(fan.op, Fan) and len(fan.inputs) > 2 else None
        if x is not None and isinstance(x.op, Narrow) and isinstance(x.inputs[0].op, Delay):
            ends = x.op.start == dims.canonical(0) or x.op.stop == source.shape[-1]
            if graph.definitions.get(x.inputs[0].inputs[0]) is source and ends:
                return x
    return None


def _rows(graph: System, node: Node, bound: Binding) -> tuple[list[Node], Node] | None:
    """The blocks of W and v of W.T @ v; for W.T @ p + q and pieces p, q of v, with rows of the
    identity for q, and of zeros for what is not needed of v."""
    one = transposed(node)
    if one is not None and not isinstance(one[1].op, Narrow):
        return [one[0]], one[1]
    found: dict[Dim, tuple[Node, Node]] = {}
    for u in node.inputs if one is None and node.op.name == "add" else [node]:
        weight, piece = transposed(u) or (Node(Eye(node.shape[-1]), (), (), node.shape * 2, node.dtype), u)
        op = piece.op
        alone = u is node or len(graph.users[u]) == 1 or weight.op.leaf
        if not isinstance(op, Narrow) or (op.dim, op.step) != (-1, 1) or not alone or u.shape != node.shape:
            return None
        found[op.start] = weight, piece
    wholes = {piece.inputs[0] for _, piece in found.values()}
    count = 1 if one is not None else len(node.inputs)
    if len(wholes) != 1 or len(found) != count or all(w.op.name == "eye" for w, _ in found.values()):
        return None
    (whole,) = wholes
    blocks: list[Node] = []
    at = dims.canonical(0)
    for start in sorted(found, key=lambda d: dims.evaluate(d, bound.sizes)):
        weight, piece = found[start]
        gap = dims.evaluate(start, bound.sizes) - dims.evaluate(at, bound.sizes)
        if gap < 0:
            return None
        if gap:
            blocks.append(zeros((dims.subtract(start, at), node.shape[-1])))
        blocks.append(weight)
        at = dims.add(start, piece.shape[-1])
    if at != whole.shape[-1]:
        blocks.append(zeros((dims.subtract(whole.shape[-1], at), node.shape[-1])))
    return blocks, whole


def _piece(node: Node) -> tuple[Node, Node] | None:
    """W and v of a piece of W.T @ v."""
    if not isinstance(node.op, Narrow) or (node.op.dim, node.op.step) != (-1, 1):
        return None
    whole = transposed(node.inputs[0])
    return (apply(node.op, whole[0]), whole[1]) if whole else None
