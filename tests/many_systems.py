"""Right systems by the thousand: `python tests/many_systems.py 10000` draws that many and says
how many a check calls wrong (none, it should be) and how far the worst error is from its bar.

With a second number it starts from another seed, so that runs add up; with a third, 2, it
checks second derivatives.
"""

from __future__ import annotations

import sys
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import unfold as uf
from unfold.testing import SystemSpec, build
from unfold.testing.strategies import systems, time_lengths


def main(count: int, start: int = 0, order: int = 1) -> int:
    """Check `count` random systems; the number of those called WRONG."""
    verdicts, worst = Counter[str](), 0.0

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(systems(), st.integers(0, 2**30), time_lengths())
    def run(spec: SystemSpec, number: int, steps: int) -> None:
        nonlocal worst
        system = build(spec)
        names = [*system.graph.params, *system.graph.inputs]
        if not names:
            verdicts["nothing to check"] += 1
            return
        report = uf.check(system.graph, "loss", wrt=names, order=order, **system.arrays(number, steps))
        verdicts[report.verdict] += 1
        worst = max(worst, report.error / (report.allowed or 1.0)) if report.ok else worst
        if not report.ok:
            print(f"{spec!r}\nseed {number}, T = {steps}\n{report}\n", file=sys.stderr)

    run()
    print(", ".join(f"{name}: {n}" for name, n in verdicts.most_common()))
    print(f"largest error of an accepted gradient: {worst:.3f} of what is allowed")
    return verdicts["WRONG"]


if __name__ == "__main__":
    sys.exit(1 if main(*(int(n) for n in sys.argv[1:] or ["1000"])) else 0)
