"""What a run adds to a picture: numbers as colour and text, shapes, and what a check found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from unfold.core.axis import Axis
from unfold.core.errors import UnfoldError
from viz.drawing import Drawing
from viz.shapes import labels
from viz.shapes.curves import Point, flatten, line, toward
from viz.shapes.figures import Box, Circle, Group, Path, Repeat, Shape, Words, walk
from viz.shapes.spots import spot, told
from viz.shapes.style import number

SHOWS = ("values", "adjoint", "shapes")

PALE, FULL = (255, 250, 240), (232, 93, 117)

LEGEND = 160.0


class Lengths(Protocol):
    """How long each axis is."""

    @property
    def extents(self) -> Mapping[Axis, int]: ...


class Measured(Protocol):
    """Arrays by name, as a run has them: run["h"], run["h", 3]."""

    def __getitem__(self, key: Any, /) -> Any: ...
    @property
    def of(self) -> str | None: ...
    @property
    def bound(self) -> Lengths: ...
    @property
    def adjoint(self) -> Measured: ...


class Judgement(Protocol):
    """What a check found: the operation or the variable at fault, and the steps."""

    @property
    def ok(self) -> bool: ...
    @property
    def of(self) -> str: ...
    @property
    def verdict(self) -> object: ...
    @property
    def operation(self) -> str | None: ...
    @property
    def equation(self) -> str | None: ...
    @property
    def variable(self) -> str | None: ...
    @property
    def steps(self) -> Sequence[Any]: ...


def shown(drawing: Drawing, run: Measured, show: str) -> Drawing:
    """A picture of an unfolded graph with a run on it: `show` is "values" or "adjoint" (their
    size, root mean square, as colour and number) or "shapes"."""
    if show not in SHOWS:
        raise UnfoldError(f"show={show!r}: there is {', '.join(map(repr, SHOWS))}")
    found: dict[str, Any] = {}
    for name in nodes(drawing):
        value = value_of(run.adjoint if show == "adjoint" else run, name)
        given = value_of(run, name)
        if value is not None and given is not None and (show == "shapes" or given.dtype.kind in "fc"):
            found[name] = value
    if show == "shapes":
        return notes(drawing, {k: "×".join(map(str, v.shape)) or "1" for k, v in found.items()})
    size = {k: float(np.sqrt(np.mean(np.square(np.abs(v))))) for k, v in found.items() if v.size}
    what = f"|d{run.adjoint.of}/d·|" if show == "adjoint" else "size of the value"
    return heat(drawing, size, what, log=show == "adjoint")


def nodes(drawing: Drawing) -> dict[str, tuple[Circle, Point]]:
    """The discs of a picture by name, with where they are."""
    return {
        s.name: (s, (s.at[0] + at[0], s.at[1] + at[1]))
        for s, at in walk(drawing.parts)
        if isinstance(s, Circle)
    }


def value_of(run: Measured, name: str) -> np.ndarray[Any, Any] | None:
    """The array behind a disc: "h@3" is run["h", 3]."""
    label, steps = told(name)
    if not all(isinstance(s, int) for s in steps):
        return None
    try:
        return np.asarray(run[(label, *steps)] if steps else run[label])
    except UnfoldError:
        return None


def heat(drawing: Drawing, sizes: Mapping[str, float], what: str, log: bool = True) -> Drawing:
    """Discs coloured and annotated by a number, with a legend. Zero and what is not finite
    keep their own marks: 0, ∞, NaN."""
    real = [v for v in sizes.values() if math.isfinite(v) and (v > 0 or not log)]
    low, high = (min(real), max(real)) if real else (0.0, 1.0)

    def share(v: float) -> float:
        if not math.isfinite(v):
            return 1.0
        if log:
            v, a, b = (math.log10(max(x, low or 1e-300)) if x > 0 or low > 0 else 0.0 for x in (v, low, high))
        else:
            a, b = low, high
        return 0.0 if b <= a else min(1.0, max(0.0, (v - a) / (b - a)))

    tones = {k: mix(share(v)) for k, v in sizes.items()}
    painted = recoloured(drawing, lambda name: tones.get(name))
    marked = notes(painted, {k: short(v) for k, v in sizes.items()})
    return replace(marked, parts=(*marked.parts, *_legend(drawing, low, high, what, log)))


def mix(s: float) -> str:
    """The colour of a share between 0 and 1, as #rrggbb."""
    return "#" + "".join(f"{round(a + (b - a) * s):02X}" for a, b in zip(PALE, FULL, strict=True))


def short(v: float) -> str:
    """A number in two digits; 0, ∞ and NaN by their signs."""
    if math.isnan(v):
        return "NaN"
    if math.isinf(v):
        return "∞"
    return "0" if v == 0 else f"{v:.2g}"


def _legend(drawing: Drawing, low: float, high: float, what: str, log: bool) -> list[Shape]:
    left, _, right, bottom = drawing.bounds
    x0, y = (left + right) / 2 - LEGEND / 2, bottom + 16
    cells = 16
    w = LEGEND / cells
    bar: list[Shape] = [
        Box((x0 + w * (k + 0.5), y), w + 0.5, 9, mix(k / (cells - 1)), corner=0, outline=False)
        for k in range(cells)
    ]
    ends = [
        Words((x0 - 6, y), labels.upright(short(low)), 11.0, anchor="end"),
        Words((x0 + LEGEND + 6, y), labels.upright(short(high)), 11.0, anchor="start"),
        Words((x0 + LEGEND / 2, y + 15), (labels.Letters(what + (", logarithmic" if log else "")),), 11.0),
    ]
    return [*bar, *ends]


def notes(drawing: Drawing, texts: Mapping[str, str]) -> Drawing:
    """Small words at the lower right of discs."""
    added: list[Shape] = []
    for name, (disc, (x, y)) in nodes(drawing).items():
        if texts.get(name):
            r = disc.r
            at = (x + 0.72 * r, y + 0.95 * r)
            added.append(Words(at, (labels.Letters(texts[name]),), 9.5, anchor="start"))
    return replace(drawing, parts=(*drawing.parts, *added))


def marked(drawing: Drawing, report: Judgement) -> Drawing:
    """The culprit of a failed check in red, at the steps where it fails; where only the
    parameter is known, its edges."""
    if report.ok:
        return drawing
    equation = (report.operation and report.equation) or ""
    blamed = bool(equation)
    name = equation.split("=")[0].split("[")[0].strip() if blamed else report.variable or ""
    steps = [s if isinstance(s, tuple) else (s,) for s in report.steps]
    bad = {spot(name, *s) for s in steps}
    if bad - set(nodes(drawing)):
        bad.add(spot(name, None))  # what stands for steps that are left out

    def tone(key: str) -> str | None:
        everywhere = not bad and told(key)[0] == name != key
        return "wrong" if name and (key in bad or key == name or everywhere) else None

    def edge(p: Path) -> bool:
        return p.ends[1] in bad if blamed else report.variable in p.carries

    painted = recoloured(drawing, tone, edge)
    left, _, right, bottom = drawing.bounds
    what = f"{report.operation} in {report.equation}" if blamed else f"d{report.of}/d{report.variable}"
    words = Words(
        ((left + right) / 2, bottom + 6), (labels.Letters(f"{report.verdict}: {what}"),), 12.0, "wrong"
    )
    return replace(painted, parts=(*painted.parts, words), desc=f"{drawing.desc} {report.verdict}: {what}")


def crossing(drawing: Drawing, window: int) -> set[tuple[str, str]]:
    """The edges between windows 1..k, k+1..2k, ... of steps; those of the gradient, if it is
    in the picture."""
    found: dict[tuple[str, str], str] = {}
    for p, _ in walk(drawing.parts):
        if isinstance(p, Path):
            steps = [at[0] for at in (told(end)[1] for end in p.ends) if len(at) == 1]
            windows = {(s - 1) // window for s in steps if isinstance(s, int) and s > 0}
            if len(windows) == 2:
                found[p.ends] = p.tone
    back = {ends for ends, tone in found.items() if tone == "gradient"}
    return back or set(found)


def cut(drawing: Drawing, edges: set[tuple[str, str]]) -> Drawing:
    """Edges that a truncation removes: faint, dashed, with a stroke across."""
    added: list[Shape] = []

    def faint(p: Path) -> Path:
        if p.ends not in edges:
            return p
        dots = flatten(p.points)
        a, b = dots[max(1, len(dots) // 4) - 1], dots[max(1, len(dots) // 4)]
        m = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
        q = toward(m, b, 6.0)
        dx, dy = q[0] - m[0], q[1] - m[1]
        ends = ((m[0] - dy, m[1] + dx), (m[0] + dy, m[1] - dx))
        added.append(Path(line(*ends), "loss", False, width=2.0))
        return replace(p, tone="faint", dashed=True)

    parts = _mapped(drawing.parts, lambda s: faint(s) if isinstance(s, Path) else s)
    return replace(drawing, parts=(*parts, *added))


def recoloured(
    drawing: Drawing,
    tone: Callable[[str], str | None],
    edge: Callable[[Path], bool] = lambda path: False,
) -> Drawing:
    """Discs, boxes and words in other tones, by name; the edges that `edge` picks in red."""

    def repaint(s: Shape) -> Shape:
        if isinstance(s, Circle | Box | Words) and s.name and (new := tone(s.name)) is not None:
            return replace(s, tone=new)
        if isinstance(s, Path) and edge(s):
            return replace(s, tone="wrong", width=2.2)
        return s

    return replace(drawing, parts=_mapped(drawing.parts, repaint))


def _mapped(parts: tuple[Shape, ...], change: Callable[[Shape], Shape]) -> tuple[Shape, ...]:
    return tuple(
        replace(p, parts=_mapped(p.parts, change)) if isinstance(p, Group | Repeat) else change(p)
        for p in parts
    )


def summary(value: np.ndarray[Any, Any]) -> str:
    """An array in a few words."""
    if value.size == 0:
        return "empty"
    if value.size <= 4:
        return (
            "[" + ", ".join(short(float(np.real(v))) for v in value.ravel()) + "]"
            if value.ndim
            else short(float(np.real(value)))
        )
    low, high = float(np.real(value).min()), float(np.real(value).max())
    mean = float(np.real(value).mean())
    return f"{'×'.join(map(str, value.shape))}, from {number(low)} to {number(high)}, mean {mean:.3g}"
