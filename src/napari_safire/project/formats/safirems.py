"""SafireMS: grey value ``50 * k`` is source k, 0 to 5; folders by the number of sources, and lists.

::

    ms2_images/…  ms2_masks/…       pictures of two sources; ms3 to ms6 likewise
    au_images/…                     of one source: no mask, ``None`` in the lists
    train.txt, validation.txt, …    ``image,mask``; all.txt where the pictures were not divided

Source 0 is authentic: SAFIRE's binary reader takes everything above 0 for forged. So the authentic
source comes first, and the others follow by their numbers, without gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.list_text import AUTHENTIC as NO_MASK
from napari_safire.images.lists import ListEntry
from napari_safire.images.mask_pairs import find_folder_pairs, pair_pictures
from napari_safire.images.masks import MAX_SOURCE, STEP, encode_sources
from napari_safire.images.reading import image_shape, write_image_atomic
from napari_safire.images.truth import read_label_truth
from napari_safire.project.formats.format import Holds, Imported, Place, Placed, Seen
from napari_safire.project.formats.labelled import (
    AUTHENTIC,
    ExportSettings,
    LabelledPicture,
    Split,
)
from napari_safire.project.formats.mask_files import (
    MaskFiles,
    Row,
    binary_picture,
    black,
    each_list,
    listed_entries,
    write_text_lists,
)


class SafireMS(MaskFiles):
    """See the module."""

    name = "safirems"
    title = "SafireMS (grey 50 x k, lists)"
    reading = (
        "Lists name `image,mask`; grey 50 x k is source k from 0, and `None` an authentic picture. "
        "Binary readers of SAFIRE take all above 0 for forged."
    )
    holds = Holds(most_sources=MAX_SOURCE + 1, unassigned=False, refers=False)
    masks_of_authentic = False

    def numbers(self, picture: LabelledPicture) -> dict[int, int]:
        """Authentic sources first, no gaps, from 1."""
        types = {number: picture.description.of(number).type for number in picture.sources}
        order = sorted(types, key=lambda number: (types[number] != AUTHENTIC, number))
        return {number: place for place, number in enumerate(order, start=1)}

    def coded(self, picture: LabelledPicture, settings: ExportSettings) -> npt.NDArray[Any]:
        """Numbers of sources from 0."""
        table = np.zeros(256, np.uint8)
        for number, place in self.numbers(picture).items():
            table[number] = place - 1
        return table[picture.labels]

    def why_not(self, picture: LabelledPicture, settings: ExportSettings) -> list[str]:
        """Beside the usual: a picture of one source has no mask, so this has to be authentic."""
        reasons = super().why_not(picture, settings)
        if len(picture.sources) == 1 and (
            (kind := picture.description.of(picture.sources[0]).type) in settings.forged
        ):
            reasons.append(
                f"has one source of the type {kind!r}, but a picture of one source is an authentic "
                "one in the format"
            )
        return reasons

    def folders(self, placed: Placed, coded: npt.NDArray[Any]) -> tuple[str, str]:
        """By the number of sources."""
        count = int(coded.max()) + 1
        return ("au_images", "") if count == 1 else (f"ms{count}_images", f"ms{count}_masks")

    def save_mask(self, path: Path, coded: npt.NDArray[Any], placed: Placed) -> None:
        """Grey 50 * k."""
        write_image_atomic(path, encode_sources(coded))

    def write_lists(self, rows: Sequence[Row], place: Place, settings: ExportSettings) -> None:
        """One list for each part."""
        write_text_lists(rows, place)

    def read_back(self, place: Place) -> Iterator[Seen]:
        """Cut each line at its comma; grey over 50 is the source. What is no multiple shows."""
        for path in each_list(place.folder, "*.txt"):
            for line in path.read_text(encoding="utf-8").splitlines():
                picture, mask = line.strip().split(",")[:2]
                if mask == NO_MASK:
                    yield Seen(picture, black(place.found(picture)).astype(np.uint8))
                    continue
                with Image.open(place.found(mask)) as image:
                    grey = np.asarray(image)
                yield Seen(picture, np.where(grey % STEP, 255, grey // STEP))

    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """Lists, or without any the folders that have the usual names."""
        found = False
        for name, entry, split in listed_entries(path):
            found = True
            yield _imported(name, entry, split)
        for pair in () if found else find_folder_pairs(path):
            paired = pair_pictures(pair)
            root = path if pair.images.is_relative_to(path) else path.parent
            for entry in paired.entries:
                found = True
                yield _imported(entry.image.relative_to(root).as_posix(), entry, "")
            for picture in paired.without_mask:
                yield Imported(picture.name, None, (f"{picture} has no mask.",))
        if not found:
            raise DatasetError(
                f"{path} holds no list and no folders like ms2_images and ms2_masks: give a data "
                "set in SafireMS layout."
            )


def _imported(name: str, entry: ListEntry, split: Split) -> Imported:
    try:
        truth = read_label_truth(entry, shape=image_shape(entry.image))
    except SafireError as error:
        return Imported(name, None, (str(error),))
    labels = truth.labels + np.uint8(1)
    if entry.mask is None:
        return Imported(name, binary_picture(name, entry.image, labels, split), truth.warnings)
    picture = LabelledPicture(name, entry.image, name, labels, split=split)
    return Imported(name, picture, truth.warnings)
