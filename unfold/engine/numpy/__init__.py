"""Plans as NumPy source."""
