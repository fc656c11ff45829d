"""What the pictures of every system have in common, and what a run or a report adds to them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import unfold as uf
import viz
from unfold.core.errors import UnfoldError
from viz.shapes.curves import flatten
from viz.shapes.figures import Box, Circle, Path, Repeat, Words, walk
from viz.shapes.labels import plain

SYSTEMS = uf.systems.all()
SIZES = {"i": 4, "j": 3, "t": 5, "k": 3, "m": 4}


def sized(graph):
    return graph.unfold(**{a.name: a.size or SIZES.get(a.name, 3) for a in graph.axes})


def placed(drawing, *kinds):
    return [(s, (s.at[0] + x, s.at[1] + y)) for s, (x, y) in walk(drawing.parts) if isinstance(s, kinds)]


def circles(drawing):
    return {s.name: (at, s) for s, at in placed(drawing, Circle)}


def strokes(drawing):
    return [
        (p, [(x + dx, y + dy) for x, y in flatten(p.points)])
        for p, (dx, dy) in walk(drawing.parts)
        if isinstance(p, Path)
    ]


def variable_pictures(make):
    graph = make()
    yield viz.draw(graph)
    if graph.axes:
        yield viz.draw(sized(graph))
        yield viz.unfolding(graph)


@pytest.mark.parametrize("name", SYSTEMS)
def test_no_circle_lies_on_another(name):
    for drawing in variable_pictures(SYSTEMS[name]):
        found = placed(drawing, Circle)
        for n, (a, p) in enumerate(found):
            for b, q in found[:n]:
                assert math.dist(p, q) >= a.r + b.r, (a.name, b.name)


@pytest.mark.parametrize("name", SYSTEMS)
def test_no_edge_runs_through_a_circle_that_it_does_not_join(name):
    for drawing in variable_pictures(SYSTEMS[name]):
        found = placed(drawing, Circle)
        for path, dots in strokes(drawing):
            for c, at in found:
                if c.name not in path.ends:
                    assert min(math.dist(at, d) for d in dots) > c.r - 0.5, (path.ends, c.name)


@pytest.mark.parametrize("name", SYSTEMS)
def test_letters_stay_off_circles_and_off_each_other(name):
    for drawing in variable_pictures(SYSTEMS[name]):
        found = []
        for s, (x, y) in placed(drawing, Words):
            l, t, r, b = s.bounds
            dx, dy = x - s.at[0], y - s.at[1]
            found.append((s, (l + dx, t + dy + 2, r + dx, b + dy - 2)))
        for n, (s, a) in enumerate(found):
            for other, b in found[:n]:
                apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
                assert apart, (plain(s.label), plain(other.label))
            for c, (x, y) in placed(drawing, Circle):
                near = (min(max(x, a[0]), a[2]), min(max(y, a[1]), a[3]))
                assert math.dist(near, (x, y)) > c.r - 2, (plain(s.label), c.name)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_is_drawn_at_both_levels_in_both_forms(name):
    graph = SYSTEMS[name]()
    for g in (graph, sized(graph)) if graph.axes else (graph,):
        for level in ("variables", "operations"):
            drawing = viz.draw(g, level)
            assert placed(drawing, Circle)
            assert drawing.title
            assert drawing.desc


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "stacked", "bidirectional", "vector_to_sequence"])
def test_operation_columns_are_identical_and_their_rails_join(name):
    drawing = viz.draw(SYSTEMS[name]().unfold(t=6), "operations")
    frames, body = (p for p in drawing.parts if isinstance(p, Repeat))
    assert frames.places == body.places
    (pitch,) = {round(b[0] - a[0], 6) for a, b in pairwise(body.places)}
    ends = {
        (round(x, 6), round(y, 6))
        for p in body.parts
        if isinstance(p, Path)
        for x, y in (p.points[0], p.points[-1])
    }
    joined = {(x, y) for x, y in ends if (round(x + pitch, 6), y) in ends}
    assert joined


@pytest.mark.parametrize("name", [n for n, make in SYSTEMS.items() if len(make().axes) < 2])
def test_no_operation_lies_on_another(name):
    graph = SYSTEMS[name]()
    for g in (graph, graph.unfold(t=3)) if graph.axes else (graph,):
        found = []
        for s, (x, y) in placed(viz.draw(g, "operations"), Circle, Box):
            if not (isinstance(s, Box) and s.tone.startswith("cell")):
                l, t, r, b = s.bounds
                dx, dy = x - s.at[0], y - s.at[1]
                found.append((s, (l + dx, t + dy, r + dx, b + dy)))
        for n, (s, a) in enumerate(found):
            for other, b in found[:n]:
                apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
                assert apart, (s.name, other.name)


def test_the_gates_of_an_lstm_are_boxes_and_its_products_discs():
    drawing = viz.draw(SYSTEMS["lstm"](), "operations")
    boxes = [plain(s.label) for s, _ in placed(drawing, Box) if s.tone == "gate"]
    discs = [plain(s.label) for s, _ in placed(drawing, Circle) if s.tone == "pointwise"]
    assert sorted(boxes) == ["V·", "tanh", "σ", "σ", "σ"]
    assert discs.count("×") == 3
    assert discs.count("+") == 1
    squares = [s for s, _ in placed(drawing, Box) if s.title.startswith("delay")]
    assert len(squares) == 2


def test_a_bidirectional_pair_stands_off_the_column_and_its_edges_run_both_ways():
    drawing = viz.draw(SYSTEMS["bidirectional"]().unfold(t=3))
    places = {k: at for k, (at, _) in circles(drawing).items()}
    assert places["f@1"][0] < places["x@1"][0] < places["g@1"][0]
    ends = {p.ends for p, _ in strokes(drawing)}
    assert ("f@1", "f@2") in ends
    assert ("g@2", "g@1") in ends


def test_attention_is_a_fan_as_wide_as_its_weights():
    graph = SYSTEMS["attention"]()
    rng = np.random.default_rng(0)
    dims = {"align": 3, "classes": 4, "decoder": 3, "hidden": 5, "input": 2}
    weights = {k: 3 * v for k, v in graph.init(seed=0, **dims).items()}
    x = rng.normal(size=(4, 2))
    run = graph.run(of="loss", x=x, z=[0, 1, 0], **weights)
    drawing = viz.draw(graph, run=run)
    widths = [p.width for p, _ in strokes(drawing) if p.ends[1] == "a@2,*" and p.ends[0].startswith("h@")]
    assert widths == pytest.approx([1.2 + 4 * w for w in run["a"][1]])


def test_a_grid_is_a_lattice():
    places = {k: at for k, (at, _) in circles(viz.draw(SYSTEMS["grid"]().unfold(i=3, j=3))).items()}
    assert places["h@1,1"][0] == places["h@3,1"][0]
    assert places["h@1,1"][1] == places["h@1,3"][1]


def test_a_batch_is_drawn_once_on_its_plate():
    drawing = viz.draw(SYSTEMS["rnn"]().batch("n"))
    assert set(circles(drawing)) == set(circles(viz.draw(SYSTEMS["rnn"]())))
    assert "for every n" in [plain(s.label) for s, _ in placed(drawing, Words)]


def test_adjoints_stand_beside_their_variables_and_flow_back_in_time():
    graph = SYSTEMS["rnn"]()
    for g in (graph.grad("loss").unfold(t=3), graph.unfold(t=3).grad("loss")):
        drawing = viz.draw(g)
        tones = {k: c.tone for k, (_, c) in circles(drawing).items()}
        assert tones["dh@2"] == "adjoint"
        flow = {p.ends for p, _ in strokes(drawing) if p.tone == "gradient"}
        assert {("dh@2", "dh@1"), ("dh@3", "dh@2"), ("do@2", "dh@2")} <= flow


def test_tangents_stand_beside_their_variables_and_flow_forward():
    drawing = viz.draw(SYSTEMS["rnn"]().jvp("loss").unfold(t=3))
    flow = {p.ends for p, _ in strokes(drawing) if p.tone == "gradient"}
    assert ("h_dot@1", "h_dot@2") in flow


@pytest.fixture
def run():
    graph = SYSTEMS["rnn"]()
    sizes = {"input": 3, "hidden": 4, "classes": 2}
    rng = np.random.default_rng(1)
    arrays = {"x": rng.normal(size=(6, 3)), "y": rng.integers(0, 2, 6), **graph.init(seed=1, **sizes)}
    return graph.run(of="loss", **arrays)


def test_the_size_of_every_adjoint_is_shown_as_colour_and_as_a_number(run):
    drawing = viz.draw(run.graph, run=run, show="adjoint")
    tones = {k: c.tone for k, (_, c) in circles(drawing).items()}
    assert all(tones[f"h@{t}"].startswith("#") for t in range(1, 7))
    numbers = [plain(s.label) for s, _ in placed(drawing, Words)]
    assert f"{np.sqrt(np.mean(run.adjoint['h', 3] ** 2)):.2g}" in numbers


def test_shapes_are_written_at_the_circles(run):
    numbers = [plain(s.label) for s, _ in placed(viz.draw(run.graph, run=run, show="shapes"), Words)]
    assert numbers.count("4") == 6


def test_a_vanishing_and_an_exploding_value_keep_a_mark_of_their_own():
    drawing = viz.draw(SYSTEMS["rnn"]().unfold(t=3))
    shown = viz.heat(drawing, {"h@1": 0.0, "h@2": math.inf, "h@3": math.nan}, "norm")
    assert {"0", "∞", "NaN"} <= {plain(s.label) for s, _ in placed(shown, Words)}
    shown.svg()


def test_show_without_a_run_says_what_to_give():
    with pytest.raises(UnfoldError, match=r"viz\.draw\(graph, run=graph\.run"):
        viz.draw(SYSTEMS["rnn"](), show="values")


def test_the_culprit_of_a_failed_check_is_red(run):
    wrong = {
        k: np.asarray(v) for k, v in run.graph.value_and_grad("loss")(**dict(run.bound.arrays))[1].items()
    }
    report = uf.check(run.graph, "loss", gradients={**wrong, "W": -wrong["W"]}, **dict(run.bound.arrays))
    assert not report.ok
    drawing = viz.draw(run.graph.unfold(t=6), report=report)
    words = [plain(s.label) for s, _ in placed(drawing, Words) if s.tone == "wrong"]
    assert words
    assert words[0].startswith("WRONG: dloss/dW")
    assert {p.ends for p, _ in strokes(drawing) if p.tone == "wrong"} >= {("h@1", "h@2"), ("h@5", "h@6")}


def test_a_culprit_among_the_steps_left_out_marks_the_ellipsis(run):
    report = uf.check(run.graph, "loss", **dict(run.bound.arrays))
    wrong = replace(report, verdict="WRONG", operation="tanh", equation="h[t] = tanh(...)", steps=(2, 11))
    drawing = viz.draw(run.graph.unfold(t=20), report=wrong)
    red = {s.name for s, _ in placed(drawing, Circle, Words) if s.tone == "wrong"}
    assert red == {"h@2", "h@…", ""}  # and the words below


def test_a_failed_report_shows_its_culprit_in_a_notebook(run):
    arrays = dict(run.bound.arrays)
    report = uf.check(run.graph, "loss", **arrays)
    assert "<svg" not in report._repr_html_()
    _, right = run.graph.value_and_grad("loss")(**arrays)
    failed = uf.check(run.graph, "loss", gradients={"W": -np.asarray(right["W"])}, **arrays)
    html = failed._repr_html_()
    assert viz.draw(run.graph, report=failed).svg() in html
    assert "WRONG: dloss/dW" in html
    assert "<svg" not in replace(failed, graph=None)._repr_html_()


def test_what_is_drawn_on_circles_is_refused_where_there_are_none(run):
    with pytest.raises(UnfoldError, match="are drawn at level 'variables'"):
        viz.draw(run.graph, "operations", window=2)
    with pytest.raises(UnfoldError, match="on all axes or none: unfold j too"):
        viz.draw(SYSTEMS["encoder_decoder"]().unfold(i=2), window=2)


def test_a_cut_edge_is_struck_through():
    drawing = viz.draw(SYSTEMS["rnn"]().unfold(t=3))
    cut = viz.cut(drawing, {("h@1", "h@2")})
    tones = {p.ends: (p.tone, p.dashed) for p, _ in strokes(cut)}
    assert tones["h@1", "h@2"] == ("faint", True)
    assert len(strokes(cut)) == len(strokes(drawing)) + 1


def test_truncation_cuts_the_flow_between_windows():
    drawing = viz.draw(SYSTEMS["rnn"]().grad("loss").unfold(t=5), window=2)
    faint = {p.ends for p, _ in strokes(drawing) if p.tone == "faint" and p.ends[0].startswith("dh")}
    assert faint == {("dh@3", "dh@2"), ("dh@5", "dh@4")}


def test_plots_mark_gaps_and_say_their_ends():
    drawing = viz.plots.lines({"h": [1.0, 0.1, math.nan, 0.01]}, "norms")
    assert drawing.desc == "h from 1 at step 1 to 0.01 at step 4"
    drawing.svg()
    grid = viz.plots.matrix(np.tril(np.ones((300, 300))), "contributions")
    assert len(placed(grid, Box)) < 128 * 128
    grid.svg()


def test_a_notebook_shows_the_picture():
    graph = SYSTEMS["rnn"]()
    bundle = graph._repr_mimebundle_()
    assert bundle["image/svg+xml"] == viz.draw(graph).svg()
    assert bundle["text/plain"] == str(graph)
