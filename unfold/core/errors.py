"""Every error of the library. Each one carries its facts as fields and says what to do.

All derive from `UnfoldError`, which is a `ValueError`: a caller may catch one class.
"""

from __future__ import annotations

from typing import Any

from unfold.core import source


def _arrived(cls: type[UnfoldError], args: tuple[Any, ...], state: dict[str, Any]) -> UnfoldError:
    """An error from its pickle, as it was raised: its class may ask for more than a message."""
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class UnfoldError(ValueError):
    """What all errors of this library are. Keyword arguments become fields."""

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        for name, value in fields.items():
            setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle: the message and the fields, without the folders of this machine."""
        state, args = dict(self.__dict__), self.args
        where = state.get("where")
        places = [p for p in (where if isinstance(where, list | tuple) else [where]) if isinstance(p, str)]
        if args and isinstance(args[0], str):
            text = args[0]
            for place in places:
                text = text.replace(place, source.portable(place) or place)
            state["message"] = text = source.portable_text(text)
            args = (text, *args[1:])
        if isinstance(where, list | tuple):
            state["where"] = type(where)(source.portable(p) for p in where)
        elif isinstance(where, str):
            state["where"] = source.portable(where)
        return _arrived, (type(self), args, state)


class DefinitionError(UnfoldError):
    """The equations as written do not define a system."""


class InstantaneousLoop(DefinitionError):
    """A cycle without any delay. Fields: `cycle` (variable names), `where` (source lines)."""


class ZeroDelayLoop(DefinitionError):
    """A cycle whose lags cancel. Fields: `cycle`, `lags`, `where`."""


class TwoWayTime(DefinitionError):
    """One loop needs both the past and the future. Fields: `cycle`, `lags`, `where`."""


class NotComputable(DefinitionError):
    """A loop needs a whole axis (a sum, a fixed read) that it is itself computing."""


class NotProven(DefinitionError):
    """No schedule was found among those searched; the system may still be legal."""


class MissingBoundary(DefinitionError):
    """A read outside 1..T that no equation defines. Fields: `variable`, `missing`, `where`."""


class Redefined(DefinitionError):
    """The same steps of a variable defined twice. Fields: `variable`, `where` (both lines)."""


class Undefined(DefinitionError):
    """A variable that is read and never defined. Fields: `variable`, `where`."""


class ShapeMismatch(DefinitionError):
    """Shapes or named dimensions disagree. Fields: `operation`, `shapes`, `where`; the message
    ends with the equation and its source line."""

    def __init__(self, message: str, **fields: Any) -> None:
        where = fields.setdefault("where", source.caller())
        super().__init__(message + source.place(where), **fields)


class BadName(DefinitionError):
    """A name that is empty, taken twice, or not usable."""


class NotCausal(UnfoldError):
    """Streaming a system that looks ahead. Fields: `output`, `lookahead`."""


class NotDifferentiable(UnfoldError):
    """A gradient was asked of, or through, something that has none."""


class GradientError(UnfoldError):
    """A gradient is wrong. Field: `report`, what the check found."""


class BindingError(UnfoldError):
    """The arrays of a call do not fit the graph: unknown, missing or wrongly shaped."""


class NotAGraph(UnfoldError):
    """A text that is no graph as `to_json` writes it: foreign, damaged, or of another version."""


class BadIndex(BindingError, IndexError):
    """An index in an array of a call (a class, a word) that is none of what it chooses from."""


class OutOfRange(UnfoldError):
    """A fixed read (`h[3]`) that lies outside the sequence at hand."""


class UnknownName(UnfoldError, KeyError):
    """A name the graph does not have; the message lists those it has."""

    def __str__(self) -> str:
        return self.message
