"""Recorded statements as the text of a function for Numba: one pass over each chain of elementwise
statements, products by BLAS or written out, values that only a chain needs kept in registers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from unfold.engine.numpy.records import Body, Cell, Record, Steps, chains, records

SMALL = 512  # multiplications of a product that is written out; BLAS does larger ones
LARGEST = 1 << 16  # ... where no BLAS is found; beyond, the loop is left to NumPy
SCALAR = {
    "add": "({0} + {1})",
    "subtract": "({0} - {1})",
    "multiply": "({0} * {1})",
    "divide": "({0} / {1})",
    "negative": "(-{0})",
    "positive": "{0}",
    "power": "({0} ** {1})",
    "reciprocal": "(_D(1) / {0})",
    "maximum": "({0} if {0} >= {1} or {0} != {0} else {1})",
    "minimum": "({0} if {0} <= {1} or {0} != {0} else {1})",
    "less": "({0} < {1})",
    "less_equal": "({0} <= {1})",
    "greater": "({0} > {1})",
    "greater_equal": "({0} >= {1})",
    "equal": "({0} == {1})",
    "not_equal": "({0} != {1})",
    "logical_and": "({0} != 0 and {1} != 0)",
    "logical_or": "({0} != 0 or {1} != 0)",
    "logical_not": "(not {0})",
    "sign": "(_D({0} > 0) - _D({0} < 0) if {0} == {0} else {0})",
    "absolute": "abs({0})",
    "square": "({0} * {0})",
    "exp": "_exp({0})",
    "tanh": "_tanh({0})",
    **{name: f"_math.{name}({{0}})" for name in ("log", "log1p", "expm1", "sqrt", "sin", "cos")},
}
CALLED = {"at", "shift", "gemm", "gemv", "inner", "total", "top", "abs"}  # no variable has such a name


def cost(record: Record) -> int:
    """The multiplications of a product."""
    a, b = record.operands
    return math.prod(a.shape) * math.prod(b.shape[record.batch :]) // max(1, a.shape[-1])


class Kernel:
    """The lines of one function; `stored` names the buffers that it needs in memory."""

    def __init__(self, body: Body, private: Callable[[str], bool], blas: bool) -> None:
        self.lines: list[str] = []
        self.stored: set[str] = set()
        self.blas = blas
        self.private = private
        self.uses = Counter(c.buffer for r in records(body) for c in r.cells)
        self.fresh = 0
        self.body(body, "    ")

    def body(self, body: Body, indent: str) -> None:
        kinds = {
            "dot": self.product,
            "sum": self.sum,
            "softmax": self.softmax,
            "contract": self.contract,
            "gather": self.gather,
            "scatter": self.scatter,
            "loss": self.cross_entropy,
        }
        for item in chains(body):
            if isinstance(item, str):
                self.lines.append(f"{indent}# {item}")
            elif isinstance(item, Steps):
                n = item.size
                steps = f"range({n})" if item.sign > 0 else f"range({n - 1}, -1, -1)"
                self.lines.append(f"{indent}for {item.counter} in {steps}:")
                start = len(self.lines)
                self.body(item.body, indent + "    ")
                if len(self.lines) == start:
                    self.lines.append(f"{indent}    pass")
            elif isinstance(item, list):
                self.chain(item, indent)
            else:
                self.stored |= {c.buffer for c in item.cells}
                kinds[item.kind](item, indent)

    def name(self) -> str:
        self.fresh += 1
        return f"_v{self.fresh}"

    # ------------------------------------------------------------------ elementwise
    def chain(self, chain: list[Record], indent: str) -> None:
        """Elementwise statements in one pass. What does not change along an inner loop is read before it."""
        chain = _collapsed(chain)
        shape = chain[0].out.shape
        counters = [f"_i{d}" for d in range(len(shape))]
        levels: list[list[str]] = [[] for _ in range(len(shape) + 1)]  # lines inside so many loops
        held: dict[Cell, str] = {}
        hidden = self._hidden(chain)
        last = {r.out: r for r in chain}
        for r in chain:
            for c in r.operands:
                if c.value is None and c not in held:
                    self.stored.add(c.buffer)
                    depth = max((d + 1 for d, s in enumerate(c.strides) if s), default=0)
                    held[c] = self.name()
                    levels[depth].append(f"{held[c]} = {c.entry(counters)}")
            values = [held[c] if c.value is None else c.entry() for c in r.operands]
            held[r.out] = self.name()
            levels[-1].append(f"{held[r.out]} = {_typed(r.out, _expression(r, values))}")
            if last[r.out] is r and r.out.buffer not in hidden:
                self.stored.add(r.out.buffer)
                levels[-1].append(f"{r.out.entry(counters)} = {held[r.out]}")
        for depth, lines in enumerate(levels):
            self.lines.extend(indent + line for line in lines)
            if depth < len(shape):
                self.lines.append(f"{indent}for {counters[depth]} in range({shape[depth]}):")
                indent += "    "

    def _hidden(self, chain: list[Record]) -> set[str]:
        """Buffers that only this chain uses, each entry written before it is read."""
        mine = Counter(c.buffer for r in chain for c in r.cells)
        written: set[Cell] = set()
        early: set[str] = set()
        for r in chain:
            early |= {c.buffer for c in r.operands if c not in written}
            written.add(r.out)
        return {b for b, n in mine.items() if n == self.uses[b] and b not in early and self.private(b)}

    # ------------------------------------------------------------------ products
    def product(self, record: Record, indent: str) -> None:
        """A product, for each step of its shared dimensions."""
        a, b, out = *record.operands, record.out
        batch: list[str] = []
        for d in range(record.batch):
            batch.append(f"_b{d}")
            self.lines.append(f"{indent}for _b{d} in range({a.shape[d]}):")
            indent += "    "
        a, b, out = (_inside(c, batch) for c in (a, b, out))
        if len(a.shape) == len(b.shape) == 1:
            (n,), (step_a,), (step_b,) = a.shape, a.strides, b.strides
            text = f"inner({a.pointer()}, {b.pointer()}, {n}, {step_a}, {step_b}, _D(0))"
            self.lines.append(f"{indent}{out.entry()} = {text}")
        elif not ((self.blas and cost(record) > SMALL) and self._by_blas(a, b, out, indent)):
            self._written_out(a, b, out, indent)

    def _by_blas(self, a: Cell, b: Cell, out: Cell, indent: str) -> bool:
        left, right = _matrix(a), _matrix(b)
        if len(out.shape) == 2 and (out.shape[0] == 1 or out.shape[1] == 1):
            out = _without(out, 0 if out.shape[0] == 1 else 1)
            a, b = (_without(a, 0), b) if a.shape[0] == 1 else (a, _without(b, 1))
        if len(out.shape) == 1:  # a matrix and a vector; a vector times a matrix is the matrix transposed
            matrix, vector, flip = (a, b, False) if len(a.shape) == 2 else (b, a, True)
            stored = _matrix(matrix)
            if stored is None:
                return False
            transposed, ahead = stored
            if vector.strides[0] < 1 or out.strides[0] < 1:
                return False
            m, n = matrix.shape[::-1] if transposed else matrix.shape
            flag = 112 if transposed != flip else 111
            self.lines.append(
                f"{indent}gemv({matrix.pointer()}, {vector.pointer()}, {out.pointer()}, "
                f"{m}, {n}, {flag}, {ahead}, {vector.strides[0]}, {out.strides[0]})"
            )
            return True
        if left is None or right is None or (target := _matrix(out)) is None:
            return False
        if target[0]:  # the result lies transposed: b.T @ a.T
            a, b, left, right = b, a, (not right[0], right[1]), (not left[0], left[1])
        m, n = out.shape[::-1] if target[0] else out.shape
        inside = a.shape[0] if target[0] else a.shape[1]
        flags = ", ".join("112" if t else "111" for t, _ in (left, right))
        self.lines.append(
            f"{indent}gemm({a.pointer()}, {b.pointer()}, {out.pointer()}, {m}, {n}, {inside}, "
            f"{flags}, {left[1]}, {right[1]}, {target[1]})"
        )
        return True

    def _written_out(self, a: Cell, b: Cell, out: Cell, indent: str) -> None:
        """A product as loops, the innermost over neighbouring numbers."""
        if len(b.shape) == 1:  # the matrix second, transposed
            a, b = b, replace(a, shape=a.shape[::-1], strides=a.strides[::-1])
        i = []
        if len(a.shape) == 2:
            self.lines.append(f"{indent}for _i in range({a.shape[0]}):")
            indent, i = indent + "    ", ["_i"]
        inside, columns = b.shape
        target = out.entry([*i, "_j"])
        if b.strides[1] != 1 and b.strides[0] == 1:
            text = f"{a.pointer([*i, '0'])}, {b.pointer(['0', '_j'])}, {inside}, {a.strides[-1]}, 1, _D(0)"
            self.lines.append(f"{indent}for _j in range({columns}):")
            self.lines.append(f"{indent}    {target} = inner({text})")
        else:
            self._rows_added(b, target, indent, lambda k: a.entry([*i, k]))

    def _rows_added(
        self, b: Cell, target: str, indent: str, weight: Callable[[str], str] | None = None
    ) -> None:
        """target = the sum of the rows of b, each times its weight; four rows at once."""
        inside, columns = b.shape
        self.lines.append(f"{indent}for _j in range({columns}):")
        self.lines.append(f"{indent}    {target} = _D(0)")
        even = inside - inside % 4
        for first, last, width in ((0, even, 4), (even, inside, 1)):
            if first < last:
                self.lines.append(f"{indent}for _k in range({first}, {last}, {width}):")
                terms = []
                for q, k in enumerate(["_k", *(f"(_k + {q})" for q in range(1, width))]):
                    if weight is not None:
                        self.lines.append(f"{indent}    _a{q} = {weight(k)}")
                    terms.append(f"_a{q} * " * (weight is not None) + b.entry([k, "_j"]))
                self.lines.append(f"{indent}    for _j in range({columns}):")
                self.lines.append(f"{indent}        {target} += {' + '.join(terms)}")

    def contract(self, record: Record, indent: str) -> None:
        """out = the sum of the operands' product over the counters that out lacks."""
        parts, out, kept = record.operands, record.out, record.batch
        shape = [max(sizes) for sizes in zip(*(c.shape for c in record.cells), strict=True)]
        counters = [f"_i{d}" for d in range(len(shape))]
        heads = [f"for {c} in range({n}):" for c, n in zip(counters, shape, strict=True)]
        close = len(shape) > kept and len(parts) == 2 and all(c.strides[-1] == 1 for c in parts)
        outer = kept if close or not kept else kept - 1
        for head in heads[:outer]:
            self.lines.append(indent + head)
            indent += "    "
        last = heads[outer:kept]  # the innermost loop, where what is summed lies apart
        self.lines += [indent + head for head in last]
        self.lines.append(f"{indent}{'    ' * len(last)}{out.entry(counters)} = _D(0)")
        for head in heads[kept : len(shape) - close]:
            self.lines.append(indent + head)
            indent += "    "
        self.lines += [indent + head for head in last]
        if close:  # neighbours are summed
            start = ", ".join(c.pointer([*counters[:-1], "0"]) for c in parts)
            term = f"inner({start}, {shape[-1]}, 1, 1, _D(0))"
        else:
            term = " * ".join(c.entry(counters) for c in parts)
        self.lines.append(f"{indent}{'    ' * len(last)}{out.entry(counters)} += {term}")

    # ------------------------------------------------------------------ rows at indices
    def gather(self, record: Record, indent: str) -> None:
        """out = the rows of a table at indices."""
        (table, at), out = record.operands, record.out
        row, target = table.entry(["_y", "_k"]), out.entry(["_r", "_k"])
        self._at_rows(at, out.shape, table.shape[0], f"{target} = {row}", indent)

    def scatter(self, record: Record, indent: str) -> None:
        """out = zeros, with each row added at its index."""
        (rows, at), out = record.operands, record.out
        n, columns = out.shape
        self.lines += [
            f"{indent}for _r in range({n}):",
            f"{indent}    for _k in range({columns}):",
            f"{indent}        {out.entry(['_r', '_k'])} = _D(0)",
        ]
        text = f"{out.entry(['_y', '_k'])} += {rows.entry(['_r', '_k'])}"
        self._at_rows(at, rows.shape, n, text, indent)

    def _at_rows(self, at: Cell, shape: tuple[int, ...], size: int, text: str, indent: str) -> None:
        self.lines.append(f"{indent}for _r in range({shape[0]}):")
        self._checked(at, size, "an index is", f"rows 0 to {size - 1}", indent + "    ")
        self.lines += [f"{indent}    for _k in range({shape[1]}):", f"{indent}        {text}"]

    def _checked(self, at: Cell, size: int, what: str, of: str, indent: str) -> None:
        """_y = an index that is inside, counted from the end where it is negative."""
        self.lines += [
            f"{indent}_y = {at.entry(['_r'])}",
            f"{indent}if not -{size} <= _y < {size}:",
            f"{indent}    raise IndexError('{what} not one of the {of}')",
            f"{indent}_y = _y if _y >= 0 else _y + {size}",
        ]

    # ------------------------------------------------------------------ reductions
    def sum(self, record: Record, indent: str) -> None:
        """out = the sum of the operand over its first dimension."""
        (a,), out = record.operands, record.out
        if len(a.shape) == 1 or a.shape[1] == 1:
            text = f"total({a.pointer()}, {a.shape[0]}, {a.strides[0]}, _D(0))"
            self.lines.append(f"{indent}{out.entry(['0'])} = {text}")
        else:
            self._rows_added(a, out.entry(["_j"]), indent)

    def softmax(self, record: Record, indent: str) -> None:
        """out = exp(a) / sum exp(a) along one dimension, for each step of the others."""
        (a,), out, dim = record.operands, record.out, record.dim
        counters = []
        for d, n in enumerate(a.shape):
            counters.append(f"_i{d}" if d != dim else "0")
            if d != dim:
                self.lines.append(f"{indent}for _i{d} in range({n}):")
                indent += "    "
        n, step, to = a.shape[dim], a.strides[dim], out.strides[dim]
        inner = [f"_i{d}" for d in range(len(a.shape))]
        self.lines += [
            f"{indent}_top = top({a.pointer(counters)}, {n}, {step})",
            f"{indent}for _i{dim} in range({n}):",
            f"{indent}    {out.entry(inner)} = _exp({a.entry(inner)} - _top)",
            f"{indent}_sum = total({out.pointer(counters)}, {n}, {to}, _D(0))",
            f"{indent}for _i{dim} in range({n}):",
            f"{indent}    {out.entry(inner)} /= _sum",
        ]

    def cross_entropy(self, record: Record, indent: str) -> None:
        """loss = -log softmax(o)[y] and slope = softmax(o) - one_hot(y), row by row."""
        (scores, labels), (loss, slope) = record.operands, record.outs
        rows, classes = scores.shape
        o, p = scores.entry(["_r", "_k"]), slope.entry(["_r", "_k"])
        self.lines.append(f"{indent}for _r in range({rows}):")
        self._checked(labels, classes, "a label is", f"{classes} classes", indent + "    ")
        self.lines += [
            f"{indent}    _top = top({scores.pointer(['_r', '0'])}, {classes}, {scores.strides[1]})",
            f"{indent}    _chosen = {scores.entry(['_r', '_y'])} - _top",
            f"{indent}    for _k in range({classes}):",
            f"{indent}        {p} = _exp({o} - _top)",
            f"{indent}    _sum = total({slope.pointer(['_r', '0'])}, {classes}, {slope.strides[1]}, _D(0))",
            f"{indent}    {loss.entry(['_r'])} = _math.log(_sum) - _chosen",
            f"{indent}    for _k in range({classes}):",
            f"{indent}        {p} /= _sum",
            f"{indent}    {slope.entry(['_r', '_y'])} -= _D(1)",
        ]


def _expression(record: Record, values: Sequence[str]) -> str:
    if record.kind == "choose":
        return f"{values[1]} if {values[0]} else {values[2]}"
    if record.kind == "fill":
        return "0"
    return SCALAR[record.function].format(*values) if record.kind == "ufunc" else values[0]


def _typed(out: Cell, text: str) -> str:
    return {"f": "_D", "i": "_I", "b": "_B"}[out.row.dtype.kind] + f"({text})"


def _collapsed(chain: list[Record]) -> list[Record]:
    """The same statements with every cell over all counters, and neighbouring dimensions made one where
    every cell goes through both in one stride."""
    shape = chain[0].out.shape
    steps = {c: c.steps(len(shape)) for r in chain for c in r.cells}
    groups: list[list[int]] = []
    for d, n in enumerate(shape):
        if n == 1:
            continue
        if groups and all(s[groups[-1][-1]] == s[d] * n for s in steps.values()):
            groups[-1].append(d)
        else:
            groups.append([d])
    sizes = tuple(math.prod(shape[d] for d in g) for g in groups)

    def new(c: Cell) -> Cell:
        if c.value is not None:
            return c
        return replace(c, shape=sizes, strides=tuple(steps[c][g[-1]] for g in groups))

    return [replace(r, outs=(new(r.out),), operands=tuple(map(new, r.operands))) for r in chain]


def _matrix(cell: Cell) -> tuple[bool, int] | None:
    """How BLAS sees a matrix: whether it is stored transposed, and how far its rows are apart."""
    if len(cell.shape) != 2:
        return None
    (m, n), (down, across) = cell.shape, cell.strides
    if (across == 1 or n == 1) and (down >= n or m == 1):
        return False, max(down, n)
    if (down == 1 or m == 1) and (across >= m or n == 1):
        return True, max(across, m)
    return None


def _without(cell: Cell, dim: int) -> Cell:
    """A matrix with one row or column, as a vector."""
    keep = 1 - dim
    return replace(cell, shape=(cell.shape[keep],), strides=(cell.strides[keep],))


def _inside(cell: Cell, counters: Sequence[str]) -> Cell:
    """A cell at a step of its leading dimensions."""
    k = len(counters)
    at = [(c, s) for c, s in zip(counters, cell.strides, strict=False) if s]
    return replace(cell, loops=(*cell.loops, *at), shape=cell.shape[k:], strides=cell.strides[k:])
