"""Random programs by the thousand: `python tests/many_programs.py 20000` draws that many, tries each in
some ways (`programs/trying.py`) and prints a table of what was right, refused and wrong.

    python tests/many_programs.py COUNT [SEED] [--only WAY] [--ways N] [--jobs 2] [--save FOLDER] [--small S]

Every program is tried forward and backward and in N more ways (3), with `--only` in that way alone. For
each kind of failure the first program is made smaller for S seconds (5) and printed as a script of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

from programs.drawing import Impossible, draw
from programs.smaller import smaller
from programs.trying import WAYS, Verdict, attempt, kind_of, repro

ALWAYS = ("forward", "gradient")
RARELY = ("numba",)  # two seconds each


def chosen(number: int, only: str | None, more: int) -> list[str]:
    """The ways in which a program is tried."""
    if only:
        return [w for w in WAYS if w == only or (only == "without" and w.startswith("without"))]
    rng = random.Random(number)
    others = [w for w in WAYS if w not in (*ALWAYS, *RARELY)]
    return [*ALWAYS, *rng.sample(others, min(more, len(others)))]


def one(job: tuple[int, str | None, int]) -> tuple[int, list[Verdict]]:
    """The verdicts on one program."""
    number, only, more = job
    try:
        program = draw(random.Random(number))
    except Impossible:
        return number, []
    return number, [attempt(program, way) for way in chosen(number, only, more)]


def main(arguments: list[str]) -> int:
    """Try many programs; the number of wrong verdicts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--only", choices=[*WAYS, "without"])
    parser.add_argument("--ways", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--save", type=Path, help="a folder for the scripts of the wrong ones")
    parser.add_argument("--small", type=float, default=5.0)
    given = parser.parse_args(arguments)
    jobs = [(n, given.only, given.ways) for n in range(given.seed, given.seed + given.count)]
    table: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    programs = 0
    with multiprocessing.Pool(given.jobs) if given.jobs > 1 else _Here() as pool:
        for number, verdicts in pool.imap_unordered(one, jobs, 8):
            programs += bool(verdicts)
            for v in verdicts:
                table[v.way][v.what] += 1
                if v.what in ("wrong", "refused"):
                    kinds[v.what, v.way, kind_of(v.said)].append(number)
    print(f"{programs} programs")
    print(f"{'way':22}{'tried':>8}{'right':>8}{'refused':>9}{'wrong':>7}")
    for way in WAYS:
        c = table[way]
        if c:
            print(f"{way:22}{c.total() - c['unfit']:8}{c['right']:8}{c['refused']:9}{c['wrong']:7}")
    alike: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(dict)
    for (what, way, said), numbers in kinds.items():
        alike[what, said][way] = numbers
    for (what, said), ways in sorted(alike.items(), key=lambda pair: -sum(map(len, pair[1].values()))):
        seeds = sorted({n for numbers in ways.values() for n in numbers})
        print(
            f"{what} {len(seeds)} programs: {said}\n    seeds {seeds[:6]}; "
            + ", ".join(f"{w} {len(n)}" for w, n in ways.items())
        )
    _explain(kinds, given)
    return sum(c["wrong"] for c in table.values())


def _explain(kinds: dict[tuple[str, str, str], list[int]], given: argparse.Namespace) -> None:
    """The first wrong program of each kind as a script, made smaller."""
    seen: set[str] = set()
    for (what, way, said), numbers in kinds.items():
        if what != "wrong" or given.small <= 0 or said in seen:
            continue
        seen.add(said)
        program = draw(random.Random(min(numbers)))

        def fails(p: object, way: str = way, said: str = said) -> bool:
            verdict = attempt(p, way)  # type: ignore[arg-type]
            return verdict.what == "wrong" and kind_of(verdict.said) == said

        program = smaller(program, fails, given.small)
        text = f"# seed {min(numbers)}\n" + repro(program, attempt(program, way))
        if given.save:
            given.save.mkdir(parents=True, exist_ok=True)
            (given.save / f"{len(seen):03}-{way.replace(' ', '-')}-{min(numbers)}.py").write_text(text)
        else:
            print("\n" + text)


class _Here:
    """A pool of this process."""

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def imap_unordered(self, function, jobs, _chunk):  # type: ignore[no-untyped-def]
        return map(function, jobs)


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
