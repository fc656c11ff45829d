"""Exhibits -> one HTML page that stands by itself: no script, no network, light and dark."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.analysis.causality import over_time
from unfold.apps.gallery.exhibits import TRAINING, Exhibit


def page(exhibits: Sequence[Exhibit], text_name: str) -> str:
    """The whole page. `text_name` says what the systems have read."""
    style = files("unfold.apps.gallery").joinpath("page.css").read_text(encoding="utf-8")
    proven = sum(e.report.ok for e in exhibits)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>unfold: a gallery of {len(exhibits)} recurrent systems</title>
<style>
{style}</style>
</head>
<body>
<header class="top">
<p class="brand">unfold</p>
<h1>{len(exhibits)} systems, from their equations alone</h1>
<p class="lead">Each was written once, as the textbook writes it. Its cyclic and its unfolded diagram,
its backpropagation through time, the proof of its gradients and the code that ran follow from that.</p>
<p class="facts"><span><b>{proven} of {len(exhibits)}</b> gradients proven</span>
<span>read <b>{escape(text_name)}</b></span></p>
</header>
<nav aria-label="Systems"><ul class="index">
{"".join(_card(e) for e in exhibits)}</ul></nav>
<main>
{"".join(_section(e) for e in exhibits)}</main>
<footer>Made by <code>unfold gallery</code>. Every picture lies beside this page as an SVG file.</footer>
</body>
</html>
"""


def _card(e: Exhibit) -> str:
    picture = e.drawings[f"{e.name}.svg"].svg(prefix=f"card-{e.name}")
    return f'<li><a href="#{e.name}"><span class="thumb">{picture}</span><b>{escape(e.title)}</b></a></li>\n'


def _section(e: Exhibit) -> str:
    badge = "gradients proven" if e.report.ok else "gradients not proven"
    return f"""<section id="{e.name}" aria-labelledby="{e.name}-h">
<header><h2 id="{e.name}-h">{escape(e.title)}</h2>
<p class="badge {"ok" if e.report.ok else "bad"}">{badge}</p></header>
<p class="mathematics">{escape(e.mathematics)}</p>
{"".join(map(_prose, e.prose.split(chr(10) * 2)))}
{_figures(e)}
<div class="pair">
<div><h3>Its equations</h3><pre>{escape(_equations(e))}</pre></div>
<div><h3>Its gradient: backpropagation through time</h3><pre>{escape(str(e.gradient))}</pre></div>
</div>
{_run(e)}
{_more(e)}
</section>
"""


def _equations(e: Exhibit) -> str:
    return "\n\n".join([str(e.graph), *(["\n".join(over_time(e.graph))] if e.graph.axes else [])])


def _prose(part: str) -> str:
    """A paragraph of a docstring, or a table of one, as it stands."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(part))
    return f"<pre>{textwrap.dedent(text)}</pre>\n" if part.startswith("    ") else f"<p>{text}</p>\n"


def _figures(e: Exhibit) -> str:
    main = next(f for f in (f"{e.name}-unfolding.svg", f"{e.name}.svg") if f in e.drawings)
    pictures = ", ".join(f'<a href="{f}">{f}</a>' for f in e.drawings if f.endswith(".svg"))
    interactive = f'<a href="{e.name}.html">Play a run: values and gradients of every circle</a>'
    return f"""<figure>{_inline(e, main)}<figcaption>{interactive}. Files: {pictures}</figcaption></figure>
{_picture(e, "operations", "One step, operation by operation")}
{_picture(e, "gradient", "Backpropagation through time as a graph")}
{_picture(e, "run", "A run on real input: how much the loss depends on each value")}
"""


def _inline(e: Exhibit, file: str) -> str:
    return f'<div class="picture">{e.drawings[file].svg(prefix=file.removesuffix(".svg"))}</div>'


def _picture(e: Exhibit, which: str, title: str) -> str:
    file = f"{e.name}-{which}.svg"
    wide, high = (round(n) for n in e.drawings[file].size)
    image = f'<img loading="lazy" src="{file}" width="{wide}" height="{high}" alt="{escape(title)}">'
    return f"""<details><summary>{escape(title)}</summary>
<figure><div class="picture">{image}</div></figure></details>"""


def _run(e: Exhibit) -> str:
    said = ""
    if e.said:
        wanted = "".join(e.sample.wanted)
        said = f"<dl><dt>wanted</dt><dd>{_marked(wanted, wanted)}</dd>"
        said += f"<dt>answered</dt><dd>{_marked(e.said, wanted)}</dd></dl>"
    weights = next((e.result[n] for n in ("a", "p") if n in e.result), None)
    return f"""<div class="run"><h3>On real input</h3>
<p>{escape(e.sample.about)}</p>
<div class="columns"><div>{_curve(e.losses)}
<p class="note">loss {e.losses[0]:.4g} &rarr; {e.losses[-1]:.4g} in {TRAINING} steps of Adam</p></div>
<div>{said}{"" if weights is None else _heat(weights, e.sample.rows, e.sample.columns)}</div></div></div>
"""


def _marked(said: str, wanted: str) -> str:
    """A text with what differs from the wanted one marked; spaces are shown."""
    said, wanted = (text.replace(" ", "\u2423") for text in (said, wanted))
    if len(said) != len(wanted):
        return (
            f"<code>{escape(said)}</code>" if said == wanted else f"<code><mark>{escape(said)}</mark></code>"
        )
    marked = "".join(
        escape(a) if a == b else f"<mark>{escape(a)}</mark>" for a, b in zip(said, wanted, strict=True)
    )
    return f"<code>{marked}</code>"


def _curve(losses: Sequence[float], width: int = 300, height: int = 90) -> str:
    """The losses as a line."""
    values = np.asarray(losses)
    low, high = min(0.0, float(values.min())), float(values.max())
    x = np.linspace(4, width - 4, len(values))
    y = height - 6 - (values - low) / (high - low or 1) * (height - 12)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return (
        f'<svg class="curve" viewBox="0 0 {width} {height}" role="img" aria-label="loss falling from '
        f'{losses[0]:.3g} to {losses[-1]:.3g}"><path class="axis" d="M4 4V{height - 6}H{width - 4}"/>'
        f'<polyline points="{points}"/></svg>'
    )


def _heat(weights: NDArray[Any], rows: Sequence[str], columns: Sequence[str]) -> str:
    """Weights over two axes as a table; the greatest has the full colour."""
    most = float(weights.max()) or 1.0
    across = any(len(c) > 1 for c in columns)
    body = ""
    rows, columns, weights = (columns, rows, weights.T) if across else (rows, columns, weights)
    for row, values in zip(rows, weights, strict=True):
        cells = "".join(f'<td style="--w:{v / most:.3f}" title="{v:.3f}"></td>' for v in values)
        body += f'<tr><th scope="row">{escape(row)}</th>{cells}</tr>\n'
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in columns)
    what = "where each hop looks" if across else "what each written letter (rows) looks at (columns)"
    return f'<table class="heat"><caption>{what}</caption><tr><td></td>{head}</tr>\n{body}</table>'


def _more(e: Exhibit) -> str:
    parts = {
        "The program": e.source,
        "The check": str(e.report),
        "The NumPy code that ran": e.graph.code("loss"),
        "LaTeX": e.graph.latex(),
        "LaTeX of the gradient": e.gradient.latex(),
    }
    return '<div class="more">' + "".join(map(_detail, parts, parts.values())) + "</div>"


def _detail(title: str, text: str) -> str:
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>\n"
