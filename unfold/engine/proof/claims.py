"""What the equations ask of each statement: the tags that every operand must hold, and those that the
outputs then hold, at each step.

What a statement says of itself (its node, its `what`, the letters of its outputs) is compared with the
operation of the node. The letters of operands are not read, but for an einsum, which computes by them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.core.node import Node
from unfold.core.op import Along, Elementwise
from unfold.engine.plan.arraycalls import ArrayCall
from unfold.engine.plan.statement import Statement, Sweep, Verb
from unfold.engine.plan.view import Letter, Sizes, View
from unfold.engine.proof.tags import Ids, PlanFault, Tags, moves
from unfold.engine.rewrites.passes import SumOfProducts
from unfold.ops.array.indexing import One_hot
from unfold.ops.array.linear import Contract
from unfold.ops.array.reduction import Softmax, Sum
from unfold.ops.choice.losses import Cross_entropy

Names = Sequence[str] | None  # of the dimensions of a value; None: -rank .. -1


@dataclass(frozen=True)
class Claim:
    """A view and the tags that belong in it: for each step of the axes `lead`, then entry by entry.
    `tags` is None where they are those of operand 0, whatever these are."""

    view: View
    tags: Ids | None
    lead: tuple[Axis, ...] = ()
    node: Node | None = None


@dataclass
class Claims:
    """What one statement reads and writes, and the axes of which it has one step."""

    reads: list[Claim] = field(default_factory=list)
    writes: list[Claim] = field(default_factory=list)
    lies: bool = False  # operand 0 lies where the output is: nothing is done


def claims(tags: Tags, statement: Statement, nest: Sequence[Sweep]) -> Claims:
    """Raises `PlanFault` where a statement does not do what its node asks."""
    rule = _RULES.get(statement.kind)
    if rule is None:
        raise PlanFault(f"no rule says what {statement.kind.value} does")
    asked = Asked(tags, statement, nest)
    try:
        rule(asked)
        asked.check_kinds()
    except PlanFault:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise PlanFault(f"is no {statement.kind.value} of its node: {error}") from error
    return asked.claims


class Asked:
    """The claims of one statement in the making."""

    def __init__(self, tags: Tags, statement: Statement, nest: Sequence[Sweep]) -> None:
        self.tags, self.statement = tags, statement
        around = [*(loop.axis for loop in nest), *(w.axis for w in statement.at)]
        self.around = [a for a in dict.fromkeys(around) if a in tags.bound.extents]
        self.node = tags.resolve(statement.nodes[0])
        self.claims = Claims()

    # ------------------------------------------------------------------ tags in an order of letters
    def due(
        self,
        node: Node,
        letters: Sequence[Letter],
        names: Names = None,
        sizes: Mapping[Any, int] | None = None,
        at: Mapping[Letter, slice | int] | None = None,
    ) -> tuple[Ids, tuple[Axis, ...]]:
        """The tags of a value, its dimensions in the order of `letters` (merged ones as one), behind the
        axes of which the statement has one step.

        `names` are those of its dimensions; `sizes` of letters that it lacks; `at`: only these entries.
        """
        ids = self.tags.of(node)
        mine: list[Letter] = [*node.axes, *(range(-len(node.shape), 0) if names is None else names)]
        ids, mine = _only(ids, mine, at or {})
        lead = tuple(a for a in self.around if a in mine)
        flat = [x for group in letters for x in (group if isinstance(group, tuple) else (group,))]
        present = [x for x in flat if x is not None]
        if len({*present}) < len(present) or len({*mine}) < len(mine):
            raise PlanFault(f"a dimension stands twice in {letters!r}")
        if double := [a for a in lead if a in present]:
            raise PlanFault(f"goes along all of {double[0]!r}, of which it has one step")
        ids, mine = _without_ones(ids, mine, {*lead, *present})
        order = [*(mine.index(a) for a in lead), *(mine.index(x) for x in present if x in mine)]
        wide: Any = tuple(slice(None) if x is not None and x in mine else None for x in flat)
        ids = ids.transpose(order)[(*[slice(None)] * len(lead), *wide)]
        full = [self._size(x, n, mine, sizes) for x, n in zip(flat, ids.shape[len(lead) :], strict=True)]
        if ids.shape[len(lead) :] != tuple(full):
            ids = np.broadcast_to(ids, (*ids.shape[: len(lead)], *full))
        if len(flat) != len(letters) or any(isinstance(x, tuple) for x in letters):
            ids = ids.reshape((*ids.shape[: len(lead)], *_grouped(letters, full)))
        return ids, lead

    def _size(self, letter: Letter, n: int, mine: list[Letter], sizes: Mapping[Any, int] | None) -> int:
        if letter is None or letter in mine:
            return n
        if isinstance(letter, Axis):
            return self.tags.bound.extents[letter]
        return (sizes or {}).get(letter, 1)

    def read(
        self, k: int, node: Node, letters: Sequence[Letter], exact: bool | int = False, **how: Any
    ) -> None:
        """Operand k holds a value, in this order of letters. With `exact` no dimension may be repeated by
        NumPy (a number: none of the last so many)."""
        ids, lead = self.due(node, letters, **how)
        view, want = self.statement.operands[k], ids.shape[len(lead) :]
        rank = len(want) if exact is True else int(exact)
        tight = view.shape[len(view.shape) - rank :] == want[len(want) - rank :]
        if (rank and not tight) or not _repeats(view.shape, want):
            raise PlanFault(f"operand {k} has the shape {view.shape}, {want} is due")
        self.claims.reads.append(Claim(view, ids, lead, node))

    def write(self, k: int, node: Node, letters: Sequence[Letter] | None = None, **how: Any) -> None:
        """Output k then holds a value."""
        view = self.statement.outputs[k]
        ids, lead = self.due(node, view.letters if letters is None else letters, **how)
        want = ids.shape[len(lead) :]
        if view.shape != want:
            raise PlanFault(f"its output has the shape {view.shape}, {want} is due")
        self.claims.writes.append(Claim(view, ids, lead, node))

    # ------------------------------------------------------------------ what holds for all
    def spelled(self) -> tuple[list[tuple[Node, str | None]], str | None]:
        """The inputs of the node, each with the names of its dimensions, and the names of its own."""
        inputs, op = self.tags.inputs(self.node), self.node.op
        if isinstance(op, Contract | SumOfProducts):
            left, result = op.spec.split("->")
            given = list(zip(inputs, left.split(","), strict=True))
            claimed = [(self.tags.resolve(u), names) for u, names in self.statement.sources]
            if sorted(map(_key, given)) != sorted(map(_key, claimed)):
                raise PlanFault("multiplies other values than its node")
            return [(u, str(names)) for u, names in claimed], result
        if isinstance(op, Sum):
            names = str(self.statement.sources[0][1])
            rank = len(inputs[0].shape)
            gone = {d % rank for d in op.over if isinstance(d, int)}
            return [(inputs[0], names)], "".join(c for i, c in enumerate(names) if i not in gone)
        return [(u, None) for u in inputs], None

    def sizes(self, sources: Sequence[tuple[Node, str | None]]) -> dict[Letter, int]:
        """The size of every name of a dimension."""
        out: dict[Letter, int] = {}
        for u, names in sources:
            if names is not None:
                out.update(zip(names, self.tags.dims(u)[len(u.axes) :], strict=True))
        return out

    def summed(self, sources: Sequence[tuple[Node, str | None]], result: str | None) -> set[Letter]:
        """The letters that the node sums over."""
        have: set[Letter] = {x for u, names in sources for x in (*u.axes, *(names or ""))}
        return {*have, *self.node.op.spans} - {*self.node.axes, *(result or "")} - {*self.around}

    def check_kinds(self) -> None:
        """Operands and outputs hold numbers of the kind of their values."""
        of = self.tags.bound.dtype_of
        for claim in (*self.claims.reads, *self.claims.writes):
            if claim.node is not None and claim.view.buffer.dtype != of(claim.node.dtype):
                raise PlanFault(
                    f"{claim.view.buffer!r} is of {claim.view.buffer.dtype}, its value of {claim.node.dtype}"
                )


# ---------------------------------------------------------------------- what moves
def _fill(asked: Asked) -> None:
    (out,) = asked.statement.outputs
    ids = np.broadcast_to(asked.tags.numbers(asked.statement.what), out.shape)
    asked.claims.writes.append(Claim(out, ids))


def _keep(asked: Asked) -> None:
    """A copy of memory: whoever reads it says what is due."""
    (out,), (view,) = asked.statement.outputs, asked.statement.operands
    if out.shape != view.shape or out.buffer.dtype != view.buffer.dtype:
        raise PlanFault("a copy of another shape or kind")
    asked.claims.reads.append(Claim(view, None))
    asked.claims.writes.append(Claim(out, None))


def _copy(asked: Asked) -> None:
    """The value itself, or what a node of another kind is made of."""
    s, node = asked.statement, asked.node
    inputs = asked.tags.inputs(node)
    source = asked.tags.resolve(s.sources[0][0])
    plain = source is node or moves(node, inputs)
    if not plain and not (inputs and inputs[0] is source and isinstance(node.op, Elementwise)):
        raise PlanFault("copies what its node is not")
    what = node if plain else inputs[0]
    at = {s.what[0]: int(s.what[1])} if s.what is not None else {}
    ids, lead = asked.due(what, s.outputs[0].letters, at=at)
    want = ids.shape[len(lead) :]
    if not _repeats(s.operands[0].shape, want):
        raise PlanFault(f"operand 0 has the shape {s.operands[0].shape}, {want} is due")
    asked.claims.reads.append(Claim(s.operands[0], ids, lead, None if plain else what))
    asked.write(0, node, at=at)


def _piece(asked: Asked) -> None:
    s = asked.statement
    dim, start, lies = s.what
    part = {dim: slice(start, start + s.outputs[0].length(dim))}
    asked.read(0, asked.node, s.outputs[0].letters, at=part)
    asked.write(0, asked.node, at=part)
    asked.claims.lies = bool(lies)


# ---------------------------------------------------------------------- entry by entry
def _elementwise(asked: Asked) -> None:
    s = asked.statement
    sources, result = asked.spelled()
    name = asked.node.op.ufunc if isinstance(asked.node.op, ArrayCall) else "multiply"
    if (s.what or "where") != name or (result is None) != isinstance(asked.node.op, ArrayCall):
        raise PlanFault(f"computes {s.what}, its node is {name}")
    if len(s.operands) != len(sources):
        raise PlanFault(f"{len(s.operands)} operands of {len(sources)}")
    sizes = asked.sizes(sources)
    if result is not None and (lost := [x for x in asked.summed(sources, result) if sizes.get(x) != 1]):
        raise PlanFault(f"does not sum over {lost!r}")
    letters = s.outputs[0].letters
    for k, (u, names) in enumerate(sources):
        asked.read(k, u, letters, names=names)
    asked.write(0, asked.node, names=result)


def _call(asked: Asked) -> None:
    """The own forward of an operation, on operands with the same axes in front."""
    s, node = asked.statement, asked.node
    op, axes = s.what
    inputs = asked.tags.inputs(node)
    want = node.op.at_sizes(asked.tags.bound.sizes)
    if isinstance(want, Along):
        want = want.bind(axes, len(inputs[0].shape))
    if op != want or len(inputs) != len(s.operands):
        raise PlanFault(f"calls {op!r}, its node is {want!r}")
    spans = node.op.spans
    for k, u in enumerate(inputs):
        alike = isinstance(op, Elementwise)
        rank = len(node.shape) if alike else len(u.shape)
        letters = (*axes, *range(-rank, 0))
        ids, lead = asked.due(u, letters)
        view = s.operands[k]
        tight = [x in spans or not (alike or x in axes) for x in letters]
        for n, m, must in zip(view.shape, ids.shape[len(lead) :], tight, strict=True):
            if n != m and (must or n != 1):
                raise PlanFault(f"operand {k} has the shape {view.shape}, {ids.shape[len(lead) :]} is due")
        asked.claims.reads.append(Claim(view, ids, lead, u))
    made = [a for a in axes if a in node.axes or a not in spans]
    asked.write(0, node, (*made, *range(-len(node.shape), 0)))


def _softmax(asked: Asked) -> None:
    s, node = asked.statement, asked.node
    (u,) = asked.tags.inputs(node)
    assert isinstance(node.op, Softmax)
    over = node.op.over[0]
    letter = over if isinstance(over, Axis) or over < 0 else over - len(node.shape)
    letters = s.outputs[0].letters
    if len(node.op.over) != 1 or letters[s.what] != letter:
        raise PlanFault(f"normalises along {letters[s.what]!r}, its node along {node.op.over!r}")
    asked.read(0, u, letters, exact=True)
    asked.write(0, node)


def _entropy(asked: Asked) -> None:
    """-log softmax(o)[y], and softmax(o) - one_hot(y)."""
    s, tags = asked.statement, asked.tags
    loss, slope = (tags.resolve(n) for n in s.nodes)
    o, y = tags.inputs(loss)
    first, hot = tags.inputs(slope)
    right = (
        isinstance(loss.op, Cross_entropy)
        and isinstance(slope.op, ArrayCall)
        and slope.op.ufunc == "subtract"
        and isinstance(first.op, Softmax)
        and first.op.over in ((-1,), (len(o.shape) - 1,))
        and tags.inputs(first)[0] is o
        and isinstance(hot.op, One_hot)
        and tags.inputs(hot)[0] is y
    )
    if not right or len(s.outputs[1].shape) != 2:
        raise PlanFault("is no cross entropy beside its slope")
    asked.read(0, o, s.outputs[1].letters, exact=True)
    asked.read(1, y, s.outputs[0].letters, exact=True)
    asked.write(0, loss)
    asked.write(1, slope)


# ---------------------------------------------------------------------- sums of products
def _product(asked: Asked) -> None:
    """A matrix product for each step of the letters in front: each, rows, summed, columns."""
    s = asked.statement
    sources, result = asked.spelled()
    if result is None or isinstance(asked.node.op, Sum):
        raise PlanFault("multiplies matrices, its node does not")
    rows, summed, columns = map(tuple, s.what)
    out = s.outputs[0]
    count = len(out.letters) - bool(rows) - bool(columns)
    each = [x[0] if isinstance(x, tuple) else x for x in out.letters[:count]]
    sizes = asked.sizes(sources)
    _same_sum(asked, set(summed), sources, result)
    ends = [g for g in (rows, columns) if g]
    if [_tupled(x) for x in out.letters[count:]] != ends:
        raise PlanFault(f"its rows and columns are {out.letters[count:]!r}, its operands' {ends!r}")
    if len(s.operands) != 2 or len(sources) != 2:
        raise PlanFault("a product of two matrices of another number of values")
    for k, groups in enumerate(([rows, summed], [summed, columns])):
        present = [g for g in groups if g]
        u, names = sources[k]
        asked.read(k, u, (*each, *present), exact=len(present), names=names, sizes=sizes)
    asked.write(0, asked.node, (*each, *ends), names=result, sizes=sizes)


def _einsum(asked: Asked) -> None:
    s = asked.statement
    sources, result = asked.spelled()
    if result is None or len(sources) != len(s.operands):
        raise PlanFault("is no sum of products of its node's values")
    sizes = asked.sizes(sources)
    have = {x for v in s.operands for x in v.letters if x is not None}
    goes = have - {*s.outputs[0].letters}
    longest = {x: max(v.length(x) for v in s.operands if x in v.letters) for x in have}
    asks = {x for x in asked.summed(sources, result) if _length(asked, x, sizes) != 1}
    if {x for x in goes if longest[x] != 1} != asks:
        raise PlanFault(f"sums over {_listed(goes)}, its node over {_listed(asks)}")
    for x in goes:
        if x in asks and longest[x] != _length(asked, x, sizes):
            raise PlanFault(f"sums over {longest[x]} entries of {x!r}, not {_length(asked, x, sizes)}")
    for k, (u, names) in enumerate(sources):
        asked.read(k, u, s.operands[k].letters, names=names, sizes=sizes)
    asked.write(0, asked.node, names=result, sizes=sizes)


def _total(asked: Asked) -> None:
    """The sum over the first dimension, and what it is of."""
    sources, result = asked.spelled()
    summed, kept = map(tuple, asked.statement.what)
    _same_sum(asked, set(summed), sources, result)
    _sum_of(asked, sources, summed, kept)
    asked.write(0, asked.node, [kept] if kept else [], names=result)


def _sum_of(asked: Asked, sources: Any, summed: Any, kept: Any, **how: Any) -> None:
    if not isinstance(asked.node.op, Sum):
        raise PlanFault("sums, its node does not")
    (u, names), view = sources[0], asked.statement.outputs[0]
    if [_tupled(x) for x in view.letters] != ([kept] if kept else []):
        raise PlanFault(f"its output has the dimensions {view.letters!r}, its operand {kept!r}")
    asked.read(0, u, [summed, *([kept] if kept else [])], exact=True, names=names, **how)


def _partial(asked: Asked) -> None:
    """The sum over steps first .. last - 1 of the first letter that is summed."""
    sources, result = asked.spelled()
    summed, kept, first, last = asked.statement.what
    _same_sum(asked, set(summed), sources, result)
    _sum_of(asked, sources, tuple(summed), tuple(kept), at={summed[0]: slice(first, last)})
    _write_part(asked, 0, result, kept, first, last)


def _accumulate(asked: Asked) -> None:
    _, kept, first, last = asked.statement.what
    _, result = asked.spelled()
    for k, (start, stop) in enumerate(((0, first), (first, last))):
        claim = _part(asked, asked.statement.operands[k], result, kept, start, stop)
        asked.claims.reads.append(claim)
    _write_part(asked, 0, result, kept, 0, last)


def _write_part(asked: Asked, k: int, result: str | None, kept: Any, first: int, last: int) -> None:
    asked.claims.writes.append(_part(asked, asked.statement.outputs[k], result, kept, first, last))


def _part(asked: Asked, view: View, result: str | None, kept: Any, first: int, last: int) -> Claim:
    """A sum over some steps; over none it is 0, over all it is the value itself."""
    node = asked.node
    over = next(x for x in asked.statement.what[0])
    ids, lead = asked.due(node, [tuple(kept)] if kept else [], names=result)
    if first == last:
        ids = np.broadcast_to(asked.tags.numbers(0), ids.shape)
    elif (first, last) != (0, asked.tags.bound.extents[over]):
        own = asked.tags.of(node)
        ids = ids - own.min(initial=1 << 60) + asked.tags.partial(node, first, last).min(initial=1 << 60)
    if view.shape != ids.shape[len(lead) :]:
        raise PlanFault(f"a partial sum of the shape {view.shape}, {ids.shape[len(lead) :]} is due")
    return Claim(view, ids, lead, node)


def _same_sum(asked: Asked, summed: set[Letter], sources: Any, result: str | None) -> None:
    asks = asked.summed(sources, result)
    if summed != asks:
        sizes = asked.sizes(sources)
        if {x for x in summed ^ asks if _length(asked, x, sizes) != 1}:
            raise PlanFault(f"sums over {_listed(summed)}, its node over {_listed(asks)}")


def _length(asked: Asked, letter: Letter, sizes: Mapping[Letter, int]) -> int:
    return asked.tags.bound.extents[letter] if isinstance(letter, Axis) else sizes.get(letter, 0)


def _only(ids: Ids, mine: list[Letter], at: Mapping[Letter, slice | int]) -> tuple[Ids, list[Letter]]:
    """Some entries along some dimensions; of one entry the dimension is gone."""
    for letter, key in at.items():
        if letter in mine:
            k = mine.index(letter)
            ids = (
                np.take(ids, key, k)
                if isinstance(key, int)
                else np.moveaxis(np.moveaxis(ids, k, 0)[key], 0, k)
            )
            mine = [x for x in mine if x != letter or not isinstance(key, int)]
    return ids, mine


def _without_ones(ids: Ids, mine: list[Letter], kept: set[Letter]) -> tuple[Ids, list[Letter]]:
    """Without the dimensions of size 1 that are not asked for. Raises where there is another."""
    gone = [k for k, x in enumerate(mine) if x not in kept]
    if lost := [mine[k] for k in gone if ids.shape[k] != 1]:
        raise PlanFault(f"an operand without its dimension {lost[0]!r}")
    return ids.squeeze(tuple(gone)), [x for x in mine if x in kept]


def _listed(letters: Iterable[Letter]) -> str:
    return ", ".join(sorted(map(str, letters))) or "nothing"


def _key(source: tuple[Node, str | None]) -> tuple[int, str]:
    return id(source[0]), str(source[1])


def _tupled(letter: Letter) -> tuple[Any, ...]:
    return letter if isinstance(letter, tuple) else (letter,)


def _grouped(letters: Sequence[Letter], sizes: Sequence[int]) -> Sizes:
    out, k = [], 0
    for x in letters:
        count = len(x) if isinstance(x, tuple) else 1
        out.append(math.prod(sizes[k : k + count]))
        k += count
    return tuple(out)


def _repeats(shape: Sizes, to: Sizes) -> bool:
    """Whether NumPy repeats an array of a shape to another one."""
    k = len(to) - len(shape)
    return k >= 0 and all(n in (1, m) for n, m in zip(shape, to[k:], strict=True))


_RULES: Mapping[Verb, Callable[[Asked], None]] = {
    Verb.FILL: _fill,
    Verb.COPY: _copy,
    Verb.KEEP: _keep,
    Verb.UFUNC: _elementwise,
    Verb.WHERE: _elementwise,
    Verb.DOT: _product,
    Verb.MATMUL: _product,
    Verb.EINSUM: _einsum,
    Verb.TOTAL: _total,
    Verb.PIECE: _piece,
    Verb.SOFTMAX: _softmax,
    Verb.ENTROPY: _entropy,
    Verb.CALL: _call,
    Verb.PARTIAL: _partial,
    Verb.ACCUMULATE: _accumulate,
}
