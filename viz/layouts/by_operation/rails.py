"""Where the parts of one step stand at operation level, so that steps join in straight lines.

Each state is a *rail*: it enters and leaves the step at the same height. The shortest way of
a state through the step lies on its rail; a state that many gates read runs below them
instead, as in the well-known figures of the LSTM. Other parts stand in rows between.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from viz.model.operation_level import Port, StepOperations
from viz.shapes.labels import width

SLOT, LEVEL = 62.0, 58.0

BUS = 15.0  # between lines that run below the gates


@dataclass
class Rails:
    """x from the left and y upwards of every part; the height of every port's line."""

    cell: StepOperations
    x: dict[str, float] = field(default_factory=dict)
    row: dict[str, float] = field(default_factory=dict)
    rails: dict[str, list[str]] = field(default_factory=dict)  # port -> parts on its rail
    lanes: dict[str, float] = field(default_factory=dict)  # port -> y
    down: list[str] = field(default_factory=list)  # parts on the way from a rail down to a line
    rail_of: dict[str, str] = field(default_factory=dict)  # part -> port whose rail it is on
    below: dict[str, set[str]] = field(default_factory=dict)  # everything a part depends on
    makers: set[str] = field(default_factory=set)  # parts whose value leaves on a line below
    width: float = 0.0
    top: float = 0.0
    bottom: float = 0.0

    def y(self, key: str) -> float:
        return LEVEL * self.row[key]


def layout(cell: StepOperations) -> Rails:
    """The plan of one step."""
    plan = Rails(cell)
    _choose_rails(plan)
    _rows(plan)
    _columns(plan)
    _lanes(plan)
    return plan


def half(plan: Rails, key: str) -> float:
    """Half the width of a part's box."""
    part = plan.cell.parts[key]
    return max(19.0 if part.layer else 13.0, width(part.label, 13.0) / 2 + (7 if part.layer else 4))


# ---------------------------------------------------------------------- rails
def _choose_rails(plan: Rails) -> None:
    taken: set[str] = set()
    order = {k: n for n, k in enumerate(plan.cell.parts)}
    ports = [p for p in plan.cell.ports.values() if abs(p.lag) == 1 and p.maker]
    for port in sorted(ports, key=lambda p: order[p.maker]):
        path = _path(plan.cell, port, taken)
        if path:
            plan.rails[port.key] = path
            taken.update(path)


def _path(cell: StepOperations, port: Port, taken: set[str]) -> list[str]:
    """The shortest way from a port to what makes its next value; through gates only if the
    port has no other reader."""
    alone = len(cell.readers(port.key)) == 1
    ways: list[list[str]] = [[k] for k in cell.readers(port.key)]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        key = way[-1]
        if key in seen or key in taken or (cell.parts[key].layer and not alone):
            continue
        seen.add(key)
        if key == port.maker:
            return way
        ways += [[*way, k] for k in cell.readers(key)]
    return []


# ---------------------------------------------------------------------- rows
def _rows(plan: Rails) -> None:
    """Rows by longest paths, a rail counting as one thing; what leads from a rail down to a
    line below the gates descends."""
    cell = plan.cell
    plan.rail_of = {k: port for port, keys in plan.rails.items() for k in keys}
    plan.below = {k: _above(cell, k) for k in cell.parts}
    makers = {p.maker for p in cell.ports.values() if p.key not in plan.rails and p.maker}
    plan.makers = makers - set(plan.rail_of)
    plan.down = _descending(plan)
    rooted = {*plan.rail_of, *plan.makers}
    state = rooted | {b for k in rooted for b in plan.below[k]}
    outward = [k for k in cell.parts if k not in state]
    up = [k for k in cell.parts if k not in plan.down and k not in outward]
    rows = _climb(plan, up)
    _descend(plan, rows)
    _separate(plan, rows)
    top = max((rows[k] for k in (*up, *plan.down)), default=0.0)
    for k in outward:
        rows[k] = max([top, *(rows[s] for s in cell.parts[k].sources if s in outward)]) + 1
    plan.row = rows


def _descending(plan: Rails) -> list[str]:
    """The parts on a way from a rail to a line below the gates, from which no rail is fed."""
    rails, below = set(plan.rail_of), plan.below
    return [
        k
        for k in plan.cell.parts
        if k not in rails
        and below[k] & rails
        and any(k == m or k in below[m] for m in plan.makers)
        and not any(k in below[r] for r in rails)
    ]


def _climb(plan: Rails, up: list[str]) -> dict[str, float]:
    """The rows of what stands above its sources, raised until nothing moves."""
    rows: dict[str, float] = {}
    for _ in range(len(up) + 1):
        before = dict(rows)
        for k in up:
            members = plan.rails[plan.rail_of[k]] if k in plan.rail_of else [k]
            rank = _rank(plan, members, up, rows, k in plan.rail_of)
            rows.update(dict.fromkeys(members, max(rank, rows.get(k, 0.0))))
        if rows == before or max(rows.values()) > 3 * len(up) + 3:
            break
    return rows


def _descend(plan: Rails, rows: dict[str, float]) -> None:
    """The rows of what leads down, and rails lifted above it."""
    cell, down = plan.cell, plan.down
    sources = [s for k in down for s in cell.parts[k].sources]
    floor = 1 + max((rows[s] for s in sources if s in rows and s not in plan.rail_of), default=0.0)
    for k in reversed(down):
        after = [rows[u] for u in cell.readers(k) if u in down and u in rows]
        rows[k] = max(after, default=floor - 1) + 1
    for keys in plan.rails.values():
        low = max((rows[k] + 1 for k in down if plan.below[k] & set(keys)), default=0.0)
        rows.update(dict.fromkeys(keys, max(low, rows[keys[0]])))


def _rank(plan: Rails, members: list[str], up: list[str], rows: dict[str, float], rail: bool) -> float:
    """One above what feeds a part or a rail; a rail that only inputs feed leaves them a row."""
    cell = plan.cell
    sources = [s for m in members for s in cell.parts[m].sources if s not in members]
    if rail and all(s not in cell.parts for s in sources):
        return 2.0 if any(s.startswith("in ") for s in sources) else 1.0
    feeds = [s for s in sources if s in up and not (rail and plan.below[s] & set(members))]
    return 1 + max((rows.get(s, 0.0) for s in feeds), default=0.0)


def _separate(plan: Rails, rows: dict[str, float]) -> None:
    """No two rails at one height."""
    used: set[float] = set()
    for keys in sorted(plan.rails.values(), key=lambda ks: rows[ks[0]]):
        row = rows[keys[0]]
        while row in used:
            row += 1
        used.add(row)
        rows.update(dict.fromkeys(keys, row))


def _above(cell: StepOperations, key: str) -> set[str]:
    found: set[str] = set()
    waiting = [key]
    while waiting:
        for s in cell.parts[waiting.pop()].sources:
            if s in cell.parts and s not in found:
                found.add(s)
                waiting.append(s)
    return found


# ---------------------------------------------------------------------- columns
def _columns(plan: Rails) -> None:
    """x: gates side by side, what they feed above them, rails in the order of flow."""
    cell = plan.cell
    gates = [
        k for k, p in cell.parts.items() if k not in plan.rail_of and not set(p.sources) & set(cell.parts)
    ]
    for n, k in enumerate(gates):
        plan.x[k] = SLOT * n
    for k, p in cell.parts.items():
        if not (k in plan.x or k in plan.rail_of or k in plan.down or plan.makers & set(p.sources)):
            _over_gates(plan, k)
    for port, keys in plan.rails.items():
        _along(plan, keys, cell.ports[port].lag < 0)
    for k in cell.parts:
        if k not in plan.x:
            plan.x[k] = _beside(plan, k)


def _over_gates(plan: Rails, key: str) -> None:
    """Above the middle of what feeds a part, if no rail does."""
    sources = plan.cell.parts[key].sources
    if any(s in plan.rail_of for s in sources):
        return
    feeds = [s for s in sources if s in plan.x and plan.row[s] < plan.row[key]]
    if feeds:
        plan.x[key] = _free(plan, key, sum(plan.x[s] for s in feeds) / len(feeds))


def _beside(plan: Rails, key: str) -> float:
    """The place of a part that rails or parts beside them feed."""
    sources = plan.cell.parts[key].sources
    if any(s in plan.makers and s not in plan.rail_of for s in sources):
        return max(plan.x.values()) + 0.8 * SLOT  # read where the state leaves the step
    feeds = [s for s in sources if s in plan.x]
    over = [s for s in feeds if s not in plan.rail_of and plan.row[s] > plan.row[key]]
    if over:
        return _free(plan, key, plan.x[over[0]])
    under = [plan.x[s] for s in feeds if plan.row[s] < plan.row[key]]
    if under and not _leads_down(plan, key):
        return _free(plan, key, max(under))
    lower = [x for o, x in plan.x.items() if plan.row[o] <= plan.row[key] or o in feeds]
    return _free(plan, key, max(lower, default=-SLOT) + SLOT)


def _leads_down(plan: Rails, key: str) -> bool:
    return any(plan.row[u] < plan.row[key] for u in plan.cell.readers(key))


def _along(plan: Rails, keys: list[str], backward: bool) -> None:
    """The parts of a rail, each above what feeds it, far enough apart."""
    cell = plan.cell
    last: float | None = None
    for k in keys[::-1] if backward else keys:
        feeds = [s for s in cell.parts[k].sources if s in plan.x and s not in keys and s not in plan.rail_of]
        want = sum(plan.x[s] for s in feeds) / len(feeds) if feeds else 0.0
        if last is not None:
            want = max(want, last + SLOT) if feeds else last + SLOT
        plan.x[k] = last = want
        for s in feeds:  # a lone feeder goes right below
            row = [o for o in plan.x if o != s and plan.row[o] == plan.row[s]]
            if (
                len(feeds) == 1
                and all(abs(plan.x[o] - want) >= SLOT * 0.9 for o in row)
                and not _shared(plan, s)
            ):
                plan.x[s] = want


def _shared(plan: Rails, key: str) -> bool:
    return len(plan.cell.readers(key)) > 1


def _free(plan: Rails, key: str, want: float) -> float:
    """The place nearest to `want` that no part of the same row takes."""
    row = [plan.x[o] for o in plan.x if plan.row[o] == plan.row[key]]
    for n in range(40):
        for x in (want + n * SLOT / 4, want - n * SLOT / 4):
            if all(abs(x - o) >= SLOT * 0.95 for o in row):
                return x
    return want


# ---------------------------------------------------------------------- lines
def _lanes(plan: Rails) -> None:
    """Heights of the lines: a rail's own row, or one below all parts."""
    for port, keys in plan.rails.items():
        plan.lanes[port] = plan.y(keys[0])
    low = 0.42 * LEVEL
    for key in plan.cell.ports:
        if key not in plan.lanes:
            plan.lanes[key] = low
            low -= BUS
    least = min(plan.x.values(), default=0.0)
    plan.x = {k: x - least for k, x in plan.x.items()}
    plan.width = max(plan.x.values(), default=0.0)
    plan.top = LEVEL * max(plan.row.values(), default=1.0)
    plan.bottom = low
