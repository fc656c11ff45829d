"""Looking at a graph: its nodes, who reads whom, paths, depth, and what separates what.

A key says which node: a name (`"h"`, `"loss"`, `"h[3]"`), a name and steps (`("h", 3)`,
`("h", 0)` for a boundary), a node, or what another query returned. Everything works on
rows of `graph.table`, so a million nodes cost no million objects.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from os.path import basename
from typing import Any, TypeAlias, overload

import numpy as np

from unfold.analysis.instances import Instances, template
from unfold.analysis.naming import named_bodies, steps_at, unrepeated, written_at, written_places
from unfold.analysis.table import table_of
from unfold.core.axis import Axis, Index, indexed
from unfold.core.dims import Shape
from unfold.core.errors import UnfoldError, UnknownName
from unfold.core.key import Key
from unfold.core.kinds import IndexKind
from unfold.core.leaves import Named, Symbol, label_of
from unfold.core.node import SERVICES, Node
from unfold.core.system import System
from unfold.ops.time.delays import Delay

# A name, a name and steps, a node, or what another query returned.
Asked: TypeAlias = "str | tuple[Any, ...] | Node | NodeView"


@dataclass(frozen=True)
class NodeView:
    """One node of a graph, as one looks at it."""

    graph: System = field(repr=False)
    node: Node
    index: tuple[int, ...]
    row: int
    symbol: Node | None = None
    output: str = ""

    @property
    def name(self) -> str:
        """The symbol it defines (`h[3]`), the leaf or output it is, else its operation and index."""
        leaf = self.node if self.symbol is None else self.symbol
        if isinstance(leaf.op, Named):
            return written_at(leaf, {})
        return self.output or indexed(self.op, self.index)

    @property
    def op(self) -> str:
        """The name of the operation; "copy" for a variable that only renames a value."""
        return "copy" if isinstance(self.node.op, Symbol) else self.node.op.name

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what it reads, in the order of the arguments."""
        return tuple(p.name for p in self.parents())

    @property
    def shape(self) -> Shape:
        return self.node.shape

    @property
    def dtype(self) -> str:
        return self.node.dtype

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.node.axes

    @property
    def where(self) -> str | None:
        """`file:line` of its equation."""
        return (self.symbol.where if self.symbol is not None else None) or self.node.where

    @property
    def equation(self) -> str:
        """`h[3] = tanh(...)`, or the bare expression of a node without a name."""
        if self.node.op.leaf and self.symbol is None:
            return self.name
        symbol = self.symbol if self.symbol is not None else self.node
        body = self.graph.definitions[symbol] if isinstance(symbol.op, Symbol) else self.node
        names = {} if _is_lazy(self.graph) else named_bodies(self.graph)
        text = SERVICES["write"](unrepeated(body), {b: s for b, s in names.items() if s is not symbol})
        return f"{self.name} = {text}" if self.is_named else text

    @property
    def is_named(self) -> bool:
        """Whether an equation, an input, a parameter or an output names it."""
        return self.symbol is not None or isinstance(self.node.op, Named) or bool(self.output)

    def parents(self) -> Views:
        """What it reads, in the order of the arguments."""
        return Views(self.graph, table_of(self.graph).inputs(self.row))

    def children(self) -> Views:
        """What reads it."""
        return Views(self.graph, sorted(set(table_of(self.graph).users(self.row))))

    def __repr__(self) -> str:
        shape = "(" + ", ".join(map(str, self.shape)) + ("," if len(self.shape) == 1 else "") + ")"
        line = f"  {basename(self.where)}" if self.where else ""
        return f"{self.equation}   {shape}{line}"


class Views(Sequence[NodeView]):
    """Nodes of a graph, made when looked at."""

    def __init__(self, graph: System, rows: Sequence[int]) -> None:
        self.graph, self.rows = graph, rows

    @overload
    def __getitem__(self, key: int) -> NodeView: ...
    @overload
    def __getitem__(self, key: slice) -> Views: ...
    def __getitem__(self, key: int | slice) -> NodeView | Views:
        if isinstance(key, slice):
            return Views(self.graph, self.rows[key])
        return at_row(self.graph, int(self.rows[key]))

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, key: object) -> bool:
        try:
            return isinstance(key, str | tuple | Node | NodeView) and view(self.graph, key).row in self.rows
        except UnknownName:
            return False

    @property
    def names(self) -> list[str]:
        return [v.name for v in self]

    def __repr__(self) -> str:
        few = [f"  {v!r}" for v in self[:10]] + (["  ..."] if len(self) > 10 else [])
        return "\n".join([f"{len(self)} nodes", *few])


# ---------------------------------------------------------------------- finding nodes
def nodes(graph: System) -> Views:
    """All nodes of a graph."""
    return Views(graph, range(len(table_of(graph))))


def at_row(
    graph: System, row: int, symbol: Node | None = None, steps: tuple[int, ...] | None = None
) -> NodeView:
    """The node of a row of `graph.table`; with the symbol, and its steps, that it is asked by."""
    node, index = table_of(graph).locate(row)
    symbols, outputs = _names(graph)
    if symbol is None:
        symbol = node if isinstance(node.op, Symbol) else symbols.get(node)
    output = "" if symbol is not None else outputs.get(node, "")
    made = graph.definitions
    if isinstance(made, Instances):
        at = dict(zip([a for a in node.axes if a in made.extents], index, strict=True))
        if symbol is not None:
            named = [a for a in symbol.axes if a in made.extents]
            symbol = made.make(symbol, at if steps is None else dict(zip(named, steps, strict=True)))
        node = made.make(node, at)
    return NodeView(graph, node, index, row, symbol, indexed(output, index) if output else "")


def _names(graph: System) -> tuple[dict[Node, Node], dict[Node, str]]:
    """The symbols and the outputs by the nodes they name, found once."""
    known: dict[str, tuple[dict[Node, Node], dict[Node, str]]] = graph.known
    if "view names" not in known:
        base = template(graph)
        symbols = {b: s for b, s in base.names.items() if set(b.axes) == set(s.axes)}
        known["view names"] = symbols, {base.outputs[name]: name for name in base.outputs}
    return known["view names"]


def view(graph: System, key: Asked) -> NodeView:
    """One node: `view(g, "loss")`, `view(dag, ("h", 3))`, `view(dag, ("h", 0))`."""
    if isinstance(key, NodeView):
        return key
    if isinstance(key, Node):
        return _of_node(graph, key)
    asked = Key.asked(key)
    for found in (_named, _written, _output):
        if (seen := found(graph, asked)) is not None:
            return seen
    raise _unknown(graph, asked.parsed)


def _named(graph: System, asked: Key) -> NodeView | None:
    """A leaf by its label and steps: the label as it is, else as it reads: "h[3]" is h at 3."""
    for key in (asked, asked.parsed):
        for u in template(graph).labels.get(key.label, ()):
            if (index := _matches(graph, u, key.steps)) is not None:
                return _at_leaf(graph, u, index)
    return None


def _written(graph: System, asked: Key) -> NodeView | None:
    """A leaf by its whole name as it is written: "h[t-1]"."""
    base = template(graph)
    for leaves in (base.symbols, base.inputs, base.params):
        leaf = leaves.get(asked.label) if not asked.steps else None
        if leaf is not None:
            index = _matches(graph, leaf, leaf.op.parameters["index"])
            return None if index is None else at_row(graph, table_of(graph).row(leaf, index))
    return None


def _output(graph: System, asked: Key) -> NodeView | None:
    named = not asked.steps and asked.label in graph.outputs
    return _of_node(graph, graph.outputs[asked.label]) if named else None


def _at_leaf(graph: System, leaf: Node, steps: tuple[int, ...]) -> NodeView:
    row = table_of(graph).row(leaf, steps)
    return at_row(graph, row, leaf, steps) if isinstance(leaf.op, Symbol) else at_row(graph, row)


def _matches(graph: System, node: Node, steps: Sequence[Any]) -> tuple[int, ...] | None:
    """The index of a leaf in the table where `steps` name it."""
    extents = graph.definitions.extents if isinstance(graph.definitions, Instances) else {}
    places = written_places(node)
    if not steps:
        return () if all(_is_open(i, extents) for i in places) else None
    at = steps_at(places, steps, extents)
    return None if at is None else tuple(at[a] for a in node.axes if a in at)


def _is_open(place: Index | int, extents: Mapping[Axis, int]) -> bool:
    """Whether a place need not be said: the present step of an axis that is not unfolded."""
    return isinstance(place, Index) and place.kind == IndexKind.NOW and place.axis not in extents


def _of_node(graph: System, node: Node) -> NodeView:
    made = graph.definitions
    if not isinstance(made, Instances):
        if node in table_of(graph).block_of:
            return _at_leaf(graph, node, ())
    elif (found := made.origin(node)) is not None:
        base, at = found
        index = tuple(at[a] for a in base.axes if a in made.extents)
        return _at_leaf(graph, base, index)
    raise UnknownName(f"{node} is not a node of this graph")


def _unknown(graph: System, asked: Key) -> UnknownName:
    base, label, steps = template(graph), asked.label, asked.steps
    if named := base.labels.get(label):
        axes = dict.fromkeys(a for u in named for a in u.axes)
        sizes = getattr(graph.definitions, "extents", {})
        have = ", ".join(f"{a.name} = 1..{sizes.get(a, a.length)}" for a in axes)
        hint = f"; it is over {have}" if have else ""
        forms = ", ".join(str(u.op) for u in named)
        say = f'say ("{label}", 1)' if not steps else "unfold the graph first" if not sizes and axes else ""
        return UnknownName(f"no node {asked}: {label} stands for {forms}{hint}" + (f"; {say}" if say else ""))
    ordered = dict.fromkeys(label_of(u) for u in base.order if isinstance(u.op, Named))
    known = {**ordered, **dict.fromkeys(base.outputs)}
    near = difflib.get_close_matches(str(label), list(known), 3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"this graph has {', '.join(list(known)[:20])}"
    return UnknownName(f"no node {asked}; {hint}", name=label)


def _is_lazy(graph: System) -> bool:
    return isinstance(graph.definitions, Instances)


# ---------------------------------------------------------------------- neighbours
def parents(graph: System, key: Asked) -> Views:
    """What a node reads, in the order of its arguments."""
    return view(graph, key).parents()


def children(graph: System, key: Asked) -> Views:
    """What reads a node."""
    return view(graph, key).children()


def ancestors(graph: System, key: Asked) -> Views:
    """Everything a node depends on."""
    return Views(graph, reach_rows(*above(graph), [view(graph, key).row]))


def descendants(graph: System, key: Asked) -> Views:
    """Everything that depends on a node."""
    return Views(graph, reach_rows(*below(graph), [view(graph, key).row]))


def above(graph: System) -> tuple[list[int], list[int]]:
    """The rows that each row reads: those of row i are `rows[offsets[i]:offsets[i + 1]]`."""
    return table_of(graph).offsets.tolist(), table_of(graph).parents.tolist()


def below(graph: System) -> tuple[list[int], list[int]]:
    """The rows that read each row, in the same form."""
    offsets, users = table_of(graph).readers
    return offsets.tolist(), users.tolist()


def reach_rows(offsets: list[int], onward: list[int], start: Iterable[int]) -> list[int]:
    """The rows reached by at least one step, ascending."""
    found: set[int] = set()
    waiting = list(start)
    while waiting:
        row = waiting.pop()
        for u in onward[offsets[row] : offsets[row + 1]]:
            if u not in found:
                found.add(u)
                waiting.append(u)
    return sorted(found)


# ---------------------------------------------------------------------- paths
def depth(graph: System) -> int:
    """The longest chain of operations, one needing the result of the other; within one step
    where the graph has axes."""
    table = table_of(graph)
    counts = np.array([not (b.node.op.leaf or b.node.op.structural) for b in table.blocks], dtype=int)
    moves = np.array([b.node.op.structural for b in table.blocks], dtype=bool)
    sizes = [b.count for b in table.blocks]
    work, cut = np.repeat(counts, sizes).tolist(), np.repeat(moves, sizes)
    waiting = np.where(cut, 0, np.diff(table.offsets)).tolist()
    offsets, users = below(graph)
    longest, moving = work[:], cut.tolist()
    ready = [row for row, n in enumerate(waiting) if not n]
    while ready:
        row = ready.pop()
        here = longest[row]
        for user in users[offsets[row] : offsets[row + 1]]:
            if moving[user]:
                continue
            if here + work[user] > longest[user]:
                longest[user] = here + work[user]
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return max(longest, default=0)


def paths(graph: System, a: Asked, b: Asked, limit: int = 100) -> list[tuple[str, ...]]:
    """The directed paths from a to b, as names, at most `limit` of them; an operation
    without a name is told by its kind. No path goes through a node twice."""
    start, end = view(graph, a).row, view(graph, b).row
    inside = {*reach_rows(*below(graph), [start]), start} & {*reach_rows(*above(graph), [end]), end}
    found: list[tuple[str, ...]] = []
    path = [start]
    stack: list[Iterator[int]] = [iter(sorted(set(table_of(graph).users(start)) & inside))]
    while stack and len(found) < limit:
        row = next(stack[-1], None)
        if row is None:
            stack.pop()
            path.pop()
        elif row == end:
            found.append(tuple(at_row(graph, r).name for r in [*path, row]))
        elif row not in path:
            path.append(row)
            stack.append(iter(sorted(set(table_of(graph).users(row)) & inside)))
    return found


# ---------------------------------------------------------------------- networkx
def to_networkx(graph: System) -> Any:
    """The graph as a `networkx.MultiDiGraph`: nodes by name (`add#7` for one without), with
    op, shape, dtype and axes; edges from what is read, with the argument's number and the lag."""
    try:
        networkx = import_module("networkx")
    except ImportError:
        raise UnfoldError("to_networkx needs networkx: pip install networkx") from None
    result = networkx.MultiDiGraph()
    keys = []
    for v in nodes(graph):
        keys.append(v.name if v.is_named and v.name not in result else f"{v.op}#{v.row}")
        axes = tuple(a.name for a in v.axes)
        result.add_node(keys[-1], op=v.op, shape=v.shape, dtype=v.dtype, axes=axes)
    for row, key in enumerate(keys):
        op = table_of(graph).locate(row)[0].op
        for number, u in enumerate(table_of(graph).inputs(row)):
            lag = {"lag": op.lag} if isinstance(op, Delay) and number == 0 else {}
            result.add_edge(keys[u], key, argument=number, **lag)
    return result
