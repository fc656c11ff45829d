"""A rule that fails its certificate, and what may excuse it: rounding, a kink, real-only code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.check.numbers.oracle import HAS_LONG, LONG, TRUST, agree, one_sided
from unfold.check.rules.certificates import Certificate, Discrepancy, Rule

Array = NDArray[Any]


class Kind(StrEnum):
    """What a certificate that fails amounts to, after a second look."""

    WRONG = "WRONG"
    NONDIFFERENTIABLE = "NONDIFFERENTIABLE"  # at a kink, between the one-sided derivatives
    UNDEFINED = "UNDEFINED"  # there is no derivative here
    VAGUE = "VAGUE"  # it fails for an oracle that is in doubt itself
    UNSAFE = "UNSAFE"  # it holds by differences: the forward takes no complex numbers

    @property
    def unknown(self) -> bool:
        """Whether nothing can be said about the rule here."""
        return self in (Kind.UNDEFINED, Kind.VAGUE)


@dataclass(frozen=True)
class Fault:
    """A rule that fails its certificate."""

    rule: Rule
    cert: Certificate
    found: Discrepancy
    kind: Kind = Kind.WRONG
    kink: float | None = None

    def confirmed(self) -> Fault | None:
        """The fault after a second look, at the steps that are left of it: by what rounding did
        on the way, at kinks, in long double, and by differences."""
        unknown = self.cert.sum_left(~np.isfinite(self.cert.out)) > 0  # the forward itself is not finite
        known = self._but(np.where(unknown, np.inf, 0.0))
        if known is None:
            return None
        fault = known._but(np.where(np.isfinite(known.found.numeric), 0.0, np.inf))
        if fault is None or fault._is_undefined():
            return replace(known, kind=Kind.UNDEFINED)
        fault = fault._but(fault.cert.rounding())
        if fault is None:
            return None
        if fault._is_between_slopes():
            return replace(fault, kind=Kind.NONDIFFERENTIABLE)
        if HAS_LONG:
            again = self.cert.precisely(LONG).compare()
            shrunk = again.error <= np.maximum(self.found.error / 50, again.allowed)
            fault = fault._but(np.where(shrunk, np.inf, 0.0))
        if fault is not None and fault._holds_by_differences():
            return replace(fault, kind=Kind.UNSAFE)
        return fault

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

    def _slopes(self) -> tuple[Array, Array]:
        """The lesser and the greater of the one-sided derivatives, where it fails."""
        cert, wrong = self.cert.precisely(LONG), self.found.wrong
        with np.errstate(all="ignore"):
            left, right = one_sided(cert.along, cert.scale)
        a, b = np.real(cert.ct * left), np.real(cert.ct * right)
        return cert.sum_left(np.minimum(a, b))[wrong], cert.sum_left(np.maximum(a, b))[wrong]

    def _is_undefined(self) -> bool:
        """Whether there is no derivative, and the rule gives no number either: 1/sqrt(0)."""
        wrong = self.found.wrong
        if np.isfinite(self.found.analytic[wrong]).any():
            return False
        low, high = self._slopes()
        return not (agree(low, high) & agree(high, self.found.numeric[wrong])).any()

    def _is_between_slopes(self) -> bool:
        """At a tie: whether the analytic value lies between the one-sided derivatives."""
        low, high = self._slopes()
        size, analytic = self.found.size[self.found.wrong], self.found.analytic[self.found.wrong]
        between = (low - 1e-6 * size <= analytic) & (analytic <= high + 1e-6 * size)
        return bool(((high - low > 1e-5 * size) & between).all())

    @property
    def steps(self) -> tuple[Any, ...]:
        """The steps at which it fails, from 1; tuples of several axes."""
        return places(self.found.wrong) if self.cert.axes else ()


def places(here: Array) -> tuple[Any, ...]:
    """The steps at which something is so, from 1; tuples of several axes."""
    if not here.ndim:
        return ()
    at = [tuple(int(i) + 1 for i in place) for place in np.argwhere(here)]
    return tuple(place[0] if len(place) == 1 else place for place in at)
