"""From equations to a graph: every read becomes delays and boundary values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from unfold.analysis.legality import check_legality
from unfold.core.errors import BadName, DefinitionError
from unfold.core.leaves import Named, Symbol, as_node, check_name
from unfold.core.node import Node
from unfold.core.system import G, System, postorder, rebuild
from unfold.language.variables import Pattern, Read, Var
from unfold.transform.unfolding import written_out


def system(outputs: Mapping[str, Any], make: type[G]) -> G:
    """The system that the outputs need, as `make` makes one, checked (see `uf.graph`)."""
    if not outputs:
        raise DefinitionError("a graph needs an output: uf.graph(loss=..., o=...)")
    roots = {check_name(name): _read_now(value) for name, value in outputs.items()}
    result = elaborate(roots, make)
    check_legality(result, written_out)
    return result


def _read_now(value: Any) -> Node:
    if isinstance(value, Var) and value.axes:
        return value[value.axes]
    return as_node(value)


def elaborate(roots: dict[str, Node], make: type[G]) -> G:
    """Replace reads, from the outputs through all equations they need."""
    bodies: dict[Node, Node] = {}  # symbol -> body as written
    resolved: dict[Node, Node] = {}  # read -> delays over symbols
    reads: dict[tuple[Var, Pattern], Node] = {}  # one delay however often it is read

    def then(node: Node) -> Iterable[Node]:
        if not isinstance(node.op, Read):
            return ()
        key = (node.op.var, node.op.pattern)
        if key not in reads:
            reads[key] = node.op.var.resolve(node.op.pattern, node.where)
        resolved[node] = reads[key]
        below = [s for s in postorder([reads[key]]) if isinstance(s.op, Symbol)]
        bodies.update((s, _body_of(s, node.op.var)) for s in below)
        return [bodies[s] for s in below]

    done: dict[Node, Node] = {}
    for node in postorder(roots.values(), then):
        inputs = tuple(done[u] for u in node.inputs)
        done[node] = resolved[node] if node in resolved else rebuild(node, inputs)
    definitions = {symbol: done[body] for symbol, body in bodies.items()}
    result = make({name: done[node] for name, node in roots.items()}, definitions)
    _check_names(result, {var for var, _ in reads})
    return result


def _body_of(symbol: Node, var: Var) -> Node:
    return next(var.bodies[p] for p, s in var.symbols.items() if s is symbol)


def _check_names(result: System, variables: Iterable[Var]) -> None:
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
