"""Where an operation has a kink: the quantity whose sign decides on which side it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.core.node import Node

Array = NDArray[Any]

AT_ZERO = {"abs", "relu", "leaky_relu", "hard_tanh", "elu", "selu", "celu", "sign", "floor", "ceil", "rint"}
BETWEEN = {"maximum", "minimum", "less", "less_equal", "greater", "equal"}


def kink_operand(node: Node, values: Mapping[Node, Array]) -> Array | None:
    """The operand of a kink at zero, the difference of two compared values, or None."""
    operands = [np.real(values[u]) for u in node.inputs]
    if node.op.name in AT_ZERO:
        return np.asarray(operands[0])
    if node.op.name in BETWEEN and operands[0].shape == operands[1].shape:
        return np.asarray(operands[0] - operands[1])
    return None
