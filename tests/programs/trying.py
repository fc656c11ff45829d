"""The ways a program is tried. Each compares what the library gives with the oracle, and raises
`Wrong` where they differ; what the library refuses is told apart from that."""

from __future__ import annotations

import random
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from unittest import mock

import numpy as np

import unfold as uf
from programs.data import Expr, Program, walk, written_of
from programs.meaning import SMOOTH
from programs.oracle import Oracle, Outside, curvature, slope, slopes
from programs.written import build, script
from unfold.engine.planning import PASSES

Arrays = dict[str, Any]


class Wrong(AssertionError):
    """The library gives something else than the oracle, or falls back to its interpreter."""


class Unfit(Exception):
    """The way says nothing about this program."""


class Case:
    """A program, its graph, arrays for it, and what is right."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.rng = random.Random(program.seed)
        self.arrays = program.arrays()

    @cached_property
    def graph(self) -> Any:
        return build(self.program)

    @cached_property
    def lengths(self) -> dict[str, int]:
        """The lengths of the axes that no input says."""
        known = {a for q in self.program.leaves for a in q.axes}
        return {a.name: self.program.sizes[a.name] for a in self.graph.axes if a.name not in known}

    @cached_property
    def lengths_of_loss(self) -> dict[str, int]:
        """Those among them that the loss depends on."""
        known = {a.name for a in self.graph.select("loss").axes}
        return {a: n for a, n in self.lengths.items() if a in known}

    @cached_property
    def given(self) -> Arrays:
        """The arguments of a call."""
        return {**self.arrays, **self.lengths}

    @cached_property
    def names(self) -> list[str]:
        """What can be differentiated."""
        return [q.name for q in self.program.leaves if q.kind == "float"]

    @cached_property
    def want(self) -> Arrays:
        """The right outputs."""
        return Oracle(self.program, self.arrays).outputs()

    def direction(self, seed: int = 0, arrays: Arrays | None = None) -> Arrays:
        """One of the parameters and inputs, at random."""
        rng, arrays = np.random.default_rng(seed + 1), arrays or self.arrays
        return {n: rng.normal(size=arrays[n].shape) for n in self.names}

    @cached_property
    def slopes(self) -> dict[str, float]:
        """The derivative of the loss along the direction of each parameter and input."""
        u = self.direction()
        return {n: slope(self.program, self.arrays, {n: u[n]}) for n in self.names}

    @cached_property
    def finite(self) -> bool:
        """Whether all that is right are numbers of moderate size."""
        return all(np.isfinite(v).all() and np.abs(v).max(initial=0) < 1e4 for v in self.want.values())

    def gradients(self, graph: Any = None, arrays: Arrays | None = None, **options: Any) -> Any:
        """The loss and its gradients."""
        graph, arrays = self.graph if graph is None else graph, self.arrays if arrays is None else arrays
        return graph.value_and_grad("loss", self.names, **options)(**arrays, **self.lengths_of_loss)


# ---------------------------------------------------------------------- comparing
def near(got: Any, want: Any, what: str, tol: float = 1e-7) -> None:
    """Raise unless two arrays are equal in shape and, up to rounding, in every entry."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise Wrong(f"{what}: shape {got.shape}, right is {want.shape}")
    error = np.max(np.abs(got - want), initial=0)
    if not error <= tol * (1 + np.max(np.abs(want), initial=0)):
        raise Wrong(f"{what}: got {got.ravel()[:6]}, right is {want.ravel()[:6]}")


def same_outputs(case: Case, got: Any, want: Arrays | None = None, tol: float = 1e-7) -> None:
    want = case.want if want is None else want
    for name, value in want.items():
        near(got[name], value, f"output {name}", tol)


def same_gradients(case: Case, got: Any, tol: float = 1e-6, names: list[str] | None = None) -> None:
    """Each in the shape of its array, and with the right derivative along a random direction."""
    u = case.direction()
    for name in case.names if names is None else names:
        if np.shape(got[name]) != case.arrays[name].shape:
            raise Wrong(
                f"gradient of {name}: shape {np.shape(got[name])}, the array's is {case.arrays[name].shape}"
            )
        near(np.sum(got[name] * u[name]), case.slopes[name], f"gradient of {name} along a direction", tol)


@contextmanager
def loudly() -> Iterator[None]:
    """An error of the planner is an error, not a reason to interpret."""
    loaded = [m for name, m in sys.modules.items() if name.split(".")[0] == "unfold"]
    running = next((m for m in loaded if {"_build", "reference"} <= vars(m).keys()), None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in ("overflow", "invalid", "divide"):
            warnings.filterwarnings("ignore", message=f".*{text}.*")
        if running is None:
            yield
            return

        def refuse(graph: Any) -> Any:
            cause = sys.exc_info()[1]
            raise Wrong(f"fell back to the interpreter: {type(cause).__name__}: {str(cause)[:80]}")

        with mock.patch.object(running, "reference", mock.Mock(compile=refuse)):
            yield


def _run(case: Case, **options: Any) -> None:
    """Forward, and the gradient of everything."""
    same_outputs(case, case.graph.compile(**options)(**case.given))
    if case.names:
        loss, grads = case.gradients(**options)
        near(loss, case.want["loss"], "loss beside its gradients")
        same_gradients(case, grads)


# ---------------------------------------------------------------------- the ways
def forward(case: Case) -> None:
    with loudly():
        same_outputs(case, case.graph(**case.given))


def gradient(case: Case) -> None:
    if not case.names:
        raise Unfit
    with loudly():
        loss, grads = case.gradients()
    near(loss, case.want["loss"], "loss beside its gradients")
    same_gradients(case, grads)


def gradient_graph(case: Case) -> None:
    """`g.grad`, whose outputs are the gradients."""
    if not case.names:
        raise Unfit
    g = case.graph.grad("loss", case.names)
    given = {**case.arrays, **{a.name: case.program.sizes[a.name] for a in g.axes if a.name in case.lengths}}
    with loudly():
        same_gradients(case, g(**given))


def interpreted(case: Case) -> None:
    _run(case, backend="reference")


def compiled(case: Case) -> None:
    with loudly():
        _run(case, backend="numba")


def plain(case: Case) -> None:
    with loudly():
        _run(case, optimise=())


def leaving_out(name: str) -> Callable[[Case], None]:
    def way(case: Case) -> None:
        with loudly():
            _run(case, optimise=tuple(o for o in PASSES if o != name))

    return way


def other_sizes(case: Case) -> None:
    """The same functions at other lengths of the axes, and at the first ones again."""
    f = case.graph.compile()
    with loudly():
        same_outputs(case, f(**case.given))
        for k in range(2):
            sizes = {
                a: case.rng.choice((0, 1, 2, 3, 4) if n == 0 else (1, 2, 3, 4))
                for a, n in case.program.sizes.items()
            }
            arrays = case.program.arrays(k + 1, sizes)
            try:
                want = Oracle(case.program, arrays, sizes).outputs()
            except Outside:
                continue
            same_outputs(case, f(**arrays, **{a: sizes[a] for a in case.lengths}), want)
        same_outputs(case, f(**case.given))


def twice(case: Case) -> None:
    """A second call with other arrays does not change what the first one gave."""
    h = case.graph.compile()
    with loudly():
        out = h(**case.given)
        first = case.gradients() if case.names else (0, {})
        kept = {n: np.array(a) for n, a in {**out, **{"d " + n: g for n, g in first[1].items()}}.items()}
        other = case.program.arrays(7)
        h(**other, **case.lengths)
        if case.names:
            case.gradients(arrays=other)
    for n, a in {**out, **{"d " + n: g for n, g in first[1].items()}}.items():
        if not np.array_equal(kept[n], a, equal_nan=True):
            raise Wrong(f"{n} changed when the function was called again")
    with loudly():
        same_outputs(case, h(**case.given))


def layouts(case: Case) -> None:
    """Arrays in Fortran's order, reversed, with gaps, read-only: the same values, and none is changed."""
    kinds = {n: case.rng.randrange(4) for n in case.arrays}
    made = {n: LAYOUTS[kinds[n]](a) for n, a in case.arrays.items()}
    with loudly():
        same_outputs(case, case.graph(**made, **case.lengths))
        if case.names:
            same_gradients(case, case.gradients(arrays=made)[1])
    for n, a in case.arrays.items():
        near(made[n], a, f"the array {n} after the call", 0)


def _gaps(a: Any) -> Any:
    wide = np.full([2 * n for n in a.shape], 7, a.dtype)
    wide[(..., *(slice(None, None, 2) for _ in a.shape))] = a
    return wide[(..., *(slice(None, None, 2) for _ in a.shape))]


def _reversed(a: Any) -> Any:
    return np.ascontiguousarray(np.flip(a)).reshape(a.shape)[(..., *(slice(None, None, -1) for _ in a.shape))]


def _fixed(a: Any) -> Any:
    a = np.array(a)
    a.flags.writeable = False
    return a


def _columns(a: Any) -> Any:
    return np.array(a, order="F")


LAYOUTS = (_columns, _gaps, _reversed, _fixed)


def single(case: Case) -> None:
    """float32 arrays: float32 values, equal to the others up to its rounding."""
    arrays = {n: a.astype(np.float32) if a.dtype == float else a for n, a in case.arrays.items()}
    with loudly():
        out = case.graph(**arrays, **case.lengths)
        grads = case.gradients(arrays=arrays)[1] if case.names else {}
    for name, value in {**out, **grads}.items():
        if case.names and np.asarray(value).dtype != np.float32:
            raise Wrong(f"{name} is {np.asarray(value).dtype}, its arrays are float32")
    same_outputs(case, out, tol=1e-3)
    same_gradients(case, grads, tol=1e-2)


def _everything(case: Case) -> Iterator[Expr]:
    used = case.program.used()
    return walk([*case.program.outputs.values(), *(e for q in used for e in written_of(q))])


def _uses(case: Case, *ops: str) -> bool:
    return any(e.op in ops for e in _everything(case))


def complex_numbers(case: Case) -> None:
    """Complex parameters and inputs, through what is defined for them."""
    if any(e.op not in SMOOTH for e in _everything(case)) or not case.names:
        raise Unfit
    graph = build(case.program, "complex")
    arrays = {n: a + 0.3j * case.direction(3)[n] if n in case.names else a for n, a in case.arrays.items()}
    want = Oracle(case.program, arrays).outputs()
    if not all(np.isfinite(v).all() and np.abs(v).max(initial=0) < 1e4 for v in want.values()):
        raise Unfit
    with loudly():
        same_outputs(case, graph(**arrays, **case.lengths), want)


def forward_mode(case: Case) -> None:
    """jvp: every output's derivative along a direction."""
    _covered(case)
    names = [n for n in case.names if case.rng.random() < 0.7] or case.names
    u = {n: d for n, d in case.direction(1).items() if n in names}
    want = slopes(case.program, case.arrays, u)
    g = case.graph.jvp(None, names)
    with loudly():
        got = g(**case.given, **{n + "_dot": d for n, d in u.items()})
    same_outputs(case, got)
    for name, value in want.items():
        near(got[name + "_dot"], value, f"tangent of {name}", 1e-6)


def _curvature(case: Case) -> tuple[Arrays, Arrays, float, float]:
    _covered(case)
    if _uses(case, "stop_gradient"):
        raise Unfit  # the tangent of a gradient holds it constant, a difference of gradients does not
    u, v = case.direction(1), case.direction(2)
    right, doubt = curvature(case.program, case.arrays, u, v)
    if doubt > 1e-6 * (1 + abs(right)):
        raise Unfit
    return u, v, right, 1e-5


def second(case: Case) -> None:
    """hvp: the Hessian along one direction times another."""
    u, v, right, tol = _curvature(case)
    with loudly():
        g = case.graph.hvp("loss", case.names)
        got = g(**_taken(g, {**case.given, **{n + "_dot": d for n, d in v.items()}}))
    for n in case.names:
        if np.shape(got[n]) != case.arrays[n].shape:
            raise Wrong(f"hvp of {n}: shape {np.shape(got[n])}, the array's is {case.arrays[n].shape}")
    near(sum(np.sum(got[n] * u[n]) for n in case.names), right, "second derivative", tol)


def gradient_of_gradient(case: Case) -> None:
    """The gradient of the gradient along a direction."""
    u, v, right, tol = _curvature(case)
    first = case.graph.grad("loss", case.names)
    total: Any = 0
    arrays = {}
    for n in case.names:
        node = first.outputs[n]
        other = uf.input(n + "_u", *node.shape, over=node.axes)
        term = node * (
            other[node.axes].op.var.symbols[tuple(a.now for a in node.axes)] if node.axes else other
        )
        own = next(q.axes for q in case.program.leaves if q.name == n)
        order = [own.index(a.name) for a in node.axes]  # that of the array is checked by `gradient`
        arrays[n + "_u"] = u[n].transpose(*order, *range(len(own), u[n].ndim))
        for _ in node.shape:
            term = uf.sum(term, over=-1)
        for a in node.axes:
            term = uf.sum(term, over=a)
        total = total + term
    whole = uf.Graph({"loss": total}, first.definitions, first.spare)
    names = [n for n in case.names if n in whole.params or n in whole.inputs]
    if not names:
        near(0.0, right, "second derivative where the gradient depends on nothing", tol)
        return
    with loudly():
        got = whole.value_and_grad("loss", names)(**case.given, **arrays)[1]
    near(sum(np.sum(got[n] * v[n]) for n in names), right, "second derivative", tol)


def _covered(case: Case) -> None:
    if case.lengths or not case.names:
        raise Unfit  # an axis that no input has: its length may be asked for under many names


def _taken(graph: Any, arrays: Arrays) -> Arrays:
    """The arrays that a graph takes: `same_arguments` says that it should take all of them."""
    return {n: a for n, a in arrays.items() if n in {**graph.inputs, **graph.params, **graph.spare}}


def same_arguments(case: Case) -> None:
    """What is made of a graph takes the arguments of the graph."""
    _covered(case)
    params = [q.name for q in case.program.leaves if q.role == "param" and q.kind == "float"]
    u = {n + "_dot": d for n, d in case.direction().items()}
    case.graph.hvp("loss", case.names)(**case.given, **u)
    case.graph.jvp(None, case.names)(**case.given, **u)
    case.graph.grad("loss", case.names)(**case.given)
    if params:
        uf.rtrl(case.graph, "loss", params)(**case.given)


def online(case: Case) -> None:
    """Real-time recurrent learning."""
    _covered(case)
    params = [q.name for q in case.program.leaves if q.role == "param" and q.kind == "float"]
    if not params:
        raise Unfit
    with loudly():
        g = uf.rtrl(case.graph, "loss", params)
        got = g(**_taken(g, case.given))
    same_gradients(case, got, names=params)


def _open_axis(case: Case) -> str:
    axes = [a for a in case.program.sizes if any(a == b.name for b in case.graph.axes)]
    if not axes:
        raise Unfit
    return case.rng.choice(axes)


def checkpointed(case: Case) -> None:
    """The gradient in windows."""
    axis = _open_axis(case)
    if not case.names or not case.program.sizes[axis]:
        raise Unfit
    window, snapshots = case.rng.choice((1, 2, 3)), case.rng.choice((1, 2, 5))
    params = [q.name for q in case.program.leaves if q.role == "param" and q.kind == "float"]
    names = case.names if case.rng.random() < 0.2 else params
    whole = case.rng.random() < 0.2  # the arguments of the graph, not just those of the loss
    loss_alone = uf.Graph({"loss": case.graph.outputs["loss"]}, case.graph.definitions)
    lengths = {a.name: case.program.sizes[a.name] for a in loss_alone.axes}
    given = case.given if whole else {**_taken(loss_alone, case.given), **lengths}
    names = [n for n in names if n in given]
    f = uf.checkpoint(case.graph, "loss", names, window=window, snapshots=snapshots, over=axis)
    loss, grads = f(**given)
    near(loss, case.want["loss"], "loss in windows")
    same_gradients(case, grads, names=names)


def truncated(case: Case) -> None:
    """A window that is longer than the sequence cuts nothing."""
    if not case.names or not case.graph.axes:
        raise Unfit
    g = uf.truncate(case.graph, max([1, *case.program.sizes.values()]) + 2)
    with loudly():
        same_outputs(case, g(**case.given))
        same_gradients(case, case.gradients(g)[1])


def streamed(case: Case) -> None:
    """Step by step, the outputs over the axis; the loss is that of the steps so far."""
    axis = _open_axis(case)
    size = case.program.sizes[axis]
    names = [n for n, e in case.program.outputs.items() if axis in e.axes or n == "loss"]
    if not size:
        raise Unfit
    s = uf.stream(case.graph, *names, over=axis)
    over = {q.name: q.axes.index(axis) for q in case.program.leaves if axis in q.axes}
    held = {n: a for n, a in case.arrays.items() if n not in over}
    inputs = {q.name for q in case.program.leaves if q.role == "input"}  # those without the axis are held
    lengths = {n: k for n, k in case.program.sizes.items() if n in s.known}
    state = s.init(**{n: a for n, a in held.items() if n in s.known}, **lengths)
    for k in range(size):
        here = {n: np.take(case.arrays[n], k, d) for n, d in over.items()}
        weights = {n: a for n, a in held.items() if n not in inputs}
        out, state = s(state, **{n: a for n, a in {**weights, **here}.items() if n in s.known}, **lengths)
        for n in names:
            e = case.program.outputs[n]
            if axis in e.axes:
                near(out[n], np.take(case.want[n], k, e.axes.index(axis)), f"{n} at step {k + 1} of {axis}")
    if axis not in case.program.outputs["loss"].axes:
        near(out["loss"], case.want["loss"], "the loss after the last step")


def unfolded(case: Case) -> None:
    """The explicit graph."""
    if not all(case.program.sizes.values()):
        raise Unfit
    g = case.graph.unfold(**{a.name: case.program.sizes[a.name] for a in case.graph.axes})
    params = [q.name for q in case.program.leaves if q.role == "param" and q.kind == "float"]
    with loudly():
        same_outputs(case, g(**case.arrays))
        if params:
            same_gradients(case, g.value_and_grad("loss", params)(**case.arrays)[1], names=params)


def saved(case: Case) -> None:
    """Through JSON and back."""
    with loudly():
        same_outputs(case, uf.Graph.from_json(case.graph.to_json())(**case.given))


# ---------------------------------------------------------------------- batches
@dataclass
class Batch:
    """Examples, one by one as the oracle takes them and together as the graph does."""

    case: Case
    count: int
    first: bool
    lengths: dict[str, list[int]] = field(default_factory=dict)
    left: bool = False

    def __post_init__(self) -> None:
        program = self.case.program
        whole = program.arrays(3, batch=self.count)
        self.own = [
            {q.name: whole[q.name][n] if q.role == "input" else whole[q.name] for q in program.leaves}
            for n in range(self.count)
        ]
        self.dirs = [self.case.direction(5 + n, self.own[n]) for n in range(self.count)]
        for n in range(1, self.count):
            self.dirs[n].update(
                {
                    q.name: self.dirs[0][q.name]
                    for q in program.leaves
                    if q.role == "param" and q.kind == "float"
                }
            )

    def together(self, parts: list[Arrays], spoil: bool = False) -> Arrays:
        """The arrays of a call. What lies outside an example's own steps is spoilt."""
        out = {}
        rng = np.random.default_rng(11)
        for q in self.case.program.leaves:
            if q.name not in parts[0]:
                continue
            values = [np.array(p[q.name]) for p in parts]
            if q.role == "input":
                for n, v in enumerate(values):
                    own = self.cut(q.axes, n)
                    if spoil and own is not None:
                        rest = np.ones(v.shape, bool)
                        rest[own] = False
                        v[rest] = (
                            rng.integers(0, q.below, rest.sum())
                            if q.kind == "int"
                            else np.nan
                            if n % 2
                            else 1e6
                        )
                out[q.name] = np.stack(values, 0 if self.first else len(q.axes))
            else:
                out[q.name] = values[0]
        return out

    def cut(self, axes: tuple[str, ...], n: int) -> Any:
        """An example's own steps, as an index into an array over these axes."""
        if not any(a in self.lengths for a in axes):
            return None
        index = []
        for a in axes:
            size, own = self.case.program.sizes[a], self.sizes(n)[a]
            index.append(slice(size - own, size) if self.left else slice(0, own))
        return tuple(index)

    def sizes(self, n: int) -> dict[str, int]:
        return {
            a: self.lengths[a][n] if a in self.lengths else size
            for a, size in self.case.program.sizes.items()
        }

    def example(self, n: int, arrays: Arrays) -> Arrays:
        """The arrays of one example, as long as it is."""
        axes = {q.name: q.axes for q in self.case.program.leaves if q.role == "input"}
        out = dict(arrays)
        for name in arrays:
            if (index := self.cut(axes.get(name, ()), n)) is not None:
                out[name] = arrays[name][index]
        return out

    def check(self, graph: Any, reduce: str) -> None:
        case = self.case
        arrays = self.together(self.own, spoil=True)
        given = {**arrays, **case.lengths, **{f"len_{a}": np.array(n) for a, n in self.lengths.items()}}
        known = {a.name for a in graph.axes}
        if "n" in known and not any(q.role == "input" for q in case.program.leaves) and not self.lengths:
            given["n"] = self.count
        right = [
            Oracle(case.program, self.example(n, a), self.sizes(n)).outputs() for n, a in enumerate(self.own)
        ]
        if not all(np.isfinite(v).all() for r in right for v in r.values()):
            raise Unfit
        out = graph(**given)
        for name, e in case.program.outputs.items():
            self.same(name, e, out[name], [r[name] for r in right], reduce)
        if case.names:
            more = {a: n for a, n in given.items() if a not in case.lengths or a in case.lengths_of_loss}
            _, grads = graph.value_and_grad("loss", case.names)(**more)
            ends = self.together(self.dirs)
            total = 0.0
            for n in range(self.count):
                total += slope(
                    case.program, self.example(n, self.own[n]), self.example(n, self.dirs[n]), self.sizes(n)
                )
            for n in case.names:
                if np.shape(grads[n]) != arrays[n].shape:
                    raise Wrong(
                        f"gradient of {n}: shape {np.shape(grads[n])}, the array's is {arrays[n].shape}"
                    )
            got = sum(np.sum(grads[n] * ends[n]) for n in case.names)
            near(
                got,
                total / self.count if reduce == "mean" else total,
                "gradients of a batch along a direction",
                1e-6,
            )

    def same(self, name: str, e: Expr, got: Any, right: list[Any], reduce: str) -> None:
        whole = []
        for n, value in enumerate(right):
            padded = np.zeros((*(self.case.program.sizes[a] for a in e.axes), *e.shape), value.dtype)
            index = self.cut(e.axes, n)
            padded[... if index is None else index] = value
            whole.append(padded)
        if not e.axes and not e.shape:
            near(got, (np.mean if reduce == "mean" else np.sum)(whole), f"output {name} of a batch")
            return
        if np.shape(got) == whole[0].shape and all(np.array_equal(whole[0], w) for w in whole):
            near(got, whole[0], f"output {name} of a batch")  # it depends on no input
            return
        place = 0 if self.first else len(e.axes)
        if e.op != "read":  # the order of the axes of an expression is that in which they appear
            place = next(
                (k for k in range(len(e.axes) + 1) if np.shape(got) == np.stack(whole, k).shape), place
            )
            for k in range(len(e.axes) + 1):
                stacked = np.stack(whole, k)
                if np.shape(got) == stacked.shape and np.allclose(got, stacked, 1e-7, 1e-7):
                    return
        near(got, np.stack(whole, place), f"output {name} of a batch")


def batched(case: Case) -> None:
    batch = Batch(case, case.rng.choice((1, 2, 3)), case.rng.random() < 0.4)
    _some_input(case)
    reduce = case.rng.choice(("mean", "sum"))
    with loudly():
        batch.check(case.graph.batch("n", batch_first=batch.first, reduce=reduce), reduce)


def _some_input(case: Case) -> None:
    if not any(q.role == "input" for q in case.program.leaves):
        raise Unfit


def padded(case: Case) -> None:
    """Sequences of different lengths, padded; what the padding holds does not matter."""
    axes = sorted({a for q in case.program.leaves if q.role == "input" for a in q.axes})
    if not axes:
        raise Unfit
    chosen = axes if case.rng.random() < 0.2 else [case.rng.choice(axes)]
    count = case.rng.choice((1, 2, 3))
    lengths = {}
    for a in chosen:
        size = case.program.sizes[a]
        lengths[a] = [case.rng.randint(min(1, size), size) for _ in range(count)]
        if case.rng.random() < 0.2:
            lengths[a] = [size] * count
    batch = Batch(case, count, case.rng.random() < 0.3, lengths, case.rng.random() < 0.2)
    graph = case.graph.batch(
        "n",
        batch_first=batch.first,
        lengths={a: f"len_{a}" for a in chosen},
        pad="left" if batch.left else "right",
    )
    try:
        with loudly():
            batch.check(graph, "mean")
    except Outside:
        raise Unfit from None


WAYS: dict[str, Callable[[Case], None]] = {
    "forward": forward,
    "gradient": gradient,
    "gradient graph": gradient_graph,
    "reference": interpreted,
    "no optimisations": plain,
    **{f"without {name}": leaving_out(name) for name in PASSES},
    "other sizes": other_sizes,
    "twice": twice,
    "layouts": layouts,
    "float32": single,
    "complex": complex_numbers,
    "jvp": forward_mode,
    "hvp": second,
    "grad of grad": gradient_of_gradient,
    "rtrl": online,
    "same arguments": same_arguments,
    "checkpoint": checkpointed,
    "truncate": truncated,
    "stream": streamed,
    "unfold": unfolded,
    "json": saved,
    "batch": batched,
    "lengths": padded,
    "numba": compiled,
}


REFUSALS = (
    ("stream|checkpoint", "NotCausal"),
    ("lengths", "a reversed read has no batch with lengths"),
    ("lengths", "over . has no batch with lengths"),
)
"""(ways, what is said) where a refusal is right; any other one is a failure."""


# ---------------------------------------------------------------------- one program
@dataclass(frozen=True)
class Verdict:
    """What came of one way: right, refused, wrong or unfit; for the middle two, what was said."""

    way: str
    what: str
    said: str = ""


def attempt(program: Program, way: str) -> Verdict:
    """Try a program in one way."""
    try:
        case = Case(program)
        if not case.finite:
            return Verdict(way, "unfit")
        WAYS[way](case)
    except (Unfit, Outside):
        return Verdict(way, "unfit")
    except Wrong as error:
        return Verdict(way, "wrong", str(error))
    except uf.UnfoldError as error:
        said = f"{type(error).__name__}: {error}"
        known = any(re.fullmatch(ways, way) and re.search(text, said) for ways, text in REFUSALS)
        return Verdict(way, "refused" if known else "wrong", said if known else "refused: " + said)
    except RecursionError:
        return Verdict(way, "unfit")
    except Exception as error:
        return Verdict(way, "wrong", f"{type(error).__name__}: {error}")
    return Verdict(way, "right")


def kind_of(said: str) -> str:
    """What was said, without names and numbers, so that like ones count as one."""
    head = said.split("\n")[0]
    head = re.sub(r"\(<program>[^)]*\)", "", head)
    head = re.sub(r"got .*", "", head)
    head = re.sub(r"shape \(.*", "shape", head)
    head = re.sub(r"\b(out_|d)?[vxpds]\d+(_dot|_u)?\b", "_", head)
    head = re.sub(r"\[[^]]*\]", "", head) if head.startswith("refused") or "Not" in head else head
    head = re.sub(
        r"_ should be.*|along . |of . than|takes .*|this graph has .*|output (_|loss|more)\\b", "", head
    )
    return re.sub(r"[-+]?\d[\d.e+-]*", "#", head)[:90]


def repro(program: Program, verdict: Verdict) -> str:
    """A script that stands alone: the equations, the arrays, what was tried and what came out."""
    case = Case(program)
    lines = [f"# {verdict.way}: {verdict.said}", "import numpy as np", script(program).rstrip(), "arrays = {"]
    for name, a in case.arrays.items():
        kind = "int" if a.dtype == int else "float"
        lines.append(f"    {name!r}: np.array({a.ravel().tolist()!r}, {kind}).reshape({a.shape}),")
    lines.append("}")
    try:
        more = "".join(f", {a}={n}" for a, n in case.lengths.items())
    except Exception:
        more = ""
    lines.append(f"names = {case.names!r}  # all that can be differentiated")
    lines.append(f"print(g(**arrays{more}))")
    if case.names:
        lines.append(f"print(g.value_and_grad('loss', names)(**arrays{more}))")
    lines.append("# right: " + ", ".join(f"{n} = {v.ravel()[:8].tolist()}" for n, v in case.want.items()))
    if case.names and case.finite:
        u = case.direction()
        lines.append(
            "u = {"
            + ", ".join(
                f"{n!r}: np.array({u[n].ravel().tolist()!r}).reshape({u[n].shape})" for n in case.names
            )
            + "}"
        )
        lines.append(f"# right: sum(gradient * u) = {case.slopes}")
    return "\n".join(lines) + "\n"
