"""The two verbs: `draw` a graph as what it is, and show its `unfolding` side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from unfold.core.axis import Axis
from unfold.core.errors import UnfoldError
from unfold.core.system import System
from viz import overlay
from viz.drawing import Drawing
from viz.layouts.by_operation import layered, one_axis
from viz.layouts.by_variable import cyclic, unfolded
from viz.layouts.choosing import Form, Subject, form
from viz.layouts.columns import LIMIT
from viz.model import explicit
from viz.model.variable_level import model, source
from viz.model.variable_model import Model, plates, without
from viz.overlay import Judgement, Measured
from viz.shapes import labels
from viz.shapes.curves import line
from viz.shapes.figures import Group, Path, Words, bounds
from viz.shapes.picture import Page
from viz.shapes.spots import told

LEVELS = ("variables", "operations")


def draw(
    graph: System,
    level: str = "variables",
    *,
    columns: int = LIMIT,
    title: str = "",
    run: Measured | None = None,
    show: str = "",
    report: Judgement | None = None,
    window: int = 0,
) -> Drawing:
    """The picture of a graph: cyclic while it has an axis, unfolded when it has none left.

    `level` is "variables" (one circle a named variable) or "operations" (the computational
    graph). More than `columns` steps are drawn with an ellipsis. With `run` (from
    `graph.run(...)`) the graph is drawn unfolded to the lengths of the run: the weights of an
    attention become widths, and `show` colours the circles by "values" or by "adjoint", or
    writes the "shapes". A failed `report` (from `uf.check`) shows its culprit in red. `window`
    strikes out the edges that truncation to windows of so many steps cuts.

    >>> import unfold as uf, viz
    >>> t = uf.axis("t")
    >>> s = uf.var("s", over=t)
    >>> s[0] = 1.0
    >>> s[t] = uf.tanh(s[t-1])
    >>> viz.draw(uf.graph(s=s)).title
    'Cyclic graph'
    """
    _check(graph, level, columns, show, run)
    on_circles = run is not None or report is not None or window > 0
    if level == "operations":
        if on_circles:
            raise UnfoldError(f"level={level!r}: a run, a report, a window are drawn at level 'variables'")
        return one_axis.draw(graph, columns=columns, title=title)
    found, sizes, quiet = _found(graph)
    found = replace(found, title=title)
    if run is not None and not sizes:
        sizes = {a: n for a, n in run.bound.extents.items() if a in found.axes}
    left = [a.name for a in found.axes if a not in sizes]
    kind = form(Subject(axes=len(found.axes), unfolded=bool(sizes), partly=bool(left)))
    if kind is Form.LAYERED:
        if on_circles:
            left_ = ", ".join(left)
            raise UnfoldError(f"a run, a report, a window are drawn on all axes or none: unfold {left_} too")
        return layered.draw(graph, title=title)
    if kind is Form.UNFOLDED:
        drawing = unfolded.draw(found, sizes, limit=columns, weights=_weights(found, run))
    else:
        drawing = cyclic.draw(found)
    drawing = _on_plate(_with_gradients(drawing, found), quiet)
    if show and run is not None:
        drawing = overlay.shown(drawing, run, show)
    if window > 0:
        drawing = overlay.cut(drawing, overlay.crossing(drawing, window))
    if report is not None:
        drawing = overlay.marked(drawing, report)
    return replace(drawing, page=partial(_page, graph, found, drawing, bool(sizes), run))


def _check(graph: object, level: str, columns: int, show: str, run: object) -> None:
    """What cannot be drawn is refused, with what to give instead."""
    if not isinstance(graph, System):
        raise UnfoldError(f"viz.draw takes a graph (made by uf.graph), not {type(graph).__name__}")
    if level not in LEVELS:
        raise UnfoldError(f"level={level!r}: a picture is drawn at level {' or '.join(map(repr, LEVELS))}")
    if columns < 1:
        raise UnfoldError(f"columns={columns}: at least one column is drawn")
    if show and run is None:
        raise UnfoldError(
            f"show={show!r} needs the values of a run: viz.draw(graph, run=graph.run(...), show=...)"
        )


def _page(graph: System, found: Model, drawing: Drawing, has_steps: bool, run: Measured | None) -> Page:
    """What the page adds: the other form, and what is known of every circle."""
    folded = cyclic.draw(found) if found.axes else None
    whole = drawing if has_steps else None
    if whole is None and found.axes:
        whole = unfolded.draw(found, {a: _steps(a, 4) for a in found.axes})
    views = [d for d in (folded, whole, drawing) if d]
    return Page(folded or drawing, whole, _facts(graph, found, views, run))


def unfolding(graph: System, t: int = 3, *, title: str = "") -> Drawing:
    """The cyclic picture, an arrow, and the unfolded one of `t` steps of every axis."""
    if graph_sizes := source(graph)[1]:
        steps = ", ".join(f"{a.name}={n}" for a, n in graph_sizes.items())
        raise UnfoldError(f"this graph is unfolded already ({steps}): give viz.unfolding the cyclic one")
    if not graph.axes:
        raise UnfoldError("this graph has no axis, so there is nothing to unfold: use viz.draw")
    if t < 1:
        raise UnfoldError(f"t={t}: the number of columns is 1 or more")
    found, _, quiet = _found(graph)
    found = replace(found, title=title)
    left = cyclic.draw(found)
    sizes = {a: _steps(a, t) for a in found.axes}
    right = unfolded.draw(found, sizes, limit=max(t, LIMIT), relative=_endless(found))
    pair = _pair(left, right, title or "A cyclic graph and its unfolding")
    pair = _on_plate(_with_gradients(pair, found), quiet)

    def build() -> Page:
        return Page(left, right, _facts(graph, found, [left, right], None))

    return replace(pair, page=build)


def _found(graph: System) -> tuple[Model, dict[Axis, int], tuple[Axis, ...]]:
    """What to draw, the sizes if it is unfolded, and the axes on whose plate all of it stands."""
    origin, sizes = source(graph)
    periodic = explicit.model(graph) if not graph.axes and not sizes else None
    found, sizes = periodic or (model(origin), sizes)
    quiet = plates(found)
    return without(found, *quiet), {a: n for a, n in sizes.items() if a not in quiet}, quiet


def _on_plate(drawing: Drawing, quiet: tuple[Axis, ...]) -> Drawing:
    """A line below that says over which further axes the same picture stands."""
    if not quiet:
        return drawing
    left, _, right, bottom = drawing.bounds
    words = (labels.Letters("for every "), *labels.join([labels.expression(a.name) for a in quiet]))
    note = Words(((left + right) / 2, bottom + 4), words, 13.0)
    return replace(drawing, parts=(*drawing.parts, note))


def _steps(axis: Axis, otherwise: int) -> int:
    """The steps of an axis, if it says how many."""
    return axis.size if isinstance(axis.size, int) else otherwise


def _weights(found: Model, run: Measured | None) -> dict[str, Any]:
    """The values of variables over two axes, for the widths of a fan."""
    if run is None:
        return {}
    pairs = [k for k, v in found.variables.items() if len(v.axes) == 2 and v.makes == "softmax"]
    return {k: run[k] for k in pairs}


def _facts(
    graph: System, found: Model, views: list[Drawing], run: Measured | None
) -> Mapping[str, Mapping[str, str]]:
    """Name, equation, shape, value and gradient of every circle, as text."""
    from unfold.core.dims import show as spelled

    facts: dict[str, dict[str, str]] = {}
    origin = source(graph)[0]
    bodies = {
        str(getattr(s.op, "label", "")): f"{s.op} = {origin.definitions[s]}"
        for s in origin.symbols.values()
        if all(getattr(i, "kind", "now") == "now" for i in getattr(s.op, "index", ()))
    }
    for name in dict.fromkeys(n for d in views for n in overlay.nodes(d)):
        label, at = told(name)
        v = found.variables.get(label)
        facts[name] = {"name": f"{label}[{','.join(map(str, at))}]" if at else label}
        if label in bodies:
            facts[name]["equation"] = bodies[label]
        if v is not None:
            facts[name]["shape"] = spelled(v.node.shape) if v.node.shape else "a number"
        if run is not None:
            if (value := overlay.value_of(run, name)) is not None:
                facts[name]["value"] = overlay.summary(value)
            if (ct := _adjoint(run, name)) is not None:
                facts[name]["gradient"] = overlay.summary(ct)
    return facts


def _adjoint(run: Measured, name: str) -> Any:
    try:
        return overlay.value_of(run.adjoint, name)
    except UnfoldError:  # no single output to differentiate
        return None


def _with_gradients(drawing: Drawing, found: Model) -> Drawing:
    """A line below that names the parameters whose gradients the graph sums up."""
    if not found.gradients:
        return drawing
    left, _, right, bottom = drawing.bounds
    words = labels.join([(labels.Letters("∇"), *labels.math(p)) for p in found.gradients])
    over = [a.name for a in found.axes]
    note = (*words, labels.Letters(f":\u00a0sums over {', '.join(over)}"))
    line_ = Words(((left + right) / 2, bottom + 4), note, 13.0, "gradient")
    return replace(drawing, parts=(*drawing.parts, line_))


def _endless(found: Model) -> bool:
    """Whether any stretch of steps looks like any other: one axis, no fixed or whole read."""
    inner = all(
        i is not None and i.kind == "now" for a in found.arrows for i in a.at if a.target in found.variables
    )
    return len(found.axes) == 1 and inner and all(v.axes for v in found.variables.values())


def _pair(left: Drawing, right: Drawing, title: str) -> Drawing:
    """Two pictures with an arrow between, their lowest rows aligned."""
    a, b = bounds(left.parts), bounds(right.parts)
    near = abs((a[3] - a[1]) - (b[3] - b[1])) < 60
    dy = b[3] - a[3] if near else (b[1] + b[3] - a[1] - a[3]) / 2
    gap, span = 34.0, 74.0
    dx = b[0] - a[2] - 2 * gap - span
    y = (b[1] + b[3]) / 2
    x = a[2] + dx + gap
    arrow = Path(line((x, y), (x + span, y)), width=1.8)
    word = Words((x + span / 2, y - 13), labels.upright("Unfold"), 15.0)
    moved = Group(left.parts, (dx, dy))
    desc = f"Left: {left.desc}. Right: the same, one column a step."
    return Drawing((moved, arrow, word, *right.parts), title, desc)
