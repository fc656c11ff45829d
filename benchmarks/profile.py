"""Where a gradient spends its time: each statement of the source that runs, timed in its place."""

from __future__ import annotations

import argparse
import ast
import gc
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import measure, models, peers
from benchmarks.models import SIZES
from benchmarks.peers import ours
from unfold.engine.binding import bind
from unfold.engine.numpy.render import rendered
from unfold.engine.numpy.routines import GLOBALS
from unfold.engine.planning import plan
from unfold.engine.run import _joint

SECONDS = 2.0  # of calls, of which the best time of each statement counts


def profile(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each statement of the source that unfold runs (`graph.code`), loops as wholes: the best time over many
    calls, in microseconds, the calls of NumPy in it, and the time of one. "The whole call" is what a
    user waits for, without timers; "every statement" adds up those above it; HIPS autograd is timed in
    the same process."""
    rows: list[dict[str, Any]] = []
    for model in [m for m in options.models if m in ("rnn", "lstm")]:
        for size in [s for s in options.sizes if s == "small"] or ["small"]:
            for dtype in options.dtypes:
                case = models.case(model, SIZES[size], dtype)
                cell = {"model": model, "size": size, "dtype": dtype}
                rows += [cell | row for row in _statements(case)]
                rows += [cell | row for row in _wholes(case)]
                measure.say(f"{case.title}: {sum(r['us'] for r in rows[-2:]):.0f} us")
    return rows


def _statements(case: models.Case) -> Iterator[dict[str, Any]]:
    graph = _joint(ours.graph(case.model), "loss", None)
    bound = bind(graph, {"x": case.x, "y": case.y, **case.weights})
    text, env = rendered(plan(graph, bound))
    tree = ast.parse(text)
    (run,) = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "run"]
    timed = [s for s in run.body if not isinstance(s, ast.Return)]
    body: list[ast.stmt] = []
    for k, statement in enumerate(timed):
        body += [*ast.parse("_start = _clock()").body, statement]
        body += ast.parse(f"_spent[{k}] = _clock() - _start").body
    run.body = body + run.body[-1:]
    spent = [0.0] * len(timed)
    space = {**GLOBALS, **env, "_clock": time.perf_counter, "_spent": spent}
    exec(compile(ast.fix_missing_locations(tree), case.title, "exec"), space)
    function, arrays = space["make"](), list(bound.arrays.values())
    best = [float("inf")] * len(timed)
    gc.disable()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        function(*arrays)
        best = list(map(min, best, spent))
    gc.enable()
    for statement, seconds in zip(timed, best, strict=True):
        name = ast.unparse(statement).splitlines()
        shown = name[0] if len(name) == 1 else f"{len(name) - 1} calls a step, {case.size.steps} steps"
        calls = 1 if len(name) == 1 else (len(name) - 1) * case.size.steps
        yield {"statement": shown, "us": seconds * 1e6, "calls": calls, "us a call": seconds / calls * 1e6}
    yield {"statement": "every statement", "us": sum(best) * 1e6}


def _wholes(case: models.Case) -> Iterator[dict[str, Any]]:
    found = {"the whole call": ours.ours, **peers.load(["HIPS autograd"])[0]}
    runs = measure.prepare(case, found)[0]
    for name, times in measure.rounds(runs, 5, SECONDS / 5).items():
        yield {"statement": name, "us": min(times) * 1e6}
