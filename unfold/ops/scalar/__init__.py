"""On every entry alone."""
