"""The comment before a printed loop names the equations that its steps compute, and no others."""

from __future__ import annotations

import re

import pytest

import unfold as uf

# hand-worked: what waits for a value of another step, and what goes into it or is only finished after
# the loop, each after what it reads of its own step
FORWARD = {
    "feed_forward": [],
    "rnn": [["h[t]"]],
    "lstm": [["g[t]", "i[t]", "f[t]", "c[t]", "q[t]", "h[t]"]],
    "gru": [["r[t]", "g[t]", "z[t]", "h[t]"]],
    "stacked": [["h1[t]"], ["h2[t]"]],
    "bidirectional": [["f[t]"], ["g[t]"]],
    "attention": [["h[i]"], ["e[j, i]", "a[j, i]", "ctx[j]", "d[j]"]],
}
BACKWARD = {
    "lstm": [["dh[t]", "dq[t]", "dc[t]", "di[t]", "df[t]", "dg[t]"]],
    "stacked": [["dh2[t]"], ["dh1[t]"]],
    "attention": [["dd[j]", "dctx[j]", "da[j, i]", "de[j, i]"], ["dh[i]"]],
}


def told(source: str) -> list[list[str]]:
    """What the comment before each loop names."""
    blocks = re.findall(r"# step by step, \w+ over \w+:\n((?: *#     .*\n)*)", source)
    return [re.findall(r"#     (.*?) = ", block) for block in blocks]


@pytest.mark.parametrize("name", FORWARD)
def test_a_loop_names_what_its_steps_compute(name):
    assert told(uf.systems.SYSTEMS[name]().code()) == FORWARD[name]


@pytest.mark.parametrize("name", BACKWARD)
def test_a_loop_backward_names_the_adjoints_that_its_steps_compute(name):
    assert told(uf.systems.SYSTEMS[name]().code("loss")) == FORWARD[name] + BACKWARD[name]


def test_a_loop_does_not_name_what_it_only_looks_at(t):
    x, W = uf.input("x", 3, over=t), uf.param("W", 2, 2)
    h, part, twice = uf.var("h", 2, over=t), uf.var("part", 2, over=t), uf.var("twice", 2, over=t)
    h[0] = 0
    part[t] = x[t][:2]
    twice[t] = 2 * x[t][1:]
    h[t] = uf.tanh(W @ h[t - 1] + part[t] * twice[t])
    source = uf.graph(h=h[t], part=part[t], twice=twice[t]).code()
    assert told(source) == [["h[t]"]]
    assert "\n        # twice[t] = " in source


def test_a_loop_does_not_name_an_output_that_is_a_parameter(t):
    x, a = uf.input("x", 2, over=t), uf.param("a", 2)
    h = uf.var("h", 2, over=t)
    h[0] = 0
    h[t] = uf.tanh(uf.maximum(h[t - 1], x[t]))
    assert told(uf.graph(h=h[t], y=a, ht=a).code()) == [["h[t]"]]
