"""Gradient checks that name the operation, the argument and the time step.

verify     the verb `check`;  bar: how far it has come
trial      a graph at one point, and what is measured there
judging    from these measurements to a verdict and a culprit;  report: both, as the user sees them
verdict    what a check may find, in words
handed_in  gradients that come from elsewhere
mutants    wrong rules and a wrong engine, on purpose: what a check must find
numbers    derivatives without rules, values in any precision, what rounding does to them
rules      local certificates: each rule at each node over all steps, and what may excuse a fault
why        what a wrong gradient looks like instead, and where it comes from if every rule holds
"""

from unfold.check.report import Report as Report
from unfold.check.verify import assert_gradients as assert_gradients
from unfold.check.verify import check as check
