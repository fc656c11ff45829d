"""What equations are made of: axes, nodes, operations, systems of them. It knows no operation by name.

axis, dims, key, kinds, leaves    what is indexed, how large, what things are called
node, op                          a node and its operation; numpy_protocols: NumPy's functions on nodes
system, signature                 outputs and definitions; the arrays that a call takes
errors, source, files             what all layers need: messages, where a line was written, whole files
"""

from unfold.core import (
    numpy_protocols as numpy_protocols,  # enters NumPy's protocols among the services of a node
)
