"""The proof of a plan: its statements run, in their order and in their places, on tags in place of numbers.

Every statement compares what its operands hold with what the equation asks for at its step. The program
runs twice, so that what a call leaves behind in the memory is seen to be of the call before.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from unfold.core.axis import Axis
from unfold.core.errors import OutOfRange, UnfoldError
from unfold.core.system import System
from unfold.engine.binding import Binding
from unfold.engine.made_up import zeros as example
from unfold.engine.plan.statement import Items, Statement, Sweep, Verb, statements
from unfold.engine.plan.view import Buffer, Memory, NotPlanned, View
from unfold.engine.planning import PASSES, Program, plan
from unfold.engine.proof.cells import Cells, Window
from unfold.engine.proof.claims import Asked, Claim, claims
from unfold.engine.proof.tags import NOTHING, Ids, PlanFault, Tags
from unfold.engine.proof.wording import Wording, moment

SWITCH = "UNFOLD_PROVE"
STEPS = 4  # a graph is proven for sequences shorter than that
COPIES = (Verb.PIECE, Verb.COPY, Verb.KEEP)  # onto itself, a copy changes nothing
Counters = dict[Axis, int]


@dataclass(frozen=True)
class Proof:
    """That a plan computes what its equations ask: how many statements it has, how often they were run,
    how many operands were compared, and of how many entries."""

    statements: int
    runs: int
    comparisons: int
    entries: int

    def __str__(self) -> str:
        return (
            f"{self.statements} statements, run {self.runs} times: "
            f"{self.comparisons} operands with {self.entries} entries are what the equations ask"
        )


@dataclass
class _Line:
    """A statement made ready: its windows, and the tags that belong in them."""

    statement: Statement
    name: str  # "statement 14"
    around: Sequence[Axis]
    varies: frozenset[Axis]
    reads: list[tuple[Claim, Window]]
    writes: list[tuple[Claim, Window]]
    lies: bool
    met: dict[tuple[int, int, int], bool] = field(default_factory=dict)


def prove(program: Program) -> Proof:
    """Raise `PlanFault` where a plan does not compute what its equations ask."""
    return _Run(program).proof()


def proven(program: Program) -> Program:
    """The program itself; with `UNFOLD_PROVE=1` in the environment it is proven first."""
    if os.environ.get(SWITCH, "0") not in ("", "0"):
        prove(program)
    return program


def prove_graph(
    graph: System,
    wanted: Mapping[str, tuple[Axis, ...]] | None = None,
    passes: Iterable[str] = PASSES,
    steps: int = STEPS,
    **sizes: int,
) -> list[Proof]:
    """Prove the plans of a request for short sequences: all axes of 0, 1, .. steps, and all of different
    lengths. `sizes`: of dimensions. Lengths for which the equations read outside are left out."""
    out, chosen = [], tuple(passes)
    for lengths in _lengths(graph, steps):
        try:
            out.append(prove(plan(graph, example(graph, {**sizes, **lengths}), wanted, chosen)))
        except OutOfRange:
            continue
        except PlanFault as fault:
            at = ", ".join(f"{name} = {n}" for name, n in lengths.items())
            fault.message += f" (planned for {at})" if at else ""
            fault.args = (fault.message,)
            raise
    return out


def engine_fault(graph: System, bound: Binding | None = None) -> str | None:
    """What is wrong with the plans of a request, of short sequences and of the sizes in `bound`, in a
    sentence; None where they are proven or there is no plan. For `uf.check`: which of rule and engine is
    at fault."""
    try:
        prove_graph(graph)
        if bound is not None:
            prove(plan(graph, bound))
    except PlanFault as fault:
        return f"the engine: {fault.message}"
    except (NotPlanned, UnfoldError):
        return None
    return None


def _lengths(graph: System, steps: int) -> Iterable[dict[str, int]]:
    """All equal, and all different in two orders."""
    axes = [a.name for a in graph.axes if a.size is None]
    equal = (dict.fromkeys(axes, n) for n in range(steps))
    rising = {a: k + 1 for k, a in enumerate(axes)}
    falling = {a: len(axes) - k for k, a in enumerate(axes)}
    more = [rising, falling] if len(axes) > 1 else []
    return chain(equal if axes else [{}], more)


class _Run:
    """One program on tags."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.tags = Tags(program.outline.graph, program.outline.bound)
        self.words = Wording(program, self.tags)
        self.cells = Cells(program.buffers, program.places)
        self._lines: dict[Statement, _Line] = {}
        self.runs = self.comparisons = self.entries = 0
        for name, items in (("preparation", program.prepare), ("statement", program.program)):
            for number, (s, nest) in enumerate(statements(items), 1):
                self._lines[s] = self._line(s, nest, f"{name} {number}")

    # ------------------------------------------------------------------ made ready
    def _line(self, s: Statement, nest: tuple[Sweep, ...], name: str) -> _Line:
        try:
            for out in s.outputs:
                self._writable(out, name)
            found = claims(self.tags, s, nest)
            asked = Asked(self.tags, s, nest)
            line = _Line(
                s,
                name,
                asked.around,
                frozenset(a for u in (asked.node, *self.tags.inputs(asked.node)) for a in u.axes),
                [(c, self.cells.window(c.view)) for c in found.reads],
                [(c, self.cells.window(c.view)) for c in found.writes],
                found.lies,
            )
            for _, window in line.writes:
                if not window.empty and not window.apart(self.cells.scratch):
                    raise PlanFault("a result lies on itself")
        except PlanFault as fault:
            raise self._told(fault, s, name, {}) from None
        return line

    def _writable(self, out: View, name: str) -> None:
        allowed = (Memory.WORK,) if name.startswith("prep") else (Memory.WORK, Memory.OUTPUT)
        if out.buffer.role not in allowed:
            raise PlanFault(f"writes {out.buffer!r}, which is {out.buffer.role.value}")

    # ------------------------------------------------------------------ run
    def proof(self) -> Proof:
        """The preparation once, the program twice."""
        self._fill(Memory.CONSTANT)
        self._items(self.program.prepare, {})
        for call in range(2):
            if call:
                old = self.cells.tags
                old[old >= self.tags.first] += self.tags.shift()
            for b in self.program.buffers:
                if b.role is Memory.OUTPUT:
                    self.cells.whole(b)[...] = NOTHING
            self._fill(Memory.GIVEN)
            self._items(self.program.program, {})
            self._results()
        return Proof(len(self._lines), self.runs, self.comparisons, self.entries)

    def _fill(self, role: Memory) -> None:
        for b in self.program.buffers:
            if b.role is role:
                found = self.tags.array(b.name) if role is Memory.GIVEN else self.tags.numbers(b.value)
                self.cells.whole(b)[...] = found

    def _items(self, items: Items, counters: Counters) -> None:
        for item in items:
            if isinstance(item, Sweep):
                for k in item.counters:
                    counters[item.axis] = k
                    self._items(item.body, counters)
                counters.pop(item.axis, None)
            else:
                self._do(self._lines[item], counters)

    def _do(self, line: _Line, counters: Counters) -> None:
        self.runs += 1
        steps = {a: counters[a] for a in line.around if a in counters}
        try:
            for where in line.statement.at:
                if where.axis in self.tags.bound.extents:
                    steps[where.axis] = where.index(counters)
            for axis, k in steps.items():
                if axis in line.varies and not 0 <= k < self.tags.bound.extents[axis]:
                    raise PlanFault(f"is about step {k + 1} of {axis.name}, which has none such")
            self._step(line, steps, counters)
        except PlanFault as fault:
            raise self._told(fault, line.statement, line.name, steps) from None
        except KeyError as error:
            lost = PlanFault(f"goes along {error.args[0]!r}, of which there is no loop around it")
            raise self._told(lost, line.statement, line.name, steps) from None

    def _step(self, line: _Line, steps: Counters, counters: Counters) -> None:
        reads = [(claim, window, window.at(counters)) for claim, window in line.reads]
        writes = [(claim, window, window.at(counters)) for claim, window in line.writes]
        self._overlaps(line, [(w, at) for _, w, at in reads], [(w, at) for _, w, at in writes])
        for k, (claim, window, at) in enumerate(reads):
            if claim.tags is not None and not window.empty:
                self._compare(claim, self.cells.seen(window, at), steps, f" as operand {k}")
        for claim, window, at in writes:
            if claim.tags is not None:
                due = claim.tags[tuple(steps[a] for a in claim.lead)]
            else:
                due = self.cells.seen(*reads[0][1:]).copy()
            if not window.empty:
                self.cells.seen(window, at)[...] = due

    def _compare(self, claim: Claim, held: Ids, steps: Counters, what: str) -> None:
        assert claim.tags is not None
        due = claim.tags[tuple(steps[a] for a in claim.lead)]
        same = held == due
        self.comparisons += 1
        self.entries += same.size
        if same.all():
            return
        entry = tuple(int(i) for i in np.argwhere(~same)[0])
        holds, asked = (int(np.broadcast_to(x, same.shape)[entry]) for x in (held, due))
        words = self.words.tag(holds, steps), self.words.tag(asked, steps)
        known = claim.node is not None and asked < self.tags.first
        of = f", of {self.words.name(claim.node)}," if known and claim.node is not None else ""
        raise PlanFault(
            f"reads {words[0]} where {words[1]}{of} is due{what}",
            node=claim.node,
            entry=entry,
            holds=words[0],
            due=words[1],
        )

    def _overlaps(
        self, line: _Line, reads: list[tuple[Window, int]], writes: list[tuple[Window, int]]
    ) -> None:
        """A result lies on no operand: but exactly where it lies, if the statement allows that; and not on
        another result."""
        kind = line.statement.kind
        for i, (out, at) in enumerate(writes):
            for k, (window, start) in enumerate(reads):
                exactly = at == start and out.alike(window)
                allowed = line.statement.alias or kind in COPIES or (kind is Verb.ACCUMULATE and k == 0)
                if line.lies and not exactly and not out.empty:
                    raise PlanFault("its operand does not lie where it says")
                if not (exactly and allowed) and self._meet(line, (i, k, at - start), out, at, window, start):
                    raise PlanFault(f"its result lies on operand {k}, which it still reads")
            for k, (other, start) in enumerate(writes[:i]):
                if self._meet(line, (i, -1 - k, at - start), out, at, other, start):
                    raise PlanFault("its results lie on each other")

    def _meet(
        self, line: _Line, key: tuple[int, int, int], a: Window, start: int, b: Window, begin: int
    ) -> bool:
        if key not in line.met:
            line.met[key] = self.cells.meet(a, start, b, begin)
        return line.met[key]

    # ------------------------------------------------------------------ what the caller gets
    def _results(self) -> None:
        """Every output holds its value, its axes in the order wanted, in memory that is its own."""
        outline, seen = self.program.outline, dict[Buffer, list[Window]]()
        if [*self.program.results] != [*outline.graph.outputs]:
            raise PlanFault("the outputs are not those asked for")
        for name, view in self.program.results.items():
            node = self.tags.resolve(outline.graph.outputs[name])
            s = Statement(Verb.KEEP, (), (), (node,))
            try:
                self._result(s, view, outline.wanted[name], seen)
            except PlanFault as fault:
                raise self._told(fault, s, f"output {name}", {}) from None

    def _result(
        self, s: Statement, view: View, order: tuple[Axis, ...], seen: dict[Buffer, list[Window]]
    ) -> None:
        node, window = s.nodes[0], self.cells.window(view)
        if view.buffer.role is not Memory.OUTPUT:
            raise PlanFault(f"lies in {view.buffer!r}, which the next call uses")
        if view.steps:
            raise PlanFault("depends on a loop")
        ids, lead = Asked(self.tags, s, ()).due(node, (*order, *range(-len(node.shape), 0)))
        if view.shape != ids.shape or view.buffer.dtype != self.tags.bound.dtype_of(node.dtype):
            raise PlanFault(f"has the shape {view.shape} of {view.buffer.dtype}, due is {ids.shape}")
        at = window.at({})
        if not window.empty:
            if not window.apart(self.cells.scratch):
                raise PlanFault("lies on itself")
            self._compare(Claim(view, ids, lead, node), self.cells.seen(window, at), {}, "")
        for other in seen.setdefault(view.buffer, []):
            if self.cells.meet(window, at, other, other.start):
                raise PlanFault("lies on another output")
        seen[view.buffer].append(window)

    def _told(self, fault: PlanFault, s: Statement, name: str, steps: Mapping[Axis, int]) -> PlanFault:
        """The fault with the statement and the steps in its message."""
        node = self.tags.resolve(s.nodes[0])
        text = self.words.statement(s) if s.outputs else self.words.name(node)
        here = f", at {moment(steps)}" if steps else ""
        known = {"node": node, **{k: v for k, v in vars(fault).items() if k != "message" and v is not None}}
        number = name.split()[-1]
        known.update(number=int(number) if number.isdigit() else None, statement=str(s), steps=dict(steps))
        return PlanFault(f"{name} ({text}) {fault.message}{here}", **known)
