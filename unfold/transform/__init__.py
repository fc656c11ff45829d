"""From graph to graph: unfolding, derivatives, batches, simpler forms."""
