"""On the dimensions of a value."""
