"""Unfolded pictures of random systems: exactly what the graph has, the same in every column."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import unfold as uf
import viz
from unfold.testing import build, systems
from viz.model.variable_level import model
from viz.shapes.curves import flatten
from viz.shapes.figures import Circle, Path, Words, walk
from viz.shapes.labels import width
from viz.shapes.spots import spot, told

some = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def shapes(drawing, kind):
    return [(s, (s.at[0] + x, s.at[1] + y)) for s, (x, y) in walk(drawing.parts) if isinstance(s, kind)]


def drawn(spec, steps, columns=None):
    graph = build(spec).graph
    if len(graph.axes) != 1:
        return None
    (axis,) = graph.axes
    return model(graph), viz.draw(graph.unfold(**{axis.name: steps}), columns=columns or max(steps, 1))


@some
@given(systems(max_vars=4, max_depth=3), st.integers(1, 5))
def test_one_circle_a_variable_and_step_and_no_other(spec, steps):
    if (both := drawn(spec, steps)) is None:
        return
    found, drawing = both
    wanted = {
        spot(k, *([at] if v.axes else [])) for k, v in found.variables.items() for at in range(1, steps + 1)
    }
    names = [s.name for s, _ in shapes(drawing, Circle)]
    assert len(names) == len(set(names))
    outside = {n for n in names if (at := told(n)[1]) and not 1 <= at[0] <= steps}
    assert set(names) - outside == wanted
    assert {told(n)[0] for n in outside} <= {b.name for b in found.boundaries.values()}


@some
@given(systems(max_vars=4, max_depth=3), st.integers(2, 5))
def test_an_edge_joins_what_its_equation_reads(spec, steps):
    """Every read of a variable at a shown step is an edge, and every edge between circles is a read."""
    if (both := drawn(spec, steps)) is None:
        return
    found, drawing = both
    circles = {s.name for s, _ in shapes(drawing, Circle)}
    edges = {s.ends for s, _ in walk(drawing.parts) if isinstance(s, Path)}
    wanted = set()
    for a in found.arrows:
        target = found.variables.get(a.target)
        if target is None or not target.axes or len(a.at) > 1 or a.only:
            continue
        for at in range(1, steps + 1):
            for i in a.at or [0]:
                read = range(1, steps + 1) if i is None else [i.resolve(at, steps) if i else None]
                for s in read:
                    source = a.source if s is None else spot(a.source, s)
                    if source in circles:
                        wanted.add((source, spot(a.target, at)))
    inner = {
        (a, b)
        for a, b in edges
        if a in circles and b in circles and told(b)[1] and 1 <= told(b)[1][0] <= steps
    }
    limited = {(a.source, a.target) for a in found.arrows if a.only}
    assert {(a, b) for a, b in inner if (told(a)[0], told(b)[0]) not in limited} == {
        (a, b) for a, b in wanted if (told(a)[0], told(b)[0]) not in limited
    }


@some
@given(systems(max_vars=4, max_depth=3), st.integers(2, 5))
def test_columns_are_the_same_but_for_their_place(spec, steps):
    if (both := drawn(spec, steps)) is None:
        return
    found, drawing = both
    places = {s.name: at for s, at in shapes(drawing, Circle)}
    pitches = set()
    for k, v in found.variables.items():
        if v.axes:
            column = [places[spot(k, at)] for at in range(1, steps + 1)]
            assert len({y for _, y in column}) == 1
            pitches |= {round(b[0] - a[0], 6) for a, b in pairwise(column)}
    assert len(pitches) <= 1


@some
@given(systems(max_vars=5, max_depth=3), st.integers(1, 4))
def test_circles_stay_apart_and_labels_inside_them(spec, steps):
    if (both := drawn(spec, steps)) is None:
        return
    found = shapes(both[1], Circle)
    for n, (a, p) in enumerate(found):
        assert width(a.label, a.size) <= 2 * a.r
        for b, q in found[:n]:
            assert math.dist(p, q) >= a.r + b.r, (a.name, b.name)


@some
@given(systems(max_vars=4, max_depth=3), st.integers(1, 4))
def test_an_edge_starts_and_ends_at_the_rim_of_its_circles(spec, steps):
    if (both := drawn(spec, steps)) is None:
        return
    places = {s.name: (s, at) for s, at in shapes(both[1], Circle)}
    for path, (dx, dy) in walk(both[1].parts):
        if isinstance(path, Path):
            dots = flatten(path.points)
            for name, (x, y) in zip(path.ends, (dots[0], dots[-1]), strict=True):
                if name in places:
                    circle, at = places[name]
                    assert abs(math.dist((x + dx, y + dy), at) - circle.r) < 0.01


def test_the_steps_left_out_are_dots_that_the_same_edges_reach():
    graph = uf.systems.rnn().unfold(t=50)
    drawing = viz.draw(graph)
    dots = {s.name for s, _ in shapes(drawing, Words) if s.name}
    assert {spot(k, None) for k in ("x", "y", "h", "o", "L")} <= dots
    edges = {s.ends for s, _ in walk(drawing.parts) if isinstance(s, Path)}
    assert {("h@3", "h@…"), ("h@…", "h@49"), ("h@49", "h@50")} <= edges
    assert ("h@3", "h@49") not in edges
