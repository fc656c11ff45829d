"""What a tag stands for comes from the operations that move values; addresses from views alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unfold as uf
from unfold.core.axis import Axis
from unfold.engine.made_up import zeros as example
from unfold.engine.plan.arena import Places
from unfold.engine.plan.typed import typed
from unfold.engine.plan.view import Buffer, Memory, View, whole
from unfold.engine.proof.cells import Cells
from unfold.engine.proof.tags import NOTHING, PlanFault, Tags
from unfold.ops.time.delays import Delay

FLOAT = np.dtype(float)


def tags_of(graph, **sizes):
    bound = example(graph, sizes)
    made = typed(graph, bound)
    final = made[0] if isinstance(made, tuple) else made
    return final, Tags(final, bound)


def test_a_delay_has_the_tags_of_the_step_before():
    t = uf.axis("t")
    x, h = uf.input("x", 2, over=t), uf.var("h", 2, over=t)
    h[0] = uf.param("a", 2)
    h[t] = uf.tanh(h[t - 1] + x[t])
    graph, tags = tags_of(uf.graph(h=h[t]), t=3)
    (node,) = [n for n in graph.order if isinstance(n.op, Delay)]
    read, state = tags.of(node), tags.of(tags.resolve(graph.outputs["h"]))
    assert np.array_equal(read[1:], state[:-1])
    assert np.array_equal(read[0], tags.array("a"))
    meant = tags.meant(int(read[2, 1]))
    assert meant is not None
    assert meant.of is tags.resolve(graph.outputs["h"])
    assert meant.index == (1, 1)


def test_a_shift_register_moves_through_its_own_past():
    t = uf.axis("t")
    x, s = uf.input("x", 1, over=t), uf.var("s", 3, over=t)
    s[0] = uf.param("a", 3)
    s[t] = uf.concat([x[t], s[t - 1][:2]])
    graph, tags = tags_of(uf.graph(s=s[t]), t=4)
    got, x, a = tags.of(tags.resolve(graph.outputs["s"])), tags.array("x"), tags.array("a")
    assert got[3].tolist() == [x[3, 0], x[2, 0], x[1, 0]]
    assert got[0].tolist() == [x[0, 0], a[0], a[1]]


def test_equal_numbers_have_one_tag_and_others_their_own():
    t = uf.axis("t")
    x = uf.input("x", over=t)
    _, tags = tags_of(uf.graph(y=x[t] * 2.0 + uf.step(t)), t=3)
    one, two, three = tags.numbers([1, 2.0, 3.0])
    assert one < two < three < tags.first
    assert tags.numbers(-0.0) == tags.numbers(False)
    odd = tags.numbers([7.5, 2.0, 8.5, 7.5])
    assert odd[1] == two
    assert odd[0] == odd[3] != odd[2]
    assert odd[0] < NOTHING
    meant = tags.meant(int(odd[2]))
    assert meant is not None
    assert meant.of == 8.5
    assert tags.meant(NOTHING) is None


def test_partial_sums_have_tags_for_their_steps():
    t = uf.axis("t")
    x = uf.input("x", 2, over=t)
    graph, tags = tags_of(uf.graph(y=uf.sum(uf.tanh(x[t]), over=t)), t=4)
    node = tags.resolve(graph.outputs["y"])
    first, second = tags.partial(node, 0, 2), tags.partial(node, 2, 4)
    assert np.array_equal(first, tags.partial(node, 0, 2))
    assert not {*first.tolist()} & {*second.tolist(), *tags.of(node).tolist()}
    meant = tags.meant(int(second[1]))
    assert meant is not None
    assert (meant.index, meant.part) == ((1,), (2, 4))


@st.composite
def views(draw, buffer):
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    strides = [draw(st.integers(-6, 6)) for _ in shape]
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True) if n]
    low, high = sum(r for r in reach if r < 0), sum(r for r in reach if r > 0)
    offset = draw(st.integers(-low, max(-low, buffer.size - 1 - high)))
    return View(buffer, offset, (None,) * len(shape), tuple(shape), tuple(strides))


def addresses(view):
    out = np.full((), view.offset)
    for n, s in zip(view.shape, view.strides, strict=True):
        out = np.add.outer(out, s * np.arange(n))
    return out


BUFFER = Buffer("b", (40,), FLOAT)


@given(views(BUFFER), views(BUFFER))
def test_cells_are_those_that_a_view_names(a, b):
    cells = Cells([BUFFER], Places({BUFFER: 0}, {FLOAT: 48}))
    cells.tags[:] = np.arange(48)
    one, other = cells.window(a), cells.window(b)
    try:
        starts = one.at({}), other.at({})
    except PlanFault:
        return
    assert np.array_equal(cells.seen(one, starts[0]), addresses(a))
    mine, theirs = addresses(a).ravel().tolist(), addresses(b).ravel().tolist()
    assert one.empty or one.apart(cells.scratch) == (len({*mine}) == len(mine))
    assert cells.meet(one, starts[0], other, starts[1]) == bool({*mine} & {*theirs})
    if one.alike(other) and not one.empty and starts[0] == starts[1]:
        assert mine == theirs


def test_buffers_that_share_room_share_cells():
    t = Axis("t")
    a, b = Buffer("a", (3, 2), FLOAT), Buffer("b", (4,), FLOAT)
    cells = Cells([a, b], Places({a: 0, b: 2}, {FLOAT: 16}))
    row = cells.window(whole(a, (t, -1)).step(t))
    cells.seen(row, row.at({t: 1}))[...] = [7, 8]
    assert cells.whole(b).tolist() == [7, 8, NOTHING, NOTHING]
    with pytest.raises(PlanFault, match="outside"):
        row.at({t: 3})
    with pytest.raises(PlanFault, match="no buffer"):
        cells.window(whole(Buffer("c", (), FLOAT), ()))
    with pytest.raises(PlanFault, match="place"):
        Cells([a], Places({a: 12}, {FLOAT: 16}))
    Cells([Buffer("o", (2,), FLOAT, Memory.OUTPUT)], Places({}, {}))
