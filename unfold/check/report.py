"""What a check found: whether the gradients hold, and if not, which operation, argument and
step is at fault."""

from __future__ import annotations

from cmath import isfinite
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from unfold.check.verdict import Verdict
from unfold.core.errors import UnfoldError


@dataclass(frozen=True)
class Worst:
    """The entry that is furthest off: its step, its index in the value, and both values."""

    step: tuple[int, ...]
    index: tuple[int, ...]
    analytic: complex
    numeric: complex

    def __str__(self) -> str:
        steps = " ".join(f"t={n}" for n in self.step[:1]) + "".join(f",{n}" for n in self.step[1:])
        entry = f"entry {list(self.index)}" if self.index else ""
        times = self.analytic / self.numeric if self.numeric else 0.0
        ratio = f"  ratio {times:.7g}" if times and isfinite(times) else ""
        values = f"analytic {self.analytic + 0.0:.6g}  numeric {self.numeric + 0.0:.6g}{ratio}"
        return "  ".join(part for part in (f"{steps} {entry}".strip(), values) if part)


@dataclass(frozen=True)
class Report:
    """The result of `uf.check`. True where the gradients hold.

    `ok` and `verdict` (OK, WRONG, INACCURATE, NONDIFFERENTIABLE, INCONCLUSIVE) say whether;
    `operation`, `argument`, `steps`, `equation` and `source` say where; `worst` is the entry
    furthest off and `diagnosis` what the analytic value looks like instead. `node` is the
    culprit in `graph`, the graph that was checked. In a notebook, a failed report draws it.
    """

    of: str
    verdict: Verdict
    wrt: tuple[str, ...] = ()
    variable: str | None = None  # the gradient that is off, if one is
    error: float = 0.0
    allowed: float = 0.0
    operation: str | None = None
    argument: int | None = None
    steps: tuple[Any, ...] = ()
    equation: str | None = None
    source: str | None = None
    worst: Worst | None = None
    diagnosis: str | None = None
    kink: float | None = None  # distance of the nearest operand to a kink
    axis: str = "t"
    size: int = 0  # the number of steps of that axis
    local: int = 0  # local checks made
    failed: int = 0  # of which failed
    seed: int = 0
    seconds: float = 0.0
    order: int = 1
    confirmed: bool = False  # the mismatch is the same in long double
    rerun: str = ""  # the call that repeats this check
    notes: tuple[str, ...] = ()
    node: Any = field(default=None, repr=False)
    graph: Any = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        return self.verdict in (Verdict.OK, Verdict.NONDIFFERENTIABLE)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def culprit(self) -> str | None:
        """The operation and argument at fault, in words."""
        if self.operation is None:
            return None
        return self.operation + ("" if self.argument is None else f", argument {self.argument}")

    def __str__(self) -> str:
        return "\n".join([self._headline(), *(f"  {name:<10} {text}" for name, text in self._lines())])

    def _headline(self) -> str:
        what = f"d{self.of}" if self.order == 1 else f"d²{self.of}"
        if self.ok or self.verdict is Verdict.INCONCLUSIVE or self.variable is None:
            names = ", ".join(self.wrt) if len(self.wrt) < 8 else f"{len(self.wrt)} variables"
            if self.verdict is Verdict.WRONG and self.operation:
                return f"{what}/d({names}): a rule it rests on is wrong"
            return f"{what}/d({names}) is {self.verdict.meaning}"
        amount = f"{self.error:.1e}, allowed {self.allowed:.1e}" if isfinite(self.error) else "not finite"
        return f"{what}/d{self.variable} is {self.verdict.meaning} ({amount})"

    def _lines(self) -> list[tuple[str, str]]:
        lines: list[tuple[str, str]] = []
        if self.ok:
            worst = f"largest error {self.error:.1e}, allowed {self.allowed:.1e}"
            lines.append(("checked", f"{self.local} local rules, all steps of each; {worst}"))
        if self.operation:
            rule = f"rule of {self.culprit}" if self.failed else self.culprit or ""
            count = (
                f"   ({self.failed} of {self.local} local checks {_fails(self.failed)})"
                if self.failed
                else ""
            )
            lines.append(("culprit", rule + count))
        if self.equation:
            steps = f", {spans(self.steps, self.axis, self.size)}" if self.steps else ""
            lines.append(("where", f"{self.equation}{steps}" + (f"   {self.source}" if self.source else "")))
        if self.worst:
            lines.append(("worst", str(self.worst)))
        if self.diagnosis:
            lines.append(("looks like", self.diagnosis))
        if self.confirmed:
            lines.append(("not noise", "same mismatch in long double; rounding would shrink 2048x"))
        if self.kink is not None and not self.ok:
            lines.append(("not a kink", f"nearest kink operand {self.kink:.2g}"))
        lines += [("note", text) for text in self.notes]
        if not self.ok:
            lines.append(("rerun", self.rerun or self._rerun()))
        return lines

    def _rerun(self) -> str:
        only = ""
        if self.operation and self.equation:
            only = f", only=({self.equation.split(' = ')[0]!r}, {self.operation!r}, {self.argument})"
        order = f", order={self.order}" if self.order != 1 else ""
        return f"check(graph, {self.of!r}, seed={self.seed}{order}{only}, ...)"

    def _repr_html_(self) -> str:
        from html import escape

        colour = "#1a7f37" if self.ok else "#cf222e"
        return (
            f'<div style="border-left:3px solid {colour};padding-left:.8em">'
            f"<pre>{escape(str(self))}</pre>{self._picture()}</div>"
        )

    def _picture(self) -> str:
        """The graph with the culprit in red, as SVG; nothing where there is nothing to draw."""
        if self.ok or self.graph is None:
            return ""
        import viz

        try:
            return viz.draw(self.graph, report=self).svg()
        except UnfoldError:
            return ""


def _fails(count: int) -> str:
    return "fails" if count == 1 else "fail"


def spans(steps: Sequence[Any], axis: str, size: int) -> str:
    """Steps in words: `t = 123 only (1 of 200)`, `t = 2..5, 9 (5 of 10)`, `every t`.

    >>> spans([2, 3, 4, 9], "t", 10)
    't = 2..4, 9 (4 of 10)'
    """
    if not all(isinstance(n, int) for n in steps):
        shown = ", ".join(map(str, steps[:4])) + (", ..." if len(steps) > 4 else "")
        return f"({axis}) = {shown} ({len(steps)} of {size})"
    if len(steps) == size:
        return f"every {axis} (1..{size})"
    runs: list[list[int]] = []
    for n in sorted(steps):
        if runs and n == runs[-1][-1] + 1:
            runs[-1][1:] = [n]
        else:
            runs.append([n])
    text = ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}..{r[-1]}" for r in runs[:5])
    text += ", ..." if len(runs) > 5 else ""
    return f"{axis} = {text}{' only' if len(steps) == 1 else ''} ({len(steps)} of {size})"
