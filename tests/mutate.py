"""Source mutation: mutmut makes the mutants, one pytest session tries them all.

    python tests/mutate.py adjoint plan               # files or folders of unfold/
    python tests/mutate.py ops --sample 500 --jobs 2  # some of many, always the same ones

mutmut's own runner starts a session for every mutant, a second or more each. Here tests are collected once;
a fork tries a mutant on the tests that reach the mutated function, the quickest first, until one fails.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import os
import pickle
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

ROOT = Path(__file__).parents[1]
TESTS = {  # those that are about a part, of tests/**/test_*.py
    "adjoint": "adjoint|errors|forward|wrt",
    "engine": r"arena|faults_by_kind|innermost|loops|ops_plan|plan\w*|proving|render|tags|typed|view\w*",
    "ops": r"adjoint|forward|indexing|numpy_protocols|ops\w*|systems",
}
OTHERS = r"errors|lags|legality\w*|loops"
DOCTESTS = "tests/test_documentation.py::test_the_examples_of_a_module_run"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="+", help="adjoint, plan, ops, ops/reduce, ...")
    parser.add_argument("--sample", type=int, help="how many mutants of each to try, drawn from a fixed seed")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds of tests for one mutant")
    parser.add_argument("--only", default="", help="a regular expression for the names of mutants")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        os.chdir(copy(Path(folder)))
        sys.path.insert(0, folder)
        os.environ |= {"HYPOTHESIS_PROFILE": "mutation", "MUTANT_UNDER_TEST": ""}
        mutants: dict[str, str] = {}
        for part in args.parts:
            files = [*Path("unfold").rglob(f"{part}.py"), *Path("unfold", part).rglob("*.py")]
            made = [m for f in sorted(files) if f.name != "examples.py" for m in mutate(f)]
            random.Random(0).shuffle(made)  # so that the first ones stand for all
            mutants |= [(name, change) for name, change in made if re.search(args.only, name)][: args.sample]
        about = "|".join(TESTS.get(part.partition("/")[0], OTHERS) for part in args.parts)
        tests = [str(f) for f in Path("tests").rglob("test_*.py") if re.fullmatch(about, f.stem[5:])]
        trials = Trials(mutants, args.jobs, args.budget)
        return pytest.main(
            ["-s", "--tb=no", "-p", "no:cacheprovider", *sorted(tests), DOCTESTS], plugins=[trials]
        )


def copy(folder: Path) -> Path:
    """The repository's files, where frames of mutmut are no place in a user's program."""
    for top in ("unfold", "viz", "tests", "benchmarks"):
        shutil.copytree(ROOT / top, folder / top, ignore=shutil.ignore_patterns("__pycache__"))
    source = folder / "unfold/source.py"
    source.write_text(source.read_text().replace('"numpy",\n', '"numpy", "mutmut",\n'))
    settings = (ROOT / "pyproject.toml").read_text() + '[tool.mutmut]\nsource_paths = ["unfold/"]\n'
    (folder / "pyproject.toml").write_text(settings)
    return folder


def mutate(file: Path) -> Iterator[tuple[str, str]]:
    """Put all mutants of a file beside its functions; their names, and what each changes.
    mutmut leaves functions with decorators alone: those of operations are registered below instead."""
    source = file.read_text()
    lifted = re.findall(r"^@register\ndef (\w+)", source, re.M)
    source = re.sub(r"^@register\n(?=def )", "", source, flags=re.M)
    mutated = mutate_file_contents(str(file), source + "".join(f"register({f})\n" for f in lifted))
    file.write_text(mutated.code)
    lines, spans = mutated.code.splitlines(), mutated.line_span_by_function_name
    for name in mutated.mutant_names:
        pair = [spans[name.rpartition("_")[0] + "_orig"], spans[name]]
        before, after = (lines[span.start : span.end] for span in pair)
        diff = difflib.unified_diff(before, after, n=0, lineterm="")
        yield ".".join([*file.with_suffix("").parts, name]), "\n".join(list(diff)[3:])


class Trials:
    """A pytest plugin: instead of running the tests once, it tries mutants on them."""

    def __init__(self, mutants: dict[str, str], jobs: int, budget: float):
        self.mutants, self.jobs, self.budget = mutants, jobs, budget
        self.running: dict[int, str] = {}
        self.count: dict[str, Counter[str]] = defaultdict(Counter)

    def pytest_runtestloop(self, session: Any) -> bool:
        reached, seconds = survey(session.items)
        gc.freeze()  # forks share what is collected
        with suppress(KeyboardInterrupt):
            self.try_all(session.items, reached, seconds)
        while self.running:
            self.finish()
        print(f"\n{'module':28} mutants  killed survived   score")
        for module, c in [*sorted(self.count.items()), ("all", sum(self.count.values(), Counter()))]:
            n, killed = c.total(), c["killed"]
            print(f"{module:28} {n:7} {killed:7} {c['survived']:8} {killed / max(n, 1):7.1%}")
        return True

    def try_all(self, items: list[Any], reached: dict[str, list[int]], seconds: list[float]) -> None:
        for k, name in enumerate(self.mutants):
            total, chosen = 0.0, []
            for i in sorted(reached.get(name.rpartition("__mutmut_")[0], ()), key=seconds.__getitem__):
                if total + seconds[i] <= self.budget:
                    chosen.append(items[i])
                    total += seconds[i]
            if len(self.running) == self.jobs:
                self.finish()
            self.running[fork(name, 5 + 3 * total, lambda c=chosen: all(map(passes, c)))] = name
            if k % 100 == 99:
                print(f"[{k + 1} of {len(self.mutants)}]", flush=True)

    def finish(self) -> None:
        """Wait for a mutant; one that no test noticed is printed."""
        pid, status = os.wait()
        name, ended = self.running.pop(pid), "killed" if status else "survived"
        self.count[name.rpartition(".")[0]][ended] += 1
        if not status:
            print(f"\n{ended}: {name}\n{self.mutants[name]}", flush=True)


def passes(item: Any) -> bool:
    return not any(report.failed for report in runtestprotocol(item, nextitem=None, log=False))


def fork(mutant: str, seconds: float, work: Callable[[], bool]) -> int:
    """A process with a mutant active that ends well where `work` holds, within its time and memory."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
            signal.setitimer(signal.ITIMER_PROF, seconds)
            set_mutant_under_test(mutant)
            status = 0 if work() else 1
        finally:
            os._exit(status)
    return pid


def survey(items: list[Any]) -> tuple[dict[str, list[int]], list[float]]:
    """Which tests reach each function, and how long each test takes. Those that fail are left out."""

    reached: dict[str, list[int]] = defaultdict(list)
    seconds: list[float] = []
    kept = Path("survey.pickle")

    def work() -> bool:
        for i, item in enumerate(items):
            start = time.process_time()
            passed = passes(item)
            seconds.append(time.process_time() - start)
            for function in state()._stats if passed else ():
                reached[function].append(i)
            state()._stats.clear()
        kept.write_bytes(pickle.dumps((reached, seconds)))
        return True

    os.waitpid(fork("stats", 3000.0, work), 0)
    found: tuple[dict[str, list[int]], list[float]] = pickle.loads(kept.read_bytes())
    return found


if __name__ == "__main__":
    sys.exit(main())
