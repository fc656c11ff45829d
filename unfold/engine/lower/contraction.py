"""Contractions as matrix products: letters in four groups (each, rows, summed, columns).

The letters say which entries meet, so that no arrangement can be right by luck: what does not fall
into the groups, or lies in memory in another order than a product needs, is an einsum over letters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unfold.core.axis import Axis
from unfold.core.node import Node
from unfold.engine.lower.builder import Source
from unfold.engine.lower.reading import Lookup
from unfold.engine.plan.statement import StepAt, Verb
from unfold.engine.plan.view import Letter, View

WORTH = 64  # rows that a matrix is multiplied with, before it is worth a copy
Group = Sequence[Letter]


@dataclass(frozen=True)
class Product:
    """`out` = the sum of the products of `views` over the letters that `out` lacks.

    `at`: axes of one step, which are left out of the views.
    """

    reading: Lookup
    node: Node
    out: View
    views: tuple[View, ...]
    sources: tuple[Source, ...]
    at: tuple[StepAt, ...] = ()

    def emit(self) -> None:
        """As one matrix product, if it is one; else as an elementwise product or an einsum."""
        if len(self.views) != 2 or any(not self._known(x) for x in self.out.letters):
            self.einsum()
            return
        a, b = self.views
        lonely = {*a.letters, *b.letters} - {*self.out.letters} - ({*a.letters} & {*b.letters})
        summed = [x for x in a.letters if x in b.letters and x not in self.out.letters]
        if lonely:
            self.einsum()
        elif not summed:
            self.multiply()
        elif not self._as_matrices(summed):
            self.einsum()

    def _known(self, letter: Letter) -> bool:
        return any(letter in v.letters for v in self.views)

    def _as_matrices(self, summed: Group) -> bool:
        orders = [summed]
        if len(summed) > 1:
            orders.append([x for x in self.views[1].letters if x in summed])
        outside = not self.reading.builder.contexts
        for copy in (False, True) if outside else (False,):
            for order in orders:
                for ahead in range(1 if copy else len(self.out.letters) + 1):
                    if self._grouped(order, ahead, copy):
                        return True
        return False

    def _grouped(self, summed: Group, ahead: int, copy: bool) -> bool:
        """As a matrix product for each step of the letters that both have, and of `ahead` others."""
        a, b = self.views
        letters = self.out.letters
        both = [x for x in letters if x in a.letters and x in b.letters]
        each = [*both, *[x for x in letters if x not in both][:ahead]]
        rows = [x for x in letters if x in a.letters and x not in each]
        columns = [x for x in letters if x in b.letters and x not in each]
        if list(letters[: len(each)]) != each or (each and not (rows and columns)):
            return False
        if list(letters[len(each) :]) == [*rows, *columns]:
            return self._matrices((a, b), self.sources, each, rows, summed, columns, copy)
        if list(letters[len(each) :]) == [*columns, *rows]:
            return self._matrices((b, a), self.sources[::-1], each, columns, summed, rows, copy)
        return False

    def _matrices(
        self,
        views: tuple[View, ...],
        sources: tuple[Source, ...],
        each: Group,
        rows: Group,
        summed: Group,
        columns: Group,
        copy: bool,
    ) -> bool:
        x, y = views
        lead = [[e] for e in each]
        z = self.out.merged(*lead, *[g for g in (rows, columns) if g])
        if z is None:
            return False
        turned = bool(columns) and not rows  # a vector times a matrix: the matrix first
        left = self._matrix(x, lead, [rows, summed], sources[0], copy)
        right = self._matrix(y, lead, [columns, summed] if turned else [summed, columns], sources[1], copy)
        if left is None or right is None:
            return False
        what = tuple(rows), tuple(summed), tuple(columns)
        if each:
            self._emit(Verb.MATMUL, z, (left, right), sources, what)
            return True
        if turned:
            left, right, sources, what = right, left, sources[::-1], what[::-1]
        left, right = self._ready(left, right, sources[0], -1), self._ready(right, left, sources[1], 0)
        self._emit(Verb.DOT, z, (left, right), sources, what)
        return True

    def _matrix(
        self, v: View, lead: list[list[Letter]], groups: list[Group], source: Source, copy: bool
    ) -> View | None:
        """A view as (each..., group, group); an empty group is left out."""
        present = [g for g in groups if g]
        found = v.merged(*lead, *present)
        if found is not None or not copy:
            return found
        flat = [x for g in (*lead, *present) for x in g]
        if not set(v.letters) <= set(flat):
            return None
        mine = [x for x in flat if x in v.letters]
        return self.reading.builder.copied(v.order(mine), source).merged(*lead, *present)

    def _ready(self, matrix: View, other: View, source: Source, inner: int) -> View:
        """A transposed matrix that a loop multiplies many rows with is copied before the loop: a product
        reads it a third faster."""
        outline, builder = self.reading.outline, self.reading.builder
        contexts = builder.contexts
        fixed = not matrix.steps and not outline.nest[outline.resolve(source[0])]
        if not contexts or not fixed or len(matrix.shape) != 2 or len(other.shape) != 2 or not other.steps:
            return matrix
        total = other.size * math.prod(outline.extent(a) for a in builder.axes)
        if matrix.packed or total < WORTH * max(1, other.shape[inner]):
            return matrix
        return builder.copied(matrix, source, before_loops=True)

    def multiply(self) -> None:
        """Nothing is summed: entries times entries."""
        operands = [v.order(self.out.letters).squeezed() for v in self.views]
        self._emit(Verb.UFUNC, self.out, operands, self.sources, "multiply", alias=True)

    def einsum(self) -> None:
        """Whatever it is."""
        self._emit(Verb.EINSUM, self.out, self.views, self.sources)

    def _emit(
        self,
        kind: Verb,
        out: View,
        operands: Sequence[View],
        sources: Sequence[Source],
        what: object = None,
        alias: bool = False,
    ) -> None:
        self.reading.builder.emit(kind, [out], operands, sources, what, alias, at=self.at)


def contract(reading: Lookup, node: Node, out: View, spec: str) -> None:
    """A sum of products over shared letters, and over the axes that the result lacks."""
    left, result = spec.split("->")
    spelled = left.split(",")
    sources = tuple(zip(reading.outline.inputs(node), spelled, strict=True))
    views = [_named(reading.seen(u), letters) for u, letters in sources]
    target, steps = _named(out, result), []
    for x in target.letters + views[0].letters:
        one = isinstance(x, Axis) and all(x in v.letters and v.length(x) == 1 for v in views)
        if isinstance(x, Axis) and one and len(views) == 2:
            views = [v.at(x, 0) for v in views]  # a batch of one is no batch
            target = target.at(x, 0) if x in target.letters else target
            steps.append(StepAt(x, 0))
    target = target.order(target.by_memory)
    Product(reading, node, target, tuple(views), sources, tuple(steps)).emit()


def _named(view: View, letters: str) -> View:
    """A view with the letters of a spec in place of the dimensions of its value."""
    return view.name([x if isinstance(x, Axis) else letters[x] for x in view.letters])  # type: ignore[index]
