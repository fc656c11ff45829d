"""What equations are made of: axes, nodes, operations, systems of them. It knows no operation by name."""

from unfold.core import protocols as protocols  # enters NumPy's protocols among the services of a node
