"""The face with types: `unfold/__init__.pyi`, made from the registry of operations.

    python -m unfold.apps.face       writes it; a test holds it equal to what this gives

It has the names that `unfold/__init__.py` imports, and every operation with its signature and its
docstring, so that editors complete `uf.tanh` and type checkers refuse `uf.tahn`.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import unfold
from unfold.core.files import write_whole
from unfold.core.node import FUNCTIONS

FILE = Path(unfold.__file__).with_suffix(".pyi")
HEAD = '''"""{doc}"""

# Made by `python -m unfold.apps.face`.

'''
LAZY = ("systems", "testing")  # imported when they are asked for
WIDTH = 110


def main() -> int:
    """Write the file."""
    write_whole(FILE, stub().encode())
    print(f"wrote {FILE}")
    return 0


def stub() -> str:
    """The text of the file.

    >>> print(stub()[stub().index("def tanh"):].partition("def ")[2].split("\\n\\n")[0])
    tanh(a: Expression, /) -> Node:
        \"\"\"the hyperbolic tangent of a\"\"\"
    """
    own = {name: f for name, f in FUNCTIONS.items() if f.__module__.startswith("unfold.")}
    ordered = sorted(own, key=lambda name: (own[name].__module__, name))
    shown = faces(unfold) | dict.fromkeys(LAZY, "unfold")
    needed = {word: home for f in own.values() for word, home in words(f).items() if word not in shown}
    parts = [HEAD.format(doc=unfold.__doc__), imports(shown, needed), "\n__version__: str\n\n"]
    family = ""
    for name in ordered:
        if own[name].__module__ != family:
            family = own[name].__module__
            parts.append(f"# {family.removeprefix('unfold.')}\n\n")
        parts.append(declaration(name, own[name]))
    return "".join(parts).rstrip() + "\n"


def faces(module: Any) -> dict[str, str]:
    """The names that a module offers (`from home import name as name`), and their homes."""
    return {
        alias.name: statement.module
        for statement in ast.parse(inspect.getsource(module)).body
        if isinstance(statement, ast.ImportFrom) and statement.module
        for alias in statement.names
        if alias.asname == alias.name
    }


def words(function: Callable[..., Any]) -> dict[str, str]:
    """The names in the annotations of a function that must be imported, and their homes."""
    home = function.__globals__["__name__"]
    known = {
        alias.asname or alias.name: statement.module
        for statement in ast.parse(inspect.getsource(sys.modules[home])).body
        if isinstance(statement, ast.ImportFrom) and statement.module
        for alias in statement.names
    }
    signature = inspect.signature(function)
    written = [p.annotation for p in signature.parameters.values()] + [signature.return_annotation]
    found = {n.id for text in written for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    builtin = set(dir(sys.modules["builtins"])) - {*FUNCTIONS}
    return {word: known.get(word, home) for word in found - builtin}


def imports(shown: dict[str, str], needed: dict[str, str]) -> str:
    """The import lines: what is offered by name as itself, what only annotations need plainly."""
    lines: dict[str, list[str]] = {}
    for word, home in sorted((needed | shown).items(), key=lambda item: (item[0][0].islower(), item[0])):
        lines.setdefault(home, []).append(
            f"from {home} import {word}" + (f" as {word}\n" if word in shown else "\n")
        )

    def text(homes: list[str]) -> str:
        return "".join(line for home in sorted(homes) for line in lines[home])

    ours = [home for home in lines if home.partition(".")[0] == "unfold"]
    return text([home for home in lines if home not in ours]) + "\n" + text(ours)


def declaration(name: str, function: Callable[..., Any]) -> str:
    """A function as a stub has it, with its docstring."""
    signature = inspect.signature(function)
    parts: list[str] = []
    for p in signature.parameters.values():
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
        default = "" if p.default is p.empty else " = " + repr(p.default).replace("'", '"')
        if p.kind is p.KEYWORD_ONLY and not any(part.startswith("*") for part in parts):
            parts.append("*")
        parts.append(f"{star}{p.name}: {p.annotation}{default}")
    by_place = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_ONLY]
    if by_place:
        parts.insert(len(by_place), "/")
    end = f") -> {signature.return_annotation}:\n"
    head = f"def {name}({', '.join(parts)}{end}"
    if len(head) > WIDTH:
        head = f"def {name}(\n    {', '.join(parts)}\n{end}"
    if max(map(len, head.splitlines())) > WIDTH:
        head = f"def {name}(\n" + "".join(f"    {part},\n" for part in parts) + end
    lines = (inspect.getdoc(function) or "").splitlines()
    raw = "r" if any("\\" in line for line in lines) else ""
    body = "\n".join(f"    {line}" if line else "" for line in lines).strip()
    close = '"""' if len(lines) == 1 else '\n    """'
    return f'{head}    {raw}"""{body}{close}\n\n'


if __name__ == "__main__":
    sys.exit(main())
