"""Pictures of graphs: `viz.draw(graph).save("x.svg")`, `viz.unfolding(graph).save("pair.svg")`.

labels, style          how names are set; colours and measures
drawing                what a picture is: immutable shapes
scene                  edges that avoid shapes, labels that avoid everything
variables, layout      one circle a variable: what there is, and where it stands
cyclic, unfolded, several, concrete
parts, rails, cells, operations, layered    one box an operation
overlay, plots         what a run or a report adds
svg, dot, tex, html    Drawing -> file
"""

from viz import plots as plots
from viz.draw import draw as draw
from viz.draw import unfolding as unfolding
from viz.drawing import Drawing as Drawing
from viz.overlay import cut as cut
from viz.overlay import heat as heat

__all__ = ["Drawing", "cut", "draw", "heat", "plots", "unfolding"]
