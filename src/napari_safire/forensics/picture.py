"""The picture that views look at: its pixels, and its file where there is one."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_safire.decoding.structure.walk import walk
from napari_safire.errors import ImageReadError
from napari_safire.forensics.compression.coefficients import JpegCoefficients, read_coefficients
from napari_safire.forensics.tiles import by_strips, strips
from napari_safire.images.pixels import PictureReader, checked_shape
from napari_safire.images.reading import ReadImage, read_bytes, read_image
from napari_safire.types import FloatImage

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as JPEG has it


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels, and the file they were read from.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        Not to be changed.
    file : ReadImage or None
        None for pixels without a file, or whose file holds others.
    why_no_file : str
        Said by views of files where there is none.
    why_no_pixels : str
        Said by views of pixels where those of the file cannot be read.
    """

    rgb: npt.NDArray[np.uint8]
    file: ReadImage | None = None
    why_no_file: str = "the pixels come from no file"
    why_no_pixels: str = ""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Picture:
        """Read a picture file.

        Raises
        ------
        ImageReadError
            As `napari_safire.images.reading.read_image`.
        """
        file = read_image(path)
        return cls(as_rgb(file.pixels), file)  # nobody else holds its pixels: no copy

    @classmethod
    def undecoded(cls, path: str | os.PathLike[str]) -> Picture:
        """Take a picture file whose pixels cannot be read: damaged, cut short, of another format.

        Its bytes can be examined all the same.

        Raises
        ------
        ImageReadError
            As `napari_safire.images.reading.read_image`, for files that do not even begin like a
            picture.
        """
        try:
            return cls.read(path)
        except ImageReadError as error:
            data = read_bytes(Path(path))
            container = walk(data)
            if container is None:
                raise
            nothing = np.zeros((0, 0, 3), np.uint8)
            digest = hashlib.sha256(data).hexdigest()
            file = ReadImage(nothing, Path(path), digest, container.format)
            return cls(nothing, file, why_no_pixels=f"its pixels cannot be read: {error}")

    @classmethod
    def of_pixels(
        cls, pixels: npt.ArrayLike, path: str | os.PathLike[str] | None = None
    ) -> Picture:
        """Take pixels, and their file if it still holds them.

        Parameters
        ----------
        pixels : (H, W), (H, W, 3) or (H, W, 4) array
        path : path-like, optional
            Where they are said to come from.
        """
        array = np.asarray(pixels)
        rgb = as_rgb(array)
        if np.shares_memory(rgb, array):  # what is asked of a picture must not change with it
            rgb = rgb.copy()
        rgb.flags.writeable = False
        if path is None:
            return cls(rgb)
        file = read_image(path)
        if file.pixels.shape == array.shape and np.array_equal(file.pixels, array):
            return cls(rgb, file)
        return cls(rgb, None, f"{Path(path).name} holds other pixels than are shown")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rgb.shape[0], self.rgb.shape[1]

    @cached_property
    def luminance(self) -> FloatImage:
        """(H, W) float32 array in 0 .. 255."""
        luminance = by_strips(self._mixed, self.shape)
        luminance.flags.writeable = False
        return luminance

    def grey(self, rows: slice) -> FloatImage:
        """Luminance of some rows: views that go strip by strip need no float copy of all."""
        known: FloatImage | None = self.__dict__.get("luminance")
        return self._mixed(rows) if known is None else known[rows]

    def _mixed(self, rows: slice) -> FloatImage:
        return np.asarray(self.rgb[rows] @ LUMINANCE, np.float32)

    @cached_property
    def pixels_sha256(self) -> str:
        """Of shape and values, whatever file they came from."""
        digest = hashlib.sha256(repr(self.rgb.shape).encode())
        digest.update(np.ascontiguousarray(self.rgb).data)
        return digest.hexdigest()

    @property
    def data(self) -> bytes:
        """All bytes of the file.

        Raises
        ------
        ImageReadError
            It cannot be read any more.
        ValueError
            There is no file.
        """
        if self.file is None:
            raise ValueError(f"There are no bytes to read: {self.why_no_file}.")
        return read_bytes(self.file.path)

    @property
    def is_jpeg(self) -> bool:
        """Whether its file is a JPEG."""
        return self.file is not None and self.file.format == "JPEG"

    @cached_property
    def coefficients(self) -> JpegCoefficients:
        """Quantised DCT coefficients of the file.

        Raises
        ------
        ValueError
            It is no JPEG, or one that libjpeg cannot read.
        """
        if self.file is None or not self.is_jpeg:
            raise ValueError("There are no coefficients to read: the picture is no JPEG file.")
        return read_coefficients(self.file.path, self.file.decoder)


def as_rgb(pixels: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Bring a picture to 8 bits and three channels, by the rules of `napari_safire.images.pixels`.

    Parameters
    ----------
    pixels : (H, W), (H, W, 3) or (H, W, 4) array

    Returns
    -------
    (H, W, 3) uint8 array

    Raises
    ------
    TypeError, ValueError
        As `napari_safire.images.pixels.PictureReader`.
    """
    array = np.asarray(pixels)
    if array.dtype == np.uint8:  # taken as they are
        checked_shape(array.shape, array.dtype)
        if array.ndim == 3 and array.shape[2] >= 3:
            return np.ascontiguousarray(array[..., :3])
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    reader = PictureReader(array)
    height, width = reader.shape
    rgb = np.empty((height, width, 3), np.uint8)
    for part in strips((height, width)):
        rgb[part.rows] = np.rint(reader.crop(part.rows, slice(0, width)))
    return rgb
