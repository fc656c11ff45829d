"""Indices mean what they mean in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from evaluation import run
from hypothesis import example, given, settings
from hypothesis import strategies as st

import unfold as uf
from unfold.core.dims import evaluate


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


NAMED: list[tuple[Any, slice]] = [
    (slice(None), slice(None)),
    (slice(1, None), slice(1, None)),
    (slice(None, -1), slice(None, -1)),
    (slice(-2, None), slice(-2, None)),
    (slice(-4, -1), slice(-4, -1)),
    (slice("k", None), slice(2, None)),
    (slice(None, "k"), slice(None, 2)),
    (slice("k", "n"), slice(2, 6)),
    (slice(1, 3, 1), slice(1, 3)),
]


@pytest.mark.parametrize(("key", "meant"), NAMED, ids=str)
def test_a_slice_of_a_dimension_with_a_name_counts_from_both_its_ends(key: Any, meant: slice) -> None:
    a, k = uf.input("a", "n", 2), uf.input("k", "k")
    array = np.arange(12.0).reshape(6, 2)
    y = a[key]
    got = run(uf.graph(y=y, k=k), a=array, k=np.zeros(2))["y"]
    np.testing.assert_array_equal(got, array[meant])
    np.testing.assert_array_equal(run(uf.graph(y=a[-1], k=k), a=array, k=np.zeros(2))["y"], array[-1])
    assert evaluate(y.shape[0], {"n": 6, "k": 2}) == len(array[meant])


def test_the_size_of_a_slice_of_a_name_is_told_by_the_name() -> None:
    a = uf.input("a", "n")
    assert [a[1:].shape, a[:-1].shape, a[-2:].shape, a["k":].shape] == [
        ("n - 1",),
        ("n - 1",),
        (2,),
        ("-k + n",),
    ]


def test_take_along_an_axis_reads_step_by_step_what_its_indices_say() -> None:
    t = uf.axis("t")
    x, i, k = uf.input("x", 2, over=t), uf.input("i", over=t, dtype=int), uf.input("k", 2, over=t, dtype=int)
    array, steps = np.arange(8.0).reshape(4, 2), np.array([4, 1, 1, 3])
    pairs = np.array([[0, 3], [1, 1], [2, 0], [3, 2]])
    arrays = {"x": array, "i": steps, "k": pairs}
    one = run(uf.graph(y=uf.take(x[t], i[t], over=t)), **arrays)["y"]
    np.testing.assert_array_equal(one, array[steps - 1])
    each = run(uf.graph(y=uf.take_along_axis(x[t], k[t], over=t)), **arrays)["y"]
    np.testing.assert_array_equal(each, np.take_along_axis(array, pairs, 0))
    same = run(uf.graph(y=uf.take_along_axis(x[t], i[t] - 1, over=t)), **arrays)["y"]
    np.testing.assert_array_equal(same, array[steps - 1])


def test_whole_numbers_are_taken_along_an_axis_without_nan() -> None:
    t = uf.axis("t")
    k = uf.input("k", over=t, dtype=int)
    y = uf.take(k[t], 9, over=t)
    assert y.dtype == "int"
    assert run(uf.graph(y=y), k=np.array([5, 6]))["y"] == 0
