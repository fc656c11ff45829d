"""From equations to a graph: every read becomes delays and boundary values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unfold.errors import BadName, DefinitionError
from unfold.graph import Graph, postorder, rebuild
from unfold.language import Pattern, Read, Var
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
    from unfold.dependence import check_legality

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
    _check_names(result)
    return result


def _body_of(symbol: Node, var: Var) -> Node:
    return next(var.bodies[p] for p, s in var.symbols.items() if s is symbol)


def _check_names(result: Graph) -> None:
    seen: dict[str, Node] = {}
    labels: dict[str, type] = {}
    for node in result.order:
        if not isinstance(node.op, Named):
            continue
        other = seen.setdefault(str(node.op), node)
        kind = labels.setdefault(node.op.label, type(node.op))
        boundary_of_input = {kind.__name__, type(node.op).__name__} == {"Input", "Symbol"}
        if other is not node or (kind is not type(node.op) and not boundary_of_input):
            raise BadName(
                f"two different things are named {node.op.label!r}: one at {other.where}, one at {node.where}"
            )
