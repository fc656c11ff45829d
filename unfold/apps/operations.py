"""The table of all operations: mathematics, gradient, symbol; made from the registry."""

from __future__ import annotations

import inspect
from itertools import groupby

from unfold.core.errors import NotDifferentiable
from unfold.core.leaves import Input
from unfold.core.node import FUNCTIONS, Node
from unfold.core.system import postorder
from unfold.graph import Graph
from unfold.ops.examples import WITHOUT, Example, examples
from unfold.transform.simplify import simplify

HEADER = ("operation", "mathematics", "gradient of each argument, or what it is made of", "symbol")


def table(pattern: str = "") -> str:
    """Every operation whose name contains `pattern`, as Markdown, one table a family.

    >>> print(table("softsign"))
    ### activation
    <BLANKLINE>
    | operation | mathematics | gradient of each argument, or what it is made of | symbol |
    |---|---|---|---|
    | `softsign(a)` | a / (1 + \\|a\\|) | = `a / (1 + abs(a))` |  |
    """
    names = sorted((n for n in FUNCTIONS if pattern in n), key=lambda n: (family(n), n))
    parts = []
    for title, group in groupby(names, family):
        rows = [HEADER, ("---",) * 4, *map(row, group)]
        lines = ["|" + "|".join(r) + "|" if r[0] == "---" else "| " + " | ".join(r) + " |" for r in rows]
        parts.append(f"### {title}\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def family(name: str) -> str:
    """The module a function lives in."""
    return FUNCTIONS[name].__module__.rpartition(".")[2]


def row(name: str) -> tuple[str, str, str, str]:
    """Name with arguments, mathematics, gradient, symbol."""
    function = FUNCTIONS[name]
    mathematics = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ").replace("|", r"\|")
    cases = [] if name in WITHOUT else examples(name)
    called = f"`{name}({', '.join(_arguments(name, cases))})`"
    if not cases:
        return called, mathematics, "", ""
    named = _names(name, len(cases[0].given))
    inputs = [Node(Input(n), shape=g.shape, dtype=g.kind) for n, g in zip(named, cases[0].given, strict=True)]
    out = cases[0].call(*inputs)
    if not isinstance(out, Node):
        return called, mathematics, "", ""
    inner = next((u for u in postorder([out]) if u.op.name == name), None)
    own = out if out.inputs == tuple(inputs) else inner
    if own is None:
        return called, mathematics, _made_of(out), ""
    return called, mathematics, _gradients(own, named), own.op.symbol.replace("|", r"\|")


def _names(name: str, count: int) -> list[str]:
    """Names of the arguments that are values, as the function has them."""
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters.values())
    known = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL and p.name != "spec"]
    return known[:count] if len(known) >= count else list("abcdef"[:count])


def _arguments(name: str, cases: list[Example]) -> list[str]:
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters.values())
    first = parameters[0].kind is parameters[0].VAR_POSITIONAL
    shown = _names(name, len(cases[0].given)) if first and cases else []
    for p in parameters[1:] if shown else parameters:
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
        shown.append(star + p.name + ("" if p.default is p.empty else f"={p.default!r}"))
    return shown


def _gradients(out: Node, named: list[str]) -> str:
    if not out.op.differentiable:
        return "data: none"
    ct, y = (Node(Input(name), shape=out.shape, dtype=out.dtype) for name in ("ct", "y"))
    names = named if len(named) == len(out.inputs) else "abcdef"
    inputs = [Node(Input(n), shape=u.shape, dtype=u.dtype) for n, u in zip(names, out.inputs, strict=False)]
    try:
        pieces = out.op.vjp(ct, y, *inputs)
    except NotDifferentiable:
        return "none"
    shown = ["0" if p is None else str(simplify(Graph({"g": p}, {})).outputs["g"]) for p in pieces]
    return ", ".join(f"`{s}`" for s in shown).replace("|", r"\|")


def _made_of(out: Node) -> str:
    text = str(out).replace("|", r"\|")
    return f"= `{text}`" if len(text) <= 90 else ""
