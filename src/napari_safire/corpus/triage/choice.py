"""What somebody asks of a manifest, and what it gives: pictures, each with those like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_safire.corpus.triage.groups import Grouping, Groups, group_pictures
from napari_safire.corpus.triage.selection import Selection, select
from napari_safire.corpus.triage.source import ManifestSource
from napari_safire.datasets.near_duplicates import ALIKE_BITS
from napari_safire.progress import Cancel, Progress

if TYPE_CHECKING:
    import pyarrow as pa

MORE = "n_more"
"""Column that says how many pictures are the same as, or look like, the one of the row."""
OTHERS = "more"
"""Column that names them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which pictures of a manifest are wanted, in which order.

    Parameters
    ----------
    where : str
        A condition; empty: all. See `napari_safire.corpus.triage.conditions`.
    sort : str, optional
        Columns, ``-`` before those whose largest value comes first; default: ``-score``.
    top : int, optional
        How many at most, groups counting once.
    grouping : {"none", "same", "alike"}
        See `napari_safire.corpus.triage.groups.group_pictures`.
    alike_bits : int
        Of 64; see there.
    """

    where: str = ""
    sort: str | None = None
    top: int | None = None
    grouping: Grouping = "none"
    alike_bits: int = ALIKE_BITS

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise ValueError(f"The first {self.top} pictures are none: ask for 1 or more.")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The pictures that were asked for. Make one with `choose`.

    Parameters
    ----------
    choice : Choice
    selection : Selection
        All that fulfil the condition, in order.
    groups : Groups
        What of them is wanted.
    """

    choice: Choice
    selection: Selection
    groups: Groups = field(repr=False)

    def __len__(self) -> int:
        return len(self.groups)

    def first(self, number: int) -> Chosen:
        """Return the first so many of them, with all that belong to each."""
        groups = self.groups
        of = np.minimum(groups.of, number)
        return replace(self, groups=replace(groups, of=of, first=groups.first[:number]))

    @property
    def source(self) -> ManifestSource:
        """The manifest."""
        return self.selection.source

    def n_more(self) -> npt.NDArray[np.intp]:
        """Return how many other pictures belong to each of the wanted ones."""
        return self.groups.sizes() - 1

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of the wanted pictures, in order.

        Parameters
        ----------
        columns : sequence of str, optional
            Of the manifest; default: all. Where pictures were put together, `MORE` and `OTHERS`
            follow.

        Returns
        -------
        Table
        """
        import pyarrow as pa

        table = self.selection.at(self.groups.first).table(columns)
        if self.choice.grouping == "none":
            return table
        table = table.append_column(MORE, pa.array(self.n_more(), pa.int32()))
        return table.append_column(OTHERS, pa.array(self.others(), pa.list_(pa.string())))

    def others(self, most: int | None = None) -> list[list[str]]:
        """Return the names of the other pictures of each group, of each the first `most`."""
        groups = self.groups
        is_other = groups.of < len(groups)
        is_other[groups.first] = False
        places = np.flatnonzero(is_other)
        order = np.argsort(groups.of[places], kind="stable")
        places = places[order]
        bounds = np.searchsorted(groups.of[places], np.arange(len(groups) + 1))
        starts, stops = bounds[:-1], bounds[1:]
        if most is not None:
            stops = np.minimum(stops, starts + most)
        kept = np.zeros(len(places) + 1, int)  # +1 where a group begins, -1 behind what is named
        np.add.at(kept, starts, 1)
        np.add.at(kept, stops, -1)
        named = places[np.cumsum(kept[:-1]) > 0]
        names = self.selection.at(named).table(["picture"])["picture"]
        ends = np.cumsum(stops - starts)
        return [
            names[end - number : end].to_pylist()
            for end, number in zip(ends.tolist(), (stops - starts).tolist(), strict=True)
        ]


def choose(
    source: ManifestSource,
    choice: Choice,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Chosen:
    """Choose pictures of a manifest, and put those together that are to be seen as one.

    Parameters
    ----------
    source : ManifestSource
    choice : Choice
    progress, cancel : callable, optional

    Returns
    -------
    Chosen

    Raises
    ------
    DatasetError
        Condition or order cannot be understood, or the manifest is damaged.
    """
    selection = select(source, choice.where, choice.sort, progress=progress, cancel=cancel)
    groups = group_pictures(
        selection,
        choice.grouping,
        choice.top,
        alike_bits=choice.alike_bits,
        progress=progress,
        cancel=cancel,
    )
    return Chosen(choice, selection, groups)
