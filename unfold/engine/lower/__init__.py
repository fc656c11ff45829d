"""From a typed graph to statements over buffers, one function for each kind of operation."""
