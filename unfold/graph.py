"""`Graph`: every verb a user types, on one page. Each is a function of a layer below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import viz
from unfold.analysis import arrows, causality, separation, views
from unfold.analysis.arrows import Cycle
from unfold.analysis.separation import Separation, Sides
from unfold.analysis.table import Table, table_of
from unfold.analysis.views import Asked, NodeView, Views
from unfold.core.axis import Axis
from unfold.core.errors import UnfoldError
from unfold.core.system import System, Wrt, once, signature
from unfold.engine import run as running
from unfold.engine.run import Differentiated, Function, Result, Run
from unfold.language import json_text
from unfold.language.equations import system
from unfold.notation.latex import latex
from unfold.notation.text import equations
from unfold.transform import adjoint, batching, forward, jacobians, unfolding
from unfold.transform.jacobians import NameOrStep


class Graph(System):
    """Named outputs over nodes, and the definitions of the symbols among them. Immutable.

    `outputs` maps names to nodes, `definitions` maps symbol nodes to the nodes they stand
    for. Make one with `uf.graph`; transformations (`unfold`, `grad`, `jvp`, `batch`) return
    new ones.
    """

    # ------------------------------------------------------------------ transformations
    def select(self, *names: str) -> Self:
        """The same system with only these outputs."""
        return self.remade({name: self.output(name) for name in names}, self.definitions, signature(self))

    def unfold(self, /, **sizes: int) -> Self:
        """The explicit graph for given numbers of steps: `rnn.unfold(t=4)`."""
        return unfolding.unfold(self, sizes)

    def grad(self, of: str, wrt: Wrt = None) -> Self:
        """The gradient of an output that is one number, as a graph with an output for every
        parameter (or input) in `wrt`; all parameters by default."""
        return adjoint.grad(self, of, once(wrt))

    def jvp(self, of: str | Iterable[str] | None = None, wrt: Wrt = None) -> Self:
        """Forward mode: outputs with their tangents, as a graph (see `unfold.transform.forward`)."""
        return forward.jvp(self, of, once(wrt))

    def hvp(self, of: str, wrt: Wrt = None) -> Self:
        """Hessian times a vector, which comes in as `W_dot`, ... (see `unfold.transform.forward`)."""
        return forward.hvp(self, of, once(wrt))

    def jacobian(self, of: NameOrStep, wrt: NameOrStep | Iterable[NameOrStep] | None = None) -> Self:
        """d of / d wrt, entry by entry; `dag.jacobian(("h", 10), ("h", 1))` (see
        `unfold.transform.jacobians`)."""
        return jacobians.jacobian(self, of, wrt)

    def hessian(self, of: str, wrt: NameOrStep | Iterable[NameOrStep] | None = None) -> Self:
        """The second derivatives of an output that is one number (see `unfold.transform.jacobians`)."""
        return jacobians.hessian(self, of, wrt)

    def batch(
        self,
        name: str = "n",
        *,
        batch_first: bool = False,
        reduce: str | None = "mean",
        lengths: str | Mapping[str, str] | None = None,
        pad: str = "right",
    ) -> Self:
        """The graph over a batch of examples (see `unfold.transform.batching.batch`)."""
        return batching.batch(self, name, batch_first=batch_first, reduce=reduce, lengths=lengths, pad=pad)

    # ------------------------------------------------------------------ running
    def __call__(self, /, **arrays: Any) -> Result:
        """The outputs for given inputs and parameters: `rnn(x=X, y=Y, **weights).loss`."""
        return running.compiled(self)(**arrays)

    def compile(
        self, backend: str = "numpy", optimise: Iterable[str] | None = None, keep: int = running.KEEP
    ) -> Function:
        """The graph as a function of arrays, compiled once per shapes and dtypes.

        `backend`: "numpy"; "numba", which makes machine code of all it can (install `unfold[jit]`; about
        two seconds the first time, then kept in the user's cache folder or in $UNFOLD_CACHE); "auto",
        NumPy until its calls have taken as long as compiling does; "reference", the definition node by
        node. `optimise`: the names in `unfold.engine.planning.PASSES` to use; () for none.
        `keep`: of how many shapes the code and its buffers are kept, those used last.
        """
        return running.compiled(self, backend, optimise, keep)

    def value_and_grad(
        self,
        of: str,
        wrt: Wrt = None,
        *,
        backend: str = "numpy",
        optimise: Iterable[str] | None = None,
        keep: int = running.KEEP,
    ) -> Differentiated:
        """A function of arrays that gives an output and its gradients, {name: array}. `backend`,
        `optimise` and `keep` as for `compile`."""
        return running.value_and_grad(self, of, once(wrt), backend, optimise, keep)

    def code(
        self,
        /,
        of: str | None = None,
        wrt: Wrt = None,
        *,
        backend: str = "numpy",
        optimise: Iterable[str] | None = None,
        sizes: Mapping[str, int] | None = None,
        **more: int,
    ) -> str:
        """The NumPy source that runs: of the outputs, or of `of` and its gradients. Sizes may be given by
        name (`t=50, hidden=16`), in `sizes` where the name is taken here (`sizes={"of": 3}`); those that
        are not are small stand-ins."""
        return running.code(self, of, once(wrt), backend, optimise, {**(sizes or {}), **more})

    def run(self, /, of: str | None = None, *, arrays: Mapping[str, Any] | None = None, **more: Any) -> Run:
        """Every value of the graph on given arrays: `run["h"]`, `run["h", 3]`,
        `run.adjoint["h", 3]` (of `of`, or of the only output that is one number). Arrays whose names are
        taken here go in `arrays`: `run(arrays={"of": ...})`."""
        return Run(self, {**(arrays or {}), **more}, of)

    def init(
        self, /, seed: int = 0, *, sizes: Mapping[str, int] | None = None, **more: int
    ) -> dict[str, Any]:
        """Random parameters scaled by fan-in (vectors are zero), for given dimension sizes (in `sizes`
        those named like an argument)."""
        return running.init(self, seed, {**(sizes or {}), **more})

    # ------------------------------------------------------------------ looking
    def __str__(self) -> str:
        return equations(self)

    def __getitem__(self, key: Asked) -> NodeView:
        """One node: `g["h"]`, `dag["h", 3]`, `dag["h", 0]` (a boundary), `g["loss"]`."""
        return views.view(self, key)

    @property
    def table(self) -> Table:
        """The graph as arrays: one row a node, its parents by number."""
        return table_of(self)

    @property
    def nodes(self) -> Views:
        """All nodes, made when looked at."""
        return views.nodes(self)

    def parents(self, key: Asked) -> Views:
        """What a node reads, in the order of its arguments."""
        return views.parents(self, key)

    def children(self, key: Asked) -> Views:
        """What reads a node."""
        return views.children(self, key)

    def ancestors(self, key: Asked) -> Views:
        """Everything a node depends on."""
        return views.ancestors(self, key)

    def descendants(self, key: Asked) -> Views:
        """Everything that depends on a node."""
        return views.descendants(self, key)

    def depth(self) -> int:
        """The longest chain of operations (within one step where there are axes)."""
        return views.depth(self)

    def paths(self, a: Asked, b: Asked, limit: int = 100) -> list[tuple[str, ...]]:
        """The directed paths from a to b, as names."""
        return views.paths(self, a, b, limit)

    def cycles(self) -> list[Cycle]:
        """The loops of variables, with their lags."""
        return arrows.cycles(self)

    def state(self, axis: Axis | str = "t", backward: bool = False) -> tuple[str, ...]:
        """The smallest set carried across a cut in time (see `unfold.analysis.causality.state`)."""
        return causality.state(self, axis, backward)

    def lookahead(self, axis: Axis | str = "t") -> dict[str, float]:
        """How many steps ahead each output reads (see `unfold.analysis.causality.lookahead`)."""
        return causality.lookahead(self, axis)

    def separates(self, cut: Sides, a: Sides, b: Sides) -> Separation:
        """Whether `cut` separates a from b (see `unfold.analysis.separation.separates`)."""
        return separation.separates(self, cut, a, b)

    def to_networkx(self) -> Any:
        """The graph as a `networkx.MultiDiGraph`."""
        return views.to_networkx(self)

    def to_json(self) -> str:
        """The graph as JSON text; `Graph.from_json` gives the same graph back."""
        return json_text.to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The graph of a text written by `to_json`."""
        return json_text.from_json(text, cls)

    def latex(self) -> str:
        """The equations in LaTeX, as the textbook sets them; adjoints carry a bar."""
        return latex(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Mapping[str, str]:
        """In a notebook: the picture; the equations where there is nothing to draw."""
        try:
            picture = viz.draw(self)._repr_mimebundle_()
        except UnfoldError:
            picture = {}
        return {**picture, "text/plain": str(self)}

    def __repr__(self) -> str:
        form = f"over {', '.join(a.name for a in self.axes)}" if self.axes else "unfolded"
        return f"<Graph {form}: {', '.join(list(self.inputs)[:6])} -> {', '.join(list(self.outputs)[:6])}>"


def graph(**outputs: Any) -> Graph:
    """The system that the outputs need, checked: every read defined once, shapes fitting,
    an order of computation existing for every T. Arguments name the outputs.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> x, s = uf.input("x", over=t), uf.var("s", over=t)
    >>> s[0] = 0
    >>> s[t] = s[t-1] + x[t]
    >>> g = uf.graph(total=s[t.last])
    >>> float(g(x=[1.0, 2.0, 3.0]).total)
    6.0
    """
    return system(outputs, Graph)
