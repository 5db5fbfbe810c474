"""Why a region is a source of its own: which patches or prompts vote with it, and how surely.

A partition is made of patches (squares of 16 pixels or more, safire-lite) or of prompts (models as
published). Each votes with one source; its certainty is the probability that the partition gives to
that source at its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from napari_safire.forensics.evidence import EvidenceMap
from napari_safire.partitioning.clustering import NOISE
from napari_safire.partitioning.uninformative import INFORMATIVE, Reasons
from napari_safire.types import FloatImage, SourcePartition

SURE = 0.8
"""A vote of this certainty or more is sure."""
BETWEEN = 1 / 3
"""A vote whose second best source has this probability or more lies between the two."""
NO_VOTE = -1
VOTES = "votes"
"""What findings and layers call the map of them."""
_BINS = 10  # of certainty, from 0 to 1

Units = Literal["patches", "prompts"]


@dataclass(frozen=True, slots=True)
class SourceVotes:
    """The votes for one source.

    Parameters
    ----------
    source : int
        Its label; people are told ``source + 1``.
    votes : int
        Patches or prompts that vote with it.
    sure : int
        Of these, those of certainty `SURE` or more.
    between : int
        Of these, those that are nearly of another source: its probability is `BETWEEN` or more.
    nearest : int or None
        Label of the source that most of `between` are nearly of; None where there is none.
    nearest_votes : int
        How many of `between` are nearly of it.
    median : float or None
        Certainty; None without a vote, and where there is only one source.
    histogram : tuple of int
        Votes by certainty, in ten equal steps from 0 to 1.
    words : str
        The same in a sentence or two.
    """

    source: int
    votes: int
    sure: int
    between: int
    nearest: int | None
    nearest_votes: int
    median: float | None
    histogram: tuple[int, ...]
    words: str

    def as_record(self) -> dict[str, Any]:
        """Return JSON values; sources are numbered from 1."""
        return {
            "number": self.source + 1,
            "votes": self.votes,
            "sure": self.sure,
            "share": round(self.sure / self.votes, 6) if self.votes else None,
            "between": self.between,
            "nearest": None if self.nearest is None else self.nearest + 1,
            "nearest_votes": self.nearest_votes,
            "median": self.median,
            "histogram": list(self.histogram),
            "words": self.words,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """What every patch or prompt of a picture votes for.

    Parameters
    ----------
    units : {"patches", "prompts"}
    sources : (h, w) int array
        Label of the source it votes with; `NO_VOTE` for uninformative patches, which join what is
        nearest, and for prompts that found nothing.
    certainty : (h, w) float32 array
        Probability of that source, 0 to 1; nan without a vote.
    second : (h, w) int array
        Label of the most probable other source; `NO_VOTE` without a vote or another source.
    step : (float, float)
        Rows and columns of the picture from one to the next.
    translation : (float, float)
        Row and column of the first one's centre, in pixels of the picture.
    of : tuple of SourceVotes
        By source.
    """

    units: Units
    sources: npt.NDArray[np.int64]
    certainty: FloatImage
    second: npt.NDArray[np.int64]
    step: tuple[float, float]
    translation: tuple[float, float]
    of: tuple[SourceVotes, ...]

    @property
    def without(self) -> int:
        """How many do not vote."""
        return int((self.sources == NO_VOTE).sum())

    @property
    def words(self) -> str:
        """How many vote and how many are sure, in sentences."""
        votes, sure = (sum(getattr(one, name) for one in self.of) for name in ("votes", "sure"))
        told = [f"{votes} of {self.sources.size} {self.units} vote."]
        if self.without and self.units == "patches":
            told.append(
                f"{self.without} are too dark, too bright or too flat: they join what is nearest."
            )
        elif self.without:
            told.append(f"{self.without} found no region.")
        if len(self.of) > 1:
            told.append(f"{sure} are sure: their source has a probability of {SURE:.0%} or more.")
        return " ".join(told).replace("%", " %")

    def as_map(self, shape: tuple[int, int]) -> EvidenceMap:
        """Lay the certainty of each vote over the picture.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns of the picture.

        Returns
        -------
        EvidenceMap
            A value a pixel, ``nan`` where nothing votes: patches may be no squares of pixels.
        """
        rows, cols = (
            np.minimum((np.arange(n) / step).astype(np.int64), size - 1)
            for n, step, size in zip(shape, self.step, self.certainty.shape, strict=True)
        )
        values = self.certainty[rows[:, None], cols]
        means = f"brighter: a surer vote (sure from {SURE:g})"
        return EvidenceMap(values, means=means, unit="probability")

    @property
    def legend(self) -> str:
        """What the colours of `as_map` mean."""
        return self.as_map((1, 1)).legend

    def as_record(self) -> dict[str, Any]:
        """Return JSON values: everything but the votes one by one."""
        return {
            "units": self.units,
            "shape": list(self.sources.shape),
            "sure_from": SURE,
            "between_from": round(BETWEEN, 6),
            "no_vote": self.without,
            "sources": [one.as_record() for one in self.of],
            "words": self.words,
        }


def source_votes(partition: SourcePartition, uninformative: Reasons | None = None) -> Votes:
    """Count the votes that a partition rests on.

    Parameters
    ----------
    partition : SourcePartition
        As a model made it: what users changed afterwards nobody voted for.
    uninformative : (h, w) uint8 array, optional
        `Embedding.uninformative` of the picture; None: every patch votes.

    Returns
    -------
    Votes
    """
    if partition.parameters.get("units") == "patches":
        return _votes_of_patches(partition, uninformative)
    return _votes_of_prompts(partition)


def _votes_of_patches(partition: SourcePartition, uninformative: Reasons | None) -> Votes:
    geometry = partition.representatives[0].geometry
    logits = np.stack([region.low_res_logits for region in partition.representatives])
    shares = softmax(logits, axis=0)
    sources = shares.argmax(axis=0)
    if uninformative is not None and uninformative.shape == sources.shape:
        informative = uninformative == INFORMATIVE
        sources = np.where(informative if informative.any() else True, sources, NO_VOTE)
    height, width = (
        geometry.frame_shape[axis] / (sources.shape[axis] * geometry.scale[axis]) for axis in (0, 1)
    )
    return _counted("patches", sources, shares, (height, width))


def _votes_of_prompts(partition: SourcePartition) -> Votes:
    """At the prompts' own places; a prompt may lie where another source's region is stronger."""
    geometry = partition.representatives[0].geometry
    side = round(len(partition.prompts) ** 0.5)
    places = [(point.row, point.col) for point in partition.prompts]
    at = np.array([geometry.to_model_xy(row, col) for row, col in places]).reshape(side, side, 2)
    logits = []
    for region in partition.representatives:
        rows = geometry.interpolation(0, region.low_res_logits.shape[0], at[:, 0, 1])
        cols = geometry.interpolation(1, region.low_res_logits.shape[1], at[0, :, 0])
        logits.append(np.asarray((rows @ region.low_res_logits) @ cols.T))
    shares = softmax(np.stack(logits), axis=0)
    sources = np.where(partition.prompt_sources == NOISE, NO_VOTE, partition.prompt_sources)
    height, width = (length / side for length in geometry.image_shape)
    return _counted("prompts", sources.reshape(side, side), shares, (height, width))


def _counted(
    units: Units,
    sources: npt.NDArray[np.int64],
    shares: FloatImage,
    step: tuple[float, float],
) -> Votes:
    """Votes from the (K, h, w) probabilities."""
    voting = sources != NO_VOTE
    own = np.take_along_axis(shares, np.maximum(sources, 0)[None], axis=0)[0]
    certainty = np.where(voting, own, np.nan).astype(np.float32)
    second = np.full(sources.shape, NO_VOTE)
    rival = np.zeros(sources.shape, np.float32)
    if len(shares) > 1:
        others = shares.copy()
        np.put_along_axis(others, np.maximum(sources, 0)[None], -1.0, axis=0)
        second = np.where(voting, others.argmax(axis=0), NO_VOTE)
        rival = others.max(axis=0)
    of = tuple(
        _of_source(units, k, certainty[sources == k], second[sources == k], rival[sources == k])
        if len(shares) > 1
        else _alone(units, int(voting.sum()))
        for k in range(len(shares))
    )
    for array in (sources, certainty, second):
        array.flags.writeable = False
    translation = ((step[0] - 1) / 2, (step[1] - 1) / 2)
    return Votes(units, sources, certainty, second, step, translation, of)


def _alone(units: Units, votes: int) -> SourceVotes:
    """A single source: there is nothing to vote between, so a certainty would say nothing."""
    words = f"The only source: all {votes} {units} belong to it, and none could vote otherwise."
    return SourceVotes(0, votes, votes, 0, None, 0, None, (0,) * _BINS, words)


def _of_source(
    units: Units,
    source: int,
    certainty: FloatImage,
    second: npt.NDArray[np.int64],
    rival: FloatImage,
) -> SourceVotes:
    votes = len(certainty)
    sure = int((certainty >= SURE).sum())
    between = rival >= BETWEEN
    nearest, nearest_votes = None, 0
    if between.any():
        counts = np.bincount(second[between])
        nearest, nearest_votes = int(counts.argmax()), int(counts.max())
    bins = np.minimum((certainty * _BINS).astype(np.int64), _BINS - 1)
    return SourceVotes(
        source,
        votes,
        sure,
        int(between.sum()),
        nearest,
        nearest_votes,
        round(float(np.median(certainty)), 6) if votes else None,
        tuple(np.bincount(bins, minlength=_BINS).tolist()),
        _words(units, votes, sure, int(between.sum()), nearest, nearest_votes),
    )


def _words(
    units: Units, votes: int, sure: int, between: int, nearest: int | None, nearest_votes: int
) -> str:
    if not votes:
        return f"None of the {units} vote with this source: it won only pixels between them."
    told = f"{sure} of {votes} {units} are surely of this source"
    if nearest is None:
        return f"{told}; none lies between it and another."
    where = f"{nearest_votes} {'lies' if nearest_votes == 1 else 'lie'} between it and source "
    told += f"; {where}{nearest + 1}"
    others = between - nearest_votes
    return f"{told}, {others} between it and others." if others else f"{told}."
