"""Every rule of every operation, once: graphs to mutate, and what a check says of a mutant."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from evaluation import draw, floating, number_of

from unfold.check.mutants import NotApplicable, mutate
from unfold.check.rules.certificates import active
from unfold.check.trial import Trial
from unfold.core.node import Node
from unfold.graph import Graph
from unfold.ops.examples import Example, all_examples


@dataclass(frozen=True)
class Case:
    """One argument of one node of an example's graph, and the arrays to check it at."""

    example: Example
    graph: Graph
    node: Node
    argument: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.example.name}: {self.node.op.name} {self.argument}"

    def arrays(self, seed: int) -> dict[str, Any]:
        """A point to check at; `seed` 0, 1, ..."""
        rng = np.random.default_rng([seed, zlib.crc32(self.example.name.encode())])
        known = {str(u.op) for u in self.graph.inputs.values()}
        return {n: a for n, a in draw(self.example.given, rng).items() if n in known}

    def blamed(self, change: str, seed: int) -> tuple[str, int] | None:
        """The (operation, argument) that the local certificates blame for a mutant, if any."""
        arrays = self.arrays(seed)
        x = np.real(Trial(self.graph, "y", self.names, 0, arrays).values[self.node.inputs[self.argument]])
        above = (x.min() + x.max()) / 2 if np.ptp(x) else x.max() - 1.0
        mutant = mutate(self.graph, self.node, self.argument, change, float(above))
        check = Trial(mutant, "y", self.names, 0, arrays)
        for rule in check.rules:
            fault = check.judge(rule)
            if fault is not None and fault.kind == "WRONG":
                return fault.rule.node.op.name, fault.rule.argument
        return None


@cache
def cases() -> tuple[Case, ...]:
    """A case for every argument of every differentiable operation, with its parameters."""
    return tuple(_cases())


def _cases() -> Iterator[Case]:
    seen: set[Any] = set()
    for example in all_examples():
        if example.name == "stop_gradient":
            continue
        rng = np.random.default_rng(zlib.crc32(example.name.encode()))
        graph = number_of(example, rng)
        if graph is None:
            continue
        known = {str(u.op) for u in graph.inputs.values()}
        names = tuple(n for n in floating(example) if n in known)
        if not names:
            continue
        for node, k in active(graph, [graph.inputs[n] for n in names], graph.outputs["y"]):
            key = (node.op, k, tuple(u.shape for u in node.inputs))
            if key not in seen:
                seen.add(key)
                yield Case(example, graph, node, k, names)


__all__ = ["Case", "NotApplicable", "cases"]
