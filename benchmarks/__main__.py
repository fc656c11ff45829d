"""python -m benchmarks: measure, compare, write. See `--help`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.models import MODELS, SIZES, TOO_LARGE

RESULTS = Path(__file__).parent / "results"
CLOCK = "cpu: processor time of all threads, for one thread on a machine that others use too"
KINDS = ("speed", "build", "memory", "compile", "scaling", "profile", "table")


def words(known: tuple[str, ...] | None = None):  # type: ignore[no-untyped-def]
    """A comma-separated list, of known words when they are given."""

    def parse(text: str) -> list[str]:
        parts = [p.strip() for p in text.split(",") if p.strip()]
        unknown = [p for p in parts if known is not None and p not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)}; there are {', '.join(known or ())}"
            )
        return parts

    return parse


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    p.add_argument(
        "what", nargs="?", default="speed", choices=KINDS, help="speed of gradients (default), or ..."
    )
    sizes = [s for s in SIZES if s != "tiny"]
    p.add_argument("--models", type=words(tuple(MODELS)), default=list(MODELS), help=", ".join(MODELS))
    p.add_argument("--sizes", type=words(tuple(SIZES)), default=sizes, help=", ".join(sizes))
    p.add_argument("--dtypes", type=words(("float32", "float64")), default=["float32", "float64"])
    p.add_argument("--threads", type=words(("1", "2", "4", "8")), default=["1"], help="1, 2 or 1,2")
    p.add_argument("--peers", type=words(), default=None, help="parts of their names; all by default")
    p.add_argument("--repeat", type=int, default=7, help="rounds")
    p.add_argument("--budget", type=float, default=0.1, help="seconds for each peer in each round")
    p.add_argument("--clock", choices=("wall", "cpu"), default="wall", help=CLOCK)
    p.add_argument("--quick", action="store_true", help="3 rounds of 30 ms")
    p.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    p.add_argument("--dry", action="store_true", help="print only, write nothing")
    p.add_argument("--here", type=int, default=None, help=argparse.SUPPRESS)
    return p


def speed(options: argparse.Namespace, threads: int) -> int:
    """Every cell asked for, saved one by one; prints the table."""
    from benchmarks import measure, models, peers, report

    machine.settle(threads)
    chosen, missing = peers.load(options.peers)
    for name, why in missing.items():
        measure.say(f"skipped {name}: {why}")
    if options.quick:
        options.repeat, options.budget = 3, 0.03
    on, done = machine.describe(), []
    grid = [(m, s, d) for m in options.models for s in options.sizes for d in options.dtypes]
    for number, (model, size, dtype) in enumerate(grid, 1):
        if (model, size) in TOO_LARGE:
            continue
        start = time.perf_counter()
        result = measure.measure(
            models.case(model, SIZES[size], dtype), chosen, options.repeat, options.budget, options.clock
        )
        result["excluded"] |= missing
        cell = {"threads": threads, "model": model, "size": size, "dtype": dtype, "machine": on, **result}
        done.append(cell)
        took = time.perf_counter() - start
        measure.say(f"{number}/{len(grid)} {model} {size} {dtype}, {threads} thread(s), {took:.0f} s")
        for name, peer in sorted(result["peers"].items(), key=lambda item: item[1]["best"]):
            best, median = report.milliseconds(peer["best"]), report.milliseconds(peer["median"])
            measure.say(f"    {name:20s} {best:>8} ({median:>8}) ms   error {peer.get('error', 0):.0e}")
        if not options.dry:
            report.save(options.out, [cell])
    print(report.table(done))
    wrong = [w for c in done for w in c["excluded"].values() if w.startswith(("wrong", "failed"))]
    return 1 if wrong else 0


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    if options.what == "table":
        from benchmarks import report

        print(report.summary(report.load(options.out)))
        return 0
    if options.here is None:
        return max(machine.rerun(int(n), arguments) for n in options.threads)
    if options.what == "speed":
        return speed(options, options.here)
    from benchmarks import extras

    return extras.main(options)


if __name__ == "__main__":
    sys.exit(main())
