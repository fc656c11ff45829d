"""The few words by which things are told apart. Each is its text, as it is typed, printed and stored."""

from __future__ import annotations

from enum import StrEnum


class Word(StrEnum):
    """A text out of a few."""

    def __repr__(self) -> str:
        return repr(self.value)


class Dtype(Word):
    """What numbers a value holds; the precision comes from the arrays of a call."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    COMPLEX = "complex"


KINDS = tuple(Dtype)  # each holds those before it
INEXACT = (Dtype.FLOAT, Dtype.COMPLEX)  # those that have derivatives
DTYPES: dict[str, Dtype] = {d.value: d for d in Dtype}


class IndexKind(Word):
    """From where an index counts: t + n, n itself, T + n, or T - t + n (a read in reversed order)."""

    NOW = "now"
    AT = "at"
    LAST = "last"
    BACK = "back"


class Role(Word):
    """What a variable is to the one that it is named after."""

    PLAIN = ""
    ADJOINT = "adjoint"
    TANGENT = "tangent"
