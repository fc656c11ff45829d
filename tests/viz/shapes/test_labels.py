"""Labels: letters, subscripts, what fits where."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from viz.shapes.labels import expression, fitted, join, math, plain, upright, width

WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20)


def test_labels_read_like_the_textbook():
    assert plain(math("h1", sup="t-1")) == "h₁(t−1)"
    assert plain(math("theta")) == "θ"
    assert plain(math("yhat")) == "ŷ"
    assert [r.shift for r in math("Wf")] == [0, -1]
    assert not math("tanh")[0].italic
    assert math("h")[0].italic


@given(WORDS, st.floats(4, 30), st.floats(5, 80))
def test_a_fitted_label_fits_and_is_never_larger(word, size, room):
    label = math(word, sup="t-1")
    small = fitted(label, size, room)
    assert small <= size
    assert width(label, small) <= room * 1.01 + 0.005 * width(label, 1.0)


@given(WORDS, WORDS)
def test_joined_labels_are_as_wide_as_all_of_them(a, b):
    both = [math(a), math(b)]
    assert width(join(both, ""), 10) >= max(width(x, 10) for x in both)
    assert plain(join(both, "|")) == plain(both[0]) + "|" + plain(both[1])


def test_a_long_word_is_cut():
    assert plain(upright("a" * 40)) == "a" * 13 + "…"
    assert upright("") == ()


def test_an_index_has_a_true_minus_and_slanted_letters():
    assert [(r.text, r.italic) for r in expression("t-1")] == [("t", True), ("−1", False)]
