"""A rule that fails its certificate, and what may excuse it: rounding, a kink, real-only code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.check.oracle import HAS_LONG, LONG, TRUST, one_sided
from unfold.check.rules import Certificate, Comparison, Edge

Array = NDArray[Any]


@dataclass(frozen=True)
class Fault:
    """A rule that fails its certificate."""

    edge: Edge
    cert: Certificate
    found: Comparison
    kind: str = "WRONG"
    kink: float | None = None

    def confirmed(self) -> Fault | None:
        """The fault after a second look, at the steps that are left of it: by what rounding did
        on the way, by differences, at kinks, and in long double."""
        fault = self._but(self.cert.rounding())
        if fault is None:
            return None
        if fault._holds_by_differences():
            return replace(fault, kind="UNSAFE")
        if fault._is_between_slopes():
            return replace(fault, kind="NONDIFFERENTIABLE")
        if not HAS_LONG:
            return fault
        again = self.cert.precisely(LONG).compare()
        shrunk = again.error <= np.maximum(self.found.error / 50, again.allowed)
        return fault._but(np.where(shrunk, np.inf, 0.0))

    def _but(self, doubt: Array) -> Fault | None:
        """What is left of it where so much is explained."""
        found = self.found.but(doubt)
        return replace(self, found=found) if found.wrong.any() else None

    def _holds_by_differences(self) -> bool:
        """Whether differences side with the rule: then the forward does not take complex numbers."""
        if not self.found.safe:
            return False
        wrong = self.found.wrong
        slope, guess = self.cert.precisely(LONG).extrapolated()
        numeric = self.cert.sum_left(np.real(self.cert.ct * slope))[wrong]
        doubt = TRUST * self.cert.sum_left(abs(self.cert.ct) * guess)[wrong]
        error, size = abs(self.found.analytic[wrong] - numeric), self.found.size[wrong]
        # an oracle in doubt excuses nothing
        return bool(
            ((error <= doubt + 1e3 * self.found.eps * size) & (doubt < 0.1 * self.found.error[wrong])).all()
        )

    def _is_between_slopes(self) -> bool:
        """At a tie: whether the analytic value lies between the one-sided derivatives."""
        cert, wrong = self.cert.precisely(LONG), self.found.wrong
        with np.errstate(all="ignore"):
            left, right = one_sided(cert.along, cert.scale)
        a, b = np.real(cert.ct * left), np.real(cert.ct * right)
        low, high = cert.sum_left(np.minimum(a, b))[wrong], cert.sum_left(np.maximum(a, b))[wrong]
        slack, analytic = 1e-6 * self.found.size[wrong], self.found.analytic[wrong]
        kinked = high - low > 1e-5 * self.found.size[wrong]
        return bool((kinked & (low - slack <= analytic) & (analytic <= high + slack)).all())

    @property
    def steps(self) -> tuple[Any, ...]:
        """The steps at which it fails, from 1; tuples of several axes."""
        if not self.cert.axes:
            return ()
        at = [tuple(int(i) + 1 for i in place) for place in np.argwhere(self.found.wrong)]
        return tuple(place[0] if len(place) == 1 else place for place in at)
