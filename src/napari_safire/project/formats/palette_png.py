"""Indexed PNG: index s is source s, 0 is no source; the palette shows each source's own colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.atomic import atomic_path
from napari_safire.project.formats.format import Placed
from napari_safire.project.formats.label_files import LabelFiles
from napari_safire.project.truth import PictureDescription

_NO_SOURCE = (0, 0, 0)


class PalettePng(LabelFiles):
    """See the module."""

    name = "palette"
    title = "Indexed PNG with palette"
    reading = "Lists name `image,mask`; a mask's index is the number of the source, 0 no source."
    mask_folder = "masks"

    def save_mask(self, path: Path, coded: npt.NDArray[Any], placed: Placed) -> None:
        """All 256 colours, whatever the picture needs, so that every index means the same."""
        write_indexed(path, coded, placed.picture.description)

    def stored(self, mask: Path) -> npt.NDArray[Any]:
        """Indices, which Pillow gives of a picture of mode P."""
        with Image.open(mask) as image:
            return np.asarray(image)


def write_indexed(
    path: Path, labels: npt.NDArray[np.uint8], description: PictureDescription
) -> None:
    """Write labels as the indices of a PNG whose palette has the colours of the sources."""
    colours = [_NO_SOURCE, *(description.of(number).shown_colour for number in range(1, 256))]
    image = Image.frombytes("P", (labels.shape[1], labels.shape[0]), labels.tobytes())
    image.putpalette([channel for colour in colours for channel in colour])
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", bits=8)
