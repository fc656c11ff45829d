"""One system, with everything the library has to say about it."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import unfold as uf
from unfold.apps.gallery.samples import Sample
from unfold.engine.made_up import arrays
from unfold.engine.run import Result, Run
from unfold.graph import Graph
from unfold.learn import optim

if TYPE_CHECKING:
    from viz import Drawing

TRAINING = 100  # steps of Adam
TITLES = {
    "feed_forward": "Feed-forward network",
    "dynamical": "Dynamical system",
    "driven": "Driven dynamical system",
    "rnn": "Recurrent network",
    "rnn_output": "Recurrence from the output",
    "rnn_teacher_forcing": "Teacher forcing",
    "encoder_decoder": "Encoder-decoder",
    "encoder_decoder_initial": "Encoder-decoder, context at the start",
    "encoder_decoder_every": "Encoder-decoder, context at every step",
    "stacked": "Stacked, two layers",
    "stacked_3": "Stacked, three layers",
    "lstm": "LSTM",
    "gru": "GRU",
}


@dataclass(frozen=True)
class Exhibit:
    """What the page shows of a system."""

    name: str
    mathematics: str
    prose: str
    source: str
    graph: Graph
    gradient: Graph
    drawings: dict[str, Drawing]  # by file name
    sample: Sample
    losses: list[float]
    result: Result
    report: Any

    @property
    def title(self) -> str:
        return TITLES.get(self.name, self.name.replace("_", " ").capitalize())

    @property
    def said(self) -> str:
        """The answer the trained system gives, where it chooses from named classes."""
        if "o" not in self.result or not self.sample.answers:
            return ""
        best = np.atleast_1d(np.argmax(self.result["o"], axis=-1))
        return "".join(self.sample.answers[k] for k in best)


def make(name: str, maker: Callable[..., Graph], sample: Sample) -> Exhibit:
    """Draw, differentiate, check and train one system on its sample."""
    graph = maker()
    data = arrays(graph, given=sample.inputs, **sample.sizes)
    report = uf.check(graph, "loss", **data)
    losses, weights = train(graph, {n: data[n] for n in graph.params}, sample.inputs)
    mathematics, prose = documentation(maker)
    gradient = graph.grad("loss")
    return Exhibit(
        name=name,
        mathematics=mathematics,
        prose=prose,
        source=source(maker),
        graph=graph,
        gradient=gradient,
        drawings=drawings(name, graph, gradient, graph.run("loss", **data)),
        sample=sample,
        losses=losses,
        result=graph(**sample.inputs, **weights),
        report=report,
    )


def train(
    graph: Graph, weights: dict[str, Any], inputs: dict[str, Any]
) -> tuple[list[float], dict[str, Any]]:
    """The losses of some steps of Adam, and the weights they lead to. Gradients are clipped: without,
    the last bit of a sum decides whether the recurrence from the output learns."""
    step = graph.value_and_grad("loss")
    losses: list[float] = []
    state: dict[str, Any] = {}
    for _ in range(TRAINING):
        loss, gradients = step(**inputs, **weights)
        losses.append(float(loss))
        weights, state = optim.adam(weights, optim.clip_norm(gradients, 5), state, rate=0.03)
    return losses, weights


def drawings(name: str, graph: Graph, gradient: Graph, run: Run) -> dict[str, Drawing]:
    """Both forms, side by side and each alone; the operations of one step; the gradient; and a
    run with its derivatives as colour, also as a page with everything known of each circle."""
    import viz

    steps = {a.name: a.size if isinstance(a.size, int) else 3 for a in graph.axes}
    coloured = viz.draw(graph, run=run, show="adjoint")
    found = {
        f"{name}.svg": viz.draw(graph),
        f"{name}-operations.svg": viz.draw(graph, "operations"),
        f"{name}-gradient.svg": viz.draw(gradient.unfold(**steps) if len(steps) == 1 else gradient),
        f"{name}-run.svg": coloured,
        f"{name}.html": coloured,
    }
    if steps:
        found[f"{name}-unfolded.svg"] = viz.draw(graph.unfold(**steps))
        found[f"{name}-unfolding.svg"] = viz.unfolding(graph, t=3)
    return found


def documentation(maker: Callable[..., Graph]) -> tuple[str, str]:
    """The first line of a system's docstring, its mathematics, and the rest."""
    first, _, rest = (inspect.getdoc(function(maker)) or "").partition("\n")
    return first, rest.strip()


def source(maker: Callable[..., Graph]) -> str:
    """A system as a program of its own: imports, sizes, declarations, equations, and `graph`."""
    lines = inspect.getsource(function(maker)).splitlines()
    start = [n for n, line in enumerate(lines) if '"""' in line][-1] + 1
    last = max(n for n, line in enumerate(lines) if line.startswith("    return "))
    lines[last] = lines[last].replace("return ", "graph = ", 1)
    body = textwrap.dedent("\n".join(lines[start:]))
    sizes = {name: p.default for name, p in inspect.signature(maker).parameters.items()}
    given = "".join(f"{name} = {json.dumps(value)}\n" for name, value in sizes.items())
    return f"{_imports(maker, body)}\n{given}\n{body}"


def _imports(maker: Callable[..., Graph], body: str) -> str:
    """The imports of a system's module that its equations use."""
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    module = inspect.getmodule(function(maker))
    assert module is not None
    lines: dict[str, None] = {}
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            statement.names = [n for n in statement.names if (n.asname or n.name) in used]
            if statement.names:
                lines[ast.unparse(statement)] = None
    return "".join(f"{line}\n" for line in lines)


def function(maker: Callable[..., Graph]) -> Callable[..., Graph]:
    """The function that writes a system, without the arguments it is shown with."""
    return maker.func if isinstance(maker, partial) else maker
