"""Equations out: as text, as LaTeX."""
