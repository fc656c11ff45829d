"""Calling graphs: results, compiled functions, every value of a run, random parameters."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from unfold.analysis.naming import steps_at, written_places
from unfold.core import dims
from unfold.core.axis import Axis, Index
from unfold.core.errors import BadIndex, BindingError, DefinitionError, OutOfRange, UnfoldError, UnknownName
from unfold.core.key import Key, key_of
from unfold.core.leaves import Input, constant
from unfold.core.node import Node
from unfold.core.system import System, Wrt
from unfold.engine import indices, made_up, reference
from unfold.engine.binding import Array, Binding, bind
from unfold.engine.numba import modules, partly
from unfold.engine.numpy import executable
from unfold.engine.numpy.render import rendered
from unfold.engine.planning import PASSES, Program, plan
from unfold.engine.proof import proven
from unfold.engine.reference import Reference
from unfold.ops.time.delays import zeros
from unfold.transform.adjoint import adjoints, select, with_gradients

Names = tuple[str, ...]
BACKENDS = ("numpy", "numba", "auto", "reference")
COMPILING = 3.0  # seconds that Numba takes, about
KEEP = 8  # shapes whose code is kept
LARGEST = 5000  # nodes of a graph that is planned: planning takes about a millisecond each


class Result(dict[str, Any]):
    """Outputs by name, as keys and as attributes: `result.loss`, `result["loss"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no output {name!r}; this result has {', '.join(self)}") from None


class Interpreted(RuntimeWarning):
    """A graph that no plan was made for runs step by step, a thousand times slower."""


class TooLarge(UnfoldError):
    """A graph whose plan would take longer to make than it saves."""


class OnlyAtItsSize(UnfoldError):
    """A graph that has an order of computation at the size of a fixed axis, and none in general."""


class Prepared:
    """What calls of the same shapes run: their plan, and what is checked before it."""

    def __init__(self, graph: System, bound: Binding, run: executable.Run) -> None:
        self.check = indices.checker(graph, bound)
        self.run = run
        self.copied: Names | None = None  # outputs that the plan gives as views, once it ran
        self.forms: list[Any] = []  # of arrays that need no more checks

    def __call__(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs, which are the caller's own, for arrays that are bound."""
        if self.check is not None:
            self.check(arrays)
        outputs = self.run(arrays)
        if self.copied is None:
            self.copied = _shared(outputs, arrays)
        for name in self.copied:
            outputs[name] = np.array(outputs[name])
        return outputs


def _shared(outputs: Mapping[str, Array], arrays: Mapping[str, Array]) -> Names:
    """The outputs that are views: of an array of the caller, of a constant."""
    given = [a for a in arrays.values() if a.ndim]
    return tuple(
        name
        for name, out in outputs.items()
        if isinstance(out, np.ndarray)
        and (not out.flags.writeable or any(np.may_share_memory(out, a) for a in given))
    )


class Function:
    """A graph as a function of its arrays, by name: compiled once per shapes and dtypes, kept for the last
    few of them. It can be pickled, and is compiled again where it arrives."""

    def __init__(self, graph: System, backend: str, optimise: Names | None, keep: int) -> None:
        self._made_of = (graph, backend, optimise, keep)
        self._built: dict[Any, Prepared] = {}  # the latest last
        self._known: dict[Any, Prepared] = {}  # by the form of arrays that need no more checks
        self._latest: tuple[Any, Prepared | None] = (None, None)  # to compare costs less than to hash
        self._lock = threading.Lock()
        self._steps = any(name in graph.steps for name in graph.outputs)
        self._plain = not any(isinstance(u.op, Input) and u.op.most for u in graph.inputs.values())

    def __reduce__(self) -> tuple[Any, ...]:
        return compiled, self._made_of

    def __deepcopy__(self, memo: Any) -> Function:
        return self  # it changes nothing that anybody sees

    def holomorphic(self, arrays: Mapping[str, Any]) -> Result:
        """The outputs where numbers declared real may be complex ones: for complex steps."""
        bound = bind(self._made_of[0], arrays, holomorphic=True)
        outputs = self._outputs(self._for(bound), bound.arrays)
        return Result(_regroup(self._made_of[0], outputs) if self._steps else outputs)

    def __call__(self, /, **arrays: Any) -> Result:
        try:
            form = [(name, type(a), a.shape, a.dtype) for name, a in arrays.items()]
        except AttributeError:  # not an array
            form = []
        same_form, built = self._latest
        if form and form != same_form and (found := self._known.get(tuple(form))) is not None:
            same_form, built = form, found
            self._use(found, form)
        if form and form == same_form and built is not None:
            return Result(self._outputs(built, arrays))
        graph, backend, _, _ = self._made_of
        bound = bind(graph, arrays, holomorphic=backend == "reference")
        built = self._for(bound)
        outputs = self._outputs(built, bound.arrays)
        same = all(
            arrays[name] is a or arrays[name].dtype == a.dtype
            for name, a in bound.arrays.items()
            if hasattr(arrays[name], "dtype")
        )
        whole = arrays.keys() == bound.arrays.keys()
        plain = self._plain and whole and not self._steps and same
        if plain and all(type(a) is np.ndarray for a in arrays.values()):
            self._use(built, form, known=True)
        return Result(_regroup(graph, outputs) if self._steps else outputs)

    def _outputs(self, built: Prepared, arrays: Mapping[str, Array]) -> dict[str, Array]:
        try:
            return built(arrays)
        except BadIndex:
            raise
        except IndexError as error:
            raise BadIndex(f"an index that the system computes chooses what is not there: {error}") from None

    def _for(self, bound: Binding) -> Prepared:
        """What runs arrays of these shapes, made where nothing is known for them."""
        graph, backend, optimise, keep = self._made_of
        lengths = tuple(bound.extents.items())  # the call itself may say how long an axis is
        key = (lengths, *((name, a.shape, a.dtype) for name, a in bound.arrays.items()))
        built = self._built.get(key)
        if built is None:
            while len(self._built) >= keep:
                self._forget()
            built = Prepared(graph, bound, _build(graph, bound, backend, optimise))
        with self._lock:
            self._built.pop(key, None)
            self._built[key] = built
        return built

    def _use(self, built: Prepared, form: Any, known: bool = False) -> None:
        """Arrays of this form came: what runs them is the last to be forgotten."""
        with self._lock:
            key = next((k for k, b in self._built.items() if b is built), None)
            if key is None:
                return
            self._built[key] = self._built.pop(key)
            self._latest = form, built
            if known and tuple(form) not in self._known:
                self._known[tuple(form)] = built
                built.forms.append(tuple(form))

    def _forget(self) -> None:
        """Lets go of what was not used for longest, with its buffers."""
        with self._lock:
            if self._built:
                gone = self._built.pop(next(iter(self._built)))
                for form in gone.forms:
                    self._known.pop(form, None)
                if self._latest[1] is gone:
                    self._latest = None, None


class Differentiated:
    """A function of arrays, by name, that gives the value of an output and its gradients, {name: array}."""

    def __init__(
        self, made_of: tuple[Any, ...], run: Function, of: str, pairs: Sequence[tuple[str, str]]
    ) -> None:
        self._made_of, self._run, self._of, self._pairs = made_of, run, of, pairs

    def __reduce__(self) -> tuple[Any, ...]:
        return value_and_grad, self._made_of

    def __deepcopy__(self, memo: Any) -> Differentiated:
        return self

    def __call__(self, /, **arrays: Any) -> tuple[Any, dict[str, Array]]:
        outputs = self._run(**arrays)
        return outputs[self._of], {name: outputs[gradient] for name, gradient in self._pairs}


def compiled(
    graph: System, backend: str = "numpy", optimise: Iterable[str] | None = None, keep: int = KEEP
) -> Function:
    """The graph as a function of arrays; the same one for the same arguments."""
    if backend not in BACKENDS:
        raise UnfoldError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise UnfoldError(f"keep={keep!r}: of how many shapes the code is kept, 1 or more")
    chosen = _known(optimise)
    cache = graph.known.setdefault("compiled", {})
    key = (backend, chosen, keep)
    if key not in cache:
        while len(cache) >= KEEP:
            cache.pop(next(iter(cache)))
        cache[key] = Function(graph, backend, chosen, keep)
    function: Function = cache[key]
    return function


def _known(optimise: Iterable[str] | None) -> Names | None:
    """The optimisations asked for. Raises an `UnfoldError` where there is none of that name."""
    chosen = None if optimise is None else tuple(optimise)
    unknown = [o for o in chosen or () if o not in PASSES]
    if unknown:
        raise UnfoldError(f"no optimisation {unknown[0]!r}; there are {', '.join(PASSES)}")
    return chosen


def _build(graph: System, bound: Binding, backend: str, optimise: Names | None) -> executable.Run:
    if backend != "reference":
        try:
            if len(graph.order) > LARGEST:
                raise TooLarge(
                    f"the graph has {len(graph.order)} nodes; those of up to {LARGEST} are planned"
                )
            if backend == "auto" and modules.available():
                return _when_worth_it(graph, bound, optimise)
            return _compiled(graph, bound, optimise, _wants_jit(backend))
        except OutOfRange:
            pass  # the reference names the read
        except _refusals() as error:
            _interpreted(graph, error)
    interpret = reference.compile(graph)
    return lambda arrays: interpret(Binding(dict(arrays), bound.dtype, bound.sizes, bound.extents))


def _compiled(graph: System, bound: Binding, optimise: Names | None, jit: bool) -> executable.Run:
    """The plan of a request as a function of arrays."""
    try:
        program = proven(plan(graph, bound, passes=_passes(optimise, jit)))
    except DefinitionError as error:
        if any(isinstance(a.size, int) for a in graph.axes):
            raise OnlyAtItsSize(f"no loop computes it for every number of steps: {error}") from None
        raise
    return partly.compiled(program) if jit else executable.compiled(program)


def _passes(optimise: Names | None, jit: bool) -> Names:
    """What is done to a request: all that pays, or what is asked for."""
    if optimise is not None:
        return optimise
    return partly.PASSES if jit else PASSES


def _refusals() -> tuple[type[Exception], ...]:
    """What a planner may fail with and be helped out: under UNFOLD_STRICT, as in tests, only what no plan
    is made for."""
    return (TooLarge, OnlyAtItsSize) if os.environ.get("UNFOLD_STRICT") else (Exception,)


def _interpreted(graph: System, error: Exception) -> None:
    """Says once for a graph that it has no plan, and why."""
    if not graph.known.get("interpreted"):
        graph.known["interpreted"] = True
        warnings.warn(why_interpreted(error), Interpreted, stacklevel=5)


def why_interpreted(error: Exception) -> str:
    """What is said where a graph has no plan."""
    return (
        f"no plan was made: the graph is interpreted step by step, which is right and may take a "
        f"thousand times as long: {type(error).__name__}: {error}"
    )


def _when_worth_it(graph: System, bound: Binding, optimise: Names | None) -> executable.Run:
    """NumPy, until its calls have taken as long as Numba takes to compile; Numba from then on. So
    no more than twice the time is spent that the better of the two would have taken."""
    plain = _compiled(graph, bound, optimise, False)
    better: list[executable.Run] = []
    spent = 0.0

    def run(arrays: Mapping[str, Array]) -> dict[str, Array]:
        nonlocal spent
        if better:
            return better[0](arrays)
        start = time.perf_counter()
        outputs = plain(arrays)
        spent += time.perf_counter() - start
        if spent > COMPILING:
            better.append(_compiled(graph, bound, optimise, True))
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
    keep: int = KEEP,
) -> Differentiated:
    """A function of arrays giving (value of `of`, {name: gradient}); made once per graph."""
    joint, pairs = _paired(graph, of, wrt)
    names = wrt if isinstance(wrt, str | None) else tuple(wrt)
    chosen = None if optimise is None else tuple(optimise)
    return Differentiated(
        (graph, of, names, backend, chosen, keep), compiled(joint, backend, chosen, keep), of, pairs
    )


def _joint(graph: System, of: str, wrt: Wrt) -> System:
    """The graph of `of` and its gradients."""
    return _paired(graph, of, wrt)[0]


def _paired(graph: System, of: str, wrt: Wrt) -> tuple[System, tuple[tuple[str, str], ...]]:
    """The graph of `of` and its gradients; pairs of an array and the output that is its gradient."""
    graph.output(of)
    cache = graph.known.setdefault("joint", {})
    key = (of, wrt if isinstance(wrt, str | None) else tuple(wrt))
    if key not in cache:
        while len(cache) >= KEEP:
            cache.pop(next(iter(cache)))
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
    sizes: Mapping[str, int] | None = None,
) -> str:
    """The NumPy source that runs: of the outputs, or of `of` and its gradients. Sizes of axes and
    dimensions that are not given are small stand-ins."""
    chosen = graph if of is None else _joint(graph, of, wrt)
    bound, jit = made_up.zeros(chosen, sizes or {}), _wants_jit(backend)
    passes = _passes(_known(optimise), jit)
    try:
        program = plan(chosen, bound, passes=passes)
        return _source(program, jit)
    except _refusals() as error:
        return f"# {why_interpreted(error)}\n"


def _source(program: Program, jit: bool) -> str:
    """The source that runs, compiled functions included."""
    if not jit:
        return rendered(program, remarks=True)[0]
    source, functions, _ = partly.rendered(program, remarks=True)
    dtype = program.outline.bound.dtype
    return source + ("\n\n" + modules.module(functions, dtype, True) if functions else "")


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
        for name, array in self.bound.arrays.items():  # it stays what it is now
            self.bound.arrays[name] = array.copy()
        if check := indices.checker(graph, self.bound):
            check(self.bound.arrays)
        self._values = Reference(graph, self.bound)

    def __reduce__(self) -> tuple[Any, ...]:
        lengths = {a.name: n for a, n in self.bound.extents.items() if a.name not in self.bound.arrays}
        free = {a.name for a in self.graph.axes}
        given = {**{name: n for name, n in lengths.items() if name in free}, **self.bound.arrays}
        return type(self)._again, (self.graph, given, self.of)

    @classmethod
    def _again(cls, graph: System, arrays: Mapping[str, Any], of: str | None) -> Run:
        return Run(graph, arrays, of)

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

    @classmethod
    def _again(cls, graph: System, arrays: Mapping[str, Any], of: str | None) -> Run:
        return Run(graph, arrays, of).adjoint

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
