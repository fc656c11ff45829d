"""A program as NumPy source that a person can read, and the routines that it calls."""
