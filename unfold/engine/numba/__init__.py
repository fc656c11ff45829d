"""The statements of a program as machine code, by Numba, as far as they can be compiled."""
