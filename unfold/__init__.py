"""unfold: write a recurrence once; get its diagrams, its backpropagation through time, its proof."""

from importlib import import_module as _import_module
from typing import Any as _Any

from unfold import init as init
from unfold import ops as ops
from unfold import optim as optim
from unfold.check import Report as Report
from unfold.check import assert_gradients as assert_gradients
from unfold.check import check as check
from unfold.checkpointing import checkpoint as checkpoint
from unfold.diagnose import diagnose as diagnose
from unfold.elaborate import graph as graph
from unfold.errors import BadIndex as BadIndex
from unfold.errors import BadName as BadName
from unfold.errors import BindingError as BindingError
from unfold.errors import DefinitionError as DefinitionError
from unfold.errors import GradientError as GradientError
from unfold.errors import InstantaneousLoop as InstantaneousLoop
from unfold.errors import MissingBoundary as MissingBoundary
from unfold.errors import NotAGraph as NotAGraph
from unfold.errors import NotCausal as NotCausal
from unfold.errors import NotComputable as NotComputable
from unfold.errors import NotDifferentiable as NotDifferentiable
from unfold.errors import NotProven as NotProven
from unfold.errors import OutOfRange as OutOfRange
from unfold.errors import Redefined as Redefined
from unfold.errors import ShapeMismatch as ShapeMismatch
from unfold.errors import TwoWayTime as TwoWayTime
from unfold.errors import Undefined as Undefined
from unfold.errors import UnfoldError as UnfoldError
from unfold.errors import UnknownName as UnknownName
from unfold.errors import ZeroDelayLoop as ZeroDelayLoop
from unfold.forward import hvp as hvp
from unfold.generate import beam as beam
from unfold.generate import free_running as free_running
from unfold.generate import generate as generate
from unfold.graph import Graph as Graph
from unfold.jacobian import hessian as hessian
from unfold.jacobian import jacobian as jacobian
from unfold.language import axis as axis
from unfold.language import input as input
from unfold.language import param as param
from unfold.language import var as var
from unfold.node import Node as Node
from unfold.node import constant as constant
from unfold.node import operation as operation
from unfold.online import rtrl as rtrl
from unfold.op import FUNCTIONS as _FUNCTIONS
from unfold.op import Along as Along
from unfold.op import Elementwise as Elementwise
from unfold.op import Op as Op
from unfold.streaming import stream as stream
from unfold.truncation import truncate as truncate

globals().update(_FUNCTIONS)


def __getattr__(name: str) -> _Any:
    """Operations registered later, such as the user's own, and `uf.systems`."""
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    if name == "systems":  # written in the language, so it comes after all of it
        return _import_module("unfold.systems")
    from difflib import get_close_matches

    near = get_close_matches(name, sorted({*_FUNCTIONS, *globals()}), 3, 0.6)
    hint = f"; near it there are {', '.join(near)}" if near else ""
    raise AttributeError(f"unfold has no {name!r}{hint}; `unfold ops` lists the operations")
