"""What to compute in which order, and the rewriting of a request that makes it fast."""
