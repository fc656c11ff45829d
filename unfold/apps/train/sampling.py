"""Text from a character model, one step at a time and in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from unfold.apps.train.corpus import Vocabulary
from unfold.apps.train.models import carried
from unfold.graph import Graph
from unfold.learn.generate import choose
from unfold.learn.states import Stream
from unfold.learn.streaming import stream


def sample(
    model: Graph,
    weights: Mapping[str, Any],
    vocabulary: Vocabulary,
    *,
    temperature: float = 0.8,
    prompt: str = "",
    seed: int = 0,
) -> Iterator[str]:
    """Characters without end, after the prompt (which is not repeated)."""
    rng = np.random.default_rng(seed)
    s: Stream = stream(model, "o")
    hidden = {f"{name}_0": weights["V"].shape[1] for name in carried(model)}
    state = s.init(**{name: np.zeros(n, weights["V"].dtype) for name, n in hidden.items()}, **weights)
    now, *rest = vocabulary.encode(prompt or _beginning(vocabulary))
    for following in rest:
        _, state = s(state, x=now, **weights)
        now = following
    while True:
        out, state = s(state, x=now, **weights)
        now = choose(out["o"], temperature, rng)
        yield vocabulary.characters[now]


def _beginning(vocabulary: Vocabulary) -> str:
    """What most likely stands before a beginning."""
    return next((c for c in "\n ." if c in vocabulary.characters), vocabulary.characters[0])
