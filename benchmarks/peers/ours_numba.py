"""unfold with its loops compiled by Numba: the same graphs, another backend."""

from __future__ import annotations

from functools import partial

import numba  # noqa: F401  (an optional extra: without it this peer is skipped)

from benchmarks.peers.ours import ours

PEERS = {"unfold, Numba": partial(ours, backend="numba")}
