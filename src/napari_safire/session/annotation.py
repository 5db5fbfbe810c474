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

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_safire.session.history import PackedLabels
from napari_safire.types import PointPrompt

MOST_SOURCES = 255
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

    def painted(self, labels: npt.NDArray[np.integer], *, with_preview: bool = True) -> Annotation:
        """Settle and protect every pixel that differs from what was shown.

        Parameters
        ----------
        labels : (H, W) int array
            The Labels layer as the user left it.
        with_preview : bool
            Whether the preview was shown when they painted.

        Returns
        -------
        Annotation
            Itself if nothing differs.
        """
        before = self.shown(with_preview=with_preview)
        changed = before != labels
        if not changed.any():
            return self
        _check_labels(labels)
        settled = self.settled.unpack()
        protected = self.protected.unpack()
        settled[changed] = labels[changed]
        protected[changed] = True
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
