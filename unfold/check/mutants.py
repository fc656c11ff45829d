"""Wrong rules and a wrong engine, on purpose: what a gradient check must find.

A mutant is the same graph with the `vjp` of one argument of one node changed; nothing
global is touched. `RULES` names the changes. `ENGINE` names faults of reverse mode itself,
each a context manager that is in force while it is open.

>>> import unfold as uf
>>> x = uf.param("x")
>>> graph = uf.graph(y=uf.tanh(x))
>>> mutant = mutate(graph, graph.outputs["y"], 0, "negate")
>>> uf.check(graph, "y", x=0.3).ok, uf.check(mutant, "y", x=0.3).culprit
(True, 'tanh, argument 0')
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from unfold.core.axis import Axis
from unfold.core.leaves import constant
from unfold.core.node import Node, Op, call
from unfold.core.op import apply
from unfold.core.system import rebuild, rewrite
from unfold.graph import Graph
from unfold.ops.time.delays import Delay
from unfold.transform import adjoint

Pieces = Sequence[Node | None]


@dataclass(frozen=True)
class RuleCall:
    """Where a mutated rule is called: its own rule, and what it was given."""

    rule: Callable[..., Pieces]
    argument: int
    ct: Node
    out: Node
    inputs: tuple[Node, ...]
    above: float  # the threshold of "wrong above"

    def piece(self, ct: Node | None = None, inputs: Sequence[Node] | None = None) -> Node | None:
        """What the right rule gives, perhaps on other arguments."""
        pieces = self.rule(self.ct if ct is None else ct, self.out, *(inputs or self.inputs))
        return pieces[self.argument]


Mutation = Callable[[RuleCall], Node | None]


def scaled(by: float) -> Mutation:
    """The result times a number."""

    def change(at: RuleCall) -> Node | None:
        piece = at.piece()
        return None if piece is None else by * piece

    return change


def _swapped(at: RuleCall) -> Node | None:
    here = at.inputs[at.argument]
    others = [k for k, u in enumerate(at.inputs) if k != at.argument and _alike(u, here)]
    if not others:
        raise NotApplicable(f"no other argument is like argument {at.argument}")
    inputs = list(at.inputs)
    inputs[at.argument], inputs[others[0]] = inputs[others[0]], here
    return at.piece(inputs=inputs)


def _alike(a: Node, b: Node) -> bool:
    return (a.shape, a.dtype, a.axes) == (b.shape, b.dtype, b.axes)


def _above(at: RuleCall) -> Node | None:
    piece, x = at.piece(), at.inputs[at.argument]
    if x.dtype == "complex":
        raise NotApplicable("complex numbers have no order")
    if piece is None:
        return None
    return call("where", call("less", at.above, x), 1.5 * piece, piece)


def _first(at: RuleCall) -> Node | None:
    piece = at.piece()
    if piece is None or not piece.shape:
        return None if piece is None else 1.5 * piece
    return piece * (1.0 + 0.5 * call("one_hot", constant(0), piece.shape[-1]))


def _extra(at: RuleCall) -> Node | None:
    piece = at.piece()
    like = at.inputs[at.argument]
    extra = 1e-3 * (at.ct if at.ct.shape == like.shape else call("sum", at.ct))
    return extra if piece is None else piece + extra


RULES: dict[str, Mutation] = {
    "negate": scaled(-1.0),
    "double": scaled(2.0),
    "drop": lambda at: None,
    "one in a thousand": scaled(1 + 1e-3),
    "one in a million": scaled(1 + 1e-6),
    "ct missing": lambda at: at.piece(ct=0.0 * at.ct + 1.0),
    "ct twice": lambda at: at.piece(ct=at.ct * at.ct),
    "|ct|": lambda at: at.piece(ct=call("abs", at.ct)),
    "arguments swapped": _swapped,
    "wrong above": _above,
    "wrong at element 0": _first,
    "extra ct": _extra,
}


_NO_RULE = "its derivative is zero and its rule None: there is nothing to change"
_NO_LOOK = "its rule does not look at the arguments"
_UNREACHED = "where it is wrong the right value is zero"

EQUIVALENT: dict[tuple[str, str], str] = {
    **{
        (op, change): _NO_RULE
        for op in ("sign", "floor", "ceil", "trunc", "rint")
        for change in RULES
        if change != "extra ct"
    },
    **{(op, "arguments swapped"): _NO_LOOK for op in ("add", "subtract", "concat", "stack", "where")},
    ("contract", "arguments swapped"): "both arguments are one matrix, in its square",
    ("where", "wrong above"): _UNREACHED + ": the other branch is taken there",
    ("where", "wrong at element 0"): _UNREACHED + ": the other branch is taken there",
    ("minimum", "wrong above"): _UNREACHED + ": the other argument is smaller there",
    ("narrow", "wrong at element 0"): _UNREACHED + ": the slice leaves element 0 out",
    ("max", "wrong at element 0"): _UNREACHED + ": element 0 is not the greatest",
}
"""(operation, change) of the mutants that compute the same gradient, and why."""


class NotApplicable(Exception):
    """A change that a rule has no room for, such as swapping its only argument."""


def mutate(graph: Graph, node: Node, argument: int, change: str, above: float = 1.0) -> Graph:
    """The graph with one argument's rule of one node changed (`RULES` lists how); `above` is
    the value beyond which "wrong above" is wrong."""
    return mutate_with(graph, node, argument, RULES[change], above)


def mutate_with(graph: Graph, node: Node, argument: int, change: Mutation, above: float = 1.0) -> Graph:
    """The graph with one argument's rule of one node changed by a function of its `RuleCall`."""
    op = mutant_of(node.op, argument, change, above)

    def rule(n: Node, inputs: tuple[Node, ...]) -> Node:
        return Node(op, inputs, n.axes, n.shape, n.dtype, n.where) if n is node else rebuild(n, inputs)

    return rewrite(graph, rule)


def mutant_of(op: Op, argument: int, change: Mutation, above: float = 1.0) -> Op:
    """An operation that computes the same and differentiates one argument otherwise."""
    cls = type(op)

    def vjp(self: Op, ct: Node, out: Node, *inputs: Node) -> Pieces:
        def right(*given: Node) -> Pieces:
            return cls.vjp(self, *given)

        pieces = list(right(ct, out, *inputs))
        pieces[argument] = change(RuleCall(right, argument, ct, out, inputs, above))
        return pieces

    body = {"name": cls.name, "symbol": cls.symbol, "vjp": vjp, "__doc__": cls.__doc__}
    mutant = type(cls.__name__, (cls,), {**body, "__module__": cls.__module__})
    made: Op = mutant(**op.parameters)
    return made


# ---------------------------------------------------------------------- the engine
def _unbroadcast(change: Callable[..., Node]) -> Any:
    return mock.patch.object(adjoint, "unbroadcast", change)


_right = adjoint.unbroadcast
_delay = Delay.vjp


def _last_step_only(ct: Node, like: Node, user: Node, along: tuple[Axis, ...] = ()) -> Node:
    """The sum over an axis replaced by its last step."""
    for axis in [a for a in ct.axes if a not in like.axes and a not in along]:
        ct = _only(ct, axis)
    return _right(ct, like, user, along)


def _only(ct: Node, axis: Axis) -> Node:
    here = call("equal", call("step", axis), call("step", axis.last))
    return call("where", here, ct, 0.0)


def _first_entry_only(ct: Node, like: Node, user: Node, along: tuple[Axis, ...] = ()) -> Node:
    """The sum over repeated dimensions replaced by their first entry."""
    extra = len(ct.shape) - len(like.shape)
    for i, n in enumerate(ct.shape):
        if n != 1 and (i < extra or like.shape[i - extra] == 1):
            mask = call("one_hot", constant(0), n)
            ct = ct * call("reshape", mask, (n, *[1] * (len(ct.shape) - 1 - i)))
    return _right(ct, like, user, along)


def _shifted_delay(self: Delay, ct: Node, out: Node, *inputs: Node) -> Pieces:
    pieces = list(_delay(self, ct, out, *inputs))
    pieces[0] = apply(Delay(self.axis, -self.lag - 1), ct)
    return pieces


def _forward_delay(self: Delay, ct: Node, out: Node, *inputs: Node) -> Pieces:
    pieces = list(_delay(self, ct, out, *inputs))
    pieces[0] = apply(Delay(self.axis, self.lag), ct)
    return pieces


def _no_boundary(self: Delay, ct: Node, out: Node, *inputs: Node) -> Pieces:
    return [_delay(self, ct, out, *inputs)[0], *[None] * (len(inputs) - 1)]


def _detached(self: Delay, ct: Node, out: Node, *inputs: Node) -> Pieces:
    return [None, *list(_delay(self, ct, out, *inputs))[1:]]


def _first_reader_only(parts: Sequence[Node]) -> Node:
    return parts[0]


ENGINE: dict[str, Callable[[], Any]] = {
    "delay off by one": lambda: mock.patch.object(Delay, "vjp", _shifted_delay),
    "boundary dropped": lambda: mock.patch.object(Delay, "vjp", _no_boundary),
    "wrong direction": lambda: mock.patch.object(Delay, "vjp", _forward_delay),
    "detach": lambda: mock.patch.object(Delay, "vjp", _detached),
    "sum over t dropped": lambda: _unbroadcast(_last_step_only),
    "missing un-broadcast": lambda: _unbroadcast(_first_entry_only),
    "one reader only": lambda: mock.patch.object(adjoint, "_total", _first_reader_only),
}


@contextmanager
def engine_mutant(name: str) -> Iterator[None]:
    """Reverse mode with a fault, for graphs differentiated inside the `with` block."""
    with ENGINE[name]():
        yield


__all__ = [
    "ENGINE",
    "EQUIVALENT",
    "RULES",
    "NotApplicable",
    "engine_mutant",
    "mutant_of",
    "mutate",
    "mutate_with",
]
