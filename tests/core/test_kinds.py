"""Words out of a few are their texts."""

import json
import pickle

import numpy as np
import pytest

import unfold as uf
from unfold.analysis.arrows import ArrowKind, arrows
from unfold.core.axis import Axis, Index
from unfold.core.kinds import INEXACT, KINDS, Dtype, IndexKind, Role
from unfold.core.leaves import Symbol


@pytest.mark.parametrize("word", [*Dtype, *IndexKind, *Role, *ArrowKind])
def test_a_word_is_its_text(word):
    assert word == str(word) == f"{word}" == json.loads(json.dumps(word))
    assert repr(word) == repr(str(word))
    assert hash(word) == hash(str(word))
    assert pickle.loads(pickle.dumps(word)) is word


def test_dtypes_stand_from_the_narrowest_to_the_widest():
    assert KINDS == ("bool", "int", "float", "complex")
    assert INEXACT == ("float", "complex")


def test_whatever_numpy_calls_a_dtype_becomes_a_kind():
    assert uf.input("x", dtype="float32").dtype is Dtype.FLOAT
    assert uf.input("k", dtype=np.uint8).dtype is Dtype.INT
    assert (uf.input("z", dtype=complex) * 1.0).dtype is Dtype.COMPLEX
    assert (uf.input("x") < 1).dtype is Dtype.BOOL


def test_indices_have_kinds():
    t = Axis("t")
    kinds = [i.kind for i in (t - 1, t.first, t.last + 1, t.last + 1 - t)]
    assert kinds == [IndexKind.NOW, IndexKind.AT, IndexKind.LAST, IndexKind.BACK]
    assert Index(t, IndexKind.NOW, -1) == t - 1


def test_derivatives_know_their_role():
    t = uf.axis("t")
    w, s = uf.param("w"), uf.var("s", over=t)
    s[0] = 1
    s[t] = w * s[t - 1]
    graph = uf.graph(s=s[t.last])
    for derivative, role in ((graph.grad("s"), Role.ADJOINT), (graph.jvp(), Role.TANGENT)):
        roles = {u.op.role for u in derivative.order if isinstance(u.op, Symbol)}
        assert roles == {Role.PLAIN, role}
    assert {a.kind for a in arrows(graph)} == {ArrowKind.DELAY, ArrowKind.READ, ArrowKind.BOUNDARY}


def test_a_graph_that_was_stored_has_the_same_words():
    graph = uf.systems.rnn(input=2, hidden=3, classes=2).grad("loss")
    again = uf.Graph.from_json(graph.to_json())
    assert all(isinstance(u.dtype, Dtype) for u in again.order)
    assert str(again) == str(graph)
