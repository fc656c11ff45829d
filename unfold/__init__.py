"""unfold: write a recurrence once; get its diagrams, its backpropagation through time, its proof."""

from unfold.elaborate import graph as graph
from unfold.graph import Graph as Graph
from unfold.language import axis as axis
from unfold.language import input as input
from unfold.language import param as param
from unfold.language import var as var
from unfold.node import Node as Node
from unfold.node import constant as constant
from unfold.op import FUNCTIONS as _FUNCTIONS

from unfold import ops as ops

globals().update(_FUNCTIONS)
