"""Every operation on a view does what the NumPy operation it stands for does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from unfold.core.axis import Axis
from unfold.engine.plan.view import Buffer, NotPlanned, View, whole

T, N = Axis("t"), Axis("n")
LETTERS = (T, N, -2, -1)


def array(view, counters=None):
    """The entries of a view of a buffer that holds 0, 1, 2, ..., as NumPy sees them."""
    base = np.arange(max(1, view.buffer.size))
    offset = view.offset + sum(s * (counters or {})[a] for a, s in view.steps)
    if view.size == 0:
        return np.empty(view.shape, base.dtype)
    places = np.full((), offset)
    for n, s in zip(view.shape, view.strides, strict=True):
        places = np.add.outer(places, s * np.arange(n))
    assert places.min() >= 0
    assert places.max() < base.size
    # the same by as_strided, which is how the renderers see it
    low = as_strided(base[offset:], view.shape, tuple(8 * s for s in view.strides))
    assert np.array_equal(low, places)
    return base[places]


@st.composite
def views(draw):
    """A view of a random buffer after a few random operations that stay inside it."""
    rank = draw(st.integers(0, 4))
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=rank, max_size=rank)))
    view = whole(Buffer("b", shape, np.dtype(float)), LETTERS[4 - rank :])
    for _ in range(draw(st.integers(0, 3))):
        if not view.letters:
            break
        x = draw(st.sampled_from(view.letters))
        n = view.length(x)
        start = draw(st.integers(0, max(n - 1, 0)))
        match draw(st.sampled_from(["part", "flip", "order", "repeat"])):
            case "part":
                count = draw(st.integers(0, n - start))
                view = view.part(x, start, count)
            case "flip":
                view = view.flip(x)
            case "order":
                view = view.order(draw(st.permutations(view.letters)))
            case "repeat":
                view = view.repeat({y: 2 for y in LETTERS if y not in view.letters})
    return view


@st.composite
def views_with_a_letter(draw):
    view = draw(views().filter(lambda v: bool(v.letters)))
    return view, draw(st.sampled_from(view.letters))


def along(view, letter, key):
    return tuple(key if x == letter else slice(None) for x in view.letters)


@given(views_with_a_letter(), st.data())
def test_at_is_an_index(pair, data):
    view, x = pair
    if view.length(x):
        k = data.draw(st.integers(0, view.length(x) - 1))
        assert np.array_equal(array(view.at(x, k)), array(view)[along(view, x, k)])
        assert x not in view.at(x, k).letters


@given(views_with_a_letter(), st.data())
def test_part_is_a_slice(pair, data):
    view, x = pair
    n = view.length(x)
    start, step = data.draw(st.integers(0, n)), data.draw(st.integers(1, 3))
    want = array(view)[along(view, x, slice(start, None, step))]
    assert np.array_equal(array(view.part(x, start, want.shape[view.place(x)], step)), want)


@given(views_with_a_letter())
def test_flip_is_a_reversed_slice(pair):
    view, x = pair
    assert np.array_equal(array(view.flip(x)), array(view)[along(view, x, slice(None, None, -1))])


@given(views_with_a_letter(), st.data())
def test_shift_moves_a_slice(pair, data):
    view, x = pair
    n = view.length(x)
    k = data.draw(st.integers(0, n))
    some = view.part(x, 0, n - k).shift(x, k)
    assert np.array_equal(array(some), array(view)[along(view, x, slice(k, None))])


@given(views(), st.data())
def test_order_is_a_transpose_with_new_dimensions_of_one(view, data):
    wanted = data.draw(st.permutations([*view.letters, "new"]))
    got = view.order(wanted)
    want = array(view)[..., None].transpose([[*view.letters, "new"].index(x) for x in wanted])
    assert np.array_equal(array(got), want)
    assert got.letters[wanted.index("new")] is None


@given(views_with_a_letter())
def test_order_refuses_to_lose_a_dimension(pair):
    view, x = pair
    with pytest.raises(NotPlanned, match="varies along"):
        view.order([y for y in view.letters if y != x])


@given(views(), st.integers(0, 3))
def test_repeat_is_a_broadcast(view, n):
    got = view.repeat({"new": n, **dict(zip(view.letters, view.shape, strict=True))})
    assert np.array_equal(array(got), np.broadcast_to(array(view), (n, *view.shape)))


@given(views())
def test_squeezed_broadcasts_back(view):
    lined = view.order(["new", *view.letters])
    assert np.array_equal(array(lined.squeezed()), array(view))


@given(views(), st.data())
def test_merged_is_a_reshape_that_needs_no_copy(view, data):
    order = data.draw(st.permutations(view.letters))
    cut = data.draw(st.integers(0, len(order)))
    groups = [g for g in (order[:cut], order[cut:]) if g]
    got = view.merged(*groups)
    full = array(view).transpose([view.letters.index(x) for x in order])
    want = full.reshape(
        [int(np.prod(full.shape[:cut]))][: bool(order[:cut])]
        + [int(np.prod(full.shape[cut:]))][: bool(order[cut:])]
    )
    if got is not None:
        assert np.array_equal(array(got), want)
    else:  # then NumPy cannot either
        strided = as_strided(np.empty(1), view.order(order).shape, [8 * s for s in view.order(order).strides])
        with pytest.raises(ValueError, match="copy"):
            strided.reshape(want.shape, copy=False)


@given(views())
def test_merging_needs_every_letter(view):
    if view.letters:
        assert view.merged(view.letters[1:]) is None


@given(views_with_a_letter(), st.data())
def test_a_step_is_an_index_that_the_loop_gives(pair, data):
    view, x = pair
    n = view.length(x)
    if isinstance(x, Axis) and n:
        shift = data.draw(st.integers(0, n - 1))
        for k in range(n - shift):
            want = array(view)[along(view, x, k + shift)]
            assert np.array_equal(array(view.step(x, shift), {x: k}), want)
    assert view.step(Axis("other")) is view


@given(views(), st.data())
def test_a_walk_goes_across_several_axes(view, data):
    here = [a for a in (T, N) if a in view.letters]
    if 0 in view.shape or not here:
        return
    first = {a: data.draw(st.integers(0, view.length(a) - 1)) for a in here}
    last = {a: data.draw(st.integers(0, view.length(a) - 1)) for a in here}
    rates = {a: int(np.sign(last[a] - first[a])) for a in here}
    k = min(abs(last[a] - first[a]) for a in here)
    walked, along = view.walk(first, rates, Axis("k")), Axis("k")
    want = array(view)[tuple(first[x] + rates[x] * k if x in first else slice(None) for x in view.letters)]
    assert np.array_equal(array(walked, {along: k}), want)


@given(views())
def test_packed_says_that_entries_are_neighbours(view):
    if view.size:
        flat = array(view).reshape(-1)
        assert view.packed == np.array_equal(flat, flat[0] + np.arange(flat.size))


def test_names_change_nothing_else():
    view = whole(Buffer("b", (2, 3), np.dtype(float)), (T, -1))
    assert view.name("ij") == View(view.buffer, 0, ("i", "j"), (2, 3), (3, 1))


def test_a_letter_that_is_missing_is_named():
    view = whole(Buffer("b", (2,), np.dtype(float)), (T,))
    with pytest.raises(NotPlanned, match="no dimension"):
        view.at(N, 0)
