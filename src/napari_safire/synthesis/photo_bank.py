"""Photographs in memory, with what says which file they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.errors import ImageReadError
from napari_safire.images.reading import first_line, read_image

# Of a picture with more pixels than this, a window alone is kept.
_MOST_PIXELS = 50_000_000
_WINDOW_SIDE = 4096
_JPEG_BLOCK = 8


class PhotoError(ImageReadError):
    """A photograph of a bank cannot be read; ``index`` says which."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message, index)  # both, so that it passes between processes
        self.index = index

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    pixels: npt.NDArray[np.uint8]
    sha256: str
    window: tuple[int, int, int, int] | None


class PhotoBank:
    """Photographs in memory, read once.

    Of a picture of more than 50 megapixels a window of 4096 x 4096 pixels is kept, at a place that
    follows from the file's hash; its corner is a multiple of 8, which leaves the JPEG grid where it
    was. Pictures of more than 200 megapixels count as unreadable.

    Parameters
    ----------
    paths : sequence of Path
    groups : sequence of str, optional
        Photographer or camera of each: sources of one composite come from different groups.
    names : sequence of str, optional
        What records call each photograph; default: the file's name.

    Raises
    ------
    ValueError
        There is no photograph, or not one group (name) for each.
    ImageReadError
        When a photograph is first used and cannot be read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        groups: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        if not paths:
            raise ValueError("A photo bank needs at least one photograph.")
        self.paths = list(paths)
        self.groups = list(groups) if groups is not None else [str(p) for p in paths]
        self.names = list(names) if names is not None else [p.name for p in paths]
        for what, given in (("groups", self.groups), ("names", self.names)):
            if len(given) != len(self.paths):
                raise ValueError(
                    f"{len(given)} {what} for {len(self.paths)} photographs: give one for each."
                )
        self._decoded: dict[Path, _Decoded] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        return self._read(index).pixels

    def origin(self, index: int) -> dict[str, Any]:
        """Name, SHA-256 of the file's bytes, and the window that was kept where it was not all.

        Returns
        -------
        dict
            "photo", "sha256" and perhaps "window" = (top, left, rows, columns) in the file.
        """
        decoded = self._read(index)
        origin: dict[str, Any] = {"photo": self.names[index], "sha256": decoded.sha256}
        return origin if decoded.window is None else {**origin, "window": decoded.window}

    def without(self, index: int) -> PhotoBank:
        """Return the same photographs but one, those in memory included.

        Raises
        ------
        ValueError
            It is the only one.
        """

        def others(values: Sequence[Any]) -> list[Any]:
            return [value for i, value in enumerate(values) if i != index]

        bank = PhotoBank(others(self.paths), others(self.groups), others(self.names))
        bank._decoded = self._decoded
        return bank

    def _read(self, index: int) -> _Decoded:
        path = self.paths[index]
        if path not in self._decoded:
            try:
                self._decoded[path] = _decode(path)
            except ImageReadError as error:  # names the file
                raise PhotoError(str(error), index) from error
            except Exception as error:  # as not enough memory
                raise PhotoError(f"{path} cannot be read: {first_line(error)}.", index) from error
        return self._decoded[path]


def _decode(path: Path) -> _Decoded:
    read = read_image(path)
    pixels, window = read.pixels, None
    if pixels.dtype != np.uint8:
        raise ImageReadError(f"{path} has {pixels.dtype} pixels: convert it to 8 bits.")
    if pixels.shape[0] * pixels.shape[1] > _MOST_PIXELS:
        window = _window(read.sha256, (pixels.shape[0], pixels.shape[1]))
        top, left, rows, cols = window
        pixels = pixels[top : top + rows, left : left + cols].copy()
    pixels = np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels[..., :3]
    return _Decoded(np.ascontiguousarray(pixels), read.sha256, window)


def _window(sha256: str, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    sides = [min(side, _WINDOW_SIDE) for side in shape]
    corner = [
        int(sha256[8 * axis : 8 * axis + 8], 16) % (shape[axis] - sides[axis] + 1)
        for axis in (0, 1)
    ]
    top, left = (start // _JPEG_BLOCK * _JPEG_BLOCK for start in corner)
    return top, left, sides[0], sides[1]
