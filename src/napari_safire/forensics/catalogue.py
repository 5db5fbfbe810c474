"""All views, in the order in which an expert goes through them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.forensics.comparison.view import VIEW as COMPARISON
from napari_safire.forensics.compression.compatibility_view import VIEW as COMPATIBILITY
from napari_safire.forensics.compression.views import VIEWS as COMPRESSION
from napari_safire.forensics.copy_move.view import VIEW as COPY_MOVE
from napari_safire.forensics.file.views import VIEWS as FILE
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.processing.network_view import VIEW as NETWORK_MADE
from napari_safire.forensics.processing.views import VIEWS as PROCESSING
from napari_safire.forensics.view import EvidenceView, View

VIEWS: tuple[View, ...] = (
    *FILE,
    *COMPRESSION,
    COMPATIBILITY,
    COPY_MOVE,
    *PROCESSING,
    NETWORK_MADE,
    COMPARISON,
)


def views(
    picture: str | os.PathLike[str] | npt.NDArray[Any] | Picture,
) -> Mapping[str, EvidenceView]:
    """Look at a picture in every way there is; each view is computed when its result is asked for.

    Parameters
    ----------
    picture : path-like, (H, W) or (H, W, 3|4) array, or Picture
        Views of files need a path.

    Returns
    -------
    mapping of str to EvidenceView
        By name; those that do not apply say why (`EvidenceView.why_not`).

    Raises
    ------
    ImageReadError
        The file is missing, damaged or no picture.
    ValueError
        The array is no picture.
    """
    if not isinstance(picture, Picture):
        if isinstance(picture, np.ndarray):
            picture = Picture.of_pixels(picture)
        else:
            picture = Picture.read(picture)
    return MappingProxyType({view.name: EvidenceView(view, picture) for view in VIEWS})
