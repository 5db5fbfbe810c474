"""16-bit TIFF of labels: value s is source s, 0 is no source, as microscopy's tools have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_safire.images.reading import write_image_atomic
from napari_safire.project.formats.format import Placed
from napari_safire.project.formats.label_files import LabelFiles


class LabelTiff(LabelFiles):
    """See the module."""

    name = "labels-tiff"
    title = "16-bit label TIFF"
    reading = "Lists name `image,mask`; a mask's value is the number of the source, 0 no source."
    mask_suffix = ".tif"
    mask_folder = "labels"

    def save_mask(self, path: Path, coded: npt.NDArray[Any], placed: Placed) -> None:
        """Losslessly compressed."""
        write_image_atomic(path, coded.astype(np.uint16))

    def stored(self, mask: Path) -> npt.NDArray[Any]:
        """As tifffile gives it."""
        return np.asarray(tifffile.imread(mask))
