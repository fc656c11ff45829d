"""A program as a function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from unfold.engine.binding import Array
from unfold.engine.numpy.render import rendered
from unfold.engine.numpy.routines import GLOBALS
from unfold.engine.planning import Program

Run = Callable[[Mapping[str, Array]], dict[str, Array]]


def compiled(program: Program) -> Run:
    """The function that a program is, of arrays of the sizes and dtypes it was planned for."""
    text, env = rendered(program)
    return executable(text, env, program)


def executable(text: str, env: Mapping[str, Any], program: Program) -> Run:
    """The function that the source of a program makes, given the objects it refers to."""
    namespace: dict[str, Any] = {**GLOBALS, **env}
    exec(compile(text, "<plan>", "exec"), namespace)
    make = namespace["make"]
    spare, order = [make()], list(program.outline.bound.arrays)
    take: Any = itemgetter(*order) if len(order) > 1 else lambda arrays: [arrays[name] for name in order]

    def run(arrays: Mapping[str, Array]) -> dict[str, Array]:
        try:
            instance = spare.pop()  # one at a time uses its memory
        except IndexError:
            instance = make()
        try:
            outputs: dict[str, Array] = instance(*take(arrays))
        finally:
            spare.append(instance)
        return outputs

    return run
