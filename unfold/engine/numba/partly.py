"""A program of which as much as can be is compiled by Numba; the rest is NumPy text.

A run of statements and loops that can be compiled becomes one function, and a line that calls it. A loop
with a statement that cannot stays as NumPy lines, and the source says which statement that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unfold.engine.numba import modules
from unfold.engine.numba.compiled_text import FunctionText
from unfold.engine.numba.joined import joined, uses
from unfold.engine.numba.suited import runs
from unfold.engine.numpy.executable import Run, executable
from unfold.engine.numpy.remarks import Remarks
from unfold.engine.numpy.render import SourceText
from unfold.engine.plan.arena import places
from unfold.engine.plan.statement import Items, Statement, Sweep, statements
from unfold.engine.plan.view import Buffer, Memory
from unfold.engine.planning import PASSES as ALL
from unfold.engine.planning import Program

PASSES = tuple(p for p in ALL if p not in ("pack", "augment", "inside", "turn"))
"""Calls cost nothing in a compiled loop: what makes several into one copies for nothing."""

Load = Callable[[Sequence[str], Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Stretch:
    """A part of the list: what is compiled as one function, or why it is not."""

    items: list[Statement | Sweep]
    why: str | None


def stretches(program: Program, blas: bool) -> list[Stretch]:
    """The list of a program in order. A single statement gains nothing by being compiled."""
    dtype, used = program.outline.bound.dtype, uses(program.prepare, program.program)
    found: list[Stretch] = []
    for items, why in runs(program.program, dtype, blas):
        plain = len(items) == 1 and isinstance(items[0], Statement)
        if why is not None or plain or dtype.kind != "f":
            found.append(Stretch(items, why or ""))
        else:
            found.append(Stretch(joined(items, used), None))
    return found


class PartlyCompiled(SourceText):
    """The source of one program in the making, and the functions it calls."""

    def __init__(self, program: Program, remarks: Remarks | None, blas: bool) -> None:
        parts = stretches(program, blas)
        items = [item for part in parts for item in part.items]
        needed = {
            v.buffer for s, _ in statements([*program.prepare, *items]) for v in (*s.outputs, *s.operands)
        }
        kept = [b for b in program.buffers if b in needed or b.role is not Memory.WORK]
        super().__init__(replace(program, places=places(items, kept), program=[]), remarks)
        self.blas = blas
        self.functions: list[str] = []
        self._lined: set[Buffer] = set()  # arrays of the caller that are known to be packed
        self._stretches = [part for part in parts if part.items]

    def items(self, items: Items, lines: list[str]) -> None:
        """Print a list; the list of the program stretch by stretch."""
        if lines is not self.run or self.levels:
            super().items(items, lines)
            return
        for part in self._stretches:
            if part.why is None:
                self._call(part.items)
            else:
                if part.why and isinstance(part.items[0], Sweep):
                    self.run.append(f"# not compiled: {part.why}")
                super().items(part.items, lines)

    def _call(self, items: Items) -> None:
        name = self.name(f"part{len(self.functions) + 1}")
        made = FunctionText(items, self.blas, self._told if self.remarks is not None else None)
        head, arguments, outside = [], dict[str, str](), self.lines
        self.lines = self.run
        for buffer, pointer in made.buffers.items():
            array, start = self._memory(buffer)
            argument = arguments.setdefault(array, f"_m{len(arguments)}")
            head.append(f"    {pointer} = at({argument}, {start})")
        self.lines = outside
        text = [f"def {name}({', '.join(arguments.values())}):", *head, *made.lines]
        self.functions.append("\n".join(text if text[1:] else [*text, "    pass"]))
        self.run.append(f"{name}({', '.join(arguments)})")

    def _told(self, item: Statement | Sweep) -> Iterable[str]:
        """The equations of a statement or a loop."""
        assert self.remarks is not None
        if isinstance(item, Sweep):
            way = "forward" if item.sign > 0 else "backward"
            told = self.remarks.loop(item)
            return [f"step by step, {way} over {item.axis.name}:", *(f"    {line}" for line in told)]
        texts = (self.remarks.about(n) for n in item.nodes)
        return dict.fromkeys(text for text in texts if text is not None)

    def _memory(self, buffer: Buffer) -> tuple[str, int]:
        """The array that holds a buffer, by name, and where it starts there."""
        if buffer.role is Memory.WORK:
            return self.block(buffer.dtype), self.program.places.offsets[buffer]
        if buffer.role is Memory.CONSTANT:
            key = ("packed", buffer)
            if key not in self._names:
                value = np.ascontiguousarray(buffer.value, buffer.dtype)
                self._names[key] = self.known(buffer.name, value)
            return self._names[key], 0
        name = self.base(buffer)
        if buffer.role is Memory.GIVEN and buffer not in self._lined:
            self._lined.add(buffer)
            self.run.append(f"{name} = contiguous({name})")
        return name, 0


def rendered(
    program: Program, remarks: bool = False, blas: bool | None = None
) -> tuple[str, list[str], dict[str, Any]]:
    """The source of a program, the functions that it calls, and the objects it refers to."""
    told = Remarks(program) if remarks else None
    text = PartlyCompiled(program, told, modules.has_blas() if blas is None else blas)
    source = text.source()
    return source, text.functions, {**text.env, "contiguous": contiguous}


def contiguous(array: Any) -> Any:
    """The array with its entries one behind the other, as compiled functions read it."""
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def compiled(program: Program, load: Load = modules.load) -> Run:
    """The function that a program is, of arrays of the sizes and dtypes it was planned for."""
    text, functions, env = rendered(program)
    env |= load(functions, program.outline.bound.dtype) if functions else {}
    return executable(text, env, program)
