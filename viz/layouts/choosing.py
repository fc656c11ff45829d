"""Which of the pictures a graph gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Form(Enum):
    """The pictures there are."""

    CYCLIC = "one circle a variable"
    UNFOLDED = "one circle a variable and step"
    STEP = "the operations of one step, its states going round"
    STEPS = "the operations of one step, repeated"
    LAYERED = "operations in layers"


@dataclass(frozen=True)
class Subject:
    """What is to be drawn, as far as its form depends on it."""

    operations: bool = False  # one box an operation is asked for
    axes: int = 0  # of the cyclic graph
    unfolded: bool = False  # along some of them
    partly: bool = False  # but not along all
    bare: bool = False  # a step computes nothing: data is only rearranged


FORMS: tuple[tuple[Callable[[Subject], bool], Form], ...] = (
    (lambda s: s.operations and (s.axes > 1 or s.bare), Form.LAYERED),  # nothing to repeat along
    (lambda s: s.operations and s.unfolded, Form.STEPS),
    (lambda s: s.operations, Form.STEP),
    (lambda s: s.unfolded and s.partly, Form.LAYERED),
    (lambda s: s.unfolded, Form.UNFOLDED),
    (lambda s: True, Form.CYCLIC),
)


def form(subject: Subject) -> Form:
    """The first form that fits."""
    return next(form for fits, form in FORMS if fits(subject))
