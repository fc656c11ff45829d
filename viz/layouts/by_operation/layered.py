"""A computational graph in layers, from inputs at the bottom to outputs at the top: the drawing
of what has no single axis to repeat along. Delays are black squares on the way."""

from __future__ import annotations

from unfold.core.errors import UnfoldError
from unfold.core.leaves import Constant, Input, Param, Symbol
from unfold.core.node import Node
from unfold.core.system import System
from unfold.ops.time.delays import Delay
from viz.drawing import Drawing
from viz.layouts.scene import Connection, Scene
from viz.model.operation_level import SILENT, label
from viz.shapes import labels
from viz.shapes.figures import Box, Circle
from viz.shapes.style import RADIUS, SQUARE

MOST = 400  # operations; beyond that nobody can read it

ACROSS, UP = 66.0, 62.0


def draw(graph: System, title: str = "") -> Drawing:
    """One box an operation, layer by layer (Sugiyama: longest paths, then barycentres)."""
    nodes = [n for n in graph.order if _drawn(graph, n)]
    if len(nodes) > MOST:
        raise UnfoldError(
            f"{len(nodes)} operations over several axes are too many for one picture (at most {MOST}): "
            f'unfold to fewer steps, or draw it at level="variables"'
        )
    sources = {n: [u for v in graph.inputs_of(n) if (u := _behind(graph, v)) is not None] for n in nodes}
    layers = _layers(nodes, sources)
    x = _columns(layers, sources)
    scene = Scene()
    names: dict[Node, str] = {}
    for y, layer in enumerate(layers):
        for n in layer:
            names[n] = f"n{len(names)}"
            scene.add(_shape(graph, n, (x[n], -UP * y), names[n]))
    for n in nodes:
        for u in dict.fromkeys(sources[n]):
            tone = "recur" if isinstance(n.op, Delay) or isinstance(u.op, Delay) else "ink"
            scene.connect(Connection((names[u], names[n]), "", tone, arrow=not isinstance(n.op, Delay)))
    words = ", ".join(labels.plain(label(n)) for n in nodes if not n.op.leaf)
    return scene.drawing(title or "Computational graph", f"Operations: {words}")


def _drawn(graph: System, node: Node) -> bool:
    return not (isinstance(node.op, Symbol | Param | Constant) or node.op.name in SILENT) and (
        isinstance(node.op, Input) or not node.op.leaf
    )


def _behind(graph: System, node: Node) -> Node | None:
    """What is drawn for a node: through names and silent operations; None for parameters."""
    while isinstance(node.op, Symbol) or node.op.name in SILENT:
        node = graph.inputs_of(node)[0]
    return node if _drawn(graph, node) else None


def _layers(nodes: list[Node], sources: dict[Node, list[Node]]) -> list[list[Node]]:
    """Longest paths; a delay breaks its cycle by standing at the bottom."""
    rank = dict.fromkeys(nodes, 0)
    for _ in range(len(nodes)):
        changed = False
        for n in nodes:
            want = 0 if isinstance(n.op, Delay) else 1 + max((rank[u] for u in sources[n]), default=-1)
            if want != rank[n]:
                rank[n], changed = want, True
        if not changed:
            break
    readers: dict[Node, list[Node]] = {}
    for n, us in sources.items():
        for u in us:
            readers.setdefault(u, []).append(n)
    for n in reversed(nodes):  # as near to the first reader as may be
        above = [rank[r] for r in readers.get(n, []) if not isinstance(r.op, Delay)]
        if above:
            rank[n] = max(0, min(above) - 1)
    layers: list[list[Node]] = [[] for _ in range(max(rank.values(), default=0) + 1)]
    for n in nodes:
        layers[rank[n]].append(n)
    return layers


def _columns(layers: list[list[Node]], sources: dict[Node, list[Node]]) -> dict[Node, float]:
    """x by a few sweeps of barycentres, neighbours kept apart."""
    readers: dict[Node, list[Node]] = {}
    for n, us in sources.items():
        for u in us:
            readers.setdefault(u, []).append(n)
    x = {n: ACROSS * (k - (len(layer) - 1) / 2) for layer in layers for k, n in enumerate(layer)}
    for sweep in range(8):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            near = sources if sweep % 2 == 0 else readers
            want = {n: _mean([x[u] for u in near.get(n, [])], x[n]) for n in layer}
            order = sorted(layer, key=lambda n: want[n])
            row: list[float] = []
            for n in order:
                row.append(max(want[n], row[-1] + ACROSS) if row else want[n])
            shift = _mean([want[n] - v for n, v in zip(order, row, strict=True)], 0.0)
            x.update({n: v + shift for n, v in zip(order, row, strict=True)})
    return x


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _shape(graph: System, node: Node, at: tuple[float, float], name: str) -> Circle | Box:
    op = node.op
    symbol = graph.names.get(node)
    called = str(symbol.op) if symbol is not None else ""
    if isinstance(op, Input):
        word = labels.math(op.label, sup=",".join(map(str, op.index)))
        return Circle(at, RADIUS, "input", word, name, str(op), labels.fitted(word, 17.0, 36.0))
    if isinstance(op, Delay):
        return Box(at, SQUARE, SQUARE, "ink", name=name, title=f"delay of {op.lag} along {op.axis}", corner=0)
    word = label(node)
    wide = labels.width(word, 13.0)
    title = f"{called + ': ' if called else ''}{op.name}"
    if any(isinstance(u.op, Param) for u in node.inputs) and op.name in ("contract", "take"):
        return Box(at, max(38.0, wide + 14), 26, "gate", word, name, title, 4, 13.0)
    if wide > 20:
        return Box(at, wide + 12, 24, "pointwise", word, name, title, 11, 13.0)
    return Circle(at, 13.0, "pointwise", word, name, title, 13.0)
