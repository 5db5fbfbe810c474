"""From a project to `napari_safire.project.formats`, and from these into a project."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import overload

import numpy as np
import numpy.typing as npt

from napari_safire import __version__
from napari_safire.datasets.near_duplicates import perceptual_hash
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.lists import ListEntry
from napari_safire.images.reading import read_image
from napari_safire.images.records.paths import recorded_path
from napari_safire.progress import Cancel, Progress, report
from napari_safire.project.adding import add_pictures
from napari_safire.project.comparing import noted_agreement
from napari_safire.project.formats.card import Agreement, CardValues
from napari_safire.project.formats.catalogue import import_pictures
from napari_safire.project.formats.export import ExportReport, export
from napari_safire.project.formats.labelled import (
    ExportSettings,
    LabelledPicture,
    PictureFacts,
    Split,
)
from napari_safire.project.formats.splits import Division, divide, split_picture
from napari_safire.project.people import checked_name
from napari_safire.project.pictures import (
    ProjectPicture,
    find_picture,
    picture_path,
    project_pictures,
)
from napari_safire.project.settings import ProjectSettings
from napari_safire.project.store import Project
from napari_safire.project.work import (
    Step,
    Work,
    find_work,
    finish,
    read_labels,
    read_made,
    save_step,
    truth_of,
    works,
)
from napari_safire.text import printable

_DEFAULT = ExportSettings()


class TruthOfProject(Sequence[LabelledPicture]):
    """The pictures of a project whose ground truth is known, read when they are asked for.

    Hidden controls are left out: their truth was known before.

    Parameters
    ----------
    project : Project
    accepted_only : bool
        Only what was accepted; else also what is done by its only annotator, or adjudicated.
    """

    def __init__(self, project: Project, *, accepted_only: bool = False) -> None:
        self._project, self._settings = project, project.settings
        self.splits: Mapping[str, Split] = {}
        self.n_open = 0
        """Pictures that have no ground truth yet."""
        self._known: list[tuple[ProjectPicture, Work]] = []
        for picture in project_pictures(project):
            if picture.control is not None:
                continue
            truth = truth_of(project, picture.id)
            if truth is None or (accepted_only and truth.state != "accepted"):
                self.n_open += 1
            else:
                self._known.append((picture, truth))

    @property
    def n_adjudicated(self) -> int:
        """Pictures whose final labels were adjudicated."""
        return sum(work.role == "adjudicator" for _, work in self._known)

    def __len__(self) -> int:
        return len(self._known)

    @overload
    def __getitem__(self, index: int) -> LabelledPicture: ...
    @overload
    def __getitem__(self, index: slice) -> list[LabelledPicture]: ...
    def __getitem__(self, index: int | slice) -> LabelledPicture | list[LabelledPicture]:
        """Read the labels of a picture."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        picture, work = self._known[index]
        return labelled(self._project, picture, work, self._settings, self.splits)


def labelled(
    project: Project,
    picture: ProjectPicture,
    work: Work,
    settings: ProjectSettings,
    splits: Mapping[str, Split],
) -> LabelledPicture:
    """Make of a picture and some work on it what formats take."""
    labels = read_labels(project, work)
    people = [other.annotator for other in works(project, picture.id) if other.state in _FINISHED]
    basis = work.basis
    facts = PictureFacts(
        file_sha256=picture.file_sha256,
        annotators=tuple(people),
        licence=settings.licence,
        models=() if basis is None else (f"{basis.checkpoint_sha256[:12]}, {__version__}",),
        model_share=_model_share(project, work, labels),
    )
    parts = [part for part in PurePosixPath(picture.path).parts if part not in _NO_NAMES]
    return LabelledPicture(
        picture.id,
        picture_path(project, picture),
        "/".join(parts),
        labels,
        replace(work.description, waiver=work.waiver),
        splits.get(picture.id, ""),
        facts,
    )


_FINISHED = ("done", "accepted")
_NO_NAMES = ("..", "~", "/")


def _model_share(project: Project, work: Work, labels: npt.NDArray[np.uint8]) -> float | None:
    """Share of the pixels that a model labelled and nobody painted or protected since."""
    made = read_made(project, work) if work.basis is not None else None
    if made is None:
        return None
    state = made.annotation
    of_model = {number for number, _ in state.seeds} | {prompt.source for prompt in state.prompts}
    taken = np.isin(labels, sorted(of_model)) & ~state.protected.unpack()
    return float(taken.mean())


def export_project(
    project: Project,
    folder: str | os.PathLike[str],
    kind: str,
    settings: ExportSettings = _DEFAULT,
    *,
    accepted_only: bool = False,
    shares: Mapping[Split, float] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> ExportReport:
    """Export the ground truth of a project in a format, read back and compared, with a data card.

    Parameters
    ----------
    project : Project
    folder : path-like
        See `napari_safire.project.formats.export.export`.
    kind : str
        Name of the format.
    settings : ExportSettings
    accepted_only : bool
        See `TruthOfProject`.
    shares : mapping of str to float, optional
        Of "train", "validation" and "test": no donor, and no picture that looks like one, in two
        parts. Default: not divided.
    progress, cancel : callable, optional

    Returns
    -------
    ExportReport

    Raises
    ------
    DatasetError, SafireError
        As `export`; nothing was exported then.
    """
    pictures = TruthOfProject(project, accepted_only=accepted_only)
    if not pictures:
        raise DatasetError("No picture of the project is done: there is nothing to export.")
    division = None
    if shares is not None:
        division = _divided(pictures, shares, project.settings.seed, progress, cancel)
        pictures.splits = division.splits
    values = CardValues(
        title=project.name,
        licence=project.settings.licence,
        agreement=tuple(
            Agreement(name, mean.mean, mean.low, mean.high, mean.n)
            for name, mean in noted_agreement(project).items()
            if mean.n
        ),
        adjudicated=pictures.n_adjudicated,
        division={} if division is None else division.as_record(),
    )
    made = export(pictures, folder, kind, settings, card=values, progress=progress, cancel=cancel)
    told = () if division is None else division.sentences
    if pictures.n_open:
        told = (*told, f"{pictures.n_open} pictures have no ground truth yet and were left out.")
    return replace(made, sentences=(*made.sentences, *told))


def _divided(
    pictures: TruthOfProject,
    shares: Mapping[Split, float],
    seed: int,
    progress: Progress | None,
    cancel: Cancel | None,
) -> Division:
    known = []
    for number in range(len(pictures)):
        report(progress, cancel, number, len(pictures), "looking for pictures that look alike")
        picture = pictures[number]
        known.append(split_picture(picture, perceptual_hash(read_image(picture.path).pixels)))
    return divide(known, shares, seed=seed)


@dataclass(frozen=True, slots=True)
class ImportedTruth:
    """What came of an import.

    Parameters
    ----------
    n_done, n_begun : int
        Pictures whose annotation is complete, and those with pixels left to be labelled.
    added : int
        Pictures that were new in the project.
    overlapping : int
        Pixels that several objects claimed, and that have no source therefore.
    sentences : tuple of str
        What was left out, assumed or mended.
    """

    n_done: int
    n_begun: int
    added: int
    overlapping: int
    sentences: tuple[str, ...]


def import_truth(
    project: Project,
    path: str | os.PathLike[str],
    kind: str | None = None,
    *,
    annotator: str | None = None,
    unpack: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> ImportedTruth:
    """Take over annotations from a format: each as the work of one annotator.

    Work that the annotator has in the project already is left as it is, and told.

    Parameters
    ----------
    project : Project
    path : path-like
        Folder of an export, or one list, table or archive.
    kind : str, optional
        See `napari_safire.project.formats.catalogue.import_pictures`.
    annotator : str, optional
        Default: the author.
    unpack : path-like, optional
        Where packed pictures go; default: ``pictures`` in the project's folder.
    progress, cancel : callable, optional

    Returns
    -------
    ImportedTruth
    """
    name = checked_name(annotator) if annotator else project.author
    target = Path(unpack or project.folder / "pictures")
    told: list[str] = []
    done = begun = added = overlapping = 0
    for number, got in enumerate(import_pictures(path, kind, unpack=target)):
        report(progress, cancel, number, 0, "importing")
        told += [f"{printable(got.name)}: {sentence}" for sentence in got.sentences]
        overlapping += got.unassigned_overlap
        if got.picture is None:
            continue
        try:
            picture, new = _place(project, got.picture)
            added += new
            if _take(project, picture, got.picture, name, told):
                complete = _finished(project, picture, name)
                done, begun = done + complete, begun + (not complete)
        except SafireError as error:
            told.append(f"{printable(got.name)}: {error}")
    return ImportedTruth(done, begun, added, overlapping, tuple(told))


def _place(project: Project, given: LabelledPicture) -> tuple[str, bool]:
    """Id of the picture in the project, and whether it is new there."""
    added = add_pictures(project, [ListEntry(given.path)])
    if added.ids:
        return added.ids[0], True
    if added.problems:
        raise DatasetError(added.problems[0])
    return find_picture(project, recorded_path(given.path, project.folder)).id, False


def _take(
    project: Project, picture: str, given: LabelledPicture, annotator: str, told: list[str]
) -> bool:
    work = find_work(project, picture, annotator)
    if work is not None and work.revision:
        told.append(f"{printable(given.name)} is annotated by {annotator} already: left as it is.")
        return False
    step = Step(given.labels, None, given.description, 0.0, "import", "mask")
    save_step(project, picture, annotator, step, 0)
    return True


def _finished(project: Project, picture: str, annotator: str) -> bool:
    """Say that imported work is done, if it is complete; whether it is."""
    work = find_work(project, picture, annotator)
    assert work is not None  # it was saved a moment ago
    waiver = work.description.waiver
    if not work.n_sources or (work.n_unassigned and not waiver):
        return False
    authentic = work.n_sources == 1 and not work.n_unassigned
    finish(project, picture, annotator, work.revision, waiver=waiver, authentic=authentic)
    return True
