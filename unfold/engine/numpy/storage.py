"""The variables of printed source: buffers, views of them, rows of them in loops."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.engine.binding import Array
from unfold.engine.numpy.periods import Part

Letter = Any  # what a dimension of an array is: an axis, or a number or letter for the value's
Letters = tuple[Letter, ...]
RESERVED = {
    "np",
    "dtype",
    "empty",
    "zeros",
    "dot",
    "copyto",
    "run",
    "make",
    "zip",
    "list",
    "int",
    "bool",
    "range",
    "min",
    "max",
}
RESERVED |= {name for name, value in vars(np).items() if isinstance(value, np.ufunc)}


@dataclass(eq=False)
class Var:
    """A variable of the source: an array whose dimensions are `letters`.

    `shadow` has its shape, strides and dtype and is never read or written; `static` variables
    are bound once, in the part of the source that prepares, the others at each call.
    """

    name: str
    letters: Letters
    shadow: Array
    static: bool
    fresh: bool = False  # made by this call, so a result may hold it
    value: Any = None  # of a number


@dataclass
class Loop:
    """A loop being printed: what it zips over, and its body."""

    axis: Axis
    sign: int
    body: list[str] = field(default_factory=list)
    rows: dict[tuple[Any, ...], tuple[str, str]] = field(default_factory=dict)  # key -> item, list
    size: int = 0
    first: int = 0
    last: int = 0
    static: bool = True  # over rows of arrays that are the same at each call
    records: list[Any] = field(default_factory=list)  # the body again, for a compiling backend
    at: str = ""  # the position, where nodes of one step are computed at different times


@dataclass
class Storage:
    """Lines of the two parts, and the names in them."""

    prepare: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # of the call, outside all loops
    loops: list[Loop] = field(default_factory=list)
    part: Part | None = None
    bounds: tuple[str, str, str] | None = None  # names: a part starts, stops, has so many steps
    local: set[str] = field(default_factory=set)  # the variables that hold one part of an axis
    rows: set[str] = field(default_factory=set)  # the variables that each step overwrites
    buffers: list[Array] = field(default_factory=list)  # the shadows of those made empty
    env: dict[str, Any] = field(default_factory=dict)
    taken: set[str] = field(default_factory=lambda: set(RESERVED))
    views: dict[tuple[Any, ...], Var] = field(default_factory=dict)
    late: list[tuple[bool, str, tuple[Any, ...]]] = field(default_factory=list)  # rows for the open loops

    def name(self, wish: str) -> str:
        """A new identifier near the wished one."""
        base = re.sub(r"[^0-9A-Za-z_]+", "_", wish).strip("_") or "v"
        base = f"v{base}" if base[0].isdigit() else base
        base = f"{base}_" if keyword.iskeyword(base) else base
        name, k = base, 2
        while name in self.taken:
            name, k = f"{base}_{k}", k + 1
        self.taken.add(name)
        return name

    def emit(self, line: str) -> None:
        """A line where printing stands: in the innermost loop, or outside all."""
        if self.loops:
            self.loops[-1].body.append("    " + line if self.loops[-1].at else line)
        elif self.part:
            self.part.body.append(line)
        else:
            self.lines.append(line)

    def bind(self, static: bool, line: str) -> None:
        """A line that binds a variable: once, or at each call before any loop."""
        (self.prepare if static else self.lines).append(line)

    def buffer(
        self, wish: str, letters: Letters, shape: Sequence[int], dtype: Any, fill: str = "empty"
    ) -> Var:
        """A buffer of its own, allocated once."""
        name = self.name(wish)
        kind = "" if dtype is None else f", {self.dtype(dtype)}"
        self.prepare.append(f"{name} = {fill}({_tuple(shape)}{kind})")
        var = Var(name, letters, np.empty(shape, dtype), True)
        if fill == "empty":
            self.buffers.append(var.shadow)
        if self.part and self.part.along(var) is not None:
            self.local.add(name)
        return var

    def fresh(self, wish: str, letters: Letters, shape: Sequence[int], dtype: Any) -> Var:
        """A new array at each call, for a result."""
        name = self.name(wish)
        self.bind(False, f"{name} = np.empty({_tuple(shape)}, {self.dtype(dtype)})")
        return Var(name, letters, np.empty(shape, dtype), False, True)

    def dtype(self, dtype: Any) -> str:
        if np.dtype(dtype).kind == "c":
            return "np.result_type(dtype, np.complex64)"  # also where the rest is real
        return {"bool": "bool", "int64": "int"}.get(np.dtype(dtype).name, "dtype")

    def constant(self, wish: str, value: Any) -> str:
        """A name for an object that the source refers to."""
        name = self.name(wish)
        self.env[name] = value
        return name

    # ------------------------------------------------------------------ views
    def view(
        self, var: Var, expression: str, shadow: Array, letters: Letters, wish: str = "", late: bool = False
    ) -> Var:
        """A view of a variable, bound once however often it is used. `{}` stands for it. A
        late one serves the open loops alone and is bound when they are printed."""
        if expression == "{}":
            return var if letters == var.letters else Var(var.name, letters, shadow, var.static, var.fresh)
        key = (var.name, expression)
        if key not in self.views:
            name = self.name(wish or var.name)
            line = f"{name} = {expression.format(var.name)}"
            if late:
                self.late.append((var.static, line, key))
            else:
                self.bind(var.static, line)
            self.views[key] = Var(name, letters, shadow, var.static, var.fresh)
            for kind in (self.local, self.rows):
                if var.name in kind:
                    kind.add(name)
        found = self.views[key]
        return Var(found.name, letters, shadow, found.static, found.fresh)

    def index(self, var: Var, key: Sequence[Any], letters: Letters, wish: str = "") -> Var:
        """`var[key]` for slices, numbers and None."""
        sizes = iter(var.shadow.shape)
        keys = [k if k is None else _whole(k, next(sizes)) for k in key]
        while keys and keys[-1] == slice(None):
            keys.pop()
        if not keys:
            return self.view(var, "{}", var.shadow, letters)
        if all(isinstance(k, int) for k in keys):
            keys.append(Ellipsis)  # a 0-d view, not a number
        text = "{}[" + ", ".join(map(_key, keys)) + "]"
        return self.view(var, text, var.shadow[tuple(keys)], letters, wish)

    def turn(self, var: Var, order: Sequence[int], letters: Letters | None = None) -> Var:
        """A variable with its dimensions in another order."""
        turned = tuple(var.letters[d] for d in order) if letters is None else letters
        return self.view(var, "{}" + _turned(order), var.shadow.transpose(order), turned)

    def arrange(self, var: Var, groups: Sequence[Sequence[Letter]], copy: bool) -> Var | None:
        """The variable with its letters in the order of the groups and each group one
        dimension (an empty one has size 1); None where that needs a copy and none is allowed."""
        order = [var.letters.index(x) for group in groups for x in group]
        expression, shadow = "{}" + _turned(order), var.shadow.transpose(order)
        sizes = dict(zip(var.letters, var.shadow.shape, strict=True))
        shape = [int(np.prod([sizes[x] for x in group], dtype=int)) for group in groups]
        if shape != list(shadow.shape):
            expression += f".reshape({_items(shape)})"
            try:
                shadow = shadow.reshape(shape, copy=False)
            except ValueError:
                if not copy or var.static or (self.part and var.fresh):  # it would not see later values
                    return None
                self.settle(var)
                shadow = np.empty(shape, shadow.dtype)
        letters = tuple(g[0] if len(g) == 1 else tuple(g) for g in groups)
        return self.view(var, expression, shadow, letters)

    def settle(self, var: Var) -> None:
        """The next line copies what the variable holds by then."""

    # ------------------------------------------------------------------ in loops
    def here(self, var: Var, method: str = "") -> str:
        """The variable as an expression where printing stands: its row inside loops; or a
        method of it, looked up beforehand."""
        around = [loop for loop in self.loops if loop.axis in var.letters]
        if not around:
            if not method or not self.loops:
                return f"{self.block(var)}.{method}" if method else self.block(var)
            wish = f"{var.name}_{method}"
            return self.view(var, f"{{}}.{method}", var.shadow, var.letters, wish, late=True).name
        axes = tuple(loop.axis for loop in around)
        if var.letters[: len(axes)] != axes:
            rest = tuple(x for x in var.letters if x not in axes)
            var = self.turn(var, [var.letters.index(x) for x in (*axes, *rest)])
        if self.part and var.name not in self.local:
            var = self.part_of(var)
        signs = tuple(loop.sign for loop in around)
        name = self._rows(var, signs, method)
        for loop in around:
            loop.static = loop.static and var.static
            if loop.at:
                name = f"{name}[{loop.at}]"
                continue
            key = (var.name, name)
            if key not in loop.rows:
                loop.rows[key] = (
                    self.name(f"{var.name}_{loop.axis.name}" + (f"_{method}" if method else "")),
                    name,
                )
            name = loop.rows[key][0]
        return name

    def _rows(self, var: Var, signs: tuple[int, ...], method: str) -> str:
        back = ", ".join("::-1" if s < 0 else ":" for s in signs)
        source = "{}" + (f"[{back}]" if -1 in signs else "")
        expression = f"rows({source})" if len(signs) == 1 else _nested(source, len(signs))
        if method and len(signs) == 1:
            expression = f"[r.{method} for r in {expression}]"
        elif method:
            expression = f"[[r.{method} for r in rs] for rs in {expression}]"
        wish = f"{var.name}_{method or 'row'}s"
        return self.view(var, expression, var.shadow, var.letters, wish, late=True).name

    def row(self, var: Var) -> Array:
        """The shadow of what `here` gives."""
        axes = [loop.axis for loop in self.loops if loop.axis in var.letters]
        if self.part and not axes and (d := self.part.along(var)) is not None:
            block = slice(None, self.part.steps * self.part.unit(var, d, var.name in self.local))
            return var.shadow[(*[slice(None)] * d, block)]
        where = tuple(0 if x in axes else slice(None) for x in var.letters)
        shape = [n for n, x in zip(var.shadow.shape, var.letters, strict=True) if x not in axes]
        return var.shadow[where] if var.shadow.size else np.empty(shape, var.shadow.dtype)

    @contextmanager
    def before(self, outside: int = 0) -> Iterator[None]:
        """Print before what is open: the loops from the given one on, and parts around them all."""
        loops, part = self.loops, self.part
        self.loops, self.part = loops[:outside], part if outside else None
        yield
        self.loops, self.part = loops, part

    # ------------------------------------------------------------------ in parts
    def begin(self, axis: Axis, sign: int, size: int, steps: int) -> None:
        """Print what follows for one part of an axis."""
        self.bounds = self.bounds or (self.name("start"), self.name("stop"), self.name("count"))
        self.part = Part(axis, sign, size, steps, *self.bounds)

    def end(self) -> None:
        """Print the parts, first to last or last to first."""
        part, self.part = self.part, None
        for line in part.lines() if part and part.body else ():
            self.emit(line)

    def block(self, var: Var) -> str:
        """The part at hand of a variable that runs over the axis; any other as it is."""
        return self.part.block(var, var.name in self.local) if self.part else var.name

    def part_of(self, var: Var) -> Var:
        """A copy of the part at hand of a whole buffer, for a loop to run over: a view of each
        of its rows is made once, not once for every step."""
        part = self.part
        assert part is not None
        if var.name not in part.copies:
            shape = [
                part.steps if x == part.axis else n
                for x, n in zip(var.letters, var.shadow.shape, strict=True)
            ]
            copy = self.buffer(f"{var.name}_part", var.letters, shape, var.shadow.dtype)
            part.body.append(f"copyto({self.block(copy)}, {self.block(var)})")
            part.copies[var.name] = copy
        copy = part.copies[var.name]
        return Var(copy.name, var.letters, copy.shadow, True)

    def close(self, comment: Sequence[str]) -> None:
        """End the innermost loop and print it where it stands."""
        loop = self.loops.pop()
        if not self.loops:
            self.settle_late()
        if loop.at:
            self.comment(comment)
            self.emit(f"for {loop.at}_step in range({loop.first}, {loop.last}):")
            for line in loop.body:
                self.emit("    " + line)
            return
        items = [item for item, _ in loop.rows.values()]
        lists = [rows for _, rows in loop.rows.values()]
        steps = lists[0] if len(lists) == 1 else f"zip({', '.join(lists)})"
        if loop.static and not self.loops and len(lists) > 1:  # the rows side by side, once for all calls
            name = self.name("steps")
            self.prepare.append(f"{name} = list({steps})")
            steps = name
        if self.part and not self.loops and not self.part.even:
            steps = f"{steps}[:{self.part.count}]" if loop.static else f"islice({steps}, {self.part.count})"
        self.comment(comment)
        self.emit(f"for {', '.join(items)} in {steps}:")
        for line in loop.body or ["pass"]:
            self.emit("    " + line)

    def unwind(self, count: int) -> None:
        """End the innermost loops, whose bodies stand elsewhere."""
        del self.loops[-count:]

    def settle_late(self) -> None:
        """Bind the rows of the loops that end."""
        for static, line, _ in self.late:
            self.bind(static, line)
        self.late.clear()

    def comment(self, lines: Sequence[str]) -> None:
        """An empty line and a comment."""
        self.emit("")
        for line in lines:
            self.emit(f"# {line}")


def _whole(key: Any, size: int) -> Any:
    """A slice of everything as such."""
    return slice(None) if isinstance(key, slice) and key.indices(size) == (0, size, 1) else key


def _nested(source: str, depth: int) -> str:
    expression = "rows(r)"
    for _ in range(depth - 2):
        expression = f"[{expression} for r in r]"
    return f"[{expression} for r in {source}]"


def _items(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _turned(order: Sequence[int]) -> str:
    if list(order) == sorted(order):
        return ""
    return ".T" if list(order) == sorted(order)[::-1] else f".transpose({_items(order)})"


def _tuple(numbers: Sequence[int]) -> str:
    return f"({_items(numbers)},)" if len(numbers) == 1 else f"({_items(numbers)})"


def _key(key: Any) -> str:
    if isinstance(key, slice):
        start, stop = ("" if v is None else v for v in (key.start, key.stop))
        return f"{start}:{stop}" + (f":{key.step}" if key.step not in (None, 1) else "")
    return "..." if key is Ellipsis else str(key)
