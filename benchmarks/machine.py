"""What it ran on, and how many threads everybody gets."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

PACKAGES = ("numpy", "scipy", "torch", "jax", "jaxlib", "pytensor", "autograd", "mygrad", "numba")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {k.strip(): v.strip() for k, v in fields.items()}
    wide = [name for name in ("avx512f", "avx2") if name in fields.get("flags", "").split()]
    return f"{fields.get('model name', platform.machine())} {' '.join(wide[:1])}".strip()


def versions() -> dict[str, str]:
    out = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            out[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return out


def describe() -> str:
    """One line: processor, cores, system, versions, day."""
    packages = ", ".join(f"{k} {v}" for k, v in versions().items())
    return (
        f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}; {packages}; "
        f"{datetime.date.today().isoformat()}"
    )


def environment(threads: int) -> dict[str, str]:
    """The environment in which NumPy, SciPy, JAX, PyTorch and Numba all use `threads` threads."""
    names = ("OPENBLAS", "OMP", "MKL", "NUMBA", "BLIS", "VECLIB")
    out = {f"{name}_NUM_THREADS": str(threads) for name in names}
    out["NPROC"] = str(threads)  # the size of JAX's pool
    out["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    out["JAX_PLATFORMS"] = "cpu"
    return out


def rerun(threads: int, arguments: list[str]) -> int:
    """This command again in a process whose libraries start with that many threads."""
    command = [sys.executable, "-m", "benchmarks", *arguments, "--here", str(threads)]
    return subprocess.run(command, env=os.environ | environment(threads), check=False).returncode


def settle(threads: int) -> None:
    """What the environment cannot say: PyTorch's threads."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)
