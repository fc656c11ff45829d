"""Graphs as JSON text and back: the same graph, and the same bytes when written again.

A versioned header, the nodes in the order of the graph (one a line, inputs by number), the
definitions, the outputs. Operations go by name with their parameters; reading makes nodes
of registered operations and evaluates nothing. Where an equation was written goes as its file's
name and line: folders of the machine stay there.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NoReturn

import numpy as np

from unfold.analysis.legality import check_legality
from unfold.core.axis import Axis, Index
from unfold.core.dims import canonical
from unfold.core.errors import NotAGraph, UnfoldError
from unfold.core.key import Key
from unfold.core.kinds import KINDS, Dtype, IndexKind
from unfold.core.leaves import Named, Symbol, check_name, label_of
from unfold.core.node import OPERATIONS, Node, Op
from unfold.core.system import G, Signature, System
from unfold.transform.unfolding import written_out

FORMAT, VERSION = "unfold graph", 1


# ---------------------------------------------------------------------- writing
def to_json(graph: System) -> str:
    """The graph as JSON text.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> s = uf.var("s", over=t)
    >>> s[0] = 1
    >>> s[t] = s[t-1] / 2
    >>> text = to_json(uf.graph(s=s[t]))
    >>> to_json(from_json(text, uf.Graph)) == text
    True
    """
    nodes = dict.fromkeys([*graph.order, *(leaf for leaf, _ in graph.spare.values())])
    number = {node: k for k, node in enumerate(nodes)}
    leads = [d for _, lead in graph.spare.values() for d in lead if isinstance(d, Axis)]
    axes = list(dict.fromkeys([a for n in nodes for a in (*n.axes, *_axes_in(n.op))] + leads))
    place = {a: k for k, a in enumerate(axes)}
    pairs = [[number[s], number[graph.definitions[s]]] for s in graph.order if isinstance(s.op, Symbol)]
    head = {"format": FORMAT, "version": VERSION, "axes": [[a.name, a.size] for a in axes]}
    outputs = {name: number[node] for name, node in graph.outputs.items()}
    spare = {name: [number[u], _write(lead, place, u.op)] for name, (u, lead) in graph.spare.items()}
    tail = {"definitions": pairs, "outputs": outputs, "spare": spare}
    lines = ",\n".join(_dump(_node(node, number, place)) for node in nodes)
    return f'{_dump(head)[:-1]}, "nodes": [\n{lines}\n], {_dump(tail)[1:]}\n'


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _axes_in(op: Op) -> list[Axis]:
    found: list[Axis] = []
    waiting = list(op.parameters.values())
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, Axis):
            found.append(value)
        elif isinstance(value, Index):
            found.append(value.axis)
        elif isinstance(value, tuple):
            waiting.extend(value)
    return found


def _node(node: Node, number: Mapping[Node, int], place: Mapping[Axis, int]) -> dict[str, Any]:
    """What is left out is as for a plain leaf: no inputs, no axes, one float, no parameters."""
    parameters = {k: _write(v, place, node.op) for k, v in node.op.parameters.items()}
    line: dict[str, Any] = {"op": node.op.name}
    if parameters:
        line["with"] = parameters
    if node.inputs:
        line["inputs"] = [number[u] for u in node.inputs]
    if node.axes:
        line["axes"] = [place[a] for a in node.axes]
    if node.shape:
        line["shape"] = list(node.shape)
    if node.dtype != Dtype.FLOAT:
        line["dtype"] = node.dtype
    if node.where is not None:
        line["where"] = re.split(r"[\\/]", node.where)[-1]
    return line


def _write(value: Any, place: Mapping[Axis, int], op: Op) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, Axis):
        return {"axis": place[value]}
    if isinstance(value, Index):
        return {"index": [place[value.axis], value.kind, value.offset]}
    if isinstance(value, tuple):
        return {"tuple": [_write(v, place, op) for v in value]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {"array": _write_array(value)}
    raise UnfoldError(f"{op.name}: a parameter of type {type(value).__name__} cannot be written as JSON")


def _write_array(value: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Numbers that JSON holds exactly as numbers, others (nan, long double) as bytes."""
    value = value.astype(value.dtype.newbyteorder("<"))
    entry: dict[str, Any] = {"dtype": value.dtype.str, "shape": list(value.shape)}
    plain = value.dtype.kind in "biu" or (
        value.dtype.str in ("<f8", "<f4", "<f2") and np.isfinite(value).all()
    )
    if plain:
        return {**entry, "data": value.ravel().tolist()}
    return {**entry, "bytes": base64.b64encode(value.tobytes()).decode("ascii")}


# ---------------------------------------------------------------------- reading
def from_json(text: str | bytes, make: type[G]) -> G:
    """The graph of a text written by `to_json`. Raises `NotAGraph` on anything else."""
    try:
        data = json.loads(text, parse_constant=_refuse_number)
    except (ValueError, RecursionError, TypeError) as error:
        raise NotAGraph(f"not a graph: the text is no JSON ({error})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise NotAGraph(f"not a graph: the text does not begin with the format {FORMAT!r}")
    if data.get("version") != VERSION:
        raise NotAGraph(
            f"this graph is written in version {data.get('version')!r} of the format, "
            f"this library reads version {VERSION}; write it again with to_json, or update the library"
        )
    try:
        return _Decoder(data).graph(make)
    except NotAGraph:
        raise
    except UnfoldError as error:
        raise NotAGraph(f"a damaged graph: {error}") from None
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        AssertionError,
    ) as error:
        raise NotAGraph(f"a damaged graph: {type(error).__name__}: {error}") from None


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise NotAGraph(f"a damaged graph: {what}")


class _Decoder:
    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.axes = [self._axis(*entry) for entry in data["axes"]]
        self.nodes: list[Node] = []

    def _axis(self, name: Any, size: Any) -> Axis:
        _need(size is None or (type(size) is int and size >= 0), f"an axis of size {size!r}")
        return Axis(check_name(name), size)

    def graph(self, make: type[G]) -> G:
        for line in self.data["nodes"]:
            self.nodes.append(self._node(line))
        outputs = {check_name(name): self._at(k) for name, k in self.data["outputs"].items()}
        _need(bool(outputs), "no outputs")
        definitions: dict[Node, Node] = {}
        for symbol, body in self.data["definitions"]:
            left, right = self._at(symbol), self._at(body)
            _need(isinstance(left.op, Symbol), f"node {symbol} is defined and is no variable")
            _need(left not in definitions, f"{left} is defined twice")
            _need(left.shape == right.shape, f"{left} has another shape than its definition")
            definitions[left] = right
        for node in self.nodes:
            _need(not isinstance(node.op, Symbol) or node in definitions, f"nothing defines {node}")
        spare = dict(self._spare(*item) for item in self.data["spare"].items())
        graph = make(outputs, definitions, spare, self._steps(outputs, spare))
        check_legality(graph, written_out)
        return graph

    def _steps(self, outputs: Mapping[str, Node], spare: Signature) -> dict[str, Key]:
        """The outputs that are steps of one; only names tell, and only in an unfolded graph."""
        places = [i for n in self.nodes if isinstance(n.op, Named) for i in n.op.index]
        unfolded = any(
            isinstance(i, int) for i in [*places, *(n for _, lead in spare.values() for n in lead)]
        )
        leaves = {label_of(n) for n in self.nodes}
        keys = {name: Key(name).parsed for name in outputs if unfolded and name not in leaves}
        return {name: key for name, key in keys.items() if key.steps and str(key) == name}

    def _spare(self, name: str, entry: list[Any]) -> tuple[str, tuple[Node, tuple[Axis | int, ...]]]:
        leaf, lead = self._at(entry[0]), self._read(entry[1])
        _need(isinstance(leaf.op, Named) and isinstance(lead, tuple), f"spare {name!r} is no leaf")
        _need(all(isinstance(d, Axis | int) for d in lead), f"spare {name!r} has dimensions {lead!r}")
        return check_name(name), (leaf, lead)

    def _at(self, number: Any) -> Node:
        _need(type(number) is int and 0 <= number < len(self.nodes), f"no node {number!r}")
        node: Node = self.nodes[number]
        return node

    def _node(self, line: dict[str, Any]) -> Node:
        here = f"node {len(self.nodes)}"
        known = {"op", "with", "inputs", "axes", "shape", "dtype", "where"}
        _need(isinstance(line, dict) and set(line) <= known, f"{here} has entries that are not known")
        op = self._op(line["op"], line.get("with", {}))
        inputs = tuple(self._at(k) for k in line.get("inputs", []))
        shape, dtype = tuple(line.get("shape", [])), line.get("dtype", "float")
        _need(dtype in KINDS, f"{here} has dtype {dtype!r}")
        _need(all(canonical(d) == d for d in shape), f"{here} has shape {shape!r}")
        _need(op.leaf != bool(inputs), f"{here}: {op.name} has {len(inputs)} inputs")
        axes = tuple(self.axes[self._number(k)] for k in line.get("axes", []))
        _need(len(set(axes)) == len(axes), f"{here} has an axis twice")
        where = line.get("where")
        _need(where is None or isinstance(where, str), f"{here} was written at {where!r}")
        if inputs:
            inferred, _ = op.infer(*inputs)
            _need(inferred == shape, f"{here}: {op.name} gives shape {inferred}, {shape} is written")
        return Node(op, inputs, axes, shape, dtype, where)

    def _number(self, k: Any) -> int:
        _need(type(k) is int and 0 <= k < len(self.axes), f"no axis {k!r}")
        return int(k)

    def _op(self, name: Any, parameters: dict[str, Any]) -> Op:
        if not isinstance(name, str) or name not in OPERATIONS:
            raise NotAGraph(
                f"the graph uses an operation {name!r} that is not known here; "
                f"import the module that defines it, then read the graph"
            )
        cls = OPERATIONS[name]
        unknown = set(parameters) - {f.name for f in fields(cls)}
        _need(not unknown, f"{name} has no parameter {', '.join(sorted(unknown))}")
        op = cls(**{k: self._read(v) for k, v in parameters.items()})
        if isinstance(op, Named):
            check_name(op.label)
        return op

    def _read(self, value: Any) -> Any:
        if not isinstance(value, dict):
            _need(value is None or isinstance(value, bool | int | str), f"a value {value!r}")
            return value
        _need(len(value) == 1, f"a value {value!r}")
        ((kind, inside),) = value.items()
        readers: dict[str, Callable[[Any], Any]] = {
            "float": float.fromhex,
            "axis": lambda k: self.axes[self._number(k)],
            "index": lambda parts: self._index(*parts),
            "tuple": lambda items: tuple(map(self._read, items)),
            "array": self._array,
        }
        _need(kind in readers, f"a value of kind {kind!r}")
        return readers[kind](inside)

    def _index(self, axis: Any, kind: Any, offset: Any) -> Index:
        _need(kind in tuple(IndexKind) and type(offset) is int, f"an index {kind!r} {offset!r}")
        return Index(self.axes[self._number(axis)], IndexKind(kind), offset)

    def _array(self, entry: dict[str, Any]) -> np.ndarray[Any, Any]:
        dtype = np.dtype(str(entry["dtype"]))
        _need(dtype.kind in "biufc", f"an array of {dtype}")
        if "bytes" in entry:
            raw = base64.b64decode(entry["bytes"], validate=True)
            array = np.frombuffer(raw, dtype=dtype)
        else:
            array = np.array(entry["data"], dtype=dtype)
        array = array.reshape(entry["shape"]).astype(dtype.newbyteorder("="))
        array.flags.writeable = False
        return array
