"""Drawing -> one self-contained page: both forms, and a few dozen lines of plain script.

Everything is in the file and both views are drawn beforehand, so nothing is loaded and no
layout runs in the browser. Data stands in a JSON block in which no tag can begin.
"""

from __future__ import annotations

import json
from importlib import resources
from string import Template

from viz.shapes.figures import Box, Circle, Path, walk
from viz.shapes.picture import Page, Picture
from viz.writers.svg import escape
from viz.writers.svg import render as svg


def render(picture: Picture) -> str:
    """The page."""
    page = picture.page() if picture.page is not None else Page(unfolded=picture)
    views = [(name, d) for name, d in (("folded", page.folded), ("unfolded", page.unfolded)) if d is not None]
    main = page.unfolded or page.folded or picture
    start = "unfolded" if page.unfolded is not None and page.folded is not picture else views[0][0]
    params = list(dict.fromkeys(p for s in _paths(main) for p in s.carries))
    data = {"facts": page.facts, "order": order(page.unfolded) if page.unfolded else [], "start": start}
    figures = "\n".join(
        f'<figure id="{name}"{"" if name == start else " hidden"}>{svg(d, prefix=name)}</figure>'
        for name, d in views
    )
    switch = '<button id="fold" type="button"></button>' if len(views) > 1 else ""
    chips = "".join(
        f'<button type="button" class="param" data-param="{escape(p)}" aria-pressed="false">'
        f"{escape(p)}</button>"
        for p in params
    )
    slider = (
        '<label>Play <input id="play" type="range" min="0" value="0" step="1"></label>'
        '<output id="phase" for="play"></output>'
        if data["order"]
        else ""
    )
    return Template(_file("page.html")).substitute(
        title=escape(picture.title),
        style=_file("page.css"),
        switch=switch,
        chips=f'<span role="group" aria-label="Parameters">{chips}</span>' if chips else "",
        slider=slider,
        figures=figures,
        data=embedded(data),
        script=_file("page.js"),
    )


def _file(name: str) -> str:
    """The page's own template, style sheet and script, which lie beside this module."""
    return resources.files("viz.writers").joinpath(name).read_text(encoding="utf-8")


def embedded(data: object) -> str:
    """JSON that may stand in a page: no tag, comment or line separator can begin in it."""
    text = json.dumps(data, ensure_ascii=True, sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _paths(picture: Picture) -> list[Path]:
    return [s for s, _ in walk(picture.parts) if isinstance(s, Path)]


def order(picture: Picture) -> list[list[str]]:
    """The discs in the order they are computed: by longest paths along the edges, one wave a
    place of the slider."""
    names = [s.name for s, _ in walk(picture.parts) if isinstance(s, Circle | Box) and s.name]
    known = set(names)
    into: dict[str, list[str]] = {n: [] for n in names}
    out: dict[str, list[str]] = {n: [] for n in names}
    for p in _paths(picture):
        a, b = p.ends
        if a in known and b in known and a != b:
            into[b].append(a)
            out[a].append(b)
    left = {n: len(into[n]) for n in names}
    waves: list[list[str]] = []
    now = [n for n in names if not left[n]]
    done: set[str] = set()
    while now:
        waves.append(now)
        done.update(now)
        after: list[str] = []
        for n in now:
            for m in out[n]:
                left[m] -= 1
                if not left[m] and m not in done:
                    after.append(m)
        now = list(dict.fromkeys(after))
    return waves
