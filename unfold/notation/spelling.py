"""How a formula is spelled: what a notation has to say, and where brackets stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from unfold.analysis.naming import Reads, moved, places
from unfold.core.axis import Axis, Index
from unfold.core.kinds import IndexKind
from unfold.core.leaves import label_of
from unfold.core.node import Node, Op
from unfold.core.op import Along

ATOM, POSTFIX, POWER, UNARY, PRODUCT, SUM, LOWEST = 100, 50, 40, 30, 20, 10, 0


class Piece(NamedTuple):
    """A formula, how tightly it binds, and its outermost operator."""

    text: str
    level: int = ATOM
    symbol: str = ""


class Notation:
    """The spelling of leaves and operations: Python's in `text.py`, TeX's in `latex.py`."""

    elision = "..."
    matrix_level = PRODUCT
    associative = frozenset({"+", "*", "&", "|"})
    families: Mapping[str, str] = {"-": "+", "/": "*"}

    def leaf(self, label: str, indices: Sequence[str]) -> str:
        raise NotImplementedError

    def index(self, place: Index | int) -> str:
        raise NotImplementedError

    def brackets(self, text: str) -> str:
        raise NotImplementedError

    def number(self, value: Any) -> Piece:
        raise NotImplementedError

    def joined(self, left: str, symbol: str, right: str) -> str:
        raise NotImplementedError

    def called(self, op: Op, name: str, args: Sequence[Piece], parameters: Mapping[str, str]) -> Piece:
        raise NotImplementedError

    def subscripted(self, a: Piece, inside: str) -> Piece:
        raise NotImplementedError

    def sliced(self, a: Piece, slices: Sequence[str]) -> Piece:
        return self.subscripted(a, ", ".join(slices))

    def transposed(self, a: Piece) -> Piece:
        raise NotImplementedError

    def raised(self, a: Piece, b: Piece) -> Piece:
        raise NotImplementedError

    def reduced(self, op: Along, a: Piece, default: bool) -> Piece:
        raise NotImplementedError

    def chosen(self, condition: Piece, a: Piece, b: Piece) -> Piece:
        raise NotImplementedError

    def outer(self, a: Piece, b: Piece) -> Piece:
        raise NotImplementedError

    def mean(self, a: Piece, over: Axis) -> Piece:
        raise NotImplementedError

    def inner(self, a: Piece, b: Piece) -> Piece:
        return self.pair("@", self.matrix_level, a, b)

    # ------------------------------------------------------------------ brackets
    def at_least(self, level: int, piece: Piece) -> str:
        return piece.text if piece.level >= level else self.brackets(piece.text)

    def pair(self, symbol: str, level: int, a: Piece, b: Piece) -> Piece:
        """`a symbol b`, left-associative, with the brackets it needs and those that a
        reader of mixed `@` and `*` needs."""
        family = self.families.get(symbol, symbol)
        same = [self.families.get(p.symbol, p.symbol) == family for p in (a, b)]
        chains = level not in (5, 6) or symbol in self.associative
        left = a.level > level or (a.level == level and same[0] and chains)
        tight = symbol in self.associative and same[1] and (b.symbol == symbol or family != "*")
        right = (b.level > level or (b.level == level and tight)) and not self.is_negative(b)
        texts = [p.text if bare else self.brackets(p.text) for p, bare in ((a, left), (b, right))]
        return Piece(self.joined(texts[0], symbol, texts[1]), level, symbol)

    def is_negative(self, piece: Piece) -> bool:
        return piece.text.startswith("-")

    # ------------------------------------------------------------------ leaves
    def leaf_at(self, node: Node, at: Reads) -> str:
        """A leaf as written where its axes are read at `at`."""
        return self.leaf(label_of(node), [self.index(moved(i, at)) for i in places(node)])

    def position(self, place: Index) -> Piece:
        """An index as a number in a formula."""
        text = self.index(place)
        simple = place.kind == IndexKind.AT or (place.offset == 0 and place.kind != IndexKind.BACK)
        return Piece(text, ATOM if simple else SUM, "+")
