"""One box an operation: a step whose states are rails, or layers where no axis is single."""
