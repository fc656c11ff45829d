"""From a picture to the text of a file: SVG, DOT, TikZ, and a page with its style and script."""
