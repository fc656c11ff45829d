"""Buffers that are needed at the same time never share memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_systems import model

import unfold as uf
from tests.engine.conftest import arrays_for
from unfold.core.axis import Axis
from unfold.engine.binding import bind
from unfold.engine.plan.arena import lives, places
from unfold.engine.plan.statement import Statement, Sweep, Verb
from unfold.engine.plan.view import Buffer, whole
from unfold.engine.planning import PASSES, plan
from unfold.engine.run import _joint

FLOAT = np.dtype(float)


def run(items, memory, place, at, clock):
    """Execute a list on memory that remembers who wrote each entry, and check what is read."""
    for item in items:
        if isinstance(item, Sweep):
            for k in item.counters:
                run(item.body, memory, place, {**at, item.axis: k}, clock)
            continue
        for v in item.operands:
            for entry in entries(v, at):
                written = memory.get(place[v.buffer] + entry)
                assert written is None or written[0] is v.buffer, f"{item}: {v} was overwritten"
        clock[0] += 1
        for v in item.outputs:
            for entry in entries(v, at):
                memory[place[v.buffer] + entry] = v.buffer, clock[0]


def entries(view, at):
    offset = view.offset + sum(s * at[a] for a, s in view.steps)
    places = np.full((), offset)
    for n, s in zip(view.shape, view.strides, strict=True):
        places = np.add.outer(places, s * np.arange(n))
    return places.ravel().tolist()


def check(program):
    found = places(program, [])
    for _ in range(2):
        run(program, {}, found.offsets, {}, [0])
    return found


@st.composite
def programs(draw):
    """Statements that read what was written before, some of them in loops."""
    buffers = [Buffer(f"b{k}", (draw(st.integers(1, 40)),), FLOAT) for k in range(draw(st.integers(1, 8)))]
    axis, program, written = Axis("t"), [], []
    for b in buffers:
        operands = draw(st.lists(st.sampled_from(written), max_size=2)) if written else []
        views = tuple(whole(o, [-1]) for o in operands)
        s = Statement(Verb.UFUNC, (whole(b, [-1]),), views, what="add", alias=draw(st.booleans()))
        if draw(st.booleans()):
            program.append(s)
        else:
            loop = program[-1] if program and isinstance(program[-1], Sweep) and draw(st.booleans()) else None
            if loop is None:
                loop = Sweep(axis, draw(st.sampled_from([1, -1])), draw(st.integers(1, 3)))
                program.append(loop)
            loop.body.append(s)
        written.append(b)
    return program


@given(programs())
def test_nothing_is_overwritten_before_it_is_read(program):
    check(program)


@given(programs())
def test_two_lives_that_overlap_are_apart(program):
    found, all_lives = places(program, []), lives(program)
    for a in all_lives:
        for b in all_lives:
            if a.buffer is b.buffer or a.last < b.first or b.last < a.first:
                continue
            low, high = sorted((a, b), key=lambda life: (life.first, life.last))
            heir = low.buffer in high.heirs and low.last == high.first
            i, j = found.offsets[a.buffer], found.offsets[b.buffer]
            apart = i + a.buffer.size <= j or j + b.buffer.size <= i
            assert apart or (heir and i == j)


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_never_overwrites_what_it_still_reads(seed):
    m = model(seed)
    arrays = dict(m.arrays) if m.graph.inputs else {**m.arrays, **{a.name: m.steps for a in m.graph.axes}}
    graph = _joint(m.graph, "loss", [*m.graph.params, *m.graph.inputs])
    program = plan(graph, bind(graph, arrays))
    offsets, at = dict(program.places.offsets), 1 << 40
    for b in program.buffers:
        if b not in offsets:
            offsets[b], at = at, at + (1 << 20)
    memory = {}
    run(program.prepare, memory, offsets, {}, [0])
    for _ in range(2):
        run(program.program, memory, offsets, {}, [0])


def test_memory_is_reused():
    graph = _joint(uf.systems.lstm(), "loss", None)
    bound = bind(graph, arrays_for(graph, t=20))
    reused, apart = plan(graph, bound), plan(graph, bound, passes=set(PASSES) - {"reuse"})
    assert reused.places.bytes < 0.7 * apart.places.bytes
