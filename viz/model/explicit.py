"""The periodic picture behind an explicit graph: symbols h[1], h[2], ... that no cyclic graph
stands behind (the gradient of an unfolded graph) are brought back into columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from unfold.core.axis import Axis, Index
from unfold.core.kinds import IndexKind
from unfold.core.leaves import Input, Named, Symbol, label_of
from unfold.core.node import Node
from unfold.core.system import System
from viz.model.roles import with_roles
from viz.model.variable_level import reads
from viz.model.variable_model import Model, Pattern, Reading, Variable

TIME = Axis("t")


def model(graph: System) -> tuple[Model, dict[Axis, int]] | None:
    """Variables and arrows with lags, and the number of steps; None if the names of the graph
    do not run along one axis."""
    named = [n for n in graph.order if isinstance(n.op, Symbol | Input)]
    places = {n: _index(n) for n in named}
    if not any(places.values()) or any(len(i) > 1 for i in places.values()):
        return None
    last = _last(places)
    things: dict[str, Variable] = {}
    boundaries: dict[str, Variable] = {}
    for n in sorted(named, key=lambda n: max(places[n], default=0)):
        label, at = label_of(n), places[n]
        role = "input" if isinstance(n.op, Input) else "hidden"
        if at and not 1 <= at[0] <= last:
            kind = (
                Index(TIME, IndexKind.AT, at[0]) if at[0] < 1 else Index(TIME, IndexKind.LAST, at[0] - last)
            )
            b = Variable(label, (), n, role, (kind,))
            boundaries[b.key] = b
        else:
            things.setdefault(label, Variable(label, (TIME,) if at else (), n, role))
    arrows: dict[tuple[str, str, Pattern], Reading] = {}
    for n in named:
        if isinstance(n.op, Symbol):
            for a in _arrows(n, graph.definitions[n], places, last):
                known = arrows.setdefault((a.source, a.target, a.at), a)
                carries = tuple(dict.fromkeys((*known.carries, *a.carries)))
                arrows[a.source, a.target, a.at] = replace(known, carries=carries)
    kept = _whole(arrows.values(), last)
    found = with_roles(graph, things, boundaries, kept)
    gradients = tuple(name for name in graph.outputs if name in graph.params)
    return replace(found, gradients=gradients), {TIME: last}


def _index(node: Node) -> tuple[int, ...]:
    assert isinstance(node.op, Named)
    return tuple(i for i in node.op.index if isinstance(i, int))


def _last(places: dict[Node, tuple[int, ...]]) -> int:
    given = [i[0] for n, i in places.items() if i and isinstance(n.op, Input)]
    if given:
        return max(given)
    tops: dict[str, int] = {}
    for n, i in places.items():
        if i:
            tops[label_of(n)] = max(tops.get(label_of(n), 1), i[0])
    return min(tops.values())


def _arrows(node: Node, body: Node, places: dict[Node, tuple[int, ...]], last: int) -> Iterable[Reading]:
    at = places[node]
    inside = bool(at) and 1 <= at[0] <= last
    target = label_of(node) if inside or not at else _key(node, at[0], last)
    for (leaf, _, _), carries in reads(body, ()).items():
        there = places[leaf]
        if not there:
            yield Reading(label_of(leaf), target, (), carries)
        elif inside:
            yield Reading(label_of(leaf), target, (Index(TIME, IndexKind.NOW, there[0] - at[0]),), carries)
        elif 1 <= there[0] <= last:
            yield Reading(label_of(leaf), target, (Index(TIME, IndexKind.AT, there[0]),), carries)


def _key(node: Node, at: int, last: int) -> str:
    index = Index(TIME, IndexKind.AT, at) if at < 1 else Index(TIME, IndexKind.LAST, at - last)
    return f"{label_of(node)}[{index!r}]"


def _whole(arrows: Iterable[Reading], last: int) -> tuple[Reading, ...]:
    """Reads of every single step become one read of all of them."""
    kept: list[Reading] = []
    fixed: dict[tuple[str, str], list[Reading]] = {}
    for a in arrows:
        if a.at and a.at[0] is not None and a.at[0].kind == "at":
            fixed.setdefault((a.source, a.target), []).append(a)
        else:
            kept.append(a)
    for group in fixed.values():
        full = len(group) == last and last > 1
        kept += [replace(group[0], at=(None,))] if full else group
    return tuple(kept)
