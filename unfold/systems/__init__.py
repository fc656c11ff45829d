"""Ready-made systems, each written in the language in a few lines: read them, they are the manual.

Every function takes the sizes of its dimensions as keyword arguments, integers or names,
and returns a graph with an output `loss`, one number, and the values one wants to see.

    plain.py      feed_forward, dynamical, driven
    recurrent.py  rnn (and its variants), vector_to_sequence, bidirectional, stacked
    gated.py      lstm, gru
    several.py    encoder_decoder, attention, memory_network, grid

`SYSTEMS` has the thirteen by name, `VARIANTS` the other forms of some of them.

>>> from unfold import systems
>>> systems.lstm(input=8, hidden=16, classes=8).params["Wf"]
<Wf: float (16, 16)>
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from unfold.graph import Graph
from unfold.systems.gated import gru as gru
from unfold.systems.gated import lstm as lstm
from unfold.systems.plain import driven as driven
from unfold.systems.plain import dynamical as dynamical
from unfold.systems.plain import feed_forward as feed_forward
from unfold.systems.recurrent import bidirectional as bidirectional
from unfold.systems.recurrent import rnn as rnn
from unfold.systems.recurrent import stacked as stacked
from unfold.systems.recurrent import vector_to_sequence as vector_to_sequence
from unfold.systems.several import attention as attention
from unfold.systems.several import encoder_decoder as encoder_decoder
from unfold.systems.several import grid as grid
from unfold.systems.several import memory_network as memory_network

Maker = Callable[..., Graph]

SYSTEMS: dict[str, Maker] = {
    "feed_forward": feed_forward,
    "dynamical": dynamical,
    "driven": driven,
    "rnn": rnn,
    "vector_to_sequence": vector_to_sequence,
    "encoder_decoder": encoder_decoder,
    "attention": attention,
    "bidirectional": bidirectional,
    "stacked": stacked,
    "lstm": lstm,
    "gru": gru,
    "memory_network": memory_network,
    "grid": grid,
}

VARIANTS: dict[str, Maker] = {
    "rnn_output": partial(rnn, recurrence="output"),
    "rnn_teacher_forcing": partial(rnn, recurrence="target"),
    "encoder_decoder_initial": partial(encoder_decoder, context="initial"),
    "encoder_decoder_every": partial(encoder_decoder, context="every"),
    "stacked_3": partial(stacked, depth=3),
}


def all() -> dict[str, Maker]:
    """The thirteen systems and their variants, by name."""
    return {**SYSTEMS, **VARIANTS}
