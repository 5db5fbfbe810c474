"""Lists as CAT-Net and TruFor read them: ``image,mask``, ``None`` for authentic, above 0 forged.

Their readers cut at every comma, without regard to quotes, and look from the root of the data set:
the folder of the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.images.list_text import AUTHENTIC as NO_MASK
from napari_safire.project.formats.format import Holds, Imported, Place, Placed, Seen
from napari_safire.project.formats.labelled import ExportSettings
from napari_safire.project.formats.mask_files import (
    BinaryFiles,
    Row,
    black,
    each_list,
    import_binary,
    listed_entries,
    require_entries,
    write_text_lists,
)


class Lists(BinaryFiles):
    """See the module."""

    name = "lists"
    title = "Lists (CAT-Net, TruFor)"
    reading = (
        "Lists name `image,mask` from this folder on; a mask is forged above 0, and `None` is an "
        "authentic picture."
    )
    holds = Holds(binary=True, unassigned=False, refers=False)
    masks_of_authentic = False

    def folders(self, placed: Placed, coded: npt.NDArray[Any]) -> tuple[str, str]:
        """One of pictures, one of masks."""
        return "images", "masks"

    def write_lists(self, rows: Sequence[Row], place: Place, settings: ExportSettings) -> None:
        """One for each part."""
        write_text_lists(rows, place)

    def read_back(self, place: Place) -> Iterator[Seen]:
        """As CAT-Net does."""
        for path in each_list(place.folder, "*.txt"):
            for line in path.read_text(encoding="utf-8").splitlines():
                picture, mask = line.strip().split(",")
                if mask == NO_MASK:
                    yield Seen(picture, black(place.found(picture)))
                    continue
                with Image.open(place.found(mask)) as image:
                    yield Seen(picture, np.asarray(image.convert("L")) > 0)

    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """Lists, each with paths relative to its folder or the one above."""
        for name, entry, split in require_entries(path, listed_entries(path)):
            yield import_binary(name, entry.image, entry.mask, split, entry.rule)
