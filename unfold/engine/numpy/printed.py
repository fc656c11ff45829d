"""Plans as NumPy functions: printed, compiled once per sizes and dtypes, kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np

from unfold.core.leaves import Symbol
from unfold.core.system import System
from unfold.engine.binding import Array, Binding
from unfold.engine.numba.jit import JitSource
from unfold.engine.numba.modules import load, module
from unfold.engine.numpy.comments import equations
from unfold.engine.numpy.lines import Source
from unfold.engine.numpy.printer import Printer
from unfold.engine.numpy.routines import Softmax, SoftmaxCrossEntropy, rows
from unfold.engine.plan.plan import plan
from unfold.engine.rewrites.passes import OPTIMISATIONS, add_rows
from unfold.notation.text import expression


def contiguous(array: Array) -> Array:
    """The array with its rows one behind the other, as compiled parts read it."""
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


class Memory:
    """Buffers one behind the other in a single block of bytes, each at a multiple of 64.

    NumPy asks the system for large pages where an array has 4 MB or more; in smaller ones, a step
    through a transposed copy may be a page of its own and miss the table of pages every time.
    """

    WORTH = 1 << 22

    def __init__(self, size: int) -> None:
        self.bytes = np.empty(size + 64, np.uint8)
        self.at = int(-self.bytes.ctypes.data % 64)

    @staticmethod
    def room(count: int, dtype: Any) -> int:
        """The bytes that a buffer takes."""
        return -(-count * int(np.dtype(dtype).itemsize) // 64) * 64

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """A buffer with any contents."""
        start, count = self.at, math.prod(shape)
        self.at += self.room(count, dtype)
        whole: Array = self.bytes[start : self.at].view(dtype)[:count]
        return whole.reshape(shape)


GLOBALS = {
    "Memory": Memory,
    "Softmax": Softmax,
    "islice": islice,
    "inf": np.inf,
    "nan": np.nan,
    "SoftmaxCrossEntropy": SoftmaxCrossEntropy,
    "rows": rows,
    "np": np,
    "matmul": np.matmul,
    "contiguous": contiguous,
    "einsum": np.einsum,
    "copyto": np.copyto,
    "concatenate": np.concatenate,
    "empty": np.empty,
    "zeros": np.zeros,
    "add_reduce": np.add.reduce,
    "add_rows": add_rows,
}


def source(
    graph: System, bound: Binding, optimise: Iterable[str] | None = None, jit: bool = False
) -> tuple[str, dict[str, Any]]:
    """The source for arrays of the sizes in `bound`, and the objects it refers to; with
    `jit`, parts of it are functions of a second module, printed after it, for Numba to compile."""
    jit = jit and bound.dtype in (np.float32, np.float64)
    chosen = OPTIMISATIONS if optimise is None else tuple(optimise)
    if jit:  # what saves calls only copies more where calls cost nothing; loops are compiled whole
        chosen = tuple(o for o in chosen if o not in ("pack", "augment", "turn", "chunk"))
    work = plan(graph, bound, chosen)
    out = JitSource() if jit else Source()
    out.taken |= set(GLOBALS)
    out.env["names"] = {}
    texts = {str(s.op): f"{s.op} = {expression(graph.definitions[s])}" for s in graph.symbols.values()}
    texts |= {
        name: f"{name} = {expression(u)}" for name, u in graph.outputs.items() if not isinstance(u.op, Symbol)
    }
    printer = Printer(work, equations(work, texts), out, texts=texts)
    printer.print()
    if isinstance(out, JitSource):
        out.finish()
    names = out.env.pop("names")
    unused = [label for label in bound.arrays if label not in names]
    names.update({label: out.name(label) for label in unused})
    arguments = ", ".join(names[label] for label in bound.arrays)
    size = sum(Memory.room(v.size, v.dtype) for v in out.buffers)
    lines = [
        "def make(dtype):",
        *([f"    empty = Memory({size}).empty"] if size >= Memory.WORTH and not jit else []),
        *("    " + line for line in out.prepare),
        "",
        f"    def run({arguments}):",
        *("        " + line if line else "" for line in out.lines),
        "",
        "    return run",
    ]
    text = "\n".join(lines) + "\n"
    if isinstance(out, JitSource) and out.functions:
        out.env["functions"] = out.functions
    return text, out.env


def code(graph: System, bound: Binding, optimise: Iterable[str] | None = None, jit: bool = False) -> str:
    """The source that runs, compiled loops included."""
    text, env = source(graph, bound, optimise, jit)
    return text + ("\n\n" + module(env["functions"], bound.dtype, True) if "functions" in env else "")


@dataclass(frozen=True)
class Compiled:
    """A plan as a function of bound arrays; `on`, of the arrays alone."""

    on: Callable[[Mapping[str, Array]], dict[str, Array]]

    def __call__(self, bound: Binding) -> dict[str, Array]:
        return self.on(bound.arrays)


def compile(
    graph: System, bound: Binding, optimise: Iterable[str] | None = None, jit: bool = False
) -> Compiled:
    """A function of bound arrays of the same sizes and dtype."""
    text, env = source(graph, bound, optimise, jit)
    functions = env.pop("functions", None)
    namespace = {**GLOBALS, **env, **(load(functions, bound.dtype) if functions else {})}
    exec(text, namespace)
    make = namespace["make"]
    spare, order = [make(bound.dtype)], list(bound.arrays)
    take = itemgetter(*order) if len(order) > 1 else lambda arrays: [arrays[name] for name in order]

    def on(arrays: Mapping[str, Array]) -> dict[str, Array]:
        try:
            instance = spare.pop()  # one at a time uses its buffers
        except IndexError:
            instance = make(bound.dtype)
        try:
            outputs: dict[str, Array] = instance(*take(arrays))
        finally:
            spare.append(instance)
        return outputs

    return Compiled(on)
