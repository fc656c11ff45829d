"""Derivatives without rules, values in any precision, and what rounding does to them."""
