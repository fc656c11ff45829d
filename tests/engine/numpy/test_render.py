"""The printed code reads like what a person would write, and its names are Python's."""

from __future__ import annotations

import ast

import numpy as np
import pytest

import unfold as uf
from tests.engine.conftest import agrees, arrays_for
from unfold.engine.binding import bind
from unfold.engine.numpy.render import rendered
from unfold.engine.planning import PASSES, plan
from unfold.engine.run import _joint


def code(graph, passes=PASSES, **sizes):
    return rendered(plan(graph, bind(graph, arrays_for(graph, **sizes)), passes=passes), remarks=True)[0]


def test_backpropagation_through_time_reads_like_it():
    text = code(_joint(uf.systems.rnn(), "loss", None), set(PASSES) - {"augment"}, t=6)
    body = text.partition("def run")[2]
    for line in (
        "W_dot(h_tm1, ",
        "tanh(",
        "# step by step, forward over t:",
        "#     h[t] = tanh(b + W @ h[t-1] + U @ x[t])",
        "# step by step, backward over t:",
        "W_T_dot(",
        "softmax_cross_entropy(o, y, L, do)",
    ):
        assert line in body, line
    loops = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.For)]
    assert [len(loop.body) for loop in loops] == [3, 3]


@pytest.mark.parametrize("name", ["lambda", "1x", "x-y", "größe", "np", "tanh", "rows", "make", "x.y", "run"])
def test_any_name_can_be_printed(name):
    t = uf.axis("t")
    x, h = uf.input(name, 2, over=t), uf.var(f"{name} h", 2, over=t)
    h[0] = 0
    h[t] = uf.tanh(h[t - 1] + x[t])
    agrees(uf.graph(loss=uf.sum(uf.sum(h[t]), over=t)), {name: np.ones((3, 2))})


def test_code_without_comments_is_the_same_code():
    graph = _joint(uf.systems.lstm(), "loss", None)
    program = plan(graph, bind(graph, arrays_for(graph)))
    plain, told = rendered(program)[0], rendered(program, remarks=True)[0]
    assert ast.dump(ast.parse(plain)) == ast.dump(ast.parse(told))
