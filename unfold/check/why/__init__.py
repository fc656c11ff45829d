"""Why a gradient is wrong, or undecided.

diagnosis     what a wrong value looks like instead: a sign, a factor, a transpose
equation      which equation a node belongs to, and where it was written
reverse_mode  every rule holds: which read or sum of reverse mode does not
backend       reverse mode holds too: where the compiled code parts from it
undecided     what a check at one point cannot say
"""
