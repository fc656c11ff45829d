"""What flows through time: the state that a cut carries, and how far outputs look ahead."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import count

from unfold.analysis.arrows import Arrow, arrows
from unfold.analysis.naming import written_at
from unfold.core.axis import Axis
from unfold.core.errors import UnfoldError
from unfold.core.kinds import IndexKind
from unfold.core.leaves import Input
from unfold.core.node import Node
from unfold.core.system import System


def state(graph: System, axis: Axis | str = "t", backward: bool = False) -> tuple[str, ...]:
    """The smallest set of variables and inputs that carries everything the future needs from
    the past across a cut after step t; `backward`: what the past needs from the future.

    A minimal vertex cut (Menger 1927, by augmenting paths: Ford and Fulkerson 1956) of the
    unfolded graph around the cut; of several, the one nearest to the cut. What is read over
    the whole axis (a sum, attention) is not counted.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> s = uf.var("s", over=t)
    >>> s[0] = 0
    >>> s[-1] = 1
    >>> s[t] = s[t-1] + s[t-2]
    >>> state(uf.graph(s=s[t]))
    ('s[t]', 's[t-1]')
    """
    axis = axis_of(graph, axis)
    sign = -1 if backward else 1
    steps = [(a.source, a.target, sign * lag) for a, lag in _moves(graph, axis)]
    flow = _Flow()
    order: dict[Node, int] = {}
    for source, target, _ in steps:
        order.setdefault(source, len(order))
        order.setdefault(target, len(order))
    reach = max((abs(lag) for _, _, lag in steps), default=0)
    window = reach * (len(order) + 1)
    for source, target, lag in steps:
        for here in range(-window, 1):
            there = here + lag
            if there > 0:
                flow.link((source, here, "out"), "future")
            elif there >= -window:
                flow.link((source, here, "out"), (target, there, "in"))
            if here - lag < -window:
                flow.link("past", (target, here, "in"))
    for node in order:
        for here in range(-window, 1):
            flow.link((node, here, "in"), (node, here, "out"), 1)
            if isinstance(node.op, Input):
                flow.link("past", (node, here, "in"))
    cut = sorted((-here, isinstance(node.op, Input), order[node], node) for node, here in flow.cut())
    return tuple(written_at(node, {axis: axis.now - sign * back}) for back, _, _, node in cut)


def axis_of(graph: System, axis: Axis | str) -> Axis:
    """An axis of the graph, by name."""
    for a in graph.axes:
        if axis in (a, a.name):
            return a
    have = ", ".join(a.name for a in graph.axes)
    raise UnfoldError(
        f"no axis {axis!s}; "
        + (f"this graph has {have}" if have else "an unfolded graph has none: ask the cyclic one")
    )


def _moves(graph: System, axis: Axis) -> list[tuple[Arrow, int]]:
    """The arrows between things over the axis, with their lags along it."""
    found = []
    for a in arrows(graph):
        lag = a.lags.get(axis)
        if lag is not None and axis in a.target.axes:
            found.append((a, lag))
    return found


Vertex = object


class _Flow:
    """A network with capacities; `cut` is the minimal cut nearest to the future."""

    def __init__(self) -> None:
        self.room: dict[Vertex, dict[Vertex, float]] = {"past": {}, "future": {}}

    def link(self, a: Vertex, b: Vertex, capacity: float = math.inf) -> None:
        self.room.setdefault(a, {})[b] = capacity
        self.room.setdefault(b, {}).setdefault(a, 0)

    def cut(self) -> list[tuple[Node, int]]:
        for _ in count():
            came = self._search("past", "future")
            if "future" not in came:
                break
            node: Vertex = "future"
            while (before := came[node]) is not None:
                self.room[before][node] -= 1
                self.room[node][before] += 1
                node = before
        near = self._search("future", None)
        out = [k[:2] for k in near if isinstance(k, tuple) and k[2] == "out"]
        return [k for k in out if (*k, "in") not in near]

    def _search(self, start: str, goal: str | None) -> Mapping[Vertex, Vertex | None]:
        """Breadth-first where there is room; without a goal, against the direction."""
        came: dict[Vertex, Vertex | None] = {start: None}
        waiting: deque[Vertex] = deque([start])
        while waiting:
            node = waiting.popleft()
            for other, room in self.room[node].items():
                free = room if goal is not None else self.room[other][node]
                if free > 0 and other not in came:
                    came[other] = node
                    if other == goal:
                        return came
                    waiting.append(other)
        return came


# ---------------------------------------------------------------------- streaming
def lookahead(graph: System, axis: Axis | str = "t") -> dict[str, float]:
    """For each output over the axis, how many steps ahead it reads: the largest -sum(lags)
    over paths into it; infinity where it needs the end of the sequence.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> x = uf.input("x", over=t)
    >>> x[t.last + 1] = 0
    >>> lookahead(uf.graph(y=x[t+1] - x[t]))
    {'y': 1}
    """
    axis = axis_of(graph, axis)
    need: dict[Node, float] = {}
    steps = []
    for a in arrows(graph):
        for end in (a.source, a.target):
            need.setdefault(end, 0 if isinstance(end.op, Input) else -math.inf)
        ahead = _ahead(a, axis)
        if ahead == math.inf and axis in a.target.axes:
            need[a.target] = math.inf
        else:
            steps.append((a.source, a.target, ahead))
    need = furthest(steps, need)
    found = {}
    for name, node in graph.outputs.items():
        if axis in node.axes:
            most = max(0, need.get(node, 0))
            found[name] = most if most == math.inf else int(most)
    return found


def furthest(
    steps: Iterable[tuple[Node, Node, float]], need: Mapping[Node, float], least: float = -math.inf
) -> dict[Node, float]:
    """The greatest sum of steps over paths into each node, from what each needs at the start and never
    below `least`; infinity where a cycle makes it grow (Bellman 1958)."""
    steps, need = list(steps), dict(need)
    changed, number = True, 0
    while changed:
        changed, number = False, number + 1
        for source, target, n in steps:
            want = max(least, need[source] + n)
            if want > need[target]:
                need[target] = want if number <= len(need) else math.inf
                changed = True
    return need


def _ahead(arrow: Arrow, axis: Axis) -> float:
    """Steps ahead of its target that an arrow reads; 0 across things without the axis."""
    if axis not in arrow.source.axes:
        return 0
    lag = arrow.lags[axis]
    if lag is not None:
        return -lag
    place = arrow.at[arrow.source.axes.index(axis)]
    return 0 if place is not None and place.kind == IndexKind.AT else math.inf


def over_time(graph: System) -> list[str]:
    """For each axis, what is carried from step to step, and how far ahead outputs look.

    >>> from unfold import systems
    >>> print(*over_time(systems.bidirectional()), sep="\\n")
    over t:  legal for every T; carries f[t] forward, g[t] backward; o needs all steps
    """
    lines = []
    for axis in graph.axes:
        ways = {"forward": state(graph, axis), "backward": state(graph, axis, backward=True)}
        carried = ", ".join(f"{', '.join(names)} {way}" for way, names in ways.items() if names)
        every = f"every {axis.length}" if axis.size is None else f"{axis.length} = {axis.size}"
        parts = [f"legal for {every}", f"carries {carried}" if carried else "carries nothing"]
        for name, steps in lookahead(graph, axis).items():
            if steps:
                parts.append(f"{name} needs {'all steps' if steps == math.inf else f'{steps} steps ahead'}")
        lines.append(f"over {axis.name}:  {'; '.join(parts)}")
    return lines
