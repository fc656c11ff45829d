"""For tests of systems and operations: hypothesis strategies, and mutants to test checks with
(`mutate`, `engine_mutant`: wrong rules and a wrong engine, on purpose).

    specs.py        systems, expressions and calls as plain data; `build(spec)`
    strategies.py   what draws them: shapes, op_calls, expressions, systems, illegal_systems,
                    inputs, kinky_inputs, time_lengths (these need hypothesis)
    plugin.py       the pytest fixture `gradcheck(graph, "loss", wrt, **arrays)`, after the line
                    pytest_plugins = "unfold.testing.plugin" in conftest.py; it prints its seed

>>> from unfold.testing import build, SystemSpec, BlockSpec, EquationSpec
>>> block = BlockSpec(1, (EquationSpec(True, ("tanh", ("add", ("read", 0, 1), ("x", 0)))),))
>>> build(SystemSpec(2, (block,))).graph.output("out0")
<v0[t]: float (2) over t>
"""

from typing import TYPE_CHECKING, Any

from unfold.check.mutants import engine_mutant as engine_mutant
from unfold.check.mutants import mutate as mutate
from unfold.testing.specs import BlockSpec as BlockSpec
from unfold.testing.specs import Built as Built
from unfold.testing.specs import EquationSpec as EquationSpec
from unfold.testing.specs import ExpressionSpec as ExpressionSpec
from unfold.testing.specs import IllegalSpec as IllegalSpec
from unfold.testing.specs import OpCall as OpCall
from unfold.testing.specs import SystemSpec as SystemSpec
from unfold.testing.specs import build as build

if TYPE_CHECKING:
    from unfold.testing.strategies import broadcastable as broadcastable
    from unfold.testing.strategies import expressions as expressions
    from unfold.testing.strategies import illegal_systems as illegal_systems
    from unfold.testing.strategies import inputs as inputs
    from unfold.testing.strategies import kinky_inputs as kinky_inputs
    from unfold.testing.strategies import op_calls as op_calls
    from unfold.testing.strategies import shapes as shapes
    from unfold.testing.strategies import systems as systems
    from unfold.testing.strategies import time_lengths as time_lengths

STRATEGIES = (
    "shapes", "op_calls", "expressions", "systems", "illegal_systems",
    "inputs", "kinky_inputs", "time_lengths", "broadcastable",
)  # fmt: skip

if not TYPE_CHECKING:  # a checker knows the names above, and no others

    def __getattr__(name: str) -> Any:
        """The strategies, imported when one is asked for: hypothesis is an optional extra."""
        if name not in STRATEGIES:
            raise AttributeError(
                f"unfold.testing has no {name!r}; its strategies are {', '.join(STRATEGIES)}"
            )
        try:
            from unfold.testing import strategies
        except ModuleNotFoundError as error:
            if error.name != "hypothesis":
                raise
            raise ImportError(f"unfold.testing.{name} needs hypothesis: pip install hypothesis") from None
        return getattr(strategies, name)
