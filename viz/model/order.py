"""Variables in the order they depend on one another, within one step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from viz.model.variable_model import Reading, Variable


def upstream(key: str, into: Mapping[str, list[Reading]]) -> set[str]:
    """All variables that a variable depends on."""
    found: set[str] = set()
    waiting = [key]
    while waiting:
        for a in into.get(waiting.pop(), []):
            if a.source not in found:
                found.add(a.source)
                waiting.append(a.source)
    return found


def topological(things: Mapping[str, Variable], arrows: Iterable[Reading]) -> list[str]:
    """Inputs first; cycles in the order of their equations within one step."""
    rows = ranks(things, arrows)
    place = {k: n for n, k in enumerate(things)}
    return sorted(things, key=lambda k: (rows[k], place[k]))


def ranks(keys: Iterable[str], arrows: Iterable[Reading]) -> dict[str, int]:
    """Longest path from the sources. Within a loop only reads of the same step count."""
    keys = list(keys)
    known = set(keys)
    arrows = [a for a in arrows if a.source in known and a.target in known and a.source != a.target]
    into: dict[str, list[Reading]] = {}
    for a in arrows:
        into.setdefault(a.target, []).append(a)
    above = {k: upstream(k, into) for k in keys}
    counted = [a for a in arrows if a.near or a.target not in above[a.source]]
    rank = dict.fromkeys(keys, 0)
    for _ in keys:
        for a in counted:
            rank[a.target] = max(rank[a.target], rank[a.source] + 1)
    return rank
