"""A failing program made smaller, as long as it fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from programs.data import Expr, Program, make, num, walk, written_of
from programs.meaning import ALONG, FUNCTIONS


def smaller(program: Program, fails: Callable[[Program], bool], seconds: float = 10.0) -> Program:
    """The smallest program found in the time given that still fails."""
    end = time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for candidate in _candidates(program):
            if time.monotonic() > end:
                break
            if _weight(candidate) < _weight(program) and _holds(candidate, fails):
                program, progress = candidate, True
                break
    return program


def _holds(program: Program, fails: Callable[[Program], bool]) -> bool:
    loss = program.outputs["loss"]
    if loss.shape or loss.axes or loss.kind != "float":
        return False
    try:
        return fails(program)
    except Exception:
        return False


def _weight(program: Program) -> int:
    used = program.used()
    roots = [*program.outputs.values(), *(e for q in used for e in written_of(q))]
    weights = (0 if e.op == "num" else 2 if e.op == "read" else 3 for e in walk(roots))
    return 1000 * len(program.outputs) + sum(weights) + 4 * len(used) + sum(len(q.axes) for q in used)


def _candidates(program: Program) -> Iterator[Program]:
    for name in program.outputs:
        if name != "loss":
            yield replace(program, outputs={n: e for n, e in program.outputs.items() if n != name}, known={})
    for e in walk([program.outputs["loss"]]):
        if e.shape == () and e.axes == () and e is not program.outputs["loss"] and e.kind == "float":
            yield replace(program, outputs={**program.outputs, "loss": e}, known={})
    for q in program.used():
        for old in reversed(list(walk(written_of(q)))):
            for new in _instead(old):
                bounds = tuple((places, substituted(e, old, new)) for places, e in q.bounds)
                body = q.body and substituted(q.body, old, new)
                yield _with(program, replace(q, body=body, bounds=bounds))
    for name, root in program.outputs.items():
        for old in reversed(list(walk([root]))):
            for new in _instead(old):
                yield replace(
                    program, outputs={**program.outputs, name: substituted(root, old, new)}, known={}
                )


def _with(program: Program, q: Any) -> Program:
    return replace(program, quantities={**program.quantities, q.name: q}, known={})


def _instead(e: Expr) -> Iterator[Expr]:
    """What may stand in the place of an expression."""
    if e.op in ("num", "const"):
        return
    yield from (a for a in e.args if a.shape == e.shape and a.kind == e.kind)
    yield from (b for a in e.args for b in a.args if b.shape == e.shape and b.kind == e.kind)
    if e.kind == "float":
        yield num(0.5) if not e.shape else make("broadcast", num(0.5), static=e.shape)


def substituted(root: Expr, old: Expr, new: Expr) -> Expr:
    """An expression with another one in the place of a part of it."""
    done: dict[int, Expr] = {}
    for e in walk([root]):
        args = tuple(done[id(a)] for a in e.args)
        if e is old:
            done[id(e)] = new
        elif all(a is b for a, b in zip(args, e.args, strict=True)):
            done[id(e)] = e
        elif e.op in FUNCTIONS or e.op in ALONG:
            done[id(e)] = make(e.op, *args, static=e.static)
        else:
            done[id(e)] = replace(e, args=args)
    return done[id(root)]
