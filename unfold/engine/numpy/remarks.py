"""What printed code says of itself: the equation that a line belongs to, those that a loop computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.core.op import Elementwise
from unfold.core.system import System, postorder
from unfold.engine.plan.keeping import is_computed
from unfold.engine.plan.statement import Sweep, statements
from unfold.engine.planning import Program
from unfold.notation.text import expression
from unfold.ops.time.delays import Structural


class Remarks:
    """The equations of a request, by the nodes of its plan."""

    def __init__(self, program: Program) -> None:
        self.outline = program.outline
        request = program.request
        defined = {str(s.op): request.definitions[s] for s in request.symbols.values()}
        defined |= {name: u for name, u in request.outputs.items() if not isinstance(u.op, Symbol)}
        self.texts = {name: f"{name} = {expression(u)}" for name, u in defined.items()}
        self.labels = {n: t for n, t in self.outline.labels.items() if t in self.texts}
        self._reads = {name: set(_read(u)) for name, u in defined.items()}
        self._rank = _ranked(request, defined)
        self._equations: dict[Node, str] = {}
        for node in reversed(self.outline.position):
            found = self.labels.get(node) or next(
                (self._equations[u] for u in self.outline.users.get(node, ()) if u in self._equations), None
            )
            if found is not None:
                self._equations[node] = found

    def about(self, node: Node) -> str | None:
        """The equation that a node is part of: its own, or that of what it leads to."""
        label = self._equations.get(node)
        return None if label is None else self.texts[label]

    def loop(self, sweep: Sweep) -> list[str]:
        """The equations of a loop: those of its values, and of what follows from these alone."""
        inside = {n for s, _ in statements(sweep.body) for n in s.nodes}
        known = inside | set(self._following(inside))
        told = {self.labels[n] for n in known if n in self.labels}
        told |= self._between(told)
        return [self.texts[name] for name in sorted(told, key=self._rank.__getitem__)]

    def _between(self, told: set[str]) -> set[str]:
        """The equations without a value of their own that lie between those of a loop: joined with them."""
        lost = self.texts.keys() - self.labels.values()
        if not lost:
            return set()
        back: dict[str, set[str]] = {}
        for name, reads in self._reads.items():
            for other in reads:
                back.setdefault(other, set()).add(name)
        return lost & _reached(told, self._reads) & _reached(told, back)

    def _following(self, inside: set[Node]) -> Iterable[Node]:
        """The looks at the values of a loop, and what is computed entry by entry from these alone."""
        found, waiting = set(inside), list(inside)
        while waiting:
            for user in self.outline.users.get(waiting.pop(), ()):
                plain = isinstance(user.op, Elementwise) or (not is_computed(user) and not user.op.structural)
                inputs = [u for u in self.outline.inputs(user) if not u.op.leaf]
                if user not in found and plain and found.issuperset(inputs):
                    found.add(user)
                    waiting.append(user)
        return found - inside


def _reached(start: set[str], onward: Mapping[str, set[str]]) -> set[str]:
    found, waiting = set(start), list(start)
    while waiting:
        more = onward.get(waiting.pop(), set()) - found
        found |= more
        waiting.extend(more)
    return found


def _read(node: Node) -> Iterable[str]:
    """The variables that an expression reads, at any step."""
    below = postorder([node], below=lambda n: () if isinstance(n.op, Symbol) else n.inputs)
    return (str(n.op) for n in below if isinstance(n.op, Symbol))


def _ranked(request: System, defined: Mapping[str, Node]) -> dict[str, int]:
    """The equations in an order in which each follows what it reads of its own step."""
    order = postorder(
        defined.values(), below=lambda n: () if isinstance(n.op, Structural) else request.inputs_of(n)
    )
    place = {node: k for k, node in enumerate(order)}
    return {name: place[node] for name, node in defined.items()}
