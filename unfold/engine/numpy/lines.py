"""The statements of printed source, one method each: what a line of a plan can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from unfold.engine.binding import Array
from unfold.engine.numpy.storage import Letter, Letters, Storage, Var

FEW = 1024  # numbers that a product with ones adds up faster than a reduction


class Source(Storage):
    """Prints statements where printing stands: in the innermost loop, in a part, or outside."""

    broadcasts: ClassVar[bool] = True  # one matrix may be multiplied with many
    joins: ClassVar[bool] = True  # several values may be copied by one statement

    def ufunc(self, name: str, operands: Sequence[Var], out: Var) -> None:
        """`name(operands..., out)`, entry by entry."""
        self.env.setdefault(name, getattr(np, name))
        self.taken.add(name)
        self.emit(f"{name}({', '.join(map(self.here, [*operands, out]))})")

    def choose(self, condition: Var, a: Var, b: Var, out: Var) -> None:
        """a where the condition holds, b elsewhere; `out` may be one of them."""
        if out.name == a.name:
            self.emit(f"copyto({self.here(out)}, {self.here(b)}, where=~{self.here(condition)})")
            return
        if out.name != b.name:
            self.copy(out, b)
        self.emit(f"copyto({self.here(out)}, {self.here(a)}, where={self.here(condition)})")

    def copy(self, out: Var, value: Var) -> None:
        self.emit(f"copyto({self.here(out)}, {self.here(value)})")

    def join(self, parts: Sequence[Var], out: Var, dim: int) -> None:
        """The parts one behind the other along a dimension."""
        self.emit(f"concatenate(({', '.join(map(self.here, parts))}), {dim}, {self.here(out)})")

    def fill(self, out: Var) -> None:
        self.emit(f"{self.here(out)}.fill(0)")

    def dot(self, a: Var, b: Var, out: Var) -> None:
        """The product of vectors and matrices."""
        here = self.here(out)
        if any(self.row(v).ndim > 1 and not _whole(self.row(v)) for v in (a, b)):
            self.emit(f"matmul({self.here(a)}, {self.here(b)}, {here})")  # `dot` would copy them
            return
        product = f"{self.here(a, 'dot')}({self.here(b)}"
        if not self.row(out).ndim:
            self.emit(f"{here}[()] = {product})")
        else:
            self.emit(
                f"{product}, {here})" if self.row(out).flags.c_contiguous else f"{here}[...] = {product})"
            )

    def matmul(self, a: Var, b: Var, out: Var, batch: int) -> None:
        """Products of matrices, one for each step of the first `batch` dimensions, which they share, or which
        one of them lacks."""
        self.emit(f"matmul({self.here(a)}, {self.here(b)}, {self.here(out)})")

    def contract(self, parts: Sequence[Var], out: Var, letters: Sequence[Letters], kept: Letters) -> None:
        """out, with the letters `kept`, is the sum of the product of the parts, where no matrix product
        does it."""
        names: dict[Letter, str] = {}
        for x in (*(x for own in letters for x in own), *kept):
            names.setdefault(x, "abcdefghijklmnopqrstuvwxyz"[len(names)])
        have = [x for x in kept if any(x in own for own in letters)]
        spec = ",".join("".join(names[x] for x in own) for own in letters) + "->"
        spec += "".join(names[x] for x in have)
        text = f"einsum({spec!r}, {', '.join(map(self.here, parts))}"
        if len(have) == len(kept):
            self.emit(f"{text}, out={self.here(out)})")
        else:  # the same all along an axis
            spread = ", ".join(":" if x in have else "None" for x in kept)
            self.emit(f"copyto({self.here(out)}, {text})[{spread}])")

    def gather(self, table: Var, at: Var, out: Var) -> None:
        """The rows of a table at integer indices."""
        self.emit(f"copyto({self.here(out)}, {self.here(table)}.take({self.here(at)}, 0))")

    def scatter(self, rows: Var, at: Var, out: Var) -> None:
        """Zeros, with each row added to the one of the given number."""
        self.emit(f"add_rows({self.here(rows)}, {self.here(at)}, {self.here(out)})")

    def total(self, a: Var, out: Var) -> None:
        """The sum over the first dimension."""
        row, target = self.row(a), self.row(out)
        if row.ndim > 1 and row.dtype.kind in "fc" and target.flags.c_contiguous:
            letter = a.letters[a.shadow.ndim - row.ndim]
            self.dot(self.ones(row.shape[0], letter), a, out)  # faster than a reduction
        elif (
            row.ndim == 1
            and row.dtype.kind in "fc"
            and 0 < row.size <= FEW
            and not self.loops
            and not self.part
        ):
            self.dot(self.ones(row.shape[0], a.letters[0]), a, out)
        else:
            self.emit(f"add_reduce({self.here(a)}, 0, None, {self.here(out)})")

    def ones(self, count: int, letter: Letter) -> Var:
        """A vector of ones, in parts where the letter is."""
        here = Var("", (letter,), np.empty(count), True)
        part = self.part if self.part and self.part.along(here) is not None else None
        key = ("", f"ones({count})", part)
        if key not in self.views:
            self.views[key] = self.buffer(
                "ones", (letter,) if part else (0,), (count,), np.float64, "np.ones"
            )
        return self.views[key]

    def softmax(self, a: Var, out: Var, dim: int) -> None:
        """exp(a) / sum exp(a) along a dimension of a row."""
        work = self.name("softmax")
        self.prepare.append(f"{work} = Softmax({self.row(out).shape}, {dim}, dtype)")
        self.emit(f"{work}({self.here(a)}, {self.here(out)})")

    def cross_entropy(self, scores: Var, labels: Var, loss: Var, slope: Var) -> None:
        """loss = -log softmax(scores)[label] and slope = softmax(scores) - one_hot(label), for each row of
        (rows, classes); outside all loops."""
        rows, classes = self.row(scores).shape
        work = self.name("softmax_cross_entropy")
        self.prepare.append(f"{work} = SoftmaxCrossEntropy({rows}, {classes}, dtype)")
        self.emit(f"{work}({', '.join(map(self.here, (scores, labels, loss, slope)))})")


def _whole(array: Array) -> bool:
    return array.flags.c_contiguous or array.flags.f_contiguous
