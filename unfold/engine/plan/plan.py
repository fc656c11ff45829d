"""What a request needs, in which order, and where each value lives.

The schedule says what is computed step by step and what for all steps at once. The plan adds
storage: a value lives in a whole buffer over its axes (with room for its boundary values in
front or behind, so that a delayed read is a view), or in a row that each step overwrites.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from unfold.analysis.schedule import Loop, Schedule, schedule
from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.errors import UnfoldError
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.core.system import System
from unfold.engine.binding import Binding
from unfold.engine.plan.chunking import Chunk, chunked
from unfold.engine.rewrites.augmenting import Room, augment
from unfold.engine.rewrites.packing import Fan, pack
from unfold.engine.rewrites.passes import VIEWS, Passed, fuse, hoist, inline, separate
from unfold.engine.rewrites.stacking import stack
from unfold.engine.rewrites.turning import turned
from unfold.ops.array.shape import Concat
from unfold.ops.time.delays import Delay


class CannotPlan(UnfoldError):
    """The schedule has a form the planner does not print; the reference runs it."""


@dataclass
class Plan:
    """A request scheduled and stored, for arrays of the sizes in `bound`."""

    graph: System
    bound: Binding
    optimise: tuple[str, ...]
    labels: dict[Node, str]
    schedule: Schedule
    order: tuple[Axis, ...] = ()  # of the leading dimensions of every buffer
    loop_of: dict[Node, Loop] = field(default_factory=dict)  # the innermost
    users: dict[Node, list[Node]] = field(default_factory=dict)  # through symbols
    pads: dict[Node, dict[Axis, list[int]]] = field(default_factory=dict)  # [before, after]
    rows: set[Node] = field(default_factory=set)  # overwritten at each step
    carried: set[Node] = field(default_factory=set)  # those read at the next step
    part: dict[Node, tuple[Node, int, int]] = field(default_factory=dict)  # lies in a concatenation
    borrowed: dict[Node, tuple[Node, int, int]] = field(default_factory=dict)  # where both terms lie
    ahead: dict[Node, tuple[Node, int, int]] = field(default_factory=dict)  # ... of the next step
    written: dict[str, tuple[Axis, ...]] = field(default_factory=dict)  # the axes of each output
    items: list[Node | Loop | Chunk] = field(default_factory=list)  # the schedule as it is printed
    chunk_of: dict[Node, Chunk] = field(default_factory=dict)
    inner: Axis | None = None  # behind the dimensions of the values in `turned`
    turned: set[Node] = field(default_factory=set)

    @property
    def computed(self) -> list[Node]:
        """The nodes in the order of the schedule."""

        def nodes(items: Iterable[Node | Loop]) -> Iterable[Node]:
            for item in items:
                yield from nodes(item.body) if isinstance(item, Loop) else [item]

        return list(nodes(self.schedule))

    def resolve(self, node: Node) -> Node:
        """The node behind a symbol."""
        while isinstance(node.op, Symbol):
            node = self.graph.definitions[node]
        return node

    def inputs(self, node: Node) -> list[Node]:
        return [self.resolve(u) for u in node.inputs]

    def axes(self, node: Node) -> tuple[Axis, ...]:
        """The axes of a node in the order of its buffer."""
        return tuple(a for a in self.order if a in node.axes)

    def shape(self, node: Node) -> tuple[int, ...]:
        """The shape of one value."""
        return tuple(dims.evaluate(d, self.bound.sizes) for d in node.shape)

    def pieces(self, node: Node) -> list[Node]:
        """The values that lie in a concatenation, and those that lie in these."""
        mine = [u for u, (joint, _, _) in self.part.items() if joint is node]
        return [v for u in mine for v in (u, *self.pieces(u))]

    def whole(self, node: Node) -> Node:
        """The outermost concatenation that a value lies in, or the value itself."""
        while node in self.part:
            node = self.part[node][0]
        return node

    def nest(self, node: Node) -> list[Loop]:
        """The loops around a node, outermost first."""
        return self._nests[node]

    _nests: dict[Node, list[Loop]] = field(default_factory=dict)


def plan(graph: System, bound: Binding, optimise: Iterable[str]) -> Plan:
    """Schedule a request and decide where its values live."""
    optimise = tuple(optimise)
    request, labels = optimised(graph, bound, optimise)
    steps = schedule(request)
    result = Plan(request, bound, optimise, labels, steps)
    result.written = {name: node.axes for name, node in graph.outputs.items()}
    _walk(result, steps, [])
    result.order = _axis_order(result)
    for node in request.order:
        for u in result.inputs(node):
            if not isinstance(node.op, Symbol):
                result.users.setdefault(u, []).append(node)
    if "turn" in optimise:
        result.inner, result.turned = turned(result)
    result.items = chunked(result)
    _place(result)
    return result


def optimised(graph: System, bound: Binding, optimise: Iterable[str]) -> tuple[System, dict[Node, str]]:
    """The request as a plan schedules it, and the names its nodes have in the equations."""
    labels = {u: name for name, u in graph.outputs.items() if not u.op.leaf}
    labels |= {graph.definitions[s]: str(s.op) for s in reversed(graph.order) if isinstance(s.op, Symbol)}
    chosen: dict[str, Callable[[System], Passed]] = {
        "fuse": fuse,
        "stack": stack,
        "hoist": hoist,
        "pack": partial(pack, bound=bound),
        "augment": partial(augment, bound=bound),
    }
    passes = [inline, *(chosen[name] for name in chosen if name in optimise), separate]
    for improve in passes:
        graph, done = improve(graph)
        labels = {done[n]: label for n, label in labels.items() if n in done}
    return graph, labels


def _walk(plan: Plan, items: Iterable[Node | Loop], nest: list[Loop]) -> None:
    for item in items:
        if isinstance(item, Loop):
            _walk(plan, item.body, [*nest, item])
        else:
            plan._nests[item] = nest
            if nest:
                plan.loop_of[item] = nest[-1]


def _axis_order(plan: Plan) -> tuple[Axis, ...]:
    """Axes that are stepped over stand before those that a step holds whole."""
    axes = list(dict.fromkeys(a for n in plan.graph.order for a in (*n.axes, *n.op.spans)))
    before: dict[Axis, set[Axis]] = {a: set() for a in axes}
    for node, nest in plan._nests.items():
        looped = [a for loop in nest for a in loop.axes]
        for i, a in enumerate(looped):
            for b in [*looped[i + 1 :], *(b for b in node.axes if b not in looped)]:
                if b not in before[a]:
                    before[b].add(a)
    out: list[Axis] = []
    while len(out) < len(axes):
        ready = [a for a in axes if a not in out and before[a] <= set(out)]
        out.append((ready or [a for a in axes if a not in out])[0])
    return tuple(out)


def _place(plan: Plan) -> None:
    outputs = [plan.resolve(u) for u in plan.graph.outputs.values()]
    for u in outputs:  # and what they look at
        if isinstance(u.op, Delay) or u.op.name in VIEWS:
            outputs.append(plan.resolve(u.inputs[0]))
    delays: dict[Node, list[Node]] = {}
    for node in plan.graph.order:
        if isinstance(node.op, Delay):
            delays.setdefault(plan.resolve(node.inputs[0]), []).append(node)
    if "stack" in plan.optimise:
        _join(plan, delays)
    for node, nest in plan._nests.items():
        if (
            node in plan.part
            or node in plan.ahead
            or any(node is plan.whole(joint) for joint, _, _ in plan.ahead.values())
        ):
            continue
        inner = nest and not node.op.structural and not isinstance(node.op, Symbol)
        held = [node, *plan.pieces(node)]  # what lies in it is overwritten with it
        if inner and all(u not in outputs and _stays(plan, u, delays.get(u, [])) for u in held):
            plan.rows.add(node)
            if delays.get(node):
                plan.carried.add(node)
    if "pack" in plan.optimise:
        _borrow(plan, delays)
    for source, moved in delays.items():
        if source not in plan.rows:
            pads = plan.pads.setdefault(source, {})
            for d in moved:
                assert isinstance(d.op, Delay)
                room = pads.setdefault(d.op.axis, [0, 0])
                side = 0 if d.op.lag > 0 else 1
                room[side] = max(room[side], abs(d.op.lag))


def _join(plan: Plan, delays: dict[Node, list[Node]]) -> None:
    """Values that are concatenated are computed where the concatenation needs them."""
    for node in plan.graph.order:
        if not isinstance(node.op, Concat):
            continue
        start, dim = 0, node.op.dim
        for u in plan.inputs(node):
            stop = start + plan.shape(u)[dim]
            if dim == -1 and _leads(plan, node, u, delays):
                plan.ahead[plan.resolve(u.inputs[0])] = (node, start, stop)
            if _in_place(plan, node, u, delays):
                plan.part[u] = (node, start, stop)
            start = stop


def _in_place(plan: Plan, joint: Node, u: Node, delays: dict[Node, list[Node]], once: bool = True) -> bool:
    """Whether a value can be computed where it lies in a concatenation."""
    computed = not (u.op.leaf or u.op.structural or u.op.name in VIEWS)
    free = u not in plan.part and u not in delays
    alike = plan.axes(u) == plan.axes(joint) and plan.nest(u) == plan.nest(joint)
    alike = alike and plan.chunk_of.get(u) is plan.chunk_of.get(joint)
    return computed and free and alike and plan.inputs(joint).count(u) == once


def _borrow(plan: Plan, delays: dict[Node, list[Node]]) -> None:
    """A term of a fan is written into the room beside the other term, once the step has read it."""
    outputs = {plan.resolve(u) for u in plan.graph.outputs.values()}
    for joint in plan.graph.order:
        rooms = [u for u in plan.inputs(joint) if isinstance(u.op, Room)]
        ahead = [(s, start) for s, (j, start, _) in plan.ahead.items() if j is joint]
        if not rooms or not ahead or len(plan.users[joint]) > 1:
            continue
        (source, at), sizes = ahead[0], [plan.shape(u)[0] for u in plan.inputs(joint)]
        order = {n: k for k, n in enumerate(plan.loop_of[joint].body) if isinstance(n, Node)}
        read = max(order.get(u, len(order)) for u in plan.users[joint])
        place = sum(sizes[: plan.inputs(joint).index(rooms[0])])
        for fan in (source, *plan.inputs(source)):
            if not isinstance(fan.op, Fan) or len(fan.inputs) < 3:
                continue
            x, y = plan.inputs(fan)[:2]
            size, start = plan.shape(y)[0], at + x.op.at_sizes(plan.bound.sizes).parameters["start"]
            alone = plan.users[y] == [fan] and y not in outputs and order.get(y, -1) > read
            alone = alone and _in_place(plan, joint, y, delays, once=False)
            block = math.prod(plan.shape(y)) == _numbers(plan, y) or y in plan.turned
            if alone and block and size == plan.shape(rooms[0])[0] and abs(place - start) == size:
                plan.part[y] = (joint, place, place + size)
                plan.borrowed[fan] = (joint, min(place, start), max(place, start) + size)
                plan.rows.discard(y)


def _numbers(plan: Plan, node: Node) -> int:
    """How many numbers a value has at one step of its loop."""
    stepped = {a for loop in plan.nest(node) for a in loop.axes}
    return math.prod([*plan.shape(node), *(plan.bound.extents[a] for a in node.axes if a not in stepped)])


def _leads(plan: Plan, joint: Node, u: Node, delays: dict[Node, list[Node]]) -> bool:
    """Whether a delayed value may lie in a concatenation: then each step writes its result
    where the next one reads it."""
    loop = plan.loop_of.get(joint)
    if loop is None or not isinstance(u.op, Delay) or abs(u.op.lag) != 1:
        return False
    source = plan.resolve(u.inputs[0])
    steps = {d.op.lag for d in delays[source] if isinstance(d.op, Delay)}
    axes = {d.op.axis for d in delays[source] if isinstance(d.op, Delay)}
    fits = plan.axes(source) == plan.axes(joint) and plan.nest(source) == plan.nest(joint) == [loop]
    others = [v for v in plan.inputs(joint) if v is not u]
    outside = all(plan.loop_of.get(v) is not loop or _in_place(plan, joint, v, delays) for v in others)
    once = plan.inputs(joint).count(u) == 1
    return (
        fits
        and once
        and loop.straight
        and outside
        and steps == {u.op.lag}
        and axes == {*loop.axes}
        and source not in plan.part
    )


def _stays(plan: Plan, node: Node, delays: list[Node]) -> bool:
    """Whether a value is needed only within its step, or once more at the next one, before
    it is overwritten."""
    loop = plan.loop_of[node]
    if not plan.nest(node)[0].straight:
        return False
    position = {n: i for i, n in enumerate(loop.body) if isinstance(n, Node)}
    axis, sign = loop.direction[0]
    for user in plan.users.get(node, []):
        if user.op.structural and user not in delays:
            return False
        if user in delays:
            assert isinstance(user.op, Delay)
            if (user.op.axis, user.op.lag * sign) != (axis, 1):
                return False
        readers = _readers(plan, user)
        if readers is None or any(r not in position for r in readers):
            return False
        if user in delays and any(position[r] > position[node] for r in readers):
            return False
        if any(loop.offsets[r] != loop.offsets[node] for r in readers):
            return False
    return True


def _readers(plan: Plan, user: Node) -> list[Node] | None:
    """A reader, and those who read it where it is only a view; None when that goes too far."""
    out: list[Node] = []
    stack = [user]
    while stack:
        reader = stack.pop()
        out.append(reader)
        if reader.op.structural and reader is not user:
            return None
        if reader.op.name in VIEWS or reader.op.structural:
            stack.extend(plan.users.get(reader, []))
    return out
