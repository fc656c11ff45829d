"""Every rule at every node, first and second order."""
