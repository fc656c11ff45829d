"""PyTorch: an eager loop over time, and the fused nn.RNN, nn.LSTM and nn.GRU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.models import Arrays, Case, Run, Unsupported

Tensors = dict[str, Any]


def gate(w: Tensors, k: str, h: Any, x: Any) -> Any:
    return h @ w["W" + k].T + x @ w["U" + k].T + w["b" + k]


def loss_of(w: Tensors, h: Any, y: Any) -> Any:
    """h (T, n, hidden) or a list of its steps."""
    h = torch.stack(h) if isinstance(h, list) else h
    o = h @ w["V"].T + w["c"]
    return F.cross_entropy(o.flatten(0, 1), y.flatten(), reduction="sum") / y.shape[1]


def chain(w: Tensors, k: str, xs: Any) -> list[Any]:
    """h[t] = tanh(W h[t-1] + U x[t] + b), all steps."""
    h, out = xs[0].new_zeros(xs[0].shape[0], w["W" + k].shape[0]), []
    for x in xs:
        h = torch.tanh(gate(w, k, h, x))
        out.append(h)
    return out


def rnn(w: Tensors, x: Any, y: Any) -> Any:
    return loss_of(w, chain(w, "", x), y)


def bidirectional(w: Tensors, x: Any, y: Any) -> Any:
    f, g = chain(w, "f", x), chain(w, "g", x.flip(0))[::-1]
    return loss_of(w, torch.cat([torch.stack(f), torch.stack(g)], 2), y)


def stacked(w: Tensors, x: Any, y: Any) -> Any:
    return loss_of(w, chain(w, "2", chain(w, "1", x)), y)


def lstm(w: Tensors, x: Any, y: Any) -> Any:
    h = s = x.new_zeros(x.shape[1], w["Wi"].shape[0])
    out = []
    for xt in x:
        i, f, q = (torch.sigmoid(gate(w, k, h, xt)) for k in "ifq")
        s = f * s + i * torch.tanh(gate(w, "g", h, xt))
        h = q * torch.tanh(s)
        out.append(h)
    return loss_of(w, out, y)


def gru(w: Tensors, x: Any, y: Any) -> Any:
    h = x.new_zeros(x.shape[1], w["Wr"].shape[0])
    out = []
    for xt in x:
        r, z = torch.sigmoid(gate(w, "r", h, xt)), torch.sigmoid(gate(w, "z", h, xt))
        n = torch.tanh(xt @ w["Un"].T + w["bn"] + r * (h @ w["Wn"].T))
        h = (1 - z) * n + z * h
        out.append(h)
    return loss_of(w, out, y)


def attention(w: Tensors, x: Any, y: Any) -> Any:
    memory = torch.stack(chain(w, "", x))
    keys = memory @ w["B"].T
    d, out = torch.tanh(memory[-1] @ w["Q"].T), []
    previous = torch.cat([torch.zeros_like(y[:1]), y[:-1]])
    words = w["E"][previous]
    for word in words:
        e = torch.tanh(d @ w["A"].T + keys) @ w["v"]
        k = (torch.softmax(e, 0)[:, :, None] * memory).sum(0)
        d = torch.tanh(d @ w["P"].T + k @ w["S"].T + word + w["p"])
        out.append(d)
    return loss_of(w, out, y)


LOOPS = {f.__name__: f for f in (rnn, lstm, gru, bidirectional, stacked, attention)}


def tensors(arrays: Arrays) -> Tensors:
    return {k: torch.from_numpy(np.array(a)).requires_grad_() for k, a in arrays.items()}


def eager(case: Case) -> Run:
    model, w = LOOPS[case.model], tensors(case.weights)
    x, y = torch.from_numpy(case.x), torch.from_numpy(case.y)
    leaves = list(w.values())

    def step() -> Any:
        loss = model(w, x, y)
        return loss, torch.autograd.grad(loss, leaves)

    return Run(step, lambda r: (r[0].item(), {k: g.numpy() for k, g in zip(w, r[1], strict=True)}))


# ---------------------------------------------------------------------------------- fused layers
# the gates of each layer in PyTorch's order; the names of the canonical parameters behind them
LAYERS: dict[str, tuple[Any, list[str], dict[str, Any]]] = {
    "rnn": (torch.nn.RNN, [""], {}),
    "lstm": (torch.nn.LSTM, ["ifgq"], {}),
    "gru": (torch.nn.GRU, ["rzn"], {}),
    "bidirectional": (torch.nn.RNN, ["f", "g"], {"bidirectional": True}),
    "stacked": (torch.nn.RNN, ["1", "2"], {"num_layers": 2}),
}


def fused(case: Case) -> Run:
    """The second bias that PyTorch's layers have is zero; its gradient is computed and dropped."""
    if case.model not in LAYERS:
        raise Unsupported("PyTorch has no fused layer for this model")
    make, layers, options = LAYERS[case.model]
    size = case.size
    net = make(size.input, size.hidden, dtype=torch.float64 if case.dtype == "float64" else None, **options)
    suffixes = {"bidirectional": ["l0", "l0_reverse"], "stacked": ["l0", "l1"]}.get(case.model, ["l0"])
    with torch.no_grad():
        for suffix, gates in zip(suffixes, layers, strict=True):
            for kind, name in (("W", "weight_hh"), ("U", "weight_ih"), ("b", "bias_ih")):
                parts = [case.weights[kind + k] for k in gates or [""]]
                getattr(net, f"{name}_{suffix}").copy_(torch.from_numpy(np.concatenate(parts)))
            getattr(net, f"bias_hh_{suffix}").zero_()
    w = tensors({k: case.weights[k] for k in "Vc"})
    x, y = torch.from_numpy(case.x), torch.from_numpy(case.y)
    names = [name for name, _ in net.named_parameters()]
    leaves = [*net.parameters(), *w.values()]

    def step() -> Any:
        loss = loss_of(w, net(x)[0], y)
        return loss, torch.autograd.grad(loss, leaves)

    def read(result: Any) -> tuple[float, Arrays]:
        loss, raw = result
        grads = {k: g.numpy() for k, g in zip([*names, *w], raw, strict=True)}
        out = {k: grads[k] for k in "Vc"}
        for suffix, gates in zip(suffixes, layers, strict=True):
            for kind, name in (("W", "weight_hh"), ("U", "weight_ih"), ("b", "bias_ih")):
                parts = np.split(grads[f"{name}_{suffix}"], max(1, len(gates)) if len(layers) == 1 else 1)
                for k, part in zip(gates or [""], parts, strict=True):
                    out[kind + k] = part
        return loss.item(), out

    return Run(step, read)


PEERS = {"PyTorch fused": fused, "PyTorch eager": eager}
