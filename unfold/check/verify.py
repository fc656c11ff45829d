"""`check` and `assert_gradients`: are the gradients of a graph right, and if not, why not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from unfold.check.given import compare
from unfold.check.numbers.kinks import kink_operand
from unfold.check.numbers.oracle import HAS_LONG, LONG, agree
from unfold.check.progress import Progress
from unfold.check.report import Report
from unfold.check.rules.certificates import HOLD, Edge
from unfold.check.rules.second import PRODUCT, asymmetry, directional
from unfold.check.stages import Check, Projection, compiled
from unfold.check.why import diagnosis
from unfold.check.why.between import Engine, EngineFault, backend_fault
from unfold.check.why.fault import Fault
from unfold.check.why.limits import obstacle, unseen
from unfold.check.why.origin import describe
from unfold.core.errors import GradientError, UnfoldError
from unfold.core.leaves import Symbol
from unfold.core.system import Wrt
from unfold.graph import Graph
from unfold.transform import adjoint

Only = tuple[str, str, int | None] | None


def check(
    graph: Graph,
    of: str,
    wrt: Wrt = None,
    seed: int = 0,
    gradients: Mapping[str, Any] | None = None,
    order: int = 1,
    only: Only = None,
    **arrays: Any,
) -> Report:
    """Whether d of / d wrt is right at the given arrays; if not, the operation at fault.

    Two random projections of every gradient are compared with a complex step through the
    whole system, and every rule with a complex step through its own operation at every
    step; the tolerance is a bound on rounding, so that pass and fail both mean something.

    wrt        names of parameters or inputs; all parameters by default
    seed       of the random directions
    gradients  {name: array}: check these instead, from whatever source
    order      2 checks the second derivatives too
    only       (variable, operation, argument) of a report: that local check alone

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> x, w, s = uf.input("x", over=t), uf.param("w"), uf.var("s", over=t)
    >>> s[0] = 0
    >>> s[t] = uf.tanh(w * s[t-1] + x[t])
    >>> report = uf.check(uf.graph(loss=uf.sum(s[t], over=t)), "loss", x=[1.0, 2.0], w=0.5)
    >>> report.ok, report.verdict
    (True, 'OK')
    """
    with np.errstate(all="ignore"):  # what is not finite is reported, not warned about
        return _check(graph, of, wrt, seed, gradients, order, only, arrays)


def _check(
    graph: Graph,
    of: str,
    wrt: Wrt,
    seed: int,
    gradients: Mapping[str, Any] | None,
    order: int,
    only: Only,
    arrays: Mapping[str, Any],
) -> Report:
    start = time.monotonic()
    if not isinstance(graph, Graph):
        raise UnfoldError(f"check takes a graph, not {type(graph).__name__}; uf.graph(loss=...) makes one")
    if order not in (1, 2):
        raise UnfoldError(f"order={order!r}: a check is of first or second order")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise UnfoldError(f"seed={seed!r}: give a whole number, 0 or more")
    if gradients is not None:
        if not isinstance(gradients, Mapping) or not gradients:
            raise UnfoldError(f"gradients={gradients!r}: give {{name: array}}, one at least")
        if order == 2:
            raise UnfoldError("gradients= are first derivatives: check them with order=1")
        own = _Run(Check(graph, of, list(gradients), seed, arrays), only, start).report()
        return compare(graph, of, gradients, seed, arrays, own)
    if order == 1:
        return _Run(Check(graph, of, wrt, seed, arrays), only, start).report()
    first = None if only else _Run(Check(graph, of, wrt, seed, arrays), None, start).report()
    if first is not None and not first.ok:
        return first
    selected = list(adjoint.select(graph, wrt))
    second, given = directional(graph, of, selected, seed, arrays)
    known = {*second.params, *second.inputs}
    names = [name for name in selected if name in known]
    if not names:
        first = first or _Run(Check(graph, of, wrt, seed, arrays), None, start).report()
        return replace(first, order=2, notes=(*first.notes, _linear(of, selected)))
    hold = any(node.op.name == HOLD for node in graph.order)  # else a rule hides a derivative
    work = Check(second, PRODUCT, names, seed, given, hold)
    report = replace(_Run(work, only, start).report(), of=of, order=2)
    linear = [name for name in selected if name not in known]
    report = replace(report, notes=(*report.notes, *([_linear(of, linear)] if linear else [])))
    if not report.ok:
        return report
    error, bound = asymmetry(second, {n: selected.index(n) for n in names}, seed, work.wide)
    if error <= bound:
        return replace(report, notes=(*report.notes, f"symmetric: <u, Hv> - <v, Hu> = {error:.1e}"))
    text = f"<u, Hv> and <v, Hu> differ by {error:.1e} (allowed {bound:.1e}): the Hessian is not symmetric"
    return replace(report, verdict="INACCURATE" if error < 1e6 * bound else "WRONG", diagnosis=text)


def assert_gradients(
    graph: Graph,
    of: str,
    wrt: Wrt = None,
    seed: int = 0,
    gradients: Mapping[str, Any] | None = None,
    order: int = 1,
    only: Only = None,
    **arrays: Any,
) -> Report:
    """`check`, raising a `GradientError` with the report's text unless the gradients hold."""
    report = check(graph, of, wrt, seed, gradients, order, only, **arrays)
    if not report.ok:
        raise GradientError(str(report), report=report)
    return report


class _Run:
    """One run through the stages."""

    def __init__(self, work: Check, only: Only, start: float) -> None:
        self.work, self.start = work, start
        self.all_edges = work.edges
        self.edges = self.all_edges if only is None else _matching(work.graph, self.all_edges, only)
        self.bar = Progress(len(self.edges) + 2 * len(work.labels), f"checking d{work.of}")
        self.notes: list[str] = []

    def report(self) -> Report:
        try:
            return self._report()
        finally:
            self.bar.close()

    def _report(self) -> Report:
        faults = self._local()
        wrong = [f for f in faults if f.kind == "WRONG"]
        projections = self._global()
        finite = np.isfinite(self.work.values[self.work.graph.output(self.work.of)]).all()
        if wrong:
            return self._blame(wrong, _worst(projections))
        if not finite or not all(np.isfinite(p.numeric) for p in projections):
            return self._undecided(_worst(projections), faults)
        projections = [self.work.with_rounding(p, i % 2) if p.wrong else p for i, p in enumerate(projections)]
        failing = [(i, p) for i, p in enumerate(projections) if p.wrong]
        if failing:
            return self._engine(failing, faults)
        if any(f.kind in ("VAGUE", "UNDEFINED") for f in faults) or any(p.vague for p in projections):
            return self._undecided(_worst(projections), faults)
        self.notes += unseen(self.work)
        kinks = any(f.kind == "NONDIFFERENTIABLE" for f in faults)
        return self._make("NONDIFFERENTIABLE" if kinks else "OK", _worst(projections))

    def _engine(self, failing: list[tuple[int, Projection]], faults: list[Fault]) -> Report:
        """Every rule holds, and the whole does not: rounding, a kink, the engine, the backend."""
        work, first = self.work, failing[0][1]
        if not HAS_LONG:
            self.notes.append("long double is no longer than double on this machine")
            return self._make("INCONCLUSIVE" if first.error < 1e-6 * first.size else "WRONG", first)
        if self._all_shrink(failing, work.compiled_gradients(LONG)):
            return self._make("INACCURATE", first, **self._obstacle(faults))
        if any(f.kind == "NONDIFFERENTIABLE" for f in faults):
            return self._make("NONDIFFERENTIABLE", first)
        if self._all_shrink(failing, work.recorded_gradients(LONG)):
            self.notes.append("the gradient graph is right; the compiled code of it is not")
            return self._blame_engine(
                backend_fault(work.graph, work.of, work.wide, compiled), first, "backend"
            )
        slopes = np.array(work.slopes(first, failing[0][0] % 2))
        if not np.isfinite(slopes).all():
            return self._undecided(first, faults)
        if not np.isfinite(first.analytic):
            if not agree(*slopes):
                return self._undecided(first, faults)
            text = "not finite where the derivative is: something not finite times zero, perhaps"
            return self._make("WRONG", first, diagnosis=text, **self._obstacle(faults))
        return self._blame_engine(Engine(work).fault(), first, "engine")

    def _undecided(self, projection: Projection | None, faults: list[Fault]) -> Report:
        return self._make("INCONCLUSIVE", projection, **self._obstacle(faults))

    def _obstacle(self, faults: list[Fault]) -> dict[str, Any]:
        note, fields = obstacle(self.work, faults)
        self.notes.append(note)
        return fields

    def _all_shrink(self, failing: list[tuple[int, Projection]], gradients: Mapping[str, Any]) -> bool:
        return all(self.work.shrinks(p, i % 2, gradients) for i, p in failing)

    def _blame_engine(self, fault: EngineFault | None, projection: Projection, who: str) -> Report:
        self.notes.append(f"all {len(self.edges)} rules hold; the fault is in the {who}")
        if fault is None:
            text = "every rule and every read of the adjoint graph holds one by one"
            name = "simplify" if who == "engine" else who
            return self._make("WRONG", projection, operation=name, diagnosis=text)
        equation, source = describe(self.work.graph, fault.node)
        return self._make(
            "WRONG",
            projection,
            operation=str(fault.node.op) if isinstance(fault.node.op, Symbol) else fault.node.op.name,
            argument=fault.argument,
            steps=fault.steps,
            equation=equation,
            source=source,
            diagnosis=fault.diagnosis,
            axis=fault.axis,
            size=fault.size,
            confirmed=True,
            kink=self._kink_distance(),
            node=fault.node,
        )

    def _local(self) -> list[Fault]:
        faults = []
        for edge in self.edges:
            fault = self.work.judge(edge)
            if fault is not None:
                faults.append(fault)
                if fault.kind == "UNSAFE":
                    self.work.distrust(edge)
                    self.notes.append(
                        f"the forward of {edge[0].op.name} does not take complex numbers: "
                        "checked by differences; set complex_safe = False"
                    )
            self.bar.advance("local rules")
        return faults

    def _global(self) -> list[Projection]:
        gradients = self.work.compiled_gradients()
        found = []
        for projection in self.work.projections(gradients):
            found.append(projection)
            self.bar.advance("projections")
        return found

    def _blame(self, wrong: list[Fault], projection: Projection | None) -> Report:
        fault = wrong[0]
        node, argument = fault.edge
        equation, source = describe(self.work.graph, node)
        axes = fault.cert.axes
        sizes = [self.work.bound.extents[a] for a in axes]
        return self._make(
            "WRONG",
            projection,
            operation=node.op.name,
            argument=argument,
            steps=fault.steps,
            equation=equation,
            source=source,
            worst=diagnosis.worst(fault.cert, fault.found),
            diagnosis=diagnosis.explain(fault.cert, fault.found),
            axis=", ".join(a.name for a in axes) or "t",
            size=int(np.prod(sizes, dtype=int)),
            failed=len(wrong),
            confirmed=HAS_LONG,
            kink=self._kink_distance(),
            node=node,
        )

    def _kink_distance(self) -> float | None:
        """How far the nearest operand of an operation with a kink is from it."""
        distances = [
            float(np.abs(d).min())
            for node in {n for n, _ in self.all_edges}
            if (d := kink_operand(node, self.work.values)) is not None and d.size
        ]
        return min(distances, default=None)

    def _make(self, verdict: str, projection: Projection | None, **fields: Any) -> Report:
        off = projection if projection is not None else Projection("", 0.0, 0.0, 0.0, 0.0, 0.0)
        return Report(
            self.work.of,
            verdict,
            tuple(self.work.labels),
            off.variable if off.wrong else None,
            off.error,
            off.allowed,
            local=len(self.edges),
            seed=self.work.seed,
            seconds=time.monotonic() - self.start,
            notes=tuple(self.notes),
            graph=self.work.graph,
            **fields,
        )


def _linear(of: str, names: list[str]) -> str:
    return f"d{of} does not depend on {', '.join(names)}: second derivatives are zero"


def _worst(projections: list[Projection]) -> Projection | None:
    """The one furthest off, by its own measure."""
    return max(projections, key=lambda p: p.error / (p.allowed or 1.0), default=None)


def _matching(graph: Graph, edges: list[Edge], only: tuple[str, str, int | None]) -> list[Edge]:
    """The rules that (variable, operation, argument) of a report means."""
    keys = [(describe(graph, node)[0].split(" = ")[0], node.op.name, k) for node, k in edges]
    found = []
    if isinstance(only, tuple | list) and len(only) == 3:
        left, operation, argument = only
        for edge, (lhs, name, k) in zip(edges, keys, strict=True):
            if left in (lhs, lhs.split("[")[0]) and name == operation and argument in (None, k):
                found.append(edge)
    if not found:
        known = ", ".join(map(str, dict.fromkeys(keys)))
        raise UnfoldError(f"only={only!r}: no such rule; give one of {known}")
    return found
