"""From a graph and arrays to values, in stages that can be printed, compared and tested alone.

    request -> rewrites -> typed -> outline -> keeping -> lowering -> places -> source

binding     what a call fixes: arrays, sizes of axes and dimensions, the dtype
rewrites    graph to graph: what makes a request fast
plan        values with types, their schedule, how each is kept; statements over buffers; places
lower       statements for each kind of operation
planning    `plan`: the stages one after the other, a `Program`
numpy       a program as NumPy source;  numba: the same statements as machine code
proof       each statement reads what its equation asks for, proven before anything runs
reference   the definition, node by node;  run: calls, results, every value of a run

What is not here yet, and where it enters:

- A backend that loops by itself (`jax.lax.scan`) takes the outline, never statements or places: a block is
  one operation over its axes, a loop one scan, a lag k a register of k values.
- One value under two axes is `View.name`, and a node that only renames an axis, whose transpose is itself.
- An index as a value (`i <= j`) is a node over that axis without inputs, as `Step` is; a triangular domain
  is a rectangle and a mask first, a bound of a `Sweep` that depends on an outer step later.
- A strip-mined axis is a letter split in two (`View.split`), with strides k s and s.
- Parts of time are a `Sweep` over parts around the statements of one; sums over time are then `PARTIAL` and
  `ACCUMULATE`, which the statements, the renderer and the proof know.
"""
