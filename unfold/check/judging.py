"""From the rules and projections of a trial to a verdict, and to what is at fault.

A rule that fails its certificate is at fault. Where all hold and a projection does not, it is, in
this order: rounding, a kink, the compiled code, or reverse mode between the rules.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from unfold.check.bar import Bar
from unfold.check.numbers.kinks import kink_operand
from unfold.check.numbers.oracle import HAS_LONG, LONG, agree
from unfold.check.report import Report
from unfold.check.rules.certificates import Rule
from unfold.check.rules.fault import Fault, Kind
from unfold.check.trial import Projection, Trial, compiled
from unfold.check.verdict import Verdict
from unfold.check.why import diagnosis
from unfold.check.why.backend import backend_fault
from unfold.check.why.equation import describe
from unfold.check.why.reverse_mode import EngineFault, ReverseMode
from unfold.check.why.undecided import obstacle, unseen
from unfold.core.errors import UnfoldError
from unfold.core.leaves import Symbol
from unfold.engine.proof import engine_fault
from unfold.graph import Graph

Only = tuple[str, str, int | None] | None


def judged(work: Trial, only: Only, start: float) -> Report:
    """The report on a trial that began at `start`; of the rules that `only` means, if it is given."""
    return _Judging(work, only, start).report()


class _Judging:
    """One trial, from its rules and projections to a report."""

    def __init__(self, work: Trial, only: Only, start: float) -> None:
        self.work, self.start = work, start
        self.all_rules = work.rules
        self.rules = self.all_rules if only is None else matching(work.graph, self.all_rules, only)
        self.bar = Bar(len(self.rules) + 2 * len(work.labels), f"checking d{work.of}")
        self.notes: list[str] = []

    def report(self) -> Report:
        try:
            return self._report()
        finally:
            self.bar.close()

    def _report(self) -> Report:
        faults = self._local()
        wrong = [f for f in faults if f.kind is Kind.WRONG]
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
        if any(f.kind.unknown for f in faults) or any(p.vague for p in projections):
            return self._undecided(_worst(projections), faults)
        self.notes += unseen(self.work)
        kinks = any(f.kind is Kind.NONDIFFERENTIABLE for f in faults)
        return self._make(Verdict.NONDIFFERENTIABLE if kinks else Verdict.OK, _worst(projections))

    def _engine(self, failing: list[tuple[int, Projection]], faults: list[Fault]) -> Report:
        """Every rule holds, and the whole does not: rounding, a kink, the engine, the backend."""
        work, first = self.work, failing[0][1]
        if not HAS_LONG:
            self.notes.append("long double is no longer than double on this machine")
            return self._make(
                Verdict.INCONCLUSIVE if first.error < 1e-6 * first.size else Verdict.WRONG, first
            )
        if self._all_shrink(failing, work.compiled_gradients(LONG)):
            return self._make(Verdict.INACCURATE, first, **self._obstacle(faults))
        if any(f.kind is Kind.NONDIFFERENTIABLE for f in faults):
            return self._make(Verdict.NONDIFFERENTIABLE, first)
        if self._all_shrink(failing, work.recorded_gradients(LONG)):
            self.notes.append("the gradient graph is right; the compiled code of it is not")
            fault = backend_fault(work.graph, work.of, work.wide, compiled)
            return self._blame_engine(fault, first, "backend", engine_fault(work.joint, work.bound))
        slopes = np.array(work.slopes(first, failing[0][0] % 2))
        if not np.isfinite(slopes).all():
            return self._undecided(first, faults)
        if not np.isfinite(first.analytic):
            if not agree(*slopes):
                return self._undecided(first, faults)
            text = "not finite where the derivative is: something not finite times zero, perhaps"
            return self._make(Verdict.WRONG, first, diagnosis=text, **self._obstacle(faults))
        return self._blame_engine(ReverseMode(work).fault(), first, "engine")

    def _undecided(self, projection: Projection | None, faults: list[Fault]) -> Report:
        return self._make(Verdict.INCONCLUSIVE, projection, **self._obstacle(faults))

    def _obstacle(self, faults: list[Fault]) -> dict[str, Any]:
        note, fields = obstacle(self.work, faults)
        self.notes.append(note)
        return fields

    def _all_shrink(self, failing: list[tuple[int, Projection]], gradients: Mapping[str, Any]) -> bool:
        return all(self.work.shrinks(p, i % 2, gradients) for i, p in failing)

    def _blame_engine(
        self, fault: EngineFault | None, projection: Projection, who: str, proof: str | None = None
    ) -> Report:
        """Names what reverse mode or the compiled code has done wrong; `proof` is what the proof of the
        plan says to it."""
        self.notes.append(f"all {len(self.rules)} rules hold; the fault is in the {who}")
        if fault is None:
            text = proof or "every rule and every read of the adjoint graph holds one by one"
            name = "simplify" if who == "engine" else who
            return self._make(Verdict.WRONG, projection, operation=name, diagnosis=text)
        equation, source = describe(self.work.graph, fault.node)
        return self._make(
            Verdict.WRONG,
            projection,
            operation=str(fault.node.op) if isinstance(fault.node.op, Symbol) else fault.node.op.name,
            argument=fault.argument,
            steps=fault.steps,
            equation=equation,
            source=source,
            diagnosis=proof or fault.diagnosis,
            axis=fault.axis,
            size=fault.size,
            confirmed=True,
            kink=self._kink_distance(),
            node=fault.node,
        )

    def _local(self) -> list[Fault]:
        faults = []
        for rule in self.rules:
            fault = self.work.judge(rule)
            if fault is not None:
                faults.append(fault)
                if fault.kind is Kind.UNSAFE:
                    self.work.distrust(rule)
                    self.notes.append(
                        f"the forward of {rule.node.op.name} does not take complex numbers: "
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
        node, argument = fault.rule
        equation, source = describe(self.work.graph, node)
        axes = fault.cert.axes
        sizes = [self.work.bound.extents[a] for a in axes]
        return self._make(
            Verdict.WRONG,
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
            for node in {n for n, _ in self.all_rules}
            if (d := kink_operand(node, self.work.values)) is not None and d.size
        ]
        return min(distances, default=None)

    def _make(self, verdict: Verdict, projection: Projection | None, **fields: Any) -> Report:
        off = projection if projection is not None else Projection("", 0.0, 0.0, 0.0, 0.0, 0.0)
        return Report(
            self.work.of,
            verdict,
            tuple(self.work.labels),
            off.variable if off.wrong else None,
            off.error,
            off.allowed,
            local=len(self.rules),
            seed=self.work.seed,
            seconds=time.monotonic() - self.start,
            notes=tuple(self.notes),
            graph=self.work.graph,
            **fields,
        )


def _worst(projections: list[Projection]) -> Projection | None:
    """The one furthest off, by its own measure."""
    return max(projections, key=lambda p: p.error / (p.allowed or 1.0), default=None)


def matching(graph: Graph, rules: list[Rule], only: tuple[str, str, int | None]) -> list[Rule]:
    """The rules that (variable, operation, argument) of a report means."""
    keys = [(describe(graph, node)[0].split(" = ")[0], node.op.name, k) for node, k in rules]
    found = []
    if isinstance(only, tuple | list) and len(only) == 3:
        left, operation, argument = only
        for rule, (lhs, name, k) in zip(rules, keys, strict=True):
            if left in (lhs, lhs.split("[")[0]) and name == operation and argument in (None, k):
                found.append(rule)
    if not found:
        known = ", ".join(map(str, dict.fromkeys(keys)))
        raise UnfoldError(f"only={only!r}: no such rule; give one of {known}")
    return found
