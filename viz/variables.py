"""What a variable-level picture shows: the named variables of a graph, and which reads which,
at what index, through which parameters.

Everything is found from the graph alone: an input that only a loss reads is a target, a
variable that reads itself at another step is a state, a number that only sums feed into an
output is a loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from unfold.analysis.instances import Instances
from unfold.core.axis import Axis, Index
from unfold.core.leaves import Input, Param, Symbol
from unfold.core.node import Node
from unfold.core.system import System, postorder
from unfold.ops.time.delays import At, Delay, Place, Reverse

DERIVED = ("adjoint", "tangent")
Pattern = tuple[Index | None, ...]  # where a source is read, per axis of it; None: all of it
ADDITIVE = {"add", "subtract", "concat", "stack", "where", "equal", "less", "less_equal"}
SUMS = {"sum", "mean", "divide", "multiply", "constant", "size", "extent", "cast", "add", "reshape"}


@dataclass(frozen=True)
class Variable:
    """A named thing; `index` is () or the fixed places of a boundary, as in h[0]."""

    name: str
    axes: tuple[Axis, ...]
    node: Node = field(compare=False)
    role: str = "hidden"
    index: tuple[Index, ...] = ()
    makes: str = ""  # the operation that computes it

    @property
    def key(self) -> str:
        return self.name + (f"[{', '.join(map(repr, self.index))}]" if self.index else "")


@dataclass(frozen=True)
class Arrow:
    """`target` at its own index reads `source` at `at`."""

    source: str
    target: str
    at: Pattern
    carries: tuple[str, ...] = ()
    only: Pattern = ()  # the target's indices at which it does so, where not at all of them

    def lag(self, axis: Axis) -> int | None:
        """Steps back along an axis; 0 where it plays no part, None for a fixed or whole read."""
        for i in self.at:
            if i is None or i.axis == axis:
                return -i.offset if i is not None and i.kind == "now" else None
        return 0

    @property
    def near(self) -> bool:
        """Read at the very same step."""
        return all(i is not None and i.kind == "now" and not i.offset for i in self.at) and not self.only

    @property
    def moves(self) -> bool:
        """Read at another step of the same axes."""
        inside = all(i is not None and i.kind == "now" for i in self.at)
        return inside and any(i is not None and i.offset for i in self.at)


@dataclass(frozen=True)
class Model:
    """Variables by key, in topological order, and the arrows between them."""

    variables: Mapping[str, Variable]
    arrows: tuple[Arrow, ...]
    boundaries: Mapping[str, Variable]
    title: str = ""
    gradients: tuple[str, ...] = ()  # parameters whose gradients the graph gives

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        return tuple(dict.fromkeys(a for v in self.variables.values() for a in v.axes))

    def over(self, *axes: Axis) -> list[Variable]:
        """The variables over exactly these axes."""
        return [v for v in self.variables.values() if set(v.axes) == set(axes)]

    def into(self, key: str) -> list[Arrow]:
        return [a for a in self.arrows if a.target == key]

    def out_of(self, key: str) -> list[Arrow]:
        return [a for a in self.arrows if a.source == key]


def without(found: Model, *axes: Axis) -> Model:
    """The same picture for one place of the axes: what stands on a plate, drawn once."""
    over = {k: v.axes for k, v in (*found.variables.items(), *found.boundaries.items())}
    variables = {k: replace(v, axes=_less(v.axes, axes)) for k, v in found.variables.items()}
    boundaries = {
        k: replace(v, axes=_less(v.axes, axes), index=tuple(i for i in v.index if i.axis not in axes))
        for k, v in found.boundaries.items()
    }
    names = {k: b.key for k, b in boundaries.items()}
    arrows = tuple(
        replace(
            a,
            source=names.get(a.source, a.source),
            target=names.get(a.target, a.target),
            at=tuple(i for i, axis in zip(a.at, over.get(a.source, ()), strict=False) if axis not in axes),
        )
        for a in found.arrows
    )
    return replace(
        found, variables=variables, boundaries={b.key: b for b in boundaries.values()}, arrows=arrows
    )


def plates(found: Model) -> tuple[Axis, ...]:
    """Axes along which nothing depends on anything, such as the examples of a batch; never all."""
    busy: set[Axis] = set()
    for a in found.arrows:
        source = found.variables.get(a.source) or found.boundaries.get(a.source)
        for axis, i in zip(source.axes if source else (), a.at, strict=False):
            if i is None or i.kind != "now" or i.offset:
                busy.add(axis)
    quiet = tuple(a for a in found.axes if a not in busy)
    return quiet if len(quiet) < len(found.axes) else quiet[1:]


def _less(axes: tuple[Axis, ...], gone: tuple[Axis, ...]) -> tuple[Axis, ...]:
    return tuple(a for a in axes if a not in gone)


# ---------------------------------------------------------------------- extraction
def model(graph: System) -> Model:
    """The variable level of a graph that has axes (or none at all: a feed-forward DAG)."""
    things: dict[str, Variable] = {}
    boundaries: dict[str, Variable] = {}
    arrows: dict[tuple[str, str, Pattern], Arrow] = {}
    bodies: list[tuple[Variable, Node]] = []
    gradients: list[str] = []
    for node in graph.order:
        if isinstance(node.op, Input):
            if node.op.label.endswith("_dot") and node.op.label[:-4] in graph.params:
                continue  # the direction in which a parameter moves, not a variable
            things[str(node.op)] = Variable(str(node.op), node.axes, node, "input")
        elif isinstance(node.op, Symbol):
            fixed = any(i.kind != "now" for i in node.op.index if isinstance(i, Index))
            index = tuple(i for i in node.op.index if isinstance(i, Index)) if fixed else ()
            made = graph.definitions[node]
            while made.op.name in ("pick", "broadcast_to"):
                made = made.inputs[0]
            name = node.op.label if fixed else _name(node)
            v = Variable(name, node.axes, node, "hidden", index, made.op.name)
            (boundaries if fixed else things)[v.key] = v
            bodies.append((v, graph.definitions[node]))
    for name, node in graph.outputs.items():
        shown = isinstance(node.op, Symbol | Input) or node in graph.names or name in things
        if not shown and not _only_sums(node):
            if name in graph.params and graph.axes:
                gradients.append(name)
                continue
            things[name] = Variable(name, node.axes, node, "output")
            bodies.append((things[name], node))
    for v, body in bodies:
        for (leaf, at, only), carries in reads(body, v.axes).items():
            source = _name(leaf) if _now(leaf) else str(leaf.op)
            arrows[source, v.key, at] = Arrow(source, v.key, at, carries, only)
    known = {**things, **boundaries}
    kept = tuple(a for a in arrows.values() if a.source in known and a.target in known)
    return replace(with_roles(graph, things, boundaries, kept), gradients=tuple(gradients))


def _name(node: Node) -> str:
    return str(getattr(node.op, "label", node.op))


def _now(node: Node) -> bool:
    index = node.op.index if isinstance(node.op, Symbol) else ()
    return all(isinstance(i, Index) and i.kind == "now" for i in index)


def _only_sums(node: Node) -> bool:
    """Whether a node is no more than a sum (or mean) of named variables."""
    return all(
        n.op.name in SUMS for n in postorder([node]) if not isinstance(n.op, Symbol | Input | Param)
    ) and any(isinstance(n.op, Symbol) for n in postorder([node]))


def source(graph: System) -> tuple[System, dict[Axis, int]]:
    """The cyclic graph an unfolded one came from, and its sizes; the graph itself otherwise."""
    origin = graph.definitions
    if isinstance(origin, Instances):
        return origin.graph, dict(origin.extents)
    return graph, {}


Where = tuple[tuple[Axis, Index | None], ...]
State = tuple[Node, Where, Pattern]


def reads(body: Node, axes: Iterable[Axis]) -> dict[tuple[Node, Pattern, Pattern], tuple[str, ...]]:
    """Every variable that an expression reads: (leaf, where it is read, at which of its own
    steps only) -> the parameters that act on it on the way, the nearest first."""
    start: State = (body, tuple((a, a.now) for a in axes), ())
    order: list[State] = []
    below: dict[State, list[State]] = {}
    stack: list[tuple[State, bool]] = [(start, False)]
    while stack:
        state, done = stack.pop()
        if done:
            order.append(state)
        elif state not in below:
            below[state] = _step(state)
            stack.append((state, True))
            stack += [(s, False) for s in below[state][::-1] if s not in below]
    found: dict[State, dict[tuple[Node, Pattern, Pattern], tuple[str, ...]]] = {}
    for state in order:
        node, where, only = state
        if isinstance(node.op, Symbol | Input):
            at = tuple(dict(where).get(a, a.now) for a in node.axes)
            found[state] = {(node, at, only): ()}
            continue
        mine: dict[tuple[Node, Pattern, Pattern], tuple[str, ...]] = {}
        params = [] if node.op.name in ADDITIVE else [p for u in node.inputs if (p := _param(u))]
        joined = len({leaf for s in below[state] for leaf, _, _ in found[s]}) > 1
        for s in below[state]:
            for key, carries in found[s].items():
                grown = carries if joined and carries else (*carries, *params)
                mine[key] = tuple(dict.fromkeys((*mine.get(key, ()), *grown)))
        found[state] = mine
    return found[start]


def _step(state: State) -> list[State]:
    """Where the inputs of a node are read, given where the node is."""
    node, where, only = state
    op = node.op
    if isinstance(op, Symbol | Input):
        return []
    at = dict(where)
    inputs = node.inputs
    if isinstance(op, Delay):
        here = at.get(op.axis, op.axis.now)
        at[op.axis] = None if here is None else here - op.lag
        inputs = inputs[:1]  # boundary values belong to the first steps, not to every step
    elif isinstance(op, At):
        at[op.axis] = op.index
        inputs = inputs[:1]
    elif isinstance(op, Place):
        only = (*only, op.index)
    elif isinstance(op, Reverse):
        here = at.get(op.axis, op.axis.now)
        at[op.axis] = None if here is None else Index(op.axis, "back", 1 - here.offset)
    else:
        at.update(dict.fromkeys(op.spans, None))
    kept = tuple(at.items())
    return [(u, kept, only) for u in inputs]


def _param(node: Node) -> str | None:
    """The parameter a node is, up to transposing and slicing."""
    while len(node.inputs) == 1:
        node = node.inputs[0]
    return str(node.op) if isinstance(node.op, Param) else None


# ---------------------------------------------------------------------- roles
def with_roles(
    graph: System, things: dict[str, Variable], boundaries: dict[str, Variable], arrows: tuple[Arrow, ...]
) -> Model:
    """Roles found, variables in topological order."""
    named = {graph.names.get(n, n) for n in graph.outputs.values()}
    direct = {_name(s) for s in named if isinstance(s.op, Symbol)}
    summed = set()
    for node in graph.outputs.values():
        if not node.shape and not node.axes:
            below = [node, *(graph.definitions[node],)] if isinstance(node.op, Symbol) else [node]
            sums = _only_sums(below[-1])
            summed |= {_name(n) for b in below for n in postorder([b]) if sums and isinstance(n.op, Symbol)}
            summed |= {_name(node)} if isinstance(node.op, Symbol) else set()
    out: dict[str, list[Arrow]] = {}
    into: dict[str, list[Arrow]] = {}
    for a in arrows:
        out.setdefault(a.source, []).append(a)
        into.setdefault(a.target, []).append(a)
    roles: dict[str, str] = {}
    states = {a.source for a in arrows if a.moves and a.target in _upstream(a.source, into)}
    for key, v in things.items():
        own = [a for a in out.get(key, []) if a.moves and a.target in _upstream(key, into)]
        back, forth = (any(sign in _signs(a) for a in own) for sign in (-1, 1))
        base = counterpart(key)
        number = not v.node.shape and v.node.dtype == "float"
        if v.role == "input":
            roles[key] = "input"
        elif base in things and set(things[base].axes) == set(v.axes):
            roles[key] = "tangent" if key.endswith("_dot") else "adjoint"
        elif key in states:
            roles[key] = "reverse" if back and not forth else "state"
        elif number and not out.get(key) and (key in summed or (v.role == "output" and not v.axes)):
            roles[key] = "loss"
        else:
            roles[key] = "output" if key in direct or v.role == "output" else "hidden"
    for key, v in things.items():
        readers = [a.target for a in out.get(key, []) if a.near]
        losses = bool(readers) and all(roles.get(r) in ("loss", *DERIVED) for r in readers)
        if v.role == "input" and losses:
            roles[key] = "target"
        elif roles[key] == "hidden" and losses and any(a.target == key for a in arrows):
            roles[key] = "output"
    arrows = tuple(a for a in arrows if _flows(a, roles, into))
    ordered = _topological(things, arrows)
    return Model(
        {k: replace(things[k], role=roles[k]) for k in ordered},
        arrows,
        {k: replace(b, role=roles.get(b.name, "state")) for k, b in boundaries.items()},
    )


def _flows(a: Arrow, roles: Mapping[str, str], into: Mapping[str, list[Arrow]]) -> bool:
    """Into an adjoint only what flows back is drawn, not the values that its derivative looks
    up; but where the flow starts, what it starts from is."""
    if roles.get(a.target) not in DERIVED or roles.get(a.source) in DERIVED:
        return True
    fed = any(roles.get(b.source) in DERIVED and b.source != a.target for b in into[a.target])
    return not fed and a.near


def counterpart(key: str) -> str:
    """The variable that an adjoint (dh) or a tangent (h_dot) belongs to, going by its name."""
    if key.endswith("_dot"):
        return key.removesuffix("_dot")
    return key.removeprefix("d").rstrip("'") if key.startswith("d") else ""


def _signs(a: Arrow) -> set[int]:
    return {1 if i.offset < 0 else -1 for i in a.at if i is not None and i.offset}


def _upstream(key: str, into: Mapping[str, list[Arrow]]) -> set[str]:
    """All variables that a variable depends on."""
    found: set[str] = set()
    waiting = [key]
    while waiting:
        for a in into.get(waiting.pop(), []):
            if a.source not in found:
                found.add(a.source)
                waiting.append(a.source)
    return found


def _topological(things: Mapping[str, Variable], arrows: Iterable[Arrow]) -> list[str]:
    """Inputs first; cycles in the order of their equations within one step."""
    rows = ranks(things, arrows)
    place = {k: n for n, k in enumerate(things)}
    return sorted(things, key=lambda k: (rows[k], place[k]))


def ranks(keys: Iterable[str], arrows: Iterable[Arrow]) -> dict[str, int]:
    """Longest path from the sources. Within a loop only reads of the same step count."""
    keys = list(keys)
    known = set(keys)
    arrows = [a for a in arrows if a.source in known and a.target in known and a.source != a.target]
    into: dict[str, list[Arrow]] = {}
    for a in arrows:
        into.setdefault(a.target, []).append(a)
    above = {k: _upstream(k, into) for k in keys}
    counted = [a for a in arrows if a.near or a.target not in above[a.source]]
    rank = dict.fromkeys(keys, 0)
    for _ in keys:
        for a in counted:
            rank[a.target] = max(rank[a.target], rank[a.source] + 1)
    return rank
