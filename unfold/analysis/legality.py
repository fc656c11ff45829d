"""Whether a system has an order of computation: in general, or at the sizes that are fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from unfold.analysis.schedule import schedule
from unfold.analysis.table import table_of
from unfold.core.axis import Axis
from unfold.core.errors import DefinitionError, NotProven
from unfold.core.system import System
from unfold.ops.time.delays import At, sources


def check_legality(graph: System, written_out: Callable[[System, Mapping[Axis, int]], System]) -> None:
    """Raise unless the system has an order of computation for every number of steps. Axes of
    fixed size are judged at that size (a system that is illegal in general may still unfold):
    `written_out` unfolds them."""
    sizes = {a: a.size for a in graph.axes if isinstance(a.size, int)}
    for node in graph.order:
        if isinstance(node.op, At) and node.op.axis in sizes:
            sources(node, np.asarray(0), sizes[node.op.axis])  # raises where the read is outside
    try:
        schedule(graph)
    except DefinitionError as error:
        if not sizes:
            raise
        try:
            unfolded = written_out(graph, sizes)
            if unfolded.axes or len(table_of(unfolded).order) < len(table_of(unfolded)):
                schedule(unfolded)
        except DefinitionError as there:
            raise (there if isinstance(error, NotProven) else error) from None
