"""Beside speed: graph building per node, peak memory, time to first gradient, growth of time with T."""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks import isolated, machine, measure, models, peers, report
from benchmarks.models import SIZES, Size
from benchmarks.profile import profile

Rows = list[dict[str, Any]]
PYTHON_LOOPS = ("naive NumPy", "PyTorch eager", "HIPS autograd", "MyGrad")


def chosen(options: argparse.Namespace, leave: Iterable[str] = ()) -> list[str]:
    wanted = options.peers
    names = [n for n in peers.NAMES if wanted is None or any(k.lower() in n.lower() for k in wanted)]
    return [n for n in names if n not in leave]


# --------------------------------------------------------------------------------- graph building
def build(options: argparse.Namespace) -> Rows:
    """The vanilla RNN unrolled over 100,000 steps, dimensions of 1 so that values take no room.

    unfold: `graph.unfold(t=T)` with its table of all nodes and parents. PyTorch: the forward pass of
    the same equations with its autograd graph, a node being a grad_fn; its bytes are the growth of
    the resident memory, values (64 bytes each at least) included. Seconds are processor time.
    """
    rows = [building_of_unfold(steps) for steps in (1_000, 10_000, 100_000)]
    try:
        rows += [building_of_torch(steps) for steps in (1_000, 10_000, 100_000)]
    except ImportError as error:
        measure.say(f"skipped PyTorch: {error}")
    return rows


def row_of(peer: str, steps: int, seconds: float, nodes: int, size: float) -> dict[str, Any]:
    each = {"us per node": seconds / nodes * 1e6, "bytes per node": size / nodes}
    return {"peer": peer, "T": steps, "nodes": nodes, "seconds": seconds} | each


def building_of_unfold(steps: int) -> dict[str, Any]:
    from benchmarks.peers import ours

    graph = ours.rnn(ours.params("rnn"))

    def nodes() -> tuple[Any, int]:
        unfolded = graph.unfold(t=steps)
        return unfolded, len(unfolded.table)

    seconds = min(timed(nodes)[0] for _ in range(3))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept, count = nodes()
    size = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert kept is not None
    return row_of("unfold", steps, seconds, count, size)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Processor time: building is work of one thread."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def building_of_torch(steps: int) -> dict[str, Any]:
    import torch

    from benchmarks.peers import torch_

    def forward(length: int) -> Any:
        """The loss by the equations, step by step, nothing hoisted: as many nodes as equations."""
        case = models.case("rnn", Size("ones", length, 1, 1, 1, 1), "float32")
        w = torch_.tensors(case.weights)
        x, y = torch.from_numpy(case.x), torch.from_numpy(case.y)
        before = isolated.memory()["VmRSS"]
        start = time.process_time()
        h, loss = x.new_zeros(1, 1), x.new_zeros(())
        for xt, yt in zip(x, y, strict=True):
            h = torch.tanh(h @ w["W"].T + xt @ w["U"].T + w["b"])
            loss = loss + torch.nn.functional.cross_entropy(h @ w["V"].T + w["c"], yt)
        return time.process_time() - start, isolated.memory()["VmRSS"] - before, loss

    def count(length: int) -> int:
        seen, todo = set(), [forward(length)[2].grad_fn]
        while todo:
            node = todo.pop()
            if node is not None and node not in seen:
                seen.add(node)
                todo += [parent for parent, _ in node.next_functions]
        return len(seen)

    few, more = count(100), count(200)  # the graph is periodic
    nodes = few + (more - few) * (steps - 100) // 100
    seconds, size, loss = forward(steps)
    assert loss is not None
    return row_of("PyTorch eager", steps, seconds, nodes, size)


# -------------------------------------------------------------------------------- peak of memory
ACTIVATIONS = {"rnn": 1, "lstm": 6}  # vectors of size hidden that a step must keep: h; the gates, s and h


def memory(options: argparse.Namespace) -> Rows:
    """Peak of resident memory during a gradient, libraries, weights and data aside, T = 20,000."""
    rows = []
    size = Size("T=20,000", 20_000, 4, 16, 32, 16)
    for model in [m for m in options.models if m in ACTIVATIONS]:
        for name in chosen(options, leave=("GEMM bound", "HIPS autograd", "MyGrad")):
            answer = isolated.measure(name, model, "float32", size)
            if "Unsupported" in answer.get("failed", ""):
                continue
            row = {"peer": name, "model": model, "T": size.steps} | answer
            if "bytes" in answer:
                needed = ACTIVATIONS[model] * size.steps * size.batch * size.hidden * 4
                row = {k: v for k, v in row.items() if k not in ("first", "second", "bytes")}
                row |= {"MB": answer["bytes"] / 1e6, "saved activations, MB": needed / 1e6}
            measure.say(str(row))
            rows.append(row)
    return rows


# ------------------------------------------------------------------------- time to first gradient
def compiling(options: argparse.Namespace) -> Rows:
    """From definition to first loss and gradients at char-rnn size, and a second call, each peer in a new
    process with empty caches that has run another model before, so that imports are not counted.
    Processor time."""
    rows = []
    for model in options.models:
        for name in chosen(options, leave=("GEMM bound",)):
            answer = isolated.measure(name, model, "float32", SIZES["char-rnn"])
            if "Unsupported" in answer.get("failed", ""):
                continue
            row = {"peer": name, "model": model} | answer
            if "first" in answer:
                row["first, ms"], row["second, ms"] = row.pop("first") * 1e3, row.pop("second") * 1e3
                row.pop("bytes")
            measure.say(str(row))
            rows.append(row)
    return rows


# ---------------------------------------------------------------------------- growth of time with T
def scaling(options: argparse.Namespace) -> Rows:
    """Best time of a gradient for T up to 100,000 at batch 1, and per step; with `--clock cpu`,
    processor time."""
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    found, missing = peers.load([n for n in chosen(options) if n not in (*PYTHON_LOOPS, "PyTensor scan")])
    for name, why in missing.items():
        measure.say(f"skipped {name}: {why}")
    rows = []
    for model in [m for m in options.models if m in ACTIVATIONS]:
        for steps in (100, 1_000, 10_000, 100_000):
            case = models.case(model, Size(f"T={steps}", steps, 1, 16, 32, 16), "float32")
            runs = measure.prepare(case, found)[0]
            for name, seconds in measure.rounds(runs, 3, 0.1, clock).items():
                best = min(seconds)
                row = {
                    "peer": name,
                    "model": model,
                    "T": steps,
                    "ms": best * 1e3,
                    "us per step": best / steps * 1e6,
                }
                measure.say(str(row))
                rows.append(row)
    return rows


# ----------------------------------------------------------------------------------------- output
def markdown(title: str, note: str, rows: Rows) -> str:
    names = list(dict.fromkeys(k for row in rows for k in row))
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for row in rows:
        cells = [row.get(n, "") for n in names]
        lines.append("| " + " | ".join(f"{c:.4g}" if isinstance(c, float) else str(c) for c in cells) + " |")
    note = " ".join(note.split())
    return "\n".join([f"# {title}", "", note, "", f"Machine: {machine.describe()}", "", *lines, ""])


KINDS: dict[str, tuple[str, Callable[[argparse.Namespace], Rows]]] = {
    "build": ("Building graphs", build),
    "memory": ("Memory", memory),
    "compile": ("Time to first gradient", compiling),
    "scaling": ("Time against T", scaling),
    "profile": ("Where the time goes", profile),
}


def main(options: argparse.Namespace) -> int:
    title, function = KINDS[options.what]
    machine.settle(options.here)
    rows = function(options)
    text = markdown(title, function.__doc__ or "", rows)
    print(text)
    if not options.dry:
        report.write(options.out / f"{options.what}.md", text)
        data = {"machine": machine.describe(), "threads": options.here, "rows": rows}
        report.write(options.out / f"{options.what}.json", json.dumps(data, indent=1) + "\n")
    return 0
