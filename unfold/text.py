"""Equations as text, in Python's syntax: `h[t] = tanh(b + W @ h[t-1] + U @ x[t])`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unfold.axis import Axis, Index
from unfold.node import Node
from unfold.notation import ATOM, POSTFIX, POWER, UNARY, Piece, Writer
from unfold.op import Along, Op

if TYPE_CHECKING:
    pass


def expression(node: Node) -> str:
    """A node as a formula; what is too deep or too long is elided as `...`.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> x, s = uf.input("x", "n", over=t), uf.var("s", "n", over=t)
    >>> str(uf.tanh(0.5 * s[t-1] + x[t]) ** 2)
    'tanh(0.5 * s[t-1] + x[t])**2'
    """
    return Text().write(node).text


def spelled(place: Index | int) -> str:
    """An index as one writes it: `t-1`, `t.last + 1`, `0`."""
    if isinstance(place, int):
        return str(place)
    if place.kind == "at":
        return str(place.offset)
    name, n = place.axis.name, place.offset
    if place.kind == "now":
        return f"{name}{n:+d}" if n else name
    end = f"{name}.last" + (f" {'+' if n > 0 else '-'} {abs(n)}" if n else "")
    return end if place.kind == "last" else f"{end} - {name}"


class Text(Writer):
    """Python's spelling."""

    def leaf(self, label: str, indices: Sequence[str]) -> str:
        return label + (f"[{', '.join(indices)}]" if indices else "")

    def index(self, place: Index | int) -> str:
        return spelled(place)

    def brackets(self, text: str) -> str:
        return f"({text})"

    def number(self, value: Any) -> Piece:
        array = np.asarray(value)
        if array.ndim:
            text = np.array2string(array, threshold=6, precision=6, separator=", ", edgeitems=2)
            return Piece(" ".join(text.split()).replace("[ ", "["))
        text = short(array[()])
        return Piece(text, UNARY if text.startswith("-") else ATOM)

    def joined(self, left: str, symbol: str, right: str) -> str:
        return f"{left} {symbol} {right}"

    def called(self, op: Op, name: str, args: Sequence[Piece], parameters: Mapping[str, str]) -> Piece:
        inside = [p.text for p in args]
        bare = ("shape", "size") if name in ("broadcast_to", "reshape", "one_hot") else ()
        inside += [v if k in bare else f"{k}={v}" for k, v in parameters.items()]
        return Piece(f"{name}({', '.join(inside)})")

    def subscripted(self, a: Piece, inside: str) -> Piece:
        return Piece(f"{self.at_least(POSTFIX, a)}[{inside}]")

    def transposed(self, a: Piece) -> Piece:
        return Piece(self.at_least(POSTFIX, a) + ".T")

    def raised(self, a: Piece, b: Piece) -> Piece:
        return Piece(f"{self.at_least(POWER + 1, a)}**{self.at_least(UNARY, b)}", POWER, "**")

    def outer(self, a: Piece, b: Piece) -> Piece:
        return Piece(f"outer({a.text}, {b.text})")

    def mean(self, a: Piece, over: Axis) -> Piece:
        return Piece(f"mean({a.text}, over={over.name})")

    def reduced(self, op: Along, a: Piece, over: str, default: bool) -> Piece:
        extra = ", backward=True" if op.parameters.get("backward") else ""
        return Piece(f"{op.name}({a.text}{'' if default else f', over={over}'}{extra})")

    def chosen(self, condition: Piece, a: Piece, b: Piece) -> Piece:
        return Piece(f"where({condition.text}, {a.text}, {b.text})")


def short(value: Any) -> str:
    """A number in few characters: 1 for 1.0, six significant digits at most.

    >>> short(1.0), short(0.1), short(1 / 3), short(True)
    ('1', '0.1', '0.333333', 'True')
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, complex):
        return f"({value.real:.6g}{value.imag:+.6g}j)"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
