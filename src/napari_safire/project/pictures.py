"""The pictures of a project: opened, found again, flagged where they changed, taken away.

A picture is known by the SHA-256 of its file and of its pixels. It is never used silently when
either is another: `open_picture` refuses it, `look_after` finds it again where it was moved.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.images.files import file_sha256, is_picture_file, pictures_below, why_unreadable
from napari_safire.images.pixels import PictureReader
from napari_safire.images.reading import ReadImage, read_image
from napari_safire.images.records.paths import recorded_path, whole_path
from napari_safire.progress import Cancel, Progress, report
from napari_safire.project.chain.events import Draft, canonical
from napari_safire.project.places import remembered
from napari_safire.project.projections import Stage
from napari_safire.project.store import Project
from napari_safire.text import printable

_ID_DIGITS = 16
_COLUMNS = (
    "id, path, name, file_sha256, pixels_sha256, height, width, orientation, decoder, format, "
    "tags, begin, problem, removed, score, verdict, uncertainty, disagreement, control, stage"
)


@dataclass(frozen=True, slots=True)
class ProjectPicture:
    """A picture as the project knows it.

    Parameters
    ----------
    id : str
    path : str
        As it stands in the project: relative to its folder, with ``/``.
    name : str
    file_sha256 : str
    pixels_sha256 : str or None
        None until it was opened once.
    height, width, orientation : int or None
        As stored in the file; the orientation that it asks for is not applied.
    decoder, format : str
    tags : tuple of str
    begin : str or None
        SHA-256 of the labels that came with it.
    problem : str
        Why it cannot be used; empty where it can.
    removed : bool
    score : float or None
        Of the model: how much speaks for a forgery.
    verdict : str
    uncertainty : float or None
        Share of pixels of which the model is not sure.
    disagreement : float or None
        1 - p_mIoU of its annotators.
    control : str or None
        SHA-256 of the known truth of a hidden control.
    stage : {"annotate", "second", "adjudicate", "accept", "accepted"}
    """

    id: str
    path: str
    name: str
    file_sha256: str
    pixels_sha256: str | None
    height: int | None
    width: int | None
    orientation: int | None
    decoder: str
    format: str
    tags: tuple[str, ...]
    begin: str | None
    problem: str
    removed: bool
    score: float | None
    verdict: str
    uncertainty: float | None
    disagreement: float | None
    control: str | None
    stage: Stage


def find_picture(project: Project, picture: str) -> ProjectPicture:
    """Return a picture by its id, by its path, or by its name where only one has it.

    The path may be that in the project or, as in a shell, one from the working directory.

    Raises
    ------
    DatasetError
        There is none, or more than one.
    """
    wanted = [
        ("id", printable(picture)),
        ("path", canonical(picture)),
        ("path", canonical(recorded_path(picture, project.folder))),  # as it lies from here
        ("name", printable(picture)),
    ]
    for column, value in wanted:
        rows = project.ask(f"SELECT {_COLUMNS} FROM picture WHERE {column} = ?", (value,))  # noqa: S608 (columns and marks are ours, values are bound)
        if len(rows) == 1:
            return _picture(rows[0])
        if len(rows) > 1:
            paths = ", ".join(printable(json.loads(row[1])) for row in rows[:5])
            raise DatasetError(f"{len(rows)} pictures are called {printable(picture)}: {paths}.")
    raise DatasetError(f"The project has no picture {printable(picture)}: look for it in its list.")


def pictures_at(project: Project, path: str) -> tuple[ProjectPicture, ...]:
    """Return the pictures that have this very path in the project; removed ones too."""
    rows = project.ask(
        f"SELECT {_COLUMNS} FROM picture WHERE path = ? ORDER BY position",  # noqa: S608 (columns and marks are ours, values are bound)
        (canonical(path),),
    )
    return tuple(_picture(row) for row in rows)


def project_pictures(project: Project, *, removed: bool = False) -> Iterator[ProjectPicture]:
    """Go through the pictures in the order in which they were added; removed ones if asked."""
    rows = project.ask(
        f"SELECT {_COLUMNS} FROM picture WHERE removed <= ? ORDER BY position",  # noqa: S608 (columns and marks are ours, values are bound)
        (int(removed),),
    )
    return (_picture(row) for row in rows)


def picture_path(project: Project, picture: ProjectPicture) -> Path:
    """Return where a picture lies, if it was not moved; of a mere name, where it was last seen."""
    path = whole_path(picture.path, project.folder)
    if "/" in picture.path or os.path.isfile(path):
        return path
    return remembered(picture.file_sha256) or path


def open_picture(project: Project, picture: str) -> ReadImage:
    """Read a picture, if it is the one that was added.

    What was not known of it is noted; what is another is flagged.

    Parameters
    ----------
    project : Project
    picture : str
        Its id.

    Returns
    -------
    ReadImage

    Raises
    ------
    ImageReadError, DatasetError
        It is gone, unreadable, or another than it was: a sentence that says which.
    """
    known = find_picture(project, picture)
    path = picture_path(project, known)
    try:
        image = read_image(path)
        problem = _difference(known, image)
    except ImageReadError as error:
        if not why_unreadable(path) and file_sha256(path) == known.file_sha256:
            raise  # it was added so, and cannot be read by this program
        _note_problem(project, known, _named_only(str(error), path))
        raise
    if problem:
        _note_problem(project, known, _named_only(problem, path))
        raise DatasetError(problem)
    if known.problem:
        _note_problem(project, known, "")
    if known.pixels_sha256 is None and not project.read_only:
        project.append([Draft("picture.identified", picture, picture_identity(image))])
    return image


def look_after(
    project: Project,
    roots: Sequence[Path] = (),
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> tuple[int, int]:
    """Find moved pictures again by their hashes, and flag those that are gone or changed.

    Parameters
    ----------
    project : Project
    roots : sequence of Path
        Folders to look in, with their subfolders; default: those of all pictures, and the
        project's own.
    progress, cancel : callable, optional

    Returns
    -------
    moved, flagged : int
    """
    missing, flagged = [], 0
    pictures = list(project_pictures(project))
    for number, picture in enumerate(pictures):
        report(progress, cancel, number, len(pictures), "looking at the pictures")
        path = picture_path(project, picture)
        if not os.path.isfile(path):  # Path.is_file raises for names that no file can have
            missing.append(picture)
            continue
        try:
            is_same = file_sha256(path) == picture.file_sha256
            problem = "" if is_same else f"{printable(path.name)} was changed: its hash is another."
        except OSError as error:
            problem = f"{printable(path.name)} cannot be read: {error.strerror}."
        flagged += bool(problem)
        if problem != picture.problem:
            _note_problem(project, picture, problem)
    if not missing:
        return 0, flagged
    found = _by_hash({p.file_sha256 for p in missing}, roots or _folders(project), cancel)
    moved = 0
    for picture in missing:
        places = found.get(picture.file_sha256)
        if places:
            move_picture(project, picture, places.pop(0))
            moved += 1
        else:
            name = printable(picture_path(project, picture).name)
            _note_problem(project, picture, f"{name} is gone: find it again.")
            flagged += 1
    return moved, flagged


def move_picture(project: Project, picture: ProjectPicture, path: Path) -> None:
    """Note that a picture lies elsewhere, if that is the same file.

    Raises
    ------
    DatasetError
        It is another file.
    """
    if file_sha256(path) != picture.file_sha256:
        raise DatasetError(
            f"{printable(path)} is another file than {printable(picture.path)}: its hash differs."
        )
    body = {"path": recorded_path(path, project.folder)}
    project.append([Draft("picture.moved", picture.id, body)])


def remove_picture(project: Project, picture: str, reason: str = "") -> None:
    """Take a picture out of the list; what was made of it stays in the events."""
    project.append(
        [Draft("picture.removed", find_picture(project, picture).id, {"reason": reason})]
    )


def tag_picture(project: Project, picture: str, tags: Iterable[str]) -> None:
    """Give a picture these tags in place of those that it had."""
    body = {"tags": sorted({tag.strip() for tag in tags if tag.strip()})}
    project.append([Draft("picture.tagged", find_picture(project, picture).id, body)])


def picture_identity(image: ReadImage) -> dict[str, Any]:
    """What the project notes of the pixels of a picture."""
    decoding = image.decoding
    return {
        "pixels_sha256": PictureReader(image.pixels).sha256,
        "shape": list(image.pixels.shape[:2]),
        "orientation": decoding.orientation,
        "decoder": decoding.decoder,
        "format": decoding.format,
    }


# -------------------------------------------------------------------- finding again


def _difference(known: ProjectPicture, image: ReadImage) -> str:
    """Say how a file differs from the picture that was added; empty where it does not."""
    shown = printable(image.path)
    if image.sha256 != known.file_sha256:
        turned = known.orientation is not None and image.decoding.orientation != known.orientation
        how = ": it asks for another orientation now" if turned else ""
        return f"{shown} was changed since it was added{how}. Put the former file back."
    if known.pixels_sha256 and PictureReader(image.pixels).sha256 != known.pixels_sha256:
        return (
            f"{shown} is the same file, but gives other pixels than when it was added: another "
            f"decoder read it then ({printable(known.decoder)})."
        )
    return ""


def _note_problem(project: Project, picture: ProjectPicture, problem: str) -> None:
    if not project.read_only and problem != picture.problem:
        project.append([Draft("picture.flagged", picture.id, {"problem": problem})])


def _named_only(problem: str, path: Path) -> str:
    """A sentence without folders: events go out with reports, and folders may name people."""
    return problem.replace(printable(path), printable(path.name))


def _folders(project: Project) -> tuple[Path, ...]:
    folders = {picture_path(project, picture).parent for picture in project_pictures(project)}
    return (project.folder, *sorted(folder for folder in folders if folder.is_dir()))


def _by_hash(
    wanted: set[str], roots: Sequence[Path], cancel: Cancel | None
) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    looked: set[Path] = set()
    for root in roots:
        for name in pictures_below(root):
            path = root / name
            report(None, cancel, len(looked), 0, "looking for moved pictures")
            if path in looked or not is_picture_file(path):
                continue
            looked.add(path)
            try:
                digest = file_sha256(path)
            except OSError:  # a pipe, a loop of links, a file of somebody else's: not the one
                continue
            if digest in wanted:
                found[digest].append(path)
    return found


def _picture(row: Sequence[Any]) -> ProjectPicture:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    values["path"] = json.loads(values["path"])  # may have bytes that are no UTF-8
    values["tags"] = tuple(json.loads(values["tags"]))
    values["removed"] = bool(values["removed"])
    return ProjectPicture(**values)
