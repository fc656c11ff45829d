"""What to compute in which order, and where each value is kept: values with types, statements, places."""
