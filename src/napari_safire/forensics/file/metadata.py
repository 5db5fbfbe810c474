"""Exif of a file, as a table with what does not fit, and its embedded thumbnail.

Values come from anybody: text is cut and made printable, and whatever ExifRead raises on a damaged
directory is a sentence, not an end.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from datetime import datetime

import exifread
import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.text import printable
from napari_safire.types import FloatImage

logging.getLogger("exifread").setLevel(logging.CRITICAL)  # what it finds odd is said in the table
_MOST_TAGS = 500
_MOST_TEXT = 200
_MOST_THUMBNAIL = 4_000_000  # pixels
_EDITORS = (
    "photoshop", "gimp", "lightroom", "affinity", "pixelmator", "snapseed", "paint", "picasa",
    "picsart", "facetune", "canva", "luminar", "capture one", "darktable", "rawtherapee",
    "imagemagick", "acdsee", "photoscape", "stable diffusion", "firefly", "midjourney",
)  # fmt: skip
_DATES = ("EXIF DateTimeOriginal", "EXIF DateTimeDigitized", "Image DateTime")
_DATE_FORM = "%Y:%m:%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Exif tags of a file.

    Parameters
    ----------
    tags : dict of str to str
        By directory and name: "Image Make".
    thumbnail : bytes or None
        Of the embedded picture, as stored.
    damage : str
        Why not all could be read; empty if it could.
    """

    tags: dict[str, str]
    thumbnail: bytes | None = None
    damage: str = ""

    def remarks(self) -> dict[str, str]:
        """By tag: what an expert should notice."""
        found: dict[str, str] = {}
        for name in ("Image Software", "Image ProcessingSoftware"):
            if any(editor in self.tags.get(name, "").lower() for editor in _EDITORS):
                found[name] = "written by an editor"
        taken, changed = self._date("EXIF DateTimeOriginal"), self._date("Image DateTime")
        if taken is not None and changed is not None and changed > taken:
            found["Image DateTime"] = "later than it was taken: saved again"
        if taken is not None and changed is not None and changed < taken:
            found["Image DateTime"] = "earlier than it was taken"
        for name in _DATES:
            if name in self.tags and self._date(name) is None:
                found[name] = "no date in the form that Exif asks for"
        if "Image Make" not in self.tags and self.tags:
            found["Image Make"] = "the camera's maker is missing"
        return found

    def _date(self, name: str) -> datetime | None:
        try:
            return datetime.strptime(self.tags.get(name, ""), _DATE_FORM)
        except ValueError:
            return None


def read_metadata(data: bytes) -> Metadata:
    """Read the Exif of a file.

    Parameters
    ----------
    data : bytes
        All of the file.

    Returns
    -------
    Metadata
        Without tags where there is none.
    """
    try:
        found = exifread.process_file(io.BytesIO(data), details=True, extract_thumbnail=True)
    except Exception as error:  # on damaged directories it raises nearly anything
        return Metadata({}, None, f"its Exif cannot be read ({printable(str(error))[:_MOST_TEXT]})")
    thumbnail = found.pop("JPEGThumbnail", None)
    tags = {
        printable(str(name))[:_MOST_TEXT]: printable(str(value))[:_MOST_TEXT].strip()
        for name, value in list(found.items())[:_MOST_TAGS]
        if not isinstance(value, bytes)
    }
    more = "" if len(found) <= _MOST_TAGS else f"it has {len(found)} tags: {_MOST_TAGS} are shown"
    return Metadata(tags, thumbnail if isinstance(thumbnail, bytes) else None, more)


def thumbnail_pixels(metadata: Metadata) -> npt.NDArray[np.uint8] | None:
    """Decode the embedded thumbnail.

    Returns
    -------
    (h, w, 3) uint8 array or None
        None if there is none, or none that can be decoded.
    """
    if metadata.thumbnail is None:
        return None
    try:
        image = Image.open(io.BytesIO(metadata.thumbnail), formats=("JPEG", "TIFF"))
        if image.width * image.height > _MOST_THUMBNAIL:
            return None
        return np.asarray(image.convert("RGB"))
    except Exception:  # on damaged files Pillow raises nearly anything
        return None


def thumbnail_difference(
    rgb: npt.NDArray[np.uint8], thumbnail: npt.NDArray[np.uint8]
) -> tuple[FloatImage, float]:
    """Compare a picture, made as small, with its thumbnail.

    Black bars that cameras add above and below, or beside, are left out: the largest part of the
    thumbnail with the picture's proportions is compared.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    thumbnail : (h, w, 3) uint8 array

    Returns
    -------
    difference : (h', w') float32 array
        Mean absolute difference of the channels, in grey levels, after gain and offset.
    correlation : float
        Of both pictures' brightness; near 1 if they show the same.
    """
    height, width = thumbnail.shape[:2]
    ratio = rgb.shape[1] / rgb.shape[0]
    rows, cols = min(height, round(width / ratio)), min(width, round(height * ratio))
    top, left = (height - rows) // 2, (width - cols) // 2
    part = thumbnail[top : top + rows, left : left + cols].astype(np.float32)
    small = Image.fromarray(rgb).resize((cols, rows), Image.Resampling.BOX)
    shown = np.asarray(small, np.float32)
    spread = float(shown.std() * part.std())
    together = float(((shown - shown.mean()) * (part - part.mean())).mean())
    correlation = together / spread if spread > 1e-6 else 1.0
    gain = together / max(float(part.var()), 1e-6)
    fitted = (part - part.mean()) * gain + shown.mean()
    return np.abs(shown - fitted).mean(axis=2).astype(np.float32), correlation
