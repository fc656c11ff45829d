"""Along an axis: delays, fixed reads, windows."""
