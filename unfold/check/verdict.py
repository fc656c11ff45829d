"""What a check may find, and what each verdict is in words."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What a check may find; equal to its name as text."""

    OK = "OK"
    WRONG = "WRONG"
    INACCURATE = "INACCURATE"
    NONDIFFERENTIABLE = "NONDIFFERENTIABLE"
    INCONCLUSIVE = "INCONCLUSIVE"

    __repr__ = str.__repr__

    @property
    def meaning(self) -> str:
        """The verdict in words: the gradient is ..."""
        return _MEANING[self]


_MEANING = {
    Verdict.OK: "proven",
    Verdict.WRONG: "wrong",
    Verdict.INACCURATE: "right as a formula, and less accurate than rounding explains",
    Verdict.NONDIFFERENTIABLE: "at a kink, between the one-sided derivatives",
    Verdict.INCONCLUSIVE: "not decided",
}
