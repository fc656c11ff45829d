"""Equations in: variables and their equations, JSON."""
