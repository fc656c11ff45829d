"""A program as a Python script in the language; `build` runs that very script."""

from __future__ import annotations

from collections import Counter
from typing import Any

from programs.data import NOW, Expr, Place, Program, Quantity, walk, written_of
from programs.meaning import ALONG

INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "matmul": "@"}


def script(program: Program, kind: str = "float") -> str:
    """The equations as a script that ends with `g = uf.graph(...)`."""
    return "\n".join(["import unfold as uf", *Writer(program, kind).lines]) + "\n"


def build(program: Program, kind: str = "float") -> Any:
    """The graph of a program; `kind` is that of its parameters, inputs and variables."""
    names: dict[str, Any] = {}
    exec(compile(script(program, kind), "<program>", "exec"), names)
    return names["g"]


class Writer:
    """Collects the lines of a script."""

    def __init__(self, program: Program, kind: str) -> None:
        self.program, self.kind, self.lines = program, kind, list[str]()
        self.names: dict[int, str] = {}
        used = program.used()
        roots = [*program.outputs.values(), *(e for q in used for e in written_of(q))]
        self.axes = sorted(
            {a for q in used for a in q.axes} | {a for e in walk(roots) for a in self._spans(e)}
        )
        for a in self.axes:
            self.lines.append(f"{a} = uf.axis({a!r})")
        for q in used:
            self.declare(q)
        for q in used:
            self.define(q)
        given = {name: self.whole([e])[0] for name, e in program.outputs.items()}
        self.lines.append(f"g = uf.graph({', '.join(f'{n}={text}' for n, text in given.items())})")

    def _spans(self, e: Expr) -> tuple[str, ...]:
        over = e.static[0] if e.op in ALONG else None
        return (*e.axes, *([over] if isinstance(over, str) else []))

    def declare(self, q: Quantity) -> None:
        parts = [repr(q.name), *map(str, q.shape)]
        if q.axes:
            parts.append(f"over={q.axes[0] if len(q.axes) == 1 else '(' + ', '.join(q.axes) + ')'}")
        kind = self.kind if q.kind == "float" else q.kind
        parts += [f"dtype={kind}"] if kind != "float" else []
        self.lines.append(f"{q.name} = uf.{q.role}({', '.join(parts)})")

    def define(self, q: Quantity) -> None:
        for places, e in [*q.bounds, *([(tuple(NOW for _ in q.axes), q.body)] if q.body else [])]:
            (text,) = self.whole([e])
            if places and all(p is NOW for p in places) and e.shape != q.shape:
                text = f"uf.broadcast_to({text}, {q.shape})"
            self.lines.append(f"{q.name}[{self.index(q, places) or '...'}] = {text}")

    def index(self, q: Quantity, places: tuple[Place, ...]) -> str:
        return ", ".join(place(a, p) for a, p in zip(q.axes, places, strict=True))

    def whole(self, roots: list[Expr]) -> list[str]:
        """The texts of expressions; what is used twice gets a line of its own."""
        uses = Counter(id(a) for e in walk(roots) for a in e.args)
        texts: dict[int, str] = {}
        for e in walk(roots):
            if id(e) in self.names:
                texts[id(e)] = self.names[id(e)]
                continue
            text = self.text(e, [texts[id(a)] for a in e.args])
            if uses[id(e)] > 1 and e.args:
                self.names[id(e)] = name = f"s{len(self.names)}"
                self.lines.append(f"{name} = {text}")
                text = name
            texts[id(e)] = text
        return [texts[id(e)] for e in roots]

    def text(self, e: Expr, args: list[str]) -> str:
        if e.op == "num":
            return repr(e.static[0]) if e.static[0] >= 0 else f"({e.static[0]!r})"
        if e.op == "const":
            value, shape = e.static
            return f"uf.constant({value})" if 0 not in shape else f"uf.broadcast_to(0.0, {shape})"
        if e.op == "step":
            return f"uf.step({e.static[0]})"
        if e.op == "read":
            q = self.program.quantities[e.static[0]]
            return f"{q.name}[{self.index(q, e.static[1])}]" if q.axes else q.name
        if e.op in INFIX:
            if all(a.op == "num" for a in e.args):
                args[0] = f"uf.constant({args[0]})"
            return f"({args[0]} {INFIX[e.op]} {args[1]})"
        return CALLS.get(e.op, self.call)(e, args)

    def call(self, e: Expr, args: list[str]) -> str:
        over = f", over={e.static[0]}" if e.op in ALONG else "".join(f", {s!r}" for s in e.static)
        return f"uf.{e.op}({', '.join(args)}{over})"


def place(axis: str, p: Place) -> str:
    """An index as it is written."""
    more = "" if not p.n else f" + {p.n}" if p.n > 0 else f" - {-p.n}"
    if p.kind == "lag":
        return axis + ("" if not p.n else f"-{p.n}" if p.n > 0 else f"+{-p.n}")
    return {"now": axis, "at": str(p.n), "last": f"{axis}.last{more}", "back": f"{axis}.last{more} - {axis}"}[
        p.kind
    ]


CALLS: dict[str, Any] = {
    "concat": lambda e, args: f"uf.concat({', '.join(args)}, axis={e.static[0]})",
    "stack": lambda e, args: f"uf.stack({', '.join(args)}, axis={e.static[0]})",
    "narrow": lambda e, args: f"{args[0]}[{e.static[0]}:{e.static[1]}:{e.static[2]}]",
    "entry": lambda e, args: f"{args[0]}[{e.static[0]}]",
    "swapaxes": lambda e, args: f"uf.swapaxes({args[0]}, 0, 1)",
    "reshape": lambda e, args: f"uf.reshape({args[0]}, {e.static})",
    "broadcast": lambda e, args: f"uf.broadcast_to({args[0]}, {e.static})",
    "einsum": lambda e, args: f"uf.einsum({e.static[0]!r}, {', '.join(args)})",
}
