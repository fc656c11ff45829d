"""Equations as text, in Python's syntax: `h[t] = tanh(b + W @ h[t-1] + U @ x[t])`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from unfold.analysis.arrows import cycles
from unfold.core.axis import Axis, Index, indexed, written
from unfold.core.dims import show
from unfold.core.kinds import Dtype
from unfold.core.leaves import label_of
from unfold.core.node import SERVICES, Node, Op
from unfold.core.op import Along
from unfold.core.system import System
from unfold.notation.listing import Listing, by_source, grouped, lines
from unfold.notation.spelling import ATOM, POSTFIX, POWER, UNARY, Piece
from unfold.notation.writer import Writer

GLUE = "\x1f"  # stands for a space at which no line is broken; no name has it


def expression(node: Node, names: Mapping[Node, Node] | None = None) -> str:
    """A node as a formula, by their names those nodes that have one; what is too deep or too long is
    elided as `...`.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> x, s = uf.input("x", "n", over=t), uf.var("s", "n", over=t)
    >>> str(uf.tanh(0.5 * s[t-1] + x[t]) ** 2)
    'tanh(0.5 * s[t-1] + x[t])**2'
    """
    return Text(names or {}).write(node).text


SERVICES["write"] = expression


class Text(Writer):
    """Python's spelling."""

    def leaf(self, label: str, indices: Sequence[str]) -> str:
        return indexed(label, indices)

    def index(self, place: Index | int) -> str:
        return written(place)

    def brackets(self, text: str) -> str:
        return f"({text})"

    def number(self, value: Any) -> Piece:
        array = np.asarray(value)
        if array.ndim:
            text = np.array2string(array, threshold=6, precision=6, separator=", ", edgeitems=2)
            return Piece(" ".join(text.split()).replace("[ ", "["))
        text = short(array[()])
        return Piece(text, UNARY if text.startswith("-") else ATOM)

    def joined(self, left: str, symbol: str, right: str) -> str:
        return f"{left} {symbol} {right}"

    def called(self, op: Op, name: str, args: Sequence[Piece], parameters: Mapping[str, str]) -> Piece:
        inside = [p.text for p in args]
        bare = ("shape", "size") if name in ("broadcast_to", "reshape", "one_hot") else ()
        inside += [v if k in bare else f"{k}={v}" for k, v in parameters.items()]
        return Piece(f"{name}({', '.join(inside)})")

    def subscripted(self, a: Piece, inside: str) -> Piece:
        return Piece(f"{self.at_least(POSTFIX, a)}[{inside}]")

    def transposed(self, a: Piece) -> Piece:
        return Piece(self.at_least(POSTFIX, a) + ".T")

    def raised(self, a: Piece, b: Piece) -> Piece:
        return Piece(f"{self.at_least(POWER + 1, a)}**{self.at_least(UNARY, b)}", POWER, "**")

    def outer(self, a: Piece, b: Piece) -> Piece:
        return Piece(f"outer({a.text}, {b.text})")

    def mean(self, a: Piece, over: Axis) -> Piece:
        return Piece(f"mean({a.text}, over={over.name})")

    def reduced(self, op: Along, a: Piece, default: bool) -> Piece:
        items = [d.name if isinstance(d, Axis) else str(d) for d in op.over]
        over = items[0] if len(items) == 1 else f"({', '.join(items)})"
        extra = ", backward=True" if op.parameters.get("backward") else ""
        return Piece(f"{op.name}({a.text}{'' if default else f', over={over}'}{extra})")

    def chosen(self, condition: Piece, a: Piece, b: Piece) -> Piece:
        return Piece(f"where({condition.text}, {a.text}, {b.text})")


def short(value: Any) -> str:
    """A number in few characters: 1 for 1.0, six significant digits at most.

    >>> short(1.0), short(0.1), short(1 / 3), short(True)
    ('1', '0.1', '0.333333', 'True')
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, complex):
        return f"({value.real:.6g}{value.imag:+.6g}j)"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


# ---------------------------------------------------------------------- whole graphs
def equations(graph: System) -> str:
    """The equations of a graph, its loops with their lags, and the shapes of what enters and
    leaves it: what `print(graph)` shows."""
    listing = Listing(graph)
    writer = Text(listing.names, roles=listing.roles, defined=listing.defined, depth=400, budget=4000)
    blocks = [
        [broken(f"{line.left} = ", line.right) if line.left else "..." for line in part]
        for part in lines(listing, writer)
    ]
    loops = [str(c) for c in cycles(graph)] if not listing.lazy and graph.axes else []
    if loops:
        blocks.append([f"loops: {loops[0]}", *[f"       {c}" for c in loops[1:]]])
    return "\n\n".join("\n".join(b) for b in [_header(listing), *blocks] if b)


def broken(left: str, right: str, width: int = 100) -> str:
    """A long sum over several lines, broken before its own + and -."""
    depth, cuts = 0, [0]
    for k, c in enumerate(right):
        depth += (c in "([") - (c in ")]")
        if not depth and right[k : k + 3] in (" + ", " - "):
            cuts.append(k)
    terms = [right[a:b] for a, b in pairwise([*cuts, len(right)])]
    rows = [left + terms[0]]
    for term in terms[1:]:
        if len(rows[-1] + term) <= width:
            rows[-1] += term
        else:
            rows.append(" " * (len(left) - 1) + term)
    return "\n".join(rows)


def _header(listing: Listing) -> list[str]:
    graph = listing.base
    out = []
    for title, nodes in (("inputs", graph.inputs), ("params", graph.params), ("outputs", graph.outputs)):
        if title == "outputs":
            labels = {name: graph.key(name).label for name in nodes}
        else:
            labels = {name: label_of(nodes[name]) for name in by_source(nodes)}
        entries = [_entry(nodes, label, names, listing) for label, names in grouped(labels).items()]
        if entries:
            text = f"{title + ':':9}{', '.join(e.replace(' ', GLUE) for e in entries)}"
            rows = textwrap.wrap(text, 100, subsequent_indent=" " * 9, break_long_words=False)
            out += [row.replace(GLUE, " ") for row in rows]
    return out


def _entry(nodes: Mapping[str, Node], label: str, names: Sequence[str], listing: Listing) -> str:
    """`x[t] (input)`, or `y[1], ..., y[4] () int`."""
    first, last = names[0], names[-1]
    node = nodes[first]
    sizes = getattr(listing.graph.definitions, "extents", {}) if listing.lazy else {}
    if node.axes and first == label:
        starts = ", ".join("1" if a in sizes else a.name for a in node.axes)
        ends = ", ".join(str(sizes.get(a, a.name)) for a in node.axes)
        first, last = f"{first}[{starts}]", f"{first}[{ends}]"
    many = first if first == last else f"{first}, ..., {last}"
    return f"{many} {show(node.shape)}" + ("" if node.dtype == Dtype.FLOAT else f" {node.dtype}")
