"""Classical methods that need no training, to show what a network adds on the same pictures.

Each is a function from the picture's luma to a `Description`, which divides it into any number of
sources. Every number in these modules is its paper's (or that of the code published with it) and
was fixed before the first picture was scored; none was tuned on scored pictures.
"""

from baselines.cooccurrence import residual_cooccurrences
from baselines.description import Describe, Description, forgery_heatmap, source_labels
from baselines.jpeg_grid import jpeg_grid
from baselines.noise import noise_level
from baselines.nothing import blank_map

BASELINES: dict[str, Describe] = {
    "blank map": blank_map,
    "noise level": noise_level,
    "residual co-occurrences": residual_cooccurrences,
    "JPEG grid": jpeg_grid,
}

__all__ = [
    "BASELINES",
    "Describe",
    "Description",
    "blank_map",
    "forgery_heatmap",
    "jpeg_grid",
    "noise_level",
    "residual_cooccurrences",
    "source_labels",
]
