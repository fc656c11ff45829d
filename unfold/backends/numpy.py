"""Plans as NumPy functions: printed, compiled once per sizes and dtypes, kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from unfold.backends.jit import JitSource, load, module
from unfold.backends.printer import Printer
from unfold.backends.storage import Source
from unfold.binding import Array, Binding
from unfold.graph import Graph
from unfold.node import Symbol
from unfold.passes import OPTIMISATIONS
from unfold.plan import plan
from unfold.text import expression


def rows(array: Array) -> list[Array]:
    """Views of the rows of an array, 0-d ones of a vector."""
    return list(array) if array.ndim > 1 else [array[i, ...] for i in range(len(array))]


class SoftmaxCrossEntropy:
    """loss = -log softmax(o)[y] and slope = softmax(o) - one_hot(y), row by row; slope may be o.

    Scores that lie within `NEAR` of each other share one maximum, which a reduction over
    everything finds much faster than one for each row.
    """

    NEAR = 16

    def __init__(self, rows: int, classes: int, dtype: Any) -> None:
        self.form, self.rows, self.ones = (rows, classes), np.arange(rows), np.ones(classes, dtype)
        self.top, self.least, self.one = np.empty((), dtype), np.empty((), dtype), np.array(1, dtype)
        self.tops, self.total = np.empty((rows, 1), dtype), np.empty(rows, dtype)
        self.column = self.total[:, None]

    def __call__(self, o: Array, y: Array, loss: Array, slope: Array) -> None:
        z, y, loss, out = o.reshape(self.form), y.reshape(-1), loss.reshape(-1), slope.reshape(self.form)
        near: Any = False
        if z.size:
            numbers = z.reshape(-1)
            np.maximum.reduce(numbers, 0, out=self.top)
            np.minimum.reduce(numbers, 0, out=self.least)
            near = self.top - self.least < self.NEAR
        if not near:
            np.maximum.reduce(z, 1, out=self.tops, keepdims=True)
        np.subtract(z, self.top if near else self.tops, out)
        at = (self.rows, y)
        chosen = out[at]
        np.exp(out, out)
        out.dot(self.ones, self.total)
        np.log(self.total, loss)
        np.subtract(loss, chosen, loss)
        np.divide(out, self.column, out)
        out[at] = np.subtract(out[at], self.one, chosen)


class Softmax:
    """out = exp(a) / sum exp(a) along one dimension."""

    def __init__(self, shape: tuple[int, ...], dim: int, dtype: Any) -> None:
        self.shape, self.dim = shape, dim
        if shape[dim] == np.prod(shape):  # a single vector
            self.shape, self.dim = (shape[dim],), 0
        self.work = np.empty(tuple(1 if d == self.dim else n for d, n in enumerate(self.shape)), dtype)
        self.row = self.work[0, ...] if len(self.shape) == 1 else self.work
        self.keep = len(self.shape) > 1

    def __call__(self, a: Array, out: Array) -> None:
        a, out = a.reshape(self.shape), out.reshape(self.shape)
        np.maximum.reduce(a, axis=self.dim, out=self.row, keepdims=self.keep)
        np.subtract(a, self.row, out)
        np.exp(out, out)
        np.add.reduce(out, axis=self.dim, out=self.row, keepdims=self.keep)
        np.divide(out, self.row, out)


GLOBALS = {
    "Softmax": Softmax,
    "inf": np.inf,
    "nan": np.nan,
    "SoftmaxCrossEntropy": SoftmaxCrossEntropy,
    "rows": rows,
    "np": np,
    "matmul": np.matmul,
    "multiply": np.multiply,
    "einsum": np.einsum,
    "copyto": np.copyto,
    "empty": np.empty,
    "zeros": np.zeros,
    "add_reduce": np.add.reduce,
}


def source(
    graph: Graph, bound: Binding, optimise: Iterable[str] | None = None, jit: bool = False
) -> tuple[str, dict[str, Any]]:
    """The source for arrays of the sizes in `bound`, and the objects it refers to; with
    `jit`, loops are functions of a second module, printed after it, for Numba to compile."""
    work = plan(graph, bound, OPTIMISATIONS if optimise is None else optimise)
    out = JitSource() if jit and bound.dtype.kind == "f" else Source()
    out.taken |= set(GLOBALS)
    out.env["names"] = {}
    texts = {str(s.op): f"{s.op} = {expression(graph.definitions[s])}" for s in graph.symbols.values()}
    texts |= {
        name: f"{name} = {expression(u)}" for name, u in graph.outputs.items() if not isinstance(u.op, Symbol)
    }
    printer = Printer(work, work.equations(texts), out, texts=texts)
    printer.print()
    names = out.env.pop("names")
    unused = [label for label in bound.arrays if label not in names]
    names.update({label: out.name(label) for label in unused})
    arguments = ", ".join(names[label] for label in bound.arrays)
    lines = [
        "def make(dtype):",
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


def code(graph: Graph, bound: Binding, optimise: Iterable[str] | None = None, jit: bool = False) -> str:
    """The source that runs, compiled loops included."""
    text, env = source(graph, bound, optimise, jit)
    return text + ("\n\n" + module(env["functions"], bound.dtype, True) if "functions" in env else "")


def compile(
    graph: Graph, bound: Binding, optimise: Iterable[str] | None = None, jit: bool = False
) -> Callable[[Binding], dict[str, Array]]:
    """A function of bound arrays of the same sizes and dtype."""
    text, env = source(graph, bound, optimise, jit)
    functions = env.pop("functions", None)
    namespace = {**GLOBALS, **env, **(load(functions, bound.dtype) if functions else {})}
    exec(text, namespace)
    make = namespace["make"]
    spare, order = [make(bound.dtype)], list(bound.arrays)

    def run(bound: Binding) -> dict[str, Array]:
        instance = spare.pop() if spare else make(bound.dtype)  # one at a time uses its buffers
        try:
            outputs: dict[str, Array] = instance(*[bound.arrays[name] for name in order])
        finally:
            spare.append(instance)
        return outputs

    return run
