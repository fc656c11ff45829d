"""A plan keeps every value until its last reader has read it, and no longer than that.

Plans are replayed on paper: each value of each step, in the order of the schedule, is put where the plan
says, and whoever reads it must find that very value there.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import loop_systems
import numpy as np
import pytest
from random_systems import model
from test_legality import computed
from test_plan import agree

import unfold as uf
from unfold.analysis.instances import needs
from unfold.analysis.schedule import Loop
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.engine import made_up
from unfold.engine.binding import bind
from unfold.engine.numpy.comments import equations
from unfold.engine.plan import chunking
from unfold.engine.plan.plan import Plan, plan
from unfold.engine.rewrites.augmenting import Room
from unfold.engine.rewrites.passes import OPTIMISATIONS, VIEWS
from unfold.engine.run import _joint
from unfold.ops.array.shape import Concat
from unfold.ops.time.delays import Delay

STEPS = 4
SYSTEMS = [n for n in uf.systems.SYSTEMS if n != "driven"]
DRAWN = [*SYSTEMS, *loop_systems.SYSTEMS, *range(12)]


def planned(name: Any, optimise: tuple[str, ...] = ("hoist",)) -> Plan:
    """The plan of a system with all of its gradients: a ready-made one, or a random one; those of
    `loop_systems` stand for themselves."""
    if name in loop_systems.SYSTEMS:
        graph = loop_systems.SYSTEMS[name]()
        return plan(graph, bind(graph, loop_systems.arrays(graph)), optimise)
    if isinstance(name, str):
        graph = _joint(uf.systems.SYSTEMS[name](), "loss", None)
        return plan(
            graph, made_up.zeros(graph, {a.name: STEPS for a in graph.axes if a.size is None}), optimise
        )
    drawn = model(name)
    graph = _joint(drawn.graph, "loss", [*drawn.graph.params, *drawn.graph.inputs])
    lengths = {} if drawn.graph.inputs else {a.name: drawn.steps for a in drawn.graph.axes}
    return plan(graph, bind(graph, {**drawn.arrays, **lengths}), optimise)


def is_kept(node: Node) -> bool:
    """Whether a node has a place of its own: the others are names and views of one."""
    return not (isinstance(node.op, Symbol) or node.op.structural or node.op.name in VIEWS or node.op.leaf)


def replay(made: Plan, rows: set[Node]) -> bool:
    """Whether every read finds the value it needs when each step overwrites those of `rows`, which are gone
    when their loop ends."""
    sizes = {a: a.size or STEPS for a in made.graph.axes}
    held: dict[Any, Any] = {}

    def place(node: Node, at: dict[Any, int]) -> Any:
        over = [loop.direction[0][0] for loop in made.nest(node)] if node in rows else []
        return node, tuple(at[a] for a in node.axes if a not in over)

    def found(node: Node, at: dict[Any, int], reader: Node) -> bool:
        at = {a: at[a] for a in node.axes}
        if is_kept(node):
            within = node not in rows or made.loop_of.get(reader) is made.loop_of[node]
            return within and held.get(place(node, at)) == at
        return all(found(u, there, reader) for u, there in needs(made.graph, node, at, sizes))

    for node, at in computed(made.schedule, sizes):
        if is_kept(node):
            if not all(found(u, there, node) for u, there in needs(made.graph, node, at, sizes)):
                return False
            held[place(node, at)] = at
    return True


@pytest.mark.parametrize("name", DRAWN)
def test_no_value_is_overwritten_before_its_last_reader(name):
    made = planned(name)
    assert replay(made, made.rows)


@pytest.mark.parametrize("name", DRAWN)
def test_no_value_is_kept_for_all_steps_without_need(name):
    made = planned(name)
    outputs = {made.resolve(u) for u in made.graph.outputs.values()}
    outputs |= {made.resolve(u.inputs[0]) for u in outputs if u.op.name in VIEWS}
    for node, loop in made.loop_of.items():
        fixed = any(u.op.structural and not isinstance(u.op, Delay) for u in made.users.get(node, []))
        whole = node in made.rows | outputs or fixed or len(set(loop.offsets.values())) > 1
        if is_kept(node) and not whole:
            assert not replay(made, {node}), node


@pytest.mark.parametrize("name", DRAWN)
def test_a_value_is_carried_exactly_when_the_next_step_reads_it(name):
    made = planned(name)
    for node in made.rows:
        delayed = [
            u for u in made.graph.order if isinstance(u.op, Delay) and made.resolve(u.inputs[0]) is node
        ]
        assert (node in made.carried) == bool(delayed)
    assert made.carried <= made.rows


@pytest.mark.parametrize("name", DRAWN)
def test_a_buffer_has_room_for_exactly_the_steps_outside_that_are_read(name):
    made = planned(name)
    for source in {made.resolve(u.inputs[0]) for u in made.graph.order if isinstance(u.op, Delay)}:
        if source in made.rows:
            assert source not in made.pads
            continue
        for axis in made.graph.axes:
            lags = [
                u.op.lag
                for u in made.graph.order
                if isinstance(u.op, Delay) and u.op.axis is axis and made.resolve(u.inputs[0]) is source
            ]
            if lags:
                reads = {step - lag for step in range(1, 101) for lag in lags}
                before, after = sum(i < 1 for i in reads), sum(i > 100 for i in reads)
                assert made.pads[source][axis] == [before, after]
            else:
                assert axis not in made.pads[source]


@pytest.mark.parametrize("name", DRAWN)
def test_the_axes_that_are_stepped_over_lead_in_every_buffer(name):
    made = planned(name)
    assert set(made.order) == {a for u in made.graph.order for a in u.axes}
    assert len(set(made.order)) == len(made.order)
    for node in made.graph.order:
        looped = [loop.direction[0][0] for loop in made.nest(node)]
        assert list(made.axes(node))[: len(looped)] == looped
        assert set(made.axes(node)) == set(node.axes)


@pytest.mark.parametrize("name", DRAWN)
def test_every_node_knows_the_loops_around_it(name):
    made = planned(name)
    seen = {}

    def walk(items: Any, nest: list[Loop]) -> None:
        for item in items:
            if isinstance(item, Loop):
                walk(item.body, [*nest, item])
            else:
                seen[item] = nest

    walk(made.schedule, [])
    assert set(seen) == set(made.graph.order)
    for node, nest in seen.items():
        assert made.nest(node) == nest
        assert made.loop_of.get(node) is (nest[-1] if nest else None)
        users = [u for u in made.graph.order if not isinstance(u.op, Symbol) and node in made.inputs(u)]
        assert [u for u in made.users.get(node, []) if u in users] == made.users.get(node, [])
        assert set(made.users.get(node, [])) == set(users)


def test_a_loop_over_diagonals_takes_its_places_in_order():
    i, j = uf.axis("i"), uf.axis("j")
    h = uf.var("h", over=(i, j))
    for place in ((0, j), (i.last + 1, j), (0, j.last + 1), (i.last + 1, 0), (i.last + 1, -1)):
        h[place] = 0
    h[i, j.last + 1] = h[i, 0] = h[i, -1] = 0
    h[i, j] = h[i - 1, j + 1] + h[i + 1, j - 2] + 1
    graph = uf.graph(h=h[i, j])
    assert "# step by step, over i, j:" in graph.code(i=2, j=3)
    assert graph(i=2, j=3).h.tolist() == [[1, 1, 3], [2, 4, 1]]


def test_loops_over_diagonals_and_their_gradients_agree_with_the_definition():
    odd = 0
    for seed in range(90):
        found = loop_systems.over_diagonals(seed)
        if found is None:
            continue
        graph, arrays = found
        joint = _joint(graph, "loss", None)
        made = plan(joint, bind(joint, arrays), OPTIMISATIONS)
        if not all(item.straight for item in made.schedule if isinstance(item, Loop)):
            odd += 1
            agree(joint, arrays, 1e-9)
    assert odd >= 8


def nests(items: Any, around: tuple[bool, ...] = ()) -> set[tuple[bool, ...]]:
    """For each loop, which of it and those around it are retimed, the outermost first."""
    out: set[tuple[bool, ...]] = set()
    for item in items:
        if isinstance(item, Loop):
            here = (*around, len(set(item.offsets.values())) > 1)
            out |= {here} | nests(item.body, here)
    return out


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("inner", [True, False])
def test_a_retimed_loop_may_lie_inside_another_or_around_one(seed, inner):
    graph, arrays = loop_systems.nested_and_retimed(seed, inner)
    joint = _joint(graph, "loss", None)
    made = plan(joint, bind(joint, arrays), OPTIMISATIONS)
    assert ((False, True) if inner else (True, False)) in nests(made.schedule)
    agree(joint, arrays, 1e-9)


def test_loops_that_look_ahead_agree_with_the_definition():
    legal = retimed = 0
    for seed in [1832, *range(400)]:  # the first: an earlier round computes what is read before its turn
        graph = loop_systems.looking_ahead(seed)
        if graph is None:
            continue
        steps = {"t": (1, 2, 5, 7)[seed % 4]}
        given = {k: np.full(a.shape, 0.4) for k, a in made_up.zeros(graph, steps).arrays.items()} or steps
        agree(graph, given, 1e-9)
        legal += 1
        retimed += (True,) in nests(plan(graph, bind(graph, given), ()).schedule)
    assert legal > 100
    assert retimed > 10


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_step_belongs_to_the_equation_it_leads_to(name):
    made = planned(name)
    texts = {label: f"equation of {label}" for label in made.labels.values()}
    told = equations(made, texts)
    for node, text in told.items():
        if node in made.labels:
            assert text == texts[made.labels[node]]
        else:
            assert text in {told[u] for u in made.users[node] if u in told}


def copied(made: Plan) -> list[Node]:
    """What a step computes or brings from the step before, and then copies into a concatenation."""
    out = []
    for joint in made.graph.order:
        if isinstance(joint.op, Concat) and joint.op.dim == -1 and made.loop_of.get(joint):
            for u in made.inputs(joint):
                source = made.resolve(u.inputs[0]) if isinstance(u.op, Delay) else u
                here = made.loop_of.get(source) is made.loop_of[joint]
                lies = source in (made.ahead if source is not u else made.part)
                out += [u] if here and not lies else []
    return out


@pytest.mark.parametrize("name", ["rnn", "stacked", "bidirectional", "encoder_decoder", "attention", "lstm"])
def test_what_is_concatenated_is_computed_where_it_is_read(name):
    made = planned(name, tuple(OPTIMISATIONS))
    joints = [u for u in made.graph.order if isinstance(u.op, Concat)]
    assert made.ahead
    assert copied(made) == []
    assert {joint for joint, _, _ in (*made.part.values(), *made.ahead.values())} <= set(joints)
    for u, (joint, start, stop) in (*made.part.items(), *made.ahead.items()):
        delayed = [
            d for d in made.inputs(joint) if isinstance(d.op, Delay) and made.resolve(d.inputs[0]) is u
        ]
        rooms = [v for v in made.inputs(joint) if isinstance(v.op, Room)]
        (read,) = delayed or ([u] if u in made.inputs(joint) else rooms)
        before = made.inputs(joint)[: made.inputs(joint).index(read)]
        assert start == sum(made.shape(v)[joint.op.dim] for v in before)
        assert stop == start + made.shape(u)[joint.op.dim]
        assert made.axes(u) == made.axes(joint)
        assert made.nest(u) == made.nest(joint)
        assert u not in made.rows
    assert not planned(name, ("hoist",)).part
    assert not planned(name, ("hoist",)).ahead


@pytest.mark.parametrize("name", ["hoist", "fuse", "stack", "augment", "pack"])
def test_an_optimisation_that_is_named_is_done(name):
    plain, made = planned("lstm", ()), planned("lstm", (name,))
    assert Counter(u.op.name for u in made.graph.order) != Counter(u.op.name for u in plain.graph.order)
    assert made.optimise == (name,)


def test_an_output_that_is_the_state_before_is_kept_for_all_steps(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h = uf.var("h", over=t)
    h[0] = a
    h[t] = uf.tanh(h[t - 1] + x[t])
    graph = uf.graph(before=h[t - 1])
    arrays = {"x": [0.5, -1.0, 2.0], "a": 0.25}
    made = plan(graph, bind(graph, arrays), ())
    assert made.written == {"before": (t,)}
    assert not made.rows & {u for u, label in made.labels.items() if label == "h[t]"}
    steps = [0.25]
    for value in arrays["x"][:-1]:
        steps.append(math.tanh(steps[-1] + value))
    assert graph(**arrays).before.tolist() == pytest.approx(steps)


def test_what_a_node_is_called_is_the_output_or_the_variable_it_defines(t):
    x, y = uf.input("x", over=t), uf.input("y")
    h = uf.var("h", over=t)
    h[0] = 0
    h[t] = uf.tanh(h[t - 1] + x[t])
    graph = uf.graph(total=uf.sum(h[t], over=t), same=y)
    made = plan(graph, made_up.zeros(graph, {}), ())
    assert sorted(made.labels.values()) == ["h[0]", "h[t]", "total"]
    assert {u.op.name for u, label in made.labels.items() if label == "total"} == {"sum"}


def test_outputs_over_the_axis_of_a_loop_are_kept_for_all_steps(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h, g = uf.var("h", over=t), uf.var("g", over=t)
    h[0] = a
    g[t] = uf.tanh(h[t - 1] * x[t])
    h[t] = g[t] + h[t - 1] * 0.5
    graph = uf.graph(h=h[t], g=g[t], twice=2 * (h[t - 1] * x[t]))
    arrays = {"x": [0.5, -1.0, 2.0], "a": 0.25}
    made = plan(graph, bind(graph, arrays), ())
    assert not made.rows & {made.resolve(u) for u in made.graph.outputs.values()}
    before, want = 0.25, []
    for value in arrays["x"]:
        product = before * value
        before = math.tanh(product) + before * 0.5
        want.append((before, math.tanh(product), 2 * product))
    got = graph.compile("numpy")(**arrays)
    assert list(zip(got.h, got.g, got.twice, strict=True)) == [pytest.approx(w) for w in want]


@pytest.mark.parametrize("name", [*loop_systems.SYSTEMS, "one in another"])
def test_a_system_with_demands_on_storage_agrees_with_the_definition(name):
    graph = {**loop_systems.SYSTEMS, "one in another": loop_systems.one_in_another}[name]()
    arrays = loop_systems.arrays(graph)
    agree(graph, arrays or {a.name: 3 for a in graph.axes}, 1e-12, (None, (), ("hoist",)))


@pytest.mark.parametrize(
    ("name", "state"), [("under two names", "h[t]"), ("reads itself", "h[t]"), ("retimed", "s[t]")]
)
def test_a_state_that_only_the_next_step_reads_is_carried(name, state):
    made = planned(name)
    assert state in {made.labels.get(u) for u in made.carried}


def test_three_loops_in_one_another_lead_from_the_outermost():
    graph = loop_systems.one_in_another()
    made = plan(graph, made_up.zeros(graph, {a.name: 2 for a in graph.axes}), ())
    i, j, k = graph.axes
    (deep,) = [u for u in made.graph.order if made.labels.get(u) == "h[i, j, k]"]
    assert [loop.direction for loop in made.nest(deep)] == [((k, 1),), ((j, 1),), ((i, 1),)]
    assert made.order == made.axes(deep) == (k, j, i)


@pytest.mark.parametrize("name", [*loop_systems.SYSTEMS, "lstm", "gru", "stacked", 3, 5])
@pytest.mark.parametrize("part", [None, 2])
def test_what_lies_in_a_concatenation_is_read_there_and_nowhere_else(name, part, monkeypatch):
    if part:
        monkeypatch.setattr(chunking, "length", lambda size, row: part)
    made = planned(name, tuple(OPTIMISATIONS))
    delays = [u for u in made.graph.order if isinstance(u.op, Delay)]
    for u, (joint, _, _) in made.ahead.items():
        ((axis, sign),) = made.loop_of[joint].direction
        mine = [d.op for d in delays if made.resolve(d.inputs[0]) is u]
        assert {(d.axis, d.lag) for d in mine} == {(axis, sign)}
        assert (made.axes(u), made.nest(u)) == (made.axes(joint), made.nest(joint))
        assert not {u, joint} & made.rows
        assert u not in made.part
        others = [v for v in made.inputs(joint) if v not in delays or made.resolve(v.inputs[0]) is not u]
        assert all(v in made.part or made.loop_of.get(v) is not made.loop_of[joint] for v in others)
    for u, (joint, _, _) in made.part.items():
        assert not [d for d in delays if made.resolve(d.inputs[0]) is u]
        assert u not in made.rows
        assert made.chunk_of.get(u) is made.chunk_of.get(joint)
        assert made.whole(u) not in made.part
        assert u in made.pieces(made.whole(u))
    for joint in made.graph.order:
        for u in made.inputs(joint) if isinstance(joint.op, Concat) else ():
            alike = made.axes(u) == made.axes(joint) and made.nest(u) == made.nest(joint)
            alone = is_kept(u) and u not in made.ahead and made.inputs(joint).count(u) == 1
            free = not [d for d in delays if made.resolve(d.inputs[0]) is u]
            together = made.chunk_of.get(u) is made.chunk_of.get(joint)
            if alike and alone and free and together:
                assert u in made.part


def test_beside_a_concatenation_values_of_one_step_lie_in_rows():
    made = planned("joined alone", tuple(OPTIMISATIONS))
    kept = [u for u in made.loop_of if is_kept(u) and u not in made.rows]
    assert sorted(made.labels.get(u, u.op.name) for u in kept) == ["concat", "h[t]", "o[t]"]
