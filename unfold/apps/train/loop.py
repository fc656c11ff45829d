"""Truncated backpropagation through time with carried state, as steps from state to state.

`Trainer` knows the text and the options; `Progress` is everything that changes, immutable:
an interrupt at any moment leaves the last whole one, which a checkpoint holds bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import isfinite, log
from pathlib import Path
from typing import Any

import numpy as np

from unfold.apps.train.checkpoint import Array, BadCheckpoint, Checkpoint
from unfold.apps.train.corpus import Codes, Rows, Vocabulary, split
from unfold.apps.train.models import carried, character, initial
from unfold.core.errors import UnfoldError
from unfold.graph import Graph
from unfold.learn import optim
from unfold.transform.adjoint import with_gradients

Arrays = Mapping[str, Array]
VALIDATED = 100_000  # characters at most, each time


class Diverged(UnfoldError):
    """The loss is no longer a number. Field: `step`."""


@dataclass(frozen=True)
class Options:
    """What a run is made of; all of it is in its checkpoint."""

    model: str = "lstm"
    hidden: int = 128
    layers: int = 1
    embed: int = 32
    steps: int = 50  # of one window: how far back gradients go
    streams: int = 32  # rows of the text that are read side by side
    optimiser: str = "adam"
    rate: float = 3e-3
    clip: float = 1.0
    epochs: int = 20
    patience: int = 5  # validations without progress before an early stop
    validation: float = 0.05
    every: int = 500  # windows between validations, at most
    precision: str = "float32"
    seed: int = 0


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    weights: Arrays
    memory: Arrays
    state: Arrays
    best_weights: Arrays
    epoch: int = 0
    window: int = 0
    step: int = 0
    loss: float = 0.0  # the sum, in nats, over the windows since the last validation
    windows: int = 0
    best: float | None = None  # bits per character
    stale: int = 0  # validations since then
    log: tuple[tuple[int, float, float], ...] = ()  # (step, bits in training, bits in validation)

    @property
    def bits(self) -> float:
        """Bits per character in training, since the last validation."""
        return self.loss / max(1, self.windows) / log(2)


@dataclass
class Trainer:
    """A model, a text and options; gives one `Progress` after another."""

    options: Options
    vocabulary: Vocabulary
    codes: Codes
    model: Graph = field(init=False)

    def __post_init__(self) -> None:
        o = self.options
        if o.optimiser not in optim.OPTIMISERS:
            raise UnfoldError(f"no optimiser {o.optimiser!r}; there are {', '.join(optim.OPTIMISERS)}")
        self.model = character(o.model, layers=o.layers)
        train, validation = split(self.codes, o.validation)
        self.train = Rows.fit(train, o.streams, o.steps)
        held = validation[:VALIDATED] if len(validation) else train[:VALIDATED]
        self.validation = Rows.fit(held, o.streams, o.steps)
        self.held_out = len(validation) > 0

    # ------------------------------------------------------------------ what runs
    @cached_property
    def names(self) -> list[str]:
        return carried(self.model)

    @cached_property
    def _step(self) -> Any:
        batch = self.model.batch("n")
        keep = ["loss", *(f"{s}_T" for s in self.names)]
        return with_gradients(batch, "loss", {"d" + k: p for k, p in batch.params.items()}, keep).compile()

    @cached_property
    def _evaluate(self) -> Any:
        return self.model.batch("n").select("loss", *(f"{s}_T" for s in self.names)).compile()

    def start(self) -> Progress:
        """The first progress: fresh weights."""
        o = self.options
        weights = initial(self.model, o.seed, vocabulary=len(self.vocabulary), embed=o.embed, hidden=o.hidden)
        weights = {name: w.astype(o.precision) for name, w in weights.items()}
        return Progress(weights, {}, self.zeros(self.train), weights)

    def zeros(self, windows: Rows) -> Arrays:
        """The state before a text."""
        o = self.options
        return {f"{s}_0": np.zeros((windows.streams, o.hidden), o.precision) for s in self.names}

    # ------------------------------------------------------------------ one step
    def advance(self, now: Progress) -> Progress:
        """One window: its loss, gradients, clipping, the optimiser, and the state carried on."""
        x, y = self.train[now.window]
        out = self._step(x=x, y=y, **now.state, **now.weights)
        loss = float(out["loss"])
        if not isfinite(loss):
            raise Diverged(
                f"the loss is {loss} at step {now.step + 1}: try a lower --rate or a lower --clip",
                step=now.step,
            )
        grads = optim.clip_norm({k: out["d" + k] for k in now.weights}, self.options.clip)
        update = optim.OPTIMISERS[self.options.optimiser]
        weights, memory = update(now.weights, grads, now.memory, rate=self.options.rate)
        window = now.window + 1
        done = window == len(self.train)
        return replace(
            now,
            weights=weights,
            memory=memory,
            state=self.zeros(self.train) if done else {f"{s}_0": out[f"{s}_T"] for s in self.names},
            epoch=now.epoch + done,
            window=0 if done else window,
            step=now.step + 1,
            loss=now.loss + loss,
            windows=now.windows + 1,
        )

    def due(self, now: Progress) -> bool:
        """Whether it is time to validate: after an epoch, or after `every` windows of one."""
        return now.windows > 0 and (now.window == 0 or now.window % self.options.every == 0)

    def validate(self, now: Progress) -> Progress:
        """The loss on the text held out (on the text itself where it is too short for that)."""
        state, total, count = self.zeros(self.validation), 0.0, 0
        for k in range(len(self.validation)):
            x, y = self.validation[k]
            out = self._evaluate(x=x, y=y, **state, **now.weights)
            state = {f"{s}_0": out[f"{s}_T"] for s in self.names}
            total, count = total + float(out["loss"]) * len(x), count + len(x)
        bits = total / count / log(2)
        better = now.best is None or bits < now.best
        return replace(
            now,
            loss=0.0,
            windows=0,
            best=bits if better else now.best,
            best_weights=now.weights if better else now.best_weights,
            stale=0 if better else now.stale + 1,
            log=(*now.log, (now.step, now.bits, bits)),
        )

    def finished(self, now: Progress) -> str | None:
        """Why the run is over, if it is."""
        if now.epoch >= self.options.epochs:
            return f"{now.epoch} epochs done"
        if now.stale >= self.options.patience:
            return f"no progress in {now.stale} validations (best {now.best:.3f} bits/char)"
        return None

    # ------------------------------------------------------------------ checkpoints
    def checkpoint(self, now: Progress) -> Checkpoint:
        """The run as it stands; `resume` continues it bit for bit."""
        groups = ("weights", "memory", "state", "best_weights")
        facts = {name: getattr(now, name) for name in now.__dataclass_fields__ if name not in groups}
        options = asdict(self.options)
        text = {"characters": self.vocabulary.characters, "length": len(self.codes)}
        return Checkpoint(
            self.model,
            {"options": options, "text": text, "progress": facts},
            {group: getattr(now, group) for group in groups},
        )


def resume(
    saved: Checkpoint, vocabulary: Vocabulary, codes: Codes, path: str | Path, **changes: Any
) -> tuple[Trainer, Progress]:
    """The run of a checkpoint on the same text; `changes` are options such as `epochs`."""
    try:
        options = Options(**{**saved.facts["options"], **changes})
        text, facts = saved.facts["text"], dict(saved.facts["progress"])
        facts["log"] = tuple((int(s), float(a), float(b)) for s, a, b in facts["log"])
        every: dict[str, Any] = {**saved.groups, **facts}
        progress = Progress(**every)
        same = text == {"characters": vocabulary.characters, "length": len(codes)}
    except (KeyError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{path} is no checkpoint of `unfold train`: {error}", path=path) from None
    if not same:
        raise BadCheckpoint(
            f"{path} was trained on another text ({text['length']} characters, {len(text['characters'])} "
            f"different ones; this one has {len(codes)} and {len(vocabulary)}); resume needs the same",
            path=path,
        )
    return Trainer(options, vocabulary, codes), progress
