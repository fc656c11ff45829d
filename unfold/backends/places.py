"""Where values live: buffers and rows, views of them, time operations as views.

A delayed read is a view, shifted by its lag, of its source's buffer, which keeps room for
boundary values; an operand is a view that broadcasts; a value may take over a place that
another has left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold.augmenting import Eye
from unfold.axis import Axis
from unfold.backends.storage import Letters, Source, Var
from unfold.binding import Array
from unfold.node import Constant, Named, Node
from unfold.op import Elementwise
from unfold.ops.index import Extent
from unfold.ops.linear import Contract
from unfold.ops.shape import Concat
from unfold.ops.time import At, Delay, Place, Reverse, Size, Step, Structural, Zeros
from unfold.passes import VIEWS
from unfold.plan import CannotPlan, Plan
from unfold.trace import Ref, trace


@dataclass
class Places:
    """The variables of a plan's values, made when they are first needed."""

    plan: Plan
    equations: dict[Node, str]
    source: Source = field(default_factory=Source)
    vars: dict[Node, Var] = field(default_factory=dict)
    padded: dict[Node, Var] = field(default_factory=dict)
    spare: dict[tuple[Any, ...], Var] = field(default_factory=dict)
    carried: list[tuple[Node, Node]] = field(default_factory=list)  # (delay, source) kept in rows
    owned: dict[Node, None] = field(default_factory=dict)  # whose place may be taken over
    keep: set[Node] = field(default_factory=set)  # the outputs
    done: set[Node] = field(default_factory=set)  # printed; `vars` may hold a place before that

    def node(self, node: Node) -> None:
        """Print a node (in a subclass)."""
        raise NotImplementedError

    # ------------------------------------------------------------------ layout
    def letters(self, node: Node, whole: bool = True) -> Letters:
        """The dimensions of a node's buffer: axes in the plan's order, then its value's."""
        stepped = {loop.direction[0][0] for loop in self.plan.nest(node)} if not whole else set()
        axes = tuple(a for a in self.plan.axes(node) if a not in stepped)
        return (*axes, *range(len(node.shape)))

    def extent(self, letters: Letters, node: Node) -> list[int]:
        shape = self.plan.shape(node)
        return [self.plan.bound.extents[x] if isinstance(x, Axis) else shape[x] for x in letters]

    def dtype(self, node: Node) -> Any:
        return self.plan.bound.dtype_of(node.dtype)

    def wish(self, node: Node) -> str:
        label = self.plan.labels.get(node)
        if label is None:
            if isinstance(node.op, Contract) and len(node.inputs) == 2:
                parts = [self.short(u) for u in node.inputs]
                return "".join(parts) if all(parts) else "a"
            return "a"
        name, _, index = label.partition("[")
        inner = index.rstrip("]")
        return name if not inner or not any(c.isdigit() or c.isupper() for c in inner) else f"{name}_{inner}"

    def short(self, node: Node) -> str:
        """What an operand is called, for the name of a product: Ux, Wh."""
        node = self.plan.resolve(node)
        if isinstance(node.op, Delay):
            return self.short(node.inputs[0])
        label = node.op.label if isinstance(node.op, Named) else self.plan.labels.get(node, "")
        return label.partition("[")[0]

    # ------------------------------------------------------------------ variables
    def var(self, node: Node) -> Var:
        """The variable of a node, printed already or a view made now."""
        node = self.plan.resolve(node)
        if node not in self.vars:
            self.node(node)
        return self.vars[node]

    def place(self, node: Node) -> Var:
        """A place for the value of a node: a row, a part of a concatenation, or a buffer with
        room for its boundaries."""
        if node in self.plan.part:
            joint, start, stop = self.plan.part[node]
            if joint not in self.vars:
                self.vars[joint] = self.place(joint)
            whole = self.vars[joint]
            assert isinstance(joint.op, Concat)
            key = [slice(None)] * whole.shadow.ndim
            key[joint.op.dim] = slice(start, stop)
            return self.source.index(whole, key, whole.letters, self.wish(node))
        if node in self.plan.ahead:
            return self.place_ahead(node)
        if any(joint is node for joint, _, _ in self.plan.ahead.values()):
            self.place_ahead(next(u for u, (joint, _, _) in self.plan.ahead.items() if joint is node))
            return self.vars[node]
        if node in self.plan.rows:
            letters = self.letters(node, whole=False)
            if node not in self.plan.carried:
                self.own(node)
            return self.source.buffer(self.wish(node), letters, self.extent(letters, node), self.dtype(node))
        letters = self.letters(node)
        pads = self.plan.pads.get(node, {})
        shape = self.extent(letters, node)
        if not any(map(sum, pads.values())):
            views = [u for u in self.plan.users.get(node, []) if u.op.name in VIEWS]
            if not self.plan.nest(node) and (node in self.keep or any(u in self.keep for u in views)):
                return self.source.fresh(self.wish(node), letters, shape, self.dtype(node))
            taken = self.vacant(node, letters, shape)
            self.own(node)
            return taken or self.source.buffer(self.wish(node), letters, shape, self.dtype(node))
        room = [n + sum(pads.get(x, ())) for x, n in zip(letters, shape, strict=True)]
        full = self.source.buffer(self.wish(node) + "_all", letters, room, self.dtype(node))
        self.padded[node] = full
        key = [self.inside(node, x, n) for x, n in zip(letters, shape, strict=True)]
        return self.source.index(full, key, letters, self.wish(node))

    def place_ahead(self, node: Node) -> Var:
        """The place of a value in the concatenation that the next step reads."""
        joint, start, stop = self.plan.ahead[node]
        letters, axis = self.letters(joint), self.plan.nest(node)[0].direction[0][0]
        shape = self.extent(letters, joint)
        room = [n + 1 if x == axis else n for x, n in zip(letters, shape, strict=True)]
        both = self.source.buffer(f"{self.wish(node)}_and_more", letters, room, self.dtype(joint))
        before = self.plan.pads[node][axis][0]

        def part(x: Any, n: int, first: bool) -> slice:
            return (slice(0, n) if first else slice(1, n + 1)) if x == axis else slice(None)

        key = [part(x, n, before > 0) for x, n in zip(letters, shape, strict=True)]
        self.vars[joint] = self.source.index(both, key, letters, f"{self.wish(node)}_and_inputs")
        last = [slice(None)] * (len(letters) - 1)
        full = self.source.index(both, [*last, slice(start, stop)], letters, f"{self.wish(node)}_all")
        self.padded[node] = full
        mine = [part(x, n, before == 0) for x, n in zip(letters, shape, strict=True)]
        self.vars[node] = self.source.index(full, mine, letters, self.wish(node))
        return self.vars[node]

    def inside(self, node: Node, letter: Any, n: int, lag: int = 0) -> slice:
        """Steps 1 - lag .. T - lag of a padded buffer, along one of its dimensions."""
        before, after = self.plan.pads.get(node, {}).get(letter, (0, 0))
        start, stop = before - lag, before - lag + n
        return slice(start or None, stop if stop != before + n + after else None)

    def number(self, value: Any, dtype: Any) -> Var:
        """A number as a 0-d array of the right dtype: a Python number costs twice the call."""
        key = (np.dtype(dtype).name, repr(value))
        if key not in self.spare:
            name = self.source.name({1: "one", 0: "zero", 0.5: "half", 2: "two"}.get(value, "k"))
            self.source.prepare.append(f"{name} = np.array({value!r}, {self.source.dtype(dtype)})")
            self.spare[key] = Var(name, (), np.array(value, dtype), True, value=value)
        return self.spare[key]

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
            order = [letters.index(x) for x in self.letters(node)]
            if order == sorted(order):
                return given
            text = f"{{}}.transpose({', '.join(map(str, order))})"
            return source.view(given, text, given.shadow.transpose(order), self.letters(node))
        value = self.constant(node)
        if value.ndim == 0:
            return self.number(value.item(), value.dtype)
        return Var(source.constant(self.wish(node), value), self.letters(node), value, True)

    def constant(self, node: Node) -> Array:
        op, bound = node.op, self.plan.bound
        if isinstance(op, Constant):
            value = op.value
        elif isinstance(op, Step):
            value = np.arange(1, bound.extents[op.axis] + 1)
        elif isinstance(op, Size):
            value = np.asarray(bound.extents[op.axis])
        elif isinstance(op, Extent):
            value = np.asarray(op.at_sizes(bound.sizes).dim)  # type: ignore[attr-defined]
        elif isinstance(op, Zeros):
            value = np.zeros(self.plan.shape(node))
        elif isinstance(op, Eye):
            value = np.eye(self.plan.shape(node)[0])
        elif self.is_number(node):
            value = np.asarray(op.forward(np, *(self.constant(u) for u in self.plan.inputs(node))))
        else:
            raise CannotPlan(f"a leaf {op.name}")
        users = self.plan.users.get(node, [node])  # an index stays an integer
        floats = node.dtype == "int" and all(
            isinstance(u.op, Elementwise) and u.dtype in ("float", "complex") for u in users
        )
        return np.asarray(value, bound.dtype if floats else self.dtype(node))

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
        sizes = self.extent(letters, origin)

        def part(at: slice | int) -> list[Any]:
            return [
                at if x == op.axis else self.inside(origin, x, n) for x, n in zip(letters, sizes, strict=True)
            ]

        size = self.plan.bound.extents[op.axis]
        before = self.plan.pads[origin][op.axis][0]
        ends = [before - 1 - m if op.lag > 0 else before + size + m for m in range(abs(op.lag))]
        for m, row in enumerate(ends):
            if (origin, op.axis, row) in self.spare:
                continue
            spot = self.source.index(full, part(row), tuple(x for x in letters if x != op.axis))
            self.spare[(origin, op.axis, row)] = spot
            boundary = self.plan.resolve(node.inputs[m + 1]) if len(node.inputs) > 1 else None
            if boundary is None or isinstance(boundary.op, Zeros):
                self.source.prepare.append(
                    f"{spot.name}.fill(0)" if spot.letters else f"{spot.name}[...] = 0"
                )
            else:
                value = self.aligned(boundary, spot.letters, len(node.shape))
                self.source.lines.append(f"copyto({spot.name}, {value.name})")
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
        lead = [x for x in var.letters if isinstance(x, Axis)]
        letters = (*lead, *range(len(node.shape)))
        shape = [*var.shadow.shape[: len(lead)], *self.plan.shape(node)]
        p = op.parameters
        if op.name == "transpose":
            order = [*range(len(lead)), *(len(lead) + i for i in p["order"])]
            text = f"{{}}.transpose({', '.join(map(str, order))})"
            return self.source.view(var, text, var.shadow.transpose(order), letters)
        if op.name == "narrow":
            key = [slice(None)] * var.shadow.ndim
            key[var.shadow.ndim + p["dim"]] = slice(
                p["start"], p["stop"] if p["stop"] >= 0 else None, p["step"]
            )
            return self.source.index(var, key, letters)
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

    # ------------------------------------------------------------------ operands
    def aligned(self, u: Node, letters: Letters, rank: int) -> Var:
        """An operand as a view that broadcasts against an array of the given letters."""
        u = self.plan.resolve(u)
        var = self.var(u)
        looped = [loop.axis for loop in self.source.loops]
        lead = [x for x in letters if isinstance(x, Axis)]
        mine = [x for x in var.letters if isinstance(x, Axis) and x not in looped]
        front: list[Any] = [slice(None) for x in var.letters if x in looped]
        middle: list[Any] = [slice(None) if x in mine else None for x in lead]
        spread: list[Any] = [None] * (rank - len(u.shape)) if mine else []
        if not mine:
            middle = []
        while middle and middle[0] is None:
            middle.pop(0)
        key = [*front, *middle, *spread, *[slice(None)] * len(u.shape)]
        if None not in key:
            return var
        kept = (*[x for x in var.letters if x in looped], *range(len(key) - len(front)))
        return self.source.index(var, key, kept)

    def full(self, u: Node, letters: Letters, rank: int) -> Var:
        """Like `aligned`, with every leading axis present (of size 1 where it is missing)."""
        var = self.var(u)
        looped = [loop.axis for loop in self.source.loops]
        front: list[Any] = [slice(None) for x in var.letters if x in looped]
        lead: list[Any] = [slice(None) if x in var.letters else None for x in letters if isinstance(x, Axis)]
        key = [*front, *lead, *[None] * (rank - len(u.shape)), *[slice(None)] * len(u.shape)]
        kept = (*[x for x in var.letters if x in looped], *range(len(key) - len(front)))
        return self.source.index(var, key, kept) if None in key else var

    def is_number(self, node: Node) -> bool:
        """A number that is known before any array is."""
        if isinstance(node.op, Size | Extent):
            return True
        if node.op.leaf:
            return isinstance(node.op, Constant)
        scalar = isinstance(node.op, Elementwise) and not node.shape and not node.axes
        return scalar and all(isinstance(u.op, Constant | Size | Extent) for u in self.plan.inputs(node))

    # ------------------------------------------------------------------ places taken over
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
            if same and self.plan.users[u].count(node) == 1 and self.settled(u):
                self.owned.pop(u)
                self.own(node)
                return self.renamed(self.vars[u], node)
        return None

    def vacant(self, node: Node, letters: Letters, shape: list[int]) -> Var | None:
        """A buffer of the right size that everybody has read, outside all loops."""
        if self.source.loops or "reuse" not in self.plan.optimise:
            return None
        operands = {v for u in self.plan.inputs(node) for v in (u, self.plan.whole(u))}
        for u in self.owned:
            if u in operands or u in self.plan.rows:
                continue
            var = self.vars[u]
            fits = var.static and list(var.shadow.shape) == shape and u.dtype == node.dtype
            if fits and var.shadow.flags.c_contiguous and self.settled(u):
                self.owned.pop(u)
                return self.renamed(Var(var.name, letters, var.shadow, True), node)
        return None

    def settled(self, node: Node) -> bool:
        """Whether everybody has read a value, and the pieces of it that lie in its place."""
        pieces = self.plan.pieces(node)
        readers = [v for u in (node, *pieces) for v in self.plan.users.get(u, [])]
        return all(v in self.done for v in readers) and not any(p in self.keep for p in pieces)

    def own(self, node: Node) -> None:
        """Let others take over the place of a value, unless something sees into it."""
        seen = any(u.op.structural or u.op.name in VIEWS for u in self.plan.users.get(node, []))
        if node not in self.keep and not seen:
            self.owned[node] = None

    def renamed(self, var: Var, node: Node) -> Var:
        """A place that another value has left, under the name of the new one."""
        if node not in self.plan.labels or not var.static:
            return var
        return self.source.view(var, "{}[...]", var.shadow, var.letters, self.wish(node))

    def scratch(self, out: Var, dtype: Any, k: int) -> Var:
        """A row or array for an intermediate result, of the shape of the value's place."""
        shape = self.source.row(out).shape
        key = ("scratch", shape, np.dtype(dtype).name, k)
        if key not in self.spare:
            self.spare[key] = self.source.buffer("s", tuple(range(len(shape))), shape, dtype)
        return self.spare[key]
