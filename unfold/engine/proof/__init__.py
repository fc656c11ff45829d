"""The proof of a plan by tags: each statement reads what the equation asks for, before anything runs.

Every entry of every value at every step is one integer, its tag (`tags`). The statements are run on a
memory of tags (`cells`) in the order and at the addresses of the plan (`proving`), and each compares
the cells it reads with what its equation asks for (`claims`). A fault is told in words (`wording`):

    statement 14 (h = tanh(a)) reads h[t-1] where h[t] is due, at t = 3

So an error of shifts, boundaries, orders of axes, letters of products, loops, places and lifetimes is
found at its first statement, without numbers, and whether or not it happens to change one.

What tags cannot see, and numeric tests must:

- what a ufunc or an operation's `forward` computes from the right operands, and whether `forward` minds
  the axes in front (it is called as it is);
- the renderer, which turns the same list into text, and the routines it calls;
- what comes before the typed graph: rules of gradients, simplification, passes;
- an array call that `typed` has chosen for an operation (`ArrayCall.ufunc` is believed), and numbers
  that it has folded into it;
- precision, and -0.0 in place of 0.0: numbers are known by value, a copy by the kind of its value;
- other sizes than those proven: a plan holds for one.
"""

from unfold.engine.proof.proving import Proof as Proof
from unfold.engine.proof.proving import engine_fault as engine_fault
from unfold.engine.proof.proving import prove as prove
from unfold.engine.proof.proving import prove_graph as prove_graph
from unfold.engine.proof.proving import proven as proven
from unfold.engine.proof.tags import PlanFault as PlanFault
