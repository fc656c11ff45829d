"""From the arrays of a call to the sizes of axes and dimensions, with one clear error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.errors import BindingError, DefinitionError
from unfold.core.kinds import KINDS, Dtype
from unfold.core.leaves import Input, Named, kind_of
from unfold.core.node import Node
from unfold.core.system import System, by_label, signature

Array = NDArray[Any]
Taken = tuple[Node, tuple[Axis | int, ...]]  # a leaf that reads an array, its leading dimensions


@dataclass
class Binding:
    """What a call fixes: an array for each leaf, sizes of dimensions and axes, the dtype."""

    arrays: dict[str, Array]
    dtype: np.dtype[Any]
    sizes: dict[str, int] = field(default_factory=dict)
    extents: dict[Axis, int] = field(default_factory=dict)

    def leaf(self, node: Node) -> Array:
        """The array of an input or parameter; for `x[3]` of an unfolded graph, that step."""
        op = node.op
        assert isinstance(op, Named)
        array = self.arrays[op.label]
        if any(isinstance(i, int) for i in op.index):
            array = array[tuple(i - 1 if isinstance(i, int) else slice(None) for i in op.index)]
        return array

    def dtype_of(self, kind: str) -> np.dtype[Any]:
        """The NumPy dtype in which values of a kind are computed."""
        if kind == "complex":
            return np.result_type(self.dtype, np.complex64)
        return np.dtype({"bool": np.bool_, "int": np.int64}.get(kind, self.dtype))


def bind(graph: System, arrays: Mapping[str, Any], holomorphic: bool = True) -> Binding:
    """Check the arrays of a call against a graph. Raises `BindingError`. With `holomorphic`, numbers
    declared float may be complex ones: a complex step."""
    leaves = by_label(graph)
    taken = signature(graph)
    leaves.update({n: [taken[n][0]] for n in arrays if n in taken and n not in leaves})
    lengths = {a: arrays[a.name] for a in graph.axes if a.name in arrays and a.name not in leaves}
    _check_names(arrays, leaves, taken, {a.name for a in lengths})
    result = _converted(arrays, leaves, holomorphic)
    result.extents.update({a: _length(a, n) for a, n in lengths.items()})
    _Solving(result, {name: taken[name] for name in leaves}).all()
    _complete(graph, result)
    check_lengths(graph, result.arrays, result.extents)
    return result


def _check_names(
    arrays: Iterable[str], leaves: Mapping[str, list[Node]], taken: Mapping[str, Taken], lengths: set[str]
) -> None:
    """Whether what is given are the arrays of the graph, and the lengths of axes."""
    unknown = [name for name in arrays if name not in leaves and name not in lengths]
    missing = [name for name in leaves if name not in arrays]
    if unknown:
        names = missing or list(leaves)
        near = [n for n in names if n.lower() == unknown[0].lower()]
        near = near or difflib.get_close_matches(unknown[0], names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise BindingError(f"unknown argument {unknown[0]!r}: this graph takes {', '.join(leaves)}{hint}")
    if missing:
        raise BindingError(
            f"missing {'argument' if len(missing) == 1 else 'arguments'} "
            + ", ".join(f"{name} {_wanted(*taken[name])}" for name in missing)
        )


def _converted(arrays: Mapping[str, Any], leaves: Mapping[str, list[Node]], holomorphic: bool) -> Binding:
    """The arrays in the one precision that the call is computed in."""
    given = {name: _array(name, arrays[name], nodes[0].dtype, holomorphic) for name, nodes in leaves.items()}
    # numbers declared complex do not make the others complex; a complex step does
    inexact = [
        a.real.dtype if leaves[name][0].dtype == "complex" else a.dtype
        for name, a in given.items()
        if a.dtype.kind in "fc"
    ]
    result = Binding(given, np.result_type(*inexact) if inexact else np.dtype(np.float64))
    for name, nodes in leaves.items():
        result.arrays[name] = given[name].astype(result.dtype_of(nodes[0].dtype), copy=False)
    return result


def _complete(graph: System, result: Binding) -> None:
    """The lengths of fixed axes; raises where nothing says how long or how large something is."""
    for axis in graph.axes:
        if axis not in result.extents and axis.size is None:
            raise BindingError(
                f"nothing says how long axis {axis.name} is: no input is over it; "
                f"pass {axis.name}=<number of steps>, or fix it with uf.axis({axis.name!r}, size=...)"
            )
    named = {d for u in graph.order for d in u.shape} | {a.size or 0 for a in graph.axes}
    unbound = sorted({n for d in named for n in dims.names(d)} - set(result.sizes))
    if unbound:
        raise BindingError(
            f"nothing says how large dimension {unbound[0]!r} is: no array of this call has it"
        )
    for axis in graph.axes:
        result.extents.setdefault(axis, dims.evaluate(axis.size or 0, result.sizes))
    if 0 in result.extents.values() or 0 in result.sizes.values():
        for node in graph.order:
            _check_empty(node, result)


def _check_empty(node: Node, result: Binding) -> None:
    """The greatest of nothing is no number; all other sums, products and the like are."""
    if node.op.name not in ("max", "argmax"):
        return
    shape = node.inputs[0].shape
    for over in node.op.parameters["over"]:
        axis = isinstance(over, Axis)
        n = result.extents[over] if axis else dims.evaluate(shape[over], result.sizes)
        what = f"axis {over.name} has no steps" if axis else f"dimension {shape[over]} is 0"
        if n == 0:
            raise BindingError(
                f"{node} is the greatest or least of nothing: {what}"
                + (f" ({node.where})" if node.where else "")
            )


def check_lengths(graph: System, arrays: Mapping[str, Any], extents: Mapping[Axis, int]) -> None:
    """Whether the lengths of sequences in a call (see `batch`) fit their axis. Raises `BindingError`."""
    for name, nodes in by_label(graph).items():
        most = nodes[0].op.most if isinstance(nodes[0].op, Input) else None
        if most is not None and most in extents and name in arrays:
            bad = [n for n in np.ravel(arrays[name]).tolist() if not 0 <= n <= extents[most]]
            if bad:
                raise BindingError(
                    f"{name}: {bad[0]} is no length of a sequence of {extents[most]} steps of {most.name}"
                )


def _wanted(node: Node, lead: Iterable[Axis | int]) -> str:
    shown = [a.length if isinstance(a, Axis) else a for a in lead]
    kind = "" if node.dtype == "float" else f" of {node.dtype}"
    return dims.show((*shown, *node.shape)) + kind


def _length(axis: Axis, steps: Any) -> int:
    whole = not isinstance(steps, bool) and hasattr(steps, "__index__") and np.ndim(steps) == 0
    if not whole or int(steps) < 0:
        raise BindingError(f"{axis.name}={steps!r}: the length of an axis is a number of steps")
    if axis.size not in (None, int(steps)):
        raise BindingError(f"{axis.name}={steps}: axis {axis.name} is fixed at {axis.size}")
    return int(steps)


def _array(name: str, value: Any, kind: Dtype, holomorphic: bool) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise BindingError(
            f"{name} is a masked array, and a mask has no meaning here: give {name}.filled(...), pass the "
            f"mask as an input of its own for uf.where, or the lengths of sequences to graph.batch(lengths=)"
        )
    try:
        array = np.asarray(value)
        have = kind_of(array.dtype)
    except (DefinitionError, ValueError, TypeError) as error:
        raise BindingError(f"{name}: {type(value).__name__} is no array of numbers: {error}") from None
    if array.size == 0 and have == "float":
        have = min(have, kind, key=KINDS.index)
    step = holomorphic and kind == "float" and have == "complex"
    if KINDS.index(have) > KINDS.index(kind) and not step:
        raise BindingError(f"{name} is declared {kind}, the array is {array.dtype}")
    return array


class _Solving:
    """Axis lengths and dimension sizes from shapes; what bound each is kept for messages."""

    def __init__(self, result: Binding, taken: Mapping[str, Taken]) -> None:
        self.result, self.taken = result, taken
        self.binder: dict[Axis | str, str] = dict.fromkeys(result.extents, "the call")
        self.waiting: list[tuple[str, dims.Dim, int]] = []  # (array, dimension, its size)

    def all(self) -> None:
        """Fills the binding; raises `BindingError` where two arrays disagree."""
        for name in self.taken:
            self._read(name)
        found = True
        while found:
            found = False
            for equation in self.waiting:
                found |= self._solved(*equation)
        for name, dim, n in self.waiting:
            self._check(name, dim, n)

    def _read(self, name: str) -> None:
        """What one array says: its leading axes at once, the rest when all are known."""
        node, lead = self.taken[name]
        array = self.result.arrays[name]
        if array.ndim != len(lead) + len(node.shape):
            raise BindingError(
                f"{name} should be {_wanted(node, lead)}, the array is {dims.show(array.shape)}"
            )
        for place, n in zip(lead, array.shape, strict=False):
            if isinstance(place, Axis):
                self._steps(name, place, n)
            elif place != n:
                raise self._disagree(name, n, "", "the unfolding", place)
        self.waiting += [(name, d, n) for d, n in zip(node.shape, array.shape[len(lead) :], strict=True)]

    def _steps(self, name: str, axis: Axis, n: int) -> None:
        have = self.result.extents.setdefault(axis, n)
        who = self.binder.setdefault(axis, name)
        if isinstance(axis.size, int) and axis.size != n:
            raise BindingError(f"{name} has {n} steps, axis {axis.name} is fixed at {axis.size}")
        if isinstance(axis.size, str):
            self.waiting.append((name, axis.size, n))
        if have != n:
            raise self._disagree(name, n, f" of {axis.name}", who, have)

    def _disagree(self, name: str, n: int, axis: str, who: str, have: int) -> BindingError:
        shape = dims.show(self.result.arrays[name].shape)
        return BindingError(
            f"{name} has {n} steps{axis}, {who} has {have}; "
            f"{name} should be {_wanted(*self.taken[name])}, it is {shape}"
        )

    def _solved(self, name: str, dim: dims.Dim, n: int) -> bool:
        """Whether this tells the size of a dimension that was unknown."""
        found = None if isinstance(dim, int) else dims.solve(dim, n, self.result.sizes)
        if found:
            self.result.sizes[found[0]] = found[1]
            self.binder[found[0]] = name
        return found is not None

    def _check(self, name: str, dim: dims.Dim, n: int) -> None:
        sizes = self.result.sizes
        known = isinstance(dim, int) or dims.names(dim) <= set(sizes)
        if known and dims.evaluate(dim, sizes) != n:
            who = ", ".join(f"{m} = {sizes[m]} from {self.binder[m]}" for m in sorted(dims.names(dim)))
            shape = dims.show(self.result.arrays[name].shape)
            raise BindingError(
                f"{name} should be {_wanted(*self.taken[name])}, the array is {shape}: {dim} is not {n}"
                + (f" ({who})" if who else "")
            )
