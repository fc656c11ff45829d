"""A plan as NumPy source that a person can read.

What is computed for all steps at once becomes one line over whole buffers; what waits for
the previous step becomes a loop over rows, every result written in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from unfold.analysis import schedule as dependence
from unfold.core.axis import Axis
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.engine.binding import Array
from unfold.engine.numpy import comments
from unfold.engine.numpy.storage import Loop, Var
from unfold.engine.numpy.values import Values
from unfold.engine.plan.chunking import Chunk, accumulates, is_view
from unfold.engine.plan.plan import CannotPlan
from unfold.engine.rewrites.passes import VIEWS
from unfold.ops.time.delays import Delay, Structural


@dataclass
class Printer(Values):
    """Prints one plan, node by node in the order of its schedule."""

    texts: dict[str, str] = field(default_factory=dict)  # of all equations, by what they define
    told: str = ""  # the last comment

    def print(self) -> None:
        """Print the whole schedule and what it returns."""
        self.keep = {self.plan.resolve(u) for u in self.plan.graph.outputs.values()}
        for item in self.plan.items:
            if isinstance(item, Chunk):
                self.chunk(item)
            else:
                self.items([item])
        self.results()

    def items(self, items: Sequence[Node | dependence.Loop]) -> None:
        for item in items:
            if isinstance(item, dependence.Loop):
                self.loop(item)
            elif item not in self.done and not isinstance(item.op, Symbol):
                self.node(item)

    def chunk(self, chunk: Chunk) -> None:
        """A run, part by part. What is read with a delay is carried over to the next part;
        what others read is copied into a whole buffer, and is there from then on."""
        source, axis = self.source, chunk.axis
        self.saved |= set(chunk.saved)
        source.begin(axis, chunk.sign, self.plan.bound.extents[axis], chunk.steps)
        self.items(chunk.items)
        mine = [n for n in chunk.nodes if n in self.vars and self.vars[n].name in source.local]
        delayed = [n for n in mine if n in self.padded]
        if delayed or not set(mine).isdisjoint(chunk.saved):
            source.comment(["for all that reads them later, and for the next part:"])
        rooms = {node: self.padded.pop(node) for node in delayed}
        with source.before():
            whole = {node: self.whole(node) for node in chunk.saved if node in mine}
        for node, place in whole.items():
            var = self.vars[node]
            source.copy(place, source.turn(var, [var.letters.index(x) for x in place.letters]))
        for node, full in rooms.items():  # last: what is saved may hold what was carried here
            self.carry(full, self.plan.pads[node], chunk)
        source.end()
        for node in mine:
            if node in whole:
                self.vars[node] = whole[node]
            elif is_view(node):
                del self.vars[node]  # looked at again where it is read again

    def carry(self, full: Var, pads: dict[Axis, list[int]], chunk: Chunk) -> None:
        """The last rows of a part, in the place of what the next one reads before its first."""
        before, after = pads.get(chunk.axis, (0, 0))
        count = before if chunk.sign > 0 else after
        first, last = (0, chunk.steps) if chunk.sign > 0 else (before + chunk.steps, before)
        if count:
            front = [slice(None)] * full.letters.index(chunk.axis)
            to, value = (
                self.source.index(full, [*front, slice(at, at + count)], tuple(range(full.shadow.ndim)))
                for at in (first, last)
            )
            self.source.copy(to, value)

    def explain(self, node: Node) -> None:
        """A comment naming the equation, where it changes."""
        text = self.equations.get(node)
        if text and text != self.told and not self.source.loops:
            self.source.comment([text])
            self.told = text

    # ------------------------------------------------------------------ loops
    def loop(self, loop: dependence.Loop) -> None:
        axis, sign = loop.direction[0]
        for node in loop.nodes:  # room for boundary values, before the first step
            if isinstance(node.op, Delay) and self.plan.resolve(node.inputs[0]) not in self.plan.rows:
                self.var(node)
        if not loop.straight:
            self.in_order(loop)
            return
        self.source.loops.append(Loop(axis, sign, size=self.plan.bound.extents[axis]))
        first = len(self.carried)
        if len(set(loop.offsets.values())) > 1:
            self.retimed(loop, self.plan.bound.extents[axis])
        else:
            self.items(loop.body)
        if not (self.source.loops[-1].rows or self.source.loops[-1].at):
            raise CannotPlan("a loop without arrays over its axis")
        mine, self.carried = self.carried[first:], self.carried[:first]
        told = comments.told(self.plan, loop.nodes, self.equations, self.texts)
        with self.source.before(len(self.source.loops) - 1):
            for node, row in mine:
                self.start(node, self.vars[row])
        way = "forward" if sign > 0 else "backward"
        self.source.close([f"step by step, {way} over {axis.name}:", *(f"    {line}" for line in told)])
        self.told = ""

    def retimed(self, loop: dependence.Loop, size: int) -> None:
        """A loop whose nodes are computed at different steps: each guarded by its own range."""
        here = self.source.loops[-1]
        offsets = loop.offsets.values()
        here.at, here.first, here.last = self.source.name("k"), -max(offsets), size - min(offsets)
        told: int | None = None
        self.place_ahead_of_time(loop)
        for item in loop.body:
            nodes = item.nodes if isinstance(item, dependence.Loop) else [item]
            offset, before = loop.offsets[nodes[0]], len(here.body)
            self.items([item])
            if len(here.body) > before and offset != told:
                told, moved = offset, f"{here.at}_step {'+' if offset >= 0 else '-'} {abs(offset)}"
                here.body[before:before] = f"if 0 <= {moved} < {size}:", f"    {here.at} = {moved}"

    def in_order(self, loop: dependence.Loop) -> None:
        """A loop over diagonals, or around one: a round for each value at each place, in an order that is
        known beforehand."""
        source, order, what = self.source, self.source.name("order"), self.source.name("what")
        axes = [a for a in self.plan.order if any(a in x.axes for n in loop.nodes for x in self.plan.nest(n))]
        names = [source.name(a.name) for a in axes]
        source.env[order] = self.rounds(loop, axes)
        lines: list[str] = []
        self.place_ahead_of_time(loop)
        for number, node in enumerate(loop.nodes):
            mine = {a for x in self.plan.nest(node) for a in x.axes}
            around = [Loop(a, 1, at=name) for a, name in zip(axes, names, strict=True) if a in mine]
            source.loops += around
            self.items([node])
            source.unwind(len(around))
            if around[-1].body:
                lines += [f"{'elif' if lines else 'if'} {what} == {number}:", *around[-1].body]
        source.settle_late()
        told = comments.told(self.plan, loop.nodes, self.equations, self.texts)
        way = f"step by step, over {', '.join(a.name for a in axes)}:"
        source.comment([way, *(f"    {line}" for line in told)])
        source.emit(f"for {what}, {', '.join(names)} in {order}:")
        for line in lines:
            source.emit("    " + line)
        self.told = ""

    def rounds(self, loop: dependence.Loop, axes: Sequence[Axis]) -> list[tuple[int, ...]]:
        """The number of a node and its place (from 0) along the axes (-1 along those it is not looped
        over), by their steps of each loop and their turns in its body, outermost first."""
        found: list[tuple[list[int], tuple[int, ...]]] = []
        for number, node in enumerate(loop.nodes):
            nest = self.plan.nest(node)
            inside: list[Node | dependence.Loop] = [*nest[1:], node]
            turns = [_turn(x, y) for x, y in zip(nest, inside, strict=True)]
            mine = {a for x in nest for a in x.axes}
            for place in product(*(range(self.plan.bound.extents[a]) if a in mine else [-1] for a in axes)):
                at = dict(zip(axes, place, strict=True))
                steps = [sum(f * (at[a] + 1) for a, f in x.direction) - x.offsets[node] for x in nest]
                key = [n for pair in zip(steps, turns, strict=True) for n in pair]
                found.append((key, (number, *place)))
        return [place for _, place in sorted(found)]

    def place_ahead_of_time(self, loop: dependence.Loop) -> None:
        """Places for what a retimed loop reads where it has not computed it yet: the round before has."""
        position = {n: k for k, n in enumerate(loop.nodes)}
        for k, node in enumerate(loop.nodes):
            for u in () if isinstance(node.op, Structural | Symbol) else self.plan.inputs(node):
                while u.op.name in VIEWS:
                    (u,) = self.plan.inputs(u)
                if position.get(u, -1) > k and not isinstance(u.op, Structural) and u not in self.vars:
                    self.vars[u] = self.place(u)

    def start(self, delay: Node, row: Var) -> None:
        """What a carried row holds before the first step."""
        if len(delay.inputs) == 1:
            self.source.fill(row)
        else:
            value = self.aligned(delay.inputs[1], row.letters, len(delay.shape))
            self.source.copy(row, value)

    # ------------------------------------------------------------------ nodes
    def node(self, node: Node) -> None:
        op = node.op
        self.done.add(node)
        if op.leaf:
            self.vars[node] = self.leaf(node)
        elif isinstance(op, Structural):
            self.vars[node] = self.move(node)
        elif op.name in VIEWS and node not in self.vars and (seen := self.seen(node)) is not None:
            self.vars[node] = seen
        elif self.is_number(node):
            self.vars[node] = self.leaf(node)
        elif node not in self.vars and (same := self.unchanged(node)) is not None:
            self.vars[node] = same
        else:
            self.explain(node)
            part = self.source.part
            if part and part.axis not in node.axes and accumulates(self.plan, node, part.axis):
                self.accumulate(node)
                return
            if node not in self.vars:
                self.vars[node] = self.inplace(node) or self.place(node)
            self.compute(node, self.vars[node])

    # ------------------------------------------------------------------ results
    def results(self) -> None:
        """Print the return of the outputs, in the order of the axes the user wrote."""
        parts: list[str] = []
        given: list[Array] = []
        for name, node in self.plan.graph.outputs.items():
            node = self.plan.resolve(node)
            var = self.var(node)
            wanted = (*self.plan.written[name], *range(len(node.shape)))
            order = [var.letters.index(x) for x in wanted]
            text = self.source.here(var)
            if order != sorted(order):
                text += f".transpose({', '.join(map(str, order))})"
            own = var.fresh and var.shadow.flags.writeable
            own = own and not any(np.shares_memory(var.shadow, other) for other in given)
            if own:
                given.append(var.shadow)
            parts.append(f"{name!r}: {text}" + ("[()]" if not wanted else "" if own else ".copy()"))
        self.source.emit("return {" + ", ".join(parts) + "}")


def _turn(loop: dependence.Loop, item: Node | dependence.Loop) -> int:
    """The turn of a node or an inner loop in the body of a loop."""
    return next(k for k, other in enumerate(loop.body) if other is item)
