"""Random programs in the language, and an interpreter of them that shares nothing with the library.

    data.py      a program as plain data: quantities over axes, expressions, boundaries
    meaning.py   what each operation computes, entry by entry, in plain NumPy
    oracle.py    the interpreter: values by memoised recursion, derivatives by the complex step
    drawing.py   what draws programs, from a `random.Random` (hypothesis drives one that shrinks)
    written.py   a program as a Python script in the language; `build` runs that script
    trying.py    the ways a program is tried, and what each must give
    smaller.py   a failing program made smaller

Everything is well-posed by construction: sizes are known, every read is defined, an order exists.
"""

from programs.data import Expr as Expr
from programs.data import Place as Place
from programs.data import Program as Program
from programs.data import Quantity as Quantity
from programs.drawing import draw as draw
from programs.written import build as build
from programs.written import script as script
