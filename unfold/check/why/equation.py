"""Which equation a node belongs to, as text and as a source line."""

from __future__ import annotations

from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.core.system import postorder
from unfold.graph import Graph


def owners(graph: Graph) -> dict[Node, tuple[str, Node]]:
    """For each node the left-hand side and the body of the equation that computes it."""
    found: dict[Node, tuple[str, Node]] = graph.known.setdefault("equations", {})
    if found:
        return found
    bodies = [(str(s.op), graph.definitions[s]) for s in graph.order if isinstance(s.op, Symbol)]
    for left, body in [*bodies, *graph.outputs.items()]:
        for node in postorder([body]):
            if not node.op.leaf:
                found.setdefault(node, (left, body))
    return found


def describe(graph: Graph, node: Node) -> tuple[str, str | None]:
    """`h[t] = tanh(W @ h[t-1] + U @ x[t] + b)` and where it was written."""
    if isinstance(node.op, Symbol):
        left, body = str(node.op), graph.definitions[node]
    else:
        left, body = owners(graph).get(node, (node.op.name, node))
    symbol = graph.symbols.get(left)
    where = node.where or body.where or (symbol.where if symbol is not None else None)
    return f"{left} = {body}", _short(where)


def _short(where: str | None) -> str | None:
    return None if where is None else where.replace("\\", "/").rsplit("/", 1)[-1]
