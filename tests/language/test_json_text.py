"""JSON out and in: the same graph, the same bytes; anything else is refused with one error."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_systems import model

import unfold as uf
from unfold import systems
from unfold.core.errors import NotAGraph, UnfoldError
from unfold.core.leaves import Constant
from unfold.graph import Graph
from unfold.language.json_text import from_json, to_json


def assert_comes_back(graph):
    text = to_json(graph)
    again = from_json(text, Graph)
    assert to_json(again) == text
    assert str(again) == str(graph)
    assert len(again.order) == len(graph.order)
    for a, b in zip(graph.order, again.order, strict=True):
        assert (a.op, a.axes, a.shape, a.dtype) == (b.op, b.axes, b.shape, b.dtype)
        assert b.where == (a.where and Path(a.where).name)
    return again


@pytest.mark.parametrize("name", systems.all())
def test_every_system_its_gradient_and_its_unfolded_form_come_back(name):
    graph = systems.all()[name]()
    sizes = {a.name: a.size or 2 for a in graph.axes}
    for g in (graph, graph.grad("loss"), graph.unfold(**sizes), graph.grad("loss").unfold(**sizes)):
        assert_comes_back(g)


def test_no_folder_of_the_machine_is_written():
    t = uf.axis("t")
    s = uf.var("s", over=t)
    s[0] = 1.0
    s[t] = uf.tanh(s[t - 1])
    text = to_json(uf.graph(s=s))
    assert f'"where": "{Path(__file__).name}:' in text
    assert str(Path(__file__).parent) not in text


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_what_comes_back_computes_the_same(seed):
    m = model(seed, 3)
    again = assert_comes_back(m.graph)
    timed = any(x.axes for x in m.graph.inputs.values()) or not m.graph.axes
    arrays = m.arrays | ({} if timed else {"t": 3})
    one, other = (g.compile("reference")(**arrays) for g in (m.graph, again))
    np.testing.assert_array_equal(one.loss, other.loss)


def test_a_batch_with_lengths_and_a_tangent_come_back():
    assert_comes_back(systems.rnn().batch("n", lengths="len"))
    assert_comes_back(systems.rnn().jvp("loss", "W"))


def test_a_gradient_still_takes_the_arrays_that_nothing_reads():
    x, w = uf.input("x", "n"), uf.param("w", "n")
    again = assert_comes_back(uf.graph(loss=uf.sum(w * x)).grad("loss"))
    values = np.arange(3.0)
    np.testing.assert_array_equal(again(x=values, w=values).w, values)


@pytest.mark.parametrize(
    "value",
    [
        *(0.0, -0.0, 1, True, 0.1, 1e-300, float("inf"), float("nan"), 1j, complex(float("nan"), -0.0)),
        np.float32(0.1),
        np.array([[1.5, -2.0], [float("-inf"), 5e-324]]),
        np.zeros((0, 3)),
        np.arange(5, dtype=np.int16),
        np.array([True, False]),
        np.array(1, dtype=np.longdouble) / 3,
        np.arange(4.0).astype(">f8"),
    ],
    ids=str,
)
def test_constants_come_back_to_the_bit(value):
    again = from_json(to_json(uf.graph(y=uf.constant(value))), Graph)
    (have,) = [n.op.value for n in again.order if isinstance(n.op, Constant)]
    want = np.array(value)
    assert have.dtype == want.dtype.newbyteorder("=")
    assert have.shape == want.shape
    assert have.tobytes() == want.astype(want.dtype.newbyteorder("=")).tobytes()
    assert not have.flags.writeable


@settings(max_examples=60)
@given(st.text(min_size=1, max_size=12))
def test_any_name_the_language_takes_comes_back(name):
    try:
        graph = uf.graph(y=uf.param(name, "n") + 1)
    except UnfoldError:
        return
    again = assert_comes_back(graph)
    assert list(again.params) == list(graph.params)


# ---------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[1, NaN]", "NaN is no JSON number"),
        ("[" * 100_000, "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        ("[]", "does not begin with the format"),
        ('{"format": "other"}', "does not begin with the format 'unfold graph'"),
        (
            '{"format": "unfold graph", "version": 99}',
            "in version 99 .* reads version 1; write it again",
        ),
        ('{"format": "unfold graph", "version": 1}', "a damaged graph"),
    ],
)
def test_a_foreign_text_is_refused(text, message):
    with pytest.raises(NotAGraph, match=message):
        from_json(text, Graph)


def changed(change):
    data = json.loads(to_json(systems.rnn()))
    change(data)
    return json.dumps(data)


def node(data, op):
    return next(n for n in data["nodes"] if n["op"] == op)


DAMAGE = {
    "operation 'frobnicate' that is not known here": lambda d: node(d, "tanh").update(op="frobnicate"),
    "is not known here": lambda d: node(d, "tanh").update(op=["tanh"]),
    "has no parameter x": lambda d: node(d, "tanh").update({"with": {"x": 1}}),
    "a value of kind 'code'": lambda d: node(d, "delay")["with"].update(lag={"code": "1"}),
    "no node 999": lambda d: node(d, "tanh").update(inputs=[999]),
    "no node -1": lambda d: node(d, "tanh").update(inputs=[-1]),
    "tanh has 0 inputs": lambda d: node(d, "tanh").update(inputs=[]),
    "has dtype 'object'": lambda d: node(d, "tanh").update(dtype="object"),
    "gives shape": lambda d: node(d, "tanh").update(shape=["other"]),
    "has shape": lambda d: node(d, "param").update(shape=["b + a"]),
    "not a dimension": lambda d: node(d, "param").update(shape=["__import__('os')"]),
    "no axis 7": lambda d: node(d, "tanh").update(axes=[7]),
    "entries that are not known": lambda d: node(d, "tanh").update(extra=1),
    "an index 'sideways'": lambda d: node(d, "symbol")["with"]["index"]["tuple"].__setitem__(
        0, {"index": [0, "sideways", 0]}
    ),
    "is no variable": lambda d: d["definitions"][0].reverse(),
    "nothing defines": lambda d: d["definitions"].pop(),
    "is defined twice": lambda d: d["definitions"].append(d["definitions"][0]),
    "no outputs": lambda d: d.update(outputs={}),
    "a name has no control": lambda d: d["axes"].__setitem__(0, ["t\n", None]),
    "an axis of size -1": lambda d: d["axes"].__setitem__(0, ["t", -1]),
    "an array of object": lambda d: node(d, "constant")["with"]["value"]["array"].update(dtype="O"),
    "KeyError": lambda d: d.pop("outputs"),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_graph_is_refused_with_what_is_wrong(message):
    with pytest.raises(NotAGraph, match=message):
        from_json(changed(DAMAGE[message]), Graph)


def test_a_graph_that_no_order_computes_is_refused():
    def close(data):
        symbols = [k for k, n in enumerate(data["nodes"]) if n["op"] == "symbol"]
        delay = node(data, "delay")
        delay.update(op="tanh", inputs=delay["inputs"][:1])
        del delay["with"]
        assert symbols

    with pytest.raises(NotAGraph, match="has no delay"):
        from_json(changed(close), Graph)


@settings(max_examples=150)
@given(st.data())
def test_no_change_of_the_text_does_worse_than_being_refused(data):
    text = to_json(systems.rnn())
    at = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(at, min(len(text), at + 8)))
    put = data.draw(st.text('0123456789[]{},:"ntx -.', max_size=4))
    with suppress(NotAGraph):
        from_json(text[:at] + put + text[end:], Graph)


def test_a_parameter_that_json_cannot_hold_is_named():
    from dataclasses import dataclass
    from typing import Any

    from unfold.core.op import Elementwise, apply

    @dataclass(frozen=True)
    class Odd(Elementwise):
        """a"""

        thing: Any = None

    with pytest.raises(UnfoldError, match="odd: a parameter of type object cannot be written"):
        to_json(uf.graph(y=apply(Odd(object()), uf.param("a"))))
