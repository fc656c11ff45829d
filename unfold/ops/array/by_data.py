"""Indices that are data: integer expressions, and arrays of integers or booleans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unfold.core.dims import multiply, show
from unfold.core.errors import DefinitionError, ShapeMismatch
from unfold.core.kinds import Dtype
from unfold.core.leaves import as_node
from unfold.core.node import Node, call


def choose_by_data(a: Node, keys: list[Any]) -> Node:
    """a[keys], where some keys are integer expressions, or arrays of integers or booleans."""
    keys = [np.asarray(k) if isinstance(k, list) else k for k in keys]
    data = [k for k, key in enumerate(keys) if _is_data(key)]
    if any(isinstance(keys[k], Node) and keys[k].dtype == Dtype.BOOL for k in data):
        raise DefinitionError(
            f"{a}[condition]: how many entries there are would depend on data; "
            f"use uf.where(condition, a, 0), or a constant boolean array"
        )
    if len(data) == 1 and all(_is_slice(key) for k, key in enumerate(keys) if k not in data):
        return _one(a, keys, data[0])
    if data != list(range(len(data))) or any(as_node(keys[k]).dtype != Dtype.INT for k in data):
        raise DefinitionError(
            f"{a}[...]: indices by data go together only as the first ones (a[i, j, ...]), "
            f"or one of them among slices; index in two steps, or use uf.take(a, i, axis)"
        )
    return _first_ones(a, keys[: len(data)], keys[len(data) :])


def _is_data(key: Any) -> bool:
    return isinstance(key, Node | np.ndarray)


def _is_slice(key: Any) -> bool:
    return key is Ellipsis or isinstance(key, slice)


def _is_mask(key: Any) -> bool:
    return isinstance(key, np.ndarray) and key.dtype == bool


def _first_ones(a: Node, indices: Sequence[Any], rest: Sequence[Any]) -> Node:
    """a[i, j, ..., rest]: one index of all the dimensions that i, j, ... choose from."""
    sizes = a.shape[: len(indices)]
    flat: Any = 0
    for key, n in zip(indices, sizes, strict=True):
        i, size = as_node(key), call("extent", n)
        flat = flat * size + call("where", call("less", i, 0), i + size, i)
    a = call("reshape", a, (multiply(*sizes), *a.shape[len(indices) :]))
    out = call("take", a, flat)
    return out[(*[slice(None)] * len(flat.shape), *rest)] if rest else out


def _one(a: Node, keys: list[Any], at: int) -> Node:
    """a[keys] where one key, at a place, is data and all others are slices."""
    key = keys[at]
    used = key.ndim if _is_mask(key) else 1
    dots = next((k for k, x in enumerate(keys) if x is Ellipsis), None)
    if dots is not None:
        fill = len(a.shape) - (len(keys) - 1 + used - 1)
        keys = [*keys[:dots], *[slice(None)] * fill, *keys[dots + 1 :]]
        at = at + fill - 1 if dots < at else at
    a = a[(*keys[:at], *[slice(None)] * used, *keys[at + 1 :])]
    if _is_mask(key):
        a, key = _flattened(a, key, at), np.flatnonzero(key)
    if isinstance(key, np.ndarray):
        key = _from_zero(a, key, a.shape[at])
    return call("take", a, key, at)


def _flattened(a: Node, mask: np.ndarray[Any, Any], at: int) -> Node:
    """The value with the dimensions of a mask as one."""
    if a.shape[at : at + mask.ndim] != mask.shape:
        raise ShapeMismatch(
            f"{a}[mask]: the mask is {mask.shape}, the value {show(a.shape)}", shapes=(a.shape,)
        )
    return call("reshape", a, (*a.shape[:at], mask.size, *a.shape[at + mask.ndim :]))


def _from_zero(a: Node, key: np.ndarray[Any, Any], n: Any) -> np.ndarray[Any, Any]:
    """Constant indices into n entries, counted from 0 where n is a number."""
    if not isinstance(n, int):
        return key
    if key.size and not (-n <= key.min() and key.max() < n):
        raise ShapeMismatch(f"{a} has shape {show(a.shape)}: no index {key.tolist()}", shapes=(a.shape,))
    return key % n if n else key
