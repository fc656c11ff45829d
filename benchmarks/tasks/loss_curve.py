"""Character models beside the same ones in PyTorch: same text, initial weights and order of
data, truncated backpropagation with carried state, clipping, Adam; the loss at 200 steps.

    python -m benchmarks.tasks.loss_curve [TEXT]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tasks.common import table, write
from unfold.apps.train.corpus import read
from unfold.apps.train.loop import Options, Progress, Trainer

STEPS = 200


def sample_text() -> str:
    """English that every Python brings along: the help on its topics."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def ours(trainer: Trainer) -> tuple[Progress, list[float]]:
    now, losses = trainer.start(), []
    for _ in range(STEPS):
        before = now.loss
        now = trainer.advance(now)
        losses.append(now.loss - before)
    return now, losses


def torch_curve(trainer: Trainer) -> list[float]:
    """The same in PyTorch: nn.RNN, nn.LSTM or nn.GRU with our weights, and its own Adam."""
    import torch

    o, w = trainer.options, trainer.start().weights
    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[o.model]
    gates = {"rnn": [""], "lstm": ["i", "f", "g", "q"], "gru": ["r", "z", "g"]}[o.model]
    model: Any = kind(o.embed, o.hidden, o.layers).to(torch.float64)
    embedding = torch.nn.Embedding(len(trainer.vocabulary), o.embed).to(torch.float64)
    output = torch.nn.Linear(o.hidden, len(trainer.vocabulary)).to(torch.float64)
    frozen = []
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor(w["E"]))
        output.weight.copy_(torch.tensor(w["V"]))
        output.bias.copy_(torch.tensor(w["c"]))
        for k in range(o.layers):
            for ours_, theirs in (("W", "weight_hh"), ("U", "weight_ih"), ("b", "bias_ih")):
                stacked = np.concatenate([w[f"{ours_}{gate}{k + 1}"] for gate in gates])
                getattr(model, f"{theirs}_l{k}").copy_(torch.tensor(stacked))
            second = getattr(model, f"bias_hh_l{k}")
            second.zero_()
            mask = torch.zeros_like(second)
            if o.model == "gru":
                mask[-o.hidden :] = 1.0
            second.register_hook(lambda g, mask=mask: g * mask)  # one bias is enough, but for the GRU's
            frozen.append(second)
    parameters = [*embedding.parameters(), *model.parameters(), *output.parameters()]
    adam = torch.optim.Adam(parameters, lr=o.rate)
    losses, state = [], None
    for step in range(STEPS):
        window = step % len(trainer.train)
        state = None if window == 0 else state
        x, y = (torch.tensor(a) for a in trainer.train[window])
        h, state = model(embedding(x), state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss = torch.nn.functional.cross_entropy(
            output(h).reshape(-1, len(trainer.vocabulary)), y.reshape(-1)
        )
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, o.clip)
        adam.step()
        losses.append(loss.item())
    return losses


def main(path: str | None = None) -> None:
    try:
        import torch
    except ImportError:
        print("skipped: PyTorch is not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            path = str(Path(folder) / "topics.txt")
            Path(path).write_text(sample_text(), encoding="utf-8")
        vocabulary, codes = read(path)
        rows, data = [], {}
        for model, layers in (("rnn", 1), ("lstm", 1), ("gru", 1), ("lstm", 2), ("gru", 2)):
            options = Options(
                model=model, layers=layers, hidden=64, embed=24, steps=25, streams=16, precision="float64"
            )
            trainer = Trainer(options, vocabulary, codes)
            _, mine = ours(trainer)
            theirs = torch_curve(trainer)
            worst = float(np.max(np.abs(np.subtract(mine, theirs))))
            rows.append(
                [model, str(layers), f"{mine[0]:.4f}", f"{mine[-1]:.4f}", f"{theirs[-1]:.4f}", f"{worst:.1e}"]
            )
            data[f"{model} x {layers}"] = {"ours": mine, "pytorch": theirs}
    head = ["model", "layers", "first loss", f"loss at {STEPS}", "PyTorch's", "greatest difference"]
    lines = [
        f"# The loss curve beside PyTorch {torch.__version__.split('+')[0]}'s, {STEPS} steps",
        "",
        f"{len(codes):,} characters of English; windows of 16 x 25 with carried state, Adam, clipped at 1,",
        "float64; the loss is in nats per character.",
        "",
        *table(head, rows),
    ]
    write("loss_curve", lines, data)


if __name__ == "__main__":
    main(*sys.argv[1:2])
