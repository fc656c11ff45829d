"""The random systems of the tests: whether they hold everything often enough."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings

from unfold.testing import SystemSpec
from unfold.testing.specs import walk
from unfold.testing.strategies import systems, time_lengths


def features(spec: SystemSpec, steps: int) -> set[str]:
    """What a system has in it, for the measure of adequacy."""
    found = set()
    equations = [e for b in spec.blocks for e in b.equations]
    for b in spec.blocks:
        found.add("forward" if b.direction > 0 else "backward")
    reads = Counter[int]()
    for e in equations:
        found.add("vector" if e.vector else "number")
        found |= {f"boundary {kind}" for kind in e.boundary}
        for part in walk(e.body):
            found.add(str(part[0]))
            if part[0] == "read":
                found.add(f"lag {abs(part[2])}")
                reads[part[1]] += 1
                if not equations[part[1]].vector and e.vector:
                    found.add("broadcast of a number")
            if part[0] == "over":
                found.add(f"over {part[1]}")
    if any(n > 1 for n in reads.values()):
        found.add("fan-out")
    if steps < spec.max_lag:
        found.add("T below a lag")
    if steps == 1:
        found.add("T = 1")
    return found


WANTED = {
    *("tanh", "sigmoid", "sin", "relu", "abs", "softplus", "square", "negative"),
    *("add", "subtract", "multiply", "maximum", "minimum"),
    *("matvec", "softmax", "cumsum", "flip", "sum", "mean", "max", "logsumexp", "dot", "where"),
    *("over sum", "over mean", "over max", "over logsumexp", "over softmax"),
    *("lag 0", "lag 1", "lag 2", "lag 3", "last", "first", "back", "x", "z", "param", "step"),
    *("forward", "backward", "vector", "number", "broadcast of a number", "fan-out"),
    *("boundary zero", "boundary number", "boundary param", "T below a lag", "T = 1"),
}


def test_the_generator_makes_everything_often_enough() -> None:
    seen, total = Counter[str](), 0

    @settings(max_examples=400, database=None, suppress_health_check=list(HealthCheck))
    @given(systems(), time_lengths())
    def collect(spec: SystemSpec, steps: int) -> None:
        nonlocal total
        total += 1
        seen.update(features(spec, steps))

    collect()
    rare = {name: seen[name] for name in WANTED if seen[name] < 0.01 * total}
    assert rare == {}
