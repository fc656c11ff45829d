"""Names of shapes are read as they were made."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from viz.shapes.spots import spot, told

LABELS = st.text(min_size=1, max_size=6).filter(lambda s: told(s) == (s, ()))
STEPS = st.lists(st.one_of(st.integers(-99, 999), st.sampled_from(["*", "<", ">", None])), max_size=3)


@given(LABELS, STEPS)
@example("me@home", [3])
@example("h\n", [1, None])
@example("h@", [])
def test_what_is_named_is_told(label, steps):
    assert told(spot(label, *steps)) == (label, tuple("…" if s is None else s for s in steps))


def test_only_what_follows_the_last_sign_are_steps():
    assert told("x@1@2") == ("x@1", (2,))
    assert told("x@1,") == ("x@1,", ())
    assert told("@3") == ("@3", ())
