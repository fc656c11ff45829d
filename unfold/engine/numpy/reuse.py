"""Places taken over: a value lies where another one lay that nobody needs any more."""

from __future__ import annotations

from typing import Any

import numpy as np

from unfold.core.node import Node
from unfold.core.op import Elementwise
from unfold.engine.numpy.buffers import Layout
from unfold.engine.numpy.storage import Letters, Var
from unfold.engine.plan.trace import Ref, trace
from unfold.engine.rewrites.passes import VIEWS


class Reuse(Layout):
    """Finds the place of a value among those that others have left."""

    def unchanged(self, node: Node) -> Var | None:
        """What a factor of one leaves as it is (a mean over a batch of one)."""
        if node.op.name not in ("multiply", "divide") or node in self.plan.pads or node in self.plan.part:
            return None
        for one, other in (self.plan.inputs(node)[::-1], self.plan.inputs(node)):
            if (
                not self.is_number(one)
                or (self.constant(one) != 1).any()
                or (node.op.name == "divide" and other is not self.plan.inputs(node)[0])
            ):
                continue
            alone = self.plan.users[other] == [node] and (other.axes, other.shape) == (node.axes, node.shape)
            if (
                alone
                and other.dtype == node.dtype
                and other not in self.plan.pads
                and node not in self.plan.rows
                and other not in self.plan.rows
            ):
                var = self.var(other)
                if other in self.owned:
                    self.owned.pop(other)
                    self.own(node)
                return var
        return None

    def inplace(self, node: Node) -> Var | None:
        """The place of an operand that nobody needs any more, for an elementwise result."""
        calls = trace(node.op, len(node.inputs)) if isinstance(node.op, Elementwise) else None
        if not calls or "reuse" not in self.plan.optimise or node in self.keep:
            return None
        if node in self.plan.pads or node in self.plan.part:
            return None
        letters = self.letters(node, whole=node not in self.plan.rows)
        for k, u in enumerate(self.plan.inputs(node)):
            once = all(Ref(arg=k) not in c.operands for c in calls[1:]) and calls[0].name != "where"
            if not once or u not in self.owned or u.shape != node.shape or u.dtype != node.dtype:
                continue
            same = self.vars[u].letters == letters and self.plan.nest(u) == self.plan.nest(node)
            same = same and list(self.vars[u].shadow.shape) == self.extent(letters, node)
            same = same and not any(v is not u and self.plan.whole(v) is u for v in self.plan.inputs(node))
            rounds = [loop.offsets for loop in self.plan.nest(node)]
            if any(r.get(v, r[node]) != r[node] for r in rounds for v in self.plan.users[u]):
                continue  # another round of a retimed loop reads it
            if same and self.plan.users[u].count(node) == 1 and self.settled(u):
                self.owned.pop(u)
                self.own(node)
                return self.renamed(self.vars[u], node)
        return None

    def vacant(self, node: Node, letters: Letters, shape: list[int]) -> Var | None:
        """A buffer of the right size that everybody has read, outside all loops."""
        if self.source.loops or "reuse" not in self.plan.optimise:
            return None
        part = self.source.part
        over = part is not None  # what holds one part of an axis alone: everything else lives longer
        if part and part.axis not in letters:
            return None
        mine = [u for v in (node, *self.plan.pieces(node)) for u in self.plan.inputs(v)]  # pieces lie in it
        operands = {v for u in mine for v in (u, self.plan.whole(u))}
        for u in self.owned:
            var = self.vars[u]
            if u in operands or u in self.plan.rows or (var.name in self.source.local) != over:
                continue
            fits = var.static and list(var.shadow.shape) == shape and u.dtype == node.dtype
            if fits and var.shadow.flags.c_contiguous and self.settled(u):
                self.owned.pop(u)
                return self.renamed(Var(var.name, letters, var.shadow, True), node)
        return None

    def settled(self, node: Node) -> bool:
        """Whether everybody has read a value, and the pieces of it that lie in its place."""
        pieces = self.plan.pieces(node)
        readers = [v for u in (node, *pieces) for v in self.plan.users.get(u, [])]
        return all(v in self.done for v in readers) and not any(p in self.keep | self.saved for p in pieces)

    def own(self, node: Node) -> None:
        """Let others take over the place of a value, unless something sees into it or a piece of it."""
        readers = [v for u in (node, *self.plan.pieces(node)) for v in self.plan.users.get(u, [])]
        seen = any(v.op.structural or v.op.name in VIEWS for v in readers)
        if node not in self.keep and node not in self.saved and not seen:
            self.owned[node] = None

    def renamed(self, var: Var, node: Node) -> Var:
        """A place that another value has left, under the name of the new one."""
        if node not in self.plan.labels or not var.static:
            return var
        return self.source.view(var, "{}[...]", var.shadow, var.letters, self.wish(node))

    def scratch(self, out: Var, dtype: Any, k: int) -> Var:
        """A row or array for an intermediate result, of the shape of the value's place."""
        shape = self.source.row(out).shape
        looped = {loop.axis for loop in self.source.loops}
        letters = tuple(x for x in out.letters if x not in looped)
        key = ("scratch", self.source.part, letters, shape, np.dtype(dtype).name, k)
        if key not in self.spare:
            self.spare[key] = self.source.buffer("s", letters, shape, dtype)
        return self.spare[key]
