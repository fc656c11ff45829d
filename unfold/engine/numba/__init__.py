"""Plans as machine code, by Numba."""
