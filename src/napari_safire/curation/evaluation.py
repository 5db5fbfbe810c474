"""Score a model on a data set: every entry of a list, its scores, and their means.

Scores are those of `napari_safire.metrics`, taken at the image's own size (the published tables
resize to 1024 x 1024 first). Means leave out images for which a score is not defined.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.curation.examination import ExaminationSettings, examine
from napari_safire.data.atomic import atomic_path
from napari_safire.data.images import read_image
from napari_safire.data.lists import ListEntry, MaskKind, read_mask
from napari_safire.errors import Cancelled, SafireError
from napari_safire.metrics import binary_scores, multi_source_scores
from napari_safire.types import ForgeryMap, SourcePartition

if TYPE_CHECKING:
    from napari_safire.engine import Engine

SourceCount = Literal["given", "auto"]

_N_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class EvaluatedEntry:
    """What came of one entry.

    Parameters
    ----------
    entry : ListEntry
    error : str or None
        Why the entry could not be scored, in one sentence.
    scores : mapping of str to float
        Undefined scores are ``nan``; empty where there is an error.
    verdict : str or None
        The engine's verdict on the image.
    seconds : mapping of str to float
        Wall time of each stage.
    """

    entry: ListEntry
    error: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    verdict: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def authentic(self) -> bool:
        """Whether the list calls the image authentic."""
        return self.entry.mask is None


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean over images with its 95 % confidence interval.

    Parameters
    ----------
    mean, low, high : float
        The interval is the percentile interval of a bootstrap over images.
    n : int
        Images for which the value is defined.
    """

    mean: float
    low: float
    high: float
    n: int


def evaluate_entries(
    engine: Engine,
    entries: Iterable[ListEntry],
    kind: MaskKind,
    *,
    sources: SourceCount = "given",
    seed: int = 0,
    points_per_side: int = 16,
    cancel: Callable[[], bool] | None = None,
) -> Iterator[EvaluatedEntry]:
    """Score the entries one by one.

    Parameters
    ----------
    engine : Engine
    entries : iterable of ListEntry
    kind : {"sources", "binary"}
        What the masks say. With "sources" the partition is scored, and the heatmap as well where
        the mask has a background (label 0): forged is then every other label.
    sources : {"given", "auto"}
        Tell the method the true number of sources (an oracle, as the published tables do), or let
        it choose.
    seed, points_per_side : int
    cancel : callable, optional

    Yields
    ------
    EvaluatedEntry
        In order. A broken image or mask becomes an entry with an error.

    Raises
    ------
    ValueError
        Unknown `kind` or `sources`.
    Cancelled
    """
    if kind not in ("sources", "binary"):
        raise ValueError(f"Unknown kind of mask {kind!r}: choose 'sources' or 'binary'.")
    if sources not in ("given", "auto"):
        raise ValueError(f"Unknown number of sources {sources!r}: choose 'given' or 'auto'.")
    for entry in entries:
        try:
            yield _evaluate_one(engine, entry, kind, sources, seed, points_per_side, cancel)
        except Cancelled:
            raise
        except (SafireError, ValueError) as error:  # ValueError: an image without finite pixels
            message = str(error)
            named = str(entry.image) in message or str(entry.mask) in message
            yield EvaluatedEntry(entry, message if named else f"{entry.image}: {message}")


def summarise(
    values: Iterable[Mapping[str, float]], *, seed: int = 0, intervals: bool = True
) -> dict[str, Mean]:
    """Means of what the mappings have, by name.

    Parameters
    ----------
    values : iterable of mapping of str to float
        ``nan`` counts as not defined.
    seed : int
        Of the bootstrap.
    intervals : bool
        False: the interval is ``nan``.

    Returns
    -------
    dict of str to Mean
        In the order in which names first occur; names without any defined value are left out.
    """
    columns: dict[str, list[float]] = {}
    for mapping in values:
        for name, value in mapping.items():
            columns.setdefault(name, []).append(value)
    summary = {}
    for name, column in columns.items():
        defined = np.array([value for value in column if not np.isnan(value)], dtype=np.float64)
        if defined.size:
            low, high = _interval(defined, seed) if intervals else (float("nan"), float("nan"))
            summary[name] = Mean(float(defined.mean()), low, high, int(defined.size))
    return summary


def write_results(path: str | os.PathLike[str], results: Sequence[EvaluatedEntry]) -> Path:
    """Write one line an entry as CSV, all of it or nothing.

    Parameters
    ----------
    path : path-like
    results : sequence of EvaluatedEntry

    Returns
    -------
    Path

    Raises
    ------
    SafireError
        The file cannot be written.
    """
    path = Path(path)
    scores = _names(result.scores for result in results)
    seconds = _names(result.seconds for result in results)
    header = ["image", "mask", "verdict", *scores, *(f"{name}_s" for name in seconds), "error"]
    try:
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
            writer = csv.writer(f)
            writer.writerow(header)
            for result in results:
                writer.writerow(
                    [
                        result.entry.image,
                        result.entry.mask,
                        result.verdict,
                        *(_cell(result.scores, name, 6) for name in scores),
                        *(_cell(result.seconds, name, 4) for name in seconds),
                        result.error,
                    ]
                )
    except OSError as error:
        raise SafireError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path


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
        "f1_fixed_plain": scores.f1_fixed_plain,
        "f1_best_plain": scores.f1_best_plain,
        "score": forgery.score,
    }


def _evaluate_one(
    engine: Engine,
    entry: ListEntry,
    kind: MaskKind,
    sources: SourceCount,
    seed: int,
    points_per_side: int,
    cancel: Callable[[], bool] | None,
) -> EvaluatedEntry:
    image = read_image(entry.image)
    height, width = image.pixels.shape[:2]
    truth = read_mask(entry, kind, shape=(height, width))
    settings = ExaminationSettings(seed=seed, points_per_side=points_per_side)
    if kind == "sources" and sources == "given":
        settings = ExaminationSettings(
            method="kmeans",
            n_sources=len(np.unique(truth)),
            seed=seed,
            points_per_side=points_per_side,
        )
    found = examine(engine, image, settings, cancel=cancel)
    assert found.partition is not None  # whole_image was asked
    assert found.forgery is not None
    scores: dict[str, float] = {}
    if kind == "sources":
        scores |= partition_scores(truth, found.partition)
    else:
        scores["n_sources_found"] = found.partition.n_sources
    if kind == "binary" or np.any(truth == 0):
        scores |= forgery_scores(truth > 0, found.forgery)
    return EvaluatedEntry(entry, None, scores, found.forgery.verdict, found.seconds)


def _interval(values: npt.NDArray[np.float64], seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    means = [
        values[rng.integers(values.size, size=values.size)].mean() for _ in range(_N_RESAMPLES)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _names(mappings: Iterable[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _cell(values: Mapping[str, float], name: str, digits: int) -> str:
    value = values.get(name, float("nan"))
    return "" if np.isnan(value) else f"{value:.{digits}g}"
