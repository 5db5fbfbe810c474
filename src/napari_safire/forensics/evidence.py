"""What a forensic view gives: a map, links between places, a table, a score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.types import FloatImage

_LINKED = "One colour: both ends of a copy; lines join places that show the same."


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceMap:
    """One value for each cell of the picture.

    Parameters
    ----------
    values : (h, w) or (h, w, 3) float32 array
        ``nan`` where the view can say nothing. Three channels are colours in [0, 1].
    cell : int
        Pixels of the picture a side of one value; 1 is a value a pixel.
    origin : (int, int)
        Row and column of the first cell's top left pixel.
    limits : (float, float)
        Values drawn darkest and brightest.
    means : str
        What is bright, in a few words: "brighter: noisier".
    unit : str
        Of the values; empty for plain numbers.
    """

    values: FloatImage
    cell: int = 1
    origin: tuple[int, int] = (0, 0)
    limits: tuple[float, float] = (0.0, 1.0)
    means: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim not in (2, 3) or self.values.dtype != np.float32:
            raise ValueError(
                f"A map of {self.values.dtype}, shape {self.values.shape}: give float32, "
                "(h, w) or (h, w, 3)."
            )
        self.values.flags.writeable = False

    @property
    def translation(self) -> tuple[float, float]:
        """Row and column of the first cell's centre, where napari lays a layer's first pixel."""
        middle = (self.cell - 1) / 2
        return self.origin[0] + middle, self.origin[1] + middle

    @property
    def legend(self) -> str:
        """What its colours mean, with the values drawn darkest and brightest; a sentence, or empty.

        Examples
        --------
        >>> EvidenceMap(np.zeros((2, 2), np.float32), means="brighter: noisier", unit="log2").legend
        'Brighter: noisier, 0 to 1 log2.'
        """
        if not self.means:
            return ""
        low, high = self.limits
        unit = f" {self.unit}" if self.unit else ""
        scale = f", {low:.3g} to {high:.3g}{unit}" if self.values.ndim == 2 else ""
        return f"{self.means[0].upper()}{self.means[1:]}{scale}."

    def at_size(self, shape: tuple[int, int]) -> FloatImage:
        """Give each pixel of a picture the value of its cell.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns of the picture.

        Returns
        -------
        (H, W) or (H, W, 3) float32 array
            Pixels beside the outermost cells take the nearest one's value.
        """
        rows, cols = (
            np.clip((np.arange(n) - start) // self.cell, 0, size - 1)
            for n, start, size in zip(shape, self.origin, self.values.shape, strict=False)
        )
        return self.values[rows[:, None], cols]


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """Places that show the same thing, in pairs.

    Parameters
    ----------
    starts, ends : (N, 2) float array
        Row and column. Which of the two was first is not said.
    regions : (H, W) uint8 array
        Number of the link's group that a pixel belongs to, 0 for none; both ends of group ``k``
        are ``k``.
    groups : (N,) int array
        Group of each pair, from 1.
    """

    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    regions: npt.NDArray[np.uint8]
    groups: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Parameters
    ----------
    name, value : str
    remark : str
        What an expert should notice; empty for nothing.
    level : int
        How deep it lies in a tree: below the last line of a smaller level.
    """

    name: str
    value: str
    remark: str = ""
    level: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What one view found in one picture.

    Parameters
    ----------
    map : EvidenceMap, optional
    links : Links, optional
    table : tuple of Row
    score : float, optional
        Larger speaks more for a manipulation; what it counts stands in the view. None where the
        view is for the eye alone.
    finding : str
        The score in plain words: "214 matches between two regions".
    caveats : tuple of str
        What limits this very result.
    regions : (H, W) bool array, optional
        Pixels that this view accuses, both ends of a copy; None where its finding accuses nothing.
    """

    map: EvidenceMap | None = None
    links: Links | None = None
    table: tuple[Row, ...] = ()
    score: float | None = None
    finding: str = ""
    caveats: tuple[str, ...] = ()
    regions: npt.NDArray[np.bool_] | None = None

    @property
    def legend(self) -> str:
        """What colours mean in what is drawn; empty where nothing is, or nothing is said."""
        if self.map is not None:
            return self.map.legend
        return _LINKED if self.links is not None and len(self.links) else ""

    def remarks(self) -> Iterator[Row]:
        """Lines of the table that an expert should notice."""
        return (row for row in self.table if row.remark)
