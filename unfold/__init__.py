"""unfold: write a recurrence once; get its diagrams, its backpropagation through time, its proof."""

from importlib import import_module as _import_module
from types import ModuleType as _ModuleType
from typing import Any as _Any

from unfold import ops as ops
from unfold.check import Report as Report
from unfold.check import assert_gradients as assert_gradients
from unfold.check import check as check
from unfold.core import errors as errors
from unfold.core.axis import Axis as Axis
from unfold.core.axis import Index as Index
from unfold.core.errors import BadIndex as BadIndex
from unfold.core.errors import BadName as BadName
from unfold.core.errors import BindingError as BindingError
from unfold.core.errors import DefinitionError as DefinitionError
from unfold.core.errors import GradientError as GradientError
from unfold.core.errors import InstantaneousLoop as InstantaneousLoop
from unfold.core.errors import MissingBoundary as MissingBoundary
from unfold.core.errors import NotAGraph as NotAGraph
from unfold.core.errors import NotCausal as NotCausal
from unfold.core.errors import NotComputable as NotComputable
from unfold.core.errors import NotDifferentiable as NotDifferentiable
from unfold.core.errors import NotProven as NotProven
from unfold.core.errors import OutOfRange as OutOfRange
from unfold.core.errors import Redefined as Redefined
from unfold.core.errors import ShapeMismatch as ShapeMismatch
from unfold.core.errors import TwoWayTime as TwoWayTime
from unfold.core.errors import Undefined as Undefined
from unfold.core.errors import UnfoldError as UnfoldError
from unfold.core.errors import UnknownName as UnknownName
from unfold.core.errors import ZeroDelayLoop as ZeroDelayLoop
from unfold.core.leaves import Expression as Expression
from unfold.core.leaves import constant as constant
from unfold.core.node import FUNCTIONS as _FUNCTIONS
from unfold.core.node import Node as Node
from unfold.core.node import Op as Op
from unfold.core.op import Along as Along
from unfold.core.op import Elementwise as Elementwise
from unfold.core.op import operation as operation
from unfold.engine.run import Result as Result
from unfold.engine.run import Run as Run
from unfold.graph import Graph as Graph
from unfold.graph import graph as graph
from unfold.language.variables import Var as Var
from unfold.language.variables import axis as axis
from unfold.language.variables import input as input
from unfold.language.variables import param as param
from unfold.language.variables import var as var
from unfold.learn import init as init
from unfold.learn import optim as optim
from unfold.learn.diagnose import diagnose as diagnose
from unfold.learn.generate import beam as beam
from unfold.learn.generate import free_running as free_running
from unfold.learn.generate import generate as generate
from unfold.learn.recomputation import checkpoint as checkpoint
from unfold.learn.streaming import stream as stream
from unfold.transform.forward import hvp as hvp
from unfold.transform.jacobians import hessian as hessian
from unfold.transform.jacobians import jacobian as jacobian
from unfold.transform.online import rtrl as rtrl
from unfold.transform.truncation import truncate as truncate

globals().update(_FUNCTIONS)

_MODULES = ("errors", "init", "ops", "optim", "systems", "testing")  # of the folders, those a user types


def __getattr__(name: str) -> _Any:
    """Operations registered later, such as the user's own; `uf.systems` and `uf.testing`; the version."""
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    if name in _MODULES:  # written in the language, so they come after all of it
        return _import_module(f"unfold.{name}")
    if name == "__version__":
        return _version()
    from difflib import get_close_matches

    near = get_close_matches(name, sorted({*_FUNCTIONS, *globals()}), 3, 0.6)
    hint = f"; near it there are {', '.join(near)}" if near else ""
    raise AttributeError(f"unfold has no {name!r}{hint}; `unfold ops` lists the operations")


def __dir__() -> list[str]:
    """What a user types, without the folders below."""
    folders = {name for name, value in globals().items() if isinstance(value, _ModuleType)}
    names = ({*globals(), *_FUNCTIONS} - folders) | {*_MODULES}
    return sorted([name for name in names if name[0] != "_"] + ["__version__"])


def _version() -> str:
    """The version of the checkout that this is, or else of the installed package."""
    import tomllib
    from importlib.metadata import version
    from pathlib import Path

    file = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"] if file.is_file() else {}
    return str(project["version"]) if project.get("name") == "unfold" else version("unfold")
