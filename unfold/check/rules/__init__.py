"""Every rule at every node, first and second order: whether it holds, and what excuses it if not."""
