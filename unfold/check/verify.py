"""`check` and `assert_gradients`: are the gradients of a graph right, and if not, why not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from unfold.check.handed_in import compare
from unfold.check.judging import Only, judged
from unfold.check.report import Report
from unfold.check.rules.certificates import HOLD
from unfold.check.rules.second import PRODUCT, asymmetry, directional
from unfold.check.trial import Trial
from unfold.check.verdict import Verdict
from unfold.core.errors import GradientError, UnfoldError
from unfold.core.system import Wrt
from unfold.graph import Graph
from unfold.transform import adjoint


def check(
    graph: Graph,
    of: str,
    wrt: Wrt = None,
    seed: int = 0,
    gradients: Mapping[str, Any] | None = None,
    order: int = 1,
    only: Only = None,
    *,
    arrays: Mapping[str, Any] | None = None,
    **more: Any,
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
    arrays = {**(arrays or {}), **more}
    with np.errstate(all="ignore"):  # what is not finite is reported, not warned about
        start = time.monotonic()
        _check_arguments(graph, seed, gradients, order)
        if gradients is not None:
            own = judged(Trial(graph, of, list(gradients), seed, arrays), only, start)
            return compare(graph, of, gradients, seed, arrays, own)
        if order == 1:
            return judged(Trial(graph, of, wrt, seed, arrays), only, start)
        return _second_order(graph, of, wrt, seed, only, arrays, start)


def _check_arguments(graph: Any, seed: Any, gradients: Any, order: Any) -> None:
    if not isinstance(graph, Graph):
        raise UnfoldError(f"check takes a graph, not {type(graph).__name__}; uf.graph(loss=...) makes one")
    if order not in (1, 2):
        raise UnfoldError(f"order={order!r}: a check is of first or second order")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise UnfoldError(f"seed={seed!r}: give a whole number, 0 or more")
    if gradients is None:
        return
    if not isinstance(gradients, Mapping) or not gradients:
        raise UnfoldError(f"gradients={gradients!r}: give {{name: array}}, one at least")
    if order == 2:
        raise UnfoldError("gradients= are first derivatives: check them with order=1")


def _second_order(
    graph: Graph, of: str, wrt: Wrt, seed: int, only: Only, arrays: Mapping[str, Any], start: float
) -> Report:
    """First the gradient, then its derivative along a random direction, then their symmetry."""
    first = None if only else judged(Trial(graph, of, wrt, seed, arrays), None, start)
    if first is not None and not first.ok:
        return first
    selected = list(adjoint.select(graph, wrt))
    second = directional(graph, of, selected, seed, arrays)
    known = {*second.graph.params, *second.graph.inputs}
    names = [name for name in selected if name in known]
    if not names:
        first = first or judged(Trial(graph, of, wrt, seed, arrays), None, start)
        return replace(first, order=2, notes=(*first.notes, _linear(of, selected)))
    hold = any(node.op.name == HOLD for node in graph.order)  # else a rule hides a derivative
    work = Trial(second.graph, PRODUCT, names, seed, second.arrays, hold)
    report = replace(judged(work, only, start), of=of, order=2)
    linear = [name for name in selected if name not in known]
    report = replace(report, notes=(*report.notes, *([_linear(of, linear)] if linear else [])))
    if not report.ok:
        return report
    error, bound = asymmetry(second, names, seed, work.wide)
    if error <= bound:
        return replace(report, notes=(*report.notes, f"symmetric: <u, Hv> - <v, Hu> = {error:.1e}"))
    text = f"<u, Hv> and <v, Hu> differ by {error:.1e} (allowed {bound:.1e}): the Hessian is not symmetric"
    verdict = Verdict.INACCURATE if error < 1e6 * bound else Verdict.WRONG
    return replace(report, verdict=verdict, diagnosis=text)


def _linear(of: str, names: list[str]) -> str:
    return f"d{of} does not depend on {', '.join(names)}: second derivatives are zero"


def assert_gradients(
    graph: Graph,
    of: str,
    wrt: Wrt = None,
    seed: int = 0,
    gradients: Mapping[str, Any] | None = None,
    order: int = 1,
    only: Only = None,
    *,
    arrays: Mapping[str, Any] | None = None,
    **more: Any,
) -> Report:
    """`check`, raising a `GradientError` with the report's text unless the gradients hold."""
    arrays = {**(arrays or {}), **more}
    report = check(graph, of, wrt, seed, gradients, order, only, arrays=arrays)
    if not report.ok:
        raise GradientError(str(report), report=report)
    return report
