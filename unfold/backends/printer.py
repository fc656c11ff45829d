"""A plan as NumPy source that a person can read.

What is computed for all steps at once becomes one line over whole buffers; what waits for
the previous step becomes a loop over rows, every result written in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold import dependence
from unfold.axis import Axis
from unfold.backends.products import emit_product
from unfold.backends.storage import Letters, Loop, Source, Var
from unfold.binding import Array
from unfold.node import Constant, Input, Named, Node, Symbol
from unfold.op import Along, Elementwise
from unfold.ops.index import Extent
from unfold.ops.linear import Contract
from unfold.ops.shape import Concat
from unfold.ops.time import At, Delay, Place, Reverse, Size, Step, Structural, Zeros
from unfold.passes import VIEWS, SumOfProducts
from unfold.plan import CannotPlan, Plan
from unfold.trace import Ref, trace


@dataclass
class Printer:
    """Prints one plan, node by node in the order of its schedule."""

    plan: Plan
    equations: dict[Node, str]
    source: Source = field(default_factory=Source)
    vars: dict[Node, Var] = field(default_factory=dict)
    padded: dict[Node, Var] = field(default_factory=dict)
    numbers: dict[tuple[Any, ...], str] = field(default_factory=dict)
    spare: dict[tuple[Any, ...], Var] = field(default_factory=dict)
    carried: list[tuple[Node, Node]] = field(default_factory=list)  # (delay, source) kept in rows
    owned: set[Node] = field(default_factory=set)  # whose place may be taken over
    keep: set[Node] = field(default_factory=set)  # the outputs
    told: str = ""  # the last comment
    done: set[Node] = field(default_factory=set)  # printed; `vars` may hold a place before that

    def print(self) -> None:
        """Print the whole schedule and what it returns."""
        self.keep = {self.plan.resolve(u) for u in self.plan.graph.outputs.values()}
        self.items(self.plan.schedule)
        self.results()

    def items(self, items: Sequence[Node | dependence.Loop]) -> None:
        for item in items:
            if isinstance(item, dependence.Loop):
                self.loop(item)
            elif item not in self.done and not isinstance(item.op, Symbol):
                self.node(item)

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

    def explain(self, node: Node) -> None:
        """A comment naming the equation, where it changes."""
        text = self.equations.get(node)
        if text and text != self.told and not self.source.loops:
            self.source.emit("")
            self.source.emit(f"# {text}")
            self.told = text

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
            key = [*[slice(None)] * (whole.shadow.ndim - 1), slice(start, stop)]
            return self.source.index(whole, key, whole.letters, self.wish(node))
        if node in self.plan.ahead:
            return self.place_ahead(node)
        if any(joint is node for joint, _, _ in self.plan.ahead.values()):
            self.place_ahead(next(u for u, (joint, _, _) in self.plan.ahead.items() if joint is node))
            return self.vars[node]
        if node in self.plan.rows:
            letters = self.letters(node, whole=False)
            if node not in self.plan.carried:
                self.owned.add(node)
            return self.source.buffer(self.wish(node), letters, self.extent(letters, node), self.dtype(node))
        letters = self.letters(node)
        pads = self.plan.pads.get(node, {})
        shape = self.extent(letters, node)
        if not any(map(sum, pads.values())):
            views = [u for u in self.plan.users.get(node, []) if u.op.name in VIEWS]
            if not self.plan.nest(node) and (node in self.keep or any(u in self.keep for u in views)):
                return self.source.fresh(self.wish(node), letters, shape, self.dtype(node))
            if node not in self.keep and not any(u.op.structural or u.op.name in VIEWS for u in self.plan.users[node]):
                self.owned.add(node)
            return self.source.buffer(self.wish(node), letters, shape, self.dtype(node))
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
        before, after = self.plan.pads[node][axis]

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

    def number(self, value: Any, dtype: Any) -> str:
        """A number as a 0-d array of the right dtype: a Python number costs twice the call."""
        key = (np.dtype(dtype).name, repr(value))
        if key not in self.numbers:
            name = {1: "one", 0: "zero", 0.5: "half", 2: "two"}.get(value, "k")
            self.numbers[key] = self.source.name(name)
            self.source.prepare.append(f"{self.numbers[key]} = np.array({value!r}, {self.source.dtype(dtype)})")
        return self.numbers[key]

    # ------------------------------------------------------------------ loops
    def loop(self, loop: dependence.Loop) -> None:
        axis, sign = loop.direction[0]
        for node in loop.nodes:  # room for boundary values, before the first step
            if isinstance(node.op, Delay) and self.plan.resolve(node.inputs[0]) not in self.plan.rows:
                self.var(node)
        self.source.loops.append(Loop(axis, sign))
        first = len(self.carried)
        if len(set(loop.offsets.values())) > 1:
            self.retimed(loop, self.plan.bound.extents[axis])
        else:
            self.items(loop.body)
        if not (self.source.loops[-1].rows or self.source.loops[-1].at):
            raise CannotPlan("a loop without arrays over its axis")
        mine, self.carried = self.carried[first:], self.carried[:first]
        told = dict.fromkeys(self.equations[n] for n in loop.nodes if n in self.plan.labels and n in self.equations)
        inner = self.source.loops.pop()
        for node, row in mine:
            self.start(node, self.vars[row])
        self.source.loops.append(inner)
        way = "forward" if sign > 0 else "backward"
        self.source.close([f"step by step, {way} over {axis.name}:", *(f"    {line}" for line in told)])
        self.told = ""

    def retimed(self, loop: dependence.Loop, size: int) -> None:
        """A loop whose nodes are computed at different steps: each guarded by its own range."""
        here = self.source.loops[-1]
        offsets = loop.offsets.values()
        here.at, here.first, here.last = self.source.name("k"), -max(offsets), size - min(offsets)
        told: int | None = None
        for item in loop.body:
            if isinstance(item, dependence.Loop):
                raise CannotPlan("a loop inside a retimed one")
            offset, before = loop.offsets[item], len(here.body)
            self.items([item])
            if len(here.body) > before and offset != told:
                told, moved = offset, f"{here.at}_step {'+' if offset >= 0 else '-'} {abs(offset)}"
                here.body[before:before] = f"if 0 <= {moved} < {size}:", f"    {here.at} = {moved}"

    def start(self, delay: Node, row: Var) -> None:
        """What a carried row holds before the first step."""
        if len(delay.inputs) == 1:
            self.source.emit(f"{self.source.here(row)}.fill(0)")
        else:
            value = self.aligned(delay.inputs[1], row.letters, len(delay.shape))
            self.source.emit(f"copyto({self.source.here(row)}, {self.source.here(value)})")

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
        elif (same := self.unchanged(node)) is not None:
            self.vars[node] = same
        else:
            self.explain(node)
            if node not in self.vars:
                self.vars[node] = self.inplace(node) or self.place(node)
            self.compute(node, self.vars[node])

    def leaf(self, node: Node) -> Var:
        op, source = node.op, self.source
        letters = (*node.axes, *range(len(node.shape)))
        if isinstance(op, Named):
            name = source.env["names"].get(op.label) or source.env["names"].setdefault(op.label, source.name(op.label))
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
            return Var(self.number(value.item(), value.dtype), (), value, True)
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
        elif self.is_number(node):
            value = np.asarray(op.forward(np, *(self.constant(u) for u in self.plan.inputs(node))))
        else:
            raise CannotPlan(f"a leaf {op.name}")
        users = self.plan.users.get(node, [node])  # an index stays an integer
        floats = node.dtype == "int" and all(
            isinstance(u.op, Elementwise) and u.dtype in ("float", "complex") for u in users
        )
        return value.astype(bound.dtype if floats else self.dtype(node))

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
                return self.source.buffer("none", letters, self.extent(letters, node), self.dtype(node), "zeros")
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
        out = self.source.buffer(self.wish(node), letters, self.extent(letters, node), self.dtype(node), "zeros")
        index = op.index.resolve(0, size)
        if 1 <= index <= size:
            key: list[Any] = [index - 1 if x == op.axis else slice(None) for x in letters]
            spot = self.source.index(out, key, tuple(x for x in letters if x != op.axis))
            value = self.aligned(node.inputs[0], spot.letters, len(node.shape))
            self.source.emit(f"copyto({self.source.here(spot)}, {self.source.here(value)})")
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
            return [at if x == op.axis else self.inside(origin, x, n) for x, n in zip(letters, sizes, strict=True)]

        size = self.plan.bound.extents[op.axis]
        before, after = self.plan.pads[origin][op.axis]
        ends = [before - 1 - m if op.lag > 0 else before + size + m for m in range(abs(op.lag))]
        for m, row in enumerate(ends):
            if (origin, op.axis, row) in self.spare:
                continue
            spot = self.source.index(full, part(row), tuple(x for x in letters if x != op.axis))
            self.spare[(origin, op.axis, row)] = spot
            boundary = self.plan.resolve(node.inputs[m + 1]) if len(node.inputs) > 1 else None
            if boundary is None or isinstance(boundary.op, Zeros):
                self.source.prepare.append(f"{spot.name}.fill(0)" if spot.letters else f"{spot.name}[...] = 0")
            else:
                value = self.aligned(boundary, spot.letters, len(node.shape))
                self.source.lines.append(f"copyto({spot.name}, {value.name})")
        mine = [self.inside(origin, x, n, op.lag if x == op.axis else 0) for x, n in zip(letters, sizes, strict=True)]
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
            key[var.shadow.ndim + p["dim"]] = slice(p["start"], p["stop"] if p["stop"] >= 0 else None, p["step"])
            return self.source.index(var, key, letters)
        if op.name == "broadcast_to":
            extra = len(node.shape) - len(u.shape)
            key = [*[slice(None)] * len(lead), *[None] * extra]
            opened = self.source.index(var, key, letters) if extra else var
            text = f"np.broadcast_to({{}}, {tuple(shape)})"
            return self.source.view(opened, text, np.broadcast_to(opened.shadow, shape), letters)
        try:
            shadow = var.shadow.reshape(shape, copy=False)
        except ValueError:
            return None
        if not var.static and self.source.loops and False:
            return None
        return self.source.view(var, f"{{}}.reshape({', '.join(map(str, shape)) or '()'})", shadow, letters)

    # ------------------------------------------------------------------ computing
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

    def compute(self, node: Node, out: Var) -> None:
        """Print the lines that compute a node into its place."""
        op = node.op
        inputs = self.plan.inputs(node)
        alike = all(u.dtype == node.dtype for u in inputs)
        if op.name == "cross_entropy" and self.softmax_too(node, out):
            pass
        elif isinstance(op, Concat) and alike:
            self.joined(node, op, out)
        elif isinstance(op, Contract | SumOfProducts) and len(inputs) == 2 and alike and node.dtype != "int":
            self.product(node, op.spec, out)
        elif isinstance(op, Elementwise) and self.elementwise(node, out):
            pass
        elif op.name == "sum" and isinstance(op, Along) and alike:
            self.total(node, op, out)
        else:
            self.general(node, out)

    def softmax_too(self, node: Node, out: Var) -> bool:
        """The cross-entropy and its gradient, softmax minus one-hot, from one exponential."""
        scores, labels = self.plan.inputs(node)
        users = self.plan.users
        softmaxes = [u for u in users[scores] if u.op.name == "softmax" and not isinstance(u.op.over[0], Axis)]  # type: ignore[attr-defined]
        if len(softmaxes) != 1 or "fuse" not in self.plan.optimise or self.plan.nest(node) or self.dtype(node).kind == "c":
            return False
        (softmax,) = softmaxes
        if len(users.get(softmax, [])) != 1 or softmax in self.keep:
            return False
        (slope,) = users[softmax]
        parts = self.plan.inputs(slope)
        if slope.op.name != "subtract" or parts[0] is not softmax or parts[1].op.name != "one_hot":
            return False
        if self.plan.inputs(parts[1])[0] is not labels or users[parts[1]] != [slope] or slope in self.plan.pads:
            return False
        lead = self.letters(scores)[:-1]
        o, y = self.var(scores), self.var(labels)
        if self.letters(labels) != lead or out.letters != lead or o.letters != self.letters(slope) or slope in self.plan.part:
            return False
        self.done |= {softmax, parts[1], slope}
        free = scores in self.owned and all(u in (node, softmax) for u in users[scores])
        if free:
            self.owned.discard(scores)
            self.owned.add(slope)
        self.vars[slope] = self.renamed(o, slope) if free else self.place(slope)
        work = self.source.name("softmax_cross_entropy")
        count, classes = int(np.prod(o.shadow.shape[:-1])), o.shadow.shape[-1]
        self.source.prepare.append(f"{work} = SoftmaxCrossEntropy({count}, {classes}, dtype)")
        self.source.emit(f"{work}({o.name}, {y.name}, {out.name}, {self.vars[slope].name})")
        return True

    def joined(self, node: Node, op: Concat, out: Var) -> None:
        """A concatenation: only what is not computed in its place is copied there."""
        start = 0
        for u in self.plan.inputs(node):
            stop = start + self.plan.shape(u)[op.dim]
            moved = isinstance(u.op, Delay) and self.plan.ahead.get(self.plan.resolve(u.inputs[0]), (None,))[0] is node
            here = moved or self.plan.part.get(u, (None,))[0] is node
            if not here and self.source.loops and self.plan.loop_of.get(u) is not self.plan.loop_of[node]:
                loops, self.source.loops = self.source.loops, []  # the same at every step: before the loop
                self.joined_part(u, out, op.dim, start, stop, len(node.shape))
                self.source.loops = loops
            elif not here:
                self.joined_part(u, out, op.dim, start, stop, len(node.shape))
            start = stop

    def joined_part(self, u: Node, out: Var, dim: int, start: int, stop: int, rank: int) -> None:
        key = [slice(None)] * out.shadow.ndim
        key[dim] = slice(start, stop)
        spot = self.source.index(out, key, out.letters)
        looped = {loop.axis for loop in self.source.loops}
        value = self.aligned(u, tuple(x for x in out.letters if x not in looped), rank)
        self.source.emit(f"copyto({self.source.here(spot)}, {self.source.here(value)})")

    def product(self, node: Node, spec: str, out: Var) -> None:
        operands, result = spec.split("->")[0].split(","), spec.split("->")[1]

        def spelled(var: Var, letters: str) -> Var:
            named = tuple(x if isinstance(x, Axis) else letters[x] for x in var.letters)
            return Var(var.name, named, var.shadow, var.static)

        a, b = (spelled(self.var(u), letters) for u, letters in zip(node.inputs, operands, strict=True))
        emit_product(self.source, a, b, spelled(out, result))

    def total(self, node: Node, op: Along, out: Var) -> None:
        """A sum over leading axes or dimensions."""
        (u,) = self.plan.inputs(node)
        var, source = self.var(u), self.source
        gone = [d if isinstance(d, Axis) else len(u.shape) + d for d in op.over]
        looped = {loop.axis for loop in source.loops}
        mine = [x for x in var.letters if x not in looped]
        front = [[x] for x in var.letters if x in looped]
        kept = [x for x in mine if x not in gone]
        summed = [x for x in mine if x in gone]
        ahead, rest = [[x] for x in out.letters if x in looped], [x for x in out.letters if x not in looped]
        flat = source.arrange(var, [*front, summed, *([kept] if kept else [])], not source.loops)
        target = source.arrange(out, [*ahead, *([rest] if rest else [])], False)
        if len(summed) != len(gone) or flat is None or target is None or len(kept) != len(rest):
            self.general(node, out)
            return
        here, count = source.here(target), source.row(flat).shape[0]
        if kept and node.dtype != "int" and source.row(target).flags.c_contiguous:
            source.emit(f"{source.here(self.ones(count), 'dot')}({source.here(flat)}, {here})")
        else:
            source.emit(f"add_reduce({source.here(flat)}, 0, None, {here})")

    def ones(self, count: int) -> Var:
        """A vector of ones: its product with a matrix sums the rows, faster than a reduction."""
        key = ("ones", count)
        if key not in self.spare:
            name = self.source.name("ones")
            self.source.prepare.append(f"{name} = np.ones({count}, dtype)")
            self.spare[key] = Var(name, (0,), np.empty(count), True)
        return self.spare[key]

    def elementwise(self, node: Node, out: Var) -> bool:
        """An elementwise operation as array calls that write into the place of its value."""
        op, inputs = node.op, self.plan.inputs(node)
        is_complex = self.plan.bound.dtype.kind == "c"
        calls = trace(op, len(inputs), is_complex)
        kinds = {u.dtype for u in inputs if u.dtype != "bool" and not self.is_number(u)}
        if calls is None or (node.dtype != "bool" and kinds - {node.dtype}):
            return False
        if node.dtype == "bool" and (len(kinds) > 1 or "complex" in kinds):
            return False
        work = node.dtype if node.dtype != "bool" else next(iter(kinds), "float")
        rank = len(node.shape)
        looped = {loop.axis for loop in self.source.loops}
        letters = tuple(x for x in out.letters if x not in looped)
        args = [self.operand(u, work, letters, rank) for u in inputs]
        if any(c.name == "real" for c in calls):
            return False
        here = self.source.here(out)
        results: list[str] = []
        holder = -1  # the call whose result lies in the place of the value
        last = {r.call: k for k, c in enumerate(calls) for r in c.operands if isinstance(r, Ref) and r.call >= 0}
        for k, c in enumerate(calls):
            names = [
                (results[r.call] if r.call >= 0 else args[r.arg])
                if isinstance(r, Ref)
                else self.number(r, np.bool_ if isinstance(r, bool) else self.plan.bound.dtype_of(work))
                for r in c.operands
            ]
            final = k == len(calls) - 1
            used = {r.call for r in c.operands if isinstance(r, Ref)}
            free = holder < 0 or last.get(holder, k) < k or (last.get(holder, k) == k and c.name != "where")
            if final or (free and not c.boolean and node.dtype != "bool" and not (c.name == "where" and holder in used)):
                target, holder = here, k
            else:
                target = self.scratch(node, out, np.bool_ if c.boolean else self.plan.bound.dtype_of(work), k)
            results.append(target)
            if c.name == "where":
                condition, a, b = names
                if target == a:
                    self.source.emit(f"copyto({target}, {b}, where=~{condition})")
                else:
                    if target != b:
                        self.source.emit(f"copyto({target}, {b})")
                    self.source.emit(f"copyto({target}, {a}, where={condition})")
            else:
                self.source.emit(f"{self.ufunc(c.name)}({', '.join([*names, target])})")
        return True

    def is_number(self, node: Node) -> bool:
        """A number that is known before any array is."""
        if isinstance(node.op, Size | Extent):
            return True
        if node.op.leaf:
            return isinstance(node.op, Constant)
        scalar = isinstance(node.op, Elementwise) and not node.shape and not node.axes
        return scalar and all(isinstance(u.op, Constant | Size | Extent) for u in self.plan.inputs(node))

    def unchanged(self, node: Node) -> Var | None:
        """What a factor of one leaves as it is (a mean over a batch of one)."""
        if node.op.name not in ("multiply", "divide") or node in self.plan.pads or node in self.plan.part:
            return None
        for one, other in (self.plan.inputs(node)[::-1], self.plan.inputs(node)):
            if not self.is_number(one) or self.constant(one) != 1 or (node.op.name == "divide" and other is not self.plan.inputs(node)[0]):
                continue
            alone = self.plan.users[other] == [node] and (other.axes, other.shape) == (node.axes, node.shape)
            if alone and other.dtype == node.dtype and other not in self.plan.pads and node not in self.plan.rows and other not in self.plan.rows:
                var = self.var(other)
                if other in self.owned:
                    self.owned.discard(other)
                    self.owned.add(node)
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
            users = self.plan.users[u]
            inside = [p for p, (whole, _, _) in self.plan.part.items() if whole is u]  # they share its place
            if any(p in self.keep for p in inside):
                continue
            users = [*users, *(v for p in inside for v in self.plan.users.get(p, []))]
            if same and users.count(node) == 1 and all(v in self.done for v in users):
                self.owned.discard(u)
                self.owned.add(node)
                return self.renamed(self.vars[u], node)
        return None

    def renamed(self, var: Var, node: Node) -> Var:
        """A place that another value has left, under the name of the new one."""
        if node not in self.plan.labels or not var.static:
            return var
        return self.source.view(var, "{}[...]", var.shadow, var.letters, self.wish(node))

    def operand(self, u: Node, kind: str, letters: Letters, rank: int) -> str:
        if self.is_number(u) and u.dtype != kind and u.dtype != "bool":
            value = self.constant(u)
            if value.ndim == 0:
                return self.number(value.item(), self.plan.bound.dtype_of(kind))
        return self.source.here(self.aligned(u, letters, rank))

    def scratch(self, node: Node, out: Var, dtype: Any, k: int) -> str:
        """A row or array for an intermediate result, of the shape of the value's place."""
        shape = self.source.row(out).shape
        key = ("scratch", shape, np.dtype(dtype).name, k)
        if key not in self.spare:
            self.spare[key] = self.source.buffer("s", tuple(range(len(shape))), shape, dtype)
        return self.spare[key].name

    def ufunc(self, name: str) -> str:
        self.source.env.setdefault(name, getattr(np, name))
        self.source.taken.add(name)
        return name

    def general(self, node: Node, out: Var) -> None:
        """Any other operation: its own forward, on arrays with the same leading axes."""
        op, inputs = node.op.at_sizes(self.plan.bound.sizes), self.plan.inputs(node)
        looped = {loop.axis for loop in self.source.loops}
        axes = [a for a in self.plan.order if a not in looped and any(a in self.var(u).letters for u in inputs)]
        if isinstance(op, Along):
            op = op.bind(axes, len(inputs[0].shape))
        elif isinstance(op, SumOfProducts):
            raise CannotPlan("a sum of products of integers")
        args = []
        for u in inputs:
            rank = len(node.shape) if isinstance(op, Elementwise) else len(u.shape)
            args.append(self.source.here(self.full(u, (*axes, *range(rank)), rank)))
        function = self.source.constant(op.name, _forward(op))
        self.source.emit(f"copyto({self.source.here(out)}, {function}({', '.join(args)}), casting='unsafe')")

    def full(self, u: Node, letters: Letters, rank: int) -> Var:
        """Like `aligned`, with every leading axis present (of size 1 where it is missing)."""
        var = self.var(u)
        looped = [loop.axis for loop in self.source.loops]
        front: list[Any] = [slice(None) for x in var.letters if x in looped]
        lead: list[Any] = [slice(None) if x in var.letters else None for x in letters if isinstance(x, Axis)]
        key = [*front, *lead, *[None] * (rank - len(u.shape)), *[slice(None)] * len(u.shape)]
        kept = (*[x for x in var.letters if x in looped], *range(len(key) - len(front)))
        return self.source.index(var, key, kept) if None in key else var

    # ------------------------------------------------------------------ results
    def results(self) -> None:
        """Print the return of the outputs, in the order of the axes the user wrote."""
        parts: list[str] = []
        given: set[Node] = set()
        for name, node in self.plan.graph.outputs.items():
            node = self.plan.resolve(node)
            var = self.var(node)
            wanted = (*self.plan.written[name], *range(len(node.shape)))
            order = [var.letters.index(x) for x in wanted]
            text = var.name if order == sorted(order) else f"{var.name}.transpose({', '.join(map(str, order))})"
            parts.append(f"{name!r}: {text}" + ("" if var.fresh and node not in given else ".copy()"))
            given.add(node)
        self.source.emit("return {" + ", ".join(parts) + "}")


def _forward(op: Any) -> Callable[..., Any]:
    def forward(*arrays: Any) -> Any:
        return op.forward(np, *arrays)

    return forward
