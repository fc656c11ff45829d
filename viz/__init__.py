"""Pictures of graphs: `viz.draw(graph).save("x.svg")`, `viz.unfolding(graph).save("pair.svg")`.

labels, style      how names are set; colours and measures
drawing            what a picture is: immutable shapes
scene              edges that avoid shapes, labels that avoid everything
variables, layout  what a picture of a graph shows, and where it stands
cyclic, unfolded   Graph -> Drawing, one circle a variable
svg, dot           Drawing -> file
"""

from viz.draw import draw as draw
from viz.draw import unfolding as unfolding
from viz.drawing import Drawing as Drawing

__all__ = ["Drawing", "draw", "unfolding"]
