"""The lines that compute values into their places: products, sums, elementwise chains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.core.node import Node
from unfold.core.op import Along, Elementwise
from unfold.engine.numpy.ends import Ends
from unfold.engine.numpy.products import emit_product
from unfold.engine.numpy.storage import Letter, Letters, Var
from unfold.engine.plan.plan import CannotPlan
from unfold.engine.plan.trace import Ref, trace
from unfold.engine.rewrites.blending import Blend
from unfold.engine.rewrites.packing import Fan
from unfold.engine.rewrites.passes import SumOfProducts, SumOfScatters
from unfold.ops.array.indexing import Take
from unfold.ops.array.linear import Contract
from unfold.ops.array.shape import Concat


class Values(Ends):
    """Prints how one node is computed."""

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
        elif (isinstance(op, Elementwise) and self.elementwise(node, out)) or (
            op.name == "softmax" and isinstance(op, Along) and self.softmax(node, op, out)
        ):
            pass
        elif isinstance(op, Fan) and alike:
            self.fan(node, out)
        elif isinstance(op, Blend) and alike:
            self.blend(node, op.count, out)
        elif op.name == "sum" and isinstance(op, Along) and alike:
            self.total(node, op, out)
        elif isinstance(op, Take | SumOfScatters) and self.rows_at(node, out):
            pass
        else:
            self.general(node, out)

    def softmax(self, node: Node, op: Along, out: Var) -> bool:
        """exp(a) / sum exp(a) along one dimension or axis, in the place of the result."""
        (u,) = self.plan.inputs(node)
        var, row = self.var(u), self.source.row(out)
        looped = {loop.axis for loop in self.source.loops}
        letters = [x for x in var.letters if x not in looped]
        alike = letters == [x for x in out.letters if x not in looped]
        if not alike or len(op.over) != 1 or row.dtype.kind != "f" or not row.size:
            return False
        places = [letters.index(d if isinstance(d, Axis) else len(u.shape) + d) for d in op.over]
        self.source.softmax(var, out, places[0])
        return True

    def softmax_too(self, node: Node, out: Var) -> bool:
        """The cross-entropy and its gradient, softmax minus one-hot, from one exponential."""
        scores, labels = self.plan.inputs(node)
        users = self.plan.users
        softmaxes = [u for u in users[scores] if u.op.name == "softmax" and not u.op.spans]
        if (
            len(softmaxes) != 1
            or "fuse" not in self.plan.optimise
            or self.plan.nest(node)
            or self.dtype(node).kind == "c"
        ):
            return False
        (softmax,) = softmaxes
        if len(users.get(softmax, [])) != 1 or softmax in self.keep:
            return False
        (slope,) = users[softmax]
        parts = self.plan.inputs(slope)
        if any(
            self.plan.chunk_of.get(u) is not self.plan.chunk_of.get(node) for u in (softmax, parts[-1], slope)
        ):
            return False
        if slope.op.name != "subtract" or parts[0] is not softmax or parts[1].op.name != "one_hot":
            return False
        if (
            self.plan.inputs(parts[1])[0] is not labels
            or users[parts[1]] != [slope]
            or slope in self.plan.pads
        ):
            return False
        lead = self.letters(scores)[:-1]
        o, y = self.var(scores), self.var(labels)
        if (
            self.letters(labels) != lead
            or out.letters != lead
            or o.letters != self.letters(slope)
            or slope in self.plan.part
            or not (o.shadow.flags.c_contiguous and out.shadow.flags.c_contiguous)
        ):
            return False
        self.done |= {softmax, parts[1], slope}
        free = scores in self.owned and self.settled(scores)
        if free:
            self.owned.pop(scores)
            self.own(slope)
        self.vars[slope] = self.renamed(o, slope) if free else self.place(slope)

        def flat(v: Var) -> Var:
            found = self.source.arrange(v, [lead, *[[x] for x in v.letters[len(lead) :]]], copy=v is y)
            assert found is not None
            return found

        self.source.cross_entropy(*map(flat, (o, y, out, self.vars[slope])))
        return True

    def rows_at(self, node: Node, out: Var) -> bool:
        """Rows of a table at integer indices, or added there: an embedding and its gradient."""
        source, (value, index) = self.source, self.plan.inputs(node)
        looped = {loop.axis for loop in source.loops}
        taken = isinstance(node.op, Take)
        whole, rows = (self.var(value), out) if taken else (out, self.var(value))
        at = self.var(index)
        lead = [x for x in rows.letters if isinstance(x, Axis) and x not in looped]
        same = [x for x in at.letters if x not in looped] == lead
        if (
            index.shape
            or not same
            or any(isinstance(x, Axis) for x in whole.letters)
            or value.dtype != node.dtype
        ):
            return False

        def flat(var: Var, *groups: list[Letter], copy: bool = True) -> Var | None:
            ahead = [[x] for x in var.letters if x in looped]
            return source.arrange(var, [*ahead, *groups], copy and not source.loops)

        first, *rest = whole.letters
        table = flat(whole, [first], rest, copy=taken)
        picked = flat(rows, lead, [x for x in rows.letters if not isinstance(x, Axis)], copy=not taken)
        where = flat(at, lead)
        if table is None or picked is None or where is None:
            return False
        if taken:
            source.gather(table, where, picked)
        else:
            source.scatter(picked, where, table)
        return True

    def product(self, node: Node, spec: str, out: Var) -> None:
        operands, result = spec.split("->")[0].split(","), spec.split("->")[1]

        def spelled(var: Var, letters: str) -> Var:
            named = tuple(x if isinstance(x, Axis) else letters[x] for x in var.letters)
            return Var(var.name, named, var.shadow, var.static)

        parts = [self.flat(u, node) for u in self.plan.inputs(node)]
        a, b = (spelled(v, letters) for v, letters in zip(parts, operands, strict=True))
        emit_product(self.source, a, b, spelled(out, result))

    def flat(self, u: Node, total: Node) -> Var:
        """An operand of a sum over steps and examples: where it holds the examples innermost, a copy
        with all of them behind its dimension, made once, which one product can sum over."""
        var, inner = self.var(u), self.plan.inner
        outer = [x for x in var.letters if isinstance(x, Axis) and x != inner]
        if (
            u not in self.plan.turned
            or self.source.loops
            or not outer
            or not {inner, *outer} <= {*total.op.spans}
        ):
            return var
        key = ("flat", u, self.source.part)
        if key not in self.spare:
            letters = (*range(len(u.shape)), *outer, inner)
            shape = self.extent(letters, u)
            copy = self.source.buffer(f"{var.name}_flat", letters, shape, var.shadow.dtype)
            self.source.copy(copy, self.aligned(u, letters, len(u.shape)))
            self.spare[key] = copy
        return self.spare[key]

    def total(self, node: Node, op: Along, out: Var) -> None:
        """A sum over leading axes or dimensions."""
        (u,) = self.plan.inputs(node)
        var, source = self.flat(u, node), self.source
        gone = [d if isinstance(d, Axis) else len(u.shape) + d for d in op.over]
        looped = {loop.axis for loop in source.loops}
        mine = [x for x in var.letters if x not in looped]
        front = [[x] for x in var.letters if x in looped]
        kept = [x for x in mine if x not in gone]
        summed = [x for x in mine if x in gone]
        ahead, rest = [[x] for x in out.letters if x in looped], [x for x in out.letters if x not in looped]
        flat = source.arrange(var, [*front, summed, *([kept] if kept else [])], not source.loops)
        target = source.arrange(out, [*ahead, *([rest] if rest else [])], False)
        left = sorted(x for x in kept if not isinstance(x, Axis))  # the dimensions that the result has
        alike = rest == [x if isinstance(x, Axis) else left.index(x) for x in kept]
        if len(summed) == len(gone) and flat is not None and target is not None and alike:
            source.total(flat, target)
        elif node.dtype == "float" and set(kept) <= set(rest) and len(summed) == len(gone):
            source.contract([var], out, [tuple(mine)], tuple(rest))
        else:
            self.general(node, out)

    def accumulate(self, node: Node) -> None:
        """A sum over the axis whose parts are being printed: zero before, then the sum of each."""
        total = self.vars[node] = self.place(node)
        with self.source.before():
            self.source.fill(total)
        here = self.scratch(total, total.shadow.dtype, 0)
        self.compute(node, here)
        self.source.ufunc("add", [total, here], total)

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
        conditions = [c.operands[0] for c in calls if c.name == "where"]
        if any(isinstance(r, Ref) and r.call < 0 and inputs[r.arg].dtype != "bool" for r in conditions):
            return False  # a number, true where it is not 0
        results: list[Var] = []
        holder = -1  # the call whose result lies in the place of the value
        last = {
            r.call: k for k, c in enumerate(calls) for r in c.operands if isinstance(r, Ref) and r.call >= 0
        }
        for k, c in enumerate(calls):
            operands = [
                (results[r.call] if r.call >= 0 else args[r.arg])
                if isinstance(r, Ref)
                else self.number(r, np.bool_ if isinstance(r, bool) else self.plan.bound.dtype_of(work))
                for r in c.operands
            ]
            final = k == len(calls) - 1
            used = {r.call for r in c.operands if isinstance(r, Ref)}
            free = holder < 0 or last.get(holder, k) < k or (last.get(holder, k) == k and c.name != "where")
            if final or (
                free and not c.boolean and node.dtype != "bool" and not (c.name == "where" and holder in used)
            ):
                target, holder = out, k
            else:
                target = self.scratch(out, np.bool_ if c.boolean else self.plan.bound.dtype_of(work), k)
            results.append(target)
            if c.name == "where":
                self.source.choose(operands[0], operands[1], operands[2], target)
            else:
                self.source.ufunc(c.name, operands, target)
        return True

    def operand(self, u: Node, kind: str, letters: Letters, rank: int) -> Var:
        if self.is_number(u) and u.dtype != kind and u.dtype != "bool":
            value = self.constant(u)
            if value.ndim == 0:
                return self.number(value.item(), self.plan.bound.dtype_of(kind))
        return self.aligned(u, letters, rank)

    def general(self, node: Node, out: Var) -> None:
        """Any other operation: its own forward, on arrays with the same leading axes."""
        op, inputs = node.op.at_sizes(self.plan.bound.sizes), self.plan.inputs(node)
        looped = {loop.axis for loop in self.source.loops}
        axes = [
            a
            for a in self.plan.order
            if a not in looped and (a in op.spans or any(a in self.var(u).letters for u in inputs))
        ]
        part = self.source.part
        spans = {axes.index(a): self.plan.bound.extents[a] for a in op.spans if not part or a != part.axis}
        if isinstance(op, Along):
            op = op.bind(axes, len(inputs[0].shape))
        elif isinstance(op, SumOfProducts):
            raise CannotPlan("a sum of products of integers")
        args = []
        for u in inputs:
            rank = len(node.shape) if isinstance(op, Elementwise) else len(u.shape)
            args.append(self.source.here(self.aligned(u, (*axes, *range(rank)), rank, full=True)))
        function, place = self.source.constant(op.name, _forward(op, spans)), self.standard(out)
        target = self.source.here(place)
        self.source.emit(f"copyto({target}, {function}({', '.join(args)}), casting='unsafe')")


def _forward(op: Any, spans: dict[int, int]) -> Callable[..., Any]:
    """The operation; an axis it acts along is there even for what does not vary along it."""

    def whole(x: Any) -> Any:
        shape = tuple(spans.get(i, n) for i, n in enumerate(x.shape))
        return x if shape == x.shape else np.broadcast_to(x, shape)

    def forward(*arrays: Any) -> Any:
        return op.forward(np, *(map(whole, arrays) if spans else arrays))

    return forward
