"""From a graph and arrays to values."""
