"""What printed source says of itself: the equation that a block computes, those that a loop does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from unfold.core.node import Node
from unfold.core.op import Elementwise
from unfold.engine.plan.plan import Plan
from unfold.engine.rewrites.blending import Blend
from unfold.engine.rewrites.passes import VIEWS


def equations(plan: Plan, texts: Mapping[str, str]) -> dict[Node, str]:
    """For each node, the equation it is part of: its own, or that of what it leads to."""
    out: dict[Node, str] = {}
    for node in reversed(plan.computed):
        if node in plan.labels and plan.labels[node] in texts:
            out[node] = texts[plan.labels[node]]
        elif text := next((out[u] for u in plan.users.get(node, []) if u in out), None):
            out[node] = text
    return out


def told(
    plan: Plan, nodes: Iterable[Node], texts: Mapping[Node, str], all_texts: Mapping[str, str]
) -> list[str]:
    """The equations of a loop: those of its nodes, and of what they read that went into others
    (the gates of an LSTM are one value) or is finished for all steps after the loop."""
    nodes = set(nodes)
    finished = _finished(plan, nodes)
    elsewhere = {plan.labels[n] for n in plan.computed if n in plan.labels and n not in finished}
    others = {n[:-1]: n for n in all_texts if n.endswith("]") and n not in elsewhere}
    chosen = {plan.labels[n] for n in plan.computed if n in nodes and n in plan.labels and n in texts}
    reads = {label: text.partition(" = ")[2] for label, text in all_texts.items()}

    def found(start: str, ends: str, label: str) -> bool:
        return bool(re.search(rf"(?<!\w){re.escape(start)}[{ends}]", reads[label]))

    left = [label for label in chosen if label in all_texts]
    while left:
        label = left.pop()
        more = [n for start, n in others.items() if n not in chosen and found(start, "],+-", label)]
        chosen |= {*more}
        left += more
    left = [label for label in all_texts if label in chosen][::-1]
    out: list[str] = []
    while left:  # each after what it reads of its own step
        ready = [n for n in left if not any(m != n and found(m.rstrip("]"), "],", n) for m in left)]
        out.append(all_texts[left.pop(left.index((ready or left)[0]))])
    return list(dict.fromkeys(out))


def _finished(plan: Plan, loop: set[Node]) -> set[Node]:
    """The values outside a loop that follow from the loop's values of the same step alone."""
    out = set(loop)
    for node in plan.computed:
        inputs = [u for u in plan.inputs(node) if not u.op.leaf]
        plain = node.op.name in VIEWS or isinstance(node.op, Elementwise | Blend)
        if plain and inputs and out.issuperset(inputs):
            out.add(node)
    return out - loop
