"""Everything that is asked of one picture for a report, in one frozen value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.errors import ImageReadError, SafireError
from napari_safire.examination.export import confidence_of
from napari_safire.forensics import EvidenceView
from napari_safire.forensics.picture import Picture
from napari_safire.forgery import Calibration, ForgeryMap
from napari_safire.images.files import file_sha256
from napari_safire.images.reading import first_line
from napari_safire.images.records.writing import plain, versions
from napari_safire.palette import source_colour
from napari_safire.partitioning.verdict import weight_in_words
from napari_safire.progress import Cancel, Progress, report, within
from napari_safire.review.answers import Answer, Asked, ask
from napari_safire.review.identity import model_record, picture_record
from napari_safire.review.looking import chosen_views, look_through
from napari_safire.review.regions import RegionTable, region_table
from napari_safire.review.saved_again import SavedAgain, saved_again
from napari_safire.review.settings import AnalysisSettings
from napari_safire.review.stability import Stability, stability
from napari_safire.review.voting import Votes, source_votes
from napari_safire.text import printable
from napari_safire.types import SourcePartition

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.review.report.sentences import Sentence

_READ, _ANSWERED, _LOOKED, _MEASURED, _TRIED = 3, 40, 65, 70, 95  # hundredths of the whole
_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What was found in one picture.

    Parameters
    ----------
    picture : Picture
        With its file. Where its pixels could not be read, only its bytes were looked at, and all
        that rests on pixels is None.
    identity : mapping
        Record of the picture.
    settings : AnalysisSettings
    model : mapping
        Record of the model that was asked.
    answer : Answer or None
        Sources and verdicts.
    views : mapping of str to EvidenceView
        Forensic views; their arrays lie in the views' cache, and are made anew when they are gone.
    evidence : tuple of dict
        What each view found, as records.
    thumbnails : mapping of str to (h, w, 3) uint8 array
        Of views that have a map or links.
    regions : RegionTable or None
        Each source against the rest; sources are numbered from 1.
    votes : Votes or None
    stability : Stability or None
    saved_again : SavedAgain or None
        Both also None where changed copies were not asked for.
    notices : tuple of str
        What the engine did to finish in spite of trouble.
    """

    picture: Picture
    identity: Mapping[str, Any]
    settings: AnalysisSettings
    model: Mapping[str, Any]
    answer: Answer | None
    views: Mapping[str, EvidenceView]
    evidence: tuple[dict[str, Any], ...]
    thumbnails: Mapping[str, npt.NDArray[np.uint8]]
    regions: RegionTable | None = None
    votes: Votes | None = None
    stability: Stability | None = None
    saved_again: SavedAgain | None = None
    notices: tuple[str, ...] = ()

    @property
    def partition(self) -> SourcePartition | None:
        """The picture's sources; None where its pixels could not be read."""
        return None if self.answer is None else self.answer.partition

    @property
    def labels(self) -> npt.NDArray[np.uint8] | None:
        """(H, W) uint8: source of each pixel, 0 to K - 1."""
        return None if self.partition is None else self.partition.labels

    @property
    def forgery(self) -> ForgeryMap | None:
        """The verdict that stands: by all evidence, where it was counted."""
        return None if self.answer is None else self.answer.verdict

    @property
    def network(self) -> ForgeryMap | None:
        """The verdict of the network alone."""
        return None if self.answer is None else self.answer.network

    @property
    def limitations(self) -> tuple[Sentence, ...]:
        """What this very analysis cannot tell."""
        from napari_safire.review.limitations import limitations

        return limitations(self)

    def as_record(self) -> dict[str, Any]:
        """Return all of it as JSON values.

        Returns
        -------
        dict
            The same for the same picture, model and settings on the same machine: no times, no
            places of files, no device.
        """
        record = {
            "picture": dict(self.identity),
            "model": dict(self.model),
            "settings": self.settings.as_record(),
            "model_verdict": None if self.answer is None else verdict_record(self.answer),
            "partition": None if self.answer is None else partition_record(self.answer, self.votes),
            "regions": None if self.regions is None else self.regions.as_record(),
            "voting": None if self.votes is None else self.votes.as_record(),
            "stability": None if self.stability is None else self.stability.as_record(),
            "saved_again": None if self.saved_again is None else self.saved_again.as_record(),
            "evidence": list(self.evidence),
            "limitations": [one.as_record() for one in self.limitations],
            "versions": versions(),
        }
        values: dict[str, Any] = plain(record)
        return values


def analyse(
    path: str | os.PathLike[str],
    engine: Engine,
    settings: AnalysisSettings | None = None,
    *,
    model_name: str = "",
    reference: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Analysis:
    """Ask everything about a picture file that a report tells.

    Parameters
    ----------
    path : path-like
        Read once; its bytes must stay the same until the end.
    engine : Engine
    settings : AnalysisSettings, optional
    model_name : str
        As the model was asked for: a registered name, or a file.
    reference : path-like, optional
        Another picture of the scene, for the view "comparison".
    progress, cancel : callable, optional

    Returns
    -------
    Analysis
        Of a file whose pixels cannot be read: what its bytes tell.

    Raises
    ------
    ImageReadError
        The file is missing, or does not even begin like a picture.
    SafireError
        It changed, or went away, while it was looked at.
    OutOfMemory, ModelFailure, OSError, Cancelled
    """
    settings, progress = settings or AnalysisSettings(), _rising(progress)
    path, heard = Path(path), len(engine.notices)
    report(progress, cancel, 0, 100, "reading the picture")
    picture = Picture.undecoded(path)
    assert picture.file is not None
    other = None if reference is None else Picture.read(reference)
    model = model_record(engine, model_name, _calibration(engine, settings))
    with _unchanged(path, picture.file.sha256):
        found = _analysed(engine, picture, settings, model, other, (progress, cancel))
    report(progress, cancel, 100, 100, "done")
    return replace(found, notices=tuple(engine.notices[heard:]))


def _analysed(
    engine: Engine,
    picture: Picture,
    settings: AnalysisSettings,
    model: Mapping[str, Any],
    reference: Picture | None,
    watch: tuple[Progress | None, Cancel | None],
) -> Analysis:
    progress, cancel = watch
    answer = None
    if picture.file is not None and not picture.why_no_pixels:
        answer = ask(
            engine, picture, settings.examination, pixels=picture.file.pixels,
            progress=within(progress, _READ, _ANSWERED), cancel=cancel,
        )  # fmt: skip
    views = chosen_views(picture, settings, reference)
    evidence, small = look_through(views, within(progress, _ANSWERED, _LOOKED), cancel)
    identity = picture_record(picture, evidence)
    regions = votes = tried = again = None
    if answer is not None:
        regions = region_table(
            picture, answer.partition.labels + 1, seed=settings.partition.seed,
            progress=within(progress, _LOOKED, _MEASURED), cancel=cancel,
        )  # fmt: skip
        votes = source_votes(answer.partition, answer.embedding.uninformative)
        tried, again = _copies(engine, picture, answer, settings, progress, cancel)
    return Analysis(
        picture, identity, settings, model, answer, views, evidence, small, regions, votes, tried,
        again,
    )  # fmt: skip


def _calibration(engine: Engine, settings: AnalysisSettings) -> Calibration | None:
    """What the verdict that is asked for rests on."""
    rule = engine.rules.combination
    if settings.evidence == "all" and rule is not None:
        return rule.calibration
    return engine.rules.calibration


def _copies(
    engine: Engine,
    picture: Picture,
    answer: Answer,
    settings: AnalysisSettings,
    progress: Progress | None,
    cancel: Cancel | None,
) -> tuple[Stability | None, SavedAgain | None]:
    if settings.stability == "none":
        return None, None
    asked = Asked(engine, picture, settings.examination, answer)
    tried = stability(
        asked, quick=settings.stability == "quick",
        progress=within(progress, _MEASURED, _TRIED), cancel=cancel,
    )  # fmt: skip
    again = saved_again(asked, tried, progress=within(progress, _TRIED, 100), cancel=cancel)
    return tried, again


def _rising(progress: Progress | None) -> Progress | None:
    """Never go back: a stage of many may begin anew."""
    if progress is None:
        return None
    told = 0

    def rising(done: int, total: int, stage: str) -> None:
        nonlocal told
        told = max(told, done)
        progress(told, total, stage)

    return rising


@contextmanager
def _unchanged(path: Path, sha256: str) -> Iterator[None]:
    """Refuse what was found in a file that is another one at the end, or is gone."""
    name = printable(path)
    try:
        yield
        now = file_sha256(path)
    except (ImageReadError, OSError) as error:
        if path.exists():
            raise
        raise SafireError(
            f"{name} went away while it was analysed ({first_line(error)}): work on a "
            "copy that stays."
        ) from error
    if now != sha256:
        raise SafireError(
            f"{name} changed while it was analysed, so nothing that was found holds for one file: "
            "work on a copy that nobody writes to, and analyse it again."
        )


def verdict_record(answer: Answer) -> dict[str, Any]:
    """Tell the verdict that stands, what it counts, and the network's own.

    Parameters
    ----------
    answer : Answer

    Returns
    -------
    dict
        JSON values, contributions strongest first.
    """
    forgery = answer.verdict
    ordered = sorted(forgery.contributions.items(), key=lambda item: -abs(item[1].log_odds))
    return {
        **_verdict_values(forgery),
        "means": _meaning(forgery),
        "caveat": forgery.caveat,
        "contributions": [
            {
                "name": name,
                "log_odds": round(one.log_odds, _DIGITS),
                "weight": one.weight,
                "words": one.words,
            }
            for name, one in ordered
        ],
        "regions": [
            {"name": name, "share": round(float(region.mean()), _DIGITS)}
            for name, region in forgery.regions.items()
        ],
        "network_alone": _verdict_values(answer.network),
    }


def _verdict_values(forgery: ForgeryMap) -> dict[str, Any]:
    ratio = forgery.likelihood_ratio
    return {
        "verdict": forgery.verdict,
        "score": round(forgery.score, _DIGITS),
        "likelihood_ratio": None if ratio is None else round(ratio, _DIGITS),
        "reason": forgery.reason,
        "obstacle": forgery.obstacle,
    }


def _meaning(forgery: ForgeryMap) -> str:
    """What the likelihood ratio means, in words; for an untrusted score, that it means nothing."""
    if forgery.calibration is None:
        return "Without a calibration there is no likelihood ratio."
    if forgery.obstacle and forgery.verdict == "inconclusive":
        return "The score is not trusted here, so the likelihood ratio means nothing."
    return weight_in_words(forgery.score, forgery.calibration)


def partition_record(answer: Answer, votes: Votes | None) -> dict[str, Any]:
    """Tell how a picture was divided.

    Parameters
    ----------
    answer : Answer
    votes : Votes or None
        Of its partition: how sure each source is.

    Returns
    -------
    dict
        JSON values; sources are numbered from 1.
    """
    found = answer.partition
    counts = np.bincount(found.labels.ravel(), minlength=found.n_sources)
    sources = []
    for k, region in enumerate(found.representatives):
        sources.append(
            {
                "number": k + 1,
                "colour": list(source_colour(k)),
                "n_pixels": int(counts[k]),
                "share": round(float(counts[k] / found.labels.size), _DIGITS),
                "bounds": _bounds(found.labels, k),
                "confidence": _rounded(confidence_of(found, region)),
                "certainty": None if votes is None else votes.of[k].median,
            }
        )
    return {
        "method": found.method,
        "units": found.parameters.get("units", "prompts"),
        "parameters": dict(found.parameters),
        "seed": found.seed,
        "n_sources": found.n_sources,
        "number_probabilities": [
            {"n_sources": number, "probability": round(float(share), _DIGITS)}
            for number, share in sorted(found.number_probabilities.items())
        ],
        "labels_sha256": PackedLabels.pack(found.labels).digest,
        "notices": list(answer.embedding.warnings),
        "sources": sources,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), _DIGITS)


def _bounds(labels: npt.NDArray[np.uint8], source: int) -> list[int] | None:
    """First row and column of a source, and those after its last; None where it has no pixel."""
    inside = labels == source
    rows, cols = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return [int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1]
