"""Drawing -> SVG text: ours, so that it needs no program and is the same from run to run.

Colours stand as presentation attributes (viewers that strip `<style>` keep them); the style
sheet only adds the dark theme. Every text and attribute is escaped.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable

from viz.shapes.curves import Point, pieces, straight, toward
from viz.shapes.figures import Box, Circle, Group, Path, Shape, Words
from viz.shapes.labels import LOWER, RAISE, SMALL, Label
from viz.shapes.picture import Picture
from viz.shapes.style import FONTS, HEAD, number, tone


def render(picture: Picture, theme: str = "auto", prefix: str | None = None) -> str:
    """The picture as SVG. `theme` is "light", "dark", or "auto" (what the reader prefers);
    `prefix` starts every id (by default a digest of the picture)."""
    writer = _SvgWriter(theme)
    body = writer.shapes(picture.parts)
    left, top, right, bottom = (
        math.floor(v) if k < 2 else math.ceil(v) for k, v in enumerate(picture.bounds)
    )
    w, h = right - left, bottom - top
    digest = hashlib.sha256(f"{picture.title}|{picture.desc}|{body}".encode()).hexdigest()
    own = prefix if prefix is not None else f"u{digest[:8]}"
    ids = f"{own}-title {own}-desc"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="{left} {top} {w} {h}" '
        f'role="img" aria-labelledby="{escape(ids)}" font-family="{escape(FONTS)}" text-anchor="middle">'
    )
    paper = f'<rect x="{left}" y="{top}" width="{w}" height="{h}"{writer.paint("paper", True, False)}/>'
    lines = [
        head,
        f'<title id="{escape(own)}-title">{escape(picture.title)}</title>',
        f'<desc id="{escape(own)}-desc">{escape(picture.desc)}</desc>',
        f"<style>{writer.sheet()}</style>" if theme == "auto" else "",
        f"<defs>{''.join(writer.defs)}</defs>" if writer.defs else "",
        paper,
        body,
        "</svg>",
    ]
    return "\n".join(s for s in lines if s).replace("\x00", escape(own)) + "\n"


def escape(text: str) -> str:
    """Text for XML: markup characters as entities, characters XML forbids left out."""
    named = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}
    return "".join(named.get(c, c) for c in text if _allowed(ord(c)))


def _allowed(code: int) -> bool:
    return (
        code in (9, 10)
        or 32 <= code < 0x7F
        or (0xA0 <= code < 0xD800)
        or (0xE000 <= code < 0xFFFE)
        or 0x10000 <= code <= 0x10FFFF
    )


class _SvgWriter:
    """Writes shapes; remembers the tones used and the parts to be repeated."""

    def __init__(self, theme: str) -> None:
        self.theme = theme
        self.used: dict[str, None] = {}
        self.defs: list[str] = []

    # ------------------------------------------------------------------ colour
    def paint(self, name: str, fill: bool, stroke: bool) -> str:
        """fill= and stroke= of a tone, and the classes by which the dark theme finds them.
        `fill` alone paints with the fill colour (for ink: the letters)."""
        t = tone(name)
        dark = self.theme == "dark"
        f = (t.dark_fill if dark else t.fill) if fill else "none"
        s = (t.dark_stroke if dark else t.stroke) if stroke else ""
        out = f' fill="{f}"' + (f' stroke="{s}"' if stroke else "")
        if self.theme == "auto" and not name.startswith("#"):
            classes = [f"f-{name}"] if fill else []
            classes += [f"s-{name}"] if stroke else []
            self.used.update(dict.fromkeys(classes))
            out += f' class="{" ".join(classes)}"'
        return out

    def letter(self, name: str) -> str:
        """The colour of letters: a tone's stroke, used as a fill."""
        t = tone(name)
        out = f' fill="{t.dark_stroke if self.theme == "dark" else t.stroke}"'
        if self.theme == "auto" and not name.startswith("#"):
            self.used[f"l-{name}"] = None
            out += f' class="l-{name}"'
        return out

    def sheet(self) -> str:
        rules = []
        for c in sorted(self.used):
            kind, name = c.split("-", 1)
            t = tone(name)
            what = {
                "f": f"fill:{t.dark_fill}",
                "s": f"stroke:{t.dark_stroke}",
                "l": f"fill:{t.dark_stroke}",
            }[kind]
            rules.append(f".{c}{{{what}}}")
        return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"

    # ------------------------------------------------------------------ shapes
    def shapes(self, parts: Iterable[Shape]) -> str:
        return "\n".join(self.shape(p) for p in parts)

    def shape(self, p: Shape) -> str:
        if isinstance(p, Circle):
            disc = (
                f'<circle cx="{number(p.at[0])}" cy="{number(p.at[1])}" r="{number(p.r)}"'
                f'{self.paint(p.tone, True, True)} stroke-width="1.2"/>'
            )
            return self._labelled(p, disc)
        if isinstance(p, Box):
            l, t, _, _ = p.bounds
            rx = f' rx="{number(p.corner)}"' if p.corner else ""
            rect = (
                f'<rect x="{number(l)}" y="{number(t)}" width="{number(p.width)}" height="{number(p.height)}"'
                f"{rx}{self.paint(p.tone, True, p.outline)}"
                + (' stroke-width="1.2"/>' if p.outline else "/>")
            )
            return self._labelled(p, rect)
        if isinstance(p, Words):
            return self.text(p.at, p.label, p.size, p.tone, p.anchor)
        if isinstance(p, Path):
            return self.path(p)
        if isinstance(p, Group):
            kind = f' class="{escape(p.kind)}"' if p.kind else ""
            move = (
                f' transform="translate({number(p.at[0])} {number(p.at[1])})"' if p.at != (0.0, 0.0) else ""
            )
            return f"<g{kind}{move}>\n{self.shapes(p.parts)}\n</g>"
        name = f"\x00-r{len(self.defs)}"
        self.defs.append("")
        self.defs[int(name.rsplit("r", 1)[1])] = f'<g id="{name}">{self.shapes(p.parts)}</g>'
        return "\n".join(f'<use href="#{name}" x="{number(x)}" y="{number(y)}"/>' for x, y in p.places)

    def _labelled(self, p: Circle | Box, outline: str) -> str:
        title = f"<title>{escape(p.title)}</title>" if p.title else ""
        own = p.tone
        text = (
            self.text(p.at, p.label, p.size, own if own.startswith("#") else "ink", "middle")
            if p.label
            else ""
        )
        node = f' data-node="{escape(p.name)}"' if p.name else ""
        return f"<g{node}>{title}{outline}{text}</g>" if node or title or text else outline

    def text(self, at: Point, label: Label, size: float, ink: str, anchor: str) -> str:
        out, raised = [], 0.0
        for run in label:
            shift = {1: RAISE, -1: LOWER, 0: 0.0}[run.shift] * size
            dy = f' dy="{number(shift - raised)}"' if abs(shift - raised) > 1e-9 else ""
            raised = shift
            small = f' font-size="{number(size * SMALL)}"' if run.shift else ""
            slant = ' font-style="italic"' if run.italic else ""
            inner = escape(run.text)
            out.append(f"<tspan{dy}{small}{slant}>{inner}</tspan>" if dy or small or slant else inner)
        middle = "" if anchor == "middle" else f' text-anchor="{anchor}"'
        return (
            f'<text x="{number(at[0])}" y="{number(at[1] + 0.31 * size)}" font-size="{number(size)}"'
            f"{middle}{self.letter(ink)}>{''.join(out)}</text>"
        )

    def path(self, p: Path) -> str:
        points = list(p.points)
        head = ""
        if p.arrow:
            tip, before = points[-1], points[-2]
            length = HEAD * min(1.5, 0.7 + 0.25 * p.width)
            base = toward(tip, before, length)
            points[-1] = toward(tip, before, length * 0.8)
            dx, dy = (tip[0] - base[0]) / length, (tip[1] - base[1]) / length
            w = length * 0.36
            corners = (tip, (base[0] - dy * w, base[1] + dx * w), (base[0] + dy * w, base[1] - dx * w))
            d = "L".join(f"{number(x)} {number(y)}" for x, y in corners)
            head = f'<path d="M{d}Z"{self.letter(p.tone)}/>'
        dash = ' stroke-dasharray="4 3"' if p.dashed else ""
        stroke = (
            f'<path d="{commands(points)}"{self.paint(p.tone, False, True)} '
            f'stroke-width="{number(p.width)}"{dash}/>'
        )
        carries = f' data-carries="{escape(json.dumps(p.carries))}"' if p.carries else ""
        ends = f' data-from="{escape(p.ends[0])}" data-to="{escape(p.ends[1])}"' if any(p.ends) else ""
        title = f"<title>{escape(p.title)}</title>" if p.title else ""
        return f"<g{ends}{carries}>{title}{stroke}{head}</g>" if ends or title else stroke + head


def commands(points: list[Point]) -> str:
    """The d= of a chain of cubics; straight ones as lines."""
    out = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for p in pieces(points):
        if straight(p):
            out.append(f"L{number(p[3][0])} {number(p[3][1])}")
        else:
            out.append("C" + " ".join(f"{number(x)} {number(y)}" for x, y in p[1:]))
    return "".join(out)
