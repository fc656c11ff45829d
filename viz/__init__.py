"""Pictures of graphs: `viz.draw(graph).save("x.svg")`, `viz.unfolding(graph).save("pair.svg")`.

draw, drawing, overlay, plots     what a user types
layouts                           where everything stands
model                             what there is to show, found from the graph
writers                           from a picture to a file
shapes                            what a picture is made of
"""

from viz import plots as plots
from viz.draw import draw as draw
from viz.draw import unfolding as unfolding
from viz.drawing import Drawing as Drawing
from viz.overlay import cut as cut
from viz.overlay import heat as heat

__all__ = ["Drawing", "cut", "draw", "heat", "plots", "unfolding"]
