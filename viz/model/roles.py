"""What a variable is for: an input that only a loss reads is a target, a variable that reads itself
at another step is a state, a number that only sums feed into an output is a loss."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace

from unfold.core.kinds import Role
from unfold.core.leaves import Input, Param, Symbol, label_of
from unfold.core.node import Node
from unfold.core.system import System, postorder
from viz.model.order import topological, upstream
from viz.model.variable_model import DERIVED, Model, Reading, Variable

SUMS = {"sum", "mean", "divide", "multiply", "constant", "size", "extent", "cast", "add", "reshape"}


def only_sums(node: Node) -> bool:
    """Whether a node is no more than a sum (or mean) of named variables."""
    return all(
        n.op.name in SUMS for n in postorder([node]) if not isinstance(n.op, Symbol | Input | Param)
    ) and any(isinstance(n.op, Symbol) for n in postorder([node]))


# ---------------------------------------------------------------------- roles
@dataclass(frozen=True)
class Evidence:
    """What is known of a variable when its role is chosen."""

    given: bool = False  # an input
    derives: Role = Role.PLAIN  # an adjoint or a tangent of another variable
    back: bool = False  # it reads itself, through others perhaps, at a later step
    forth: bool = False  # at an earlier step
    loops: bool = False  # at another step along several axes or one
    number: bool = False  # real, without a dimension
    read: bool = False  # by another variable
    summed: bool = False  # an output is a sum of it
    answer: bool = False  # an output, or named by one
    whole: bool = False  # an output over no axis


@dataclass(frozen=True)
class Readers:
    """What is known of a variable once all have a first role."""

    role: str
    losses: bool = False  # losses and derivatives alone read it, at its own step
    fed: bool = False  # it reads something


ROLES: tuple[tuple[Callable[[Evidence], bool], str], ...] = (
    (lambda v: v.given, "input"),
    (lambda v: v.derives == Role.TANGENT, "tangent"),
    (lambda v: v.derives == Role.ADJOINT, "adjoint"),
    (lambda v: v.loops and v.back and not v.forth, "reverse"),
    (lambda v: v.loops, "state"),
    (lambda v: v.number and not v.read and (v.summed or v.whole), "loss"),
    (lambda v: v.answer, "output"),
    (lambda v: True, "hidden"),
)
REVISED: tuple[tuple[Callable[[Readers], bool], str], ...] = (
    (lambda v: v.role == "input" and v.losses, "target"),
    (lambda v: v.role == "hidden" and v.losses and v.fed, "output"),
)


def role(v: Evidence) -> str:
    """The first role that fits."""
    return next(name for fits, name in ROLES if fits(v))


def revised(v: Readers) -> str:
    """The role of a variable, given who reads it."""
    return next((name for fits, name in REVISED if fits(v)), v.role)


def with_roles(
    graph: System, things: dict[str, Variable], boundaries: dict[str, Variable], arrows: tuple[Reading, ...]
) -> Model:
    """Roles found, variables in topological order."""
    out, into = _by(arrows, "source"), _by(arrows, "target")
    direct, summed = _answers(graph), _summed(graph)
    roles: dict[str, str] = {}
    for key, v in things.items():
        above = upstream(key, into)
        signs = [_signs(a) for a in out.get(key, []) if a.moves and a.target in above]
        roles[key] = role(
            Evidence(
                given=v.role == "input",
                derives=_derives(v, things),
                back=any(-1 in s for s in signs),
                forth=any(1 in s for s in signs),
                loops=bool(signs),
                number=not v.node.shape and v.node.dtype == "float",
                read=key in out,
                summed=key in summed,
                answer=key in direct or v.role == "output",
                whole=v.role == "output" and not v.axes,
            )
        )
    for key in things:
        readers = [a.target for a in out.get(key, []) if a.near]
        losses = bool(readers) and all(roles.get(r) in ("loss", *DERIVED) for r in readers)
        roles[key] = revised(Readers(roles[key], losses, key in into))
    arrows = tuple(a for a in arrows if _flows(a, roles, into))
    ordered = topological(things, arrows)
    return Model(
        {k: replace(things[k], role=roles[k]) for k in ordered},
        arrows,
        {k: replace(b, role=roles.get(b.name, "state")) for k, b in boundaries.items()},
    )


def _by(arrows: Iterable[Reading], end: str) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = {}
    for a in arrows:
        found.setdefault(getattr(a, end), []).append(a)
    return found


def _answers(graph: System) -> set[str]:
    """The variables that are outputs."""
    named = {graph.names.get(n, n) for n in graph.outputs.values()}
    return {label_of(s) for s in named if isinstance(s.op, Symbol)}


def _summed(graph: System) -> set[str]:
    """The variables of which an output over nothing is a sum, and such outputs themselves."""
    found: set[str] = set()
    for node in graph.outputs.values():
        if node.shape or node.axes:
            continue
        named = isinstance(node.op, Symbol)
        body = graph.definitions[node] if named else node
        found |= {label_of(node)} if named else set()
        if only_sums(body):
            found |= {label_of(n) for n in postorder([body]) if isinstance(n.op, Symbol)}
    return found


def _derives(v: Variable, things: Mapping[str, Variable]) -> Role:
    """Whether a variable is the adjoint or the tangent of another one over the same axes."""
    base = things.get(counterpart(v.key, things))
    same = base is not None and set(base.axes) == set(v.axes)
    return _made_as(v.node) if same else Role.PLAIN


def _flows(a: Reading, roles: Mapping[str, str], into: Mapping[str, list[Reading]]) -> bool:
    """Into an adjoint only what flows back is drawn, not the values that its derivative looks
    up; but where the flow starts, what it starts from is."""
    if roles.get(a.target) not in DERIVED or roles.get(a.source) in DERIVED:
        return True
    fed = any(roles.get(b.source) in DERIVED and b.source != a.target for b in into[a.target])
    return not fed and a.near


def _made_as(node: Node) -> Role:
    """What differentiation made a node as. An output that is no variable is a tangent where it reads some."""
    if isinstance(node.op, Symbol):
        return node.op.role
    leaves = (u.op for u in postorder([node]) if isinstance(u.op, Symbol | Input))
    return Role.TANGENT if any(op.role == Role.TANGENT for op in leaves) else Role.PLAIN


def counterpart(label: str, known: Container[str]) -> str:
    """Which of the known names a derivative is named after: h for dh or h_dot, also where primes keep
    that name apart from another's; none where there is no such name."""
    while True:
        base = label.removesuffix("_dot") if label.endswith("_dot") else label.removeprefix("d")
        if base != label and base in known:
            return base
        if not label.endswith("'"):
            return ""
        label = label[:-1]


def _signs(a: Reading) -> set[int]:
    return {1 if i.offset < 0 else -1 for i in a.at if i is not None and i.offset}
