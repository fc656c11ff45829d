"""The statements that compute one node, one function for each kind of operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from unfold.core.axis import Axis
from unfold.core.node import Node, Op
from unfold.core.op import Along, Elementwise
from unfold.engine.lower.contraction import contract
from unfold.engine.lower.reading import Lookup
from unfold.engine.plan.arraycalls import ArrayCall, Held
from unfold.engine.plan.statement import Verb
from unfold.engine.plan.typed import Boundary, is_zero
from unfold.engine.plan.view import Letter, Memory, NotPlanned, View
from unfold.engine.rewrites.passes import SumOfProducts
from unfold.ops.array.indexing import One_hot
from unfold.ops.array.linear import Contract
from unfold.ops.array.reduction import Softmax, Sum
from unfold.ops.array.shape import Concat
from unfold.ops.choice.losses import Cross_entropy
from unfold.ops.time.delays import Delay, Place

LETTERS = "abcdefghijklmnopqrstuvwxyz"
Rule = Callable[[Lookup, Node, View], None]


def compute(reading: Lookup, node: Node) -> set[Node]:
    """Emit what computes a node; returns the other nodes that are then computed too."""
    out = reading.seen(node)
    if isinstance(node.op, Cross_entropy) and (also := _entropy(reading, node, out)):
        return also
    rule = next((_RULES[c] for c in type(node.op).__mro__ if c in _RULES), _general)
    rule(reading, node, out)
    return set()


# ---------------------------------------------------------------------- entry by entry
def _array_call(reading: Lookup, node: Node, out: View) -> None:
    assert isinstance(node.op, ArrayCall)
    inputs = reading.outline.inputs(node)
    out = out.order(out.by_memory)
    operands = [reading.seen(u).order(out.letters).squeezed() for u in inputs]
    choice = node.op.ufunc == "where"
    kind, what = (Verb.WHERE, None) if choice else (Verb.UFUNC, node.op.ufunc)
    reading.builder.emit(kind, [out], operands, [(u, None) for u in inputs], what, alias=not choice)


def _copy(reading: Lookup, node: Node, out: View) -> None:
    (u,) = reading.outline.inputs(node)
    out = out.order(out.by_memory)
    operand = reading.seen(u).order(out.letters).squeezed()
    reading.builder.emit(Verb.COPY, [out], [operand], [(u, None)])


def _boundary(reading: Lookup, node: Node, out: View) -> None:
    """A boundary value, in the place where the delayed value reads it. Zeros around what is kept over
    all steps are written once."""
    outline, builder = reading.outline, reading.builder
    (u,) = outline.inputs(node)
    if not is_zero(u):
        _copy(reading, node, out)
        return
    source = next(outline.resolve(d.inputs[0]) for d in outline.users[node] if isinstance(d.op, Delay))
    if not builder.contexts and source not in reading.keeping.rows and out.buffer.role is Memory.WORK:
        out.buffer.pinned = True
        builder.prepare.append(builder.statement(Verb.FILL, [out], what=0))
    else:
        builder.emit(Verb.FILL, [out], what=0)


# ---------------------------------------------------------------------- products and sums
def _contract(reading: Lookup, node: Node, out: View) -> None:
    assert isinstance(node.op, Contract | SumOfProducts)
    contract(reading, node, out, node.op.spec)


def _sum(reading: Lookup, node: Node, out: View) -> None:
    """A sum over axes and dimensions of numbers that are not integers: a product with ones."""
    op = node.op
    (u,) = reading.outline.inputs(node)
    if not isinstance(op, Sum) or u.dtype != node.dtype or node.dtype not in ("float", "complex"):
        _general(reading, node, out)
        return
    rank = len(u.shape)
    gone = [x - rank if isinstance(x, int) and x >= 0 else x for x in op.over]
    spell = LETTERS[:rank]
    kept = "".join(spell[d] for d in range(-rank, 0) if d not in gone)
    repeated = reading.seen(u).repeat({a: reading.outline.extent(a) for a in op.spans})
    view = repeated.name([x if isinstance(x, Axis) else spell[x] for x in repeated.letters])  # type: ignore[index]
    target = out.name([x if isinstance(x, Axis) else kept[x] for x in out.letters])  # type: ignore[index]
    summed = [x for x in view.letters if x not in target.letters]
    _total(reading, view, target, summed, (u, spell))


def _total(reading: Lookup, view: View, out: View, summed: list[Letter], source: tuple[Node, str]) -> None:
    builder, kept = reading.builder, list(out.letters)
    groups = [g for g in (summed, kept) if g]
    flat, target = view.merged(*groups), out.merged(*([kept] if kept else []))
    complete = bool(summed) and {*view.letters} == {*summed, *kept}
    if complete and flat is None and target is not None and not builder.contexts:
        flat = builder.copied(view.order([*summed, *kept]), source).merged(*groups)
    if complete and flat is not None and target is not None:
        builder.emit(Verb.TOTAL, [target], [flat], [source], (tuple(summed), tuple(kept)))
    else:
        builder.emit(Verb.EINSUM, [out], [view], [source])


def _softmax(reading: Lookup, node: Node, out: View) -> None:
    """exp(a) / sum exp(a) along one dimension of numbers that lie side by side."""
    assert isinstance(node.op, Softmax)
    (u,) = reading.outline.inputs(node)
    view, over = reading.seen(u), node.op.over
    plain = view.letters == out.letters and view.packed and out.packed and out.size > 0
    if len(over) != 1 or not plain or out.buffer.dtype.kind != "f" or u.dtype != node.dtype:
        _general(reading, node, out)
        return
    dim = over[0] if isinstance(over[0], Axis) or over[0] < 0 else over[0] - len(u.shape)
    reading.builder.emit(Verb.SOFTMAX, [out], [view], [(u, None)], out.place(dim))


def _entropy(reading: Lookup, node: Node, out: View) -> set[Node]:
    """-log softmax(o)[y] and its gradient softmax(o) - one_hot(y) from one exponential, where both are
    wanted for all steps at once. Returns the nodes that are computed with it, none where it is not so."""
    o, y = reading.outline.inputs(node)
    found = None if reading.builder.contexts else _slope(reading, o, y)
    if found is None or out.buffer.dtype.kind != "f":
        return set()
    slope, axes = found[0], list(out.letters)
    vo, vy, vs = reading.view(o), reading.view(y), reading.view(slope)
    alike = list(vy.letters) == axes and list(vo.letters) == list(vs.letters) == [*axes, -1]
    if not alike or not axes:
        return set()
    flat = [vo.merged(axes, [-1]), vy.merged(axes), out.merged(axes), vs.merged(axes, [-1])]
    packed = [v for v in flat if v is not None and v.packed]
    if len(packed) < len(flat):
        return set()
    sources = [(o, None), (y, None)]
    reading.builder.emit(Verb.ENTROPY, packed[2:], packed[:2], sources, alias=True, nodes=[node, slope])
    return set(found)


def _slope(reading: Lookup, o: Node, y: Node) -> tuple[Node, Node, Node] | None:
    """softmax(o) - one_hot(y) with its two terms, where all of them are computed for nothing else and
    lie in memory of their own."""
    outline, keeping = reading.outline, reading.keeping
    for softmax in outline.users[o]:
        if (
            not isinstance(softmax.op, Softmax)
            or softmax.op.spans
            or len(outline.users.get(softmax, ())) != 1
        ):
            continue
        (slope,) = outline.users[softmax]
        first, hot = [*outline.inputs(slope), softmax][:2]
        taken_off = isinstance(slope.op, ArrayCall) and slope.op.ufunc == "subtract" and first is softmax
        if not taken_off or not isinstance(hot.op, One_hot) or outline.inputs(hot)[0] is not y:
            continue
        shared = len(outline.users[hot]) != 1 or {slope, hot, softmax} & keeping.given
        if (
            not shared
            and not outline.nest[slope]
            and slope not in keeping.pads
            and slope not in keeping.within
        ):
            return slope, softmax, hot
    return None


# ---------------------------------------------------------------------- put together
def _concat(reading: Lookup, node: Node, out: View) -> None:
    assert isinstance(node.op, Concat)
    dim, start = node.op.dim, 0
    for u in reading.outline.inputs(node):
        count = reading.outline.shape(u)[dim]
        place = reading.keeping.within.get(u)
        piece = out.order(out.by_memory).part(dim, start, count)
        operand = reading.seen(u).order(piece.letters).squeezed()
        there = operand.address == piece.squeezed().address  # it was computed there
        if place is not None and place.joint is node and not there:
            raise NotPlanned(f"concat: {operand!r} does not lie where it should, at {piece!r}")
        reading.builder.emit(Verb.PIECE, [piece], [operand], [(u, None)], (dim, start, there))
        start += count


def _place(reading: Lookup, node: Node, out: View) -> None:
    """x at one step, zero at the others."""
    outline, op = reading.outline, node.op
    assert isinstance(op, Place)
    (u,) = outline.inputs(node)
    k = op.index.resolve(0, outline.extent(op.axis)) - 1
    reading.builder.emit(Verb.FILL, [out], what=0)
    if op.axis not in out.letters:
        raise NotPlanned("place: the step it stands for is not one of all its steps")
    if 0 <= k < outline.extent(op.axis):
        there = out.at(op.axis, k)
        operand = reading.seen(u).order(there.letters).squeezed()
        reading.builder.emit(Verb.COPY, [there], [operand], [(u, None)], (op.axis, k))


def _general(reading: Lookup, node: Node, out: View) -> None:
    """Any other operation: its own forward, on operands with the same axes in front."""
    outline, op = reading.outline, reading.outline.op(node)
    inputs, fixed = outline.inputs(node), reading.builder.axes
    mine = {*op.spans, *node.axes, *(a for u in inputs for a in u.axes)}
    axes = [a for a in outline.order if a in mine and a not in fixed]
    if isinstance(op, Along):
        op = op.bind(axes, len(inputs[0].shape))
    elif op.spans:
        raise NotPlanned(f"{op.name}: its own forward cannot act along {op.spans}")
    operands = []
    for u in inputs:
        rank = len(node.shape) if isinstance(op, Elementwise) else len(u.shape)
        view = reading.seen(u).repeat({a: outline.extent(a) for a in node.op.spans})
        operands.append(view.order((*axes, *range(-rank, 0))))
    lead = [a for a in axes if a not in node.op.spans or a in node.axes]
    target = out.order((*lead, *range(-len(node.shape), 0)))
    what: Any = (op, tuple(axes))
    reading.builder.emit(Verb.CALL, [target], operands, [(u, None) for u in inputs], what)


_RULES: Mapping[type[Op], Rule] = {
    ArrayCall: _array_call,
    Held: _copy,
    Boundary: _boundary,
    Contract: _contract,
    SumOfProducts: _contract,
    Sum: _sum,
    Softmax: _softmax,
    Concat: _concat,
    Place: _place,
}
