"""Nodes: immutable, compared by identity, honest about what they are not."""

import copy
import gc
import math
import weakref

import numpy as np
import pytest

import unfold as uf
from unfold.core.errors import BadName, DefinitionError, UnfoldError
from unfold.core.leaves import Constant, as_node, kind_of
from unfold.core.node import FUNCTIONS, OPERATIONS, Node, register
from unfold.core.op import Elementwise, enlist, operation


@pytest.fixture
def x(t):
    return uf.input("x", 3, over=t)[t]


# ---------------------------------------------------------------------- what a node is
def test_a_node_says_what_it_is(t, x):
    assert repr(x) == "<x[t]: float (3) over t>"
    assert (x.shape, x.ndim, x.dtype, x.axes) == ((3,), 1, "float", (t,))
    assert x.where.endswith(tuple(f"test_nodes.py:{n}" for n in range(1, 60)))


def test_nodes_cannot_be_changed(x):
    for name in ("op", "shape", "inputs", "name"):
        with pytest.raises(AttributeError, match="nodes are immutable"):
            setattr(x, name, None)


def test_nodes_are_equal_only_to_themselves():
    a = uf.param("a")
    one, other = a + 1, a + 1
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


@pytest.mark.parametrize("other", [0, 1.5, np.ones(3), np.float64(2), True])
def test_a_comparison_with_a_number_points_to_equal(x, other):
    for compare in (lambda: x == other, lambda: x != other):
        with pytest.raises(DefinitionError, match=r"nodes compare by identity; write uf\.equal"):
            compare()


def test_a_node_is_let_go_when_nobody_holds_it():
    node = uf.tanh(uf.param("a"))
    seen = weakref.ref(node)
    del node
    gc.collect()
    assert seen() is None


def test_constants_are_equal_by_bytes_dtype_and_shape():
    def c(value):
        return Constant(np.asarray(value))

    assert c(0.0) == c(0.0)
    assert hash(c(0.0)) == hash(c(0.0))
    assert c(0.0) != c(-0.0)
    assert c(1) != c(True)
    assert c(1) != c(1.0)
    assert c([1.0]) != c(1.0)
    assert c(np.nan) == c(np.nan)


def test_a_constant_is_a_copy_that_nobody_can_write():
    array = np.ones(2)
    node = uf.constant(array)
    array[0] = 5
    assert node.op.value.tolist() == [1, 1]
    with pytest.raises(ValueError, match="read-only"):
        node.op.value[0] = 3


# ---------------------------------------------------------------------- what a node is not
def test_a_node_has_no_truth(x):
    with pytest.raises(DefinitionError, match=r"the truth of x\[t\] > 0 is not known .* use uf.where"):
        assert x > 0
    with pytest.raises(DefinitionError, match=r"use uf\.where"):
        max(x, 0)
    with pytest.raises(DefinitionError, match=r"use uf\.where"):
        assert 0 < x < 1


def test_a_node_is_no_sequence(x):
    for use in (list, tuple, sum, lambda v: [*v], lambda v: 3 in v):
        with pytest.raises(
            DefinitionError, match=r"x\[t\] cannot be iterated over; read its entries by index"
        ):
            use(x)
    with pytest.raises(TypeError):
        len(x)


@pytest.mark.parametrize("use", [float, complex, int, math.tanh])
def test_a_node_is_no_number(x, use):
    with pytest.raises(DefinitionError, match=r"x\[t\] is an expression, not a number; call a graph"):
        use(x)


@pytest.mark.parametrize(
    "use", [np.array, np.asarray, lambda v: np.array([v, v]), lambda v: np.ones(3).dot(v)]
)
def test_a_node_is_no_array(x, use):
    with pytest.raises(DefinitionError, match="is an expression, not an array; call a graph to get values"):
        use(x)


@pytest.mark.parametrize("value", [None, "x", object(), {"a": 1}, b"x", [1, "a"]])
def test_other_things_cannot_stand_in_an_expression(value):
    with pytest.raises(DefinitionError, match="cannot stand in an expression"):
        uf.tanh(value)


def test_a_list_of_expressions_points_to_stack(x):
    with pytest.raises(DefinitionError, match=r"use uf\.stack or uf\.concat"):
        uf.tanh([x, x])


def test_a_variable_over_an_axis_must_be_read(t):
    h = uf.var("h", over=t)
    for use in (lambda: h + 1, lambda: uf.tanh(h), lambda: 2 * h):
        with pytest.raises(DefinitionError, match=r"h is over t: write h\[t\]"):
            use()


# ---------------------------------------------------------------------- operators
OPERATORS = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b, lambda a, b: abs(a) ** b,
    lambda a, b: -a, lambda a, b: +a, lambda a, b: abs(a - b), lambda a, b: a < b, lambda a, b: a <= b,
    lambda a, b: a > b, lambda a, b: a >= b, lambda a, b: (a < b) & (b > 1), lambda a, b: (a < b) | (b > 1),
    lambda a, b: ~(a < b), lambda a, b: a @ b,
]  # fmt: skip


@pytest.mark.parametrize("operator", OPERATORS, ids=range(len(OPERATORS)))
def test_python_operators_mean_what_they_mean_in_numpy(operator):
    one, two = np.array([0.5, -2.0, 3.0]), np.array([1.5, 1.0, 3.0])
    a, b = uf.param("a", 3), uf.param("b", 3)
    forms = {"both": operator(a, b), "left": operator(a, two), "right": operator(one, b)}
    expected = operator(one, two)
    for form in forms.values():
        if not isinstance(form, Node):  # only one operand counts: nothing to compare
            continue
        graph = uf.graph(y=form)
        given = {n: v for n, v in {"a": one, "b": two}.items() if n in graph.params}
        value = graph.compile("reference")(**given).y
        np.testing.assert_allclose(value, expected)
        assert np.asarray(value).dtype == expected.dtype


def test_an_array_on_the_left_makes_one_node_not_an_array_of_nodes(x):
    assert isinstance(np.ones(3) * x, Node)
    assert isinstance(np.float64(2) - x, Node)
    assert isinstance(np.ones((2, 3)) @ x, Node)


def test_an_axis_stands_for_its_step_in_arithmetic(t, x):
    graph = uf.graph(a=t * x, b=x + t, c=t - x, d=x * t.last)
    out = graph.compile("reference")(x=np.ones((2, 3)))
    assert out.a[:, 0].tolist() == [1, 2]
    assert out.b[:, 0].tolist() == [2, 3]
    assert out.c[:, 0].tolist() == [0, 1]
    assert out.d[:, 0].tolist() == [2, 2]


def test_augmented_assignment_makes_a_new_node(x):
    y = before = x + 1
    y += 1
    assert y is not before


def test_methods_are_the_functions(x):
    W = uf.param("W", 2, 3)
    assert W.T.shape == (3, 2)
    assert x.sum().shape == ()
    assert x.mean().shape == ()
    assert x.max().shape == ()
    assert W.reshape(6).shape == W.reshape((6,)).shape == W.reshape(-1).shape == (6,)
    assert x[0].shape == ()
    assert x[None, 1:].shape == (1, 2)
    assert str(x.named("a")) == "a[t]"


# ---------------------------------------------------------------------- dtypes and registration
@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        (bool, "bool"),
        (int, "int"),
        (np.uint8, "int"),
        (np.float32, "float"),
        (float, "float"),
        ("c8", "complex"),
    ],
)
def test_a_dtype_is_a_kind(dtype, kind):
    assert kind_of(dtype) == kind
    assert uf.param("a", dtype=dtype).dtype == kind


def test_kinds_promote_to_the_widest():
    i, f, c, b = (uf.param(n, dtype=d) for n, d in zip("ifcb", (int, float, complex, bool), strict=True))
    assert (i + f).dtype == "float"
    assert (f * c).dtype == "complex"
    assert (b * i).dtype == "int"
    assert (i / i).dtype == "float"
    assert uf.tanh(i).dtype == "float"
    assert (i < f).dtype == "bool"


def test_an_operation_of_the_user_runs_and_differentiates():
    class Cubed(Elementwise):
        """a ** 3"""

        def forward(self, xp, a):
            return a * a * a

        def vjp(self, ct, y, a):
            return (ct * 3 * a * a,)

    cubed = operation(Cubed)
    graph = uf.graph(y=cubed(uf.param("a")))
    assert graph.compile("reference")(a=2.0).y == 8
    assert graph.grad("y").compile("reference")(a=2.0)["a"] == 12
    assert cubed.__doc__ == "a ** 3"

    class Tanh(Elementwise):
        """taken"""

    with pytest.raises(BadName, match="there is an operation 'tanh' already"):
        enlist(Tanh)


class Tanh(Elementwise):
    """Named like a class of the library, and as high in its module."""


def test_a_class_of_a_module_takes_no_name_that_another_module_has():
    before = OPERATIONS["tanh"], FUNCTIONS["tanh"]
    for give in (enlist, operation):
        with pytest.raises(BadName, match=r"there is an operation .tanh. already: unfold\.ops"):
            give(Tanh)
    assert (OPERATIONS["tanh"], FUNCTIONS["tanh"]) == before


def test_a_function_takes_no_name_that_another_module_has():
    def tanh(x):
        """another"""

    before = FUNCTIONS["tanh"]
    with pytest.raises(BadName, match="there is an operation 'tanh' already"):
        register(tanh)
    assert FUNCTIONS["tanh"] is before


def test_a_cell_that_is_run_twice_replaces_its_own_operation():
    cell = """
class Quartered(Elementwise):
    "a / 4"
    def forward(self, xp, a): return a / 4
    def vjp(self, ct, y, a): return (ct / 4,)
quartered = operation(Quartered)
"""
    first = {"__name__": "__main__", "Elementwise": Elementwise, "operation": operation}
    second = dict(first)
    try:
        exec(cell, first)
        exec(cell.replace("/ 4", "* 0.25"), second)
        assert OPERATIONS["quartered"] is second["Quartered"]
        assert FUNCTIONS["quartered"] is second["quartered"]
        assert uf.graph(y=second["quartered"](uf.param("a")))(a=2.0).y == 0.5
    finally:
        for table in (OPERATIONS, FUNCTIONS):
            table.pop("quartered", None)


def test_what_numpy_offers_and_we_do_not_says_so(x):
    with pytest.raises(UnfoldError, match=r"numpy\.\w+ is not available on expressions"):
        np.nextafter(x, 1.0)


def test_nodes_may_be_copied_shallowly_as_themselves():
    node = as_node(1.0)
    assert as_node(node) is node
    assert copy.copy([node])[0] is node
