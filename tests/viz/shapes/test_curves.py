"""Strokes: where they start and end, that they stay where they belong."""

from __future__ import annotations

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from viz.shapes.curves import bezier, flatten, lerp, line, pieces, polyline, straight, toward

NUMBERS = st.floats(-500, 500, allow_nan=False).map(lambda v: round(v, 2))
POINTS = st.tuples(NUMBERS, NUMBERS)


def near(p, q):
    return math.dist(p, q) < 1e-6


@given(POINTS, POINTS)
def test_a_line_is_one_straight_piece(a, b):
    assert len(pieces(line(a, b))) == 1
    assert straight(line(a, b))
    assert near(bezier(line(a, b), 0.5), lerp(a, b, 0.5))


@given(st.lists(POINTS, min_size=2, max_size=6, unique=True), st.floats(0, 30))
def test_round_corners_keep_the_ends_and_stay_near_the_corners(corners, radius):
    points = polyline(corners, radius)
    assert len(points) % 3 == 1
    assert near(points[0], corners[0])
    assert near(points[-1], corners[-1])
    xs, ys = zip(*corners, strict=True)
    for x, y in flatten(points):
        assert min(xs) - 1e-6 <= x <= max(xs) + 1e-6
        assert min(ys) - 1e-6 <= y <= max(ys) + 1e-6


@given(POINTS, POINTS, st.floats(0, 100))
def test_a_point_on_the_way_is_as_far_as_asked(a, b, distance):
    assume(math.dist(a, b) > 1)
    assert math.isclose(math.dist(a, toward(a, b, distance)), distance, abs_tol=1e-6)
    assert toward(a, a, distance) == a


def test_a_bent_piece_is_not_straight():
    assert not straight(((0, 0), (10, 20), (20, 20), (30, 0)))
