"""Pictures of systems: what stands where, and files that are the same every time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

import unfold as uf
import viz
from unfold.core.errors import UnfoldError
from unfold.transform.unfolding import unfold
from viz.model.variable_level import model
from viz.shapes.figures import Circle, Path, walk

SVG = "{http://www.w3.org/2000/svg}"


def rnn():
    t = uf.axis("t")
    x, y = uf.input("x", "input", over=t), uf.input("y", over=t, dtype=int)
    U, W = uf.param("U", "hidden", "input"), uf.param("W", "hidden", "hidden")
    V, b = uf.param("V", "classes", "hidden"), uf.param("b", "hidden")
    h, o, L = uf.var("h", "hidden", over=t), uf.var("o", "classes", over=t), uf.var("L", over=t)
    h[0] = 0
    h[t] = uf.tanh(b + W @ h[t - 1] + U @ x[t])
    o[t] = V @ h[t]
    L[t] = uf.cross_entropy(o[t], y[t])
    return uf.graph(loss=uf.sum(L[t], over=t), o=o)


def circles(drawing):
    return {
        s.name: (s.at[0] + at[0], s.at[1] + at[1]) for s, at in walk(drawing.parts) if isinstance(s, Circle)
    }


def strokes(drawing):
    return [s for s, _ in walk(drawing.parts) if isinstance(s, Path)]


def test_the_roles_of_the_variables_are_inferred_from_the_graph():
    roles = {k: v.role for k, v in model(rnn()).variables.items()}
    assert roles == {"x": "input", "y": "target", "h": "state", "o": "output", "L": "loss"}


def test_edges_carry_the_parameter_that_acts_on_the_way():
    carries = {(a.source, a.target): a.carries for a in model(rnn()).arrows}
    assert carries["x", "h"] == ("U",)
    assert carries["h", "h"] == ("W",)
    assert carries["h", "o"] == ("V",)
    assert carries["o", "L"] == ()


def test_a_cyclic_graph_is_drawn_with_one_circle_a_variable():
    assert set(circles(viz.draw(rnn()))) == {"x", "y", "h", "o", "L"}


def test_an_unfolded_graph_has_one_column_a_step_at_one_pitch():
    places = circles(viz.draw(unfold(rnn(), {"t": 5})))
    xs = [places[f"h@{k}"][0] for k in range(1, 6)]
    assert len({round(b - a, 6) for a, b in pairwise(xs)}) == 1
    for name in "xyhoL":
        assert len({places[f"{name}@{k}"][1] for k in range(1, 6)}) == 1


def test_above_eight_columns_an_ellipsis_stands_for_the_middle():
    names = circles(viz.draw(unfold(rnn(), {"t": 100})))
    assert [n for n in names if n.startswith("h@")] == ["h@1", "h@2", "h@3", "h@99", "h@100"]


def test_no_edge_runs_through_a_variable_it_does_not_join():
    from viz.shapes.curves import flatten

    t = uf.axis("t")
    h = uf.var("h", over=t)
    h[0] = h[-1] = h[-2] = 0.0
    h[t] = uf.tanh(h[t - 1] + h[t - 2] + h[t - 3])
    drawing = viz.draw(unfold(uf.graph(h=h), {"t": 6}))
    places = circles(drawing)
    for path in strokes(drawing):
        for name, (x, y) in places.items():
            if name not in path.ends:
                assert all((p[0] - x) ** 2 + (p[1] - y) ** 2 > 20.9**2 for p in flatten(path.points))


def test_the_svg_is_well_formed_named_and_described():
    root = ET.fromstring(viz.unfolding(rnn()).svg())
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "A cyclic graph and its unfolding"
    assert "through W" in root.find(f"{SVG}desc").text


def test_two_figures_on_one_page_share_no_id():
    ids = [
        {e.get("id") for e in ET.fromstring(d.svg()).iter() if e.get("id")}
        for d in (viz.draw(rnn()), viz.unfolding(rnn()))
    ]
    assert not ids[0] & ids[1]


def test_dot_pins_every_node():
    text = viz.draw(rnn()).dot()
    nodes = [
        line
        for line in text.splitlines()
        if line.startswith("\tn") and "->" not in line and "fixedsize" not in line
    ]
    assert nodes
    assert all("pos=" in line for line in nodes)
    assert "layout=nop2" in text


def test_saving_is_atomic_and_an_unknown_suffix_says_which_exist(tmp_path):
    path = viz.draw(rnn()).save(tmp_path / "rnn.svg")
    assert path.read_text().startswith("<svg")
    assert [p.name for p in tmp_path.iterdir()] == ["rnn.svg"]
    with pytest.raises(UnfoldError, match=r"saved as one of \.svg, "):
        viz.draw(rnn()).save(tmp_path / "rnn.bmp")
    with pytest.raises(UnfoldError, match="does not exist"):
        viz.draw(rnn()).save(tmp_path / "none" / "rnn.svg")


def test_a_graph_without_axis_has_nothing_to_unfold():
    x = uf.input("x", 3)
    with pytest.raises(UnfoldError, match="no axis"):
        viz.unfolding(uf.graph(y=uf.tanh(x)))
