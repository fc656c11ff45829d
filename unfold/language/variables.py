"""The language: axes, inputs, parameters, variables, and equations by `v[t] = ...`.

What is written here is collected by `uf.graph`, which replaces every read (`h[t-1]`) by
explicit delays and boundary values and checks that all of them are defined.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, overload

import numpy as np

from unfold.core import dims
from unfold.core.axis import Axis, Index, indexed, written
from unfold.core.dims import Dim, Shape, show
from unfold.core.errors import BadName, DefinitionError, MissingBoundary, Redefined, ShapeMismatch, Undefined
from unfold.core.kinds import KINDS, IndexKind
from unfold.core.leaves import Expression, Input, Named, Param, Symbol, as_node, check_name, kind_of
from unfold.core.node import Node, Operators, call, register
from unfold.core.op import bound
from unfold.core.source import caller, portable
from unfold.ops.time.delays import delay, read_at, reverse

Pattern = tuple[Index, ...]


@dataclass(frozen=True, eq=False)
class Read(Named):
    """`var[index]` as written; only in expressions, replaced when a graph is made."""

    var: Var = None  # type: ignore[assignment]

    @property
    def pattern(self) -> Pattern:
        """Where it is read; nothing is read at a number of its own before it is unfolded."""
        return tuple(i for i in self.index if isinstance(i, Index))

    @property
    def declared(self) -> str | None:
        """Where the variable was declared."""
        return self.var.where


class Var(Operators):
    """A variable over axes, defined by equations: `h[0] = 0`, `h[t] = tanh(...)`.

    Made by `uf.var` and `uf.input`. Without an axis it stands in expressions as it is and
    is defined by `v[...] = ...`.
    """

    def __init__(
        self, name: str, shape: Shape, axes: tuple[Axis, ...], dtype: str, where: str | None, given: bool
    ) -> None:
        self.name, self.shape, self.axes, self.dtype, self.where = name, shape, axes, dtype, where
        self.given = given  # an input: its steps 1..T come with each call
        leaf = Input(name) if given else Symbol(name, tuple(a.now for a in axes))
        self.symbols: dict[Pattern, Node] = {}
        self.bodies: dict[Pattern, Node] = {}
        if given:
            self.symbols[self._now] = Node(leaf, (), axes, shape, dtype, where)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "where": portable(self.where)}

    @property
    def _now(self) -> Pattern:
        return tuple(a.now for a in self.axes)

    def _pattern(self, key: Any) -> Pattern:
        keys = key if isinstance(key, tuple) else () if key is Ellipsis else (key,)
        if len(keys) != len(self.axes):
            over = ", ".join(a.name for a in self.axes) or "no axis"
            raise DefinitionError(
                f"{self.name} is over {over}, so it takes {len(self.axes)} index(es), not {len(keys)}"
            )
        return tuple(self._index(k, axis) for k, axis in zip(keys, self.axes, strict=True))

    def _index(self, key: Any, axis: Axis) -> Index:
        if isinstance(key, Axis):
            key = key.now
        if isinstance(key, Index):
            if key.axis != axis and key.kind != IndexKind.AT:
                raise DefinitionError(
                    f"{self.name}[{key!r}]: {self.name} is over {axis.name}, and {key!r} is an index of "
                    f"{key.axis.name}; write {self.name}[{axis.name}], or declare it over {key.axis.name}"
                )
            return Index(axis, key.kind, key.offset)
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            return Index(axis, IndexKind.AT, int(key))
        name, by_data = axis.name, isinstance(key, Operators | np.ndarray)
        choose = (
            "; to choose a step by data, sum over the axis: "
            f"uf.sum(uf.where(uf.equal(uf.step({name}), k), {self.name}[{name}], 0), over={name})"
        )
        raise DefinitionError(
            f"{self.name}[{key!r}]: an index is {name}, {name} plus or minus whole steps, {name}.last, "
            f"or an integer{choose if by_data else ''}"
        )

    def __getitem__(self, key: Any) -> Node:
        pattern = self._pattern(key)
        axes = tuple(k.axis for k in pattern if k.kind in (IndexKind.NOW, IndexKind.BACK))
        return Node(Read(self.name, pattern, self), (), axes, self.shape, self.dtype, caller())

    def __setitem__(self, key: Any, value: Any) -> None:
        pattern, where, body = self._pattern(key), caller(), as_node(value)
        lhs = indexed(self.name, pattern)
        for k in pattern:
            if k.kind == IndexKind.BACK or (k.kind == IndexKind.NOW and k.offset):
                raise DefinitionError(
                    f"{lhs} = ...: an equation defines {self.name} at {k.axis.name}, not at {k!r}; "
                    f"move the shift to the right side ({where})"
                )
            inside = (k.kind == IndexKind.AT and k.offset >= 1) or (k.kind == IndexKind.LAST and k.offset < 1)
            if inside:
                raise Redefined(
                    f"{lhs} = ... defines a step inside 1..{k.axis.length}, which {self.name}[{k.axis.name}] "
                    f"= ... defines already; boundary values lie at {self.name}[0] and before, or "
                    f"{self.name}[{k.axis.name}.last + 1] and after ({where})",
                    variable=self.name,
                    where=(where,),
                )
        if pattern in self.symbols:
            if self.given and pattern == self._now:
                raise Redefined(
                    f"{self.name} is an input: its steps come with each call and take no equation ({where})",
                    variable=self.name,
                    where=(self.where, where),
                )
            first = self.symbols[pattern].where
            raise Redefined(
                f"{lhs} is defined twice: at {first} and at {where}",
                variable=self.name,
                where=(first, where),
            )
        axes = tuple(k.axis for k in pattern if k.kind == IndexKind.NOW)
        self._check(lhs, body, axes, where, boundary=pattern != self._now)
        if body.shape != self.shape:
            body = call("broadcast_to", body, self.shape)
        self.bodies[pattern] = body
        self.symbols[pattern] = Node(Symbol(self.name, pattern), (), axes, self.shape, self.dtype, where)

    def _check(self, lhs: str, body: Node, axes: tuple[Axis, ...], where: str | None, boundary: bool) -> None:
        for axis in body.axes:
            if axis not in axes:
                raise DefinitionError(
                    f"{lhs} = {body}: the right side varies over {axis.name}, the left does not; "
                    f"sum over {axis.name}, read a fixed step such as [{axis.name}.last], or declare "
                    f"{self.name} over {axis.name} ({where})"
                )
        fits = body.shape == self.shape or (
            boundary
            and len(body.shape) <= len(self.shape)
            and all(b in (1, s) for b, s in zip(body.shape[::-1], self.shape[::-1], strict=False))
        )
        if not fits:
            odd = [d for d in body.shape if d not in self.shape and d != 1]
            repeat = "" if boundary or body.shape else "; to repeat a number, uf.broadcast_to(.., shape)"
            raise ShapeMismatch(
                f"{lhs} = {body}: {self.name} is declared {show(self.shape)} at {self.where}, "
                f"the right side is {show(body.shape)}" + (f" ({bound(odd[0], body)})" if odd else repeat),
                operation=lhs,
                shapes=(self.shape, body.shape),
                where=where,
            )
        if KINDS.index(body.dtype) > KINDS.index(self.dtype):
            raise ShapeMismatch(
                f"{lhs} = {body}: {self.name} is declared {self.dtype} at {self.where}, "
                f"the right side is {body.dtype}; declare it dtype={body.dtype}",
                operation=lhs,
                shapes=(self.shape, body.shape),
                where=where,
            )

    def __unfold_node__(self) -> Node:
        if self.axes:
            raise DefinitionError(
                f"{self.name} is over {', '.join(a.name for a in self.axes)}: "
                f"write {indexed(self.name, self.axes)}"
            )
        return self[()]

    def __repr__(self) -> str:
        over = f" over {', '.join(a.name for a in self.axes)}" if self.axes else ""
        return f"<{'input' if self.given else 'var'} {self.name}: {self.dtype} {show(self.shape)}{over}>"

    __str__ = __repr__

    # ------------------------------------------------------------------ from reads to delays
    def resolve(self, index: Pattern, where: str | None) -> Node:
        """The read as delays, fixed reads and reversals of this variable's symbols."""
        needed: dict[Pattern, None] = {}
        node = self._resolve((), index, needed)
        if missing := [p for p in needed if p not in self.symbols]:
            self._raise_missing(index, [p for p in needed if p != self._now], missing, where)
        assert node is not None
        if node.op.leaf:
            return node
        return Node(node.op, node.inputs, node.axes, node.shape, node.dtype, where)

    def _resolve(self, done: Pattern, rest: Pattern, needed: dict[Pattern, None]) -> Node | None:
        if not rest:
            needed[done] = None
            return self.symbols.get(done)
        k, later = rest[0], rest[1:]
        axis = k.axis

        def read(place: Index) -> Node | None:
            return self._resolve((*done, place), later, needed)

        if (k.kind == IndexKind.AT and k.offset < 1) or (k.kind == IndexKind.LAST and k.offset > 0):
            return read(k)
        body = read(axis.now)
        if k.kind in (IndexKind.AT, IndexKind.LAST):
            beyond = self._beyond(done, k, later)
            return None if body is None else read_at(body, k, *beyond)
        lag = -k.offset if k.kind == IndexKind.NOW else 1 - k.offset
        boundary = [read(_outside(axis, m, before=lag > 0)) for m in range(abs(lag))]
        given = [b for b in boundary if b is not None]
        if body is None or len(given) < len(boundary):
            return None
        moved = delay(body, axis, lag, *given)
        return moved if k.kind == IndexKind.NOW else reverse(moved, axis)

    def _beyond(self, done: Pattern, k: Index, later: Pattern) -> list[Node]:
        """The boundary that a sequence too short for a fixed read reaches, as far as it is defined."""
        beyond: list[Node] = []
        while True:
            place = _outside(k.axis, len(beyond), before=k.kind == IndexKind.LAST)
            value = self._resolve((*done, place), later, {})
            if value is None:
                return beyond
            beyond.append(value)

    def _raise_missing(
        self, index: Pattern, needed: list[Pattern], missing: list[Pattern], where: str | None
    ) -> NoReturn:
        def lhs(p: Pattern) -> str:
            return indexed(self.name, p)

        if self._now in missing:
            at = f" ({where})" if where else ""
            define = lhs(self._now) if self.axes else f"{self.name}[...]"
            raise Undefined(
                f"{lhs(index)} is read{at}, but nothing defines {lhs(self._now)}: "
                f"write {define} = ... (declared at {self.where})",
                variable=self.name,
                where=(self.where, where),
            )
        needed = list(dict.fromkeys([*needed, *missing]))
        given = [lhs(p) for p in needed if p not in missing]
        parts = [(given, "given"), ([lhs(p) for p in missing], "not")]
        said = [f"{_and(ps)} {'is' if len(ps) == 1 else 'are'} {what}" for ps, what in parts if ps]
        if not given:
            said = [f"nothing defines {'it' if len(missing) == 1 else 'them'}"]
        write = "; ".join(f"{indexed(self.name, map(written, p))} = ..." for p in missing)
        raise MissingBoundary(
            f"{lhs(index)} reads {_and([lhs(p) for p in needed])}; {', '.join(said)}: "
            f"write {write} ({where})",
            variable=self.name,
            missing=[lhs(p) for p in missing],
            where=where,
        )


def _outside(axis: Axis, m: int, before: bool) -> Index:
    """The m-th index outside the sequence, counted from 0: 0, -1, ... before it, T+1, T+2, ... after."""
    return Index(axis, IndexKind.AT, -m) if before else Index(axis, IndexKind.LAST, 1 + m)


def _and(parts: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def axis(name: str, size: int | None = None) -> Axis:
    """An index variable such as time: t = 1, 2, ..., T. `size` fixes T."""
    whole = isinstance(size, int | np.integer) and not isinstance(size, bool) and size >= 0
    if size is not None and not whole:
        raise DefinitionError(f"the size of axis {name!r} is a number of steps, not {size!r}")
    return Axis(check_name(name), None if size is None else int(size))


@overload
def input(name: str, *shape: Dim, dtype: Any = float) -> Node: ...
@overload
def input(name: str, *shape: Dim, over: Axis | Iterable[Axis], dtype: Any = float) -> Var: ...
def input(name: str, *shape: Dim, over: Axis | Iterable[Axis] = (), dtype: Any = float) -> Var | Node:
    """Data given at each call: an array (T, *shape) when over an axis t, else (*shape).

    Over axes it is indexed like a variable (`x[t]`, `x[t-1]` with `x[0] = ...`).
    """
    axes = _axes(over)
    var = Var(check_name(name), dims.shape_of(shape), axes, kind_of(dtype), caller(), given=True)
    return var if axes else var.symbols[()]


def param(name: str, *shape: Dim, dtype: Any = float) -> Node:
    """A parameter: an array of the given dimensions, shared over every axis."""
    return Node(Param(check_name(name)), (), (), dims.shape_of(shape), kind_of(dtype), caller())


def var(name: str, *shape: Dim, over: Axis | Iterable[Axis] = (), dtype: Any = float) -> Var:
    """A variable that equations define: `h = uf.var("h", "hidden", over=t)`, `h[t] = ...`."""
    return Var(check_name(name), dims.shape_of(shape), _axes(over), kind_of(dtype), caller(), given=False)


def _axes(over: Axis | Iterable[Axis]) -> tuple[Axis, ...]:
    axes = (over,) if isinstance(over, Axis) else tuple(over)
    for a in axes:
        if not isinstance(a, Axis):
            raise DefinitionError(f"over={a!r}: an axis is made by uf.axis(name)")
    if len(set(axes)) != len(axes):
        raise BadName(f"an axis twice in over={axes!r}")
    return axes


@register
def named(x: Expression, name: str) -> Node:
    """The same value as a variable of its own, for drawings and queries."""
    x = as_node(x)
    variable = Var(check_name(name), x.shape, x.axes, x.dtype, caller(), given=False)
    variable[tuple(x.axes) if x.axes else ...] = x
    return variable[tuple(x.axes)] if x.axes else as_node(variable)
