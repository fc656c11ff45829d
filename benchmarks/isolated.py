"""One peer on one case in a process of its own: its first gradient and its memory, as a line of JSON.

python -m benchmarks.isolated PEER MODEL DTYPE STEPS BATCH INPUT HIDDEN CLASSES
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks import machine, models, peers
from benchmarks.models import Size

TIMEOUT = 300


def memory() -> dict[str, int]:
    """Resident bytes now and at their peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")}


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def child(name: str, model: str, dtype: str, size: Size) -> dict[str, float]:
    """Processor seconds from definition to first result, of a second call, and its peak of memory.

    Another model has run before, so that imports are over.
    """
    warnings.simplefilter("ignore")
    found, missing = peers.load([name])
    if name not in found:
        raise ImportError(missing[name])
    with contextlib.suppress(models.Unsupported):  # what libraries load when first used is not counted
        found[name](
            models.case("stacked" if model != "stacked" else "rnn", models.SIZES["tiny"], dtype)
        ).step()
    case = models.case(model, size, dtype)
    before = memory()["VmRSS"]
    start = time.process_time()
    run = found[name](case)
    run.step()
    first = time.process_time() - start
    gc.collect()
    forget_peak()
    start = time.process_time()
    run.step()
    return {"first": first, "second": time.process_time() - start, "bytes": memory()["VmHWM"] - before}


def measure(name: str, model: str, dtype: str, size: Size, threads: int = 1) -> dict[str, Any]:
    """The child's answer, or {"failed": why}. Compilers start with empty caches."""
    numbers = [str(k) for k in (size.steps, size.batch, size.input, size.hidden, size.classes)]
    command = [sys.executable, "-m", "benchmarks.isolated", name, model, dtype, *numbers]
    with tempfile.TemporaryDirectory() as empty:
        environment = os.environ | machine.environment(threads)
        environment |= {"PYTENSOR_FLAGS": f"base_compiledir={empty}", "NUMBA_CACHE_DIR": empty}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return {"failed": f"longer than {TIMEOUT} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["killed"])[-1][:200]}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    who, what, precision, *rest = sys.argv[1:]
    print(json.dumps(child(who, what, precision, Size("given", *map(int, rest)))))
