"""Several operations of a loop as one call.

In a small loop a call costs more than its arithmetic. What a loop multiplies one value with,
and does not compute itself, is laid end to end before the loop: `d * a`, `d * b`, `d * c` are one
call, and go where a concatenation of them is needed. `x * a - x * b` becomes `x * (a - b)`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from unfold.core import dims
from unfold.core.dims import Shape
from unfold.core.leaves import Symbol
from unfold.core.node import Node, Op
from unfold.core.op import apply, promote
from unfold.core.system import System, reach
from unfold.engine.binding import Binding
from unfold.engine.rewrites.blending import gates, pair
from unfold.engine.rewrites.passes import Passed, loops_of
from unfold.engine.rewrites.stacking import Replaced, concat, lift, pieces_of, substitute
from unfold.ops.array.indexing import Narrow
from unfold.ops.array.shape import Concat
from unfold.ops.time.delays import Delay

FEWEST = 3  # products that are worth one call together: the value has to be repeated for them


@dataclass(frozen=True)
class Fan(Op):
    """a sum x times each of the vectors that lie end to end in k: [x * k1, x * k2, ...]"""

    count: int = 2

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return inputs[-1].shape, promote(None, *inputs)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        *terms, k = arrays
        x = sum(terms)
        out = x[..., None, :] * k.reshape((*k.shape[:-1], self.count, x.shape[-1]))
        return out.reshape((*out.shape[:-2], -1))


def pack(graph: System, bound: Binding) -> Passed:
    """The same done to several pieces at once, common factors taken out, gates blended, then products of
    one value packed."""
    whole: Replaced = {n: n for n in graph.order}
    while alike := lift(graph, several=True):
        graph, done = substitute(graph, alike)
        whole = {n: done[u] for n, u in whole.items() if u in done}
    for rule in (share, partial(gates, bound=bound), pair, fan):
        graph, done = _replaced(graph, *rule(graph))
        whole = {n: done[u] for n, u in whole.items() if u in done}
    return graph, whole


def factored(graph: System) -> Passed:
    """Common factors taken out, and nothing else."""
    return _replaced(graph, *share(graph))


def _replaced(graph: System, replaced: Replaced, fresh: Replaced) -> Passed:
    if not replaced:
        return graph, {n: n for n in graph.order}
    graph, done = substitute(graph.remade(graph.outputs, {**graph.definitions, **fresh}), replaced)
    for old, new in replaced.items():
        if old not in done and new in done:  # nobody reads it any more, but it has a name
            done[old] = done[new]
    return graph, done


# ---------------------------------------------------------------------- common factors
def share(graph: System) -> tuple[Replaced, Replaced]:
    """In loops, x * a - x * b is x * (a - b) where the loop computes neither a nor b, and
    (1 - z) * a + z * b is a + z * (b - a)."""
    part_of, cyclic = loops_of(graph)
    out: Replaced = {}
    for node in graph.order:
        if part_of[node] not in cyclic or len(node.inputs) != 2 or node.op.name not in ("add", "subtract"):
            continue
        left, right = (_product(graph, u, node) for u in node.inputs)
        if left is None or right is None:
            continue
        new = _factor(node, left, right, part_of)
        new = _blend(node, left, right) if new is None else new
        if new is not None and (new.shape, set(new.axes)) == (node.shape, set(node.axes)):
            out[node] = new
    return out, {}


def _product(graph: System, node: Node, user: Node) -> tuple[Node, bool] | None:
    """A product that only one node needs, and whether it is taken off."""
    minus = node.op.name == "negative"
    inner = node.inputs[0] if minus else node
    alone = graph.users[node] == [user] and (inner is node or graph.users[inner] == [node])
    fits = inner.op.name == "multiply" and (inner.shape, inner.dtype) == (user.shape, user.dtype)
    return (inner, minus) if alone and fits else None


def _factor(
    node: Node, left: tuple[Node, bool], right: tuple[Node, bool], part_of: Mapping[Node, int]
) -> Node | None:
    (first, minus), (second, off) = left, right
    off = off != (node.op.name == "subtract")
    for x, a in (first.inputs, first.inputs[::-1]):
        for y, b in (second.inputs, second.inputs[::-1]):
            if x is y and part_of[x] == part_of[node] and part_of[node] not in (part_of[a], part_of[b]):
                if minus:
                    return x * (-a - b if off else b - a)
                return x * (a - b if off else a + b)
    return None


def _blend(node: Node, left: tuple[Node, bool], right: tuple[Node, bool]) -> Node | None:
    if node.op.name != "add" or left[1] or right[1]:
        return None
    for rest, other in ((left[0], right[0]), (right[0], left[0])):
        for x, a in (rest.inputs, rest.inputs[::-1]):
            if x.op.name == "subtract" and _is_one(x.inputs[0]) and x.inputs[1] in other.inputs:
                z = x.inputs[1]
                b = other.inputs[1 - other.inputs.index(z)]
                if z.shape == a.shape == b.shape:
                    return a + z * (b - a)
    return None


def _is_one(node: Node) -> bool:
    return node.op.name == "constant" and not node.shape and bool(node.op.value == 1)  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- products of one value
def fan(graph: System) -> tuple[Replaced, Replaced]:
    """In loops, products of one value with what the loop does not compute: one call."""
    part_of, cyclic = loops_of(graph)
    factors = _factors(graph, part_of, cyclic)
    groups: dict[Node, list[Node]] = {}
    for node, (base, _) in factors.items():
        groups.setdefault(base, []).append(node)
    replaced: Replaced = {}
    fresh: Replaced = {}
    for base, members in groups.items():
        members = [u for u in members if not _passes(graph, u, factors)]
        joint = _joint(graph, members)
        others = [u for u in joint.inputs if part_of[u] != part_of[base]] if joint is not None else []
        waits = any(part_of[n] == part_of[base] for n in reach(others, graph.inputs_of))
        if waits or any(part_of[u] in cyclic for u in others):
            joint = None  # what they would be joined with waits for this loop, or belongs to another
        if joint is not None:
            members = [u for u in members if u in joint.inputs or not _joints(graph, u)]
        if len(members) >= FEWEST and _one_way(graph, part_of, base):
            _packed(graph, base, members, joint, factors, replaced, fresh)
    return replaced, fresh


def _factors(
    graph: System, part_of: Mapping[Node, int], cyclic: set[int]
) -> dict[Node, tuple[Node, list[Node]]]:
    """For each product in a loop, the value of the loop in it, and all the factors from outside."""
    out: dict[Node, tuple[Node, list[Node]]] = {}
    for node in graph.order:
        part = part_of[node]
        if node.op.name != "multiply" or part not in cyclic or node.dtype != "float" or len(node.shape) != 1:
            continue
        for x, k in (node.inputs, node.inputs[::-1]):
            alike = x.shape == k.shape == node.shape and x.dtype == k.dtype and set(x.axes) == set(node.axes)
            if alike and part_of[x] == part and part_of[k] != part:
                base, known = out.get(x, (x, []))
                out[node] = base, [*known, k]
    return out


def _passes(graph: System, node: Node, factors: Mapping[Node, tuple[Node, list[Node]]]) -> bool:
    """Whether a product is only a step on the way to others."""
    return node not in graph.outputs.values() and all(u in factors for u in graph.users.get(node, []))


def _joints(graph: System, node: Node) -> list[Node]:
    return [u for u in graph.users[node] if isinstance(u.op, Concat) and u.op.dim == -1]


def _joint(graph: System, members: list[Node]) -> Node | None:
    """The concatenation that most of the products go into, all together at one of its ends."""
    best: Node | None = None
    for joint in dict.fromkeys(j for u in members for j in _joints(graph, u)):
        at = [k for k, u in enumerate(joint.inputs) if u in members]
        run = at == list(range(at[0], at[-1] + 1)) and (at[0] == 0 or at[-1] == len(joint.inputs) - 1)
        once = len({joint.inputs[k] for k in at}) == len(at)
        if run and once and (best is None or len(at) > sum(u in members for u in best.inputs)):
            best = joint
    return best


def _one_way(graph: System, part_of: Mapping[Node, int], base: Node) -> bool:
    lags = {
        (u.op.axis, u.op.lag > 0)
        for u in graph.order
        if isinstance(u.op, Delay) and part_of[u] == part_of[base]
    }
    return len(lags) == 1


def _packed(
    graph: System,
    base: Node,
    members: list[Node],
    joint: Node | None,
    factors: Mapping[Node, tuple[Node, list[Node]]],
    replaced: Replaced,
    fresh: Replaced,
) -> None:
    """Write down what replaces the products, the concatenation that they go into, and delays."""
    inside = [u for u in joint.inputs if u in members] if joint is not None else []
    rest, others = [u for u in members if u not in inside], []
    last = True  # the products stand at the end of the concatenation, the rest behind it
    if joint is not None:
        others = [u for u in joint.inputs if u not in inside]
        last = joint.inputs[-1] in inside
    order = [*inside, *rest] if last else [*rest, *inside]
    fixed = [functools.reduce(lambda a, b: a * b, factors[u][1]) for u in order]
    alone = base.op.name == "add" and graph.users[base] == members and len(base.inputs) == 2
    alone = alone and base not in graph.outputs.values()
    terms = sorted(base.inputs, key=lambda u: not isinstance(u.op, Delay)) if alone else [base]
    terms = terms if all(u.shape == base.shape for u in terms) else [base]
    product = apply(Fan(len(order)), *terms, concat(fixed, -1))
    if len(terms) > 1:
        replaced[base] = terms[-1]  # the sum has no place of its own
    sizes = [u.shape[-1] for u in order]
    replaced.update(zip(order, pieces_of(product, sizes, -1), strict=True))
    ahead = dims.add(*(u.shape[-1] for u in others)) if others else dims.canonical(0)
    whole, start = product, dims.canonical(0)
    if others:
        whole = apply(Concat(-1), *others, product) if last else apply(Concat(-1), product, *others)
        start = ahead if last else start
    if joint is not None:
        before = dims.add(*(u.shape[-1] for u in rest)) if rest and not last else dims.canonical(0)
        stop = dims.add(before, joint.shape[-1])
        replaced[joint] = whole if not rest else apply(Narrow(before, stop, 1, -1), whole)
    _delays(graph, order, whole, start, replaced, fresh)


def _delays(
    graph: System, order: list[Node], whole: Node, start: Any, replaced: Replaced, fresh: Replaced
) -> None:
    """A delayed product is a piece of the delayed whole."""
    cut: Node | None = None
    for u in order:
        stop = dims.add(start, u.shape[-1])
        for symbol in graph.users[u]:
            for d in graph.users.get(symbol, []) if isinstance(symbol.op, Symbol) else []:
                if isinstance(d.op, Delay) and len(d.inputs) == 1:
                    if cut is None:
                        name = Symbol(f"cut after {len(fresh)}")
                        cut = Node(name, (), whole.axes, whole.shape, whole.dtype, whole.where)
                        fresh[cut] = whole
                    replaced[d] = apply(Narrow(start, stop, 1, -1), apply(d.op, cut))
        start = stop
