"""Scores of a model on the entries of a list, degraded or as they are.

Scores are those of `napari_safire.metrics`, taken at the image's own size or, with
`ScoringSettings.side`, at a square as the published tables do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.basis import RunBasis
from napari_safire.errors import Cancelled, SafireError
from napari_safire.evaluation.entries import EvaluatedEntry, Task, entry_content
from napari_safire.examination import Evidence, Examination, ExaminationSettings, examine_image
from napari_safire.examination.threads import as_completed
from napari_safire.forgery import ForgeryMap
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import MaskKind, resize_nearest
from napari_safire.images.pixels import PictureReader
from napari_safire.images.reading import ReadImage, read_image
from napari_safire.images.truth import read_truth
from napari_safire.metrics import binary_scores, multi_source_scores
from napari_safire.progress import Cancel
from napari_safire.settings import PartitionSettings
from napari_safire.synthesis.degradations import NONE, Degradation, degrade
from napari_safire.text import printable
from napari_safire.types import SourcePartition

if TYPE_CHECKING:
    from napari_safire.engine import Engine

SourceCount = Literal["given", "auto"]

_SMALLEST_SIDE, _LARGEST_SIDE = 16, 8192


@dataclass(frozen=True, slots=True)
class ScoringSettings:
    """What is asked of the model, and how its answers are scored.

    Parameters
    ----------
    kind : {"sources", "binary"}
        What the masks say. With "sources" the partition is scored, and the heatmap as well where
        the mask has a background (label 0): forged is then every other label.
    sources : {"given", "auto"}
        Tell the method the true number of sources (an oracle, as the published tables do), or let
        it choose.
    seed, points_per_side : int
    side : int, optional
        Squash the image to this many pixels a side (bilinear, not antialiased) and the truth with
        it (nearest) before anything is asked; the published tables have 1024. Default: the image's
        own size.
    evidence : {"all", "none"}
        What verdict and map count beside the network. Views of files count where the picture is
        asked about as it is.

    Raises
    ------
    ValueError
        An unknown word, or a number out of range.
    """

    kind: MaskKind
    sources: SourceCount = "given"
    seed: int = 0
    points_per_side: int = 16
    side: int | None = None
    evidence: Evidence = "none"

    def __post_init__(self) -> None:
        if self.kind not in ("sources", "binary"):
            raise ValueError(f"Unknown kind of mask {self.kind!r}: choose 'sources' or 'binary'.")
        if self.sources not in ("given", "auto"):
            raise ValueError(
                f"Unknown number of sources {self.sources!r}: choose 'given' or 'auto'."
            )
        if self.side is not None and not _SMALLEST_SIDE <= self.side <= _LARGEST_SIDE:
            raise ValueError(
                f"Pictures cannot be scored at {self.side} x {self.side} pixels: use "
                f"{_SMALLEST_SIDE} to {_LARGEST_SIDE}, or leave it out for their own size."
            )


def basis_of(engine: Engine, settings: ScoringSettings) -> RunBasis:
    """What the scores of a model on any pictures rest on."""
    asked = {"precision": engine.precision, **asdict(settings)}
    return RunBasis(engine.model.checkpoint_sha256, asked)


Known = Callable[[str, Degradation], EvaluatedEntry | None]
"""Called with the content of an entry and a degradation: the scores it has already, or None."""


def evaluate_entries(
    engine: Engine,
    tasks: Iterable[ListEntry | Task],
    settings: ScoringSettings,
    *,
    jobs: int = 1,
    known: Known | None = None,
    cancel: Cancel | None = None,
) -> Generator[EvaluatedEntry]:
    """Score entries, and yield each as it is done.

    Parameters
    ----------
    engine : Engine
    tasks : iterable of ListEntry or Task
        Entries are numbered as they come.
    settings : ScoringSettings
    jobs : int
        Pictures under way at once. Scores do not depend on it; the order in which they come does.
    known : callable, optional
        Gives the scores of pictures that need not be asked again.
    cancel : callable, optional
        Asked between the steps of each picture.

    Yields
    ------
    EvaluatedEntry
        With one job in order. A broken image or mask becomes an entry with an error.

    Raises
    ------
    Cancelled
    """

    def work(task: Task, ended: Cancel) -> EvaluatedEntry:
        def stop() -> bool:
            return ended() or (cancel is not None and cancel())

        try:
            return _evaluate_one(engine, task, settings, known, stop)
        except Cancelled:
            raise
        except (SafireError, ValueError) as error:  # ValueError: an image without finite pixels
            return broken_entry(task, str(error))
        except MemoryError:
            return broken_entry(
                task, "There is not enough memory for this picture: cut it into parts."
            )
        except Exception as error:  # whatever it is, the others can be scored
            return broken_entry(task, f"it cannot be scored ({type(error).__name__}: {error}).")

    numbered = (
        task if isinstance(task, Task) else Task(number, task) for number, task in enumerate(tasks)
    )
    with closing(as_completed(work, numbered, jobs)) as outcomes:
        for _, outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPicture:
    """A picture with its truth and the model's answers, all of one size.

    Parameters
    ----------
    truth : (H, W) bool or uint8 array
        Forged pixels, or sources.
    found : Examination
        With partition and forgery map.
    warnings : tuple of str
        Of picture and mask.
    """

    truth: npt.NDArray[Any]
    found: Examination
    warnings: tuple[str, ...] = ()


def examine_entry(
    engine: Engine,
    entry: ListEntry,
    settings: ScoringSettings,
    degradation: Degradation = NONE,
    *,
    cancel: Cancel | None = None,
) -> ScoredPicture:
    """Degrade and squash a picture as asked for, and ask the model about it.

    Parameters
    ----------
    engine : Engine
    entry : ListEntry
    settings : ScoringSettings
    degradation : Degradation
    cancel : callable, optional

    Returns
    -------
    ScoredPicture

    Raises
    ------
    ImageReadError, DatasetError
        The image or its mask is broken, or they do not fit each other.
    """
    image = read_image(entry.image)
    height, width = image.pixels.shape[:2]
    read = read_truth(entry, settings.kind, shape=(height, width))
    original, image = image, _prepared(image, degradation, settings)
    rows, cols = image.pixels.shape[:2]
    truth = resize_nearest(read.labels, (rows, cols))
    asked = PartitionSettings(seed=settings.seed, points_per_side=settings.points_per_side)
    if settings.kind == "sources" and settings.sources == "given":
        asked = replace(asked, method="kmeans", n_sources=len(np.unique(truth)))
    found = examine_image(
        engine,
        image,
        ExaminationSettings(asked, evidence=settings.evidence),
        changed=image is not original,
        cancel=cancel,
    )
    return ScoredPicture(truth, found, (*found.warnings, *read.warnings))


def partition_scores(truth: npt.NDArray[Any], partition: SourcePartition) -> dict[str, float]:
    """Scores of a partition against true labels.

    Parameters
    ----------
    truth : (H, W) int array
    partition : SourcePartition

    Returns
    -------
    dict of str to float
    """
    scores = multi_source_scores(truth, partition.labels, n_clusters=partition.n_sources)
    return {
        "p_miou_hungarian": scores.miou_hungarian,
        "p_miou_official": scores.p_miou_official,
        "p_ari": scores.p_ari,
        "p_miou_floor": scores.floor,
        "n_sources_true": scores.n_sources,
        "n_sources_found": partition.n_sources,
        "n_sources_right": float(scores.n_sources == partition.n_sources),
    }


def forgery_scores(truth: npt.NDArray[np.bool_], forgery: ForgeryMap) -> dict[str, float]:
    """Scores of a forgery map against the forged pixels.

    Parameters
    ----------
    truth : (H, W) bool array
    forgery : ForgeryMap

    Returns
    -------
    dict of str to float
    """
    scores = binary_scores(truth, forgery.heatmap)
    return {
        "f1_fixed": scores.f1_fixed,
        "f1_floor": scores.floor,
        "f1_fixed_above_floor": scores.f1_fixed - scores.floor,
        "f1_best": scores.f1_best,
        "mcc": scores.mcc,
        "auc": scores.auc,
        "ap": scores.average_precision,
        # average precision of a constant map: the share of forged pixels, band included
        "ap_floor": float(truth.mean()) if truth.any() else float("nan"),
        "f1_fixed_plain": scores.f1_fixed_plain,
        "f1_best_plain": scores.f1_best_plain,
        "score": forgery.score,
    }


def known_result(task: Task, known: Known) -> EvaluatedEntry | None:
    """Return the scores that an entry has already; None where it has none, or cannot be read.

    Parameters
    ----------
    task : Task
    known : callable
    """
    try:
        earlier = known(entry_content(task.entry), task.degradation)
    except SafireError:  # whoever scores it says why
        return None
    return None if earlier is None else _of_same_content(earlier, task)


def _evaluate_one(
    engine: Engine,
    task: Task,
    settings: ScoringSettings,
    known: Known | None,
    cancel: Cancel,
) -> EvaluatedEntry:
    content = entry_content(task.entry)
    earlier = known(content, task.degradation) if known is not None else None
    if earlier is not None:
        return _of_same_content(earlier, task)
    picture = examine_entry(engine, task.entry, settings, task.degradation, cancel=cancel)
    found, truth = picture.found, picture.truth
    assert found.partition is not None  # whole_image was asked
    assert found.forgery is not None
    scores: dict[str, float] = {}
    if settings.kind == "sources":
        scores |= partition_scores(truth, found.partition)
    else:
        scores["n_sources_found"] = found.partition.n_sources
    if settings.kind == "binary" or np.any(truth == 0):
        scores |= forgery_scores(truth > 0, found.forgery)
    return EvaluatedEntry(
        task.entry,
        None,
        scores,
        found.forgery.verdict,
        found.seconds,
        task.number,
        task.degradation,
        content,
        picture.warnings,
    )


def _of_same_content(earlier: EvaluatedEntry, task: Task) -> EvaluatedEntry:
    """Give earlier scores to an entry of the same content; warnings name its own files."""
    names = (
        (str(before), str(now))
        for before, now in (
            (earlier.entry.image, task.entry.image),
            (earlier.entry.mask, task.entry.mask),
        )
        if before != now
    )
    warnings = earlier.warnings
    for before, now in names:
        warnings = tuple(
            # Readers name files as they are or as they may be shown.
            text.replace(before, now).replace(printable(before), printable(now))
            for text in warnings
        )
    return replace(earlier, entry=task.entry, number=task.number, warnings=warnings)


def _prepared(image: ReadImage, degradation: Degradation, settings: ScoringSettings) -> ReadImage:
    """The picture as it is asked about; as it is in the file where nothing is to be done."""
    pixels = image.pixels
    if degradation != NONE:
        # From the file's hash: the same noise whatever list the picture stands in.
        key = f"{settings.seed} {image.sha256}"
        pixels = degrade(_rgb(pixels), degradation, key=key)
    if settings.side is not None:
        pixels = PictureReader(pixels).squashed(settings.side).astype(np.uint8)
    return image if pixels is image.pixels else replace(image, pixels=pixels)


def _rgb(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8, scaled as the engine scales."""
    if pixels.dtype == np.uint8 and pixels.ndim == 3:
        return np.ascontiguousarray(pixels[..., :3])
    rgb = PictureReader(pixels).crop(slice(None), slice(None))
    return np.rint(rgb).astype(np.uint8)


def broken_entry(task: Task, message: str) -> EvaluatedEntry:
    """Return what came of an entry that cannot be scored."""
    entry = task.entry
    names = (str(entry.image), str(entry.mask))
    named = any(name in message or printable(name) in message for name in names)
    sentence = message if named else f"{entry.image}: {message}"
    return EvaluatedEntry(entry, sentence, number=task.number, degradation=task.degradation)
