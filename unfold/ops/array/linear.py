"""Products: every form of matmul and einsum is one contraction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unfold.core.dims import Dim, Shape, show
from unfold.core.errors import ShapeMismatch
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, Op, call, register
from unfold.core.op import apply, conflict, enlist, promote

Cts = Sequence[Node | None]


@enlist
@dataclass(frozen=True)
class Contract(Op):
    """A sum of products over shared letters, as einsum: "ij,j->i" is W @ h.

    No letter stands twice in one operand (`einsum` takes diagonals out first).
    """

    spec: str = "ij,j->i"

    symbol = "·"

    @property
    def operands(self) -> list[str]:
        return self.spec.split("->")[0].split(",")

    @property
    def result(self) -> str:
        return self.spec.split("->")[1]

    def sizes(self, *inputs: Node) -> dict[str, Dim]:
        sizes: dict[str, Dim] = {}
        first: dict[str, Node] = {}
        for letters, u in zip(self.operands, inputs, strict=True):
            if len(letters) != len(u.shape):
                raise self.mismatch(*inputs, why=f"{letters!r} wants {len(letters)} dimensions")
            for letter, n in zip(letters, u.shape, strict=True):
                v = first.setdefault(letter, u)
                if sizes.setdefault(letter, n) != n:
                    raise self.mismatch(*inputs, why=conflict(sizes[letter], v, n, u))
        return sizes

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        sizes = self.sizes(*inputs)
        return tuple(sizes[letter] for letter in self.result), promote(None, *inputs)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        spec = ",".join("..." + letters for letters in self.operands) + "->..." + self.result
        return xp.einsum(spec, *arrays)

    def vjp(self, ct: Node, out: Node, *inputs: Node) -> Cts:
        sizes = self.sizes(*inputs)
        cts = []
        for k, letters in enumerate(self.operands):
            rest = [(s, u) for i, (s, u) in enumerate(zip(self.operands, inputs, strict=True)) if i != k]
            have = set(self.result).union(*(s for s, _ in rest))
            kept = "".join(letter for letter in letters if letter in have)
            operands = [(self.result, ct), *rest]
            part = _contract([s for s, _ in operands], kept, [u for _, u in operands])
            if kept != letters:  # letters only here were summed: repeat over them
                lifted = tuple(part.shape[kept.index(c)] if c in kept else 1 for c in letters)
                part = call("broadcast_to", call("reshape", part, lifted), tuple(sizes[c] for c in letters))
            cts.append(part)
        return cts

    def jvp(self, tangents: Sequence[Node | None], out: Node, *inputs: Node) -> Node | None:
        """The product rule."""
        terms = [
            _contract(self.operands, self.result, [*inputs[:k], t, *inputs[k + 1 :]])
            for k, t in enumerate(tangents)
            if t is not None
        ]
        return call("add", *terms) if len(terms) > 1 else terms[0] if terms else None


def _contract(operands: list[str], result: str, values: list[Node]) -> Node:
    """A contraction, as an elementwise product or a transpose where it is no more than that."""
    if len(values) == 1 and operands[0] == result:
        return values[0]
    if len(values) == 1 and sorted(operands[0]) == sorted(result):
        return call("transpose", values[0], [operands[0].index(c) for c in result])
    if len(values) == 2 and all(s == result or not s for s in operands):
        return values[0] * values[1]
    letters = dict.fromkeys("".join([*operands, result]))
    tidy = {c: "ijklmnopqrstuvwxyzabcdefgh"[k] for k, c in enumerate(letters)}
    spec = ",".join("".join(tidy[c] for c in s) for s in operands)
    return apply(Contract(spec + "->" + "".join(tidy[c] for c in result)), *values)


@register
def matmul(a: Expression, b: Expression) -> Node:
    """The matrix product, in all of NumPy's forms: vectors, matrices, stacks of matrices."""
    a, b = as_node(a), as_node(b)
    if not a.shape or not b.shape:
        raise ShapeMismatch(f"{a} @ {b}: a number has no matrix product; use *", shapes=(a.shape, b.shape))
    lead = "abcdefgh"[: max(len(a.shape), len(b.shape)) - 2]
    left = "ij" if len(a.shape) > 1 else "j"
    right = "jk" if len(b.shape) > 1 else "j"
    n, m = a.shape[-1], b.shape[-2 if len(b.shape) > 1 else -1]
    if n != m:
        raise ShapeMismatch(
            f"{a} @ {b}: {show(a.shape)} @ {show(b.shape)}: {conflict(n, a, m, b)}",
            operation="matmul",
            shapes=(a.shape, b.shape),
        )
    la, lb = lead[len(lead) + 2 - len(a.shape) :], lead[len(lead) + 2 - len(b.shape) :]
    la, lb = la if len(a.shape) > 2 else "", lb if len(b.shape) > 2 else ""
    out = (la if len(la) >= len(lb) else lb) + left.replace("j", "") + right.replace("j", "")
    return _contract([la + left, lb + right], out, [a, b])


@register
def einsum(spec: str, *values: Expression) -> Node:
    """A sum of products over shared letters: `einsum("ij,jk->ik", a, b)`. A letter twice in one
    operand is its diagonal; `...` stands for the dimensions in front, the same in all that have it.

    >>> import unfold as uf
    >>> a, h = uf.param("a", "n", "m"), uf.input("h", "m")
    >>> uf.einsum("ij,j->i", a, h)
    <a @ h: float (n)>
    """
    nodes = [as_node(v) for v in values]
    operands, result = _lettered(spec, nodes)
    if len(set(result)) != len(result):
        raise ShapeMismatch(f"einsum {spec!r}: a letter twice in the result; use uf.diag")
    unknown = set(result) - set("".join(operands))
    if unknown:
        raise ShapeMismatch(f"einsum {spec!r}: {', '.join(sorted(unknown))} stands only after the arrow")
    pairs = [_on_diagonals(u, letters) for u, letters in zip(nodes, operands, strict=True)]
    return _contract([letters for _, letters in pairs], result, [u for u, _ in pairs])


def _lettered(spec: str, nodes: Sequence[Node]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with letters of their own for `...`."""
    left, arrow, result = spec.replace(" ", "").replace("...", "…").partition("->")
    operands = left.split(",")
    if len(operands) != len(nodes) or not (left + result).replace(",", "").replace("…", "a").isalpha():
        raise ShapeMismatch(f"einsum {spec!r}: give one group of letters for each of {len(nodes)} operands")
    if not arrow:
        once = sorted(c for c in set(left) - {",", "…"} if left.count(c) == 1)
        result = ("…" if "…" in left else "") + "".join(once)
    ranks = [max(0, len(u.shape) - len(s) + 1) for s, u in zip(operands, nodes, strict=True)]
    most = max((n for s, n in zip(operands, ranks, strict=True) if "…" in s), default=0)
    spare = "".join(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in left)[:most]
    spelled = [s.replace("…", spare[len(spare) - n :]) for s, n in zip(operands, ranks, strict=True)]
    return spelled, result.replace("…", spare)


def _on_diagonals(node: Node, letters: str) -> tuple[Node, str]:
    """An operand and its letters where no letter stands twice: its diagonal along those that do."""
    for letter in [c for c in dict.fromkeys(letters) if letters.count(c) > 1]:
        while letters.count(letter) > 1:
            first, second = [i for i, c in enumerate(letters) if c == letter][:2]
            node = call("diagonal", node, first, second)
            letters = "".join(c for i, c in enumerate(letters) if i not in (first, second)) + letter
    return node, letters


@register
def tensordot(a: Expression, b: Expression, axes: Any = 2) -> Node:
    """The sum of products over dimensions: the last `axes` of a and the first of b, or the pairs
    (dimensions of a, dimensions of b)."""
    a, b = as_node(a), as_node(b)
    if isinstance(axes, int):
        pairs = [(len(a.shape) - axes + k, k) for k in range(axes)]
    else:
        one = [(d,) if isinstance(d, int) else tuple(d) for d in axes]
        pairs = [(i % len(a.shape), j % len(b.shape)) for i, j in zip(*one, strict=True)]
    left = "abcdefghijklm"[: len(a.shape)]
    right = list("nopqrstuvwxyz"[: len(b.shape)])
    for i, j in pairs:
        right[j] = left[i]
    free = [c for i, c in enumerate(left) if i not in [p for p, _ in pairs]]
    kept = [c for j, c in enumerate(right) if j not in [q for _, q in pairs]]
    return einsum(f"{left},{''.join(right)}->{''.join(free + kept)}", a, b)


@register
def outer(a: Expression, b: Expression) -> Node:
    """The outer product of two vectors: out[i, j] = a[i] b[j]."""
    return einsum("i,j->ij", a, b)


@register
def dot(a: Expression, b: Expression) -> Node:
    """The inner product of two vectors, a matrix product, or a product with a number."""
    a, b = as_node(a), as_node(b)
    return matmul(a, b) if a.shape and b.shape else a * b


@register
def inner(a: Expression, b: Expression) -> Node:
    """The sum of products over the last dimension of both."""
    return tensordot(a, b, axes=(-1, -1))


@register
def vdot(a: Expression, b: Expression) -> Node:
    """The inner product of all entries, those of a conjugated."""
    return matmul(call("conj", call("ravel", a)), call("ravel", b))
