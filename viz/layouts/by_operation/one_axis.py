"""The operation level: one box an operation, states as rails.

Folded, every rail goes round through its delay square; unfolded, the same step is repeated and
the rails join in straight lines.
"""

from __future__ import annotations

from unfold.core.errors import UnfoldError
from unfold.core.system import System
from viz.drawing import Drawing
from viz.layouts.by_operation import layered
from viz.layouts.by_operation.rails import LEVEL, layout
from viz.layouts.by_operation.step_shapes import StepShapes
from viz.layouts.choosing import Form, Subject, form
from viz.layouts.columns import shown
from viz.model.operation_level import Port, cell
from viz.model.variable_level import model, source
from viz.shapes import labels
from viz.shapes.curves import Point, line, polyline
from viz.shapes.figures import Box, Group, Path, Repeat, Shape, Words, bounds
from viz.shapes.style import MATH, SQUARE

MOST = 20_000  # shapes; beyond that a viewer would hang


def draw(graph: System, *, columns: int = 8, title: str = "", fused: bool | None = None) -> Drawing:
    """The computational graph of a step, folded or unfolded."""
    origin, sizes = source(graph)
    body = cell(origin, fused) if len(origin.axes) < 2 else None
    bare = body is None or not body.parts
    kind = form(Subject(operations=True, axes=len(origin.axes), unfolded=bool(sizes), bare=bare))
    if kind is Form.LAYERED or body is None:
        return layered.draw(graph, title=title)
    step = StepShapes(body, layout(body), _roles(origin))
    if kind is Form.STEPS:
        (n,) = sizes.values()
        if n * len(body.parts) > MOST and columns >= n:
            raise UnfoldError(
                f"{n} columns of {len(body.parts)} operations are too many for one picture (at most {MOST} "
                f"operations): draw fewer with columns={max(8, MOST // len(body.parts))}, or leave it at 8"
            )
        return _unfolded(step, n, columns, title)
    return _folded(step, bool(origin.axes), title)


def _roles(graph: System) -> dict[str, str]:
    return {k: v.role for k, v in model(graph).variables.items()}


# ---------------------------------------------------------------------- folded
def _folded(step: StepShapes, axis: bool, title: str) -> Drawing:
    shapes: list[Shape] = [*step.body(), *step.discs("")]
    upper: list[Port] = []
    lower: list[Port] = []
    middle = -step.plan.top / 2
    for port in step.cell.ports.values():
        (
            upper if -step.plan.lanes[port.key] < middle and step.plan.lanes[port.key] > LEVEL else lower
        ).append(port)
    edges = bounds(shapes)
    for side, ports in ((-1, upper), (1, lower)):
        far = edges[1] - 6 if side < 0 else edges[3] + 6
        for n, port in enumerate(sorted(ports, key=lambda p: side * step.plan.lanes[p.key], reverse=False)):
            out, into = step.leaves(port), step.enters(port)
            y = far + side * (16 + 26 * n)
            dx = (12 + 10 * n) * (1 if port.lag > 0 else -1)
            middle_x = (out[0] + into[0]) / 2
            tone = step.tones[port.name]
            first = [out, (out[0] + dx, out[1]), (out[0] + dx, y), (middle_x, y)]
            second = [(middle_x, y), (into[0] - dx, y), (into[0] - dx, into[1]), into]
            shapes.append(Path(polyline(first, 12), tone, False, width=1.3))
            shapes.append(Path(polyline(second, 12), tone, False, width=1.3))
            shapes.append(
                Box((middle_x, y), SQUARE, SQUARE, "ink", title=f"delay of 1 step of {port.name}", corner=0)
            )
            name = labels.math(port.name, sup="" if abs(port.lag) == 1 else f"t{-port.lag + 1:+d}")
            shapes.append(Words((middle_x + 11, y + 11), name, 14.0, anchor="start"))
    desc = _describe(step)
    return Drawing(tuple(shapes), title or "The operations of one step", desc)


def _describe(step: StepShapes) -> str:
    rails = "; ".join(f"{p.name} from {abs(p.lag)} step back" for p in step.cell.ports.values())
    parts = ", ".join(labels.plain(p.label) for p in step.cell.parts.values())
    return f"Operations: {parts}. Carried over: {rails or 'nothing'}"


# ---------------------------------------------------------------------- unfolded
def _unfolded(step: StepShapes, n: int, columns: int, title: str) -> Drawing:
    steps = shown(n, columns)
    ports = step.cell.ports.values()
    places: list[Point] = []
    shapes: list[Shape] = []
    x = 0.0
    for at in steps:
        if at is None:
            for port in step.cell.ports.values():
                y = -step.plan.lanes[port.key]
                shapes.append(
                    Words((x + step.left + 30, y), labels.upright("\u22ef"), 22.0, step.tones[port.name])
                )
            x += 60.0
            continue
        places.append((x, 0.0))
        shapes.append(Group(tuple(step.discs(str(at))), (x, 0.0)))
        x += step.pitch
    if not places:  # an empty sequence: only what stands before it
        alone = [labels.math(p.name, sup=str(1 - p.lag) if p.lag > 0 else str(-p.lag)) for p in ports]
        names = tuple(Words((60.0 * k, 0.0), name, MATH) for k, name in enumerate(alone))
        return Drawing(names, title or "The operations of 0 steps", "An empty sequence")
    ends: list[Shape] = []
    for port in ports:
        ends += _ends(step, port, places[0][0], places[-1][0], n)
    body: list[Shape] = [Repeat((step.frame(),), tuple(places)), Repeat(step.body(), tuple(places))]
    head = title or f"The operations of {n} steps"
    return Drawing((*body, *ends, *shapes), head, _describe(step))


def _ends(step: StepShapes, port: Port, first: float, last: float, n: int) -> list[Shape]:
    """The boundary value at one end and the last value at the other."""
    tone = step.tones[port.name]
    forward = port.lag > 0
    start = (first if forward else last) + step.enters(port)[0]
    stop = (last if forward else first) + step.leaves(port)[0]
    y = -step.plan.lanes[port.key]
    s = 1 if forward else -1
    lag = abs(port.lag)
    begin = str(1 - lag) if forward else str(n + lag)
    final = str(n - lag + 1) if forward else str(lag)
    anchors = ("end", "start") if forward else ("start", "end")
    return [
        Path(line((start - 16 * s, y), (start, y)), tone, False, width=1.3),
        Words((start - 20 * s, y), labels.math(port.name, sup=begin), MATH, anchor=anchors[0]),
        Path(line((stop, y), (stop + 20 * s, y)), tone, True, width=1.3),
        Words((stop + 25 * s, y), labels.math(port.name, sup=final), MATH, anchor=anchors[1]),
    ]
