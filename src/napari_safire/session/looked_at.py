"""The pixels and the file of a plane, as forensic views see them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.errors import ImageReadError, sentence
from napari_safire.forensics import EvidenceView, Picture, views
from napari_safire.images.pixels import PictureReader
from napari_safire.session.planes import Plane
from napari_safire.text import printable

REFERENCE = "reference"
"""A need of views, and the parameter that fills it."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One state of a plane's pixels and file, and the views of it.

    Parameters
    ----------
    sha256 : str
        As `PictureReader` has it.
    picture : Picture
    views : mapping of str to EvidenceView
    why_not : mapping of str to str
        Why a view cannot be made of it, whatever is chosen; empty if it can.
    """

    sha256: str
    picture: Picture
    views: Mapping[str, EvidenceView]
    why_not: Mapping[str, str]


class LookedAt:
    """The picture of a plane as the evidence worker saw it last; nobody else touches it.

    Parameters
    ----------
    plane : Plane
    """

    def __init__(self, plane: Plane) -> None:
        self.pixels = plane.pixels
        self._read, self._file = plane.pixels.read, plane.file
        self._seen: Seen | None = None
        self._stamp: object = None

    def look(self) -> Seen:
        """Look at the pixels; what was seen before, if they and their file are still the same.

        Raises
        ------
        TypeError, ValueError, OSError
            They are no picture, or cannot be read.
        """
        stamp = self._stamp_of_file()
        pixels = self._read()
        # What is read anew each time (dask) nobody paints on.
        if self._seen is not None and not isinstance(pixels, np.ndarray) and stamp == self._stamp:
            return self._seen
        sha256 = PictureReader(pixels).sha256
        if self._seen is None or sha256 != self._seen.sha256 or stamp != self._stamp:
            picture = picture_of(np.asarray(pixels), self._file)
            found = views(picture)
            chosen = {REFERENCE: ""}  # it may be still
            why_not = {name: one.view.why_not(picture, chosen) for name, one in found.items()}
            self._seen, self._stamp = Seen(sha256, picture, found, why_not), stamp
        return self._seen

    def _stamp_of_file(self) -> object:
        if self._file is None:
            return None
        try:
            about = os.stat(self._file)
        except OSError:
            return None
        return about.st_mtime_ns, about.st_size


def picture_of(pixels: npt.NDArray[Any], file: str | None) -> Picture:
    """Take pixels of a layer, with the file they come from if it still holds them.

    Parameters
    ----------
    pixels : (H, W), (H, W, 3) or (H, W, 4) array
    file : str or None

    Returns
    -------
    Picture
        Without its file it says why.

    Raises
    ------
    TypeError, ValueError
        The pixels are no picture.
    """
    try:
        return Picture.of_pixels(pixels, file)
    except (ImageReadError, OSError) as error:
        name = printable(Path(file or "").name)
        why = f"{name} cannot be read as a picture file: {sentence(error).rstrip('.')}"
        return replace(Picture.of_pixels(pixels), why_no_file=why)
