"""Values that lie end to end: concatenations, several products of one value, blends.

Where a call costs more than its arithmetic, rows of several values are summed or repeated by one small
product.
"""

from __future__ import annotations

import math

import numpy as np

from unfold.core.leaves import Constant
from unfold.core.node import Node
from unfold.engine.numpy.places import Places
from unfold.engine.numpy.storage import Letters, Var
from unfold.engine.rewrites.passes import SMALL
from unfold.ops.array.shape import Concat
from unfold.ops.time.delays import Delay


class Ends(Places):
    """Prints what is computed of values that lie end to end."""

    def joined(self, node: Node, op: Concat, out: Var) -> None:
        """A concatenation: only what is not computed in its place is copied there."""
        start, source = 0, self.source
        run: list[tuple[Node, slice]] = []  # neighbours that one call may copy
        for u in self.plan.inputs(node):
            stop = start + self.plan.shape(u)[op.dim]
            moved = (
                isinstance(u.op, Delay)
                and self.plan.ahead.get(self.plan.resolve(u.inputs[0]), (None,))[0] is node
            )
            here = moved or self.plan.part.get(u, (None,))[0] is node
            if here:
                self.copied(run, out, node)
                run = []
            elif not source.loops:
                run.append((u, slice(start, stop)))
            elif self.plan.whole(node) not in self.plan.rows and not any(
                loop is self.plan.nest(node)[0] for loop in self.plan.nest(u)
            ):
                loops, source.loops = source.loops, []  # the same at every step: before the loop
                self.copied([(u, slice(start, stop))], out, node)
                source.loops = loops
            else:
                self.copied([(u, slice(start, stop))], out, node)
            start = stop
        self.copied(run, out, node)

    def copied(self, run: list[tuple[Node, slice]], out: Var, node: Node) -> None:
        """Copies of values into a concatenation, one behind the other."""
        assert isinstance(node.op, Concat)
        looped = {loop.axis for loop in self.source.loops}
        letters, rank = tuple(x for x in out.letters if x not in looped), len(node.shape)
        values = [self.aligned(u, letters, rank) for u, _ in run]
        if len(run) > 1 and self.source.joins and all(v.letters == out.letters for v in values):
            dim, piece = node.op.dim, slice(run[0][1].start, run[-1][1].stop)
            self.source.join(values, self.span(out, node, dim, piece), out.letters.index(rank + dim))
        else:
            for (u, piece), value in zip(run, values, strict=True):
                spot = self.span(out, node, node.op.dim, piece)
                kept = ("ahead", self.plan.whole(node)) in self.spare and isinstance(u.op, Constant)
                if kept and not (self.source.loops or self.source.part) and self.source.joins:
                    self.source.prepare.append(f"copyto({spot.name}, {value.name})")  # once for all calls
                else:
                    self.source.copy(spot, value)

    def fan(self, node: Node, out: Var) -> None:
        """A value times several that lie end to end: it broadcasts, or where that costs more than its
        arithmetic is repeated by a product with ones, which sums two terms as well."""
        source, looped = self.source, {loop.axis for loop in self.source.loops}
        *terms, last = self.plan.inputs(node)
        letters = tuple(x for x in out.letters if x not in looped)
        k, count = self.aligned(last, letters, 1), node.op.parameters["count"]
        flat: Var | None
        if node in self.plan.borrowed:
            joint, start, stop = self.plan.borrowed[node]
            x = self.span(self.var(joint), joint, -1, slice(start, stop))
            flat = self.flattened(x, 2)
            assert flat is not None
        else:
            x = self.aligned(terms[0], letters, 1)
            if len(terms) > 1:
                total = self.scratch(self.var(node.inputs[0]), x.shadow.dtype, 0)
                source.ufunc("add", [x, self.aligned(terms[1], letters, 1)], total)
                x = total
            flat = self.flattened(x, 1) if source.loops and count * source.row(x).size <= SMALL else None
        if flat is not None:
            repeated = self.repeated(flat, count)
            source.ufunc("multiply", [self.shaped(repeated, source.row(out).shape, letters), k], out)
            return

        def apart(var: Var, shape: tuple[int, int] | None) -> Var:
            d = var.letters.index(0)
            names = (*var.letters[:d], "count", *var.letters[d:])
            if shape is None:
                return source.index(var, [*[slice(None)] * d, None], names)
            return self.shaped(var, (*var.shadow.shape[:d], *shape, *var.shadow.shape[d + 1 :]), names)

        whole = (count, x.shadow.shape[x.letters.index(0)])
        source.ufunc("multiply", [apart(x, None), apart(k, whole)], apart(out, whole))

    def repeated(self, rows: Var, count: int) -> Var:
        """The sum of the rows of a variable, so many times."""
        row = self.source.row(rows)
        spot = ("repeated", count, row.shape)
        if spot not in self.spare:
            self.spare[spot] = self.source.buffer("repeated", ("count", 0), (count, row.shape[1]), row.dtype)
        self.source.dot(self.filled("ones", count, len(row)), rows, self.spare[spot])
        return self.spare[spot]

    def filled(self, wish: str, *shape: int) -> Var:
        """An array of ones, or of halves."""
        key = (wish, shape)
        if key not in self.spare:
            name, value = self.source.name(wish), {"ones": 1, "halves": 0.5}[wish]
            self.source.prepare.append(f"{name} = np.full({shape}, {value}, dtype)")
            self.spare[key] = Var(name, ("count", 0)[: len(shape)], np.empty(shape), True)
        return self.spare[key]

    def blend(self, node: Node, count: int, out: Var) -> None:
        """Half the sum of values that lie end to end."""
        source, (u,) = self.source, self.plan.inputs(node)
        looped = {loop.axis for loop in source.loops}
        letters = tuple(x for x in out.letters if x not in looped)
        x, half = self.aligned(u, letters, 1), self.number(0.5, out.shadow.dtype)
        rows = self.flattened(x, count) if source.loops and source.row(x).size <= SMALL else None
        target = self.flattened(out) if rows is not None else None
        if rows is not None and target is not None:
            source.dot(self.filled("halves", count), rows, target)
            return
        size = self.plan.shape(node)[0]
        first, second, *rest = (self.span(x, u, -1, slice(k * size, (k + 1) * size)) for k in range(count))
        source.ufunc("add", [first, second], out)
        for term in rest:
            source.ufunc("add", [out, term], out)
        source.ufunc("multiply", [out, half], out)

    def shaped(self, var: Var, shape: tuple[int, ...], letters: Letters) -> Var:
        """A view of another shape."""
        text = f"{{}}.reshape({', '.join(map(str, shape))})"
        return self.source.view(var, text, var.shadow.reshape(shape, copy=False), letters)

    def flattened(self, var: Var, *counts: int) -> Var | None:
        """The rows of a variable as (n,) each, or (count, n) with the count along the value; None where
        that would copy."""
        looped = {loop.axis for loop in self.source.loops}
        ahead = [d for d, x in enumerate(var.letters) if x in looped]
        own = [n for n, x in zip(var.shadow.shape, var.letters, strict=True) if x not in looped]
        if 0 in var.letters and math.prod(own[: var.letters.index(0) - len(ahead)]) != 1:
            return None  # several values side by side
        shape = [var.shadow.shape[d] for d in ahead]
        shape += [*counts, self.source.row(var).size // math.prod(counts)]
        try:
            return self.shaped(
                var, tuple(shape), (*(var.letters[d] for d in ahead), *["row" for _ in counts], 0)
            )
        except ValueError:
            return None
