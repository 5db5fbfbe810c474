"""What became of a picture file on its way to pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Decoding:
    """What was read of a picture file, and what was decided for it.

    Parameters
    ----------
    format : str
        By content: "PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF" or "HEIC".
    shape : (int, int)
        Rows and columns as stored.
    bits : int
        Of one sample, as stored.
    sample : {"unsigned", "signed", "float"}
    colour : str
        As stored: "grey", "RGB", "palette", "CMYK", "YCbCr" and so on.
    opacity : bool
        Whether there is a channel, or one colour, that says where the picture is transparent.
    compression : str
    pages : int
        Pages, frames or pictures in the file; the first one is read.
    more_pages : bool
        There are still more than were counted.
    orientation : int
        EXIF or TIFF orientation that the file asks for, 1 to 8. It is never applied.
    inverted : bool
        The file says that 0 is white, and values were turned round.
    converted : tuple of str
        What was done to the values, in order.
    assumed : tuple of str
        What the file leaves open, or says otherwise, and was decided.
    besides : tuple of str
        What else lies in the file and was not read.
    notes : tuple of str
        What a user must be told of all this, besides pages and orientation; each goes on after the
        name of the file.
    decoder : str
        Whose code unpacked the pixels.
    """

    format: str
    shape: tuple[int, int]
    bits: int = 8
    sample: str = "unsigned"
    colour: str = "RGB"
    opacity: bool = False
    compression: str = "none"
    pages: int = 1
    more_pages: bool = False
    orientation: int = 1
    inverted: bool = False
    converted: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    besides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    decoder: str = "napari-safire"

    def sentences(self) -> Iterator[str]:
        """Everything that a user must be told; each goes on after the name of the file."""
        yield from self.notes
        if self.pages > 1:
            what = "pages" if self.format == "TIFF" else "pictures (an animation, views or pages)"
            number = f"more than {self.pages}" if self.more_pages else f"{self.pages}"
            yield f"holds {number} {what}: the first was read."
        if self.orientation != 1:
            yield (
                f"asks to be shown turned or mirrored (EXIF orientation {self.orientation}): not "
                "applied, rows and columns stay as stored."
            )

    def as_record(self) -> dict[str, Any]:
        """Return it as values that JSON can hold.

        Returns
        -------
        dict
            `notes` are left out: they are among the warnings of a record.
        """
        return {
            "format": self.format,
            "shape": list(self.shape),
            "bits": self.bits,
            "sample": self.sample,
            "colour": self.colour,
            "opacity": self.opacity,
            "compression": self.compression,
            "page": 1,
            "pages": self.pages,
            "more_pages": self.more_pages,
            "orientation": self.orientation,
            "orientation_applied": False,
            "inverted": self.inverted,
            "converted": list(self.converted),
            "assumed": list(self.assumed),
            "besides": list(self.besides),
            "decoder": self.decoder,
        }
