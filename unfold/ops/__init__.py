"""The operations, each in one place.

Entry by entry: elementwise (arithmetic), compare, exponential, trigonometric, activation.
Of values: linear (products), matrix, reduce, statistics, scan, shape, rearrange, index, choose, nn.
Along time: time (delays and their like), along (windows and the like).
All of them: examples (a call of each), listing (the table).
"""

from unfold.ops import (
    activation,
    along,
    choose,
    compare,
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
    statistics,
    time,
    trigonometric,
)

__all__ = [
    "activation",
    "along",
    "choose",
    "compare",
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
    "statistics",
    "time",
    "trigonometric",
]
