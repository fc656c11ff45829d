"""What printed code says of itself: the equation that a line belongs to, those that a loop computes."""

from __future__ import annotations

from collections.abc import Iterable

from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.core.op import Elementwise
from unfold.engine.plan.keeping import is_computed
from unfold.engine.plan.statement import Sweep, statements
from unfold.engine.planning import Program
from unfold.notation.text import expression


class Remarks:
    """The equations of a request, by the nodes of its plan."""

    def __init__(self, program: Program) -> None:
        self.outline = program.outline
        request = program.request
        defined = {str(s.op): request.definitions[s] for s in request.symbols.values()}
        defined |= {name: u for name, u in request.outputs.items() if not isinstance(u.op, Symbol)}
        self.texts = {name: f"{name} = {expression(u)}" for name, u in defined.items()}
        self.labels = {n: t for n, t in self.outline.labels.items() if t in self.texts}
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
        told = [n for n in known if n in self.labels]
        told.sort(key=self.outline.position.__getitem__)
        return list(dict.fromkeys(self.texts[self.labels[n]] for n in told))

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
