"""The named variables of a graph, and which reads which, at what index, through which parameters;
found from the graph alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from unfold.analysis.arrows import Where, inward
from unfold.analysis.instances import made_from
from unfold.core.axis import Axis, Index
from unfold.core.kinds import Role
from unfold.core.leaves import Input, Param, Symbol, label_of
from unfold.core.node import Node
from unfold.core.system import System
from viz.model.roles import counterpart, only_sums, with_roles
from viz.model.variable_model import Model, Pattern, Reading, Variable

ADDITIVE = {"add", "subtract", "concat", "stack", "where", "equal", "less", "less_equal"}


def source(graph: System) -> tuple[System, dict[Axis, int]]:
    """The cyclic graph an unfolded one came from, and its sizes; the graph itself otherwise."""
    return made_from(graph)


# ---------------------------------------------------------------------- variables
@dataclass
class _Found:
    """What is found on the way: variables and boundary values by key, and what each is made of."""

    things: dict[str, Variable] = field(default_factory=dict)
    boundaries: dict[str, Variable] = field(default_factory=dict)
    bodies: list[tuple[Variable, Node]] = field(default_factory=list)
    gradients: list[str] = field(default_factory=list)


def model(graph: System) -> Model:
    """The variable level of a graph that has axes (or none at all: a feed-forward DAG)."""
    found = _Found()
    for node in graph.order:
        if isinstance(node.op, Input):
            if not (node.op.role == Role.TANGENT and counterpart(node.op.label, graph.params)):
                found.things[str(node.op)] = Variable(str(node.op), node.axes, node, "input")
        elif isinstance(node.op, Symbol):
            _symbol(graph, node, found)
    for name, node in graph.outputs.items():
        _output(graph, name, node, found)
    arrows: dict[tuple[str, str, Pattern], Reading] = {}
    for v, body in found.bodies:
        for a in _readings(v, body):
            arrows[a.source, a.target, a.at] = a
    known = {**found.things, **found.boundaries}
    kept = tuple(a for a in arrows.values() if a.source in known and a.target in known)
    result = with_roles(graph, found.things, found.boundaries, kept)
    return replace(result, gradients=tuple(found.gradients))


def _symbol(graph: System, node: Node, found: _Found) -> None:
    """A variable, or a boundary value of one: h[0]."""
    assert isinstance(node.op, Symbol)
    index = tuple(i for i in node.op.index if isinstance(i, Index))
    fixed = any(i.kind != "now" for i in index)
    made = graph.definitions[node]
    while made.op.name in ("pick", "broadcast_to"):
        made = made.inputs[0]
    v = Variable(node.op.label, node.axes, node, "hidden", index if fixed else (), made.op.name)
    (found.boundaries if fixed else found.things)[v.key] = v
    found.bodies.append((v, graph.definitions[node]))


def _output(graph: System, name: str, node: Node, found: _Found) -> None:
    """An output that is an expression stands for itself, if it is more than a sum of variables."""
    if isinstance(node.op, Symbol | Input) or node in graph.names or name in found.things or only_sums(node):
        return
    if name in graph.params and graph.axes:
        found.gradients.append(name)
        return
    found.things[name] = v = Variable(name, node.axes, node, "output")
    found.bodies.append((v, node))


def _readings(v: Variable, body: Node) -> Iterator[Reading]:
    for (leaf, at, only), carries in reads(body, v.axes).items():
        yield Reading(label_of(leaf) if _now(leaf) else str(leaf.op), v.key, at, carries, only)


def _now(node: Node) -> bool:
    """Whether a leaf stands for a variable at every step, not for one of its boundary values."""
    index = node.op.index if isinstance(node.op, Symbol) else ()
    return all(isinstance(i, Index) and i.kind == "now" for i in index)


# ---------------------------------------------------------------------- what an expression reads
ReadAt = tuple[Node, Pattern, Pattern]  # a leaf, where it is read, at which steps of the reader only
State = tuple[Node, Where, Pattern]


def reads(body: Node, axes: Iterable[Axis]) -> dict[ReadAt, tuple[str, ...]]:
    """Every variable that an expression over `axes` reads, with the parameters that act on it on
    the way, the nearest first."""
    start: State = (body, (), ())
    below = _below(start)
    found: dict[State, dict[ReadAt, tuple[str, ...]]] = {}
    for state, onward in below.items():
        node, where, only = state
        if isinstance(node.op, Symbol | Input):
            places = dict(where)
            found[state] = {(node, tuple(places.get(a, a.now) for a in node.axes), only): ()}
        else:
            found[state] = _joined(node, [found[s] for s in onward])
    return found[start]


def _joined(node: Node, inputs: list[dict[ReadAt, tuple[str, ...]]]) -> dict[ReadAt, tuple[str, ...]]:
    """What a node reads, given what its inputs read. A parameter that acts on a sum of several
    variables is not told of those on which one of their own has acted."""
    params = [] if node.op.name in ADDITIVE else [p for u in node.inputs if (p := _param(u))]
    several = len({leaf for found in inputs for leaf, _, _ in found}) > 1
    mine: dict[ReadAt, tuple[str, ...]] = {}
    for found in inputs:
        for key, carries in found.items():
            grown = carries if several and carries else (*carries, *params)
            mine[key] = tuple(dict.fromkeys((*mine.get(key, ()), *grown)))
    return mine


def _below(start: State) -> dict[State, list[State]]:
    """Every state that is reached, with those it leads to; what is led to comes first."""
    onward: dict[State, list[State]] = {}
    order: dict[State, list[State]] = {}
    stack: list[tuple[State, bool]] = [(start, False)]
    while stack:
        state, done = stack.pop()
        if done:
            order[state] = onward[state]
        elif state not in onward:
            onward[state] = _onward(state)
            stack.append((state, True))
            stack += [(s, False) for s in onward[state][::-1] if s not in onward]
    return order


def _onward(state: State) -> list[State]:
    """Boundary values belong to the first steps, not to every step."""
    node, where, only = state
    if isinstance(node.op, Symbol | Input):
        return []
    ways = inward(node, dict(where))
    return [
        (u, at, only if place is None else (*only, place)) for u, at, how, place in ways if how != "boundary"
    ]


def _param(node: Node) -> str | None:
    """The parameter a node is, up to transposing and slicing."""
    while len(node.inputs) == 1:
        node = node.inputs[0]
    return str(node.op) if isinstance(node.op, Param) else None
