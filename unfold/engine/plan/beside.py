"""What a loop does not compute is laid beside what it does before the loop, once for all steps."""

from __future__ import annotations

import functools

import numpy as np

from unfold.core import dims
from unfold.core.leaves import Symbol, constant
from unfold.core.node import Node, call
from unfold.core.op import apply
from unfold.core.system import System, rebuild, rewriting
from unfold.engine.plan.keeping import is_computed
from unfold.engine.rewrites.blending import Blend
from unfold.engine.rewrites.packing import Fan
from unfold.engine.rewrites.passes import Copy, Passed, loops_of
from unfold.engine.rewrites.stacking import pieces_of
from unfold.ops.array.linear import Contract
from unfold.ops.array.shape import Concat, Reshape


def beside(graph: System) -> Passed:
    """In loops, the pieces of a concatenation that the loop does not change are copied into it outside:
    each has a node of its own, over all steps."""
    part_of, cyclic = loops_of(graph)

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
        if not isinstance(node.op, Concat) or part_of[node] not in cyclic:
            return rebuild(node, inputs)
        pieces = list(inputs)
        for k, u in enumerate(node.inputs):
            source = u
            while isinstance(source.op, Symbol):
                source = graph.definitions[source]
            whole = is_computed(source) and set(source.axes) == set(node.axes) and not _is_slope(source)
            if part_of[source] != part_of[node] and not whole:
                pieces[k] = Node(Copy(), (inputs[k],), node.axes, u.shape, u.dtype, u.where)
        return rebuild(node, tuple(pieces))

    return rewriting(graph, rule)


def _is_slope(node: Node) -> bool:
    """softmax(o) - one_hot(y), which is computed together with the cross-entropy."""
    return node.op.name == "subtract" and [u.op.name for u in node.inputs] == ["softmax", "one_hot"]


def without_fans(graph: System) -> Passed:
    """Products of one value with several vectors, in the operations of the language."""

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
        if not isinstance(node.op, Fan):
            return rebuild(node, inputs)
        return _like(node, _fan(list(inputs), node.op.count))

    return rewriting(graph, rule)


def without_blends(graph: System) -> Passed:
    """Half the sum of several vectors, in the operations of the language."""
    part_of, cyclic = loops_of(graph)

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
        if not isinstance(node.op, Blend):
            return rebuild(node, inputs)
        rule = _blend if part_of[node] in cyclic else _half_sum
        return _like(node, rule(inputs[0], node.op))

    return rewriting(graph, rule)


def _like(old: Node, new: Node) -> Node:
    return Node(new.op, new.inputs, old.axes, new.shape, new.dtype, old.where)


def _blend(whole: Node, op: Blend) -> Node:
    """One product with halves of what lies end to end."""
    rows = apply(Reshape((op.count, op.size), 1), whole)
    return apply(Contract("i,ij->j"), constant(np.full(op.count, 0.5)), rows)


def _half_sum(whole: Node, op: Blend) -> Node:
    """One sum after the other, where calls are few."""
    pieces = pieces_of(whole, [op.size] * op.count, -1)
    return call("multiply", functools.reduce(lambda a, b: a + b, pieces), 0.5)


def _fan(inputs: list[Node], count: int) -> Node:
    """A sum times each of the vectors that lie end to end. To repeat it is a product with ones: that
    costs a third of a call that broadcasts."""
    *terms, factors = inputs
    total = terms[0] if len(terms) == 1 else call("add", *terms)
    size = total.shape[-1]
    row = apply(Reshape((1, size), 1), total)
    repeated = apply(Contract("ki,kj->ij"), constant(np.ones((1, count))), row)
    product = call("multiply", repeated, apply(Reshape((count, size), 1), factors))
    return apply(Reshape((dims.multiply(count, size),), 2), product)
