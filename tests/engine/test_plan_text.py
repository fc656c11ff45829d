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


def told(source: str) -> list[dict[str, str]]:
    """The equations in the comment before each loop, by what they define."""
    blocks = re.findall(r"# step by step, \w+ over \w+:\n((?: *#     .*\n)*)", source)
    return [dict(re.findall(r"#     (.*?) = (.*)", block)) for block in blocks]


def holds(found: list[dict[str, str]], wanted: list[list[str]]) -> None:
    """These equations are named, each after those it reads at its own step."""
    assert [set(block) for block in found] == [set(names) for names in wanted]
    for block in found:
        for name, right in block.items():
            read = [other for other in block if re.search(rf"(?<!\w){re.escape(other)}", right)]
            places = [list(block).index(other) for other in read]
            assert all(place < list(block).index(name) for place in places), name


@pytest.mark.parametrize("name", FORWARD)
def test_a_loop_names_what_its_steps_compute(name):
    holds(told(uf.systems.SYSTEMS[name]().code()), FORWARD[name])


@pytest.mark.parametrize("name", BACKWARD)
def test_a_loop_backward_names_the_adjoints_that_its_steps_compute(name):
    holds(told(uf.systems.SYSTEMS[name]().code("loss")), FORWARD[name] + BACKWARD[name])


def test_a_loop_does_not_name_what_it_only_looks_at(t):
    x, W = uf.input("x", 3, over=t), uf.param("W", 2, 2)
    h, part, twice = uf.var("h", 2, over=t), uf.var("part", 2, over=t), uf.var("twice", 2, over=t)
    h[0] = 0
    part[t] = x[t][:2]
    twice[t] = 2 * x[t][1:]
    h[t] = uf.tanh(W @ h[t - 1] + part[t] * twice[t])
    source = uf.graph(h=h[t], part=part[t], twice=twice[t]).code()
    assert [*map(list, told(source))] == [["h[t]"]]
    assert "\n        # twice[t] = " in source


def test_a_loop_does_not_name_an_output_that_is_a_parameter(t):
    x, a = uf.input("x", 2, over=t), uf.param("a", 2)
    h = uf.var("h", 2, over=t)
    h[0] = 0
    h[t] = uf.tanh(uf.maximum(h[t - 1], x[t]))
    assert [*map(list, told(uf.graph(h=h[t], y=a, ht=a).code()))] == [["h[t]"]]
