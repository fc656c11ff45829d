"""The equations of a graph in the order in which one reads them.

What is read comes before what reads it, otherwise the order of the source; boundary values
stand before their variable, adjoints after the system they belong to. A large expression
that several equations share gets a name of its own (`a1[t]`). Long unfolded graphs are
shown by their first steps and their last.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from unfold.analysis.arrows import ArrowKind, arrows
from unfold.analysis.instances import Instances, template
from unfold.analysis.naming import named_bodies, unrepeated
from unfold.analysis.schedule import Edge, components
from unfold.core.key import Key
from unfold.core.kinds import IndexKind, Role
from unfold.core.leaves import Symbol, label_of
from unfold.core.node import Node
from unfold.core.system import System, postorder
from unfold.notation.writer import Writer
from unfold.ops.time.delays import Structural

LARGE = 12  # leaves and operations of a shared expression worth a name
LONG = 60  # equations of a graph shown in full
HUGE = 5000  # equations of an unfolded graph that are not even made to be shown
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Equation:
    """`symbol = body`, or an output by its name; `gap`: others were left out before it."""

    symbol: Node | None
    body: Node
    name: str = ""
    gap: bool = False


class Listing:
    """What a printed graph consists of."""

    def __init__(self, graph: System) -> None:
        self.graph = graph
        self.lazy = isinstance(graph.definitions, Instances) and len(graph.definitions) > HUGE
        self.base = template(graph) if self.lazy else graph
        self.roles = roles(self.base.order)
        self.defined = {(s.op.label, s.op.index) for s in self.base.order if isinstance(s.op, Symbol)}
        self.names: dict[Node, Node] = {}
        self.invented: dict[Node, Node] = {}
        if not self.lazy:
            self.names = named_bodies(graph)
            self.invented = shared(graph, self.names)
            self.names |= self.invented

    def equations(self) -> tuple[list[Equation], list[Equation]]:
        """The equations of the system, then those of derivatives and of outputs."""
        order, skipped = self._symbols()
        last = {s.op.label: s for s in order if isinstance(s.op, Symbol)}
        first: list[Equation] = []
        second: list[Equation] = []
        told: set[Node] = set()
        before = False
        for s in order:
            assert isinstance(s.op, Symbol)
            late = s.op.label in self.roles
            body = self.graph.definitions[s]
            ends = s.op.label in skipped and last[s.op.label] is s
            into = second if late else first
            if self.names.get(body, s) is not s:
                body = self.names[body]
            into.extend(self._parts(body, told))
            into.append(Equation(s, body, gap=ends and not before))
            before = ends
        for name, node in self._outputs():
            second.extend(self._parts(node, told))
            second.append(Equation(None, node, name))
        return first, second

    def _parts(self, body: Node, told: set[Node]) -> Iterator[Equation]:
        """The invented names that a body needs and that were not written yet."""
        if not self.invented:
            return
        for node in postorder([body]):
            if node in self.invented and node not in told:
                told.add(node)
                yield Equation(self.invented[node], node)

    # ------------------------------------------------------------------ which, in which order
    def _symbols(self) -> tuple[list[Node], set[str]]:
        """The symbols to show, in order, and the labels of which some are not shown."""
        if isinstance(self.graph.definitions, Instances) and self.lazy:
            return self._tiled(self.graph.definitions)
        order = self._sorted(list(self.graph.symbols.values()))
        if len(order) <= LONG or self.graph.axes:
            return order, set()
        groups: dict[str, list[Node]] = {}
        for s in order:
            groups.setdefault(label_of(s), []).append(s)
        inside = {label: [s for s in group if not _outside(s)] for label, group in groups.items()}
        long = {label: group for label, group in inside.items() if len(group) > 4}
        left_out = {s for group in long.values() for s in group[3:-1]}
        return [s for s in order if s not in left_out], set(long)

    def _tiled(self, made: Instances) -> tuple[list[Node], set[str]]:
        """The first steps and the last of each variable; the other way round for adjoints."""
        order: list[Node] = []
        skipped: set[str] = set()
        for s in self._sorted(list(self.base.symbols.values())):
            axes = [a for a in s.axes if a in made.extents]
            ends = [sorted({1, 2, 3, made.extents[a]} & {*range(1, made.extents[a] + 1)}) for a in axes]
            if label_of(s) in self.roles:
                ends = [
                    [n + 1 - k for k in steps]
                    for steps, n in zip(ends, (made.extents[a] for a in axes), strict=True)
                ]
            order += [made.make(s, dict(zip(axes, steps, strict=True))) for steps in product(*ends)]
            if any(made.extents[a] > 4 for a in axes):
                skipped.add(label_of(s))
        return order, skipped

    def _outputs(self) -> Iterator[tuple[str, Node]]:
        """The outputs that are more than a variable of the same name. Those of a huge graph
        are shown as sums over the axis."""
        for members in grouped({n: self.graph.key(n).label for n in self.graph.outputs}).values():
            for name in members if len(members) <= LONG else [*members[:3], members[-1]]:
                node = (self.base if self.lazy and name in self.base.outputs else self.graph).outputs[name]
                symbol = self.names.get(node, node)
                same = isinstance(symbol.op, Symbol) and name in (symbol.op.label, str(symbol.op))
                if not same and str(node.op) != name:
                    yield name, node if node in self.invented or symbol is node else symbol

    def _sorted(self, symbols: list[Node]) -> list[Node]:
        key = self._keys(symbols)
        if not self.base.axes:
            inside = set(symbols)
            needs = {s: _reads(self.graph.definitions[s], self.names) & inside - {s} for s in symbols}
            return ordered(symbols, needs, key)
        groups: dict[str, list[Node]] = {}
        for s in symbols:
            groups.setdefault(s.op.parameters["label"], []).append(s)
        links = [a for a in arrows(self.base) if isinstance(a.source.op, Symbol) and not a.output]
        edges = [Edge(groups[u][0], groups[v][0], ()) for u, v in (a.names for a in links)]
        parts = components([group[0] for group in groups.values()], edges)
        part = {s.op.parameters["label"]: k for k, group in enumerate(parts) for s in group}
        wants: dict[str, set[str]] = {label: set() for label in groups}
        for a in links:
            source, target = a.names
            if source != target and (a.kind == ArrowKind.NOW or part[source] != part[target]):
                wants[target].add(source)
        first = {label: min(map(key, group)) for label, group in groups.items()}
        out = []
        for label in ordered(list(groups), wants, first.__getitem__):
            late = label in self.roles
            out += sorted(groups[label], key=lambda s: (_boundary(s) is late, key(s)))
        return out

    def _keys(self, symbols: list[Node]) -> Callable[[Node], tuple[object, ...]]:
        """Written equations by source line, others by appearance."""
        rank: dict[str, tuple[int, str, int]] = {}
        for number, s in enumerate(symbols):
            label = s.op.parameters["label"]
            file, _, line = (s.where or "").rpartition(":")
            written = label not in self.roles and line.isdigit()
            mine = (0, file, int(line)) if written else (1, "", number)
            rank[label] = min(rank.get(label, mine), mine)
        return lambda s: (*rank[s.op.parameters["label"]], _steps(s))


@dataclass(frozen=True)
class Line:
    """`left = right` as written; both empty where equations were left out."""

    left: str = ""
    right: str = ""


def lines(listing: Listing, writer: Writer) -> list[list[Line]]:
    """The equations as written: the system, then its adjoints and outputs (all in one where
    there are no adjoints), with what is zero beyond the ends."""
    known = {*listing.base.params, *listing.base.inputs, *listing.graph.spare}
    labels = {label_of(u) for u in (*listing.base.params.values(), *listing.base.inputs.values())}
    writer.roles |= {f"d{label}": Role.ADJOINT for label in (*labels, *listing.graph.spare)}
    system, rest = listing.equations()
    parts = [system, rest] if listing.roles else [system + rest]
    written: list[list[tuple[str, Line]]] = []
    for part in parts:
        block: list[tuple[str, Line]] = []
        for e in part:
            label, left = _left(e, listing.graph.key(e.name), writer, known)
            block += [("", Line())] if e.gap else []
            block.append((label, Line(left, writer.write(unrepeated(e.body)).text)))
        written.append(block)
    beyond: dict[str, list[Line]] = {}
    for text, symbol in writer.fills.items():
        beyond.setdefault(label_of(symbol), []).append(Line(text, "0"))
    told = [_with_fills(block, beyond) for block in written]
    first = {label for label, _ in written[0]}
    inputs = [
        text for text, s in writer.fills.items() if not isinstance(s.op, Symbol) and label_of(s) not in first
    ]
    told[0][:0] = [Line(text, "0") for text in reversed(inputs)]
    return [block for block in told if block]


def _with_fills(block: list[tuple[str, Line]], beyond: Mapping[str, list[Line]]) -> list[Line]:
    """The lines, what is zero beyond the ends of a variable before its first equation."""
    out: list[Line] = []
    told: set[str] = set()
    for label, line in block:
        if label not in told:
            out += beyond.get(label, ())
            told.add(label)
        out.append(line)
    return out


def _left(equation: Equation, key: Key, writer: Writer, known: set[str]) -> tuple[str, str]:
    """The label and the left side of an equation; the gradient of W is written dW."""
    if equation.symbol is not None:
        return label_of(equation.symbol), writer.leaf_at(equation.symbol, {})
    indices = [*map(str, key.steps), *(writer.index(a.now) for a in equation.body.axes)]
    return "", writer.leaf(f"d{key.label}" if equation.name in known else key.label, indices)


def by_source(names: Mapping[str, Node]) -> list[str]:
    """Names in the order in which they were written; steps ascending."""

    def key(name: str) -> tuple[object, ...]:
        file, _, line = (names[name].where or "").rpartition(":")
        return file, int(line) if line.isdigit() else 0

    order = sorted(names, key=key)
    groups = grouped({name: label_of(names[name]) for name in order})
    return [name for group in groups.values() for name in sorted(group, key=lambda n: _steps(names[n]))]


def _boundary(symbol: Node) -> bool:
    return any(not isinstance(i, int) and i.kind != IndexKind.NOW for i in symbol.op.parameters["index"])


def _outside(symbol: Node) -> bool:
    return any(isinstance(i, int) and i < 1 for i in symbol.op.parameters["index"])


def _steps(symbol: Node) -> tuple[tuple[int, int], ...]:
    """A key by index; an unfolded backward variable is sorted by its step too."""
    index = symbol.op.parameters.get("index", ())
    return tuple((1, i) if isinstance(i, int) else (0, i.offset) for i in index)


def _reads(body: Node, names: Mapping[Node, Node]) -> set[Node]:
    """The symbols in a body."""
    return {names.get(n, n) for n in postorder([body]) if isinstance(n.op, Symbol) or n in names}


def grouped(labels: Mapping[str, str]) -> dict[str, list[str]]:
    """Written forms, each given with its label, by label: {"h": ["h[1]", "h[2]"]}."""
    groups: dict[str, list[str]] = {}
    for name, label in labels.items():
        groups.setdefault(label, []).append(name)
    return groups


def roles(nodes: Iterable[Node]) -> dict[str, Role]:
    """The labels of adjoints and tangents among nodes."""
    return {s.op.label: s.op.role for s in nodes if isinstance(s.op, Symbol) and s.op.role}


def shared(graph: System, names: Mapping[Node, Node]) -> dict[Node, Node]:
    """Names for large expressions that stand in several places."""
    uses: dict[Node, int] = {}
    for node in graph.definitions.values():
        uses[node] = uses.get(node, 0) + 1
    for node in reversed(graph.order):
        passing = isinstance(node.op, Structural)
        for u in node.inputs:
            uses[u] = uses.get(u, 0) + (uses.get(node, 1) if passing else 1)
    taken = {label_of(n) for n in graph.order if n.op.leaf} | {a.name for a in graph.axes}
    weight: dict[Node, int] = {}
    invented: dict[Node, Node] = {}
    for node in graph.order:
        inside = sum(weight[u] for u in node.inputs)
        weight[node] = 1 if node in names else inside + (not isinstance(node.op, Structural))
        if weight[node] <= LARGE or uses.get(node, 0) < 2 or isinstance(node.op, Structural):
            continue
        number = len(invented) + 1
        while f"a{number}" in taken:
            number += 1
        taken.add(f"a{number}")
        op = Symbol(f"a{number}", tuple(a.now for a in node.axes))
        invented[node] = Node(op, (), node.axes, node.shape, node.dtype)
        weight[node] = 1
    return invented


def ordered(items: list[K], needs: Mapping[K, Iterable[K]], key: Callable[[K], object]) -> list[K]:
    """The items, each after what it needs, otherwise by key (Kahn 1962); where a cycle leaves
    no such order, the item with the smallest key goes first."""
    users: dict[K, list[K]] = {}
    waiting = {item: len(set(needs[item])) for item in items}
    for item in items:
        for u in set(needs[item]):
            users.setdefault(u, []).append(item)
    number = {item: k for k, item in enumerate(items)}
    ready = [(key(i), number[i]) for i in items if not waiting[i]]
    rest = [(key(i), number[i]) for i in items]
    heapq.heapify(ready)
    heapq.heapify(rest)
    out: dict[K, None] = {}
    while len(out) < len(items):
        item = items[heapq.heappop(ready or rest)[1]]
        if item in out:
            continue
        out[item] = None
        for user in users.get(item, ()):
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, (key(user), number[user]))
    return list(out)
