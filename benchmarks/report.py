"""Results to Markdown, JSON and SVG, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.models import MODELS, SIZES
from benchmarks.peers import NAMES
from unfold.core.files import write_whole

Cell = dict[str, Any]


def write(path: Path, text: str) -> None:
    """Atomically: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode("utf-8"))


def load(folder: Path) -> list[Cell]:
    path = folder / "speed.json"
    return json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []


def key(cell: Cell) -> tuple[int, int, int, str]:
    """The order of the table; also what makes two measurements the same cell."""
    return (
        cell["threads"],
        list(MODELS).index(cell["model"]),
        list(SIZES).index(cell["size"]),
        cell["dtype"],
    )


def merged(old: list[Cell], new: list[Cell]) -> list[Cell]:
    """A cell measured again replaces its earlier measurement whole: ratios never mix two runs."""
    return [c for _, c in sorted(({key(c): c for c in old} | {key(c): c for c in new}).items())]


def columns(cells: list[Cell]) -> list[str]:
    return [n for n in NAMES if any(n in c["peers"] for c in cells)]


def milliseconds(seconds: float) -> str:
    ms = seconds * 1e3
    return f"{ms:.3f}" if ms < 1 else f"{ms:.2f}" if ms < 10 else f"{ms:.1f}" if ms < 100 else f"{ms:.0f}"


def fastest(cell: Cell) -> str:
    """The fastest peer of a cell, the bound aside."""
    timed = {n: p["best"] for n, p in cell["peers"].items() if n != "GEMM bound"}
    return min(timed, key=lambda n: timed[n]) if timed else ""


def table(cells: list[Cell]) -> str:
    """Best (median) milliseconds of each peer; the fastest is bold."""
    names = columns(cells)
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for cell in cells:
        row, best = [], fastest(cell)
        for name in names:
            peer = cell["peers"].get(name)
            if peer is None:
                row.append("wrong" if "wrong" in cell["excluded"].get(name, "") else "")
                continue
            text = milliseconds(peer["best"])
            row.append(f"{f'**{text}**' if name == best else text} ({milliseconds(peer['median'])})")
        lines.append(f"| {label(cell)} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def label(cell: Cell) -> str:
    """The row's name; processor time is marked."""
    return f"{cell['model']} {cell['size']} {cell['dtype']}{'*' * (cell.get('clock') == 'cpu')}"


def ratios(cells: list[Cell], base: str) -> str:
    """How many times as long as `base` each peer takes, best against best."""
    names = [n for n in columns(cells) if n != base]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for cell in cells:
        if base not in cell["peers"]:
            continue
        ours = cell["peers"][base]["best"]
        row = [f"{cell['peers'][n]['best'] / ours:.2f}" if n in cell["peers"] else "" for n in names]
        lines.append(f"| {label(cell)} | " + " | ".join(row) + " |")
    return "\n".join(lines)


SUMMARY = {
    "GEMM bound": ["GEMM bound"],
    "**unfold**": ["unfold"],
    "unfold, Numba": ["unfold, Numba"],
    "plan by hand": ["plan by hand"],
    "JAX, jitted scan (better of two)": ["JAX scan", "JAX scan, hoisted"],
    "PyTorch nn.RNN, nn.LSTM, nn.GRU": ["PyTorch fused"],
    "PyTorch, a loop": ["PyTorch eager"],
    "PyTensor scan": ["PyTensor scan"],
    "HIPS autograd": ["HIPS autograd"],
}


def summary(cells: list[Cell]) -> str:
    """The table of the README: best milliseconds in float32 / float64."""
    rows: dict[tuple[int, str, str], dict[str, Cell]] = {}
    for cell in cells:
        rows.setdefault((cell["threads"], cell["model"], cell["size"]), {})[cell["dtype"]] = cell
    lines = ["| | " + " | ".join(SUMMARY) + " |", "|---" * (len(SUMMARY) + 1) + "|"]
    for (threads, model, size), kinds in rows.items():
        name = f"{model.upper() if len(model) < 5 else model} {size}"
        row = [f"{name}, {threads} threads" if threads > 1 else name]
        for names in SUMMARY.values():
            times = [
                min((c["peers"][n]["best"] for n in names if n in c["peers"]), default=None)
                for c in kinds.values()
            ]
            row.append(" / ".join(milliseconds(t) for t in times if t is not None))
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def notes(cells: list[Cell]) -> str:
    """Who is missing where, each reason once."""
    seen: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        absent = [n for n in NAMES if n not in cell["peers"] and n not in cell["excluded"]]
        for name, why in (cell["excluded"] | dict.fromkeys(absent, "not asked for in this run")).items():
            seen.setdefault((name, why), []).append(f"{cell['model']} {cell['size']} {cell['dtype']}")
    return "\n".join(
        f"- {name}: {why}"
        + f" ({', '.join(dict.fromkeys(where)) if len(where) <= 4 else f'{len(where)} rows'})"
        for (name, why), where in seen.items()
    )


def markdown(cells: list[Cell]) -> str:
    base = "unfold" if any("unfold" in c["peers"] for c in cells) else "plan by hand"
    machines = list(dict.fromkeys(c["machine"] for c in cells))
    parts = [
        "# Speed",
        "Forward, loss and the gradient of every parameter, in milliseconds: best (median) of single calls "
        "in interleaved rounds in one process, the garbage collector paused, all gradients compared with a "
        "reference in float64 before anything is timed. Models and sizes: `benchmarks/models.py`. Written by "
        "`python -m benchmarks`. A star marks processor time, taken while others used the machine.",
        *(f"Machine: {m}" for m in machines),
    ]
    for threads in sorted({c["threads"] for c in cells}):
        chosen = [c for c in cells if c["threads"] == threads]
        parts += [f"## {threads} thread{'s' * (threads > 1)}", table(chosen)]
        parts += [
            f"Times of {base} (best against best; above 1 is slower than {base}):",
            ratios(chosen, base),
        ]
    parts += ["## Not measured", notes(cells) or "Nothing is missing."]
    return "\n\n".join(parts) + "\n"


def save(folder: Path, new: list[Cell]) -> list[Cell]:
    """Merge the cells into the folder's results and write speed.json, speed.md and speed.svg."""
    from benchmarks.plot import dots

    cells = merged(load(folder), new)
    write(folder / "speed.json", json.dumps({"cells": cells}, indent=1) + "\n")
    write(folder / "speed.md", markdown(cells))
    write(folder / "speed.svg", dots(cells))
    return cells
