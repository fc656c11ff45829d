"""The gradient graph is right and the code compiled from it is not: at which variable they part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.check.numbers.oracle import SLACK
from unfold.check.numbers.recorder import record
from unfold.check.rules.certificates import full_shape
from unfold.check.why.reverse_mode import EngineFault
from unfold.core.key import unused
from unfold.core.leaves import Input
from unfold.core.node import Node
from unfold.core.system import by_label
from unfold.engine.binding import Binding
from unfold.graph import Graph
from unfold.transform import adjoint

Array = NDArray[Any]


def backend_fault(
    graph: Graph, of: str, bound: Binding, run: Callable[[Graph, Binding], Mapping[str, Array]]
) -> EngineFault | None:
    """Where compiled adjoints leave those of the definition: the variable, and its last step.

    Every variable gets a probe, v[t] = f(...) + p_v[t]; the gradient in p_v[t] is the adjoint
    of v[t], which the compiled graph (`run`) and the recorded one must agree on."""
    probes: dict[Node, Node] = {}
    leaves = by_label(graph)
    definitions = dict(graph.definitions)
    for i, (symbol, body) in enumerate(graph.definitions.items()):
        if symbol.dtype == "float" and len(probes) < 200:
            probes[symbol] = probe = Node(
                Input(unused(f"probe_{i}", leaves)), (), symbol.axes, symbol.shape, symbol.dtype
            )
            definitions[symbol] = body + probe
    probed = Graph({of: graph.output(of)}, definitions)
    names = {unused(f"adjoint_{i}", [of]): p for i, p in enumerate(probes.values())}
    joint = adjoint.with_gradients(probed, of, names, [of])
    zero = {str(p.op): np.zeros(full_shape(p, bound), bound.dtype) for p in probes.values()}
    probing = replace(bound, arrays={**bound.arrays, **zero})
    found = run(joint, probing)
    recorded = record(joint, probing, joint.outputs.values())
    for symbol, name in reversed(list(zip(probes, names, strict=True))):
        have, want = np.asarray(found[name]), recorded[joint.outputs[name]]
        far = abs(have - want) > SLACK * np.finfo(have.dtype).eps * (abs(have) + abs(want)) + 1e-290
        if far.any():
            axis = symbol.axes[0] if symbol.axes else None
            steps = sorted({int(i[0]) + 1 for i in np.argwhere(far)}) if axis else []
            text = "the compiled gradient leaves the recorded one here"
            size = bound.extents[axis] if axis else 0
            return EngineFault(symbol, None, tuple(steps), size, axis.name if axis else "t", text)
    return None
