"""Where everything stands. `scene` leads edges round shapes and sets labels, `columns` are the
steps; one folder lays out variables, the other operations."""
