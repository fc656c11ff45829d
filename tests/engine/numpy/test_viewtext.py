"""An expression that is printed for a view is that view."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from unfold.engine.numpy.viewtext import spelled
from unfold.engine.plan.view import Buffer, View, whole


@st.composite
def views(draw):
    """Views of a buffer as plans make them, and some that no slice gives."""
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=4)))
    view = whole(Buffer("b", shape, np.dtype(float)), range(len(shape)))
    for _ in range(draw(st.integers(0, 4))):
        if not view.letters:
            break
        x = draw(st.sampled_from(view.letters))
        n = view.length(x)
        start = draw(st.integers(0, n - 1))
        match draw(st.sampled_from(["part", "flip", "order", "at", "new", "merge", "repeat"])):
            case "part":
                view = view.part(x, start, draw(st.integers(1, n - start)))
            case "flip":
                view = view.flip(x)
            case "order":
                view = view.order(draw(st.permutations(view.letters)))
            case "at":
                view = view.at(x, start)
            case "new":
                view = view.order([*view.letters, "new"]).name(range(len(view.letters) + 1))
            case "repeat":
                view = view.repeat({"many": 3}).name(range(len(view.letters) + 1))
            case "merge":
                merged = view.merged(view.letters)
                view = view if merged is None else merged.name([0])
    return view


@given(views())
def test_it_is_the_view(view):
    text = spelled(view, "b")
    if text is not None:
        base = np.arange(view.buffer.size).reshape(view.buffer.shape)
        got = eval(text, {"b": base})
        want = as_strided(base.reshape(-1)[view.offset :], view.shape, [8 * s for s in view.strides])
        assert got.shape == want.shape
        assert np.array_equal(got, want)
        assert isinstance(got, np.ndarray)
        assert np.shares_memory(got, base)  # it is no copy


def test_it_is_as_short_as_a_person_would_write_it():
    b = Buffer("h", (7, 4, 3), np.dtype(float))
    h = whole(b, ["t", "n", -1])
    assert spelled(h, "h") == "h"
    assert spelled(h.part("t", 1, 6), "h") == "h[1:]"
    assert spelled(h.at("t", 0), "h") == "h[0]"
    assert spelled(h.order([-1, "n", "t"]), "h") == "h.T"
    assert spelled(h.part("t", 1, 6).merged(["t", "n"], [-1]), "h") == "h[1:7].reshape(24, 3)"
    assert spelled(h.flip("t"), "h") == "h[::-1]"
    assert spelled(View(b, 1, ("x",), (3,), (5,)), "h") is None
