"""Plots of what gradients do over time, through the same shapes and writers as the diagrams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from viz.drawing import Drawing
from viz.overlay import mix, short
from viz.shapes import labels
from viz.shapes.curves import line
from viz.shapes.figures import Box, Path, Shape, Words

WIDTH, HEIGHT = 420.0, 200.0

TONES = ("recur", "feed", "out", "back", "loss", "recur2")

FINEST = 128  # rows and columns of a matrix before neighbours are joined


def norms(report: Any) -> Drawing:
    """|d of/d v| at every step, for each variable, on a logarithmic scale: a falling line is a
    gradient that vanishes towards the past, a rising one explodes. `report` is what
    `unfold.learn.diagnose` returns (or a mapping from names to one number a step)."""
    series = getattr(report, "norms", report)
    of = getattr(report, "of", "loss")
    return lines(series, f"Gradient norms |d{of}/dv| over time", "step")


def jacobians(report: Any) -> Drawing:
    """The spectral norm of d state[t] / d state[t-1] at every step, with 1 marked."""
    values = np.asarray(getattr(report, "jacobians", report))
    return lines({"spectral norm": values}, "Spectral norms of the state Jacobians", "step", mark=1.0)


def contributions(report: Any, name: str | None = None) -> Drawing:
    """A matrix [k, t] as colours: how much step t means for the loss of step k."""
    found = getattr(report, "contributions", report)
    if isinstance(found, Mapping):
        name = name if name is not None else next(iter(found))
        found = found[name]
    return matrix(
        np.asarray(found), f"Contribution of each step{f' of {name}' if name else ''}", "step t", "loss k"
    )


@dataclass(frozen=True)
class _Frame:
    """Where a step and a number stand: from `low` to `high`, powers of ten on a logarithmic scale."""

    low: float
    high: float
    steps: int
    log: bool

    def shows(self, v: float) -> bool:
        return math.isfinite(v) and (v > 0 or not self.log)

    def x(self, t: float) -> float:
        return WIDTH * (t - 1) / max(1, self.steps - 1)

    def y(self, v: float) -> float:
        return HEIGHT * (1 - ((math.log10(v) if self.log else v) - self.low) / (self.high - self.low))


def lines(
    series: Mapping[str, Any], title: str, across: str = "", log: bool = True, mark: float | None = None
) -> Drawing:
    """Numbers over steps 1, 2, ... as lines; gaps where a number is zero (on a logarithmic
    scale) or not finite."""
    data = {k: np.ravel(np.asarray(v, dtype=float)) for k, v in series.items()}
    frame = _frame(data, log, mark)
    shapes: list[Shape] = _axes(frame)
    shapes.append(Words((WIDTH / 2, HEIGHT + 36), labels.upright(across), 13.0))
    if mark is not None:
        shapes.append(Path(line((0, frame.y(mark)), (WIDTH, frame.y(mark))), "faint", False, True))
    for n, (name, values) in enumerate(data.items()):
        tone = TONES[n % len(TONES)]
        shapes += _curve(frame, values, tone)
        row = (WIDTH + 20, 12.0 + 20 * n)
        shapes.append(Path(line(row, (row[0] + 18, row[1])), tone, False, width=1.8))
        shapes.append(Words((row[0] + 24, row[1]), labels.math(name), 14.0, anchor="start"))
    shapes.append(Words((WIDTH / 2, -18), (labels.Letters(title),), 15.0))
    return Drawing(tuple(shapes), title, _said(data))


def _frame(data: Mapping[str, Any], log: bool, mark: float | None) -> _Frame:
    steps = max((len(s) for s in data.values()), default=1)
    usable = [float(v) for s in data.values() for v in s if math.isfinite(v) and (v > 0 or not log)]
    usable += [mark] if mark is not None else []
    low, high = (min(usable), max(usable)) if usable else (0.1, 1.0)
    a, b = (math.floor(math.log10(low)), math.ceil(math.log10(high))) if log else (low, high)
    return _Frame(a, b if b > a else a + 1, steps, log)


def _curve(frame: _Frame, values: Any, tone: str) -> list[Shape]:
    """Strokes between neighbouring steps; a lone number as a square."""
    good = [(t + 1, float(v)) for t, v in enumerate(values) if frame.shows(v)]
    shapes: list[Shape] = []
    for (t0, v0), (t1, v1) in pairwise(good):
        if t1 == t0 + 1:
            ends = (frame.x(t0), frame.y(v0)), (frame.x(t1), frame.y(v1))
            shapes.append(Path(line(*ends), tone, False, width=1.8))
    if len(good) == 1:
        shapes.append(Box((frame.x(good[0][0]), frame.y(good[0][1])), 5, 5, tone, corner=0))
    return shapes


def _said(data: Mapping[str, Any]) -> str:
    ends = [
        f"{k} from {short(float(v[0]))} at step 1 to {short(float(v[-1]))} at step {len(v)}"
        for k, v in data.items()
        if len(v)
    ]
    return "; ".join(ends)


def _axes(f: _Frame) -> list[Shape]:
    shapes: list[Shape] = [Box((WIDTH / 2, HEIGHT / 2), WIDTH, HEIGHT, "cell", corner=0)]
    every = max(1, math.ceil((f.high - f.low) / 6))
    exponents = range(int(f.low), int(f.high) + 1, every) if f.log else ()
    for v in [10.0**k for k in exponents] if f.log else list(np.linspace(f.low, f.high, 5)):
        shapes.append(Path(line((-4, f.y(v)), (0, f.y(v))), "ink", False, width=1.0))
        text = _power(v) if f.log else (labels.Letters(short(v)),)
        shapes.append(Words((-8, f.y(v)), text, 12.0, anchor="end"))
    for t in dict.fromkeys(round(v) for v in np.linspace(1, f.steps, min(f.steps, 6))):
        shapes.append(Path(line((f.x(t), HEIGHT), (f.x(t), HEIGHT + 4)), "ink", False, width=1.0))
        shapes.append(Words((f.x(t), HEIGHT + 15), (labels.Letters(str(t)),), 12.0))
    return shapes


def _power(v: float) -> labels.Label:
    """A power of ten with its exponent raised."""
    exponent = f"{math.log10(v):.0f}".replace("-", "\u2212")
    return labels.Letters("10"), labels.Letters(exponent, shift=1)


def matrix(values: np.ndarray[Any, Any], title: str, across: str = "", down: str = "") -> Drawing:
    """A matrix as coloured squares, logarithmic, with a legend; large ones joined to blocks
    (the largest number of a block)."""
    sizes = np.abs(np.asarray(values, dtype=float))
    full = sizes.shape
    sizes = _blocks(sizes)
    rows, cols = sizes.shape
    real = sizes[np.isfinite(sizes) & (sizes > 0)]
    low, high = (float(real.min()), float(real.max())) if real.size else (1.0, 1.0)
    low = max(low, high * 1e-6)
    side = min(26.0, 360.0 / max(rows, cols, 1))
    shapes: list[Shape] = []
    for k in range(rows):
        for t in range(cols):
            v = float(sizes[k, t])
            if v > 0 and math.isfinite(v):
                share = math.log(max(v, low) / low) / (math.log(high / low) or 1.0)
                at = (side * (t + 0.5), side * (k + 0.5))
                shapes.append(Box(at, side, side, mix(share), title=short(v), corner=0, outline=False))
    w, h = side * cols, side * rows
    shapes.insert(0, Box((w / 2, h / 2), w, h, "paper", corner=0))
    shapes += [
        Words((w / 2, -18), (labels.Letters(title),), 15.0),
        Words((w / 2, h + 32), (labels.Letters(across),), 13.0),
        Words((-26, h / 2), (labels.Letters(down),), 13.0, anchor="end"),
        Words((side / 2, h + 14), (labels.Letters("1"),), 12.0),
        Words((w - side / 2, h + 14), (labels.Letters(str(full[1])),), 12.0),
        Words((-8, side / 2), (labels.Letters("1"),), 12.0, anchor="end"),
        Words((-8, h - side / 2), (labels.Letters(str(full[0])),), 12.0, anchor="end"),
    ]
    for n in range(9):
        v = low * (high / low) ** (n / 8)
        shapes.append(
            Box((w + 30, h * (1 - n / 8) * 0.8 + 12), 14, h * 0.1 + 1, mix(n / 8), corner=0, outline=False)
        )
        if n in (0, 4, 8):
            shapes.append(
                Words((w + 42, h * (1 - n / 8) * 0.8 + 12), (labels.Letters(short(v)),), 12.0, anchor="start")
            )
    return Drawing(tuple(shapes), title, f"{full[0]} by {full[1]}, from {short(low)} to {short(high)}")


def _blocks(sizes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    for axis in (0, 1):
        n = sizes.shape[axis]
        if n > FINEST:
            cuts: Sequence[int] = [k * n // FINEST for k in range(FINEST)]
            sizes = np.maximum.reduceat(sizes, cuts, axis=axis)
    return sizes
