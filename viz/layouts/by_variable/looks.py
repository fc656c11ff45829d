"""What variables and arrows look like, and what is said of them in words."""

from __future__ import annotations

from collections.abc import Mapping

from unfold.core.dims import show
from viz.model.variable_model import DERIVED, Model, Reading, Variable
from viz.shapes.figures import Circle
from viz.shapes.labels import Label, Letters, fitted, join, math
from viz.shapes.style import MATH, RADIUS


def tone_of(model: Model, arrow: Reading, variants: Mapping[str, str]) -> str:
    """The colour of an edge: by the first parameter it carries, else by what it joins."""
    source = model.variables.get(arrow.source)
    if arrow.carries and arrow.carries[0] in variants:
        return variants[arrow.carries[0]]
    if source is not None and arrow.moves and source.role in ("state", "reverse"):
        return "recur" if source.role == "state" else "back"
    return "ink"


def variants(model: Model) -> dict[str, str]:
    """A colour for every parameter: recurrent ones green and its neighbours, those into an
    output ochre, backward ones violet, the others blue."""
    colours: dict[str, str] = {}
    greens = ["recur", "recur2", "recur3", "recur4"]
    used = 0
    place = {k: n for n, k in enumerate(model.variables)}
    for a in sorted(model.arrows, key=lambda a: (not a.moves, place.get(a.target, -1))):
        for p in a.carries[:1]:
            if p in colours:
                continue
            target = model.variables.get(a.target)
            source = model.variables.get(a.source)
            if a.moves and source is not None and source.role not in ("input", "target"):
                back = source.role == "reverse"
                colours[p] = "back" if back else greens[used % len(greens)]
                used += not back
            else:
                colours[p] = "out" if target is not None and target.role == "output" else "feed"
    return colours


# ---------------------------------------------------------------------- what a variable looks like
def circle(v: Variable, at: tuple[float, float], name: str = "", sup: str = "", size: float = MATH) -> Circle:
    """The disc of a variable, its letters fitted into it."""
    label = math(v.name, sup=sup)
    fit = fitted(label, size, 2 * RADIUS - 7)
    index = f"[{sup}]" if sup else f"[{', '.join(map(repr, v.axes))}]" if v.axes else ""
    title = f"{v.name}{index}: {v.role}, {show(v.node.shape) if v.node.shape else 'a number'}"
    return Circle(at, RADIUS, v.role, label, name or v.key, title, fit)


def looks(model: Model, a: Reading, colours: Mapping[str, str]) -> tuple[str, Label, bool]:
    """Colour, label and dashes of an arrow. What flows back is labelled by transposes; a value
    that a derivative looks up is only hinted at."""
    target, source = (model.variables.get(k) for k in (a.target, a.source))
    if target is not None and target.role in DERIVED:
        if source is None or source.role not in DERIVED:
            return "faint", (), True
        if target.role == "tangent":
            return "gradient", label_of(a), False
        return "gradient", join([(*math(p), Letters("⊤", shift=1)) for p in a.carries[:2]], ""), False
    return tone_of(model, a, colours), label_of(a), False


def label_of(a: Reading) -> Label:
    """The parameters on an edge; more than two are cut."""
    parts = [math(p) for p in a.carries[:2]]
    return join(parts, ",") + ((Letters("…"),) if len(a.carries) > 2 else ())


def said(model: Model, a: Reading) -> str:
    """An arrow in words."""
    source = model.variables.get(a.source) or model.boundaries.get(a.source)
    pairs = zip(a.at, source.axes if source else (), strict=False)
    index = ", ".join(f"all {axis.name}" if i is None else repr(i) for i, axis in pairs)
    through = f" through {', '.join(a.carries)}" if a.carries else ""
    return f"{a.target} reads {a.source}{f'[{index}]' if index else ''}{through}"


def describe(model: Model) -> str:
    """The picture in words, for those who cannot see it."""
    roles: dict[str, list[str]] = {}
    for v in model.variables.values():
        roles.setdefault(v.role, []).append(v.name)
    things = "; ".join(f"{role}: {', '.join(names)}" for role, names in roles.items())
    return f"{things}. " + ". ".join(said(model, a) for a in model.arrows)
