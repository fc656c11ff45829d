"""Statements as the text of a function for Numba: a pass over each chain of elementwise statements,
products by BLAS or written out, sums, softmax, rows at indices, loops whole.

Every buffer is a pointer; an entry of a view is the pointer at its offset and strides. So any view can be
read, and what a compiler must know to use vector instructions (which strides are 1, how far two places of
one block are apart) stands in the text as numbers.
"""

from __future__ import annotations

import keyword
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.core.node import Op
from unfold.engine.numba.joined import Pass, strides_over
from unfold.engine.numba.multiplying import by_blas, turned
from unfold.engine.numba.scalars import TYPES, expression, number
from unfold.engine.numba.suited import cost
from unfold.engine.plan.statement import Items, Statement, Sweep, Verb
from unfold.engine.plan.view import Buffer, Letter, View
from unfold.engine.rewrites.passes import SumOfScatters
from unfold.ops.array.indexing import One_hot, Scatter, Take
from unfold.ops.array.reduction import Softmax
from unfold.ops.choice.losses import Cross_entropy

SMALL = 512  # multiplications of a product that is written out; BLAS does larger ones
CALLED = {"at", "shift", "gemm", "gemv", "inner", "total", "top", "abs", "range", "np", "njit", "inf", "nan"}
Remark = Callable[[Statement | Sweep], Iterable[str]]


class FunctionText:
    """The lines of one function in the making; `buffers` are those it needs in memory, with the names of
    their pointers."""

    def __init__(self, items: Items, blas: bool, remark: Remark | None = None) -> None:
        self.lines: list[str] = []
        self.buffers: dict[Buffer, str] = {}
        self.blas = blas
        self._taken = {*CALLED, *keyword.kwlist}
        self._counters: dict[Axis, str] = {}
        self._indent = "    "
        self._values = 0
        self._remark, self._told = remark, ""
        self._items(items)

    # ------------------------------------------------------------------ lines
    def emit(self, *lines: str) -> None:
        """Lines where statements go now."""
        self.lines.extend(self._indent + line for line in lines)

    @contextmanager
    def inside(self, *heads: str) -> Iterator[None]:
        """Make what follows the body of loops."""
        outer = self._indent
        for head in heads:
            self.emit(head)
            self._indent += "    "
        yield
        self._indent = outer

    def _items(self, items: Items) -> None:
        for item in items:
            if self._remark is not None and not self._counters:
                self._tell(self._remark(item))
            if isinstance(item, Sweep):
                self._sweep(item)
            elif isinstance(item, Pass):
                self._pass(item)
            else:
                _RULES[item.kind](self, item)

    def _tell(self, texts: Iterable[str]) -> None:
        for text in texts:
            if text != self._told:
                self.emit(f"# {text}")
                self._told = text

    def _sweep(self, sweep: Sweep) -> None:
        counter = self._counters[sweep.axis] = f"_c{len(self._counters)}"
        n = sweep.size
        steps = f"range({n})" if sweep.sign > 0 else f"range({n - 1}, -1, -1)"
        with self.inside(f"for {counter} in {steps}:"):
            start = len(self.lines)
            self._items(sweep.body)
            if len(self.lines) == start:
                self.emit("pass")
        del self._counters[sweep.axis]
        self._told = ""

    # ------------------------------------------------------------------ entries
    def pointer_name(self, buffer: Buffer) -> str:
        """The name of the pointer to the first entry of a buffer."""
        if buffer not in self.buffers:
            base = unicodedata.normalize("NFKC", re.sub(r"\W", "_", buffer.name)).lstrip("_")
            base = base if base and not base[0].isdigit() else f"b{base}"
            name, count = base, 2
            while name in self._taken:
                name, count = f"{base}_{count}", count + 1
            self._taken.add(name)
            self.buffers[buffer] = name
        return self.buffers[buffer]

    def place(self, view: View, counters: Sequence[str] = ()) -> str:
        """Where in the buffer an entry lies, for counters over dimensions that it broadcasts against."""
        mine = zip(counters[len(counters) - len(view.shape) :], view.shape, view.strides, strict=True)
        steps = [(self._counters.get(a, a.name), s) for a, s in view.steps]
        terms = [*steps, *((c, s) for c, n, s in mine if n != 1 and s)]
        parts = [c if s == 1 else f"{s} * {c}" for c, s in terms if c != "0"]
        return " + ".join([*parts, *([str(view.offset)] if view.offset or not parts else [])])

    def entry(self, view: View, counters: Sequence[str] = ()) -> str:
        """The entry itself."""
        return f"{self.pointer_name(view.buffer)}[{self.place(view, counters)}]"

    def pointer(self, view: View, counters: Sequence[str] | None = None) -> str:
        """A pointer to an entry, or to the first one."""
        place = self.place(view, ["0"] * len(view.shape) if counters is None else counters)
        return f"shift({self.pointer_name(view.buffer)}, {place})"

    # ------------------------------------------------------------------ elementwise
    def _pass(self, chain: Pass) -> None:
        """What does not change along an inner loop is read before it."""
        shape, statements = _collapsed(chain.chain)
        counters = [f"_i{d}" for d in range(len(shape))]
        levels: list[list[str]] = [[] for _ in range(len(shape) + 1)]  # lines inside so many loops
        held: dict[Any, str] = {}
        last = {s.outputs[0].address: s for s in statements}
        for s in statements:
            for v in s.operands:
                if v.address not in held and number(v) is None:
                    depth = max((d + 1 for d, stride in enumerate(v.strides) if stride), default=0)
                    held[v.address] = self._value()
                    levels[depth].append(f"{held[v.address]} = {self.entry(v, counters)}")
            values = [number(v) or held[v.address] for v in s.operands]
            (out,) = s.outputs
            held[out.address] = self._value()
            levels[-1].append(f"{held[out.address]} = {expression(s, values)}")
            if last[out.address] is s and out.buffer not in chain.hidden:
                levels[-1].append(f"{self.entry(out, counters)} = {held[out.address]}")
        outer = self._indent
        for depth, lines in enumerate(levels):
            self.emit(*lines)
            if depth < len(shape):
                self.emit(f"for {counters[depth]} in range({shape[depth]}):")
                self._indent += "    "
        self._indent = outer

    def _value(self) -> str:
        self._values += 1
        return f"_v{self._values}"

    # ------------------------------------------------------------------ products and sums
    def product(self, s: Statement) -> None:
        """A matrix product, for each step of the dimensions in front."""
        (a, b), (out,) = s.operands, s.outputs
        count = len(out.shape) - 2 if s.kind is Verb.MATMUL else 0
        counters = [f"_b{d}" for d in range(count)]
        with self.inside(*(f"for {c} in range({n}):" for c, n in zip(counters, out.shape, strict=False))):
            a, b, out = (_at(v, counters) for v in (a, b, out))
            if len(a.shape) == len(b.shape) == 1:
                ends = f"{a.shape[0]}, {a.strides[0]}, {b.strides[0]}, _D(0)"
                target = self.entry(out, ["0"] * len(out.shape))
                self.emit(f"{target} = inner({self.pointer(a)}, {self.pointer(b)}, {ends})")
                return
            call = by_blas(self.pointer, a, b, out) if self.blas and cost(s) > SMALL else None
            if call is not None:
                self.emit(call)
            else:
                self._written_out(a, b, out)

    def _written_out(self, a: View, b: View, out: View) -> None:
        """A product as loops, the innermost over neighbouring numbers."""
        if len(b.shape) == 1:  # the matrix second, transposed
            a, b = b, turned(a)
        i = ["_i"] if len(a.shape) == 2 else []
        with self.inside(*(f"for _i in range({a.shape[0]}):" for _ in i)):
            count, columns = b.shape
            target = self.entry(out, [*i, "_j"])
            if b.strides[1] != 1 and b.strides[0] == 1:
                ends = f"{count}, {a.strides[-1]}, 1, _D(0)"
                first, second = self.pointer(a, [*i, "0"]), self.pointer(b, ["0", "_j"])
                with self.inside(f"for _j in range({columns}):"):
                    self.emit(f"{target} = inner({first}, {second}, {ends})")
            else:
                self._rows_added(b, target, lambda k: self.entry(a, [*i, k]))

    def _rows_added(self, b: View, target: str, weight: Callable[[str], str] | None = None) -> None:
        """target = the sum of the rows of b, each times its weight; four rows at once."""
        count, columns = b.shape
        with self.inside(f"for _j in range({columns}):"):
            self.emit(f"{target} = _D(0)")
        even = count - count % 4
        for first, end, width in ((0, even, 4), (even, count, 1)):
            if first == end:
                continue
            with self.inside(f"for _k in range({first}, {end}, {width}):"):
                terms = []
                for q, k in enumerate(["_k", *(f"(_k + {q})" for q in range(1, width))]):
                    if weight is not None:
                        self.emit(f"_a{q} = {weight(k)}")
                    terms.append(f"_a{q} * " * (weight is not None) + self.entry(b, [k, "_j"]))
                with self.inside(f"for _j in range({columns}):"):
                    self.emit(f"{target} += {' + '.join(terms)}")

    def contract(self, s: Statement) -> None:
        """The sum of the operands' product over the letters that the result lacks."""
        kept, sizes, (out, *parts) = _lettered(s)
        counters = [f"_i{d}" for d in range(len(sizes))]
        heads = [f"for {c} in range({n}):" for c, n in zip(counters, sizes, strict=True)]
        close = len(sizes) > kept and len(parts) <= 2 and all(v.strides[-1] == 1 for v in parts)
        outer = kept if close or not kept else kept - 1
        last = heads[outer:kept]  # the innermost loop, where what is summed lies apart
        target = self.entry(out, counters)
        with self.inside(*heads[:outer]):
            with self.inside(*last):
                self.emit(f"{target} = _D(0)")
            with self.inside(*heads[kept : len(sizes) - close], *last):
                if close:  # neighbours are summed
                    start = ", ".join(self.pointer(v, [*counters[:-1], "0"]) for v in parts)
                    name, ends = ("total", "1") if len(parts) == 1 else ("inner", "1, 1")
                    self.emit(f"{target} += {name}({start}, {sizes[-1]}, {ends}, _D(0))")
                else:
                    self.emit(f"{target} += {' * '.join(self.entry(v, counters) for v in parts)}")

    def total(self, s: Statement) -> None:
        """The sum over the first dimension."""
        (a,), (out,) = s.operands, s.outputs
        if len(a.shape) == 1:
            target = self.entry(out, ["0"] * len(out.shape))
            self.emit(f"{target} = total({self.pointer(a)}, {a.shape[0]}, {a.strides[0]}, _D(0))")
        elif a.shape[1] == 1 or (a.strides[0] == 1 and a.strides[1] != 1):
            with self.inside(f"for _j in range({a.shape[1]}):"):
                ends = f"{a.shape[0]}, {a.strides[0]}, _D(0)"
                self.emit(f"{self.entry(out, ['_j'])} = total({self.pointer(a, ['0', '_j'])}, {ends})")
        else:
            self._rows_added(a, self.entry(out, ["_j"]))

    # ------------------------------------------------------------------ softmax
    def softmax(self, s: Statement) -> None:
        """exp(a) / sum exp(a) along one dimension, for each step of the others."""
        (a,), (out,), dim = s.operands, s.outputs, s.what
        inner = [f"_i{d}" for d in range(len(out.shape))]
        first = ["0" if d == dim else c for d, c in enumerate(inner)]
        n, along = out.shape[dim], f"for _i{dim} in range({out.shape[dim]}):"
        others = [f"for {inner[d]} in range({m}):" for d, m in enumerate(out.shape) if d != dim]
        with self.inside(*others):
            self.emit(f"_top = top({self.pointer(a, first)}, {n}, {a.strides[dim]})")
            with self.inside(along):
                self.emit(f"{self.entry(out, inner)} = _exp({self.entry(a, inner)} - _top)")
            self.emit(f"_sum = total({self.pointer(out, first)}, {n}, {out.strides[dim]}, _D(0))")
            with self.inside(along):
                self.emit(f"{self.entry(out, inner)} /= _sum")

    def entropy(self, s: Statement) -> None:
        """loss = -log softmax(o)[y] and slope = softmax(o) - one_hot(y), row by row."""
        (scores, labels), (loss, slope) = s.operands, s.outputs
        rows, classes = slope.shape
        o, p = self.entry(scores, ["_r", "_k"]), self.entry(slope, ["_r", "_k"])
        along = f"for _k in range({classes}):"
        with self.inside(f"for _r in range({rows}):"):
            self._checked(self.entry(labels, ["_r"]), classes, "a label is", f"{classes} classes")
            ends = f"{classes}, {scores.strides[1]}"
            self.emit(
                f"_top = top({self.pointer(scores, ['_r', '0'])}, {ends})",
                f"_chosen = {self.entry(scores, ['_r', '_y'])} - _top",
            )
            with self.inside(along):
                self.emit(f"{p} = _exp({o} - _top)")
            ends = f"{classes}, {slope.strides[1]}, _D(0)"
            self.emit(
                f"_sum = total({self.pointer(slope, ['_r', '0'])}, {ends})",
                f"{self.entry(loss, ['_r'])} = _math.log(_sum) - _chosen",
            )
            with self.inside(along):
                self.emit(f"{p} /= _sum")
            self.emit(f"{self.entry(slope, ['_r', '_y'])} -= _D(1)")

    # ------------------------------------------------------------------ rows at indices
    def call(self, s: Statement) -> None:
        """The few other operations that are written out."""
        next(rule for kind, rule in _CALLS.items() if isinstance(s.what[0], kind))(self, s)

    def _cross_entropy(self, s: Statement) -> None:
        """-log softmax(o)[y], row by row."""
        (scores, labels), (out,) = s.operands, s.outputs
        classes = scores.shape[-1]
        rows = [f"_i{d}" for d in range(len(out.shape))]
        first, entry = self.pointer(scores, [*rows, "0"]), self.entry(scores, [*rows, "_k"])
        with self.inside(*(f"for {c} in range({n}):" for c, n in zip(rows, out.shape, strict=True))):
            self._checked(self.entry(labels, rows), classes, "a label is", f"{classes} classes")
            self.emit(f"_top = top({first}, {classes}, {scores.strides[-1]})", "_sum = _D(0)")
            with self.inside(f"for _k in range({classes}):"):
                self.emit(f"_sum += _exp({entry} - _top)")
            chosen = self.entry(scores, [*rows, "_y"])
            self.emit(f"{self.entry(out, rows)} = _math.log(_sum) - ({chosen} - _top)")

    def _softmax_along(self, s: Statement) -> None:
        """A softmax along one dimension that is not where neighbours lie."""
        self.softmax(replace(s, what=s.what[0].dims[0] + len(s.outputs[0].shape)))

    def _gather(self, s: Statement) -> None:
        (table, at), (out,) = s.operands, s.outputs
        rank = s.what[0].ranks[1]
        lead = len(at.shape) - rank
        counters = [f"_i{d}" for d in range(len(out.shape))]
        index, row = counters[: lead + rank], counters[lead + rank :]
        heads = [f"for {c} in range({n}):" for c, n in zip(counters, out.shape, strict=True)]
        size = table.shape[lead]
        with self.inside(*heads[: lead + rank]):
            self._checked(self.entry(at, index), size, "an index is", f"rows 0 to {size - 1}")
            with self.inside(*heads[lead + rank :]):
                source = self.entry(table, [*counters[:lead], "_y", *row])
                self.emit(f"{self.entry(out, counters)} = {TYPES[out.buffer.dtype.kind]}({source})")

    def _scatter(self, s: Statement) -> None:
        """Zeros, with each row added at its index, over the axes that are summed too."""
        (rows, at), (out,) = s.operands, s.outputs
        op, rank = s.what[0], s.what[0].ranks[1]
        lead, kind = len(at.shape) - rank, TYPES[out.buffer.dtype.kind]
        gone = {d + len(rows.shape) for d in op.dims} if isinstance(op, SumOfScatters) else set()
        filled = [f"_i{d}" for d in range(len(out.shape))]
        with self.inside(*(f"for {c} in range({n}):" for c, n in zip(filled, out.shape, strict=True))):
            self.emit(f"{self.entry(out, filled)} = {kind}(0)")
        ahead = np.broadcast_shapes(rows.shape[:lead], at.shape[:lead])
        sizes = (*ahead, *at.shape[lead:], *rows.shape[lead + rank :])
        counters = [f"_i{d}" for d in range(len(sizes))]
        heads = [f"for {c} in range({n}):" for c, n in zip(counters, sizes, strict=True)]
        kept = [c for d, c in enumerate(counters[:lead]) if d not in gone]
        size = out.shape[len(kept)]
        with self.inside(*heads[: lead + rank]):
            index = self.entry(at, counters[: lead + rank])
            self._checked(index, size, "an index is", f"rows 0 to {size - 1}")
            with self.inside(*heads[lead + rank :]):
                target = self.entry(out, [*kept, "_y", *counters[lead + rank :]])
                self.emit(f"{target} += {self.entry(rows, counters)}")

    def _hot(self, s: Statement) -> None:
        (at,), (out,) = s.operands, s.outputs
        counters = [f"_i{d}" for d in range(len(out.shape))]
        with self.inside(*(f"for {c} in range({n}):" for c, n in zip(counters, out.shape, strict=True))):
            kind = TYPES[out.buffer.dtype.kind]
            self.emit(
                f"{self.entry(out, counters)} = {kind}({self.entry(at, counters[:-1])} == {counters[-1]})"
            )

    def _checked(self, at: str, size: int, what: str, of: str) -> None:
        """_y = an index that is inside, counted from the end where it is negative."""
        self.emit(f"_y = {at}")
        with self.inside(f"if not -{size} <= _y < {size}:"):
            self.emit(f"raise IndexError('{what} not one of the {of}')")
        self.emit(f"_y = _y if _y >= 0 else _y + {size}")


_CALLS: Mapping[type[Op], Callable[[FunctionText, Statement], None]] = {
    Take: FunctionText._gather,
    Scatter: FunctionText._scatter,
    SumOfScatters: FunctionText._scatter,
    One_hot: FunctionText._hot,
    Cross_entropy: FunctionText._cross_entropy,
    Softmax: FunctionText._softmax_along,
}
_RULES: Mapping[Verb, Callable[[FunctionText, Statement], None]] = {
    Verb.DOT: FunctionText.product,
    Verb.MATMUL: FunctionText.product,
    Verb.EINSUM: FunctionText.contract,
    Verb.TOTAL: FunctionText.total,
    Verb.PARTIAL: FunctionText.total,
    Verb.SOFTMAX: FunctionText.softmax,
    Verb.ENTROPY: FunctionText.entropy,
    Verb.CALL: FunctionText.call,
}


def _at(view: View, counters: Sequence[str]) -> View:
    """A view at a step of its leading dimensions, which counters of these names go through."""
    k = len(counters)
    pairs = zip(counters, view.shape, view.strides, strict=False)
    steps = [(Axis(c), s) for c, n, s in pairs if s and n != 1]
    return View(
        view.buffer, view.offset, view.letters[k:], view.shape[k:], view.strides[k:], (*view.steps, *steps)
    )


def _over(view: View, shape: Sequence[int], strides: Sequence[int]) -> View:
    """A view with other dimensions, which have no letters."""
    return View(view.buffer, view.offset, (None,) * len(shape), tuple(shape), tuple(strides), view.steps)


def _collapsed(chain: Sequence[Statement]) -> tuple[tuple[int, ...], list[Statement]]:
    """The statements with every view over all dimensions, and neighbouring ones made one where every view
    goes through both in one stride."""
    shape = chain[0].outputs[0].shape
    views = [v for s in chain for v in (*s.outputs, *s.operands)]
    groups = _nested(shape, [strides_over(v, len(shape)) for v in views])
    sizes = tuple(math.prod(shape[d] for d in g) for g in groups)

    def new(v: View) -> View:
        strides = strides_over(v, len(shape))
        steps = [strides[g[-1]] for g in groups]
        return View(v.buffer, v.offset, (None,) * len(sizes), sizes, tuple(steps), v.steps)

    made = [
        replace(s, outputs=tuple(map(new, s.outputs)), operands=tuple(map(new, s.operands))) for s in chain
    ]
    return sizes, made


def _nested(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> list[list[int]]:
    """Dimensions in groups: in each group every view goes from one entry to the next in one stride."""
    groups: list[list[int]] = []
    for d, n in enumerate(shape):
        if n == 1:
            continue
        if groups and all(s[groups[-1][-1]] == s[d] * n for s in strides):
            groups[-1].append(d)
        else:
            groups.append([d])
    return groups


def _lettered(s: Statement) -> tuple[int, list[int], list[View]]:
    """Result and operands of a sum of products over all letters, neighbouring ones made one where that is
    no change: how many dimensions are kept, all sizes, the views."""
    (out,) = s.outputs
    letters: list[Letter] = list(
        dict.fromkeys(x for v in (out, *s.operands) for x in v.letters if x is not None)
    )
    kept = len({x for x in out.letters if x is not None})
    sizes = dict.fromkeys(letters, 1)
    for v in (out, *s.operands):
        for x, n in zip(v.letters, v.shape, strict=True):
            if n != 1 and x is not None:
                sizes[x] = n

    def steps(v: View) -> list[int]:
        found = dict.fromkeys(letters, 0)
        for x, n, stride in zip(v.letters, v.shape, v.strides, strict=True):
            if x is not None and n != 1:
                found[x] += stride
        return list(found.values())

    views = [out, *s.operands]
    every = [steps(v) for v in views]
    shape = [sizes[x] for x in letters]
    first = _nested(shape[:kept], [e[:kept] for e in every])
    second = [[d + kept for d in g] for g in _nested(shape[kept:], [e[kept:] for e in every])]
    groups = [*first, *second]
    flat = [math.prod(shape[d] for d in g) for g in groups]
    return (
        len(first),
        flat,
        [_over(v, flat, [e[g[-1]] for g in groups]) for v, e in zip(views, every, strict=True)],
    )
