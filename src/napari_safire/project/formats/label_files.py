"""Formats whose masks hold the labels as they are: indexed PNG and 16-bit TIFF."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.errors import SafireError
from napari_safire.images.list_text import AUTHENTIC as NO_MASK
from napari_safire.images.reading import image_shape
from napari_safire.project.formats.format import Holds, Imported, Place, Placed, Seen
from napari_safire.project.formats.label_masks import read_label_mask
from napari_safire.project.formats.labelled import (
    ExportSettings,
    LabelledPicture,
    Labels,
    Split,
)
from napari_safire.project.formats.mask_files import (
    MaskFiles,
    Row,
    each_list,
    listed_entries,
    require_entries,
    write_text_lists,
)


class LabelFiles(MaskFiles):
    """Masks of labels, 0 for no source, in lists ``image,mask``."""

    holds = Holds(refers=False)
    mask_folder: ClassVar[str]

    def folders(self, placed: Placed, coded: npt.NDArray[Any]) -> tuple[str, str]:
        """One of pictures, one of masks."""
        return "images", self.mask_folder

    def write_lists(self, rows: Sequence[Row], place: Place, settings: ExportSettings) -> None:
        """One for each part."""
        write_text_lists(rows, place)

    def stored(self, mask: Path) -> npt.NDArray[Any]:
        """Read a mask as the format's readers do."""
        raise NotImplementedError

    def read_back(self, place: Place) -> Iterator[Seen]:
        """Cut each line at its comma; the mask's values are the labels."""
        for path in each_list(place.folder, "*.txt"):
            for line in path.read_text(encoding="utf-8").splitlines():
                picture, mask = line.strip().split(",")
                yield Seen(picture, self.stored(place.found(mask)))

    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """Lists of pictures and masks."""
        for name, entry, split in require_entries(path, listed_entries(path)):
            yield import_labels(name, entry.image, entry.mask, split)


def import_labels(name: str, picture: Path, mask: Path | None, split: Split) -> Imported:
    """Read a picture with a mask of labels.

    Parameters
    ----------
    name : str
        As the list or table has it.
    picture : Path
    mask : Path or None
        None: one source.
    split : {"", "train", "validation", "test"}
    """
    try:
        shape = image_shape(picture)
        if mask is None:
            labels = np.ones(shape, np.uint8)
            said: tuple[str, ...] = (f"{name} has the mask {NO_MASK}: one source.",)
        else:
            labels, said = read_label_mask(mask, shape)
        return Imported(name, LabelledPicture(name, picture, name, labels, split=split), said)
    except SafireError as error:
        return Imported(name, None, (str(error),))


def png_bytes(labels: Labels) -> bytes:
    """Pack labels as a grey PNG of their numbers."""
    packed = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(labels)).save(packed, format="PNG")
    return packed.getvalue()


def import_packed(name: str, picture: Path, mask: bytes, split: Split) -> Imported:
    """Read a picture with the bytes of a mask of labels; as `import_labels` otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "mask.png")  # the readers of masks look at what a file is, not its name
        file.write_bytes(mask)
        return import_labels(name, picture, file, split)
