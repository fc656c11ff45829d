"""What a picture is made of: shapes and curves, labels, colours and measures. Data, no files."""
