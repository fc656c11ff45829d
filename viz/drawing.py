"""A picture that can save itself: `Drawing`, above the shapes and the writers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

from unfold.core.errors import UnfoldError
from unfold.core.files import write_whole
from viz.shapes.picture import Picture
from viz.writers import dot, html, svg, tex


class Drawing(Picture):
    """A picture. `.save("x.svg")` writes it; in a notebook it shows itself."""

    def svg(self, theme: str = "auto", prefix: str | None = None) -> str:
        """The SVG text. `theme` is "light", "dark", or "auto" (what the reader prefers);
        `prefix` starts every id (by default a digest of the picture)."""
        return svg.render(self, theme, prefix)

    def dot(self) -> str:
        """The DOT text, every position pinned."""
        return dot.render(self)

    def save(self, path: str | os.PathLike[str]) -> FilePath:
        """Write the file, in the format its suffix names; the old file stays until the new
        one is complete. Returns the path."""
        target = FilePath(path)
        suffix = target.suffix.lower()
        if suffix not in FORMATS:
            raise UnfoldError(f"{target.name}: a drawing is saved as one of {', '.join(FORMATS)}")
        return write(target, FORMATS[suffix](self))

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Drawing {self.title!r}: {self.size[0]:.0f} x {self.size[1]:.0f} pt>"


FORMATS: dict[str, Callable[[Picture], bytes]] = {
    ".svg": lambda picture: svg.render(picture).encode(),
    ".html": lambda picture: html.render(picture).encode(),
    ".dot": lambda picture: dot.render(picture).encode(),
    ".gv": lambda picture: dot.render(picture).encode(),
    ".pdf": lambda picture: dot.pipe(picture, "pdf"),
    ".png": lambda picture: dot.pipe(picture, "png"),
    ".tex": lambda picture: tex.render(picture).encode(),
}


def write(target: FilePath, data: bytes) -> FilePath:
    """Write a file so that nobody ever sees half of it."""
    if not target.parent.is_dir():
        raise UnfoldError(f"{target}: the folder {target.parent} does not exist; make it first")
    try:
        write_whole(target, data)
    except OSError as error:
        raise UnfoldError(f"{target} cannot be written: {error.strerror}") from error
    return target
