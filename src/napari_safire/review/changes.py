"""What happens to pictures on their way: cropped, saved again, resized, without anybody forging.

Each `Change` knows which places of the picture its result still shows, so that sources found in
both can be compared place by place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image

from napari_safire.forensics.picture import Picture
from napari_safire.synthesis.degradations import Degradation, degrade
from napari_safire.types import LabelImage

Kind = Literal["none", "crop", "jpeg", "resize", "png"]

_SUBSAMPLED = 2  # Pillow's code for JPEG 4:2:0, which nearly all software writes
_BLOCK = 8  # pixels of a JPEG's block: a crop must not begin on their raster
_PNG_LEVEL = 1  # its bytes count for nothing here


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a picture.

    Parameters
    ----------
    kind : {"none", "crop", "jpeg", "resize", "png"}
    amount : float
        "crop": share of each side that is cut off all round, 0 to .4; "jpeg": quality, 1 to 100;
        "resize": factor of each side, .25 to 4; else 0.

    Raises
    ------
    ValueError
        Unknown kind, or an amount that it does not have.

    Examples
    --------
    >>> Change("jpeg", 85).name, Change("crop", 0.03).name, Change("resize", 0.9).name
    ('JPEG 85', 'cropped by 3 %', 'resized to 90 %')
    """

    kind: Kind
    amount: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(
                f"Unknown change {self.kind!r}: choose one of {', '.join(get_args(Kind))}."
            )
        low, high = {"crop": (1e-3, 0.4), "jpeg": (1, 100), "resize": (0.25, 4)}.get(
            self.kind, (0, 0)
        )
        if not low <= self.amount <= high:
            raise ValueError(
                f"{self.kind} cannot have the amount {self.amount:g}: give {low:g} to {high:g}."
            )

    @property
    def name(self) -> str:
        """In a few words: "JPEG 85"."""
        return {
            "none": "as it is",
            "crop": f"cropped by {self.amount:.0%}".replace("%", " %"),
            "jpeg": f"JPEG {self.amount:.0f}",
            "resize": f"resized to {self.amount:.0%}".replace("%", " %"),
            "png": "PNG",
        }[self.kind]

    def apply(self, picture: Picture, file: Path) -> Picture:
        """Change a picture; what is saved again is really saved.

        Parameters
        ----------
        picture : Picture
        file : Path
            Where a saved copy is written; nothing is for crops and other sizes. It must stay as
            long as the result is looked at.

        Returns
        -------
        Picture
            A saved copy as it is read back, with its file; else pixels that lie in no file.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        pixels = picture.rgb
        if self.kind == "crop":
            return Picture.of_pixels(np.ascontiguousarray(pixels[self._kept(pixels.shape[:2])]))
        if self.kind == "resize":
            return Picture.of_pixels(degrade(pixels, Degradation("resize", self.amount)))
        if self.kind == "none":
            return picture
        image = Image.fromarray(pixels)
        if self.kind == "png":
            image.save(file, "PNG", compress_level=_PNG_LEVEL)
        else:
            image.save(file, "JPEG", quality=int(self.amount), subsampling=_SUBSAMPLED)
        return Picture.read(file)

    def paired(self, before: LabelImage, after: LabelImage) -> tuple[LabelImage, LabelImage]:
        """Lay what was found after the change over what was found before it.

        Parameters
        ----------
        before : (H, W) int array
            Of the picture.
        after : (h, w) int array
            Of the changed one.

        Returns
        -------
        before, after : (m, n) int array
            The same places: where both are known.
        """
        if self.kind == "crop":
            return before[self._kept(before.shape)], after
        if self.kind == "resize":
            rows, cols = (
                ((np.arange(n) + 0.5) * small / n).astype(np.intp)
                for n, small in zip(before.shape, after.shape, strict=True)
            )
            return before, after[rows[:, None], cols]
        return before, after

    def _kept(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """What a crop leaves; it begins off the raster of JPEG's blocks, where there is room."""
        slices = []
        for length in shape[:2]:
            margin = max(1, round(self.amount * length))
            begin = margin + 3 if margin % _BLOCK == 0 and 2 * margin + 3 < length else margin
            slices.append(slice(min(begin, length - 1), max(length - margin, begin + 1)))
        return slices[0], slices[1]
