"""Gradient checks that name the operation, the argument and the time step.

values.py      every value of a graph at once, in any precision
oracle.py      the complex step, Richardson's extrapolation
rounding.py    how far rounding on the way may put a value off
rules.py       local certificates: each rule at each node over all steps
fault.py       a rule that fails, and what may excuse it
engine.py      the transpositions between nodes, when every rule holds
limits.py      what one point cannot show: where numbers are not finite, what was not seen
given.py       gradients that come from elsewhere
diagnosis.py   what a wrong value looks like instead
checker.py     the stages together;  report.py what they found
"""

from unfold.check.report import Report as Report
from unfold.check.verify import assert_gradients as assert_gradients
from unfold.check.verify import check as check
