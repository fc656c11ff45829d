"""The operations, each in one place: elementwise, linear, reduce, shape, index, nn, time."""

from unfold.ops import elementwise, index, linear, nn, reduce, shape, time

__all__ = ["elementwise", "index", "linear", "nn", "reduce", "shape", "time"]
