"""Gradient checks that name the operation, the argument and the time step.

verify    the verb `check`;  stages: its stages together;  report: what they found
given     gradients that come from elsewhere;  mutants: planted faults
numbers   derivatives without rules, values in any precision, what rounding does to them
rules     local certificates: each rule at each node over all steps
why       where a wrong gradient comes from, what a wrong value looks like instead, what excuses it
"""

from unfold.check.report import Report as Report
from unfold.check.verify import assert_gradients as assert_gradients
from unfold.check.verify import check as check
