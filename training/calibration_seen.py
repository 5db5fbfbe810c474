"""What a model makes of pictures whose truth is known, for `training/calibrate.py`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from calibration_pictures import (
    KnownPicture,
)

from napari_safire.cli.terminal import progress_bar
from napari_safire.engine import Engine
from napari_safire.engine.cache import EmbeddingCache
from napari_safire.engine.rules import ModelRules
from napari_safire.learning.calibration import (
    Observation,
    candidates_of,
    observe,
)
from napari_safire.learning.confidence import AskedPoints, ask_points
from napari_safire.learning.grouping import KnownPieces, known_pieces
from napari_safire.learning.temperature import (
    DividedPatches,
    divided_patches,
)
from napari_safire.types import Embedding

Result = TypeVar("Result")

POINTS = 8  # asked in each picture


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a verdict on a picture rests on."""

    kind: str
    degradation: str
    fold: int
    observation: Observation

    @property
    def forged(self) -> bool:
        """Whether it has more than one source."""
        return self.observation.n_sources > 1


@dataclass(frozen=True, slots=True, eq=False)
class Seen(Judged):
    """What the model made of a picture in every respect."""

    points: AskedPoints
    pieces: KnownPieces | None
    divided: DividedPatches | None

    def counted(self, rules: ModelRules) -> Seen:
        """Count the sources by a grouping that was fitted after the picture was seen."""
        if rules.patches is None or self.pieces is None:
            return self
        score, pieces = self.observation.statistic, self.pieces
        found = tuple(
            rules.patches.grouping.count(pieces.likeness, pieces.shares, score, least)
            for least in candidates_of(rules)
        )
        return replace(self, observation=replace(self.observation, found=found))


def look(engine: Engine, known: Iterable[KnownPicture], total: int, seed: int) -> list[Seen]:
    """Show every picture to a model, once as a whole and at random points."""
    by_patches = engine.rules.patches is not None

    def work(number: int, picture: KnownPicture) -> Seen:
        observation = observe(engine, picture.pixels, picture.n_sources)
        rng = np.random.default_rng((seed, number))
        embedding = engine.embed(picture.pixels)
        pieces = known_pieces(engine.pieces(embedding), picture.labels) if by_patches else None
        return Seen(
            picture.kind,
            picture.degradation,
            picture.fold,
            replace(observation, kind=_kind_of_authentic(picture)),
            ask_points(engine, embedding, picture.labels, POINTS, rng, method="decoder"),
            pieces,
            _divided(engine, embedding, picture),
        )

    with tempfile.TemporaryDirectory() as folder:
        # Two questions need the same embedding; cached for the second, not for good.
        engine.cache = EmbeddingCache(Path(folder), max_bytes=2**28)
        return _each("looking at pictures", work, known, total)


def separated(engine: Engine, known: Iterable[KnownPicture], total: int) -> list[Judged]:
    """Measure how far apart the sources of pictures seem that have one."""

    def work(number: int, picture: KnownPicture) -> Judged:
        statistic = engine.separation(engine.embed(picture.pixels))
        observation = Observation(1, statistic, kind=_kind_of_authentic(picture))
        return Judged(picture.kind, picture.degradation, picture.fold, observation)

    return _each("looking at what was learned from", work, known, total)


def _each(
    title: str,
    work: Callable[[int, KnownPicture], Result],
    known: Iterable[KnownPicture],
    total: int,
) -> list[Result]:
    """Do a piece of work for every picture, and show how far it is."""
    found = []
    with progress_bar(title) as show:
        for number, picture in enumerate(known):
            found.append(work(number, picture))
            show(len(found), total, picture.kind)
    return found


def _kind_of_authentic(picture: KnownPicture) -> str:
    """Those among which false alarms must be as rare as among all; degraded composites are few."""
    if picture.kind == "composites":
        return picture.kind
    return f"{picture.kind}, {picture.degradation}"


def _divided(engine: Engine, embedding: Embedding, picture: KnownPicture) -> DividedPatches | None:
    """Of pictures of several sources, for models that divide patches."""
    if picture.n_sources < 2 or engine.rules.patches is None:
        return None
    partition = engine.partition(embedding, "kmeans", picture.n_sources)
    return divided_patches(partition, picture.labels)
