"""One cell: every peer's gradients compared with the reference, then timed in interleaved rounds."""

from __future__ import annotations

import gc
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.models import Case, Peer, Run, Unsupported
from benchmarks.peers.naive import naive

TOLERANCE = {"float32": 2e-3, "float64": 1e-9}
SLOW = 2.0  # a call longer than this many seconds is timed twice in all, not once per round


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def reference(case: Case) -> tuple[float, dict[str, Any]]:
    """Loss and gradients by the naive loop in float64."""
    run = naive(case.astype("float64"))
    assert run.read is not None
    return run.read(run.step())


def disagreement(run: Run, result: Any, expected: tuple[float, dict[str, Any]]) -> tuple[float, str]:
    """The largest relative error over the loss and each parameter, max|g - ref| / max|ref|, and whose."""
    assert run.read is not None
    loss, grads = run.read(result)
    errors = {"loss": abs(loss - expected[0]) / abs(expected[0])}
    for name, ref in expected[1].items():
        if name not in grads:
            return np.inf, f"{name} (missing)"
        got = np.asarray(grads[name])
        if got.shape != ref.shape:
            return np.inf, f"{name} (shape {got.shape}, not {ref.shape})"
        errors[name] = float(np.max(np.abs(got - ref)) / (np.max(np.abs(ref)) or 1))
    worst = max(errors, key=lambda k: np.inf if np.isnan(errors[k]) else errors[k])
    return errors[worst], worst


def prepare(
    case: Case, peers: dict[str, Peer]
) -> tuple[dict[str, Run], dict[str, dict[str, Any]], dict[str, str]]:
    """The peers that agree, ready to run; what is known of each; and why the others are left out."""
    expected = reference(case)
    runs: dict[str, Run] = {}
    known: dict[str, dict[str, Any]] = {}
    excluded: dict[str, str] = {}
    for name, peer in peers.items():
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run = peer(case)
                result = run.step()
        except Unsupported as reason:
            excluded[name] = str(reason)
            continue
        except Exception as error:  # a peer that breaks must not stop the others
            excluded[name] = f"failed: {type(error).__name__}: {error}".splitlines()[0][:300]
            say(f"    {name} {excluded[name]}")
            continue
        known[name] = {"first": time.perf_counter() - start}
        if run.read is not None:
            error, worst = disagreement(run, result, expected)
            known[name]["error"] = error
            if not error <= TOLERANCE[str(case.dtype)]:
                excluded[name] = f"wrong: relative error {error:.1e} in {worst}"
                say(f"    {name} {excluded[name]}")
                continue
        runs[name] = run
    return runs, known, excluded


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def once(step: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    step()
    return clock() - start


def rounds(
    runs: dict[str, Run], repeat: int, budget: float, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of single calls: in each of `repeat` rounds every peer in turn runs for `budget` seconds.

    The first call of a turn warms the caches again and is not counted when others follow it.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    collecting = gc.isenabled()
    for number in range(repeat):
        for name, run in runs.items():
            if number >= 2 and times[name][-1] > SLOW:
                continue
            gc.collect()
            gc.disable()
            try:
                spent = [once(run.step, clock)]
                while sum(spent) < budget or (len(spent) < 2 and spent[0] < SLOW):
                    spent.append(once(run.step, clock))
            finally:
                if collecting:
                    gc.enable()
            times[name] += spent[1:] or spent
    return times


def measure(
    case: Case, peers: dict[str, Peer], repeat: int, budget: float, clock: str = "wall"
) -> dict[str, Any]:
    """A cell of the table: for each peer best and median in seconds, its error, its first call."""
    runs, known, excluded = prepare(case, peers)
    times = rounds(runs, repeat, budget, CLOCKS[clock])
    for name, seconds in times.items():
        known[name] |= {"best": min(seconds), "median": statistics.median(seconds), "calls": len(seconds)}
    return {"clock": clock, "peers": {n: known[n] for n in runs}, "excluded": excluded}
