"""What a wrong gradient looks like instead: the sign, a factor, a transpose, a step too far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.check.report import Worst
from unfold.check.rules.certificates import Certificate, Discrepancy

Array = NDArray[Any]


def same(a: Any, b: Any, scale: Any, tolerance: float = 1e-7) -> bool:
    """Whether two arrays agree for the purpose of a diagnosis."""
    return bool(np.all(abs(np.asarray(a) - np.asarray(b)) <= tolerance * np.asarray(scale)))


def factor(analytic: Any, numeric: Any, scale: Any, size: int = 0) -> str | None:
    """The one number by which `analytic` differs from `numeric`, in words.

    >>> factor(np.array([2.0, 4.0]), np.array([1.0, 2.0]), 1.0)
    'twice the true value'
    """
    analytic, numeric = np.asarray(analytic), np.asarray(numeric)
    known: list[tuple[float, str]] = [
        (0.0, "zero: the contribution is missing"),
        (-1.0, "minus the true value: a sign"),
        (2.0, "twice the true value"),
        (0.5, "half the true value"),
    ]
    if size > 2:
        known += [
            (size, f"T times the true value (T = {size})"),
            (1 / size, f"1/T of the true value (T = {size})"),
        ]
    for ratio, text in known:
        if same(analytic, ratio * numeric, scale):
            return text
    total = np.vdot(numeric, numeric)
    if abs(total) > 0:
        ratio = float(np.real(np.vdot(numeric, analytic) / total))
        if np.size(numeric) > 1 and same(analytic, ratio * numeric, scale, 1e-9):
            return f"{ratio:.10g} times the true value"
    return None


def explain(cert: Certificate, found: Discrepancy) -> str | None:
    """What a rule that fails its certificate looks like."""
    if not np.isfinite(found.analytic).all():
        return "not finite where the derivative is"
    wrong = found.wrong
    scale = found.size[wrong] + 1e-300
    size = max([cert.bound.extents[a] for a in cert.node.axes], default=0)
    simple = factor(found.analytic[wrong], found.numeric[wrong], scale, size) or _along(cert, wrong)
    if simple:
        return simple
    zero, _ = cert.piece(np.zeros_like(cert.ct))
    if np.any(zero != 0):
        return "not zero for a zero cotangent: is ct missing?"
    for text, analytic in _variants(cert):
        if same(analytic[wrong], found.numeric[wrong], scale):
            return text
    double, _ = cert.piece(2 * cert.ct)
    once, _ = cert.piece()
    if not same(double, 2 * once, abs(once).max(initial=0) + 1e-300):
        return "not linear in the cotangent" + (
            ": ct twice?" if same(double, 4 * once, abs(once).max()) else ""
        )
    opposite, _ = cert.piece(-cert.ct)
    if not same(opposite, -once, abs(once).max(initial=0) + 1e-300):
        return "not linear in the cotangent: |ct|?"
    if not bool(wrong.all()) and wrong.size > 1:
        return "right at the other steps"
    return None


def _along(cert: Certificate, wrong: Array) -> str | None:
    """Its one factor, where a single number shows none: from more directions."""
    rng = np.random.default_rng(0)
    draws = [cert.towards(cert.u * rng.standard_normal(cert.u.shape)).compare() for _ in range(3)]
    analytic, numeric, size = (
        np.stack([getattr(d, name)[wrong] for d in draws]) for name in ("analytic", "numeric", "size")
    )
    return factor(analytic, numeric, size + 1e-300) if cert.u.size > 1 else None


def _variants(cert: Certificate) -> Iterator[tuple[str, Array]]:
    """The same rule with its result transposed, or moved by a step."""
    piece, axes = cert.piece()
    rank = piece.ndim - len(axes)

    def against(changed: Array) -> Array:
        return cert.sum_right(*cert.products(changed, axes))

    if rank >= 2 and piece.shape[-1] == piece.shape[-2]:
        yield "transposed", against(np.swapaxes(piece, -1, -2))
    for place, axis in enumerate(axes):
        for move in (1, -1):
            yield f"one step of {axis.name} off", against(shifted(piece, move, place))


def shifted(x: Array, move: int, place: int) -> Array:
    """An array moved along one of its dimensions, zero where nothing moves to.

    >>> shifted(np.array([1, 2, 3]), 1, 0), shifted(np.array([1, 2, 3]), -1, 0)
    (array([0, 1, 2]), array([2, 3, 0]))
    """
    moved = np.roll(x, move, axis=place)
    end: list[Any] = [slice(None)] * x.ndim
    end[place] = 0 if move > 0 else -1
    moved[tuple(end)] = 0
    return moved


def worst(cert: Certificate, found: Discrepancy) -> Worst | None:
    """The entry furthest off: the worst step first, then the entry by halving."""
    if not found.wrong.any():
        return None
    ratio = np.where(found.wrong, found.error / (found.size + 1e-300), -1.0)
    place = np.unravel_index(int(np.argmax(ratio)), ratio.shape) if ratio.shape else ()
    for axis, i in zip(cert.axes, place, strict=True):
        cert = cert.at(axis, slice(int(i), int(i) + 1))
    index, _, _ = descend(lambda mask: _pair(cert.towards(np.where(mask, cert.u, 0.0))), cert.u.shape)
    one = np.zeros_like(cert.u)
    one[index] = 1.0
    analytic, numeric = _pair(cert.towards(one))
    steps = tuple(int(i) + 1 for i in place)
    own = len(cert.like.axes)
    return Worst(steps, index[own:], analytic, numeric)


def _pair(cert: Certificate) -> tuple[float, float]:
    part = cert.compare()
    return float(np.real(part.analytic.sum())), float(np.real(part.numeric.sum()))


def descend(
    pair: Callable[[Array], tuple[float, float]], shape: tuple[int, ...]
) -> tuple[tuple[int, ...], float, float]:
    """An entry at which two linear functions differ, by halving: (index, first, second).
    `pair(mask)` gives both on the entries of a mask."""
    inside = np.arange(int(np.prod(shape, dtype=int)))
    values = (0.0, 0.0)

    def on(part: Array) -> tuple[float, float]:
        mask = np.zeros(shape, bool)
        mask.flat[part] = True
        return pair(mask)

    if len(inside) == 0:
        return (), 0.0, 0.0
    if len(inside) == 1:
        values = on(inside)
    while len(inside) > 1:
        halves = np.array_split(inside, 2)
        both = [on(h) for h in halves]
        k = int(np.argmax([abs(a - n) if np.isfinite(a) else np.inf for a, n in both]))
        inside, values = halves[k], both[k]
    return tuple(int(i) for i in np.unravel_index(int(inside[0]), shape)), *values
