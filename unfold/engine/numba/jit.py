"""A plan compiled by Numba, as far as it can be; everything else is the NumPy backend's.

Statements are recorded beside the NumPy lines that print them. A run of them that can be compiled,
loops and what is done for all steps at once, becomes one function: `kernels` writes it, `modules`
compiles and keeps it. Where a loop cannot be compiled it stays as it was, and the source says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from unfold.engine.binding import Array
from unfold.engine.numba.kernels import CALLED, LARGEST, SCALAR, Kernel, cost
from unfold.engine.numba.modules import has_blas
from unfold.engine.numpy.lines import Source
from unfold.engine.numpy.records import Cell, Record, Steps, records
from unfold.engine.numpy.storage import Letters, Var

ALIGNED = 16  # numbers: buffers start at multiples of it


@dataclass
class Part:
    """A compiled part of the plan, and where its call stands."""

    name: str
    body: list[Record | Steps | str]
    line: int


@dataclass
class JitSource(Source):
    """A source of which runs of statements are compiled where they can be."""

    broadcasts = joins = False

    parts: list[Part] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    region: list[Record | Steps | str] = field(default_factory=list)  # statements since the last plain line
    plain: list[Callable[[], None]] = field(default_factory=list)  # ... and what prints them as NumPy lines
    reason: str = ""  # why the open loop cannot be compiled
    depth: int = 0  # of statements that print themselves through others
    origins: dict[int, tuple[str, Array]] = field(default_factory=dict)  # memory -> its first variable
    made: dict[str, tuple[int, Array]] = field(default_factory=dict)  # the line that makes it
    touched: set[str] = field(default_factory=set)  # buffers that plain lines read or write
    blas: bool = field(default_factory=has_blas)

    def __post_init__(self) -> None:
        self.taken |= CALLED | {f"memory_{kind}" for kind in ("dtype", "int", "bool")}

    # ------------------------------------------------------------------ memory
    def buffer(self, wish: str, letters: Any, shape: Sequence[int], dtype: Any, fill: str = "empty") -> Var:
        var = super().buffer(wish, letters, shape, dtype, fill)
        self.made[var.name] = (len(self.prepare) - 1, var.shadow)
        return var

    def view(self, var: Var, *args: Any, **kwargs: Any) -> Var:
        self.origin(var)
        return super().view(var, *args, **kwargs)

    def origin(self, var: Var) -> tuple[str, Array] | None:
        """The variable that owns the memory, and its array."""
        owner: Any = var.shadow
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        if id(owner) not in self.origins:
            if owner is not var.shadow or not owner.flags.c_contiguous:
                return None
            self.origins[id(owner)] = (var.name, owner)
        return self.origins[id(owner)]

    def cell(self, var: Var) -> Cell | None:
        row = self.row(var)
        if var.value is not None:
            return Cell("", value=var.value, row=row)
        found = self.origin(var)
        if found is None or not var.shadow.size:
            return None
        name, owner = found
        item = owner.itemsize
        counters = {loop.axis: f"_c{k}" for k, loop in enumerate(self.loops)}
        steps = dict(zip(var.letters, (s // item for s in var.shadow.strides), strict=True))
        loops = tuple((counters[x], steps[x]) for x in var.letters if x in counters and steps[x])
        strides = tuple(steps[x] for x in var.letters if x not in counters)
        offset = (var.shadow.ctypes.data - owner.ctypes.data) // item
        return Cell(name, offset, loops, row.shape, strides, row=row)

    def touch(self, var: Var) -> None:
        """A plain line reads or writes the variable."""
        if (found := self.origin(var)) is not None:
            self.touched.add(found[0])

    # ------------------------------------------------------------------ lines
    def emit(self, line: str) -> None:
        comment = not line or line.startswith("#")
        if self.loops:
            if not self.depth and not comment:
                self.reason = self.reason or f"it runs {line.split('(')[0].strip()}"
            super().emit(line)
        elif self.depth:
            super().emit(line)
        elif comment and self.region:
            self.region.append(line.lstrip("# "))
            self.plain.append(partial(super().emit, line))
        else:
            if not comment:
                self.flush()
            super().emit(line)

    def here(self, var: Var, method: str = "") -> str:
        if not self.depth:
            self.touch(var)
        return super().here(var, method)

    def settle(self, var: Var) -> None:
        self.flush()
        self.touch(var)

    def flush(self) -> None:
        """End the run of statements: a compiled part, or the plain lines where that gains nothing."""
        region, plain = self.region, self.plain
        self.region, self.plain = [], []
        if any(isinstance(r, Steps) for r in region) or sum(isinstance(r, Record) for r in region) > 1:
            self.parts.append(Part(self.name("part"), region, len(self.lines)))
            self.lines.append("")
        else:
            self.depth += 1
            for print_ in plain:
                print_()
            self.depth -= 1
            self.touched |= {c.buffer for r in records(region) for c in r.cells}

    # ------------------------------------------------------------------ statements
    def record(self, kind: str, outs: Sequence[Var], operands: Sequence[Var], **how: Any) -> Record | None:
        """A statement as data; None where it cannot be compiled."""
        cells = [self.cell(v) for v in (*outs, *operands)]
        reason = ""
        if any(c is None for c in cells):
            reason = "it has arrays without entries, or not made here"
        elif kind == "ufunc" and how["function"] not in SCALAR:
            reason = f"it calls {how['function']}"
        elif any(v.shadow.dtype.kind not in "fib" for v in (*outs, *operands)):
            reason = "it has complex numbers"
        elif (
            kind in ("dot", "sum", "softmax", "loss", "contract", "scatter")
            and outs[0].shadow.dtype.kind != "f"
        ):
            reason = f"it has a {kind} of integers"
        over = how.pop("over", None)
        if over is not None and not reason:
            *own, every = over
            cells = [_spread(c, x, every) for c, x in zip(cells, own, strict=True)]  # type: ignore[arg-type]
        record = Record(kind, tuple(cells[: len(outs)]), tuple(cells[len(outs) :]), **how)  # type: ignore[arg-type]
        if not reason and kind == "dot" and not self.blas and cost(record) > LARGEST:
            reason = "its products are large, and no BLAS was found"
        if self.loops and self.loops[-1].at:
            reason = "its steps are retimed"
        if reason:
            for v in (*outs, *operands):
                self.touch(v)
        if self.loops:
            self.reason = self.reason or reason
        elif reason:
            self.flush()
        return None if reason else record

    def statement(
        self, kind: str, outs: Sequence[Var], operands: Sequence[Var], print_: Callable[[], None], **how: Any
    ) -> None:
        """A statement: recorded, and printed unless it may become part of a compiled function."""
        if self.depth:
            print_()
            return
        record = self.record(kind, outs, operands, **how)
        if record is not None:
            (self.loops[-1].records if self.loops else self.region).append(record)
        if record is not None and not self.loops:
            self.plain.append(print_)
        else:
            self.depth += 1
            print_()
            self.depth -= 1

    def ufunc(self, name: str, operands: Sequence[Var], out: Var) -> None:
        do = super().ufunc
        self.statement("ufunc", [out], operands, lambda: do(name, operands, out), function=name)

    def choose(self, condition: Var, a: Var, b: Var, out: Var) -> None:
        do = super().choose
        self.statement("choose", [out], [condition, a, b], lambda: do(condition, a, b, out))

    def copy(self, out: Var, value: Var) -> None:
        do = super().copy
        self.statement("copy", [out], [value], lambda: do(out, value))

    def fill(self, out: Var) -> None:
        do = super().fill
        self.statement("fill", [out], [], lambda: do(out))

    def dot(self, a: Var, b: Var, out: Var) -> None:
        do = super().dot
        self.statement("dot", [out], [a, b], lambda: do(a, b, out))

    def matmul(self, a: Var, b: Var, out: Var, batch: int) -> None:
        do = super().matmul
        self.statement("dot", [out], [a, b], lambda: do(a, b, out, batch), batch=batch)

    def contract(self, parts: Sequence[Var], out: Var, letters: Sequence[Letters], kept: Letters) -> None:
        do = super().contract
        every = tuple(dict.fromkeys((*kept, *(x for own in letters for x in own))))
        self.statement(
            "contract", [out], parts, lambda: do(parts, out, letters, kept),
            batch=len(kept), over=(kept, *letters, every),
        )  # fmt: skip

    def gather(self, table: Var, at: Var, out: Var) -> None:
        do = super().gather
        self.statement("gather", [out], [table, at], lambda: do(table, at, out))

    def scatter(self, rows: Var, at: Var, out: Var) -> None:
        do = super().scatter
        self.statement("scatter", [out], [rows, at], lambda: do(rows, at, out))

    def total(self, a: Var, out: Var) -> None:
        do = super().total
        self.statement("sum", [out], [a], lambda: do(a, out))

    def softmax(self, a: Var, out: Var, dim: int) -> None:
        do = super().softmax
        self.statement("softmax", [out], [a], lambda: do(a, out, dim), dim=dim)

    def cross_entropy(self, scores: Var, labels: Var, loss: Var, slope: Var) -> None:
        do = super().cross_entropy
        self.statement("loss", [loss, slope], [scores, labels], lambda: do(scores, labels, loss, slope))

    # ------------------------------------------------------------------ loops
    def close(self, comment: Sequence[str]) -> None:
        loop = self.loops[-1]
        steps = Steps(f"_c{len(self.loops) - 1}", loop.size, loop.sign, loop.records)
        if len(self.loops) > 1:
            self.depth += 1
            super().close(comment)
            self.depth -= 1
            self.loops[-1].records.append(steps)
        elif self.reason:
            self.flush()
            self.touched |= {c.buffer for r in records([steps]) for c in r.cells}
            super().close([*comment, f"not compiled: {self.reason}"])
            self.reason = ""
        else:
            self.loops.pop()
            for _, _, key in self.late:
                del self.views[key]
            self.late.clear()
            self.region += [*comment, steps]

    def unwind(self, count: int) -> None:
        super().unwind(count)
        self.reason = ""

    # ------------------------------------------------------------------ the functions
    def finish(self) -> None:
        """Write the functions, and lay the buffers they use one behind the other in one array."""
        self.flush()
        owners: dict[str, list[str]] = {}
        for part in self.parts:
            for b in {c.buffer for r in records(part.body) for c in r.cells}:
                owners.setdefault(b, []).append(part.name)

        def private(name: str) -> bool:
            return name in self.made and name not in self.touched and len(owners.get(name, ())) == 1

        kernels = [Kernel(part.body, private, self.blas) for part in self.parts]
        places: dict[str, tuple[str, int]] = {}
        sizes: dict[str, int] = {}
        for name in dict.fromkeys(b for k in kernels for b in sorted(k.stored)):
            if name in self.made:
                line, shadow = self.made[name]
                arena = f"memory_{self.dtype(shadow.dtype)}"
                start = sizes.get(arena, 0)
                places[name] = arena, start
                sizes[arena] = start + -(-shadow.size // ALIGNED) * ALIGNED
                self.prepare[line] = (
                    f"{name} = {arena}[{start}:{start + shadow.size}].reshape({shadow.shape})"
                )
        for arena, size in sizes.items():
            self.prepare.insert(0, f"{arena} = np.zeros({size}, {arena.removeprefix('memory_')})")
        given: set[str] = set()
        for part, kernel in zip(self.parts, kernels, strict=True):
            arenas = sorted({places[b][0] for b in kernel.stored if b in places})
            outside = sorted(b for b in kernel.stored if b not in places)
            given |= set(outside)
            lines = [f"def {part.name}({', '.join([*arenas, *(b + '_' for b in outside)])}):"]
            lines += [f"    {b} = at({b}_, 0)" for b in outside]
            lines += [
                "    {} = at({}, {})".format(b, *places[b]) for b in sorted(kernel.stored) if b in places
            ]
            self.functions.append("\n".join([*lines, *kernel.lines]))
            self.lines[part.line] = f"{part.name}({', '.join([*arenas, *outside])})"
        names = set(self.env.get("names", {}).values())
        self.lines[:0] = [f"{name} = contiguous({name})" for name in sorted(given & names)]


def _spread(cell: Cell, own: Letters, every: Letters) -> Cell:
    """A cell over all letters: 0 is the step along one that it lacks."""
    sizes, steps = (dict(zip(own, x, strict=True)) for x in (cell.shape, cell.strides))
    shape, strides = (tuple(x.get(k, n) for k in every) for x, n in ((sizes, 1), (steps, 0)))
    return replace(cell, shape=shape, strides=strides)
