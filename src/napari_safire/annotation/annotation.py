"""What a user has made of one picture: prompts, the preview they give, and what is settled.

An `Annotation` is frozen; every action makes a new one, and undo goes back to an old one. Label
images in it are packed (kilobytes), so that any number of them can be kept.

What is shown is composed of two layers of labels::

    shown = preview where it claims a source and the pixel is not protected, else settled

*Settled* is what was committed or painted by hand. Painted pixels are *protected*: no prediction
changes them until the user lifts the protection. In all label images of this room 0 means "no
source yet" and sources count from 1, as napari draws them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.types import PointPrompt

MOST_SOURCES = 255
PLACE_DECIMALS = 3  # of a pixel: layers over the picture give places back with a rounding error
Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Origin = Literal["prompts", "partition"]


@dataclass(frozen=True, slots=True)
class SourcePrompt:
    """A prompt and what it is for.

    Parameters
    ----------
    point : PointPrompt
    source : int
        1 .. 255. Regions of prompts of one source are united.
    exclude : bool
        The region of this prompt is subtracted from its source. SAFIRE knows no negative prompts:
        the prompt finds the region at its own place, as every prompt does.
    live : bool
        False once the region was committed: the prompt then is a record of how it came about.
    """

    point: PointPrompt
    source: int = 1
    exclude: bool = False
    live: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.source <= MOST_SOURCES:
            raise ValueError(
                f"A prompt cannot belong to source {self.source}: sources are numbered from 1 to "
                f"{MOST_SOURCES}."
            )

    @property
    def identity(self) -> tuple[float, float, int, bool, bool]:
        """What it is compared by: its place, rounded, and what it is for."""
        row, col = (round(value, PLACE_DECIMALS) for value in (self.point.row, self.point.col))
        return row, col, self.source, self.exclude, self.live


def same_prompts(some: Sequence[SourcePrompt], others: Sequence[SourcePrompt]) -> bool:
    """Whether prompts are the same, in the same order, but for rounding."""
    return [p.identity for p in some] == [p.identity for p in others]


def changed_prompts(
    present: Sequence[SourcePrompt],
    before: Sequence[SourcePrompt],
    after: Sequence[SourcePrompt],
) -> tuple[SourcePrompt, ...]:
    """Make the change from some prompts to others to the present ones.

    Parameters
    ----------
    present : sequence of SourcePrompt
        Those of the newest state.
    before, after : sequence of SourcePrompt
        Those that were on screen when the user changed them, and what they made of them.

    Returns
    -------
    tuple of SourcePrompt
        `after`, where the present ones are those from before. Else the present ones without those
        that were removed, and with those that were added at the end.

    Examples
    --------
    >>> a, b, c = (SourcePrompt(PointPrompt(0, col)) for col in range(3))
    >>> changed_prompts([a], [a, b], [a, b, c]) == (a, c)  # b was undone meanwhile
    True
    """
    if same_prompts(present, before):
        return tuple(after)
    gone, come = _difference(before, after), _difference(after, before)
    left = list(present)
    for prompt in gone:
        # A removed one goes also if it was committed meanwhile.
        place = prompt.identity[:-1]
        found = [p for p in left if p.identity == prompt.identity]
        found = found or [p for p in left if p.identity[:-1] == place]
        if found:
            left.remove(found[0])
    return (*left, *come)


def _difference(some: Sequence[SourcePrompt], others: Sequence[SourcePrompt]) -> list[SourcePrompt]:
    """Those that others lack, of equal ones as many as they lack."""
    lacking = Counter(p.identity for p in some)
    lacking.subtract(p.identity for p in others)
    found = []
    for prompt in reversed(some):  # equal ones: the later one is the new one
        if lacking[prompt.identity] > 0:
            lacking[prompt.identity] -= 1
            found.append(prompt)
    return found[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """What was painted: where, and which labels, against what was on screen at that moment.

    Whatever arrives between the stroke and its taking effect, a result or an undo, the stroke
    changes its own pixels and no others.

    Parameters
    ----------
    top, left : int
        The corner of the box that `mask` covers.
    mask : (h, w) bool array
        The pixels that were painted.
    labels : (h, w) int array
        What they were painted with; 0 erases. Elsewhere without meaning.
    """

    top: int
    left: int
    mask: Mask
    labels: npt.NDArray[np.integer]

    @classmethod
    def between(
        cls, before: npt.NDArray[np.integer], after: npt.NDArray[np.integer]
    ) -> Stroke | None:
        """Find what was painted from two states of what was on screen.

        Parameters
        ----------
        before, after : (H, W) int array

        Returns
        -------
        Stroke or None
            None if nothing differs. It holds copies.
        """
        changed = before != after
        rows = np.flatnonzero(changed.any(axis=1))
        if not len(rows):
            return None
        cols = np.flatnonzero(changed[rows[0] : rows[-1] + 1].any(axis=0))
        box = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        return cls(int(rows[0]), int(cols[0]), changed[box].copy(), after[box].copy())

    @property
    def n_pixels(self) -> int:
        """How many pixels were painted."""
        return int(np.count_nonzero(self.mask))

    def put(self, image: npt.NDArray[Any], values: npt.NDArray[Any] | np.generic | bool) -> None:
        """Write values into the stroke's pixels of an image of the whole plane."""
        height, width = self.mask.shape
        box = image[self.top : self.top + height, self.left : self.left + width]
        np.copyto(box, values, where=self.mask, casting="unsafe")


@dataclass(frozen=True, slots=True)
class Preview:
    """What prompts or a partition claim now; nothing of it is settled.

    Parameters
    ----------
    labels : PackedLabels
        (H, W) uint8, 0 where nothing is claimed.
    origin : {"prompts", "partition"}
    answers : tuple of SourcePrompt
        The live prompts that these labels answer (for "prompts"): a preview is stale where they
        are not those of the annotation.
    exact : bool
        False: a stand-in from the grid until the model has answered.
    seeds : tuple of (int, PointPrompt)
        For "partition": the prompt that stands for each source.
    """

    labels: PackedLabels
    origin: Origin
    answers: tuple[SourcePrompt, ...] = ()
    exact: bool = True
    seeds: tuple[tuple[int, PointPrompt], ...] = ()


@dataclass(frozen=True, slots=True)
class Annotation:
    """One state of the work on one picture.

    Parameters
    ----------
    settled : PackedLabels
        (H, W) uint8 labels that were committed or painted.
    protected : PackedLabels
        (H, W) bool: painted or protected by hand.
    prompts : tuple of SourcePrompt
    preview : Preview or None
    seeds : tuple of (int, PointPrompt)
        For settled sources that came from a partition the prompt that stood for each.
    """

    settled: PackedLabels
    protected: PackedLabels
    prompts: tuple[SourcePrompt, ...] = ()
    preview: Preview | None = None
    seeds: tuple[tuple[int, PointPrompt], ...] = ()

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Annotation:
        """Nothing done yet on a picture of this shape."""
        return cls(
            settled=PackedLabels.uniform(shape, np.uint8(0)),
            protected=PackedLabels.uniform(shape, np.bool_(False)),
        )

    @property
    def live_prompts(self) -> tuple[SourcePrompt, ...]:
        """The prompts that make the preview."""
        return tuple(prompt for prompt in self.prompts if prompt.live)

    @property
    def is_answered(self) -> bool:
        """Whether the preview is the model's own answer to the live prompts."""
        live = self.live_prompts
        if self.preview is None:
            return not live
        if self.preview.origin == "partition":
            return True
        return self.preview.exact and self.preview.answers == live

    def shown(self, *, with_preview: bool = True) -> Labels:
        """Compose what the Labels layer shows.

        Returns
        -------
        (H, W) uint8 array
        """
        settled: Labels = self.settled.unpack()
        if self.preview is None or not with_preview:
            return settled
        claimed = self.preview.labels.unpack()
        wins = claimed > 0
        wins &= ~self.protected.unpack()
        settled[wins] = claimed[wins]
        return settled

    def with_prompts(self, prompts: Iterable[SourcePrompt]) -> Annotation:
        """Other prompts; without live ones a preview that came from prompts goes."""
        changed = replace(self, prompts=tuple(prompts))
        preview = self.preview
        if preview is not None and preview.origin == "prompts" and not changed.live_prompts:
            preview = None
        return replace(changed, preview=preview)

    def with_preview(self, preview: Preview | None) -> Annotation:
        """Another preview in place of the present one."""
        return replace(self, preview=preview)

    def painted(self, stroke: Stroke) -> Annotation:
        """Settle and protect the pixels of a stroke, and no others.

        Erased pixels are explicitly unassigned: no prediction claims them either.
        """
        _check_labels(stroke.labels[stroke.mask])
        settled = self.settled.unpack()
        protected = self.protected.unpack()
        stroke.put(settled, stroke.labels)
        stroke.put(protected, True)
        return replace(
            self, settled=PackedLabels.pack(settled), protected=PackedLabels.pack(protected)
        )

    def commit(self) -> Annotation:
        """Settle the preview; its prompts stay as a record."""
        if self.preview is None:
            return self
        sources = {source for source, _ in self.preview.seeds}
        kept = tuple((source, point) for source, point in self.seeds if source not in sources)
        return replace(
            self,
            settled=PackedLabels.pack(self.shown()),
            prompts=tuple(replace(prompt, live=False) for prompt in self.prompts),
            preview=None,
            seeds=kept + self.preview.seeds,
        )

    def discard(self) -> Annotation:
        """Drop the preview and the prompts that made it."""
        return replace(
            self,
            prompts=tuple(prompt for prompt in self.prompts if not prompt.live),
            preview=None,
        )

    def reopen(self, source: int) -> Annotation:
        """Make the prompts of a settled source live again and take back what they had settled.

        Pixels painted by hand stay. A source from a partition comes back with the one prompt that
        stood for it. The present preview is committed first.

        Raises
        ------
        ValueError
            No prompt of this source is known.
        """
        state = self.commit()
        prompts = [
            replace(prompt, live=True) if prompt.source == source else prompt
            for prompt in state.prompts
        ]
        seeds = [point for number, point in state.seeds if number == source]
        if not any(prompt.live for prompt in prompts):
            if not seeds:
                raise ValueError(
                    f"Source {source} has no prompts: it was painted or imported. Add a prompt of "
                    "this source to predict it."
                )
            prompts += [SourcePrompt(point, source) for point in seeds]
        settled = state.settled.unpack()
        settled[(settled == source) & ~state.protected.unpack()] = 0
        return replace(
            state,
            settled=PackedLabels.pack(settled),
            prompts=tuple(prompts),
            seeds=tuple(pair for pair in state.seeds if pair[0] != source),
        )

    def edited(
        self,
        edit: Callable[[Labels, Mask], Labels],
        renumber: Callable[[int], int] | None = None,
    ) -> Annotation:
        """Commit the preview, then change the labels.

        Parameters
        ----------
        edit : callable
            ``edit(labels, protected)`` gives new (H, W) labels.
        renumber : callable, optional
            New source number of prompts and seeds, where the edit merges sources.

        Returns
        -------
        Annotation
        """
        state = self.commit()
        labels = edit(state.settled.unpack(), state.protected.unpack())
        _check_labels(labels)
        if renumber is None:
            return replace(state, settled=PackedLabels.pack(labels.astype(np.uint8)))
        return replace(
            state,
            settled=PackedLabels.pack(labels.astype(np.uint8)),
            prompts=tuple(replace(p, source=renumber(p.source)) for p in state.prompts),
            seeds=tuple((renumber(source), point) for source, point in state.seeds),
        )

    def protect(self, sources: Iterable[int]) -> Annotation:
        """Commit the preview and protect all pixels of some sources."""
        state = self.commit()
        protected = state.protected.unpack() | np.isin(state.settled.unpack(), list(sources))
        return replace(state, protected=PackedLabels.pack(protected))

    def unprotected(self) -> Annotation:
        """Lift the protection of all pixels; their labels stay until a prediction claims them."""
        return replace(self, protected=PackedLabels.pack(np.zeros_like(self.protected.unpack())))


def _check_labels(labels: npt.NDArray[np.integer]) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > MOST_SOURCES:
        raise ValueError(
            f"The labels reach from {low} to {high}, but sources are numbered from 1 to "
            f"{MOST_SOURCES} and 0 means no source: choose another label."
        )
