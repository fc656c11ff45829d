"""Who is measured. Each module has PEERS = {name: function from a Case to a Run}."""

from __future__ import annotations

import importlib

from benchmarks.models import Peer

# the columns of the table: each module with the names it brings, known before it is imported
MODULES = {
    "gemm": ["GEMM bound"],
    "ours": ["unfold"],
    "ours_numba": ["unfold, Numba"],
    "plan": ["plan by hand"],
    "naive": ["naive NumPy"],
    "jax_": ["JAX scan", "JAX scan, hoisted"],
    "torch_": ["PyTorch fused", "PyTorch eager"],
    "pytensor_": ["PyTensor scan"],
    "autograd_": ["HIPS autograd"],
    "mygrad_": ["MyGrad"],
}
NAMES = [name for names in MODULES.values() for name in names]


def load(wanted: list[str] | None = None) -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that can be imported, and for each of the others why not.

    `wanted` holds names or parts of names, without regard to case; None is all.
    """
    peers: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    for module, names in MODULES.items():
        chosen = [n for n in names if wanted is None or any(k.lower() in n.lower() for k in wanted)]
        if not chosen:
            continue
        try:
            found = importlib.import_module(f"benchmarks.peers.{module}").PEERS
        except ImportError as error:
            missing.update(dict.fromkeys(chosen, f"not installed ({error})"))
        else:
            peers.update({n: found[n] for n in chosen})
    return peers, missing
