"""Choosing by data: entries, classes."""
