"""`Graph`: named outputs over immutable nodes, cyclic or unfolded alike.

Cycles close through *symbols*: a graph maps each symbol (`h`) to the node that its equation
computes. An unfolded graph is the same class; its symbols are `h[1]`, `h[2]`, ... and no
node has an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from unfold.axis import Axis
from unfold.errors import UnfoldError, UnknownName
from unfold.node import Input, Node, Param, Symbol

if TYPE_CHECKING:
    from unfold.arrows import Cycle
    from unfold.queries import NodeView, Views
    from unfold.run import Result, Run
    from unfold.separation import Separation
    from unfold.table import Table

Wrt = str | Iterable[str] | None
Signature = Mapping[str, tuple[Node, tuple[Axis | int, ...]]]  # array -> leaf, leading dimensions


def postorder(
    roots: Iterable[Node],
    then: Callable[[Node], Iterable[Node]] = lambda _: (),
    below: Callable[[Node], Iterable[Node]] = lambda n: n.inputs,
) -> list[Node]:
    """All nodes below `roots`, inputs first (iterative: graphs may be deep). What `then`
    names for a node, such as the definition of a symbol, is walked too, as a further root."""
    seen: set[Node] = set()
    order: list[Node] = []
    waiting = list(roots)[::-1]
    while waiting:
        root = waiting.pop()
        if root in seen:
            continue
        seen.add(root)
        stack = [(root, iter(below(root)))]
        while stack:
            node, rest = stack[-1]
            for u in rest:
                if u not in seen:
                    seen.add(u)
                    stack.append((u, iter(below(u))))
                    break
            else:
                stack.pop()
                order.append(node)
                waiting.extend(then(node))
    return order


def rebuild(node: Node, inputs: tuple[Node, ...]) -> Node:
    """The same operation on other inputs (of the same shapes)."""
    if all(a is b for a, b in zip(node.inputs, inputs, strict=True)):
        return node
    return Node(node.op, inputs, node.axes, node.shape, node.dtype, node.where)


def reach(start: Iterable[Node], onward: Callable[[Node], Iterable[Node]]) -> set[Node]:
    """All nodes that can be reached, `start` included."""
    found = set(start)
    waiting = list(found)
    while waiting:
        for u in onward(waiting.pop()):
            if u not in found:
                found.add(u)
                waiting.append(u)
    return found


def rewrite(graph: Graph, rule: Callable[[Node, tuple[Node, ...]], Node]) -> Graph:
    """A graph with every node replaced by `rule(node, its replaced inputs)`."""
    return rewriting(graph, rule)[0]


def rewriting(graph: Graph, rule: Callable[[Node, tuple[Node, ...]], Node]) -> tuple[Graph, dict[Node, Node]]:
    """`rewrite`, and what became of every node."""
    done: dict[Node, Node] = {}
    for node in graph.order:
        done[node] = rule(node, tuple(done[u] for u in node.inputs))
    symbols = [s for s in graph.order if isinstance(s.op, Symbol)]
    kept = [s for s in symbols if done[s] is s or done[s] not in graph.definitions]  # not for another one
    definitions = {done[s]: done[graph.definitions[s]] for s in kept}
    return Graph({name: done[node] for name, node in graph.outputs.items()}, definitions, graph.spare), done


class Graph:
    """Named outputs over nodes, and the definitions of the symbols among them. Immutable.

    `outputs` maps names to nodes, `definitions` maps symbol nodes to the nodes they stand
    for. Make one with `uf.graph`; transformations (`unfold`, `grad`, `jvp`, `batch`) return
    new ones.
    """

    def __init__(
        self, outputs: Mapping[str, Node], definitions: Mapping[Node, Node], spare: Signature | None = None
    ) -> None:
        self.outputs = outputs
        self.definitions = definitions
        self.spare = spare or {}  # arrays a call may pass although nothing reads them any more

    # ------------------------------------------------------------------ structure
    def inputs_of(self, node: Node) -> tuple[Node, ...]:
        """What a node reads: its inputs; for a symbol, what defines it."""
        if isinstance(node.op, Symbol):
            return (self.definitions[node],)
        return node.inputs

    @cached_property
    def order(self) -> list[Node]:
        """All nodes, symbols included; the inputs of a node stand before it."""
        return postorder(
            self.outputs.values(), lambda n: (self.definitions[n],) if isinstance(n.op, Symbol) else ()
        )

    @cached_property
    def symbols(self) -> dict[str, Node]:
        """The symbols by their written form: "h[t]", "h[0]", "C"."""
        return {str(s.op): s for s in self.order if isinstance(s.op, Symbol)}

    @cached_property
    def inputs(self) -> dict[str, Node]:
        """The inputs by name, in order of appearance."""
        return {str(u.op): u for u in self.order if isinstance(u.op, Input)}

    @cached_property
    def params(self) -> dict[str, Node]:
        """The parameters by name, in order of appearance."""
        return {str(u.op): u for u in self.order if isinstance(u.op, Param)}

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """Every axis of the graph; none in an unfolded one."""
        return tuple(dict.fromkeys(a for u in self.order for a in (*u.axes, *u.op.spans)))

    @cached_property
    def users(self) -> dict[Node, list[Node]]:
        """The nodes that read each node; a definition is read by its symbol."""
        users: dict[Node, list[Node]] = {}
        for node in self.order:
            for u in self.inputs_of(node):
                users.setdefault(u, []).append(node)
        return users

    @cached_property
    def names(self) -> dict[Node, Node]:
        """For each node that an equation computes, the symbol that names it."""
        return {self.definitions[s]: s for s in reversed(self.order) if isinstance(s.op, Symbol)}

    @cached_property
    def table(self) -> Table:
        """The graph as arrays: one row a node, its parents by number."""
        from unfold.table import build

        return build(self, {})

    def output(self, name: str) -> Node:
        """The node of an output."""
        if name not in self.outputs:
            raise UnknownName(f"no output {name!r}; this graph has {', '.join(self.outputs)}", name=name)
        return self.outputs[name]

    def select(self, *names: str) -> Graph:
        """The same system with only these outputs."""
        from unfold.binding import signature

        return Graph({name: self.output(name) for name in names}, self.definitions, signature(self))

    # ------------------------------------------------------------------ transformations
    def unfold(self, **sizes: int) -> Graph:
        """The explicit graph for given numbers of steps: `rnn.unfold(t=4)`."""
        from unfold.unfolding import unfold

        return unfold(self, sizes)

    def grad(self, of: str, wrt: Wrt = None) -> Graph:
        """The gradient of an output that is one number, as a graph with an output for every
        parameter (or input) in `wrt`; all parameters by default."""
        from unfold.adjoint import grad

        return grad(self, of, wrt)

    def jvp(self, of: str | None = None, wrt: Wrt = None) -> Graph:
        """Forward mode: outputs with their tangents, as a graph (see `unfold.forward.jvp`)."""
        from unfold.forward import jvp

        return jvp(self, of, wrt)

    def jacobian(self, of: Any, wrt: Any = None) -> Graph:
        """d of / d wrt, entry by entry; `dag.jacobian(("h", 10), ("h", 1))` (see `unfold.jacobian`)."""
        from unfold.jacobian import jacobian

        return jacobian(self, of, wrt)

    def hessian(self, of: str, wrt: Any = None) -> Graph:
        """The second derivatives of an output that is one number (see `unfold.jacobian`)."""
        from unfold.jacobian import hessian

        return hessian(self, of, wrt)

    def hvp(self, of: str, wrt: Wrt = None) -> Graph:
        """Hessian times a vector, which comes in as `W_dot`, ... (see `unfold.forward`)."""
        from unfold.forward import hvp

        return hvp(self, of, wrt)

    def batch(self, name: str = "n", **options: Any) -> Graph:
        """The graph over a batch of examples (see `unfold.batching.batch`)."""
        from unfold.batching import batch

        return batch(self, name, **options)

    # ------------------------------------------------------------------ running
    def __call__(self, **arrays: Any) -> Result:
        """The outputs for given inputs and parameters: `rnn(x=X, y=Y, **weights).loss`."""
        return self.compile()(**arrays)

    def compile(self, backend: str = "numpy", optimise: Any = None) -> Callable[..., Result]:
        """The graph as a function of arrays, compiled once per shapes and dtypes.

        `backend`: "numpy"; "numba", which makes machine code of all it can (install `unfold[jit]`; about
        two seconds the first time, then kept in the user's cache folder or in $UNFOLD_CACHE); "auto",
        NumPy until its calls have taken as long as compiling does; "reference", the definition node by
        node. `optimise`: the names in `unfold.passes.OPTIMISATIONS` to use; () for none.
        """
        from unfold.run import compiled

        return compiled(self, backend, optimise)

    def value_and_grad(self, of: str, wrt: Wrt = None, **options: Any) -> Callable[..., tuple[Any, Any]]:
        """A function of arrays that gives an output and its gradients, {name: array}."""
        from unfold.run import value_and_grad

        return value_and_grad(self, of, wrt, **options)

    def code(self, of: str | None = None, wrt: Wrt = None, **options: Any) -> str:
        """The NumPy source that runs: forward, or forward and backward when `of` is given."""
        from unfold.run import code

        return code(self, of, wrt, **options)

    def run(self, of: str | None = None, **arrays: Any) -> Run:
        """Every value of the graph on given arrays: `run["h"]`, `run["h", 3]`,
        `run.adjoint["h", 3]` (of `of`, or of the only output that is one number)."""
        from unfold.run import Run

        return Run(self, arrays, of)

    def init(self, seed: int = 0, **sizes: int) -> dict[str, Any]:
        """Random parameters scaled by fan-in (vectors are zero), for given dimension sizes."""
        from unfold.run import init

        return init(self, seed, sizes)

    # ------------------------------------------------------------------ looking
    def __str__(self) -> str:
        from unfold.text import equations

        return equations(self)

    def __getitem__(self, key: Any) -> NodeView:
        """One node: `g["h"]`, `dag["h", 3]`, `dag["h", 0]` (a boundary), `g["loss"]`."""
        from unfold.queries import view

        return view(self, key)

    @property
    def nodes(self) -> Views:
        """All nodes, made when looked at."""
        from unfold.queries import nodes

        return nodes(self)

    def parents(self, key: Any) -> Views:
        """What a node reads, in the order of its arguments."""
        from unfold.queries import parents

        return parents(self, key)

    def children(self, key: Any) -> Views:
        """What reads a node."""
        from unfold.queries import children

        return children(self, key)

    def ancestors(self, key: Any) -> Views:
        """Everything a node depends on."""
        from unfold.queries import ancestors

        return ancestors(self, key)

    def descendants(self, key: Any) -> Views:
        """Everything that depends on a node."""
        from unfold.queries import descendants

        return descendants(self, key)

    def depth(self) -> int:
        """The longest chain of operations (within one step where there are axes)."""
        from unfold.queries import depth

        return depth(self)

    def paths(self, a: Any, b: Any, limit: int = 100) -> list[tuple[str, ...]]:
        """The directed paths from a to b, as names."""
        from unfold.queries import paths

        return paths(self, a, b, limit)

    def cycles(self) -> list[Cycle]:
        """The loops of variables, with their lags."""
        from unfold.arrows import cycles

        return cycles(self)

    def state(self, axis: Axis | str = "t", backward: bool = False) -> tuple[str, ...]:
        """The smallest set carried across a cut in time (see `unfold.causality.state`)."""
        from unfold.causality import state

        return state(self, axis, backward)

    def lookahead(self, axis: Axis | str = "t") -> dict[str, float]:
        """How many steps ahead each output reads (see `unfold.causality.lookahead`)."""
        from unfold.causality import lookahead

        return lookahead(self, axis)

    def separates(self, cut: Any, a: Any, b: Any) -> Separation:
        """Whether `cut` separates a from b (see `unfold.separation.separates`)."""
        from unfold.separation import separates

        return separates(self, cut, a, b)

    def to_networkx(self) -> Any:
        """The graph as a `networkx.MultiDiGraph`."""
        from unfold.queries import to_networkx

        return to_networkx(self)

    def to_json(self) -> str:
        """The graph as JSON text; `Graph.from_json` gives the same graph back."""
        from unfold.serial import to_json

        return to_json(self)

    @staticmethod
    def from_json(text: str | bytes) -> Graph:
        """The graph of a text written by `to_json`."""
        from unfold.serial import from_json

        return from_json(text)

    def latex(self) -> str:
        """The equations in LaTeX, as the textbook sets them; adjoints carry a bar."""
        from unfold.latex import latex

        return latex(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """In a notebook: the picture; the equations where there is nothing to draw."""
        from viz import draw

        try:
            picture = draw(self)._repr_mimebundle_()
        except UnfoldError:
            picture = {}
        return {**picture, "text/plain": str(self)}

    def __repr__(self) -> str:
        form = f"over {', '.join(a.name for a in self.axes)}" if self.axes else "unfolded"
        return f"<Graph {form}: {', '.join(list(self.inputs)[:6])} -> {', '.join(list(self.outputs)[:6])}>"
