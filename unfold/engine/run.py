"""Calling graphs: results, compiled functions, every value of a run, random parameters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from unfold.analysis.naming import steps_at, written_places
from unfold.core import dims
from unfold.core.axis import Axis, Index
from unfold.core.errors import BadIndex, BindingError, DefinitionError, OutOfRange, UnfoldError, UnknownName
from unfold.core.key import Key, key_of
from unfold.core.leaves import Input, Named, Symbol, constant
from unfold.core.node import Node
from unfold.core.system import System, Wrt
from unfold.engine import made_up, reference
from unfold.engine.binding import Array, Binding, bind
from unfold.engine.numba import modules
from unfold.engine.numpy import printed as printed
from unfold.engine.plan.passes import OPTIMISATIONS
from unfold.engine.plan.plan import CannotPlan
from unfold.engine.reference import Reference
from unfold.ops.time.delays import Structural, zeros
from unfold.transform.adjoint import adjoints, select, with_gradients

BACKENDS = ("numpy", "numba", "auto", "reference")
COMPILING = 3.0  # seconds that Numba takes, about
LARGEST = 5000  # nodes of a graph that is still worth printing; larger ones are interpreted


class Result(dict[str, Any]):
    """Outputs by name, as keys and as attributes: `result.loss`, `result["loss"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no output {name!r}; this result has {', '.join(self)}") from None


class Function(Protocol):
    """A graph as a function of its arrays, by name."""

    def __call__(self, **arrays: Any) -> Result: ...


class Differentiated(Protocol):
    """A function of arrays, by name, that gives the value of an output and its gradients, {name: array}."""

    def __call__(self, **arrays: Any) -> tuple[Any, dict[str, Array]]: ...


def compiled(graph: System, backend: str = "numpy", optimise: Iterable[str] | None = None) -> Function:
    """The graph as a function of arrays; the same one for the same arguments."""
    if backend not in BACKENDS:
        raise UnfoldError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")
    chosen = _known(optimise)
    cache = graph.known.setdefault("compiled", {})
    if (backend, chosen) not in cache:
        cache[backend, chosen] = _function(graph, backend, chosen)
    function: Function = cache[backend, chosen]
    return function


def _known(optimise: Iterable[str] | None) -> tuple[str, ...] | None:
    """The optimisations asked for. Raises an `UnfoldError` where there is none of that name."""
    chosen = None if optimise is None else tuple(optimise)
    unknown = [o for o in chosen or () if o not in OPTIMISATIONS]
    if unknown:
        raise UnfoldError(f"no optimisation {unknown[0]!r}; there are {', '.join(OPTIMISATIONS)}")
    return chosen


def _function(graph: System, backend: str, optimise: tuple[str, ...] | None) -> Function:
    made: dict[Any, Callable[[Binding], dict[str, Array]]] = {}
    known: dict[Any, Callable[..., dict[str, Array]]] = {}  # arrays that need no more checks
    latest: list[Any] = [(None, None)]  # of these: to compare costs less than to hash
    steps = any(name in graph.steps for name in graph.outputs)
    plain = not any(isinstance(u.op, Input) and u.op.most for u in graph.inputs.values())

    def call(**arrays: Any) -> Result:
        try:
            form = [(name, type(a), a.shape, a.dtype) for name, a in arrays.items()]
        except AttributeError:  # not an array
            form = []
        same_form, run = latest[0]
        if form != same_form and tuple(form) in known:
            same_form, run = latest[0] = form, known[tuple(form)]
        if form and form == same_form:
            try:
                return Result(run(arrays))
            except IndexError as error:
                raise _bad_index(graph, bind(graph, arrays)) or error from None
        bound = bind(graph, arrays)
        lengths = tuple(bound.extents.items())  # the call itself may say how long an axis is
        key = (lengths, *((name, a.shape, a.dtype) for name, a in bound.arrays.items()))
        if key not in made:
            made[key] = _build(graph, bound, backend, optimise)
        try:
            outputs = made[key](bound)
        except IndexError as error:
            raise _bad_index(graph, bound) or error from None
        same = all(
            arrays[name] is a or arrays[name].dtype == a.dtype
            for name, a in bound.arrays.items()
            if hasattr(arrays[name], "dtype")
        )
        whole = arrays.keys() == bound.arrays.keys()
        if plain and whole and not steps and same and all(type(a) is np.ndarray for a in arrays.values()):
            function = made[key]
            known[tuple(form)] = (
                function.on
                if isinstance(function, printed.Compiled)
                else lambda given: function(Binding(given, bound.dtype, bound.sizes, bound.extents))
            )
        return Result(_regroup(graph, outputs) if steps else outputs)

    return call


def _bad_index(graph: System, bound: Binding) -> BadIndex | None:
    """Which array of a call chooses what is not there."""
    for node in graph.order:
        if node.op.name not in ("take", "cross_entropy"):
            continue
        source, leaf = node.inputs
        while isinstance(leaf.op, Symbol | Structural):
            leaf = graph.inputs_of(leaf)[0]
        if not isinstance(leaf.op, Named):
            continue
        dim = source.shape[0 if node.op.name == "take" else -1]
        size, array = dims.evaluate(dim, bound.sizes), bound.leaf(leaf)
        bad = array[(array < -size) | (array >= size)]
        if bad.size:
            what = f"{size} {dim}" if isinstance(dim, str) else f"{size}"
            place = f" ({node.where})" if node.where else ""
            text = f"{leaf.op.label} holds {bad.flat[0]}, but {node} chooses from {what}: 0 to {size - 1}"
            return BadIndex(text + place)
    return None


def _build(
    graph: System, bound: Binding, backend: str, optimise: tuple[str, ...] | None
) -> Callable[[Binding], dict[str, Array]]:
    if backend != "reference" and len(graph.order) <= LARGEST:
        try:
            if backend == "auto" and modules.available():
                return _when_worth_it(graph, bound, optimise)
            return printed.compile(graph, bound, optimise, _wants_jit(backend))
        except (CannotPlan, DefinitionError, OutOfRange):
            pass  # legal only at the size of a fixed axis; or a read outside, which the reference names
    return reference.compile(graph)


def _when_worth_it(
    graph: System, bound: Binding, optimise: tuple[str, ...] | None
) -> Callable[[Binding], dict[str, Array]]:
    """NumPy, until its calls have taken as long as Numba takes to compile; Numba from then on. So
    no more than twice the time is spent that the better of the two would have taken."""
    plain = printed.compile(graph, bound, optimise)
    better: list[Callable[[Binding], dict[str, Array]]] = []
    spent = 0.0

    def run(bound: Binding) -> dict[str, Array]:
        nonlocal spent
        if better:
            return better[0](bound)
        start = time.perf_counter()
        outputs = plain(bound)
        spent += time.perf_counter() - start
        if spent > COMPILING:
            better.append(printed.compile(graph, bound, optimise, jit=True))
        return outputs

    return run


def _regroup(graph: System, outputs: Mapping[str, Array]) -> dict[str, Any]:
    """Outputs `o[1]`, `o[2]`, ... of an unfolded graph as one array `o`."""
    groups: dict[str, dict[tuple[int, ...], Array]] = {}
    for name, value in outputs.items():
        key = graph.key(name)
        groups.setdefault(key.label, {})[key.steps] = value
    return {label: _assembled(steps) for label, steps in groups.items()}


def _assembled(steps: Mapping[tuple[int, ...], Array]) -> Any:
    """The values at single steps as one array; a value that has none as it is."""
    if () in steps:
        value = steps[()]
        return value[()] if value.ndim == 0 else value
    sizes = tuple(max(i) for i in zip(*steps, strict=True))
    first = next(iter(steps.values()))
    whole = np.zeros((*sizes, *first.shape), first.dtype)
    for index, value in steps.items():
        whole[tuple(i - 1 for i in index)] = value
    return whole


def value_and_grad(
    graph: System,
    of: str,
    wrt: Wrt = None,
    backend: str = "numpy",
    optimise: Iterable[str] | None = None,
) -> Differentiated:
    """A function of arrays giving (value of `of`, {name: gradient}); made once per graph."""
    joint, pairs = _paired(graph, of, wrt)
    run = compiled(joint, backend, optimise)

    def value_and_gradient(**arrays: Any) -> tuple[Any, dict[str, Array]]:
        outputs = run(**arrays)
        return outputs[of], {name: outputs[gradient] for name, gradient in pairs}

    return value_and_gradient


def _joint(graph: System, of: str, wrt: Wrt) -> System:
    """The graph of `of` and its gradients."""
    return _paired(graph, of, wrt)[0]


def _paired(graph: System, of: str, wrt: Wrt) -> tuple[System, tuple[tuple[str, str], ...]]:
    """The graph of `of` and its gradients; pairs of an array and the output that is its gradient."""
    graph.output(of)
    cache = graph.known.setdefault("joint", {})
    key = (of, wrt if isinstance(wrt, str | None) else tuple(wrt))
    if key not in cache:
        chosen = {"d" + name: node for name, node in select(graph, key[1]).items()}
        if of in chosen:
            raise UnknownName(f"the output {of!r} is named like a gradient; give it another name")
        joint = with_gradients(graph, of, chosen, keep=[of])
        labels = {key_of(node).label: joint.key(name).label for name, node in chosen.items()}
        cache[key] = joint, tuple(labels.items())
    result: tuple[System, tuple[tuple[str, str], ...]] = cache[key]
    return result


def code(
    graph: System,
    of: str | None = None,
    wrt: Wrt = None,
    backend: str = "numpy",
    optimise: Iterable[str] | None = None,
    **sizes: int,
) -> str:
    """The NumPy source that runs: of the outputs, or of `of` and its gradients. Sizes may be
    given by name (`t=50, hidden=16`); those that are not are small stand-ins."""
    chosen = graph if of is None else _joint(graph, of, wrt)
    return printed.code(chosen, made_up.zeros(chosen, sizes), _known(optimise), _wants_jit(backend))


def _wants_jit(backend: str) -> bool:
    """Whether loops are to be compiled: asked for, or possible and left to us."""
    if backend == "numba" and not modules.available():
        raise UnfoldError(
            "backend 'numba' needs Numba: pip install 'unfold[jit]'; backend='numpy' needs nothing"
        )
    return backend == "numba" or (backend == "auto" and modules.available())


class Run:
    """Every value of a graph on given arrays, by name: `run["h"]` over all steps,
    `run["h", 3]` at one, `run["h", 0]` a boundary; `run.adjoint[...]` likewise."""

    def __init__(self, graph: System, arrays: Mapping[str, Any], of: str | None = None) -> None:
        self.graph, self.of = graph, of
        self.bound = bind(graph, arrays)
        self._values = Reference(graph, self.bound)

    def value(self, node: Node, at: Mapping[Axis, int] | None = None) -> Array:
        """The value of any node of the graph: at an index, or over all its steps."""
        return self._values.whole(node, at)

    @property
    def outputs(self) -> Result:
        """The outputs of the graph."""
        return Result(_regroup(self.graph, {n: self.value(u) for n, u in self.graph.outputs.items()}))

    def __getitem__(self, key: Any) -> Array:
        asked = Key.asked(key)
        found = self.graph.labels.get(asked.label, [])
        if not found:
            known = ", ".join(self.graph.labels)
            raise UnknownName(f"nothing is named {asked.label!r}; there are {known}")
        if not asked.steps:
            inside = [u for u in found if all(_is_inside(i) for i in u.op.parameters["index"])]
            return np.asarray(_assembled({key_of(u).steps: self.value(u) for u in inside}))
        for node in found:
            at = steps_at(written_places(node), asked.steps, self.bound.extents)
            if at is not None:
                return self.value(node, at)
        raise UnknownName(f"{asked.label} has no index {asked.steps}")

    @cached_property
    def adjoint(self) -> AdjointRun:
        """The derivatives of the output (`of`) in every variable, input and parameter."""
        return AdjointRun(self)

    def first_bad(self) -> Bad | None:
        """The first node and step that made a NaN or infinity out of finite values."""
        for node in self.graph.outputs.values():
            self._values.whole(node)
        for (node, index), value in self._values.values.items():
            if value.dtype.kind in "fc" and not np.isfinite(value).all():
                at = dict(zip(node.axes, index, strict=True))
                return Bad("NaN" if np.isnan(value).any() else "infinity", node, at)
        return None


class AdjointRun(Run):
    """The adjoints of a run: the same names, the derivatives of its output in them."""

    def __init__(self, run: Run) -> None:
        graph, of = run.graph, run.of
        numbers = [n for n, u in graph.outputs.items() if not u.axes and not u.shape and u.dtype == "float"]
        if of is None and len(numbers) != 1:
            raise UnfoldError(f"adjoints of which output? run(of=...): one of {', '.join(numbers) or 'none'}")
        self.graph, self.of, self.bound = graph, of or numbers[0], run.bound
        named = [*graph.symbols.values(), *graph.inputs.values(), *graph.params.values()]
        sources = [u for u in named if u.dtype in ("float", "complex")]
        self._image, definitions = adjoints(graph, {graph.output(self.of): constant(1.0)}, sources)
        self._values = Reference(
            graph.remade(graph.outputs, {**dict(graph.definitions), **definitions}), run.bound
        )

    def value(self, node: Node, at: Mapping[Axis, int] | None = None) -> Array:
        """The derivative of the output in any node: at an index, or over all its steps."""
        return self._values.whole(self._image.get(node, zeros(node.shape)), at, like=node)


@dataclass(frozen=True)
class Bad:
    """Where a value that is not finite came from."""

    what: str
    node: Node
    index: Mapping[Axis, int]

    def __str__(self) -> str:
        steps = ", ".join(f"{a.name} = {i}" for a, i in self.index.items())
        where = f" ({self.node.where})" if self.node.where else ""
        return f"{self.what} first at {self.node}" + (f", {steps}" if steps else "") + where


def _is_inside(place: Index | int) -> bool:
    return place >= 1 if isinstance(place, int) else place.kind == "now"


def init(graph: System, seed: int, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Random parameters: matrices normal with variance 1 / fan-in (the last dimension),
    vectors and numbers zero. `sizes` gives every named dimension."""
    rng = np.random.default_rng(seed)
    known = {n for u in graph.params.values() for d in u.shape for n in dims.names(d)}
    extra, missing = sorted(set(sizes) - _all_names(graph)), sorted(known - set(sizes))
    if extra or missing:
        what = f"unknown dimension {extra[0]!r}" if extra else f"missing {', '.join(missing)}"
        raise BindingError(
            f"init: {what}; the parameters have dimensions {', '.join(sorted(known)) or 'none'}"
        )
    result: dict[str, Array] = {}
    for name, node in graph.params.items():
        shape = tuple(dims.evaluate(d, sizes) for d in node.shape)
        scale = 1 / np.sqrt(max(1, shape[-1])) if len(shape) > 1 else 0.0
        result[name] = rng.standard_normal(shape) * scale if scale else np.zeros(shape)
    return result


def _all_names(graph: System) -> set[str]:
    return {n for u in graph.order for d in u.shape for n in dims.names(d)}
