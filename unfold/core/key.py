"""What is asked for by name: a label, and the steps where one of a sequence is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unfold.core.axis import indexed
from unfold.core.leaves import Named
from unfold.core.node import Node

_STEPS = re.compile(r"(.+)\[(-?\d+(?:,\s*-?\d+)*)\]", re.DOTALL)


@dataclass(frozen=True)
class Key:
    """`h` or, with steps, `h[3]`.

    A name may itself look like a step ("W[1]" beside "W[2]"), so what a graph holds is told by its
    structure (`key_of`, `System.key`); a text that a user typed is parsed once, where it comes in.

    >>> str(Key("h", (3, 1)))
    'h[3, 1]'
    """

    label: Any
    steps: tuple[Any, ...] = ()

    @staticmethod
    def asked(what: Any) -> Key:
        """A key as it was typed: `("h", 3)`, or a name, which is not taken apart.

        >>> Key.asked(("h", 3)), Key.asked("h[3]")
        (Key(label='h', steps=(3,)), Key(label='h[3]', steps=()))
        """
        label, *steps = what if isinstance(what, tuple) and what else (what,)
        return Key(label, tuple(steps))

    @property
    def parsed(self) -> Key:
        """The step that the name says, for one that nothing has as it is.

        >>> Key("h[3, 1]").parsed, Key("h[t]").parsed
        (Key(label='h', steps=(3, 1)), Key(label='h[t]', steps=()))
        """
        found = _STEPS.fullmatch(self.label) if isinstance(self.label, str) and not self.steps else None
        return self if found is None else Key(found[1], tuple(map(int, found[2].split(","))))

    def __str__(self) -> str:
        return indexed(str(self.label), self.steps)


def key_of(leaf: Node) -> Key:
    """What a leaf stands for: its label, and the steps where it was unfolded."""
    op = leaf.op
    if not isinstance(op, Named):
        return Key(op.name)
    whole = bool(op.index) and all(isinstance(i, int) for i in op.index)
    return Key(op.label, op.index if whole else ())


def steps_among(nodes: Mapping[str, Node]) -> dict[str, Key]:
    """The names that end in those of unfolded leaves, such as gradients: {"dx[1]": dx at 1}."""
    found: dict[str, Key] = {}
    for name, node in nodes.items():
        key = key_of(node)
        if key.steps and name.endswith(str(key)):
            found[name] = Key(name.removesuffix(str(key)) + key.label, key.steps)
    return found


def unused(name: str, taken: Iterable[str]) -> str:
    """The name, with primes until it is not taken."""
    while name in taken:
        name += "'"
    return name


@dataclass
class NewNames:
    """Names beside those that are taken: one for each label, as near as can be to what is wished for.

    >>> new = NewNames({"dh"})
    >>> new("h", "dh"), new("h", "dh"), new("g", "dg")
    ("dh'", "dh'", 'dg')
    """

    taken: set[str]
    given: dict[str, str] = field(default_factory=dict)

    def __call__(self, label: str, wish: str) -> str:
        if label not in self.given:
            self.given[label] = unused(wish, self.taken)
            self.taken.add(self.given[label])
        return self.given[label]
