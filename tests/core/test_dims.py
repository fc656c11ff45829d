"""Dimensions: polynomials with one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import unfold as uf
from unfold.core import dims
from unfold.core.errors import DefinitionError, ShapeMismatch

NAMES = st.sampled_from(["a", "b", "hidden", "in", "class", "λ", "_x1"])
SIZES = {"a": 2, "b": 3, "hidden": 5, "in": 7, "class": 1, "λ": 0, "_x1": 4}


@st.composite
def spelled(draw, depth=3):
    """A dimension as text, in parentheses enough to be safe."""
    kind = draw(st.integers(0, 4 if depth else 1))
    if kind == 0:
        return str(draw(st.integers(0, 9)))
    if kind == 1:
        return draw(NAMES)
    left, right = draw(spelled(depth - 1)), draw(spelled(depth - 1))
    return f"({left}){draw(st.sampled_from(['+', '-', '*', ' + ', ' * ']))}({right})"


def value(text):
    return eval(text.replace("in", "i_n").replace("class", "cl"), {}, {**SIZES, "i_n": 7, "cl": 1})


@given(spelled())
def test_the_one_spelling_is_spelled_like_itself_and_means_the_same(text):
    try:
        one = dims.canonical(text)
    except DefinitionError:
        assert value(text) < 0
        return
    assert dims.canonical(one) == one
    if value(text) >= 0:
        assert dims.evaluate(one, SIZES) == value(text)


@given(spelled(), spelled())
def test_arithmetic_agrees_with_numbers(a, b):
    for combine, expected in (
        (dims.add, value(a) + value(b)),
        (dims.subtract, value(a) - value(b)),
        (dims.multiply, value(a) * value(b)),
    ):
        if expected >= 0:
            assert dims.evaluate(combine(a, b), SIZES) == expected


@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 20))
def test_a_linear_dimension_is_solved_for_its_name(slope, offset, size):
    dim = dims.add(dims.multiply(slope, "n"), offset)
    total = slope * size + offset
    assert dims.solve(dim, total, {}) == ("n", size)
    assert dims.solve(dims.multiply(dim, "m"), 2 * total, {"m": 2}) == ("n", size)


def test_what_does_not_fix_a_name_solves_nothing():
    assert dims.solve("n*n", 9, {}) is None
    assert dims.solve("a*b", 6, {}) is None
    assert dims.solve("2*n", 3, {}) is None
    assert dims.solve("n + 5", 3, {}) is None


@pytest.mark.parametrize("text", ["in", "class", "lambda", "None", "True", "λ", "名"])
def test_any_identifier_is_a_name_also_a_word_of_python(text):
    assert dims.canonical(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "a/2",
        "2**3",
        "a;b",
        "f(a)",
        "1.5",
        "a.b",
        "'a'",
        "a,b",
        "+" * 5000,
        "(" * 5000,
        "9" * 9999,
    ],
)
def test_text_that_is_no_dimension_is_refused(text):
    with pytest.raises(
        DefinitionError, match=r"not a dimension: .* write an integer, a name, or sums and products"
    ):
        dims.canonical(text)


@pytest.mark.parametrize("dim", [-1, "0 - 3", "-2"])
def test_a_negative_dimension_is_refused(dim):
    with pytest.raises(DefinitionError, match="a dimension cannot be negative: -"):
        uf.param("W", dim)


@pytest.mark.parametrize("dim", [1.0, None, True, (3,), b"a"])
def test_other_things_are_no_dimensions(dim):
    with pytest.raises(DefinitionError, match="a dimension is an integer or a name, not"):
        uf.param("W", dim)


def test_a_dimension_that_becomes_negative_says_with_which_sizes():
    with pytest.raises(ShapeMismatch, match=r"dimension hidden - 5 would be -2 \(hidden = 3\)"):
        dims.evaluate("hidden - 5", {"hidden": 3})


def test_quotients_are_exact_or_refused():
    assert dims.divide("4*h + 2", 2) == "2*h + 1"
    with pytest.raises(ShapeMismatch, match="cannot be split into 3 equal parts"):
        dims.divide("h", 3)


def test_zero_and_one_are_dimensions_like_any():
    assert uf.param("W", 0, 1).shape == (0, 1)
    assert dims.show(("hidden", 0)) == "(hidden, 0)"
