"""python -m benchmarks.tasks [NAME ...]: run tasks, all by default; a name that ends in a
missing package is skipped and named."""

from __future__ import annotations

import sys
from importlib import import_module

TASKS = ("loss_curve", "adding", "sequences", "digits", "stories", "labelling", "long")


def main(names: list[str]) -> int:
    unknown = [n for n in names if n not in TASKS]
    if unknown:
        print(f"unknown task {unknown[0]!r}; there are {', '.join(TASKS)}", file=sys.stderr)
        return 2
    for name in names or TASKS:
        print(f"== {name}", flush=True)
        import_module(f"benchmarks.tasks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
