"""From nodes to formulas: every operation as its notation spells it, delays as shifted indices.

A `Writer` walks an expression and asks its notation how each kind of operation is spelled.
A delay is not written: the shift is pushed through the expression to the indices of its leaves, so that
`delay(dh * (1 - h**2), -1)` reads `dh[t+1] * (1 - h[t+1]**2)`.

Nothing recurses: each rule is a generator that yields the operands it wants written.
"""

from __future__ import annotations

from collections.abc import Container, Generator, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from unfold.analysis.naming import Reads, is_zeros, places, unrepeated
from unfold.core.axis import Axis, Index, mirrored
from unfold.core.kinds import IndexKind, Role
from unfold.core.leaves import Constant, Named, Symbol, label_of
from unfold.core.node import Node
from unfold.core.op import Along
from unfold.notation.forms import as_matmul, is_single, narrowed, spelled_slices, vanishing
from unfold.notation.spelling import ATOM, PRODUCT, SUM, UNARY, Notation, Piece
from unfold.ops.array.linear import Contract
from unfold.ops.time.delays import Delay, Place, Reverse, Structural, Zeros

Steps = Generator[tuple[Node, Reads], Piece, Piece]


def _is_derivative(node: Node) -> bool:
    """Whether a node is an adjoint or a tangent, which is zero where nothing defines it."""
    return isinstance(node.op, Symbol) and bool(node.op.role)


class Writer(Notation):
    """Writes expressions. `names`: nodes that are written by their symbol; `roles`: of
    labels that are derivatives; `defined`: labels and indices that something defines. What was
    taken to be zero outside 1..T is collected in `fills`."""

    many = 9  # operands: longer sums and calls are abbreviated

    def __init__(
        self,
        names: Mapping[Node, Node] | None = None,
        *,
        roles: Mapping[str, Role] | None = None,
        defined: Container[tuple[str, tuple[Index | int, ...]]] = (),
        depth: int = 60,
        budget: int = 600,
    ) -> None:
        self.names = names or {}
        self.roles = dict(roles or {})
        self.defined = defined
        self.depth, self.budget = depth, budget
        self.fills: dict[str, Node] = {}

    # ------------------------------------------------------------------ the walk
    def write(self, root: Node, at: Reads | None = None) -> Piece:
        """The formula of a node; parts too deep or too many are elided."""
        stack = [self._rule(root, at or {})]
        left = self.budget
        value: Piece | None = None
        while True:
            try:
                node, here = stack[-1].send(value)  # type: ignore[arg-type]
            except StopIteration as end:
                value = end.value
                stack.pop()
                if not stack:
                    assert value is not None
                    return value
                continue
            named = self.names.get(node, node)
            left -= 1
            if not named.op.leaf and (len(stack) >= self.depth or left < 0):
                value = Piece(self.elision)
            else:
                value = None
                stack.append(self._rule(named, here))

    def _rule(self, node: Node, at: Reads) -> Steps:
        rule = getattr(self, f"op_{node.op.name}", None)
        if rule is None and node.op.infix is not None and len(node.inputs) == 2:
            rule = self.binary
        made: Steps = (rule or self.generic)(node, at)
        return made

    # ------------------------------------------------------------------ leaves
    def _named(self, node: Node, at: Reads) -> Steps:
        yield from ()
        return Piece(self.leaf_at(node, at))

    op_input = op_param = op_symbol = op_read = _named

    def op_constant(self, node: Node, at: Reads) -> Steps:
        yield from ()
        assert isinstance(node.op, Constant)
        return self.number(node.op.value)

    def op_zeros(self, node: Node, at: Reads) -> Steps:
        yield from ()
        return Piece("0")

    def op_step(self, node: Node, at: Reads) -> Steps:
        yield from ()
        axis = node.op.parameters["axis"]
        return self.position(at.get(axis, axis.now))

    def op_size(self, node: Node, at: Reads) -> Steps:
        yield from ()
        return self.position(node.op.parameters["axis"].last)

    def op_extent(self, node: Node, at: Reads) -> Steps:
        yield from ()
        dim = str(node.op.parameters["dim"])
        return Piece(dim, SUM if " " in dim else PRODUCT if "*" in dim else ATOM, "*")

    # ------------------------------------------------------------------ arithmetic
    def binary(self, node: Node, at: Reads) -> Steps:
        assert node.op.infix is not None
        symbol, level = node.op.infix
        a, b = self.operands(node)
        if level == 5 and isinstance(a.op, Constant) and symbol in ("<", "<="):
            a, b, symbol = b, a, symbol.replace("<", ">")
        left = yield a, at
        right = yield b, at
        return self.pair(symbol, level, left, right)

    def operands(self, node: Node) -> list[Node]:
        """The inputs of an elementwise operation, without repetitions that it implies."""
        return [
            unrepeated(u) if any(w is not u and w.shape == node.shape for w in node.inputs) else u
            for u in node.inputs
        ]

    def op_broadcast_to(self, node: Node, at: Reads) -> Steps:
        a = yield unrepeated(node), at
        return self.called(node.op, "broadcast_to", [a], self.parameters(node))

    def op_add(self, node: Node, at: Reads) -> Steps:
        terms = self.operands(node)
        terms = [u for u in terms if not isinstance(u.op, Zeros)] or terms[:1]
        short = terms if len(terms) <= self.many else [*terms[:3], None, terms[-1]]
        total: Piece | None = None
        for u in short:
            if u is None:
                part = Piece(self.elision)
            elif u.op.name == "negative" and total is not None and u not in self.names:
                part = yield u.inputs[0], at
                total = self.pair("-", SUM, total, part)
                continue
            else:
                part = yield u, at
            if total is not None and self.is_negative(part):
                total = Piece(self.joined(total.text, "-", part.text[1:]), SUM, "+")
            else:
                total = part if total is None else self.pair("+", SUM, total, part)
        assert total is not None
        return total

    def op_negative(self, node: Node, at: Reads) -> Steps:
        a = yield node.inputs[0], at
        bare = a.level >= PRODUCT and not self.is_negative(a)
        text = a.text if bare else self.brackets(a.text)
        return Piece("-" + text, min(UNARY, a.level) if bare else UNARY, a.symbol if bare else "")

    def op_divide(self, node: Node, at: Reads) -> Steps:
        total, count = node.inputs
        over = total.op.spans
        if total.op.name == "sum" and len(over) == 1 and count.op.parameters.get("axis") == over[0]:
            inner = {a: i for a, i in at.items() if a not in over}
            a = yield total.inputs[0], inner
            return self.mean(a, over[0])
        return (yield from self.binary(node, at))

    def op_power(self, node: Node, at: Reads) -> Steps:
        a, b = self.operands(node)
        base = yield a, at
        exponent = yield b, at
        return self.raised(base, exponent)

    def op_square(self, node: Node, at: Reads) -> Steps:
        a = yield node.inputs[0], at
        return self.raised(a, Piece("2"))

    def op_where(self, node: Node, at: Reads) -> Steps:
        pieces = []
        for u in self.operands(node):
            pieces.append((yield u, at))
        return self.chosen(*pieces)

    # ------------------------------------------------------------------ products
    def op_contract(self, node: Node, at: Reads) -> Steps:
        assert isinstance(node.op, Contract)
        pieces = []
        for u in node.inputs:
            pieces.append((yield u, at))
        form = as_matmul(node.op)
        if isinstance(form, str):  # outer
            first, second = pieces if node.op.operands[0] == node.op.result[:1] else pieces[::-1]
            return self.outer(first, second)
        if form is None:
            return self.called(node.op, "einsum", [Piece(repr(node.op.spec)), *pieces], {})
        if not node.op.result:
            return self.inner(*pieces)
        sides = [self.transposed(pieces[k]) if turned else pieces[k] for k, turned in form]
        return self.pair("@", self.matrix_level, *sides)

    def op_transpose(self, node: Node, at: Reads) -> Steps:
        if node.op.parameters["order"] != (1, 0):
            return (yield from self.generic(node, at))
        return self.transposed((yield node.inputs[0], at))

    # ------------------------------------------------------------------ along an axis
    def along(self, node: Node, at: Reads) -> Steps:
        """An operation over dimensions or along an axis, whose index is bound by it."""
        op = node.op
        assert isinstance(op, Along)
        spans = op.spans
        inner = yield node.inputs[0], {a: i for a, i in at.items() if a not in spans}
        whole = not spans and len(op.over) == len(node.inputs[0].shape)
        numpy_default = op.reduces and op.name != "argmax"
        default = whole if numpy_default else op.over == (-1,)
        out = self.reduced(op, inner, default)
        away = [at[a] for a in spans if a in node.axes and a in at and at[a] != a.now]
        return self.subscripted(out, ", ".join(map(self.index, away))) if away else out

    op_sum = op_max = op_logsumexp = op_softmax = op_log_softmax = op_cumsum = op_argmax = along

    # ------------------------------------------------------------------ entries
    def op_narrow(self, node: Node, at: Reads) -> Steps:
        base, slices = narrowed(node)
        a = yield base, at
        return self.sliced(a, spelled_slices(base, slices))

    def op_reshape(self, node: Node, at: Reads) -> Steps:
        base, slices = narrowed(node.inputs[0])
        single = {d for d, s in slices.items() if is_single(s)}
        kept = tuple(n for d, n in enumerate(node.inputs[0].shape) if d - len(base.shape) not in single)
        if not single or kept != node.shape or node.inputs[0] in self.names:
            return (yield from self.generic(node, at))
        a = yield base, at
        return self.sliced(a, spelled_slices(base, slices, single))

    def op_take(self, node: Node, at: Reads) -> Steps:
        a = yield node.inputs[0], at
        i = yield node.inputs[1], at
        return self.subscripted(a, i.text)

    # ------------------------------------------------------------------ moves along an axis
    def op_delay(self, node: Node, at: Reads) -> Steps:
        op, (source, *ends) = node.op, node.inputs
        assert isinstance(op, Delay)
        here = at.get(op.axis, op.axis.now)
        inner = yield source, {**at, op.axis: here - op.lag}
        if self._continues(op, source, ends, at):
            return inner
        steps = range(abs(op.lag)) if ends else range(1)
        if here.kind != IndexKind.NOW or not ends or len({id(u) for u in ends}) == 1:
            steps = range(1)
        out = inner
        for m in reversed(steps):
            end = (yield ends[m], at) if ends else Piece("0")
            out = self.chosen(self._inside(op, here, m), out, end)
        return out

    def _inside(self, op: Delay, here: Index, m: int) -> Piece:
        """The condition that x[here - lag] does not lie m or more steps outside 1..T."""
        if op.lag > 0:
            return self.pair(
                ">", 5, self.position(here), self.position(Index(op.axis, IndexKind.AT, op.lag - m))
            )
        return self.pair("<=", 5, self.position(here), self.position(op.axis.last + (op.lag + m)))

    def _continues(self, op: Delay, source: Node, ends: Sequence[Node], at: Reads) -> bool:
        """Whether the shifted formula says by itself what lies outside 1..T."""
        leaf = self.names.get(source, source)
        if ends and not all(map(is_zeros, ends)):
            return isinstance(leaf.op, Named) and all(
                isinstance(u.op, Named) and u.op.label == leaf.op.label and op.boundary(m) in u.op.index
                for m, u in enumerate(ends)
            )
        if isinstance(leaf.op, Named):
            needed = [leaf] if self._is_free(leaf, op) else None
        else:
            needed = vanishing(source, lambda s: _is_derivative(s) and self._is_free(s, op))
        for symbol in needed or ():
            for m in range(abs(op.lag)):
                there = {op.axis: op.boundary(m)}
                self.fills[self.leaf_at(symbol, there)] = symbol
        return needed is not None

    def _is_free(self, symbol: Node, op: Delay) -> bool:
        """Whether nothing defines a symbol at the ends that a delay reads as zero."""
        if op.axis not in symbol.axes:
            return False
        here = places(symbol)
        ends = [op.boundary(m) for m in range(abs(op.lag))]
        forms = (tuple(end if i == op.axis.now else i for i in here) for end in ends)
        return all((label_of(symbol), form) not in self.defined for form in forms)

    def op_at(self, node: Node, at: Reads) -> Steps:
        op = node.op
        assert isinstance(op, Structural)
        return (yield node.inputs[0], {**at, op.axis: op.parameters["index"]})

    def op_place(self, node: Node, at: Reads) -> Steps:
        op = node.op
        assert isinstance(op, Place)
        inner = yield node.inputs[0], {a: i for a, i in at.items() if a != op.axis}
        here = at.get(op.axis, op.axis.now)
        condition = self.pair("==", 5, self.position(here), self.position(op.index))
        return self.chosen(condition, inner, Piece("0"))

    def op_reverse(self, node: Node, at: Reads) -> Steps:
        op = node.op
        assert isinstance(op, Reverse)
        return (yield node.inputs[0], {**at, op.axis: mirrored(at.get(op.axis, op.axis.now))})

    # ------------------------------------------------------------------ everything else
    def generic(self, node: Node, at: Reads) -> Steps:
        args: list[Piece] = []
        for k, u in enumerate(node.inputs):
            if len(node.inputs) > self.many and 3 <= k < len(node.inputs) - 1:
                if k == 3:
                    args.append(Piece(self.elision))
                continue
            args.append((yield u, at))
        return self.called(node.op, node.op.name, args, self.parameters(node))

    hidden: Mapping[str, tuple[str, ...]] = {
        "broadcast_to": ("rank",),
        "reshape": ("rank",),
        "scatter": ("ranks",),
        "contract": ("spec",),
    }

    def parameters(self, node: Node) -> dict[str, str]:
        """The parameters that differ from their default, as text."""
        out = {}
        if node.op.name in ("concat", "stack"):
            dim, usual = node.op.parameters["dim"], -1 if node.op.name == "concat" else -len(node.shape)
            return {} if dim == usual else {"axis": str(dim)}
        for f in fields(node.op):
            value = getattr(node.op, f.name)
            default = None if f.default is MISSING else f.default
            if value != default and f.name not in self.hidden.get(node.op.name, ()):
                out[f.name] = self.parameter(value)
        return out

    def parameter(self, value: Any) -> str:
        if isinstance(value, Index):
            return self.index(value)
        if isinstance(value, tuple):
            return "(" + ", ".join(map(self.parameter, value)) + ("," if len(value) == 1 else "") + ")"
        return value.name if isinstance(value, Axis) else str(value)
