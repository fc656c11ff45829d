"""Compiled functions: made by Numba, kept on disk under a name made of all they depend on."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unfold.core.files import write_whole

FORMAT = 2  # of the compiled modules: a new number leaves those kept before alone
HEADER = """import math as _math

import numpy as np
from numba import njit
from unfold.engine.numba.native import at, gemm, gemv, inner, shift, top, total
from unfold.engine.numba.native import exp_{dtype} as _exp, tanh_{dtype} as _tanh

inf, nan = np.inf, np.nan
_D, _I, _B = np.{dtype}, np.int64, np.uint8
"""
DECORATOR = "@njit(cache={cache}, error_model='numpy', fastmath={{'contract'}})\n"


def load(functions: Sequence[str], dtype: Any) -> dict[str, Any]:
    """The compiled functions by name, kept on disk under a name made of all they depend on."""
    text = module(functions, dtype, cache=True)
    made_by = f"{FORMAT} {sys.version} {_numba_version()} {_runtime()}"
    stem = "loops_" + hashlib.sha256((made_by + text).encode()).hexdigest()[:24]
    try:
        path = cache_folder() / f"{stem}.py"
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text.encode("utf-8"))
        loaded = _imported(stem, path)
    except OSError:  # nowhere to keep it: compiled for this process alone
        namespace: dict[str, Any] = {}
        exec(module(functions, dtype, cache=False), namespace)
        return {name: f for name, f in namespace.items() if name.startswith("part")}
    names = [n for n in vars(loaded) if n.startswith("part")]
    return {n: _Mended(n, getattr(loaded, n), stem, path) for n in names}


class _Mended:
    """A compiled function; where what was kept of it is damaged, it is compiled anew."""

    def __init__(self, name: str, function: Any, stem: str, path: Path) -> None:
        self.name, self.function, self.stem, self.path = name, function, stem, path
        self.ran = False

    def __call__(self, *arrays: Any) -> None:
        if self.ran:
            self.function(*arrays)
            return
        try:
            self.function(*arrays)
        except (EOFError, OSError, ValueError, KeyError, ImportError, AttributeError, pickle.PickleError):
            for kept in _kept(self.function):
                kept.unlink(missing_ok=True)
            self.function = getattr(_imported(self.stem, self.path), self.name)
            self.function(*arrays)
        self.ran = True


def _kept(function: Any) -> list[Path]:
    """The files in which Numba keeps a function: beside its module, or where NUMBA_CACHE_DIR says."""
    cache = function._cache
    return [*Path(cache.cache_path).glob(f"{cache._impl.filename_base}*.nb*")]


def _imported(stem: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"unfold_{stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # Numba finds what it kept of a function by the name of its module
    spec.loader.exec_module(loaded)
    return loaded


def _numba_version() -> str:
    import numba

    return str(numba.__version__)


def _runtime() -> str:
    """What compiled functions call, as text."""
    return Path(__file__).with_name("native.py").read_text("utf-8")


def has_blas() -> bool:
    """Whether compiled functions can call the BLAS that NumPy has loaded."""
    if not available():
        return False
    from unfold.engine.numba.native import ROUTINES

    return len(ROUTINES) == 4


def available() -> bool:
    """Whether Numba is installed."""
    return importlib.util.find_spec("numba") is not None


def cache_folder() -> Path:
    """Where compiled loops are kept: $UNFOLD_CACHE, or the user's cache folder."""
    if given := os.environ.get("UNFOLD_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "unfold"


def module(functions: Sequence[str], dtype: Any, cache: bool) -> str:
    """The text of a Python module with the compiled functions."""
    decorated = [DECORATOR.format(cache=cache) + f for f in functions]
    return "\n\n".join([HEADER.format(dtype=np.dtype(dtype).name), *decorated]) + "\n"
