"""Faults planted in a plan, one at a time: `planted(program)` gives every one there is, with its kind.

A fault is a change of the statement list, of a place, or of where a result lies. Not all are mistakes (to
swap two statements may be right); whether numbers change is for the tests to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise

from unfold.core.axis import Axis
from unfold.engine.plan.arena import UNIT, Places
from unfold.engine.plan.statement import Items, Statement, Sweep, Verb, statements
from unfold.engine.plan.view import Buffer, Memory, View, whole
from unfold.engine.planning import Program

Body = list[Statement | Sweep]
Change = Callable[[Statement], Sequence[Statement | Sweep]]


def planted(program: Program, kinds: Sequence[str] | None = None) -> Iterator[tuple[str, Program]]:
    """Every fault of the kinds, or of all."""
    for kind in KINDS if kinds is None else kinds:
        for wrong in KINDS[kind](program):
            yield kind, wrong


# ---------------------------------------------------------------------- lists
def changed(items: Items, changes: Mapping[Statement | Sweep, Sequence[Statement | Sweep]]) -> Body:
    """A copy of a list in which some statements and sweeps stand for others."""
    out: Body = []
    for item in items:
        if item in changes:
            out += changes[item]
        elif isinstance(item, Sweep):
            out.append(replace(item, body=changed(item.body, changes)))
        else:
            out.append(item)
    return out


def _with(program: Program, changes: Mapping[Statement | Sweep, Sequence[Statement | Sweep]]) -> Program:
    return replace(
        program, prepare=changed(program.prepare, changes), program=changed(program.program, changes)
    )


def _all(program: Program) -> Iterator[tuple[Statement, tuple[Sweep, ...]]]:
    yield from statements(program.prepare)
    yield from statements(program.program)


def _bodies(items: Items) -> Iterator[list[Statement | Sweep]]:
    yield list(items)
    for item in items:
        if isinstance(item, Sweep):
            yield from _bodies(item.body)


def _views(s: Statement) -> Iterator[tuple[View, Callable[[View], Statement]]]:
    """The views of a statement, each with what puts another one in its stead."""
    for k, v in enumerate(s.operands):
        yield v, lambda new, k=k: replace(s, operands=(*s.operands[:k], new, *s.operands[k + 1 :]))
    for k, v in enumerate(s.outputs):
        yield v, lambda new, k=k: replace(s, outputs=(*s.outputs[:k], new, *s.outputs[k + 1 :]))


def _viewed(
    change: Callable[[View, tuple[Sweep, ...]], Iterator[View]],
) -> Callable[[Program], Iterator[Program]]:
    """One view changed."""

    def plant(program: Program) -> Iterator[Program]:
        for s, nest in _all(program):
            for view, instead in _views(s):
                for new in change(view, nest):
                    yield _with(program, {s: [instead(new)]})

    return plant


# ---------------------------------------------------------------------- addresses
def _offset(view: View, nest: tuple[Sweep, ...]) -> Iterator[View]:
    """A neighbour of each entry."""
    for by in (1, -1):
        if 0 <= view.offset + by < view.buffer.size:
            yield replace(view, offset=view.offset + by)


def _shift(view: View, nest: tuple[Sweep, ...]) -> Iterator[View]:
    """The step before or behind: `h[t]` for `h[t-1]`."""
    strides = {s for _, s in view.steps} | {
        s for x, s in zip(view.letters, view.strides, strict=True) if isinstance(x, Axis)
    }
    for stride in sorted(strides - {0}):
        for by in (stride, -stride):
            if 0 <= view.offset + by < view.buffer.size:
                yield replace(view, offset=view.offset + by)


def _turn(view: View, nest: tuple[Sweep, ...]) -> Iterator[View]:
    """Two dimensions of one size in the other order."""
    for i, j in combinations(range(len(view.shape)), 2):
        if view.shape[i] == view.shape[j] and view.strides[i] != view.strides[j]:
            strides = list(view.strides)
            strides[i], strides[j] = strides[j], strides[i]
            yield replace(view, strides=tuple(strides))


def _repeat(view: View, nest: tuple[Sweep, ...]) -> Iterator[View]:
    """The first entry in place of all along a dimension."""
    for i, (n, s) in enumerate(zip(view.shape, view.strides, strict=True)):
        if n > 1 and s:
            yield replace(view, strides=(*view.strides[:i], 0, *view.strides[i + 1 :]))


def _flip(view: View, nest: tuple[Sweep, ...]) -> Iterator[View]:
    """A dimension in the reversed order."""
    for i, (n, s) in enumerate(zip(view.shape, view.strides, strict=True)):
        if n > 1 and s:
            strides = (*view.strides[:i], -s, *view.strides[i + 1 :])
            yield replace(view, strides=strides, offset=view.offset + (n - 1) * s)


def _stuck(view: View, nest: tuple[Sweep, ...]) -> Iterator[View]:
    """The first step of a loop in place of each."""
    for pair in view.steps:
        yield replace(view, steps=tuple(p for p in view.steps if p is not pair))


def _backwards(view: View, nest: tuple[Sweep, ...]) -> Iterator[View]:
    """The steps of a loop in the other order than the counter's."""
    sizes = {loop.axis: loop.size for loop in nest}
    for k, (axis, stride) in enumerate(view.steps):
        steps = (*view.steps[:k], (axis, -stride), *view.steps[k + 1 :])
        yield replace(view, steps=steps, offset=view.offset + stride * (sizes.get(axis, 1) - 1))


# ---------------------------------------------------------------------- statements
def _dropped(program: Program) -> Iterator[Program]:
    """A statement left out: a boundary, a copy, a value."""
    for s, _ in _all(program):
        if not (s.kind is Verb.PIECE and s.what[2]):
            yield _with(program, {s: []})


def _doubled_in_place(program: Program) -> Iterator[Program]:
    """A statement that works in place done twice."""
    at = program.places.offsets
    for s, _ in _all(program):
        out = s.outputs[0]
        if s.alias and out.buffer in at:
            start = at[out.buffer] + out.offset
            over = [v for v in s.operands if v.buffer in at and at[v.buffer] + v.offset == start]
            if any(v.buffer.dtype == out.buffer.dtype and v.size == out.size for v in over):
                yield _with(program, {s: [s, s]})


def _swapped(program: Program) -> Iterator[Program]:
    """Two neighbours in the other order."""
    for body in _bodies(program.program):
        for a, b in pairwise(body):
            yield _with(program, {a: [b], b: [a]})


def _hoisted(program: Program) -> Iterator[Program]:
    """A statement of a loop done once, before it, for the step it starts with; or behind it."""
    for s, nest in statements(program.program):
        if nest:
            loop = nest[-1]
            alone = Sweep(loop.axis, loop.sign, 1, [s]) if loop.sign > 0 else replace(loop, body=[s])
            rest = replace(loop, body=changed(loop.body, {s: []}))
            for order in ([alone, rest], [rest, replace(loop, body=[s])], [replace(loop, body=[s]), rest]):
                yield _with(program, {loop: order})


def _operands_swapped(program: Program) -> Iterator[Program]:
    """The operands of a difference, of a product in the other order."""
    for s, _ in _all(program):
        if len(s.operands) == 2 and s.operands[0].address != s.operands[1].address:
            yield _with(program, {s: [replace(s, operands=s.operands[::-1])]})


def _another_value(program: Program) -> Iterator[Program]:
    """A view of another value of the same shape and kind."""
    known: dict[object, dict[object, View]] = {}
    for s, _ in _all(program):
        for v, _ in _views(s):
            axes = frozenset(a for a, _ in v.steps)
            known.setdefault((v.shape, v.buffer.dtype, axes), {}).setdefault(v.address, v)
    for s, _ in _all(program):
        for v, instead in _views(s):
            others = known[v.shape, v.buffer.dtype, frozenset(a for a, _ in v.steps)]
            for other in [w for w in others.values() if w.address != v.address][:3]:
                if other.buffer.role in (Memory.WORK, Memory.OUTPUT) or v in s.operands:
                    yield _with(program, {s: [instead(replace(other, letters=v.letters))]})


def _letters(program: Program) -> Iterator[Program]:
    """Two letters of an operand of an einsum exchanged."""
    for s, _ in _all(program):
        if s.kind is Verb.EINSUM:
            for k, v in enumerate(s.operands):
                for i, j in combinations(range(len(v.letters)), 2):
                    letters = list(v.letters)
                    letters[i], letters[j] = letters[j], letters[i]
                    new = replace(v, letters=tuple(letters))
                    yield _with(
                        program, {s: [replace(s, operands=(*s.operands[:k], new, *s.operands[k + 1 :]))]}
                    )


def _number(program: Program) -> Iterator[Program]:
    """Another number than 0 around a sequence."""
    for s, _ in _all(program):
        if s.kind is Verb.FILL:
            yield _with(program, {s: [replace(s, what=1)]})


def _function(program: Program) -> Iterator[Program]:
    """Another ufunc."""
    other = {"add": "subtract", "multiply": "add", "tanh": "sinh", "subtract": "add", "exp": "expm1"}
    for s, _ in _all(program):
        if s.kind is Verb.UFUNC and s.what in other:
            yield _with(program, {s: [replace(s, what=other[s.what])]})


def _lies(program: Program) -> Iterator[Program]:
    """A piece of a concatenation that is said to lie where it does not; or is moved along."""
    for s, _ in _all(program):
        if s.kind is Verb.PIECE and not s.what[2]:
            yield _with(program, {s: [replace(s, what=(*s.what[:2], True))]})


def _half_sum(program: Program) -> Iterator[Program]:
    """A sum that leaves out the first or the last of what it is over."""
    for s, _ in _all(program):
        if s.kind is Verb.TOTAL and s.operands[0].shape[0] > 1:
            v = s.operands[0]
            for start in (0, v.strides[0]):
                less = replace(v, shape=(v.shape[0] - 1, *v.shape[1:]), offset=v.offset + start)
                yield _with(program, {s: [replace(s, operands=(less,))]})
        if s.kind in (Verb.DOT, Verb.MATMUL, Verb.EINSUM) and len(s.operands) == 2:
            for x in {*s.operands[0].letters} & {*s.operands[1].letters} - {*s.outputs[0].letters, None}:
                if s.operands[0].length(x) > 1:
                    less = tuple(v.part(x, 0, v.length(x) - 1) for v in s.operands)
                    yield _with(program, {s: [replace(s, operands=less)]})


# ---------------------------------------------------------------------- loops
def _loops(program: Program) -> Iterator[Sweep]:
    for body in _bodies(program.program):
        yield from (item for item in body if isinstance(item, Sweep))


def _direction(program: Program) -> Iterator[Program]:
    for loop in _loops(program):
        if loop.size > 1:
            yield _with(program, {loop: [replace(loop, sign=-loop.sign)]})


def _bound(program: Program) -> Iterator[Program]:
    for loop in _loops(program):
        for by in (-1, 1):
            yield _with(program, {loop: [replace(loop, size=loop.size + by)]})


# ---------------------------------------------------------------------- places and results
def _placed(program: Program, offsets: Mapping[object, int]) -> Program:
    places = Places({**program.places.offsets, **offsets}, program.places.sizes)  # type: ignore[dict-item]
    return replace(program, places=places)


def _merged(program: Program) -> Iterator[Program]:
    """The room of a buffer given to another one, too early or for too long."""
    offsets = program.places.offsets
    for a, b in combinations(offsets, 2):
        if a.dtype == b.dtype and offsets[a] != offsets[b] and a.size and b.size:
            for x, y in ((a, b), (b, a)):
                if offsets[y] + x.size <= program.places.sizes[x.dtype]:
                    yield _placed(program, {x: offsets[y]})


def _beside(program: Program) -> Iterator[Program]:
    """A place that is a little off: a result on an operand, but not exactly."""
    for b, at in program.places.offsets.items():
        for by in (1, -1, UNIT):
            if at + by >= 0 and at + by + b.size <= program.places.sizes[b.dtype]:
                yield _placed(program, {b: at + by})


def _results(program: Program) -> Iterator[Program]:
    """Outputs exchanged, or with their dimensions in another order."""
    for a, b in combinations(program.results, 2):
        x, y = program.results[a], program.results[b]
        if x.shape == y.shape and x.buffer.dtype == y.buffer.dtype:
            yield replace(program, results={**program.results, a: y, b: x})
            yield replace(program, results={**program.results, a: y})
    for name, view in program.results.items():
        for new in (*_turn(view, ()), *_flip(view, ()), *_repeat(view, ())):
            yield replace(program, results={**program.results, name: new})


def _not_given(program: Program) -> Iterator[Program]:
    """An output that lies in memory of the plan, where the next call writes."""
    for name, view in program.results.items():
        for s, _ in statements(program.program):
            if s.kind is Verb.COPY and s.outputs[0].address == view.address:
                yield replace(_with(program, {s: []}), results={**program.results, name: s.operands[0]})


def _parts(program: Program) -> Iterator[Program]:
    """A sum in two parts, with a step left out, counted twice, or without its zero."""
    for wide, s, parts in in_parts(program):
        zero, one, add, two, more = parts
        first, last = two.what[2:]
        for wrong in (
            [one, add, two, more],
            [zero, one, add],
            [zero, one, add, two],
            [zero, one, add, one, more],
            [zero, one, add, replace(two, operands=one.operands, what=(*s.what, 0, first)), more],
            [zero, one, add, replace(two, what=(*s.what, first - 1, last)), more],
        ):
            yield _with(wide, {s: wrong})


def in_parts(program: Program) -> Iterator[tuple[Program, Statement, list[Statement]]]:
    """Every sum over one axis as two sums, added up: a program with room for one, the statement, and
    the statements in its place."""
    for s, nest in statements(program.program):
        axis = s.what[0][0] if s.kind is Verb.TOTAL else None
        if nest or not isinstance(axis, Axis) or (last := program.outline.extent(axis)) < 2:
            continue
        out, view, first = s.outputs[0], s.operands[0], (last + 1) // 2
        each = view.shape[0] // last
        part = whole(Buffer("part", out.shape, out.buffer.dtype, Memory.OUTPUT), out.letters)
        parts = [Statement(Verb.FILL, (out,), (), s.nodes, (), 0)]
        for start, stop in ((0, first), (first, last)):
            some = replace(
                view,
                shape=((stop - start) * each, *view.shape[1:]),
                offset=view.offset + start * each * view.strides[0],
            )
            room = replace(part, shape=out.shape)
            what = (*s.what, start, stop)
            parts.append(Statement(Verb.PARTIAL, (room,), (some,), s.nodes, s.sources, what))
            parts.append(Statement(Verb.ACCUMULATE, (out,), (out, room), s.nodes, s.sources, what))
        yield replace(program, buffers=[*program.buffers, part.buffer]), s, parts


def divided(program: Program) -> Program:
    """All these sums in two parts, rightly."""
    changes = {}
    for wide, s, parts in in_parts(program):
        changes[s] = parts
        program = replace(program, buffers=[*program.buffers, *wide.buffers[len(wide.buffers) - 1 :]])
    return _with(program, changes)


KINDS: dict[str, Callable[[Program], Iterator[Program]]] = {
    "an entry beside": _viewed(_offset),
    "a step beside": _viewed(_shift),
    "order of dimensions": _viewed(_turn),
    "one for all": _viewed(_repeat),
    "a reversed dimension": _viewed(_flip),
    "stuck at a step": _viewed(_stuck),
    "steps backwards": _viewed(_backwards),
    "left out": _dropped,
    "twice in place": _doubled_in_place,
    "swapped statements": _swapped,
    "out of its loop": _hoisted,
    "swapped operands": _operands_swapped,
    "another value": _another_value,
    "letters of a product": _letters,
    "another number": _number,
    "another function": _function,
    "a piece said to lie there": _lies,
    "a sum without a step": _half_sum,
    "a sum in wrong parts": _parts,
    "direction of a loop": _direction,
    "bound of a loop": _bound,
    "room shared": _merged,
    "a place beside": _beside,
    "outputs": _results,
    "an output not given away": _not_given,
}
