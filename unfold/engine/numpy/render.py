"""A program as NumPy source: a line a statement, views made before they are needed.

What does not depend on the arrays of a call is made once; rows that a loop steps through are lists,
zipped once. Views of the same entries are one Python object, so that NumPy need not ask whether they
overlap.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.core.node import Node
from unfold.engine.numpy.remarks import Remarks
from unfold.engine.numpy.routines import GLOBALS
from unfold.engine.numpy.viewtext import spelled
from unfold.engine.plan.statement import Items, Statement, Sweep, Verb
from unfold.engine.plan.view import Buffer, Memory, View
from unfold.engine.planning import Program

FEW = 1024  # numbers that a product with ones adds up faster than a reduction
MANY = 500  # names after which Python's compiler, which puts a cell for each in front of the first block of
# a function, would move all of that block for each of them: an `assert` ends the block
UFUNCS = [name for name in dir(np) if isinstance(getattr(np, name), np.ufunc)]
STATIC = (Memory.WORK, Memory.CONSTANT)  # memory that stays where it is from call to call


@dataclass
class Level:
    """A loop that is being printed: its variables, each with the list it goes through and whether that
    list is there before the call. No two have the same `number`."""

    sweep: Sweep
    number: int
    variables: dict[str, tuple[str, bool]] = field(default_factory=dict)


class SourceText:
    """The source of one program in the making."""

    def __init__(self, program: Program, remarks: Remarks | None) -> None:
        self.program = program
        self.remarks = remarks
        self.told: str | None = None  # the last comment
        self.prepare: list[str] = []
        self.run: list[str] = []
        self.env: dict[str, Any] = {}
        self.lines = self.run  # where statements go now
        self.levels: list[Level] = []
        self.outside: list[str] = []  # where the outermost loop stands
        self._taken = {*GLOBALS, *keyword.kwlist, *UFUNCS, "make", "run", "list", "range", "zip"}
        self._numbers: dict[str, int] = {}  # the last one given to each name
        self._sweeps = 0
        self._names: dict[Any, str] = {}
        self._bases: dict[Buffer, str] = {}
        self._blocks: dict[np.dtype[Any], str] = {}

    # ------------------------------------------------------------------ names
    def name(self, wanted: str) -> str:
        """A Python name that is not taken."""
        base = re.sub(r"\W", "_", wanted) or "a"
        base = f"_{base}" if base[0].isdigit() else base
        number = self._numbers.get(base, 1)
        found = base if number == 1 else f"{base}_{number}"
        while found in self._taken:
            number += 1
            found = f"{base}_{number}"
        self._numbers[base] = number
        self._taken.add(found)
        return found

    def function(self, name: str) -> str:
        """A ufunc by name."""
        self.env[name] = getattr(np, name)
        return name

    def known(self, wanted: str, value: Any) -> str:
        """A name for an object that the source refers to."""
        name = self.name(wanted)
        self.env[name] = value
        return name

    # ------------------------------------------------------------------ arrays and views of them
    def base(self, buffer: Buffer) -> str:
        """The array of a buffer; that of the plan's is made here."""
        if buffer not in self._bases:
            name = self._bases[buffer] = self.name(buffer.name)
            if buffer.role is Memory.CONSTANT:
                self.env[name] = buffer.value
            elif buffer.role is Memory.WORK:
                at = self.program.places.offsets[buffer]
                shape = ", ".join(map(str, buffer.shape))
                place = f"{self.block(buffer.dtype)}[{at}:{at + buffer.size}]"
                self.prepare.append(f"{name} = {place}.reshape({shape if buffer.shape else '()'})")
        return self._bases[buffer]

    def block(self, dtype: np.dtype[Any]) -> str:
        """The memory of all buffers of a dtype."""
        if dtype not in self._blocks:
            name = self._blocks[dtype] = self.name(f"memory_{dtype.name}")
            self.prepare.append(f"{name} = block({self.program.places.sizes[dtype]}, {dtype.str!r})")
        return self._blocks[dtype]

    def expression(self, view: View) -> str:
        """A view, but for its steps."""
        if view.size == 0:
            return f"np.empty({view.shape}, {view.buffer.dtype.str!r})"
        base = self.base(view.buffer)
        found = spelled(view, base)
        return found if found is not None else f"strided({base}, {view.offset}, {view.shape}, {view.strides})"

    def address(self, view: View) -> tuple[Any, ...]:
        """What tells whether two views are of the same memory."""
        buffer, offset, shape, strides, _ = view.address
        if buffer.role is Memory.WORK:
            return buffer.dtype, self.program.places.offsets[buffer] + offset, shape, strides
        return buffer, offset, shape, strides

    def result(self, s: Statement, k: int = 0) -> str:
        """The name of a result of a statement."""
        return self.ref(s.outputs[k], s.nodes[k])

    def operand(self, s: Statement, k: int, method: str = "") -> str:
        """The name of an operand, or of a method of it."""
        return self.ref(s.operands[k], s.sources[k][0] if s.sources else None, method)

    def operands(self, s: Statement) -> str:
        """All operands, with commas."""
        return ", ".join(self.operand(s, k) for k in range(len(s.operands)))

    def ref(self, view: View, node: Node | None = None, method: str = "") -> str:
        """The name of a view of a node, or of a method of it, where the statement at hand stands."""
        strides = dict(view.steps)
        around = [level for level in self.levels if level.sweep.axis in strides]
        steps = tuple((level.number, strides[level.sweep.axis]) for level in around)
        key = (self.address(view), steps, method)
        mine = (None if around else view.buffer, *key)
        if mine not in self._names:
            called = view.buffer.name if node is None else self.program.outline.identifiers.of(node)
            if key in self._names:  # the same entries were known by another name
                self._names[mine] = self._again(self._names[key], called, method, view)
            elif around:
                self._names[mine] = self._row(view, method, around, called)
            else:
                self._names[mine] = self._whole(view, node, method, called)
            self._names.setdefault(key, self._names[mine])
        return self._names[mine]

    def _again(self, known: str, called: str, method: str, view: View) -> str:
        """Another name for what has one: the same object, so that NumPy sees it is the same memory."""
        if view.buffer.role not in STATIC or known.startswith(called):
            return known
        name = self.name(called + method.replace(".", "_"))
        self.prepare.append(f"{name} = {known}")
        return name

    def _whole(self, view: View, node: Node | None, method: str, called: str) -> str:
        """A view that no loop steps through: made once, or before the outermost loop."""
        expression = self.ref(view, node) if method else self.expression(view)
        if not method and expression.isidentifier():
            return expression
        static = view.buffer.role in STATIC
        if method and not static and not self.levels:
            return f"{expression}{method}"
        turned = "_T" if expression == f"{called}.T" else ""
        name = self.name(f"{expression}{method}" if method else f"{called}{turned}")
        where = self.prepare if static else self.outside if self.levels else self.lines
        where.append(f"{name} = {expression}{method}")
        return name

    def _row(self, view: View, method: str, around: list[Level], called: str) -> str:
        """A variable of the loops: what their lists hold, one row of a view for each step."""
        source, static = self.name(f"{called}{method}_rows"), view.buffer.role in STATIC
        where = self.prepare if static else self.outside
        where.append(f"{source} = {self._listed(view, method, around)}")
        for level in around:
            axis = _short(level.sweep.axis)
            stepped = called if re.search(rf"_{axis}[mp]\d+$", called) else f"{called}_{axis}"
            name = self.name(f"{stepped}{method}")
            level.variables[name] = source, static
            source = name
        return source

    def _listed(self, view: View, method: str, around: list[Level]) -> str:
        """A list, of lists for several loops, with a row for each step."""
        strides = dict(view.steps)
        sweeps = [level.sweep for level in around]
        all_steps = View(
            view.buffer,
            view.offset,
            (*(s.axis for s in sweeps), *view.letters),
            (*(s.size for s in sweeps), *view.shape),
            (*(strides[s.axis] for s in sweeps), *view.strides),
        )
        for s in sweeps:
            if s.sign < 0:
                all_steps = all_steps.flip(s.axis)
        return _rows(self.expression(all_steps), len(sweeps), method)

    # ------------------------------------------------------------------ statements
    def items(self, items: Items, lines: list[str]) -> None:
        """Print a list."""
        outside, self.lines = self.lines, lines
        for item in items:
            if isinstance(item, Sweep):
                self._sweep(item)
            else:
                self._explain(item)
                _RULES[item.kind](self, item)
        self.lines = outside

    def _explain(self, s: Statement) -> None:
        """The equation that a statement belongs to, where it is another than that of the last one."""
        text = None if self.remarks is None or self.levels else self.remarks.about(s.nodes[0])
        if text is not None and text != self.told:
            self.lines += ["", f"# {text}"]
            self.told = text

    def emit(self, line: str) -> None:
        """A line, where statements go now."""
        self.lines.append(line)

    def _sweep(self, sweep: Sweep) -> None:
        self._sweeps += 1
        level, body = Level(sweep, self._sweeps), list[str]()
        if not self.levels:
            self.outside = self.lines
        self.levels.append(level)
        self.items(sweep.body, body)
        self.levels.pop()
        if not body:
            return
        if self.remarks is not None and not self.levels:
            way = "forward" if sweep.sign > 0 else "backward"
            told = [f"#     {line}" for line in self.remarks.loop(sweep)]
            self.lines += ["", f"# step by step, {way} over {sweep.axis.name}:", *told]
            self.told = None
        sources = [source for source, _ in level.variables.values()]
        if not sources:
            self.emit(f"for _ in range({sweep.size}):")
        else:
            through = sources[0] if len(sources) == 1 else f"zip({', '.join(sources)})"
            if len(sources) > 1 and not self.levels and all(s for _, s in level.variables.values()):
                steps = self.name("steps")
                self.prepare.append(f"{steps} = list({through})")
                through = steps
            self.emit(f"for {', '.join(level.variables)} in {through}:")
        self.lines.extend("    " + line for line in body)

    # ------------------------------------------------------------------ the whole
    def source(self) -> str:
        """The source of `make`, which makes the memory and returns `run`."""
        program = self.program
        buffers = {b.name: b for b in program.buffers if b.role is Memory.GIVEN}
        labels = list(program.outline.bound.arrays)
        arguments = [self.base(buffers[n]) if n in buffers else self.name(n) for n in labels]
        ready: list[str] = []
        self.items(program.prepare, ready)
        self.told = None
        self.items(program.program, self.run)
        results = [f"{name!r}: {self._result(view)}" for name, view in program.results.items()]
        made = [
            f"{self.base(b)} = np.empty({b.shape}, {b.dtype.str!r})"
            for b in program.buffers
            if b.role is Memory.OUTPUT
        ]
        body = [*made, *self.run, f"return {{{', '.join(results)}}}"]
        short = ["    assert block"] if len(self.prepare) > MANY else []
        lines = ["def make():", *short, *(f"    {line}" if line else "" for line in (*self.prepare, *ready))]
        lines += ["", f"    def run({', '.join(arguments)}):"]
        lines += [f"        {line}" if line else "" for line in body]
        return "\n".join([*lines, "", "    return run", ""])

    def _result(self, view: View) -> str:
        text = self.expression(view)
        return f"{text}[()]" if not view.shape else text


def _short(axis: Axis) -> str:
    return re.sub(r"\W+", "_", axis.name)


def _rows(array: str, depth: int, method: str) -> str:
    """The rows of an array, or a method of each; for several loops, a list of lists."""
    if depth == 1:
        return f"[row{method} for row in rows({array})]" if method else f"rows({array})"
    return f"[{_rows(f'rows_{depth}', depth - 1, method)} for rows_{depth} in rows({array})]"


# ---------------------------------------------------------------------- one function for each kind
def _fill(text: SourceText, s: Statement) -> None:
    text.emit(f"{text.result(s)}.fill({s.what!r})")


def _copyto(text: SourceText, s: Statement) -> None:
    text.emit(f"copyto({text.result(s)}, {text.operands(s)})")


def _ufunc(text: SourceText, s: Statement) -> None:
    text.emit(f"{text.function(s.what)}({text.operands(s)}, {text.result(s)})")


def _choose(text: SourceText, s: Statement) -> None:
    out = text.result(s)
    text.emit(f"copyto({out}, {text.operand(s, 2)})")
    text.emit(f"copyto({out}, {text.operand(s, 1)}, where={text.operand(s, 0)})")


def _dot(text: SourceText, s: Statement) -> None:
    if s.outputs[0].packed:
        text.emit(f"{text.operand(s, 0, '.dot')}({text.operand(s, 1)}, {text.result(s)})")
    else:
        _matmul(text, s)


def _matmul(text: SourceText, s: Statement) -> None:
    text.emit(f"matmul({text.operands(s)}, {text.result(s)})")


def _einsum(text: SourceText, s: Statement) -> None:
    letters = list(dict.fromkeys(x for v in s.operands for x in v.letters))

    def spell(view: View) -> str:
        return "".join(chr(97 + letters.index(x)) for x in view.letters if x in letters)

    out, operands = s.outputs[0], text.operands(s)
    spec = f"{','.join(map(spell, s.operands))}->{spell(out)}"
    if all(x in letters for x in out.letters):
        text.emit(f"einsum({spec!r}, {operands}, out={text.result(s)})")
    else:  # along a letter that no operand has it is the same
        key = ", ".join(":" if x in letters else "None" for x in out.letters)
        text.emit(f"copyto({text.result(s)}, einsum({spec!r}, {operands})[{key}])")


def _total(text: SourceText, s: Statement) -> None:
    (view,), (out,) = s.operands, s.outputs
    if len(view.shape) == 1 and not 0 < view.size <= FEW:
        text.emit(f"add_reduce({text.operand(s, 0)}, 0, None, {text.result(s)})")
        return
    key = ("ones", view.shape[0], view.buffer.dtype)
    if key not in text._names:
        text._names[key] = text.name("ones")
        text.prepare.append(f"{text._names[key]} = np.ones({view.shape[0]}, {view.buffer.dtype.str!r})")
    ones = text._names[key]
    if out.packed:
        text.emit(f"{ones}.dot({text.operand(s, 0)}, {text.result(s)})")
    else:
        text.emit(f"matmul({ones}, {text.operand(s, 0)}, {text.result(s)})")


def _piece(text: SourceText, s: Statement) -> None:
    if not s.what[2]:
        _copyto(text, s)


def _softmax(text: SourceText, s: Statement) -> None:
    (out,) = s.outputs
    work = text.name("softmax")
    text.prepare.append(f"{work} = Softmax({out.shape}, {s.what}, {out.buffer.dtype.str!r})")
    text.emit(f"{work}({text.operand(s, 0)}, {text.result(s)})")


def _entropy(text: SourceText, s: Statement) -> None:
    rows, classes = s.outputs[1].shape
    work = text.name("softmax_cross_entropy")
    dtype = s.outputs[1].buffer.dtype.str
    text.prepare.append(f"{work} = SoftmaxCrossEntropy({rows}, {classes}, {dtype!r})")
    text.emit(f"{work}({text.operands(s)}, {text.result(s)}, {text.result(s, 1)})")


def _call(text: SourceText, s: Statement) -> None:
    function = text.known(s.what[0].name, s.what[0].forward)
    text.emit(f"copyto({text.result(s)}, {function}(np, {text.operands(s)}), casting='unsafe')")


def _accumulate(text: SourceText, s: Statement) -> None:
    text.emit(f"{text.function('add')}({', '.join(map(text.ref, s.operands))}, {text.result(s)})")


_RULES: Mapping[Verb, Callable[[SourceText, Statement], None]] = {
    Verb.FILL: _fill,
    Verb.COPY: _copyto,
    Verb.KEEP: _copyto,
    Verb.UFUNC: _ufunc,
    Verb.WHERE: _choose,
    Verb.DOT: _dot,
    Verb.MATMUL: _matmul,
    Verb.EINSUM: _einsum,
    Verb.TOTAL: _total,
    Verb.PIECE: _piece,
    Verb.SOFTMAX: _softmax,
    Verb.ENTROPY: _entropy,
    Verb.CALL: _call,
    Verb.PARTIAL: _total,
    Verb.ACCUMULATE: _accumulate,
}


def rendered(program: Program, remarks: bool = False) -> tuple[str, dict[str, Any]]:
    """The source of a program, with comments that say which equations its lines compute if wanted, and the
    objects it refers to."""
    text = SourceText(program, Remarks(program) if remarks else None)
    return text.source(), text.env
