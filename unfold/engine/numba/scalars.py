"""Elementwise statements at one entry, as text: `_exp(a) * b`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unfold.engine.plan.statement import Statement, Verb
from unfold.engine.plan.view import Memory, View

SCALAR = {
    "add": "({0} + {1})",
    "subtract": "({0} - {1})",
    "multiply": "({0} * {1})",
    "divide": "({0} / {1})",
    "negative": "(-{0})",
    "positive": "{0}",
    "power": "({0} ** {1})",
    "reciprocal": "(_D(1) / {0})",
    "maximum": "({0} if {0} >= {1} or {0} != {0} else {1})",
    "minimum": "({0} if {0} <= {1} or {0} != {0} else {1})",
    "less": "({0} < {1})",
    "less_equal": "({0} <= {1})",
    "greater": "({0} > {1})",
    "greater_equal": "({0} >= {1})",
    "equal": "({0} == {1})",
    "not_equal": "({0} != {1})",
    "logical_and": "({0} != 0 and {1} != 0)",
    "logical_or": "({0} != 0 or {1} != 0)",
    "logical_not": "({0} == 0)",
    "isnan": "({0} != {0})",
    "isinf": "(abs({0}) == inf)",
    "isfinite": "(abs({0}) < inf)",
    "sign": "(_D({0} > 0) - _D({0} < 0) if {0} == {0} else {0})",
    "absolute": "abs({0})",
    "square": "({0} * {0})",
    "exp": "_exp({0})",
    "tanh": "_tanh({0})",
    **{name: f"_math.{name}({{0}})" for name in ("log", "log1p", "expm1", "sqrt", "sin", "cos")},
}
REAL = {
    "divide",
    "reciprocal",
    "exp",
    "tanh",
    "log",
    "log1p",
    "expm1",
    "sqrt",
    "sin",
    "cos",
}  # of real numbers
TYPES = {"f": "_D", "i": "_I", "b": "_B"}  # a number of the kind of an array


def expression(s: Statement, values: Sequence[str]) -> str:
    """The result at one entry, for the text of each operand there."""
    (out,) = s.outputs
    kind = out.buffer.dtype.kind
    if s.kind is Verb.FILL:
        text = literal(s.what, kind)
    elif s.kind is Verb.WHERE:
        text = f"{values[1]} if {values[0]} else {values[2]}"
    elif s.kind is Verb.UFUNC:
        text = SCALAR[s.what].format(*values)
    elif s.kind is Verb.ACCUMULATE:
        text = f"{values[0]} + {values[1]}"
    else:
        turns = kind == "b" and s.operands[0].buffer.dtype.kind != "b"
        text = f"{values[0]} != 0" if turns else values[0]
    return f"{TYPES[kind]}({text})"


def number(view: View) -> str | None:
    """The text of a constant that is one number; None where it is none."""
    buffer = view.buffer
    if buffer.role is not Memory.CONSTANT or buffer.size != 1:
        return None
    return literal(np.asarray(buffer.value).reshape(-1)[0], buffer.dtype.kind)


def literal(value: Any, kind: str) -> str:
    """A number as text."""
    if kind == "f":
        return f"_D({float(value)!r})"
    return repr(int(value))
