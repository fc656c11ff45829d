"""A graph at the level of its names: which input, parameter or variable feeds which variable,
at which index, through which parameters; and the loops that closes.

The operations in between have no name and are walked through, as a reader does: in
`h[t] = tanh(b + W @ h[t-1])` there is an arrow from h to h, one step late, via W, and one
from b to h.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from unfold.analysis.naming import named_bodies
from unfold.analysis.schedule import Edge, components
from unfold.core.axis import Axis, Index, mirrored
from unfold.core.kinds import IndexKind, Word
from unfold.core.leaves import Input, Param, Symbol, label_of
from unfold.core.node import Node
from unfold.core.system import System
from unfold.ops.time.delays import At, Delay, Place, Reverse

CARRYING = frozenset({"contract", "multiply", "divide", "take"})
Where = tuple[tuple[Axis, Index | None], ...]  # where axes are read; None: all of one


class ArrowKind(Word):
    """What of its source an arrow needs, or for what of its target."""

    NOW = "now"
    DELAY = "delay"
    READ = "read"  # a fixed step
    REVERSE = "reverse"
    REDUCE = "reduce"  # a whole axis
    PLACE = "place"  # for only one step of the target
    BOUNDARY = "boundary"  # only at the ends of the target


@dataclass(frozen=True)
class Arrow:
    """`target` needs `source`.

    `at` says where each axis of the source is read (None: everywhere); `via` names the
    parameters on the way, from the source on. The target is a symbol, or an output that is an
    expression: then `output` is its name.
    """

    source: Node
    target: Node
    at: tuple[Index | None, ...] = ()
    via: tuple[str, ...] = ()
    kind: ArrowKind = ArrowKind.NOW
    output: str = ""

    @property
    def lags(self) -> dict[Axis, int | None]:
        """Steps back along each axis of the source; None where that is no fixed number."""
        return {
            axis: -i.offset if i is not None and i.kind == IndexKind.NOW else None
            for axis, i in zip(self.source.axes, self.at, strict=True)
        }

    @property
    def names(self) -> tuple[str, str]:
        """The labels of both ends."""
        return label_of(self.source), self.output or label_of(self.target)


@dataclass(frozen=True)
class Cycle:
    """A loop of variables; `lags` is what it lasts along each axis, `arrows` are its steps."""

    names: tuple[str, ...]
    lags: Mapping[str, int] = field(hash=False)
    arrows: tuple[Arrow, ...] = field(repr=False, compare=False)

    def __str__(self) -> str:
        lags = [n for n in self.lags.items() if n[1]]
        over = f" over {', '.join(a for a, _ in lags)}" if len(self.lags) > 1 else ""
        steps = ", ".join(str(n) for _, n in lags)
        return f"{' -> '.join([*self.names, self.names[0]])}, lag {steps or 0}{over}"


# ---------------------------------------------------------------------- arrows
def arrows(graph: System) -> tuple[Arrow, ...]:
    """All dependences among named things, in the order of the graph."""
    walk = _Walk(graph)
    found: dict[Arrow, None] = {}
    for node in graph.order:
        if isinstance(node.op, Symbol):
            found.update(dict.fromkeys(walk.into(graph.definitions[node], node, "")))
    for name, node in graph.outputs.items():
        if not isinstance(node.op, Symbol | Input | Param):
            found.update(dict.fromkeys(walk.into(node, node, name)))
    return tuple(found)


Visit = tuple[Node, Where, tuple[str, ...], ArrowKind]


class _Walk:
    def __init__(self, graph: System) -> None:
        self.graph = graph
        self.names = named_bodies(graph)
        self.data: set[Node] = set()  # what depends on an input or a variable
        self.parameters: dict[Node, tuple[str, ...]] = {}  # what depends on parameters alone
        for node in graph.order:
            if isinstance(node.op, Input | Symbol) or any(u in self.data for u in node.inputs):
                self.data.add(node)
            elif isinstance(node.op, Param):
                self.parameters[node] = (node.op.label,)
            else:
                below = [p for u in node.inputs for p in self.parameters[u]]
                self.parameters[node] = tuple(dict.fromkeys(below))

    def into(self, body: Node, target: Node, output: str) -> Iterator[Arrow]:
        start: Visit = (body, (), (), ArrowKind.NOW)
        seen = {start}
        waiting = [start]
        while waiting:
            node, where, via, kind = waiting.pop()
            if node is not body or node.op.leaf:
                node = self._symbol(node, target)
            if isinstance(node.op, Input | Symbol | Param):
                places = dict(where)
                at = tuple(places.get(a, a.now) for a in node.axes)
                yield Arrow(node, target, at, via, _kind(kind, at), output)
                continue
            for state in reversed(list(self._onward(node, dict(where), via, kind))):
                if state not in seen:
                    seen.add(state)
                    waiting.append(state)

    def _symbol(self, node: Node, target: Node) -> Node:
        symbol = self.names.get(node)
        return node if symbol is None or symbol is target else symbol

    def _onward(
        self, node: Node, where: dict[Axis, Index | None], via: tuple[str, ...], kind: ArrowKind
    ) -> Iterator[Visit]:
        op, inputs = node.op, node.inputs
        for u, places, how, _ in inward(node, where):
            carried = via
            if op.name in CARRYING and u in self.data:
                carried = tuple(p for v in inputs for p in self.parameters.get(v, ())) + via
            elif op.name in CARRYING and any(v in self.data for v in inputs):
                continue
            yield u, places, carried, kind if how == ArrowKind.NOW else how


def inward(
    node: Node, where: Mapping[Axis, Index | None]
) -> Iterator[tuple[Node, Where, ArrowKind, Index | None]]:
    """The inputs of a node whose axes are read at `where`: each with where its own axes are read,
    how (now, boundary or place), and for a place the only step of the node that needs it."""
    op = node.op
    for number, u in enumerate(node.inputs):
        here, how, only = dict(where), ArrowKind.NOW, None
        for axis in op.spans:
            here[axis] = None
        if isinstance(op, Delay | At) and number:
            here.pop(op.axis, None)
            how = ArrowKind.BOUNDARY
        elif isinstance(op, Delay):
            now = here.get(op.axis, op.axis.now)
            here[op.axis] = None if now is None else now - op.lag
        elif isinstance(op, At):
            here[op.axis] = op.index
        elif isinstance(op, Place):
            here.pop(op.axis, None)
            how, only = ArrowKind.PLACE, op.index
        elif isinstance(op, Reverse):
            now = here.get(op.axis, op.axis.now)
            here[op.axis] = None if now is None else mirrored(now)
        yield u, tuple((a, i) for a, i in here.items() if i != a.now), how, only


def _kind(how: ArrowKind, at: tuple[Index | None, ...]) -> ArrowKind:
    if how != ArrowKind.NOW:
        return how
    if None in at:
        return ArrowKind.REDUCE
    kinds = {i.kind for i in at if i is not None}
    if kinds & {IndexKind.AT, IndexKind.LAST}:
        return ArrowKind.READ
    if IndexKind.BACK in kinds:
        return ArrowKind.REVERSE
    return ArrowKind.DELAY if any(i.offset for i in at if i is not None) else ArrowKind.NOW


# ---------------------------------------------------------------------- cycles
def cycles(graph: System, limit: int = 64) -> list[Cycle]:
    """The elementary loops of the variables, at most `limit` of them; arrows between the same
    variables with different lags are told apart.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> s = uf.var("s", over=t)
    >>> s[0] = 0
    >>> s[-1] = 0
    >>> s[t] = s[t-1] + s[t-2] / 2
    >>> [str(c) for c in cycles(uf.graph(s=s[t]))]
    ['s -> s, lag 1', 's -> s, lag 2']
    """
    links: dict[tuple[Node, Node, tuple[tuple[Axis, int | None], ...]], Arrow] = {}
    for a in arrows(graph):
        if (
            isinstance(a.source.op, Symbol)
            and isinstance(a.target.op, Symbol)
            and a.kind != ArrowKind.BOUNDARY
        ):
            links.setdefault((a.source, a.target, tuple(a.lags.items())), a)
    found: dict[object, Cycle] = {}
    components = parts(list(links.values()))
    part_of = {n: k for k, part in enumerate(components) for n in part}
    inside: list[list[Arrow]] = [[] for _ in components]
    for arrow in links.values():
        if part_of[arrow.source] == part_of[arrow.target]:
            inside[part_of[arrow.source]].append(arrow)
    for part, own in zip(components, inside, strict=True):
        for cycle in _elementary(part, own, limit - len(found)):
            found.setdefault((cycle.names, tuple(cycle.lags.items())), cycle)
    return list(found.values())


def parts(arrows: list[Arrow]) -> list[list[Node]]:
    """The strongly connected components of the ends of arrows, sources first."""
    nodes = dict.fromkeys(n for a in arrows for n in (a.source, a.target))
    return components(nodes, [Edge(a.source, a.target, ()) for a in arrows])


def _elementary(part: list[Node], arrows: list[Arrow], limit: int) -> Iterator[Cycle]:
    """The loops through each node and later ones, at most `limit` (Johnson 1975)."""
    onward: dict[Node, list[Arrow]] = {n: [] for n in part}
    for a in arrows:
        onward[a.source].append(a)
    home, members = dict.fromkeys(part, 0), {0: part}  # the components of the nodes that are left
    for start in part:
        core = members.get(home[start], [])
        own = {n: [a for a in onward[n] if home[a.target] == home[n]] for n in core}
        for path in islice(_through(start, own), limit) if core else ():
            limit -= 1
            yield _cycle(path)
        if limit <= 0:
            return
        home[start] = -1
        left = [a for n in core if n is not start for a in own[n] if a.target is not start]
        for n in core:
            home[n] = -1  # where no arrow leads on
        for group in parts(left):
            members[len(members)] = group
            home.update(dict.fromkeys(group, len(members) - 1))


def _through(start: Node, onward: Mapping[Node, list[Arrow]]) -> Iterator[list[Arrow]]:
    """The loops through a node, depth first. A node from which no way led back is passed by until one that
    stood in its way is free again."""
    blocked, waits = {start}, dict[Node, set[Node]]()
    path: list[Arrow] = []
    stack, closed = [(start, iter(onward[start]))], [False]
    while stack:
        node, rest = stack[-1]
        step = next(rest, None)
        if step is None:
            stack.pop()
            if closed.pop():
                _free(node, blocked, waits)
                closed[-1:] = [True] if closed else []
            else:
                for a in onward[node]:
                    waits.setdefault(a.target, set()).add(node)
            del path[-1:]
        elif step.target is start:
            closed[-1] = True
            yield [*path, step]
        elif step.target not in blocked:
            blocked.add(step.target)
            path.append(step)
            stack.append((step.target, iter(onward[step.target])))
            closed.append(False)


def _free(node: Node, blocked: set[Node], waits: dict[Node, set[Node]]) -> None:
    waiting = [node]
    while waiting:
        n = waiting.pop()
        if n in blocked:
            blocked.discard(n)
            waiting.extend(waits.pop(n, ()))


def _cycle(path: list[Arrow]) -> Cycle:
    lags: dict[str, int] = {}
    whole: set[str] = set()
    for a in path:
        for axis, lag in a.lags.items():
            if lag is None:
                whole.add(axis.name)
            else:
                lags[axis.name] = lags.get(axis.name, 0) + lag
    kept = {name: lag for name, lag in lags.items() if name not in whole}
    return Cycle(tuple(label_of(a.source) for a in path), kept, tuple(path))
