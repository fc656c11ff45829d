"""How each value is kept: over all its steps or one row, with room for boundary values, in memory of
its own or inside a concatenation. Properties of values; no addresses.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from unfold.core.axis import Axis
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.engine.plan.arraycalls import ArrayCall
from unfold.engine.plan.innermost import innermost
from unfold.engine.plan.outline import Nest, Outline
from unfold.engine.plan.typed import Boundary
from unfold.ops.array.indexing import Narrow
from unfold.ops.array.shape import Broadcast_to, Concat, Reshape, Transpose
from unfold.ops.time.delays import At, Delay, Place, Reverse, Structural

LOOKS = (Delay, At, Reverse, Transpose, Reshape, Narrow, Broadcast_to)
"""The operations whose result is a view of what they read, wherever a view can be had."""


@dataclass(frozen=True)
class Within:
    """A place in a concatenation: from `start` on along dimension `dim` of `joint`.

    The value of a step lies `lag` steps of `axis` further on, where the concatenation reads it delayed.
    With `rows`, the concatenation has the value's rows end to end: so many of them.
    """

    joint: Node
    dim: int
    start: int
    axis: Axis | None = None
    lag: int = 0
    rows: int = 0


@dataclass
class Keeping:
    """How the values of an outline are kept.

    `pads`: places before the first and behind the last step of an axis, for boundary values.
    `rows`: values of which only the step at hand is kept. `within`: those computed where a
    concatenation needs them. `given`: those that outputs show, which the caller will own. `turned`: those
    that hold the axis `inner` innermost.
    """

    pads: dict[Node, dict[Axis, tuple[int, int]]] = field(default_factory=dict)
    rows: set[Node] = field(default_factory=set)
    within: dict[Node, Within] = field(default_factory=dict)
    given: set[Node] = field(default_factory=set)
    inner: Axis | None = None
    turned: set[Node] = field(default_factory=set)

    def __str__(self) -> str:
        kept = f"{len(self.rows)} rows, {len(self.within)} inside others, {len(self.turned)} turned"
        return f"{kept}, pads {list(self.pads.values())}"


def is_computed(node: Node) -> bool:
    """Whether a node has memory of its own."""
    return not (node.op.leaf or isinstance(node.op, (Symbol, Boundary, *LOOKS)))


def keeping(outline: Outline, rows: bool = True, inside: bool = True, turn: bool = True) -> Keeping:
    """Decide how every value is kept; without `rows`, `inside` and `turn`, all over all steps, apart, and in
    the order of their axes and dimensions."""
    out = Keeping(given=_shown(outline))
    if turn:
        out.inner, out.turned = innermost(outline, out.given)
    if rows:
        for node, nest in outline.nest.items():
            if is_computed(node) and nest and node not in out.given and _is_row(outline, node, nest):
                out.rows.add(node)
    for source, delays in outline.delays.items():
        if source not in out.rows:
            out.pads[source] = _room(delays)
    if inside:
        joints = [n for n in reversed(outline.graph.order) if isinstance(n.op, Concat)]
        for node in joints:
            _join(outline, out, node, ahead=True)
        for node in joints:
            _join(outline, out, node, ahead=False)
        for node in list(out.within):
            _lift(out, node)
    return out


def _shown(outline: Outline) -> set[Node]:
    """The outputs, and what they look at."""
    found = dict.fromkeys(outline.outputs)
    waiting = list(found)
    while waiting:
        node = waiting.pop()
        if not is_computed(node):
            for u in outline.inputs(node):
                if u not in found:
                    found[u] = None
                    waiting.append(u)
    return set(found)


def _room(delays: list[Node]) -> dict[Axis, tuple[int, int]]:
    room: dict[Axis, tuple[int, int]] = {}
    for node in delays:
        assert isinstance(node.op, Delay)
        lag, (before, after) = node.op.lag, room.get(node.op.axis, (0, 0))
        room[node.op.axis] = (max(before, lag), max(after, -lag))
    return room


# ---------------------------------------------------------------------- rows
def _is_row(outline: Outline, node: Node, nest: Nest) -> bool:
    """Whether each step of a value is needed only within its step, or once more at the next one before
    it is overwritten."""
    if any(len(loop.direction) > 1 or loop.retimed for loop in nest):
        return False  # its readers may stand at other steps
    return all(
        _is_carried(outline, node, user, nest)
        if isinstance(user.op, Delay)
        else _is_read_now(outline, user, nest)
        for user in outline.users.get(node, [])
    )


def _is_read_now(outline: Outline, user: Node, nest: Nest) -> bool:
    return all(
        outline.nest[r][: len(nest)] == nest and not isinstance(r.op, Structural)
        for r in _readers(outline, user)
    )


def _is_carried(outline: Outline, node: Node, delay: Node, nest: Nest) -> bool:
    """Whether a delay reads the row of the step before, and everything that reads it comes first."""
    op = delay.op
    assert isinstance(op, Delay)
    axis, sign = nest[-1].direction[0]
    if (op.axis, op.lag * sign) != (axis, 1) or not node.inputs:
        return False
    if any(outline.nest[b] != nest[:-1] for b in outline.inputs(delay)[1:]):
        return False  # the boundary value is written anew whenever the loop starts
    for r in _readers(outline, delay):
        if outline.nest[r][: len(nest)] != nest or (r is not delay and isinstance(r.op, Structural)):
            return False
        if outline.position[r] > outline.position[node]:
            return False
        if r is node and not _in_place(outline, node, delay):
            return False
    return True


def _in_place(outline: Outline, node: Node, delay: Node) -> bool:
    """Whether a value may be written over the one of the step before while that is read."""
    op = node.op
    views = [u for u in outline.inputs(node) if not is_computed(u) and delay in _looked_at(outline, u)]
    return isinstance(op, ArrayCall) and op.ufunc != "where" and all(u is delay for u in views)


def _looked_at(outline: Outline, node: Node) -> set[Node]:
    found, waiting = {node}, [node]
    while waiting:
        u = waiting.pop()
        if not is_computed(u):
            new = [v for v in outline.inputs(u) if v not in found]
            found.update(new)
            waiting += new
    return found


def _readers(outline: Outline, user: Node) -> list[Node]:
    """A reader, and those that read through it where it is but a look."""
    out, waiting = dict.fromkeys([user]), [user]
    while waiting:
        r = waiting.pop()
        if not is_computed(r) and not isinstance(r.op, Boundary):
            new = [v for v in outline.users.get(r, []) if v not in out]
            out.update(dict.fromkeys(new))
            waiting += new
    return list(out)


# ---------------------------------------------------------------------- inside a concatenation
def _join(outline: Outline, out: Keeping, joint: Node, ahead: bool) -> None:
    """Values that are concatenated are computed where the concatenation needs them: those read from an
    earlier step of a loop (`ahead`), or those of the same step and those computed before the loop."""
    op = joint.op
    assert isinstance(op, Concat)
    if joint in out.rows and joint in outline.delays:
        return  # it is still read while its pieces are computed
    inputs, start = outline.inputs(joint), 0
    found: dict[Node, Within] = {}
    for u in inputs:
        place = Within(joint, op.dim, start)
        start += outline.shape(u)[op.dim]
        if sum(v is u for v in inputs) > 1:
            continue
        if isinstance(u.op, Delay):
            if ahead and _is_ahead(outline, out, joint, u):
                found[outline.resolve(u.inputs[0])] = replace(place, axis=u.op.axis, lag=u.op.lag)
        elif not ahead:
            value, rows = _rows_of(outline, u)
            if _fits(outline, out, joint, value):
                found[value] = replace(place, rows=rows)
    if ahead and not found:
        return
    if ahead or any(outline.nest[u] != outline.nest[joint] or u not in out.rows for u in found):
        out.rows.discard(joint)  # so it is kept over all steps
    for u, place in found.items():
        out.within[u] = place
        if joint not in out.rows:
            out.rows.discard(u)
        if place.axis is not None:
            out.pads.pop(u, None)


def _rows_of(outline: Outline, u: Node) -> tuple[Node, int]:
    """The matrix whose rows a vector has end to end, and how many; or the value itself."""
    if isinstance(u.op, Reshape) and len(u.shape) == 1 and len(u.inputs[0].shape) == 2:
        value = outline.resolve(u.inputs[0])
        if outline.users.get(value) == [u] or len(outline.users[value]) == 1:
            return value, outline.shape(value)[0]
    return u, 0


def _fits(outline: Outline, out: Keeping, joint: Node, u: Node) -> bool:
    """Whether a value can be computed in its place, at the same step or before the loop."""
    free = is_computed(u) and u not in out.within and u not in outline.delays and u not in out.given
    before = free and outline.nest[u] == outline.nest[joint][: len(outline.nest[u])]
    return before and set(u.axes) == set(joint.axes) and not isinstance(u.op, Place)


def _is_ahead(outline: Outline, out: Keeping, joint: Node, delay: Node) -> bool:
    """Whether what is delayed can be computed in the place where the concatenation reads it later."""
    op, source = delay.op, outline.resolve(delay.inputs[0])
    assert isinstance(op, Delay)
    free = is_computed(source) and source not in out.within and source not in out.given
    alike = free and outline.nest[source] == outline.nest[joint] and set(source.axes) == set(joint.axes)
    same = all(d.op == op for d in outline.delays[source])
    own = joint not in outline.delays and joint not in out.given
    return alike and same and own and not isinstance(source.op, Place) and source is not joint


def _lift(out: Keeping, node: Node) -> None:
    """Room for a value ahead of its step, in the outermost concatenation around it."""
    lags: dict[Axis, int] = {}
    while node in out.within:
        place = out.within[node]
        if place.axis is not None:
            lags[place.axis] = lags.get(place.axis, 0) + place.lag
        node = place.joint
    pads = out.pads.setdefault(node, {}) if lags else {}
    for axis, lag in lags.items():
        before, after = pads.get(axis, (0, 0))
        pads[axis] = max(before, -lag), max(after, lag)
