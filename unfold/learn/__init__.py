"""Over a sequence and over time: optimisers, states, streams, generation, diagnosis."""
