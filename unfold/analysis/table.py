"""A graph as arrays: one row a node, its parents by number.

An unfolded graph is periodic, so its table is the cyclic graph's, tiled: a *block* per
operation, a row per (operation, index). A million nodes take some ten bytes each and no
Python object; `Graph.definitions` makes node objects when somebody looks.

Symbols have no row of their own: `h` is the row of the operation that computes it. Only a
symbol that merely renames or moves a value (`g[t] = h[t-1]`) is a row, a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unfold.analysis.instances import Instances
from unfold.core.axis import Axis
from unfold.core.errors import UnknownName
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.core.system import System
from unfold.ops.time.delays import Structural, sources, zeros

Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Block:
    """The rows of one node: `base`, `base + 1`, ... in the order of its indices."""

    node: Node
    base: int
    axes: tuple[Axis, ...]
    sizes: tuple[int, ...]

    @property
    def count(self) -> int:
        return int(np.prod(self.sizes, dtype=np.int64))


@dataclass(frozen=True)
class Table:
    """Rows in blocks; the parents of row i are `parents[offsets[i]:offsets[i + 1]]`."""

    blocks: tuple[Block, ...]
    offsets: Rows
    parents: Rows
    block_of: Mapping[Node, int]  # node (or symbol) -> number of its block

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self.offsets.nbytes + self.parents.nbytes

    @cached_property
    def bases(self) -> NDArray[np.int64]:
        return np.array([b.base for b in self.blocks], dtype=np.int64)

    def locate(self, row: int) -> tuple[Node, tuple[int, ...]]:
        """The node of a row and its index (steps count from 1), one number an axis."""
        block = self.blocks[int(np.searchsorted(self.bases, row, side="right")) - 1]
        where = np.unravel_index(row - block.base, block.sizes) if block.sizes else ()
        return block.node, tuple(int(i) + 1 for i in where)

    def row(self, node: Node, index: tuple[int, ...] = ()) -> int:
        """The row of a node (or symbol) at an index."""
        if node not in self.block_of:
            raise UnknownName(f"{node} is not in this graph")
        block = self.blocks[self.block_of[node]]
        axes = node.axes if len(index) == len(node.axes) else block.axes
        steps = dict(zip(axes, index, strict=True))
        here = [(steps[a], n) for a, n in zip(block.axes, block.sizes, strict=True)]
        if any(not 1 <= i <= n for i, n in here):
            raise UnknownName(f"{node} has no step {index}: the sizes are {block.sizes}")
        at = np.ravel_multi_index([i - 1 for i, _ in here], block.sizes) if here else 0
        return block.base + int(at)

    def inputs(self, row: int) -> list[int]:
        """The rows a row reads, in the order of its arguments."""
        return [int(p) for p in self.parents[self.offsets[row] : self.offsets[row + 1]]]

    @cached_property
    def readers(self) -> tuple[Rows, Rows]:
        """As `offsets` and `parents`, the other way: the rows that read each row."""
        order = np.argsort(self.parents, kind="stable")
        counts = np.bincount(self.parents, minlength=len(self))
        readers = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), readers[order]

    def users(self, row: int) -> list[int]:
        """The rows that read a row (twice where it is read twice)."""
        offsets, readers = self.readers
        return [int(r) for r in readers[offsets[row] : offsets[row + 1]]]

    @cached_property
    def order(self) -> Rows:
        """The rows in an order of computation (Kahn 1962, iterative); shorter than the table
        when a cycle leaves no such order."""
        waiting = np.diff(self.offsets).tolist()
        offsets, readers = (a.tolist() for a in self.readers)
        ready = [row for row, n in enumerate(waiting) if not n][::-1]
        out = []
        while ready:
            row = ready.pop()
            out.append(row)
            for user in readers[offsets[row] : offsets[row + 1]]:
                waiting[user] -= 1
                if not waiting[user]:
                    ready.append(user)
        return np.array(out, dtype=np.int32)

    def __iter__(self) -> Iterator[tuple[Node, tuple[int, ...]]]:
        return (self.locate(row) for row in range(len(self)))


def is_copy(graph: System, symbol: Node) -> bool:
    """Whether a symbol only renames or moves a value, and so is a row of its own."""
    body = graph.definitions[symbol]
    return body.op.leaf or body.op.structural


def table_of(graph: System) -> Table:
    """The table of a graph, made once."""
    if "table" not in graph.known:
        made = graph.definitions
        whole = (made.graph, made.extents) if isinstance(made, Instances) else (graph, {})
        graph.known["table"] = build(*whole)
    table: Table = graph.known["table"]
    return table


def build(graph: System, sizes: Mapping[Axis, int]) -> Table:
    """The table of a graph, tiled over the axes in `sizes`. Time operations on those axes
    vanish into the numbers of the parents; without any (`{}`) it is the cyclic graph itself."""
    own = [n for n in graph.order if _has_row(graph, n, sizes)]
    own += _zeros(graph.order, sizes)
    blocks: list[Block] = []
    block_of: dict[Node, int] = {}
    base = 0
    for node in own:
        axes = tuple(a for a in node.axes if a in sizes)
        block_of[node] = len(blocks)
        blocks.append(Block(node, base, axes, tuple(sizes[a] for a in axes)))
        base += blocks[-1].count
    for symbol in graph.order:
        if isinstance(symbol.op, Symbol) and symbol not in block_of:
            block_of[symbol] = block_of[graph.definitions[symbol]]
    reader = _Parents(graph, blocks, block_of, sizes)
    columns = [reader.parents(b) for b in blocks]
    widths = np.array([c.shape[1] for c in columns], dtype=np.int32)
    offsets = np.zeros(base + 1, dtype=np.int32)
    np.cumsum(np.repeat(widths, [b.count for b in blocks]), out=offsets[1:])
    parents = np.concatenate([c.ravel() for c in columns] or [np.zeros(0, dtype=np.int32)])
    return Table(tuple(blocks), offsets, parents.astype(np.int32, copy=False), block_of)


def _has_row(graph: System, node: Node, sizes: Mapping[Axis, int]) -> bool:
    if isinstance(node.op, Symbol):
        return is_copy(graph, node)
    return not (isinstance(node.op, Structural) and node.op.axis in sizes)


def _zeros(nodes: Iterable[Node], sizes: Mapping[Axis, int]) -> list[Node]:
    """One node of zeros for each kind of value that a time operation may fill in."""
    fill = [n for n in nodes if isinstance(n.op, Structural) and n.op.axis in sizes and n.op.fills(n)]
    return list({(n.shape, n.dtype): zeros(n.shape, n.dtype) for n in fill}.values())


@dataclass(frozen=True)
class _Parents:
    """Finds the rows that a node reads, for all indices of its block at once."""

    graph: System
    blocks: list[Block]
    block_of: dict[Node, int]
    sizes: Mapping[Axis, int]

    def parents(self, block: Block) -> Rows:
        """Row numbers, (count, number of inputs)."""
        node = block.node
        columns = [np.zeros((block.count, 0), dtype=np.int32)]
        if not block.count:
            return columns[0]
        for source in self.graph.inputs_of(node):
            whole = [a for a in node.op.spans if a in source.axes and a in self.sizes]
            axes = [*block.axes, *whole]
            one = {a: [-1 if b == a else 1 for b in axes] for a in axes}
            at = {a: np.arange(1, self.sizes[a] + 1, dtype=np.int32).reshape(one[a]) for a in axes}
            rows = np.broadcast_to(self.rows(source, at), [self.sizes[a] for a in axes])
            columns.append(rows.reshape(block.count, int(np.prod([self.sizes[a] for a in whole]))))
        return np.concatenate(columns, axis=1, dtype=np.int32)

    def rows(self, node: Node, at: Mapping[Axis, Rows]) -> Rows:
        """The rows of a node at the given steps (arrays that broadcast). Time operations
        are looked through; their chains are short, so recursion is."""
        if node in self.block_of:
            block = self.blocks[self.block_of[node]]
            row: Rows = np.asarray(block.base, dtype=np.int32)
            stride = 1
            for axis, n in reversed(list(zip(block.axes, block.sizes, strict=True))):
                row = row + (at[axis] - 1) * np.int32(stride)
                stride *= n
            return row
        op = node.op
        assert isinstance(op, Structural)
        here = at.get(op.axis, np.asarray(0, dtype=np.int32))
        which, index = sources(node, here, self.sizes[op.axis])
        out: Rows = np.asarray(0, dtype=np.int32)
        for number in range(-1, len(node.inputs)):
            mask = which == number
            if not mask.any():
                continue
            if number < 0:
                source = next(n for n in self.block_of if n.op.name == "zeros" and _same(n, node))
            else:
                source = node.inputs[number]
            inner = {**at, op.axis: np.clip(index, 1, max(1, self.sizes[op.axis])).astype(np.int32)}
            out = np.where(mask, self.rows(source, inner), out)
        return out


def _same(a: Node, b: Node) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype
