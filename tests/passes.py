"""Whether every pass keeps what a graph is: `python tests/passes.py 500 [SEED]` tries random programs.

After each pass every node must be what its operation makes of its inputs (shape, kind, set of axes),
and every value, of outputs and of all nodes that are still there, what it was before, by the reference.
"""

from __future__ import annotations

import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

import unfold as uf
from unfold.core.axis import Axis
from unfold.core.leaves import Symbol, constant
from unfold.core.node import Node
from unfold.engine.binding import Binding, bind
from unfold.engine.reference import Reference
from unfold.engine.rewrites.augmenting import augment
from unfold.engine.rewrites.blending import gates, pair
from unfold.engine.rewrites.packing import fan, share
from unfold.engine.rewrites.passes import Copy, Passed, SumOfProducts, fuse, hoist, inline, separate
from unfold.engine.rewrites.stacking import gradients, halve, lift, products, substitute, sums
from unfold.graph import Graph
from unfold.ops.array.linear import Contract
from unfold.transform.adjoint import adjoints, full, select
from unfold.transform.simplify import simplify

Pass = Callable[[Graph], Passed]


def passes(bound: Binding) -> dict[str, Pass]:
    """The passes of a request in their order, those made of several rules rule by rule."""
    stacking = {rule.__name__: partial(_rule, rule) for rule in (halve, products, lift, sums, gradients)}
    packing = {
        "lift several": partial(_rule, partial(lift, several=True)),
        **{r.__name__: partial(_rule, r) for r in (share, partial_named(gates, bound), pair, fan)},
    }
    return {
        "inline": inline,
        "fuse": fuse,
        **stacking,
        "hoist": hoist,
        **packing,
        "augment": partial(augment, bound=bound),
        "separate": separate,
    }


def partial_named(rule: Any, bound: Binding) -> Any:
    """A rule with its sizes bound, under its own name."""
    made = partial(rule, bound=bound)
    made.__name__ = rule.__name__  # type: ignore[attr-defined]
    return made


def _rule(rule: Any, graph: Graph) -> Passed:
    """One round of a rule, as `stack` and `pack` apply it."""
    found = rule(graph)
    replaced, fresh = found if isinstance(found, tuple) else (found, {})
    if not replaced:
        return graph, {n: n for n in graph.order}
    graph, done = substitute(Graph(graph.outputs, {**graph.definitions, **fresh}), replaced)
    return graph, done


# ---------------------------------------------------------------------- valid
def invalid(graph: Graph) -> Iterator[str]:
    """What is not as its operation makes it: shapes, kinds, sets of axes."""
    for node in graph.order:
        if isinstance(node.op, Symbol):
            body = graph.definitions[node]
            if body.shape != node.shape:
                yield f"symbol of shape {node.shape} defined by {body.op.name} of {body.shape}"
            if not set(body.axes) <= set(node.axes):
                yield f"symbol over {_names(node)} defined by {body.op.name} over {_names(body)}"
            continue
        if node.op.leaf:
            continue
        try:
            shape, kind = node.op.infer(*node.inputs)
        except uf.UnfoldError as error:
            yield f"{node.op.name} cannot be applied: {type(error).__name__}"
            continue
        if shape != node.shape:
            yield f"{node.op.name} is {node.shape}, its operation makes {shape}"
        if kind != node.dtype:
            yield f"{node.op.name} is {node.dtype}, its operation makes {kind}"
        axes = set(node.op.infer_axes(*node.inputs))
        if not (axes <= set(node.axes) if isinstance(node.op, Copy) else axes == set(node.axes)):
            yield f"{node.op.name} is over {_names(node)}, its operation makes {sorted(a.name for a in axes)}"


def _names(node: Node) -> list[str]:
    return sorted(a.name for a in node.axes)


# ---------------------------------------------------------------------- values
class WithSums(Reference):
    """The reference, which also knows the sums of products that only a plan has."""

    def _apply(self, node: Node, at: Any, values: list[Any]) -> Any:
        if not isinstance(node.op, SumOfProducts):
            return super()._apply(node, at, values)
        rest, arrays = iter(values), []
        sizes = [self.bound.extents[a] for a in node.op.spans]
        for u in node.inputs:
            here = [n if a in u.axes else 1 for a, n in zip(node.op.spans, sizes, strict=True)]
            steps = [next(rest) for _ in range(int(np.prod(here)))]
            joined = np.array(steps).reshape(*here, *self.shape(u))
            arrays.append(np.broadcast_to(joined, (*sizes, *self.shape(u))))
        whole = Contract(node.op.spec).forward(np, *arrays)
        return whole.sum(tuple(range(len(sizes))))


class Values:
    """Values of a graph by the reference."""

    def __init__(self, graph: Graph, bound: Binding) -> None:
        self.reference = WithSums(graph, bound)

    def over(self, node: Node, axes: tuple[Axis, ...]) -> Any:
        """The value of a node over given axes; it may lack some of them."""
        return self.reference.whole(node, None, SimpleNamespace(axes=axes))  # type: ignore[arg-type]


def differs(a: Any, b: Any) -> bool:
    if a.shape != b.shape:
        return True
    with np.errstate(all="ignore"):
        return not np.allclose(a, b, 1e-6, 1e-9 * (1 + np.max(np.abs(a), initial=0)), equal_nan=True)


def changed(before: Graph, after: Graph, origin: dict[Node, Node], bound: Binding) -> Iterator[str]:
    """The outputs, and the nodes that are still there, whose value is another one."""
    old, new = Values(before, bound), Values(after, bound)
    for name, node in before.outputs.items():
        if set(after.outputs[name].axes) != set(node.axes):
            yield f"an output over {_names(node)} is over {_names(after.outputs[name])}"
        elif differs(old.over(node, node.axes), new.over(after.outputs[name], node.axes)):
            yield "an output has another value"
    for node in before.order:
        image = origin.get(node)
        if image is None or image is node:
            continue
        axes = tuple(dict.fromkeys((*node.axes, *image.axes)))
        if differs(old.over(node, axes), new.over(image, axes)):
            yield f"{node.op.name} became {image.op.name} of another value"


def faults(graph: Graph, bound: Binding) -> Iterator[tuple[str, str]]:
    """(pass, what it breaks) for each pass in turn; behind a broken one nothing more is asked."""
    for what in invalid(graph):
        yield "the request", what
        return
    for name, improve in passes(bound).items():
        try:
            after, origin = improve(graph)
            found = [*invalid(after), *changed(graph, after, origin, bound)]
        except Exception as error:
            found = [f"{type(error).__name__}: {str(error)[:60]}"]
        if found:
            yield from ((name, what) for what in dict.fromkeys(found))
            return
        graph = after


def unsimplified(graph: Graph, of: str, wrt: list[str]) -> tuple[Graph, set[Node]]:
    """An output beside its gradients as reverse mode makes them, and the symbols it may do without."""
    chosen = select(graph, wrt)
    adjoint, definitions = adjoints(graph, {graph.output(of): constant(1.0)}, chosen.values())
    outputs = {of: graph.output(of), **{"d" + n: full(adjoint.get(u), u) for n, u in chosen.items()}}
    return Graph(outputs, {**dict(graph.definitions), **definitions}), set(definitions)


def simplify_faults(graph: Graph, inlined: set[Node], bound: Binding) -> Iterator[str]:
    """What `simplify` breaks: outputs and variables must be what they were."""
    after = simplify(graph, inlined)
    yield from invalid(after)
    symbols = {s: after.symbols[name] for name, s in graph.symbols.items() if name in after.symbols}
    before, now = Values(graph, bound), Values(after, bound)
    for name, node in graph.outputs.items():
        if not set(node.axes) <= set(after.outputs[name].axes):
            yield f"the output {name} over {_names(node)} is over {_names(after.outputs[name])}"
    pairs = [*((u, after.outputs[n]) for n, u in graph.outputs.items()), *symbols.items()]
    for node, image in pairs:
        axes = tuple(dict.fromkeys((*node.axes, *image.axes)))
        if differs(before.over(node, axes), now.over(image, axes)):
            yield f"{node.op.name} became {image.op.name} of another value"


# ---------------------------------------------------------------------- many of them
def all_faults(graph: Graph, arrays: dict[str, Any], wrt: list[str]) -> Iterator[tuple[str, str]]:
    """Of the forward request and of the one with gradients."""
    bound = bind(graph, arrays)
    yield from faults(graph, bound)
    if not wrt or "loss" not in graph.outputs:
        return
    raw, inlined = unsimplified(graph.select("loss"), "loss", wrt)
    for what in invalid(raw):
        yield "reverse mode", what
        return
    try:
        broken = [("simplify", what) for what in simplify_faults(raw, inlined, bound)]
    except Exception as error:
        broken = [("simplify", f"{type(error).__name__}: {str(error)[:60]}")]
    yield from broken
    if not broken:
        yield from ((f"{name} (gradients)", what) for name, what in faults(simplify(raw, inlined), bound))


def main(count: int, start: int = 0) -> int:
    """Try random programs; the number of those that a pass breaks."""
    from programs.drawing import Impossible, draw
    from programs.trying import Case

    kinds: dict[tuple[str, str], list[int]] = {}
    tried: Counter[str] = Counter()
    for number in range(start, start + count):
        try:
            case = Case(draw(random.Random(number)))
        except Impossible:
            continue
        if not case.finite:
            continue
        tried["programs"] += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = dict.fromkeys(all_faults(case.graph, case.given, case.names))
        tried["broken"] += bool(found)
        for fault in found:
            kinds.setdefault(fault, []).append(number)
    print(dict(tried))
    for (name, what), numbers in sorted(kinds.items(), key=lambda pair: -len(pair[1])):
        print(f"{len(numbers):5}  {name}: {what}   seeds {numbers[:6]}")
    return tried["broken"]


if __name__ == "__main__":
    sys.exit(1 if main(*map(int, sys.argv[1:] or ["500"])) else 0)
