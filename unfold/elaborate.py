"""From equations to a graph: every read becomes delays and boundary values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unfold.errors import BadName, DefinitionError
from unfold.graph import Graph, postorder, rebuild
from unfold.language import Pattern, Read, Var
from unfold.legality import check_legality
from unfold.node import Named, Node, Symbol, as_node, check_name


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
    if not outputs:
        raise DefinitionError("a graph needs an output: uf.graph(loss=..., o=...)")
    roots = {check_name(name): _read_now(value) for name, value in outputs.items()}
    result = elaborate(roots)
    check_legality(result)
    return result


def _read_now(value: Any) -> Node:
    if isinstance(value, Var) and value.axes:
        return value[value.axes]
    return as_node(value)


def elaborate(roots: dict[str, Node]) -> Graph:
    """Replace reads, from the outputs through all equations they need."""
    bodies: dict[Node, Node] = {}  # symbol -> body as written
    resolved: dict[Node, Node] = {}  # read -> delays over symbols
    reads: dict[tuple[Var, Pattern], Node] = {}  # one delay however often it is read

    def then(node: Node) -> Iterable[Node]:
        if not isinstance(node.op, Read):
            return ()
        key = (node.op.var, node.op.index)
        if key not in reads:
            reads[key] = node.op.var.resolve(node.op.index, node.where)
        resolved[node] = reads[key]
        below = [s for s in postorder([reads[key]]) if isinstance(s.op, Symbol)]
        bodies.update((s, _body_of(s, node.op.var)) for s in below)
        return [bodies[s] for s in below]

    done: dict[Node, Node] = {}
    for node in postorder(roots.values(), then):
        inputs = tuple(done[u] for u in node.inputs)
        done[node] = resolved[node] if node in resolved else rebuild(node, inputs)
    definitions = {symbol: done[body] for symbol, body in bodies.items()}
    result = Graph({name: done[node] for name, node in roots.items()}, definitions)
    _check_names(result, {var for var, _ in reads})
    return result


def _body_of(symbol: Node, var: Var) -> Node:
    return next(var.bodies[p] for p, s in var.symbols.items() if s is symbol)


def _check_names(result: Graph, variables: Iterable[Var]) -> None:
    """One thing a name: variables, inputs and parameters, and axes among themselves."""
    owners: dict[str, Any] = {}
    owned = {node: v for v in variables for node in v.symbols.values()}
    for node in result.order:
        if isinstance(node.op, Named):
            owner = owned.get(node, node)
            other = owners.setdefault(node.op.label, owner)
            if other is not owner:
                raise BadName(
                    f"two different things are named {node.op.label!r}: "
                    f"one declared at {other.where}, one at {owner.where}; rename one of them",
                    name=node.op.label,
                    where=(other.where, owner.where),
                )
    for names in (owners, result.outputs):
        for name in names:
            base, bracket, _ = name.partition("[")
            if bracket and base in names:
                raise BadName(
                    f"{name!r} reads like a step of {base!r}; give one of them another name", name=name
                )
    axes: dict[str, Any] = {}
    for axis in result.axes:
        if axes.setdefault(axis.name, axis) != axis:
            raise BadName(
                f"two axes are named {axis.name!r}, of sizes {axes[axis.name].size} and {axis.size}; "
                f"rename one of them",
                name=axis.name,
            )
