"""Every message of the language: what, where, what to do."""

import re

import numpy as np
import pytest

import unfold as uf
from unfold.core.errors import (
    DefinitionError,
    InstantaneousLoop,
    MissingBoundary,
    NotComputable,
    NotProven,
    OutOfRange,
    Redefined,
    ShapeMismatch,
    TwoWayTime,
    Undefined,
    ZeroDelayLoop,
)

LINE = r"\S*?test_errors\.py:\d+"


def said(error, *fragments):
    """The message holds every fragment, in this order."""
    text, at = str(error.value), 0
    for fragment in fragments:
        found = re.search(fragment, text[at:])
        assert found, f"{fragment!r} is not in {text[at:]!r} of {text!r}"
        at += found.end()
    return error.value


def scalars(t, names):
    return [uf.var(name, over=t) for name in names]


# ---------------------------------------------------------------------- loops
def test_a_cycle_without_delay_is_refused(t):
    h, g = scalars(t, "hg")
    h[t] = uf.tanh(g[t])
    g[t] = h[t] + 1
    with pytest.raises(InstantaneousLoop) as error:
        uf.graph(h=h[t])
    cycle = re.escape("h[t] -> g[t] -> h[t] has no delay; read h[t-1] or g[t-1] on one edge")
    e = said(error, cycle, rf"\({LINE}, {LINE}\)$")
    assert e.cycle == ["h", "g"]
    assert len(e.where) == 2


def test_a_variable_that_reads_itself_now_is_refused(t):
    (h,) = scalars(t, "h")
    h[t] = h[t] * 2
    with pytest.raises(InstantaneousLoop) as error:
        uf.graph(h=h[t])
    said(error, re.escape("h[t] -> h[t] has no delay; read h[t-1] on one edge"), LINE)


def test_a_constant_that_needs_itself_is_refused():
    a, b = uf.var("a"), uf.var("b")
    a[...] = b + 1
    b[...] = a * 2
    with pytest.raises(InstantaneousLoop) as error:
        uf.graph(a=a)
    said(error, "a -> b -> a has no delay; each needs the other's value first", LINE)


def test_a_cycle_on_a_grid_advises_a_delay_along_one_axis():
    i, j = uf.axis("i"), uf.axis("j")
    h = uf.var("h", over=(i, j))
    h[i, j] = uf.tanh(h[i, j])
    with pytest.raises(InstantaneousLoop) as error:
        uf.graph(h=h[i, j])
    said(error, re.escape("h[i, j] -> h[i, j] has no delay; read h[i-1, j] on one edge"))


def test_a_cycle_whose_lags_cancel_is_refused(t):
    h, g = scalars(t, "hg")
    for v in (h, g):
        v[0] = v[t.last + 1] = 0
    h[t] = g[t - 1] * 2
    g[t] = h[t + 1] + 1
    with pytest.raises(ZeroDelayLoop) as error:
        uf.graph(h=h[t])
    e = said(
        error,
        re.escape("h reads g at t-1 and g reads h at t+1: total delay 0: h[1] -> g[0] -> h[1]"),
        "make the delays of the loop add up to at least 1",
        rf"\({LINE}, {LINE}\)$",
    )
    assert (e.cycle, e.lags, len(e.where)) == (["h", "g"], [1, -1], 2)


def test_a_loop_both_ways_in_time_is_refused_with_the_smallest_cycle(t):
    (h,) = scalars(t, "h")
    h[0] = h[t.last + 1] = 0
    h[t] = h[t - 1] + h[t + 1]
    with pytest.raises(TwoWayTime) as error:
        uf.graph(h=h[t])
    e = said(
        error,
        re.escape("h needs h[t-1] and h[t+1]: no order exists for T >= 2: h[1] -> h[2] -> h[1]; "),
        "split it into two variables",
        LINE,
    )
    assert e.cycle == ["h"]
    assert sorted(e.lags) == [-1, 1]


def test_the_smallest_size_without_an_order_is_the_true_one(t):
    (h,) = scalars(t, "h")
    h[0] = h[-1] = h[t.last + 1] = 0
    h[t] = h[t - 2] + h[t + 1]
    with pytest.raises(TwoWayTime, match=re.escape("T >= 3: h[1] -> h[2] -> h[3] -> h[1]")):
        uf.graph(h=h[t])


def test_a_loop_both_ways_through_another_variable_names_it(t):
    h, g = scalars(t, "hg")
    for v in (h, g):
        v[0] = v[t.last + 1] = 0
    h[t] = h[t - 1] + g[t]
    g[t] = h[t + 1]
    with pytest.raises(TwoWayTime) as error:
        uf.graph(h=h[t])
    said(error, re.escape("h needs h[t-1] and h[t+1] (through g): no order exists for T >= 2"), LINE)


def test_two_axes_without_an_order_show_a_concrete_cycle():
    i, j = uf.axis("i"), uf.axis("j")
    h = uf.var("h", over=(i, j))
    h[0, j] = h[i.last + 1, j] = 0
    h[i, j] = h[i - 1, j] + h[i + 1, j]
    with pytest.raises(TwoWayTime) as error:
        uf.graph(h=h[i, j])
    said(error, re.escape("no order exists for I, J >= 2: h[1, 1] -> h[2, 1] -> h[1, 1]"), "split", LINE)


def test_what_was_not_proven_says_so():
    i, j = uf.axis("i"), uf.axis("j")
    u, v = uf.var("u", over=(i, j)), uf.var("v", over=(i, j))
    for w in (u, v):
        for p in (i, 0, i.last + 1):
            for q in (j, *range(-59, 1), *(j.last + k for k in range(1, 60))):
                if (p, q) != (i, j):
                    w[p, q] = 0
    u[i, j] = u[i - 1, j + 57] + v[i + 1, j - 58]
    v[i, j] = u[i, j] + v[i + 1, j - 56]
    with pytest.raises(NotProven) as error:
        uf.graph(u=u[i, j])
    said(error, "no order of computation was found for u, v over i, j", "does not prove", "size=")


def test_a_sum_over_the_axis_of_its_own_loop_is_refused(t):
    (h,) = scalars(t, "h")
    h[0] = 0
    h[t] = h[t - 1] + uf.sum(h[t], over=t)
    with pytest.raises(NotComputable) as error:
        uf.graph(h=h[t])
    said(error, "h -> h: sum over t needs every step of h along t", "outside the loop", LINE)


@pytest.mark.parametrize("what", ["a fixed read", "a reversed read", "softmax"])
def test_other_needs_of_the_whole_axis_inside_a_loop_are_refused(t, what):
    (h,) = scalars(t, "h")
    h[0] = 0
    whole = {
        "a fixed read": lambda: h[t.last],
        "a reversed read": lambda: h[t.last + 1 - t],
        "softmax": lambda: uf.softmax(h[t - 1], over=t),
    }
    h[t] = h[t - 1] + whole[what]()
    with pytest.raises(NotComputable, match=f"{what} over t needs every step of h along t"):
        uf.graph(h=h[t])


def test_a_sum_in_a_loop_does_not_hide_that_the_lags_alone_forbid_it():
    j, i = uf.axis("j"), uf.axis("i")
    h = uf.var("h", over=j)
    x = uf.input("x", over=i)
    h[0] = h[j.last + 1] = 0
    h[j] = h[j - 1] + h[j + 1] + uf.sum(h[j - 1] * x[i], over=i)
    with pytest.raises(TwoWayTime, match=re.escape("h needs h[j-1] and h[j+1]")):
        uf.graph(h=h[j])


# ---------------------------------------------------------------------- boundaries and equations
def test_a_boundary_given_in_part_says_which_is_missing(t):
    (h,) = scalars(t, "h")
    h[0] = 0
    h[t] = h[t - 2]
    with pytest.raises(MissingBoundary) as error:
        uf.graph(h=h[t])
    expected = "h[t-2] reads h[0] and h[-1]; h[0] is given, h[-1] is not: write h[-1] = ..."
    e = said(error, re.escape(expected), LINE)
    assert (e.variable, e.missing) == ("h", ["h[-1]"])


def test_a_boundary_after_the_end_is_asked_for_as_one_writes_it(t):
    (g,) = scalars(t, "g")
    g[t] = g[t + 2]
    with pytest.raises(MissingBoundary) as error:
        uf.graph(g=g[t])
    said(
        error,
        re.escape("g[t+2] reads g[T+1] and g[T+2]; nothing defines them: "),
        re.escape("write g[t.last + 1] = ...; g[t.last + 2] = ..."),
    )


def test_a_delayed_input_needs_its_boundary_too(t):
    x = uf.input("x", over=t)
    with pytest.raises(MissingBoundary, match=re.escape("write x[0] = ...")):
        uf.graph(y=x[t - 1])


def test_a_corner_of_a_grid_is_a_boundary_of_its_own():
    i, j = uf.axis("i"), uf.axis("j")
    h = uf.var("h", over=(i, j))
    h[0, j] = h[i, 0] = 0
    h[i, j] = h[i - 1, j - 1]
    with pytest.raises(MissingBoundary) as error:
        uf.graph(h=h[i, j])
    said(error, re.escape("h[i, 0] and h[0, j] are given, h[0, 0] is not: write h[0, 0] = ..."))


def test_a_variable_without_an_equation_is_undefined(t):
    h, g = scalars(t, "hg")
    h[t] = g[t] + 1
    with pytest.raises(Undefined) as error:
        uf.graph(h=h[t])
    e = said(error, rf"g\[t\] is read \({LINE}\)", r"write g\[t\] = \.\.\.", rf"declared at {LINE}")
    assert e.variable == "g"


def test_a_constant_without_an_equation_says_how_one_is_written():
    with pytest.raises(Undefined, match=re.escape("write C[...] = ...")):
        uf.graph(c=uf.var("C"))


def test_a_variable_may_be_read_before_its_equation(t):
    h, g = scalars(t, "hg")
    h[t] = g[t] + 1
    g[t] = uf.step(t)
    assert uf.graph(h=h[t])(t=2).h.tolist() == [2, 3]


def test_two_equations_for_one_place_name_both_lines(t):
    (h,) = scalars(t, "h")
    h[t] = 0.0
    with pytest.raises(Redefined) as error:
        h[t] = 1.0
    e = said(error, rf"h\[t\] is defined twice: at {LINE} and at {LINE}")
    first, second = (int(line.rpartition(":")[2]) for line in e.where)
    assert second == first + 2


@pytest.mark.parametrize("place", [1, 3, "last", "last-1"])
def test_a_step_inside_cannot_be_defined_on_its_own(t, place):
    (h,) = scalars(t, "h")
    index = {"last": t.last, "last-1": t.last - 1}.get(place, place)
    with pytest.raises(
        Redefined, match=r"defines a step inside 1\.\.T, which h\[t\] = \.\.\. defines already"
    ):
        h[index] = 0


def test_an_input_takes_no_equation(t):
    x = uf.input("x", over=t)
    with pytest.raises(Redefined, match="x is an input: its steps come with each call"):
        x[t] = 0.0


def test_an_equation_stands_at_the_axis_itself(t):
    (h,) = scalars(t, "h")
    with pytest.raises(DefinitionError, match=r"an equation defines h at t, not at t\+1; move the shift"):
        h[t + 1] = h[t]


# ---------------------------------------------------------------------- indices
def test_a_wrong_axis_is_named(t):
    x, j = uf.input("x", over=t), uf.axis("j")
    with pytest.raises(DefinitionError) as error:
        x[j - 1]
    said(error, re.escape("x[j-1]: x is over t, and j-1 is an index of j; write x[t], or declare it over j"))


def test_the_number_of_indices_is_that_of_the_axes(t):
    x = uf.input("x", "d", over=t)
    with pytest.raises(DefinitionError, match=re.escape("x is over t, so it takes 1 index(es), not 2")):
        x[t, 0]


def test_an_index_by_data_says_how_to_choose_by_data(t):
    x, k = uf.input("x", over=t), uf.input("k", dtype=int)
    with pytest.raises(DefinitionError) as error:
        x[k]
    said(error, "an index is t, t plus or minus whole steps", "to choose a step by data, sum over the axis")
    advice = str(error.value).partition("sum over the axis: ")[2]
    chosen = eval(advice, {"uf": uf, "x": x, "k": k, "t": t})
    assert uf.graph(y=chosen)(x=[3.0, 4.0, 5.0], k=2).y == 4.0


@pytest.mark.parametrize("key", [1.5, "a", None, slice(1, 2), True, 2j])
def test_other_things_are_no_index(t, key):
    with pytest.raises(
        DefinitionError, match=r"an index is t, t plus or minus whole steps, t\.last, or an integer"
    ):
        uf.input("x", over=t)[key]


@pytest.mark.parametrize("steps", [1.5, 0.5, True, np.float64(2)])
def test_an_index_moves_by_whole_steps(t, steps):
    with pytest.raises(DefinitionError, match="an index moves by whole steps"):
        t - steps


def test_indices_do_not_add_up(t):
    with pytest.raises(DefinitionError, match=re.escape("a reversed read is written t.last + 1 - t")):
        t + t


def test_a_value_without_an_axis_has_no_steps(t):
    with pytest.raises(DefinitionError, match="W is a value over no axis; declare it over an axis"):
        uf.param("W", 3)[t]


def test_a_fixed_read_outside_the_sequence_names_the_read_and_the_size(t):
    x = uf.input("x", over=t)
    g = uf.graph(y=x[3], z=x[t.last - 1])
    with pytest.raises(OutOfRange) as error:
        g.select("y").unfold(t=2)
    said(error, re.escape("x[3]"), r"outside 1\.\.T: here T = 2", LINE)
    with pytest.raises(OutOfRange, match="here T = 1, so it would be step 0"):
        g.select("z").compile("reference")(x=[1.0])


def test_a_fixed_read_outside_a_fixed_axis_is_refused_at_once():
    t = uf.axis("t", size=2)
    x = uf.input("x", over=t)
    with pytest.raises(OutOfRange, match="here T = 2"):
        uf.graph(y=x[3])


# ---------------------------------------------------------------------- shapes and dtypes
def test_a_product_that_does_not_fit_names_both_dimensions_and_what_bound_them(t):
    W, x = uf.param("W", "hidden", "hidden"), uf.input("x", "input", over=t)
    with pytest.raises(ShapeMismatch) as error:
        y = W @ x[t]  # noqa: F841
    e = said(
        error,
        re.escape("W @ x[t]: (hidden, hidden) @ (input): hidden is not input"),
        rf"hidden: W is \(hidden, hidden\), declared at {LINE}",
        rf"input: x\[t\] is \(input\), declared at {LINE}",
        re.escape("in `y = W @ x[t]"),
        LINE,
    )
    assert e.shapes == (("hidden", "hidden"), ("input",))
    assert re.search(LINE, e.where)


def test_a_sum_that_does_not_fit_finds_what_bound_the_dimensions_below(t):
    W, b = uf.param("W", "hidden", 3), uf.param("b", "classes")
    with pytest.raises(ShapeMismatch) as error:
        uf.tanh(W @ np.ones(3)) + b
    said(error, "add", "hidden is not classes", "hidden: W is", "classes: b is")


def test_an_equation_of_the_wrong_shape_names_the_declaration(t):
    h, U = uf.var("h", "hidden", over=t), uf.param("U", "hidden", "input")
    h[0] = 0
    with pytest.raises(ShapeMismatch) as error:
        h[t] = U.T @ h[t - 1]
    said(
        error,
        re.escape("h[t] = U.T @ h[t-1]: h is declared (hidden)"),
        LINE,
        re.escape("the right side is (input) (input: U is (hidden, input)"),
        re.escape("in `h[t] = U.T @ h[t - 1]`"),
    )


def test_a_number_for_a_whole_equation_says_how_to_repeat_it(t):
    h = uf.var("h", "hidden", over=t)
    with pytest.raises(ShapeMismatch, match=r"to repeat a number, uf\.broadcast_to"):
        h[t] = 0
    h[0] = 0  # a boundary may be a number


def test_an_equation_over_more_axes_than_its_variable_is_refused(t):
    s, x = uf.var("s"), uf.input("x", over=t)
    with pytest.raises(DefinitionError) as error:
        s[...] = x[t]
    said(error, "the right side varies over t, the left does not; sum over t", re.escape("[t.last]"), LINE)


def test_a_wider_dtype_than_declared_is_refused(t):
    k = uf.var("k", over=t, dtype=int)
    with pytest.raises(
        ShapeMismatch, match=r"k is declared int at .* the right side is float; declare it dtype=float"
    ):
        k[t] = 0.5


def test_a_dtype_that_is_no_number_is_refused():
    with pytest.raises(DefinitionError, match="is not a number; use bool, int, float or complex"):
        uf.param("a", dtype=str)
    with pytest.raises(DefinitionError, match="'nonsense' is no dtype"):
        uf.input("a", dtype="nonsense")
