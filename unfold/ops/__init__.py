"""The operations, each in one place.

Entry by entry: elementwise (arithmetic, choice, comparison), exponential, trigonometric,
activation. Of values: linear (products), matrix, reduce, shape, rearrange, index, choose, nn.
Along time: time (delays and their like), along (windows and the like).
"""

from unfold.ops import (
    activation,
    along,
    choose,
    elementwise,
    exponential,
    index,
    linear,
    matrix,
    nn,
    rearrange,
    reduce,
    scan,
    shape,
    time,
    trigonometric,
)

__all__ = [
    "activation",
    "along",
    "choose",
    "elementwise",
    "exponential",
    "index",
    "linear",
    "matrix",
    "nn",
    "rearrange",
    "reduce",
    "scan",
    "shape",
    "time",
    "trigonometric",
]
