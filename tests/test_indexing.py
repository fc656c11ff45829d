"""Indices mean what they mean in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from evaluation import run
from hypothesis import example, given, settings
from hypothesis import strategies as st

import unfold as uf


@st.composite
def keys(draw: st.DrawFn) -> tuple[tuple[int, ...], Any]:
    """A shape, and a key for it: integers, slices, None, at most one `...`, and among slices an array of
    integers or booleans."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    used, key, rest = 0, [], draw(st.integers(0, len(shape)))
    chosen = draw(st.sampled_from(["basic", "integers", "booleans"]))
    at = draw(st.integers(0, max(rest - 1, 0)))
    while used < rest:
        n = shape[used]
        if chosen != "basic" and used >= at and not any(isinstance(k, np.ndarray) for k in key):
            if chosen == "integers":
                entries = st.lists(st.integers(-n, n - 1), max_size=4)
                key.append(np.array(draw(entries), int).reshape(draw(st.sampled_from([(-1,), (-1, 1)]))))
            else:
                size = shape[used : used + draw(st.integers(1, min(2, rest - used)))]
                flags = draw(
                    st.lists(st.booleans(), min_size=int(np.prod(size)), max_size=int(np.prod(size)))
                )
                key.append(np.array(flags).reshape(size))
                used += len(size) - 1
        else:
            bound = st.none() | st.integers(-n - 1, n + 1)
            steps = st.sampled_from([None, 1, 2, -1, -2])
            slices = st.builds(slice, bound, bound, steps)
            key.append(draw(slices if chosen != "basic" else slices | st.integers(-n, n - 1) | st.none()))
            used -= key[-1] is None
        used += 1
    if draw(st.booleans()):
        places = st.integers(0, len(key))
        if used == len(shape):
            key.insert(draw(places), Ellipsis)
        else:
            key.append(Ellipsis)
    return shape, tuple(key) if len(key) != 1 or draw(st.booleans()) else key[0]


@settings(max_examples=200)
@given(keys())
@example(((4,), slice(-5, None, -1)))  # empty: it starts before the first entry
def test_an_index_chooses_what_numpy_chooses(drawn: tuple[tuple[int, ...], Any]) -> None:
    shape, key = drawn
    a = np.arange(float(np.prod(shape))).reshape(shape)
    out = uf.input("a", *shape)[key]
    got = np.asarray(run(uf.graph(y=out), a=a)["y"])
    assert tuple(map(int, out.shape)) == got.shape
    np.testing.assert_array_equal(got, a[key])


@settings(max_examples=40)
@given(st.data())
def test_several_indices_by_data_choose_what_numpy_chooses(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=3)))
    count = data.draw(st.integers(2, len(shape)))
    each = [st.lists(st.integers(-n, n - 1), min_size=3, max_size=3) for n in shape[:count]]
    arrays = [np.array(data.draw(e)) for e in each]
    arrays[0] = arrays[0].reshape(data.draw(st.sampled_from([(3,), (3, 1)])))
    rest = [data.draw(st.sampled_from([0, -1, slice(None), None])) for _ in shape[count:]]
    a = np.arange(float(np.prod(shape))).reshape(shape)
    nodes = [uf.input(f"i{k}", *i.shape, dtype=int) for k, i in enumerate(arrays)]
    y = uf.input("a", *shape)[(*nodes, *rest)]
    got = run(uf.graph(y=y), a=a, **{f"i{k}": i for k, i in enumerate(arrays)})["y"]
    np.testing.assert_array_equal(got, a[(*arrays, *rest)])
