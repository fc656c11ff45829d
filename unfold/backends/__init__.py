"""Ways to run a graph: `reference` (by definition, the oracle) and `numpy` (printed source)."""
