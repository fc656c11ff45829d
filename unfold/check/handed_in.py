"""Gradients that come from elsewhere: a student's derivation, a paper's, another program's.

The true gradient is known (and checked), and so is what each step contributes to it,

    dL/dW = sum over t of C[t]          C[t]: through the reads of W at step t alone

so a wrong one can be told apart further: which steps are missing or counted wrongly, or
which single rule, left out or changed, gives exactly what was handed in.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from unfold.check.mutants import Mutation, RuleCall, mutate_with, scaled
from unfold.check.numbers.oracle import SLACK
from unfold.check.numbers.recorder import record
from unfold.check.report import Report, Worst
from unfold.check.rules.certificates import Certificate, Rule
from unfold.check.trial import Trial
from unfold.check.verdict import Verdict
from unfold.check.why.diagnosis import factor, same, shifted
from unfold.check.why.equation import describe
from unfold.check.why.reverse_mode import ReverseMode
from unfold.core.errors import BindingError, UnknownName
from unfold.core.node import Node, call
from unfold.engine.binding import Array
from unfold.graph import Graph
from unfold.ops.time.delays import Delay
from unfold.transform import adjoint

EFFORT = 4000  # nodes times mutants that may be tried to explain a gradient


def compare(
    graph: Graph, of: str, gradients: Mapping[str, Any], seed: int, arrays: Mapping[str, Any], own: Report
) -> Report:
    """The report on gradients from elsewhere, after the report `own` on the graph's own ones."""
    start = time.monotonic()
    if not own.ok:
        return own
    work = Trial(graph, of, list(gradients), seed, arrays)
    true = work.recorded_gradients(np.float64)
    report = replace(own, notes=(*own.notes, "the gradients compared come from outside"))
    for name, value in gradients.items():
        array = _array(name, value, true)
        size = max(float(abs(true[name]).max(initial=0)), float(np.nan_to_num(abs(array)).max(initial=0)))
        bound, error = np.asarray(10 * SLACK * _eps(array) * size), abs(array - true[name])
        if not (error <= bound).all():
            bound = bound + work.entry_rounding(name)
        if not (error <= bound).all():
            found = _Explanation(work, name, array, true[name], bound).report()
            fields = {f: getattr(found, f) for f in _EXPLAINED}
            worst = float(np.nan_to_num(error, nan=np.inf).max())
            rerun = f"check(graph, {of!r}, gradients={{{name!r}: ...}}, seed={seed}, ...)"
            return replace(
                own,
                rerun=rerun,
                variable=name,
                error=worst,
                allowed=float(bound.max()),
                seconds=time.monotonic() - start,
                **fields,
            )
    return report


_EXPLAINED = (
    "verdict", "operation", "argument", "steps", "equation", "source",
    "worst", "diagnosis", "axis", "size", "notes", "node",
)  # fmt: skip


def _array(name: str, value: Any, true: Mapping[str, Array]) -> Array:
    if name not in true:
        raise UnknownName(f"gradients[{name!r}]: give those of whole arrays: {', '.join(true)}")
    array, like = np.asarray(value), true[name]
    if array.dtype.kind not in ("biufc" if like.dtype.kind == "c" else "biuf"):
        raise BindingError(
            f"gradients[{name!r}] should hold {like.dtype} numbers like {name}, not {array.dtype}"
        )
    if array.shape != like.shape:
        raise BindingError(f"gradients[{name!r}] should be {like.shape} like {name}, it is {array.shape}")
    return array.astype(np.float64) if array.dtype.kind in "biu" else array


def _eps(array: Array) -> float:
    """The rounding that an array carries: of single precision also where it holds single numbers
    now, unless they are short ones."""
    single = array.astype(np.result_type(np.float32, np.complex64) if array.dtype.kind == "c" else np.float32)
    short = (array.real.astype(np.float16) == array.real) & (array.imag.astype(np.float16) == array.imag)
    kept = array.dtype if not np.array_equal(array, single) or short.all() else single.dtype
    return float(max(np.finfo(kept).eps, np.finfo(array.dtype).eps))


class _Explanation:
    """Why one array is not the gradient in one variable."""

    def __init__(self, work: Trial, name: str, given: Array, true: Array, bound: Array) -> None:
        self.work, self.name, self.given, self.true, self.bound = work, name, given, true, bound
        self.scale = float(abs(true).max(initial=0)) or 1.0

    def is_it(self, candidate: Array) -> bool:
        return candidate.shape == self.given.shape and same(self.given, candidate, self.scale)

    def report(self) -> Report:
        wrong = ~(abs(self.given - self.true) <= self.bound)
        off = np.where(np.isfinite(self.given), abs(self.given - self.true), np.inf)
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(off)), off.shape))
        worst = Worst((), index, self.given[index].item(), self.true[index].item())
        source = next(u for u in self.work.sources.values() if self.name == getattr(u.op, "label", ""))
        note = f"{int(wrong.sum())} of {wrong.size} entries of d{self.work.of}/d{self.name} are wrong"
        note += "".join(_confined(wrong, [a.name for a in source.axes]))
        base = Report(self.work.of, Verdict.WRONG, worst=worst, notes=(note,))
        if source.axes:
            at = sorted({int(i[0]) + 1 for i in np.argwhere(wrong)})
            size = self.work.bound.extents[source.axes[0]]
            base = replace(base, steps=tuple(at), axis=source.axes[0].name, size=size, node=source)
            base = replace(base, equation=f"d{self.work.of}/d{self.name}[{source.axes[0].name}]")
        simple = factor(self.given, self.true, self.scale, max([0, *self.work.bound.extents.values()]))
        if simple:
            return replace(base, diagnosis=simple)
        if self.given.ndim >= 2 and self.is_it(np.swapaxes(self.true, -1, -2)):
            return replace(base, diagnosis="transposed")
        if self.given.dtype.kind == "c" and self.is_it(self.true.conj()):
            return replace(
                base, diagnosis="the complex conjugate: here, dL is the real part of gradient * dz"
            )
        found = self._by_step(base)  # a failed report is false, so `or` would not do
        found = self._by_rule(base) if found is None else found
        return base if found is None else found

    # ------------------------------------------------------------------ steps
    @cached_property
    def _engine(self) -> ReverseMode:
        return ReverseMode(self.work)

    def _reads(self) -> Iterator[tuple[Rule, Certificate]]:
        for rule in self.work.rules:
            node, k = rule
            if getattr(node.inputs[k].op, "label", None) == self.name and not node.inputs[k].axes:
                cert = self.work.certificate(rule)
                yield rule, replace(cert, ct=self._engine.adjoint(node).astype(cert.ct.dtype))

    def _by_step(self, base: Report) -> Report | None:
        """For a parameter read at every step: which steps' contributions make up what is given."""
        reads = [(rule, cert) for rule, cert in self._reads() if len(cert.axes) == 1]
        if not reads or self.given.size * sum(c.bound.extents[c.axes[0]] for _, c in reads) > 1 << 24:
            return None
        axis = reads[0][1].axes[0]
        if any(cert.axes[0] != axis for _, cert in reads):
            return None
        (node, k), _ = reads[0]
        equation, where = describe(self.work.graph, node)
        size = self.work.bound.extents[axis]
        base = replace(
            base, operation=node.op.name, argument=k, equation=equation, source=where,
            axis=axis.name, size=size, node=node,
        )  # fmt: skip
        each = np.sum([self._contributions(cert) for _, cert in reads], axis=0)
        rest = self.true - each.sum(axis=0)
        for steps, text in _selections(each, rest, self.is_it, axis.name):
            return replace(base, steps=steps, diagnosis=text)
        for move in (1, -1):
            moved = [_moved(cert, move, self.work.values) for _, cert in reads]
            if self.is_it(rest + sum(self._contributions(cert).sum(axis=0) for cert in moved)):
                text = f"what it is multiplied with is taken one step too {'late' if move > 0 else 'early'}"
                return replace(base, steps=tuple(range(1, size + 1)), diagnosis=text)
        return self._by_weights(base, each, rest)

    def _contributions(self, cert: Certificate) -> Array:
        """C[t], over the one axis of a read of the parameter."""
        piece, axes = cert.piece()
        full = (cert.bound.extents[cert.axes[0]], *piece.shape[len(axes) :])
        piece = np.broadcast_to(piece if axes else piece[None], full)
        extra = piece.ndim - 1 - self.true.ndim
        piece = piece.sum(axis=tuple(range(1, 1 + extra))) if extra > 0 else piece
        repeated = tuple(i + 1 for i, n in enumerate(self.true.shape) if n == 1 and piece.shape[i + 1] != 1)
        return piece.sum(axis=repeated, keepdims=True) if repeated else piece

    def _by_weights(self, base: Report, each: Array, rest: Array) -> Report | None:
        """Weights of the steps that make up what is given, where they are unique."""
        table = each.reshape(len(each), -1).T
        used = np.nonzero(abs(table).max(axis=0) > 0)[0]
        if table.size > 1 << 22 or np.linalg.matrix_rank(table) < len(used):
            return None
        weights = np.ones(len(each))
        weights[used], *_ = np.linalg.lstsq(table[:, used], (self.given - rest).ravel(), rcond=None)
        if not self.is_it(np.tensordot(weights, each, 1) + rest):
            return None
        off = [i for i, w in enumerate(weights) if abs(w - 1) > 1e-6]
        shown = ", ".join(f"{weights[i]:.4g} at {base.axis} = {i + 1}" for i in off[:4])
        text = f"steps weighted wrongly: {shown}" + (", ..." if len(off) > 4 else "")
        return replace(base, steps=tuple(i + 1 for i in off), diagnosis=text)

    # ------------------------------------------------------------------ rules
    def _by_rule(self, base: Report) -> Report | None:
        """The one rule that, changed in a usual way, gives exactly what was handed in."""
        work = self.work
        if len(work.rules) * len(USUAL) * len(work.graph.order) > 50 * EFFORT:
            return None
        for rule in work.rules:
            node, k = rule
            for text, change in USUAL.items():
                if self.is_it(self._under(node, k, change)):
                    equation, where = describe(work.graph, node)
                    return replace(
                        base, operation=node.op.name, argument=k, equation=equation, source=where,
                        diagnosis=text, steps=(), node=node,
                    )  # fmt: skip
        return None

    def _under(self, node: Node, argument: int, change: Mutation) -> Array:
        """The gradient if one rule were another."""
        work = self.work
        mutant = mutate_with(work.graph, node, argument, change)
        sources = {n: u for n, u in work.sources.items() if getattr(u.op, "label", "") == self.name}
        joint = adjoint.with_gradients(mutant, work.of, sources, [])
        try:
            values = record(joint, work.wide, joint.outputs.values())
        except (ValueError, IndexError):
            return np.zeros(0)
        if len(sources) != 1:
            return np.zeros(0)
        return values[joint.outputs[next(iter(sources))]]


def _confined(wrong: Array, axes: list[str]) -> Iterator[str]:
    """In which steps and which entries alone something is wrong, in words."""
    for place, size in enumerate(wrong.shape):
        bad = np.nonzero(wrong.any(axis=tuple(i for i in range(wrong.ndim) if i != place)))[0]
        if len(bad) == size or len(bad) > 8:
            continue
        if place < len(axes):
            yield f", all at {axes[place]} = {', '.join(str(i + 1) for i in bad)}"
            continue
        slots = [":"] * (wrong.ndim - len(axes))
        slots[place - len(axes)] = str(bad[0]) if len(bad) == 1 else f"{{{', '.join(map(str, bad))}}}"
        yield f", all at [{', '.join(slots)}]"


def _moved(cert: Certificate, move: int, values: Mapping[Node, Array]) -> Certificate:
    """The same read with its other operands taken one step away."""
    axis = cert.axes[0]
    operands = []
    for x, u in zip(cert.operands, cert.node.inputs, strict=True):
        if isinstance(u.op, Delay) and u.op.axis == axis and u.op.lag == move:
            x = values[u.inputs[0]]  # without its delay
        elif axis in u.axes:
            x = shifted(x, -move, u.axes.index(axis))
        operands.append(x)
    return replace(cert, operands=tuple(operands))


def _selections(each: Array, rest: Array, is_it: Any, axis: str) -> Iterator[tuple[tuple[int, ...], str]]:
    """Steps left out: one, the last ones, the first ones, all but one."""
    size, total = len(each), each.sum(axis=0)
    for i in range(size):
        if is_it(total - each[i] + rest):
            yield (i + 1,), f"the contribution of {axis} = {i + 1} is missing"
        if size > 1 and is_it(each[i] + rest):
            missing = tuple(n for n in range(1, size + 1) if n != i + 1)
            yield missing, f"only the contribution of {axis} = {i + 1} is there"
    upto = np.cumsum(each, axis=0)
    for i in range(size - 1):
        if is_it(upto[i] + rest):
            yield tuple(range(i + 2, size + 1)), f"the contributions after {axis} = {i + 1} are missing"
        if is_it(total - upto[i] + rest):
            yield tuple(range(1, i + 2)), f"the contributions up to {axis} = {i + 1} are missing: truncated"


def _passed(at: RuleCall) -> Node | None:
    like = at.inputs[at.argument]
    return at.ct if at.ct.shape == like.shape else call("sum", at.ct)


def _confused(at: RuleCall) -> Node | None:
    """The rule with an argument in the place of the result: 1 - x**2 for 1 - tanh(x)**2."""
    x = at.inputs[0]
    if x.shape != at.out.shape or x.dtype != at.out.dtype:
        return at.piece()
    return at.rule(at.ct, x, *at.inputs)[at.argument]


def _untransposed(at: RuleCall) -> Node | None:
    """W ct for W.T ct, and the like: the other matrices of a product turned round."""
    inputs = [
        u.T if k != at.argument and len(u.shape) == 2 and u.shape[0] == u.shape[1] else u
        for k, u in enumerate(at.inputs)
    ]
    return at.piece(inputs=inputs)


USUAL: dict[str, Mutation] = {
    "its derivative is left out: the cotangent is passed on as it is": _passed,
    "its contribution is left out, as if that argument were constant": lambda at: None,
    "its sign is wrong": scaled(-1.0),
    "it is counted twice": scaled(2.0),
    "it is halved": scaled(0.5),
    "its input is used where its value belongs": _confused,
    "the matrix beside it is not transposed": _untransposed,
}
