"""Parts of an axis in printed source: a loop over them, and what they are of each variable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unfold.core.axis import Axis

if TYPE_CHECKING:
    from unfold.engine.numpy.storage import Var


@dataclass(eq=False)
class Part:
    """A run over parts of an axis being printed: names of the bounds of a part, and its body."""

    axis: Axis
    sign: int
    size: int
    steps: int  # of a part; the last one may have fewer
    start: str
    stop: str
    count: str
    body: list[str] = field(default_factory=list)
    copies: dict[str, Var] = field(default_factory=dict)  # of what loops read from whole buffers

    @property
    def even(self) -> bool:
        """Whether all parts have as many steps."""
        return self.size % self.steps == 0

    def along(self, var: Var) -> int | None:
        """The dimension of a variable that runs over the axis, alone or with others behind it."""
        for d, x in enumerate(var.letters):
            if x == self.axis or (isinstance(x, tuple) and x and x[0] == self.axis):
                return d
        return None

    def unit(self, var: Var, d: int, local: bool) -> int:
        """How many entries of a dimension belong to one step; a local variable holds one part."""
        return int(var.shadow.shape[d]) // (self.steps if local else self.size)

    def block(self, var: Var, local: bool) -> str:
        """The part at hand of a variable: its steps of a whole buffer, and as many of a local
        one, at the side where the parts began."""
        d = self.along(var)
        if d is None or (self.even and local):
            return var.name
        unit = self.unit(var, d, local)
        times = "" if unit == 1 else f"{unit} * "
        mine = f":{times}{self.count}" if self.sign > 0 else f"-{times}{self.count}:"
        theirs = f"{times}{self.start}:{times}{self.stop}"
        return f"{var.name}[{', '.join([*[':'] * d, mine if local else theirs])}]"

    def lines(self) -> list[str]:
        """The loop over the parts, first to last or last to first."""
        way = "forward" if self.sign > 0 else "backward"
        if self.sign > 0:
            here, there, end = self.start, f"{self.start} + {self.steps}", self.size
            head = [f"for {here} in range(0, {end}, {self.steps}):"]
            head += [f"    {self.stop} = " + (there if self.even else f"min({there}, {end})")]
        else:
            here, there = self.stop, f"{self.stop} - {self.steps}"
            head = [f"for {here} in range({self.size}, 0, -{self.steps}):"]
            head += [f"    {self.start} = " + (there if self.even else f"max({there}, 0)")]
        if not self.even:
            head.append(f"    {self.count} = {self.stop} - {self.start}")
        body = ["    " + line if line else "" for line in self.body]
        return ["", f"# {self.steps} steps at a time, {way} over {self.axis.name}:", *head, *body]
