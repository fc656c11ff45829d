"""NumPy's functions on expressions: from its names, axes and defaults to ours."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from unfold.core.errors import UnfoldError
from unfold.core.leaves import as_node
from unfold.core.node import FUNCTIONS, SERVICES, Node, call

UFUNCS = {
    "absolute": "abs",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "conjugate": "conj",
    "degrees": "rad2deg",
    "fabs": "abs",
    "float_power": "power",
    "invert": "logical_not",
    "radians": "deg2rad",
    "true_divide": "divide",
}
REDUCE = {
    "add": "sum",
    "logaddexp": "logsumexp",
    "logical_and": "all",
    "logical_or": "any",
    "maximum": "max",
    "minimum": "min",
    "multiply": "prod",
}
ACCUMULATE = {"add": "cumsum", "maximum": "cummax", "minimum": "cummin", "multiply": "cumprod"}
RENAMED = {"amax": "max", "amin": "min", "around": "round", "var": "variance"}
FLATTENING = ("argmax", "argmin", "cumprod", "cumsum", "sort", "argsort", "take")  # where axis is None


def unsupported(what: str, why: str = "") -> UnfoldError:
    """The error for a NumPy function that expressions do not know."""
    near = difflib.get_close_matches(what.rsplit(".", 1)[-1], list(FUNCTIONS), 3, 0.5)
    hint = why or (f"near it there are {', '.join(near)}" if near else "")
    return UnfoldError(
        f"{what} is not available on expressions"
        + (f"; {hint}" if hint else "")
        + "; `unfold ops` lists what is"
    )


def apply_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Node:
    """`np.tanh(x)`, `array + x`, `np.add.reduce(x)`, `np.multiply.outer(x, y)`."""
    name = UFUNCS.get(ufunc.__name__, ufunc.__name__)
    written = f"numpy.{ufunc.__name__}" + (f".{method}" if method != "__call__" else "")
    given = {k: v for k, v in kwargs.items() if v is not None}
    allowed = {"reduce": {"axis", "keepdims"}, "accumulate": {"axis"}}.get(method, set())
    for key in given.keys() - allowed:
        raise unsupported(f"{written}(..., {key}=)", "values are not stored in place" if key == "out" else "")
    if method == "__call__" and name in FUNCTIONS:
        return call(name, *inputs)
    if method == "reduce" and name in REDUCE:
        return call(
            REDUCE[name], inputs[0], over=kwargs.get("axis", 0), keepdims=given.get("keepdims", False)
        )
    if method == "accumulate" and name in ACCUMULATE:
        return call(ACCUMULATE[name], inputs[0], over=given.get("axis", 0))
    if method == "outer" and name in FUNCTIONS:
        a, b = map(as_node, inputs)
        return call(name, call("reshape", a, (*a.shape, *(1,) * len(b.shape))), b)
    raise unsupported(written)


def apply_function(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """`np.concatenate([x, y])`, `np.sum(x, axis=0)`, `np.linalg.inv(x)`, ..."""
    written = f"{func.__module__}.{func.__name__}"
    name = RENAMED.get(func.__name__, func.__name__)
    function: Callable[..., Any] | None = SPECIAL.get(name, FUNCTIONS.get(name))
    if function is None:
        raise unsupported(written)
    ours = inspect.signature(function).parameters
    given = {k: v for k, v in kwargs.items() if v is not None and v is not np._NoValue}
    if (
        name in FLATTENING
        and "axis" not in given
        and len(args) < (3 if name == "take" else 2)
        and ("axis" in kwargs or name not in ("sort", "argsort"))
    ):
        args = (call("ravel", args[0]), *args[1:])
    if "over" in ours and "axis" in given:
        given["over"] = given.pop("axis")
    if "order" in ours and "ord" in given:
        given["order"] = given.pop("ord")
    try:
        inspect.signature(function).bind(*args, **given)
    except TypeError as error:
        raise unsupported(f"{written} with these arguments", str(error)) from None
    return function(*args, **given)


def _concatenate(values: Any, axis: int = 0) -> Node:
    return call("concat", *values, axis=axis)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Node:
    return call("clip", a, min if a_min is None else a_min, max if a_max is None else a_max)


def _pad(a: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0.0) -> Node:
    if mode != "constant":
        raise unsupported(f"numpy.pad(..., mode={mode!r})", "only constants are padded with")
    return call("pad", a, pad_width, constant_values)


def _diff(a: Any, n: int = 1, axis: int = -1) -> Node:
    return reduce(lambda x, _: call("diff", x, axis), range(n), as_node(a))


def _where(condition: Any, x: Any, y: Any) -> Node:
    return call("where", condition, x, y)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Node:
    if ord not in (None, 2, "fro") and axis is None and len(as_node(x).shape) > 1:
        raise unsupported(f"numpy.linalg.norm of a matrix with ord={ord!r}", "the Frobenius norm is")
    if ord == 2 and len(as_node(x).shape) == 2 and axis is None:
        raise unsupported("numpy.linalg.norm of a matrix with ord=2", "the Frobenius norm is")
    return call("norm", x, 2 if ord in (None, "fro") else ord, axis, keepdims)


def _take(a: Any, indices: Any, axis: int = 0) -> Node:
    return call("take", a, indices, axis)


def _broadcast_arrays(*values: Any) -> tuple[Node, ...]:
    nodes = [as_node(v) for v in values]
    shape = call("add", *(call("stop_gradient", n) for n in nodes)).shape
    return tuple(call("broadcast_to", n, shape) for n in nodes)


# functions whose arguments differ from ours by more than a name
SPECIAL: dict[str, Callable[..., Any]] = {
    "broadcast_arrays": _broadcast_arrays,
    "clip": _clip,
    "concatenate": _concatenate,
    "diff": _diff,
    "multi_dot": lambda arrays: reduce(lambda a, b: call("matmul", a, b), arrays),
    "ndim": lambda a: len(as_node(a).shape),
    "norm": _norm,
    "ones_like": lambda a: call("broadcast_to", 1.0, as_node(a).shape),
    "pad": _pad,
    "shape": lambda a: as_node(a).shape,
    "take": _take,
    "where": _where,
    "zeros_like": lambda a: call("broadcast_to", 0.0, as_node(a).shape),
}

SERVICES.update(ufunc=apply_ufunc, function=apply_function)
