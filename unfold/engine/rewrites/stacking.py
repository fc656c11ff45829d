"""Sibling products stacked: the gates of an LSTM become one matrix product.

System to graph, in rounds. Products of several matrices with one vector become one product
with the matrices on top of each other; what follows alike for each piece (a bias, a tanh) is
done for all pieces at once; sums of products with the transposes become one product again,
and so do the gradients of the matrices.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from unfold.core import dims
from unfold.core.dims import Dim
from unfold.core.leaves import Symbol
from unfold.core.node import Node, call
from unfold.core.op import Along, Elementwise, apply
from unfold.core.system import System, postorder, reach, rebuild
from unfold.engine.rewrites.passes import Passed, SumOfProducts, loops_of
from unfold.ops.array.indexing import Narrow
from unfold.ops.array.linear import Contract
from unfold.ops.array.shape import Concat
from unfold.ops.time.delays import Delay

Replaced = dict[Node, Node]


def stack(graph: System) -> Passed:
    """All rounds, until none finds anything."""
    whole: Replaced = {n: n for n in graph.order}
    for rule in (halve, products, lift, sums, gradients):
        while replaced := rule(graph):
            graph, done = substitute(graph, replaced)
            whole = {n: done[u] for n, u in whole.items() if u in done}
            if rule is not lift:
                break
    return graph, whole


def substitute(graph: System, replaced: Mapping[Node, Node]) -> Passed:
    """The graph with some nodes replaced; replacements are written over old nodes."""
    if not replaced:
        return graph, {n: n for n in graph.order}

    def below(node: Node) -> Iterable[Node]:
        return (replaced[node],) if node in replaced else node.inputs

    def then(node: Node) -> Iterable[Node]:
        return (graph.definitions[node],) if isinstance(node.op, Symbol) else ()

    done: Replaced = {}
    for node in postorder(graph.outputs.values(), then, below):
        if node in replaced:
            done[node] = done[replaced[node]]
        else:
            done[node] = rebuild(node, tuple(done[u] for u in node.inputs))
    definitions = {s: done[graph.definitions[s]] for s in done if isinstance(s.op, Symbol)}
    return graph.remade({name: done[u] for name, u in graph.outputs.items()}, definitions), done


# ---------------------------------------------------------------------- forward
def halve(graph: System) -> Replaced:
    """In loops, sigmoid(z) = 1/2 + 1/2 tanh(z/2), the half folded into the matrices of z, so
    that the gates and the candidate of an LSTM take one tanh together."""
    part_of, cyclic = loops_of(graph)
    out: Replaced = {}
    for node in graph.order:
        if node.op.name == "sigmoid" and part_of[node] in cyclic:
            half = _half(graph, node.inputs[0], top=True)
            if half is not None:
                out[node] = call("multiply", call("tanh", half), 0.5) + 0.5
    return out


def _half(graph: System, z: Node, top: bool = False) -> Node | None:
    if len(graph.users[z]) == 1:
        if z.op.name == "add":
            return call("add", *(_half(graph, u) for u in z.inputs))
        if isinstance(z.op, Contract) and len(z.inputs) == 2 and not z.inputs[0].axes:
            return apply(z.op, z.inputs[0] * 0.5, z.inputs[1])
    return None if top else z * 0.5


def products(graph: System) -> Replaced:
    """Products of several matrices with one vector: one product, and a piece for each."""
    if sum(isinstance(n.op, Contract) for n in graph.order) < 2:
        return {}
    part_of, cyclic = loops_of(graph)
    groups: dict[tuple[object, ...], list[Node]] = {}
    for node in graph.order:
        if isinstance(node.op, Contract) and node.op.spec == "ij,j->i" and is_weight(node.inputs[0]):
            onward = _onward(graph, node, part_of, cyclic)
            groups.setdefault((node.inputs[1], onward, node.dtype), []).append(node)
    out: Replaced = {}
    candidates = {m for members in groups.values() for m in members}
    for members in groups.values():
        weights = reach((m.inputs[0] for m in members), graph.inputs_of) if len(members) > 1 else set()
        if len(members) > 1 and candidates.isdisjoint(weights):  # a matrix may depend on a product
            members.sort(key=lambda n: _chain(graph, n), reverse=True)
            all_of = apply(members[0].op, concat([m.inputs[0] for m in members], -2), members[0].inputs[1])
            out.update(zip(members, pieces_of(all_of, [m.shape[0] for m in members], -1), strict=True))
    return out


def is_weight(node: Node) -> bool:
    """A matrix that is the same at every step."""
    return not node.axes and len(node.shape) == 2


def _onward(graph: System, node: Node, part_of: Mapping[Node, int], cyclic: set[int]) -> int:
    """The loop that a value ends up in, following its only use."""
    for _ in range(8):
        if part_of[node] in cyclic:
            return part_of[node]
        users = graph.users.get(node, [])
        if len(users) != 1:
            break
        node = users[0]
    return -1 - part_of[node]


def _chain(graph: System, node: Node) -> tuple[str, ...]:
    """What happens to a value next: pieces that go on alike should lie side by side, and among them
    f and i of f * s[t-1] + i * g, in this order."""
    names: list[str] = []
    products: list[Node] = []
    for _ in range(5):
        users = graph.users.get(node, [])
        names.append(",".join(sorted(u.op.name for u in users)))
        products = [u for u in users if u.op.name == "multiply"]
        if len(users) != 1:
            break
        node = users[0]

    def of_old(product: Node) -> bool:
        return product.op.name == "multiply" and any(isinstance(v.op, Delay) for v in product.inputs)

    beside = [w for u in products for v in graph.users.get(u, []) if v.op.name == "add" for w in v.inputs]
    return (*names, "2" if any(map(of_old, products)) else "1" if any(map(of_old, beside)) else "0")


def concat(nodes: list[Node], dim: int) -> Node:
    """Values joined; pieces of one value, in order, are that value again."""
    first = nodes[0]
    if all(isinstance(n.op, Narrow) and n.inputs[0] is first.inputs[0] for n in nodes):
        whole, spans = first.inputs[0], [(n.op.start, n.op.stop) for n in nodes if isinstance(n.op, Narrow)]
        joined = all(a[1] == b[0] for a, b in itertools.pairwise(spans))
        if joined and all(isinstance(n.op, Narrow) and (n.op.dim, n.op.step) == (dim, 1) for n in nodes):
            return call("narrow", whole, spans[0][0], spans[-1][1], dim)
    return apply(Concat(dim), *nodes)


def pieces_of(whole: Node, sizes: list[Dim], dim: int) -> list[Node]:
    """A value in pieces of the given sizes along a dimension."""
    out, start = [], dims.canonical(0)
    for n in sizes:
        stop = dims.add(start, n)
        out.append(apply(Narrow(start, stop, 1, dim), whole))
        start = stop
    return out


@dataclass(frozen=True)
class _Use:
    """An elementwise operation that a piece goes into, and where."""

    piece: Node
    user: Node
    place: int


def lift(graph: System, several: bool = False) -> Replaced:
    """The same elementwise operation on neighbouring pieces: on both at once, where they go into nothing
    else; with `several`, wherever it needs but numbers beside them."""
    out: Replaced = {}
    stacked = [u for u in graph.users if isinstance(u.op, Contract | Elementwise)]
    part_of = loops_of(graph)[0] if stacked else {}
    for whole in stacked:
        users = graph.users[whole]
        pieces = sorted(
            (u for u in users if isinstance(u.op, Narrow) and (u.op.dim, u.op.step) == (-1, 1)),
            key=lambda u: dims.show((u.op.start,)),  # type: ignore[attr-defined]
        )
        ordered = _in_order(pieces)
        if len(ordered) < 2 or len(whole.shape) != 1:
            continue
        for run in _runs(graph, ordered, several):
            new = _together(graph, whole, run, part_of)
            if new is not None and not any(u.user in out for u in run):
                out.update(
                    zip(
                        (u.user for u in run),
                        pieces_of(new, [u.piece.shape[-1] for u in run], -1),
                        strict=True,
                    )
                )
    return out


def _in_order(pieces: list[Node]) -> list[Node]:
    """Pieces end to end."""
    starts = {p.op.start: p for p in pieces if isinstance(p.op, Narrow)}
    stops = {p.op.stop for p in pieces if isinstance(p.op, Narrow)}
    first = [s for s in starts if s not in stops]
    if len(first) != 1 or len(starts) != len(pieces):
        return []
    out, at = [], first[0]
    while at in starts:
        piece = starts.pop(at)
        out.append(piece)
        assert isinstance(piece.op, Narrow)
        at = piece.op.stop
    return out


def _runs(graph: System, pieces: list[Node], several: bool) -> Iterable[list[_Use]]:
    """Neighbours that go into the same operation."""
    alike: dict[tuple[object, ...], dict[int, _Use]] = {}
    for k, piece in enumerate(pieces):
        for use in _uses(graph, piece, several):
            alike.setdefault((use.user.op, use.place, len(use.user.inputs)), {}).setdefault(k, use)
    for found in alike.values():
        for _, run in itertools.groupby(enumerate(sorted(found)), key=lambda pair: pair[1] - pair[0]):
            uses = [found[k] for _, k in run]
            if len(uses) > 1:
                yield uses


def _uses(graph: System, piece: Node, several: bool) -> Iterable[_Use]:
    """The one elementwise operation that a piece goes into; with `several`, those that need but numbers
    beside it."""
    users = graph.users.get(piece, [])
    for user in users:
        others = [u for u in user.inputs if u is not piece]
        fits = isinstance(user.op, Elementwise) and user.shape == piece.shape
        numbers = bool(others) and all(_same_number(u, u) for u in others)
        if fits and (numbers if several else len(users) == 1):
            yield _Use(piece, user, user.inputs.index(piece))


def _together(graph: System, whole: Node, run: list[_Use], part_of: Mapping[Node, int]) -> Node | None:
    """The operation on all pieces of a run, or None where their other operands forbid it."""
    first, last = run[0].piece.op, run[-1].piece.op
    assert isinstance(first, Narrow)
    assert isinstance(last, Narrow)
    operands: list[Node] = []
    for place in range(len(run[0].user.inputs)):
        theirs = [u.user.inputs[place] for u in run]
        if place == run[0].place:
            operands.append(call("narrow", whole, first.start, last.stop, -1))
        elif all(_same_number(n, theirs[0]) for n in theirs):
            operands.append(theirs[0])
        elif (
            any(
                n.shape != u.user.shape or part_of[n] == part_of[u.user]
                for n, u in zip(theirs, run, strict=True)
            )
            or whole in reach(theirs, graph.inputs_of)
            or len({n.axes for n in theirs}) > 1
        ):
            return None
        else:
            operands.append(concat(theirs, -1))
    return apply(run[0].user.op, *operands)


def _same_number(a: Node, b: Node) -> bool:
    return not a.shape and not a.axes and (a is b or (a.op.leaf and a.op.name == "constant" and a.op == b.op))


# ---------------------------------------------------------------------- backward
def transposed(node: Node) -> tuple[Node, Node] | None:
    """W and v of W.T @ v."""
    if isinstance(node.op, Contract) and node.op.spec in ("ij,i->j", "i,ij->j"):
        weight, value = node.inputs if node.op.spec == "ij,i->j" else node.inputs[::-1]
        return (weight, value) if is_weight(weight) else None
    return None


def sums(graph: System) -> Replaced:
    """A sum of products of transposed matrices: one product with everything end to end."""
    out: Replaced = {}
    for node in graph.order:
        if node.op.name != "add":
            continue
        terms = [u for u in node.inputs if len(graph.users[u]) == 1 and transposed(u)]
        terms = [u for u in terms if (u.axes, u.shape) == (terms[0].axes, terms[0].shape)]
        if len(terms) < 2:
            continue
        pairs = [pair for u in terms if (pair := transposed(u))]
        weights, values = concat([w for w, _ in pairs], -2), concat([v for _, v in pairs], -1)
        joint = apply(Contract("ij,i->j"), weights, values)
        rest = [u for u in node.inputs if u not in terms]
        out[node] = call("add", joint, *rest) if rest else joint
    return out


def gradients(graph: System) -> Replaced:
    """Gradients of stacked matrices: one product over all steps, and a piece for each."""
    out: Replaced = {}
    for joint in graph.order:
        if not isinstance(joint.op, Concat) or joint.op.dim != -1 or len(joint.shape) != 1:
            continue
        sizes = [u.shape[0] for u in joint.inputs]
        groups: dict[tuple[object, ...], dict[Node, Node]] = {}
        for u in joint.inputs:
            for user in graph.users[u]:
                if isinstance(user.op, SumOfProducts) and user.op.spec == "i,j->ij" and user.inputs[0] is u:
                    groups.setdefault((user.op, user.inputs[1], user.axes), {})[u] = user
                elif user.op.name == "sum" and isinstance(user.op, Along) and user.op.spans == user.op.over:
                    groups.setdefault((user.op, None, user.axes), {})[u] = user
        for (op, other, _), members in groups.items():
            if len(members) == len(joint.inputs) and not any(m in out for m in members.values()):
                ahead = reach([joint, *next(iter(members.values())).inputs], graph.inputs_of)
                if not ahead.isdisjoint(members.values()):
                    continue  # a gradient of gradients: what is joined depends on one of them
                whole = apply(op, joint, *([other] if other is not None else []))  # type: ignore[arg-type]
                dim = -1 if other is None else -2
                parts = pieces_of(whole, sizes, dim)
                out.update({members[u]: part for u, part in zip(joint.inputs, parts, strict=True)})
    return out
