"""The loops of a plan compiled by Numba; everything else is the NumPy backend's.

A loop's statements are recorded beside the NumPy lines that print them. Where each of them
is an elementwise call or a small product, the loop becomes one compiled function: chains of
elementwise calls are one pass over their entries, and a row that only they use stays in
registers. Any other loop is left as it was, and the source says why.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import os
import pickle
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unfold.backends.storage import Loop, Source, Var
from unfold.files import write_whole

FORMAT = 1  # of the compiled modules: a new number leaves those kept before alone
LARGEST = 1 << 16  # multiplications of one product; beyond, BLAS does it best
SCALAR = {
    "add": "({0} + {1})",
    "subtract": "({0} - {1})",
    "multiply": "({0} * {1})",
    "divide": "({0} / {1})",
    "negative": "(-{0})",
    "positive": "{0}",
    "power": "({0} ** {1})",
    "reciprocal": "(_D(1) / {0})",
    "less": "({0} < {1})",
    "less_equal": "({0} <= {1})",
    "greater": "({0} > {1})",
    "greater_equal": "({0} >= {1})",
    "equal": "({0} == {1})",
    "not_equal": "({0} != {1})",
    "logical_and": "({0} and {1})",
    "logical_or": "({0} or {1})",
    "logical_not": "(not {0})",
    "sign": "(_D({0} > 0) - _D({0} < 0))",
    "absolute": "abs({0})",
    "square": "({0} * {0})",
    **{
        name: f"_math.{name}({{0}})"
        for name in ("tanh", "exp", "log", "log1p", "expm1", "sqrt", "sin", "cos")
    },
}


@dataclass(frozen=True)
class Cell:
    """An operand where it was used: its array, the loops that index it, and its row."""

    name: str
    index: tuple[str, ...]  # a loop's counter, or "" for a dimension of the row
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    value: Any = None

    def at(self, counters: Sequence[str], rank: int) -> str:
        """One entry, for counters over a row of the given rank that it broadcasts against."""
        if self.value is not None:
            return f"_D({self.value!r})"
        mine = iter(counters[rank - len(self.shape) :])
        sizes = iter(self.shape)
        parts = [i or ("0" if next(sizes) == 1 and next(mine) else next(mine)) for i in self.index]
        return f"{self.name}[{', '.join(parts) or '()'}]"


@dataclass(frozen=True)
class Record:
    """A statement: "ufunc", "choose", "copy", "fill" or "dot"."""

    kind: str
    out: Cell
    operands: tuple[Cell, ...] = ()
    function: str = ""


@dataclass
class JitSource(Source):
    """A source whose loops are compiled where they can be."""

    functions: list[str] = field(default_factory=list)
    reason: str = ""  # why the open loop cannot be compiled
    depth: int = 0  # of statements that print themselves through others

    def emit(self, line: str) -> None:
        if self.loops and not self.depth and line:
            self.reason = self.reason or f"it runs {line.split('(')[0].strip() or line}"
        super().emit(line)

    def cell(self, var: Var) -> Cell:
        axes = {loop.axis: f"_c{k}" for k, loop in enumerate(self.loops)}
        row = self.row(var)
        return Cell(var.name, tuple(axes.get(x, "") for x in var.letters), row.shape, row.strides, var.value)

    def note(self, kind: str, out: Var, operands: Iterable[Var], function: str = "") -> None:
        if not self.loops or self.depth > 1:
            return
        if self.loops[-1].at:
            self.reason = "its steps are retimed"
        record = Record(kind, self.cell(out), tuple(map(self.cell, operands)), function)
        if kind == "ufunc" and function not in SCALAR:
            self.reason = f"it calls {function}"
        if kind == "dot" and _cost(record) > LARGEST:
            self.reason = "its products are large enough for BLAS"
        self.loops[-1].records.append(record)

    def ufunc(self, name: str, operands: Sequence[Var], out: Var) -> None:
        self.depth += 1
        self.note("ufunc", out, operands, name)
        super().ufunc(name, operands, out)
        self.depth -= 1

    def choose(self, condition: Var, a: Var, b: Var, out: Var) -> None:
        self.depth += 1
        self.note("choose", out, (condition, a, b))
        super().choose(condition, a, b, out)
        self.depth -= 1

    def copy(self, out: Var, value: Var) -> None:
        self.depth += 1
        self.note("copy", out, (value,))
        super().copy(out, value)
        self.depth -= 1

    def fill(self, out: Var) -> None:
        self.depth += 1
        self.note("fill", out, ())
        super().fill(out)
        self.depth -= 1

    def dot(self, a: Var, b: Var, out: Var) -> None:
        self.depth += 1
        self.note("dot", out, (a, b))
        super().dot(a, b, out)
        self.depth -= 1

    def close(self, comment: Sequence[str]) -> None:
        loop = self.loops[-1]
        if len(self.loops) > 1:
            self.depth += 1
            super().close(comment)
            self.depth -= 1
            self.loops[-1].records.append(loop)
            return
        if self.reason:
            super().close([*comment, f"not compiled: {self.reason}"])
        else:
            self.loops.pop()
            for _, _, key in self.late:
                del self.views[key]
            self.late.clear()
            self.emit("")
            for line in comment:
                self.emit(f"# {line}")
            self.emit(self.function(loop))
        self.reason = ""

    def function(self, loop: Loop) -> str:
        """Add the compiled function of a loop; returns the line that calls it."""
        arrays = sorted({c.name for c in _cells(loop) if c.value is None})
        name = self.name("loop")
        body = _Body(loop, {key[0] for key in self.views})
        lines = [f"def {name}({', '.join(arrays)}):", *("    " + line for line in body.lines)]
        self.functions.append("\n".join(lines))
        return f"{name}({', '.join(arrays)})"


def _cost(record: Record) -> int:
    a, b = record.operands
    return math.prod(a.shape) * math.prod(b.shape) // max(1, a.shape[-1])


def _cells(loop: Loop) -> Iterable[Cell]:
    for record in loop.records:
        if isinstance(record, Loop):
            yield from _cells(record)
        else:
            yield from (record.out, *record.operands)


class _Body:
    """The lines of a compiled loop."""

    def __init__(self, loop: Loop, viewed: set[str]) -> None:
        self.lines: list[str] = []
        self.viewed = viewed  # arrays that other names see into
        self.reads: dict[str, int] = {}
        for cell in _cells(loop):
            self.reads[cell.name] = self.reads.get(cell.name, 0) + 1
        self.fresh = 0
        self.loop(loop, 0, "")

    def loop(self, loop: Loop, depth: int, indent: str) -> None:
        n = loop.size
        steps = f"range({n})" if loop.sign > 0 else f"range({n - 1}, -1, -1)"
        self.lines.append(f"{indent}for _c{depth} in {steps}:")
        group: list[Record] = []
        for record in [*loop.records, None]:
            elementwise = isinstance(record, Record) and record.kind != "dot"
            if group and not (elementwise and record.out.shape == group[0].out.shape):
                self.chain(group, indent + "    ")
                group = []
            if isinstance(record, Loop):
                self.loop(record, depth + 1, indent + "    ")
            elif isinstance(record, Record) and record.kind == "dot":
                self.product(record, indent + "    ")
            elif record is not None:
                group.append(record)

    def chain(self, records: list[Record], indent: str) -> None:
        """Elementwise statements in one pass; values are kept in registers while they last."""
        shape = records[0].out.shape
        counters = []
        for d, n in enumerate(shape):
            counters.append(f"_i{d}" if n != 1 else "0")
            if n != 1:
                self.lines.append(f"{indent}for _i{d} in range({n}):")
                indent += "    "
        held: dict[tuple[str, tuple[str, ...]], str] = {}
        used = [c.name for r in records for c in (r.out, *r.operands)]
        for k, r in enumerate(records):
            values = [held.get((c.name, c.index)) or c.at(counters, len(shape)) for c in r.operands]
            if r.kind == "choose":
                expression = f"{values[1]} if {values[0]} else {values[2]}"
            elif r.kind == "fill":
                expression = "_D(0)"
            else:
                expression = SCALAR[r.function].format(*values) if r.kind == "ufunc" else values[0]
            self.fresh += 1
            self.lines.append(f"{indent}_v{self.fresh} = {expression}")
            held[r.out.name, r.out.index] = f"_v{self.fresh}"
            last = all(q.out.name != r.out.name for q in records[k + 1 :])
            row = not any(r.out.index)
            written_first = next(q for q in records if r.out in (q.out, *q.operands)).out == r.out
            kept = (
                row
                and written_first
                and r.out.name not in self.viewed
                and used.count(r.out.name) == self.reads[r.out.name]
            )
            if last and not kept:
                self.lines.append(f"{indent}{r.out.at(counters, len(shape))} = _v{self.fresh}")

    def product(self, record: Record, indent: str) -> None:
        """A small product, its inner loop over neighbouring numbers."""
        a, b = record.operands
        out = record.out
        rows, columns, inner = a.shape[:-1], b.shape[1:], a.shape[-1]
        lines = self.lines
        i = ["_i"] if rows else []
        j = ["_j"] if columns else []

        def at(cell: Cell, counters: list[str]) -> str:
            free = iter(counters)
            return f"{cell.name}[{', '.join(x or next(free) for x in cell.index) or '()'}]"

        if rows:
            lines.append(f"{indent}for _i in range({rows[0]}):")
            indent += "    "
        target, left, right = at(out, [*i, *j]), at(a, [*i, "_k"]), at(b, ["_k", *j])
        across = bool(columns) and b.strides[-1] == min(b.strides)
        down = bool(rows) and not columns and a.strides[0] < a.strides[-1]
        if across:  # rows of b added up
            lines.append(f"{indent}for _j in range({columns[0]}):")
            lines.append(f"{indent}    {target} = _D(0)")
            lines.append(f"{indent}for _k in range({inner}):")
            lines.append(f"{indent}    _s = {left}")
            lines.append(f"{indent}    for _j in range({columns[0]}):")
            lines.append(f"{indent}        {target} += _s * {right}")
        elif down:  # columns of a added up
            indent = indent[:-4]
            lines.pop()
            lines.append(f"{indent}for _i in range({rows[0]}):")
            lines.append(f"{indent}    {target} = _D(0)")
            lines.append(f"{indent}for _k in range({inner}):")
            lines.append(f"{indent}    _s = {right}")
            lines.append(f"{indent}    for _i in range({rows[0]}):")
            lines.append(f"{indent}        {target} += {left} * _s")
        else:
            if columns:
                lines.append(f"{indent}for _j in range({columns[0]}):")
                indent += "    "
            lines.append(f"{indent}_s = _D(0)")
            lines.append(f"{indent}for _k in range({inner}):")
            lines.append(f"{indent}    _s += {left} * {right}")
            lines.append(f"{indent}{target} = _s")


HEADER = """import math as _math

import numpy as np
from numba import njit

_D = np.{dtype}
"""
DECORATOR = "@njit(cache={cache}, error_model='numpy', fastmath={{'reassoc', 'contract', 'arcp', 'nsz'}})\n"


def load(functions: Sequence[str], dtype: Any) -> dict[str, Any]:
    """The compiled functions by name, kept on disk under a name made of all they depend on."""
    text = module(functions, dtype, cache=True)
    made_by = f"{FORMAT} {sys.version} {_numba_version()}"
    stem = "loops_" + hashlib.sha256((made_by + text).encode()).hexdigest()[:24]
    try:
        path = cache_folder() / f"{stem}.py"
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text.encode("utf-8"))
        loaded = _imported(stem, path)
    except OSError:  # nowhere to keep it: compiled for this process alone
        namespace: dict[str, Any] = {}
        exec(module(functions, dtype, cache=False), namespace)
        return {name: f for name, f in namespace.items() if name.startswith("loop")}
    names = [n for n in vars(loaded) if n.startswith("loop")]
    return {n: _Mended(n, getattr(loaded, n), stem, path) for n in names}


class _Mended:
    """A compiled function; where what was kept of it is damaged, it is compiled anew."""

    def __init__(self, name: str, function: Any, stem: str, path: Path) -> None:
        self.name, self.function, self.stem, self.path = name, function, stem, path
        self.ran = False

    def __call__(self, *arrays: Any) -> None:
        if self.ran:
            self.function(*arrays)
            return
        try:
            self.function(*arrays)
        except (EOFError, OSError, ValueError, KeyError, ImportError, AttributeError, pickle.PickleError):
            for kept in self.path.parent.glob(f"__pycache__/{self.stem}*.nb*"):
                kept.unlink(missing_ok=True)
            self.function = getattr(_imported(self.stem, self.path), self.name)
            self.function(*arrays)
        self.ran = True


def _imported(stem: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"unfold_{stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def _numba_version() -> str:
    import numba

    return str(numba.__version__)


def available() -> bool:
    """Whether Numba is installed."""
    return importlib.util.find_spec("numba") is not None


def cache_folder() -> Path:
    """Where compiled loops are kept: $UNFOLD_CACHE, or the user's cache folder."""
    if given := os.environ.get("UNFOLD_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "unfold"


def module(functions: Sequence[str], dtype: Any, cache: bool) -> str:
    """The text of a Python module with the compiled functions."""
    decorated = [DECORATOR.format(cache=cache) + f for f in functions]
    return "\n\n".join([HEADER.format(dtype=np.dtype(dtype).name), *decorated]) + "\n"
