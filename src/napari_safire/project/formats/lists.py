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

from napari_safire.errors import DatasetError
from napari_safire.images.list_text import AUTHENTIC as NO_MASK
from napari_safire.images.list_text import list_root
from napari_safire.images.lists import read_lines
from napari_safire.project.formats.format import Holds, Imported, Place, Placed, Seen, split_lists
from napari_safire.project.formats.labelled import ExportSettings, split_of_name
from napari_safire.project.formats.mask_files import (
    BinaryFiles,
    Row,
    black,
    each_list,
    import_binary,
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
        for split, name in split_lists((row.split for row in rows), ".txt").items():
            lines = [f"{row.picture},{row.mask or NO_MASK}\n" for row in rows if row.split == split]
            (place.folder / name).write_text("".join(lines), encoding="utf-8", newline="\n")

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
        found = False
        for list_file in each_list(path, "*.txt"):
            root = list_root(list_file)
            for entry in read_lines(list_file, root):
                found = True
                name = entry.image.relative_to(root).as_posix()
                split = split_of_name(list_file.stem)
                yield import_binary(name, entry.image, entry.mask, split, entry.rule)
        if not found:
            raise DatasetError(f"{path} holds no list (.txt) with entries: give a list.")
