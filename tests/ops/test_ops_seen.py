"""Every operation can be drawn, printed and set in LaTeX, and survives JSON."""

from __future__ import annotations

import pytest

import unfold as uf
import viz
from unfold.graph import Graph
from unfold.notation.latex import latex
from unfold.ops.examples import all_examples

EXAMPLES = all_examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_an_operation_is_seen_everywhere(example):
    graph = _graph(example)
    assert "<svg" in viz.draw(graph, level="operations").svg()
    assert "=" in str(graph)
    text = latex(graph)
    assert text.count("{") == text.count("}")
    assert Graph.from_json(graph.to_json()).to_json() == graph.to_json()


def _graph(example):
    """The example's call on inputs of the right shapes, as a graph."""
    given = [uf.input(f"a{k}", *g.shape, dtype=g.kind) for k, g in enumerate(example.given)]
    out = example.call(*given)
    several = isinstance(out, list | tuple)
    return uf.graph(**{f"out{k}": u for k, u in enumerate(out)}) if several else uf.graph(out=out)
