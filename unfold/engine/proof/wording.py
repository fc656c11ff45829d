"""Tags, steps and statements in words."""

from __future__ import annotations

from collections.abc import Mapping

from unfold.core.axis import Axis
from unfold.core.leaves import Constant, Named
from unfold.core.node import Node
from unfold.engine.plan.statement import Statement
from unfold.engine.plan.typed import Boundary
from unfold.engine.plan.view import Sizes
from unfold.engine.planning import Program
from unfold.engine.proof.tags import Meant, Tags
from unfold.ops.time.delays import Delay, Structural

LONGEST = 60  # characters of an expression that is shown


class Wording:
    """What the values of a program are called: by the equations' names, else as in the printed code."""

    def __init__(self, program: Program, tags: Tags) -> None:
        self.tags = tags
        self.names = {node: view.buffer.name for node, view in program.values.items() if _has_own(node)}
        for name, u in program.outline.graph.outputs.items():
            self.names[tags.resolve(u)] = name
        for node, label in program.outline.labels.items():
            self.names[node] = label.partition("[")[0] if node.axes else label

    def name(self, node: Node) -> str:
        """A value."""
        if isinstance(node.op, Named):
            return node.op.label
        if isinstance(node.op, Constant):
            return str(node.op)
        if isinstance(node.op, Boundary):
            return f"a boundary value along {node.op.axis}"
        if isinstance(node.op, Delay):
            read = self.name(self.tags.resolve(node.inputs[0]))
            return f"{read}[{node.op.axis}{-node.op.lag:+d}]"
        if isinstance(node.op, Structural):
            return f"{node.op.name} of {self.name(self.tags.resolve(node.inputs[0]))}"
        return self.names.get(node, node.op.name)

    def statement(self, s: Statement) -> str:
        """`h = tanh(a)`."""
        node = self.tags.resolve(s.nodes[0])
        what = s.what if isinstance(s.what, str) else s.kind.value
        operands = ", ".join(self.name(self.tags.resolve(u)) for u, _ in s.sources)
        return f"{self.name(node)} = {what}({operands})"

    def tag(self, tag: int, counters: Mapping[Axis, int]) -> str:
        """What a cell holds, at the step at hand: `h[t-1]`."""
        old = tag >= self.tags.shift()
        found = self.tags.meant(tag - self.tags.shift() if old else tag)
        if found is None:
            return "what nobody has written"
        return self._meant(found, counters) + (" of the call before" if old else "")

    def _meant(self, found: Meant, counters: Mapping[Axis, int]) -> str:
        if isinstance(found.of, complex):
            return f"the number {found.of.real if not found.of.imag else found.of:g}"
        if isinstance(found.of, str):
            return f"{found.of}{_bracket(found.index)}"
        node = found.of
        count = len(node.axes)
        steps = ", ".join(_step(a, k, counters) for a, k in zip(node.axes, found.index, strict=False))
        entry = f" at entry {_bracket(found.index[count:])}" if len(found.index) > count else ""
        name = self.name(node) + (f"[{steps}]" if steps else "")
        if found.part is not None:
            name = f"{name} summed over steps {found.part[0] + 1}..{found.part[1]}"
        return name + entry


def moment(steps: Mapping[Axis, int]) -> str:
    """The steps at hand, counted from 1: `t = 3`."""
    return ", ".join(f"{a.name} = {k + 1}" for a, k in steps.items())


def _step(axis: Axis, k: int, counters: Mapping[Axis, int]) -> str:
    if axis not in counters:
        return f"{axis.name}={k + 1}"
    lag = k - counters[axis]
    return f"{axis.name}{lag:+d}" if lag else axis.name


def _bracket(index: Sizes) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""


def _has_own(node: Node) -> bool:
    return not (node.op.leaf or isinstance(node.op, Structural | Boundary))
