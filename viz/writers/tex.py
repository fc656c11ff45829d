"""Drawing -> TikZ: a `tikzpicture` for papers, compiling with `\\usepackage{tikz}` alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from itertools import groupby

from viz.shapes.curves import Point, pieces, straight
from viz.shapes.figures import Box, Circle, Path, Words, walk
from viz.shapes.labels import GREEK, Label
from viz.shapes.picture import Picture
from viz.shapes.style import number, tone

_SPECIAL = {c: f"\\{c}" for c in "#$%&_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
}

_COMMANDS = {v: f"\\{k}" for k, v in GREEK.items() if k not in ("omicron",)} | {
    "\u2212": "-",
    "…": r"\dots ",
    "\u22ef": r"\cdots ",
    "×": r"\times ",
    "÷": r"\div ",
    "·": r"\cdot ",
    "⊙": r"\odot ",
    "√": r"\surd ",
    "≤": r"\le ",
    "∇": r"\nabla ",
    "∂": r"\partial ",
    "′": "'",
    "Σ": r"\Sigma ",
    "∧": r"\land ",
    "∨": r"\lor ",
    "¬": r"\lnot ",
    "ᵀ": r"^\top ",
    "⊤": r"\top ",
    "⋮": r"\vdots ",
    "⋱": r"\ddots ",
    "∞": r"\infty ",
    "⇉": r"\rightrightarrows ",
    "\u2009": "",
}


def render(picture: Picture) -> str:
    """The picture as TikZ; one unit is a point."""
    colours: dict[str, str] = {}
    body: list[str] = []
    shapes = list(walk(picture.parts))
    for shape, at in shapes:
        if isinstance(shape, Path):
            body.append(_path(shape, at, colours))
        elif isinstance(shape, Circle | Box | Words):
            body.append(_node(shape, at, colours))
    defined = [f"\\definecolor{{{name}}}{{HTML}}{{{value}}}" for value, name in colours.items()]
    return "\n".join(
        [
            f"% {_comment(picture.title)}",
            *defined,
            "\\begin{tikzpicture}[x=1pt,y=-1pt,>=latex,line width=0.9pt,every node/.style={inner sep=0pt}]",
            *body,
            "\\end{tikzpicture}",
            "",
        ]
    )


def document(picture: Picture) -> str:
    """A whole file that compiles by itself."""
    head = "\\documentclass[border=4pt]{standalone}\n\\usepackage{amssymb}\n\\usepackage{tikz}\n"
    return f"{head}\\begin{{document}}\n{render(picture)}\\end{{document}}\n"


def escape(text: str) -> str:
    """Text for TeX: every active character by name, letters beyond its reach as their code."""
    out = []
    for c in text:
        if c in _COMMANDS:
            out.append(f"\\ensuremath{{{_COMMANDS[c].strip()}}}")
        elif ord(c) < 32 or 0x7F <= ord(c) < 0xA0:
            continue
        else:
            out.append(_SPECIAL.get(c, c))
    return "".join(out)


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _label(label: Label) -> str:
    """Runs as math: x_{1}^{(t-1)}."""
    out: list[str] = []
    for shift, runs in groupby(label, key=lambda r: r.shift):
        text = "".join(_run(r.text, r.italic) for r in runs)
        out.append({0: "{%s}", 1: "^{%s}", -1: "_{%s}"}[shift] % text)
    return f"${''.join(out)}$" if out else ""


def _run(text: str, italic: bool) -> str:
    accents = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde", "\u0307": "dot"}
    base = unicodedata.normalize("NFD", text)
    if len(base) == 2 and base[1] in accents:
        return f"\\{accents[base[1]]}{{{_run(base[0], italic)}}}"
    if all(c in _COMMANDS for c in text):
        return "".join(_COMMANDS[c] for c in text)
    if text.isascii() and ((italic and text.isalpha()) or not any(c.isalpha() for c in text)):
        return "".join(_SPECIAL.get(c, c) for c in text)
    return f"\\mathrm{{{''.join(_COMMANDS.get(c, _SPECIAL.get(c, c)) for c in text)}}}"


def _colour(value: str, colours: dict[str, str]) -> str:
    return colours.setdefault(value.lstrip("#").upper(), f"unfold{len(colours)}")


def _node(shape: Circle | Box | Words, at: Point, colours: dict[str, str]) -> str:
    t = tone(shape.tone)
    x, y = number(shape.at[0] + at[0]), number(shape.at[1] + at[1])
    size = number(shape.size)
    font = f"\\fontsize{{{size}}}{{{size}}}\\selectfont {_label(shape.label)}"
    if isinstance(shape, Words):
        anchor = {"start": ",anchor=west", "middle": "", "end": ",anchor=east"}[shape.anchor]
        return f"\\node[text={_colour(t.stroke, colours)}{anchor}] at ({x},{y}) {{{font}}};"
    look = f"fill={_colour(t.fill, colours)},draw={_colour(t.stroke, colours)}"
    if isinstance(shape, Circle):
        outline = f"\\path[{look}] ({x},{y}) circle[radius={number(shape.r)}pt];"
    else:
        w, h = number(shape.width), number(shape.height)
        round_ = f",rounded corners={number(shape.corner)}pt" if shape.corner else ""
        outline = f"\\node[{look}{round_},minimum width={w}pt,minimum height={h}pt] at ({x},{y}) {{}};"
    return outline + (f"\n\\node at ({x},{y}) {{{font}}};" if shape.label else "")


def _path(shape: Path, at: Point, colours: dict[str, str]) -> str:
    def point(p: Point) -> str:
        return f"({number(p[0] + at[0])},{number(p[1] + at[1])})"

    options = [f"draw={_colour(tone(shape.tone).stroke, colours)}"]
    options += ["->"] if shape.arrow else []
    options += ["dashed"] if shape.dashed else []
    options += [f"line width={number(shape.width)}pt"] if shape.width != 1.2 else []
    strokes = [_stroke(p, point) for p in pieces(shape.points)]
    return f"\\path[{','.join(options)}] {point(shape.points[0])} {' '.join(strokes)};"


def _stroke(p: Sequence[Point], point: Callable[[Point], str]) -> str:
    if straight(p):
        return f"-- {point(p[3])}"
    return f".. controls {point(p[1])} and {point(p[2])} .. {point(p[3])}"
