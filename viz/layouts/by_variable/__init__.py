"""One circle a variable: what stands together, where, how it looks; cyclic and unfolded."""
