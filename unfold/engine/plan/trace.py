"""From an elementwise `forward` to the list of array calls it makes.

`forward(xp, ...)` is run once with a recording namespace, so that a backend can print the
same calls with `out=` buffers, and an operation stays defined in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core.node import Op

Operand = int | float | bool  # in a call: see `Ref`


@dataclass(frozen=True)
class Ref:
    """Argument number `arg` of the operation, or the result of call number `call`."""

    arg: int = -1
    call: int = -1


@dataclass(frozen=True)
class Call:
    """One array call: a ufunc by name, or "where"; operands are `Ref`s and numbers."""

    name: str
    operands: tuple[Ref | Operand, ...]
    boolean: bool  # whether the result is bool


class Untraceable(Exception):
    """The forward does something that is not a chain of ufuncs."""


class _Value:
    """A stand-in for an array while a forward is recorded."""

    __array_ufunc__ = None

    def __init__(self, tape: _Tape, ref: Ref, boolean: bool = False) -> None:
        self.tape, self.ref, self.boolean = tape, ref, boolean

    def _call(self, name: str, *operands: Any) -> _Value:
        return self.tape.record(name, operands)

    def __add__(self, other: Any) -> _Value:
        return self._call("add", self, other)

    def __radd__(self, other: Any) -> _Value:
        return self._call("add", other, self)

    def __sub__(self, other: Any) -> _Value:
        return self._call("subtract", self, other)

    def __rsub__(self, other: Any) -> _Value:
        return self._call("subtract", other, self)

    def __mul__(self, other: Any) -> _Value:
        return self._call("multiply", self, other)

    def __rmul__(self, other: Any) -> _Value:
        return self._call("multiply", other, self)

    def __truediv__(self, other: Any) -> _Value:
        return self._call("divide", self, other)

    def __rtruediv__(self, other: Any) -> _Value:
        return self._call("divide", other, self)

    def __neg__(self) -> _Value:
        return self._call("negative", self)

    def __gt__(self, other: Any) -> _Value:
        return self._call("greater", self, other)

    def __ge__(self, other: Any) -> _Value:
        return self._call("greater_equal", self, other)

    def __lt__(self, other: Any) -> _Value:
        return self._call("less", self, other)

    def __le__(self, other: Any) -> _Value:
        return self._call("less_equal", self, other)

    def __bool__(self) -> bool:
        raise Untraceable

    def __getattr__(self, name: str) -> Any:
        raise Untraceable(name)


_BOOLEAN = {
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
    *("logical_and", "logical_or", "logical_not", "isfinite", "isinf", "isnan", "signbit"),
}


class _Tape:
    """The recording namespace."""

    def __init__(self, is_complex: bool) -> None:
        self.calls: list[Call] = []
        self.is_complex = is_complex
        self.pi = np.pi

    def record(self, name: str, operands: Any) -> _Value:
        refs = tuple(u.ref if isinstance(u, _Value) else u for u in operands)
        if not all(isinstance(u, Ref | int | float | bool) for u in refs):
            raise Untraceable(name)
        boolean = name in _BOOLEAN
        self.calls.append(Call(name, refs, boolean))
        return _Value(self, Ref(call=len(self.calls) - 1), boolean)

    def real(self, value: Any) -> Any:
        if not self.is_complex or not isinstance(value, _Value):
            return value
        return self.record("real", (value,))

    def where(self, condition: Any, a: Any, b: Any) -> _Value:
        return self.record("where", (condition, a, b))

    def __getattr__(self, name: str) -> Any:
        if not isinstance(getattr(np, name, None), np.ufunc):
            raise Untraceable(name)
        return lambda *operands: self.record(name, operands)


def trace(op: Op, arguments: int, is_complex: bool = False) -> list[Call] | None:
    """The calls of an operation's forward; None when it is not a plain chain of ufuncs."""
    tape = _Tape(is_complex)
    try:
        out = op.forward(tape, *(_Value(tape, Ref(arg=i)) for i in range(arguments)))
    except (Untraceable, TypeError, ValueError, IndexError):
        return None
    last = isinstance(out, _Value) and out.ref.call == len(tape.calls) - 1 and tape.calls
    return tape.calls if last else None
