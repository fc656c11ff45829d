"""The operation level of one step: parts (operations, or whole gates), ports where a delayed
value enters, inputs, and who reads what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from unfold.core.leaves import Constant, Input, Param, Symbol
from unfold.core.node import Node
from unfold.core.system import System, postorder
from unfold.ops.time.delays import At, Delay
from viz.shapes import labels
from viz.shapes.labels import Label

SILENT = {"broadcast_to", "reshape", "cast", "pick", "collect", "expand_dims"}  # moved data, nothing to draw

MANY = 12  # operations in a step beyond which gates are drawn as one box


@dataclass(frozen=True)
class Operation:
    """One box: an operation, or an activation with the affine map below it."""

    key: str
    node: Node
    label: Label
    layer: bool = False  # holds parameters: drawn as a box, not as a disc
    note: Label = ()  # the name it gives its result
    sources: tuple[str, ...] = ()  # keys of parts, ports and inputs
    carries: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Port:
    """A value of another step: `name` `lag` steps back, made by the part `maker`."""

    key: str
    name: str
    lag: int
    maker: str


@dataclass(frozen=True)
class StepOperations:
    """One step. Parts stand in an order in which they can be computed."""

    parts: Mapping[str, Operation]
    ports: Mapping[str, Port]
    inputs: Mapping[str, Node]
    outputs: Mapping[str, str] = field(default_factory=dict)  # name -> part

    def readers(self, key: str) -> list[str]:
        return [p.key for p in self.parts.values() if key in p.sources]


def cell(graph: System, fused: bool | None = None) -> StepOperations:
    """The parts of one step of a graph over at most one axis. `fused` draws an activation and
    its affine map as one box (by default where a step has many operations)."""
    whole = _StepReader(graph, False).read()
    if fused is False or (fused is None and len(whole.parts) <= MANY):
        return whole
    return _StepReader(graph, True).read()


class _StepReader:
    def __init__(self, graph: System, fused: bool) -> None:
        self.graph, self.fused = graph, fused
        self.parts: dict[str, Operation] = {}
        self.ports: dict[str, Port] = {}
        self.inputs: dict[str, Node] = {}
        self.key: dict[Node, str] = {}
        self.pending: list[tuple[str, Node, int, str]] = []

    def read(self) -> StepOperations:
        """Outwards from what the states are, then from the outputs."""
        delayed = [n.inputs[0] for n in self.graph.order if isinstance(n.op, Delay)]
        states = [self._behind(u) for u in delayed if isinstance(self._behind(u).op, Symbol) or u.inputs]
        named = [n for n in self.graph.order if isinstance(n.op, Symbol) and n.axes == self.graph.axes[:1]]
        outputs = dict(self.graph.outputs)
        for root in [*states, *named, *outputs.values()]:
            if root.axes or not self.graph.axes:
                self._visit(root)
        while self.pending:
            key, source, lag, name = self.pending.pop(0)
            self._visit(source)
            self.ports[key] = Port(key, name, lag, self.key.get(self._body(source), ""))
        made = {name: self.key[self._body(n)] for name, n in outputs.items() if self._body(n) in self.key}
        order = {k: n for n, k in enumerate(self.parts)}
        return StepOperations(_topological(self.parts, order), self.ports, self.inputs, made)

    def _behind(self, node: Node) -> Node:
        """Through silent operations."""
        while node.op.name in SILENT and node.inputs:
            node = node.inputs[0]
        return node

    def _body(self, node: Node) -> Node:
        """What computes a node: through names and silent operations."""
        while True:
            node = self._behind(node)
            if not isinstance(node.op, Symbol):
                return node
            node = self.graph.definitions[node]

    def _visit(self, root: Node) -> None:
        stack: list[tuple[Node, bool]] = [(self._body(root), False)]
        while stack:
            node, done = stack.pop()
            if node in self.key or not _drawn(node):
                continue
            inner = self._operands(node)
            if done:
                self._add(node, inner)
                continue
            stack.append((node, True))
            for u in reversed(inner):
                body = self._body(u)
                if not isinstance(body.op, Delay) and body not in self.key:
                    stack.append((body, False))

    def _operands(self, node: Node) -> list[Node]:
        """What a part reads: for a fused gate, what its affine map reads."""
        if not (self.fused and self._gate(node)):
            return list(node.inputs)
        found: list[Node] = []
        waiting = list(node.inputs)
        while waiting:
            u = waiting.pop(0)
            inner = not isinstance(u.op, Symbol) and self._affine(u)
            if inner:
                waiting = list(u.inputs) + waiting
            else:
                found.append(u)
        return found

    def _affine(self, node: Node) -> bool:
        once = len(self.graph.users.get(node, ())) <= 1
        linear = node.op.name == "contract" and any(isinstance(u.op, Param) for u in node.inputs)
        return once and (node.op.name in ("add", "take", *SILENT) or linear)

    def _gate(self, node: Node) -> bool:
        """An activation over an affine map, or an affine map itself."""
        if node.op.name == "add" or (
            node.op.name == "contract" and any(isinstance(u.op, Param) for u in node.inputs)
        ):
            tops = [node]
        elif len(node.inputs) == 1 and not node.op.structural:
            tops = [self._behind(node.inputs[0])]
        else:
            return False
        if isinstance(tops[0].op, Symbol) or (tops[0] is not node and not self._affine(tops[0])):
            return False
        waiting, linear = tops, False
        while waiting:
            u = waiting.pop()
            linear = linear or u.op.name == "contract"
            waiting += [v for v in u.inputs if not isinstance(v.op, Symbol) and self._affine(v)]
        return linear

    def _add(self, node: Node, operands: Iterable[Node]) -> None:
        key = f"op{len(self.parts)}"
        params = [str(u.op) for u in self._params(node)]
        sources = []
        for u in operands:
            body = self._body(u)
            if isinstance(body.op, Delay):
                sources.append(self._port(body))
            elif isinstance(body.op, Input):
                self.inputs[str(body.op)] = body
                sources.append(f"in {body.op}")
            elif body in self.key:
                sources.append(self.key[body])
        symbol = self.graph.names.get(node)
        name = str(getattr(symbol.op, "label", "")) if symbol is not None else ""
        gate = self.fused and self._gate(node)
        layer = gate or (node.op.name in ("contract", "take") and bool(params))
        self.key[node] = key
        note = labels.math(name) if name else ()
        if not gate and not layer and params and not name:
            note = labels.math(params[0])
        self.parts[key] = Operation(
            key,
            node,
            label(node, params, gate),
            layer,
            note,
            tuple(dict.fromkeys(sources)),
            tuple(params),
            name,
        )

    def _params(self, node: Node) -> list[Node]:
        found: dict[Node, None] = {}
        waiting = [node]
        while waiting:
            u = waiting.pop()
            for v in u.inputs:
                if isinstance(v.op, Param):
                    found[v] = None
                elif v.op.name in SILENT or (self.fused and self._gate(node) and self._affine(v)):
                    waiting.append(v)
        return list(found)

    def _port(self, node: Node) -> str:
        """The port of a delayed read; a lag of 2 passes through a register of its own."""
        assert isinstance(node.op, Delay)
        source, lag = node.inputs[0], node.op.lag
        symbol = self._behind(source)
        name = str(getattr(symbol.op, "label", "")) or "value"
        key = f"port {name} {lag}"
        if key not in self.ports and all(key != p[0] for p in self.pending):
            self.pending.append((key, source, lag, name))
        return key


def _drawn(node: Node) -> bool:
    return not isinstance(node.op, Input | Param | Constant | Delay) and not node.op.leaf


def label(node: Node, params: list[str] | None = None, gate: bool = False) -> Label:
    """What stands in an operation's box."""
    params = [str(u.op) for u in node.inputs if isinstance(u.op, Param)] if params is None else params
    return next(write(node, params) for fits, write in LABELS if fits(node, params, gate))


def _weighted(node: Node, params: list[str]) -> Label:
    wide = [p for p in params if p in _matrices(node)]
    return (*labels.math((wide or params)[0]), labels.Letters("·"))


def _indexed(node: Node, params: list[str]) -> Label:
    assert isinstance(node.op, At)
    return (labels.Letters("["), *labels.expression(repr(node.op.index)), labels.Letters("]"))


def _number(node: Node) -> Node | None:
    """The fixed number that an operation has among its inputs."""
    return next((u for u in node.inputs if isinstance(u.op, Constant) and not u.shape), None)


def _less(node: Node, params: list[str]) -> Label:
    """1 − x."""
    return labels.upright(f"{node.inputs[0].op}−".replace(".−", "−").replace(".0−", "−"))


LABELS: tuple[tuple[Callable[[Node, list[str], bool], bool], Callable[[Node, list[str]], Label]], ...] = (
    (
        lambda node, params, gate: node.op.name == "contract" and not gate and bool(params),
        lambda node, params: (*labels.math(params[0]), labels.Letters("·")),
    ),
    (
        lambda node, params, gate: node.op.name == "contract" and not gate,
        lambda node, params: labels.upright("·"),
    ),
    (
        lambda node, params, gate: node.op.name == "take" and bool(params),
        lambda node, params: (*labels.math(params[0]), labels.Letters("[·]")),
    ),
    (lambda node, params, gate: gate and node.op.name in ("add", "contract"), _weighted),
    (lambda node, params, gate: isinstance(node.op, At), _indexed),
    (
        lambda node, params, gate: node.op.name == "subtract" and _number(node) is node.inputs[0],
        _less,
    ),
    (lambda node, params, gate: True, lambda node, params: labels.upright(node.op.symbol)),
)


def _matrices(node: Node) -> set[str]:
    """The parameters below a node that stand in a product."""
    return {
        str(u.op)
        for n in postorder([node])
        if n.op.name in ("contract", "take")
        for u in n.inputs
        if isinstance(u.op, Param)
    }


def _topological(parts: Mapping[str, Operation], order: Mapping[str, int]) -> dict[str, Operation]:
    """Parts after their sources, otherwise as they came."""
    done: dict[str, Operation] = {}
    stack = [(k, False) for k in sorted(parts, key=lambda k: -order[k])]
    seen: set[str] = set()
    while stack:
        key, out = stack.pop()
        if out:
            done[key] = parts[key]
        elif key not in seen:
            seen.add(key)
            stack.append((key, True))
            stack += [(s, False) for s in reversed(parts[key].sources) if s in parts and s not in seen]
    return done
