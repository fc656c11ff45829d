"""`System`: named outputs over immutable nodes, cyclic or unfolded alike; and how to walk one.

Cycles close through *symbols*: a system maps each symbol (`h`) to the node that its equation computes.
An unfolded one is the same class; its symbols are `h[1]`, `h[2]`, ... and no node has an axis.
`unfold.Graph` is a system with all the verbs that a user types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Self, TypeVar

from unfold.core.axis import Axis
from unfold.core.errors import UnknownName
from unfold.core.key import Key
from unfold.core.leaves import Input, Named, Param, Symbol, label_of
from unfold.core.node import Node

Wrt = str | Iterable[str] | None
Signature = Mapping[str, tuple[Node, tuple[Axis | int, ...]]]  # array -> leaf, leading dimensions
G = TypeVar("G", bound="System")  # a transformation gives the class that it is given


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


def once(wrt: Wrt) -> str | tuple[str, ...] | None:
    """Names that may be read several times, whatever they were given as (a generator is read once)."""
    return wrt if wrt is None or isinstance(wrt, str) else tuple(wrt)


class System:
    """Named outputs over nodes, and the definitions of the symbols among them. Immutable.

    `outputs` maps names to nodes, `definitions` maps symbol nodes to the nodes they stand
    for. Make one with `uf.graph`; transformations (`unfold`, `grad`, `jvp`, `batch`) return
    new ones.
    """

    def __init__(
        self,
        outputs: Mapping[str, Node],
        definitions: Mapping[Node, Node],
        spare: Signature | None = None,
        steps: Mapping[str, Key] | None = None,
    ) -> None:
        self.outputs = outputs
        self.definitions = definitions
        self.spare = spare or {}  # arrays a call may pass although nothing reads them any more
        self.steps = (
            {} if steps is None else steps
        )  # the outputs that are one step of an unfolded one: "o[3]" -> (o, 3)
        self.known: dict[Any, Any] = {}  # what was found out about it, kept by those who found it

    def remade(
        self,
        outputs: Mapping[str, Node],
        definitions: Mapping[Node, Node],
        spare: Signature | None = None,
        steps: Mapping[str, Key] | None = None,
    ) -> Self:
        """Another system of the same class; its outputs are the steps of these where nothing else is said."""
        return type(self)(outputs, definitions, spare, self.steps if steps is None else steps)

    # ------------------------------------------------------------------ copies
    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle: the nodes first, the inputs of each before it, so that no walk goes deep. What was
        found out about it stays behind."""
        plain = isinstance(self.definitions, dict)  # an unfolded one is written by what it was made from
        roots = [*self.outputs.values(), *self.definitions, *self.definitions.values()] if plain else []
        nodes = postorder([*roots, *(leaf for leaf, _ in self.spare.values())])
        outputs = dict(self.outputs) if plain else self.outputs
        return _arrived, (type(self), nodes, outputs, self.definitions, dict(self.spare), self.steps)

    def __copy__(self) -> Self:
        return self.remade(self.outputs, self.definitions, self.spare)

    def __deepcopy__(self, memo: Any) -> Self:
        return self.__copy__()  # nodes never change

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
    def labels(self) -> dict[str, list[Node]]:
        """The leaves by their label: variables, then inputs, then parameters; unfolded, one has many."""
        found: dict[str, list[Node]] = {}
        for leaf in (*self.symbols.values(), *self.inputs.values(), *self.params.values()):
            if isinstance(leaf.op, Named):
                found.setdefault(leaf.op.label, []).append(leaf)
        return found

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

    def key(self, output: str) -> Key:
        """The label of an output, and its step where it is one of an unfolded output."""
        return self.steps.get(output) or Key(output)

    def output(self, name: str) -> Node:
        """The node of an output."""
        if name not in self.outputs:
            raise UnknownName(f"no output {name!r}; this graph has {', '.join(self.outputs)}", name=name)
        return self.outputs[name]


def by_label(graph: System) -> dict[str, list[Node]]:
    """The inputs and parameters by the name of their array; unfolded, one array has many nodes."""
    leaves: dict[str, list[Node]] = {}
    for node in [*graph.inputs.values(), *graph.params.values()]:
        leaves.setdefault(label_of(node), []).append(node)
    return leaves


def leading(nodes: list[Node]) -> list[Axis | int]:
    """The leading dimensions of a leaf's array: axes, or the number of steps unfolded."""
    op = nodes[0].op
    assert isinstance(op, Named)
    if not op.index:
        return list(nodes[0].axes)
    indices = [n.op.index for n in nodes if isinstance(n.op, Named)]
    out: list[Axis | int] = []
    for place, first in enumerate(op.index):
        steps = [i[place] for i in indices]
        out.append(max(s for s in steps if isinstance(s, int)) if isinstance(first, int) else first.axis)
    return out


def signature(graph: System) -> dict[str, tuple[Node, tuple[Axis | int, ...]]]:
    """The arrays a call takes: name -> (a leaf that reads it, the leading dimensions)."""
    own = {name: (nodes[0], tuple(leading(nodes))) for name, nodes in by_label(graph).items()}
    return own | dict(graph.spare)


def _arrived(
    cls: type[G],
    nodes: list[Node],
    outputs: Mapping[str, Node],
    definitions: Mapping[Node, Node],
    spare: Signature,
    steps: Mapping[str, Key],
) -> G:
    """A system from its pickle."""
    return cls(outputs, definitions, spare, steps)


def rewrite(graph: G, rule: Callable[[Node, tuple[Node, ...]], Node]) -> G:
    """A graph with every node replaced by `rule(node, its replaced inputs)`."""
    return rewriting(graph, rule)[0]


def rewriting(graph: G, rule: Callable[[Node, tuple[Node, ...]], Node]) -> tuple[G, dict[Node, Node]]:
    """`rewrite`, and what became of every node."""
    done: dict[Node, Node] = {}
    for node in graph.order:
        done[node] = rule(node, tuple(done[u] for u in node.inputs))
    symbols = [s for s in graph.order if isinstance(s.op, Symbol)]
    if len(symbols) == len(graph.definitions) and all(u is n for n, u in done.items()):
        return graph, done  # with all that is known about it; what nothing reads would have gone
    kept = [s for s in symbols if done[s] is s or done[s] not in graph.definitions]  # not for another one
    definitions = {done[s]: done[graph.definitions[s]] for s in kept}
    outputs = {name: done[node] for name, node in graph.outputs.items()}
    return graph.remade(outputs, definitions, graph.spare), done
