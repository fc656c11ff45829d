"""What draws programs. `draw(rng)` needs a `random.Random`; hypothesis hands one in that shrinks.

A program is a few groups of variables, one after the other. A group is computed along its loop axes
(none, one, two nested, or two along a wavefront); a variable in it reads the others where that is
possible, and everything that earlier groups defined in every way there is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from programs.data import NOW, Expr, Place, Program, Quantity, const, make, num, reached, read, step
from programs.meaning import NEEDS_ENTRIES

AXES = "tij"
NUMBERS = (0, 0.0, 1, 0.5, -0.3, 2.0, 0.25)
UNARY = (
    *("tanh", "sigmoid", "tanh", "sigmoid", "sin", "cos", "square", "negative", "relu", "abs"),
    *("softplus", "silu", "erf", "gelu", "elu", "log_sigmoid"),
)
Shape = tuple[int, ...]


def draw(rng: random.Random, size: int = 3) -> Program:
    """A random program; `size` is about how many variables it has at most."""
    return Drawing(rng, size).program()


@dataclass(frozen=True)
class Scope:
    """Where an expression stands: the axes whose step is known there, those that a sum runs over
    meanwhile, and the variable being defined."""

    axes: tuple[str, ...]
    whole: frozenset[str] = frozenset()
    group: Group | None = None
    member: int = -1
    leaves_only: bool = False

    @property
    def inside(self) -> tuple[str, ...]:
        """Every axis that an expression may vary along."""
        return tuple(dict.fromkeys((*self.axes, *sorted(self.whole))))

    def over(self, axis: str) -> Scope:
        """Inside of an operation along an axis."""
        return replace(self, whole=self.whole | {axis})


@dataclass
class Group:
    """Variables computed together. `schedule` names the loop axes, outermost first, with the sign in
    which each runs; with `front` the lags must advance along that vector instead. A cluster is what
    shares the inner loop; `ahead` is by how many steps a member is computed earlier than it is named."""

    schedule: tuple[tuple[str, int], ...]
    members: list[Quantity] = field(default_factory=list)
    cluster: list[int] = field(default_factory=list)
    ahead: list[int] = field(default_factory=list)
    front: tuple[int, ...] = ()

    def allows(self, scope: Scope, k: int, places: Sequence[Place]) -> bool:
        """Whether member k can be read there from within the scope."""
        source, j = self.members[k], scope.member
        at = dict(zip(source.axes, places, strict=True))

        def lag(axis: str) -> int | None:
            p = at.get(axis)
            known = p is not None and p.kind == "lag" and axis in scope.axes and axis not in scope.whole
            return p.n if known else None

        if self.front:
            lags = [lag(a) for a, _ in self.schedule]
            if None in lags:
                return False
            steps = sum(w * (n or 0) for w, n in zip(self.front, lags, strict=True))
            return steps >= 1 or (not any(lags) and k < j)
        shared = self.cluster[k] == self.cluster[j]
        for depth, (axis, sign) in enumerate(self.schedule):
            n = lag(axis)
            if n is None:
                return depth > 0 and self.cluster[k] < self.cluster[j]
            if depth and not shared:
                return self.cluster[k] < self.cluster[j]
            steps = sign * n + (self.ahead[k] - self.ahead[j] if len(self.schedule) == 1 else 0)
            if steps:
                return steps >= 1
        return k < j


class Drawing:
    """A program being drawn."""

    def __init__(self, rng: random.Random, size: int) -> None:
        self.rng, self.size = rng, size
        self.quantities: dict[str, Quantity] = {}
        self.axes = AXES[: self.pick((1, 1, 2, 2, 3))]
        lengths = self.pick(([1, 2, 3, 4], [2, 3, 4, 5], [2, 3, 3, 4], [0, 1, 2, 3]))
        self.causal = self.chance(0.25)  # nothing looks ahead, so that steps may be computed one by one
        same = self.chance(0.15)
        if same:
            n = self.pick(lengths)
            self.sizes = dict.fromkeys(self.axes, n)
        else:
            self.sizes = dict(zip(self.axes, rng.sample(lengths, len(self.axes)), strict=True))
        dims = self.pick(((2, 3), (3, 4, 2), (1, 3), (2,), (3, 1, 2), (4, 3), (1,), (0, 2)))
        self.dims = dims
        self.pool: list[tuple[Scope, Expr]] = []

    # ------------------------------------------------------------------ chance
    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.rng.randrange(len(options))]

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def shape(self) -> Shape:
        return tuple(self.pick(self.dims) for _ in range(self.pick((0, 1, 1, 1, 1, 2))))

    def some(self, axes: Sequence[str], p: float = 0.5) -> tuple[str, ...]:
        """Some of the axes, in any order."""
        chosen = [a for a in axes if self.chance(p)]
        self.rng.shuffle(chosen)
        return tuple(chosen)

    # ------------------------------------------------------------------ the whole
    def program(self) -> Program:
        for _ in range(self.pick((1, 1, 2, 2, 3)) if self.size > 1 else 1):
            self.group()
        variables = [q for q in self.quantities.values() if q.role == "var"]
        loss = self.loss(variables)
        if self.chance(0.9):
            loss = self.covered(loss)
        outputs = {"loss": loss}
        for q in self.rng.sample(variables, min(len(variables), self.pick((0, 1, 1, 2)))):
            outputs[f"out_{q.name}"] = read(q, [Place() for _ in q.axes])
        if self.chance(0.3):
            scope = Scope(self.some(self.axes, 0.7))
            outputs["more"] = self.expr(self.shape(), scope, 2)
        return Program(self.sizes, self.quantities, outputs, self.rng.randrange(2**30))

    def loss(self, variables: list[Quantity]) -> Expr:
        """One number that depends on the last variable and on some others."""
        chosen = dict.fromkeys([variables[-1], *(q for q in variables if self.chance(0.5))])
        total: Expr | None = None
        for q in chosen:
            places = [
                Place() if self.causal or self.chance(0.8) else self.fixed(q, k) for k in range(len(q.axes))
            ]
            e = read(q, places)
            e = self.pick((lambda e: make("multiply", e, e), lambda e: make("tanh", e), lambda e: e))(e)
            steps: list[Any] = [*e.axes, *[-1] * len(e.shape)]
            if self.chance(0.3):
                steps.reverse()
            elif self.chance(0.3):
                self.rng.shuffle(steps)
            for over in steps:
                e = self.reduced(e, over)
            total = e if total is None else make("add", total, e)
        assert total is not None
        return make("multiply", num(0.5), total) if self.chance(0.3) else total

    def covered(self, loss: Expr) -> Expr:
        """The loss and a sum over data, so that some input says how long every axis is."""
        used = reached([loss], self.quantities)
        axes = {a for q in used for a in q.axes} - {
            a for q in used if q.role == "input" and q.read for a in q.axes
        }
        for axis in sorted(axes):
            data = self.leaf((), "input", (axis,))
            loss = make("add", loss, make("sum", make("multiply", num(0.5), data), static=(axis,)))
        return loss

    def reduced(self, e: Expr, over: Any) -> Expr:
        entries = self.sizes[over] if isinstance(over, str) else e.shape[over]
        if self.causal and isinstance(over, str):
            return make("sum", e, static=(over,))
        return make(
            self.pick(("sum", "sum", "sum", "mean", "logsumexp", "max") if entries else ("sum",)),
            e,
            static=(over,),
        )

    # ------------------------------------------------------------------ groups of variables
    def group(self) -> None:
        kind = self.pick(
            ("plain", "loop", "loop", "loop", "nest", "front") if not self.causal else ("plain", "loop")
        )
        if len(self.axes) < 2 and kind in ("nest", "front"):
            kind = "loop"
        axes = self.rng.sample(self.axes, 2 if kind in ("nest", "front") else 1)
        group = Group(tuple((a, 1 if self.causal else self.pick((1, 1, 1, -1))) for a in axes))
        if kind == "plain":
            group.schedule = ()
        if kind == "front":
            group.front = self.pick(((1, 1), (2, 1), (1, 2), (1, 1), (-1, 1), (1, -1)))
            group.schedule = tuple((a, 1 if w > 0 else -1) for a, w in zip(axes, group.front, strict=True))
        count = 1 if kind == "plain" else self.pick((1, 1, 2, 2, 3))
        shape = self.shape()
        for m in range(count):
            own = [a for a, _ in group.schedule]
            cluster = 0
            if kind == "nest":
                cluster = m if self.chance(0.5) else (group.cluster[-1] if group.cluster else 0)
                alone = cluster not in group.cluster
                if m and alone and self.chance(0.4):
                    own = own[:1]  # over the outer axis alone
                    cluster = m
                elif group.cluster and cluster in group.cluster and len(group.members[-1].axes) < 2:
                    cluster = m
            more = [a for a in self.axes if a not in axes or kind == "plain"]
            axes_of = [*own, *self.some(more, 0.6 if kind == "plain" else 0.25)]
            self.rng.shuffle(axes_of)
            reach = [self.reach(a, dict(group.schedule).get(a, 0)) for a in axes_of]
            while sum(map(sum, reach)) > 5 and len(reach) > 1:
                k = max(range(len(reach)), key=lambda k: sum(reach[k]))
                reach[k] = (min(reach[k][0], 1), min(reach[k][1], 1))
                if sum(map(sum, reach)) <= 2 * len(reach):
                    break
            q = Quantity(
                f"v{len(self.quantities)}", "var", shape if self.chance(0.7) else self.shape(),
                tuple(axes_of), reach=tuple(reach),
            )  # fmt: skip
            self.quantities[q.name] = q
            group.members.append(q)
            group.cluster.append(cluster)
            group.ahead.append(self.pick((0, 0, 0, 1, -1)) if kind == "loop" and m and not self.causal else 0)
        for m, q in enumerate(group.members):
            self.define(group, m, q)

    def reach(self, axis: str, sign: int) -> tuple[int, int]:
        """How many boundary values an axis has, before and after."""
        if self.causal:
            return (
                self.pick(((1, 0), (1, 0), (2, 0), (3, 0))) if sign else self.pick(((0, 0), (0, 0), (1, 0)))
            )
        if not sign:
            return self.pick(((0, 0), (0, 0), (0, 0), (1, 0), (0, 1), (2, 1)))
        if sign > 0:
            return self.pick(((1, 0), (1, 0), (2, 0), (3, 0), (1, 1), (2, 1)))
        return self.pick(((0, 1), (0, 1), (0, 2), (1, 1)))

    def define(self, group: Group, m: int, q: Quantity) -> None:
        """The equation of a variable, and its boundaries."""
        self.pool = []
        less = self.chance(0.12)  # an equation that varies over fewer axes than its variable
        axes = self.some(q.axes, 0.5) if less else q.axes
        scope = Scope(axes, group=group if group.schedule else None, member=m)
        body = self.recurrence(q, scope) if group.schedule and not less else self.expr(q.shape, scope, 3)
        bounds = []
        for places in self.outside(q):
            now = tuple(a for a, p in zip(q.axes, places, strict=True) if p is NOW)
            inner = Scope(self.some(now, 0.7), group=group if group.schedule else None, member=m)
            bounds.append((places, self.boundary(q, inner)))
        done = replace(q, body=body, bounds=tuple(bounds))
        group.members[m] = done
        self.quantities[q.name] = done

    def outside(self, q: Quantity) -> list[tuple[Place, ...]]:
        """Every pattern of places outside 1..T that a read may meet."""
        choices = [
            [NOW, *(Place("at", -m) for m in range(before)), *(Place("last", 1 + m) for m in range(after))]
            for before, after in q.reach
        ]
        return [p for p in product(*choices) if any(x is not NOW for x in p)]

    def boundary(self, q: Quantity, scope: Scope) -> Expr:
        kind = self.rng.randrange(8)
        if kind <= 2 or len(q.bounds) > 6:
            return num(self.pick(NUMBERS))
        if kind == 3:
            return self.leaf(q.shape, "param", ())
        if kind == 4:
            return self.leaf(self.pick((q.shape, (), q.shape[1:])), self.pick(("param", "input")), ())
        if kind == 5 and (e := self.member(q.shape, scope)) is not None:
            return e
        if kind == 6 and not self.causal:
            e = self.leaf(q.shape, "input", self.some(self.axes, 0.5))
            held = self.quantities[e.static[0]]
            places = [Place() if a in scope.axes else self.fixed(held, k) for k, a in enumerate(held.axes)]
            return read(held, places)
        return self.expr(q.shape, scope, 1)

    def recurrence(self, q: Quantity, scope: Scope) -> Expr:
        """An equation that reads its own group, bounded."""
        if len(q.shape) == 1 and self.chance(0.4) and (e := self.cell(q.shape, scope)) is not None:
            return e
        terms = []
        for _ in range(self.pick((1, 1, 2))):
            e = self.member(None, scope)
            if e is not None:
                terms.append(self.into(e, q.shape, scope))
        terms += [self.expr(q.shape, scope, self.pick((1, 2, 2))) for _ in range(self.pick((0, 1, 1)))]
        if not terms:
            return self.expr(q.shape, scope, 2)
        total = terms[0]
        for e in terms[1:]:
            total = make(self.pick(("add", "add", "subtract", "multiply")), total, e)
        if self.chance(0.2) and len(terms) > 1:  # gates that share what they read
            gate = make("sigmoid", make("add", terms[0], self.full(self.leaf(q.shape, "param", ()), q.shape)))
            return make("add", make("multiply", gate, make("tanh", total)), make("multiply", gate, terms[-1]))
        return make(self.pick(("tanh", "tanh", "sigmoid", "sin")), self.full(total, q.shape))

    def cell(self, shape: Shape, scope: Scope) -> Expr | None:
        """An equation as cells have it: products with the state of before and with data, and a bias,
        through one nonlinearity; or gates made of such sums."""
        state = self.member(None, scope)
        if state is None or len(state.shape) != 1:
            return None
        data = self.data((self.pick(self.dims),), scope)
        if self.chance(0.15):
            data = const([0.5] * self.pick((1, 2, 3)))

        def total() -> Expr:
            terms = [self.product(shape, v, scope) for v in (state, data) if self.chance(0.85)]
            terms += [
                self.leaf(self.pick((shape, shape, (1,), ())), "param", ()) for _ in range(self.pick((0, 1)))
            ]
            terms += [self.product(shape, data, scope)] if self.chance(0.15) or not terms else []
            self.rng.shuffle(terms)
            out = terms[0]
            for e in terms[1:]:
                out = make("add", out, e) if self.chance(0.9) else make("subtract", out, e)
            return self.full(out, shape)

        kind = self.rng.randrange(4)
        if kind < 2 or state.shape != shape:
            return (
                make(self.pick(("tanh", "sigmoid", "sigmoid", "relu")), total())
                if kind
                else make("tanh", total())
            )
        gate, new = make("sigmoid", total()), make("tanh", total())
        if kind == 2:  # (1 - z) * h + z * new
            kept = make("multiply", make("subtract", num(1), gate), state)
            return make("add", kept, make("multiply", gate, new))
        forget = make("sigmoid", total())
        return make("tanh", make("add", make("multiply", forget, state), make("multiply", gate, new)))

    def product(self, shape: Shape, v: Expr, scope: Scope) -> Expr:
        """A vector times a matrix, on either side; sometimes of one column or row, which is repeated."""
        (n,) = v.shape
        rows = (1,) if self.chance(0.06) else shape
        if self.chance(0.15):
            return make("matmul", v, self.weight((n, *rows), scope))
        return make("matmul", self.weight((*rows, n), scope), v)

    def member(self, shape: Shape | None, scope: Scope) -> Expr | None:
        """A read of the group that the scope belongs to, where there is one."""
        if scope.group is None:
            return None
        for _ in range(6):
            k = self.rng.randrange(len(scope.group.members))
            source = scope.group.members[k]
            if shape is not None and source.shape != shape:
                continue
            places = [self.somewhere(source, n, scope, near=True) for n in range(len(source.axes))]
            if scope.group.allows(scope, k, places):
                return read(source, places)
        return None

    # ------------------------------------------------------------------ places
    def somewhere(self, q: Quantity, k: int, scope: Scope, near: bool = False) -> Place:
        """A place along an axis of a quantity that is defined at every step of the scope."""
        axis, (before, after) = q.axes[k], q.reach[k]
        if self.causal and axis in scope.inside:
            return Place("lag", self.pick(range(before + 1)))
        if axis not in scope.inside or (not near and self.chance(0.12)):
            return self.fixed(q, k)
        kind = self.rng.randrange(10)
        if near and (before or after):
            return Place("lag", self.pick(range(-after, before + 1)))
        if kind == 0:
            return Place("back", self.pick(range(1 - before, 2 + after)))
        if kind <= 3:
            return Place("lag", self.pick(range(-after, before + 1)))
        return Place()

    def fixed(self, q: Quantity, k: int) -> Place:
        """A fixed place that is defined: inside, or met by a boundary."""
        n, (before, after) = self.sizes[q.axes[k]], q.reach[k]
        options = [Place("last", -m) for m in range(3) if n - m >= 1 - before]
        options += [Place("at", m) for m in (1, 2) if m <= n + after]
        options += [Place("at", -m) for m in range(before)] + [Place("last", 1 + m) for m in range(after)]
        if not options:  # an empty axis without boundaries
            raise Impossible
        return self.pick([options[0], *options])

    # ------------------------------------------------------------------ leaves
    def leaf(
        self, shape: Shape, role: str, axes: tuple[str, ...], kind: str = "float", below: int = 0
    ) -> Expr:
        """An input or parameter, one that there is or a new one."""
        alike = [
            q
            for q in self.quantities.values()
            if (q.role, q.shape, q.kind, q.below) == (role, shape, kind, below) and set(q.axes) == set(axes)
        ]
        many = sum(q.role == role for q in self.quantities.values()) > 5
        if alike and (many or self.chance(0.4)):
            q = self.pick(alike)
        else:
            reach = [(0, 0) if kind == "int" or self.chance(0.6) else self.reach(a, 0) for a in axes]
            name = f"{'x' if role == 'input' else 'p'}{len(self.quantities)}"
            q = Quantity(name, role, shape, axes, kind, below, reach=tuple(reach))
            bounds = []
            for places in self.outside(q):
                bounds.append((places, num(self.pick(NUMBERS))))
            if bounds and self.chance(0.5):
                more = self.leaf(shape, "param", ())
                bounds[0] = (bounds[0][0], more)
            q = replace(q, bounds=tuple(bounds))
            self.quantities[name] = q
        return read(q, [Place() for _ in q.axes])

    def data(self, shape: Shape, scope: Scope) -> Expr:
        """An input over some axes of the scope, read somewhere."""
        e = self.leaf(shape, "input", self.some(scope.inside, 0.6))
        q = self.quantities[e.static[0]]
        return read(q, [self.somewhere(q, k, scope) for k in range(len(q.axes))])

    def label(self, scope: Scope, below: int) -> Expr:
        return self.leaf((), "input", self.some(scope.inside, 0.6), "int", below)

    def reference(self, scope: Scope) -> Expr | None:
        """A variable that an earlier group defined, or what the own group allows."""
        if self.chance(0.35) and (e := self.member(None, scope)) is not None:
            return e
        mine = {q.name for q in scope.group.members} if scope.group else set()
        known = [
            q
            for q in self.quantities.values()
            if q.role == "var" and q.body is not None and q.name not in mine
        ]
        if self.causal:
            known = [q for q in known if set(q.axes) <= set(scope.inside)]
        if not known:
            return None
        q = self.pick(known)
        return read(q, [self.somewhere(q, k, scope) for k in range(len(q.axes))])

    # ------------------------------------------------------------------ expressions
    def expr(self, shape: Shape, scope: Scope, depth: int) -> Expr:
        """An expression of a shape."""
        if depth <= 0:
            return self.atom(shape, scope)
        alike = [e for s, e in self.pool if s == scope and e.shape == shape]
        if alike and self.chance(0.2):
            return self.pick(alike)
        forms = [*ANY, *ANY, *(NUMBER, VECTOR, MATRIX)[len(shape)]] if len(shape) < 3 else [*ANY]
        for _ in range(4):
            e = self.pick(forms)(self, shape, scope, depth - 1)
            if e is not None and e.shape == shape and e.kind == "float":
                self.pool.append((scope, e))
                return e
        return self.atom(shape, scope)

    def atom(self, shape: Shape, scope: Scope) -> Expr:
        kind = self.rng.randrange(10)
        if kind <= 3 and (e := self.reference(scope)) is not None:
            return self.into(e, shape, scope)
        if kind <= 6:
            return self.data(shape, scope)
        if kind <= 8 or shape:
            return self.leaf(shape, "param", ())
        here = [a for a in scope.inside if a in self.axes]
        if here and self.chance(0.5):
            return make("multiply", step(self.pick(here)), num(0.1))
        return make("multiply", num(self.pick(NUMBERS)), self.leaf((), "param", ()))

    def into(self, e: Expr, shape: Shape, scope: Scope) -> Expr:
        """A value brought into a shape: by a product, a reduction, a broadcast."""
        if e.shape == shape and self.chance(0.5):
            return e
        n, m = len(e.shape), len(shape)
        weight: Callable[..., Expr] = lambda *s: self.weight(s, scope)  # noqa: E731
        if n == 1 and m == 1:
            form = self.pick(("Wv", "Wv", "vW"))
            return (
                make("matmul", weight(*shape, *e.shape), e)
                if form == "Wv"
                else make("matmul", e, weight(*e.shape, *shape))
            )
        if n == 2 and m == 1:
            return (
                make("matmul", e, weight(e.shape[1]))
                if e.shape[0] == shape[0]
                else make("matmul", weight(e.shape[0]), e)
                if e.shape[1] == shape[0]
                else make("matmul", weight(*shape, e.shape[0]), make("sum", e, static=(-1,)))
            )
        if n == 1 and m == 2:
            return (
                make("outer", e, weight(shape[1]))
                if e.shape[0] == shape[0]
                else make("outer", make("matmul", weight(shape[0], *e.shape), e), weight(shape[1]))
            )
        if n == 2 and m == 2:
            e = (
                make("matmul", weight(shape[0], e.shape[0]), e)
                if e.shape[0] != shape[0] or self.chance(0.5)
                else e
            )
            return e if e.shape == shape else make("matmul", e, weight(e.shape[1], shape[1]))
        if m == 0:
            if n == 1 and self.chance(0.4):
                return make("dot", weight(*e.shape), e)
            for _ in e.shape:
                e = self.reduced(e, -1)
            return e
        if n == 0:
            return (
                make("multiply", weight(*shape), e)
                if self.chance(0.7)
                else make("broadcast", e, static=shape)
            )
        return self.leaf(shape, "param", ())

    def weight(self, shape: Shape, scope: Scope) -> Expr:
        """What a value is multiplied with: mostly a parameter, sometimes half of one, a constant, data
        over some axes, or a value of an earlier group."""
        kind = self.rng.randrange(12)
        if kind == 0 and 0 not in shape:
            values = [round(self.rng.uniform(-1, 1), 2) for _ in range(_count(shape))]
            return const(_nested(values, shape)) if shape else num(values[0])
        if kind == 1:
            return make("multiply", self.leaf(shape, "param", ()), num(self.pick((0.5, 0.5, 2.0, -1.0))))
        if kind == 2:
            return self.data(shape, scope)
        if kind == 3 and len(shape) == 2:
            return make("swapaxes", self.leaf(shape[::-1], "param", ()))
        if kind == 4:
            return self.expr(shape, scope, 1)
        return self.leaf(shape, "param", ())

    def full(self, e: Expr, shape: Shape) -> Expr:
        return e if e.shape == shape else make("broadcast", e, static=shape)

    def partial(self, shape: Shape) -> Shape:
        """A shape that broadcasts to this one."""
        return self.pick((shape, shape, (), shape[1:], tuple(1 if self.chance(0.5) else n for n in shape)))

    def varying(self, e: Expr, axis: str) -> Expr:
        """A value that varies along an axis, as an operation along it asks for."""
        if axis in e.axes:
            return e
        along = (
            self.leaf((), "input", (axis,)) if self.chance(0.5) else make("multiply", step(axis), num(0.1))
        )
        return make(self.pick(("add", "multiply")), along, e)


class Impossible(Exception):
    """The sizes leave no way to go on; another program is drawn."""


def _count(shape: Shape) -> int:
    n = 1
    for k in shape:
        n *= k
    return n


def _nested(values: list[float], shape: Shape) -> Any:
    if len(shape) == 1:
        return values
    rows, width = shape[0], _count(shape[1:])
    return [_nested(values[r * width : (r + 1) * width], shape[1:]) for r in range(rows)]


# ---------------------------------------------------------------------- forms of any shape
Form = Callable[[Drawing, Shape, Scope, int], "Expr | None"]


def _unary(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    return make(d.pick(UNARY), d.expr(shape, scope, depth))


def _binary(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    other = d.partial(shape)
    a, b = d.expr(shape, scope, depth), d.expr(other, scope, depth - 1)
    if d.chance(0.5):
        a, b = b, a
    return make(d.pick(("add", "subtract", "multiply", "multiply", "maximum", "minimum")), a, b)


def _crossed(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr | None:
    """Two that broadcast against each other."""
    if len(shape) != 2:
        return None
    a, b = (
        d.expr((shape[0], 1), scope, depth - 1),
        d.expr((1, shape[1]) if d.chance(0.5) else shape[1:], scope, depth - 1),
    )
    return make(d.pick(("add", "multiply")), a, b)


def _divided(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    below = make("add", make("square", d.expr(d.partial(shape), scope, depth - 1)), num(1.5))
    return make("divide", d.expr(shape, scope, depth), below)


def _scaled(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    e, k = d.expr(shape, scope, depth), num(d.pick((0.5, 2.0, -1.0, 0.5, 1, 0)))
    return d.pick(
        (
            lambda: make("multiply", k, e),
            lambda: make("multiply", e, k),
            lambda: make("divide", e, num(2.0)),
            lambda: make("add", e, k),
            lambda: make("subtract", k, e),
        )
    )()


def _chosen(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    limit = num(d.pick((0.137, -0.211)))
    test = make("less", d.expr(d.partial(shape), scope, depth - 1), limit)
    if scope.inside and d.chance(0.3):
        test = make("less", step(d.pick(scope.inside)), num(2))
    return make(
        "where", test, d.expr(shape, scope, depth), d.pick((num(0.5), d.expr(shape, scope, depth - 1)))
    )


def _clipped(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    return make("clip", d.expr(shape, scope, depth), static=(-0.4, 0.7))


def _held(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr | None:
    return make("stop_gradient", d.expr(shape, scope, depth)) if d.chance(0.3) else None


def _over(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr | None:
    """A reduction over an axis."""
    if d.causal:
        return None
    axis = d.pick(d.axes)
    op = d.pick(("sum", "sum", "mean", "max", "min", "logsumexp", "prod"))
    e = d.varying(d.expr(shape, scope.over(axis), depth), axis)
    return make(op, e, static=(axis,)) if d.sizes[axis] or op not in NEEDS_ENTRIES else None


def _along(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr | None:
    """What keeps the axis it acts along, or a dimension."""
    op = d.pick(("softmax", "cumsum", "log_softmax", "cummax", "sort", "cumprod"))
    options: list[Any] = [a for a in scope.inside if d.sizes[a]] + [
        -k - 1 for k, n in enumerate(shape[::-1]) if n
    ]
    if not options:
        return None
    over = d.pick(options)
    if d.causal and isinstance(over, str):
        op = "cumsum"
    e = d.expr(shape, scope.over(over) if isinstance(over, str) else scope, depth)
    if isinstance(over, str):
        e = d.varying(e, over)
    return make(op, e, static=(over,))


def _shaped(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    """Entries in another shape."""
    n = _count(shape)
    old = d.pick(((n,), (1, n), (n, 1), shape[::-1]))
    return make("reshape", d.expr(old, scope, depth), static=shape)


def _repeated(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    return make("broadcast", d.expr(d.partial(shape), scope, depth), static=shape)


def _brought(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    return d.into(d.expr(d.shape(), scope, depth), shape, scope)


ANY: list[Form] = [
    _unary, _unary, _binary, _binary, _crossed, _divided, _scaled, _chosen, _clipped, _held, _over, _along,
    _shaped, _repeated, _brought, _brought,
]  # fmt: skip


# ---------------------------------------------------------------------- numbers
def _dot(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    n = d.pick(d.dims)
    return make("dot", d.expr((n,), scope, depth), d.expr((n,), scope, depth))


def _summary(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    e = d.expr(d.shape(), scope, depth)
    for _ in e.shape:
        e = d.reduced(e, d.pick(range(-len(e.shape), 0)))
    return e


def _entry(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr | None:
    n = d.pick(d.dims)
    return make("entry", d.expr((n,), scope, depth), static=(d.pick(range(n)),)) if n else None


def _labelled(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr | None:
    n = d.pick(d.dims)
    return (
        make(d.pick(("cross_entropy", "take")), d.expr((n,), scope, depth), d.label(scope, n)) if n else None
    )


NUMBER: list[Form] = [_dot, _dot, _summary, _summary, _entry, _labelled, _labelled]


# ---------------------------------------------------------------------- vectors
def _matrix_vector(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    n = d.pick(d.dims)
    if d.chance(0.3):
        return make("matmul", d.expr((n,), scope, depth), d.weight((n, *shape), scope))
    return make("matmul", d.weight((*shape, n), scope), d.expr((n,), scope, depth))


def _two_products(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    """Products with one vector in common, as gates have them."""
    n = d.pick(d.dims)
    v = d.expr((n,), scope, depth)
    a, b = (make("matmul", d.weight((*shape, n), scope), v) for _ in range(2))
    a = make(d.pick(("sigmoid", "tanh")), make("add", a, d.expr(shape, scope, depth - 1)))
    b = make(d.pick(("sigmoid", "tanh")), make("add", b, d.leaf(shape, "param", ())))
    return make(d.pick(("multiply", "add")), a, b)


def _sum_of_products(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    """x @ A + y @ B + ..., of different lengths."""
    terms = []
    for _ in range(d.pick((2, 2, 3))):
        n = d.pick(d.dims)
        side = d.chance(0.5)
        e = d.expr((n,), scope, depth - 1)
        terms.append(
            make("matmul", e, d.weight((n, *shape), scope))
            if side
            else make("matmul", d.weight((*shape, n), scope), e)
        )
    total = terms[0]
    for e in terms[1:]:
        total = make("add", total, e)
    return total


def _joined(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr | None:
    n = shape[0]
    if n < 2:
        return None
    k = d.pick(range(1, n))
    return make("concat", d.expr((k,), scope, depth), d.expr((n - k,), scope, depth), static=(-1,))


def _cut(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    n, k = shape[0], d.pick((0, 1, 2))
    start = d.pick(range(k + 1))
    return make("narrow", d.expr((n + k,), scope, depth), static=(start, start + n, 1))


def _turned(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    e = d.expr(shape, scope, depth)
    return make("flip", e) if d.chance(0.5) else make("roll", e, static=(1,))


def _row_sums(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    n = d.pick(d.dims)
    first = d.chance(0.5)
    return d.reduced(d.expr((n, *shape) if first else (*shape, n), scope, depth), -2 if first else -1)


def _word(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr | None:
    if d.chance(0.3):
        return make("one_hot", d.label(scope, shape[0]), static=shape) if shape[0] else None
    return make("embedding", d.weight((3, *shape), scope), d.label(scope, 3))


def _stacked(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr | None:
    if not 1 <= shape[0] <= 3:
        return None
    return make("stack", *(d.expr((), scope, depth - 1) for _ in range(shape[0])), static=(0,))


def _row(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    return make("entry", d.expr((2, *shape), scope, depth), static=(d.pick((0, 1)),))


VECTOR: list[Form] = [
    _matrix_vector, _matrix_vector, _matrix_vector, _two_products, _two_products, _sum_of_products, _joined,
    _cut, _turned, _row_sums, _word, _stacked, _row,
]  # fmt: skip


# ---------------------------------------------------------------------- matrices
def _outer(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    return make("outer", d.expr(shape[:1], scope, depth), d.expr(shape[1:], scope, depth))


def _matrix_matrix(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    n = d.pick(d.dims)
    return make("matmul", d.expr((shape[0], n), scope, depth), d.expr((n, shape[1]), scope, depth))


def _transposed(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    return make("swapaxes", d.expr(shape[::-1], scope, depth))


def _rows(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr | None:
    if not 1 <= shape[0] <= 3:
        return None
    return make("stack", *(d.expr(shape[1:], scope, depth - 1) for _ in range(shape[0])), static=(0,))


def _spelled(d: Drawing, shape: Shape, scope: Scope, depth: int) -> Expr:
    n = d.pick(d.dims)
    spec = d.pick(("ki,kj->ij", "ik,jk->ij", "ki,jk->ij"))
    size = {"i": shape[0], "j": shape[1], "k": n}
    left, right = spec.split("->")[0].split(",")
    return make(
        "einsum",
        d.expr(tuple(size[c] for c in left), scope, depth),
        d.expr(tuple(size[c] for c in right), scope, depth),
        static=(spec,),
    )


MATRIX: list[Form] = [_outer, _outer, _matrix_matrix, _matrix_matrix, _transposed, _rows, _spelled]
