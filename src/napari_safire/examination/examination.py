"""One picture, all questions: its sources, its forgery map, the regions of chosen points."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from napari_safire.basis import RunBasis
from napari_safire.examination.evidence import weigh
from napari_safire.forensics.picture import Picture, as_rgb
from napari_safire.forgery import ForgeryMap
from napari_safire.images.reading import ReadImage, read_image
from napari_safire.progress import Cancel, Progress
from napari_safire.settings import PartitionSettings
from napari_safire.types import Embedding, PointPrompt, SourcePartition, SourceRegion

if TYPE_CHECKING:
    from napari_safire.engine import Engine


Evidence = Literal["all", "none"]


@dataclass(frozen=True, slots=True)
class ExaminationSettings:
    """What to ask of a picture.

    Parameters
    ----------
    partition : PartitionSettings
    points : tuple of PointPrompt
        Ask for the source region of each of these as well.
    whole_image : bool
        Partition and localise. False: only the points are asked.
    evidence : {"all", "none"}
        What the verdict counts beside the network: forensic views, or nothing.
    """

    partition: PartitionSettings = field(default_factory=PartitionSettings)
    points: tuple[PointPrompt, ...] = ()
    whole_image: bool = True
    evidence: Evidence = "all"

    def __post_init__(self) -> None:
        if not (self.whole_image or self.points):
            raise ValueError("Nothing is asked of the picture: give points, or ask for the whole.")
        if self.evidence not in get_args(Evidence):
            raise ValueError(f'evidence is {self.evidence!r}: give "all" or "none".')

    def as_record(self) -> dict[str, Any]:
        """Return JSON values, points as ``[row, col]``."""
        points = [[point.row, point.col] for point in self.points]
        return {
            **asdict(self.partition),
            "points": points,
            "whole_image": self.whole_image,
            "evidence": self.evidence,
        }

    def basis(
        self, checkpoint_sha256: str, precision: str, picture_sha256: str | None = None
    ) -> RunBasis:
        """Return what answers to these settings rest on.

        Parameters
        ----------
        checkpoint_sha256 : str
        precision : str
            That of the engine.
        picture_sha256 : str, optional
            Of the picture's file; None for what the answers of many pictures have in common.

        Returns
        -------
        RunBasis
        """
        settings = {**self.as_record(), "precision": precision}
        return RunBasis(checkpoint_sha256, settings, picture_sha256)


class OutsidePicture(ValueError):
    """A point that was asked for lies outside the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Examination:
    """The answers, with all that is needed to report them.

    Parameters
    ----------
    file : ReadImage or None
        None for pixels that came from no file.
    settings : ExaminationSettings
    embedding : Embedding
    partition : SourcePartition or None
    forgery : ForgeryMap or None
        Both None where only points were asked.
    regions : tuple of SourceRegion
        One for each of ``settings.points``.
    seconds : dict of str to float
        Wall time of each stage: "embed", "segment", "partition", "localize", "evidence". The grid
        of prompts, which both need, is counted in "partition".
    """

    file: ReadImage | None
    settings: ExaminationSettings
    embedding: Embedding
    partition: SourcePartition | None = None
    forgery: ForgeryMap | None = None
    regions: tuple[SourceRegion, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was mended in the file and in its pixels, in plain sentences."""
        return (*(self.file.warnings if self.file else ()), *self.embedding.warnings)

    @property
    def image(self) -> ReadImage:
        """The picture's file.

        Raises
        ------
        ValueError
            The pixels came from none.
        """
        if self.file is None:
            raise ValueError("These pixels came from no file: save them, and examine the file.")
        return self.file


def examine(
    picture: str | os.PathLike[str] | npt.ArrayLike,
    *,
    engine: Engine | None = None,
    evidence: Evidence = "all",
    partition: PartitionSettings | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Examination:
    """Ask everything about a picture: its sources, its forgery map, and a verdict on the whole.

    Parameters
    ----------
    picture : path-like, (H, W) or (H, W, 3|4) array
        Of a file more can be told than of its pixels.
    engine : Engine, optional
        Default: one of the model "safire-lite".
    evidence : {"all", "none"}
        "all": the verdict counts forensic views as well; "none": the network alone.
    partition : PartitionSettings, optional
        Default: the number of sources is found.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between batches; true stops the work.

    Returns
    -------
    Examination
        ``.partition``, ``.forgery`` (with ``.verdict`` and ``.contributions``).

    Raises
    ------
    ImageReadError
        The file is missing, damaged or no picture.
    TypeError, ValueError
        The array is no picture, or the settings do not fit each other.
    Cancelled
    """
    settings = ExaminationSettings(partition or PartitionSettings(), evidence=evidence)
    if engine is not None and not hasattr(engine, "embed"):
        raise TypeError(
            f"engine is {engine!r:.60}: give an Engine, such as Engine(load_model(path)), or none."
        )
    if engine is None:
        from napari_safire.engine import Engine as AnEngine
        from napari_safire.model import load_model

        engine = AnEngine(load_model("safire-lite"))
    if isinstance(picture, (str, os.PathLike)):
        return examine_image(
            engine, read_image(picture), settings, progress=progress, cancel=cancel
        )
    pixels = np.asarray(picture)
    return _examined(
        engine, pixels, None, lambda: Picture.of_pixels(pixels), settings, (progress, cancel)
    )


def examine_image(
    engine: Engine,
    image: ReadImage,
    settings: ExaminationSettings,
    *,
    changed: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Examination:
    """Ask an engine everything that the settings name.

    Parameters
    ----------
    engine : Engine
    image : ReadImage
        From `napari_safire.images.reading.read_image`.
    settings : ExaminationSettings
    changed : bool
        The pixels are not those of the file any more: views of files do not apply.
    progress : callable, optional
        Called as ``progress(done, total, stage)``.
    cancel : callable, optional
        Asked between batches; true stops the work.

    Returns
    -------
    Examination

    Raises
    ------
    OutsidePicture
        A point lies outside the picture.
    ValueError
        The settings do not fit each other.
    Cancelled
    """
    _check_points(image, settings.points)

    def picture() -> Picture:
        if changed:
            return Picture.of_pixels(image.pixels)
        return Picture(as_rgb(image.pixels), image)

    return _examined(engine, image.pixels, image, picture, settings, (progress, cancel))


def _examined(
    engine: Engine,
    pixels: npt.NDArray[Any],
    image: ReadImage | None,
    picture: Callable[[], Picture],
    settings: ExaminationSettings,
    watch: tuple[Progress | None, Cancel | None],
) -> Examination:
    progress, cancel = watch
    seconds: dict[str, float] = {}
    with _timed(seconds, "embed"):
        embedding = engine.embed(pixels, progress=progress, cancel=cancel)
    regions: tuple[SourceRegion, ...] = ()
    if settings.points:
        with _timed(seconds, "segment"):
            regions = tuple(engine.segment(embedding, settings.points))
    partition = forgery = None
    if settings.whole_image:
        partition, forgery = examine_whole(
            engine, embedding, settings.partition, progress, cancel, seconds=seconds
        )
        if settings.evidence == "all":
            with _timed(seconds, "evidence"):
                rule = engine.rules.combination
                forgery = weigh(forgery, picture(), rule, progress=progress, cancel=cancel)
    return Examination(image, settings, embedding, partition, forgery, regions, seconds)


def examine_whole(
    engine: Engine,
    embedding: Embedding,
    settings: PartitionSettings,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    *,
    forgery: ForgeryMap | None = None,
    seconds: dict[str, float] | None = None,
) -> tuple[SourcePartition, ForgeryMap]:
    """Ask for the sources of a picture and its forgery map.

    Parameters
    ----------
    engine : Engine
    embedding : Embedding
    settings : PartitionSettings
    progress, cancel : callable, optional
        As in `examine_image`.
    forgery : ForgeryMap, optional
        Known already: it depends on the embedding, the seed and the grid alone.
    seconds : dict of str to float, optional
        Takes the wall time of each stage.

    Returns
    -------
    partition : SourcePartition
    forgery : ForgeryMap

    Raises
    ------
    ValueError
        The settings do not fit each other.
    Cancelled
    """
    seconds = {} if seconds is None else seconds
    with _timed(seconds, "partition"):
        partition = engine.partition(
            embedding, **asdict(settings), progress=progress, cancel=cancel
        )
    if forgery is None:
        grid = {"seed": settings.seed, "points_per_side": settings.points_per_side}
        with _timed(seconds, "localize"):
            forgery = engine.localize(embedding, **grid, progress=progress, cancel=cancel)
    return partition, forgery


def _check_points(image: ReadImage, points: tuple[PointPrompt, ...]) -> None:
    """Before the embedding, which takes long: the engine would refuse them after it."""
    height, width = image.pixels.shape[:2]
    for point in points:
        if not point.lies_in((height, width)):
            raise OutsidePicture(
                f"The point {point.row:g},{point.col:g} lies outside {image.path}, which has "
                f"{height} rows and {width} columns: give row,col inside it."
            )


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
