"""The operations, each in one place.

scalar   on every entry alone: arithmetic, comparison, exponential, trigonometric, hyperbolic, activation
array    of values: linear (products), matrix, reduction, statistics, cumulative, shape, rearrange, indexing
choice   by integer data: selection, losses
time     along an axis: delays and their like, windows
examples a call of each
"""

from unfold.ops.array import cumulative, indexing, linear, matrix, rearrange, reduction, shape, statistics
from unfold.ops.choice import losses, selection
from unfold.ops.scalar import activation, arithmetic, comparison, exponential, hyperbolic, trigonometric
from unfold.ops.time import delays, windows

__all__ = [
    "activation",
    "arithmetic",
    "comparison",
    "cumulative",
    "delays",
    "exponential",
    "hyperbolic",
    "indexing",
    "linear",
    "losses",
    "matrix",
    "rearrange",
    "reduction",
    "selection",
    "shape",
    "statistics",
    "trigonometric",
    "windows",
]
