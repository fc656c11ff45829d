"""Drawing -> DOT through the `graphviz` package, every position pinned.

Graphviz draws it as it stands (`layout=nop2`): its layouters never see the graph. Names come
from users, so ids are our own and every label goes through `quote`.
"""

from __future__ import annotations

from collections.abc import Sequence

from unfold.core.errors import UnfoldError
from viz.shapes.curves import Point, toward
from viz.shapes.figures import Box, Circle, Path, Words, walk
from viz.shapes.labels import Letters, fitted, plain
from viz.shapes.picture import Picture
from viz.shapes.style import number, tone

FACE, SLANTED = "Times-Roman", "Times-Italic"

ARROW = 0.7


def quote(text: str) -> str:
    """A DOT string: quotes and backslashes as they are, nothing taken as HTML or an escape."""
    kept = "".join(
        c for c in text if ord(c) >= 32 and not 0x7F <= ord(c) < 0xA0 and not 0xD800 <= ord(c) < 0xE000
    )
    return '"' + kept.replace("\\", "\\\\").replace('"', '\\"') + '"'


def render(picture: Picture) -> str:
    """The DOT text."""
    left, top, right, bottom = picture.bounds

    def place(p: Point) -> Point:
        return p[0] - left, bottom - p[1]

    shapes = list(walk(picture.parts))
    framed = any(isinstance(s, Box) and s.tone.startswith("cell") for s, _ in shapes)  # behind the edges
    lines = [
        "digraph {",
        f"\tgraph [layout=nop2, splines=line, bgcolor={quote('#FFFFFF')}, pad=0.1,"
        f" outputorder={'nodesfirst' if framed else 'edgesfirst'},"
        f" bb={quote(f'0,0,{number(right - left)},{number(bottom - top)}')}, comment={quote(picture.title)}]",
        f"\tnode [fixedsize=true, fontname={quote(FACE)}, penwidth=1.2, style=filled, margin=0]",
        f"\tedge [fontname={quote(FACE)}, arrowsize={ARROW}]",
    ]
    ids: dict[str, str] = {}
    strokes: list[str] = []
    for shape, (dx, dy) in shapes:
        if isinstance(shape, Circle | Box | Words):
            at = place((shape.at[0] + dx, shape.at[1] + dy))
            own = f"n{len(ids)}"
            ids[f"{shape.name}|{dx},{dy}" if shape.name else own] = own
            lines.append(f"\t{own} [{_node(shape, at)}]")
    for shape, (dx, dy) in shapes:
        if isinstance(shape, Path):
            points = [place((x + dx, y + dy)) for x, y in shape.points]
            ends = []
            for name, p in zip(shape.ends, (points[0], points[-1]), strict=True):
                known = ids.get(f"{name}|{dx},{dy}") if name else None
                if known is None:
                    known = f"n{len(ids)}"
                    ids[known] = known
                    here = f"pos={quote(_at(p))}, shape=point, width=0.001, style=invis, label={quote('')}"
                    lines.append(f"\t{known} [{here}]")
                ends.append(known)
            strokes.append(f"\t{ends[0]} -> {ends[1]} [{_edge(shape, points)}]")
    return "\n".join([*lines, *strokes, "}"]) + "\n"


def _at(p: Point) -> str:
    return f"{number(p[0])},{number(p[1])}"


def _node(shape: Circle | Box | Words, at: Point) -> str:
    t = tone(shape.tone)
    text = plain(shape.label)  # on one line, so smaller where it must fit
    room = 2 * shape.r - 8 if isinstance(shape, Circle) else 1e9
    size = fitted((Letters(text),), shape.size, room)
    out = {"label": quote(text), "fontsize": number(size)}
    if shape.label and all(r.italic for r in shape.label if not r.shift):
        out["fontname"] = quote(SLANTED)
    if isinstance(shape, Words):
        l, _, r, _ = shape.bounds
        at = (at[0] + (l + r) / 2 - shape.at[0], at[1])
        w, h, form, style = r - l, 1.3 * shape.size, "plaintext", ""
        out["fontcolor"] = quote(t.stroke)
    else:
        out |= {"fillcolor": quote(t.fill), "color": quote(t.stroke)}
        if isinstance(shape, Circle):
            w, h, form, style = 2 * shape.r, 2 * shape.r, "circle", "filled"
        else:
            w, h, form = shape.width, shape.height, "box"
            style = "filled,rounded" if shape.corner else "filled"
    out |= {"pos": quote(_at(at)), "shape": form, "style": quote(style)}
    out |= {"width": number(w / 72), "height": number(h / 72)}
    return ", ".join(f"{k}={v}" for k, v in out.items())


def _edge(shape: Path, points: Sequence[Point]) -> str:
    spline = list(points)
    tip = ""
    if shape.arrow:
        tip = f"e,{_at(spline[-1])} "
        spline[-1] = toward(spline[-1], spline[-2], 10 * ARROW)
    pos = quote(tip + " ".join(map(_at, spline)))
    parts = [f"pos={pos}", f"color={quote(tone(shape.tone).stroke)}", f"penwidth={number(shape.width)}"]
    if shape.dashed:
        parts.append("style=dashed")
    if not shape.arrow:
        parts.append("arrowhead=none")
    return ", ".join(parts)


def pipe(picture: Picture, format: str) -> bytes:
    """The picture as pdf or png, by the Graphviz program."""
    import graphviz  # type: ignore[import-untyped]

    try:
        source = graphviz.Source(render(picture), engine="neato")
        data: bytes = source.pipe(format=format, quiet=True)
        return data
    except graphviz.ExecutableNotFound:
        raise UnfoldError(
            f"a .{format} file needs the Graphviz program `dot`, which is not installed: "
            "apt install graphviz, brew install graphviz, or https://graphviz.org/download; "
            ".svg, .html, .dot and .tex need no program"
        ) from None
    except graphviz.CalledProcessError as error:
        raise UnfoldError(f"Graphviz could not draw this as .{format}: {error}") from error
