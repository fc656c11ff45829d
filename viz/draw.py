"""The two verbs: `draw` a graph as what it is, and show its `unfolding` side by side."""

from __future__ import annotations

from dataclasses import replace

from unfold.axis import Axis
from unfold.errors import UnfoldError
from unfold.graph import Graph
from unfold.unfolding import Instances
from viz import concrete, cyclic, labels, unfolded
from viz.drawing import Drawing, Group, Path, Text, line
from viz.variables import Model, model

LEVELS = ("variables", "operations")


def draw(
    graph: Graph, level: str = "variables", *, columns: int = unfolded.LIMIT, title: str = ""
) -> Drawing:
    """The picture of a graph: cyclic while it has an axis, unfolded when it has none left.

    `level` is "variables" (one circle a named variable) or "operations" (the computational
    graph). More than `columns` steps are drawn with an ellipsis.

    >>> import unfold as uf, viz
    >>> t = uf.axis("t")
    >>> s = uf.var("s", over=t)
    >>> s[0] = 1.0
    >>> s[t] = uf.tanh(s[t-1])
    >>> viz.draw(uf.graph(s=s)).title
    'Cyclic graph'
    """
    if not isinstance(graph, Graph):
        raise UnfoldError(f"viz.draw takes a graph (made by uf.graph), not {type(graph).__name__}")
    if level not in LEVELS:
        raise UnfoldError(f"level={level!r}: a picture is drawn at level {' or '.join(map(repr, LEVELS))}")
    if level == "operations":
        from viz import operations

        return operations.draw(graph, columns=columns, title=title)
    origin, sizes = source(graph)
    explicit = concrete.model(graph) if not graph.axes and not sizes else None
    found, sizes = explicit or (model(origin), sizes)
    found = replace(found, title=title)
    drawing = unfolded.draw(found, sizes, limit=columns) if sizes else cyclic.draw(found)
    return _with_gradients(drawing, found)


def _with_gradients(drawing: Drawing, found: Model) -> Drawing:
    """A line below that names the parameters whose gradients the graph sums up."""
    if not found.gradients:
        return drawing
    left, _, right, bottom = drawing.bounds
    words = labels.join([(labels.Run("∇"), *labels.math(p)) for p in found.gradients])
    over = [a.name for a in found.axes]
    note = (*words, labels.Run(f": sums over {', '.join(over)}"))
    line_ = Text(((left + right) / 2, bottom + 4), note, 13.0, "gradient")
    return replace(drawing, parts=(*drawing.parts, line_))


def unfolding(graph: Graph, t: int = 3, *, title: str = "") -> Drawing:
    """The cyclic picture, an arrow, and the unfolded one of `t` steps of every axis."""
    if graph_sizes := source(graph)[1]:
        steps = ", ".join(f"{a.name}={n}" for a, n in graph_sizes.items())
        raise UnfoldError(f"this graph is unfolded already ({steps}): give viz.unfolding the cyclic one")
    if not graph.axes:
        raise UnfoldError("this graph has no axis, so there is nothing to unfold: use viz.draw")
    if t < 1:
        raise UnfoldError(f"t={t}: the number of columns is 1 or more")
    found = replace(model(graph), title=title)
    left = cyclic.draw(found)
    sizes = {a: a.size or t for a in graph.axes}
    right = unfolded.draw(found, sizes, limit=max(t, unfolded.LIMIT), relative=_endless(found))
    return _pair(left, right, title or "A cyclic graph and its unfolding")


def source(graph: Graph) -> tuple[Graph, dict[Axis, int]]:
    """The cyclic graph an unfolded one came from, and its sizes; the graph itself otherwise."""
    origin = graph.definitions
    if isinstance(origin, Instances):
        return origin.graph, dict(origin.extents)
    return graph, {}


def _endless(found: Model) -> bool:
    """Whether any stretch of steps looks like any other: one axis, no fixed or whole read."""
    inner = all(
        i is not None and i.kind == "now" for a in found.arrows for i in a.at if a.target in found.variables
    )
    return len(found.axes) == 1 and inner and all(v.axes for v in found.variables.values())


def _pair(left: Drawing, right: Drawing, title: str) -> Drawing:
    """Two pictures with an arrow between, their lowest rows aligned."""
    from viz.drawing import bounds

    a, b = bounds(left.parts), bounds(right.parts)
    dy = b[3] - a[3] if abs((a[3] - a[1]) - (b[3] - b[1])) < 60 else (b[1] + b[3] - a[1] - a[3]) / 2
    gap, span = 34.0, 74.0
    dx = b[0] - a[2] - 2 * gap - span
    y = (b[1] + b[3]) / 2
    x = a[2] + dx + gap
    arrow = Path(line((x, y), (x + span, y)), width=1.8)
    word = Text((x + span / 2, y - 13), labels.upright("Unfold"), 15.0)
    moved = Group(left.parts, (dx, dy))
    return Drawing(
        (moved, arrow, word, *right.parts), title, f"Left: {left.desc}. Right: the same, one column a step."
    )
