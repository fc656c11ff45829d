"""`plan`: a request and the sizes of a call as a program, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from unfold.analysis.schedule import Loop, Schedule
from unfold.core.axis import Axis
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.core.system import System
from unfold.engine.binding import Binding
from unfold.engine.lower.lowering import Lowering
from unfold.engine.plan.arena import Places, places
from unfold.engine.plan.beside import beside, without_blends, without_fans
from unfold.engine.plan.keeping import Keeping, keeping
from unfold.engine.plan.outline import Outline
from unfold.engine.plan.statement import Items, listing
from unfold.engine.plan.typed import declared, settled, typed
from unfold.engine.plan.view import Buffer, NotPlanned, View
from unfold.engine.rewrites.augmenting import augment
from unfold.engine.rewrites.packing import factored, pack
from unfold.engine.rewrites.passes import Passed, fuse, hoist, inline, separate
from unfold.engine.rewrites.stacking import stack

Rewrite = Callable[[System], Passed]


def _packed(graph: System, bound: Binding) -> Passed:
    """Several calls of a loop as one, where a step holds vectors. Where it holds a batch of them, only common
    factors are taken out: there what lies end to end in a vector does not lie side by side in memory."""
    if any(sum(bound.extents[a] > 1 for a in u.axes) > 1 for u in graph.order):
        return factored(graph)
    graph, packed = pack(graph, bound)
    graph, done = without_fans(graph)
    return graph, {n: done[u] for n, u in packed.items() if u in done}


REWRITES: Mapping[str, Callable[[Binding], Rewrite]] = {
    "fuse": lambda _: fuse,
    "stack": lambda _: stack,
    "hoist": lambda _: hoist,
    "pack": lambda bound: partial(_packed, bound=bound),
    "augment": lambda bound: partial(augment, bound=bound),
}
PASSES = (*REWRITES, "rows", "inside", "turn", "reuse")
"""What can be left out: rewrites of the graph, and what `keeping` and `places` decide."""


@dataclass(frozen=True, eq=False)
class Program:
    """A request as statements with places: all that a renderer needs.

    `prepare` runs once, `program` at every call; `results` says where each output lies. `request` is the
    graph that was asked for.
    """

    request: System
    outline: Outline
    keeping: Keeping
    prepare: Items
    program: Items
    buffers: Sequence[Buffer]
    results: Mapping[str, View]
    values: Mapping[Node, View]
    places: Places

    @property
    def stages(self) -> dict[str, str]:
        """Every stage as text."""
        return {
            "graph": "\n".join(map(repr, self.outline.graph.order)),
            "schedule": "\n".join(_scheduled(self.outline.schedule)),
            "keeping": str(self.keeping),
            "statements": "\n".join([*listing(self.prepare), "", *listing(self.program)]),
            "places": str(self.places),
        }


def plan(
    graph: System,
    bound: Binding,
    wanted: Mapping[str, tuple[Axis, ...]] | None = None,
    passes: Iterable[str] = PASSES,
) -> Program:
    """Plan a request for arrays of the sizes in `bound`.

    `wanted`: the order of the axes of an output, where it is not that of its node. Raises `NotPlanned`
    where there is no plan, and the errors of the schedule and of reads outside.
    """
    chosen = set(passes)
    if unknown := chosen - set(PASSES):
        raise NotPlanned(f"no pass {sorted(unknown)[0]!r}; there are {', '.join(PASSES)}")
    orders = {name: tuple((wanted or {}).get(name, u.axes)) for name, u in graph.outputs.items()}
    request, labels = rewritten(graph, bound, chosen)
    final, done = typed(request, bound)
    outline = Outline(final, bound, orders, {done[n]: label for n, label in labels.items() if n in done})
    kept = keeping(outline, "rows" in chosen, "inside" in chosen, "turn" in chosen)
    lowered = Lowering(outline, kept)
    found = places(lowered.program, lowered.buffers, "reuse" in chosen)
    return Program(
        graph,
        outline,
        kept,
        lowered.prepare,
        lowered.program,
        lowered.buffers,
        lowered.results,
        lowered.reading.values,
        found,
    )


def rewritten(graph: System, bound: Binding, passes: Iterable[str]) -> tuple[System, dict[Node, str]]:
    """The request after the rewrites that are not left out, and what equations call its nodes."""
    graph = declared(graph)
    labels = {u: name for name, u in graph.outputs.items() if not u.op.leaf}
    labels |= {graph.definitions[s]: str(s.op) for s in reversed(graph.order) if isinstance(s.op, Symbol)}
    chosen = [REWRITES[name](bound) for name in REWRITES if name in passes]
    last = (without_blends, separate, beside) if "inside" in passes else (without_blends, separate)
    for rewrite in (inline, settled, *chosen, *last):
        graph, done = rewrite(graph)
        labels = {done[n]: label for n, label in labels.items() if n in done}
    return graph, labels


def _scheduled(items: Schedule | tuple[Node | Loop, ...], indent: str = "") -> Iterable[str]:
    for item in items:
        if isinstance(item, Loop):
            along = " ".join(f"{factor:+d} {a.name}" for a, factor in item.direction)
            yield f"{indent}along {along}:"
            yield from _scheduled(item.body, indent + "    ")
        else:
            yield f"{indent}{item!r}"
