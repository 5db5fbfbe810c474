"""Exif of a file, as a table, and the small picture in it.

Values come from anybody: text is cut and made printable, and whatever ExifRead raises on a damaged
directory is a sentence, not an end. ExifRead follows what a directory says as often as it says so;
what it may read is counted here, so that directories within directories cannot keep it busy.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass

import exifread

from napari_safire.text import printable

logging.getLogger("exifread").setLevel(logging.CRITICAL)  # what it finds odd is said in the table
_MOST_TAGS = 500
_MOST_TEXT = 200
_MOST_READINGS = 400_000  # it reads number by number: a maker's note of 64 KiB takes as many
_MOST_READ = 64 << 20


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


class _TooMuch(Exception):
    """More is asked for than any camera's Exif holds."""


class _Counted(io.BytesIO):
    """Bytes that may be read so often and no more."""

    readings = 0
    amount = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.readings += 1
        found = super().read(size)
        self.amount += len(found)
        if self.readings > _MOST_READINGS or self.amount > _MOST_READ:
            raise _TooMuch("it leads to itself, or names far more values than it holds")
        return found


def read_metadata(data: bytes) -> Metadata:
    """Read the Exif of a file.

    Parameters
    ----------
    data : bytes
        A JPEG or TIFF file, or a block of Exif from its byte order on.

    Returns
    -------
    Metadata
        Without tags where there is none.
    """
    try:
        found = exifread.process_file(_Counted(data), details=True, extract_thumbnail=True)
    except Exception as error:  # on damaged directories it raises nearly anything
        return Metadata({}, None, f"its Exif cannot be read ({printable(str(error))[:_MOST_TEXT]})")
    thumbnail = found.pop("JPEGThumbnail", None)
    tags = {
        printable(str(name))[:_MOST_TEXT]: printable(str(value)[:_MOST_TEXT])[:_MOST_TEXT].strip()
        for name, value in list(found.items())[:_MOST_TAGS]
        if not isinstance(value, bytes)
    }
    more = "" if len(found) <= _MOST_TAGS else f"it has {len(found)} tags: {_MOST_TAGS} are shown"
    return Metadata(tags, thumbnail if isinstance(thumbnail, bytes) else None, more)
