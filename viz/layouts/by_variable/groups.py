"""Which variables are drawn together: encoder, context and decoder side by side, each over its axes."""

from __future__ import annotations

from viz.layouts.by_variable.placing import state_height, step
from viz.model.variable_model import Model
from viz.shapes.style import PITCH, ROW

Home = tuple[str, ...]  # the names of the axes that a group stands over


# ---------------------------------------------------------------------- the cyclic picture
def homes(model: Model) -> dict[str, Home]:
    """For each variable the axes of the group it is drawn with: its own, or, without an axis,
    those of the only group that feeds or reads it; () for one that stands between groups."""
    result = {key: _home(model, key) for key in model.variables}
    for key in reversed(list(model.variables)):
        near = [result[a.target] for a in model.out_of(key) if a.target in result]
        if not result[key] and near and all(near) and not model.into(key):
            result[key] = near[0]
    return result


def _home(model: Model, key: str) -> Home:
    v = model.variables[key]
    whole = [a.source for a in model.into(key) if None in a.at and len(_axes(model, a.source)) > 1]
    home = tuple(a.name for a in v.axes)
    if whole and v.role not in ("state", "reverse"):
        home = _axes(model, whole[0])  # a context stands with its weights
    return home if v.axes else _adopted(model, key, home)


def _adopted(model: Model, key: str, otherwise: Home) -> Home:
    """The group that a variable without an axis stands with: the one below which it feeds, else
    the last one that it is made of."""
    feeding = [_axes(model, k) for k in _reach(model, key, back=True)]
    above: set[Home] = {h for h in feeding if len(h) == 1}
    fed = [_axes(model, k) for k in _reach(model, key, back=False)]
    below = {h for h in fed if len(h) == 1}
    if len(below) == 1 and not above:
        return min(below)
    if below or not (above or len(model.axes) > 1):
        return otherwise
    return max(above or {h for h in feeding if h}, key=lambda h: _last(model, h), default=())


def _axes(model: Model, key: str) -> Home:
    v = model.variables.get(key) or model.boundaries[key]
    name = model.variables.get(v.name, v)
    return tuple(a.name for a in name.axes)


def _last(model: Model, home: Home) -> int:
    keys = list(model.variables)
    return max(n for n, k in enumerate(keys) if _axes(model, k) == home)


def _reach(model: Model, key: str, back: bool) -> set[str]:
    found: set[str] = set()
    waiting = [key]
    while waiting:
        k = waiting.pop()
        arrows = model.into(k) if back else model.out_of(k)
        onward = [a.source if back else a.target for a in arrows]
        if not back and k in model.boundaries:
            onward.append(model.boundaries[k].name)
        if back and k in model.variables:
            onward += [b for b, v in model.boundaries.items() if v.name == k]
        for n in onward:
            if n not in found:
                found.add(n)
                waiting.append(n)
    return found


def groups(model: Model) -> dict[Home, list[str]]:
    """Variables by home, the groups in order of dependence: encoder, context, decoder."""
    home = homes(model)
    members: dict[Home, list[str]] = {}
    for key in model.variables:
        members.setdefault(home[key], []).append(key)
    before: dict[Home, set[Home]] = {h: set() for h in members}
    for a in model.arrows:
        s, t = (_owner(model, k) for k in (a.source, a.target))
        if home[s] != home[t]:
            before[home[t]].add(home[s])
    order: list[Home] = []
    while len(order) < len(members):
        left = [h for h in members if h not in order]
        order.append(min(left, key=lambda h: (len(before[h] - set(order) - {h}), -len(h))))
    return {h: members[h] for h in order}


def _owner(model: Model, key: str) -> str:
    return model.boundaries[key].name if key in model.boundaries else key


def place(model: Model) -> dict[str, tuple[float, float]]:
    """Where every variable of the cyclic picture stands (y downwards)."""
    places: dict[str, tuple[float, float]] = {}
    parts = [(h, keys, step(model, keys)) for h, keys in groups(model).items()]
    base = {h: state_height(model, keys, s) for h, keys, s in parts}
    level = max(base.values(), default=0.0)
    x = 0.0
    for n, (h, keys, s) in enumerate(parts):
        up = level - base[h] if len(h) == 1 or not model.axes else level + (ROW if h else 0.0)
        x += s.width / 2 if n else 0.0
        for key in keys:
            dx, y = s.places[key]
            places[key] = (x + dx, -(y + up))
        x += s.width / 2 + (PITCH + 46 if len(parts) > 1 else 0.0)
    return places
