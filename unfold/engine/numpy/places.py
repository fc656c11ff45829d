"""Where values live: buffers and rows, views of them, time operations as views.

A delayed read is a view, shifted by its lag, of its source's buffer, which keeps room for
boundary values; an operand is a view that broadcasts; a value may take over a place that
another has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.core.leaves import Named
from unfold.core.node import Node
from unfold.engine.numpy.reuse import Reuse
from unfold.engine.numpy.storage import Letters, Var
from unfold.engine.rewrites.passes import VIEWS
from unfold.ops.array.shape import Concat
from unfold.ops.time.delays import At, Delay, Place, Reverse, Structural, Zeros


class Places(Reuse):
    """Makes the places of values, and views of them."""

    def place(self, node: Node) -> Var:
        """A place for the value of a node: a row, a part of a concatenation, or a buffer with
        room for its boundaries."""
        if node in self.plan.part:
            joint, start, stop = self.plan.part[node]
            if joint not in self.vars:
                self.vars[joint] = self.place(joint)
            whole = self.vars[joint]
            assert isinstance(joint.op, Concat)
            return self.span(whole, joint, joint.op.dim, slice(start, stop), self.wish(node))
        if node in self.plan.ahead:
            return self.place_ahead(node)
        leading = [u for u, (joint, _, _) in self.plan.ahead.items() if self.plan.whole(joint) is node]
        if leading:
            self.place_ahead(leading[0])
            return self.vars[node]
        if node in self.plan.rows:
            letters = self.letters(node, whole=False)
            if node not in self.plan.carried:
                self.own(node)
            row = self.source.buffer(self.wish(node), letters, self.extent(letters, node), self.dtype(node))
            self.source.rows.add(row.name)
            return row
        letters = self.letters(node)
        pads = self.plan.pads.get(node, {})
        shape = self.extent(letters, node)
        if not any(map(sum, pads.values())):
            over = self.source.part and self.source.part.axis in letters
            if not self.plan.nest(node) and self.given(node) and not over:
                return self.source.fresh(self.wish(node), letters, shape, self.dtype(node))
            taken = self.vacant(node, letters, shape)
            self.own(node)
            return taken or self.source.buffer(self.wish(node), letters, shape, self.dtype(node))
        return self.padded_place(node, self.wish(node))

    def whole(self, node: Node) -> Var:
        """A buffer for all steps of what is computed part by part."""
        wish, letters = f"{self.wish(node)}_whole", self.letters(node)
        if any(map(sum, self.plan.pads.get(node, {}).values())):
            return self.padded_place(node, wish)
        make = self.source.fresh if self.given(node) else self.source.buffer
        return make(wish, letters, self.extent(letters, node), self.dtype(node))

    def given(self, node: Node) -> bool:
        """Whether a value is a result, or a result looks at it."""
        seen = [node]
        for u in seen:
            seen += [v for v in self.plan.users.get(u, []) if v.op.name in VIEWS]
        return not self.keep.isdisjoint(seen)

    def padded_place(self, node: Node, wish: str) -> Var:
        """A buffer with room for the boundary values of delayed reads."""
        letters, pads = self.letters(node), self.plan.pads[node]
        shape = self.extent(letters, node)
        room = [n + sum(pads.get(x, ())) for x, n in zip(letters, shape, strict=True)]
        full = self.source.buffer(f"{wish}_all", letters, room, self.dtype(node))
        self.padded[node] = full
        key = [self.inside(node, x, n) for x, n in zip(letters, shape, strict=True)]
        return self.source.index(full, key, letters, wish)

    def place_ahead(self, node: Node) -> Var:
        """The place of a value in the concatenation that the next step reads."""
        joint, start, stop = self.plan.ahead[node]
        while joint in self.plan.part:
            joint, at, _ = self.plan.part[joint]
            start, stop = at + start, at + stop
        letters, axis = self.letters(joint), self.plan.nest(node)[0].direction[0][0]
        shape = self.extent(letters, joint)
        before = self.plan.pads[node][axis][0]

        def part(x: Any, n: int, first: bool) -> slice:
            return (slice(0, n) if first else slice(1, n + 1)) if x == axis else slice(None)

        key = ("ahead", joint)
        if key not in self.spare:  # others may lead in it too
            room = [n + 1 if x == axis else n for x, n in zip(letters, shape, strict=True)]
            self.spare[key] = self.source.buffer(
                f"{self.wish(node)}_and_more", letters, room, self.dtype(joint)
            )
            mine = [part(x, n, before > 0) for x, n in zip(letters, shape, strict=True)]
            self.vars[joint] = self.source.index(
                self.spare[key], mine, letters, f"{self.wish(node)}_and_inputs"
            )
        full = self.span(self.spare[key], joint, -1, slice(start, stop), f"{self.wish(node)}_all")
        self.padded[node] = full
        mine = [part(x, n, before == 0) for x, n in zip(letters, shape, strict=True)]
        self.vars[node] = self.source.index(full, mine, letters, self.wish(node))
        return self.vars[node]

    def inside(self, node: Node, letter: Any, n: int, lag: int = 0) -> slice:
        """Steps 1 - lag .. T - lag of a padded buffer, along one of its dimensions."""
        before, after = self.plan.pads.get(node, {}).get(letter, (0, 0))
        start, stop = before - lag, before - lag + n
        return slice(start or None, stop if stop != before + n + after else None)

    def leaf(self, node: Node) -> Var:
        op, source = node.op, self.source
        letters = (*node.axes, *range(len(node.shape)))
        if isinstance(op, Named):
            name = source.env["names"].get(op.label) or source.env["names"].setdefault(
                op.label, source.name(op.label)
            )
            shadow = self.plan.bound.leaf(node)
            key = [i - 1 if isinstance(i, int) else slice(None) for i in op.index]
            given = Var(name, letters, np.empty(self.plan.bound.arrays[op.label].shape, shadow.dtype), False)
            if any(isinstance(i, int) for i in op.index):
                rest = tuple(range(len(letters), len(letters) + len(key)))
                given = source.index(Var(name, rest, given.shadow, False), key, letters)
            return source.turn(given, [letters.index(x) for x in self.letters(node)])
        value = self.constant(node)
        if value.ndim == 0:
            return self.number(value.item(), value.dtype)
        return Var(source.constant(self.wish(node), value), self.letters(node), value, True)

    # ------------------------------------------------------------------ time operations
    def move(self, node: Node) -> Var:
        op, origin = node.op, self.plan.resolve(node.inputs[0])
        assert isinstance(op, Structural)
        if isinstance(op, Delay):
            return self.delayed(node, op, origin)
        size = self.plan.bound.extents[op.axis]
        if isinstance(op, Place):
            return self.placed(node, op, size)
        if isinstance(op, At):
            which, index = op.sources(np.asarray(0), size, len(node.inputs))
            if which < 0:
                letters = self.letters(node)
                return self.source.buffer(
                    "none", letters, self.extent(letters, node), self.dtype(node), "zeros"
                )
            if which > 0 or op.axis not in origin.axes:
                return self.var(node.inputs[int(which)])
            source = self.var(origin)
            key: list[Any] = [int(index) - 1 if x == op.axis else slice(None) for x in source.letters]
        else:
            assert isinstance(op, Reverse)
            source = self.var(origin)
            key = [slice(None, None, -1) if x == op.axis else slice(None) for x in source.letters]
        letters = tuple(x for x, k in zip(source.letters, key, strict=True) if isinstance(k, slice))
        return self.source.index(source, key, letters)

    def placed(self, node: Node, op: Place, size: int) -> Var:
        letters = self.letters(node)
        out = self.source.buffer(
            self.wish(node), letters, self.extent(letters, node), self.dtype(node), "zeros"
        )
        index = op.index.resolve(0, size)
        if 1 <= index <= size:
            key: list[Any] = [index - 1 if x == op.axis else slice(None) for x in letters]
            spot = self.source.index(out, key, tuple(x for x in letters if x != op.axis))
            value = self.aligned(node.inputs[0], spot.letters, len(node.shape))
            self.source.copy(spot, value)
        return out

    def delayed(self, node: Node, op: Delay, origin: Node) -> Var:
        """A view of the source's buffer, shifted into the room kept for its boundary values."""
        if origin in self.plan.rows:
            if origin not in self.vars:
                self.vars[origin] = self.place(origin)
            self.carried.append((node, origin))
            return self.vars[origin]
        if origin not in self.vars:
            self.vars[origin] = self.place(origin)
        full, letters = self.padded[origin], self.letters(origin)
        sizes = self.vars[origin].shadow.shape

        def part(at: slice | int) -> list[Any]:
            return [
                at if x == op.axis else self.inside(origin, x, n) for x, n in zip(letters, sizes, strict=True)
            ]

        size = sizes[letters.index(op.axis)]
        before = self.plan.pads[origin][op.axis][0]
        ends = [before - 1 - m if op.lag > 0 else before + size + m for m in range(abs(op.lag))]
        for m, row in enumerate(ends):
            if (full.name, op.axis, row) in self.spare:
                continue
            spot = self.source.index(full, part(row), tuple(x for x in letters if x != op.axis))
            self.spare[(full.name, op.axis, row)] = spot
            boundary = self.plan.resolve(node.inputs[m + 1]) if len(node.inputs) > 1 else None
            if boundary is None or isinstance(boundary.op, Zeros):
                moving = full.name in self.source.local  # carried on from part to part
                self.source.bind(
                    not moving, f"{spot.name}.fill(0)" if spot.letters else f"{spot.name}[...] = 0"
                )
            else:
                value = self.aligned(boundary, spot.letters, len(node.shape))
                with self.source.before():
                    self.source.copy(spot, value)
        mine = [
            self.inside(origin, x, n, op.lag if x == op.axis else 0)
            for x, n in zip(letters, sizes, strict=True)
        ]
        shift = f"{'m' if op.lag > 0 else 'p'}{abs(op.lag)}"
        return self.source.index(full, mine, letters, f"{self.wish(origin)}_{op.axis.name}{shift}")

    # ------------------------------------------------------------------ views of values
    def seen(self, node: Node) -> Var | None:
        """A rearranged value as a view; None where it takes a copy."""
        (u,) = self.plan.inputs(node)
        var, op = self.var(u), node.op.at_sizes(self.plan.bound.sizes)
        if op.name != "narrow":
            var = self.standard(var)
        lead = [x for x in var.letters if isinstance(x, Axis)]
        letters = (*lead, *range(len(node.shape)))
        shape = [*var.shadow.shape[: len(lead)], *self.plan.shape(node)]
        p = op.parameters
        if op.name == "transpose":
            order = [*range(len(lead)), *(len(lead) + i for i in p["order"])]
            return self.source.turn(var, order, letters)
        if op.name == "narrow":
            stop = p["stop"] if p["stop"] >= 0 else None
            return self.span(var, u, p["dim"], slice(p["start"], stop, p["step"]))
        if op.name == "broadcast_to":
            extra = len(node.shape) - len(u.shape)
            opened = (
                self.source.index(var, [*[slice(None)] * len(lead), *[None] * extra], letters)
                if extra
                else var
            )
            text = f"np.broadcast_to({{}}, {tuple(shape)})"
            return self.source.view(opened, text, np.broadcast_to(opened.shadow, shape), letters)
        try:
            shadow = var.shadow.reshape(shape, copy=False)
        except ValueError:
            return None
        return self.source.view(var, f"{{}}.reshape({', '.join(map(str, shape)) or '()'})", shadow, letters)

    def span(self, var: Var, node: Node, dim: int, piece: slice, wish: str = "") -> Var:
        """A piece of a value along one of its dimensions, counted from the last one."""
        key = [slice(None)] * var.shadow.ndim
        key[var.letters.index(len(node.shape) + dim)] = piece
        return self.source.index(var, key, var.letters, wish)

    def standard(self, var: Var) -> Var:
        """A variable with its axes first and the dimensions of its value behind them."""
        letters = sorted(var.letters, key=lambda x: not isinstance(x, Axis))
        return self.source.turn(var, [var.letters.index(x) for x in letters])

    # ------------------------------------------------------------------ operands
    def aligned(self, u: Node, letters: Letters, rank: int, full: bool = False) -> Var:
        """An operand as a view that broadcasts against an array of the given letters, which holds
        values of the given rank; `full`, with every dimension present (of size 1 where it is missing)."""
        u = self.plan.resolve(u)
        var, ahead = self.var(u), rank - len(u.shape)
        looped = [loop.axis for loop in self.source.loops]
        front = [d for d, x in enumerate(var.letters) if x in looped]
        own = [(d, x) for d, x in enumerate(var.letters) if x not in looped]
        at = {x if isinstance(x, Axis) else x + ahead: d for d, x in own}
        order = [*front, *(at[x] for x in letters if x in at)]
        assert len(order) == len(var.letters), "an operand varies along an axis that its result lacks"
        var = self.source.turn(var, order)
        middle: list[Any] = [slice(None) if x in at else None for x in letters]
        while middle and middle[0] is None and not full:
            middle.pop(0)
        key = [*[slice(None) for _ in front], *middle]
        return self.source.index(var, key, _spread(var.letters, key)) if None in key else var


def _spread(letters: Letters, key: Sequence[Any]) -> Letters:
    """The letters of an array indexed with slices and None: each None a dimension of its own."""
    rest = iter(letters)
    return tuple(-1 - d if k is None else next(rest) for d, k in enumerate(key))
