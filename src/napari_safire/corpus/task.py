"""One picture of a batch, and the result of it that may lie in the output folder already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_safire.basis import RunBasis
from napari_safire.errors import SafireError


class InTheWay(SafireError):
    """Something lies where results should go, and nobody said that it may be replaced."""


@dataclass(frozen=True, slots=True)
class SavedResult:
    """What memory holds of a complete result: bytes, where its record has kilobytes.

    Parameters
    ----------
    basis : RunBasis
        Without the picture; one value for all results that were asked the same.
    picture_sha256 : str or None
    """

    basis: RunBasis
    picture_sha256: str | None


@dataclass(frozen=True, slots=True)
class Task:
    """One picture, and where its results go.

    Parameters
    ----------
    image : Path
    folder : Path
        Below the output folder as the picture lies below that of its list.
    base : str
        Begin of the names of its results.
    saved : SavedResult or None
        The result that is there already, if its record is complete and its files are there.
    leftover : tuple of str
        Names of all that lies there of a result of this picture, complete or not.
    problem : Exception or None
        Why nothing can be made of the picture, or the folder or list in its place.
    notes : tuple of str
        What was assumed in reading the list whose first picture it is.
    """

    image: Path
    folder: Path
    base: str = ""
    saved: SavedResult | None = None
    leftover: tuple[str, ...] = ()
    problem: Exception | None = None
    notes: tuple[str, ...] = ()

    @property
    def record(self) -> Path:
        """The record, which comes last: where it lies, the results are complete."""
        return self.folder / f"{self.base}.json"
