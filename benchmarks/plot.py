"""A dot plot: one row per cell, time over the bound or over the fastest on a logarithmic axis."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from benchmarks.peers import NAMES

COLOURS = ("#888888", "#d62728", "#111111", "#8c564b", "#1f77b4", "#17becf", "#ff7f0e", "#e8b04a", "#2ca02c",
           "#9467bd", "#e377c2", "#7f7f00")  # fmt: skip
LEFT, TOP, ROW, WIDTH = 230, 60, 20, 620


def dots(cells: list[dict[str, Any]]) -> str:
    """Each peer's best time relative to the fastest of its row, as SVG."""
    names = [n for n in NAMES if any(n in c["peers"] for c in cells)]
    colour = dict(zip(NAMES, COLOURS, strict=False))
    rows = [(c, {n: p["best"] for n, p in c["peers"].items()}) for c in cells if c["peers"]]
    low, high = 1.0, 10.0
    scaled = []
    for cell, best in rows:
        unit = best.get("unfold") or best.get("plan by hand") or min(best.values())
        ratios = {n: b / unit for n, b in best.items()}
        low, high = min(low, *ratios.values()), max(high, *ratios.values())
        scaled.append((cell, ratios))
    low, high = math.floor(math.log10(low) * 2) / 2, math.ceil(math.log10(high) * 2) / 2

    def across(ratio: float) -> float:
        return LEFT + (math.log10(ratio) - low) / (high - low) * WIDTH

    height = TOP + ROW * len(rows) + 40
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 30} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="11">',
        "<title>Time of each peer relative to unfold</title>",
        f'<rect width="{LEFT + WIDTH + 30}" height="{height}" fill="white"/>',
    ]
    for k, name in enumerate(names):
        x, y = 20 + (k % 6) * 145, 16 + (k // 6) * 17
        out.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{colour[name]}"/>')
        out.append(f'<text x="{x + 9}" y="{y}">{escape(name)}</text>')
    bottom = TOP + ROW * len(rows)
    for power in range(math.ceil(low), math.floor(high) + 1):
        for factor in (1, 2, 5):
            if not low <= math.log10(factor * 10.0**power) <= high:
                continue
            x = across(factor * 10.0**power)
            line = "#555555" if factor == 1 and power == 0 else "#dddddd"
            out.append(f'<path d="M{x:.1f} {TOP - 6}V{bottom}" stroke="{line}"/>')
            out.append(
                f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{factor * 10.0**power:g}</text>'
            )
    for number, (cell, ratios) in enumerate(scaled):
        y = TOP + ROW * number + ROW / 2
        label = f"{cell['model']} {cell['size']} {cell['dtype']}, {cell['threads']}"
        out.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
        out.append(f'<path d="M{LEFT} {y}H{LEFT + WIDTH}" stroke="#eeeeee"/>')
        for name in names:
            if name in ratios:
                title = f"{name}: {ratios[name]:.2f}"
                out.append(
                    f'<circle cx="{across(ratios[name]):.1f}" cy="{y}" r="4" fill="{colour[name]}" '
                    f'fill-opacity="0.85"><title>{escape(title)}</title></circle>'
                )
    out.append(
        f'<text x="{LEFT + WIDTH / 2}" y="{bottom + 32}" text-anchor="middle">'
        "times the time of unfold (left is faster); the last number of a label is the threads</text>"
    )
    return "\n".join([*out, "</svg>", ""])
