"""Whether a system has an order of computation: in general, or at the sizes that are fixed."""

from __future__ import annotations

from collections.abc import Mapping

from unfold.axis import Axis
from unfold.dependence import schedule
from unfold.errors import DefinitionError, NotProven
from unfold.graph import Graph
from unfold.ops.time import At
from unfold.unfolding import lower, needs, tile


def check_legality(graph: Graph) -> None:
    """Raise unless the system has an order of computation for every number of steps. Axes of
    fixed size are judged at that size (a system that is illegal in general may still unfold)."""
    sizes = {a: a.size for a in graph.axes if isinstance(a.size, int)}
    for node in graph.order:
        if isinstance(node.op, At) and node.op.axis in sizes:
            needs(graph, node, {}, sizes)  # raises where the read is outside
    try:
        schedule(graph)
    except DefinitionError as error:
        if not sizes:
            raise
        try:
            _check_at(graph, sizes)
        except DefinitionError as there:
            raise (there if isinstance(error, NotProven) else error) from None


def _check_at(graph: Graph, sizes: Mapping[Axis, int]) -> None:
    tiled = tile(lower(graph, sizes), sizes)
    if tiled.axes or len(tiled.table.order) < len(tiled.table):
        schedule(tiled)
